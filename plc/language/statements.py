"""Checks statements and charts and makes the typed tree of a unit's body."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from plc.language import ast, typed
from plc.language.ast import ReferenceKind
from plc.language.charts import check_chart
from plc.language.diagnostics import Related, nearest
from plc.language.entities import BoundProperty
from plc.language.expressions import Checker
from plc.language.scope import Scope
from plc.language.source import Span
from plc.language.symbols import Routine, Variable
from plc.language.types import (
    BOOL,
    TIME,
    UNKNOWN,
    Elementary,
    Enumeration,
    Family,
    Reference,
    Subrange,
    Type,
    as_signed,
    is_a,
    is_block,
    plain,
)

if TYPE_CHECKING:
    from plc.language.declare import Declarations

LOWEST_PRIORITY = 1 << 30  # of a transition that states none


class BodyChecker(Checker):
    """The statements of one unit."""

    def __init__(self, declarations: Declarations, scope: Scope) -> None:
        super().__init__(declarations, scope)
        self.loops = 0

    def body(self, body: ast.Body) -> typed.Body:
        """Everything between the declarations and the unit's end."""
        if isinstance(body, ast.Chart):
            return self.chart(body)
        return self.statements(body)

    def statements(self, nodes: tuple[ast.Statement, ...]) -> tuple[typed.Statement, ...]:
        """A list of statements; what stands behind a jump is said to be unreachable."""
        found: list[typed.Statement] = []
        after: typed.Statement | None = None
        is_reported = False
        for node in nodes:
            if isinstance(node, ast.Empty):
                continue
            if after is not None and not is_reported:
                is_reported = True
                self.diagnostics.report(
                    "ST0802",
                    node.span,
                    "this is never reached",
                    mend="remove it, or what leaves before it",
                    related=(Related(after.span, "this leaves"),),
                )
            if isinstance(node, ast.Assign) and node.further:
                found.extend(self._assign_all(node))
                continue
            statement = _READERS[type(node)](self, node)
            if statement is not None:
                found.append(statement)
                if _leaves(statement):
                    after = statement
        return tuple(found)

    def _assign_all(self, node: ast.Assign) -> list[typed.Statement]:
        """``a := b := value``: the last one first, each other from the one behind it."""
        found: list[typed.Statement] = []
        value = node.value
        for target in reversed((node.target, *node.further)):
            statement = self._assign(ast.Assign(target, node.operator, value, node.span))
            if statement is not None:
                found.append(statement)
            value = target
        return found

    def _assign(self, node: ast.Assign) -> typed.Statement | None:
        if node.operator == "REF=":
            return self._refer(node)
        entity = self.place(node.target)
        if isinstance(entity, BoundProperty):
            return self._set_property(entity, node)
        target = self.value(entity, node.target)
        if not self.is_writable(target, node.target):
            self.expression(node.value, None if target.type is UNKNOWN else target.type)
            return None
        if node.operator in ("S=", "R="):
            value = self.condition(node.value)
            if target.type not in (BOOL, UNKNOWN):
                self.diagnostics.report(
                    "ST0301", node.target.span, f"{node.operator} is for BOOL, not for {target.type}"
                )
                return None
        elif node.operator == "?=":
            return self._attempt(node, target)
        else:
            value = self.converted(node.value, target.type)
        return typed.Assign(target, node.operator, value, node.span)

    def _attempt(self, node: ast.Assign, target: typed.Expression) -> typed.Statement | None:
        """``a ?= b`` (6.6.7.2): NULL where the instance is not of the target's type."""
        value = self.expression(node.value)
        if UNKNOWN in (value.type, target.type):
            return None
        if not all(isinstance(one, Reference) or is_block(one) for one in (value.type, target.type)):
            self.diagnostics.report(
                "ST0301",
                node.span,
                "?= is for references and interfaces",
                mend="write :=",
            )
            return None
        return typed.Assign(target, "?=", value, node.span)

    def _refer(self, node: ast.Assign) -> typed.Statement | None:
        """``reference REF= variable``."""
        reference = self.place(node.target)
        if not isinstance(reference, (typed.VariableUse, typed.FieldUse, typed.ElementUse)) or not isinstance(
            reference.type, Reference
        ):
            if not isinstance(reference, typed.Wrong) and getattr(reference, "type", None) is not UNKNOWN:
                self.diagnostics.report(
                    "ST0306",
                    node.target.span,
                    "REF= is for references",
                    mend="write :=, or declare REFERENCE TO",
                )
            self.entity(node.value)
            return None
        if isinstance(node.value, ast.NullLiteral):
            return typed.Assign(reference, "REF=", self.expression(node.value), node.span)
        value = self.target(node.value)
        if value is None or value.type is UNKNOWN:
            return None
        pointer = typed.ReferenceTo(value, Reference(reference.type.kind, value.type), node.value.span)
        if reference.type.kind is ReferenceKind.REFERENCE_TO:
            if value.type != reference.type.target and reference.type.target is not UNKNOWN:
                self.diagnostics.report(
                    "ST0300",
                    node.value.span,
                    f"{value.type} does not fit {reference.type}",
                    mend=f"take a variable of {reference.type.target}",
                )
                return None
            return typed.Assign(reference, "REF=", pointer, node.span)
        return typed.Assign(reference, "REF=", self.coerce(pointer, reference.type), node.span)

    def _set_property(self, bound: BoundProperty, node: ast.Assign) -> typed.Statement | None:
        setter = bound.property.setter
        value = self.converted(node.value, bound.property.type)
        if setter is None or node.operator != ":=":
            self.diagnostics.report(
                "ST0303",
                node.target.span,
                f"{bound.property.name} has no SET: it can only be read"
                if setter is None
                else f"{node.operator} is not for properties",
                mend="add a SET" if setter is None else "write :=",
            )
            return None
        if bound.is_virtual:
            self._called_on(setter, bound.instance, node.span)
        else:
            self._called(setter, node.span)
        parameter = setter.variables[setter.name.upper()]
        call = typed.RoutineCall(
            setter,
            bound.instance,
            bound.is_virtual,
            (typed.Input(parameter, value),),
            (),
            setter.result,
            node.span,
        )
        return typed.Evaluate(call, node.span)

    def _invoke(self, node: ast.Invoke) -> typed.Statement:
        return self.call_statement(node.call)

    def _if(self, node: ast.If) -> typed.Statement:
        branches: list[typed.Branch] = []
        for branch in node.branches:
            condition = self.condition(branch.condition)
            self._never(branch.condition, is_never=False, body=branch.body)
            branches.append(typed.Branch(condition, self.statements(branch.body), branch.span))
        otherwise = () if node.otherwise is None else self.statements(node.otherwise)
        return typed.If(tuple(branches), otherwise, node.span)

    def _never(self, condition: ast.Expression, *, is_never: bool, body: tuple[ast.Statement, ...]) -> None:
        """Say that a body behind a literal is never reached."""
        if isinstance(condition, ast.BoolLiteral) and condition.value is is_never and body:
            self.diagnostics.report(
                "ST0802", body[0].span, "this is never reached", mend="remove it, or the condition before it"
            )

    def _case(self, node: ast.Case) -> typed.Statement:
        selector = self.settled(self.expression(node.selector))
        type_ = plain(selector.type)
        is_right = type_ is UNKNOWN or isinstance(type_, Enumeration)
        if not is_right and not is_a(type_, "ANY_INT") and not is_a(type_, "ANY_BIT"):
            self.diagnostics.report(
                "ST0300",
                selector.span,
                f"CASE selects by an integer or an enumeration, not by {type_}",
                mend="use IF",
            )
            type_ = UNKNOWN
        taken: list[tuple[int, int, Span]] = []
        branches: list[typed.CaseBranch] = []
        for branch in node.branches:
            ranges: list[tuple[int, int]] = []
            for label in branch.labels:
                found = self._label(label, selector.type if type_ is not UNKNOWN else UNKNOWN)
                if found is None:
                    continue
                low, high = found
                self._check_label(low, high, label.span, taken)
                taken.append((low, high, label.span))
                ranges.append((low, high))
            branches.append(typed.CaseBranch(tuple(ranges), self.statements(branch.body), branch.span))
        otherwise = () if node.otherwise is None else self.statements(node.otherwise)
        return typed.Case(selector, tuple(branches), otherwise, node.span)

    def _label(self, label: ast.Expression | ast.Range, type_: Type) -> tuple[int, int] | None:
        ends = (label.low, label.high) if isinstance(label, ast.Range) else (label, label)
        values: list[int] = []
        for end in ends if isinstance(label, ast.Range) else ends[:1]:
            value = self.expression(end, type_)
            if value.type is UNKNOWN or type_ is UNKNOWN:
                return None
            if isinstance(type_, Subrange) and isinstance(value, typed.Literal):
                value = self.coerce(value, type_.base)
            else:
                value = self.coerce(value, type_)
            if value.type is UNKNOWN:
                return None
            if not isinstance(value, typed.Literal) or not isinstance(value.value, int):
                self.diagnostics.report(
                    "ST0312",
                    end.span,
                    "a label has to be constant",
                    mend="use literals and CONSTANT variables",
                )
                return None
            values.append(int(value.value))
        return values[0], values[-1]

    def _check_label(self, low: int, high: int, span: Span, taken: list[tuple[int, int, Span]]) -> None:
        if low > high:
            self.diagnostics.report(
                "ST0308", span, f"the range {low}..{high} is empty", mend=f"write {high}..{low}"
            )
        for other_low, other_high, other in taken:
            if low <= other_high and other_low <= high:
                self.diagnostics.report(
                    "ST0308",
                    span,
                    f"{max(low, other_low)} is selected twice",
                    mend="remove it from one of the branches",
                    related=(Related(other, "it is selected here first"),),
                )
                return

    def _for(self, node: ast.For) -> typed.Statement | None:
        variable = self.target(node.variable)
        type_: Type = UNKNOWN
        if variable is not None:
            type_ = plain(variable.type)
            is_simple = isinstance(variable, (typed.VariableUse, typed.FieldUse, typed.Dereference))
            if not is_simple or not (is_a(type_, "ANY_INT") or is_a(type_, "ANY_BIT")) or type_ is BOOL:
                self.diagnostics.report(
                    "ST0309",
                    node.variable.span,
                    f"FOR counts with an integer variable, this is {type_}",
                    mend="declare one of type INT",
                )
                type_, variable = UNKNOWN, None
        start = self.converted(node.start, type_)
        stop = self.converted(node.stop, type_)
        step: typed.Expression
        if node.step is None:
            step = typed.Literal(1, type_, node.span)
        else:
            step = self.converted(node.step, _signed(type_))
            if isinstance(step, typed.Literal) and step.value == 0:
                self.diagnostics.report(
                    "ST0309", node.step.span, "a step of 0 never gets there", mend="step by 1 or by -1"
                )
        self.loops += 1
        body = self.statements(node.body)
        self.loops -= 1
        if variable is None:
            return None
        return typed.For(variable, start, stop, step, body, node.span)

    def _while(self, node: ast.While) -> typed.Statement:
        condition = self.condition(node.condition)
        self._never(node.condition, is_never=False, body=node.body)
        self.loops += 1
        body = self.statements(node.body)
        self.loops -= 1
        return typed.While(condition, body, node.span)

    def _repeat(self, node: ast.Repeat) -> typed.Statement:
        self.loops += 1
        body = self.statements(node.body)
        self.loops -= 1
        return typed.Repeat(body, self.condition(node.condition), node.span)

    def _leave_loop(self, node: ast.Exit | ast.Continue) -> typed.Statement | None:
        if self.loops == 0:
            self.diagnostics.report(
                "ST0310", node.span, "there is no loop around this", mend="write RETURN to leave the unit"
            )
            return None
        return typed.Exit(node.span) if isinstance(node, ast.Exit) else typed.Continue(node.span)

    def _return(self, node: ast.Return) -> typed.Statement:
        leave = typed.Return(node.span)
        if node.condition is None:
            return leave
        branch = typed.Branch(self.condition(node.condition), (leave,), node.span)
        return typed.If((branch,), (), node.span)

    # ── charts ─────────────────────────────────────────────────────────────────────────────────────
    def chart(self, node: ast.Chart) -> typed.Body:
        """A sequential function chart (6.7), the body of a block or of an action of one."""
        block, routine = self.scope.block, self.scope.routine
        has_memory = block is not None and block.kind in (ast.UnitKind.PROGRAM, ast.UnitKind.FUNCTION_BLOCK)
        if block is None or not has_memory or (routine is not None and routine.kind != "ACTION"):
            self.diagnostics.report(
                "ST0605",
                node.steps[0].name.span if node.steps else node.span,
                "a chart is the body of a PROGRAM, a FUNCTION_BLOCK or an ACTION: only those remember their steps",
                mend="make it a FUNCTION_BLOCK",
            )
            return ()
        steps: list[typed.Step] = []
        for step in node.steps:
            variable = block.steps.get(step.name.key)
            if variable is not None:
                actions = [self._action_use(use) for use in step.actions]
                found = tuple(one for one in actions if one is not None)
                steps.append(typed.Step(step.name.key, variable, step.is_initial, found, step.span))
        known = {step.name.key for step in node.steps}
        transitions = [self._transition(one, known, node) for one in node.transitions]
        transitions.sort(key=lambda one: one.priority)
        chart = typed.Chart(tuple(steps), tuple(transitions), node.span)
        check_chart(chart, node, self.diagnostics)
        return chart

    def _action_use(self, use: ast.ActionUse) -> typed.ActionUse | None:
        found = self.scope.find(use.name.key)
        time = None if use.time is None else self.converted(use.time, TIME)
        for indicator in use.indicators:
            self._indicator(indicator)
        if isinstance(found, Routine) and found.kind == "ACTION":
            self.uses.append((use.name.span, found))
            self._called(found, use.name.span)
            return typed.ActionUse(self._control(use), found, None, use.qualifier, time, use.span)
        if isinstance(found, Variable):
            name = ast.NameUse(use.name, use.name.span)
            target = self.target(name)
            if target is None:
                return None
            if target.type is BOOL:
                return typed.ActionUse(self._control(use), None, target, use.qualifier, time, use.span)
        assert self.scope.block is not None
        near = nearest(use.name.text, (one.name for one in self.scope.block.actions.values()))
        self.diagnostics.report(
            "ST0602",
            use.name.span,
            f"there is no action or BOOL variable {use.name.text}",
            mend=f"did you mean {near}?" if near else f"write ACTION {use.name.text}: … END_ACTION",
        )
        return None

    def _control(self, use: ast.ActionUse) -> Variable:
        assert self.scope.block is not None
        return self.scope.block.controls[use.name.key]

    def _indicator(self, name: ast.Name) -> None:
        """A BOOL variable by which an action tells of itself: the action writes it, the chart only names it."""
        value = self.expression(ast.NameUse(name, name.span))
        if value.type not in (BOOL, UNKNOWN):
            self.diagnostics.report(
                "ST0300",
                name.span,
                f"an indicator is a BOOL variable, {name.text} is {value.type}",
                mend="name a BOOL variable that the action writes",
            )

    def _transition(self, node: ast.Transition, known: set[str], chart: ast.Chart) -> typed.Transition:
        for name in (*node.sources, *node.targets):
            if name.key not in known:
                near = nearest(name.text, (step.name.text for step in chart.steps))
                self.diagnostics.report(
                    "ST0600",
                    name.span,
                    f"there is no step {name.text}",
                    mend=f"did you mean {near}?" if near else "declare it",
                )
        priority = LOWEST_PRIORITY
        if node.priority is not None:
            literal = self.constant(node.priority)
            if literal is not None and isinstance(literal.value, int):
                priority = int(literal.value)
        return typed.Transition(
            tuple(name.key for name in node.sources),
            tuple(name.key for name in node.targets),
            self.condition(node.condition),
            priority,
            node.span,
        )


