"""Objects of IEEE 1815 Annex A as bytes: what each group and variation holds, both ways.

Only the objects of a Level 3 outstation without file transfer and authentication. Numbers that do not fit a
variation are sent as the nearest one that does, with OVER_RANGE (11.9.7): never wrapped.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum, IntFlag
from typing import NamedTuple

from gateway.config.dnp3 import PointKind


class Kind(Enum):
    """The point types (11.9). Each is numbered from 0 by itself."""

    BINARY = "binary"
    DOUBLE_BIT = "double_bit"
    BINARY_OUTPUT = "binary_output"
    COUNTER = "counter"
    FROZEN_COUNTER = "frozen_counter"
    ANALOG = "analog"
    ANALOG_OUTPUT = "analog_output"
    OCTET_STRING = "octet_string"

    # Members are one of a kind; Enum's own hash is a call into Python, several times an event.
    __hash__ = object.__hash__


KINDS = {
    PointKind.BINARY: Kind.BINARY,
    PointKind.DOUBLE_BIT: Kind.DOUBLE_BIT,
    PointKind.BINARY_OUTPUT: Kind.BINARY_OUTPUT,
    PointKind.COUNTER: Kind.COUNTER,
    PointKind.ANALOG: Kind.ANALOG,
    PointKind.ANALOG_OUTPUT: Kind.ANALOG_OUTPUT,
    PointKind.OCTET_STRING: Kind.OCTET_STRING,
}


class Flag(IntFlag):
    """The flag octet (11.6). Bits 5 to 7 mean other things for other types; those are named for the type."""

    ONLINE = 0x01
    RESTART = 0x02
    COMM_LOST = 0x04
    REMOTE_FORCED = 0x08
    LOCAL_FORCED = 0x10
    OVER_RANGE = 0x20  # analogs
    REFERENCE_ERROR = 0x40  # analogs
    DISCONTINUITY = 0x40  # counters


class DoubleBit(IntEnum):
    """States of a double-bit input (11.9.3); the wire carries them in bits 6 and 7 of the flags."""

    INTERMEDIATE = 0
    OFF = 1
    ON = 2
    INDETERMINATE = 3


Number = bool | int | float | bytes


class Measurement(NamedTuple):
    """What a point is: ``time_ms`` since 1970 UTC is when it became so."""

    value: Number
    flags: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class Layout:
    """One variation. ``number`` is a struct format without byte order; None: the state is in the flags."""

    number: str | None = None
    has_flags: bool = True
    has_time: bool = False
    has_relative_time: bool = False  # ms after the common time of occurrence before it (A.33)
    packed_bits: int = 0  # of an object; 8 / packed_bits objects share an octet

    @property
    def size(self) -> int:
        """Octets of one object; of packed ones and octet strings none."""
        return (
            (1 if self.has_flags else 0)
            + (struct.calcsize("<" + self.number) if self.number else 0)
            + (6 if self.has_time else 0)
            + (2 if self.has_relative_time else 0)
        )


_NUMBERS = {1: Layout("i"), 2: Layout("h"), 5: Layout("f"), 6: Layout("d")}
_STRING = Layout(None, has_flags=False)

STATIC_GROUP: Mapping[Kind, int] = {
    Kind.BINARY: 1,
    Kind.DOUBLE_BIT: 3,
    Kind.BINARY_OUTPUT: 10,
    Kind.COUNTER: 20,
    Kind.FROZEN_COUNTER: 21,
    Kind.ANALOG: 30,
    Kind.ANALOG_OUTPUT: 40,
    Kind.OCTET_STRING: 110,
}
EVENT_GROUP: Mapping[Kind, int] = {
    Kind.BINARY: 2,
    Kind.DOUBLE_BIT: 4,
    Kind.BINARY_OUTPUT: 11,
    Kind.COUNTER: 22,
    Kind.FROZEN_COUNTER: 23,
    Kind.ANALOG: 32,
    Kind.ANALOG_OUTPUT: 42,
    Kind.OCTET_STRING: 111,
}
KIND_OF_STATIC = {group: kind for kind, group in STATIC_GROUP.items()}
KIND_OF_EVENT = {group: kind for kind, group in EVENT_GROUP.items()}

_COUNTER_EVENTS = {
    1: Layout("I"),
    2: Layout("H"),
    5: Layout("I", has_time=True),
    6: Layout("H", has_time=True),
}
_ANALOG_EVENTS = {
    1: Layout("i"),
    2: Layout("h"),
    3: Layout("i", has_time=True),
    4: Layout("h", has_time=True),
    5: Layout("f"),
    6: Layout("d"),
    7: Layout("f", has_time=True),
    8: Layout("d", has_time=True),
}
STATIC: Mapping[Kind, Mapping[int, Layout]] = {
    Kind.BINARY: {1: Layout(has_flags=False, packed_bits=1), 2: Layout()},
    Kind.DOUBLE_BIT: {1: Layout(has_flags=False, packed_bits=2), 2: Layout()},
    Kind.BINARY_OUTPUT: {1: Layout(has_flags=False, packed_bits=1), 2: Layout()},
    Kind.COUNTER: {
        1: Layout("I"),
        2: Layout("H"),
        5: Layout("I", has_flags=False),
        6: Layout("H", has_flags=False),
    },
    Kind.FROZEN_COUNTER: {
        1: Layout("I"),
        2: Layout("H"),
        5: Layout("I", has_time=True),
        6: Layout("H", has_time=True),
        9: Layout("I", has_flags=False),
        10: Layout("H", has_flags=False),
    },
    Kind.ANALOG: {
        **_NUMBERS,
        3: Layout("i", has_flags=False),
        4: Layout("h", has_flags=False),
    },
    Kind.ANALOG_OUTPUT: {1: Layout("i"), 2: Layout("h"), 3: Layout("f"), 4: Layout("d")},
    Kind.OCTET_STRING: {0: _STRING},
}
EVENTS: Mapping[Kind, Mapping[int, Layout]] = {
    Kind.BINARY: {1: Layout(), 2: Layout(has_time=True), 3: Layout(has_relative_time=True)},
    Kind.DOUBLE_BIT: {1: Layout(), 2: Layout(has_time=True), 3: Layout(has_relative_time=True)},
    Kind.BINARY_OUTPUT: {1: Layout(), 2: Layout(has_time=True)},
    Kind.COUNTER: _COUNTER_EVENTS,
    Kind.FROZEN_COUNTER: _COUNTER_EVENTS,
    Kind.ANALOG: _ANALOG_EVENTS,
    Kind.ANALOG_OUTPUT: _ANALOG_EVENTS,
    Kind.OCTET_STRING: {0: _STRING},
}
# The variation that carries flags, for a point that is not plainly online (11.6.1).
_WITH_FLAGS: Mapping[Kind, Mapping[int, int]] = {
    Kind.BINARY: {1: 2},
    Kind.DOUBLE_BIT: {1: 2},
    Kind.BINARY_OUTPUT: {1: 2},
    Kind.COUNTER: {5: 1, 6: 2},
    Kind.FROZEN_COUNTER: {9: 1, 10: 2},
    Kind.ANALOG: {3: 1, 4: 2},
}
_RANGES = {
    "i": (-0x8000_0000, 0x7FFF_FFFF),
    "h": (-0x8000, 0x7FFF),
}
_MODULUS = {"I": 0x1_0000_0000, "H": 0x1_0000}
_LARGEST_FLOAT = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]
_TIME_MASK = (1 << 48) - 1


def told_with_flags(kind: Kind, variation: int, flags: int) -> int:
    """The variation to send in place of one without flags, where ``flags`` say more than ONLINE."""
    if flags == Flag.ONLINE:
        return variation
    return _WITH_FLAGS.get(kind, {}).get(variation, variation)


def encode(kind: Kind, layout: Layout, measurement: Measurement) -> bytes:
    """One object that is not packed; without its relative time, which depends on what went before."""
    if kind is Kind.OCTET_STRING:
        assert isinstance(measurement.value, bytes)
        return measurement.value or b"\0"  # an empty string has no object: one NUL says the same (A.45)
    flags = measurement.flags
    number = b""
    if layout.number is None:
        flags |= _state_bits(kind, measurement.value)
    else:
        number, over = _number(layout.number, measurement.value)
        flags |= over
    head = bytes([flags]) if layout.has_flags else b""
    return head + number + (encode_time(measurement.time_ms) if layout.has_time else b"")


def packed_value(kind: Kind, value: Number) -> int:
    """The bits of a packed object."""
    return int(value) & 3 if kind is Kind.DOUBLE_BIT else int(bool(value))


def encode_common_time(time_ms: int) -> bytes:
    """The object that relative times count from (group 51)."""
    return bytes((51, 1, 7, 1)) + encode_time(time_ms)


def encode_time(time_ms: int) -> bytes:
    """DNP3TIME: 48 bits of milliseconds since 1970 (11.3.6)."""
    return (time_ms & _TIME_MASK).to_bytes(6, "little")


def decode_time(data: bytes) -> int:
    return int.from_bytes(data[:6], "little")


def _state_bits(kind: Kind, value: Number) -> int:
    if kind is Kind.DOUBLE_BIT:
        return (int(value) & 3) << 6
    return 0x80 if value else 0


def _number(form: str, value: Number) -> tuple[bytes, int]:
    """The octets, and OVER_RANGE where the number had to be cut. Counters roll over, as counters do."""
    assert not isinstance(value, bytes)
    if form in _MODULUS:
        return struct.pack("<" + form, int(value) % _MODULUS[form]), 0
    if isinstance(value, float) and math.isnan(value):
        return struct.pack("<" + form, 0), Flag.REFERENCE_ERROR
    if form in _RANGES:
        low, high = _RANGES[form]
        if low <= value <= high:
            return struct.pack("<" + form, round(value)), 0
        return struct.pack("<" + form, low if value < low else high), Flag.OVER_RANGE
    if form == "f" and abs(value) > _LARGEST_FLOAT:
        return struct.pack("<f", math.copysign(_LARGEST_FLOAT, value)), Flag.OVER_RANGE
    return struct.pack("<" + form, value), 0
