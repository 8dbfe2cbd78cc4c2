"""Values as they come over the wire (OPC 10000-6, 5.2): answers to Read and Publish to Python values, nothing else.

The library's own decoder keeps structures in one table for all servers of a process, loses what a time has below a
microsecond, and takes thirty times as long for a notification. A value of a structure stays a `Raw` here: what is in
it, only its server can say (gateway.drivers.opcua.structures).

A notification of a Double with both times, the commonest there is (little-endian)::

    01 00 00 00 | 0D | 0B | 00 00 00 00 00 00 45 40 | 00 40 5D 6F 42 6F DC 01 | 00 40 5D 6F 42 6F DC 01
    handle 1    mask  Double      42.0                 source time               server time
                (1 value, 2 status, 4 source time, 8 server time, 10 and 20 picoseconds)

Errors: `WireError`, for whatever is no such answer. Memory is bounded by the length of the answer.
"""

from __future__ import annotations

import base64
import struct
import uuid
from dataclasses import dataclass
from typing import NamedTuple

MAX_DEPTH = (
    32  # of values in values; OPC 10000-6, 5.1.5 asks for 100 of decoders for anybody, no plant has ten
)
_EPOCH = 116_444_736_000_000_000  # 1970 in ticks of 100 ns since 1601
_LAST_TICKS = 2_650_467_744_000_000_000  # the year 9999 is "no time" (5.2.2.5)

READ_RESPONSE, PUBLISH_RESPONSE, SERVICE_FAULT = (
    634,
    829,
    397,
)  # their binary encodings' NodeIds in namespace 0
_DATA_CHANGE, _STATUS_CHANGE = 811, 820

# Built-in types (OPC 10000-6, 5.1.2)
BOOLEAN, SBYTE, BYTE, INT16, UINT16, INT32, UINT32, INT64, UINT64, FLOAT, DOUBLE = range(1, 12)
STRING, DATE_TIME, GUID, BYTE_STRING, XML, NODE_ID, EXPANDED_NODE_ID, STATUS_CODE = range(12, 20)
QUALIFIED_NAME, LOCALIZED_TEXT, EXTENSION_OBJECT, DATA_VALUE, VARIANT, DIAGNOSTIC = range(20, 26)

_FORMATS = {
    BOOLEAN: "?", SBYTE: "b", BYTE: "B", INT16: "h", UINT16: "H", INT32: "i", UINT32: "I", INT64: "q", UINT64: "Q",
    FLOAT: "f", DOUBLE: "d", STATUS_CODE: "I",
}  # fmt: skip
_SCALARS = {type: struct.Struct("<" + form) for type, form in _FORMATS.items()}
_U16, _I32, _U32, _I64 = struct.Struct("<H"), struct.Struct("<i"), struct.Struct("<I"), struct.Struct("<q")
_VALUE, _STATUS, _SOURCE, _SERVER, _SOURCE_PICO, _SERVER_PICO = 1, 2, 4, 8, 16, 32

NodeKey = tuple[int, int | str | bytes | uuid.UUID]  # namespace index and identifier


_ARGUMENT: NodeKey = (0, 298)
_STRUCTURE_DEFINITION: NodeKey = (0, 122)


class WireError(ValueError):
    """Bytes that are no such answer."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A DateTime, in UTC nanoseconds since 1970; None where it says that there is none."""

    ns: int | None


@dataclass(frozen=True, slots=True)
class Raw:
    """A structure as it came; ``type`` is the NodeId of its encoding."""

    type: NodeKey
    body: bytes


class Reading(NamedTuple):
    """A DataValue. ``type`` is the built-in type of ``value``, 0 where there is none."""

    value: object
    type: int
    status: int
    source_ns: int | None
    server_ns: int | None


@dataclass(frozen=True, slots=True)
class Published:
    """An answer to Publish. One without ``changes`` and ``ended`` is a keep-alive.

    ``ended`` is the status with which the server ends the subscription. ``available`` are the messages that it keeps.
    """

    subscription: int
    sequence: int
    has_more: bool
    changes: list[tuple[int, Reading]]  # by client handle, in order
    has_data: bool
    ended: int | None


@dataclass(frozen=True, slots=True)
class Argument:
    """An input argument of a method (OPC 10000-3, 8.6)."""

    name: str
    data_type: NodeKey
    is_array: bool


