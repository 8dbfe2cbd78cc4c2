"""What all contracts have: a message that calls them, an operator, events, money that they pay out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from historian.ledger.contracts.words import NO_ADDRESS, Reverted

HOUR_S = 3600
DAY_S = 86_400
MOST_TEXT_BYTES = 32


@dataclass(frozen=True, slots=True)
class Event:
    """What a call told."""

    contract: str
    name: str
    arguments: tuple[Any, ...]


@dataclass(slots=True)
class Message:
    """A call: who, with how much money, when (s); and what it brought about."""

    sender: bytes
    now: int
    value: int = 0
    events: list[Event] = field(default_factory=list)
    payouts: list[tuple[bytes, int]] = field(default_factory=list)


class Contract:
    """Each operation refuses (``Reverted``), or changes, never half: all that can fail comes first."""

    def __init__(self, operator: bytes) -> None:
        self._operator = operator
        self._heir = NO_ADDRESS

    @property
    def name(self) -> str:
        """As its twin's."""
        return type(self).__name__

    def operator(self, _: Message) -> bytes:
        """Who may do what only an operator does."""
        return self._operator

    def heir(self, _: Message) -> bytes:
        """To whom that is offered."""
        return self._heir

    def offer_operator(self, message: Message, to: bytes) -> None:
        """Offer the contract to another; the address 0 takes an offer back."""
        self._only_operator(message)
        self._heir = to
        self._tell(message, "OperatorOffered", message.sender, to)

    def accept_operator(self, message: Message) -> None:
        """Take it."""
        if message.sender != self._heir:
            raise Reverted("NotOperator", message.sender)
        self._tell(message, "OperatorChanged", self._operator, message.sender)
        self._operator, self._heir = message.sender, NO_ADDRESS

    def _only_operator(self, message: Message) -> None:
        if message.sender != self._operator:
            raise Reverted("NotOperator", message.sender)

    def _tell(self, message: Message, name: str, *arguments: Any) -> None:
        message.events.append(Event(self.name, name, arguments))


def check_text(text: bytes) -> None:
    """1 to 32 bytes."""
    if not 1 <= len(text) <= MOST_TEXT_BYTES:
        raise Reverted("TextLength", len(text))


def check_range(value: int, most: int, least: int = 0) -> None:
    """``least`` to ``most``."""
    if not least <= value <= most:
        raise Reverted("OutOfRange", value, most)
