"""The standard functions and blocks (IEC 61131-3 6.6.2 and 6.6.3.5): their names, parameters and generic types."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache

from plc.language.types import (
    BOOL,
    DATE,
    DINT,
    DT,
    ELEMENTARY,
    LDATE,
    LDT,
    LTOD,
    STRING_DEFAULT_LENGTH,
    TOD,
    Elementary,
    Family,
    StringOf,
    Type,
    is_a,
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """``type`` names a letter of the function's generics, or a type."""

    name: str
    type: str
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class StandardFunction:
    """A function that the language brings. ``generics`` are its type letters with the generic type of each.

    An extensible function repeats its last parameter; that one's name ends with the number it counts from.
    """

    name: str
    generics: dict[str, str]
    inputs: tuple[Parameter, ...]
    outputs: tuple[Parameter, ...]
    is_extensible: bool
    result: str
    fixed: Type | None = None  # of a typed form: what its first generic is

    @property
    def needed(self) -> int:
        """How many inputs have to be given."""
        return sum(not one.is_optional for one in self.inputs)

    def parameter(self, index: int) -> Parameter:
        """The input at a position, counted on where the function is extensible."""
        if index < len(self.inputs):
            return self.inputs[index]
        last = self.inputs[-1]
        stem = last.name.rstrip("0123456789")
        number = int(last.name[len(stem) :]) + index - len(self.inputs) + 1
        return Parameter(f"{stem}{number}", last.type)


