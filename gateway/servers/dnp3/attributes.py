"""What the outstation says of itself: device attributes, group 0 (IEEE 1815-2012 A.1).

An attribute on the wire, here "Tieline" as the manufacturer's name, at index 0:

    00 FC 00 00 00   01 07 54 69 65 6C 69 6E 65
    g0 v252 0–0      │  │  └ octets
                     │  └ how many
                     └ data type: 1 a string, 2 a whole number without sign; 254 a list of variations
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import version

from gateway.config.dnp3 import PointKind
from gateway.servers.dnp3.application import MAX_FRAGMENT, Qualifier
from gateway.servers.dnp3.control import MOST_CONTROLS
from gateway.servers.dnp3.database import Database
from gateway.servers.dnp3.objects import KINDS, Kind

GROUP = 0
ALL, LIST = 254, 255  # variations that are requests
_STRING, _UNSIGNED, _LIST = 1, 2, 254
_READ_ONLY = 0  # of an entry of the list
# Of a type: that it has events, its largest index, how many there are (A.1, variations 219 to 239).
_TYPES = {
    Kind.ANALOG_OUTPUT: (219, 220, 221),
    Kind.BINARY_OUTPUT: (222, 223, 224),
    Kind.COUNTER: (227, 228, 229),
    Kind.ANALOG: (231, 232, 233),
    Kind.DOUBLE_BIT: (234, 235, 236),
    Kind.BINARY: (237, 238, 239),
}
_FROZEN_EVENTS, _FROZEN = 225, 226
_MOST_BINARY_OUTPUTS = 216  # in one request


@cache
def _own_version() -> str:
    return version("tieline")  # it reads files


class Attributes:
    """By variation, each as its octets after the object header."""

    def __init__(self, database: Database) -> None:
        found: dict[int, bytes] = {
            _MOST_BINARY_OUTPUTS: _number(MOST_CONTROLS),
            240: _number(MAX_FRAGMENT),  # transmitted
            241: _number(MAX_FRAGMENT),  # received
            242: _text(_own_version()),
            249: _text("3:2012"),  # subset and edition
            250: _text("Tieline"),  # product
            252: _text("Tieline"),  # manufacturer
        }
        for kind, (events, largest, count) in _TYPES.items():
            points = database.points(kind)
            if points:
                found[events] = _number(1)
                found[largest] = _number(max(points))
                found[count] = _number(len(points))
        if database.points(KINDS[PointKind.COUNTER]) and database.points(Kind.FROZEN_COUNTER):
            found[_FROZEN_EVENTS] = found[_FROZEN] = _number(1)
        self._found: Mapping[int, bytes] = dict(sorted(found.items()))

    def read(self, variation: int) -> list[bytes]:
        """Whole objects with their headers; none for an attribute that is not there."""
        if variation == ALL:
            return [_object(one, data) for one, data in self._found.items()]
        if variation == LIST:
            rows = b"".join(bytes((one, _READ_ONLY)) for one in self._found)
            return [_object(LIST, bytes((_LIST, len(rows))) + rows)]
        return [_object(variation, self._found[variation])] if variation in self._found else []


def _object(variation: int, data: bytes) -> bytes:
    return bytes((GROUP, variation, Qualifier.RANGE_8, 0, 0)) + data


def _text(text: str) -> bytes:
    octets = text.encode("ascii", "replace")[:255]
    return bytes((_STRING, len(octets))) + octets


def _number(number: int) -> bytes:
    octets = number.to_bytes(max(1, -(-number.bit_length() // 8)), "little")
    return bytes((_UNSIGNED, len(octets))) + octets
