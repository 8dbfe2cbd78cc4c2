"""The standard functions in C (IEC 61131-3 6.6.2.5): a table by name, for what analysis leaves as calls."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

from plc.compiler.layout import as_constant_text, c_scalar, scalar, text_name
from plc.compiler.refusals import NotCompiled
from plc.compiler.testing import FUNCTIONS as ASSERTIONS
from plc.compiler.testing import advance, assertion
from plc.language import typed
from plc.language.types import CHAR, DATE, DT, INT, LDATE, LDT, LTOD, TOD, WCHAR, StringOf, Type

if TYPE_CHECKING:
    from plc.compiler.expressions import Expressions

Maker = Callable[["Expressions", typed.StandardCall], str]

_MATH = {
    "SQRT": "sqrt",
    "LN": "log",
    "LOG": "log10",
    "EXP": "exp",
    "SIN": "sin",
    "COS": "cos",
    "TAN": "tan",
    "ASIN": "asin",
    "ACOS": "acos",
    "ATAN": "atan",
    "ATAN2": "atan2",
}
_CHAINS = {"GT": ">", "GE": ">=", "EQ": "==", "LE": "<=", "LT": "<", "NE": "!="}
LONGEST_RESULT = 32_767


def _kind(call: typed.StandardCall, type_: Type) -> str:
    kind = scalar(type_)
    if kind is None:
        raise NotCompiled(call.span, f"{call.function.name} of {type_} is not compiled yet")
    return kind


def _math(unit: Expressions, call: typed.StandardCall) -> str:
    name = _MATH[call.function.name]
    suffix = "f" if scalar(call.type) == "f32" else ""
    return f"{name}{suffix}({', '.join(unit.values(call.arguments))})"


def _abs(unit: Expressions, call: typed.StandardCall) -> str:
    kind = _kind(call, call.type)
    text = unit.value(call.arguments[0])
    if kind in ("f32", "f64"):
        return f"{'fabsf' if kind == 'f32' else 'fabs'}({text})"
    return f"tl_abs_{kind}({text})"


def _move(unit: Expressions, call: typed.StandardCall) -> str:
    return unit.value(call.arguments[0])


def _shift(unit: Expressions, call: typed.StandardCall) -> str:
    kind = _kind(call, call.type)
    text, count = unit.values(call.arguments)
    name = call.function.name
    if scalar(call.arguments[1].type) == "u64":
        count = f"(int64_t)({count} & {'UINT64_C(63)' if name in ('ROL', 'ROR') else 'INT64_MAX'})"
    if kind == "bool":
        return text if name in ("ROL", "ROR") else f"({text} && {count} <= 0)"
    shifted = f"tl_{name.lower()}_{kind.replace('i', 'u')}"
    if kind.startswith("i"):
        wide = f"uint{kind[1:]}_t"
        return f"({c_scalar(kind)}){shifted}(({wide}){text}, {count})"
    return f"{shifted}({text}, {count})"


def _select(unit: Expressions, call: typed.StandardCall) -> str:
    chooser, first, second = unit.values(call.arguments)
    return f"({chooser} ? {second} : {first})"


def _multiplex(unit: Expressions, call: typed.StandardCall) -> str:
    selector, *texts = unit.values(call.arguments)
    kind = _kind(call, call.arguments[0].type)
    name = unit.temporary()
    unit.emit(f"const {c_scalar(kind)} {name} = {selector};")
    found = texts[-1]
    for index in range(len(texts) - 2, -1, -1):
        found = f"({name} == {index} ? {texts[index]} : {found})"
    return found


def _extreme(unit: Expressions, call: typed.StandardCall) -> str:
    word = call.function.name.lower()
    texts = unit.values(call.arguments)
    if isinstance(call.arguments[0].type, StringOf):
        name, found = text_name(call.arguments[0].type), texts[0]
        for text in texts[1:]:
            found = f"{name}_{word}({found}, {text})"
        return found
    kind = _kind(call, call.type)
    if kind == "bool":
        return f"({(' || ' if word == 'max' else ' && ').join(texts)})"
    found = texts[0]
    for text in texts[1:]:
        found = f"tl_{word}_{kind}({found}, {text})"
    return found


def _limit(unit: Expressions, call: typed.StandardCall) -> str:
    """MIN(MAX(IN, MN), MX), as the standard writes it."""
    low, value, high = unit.values(call.arguments)
    if isinstance(call.type, StringOf):
        name = text_name(call.type)
        return f"{name}_min({name}_max({value}, {low}), {high})"
    kind = _kind(call, call.type)
    if kind == "bool":
        return f"(({value} || {low}) && {high})"
    return f"tl_min_{kind}(tl_max_{kind}({value}, {low}), {high})"


def _chain(unit: Expressions, call: typed.StandardCall) -> str:
    """GT(a, b, c) is a > b and b > c (Table 33)."""
    sign = _CHAINS[call.function.name]
    texts = unit.values(call.arguments)
    if isinstance(call.arguments[0].type, StringOf):
        name = text_name(call.arguments[0].type)
        pairs = [f"{name}_compare({a}, {b}) {sign} 0" for a, b in itertools.pairwise(texts)]
    else:
        _kind(call, call.arguments[0].type)
        pairs = [f"{a} {sign} {b}" for a, b in itertools.pairwise(texts)]
    return f"({' && '.join(pairs)})" if len(pairs) == 1 else f"({' && '.join(f'({one})' for one in pairs)})"


def _length(unit: Expressions, call: typed.StandardCall) -> str:
    texts, name = _texts(unit, call)
    return f"{name}_len({texts[0]})"


def _find(unit: Expressions, call: typed.StandardCall) -> str:
    texts, name = _texts(unit, call)
    return f"{name}_find({', '.join(texts)})"


def _texts(unit: Expressions, call: typed.StandardCall) -> tuple[list[str], str]:
    """The arguments, a CHAR or WCHAR as a string of one, and what the run-time's functions for them begin with."""
    first = call.arguments[0].type
    is_wide = first is WCHAR or (isinstance(first, StringOf) and first.is_wide)
    one = StringOf(is_wide, 1)
    arguments = [
        typed.Convert(argument, one, True, argument.span) if argument.type in (CHAR, WCHAR) else argument
        for argument in call.arguments
    ]
    return unit.values(arguments), text_name(one)


