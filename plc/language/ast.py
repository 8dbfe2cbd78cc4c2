"""The syntax tree: what was written, not yet what it means. Every node knows its span and equals only itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TypeAlias, TypeVar, dataclass_transform

from plc.language.source import Span

_Node = TypeVar("_Node")


@dataclass_transform(frozen_default=True, eq_default=False)
def _node(cls: type[_Node]) -> type[_Node]:
    return dataclass(frozen=True, slots=True, eq=False)(cls)


@_node
class Name:
    """An identifier. ``key`` is the text in upper case: names are the same when their keys are (6.1.2)."""

    text: str
    key: str
    span: Span


@_node
class Pragma:
    """``{...}``, with the text between the braces."""

    text: str
    span: Span


# ── expressions (7.3.2) ──────────────────────────────────────────────────────────────────────────────────
@_node
class IntegerLiteral:
    """``5``, ``16#FF``; ``INT#5`` has the prefix ``INT``. The value carries the sign of ``INT#-5``."""

    value: int
    base: int
    prefix: Name | None
    span: Span


@_node
class RealLiteral:
    """``1.5E3``; the value is the nearest IEEE double."""

    value: float
    prefix: Name | None
    span: Span


@_node
class BoolLiteral:
    """``TRUE`` or ``FALSE``."""

    value: bool
    prefix: Name | None
    span: Span


@_node
class StringLiteral:
    """``'single'`` is a STRING, ``"double"`` a WSTRING; escapes are already resolved."""

    value: str
    is_wide: bool
    prefix: Name | None
    span: Span


class TimeKind(StrEnum):
    """The four families of 6.4.2, Table 10."""

    DURATION = "TIME"
    DATE = "DATE"
    TIME_OF_DAY = "TOD"
    DATE_AND_TIME = "DT"


@_node
class TimeLiteral:
    """A duration, a time of day since midnight, or a moment since 1970-01-01, in nanoseconds."""

    kind: TimeKind
    nanoseconds: int
    is_long: bool
    span: Span


@_node
class NullLiteral:
    """``NULL``, the reference to nothing."""

    span: Span


@_node
class EnumLiteral:
    """``Colour#Red``, with the type's name as it was written before the ``#``."""

    type: tuple[Name, ...]
    value: Name
    span: Span


@_node
class NameUse:
    """A name in an expression: a variable, a constant, an enumeration's value, a function, a namespace."""

    name: Name
    span: Span


@_node
class GlobalUse:
    """``.name``: the name as it means outside all units."""

    name: Name
    span: Span


@_node
class This:
    """``THIS``."""

    span: Span


@_node
class Super:
    """``SUPER``."""

    span: Span


@_node
class Member:
    """``base.name``."""

    base: Expression
    name: Name
    span: Span


@_node
class PartialAccess:
    """``base.3``, ``base.%X3``, ``base.%B1``: a piece of a bit string (6.5.5). ``size`` is in bits."""

    base: Expression
    size: int
    index: int
    span: Span


@_node
class Index:
    """``base[i, j]``."""

    base: Expression
    indices: tuple[Expression, ...]
    span: Span


@_node
class Dereference:
    """``base^``."""

    base: Expression
    span: Span


@_node
class DirectVariable:
    """``%IX0.0``, ``%MW12``, ``%Q*``, upper case."""

    address: str
    span: Span


@_node
class Unary:
    """``-``, ``+`` or ``NOT``."""

    operator: str
    operand: Expression
    span: Span


@_node
class Binary:
    """An operator in upper case; ``&`` is kept as ``AND``."""

    operator: str
    left: Expression
    right: Expression
    operator_span: Span
    span: Span


@_node
class Argument:
    """``value``, ``name := value``, ``name => value`` or ``NOT name => value``; an output may go nowhere."""

    name: Name | None
    value: Expression | None
    is_output: bool
    is_negated: bool
    span: Span


@_node
class Call:
    """A function, a method or a function block with its arguments."""

    callee: Expression
    arguments: tuple[Argument, ...]
    span: Span


@_node
class Parenthesised:
    """``(inner)``."""

    inner: Expression
    span: Span


@_node
class Repeated:
    """``3(0)`` in an array's initial value; no value means the type's own."""

    count: Expression
    values: tuple[Expression, ...]
    span: Span


@_node
class ArrayInitial:
    """``[1, 2, 3(0)]``."""

    items: tuple[Expression, ...]
    span: Span


