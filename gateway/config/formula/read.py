"""Formulas read and checked: what interlocks ask, and what calculated tags and events are made of.

    whole      := "if" whole "then" whole "else" whole | any
    any        := all ("or" all)*
    all        := inverse ("and" inverse)*
    inverse    := "not" inverse | comparison
    comparison := sum (("<" | "<=" | ">" | ">=" | "==" | "!=") sum)*
    sum        := product (("+" | "-") product)*
    product    := power (("*" | "/") power)*
    power      := "-" power | factor ["**" power]
    factor     := number [unit] | "true" | "false" | 'state' | tag | "value" | "(" whole ")"
                | function "(" argument ("," argument)* ")" | told "(" tag ")"
    argument   := whole | 'pattern of tags'         the second for sum, mean, min and max

``value`` is what is commanded, for interlocks; ``told`` are good, bad, uncertain, age, previous and rate, for
calculated tags and events. ``1 < a < 2`` means ``1 < a and a < 2``. A quoted word is a state's name, beside what has
states. A number takes the unit of what it stands beside, unless it names one, which must be the same. There are no
names but tags, and nothing that repeats: an evaluation takes as long as the text is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol

from gateway.config.fault import quote, suggestion
from gateway.config.formula.compile import UNDEFINED
from gateway.config.formula.functions import (
    ARITHMETIC,
    COMPARISONS,
    FUNCTIONS,
    MANY,
    TOLD_BOOL,
    TOLD_NUMBER,
    Function,
)
from gateway.config.formula.tree import (
    COMMANDED,
    Call,
    Choice,
    Compared,
    Constant,
    Formula,
    Input,
    Inverse,
    Joined,
    Negative,
    Node,
    Reckoned,
    Told,
)
from gateway.config.units import unit_of
from gateway.tags.tag import ValueType

MAX_NESTING = 32  # brackets, minus signs, "if" and "not" in one formula; keeps the recursion small

_TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)"
    r"|'(?P<state>[^']*)'"
    r"|(?P<sign><=|>=|==|!=|\*\*|[-+*/()<>,])"
    r"|(?P<other>\S))"
)
_UNIT = re.compile(r"\s*(?P<unit>[^\W\d_][^\s()<>=!+*,']*|%)")
_WORDS = frozenset(
    {"and", "or", "not", "true", "false", "value", "if", "then", "else", *FUNCTIONS, *TOLD_BOOL, *TOLD_NUMBER}
)


class Quantity(Protocol):
    """What is known of a tag, or of the value that is commanded, when a formula is read."""

    @property
    def type(self) -> ValueType: ...
    @property
    def unit(self) -> str | None: ...
    @property
    def states(self) -> Mapping[int, str]: ...


class BadFormula(Exception):  # noqa: N818 - read as what it is
    """A formula that means nothing: at which character, what was found there, and how to mend it."""

    def __init__(self, at: int, found: str, mend: str) -> None:
        super().__init__(found)
        self.at = at
        self.found = found
        self.mend = mend


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a formula. ``unit`` of a number: "" where it has none, None where any fits.

    ``state`` is a quoted word that waits for what it stands beside; ``states`` are the names that a piece has.
    """

    at: int
    node: Node
    is_bool: bool
    unit: str | None = None
    states: Mapping[int, str] | None = None
    state: str | None = None


def read_formula(
    text: str,
    tags: Mapping[str, int],
    quantities: Mapping[int, Quantity],
    *,
    thing: str = "formula",
    named: dict[int, int] | None = None,
) -> tuple[Formula, Part]:
    """The formula, and its whole as a piece, which says its unit. Raises BadFormula.

    ``quantities`` by image index; with COMMANDED among them it is an interlock's, which knows Good values only.
    ``thing`` is what messages call it. ``named`` are tags that others named before, with their places, for formulas
    that become parts of one; it grows.
    """
    parser = _Parser(text, tags, quantities, thing, {} if named is None else named)
    part = parser.whole(0)
    parser.expect_end()
    if part.state is not None:
        raise BadFormula(part.at, f"the state {quote(part.state)} alone", "write: tag == 'state'")
    return Formula(text, tuple(parser.named), part.node, part.is_bool, parser.is_timed), part


