"""Bytes of a poll to values of tags and back; whole polls at a time, no Python object a sample.

Pure. The answers of a poll are laid end to end, and one gather puts every point's bytes, least significant first,
where numpy can take all points of a kind as one array:

    answers   00 0A | FF FE 00 01 | ...               bytes as they came, and a zero byte at the end
    gather      1 0     3 2 1 0                        big byte order; 1 0 3 2 in little word order
    octets    float64 int64 … | float32 int32 … | int16 uint16 bool …       by size, so that all are aligned
    bits      doubles …       | integers …                                  one 64-bit word a row, in order of `tags`

Arrays are made once and filled again by each poll. Strings are few and slow to change; they are decoded one by one.

A point whose scale a register tells is multiplied by the power of ten that came with it.

Status of a row, the first that applies: Bad_NotSupported for a "not implemented" pattern, of the value or its scale
factor; Bad_DataEncodingInvalid for a BCD digit above 9, bytes that are no UTF-8 or a scale factor that is none;
Bad_SensorFailure for NaN and infinities; Uncertain_EngineeringUnitsExceeded outside of the instrument's range. The
value bits of a Bad row mean nothing: the caller keeps the last ones.
"""

from __future__ import annotations

import contextvars
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.config.modbus import ModbusPoint, Order, RegisterType
from gateway.config.registers import REGISTERS, swapped, wire_places
from gateway.drivers.modbus.plan import BIT_TABLES, Block
from gateway.tags.quality import Quality
from gateway.tags.tag import ValueType

_BITS, _BCD, _UNSIGNED, _SIGNED, _FLOAT = range(5)  # kinds of registers

_KIND = {
    RegisterType.BOOL: _BITS,
    RegisterType.BCD16: _BCD,
    RegisterType.BCD32: _BCD,
    RegisterType.UINT16: _UNSIGNED,
    RegisterType.UINT32: _UNSIGNED,
    RegisterType.UINT64: _UNSIGNED,
    RegisterType.INT16: _SIGNED,
    RegisterType.INT32: _SIGNED,
    RegisterType.INT64: _SIGNED,
    RegisterType.FLOAT32: _FLOAT,
    RegisterType.FLOAT64: _FLOAT,
}
_LETTER = {_BITS: "u", _BCD: "u", _UNSIGNED: "u", _SIGNED: "i", _FLOAT: "f"}

# What an image type can hold.
_FITS = {
    ValueType.BOOL: {_BITS},
    ValueType.INT64: {_BCD, _UNSIGNED, _SIGNED},
    ValueType.UINT64: {_BCD, _UNSIGNED},
    ValueType.DOUBLE: {_BCD, _UNSIGNED, _SIGNED, _FLOAT},
}

ALL_GOOD = np.zeros(1, np.uint32)
ALL_GOOD.flags.writeable = False

MAX_POWER = 10  # SunSpec Device Information Model Specification 1.1: a scale factor is -10 to 10
NO_POWER = -0x8000  # the same: not implemented
_POWERS = np.array([10.0**power for power in range(-MAX_POWER, MAX_POWER + 1)])

_NO_BITS = np.uint16(0)
_TRUE = 1  # as numpy stores it


@dataclass(frozen=True, slots=True)
class Text:
    """A string as it came; ``value`` is None where ``status`` is Bad."""

    value: str | None
    status: int


class Decoded(NamedTuple):
    """Rows of a poll in the order of `Decoder.tags`; ``status`` is `ALL_GOOD`, of shape (1,), where all rows are.

    ``bits`` is the decoder's own array: the next `decode` overwrites it. (A frozen dataclass takes three times as
    long to make, and one is made each poll.)
    """

    bits: NDArray[np.uint64]
    status: NDArray[np.uint32]
    has_bad: bool


@dataclass(frozen=True, slots=True)
class _Row:
    """A numeric point and where its bytes are in the answers, least significant first."""

    point: ModbusPoint
    block: int
    places: tuple[int, ...]
    mask: int  # of a bool: its bits in the 16 gathered for it
    is_double: bool
    factor: int = -1  # where the bytes of its scale factor are

    @property
    def source(self) -> tuple[int, str]:
        """Rows with the same one are taken together: bytes, and kind."""
        return len(self.places), _LETTER[_KIND[self.point.type]]


