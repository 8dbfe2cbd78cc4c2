"""Conditions over tags: what an interlock asks, parsed and checked when the site is read, evaluated before a command.

The language is that of `gateway.config.formula`, and ``value`` is what is commanded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from gateway.config.formula.compile import UNDEFINED, Evaluate, Known, compiled
from gateway.config.formula.read import BadFormula, Quantity, read_formula
from gateway.config.formula.tree import COMMANDED, Formula
from gateway.tags.sample import Value

VALUE = COMMANDED
BadCondition = BadFormula
MOST_COMPILED = 1_024  # interlocks of a site; beyond it they are compiled again


class UndefinedError(Exception):
    """A condition that has no value now: a division by zero, or a number beyond all bounds."""


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
            result = _compiled(self.formula)(Known([*values, value]))
        except UNDEFINED as error:
            raise UndefinedError(str(error)) from error
        assert isinstance(result, bool), result
        return result


def read_condition(text: str, tags: Mapping[str, int], quantities: Mapping[int, Quantity]) -> Condition:
    """``quantities`` by image index; under `VALUE` what is commanded. Raises BadCondition."""
    formula, whole = read_formula(text, tags, quantities, thing="condition")
    if not whole.is_bool:
        raise BadCondition(0, "a number where the condition is true or false", "compare it: 'x < 5'")
    return Condition(formula.tags, formula)


@lru_cache(MOST_COMPILED)
def _compiled(formula: Formula) -> Evaluate:
    # Eager, as an interlock that has no value lets nothing pass, whatever else it says.
    return compiled(formula, is_eager=True)