@dataclass(frozen=True, slots=True)
class FieldDefinition:
    """A field of a structure as the server tells it (OPC 10000-3, 8.51)."""

    name: str
    data_type: NodeKey
    value_rank: int
    is_optional: bool


@dataclass(frozen=True, slots=True)
class StructureDefinition:
    """A structure as the server tells it (OPC 10000-3, 8.48); ``kind`` is the number of its StructureType."""

    kind: int
    encoding: NodeKey
    fields: tuple[FieldDefinition, ...]


def read_response(body: bytes) -> tuple[int, list[Reading]]:
    """The service's result and the values of an answer to Read. Raises WireError."""
    try:
        at = Cursor(body)
        result = at.header(READ_RESPONSE)
        if result & 0x8000_0000:
            return result, []
        return result, [at.data_value(0) for _ in range(max(at.count(), 0))]
    except (struct.error, UnicodeDecodeError) as error:
        raise WireError(str(error)) from error


def publish_response(body: bytes) -> tuple[int, Published | None]:
    """The service's result and what was published. Raises WireError."""
    try:
        at = Cursor(body)
        result = at.header(PUBLISH_RESPONSE)
        if result & 0x8000_0000:
            return result, None
        subscription = at.u32()
        at.skip(4 * max(at.count(), 0))  # the messages that it keeps for Republish
        has_more = at.u8() != 0
        sequence = at.u32()
        at.skip(8)  # when it was published
        changes: list[tuple[int, Reading]] = []
        ended: int | None = None
        count = max(at.count(), 0)
        for _ in range(count):
            kind, end = at.extension()
            if kind == (0, _DATA_CHANGE):
                changes += data_changes(at, end)
            elif kind == (0, _STATUS_CHANGE):
                ended = at.u32()
            at.position = end
        return result, Published(subscription, sequence, has_more, changes, count > 0, ended)
    except (struct.error, UnicodeDecodeError) as error:
        raise WireError(str(error)) from error


def argument(value: object) -> Argument:
    """An argument of a method out of its structure. Raises WireError."""
    if not isinstance(value, Raw) or value.type != _ARGUMENT:
        raise WireError("no argument")
    try:
        at = Cursor(value.body)
        return Argument(at.string() or "", at.node_id(), at.i32() >= 0)
    except struct.error as error:
        raise WireError(str(error)) from error


def structure_definition(value: object) -> StructureDefinition | None:
    """How a structure is made; None where a data type is none. Raises WireError."""
    if not isinstance(value, Raw) or value.type != _STRUCTURE_DEFINITION:
        return None
    try:
        at = Cursor(value.body)
        encoding, _, kind = at.node_id(), at.node_id(), at.i32()
        fields = []
        for _ in range(max(at.count(), 0)):
            name = at.string() or ""
            at.value(LOCALIZED_TEXT, 0)
            data_type, rank = at.node_id(), at.i32()
            at.array(UINT32, 0)
            at.u32()  # the longest that a string may be
            fields.append(FieldDefinition(name, data_type, rank, at.u8() != 0))
        return StructureDefinition(kind, encoding, tuple(fields))
    except struct.error as error:
        raise WireError(str(error)) from error


def data_changes(at: Cursor, end: int) -> list[tuple[int, Reading]]:
    """Monitored items' values up to ``end``, by client handle."""
    found: list[tuple[int, Reading]] = []
    body, position = at.body, at.position
    count = _I32.unpack_from(body, position)[0]
    position += 4
    if count > end - position:
        raise WireError(f"{count} notifications in {end - position} bytes")
    last = end - 6
    for _ in range(count):
        if position > last:  # a handle with an empty value
            at.position = position
            found.append((at.u32(), at.data_value(0)))
            position = at.position
            continue
        quick = _QUICK.get((body[position + 4] << 8) | body[position + 5])
        if quick is None:
            at.position = position
            found.append((at.u32(), at.data_value(0)))
            position = at.position
            continue
        form, type, mask = quick
        parts = form.unpack_from(body, position)
        position += form.size
        place = 4
        status = 0
        source_ns = server_ns = None
        if mask & _STATUS:
            status = parts[place]
            place += 1
        if mask & _SOURCE:
            source_ns = _ns(parts[place])
            place += 1
        if mask & _SERVER:
            server_ns = _ns(parts[place])
        found.append((parts[0], Reading(parts[3], type, status, source_ns, server_ns)))
    return found


