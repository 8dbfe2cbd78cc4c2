"""An association's events: kept in order until the master has confirmed them (IEEE 1815 4.1.4, 5.1.5).

An event is pending, or written into a fragment that waits for its confirm. A confirm removes what was written;
anything else (no confirm in time, a new request, a lost link) makes it pending again, in its old place. So each
event is delivered at least once, and never twice to a master that confirms.

Pending ones lie in queues, one for each class and type: whatever a master asks for is the heads of some of them, so
that a fragment costs what it holds, however many wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from heapq import merge
from itertools import islice

from gateway.servers.dnp3.database import Event
from gateway.servers.dnp3.forms import EventForm, event_form
from gateway.servers.dnp3.objects import Kind
from gateway.servers.dnp3.response import ObjectBuilder

CLASSES = (1, 2, 3)
Cell = tuple[int, Kind]  # class and type
LAST = 1 << 63  # beyond every serial number


@dataclass(slots=True)
class Wanted:
    """Which events a fragment is to be filled with: of each cell those up to a serial number, in which variation.

    Variation 0 is the point's own. Of two headers that ask for one event the first decides how it is told.
    """

    spans: dict[Cell, list[tuple[int, int]]] = field(default_factory=dict)

    def add(self, cell: Cell, last: int, variation: int) -> None:
        spans = self.spans.setdefault(cell, [])
        if not spans or last > spans[-1][0]:
            spans.append((last, variation))


class EventBuffer:
    """Up to ``capacity`` events; the oldest goes when one more comes, and `is_overflown` says so."""

    __slots__ = ("_capacity", "_counts", "_octets", "_pending", "_size", "_written", "is_overflown")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._pending: dict[Cell, deque[Event]] = {(one, kind): deque() for one in CLASSES for kind in Kind}
        self._written: deque[Event] = deque()
        self._size = 0
        self._counts = dict.fromkeys(CLASSES, 0)  # of the pending ones
        self._octets = dict.fromkeys(CLASSES, 0)
        self.is_overflown = False

    def __len__(self) -> int:
        return self._size

    def add(self, event: Event) -> None:
        """An event with a higher serial number than those before."""
        while self._size >= self._capacity:
            self._forget_oldest()
            self.is_overflown = True
        self._pending[event.event_class, event.point.kind].append(event)
        self._size += 1
        self._counts[event.event_class] += 1
        self._octets[event.event_class] += event.octets

    @property
    def has_written(self) -> bool:
        """Something waits for its confirm."""
        return bool(self._written)

    def pending(self, classes: Iterable[int]) -> int:
        return sum(self._counts[one] for one in classes)

    def octets(self, classes: Iterable[int]) -> int:
        """About what the pending ones take up in a fragment."""
        return sum(self._octets[one] for one in classes)

    def want(
        self, wanted: Wanted, cells: Iterable[Cell], variation: int = 0, limit: int | None = None
    ) -> None:
        """Add the pending events of ``cells`` to what is wanted: the oldest ``limit``, or all there are now."""
        queues = {cell: queue for cell in cells if (queue := self._pending[cell])}
        if limit is None:
            for cell, queue in queues.items():
                wanted.add(cell, queue[-1].serial, variation)
            return
        lasts: dict[Cell, int] = {}
        for event in islice(merge(*queues.values(), key=lambda event: event.serial), limit):
            lasts[event.event_class, event.point.kind] = event.serial
        for cell, last in lasts.items():
            wanted.add(cell, last, variation)

    def write(self, wanted: Wanted, builder: ObjectBuilder) -> bool:
        """Put what is wanted into the fragment, in the order in which it happened; False: not all had room."""
        while True:
            heads = {queue[0].serial: cell for cell in wanted.spans if (queue := self._due(wanted, cell))}
            if not heads:
                return True
            first, *others = sorted(heads)
            if not self._write_cell(heads[first], others[0] if others else LAST, wanted, builder):
                return False

    def _due(self, wanted: Wanted, cell: Cell) -> deque[Event] | None:
        """A cell's queue where its head is wanted."""
        queue, spans = self._pending[cell], wanted.spans[cell]
        while spans and queue and spans[0][0] < queue[0].serial:
            del spans[0]
        return queue if spans and queue else None

    def _write_cell(self, cell: Cell, horizon: int, wanted: Wanted, builder: ObjectBuilder) -> bool:
        """From the head of one queue until another's is older, in runs of one form."""
        queue = self._pending[cell]
        last, variation = wanted.spans[cell][0]
        while queue and queue[0].serial < horizon and queue[0].serial <= last:
            form = form_of(queue[0], variation)
            room = builder.room_for(form, queue[0].measurement.time_ms)
            if not room:
                return False
            run: list[Event] = []
            for event in islice(queue, room):
                if event.serial >= horizon or event.serial > last or form_of(event, variation) is not form:
                    break
                run.append(event)
            builder.events(form, run)
            for _ in run:
                queue.popleft()
            self._written.extend(run)
            self._counts[cell[0]] -= len(run)
            self._octets[cell[0]] -= sum(event.octets for event in run)
        return True

    def confirm(self) -> None:
        """The master has what was written."""
        self._size -= len(self._written)
        self._written.clear()
        if self._size < self._capacity:
            self.is_overflown = False

    def take_back(self) -> None:
        """What was written is pending again."""
        while self._written:
            event = self._written.pop()
            self._pending[event.event_class, event.point.kind].appendleft(event)
            self._counts[event.event_class] += 1
            self._octets[event.event_class] += event.octets

    def _forget_oldest(self) -> None:
        queue = min((queue for queue in self._queues() if queue), key=lambda queue: queue[0].serial)
        event = queue.popleft()
        self._size -= 1
        if queue is not self._written:
            self._counts[event.event_class] -= 1
            self._octets[event.event_class] -= event.octets

    def _queues(self) -> Iterator[deque[Event]]:
        yield self._written
        yield from self._pending.values()


def form_of(event: Event, variation: int) -> EventForm:
    """How an event is told where ``variation`` is asked for; 0: as its point has it."""
    if not variation or event.point.kind is Kind.OCTET_STRING:
        return event.form
    return event_form(event.point.kind, variation, is_small=event.point.is_small)
