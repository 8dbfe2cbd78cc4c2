"""Random expressions on STRING and WSTRING give what Python's own slices say, unit by unit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from plc import load

Values = dict[str, str]
Apart = Callable[[str, list[dict[str, Any]], tuple[str, ...]], str]
LETTERS = {"STRING": "aB$'\xe4 ", "WSTRING": 'aB$"Ω\u20ac\ud83d\ude00'}
VARIABLES = 3  # of each type
LENGTH = 8
DEPTH = 3
RESULT = 40  # where longer results are cut


@dataclass(frozen=True)
class Text:
    """Structured Text of a type, with how it is worked out; a WSTRING's characters are UTF-16 units."""

    type: str
    text: str
    value: Callable[[Values], Any]


def literal(type_: str, value: str) -> Text:
    digits, quote = (4, '"') if type_ == "WSTRING" else (2, "'")
    escaped = "".join(f"${ord(one):0{digits}X}" for one in value)
    return Text(type_, f"{quote}{escaped}{quote}", lambda _: value)


def variable(type_: str, index: int) -> Text:
    name = f"{type_.lower()}_{index}"
    return Text(type_, name, lambda values: values[name])


def narrow(value: str) -> str:
    return "".join(one if one <= "\xff" else "?" for one in value)


def words(type_: str, most: int) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(LETTERS[type_]), max_size=most).map("".join)


@cache
def texts(type_: str, depth: int = DEPTH) -> st.SearchStrategy[Text]:
    leaves = st.one_of(
        st.integers(0, VARIABLES - 1).map(lambda index: variable(type_, index)),
        words(type_, 6).map(lambda value: literal(type_, value)),
    )
    if depth == 0:
        return leaves
    same, numbers = texts(type_, depth - 1), st.integers(0, 12)
    other = "STRING" if type_ == "WSTRING" else "WSTRING"
    return st.one_of(
        leaves,
        st.builds(concat, same, same),
        st.builds(left, same, numbers),
        st.builds(right, same, numbers),
        st.builds(middle, same, numbers, st.integers(1, 12)),
        st.builds(insert, same, same, numbers),
        st.builds(delete, same, numbers, st.integers(1, 12)),
        st.builds(replace, same, same, numbers, st.integers(1, 12)),
        st.builds(extreme, st.sampled_from(["MIN", "MAX"]), same, same),
        st.builds(select, comparisons(type_, depth - 1), same, same),
        texts(other, depth - 1).map(convert),
    )


@cache
def comparisons(type_: str, depth: int) -> st.SearchStrategy[Text]:
    return st.builds(
        comparison,
        st.sampled_from(["=", "<>", "<", ">", "<=", ">="]),
        texts(type_, depth),
        texts(type_, depth),
    )


def numbers_of(type_: str) -> st.SearchStrategy[Text]:
    return st.one_of(texts(type_).map(length), st.builds(find, texts(type_), texts(type_, 1)))


def concat(a: Text, b: Text) -> Text:
    return Text(a.type, f"CONCAT({a.text}, {b.text})", lambda v: a.value(v) + b.value(v))


def left(a: Text, n: int) -> Text:
    return Text(a.type, f"LEFT({a.text}, {n})", lambda v: a.value(v)[:n])


def right(a: Text, n: int) -> Text:
    return Text(a.type, f"RIGHT({a.text}, {n})", lambda v: a.value(v)[max(0, len(a.value(v)) - n) :])


def middle(a: Text, n: int, at: int) -> Text:
    return Text(a.type, f"MID({a.text}, {n}, {at})", lambda v: a.value(v)[at - 1 : at - 1 + n])


def insert(a: Text, b: Text, at: int) -> Text:
    return Text(
        a.type,
        f"INSERT({a.text}, {b.text}, {at})",
        lambda v: a.value(v)[:at] + b.value(v) + a.value(v)[at:],
    )


def delete(a: Text, n: int, at: int) -> Text:
    return Text(
        a.type, f"DELETE({a.text}, {n}, {at})", lambda v: a.value(v)[: at - 1] + a.value(v)[at - 1 + n :]
    )