def _string(unit: Expressions, call: typed.StandardCall) -> str:
    """LEFT, RIGHT, MID, INSERT, DELETE, REPLACE and CONCAT give a new string."""
    if not isinstance(call.type, StringOf):
        raise NotCompiled(call.span, f"{call.function.name} of {call.type} is not compiled")
    texts, name = _texts(unit, call)
    result = unit.string_temporary(StringOf(call.type.is_wide, min(call.type.length, LONGEST_RESULT)))
    if call.function.name == "CONCAT":
        unit.emit(f"{name}_copy({result}, {texts[0]});")
        for text in texts[1:]:
            unit.emit(f"{name}_append({result}, {text});")
    else:
        numbers = [
            text
            if isinstance(argument.type, StringOf) or argument.type in (CHAR, WCHAR)
            else f"(int64_t){text}"
            for text, argument in zip(texts, call.arguments, strict=True)
        ]
        arguments = ", ".join(("scan", result, *numbers, unit.at(call.span)))
        unit.emit(f"{name}_{call.function.name.lower()}({arguments});")
    return as_constant_text(result, call.type)


def _time_sum(unit: Expressions, call: typed.StandardCall) -> str:
    operator = "add" if call.function.name.startswith("ADD") else "sub"
    a, b = unit.values(call.arguments)
    text = f"tl_{operator}_i64({a}, {b})"
    return f"tl_into_day({text})" if call.type in (TOD, LTOD) else text


def _time_scale(unit: Expressions, call: typed.StandardCall) -> str:
    time, factor = call.arguments
    operator = "*" if call.function.name.startswith("MUL") else "/"
    return unit.value(typed.Operation(operator, (time, factor), call.type, call.span))


def _concat_date_tod(unit: Expressions, call: typed.StandardCall) -> str:
    a, b = unit.values(call.arguments)
    return f"tl_add_i64({a}, {b})"


def _concat_fields(unit: Expressions, call: typed.StandardCall) -> str:
    fields = [f"(int64_t){text}" for text in unit.values(call.arguments)]
    parts: list[str] = []
    if call.type in (DATE, LDATE, DT, LDT):
        parts.append(f"tl_date_ns({', '.join(fields[:3])})")
        fields = fields[3:]
    if fields:
        units = ("TL_NS_PER_MS", "TL_NS_PER_US", "1")
        nanoseconds = fields[3:]
        total = f"tl_mul_i64({nanoseconds[0]}, {units[0]})"
        for field, unit_ns in zip(nanoseconds[1:], units[1:], strict=False):
            total = f"tl_add_i64({total}, tl_mul_i64({field}, {unit_ns}))"
        parts.append(f"tl_time_of_day_ns({', '.join((*fields[:3], total))})")
    return parts[0] if len(parts) == 1 else f"tl_add_i64({parts[0]}, {parts[1]})"


_FIELDS = {
    "YEAR": "year",
    "MONTH": "month",
    "DAY": "day",
    "HOUR": "hour",
    "MINUTE": "minute",
    "SECOND": "second",
    "MILLISECOND": "nanosecond / 1000000",
    "MICROSECOND": "nanosecond / 1000 % 1000",
    "NANOSECOND": "nanosecond % 1000",
}


