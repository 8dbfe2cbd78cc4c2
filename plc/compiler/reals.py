"""Which real divisors can not be 0, from how they are written: 1.0 + x * x, MAX(x, 0.1), LIMIT(0.5, x, 2.0).

Each rule holds for the rounded operation of IEEE 754, because rounding keeps the order: a <= b gives
round(a) <= round(b). A bound is of the value where it is a number; not a number is never 0 and makes no fault.
"""

from __future__ import annotations

import math
import struct

from plc.language import typed
from plc.language.types import REAL, Type, plain

_SMALLEST_ARGUMENTS = 2  # of MAX: with fewer there is nothing to compare


def is_never_zero(divisor: typed.Expression) -> bool:
    """Whether a real expression is another constant than 0, above 0, or not a number, whatever its variables hold."""
    if isinstance(divisor, typed.Literal):
        return _rounded(float(divisor.value or 0), divisor.type) != 0.0
    bound = _least(divisor)
    return bound is not None and bound > 0.0


def _least(expression: typed.Expression) -> float | None:
    """What an expression is never below, or ``None`` where that is not plain to see."""
    match expression:
        case typed.Literal(value=float() as value):
            return _rounded(value, expression.type)
        case typed.Operation(operator="+", operands=(left, right)):
            a, b = _least(left), _least(right)
            return None if a is None or b is None else _rounded(a + b, expression.type)
        case typed.Operation(operator="*", operands=(left, right)):
            if _is_same(left, right):
                return 0.0
            a, b = _least(left), _least(right)
            if a is None or b is None or a < 0.0 or b < 0.0:
                return None
            return _rounded(a * b, expression.type)
        case typed.StandardCall():
            return _least_of_call(expression)
    return None


def _least_of_call(call: typed.StandardCall) -> float | None:
    match call.function.name, call.arguments:
        case ("ABS" | "SQRT" | "EXP", _):
            return 0.0
        case ("MAX", arguments) if len(arguments) >= _SMALLEST_ARGUMENTS:
            known = [bound for bound in map(_least, arguments) if bound is not None]
            return max(known, default=None)
        case ("MIN", arguments):
            bounds = [_least(one) for one in arguments]
            known = [bound for bound in bounds if bound is not None]
            return min(known) if known and len(known) == len(bounds) else None
        case ("LIMIT", (low, _, high)):
            a, b = _least(low), _least(high)
            return None if a is None or b is None else min(a, b)
    return None


def _is_same(left: typed.Expression, right: typed.Expression) -> bool:
    """Whether both are one variable: its square is not negative."""
    match left, right:
        case typed.VariableUse(variable=one), typed.VariableUse(variable=other):
            return one is other
        case typed.FieldUse(base=base, variable=one), typed.FieldUse(base=other_base, variable=other):
            return one is other and _is_same(base, other_base)
    return False


def _rounded(value: float, type_: Type) -> float:
    if plain(type_) is not REAL:
        return value
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)
