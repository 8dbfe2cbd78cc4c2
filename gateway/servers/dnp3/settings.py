"""What a master sets: deadbands of analogs (group 34) and the classes of points (function 22), as they are read.

Both are read whole before any of it holds, so that a request with a fault changes nothing.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping

from gateway.servers.dnp3.application import (
    Header,
    HeaderError,
    Indication,
    Qualifier,
    read_header,
    read_indexed,
)
from gateway.servers.dnp3.database import Database, Point
from gateway.servers.dnp3.objects import KIND_OF_STATIC, Kind

DEADBAND_GROUP = 34
DEADBAND_FORMS: Mapping[int, str] = {1: "<H", 2: "<I", 3: "<f"}
DEADBAND_VARIATION = 3  # where the master asks for any
_MOST = {"<H": 0xFFFF, "<I": 0xFFFF_FFFF}
_CLASS_GROUP = 60
_CLASSES = {1: 0, 2: 1, 3: 2, 4: 3}  # by variation of group 60
_RANGES = frozenset({int(Qualifier.RANGE_8), int(Qualifier.RANGE_16)})
_INDEXED = frozenset({int(Qualifier.INDEX_8), int(Qualifier.INDEX_16)})
_ALL = int(Qualifier.ALL)


def encode_deadband(point: Point, variation: int) -> bytes:
    """In the wire's unit; the nearest that the variation holds."""
    form = DEADBAND_FORMS[variation]
    if form == "<f":
        return struct.pack(form, point.deadband)
    return struct.pack(form, min(round(point.deadband), _MOST[form]))


def read_deadbands(
    header: Header, objects: bytes, at: int, database: Database
) -> tuple[list[tuple[Point, float]], int]:
    """Deadbands that are written, and the offset after them. Raises HeaderError."""
    form = DEADBAND_FORMS.get(header.variation)
    if form is None:
        raise HeaderError(f"g34v{header.variation} is not written", Indication.OBJECT_UNKNOWN)
    size = struct.calcsize(form)
    rows: list[tuple[int, bytes]] = []
    if header.qualifier in _INDEXED:
        found, at = read_indexed(objects, at, header, size)
        rows += ((one.index, one.data) for one in found)
    elif header.start is not None and header.stop is not None:
        end = at + (header.stop - header.start + 1) * size
        if end > len(objects):
            raise HeaderError("deadbands are cut off")
        indexes = range(header.start, header.stop + 1)
        rows += ((index, objects[at + place * size :][:size]) for place, index in enumerate(indexes))
        at = end
    else:
        raise HeaderError(f"deadbands with qualifier {header.qualifier:#04x}")
    wanted: list[tuple[Point, float]] = []
    for index, data in rows:
        point = database.find(Kind.ANALOG, index)
        (deadband,) = struct.unpack(form, data)
        if point is None or not math.isfinite(deadband) or deadband < 0:
            raise HeaderError(f"the deadband {deadband} of analog {index}")
        wanted.append((point, float(deadband)))
    return wanted, at


def read_classes(objects: bytes, database: Database) -> dict[tuple[Kind, int], int]:
    """Classes that are assigned, by point. Raises HeaderError."""
    wanted: dict[tuple[Kind, int], int] = {}
    event_class: int | None = None
    at = 0
    while at < len(objects):
        header, at = read_header(objects, at)
        if header.group == _CLASS_GROUP:
            event_class = _CLASSES.get(header.variation)
            if event_class is None or header.qualifier != _ALL:
                raise HeaderError("a class that is none")
            continue
        kind = KIND_OF_STATIC.get(header.group)
        if kind is None or header.variation != 0:
            raise HeaderError(f"a class of g{header.group}v{header.variation}", Indication.OBJECT_UNKNOWN)
        points = database.between(kind, header.start, header.stop)
        if event_class is None or header.qualifier not in _RANGES | {_ALL} or not points:
            raise HeaderError("a class is assigned to points that are there")
        wanted |= {(point.kind, point.index): event_class for point in points}
    if not wanted:
        raise HeaderError("no class is assigned")
    return wanted