def _split(unit: Expressions, call: typed.StandardCall) -> str:
    """The fields go where the call's outputs say; there is no value."""
    name = unit.temporary()
    unit.emit(f"const struct tl_civil {name} = tl_civil_from_ns({unit.value(call.arguments[0])});")
    parameters = {one.name: one.type for one in call.function.outputs}
    for output in call.outputs:
        assert isinstance(output.parameter, str)
        assert parameters[output.parameter] == "INT"
        unit.copy_out(output, f"(int16_t)({name}.{_FIELDS[output.parameter]})", INT)
    return ""


def _day_of_week(unit: Expressions, call: typed.StandardCall) -> str:
    return f"tl_day_of_week({unit.value(call.arguments[0])})"


def _is_valid(unit: Expressions, call: typed.StandardCall) -> str:
    return f"(isfinite({unit.value(call.arguments[0])}) != 0)"


def _is_valid_bcd(unit: Expressions, call: typed.StandardCall) -> str:
    kind = _kind(call, call.arguments[0].type)
    if kind == "bool":
        return "true"
    return f"tl_is_bcd_u{kind[1:]}((uint{kind[1:]}_t){unit.value(call.arguments[0])})"


def _big_endian(unit: Expressions, call: typed.StandardCall) -> str:
    """All that runs this is little-endian: x86-64, AArch64, Cortex-M."""
    kind = _kind(call, call.type)
    text = unit.value(call.arguments[0])
    if kind in ("bool", "u8", "i8"):
        return text
    if kind in ("f32", "f64"):
        return f"tl_{kind}_bits(tl_swap_u{kind[1:]}(tl_bits_{kind}({text})))"
    return f"({c_scalar(kind)})tl_swap_u{kind[1:]}((uint{kind[1:]}_t){text})"


def _trunc(unit: Expressions, call: typed.StandardCall) -> str:
    source, target = _kind(call, call.arguments[0].type), _kind(call, call.type)
    text = unit.value(call.arguments[0])
    return f"tl_{target}_trunc_{source}(scan, {text}, {unit.at(call.span)})"


def _from_bcd(unit: Expressions, call: typed.StandardCall) -> str:
    return f"({c_scalar(_kind(call, call.type))})tl_from_bcd({unit.value(call.arguments[0])})"


def _to_bcd(unit: Expressions, call: typed.StandardCall) -> str:
    return f"({c_scalar(_kind(call, call.type))})tl_to_bcd({unit.value(call.arguments[0])})"


STANDARD: dict[str, Maker] = {
    **dict.fromkeys(_MATH, _math),
    **dict.fromkeys(("SHL", "SHR", "ROL", "ROR"), _shift),
    **dict.fromkeys(("MAX", "MIN"), _extreme),
    **dict.fromkeys(_CHAINS, _chain),
    **dict.fromkeys(("LEFT", "RIGHT", "MID", "INSERT", "DELETE", "REPLACE", "CONCAT"), _string),
    **dict.fromkeys(
        (
            f"{sign}_{form}"
            for sign in ("ADD", "SUB")
            for form in ("TIME", "LTIME", "TOD_TIME", "LTOD_LTIME", "DT_TIME", "LDT_LTIME")
        ),
        _time_sum,
    ),
    **dict.fromkeys((f"SUB_{one}_{one}" for one in ("DATE", "LDATE", "TOD", "LTOD", "DT", "LDT")), _time_sum),
    **dict.fromkeys(("MUL_TIME", "MUL_LTIME", "DIV_TIME", "DIV_LTIME"), _time_scale),
    **dict.fromkeys(("CONCAT_DATE_TOD", "CONCAT_DATE_LTOD"), _concat_date_tod),
    **dict.fromkeys(("CONCAT_DATE", "CONCAT_TOD", "CONCAT_LTOD", "CONCAT_DT", "CONCAT_LDT"), _concat_fields),
    **dict.fromkeys(("SPLIT_DATE", "SPLIT_TOD", "SPLIT_LTOD", "SPLIT_DT", "SPLIT_LDT"), _split),
    **dict.fromkeys(("TO_BIG_ENDIAN", "FROM_BIG_ENDIAN"), _big_endian),
    **dict.fromkeys(("TO_LITTLE_ENDIAN", "FROM_LITTLE_ENDIAN", "MOVE"), _move),
    "ABS": _abs,
    "SEL": _select,
    "MUX": _multiplex,
    "LIMIT": _limit,
    "LEN": _length,
    "FIND": _find,
    "DAY_OF_WEEK": _day_of_week,
    "IS_VALID": _is_valid,
    "IS_VALID_BCD": _is_valid_bcd,
    "trunc": _trunc,
    "from bcd": _from_bcd,
    "to bcd": _to_bcd,
    **dict.fromkeys(ASSERTIONS, assertion),
    "ADVANCE": advance,
}
