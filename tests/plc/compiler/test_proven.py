"""What is not checked because it can not go wrong, and what only looks like it: there the checks still find it."""

from __future__ import annotations

import pytest

from plc import RunTimeFault, load
from plc.compiler.build import Options, translate
from plc.language.source import Source

PROVEN = [
    "r / (x * x + 1.0)",
    "r / (1.0 + x * x * 2.0)",
    "r / MAX(x, 0.1)",
    "r / MAX(0.1, x, r)",
    "r / LIMIT(0.5, x, 2.0)",
    "r / (ABS(x) + 1.0E-3)",
    "r / (EXP(x) + SQRT(r) + 0.5)",
    "r / (MIN(MAX(x, 1.0), 2.0) * 3.0)",
    "r / -2.5",
    "INT_TO_REAL(n / (n MOD 4 + 5))",
]
DOUBTFUL = [
    ("r / (x * x)", 0.0),
    ("r / (x * r + 1.0)", -1.0),
    ("r / (x * x + x)", -1.0),
    ("r / MAX(x, 0.0)", -3.0),
    ("r / MIN(x, 1.0)", 0.0),
    ("r / LIMIT(x, 1.0, 2.0 * x)", 0.0),
    ("r / (ABS(x) - 1.0)", 1.0),
    ("r / EXP(x)", -1000.0),  # it underflows to 0
    ("r / (x * x * 1.0E-30)", 1.0e-20),
    ("INT_TO_REAL(n / (n MOD 4))", 0.0),
    ("INT_TO_REAL(n / (n MOD 4 + 3))", -1.0),
]
PROGRAM = """PROGRAM main VAR x, y : REAL; r : REAL := 1.0; n : INT; END_VAR
n := REAL_TO_INT(x) * 3; y := {}; END_PROGRAM"""


@pytest.mark.parametrize("expression", PROVEN)
def test_a_divisor_that_can_not_be_0_is_not_checked(expression: str) -> None:
    c = translate((Source("main.st", PROGRAM.format(expression)),), Options()).c
    assert "tl_div_" not in c


@pytest.mark.parametrize("expression", PROVEN)
@pytest.mark.parametrize(
    "x", [0.0, -0.0, 1.0, -1.0, 1e30, -1e30, 3e38, 1e-40, float("inf"), float("-inf"), float("nan")]
)
def test_it_then_divides_by_no_0(expression: str, x: float) -> None:
    p = load(PROGRAM.format(expression).replace("REAL_TO_INT(x) * 3", "7"))
    p["main.x"] = x
    p.scan()
    assert p["main.y"] == p["main.y"] or x != x or abs(x) == float("inf")


@pytest.mark.parametrize(("expression", "x"), DOUBTFUL)
def test_a_divisor_that_only_looks_safe_is_found(expression: str, x: float) -> None:
    p = load(PROGRAM.format(expression))
    p["main.x"] = x
    with pytest.raises(RunTimeFault, match="division by zero"):
        p.scan()


def test_a_remainder_of_what_is_not_negative_is_an_index_without_a_check() -> None:
    text = """PROGRAM main VAR a : ARRAY [0..9] OF INT; n : UINT; i : INT; END_VAR
    a[n MOD 10] := 1; a[(n MOD 5) * 1 MOD 10] := 2; FOR i := 0 TO 99 DO a[i MOD 10] := i; END_FOR; END_PROGRAM"""
    assert "tl_index" not in translate((Source("main.st", text),), Options()).c


def test_a_negative_remainder_is_still_found() -> None:
    p = load("PROGRAM main VAR a : ARRAY [0..9] OF INT; i : INT; END_VAR a[i MOD 10] := 1; END_PROGRAM")
    p["main.i"] = -3
    with pytest.raises(RunTimeFault, match="array index"):
        p.scan()
