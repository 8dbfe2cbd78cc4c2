"""Bits of one CAN signal in the bytes of its message, one at a time; gateway.drivers.can.decode does many at once.

::

    byte                 0                     1
    bit (DBC)            7 6 5 4 3 2 1 0      15 14 13 12 11 10 9 8
    first_bit            0 1 2 3 4 5 6 7       8  9 10 11 12 13 14 15

A little-endian signal starts at its least significant bit and goes up in DBC numbers; a big-endian one starts at its
most significant bit and goes up in the order of the second row.
"""

from __future__ import annotations

from gateway.config.can import CanSignal


def first_bit(signal: CanSignal) -> int:
    """The first bit of a big-endian signal, in the order in which bits go over the bus."""
    return signal.start // 8 * 8 + 7 - signal.start % 8


def end_byte(signal: CanSignal) -> int:
    """How many bytes a message must have to hold the signal."""
    first = first_bit(signal) if signal.is_big_endian else signal.start
    return (first + signal.length + 7) // 8


def extract(payload: bytes, signal: CanSignal) -> int:
    """The raw bits of a signal that is in ``payload``, unsigned."""
    mask = (1 << signal.length) - 1
    if signal.is_big_endian:
        shift = len(payload) * 8 - first_bit(signal) - signal.length
        return int.from_bytes(payload, "big") >> shift & mask
    return int.from_bytes(payload, "little") >> signal.start & mask


def insert(payload: bytes, signal: CanSignal, raw: int) -> bytes:
    """``payload`` with the raw bits of a signal put in; higher bits of ``raw`` are cut."""
    mask = (1 << signal.length) - 1
    size = len(payload)
    if signal.is_big_endian:
        shift = size * 8 - first_bit(signal) - signal.length
        word = int.from_bytes(payload, "big") & ~(mask << shift) | (raw & mask) << shift
        return word.to_bytes(size, "big")
    word = int.from_bytes(payload, "little") & ~(mask << signal.start) | (raw & mask) << signal.start
    return word.to_bytes(size, "little")


def raw_limits(signal: CanSignal) -> tuple[int, int]:
    """The least and the greatest raw value of a signal that is no float."""
    if signal.is_signed:
        return -(1 << signal.length - 1), (1 << signal.length - 1) - 1
    return 0, (1 << signal.length) - 1
