"""Bytes of a poll to values of tags and back; whole polls at a time, no Python object a sample.

Pure. A poll's answers are laid end to end; one gather lines up every point's bytes as a little-endian 64-bit
word, whatever its word and byte order, and each class of type is then a slice of one array:

    answers     00 0A | FF FE 00 01 | ...            bytes as they came
    gather      point 0: 1 0 z z z z z z             z: a zero byte kept at the end
                point 1 (little word order): 3 2 1 0 z z z z ... for (w1 w0) = FF FE 00 01 -> 0x0001FFFE
    rows        bits | BCD | unsigned | signed | float32 | float64

Strings are few and slow to change; they are decoded one by one.

Status of a row, the first that applies: Bad_NotSupported for a "not implemented" pattern, Bad_DataEncodingInvalid
for a BCD digit above 9 or bytes that are no UTF-8, Bad_SensorFailure for NaN and infinities,
Uncertain_EngineeringUnitsExceeded outside of the instrument's range. The value bits of a Bad row mean nothing: the
caller keeps the last ones.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.config.modbus import ModbusPoint, Order, RegisterType
from gateway.drivers.modbus.plan import BIT_TABLES, Block
from gateway.tags.quality import Quality
from gateway.tags.sample import Value
from gateway.tags.tag import ValueType

_WORD_BYTES = 8

_BITS, _BCD, _UNSIGNED, _SIGNED, _FLOAT32, _FLOAT64 = range(6)  # row classes, in row order

_CLASS = {
    RegisterType.BOOL: _BITS,
    RegisterType.BCD16: _BCD,
    RegisterType.BCD32: _BCD,
    RegisterType.UINT16: _UNSIGNED,
    RegisterType.UINT32: _UNSIGNED,
    RegisterType.UINT64: _UNSIGNED,
    RegisterType.INT16: _SIGNED,
    RegisterType.INT32: _SIGNED,
    RegisterType.INT64: _SIGNED,
    RegisterType.FLOAT32: _FLOAT32,
    RegisterType.FLOAT64: _FLOAT64,
}

# What an image type can hold of each class; every class but text can be a DOUBLE.
_FITS = {
    ValueType.BOOL: {_BITS},
    ValueType.INT64: {_BITS, _BCD, _UNSIGNED, _SIGNED},
    ValueType.UINT64: {_BITS, _BCD, _UNSIGNED},
    ValueType.DOUBLE: {_BITS, _BCD, _UNSIGNED, _SIGNED, _FLOAT32, _FLOAT64},
}

REGISTERS = {
    RegisterType.INT16: 1,
    RegisterType.UINT16: 1,
    RegisterType.BCD16: 1,
    RegisterType.INT32: 2,
    RegisterType.UINT32: 2,
    RegisterType.FLOAT32: 2,
    RegisterType.BCD32: 2,
    RegisterType.INT64: 4,
    RegisterType.UINT64: 4,
    RegisterType.FLOAT64: 4,
}


class EncodeError(ValueError):
    """A value that the point's registers cannot hold; the text is for an operator."""


@dataclass(frozen=True, slots=True)
class Text:
    """A string as it came; ``value`` is None where ``status`` is Bad."""

    value: str | None
    status: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """Rows of a poll in the order of `Decoder.tags`; ``status`` is a single 0 where all rows are good."""

    bits: NDArray[np.uint64]
    status: NDArray[np.uint32] | int
    has_bad: bool


