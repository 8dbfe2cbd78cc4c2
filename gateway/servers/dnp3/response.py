"""Fragments filled object by object: neighbours of one kind share a header, order is kept."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from gateway.servers.dnp3.application import Qualifier
from gateway.servers.dnp3.database import Event, Point
from gateway.servers.dnp3.forms import SMALL, EventForm
from gateway.servers.dnp3.objects import (
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


class ObjectBuilder:
    """The objects of one fragment, up to ``room`` octets."""

    __slots__ = ("_body", "_common_ms", "_done", "_first", "_form", "_key", "_last", "_room", "_used")

    def __init__(self, room: int) -> None:
        self._room = room
        self._common_ms: int | None = None  # what relative times count from
        self._done = bytearray()
        self._key: tuple[int, int, int, int] | None = (
            None  # group, variation, qualifier, packed bits of the open header
        )
        self._first = self._last = 0
        self._form: EventForm | None = None  # of the open header, where it is of events
        self._body = bytearray()
        self._used = 0  # of the open header: objects

    def static(self, point: Point, variation: int) -> bool:
        """Add a point's present value; False where there is no room for it."""
        kind, measurement, index = point.kind, point.measurement, point.index
        variation = told_with_flags(kind, variation, measurement.flags)
        layout = STATIC[kind][variation]
        qualifier = Qualifier.RANGE_8 if index <= SMALL else Qualifier.RANGE_16
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

    def room_for(self, form: EventForm, time_ms: int) -> int:
        """How many events of a form there is room for under one header, the open one where it is theirs.

        Of those with a relative time one at once: ``time_ms`` is its time.
        """
        left = self._room - self._size()
        if self._form is form and self._used < form.most:
            most = form.most - self._used
        else:
            most = form.most
            left -= form.head_size
        if form.has_relative_time:
            common = self._relative(time_ms)[0]
            if common:  # it closes the header
                left = self._room - self._size() - len(common) - form.head_size
            most = 1
        return max(0, min(most, left // form.size))

    def events(self, form: EventForm, run: Sequence[Event]) -> None:
        """Add events, of which there is `room_for` as many."""
        if form.has_relative_time:
            self._timed(form, run)
            return
        self._open_events(form)
        encode = form.encode
        self._body += b"".join([encode(event.point.index, event.measurement) for event in run])
        self._used += len(run)

    def _timed(self, form: EventForm, run: Sequence[Event]) -> None:
        for event in run:
            common, offset_ms = self._relative(event.measurement.time_ms)
            if common:
                self.raw(common)
                self._common_ms = event.measurement.time_ms
            self._open_events(form)
            self._body += form.encode(event.point.index, event.measurement) + struct.pack("<H", offset_ms)
            self._used += 1

    def _open_events(self, form: EventForm) -> None:
        if self._form is not form or self._used >= form.most:
            self._open((form.group, form.variation, int(form.qualifier), 0), 0)
            self._form = form

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
        head = 0 if self._key is None else _head_size(self._key[2])
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
        self._key = self._form = None
        self._body = bytearray()
        self._used = 0


_HEAD_SIZES = {
    int(Qualifier.RANGE_8): 5,
    int(Qualifier.RANGE_16): 7,
    int(Qualifier.INDEX_8): 4,
    int(Qualifier.INDEX_16): 5,
}


def _head_size(qualifier: int) -> int:
    return _HEAD_SIZES[qualifier]
