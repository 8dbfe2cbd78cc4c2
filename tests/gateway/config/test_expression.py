"""``${...}``: what it computes, and what it refuses."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.document import HOLE, Hole
from gateway.config.expression import BadExpression, Parameter, substitute

SCOPE: dict[str, Parameter | Hole] = {
    "n": 3,
    "max_kw": 22.5,
    "host": "10.0.0.1",
    "spare": True,
    "later": HOLE,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${n}", 3),
        ("${max_kw}", 22.5),
        ("${spare}", True),
        ("${host}", "10.0.0.1"),
        ("${15040 + n}", 15043),
        ("${2 * n - 1}", 5),
        ("${1 + 2 * n}", 7),
        ("${(1 + 2) * n}", 9),
        ("${10 - 3 - 2}", 5),
        ("${-n}", -3),
        ("${--n}", 3),
        ("${-max_kw * 1.5}", -33.75),
        ("${ n }", 3),
        ("meter ${n}", "meter 3"),
        ("${n}${n}", "33"),
        ("${n} of ${spare}", "3 of true"),
        ("${max_kw} kW", "22.5 kW"),
        ("$${n} costs $5", "${n} costs $5"),
        ("plain", "plain"),
    ],
)
def test_expressions_have_these_values(text: str, value: object) -> None:
    result = substitute(text, SCOPE)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize("text", ["${later}", "${later + 1}", "${n * later}", "-${later}"])
def test_what_waits_for_a_parameter_is_a_hole(text: str) -> None:
    assert substitute(text, SCOPE) is HOLE


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("${}", "nothing where '${}' needs a parameter or a number"),
        ("${m}", "the unknown parameter 'm' in '${m}'"),
        ("${n", "'${' without its '}'"),
        ("${n n}", "'n' in '${n n}'"),
        ("${n / 2}", "'/' in '${n / 2}'"),
        ("${n.real}", "'.' in '${n.real}'"),
        ("${n +}", "nothing where '${n +}' needs a parameter or a number"),
        ("${(n}", "'(' without its ')' in '${(n}'"),
        ("${host + 1}", "text in the sum '${host + 1}'"),
        ("${spare * 2}", "true or false in the sum '${spare * 2}'"),
        ("${__import__}", "the unknown parameter '__import__' in '${__import__}'"),
        (
            "${9999999999 * 9999999999}",
            "'${9999999999 * 9999999999}' gives a number that does not fit 64 bits",
        ),
    ],
)
def test_bad_expressions_say_why(text: str, found: str) -> None:
    with pytest.raises(BadExpression) as raised:
        substitute(text, SCOPE)
    assert raised.value.found == found


@pytest.mark.parametrize("text", ["${" + "(" * 150 + "}", "${" + "-" * 150 + "n}", "${" + "1+" * 200 + "1}"])
def test_size_and_nesting_are_bounded(text: str) -> None:
    with pytest.raises(BadExpression):
        substitute(text, SCOPE)


@given(st.text(alphabet="${}()+-*/ n1.x_", max_size=40))
def test_any_text_gives_a_value_or_says_why(text: str) -> None:
    with contextlib.suppress(BadExpression):
        substitute(text, {"n": 1, "x": 2.5})


@given(st.integers(-(2**30), 2**30), st.integers(-(2**30), 2**30), st.integers(0, 2**30))
def test_arithmetic_is_python_arithmetic(a: int, b: int, c: int) -> None:
    assert substitute("${a + b * 2 - c}", {"a": a, "b": b, "c": c}) == a + b * 2 - c
