"""Variables of a program by path: where they lie, how their bytes are read, and which of them survive a change.

A `Table` is what plc/compiler writes beside the shared object (docs/formats/symbols.md). Values are Python's:
BOOL↔bool, integers and enumerations↔int, times and dates↔int nanoseconds, reals↔float, strings↔str.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

Value = bool | int | float | str

STRING_HEADER = struct.Struct("<HH")  # tl_string, tl_wstring: capacity, length; then capacity + 1 units


class Kind(IntEnum):
    """enum tl_kind of firmware/scan/program.h."""

    BOOL = 1
    I8 = 2
    I16 = 3
    I32 = 4
    I64 = 5
    U8 = 6
    U16 = 7
    U32 = 8
    U64 = 9
    F32 = 10
    F64 = 11
    STRING = 12
    WSTRING = 13  # of symbols only: the scan copies its bytes and neither wires, forces nor traces it

    @property
    def is_text(self) -> bool:
        return self in _UNITS


_FORMATS = {
    Kind.BOOL: struct.Struct("<?"),
    Kind.I8: struct.Struct("<b"),
    Kind.I16: struct.Struct("<h"),
    Kind.I32: struct.Struct("<i"),
    Kind.I64: struct.Struct("<q"),
    Kind.U8: struct.Struct("<B"),
    Kind.U16: struct.Struct("<H"),
    Kind.U32: struct.Struct("<I"),
    Kind.U64: struct.Struct("<Q"),
    Kind.F32: struct.Struct("<f"),
    Kind.F64: struct.Struct("<d"),
}


# Encoding of a character, its bytes, and what it is: ISO/IEC 8859-1 and UTF-16 (docs/structured-text.md).
_UNITS = {
    Kind.STRING: ("latin-1", 1, "STRING (ISO 8859-1)"),
    Kind.WSTRING: ("utf-16-le", 2, "WSTRING (UTF-16)"),
}


class Place(Protocol):
    """Where a variable lies, and its type's number in the table."""

    @property
    def path(self) -> str: ...
    @property
    def type(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def flags(self) -> frozenset[str]: ...


class Table(Protocol):
    """The table of symbols of one compiled program."""

    @property
    def digest(self) -> str: ...
    @property
    def state_bytes(self) -> int: ...
    @property
    def types(self) -> list[dict[str, Any]]: ...
    @property
    def tasks(self) -> list[str]: ...
    def find(self, path: str) -> Place:
        """The variable at a path; raises KeyError."""
        ...

    def walk(self) -> Iterator[Place]:
        """Every scalar and string."""
        ...


class NotElementaryError(ValueError):
    """A structure, an array or a reference where one value is wanted."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One elementary variable or string of a program's state."""

    path: str
    kind: Kind
    offset: int
    size: int

    def decode(self, raw: bytes) -> Value:
        """The value of the variable's bytes."""
        if self.kind.is_text:
            encoding, size, _ = _UNITS[self.kind]
            capacity, length = STRING_HEADER.unpack_from(raw)
            return raw[STRING_HEADER.size :][: min(capacity, length) * size].decode(encoding, "replace")
        value: Value = _FORMATS[self.kind].unpack(raw)[0]
        return value

    def encode(self, value: Value) -> bytes:
        """The variable's bytes for a value. Raises ValueError or TypeError where it does not fit."""
        if self.kind.is_text:
            return self._encode_text(value)
        if self.kind is Kind.BOOL and not isinstance(value, bool):
            raise TypeError(f"{self.path} is a BOOL: {value!r} is none")
        if isinstance(value, str) or (isinstance(value, bool) and self.kind is not Kind.BOOL):
            raise TypeError(f"{self.path} is a number: {value!r} is none")
        try:
            return _FORMATS[self.kind].pack(value)
        except (struct.error, OverflowError) as error:
            raise ValueError(f"{self.path}: {value!r} does not fit {self.kind.name}: {error}") from None

    def _encode_text(self, value: Value) -> bytes:
        if not isinstance(value, str):
            raise TypeError(f"{self.path} is a STRING: {value!r} is none")
        encoding, size, name = _UNITS[self.kind]
        try:
            raw = value.encode(encoding)
        except UnicodeEncodeError as error:
            found = value[error.start]
            raise ValueError(f"{self.path}: {found!r} is no character of a {name}") from None
        room = (self.size - STRING_HEADER.size) // size - 1
        units = len(raw) // size
        if units > room:
            raise ValueError(f"{self.path} holds {room} characters: {value!r} has {units}")
        return struct.pack("<H", units) + raw + bytes(size)

    @property
    def write_offset(self) -> int:
        """Where `encode`'s bytes go: a string keeps its capacity."""
        return self.offset + 2 if self.kind.is_text else self.offset


def variable(table: Table, path: str) -> Variable:
    """The variable at a path. Raises KeyError, NotElementaryError."""
    return _variable(table, table.find(path))


def _variable(table: Table, place: Place) -> Variable:
    described = table.types[place.type]
    if described["kind"] in ("string", "wstring"):
        return Variable(place.path, Kind[described["kind"].upper()], place.offset, place.bytes)
    if described["kind"] not in ("scalar", "enumeration"):
        raise NotElementaryError(f"{place.path} is {described['kind']} {described['name']}, not one value")
    return Variable(place.path, Kind[str(described["scalar"]).upper()], place.offset, place.bytes)


def names_by_offset(table: Table) -> dict[int, Variable]:
    """Every elementary variable that has a name by where it lies: to say what is forced."""
    return {
        place.offset: _variable(table, place)
        for place in table.walk()
        if table.types[place.type]["kind"] != "reference" and "hidden" not in place.flags
    }


@dataclass(frozen=True, slots=True)
class Move:
    """Bytes of one program's state that go to another's."""

    source: int
    target: int
    size: int


def moves_between(old: Table, new: Table) -> tuple[Move, ...]:
    """What an online change has to carry over: each variable that has the same path and type in both.

    So does what blocks remember without a name (`hidden`). Constants take their new values; references begin anew,
    for what they name may lie elsewhere. Sorted by source, neighbours joined, as the scan wants them.
    """
    before = {place.path.upper(): place for place in _kept(old)}
    pairs = [
        (before[place.path.upper()], place)
        for place in _kept(new)
        if place.path.upper() in before
        and old.types[before[place.path.upper()].type] == new.types[place.type]
    ]
    moves: list[Move] = []
    for source, target in sorted(pairs, key=lambda pair: pair[0].offset):
        last = moves[-1] if moves else None
        if last and (last.source + last.size, last.target + last.size) == (source.offset, target.offset):
            moves[-1] = Move(last.source, last.target, last.size + source.bytes)
        elif not last or source.offset >= last.source + last.size:  # not `x AT %IW0` after %IW0
            moves.append(Move(source.offset, target.offset, source.bytes))
    return tuple(moves)


def _kept(table: Table) -> Iterable[Place]:
    for place in table.walk():
        if table.types[place.type]["kind"] != "reference" and "constant" not in place.flags:
            yield place
