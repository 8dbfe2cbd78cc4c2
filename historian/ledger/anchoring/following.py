"""Anchoring that goes on: it looks, waits, tells what has changed, and outlives a chain that is away."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from historian.ledger.anchoring.catching_up import (
    CONFIRMATIONS,
    PATIENCE_S,
    Anchoring,
    Progress,
    Stage,
    closed_roots,
    ledger_id,
)
from historian.ledger.anchoring.contract import MOST_FEE, Account, AnchorContract
from historian.ledger.anchoring.keys import ChainKey
from historian.ledger.anchoring.rpc import Node
from historian.ledger.errors import LedgerError
from historian.signing import KeyFileError

LOOK_S = 2.0  # while something is under way: a block comes every 2 to 12 s
REST_S = 30.0  # when all is sure, and when the chain is away
_TROUBLE = (LedgerError, KeyFileError, OSError, sqlite3.Error)


@dataclass(frozen=True, slots=True)
class AnchorSettings:
    """Where to, by whose key, how sure."""

    url: str
    contract: str
    key: Path
    confirmations: int = CONFIRMATIONS
    most_fee: int = MOST_FEE
    patience_s: float = PATIENCE_S


def begin(ledger: Path, settings: AnchorSettings, clock: Callable[[], float] = time.monotonic) -> Anchoring:
    """Ready to look; refuses a contract of another ledger, or of another's key."""
    node = Node(settings.url)
    key = ChainKey.load(settings.key)
    contract = AnchorContract(node, settings.contract)
    contract.check(ledger_id(ledger), key.address)
    account = Account(node, key, settings.most_fee)
    return Anchoring(contract, account, clock, settings.confirmations, settings.patience_s)


def follow(
    ledger: Path,
    settings: AnchorSettings,
    stop: threading.Event,
    tell: Callable[[str], None],
    *,
    look_s: float = LOOK_S,
    rest_s: float = REST_S,
) -> None:
    """Anchor what is closed, now and from here on, until ``stop``. Trouble is told when it changes."""
    anchoring: Anchoring | None = None
    last = ""
    while not stop.is_set():
        wait_s = rest_s
        try:
            if anchoring is None:
                anchoring = begin(ledger, settings)
            progress = anchoring.step(closed_roots(ledger))
            said = in_words(progress)
            wait_s = rest_s if progress.stage is Stage.SURE else look_s
        except _TROUBLE as trouble:
            anchoring = None  # what was wrong may be mended from outside: a key, a contract, another ledger
            said = str(trouble)
        if said != last:
            tell(said)
            last = said
        stop.wait(wait_s)


def until_sure(anchoring: Anchoring, ledger: Path, within_s: float, look_s: float = LOOK_S) -> Progress:
    """Go on until all that is closed is sure, or time is over. Raises what the chain says."""
    end = time.monotonic() + within_s
    while True:
        progress = anchoring.step(closed_roots(ledger))
        left = end - time.monotonic()
        if progress.stage is Stage.SURE or left <= 0:
            return progress
        time.sleep(min(look_s, left))


def in_words(progress: Progress) -> str:
    """For a log and a person."""
    if progress.stage is Stage.SURE:
        return f"{progress.sure} of {progress.closed} closed periods are anchored and confirmed"
    return f"{progress.anchored} of {progress.closed} closed periods are anchored, {progress.sure} confirmed"
