"""DNP3 frames as a line of text each. Pure; for who looks at a trace.

A fragment may take more than one frame: what it says is told with its last one. Values are not told, only whose they
are: a capture shows them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from gateway.drivers.dnp3.frames import frame_size
from gateway.drivers.trace import Way

_MOST_FRAGMENT = 2_048  # octets, and of one that never ends
_MOST_SOURCES = 64  # that share a line
_MOST_HEADERS = 12  # told of a fragment
_MOST_INDEXES = 4  # told of a header
_FIRST, _FINAL = 0x40, 0x80  # of a transport header
_PRIMARY = 0x40
_USER_DATA = frozenset({3, 4})
_PRIMARIES: Final = {0: "reset link", 2: "test link", 9: "request link status"}
_SECONDARIES: Final = {0: "ack", 1: "nack", 11: "link status", 15: "link function not supported"}
_READ, _RESPONSE, _UNSOLICITED = 1, 129, 130
_FUNCTIONS: Final = {
    0: "confirm", 1: "read", 2: "write", 3: "select", 4: "operate", 5: "direct operate",
    6: "direct operate, no answer", 7: "freeze", 8: "freeze, no answer", 9: "freeze and clear",
    10: "freeze and clear, no answer", 13: "cold restart", 14: "warm restart", 20: "enable unsolicited",
    21: "disable unsolicited", 22: "assign class", 23: "measure delay", 24: "record time",
    129: "response", 130: "unsolicited",
}  # fmt: skip
_INDICATIONS: Final = (
    "broadcast", "class 1 events", "class 2 events", "class 3 events", "need time", "local control", "trouble",
    "restart", "function not supported", "object unknown", "parameter error", "events lost", "already executing",
    "configuration corrupt",
)  # fmt: skip
_GROUPS: Final = {
    1: "binary", 2: "binary event", 3: "double bit", 4: "double bit event", 10: "binary output",
    11: "binary output event", 12: "relay command", 20: "counter", 21: "frozen counter", 22: "counter event",
    23: "frozen counter event", 30: "analog", 32: "analog event", 40: "analog output", 41: "analog command",
    42: "analog output event", 50: "time", 51: "common time", 52: "delay", 80: "indications",
    110: "octet string", 111: "octet string event",
}  # fmt: skip
_BITS: Final = {(1, 1): 1, (3, 1): 2, (10, 1): 1, (80, 1): 1}  # of packed objects
_SIZES: Final = {
    1: {2: 1}, 2: {1: 1, 2: 7, 3: 3}, 3: {2: 1}, 4: {1: 1, 2: 7, 3: 3}, 10: {2: 1}, 11: {1: 1, 2: 7}, 12: {1: 11},
    20: {1: 5, 2: 3, 5: 4, 6: 2}, 21: {1: 5, 2: 3, 5: 11, 6: 9, 9: 4, 10: 2},
    22: {1: 5, 2: 3, 5: 11, 6: 9}, 23: {1: 5, 2: 3, 5: 11, 6: 9},
    30: {1: 5, 2: 3, 3: 4, 4: 2, 5: 5, 6: 9}, 32: {1: 5, 2: 3, 3: 11, 4: 9, 5: 5, 6: 9, 7: 11, 8: 15},
    40: {1: 5, 2: 3, 3: 5, 4: 9}, 41: {1: 5, 2: 3, 3: 5, 4: 9},
    42: {1: 5, 2: 3, 3: 11, 4: 9, 5: 5, 6: 9, 7: 11, 8: 15}, 50: {1: 6, 3: 6}, 51: {1: 6, 2: 6}, 52: {1: 2, 2: 2},
}  # fmt: skip  # octets of an object, by group and variation
_RANGES: Final = {0: "<BB", 1: "<HH", 2: "<II", 7: "<B", 8: "<H", 9: "<I"}
_PREFIXES: Final = {1: 1, 2: 2, 3: 4}  # octets of an index before each object


class Dnp3Describer:
    """Whole link frames."""

    def __init__(self) -> None:
        self._fragments: dict[tuple[Way, int], bytes] = {}

    def restart(self) -> None:
        self._fragments.clear()

    def describe(self, way: Way, octets: bytes) -> str:
        if octets[:2] != b"\x05\x64" or len(octets) < 10 or len(octets) != frame_size(octets):
            return "no DNP3 frame"
        control, target, source = struct.unpack_from("<BHH", octets, 3)
        function = control & 0x0F
        title = f"{source} to {target} "
        if not control & _PRIMARY:
            return title + _SECONDARIES.get(function, f"link answer {function}")
        if function not in _USER_DATA:
            return title + _PRIMARIES.get(function, f"link function {function}")
        data = b"".join(octets[at : at + 18][:-2] for at in range(10, len(octets), 18))
        if not data:
            return title + "no data"
        return title + self._segment((way, source), data[0], data[1:])

    def _segment(self, origin: tuple[Way, int], head: int, data: bytes) -> str:
        before = self._fragments.pop(origin, None)
        if head & _FIRST:
            before = b""
        elif before is None:
            return "the rest of a fragment"
        whole = (before + data)[: _MOST_FRAGMENT + 1]
        if head & _FINAL:
            return describe_fragment(whole)
        if len(self._fragments) >= _MOST_SOURCES:
            self._fragments.clear()
        self._fragments[origin] = whole
        return f"{len(whole)} octets of a fragment that goes on"


def describe_fragment(fragment: bytes) -> str:
    """An application fragment."""
    if len(fragment) < 2:
        return "no fragment"
    function, objects = fragment[1], fragment[2:]
    told = f"#{fragment[0] & 0x0F} {_FUNCTIONS.get(function, f'function {function}')}"
    if function >= _RESPONSE:
        if len(objects) < 2:
            return f"{told}, cut"
        bits = int.from_bytes(objects[:2], "little")
        said = [name for bit, name in enumerate(_INDICATIONS) if bits >> bit & 1]
        told += f" [{', '.join(said)}]" if said else ""
        objects = objects[2:]
    headers = list(_headers(objects, has_data=function != _READ))
    return f"{told}: {', '.join(headers)}" if headers else told


def _headers(objects: bytes, *, has_data: bool) -> Iterator[str]:
    """What each object header is about, as far as the sizes of the objects before it are known."""
    at = 0
    for _ in range(_MOST_HEADERS):
        if len(objects) - at < 3:
            break
        group, variation, qualifier = objects[at : at + 3]
        at += 3
        name = _name(group, variation)
        kind, prefix = qualifier & 0x0F, qualifier >> 4 & 0x07
        if kind == 6:
            yield name
            continue
        form = _RANGES.get(kind)
        if form is None or len(objects) - at < struct.calcsize(form) or (prefix and prefix not in _PREFIXES):
            yield f"{name} ..."
            return
        numbers = struct.unpack_from(form, objects, at)
        at += struct.calcsize(form)
        first, last = numbers if len(numbers) == 2 else (0, numbers[0] - 1)
        count = max(last - first + 1, 0)
        size = _size(group, variation, count, prefix) if has_data else count * _PREFIXES.get(prefix, 0)
        if len(numbers) == 2:
            yield f"{name} {first}" if first == last else f"{name} {first}..{last}"
        elif prefix:
            yield f"{name} {_indexes(objects[at:], _PREFIXES[prefix], count, size)}"
        else:
            yield f"{count} {name}"
        if size is None:
            yield "..."
            return
        at += size
    if at < len(objects):
        yield "..."


def _name(group: int, variation: int) -> str:
    if group == 60:
        return f"class {variation - 1}"
    return f"{_GROUPS[group]} g{group}v{variation}" if group in _GROUPS else f"g{group}v{variation}"


def _size(group: int, variation: int, count: int, prefix: int) -> int | None:
    """Octets of so many objects with their indexes; None where it is not known."""
    before = _PREFIXES.get(prefix, 0)
    if (group, variation) in _BITS and not prefix:
        return (_BITS[group, variation] * count + 7) // 8
    one = variation if group in (110, 111) else _SIZES.get(group, {}).get(variation)
    return None if one is None else (one + before) * count


def _indexes(octets: bytes, width: int, count: int, size: int | None) -> str:
    if size is None or count == 0:
        return f"({count})"
    step = size // count
    shown = [
        str(int.from_bytes(octets[at : at + width], "little"))
        for at in range(0, min(count, _MOST_INDEXES) * step, step)
        if at + width <= len(octets)
    ]
    return " ".join(shown) + (f" and {count - len(shown)} more" if count > len(shown) else "")
