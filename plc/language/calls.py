"""Calls of routines and blocks (IEC 61131-3 6.6.1.4, 6.6.3.4): arguments bound to parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from plc.language import ast, typed
from plc.language.ast import ReferenceKind
from plc.language.coercion import (
    with_article,
)
from plc.language.diagnostics import nearest
from plc.language.entities import Entity
from plc.language.operators import Operators
from plc.language.scope import Scope
from plc.language.source import Span
from plc.language.symbols import (
    Block,
    Routine,
    Section,
    Variable,
)
from plc.language.types import (
    BOOL,
    UNKNOWN,
    ArrayOf,
    Elementary,
    Enumeration,
    Fit,
    Reference,
    StringOf,
    Type,
    fit,
    fits_leniently,
    is_block,
    plain,
)

if TYPE_CHECKING:
    from plc.language.declare import Declarations


class Calls(Operators, ABC):
    """Calls in one scope; what expressions mean is for the class that extends this."""

    def __init__(self, declarations: Declarations, scope: Scope) -> None:
        super().__init__(declarations.diagnostics)
        self.declarations = declarations
        self.scope = scope
        self.uses = declarations.uses

    @abstractmethod
    def entity(self, node: ast.Expression, expected: Type | None = None) -> Entity:
        """What an expression means, which may be no value."""

    @abstractmethod
    def expression(self, node: ast.Expression, expected: Type | None = None) -> typed.Expression:
        """The value of an expression, in its own type."""

    @abstractmethod
    def value(self, entity: Entity, node: ast.Expression, expected: Type | None = None) -> typed.Expression:
        """What an entity gives when its value is asked for."""

    @abstractmethod
    def target(self, node: ast.Expression) -> typed.Expression | None:
        """A place that may be written; what is none is reported."""

    def converted(self, node: ast.Expression, target: Type) -> typed.Expression:
        """The value of an expression as a type, by implicit conversion."""
        return self.coerce(self.expression(node, target), target)

    def _check_arguments_alone(self, arguments: tuple[ast.Argument, ...]) -> None:
        for argument in arguments:
            if argument.value is not None:
                self.entity(argument.value)

    def _called(self, callee: Routine | Block, span: Span) -> None:
        caller = self.scope.routine or self.scope.block
        if caller is not None:
            caller.calls.setdefault(callee, span)

    def _called_on(self, callee: Routine, instance: typed.Expression | None, span: Span) -> None:
        """A call whose method the instance's own type decides."""
        self._called(callee, span)
        caller = self.scope.routine or self.scope.block
        if caller is not None and instance is not None and is_block(instance.type):
            assert isinstance(instance.type, Block)
            key = instance.type, callee
            caller.virtual_calls[key] = caller.virtual_calls.get(key, True) and isinstance(
                instance, typed.ThisUse
            )

    def _call_routine(
        self,
        routine: Routine,
        instance: typed.Expression | None,
        node: ast.Call,
        *,
        is_virtual: bool,
    ) -> typed.Expression:
        if is_virtual:
            self._called_on(routine, instance, node.span)
        else:
            self._called(routine, node.span)
        if not is_virtual and routine.is_abstract:
            self.diagnostics.report(
                "ST0500",
                node.span,
                f"{routine.name} is abstract there: it has no body",
                mend="call another one",
            )
        inputs, outputs = self._bind(routine.parameters(), node, routine.name, is_block=False)
        return typed.RoutineCall(routine, instance, is_virtual, inputs, outputs, routine.result, node.span)

    def _bind(
        self,
        parameters: list[Variable],
        node: ast.Call,
        name: str,
        *,
        is_block: bool,
        is_base: bool = False,
    ) -> tuple[tuple[typed.Input, ...], tuple[typed.Output, ...]]:
        """Arguments to parameters (6.6.1.4): positional first, then formal."""
        by_key = {one.name.upper(): one for one in parameters}
        given: dict[Variable, ast.Argument] = {}
        is_formal = False
        for position, argument in enumerate(node.arguments):
            if argument.name is None:
                if is_formal:
                    self.diagnostics.report(
                        "ST0405", argument.span, "after a named argument all have names", mend="name it"
                    )
                    continue
                if position >= len(parameters):
                    self.diagnostics.report(
                        "ST0403",
                        argument.span,
                        f"{name} takes {len(parameters)} arguments",
                        mend="remove this one",
                    )
                    self._check_arguments_alone((argument,))
                    continue
                parameter = parameters[position]
            else:
                is_formal = True
                found = by_key.get(argument.name.key)
                if found is None:
                    near = nearest(argument.name.text, (one.name for one in parameters))
                    self.diagnostics.report(
                        "ST0401",
                        argument.name.span,
                        f"{name} has no parameter {argument.name.text}",
                        mend=f"did you mean {near}?" if near else None,
                    )
                    self._check_arguments_alone((argument,))
                    continue
                parameter = found
                self.uses.append((argument.name.span, parameter))
            if parameter in given:
                self.diagnostics.report(
                    "ST0404", argument.span, f"{parameter.name} is given twice", mend="remove one of them"
                )
                continue
            given[parameter] = argument
        is_positional = bool(node.arguments) and not is_formal
        self._check_complete(parameters, given, node, name, is_block, is_positional, is_base)
        inputs: list[typed.Input] = []
        outputs: list[typed.Output] = []
        for parameter, argument in given.items():
            self._bind_one(parameter, argument, inputs, outputs, is_block=is_block)
        return tuple(inputs), tuple(outputs)

    def _check_complete(
        self,
        parameters: list[Variable],
        given: dict[Variable, ast.Argument],
        node: ast.Call,
        name: str,
        is_block: bool,
        is_positional: bool,
        is_base: bool,
    ) -> None:
        missing: list[str] = []
        for parameter in parameters:
            if parameter in given or is_base:
                continue
            is_missing = parameter.section is Section.IN_OUT or (
                parameter.section is Section.INPUT
                and not is_block
                and parameter.initial is None
                and (is_positional or not node.arguments or is_block_or_reference(parameter.type))
            )
            if is_missing:
                missing.append(parameter.name)
        if missing:
            self.diagnostics.report(
                "ST0402",
                node.span,
                f"{name} needs {' and '.join(missing)}",
                mend=f"write {', '.join(f'{one} := …' for one in missing)}",
            )

    def _bind_one(
        self,
        parameter: Variable,
        argument: ast.Argument,
        inputs: list[typed.Input],
        outputs: list[typed.Output],
        *,
        is_block: bool,
    ) -> None:
        is_output = parameter.section is Section.OUTPUT
        if argument.name is not None and argument.is_output != is_output:
            right = "=>" if is_output else ":="
            self.diagnostics.report(
                "ST0407",
                argument.span,
                f"{parameter.name} is {'an output' if is_output else 'an input'}: it takes {right}",
                mend=f"write {parameter.name} {right} …",
            )
            self._check_arguments_alone((argument,))
            return
        if argument.value is None:
            return
        if is_output:
            target = self.target(argument.value)
            source: Type = parameter.type
            if target is not None:
                if argument.is_negated and source is not BOOL:
                    self._no_operator("NOT", argument.span, (source,))
                if isinstance(source, ArrayOf) and None in source.bounds:
                    source, target_type = (
                        target.type,
                        source,
                    )  # any size is right, so that it fits the other way
                    self._check_fit(source, target_type, argument.span)
                else:
                    self._check_fit(source, target.type, argument.span)
                outputs.append(typed.Output(parameter, target, argument.is_negated))
        elif parameter.section is Section.IN_OUT:
            variable = self._in_out(parameter, argument.value)
            if variable is not None:
                inputs.append(typed.Input(parameter, variable))
        else:
            inputs.append(typed.Input(parameter, self._argument(argument.value, parameter.type)))

    def _argument(self, node: ast.Expression, type_: Type) -> typed.Expression:
        if isinstance(type_, Reference) and type_.kind is ReferenceKind.REFERENCE_TO:
            target = self.target(node)
            if target is None:
                return typed.Wrong(UNKNOWN, node.span)
            return typed.ReferenceTo(target, type_, node.span)
        return self.converted(node, type_)

    def _check_fit(self, source: Type, target: Type, span: Span) -> None:
        outcome = fit(source, target)
        if outcome is Fit.NO and span.source.is_lenient and fits_leniently(source, target):
            outcome = Fit.REINTERPRETS
        if outcome is Fit.NO:
            self.diagnostics.report(
                "ST0300",
                span,
                f"{with_article(source)} does not fit {target}",
                mend="take a variable of its type",
            )
        elif outcome in (Fit.LOSES, Fit.REINTERPRETS):
            self.diagnostics.report(
                "ST0804" if outcome is Fit.LOSES else "ST0805",
                span,
                f"{source} goes into {target}",
                mend="take a variable of its type",
            )

    def _in_out(self, parameter: Variable, node: ast.Expression) -> typed.Expression | None:
        value = self.expression(node)
        if value.type is UNKNOWN:
            return None
        if parameter.is_constant and not self._is_place(value):
            return self.coerce(value, parameter.type)
        if not self._is_place(value):
            self.diagnostics.report(
                "ST0406",
                node.span,
                f"{parameter.name} is an in-out and takes a variable, not a value",
                mend="put the value into a variable first",
            )
            return None
        if not parameter.is_constant:
            written = self.target(node)
            if written is None:
                return None
            value = written
        type_ = parameter.type
        is_same = value.type == type_ or (
            isinstance(value.type, (StringOf, ArrayOf, Block)) and fit(value.type, type_) is Fit.SAME
        )
        if value.span.source.is_lenient:
            is_same |= _same_word(value.type, type_)
        if is_block(value.type) and is_block(type_):
            assert isinstance(value.type, Block)
            is_same = value.type.is_derived_from(type_)
        if not is_same and type_ is not UNKNOWN:
            self.diagnostics.report(
                "ST0406",
                node.span,
                f"{parameter.name} is {type_} and takes a variable of just that type, not {value.type}",
                mend=f"take a variable of {type_}",
            )
            return None
        return value

    def _is_place(self, value: typed.Expression) -> bool:
        return isinstance(
            value,
            (
                typed.VariableUse,
                typed.FieldUse,
                typed.ElementUse,
                typed.Dereference,
                typed.PartialUse,
                typed.DirectUse,
                typed.ThisUse,
            ),
        )


def _same_word(source: Type, target: Type) -> bool:
    """An enumeration and the integer that it counts in; integers and bit strings of one width."""
    ours, theirs = (
        one.base if isinstance(one, Enumeration) else one for one in (plain(source), plain(target))
    )
    return (
        isinstance(ours, Elementary)
        and isinstance(theirs, Elementary)
        and fits_leniently(ours, theirs)
        and ours.bits == theirs.bits
    )


def is_block_or_reference(type_: Type) -> bool:
    """Whether a type has no useful initial value."""
    return isinstance(type_, Reference) or is_block(type_)
