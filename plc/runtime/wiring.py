"""The wiring file: the tags of a scan's inputs, outputs, setpoints and system tags (docs/formats/scan-control.md)."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from gateway.tags.image import Region
from gateway.tags.tag import ValueType
from plc.runtime.variables import Kind, Table, Variable, variable

_HEADER = struct.Struct(
    "<8sIIIIII"
)  # magic, inputs, outputs, setpoints, system tags, CRC-32C of what follows, 0
_IDENTITY = struct.Struct("<Q64s")  # instance of the region, digest of the program
_INPUT = struct.Struct("<IIIBBHII")
_OUTPUT = struct.Struct("<IIIBBHQ")
_SETPOINT = struct.Struct("<8IBBHI4QdqQ")
_SYSTEM = struct.Struct("<IHH")
_MAGIC = b"TLWIRE02"
_NO_OFFSET = 0xFFFF_FFFF
_HOLDS = 1  # flag of an output and a setpoint: no value of its own to fall back to
_LONGEST_NS = (1 << 63) - 1
_REFLECTED_CASTAGNOLI = 0x82F6_3B78
_WHOLE = {
    ValueType.INT64: (-(1 << 63), (1 << 63) - 1),
    ValueType.UINT64: (0, (1 << 64) - 1),
    ValueType.BOOL: (0, 1),
}


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
    """A tag that goes into a variable at the start of every scan.

    ``quality`` is a 32-bit variable that gets the tag's StatusCode, ``good`` a BOOL that tells whether it is Good.
    """

    tag: str
    path: str
    quality: str | None = None
    good: str | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """A variable that goes to a tag at the end of every scan.

    ``safe`` is the tag's value when nothing runs; None leaves the last one. ``active`` is a BOOL variable: while it
    is FALSE the program has released the tag, which keeps its value with Bad_NoData.
    """

    path: str
    tag: str
    safe: float | None = 0  # an int up to 64 bits stays exact
    active: str | None = None


@dataclass(frozen=True, slots=True)
class Setpoint:
    """A value from above that the scan judges before it reaches the variable at ``path`` (docs/scan.md).

    Others write the tags ``tag``, ``valid_until`` (INT64, UTC ns since 1970; 0: ``valid_for_s`` from the source time
    on) and ``sequence`` (UINT64), all three with one source time, the sequence last. The scan answers in ``accepted``
    (type of ``tag``), ``answered`` and ``reason`` (UINT64). ``valid`` is a BOOL variable: an accepted value holds.
    ``fallback`` is what the variable gets once that has expired; None keeps it. None for a limit: no limit.
    """

    tag: str
    valid_until: str
    sequence: str
    accepted: str
    answered: str
    reason: str
    path: str
    valid: str | None = None
    low: float | None = None
    high: float | None = None
    max_rate_per_s: float | None = None
    valid_for_s: float = 900
    initial: float = 0
    fallback: float | None = None


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
    setpoints: Sequence[Setpoint] = (),
) -> bytes:
    """The file's bytes. Raises WiringError for what the scan would refuse, and for a tag written twice."""
    written: set[str] = set()
    for tag in _published(outputs, setpoints):
        if tag in written:
            raise WiringError(f"{tag} is the output of two variables")
        written.add(tag)
    # In the order of their variables: the scan copies neighbours in one piece.
    rows = sorted((_input(region, table, one) for one in inputs), key=_offset)
    rows += sorted((_output(region, owner, table, one) for one in outputs), key=_offset)
    rows += [_setpoint(region, owner, table, one) for one in setpoints]
    rows += [_system(region, owner, table, one) for one in systems]
    body = _IDENTITY.pack(region.instance, table.digest.encode()) + b"".join(rows)
    counts = (len(inputs), len(outputs), len(setpoints), len(systems))
    return _HEADER.pack(_MAGIC, *counts, crc32c(body), 0) + body


def _offset(row: bytes) -> int:
    return int.from_bytes(row[4:8], "little")


def _published(outputs: Sequence[Output], setpoints: Sequence[Setpoint]) -> Iterator[str]:
    for output in outputs:
        yield output.tag
    for setpoint in setpoints:
        yield from (setpoint.accepted, setpoint.answered, setpoint.reason)


def _input(region: Region, table: Table, point: Input) -> bytes:
    tag, type_ = _number(region, point.tag)
    place = _wired(table, point.path)
    quality = _NO_OFFSET
    if point.quality is not None:
        word = _wired(table, point.quality)
        if word.size != 4 or word.kind is Kind.F32:
            raise WiringError(f"{point.quality} takes a status of 32 bits, but is {word.kind.name}")
        quality = word.offset
    good = _flag(table, point.good)
    return _INPUT.pack(tag, place.offset, quality, place.kind, type_, 0, good, 0)