class _Parser:
    """Recursive descent; each method gives a piece that is checked."""

    def __init__(
        self,
        text: str,
        tags: Mapping[str, int],
        quantities: Mapping[int, Quantity],
        thing: str,
        named: dict[int, int],
    ) -> None:
        self._text = text
        self._tags = tags
        self._quantities = quantities
        self._thing = thing
        self._at = 0
        self._kind, self._word, self._start = "", "", 0
        self.named = named  # image index → place in the formula's tags
        self.is_timed = False
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
            raise BadFormula(
                self._start,
                f"{quote(self._word)} where the {self._thing} could end",
                "join by 'and' or 'or'" if self._thing == "condition" else "join by a sign, 'and' or 'or'",
            )

    # ── true or false ──────────────────────────────────────────────────────────────────────────────────────────
    def whole(self, depth: int) -> Part:
        if not self._is("if"):
            return self._joined(depth, "or", self._all)
        at = self._start
        self._check_depth(depth)
        self._next()
        condition = self._bool(self.whole(depth + 1), "if")
        self._take("then", at)
        one = self.whole(depth + 1)
        other_at = self._start
        self._take("else", at)
        other = self.whole(depth + 1)
        for part in (one, other):
            if part.state is not None:
                raise BadFormula(part.at, f"the state {quote(part.state)} alone", "write a number")
        if one.is_bool is not other.is_bool:
            raise BadFormula(other_at, "a number beside true or false in one 'if'", "give both one kind")
        unit = None if one.is_bool else self._same_unit(one, other, other_at, "else")
        return Part(at, Choice(condition.node, one.node, other.node), one.is_bool, unit)

    def _take(self, word: str, at: int) -> None:
        if not self._is(word):
            raise BadFormula(at, f"'if' without its '{word}'", "write: if x > 5 then x else 5")
        self._next()

    def _all(self, depth: int) -> Part:
        return self._joined(depth, "and", self._inverse)

    def _joined(self, depth: int, word: str, below: Callable[[int], Part]) -> Part:
        first = below(depth)
        if not self._is(word):
            return first
        parts = [self._bool(first, word)]
        while self._is(word):
            self._next()
            parts.append(self._bool(below(depth), word))
        return Part(first.at, Joined(word, tuple(part.node for part in parts)), True)

    def _bool(self, part: Part, word: str) -> Part:
        if not part.is_bool:
            raise BadFormula(part.at, f"a number beside {quote(word)}", "compare it: 'x < 5'")
        return part

    def _inverse(self, depth: int) -> Part:
        if not self._is("not"):
            return self._comparison(depth)
        at = self._start
        self._check_depth(depth)
        self._next()
        return Part(at, Inverse(self._bool(self._inverse(depth + 1), "not").node), True)

    def _comparison(self, depth: int) -> Part:
        first = left = self._sum(depth)
        parts: list[Node] = []
        signs: list[str] = []
        while self._is(*COMPARISONS):
            sign, at = self._word, self._start
            self._next()
            right = self._sum(depth)
            left, known = self._named(left, right), self._named(right, left)
            self._check_alike(left, sign, at, known)
            parts = [*(parts or [left.node]), known.node]
            signs.append(sign)
            left = known
        if not parts:
            return first
        return Part(first.at, Compared(tuple(parts), tuple(signs)), True)

    def _check_alike(self, left: Part, sign: str, at: int, right: Part) -> None:
        if left.is_bool is not right.is_bool:
            raise BadFormula(at, f"a number {sign} true or false", "compare what is alike")
        if left.is_bool and sign not in ("==", "!="):
            raise BadFormula(at, f"true or false {quote(sign)}", "compare it by == or !=")
        if not left.is_bool:
            self._same_unit(left, right, at, sign)

    def _named(self, part: Part, beside: Part) -> Part:
        """A quoted word as the number that it names, beside what has states."""
        if part.state is None:
            return part
        numbers = {name: number for number, name in (beside.states or {}).items()}
        if part.state in numbers:
            value = bool(numbers[part.state]) if beside.is_bool else numbers[part.state]
            return Part(part.at, Constant(value), beside.is_bool)
        if not beside.states:
            raise BadFormula(part.at, f"{quote(part.state)} beside what has no states", "write a number")
        known = suggestion(part.state, numbers, "name a state of the tag")
        raise BadFormula(part.at, f"the unknown state {quote(part.state)}", known)

    def _same_unit(self, left: Part, right: Part, at: int, sign: str) -> str | None:
        if left.unit is None or right.unit is None or left.unit == right.unit:
            return left.unit if right.unit is None else right.unit
        shown = [f"'{unit}'" if unit else "what has no unit" for unit in (left.unit, right.unit)]
        raise BadFormula(at, f"{shown[0]} {sign} {shown[1]}", "convert one: 'x * 1000', or 'x / 1 kW'")

    # ── numbers ────────────────────────────────────────────────────────────────────────────────────────────────
    def _sum(self, depth: int) -> Part:
        return self._reckoned(depth, ("+", "-"), self._product)

    def _product(self, depth: int) -> Part:
        return self._reckoned(depth, ("*", "/"), self._power)

    def _reckoned(self, depth: int, signs: tuple[str, str], below: Callable[[int], Part]) -> Part:
        left = below(depth)
        while self._is(*signs):
            sign, at = self._word, self._start
            self._next()
            right = below(depth)
            self._check_numbers(sign, left, right)
            if sign == "/" and isinstance(right.node, Constant) and right.node.value == 0:
                raise BadFormula(right.at, "a division by zero", "divide by something else")
            unit = self._same_unit(left, right, at, sign) if sign in "+-" else _of_product(left, sign, right)
            left = Part(left.at, _folded(sign, left.node, right.node), False, unit)
        return left

    def _power(self, depth: int) -> Part:
        self._check_depth(depth)
        at = self._start
        if self._is("-"):
            self._next()
            part = self._power(depth + 1)
            if part.is_bool or part.state is not None:
                raise BadFormula(part.at, "no number after '-'", "reckon with numbers only")
            node = part.node
            negative = Constant(-node.value) if isinstance(node, Constant) else Negative(node)
            return Part(at, negative, False, part.unit)
        left = self._factor(depth)
        if not self._is("**"):
            return left
        sign_at = self._start
        self._next()
        right = self._power(depth + 1)
        self._check_numbers("**", left, right)
        if right.unit:
            raise BadFormula(sign_at, f"'{right.unit}' as a power", "write a plain number: x / 1 kW")
        return Part(left.at, _folded("**", left.node, right.node), False, None if left.unit else left.unit)

    def _check_numbers(self, sign: str, *parts: Part) -> None:
        for part in parts:
            if part.is_bool or part.state is not None:
                raise BadFormula(part.at, f"no number beside {quote(sign)}", "reckon with numbers only")

    def _factor(self, depth: int) -> Part:
        kind, word, at = self._kind, self._word, self._start
        if kind == "end":
            raise BadFormula(at, "an end where a value must come", "write a tag or a number")
        if kind == "number":
            return self._literal(int(word) if word.isdecimal() else float(word), at)
        self._next()
        if kind == "state":
            return Part(at, Constant(False), False, state=word)
        if kind == "name" and word in ("true", "false"):
            return Part(at, Constant(word == "true"), True)
        if kind == "name" and word in FUNCTIONS:
            return self._call(word, FUNCTIONS[word], at, depth)
        if kind == "name" and word in (*TOLD_BOOL, *TOLD_NUMBER) and COMMANDED not in self._quantities:
            return self._told(word, at)
        if kind == "name" and word not in ("and", "or", "not", "if", "then", "else"):
            return self._tag(word, at)
        if word == "(":
            part = self.whole(depth + 1)
            self._close(at)
            return part
        raise BadFormula(at, f"{quote(word)} where a value must come", "write a tag or a number")

    def _close(self, at: int) -> None:
        if not self._is(")"):
            raise BadFormula(at, "'(' without its ')'", "close the bracket")
        self._next()

    def _literal(self, number: float, at: int) -> Part:
        match = _UNIT.match(self._text, self._at)
        unit = None
        if match is not None and match["unit"] not in _WORDS:
            found = unit_of(match["unit"])
            if found is None:
                raise BadFormula(
                    match.start("unit"),
                    f"the unknown unit {quote(match['unit'])}",
                    "write one of the units listed in docs/site-files.md",
                )
            unit = found.symbol
            self._at = match.end()
        self._next()
        return Part(at, Constant(number), False, unit)

    def _call(self, word: str, function: Function, at: int, depth: int) -> Part:
        opened = self._open(word, at)
        parts = self._argument(word, function, depth)
        unit = parts[0].unit
        while self._is(","):
            comma = self._start
            self._next()
            for part in self._argument(word, function, depth):
                parts.append(part)
                if function.keeps_unit and word != "round":
                    unit = self._same_unit(parts[0], part, comma, "and")
        self._close(opened)
        if not function.least <= len(parts) <= function.most:
            raise BadFormula(at, f"{quote(word)} of {len(parts)} values", f"give it {function.takes}")
        for part in parts:
            if part.is_bool or part.state is not None:
                raise BadFormula(part.at, f"no number in {quote(word)}", "reckon with numbers only")
        if not function.keeps_unit:
            unit = None if any(part.unit for part in parts) else ""
        return Part(at, Call(word, tuple(part.node for part in parts)), False, unit)

    def _open(self, word: str, at: int) -> int:
        if not self._is("("):
            raise BadFormula(at, f"{quote(word)} without '('", f"write '{word}(...)'")
        opened = self._start
        self._next()
        return opened

    def _argument(self, word: str, function: Function, depth: int) -> list[Part]:
        """One value, or those of all tags that a pattern names."""
        if self._kind != "state" or not function.takes_pattern or "." not in self._word:
            return [self.whole(depth + 1)]
        pattern, at = self._word, self._start
        plain = re.split(r"[*?[]", pattern, maxsplit=1)[0]  # most tags differ here already: 20 times faster
        self._next()
        names = [
            name
            for name in self._tags
            if name.startswith(plain)
            and fnmatchcase(name, pattern)
            and (pattern.startswith("_") or not name.startswith("_"))
        ]
        if not names:
            known = (name for name in self._tags if not name.startswith("_"))
            raise BadFormula(
                at, f"no tag is {quote(pattern)}", suggestion(pattern, known, "see `tieline tags`")
            )
        if len(names) > MANY:
            raise BadFormula(at, f"{len(names):,} tags are {quote(pattern)}", f"name at most {MANY}")
        return [self._tag(name, at) for name in names]

    def _told(self, word: str, at: int) -> Part:
        opened = self._open(word, at)
        if self._kind != "name" or self._word in _WORDS:
            raise BadFormula(self._start, f"no tag in {quote(word)}", f"name one: {word}(battery1.power_kw)")
        name, name_at = self._word, self._start
        self._next()
        part = self._tag(name, name_at, any_type=word not in ("previous", "rate"))
        self._close(opened)
        assert isinstance(part.node, Input), part
        if word == "age":
            self.is_timed = True
        if word in TOLD_BOOL:
            return Part(at, Told(word, part.node.at), True)
        if word != "age" and part.is_bool:
            raise BadFormula(name_at, f"no number in {quote(word)}", "reckon with numbers only")
        unit = {"age": "s", "previous": part.unit}.get(word, None if part.unit else "")
        return Part(at, Told(word, part.node.at), False, unit)

    def _tag(self, name: str, at: int, *, any_type: bool = False) -> Part:
        is_commanded = name == "value" and COMMANDED in self._quantities
        place = COMMANDED if is_commanded else self._tags.get(name)
        if place is None:
            raise BadFormula(
                at, f"the unknown tag {quote(name)}", suggestion(name, self._tags, "see `tieline tags`")
            )
        quantity = self._quantities[place]
        if quantity.type is ValueType.STRING and not any_type:
            raise BadFormula(at, f"{quote(name)} is a string", f"{self._thing}s are over numbers and bools")
        # What is commanded comes last in the values.
        where = COMMANDED if is_commanded else self.named.setdefault(place, len(self.named))
        is_bool = quantity.type is ValueType.BOOL
        return Part(at, Input(where), is_bool, quantity.unit or "", quantity.states)

    def _check_depth(self, depth: int) -> None:
        if depth > MAX_NESTING:
            raise BadFormula(
                self._start, f"more than {MAX_NESTING} nested parts", f"simplify the {self._thing}"
            )


def unit_misfit(part: Part, unit: str | None) -> tuple[str, str] | None:
    """What is wrong with ``unit`` for what a formula gives, and how to mend it. A plain number may get any."""
    if not part.unit or part.is_bool or part.unit == unit:
        return None
    if unit is None:
        return f"no unit for a formula that is in '{part.unit}'", f"add 'unit: {part.unit}'"
    return f"the unit '{unit}' for a formula that is in '{part.unit}'", f"write '{part.unit}', or convert it"


def _of_product(left: Part, sign: str, right: Part) -> str | None:
    """A plain number changes no unit; of two quantities nobody keeps a table, so their product fits any."""
    if not right.unit:
        return left.unit if left.unit else None
    if not left.unit:
        return right.unit if sign == "*" else None
    return "" if sign == "/" and left.unit == right.unit else None


def _folded(sign: str, left: Node, right: Node) -> Node:
    """Two constants are reckoned at once, if they have a result."""
    if isinstance(left, Constant) and isinstance(right, Constant):
        try:
            value = ARITHMETIC[sign](left.value, right.value)
        except UNDEFINED:
            return Reckoned(sign, left, right)
        if math.isfinite(value):
            return Constant(value)
    return Reckoned(sign, left, right)
