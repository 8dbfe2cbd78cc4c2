"""The problems that a text can have: a code never changes its meaning and is never used again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """An error stops the program from being compiled."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """What a code stands for; ``docs/problems/<code>.md`` says more."""

    severity: Severity
    title: str


_ERRORS = {
    # 01 how it is written
    "ST0100": "A character that is not part of the language",
    "ST0101": "A comment or pragma without an end",
    "ST0102": "A string without an end",
    "ST0103": "A malformed number",
    "ST0104": "A malformed time or date",
    "ST0105": "A malformed string",
    "ST0106": "A reserved word used as a name",
    "ST0110": "Something else was expected here",
    "ST0111": "A missing semicolon",
    "ST0112": "A block that is not closed",
    "ST0113": "An end without its beginning",
    "ST0114": "Nested too deeply",
    "ST0115": "= where := was meant",
    "ST0116": ":= where = was meant",
    "ST0117": "A statement that does nothing",
    "ST0118": "A malformed address",
    "ST0119": "Qualifiers that do not go together",
}

_WARNINGS = {
    "ST0150": "A missing semicolon after END_…",
    "ST0151": "An array's initial values without brackets",
}

PROBLEMS: dict[str, Problem] = {
    **{code: Problem(Severity.ERROR, title) for code, title in _ERRORS.items()},
    **{code: Problem(Severity.WARNING, title) for code, title in _WARNINGS.items()},
}
