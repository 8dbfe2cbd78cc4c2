"""Events as octets with their index before them: one form for each type, variation and width of the index.

A form is made once and kept; neighbours in a fragment that share a form share an object header.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from gateway.servers.dnp3.application import Qualifier
from gateway.servers.dnp3.objects import EVENT_GROUP, EVENTS, Kind, Layout, Measurement, encode

SMALL = 255  # the largest index, and count, of qualifiers with one octet
_MANY = 0xFFFF
_LOW_32, _HIGH_16 = 0xFFFF_FFFF, 0xFFFF  # of a DNP3TIME
# Numbers that go as they are; all others are left to `encode`, which cuts them and says so.
_SPANS = {
    "i": (-0x8000_0000, 0x7FFF_FFFF),
    "h": (-0x8000, 0x7FFF),
    "I": (0, 0xFFFF_FFFF),
    "H": (0, 0xFFFF),
    "f": (-3.4e38, 3.4e38),
    "d": (-1.7e308, 1.7e308),
}
_REALS = frozenset("fd")
_SIGNED = frozenset("ih")  # analogs are rounded; counters count whole units

Encode = Callable[[int, Measurement], bytes]


@dataclass(frozen=True, slots=True, eq=False)
class EventForm:
    """``size`` octets an event with its index; ``encode`` makes them. Compared by identity."""

    group: int
    variation: int
    qualifier: Qualifier
    size: int
    most: int  # events under one header
    has_relative_time: bool
    encode: Encode

    @property
    def head_size(self) -> int:
        return 4 if self.qualifier is Qualifier.INDEX_8 else 5

    def head(self, count: int) -> bytes:
        """The object header of so many events."""
        form = "<BBBB" if self.qualifier is Qualifier.INDEX_8 else "<BBBH"
        return struct.pack(form, self.group, self.variation, self.qualifier, count)


@cache
def event_form(kind: Kind, variation: int, *, is_small: bool) -> EventForm:
    """``variation`` of an octet string is its length."""
    layout = Layout(None, has_flags=False) if kind is Kind.OCTET_STRING else EVENTS[kind][variation]
    index = "B" if is_small else "H"
    octets = variation if kind is Kind.OCTET_STRING else layout.size
    return EventForm(
        EVENT_GROUP[kind],
        variation,
        Qualifier.INDEX_8 if is_small else Qualifier.INDEX_16,
        struct.calcsize("<" + index) + octets,
        SMALL if is_small else _MANY,
        layout.has_relative_time,
        _encoder(kind, layout, index),
    )


def _encoder(kind: Kind, layout: Layout, index: str) -> Encode:
    if kind is Kind.OCTET_STRING or layout.has_relative_time:
        return _slowly(kind, layout, index)
    return _of_state(kind, layout, index) if layout.number is None else _of_number(kind, layout, index)


def _slowly(kind: Kind, layout: Layout, index: str) -> Encode:
    """Without a relative time, which depends on what went before."""
    pack = struct.Struct("<" + index).pack
    return lambda number, measurement: pack(number) + encode(kind, layout, measurement)


def _of_state(kind: Kind, layout: Layout, index: str) -> Encode:
    """The state is in the flags."""
    pack = struct.Struct(f"<{index}B{'IH' if layout.has_time else ''}").pack
    is_double, has_time = kind is Kind.DOUBLE_BIT, layout.has_time

    def encode_state(number: int, measurement: Measurement) -> bytes:
        value, flags, time_ms = measurement
        state = (int(value) & 3) << 6 if is_double else 0x80 if value else 0
        if has_time:
            return pack(number, flags | state, time_ms & _LOW_32, time_ms >> 32 & _HIGH_16)
        return pack(number, flags | state)

    return encode_state


def _of_number(kind: Kind, layout: Layout, index: str) -> Encode:
    assert layout.number is not None
    low, high = _SPANS[layout.number]
    is_real, has_time = layout.number in _REALS, layout.has_time
    pack = struct.Struct(f"<{index}B{layout.number}{'IH' if has_time else ''}").pack
    slowly = _slowly(kind, layout, index)

    def encode_number(number: int, measurement: Measurement) -> bytes:
        value, flags, time_ms = measurement
        if not low <= value <= high:  # type: ignore[operator]  # of a number's type it is one
            return slowly(number, measurement)
        if not is_real:
            value = round(value) if layout.number in _SIGNED else int(value)  # type: ignore[arg-type]
        if has_time:
            return pack(number, flags, value, time_ms & _LOW_32, time_ms >> 32 & _HIGH_16)
        return pack(number, flags, value)

    return encode_number
