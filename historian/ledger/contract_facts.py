"""What a record says that calls a contract (docs/contracts.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from historian.ledger.fields import Bytes, Name


@dataclass(frozen=True, slots=True)
class Call:
    """The author calls a contract, with money of its deposit; ``content`` is the call in Ethereum's contract ABI."""

    contract: Name
    value: int
    content: Bytes


CONTRACT_TOPICS: dict[str, type[Any]] = {"contract.call": Call}
