"""A formula made into a function, once; what it gives has a value and a quality, or is no value with a reason.

Quality: a tag that is Bad makes all Bad that needs it, with the tag's code; an Uncertain one makes it Uncertain, with
the first such code. What is not needed does not count: the branch that ``if`` does not take, and what stands behind
``false and`` or ``true or``; so ``if good(a) then a else b`` is as good as what it took.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from gateway.config.formula.functions import ARITHMETIC, COMPARISONS, FUNCTIONS
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
from gateway.tags.quality import SEVERITY_BAD, SEVERITY_MASK, SEVERITY_UNCERTAIN, Quality
from gateway.tags.sample import Value

NS = 1e-9
MANY_INPUTS = 4  # of one call: from so many on they are fetched at once
UNDEFINED = (ZeroDivisionError, OverflowError, ValueError)  # what a formula raises that has no value now


class BadInputError(Exception):
    """A tag that is needed is Bad; ``status`` is its code."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(slots=True)
class Known:
    """What a formula is reckoned from, in the order of its tags; times are UTC ns.

    ``before`` are value and source time of the sample before the present one, None where there is none.
    ``status`` becomes the worst that was needed.
    """

    values: list[Value]
    statuses: list[int] = field(default_factory=list)
    sources: list[int] = field(default_factory=list)
    before: list[tuple[float, int] | None] = field(default_factory=list)
    now_ns: int = 0
    status: int = field(default=int(Quality.GOOD))


Evaluate = Callable[[Known], Value]


def compiled(formula: Formula, *, places: Sequence[int] | None = None, is_eager: bool = False) -> Evaluate:
    """The function; it raises BadInputError, and those of UNDEFINED.

    ``places`` says where in `Known` each of the formula's tags is, unless they are there in their order.
    ``is_eager``: every part is reckoned, so that one without a value is never passed over.
    """
    return _Compiler(places if places is not None else range(len(formula.tags)), is_eager).node(formula.root)


class _Compiler:
    """Makes closures; a closure takes some 0.1 µs a node."""

    def __init__(self, places: Sequence[int], is_eager: bool) -> None:
        self._places = places
        self._is_eager = is_eager

    def node(self, node: Node) -> Evaluate:
        match node:
            case Constant(value):
                return lambda known: value
            case Input(at):
                return _input(at if at == COMMANDED else self._places[at])
            case Told(what, at):
                return _told(what, self._places[at])
            case Joined(word, parts):
                return self._joined(word == "or", [self.node(part) for part in parts])
            case Inverse(of):
                inner = self.node(of)
                return lambda known: not inner(known)
            case Compared(parts, signs):
                return self._compared([self.node(part) for part in parts], signs)
            case Reckoned(sign, left, right):
                reckon, one, other = ARITHMETIC[sign], self.node(left), self.node(right)
                return lambda known: reckon(number(one(known)), number(other(known)))
            case Negative(of):
                inner = self.node(of)
                return lambda known: -number(inner(known))
            case Call(name, parts):
                return self._call(FUNCTIONS[name].reckon, parts)
            case Choice(condition, one_node, other_node):
                which, one, other = self.node(condition), self.node(one_node), self.node(other_node)
                return lambda known: one(known) if which(known) else other(known)
        raise AssertionError(node)

    def _call(self, function: Callable[[Sequence[float]], float], parts: tuple[Node, ...]) -> Evaluate:
        of = [self.node(part) for part in parts]

        def call(known: Known) -> Value:
            return function([number(each(known)) for each in of])

        inputs = [part.at for part in parts if isinstance(part, Input)]
        if self._is_eager or len(inputs) < len(parts) or len(parts) < MANY_INPUTS:
            return call
        places = [self._places[at] for at in inputs]
        get = itemgetter(*places)

        def call_of_inputs(known: Known) -> Value:
            """A tenth of the time where all is Good and finite."""
            values = get(known.values)
            if any(get(known.statuses)) or not math.isfinite(sum(values)):
                return call(known)
            return function(values)

        return call_of_inputs

    def _joined(self, is_or: bool, parts: list[Evaluate]) -> Evaluate:
        if self._is_eager:
            join = any if is_or else all
            return lambda known: join([part(known) for part in parts])

        def joined(known: Known) -> Value:
            for part in parts:
                if bool(part(known)) is is_or:
                    return is_or
            return not is_or

        return joined

    def _compared(self, parts: list[Evaluate], signs: tuple[str, ...]) -> Evaluate:
        if len(parts) == 2:
            compare, one, other = COMPARISONS[signs[0]], parts[0], parts[1]
            return lambda known: compare(number(one(known)), number(other(known)))
        compares = [COMPARISONS[sign] for sign in signs]

        def compared(known: Known) -> Value:
            of = [number(part(known)) for part in parts]
            return all(compare(of[i], of[i + 1]) for i, compare in enumerate(compares))

        return compared


def _input(at: int) -> Evaluate:
    def read(known: Known) -> Value:
        if known.statuses:
            _need(known, known.statuses[at])
        return known.values[at]

    return read


def _need(known: Known, status: int) -> None:
    if status:
        if status & SEVERITY_BAD:
            raise BadInputError(status)
        if status & SEVERITY_UNCERTAIN and not known.status:
            known.status = status


def _told(what: str, at: int) -> Evaluate:
    match what:
        case "good":
            return lambda known: not known.statuses[at] & SEVERITY_MASK
        case "bad":
            return lambda known: bool(known.statuses[at] & SEVERITY_BAD)
        case "uncertain":
            return lambda known: known.statuses[at] & SEVERITY_MASK == SEVERITY_UNCERTAIN
        case "latched":
            return lambda known: bool(known.values[at])
        case "age":
            return lambda known: max(known.now_ns - known.sources[at], 0) * NS
        case "previous":
            return lambda known: _before(known, at)[0]
        case "rate":
            return lambda known: _rate(known, at)
    raise AssertionError(what)


def _before(known: Known, at: int) -> tuple[float, int]:
    before = known.before[at]
    if before is None:
        raise BadInputError(Quality.BAD_WAITING_FOR_INITIAL_DATA)
    return before


def _rate(known: Known, at: int) -> float:
    """Change a second between the last two samples that were not Bad."""
    _need(known, known.statuses[at])
    value, source = _before(known, at)
    return (number(known.values[at]) - value) / ((known.sources[at] - source) * NS)


def number(value: Value) -> float:
    """Integers stay what they are, of 64 bits: they compare exactly."""
    assert not isinstance(value, str), value
    if isinstance(value, float) and not math.isfinite(value):
        raise OverflowError("not a finite number")
    return value