# name | generics | inputs, => outputs | result; "..." behind what may be repeated, "?" where it may be left out
_TABLE = """
ABS       | T=ANY_NUM | IN T | T
SQRT      | T=ANY_REAL | IN T | T
LN        | T=ANY_REAL | IN T | T
LOG       | T=ANY_REAL | IN T | T
EXP       | T=ANY_REAL | IN T | T
SIN       | T=ANY_REAL | IN T | T
COS       | T=ANY_REAL | IN T | T
TAN       | T=ANY_REAL | IN T | T
ASIN      | T=ANY_REAL | IN T | T
ACOS      | T=ANY_REAL | IN T | T
ATAN      | T=ANY_REAL | IN T | T
ATAN2     | T=ANY_REAL | Y T, X T | T
ADD       | T=ANY_MAGNITUDE | IN1 T, IN2 T ... | T
MUL       | T=ANY_NUM | IN1 T, IN2 T ... | T
SUB       | T=ANY_MAGNITUDE | IN1 T, IN2 T | T
DIV       | T=ANY_NUM | IN1 T, IN2 T | T
MOD       | T=ANY_INT | IN1 T, IN2 T | T
EXPT      | T=ANY_REAL U=ANY_NUM | IN1 T, IN2 U | T
MOVE      | T=ANY | IN T | T
SHL       | T=ANY_BIT U=ANY_INT | IN T, N U | T
SHR       | T=ANY_BIT U=ANY_INT | IN T, N U | T
ROL       | T=ANY_BIT U=ANY_INT | IN T, N U | T
ROR       | T=ANY_BIT U=ANY_INT | IN T, N U | T
AND       | T=ANY_BIT | IN1 T, IN2 T ... | T
OR        | T=ANY_BIT | IN1 T, IN2 T ... | T
XOR       | T=ANY_BIT | IN1 T, IN2 T ... | T
SEL       | T=ANY | G BOOL, IN0 T, IN1 T | T
MAX       | T=ANY_ELEMENTARY | IN1 T, IN2 T ... | T
MIN       | T=ANY_ELEMENTARY | IN1 T, IN2 T ... | T
LIMIT     | T=ANY_ELEMENTARY | MN T, IN T, MX T | T
MUX       | T=ANY U=ANY_INT | K U, IN0 T, IN1 T ... | T
GT        | T=ANY_ELEMENTARY | IN1 T, IN2 T ... | BOOL
GE        | T=ANY_ELEMENTARY | IN1 T, IN2 T ... | BOOL
EQ        | T=ANY_ELEMENTARY | IN1 T, IN2 T ... | BOOL
LE        | T=ANY_ELEMENTARY | IN1 T, IN2 T ... | BOOL
LT        | T=ANY_ELEMENTARY | IN1 T, IN2 T ... | BOOL
NE        | T=ANY_ELEMENTARY | IN1 T, IN2 T | BOOL
LEN       | S=ANY_STRING | IN S | INT
LEFT      | S=ANY_STRING U=ANY_INT | IN S, L U | S
RIGHT     | S=ANY_STRING U=ANY_INT | IN S, L U | S
MID       | S=ANY_STRING U=ANY_INT V=ANY_INT | IN S, L U, P V | S
CONCAT    | S=ANY_STRING | IN1 S, IN2 S ... | S
INSERT    | S=ANY_STRING U=ANY_INT | IN1 S, IN2 S, P U | S
DELETE    | S=ANY_STRING U=ANY_INT V=ANY_INT | IN S, L U, P V | S
REPLACE   | S=ANY_STRING U=ANY_INT V=ANY_INT | IN1 S, IN2 S, L U, P V | S
FIND      | S=ANY_STRING | IN1 S, IN2 S | INT
ADD_TIME        | | IN1 TIME, IN2 TIME | TIME
ADD_LTIME       | | IN1 LTIME, IN2 LTIME | LTIME
ADD_TOD_TIME    | | IN1 TOD, IN2 TIME | TOD
ADD_LTOD_LTIME  | | IN1 LTOD, IN2 LTIME | LTOD
ADD_DT_TIME     | | IN1 DT, IN2 TIME | DT
ADD_LDT_LTIME   | | IN1 LDT, IN2 LTIME | LDT
SUB_TIME        | | IN1 TIME, IN2 TIME | TIME
SUB_LTIME       | | IN1 LTIME, IN2 LTIME | LTIME
SUB_DATE_DATE   | | IN1 DATE, IN2 DATE | TIME
SUB_LDATE_LDATE | | IN1 LDATE, IN2 LDATE | LTIME
SUB_TOD_TIME    | | IN1 TOD, IN2 TIME | TOD
SUB_LTOD_LTIME  | | IN1 LTOD, IN2 LTIME | LTOD
SUB_TOD_TOD     | | IN1 TOD, IN2 TOD | TIME
SUB_LTOD_LTOD   | | IN1 LTOD, IN2 LTOD | LTIME
SUB_DT_TIME     | | IN1 DT, IN2 TIME | DT
SUB_LDT_LTIME   | | IN1 LDT, IN2 LTIME | LDT
SUB_DT_DT       | | IN1 DT, IN2 DT | TIME
SUB_LDT_LDT     | | IN1 LDT, IN2 LDT | LTIME
MUL_TIME        | U=ANY_NUM | IN1 TIME, IN2 U | TIME
MUL_LTIME       | U=ANY_NUM | IN1 LTIME, IN2 U | LTIME
DIV_TIME        | U=ANY_NUM | IN1 TIME, IN2 U | TIME
DIV_LTIME       | U=ANY_NUM | IN1 LTIME, IN2 U | LTIME
CONCAT_DATE_TOD  | | IN1 DATE, IN2 TOD | DT
CONCAT_DATE_LTOD | | IN1 DATE, IN2 LTOD | LDT
CONCAT_DATE      | U=ANY_INT | YEAR U, MONTH U, DAY U | DATE
CONCAT_TOD       | U=ANY_INT | HOUR U, MINUTE U, SECOND U, MILLISECOND U | TOD
CONCAT_LTOD      | U=ANY_INT | HOUR U, MINUTE U, SECOND U, MILLISECOND U, MICROSECOND U, NANOSECOND U | LTOD
CONCAT_DT        | U=ANY_INT | YEAR U, MONTH U, DAY U, HOUR U, MINUTE U, SECOND U, MILLISECOND U | DT
CONCAT_LDT | U=ANY_INT | YEAR U, MONTH U, DAY U, HOUR U, MINUTE U, SECOND U, MILLISECOND U, \
MICROSECOND U, NANOSECOND U | LDT
SPLIT_DATE       | | IN DATE => YEAR INT, MONTH INT, DAY INT | nothing
SPLIT_TOD        | | IN TOD => HOUR INT, MINUTE INT, SECOND INT, MILLISECOND INT | nothing
SPLIT_LTOD | | IN LTOD => HOUR INT, MINUTE INT, SECOND INT, MILLISECOND INT, MICROSECOND INT, NANOSECOND INT | nothing
SPLIT_DT | | IN DT => YEAR INT, MONTH INT, DAY INT, HOUR INT, MINUTE INT, SECOND INT, MILLISECOND INT | nothing
SPLIT_LDT | | IN LDT => YEAR INT, MONTH INT, DAY INT, HOUR INT, MINUTE INT, SECOND INT, MILLISECOND INT, \
MICROSECOND INT, NANOSECOND INT | nothing
DAY_OF_WEEK      | | IN DATE | INT
IS_VALID         | T=ANY_REAL | IN T | BOOL
IS_VALID_BCD     | T=ANY_BIT | IN T | BOOL
TO_BIG_ENDIAN      | T=ANY | IN T | T
TO_LITTLE_ENDIAN   | T=ANY | IN T | T
FROM_BIG_ENDIAN    | T=ANY | IN T | T
FROM_LITTLE_ENDIAN | T=ANY | IN T | T
ASSERT             | S=ANY_STRING | IN BOOL, MESSAGE S? | nothing
ASSERT_EQUAL       | T=ANY_ELEMENTARY S=ANY_STRING | EXPECTED T, ACTUAL T, MESSAGE S? | nothing
ASSERT_NEAR        | T=ANY_REAL S=ANY_STRING | EXPECTED T, ACTUAL T, TOLERANCE T, MESSAGE S? | nothing
ADVANCE            | | BY TIME | nothing
"""

