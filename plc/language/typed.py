"""The typed tree: what a program means, checked, with every conversion made explicit. The code generator reads this.

Where it differs from the syntax tree: constants are folded into ``Literal``, names are the variables that they mean,
calls have their arguments in the order of the parameters with nothing implicit but a parameter's own initial value,
properties are calls of their accessors, a REFERENCE TO is followed by a ``Dereference``, and every ``Convert`` that
the language does silently is there with ``is_implicit``. Three things stay of their own type: strings of different
lengths (what does not fit is cut), addresses for a POINTER TO something else, and an instance of an extending block
for an in-out or reference to the extended one. Every node has the span that it was written at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, TypeAlias, TypeVar, dataclass_transform

from plc.language.source import Span
from plc.language.values import Value

if TYPE_CHECKING:
    from plc.language.standard import StandardFunction
    from plc.language.symbols import Block, Routine, Variable
    from plc.language.types import Type

_Node = TypeVar("_Node")


@dataclass_transform(frozen_default=True, eq_default=False)
def _node(cls: type[_Node]) -> type[_Node]:
    return dataclass(frozen=True, slots=True, eq=False)(cls)


# ── expressions ──────────────────────────────────────────────────────────────────────────────
@_node
class Literal:
    """A constant: bool, int (also times in ns, enumerations, bit strings), float, str, or ``None`` for NULL."""

    value: Value
    type: Type
    span: Span


@_node
class VariableUse:
    """A variable by its bare name: local, of the own instance or global, as its section and owner tell."""

    variable: Variable
    type: Type
    span: Span


@_node
class ProgramUse:
    """The one instance of a PROGRAM, by the program's name; in a configuration the one of that name."""

    program: Block
    type: Type
    span: Span
    instance: str | None = None


@_node
class FieldUse:
    """A structure's field or an instance's variable."""

    base: Expression
    variable: Variable
    type: Type
    span: Span


@_node
class ElementUse:
    """An element of an array, one integer index a rank; a character of a string, from 1; or, where the base
    is a POINTER TO, the element that many behind the one it points to.
    """

    base: Expression
    indices: tuple[Expression, ...]
    type: Type
    span: Span


@_node
class Dereference:
    """What a reference refers to. NULL is a fault at run time."""

    base: Expression
    type: Type
    span: Span


@_node
class PartialUse:
    """Bits ``index × size`` and up of a bit string or integer, ``size`` of them."""

    base: Expression
    size: int
    index: int
    type: Type
    span: Span


@_node
class DirectUse:
    """A located variable without a name, ``%IX0.0``."""

    address: str
    type: Type
    span: Span


@_node
class ThisUse:
    """The own instance."""

    type: Type
    span: Span


@_node
class ReferenceTo:
    """``REF(x)`` or ``ADR(x)``."""

    operand: Expression
    type: Type
    span: Span


@_node
class Convert:
    """The operand as another type, by the rules of the conversion functions."""

    operand: Expression
    type: Type
    is_implicit: bool
    span: Span


@_node
class Operation:
    """An operator on operands of one type (but for times and ``**``). ``type`` is the result's."""

    operator: str
    operands: tuple[Expression, ...]
    type: Type
    span: Span


@_node
class StandardCall:
    """A standard function; arguments by parameter, an extensible one's after each other."""

    function: StandardFunction
    arguments: tuple[Expression, ...]
    outputs: tuple[Output, ...]
    type: Type
    span: Span


@_node
class Input:
    """A value for a parameter; for an in-out the variable itself."""

    parameter: Variable
    value: Expression


@_node
class Output:
    """Where a parameter's value goes after the call; a standard function's parameter is a name."""

    parameter: Variable | str
    target: Expression
    is_negated: bool


@_node
class RoutineCall:
    """A function (no instance) or a method, action or accessor of an instance.

    ``is_virtual``: the method that runs is that of the instance's own type. Inputs not given take their initial one.
    """

    routine: Routine
    instance: Expression | None
    is_virtual: bool
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    type: Type
    span: Span


@_node
class Enabled:
    """A call that is made where a condition holds (EN, ENO: 6.6.1.5); else it gives its type's initial value."""

    condition: Expression
    call: Expression
    told: Output | None
    type: Type
    span: Span


@_node
class Repeated:
    """``count`` times the values, in an array's initial value."""

    count: int
    values: tuple[Expression, ...]
    span: Span


@_node
class ArrayValue:
    """An array's initial value in row-major order: an array in it is a row, elements not given keep their own."""

    items: tuple[Expression | Repeated, ...]
    type: Type
    span: Span


GIVEN = "is given"  # the operator of an Operation: whether an in-out of a block refers to anything yet