@_node
class FieldInitial:
    """``name := value``."""

    name: Name
    value: Expression
    span: Span


@_node
class StructInitial:
    """``(a := 1, b := 2)``."""

    fields: tuple[FieldInitial, ...]
    span: Span


@_node
class Wrong:
    """Where an expression should be and none could be read; the fault is already reported."""

    span: Span


Expression: TypeAlias = (
    IntegerLiteral
    | RealLiteral
    | BoolLiteral
    | StringLiteral
    | TimeLiteral
    | NullLiteral
    | EnumLiteral
    | NameUse
    | GlobalUse
    | This
    | Super
    | Member
    | PartialAccess
    | Index
    | Dereference
    | DirectVariable
    | Unary
    | Binary
    | Call
    | Parenthesised
    | Repeated
    | ArrayInitial
    | StructInitial
    | Wrong
)


# ── statements (7.3.3) ───────────────────────────────────────────────────────────────────────────────────
@_node
class Assign:
    """``target operator value``; operator is ``:=``, ``REF=``, ``?=``, ``S=`` or ``R=``.

    ``further`` are the targets in between of ``a := b := value``, which vendors allow.
    """

    target: Expression
    operator: str
    value: Expression
    span: Span
    further: tuple[Expression, ...] = ()


@_node
class Invoke:
    """A call as a statement."""

    call: Call
    span: Span


@_node
class Branch:
    """A condition and what it guards."""

    condition: Expression
    body: tuple[Statement, ...]
    span: Span


@_node
class If:
    """``IF`` with its ``ELSIF`` branches."""

    branches: tuple[Branch, ...]
    otherwise: tuple[Statement, ...] | None
    span: Span


@_node
class Range:
    """``low..high``, both included."""

    low: Expression
    high: Expression
    span: Span


@_node
class CaseBranch:
    """The labels and what they select."""

    labels: tuple[Expression | Range, ...]
    body: tuple[Statement, ...]
    span: Span


@_node
class Case:
    """``CASE selector OF``."""

    selector: Expression
    branches: tuple[CaseBranch, ...]
    otherwise: tuple[Statement, ...] | None
    span: Span


@_node
class For:
    """``FOR variable := start TO stop BY step DO``."""

    variable: Expression
    start: Expression
    stop: Expression
    step: Expression | None
    body: tuple[Statement, ...]
    span: Span


@_node
class While:
    """``WHILE condition DO``."""

    condition: Expression
    body: tuple[Statement, ...]
    span: Span


@_node
class Repeat:
    """``REPEAT body UNTIL condition``."""

    body: tuple[Statement, ...]
    condition: Expression
    span: Span


@_node
class Exit:
    """``EXIT``."""

    span: Span


@_node
class Continue:
    """``CONTINUE``."""

    span: Span


@_node
class Return:
    """``RETURN``, or a vendor's ``RETURN(condition)``."""

    condition: Expression | None
    span: Span


@_node
class Empty:
    """A lone ``;``."""

    span: Span


Statement: TypeAlias = Assign | Invoke | If | Case | For | While | Repeat | Exit | Continue | Return | Empty


# ── types (6.4) ──────────────────────────────────────────────────────────────────────────────────────────
@_node
class NamedType:
    """``INT``, ``Pump``, ``Library.Pump``; ``arguments`` are the start values of ``fb : Block(x := 1)``."""

    path: tuple[Name, ...]
    arguments: tuple[Argument, ...] | None
    span: Span


@_node
class StringType:
    """``STRING``, ``STRING[20]`` or ``STRING(20)``."""

    is_wide: bool
    length: Expression | None
    span: Span


@_node
class ArrayType:
    """``ARRAY [1..3, 0..n] OF element``; an empty ``ranges`` entry (``None``) is ``*``.

    ``starts`` are the start values of the elements one by one, as vendors write: ``OF Block[(x := 1), (x := 2)]``.
    """

    ranges: tuple[Range | None, ...]
    element: TypeExpression
    span: Span
    starts: tuple[tuple[Argument, ...], ...] = ()


@_node
class SubrangeType:
    """``INT (0..100)``."""

    base: NamedType
    range: Range
    span: Span


@_node
class EnumValue:
    """A value of an enumeration, with its number where one was given."""

    name: Name
    value: Expression | None
    span: Span


