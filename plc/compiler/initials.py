"""How variables start: a type's own initial value, then what a declaration gives (IEC 61131-3 6.5.1.4)."""

from __future__ import annotations

from collections.abc import Iterator

from plc.compiler.conversions import literal
from plc.compiler.expressions import Expressions, bare
from plc.compiler.layout import as_text, element_count, is_open, scalar, text_name
from plc.compiler.refusals import NotCompiled
from plc.language import typed
from plc.language.source import Span
from plc.language.symbols import STARTER_FLAGS, Block, Section, Variable
from plc.language.types import ArrayOf, Enumeration, StringOf, Structure, Subrange, Type


class Initials(Expressions):
    """Initial values in C."""

    def declare(self, name: str, type_: Type, initial: typed.Expression | None, span: Span) -> None:
        """A C variable of a routine, with its initial value."""
        kind = scalar(type_)
        c_type = self.layout.c_type(type_, span)
        if kind is not None:
            value = self.default(type_) if initial is None else self.value(initial)
            self.emit(f"{c_type} {name} = {bare(value)};")
        elif isinstance(type_, StringOf):
            self.emit(f"{c_type} {name} = {{.capacity = {type_.length}}};")
            if isinstance(initial, typed.Literal) and initial.value == "":
                return
            if initial is not None:
                self.emit(f"{text_name(type_)}_copy({as_text(name, type_)}, {self.value(initial)});")
        else:
            self.emit(f"{c_type} {name};")
            self.start(name, type_, initial, span)

    def default(self, type_: Type) -> str:
        """The initial value of a scalar that is given none."""
        kind = scalar(type_)
        assert kind is not None
        return literal(_default(type_), kind)

    def start(self, place: str, type_: Type, initial: typed.Expression | None, span: Span) -> None:
        """Bring a variable from whatever it holds to its initial value."""
        self.emit(f"memset(&{place}, 0, sizeof {place});")
        self.settle(place, type_, initial, span)

    def settle(self, place: str, type_: Type, initial: typed.Expression | None, span: Span) -> None:
        """Bring a variable whose bytes are 0 to its initial value."""
        if scalar(type_) is not None:
            value = self.default(type_) if initial is None else self.value(initial)
            if value not in ("0", "0u", "false", "INT64_C(0)", "UINT64_C(0)"):
                self.emit(f"{place} = {bare(value)};")
            return
        match type_:
            case StringOf():
                self.layout.shape(type_, span)
                self.emit(f"{place}.capacity = {type_.length};")
                if initial is not None and not (isinstance(initial, typed.Literal) and initial.value == ""):
                    self.emit(f"{text_name(type_)}_copy({as_text(place, type_)}, {self.value(initial)});")
            case ArrayOf():
                self._settle_array(place, type_, initial, span)
            case Structure():
                self._settle_structure(place, type_, initial, span)
            case Block():
                self._settle_instance(place, type_, initial, span)

    def needs_settling(self, type_: Type, initial: typed.Expression | None) -> bool:
        """Whether a variable starts with anything else than bytes of 0."""
        if initial is not None:
            return not (isinstance(initial, typed.Literal) and initial.value in (0, False, 0.0, None))
        match type_:
            case StringOf():
                return True
            case ArrayOf():
                return self.needs_settling(type_.element, type_.element_initial)
            case Structure():
                return any(self.needs_settling(one.type, one.initial) for one in type_.fields.values())
            case Block():
                if type_.is_interface:
                    return False
                return (
                    type_ in self.layout.type_ids
                    or bool(type_.steps)
                    or bool(type_.starters())
                    or any(
                        self.needs_settling(one.type, one.initial)
                        for one in type_.all_variables()
                        if one.section in (Section.INPUT, Section.OUTPUT, Section.LOCAL)
                    )
                )
        return _default(type_) != 0

    # ── arrays ─────────────────────────────────────────────────────────────────────────────────────────────────
    def _settle_array(self, place: str, type_: ArrayOf, initial: typed.Expression | None, span: Span) -> None:
        if initial is not None and not isinstance(initial, typed.ArrayValue):
            self.emit(f"{place} = {self.aggregate(initial)};")
            return
        count = element_count(type_)
        if self.needs_settling(type_.element, type_.element_initial):
            self._each(place, 0, count, type_, type_.element_initial, span)
        if initial is None:
            return
        position = 0
        for times, value in flat(initial, type_):
            end = min(position + times, count)
            if value is not None and end > position:
                self._each(place, position, end, type_, value, span)
            position = end

    def _each(
        self, place: str, start: int, end: int, type_: ArrayOf, value: typed.Expression | None, span: Span
    ) -> None:
        if end - start == 1:
            self._settle_again(f"{place}.v[{start}]", type_.element, value, span)
            return
        index = self.temporary()
        self.emit(f"for (size_t {index} = {start}; {index} < {end}; {index}++) {{")
        self.depth += 1
        self._settle_again(f"{place}.v[{index}]", type_.element, value, span)
        self.depth -= 1
        self.emit("}")

    def _settle_again(self, place: str, type_: Type, value: typed.Expression | None, span: Span) -> None:
        """An element may have the element type's own value already, so that a 0 is written as well."""
        if scalar(type_) is not None:
            text = self.default(type_) if value is None else self.value(value)
            self.emit(f"{place} = {bare(text)};")
        else:
            self.settle(place, type_, value, span)

    # ── structures and instances ───────────────────────────────────────────────────────────────────────────────
    def _settle_structure(
        self, place: str, type_: Structure, initial: typed.Expression | None, span: Span
    ) -> None:
        record = self.layout.structure(type_)
        if initial is not None and not isinstance(initial, typed.StructValue):
            self.emit(f"{place} = {self.aggregate(initial)};")
            return
        given = {one.parameter: one.value for one in initial.values} if initial is not None else {}
        for variable in type_.fields.values():
            if type_.is_overlapped and variable not in given and variable.initial is None:
                continue
            value = given.get(variable, variable.initial)
            self.settle(f"{place}.{record.by_variable[variable].c_name}", variable.type, value, span)

    def _settle_instance(
        self, place: str, type_: Block, initial: typed.Expression | None, span: Span
    ) -> None:
        if initial is not None and not isinstance(initial, typed.StructValue):
            raise NotCompiled(span, "this initial value of an instance is not compiled yet")
        if not type_.is_standard and self.needs_settling(type_, None):
            self.emit(f"start_{self.whole.names[type_]}(scan, state, &{place});")
        self._run_starters(place, type_, initial, span)
        if initial is None:
            return
        for one in initial.values:
            member = f"{place}.{self.layout.path(type_, one.parameter)}"
            if scalar(one.parameter.type) is not None:
                self.emit(f"{member} = {bare(self.value(one.value))};")
            else:
                self.settle(member, one.parameter.type, one.value, span)

    def _run_starters(self, place: str, type_: Block, initial: typed.StructValue | None, span: Span) -> None:
        """FB_init of a block and of what it extends, with what the declaration gives."""
        given = {} if initial is None else {one.parameter: one.value for one in initial.arguments}
        for routine in type_.starters():
            assert routine.owner is not None
            own: dict[Variable, typed.Expression] = {}
            for parameter in routine.parameters():
                if parameter.name.upper() in STARTER_FLAGS:
                    first = parameter.name.upper() == STARTER_FLAGS[0]
                    own[parameter] = typed.Literal(first, parameter.type, span)
                elif parameter in given:
                    own[parameter] = given[parameter]
            record = self.layout.block(routine.owner)
            arguments = ["scan", "state", f"(struct {record.c_name} *)(void *)&{place}"]
            taken: list[tuple[str, str]] = []
            texts = self._arguments(routine, own, taken)
            for parameter in routine.parameters():
                arguments.extend(texts.get(parameter, ()))
            result = self._call_line(self.whole.names[routine], arguments, routine, span)
            if result is not None:
                self.emit(f"(void){result};")
            self.take_back(taken)

    def start_members(self, block: Block) -> None:
        """The body of the function that starts an instance of a block."""
        if block.base is not None and self.needs_settling(block.base, None):
            self.emit(f"start_{self.whole.names[block.base]}(scan, state, &self->tl_base);")
        if block in self.layout.type_ids:
            steps = "tl_base." * (len(block.lineage()) - 1)
            self.emit(f"self->{steps}tl_type = {self.layout.type_ids[block]};")
        for body in (block.body, *(one.body for one in block.actions.values())):
            if isinstance(body, typed.Chart):
                for step in body.steps:
                    if step.is_initial:  # 6.7.2
                        self.emit(f"self->{self.layout.path(block, step.variable)}.x = true;", placed=False)
        for variable in self._own_members(block):
            self.span = variable.span
            place = f"self->{self.layout.path(block, variable)}"
            self.settle(place, variable.type, variable.initial, variable.span)

    def _own_members(self, block: Block) -> Iterator[Variable]:
        wanted = (Section.INPUT, Section.OUTPUT, Section.LOCAL, Section.GLOBAL)
        for variable in block.variables.values():
            if (
                variable.section in wanted
                and not is_open(variable.type)
                and variable not in self.whole.globals
            ):
                yield variable
        for routine in (*block.methods.values(), *block.actions.values()):
            for variable in routine.variables.values():
                if variable.section is Section.INSTANCE:
                    yield variable


