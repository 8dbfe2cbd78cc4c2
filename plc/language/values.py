"""Arithmetic on constants as the target does it: two's complement, IEEE 754, exact where untyped."""

from __future__ import annotations

import math
import struct
from typing import TypeAlias

from plc.language.types import (
    REAL,
    UNTYPED_INTEGER,
    UNTYPED_REAL,
    Elementary,
    Family,
    Type,
    plain,
)

Value: TypeAlias = bool | int | float | str | None

LARGEST_SHIFT = 4096  # exponent and digits beyond which an untyped power is not worked out


class NoValue(Exception):  # noqa: N818  # it says why there is none, and never leaves the checker
    """The operation has no value for these operands; the message says why."""


def utf16_units(text: str) -> str:
    """A text with each character beyond U+FFFF as the two units that a WSTRING keeps it in."""
    units = text.encode("utf-16-le", "surrogatepass")
    return "".join(chr(units[at] | units[at + 1] << 8) for at in range(0, len(units), 2))


def single(value: float) -> float:
    """The nearest IEEE 754 single, as a double."""
    if math.isinf(value) or math.isnan(value):
        return value
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def wrap(value: int, type_: Elementary) -> int:
    """Two's complement in the type's width."""
    value &= (1 << type_.bits) - 1
    if type_.family is Family.SIGNED and value >> (type_.bits - 1):
        value -= 1 << type_.bits
    return value


def fits(value: int, type_: Elementary) -> bool:
    """Whether an integer or bit string type holds a value."""
    return type_.low <= value <= type_.high


def nearest_integer(value: float) -> int:
    """Real to integer: to the nearest, ties to even."""
    if math.isnan(value) or math.isinf(value):
        raise NoValue("it is no finite number")
    return round(value)


def unary(operator: str, value: Value, type_: Type) -> tuple[Value, bool]:
    """The result, and whether it overflowed and was wrapped."""
    type_ = plain(type_)
    if isinstance(value, bool):
        return (not value, False) if operator == "NOT" else (value, False)
    if isinstance(value, float):
        return (-value if operator == "-" else value), False
    if not isinstance(value, int):
        raise NoValue("it is no number")
    if operator == "NOT":
        assert isinstance(type_, Elementary)
        return (~value if type_ is UNTYPED_INTEGER else wrap(~value, type_)), False
    return _in_range(-value if operator == "-" else value, type_)


_COMPARE = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}


def binary(operator: str, left: Value, right: Value, type_: Type) -> tuple[Value, bool]:
    """The result of an operation on two values of ``type_``, and whether it overflowed and was wrapped."""
    type_ = plain(type_)
    if operator in _COMPARE:
        if left is None or right is None:
            return _COMPARE[operator](left is None, right is None), False
        return bool(_COMPARE[operator](left, right)), False
    if isinstance(left, bool) and isinstance(right, bool):
        return _bits(operator, left, right) != 0, False
    if isinstance(left, (str, type(None))) or isinstance(right, (str, type(None))):
        raise NoValue("these are no numbers")
    if isinstance(left, float) or isinstance(right, float):
        return _real(operator, float(left), float(right), type_), False
    if operator in ("AND", "OR", "XOR", "AND_THEN", "OR_ELSE"):
        return _bits(operator, left, right), False
    return _in_range(_integer(operator, left, right), type_)


def _bits(operator: str, left: int, right: int) -> int:
    if operator in ("AND", "AND_THEN"):
        return left & right
    if operator in ("OR", "OR_ELSE"):
        return left | right
    if operator == "XOR":
        return left ^ right
    raise NoValue(f"{operator} is not for bits")


def _integer(operator: str, left: int, right: int) -> int:
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    if operator == "*":
        return left * right
    if operator == "**":
        if right < 0 or left.bit_length() * right > LARGEST_SHIFT:
            raise NoValue("the power is no integer of a sensible size")
        return int(left**right)
    if right == 0:
        raise NoValue("division by zero")
    quotient = abs(left) // abs(right)
    if (left < 0) != (right < 0):
        quotient = -quotient  # division cuts towards zero (6.6.2.5.5)
    if operator == "/":
        return quotient
    return left - quotient * right


def _real(operator: str, left: float, right: float, type_: Type) -> float:
    try:
        if operator == "/":
            if right == 0.0:
                raise NoValue("division by zero")
            result = left / right
        elif operator == "**":
            power = left**right
            if isinstance(power, complex):
                raise NoValue("a negative number has no such power")
            result = power
        else:
            result = {"+": left + right, "-": left - right, "*": left * right}[operator]
    except (OverflowError, ZeroDivisionError):
        raise NoValue("the result is not finite") from None
    except KeyError:
        raise NoValue(f"{operator} is not for reals") from None
    return single(result) if type_ is REAL else result


def _in_range(value: int, type_: Type) -> tuple[int, bool]:
    if not isinstance(type_, Elementary) or type_ in (UNTYPED_INTEGER, UNTYPED_REAL):
        if abs(value).bit_length() > LARGEST_SHIFT:
            raise NoValue("the number is too large")
        return value, False
    if type_.family in (Family.SIGNED, Family.UNSIGNED, Family.BIT):
        return wrap(value, type_), not fits(value, type_)
    wrapped = ((value + (1 << 63)) & ((1 << 64) - 1)) - (1 << 63)
    return wrapped, wrapped != value
