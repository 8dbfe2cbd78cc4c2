"""The outstation's points as they are now, and the events that their changes make (IEEE 1815 clause 11.9).

One database serves all masters; each association has an event buffer of its own, so that what one master has
confirmed is still there for another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gateway.config.dnp3 import OutstationPoint
from gateway.servers.dnp3.forms import SMALL, EventForm, event_form
from gateway.servers.dnp3.objects import EVENTS, KINDS, STATIC, Flag, Kind, Measurement

# Where the configuration says 0: what loses nothing. Binaries packed, since flags are sent anyway where they matter.
_STATIC_VARIATION = {
    Kind.BINARY: 2,
    Kind.DOUBLE_BIT: 2,
    Kind.BINARY_OUTPUT: 2,
    Kind.COUNTER: 1,
    Kind.FROZEN_COUNTER: 5,
    Kind.ANALOG: 5,
    Kind.ANALOG_OUTPUT: 3,
    Kind.OCTET_STRING: 0,
}
_EVENT_VARIATION = {
    Kind.BINARY: 2,
    Kind.DOUBLE_BIT: 2,
    Kind.BINARY_OUTPUT: 2,
    Kind.COUNTER: 5,
    Kind.FROZEN_COUNTER: 5,
    Kind.ANALOG: 7,
    Kind.ANALOG_OUTPUT: 7,
    Kind.OCTET_STRING: 0,
}
_INITIAL = Measurement(0, int(Flag.RESTART), 0)
_INITIAL_TEXT = Measurement(b"", int(Flag.RESTART), 0)


@dataclass(slots=True)
class Point:
    """A point and its present state; ``reported`` is what the last event said, ``deadband`` in the wire's unit."""

    kind: Kind
    index: int
    event_class: int
    static_variation: int
    event_variation: int
    deadband: float
    measurement: Measurement
    reported: Measurement
    frozen: Point | None = None
    fixed_form: EventForm | None = None  # of its events; None: it depends on the value
    is_followed: bool = False  # a master has given it a class: its changes are told, whatever its own class

    @property
    def is_small(self) -> bool:
        """Whether its index is told in one octet."""
        return self.index <= SMALL

    def form(self, measurement: Measurement) -> EventForm:
        """How an event of it is told; of an octet string that depends on its length."""
        variation = self.event_variation
        if self.kind is Kind.OCTET_STRING:
            assert isinstance(measurement.value, bytes)
            variation = len(measurement.value) or 1  # an empty one is told as one NUL
        return event_form(self.kind, variation, is_small=self.is_small)


class Event(NamedTuple):
    """A change of a point, to be told once to each master. ``event_class`` 0: only to those that gave it a class.

    ``serial`` counts the database's events. ``octets`` is about what it takes up in a fragment, after the one before.
    """

    serial: int
    point: Point
    event_class: int
    form: EventForm
    octets: int
    measurement: Measurement


