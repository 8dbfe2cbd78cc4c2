"""Constants are worked out as the target does: checked against plain integer arithmetic."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plc.language import values
from plc.language.types import ELEMENTARY, REAL, SIGNED, UNSIGNED, UNTYPED_INTEGER, Elementary

WHOLE = st.sampled_from([*SIGNED, *UNSIGNED])


@given(type_=WHOLE, data=st.data(), operator=st.sampled_from("+-*"))
def test_integers_wrap_in_twos_complement(type_: Elementary, data: st.DataObject, operator: str) -> None:
    numbers = st.integers(type_.low, type_.high)
    left, right = data.draw(numbers), data.draw(numbers)
    exact = {"+": left + right, "-": left - right, "*": left * right}[operator]
    value, overflowed = values.binary(operator, left, right, type_)
    assert isinstance(value, int)
    assert type_.low <= value <= type_.high
    assert (value - exact) % (1 << type_.bits) == 0
    assert overflowed is (value != exact)


@given(left=st.integers(-(2**63), 2**63 - 1), right=st.integers(-(2**63), 2**63 - 1).filter(bool))
def test_6_6_2_5_5_division_cuts_towards_zero(left: int, right: int) -> None:
    quotient, _ = values.binary("/", left, right, UNTYPED_INTEGER)
    rest, _ = values.binary("MOD", left, right, UNTYPED_INTEGER)
    assert isinstance(quotient, int)
    assert isinstance(rest, int)
    assert quotient * right + rest == left
    assert abs(rest) < abs(right)
    assert rest == 0 or (rest < 0) == (left < 0)


@pytest.mark.parametrize(
    ("left", "operator", "right", "result"),
    [
        (7, "/", 2, 3),
        (-7, "/", 2, -3),
        (7, "/", -2, -3),
        (-7, "MOD", 2, -1),
        (7, "MOD", -2, 1),
        (2, "**", 10, 1024),
    ],
)
def test_worked_by_hand(left: int, operator: str, right: int, result: int) -> None:
    assert values.binary(operator, left, right, UNTYPED_INTEGER) == (result, False)


@given(st.floats(allow_nan=False, width=64), st.floats(allow_nan=False, width=64))
def test_singles_are_rounded_after_every_step(left: float, right: float) -> None:
    a, b = values.single(left), values.single(right)
    value, _ = values.binary("+", a, b, REAL)
    assert isinstance(value, float)
    assert value != value or struct.unpack("<f", struct.pack("<f", value))[0] == value


@pytest.mark.parametrize(
    ("value", "nearest"), [(0.5, 0), (1.5, 2), (2.5, 2), (-0.5, 0), (-1.5, -2), (2.4999, 2)]
)
def test_reals_round_to_nearest_ties_to_even(value: float, nearest: int) -> None:
    assert values.nearest_integer(value) == nearest


@pytest.mark.parametrize(("operator", "right"), [("/", 0), ("MOD", 0), ("**", -1), ("**", 10**9)])
def test_what_has_no_value_says_so(operator: str, right: int) -> None:
    with pytest.raises(values.NoValue):
        values.binary(operator, 5, right, UNTYPED_INTEGER)


def test_not_flips_all_bits_of_the_type() -> None:
    assert values.unary("NOT", 0b1010, ELEMENTARY["BYTE"]) == (0xF5, False)
    assert values.unary("NOT", True, ELEMENTARY["BOOL"]) == (False, False)
    assert values.unary("-", -128, ELEMENTARY["SINT"]) == (-128, True)


@pytest.mark.parametrize(
    ("left", "operator", "right", "type_name", "result"),
    [
        (True, "AND", False, "BOOL", (False, False)),
        (True, "XOR", True, "BOOL", (False, False)),
        (False, "OR_ELSE", True, "BOOL", (True, False)),
        (0xF0, "OR", 0x0F, "BYTE", (0xFF, False)),
        (200, "+", 100, "BYTE", (44, True)),
        (7.5, "/", 2.5, "LREAL", (3.0, False)),
        (0.1, "+", 0.2, "LREAL", (0.1 + 0.2, False)),
        (2.0, "**", 0.5, "LREAL", (2.0**0.5, False)),
        (2**62, "+", 2**62, "TIME", (-(2**63), True)),
        (3 * 10**9, "-", 10**9, "TIME", (2 * 10**9, False)),
        (1, "=", 1, "INT", (True, False)),
        ("a", "<", "b", "BOOL", (True, False)),
        (None, "=", None, "BOOL", (True, False)),
        (None, "<>", None, "BOOL", (False, False)),
    ],
)
def test_operations_worked_by_hand(
    left: values.Value, operator: str, right: values.Value, type_name: str, result: tuple[values.Value, bool]
) -> None:
    assert values.binary(operator, left, right, ELEMENTARY[type_name]) == result


@pytest.mark.parametrize(
    ("left", "operator", "right"), [(1.0, "/", 0.0), (-8.0, "**", 0.5), (1e300, "**", 3.0), (1.0, "MOD", 2.0)]
)
def test_reals_without_a_value(left: float, operator: str, right: float) -> None:
    with pytest.raises(values.NoValue):
        values.binary(operator, left, right, ELEMENTARY["LREAL"])


def test_untyped_numbers_are_exact_up_to_a_sensible_size() -> None:
    assert values.binary("*", 2**64, 2**64, UNTYPED_INTEGER) == (2**128, False)
    with pytest.raises(values.NoValue):
        values.binary("*", 2**4000, 2**4000, UNTYPED_INTEGER)
