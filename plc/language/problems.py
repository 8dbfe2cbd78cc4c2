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
    "ST0120": "A body that is drawn, not written",
    # 02 names and declarations
    "ST0200": "An unknown name",
    "ST0201": "An unknown type",
    "ST0202": "A name declared twice",
    "ST0203": "An unknown member",
    "ST0204": "A name that is not visible here",
    "ST0205": "A name that can mean several things",
    "ST0206": "VAR_EXTERNAL without its global",
    "ST0207": "Something that contains itself",
    "ST0208": "A section that has no place here",
    "ST0209": "An unknown namespace",
    # 03 types and expressions
    "ST0300": "A value that does not fit",
    "ST0301": "An operator that is not for these operands",
    "ST0302": "A condition that is not BOOL",
    "ST0303": "Something that can not be written",
    "ST0304": "An index into something else, or too few or too many",
    "ST0306": "A dereference of something that is no reference",
    "ST0307": "A bit that is not there",
    "ST0308": "A CASE label that can not be",
    "ST0309": "A FOR loop that can not be",
    "ST0310": "EXIT or CONTINUE outside of a loop",
    "ST0311": "A number outside of its type",
    "ST0312": "A value that has to be constant",
    "ST0313": "Bounds that can not be",
    "ST0314": "THIS or SUPER without a block",
    "ST0315": "Something that has no value",
    "ST0317": "An initial value of the wrong form",
    "ST0318": "A constant that can not be worked out",
    "ST0319": "A character that a STRING does not hold",
    # 04 calls
    "ST0400": "A call of something that can not be called",
    "ST0401": "An unknown parameter",
    "ST0402": "A missing argument",
    "ST0403": "Too many arguments",
    "ST0404": "A parameter given twice",
    "ST0405": "Positional arguments after formal ones",
    "ST0406": "An in-out that is given no variable",
    "ST0407": ":= where => was meant, or the other way round",
    "ST0408": "A block instance used as a value",
    # 05 blocks and inheritance
    "ST0500": "An instance of something abstract",
    "ST0501": "A method that is promised and not there",
    "ST0502": "A method that does not match the one it overrides",
    "ST0503": "Something that can not be extended or implemented",
    "ST0504": "Recursion",
    "ST0505": "An abstract method with a body, or in a block that is not abstract",
    # 06 charts and configurations
    "ST0600": "A step that is not there",
    "ST0601": "No initial step, or several",
    "ST0602": "An action that is not there",
    "ST0603": "A chart that can activate a step twice",
    "ST0604": "Two durations for one action at once",
    "ST0605": "A chart where there can be none",
    "ST0610": "A task or program that is not there",
    "ST0611": "A task setting that can not be",
    # 09 the compiler
    "ST0900": "Something that is right and not compiled",
}

_WARNINGS = {
    "ST0150": "A missing semicolon after END_…",
    "ST0151": "An array's initial values without brackets",
    "ST0801": "An unused variable",
    "ST0802": "Code that is never reached",
    "ST0803": "A variable read before it has a value",
    "ST0804": "Digits or characters that may be lost",
    "ST0805": "Bits taken for a number, or a number for bits",
    "ST0806": "A constant that overflows",
    "ST0807": "An index outside of its array",
    "ST0808": "A comparison that is always true or always false",
    "ST0809": "Reals compared for equality",
    "ST0810": "A variable written by two programs",
    "ST0811": "A step or transition that is never reached",
    "ST0812": "Something that only some tools accept",
}

PROBLEMS: dict[str, Problem] = {
    **{code: Problem(Severity.ERROR, title) for code, title in _ERRORS.items()},
    **{code: Problem(Severity.WARNING, title) for code, title in _WARNINGS.items()},
}
