"""Random typed expressions give what a reference evaluator in exact Python arithmetic says.

All integer and bit string types, REAL and LREAL: wrap, division, shifts, rotations, selections, conversions. A single
is a double rounded after each operation, which is exact for + - * / (double has more than twice the digits and two).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plc import load
from plc.bench import Bench

SIGNED = {"SINT": 8, "INT": 16, "DINT": 32, "LINT": 64}
UNSIGNED = {"USINT": 8, "UINT": 16, "UDINT": 32, "ULINT": 64}
BITS = {"BYTE": 8, "WORD": 16, "DWORD": 32, "LWORD": 64}
REALS = ("REAL", "LREAL")
WHOLE = {**SIGNED, **UNSIGNED, **BITS}
DEPTH = 4
VARIABLES = 3  # of each type

Values = dict[str, Any]
Apart = Callable[[str, list[dict[str, Any]], tuple[str, ...]], str]


class NoNumberError(Exception):
    """The expression has no defined value, but a fault."""


@dataclass(frozen=True)
class Expression:
    """Structured Text of a type, with how it is worked out."""

    type: str
    text: str
    value: Callable[[Values], Any]


def wrapped(value: int, type_: str) -> int:
    width = WHOLE[type_]
    value &= (1 << width) - 1
    return value - (1 << width) if type_ in SIGNED and value >> (width - 1) else value


def limits(type_: str) -> tuple[int, int]:
    width = WHOLE[type_]
    return (-(1 << (width - 1)), (1 << (width - 1)) - 1) if type_ in SIGNED else (0, (1 << width) - 1)


def single(value: float) -> float:
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def rounded(value: float, type_: str) -> float:
    return single(value) if type_ == "REAL" else value


def single_of_integer(value: int) -> float:
    """Rounded once, to 24 bits, ties to even."""
    size, sign = abs(value), -1 if value < 0 else 1
    spare = max(0, size.bit_length() - 24)
    kept, cut = size >> spare, size & ((1 << spare) - 1)
    half = (1 << spare) >> 1
    if spare and (cut > half or (cut == half and kept & 1)):
        kept += 1
    return float(sign * (kept << spare))


def cut_division(a: int, b: int) -> int:
    quotient = abs(a) // abs(b)
    return -quotient if (a < 0) != (b < 0) else quotient


def real_operation(operator: str, a: float, b: float) -> float:
    if operator == "+":
        return a + b
    if operator == "-":
        return a - b
    if operator == "*":
        return a * b
    if math.isinf(a) and math.isinf(b):
        return math.nan
    return a / b


def variable(type_: str, index: int) -> Expression:
    name = f"{type_.lower()}_{index}"
    return Expression(type_, name, lambda values: values[name])


@cache
def leaves(type_: str) -> st.SearchStrategy[Expression]:
    variables = st.integers(0, VARIABLES - 1).map(lambda index: variable(type_, index))
    if type_ in WHOLE:
        low, high = limits(type_)
        literals = st.integers(low, high).map(lambda n: Expression(type_, f"{type_}#{n}", lambda _: n))
    elif type_ == "BOOL":
        literals = st.booleans().map(lambda b: Expression("BOOL", str(b).upper(), lambda _: b))
    else:
        literals = st.integers(-1000, 1000).map(
            lambda n: Expression(type_, f"{type_}#{n / 8}", lambda _: n / 8)
        )
    return st.one_of(variables, variables, literals)


@cache
def expressions(type_: str, depth: int = DEPTH) -> st.SearchStrategy[Expression]:
    if depth == 0:
        return leaves(type_)
    same = expressions(type_, depth - 1)
    choices = [leaves(type_), st.builds(select, expressions("BOOL", depth - 1), same, same)]
    if type_ == "BOOL":
        choices.append(st.builds(logical, st.sampled_from(["AND", "OR", "XOR"]), same, same))
        choices.append(same.map(lambda e: Expression("BOOL", f"NOT ({e.text})", lambda v: not e.value(v))))
        compared = st.sampled_from([*SIGNED, *UNSIGNED, *REALS]).flatmap(
            lambda t: st.tuples(expressions(t, depth - 1), expressions(t, depth - 1))
        )
        choices.append(st.builds(comparison, st.sampled_from(["<", ">", "<=", ">=", "=", "<>"]), compared))
        return st.one_of(choices)
    choices.append(
        st.sampled_from([*WHOLE, *REALS]).flatmap(
            lambda t: expressions(t, depth - 1).map(lambda e: conversion(e, type_))
        )
    )
    if type_ in BITS:
        choices.append(st.builds(bitwise, st.sampled_from(["AND", "OR", "XOR"]), same, same))
        choices.append(
            st.builds(
                shift, st.sampled_from(["SHL", "SHR", "ROL", "ROR"]), same, expressions("INT", depth - 1)
            )
        )
        choices.append(
            same.map(lambda e: Expression(type_, f"(NOT {e.text})", lambda v: wrapped(~e.value(v), type_)))
        )
        return st.one_of(choices)
    operators = ["+", "-", "*", "/"] + ([] if type_ in REALS else ["MOD"])
    choices.append(st.builds(arithmetic, st.sampled_from(operators), same, same))
    choices.append(st.builds(arithmetic, st.sampled_from(operators), same, same))
    choices.append(st.builds(extreme, st.sampled_from(["MIN", "MAX"]), same, same))
    choices.append(same.map(absolute))
    if type_ not in UNSIGNED:
        choices.append(same.map(negation))
    return st.one_of(choices)


def select(chooser: Expression, a: Expression, b: Expression) -> Expression:
    text = f"SEL({chooser.text}, {a.text}, {b.text})"
    return Expression(a.type, text, lambda v: (a.value(v), b.value(v))[chooser.value(v)])


def logical(operator: str, a: Expression, b: Expression) -> Expression:
    def value(v: Values) -> bool:
        x, y = a.value(v), b.value(v)
        return bool({"AND": x and y, "OR": x or y, "XOR": x != y}[operator])

    return Expression("BOOL", f"(({a.text}) {operator} ({b.text}))", value)


def comparison(operator: str, pair: tuple[Expression, Expression]) -> Expression:
    a, b = pair

    def value(v: Values) -> bool:
        x, y = a.value(v), b.value(v)
        return bool({"<": x < y, ">": x > y, "<=": x <= y, ">=": x >= y, "=": x == y, "<>": x != y}[operator])

    return Expression("BOOL", f"({a.text} {operator} {b.text})", value)


def bitwise(operator: str, a: Expression, b: Expression) -> Expression:
    def value(v: Values) -> int:
        x, y = a.value(v), b.value(v)
        return int({"AND": x & y, "OR": x | y, "XOR": x ^ y}[operator])

    return Expression(a.type, f"({a.text} {operator} {b.text})", value)


def shift(name: str, a: Expression, count: Expression) -> Expression:
    width = BITS[a.type]

    def value(v: Values) -> int:
        x, n = a.value(v), count.value(v)
        if name in ("ROL", "ROR"):
            n = (n if name == "ROL" else -n) % width
            return ((x << n) | (x >> (width - n))) & ((1 << width) - 1)
        n = max(0, n)
        return (x << n) & ((1 << width) - 1) if name == "SHL" else x >> n

    return Expression(a.type, f"{name}({a.text}, {count.text})", value)


def arithmetic(operator: str, a: Expression, b: Expression) -> Expression:
    """A divisor that may be zero is 1 then."""
    type_ = a.type
    divides = operator in ("/", "MOD")
    zero = "0.0" if type_ in REALS else "0"
    right = f"SEL({b.text} = {type_}#{zero}, {b.text}, {type_}#1{zero[1:]})" if divides else b.text

    def value(v: Values) -> Any:
        x, y = a.value(v), b.value(v)
        if divides and y == 0:
            y = 1
        if type_ in REALS:
            return rounded(real_operation(operator, x, y), type_)
        whole = {
            "+": lambda: x + y,
            "-": lambda: x - y,
            "*": lambda: x * y,
            "/": lambda: cut_division(x, y),
            "MOD": lambda: x - cut_division(x, y) * y,
        }[operator]()
        return wrapped(whole, type_)

    return Expression(type_, f"({a.text} {operator} {right})", value)


def extreme(name: str, a: Expression, b: Expression) -> Expression:
    def value(v: Values) -> Any:
        x, y = a.value(v), b.value(v)
        return (y if y < x else x) if name == "MIN" else (y if y > x else x)

    return Expression(a.type, f"{name}({a.text}, {b.text})", value)


def absolute(a: Expression) -> Expression:
    def value(v: Values) -> Any:
        x = abs(a.value(v))
        return x if a.type in REALS else wrapped(x, a.type)

    return Expression(a.type, f"ABS({a.text})", value)


def negation(a: Expression) -> Expression:
    def value(v: Values) -> Any:
        x = -a.value(v)
        return x if a.type in REALS else wrapped(x, a.type)

    return Expression(a.type, f"(-({a.text}))", value)


def conversion(a: Expression, type_: str) -> Expression:
    source = a.type
    if source == type_:
        return a

    def value(v: Values) -> Any:
        x = a.value(v)
        if type_ in REALS:
            if {source, type_} in ({"REAL", "DWORD"}, {"LREAL", "LWORD"}):
                kind = "f" if type_ == "REAL" else "d"
                return struct.unpack(f"<{kind}", x.to_bytes(WHOLE[source] // 8, "little"))[0]
            if source in REALS:
                return rounded(x, type_)
            return single_of_integer(x) if type_ == "REAL" else float(x)
        if source not in REALS:
            return wrapped(x, type_)
        if {source, type_} in ({"REAL", "DWORD"}, {"LREAL", "LWORD"}):
            if math.isnan(x):
                raise NoNumberError  # which NaN it is, nobody promises
            kind = "f" if source == "REAL" else "d"
            return int.from_bytes(struct.pack(f"<{kind}", x), "little")
        if math.isnan(x):
            raise NoNumberError
        low, high = limits(type_)
        return high if x >= high else low if x <= low else min(max(round(x), low), high)

    return Expression(type_, f"{source}_TO_{type_}({a.text})", value)


TYPES = [*SIGNED, *UNSIGNED, *BITS, *REALS, "BOOL"]
NAMES = {f"{type_.lower()}_{index}": type_ for type_ in TYPES for index in range(VARIABLES)}


def inputs() -> st.SearchStrategy[Values]:
    def of(type_: str) -> st.SearchStrategy[Any]:
        if type_ in WHOLE:
            low, high = limits(type_)
            return st.one_of(st.integers(low, high), st.sampled_from([low, high, 0, 1, max(low, -1)]))
        if type_ == "BOOL":
            return st.booleans()
        return st.floats(-1e6, 1e6, width=32 if type_ == "REAL" else 64)

    return st.fixed_dictionaries({name: of(type_) for name, type_ in NAMES.items()})


def program(found: list[Expression]) -> str:
    declared = "".join(f" {name} : {type_};" for name, type_ in NAMES.items())
    results = "".join(f" r{index} : {one.type};" for index, one in enumerate(found))
    body = "".join(f"r{index} := {one.text};\n" for index, one in enumerate(found))
    return f"PROGRAM main\nVAR\n{declared}\n{results}\nEND_VAR\n{body}END_PROGRAM\n"


def check(bench: Bench, found: list[Expression], values: Values) -> None:
    for name, value in values.items():
        bench[f"main.{name}"] = value
    bench.scan()
    for index, one in enumerate(found):
        expected, got = one.value(values), bench[f"main.r{index}"]
        if isinstance(expected, float) and math.isnan(expected):
            assert math.isnan(got), one.text
        else:
            assert got == expected, f"{one.text} with {values}"


def is_defined(one: Expression, all_values: list[Values]) -> bool:
    try:
        for values in all_values:
            one.value(values)
    except NoNumberError:
        return False
    return True


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
@given(
    st.lists(st.sampled_from(TYPES).flatmap(expressions), min_size=20, max_size=40),
    st.lists(inputs(), min_size=4, max_size=8),
)
def test_random_expressions_are_worked_out_as_the_reference_says(
    found: list[Expression], all_values: list[Values]
) -> None:
    defined = [one for one in found if is_defined(one, all_values)]
    bench = load(program(defined))
    for values in all_values:
        check(bench, defined, values)


@settings(
    max_examples=2,
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
        HealthCheck.function_scoped_fixture,
    ],
)
@given(
    found=st.lists(st.sampled_from(TYPES).flatmap(expressions), min_size=20, max_size=40),
    all_values=st.lists(inputs(), min_size=4, max_size=8),
)
def test_random_expressions_are_never_undefined(
    apart: Apart, found: list[Expression], all_values: list[Values]
) -> None:
    flags = (
        "-fsanitize=undefined,float-cast-overflow",
        "-fno-sanitize-recover=all",
        "-Wall",
        "-Wextra",
        "-Werror",
    )
    assert apart(program(found), all_values, flags) == f"ran {len(all_values)}"
