"""Checks expressions and makes the typed tree of them: names resolved, types met, constants folded, calls bound.

Every fault is reported where it is, once; what has a fault becomes ``typed.Wrong`` of type UNKNOWN, which fits
everywhere, so that one fault does not cause others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from plc.language import ast, standard, typed, values
from plc.language.ast import ReferenceKind
from plc.language.coercion import (
    is_pointer,
    with_article,
)
from plc.language.diagnostics import nearest
from plc.language.entities import VALUES, BaseCall, BoundMethod, BoundProperty, Entity, EnumChoice
from plc.language.scope import Found, Scope, enumeration_of, member_names
from plc.language.source import Span
from plc.language.standard import Conversion, StandardFunction
from plc.language.standard_calls import StandardCalls
from plc.language.symbols import (
    STARTER_FLAGS,
    Block,
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
    DT,
    DWORD,
    ELEMENTARY,
    LDATE,
    LDT,
    LTIME,
    LTOD,
    LWORD,
    NULL,
    TIME,
    TOD,
    UNKNOWN,
    UNTYPED_INTEGER,
    UNTYPED_REAL,
    WCHAR,
    WHOLE_NUMBERS,
    WORD,
    ArrayOf,
    Elementary,
    Enumeration,
    Family,
    Reference,
    StringOf,
    Structure,
    Type,
    is_a,
    is_block,
    plain,
)
from plc.language.values import NoValue, utf16_units

if TYPE_CHECKING:
    from plc.language.declare import Declarations

# Unknown names that are compared with all known ones: 15 ms each where there are thousands of those.
MOST_SUGGESTIONS = 100
LAST_LATIN = "\xff"  # a CHAR is one byte
_COMPARISONS = frozenset({"=", "<>", "<", ">", "<=", ">="})
_BY_SIZE = {1: BOOL, 8: BYTE, 16: WORD, 32: DWORD, 64: LWORD}
_TIME_TYPES = {
    ast.TimeKind.DURATION: (TIME, LTIME),
    ast.TimeKind.DATE: (DATE, LDATE),
    ast.TimeKind.TIME_OF_DAY: (TOD, LTOD),
    ast.TimeKind.DATE_AND_TIME: (DT, LDT),
}


class Checker(StandardCalls):
    """Expressions in one scope."""

    def __init__(self, declarations: Declarations, scope: Scope) -> None:
        super().__init__(declarations, scope)
        self.enumeration: Enumeration | None = None  # whose earlier values its own later values may use

    # ── values ─────────────────────────────────────────────────────────────────────────────────────────────────
    def expression(self, node: ast.Expression, expected: Type | None = None) -> typed.Expression:
        """The value of an expression, in its own type; ``expected`` only helps where a name alone says too little."""
        return self.value(self.entity(node, expected), node, expected)

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
        if isinstance(entity, VALUES):
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
        known = standard.FUNCTIONS.get(key) or standard.typed_form(key) or standard.conversion(key)
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
        if isinstance(base, BoundMethod) and base.routine.kind == "ACTION":
            return self._action_flag(base, node)
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

    def _action_flag(self, action: BoundMethod, node: ast.Member) -> Entity:
        """``Action.Q`` (6.7.4.6): FALSE in an action's last run."""
        owner = action.instance.type
        assert isinstance(owner, Block)
        control = owner.find_control(action.routine.name.upper())
        if control is None or node.name.key != "Q":
            self.diagnostics.report(
                "ST0203",
                node.name.span,
                f"{action.routine.name} has no {node.name.text}",
                mend="an action of a step has Q: FALSE when it runs for the last time"
                if control is not None
                else "name the action in a step: then it has Q",
            )
            return typed.Wrong(UNKNOWN, node.span)
        assert isinstance(control.type, Block)
        flag = control.type.variables["Q"]
        self.uses.append((node.name.span, flag))
        held = typed.FieldUse(action.instance, control, control.type, node.base.span)
        return typed.FieldUse(held, flag, flag.type, node.span)

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
            if is_open or self._is_inside(variable.owner) or self._is_open(variable, block):
                pass
            elif node.span.source.is_lenient and variable.qualifiers.isdisjoint(("PRIVATE", "PROTECTED")):
                self._tolerate(
                    node.name.span, f"{variable.name} is inside of {block.name}", "make it a VAR_OUTPUT"
                )
            else:
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

    def _tolerate(self, span: Span, what: str, mend: str) -> None:
        """Say of a vendor's source what the standard does not allow."""
        self.diagnostics.report("ST0812", span, what, mend=mend)

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
        if not isinstance(type_, Elementary) or type_.family not in WHOLE_NUMBERS | {Family.BIT}:
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
        index = node.index
        if isinstance(base, typed.PartialUse):  # a piece of a piece
            index += base.index * base.size // node.size
            base = base.base
        return typed.PartialUse(base, node.size, index, _BY_SIZE[node.size], node.span)

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
        base = entity if isinstance(entity, VALUES) else self.value(entity, node.base)
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
        if bound.is_virtual:
            self._called_on(getter, bound.instance, span)
        else:
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
        value = utf16_units(node.value) if is_wide else node.value
        if not is_wide and any(one > LAST_LATIN for one in value):
            character = next(one for one in value if one > LAST_LATIN)
            self.diagnostics.report(
                "ST0319",
                node.span,
                f"a STRING holds the characters of Latin-1, and {character} is none",
                mend=f'write it as WSTRING, "{node.span.text[1:-1]}"',
            )
            return typed.Wrong(UNKNOWN, node.span)
        type_: Type = StringOf(is_wide, max(1, len(value)))
        literal = typed.Literal(value, type_, node.span)
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
                is_reference = isinstance(node, ast.NullLiteral) or (
                    isinstance(node, ast.Call)
                    and isinstance(node.callee, ast.NameUse)
                    and self._is_query(node.callee.name.key)
                )
                return self.expression(node) if is_reference else self._argument(node, target)
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
        parameters = starting_parameters(target) if isinstance(target, Block) else {}
        given: dict[Variable, typed.Input] = {}
        positions = iter(parameters.values())
        for argument in arguments:
            parameter = next(positions, None) if argument.name is None else parameters.get(argument.name.key)
            if parameter is not None and argument.value is not None and not argument.is_output:
                self.declarations.settle(parameter)
                value = self._argument(argument.value, parameter.type)
                given[parameter] = typed.Input(parameter, value)
                if argument.name is not None:
                    self.uses.append((argument.name.span, parameter))
            elif argument.name is None or argument.value is None or argument.is_output:
                self.diagnostics.report(
                    "ST0317",
                    argument.span,
                    "start values are written name := value",
                    mend="name the variable",
                )
            else:
                fields.append(ast.FieldInitial(argument.name, argument.value, argument.span))
        missing = [one.name for one in parameters.values() if one not in given and one.initial is None]
        if missing:
            self.diagnostics.report(
                "ST0402",
                span,
                f"FB_init of {target} needs {' and '.join(missing)}",
                mend=f"write {', '.join(f'{one} := …' for one in missing)}",
            )
        return replace(self._struct_initial(tuple(fields), target, span), arguments=tuple(given.values()))

    def start_elements(self, syntax: ast.ArrayType, target: Type) -> typed.Expression:
        """``ARRAY [1..2] OF Block[(x := 1), (x := 2)]``."""
        if not isinstance(target, ArrayOf):
            return typed.Wrong(UNKNOWN, syntax.span)
        items = tuple(self.start_values(one, target.element, syntax.element.span) for one in syntax.starts)
        room = 1
        for bounds in target.bounds:
            room *= 1 if bounds is None else bounds[1] - bounds[0] + 1
        if len(items) > room:
            self.diagnostics.report(
                "ST0317",
                syntax.span,
                f"{len(items)} values for an array of {room}",
                mend=f"leave {len(items) - room} out",
            )
        return typed.ArrayValue(items, target, syntax.span)

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
    ) -> typed.StructValue:
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
        call, enable = self._enabled(entity, node)
        if enable is None:
            return self._apply(entity, node, expected)
        value = self.value(self._apply(entity, call, expected), call, expected)
        if value.type is UNKNOWN:
            return value
        value = self.settled(value)
        return typed.Enabled(enable[0], value, enable[1], value.type, node.span)

    def _enabled(
        self, entity: Entity, node: ast.Call
    ) -> tuple[ast.Call, tuple[typed.Expression, typed.Output | None] | None]:
        """EN and ENO (6.6.1.5), which every call may give: the call without them, whether it is made, and where that
        is told. Where the callee declares one of them, it is a parameter like any other."""
        own = _parameter_names(entity)
        given = {
            one.name.key: one
            for one in node.arguments
            if one.name is not None and one.name.key in ("EN", "ENO") and one.name.key not in own
        }
        if not given:
            return node, None
        condition: typed.Expression = typed.Literal(True, BOOL, node.span)
        told: typed.Output | None = None
        for key, argument in given.items():
            if argument.is_output != (key == "ENO"):
                self.diagnostics.report(
                    "ST0407",
                    argument.span,
                    f"{key} takes {'=>' if key == 'ENO' else ':='}",
                    mend="write EN := and ENO =>",
                )
            elif argument.value is not None and key == "EN":
                condition = self.condition(argument.value)
            elif argument.value is not None:
                target = self.target(argument.value)
                if target is not None and target.type not in (BOOL, UNKNOWN):
                    self._check_fit(BOOL, target.type, argument.span)
                elif target is not None:
                    told = typed.Output("ENO", target, argument.is_negated)
        rest = tuple(one for one in node.arguments if one not in given.values())
        return replace(node, arguments=rest), (condition, told)

    def _apply(self, entity: Entity, node: ast.Call, expected: Type | None) -> Entity:
        callee = node.callee
        if isinstance(entity, StandardFunction):
            return self._call_standard(entity, node, expected)
        if isinstance(entity, Conversion):
            return self._call_conversion(entity, node, expected)
        if isinstance(entity, BoundMethod):
            return self._call_routine(entity.routine, entity.instance, node, is_virtual=entity.is_virtual)
        if isinstance(entity, Routine):
            return self._call_routine(entity, None, node, is_virtual=False)
        if isinstance(entity, BaseCall) or (
            isinstance(entity, VALUES) and is_block(self._follow(entity).type)
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
        elif isinstance(entity, VALUES):
            what, mend = f"this is {with_article(entity.type)}", "leave the () out"
        else:
            what, mend = f"{callee.span.text} is no function", "leave the () out"
        self.diagnostics.report("ST0400", callee.span, f"{what}, it can not be called", mend=mend)

    def call_statement(self, node: ast.Call) -> typed.Statement:
        """A call as a statement: of a block's instance, or of anything else for what it does."""
        callee = node.callee
        if isinstance(callee, ast.NameUse) and self._is_query(callee.name.key):
            return typed.Evaluate(self.expression(node), node.span)
        entity = self._callee(callee)
        call, enable = self._enabled(entity, node)
        if enable is None:
            return self._run(entity, node)
        condition, told = enable
        done = self._run(entity, call)
        if told is None:
            return typed.If((typed.Branch(condition, (done,), node.span),), (), node.span)
        yes, no = (
            typed.Assign(
                told.target, ":=", typed.Literal(is_done != told.is_negated, BOOL, node.span), node.span
            )
            for is_done in (True, False)
        )
        return typed.If((typed.Branch(condition, (done, yes), node.span),), (no,), node.span)

    def _run(self, entity: Entity, node: ast.Call) -> typed.Statement:
        callee = node.callee
        if isinstance(entity, BaseCall):
            block = entity.block
            instance: typed.Expression = self._this(callee.span)
            inputs, outputs = self._bind(block.parameters(), node, block.name, is_block=True, is_base=True)
            self._called(block, node.span)
            return typed.BlockCall(instance, block, inputs, outputs, True, node.span)
        if isinstance(entity, VALUES):
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
            if entity.routine.kind == "ACTION" and node.arguments:
                return self._call_action(entity, node)
            call = self._call_routine(entity.routine, entity.instance, node, is_virtual=entity.is_virtual)
            return typed.Evaluate(call, node.span)
        if isinstance(entity, Routine):
            return typed.Evaluate(self._call_routine(entity, None, node, is_virtual=False), node.span)
        if not isinstance(entity, typed.Wrong):
            self._not_callable(entity, callee)
        self._check_arguments_alone(node.arguments)
        return typed.Evaluate(typed.Wrong(UNKNOWN, node.span), node.span)

    def _call_action(self, bound: BoundMethod, node: ast.Call) -> typed.Statement:
        """An action called with the block's own parameters, as vendors allow."""
        block = bound.routine.owner
        assert block is not None
        inputs, outputs = self._bind(block.parameters(), node, block.name, is_block=True, is_base=True)
        self._called(bound.routine, node.span)
        return typed.BlockCall(bound.instance, block, inputs, outputs, False, node.span, bound.routine)

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
        node_is_lenient = value.span.source.is_lenient
        while True:
            match root:
                case typed.VariableUse(variable=variable):
                    variable.is_written = True
                    target = variable.target or variable
                    is_open = isinstance(target.type, ArrayOf) and None in target.type.bounds
                    if is_open and target.section is Section.INPUT:
                        return f"{variable.name} is the caller's own array", "make it VAR_IN_OUT"
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
                    if is_foreign and node_is_lenient:
                        self._tolerate(value.span, f"{variable.name} is an output", "write one of its inputs")
                    elif is_foreign and isinstance(variable.owner, Block):
                        return (
                            f"{variable.name} is an output of {variable.owner.name}: only that writes it",
                            "write one of its inputs",
                        )
                    if variable.is_constant:
                        return f"{variable.name} is CONSTANT", "write another variable"
                    if isinstance(variable.owner, Block):
                        return None
                    if isinstance(base.type, Structure) and base.type.is_step:
                        return f"{variable.name} of a step is only read", "let a transition decide"
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


def starting_parameters(block: Block) -> dict[str, Variable]:
    """What FB_init wants of a declaration, that of what the block extends first."""
    return {
        one.name.upper(): one
        for routine in block.starters()
        for one in routine.parameters()
        if one.section is not Section.OUTPUT and one.name.upper() not in STARTER_FLAGS
    }


def _parameter_names(entity: Entity) -> set[str]:
    """What a call of it can name, in upper case; standard functions know neither EN nor ENO by themselves."""
    if isinstance(entity, BoundMethod):
        entity = entity.routine
    if isinstance(entity, BaseCall):
        entity = entity.block
    if isinstance(entity, VALUES):
        type_ = entity.type.target if isinstance(entity.type, Reference) else entity.type
        if not is_block(type_):
            return set()
        entity = type_
    if isinstance(entity, (Routine, Block)):
        return {one.name.upper() for one in entity.parameters()}
    return set()


def _size(value: typed.Expression, target: ArrayOf) -> int:
    """How many elements an item of an array's initial value gives: a row of an array of several ranks, or one."""
    if len(target.bounds) > 1 and isinstance(value, typed.ArrayValue) and isinstance(value.type, ArrayOf):
        size = 1
        for bounds in value.type.bounds:
            size *= 1 if bounds is None else bounds[1] - bounds[0] + 1
        return size
    return 1


_READERS: dict[type, Callable[[Checker, Any, Type | None], Entity]] = {
    ast.IntegerLiteral: Checker._integer,
    ast.RealLiteral: Checker._real,
    ast.BoolLiteral: Checker._bool,
    ast.StringLiteral: Checker._string,
    ast.TimeLiteral: Checker._time,
    ast.NullLiteral: Checker._null,
    ast.EnumLiteral: Checker._enum_literal,
    ast.NameUse: lambda checker, node, expected: checker._name(
        node, expected
    ),  # configurations know more names
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
