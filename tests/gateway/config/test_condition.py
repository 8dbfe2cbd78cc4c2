"""Conditions over tags: what they mean, and what is found wrong with them, where."""

from __future__ import annotations

import pickle
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.condition import VALUE, BadCondition, UndefinedError, read_condition
from gateway.tags.tag import ValueType


@dataclass(frozen=True)
class Known:
    type: ValueType
    unit: str | None = None
    states: dict[int, str] = field(default_factory=dict)


KNOWN = {
    "a.power_kw": Known(ValueType.DOUBLE, "kW"),
    "b.power_kw": Known(ValueType.DOUBLE, "kW"),
    "a.volts_v": Known(ValueType.DOUBLE, "V"),
    "a.count": Known(ValueType.INT64),
    "a.closed": Known(ValueType.BOOL, None, {0: "open", 1: "closed"}),
    "a.mode": Known(ValueType.UINT64, None, {0: "off", 5: "auto mode"}),
    "a.name": Known(ValueType.STRING),
    "_system.control.grid.holder": Known(ValueType.UINT64, None, {0: "nobody", 1: "local"}),
}
TAGS = {name: place for place, name in enumerate(KNOWN, 100)}
QUANTITIES = {TAGS[name]: known for name, known in KNOWN.items()} | {VALUE: Known(ValueType.DOUBLE, "kW")}
NOW: dict[str, Any] = {
    "a.power_kw": 10.0, "b.power_kw": -2.5, "a.volts_v": 230.0, "a.count": 2**62 + 1, "a.closed": True, "a.mode": 5,
    "_system.control.grid.holder": 1,
}  # fmt: skip


def holds(text: str, value: Any = 4.0) -> bool:
    condition = read_condition(text, TAGS, QUANTITIES)
    names = {place: name for name, place in TAGS.items()}
    return condition.holds([NOW[names[tag]] for tag in condition.tags], value)


TRUE = [
    "a.power_kw > 9",
    "a.power_kw > 9 kW and a.power_kw <= 10 kW",
    "0 < a.power_kw < 11",
    "not a.power_kw < 9",
    "not (a.power_kw < 9 or a.volts_v < 200 V)",
    "a.power_kw + b.power_kw == 7.5",
    "abs(b.power_kw) == 2.5 kW",
    "-b.power_kw == 2.5",
    "min(a.power_kw, b.power_kw, 3) == -2.5 and max(a.power_kw, 20) == 20",
    "a.closed",
    "a.closed == true",
    "a.closed == 'closed'",
    "a.closed != 'open'",
    "a.mode == 'auto mode'",
    "'off' != a.mode",
    "_system.control.grid.holder == 'local'",
    "value < a.power_kw",
    "value * 2 == 8 kW",
    "a.power_kw / 2 kW > 4.9",
    "a.power_kw / b.power_kw == -4",
    "a.power_kw * a.volts_v == 2300",
    "2 * 3 + 4 * 5 - 6 / 3 == 24",
    "a.power_kw*1e3 == 1.0E4",
    "a.count == 4611686018427387905",
    "false or not false and true",
    "a.power_kw - b.power_kw - 2 == 10.5",
]


@pytest.mark.parametrize("text", TRUE)
def test_what_is_true(text):
    assert holds(text)
    assert not holds(f"not ({text})")


def test_whole_numbers_are_compared_exactly():
    assert not holds("a.count == 4611686018427387904")


def test_a_tag_that_is_named_twice_is_read_once():
    condition = read_condition("b.power_kw < 5 and a.power_kw < 5 or b.power_kw > 9", TAGS, QUANTITIES)
    assert condition.tags == (TAGS["b.power_kw"], TAGS["a.power_kw"])


