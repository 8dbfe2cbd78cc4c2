"""Implicit conversion (IEC 61131-3 6.6.1.6): a value as the type that is wanted, or the fault of not fitting."""

from __future__ import annotations

from plc.language import standard, typed, values
from plc.language.ast import ReferenceKind
from plc.language.diagnostics import Diagnostics
from plc.language.types import (
    BOOL,
    CHAR,
    DINT,
    INT,
    LINT,
    LREAL,
    NOTHING,
    REAL,
    ULINT,
    UNKNOWN,
    UNTYPED_INTEGER,
    UNTYPED_REAL,
    WCHAR,
    WHOLE_NUMBERS,
    Elementary,
    Enumeration,
    Family,
    Fit,
    Reference,
    StringOf,
    Subrange,
    Type,
    fit,
    fits_leniently,
    is_a,
    is_block,
    plain,
)


class Coercion:
    """Values in, values out; what does not fit is reported and becomes ``typed.Wrong``."""

    def __init__(self, diagnostics: Diagnostics) -> None:
        self.diagnostics = diagnostics

    def settled(self, value: typed.Expression, wanted: Type | None = None) -> typed.Expression:
        """A value whose type is a real one: literals without a type get the smallest usual."""
        if not isinstance(value, typed.Literal):
            return value
        if value.type is UNTYPED_INTEGER:
            assert isinstance(value.value, int)
            return self.coerce(value, wanted or smallest_integer(value.value))
        if value.type is UNTYPED_REAL:
            return self.coerce(value, wanted or LREAL)
        return value

    def coerce(self, value: typed.Expression, target: Type) -> typed.Expression:
        """A value as another type by implicit conversion; what does not fit is reported."""
        source = value.type
        if source is target or source is UNKNOWN or target is UNKNOWN:
            return value
        if isinstance(target, Reference) and target.kind is ReferenceKind.REFERENCE_TO:
            target = target.target
        if isinstance(value, typed.Literal):
            adapted = self._adapt(value, target)
            if adapted is not None:
                return adapted
        if source is NOTHING:
            self.diagnostics.report(
                "ST0315", value.span, "this call gives no value", mend="call it as a statement"
            )
            return typed.Wrong(UNKNOWN, value.span)
        outcome = fit(source, target)
        if outcome is Fit.NO and value.span.source.is_lenient and fits_leniently(source, target):
            outcome = Fit.REINTERPRETS
        if outcome is Fit.NO:
            self._misfit(value, target)
            return typed.Wrong(UNKNOWN, value.span)
        if outcome is Fit.LOSES:
            self.diagnostics.report(
                "ST0804",
                value.span,
                f"{source} as {target}: digits may be lost",
                mend=f"if that is meant, write {conversion_name(source, target)}(…)",
            )
        elif outcome is Fit.REINTERPRETS:
            self.diagnostics.report(
                "ST0805",
                value.span,
                f"{source} as {target}: the same bits mean something else",
                mend=f"if that is meant, write {conversion_name(source, target)}(…)",
            )
        if isinstance(value, typed.Literal):
            return typed.Literal(implicit_value(value.value, target), target, value.span)
        if outcome is Fit.SAME and not isinstance(target, Subrange) and not isinstance(source, Subrange):
            return value
        return typed.Convert(value, target, True, value.span)

    def _adapt(self, literal: typed.Literal, target: Type) -> typed.Expression | None:
        """A literal in the type that is wanted, or ``None`` where the general rules say enough."""
        type_ = plain(target)
        value = literal.value
        if isinstance(value, str):
            return self._adapt_string(literal, value, target)
        if literal.type is UNTYPED_INTEGER and may_be_null(type_) and value == 0:
            return typed.Literal(None, target, literal.span)
        if literal.type is UNTYPED_INTEGER and isinstance(type_, Enumeration):
            return self._adapt_enumeration(literal, type_)
        if not isinstance(type_, Elementary):
            return None
        if literal.type is UNTYPED_INTEGER or (isinstance(target, Subrange) and isinstance(value, int)):
            assert isinstance(value, int)
            if type_.family in WHOLE_NUMBERS | {Family.BIT}:
                low, high = bounds_of(target) or (type_.low, type_.high)
                if low <= value <= high:
                    return typed.Literal(bool(value) if type_ is BOOL else value, target, literal.span)
                if literal.type is not UNTYPED_INTEGER and not isinstance(target, Subrange):
                    return None
                self.diagnostics.report(
                    "ST0311",
                    literal.span,
                    f"{value} is outside of {target}"
                    + ("" if isinstance(target, Subrange) else f" ({low}..{high})"),
                    mend="take a wider type, or another value",
                )
                return typed.Wrong(UNKNOWN, literal.span)
            if type_.family is Family.REAL:
                return self._adapt_real(
                    literal, float(value) if abs(value) < 1 << 1000 else float("inf"), type_
                )
            if type_ is UNTYPED_REAL:
                return typed.Literal(float(value), UNTYPED_REAL, literal.span)
        if literal.type is UNTYPED_REAL and type_.family is Family.REAL:
            assert isinstance(value, float)
            return self._adapt_real(literal, value, type_)
        return None

    def _adapt_enumeration(self, literal: typed.Literal, type_: Enumeration) -> typed.Expression | None:
        """A number for an enumeration's value, as vendors allow where the type is not strict."""
        if literal.value not in type_.values.values() or type_.is_qualified_only:
            return None
        name = next(name for key, name in type_.spelling.items() if type_.values[key] == literal.value)
        self.diagnostics.report(
            "ST0805",
            literal.span,
            f"{literal.value} is taken for {type_}#{name}",
            mend=f"write {type_}#{name}",
        )
        return typed.Literal(literal.value, type_, literal.span)

    def _adapt_real(self, literal: typed.Literal, value: float, type_: Elementary) -> typed.Expression:
        stored = values.single(value) if type_ is REAL else value
        if stored in (float("inf"), float("-inf")):
            self.diagnostics.report(
                "ST0311", literal.span, f"{literal.span.text} is outside of {type_}", mend="take LREAL"
            )
            return typed.Wrong(UNKNOWN, literal.span)
        if literal.type is UNTYPED_INTEGER and stored != literal.value:
            self.diagnostics.report(
                "ST0804",
                literal.span,
                f"{literal.value} has more digits than {type_} keeps: {stored:.0f}",
                mend="take LREAL",
            )
        return typed.Literal(stored, type_, literal.span)

    def _adapt_string(self, literal: typed.Literal, value: str, target: Type) -> typed.Expression | None:
        source = literal.type
        if not isinstance(source, StringOf):
            return None
        if target in (CHAR, WCHAR):
            if len(value) == 1 and source.is_wide == (target is WCHAR):
                return typed.Literal(value, target, literal.span)
            return None
        if isinstance(target, StringOf) and target.is_wide == source.is_wide:
            if len(value) > target.length:
                self.diagnostics.report(
                    "ST0804",
                    literal.span,
                    f"{len(value)} characters do not fit {target}: the end is cut off",
                    mend=f"take {'W' if target.is_wide else ''}STRING[{len(value)}]",
                )
                value = value[: target.length]
            return typed.Literal(value, target, literal.span)
        return None

    def _misfit(self, value: typed.Expression, target: Type) -> None:
        source = value.type
        mend: str | None = None
        if source is UNTYPED_REAL and is_a(target, "ANY_INT"):
            mend = "write a whole number, or convert with REAL_TO_… (rounds) or TRUNC (cuts)"
        elif source is UNTYPED_INTEGER and is_a(target, "ANY_DURATION"):
            mend = "write a duration: T#5s"
        elif isinstance(target, Enumeration):
            mend = f"use one of the values of {target.name}"
        elif standard.converts(conversion_type(source), conversion_type(target), "convert"):
            mend = f"write {conversion_name(source, target)}({value.span.text})"
        elif isinstance(target, Reference):
            mend = "write REF(…)"
        self.diagnostics.report(
            "ST0300", value.span, f"{with_article(source)} does not fit {target}", mend=mend
        )