def _output(region: Region, owner: str, table: Table, point: Output) -> bytes:
    _owned(region, owner, point.tag)
    tag, type_ = _number(region, point.tag)
    place = _wired(table, point.path)
    safe = 0 if point.safe is None else _bits(point.tag, "safe value", point.safe, type_)
    flags = _HOLDS if point.safe is None else 0
    return _OUTPUT.pack(tag, place.offset, _flag(table, point.active), place.kind, type_, flags, safe)


def _setpoint(region: Region, owner: str, table: Table, point: Setpoint) -> bytes:
    tag, type_ = _number(region, point.tag)
    place = _wired(table, point.path)
    asked = [
        _typed(region, point.valid_until, ValueType.INT64),
        _typed(region, point.sequence, ValueType.UINT64),
    ]
    answers = ((point.accepted, type_), (point.answered, ValueType.UINT64), (point.reason, ValueType.UINT64))
    for name, _ in answers:
        _owned(region, owner, name)
    answered = [_typed(region, name, expected) for name, expected in answers]
    low, high = _limits(point, type_)
    rate = math.inf if point.max_rate_per_s is None else point.max_rate_per_s
    if not rate > 0:
        raise WiringError(f"{point.tag}: a rate of {rate} a second lets nothing through")
    valid_for_ns = point.valid_for_s * 1e9
    if not 0 < valid_for_ns <= _LONGEST_NS:
        raise WiringError(f"{point.tag} cannot be valid for {point.valid_for_s} s")
    bits = [
        _bits(point.tag, what, value, type_)
        for what, value in (("lower limit", low), ("upper limit", high), ("initial value", point.initial))
    ]
    holds = point.fallback is None
    bits.append(0 if point.fallback is None else _bits(point.tag, "fallback", point.fallback, type_))
    for what, held in (("initial value", point.initial), ("fallback", point.fallback)):
        if held is not None and not low <= held <= high:
            raise WiringError(f"{point.tag}: the {what} {held!r} is out of the limits {low!r} to {high!r}")
    key = hashlib.sha256(f"setpoint {point.tag}:{type_.name}".encode()).digest()[:8]
    return _SETPOINT.pack(
        *(tag, *asked, *answered, place.offset, _flag(table, point.valid)),
        *(place.kind, type_, _HOLDS if holds else 0, 0),
        *(*bits, rate, round(valid_for_ns), int.from_bytes(key, "little")),
    )


def _limits(point: Setpoint, type_: ValueType) -> tuple[float, float]:
    """Both limits in the tag's type; a whole number keeps to the whole numbers between them."""
    if type_ is ValueType.DOUBLE:
        return (
            -math.inf if point.low is None else point.low,
            math.inf if point.high is None else point.high,
        )
    least, most = _WHOLE[type_]
    low = least if point.low is None else max(least, math.ceil(point.low))
    high = most if point.high is None else min(most, math.floor(point.high))
    return low, high


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


def _number(region: Region, name: str) -> tuple[int, ValueType]:
    tag, type_ = _tag(region, name)
    if type_ is ValueType.STRING:
        raise WiringError(f"{name} is a string: strings are not wired")
    return tag, type_


def _typed(region: Region, name: str, expected: ValueType) -> int:
    tag, type_ = _tag(region, name)
    if type_ is not expected:
        raise WiringError(f"{name} is {type_.name}, not {expected.name}")
    return tag


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
    if place.kind.is_text:
        raise WiringError(f"{path} is a string: strings are not wired")
    return place


def _flag(table: Table, path: str | None) -> int:
    """The offset of a BOOL."""
    if path is None:
        return _NO_OFFSET
    place = _wired(table, path)
    if place.kind is not Kind.BOOL:
        raise WiringError(f"{path} is {place.kind.name}, not BOOL")
    return place.offset


def _bits(tag: str, what: str, value: float, type_: ValueType) -> int:
    """A number as the 64 bits of a tag's type."""
    try:
        if type_ is ValueType.DOUBLE:
            if math.isnan(value):
                raise ValueError(value)
            return int.from_bytes(struct.pack("<d", value), "little")
        least, most = _WHOLE[type_]
        if int(value) != value or not least <= value <= most:
            raise ValueError(value)
        return int(value) & 0xFFFF_FFFF_FFFF_FFFF
    except (struct.error, OverflowError, ValueError):
        raise WiringError(f"{tag}: the {what} {value!r} does not fit {type_.name}") from None


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