@_node
class EnumType:
    """``(Red, Green := 5)``, with a base type where one was given."""

    values: tuple[EnumValue, ...]
    base: NamedType | None
    span: Span


@_node
class StructType:
    """``STRUCT``; ``is_overlapped`` for ``STRUCT OVERLAP`` and ``UNION``."""

    extends: NamedType | None
    fields: tuple[VariableDeclaration, ...]
    is_overlapped: bool
    span: Span


class ReferenceKind(StrEnum):
    """The ways to refer to a variable: the standard's (6.4.4.10) and the vendors' two."""

    REF_TO = "REF_TO"
    POINTER_TO = "POINTER TO"
    REFERENCE_TO = "REFERENCE TO"


@_node
class ReferenceType:
    """``REF_TO T``, ``POINTER TO T``, ``REFERENCE TO T``."""

    kind: ReferenceKind
    target: TypeExpression
    span: Span


TypeExpression: TypeAlias = (
    NamedType | StringType | ArrayType | SubrangeType | EnumType | StructType | ReferenceType
)


# ── declarations ─────────────────────────────────────────────────────────────────────────────────────────
@_node
class VariableDeclaration:
    """``a, b AT %IX0.0 : BOOL R_EDGE := TRUE;``."""

    names: tuple[Name, ...]
    location: DirectVariable | None
    type: TypeExpression
    edge: str | None
    initial: Expression | None
    pragmas: tuple[Pragma, ...]
    span: Span


@_node
class VariableBlock:
    """``VAR_INPUT CONSTANT RETAIN … END_VAR``; ``section`` is the opening word, qualifiers are upper case."""

    section: str
    qualifiers: frozenset[str]
    variables: tuple[VariableDeclaration, ...]
    pragmas: tuple[Pragma, ...]
    span: Span


@_node
class TypeDeclaration:
    """One type of a ``TYPE`` block."""

    name: Name
    type: TypeExpression
    initial: Expression | None
    pragmas: tuple[Pragma, ...]
    span: Span


@_node
class TypeBlock:
    """``TYPE … END_TYPE``."""

    types: tuple[TypeDeclaration, ...]
    span: Span


class UnitKind(StrEnum):
    """What a unit is; the value is its opening word."""

    PROGRAM = "PROGRAM"
    FUNCTION = "FUNCTION"
    FUNCTION_BLOCK = "FUNCTION_BLOCK"
    CLASS = "CLASS"
    INTERFACE = "INTERFACE"
    METHOD = "METHOD"


@_node
class Unit:
    """A program organisation unit, a class, an interface, or a method inside one of them (6.6)."""

    kind: UnitKind
    name: Name
    modifiers: frozenset[str]
    extends: tuple[NamedType, ...]
    implements: tuple[NamedType, ...]
    result: TypeExpression | None
    usings: tuple[Using, ...]
    blocks: tuple[VariableBlock, ...]
    members: tuple[Unit | Property | Action, ...]
    body: Body
    pragmas: tuple[Pragma, ...]
    span: Span


@_node
class Accessor:
    """The ``GET`` or ``SET`` of a property."""

    modifiers: frozenset[str]
    blocks: tuple[VariableBlock, ...]
    body: Body
    span: Span


@_node
class Property:
    """``PROPERTY name : type`` with what reads and what writes it."""

    name: Name
    modifiers: frozenset[str]
    type: TypeExpression
    getter: Accessor | None
    setter: Accessor | None
    pragmas: tuple[Pragma, ...]
    span: Span


# ── sequential function chart in text (6.7) ──────────────────────────────────────────────────────────────
@_node
class ActionUse:
    """``name (qualifier, time, indicators…)`` in a step."""

    name: Name
    qualifier: str
    time: Expression | None
    indicators: tuple[Name, ...]
    span: Span


@_node
class Step:
    """A step and the actions it runs."""

    name: Name
    is_initial: bool
    actions: tuple[ActionUse, ...]
    span: Span


@_node
class Transition:
    """From steps to steps when the condition holds."""

    name: Name | None
    priority: Expression | None
    sources: tuple[Name, ...]
    targets: tuple[Name, ...]
    condition: Expression
    span: Span


@_node
class Action:
    """``ACTION name: … END_ACTION``."""

    name: Name
    body: Body
    span: Span


@_node
class Chart:
    """A body written as a sequential function chart; its actions are members of the unit."""

    steps: tuple[Step, ...]
    transitions: tuple[Transition, ...]
    span: Span


