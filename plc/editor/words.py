"""What the words of the language mean, in a sentence each, for hover and completion."""

from __future__ import annotations

from plc.language.tokens import RESERVED

_FUNCTIONS = """
ABS: The value without its sign.
SQRT: The square root; NaN below zero.
LN: The natural logarithm.
LOG: The logarithm to base 10.
EXP: e to the power of IN.
SIN: The sine of an angle in radians.
COS: The cosine of an angle in radians.
TAN: The tangent of an angle in radians.
ASIN: The angle in radians, -π/2 to π/2, with this sine.
ACOS: The angle in radians, 0 to π, with this cosine.
ATAN: The angle in radians, -π/2 to π/2, with this tangent.
ATAN2: The angle in radians, -π to π, of the point (X, Y).
ADD: The sum of all inputs, as the operator +.
MUL: The product of all inputs, as the operator *.
SUB: IN1 less IN2, as the operator -.
DIV: IN1 by IN2, as the operator /; of integers the whole part. By zero is a run-time fault for integers.
MOD: What is left of IN1 after whole divisions by IN2, with the sign of IN1.
EXPT: IN1 to the power of IN2, as the operator **.
MOVE: The input as it is.
SHL: The bits moved left by N; zeros follow from the right.
SHR: The bits moved right by N; zeros follow from the left.
ROL: The bits turned left by N.
ROR: The bits turned right by N.
AND: The bits that all inputs have.
OR: The bits that any input has.
XOR: The bits that an odd number of inputs have.
SEL: IN0 where G is FALSE, IN1 where it is TRUE.
MAX: The greatest input.
MIN: The least input.
LIMIT: IN, but not below MN and not above MX.
MUX: The input number K, counted from IN0; the last one where K is out of range.
GT: Whether each input is greater than the next.
GE: Whether no input is less than the next.
EQ: Whether all inputs are equal.
LE: Whether no input is greater than the next.
LT: Whether each input is less than the next.
NE: Whether the inputs differ.
LEN: The number of characters.
LEFT: The first L characters.
RIGHT: The last L characters.
MID: L characters from position P on, counted from 1.
CONCAT: All inputs one after the other.
INSERT: IN1 with IN2 put in after its character P.
DELETE: IN without L characters from position P on, counted from 1.
REPLACE: IN1 with L characters from position P on, counted from 1, replaced by IN2.
FIND: The position of IN2 in IN1, counted from 1; 0 where it is not in it.
ADD_TIME: The sum of two durations.
ADD_LTIME: The sum of two durations.
ADD_TOD_TIME: A time of day, later by a duration.
ADD_LTOD_LTIME: A time of day, later by a duration.
ADD_DT_TIME: A date and time, later by a duration.
ADD_LDT_LTIME: A date and time, later by a duration.
SUB_TIME: The difference of two durations.
SUB_LTIME: The difference of two durations.
SUB_DATE_DATE: The duration from IN2 to IN1.
SUB_LDATE_LDATE: The duration from IN2 to IN1.
SUB_TOD_TIME: A time of day, earlier by a duration.
SUB_LTOD_LTIME: A time of day, earlier by a duration.
SUB_TOD_TOD: The duration from IN2 to IN1.
SUB_LTOD_LTOD: The duration from IN2 to IN1.
SUB_DT_TIME: A date and time, earlier by a duration.
SUB_LDT_LTIME: A date and time, earlier by a duration.
SUB_DT_DT: The duration from IN2 to IN1.
SUB_LDT_LDT: The duration from IN2 to IN1.
MUL_TIME: A duration times a number.
MUL_LTIME: A duration times a number.
DIV_TIME: A duration by a number.
DIV_LTIME: A duration by a number.
CONCAT_DATE_TOD: A date and a time of day as one.
CONCAT_DATE_LTOD: A date and a time of day as one.
CONCAT_DATE: A date of its parts.
CONCAT_TOD: A time of day of its parts.
CONCAT_LTOD: A time of day of its parts.
CONCAT_DT: A date and time of its parts.
CONCAT_LDT: A date and time of its parts.
SPLIT_DATE: A date's parts.
SPLIT_TOD: A time of day's parts.
SPLIT_LTOD: A time of day's parts.
SPLIT_DT: A date and time's parts.
SPLIT_LDT: A date and time's parts.
DAY_OF_WEEK: The day of the week: 0 is Sunday, 6 is Saturday.
IS_VALID: Whether a real number is neither NaN nor infinite.
IS_VALID_BCD: Whether every four bits are a decimal digit.
TO_BIG_ENDIAN: The bytes from this machine's order to the most significant first.
TO_LITTLE_ENDIAN: The bytes from this machine's order to the least significant first.
FROM_BIG_ENDIAN: The bytes from the most significant first to this machine's order.
FROM_LITTLE_ENDIAN: The bytes from the least significant first to this machine's order.
ASSERT: Fails the test where IN is FALSE; in a plant it is a run-time fault.
ASSERT_EQUAL: Fails the test where ACTUAL is not EXPECTED, and tells both.
ASSERT_NEAR: Fails the test where ACTUAL is further from EXPECTED than TOLERANCE, and tells both.
ADVANCE: Lets time go by in a test.
REF: A reference to a variable.
ADR: A pointer to a variable.
SIZEOF: The bytes that a variable or type takes.
LOWER_BOUND: The lower bound of an array's rank, counted from 1.
UPPER_BOUND: The upper bound of an array's rank, counted from 1.
__ISVALIDREF: Whether a reference refers to something.
"""

_BLOCKS = """
SR: A bistable: S1 sets Q1 and wins over R, which resets it.
RS: A bistable: R1 resets Q1 and wins over S, which sets it.
R_TRIG: Q is TRUE for one call when CLK becomes TRUE.
F_TRIG: Q is TRUE for one call when CLK becomes FALSE.
CTU: Counts rising edges of CU up to PV, where Q becomes TRUE; R sets CV to 0.
CTD: Counts rising edges of CD down from PV, which LD loads; Q is TRUE at CV ≤ 0.
CTUD: Counts up with CU and down with CD; R sets CV to 0, LD sets it to PV; QU at CV ≥ PV, QD at CV ≤ 0.
TP: A pulse: Q is TRUE for PT from a rising edge of IN on, whatever IN does.
TON: An on-delay: Q becomes TRUE when IN has been TRUE for PT; ET is the time so far.
TOF: An off-delay: Q stays TRUE for PT after IN became FALSE; ET is the time so far.
"""


def _table(text: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in text.strip().splitlines())


FUNCTIONS = _table(_FUNCTIONS)
BLOCKS = _table(_BLOCKS)

# Words that are keywords by their place only, and so no reserved ones (6.1.3).
_BY_PLACE = """
    METHOD PROPERTY GET SET CLASS INTERFACE NAMESPACE USING ACTION STEP INITIAL_STEP TRANSITION CONFIGURATION RESOURCE
    TASK WITH EXTENDS IMPLEMENTS ABSTRACT FINAL OVERRIDE PUBLIC PRIVATE PROTECTED INTERNAL THIS SUPER CONSTANT RETAIN
    NON_RETAIN PERSISTENT AT R_EDGE F_EDGE REF_TO REF POINTER REFERENCE NULL UNION OVERLAP FROM STRING WSTRING
"""
KEYWORDS = tuple(sorted(RESERVED | set(_BY_PLACE.split())))


def block_words(name: str) -> str | None:
    """What a standard block does; the typed ones do the same as the plain one."""
    key = name.upper()
    return BLOCKS.get(key) or BLOCKS.get(key.rsplit("_", 1)[0])
