"""Lines of C with the line of Structured Text that each comes from."""

from __future__ import annotations

from dataclasses import dataclass

from plc.language.source import Span

INDENT = "    "


@dataclass(frozen=True, slots=True)
class Line:
    """One line of C; ``place`` is (file, line) of its source, or ``None`` where that does not matter."""

    depth: int
    text: str
    place: tuple[int, int] | None


def with_line_directives(lines: list[Line], paths: list[str]) -> str:
    """The text, with ``#line`` wherever the C compiler would count another line than the source has."""
    written: list[str] = []
    expected: tuple[int, int] | None = None
    for line in lines:
        if line.place is not None and line.place != expected:
            path = paths[line.place[0]].replace("\\", "\\\\").replace('"', '\\"')
            written.append(f'#line {line.place[1]} "{path}"')
            expected = line.place
        written.append(f"{INDENT * line.depth}{line.text}" if line.text else "")
        if expected is not None:
            expected = (expected[0], expected[1] + 1)
    return "\n".join(written) + "\n"


def line_of(span: Span) -> int:
    """The line that a span starts on, from 1."""
    return span.position.line