def flat(value: typed.ArrayValue, type_: ArrayOf) -> Iterator[tuple[int, typed.Expression | None]]:
    """How often each value stands, in the order of the elements; ``None`` keeps the element type's own."""
    for item in value.items:
        if isinstance(item, typed.Repeated):
            if not item.values:
                yield item.count, None
            elif len(item.values) == 1 and not _is_row(item.values[0], type_):
                yield item.count, item.values[0]
            else:
                for _ in range(item.count):
                    for one in item.values:
                        yield from _rows(one, type_)
        else:
            yield from _rows(item, type_)


def _is_row(value: typed.Expression, type_: ArrayOf) -> bool:
    return isinstance(value, typed.ArrayValue) and len(type_.bounds) > 1


def _rows(value: typed.Expression, type_: ArrayOf) -> Iterator[tuple[int, typed.Expression | None]]:
    """A row of an array of several ranks takes its whole place, also where it gives fewer values."""
    if not isinstance(value, typed.ArrayValue) or len(type_.bounds) == 1:
        yield 1, value
        return
    inner = ArrayOf(type_.bounds[1:], type_.element, type_.element_initial)
    left = element_count(inner)
    for times, one in flat(value, inner):
        yield times, one
        left -= times
    if left > 0:
        yield left, None


def _default(type_: Type) -> int:
    if isinstance(type_, Subrange):
        return type_.low  # the lower limit (6.4.4.4.1)
    if isinstance(type_, Enumeration) and type_.values:
        return next(iter(type_.values.values()))
    return 0
