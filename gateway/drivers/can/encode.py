"""Commanded values to messages: raw values, counters and checksums."""

from __future__ import annotations

import math
import struct

from gateway.config.can import CanSignal, CanTransmit, Checksum
from gateway.config.can_bits import insert, raw_limits
from gateway.tags.operate import OperateError
from gateway.tags.sample import Value
from gateway.tags.tag import ValueType

_FLOATS = {16: ("<e", "<H"), 32: ("<f", "<I"), 64: ("<d", "<Q")}


def raw_of(signal: CanSignal, value: Value) -> int:
    """The raw value nearest to ``value``. Raises OperateError where the signal cannot hold it."""
    if isinstance(value, str) or not math.isfinite(value):
        raise OperateError(f"{value!r} is no number that a signal can hold")
    if signal.is_float:
        real, whole = _FLOATS[signal.length]
        try:
            packed = struct.pack(real, (value - signal.offset) / signal.scale)
        except OverflowError:
            raise OperateError(f"{value} is beyond a float of {signal.length} bits") from None
        return int(struct.unpack(whole, packed)[0])
    if isinstance(value, int) and isinstance(signal.scale, int) and isinstance(signal.offset, int):
        raw, rest = divmod(value - signal.offset, signal.scale)
        if rest:
            raise OperateError(f"{value} is not a step of {signal.scale} from {signal.offset}")
    else:
        raw = round((value - signal.offset) / signal.scale)
    low, high = raw_limits(signal)
    if not low <= raw <= high:
        raise OperateError(f"{value} does not fit the signal, whose raw value is {low}..{high}")
    return raw


def value_of(signal: CanSignal, raw: int) -> Value:
    """The value of raw bits, as the tag's type has it; what gateway.drivers.can.decode does for many."""
    if signal.is_float:
        real, whole = _FLOATS[signal.length]
        number: float = struct.unpack(real, struct.pack(whole, raw))[0]
        return number * signal.scale + signal.offset
    if signal.is_signed and raw >> signal.length - 1:
        raw -= 1 << signal.length
    if signal.type is ValueType.BOOL:
        return bool(raw)
    if signal.type is ValueType.DOUBLE:
        return float(raw) * signal.scale + signal.offset
    return raw * signal.scale + signal.offset


def checksum_of(octets: bytes, algorithm: Checksum) -> int:
    """One octet over ``octets``."""
    match algorithm:
        case Checksum.SUM8:
            return sum(octets) & 0xFF
        case Checksum.XOR8:
            result = 0
            for octet in octets:
                result ^= octet
            return result
        case Checksum.CRC8_J1850:
            result = 0xFF
            for octet in octets:
                result = _CRC8[result ^ octet]
            return result ^ 0xFF


def sealed(payload: bytes, transmit: CanTransmit, count: int) -> bytes:
    """A payload as it goes out the ``count``-th time (from 0): counter first, then the checksum over it."""
    if transmit.counter is not None:
        payload = insert(payload, transmit.counter, count)
    if transmit.checksum is not None:
        place = transmit.checksum.start // 8
        rest = payload[:place] + payload[place + 1 :]
        payload = insert(payload, transmit.checksum, checksum_of(rest, transmit.algorithm))
    return payload


def _crc8_table() -> tuple[int, ...]:
    """SAE J1850: x^8 + x^4 + x^3 + x^2 + 1."""
    table = []
    for value in range(256):
        for _ in range(8):
            value = value << 1 & 0xFF ^ (0x1D if value & 0x80 else 0)
        table.append(value)
    return tuple(table)


_CRC8 = _crc8_table()