def replace(a: Text, b: Text, n: int, at: int) -> Text:
    return Text(
        a.type,
        f"REPLACE({a.text}, {b.text}, {n}, {at})",
        lambda v: a.value(v)[: at - 1] + b.value(v) + a.value(v)[at - 1 + n :],
    )


def extreme(name: str, a: Text, b: Text) -> Text:
    choose = min if name == "MIN" else max
    return Text(a.type, f"{name}({a.text}, {b.text})", lambda v: choose(a.value(v), b.value(v)))


def select(chooser: Text, a: Text, b: Text) -> Text:
    return Text(
        a.type,
        f"SEL({chooser.text}, {a.text}, {b.text})",
        lambda v: b.value(v) if chooser.value(v) else a.value(v),
    )


def convert(a: Text) -> Text:
    if a.type == "STRING":
        return Text("WSTRING", f"STRING_TO_WSTRING({a.text})", a.value)
    return Text("STRING", f"WSTRING_TO_STRING({a.text})", lambda v: narrow(a.value(v)))


def comparison(operator: str, a: Text, b: Text) -> Text:
    def value(v: Values) -> bool:
        x, y = a.value(v), b.value(v)
        return bool({"<": x < y, ">": x > y, "<=": x <= y, ">=": x >= y, "=": x == y, "<>": x != y}[operator])

    return Text("BOOL", f"({a.text} {operator} {b.text})", value)


def length(a: Text) -> Text:
    return Text("INT", f"LEN({a.text})", lambda v: len(a.value(v)))


def find(a: Text, b: Text) -> Text:
    return Text(
        "INT",
        f"FIND({a.text}, {b.text})",
        lambda v: a.value(v).find(b.value(v)) + 1 if b.value(v) else 0,
    )


NAMES = {f"{type_.lower()}_{index}": type_ for type_ in LETTERS for index in range(VARIABLES)}
ANY = st.sampled_from(sorted(LETTERS)).flatmap(
    lambda type_: st.one_of(texts(type_), comparisons(type_, DEPTH - 1), numbers_of(type_))
)
INPUTS = st.fixed_dictionaries({name: words(type_, LENGTH) for name, type_ in NAMES.items()})


def joined(units: str) -> str:
    """Units as the text that they are."""
    return units.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def program(found: list[Text]) -> str:
    declared = "".join(f" {name} : {type_}[{LENGTH}];" for name, type_ in NAMES.items())
    sized = [f"{one.type}[{RESULT}]" if one.type in LETTERS else one.type for one in found]
    results = "".join(f" r{index} : {type_};" for index, type_ in enumerate(sized))
    body = "".join(f"r{index} := {one.text};\n" for index, one in enumerate(found))
    return f"PROGRAM main\nVAR\n{declared}\n{results}\nEND_VAR\n{body}END_PROGRAM\n"


SETTINGS = {
    "phases": [Phase.explicit, Phase.reuse, Phase.generate],  # each step of shrinking would build a program
    "deadline": None,
    "suppress_health_check": [
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
        HealthCheck.function_scoped_fixture,
    ],
}


@settings(max_examples=5, **SETTINGS)
@given(st.lists(ANY, min_size=20, max_size=40), st.lists(INPUTS, min_size=4, max_size=8))
def test_random_texts_are_what_the_reference_says(found: list[Text], all_values: list[Values]) -> None:
    bench = load(program(found))
    for values in all_values:
        for name, value in values.items():
            bench[f"main.{name}"] = joined(value)
        bench.scan()
        for index, one in enumerate(found):
            expected = one.value(values)
            if isinstance(expected, str):
                expected = joined(expected[:RESULT])
            assert bench[f"main.r{index}"] == expected, f"{one.text} with {values}"


@settings(max_examples=1, **SETTINGS)
@given(found=st.lists(ANY, min_size=20, max_size=40), all_values=st.lists(INPUTS, min_size=4, max_size=8))
def test_random_texts_are_never_undefined(
    apart: Apart, clean_flags: tuple[str, ...], found: list[Text], all_values: list[Values]
) -> None:
    values = [{name: joined(value) for name, value in one.items()} for one in all_values]
    narrowed = [
        {name: value if NAMES[name] == "STRING" else narrow(value) for name, value in one.items()}
        for one in values
    ]
    assert apart(program(found), narrowed, clean_flags) == f"ran {len(all_values)}"