class Decoder:
    """What was worked out once for a list of blocks, so that a poll is a few array operations."""

    def __init__(self, blocks: Sequence[Block], types: NDArray[np.uint8]) -> None:
        """``types`` is `Region.types`. Raises ValueError where a tag's type cannot hold its point."""
        self.payload_bytes = [block.payload_bytes for block in blocks]
        total = sum(self.payload_bytes)
        rows: list[tuple[int, ModbusPoint, list[int], int, int]] = []
        texts: list[tuple[int, ModbusPoint, int]] = []
        base = 0
        for place, block in enumerate(blocks):
            for point in block.points:
                type = ValueType(int(types[point.tag]))
                _check(point, type)
                if point.type is RegisterType.STRING:
                    texts.append((place, point, base + 2 * (point.address - block.address)))
                    continue
                if point.table in BIT_TABLES:
                    position = point.address - block.address
                    byte, shift = base + position // 8, position % 8
                    rows.append((_BITS, point, [byte] + [total] * (_WORD_BYTES - 1), shift, place))
                    continue
                start = base + 2 * (point.address - block.address)
                places = [start + place for place in _wire_places(point)]
                shift = 0 if point.bit is None else point.bit
                rows.append(
                    (_CLASS[point.type], point, places + [total] * (_WORD_BYTES - len(places)), shift, place)
                )
            base += block.payload_bytes
        rows.sort(key=lambda row: row[0])
        points = [row[1] for row in rows]
        self.tags: NDArray[np.uint32] = np.array([point.tag for point in points], np.uint32)
        self.block_of: NDArray[np.intp] = np.array([row[4] for row in rows], np.intp)
        self.text_points = tuple(texts)
        self._gather = np.array([row[2] for row in rows], np.intp).reshape(-1)
        count = len(rows)
        self._count = count

        def class_slice(*classes: int) -> slice | None:
            inside = [i for i, row in enumerate(rows) if row[0] in classes]
            return slice(inside[0], inside[-1] + 1) if inside else None

        self._bits = class_slice(_BITS)
        self._bcd = class_slice(_BCD)
        self._signed = class_slice(_SIGNED)
        self._unsigned = class_slice(_BITS, _BCD, _UNSIGNED)
        self._float32 = class_slice(_FLOAT32)
        self._float64 = class_slice(_FLOAT64)
        self._floats = class_slice(_FLOAT32, _FLOAT64)
        in_bits = points[self._bits] if self._bits else []
        in_signed = points[self._signed] if self._signed else []
        self._bit_shift = np.array([row[3] for row in rows][: len(in_bits)], np.uint64)
        # A bool that is a whole register is true where any bit is set; others keep the one bit asked for.
        self._bit_mask = np.array(
            [0xFFFF if point.table not in BIT_TABLES and point.bit is None else 1 for point in in_bits],
            np.uint64,
        )
        self._has_whole_bools = bool((self._bit_mask != 1).any())
        self._sign_shift = np.array([64 - 16 * REGISTERS[point.type] for point in in_signed], np.int64)

        # Before the bit is cut out: the pattern is one of the register that holds it. A coil has no room for one.
        pairs = [
            (i, pattern)
            for i, point in enumerate(points)
            if point.table not in BIT_TABLES
            for pattern in point.not_implemented
        ]
        self._sentinel_rows = np.array([row for row, _ in pairs], np.intp) if pairs else None
        self._sentinels = np.array([pattern for _, pattern in pairs], np.uint64)

        doubles = np.array([types[point.tag] == ValueType.DOUBLE for point in points], bool)
        self._doubles = doubles
        self._is_all_double = bool(doubles.all())
        self._scale = np.array([point.scale for point in points], np.float64)
        self._offset = np.array([point.offset for point in points], np.float64)
        self._is_scaled = bool((self._scale != 1).any() or (self._offset != 0).any())
        self._low = np.array([-math.inf if point.low is None else point.low for point in points], np.float64)
        self._high = np.array(
            [math.inf if point.high is None else point.high for point in points], np.float64
        )
        self._is_ranged = any(point.low is not None or point.high is not None for point in points)
        self._needs_numbers = bool(doubles.any()) or self._is_ranged

    def decode(self, data: bytes) -> Decoded:
        """``data`` is the answers of all blocks end to end and one zero byte; a missing answer's are any bytes."""
        raw: NDArray[np.uint64] = np.frombuffer(data, np.uint8).take(self._gather).view(np.uint64)
        status: NDArray[np.uint32] | None = None

        if self._sentinel_rows is not None:
            absent = raw[self._sentinel_rows] == self._sentinels
            if absent.any():
                status = self._mark(status, self._sentinel_rows[absent], Quality.BAD_NOT_SUPPORTED)
        if self._bits is not None:
            bits = raw[self._bits]
            np.right_shift(bits, self._bit_shift, out=bits)
            np.bitwise_and(bits, self._bit_mask, out=bits)
            if self._has_whole_bools:
                np.minimum(bits, np.uint64(1), out=bits)
        if self._bcd is not None:
            wrong = _from_bcd(raw[self._bcd])
            if wrong.any():
                rows = self._bcd.start + np.flatnonzero(wrong)
                status = self._mark(status, rows, Quality.BAD_DATA_ENCODING_INVALID)
        if self._signed is not None:
            signed = raw[self._signed].view(np.int64)
            np.left_shift(signed, self._sign_shift, out=signed)
            np.right_shift(signed, self._sign_shift, out=signed)
        if not self._needs_numbers:
            return Decoded(raw, 0 if status is None else status, status is not None)

        if self._floats is None:
            numbers = self._numbers(raw)
        else:
            with np.errstate(
                over="ignore", invalid="ignore"
            ):  # what they give is not finite, and is marked so
                numbers = self._numbers(raw)
            finite = np.isfinite(numbers[self._floats])
            if not finite.all():
                rows = self._floats.start + np.flatnonzero(~finite)
                status = self._mark(status, rows, Quality.BAD_SENSOR_FAILURE)
        has_bad = status is not None
        if self._is_ranged:
            outside = (numbers < self._low) | (numbers > self._high)
            if outside.any():
                rows = np.flatnonzero(outside)
                status = self._mark(status, rows, Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED)
        if self._is_all_double:
            raw = numbers.view(np.uint64)
        else:
            np.copyto(raw, numbers.view(np.uint64), where=self._doubles)
        return Decoded(raw, 0 if status is None else status, has_bad)

    def _numbers(self, raw: NDArray[np.uint64]) -> NDArray[np.float64]:
        """Every row in engineering units."""
        numbers = np.empty(self._count, np.float64)
        if self._unsigned is not None:
            numbers[self._unsigned] = raw[self._unsigned]
        if self._signed is not None:
            numbers[self._signed] = raw[self._signed].view(np.int64)
        if self._float32 is not None:
            numbers[self._float32] = raw[self._float32].astype(np.uint32).view(np.float32)
        if self._float64 is not None:
            numbers[self._float64] = raw[self._float64].view(np.float64)
        if self._is_scaled:
            numbers *= self._scale
            numbers += self._offset
        return numbers

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
            status = np.zeros(self._count, np.uint32)
        status[rows] = np.where(status[rows] == 0, np.uint32(quality), status[rows])
        return status