def _leaves(statement: typed.Statement) -> bool:
    """Whether nothing behind a statement is reached."""
    match statement:
        case typed.Return() | typed.Exit() | typed.Continue():
            return True
        case typed.If():
            bodies = [branch.body for branch in statement.branches] + [statement.otherwise]
            return all(body and _leaves(body[-1]) for body in bodies)
        case typed.While():
            is_endless = isinstance(statement.condition, typed.Literal) and statement.condition.value is True
            return is_endless and not _has_exit(statement.body)
    return False


def _has_exit(body: tuple[typed.Statement, ...]) -> bool:
    """Whether an EXIT in these statements leaves the loop that they are in."""
    for statement in body:
        match statement:
            case typed.Exit():
                return True
            case typed.If():
                if _has_exit(statement.otherwise) or any(_has_exit(one.body) for one in statement.branches):
                    return True
            case typed.Case():
                if _has_exit(statement.otherwise) or any(_has_exit(one.body) for one in statement.branches):
                    return True
    return False


def _signed(type_: Type) -> Type:
    """What a step may be: a loop over an unsigned variable may count down."""
    if isinstance(type_, Elementary) and type_.family in (Family.UNSIGNED, Family.BIT):
        return as_signed(type_)
    return type_


_READERS: dict[type, Callable[[BodyChecker, Any], typed.Statement | None]] = {
    ast.Assign: BodyChecker._assign,
    ast.Invoke: BodyChecker._invoke,
    ast.If: BodyChecker._if,
    ast.Case: BodyChecker._case,
    ast.For: BodyChecker._for,
    ast.While: BodyChecker._while,
    ast.Repeat: BodyChecker._repeat,
    ast.Exit: BodyChecker._leave_loop,
    ast.Continue: BodyChecker._leave_loop,
    ast.Return: BodyChecker._return,
}