# The blocks of 6.6.3.5, Tables 43 to 46, in the language itself; the runtime brings their bodies.
_BISTABLES = """
FUNCTION_BLOCK SR
    VAR_INPUT S1, R : BOOL; END_VAR VAR_OUTPUT Q1 : BOOL; END_VAR
END_FUNCTION_BLOCK
FUNCTION_BLOCK RS
    VAR_INPUT S, R1 : BOOL; END_VAR VAR_OUTPUT Q1 : BOOL; END_VAR
END_FUNCTION_BLOCK
FUNCTION_BLOCK R_TRIG
    VAR_INPUT CLK : BOOL; END_VAR VAR_OUTPUT Q : BOOL; END_VAR VAR M : BOOL; END_VAR
END_FUNCTION_BLOCK
FUNCTION_BLOCK F_TRIG
    VAR_INPUT CLK : BOOL; END_VAR VAR_OUTPUT Q : BOOL; END_VAR VAR M : BOOL; END_VAR
END_FUNCTION_BLOCK
"""
_COUNTERS = """
FUNCTION_BLOCK CTU{suffix}
    VAR_INPUT CU : BOOL R_EDGE; R : BOOL; PV : {type}; END_VAR VAR_OUTPUT Q : BOOL; CV : {type}; END_VAR
END_FUNCTION_BLOCK
FUNCTION_BLOCK CTD{suffix}
    VAR_INPUT CD : BOOL R_EDGE; LD : BOOL; PV : {type}; END_VAR VAR_OUTPUT Q : BOOL; CV : {type}; END_VAR
END_FUNCTION_BLOCK
FUNCTION_BLOCK CTUD{suffix}
    VAR_INPUT CU, CD : BOOL R_EDGE; R, LD : BOOL; PV : {type}; END_VAR
    VAR_OUTPUT QU, QD : BOOL; CV : {type}; END_VAR
END_FUNCTION_BLOCK
"""
_TIMERS = """
FUNCTION_BLOCK {name}{suffix}
    VAR_INPUT IN : BOOL; PT : {type}; END_VAR VAR_OUTPUT Q : BOOL; ET : {type}; END_VAR
    VAR START : LTIME; RUNNING : BOOL; END_VAR
END_FUNCTION_BLOCK
"""

# The block of 6.7.4.6, with what its flip-flops, triggers and timers remember.
ACTION_CONTROL = """
FUNCTION_BLOCK ACTION_CONTROL
    VAR_INPUT N, R, S, L, D, P, P1, P0, SD, DS, SL : BOOL; T : TIME; END_VAR
    VAR_OUTPUT Q, A : BOOL; END_VAR
    VAR
        S_FF, SD_FF, DS_FF, SL_FF, P_OLD, P1_OLD, P0_OLD, Q_OLD, L_ON, D_ON, DS_ON, SD_ON, SL_ON : BOOL;
        L_ET, D_ET, DS_ET, SD_ET, SL_ET, SD_PT, SL_PT : TIME;
    END_VAR
END_FUNCTION_BLOCK
"""


def blocks_text() -> str:
    """The declarations of the standard blocks."""
    counters = [("", "INT")] + [(f"_{name}", name) for name in ("INT", "DINT", "LINT", "UDINT", "ULINT")]
    timers = [("", "TIME"), ("_TIME", "TIME"), ("_LTIME", "LTIME")]
    return (
        _BISTABLES
        + "".join(_COUNTERS.format(suffix=suffix, type=type_) for suffix, type_ in counters)
        + "".join(
            _TIMERS.format(name=name, suffix=suffix, type=type_)
            for name in ("TP", "TON", "TOF")
            for suffix, type_ in timers
        )
    )


def _parameters(text: str) -> tuple[Parameter, ...]:
    found: list[Parameter] = []
    for one in text.replace("...", "").split(","):
        if one.strip():
            name, type_ = one.split()
            found.append(Parameter(name, type_.rstrip("?"), type_.endswith("?")))
    return tuple(found)


