"""What names stand for once a program is declared: variables, routines, blocks, namespaces."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from plc.language import ast, typed
from plc.language.source import Span
from plc.language.types import NOTHING, Enumeration, Type

STARTER = "FB_INIT"  # the method that vendors' blocks start with; it runs after the initial values
# Its first two parameters, which no declaration gives: whether retained values are initialised too, and whether the
# instance was moved by an online change.
STARTER_FLAGS = ("BINITRETAINS", "BINCOPYCODE")


class Section(StrEnum):
    """Where a variable was declared."""

    INPUT = "VAR_INPUT"
    OUTPUT = "VAR_OUTPUT"
    IN_OUT = "VAR_IN_OUT"
    LOCAL = "VAR"
    TEMP = "VAR_TEMP"
    STATIC = "VAR_STAT"
    INSTANCE = "VAR_INST"
    EXTERNAL = "VAR_EXTERNAL"
    GLOBAL = "VAR_GLOBAL"
    FIELD = "STRUCT"
    RESULT = "result"  # of a function or method, by its own name


@dataclass(slots=True, eq=False)
class Variable:
    """A variable, a parameter, a structure's field or a routine's result.

    ``constant`` is the value of a CONSTANT of elementary type. An EXTERNAL's ``target`` is the global that it means.
    """

    name: str
    type: Type
    section: Section
    span: Span
    qualifiers: frozenset[str] = frozenset()
    initial: typed.Expression | None = None
    constant: typed.Literal | None = None
    location: str | None = None
    edge: str | None = None
    owner: Block | Routine | None = None
    target: Variable | None = None
    pragmas: tuple[ast.Pragma, ...] = ()
    is_read: bool = False
    is_written: bool = False

    @property
    def is_constant(self) -> bool:
        """Whether it may never be written."""
        return "CONSTANT" in self.qualifiers

    @property
    def is_retained(self) -> bool:
        """Whether it keeps its value over a warm start."""
        return not self.qualifiers.isdisjoint({"RETAIN", "PERSISTENT"})

    def __repr__(self) -> str:
        return f"Variable({self.name}: {self.type})"


@dataclass(slots=True, eq=False)
class Routine:
    """A FUNCTION, a METHOD, an ACTION, or the GET or SET of a property.

    ``variables`` holds parameters and locals by upper-case name, in the order they were declared, the result last.
    The setter's value is the input ``VALUE`` that carries the property's name.
    """

    name: str
    span: Span
    kind: str  # FUNCTION, METHOD, ACTION, GET, SET
    owner: Block | None = None
    namespace: Namespace | None = None
    result: Type = NOTHING
    variables: dict[str, Variable] = field(default_factory=dict)
    modifiers: frozenset[str] = frozenset()
    body: typed.Body = ()
    syntax: ast.Unit | ast.Accessor | ast.Action | None = None
    calls: dict[Routine | Block, Span] = field(default_factory=dict)
    virtual_calls: dict[tuple[Block, Routine], bool] = field(
        default_factory=dict
    )  # True: only on the own instance
    writes: dict[Variable, Span] = field(default_factory=dict)  # of global variables

    def parameters(self) -> list[Variable]:
        """Inputs, in-outs and outputs in the order they were declared."""
        wanted = (Section.INPUT, Section.OUTPUT, Section.IN_OUT)
        return [variable for variable in self.variables.values() if variable.section in wanted]

    @property
    def is_abstract(self) -> bool:
        """Whether it only promises a body."""
        return "ABSTRACT" in self.modifiers or (self.owner is not None and self.owner.is_interface)

    @property
    def qualified(self) -> str:
        """Its name with its owner's or namespace's before it."""
        if self.owner is not None:
            return f"{self.owner.qualified}.{self.name}"
        return _qualified(self.namespace, self.name)

    def __repr__(self) -> str:
        return f"Routine({self.qualified})"


@dataclass(slots=True, eq=False)
class PropertySymbol:
    """A property with its accessors; either may be missing."""

    name: str
    span: Span
    type: Type
    owner: Block
    modifiers: frozenset[str]
    getter: Routine | None = None
    setter: Routine | None = None


@dataclass(slots=True, eq=False)
class Block:
    """A FUNCTION_BLOCK, CLASS, INTERFACE or PROGRAM: a type with instances. Its members go by upper-case name.

    ``is_standard`` blocks have no body here: the runtime brings them.
    """

    name: str
    span: Span
    kind: ast.UnitKind
    namespace: Namespace | None = None
    modifiers: frozenset[str] = frozenset()
    base: Block | None = None
    interfaces: list[Block] = field(default_factory=list)  # for an interface: those that it extends
    variables: dict[str, Variable] = field(default_factory=dict)
    methods: dict[str, Routine] = field(default_factory=dict)
    properties: dict[str, PropertySymbol] = field(default_factory=dict)
    actions: dict[str, Routine] = field(default_factory=dict)
    body: typed.Body = ()
    syntax: ast.Unit | None = None
    is_standard: bool = False
    steps: dict[str, Variable] = field(default_factory=dict)  # of its chart, and of actions that are charts
    controls: dict[str, Variable] = field(default_factory=dict)  # ACTION_CONTROL of each action of a step
    calls: dict[Routine | Block, Span] = field(default_factory=dict)
    virtual_calls: dict[tuple[Block, Routine], bool] = field(
        default_factory=dict
    )  # True: only on the own instance
    writes: dict[Variable, Span] = field(default_factory=dict)  # of global variables

    @property
    def is_interface(self) -> bool:
        """Whether it is an INTERFACE."""
        return self.kind is ast.UnitKind.INTERFACE

    @property
    def is_abstract(self) -> bool:
        """Whether there can be no instance of it."""
        return "ABSTRACT" in self.modifiers

    @property
    def qualified(self) -> str:
        """Its name with its namespaces."""
        return _qualified(self.namespace, self.name)

    def lineage(self) -> list[Block]:
        """Itself, then what it extends, nearest first."""
        found: list[Block] = []
        block: Block | None = self
        while block is not None and block not in found:
            found.append(block)
            block = block.base
        return found

    def all_interfaces(self) -> list[Block]:
        """Every interface that it implements or extends, also through its bases."""
        found: list[Block] = []
        waiting = [one for block in self.lineage() for one in block.interfaces]
        while waiting:
            interface = waiting.pop(0)
            if interface not in found:
                found.append(interface)
                waiting.extend(interface.interfaces)
        return found

    def is_derived_from(self, other: Type) -> bool:
        """Whether an instance of this can stand where the other is wanted."""
        return other in self.lineage() or other in self.all_interfaces()

    def find_variable(self, key: str) -> Variable | None:
        """A variable of its own or inherited."""
        for block in self.lineage():
            found = block.variables.get(key) or block.steps.get(key)
            if found is not None:
                return found
        return None

    def find_control(self, key: str) -> Variable | None:
        """What controls an action or BOOL variable that a step names, of its own or inherited."""
        for block in self.lineage():
            found = block.controls.get(key)
            if found is not None:
                return found
        return None

    def find_method(self, key: str) -> Routine | None:
        """A method or action of its own, inherited, or promised by an interface."""
        for block in (*self.lineage(), *self.all_interfaces()):
            found = block.methods.get(key) or block.actions.get(key)
            if found is not None:
                return found
        return None

    def starters(self) -> list[Routine]:
        """The FB_init methods that run when an instance starts, that of the first base first."""
        found = [block.methods[STARTER] for block in self.lineage() if STARTER in block.methods]
        return found[::-1]

    def implementation(self, routine: Routine) -> Routine | None:
        """What runs when an instance of this is asked for a method; ``None`` where it has no instances."""
        if self.is_interface or self.is_abstract:
            return None
        key = routine.name.upper()
        for one in self.lineage():
            if routine.kind in ("GET", "SET"):
                found = one.properties.get(key)
                accessor = (
                    None if found is None else (found.getter if routine.kind == "GET" else found.setter)
                )
                if accessor is not None:
                    return accessor
            else:
                method = one.methods.get(key) or one.actions.get(key)
                if method is not None and not method.is_abstract:
                    return method
        return None

    def find_property(self, key: str) -> PropertySymbol | None:
        """A property of its own, inherited, or promised by an interface."""
        for block in (*self.lineage(), *self.all_interfaces()):
            found = block.properties.get(key)
            if found is not None:
                return found
        return None

    def parameters(self) -> list[Variable]:
        """Inputs, in-outs and outputs, inherited ones first."""
        wanted = (Section.INPUT, Section.OUTPUT, Section.IN_OUT)
        return [
            variable
            for block in reversed(self.lineage())
            for variable in block.variables.values()
            if variable.section in wanted
        ]

    def all_variables(self) -> list[Variable]:
        """Every variable that an instance holds, inherited ones first."""
        return [variable for block in reversed(self.lineage()) for variable in block.variables.values()]

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"Block({self.qualified})"


@dataclass(slots=True, eq=False)
class TypeName:
    """A name that a TYPE block gave to a type, with the initial value that it gives to its variables."""

    name: str
    span: Span
    type: Type
    syntax: ast.TypeDeclaration
    namespace: Namespace | None = None
    initial: typed.Expression | None = None


@dataclass(frozen=True, slots=True, eq=False)
class EnumMember:
    """One value of an enumeration."""

    name: str
    type: Enumeration
    value: int
    span: Span


@dataclass(slots=True, eq=False)
class Namespace:
    """A NAMESPACE, or with no name the place of everything outside of any."""

    name: str
    parent: Namespace | None
    symbols: dict[str, Symbol] = field(default_factory=dict)
    enum_members: dict[str, list[EnumMember]] = field(default_factory=dict)
    is_internal: bool = False

    def __repr__(self) -> str:
        return f"Namespace({_qualified(self.parent, self.name)})"


Symbol: TypeAlias = Variable | Routine | Block | TypeName | Namespace


def _qualified(namespace: Namespace | None, name: str) -> str:
    while namespace is not None and namespace.name:
        name = f"{namespace.name}.{name}"
        namespace = namespace.parent
    return name
