"""Constants and conversions in C (IEC 61131-3 6.6.2.5.2); docs/compiler.md has the table that this follows."""

from __future__ import annotations

import struct

from plc.compiler.layout import c_scalar, scalar
from plc.compiler.refusals import NotCompiled
from plc.language.source import Span
from plc.language.types import CHAR, WCHAR, Elementary, Enumeration, Family, Reference, StringOf, Type
from plc.language.values import Value

SINGLE_DIGITS = 9  # that tell all IEEE singles apart
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
_NUMBERS = (Family.SIGNED, Family.UNSIGNED, Family.BIT, Family.CHARACTER)
_SHORT_UNIT = {"TIME": NS_PER_MS, "TOD": NS_PER_MS, "DATE": NS_PER_S, "DT": NS_PER_S}


def literal(value: Value, kind: str) -> str:
    """A constant of a scalar kind."""
    if value is None:
        return "0u"
    assert not isinstance(value, str)
    if kind == "bool":
        return "true" if value else "false"
    if kind in ("f32", "f64"):
        return repr_real(float(value), kind)
    number = int(value)
    if kind == "u64":
        return f"UINT64_C({number})"
    if kind == "i64":
        return "INT64_MIN" if number == -(1 << 63) else f"INT64_C({number})"
    if kind == "i32" and number == -(1 << 31):
        return "INT32_MIN"
    return f"{number}u" if kind.startswith("u") else str(number)


def repr_real(value: float, kind: str) -> str:
    """The shortest text that C reads as the same number."""
    if value != value:  # only NaN is unlike itself
        return "NAN" if kind == "f32" else "(double)NAN"
    if value in (float("inf"), float("-inf")):
        sign = "-" if value < 0 else ""
        return f"({sign}INFINITY)" if kind == "f32" else f"({sign}(double)INFINITY)"
    text = repr(value)
    if kind == "f32":
        for digits in range(1, SINGLE_DIGITS + 1):
            text = f"{value:.{digits}g}"
            if struct.pack("<f", float(text)) == struct.pack("<f", value):
                break
    if not any(one in text for one in ".e"):
        text += ".0"
    return f"{text}f" if kind == "f32" else text


def convert(text: str, source: Type, target: Type, at: str, span: Span) -> str:
    """A scalar or a string as a scalar of another type."""
    if isinstance(source, Enumeration):
        source = source.base
    if isinstance(target, Enumeration):
        target = target.base
    if isinstance(target, Reference):
        return f"(uint32_t){text}"
    if isinstance(source, Reference):
        kind = scalar(target)
        assert kind is not None
        return f"({c_scalar(kind)}){text}"
    if not isinstance(target, Elementary):
        raise NotCompiled(span, f"the conversion of {source} to {target} is not compiled yet")
    if isinstance(source, StringOf):
        return _from_string(text, source, target)
    if not isinstance(source, Elementary):
        raise NotCompiled(span, f"the conversion of {source} to {target} is not compiled yet")
    if source is target:
        return text
    if source is WCHAR and target is CHAR:
        return _character(text, target)
    if source.family in (Family.UNTYPED_INTEGER, Family.UNTYPED_REAL):
        raise NotCompiled(span, "a literal without a type is not compiled here")
    if _is_time(source) or _is_time(target):
        return _with_time(text, source, target, at, span)
    return _number(text, source, target, at)


def _is_time(type_: Elementary) -> bool:
    return type_.family in (Family.DURATION, Family.DATE, Family.TIME_OF_DAY, Family.DATE_AND_TIME)


