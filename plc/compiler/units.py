"""One C function for each body: programs, blocks, functions, methods, actions, accessors."""

from __future__ import annotations

from plc.compiler.charts import Charts
from plc.compiler.initials import Initials
from plc.compiler.layout import (
    as_constant_text,
    as_text,
    c_scalar,
    is_open,
    safe,
    scalar,
    text_name,
    text_struct,
)
from plc.compiler.testing import is_only_for_tests
from plc.compiler.whole import Whole
from plc.compiler.writer import Line
from plc.language import typed
from plc.language.symbols import Block, Routine, Section, Variable
from plc.language.types import NOTHING, ArrayOf, StringOf


class Unit(Charts):
    """The body of a unit, compiled."""

    def __init__(self, whole: Whole, unit: Routine | Block) -> None:
        block = unit if isinstance(unit, Block) else unit.owner
        super().__init__(whole, unit, block)
        is_test = is_only_for_tests(unit) or (block is not None and is_only_for_tests(block))
        self.places = None if is_test else whole.places
        self.loops = []
        self.loop_count = 0
        self.has_return = False
        self.prologue = []

    # ── signatures ─────────────────────────────────────────────────────────────────────────────────────────────
    def signature(self) -> str:
        """The C declaration."""
        unit = self.unit
        name = self.whole.names[unit]
        if isinstance(unit, Block):
            record = self.layout.block(unit)
            return (
                f"static void {name}(struct tl_scan *scan, struct state *state, struct {record.c_name} *self)"
            )
        parameters = ["struct tl_scan *scan", "struct state *state"]
        if unit.owner is not None:
            parameters.append(f"struct {self.layout.block(unit.owner).c_name} *self")
        result, more = parameter_list(self, unit)
        return f"static {result} {name}({', '.join((*parameters, *more))})"

    # ── bodies ─────────────────────────────────────────────────────────────────────────────────────────────────
    def function(self) -> list[Line]:
        """The whole C function."""
        unit = self.unit
        body = unit.body
        with self.aside() as start:
            if isinstance(unit, Routine):
                self._open_routine(unit)
            else:
                self._open_block(unit)
        with self.aside() as lines:
            if self.places is not None and body:
                self.count(self.places.unit(self.whole, unit.qualified, unit.span))
            if isinstance(body, typed.Chart):
                self.chart(body)
            else:
                self.body(body)
        self.span = unit.span
        head = [Line(0, "", None), Line(0, self.signature(), None), Line(0, "{", None)]
        prologue = [Line(1, text, None) for text in self.prologue]
        with self.aside() as end:
            if self.has_return:
                self.emit("tl_end:;", placed=False)
            if isinstance(unit, Routine):
                self._close_routine(unit)
            else:
                self._close_block(unit)
        return [*head, *prologue, *start, *lines, *end, Line(0, "}", None)]

    def _open_block(self, block: Block) -> None:
        for variable in block.variables.values():
            if variable.section is Section.TEMP:
                self._open_local(variable)
            elif variable.edge is not None:
                self._open_edge(block, variable)

    def _open_edge(self, block: Block, variable: Variable) -> None:
        """Within the body the input is its edge; the level comes back at the end (6.6.3.3.2)."""
        self.span = variable.span
        member = f"self->{self.layout.path(block, variable)}"
        before = f"self->tl_edge_{safe(variable.name)}"
        level = f"tl_level_{safe(variable.name)}"
        self.emit(f"const bool {level} = {member};")
        is_rising = variable.edge == "R_EDGE"
        self.emit(f"{member} = {'' if is_rising else '!'}{level} && {'!' if is_rising else ''}{before};")
        self.emit(f"{before} = {level};")

    def _close_block(self, block: Block) -> None:
        for variable in block.variables.values():
            if variable.edge is not None and variable.section is Section.INPUT:
                member = f"self->{self.layout.path(block, variable)}"
                self.emit(f"{member} = tl_level_{safe(variable.name)};", placed=False)

    def _open_routine(self, routine: Routine) -> None:
        for variable in routine.variables.values():
            self.span = variable.span
            if variable.section is Section.INPUT:
                self._open_input(variable)
            elif variable.section in (Section.LOCAL, Section.TEMP, Section.OUTPUT, Section.RESULT):
                if is_open(variable.type):
                    continue  # the caller's own variable
                self._open_local(variable)

    def _open_local(self, variable: Variable) -> None:
        self.span = variable.span
        place = self.whole.framed.get(variable)
        if place is None:
            self.declare(safe(variable.name), variable.type, variable.initial, variable.span)
        elif scalar(variable.type) is not None:
            value = self.default(variable.type) if variable.initial is None else self.value(variable.initial)
            self.emit(f"{place} = {value};")
        else:
            self.start(place, variable.type, variable.initial, variable.span)

    def _open_input(self, variable: Variable) -> None:
        if is_open(variable.type):
            return
        name = safe(variable.name)
        place = self.whole.framed.get(variable)
        if scalar(variable.type) is not None:
            if place is not None:
                self.emit(f"{place} = {name};")
            return
        if place is None:
            place = name
            self.emit(f"{self.layout.c_type(variable.type, variable.span)} {name};")
        from_ = f"tl_in_{name}"
        if isinstance(variable.type, StringOf):
            self.emit(f"{place}.capacity = {variable.type.length};")
            self.emit(f"{text_name(variable.type)}_copy({as_text(place, variable.type)}, {from_});")
        else:
            self.emit(f"{place} = *{from_};")

    def _close_routine(self, routine: Routine) -> None:
        for variable in routine.variables.values():
            if variable.section not in (Section.OUTPUT, Section.RESULT) or is_open(variable.type):
                continue
            place = self.whole.framed.get(variable) or safe(variable.name)
            if variable.section is Section.RESULT and scalar(variable.type) is not None:
                continue
            to = "tl_result" if variable.section is Section.RESULT else f"tl_out_{safe(variable.name)}"
            if isinstance(variable.type, StringOf):
                source = as_constant_text(as_text(place, variable.type), variable.type)
                self.emit(f"{text_name(variable.type)}_copy({to}, {source});", placed=False)
            else:
                self.emit(f"*{to} = {place};", placed=False)
        result = routine.variables.get(routine.name.upper())
        if result is not None and result.section is Section.RESULT and scalar(result.type) is not None:
            self.emit(f"return {self.whole.framed.get(result) or safe(result.name)};", placed=False)