def test_conditions_that_say_the_same_of_the_same_are_equal():
    one, other = (read_condition("a.closed", TAGS, QUANTITIES) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert one != read_condition("not a.closed", TAGS, QUANTITIES)


BAD = [
    ("a.powr_kw > 5", 0, "the unknown tag 'a.powr_kw'", "write 'a.power_kw'"),
    ("a.power_kw > 5 V", 11, "'kW' > 'V'", "convert one: 'x * 1000', or 'x / 1 kW'"),
    (
        "a.power_kw > 5000 Wt",
        18,
        "the unknown unit 'Wt'",
        "write one of the units listed in docs/site-files.md",
    ),
    ("a.power_kw + a.volts_v > 3", 11, "'kW' + 'V'", "convert one: 'x * 1000', or 'x / 1 kW'"),
    ("a.power_kw < a.count", 11, "'kW' < what has no unit", "convert one: 'x * 1000', or 'x / 1 kW'"),
    ("min(a.power_kw, a.volts_v) < 3", 14, "'kW' and 'V'", "convert one: 'x * 1000', or 'x / 1 kW'"),
    ("a.power_kw", 0, "a number where the condition is true or false", "compare it: 'x < 5'"),
    ("a.closed and a.power_kw", 13, "a number beside 'and'", "compare it: 'x < 5'"),
    ("not a.power_kw", 4, "a number beside 'not'", "compare it: 'x < 5'"),
    ("a.closed == a.power_kw", 9, "a number == true or false", "compare what is alike"),
    ("a.closed < true", 9, "true or false '<'", "compare it by == or !="),
    ("a.closed + 1 > 2", 0, "no number beside '+'", "reckon with numbers only"),
    ("-a.closed", 1, "no number after '-'", "reckon with numbers only"),
    ("abs(a.closed) > 1", 4, "no number in 'abs'", "reckon with numbers only"),
    ("a.mode == 'of'", 10, "the unknown state 'of'", "write 'off'"),
    ("a.power_kw == 'off'", 14, "'off' beside what has no states", "write a number"),
    ("'off'", 0, "the state 'off' alone", "write: tag == 'state'"),
    ("a.name == 3", 0, "'a.name' is a string", "conditions are over numbers and bools"),
    ("abs(1, 2) == 1", 0, "'abs' of 2 values", "give it one value"),
    ("min(1) == 1", 0, "'min' of 1 values", "give it two values or more"),
    ("abs 1 == 1", 0, "'abs' without '('", "write 'abs(...)'"),
    ("(a.closed", 0, "'(' without its ')'", "close the bracket"),
    ("a.closed)", 8, "')' where the condition could end", "join by 'and' or 'or'"),
    ("a.closed a.closed", 9, "'a.closed' where the condition could end", "join by 'and' or 'or'"),
    ("a.power_kw >", 12, "an end where a value must come", "write a tag or a number"),
    ("a.power_kw > $", 13, "'$' where a value must come", "write a tag or a number"),
    ("a.power_kw / (3 - 3) > 1", 14, "a division by zero", "divide by something else"),
    ("", 0, "an end where a value must come", "write a tag or a number"),
    ("(" * 40 + "a.closed" + ")" * 40, 33, "more than 32 nested parts", "simplify the condition"),
]


@pytest.mark.parametrize(("text", "at", "found", "mend"), BAD)
def test_what_is_wrong_is_told_with_its_place(text, at, found, mend):
    with pytest.raises(BadCondition) as raised:
        read_condition(text, TAGS, QUANTITIES)
    assert (raised.value.at, raised.value.found, raised.value.mend) == (at, found, mend)


@pytest.mark.parametrize("text", ["1 / (a.mode - 5) > 1", "1e308 * 1e10 / 1e300 > 1"])
def test_what_has_no_value_is_undefined(text):
    with pytest.raises(UndefinedError):
        holds(text)


@given(st.text(alphabet="ab.powerkw_closd<>=!+-*/()' 0123456789andortfl", max_size=60))
def test_any_text_is_a_condition_or_a_fault_in_it(text):
    with suppress(BadCondition):
        assert read_condition(text, TAGS, QUANTITIES).formula.text == text


_numbers = st.recursive(
    st.sampled_from(["a.power_kw", "b.power_kw", "value", "2", "0.5", "3 kW"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda one: f"abs({one})"),
        inner.map(lambda one: f"-{one}"),
        st.tuples(inner, inner).map(lambda t: f"max({t[0]}, {t[1]})"),
    ),
    max_leaves=8,
)
_conditions = st.recursive(
    st.tuples(_numbers, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), _numbers).map(" ".join),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda one: f"not ({one})"),
    ),
    max_leaves=6,
)


@given(_conditions, st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_a_condition_is_what_python_makes_of_the_same_text(text, a, b, value):
    condition = read_condition(text, TAGS, QUANTITIES)
    known = {"a": {"power_kw": a}, "b": {"power_kw": b}}
    python = (
        text.replace(" kW", "").replace("a.power_kw", "a['power_kw']").replace("b.power_kw", "b['power_kw']")
    )
    expected = eval(python, {"abs": abs, "max": max}, {**known, "value": value})  # noqa: S307 - made here
    values = [a if tag == TAGS["a.power_kw"] else b for tag in condition.tags]
    assert condition.holds(values, value) == expected


def test_a_condition_goes_to_another_process_as_it_is():
    condition = read_condition("a.power_kw > 9 and value < a.power_kw", TAGS, QUANTITIES)
    copy = pickle.loads(pickle.dumps(condition))  # noqa: S301 - made here
    assert copy == condition
    assert copy.holds([10.0], 4.0)