def _read_table() -> dict[str, StandardFunction]:
    functions: dict[str, StandardFunction] = {}
    for line in _TABLE.strip().splitlines():
        name, generics, parameters, result = (cell.strip() for cell in line.split("|"))
        inputs, _, outputs = parameters.partition("=>")
        functions[name] = StandardFunction(
            name,
            dict(one.split("=") for one in generics.split()),
            _parameters(inputs),
            _parameters(outputs),
            "..." in inputs,
            result,
        )
    return functions


FUNCTIONS = _read_table()


@cache
def typed_form(key: str) -> StandardFunction | None:
    """``ADD_INT``, ``SQRT_LREAL``: an overloaded function for operands of one type (6.6.2.4, Table 27)."""
    name, _, type_name = key.rpartition("_")
    function, type_ = FUNCTIONS.get(name), ELEMENTARY.get(type_name)
    if function is None or type_ is None or not function.generics:
        return None
    generic = next(iter(function.generics.values()))
    return replace(function, fixed=type_) if is_a(type_, generic) else None


# Functions that ask about a variable or a type, and so take no plain value (6.6.2.5.16 and vendors).
QUERIES = frozenset({"REF", "ADR", "SIZEOF", "LOWER_BOUND", "UPPER_BOUND", "__ISVALIDREF"})


@dataclass(frozen=True, slots=True)
class Conversion:
    """``X_TO_Y``, ``TO_Y``, ``X_TRUNC_Y``, ``TRUNC``, or to and from BCD. No source means any that is allowed."""

    name: str
    source: Type | None
    target: Type
    way: str  # "convert", "trunc", "from bcd", "to bcd"


_STRINGS = {
    "STRING": StringOf(is_wide=False, length=STRING_DEFAULT_LENGTH),
    "WSTRING": StringOf(is_wide=True, length=STRING_DEFAULT_LENGTH),
}
_NAMED: dict[str, Type] = {**ELEMENTARY, **_STRINGS}
_FORMS = (
    (re.compile(r"([A-Z]+)_BCD_TO_([A-Z]+)"), "from bcd"),
    (re.compile(r"([A-Z]+)_TO_BCD_([A-Z]+)"), "to bcd"),
    (re.compile(r"([A-Z]+)_TRUNC_([A-Z]+)"), "trunc"),
    (re.compile(r"()TRUNC_([A-Z]+)"), "trunc"),
    (re.compile(r"([A-Z]\w*?)_TO_([A-Z]\w*)"), "convert"),
    (re.compile(r"()TO_([A-Z]\w*)"), "convert"),
)


@cache
def conversion(key: str) -> Conversion | None:
    """What a function's name in upper case converts, if it is the name of a conversion (6.6.2.5.2)."""
    if key == "TRUNC":
        return Conversion(key, None, DINT, "trunc")  # or any other integer that is wanted where it stands
    for pattern, way in _FORMS:
        match = pattern.fullmatch(key)
        if match is None:
            continue
        source, target = _NAMED.get(match[1]), _NAMED.get(match[2])
        if target is None or (match[1] and source is None):
            continue
        if source is not None and not _has_way(source, target, way):
            continue
        return Conversion(key, source, target, way)
    return None


def converts(source: Type, target: Type, way: str) -> bool:
    """Whether there is an explicit conversion."""
    return _has_way(source, target, way)


_WHOLE = frozenset({Family.SIGNED, Family.UNSIGNED, Family.UNTYPED_INTEGER})
_REAL = frozenset({Family.REAL, Family.UNTYPED_REAL})
_NUMBERS = _WHOLE | _REAL | {Family.BIT}
_MOMENTS: frozenset[Elementary] = frozenset({DATE, LDATE, DT, LDT})
_CLOCKS: frozenset[Elementary] = frozenset({TOD, LTOD})


def _has_way(source: Type, target: Type, way: str) -> bool:
    if isinstance(source, StringOf) or isinstance(target, StringOf):
        if way != "convert" or not isinstance(source, (Elementary, StringOf)):
            return False
        return isinstance(target, (Elementary, StringOf))
    if not isinstance(source, Elementary) or not isinstance(target, Elementary):
        return False
    if way == "trunc":
        return source.family in _REAL and target.family in _WHOLE
    if way == "from bcd":
        return source.family is Family.BIT and source is not BOOL and target.family is Family.UNSIGNED
    if way == "to bcd":
        return source.family is Family.UNSIGNED and target.family is Family.BIT and target is not BOOL
    if source.family in _NUMBERS:
        return target.family is not Family.CHARACTER or source.family in _WHOLE | {Family.BIT}
    if source.family is Family.CHARACTER:
        return target.family in _WHOLE | {Family.CHARACTER, Family.BIT}
    if target.family in _NUMBERS or source.family is target.family:
        return True
    return source in _MOMENTS and (
        target in _MOMENTS or (target in _CLOCKS and source.family is Family.DATE_AND_TIME)
    )
