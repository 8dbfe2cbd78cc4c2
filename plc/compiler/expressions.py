"""Expressions in C: what has an effect becomes a statement before the one it is used in, from left to right.

A value is C text of exactly the C type of the expression. A string is a pointer to ``const struct tl_string``
or ``const struct tl_wstring``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from plc.compiler.conversions import convert, literal
from plc.compiler.layout import (
    STRING_HEADER,
    as_constant_text,
    as_text,
    c_scalar,
    is_open,
    safe,
    scalar,
    scalar_bytes,
    text_name,
    text_struct,
)
from plc.compiler.reals import is_never_zero
from plc.compiler.refusals import NotCompiled
from plc.compiler.standard_calls import STANDARD
from plc.compiler.whole import Whole
from plc.compiler.writer import Line, line_of
from plc.language import typed
from plc.language.ast import ReferenceKind
from plc.language.source import Span
from plc.language.symbols import Block, Routine, Section, Variable
from plc.language.types import (
    BOOL,
    CHAR,
    NOTHING,
    WCHAR,
    ArrayOf,
    Elementary,
    Enumeration,
    Family,
    Reference,
    StringOf,
    Structure,
    Subrange,
    Type,
    is_block,
    plain,
)
from plc.language.values import Value

_COMPARISONS = {"=": "==", "<>": "!=", "<": "<", ">": ">", "<=": "<=", ">=": ">="}
_ARITHMETIC = {"+": "add", "-": "sub", "*": "mul"}
_PLAIN_C = frozenset({"u32", "u64", "f32", "f64"})  # where C's own + - * are what we want
_BITWISE = {"AND": "&", "OR": "|", "XOR": "^"}
_LOGICAL = {"AND": "&&", "OR": "||", "XOR": "!=", "AND_THEN": "&&", "OR_ELSE": "||"}
_DATES = (Family.DATE, Family.TIME_OF_DAY, Family.DATE_AND_TIME)


class Expressions:
    """The expressions of one unit."""

    def __init__(self, whole: Whole, unit: Routine | Block, block: Block | None) -> None:
        self.whole = whole
        self.layout = whole.layout
        self.unit = unit
        self.block = block  # whose instance ``self`` is
        self.lines: list[Line] = []
        self.depth = 1
        self.span: Span = unit.span
        self.temporaries = 0
        self.loop_ranges: dict[Variable, tuple[int, int]] = {}
        self.in_outs: dict[Variable, str] = {}

    # ── lines ──────────────────────────────────────────────────────────────────────────────────────────────────
    def emit(self, text: str, *, placed: bool = True) -> None:
        """One line of C, on behalf of the statement that is being compiled."""
        place = (self.whole.file(self.span), line_of(self.span)) if placed else None
        self.lines.append(Line(self.depth, text, place))

    @contextmanager
    def aside(self) -> Iterator[list[Line]]:
        """Collects lines apart."""
        outer, self.lines = self.lines, []
        yield self.lines
        self.lines = outer

    def temporary(self) -> str:
        """A C name for a value on its way."""
        self.temporaries += 1
        return f"tl_{self.temporaries}"

    def at(self, span: Span) -> str:
        """Where a fault happens."""
        return f"TL_AT({self.whole.file(span)}, {line_of(span)})"

    # ── values ─────────────────────────────────────────────────────────────────────────────────────────────────
    def values(self, expressions: Sequence[typed.Expression]) -> list[str]:
        """Several values, evaluated from left to right also where a later one takes statements of its own."""
        found: list[str] = []
        for index, expression in enumerate(expressions):
            with self.aside() as lines:
                text = self.value(expression)
            if lines:
                for earlier in range(index):
                    found[earlier] = self._kept(expressions[earlier], found[earlier])
                self.lines.extend(lines)
            found.append(text)
        return found

    def _kept(self, expression: typed.Expression, text: str) -> str:
        """A value that later statements can not change any more."""
        if isinstance(expression, typed.Literal) or text.isidentifier():
            return text
        if isinstance(expression.type, StringOf):
            name = self.string_temporary(expression.type)
            self.emit(f"{text_name(expression.type)}_copy({name}, {text});")
            return as_constant_text(name, expression.type)
        kind = scalar(expression.type)
        if kind is None:
            return text
        name = self.temporary()
        self.emit(f"const {c_scalar(kind)} {name} = {text};")
        return name

    def value(self, expression: typed.Expression) -> str:
        """An expression as C."""
        match expression:
            case typed.Literal():
                return self.literal(expression.value, expression.type, expression.span)
            case typed.Operation():
                return self._operation(expression)
            case typed.Convert():
                return self._convert(expression)
            case typed.StandardCall():
                return self._standard(expression)
            case typed.RoutineCall():
                return self.call(expression) or self._nothing(expression)
            case typed.Enabled():
                return self._enabled(expression)
            case typed.PartialUse():
                return self._part(expression)
            case typed.ReferenceTo():
                return self.offset(expression.operand)
            case typed.ThisUse():
                return self._offset_of("self")
        if isinstance(expression.type, StringOf):
            return as_constant_text(self.string(expression), expression.type)
        if expression.type is BOOL and self._is_doubtful_bool(expression):
            return f"({self.place(expression, is_doubtful=True)} != 0)"
        return self.place(expression)

    def _nothing(self, expression: typed.RoutineCall) -> str:
        raise NotCompiled(expression.span, "this call gives no value")

    def literal(self, value: Value, type_: Type, span: Span) -> str:
        """A constant."""
        if isinstance(value, str) and isinstance(type_, StringOf):
            constant = self.whole.text(value, type_.is_wide)
            return f"TL_{'WTEXT' if type_.is_wide else 'TEXT'}({constant})"
        kind = scalar(type_)
        if kind is None:
            if value is None:
                return "0u"
            raise NotCompiled(span, f"a constant of {type_} is not compiled yet")
        if isinstance(value, str):
            return str(ord(value))
        return literal(value, kind)

    def _is_doubtful_bool(self, expression: typed.Expression) -> bool:
        """Whether a BOOL is read from bytes that something else may have written."""
        if isinstance(expression, typed.FieldUse):
            return isinstance(expression.base.type, Structure) and expression.base.type.is_overlapped
        return (
            isinstance(expression, typed.Dereference)
            and isinstance(expression.base.type, Reference)
            and expression.base.type.kind is ReferenceKind.POINTER_TO
        )

    # ── places ─────────────────────────────────────────────────────────────────────────────────────────────────
    def place(self, expression: typed.Expression, *, is_doubtful: bool = False) -> str:
        """A variable as C can read and write it; a string's is its structure."""
        match expression:
            case typed.VariableUse():
                return self.variable(expression.variable, expression.span)
            case typed.FieldUse():
                return self._field(expression)
            case typed.ElementUse():
                return self._element(expression)
            case typed.Dereference():
                if isinstance(expression.type, StringOf):
                    raise NotCompiled(expression.span, "this use of a referred string is not compiled yet")
                c_type, size, alignment = self.layout.shape(expression.type, expression.span)
                if is_doubtful:
                    c_type = "uint8_t"
                return self._referred(self.value(expression.base), c_type, size, alignment, expression.span)
            case typed.ProgramUse(instance=str(instance)):
                return self.whole.instances[instance]
            case typed.ProgramUse():
                try:
                    return self.whole.programs[expression.program]
                except KeyError:
                    raise NotCompiled(
                        expression.span,
                        f"{expression.program.name} has no instance, or several: its name alone is none of them",
                    ) from None
            case typed.ThisUse():
                return "(*self)"
            case typed.DirectUse():
                return self.whole.direct[expression.address]
            case (
                typed.RoutineCall()
                | typed.Enabled()
                | typed.ArrayValue()
                | typed.StructValue()
                | typed.StandardCall()
            ):
                return self.aggregate(expression)
        raise NotCompiled(expression.span, "this is no variable that can be compiled here yet")

    def _referred(self, offset: str, c_type: str, size: int, alignment: int, span: Span) -> str:
        return (
            f"(*({c_type} *)tl_refer(scan, state, (uint32_t)sizeof *state, {offset}, {size}, {alignment}, "
            f"{self.at(span)}))"
        )

    def variable(self, variable: Variable, span: Span) -> str:
        """Where a variable is, by its bare name."""
        variable = variable.target or variable
        place = self.whole.globals.get(variable) or self.whole.framed.get(variable)
        place = place or self.whole.statics.get(variable)
        if place is not None:
            return place
        if isinstance(variable.owner, Routine):
            if variable.section is Section.INSTANCE:
                assert self.block is not None
                return f"self->{self.layout.path(self.block, variable)}"
            if variable.section is Section.IN_OUT:
                return f"(*{safe(variable.name)})"
            return safe(variable.name)
        if variable.section is Section.TEMP:
            return safe(variable.name)
        if self.block is None:
            raise NotCompiled(span, f"{variable.name} is not visible to the code generator here")
        if variable.section is Section.IN_OUT:
            return self._in_out("(*self)", self.block, variable, span)
        return f"self->{self.layout.path(self.block, variable)}"

    def _in_out(self, instance: str, block: Block, variable: Variable, span: Span) -> str:
        known = self.in_outs.get(variable) if instance == "(*self)" else None
        if known is not None:
            return f"(*{known})"
        offset = f"{_dot(instance)}{self.layout.path(block, variable)}"
        if isinstance(variable.type, StringOf):
            c_type, size, alignment = text_struct(variable.type), STRING_HEADER, 2
        else:
            c_type, size, alignment = self.layout.shape(variable.type, span)
        place = self._referred(offset, c_type, size, alignment, span)
        if instance == "(*self)" and self.unit is self.block:
            # Within the body it can not change any more: looked up once, where the body begins.
            name = f"tl_in_{safe(variable.name)}"
            self.in_outs[variable] = name
            self.prologue.append(f"{c_type} *const {name} = &{place};")
            return f"(*{name})"
        return place

    prologue: list[str]

    def _field(self, expression: typed.FieldUse) -> str:
        variable, owner = expression.variable, expression.base.type
        place = self.whole.statics.get(variable) or self.whole.globals.get(variable)
        if place is not None:
            return place
        base = self.place(expression.base)
        if isinstance(owner, Structure):
            return f"{_dot(base)}{self.layout.structure(owner).by_variable[variable].c_name}"
        if not isinstance(owner, Block) or owner.is_interface:
            raise NotCompiled(expression.span, "a variable of an interface is not compiled")
        if variable.section is Section.IN_OUT:
            return self._in_out(base, owner, variable, expression.span)
        return f"{_dot(base)}{self.layout.path(owner, variable)}"

    # ── elements ───────────────────────────────────────────────────────────────────────────────────────────────
    def _element(self, expression: typed.ElementUse) -> str:
        array = expression.base.type
        if isinstance(array, StringOf):
            text, index = self.string(expression.base), self.value(expression.indices[0])
            return (
                f"(*{text_name(array)}_character(scan, {text}, (int64_t){index}, {self.at(expression.span)}))"
            )
        assert isinstance(array, ArrayOf)
        if is_open(array):
            return self._open_element(expression, self.values(expression.indices))
        base = _dot(self.place(expression.base))
        texts = self.values(expression.indices)
        place = ""
        for subscript, text, bounds in zip(expression.indices, texts, array.bounds, strict=True):
            assert bounds is not None
            one = self._rank(subscript, text, bounds)
            place = one if not place else f"{_factor(place)} * {bounds[1] - bounds[0] + 1} + {one}"
        return f"{base}v[{bare(place)}]"

    def _rank(self, index: typed.Expression, text: str, bounds: tuple[int, int]) -> str:
        low, high = bounds
        known = self.known_range(index)
        if known is not None and low <= known[0] and known[1] <= high:
            if isinstance(index, typed.Literal):
                return str(int(index.value or 0) - low)
            return f"(size_t)({text} - {low})" if low else f"(size_t){text}"
        kind = scalar(index.type)
        span = index.span
        if kind == "u64":
            return f"tl_index_u64(scan, {text}, {_i64(low)}, {high - low + 1}u, {self.at(span)})"
        if kind in ("i64", "u32") or not -(1 << 31) <= low <= high < 1 << 31:
            return f"tl_index_i64(scan, {text}, {_i64(low)}, {high - low + 1}u, {self.at(span)})"
        return f"tl_index(scan, {text}, {low}, {high - low + 1}u, {self.at(span)})"

    def _open_element(self, expression: typed.ElementUse, texts: list[str]) -> str:
        pointer, ranks = self.open_array(expression.base)
        place = ""
        for index, text, bounds in zip(expression.indices, texts, ranks, strict=True):
            one = f"tl_index_i64(scan, (int64_t){text}, {bounds}.low, {bounds}.count, {self.at(index.span)})"
            place = one if not place else f"{_factor(place)} * {bounds}.count + {one}"
        return f"{pointer}[{place}]"

    def open_array(self, expression: typed.Expression) -> tuple[str, list[str]]:
        """An ARRAY [*] as a pointer to its first element, and the bounds of its ranks."""
        type_ = expression.type
        assert isinstance(type_, ArrayOf)
        if isinstance(expression, typed.VariableUse):
            variable = expression.variable
            if isinstance(variable.owner, Routine):
                name = safe(variable.name)
                return name, [f"tl_bounds_{name}[{rank}]" for rank in range(len(type_.bounds))]
            if self.block is not None:
                return self._open_member("self->", self.block, variable, type_, expression.span)
        elif isinstance(expression, typed.FieldUse) and isinstance(expression.base.type, Block):
            base = _dot(self.place(expression.base))
            return self._open_member(base, expression.base.type, expression.variable, type_, expression.span)
        raise NotCompiled(expression.span, "ARRAY [*] is compiled as a parameter only")

    def _open_member(
        self, instance: str, block: Block, variable: Variable, type_: ArrayOf, span: Span
    ) -> tuple[str, list[str]]:
        ranks = [
            f"{instance}{self.layout.bounds(block, variable, rank)}" for rank in range(len(type_.bounds))
        ]
        known = self.in_outs.get(variable) if instance == "self->" else None
        if known is not None:
            return known, ranks
        c_type, size, alignment = self.layout.shape(type_.element, span)
        offset = f"{instance}{self.layout.path(block, variable)}"
        count = " * ".join(f"{one}.count" for one in ranks)
        pointer = (
            f"(({c_type} *)tl_refer(scan, state, (uint32_t)sizeof *state, {offset}, "
            f"(uint32_t)({count} * {size}), {alignment}, {self.at(span)}))"
        )
        if instance == "self->" and self.unit is self.block:
            name = f"tl_in_{safe(variable.name)}"
            self.in_outs[variable] = name
            self.prologue.append(f"{c_type} *const {name} = {pointer};")
            return name, ranks
        return pointer, ranks

    def bounds_of(self, value: typed.Expression) -> tuple[str, list[str]]:
        """Any array as a pointer to its first element, and the bounds of its ranks."""
        type_ = value.type
        assert isinstance(type_, ArrayOf)
        if is_open(type_):
            return self.open_array(value)
        pairs = [
            f"(struct tl_bounds){{{_i64(one[0])}, {one[1] - one[0] + 1}u}}"
            for one in type_.bounds
            if one is not None
        ]
        return f"{_dot(self.aggregate(value))}v", pairs

    def known_range(self, expression: typed.Expression) -> tuple[int, int] | None:
        """Least and greatest value that an integer expression can have, as far as that is plain to see."""
        match expression:
            case typed.Literal(value=value):
                return (int(value), int(value)) if isinstance(value, int) else None
            case typed.VariableUse(variable=variable) if variable in self.loop_ranges:
                return self.loop_ranges[variable]
            case typed.Convert(operand=operand) if expression.is_implicit:
                inner, outer = self.known_range(operand), _type_range(expression.type)
                if inner is None or outer is None:
                    return outer
                return inner if outer[0] <= inner[0] and inner[1] <= outer[1] else outer
            case typed.Operation(operator="MOD", operands=(_, typed.Literal(value=int(divisor)))) if divisor:
                dividend = self.known_range(expression.operands[0])
                least = 0 if dividend is not None and dividend[0] >= 0 else 1 - abs(divisor)
                return (least, abs(divisor) - 1)
            case typed.Operation(operator="AND", operands=(_, typed.Literal(value=int(mask)))) if mask >= 0:
                return (0, mask)
            case typed.Operation(operator="+" | "-", operands=(left, right)):
                a, b = self.known_range(left), self.known_range(right)
                within = _type_range(expression.type)
                if a is None or b is None or within is None:
                    return within
                found = (
                    (a[0] + b[0], a[1] + b[1]) if expression.operator == "+" else (a[0] - b[1], a[1] - b[0])
                )
                return found if within[0] <= found[0] and found[1] <= within[1] else within
        return _type_range(expression.type)

    # ── strings and aggregates ─────────────────────────────────────────────────────────────────────────────────
    def string(self, expression: typed.Expression) -> str:
        """A string variable as a pointer to struct tl_string or tl_wstring, whatever its own length."""
        type_ = expression.type
        assert isinstance(type_, StringOf)
        match expression:
            case typed.VariableUse(variable=variable):
                is_parameter = (variable.target or variable).section is Section.IN_OUT
                if is_parameter and isinstance(variable.owner, Routine):
                    return safe(variable.name)
                place = self.place(expression)
                return f"(&{place})" if is_parameter else as_text(place, type_)
            case typed.Dereference():
                c_type, size, alignment = self.layout.shape(type_, expression.span)
                place = self._referred(self.value(expression.base), c_type, size, alignment, expression.span)
                return as_text(place, type_)
            case typed.FieldUse(variable=variable) if variable.section is Section.IN_OUT:
                return f"(&{self.place(expression)})"
            case typed.FieldUse() | typed.ElementUse():
                return as_text(self.place(expression), type_)
        return f"(({text_struct(type_)} *)(uintptr_t){self.value(expression)})"

    def string_temporary(self, type_: StringOf) -> str:
        """A string for a result; the name is a pointer to it."""
        name = self.temporary()
        c_type = self.layout.c_type(type_, self.span)
        self.emit(f"{c_type} {name}_bytes = {{.capacity = {type_.length}}};")
        self.emit(f"{text_struct(type_)} *const {name} = {as_text(f'{name}_bytes', type_)};")
        return name

    def aggregate(self, expression: typed.Expression) -> str:
        """An array or structure as something whose address can be taken."""
        if isinstance(expression, typed.RoutineCall):
            return self.call(expression) or self._nothing(expression)
        if isinstance(expression, typed.Enabled):
            return self._enabled(expression)
        if isinstance(expression, typed.StandardCall):
            name = self.temporary()
            self.emit(
                f"const {self.layout.c_type(expression.type, expression.span)} {name} = "
                f"{self._standard(expression)};"
            )
            return name
        if isinstance(expression, (typed.ArrayValue, typed.StructValue)):
            return self.fresh(expression.type, expression, expression.span)
        return self.place(expression)

    def fresh(self, type_: Type, initial: typed.Expression | None, span: Span) -> str:
        """A variable of one's own with an initial value."""
        name = self.temporary()
        self.declare(name, type_, initial, span)
        return name

    def declare(self, name: str, type_: Type, initial: typed.Expression | None, span: Span) -> None:
        """A C variable with its initial value; given by the unit, which knows how variables start."""
        raise NotImplementedError

    # ── references ─────────────────────────────────────────────────────────────────────────────────────────────
    def offset(self, operand: typed.Expression) -> str:
        """A reference to a variable: how far into the state it is."""
        if isinstance(operand.type, StringOf):
            return self._offset_of(self.string(operand))
        if self.has_no_address(operand):
            raise NotCompiled(
                operand.span, "this shares its byte with others and has no address", "use a BOOL variable"
            )
        if isinstance(operand.type, Block) and operand.type.is_interface:
            return self.place(operand)
        return self._offset_of(f"&{self.place(operand)}")

    def _offset_of(self, address: str) -> str:
        return f"TL_OFFSET(state, {address})"

    # ── pieces of bit strings ──────────────────────────────────────────────────────────────────────────────────
    def _part(self, expression: typed.PartialUse) -> str:
        return _piece(self.value(expression.base), expression)

    def store_part(self, target: typed.PartialUse, value: str) -> str:
        """The statement that writes a piece."""
        return _stored_piece(self.place(target.base), target, value)

    # ── conversions ────────────────────────────────────────────────────────────────────────────────────────────
    def _convert(self, expression: typed.Convert) -> str:
        source, target = expression.operand.type, expression.type
        if isinstance(target, Block):
            return self._as_interface(expression.operand)
        if isinstance(source, StringOf) and isinstance(target, StringOf) and source.is_wide == target.is_wide:
            return self.value(expression.operand)
        if isinstance(source, StringOf) and source.is_wide and target not in (WCHAR, CHAR):
            narrow = StringOf(False, source.length)  # numbers and times are written in what both have
            text = self._to_string(self.value(expression.operand), source, narrow, expression.span)
            return self.converted(text, narrow, target, expression.span)
        return self.converted(self.value(expression.operand), source, target, expression.span)

    def _as_interface(self, operand: typed.Expression) -> str:
        if isinstance(operand.type, Block) and not operand.type.is_interface:
            return self.offset(operand)
        return self.value(operand)

    def converted(self, text: str, source: Type, target: Type, span: Span) -> str:
        """A value of one type as another."""
        if isinstance(target, Subrange):
            text = self.converted(text, source, target.base, span)
            is_inside = (
                isinstance(source, Subrange) and target.low <= source.low and source.high <= target.high
            )
            return text if is_inside else self.checked_subrange(text, target, span)
        if isinstance(target, StringOf):
            return self._to_string(text, source, target, span)
        return convert(text, plain(source), plain(target), self.at(span), span)

    def checked_subrange(self, text: str, type_: Subrange, span: Span) -> str:
        """A value that has to lie in a subrange."""
        kind = scalar(type_.base)
        assert kind is not None
        if kind == "u64":
            low, high = f"UINT64_C({type_.low})", f"UINT64_C({type_.high})"
            return f"tl_subrange_u64(scan, {text}, {low}, {high}, {self.at(span)})"
        checked = f"tl_subrange(scan, {text}, {_i64(type_.low)}, {_i64(type_.high)}, {self.at(span)})"
        return f"({c_scalar(kind)}){checked}"

    def _to_string(self, text: str, source: Type, target: StringOf, span: Span) -> str:
        if isinstance(source, StringOf):
            return text if source.is_wide == target.is_wide else self._other_width(text, source, target)
        source = plain(source)
        source = source.base if isinstance(source, Enumeration) else source
        kind = scalar(source)
        if kind is None or not isinstance(source, Elementary):
            raise NotCompiled(span, f"the conversion of {source} to {target} is not compiled")
        if source.family is Family.CHARACTER:
            own = StringOf(source is WCHAR, target.length)
            name = self.string_temporary(own)
            unit = "uint16_t" if own.is_wide else "char"
            self.emit(f"{text_name(own)}_set({name}, (const {unit}[]){{({unit}){text}}}, 1);")
            return self._to_string(as_constant_text(name, own), own, target, span)
        own = StringOf(False, target.length)
        name = self.string_temporary(own)
        prefix = f'"{source.name}#"'
        if source.family is Family.DURATION:
            prefix = prefix if source.name == "LTIME" else '"T#"'
            self.emit(f"tl_string_from_time({name}, {prefix}, {text});")
        elif source.family in _DATES:
            form = {Family.DATE: "date", Family.TIME_OF_DAY: "tod", Family.DATE_AND_TIME: "dt"}[source.family]
            prefix = '"D#"' if source.name == "DATE" else prefix
            self.emit(f"tl_string_from_{form}({name}, {prefix}, {text});")
        else:
            form = kind if kind in ("bool", "f32", "f64") else f"{kind[0]}64"
            self.emit(f"tl_string_from_{form}({name}, {text});")
        return self._to_string(as_constant_text(name, own), own, target, span)

    def _other_width(self, text: str, source: StringOf, target: StringOf) -> str:
        """A STRING as a WSTRING or the other way round."""
        result = StringOf(target.is_wide, source.length)
        name = self.string_temporary(result)
        self.emit(f"{text_name(result)}_from_{text_name(source).removeprefix('tl_')}({name}, {text});")
        return as_constant_text(name, result)

    # ── operators ──────────────────────────────────────────────────────────────────────────────────────────────
    def _operation(self, expression: typed.Operation) -> str:
        operator, operands = expression.operator, expression.operands
        if operator == typed.GIVEN:
            return self._is_given(operands[0])
        if len(operands) == 1:
            return self._unary(operator, self.value(operands[0]), expression)
        if operator in ("AND_THEN", "OR_ELSE"):
            return self._shortcut(operator, operands[0], operands[1])
        a, b = self.values(operands)
        if operator in _COMPARISONS:
            return self._comparison(_COMPARISONS[operator], a, b, operands[0].type)
        left = plain(operands[0].type)
        if operator in _LOGICAL:
            if expression.type is BOOL:
                return f"({a} {_LOGICAL[operator]} {b})"
            kind = scalar(expression.type)
            assert kind is not None
            return f"({c_scalar(kind)})({a} {_BITWISE[operator]} {b})"
        if isinstance(left, Reference):
            return self._pointer_arithmetic(operator, a, b, operands[1].type)
        if isinstance(left, Elementary) and left.family in (Family.DURATION, *_DATES):
            return self._time_arithmetic(expression, a, b, left, plain(operands[1].type))
        return self._arithmetic(expression, a, b)

    def _is_given(self, parameter: typed.Expression) -> str:
        """An in-out of a block is an offset in its instance, 0 before the first call."""
        if isinstance(parameter, typed.FieldUse):
            owner = parameter.base.type
            assert isinstance(owner, Block)
            return f"({_dot(self.place(parameter.base))}{self.layout.path(owner, parameter.variable)} != 0)"
        assert isinstance(parameter, typed.VariableUse)
        assert self.block is not None
        return f"(self->{self.layout.path(self.block, parameter.variable)} != 0)"

    def _unary(self, operator: str, text: str, expression: typed.Operation) -> str:
        kind = scalar(expression.type)
        assert kind is not None
        if operator == "NOT":
            return f"!{text}" if kind == "bool" else f"({c_scalar(kind)})~{text}"
        return f"(-{text})" if kind in ("f32", "f64") else f"tl_neg_{kind}({text})"

    def _shortcut(self, operator: str, left: typed.Expression, right: typed.Expression) -> str:
        a = self.value(left)
        with self.aside() as lines:
            self.depth += 1
            b = self.value(right)
            self.depth -= 1
        if not lines:
            return f"({a} {_LOGICAL[operator]} {b})"
        name = self.temporary()
        self.emit(f"bool {name} = {a};")
        self.emit(f"if ({name if operator == 'AND_THEN' else '!' + name}) {{")
        self.lines.extend(lines)
        self.depth += 1
        self.emit(f"{name} = {b};")
        self.depth -= 1
        self.emit("}")
        return name

    def _comparison(self, sign: str, a: str, b: str, type_: Type) -> str:
        if isinstance(type_, StringOf):
            return f"({text_name(type_)}_compare({a}, {b}) {sign} 0)"
        if scalar(type_) is None and not is_block(type_) and type_ is not NOTHING:
            raise NotCompiled(self.span, f"the comparison of two {type_} is not compiled")
        return f"({a} {sign} {b})"

    def _pointer_arithmetic(self, operator: str, a: str, b: str, right: Type) -> str:
        if isinstance(right, Reference):
            return f"((int64_t){a} - (int64_t){b})"
        return f"({a} {operator} (uint32_t){b})"

    def _time_arithmetic(
        self, expression: typed.Operation, a: str, b: str, left: Elementary, right: Type
    ) -> str:
        assert isinstance(right, Elementary)
        operator, at = expression.operator, self.at(expression.span)
        if operator in ("+", "-"):
            text = f"tl_{_ARITHMETIC[operator]}_i64({a}, {b})"
            is_clock = plain(expression.type) is left and left.family is Family.TIME_OF_DAY
            return f"tl_into_day({text})" if is_clock else text
        if right.family is Family.REAL:
            b = b if right.bits == 64 else f"(double){b}"
            product = (
                f"((double){a} * {b})" if operator == "*" else f"tl_div_f64(scan, (double){a}, {b}, {at})"
            )
            return f"tl_i64_from_f64(scan, {product}, {at})"
        b = b if scalar(right) == "i64" else f"(int64_t){b}"
        return f"tl_mul_i64({a}, {b})" if operator == "*" else f"tl_div_i64(scan, {a}, {b}, {at})"

    def _arithmetic(self, expression: typed.Operation, a: str, b: str) -> str:
        operator, kind = expression.operator, scalar(expression.type)
        assert kind is not None
        divisor = expression.operands[1]
        if operator in _ARITHMETIC:
            return (
                f"({a} {operator} {b})"
                if kind in _PLAIN_C
                else f"tl_{_ARITHMETIC[operator]}_{kind}({a}, {b})"
            )
        if operator == "**":
            return self._power(kind, a, b, divisor.type)
        if kind in ("f32", "f64"):
            is_plain = is_never_zero(divisor)
        else:
            known = self.known_range(divisor)
            is_plain = known is not None and (known[0] > 0 or known[1] < -1)
        if operator == "/":
            if is_plain:
                quotient = f"({a} / {b})"
                return quotient if kind in _PLAIN_C else f"({c_scalar(kind)}){quotient}"
            return f"tl_div_{kind}(scan, {a}, {b}, {self.at(expression.span)})"
        if operator == "MOD":
            if is_plain:
                return f"({c_scalar(kind)})({a} % {b})"
            return f"tl_mod_{kind}({a}, {b})"
        raise NotCompiled(expression.span, f"the operator {operator} is not compiled yet")

    def _power(self, kind: str, a: str, b: str, exponent: Type) -> str:
        if kind in ("f32", "f64"):
            wanted = c_scalar(kind)
            b = b if scalar(exponent) == kind else f"({wanted}){b}"
            return f"{'powf' if kind == 'f32' else 'pow'}({a}, {b})"
        return f"tl_pow_{kind}({a}, (int64_t){b})"

    # ── calls ──────────────────────────────────────────────────────────────────────────────────────────────────
    def _standard(self, call: typed.StandardCall) -> str:
        name = call.function.name
        if name == "SIZEOF":
            asked = call.arguments[0].type
            if isinstance(asked, ArrayOf) and is_open(asked):
                count = " * ".join(f"{one}.count" for one in self.open_array(call.arguments[0])[1])
                return f"(uint32_t)({count} * {self.layout.shape(asked.element, call.span)[1]})"
            return f"{self.layout.shape(call.arguments[0].type, call.span)[1]}u"
        if name in ("LOWER_BOUND", "UPPER_BOUND"):
            return self._bound(call)
        make = STANDARD.get(name) or STANDARD.get(_conversion_way(name))
        if make is None:
            raise NotCompiled(call.span, f"{name} is not compiled yet")
        return make(self, call)

    def _bound(self, call: typed.StandardCall) -> str:
        array, rank = call.arguments
        assert isinstance(rank, typed.Literal)
        bounds = self.open_array(array)[1][int(rank.value or 1) - 1]
        if call.function.name == "LOWER_BOUND":
            return f"(int32_t){bounds}.low"
        return f"(int32_t)({bounds}.low + (int64_t){bounds}.count - 1)"

    def _enabled(self, expression: typed.Enabled) -> str:
        """A call with EN or ENO: its value lies where it can be read afterwards, made or not."""
        name = self.fresh(expression.type, None, expression.span)
        type_ = expression.type
        self.emit(f"if ({bare(self.value(expression.condition))}) {{")
        self.depth += 1
        if isinstance(type_, StringOf):
            self.emit(f"{text_name(type_)}_copy({as_text(name, type_)}, {self.value(expression.call)});")
        elif scalar(type_) is None:
            self.emit(f"{name} = {self.aggregate(expression.call)};")
        else:
            self.emit(f"{name} = {bare(self.value(expression.call))};")
        told = expression.told
        if told is not None:
            self.store(told.target, "false" if told.is_negated else "true")
            self.depth -= 1
            self.emit("} else {", placed=False)
            self.depth += 1
            self.store(told.target, "true" if told.is_negated else "false")
        self.depth -= 1
        self.emit("}", placed=False)
        return as_constant_text(as_text(name, type_), type_) if isinstance(type_, StringOf) else name

    def call(self, call: typed.RoutineCall) -> str | None:
        """A function, method, action or accessor: a statement of its own. The text names the result."""
        routine = call.routine
        arguments = ["scan", "state"]
        function = self.whole.names.get(routine, "")
        if routine.owner is not None:
            function, instance = self.method(call)
            arguments.append(instance)
        given = {one.parameter: one.value for one in call.inputs}
        taken: list[tuple[str, str]] = []
        texts = self._arguments(routine, given, taken)
        wanted = {one.parameter: one for one in call.outputs}
        outputs: list[tuple[typed.Output, str, Type]] = []
        for parameter in routine.parameters():
            if parameter.section is not Section.OUTPUT:
                arguments.extend(texts[parameter])
                continue
            if is_open(parameter.type):
                if parameter not in wanted:
                    raise NotCompiled(call.span, f"{parameter.name} has to be given here")
                arguments += self._open_argument(wanted[parameter].target)
                continue
            name = self.fresh(parameter.type, parameter.initial, parameter.span)
            arguments.append(
                as_text(name, parameter.type) if isinstance(parameter.type, StringOf) else f"&{name}"
            )
            if parameter in wanted:
                outputs.append((wanted[parameter], name, parameter.type))
        result = self._call_line(function, arguments, routine, call.span)
        for output, name, type_ in outputs:
            self.copy_out(output, name, type_)
        self.take_back(taken)
        return result

    def _call_line(self, function: str, arguments: list[str], routine: Routine, span: Span) -> str | None:
        if routine.result is NOTHING:
            self.emit(f"{function}({', '.join(arguments)});")
            return None
        kind = scalar(routine.result)
        name = self.temporary()
        if kind is not None:
            self.emit(f"const {c_scalar(kind)} {name} = {function}({', '.join(arguments)});")
            return name
        c_type = self.layout.c_type(routine.result, span)
        if isinstance(routine.result, StringOf):
            name = self.string_temporary(routine.result)
            self.emit(f"{function}({', '.join((*arguments, name))});")
            return as_constant_text(name, routine.result)
        self.emit(f"{c_type} {name};")
        self.emit(f"{function}({', '.join((*arguments, '&' + name))});")
        return name

    def _arguments(
        self, routine: Routine, given: dict[Variable, typed.Expression], taken: list[tuple[str, str]]
    ) -> dict[Variable, list[str]]:
        found: dict[Variable, list[str]] = {}
        order = list(given)  # as they were written
        done: list[tuple[Variable, typed.Expression]] = []
        for parameter in order:
            value = given[parameter]
            with self.aside() as lines:
                texts = self._argument(parameter, value, taken)
            if lines:
                for earlier, expression in done:
                    if earlier.section is Section.INPUT and scalar(earlier.type) is not None:
                        found[earlier] = [self._kept(expression, found[earlier][0])]
                self.lines.extend(lines)
            found[parameter] = texts
            done.append((parameter, value))
        for parameter in routine.parameters():
            if parameter not in found and parameter.section is not Section.OUTPUT:
                if parameter.section is Section.IN_OUT or is_open(parameter.type):
                    raise NotCompiled(self.span, f"{parameter.name} has to be given here")
                name = self.fresh(parameter.type, parameter.initial, parameter.span)
                found[parameter] = [self._pass(parameter.type, name)]
        return found

    def _pass(self, type_: Type, name: str) -> str:
        if isinstance(type_, StringOf):
            return as_text(name, type_)
        return name if scalar(type_) is not None else f"&{name}"

    def _argument(
        self, parameter: Variable, value: typed.Expression, taken: list[tuple[str, str]]
    ) -> list[str]:
        if is_open(parameter.type):
            return self._open_argument(value)
        if parameter.section is Section.IN_OUT:
            if self.has_no_address(value):
                name = self.temporary()
                self.emit(f"{c_scalar(scalar(value.type) or 'bool')} {name};")
                taken.append(self.lend(value, name))
                return [f"&{name}"]
            return [self.string(value) if isinstance(value.type, StringOf) else f"&{self.place(value)}"]
        if isinstance(parameter.type, StringOf) or scalar(parameter.type) is not None:
            return [self.value(value)]
        if isinstance(parameter.type, Block):
            return [f"&{self.place(value)}"]
        return [f"&{self.aggregate(value)}"]

    # ── in-outs without an address: a piece of a bit string, a BOOL that shares its byte ──────────────────────────
    def has_no_address(self, value: typed.Expression) -> bool:
        """Whether a variable is lent by copying it in and out: no pointer can mean it."""
        return isinstance(value, typed.PartialUse) or (
            value.type is BOOL and isinstance(value, typed.FieldUse) and self._is_doubtful_bool(value)
        )

    def lend(self, value: typed.Expression, cell: str) -> tuple[str, str]:
        """Put the variable into a cell; returns the cell and the statement that puts it back.

        Where the variable is, is worked out once: an index may be changed by what it is lent to.
        """
        base = value.base if isinstance(value, typed.PartialUse) else value
        place = self.place(base)
        name = self.temporary()
        if isinstance(value, typed.PartialUse):
            self.emit(f"{self.layout.c_type(base.type, base.span)} *const {name} = &{place};")
            here = f"(*{name})"
            self.emit(f"{cell} = {bare(_piece(here, value))};")
            return cell, _stored_piece(here, value, cell)
        self.emit(f"uint8_t *const {name} = &{place};")
        self.emit(f"{cell} = *{name} != 0;")
        return cell, f"*{name} = {cell};"

    def take_back(self, taken: list[tuple[str, str]]) -> None:
        """What was lent, back into its variables."""
        for _, statement in taken:
            self.emit(statement)

    def _open_argument(self, value: typed.Expression) -> list[str]:
        pointer, ranks = self.bounds_of(value)
        if isinstance(value, typed.VariableUse) and is_open(value.type):
            name = safe(value.variable.name)
            if isinstance(value.variable.owner, Routine):
                return [name, f"tl_bounds_{name}"]
        return [pointer, f"(const struct tl_bounds[]){{{', '.join(ranks)}}}"]

    def method(self, call: typed.RoutineCall) -> tuple[str, str]:
        """The C function of a method, and its instance as that function takes it.

        A dispatcher also takes where it is called from: its fault is the caller's.
        """
        routine, instance = call.routine, call.instance
        assert instance is not None
        assert routine.owner is not None
        static = instance.type
        assert isinstance(static, Block)
        if static.is_interface:
            offset = self.value(instance)
            place = self._referred(offset, "uint32_t", 4, 4, call.span)
            return self.whole_dispatcher(static, routine), f"{self.at(call.span)}, &{place}"
        address = "self" if isinstance(instance, typed.ThisUse) else f"&{self.place(instance)}"
        if call.is_virtual and self._is_overridden(static, routine):
            return (
                self.whole_dispatcher(static, routine),
                f"{self.at(call.span)}, (uint32_t *)(void *){address}",
            )
        owner = self.layout.block(routine.owner)
        if static is not routine.owner:
            address = f"(struct {owner.c_name} *)(void *){address}"
        return self.whole.names[routine], address

    def _is_overridden(self, static: Block, routine: Routine) -> bool:
        found = {block.implementation(routine) for block in self.whole.derived.get(static, ())}
        found.discard(None)
        return len(found) > 1 or routine.is_abstract

    def whole_dispatcher(self, static: Block, routine: Routine) -> str:
        """The function that finds the method of an instance's own type."""
        key = (static, routine.name.upper(), routine.kind)
        name = self.whole.dispatchers.get(key)
        if name is None:
            kind = {"GET": "get_", "SET": "set_"}.get(routine.kind, "")
            name = self.layout.unique(f"dispatch_{static.qualified}_{kind}{routine.name}")
            self.whole.dispatchers[key] = name
        return name

    def copy_out(self, output: typed.Output, text: str, type_: Type) -> None:
        """A result into the variable that takes it."""
        target = output.target
        value = f"!{text}" if output.is_negated else text
        if isinstance(type_, StringOf):
            source = as_constant_text(as_text(text, type_), type_)
            self.emit(f"{text_name(type_)}_copy({self.string(target)}, {source});")
            return
        if scalar(type_) is not None and type_ is not target.type:
            value = self.converted(value, type_, target.type, target.span)
        self.store(target, value)

    def store(self, target: typed.Expression, value: str) -> None:
        """An assignment; the value is of the target's type."""
        if isinstance(target, typed.PartialUse):
            self.emit(self.store_part(target, value))
        elif isinstance(target.type, StringOf):
            self.emit(f"{text_name(target.type)}_copy({self.string(target)}, {value});")
        else:
            self.emit(f"{self.place(target)} = {bare(value)};")


