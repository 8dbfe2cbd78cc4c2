"""Closed periods go to the chain, each once, in their order, and are sure when so many blocks are on top of them.

What is anchored already is asked of the contract, never remembered: a restart, a chain that was away, and one that
took blocks back are the same to it. One transaction is under way at a time; the contract takes the next period only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from historian.ledger.anchoring.contract import Account, AnchorContract, Root, number
from historian.ledger.anchoring.errors import ChainError, ChainRefused
from historian.ledger.entry import PeriodClose
from historian.ledger.merkle import leaf_hash
from historian.ledger.rows import Rows

CONFIRMATIONS = 12  # blocks; deeper than a chain of proof of stake goes back where it is not broken
PATIENCE_S = 120.0  # of a transaction in no block; then it is sent again for a higher fee
MOST_URGENCY = 8  # times that the fee is doubled
_HAD_ALREADY = (
    "already known",
    "already imported",
    "nonce too low",
)  # as nodes say it; what else they say is told


class Stage(Enum):
    """How far it is."""

    SENT = "sent"  # the next period is on its way
    WAITING = "waiting"  # for a block, or for blocks on top
    SURE = "sure"  # all that is closed is anchored and confirmed


@dataclass(frozen=True, slots=True)
class Progress:
    """``anchored`` and ``sure`` are the last periods in a block, and under enough of them."""

    stage: Stage
    closed: int
    anchored: int
    sure: int


def closed_roots(file: Path) -> list[Root]:
    """The roots of all closed periods, as their operators signed them."""
    with Rows(file) as rows:
        return [_root(close) for _, close in rows.closes()]


def ledger_id(file: Path) -> bytes:
    """What statements for it name it by: the hash of the first."""
    with Rows(file) as rows:
        return leaf_hash(rows.entry(0).statement)


def _root(close: PeriodClose) -> Root:
    return Root(close.number, close.root, close.count)


class Anchoring:
    """Of one ledger in one contract. ``clock`` counts seconds, from whenever."""

    def __init__(
        self,
        contract: AnchorContract,
        account: Account,
        clock: Callable[[], float],
        confirmations: int = CONFIRMATIONS,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._contract = contract
        self._account = account
        self._clock = clock
        self._confirmations = confirmations
        self._patience_s = patience_s
        self._waiting_since: float | None = None
        self._waiting_nonce = -1
        self._urgency = 0

    def step(self, roots: list[Root]) -> Progress:
        """One look, and one transaction at most. ``ChainAway``: look again later; nothing is lost."""
        contract = self._contract
        newest = number(contract.node.ask("eth_blockNumber"))
        anchored = contract.last_period()
        if anchored > len(roots):
            raise ChainError(f"period {anchored} is anchored, and the ledger has closed {len(roots)}")
        if anchored:
            self._check(roots[anchored - 1])
        depth = newest - self._confirmations
        sure = min(contract.last_period(depth), anchored) if depth >= 0 else 0
        if anchored == len(roots):
            self._waiting_since = None
            stage = Stage.SURE if sure == anchored else Stage.WAITING
            return Progress(stage, len(roots), anchored, sure)
        stage = Stage.SENT if self._send(roots[anchored]) else Stage.WAITING
        return Progress(stage, len(roots), anchored, sure)

    def _check(self, root: Root) -> None:
        there = self._contract.anchored(root.period)
        if there is not None and there != root:
            raise ChainError(
                f"period {root.period} is anchored with the root {there.root.hex()} of {there.size} entries;"
                f" the ledger's is {root.root.hex()} of {root.size}"
            )

    def _send(self, root: Root) -> bool:
        """Where nothing is under way, or has been for too long; whether it was sent."""
        in_blocks, with_waiting = self._account.counts()
        if with_waiting > in_blocks:
            now = self._clock()
            if self._waiting_since is None or self._waiting_nonce != in_blocks:
                self._waiting_since, self._waiting_nonce, self._urgency = now, in_blocks, 0
            if now - self._waiting_since < self._patience_s:
                return False
            self._waiting_since = now
            self._urgency = min(self._urgency + 1, MOST_URGENCY)
        else:
            self._urgency = 0
        try:
            self._account.send(
                self._contract.address, self._contract.anchor_call(root), in_blocks, self._urgency
            )
        except ChainRefused as refused:
            # Behind one address may be many nodes, and this one had not heard of it when it was asked.
            if any(words in str(refused).lower() for words in _HAD_ALREADY):
                return False
            # A block may have come between the questions: what waited is anchored, or its number is used.
            if self._contract.last_period() >= root.period or self._account.counts()[0] > in_blocks:
                return False
            if 0 < self._urgency < MOST_URGENCY and "underpriced" in str(refused).lower():
                return False  # not enough more to take the place of what waits: once more later, for more
            raise
        return True