@dataclass(frozen=True, slots=True)
class _Sentinels:
    """The patterns of all rows of one size: ``words[places]`` are compared with ``patterns``."""

    words: NDArray[Any]
    places: NDArray[np.intp]
    patterns: NDArray[Any]
    rows: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class _Factors:
    """Rows whose scale factors came with them: where their bytes are, and the constant part of their scale."""

    rows: NDArray[np.intp]
    gather: NDArray[np.intp]
    scale: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Range:
    """Bounds of neighbouring rows, and for each row whether it keeps them: both over the bytes of ``flags``."""

    first: int
    values: NDArray[Any]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    flags: bytearray
    above: NDArray[np.bool_]
    below: NDArray[np.bool_]


class Decoder:
    """What was worked out once for a list of blocks, so that a poll is a few array operations."""

    def __init__(self, blocks: Sequence[Block], types: NDArray[np.uint8]) -> None:
        """``types`` is `Region.types`. Raises ValueError where a tag's type cannot hold its point."""
        rows: list[_Row] = []
        texts: list[tuple[int, ModbusPoint, int]] = []
        pad = sum(block.payload_bytes for block in blocks)
        base = 0
        for place, block in enumerate(blocks):
            for point in block.points:
                type = ValueType(int(types[point.tag]))
                _check(point, type)
                start = base + block.place_of(point.address)
                if point.type is RegisterType.STRING:
                    texts.append((place, point, start))
                elif point.table in BIT_TABLES:
                    octet, bit = divmod(point.address - block.address, 8)
                    rows.append(_Row(point, place, (base + octet, pad), 1 << bit, False))
                else:
                    places = tuple(start + octet for octet in wire_places(point))
                    mask = 0xFFFF if point.bit is None else 1 << point.bit
                    factor = -1
                    if point.scale_factor is not None:
                        factor = base + block.place_of_factor(point.scale_factor)
                    rows.append(_Row(point, place, places, mask, type is ValueType.DOUBLE, factor))
            base += block.payload_bytes
        # Doubles first, then signed, unsigned, bools: so what is scaled and what has bounds are slices.
        rows.sort(key=lambda row: (not row.is_double, _rank(row), row.source))
        self.tags: NDArray[np.uint32] = np.array([row.point.tag for row in rows], np.uint32)
        self.block_of: NDArray[np.intp] = np.array([row.block for row in rows], np.intp)
        self.text_points = tuple(texts)
        self._bits = np.zeros(len(rows), np.uint64)
        self._quiet = contextvars.copy_context()  # numpy keeps its error state in one
        self._quiet.run(
            np.seterr, over="ignore", invalid="ignore"
        )  # what they leave is found not to be finite

        order = sorted(range(len(rows)), key=lambda i: (-len(rows[i].places), i))
        self._gather = np.array([place for i in order for place in rows[i].places], np.intp)
        self._octets = np.zeros(len(self._gather), np.uint8)
        self._copies: list[tuple[NDArray[Any], NDArray[Any]]] = []  # from, to
        self._bcds: list[tuple[NDArray[Any], NDArray[Any], int]] = []  # from, to, first row
        self._bools: tuple[NDArray[np.uint16], NDArray[np.uint16], NDArray[np.uint64]] | None = None
        self._sentinels: list[_Sentinels] = []
        starts = dict(zip(order, _running(len(rows[i].places) for i in order), strict=True))
        for first, last in _runs([(row.is_double, _rank(row), row.source) for row in rows]):
            self._take_run(rows[first:last], first, starts[first])
        for size in (2, 4, 8):
            self._add_sentinels(rows, order, starts, size)

        doubles = [row.point for row in rows if row.is_double]
        self._scaled = self._bits[: len(doubles)].view(np.float64)
        self._scale = np.array([point.scale for point in doubles], np.float64)
        self._offset = np.array([point.offset for point in doubles], np.float64)
        self._is_scaled = bool((self._scale != 1).any())
        self._factors = self._factors_of(rows[: len(doubles)])
        self._is_shifted = bool((self._offset != 0).any())
        self._ranges: list[_Range] = []
        self._add_range(rows, 0, len(doubles), np.dtype(np.float64))
        signed = sum(not row.is_double and _rank(row) == 0 for row in rows)
        unsigned = sum(not row.is_double and _rank(row) in (1, 2) for row in rows)
        self._add_range(rows, len(doubles), len(doubles) + signed, np.dtype(np.int64))
        self._add_range(rows, len(doubles) + signed, len(doubles) + signed + unsigned, np.dtype(np.uint64))

    def _factors_of(self, doubles: list[_Row]) -> _Factors | None:
        """Rows whose scale comes with them."""
        found = [(i, row) for i, row in enumerate(doubles) if row.factor >= 0]
        if not found:
            return None
        self._is_scaled = True
        gather = [
            row.factor + (octet if row.point.byte_order is Order.LITTLE else 1 - octet)
            for _, row in found
            for octet in (0, 1)
        ]
        return _Factors(
            np.array([i for i, _ in found], np.intp),
            np.array(gather, np.intp),
            np.array([row.point.scale for _, row in found], np.float64),
        )

    def _take_run(self, run: list[_Row], first: int, start: int) -> None:
        """Rows of one kind and size: their bytes as an array, and where their values go."""
        size, letter = run[0].source
        source = self._octets[start : start + size * len(run)].view(f"<{letter}{size}")
        bits = self._bits[first : first + len(run)]
        kind = _KIND[run[0].point.type]
        if kind == _BITS:
            self._bools = source, np.array([row.mask for row in run], np.uint16), bits
            return
        target = bits.view(np.float64) if run[0].is_double else bits.view(f"<{letter}8")
        if kind == _BCD:
            self._bcds.append((source, target, first))
        else:
            self._copies.append((source, target))

    def _add_sentinels(self, rows: list[_Row], order: list[int], starts: dict[int, int], size: int) -> None:
        held = [i for i in order if len(rows[i].places) == size]
        found = [
            (place, pattern, i)
            for place, i in enumerate(held)
            if rows[i].point.table not in BIT_TABLES  # a coil has no room for one
            for pattern in rows[i].point.not_implemented
        ]
        if not found:
            return
        start = starts[held[0]]
        words = self._octets[start : start + size * len(held)].view(f"<u{size}")
        places, patterns, at = zip(*found, strict=True)
        self._sentinels.append(
            _Sentinels(
                words, np.array(places, np.intp), np.array(patterns, words.dtype), np.array(at, np.intp)
            )
        )

    def _add_range(self, rows: list[_Row], first: int, last: int, dtype: np.dtype[Any]) -> None:
        """Doubles always have bounds, the largest finite numbers at least, by which NaN and infinity are found."""
        points = [row.point for row in rows[first:last]]
        if not points:
            return
        widest = math.inf if dtype != np.float64 else sys.float_info.max
        if dtype != np.float64 and all(point.low is None and point.high is None for point in points):
            return
        flags = bytearray(2 * len(points))
        self._ranges.append(
            _Range(
                first,
                self._bits[first:last].view(dtype),
                np.array([-widest if point.low is None else point.low for point in points], np.float64),
                np.array([widest if point.high is None else point.high for point in points], np.float64),
                flags,
                np.frombuffer(flags, np.bool_)[: len(points)],
                np.frombuffer(flags, np.bool_)[len(points) :],
            )
        )

    def decode(self, data: bytes) -> Decoded:
        """``data`` is the answers of all blocks end to end and one zero byte; a missing answer's are any bytes."""
        return self._quiet.run(self._decode, data)

    def _decode(self, data: bytes) -> Decoded:
        status: NDArray[np.uint32] | None = None
        np.frombuffer(data, np.uint8).take(self._gather, out=self._octets, mode="clip")
        for source, target in self._copies:
            target[...] = source
        if self._bools is not None:
            words, mask, bits = self._bools
            bits[...] = (words & mask) != _NO_BITS
        for sentinels in self._sentinels:
            absent = sentinels.words.take(sentinels.places) == sentinels.patterns
            if _TRUE in absent.tobytes():  # a tenth of the cost of any()
                status = self._mark(status, sentinels.rows[absent], Quality.BAD_NOT_SUPPORTED)
        for source, target, first in self._bcds:
            numbers, wrong = _from_bcd(source)
            target[...] = numbers
            if wrong.any():
                rows = first + np.flatnonzero(wrong)
                status = self._mark(status, rows, Quality.BAD_DATA_ENCODING_INVALID)
        if self._factors is not None:
            status = self._take_factors(self._factors, data, status)
        if self._is_scaled:
            np.multiply(self._scaled, self._scale, out=self._scaled)
        if self._is_shifted:
            np.add(self._scaled, self._offset, out=self._scaled)
        has_bad = status is not None
        for bounds in self._ranges:
            np.greater_equal(bounds.values, bounds.low, out=bounds.above)
            np.less_equal(bounds.values, bounds.high, out=bounds.below)
            if 0 in bounds.flags:
                rows = bounds.first + np.flatnonzero(~np.isfinite(bounds.values))
                if len(rows):
                    has_bad = True
                    status = self._mark(status, rows, Quality.BAD_SENSOR_FAILURE)
                rows = bounds.first + np.flatnonzero(~(bounds.above & bounds.below))
                status = self._mark(status, rows, Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED)
        return Decoded(self._bits, ALL_GOOD if status is None else status, has_bad)

    def _take_factors(
        self, factors: _Factors, data: bytes, status: NDArray[np.uint32] | None
    ) -> NDArray[np.uint32] | None:
        powers = np.frombuffer(data, np.uint8).take(factors.gather, mode="clip").view("<i2")
        kept = np.clip(powers, -MAX_POWER, MAX_POWER)
        self._scale[factors.rows] = factors.scale * _POWERS[kept + MAX_POWER]
        wrong = powers != kept
        if wrong.any():
            absent = powers == NO_POWER
            status = self._mark(status, factors.rows[absent], Quality.BAD_NOT_SUPPORTED)
            status = self._mark(status, factors.rows[wrong & ~absent], Quality.BAD_DATA_ENCODING_INVALID)
        return status

    def texts(self, data: bytes) -> list[Text]:
        """The strings, in the order of `text_points`; ``data`` as for `decode`."""
        return [
            _text(point, data[start : start + 2 * point.registers]) for _, point, start in self.text_points
        ]

    def _mark(
        self, status: NDArray[np.uint32] | None, rows: NDArray[np.intp], quality: Quality
    ) -> NDArray[np.uint32]:
        """Give ``rows`` a quality where they have none yet: the first finding stands."""
        if status is None:
            status = np.zeros(len(self._bits), np.uint32)
        status[rows] = np.where(status[rows] == 0, np.uint32(quality), status[rows])
        return status


