"""Statements in C."""

from __future__ import annotations

from dataclasses import dataclass

from plc.compiler.conversions import literal
from plc.compiler.coverage import Places
from plc.compiler.expressions import Expressions, bare
from plc.compiler.initials import Initials
from plc.compiler.layout import as_text, c_scalar, is_open, scalar, standard_call, text_name
from plc.compiler.refusals import NotCompiled
from plc.language import typed
from plc.language.symbols import Block, Section, Variable
from plc.language.types import NOTHING, ArrayOf, Elementary, Reference, StringOf, Structure, Subrange, plain

MOST_LABELS = 256  # of one switch; ranges beyond it become comparisons
MOST_TURNS_AT_ONCE = (
    1024  # of a counted loop that are taken from the budget together: a watchdog waits for no more
)


@dataclass(slots=True)
class Loop:
    """The loop that EXIT and CONTINUE mean."""

    number: int
    has_tail: bool  # something has to run before the next turn
    switches: int = 0
    is_left: bool = False
    is_continued: bool = False


class Statements(Initials, Expressions):
    """The statements of one unit."""

    places: Places | None
    loops: list[Loop]
    loop_count: int
    has_return: bool

    def body(self, statements: tuple[typed.Statement, ...]) -> None:
        """A list of statements."""
        for statement in statements:
            self.span = statement.span
            if self.places is not None:
                self.count(self.places.statement(self.whole, statement))
            self.statement(statement)

    def nested(self, statements: tuple[typed.Statement, ...]) -> None:
        """A list of statements, one level deeper."""
        self.depth += 1
        self.body(statements)
        self.depth -= 1

    def count(self, place: int) -> None:
        """Count a place of the coverage."""
        self.emit(f"tl_cover(scan, {place});", placed=False)

    def decided(self, condition: typed.Expression, text: str) -> str:
        """A condition's value, counted by how it turns out where coverage is wanted."""
        places = self.places
        if places is None or isinstance(condition, typed.Literal):
            return text
        return f"tl_cover_if(scan, {places.condition(self.whole, condition.span)}, {bare(text)})"

    def close(self) -> None:
        """The end of a C block."""
        self.emit("}", placed=False)

    def statement(self, statement: typed.Statement) -> None:
        """One statement."""
        match statement:
            case typed.Assign():
                self._assign(statement)
            case typed.Evaluate():
                self._evaluate(statement)
            case typed.BlockCall():
                self._block_call(statement)
            case typed.If():
                self._if(statement.branches, statement.otherwise)
            case typed.Case():
                self._case(statement)
            case typed.For():
                self._for(statement)
            case typed.While():
                self._while(statement)
            case typed.Repeat():
                self._repeat(statement)
            case typed.Exit():
                self._exit()
            case typed.Continue():
                self._continue()
            case typed.Return():
                self.has_return = True
                self.emit("goto tl_end;")

    # ── assignments and calls ──────────────────────────────────────────────────────────────────────────────────
    def _assign(self, statement: typed.Assign) -> None:
        target, operator = statement.target, statement.operator
        if operator in ("S=", "R="):
            value = self.value(statement.value)
            self.emit(f"if ({bare(value)}) {{")
            self.depth += 1
            self.store(target, "true" if operator == "S=" else "false")
            self.depth -= 1
            self.close()
            return
        if operator == "?=":
            self._attempt(target, statement.value)
            return
        if isinstance(target.type, (ArrayOf, Structure)):
            self._assign_aggregate(target, statement.value)
            return
        if isinstance(target.type, Block) and not target.type.is_interface:
            raise NotCompiled(statement.span, "an instance can not be assigned as a whole")
        self.store(target, self.value(statement.value))

    def _assign_aggregate(self, target: typed.Expression, value: typed.Expression) -> None:
        assert isinstance(target.type, (ArrayOf, Structure))
        if is_open(target.type) or is_open(value.type):
            self._assign_open(target, value)
            return
        source = self.aggregate(value)
        if self.layout.c_type(target.type, target.span) != self.layout.c_type(value.type, value.span):
            raise NotCompiled(
                value.span, f"the assignment of {value.type} to {target.type} is not compiled yet"
            )
        self.emit(f"{self.place(target)} = {source};")

    def _assign_open(self, target: typed.Expression, value: typed.Expression) -> None:
        """An ARRAY [*] takes an array of just its size, which only the run shows."""
        assert isinstance(target.type, ArrayOf)
        to, to_ranks = self.bounds_of(target)
        from_, from_ranks = self.bounds_of(value)
        same = " && ".join(f"{a}.count == {b}.count" for a, b in zip(to_ranks, from_ranks, strict=True))
        count = " * ".join(f"{one}.count" for one in to_ranks)
        self.emit(f"tl_check(scan, {same}, TL_FAULT_ARRAY_BOUNDS, {self.at(target.span)});")
        self.emit(f"if ({same}) {{")
        self.emit(f"    memmove({to}, {from_}, (size_t)({count}) * sizeof *{to});")
        self.close()

    def _attempt(self, target: typed.Expression, value: typed.Expression) -> None:
        """``a ?= b``: NULL where the instance has not the wanted type."""
        wanted = target.type.target if isinstance(target.type, Reference) else target.type
        if not isinstance(wanted, Block):
            raise NotCompiled(target.span, "?= is compiled for blocks and interfaces only")
        offset = self._as_interface(value)
        name = self.temporary()
        self.emit(f"uint32_t {name} = {offset};")
        place = self._referred(name, "uint32_t", 4, 4, target.span)
        numbers = [
            self.layout.type_ids[one]
            for one in self.whole.derived.get(wanted, ())
            if one in self.layout.type_ids
        ]
        tests = " && ".join(f"{place} != {number}u" for number in numbers) or "true"
        self.emit(f"if ({name} != 0 && {tests}) {{")
        self.emit(f"    {name} = 0;")
        self.close()
        self.store(target, name)

    def _evaluate(self, statement: typed.Evaluate) -> None:
        call = statement.call
        if isinstance(call, typed.RoutineCall):
            result = self.call(call)
            if result is not None:
                self.emit(f"(void){result};")
            return
        text = self.value(call)
        if text:
            self.emit(f"(void){text};")

    def _block_call(self, statement: typed.BlockCall) -> None:
        block = statement.block
        place = self._instance(statement)
        taken: list[tuple[str, str]] = []
        for given in statement.inputs:
            self._give(place, block, given, taken)
        elsewhere = self._runs_elsewhere(statement.instance)
        if elsewhere is not None:
            self.emit(f"if (!{elsewhere}) {{")
            self.depth += 1
        if statement.action is not None:
            function, address = self.method(
                typed.RoutineCall(statement.action, statement.instance, True, (), (), NOTHING, statement.span)
            )
            self.emit(f"{function}(scan, state, {address});")
        elif block.is_standard:
            self.emit(f"{standard_call(block, place)};")
        else:
            record = self.layout.block(block)
            address = "self" if place == "(*self)" else f"&{place}"
            if statement.is_base or statement.instance.type is not block:
                address = f"(struct {record.c_name} *)(void *){address}"
            self.emit(f"{self.whole.names[block]}(scan, state, {address});")
        if elsewhere is not None:
            self.depth -= 1
            self.close()
        for output in statement.outputs:
            parameter = output.parameter
            assert isinstance(parameter, Variable)
            self.copy_out(output, f"{self._dot(place)}{self.layout.path(block, parameter)}", parameter.type)
        self.take_back(taken)

    def _instance(self, statement: typed.BlockCall) -> str:
        """Where the instance is; worked out once where that takes an index or a reference."""
        instance = statement.instance
        place = self.place(instance)
        if isinstance(instance, typed.ThisUse) and statement.is_base:
            return f"self->{'.'.join(self._base_steps(statement.block))}"
        if "[" in place or "tl_refer(" in place:
            name = self.temporary()
            self.emit(f"{self.layout.c_type(instance.type, instance.span)} *const {name} = &{place};")
            return f"(*{name})"
        return place

    def _runs_elsewhere(self, instance: typed.Expression) -> str | None:
        """What tells at run time that an instance runs in a task of its own, where some program says so."""
        if not isinstance(instance, (typed.VariableUse, typed.FieldUse)):
            return None
        variable = instance.variable
        if variable not in self.layout.elsewhere or not isinstance(variable.owner, Block):
            return None
        if isinstance(instance, typed.VariableUse):
            assert self.block is not None
            return f"self->{self.layout.runs_elsewhere(self.block, variable)}"
        owner = instance.base.type
        assert isinstance(owner, Block)
        return f"{self._dot(self.place(instance.base))}{self.layout.runs_elsewhere(owner, variable)}"

    def _base_steps(self, base: Block) -> list[str]:
        assert self.block is not None
        return ["tl_base"] * self.block.lineage().index(base)

    def _dot(self, place: str) -> str:
        if place.startswith("(*") and place[2:-1].isidentifier():
            return f"{place[2:-1]}->"
        return f"{place}."

    def _give(self, place: str, block: Block, given: typed.Input, taken: list[tuple[str, str]]) -> None:
        """A parameter into an instance; ``taken`` gets what has to be put back after the call."""
        parameter = given.parameter
        member = f"{self._dot(place)}{self.layout.path(block, parameter)}"
        if parameter.section is Section.IN_OUT and is_open(parameter.type):
            pointer, ranks = self.bounds_of(given.value)
            self.emit(f"{member} = TL_OFFSET(state, {pointer});")
            for rank, bounds in enumerate(ranks):
                self.emit(f"{self._dot(place)}{self.layout.bounds(block, parameter, rank)} = {bounds};")
        elif parameter.section is Section.IN_OUT and self.has_no_address(given.value):
            cell = self.whole.cells[given]
            taken.append(self.lend(given.value, cell))
            self.emit(f"{member} = TL_OFFSET(state, &{cell});")
        elif parameter.section is Section.IN_OUT:
            self.emit(f"{member} = {self.offset(given.value)};")
        elif isinstance(parameter.type, StringOf):
            text = as_text(member, parameter.type)
            self.emit(f"{text_name(parameter.type)}_copy({text}, {self.value(given.value)});")
        elif scalar(parameter.type) is None:
            self.emit(f"{member} = {self.aggregate(given.value)};")
        else:
            self.emit(f"{member} = {bare(self.value(given.value))};")

    # ── branches ───────────────────────────────────────────────────────────────────────────────────────────────
    def _if(self, branches: tuple[typed.Branch, ...], otherwise: tuple[typed.Statement, ...]) -> None:
        """An ELSIF whose condition takes statements of its own opens a new level."""
        first = branches[0].condition
        self.emit(f"if ({bare(self.decided(first, self.value(first)))}) {{")
        self.nested(branches[0].body)
        for index, branch in enumerate(branches[1:], 1):
            self.span = branch.condition.span
            self.depth += 1
            with self.aside() as lines:
                condition = self.value(branch.condition)
            self.depth -= 1
            if lines:
                self.emit("} else {", placed=False)
                self.depth += 1
                self._if(branches[index:], otherwise)
                self.depth -= 1
                self.close()
                return
            self.emit(f"}} else if ({bare(self.decided(branch.condition, condition))}) {{")
            self.nested(branch.body)
        if otherwise:
            self.emit("} else {", placed=False)
            self.nested(otherwise)
        self.close()

    def _case(self, statement: typed.Case) -> None:
        selector = self.value(statement.selector)
        kind = scalar(statement.selector.type)
        assert kind is not None
        labels = sum(high - low + 1 for branch in statement.branches for low, high in branch.ranges)
        if labels > MOST_LABELS:
            self._case_by_comparison(statement, selector, kind)
            return
        arms = self.arms(statement)
        self.emit(f"switch ({bare(selector)}) {{")
        if self.loops:
            self.loops[-1].switches += 1
        for branch in statement.branches:
            self.span = branch.span
            values = [value for low, high in branch.ranges for value in range(low, high + 1)]
            for value in values:
                self.emit(f"case {literal(value, kind)}:")
            if not values:
                continue
            self.arm(arms, branch)
            self.nested(branch.body)
            self.emit("    break;", placed=False)
        self.emit("default:", placed=False)
        self.arm(arms, None)
        self.nested(statement.otherwise)
        self.emit("    break;", placed=False)
        if self.loops:
            self.loops[-1].switches -= 1
        self.close()

    def _case_by_comparison(self, statement: typed.Case, selector: str, kind: str) -> None:
        arms = self.arms(statement)
        name = self.temporary()
        self.emit(f"const {c_scalar(kind)} {name} = {bare(selector)};")
        word = "if"
        for branch in statement.branches:
            tests = [
                f"{name} == {literal(low, kind)}"
                if low == high
                else f"({name} >= {literal(low, kind)} && {name} <= {literal(high, kind)})"
                for low, high in branch.ranges
            ]
            self.span = branch.span
            self.emit(f"{word} ({' || '.join(tests) or 'false'}) {{")
            self.arm(arms, branch)
            self.nested(branch.body)
            word = "} else if"
        self.emit("} else {" if statement.branches else "{", placed=False)
        self.arm(arms, None)
        self.nested(statement.otherwise)
        self.close()

    def arms(self, statement: typed.Case) -> dict[typed.CaseBranch | None, int]:
        """The places of a CASE's branches, ``None`` for the ELSE that is written or not."""
        places = self.places
        if places is None:
            return {}
        decision = places.next_decision()
        found: dict[typed.CaseBranch | None, int] = {}
        for branch in statement.branches:
            label = branch.span.text.partition(":")[0].strip()
            found[branch] = places.arm(self.whole, statement.selector.span, decision, " ".join(label.split()))
        found[None] = places.arm(self.whole, statement.selector.span, decision, "ELSE")
        return found

    def arm(self, arms: dict[typed.CaseBranch | None, int], branch: typed.CaseBranch | None) -> None:
        """Count a branch of a CASE that is taken."""
        if branch in arms:
            self.depth += 1
            self.count(arms[branch])
            self.depth -= 1

    # ── loops ──────────────────────────────────────────────────────────────────────────────────────────────────
    def _open_loop(self, *, has_tail: bool) -> Loop:
        self.loop_count += 1
        loop = Loop(self.loop_count, has_tail)
        self.loops.append(loop)
        return loop

    def _loop_body(self, loop: Loop, body: tuple[typed.Statement, ...], turn_span: str | None) -> None:
        self.depth += 1
        if turn_span is not None:
            self.emit(f"tl_turn(scan, 1, {turn_span});")
        self.body(body)
        if loop.is_continued:
            self.emit(f"tl_next_{loop.number}:;", placed=False)
        self.depth -= 1

    def _end_loop(self, loop: Loop) -> None:
        self.close()
        self.loops.pop()
        if loop.is_left:
            self.emit(f"tl_leave_{loop.number}:;", placed=False)

    def _exit(self) -> None:
        loop = self.loops[-1]
        if loop.switches:
            loop.is_left = True
            self.emit(f"goto tl_leave_{loop.number};")
        else:
            self.emit("break;")

    def _continue(self) -> None:
        loop = self.loops[-1]
        if loop.has_tail:
            loop.is_continued = True
            self.emit(f"goto tl_next_{loop.number};")
        else:
            self.emit("continue;")

    def _while(self, statement: typed.While) -> None:
        self.depth += 1
        with self.aside() as lines:
            condition = self.value(statement.condition)
        self.depth -= 1
        loop = self._open_loop(has_tail=False)
        if lines:
            self.emit("for (;;) {")
            self.lines.extend(lines)
            self.emit(f"    if (!{self.decided(statement.condition, condition)}) {{")
            self.emit("        break;")
            self.emit("    }", placed=False)
        else:
            self.emit(f"while ({bare(self.decided(statement.condition, condition))}) {{")
        self._loop_body(loop, statement.body, self.at(statement.span))
        self._end_loop(loop)

    def _repeat(self, statement: typed.Repeat) -> None:
        loop = self._open_loop(has_tail=True)
        self.emit("for (;;) {")
        self._loop_body(loop, statement.body, self.at(statement.span))
        self.depth += 1
        self.span = statement.condition.span
        until = self.decided(statement.condition, self.value(statement.condition))
        self.emit(f"if ({bare(until)}) {{")
        self.emit("    break;")
        self.emit("}", placed=False)
        self.depth -= 1
        self._end_loop(loop)

    def _for(self, statement: typed.For) -> None:
        """The variable counts in its own type and never wraps: a loop to its greatest value ends there."""
        type_ = plain(statement.variable.type)
        assert isinstance(type_, Elementary)
        kind = scalar(type_)
        assert kind is not None
        place = self.place(statement.variable)
        start, stop, step = self.values((statement.start, statement.stop, statement.step))
        if not isinstance(statement.stop, typed.Literal):
            stop = self._constant(c_scalar(kind), stop)
        step_value = statement.step.value if isinstance(statement.step, typed.Literal) else None
        step_kind = scalar(statement.step.type)
        assert step_kind is not None
        if step_value is None:
            step = self._constant(c_scalar(step_kind), step)
        stop_value = statement.stop.value if isinstance(statement.stop, typed.Literal) else None
        is_steady = self._is_steady(statement)
        turns = _turns(statement) if is_steady else None
        at = self.at(statement.span)
        if turns is not None:
            self.emit(f"tl_turn(scan, {turns}, {at});")
        guard, condition, advance = self._counting(
            type_, kind, place, stop, step, step_value, stop_value, step_kind
        )
        loop = self._open_loop(has_tail=guard is not None)
        known = self._enter_range(statement, is_steady)
        self.emit(f"for ({place} = {bare(start)}; {condition}; {place} = {advance}) {{")
        if isinstance(statement.variable.type, Subrange):
            checked = self.checked_subrange(place, statement.variable.type, statement.variable.span)
            self.emit(f"    (void){checked};")
        self._loop_body(loop, statement.body, None if turns is not None else at)
        if guard is not None:
            self.emit(f"    if ({guard}) {{", placed=False)
            self.emit("        break;", placed=False)
            self.emit("    }", placed=False)
        if known is not None:
            del self.loop_ranges[known]
        self._end_loop(loop)

    def _constant(self, c_type: str, text: str) -> str:
        name = self.temporary()
        self.emit(f"const {c_type} {name} = {bare(text)};")
        return name

    def _counting(
        self,
        type_: Elementary,
        kind: str,
        place: str,
        stop: str,
        step: str,
        step_value: object,
        stop_value: object,
        step_kind: str,
    ) -> tuple[str | None, str, str]:
        """When the next step would leave the type, whether to go on, and the next value."""
        if isinstance(step_value, int):
            up = step_value > 0
            condition = f"{place} {'<=' if up else '>='} {stop}"
            size = literal(abs(step_value), kind) if abs(step_value) <= type_.high else None
            if size is None:
                return "true", condition, place
            advance = f"tl_{'add' if up else 'sub'}_{kind}({place}, {size})"
            edge = type_.high - step_value if up else type_.low - step_value
            is_safe = isinstance(stop_value, int) and (stop_value <= edge if up else stop_value >= edge)
            if is_safe:
                return None, condition, advance
            return f"{place} {'>' if up else '<'} {literal(edge, kind)}", condition, advance
        zero = literal(0, step_kind)
        condition = f"{step} >= {zero} ? {place} <= {stop} : {place} >= {stop}"
        advance = f"({c_scalar(kind)})((uint64_t){place} + (uint64_t){step})"
        # What is left to the end, in 64 unsigned bits, is less than the step's size.
        guard = (
            f"{step} >= {zero} ? (uint64_t){stop} - (uint64_t){place} < (uint64_t){step}"
            f" : (uint64_t){place} - (uint64_t){stop} < (uint64_t)0 - (uint64_t){step}"
        )
        return guard, condition, advance

    def _is_steady(self, statement: typed.For) -> bool:
        """Whether nothing in the body can write the loop's variable."""
        if not isinstance(statement.variable, typed.VariableUse):
            return False
        variable = statement.variable.variable
        if variable.section not in (Section.LOCAL, Section.TEMP, Section.RESULT):
            return False
        if variable in self.whole.framed:
            return False
        own_methods = variable.owner is self.block
        for node in typed.walk(statement.body):
            match node:
                case typed.Assign(target=target) | typed.For(variable=target) | typed.Output(target=target):
                    if _writes(target, variable):
                        return False
                case typed.ReferenceTo(operand=operand):
                    if _writes(operand, variable):
                        return False
                case typed.Input(parameter=parameter, value=value):
                    if parameter.section is Section.IN_OUT and _writes(value, variable):
                        return False
                case typed.RoutineCall(instance=instance):
                    if own_methods and instance is not None:
                        return False
                case typed.BlockCall(is_base=True):
                    return False
        return True

    def _enter_range(self, statement: typed.For, is_steady: bool) -> Variable | None:
        if not is_steady or not isinstance(statement.variable, typed.VariableUse):
            return None
        start, stop = self.known_range(statement.start), self.known_range(statement.stop)
        step = statement.step.value if isinstance(statement.step, typed.Literal) else None
        if start is None or stop is None or not isinstance(step, int):
            return None
        variable = statement.variable.variable
        if variable in self.loop_ranges:
            return None
        self.loop_ranges[variable] = (start[0], stop[1]) if step > 0 else (stop[0], start[1])
        return variable


def _writes(target: typed.Expression, variable: Variable) -> bool:
    while isinstance(target, (typed.FieldUse, typed.ElementUse, typed.PartialUse)):
        if isinstance(target, typed.FieldUse) and target.variable is variable:
            return True
        target = target.base
    return isinstance(target, typed.VariableUse) and target.variable is variable


def _turns(statement: typed.For) -> int | None:
    """How often a loop with constant bounds goes round, where that is few enough to take together."""
    ends = [
        one.value if isinstance(one, typed.Literal) else None
        for one in (statement.start, statement.stop, statement.step)
    ]
    start, stop, step = ends
    if not isinstance(start, int) or not isinstance(stop, int) or not isinstance(step, int) or step == 0:
        return None
    turns = max(0, (stop - start) // step + 1)
    return turns if turns <= MOST_TURNS_AT_ONCE else None
