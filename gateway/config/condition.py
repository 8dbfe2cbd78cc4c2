"""Conditions over tags: what an interlock asks, parsed and checked when the site is read, evaluated before a command.

    any        := all ("or" all)*
    all        := inverse ("and" inverse)*
    inverse    := "not" inverse | comparison
    comparison := sum (("<" | "<=" | ">" | ">=" | "==" | "!=") sum)*
    sum        := product (("+" | "-") product)*
    product    := factor (("*" | "/") factor)*
    factor     := number [unit] | "true" | "false" | 'state' | tag | "value" | "-" factor | "(" any ")"
                | ("abs" | "min" | "max") "(" sum ("," sum)* ")"

``value`` is what is commanded. ``1 < a < 2`` means ``1 < a and a < 2``. A quoted word is a state's name, beside what
has states. A number takes the unit of what it stands beside, unless it names one, which must be the same. There are
no names but tags, no calls but those three, and nothing that repeats: an evaluation takes as long as the text is.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.config.fault import quote, suggestion
from gateway.config.units import unit_of
from gateway.tags.sample import Value
from gateway.tags.tag import ValueType

MAX_NESTING = 32  # brackets, minus signs and "not" in one condition; keeps the recursion small
VALUE = -1  # in place of an image index: what is commanded; as an index of the values it is the last of them

_TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)"
    r"|'(?P<state>[^']*)'"
    r"|(?P<sign><=|>=|==|!=|[-+*/()<>,])"
    r"|(?P<other>\S))"
)
_UNIT = re.compile(r"\s*(?P<unit>[^\W\d_][^\s()<>=!+*,']*|%)")
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_SUMS: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
}  # fmt: skip
_CALLS: Mapping[str, Callable[[list[float]], float]] = {"abs": lambda of: abs(of[0]), "min": min, "max": max}
_WORDS = frozenset({"and", "or", "not", "true", "false", "value", *_CALLS})


class Quantity(Protocol):
    """What is known of a tag, or of the value that is commanded, when the condition is read."""

    @property
    def type(self) -> ValueType: ...
    @property
    def unit(self) -> str | None: ...
    @property
    def states(self) -> Mapping[int, str]: ...


class BadCondition(Exception):  # noqa: N818 - read as what it is
    """A condition that means nothing: at which character, what was found there, and how to mend it."""

    def __init__(self, at: int, found: str, mend: str) -> None:
        super().__init__(found)
        self.at = at
        self.found = found
        self.mend = mend


class UndefinedError(Exception):
    """A condition that has no value now: a division by zero, or a number beyond all bounds."""


_Evaluate = Callable[[Sequence[Value]], Value]


class Formula:
    """What a text says, over values in the order in which it names their tags: it holds no image index."""

    __slots__ = ("_evaluate", "text")

    def __init__(self, text: str, evaluate: _Evaluate) -> None:
        self.text = text
        self._evaluate = evaluate

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Formula) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __call__(self, values: Sequence[Value]) -> Value:
        return self._evaluate(values)


@dataclass(frozen=True, slots=True)
class Condition:
    """``tags`` are the image indexes that it names, each once, in their order of naming."""

    tags: tuple[int, ...]
    formula: Formula

    def holds(self, values: Sequence[Value], value: Value) -> bool:
        """Whether it is true of ``values``, in the order of ``tags``, and of ``value``, which is commanded.

        Raises UndefinedError.
        """
        try:
            result = self.formula((*values, value))
        except (ZeroDivisionError, OverflowError) as error:
            raise UndefinedError(str(error)) from error
        assert isinstance(result, bool), result
        return result


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of a condition. ``unit`` of a number: "" where it has none, None where any fits.

    ``state`` is a quoted word that waits for what it stands beside; ``states`` are the names that a piece has.
    """

    at: int
    evaluate: _Evaluate
    is_bool: bool
    unit: str | None = None
    states: Mapping[int, str] | None = None
    state: str | None = None


def read_condition(text: str, tags: Mapping[str, int], quantities: Mapping[int, Quantity]) -> Condition:
    """``quantities`` by image index; under `VALUE` what is commanded. Raises BadCondition."""
    parser = _Parser(text, tags, quantities)
    whole = parser.any(0)
    parser.expect_end()
    if not whole.is_bool:
        raise BadCondition(0, "a number where the condition is true or false", "compare it: 'x < 5'")
    return Condition(tuple(parser.named), Formula(text, whole.evaluate))