class Cursor:
    """A place in an answer. Every method moves on, and raises WireError, struct.error or UnicodeDecodeError."""

    __slots__ = ("body", "position")

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.position = 0

    def left(self) -> int:
        """Bytes that are left."""
        return len(self.body) - self.position

    def skip(self, length: int) -> None:
        if not 0 <= length <= self.left():
            raise WireError(f"{length} bytes where {self.left()} are left")
        self.position += length

    def take(self, length: int) -> bytes:
        start = self.position
        self.skip(length)
        return self.body[start : self.position]

    def u8(self) -> int:
        return self.take(1)[0]

    def u16(self) -> int:
        return self._number(_U16)

    def u32(self) -> int:
        return self._number(_U32)

    def i32(self) -> int:
        return self._number(_I32)

    def i64(self) -> int:
        return self._number(_I64)

    def _number(self, form: struct.Struct) -> int:
        number: int = form.unpack_from(self.body, self.position)[0]
        self.position += form.size
        return number

    def count(self) -> int:
        """The length of an array, -1 for none; every element takes a byte at least."""
        count = self._number(_I32)
        if count < -1 or count > self.left():
            raise WireError(f"{count} elements in {self.left()} bytes")
        return count

    def header(self, expected: int) -> int:
        """The start of an answer (OPC 10000-4, 7.33); returns the service's result."""
        kind = self.node_id()
        if kind not in ((0, expected), (0, SERVICE_FAULT)):
            raise WireError(f"an answer of type {kind} instead of i={expected}")
        self.skip(12)  # time and the request's handle
        result = self.u32()
        if kind == (0, SERVICE_FAULT) and not result & 0x8000_0000:
            raise WireError("a fault that is none")
        self.diagnostics(0)
        for _ in range(self.count()):
            self.string()
        _, end = self.extension()
        self.position = end
        return result

    def string(self) -> str | None:
        raw = self.byte_string()
        return None if raw is None else raw.decode("utf-8", "replace")

    def byte_string(self) -> bytes | None:
        length = self._number(_I32)
        return None if length < 0 else self.take(length)

    def node_id(self) -> NodeKey:
        """A NodeId or ExpandedNodeId (5.2.2.9, 5.2.2.10); a URI given instead of an index is left out."""
        encoding = self.u8()
        kind = encoding & 0x3F
        identifier: int | str | bytes | uuid.UUID
        if kind == 0:
            space, identifier = 0, self.u8()
        elif kind == 1:
            space, identifier = self.u8(), self.u16()
        elif kind == 2:
            space, identifier = self.u16(), self.u32()
        elif kind == 3:
            space, identifier = self.u16(), self.string() or ""
        elif kind == 4:
            space, identifier = self.u16(), uuid.UUID(bytes_le=self.take(16))
        elif kind == 5:
            space, identifier = self.u16(), self.byte_string() or b""
        else:
            raise WireError(f"a NodeId of encoding {kind}")
        if encoding & 0x80:
            self.string()
        if encoding & 0x40:
            self.u32()
        return space, identifier

    def extension(self) -> tuple[NodeKey, int]:
        """The type of an ExtensionObject and the end of its body, at which we are then (5.2.2.15)."""
        kind = self.node_id()
        encoding = self.u8()
        if encoding == 0:
            return kind, self.position
        if encoding not in (1, 2):
            raise WireError(f"an ExtensionObject of encoding {encoding}")
        length = max(self._number(_I32), 0)
        if length > self.left():
            raise WireError(f"an ExtensionObject of {length} bytes where {self.left()} are left")
        return kind, self.position + length

    def diagnostics(self, depth: int) -> None:
        """Skip a DiagnosticInfo (5.2.2.12)."""
        if depth > MAX_DEPTH:
            raise WireError("diagnostics nested too deep")
        mask = self.u8()
        for bit in (1, 2, 4, 8):
            if mask & bit:
                self.u32()
        if mask & 16:
            self.string()
        if mask & 32:
            self.u32()
        if mask & 64:
            self.diagnostics(depth + 1)

    def data_value(self, depth: int) -> Reading:
        """A DataValue (5.2.2.17)."""
        mask = self.u8()
        value, type = self.variant(depth) if mask & _VALUE else (None, 0)
        status = self.u32() if mask & _STATUS else 0
        source_ns = _ns(self.i64()) if mask & _SOURCE else None
        if mask & _SOURCE_PICO:
            self.u16()
        server_ns = _ns(self.i64()) if mask & _SERVER else None
        if mask & _SERVER_PICO:
            self.u16()
        return Reading(value, type, status, source_ns, server_ns)

    def variant(self, depth: int) -> tuple[object, int]:
        """A Variant (5.2.2.16): its value, arrays as lists, matrices as lists of lists; and its built-in type."""
        encoding = self.u8()
        type = encoding & 0x3F
        if not encoding & 0x80:
            return (None, 0) if type == 0 else (self.value(type, depth + 1), type)
        items = self.array(type, depth + 1)
        if encoding & 0x40:
            sizes = self.array(INT32, depth + 1)
            if items is not None and sizes:
                return _shaped(items, [int(str(size)) for size in sizes]), type
        return items, type

    def array(self, type: int, depth: int) -> list[object] | None:
        """An array of a built-in type; None where there is none."""
        count = self.count()
        if count < 0:
            return None
        form = _FORMATS.get(type)
        if form is not None:
            whole = struct.Struct(f"<{count}{form}")
            items = whole.unpack_from(self.body, self.position)
            self.position += whole.size
            return list(items)
        return [self.value(type, depth) for _ in range(count)]

    def value(self, type: int, depth: int) -> object:
        """One value of a built-in type."""
        if depth > MAX_DEPTH:
            raise WireError("values nested too deep")
        scalar = _SCALARS.get(type)
        if scalar is not None:
            return self._number(scalar)
        match type:
            case 12 | 16:
                return self.string()
            case 13:
                return Moment(_ns(self.i64()))
            case 14:
                return uuid.UUID(bytes_le=self.take(16))
            case 15:
                return self.byte_string()
            case 17 | 18:
                return self.node_id()
            case 20:
                self.u16()
                return self.string()
            case 21:
                mask = self.u8()
                if mask & 1:
                    self.string()
                return self.string() if mask & 2 else ""
            case 22:
                kind, end = self.extension()
                body = self.body[self.position : end]
                self.position = end
                return None if kind == (0, 0) else Raw(kind, body)
            case 23:
                return self.data_value(depth + 1).value
            case 24:
                return self.variant(depth + 1)[0]
            case 25:
                self.diagnostics(depth)
                return None
        raise WireError(f"a value of type {type}")


