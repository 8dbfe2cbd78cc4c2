"""The application layer of IEEE 1815, clause 4: fragments and object headers, read and written; no state."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, IntFlag

MAX_FRAGMENT = 2048  # both ways, 4.2.2.3


class Function(IntEnum):
    """Function codes (4.2.2.6)."""

    CONFIRM = 0
    READ = 1
    WRITE = 2
    SELECT = 3
    OPERATE = 4
    DIRECT_OPERATE = 5
    DIRECT_OPERATE_NR = 6
    IMMED_FREEZE = 7
    IMMED_FREEZE_NR = 8
    FREEZE_CLEAR = 9
    FREEZE_CLEAR_NR = 10
    ENABLE_UNSOLICITED = 20
    DISABLE_UNSOLICITED = 21
    ASSIGN_CLASS = 22
    DELAY_MEASURE = 23
    RECORD_CURRENT_TIME = 24
    RESPONSE = 129
    UNSOLICITED_RESPONSE = 130


class Indication(IntFlag):
    """Internal indications (4.2.2.7): the first octet is the low byte."""

    BROADCAST = 0x0001
    CLASS_1_EVENTS = 0x0002
    CLASS_2_EVENTS = 0x0004
    CLASS_3_EVENTS = 0x0008
    NEED_TIME = 0x0010
    LOCAL_CONTROL = 0x0020
    DEVICE_TROUBLE = 0x0040
    DEVICE_RESTART = 0x0080
    NO_FUNC_CODE_SUPPORT = 0x0100
    OBJECT_UNKNOWN = 0x0200
    PARAMETER_ERROR = 0x0400
    EVENT_BUFFER_OVERFLOW = 0x0800
    ALREADY_EXECUTING = 0x1000
    CONFIG_CORRUPT = 0x2000


class Qualifier(IntEnum):
    """Qualifier codes (4.2.2.8) that level 3 needs."""

    RANGE_8 = 0x00
    RANGE_16 = 0x01
    ALL = 0x06
    COUNT_8 = 0x07
    COUNT_16 = 0x08
    INDEX_8 = 0x17
    INDEX_16 = 0x28
    FREE_FORMAT = 0x5B


@dataclass(frozen=True, slots=True)
class Control:
    """The application control octet (4.2.2.4)."""

    sequence: int
    is_first: bool = True
    is_final: bool = True
    confirm: bool = False
    unsolicited: bool = False

    def encode(self) -> int:
        return (
            (self.sequence & 0x0F)
            | (0x80 if self.is_first else 0)
            | (0x40 if self.is_final else 0)
            | (0x20 if self.confirm else 0)
            | (0x10 if self.unsolicited else 0)
        )

    @classmethod
    def decode(cls, octet: int) -> Control:
        return cls(
            octet & 0x0F,
            bool(octet & 0x80),
            bool(octet & 0x40),
            bool(octet & 0x20),
            bool(octet & 0x10),
        )


@dataclass(frozen=True, slots=True)
class Request:
    """A request's fragment; ``function`` is as it came, known or not."""

    control: Control
    function: int
    objects: bytes


class FragmentError(ValueError):
    """A fragment that is no request; it gets no answer."""


class HeaderError(ValueError):
    """Object headers that can not be read: the request is answered with ``indication``."""

    def __init__(self, why: str, indication: Indication = Indication.PARAMETER_ERROR) -> None:
        super().__init__(why)
        self.indication = indication


def decode_request(fragment: bytes) -> Request:
    """Raises FragmentError."""
    if len(fragment) < 2:
        raise FragmentError(f"a fragment of {len(fragment)} octets has no header")
    control = Control.decode(fragment[0])
    if not (control.is_first and control.is_final):
        raise FragmentError("a request of several fragments (4.2.2.4.1 has none)")
    return Request(control, fragment[1], fragment[2:])


def encode_response(control: Control, indications: int, objects: bytes) -> bytes:
    function = Function.UNSOLICITED_RESPONSE if control.unsolicited else Function.RESPONSE
    return struct.pack("<BBH", control.encode(), function, indications) + objects


@dataclass(frozen=True, slots=True)
class Header:
    """An object header. ``start``/``stop`` are the points of a range; ``count`` bounds events; both None: all."""

    group: int
    variation: int
    qualifier: int
    start: int | None = None
    stop: int | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Indexed:
    """An object with the index it was prefixed with."""

    index: int
    data: bytes


def read_header(data: bytes, at: int) -> tuple[Header, int]:
    """The object header at an offset, and the offset after it. Raises HeaderError."""
    if len(data) - at < 3:
        raise HeaderError("an object header is cut off")
    group, variation, qualifier = data[at : at + 3]
    at += 3
    try:
        match qualifier:
            case Qualifier.RANGE_8:
                start, stop = struct.unpack_from("<BB", data, at)
                at += 2
            case Qualifier.RANGE_16:
                start, stop = struct.unpack_from("<HH", data, at)
                at += 4
            case Qualifier.ALL:
                return Header(group, variation, qualifier), at
            case Qualifier.COUNT_8 | Qualifier.INDEX_8 | Qualifier.FREE_FORMAT:
                return Header(group, variation, qualifier, count=data[at]), at + 1
            case Qualifier.COUNT_16 | Qualifier.INDEX_16:
                (count,) = struct.unpack_from("<H", data, at)
                return Header(group, variation, qualifier, count=count), at + 2
            case _:
                raise HeaderError(f"qualifier {qualifier:#04x} is not supported")
    except (struct.error, IndexError):
        raise HeaderError("a range or count is cut off") from None
    if stop < start:
        raise HeaderError(f"a range from {start} to {stop}")
    return Header(group, variation, qualifier, start, stop), at


def read_headers(data: bytes) -> Iterator[Header]:
    """The headers of a request without objects, a READ. Raises HeaderError."""
    at = 0
    while at < len(data):
        header, at = read_header(data, at)
        yield header


def read_indexed(data: bytes, at: int, header: Header, size: int) -> tuple[list[Indexed], int]:
    """Objects prefixed with their indexes. Raises HeaderError."""
    width = {Qualifier.INDEX_8: 1, Qualifier.INDEX_16: 2}.get(Qualifier(header.qualifier))
    if width is None or header.count is None:
        raise HeaderError(f"qualifier {header.qualifier:#04x} carries no indexes")
    end = at + header.count * (width + size)
    if end > len(data) or header.count == 0:
        raise HeaderError("objects are cut off, or there are none")
    return [
        Indexed(
            int.from_bytes(data[place : place + width], "little"), data[place + width : place + width + size]
        )
        for place in range(at, end, width + size)
    ], end
