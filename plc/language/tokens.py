"""The tokens of Structured Text, kept as columns: a token is an index into them.

A kind is a plain string. Reserved words and punctuation are their own kind (``"IF"``, ``":="``); all else is one of
the kinds named here. Only words without which a text has no structure are reserved: ``DT``, ``STEP``, ``TASK``,
``METHOD`` or ``INT`` are words by their place, so a variable may have such a name.
"""

from __future__ import annotations

from dataclasses import dataclass

from plc.language.source import Source

NAME = "name"
INTEGER = "integer"
REAL = "real"
STRING = "string"
WIDE_STRING = "wide string"
DURATION = "duration"
DATE = "date"
TIME_OF_DAY = "time of day"
DATE_AND_TIME = "date and time"
PREFIX = "type prefix"  # INT# or Colour# before a literal or an enumeration's value
WRONG = "what could not be read"  # reported by the lexer: nothing more is said about it
ADDRESS = "address"  # %IX0.0, or the %X3 of a partial access
END = "end of file"

_RESERVED = """
    IF THEN ELSIF ELSE END_IF CASE OF END_CASE FOR TO BY DO END_FOR WHILE END_WHILE REPEAT UNTIL END_REPEAT
    EXIT CONTINUE RETURN AND OR XOR NOT MOD AND_THEN OR_ELSE TRUE FALSE
    VAR VAR_INPUT VAR_OUTPUT VAR_IN_OUT VAR_TEMP VAR_EXTERNAL VAR_GLOBAL VAR_ACCESS VAR_CONFIG VAR_STAT VAR_INST
    END_VAR TYPE END_TYPE STRUCT END_STRUCT END_UNION ARRAY
    PROGRAM END_PROGRAM FUNCTION END_FUNCTION FUNCTION_BLOCK END_FUNCTION_BLOCK END_CLASS END_INTERFACE END_METHOD
    END_PROPERTY END_GET END_SET END_NAMESPACE END_ACTION END_STEP END_TRANSITION END_CONFIGURATION END_RESOURCE
"""
RESERVED = frozenset(_RESERVED.split())

VARIABLE_SECTIONS = frozenset(word for word in RESERVED if word == "VAR" or word.startswith("VAR_"))


@dataclass(frozen=True, slots=True)
class Trivia:
    """What stands between tokens and is kept: a comment or a pragma."""

    start: int
    end: int
    before: int  # index of the token that follows
    is_pragma: bool


@dataclass(frozen=True, slots=True)
class Tokens:
    """A lexed source. The columns are equally long and end with one token of kind ``END``."""

    source: Source
    kinds: list[str]
    words: list[str]  # names and reserved words in upper case, all else as written
    starts: list[int]
    ends: list[int]
    trivia: list[Trivia]

    def __len__(self) -> int:
        return len(self.kinds)
