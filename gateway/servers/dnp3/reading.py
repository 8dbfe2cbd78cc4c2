"""What a READ asks for, as items for the fragments of its response (IEEE 1815 clause 4.4.2 and annex A)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from gateway.servers.dnp3.application import Header, Indication, Qualifier, read_headers
from gateway.servers.dnp3.attributes import GROUP as ATTRIBUTE_GROUP
from gateway.servers.dnp3.attributes import Attributes
from gateway.servers.dnp3.database import Database, Point
from gateway.servers.dnp3.events import CLASSES, EventBuffer, Wanted
from gateway.servers.dnp3.objects import EVENTS, KIND_OF_EVENT, KIND_OF_STATIC, STATIC, Kind, encode_time
from gateway.servers.dnp3.response import ObjectBuilder
from gateway.servers.dnp3.settings import (
    DEADBAND_FORMS,
    DEADBAND_GROUP,
    DEADBAND_VARIATION,
    encode_deadband,
)

CLASS_OF = {2: 1, 3: 2, 4: 3}  # variations of group 60
_COUNTS = frozenset({int(Qualifier.COUNT_8), int(Qualifier.COUNT_16)})


@dataclass(frozen=True, slots=True)
class Item:
    """Something to put into a fragment; ``put`` is False where there is no room for it, or for what is left of it."""

    put: Callable[[ObjectBuilder], bool]


@dataclass(slots=True)
class Items:
    """What a response tells, over as many fragments as it takes."""

    rest: Iterator[Item]
    left: Item | None = None  # that had no room

    def fill(self, builder: ObjectBuilder) -> bool:
        """Put in what there is room for; whether that was all."""
        while (item := self.left or next(self.rest, None)) is not None:
            if not item.put(builder):
                self.left = item
                return False
            self.left = None
        return True


class Reading:
    """``indications`` are those of the association; ``wall_ms`` is the UTC clock in ms."""

    def __init__(
        self,
        database: Database,
        events: EventBuffer,
        indications: Callable[[], Indication],
        wall_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._events = events
        self._indications = indications
        self._wall_ms = wall_ms
        self._attributes = Attributes(database)

    def items(self, objects: bytes) -> tuple[Items, Indication]:
        """What the headers of a READ ask for, and what is to be said of those that can not be answered.

        Raises HeaderError for octets that are no headers.
        """
        indication = Indication(0)
        items: list[Iterable[Item]] = []
        events = Wanted()  # of all headers together: they are told in the order in which they happened
        for header in read_headers(objects):
            is_first = not events.spans
            found = self._wanted(header, events)
            if isinstance(found, Indication):
                indication |= found
            else:
                items.append(found)
            if is_first and events.spans:
                items.append((Item(lambda builder: self._events.write(events, builder)),))
        return Items(item for group in items for item in group), indication

    def _wanted(self, header: Header, events: Wanted) -> Iterable[Item] | Indication:
        """What one header of a READ asks for; events are added to ``events``."""
        group, variation = header.group, header.variation
        if group == 60:
            return self._of_class(header, events)
        if group in KIND_OF_STATIC:
            return self._static(KIND_OF_STATIC[group], header)
        if group in KIND_OF_EVENT:
            kind = KIND_OF_EVENT[group]
            if variation and variation not in EVENTS[kind]:
                return Indication.OBJECT_UNKNOWN
            if header.start is not None:
                return Indication.PARAMETER_ERROR
            self._events.want(events, [(one, kind) for one in CLASSES], variation, _limit(header))
            return ()
        if group == DEADBAND_GROUP:
            return self._deadbands(header)
        if group == ATTRIBUTE_GROUP:
            return self._of_itself(header)
        if (group, variation) == (50, 1):
            return (Item(lambda builder: builder.raw(bytes((50, 1, 7, 1)) + encode_time(self._wall_ms()))),)
        if (group, variation) == (80, 1):
            bits = int(self._indications())
            return (Item(lambda builder: builder.raw(struct.pack("<BBBBBH", 80, 1, 0, 0, 15, bits))),)
        return Indication.OBJECT_UNKNOWN

    def _of_class(self, header: Header, events: Wanted) -> Iterable[Item] | Indication:
        if header.start is not None:
            return Indication.PARAMETER_ERROR
        if header.variation == 1:
            if header.qualifier in _COUNTS:
                return Indication.PARAMETER_ERROR
            return (_static_item(point, point.static_variation) for point in self._database.all())
        wanted = CLASS_OF.get(header.variation)
        if wanted is None:
            return Indication.OBJECT_UNKNOWN
        self._events.want(events, [(wanted, kind) for kind in Kind], limit=_limit(header))
        return ()

    def _static(self, kind: Kind, header: Header) -> Iterable[Item] | Indication:
        variation = header.variation
        if variation and variation not in STATIC[kind] and kind is not Kind.OCTET_STRING:
            return Indication.OBJECT_UNKNOWN
        if header.qualifier in _COUNTS:
            return Indication.PARAMETER_ERROR
        points = self._database.between(kind, header.start, header.stop)
        if header.start is not None and not points:
            return Indication.PARAMETER_ERROR
        chosen = 0 if kind is Kind.OCTET_STRING else variation
        return (_static_item(point, chosen or point.static_variation) for point in points)

    def _deadbands(self, header: Header) -> Iterable[Item] | Indication:
        variation = header.variation or DEADBAND_VARIATION
        if variation not in DEADBAND_FORMS:
            return Indication.OBJECT_UNKNOWN
        points = self._database.between(Kind.ANALOG, header.start, header.stop)
        if header.qualifier in _COUNTS or (header.start is not None and not points):
            return Indication.PARAMETER_ERROR
        return [_raw_item(_deadband_object(point, variation)) for point in points]

    def _of_itself(self, header: Header) -> Iterable[Item] | Indication:
        if header.qualifier in _COUNTS or header.start not in (None, 0):
            return Indication.PARAMETER_ERROR
        found = self._attributes.read(header.variation)
        return [_raw_item(one) for one in found] if found else Indication.OBJECT_UNKNOWN


def _limit(header: Header) -> int | None:
    return header.count if header.qualifier in _COUNTS else None


def _deadband_object(point: Point, variation: int) -> bytes:
    head = struct.pack("<BBBHH", DEADBAND_GROUP, variation, Qualifier.RANGE_16, point.index, point.index)
    return head + encode_deadband(point, variation)


def _raw_item(data: bytes) -> Item:
    return Item(lambda builder: builder.raw(data))


def _static_item(point: Point, variation: int) -> Item:
    return Item(lambda builder: builder.static(point, variation))