def _piece(base: str, part: typed.PartialUse) -> str:
    bits = scalar_bytes(scalar(part.base.type) or "u64") * 8
    shifted = f"(uint{bits}_t){base} >> {part.index * part.size}"
    if part.size == 1:
        return f"((({shifted}) & 1u) != 0)"
    return f"(uint{part.size}_t)({shifted})"


def _stored_piece(place: str, part: typed.PartialUse, value: str) -> str:
    kind = scalar(part.base.type) or "u64"
    bits = scalar_bytes(kind) * 8
    mask = ((1 << part.size) - 1) << (part.index * part.size)
    keep = literal(~mask & ((1 << bits) - 1), f"u{bits}")
    piece = f"(uint{bits}_t)({f'(uint{bits}_t){value}'} << {part.index * part.size})"
    return f"{place} = ({c_scalar(kind)})(((uint{bits}_t){place} & {keep}) | {piece});"


def _conversion_way(name: str) -> str:
    if "_BCD_TO_" in name:
        return "from bcd"
    if "_TO_BCD_" in name:
        return "to bcd"
    return "trunc" if "TRUNC" in name else name


def _type_range(type_: Type) -> tuple[int, int] | None:
    if isinstance(type_, Subrange):
        return type_.low, type_.high
    if isinstance(type_, Elementary) and type_.family in (Family.SIGNED, Family.UNSIGNED, Family.BIT):
        return type_.low, type_.high
    return None


def _i64(value: int) -> str:
    """A 64-bit constant that C does not take for two."""
    return "INT64_MIN" if value == -(1 << 63) else str(value) if abs(value) < 1 << 31 else f"INT64_C({value})"


def _dot(place: str) -> str:
    if place == "(*self)":
        return "self->"
    if place.startswith("(*") and place.endswith(")") and place[2:-1].isidentifier():
        return f"{place[2:-1]}->"
    return f"{place}."


def bare(text: str) -> str:
    """Without parentheses around the whole."""
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth = 0
    for index, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0 and index < len(text) - 1:
            return text
    return text[1:-1]


def _factor(text: str) -> str:
    return f"({text})" if " + " in text or " - " in text else text
