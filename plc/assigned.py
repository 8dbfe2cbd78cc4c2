"""Where a program writes a variable: what somebody else writes must not be written by the program too.

Seen are assignments, outputs of calls, inputs of instances, loops, steps and configurations; not what goes through
a reference or an in-out, of which only the run tells what it writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from plc.language import typed
from plc.language.analysis import Program
from plc.language.source import Span
from plc.language.symbols import Block, Routine, Variable
from plc.language.types import ArrayOf, Structure, Type

# A variable in a program's state, step by step: `pumps[2].speed` is (pumps, (2,), speed). None stands for an index
# that is known at run time only.
Step = Variable | tuple[int | None, ...]
Chain = tuple[Step, ...]

_STEPS = re.compile(r"\s*\.?\s*([A-Za-z_][\w]*)|\s*\[([^\]]*)\]")


@dataclass(frozen=True, slots=True)
class Write:
    """A place in the text that writes something; ``target`` begins where its own unit begins."""

    target: Chain
    span: Span


class Assignments:
    """All that a program writes, made once for a program."""

    def __init__(self, program: Program) -> None:
        self._roots = _roots(program)
        self._writes: dict[Variable, list[Write]] = {}
        for write in _writes(program):
            last = next(step for step in reversed(write.target) if isinstance(step, Variable))
            self._writes.setdefault(last, []).append(write)

    def chain(self, path: str) -> Chain:
        """The steps of a path that the table of symbols knows; empty for what has no declaration (``%IX0.0``)."""
        steps = [
            match[1].upper() if match[1] else tuple(int(one) for one in match[2].split(","))
            for match in _STEPS.finditer(path)
        ]
        names = [step for step in steps if isinstance(step, str)]
        for count in range(len(names), 0, -1):
            root = self._roots.get(".".join(names[:count]))
            if root is not None:
                return _walked(root, steps[count:])
        return ()

    def first_write(self, chain: Chain) -> Span | None:
        """The first place that may write a variable, whole, or as part of what it is in."""
        found = [
            write.span
            for step in chain
            if isinstance(step, Variable)
            for write in self._writes.get(step, ())
            if _is_inside(write.target, chain)
        ]
        return min(found, key=lambda span: (span.source.path, span.start), default=None)


def _roots(program: Program) -> dict[str, Variable | Block]:
    found: dict[str, Variable | Block] = {}
    for variable in program.globals:
        prefix = "" if variable.owner is None else f"{variable.owner.name}."
        found[f"{prefix}{variable.name}".upper()] = variable
    if not program.configurations:
        found |= {block.name.upper(): block for block in program.programs}
    for configuration in program.configurations:
        for resource in configuration.resources:
            found |= {instance.name.upper(): instance.program for instance in resource.programs}
    return found


def _walked(root: Variable | Block, steps: list[str | tuple[int, ...]]) -> Chain:
    chain: list[Step] = []
    type_: Type = root if isinstance(root, Block) else root.type
    if isinstance(root, Variable):
        chain.append(root)
    for step in steps:
        if isinstance(step, tuple):
            chain.append(step)
            ranks = len(type_.bounds) if isinstance(type_, ArrayOf) else 0
            rest: tuple[int, ...] = step
            while isinstance(type_, ArrayOf) and len(rest) >= ranks > 0:
                rest, type_ = rest[ranks:], type_.element
                ranks = len(type_.bounds) if isinstance(type_, ArrayOf) else 0
            continue
        variable = _member(type_, step)
        if variable is None:
            return tuple(chain)
        chain.append(variable)
        type_ = variable.type
    return tuple(chain)


def _member(type_: Type, name: str) -> Variable | None:
    if isinstance(type_, Block):
        return type_.find_variable(name)
    return type_.fields.get(name) if isinstance(type_, Structure) else None


def _is_inside(target: Chain, chain: Chain) -> bool:
    """Whether a write to ``target`` changes the variable at ``chain``: it is that one, or something around it."""
    return any(
        all(_is_same(one, other) for one, other in zip(target, chain[start:], strict=False))
        for start in range(len(chain) - len(target) + 1)
    )


def _is_same(one: Step, other: Step) -> bool:
    if isinstance(one, tuple) and isinstance(other, tuple):
        return all(a is None or b is None or a == b for a, b in zip(one, other, strict=False))
    return one is other


# ── what a program writes ────────────────────────────────────────────────────────────────────────────────────────
def _writes(program: Program) -> Iterator[Write]:
    for unit in _units(program):
        for node in typed.walk(unit.body):
            yield from _of_node(node)
        if isinstance(unit.body, typed.Chart):
            for step in unit.body.steps:
                for action in step.actions:
                    if action.variable is not None:
                        yield from _write(action.variable, action.span)
    for configuration in program.configurations:
        for resource in configuration.resources:
            for instance in resource.programs:
                for given in instance.inputs:
                    yield Write((given.parameter,), instance.span)
                for output in instance.outputs:
                    yield from _write(output.target, instance.span)


def _units(program: Program) -> Iterator[Block | Routine]:
    yield from program.functions
    for block in program.blocks:
        yield block
        yield from block.methods.values()
        yield from block.actions.values()
        for one in block.properties.values():
            yield from (accessor for accessor in (one.getter, one.setter) if accessor is not None)


def _of_node(node: object) -> Iterator[Write]:
    match node:
        case typed.Assign(target=target, span=span):
            yield from _write(target, span)
        case typed.For(variable=variable, span=span):
            yield from _write(variable, span)
        case typed.BlockCall(instance=instance, inputs=inputs, outputs=outputs, span=span):
            chain = _chain(instance)
            if chain is not None:
                for given in inputs:
                    yield Write((*chain, given.parameter), span)
            for output in outputs:
                yield from _write(output.target, span)
        case typed.RoutineCall(outputs=outputs, span=span) | typed.StandardCall(outputs=outputs, span=span):
            for output in outputs:
                yield from _write(output.target, span)


def _write(target: typed.Expression, span: Span) -> Iterator[Write]:
    chain = _chain(target)
    if chain:
        yield Write(chain, span)


def _chain(expression: typed.Expression) -> Chain | None:
    """The steps of a target within its unit; None where only the run tells what it is."""
    match expression:
        case typed.VariableUse(variable=variable):
            return (variable.target or variable,)
        case typed.FieldUse(base=base, variable=variable):
            chain = _chain(base)
            return None if chain is None else (*chain, variable)
        case typed.ElementUse(base=base, indices=indices):
            chain = _chain(base)
            return None if chain is None else (*chain, tuple(_constant(one) for one in indices))
        case typed.PartialUse(base=base):
            return _chain(base)
        case typed.ThisUse() | typed.ProgramUse():
            return ()
    return None


def _constant(index: typed.Expression) -> int | None:
    while isinstance(index, typed.Convert):
        index = index.operand
    return index.value if isinstance(index, typed.Literal) and isinstance(index.value, int) else None
