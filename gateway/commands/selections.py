"""Select before operate: a point reserved for one user through one door, for exactly one value, for some time.

Pure: times are the caller's. A reservation lives in memory only: after a restart everything is selected anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.tags.command import Command, Refusal, Refused, Selected
from gateway.tags.sample import Value

DEFAULT_MS = 30_000  # of a select that the point does not ask for


@dataclass(frozen=True, slots=True)
class Reservation:
    """``value`` is in the tag's own type; ``until_s`` by the steady clock."""

    id: str
    value: Value
    user: str
    origin: str
    until_s: float
    until_ns: int

    def is_of(self, command: Command) -> bool:
        """Whether this user made it through this door."""
        return (self.user, self.origin) == (command.user, command.origin)


class Selections:
    """By tag name."""

    def __init__(self) -> None:
        self._reserved: dict[str, Reservation] = {}

    def select(self, command: Command, value: Value, ms: int, now_s: float, now_ns: int) -> Selected:
        """Reserve; `why_not` was asked before. A second select of the same user takes the place of the first."""
        until_ns = now_ns + ms * 1_000_000
        self._reserved[command.tag] = Reservation(
            command.id, value, command.user, command.origin, now_s + ms / 1000, until_ns
        )
        return Selected(value, until_ns)

    def cancel(self, command: Command, now_s: float, now_ns: int) -> Selected | Refused:
        """Give up one's own."""
        found = self.of(command.tag, now_s)
        if found is None or not found.is_of(command) or command.select not in ("", found.id):
            return Refused(Refusal.NOT_SELECTED, f"{command.tag} is not selected by {command.user}")
        del self._reserved[command.tag]
        return Selected(found.value, now_ns)

    def why_not(self, command: Command, now_s: float) -> Refused | None:
        """Whether somebody else has reserved the tag."""
        found = self.of(command.tag, now_s)
        if found is None or found.is_of(command):
            return None
        left = max(found.until_s - now_s, 0.0)
        return Refused(
            Refusal.SELECTED,
            f"{command.tag} is selected by {found.user} ({found.origin}) for {left:.0f} s more",
        )

    def why_no_operate(self, command: Command, value: Value, is_needed: bool, now_s: float) -> Refused | None:
        """Whether an operate may follow what was selected. One with another value ends the select."""
        other = self.why_not(command, now_s)
        if other is not None:
            return other
        found = self.of(command.tag, now_s)
        if found is None:
            if not (is_needed or command.select):
                return None
            return Refused(
                Refusal.NOT_SELECTED, f"{command.tag} must be selected first, or its select has run out"
            )
        if command.select not in ("", found.id) or repr(found.value) != repr(value):
            del self._reserved[command.tag]
            return Refused(
                Refusal.NOT_SELECTED, f"{command.tag} was selected for {found.value!r}: the select has ended"
            )
        return None

    def use(self, tag: str) -> None:
        """An operate goes on: the select is spent."""
        self._reserved.pop(tag, None)

    def of(self, tag: str, now_s: float) -> Reservation | None:
        """Who has reserved the tag; forgets what has run out."""
        found = self._reserved.get(tag)
        if found is not None and found.until_s <= now_s:
            del self._reserved[tag]
            return None
        return found
