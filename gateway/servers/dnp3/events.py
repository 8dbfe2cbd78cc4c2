"""An association's events: kept in order until the master has confirmed them (IEEE 1815 4.1.4, 5.1.5).

An event is pending, or written into a fragment that waits for its confirm. A confirm removes what was written;
anything else (no confirm in time, a new request, a lost link) makes it pending again, in its old place. So each
event is delivered at least once, and never twice to a master that confirms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gateway.servers.dnp3.database import Event

CLASSES = (1, 2, 3)


class EventBuffer:
    """Up to ``capacity`` events; the oldest goes when one more comes, and `is_overflown` says so."""

    __slots__ = ("_capacity", "_counts", "_events", "_next", "_written", "is_overflown")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._events: dict[int, Event] = {}  # by serial number, so in the order they came
        self._next = 0
        self._written: dict[int, Event] = {}
        self._counts = dict.fromkeys(CLASSES, 0)  # of the pending ones
        self.is_overflown = False

    def __len__(self) -> int:
        return len(self._events)

    def add(self, event: Event) -> None:
        while len(self._events) >= self._capacity:
            oldest = next(iter(self._events))
            self._forget(oldest)
            self.is_overflown = True
        self._events[self._next] = event
        self._next += 1
        self._counts[event.event_class] += 1

    @property
    def has_written(self) -> bool:
        """Something waits for its confirm."""
        return bool(self._written)

    def pending(self, classes: Iterable[int]) -> int:
        return sum(self._counts[one] for one in classes)

    def select(self, wanted: Callable[[Event], bool], limit: int | None = None) -> list[int]:
        """Serial numbers of pending events, oldest first."""
        found: list[int] = []
        for serial, event in self._events.items():
            if limit is not None and len(found) >= limit:
                break
            if serial not in self._written and wanted(event):
                found.append(serial)
        return found

    def get(self, serial: int) -> Event | None:
        """None where it was pushed out meanwhile, or is written already."""
        return None if serial in self._written else self._events.get(serial)

    def write(self, serial: int) -> None:
        """It is in the fragment that goes out now."""
        event = self._events[serial]
        self._written[serial] = event
        self._counts[event.event_class] -= 1

    def confirm(self) -> None:
        """The master has what was written."""
        for serial in self._written:
            self._events.pop(serial, None)
        self._written.clear()
        if len(self._events) < self._capacity:
            self.is_overflown = False

    def take_back(self) -> None:
        """What was written is pending again."""
        for event in self._written.values():
            self._counts[event.event_class] += 1
        self._written.clear()

    def _forget(self, serial: int) -> None:
        event = self._events.pop(serial)
        if self._written.pop(serial, None) is None:
            self._counts[event.event_class] -= 1
