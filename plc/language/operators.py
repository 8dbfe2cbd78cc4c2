"""Operators on typed values (IEC 61131-3 7.3.2, Table 71): the common type, the operation, constants folded."""

from __future__ import annotations

from plc.language import typed, values
from plc.language.ast import ReferenceKind
from plc.language.coercion import Coercion, bounds_of, may_be_null, smallest_integer
from plc.language.source import Span
from plc.language.types import (
    BOOL,
    CHAR,
    DATE,
    DT,
    LDATE,
    LDT,
    LINT,
    LREAL,
    LTIME,
    LTOD,
    NULL,
    REAL,
    TIME,
    TOD,
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
    Type,
    as_unsigned,
    common,
    fit,
    is_a,
    is_block,
    plain,
)
from plc.language.values import NoValue

_COMPARISONS = frozenset({"=", "<>", "<", ">", "<=", ">="})
_LOGICAL = frozenset({"AND", "OR", "XOR", "AND_THEN", "OR_ELSE"})
_MOMENTS = {
    DATE: TIME,
    TOD: TIME,
    DT: TIME,
    LDATE: LTIME,
    LTOD: LTIME,
    LDT: LTIME,
}  # to what their difference is


class Operators(Coercion):
    """Two values to one; the operands may be literals without a type yet."""

    def operate(
        self,
        operator: str,
        left: typed.Expression,
        right: typed.Expression,
        span: Span,
        expected: Type | None = None,
    ) -> typed.Expression:
        """A binary operation on two values."""
        if left.type is UNKNOWN or right.type is UNKNOWN:
            return typed.Wrong(UNKNOWN, span)
        if operator in _COMPARISONS:
            return self._compare(operator, left, right, span)
        if operator in _LOGICAL:
            return self._combine(operator, left, right, span)
        if operator == "**":
            return self._power(left, right, span, expected)
        return self._calculate(operator, left, right, span)

    def _compare(
        self, operator: str, left: typed.Expression, right: typed.Expression, span: Span
    ) -> typed.Expression:
        meeting = self._meeting(left, right)
        is_equality = operator in ("=", "<>")
        allowed = meeting is not None and (
            is_a(meeting, "ANY_ELEMENTARY")
            or (is_equality and (isinstance(meeting, Reference) or is_block(meeting) or meeting is NULL))
        )
        if meeting is None or not allowed:
            self._no_operator(operator, span, (left.type, right.type))
            return typed.Wrong(BOOL, span)
        self._mixed_warning(left, right, meeting, span)
        if is_equality and is_a(meeting, "ANY_REAL") and not isinstance(left, typed.Literal):
            self.diagnostics.report(
                "ST0809",
                span,
                "reals are rarely exactly equal",
                mend="compare ABS of the difference with a tolerance",
            )
        self._always(operator, left, right, span)
        left, right = self.coerce(left, meeting), self.coerce(right, meeting)
        if isinstance(left, typed.Literal) and isinstance(right, typed.Literal):
            value, _ = values.binary(operator, left.value, right.value, meeting)
            return typed.Literal(value, BOOL, span)
        return typed.Operation(operator, (left, right), BOOL, span)

    def _meeting(self, left: typed.Expression, right: typed.Expression) -> Type | None:
        """The common type. A literal that the other's type does not hold makes it wider; ``'x'`` can be a CHAR."""
        for one, other in ((left, right), (right, left)):
            if isinstance(one, typed.Literal) and one.type is UNTYPED_INTEGER:
                assert isinstance(one.value, int)
                type_ = plain(other.type)
                if may_be_null(type_) and one.value == 0:
                    return type_
                if isinstance(type_, Enumeration):
                    return type_.base
                is_whole = isinstance(type_, Elementary) and type_.family in WHOLE_NUMBERS
                if is_whole and isinstance(type_, Elementary) and not values.fits(one.value, type_):
                    return common(type_, smallest_integer(one.value))
            is_character = (
                isinstance(one, typed.Literal) and isinstance(one.value, str) and len(one.value) == 1
            )
            if is_character and other.type in (CHAR, WCHAR):
                return other.type
        return common(left.type, right.type)

    def _mixed_warning(
        self, left: typed.Expression, right: typed.Expression, meeting: Type, span: Span
    ) -> None:
        for one in (left, right):
            source = plain(one.type)
            if isinstance(source, Enumeration) and source is not meeting:
                self._bits_warning(one.span, source)
                return
            if isinstance(source, Elementary) and isinstance(meeting, Elementary):
                is_mixed = source.family is Family.BIT and meeting.family in WHOLE_NUMBERS
                if is_mixed or fit(source, meeting) is Fit.REINTERPRETS:
                    self._bits_warning(one.span, source)
                    return

    def _always(self, operator: str, left: typed.Expression, right: typed.Expression, span: Span) -> None:
        if isinstance(left, typed.Literal) == isinstance(right, typed.Literal):
            return
        if isinstance(left, typed.Literal):
            left, right = right, left
            operator = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}.get(operator, operator)
        bounds = bounds_of(left.type)
        assert isinstance(right, typed.Literal)
        if bounds is None or isinstance(right.value, bool) or not isinstance(right.value, int):
            return
        low, high = bounds
        value = right.value
        outcomes = {
            values.binary(operator, edge, value, UNTYPED_INTEGER)[0]
            for edge in (low, high, min(max(value, low), high))
        }
        if operator in ("=", "<>") and low <= value <= high:
            return
        if len(outcomes) == 1:
            always = "true" if outcomes == {True} else "false"
            self.diagnostics.report(
                "ST0808",
                span,
                f"this is always {always}: {left.type} goes from {low} to {high}",
                mend="compare with a value inside of it, or leave the comparison out",
            )

    def _combine(
        self, operator: str, left: typed.Expression, right: typed.Expression, span: Span
    ) -> typed.Expression:
        meeting = common(left.type, right.type)
        is_shortcut = operator in ("AND_THEN", "OR_ELSE")
        if is_shortcut and meeting is not BOOL:
            meeting = None
        if meeting is None or not (is_a(meeting, "ANY_BIT") or is_a(meeting, "ANY_INT")):
            self._no_operator(operator, span, (left.type, right.type))
            return typed.Wrong(UNKNOWN, span)
        if not is_a(meeting, "ANY_BIT"):
            self._bits_warning(span, meeting)
        return self._operation(operator, left, right, meeting, meeting, span)

    def _calculate(
        self, operator: str, left: typed.Expression, right: typed.Expression, span: Span
    ) -> typed.Expression:
        a, b = plain(left.type), plain(right.type)
        timed = self._calculate_times(operator, left, right, a, b, span)
        if timed is not None:
            return timed
        if isinstance(a, Reference) and a.kind is ReferenceKind.POINTER_TO and operator in ("+", "-"):
            if is_a(b, "ANY_INT"):
                return typed.Operation(operator, (left, self.settled(right)), a, span)
            if operator == "-" and isinstance(b, Reference):
                return typed.Operation(operator, (left, right), LINT, span)
        meeting = common(a, b)
        wanted = "ANY_INT" if operator == "MOD" else "ANY_NUM"
        if (
            meeting is not None
            and isinstance(meeting, Elementary)
            and meeting.family is Family.BIT
            and meeting is not BOOL
        ):
            meeting = as_unsigned(meeting)
        if meeting is None or not is_a(meeting, wanted) or BOOL in (a, b):
            self._no_operator(operator, span, (left.type, right.type))
            return typed.Wrong(UNKNOWN, span)
        self._mixed_warning(left, right, meeting, span)
        return self._operation(operator, left, right, meeting, meeting, span)

    def _calculate_times(
        self,
        operator: str,
        left: typed.Expression,
        right: typed.Expression,
        a: Type,
        b: Type,
        span: Span,
    ) -> typed.Expression | None:
        """Table 35: sums and differences of times and dates, durations times numbers."""
        if not isinstance(a, Elementary) or not isinstance(b, Elementary):
            return None
        if a.family is Family.DURATION and b.family is Family.DURATION and operator in ("+", "-"):
            meeting = LTIME if LTIME in (a, b) else TIME
            return self._operation(operator, left, right, meeting, meeting, span)
        moments = (Family.DATE, Family.TIME_OF_DAY, Family.DATE_AND_TIME)
        if a.family in moments:
            if operator == "-" and b.family is a.family:
                meeting_moment = common(a, b)
                assert isinstance(meeting_moment, Elementary)
                return self._operation(operator, left, right, meeting_moment, _MOMENTS[meeting_moment], span)
            if b.family is Family.DURATION and operator in ("+", "-") and a.family is not Family.DATE:
                if isinstance(left, typed.Literal) and isinstance(right, typed.Literal):
                    return self._fold(operator, left, right, a, a, span)
                return typed.Operation(operator, (left, right), a, span)
        if a.family is Family.DURATION and operator in ("*", "/") and is_a(b, "ANY_NUM"):
            number = self.settled(right, LREAL if b is UNTYPED_REAL else None)
            if isinstance(left, typed.Literal) and isinstance(number, typed.Literal):
                return self._scale(operator, left, number, span)
            return typed.Operation(operator, (left, number), a, span)
        if b.family is Family.DURATION and operator == "*" and is_a(a, "ANY_NUM"):
            return self._calculate_times("*", right, left, b, a, span)
        return None

    def _scale(
        self, operator: str, left: typed.Literal, number: typed.Literal, span: Span
    ) -> typed.Expression:
        assert isinstance(left.value, int)
        try:
            value, overflowed = values.binary(operator, left.value, number.value, left.type)
            if isinstance(value, float):
                value = values.nearest_integer(value)
        except NoValue as none:
            return self._unworkable(span, none)
        self._overflow(overflowed, span, left.type)
        return typed.Literal(value, left.type, span)

    def _power(
        self, left: typed.Expression, right: typed.Expression, span: Span, expected: Type | None
    ) -> typed.Expression:
        """``**`` and EXPT: a real to the power of any number (6.6.2.5.5); of two bare integers, an integer."""
        if left.type is UNTYPED_INTEGER and right.type is UNTYPED_INTEGER:
            return self._operation("**", left, right, UNTYPED_INTEGER, UNTYPED_INTEGER, span)
        base = common(left.type, UNTYPED_REAL)
        if base is None or not is_a(base, "ANY_REAL") or not is_a(right.type, "ANY_NUM"):
            self._no_operator("**", span, (left.type, right.type))
            return typed.Wrong(UNKNOWN, span)
        if is_a(right.type, "ANY_REAL"):
            base = common(base, right.type)
            assert base is not None
        if base is UNTYPED_REAL and not isinstance(right, typed.Literal):
            base = REAL if expected is REAL else LREAL
        if is_a(right.type, "ANY_REAL"):
            return self._operation("**", left, right, base, base, span)
        left = self.coerce(left, base)
        right = self.settled(right)
        if isinstance(left, typed.Literal) and isinstance(right, typed.Literal):
            return self._fold("**", left, right, base, base, span)
        return typed.Operation("**", (left, right), base, span)

    def _operation(
        self,
        operator: str,
        left: typed.Expression,
        right: typed.Expression,
        meeting: Type,
        result: Type,
        span: Span,
    ) -> typed.Expression:
        left, right = self.coerce(left, meeting), self.coerce(right, meeting)
        if isinstance(left, typed.Wrong) or isinstance(right, typed.Wrong):
            return typed.Wrong(UNKNOWN, span)
        if isinstance(left, typed.Literal) and isinstance(right, typed.Literal):
            return self._fold(operator, left, right, meeting, result, span)
        is_by_zero = operator in ("/", "MOD") and isinstance(right, typed.Literal) and right.value == 0
        if is_by_zero and is_a(meeting, "ANY_INT"):
            return self._unworkable(span, NoValue("division by zero"))
        return typed.Operation(operator, (left, right), result, span)

    def _fold(
        self,
        operator: str,
        left: typed.Literal,
        right: typed.Literal,
        meeting: Type,
        result: Type,
        span: Span,
    ) -> typed.Expression:
        try:
            value, overflowed = values.binary(operator, left.value, right.value, meeting)
        except NoValue as none:
            return self._unworkable(span, none)
        self._overflow(overflowed, span, meeting)
        return typed.Literal(value, result, span)

    def _no_operator(self, operator: str, span: Span, types: tuple[Type, ...]) -> None:
        self.diagnostics.report(
            "ST0301",
            span,
            f"{operator} is not for {' and '.join(str(one) for one in types)}",
            mend="convert an operand",
        )

    def _bits_warning(self, span: Span, type_: Type) -> None:
        self.diagnostics.report(
            "ST0805",
            span,
            f"{type_} is taken for a bit string"
            if is_a(type_, "ANY_INT")
            else f"{type_} is taken for a number",
            mend="say so with a conversion",
        )

    def _unworkable(self, span: Span, why: NoValue) -> typed.Expression:
        self.diagnostics.report("ST0318", span, f"this can not be worked out: {why}")
        return typed.Wrong(UNKNOWN, span)

    def _overflow(self, overflowed: bool, span: Span, type_: Type) -> None:
        if overflowed:
            self.diagnostics.report(
                "ST0806",
                span,
                f"the result does not fit {type_} and wraps around",
                mend="take a wider type for the constants",
            )