def parameter_list(unit: Initials, routine: Routine) -> tuple[str, list[str]]:
    """The C type of the result and the parameters behind ``scan``, ``state`` and the instance."""
    found: list[str] = []
    for variable in routine.parameters():
        name, type_ = safe(variable.name), variable.type
        if is_open(type_):
            assert isinstance(type_, ArrayOf)
            element = unit.layout.c_type(type_.element, variable.span)
            found += [f"{element} *{name}", f"const struct tl_bounds *tl_bounds_{name}"]
            continue
        c_type = unit.layout.c_type(type_, variable.span)
        if isinstance(type_, StringOf):
            c_type = text_struct(type_)
        if variable.section is Section.OUTPUT:
            found.append(f"{c_type} *tl_out_{name}")
        elif variable.section is Section.IN_OUT:
            found.append(f"{c_type} *{name}")
        elif scalar(type_) is not None:
            found.append(f"{c_type} {name}")
        else:
            found.append(f"const {c_type} *tl_in_{name}")
    if routine.result is NOTHING:
        return "void", found
    kind = scalar(routine.result)
    if kind is not None:
        return c_scalar(kind), found
    c_type = unit.layout.c_type(routine.result, routine.span)
    if isinstance(routine.result, StringOf):
        c_type = text_struct(routine.result)
    return "void", [*found, f"{c_type} *tl_result"]


def argument_names(routine: Routine) -> list[str]:
    """The names of ``parameter_list``, for a function that only passes them on."""
    found: list[str] = []
    for variable in routine.parameters():
        name = safe(variable.name)
        if is_open(variable.type):
            found += [name, f"tl_bounds_{name}"]
        elif variable.section is Section.OUTPUT:
            found.append(f"tl_out_{name}")
        elif variable.section is Section.INPUT and scalar(variable.type) is None:
            found.append(f"tl_in_{name}")
        else:
            found.append(name)
    if routine.result is not NOTHING and scalar(routine.result) is None:
        found.append("tl_result")
    return found
