"""Warnings that need a whole unit or a whole program: unused, read too early, recursion, written by two programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from plc.language import ast, typed
from plc.language.declare import Declarations, UnitScope
from plc.language.diagnostics import Diagnostics, Related
from plc.language.source import Span
from plc.language.symbols import Block, Routine, Section, Variable
from plc.language.types import ArrayOf, Reference, Structure, is_block

_OWN = frozenset({Section.LOCAL, Section.TEMP, Section.STATIC, Section.INSTANCE})


def check_program(declarations: Declarations) -> None:
    """All of them, for every unit."""
    diagnostics = declarations.diagnostics
    for unit_scope in declarations.units:
        _check_unused(unit_scope.unit, diagnostics)
        _check_early_reads(unit_scope, diagnostics)
    units = [one.unit for one in declarations.units]
    _check_recursion(units, diagnostics)
    _check_writers([one for one in units if isinstance(one, Block)], diagnostics)


# ── unused ─────────────────────────────────────────────────────────────────────────────────────────
def _check_unused(unit: Block | Routine, diagnostics: Diagnostics) -> None:
    for variable in unit.variables.values():
        is_own = variable.section in _OWN and variable.qualifiers.isdisjoint(
            {"PUBLIC", "PROTECTED", "INTERNAL"}
        )
        if is_own and variable.location is None and not variable.is_read and not variable.is_written:
            diagnostics.report("ST0801", variable.span, f"{variable.name} is never used", mend="remove it")


# ── read before written ────────────────────────────────────────────────────────────────────────────
def _check_early_reads(unit_scope: UnitScope, diagnostics: Diagnostics) -> None:
    unit = unit_scope.unit
    if isinstance(unit.body, typed.Chart):
        return
    watched = {variable for variable in unit.variables.values() if _is_watched(variable, unit)}
    if watched:
        _EarlyReads(watched, diagnostics).statements(unit.body, set())


def _is_watched(variable: Variable, unit: Block | Routine) -> bool:
    """VAR_TEMP and references that live for one call begin with nothing useful."""
    if variable.initial is not None or variable.is_constant:
        return False
    if isinstance(variable.type, Reference):
        is_short_lived = isinstance(unit, Routine) and variable.section is Section.LOCAL
        return variable.section is Section.TEMP or is_short_lived
    if variable.section is not Section.TEMP:
        return False
    return not is_block(variable.type) and not isinstance(variable.type, (ArrayOf, Structure))


class _EarlyReads:
    """Walks in the order of execution; a variable counts as written once any path may have written it."""

    def __init__(self, watched: set[Variable], diagnostics: Diagnostics) -> None:
        self.watched = watched
        self.diagnostics = diagnostics

    def statements(self, body: Iterable[typed.Statement], written: set[Variable]) -> None:
        for statement in body:
            self.statement(statement, written)

    def statement(self, statement: typed.Statement, written: set[Variable]) -> None:
        match statement:
            case typed.Assign():
                self.reads(statement.value, written)
                self.write(statement.target, written)
            case typed.Evaluate():
                self.reads(statement.call, written)
            case typed.BlockCall():
                self.reads(statement.instance, written)
                self.call(statement.inputs, statement.outputs, written)
            case typed.If():
                after: set[Variable] = set()
                for branch in statement.branches:
                    self.reads(branch.condition, written)
                    inside = set(written)
                    self.statements(branch.body, inside)
                    after |= inside
                inside = set(written)
                self.statements(statement.otherwise, inside)
                written |= after | inside
            case typed.Case():
                self.reads(statement.selector, written)
                after = set()
                for one in statement.branches:
                    inside = set(written)
                    self.statements(one.body, inside)
                    after |= inside
                inside = set(written)
                self.statements(statement.otherwise, inside)
                written |= after | inside
            case typed.For():
                for bound in (statement.start, statement.stop, statement.step):
                    self.reads(bound, written)
                self.write(statement.variable, written)
                self.loop(statement.body, written)
            case typed.While():
                self.reads(statement.condition, written)
                self.loop(statement.body, written)
            case typed.Repeat():
                self.loop(statement.body, written)
                self.reads(statement.condition, written)
            case typed.Exit() | typed.Continue() | typed.Return():
                pass

    def loop(self, body: tuple[typed.Statement, ...], written: set[Variable]) -> None:
        """What a loop writes, its second round may read."""
        for node in typed.walk(body):
            if isinstance(node, typed.Assign):
                self.mark(node.target, written)
            elif isinstance(node, (typed.BlockCall, typed.RoutineCall, typed.StandardCall)):
                for output in node.outputs:
                    self.mark(output.target, written)
        self.statements(body, written)

    def call(
        self, inputs: tuple[typed.Input, ...], outputs: tuple[typed.Output, ...], written: set[Variable]
    ) -> None:
        for one in inputs:
            if isinstance(one.parameter, Variable) and one.parameter.section is Section.IN_OUT:
                self.mark(one.value, written)
            self.reads(one.value, written)
        for output in outputs:
            self.write(output.target, written)

    def write(self, target: typed.Expression, written: set[Variable]) -> None:
        if isinstance(target, typed.VariableUse):
            written.add(target.variable)
            return
        self.reads(target, written)
        self.mark(target, written)

    def mark(self, target: typed.Expression, written: set[Variable]) -> None:
        """A piece of it is written: that is taken as the whole."""
        while isinstance(target, (typed.FieldUse, typed.ElementUse, typed.PartialUse)):
            target = target.base
        if isinstance(target, typed.VariableUse):
            written.add(target.variable)

    def reads(self, expression: typed.Expression, written: set[Variable]) -> None:
        match expression:
            case typed.VariableUse():
                self.read(expression.variable, expression.span, written)
            case typed.ReferenceTo():
                self.mark(expression.operand, written)
            case typed.RoutineCall():
                if expression.instance is not None:
                    self.reads(expression.instance, written)
                self.call(expression.inputs, expression.outputs, written)
            case typed.StandardCall():
                for argument in expression.arguments:
                    if expression.function.name != "SIZEOF":
                        self.reads(argument, written)
                for output in expression.outputs:
                    self.write(output.target, written)
            case typed.Enabled():
                self.reads(expression.condition, written)
                self.reads(expression.call, written)
                if expression.told is not None:
                    self.write(expression.told.target, written)
            case typed.Operation():
                for operand in expression.operands:
                    self.reads(operand, written)
            case typed.Convert():
                self.reads(expression.operand, written)
            case typed.ElementUse():
                self.reads(expression.base, written)
                for index in expression.indices:
                    self.reads(index, written)
            case typed.FieldUse() | typed.PartialUse() | typed.Dereference():
                self.reads(expression.base, written)
            case _:
                pass

    def read(self, variable: Variable, span: Span, written: set[Variable]) -> None:
        if variable in self.watched and variable not in written:
            self.watched.discard(variable)
            self.diagnostics.report(
                "ST0803",
                span,
                f"{variable.name} is read before it is written",
                mend="assign it first, or give it an initial value",
                related=(Related(variable.span, "it is declared here"),),
            )


# ── recursion ──────────────────────────────────────────────────────────────────────────────────────
Calls = Callable[[Block | Routine], dict[Routine | Block, Span]]


def _check_recursion(units: list[Block | Routine], diagnostics: Diagnostics) -> None:
    """6.6.1: a unit can not call itself, by whatever way. Every circle is said once, where it closes.

    Once with every name as it stands, then for each extending block with the methods that its own instances run. What
    a call through an interface or a reference reaches is not known here: generated code counts those.
    """
    said: set[frozenset[Block | Routine]] = set()
    done: set[Block | Routine] = set()
    for unit in units:
        if unit not in done:
            _search_circles(unit, lambda one: one.calls, done, said, diagnostics)
    for block in units:
        if isinstance(block, Block) and block.base is not None:
            calls = partial(_calls_within, block)
            done = set()
            for unit in _units_of(block):
                if unit not in done:
                    _search_circles(unit, calls, done, said, diagnostics)


def _units_of(block: Block) -> list[Block | Routine]:
    found: list[Block | Routine] = []
    for one in reversed(block.lineage()):  # so that a circle is said in the block that closes it
        accessors = [a for p in one.properties.values() for a in (p.getter, p.setter) if a is not None]
        found += [one, *one.methods.values(), *one.actions.values(), *accessors]
    return found


def _calls_within(block: Block, unit: Block | Routine) -> dict[Routine | Block, Span]:
    """The calls of a unit when it runs on an instance of a block."""
    owner = unit if isinstance(unit, Block) else unit.owner
    if owner not in block.lineage():
        return unit.calls
    own = {routine for (_, routine), is_own in unit.virtual_calls.items() if is_own}
    found: dict[Routine | Block, Span] = {}
    for callee, span in unit.calls.items():
        runs = block.implementation(callee) if isinstance(callee, Routine) and callee in own else None
        found.setdefault(runs or callee, span)
    return found


def _search_circles(
    start: Block | Routine,
    calls: Calls,
    done: set[Block | Routine],
    said: set[frozenset[Block | Routine]],
    diagnostics: Diagnostics,
) -> None:
    path: list[Block | Routine] = [start]
    waiting = [iter(calls(start).items())]
    while waiting:
        called = next(waiting[-1], None)
        if called is None:
            waiting.pop()
            done.add(path.pop())
            continue
        callee, span = called
        if callee in path:
            circle = [*path[path.index(callee) :], callee]
            if frozenset(circle) in said:
                continue
            said.add(frozenset(circle))
            diagnostics.report(
                "ST0504",
                span,
                f"{callee.name} calls itself"
                + ("" if len(circle) == 2 else f": {' → '.join(one.name for one in circle)}"),
                mend="use a loop; recursion could run out of memory in a scan",
            )
        elif callee not in done:
            path.append(callee)
            waiting.append(iter(calls(callee).items()))


# ── written by two programs ────────────────────────────────────────────────────────────────────────
def _check_writers(blocks: list[Block], diagnostics: Diagnostics) -> None:
    first: dict[Variable, tuple[Block, Span]] = {}
    for program in blocks:
        if program.kind is not ast.UnitKind.PROGRAM:
            continue
        for variable, span in _writes_of(program).items():
            other = first.setdefault(variable, (program, span))
            if other[0] is not program:
                diagnostics.report(
                    "ST0810",
                    span,
                    f"{variable.name} is written by {other[0].name} and by {program.name}",
                    mend="let one program write it, from variables that the others write",
                    related=(Related(other[1], f"{other[0].name} writes it here"),),
                )


def _writes_of(program: Block) -> dict[Variable, Span]:
    """The globals that a program writes, itself or through what it calls."""
    found: dict[Variable, Span] = {}
    seen: set[Block | Routine] = set()
    waiting: list[Block | Routine] = [program, *program.methods.values(), *program.actions.values()]
    while waiting:
        unit = waiting.pop()
        if unit in seen:
            continue
        seen.add(unit)
        for variable, span in unit.writes.items():
            found.setdefault(variable, span)
        waiting.extend(unit.calls)
    return found
