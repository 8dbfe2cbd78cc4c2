"""Fragments filled object by object: neighbours of one kind share a header, order is kept."""

from __future__ import annotations

import struct

from gateway.servers.dnp3.application import Qualifier
from gateway.servers.dnp3.database import Event, Point
from gateway.servers.dnp3.objects import (
    EVENT_GROUP,
    EVENTS,
    STATIC,
    STATIC_GROUP,
    Kind,
    Layout,
    encode,
    encode_common_time,
    packed_value,
    told_with_flags,
)

_LONGEST_MS = 0xFFFF  # of a relative time
_SMALL = 255  # the largest index of qualifiers with one octet


class ObjectBuilder:
    """The objects of one fragment, up to ``room`` octets."""

    __slots__ = ("_bits", "_body", "_common_ms", "_done", "_first", "_key", "_last", "_room", "_used")

    def __init__(self, room: int) -> None:
        self._room = room
        self._common_ms: int | None = None  # what relative times count from
        self._done = bytearray()
        self._key: tuple[int, int, int, int] | None = (
            None  # group, variation, qualifier, packed bits of the open header
        )
        self._first = self._last = 0
        self._body = bytearray()
        self._bits = 0
        self._used = 0  # of the open header: objects

    def static(self, point: Point, variation: int) -> bool:
        """Add a point's present value; False where there is no room for it."""
        kind, measurement, index = point.kind, point.measurement, point.index
        variation = told_with_flags(kind, variation, measurement.flags)
        layout = STATIC[kind][variation]
        qualifier = Qualifier.RANGE_8 if index <= _SMALL else Qualifier.RANGE_16
        if layout.packed_bits:
            return self._add_packed(kind, variation, qualifier, layout, point)
        data = encode(kind, layout, measurement)
        if kind is Kind.OCTET_STRING:
            variation = len(data)
        key = (STATIC_GROUP[kind], variation, int(qualifier), 0)
        continues = self._key == key and index == self._last + 1
        cost = len(data) + (0 if continues else _head_size(qualifier))
        if self._size() + cost > self._room:
            return False
        if not continues:
            self._open(key, index)
        self._body += data
        self._last = index
        self._used += 1
        return True

    def _add_packed(
        self, kind: Kind, variation: int, qualifier: Qualifier, layout: Layout, point: Point
    ) -> bool:
        width = layout.packed_bits
        key = (STATIC_GROUP[kind], variation, int(qualifier), width)
        continues = self._key == key and point.index == self._last + 1
        place = self._used * width if continues else 0
        cost = (1 if place % 8 == 0 else 0) + (0 if continues else _head_size(qualifier))
        if self._size() + cost > self._room:
            return False
        if not continues:
            self._open(key, point.index)
            place = 0
        if place % 8 == 0:
            self._body.append(0)
        self._body[-1] |= packed_value(kind, point.measurement.value) << (place % 8)
        self._last = point.index
        self._used += 1
        return True

    def event(self, event: Event, variation: int) -> bool:
        """Add an event; False where there is no room for it."""
        layout = EVENTS[event.kind][variation]
        data = encode(event.kind, layout, event.measurement)
        common = b""
        if layout.has_relative_time:
            common, offset_ms = self._relative(event.measurement.time_ms)
            data += struct.pack("<H", offset_ms)
        if event.kind is Kind.OCTET_STRING:
            variation = len(data)
        is_small = event.index <= _SMALL
        qualifier = Qualifier.INDEX_8 if is_small else Qualifier.INDEX_16
        key = (EVENT_GROUP[event.kind], variation, int(qualifier), 0)
        continues = not common and self._key == key and (self._used < _SMALL or not is_small)
        prefix = bytes([event.index]) if is_small else struct.pack("<H", event.index)
        cost = len(common) + len(prefix) + len(data) + (0 if continues else 3 + len(prefix))
        if self._size() + cost > self._room:
            return False
        if common:
            self.raw(common)
            self._common_ms = event.measurement.time_ms
        if not continues:
            self._open(key, event.index)
        self._body += prefix + data
        self._used += 1
        return True

    def _relative(self, time_ms: int) -> tuple[bytes, int]:
        """A new common time where the last is none to count from, and the ms after it."""
        if self._common_ms is not None and 0 <= time_ms - self._common_ms <= _LONGEST_MS:
            return b"", time_ms - self._common_ms
        return encode_common_time(time_ms), 0

    def raw(self, data: bytes) -> bool:
        """Add whole objects with their header."""
        if self._size() + len(data) > self._room:
            return False
        self._close()
        self._done += data
        return True

    def take(self) -> bytes:
        """The objects' octets."""
        self._close()
        return bytes(self._done)

    def _size(self) -> int:
        head = 0 if self._key is None else _head_size(Qualifier(self._key[2]))
        return len(self._done) + head + len(self._body)

    def _open(self, key: tuple[int, int, int, int], index: int) -> None:
        self._close()
        self._key = key
        self._first = index

    def _close(self) -> None:
        if self._key is None:
            return
        group, variation, qualifier, _ = self._key
        self._done += bytes((group, variation, qualifier))
        match qualifier:
            case Qualifier.RANGE_8:
                self._done += bytes((self._first, self._last))
            case Qualifier.RANGE_16:
                self._done += struct.pack("<HH", self._first, self._last)
            case Qualifier.INDEX_8:
                self._done.append(self._used)
            case _:
                self._done += struct.pack("<H", self._used)
        self._done += self._body
        self._key = None
        self._body = bytearray()
        self._used = 0


def _head_size(qualifier: Qualifier) -> int:
    return (
        3
        + {
            Qualifier.RANGE_8: 2,
            Qualifier.RANGE_16: 4,
            Qualifier.INDEX_8: 1,
            Qualifier.INDEX_16: 2,
        }[qualifier]
    )
