"""What is wrong with a text: each problem has a stable code, a place, and how to mend it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Any

from plc.language.problems import PROBLEMS, Severity
from plc.language.source import Source, Span

SHOWN_WIDTH = 110  # characters of a source line that are shown around a problem
TAB_WIDTH = 4


class Colour(StrEnum):
    """Terminal colours of the text form."""

    ERROR = "\x1b[31m"
    WARNING = "\x1b[33m"
    FAINT = "\x1b[2m"
    OFF = "\x1b[0m"


@dataclass(frozen=True, slots=True)
class Related:
    """A second place that explains the first."""

    span: Span
    message: str


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem at one place."""

    code: str
    message: str
    span: Span
    mend: str | None = None
    related: tuple[Related, ...] = ()

    @property
    def severity(self) -> Severity:
        """Stated once for a code, in the table of problems."""
        return PROBLEMS[self.code].severity

    def __str__(self) -> str:
        line, column = self.span.position
        return f"{self.span.source.path}:{line}:{column}: {self.severity} {self.code}: {self.message}"


class Diagnostics:
    """The problems found so far, in the order they were found."""

    __slots__ = ("_seen", "found")

    def __init__(self) -> None:
        self.found: list[Diagnostic] = []
        self._seen: set[tuple[str, int, int]] = set()

    def report(
        self,
        code: str,
        span: Span,
        message: str,
        *,
        mend: str | None = None,
        related: tuple[Related, ...] = (),
    ) -> None:
        """Add a problem; the same problem at the same place is said once."""
        assert code in PROBLEMS, code
        key = (code, id(span.source), span.start)
        if key not in self._seen:
            self._seen.add(key)
            self.found.append(Diagnostic(code, message, span, mend, related))

    @property
    def has_errors(self) -> bool:
        """Whether a program with these can not be run."""
        return any(one.severity is Severity.ERROR for one in self.found)


def in_reading_order(diagnostics: Iterable[Diagnostic], sources: Iterable[Source]) -> list[Diagnostic]:
    """By source as given, then by place."""
    order = {id(source): index for index, source in enumerate(sources)}
    return sorted(diagnostics, key=lambda one: (order[id(one.span.source)], one.span.start, one.code))


def nearest(wrong: str, right: Iterable[str]) -> str | None:
    """The right name that was probably meant, in its own spelling."""
    key = wrong.upper()
    most = max(1, len(key) // 3)
    by_key = {name.upper(): name for name in right if abs(len(name) - len(key)) <= most}
    close = get_close_matches(key, by_key, n=1, cutoff=0.7)
    return by_key[close[0]] if close else None


def as_text(diagnostic: Diagnostic, *, colour: bool = False) -> str:
    """``file:line:column``, the message, the source line with a caret under it, and the mend."""
    red = Colour.ERROR if diagnostic.severity is Severity.ERROR else Colour.WARNING
    on, faint, off = (red, Colour.FAINT, Colour.OFF) if colour else ("", "", "")
    lines = [
        f"{_place(diagnostic.span)}: {on}{diagnostic.severity} {diagnostic.code}{off}: {diagnostic.message}",
        *_excerpt(diagnostic.span),
    ]
    if diagnostic.mend is not None:
        lines.append(f"  mend: {diagnostic.mend}")
    for related in diagnostic.related:
        lines.append(f"  {faint}{_place(related.span)}: {related.message}{off}")
    return "\n".join(lines)


def as_json(diagnostic: Diagnostic) -> dict[str, Any]:
    """Plain values, positions counted from 1; ``end`` is the first character after the place."""
    return {
        "code": diagnostic.code,
        "severity": str(diagnostic.severity),
        "message": diagnostic.message,
        "mend": diagnostic.mend,
        **_json_place(diagnostic.span),
        "related": [
            {"message": related.message, **_json_place(related.span)} for related in diagnostic.related
        ],
    }


def _place(span: Span) -> str:
    line, column = span.position
    return f"{span.source.path}:{line}:{column}"


def _json_place(span: Span) -> dict[str, Any]:
    line, column = span.position
    end_line, end_column = span.source.position(span.end)
    return {
        "file": span.source.path,
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
    }


def _excerpt(span: Span) -> list[str]:
    line, column = span.position
    text = span.source.line(line)
    length = max(1, min(span.end - span.start, len(text) - column + 1))
    first = max(0, column - 1 - SHOWN_WIDTH // 2) if len(text) > SHOWN_WIDTH else 0
    before = text[first : column - 1].replace("\t", " " * TAB_WIDTH)
    marked = text[column - 1 : column - 1 + length].replace("\t", " " * TAB_WIDTH)
    after = text[column - 1 + length :].replace("\t", " " * TAB_WIDTH)
    shown = (before + marked + after)[:SHOWN_WIDTH]
    carets = max(1, min(len(marked), SHOWN_WIDTH - len(before)))
    return [f"{line:5} | {shown}".rstrip(), f"      | {' ' * len(before)}{'^' * carets}"]
