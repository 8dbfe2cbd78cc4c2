"""The functions of formulas: how many values each takes, and what it gives."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
# math.pow and not the operator: of two whole numbers that one may work for hours, of a negative one it is complex.
ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "**": math.pow,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Function:
    """``least`` to ``most`` values. ``keeps_unit``: it gives the unit of its values, which must be one.

    ``takes_pattern``: a quoted pattern of tags, as in ``sum('feeder*.power_kw')``, may stand for its values.
    """

    least: int
    most: int
    keeps_unit: bool
    reckon: Callable[[Sequence[float]], float]
    takes_pattern: bool = False

    @property
    def takes(self) -> str:
        """In words."""
        if self.most > 9:
            return "one value or more" if self.least == 1 else "two values or more"
        words = {1: "one value", 2: "two values", 3: "three values"}
        return words[self.least] if self.least == self.most else f"{words[self.least]} or two"


def _mean(of: Sequence[float]) -> float:
    return math.fsum(of) / len(of)


def _clamp(of: Sequence[float]) -> float:
    """Within its limits; where they cross, the lower one counts."""
    return max(of[1], min(of[0], of[2]))


def _round(of: Sequence[float]) -> float:
    return round(of[0], int(of[1])) if len(of) > 1 else float(round(of[0]))


MANY = 1_000  # values of one call, as of any list of a site file
FUNCTIONS: Mapping[str, Function] = {
    "abs": Function(1, 1, True, lambda of: abs(of[0])),
    "min": Function(2, MANY, True, min, takes_pattern=True),
    "max": Function(2, MANY, True, max, takes_pattern=True),
    "sum": Function(1, MANY, True, math.fsum, takes_pattern=True),
    "mean": Function(1, MANY, True, _mean, takes_pattern=True),
    "clamp": Function(3, 3, True, _clamp),
    "round": Function(1, 2, True, _round),
    "floor": Function(1, 1, True, lambda of: float(math.floor(of[0]))),
    "ceil": Function(1, 1, True, lambda of: float(math.ceil(of[0]))),
    "sqrt": Function(1, 1, False, lambda of: math.sqrt(of[0])),
    "exp": Function(1, 1, False, lambda of: math.exp(of[0])),
    "ln": Function(1, 1, False, lambda of: math.log(of[0])),
}
# Of a tag, and no number of its value alone.
TOLD_BOOL = frozenset({"good", "bad", "uncertain"})
TOLD_NUMBER = frozenset({"age", "previous", "rate"})