@_node
class StructValue:
    """A structure's or an instance's initial value; fields that are not given keep their own.

    ``arguments`` are for FB_init, the method that vendors' blocks start with.
    """

    values: tuple[Input, ...]
    type: Type
    span: Span
    arguments: tuple[Input, ...] = ()


@_node
class TypeUse:
    """A type's name where only its size is asked for: ``SIZEOF(Pump)``."""

    type: Type
    span: Span


@_node
class Wrong:
    """An expression with a fault that is reported."""

    type: Type
    span: Span


Expression: TypeAlias = (
    Literal
    | VariableUse
    | ProgramUse
    | FieldUse
    | ElementUse
    | Dereference
    | PartialUse
    | DirectUse
    | ThisUse
    | ReferenceTo
    | Convert
    | Operation
    | StandardCall
    | RoutineCall
    | Enabled
    | ArrayValue
    | StructValue
    | TypeUse
    | Wrong
)


# ── statements ───────────────────────────────────────────────────────────────────────────────
@_node
class Assign:
    """The value, of the target's type already, goes into it. Operators are ``:=``, ``S=``, ``R=``, ``REF=``, ``?=``.

    ``REF=`` lets the reference itself refer to the value, which is a ``ReferenceTo``.
    """

    target: Expression
    operator: str
    value: Expression
    span: Span


@_node
class Evaluate:
    """A call whose result is not used."""

    call: Expression
    span: Span


@_node
class BlockCall:
    """Inputs go in, the body runs, outputs come out. ``is_base``: the body of what the own block extends.

    ``action``: it runs instead of the body, as in vendors' ``instance.action(input := 1)``.
    """

    instance: Expression
    block: Block
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    is_base: bool
    span: Span
    action: Routine | None = None


@_node
class Branch:
    """A condition and what it guards."""

    condition: Expression
    body: tuple[Statement, ...]
    span: Span


@_node
class If:
    """The first branch that holds, or ``otherwise``."""

    branches: tuple[Branch, ...]
    otherwise: tuple[Statement, ...]
    span: Span


@_node
class CaseBranch:
    """Ranges of values, both ends included, and what they select."""

    ranges: tuple[tuple[int, int], ...]
    body: tuple[Statement, ...]
    span: Span


@_node
class Case:
    """The branch of the selector's value, or ``otherwise``."""

    selector: Expression
    branches: tuple[CaseBranch, ...]
    otherwise: tuple[Statement, ...]
    span: Span


@_node
class For:
    """Bounds and step are evaluated once, the step in the signed type as wide. A constant step is not zero."""

    variable: Expression
    start: Expression
    stop: Expression
    step: Expression
    body: tuple[Statement, ...]
    span: Span


@_node
class While:
    """As long as the condition holds."""

    condition: Expression
    body: tuple[Statement, ...]
    span: Span


@_node
class Repeat:
    """Once, and again until the condition holds."""

    body: tuple[Statement, ...]
    condition: Expression
    span: Span


@_node
class Exit:
    """Out of the innermost loop."""

    span: Span


@_node
class Continue:
    """On with the innermost loop."""

    span: Span


@_node
class Return:
    """Out of the unit."""

    span: Span


Statement: TypeAlias = (
    Assign | Evaluate | BlockCall | If | Case | For | While | Repeat | Exit | Continue | Return
)


# ── charts (6.7) ─────────────────────────────────────────────────────────────────────────────
@_node
class ActionUse:
    """What a step does: an action, or a BOOL variable that it drives, under a qualifier of Table 59.

    ``control`` is the instance of ACTION_CONTROL that all uses of the action share.
    """

    control: Variable
    action: Routine | None
    variable: Expression | None
    qualifier: str
    time: Expression | None
    span: Span


@_node
class Step:
    """A step; ``variable`` is its record with the fields X (BOOL) and T (TIME)."""

    name: str
    variable: Variable
    is_initial: bool
    actions: tuple[ActionUse, ...]
    span: Span


@_node
class Transition:
    """From all sources to all targets, tried by falling urgency: the lowest priority number first."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    condition: Expression
    priority: int
    span: Span


@_node
class Chart:
    """A body written as a sequential function chart; names of steps are in upper case."""

    steps: tuple[Step, ...]
    transitions: tuple[Transition, ...]
    span: Span


Body: TypeAlias = tuple[Statement, ...] | Chart


def walk(node: object) -> Iterator[object]:
    """A node and all nodes inside it, each before what it holds."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, tuple):
            if not isinstance(one, Span):
                waiting.extend(reversed(one))
        elif type(one).__module__ == __name__:
            yield one
            waiting.extend(getattr(one, field.name) for field in reversed(fields(one)))  # type: ignore[arg-type]  # all nodes are dataclasses
