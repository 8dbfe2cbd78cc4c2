"""What an editor can do about a problem: the text in place of the one it stands at."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from plc.language.diagnostics import Diagnostic

_SUGGESTION = re.compile(r"did you mean (.+)\?")
_WRITE = re.compile(r"(?:if that is meant, )?write (\S+|\w+\(.+\))")
# Where the mend is to write something else at the very place; others mend somewhere else, or in several ways.
_WRITTEN_THERE = frozenset(
    {
        "ST0100",
        "ST0115",
        "ST0116",
        "ST0150",
        "ST0205",
        "ST0300",
        "ST0313",
        "ST0611",
        "ST0804",
        "ST0805",
    }
)
_PAGES = Path(__file__).parents[2] / "docs" / "problems"


@dataclass(frozen=True, slots=True)
class Fix:
    """``text`` takes the place of what the problem stands at. ``is_sure``: it can hardly be meant otherwise."""

    title: str
    text: str
    is_sure: bool


def fix_of(problem: Diagnostic) -> Fix | None:
    """The quick fix of a problem, where there is one."""
    mend, written = problem.mend or "", problem.span.text
    suggestion = _SUGGESTION.fullmatch(mend)
    if suggestion is not None:
        return Fix(f"Change to {suggestion[1]}", suggestion[1], is_sure=True)
    match = _WRITE.fullmatch(mend)
    if match is not None and problem.code in _WRITTEN_THERE:
        text = match[1].replace("…", written)
        return Fix(f"Write {text}", text, is_sure=not mend.startswith("if "))
    match problem.code:
        case "ST0100" if mend == "leave it out":
            return Fix("Leave it out", "", is_sure=True)
        case "ST0111":
            return Fix("Write ; after this", f"{written};", is_sure=True)
        case "ST0151":
            return Fix("Write [ and ] around them", f"[{written}]", is_sure=True)
        case "ST0306":
            return Fix("Leave the ^ out", written.rstrip("^ "), is_sure=True)
    return None


@cache
def page_of(code: str) -> str | None:
    """Where a problem's page is, as an editor opens it; none where the docs are not installed."""
    path = _PAGES / f"{code}.md"
    return path.resolve().as_uri() if path.is_file() else None
