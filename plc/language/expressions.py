"""Checks expressions and makes the typed tree of them: names resolved, types met, constants folded, calls bound.

Every fault is reported where it is, once; what has a fault becomes ``typed.Wrong`` of type UNKNOWN, which fits
everywhere, so that one fault does not cause others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from plc.language import ast, standard, typed, values
from plc.language.ast import ReferenceKind
from plc.language.coercion import (
    conversion_type,
    is_pointer,
    with_article,
)
from plc.language.diagnostics import nearest
from plc.language.operators import Operators
from plc.language.scope import Found, Scope, enumeration_of, member_names
from plc.language.source import Span
from plc.language.standard import Conversion, StandardFunction
from plc.language.symbols import (
    Block,
    EnumMember,
    Namespace,
    PropertySymbol,
    Routine,
    Section,
    TypeName,
    Variable,
)
from plc.language.types import (
    BOOL,
    BYTE,
    CHAR,
    DATE,
    DINT,
    DT,
    DWORD,
    ELEMENTARY,
    INT,
    LDATE,
    LDT,
    LREAL,
    LTIME,
    LTOD,
    LWORD,
    NOTHING,
    NULL,
    REAL,
    TIME,
    TOD,
    UDINT,
    UNKNOWN,
    UNTYPED_INTEGER,
    UNTYPED_REAL,
    WCHAR,
    WORD,
    ArrayOf,
    Elementary,
    Enumeration,
    Family,
    Fit,
    Reference,
    StringOf,
    Structure,
    Subrange,
    Type,
    as_unsigned,
    common,
    fit,
    is_a,
    is_block,
    plain,
)
from plc.language.values import NoValue

if TYPE_CHECKING:
    from plc.language.declare import Declarations

# Unknown names that are compared with all known ones: 15 ms each where there are thousands of those.
MOST_SUGGESTIONS = 100
_COMPARISONS = frozenset({"=", "<>", "<", ">", "<=", ">="})
_WHOLE = frozenset({Family.SIGNED, Family.UNSIGNED})
_BY_SIZE = {1: BOOL, 8: BYTE, 16: WORD, 32: DWORD, 64: LWORD}
_TIME_TYPES = {
    ast.TimeKind.DURATION: (TIME, LTIME),
    ast.TimeKind.DATE: (DATE, LDATE),
    ast.TimeKind.TIME_OF_DAY: (TOD, LTOD),
    ast.TimeKind.DATE_AND_TIME: (DT, LDT),
}


@dataclass(frozen=True, slots=True)
class BoundMethod:
    """A method with the instance that it is called on."""

    routine: Routine
    instance: typed.Expression
    is_virtual: bool


@dataclass(frozen=True, slots=True)
class BoundProperty:
    """A property with its instance."""

    property: PropertySymbol
    instance: typed.Expression
    is_virtual: bool


@dataclass(frozen=True, slots=True)
class BaseCall:
    """``SUPER^`` before it is called."""

    block: Block


@dataclass(frozen=True, slots=True)
class EnumChoice:
    """A bare name that is a value of several enumerations."""

    members: tuple[EnumMember, ...]


Entity: TypeAlias = (
    typed.Expression
    | Routine
    | Block
    | TypeName
    | Namespace
    | BoundMethod
    | BoundProperty
    | BaseCall
    | EnumChoice
    | StandardFunction
    | Conversion
)
_VALUES = (
    typed.Literal,
    typed.VariableUse,
    typed.ProgramUse,
    typed.FieldUse,
    typed.ElementUse,
    typed.Dereference,
    typed.PartialUse,
    typed.DirectUse,
    typed.ThisUse,
    typed.ReferenceTo,
    typed.Convert,
    typed.Operation,
    typed.StandardCall,
    typed.RoutineCall,
    typed.ArrayValue,
    typed.StructValue,
    typed.TypeUse,
    typed.Wrong,
)


class Checker(Operators):
    """Expressions in one scope."""

    def __init__(self, declarations: Declarations, scope: Scope) -> None:
        super().__init__(declarations.diagnostics)
        self.declarations = declarations
        self.scope = scope
        self.enumeration: Enumeration | None = None  # whose earlier values its own later values may use
        self.uses = declarations.uses

    # ── values ─────────────────────────────────────────────────────────────────────────────────────────────────
    def expression(self, node: ast.Expression, expected: Type | None = None) -> typed.Expression:
        """The value of an expression, in its own type; ``expected`` only helps where a name alone says too little."""
        return self.value(self.entity(node, expected), node, expected)

    def converted(self, node: ast.Expression, target: Type) -> typed.Expression:
        """The value of an expression as a type, by implicit conversion."""
        return self.coerce(self.expression(node, target), target)

    def condition(self, node: ast.Expression) -> typed.Expression:
        """A BOOL."""
        value = self.expression(node, BOOL)
        if value.type in (BOOL, UNKNOWN):
            return value
        if isinstance(value, typed.Literal) and value.type is UNTYPED_INTEGER and value.value in (0, 1):
            return typed.Literal(bool(value.value), BOOL, value.span)
        self.diagnostics.report(
            "ST0302",
            value.span,
            f"a condition is BOOL, this is {value.type}",
            mend="compare it, as in “x <> 0”",
        )
        return typed.Wrong(UNKNOWN, value.span)

    def constant(self, node: ast.Expression, enumeration: Enumeration | None = None) -> typed.Literal | None:
        """A constant expression's value; what is none is reported."""
        self.enumeration = enumeration
        value = self.expression(node)
        self.enumeration = None
        if isinstance(value, typed.Literal):
            return value
        if value.type is not UNKNOWN:
            self.diagnostics.report(
                "ST0312",
                value.span,
                "this has to be constant",
                mend="use literals and CONSTANT variables only",
            )
        return None

    def value(self, entity: Entity, node: ast.Expression, expected: Type | None = None) -> typed.Expression:
        """What an entity gives when its value is asked for."""
        if isinstance(entity, _VALUES):
            return self._follow(entity)
        span = node.span
        if isinstance(entity, EnumChoice):
            return self._choose(entity, span, expected)
        if isinstance(entity, BoundProperty):
            return self._read_property(entity, span)
        if isinstance(entity, BoundMethod):
            what, mend = f"{entity.routine.name} is a method", "call it with ()"
        elif isinstance(entity, (Routine, StandardFunction, Conversion)):
            what, mend = f"{entity.name} is a function", "call it with ()"
        elif isinstance(entity, BaseCall):
            what, mend = "SUPER^ is the block's base", "call it with (), or name one of its members"
        elif isinstance(entity, Namespace):
            what, mend = f"{entity.name} is a namespace", "name something in it"
        else:
            what, mend = f"{entity.name} is a type", "use a variable of it, or one of its values"
        self.diagnostics.report("ST0315", span, f"{what} and has no value", mend=mend)
        return typed.Wrong(UNKNOWN, span)

    def _follow(self, value: typed.Expression) -> typed.Expression:
        """A REFERENCE TO stands for what it refers to."""
        type_ = value.type
        if isinstance(type_, Reference) and type_.kind is ReferenceKind.REFERENCE_TO:
            return typed.Dereference(value, type_.target, value.span)
        return value

    def _choose(self, choice: EnumChoice, span: Span, expected: Type | None) -> typed.Expression:
        fitting = [one for one in choice.members if one.type is expected] or list(choice.members)
        if len(fitting) == 1:
            member = fitting[0]
            self.uses.append((span, member))
            return typed.Literal(member.value, member.type, span)
        names = " and ".join(sorted({one.type.name for one in choice.members}))
        self.diagnostics.report(
            "ST0205",
            span,
            f"{span.text} is a value of {names}",
            mend=f"write {choice.members[0].type.name}#{span.text}",
        )
        return typed.Wrong(UNKNOWN, span)

    # ── names ──────────────────────────────────────────────────────────────────────────────────────────────────
    def entity(self, node: ast.Expression, expected: Type | None = None) -> Entity:
        """What an expression means, which may be no value."""
        return _READERS[type(node)](self, node, expected)

    def _name(self, node: ast.NameUse, expected: Type | None) -> Entity:
        key = node.name.key
        if self.enumeration is not None and key in self.enumeration.values:
            return typed.Literal(self.enumeration.values[key], UNTYPED_INTEGER, node.span)
        found = self.scope.find(key)
        if found is not None:
            return self._found(found, node.span)
        members = self.scope.enum_members(key)
        if members:
            return EnumChoice(tuple(members))
        if isinstance(expected, Enumeration) and key in expected.values and not expected.is_qualified_only:
            return typed.Literal(expected.values[key], expected, node.span)
        known = standard.FUNCTIONS.get(key) or standard.conversion(key)
        if known is not None:
            return known
        if key in self.declarations.lists:
            return self.declarations.lists[key]
        return self._unknown(node.name)

    def _unknown(self, name: ast.Name) -> typed.Expression:
        near = self._suggest(name)
        self.diagnostics.report(
            "ST0200",
            name.span,
            f"there is nothing called {name.text} here",
            mend=f"did you mean {near}?" if near else "declare it",
        )
        return typed.Wrong(UNKNOWN, name.span)

    def _suggest(self, name: ast.Name) -> str | None:
        """The nearest name that can be seen; a text full of unknown names is told so without."""
        known = self.declarations.suggestions
        asked = (id(self.scope), name.key)
        if asked not in known and len(known) < MOST_SUGGESTIONS:
            known[asked] = nearest(name.text, self.scope.names())
        return known.get(asked)

    def _found(self, found: Found, span: Span) -> Entity:
        if isinstance(found, Variable):
            return self._variable(found, span)
        self.uses.append((span, found))
        if isinstance(found, PropertySymbol):
            return BoundProperty(found, self._this(span), is_virtual=True)
        if isinstance(found, Routine) and found.owner is not None:
            return BoundMethod(found, self._this(span), is_virtual=True)
        if isinstance(found, Block) and found.kind is ast.UnitKind.PROGRAM:
            return typed.ProgramUse(found, found, span)
        return found

    def _this(self, span: Span) -> typed.Expression:
        assert self.scope.block is not None
        return typed.ThisUse(self.scope.block, span)

    def _variable(self, variable: Variable, span: Span) -> typed.Expression:
        self.declarations.settle(variable)
        self.uses.append((span, variable))
        variable.is_read = True
        if variable.constant is not None:
            constant = variable.constant
            return typed.Literal(constant.value, constant.type, span)
        return typed.VariableUse(variable, variable.type, span)

    def _global(self, node: ast.GlobalUse, expected: Type | None) -> Entity:
        found = self.scope.find_global(node.name.key)
        return self._unknown(node.name) if found is None else self._found(found, node.span)

    def _this_or_super(self, node: ast.This | ast.Super, expected: Type | None) -> Entity:
        block = self.scope.block
        if block is None or block.kind is ast.UnitKind.PROGRAM:
            self.diagnostics.report(
                "ST0314",
                node.span,
                f"{node.span.text} is for function blocks and classes",
                mend="name the variable itself",
            )
            return typed.Wrong(UNKNOWN, node.span)
        if isinstance(node, ast.This):
            return typed.ThisUse(block, node.span)
        if block.base is None:
            self.diagnostics.report(
                "ST0314", node.span, f"{block.name} extends nothing, it has no SUPER", mend="write THIS"
            )
            return typed.Wrong(UNKNOWN, node.span)
        return BaseCall(block.base)

    # ── members ────────────────────────────────────────────────────────────────────────────────────────────────
    def _member(self, node: ast.Member, expected: Type | None) -> Entity:
        base = self.entity(node.base)
        key = node.name.key
        if isinstance(base, Namespace):
            found = base.symbols.get(key)
            if found is not None:
                return self._found(found, node.span)
            return self._no_member(
                node.name, f"namespace {base.name}", (one.name for one in base.symbols.values())
            )
        if isinstance(base, TypeName):
            enumeration = enumeration_of(base)
            if enumeration is None:
                return self.value(base, node.base)
            return self._enum_value(enumeration, node.name, node.span)
        if isinstance(base, BaseCall):
            return self._block_member(self._this(node.base.span), base.block, node, is_virtual=False)
        value = self.value(base, node.base)
        type_ = value.type
        if type_ is UNKNOWN:
            return typed.Wrong(UNKNOWN, node.span)
        if isinstance(type_, Structure):
            field = type_.fields.get(key)
            if field is None:
                return self._no_member(node.name, str(type_), (one.name for one in type_.fields.values()))
            self.declarations.settle(field)
            self.uses.append((node.name.span, field))
            return typed.FieldUse(value, field, field.type, node.span)
        if isinstance(type_, Block):
            return self._block_member(value, type_, node, is_virtual=not isinstance(value, typed.Wrong))
        mend = None
        if isinstance(type_, Reference) and not isinstance(plain(type_.target), Elementary):
            mend = f"follow the reference: {node.base.span.text}^.{node.name.text}"
        self.diagnostics.report("ST0203", node.name.span, f"{type_} has no members", mend=mend)
        return typed.Wrong(UNKNOWN, node.span)

    def _block_member(
        self, instance: typed.Expression, block: Block, node: ast.Member, *, is_virtual: bool
    ) -> Entity:
        key = node.name.key
        variable = block.find_variable(key)
        if variable is not None:
            self.declarations.settle(variable)
            self.uses.append((node.name.span, variable))
            variable.is_read = True
            is_open = variable.section in (Section.INPUT, Section.OUTPUT, Section.IN_OUT)
            if not is_open and not self._is_inside(variable.owner) and not self._is_open(variable, block):
                self.diagnostics.report(
                    "ST0204",
                    node.name.span,
                    f"{variable.name} is inside of {block.name}",
                    mend="make it a VAR_OUTPUT, or VAR PUBLIC",
                )
            if variable.constant is not None:
                return typed.Literal(variable.constant.value, variable.constant.type, node.span)
            return typed.FieldUse(instance, variable, variable.type, node.span)
        routine = block.find_method(key)
        if routine is not None:
            self.uses.append((node.name.span, routine))
            self._check_access(routine.modifiers, routine.owner, routine.name, node.name.span)
            return BoundMethod(routine, instance, is_virtual)
        property_ = block.find_property(key)
        if property_ is not None:
            self.uses.append((node.name.span, property_))
            self._check_access(property_.modifiers, property_.owner, property_.name, node.name.span)
            return BoundProperty(property_, instance, is_virtual)
        return self._no_member(node.name, block.name, member_names(block))

    def _is_inside(self, owner: Block | Routine | None) -> bool:
        return self.scope.block is not None and owner in self.scope.block.lineage()

    def _is_open(self, variable: Variable, block: Block) -> bool:
        return (
            "PUBLIC" in variable.qualifiers
            or block.find_variable(variable.name.upper()) in block.steps.values()
        )

    def _check_access(self, modifiers: frozenset[str], owner: Block | None, name: str, span: Span) -> None:
        if "PRIVATE" in modifiers:
            is_visible = self.scope.block is owner
        elif "PROTECTED" in modifiers:
            is_visible = self._is_inside(owner)
        elif "INTERNAL" in modifiers:
            is_visible = owner is not None and owner.namespace is self.scope.namespace
        else:
            return
        if not is_visible:
            (access,) = modifiers & {"PRIVATE", "PROTECTED", "INTERNAL"}
            self.diagnostics.report(
                "ST0204", span, f"{name} is {access}", mend="make it PUBLIC, or call it from inside"
            )

    def _no_member(self, name: ast.Name, owner: str, known: object) -> typed.Expression:
        near = nearest(name.text, known)  # type: ignore[arg-type]  # an iterator of names
        self.diagnostics.report(
            "ST0203",
            name.span,
            f"{owner} has no {name.text}",
            mend=f"did you mean {near}?" if near else None,
        )
        return typed.Wrong(UNKNOWN, name.span)

    def _enum_value(self, enumeration: Enumeration, name: ast.Name, span: Span) -> typed.Expression:
        value = enumeration.values.get(name.key)
        if value is None:
            return self._no_member(name, enumeration.name, enumeration.spelling.values())
        return typed.Literal(value, enumeration, span)

    def _partial(self, node: ast.PartialAccess, expected: Type | None) -> Entity:
        base = self.value(self.entity(node.base), node.base)
        type_ = plain(base.type)
        if type_ is UNKNOWN:
            return typed.Wrong(UNKNOWN, node.span)
        if not isinstance(type_, Elementary) or type_.family not in _WHOLE | {Family.BIT}:
            self.diagnostics.report(
                "ST0307", node.span, f"{type_} has no bits to pick", mend="convert it to a bit string first"
            )
            return typed.Wrong(UNKNOWN, node.span)
        count = type_.bits // node.size
        if node.index >= count or (node.size == type_.bits and node.size > 1):
            self.diagnostics.report(
                "ST0307",
                node.span,
                f"{type_} has {type_.bits} bits: there is no such piece of {node.size} at {node.index}",
                mend=f"count from 0 to {max(0, count - 1)}",
            )
            return typed.Wrong(UNKNOWN, node.span)
        return typed.PartialUse(base, node.size, node.index, _BY_SIZE[node.size], node.span)

    def _index(self, node: ast.Index, expected: Type | None) -> Entity:
        base = self.value(self.entity(node.base), node.base)
        indices = [self._subscript(one) for one in node.indices]
        while True:
            type_ = base.type
            if type_ is UNKNOWN:
                return typed.Wrong(UNKNOWN, node.span)
            if isinstance(type_, StringOf) and len(indices) == 1:
                element: Type = WCHAR if type_.is_wide else CHAR
                self._check_bounds(indices[0], (1, type_.length))
                return typed.ElementUse(base, tuple(indices), element, node.span)
            if isinstance(type_, Reference) and is_pointer(type_) and len(indices) == 1:
                return self._follow(typed.ElementUse(base, tuple(indices), type_.target, node.span))
            if not isinstance(type_, ArrayOf):
                self.diagnostics.report(
                    "ST0304", node.span, f"{type_} is no array", mend="leave the index out"
                )
                return typed.Wrong(UNKNOWN, node.span)
            rank = len(type_.bounds)
            if len(indices) < rank:
                self.diagnostics.report(
                    "ST0304",
                    node.span,
                    f"{type_} takes {rank} indices, here are {len(node.indices)}",
                    mend="give one index a rank",
                )
                return typed.Wrong(UNKNOWN, node.span)
            for index, bounds in zip(indices[:rank], type_.bounds, strict=True):
                if bounds is not None:
                    self._check_bounds(index, bounds)
            base = self._follow(typed.ElementUse(base, tuple(indices[:rank]), type_.element, node.span))
            indices = indices[rank:]
            if not indices:
                return base

    def _subscript(self, node: ast.Expression) -> typed.Expression:
        value = self.settled(self.expression(node))
        if (
            not is_a(value.type, "ANY_INT")
            and not is_a(value.type, "ANY_BIT")
            and not isinstance(value.type, Enumeration)
        ):
            self.diagnostics.report(
                "ST0300", value.span, f"an index is an integer, this is {value.type}", mend="convert it"
            )
            return typed.Wrong(UNKNOWN, value.span)
        return value

    def _check_bounds(self, index: typed.Expression, bounds: tuple[int, int]) -> None:
        if isinstance(index, typed.Literal) and isinstance(index.value, int):
            low, high = bounds
            if not low <= index.value <= high:
                self.diagnostics.report(
                    "ST0807",
                    index.span,
                    f"index {index.value} is outside of {low}..{high}: a fault when it runs",
                    mend=f"stay within {low}..{high}",
                )

    def _dereference(self, node: ast.Dereference, expected: Type | None) -> Entity:
        entity = self.entity(node.base)
        if isinstance(entity, BaseCall):
            return entity
        base = entity if isinstance(entity, _VALUES) else self.value(entity, node.base)
        if base.type is UNKNOWN:
            return typed.Wrong(UNKNOWN, node.span)
        if isinstance(base, typed.ThisUse):
            return base
        if isinstance(base.type, Reference):
            return typed.Dereference(base, base.type.target, node.span)
        self.diagnostics.report(
            "ST0306", node.span, f"{base.type} is no reference, nothing follows it", mend="leave the ^ out"
        )
        return typed.Wrong(UNKNOWN, node.span)

    def _direct(self, node: ast.DirectVariable, expected: Type | None) -> Entity:
        size = node.address[2:3]
        bits = {"B": 8, "W": 16, "D": 32, "L": 64}.get(size, 1)
        return typed.DirectUse(node.address, _BY_SIZE[bits], node.span)

    def _read_property(self, bound: BoundProperty, span: Span) -> typed.Expression:
        getter = bound.property.getter
        if getter is None:
            self.diagnostics.report(
                "ST0315", span, f"{bound.property.name} has no GET: it can only be written", mend="add a GET"
            )
            return typed.Wrong(UNKNOWN, span)
        self._called(getter, span)
        call = typed.RoutineCall(getter, bound.instance, bound.is_virtual, (), (), bound.property.type, span)
        return self._follow(call)

    # ── literals ───────────────────────────────────────────────────────────────────────────────────────────────
    def _integer(self, node: ast.IntegerLiteral, expected: Type | None) -> Entity:
        if node.prefix is None:
            return typed.Literal(node.value, UNTYPED_INTEGER, node.span)
        type_ = self._prefix(node.prefix)
        literal = typed.Literal(node.value, UNTYPED_INTEGER, node.span)
        return literal if type_ is None else self.coerce(literal, type_)

    def _real(self, node: ast.RealLiteral, expected: Type | None) -> Entity:
        literal = typed.Literal(node.value, UNTYPED_REAL, node.span)
        if node.prefix is None:
            return literal
        type_ = self._prefix(node.prefix)
        return literal if type_ is None else self.coerce(literal, type_)

    def _bool(self, node: ast.BoolLiteral, expected: Type | None) -> Entity:
        literal = typed.Literal(node.value, BOOL, node.span)
        if node.prefix is not None:
            type_ = self._prefix(node.prefix)
            if type_ is not None:
                return self.coerce(literal, type_)
        return literal

    def _string(self, node: ast.StringLiteral, expected: Type | None) -> Entity:
        is_wide = node.is_wide or (node.prefix is not None and node.prefix.key in ("WSTRING", "WCHAR"))
        type_: Type = StringOf(is_wide, max(1, len(node.value)))
        literal = typed.Literal(node.value, type_, node.span)
        if node.prefix is not None and node.prefix.key not in ("STRING", "WSTRING"):
            target = self._prefix(node.prefix)
            return literal if target is None else self.coerce(literal, target)
        return literal

    def _prefix(self, prefix: ast.Name) -> Type | None:
        elementary = ELEMENTARY.get(prefix.key)
        if elementary is not None:
            return elementary
        found = self.declarations.find_type((prefix,), self.scope)
        if isinstance(found, TypeName):
            return self.declarations.resolve(found)
        return None

    def _time(self, node: ast.TimeLiteral, expected: Type | None) -> Entity:
        return typed.Literal(node.nanoseconds, _TIME_TYPES[node.kind][node.is_long], node.span)

    def _null(self, node: ast.NullLiteral, expected: Type | None) -> Entity:
        return typed.Literal(None, NULL, node.span)

    def _enum_literal(self, node: ast.EnumLiteral, expected: Type | None) -> Entity:
        found = self.declarations.find_type(node.type, self.scope)
        if found is None:
            return typed.Wrong(UNKNOWN, node.span)
        if isinstance(found, TypeName):
            type_ = self.declarations.resolve(found)
            if isinstance(type_, Enumeration):
                return self._enum_value(type_, node.value, node.span)
        self.diagnostics.report(
            "ST0315", node.span, f"{found.name} is no enumeration and has no values", mend="write a literal"
        )
        return typed.Wrong(UNKNOWN, node.span)

    def _wrong(self, node: ast.Expression, expected: Type | None) -> Entity:
        return typed.Wrong(UNKNOWN, node.span)

    def _parenthesised(self, node: ast.Parenthesised, expected: Type | None) -> Entity:
        return self.expression(node.inner, expected)

    def _misplaced_initial(
        self, node: ast.ArrayInitial | ast.StructInitial | ast.Repeated, expected: Type | None
    ) -> Entity:
        if expected is None or isinstance(node, ast.Repeated):
            self.diagnostics.report(
                "ST0317", node.span, "this form is for initial values", mend="assign the elements one by one"
            )
            return typed.Wrong(UNKNOWN, node.span)
        return self.initial(node, expected)

    # ── operators ──────────────────────────────────────────────────────────────────────────────────────────────
    def _unary(self, node: ast.Unary, expected: Type | None) -> Entity:
        operand = self.expression(node.operand, expected)
        type_ = plain(operand.type)
        if type_ is UNKNOWN:
            return typed.Wrong(UNKNOWN, node.span)
        if node.operator == "NOT":
            is_right = is_a(type_, "ANY_BIT") or is_a(type_, "ANY_INT")
            if is_right and not is_a(type_, "ANY_BIT"):
                self._bits_warning(node.span, type_)
        else:
            is_right = is_a(type_, "ANY_MAGNITUDE")
            if node.operator == "-" and isinstance(type_, Elementary) and type_.family is Family.UNSIGNED:
                self.diagnostics.report(
                    "ST0301",
                    node.span,
                    f"{type_} has no negative values",
                    mend="convert it to a signed type first",
                )
                return typed.Wrong(UNKNOWN, node.span)
        if not is_right:
            self._no_operator(node.operator, node.span, (type_,))
            return typed.Wrong(UNKNOWN, node.span)
        if isinstance(operand, typed.Literal):
            try:
                value, overflowed = values.unary(node.operator, operand.value, type_)
            except NoValue as none:
                return self._unworkable(node.span, none)
            self._overflow(overflowed, node.span, type_)
            return typed.Literal(value, type_, node.span)
        if node.operator == "+":
            return operand
        return typed.Operation(node.operator, (operand,), type_, node.span)

    def _binary(self, node: ast.Binary, expected: Type | None) -> Entity:
        operator = node.operator
        hint = None if operator in _COMPARISONS else expected
        if operator in _COMPARISONS and self._is_bare_value(node.left):
            right = self.expression(node.right, hint)
            left = self.expression(node.left, right.type)
        else:
            left = self.expression(node.left, hint)
            right = self.expression(node.right, left.type if operator in _COMPARISONS else hint)
        return self.operate(operator, left, right, node.span, expected)

    def _is_bare_value(self, node: ast.Expression) -> bool:
        return isinstance(node, ast.NameUse) and self.scope.find(node.name.key) is None

    # ── initial values ─────────────────────────────────────────────────────────────────────────────────────────
    def initial(self, node: ast.Expression, target: Type) -> typed.Expression:
        """An initial value (6.5.1.4) for a type."""
        while isinstance(node, ast.Parenthesised) and isinstance(node.inner, ast.ArrayInitial):
            node = node.inner
        if target is UNKNOWN:
            return typed.Wrong(UNKNOWN, node.span)
        if isinstance(node, ast.ArrayInitial):
            if isinstance(target, ArrayOf):
                return self._array_initial(node, target)
        elif isinstance(node, ast.StructInitial):
            if isinstance(target, (Structure, Block)):
                return self._struct_initial(node.fields, target, node.span)
        elif isinstance(node, ast.Repeated):
            pass
        else:
            if isinstance(target, Reference) and target.kind is ReferenceKind.REFERENCE_TO:
                return self.expression(node)
            return self.converted(node, target)
        self.diagnostics.report(
            "ST0317", node.span, f"this is no initial value for {target}", mend="write one of its own form"
        )
        return typed.Wrong(UNKNOWN, node.span)

    def start_values(self, arguments: tuple[ast.Argument, ...], target: Type, span: Span) -> typed.Expression:
        """``fb : Block(x := 1)``."""
        if not isinstance(target, (Structure, Block)):
            if target is not UNKNOWN:
                self.diagnostics.report(
                    "ST0317", span, f"{target} takes no start values", mend="write := and the value"
                )
            return typed.Wrong(UNKNOWN, span)
        fields: list[ast.FieldInitial] = []
        for argument in arguments:
            if argument.name is None or argument.value is None or argument.is_output:
                self.diagnostics.report(
                    "ST0317",
                    argument.span,
                    "start values are written name := value",
                    mend="name the variable",
                )
            else:
                fields.append(ast.FieldInitial(argument.name, argument.value, argument.span))
        return self._struct_initial(tuple(fields), target, span)

    def _array_initial(self, node: ast.ArrayInitial, target: ArrayOf) -> typed.Expression:
        inner = ArrayOf(target.bounds[1:], target.element, target.own_initial, target.element_name)
        room = 1
        for bounds in target.bounds:
            room *= 1 if bounds is None else bounds[1] - bounds[0] + 1
        items: list[typed.Expression | typed.Repeated] = []
        count = 0
        for item in node.items:
            if isinstance(item, ast.Repeated):
                literal = self.constant(item.count)
                times = literal.value if literal is not None and isinstance(literal.value, int) else 0
                given = tuple(self._element(one, target, inner) for one in item.values)
                items.append(typed.Repeated(times, given, item.span))
                count += times * max(1, sum(_size(one, target) for one in given))
            else:
                element = self._element(item, target, inner)
                items.append(element)
                count += _size(element, target)
        if count > room:
            self.diagnostics.report(
                "ST0317",
                node.span,
                f"{count} values for an array of {room}",
                mend=f"leave {count - room} out",
            )
        return typed.ArrayValue(tuple(items), target, node.span)

    def _element(self, node: ast.Expression, target: ArrayOf, inner: ArrayOf) -> typed.Expression:
        if isinstance(node, ast.ArrayInitial) and len(target.bounds) > 1:
            return self._array_initial(node, inner)
        return self.initial(node, target.element)

    def _struct_initial(
        self, fields: tuple[ast.FieldInitial, ...], target: Structure | Block, span: Span
    ) -> typed.Expression:
        given: dict[Variable, typed.Input] = {}
        for field in fields:
            if isinstance(target, Structure):
                variable = target.fields.get(field.name.key)
                names = [one.name for one in target.fields.values()]
            else:
                variable = target.find_variable(field.name.key)
                names = [one.name for one in target.all_variables()]
            if variable is None:
                self._no_member(field.name, str(target), names)
                continue
            if variable in given:
                self.diagnostics.report(
                    "ST0404", field.name.span, f"{field.name.text} is given twice", mend="remove one of them"
                )
                continue
            self.declarations.settle(variable)
            self.uses.append((field.name.span, variable))
            given[variable] = typed.Input(variable, self.initial(field.value, variable.type))
        return typed.StructValue(tuple(given.values()), target, span)

    # ── calls ──────────────────────────────────────────────────────────────────────────────────────────────────
    def _call(self, node: ast.Call, expected: Type | None) -> Entity:
        callee = node.callee
        if isinstance(callee, ast.NameUse) and self._is_query(callee.name.key):
            return self._query(callee.name.key, node)
        entity = self._callee(callee)
        if isinstance(entity, StandardFunction):
            return self._call_standard(entity, node, expected)
        if isinstance(entity, Conversion):
            return self._call_conversion(entity, node, expected)
        if isinstance(entity, BoundMethod):
            return self._call_routine(entity.routine, entity.instance, node, is_virtual=entity.is_virtual)
        if isinstance(entity, Routine):
            return self._call_routine(entity, None, node, is_virtual=False)
        if isinstance(entity, BaseCall) or (
            isinstance(entity, _VALUES) and is_block(self._follow(entity).type)
        ):
            self.diagnostics.report(
                "ST0408",
                node.span,
                "a block's call has no value",
                mend="call it as a statement, then read its outputs",
            )
        elif not (isinstance(entity, typed.Wrong)):
            self._not_callable(entity, callee)
        self._check_arguments_alone(node.arguments)
        return typed.Wrong(UNKNOWN, node.span)

    def _callee(self, node: ast.Expression) -> Entity:
        """What is called; inside a function its name with () is the function, not its result."""
        routine = self.scope.routine
        if isinstance(node, ast.NameUse) and routine is not None:
            found = self.scope.find(node.name.key)
            if isinstance(found, Variable) and found.section is Section.RESULT:
                return routine if routine.owner is None else BoundMethod(routine, self._this(node.span), True)
        return self.entity(node)

    def _is_query(self, key: str) -> bool:
        return key in standard.QUERIES and self.scope.find(key) is None

    def _not_callable(self, entity: Entity, callee: ast.Expression) -> None:
        if isinstance(entity, Block):
            what, mend = f"{entity.name} is a block's type", "declare an instance of it and call that"
        elif isinstance(entity, _VALUES):
            what, mend = f"this is {with_article(entity.type)}", "leave the () out"
        else:
            what, mend = f"{callee.span.text} is no function", "leave the () out"
        self.diagnostics.report("ST0400", callee.span, f"{what}, it can not be called", mend=mend)

    def _check_arguments_alone(self, arguments: tuple[ast.Argument, ...]) -> None:
        for argument in arguments:
            if argument.value is not None:
                self.entity(argument.value)

    def _called(self, callee: Routine | Block, span: Span) -> None:
        caller = self.scope.routine or self.scope.block
        if caller is not None:
            caller.calls.setdefault(callee, span)

    def call_statement(self, node: ast.Call) -> typed.Statement:
        """A call as a statement: of a block's instance, or of anything else for what it does."""
        callee = node.callee
        if isinstance(callee, ast.NameUse) and self._is_query(callee.name.key):
            return typed.Evaluate(self.expression(node), node.span)
        entity = self._callee(callee)
        if isinstance(entity, BaseCall):
            block = entity.block
            instance: typed.Expression = self._this(callee.span)
            inputs, outputs = self._bind(block.parameters(), node, block.name, is_block=True, is_base=True)
            self._called(block, node.span)
            return typed.BlockCall(instance, block, inputs, outputs, True, node.span)
        if isinstance(entity, _VALUES):
            instance = self._follow(entity)
            if is_block(instance.type):
                assert isinstance(instance.type, Block)
                block = instance.type
                if block.is_interface or block.kind is ast.UnitKind.CLASS:
                    self.diagnostics.report(
                        "ST0400",
                        callee.span,
                        f"{block.name} is {'an INTERFACE' if block.is_interface else 'a CLASS'} and has no body",
                        mend="call one of its methods",
                    )
                inputs, outputs = self._bind(block.parameters(), node, block.name, is_block=True)
                self._called(block, node.span)
                return typed.BlockCall(instance, block, inputs, outputs, False, node.span)
        if isinstance(entity, StandardFunction):
            return typed.Evaluate(self._call_standard(entity, node, None), node.span)
        if isinstance(entity, Conversion):
            return typed.Evaluate(self._call_conversion(entity, node, None), node.span)
        if isinstance(entity, BoundMethod):
            call = self._call_routine(entity.routine, entity.instance, node, is_virtual=entity.is_virtual)
            return typed.Evaluate(call, node.span)
        if isinstance(entity, Routine):
            return typed.Evaluate(self._call_routine(entity, None, node, is_virtual=False), node.span)
        if not isinstance(entity, typed.Wrong):
            self._not_callable(entity, callee)
        self._check_arguments_alone(node.arguments)
        return typed.Evaluate(typed.Wrong(UNKNOWN, node.span), node.span)

    def _call_routine(
        self,
        routine: Routine,
        instance: typed.Expression | None,
        node: ast.Call,
        *,
        is_virtual: bool,
    ) -> typed.Expression:
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
                self.diagnostics.report(
                    "ST0402",
                    node.span,
                    f"{name} needs {parameter.name}",
                    mend=f"write {parameter.name} := …",
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
                self._check_output(source, target, argument.span)
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

    def _check_output(self, source: Type, target: typed.Expression, span: Span) -> None:
        outcome = fit(source, target.type)
        if outcome is Fit.NO:
            self.diagnostics.report(
                "ST0300",
                span,
                f"{with_article(source)} does not fit {target.type}",
                mend="take a variable of its type",
            )
        elif outcome in (Fit.LOSES, Fit.REINTERPRETS):
            self.diagnostics.report(
                "ST0804" if outcome is Fit.LOSES else "ST0805",
                span,
                f"{source} goes into {target.type}",
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

    # ── standard functions ─────────────────────────────────────────────────────────────────────────────────────
    def _standard_arguments(
        self, function: StandardFunction, node: ast.Call
    ) -> tuple[dict[int, ast.Expression], list[tuple[standard.Parameter, ast.Argument]]] | None:
        given: dict[int, ast.Expression] = {}
        outputs: list[tuple[standard.Parameter, ast.Argument]] = []
        most = len(node.arguments) + len(function.inputs) if function.is_extensible else len(function.inputs)
        names = {function.parameter(index).name: index for index in range(most)}
        output_names = {one.name: one for one in function.outputs}
        is_whole = True
        for position, argument in enumerate(node.arguments):
            if argument.name is None:
                index = position
                if index >= most and position - most < len(function.outputs):
                    outputs.append((function.outputs[position - most], argument))
                    continue
                if index >= most:
                    self.diagnostics.report(
                        "ST0403",
                        argument.span,
                        f"{function.name} takes {len(function.inputs)} arguments",
                        mend="remove this one",
                    )
                    is_whole = False
                    continue
            elif argument.name.key in output_names:
                outputs.append((output_names[argument.name.key], argument))
                continue
            elif argument.name.key in names:
                index = names[argument.name.key]
            else:
                near = nearest(argument.name.text, [*names, *output_names])
                self.diagnostics.report(
                    "ST0401",
                    argument.name.span,
                    f"{function.name} has no parameter {argument.name.text}",
                    mend=f"did you mean {near}?" if near else None,
                )
                is_whole = False
                continue
            if index in given:
                self.diagnostics.report(
                    "ST0404",
                    argument.span,
                    f"{argument.span.text} is given twice",
                    mend="remove one",
                )
                is_whole = False
            elif argument.value is not None:
                given[index] = argument.value
        needed = max(len(function.inputs), max(given, default=-1) + 1)
        missing = [function.parameter(index).name for index in range(needed) if index not in given]
        if missing and is_whole:
            self.diagnostics.report(
                "ST0402", node.span, f"{function.name} needs {', '.join(missing)}", mend="add it"
            )
            is_whole = False
        if not is_whole:
            for one in given.values():
                self.entity(one)
            return None
        return given, outputs

    def _call_standard(
        self, function: StandardFunction, node: ast.Call, expected: Type | None
    ) -> typed.Expression:
        bound = self._standard_arguments(function, node)
        if bound is None:
            return typed.Wrong(UNKNOWN, node.span)
        given, output_arguments = bound
        if function.name in ("ADD", "SUB", "MUL", "DIV", "MOD", "EXPT", "AND", "OR", "XOR"):
            return self._as_operator(function, given, node, expected)
        letters: dict[str, Type | None] = {}
        arguments: dict[int, typed.Expression] = {}
        is_result = function.result in function.generics
        hint = expected if is_result else None
        for index in sorted(given):
            letter = function.parameter(index).type
            seen = letters.get(letter)
            value = self.expression(given[index], seen if seen is not None else hint)
            arguments[index] = value
            if value.type is UNKNOWN:
                return self._unknown_arguments(given, index, node)
            if letter in function.generics and not self._meet(function, letter, value, letters, node.span):
                return typed.Wrong(UNKNOWN, node.span)
        for letter, type_ in letters.items():
            letters[letter] = self._letter_type(type_, function, letter, expected)
        converted = tuple(
            self._standard_argument(function, index, arguments[index], letters) for index in sorted(given)
        )
        outputs = self._standard_outputs(output_arguments)
        result = letters.get(function.result) or _type_by_name(function.result)
        if isinstance(result, StringOf) and function.name in ("CONCAT", "INSERT", "REPLACE"):
            result = _joined(function, converted)
        folded = self._fold_standard(function, converted, result, node.span)
        if folded is not None:
            return folded
        self._standard_warnings(function, converted, node.span)
        return typed.StandardCall(function, converted, outputs, result, node.span)

    def _unknown_arguments(
        self, given: dict[int, ast.Expression], after: int, node: ast.Call
    ) -> typed.Expression:
        for index in sorted(given):
            if index > after:
                self.entity(given[index])
        return typed.Wrong(UNKNOWN, node.span)

    def _meet(
        self,
        function: StandardFunction,
        letter: str,
        value: typed.Expression,
        letters: dict[str, Type | None],
        span: Span,
    ) -> bool:
        generic = function.generics[letter]
        seen = letters.get(letter)
        type_ = plain(value.type)
        is_right = is_a(type_, generic) or (generic == "ANY_BIT" and is_a(type_, "ANY_INT"))
        is_right = is_right or (generic == "ANY_REAL" and is_a(type_, "ANY_NUM"))
        is_right = is_right or (
            generic in ("ANY_NUM", "ANY_INT") and is_a(type_, "ANY_BIT") and type_ is not BOOL
        )
        if type_ is NOTHING:
            is_right = False
        meeting = type_ if seen is None else common(seen, type_)
        if generic == "ANY_REAL" and meeting is not None and is_a(meeting, "ANY_INT"):
            meeting = common(meeting, UNTYPED_REAL)
        if not is_right or meeting is None:
            self.diagnostics.report(
                "ST0300",
                value.span,
                f"{function.name} takes {generic}, and all alike: {with_article(type_)} does not fit"
                if seen is not None
                else f"{function.name} takes {generic}: {with_article(type_)} does not fit",
                mend="convert it",
            )
            return False
        if generic == "ANY_BIT" and not is_a(meeting, "ANY_BIT"):
            self._bits_warning(value.span, meeting)
        letters[letter] = meeting
        return True

    def _letter_type(
        self, type_: Type | None, function: StandardFunction, letter: str, expected: Type | None
    ) -> Type:
        assert type_ is not None
        if type_ in (UNTYPED_INTEGER, UNTYPED_REAL):
            wanted = None if expected is None else plain(expected)
            if function.result == letter and wanted is not None and common(type_, wanted) == wanted:
                return wanted
            if type_ is UNTYPED_REAL:
                return LREAL
            return DINT
        generic = function.generics[letter]
        if generic in ("ANY_NUM", "ANY_INT") and isinstance(type_, Elementary) and type_.family is Family.BIT:
            return as_unsigned(type_)
        if (
            function.result == letter
            and isinstance(type_, Elementary)
            and expected is REAL
            and type_ is LREAL
        ):
            return type_
        return type_

    def _standard_argument(
        self,
        function: StandardFunction,
        index: int,
        value: typed.Expression,
        letters: dict[str, Type | None],
    ) -> typed.Expression:
        wanted = function.parameter(index).type
        type_ = letters.get(wanted) or _type_by_name(wanted)
        if isinstance(type_, StringOf) and isinstance(value.type, StringOf):
            return value
        return self.coerce(value, type_)

    def _standard_outputs(
        self, arguments: list[tuple[standard.Parameter, ast.Argument]]
    ) -> tuple[typed.Output, ...]:
        outputs: list[typed.Output] = []
        for parameter, argument in arguments:
            if argument.value is None:
                continue
            target = self.target(argument.value)
            if target is not None:
                self._check_output(_type_by_name(parameter.type), target, argument.span)
                outputs.append(typed.Output(parameter.name, target, argument.is_negated))
        return tuple(outputs)

    def _as_operator(
        self,
        function: StandardFunction,
        given: dict[int, ast.Expression],
        node: ast.Call,
        expected: Type | None,
    ) -> typed.Expression:
        """ADD(a, b, c) is a + b + c (6.6.2.5.5)."""
        sign = {"ADD": "+", "SUB": "-", "MUL": "*", "DIV": "/", "EXPT": "**"}.get(
            function.name, function.name
        )
        result = self.expression(given[0], expected)
        for index in range(1, len(given)):
            value = self.expression(given[index], expected)
            result = self.operate(sign, result, value, node.span, expected)
        return result

    def _fold_standard(
        self,
        function: StandardFunction,
        arguments: tuple[typed.Expression, ...],
        result: Type,
        span: Span,
    ) -> typed.Expression | None:
        """The functions that constants are made with are worked out here."""
        literals = [one.value for one in arguments if isinstance(one, typed.Literal)]
        if len(literals) < len(arguments) or any(value is None for value in literals):
            return None
        name = function.name
        if name == "MAX":
            return typed.Literal(max(literals), result, span)  # type: ignore[type-var]  # of one type by now
        if name == "MIN":
            return typed.Literal(min(literals), result, span)  # type: ignore[type-var]  # of one type by now
        if name == "ABS" and isinstance(literals[0], (int, float)):
            value = abs(literals[0])
            if isinstance(value, int) and isinstance(result, Elementary):
                value = values.wrap(value, result)
            return typed.Literal(value, result, span)
        if name == "LEN" and isinstance(literals[0], str):
            return typed.Literal(len(literals[0]), INT, span)
        if name == "MOVE":
            return typed.Literal(literals[0], result, span)
        return None

    def _standard_warnings(
        self, function: StandardFunction, arguments: tuple[typed.Expression, ...], span: Span
    ) -> None:
        if function.name in ("EQ", "NE") and arguments and is_a(arguments[0].type, "ANY_REAL"):
            self.diagnostics.report(
                "ST0809",
                span,
                "reals are rarely exactly equal",
                mend="compare ABS of the difference with a tolerance",
            )

    def _call_conversion(
        self, conversion: Conversion, node: ast.Call, expected: Type | None
    ) -> typed.Expression:
        if len(node.arguments) != 1 or node.arguments[0].value is None:
            self._check_arguments_alone(node.arguments)
            self.diagnostics.report(
                "ST0402" if not node.arguments else "ST0403",
                node.span,
                f"{conversion.name} takes one argument",
                mend="give it one value",
            )
            return typed.Wrong(UNKNOWN, node.span)
        argument = node.arguments[0]
        assert argument.value is not None
        if conversion.name == "TRUNC" and isinstance(expected, Elementary) and is_a(expected, "ANY_INT"):
            conversion = Conversion("TRUNC", None, expected, "trunc")
        value = self.expression(argument.value, conversion.source)
        if value.type is UNKNOWN:
            return typed.Wrong(conversion.target, node.span)
        target = conversion.target
        if conversion.source is not None:
            source = conversion.source
            if isinstance(value.type, Enumeration) and fit(value.type.base, source) in (Fit.SAME, Fit.WIDENS):
                value = typed.Convert(value, source, False, value.span)
            elif not (isinstance(source, StringOf) and isinstance(value.type, StringOf)):
                value = self.coerce(value, source)
            elif value.type.is_wide != source.is_wide:
                self._misfit(value, source)
        else:
            value = self.settled(value)
        if isinstance(value.type, Enumeration):
            value = typed.Convert(value, value.type.base, False, value.span)
        source_type = conversion_type(plain(value.type))
        if value.type is not UNKNOWN and not standard.converts(source_type, target, conversion.way):
            self.diagnostics.report(
                "ST0300",
                value.span,
                f"there is no conversion of {value.type} to {target}",
                mend="go by another type",
            )
            return typed.Wrong(target, node.span)
        if conversion.way == "convert":
            return self._explicit(value, target, node.span)
        function = StandardFunction(
            conversion.name, {}, (standard.Parameter("IN", str(source_type)),), (), False, str(target)
        )
        if conversion.way == "trunc" and isinstance(value, typed.Literal) and isinstance(value.value, float):
            whole = int(value.value) if abs(value.value) < 1 << 63 else None
            if whole is not None and isinstance(target, Elementary) and values.fits(whole, target):
                return typed.Literal(whole, target, node.span)
        return typed.StandardCall(function, (value,), (), target, node.span)

    def _explicit(self, value: typed.Expression, target: Type, span: Span) -> typed.Expression:
        if isinstance(value, typed.Literal) and isinstance(target, Elementary):
            try:
                folded = _convert_constant(value.value, plain(value.type), target)
            except NoValue as none:
                return self._unworkable(span, none)
            if folded is not None:
                return typed.Literal(folded, target, span)
        return typed.Convert(value, target, False, span)

    def _query(self, key: str, node: ast.Call) -> typed.Expression:
        """REF, ADR, SIZEOF, LOWER_BOUND, UPPER_BOUND: what they ask about is not read."""
        arguments = [one.value for one in node.arguments if one.value is not None]
        wanted = 2 if key.endswith("_BOUND") else 1
        if len(arguments) != wanted:
            self._check_arguments_alone(node.arguments)
            self.diagnostics.report(
                "ST0402" if len(arguments) < wanted else "ST0403",
                node.span,
                f"{key} takes {wanted} argument{'s' if wanted > 1 else ''}",
                mend="give it a variable",
            )
            return typed.Wrong(UNKNOWN, node.span)
        asked = arguments[0]
        elementary = ELEMENTARY.get(asked.name.key) if isinstance(asked, ast.NameUse) else None
        if key == "SIZEOF" and elementary is not None and self.scope.find(elementary.name) is None:
            operand = typed.TypeUse(elementary, asked.span)
            return typed.StandardCall(SIZEOF, (operand,), (), UDINT, node.span)
        entity = self.entity(asked)
        if key == "SIZEOF":
            return self._size_of(entity, asked, node.span)
        if key == "__ISVALIDREF":
            return self._is_valid(entity, arguments[0], node.span)
        value = self.value(entity, arguments[0])
        if value.type is UNKNOWN:
            return typed.Wrong(UNKNOWN, node.span)
        if key in ("REF", "ADR"):
            if not self._is_place(value) or isinstance(value, typed.PartialUse):
                self.diagnostics.report(
                    "ST0303", value.span, "only a variable can be referred to", mend="put it into a variable"
                )
                return typed.Wrong(UNKNOWN, node.span)
            kind = ReferenceKind.REF_TO if key == "REF" else ReferenceKind.POINTER_TO
            return typed.ReferenceTo(value, Reference(kind, value.type), node.span)
        return self._bound(key, value, arguments[1], node)

    def _is_valid(self, entity: Entity, node: ast.Expression, span: Span) -> typed.Expression:
        """A vendor's question whether a REFERENCE TO refers to something."""
        value = entity if isinstance(entity, _VALUES) else self.value(entity, node)
        if not isinstance(value.type, Reference):
            if value.type is not UNKNOWN:
                self.diagnostics.report(
                    "ST0306", node.span, f"{value.type} is no reference", mend="name a reference"
                )
            return typed.Wrong(BOOL, span)
        null = typed.Literal(None, value.type, span)
        return typed.Operation("<>", (value, null), BOOL, span)

    def _bound(
        self, key: str, array: typed.Expression, rank_node: ast.Expression, node: ast.Call
    ) -> typed.Expression:
        rank = self.constant(rank_node)
        if not isinstance(array.type, ArrayOf):
            self.diagnostics.report(
                "ST0304", array.span, f"{array.type} is no array and has no bounds", mend="name an array"
            )
            return typed.Wrong(UNKNOWN, node.span)
        if rank is None or not isinstance(rank.value, int):
            return typed.Wrong(UNKNOWN, node.span)
        if not 1 <= rank.value <= len(array.type.bounds):
            self.diagnostics.report(
                "ST0304",
                rank.span,
                f"the array has {len(array.type.bounds)} ranks",
                mend="count them from 1",
            )
            return typed.Wrong(UNKNOWN, node.span)
        bounds = array.type.bounds[rank.value - 1]
        if bounds is not None:
            return typed.Literal(bounds[key == "UPPER_BOUND"], DINT, node.span)
        function = StandardFunction(key, {}, (), (), False, "DINT")
        rank_value = typed.Literal(rank.value, DINT, rank.span)
        return typed.StandardCall(function, (array, rank_value), (), DINT, node.span)

    def _size_of(self, entity: Entity, node: ast.Expression, span: Span) -> typed.Expression:
        """SIZEOF takes a variable or a type; the code generator knows the bytes."""
        if isinstance(entity, TypeName):
            operand: typed.Expression = typed.TypeUse(self.declarations.resolve(entity), node.span)
        elif isinstance(entity, Block):
            operand = typed.TypeUse(entity, node.span)
        else:
            operand = self.value(entity, node)
        return typed.StandardCall(SIZEOF, (operand,), (), UDINT, span)

    # ── targets ────────────────────────────────────────────────────────────────────────────────────────────────
    def target(self, node: ast.Expression) -> typed.Expression | None:
        """A place that may be written; what is none is reported."""
        value = self.value(self.place(node), node)
        return value if self.is_writable(value, node) else None

    def place(self, node: ast.Expression) -> Entity:
        """What a target means; naming a variable there is no reading of it."""
        if isinstance(node, ast.NameUse):
            found = self.scope.find(node.name.key)
            if isinstance(found, Variable):
                self.declarations.settle(found)
                self.uses.append((node.span, found))
                found.is_written = True
                if found.constant is None:
                    return typed.VariableUse(found, found.type, node.span)
        return self.entity(node)

    def is_writable(self, value: typed.Expression, node: ast.Expression) -> bool:
        """Whether a place may be written from here."""
        if value.type is UNKNOWN:
            return False
        why = self._why_not_writable(value)
        if why is None:
            return True
        self.diagnostics.report("ST0303", node.span, why[0], mend=why[1])
        return False

    def _why_not_writable(self, value: typed.Expression) -> tuple[str, str] | None:
        root = value
        while True:
            match root:
                case typed.VariableUse(variable=variable):
                    variable.is_written = True
                    target = variable.target or variable
                    if target.is_constant or variable.is_constant:
                        return f"{variable.name} is CONSTANT", "remove CONSTANT, or write another variable"
                    unit = self.scope.routine or self.scope.block
                    if target.section is Section.GLOBAL and unit is not None:
                        unit.writes.setdefault(target, value.span)
                    return None
                case typed.FieldUse(base=base, variable=variable):
                    is_foreign = variable.section in (Section.OUTPUT, Section.IN_OUT) and not self._is_inside(
                        variable.owner
                    )
                    if is_foreign and isinstance(variable.owner, Block):
                        return (
                            f"{variable.name} is an output of {variable.owner.name}: only that writes it",
                            "write one of its inputs",
                        )
                    if variable.is_constant:
                        return f"{variable.name} is CONSTANT", "write another variable"
                    if isinstance(variable.owner, Block):
                        return None
                    root = base
                case typed.ElementUse(base=base) | typed.PartialUse(base=base):
                    root = base
                case typed.Dereference() | typed.DirectUse():
                    return None
                case typed.ThisUse() | typed.ProgramUse():
                    return "an instance can not be written as a whole", "write its variables"
                case typed.Literal():
                    return "a constant can not be written", "write a variable"
                case _:
                    return "this is no variable", "write a variable"


SIZEOF = StandardFunction("SIZEOF", {}, (), (), False, "UDINT")


def is_block_or_reference(type_: Type) -> bool:
    """Whether a type has no useful initial value."""
    return isinstance(type_, Reference) or is_block(type_)


def _type_by_name(name: str) -> Type:
    if name == "nothing":
        return NOTHING
    return ELEMENTARY[name]


def _joined(function: StandardFunction, arguments: tuple[typed.Expression, ...]) -> StringOf:
    """The length that joining strings can reach."""
    strings = [one.type for one in arguments if isinstance(one.type, StringOf)]
    is_wide = any(one.is_wide for one in strings)
    return StringOf(is_wide, max(1, sum(one.length for one in strings)))


def _size(value: typed.Expression, target: ArrayOf) -> int:
    """How many elements an item of an array's initial value gives: a row of an array of several ranks, or one."""
    if len(target.bounds) > 1 and isinstance(value, typed.ArrayValue) and isinstance(value.type, ArrayOf):
        size = 1
        for bounds in value.type.bounds:
            size *= 1 if bounds is None else bounds[1] - bounds[0] + 1
        return size
    return 1


def _convert_constant(value: values.Value, source: Type, target: Elementary) -> values.Value:
    """An explicit conversion of a constant number, or ``None`` to leave it to the target."""
    assert isinstance(
        source, (Elementary, StringOf, Enumeration, Reference, ArrayOf, Structure, Subrange, Block)
    )
    numbers = _WHOLE | {Family.REAL, Family.BIT, Family.UNTYPED_INTEGER, Family.UNTYPED_REAL}
    if not isinstance(source, Elementary) or source.family not in numbers or target.family not in numbers:
        return None
    if not isinstance(value, (int, float)):
        return None
    if source.family is Family.BIT and target.family is Family.REAL and source is not BOOL:
        return None  # DWORD_TO_REAL moves bits, which is the target's business
    if source.family is Family.REAL and target.family is Family.BIT and target is not BOOL:
        return None
    if target.family is Family.REAL:
        return values.single(float(value)) if target is REAL else float(value)
    if target is BOOL:
        return value != 0
    whole = values.nearest_integer(value) if isinstance(value, float) else int(value)
    return values.wrap(whole, target) if values.fits(whole, target) or not isinstance(value, float) else None


_READERS: dict[type, Callable[[Checker, Any, Type | None], Entity]] = {
    ast.IntegerLiteral: Checker._integer,
    ast.RealLiteral: Checker._real,
    ast.BoolLiteral: Checker._bool,
    ast.StringLiteral: Checker._string,
    ast.TimeLiteral: Checker._time,
    ast.NullLiteral: Checker._null,
    ast.EnumLiteral: Checker._enum_literal,
    ast.NameUse: Checker._name,
    ast.GlobalUse: Checker._global,
    ast.This: Checker._this_or_super,
    ast.Super: Checker._this_or_super,
    ast.Member: Checker._member,
    ast.PartialAccess: Checker._partial,
    ast.Index: Checker._index,
    ast.Dereference: Checker._dereference,
    ast.DirectVariable: Checker._direct,
    ast.Unary: Checker._unary,
    ast.Binary: Checker._binary,
    ast.Call: Checker._call,
    ast.Parenthesised: Checker._parenthesised,
    ast.Repeated: Checker._misplaced_initial,
    ast.ArrayInitial: Checker._misplaced_initial,
    ast.StructInitial: Checker._misplaced_initial,
    ast.Wrong: Checker._wrong,
}