def _rank(row: _Row) -> int:
    """Signed, unsigned, BCD, bools: doubles of one source may be of two kinds, and are never mixed."""
    kind = _KIND[row.point.type]
    return {_SIGNED: 0, _FLOAT: 0, _UNSIGNED: 1, _BCD: 2, _BITS: 3}[kind]


def _runs(keys: Sequence[object]) -> list[tuple[int, int]]:
    """(first, past the last) of each run of equal keys."""
    runs: list[tuple[int, int]] = []
    for i, key in enumerate(keys):
        if i and keys[i - 1] == key:
            runs[-1] = (runs[-1][0], i + 1)
        else:
            runs.append((i, i + 1))
    return runs


def _running(sizes: Iterable[int]) -> list[int]:
    """Where each starts when all are laid end to end."""
    return [0, *accumulate(sizes)][:-1]


def _check(point: ModbusPoint, type: ValueType) -> None:
    if point.type is RegisterType.STRING:
        fits = type is ValueType.STRING
    else:
        fits = type in _FITS and _KIND[point.type] in _FITS[type]
        if point.scale != 1 or point.offset != 0 or point.scale_factor is not None:
            fits = fits and type is ValueType.DOUBLE
        registers = REGISTERS.get(point.type, 1)
        if registers != point.registers:
            raise ValueError(f"{point.name}: {point.type} takes {registers} registers, not {point.registers}")
    if not fits:
        raise ValueError(f"{point.name}: a tag of type {type.name} cannot hold {point.type}")