def smallest_integer(value: int) -> Elementary:
    for type_ in (INT, DINT, LINT):
        if values.fits(value, type_):
            return type_
    return ULINT


def is_pointer(type_: Type) -> bool:
    return isinstance(type_, Reference) and type_.kind is ReferenceKind.POINTER_TO


def may_be_null(type_: Type) -> bool:
    """Whether vendors write 0 for a NULL of this type."""
    return is_pointer(type_) or (is_block(type_) and type_.is_interface)


def bounds_of(type_: Type) -> tuple[int, int] | None:
    """The least and greatest value of an integer type."""
    if isinstance(type_, Subrange):
        return type_.low, type_.high
    if isinstance(type_, Elementary) and type_.family in WHOLE_NUMBERS | {Family.BIT}:
        return type_.low, type_.high
    return None


def conversion_type(type_: Type) -> Type:
    """A type as the conversions' names know it."""
    type_ = plain(type_)
    return type_.base if isinstance(type_, Enumeration) else type_


def conversion_name(source: Type, target: Type) -> str:
    names = []
    for type_ in (conversion_type(source), conversion_type(target)):
        if isinstance(type_, StringOf):
            names.append("WSTRING" if type_.is_wide else "STRING")
        elif type_ is UNTYPED_INTEGER:
            names.append("DINT")
        elif type_ is UNTYPED_REAL:
            names.append("LREAL")
        else:
            names.append(str(type_))
    return "_TO_".join(names)


def with_article(type_: Type) -> str:
    name = str(type_)
    return f"{'an' if name[:1].upper() in 'AEIOU' and not name.startswith('U') else 'a'} {name}"


def implicit_value(value: values.Value, target: Type) -> values.Value:
    """A constant's value after an implicit conversion."""
    type_ = plain(target)
    if isinstance(type_, Elementary) and type_.family is Family.REAL and isinstance(value, (int, float)):
        return values.single(float(value)) if type_ is REAL else float(value)
    if (
        isinstance(type_, Elementary)
        and type_.family in WHOLE_NUMBERS | {Family.BIT}
        and isinstance(value, int)
    ):
        return bool(value) if type_ is BOOL else values.wrap(int(value), type_)
    return value