def _number(text: str, source: Elementary, target: Elementary, at: str) -> str:
    from_, to = scalar(source), scalar(target)
    assert from_ is not None
    assert to is not None
    if from_ == to:
        return text
    if to == "bool":
        return f"({text} != 0)"
    if from_ in ("f32", "f64"):
        if to in ("f32", "f64"):
            return f"({c_scalar(to)}){text}"
        if target.family is Family.BIT and int(to[1:]) == int(from_[1:]):
            return f"tl_bits_{from_}({text})"  # REAL to DWORD and LREAL to LWORD move the bits
        return f"tl_{to}_from_{from_}(scan, {text}, {at})"
    if to in ("f32", "f64"):
        if source.family is Family.BIT and from_ != "bool" and int(to[1:]) == int(from_[1:]):
            return f"tl_{to}_bits({text})"
        return f"({c_scalar(to)}){text}"
    return f"({c_scalar(to)}){text}"


def _with_time(text: str, source: Elementary, target: Elementary, at: str, span: Span) -> str:
    """Times are nanoseconds; to and from numbers the short forms count milliseconds, dates seconds."""
    if _is_time(source) and _is_time(target):
        if source.family is target.family:
            return text
        if source.family is Family.DATE_AND_TIME and target.family is Family.DATE:
            return f"tl_mul_i64(tl_days({text}), TL_NS_PER_DAY)"
        if source.family is Family.DATE_AND_TIME and target.family is Family.TIME_OF_DAY:
            return f"tl_into_day({text})"
        if source.family is Family.DATE and target.family is Family.DATE_AND_TIME:
            return text
        raise NotCompiled(span, f"the conversion of {source} to {target} is not compiled yet")
    if _is_time(source):
        return _from_time(text, source, target, at)
    unit = _SHORT_UNIT.get(target.name, 1)
    kind = scalar(source)
    if kind in ("f32", "f64"):
        value = text if kind == "f64" else f"(double){text}"
        scaled = value if unit == 1 else f"{value} * {unit}.0"
        return f"tl_i64_from_f64(scan, {scaled}, {at})"
    value = text if kind == "i64" else f"(int64_t){text}"
    return value if unit == 1 else f"tl_mul_i64({value}, {unit})"


def _from_time(text: str, source: Elementary, target: Elementary, at: str) -> str:
    unit = _SHORT_UNIT.get(source.name, 1)
    kind = scalar(target)
    assert kind is not None
    if kind in ("f32", "f64"):
        value = f"(double){text}" if unit == 1 else f"((double){text} / {unit}.0)"
        return value if kind == "f64" else f"(float){value}"
    value = text if unit == 1 else f"({text} / {unit})"
    if kind == "bool":
        return f"({value} != 0)"
    return value if kind == "i64" else f"({c_scalar(kind)}){value}"


_TEXT_FORMS = {
    Family.DURATION: "time",
    Family.DATE: "date",
    Family.TIME_OF_DAY: "tod",
    Family.DATE_AND_TIME: "dt",
}


def _character(text: str, target: Elementary) -> str:
    """A CHAR as a WCHAR or the other way round: what Latin-1 does not have becomes a question mark."""
    return f"(uint16_t){text}" if target is WCHAR else f"tl_char_from_wchar({text})"


def _from_string(text: str, source: StringOf, target: Elementary) -> str:
    kind = scalar(target)
    assert kind is not None
    if target.family is Family.CHARACTER:
        first = f"({text})->units[0]" if source.is_wide else f"(uint8_t)({text})->bytes[0]"
        return first if source.is_wide == (target is WCHAR) else _character(first, target)
    if target.family in _TEXT_FORMS:
        return f"tl_{_TEXT_FORMS[target.family]}_from_string({text})"
    if kind == "bool":
        return f"tl_bool_from_string({text})"
    if kind in ("f32", "f64"):
        value = f"tl_f64_from_string({text})"
        return value if kind == "f64" else f"(float){value}"
    if kind.startswith("u"):
        return f"({c_scalar(kind)})tl_u64_from_string({text}, UINT64_C({target.high}))"
    low = "INT64_MIN" if target.low == -(1 << 63) else str(target.low)
    return f"({c_scalar(kind)})tl_i64_from_string({text}, {low}, INT64_C({target.high}))"
