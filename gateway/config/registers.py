"""One value in registers: the bytes that hold it, and the value that bytes hold. Pure; drivers and servers use it.

value 123456 as int32   00 01 E2 40   big word order, big byte order: the protocol's own
                        E2 40 00 01   little word order
                        01 00 40 E2   little byte order
"""

from __future__ import annotations

import math
import struct
from typing import Protocol

from gateway.config.modbus import Order, RegisterType
from gateway.tags.sample import Value

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
FLOATS = frozenset({RegisterType.FLOAT32, RegisterType.FLOAT64})
_SIGNED = frozenset({RegisterType.INT16, RegisterType.INT32, RegisterType.INT64})
_BCD = frozenset({RegisterType.BCD16, RegisterType.BCD32})


class RegisterForm(Protocol):
    """How a point lies in its registers; engineering value = raw * scale + offset."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> RegisterType: ...
    @property
    def registers(self) -> int: ...
    @property
    def word_order(self) -> Order: ...
    @property
    def byte_order(self) -> Order: ...
    @property
    def scale(self) -> float: ...
    @property
    def offset(self) -> float: ...
    @property
    def not_implemented(self) -> tuple[int, ...]: ...


class EncodeError(ValueError):
    """A value that the point's registers cannot hold; the text is for an operator."""


class DecodeError(ValueError):
    """Registers that hold no value of the point; the text is for an operator."""


def switch(point: RegisterForm, value: Value) -> bool:
    """A value for a coil or a bit. Raises EncodeError for what is neither on nor off."""
    if isinstance(value, str) or value not in (0, 1):
        raise EncodeError(f"{point.name} takes true or false, not {value!r}")
    return bool(value)


def encode(point: RegisterForm, value: Value) -> bytes:
    """The registers that hold ``value`` (engineering units), as they go over the wire. Raises EncodeError.

    Not for coils and bits of a register, which have requests of their own.
    """
    if point.type is RegisterType.STRING:
        return _encode_text(point, value)
    if isinstance(value, str):
        raise EncodeError(f"{point.name} takes a number, not {value!r}")
    if point.type is RegisterType.BOOL:
        pattern = int(switch(point, value))
    elif point.type in FLOATS:
        pattern = _float_pattern(point, value)
    else:
        pattern = _integer_pattern(point, value)
    if pattern in point.not_implemented:
        raise EncodeError(f'{point.name}: {value} is how this device says "not implemented"')
    return laid_out(point, pattern)


def laid_out(point: RegisterForm, pattern: int) -> bytes:
    """A bit pattern of the whole point, unsigned, as it goes over the wire; a text's first character is on top."""
    octets = pattern.to_bytes(2 * point.registers, "big")
    is_word_swapped = point.word_order is Order.LITTLE and point.type is not RegisterType.STRING
    if is_word_swapped:
        octets = octets[::-1]  # the words, and the bytes in each
    return swapped(octets) if is_word_swapped is (point.byte_order is Order.BIG) else octets


def decode(point: RegisterForm, octets: bytes) -> int | float | str:
    """The value (engineering units) that the point's registers hold; a float unless scale is 1 and offset 0.

    Raises DecodeError for a "not implemented" pattern, NaN, infinity, a BCD digit above 9, bytes that are no UTF-8.
    """
    if point.type is RegisterType.STRING:
        return _decode_text(point, octets)
    pattern = sum(octets[place] << 8 * i for i, place in enumerate(wire_places(point)))
    if pattern in point.not_implemented:
        raise DecodeError(f'{point.name}: 0x{pattern:X} says "not implemented"')
    raw: int | float = pattern
    size = 16 * point.registers
    if point.type in FLOATS:
        form = ">f" if point.type is RegisterType.FLOAT32 else ">d"
        (raw,) = struct.unpack(form, pattern.to_bytes(size // 8, "big"))
    elif point.type in _SIGNED:
        raw = pattern - (pattern >> (size - 1) << size)
    elif point.type in _BCD:
        digits = f"{pattern:x}"
        if not digits.isdecimal():
            raise DecodeError(f"{point.name}: 0x{pattern:X} is no binary coded decimal")
        raw = int(digits)
    if point.scale != 1 or point.offset != 0:
        raw = raw * point.scale + point.offset
    if not math.isfinite(raw):
        raise DecodeError(f"{point.name} takes a finite number, not {raw}")
    return raw


def wire_places(point: RegisterForm) -> list[int]:
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


def swapped(octets: bytes) -> bytes:
    """The two bytes of each register exchanged."""
    exchanged = bytearray(octets)
    exchanged[0::2], exchanged[1::2] = octets[1::2], octets[0::2]
    return bytes(exchanged)


def _encode_text(point: RegisterForm, value: Value) -> bytes:
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
    return swapped(octets) if point.byte_order is Order.LITTLE else octets


def _decode_text(point: RegisterForm, octets: bytes) -> str:
    """NUL ends it, blanks at its end are padding. Word order has no meaning for text."""
    if point.byte_order is Order.LITTLE:
        octets = swapped(octets)
    if point.not_implemented and int.from_bytes(octets, "big") in point.not_implemented:
        raise DecodeError(f'{point.name}: these bytes say "not implemented"')
    try:
        return octets.partition(b"\0")[0].decode().rstrip(" ")
    except UnicodeDecodeError:
        raise DecodeError(f"{point.name}: these bytes are no UTF-8") from None


def _float_pattern(point: RegisterForm, value: float) -> int:
    raw = (value - point.offset) / point.scale
    if not math.isfinite(raw):
        raise EncodeError(f"{point.name} takes a finite number, not {value}")
    if point.type is RegisterType.FLOAT64:
        return int.from_bytes(struct.pack(">d", raw), "big")
    try:
        return int.from_bytes(struct.pack(">f", raw), "big")
    except OverflowError:
        raise EncodeError(f"{point.name}: {value} is too large for {point.type}") from None


def _integer_pattern(point: RegisterForm, value: float) -> int:
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
    if point.type in _SIGNED:
        low, high = -(1 << size - 1), (1 << size - 1) - 1
    elif point.type in _BCD:
        low, high = 0, 10 ** (size // 4) - 1
    else:
        low, high = 0, (1 << size) - 1
    if not low <= raw <= high:
        first, last = (bound * point.scale + point.offset for bound in (low, high))
        raise EncodeError(f"{point.name}: {value} is not within {min(first, last):g} .. {max(first, last):g}")
    if point.type in _BCD:
        return int(str(raw), 16)
    return raw % (1 << size)