def encode(point: ModbusPoint, value: Value) -> bytes:
    """The registers that hold ``value`` (engineering units), as they go over the wire. Raises EncodeError.

    Not for coils and bits of a register, which have requests of their own.
    """
    if point.type is RegisterType.STRING:
        return _encode_text(point, value)
    if isinstance(value, str):
        raise EncodeError(f"{point.name} takes a number, not {value!r}")
    if point.type is RegisterType.BOOL:
        pattern = int(bool(value))
    elif point.type in (RegisterType.FLOAT32, RegisterType.FLOAT64):
        pattern = _float_pattern(point, value)
    else:
        pattern = _integer_pattern(point, value)
    if pattern in point.not_implemented:
        raise EncodeError(f'{point.name}: {value} is how this device says "not implemented"')
    octets = pattern.to_bytes(2 * point.registers, "little")
    wire = bytearray(len(octets))
    for octet, place in zip(octets, _wire_places(point), strict=True):
        wire[place] = octet
    return bytes(wire)


def _wire_places(point: ModbusPoint) -> list[int]:
    """For each byte of the value, least significant first, its place among the bytes on the wire."""
    size = 2 * point.registers
    places = []
    for significance in range(size):
        word, octet = divmod(size - 1 - significance, 2)
        if point.word_order is Order.LITTLE:
            word = point.registers - 1 - word
        if point.byte_order is Order.LITTLE:
            octet = 1 - octet
        places.append(2 * word + octet)
    return places


def _check(point: ModbusPoint, type: ValueType) -> None:
    if point.type is RegisterType.STRING:
        fits = type is ValueType.STRING
    else:
        fits = type in _FITS and _CLASS[point.type] in _FITS[type]
        if point.scale != 1 or point.offset != 0:
            fits = fits and type is ValueType.DOUBLE
        registers = REGISTERS.get(point.type, 1)
        if registers != point.registers:
            raise ValueError(f"{point.name}: {point.type} takes {registers} registers, not {point.registers}")
    if not fits:
        raise ValueError(f"{point.name}: a tag of type {type.name} cannot hold {point.type}")