class Database:
    """Points by kind and index. `update` them; whoever `follow`s gets the events."""

    def __init__(self, points: Iterable[OutstationPoint]) -> None:
        """Raises ValueError for a variation that the point's type has not, and for an index used twice."""
        self._points: dict[Kind, dict[int, Point]] = {kind: {} for kind in Kind}
        self._followers: list[Callable[[Event], None]] = []
        self._serial = 0
        self._form: EventForm | None = None  # of the event before
        for one in points:
            self._add(one)
        for kind, rows in self._points.items():
            self._points[kind] = dict(sorted(rows.items()))

    def _add(self, config: OutstationPoint) -> None:
        kind = KINDS[config.kind]
        point = _point(
            kind,
            config.index,
            config.event_class,
            config.static_variation,
            config.event_variation,
            config.deadband * abs(config.scale),
        )
        if config.frozen_class is not None:
            if kind is not Kind.COUNTER:
                raise ValueError(f"{config.name} is no counter: it can not be frozen")
            point.frozen = _point(Kind.FROZEN_COUNTER, config.index, config.frozen_class, 0, 0, 0.0)
            self._insert(point.frozen, config.name)
        self._insert(point, config.name)

    def _insert(self, point: Point, name: str) -> None:
        rows = self._points[point.kind]
        if point.index in rows:
            raise ValueError(f"{name}: {point.kind.value} {point.index} is there twice")
        rows[point.index] = point

    def follow(self, follower: Callable[[Event], None]) -> None:
        self._followers.append(follower)

    def find(self, kind: Kind, index: int) -> Point | None:
        return self._points[kind].get(index)

    def points(self, kind: Kind) -> Mapping[int, Point]:
        """In order of their indexes."""
        return self._points[kind]

    def between(self, kind: Kind, start: int | None, stop: int | None) -> Sequence[Point]:
        rows = self._points[kind]
        if start is None or stop is None:
            return list(rows.values())
        if stop - start < len(rows):
            return [rows[index] for index in range(start, stop + 1) if index in rows]
        return [point for index, point in rows.items() if start <= index <= stop]

    def all(self) -> Iterator[Point]:
        """Class 0: every point."""
        for rows in self._points.values():
            yield from rows.values()

    def update(self, kind: Kind, index: int, measurement: Measurement) -> bool:
        """Take what a point is now. True where that made an event; the first value after the start makes none."""
        return self.update_point(self._points[kind][index], measurement)

    def update_point(self, point: Point, measurement: Measurement) -> bool:
        """The same, for one of `points`."""
        before, point.measurement = point.measurement, measurement
        if not point.event_class and not point.is_followed:
            return False
        if before is _INITIAL or before is _INITIAL_TEXT:
            point.reported = measurement
            return False
        if not _is_change(point, measurement):
            return False
        point.reported = measurement
        self._tell(point)
        return True

    def follow_point(self, kind: Kind, index: int) -> None:
        """Tell its changes from now on, also where its own class is 0."""
        point = self._points[kind][index]
        if not point.event_class and not point.is_followed:
            point.is_followed = True
            point.reported = point.measurement

    def freeze(self, points: Iterable[Point], time_ms: int) -> None:
        """Copy counters to their frozen ones (11.9.5)."""
        for point in points:
            if point.frozen is None:
                continue
            point.frozen.measurement = Measurement(point.measurement.value, point.measurement.flags, time_ms)
            if point.frozen.event_class or point.frozen.is_followed:
                self._tell(point.frozen)

    def _tell(self, point: Point) -> None:
        measurement = point.measurement
        form = point.fixed_form or point.form(measurement)
        octets = form.size if form is self._form else form.size + form.head_size
        self._form = form
        self._serial += 1
        event = Event(self._serial, point, point.event_class, form, octets, measurement)
        for follower in self._followers:
            follower(event)


def _point(
    kind: Kind, index: int, event_class: int, static_variation: int, event_variation: int, deadband: float
) -> Point:
    static = static_variation or _STATIC_VARIATION[kind]
    event = event_variation or _EVENT_VARIATION[kind]
    if static not in STATIC[kind]:
        raise ValueError(f"{kind.value} has no static variation {static}: {sorted(STATIC[kind])}")
    if event not in EVENTS[kind]:
        raise ValueError(f"{kind.value} has no event variation {event}: {sorted(EVENTS[kind])}")
    if not 0 <= event_class <= 3:
        raise ValueError(f"class {event_class}: events are of class 1 to 3, 0 is without")
    first = _INITIAL_TEXT if kind is Kind.OCTET_STRING else _INITIAL
    found = Point(kind, index, event_class, static, event, deadband, first, first)
    if kind is not Kind.OCTET_STRING:
        found.fixed_form = found.form(first)
    return found


def _is_change(point: Point, now: Measurement) -> bool:
    value, flags, _ = now
    told, told_flags, _ = point.reported
    if flags != told_flags:
        return True
    if value == told:
        return False
    if isinstance(value, bytes) or isinstance(told, bytes):
        return True
    if value != value:
        return told == told  # one NaN after another is no change
    return not point.deadband or not abs(value - told) <= point.deadband
