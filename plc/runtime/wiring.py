"""The wiring file: which tags the inputs, outputs and system tags of a scan are (docs/formats/scan-control.md)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from gateway.tags.image import Region
from gateway.tags.tag import ValueType
from plc.runtime.variables import Kind, Table, Variable, variable

_HEADER = struct.Struct("<8sIIII")  # magic, inputs, outputs, system tags, CRC-32C of what follows
_IDENTITY = struct.Struct("<Q64s")  # instance of the region, digest of the program
_POINT = struct.Struct("<IIIBBHQ")
_SYSTEM = struct.Struct("<IHH")
_MAGIC = b"TLWIRE01"
_NO_OFFSET = 0xFFFF_FFFF
_REFLECTED_CASTAGNOLI = 0x82F6_3B78


class System(IntEnum):
    """What a system tag tells: enum tl_system of firmware/scan/wiring.h. From COUNT on, of one task."""

    MODE = 1
    FAULT_CODE = 2
    FAULT_TEXT = 3
    DIGEST = 4
    FORCES = 5
    CHANGES = 6
    RETAIN_SAVES = 7
    RETAIN_FAILURES = 8
    COUNT = 16
    OVERRUNS = 17
    JITTER_P50 = 18
    JITTER_P99 = 19
    JITTER_P999 = 20
    JITTER_HIGHEST = 21
    DURATION_P50 = 22
    DURATION_P99 = 23
    DURATION_P999 = 24
    DURATION_HIGHEST = 25

    @property
    def value_type(self) -> ValueType:
        """The type its tag must have. Times are in µs."""
        if self in (System.FAULT_TEXT, System.DIGEST):
            return ValueType.STRING
        return ValueType.DOUBLE if self >= System.JITTER_P50 else ValueType.UINT64


class WiringError(ValueError):
    """A tag and a variable that cannot be wired; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Input:
    """A tag that goes into a variable at the start of every scan; ``quality``: a 32-bit variable for its status."""

    tag: str
    path: str
    quality: str | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """A variable that goes to a tag at the end of every scan; ``safe`` is the tag's value when nothing runs."""

    path: str
    tag: str
    safe: float = 0  # an int up to 64 bits stays exact


@dataclass(frozen=True, slots=True)
class SystemTag:
    """A tag that tells of the scan itself; ``task`` by name for what is of one task."""

    tag: str
    what: System
    task: str | None = None


def encode_wiring(
    region: Region,
    owner: str,
    table: Table,
    inputs: Sequence[Input],
    outputs: Sequence[Output],
    systems: Sequence[SystemTag] = (),
) -> bytes:
    """The file's bytes. Raises WiringError for what the scan would refuse, and for a tag written twice."""
    rows = [_input(region, table, one) for one in inputs]
    written: set[str] = set()
    for output in outputs:
        if output.tag in written:
            raise WiringError(f"{output.tag} is the output of two variables")
        written.add(output.tag)
        rows.append(_output(region, owner, table, output))
    rows += [_system(region, owner, table, one) for one in systems]
    body = _IDENTITY.pack(region.instance, table.digest.encode()) + b"".join(rows)
    return _HEADER.pack(_MAGIC, len(inputs), len(outputs), len(systems), crc32c(body)) + body


def _input(region: Region, table: Table, point: Input) -> bytes:
    tag, type_ = _tag(region, point.tag)
    place = _wired(table, point.path)
    if type_ is ValueType.STRING:
        raise WiringError(f"{point.tag} is a string: strings are not wired")
    quality = _NO_OFFSET
    if point.quality is not None:
        word = _wired(table, point.quality)
        if word.size != 4:
            raise WiringError(f"{point.quality} takes a status of 32 bits, but has {8 * word.size}")
        quality = word.offset
    return _POINT.pack(tag, place.offset, quality, place.kind, type_, 0, 0)


def _output(region: Region, owner: str, table: Table, point: Output) -> bytes:
    tag, type_ = _owned(region, owner, point.tag)
    place = _wired(table, point.path)
    if type_ is ValueType.STRING:
        raise WiringError(f"{point.tag} is a string: strings are not wired")
    try:
        safe = _bits(point.safe, type_)
    except (struct.error, OverflowError, ValueError):
        raise WiringError(f"{point.tag}: the safe value {point.safe!r} does not fit {type_.name}") from None
    return _POINT.pack(tag, place.offset, _NO_OFFSET, place.kind, type_, 0, safe)


def _system(region: Region, owner: str, table: Table, row: SystemTag) -> bytes:
    tag, type_ = _owned(region, owner, row.tag)
    if type_ is not row.what.value_type:
        raise WiringError(f"{row.tag} is {type_.name}: {row.what.name} needs {row.what.value_type.name}")
    task = 0
    if row.what >= System.COUNT:
        if row.task not in table.tasks:
            raise WiringError(f"{row.tag}: there is no task {row.task}")
        task = table.tasks.index(row.task)
    return _SYSTEM.pack(tag, row.what, task)


def _tag(region: Region, name: str) -> tuple[int, ValueType]:
    try:
        index = region.index_of(name)
    except KeyError:
        raise WiringError(f"there is no tag {name}") from None
    return index, region.type_of(index)


def _owned(region: Region, owner: str, name: str) -> tuple[int, ValueType]:
    index, type_ = _tag(region, name)
    holder = region.owners[int(region.tag_owners[index])]
    if holder != owner:
        raise WiringError(f"{name} is written by {holder}, not by {owner}")
    return index, type_


def _wired(table: Table, path: str) -> Variable:
    try:
        place = variable(table, path)
    except KeyError as error:
        raise WiringError(str(error)) from None
    except ValueError as error:
        raise WiringError(str(error)) from None
    if place.kind is Kind.STRING:
        raise WiringError(f"{path} is a string: strings are not wired")
    return place


def _bits(value: float, type_: ValueType) -> int:
    """A number as the 64 bits of a tag's type; raises where it does not fit."""
    if type_ is ValueType.DOUBLE:
        raw = struct.pack("<d", value)
    elif type_ is ValueType.BOOL:
        if value not in (0, 1):
            raise ValueError(value)
        raw = struct.pack("<Q", int(value))
    else:
        if int(value) != value:
            raise ValueError(value)
        raw = struct.pack("<q" if type_ is ValueType.INT64 else "<Q", int(value))
    return int.from_bytes(raw, "little")


def _crc_table() -> tuple[int, ...]:
    rows = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (_REFLECTED_CASTAGNOLI if value & 1 else 0)
        rows.append(value)
    return tuple(rows)


_CRC_TABLE = _crc_table()


def crc32c(data: bytes) -> int:
    """CRC-32C as tl_crc32c of firmware/scan/retain.c."""
    crc = 0xFFFF_FFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFF_FFFF
