"""The contract that keeps a ledger's roots (contracts/solidity/LedgerAnchor.sol), asked and told by its node."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from historian.ledger.anchoring.errors import ChainError, ChainRefused
from historian.ledger.anchoring.keys import ChainKey
from historian.ledger.anchoring.rpc import Node
from historian.ledger.contracts.abi import compiled, decode, encode, keccak
from historian.ledger.contracts.words import Reverted

MOST_FEE = (
    500 * 10**9
)  # a unit of gas, in the chain's smallest unit: 500 gwei; more needs a word of the operator
SPARE_GAS = 5  # a fifth more than the node reckons: what it reckons with may change until the block
LEAST_TIP = 10**9
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
NAME = "LedgerAnchor"


@dataclass(frozen=True, slots=True)
class Root:
    """The tree of a period."""

    period: int
    root: bytes
    size: int


class AnchorContract:
    """One, at its address. ``at_block`` is a number; None: the newest block."""

    def __init__(self, node: Node, address: str) -> None:
        if not _ADDRESS.fullmatch(address):
            raise ChainError(f"{address} is no address of a contract: 0x and 40 hexadecimal digits")
        self.node = node
        self.address = address.lower()

    def check(self, ledger: bytes, writer: str | None = None) -> None:
        """``ChainError`` where it is another's, or this writer may not write."""
        kept = self._ask("ledger")[0]
        if kept != ledger:
            raise ChainError(f"the contract at {self.address} is for the ledger {kept.hex()}")
        operator = "0x" + self._ask("operator")[0].hex()
        if writer is not None and operator != writer:
            raise ChainError(f"the contract at {self.address} is {operator}'s; this key is {writer}'s")

    def last_period(self, at_block: int | None = None) -> int:
        """The last that is anchored; 0: none. A block before the contract was has none."""
        return int(self._ask("lastPeriod", at_block=at_block, may_be_missing=True)[0])

    def anchored(self, period: int, at_block: int | None = None) -> Root | None:
        """What is anchored of a period."""
        try:
            ((root, size),) = self._ask("anchorOf", period, at_block=at_block)
        except ChainRefused as refused:
            if refused.data[:4] == keccak(b"Unknown(bytes32)")[:4]:
                return None
            raise
        return Root(period, root, size)

    def is_included(self, period: int, entry: bytes, index: int, path: tuple[bytes, ...]) -> bool:
        """Whether the chain itself finds these bytes in the period's tree."""
        try:
            return bool(self._ask("isIncluded", period, entry, index, list(path))[0])
        except ChainRefused as refused:
            if refused.data[:4] == keccak(b"Unknown(bytes32)")[:4]:
                return False
            raise

    def anchor_call(self, root: Root) -> bytes:
        """The bytes that anchor a period."""
        return compiled()[NAME].operations["anchor"].call(root.period, root.root, root.size)

    def _ask(
        self, name: str, *arguments: Any, at_block: int | None = None, may_be_missing: bool = False
    ) -> tuple[Any, ...]:
        operation = compiled()[NAME].operations[name]
        asked = {"to": self.address, "data": "0x" + operation.call(*arguments).hex()}
        answer = self.node.ask("eth_call", asked, "latest" if at_block is None else hex(at_block))
        content = _bytes(answer)
        if not content and at_block is not None and may_be_missing:
            return (0,)
        try:
            return decode(operation.outputs, content)
        except Reverted:
            raise ChainError(f"at {self.address} is no contract that anchors ledgers") from None


class Account:
    """Sends transactions of a key, one after the other."""

    def __init__(self, node: Node, key: ChainKey, most_fee: int = MOST_FEE) -> None:
        self.node = node
        self.key = key
        self._most_fee = most_fee
        self.chain = number(node.ask("eth_chainId"))

    def counts(self) -> tuple[int, int]:
        """Transactions of it in blocks, and with those that wait for one."""
        in_blocks, with_waiting = (
            number(self.node.ask("eth_getTransactionCount", self.key.address, block))
            for block in ("latest", "pending")
        )
        return in_blocks, with_waiting

    def send(self, to: str | None, content: bytes, nonce: int, urgency: int = 0) -> str:
        """Sign and send; the transaction's hash. Each step of ``urgency`` doubles the fee, up to the most."""
        if (chain := number(self.node.ask("eth_chainId"))) != self.chain:
            raise ChainError(f"{self.node.name} is of the chain {chain} now; it was of {self.chain}")
        asked = {"from": self.key.address, "data": "0x" + content.hex(), **({"to": to} if to else {})}
        gas = number(self.node.ask("eth_estimateGas", asked, "latest"))
        block = self.node.ask("eth_getBlockByNumber", "latest", False)
        tip = max(number(self.node.ask("eth_maxPriorityFeePerGas")), LEAST_TIP) << urgency
        fee = (2 * number(block["baseFeePerGas"]) << urgency) + tip
        if fee > self._most_fee:
            raise ChainError(
                f"gas costs up to {fee} on {self.node.name}, more than the {self._most_fee} it may"
            )
        transaction: dict[str, Any] = {
            "type": 2,
            "chainId": self.chain,
            "nonce": nonce,
            "value": 0,
            "data": "0x" + content.hex(),
            "gas": gas + gas // SPARE_GAS,
            "maxFeePerGas": fee,
            "maxPriorityFeePerGas": tip,
            **({"to": bytes.fromhex(to[2:])} if to else {}),
        }
        sent = self.node.ask("eth_sendRawTransaction", "0x" + self.key.sign(transaction).hex())
        if not isinstance(sent, str):
            raise ChainError(f"{self.node.name} took a transaction and says {sent!r}")
        return sent


def deployment(operator: str, ledger: bytes) -> bytes:
    """The bytes that make a contract for a ledger."""
    return compiled()[NAME].bytecode + encode(["address", "bytes32"], [operator, ledger])


def number(answer: Any) -> int:
    """A quantity of JSON-RPC."""
    try:
        return int(answer, 16)
    except (TypeError, ValueError):
        raise ChainError(f"the node answers {str(answer)[:80]!r} where a number should be") from None


def _bytes(answer: Any) -> bytes:
    try:
        return bytes.fromhex(answer[2:])
    except (TypeError, ValueError):
        raise ChainError(f"the node answers {str(answer)[:80]!r} where bytes should be") from None
