"""Commands on the wire: control relay output blocks and analog outputs, selected and operated.

IEEE 1815 4.4.3 and Annex A.8, A.41.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from gateway.config.dnp3 import ControlModel, OutstationPoint, PointKind
from gateway.servers.dnp3.application import HeaderError, Indication, Qualifier, read_header, read_indexed

MOST_CONTROLS = 64  # in one request


class Status(IntEnum):
    """Control status (Table A-42)."""

    SUCCESS = 0
    TIMEOUT = 1
    NO_SELECT = 2
    FORMAT_ERROR = 3
    NOT_SUPPORTED = 4
    ALREADY_ACTIVE = 5
    HARDWARE_ERROR = 6
    LOCAL = 7
    TOO_MANY_OBJS = 8
    NOT_AUTHORIZED = 9
    AUTOMATION_INHIBIT = 10
    PROCESSING_LIMITED = 11
    OUT_OF_RANGE = 12
    NON_PARTICIPATING = 126
    UNDEFINED = 127


class Trip(IntEnum):
    """Trip-close code, bits 6 and 7 of a CROB's control code."""

    NUL = 0
    CLOSE = 1
    TRIP = 2


class Operation(IntEnum):
    """Operation type, bits 0 to 3 of a CROB's control code."""

    NUL = 0
    PULSE_ON = 1
    PULSE_OFF = 2
    LATCH_ON = 3
    LATCH_OFF = 4


_CROB = 12
_ANALOG = 41
_ANALOG_FORMS = {1: "<i", 2: "<h", 3: "<f", 4: "<d"}
_CROB_SIZE = 11
_SMALL, _LARGE = int(Qualifier.INDEX_8), int(Qualifier.INDEX_16)


@dataclass(frozen=True, slots=True)
class Wish:
    """One object of a control request: ``point`` and ``value`` are None where ``status`` says why not."""

    group: int
    variation: int
    qualifier: int
    index: int
    data: bytes  # as it came, the status octet last
    point: OutstationPoint | None
    value: bool | float | None
    status: Status


class ControlPoints:
    """The points that can be operated."""

    def __init__(self, points: tuple[OutstationPoint, ...]) -> None:
        self._points: Mapping[tuple[int, int], OutstationPoint] = {
            (_CROB if one.kind is PointKind.BINARY_OUTPUT else _ANALOG, one.index): one
            for one in points
            if one.control is not None or one.kind is PointKind.ANALOG_OUTPUT
        }

    def read(self, objects: bytes) -> tuple[Wish, ...]:
        """All wishes of a request, in order. Raises HeaderError."""
        wishes: list[Wish] = []
        at = 0
        while at < len(objects):
            header, at = read_header(objects, at)
            size = _size(header.group, header.variation)
            if size is None:
                raise HeaderError(
                    f"g{header.group}v{header.variation} is no control", Indication.OBJECT_UNKNOWN
                )
            if header.qualifier not in (_SMALL, _LARGE):
                raise HeaderError(f"a control with qualifier {header.qualifier:#04x}")
            found, at = read_indexed(objects, at, header, size)
            for one in found:
                if len(wishes) >= MOST_CONTROLS:
                    wishes.append(
                        Wish(
                            header.group,
                            header.variation,
                            header.qualifier,
                            one.index,
                            one.data,
                            None,
                            None,
                            Status.TOO_MANY_OBJS,
                        )
                    )
                    continue
                wishes.append(
                    self._wish(header.group, header.variation, header.qualifier, one.index, one.data)
                )
        if not wishes:
            raise HeaderError("a control request without objects")
        return tuple(wishes)

    def _wish(self, group: int, variation: int, qualifier: int, index: int, data: bytes) -> Wish:
        point = self._points.get((group, index))
        if point is None:
            return Wish(group, variation, qualifier, index, data, None, None, Status.NOT_SUPPORTED)
        value: bool | float | None
        if group == _CROB:
            assert point.control is not None
            value, status = _relay(point.control, data)
        else:
            value, status = _number(variation, data, point.scale)
        return Wish(
            group, variation, qualifier, index, data, point if value is not None else None, value, status
        )


def answer(wishes: tuple[Wish, ...], statuses: tuple[Status, ...]) -> bytes:
    """The objects as they came, with their statuses (4.4.4.2)."""
    rows: list[bytes] = []
    at = 0
    while at < len(wishes):
        first = wishes[at]
        end = at
        while end < len(wishes) and _alike(first, wishes[end]) and end - at < 255:
            end += 1
        count = end - at
        width = 1 if first.qualifier == _SMALL else 2
        rows.append(bytes((first.group, first.variation, first.qualifier)) + count.to_bytes(width, "little"))
        for wish, status in zip(wishes[at:end], statuses[at:end], strict=True):
            rows.append(wish.index.to_bytes(width, "little") + wish.data[:-1] + bytes([status]))
        at = end
    return b"".join(rows)


def _alike(one: Wish, other: Wish) -> bool:
    return (one.group, one.variation, one.qualifier) == (other.group, other.variation, other.qualifier)


def _size(group: int, variation: int) -> int | None:
    if group == _CROB:
        return _CROB_SIZE if variation == 1 else None
    if group == _ANALOG and variation in _ANALOG_FORMS:
        return struct.calcsize(_ANALOG_FORMS[variation]) + 1
    return None


def _relay(model: ControlModel, data: bytes) -> tuple[bool | None, Status]:
    """What a CROB writes. A count of 0 does nothing, and one of more than 1 is nothing that a breaker takes."""
    code, count = data[0], data[1]
    try:
        operation, trip = Operation(code & 0x0F), Trip(code >> 6)
    except ValueError:
        return None, Status.NOT_SUPPORTED
    if count != 1 or code & 0x30:  # queue and clear are obsolete (A.8.1)
        return None, Status.NOT_SUPPORTED
    match model, operation, trip:
        case (ControlModel.LATCH | ControlModel.TRIP_CLOSE, Operation.LATCH_ON, Trip.NUL):
            return True, Status.SUCCESS
        case (ControlModel.LATCH | ControlModel.TRIP_CLOSE, Operation.LATCH_OFF, Trip.NUL):
            return False, Status.SUCCESS
        case (ControlModel.TRIP_CLOSE, Operation.PULSE_ON, Trip.CLOSE):
            return True, Status.SUCCESS
        case (ControlModel.TRIP_CLOSE, Operation.PULSE_ON, Trip.TRIP):
            return False, Status.SUCCESS
        case (ControlModel.PULSE, Operation.PULSE_ON, Trip.NUL):
            return True, Status.SUCCESS
    return None, Status.NOT_SUPPORTED


def _number(variation: int, data: bytes, scale: float) -> tuple[float | None, Status]:
    (raw,) = struct.unpack(_ANALOG_FORMS[variation], data[:-1])
    if not math.isfinite(raw):
        return None, Status.OUT_OF_RANGE
    return raw / scale, Status.SUCCESS