Body: TypeAlias = tuple[Statement, ...] | Chart


# ── namespaces and configurations (6.8, 6.9) ─────────────────────────────────────────────────────────────
@_node
class Using:
    """``USING A.B, C;``."""

    paths: tuple[tuple[Name, ...], ...]
    span: Span


@_node
class Namespace:
    """``NAMESPACE A.B … END_NAMESPACE``."""

    path: tuple[Name, ...]
    is_internal: bool
    usings: tuple[Using, ...]
    declarations: tuple[Declaration, ...]
    span: Span


@_node
class Task:
    """``TASK name (SINGLE := …, INTERVAL := …, PRIORITY := …);``."""

    name: Name
    settings: tuple[Argument, ...]
    span: Span


@_node
class TaskOfBlock:
    """``block WITH task`` among a program's connections."""

    path: tuple[Name, ...]
    task: Name
    span: Span


@_node
class ProgramInstance:
    """``PROGRAM RETAIN name WITH task : Type (in := x, out => y);``."""

    name: Name
    qualifiers: frozenset[str]
    task: Name | None
    type: NamedType
    connections: tuple[Argument | TaskOfBlock, ...]
    span: Span


@_node
class Resource:
    """``RESOURCE name ON type … END_RESOURCE``; the name is ``None`` for the single one of a configuration."""

    name: Name | None
    type: Name | None
    blocks: tuple[VariableBlock, ...]
    tasks: tuple[Task, ...]
    programs: tuple[ProgramInstance, ...]
    span: Span


@_node
class AccessPath:
    """``name : path : type READ_WRITE;`` of ``VAR_ACCESS``."""

    name: Name
    path: Expression
    type: TypeExpression
    direction: str | None
    span: Span


@_node
class AccessPaths:
    """``VAR_ACCESS … END_VAR``."""

    paths: tuple[AccessPath, ...]
    span: Span


@_node
class InstanceSetting:
    """``resource.program.block.x AT %IX1.0 : BOOL := TRUE;`` of ``VAR_CONFIG``."""

    path: tuple[Name, ...]
    location: DirectVariable | None
    type: TypeExpression
    initial: Expression | None
    span: Span


@_node
class Configuration:
    """``CONFIGURATION … END_CONFIGURATION``."""

    name: Name
    blocks: tuple[VariableBlock, ...]
    resources: tuple[Resource, ...]
    access: tuple[AccessPaths, ...]
    settings: tuple[InstanceSettings, ...]
    span: Span


@_node
class InstanceSettings:
    """``VAR_CONFIG … END_VAR``, in a configuration or outside of any."""

    settings: tuple[InstanceSetting, ...]
    span: Span


Declaration: TypeAlias = TypeBlock | Unit | VariableBlock | Namespace | Configuration | InstanceSettings


@_node
class File:
    """All that one source declares."""

    usings: tuple[Using, ...]
    declarations: tuple[Declaration, ...]
    span: Span


def children(node: object) -> Iterator[object]:
    """The nodes directly inside a node, in the order of their fields."""
    for field in fields(node):  # type: ignore[arg-type]  # every node is a dataclass
        value = getattr(node, field.name)
        if isinstance(value, tuple) and not isinstance(value, Span):
            yield from _nodes_in(value)
        elif hasattr(value, "__dataclass_fields__"):
            yield value


def _nodes_in(values: tuple[object, ...]) -> Iterator[object]:
    for value in values:
        if isinstance(value, tuple):
            yield from _nodes_in(value)
        elif hasattr(value, "__dataclass_fields__"):
            yield value


def same_tree(left: object, right: object) -> bool:
    """Whether two trees were written the same but for places, letter case and comments."""
    if isinstance(left, Span):
        return isinstance(right, Span)
    if isinstance(left, tuple):
        return (
            isinstance(right, tuple)
            and len(left) == len(right)
            and all(same_tree(a, b) for a, b in zip(left, right, strict=True))
        )
    if type(left) is not type(right):
        return False
    if isinstance(left, Name):
        return isinstance(right, Name) and left.key == right.key
    if hasattr(left, "__dataclass_fields__"):
        return all(
            same_tree(getattr(left, field.name), getattr(right, field.name))
            for field in fields(left)  # type: ignore[arg-type]  # every node is a dataclass
        )
    if isinstance(left, float):
        return repr(left) == repr(right)
    return left == right
