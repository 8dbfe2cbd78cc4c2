"""``${...}`` in a value: a parameter, or ``+ - *`` over parameters and numbers.

    text   := (character | "$${" | "${" sum "}")*
    sum    := product (("+" | "-") product)*
    product:= factor ("*" factor)*
    factor := number | name | "-" factor | "(" sum ")"

A value that is wholly one ``${...}`` keeps the kind of its result; elsewhere the result becomes part of the text.
``$${`` stands for a literal ``${``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.config.document import HOLE, INT_HIGH, INT_LOW, Hole
from gateway.config.fault import quote, suggestion

MAX_EXPRESSION = 200  # characters between the braces: longer ones belong in a parameter
MAX_TEXT = 1_000  # characters of a value with expressions, so that copies of a long parameter stay small
MAX_NESTING = 16  # brackets and minus signs in one expression; keeps the recursion small

Parameter = bool | int | float | str
Scope = Mapping[str, Parameter | Hole]

_PIECE = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
_TOKEN = re.compile(r"\s*(?:([0-9]+(?:\.[0-9]+)?)|([A-Za-z_][A-Za-z0-9_]*)|([-+*()])|(\S))")


@dataclass(frozen=True, slots=True)
class BadExpression(Exception):  # noqa: N818 - read as what it is
    """An expression that has no value: what was found, and how to mend it."""

    found: str
    mend: str


def substitute(text: str, scope: Scope) -> Parameter | Hole:
    """``text`` with every ``${...}`` replaced. HOLE where a parameter is one. Raises BadExpression."""
    if len(text) > MAX_TEXT:
        raise BadExpression(
            f"a text of {len(text)} characters with '${{'", f"write at most {MAX_TEXT} characters"
        )
    whole = _PIECE.fullmatch(text)
    if whole is not None and whole[1] is not None:
        return evaluate(whole[1], scope)
    pieces: list[str] = []
    end = 0
    has_hole = False
    for match in _PIECE.finditer(text):
        pieces.append(text[end : match.start()])
        end = match.end()
        if match[0] == "$${":
            pieces.append("${")
        elif match[1] is None:
            raise BadExpression("'${' without its '}'", "write '${name}', or '$${' for a literal '${'")
        else:
            value = evaluate(match[1], scope)
            has_hole |= isinstance(value, Hole)
            pieces.append(_as_text(value))
    pieces.append(text[end:])
    return HOLE if has_hole else "".join(pieces)


def evaluate(expression: str, scope: Scope) -> Parameter | Hole:
    """The value of what stands between the braces. Raises BadExpression."""
    if len(expression) > MAX_EXPRESSION:
        raise BadExpression(
            f"an expression of {len(expression)} characters", f"write at most {MAX_EXPRESSION} characters"
        )
    parser = _Parser(expression, scope)
    value = parser.sum(0)
    parser.expect_end()
    return value


def _as_text(value: Parameter | Hole) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


class _Parser:
    """Recursive descent that computes as it goes; the whole is checked even where a value is a HOLE."""

    def __init__(self, expression: str, scope: Scope) -> None:
        self._shown = quote("${" + expression + "}")
        self._scope = scope
        self._tokens = [m.group(m.lastindex or 0) for m in _TOKEN.finditer(expression)]
        self._at = 0

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def expect_end(self) -> None:
        if token := self._peek():
            raise BadExpression(f"{quote(token)} in {self._shown}", "join parameters and numbers by + - or *")

    def sum(self, depth: int) -> Parameter | Hole:
        value = self._product(depth)
        while self._peek() in ("+", "-"):
            operator = self._take()
            value = self._apply(operator, value, self._product(depth))
        return value

    def _product(self, depth: int) -> Parameter | Hole:
        value = self._factor(depth)
        while self._peek() == "*":
            self._take()
            value = self._apply("*", value, self._factor(depth))
        return value

    def _factor(self, depth: int) -> Parameter | Hole:
        if depth > MAX_NESTING:
            raise BadExpression(
                f"more than {MAX_NESTING} nested parts in {self._shown}", "simplify the expression"
            )
        token = self._take()
        if token == "-":  # noqa: S105 - a token of the expression
            return self._apply("-", 0, self._factor(depth + 1))
        if token == "(":  # noqa: S105
            value = self.sum(depth + 1)
            if self._take() != ")":
                raise BadExpression(f"'(' without its ')' in {self._shown}", "close the bracket")
            return value
        if "0" <= token[:1] <= "9":
            return self._bounded(float(token) if "." in token else int(token))
        if token[:1] == "_" or token[:1].isalpha():
            if token not in self._scope:
                raise BadExpression(
                    f"the unknown parameter {quote(token)} in {self._shown}",
                    suggestion(
                        token, self._scope, "no parameter can be used here" if not self._scope else "name one"
                    ),
                )
            return self._scope[token]
        what = quote(token) if token else "nothing"
        raise BadExpression(f"{what} where {self._shown} needs a parameter or a number", "write '${name}'")

    def _apply(self, operator: str, left: Parameter | Hole, right: Parameter | Hole) -> Parameter | Hole:
        for side in (left, right):
            if isinstance(side, bool | str):
                raise BadExpression(
                    f"{'text' if isinstance(side, str) else 'true or false'} in the sum {self._shown}",
                    "reckon with integers and numbers only",
                )
        if isinstance(left, Hole) or isinstance(right, Hole):
            return HOLE
        assert not isinstance(left, str)
        assert not isinstance(right, str)
        if operator == "+":
            return self._bounded(left + right)
        return self._bounded(left - right if operator == "-" else left * right)

    def _bounded(self, value: int | float) -> int | float:
        if (isinstance(value, int) and not INT_LOW <= value <= INT_HIGH) or not math.isfinite(value):
            raise BadExpression(
                f"{self._shown} gives a number that does not fit 64 bits", "reckon with smaller numbers"
            )
        return value