def node_text(key: NodeKey) -> str:
    """A NodeId as OPC 10000-6, 5.3.1.10 writes it."""
    space, identifier = key
    if isinstance(identifier, bytes):
        kind, shown = "b", base64.b64encode(identifier).decode()
    else:
        kind = "i" if isinstance(identifier, int) else "s" if isinstance(identifier, str) else "g"
        shown = str(identifier)
    return f"ns={space};{kind}={shown}" if space else f"{kind}={shown}"


def _ns(ticks: int) -> int | None:
    """A DateTime; 0 and the ends of the scale say that there is none."""
    return (ticks - _EPOCH) * 100 if 0 < ticks < _LAST_TICKS else None


def _shaped(flat: list[object], sizes: list[int]) -> list[object]:
    """Rows of a matrix, the last dimension the innermost; left flat where the sizes do not fit."""
    total = 1
    for size in sizes:
        total *= max(size, 0)
    if total != len(flat) or total == 0 or len(sizes) > MAX_DEPTH:
        return flat
    for size in reversed(sizes[1:]):
        flat = [flat[start : start + size] for start in range(0, len(flat), size)]
    return flat


def _quick(mask: int, type: int) -> struct.Struct:
    """A whole notification of a scalar, its handle included."""
    times = (
        ("I" if mask & _STATUS else "") + ("q" if mask & _SOURCE else "") + ("q" if mask & _SERVER else "")
    )
    return struct.Struct(f"<IBB{_FORMATS[type]}{times}")


_QUICK = {
    (mask << 8) | type: (_quick(mask, type), type, mask)
    for mask in range(1, 16, 2)
    for type in _FORMATS
    if type != STATUS_CODE
}
