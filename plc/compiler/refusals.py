"""What is right in Structured Text and not compiled yet: it is refused at its place, never compiled wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from plc.language.diagnostics import Diagnostic
from plc.language.source import Span

CODE = "ST0900"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One construct that the compiler does not know; shaped as a diagnostic of the language."""

    message: str
    span: Span
    mend: str | None = None
    code: str = CODE
    severity: str = "error"
    related: tuple[()] = ()

    def __str__(self) -> str:
        line, column = self.span.position
        return f"{self.span.source.path}:{line}:{column}: {self.severity} {self.code}: {self.message}"


class NotCompiled(Exception):  # noqa: N818  # it never leaves the compiler: it becomes a CompileFault
    """Raised where a construct is met; the unit is left and the next one is tried, so that all are found."""

    def __init__(self, span: Span, message: str, mend: str | None = None) -> None:
        super().__init__(message)
        self.refusal = Refusal(message, span, mend)


class CompileFault(Exception):  # noqa: N818  # the one error of this package
    """A program that can not be run: ``diagnostics`` has all that is wrong with it."""

    def __init__(self, diagnostics: Iterable[Diagnostic | Refusal]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(str(one) for one in self.diagnostics))