class _Parser:
    """Recursive descent; each method gives a piece that is checked."""

    def __init__(self, text: str, tags: Mapping[str, int], quantities: Mapping[int, Quantity]) -> None:
        self._text = text
        self._tags = tags
        self._quantities = quantities
        self._at = 0
        self._kind, self._word, self._start = "", "", 0
        self.named: dict[int, int] = {}  # image index → place in the condition's tags
        self._next()

    def _next(self) -> None:
        match = _TOKEN.match(self._text, self._at)
        if match is None:
            self._kind, self._word, self._start = "end", "", len(self._text)
            return
        self._kind = match.lastgroup or ""
        self._word = match[self._kind]
        self._start = match.start(self._kind) - (self._kind == "state")
        self._at = match.end()

    def _is(self, *words: str) -> bool:
        return self._kind in ("sign", "name") and self._word in words

    def expect_end(self) -> None:
        if self._kind != "end":
            raise BadCondition(
                self._start, f"{quote(self._word)} where the condition could end", "join by 'and' or 'or'"
            )

    def any(self, depth: int) -> _Part:
        return self._joined(depth, "or", self._all, any)

    def _all(self, depth: int) -> _Part:
        return self._joined(depth, "and", self._inverse, all)

    def _joined(
        self, depth: int, word: str, below: Callable[[int], _Part], join: Callable[[list[Value]], bool]
    ) -> _Part:
        first = below(depth)
        if not self._is(word):
            return first
        parts = [self._bool(first, word)]
        while self._is(word):
            self._next()
            parts.append(self._bool(below(depth), word))
        evaluates = [part.evaluate for part in parts]
        return _Part(first.at, lambda values: join([each(values) for each in evaluates]), True)

    def _bool(self, part: _Part, word: str) -> _Part:
        if not part.is_bool:
            raise BadCondition(part.at, f"a number beside {quote(word)}", "compare it: 'x < 5'")
        return part

    def _inverse(self, depth: int) -> _Part:
        if not self._is("not"):
            return self._comparison(depth)
        at = self._start
        self._check_depth(depth)
        self._next()
        part = self._bool(self._inverse(depth + 1), "not").evaluate
        return _Part(at, lambda values: not part(values), True)

    def _comparison(self, depth: int) -> _Part:
        left = self._sum(depth)
        first = left
        pairs: list[_Evaluate] = []
        while self._is(*_COMPARISONS):
            sign, at = self._word, self._start
            self._next()
            right = self._sum(depth)
            pairs.append(self._compared(left, sign, at, right))
            left = right
        if not pairs:
            if first.state is not None:
                raise BadCondition(first.at, f"the state {quote(first.state)} alone", "write: tag == 'state'")
            return first
        return _Part(first.at, lambda values: all(pair(values) for pair in pairs), True)

    def _compared(self, left: _Part, sign: str, at: int, right: _Part) -> _Evaluate:
        left, right = self._named(left, right), self._named(right, left)
        if left.is_bool is not right.is_bool:
            raise BadCondition(at, f"a number {sign} true or false", "compare what is alike")
        if left.is_bool and sign not in ("==", "!="):
            raise BadCondition(at, f"true or false {quote(sign)}", "compare it by == or !=")
        if not left.is_bool:
            self._same_unit(left, right, at, sign)
        compare, one, other = _COMPARISONS[sign], left.evaluate, right.evaluate
        return lambda values: compare(_number(one(values)), _number(other(values)))

    def _named(self, part: _Part, beside: _Part) -> _Part:
        """A quoted word as the number that it names, beside what has states."""
        if part.state is None:
            return part
        numbers = {name: number for number, name in (beside.states or {}).items()}
        if part.state in numbers:
            value: Value = bool(numbers[part.state]) if beside.is_bool else numbers[part.state]
            return _Part(part.at, lambda values: value, beside.is_bool)
        if not beside.states:
            raise BadCondition(part.at, f"{quote(part.state)} beside what has no states", "write a number")
        known = suggestion(part.state, numbers, "name a state of the tag")
        raise BadCondition(part.at, f"the unknown state {quote(part.state)}", known)

    def _same_unit(self, left: _Part, right: _Part, at: int, sign: str) -> str | None:
        if left.unit is None or right.unit is None or left.unit == right.unit:
            return left.unit if right.unit is None else right.unit
        shown = [f"'{unit}'" if unit else "what has no unit" for unit in (left.unit, right.unit)]
        raise BadCondition(at, f"{shown[0]} {sign} {shown[1]}", "convert one: 'x * 1000', or 'x / 1 kW'")

    def _sum(self, depth: int) -> _Part:
        return self._reckoned(depth, ("+", "-"), self._product)

    def _product(self, depth: int) -> _Part:
        return self._reckoned(depth, ("*", "/"), self._factor)

    def _reckoned(self, depth: int, signs: tuple[str, str], below: Callable[[int], _Part]) -> _Part:
        left = below(depth)
        while self._is(*signs):
            sign, at = self._word, self._start
            self._next()
            right = below(depth)
            for part in (left, right):
                if part.is_bool or part.state is not None:
                    raise BadCondition(part.at, f"no number beside {quote(sign)}", "reckon with numbers only")
            unit = self._same_unit(left, right, at, sign) if sign in "+-" else _of_product(left, sign, right)
            left = _Part(left.at, _reckon(_SUMS[sign], left.evaluate, right.evaluate), False, unit)
        return left

    def _factor(self, depth: int) -> _Part:
        self._check_depth(depth)
        kind, word, at = self._kind, self._word, self._start
        if kind == "end":
            raise BadCondition(at, "an end where a value must come", "write a tag or a number")
        if kind == "number":
            return self._literal(int(word) if word.isdecimal() else float(word), at)
        self._next()
        if kind == "state":
            return _Part(at, lambda values: word, False, state=word)
        if kind == "name" and word in ("true", "false"):
            return _Part(at, lambda values: word == "true", True)
        if kind == "name" and word in _CALLS:
            return self._call(word, at, depth)
        if kind == "name" and word not in ("and", "or", "not"):
            return self._tag(word, at)
        if word == "-":
            part = self._factor(depth + 1)
            if part.is_bool or part.state is not None:
                raise BadCondition(part.at, "no number after '-'", "reckon with numbers only")
            return _Part(at, lambda values: -_number(part.evaluate(values)), False, part.unit)
        if word == "(":
            part = self.any(depth + 1)
            self._close(at)
            return part
        raise BadCondition(at, f"{quote(word)} where a value must come", "write a tag or a number")

    def _close(self, at: int) -> None:
        if not self._is(")"):
            raise BadCondition(at, "'(' without its ')'", "close the bracket")
        self._next()

    def _literal(self, number: float, at: int) -> _Part:
        match = _UNIT.match(self._text, self._at)
        unit = None
        if match is not None and match["unit"] not in _WORDS:
            found = unit_of(match["unit"])
            if found is None:
                raise BadCondition(
                    match.start("unit"),
                    f"the unknown unit {quote(match['unit'])}",
                    "write one of the units listed in docs/site-files.md",
                )
            unit = found.symbol
            self._at = match.end()
        self._next()
        return _Part(at, lambda values: number, False, unit)

    def _call(self, word: str, at: int, depth: int) -> _Part:
        if not self._is("("):
            raise BadCondition(at, f"{quote(word)} without '('", f"write '{word}(...)'")
        opened = self._start
        self._next()
        parts = [self._sum(depth + 1)]
        unit = parts[0].unit
        while self._is(","):
            comma = self._start
            self._next()
            parts.append(self._sum(depth + 1))
            unit = self._same_unit(parts[0], parts[-1], comma, "and")
        self._close(opened)
        if (len(parts) == 1) is not (word == "abs"):
            wanted = "one value" if word == "abs" else "two values or more"
            raise BadCondition(at, f"{quote(word)} of {len(parts)} values", f"give it {wanted}")
        for part in parts:
            if part.is_bool or part.state is not None:
                raise BadCondition(part.at, f"no number in {quote(word)}", "reckon with numbers only")
        call, evaluates = _CALLS[word], [part.evaluate for part in parts]
        return _Part(at, lambda values: call([_number(each(values)) for each in evaluates]), False, unit)

    def _tag(self, name: str, at: int) -> _Part:
        place = VALUE if name == "value" else self._tags.get(name)
        if place is None:
            near = suggestion(name, self._tags, "see `tieline tags`")
            raise BadCondition(at, f"the unknown tag {quote(name)}", near)
        quantity = self._quantities[place]
        if quantity.type is ValueType.STRING:
            raise BadCondition(at, f"{quote(name)} is a string", "conditions are over numbers and bools")
        # What is commanded comes last in the values.
        where = VALUE if place == VALUE else self.named.setdefault(place, len(self.named))
        is_bool = quantity.type is ValueType.BOOL
        return _Part(at, lambda values: values[where], is_bool, quantity.unit or "", quantity.states)

    def _check_depth(self, depth: int) -> None:
        if depth > MAX_NESTING:
            raise BadCondition(self._start, f"more than {MAX_NESTING} nested parts", "simplify the condition")


def _of_product(left: _Part, sign: str, right: _Part) -> str | None:
    """A plain number changes no unit; of two quantities nobody keeps a table, so their product fits any."""
    if not right.unit:
        return left.unit if left.unit else None
    if not left.unit:
        return right.unit if sign == "*" else None
    return "" if sign == "/" and left.unit == right.unit else None


def _reckon(reckon: Callable[[float, float], float], left: _Evaluate, right: _Evaluate) -> _Evaluate:
    return lambda values: reckon(_number(left(values)), _number(right(values)))


def _number(value: Value) -> float:
    """Integers stay what they are, of 64 bits: they compare exactly."""
    assert not isinstance(value, str), value
    if isinstance(value, float) and not math.isfinite(value):
        raise OverflowError("not a finite number")
    return value
