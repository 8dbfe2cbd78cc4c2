"""The values of literals (IEC 61131-3 6.3): exact integers, nearest doubles, nanoseconds, strings without escapes."""

from __future__ import annotations

import re
from datetime import date
from fractions import Fraction

NS_PER_S = 1_000_000_000
_UNITS_NS = {
    "d": 86_400 * NS_PER_S,
    "h": 3_600 * NS_PER_S,
    "m": 60 * NS_PER_S,
    "s": NS_PER_S,
    "ms": 1_000_000,
    "us": 1_000,
    "ns": 1,
}
_UNIT_ORDER = list(_UNITS_NS)
_PART = re.compile(r"(\d+(?:_\d+)*)(\.\d+(?:_\d+)*)?(ms|us|ns|d|h|m|s)_?", re.IGNORECASE)
_DIGITS = re.compile(r"\d+(?:_\d+)*", re.ASCII)
_REAL = re.compile(r"\d+(?:_\d+)*(?:\.\d+(?:_\d+)*)?(?:[eE][+-]?\d+)?", re.ASCII)
_BASED = re.compile(r"(\d+)#([0-9A-Za-z]+(?:_[0-9A-Za-z]+)*)", re.ASCII)
_CLOCK = re.compile(r"(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.([\d_]+))?)?", re.ASCII)
_EPOCH = date(1970, 1, 1).toordinal()
LONGEST_NS = 2**63 - 1
BASES = (2, 8, 10, 16)  # 6.3.2


class Malformed(Exception):  # noqa: N818  # it describes the literal, and never leaves the parser
    """The literal has no value; the message says why."""


def integer(text: str) -> tuple[int, int]:
    """Value and base of ``1_000``, ``16#FF``, ``2#1010_1010``."""
    if "#" not in text:
        if not _DIGITS.fullmatch(text):
            raise Malformed("a number is digits, with single underscores between them")
        return int(text), 10
    based = _BASED.fullmatch(text)
    if based is None:
        raise Malformed("a based number is written like 16#FF or 2#1010_1010")
    base = int(based[1]) if len(based[1]) < 3 else 0
    if base not in BASES:
        raise Malformed(f"the base is one of 2, 8, 10 and 16, not {based[1]}")
    try:
        return int(based[2].replace("_", ""), base), base
    except ValueError:
        raise Malformed(f"{based[2]} has digits that base {base} does not have") from None


def real(text: str) -> float:
    """The nearest double."""
    if not _REAL.fullmatch(text):
        raise Malformed("a real is written like 1.5 or 1.5E-3")
    return float(text.replace("_", ""))


def duration_ns(text: str) -> int:
    """``1d2h_3.5m`` after ``T#``: units fall from left to right and only the last has a fraction (6.3.4)."""
    sign = -1 if text.startswith("-") else 1
    rest = text.lstrip("+-")
    total = Fraction(0)
    at = 0
    smallest = -1
    fraction_seen = False
    while at < len(rest):
        part = _PART.match(rest, at)
        if part is None:
            raise Malformed(f"“{rest[at:]}” is not a number with one of the units d, h, m, s, ms, us, ns")
        unit = part[3].lower()
        if fraction_seen:
            raise Malformed("only the last part of a duration may have a fraction")
        if _UNIT_ORDER.index(unit) <= smallest:
            raise Malformed("the units of a duration go from the largest to the smallest, each once")
        smallest = _UNIT_ORDER.index(unit)
        fraction_seen = part[2] is not None
        total += Fraction((part[1] + (part[2] or "")).replace("_", "")) * _UNITS_NS[unit]
        at = part.end()
    if smallest < 0:
        raise Malformed("a duration has at least one part, like 5s")
    nanoseconds = round(total)
    if nanoseconds > LONGEST_NS:
        raise Malformed("the longest duration is 292 years: just under 2^63 ns")
    return sign * nanoseconds


def date_ns(text: str) -> int:
    """``2026-03-29`` as nanoseconds since 1970-01-01."""
    try:
        year, month, day = (int(part) for part in text.replace("_", "").split("-"))
        days = date(year, month, day).toordinal() - _EPOCH
    except ValueError:
        raise Malformed(f"there is no day {text}") from None
    nanoseconds = days * _UNITS_NS["d"]
    if not -LONGEST_NS <= nanoseconds <= LONGEST_NS:
        raise Malformed("dates go from 1678 to 2261: ±2^63 ns about 1970")
    return nanoseconds


def time_of_day_ns(text: str) -> int:
    """``06:30:00.25`` as nanoseconds since midnight; seconds may be left out."""
    clock = _CLOCK.fullmatch(text)
    if clock is None:
        raise Malformed("a time of day is written like 06:30:00.25")
    hour, minute, second = int(clock[1]), int(clock[2]), int(clock[3] or 0)
    if hour > 23 or minute > 59 or second > 59:
        raise Malformed(f"there is no time of day {text}")
    fraction = (clock[4] or "").replace("_", "")[:9].ljust(9, "0")
    return ((hour * 60 + minute) * 60 + second) * NS_PER_S + int(fraction)


def date_and_time_ns(text: str) -> int:
    """``2026-03-29-06:30:00`` as nanoseconds since 1970-01-01."""
    day, _, clock = text.rpartition("-")
    nanoseconds = date_ns(day) + time_of_day_ns(clock)
    if nanoseconds > LONGEST_NS:
        raise Malformed("dates go from 1678 to 2261: ±2^63 ns about 1970")
    return nanoseconds


_ESCAPE = re.compile(r"\$(.)", re.DOTALL)
_NAMED = {"L": "\n", "N": "\n", "P": "\f", "R": "\r", "T": "\t", "$": "$", "'": "'", '"': '"'}
_HEX = frozenset("0123456789abcdefABCDEF")


def string(text: str, *, is_wide: bool) -> str:
    """Resolve the ``$`` escapes of 6.3.3 in what stands between the quotes: two hex digits, or four in a WSTRING."""
    if "$" not in text:
        return text
    digits = 4 if is_wide else 2
    pieces: list[str] = []
    at = 0
    while (found := text.find("$", at)) >= 0:
        pieces.append(text[at:found])
        after = text[found + 1 : found + 2]
        code = text[found + 1 : found + 1 + digits]
        if len(code) == digits and _HEX.issuperset(code):
            pieces.append(chr(int(code, 16)))
            at = found + 1 + digits
        elif after.upper() in _NAMED:
            pieces.append(_NAMED[after.upper()])
            at = found + 2
        else:
            raise Malformed(
                f"${after} is no escape: there are $$ $' $\" $L $N $P $R $T and ${'h' * digits} with hex digits"
            )
    pieces.append(text[at:])
    return "".join(pieces)