def _from_bcd(packed: NDArray[Any]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Packed decimal digits to numbers, by pairs, then fours, then eights; and true where a digit is above 9.

    A nibble is above 9 where bit 3 is set together with bit 2 or bit 1.
    """
    bits = packed.astype(np.uint64)
    wrong = (bits & 0x8888_8888) & (((bits & 0x4444_4444) << 1) | ((bits & 0x2222_2222) << 2))
    bits = (bits & 0x0F0F_0F0F) + 10 * ((bits >> 4) & 0x0F0F_0F0F)
    bits = (bits & 0x00FF_00FF) + 100 * ((bits >> 8) & 0x00FF_00FF)
    bits = (bits & 0x0000_FFFF) + 10_000 * (bits >> 16)
    return bits, wrong != 0


def _text(point: ModbusPoint, octets: bytes) -> Text:
    """NUL ends it, blanks at its end are padding. Word order has no meaning for text."""
    if point.byte_order is Order.LITTLE:
        octets = swapped(octets)
    if point.not_implemented and int.from_bytes(octets, "big") in point.not_implemented:
        return Text(None, Quality.BAD_NOT_SUPPORTED)
    try:
        return Text(octets.partition(b"\0")[0].decode().rstrip(" "), Quality.GOOD)
    except UnicodeDecodeError:
        return Text(None, Quality.BAD_DATA_ENCODING_INVALID)