def _from_bcd(bits: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Packed decimal digits to numbers, in place, by pairs, then fours, then eights; true where a digit is above 9.

    A nibble is above 9 where bit 3 is set together with bit 2 or bit 1.
    """
    wrong = (bits & 0x8888_8888) & (((bits & 0x4444_4444) << 1) | ((bits & 0x2222_2222) << 2))
    bits[:] = (bits & 0x0F0F_0F0F) + 10 * ((bits >> 4) & 0x0F0F_0F0F)
    bits[:] = (bits & 0x00FF_00FF) + 100 * ((bits >> 8) & 0x00FF_00FF)
    bits[:] = (bits & 0x0000_FFFF) + 10_000 * (bits >> 16)
    return np.asarray(wrong != 0)


def _text(point: ModbusPoint, octets: bytes) -> Text:
    """NUL ends it, blanks at its end are padding. Word order has no meaning for text."""
    if point.byte_order is Order.LITTLE:
        octets = _swapped(octets)
    if point.not_implemented and int.from_bytes(octets, "big") in point.not_implemented:
        return Text(None, Quality.BAD_NOT_SUPPORTED)
    try:
        return Text(octets.partition(b"\0")[0].decode().rstrip(" "), Quality.GOOD)
    except UnicodeDecodeError:
        return Text(None, Quality.BAD_DATA_ENCODING_INVALID)


def _encode_text(point: ModbusPoint, value: Value) -> bytes:
    if not isinstance(value, str):
        raise EncodeError(f"{point.name} takes a text, not {value!r}")
    try:
        octets = value.encode()
    except UnicodeEncodeError:
        raise EncodeError(f"{point.name}: {value!r} is no Unicode text") from None
    size = 2 * point.registers
    if len(octets) > size:
        raise EncodeError(f"{point.name} holds {size} bytes, {value!r} has {len(octets)}")
    if "\0" in value or value != value.rstrip(" "):
        raise EncodeError(f"{point.name}: a NUL or a blank at the end would not come back")
    octets = octets.ljust(size, b"\0")
    if int.from_bytes(octets, "big") in point.not_implemented:
        raise EncodeError(f'{point.name}: {value!r} is how this device says "not implemented"')
    return _swapped(octets) if point.byte_order is Order.LITTLE else octets


def _swapped(octets: bytes) -> bytes:
    swapped = bytearray(octets)
    swapped[0::2], swapped[1::2] = octets[1::2], octets[0::2]
    return bytes(swapped)


def _float_pattern(point: ModbusPoint, value: float) -> int:
    raw = (value - point.offset) / point.scale
    if not math.isfinite(raw):
        raise EncodeError(f"{point.name} takes a finite number, not {value}")
    if point.type is RegisterType.FLOAT64:
        return int.from_bytes(struct.pack(">d", raw), "big")
    try:
        return int.from_bytes(struct.pack(">f", raw), "big")
    except OverflowError:
        raise EncodeError(f"{point.name}: {value} is too large for {point.type}") from None


def _integer_pattern(point: ModbusPoint, value: float) -> int:
    if point.scale == 1 and point.offset == 0:
        if isinstance(value, float) and not value.is_integer():
            raise EncodeError(f"{point.name} takes a whole number, not {value}")
        raw = int(value)
    else:
        exact = (value - point.offset) / point.scale
        if not math.isfinite(exact):
            raise EncodeError(f"{point.name} takes a finite number, not {value}")
        raw = round(exact)
    size = 16 * point.registers
    if _CLASS[point.type] is _SIGNED:
        low, high = -(1 << size - 1), (1 << size - 1) - 1
    elif _CLASS[point.type] is _BCD:
        low, high = 0, 10 ** (size // 4) - 1
    else:
        low, high = 0, (1 << size) - 1
    if not low <= raw <= high:
        first, last = (bound * point.scale + point.offset for bound in (low, high))
        raise EncodeError(f"{point.name}: {value} is not within {min(first, last):g} .. {max(first, last):g}")
    if _CLASS[point.type] is _BCD:
        return int(str(raw), 16)
    return raw % (1 << size)
