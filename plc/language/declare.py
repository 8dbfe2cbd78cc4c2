"""From syntax trees to symbols: names first, then types on demand, then the variables of every unit.

Types are resolved when they are first asked for, so that order in the text does not matter; a structure's fields wait
until the outermost question is answered, so that structures can refer to each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import PurePath

from plc.language import ast, standard, typed
from plc.language.diagnostics import Diagnostics, Related, nearest
from plc.language.expressions import Checker
from plc.language.parser import parse
from plc.language.scope import Found, Scope
from plc.language.source import Source, Span
from plc.language.symbols import (
    Block,
    EnumMember,
    Namespace,
    PropertySymbol,
    Routine,
    Section,
    Symbol,
    TypeName,
    Variable,
)
from plc.language.types import (
    BOOL,
    BYTE,
    ELEMENTARY,
    INT,
    STRING_DEFAULT_LENGTH,
    STRING_LONGEST,
    TIME,
    UNKNOWN,
    ArrayOf,
    Elementary,
    Enumeration,
    Family,
    Reference,
    StringOf,
    Structure,
    Subrange,
    Type,
    is_block,
    plain,
)
from plc.language.values import fits

_ROUTINE_SECTIONS = frozenset(
    {"VAR", "VAR_INPUT", "VAR_OUTPUT", "VAR_IN_OUT", "VAR_TEMP", "VAR_EXTERNAL", "VAR_STAT"}
)
_SECTIONS_OF: dict[ast.UnitKind, frozenset[str]] = {
    ast.UnitKind.FUNCTION: _ROUTINE_SECTIONS,
    ast.UnitKind.METHOD: _ROUTINE_SECTIONS | {"VAR_INST"},
    ast.UnitKind.FUNCTION_BLOCK: _ROUTINE_SECTIONS,
    ast.UnitKind.PROGRAM: _ROUTINE_SECTIONS,
    ast.UnitKind.CLASS: frozenset({"VAR", "VAR_EXTERNAL", "VAR_STAT"}),
    ast.UnitKind.INTERFACE: frozenset(),
}
MAX_ELEMENTS = 1 << 24  # elements of one array; beyond it is a slip of the pen, and C compilers give up


@dataclass(frozen=True, slots=True)
class UnitScope:
    """A unit with where its names are looked up."""

    unit: Block | Routine
    scope: Scope


class Declarations:
    """Everything declared by a set of files. ``units`` are what has a body, in the order of the text."""

    def __init__(self, diagnostics: Diagnostics, standard_blocks: dict[str, Block]) -> None:
        self.diagnostics = diagnostics
        self.root = Namespace("", None)
        self.standard_blocks = standard_blocks
        self.globals: list[Variable] = []
        self.types: list[TypeName] = []
        self.blocks: list[Block] = []
        self.functions: list[Routine] = []
        self.units: list[UnitScope] = []
        self.configurations: list[tuple[ast.Configuration, Scope]] = []
        self.settings: list[tuple[ast.InstanceSettings, Scope]] = []
        self.lists: dict[
            str, Namespace
        ] = {}  # global variables by the file they are in, as vendors name them
        self._libraries: dict[str, Namespace] = {}
        self._scopes: dict[int, Scope] = {}  # of blocks, functions and type names, by id
        self._resolving: set[TypeName] = set()
        self._later: list[Callable[[], None]] = []
        self._depth = 0
        self._pending: dict[Variable, tuple[ast.VariableDeclaration, Scope]] = {}
        self._settling: set[Variable] = set()
        self._unresolved: set[TypeName] = set()
        self._initials: list[Callable[[], None]] = []
        self._externals: list[tuple[Variable, Scope]] = []
        self.suggestions: dict[tuple[int, str], str | None] = {}  # by scope and unknown name
        self.uses: list[tuple[Span, Found | EnumMember]] = []  # every name in the text with what it means

    # ── names ──────────────────────────────────────────────────────────────────────────────────────
    def declare(self, files: Iterable[ast.File]) -> None:
        """All files at once: what one declares the others see."""
        files = list(files)
        for file in files:
            self._collect(file.declarations, self._library(file), file.span.source)
        for file in files:
            self._scopes_of(
                file.declarations, self._library(file), file.usings, tuple(self._libraries.values())
            )
        for type_name in list(self.types):
            self.resolve(type_name)
        for block in self.blocks:
            self._declare_block(block)
        for function in self.functions:
            self._declare_function(function)
        for variable in list(self._pending):
            self.settle(variable)
        self._check_containment()

    def _library(self, file: ast.File) -> Namespace:
        """Where a file's names go: those of a library into its namespace, which every file uses."""
        name = file.span.source.library
        if not name:
            return self.root
        found = self._libraries.get(name.upper())
        if found is None:
            found = Namespace(name, self.root)
            self._libraries[name.upper()] = found
            self.root.symbols.setdefault(name.upper(), found)
        return found

    def _add(self, namespace: Namespace, key: str, symbol: Symbol, span: Span) -> bool:
        other = namespace.symbols.get(key)
        if other is not None:
            self._twice(symbol.name, span, getattr(other, "span", None))
            return False
        namespace.symbols[key] = symbol
        return True

    def _twice(self, name: str, span: Span, first: Span | None) -> None:
        related = () if first is None else (Related(first, "it is declared here first"),)
        self.diagnostics.report(
            "ST0202", span, f"{name} is declared twice", mend="give one of them another name", related=related
        )

    def _collect(
        self, declarations: tuple[ast.Declaration, ...], namespace: Namespace, source: Source
    ) -> None:
        for declaration in declarations:
            match declaration:
                case ast.TypeBlock():
                    for syntax in declaration.types:
                        type_name = TypeName(syntax.name.text, syntax.name.span, UNKNOWN, syntax, namespace)
                        if self._add(namespace, syntax.name.key, type_name, syntax.name.span):
                            self.types.append(type_name)
                            self._unresolved.add(type_name)
                case ast.Unit():
                    self._collect_unit(declaration, namespace)
                case ast.VariableBlock():
                    self._collect_globals(declaration, namespace, source)
                case ast.Namespace():
                    self._collect(declaration.declarations, self._namespace(declaration, namespace), source)
                case ast.Configuration():
                    for block in declaration.blocks:
                        self._collect_globals(block, namespace, source)
                    for resource in declaration.resources:
                        for block in resource.blocks:
                            self._collect_globals(block, namespace, source)
                case ast.InstanceSettings():
                    pass

    def _namespace(self, syntax: ast.Namespace, parent: Namespace) -> Namespace:
        for name in syntax.path:
            found = parent.symbols.get(name.key)
            if not isinstance(found, Namespace):
                made = Namespace(name.text, parent, is_internal=syntax.is_internal)
                self._add(parent, name.key, made, name.span)
                found = made
            parent = found
        return parent

    def _collect_unit(self, syntax: ast.Unit, namespace: Namespace) -> None:
        name = syntax.name
        if syntax.kind is ast.UnitKind.FUNCTION:
            function = Routine(
                name.text,
                name.span,
                "FUNCTION",
                namespace=namespace,
                modifiers=syntax.modifiers,
                syntax=syntax,
            )
            self._add(namespace, name.key, function, name.span)
            self.functions.append(function)
        else:
            block = Block(
                name.text, name.span, syntax.kind, namespace, modifiers=syntax.modifiers, syntax=syntax
            )
            self._add(namespace, name.key, block, name.span)
            self.blocks.append(block)

    def _collect_globals(self, block: ast.VariableBlock, namespace: Namespace, source: Source) -> None:
        is_qualified_only = any("qualified_only" in pragma.text for pragma in block.pragmas)
        file_name = PurePath(source.path).stem
        listed = self.lists.setdefault(file_name.upper(), Namespace(file_name, None))
        if source.library:
            namespace.symbols.setdefault(file_name.upper(), listed)
        for syntax in block.variables:
            for name in syntax.names:
                variable = Variable(
                    name.text,
                    UNKNOWN,
                    Section.GLOBAL,
                    name.span,
                    block.qualifiers,
                    location=None if syntax.location is None else syntax.location.address,
                    edge=syntax.edge,
                    pragmas=syntax.pragmas,
                )
                if block.section == "VAR_EXTERNAL":
                    self._misplaced(block, "outside of a unit")
                    continue
                if is_qualified_only or self._add(namespace, name.key, variable, name.span):
                    listed.symbols.setdefault(name.key, variable)
                    self.globals.append(variable)
                    self._pending[variable] = (syntax, self._scope(namespace))

    def _misplaced(self, block: ast.VariableBlock, where: str) -> None:
        self.diagnostics.report(
            "ST0208",
            Span(block.span.source, block.span.start, block.span.start + len(block.section)),
            f"{block.section} has no place {where}",
            mend="use another section",
        )

    # ── scopes ─────────────────────────────────────────────────────────────────────────────────────
    def _scope(self, namespace: Namespace, usings: tuple[Namespace, ...] = ()) -> Scope:
        return Scope(namespace, usings, self.standard_blocks)

    def _scopes_of(
        self,
        declarations: tuple[ast.Declaration, ...],
        namespace: Namespace,
        usings: tuple[ast.Using, ...],
        outer: tuple[Namespace, ...],
    ) -> None:
        used = (*self._used(usings, namespace), *outer)
        scope = self._scope(namespace, used)
        for declaration in declarations:
            match declaration:
                case ast.TypeBlock():
                    for syntax in declaration.types:
                        self._scopes[id(syntax)] = scope
                case ast.Unit():
                    self._scopes[id(declaration)] = self._scope(
                        namespace, (*self._used(declaration.usings, namespace), *used)
                    )
                case ast.VariableBlock():
                    self._rescope(declaration, scope)
                case ast.Namespace():
                    inner = self._namespace(declaration, namespace)
                    self._scopes_of(declaration.declarations, inner, declaration.usings, used)
                case ast.Configuration():
                    self.configurations.append((declaration, scope))
                case ast.InstanceSettings():
                    self.settings.append((declaration, scope))

    def _rescope(self, block: ast.VariableBlock, scope: Scope) -> None:
        """The globals of a file see what the file uses."""
        if scope.usings:
            for variable, (syntax, _) in list(self._pending.items()):
                if syntax in block.variables:
                    self._pending[variable] = (syntax, scope)

    def _used(self, usings: tuple[ast.Using, ...], namespace: Namespace) -> tuple[Namespace, ...]:
        found: list[Namespace] = []
        for using in usings:
            for path in using.paths:
                symbol: Symbol | None = self._scope(namespace).find_outside(path[0].key)
                for name in path[1:]:
                    symbol = symbol.symbols.get(name.key) if isinstance(symbol, Namespace) else None
                if isinstance(symbol, Namespace):
                    found.append(symbol)
                else:
                    self.diagnostics.report(
                        "ST0209",
                        path[0].span.to(path[-1].span),
                        f"there is no namespace {'.'.join(name.text for name in path)}",
                        mend="add the file that declares it",
                    )
        return tuple(found)

    # ── types ──────────────────────────────────────────────────────────────────────────────────────
    def resolve(self, type_name: TypeName) -> Type:
        """The type of a declared name."""
        if type_name in self._resolving:
            self.diagnostics.report(
                "ST0207",
                type_name.span,
                f"{type_name.name} is made of itself",
                mend="put a REF_TO in between",
            )
            return UNKNOWN
        if type_name not in self._unresolved:
            return type_name.type
        self._unresolved.discard(type_name)
        self._resolving.add(type_name)
        self._depth += 1
        syntax = type_name.syntax
        scope = self._scopes[id(syntax)]
        match syntax.type:
            case ast.StructType():
                type_name.type = self._structure(syntax.type, syntax.name.text, scope)
            case ast.EnumType():
                type_name.type = self._enumeration(
                    syntax.type, syntax.name.text, scope, type_name.namespace, syntax.pragmas
                )
            case _:
                type_name.type = self.type_of(syntax.type, scope)
                if syntax.initial is None:
                    self._later.append(lambda: self._inherit_type(type_name, scope))
        self._resolving.discard(type_name)
        self._depth -= 1
        if syntax.initial is not None:
            initial, type_ = syntax.initial, type_name.type

            def settle_initial() -> None:
                type_name.initial = self.checker(scope).initial(initial, type_)

            self._later.append(settle_initial)
        if self._depth == 0:
            self._drain()
        return type_name.type

    def _inherit_type(self, type_name: TypeName, scope: Scope) -> None:
        """An alias begins like what it stands for."""
        type_name.initial = self._inherited_initial(type_name.syntax.type, scope)

    def _drain(self) -> None:
        while self._later:
            self._depth += 1
            waiting, self._later = self._later, []
            for one in waiting:
                one()
            self._depth -= 1

    def checker(self, scope: Scope) -> Checker:
        """What checks expressions in a scope."""
        return Checker(self, scope)

    def type_of(self, syntax: ast.TypeExpression, scope: Scope) -> Type:
        """The type that a type expression means; a fault is reported and gives UNKNOWN."""
        match syntax:
            case ast.NamedType():
                return self._named(syntax, scope)
            case ast.StringType():
                return self._string(syntax, scope)
            case ast.ArrayType():
                return self._array(syntax, scope)
            case ast.SubrangeType():
                return self._subrange(syntax, scope)
            case ast.EnumType():
                return self._enumeration(syntax, "enumeration", scope, scope.namespace, ())
            case ast.StructType():
                return self._structure(syntax, "structure", scope)
            case ast.ReferenceType():
                return Reference(syntax.kind, self.type_of(syntax.target, scope))

    def find_type(self, path: tuple[ast.Name, ...], scope: Scope) -> TypeName | Block | None:
        """The declared type of a path, reported where there is none."""
        symbol: object = scope.find_outside(path[0].key)
        for name in path[1:]:
            symbol = symbol.symbols.get(name.key) if isinstance(symbol, Namespace) else None
        if isinstance(symbol, (TypeName, Block)):
            self.uses.append((path[-1].span, symbol))
            return symbol
        written = ".".join(name.text for name in path)
        near = nearest(written, scope.type_names()) if len(path) == 1 else None
        self.diagnostics.report(
            "ST0201",
            path[0].span.to(path[-1].span),
            f"there is no type {written}",
            mend=f"did you mean {near}?" if near else "declare it, or add the file that does",
        )
        return None

    def _named(self, syntax: ast.NamedType, scope: Scope) -> Type:
        path = syntax.path
        if len(path) == 1:
            elementary: Type | None = ELEMENTARY.get(path[0].key)
            if path[0].key == "PVOID":
                elementary = Reference(ast.ReferenceKind.POINTER_TO, BYTE)  # a vendor's address of anything
            if elementary is not None and not isinstance(scope.find_outside(path[0].key), (TypeName, Block)):
                return elementary
        found = self.find_type(path, scope)
        if isinstance(found, TypeName):
            return self.resolve(found)
        return UNKNOWN if found is None else found

    def _string(self, syntax: ast.StringType, scope: Scope) -> Type:
        length = STRING_DEFAULT_LENGTH
        if syntax.length is not None:
            value = self._constant_integer(syntax.length, scope)
            if value is None:
                return UNKNOWN
            if not 1 <= value <= STRING_LONGEST:
                self.diagnostics.report(
                    "ST0313",
                    syntax.length.span,
                    f"a string has 1 to {STRING_LONGEST} characters, not {value}",
                    mend=f"choose a length up to {STRING_LONGEST}",
                )
                return UNKNOWN
            length = value
        return StringOf(syntax.is_wide, length)

    def _constant_integer(self, syntax: ast.Expression, scope: Scope) -> int | None:
        literal = self.checker(scope).constant(syntax)
        if literal is None:
            return None
        if isinstance(literal.value, bool) or not isinstance(literal.value, int):
            self.diagnostics.report(
                "ST0300", syntax.span, f"a whole number is needed here, this is {literal.type}"
            )
            return None
        return literal.value

    def _range(self, syntax: ast.Range, scope: Scope) -> tuple[int, int] | None:
        low = self._constant_integer(syntax.low, scope)
        high = self._constant_integer(syntax.high, scope)
        if low is None or high is None:
            return None
        if low > high:
            self.diagnostics.report(
                "ST0313", syntax.span, f"the range {low}..{high} is empty", mend=f"write {high}..{low}"
            )
            return None
        return low, high

    def _array(self, syntax: ast.ArrayType, scope: Scope) -> Type:
        bounds: list[tuple[int, int] | None] = []
        is_faulty = False
        elements = 1
        for range_ in syntax.ranges:
            found = None if range_ is None else self._range(range_, scope)
            is_faulty |= range_ is not None and found is None
            elements *= 1 if found is None else found[1] - found[0] + 1
            bounds.append(found)
        element = self.type_of(syntax.element, scope)
        if elements > MAX_ELEMENTS:
            self.diagnostics.report(
                "ST0313",
                syntax.span,
                f"{elements} elements are more than {MAX_ELEMENTS}",
                mend="check the bounds",
            )
            is_faulty = True
        if is_faulty:
            return UNKNOWN
        return ArrayOf(tuple(bounds), element, element_name=self._type_name(syntax.element, scope))

    def _subrange(self, syntax: ast.SubrangeType, scope: Scope) -> Type:
        base = plain(self._named(syntax.base, scope))
        bounds = self._range(syntax.range, scope)
        if base is UNKNOWN or bounds is None:
            return UNKNOWN
        if not isinstance(base, Elementary) or base.family not in (Family.SIGNED, Family.UNSIGNED):
            self.diagnostics.report("ST0313", syntax.base.span, f"only integers have subranges, not {base}")
            return UNKNOWN
        if not (fits(bounds[0], base) and fits(bounds[1], base)):
            self.diagnostics.report(
                "ST0313",
                syntax.range.span,
                f"{bounds[0]}..{bounds[1]} is not within {base} ({base.low}..{base.high})",
                mend="take a wider type",
            )
            return UNKNOWN
        return Subrange(base, *bounds)

    def _enumeration(
        self,
        syntax: ast.EnumType,
        name: str,
        scope: Scope,
        namespace: Namespace | None,
        pragmas: tuple[ast.Pragma, ...],
    ) -> Type:
        base: Type = INT if syntax.base is None else plain(self._named(syntax.base, scope))
        if not isinstance(base, Elementary) or base.family not in (
            Family.SIGNED,
            Family.UNSIGNED,
            Family.BIT,
        ):
            if base is not UNKNOWN:
                assert syntax.base is not None
                self.diagnostics.report(
                    "ST0300",
                    syntax.base.span,
                    f"an enumeration counts in integers, not in {base}",
                    mend="write INT",
                )
            base = INT
        is_qualified_only = any("qualified_only" in one.text or "strict" in one.text for one in pragmas)
        type_ = Enumeration(name, base, {}, {}, is_qualified_only)
        next_value = 0
        spans: dict[str, Span] = {}
        for one in syntax.values:
            if one.name.key in type_.values:
                self._twice(one.name.text, one.name.span, spans[one.name.key])
                continue
            if one.value is not None:
                literal = self.checker(scope).constant(one.value, enumeration=type_)
                if literal is not None and isinstance(literal.value, int):
                    next_value = int(literal.value)
                elif literal is not None:
                    self.diagnostics.report(
                        "ST0300", one.value.span, f"an enumeration's value is an integer, not {literal.type}"
                    )
            if not fits(next_value, base):
                self.diagnostics.report(
                    "ST0311", one.span, f"{next_value} is outside of {base}", mend="take a wider base type"
                )
                next_value = 0
            type_.values[one.name.key] = next_value
            type_.spelling[one.name.key] = one.name.text
            spans[one.name.key] = one.name.span
            if namespace is not None and not is_qualified_only:
                member = EnumMember(one.name.text, type_, next_value, one.name.span)
                namespace.enum_members.setdefault(one.name.key, []).append(member)
            next_value += 1
        return type_

    def _structure(self, syntax: ast.StructType, name: str, scope: Scope) -> Structure:
        structure = Structure(name, {}, syntax.is_overlapped)

        def settle_fields() -> None:
            if syntax.extends is not None:
                base = self._named(syntax.extends, scope)
                if isinstance(base, Structure):
                    structure.extends = base
                    structure.fields.update(base.fields)
                elif base is not UNKNOWN:
                    self.diagnostics.report(
                        "ST0503",
                        syntax.extends.span,
                        f"{base} is no structure",
                        mend="extend a STRUCT, or make it a field",
                    )
            for declaration in syntax.fields:
                for field_name in declaration.names:
                    variable = Variable(
                        field_name.text,
                        UNKNOWN,
                        Section.FIELD,
                        field_name.span,
                        location=None if declaration.location is None else declaration.location.address,
                        pragmas=declaration.pragmas,
                    )
                    if field_name.key in structure.fields:
                        self._twice(field_name.text, field_name.span, structure.fields[field_name.key].span)
                        continue
                    structure.fields[field_name.key] = variable
                    self._pending[variable] = (declaration, scope)
                    self.settle(variable)

        self._later.append(settle_fields)
        if self._depth == 0:
            self._drain()
        return structure

    def _type_name(self, syntax: ast.TypeExpression, scope: Scope) -> TypeName | None:
        """The declared type that a type expression names, if it is only a name."""
        if not isinstance(syntax, ast.NamedType):
            return None
        symbol: object = scope.find_outside(syntax.path[0].key)
        for name in syntax.path[1:]:
            symbol = symbol.symbols.get(name.key) if isinstance(symbol, Namespace) else None
        return symbol if isinstance(symbol, TypeName) else None

    def _inherited_initial(self, syntax: ast.TypeExpression, scope: Scope) -> typed.Expression | None:
        """The initial value that a type's name brings with it."""
        type_name = self._type_name(syntax, scope)
        if type_name is None:
            return None
        self.resolve(type_name)
        return type_name.initial

    # ── variables ──────────────────────────────────────────────────────────────────────────────────
    def settle(self, variable: Variable) -> None:
        """Give a variable its type, initial value and, where it has one, its constant value."""
        waiting = self._pending.get(variable)
        if waiting is None:
            return
        syntax, scope = waiting
        if variable in self._settling:
            if variable.is_constant:
                self.diagnostics.report(
                    "ST0207",
                    variable.span,
                    f"{variable.name} is worked out from itself",
                    mend="give it a value",
                )
            return
        self._settling.add(variable)
        variable.type = self.type_of(syntax.type, scope)
        self._settling.discard(variable)
        self._check_instance(variable, syntax)
        if variable.edge is not None and variable.type not in (BOOL, UNKNOWN):
            self.diagnostics.report(
                "ST0300", syntax.span, f"{variable.edge} is for BOOL, not for {variable.type}"
            )
        if variable.is_constant and syntax.initial is not None:
            self._settling.add(variable)
            self._settle_initial(variable, syntax, scope)
            self._settling.discard(variable)
        elif syntax.initial is not None or _has_start_values(syntax.type):
            self._initials.append(lambda: self._settle_initial(variable, syntax, scope))
        else:
            variable.initial = self._inherited_initial(syntax.type, scope)
            self._initials.append(lambda: self._inherit_late(variable, syntax, scope))
        self._pending.pop(variable, None)

    def settle_initials(self) -> None:
        """Initial values, once every type and every block is known."""
        while self._initials:
            waiting = list(self._initials)
            self._initials.clear()
            for one in waiting:
                one()

    def _check_started(self, variable: Variable, syntax: ast.VariableDeclaration, scope: Scope) -> None:
        """A block whose FB_init wants something is given it by the declaration."""
        type_ = variable.type
        while isinstance(type_, ArrayOf):
            type_ = type_.element
        if is_block(type_) and variable.section not in (Section.IN_OUT, Section.EXTERNAL):
            self.checker(scope).start_values((), type_, syntax.type.span)

    def _inherit_late(self, variable: Variable, syntax: ast.VariableDeclaration, scope: Scope) -> None:
        self._check_started(variable, syntax, scope)
        if variable.initial is None:
            variable.initial = self._inherited_initial(syntax.type, scope)

    def _settle_initial(self, variable: Variable, syntax: ast.VariableDeclaration, scope: Scope) -> None:
        checker = self.checker(scope)
        if syntax.initial is not None:
            variable.initial = checker.initial(syntax.initial, variable.type)
        if isinstance(syntax.type, ast.NamedType) and syntax.type.arguments is not None:
            started = checker.start_values(syntax.type.arguments, variable.type, syntax.type.span)
            variable.initial = _both(started, variable.initial)
        elif isinstance(syntax.type, ast.ArrayType) and syntax.type.starts:
            started = checker.start_elements(syntax.type, variable.type)
            variable.initial = _both(started, variable.initial)
        else:
            self._check_started(variable, syntax, scope)
        if variable.is_constant and isinstance(variable.initial, typed.Literal):
            variable.constant = variable.initial

    def _check_instance(self, variable: Variable, syntax: ast.VariableDeclaration) -> None:
        type_ = variable.type
        while isinstance(type_, ArrayOf):
            places = {Section.INPUT, Section.OUTPUT, Section.IN_OUT}
            if isinstance(variable.owner, Block):
                places = {Section.IN_OUT}
            if None in type_.bounds and (type_ is not variable.type or variable.section not in places):
                self.diagnostics.report(
                    "ST0313",
                    syntax.type.span,
                    "ARRAY [*] is for parameters of functions and methods, and in-outs of blocks",
                    mend="write ARRAY [low..high], or make it VAR_IN_OUT",
                )
            type_ = type_.element
        if not is_block(type_):
            return
        assert isinstance(type_, Block)
        if type_.is_abstract:
            self.diagnostics.report(
                "ST0500",
                syntax.type.span,
                f"{type_.name} is abstract: there are no instances of it",
                mend="use a block that extends it, or a reference",
            )
        if type_.kind is ast.UnitKind.PROGRAM:
            self.diagnostics.report(
                "ST0201",
                syntax.type.span,
                f"{type_.name} is a PROGRAM; variables are instances of function blocks",
                mend="make it a FUNCTION_BLOCK, or run it from a RESOURCE",
            )

    # ── units ──────────────────────────────────────────────────────────────────────────────────────
    def _variables(
        self,
        blocks: tuple[ast.VariableBlock, ...],
        into: dict[str, Variable],
        owner: Block | Routine,
        scope: Scope,
        kind: ast.UnitKind,
    ) -> None:
        for block in blocks:
            if block.section not in _SECTIONS_OF[kind]:
                self._misplaced(block, f"in a {kind}")
                continue
            for syntax in block.variables:
                for name in syntax.names:
                    variable = Variable(
                        name.text,
                        UNKNOWN,
                        Section(block.section),
                        name.span,
                        block.qualifiers,
                        location=None if syntax.location is None else syntax.location.address,
                        edge=syntax.edge,
                        owner=owner,
                        pragmas=syntax.pragmas,
                    )
                    if name.key in into:
                        self._twice(name.text, name.span, into[name.key].span)
                        continue
                    into[name.key] = variable
                    self._pending[variable] = (syntax, scope)
                    if block.section == "VAR_EXTERNAL":
                        self._externals.append((variable, scope))

    def link_externals(self) -> None:
        """Every VAR_EXTERNAL means a global of the same name and type (6.5.2.2)."""
        for variable, scope in self._externals:
            found = scope.find_outside(variable.name.upper())
            if not isinstance(found, Variable):
                near = nearest(variable.name, (one.name for one in self.globals))
                self.diagnostics.report(
                    "ST0206",
                    variable.span,
                    f"there is no global variable {variable.name}",
                    mend=f"did you mean {near}?" if near else "declare it in a VAR_GLOBAL",
                )
                continue
            variable.target = found
            if found.type != variable.type and UNKNOWN not in (found.type, variable.type):
                self.diagnostics.report(
                    "ST0206",
                    variable.span,
                    f"{variable.name} is {variable.type} here and {found.type} where it is declared",
                    mend=f"write {found.type}",
                    related=(Related(found.span, "it is declared here"),),
                )
            if found.is_constant and variable.constant is None:
                variable.constant = found.constant

    def _declare_function(self, function: Routine) -> None:
        syntax = function.syntax
        assert isinstance(syntax, ast.Unit)
        outer = self._scopes[id(syntax)]
        scope = outer.inside(None, function)
        self._routine(function, syntax, scope, ast.UnitKind.FUNCTION)
        self.units.append(UnitScope(function, scope))

    def _routine(self, routine: Routine, syntax: ast.Unit, scope: Scope, kind: ast.UnitKind) -> None:
        self._variables(syntax.blocks, routine.variables, routine, scope, kind)
        if syntax.result is not None:
            routine.result = self.type_of(syntax.result, scope)
            self._result(routine, syntax.name.text, syntax.name.key, syntax.name.span)

    def _result(self, routine: Routine, name: str, key: str, span: Span) -> None:
        other = routine.variables.get(key)
        if other is not None:
            self._twice(name, other.span, span)
            return
        routine.variables[key] = Variable(name, routine.result, Section.RESULT, span, owner=routine)

    def _declare_block(self, block: Block) -> None:
        syntax = block.syntax
        assert syntax is not None
        outer = self._scopes[id(syntax)]
        scope = outer.inside(block)
        self._inherit(block, syntax, outer)
        self._variables(syntax.blocks, block.variables, block, scope, syntax.kind)
        if syntax.kind is not ast.UnitKind.INTERFACE:
            self.units.append(UnitScope(block, scope))
        actions = [one for one in syntax.members if isinstance(one, ast.Action)]
        names: dict[str, Span] = {
            key: one.span
            for key, one in block.variables.items()
            if not (syntax.span.source.is_lenient and any(key == member.name.key for member in actions))
        }
        charts = _charts(syntax)
        for chart in charts:
            for step in chart.steps:
                self._step(block, step, names)
        for member in syntax.members:
            if member.name.key in names:
                self._twice(member.name.text, member.name.span, names[member.name.key])
                continue
            names[member.name.key] = member.name.span
            match member:
                case ast.Unit():
                    self._method(block, member, outer)
                case ast.Property():
                    self._property(block, member, outer)
                case ast.Action():
                    action = Routine(member.name.text, member.name.span, "ACTION", block, syntax=member)
                    block.actions[member.name.key] = action
                    self.units.append(UnitScope(action, outer.inside(block, action)))

        for chart in charts:
            for step in chart.steps:
                for use in step.actions:
                    self._control(block, use.name)

    def _control(self, block: Block, name: ast.Name) -> None:
        """What 6.7.4.6 associates with an action, once for all steps that name it. A BOOL variable shows what its
        control says, so that nobody has to see that."""
        is_action = name.key in block.actions
        block.controls.setdefault(
            name.key,
            Variable(
                name.text if is_action else f"tl_control_{name.text}",
                action_control(),
                Section.LOCAL,
                name.span,
                frozenset() if is_action else frozenset({"HIDDEN"}),
                owner=block,
                is_read=True,
            ),
        )

    def _step(self, block: Block, step: ast.Step, names: dict[str, Span]) -> None:
        if step.name.key in names:
            self._twice(step.name.text, step.name.span, names[step.name.key])
            return
        names[step.name.key] = step.name.span
        block.steps[step.name.key] = Variable(
            step.name.text, step_type(), Section.LOCAL, step.name.span, owner=block, is_read=True
        )

    def _inherit(self, block: Block, syntax: ast.Unit, scope: Scope) -> None:
        for index, named in enumerate(syntax.extends):
            base = self.find_type(named.path, scope)
            if base is None:
                continue
            is_right = (
                isinstance(base, Block)
                and base.is_interface == block.is_interface
                and base.kind is not ast.UnitKind.PROGRAM
                and syntax.kind is not ast.UnitKind.PROGRAM
            )
            if not is_right or (index > 0 and not block.is_interface):
                self.diagnostics.report(
                    "ST0503",
                    named.span,
                    f"{block.name} can not extend {base.name}"
                    + (": only one block can be extended" if is_right else ""),
                    mend="extend one function block or class; implement interfaces",
                )
                continue
            assert isinstance(base, Block)
            if "FINAL" in base.modifiers:
                self.diagnostics.report(
                    "ST0503",
                    named.span,
                    f"{base.name} is FINAL: nothing extends it",
                    mend="remove FINAL there, or use an instance of it",
                )
            elif block.is_interface:
                block.interfaces.append(base)
            else:
                block.base = base
                if block in base.lineage():
                    self.diagnostics.report(
                        "ST0207", named.span, f"{block.name} extends itself", mend="break the circle"
                    )
                    block.base = None
        for named in syntax.implements:
            interface = self.find_type(named.path, scope)
            if isinstance(interface, Block) and interface.is_interface and not block.is_interface:
                block.interfaces.append(interface)
            elif interface is not None:
                self.diagnostics.report(
                    "ST0503",
                    named.span,
                    f"{block.name} can not implement {interface.name}, which is no interface",
                    mend="write EXTENDS for a block",
                )

    def _method(self, block: Block, syntax: ast.Unit, outer: Scope) -> None:
        method = Routine(
            syntax.name.text,
            syntax.name.span,
            "METHOD",
            block,
            modifiers=syntax.modifiers,
            syntax=syntax,
        )
        scope = outer.inside(block, method)
        self._routine(method, syntax, scope, ast.UnitKind.METHOD)
        block.methods[syntax.name.key] = method
        self.units.append(UnitScope(method, scope))

    def _property(self, block: Block, syntax: ast.Property, outer: Scope) -> None:
        type_ = self.type_of(syntax.type, outer)
        property_ = PropertySymbol(syntax.name.text, syntax.name.span, type_, block, syntax.modifiers)
        block.properties[syntax.name.key] = property_
        for accessor, kind in ((syntax.getter, "GET"), (syntax.setter, "SET")):
            if accessor is None:
                continue
            routine = Routine(
                syntax.name.text,
                syntax.name.span,
                kind,
                block,
                modifiers=syntax.modifiers | accessor.modifiers,
                syntax=accessor,
            )
            scope = outer.inside(block, routine)
            self._variables(accessor.blocks, routine.variables, routine, scope, ast.UnitKind.METHOD)
            if kind == "GET":
                routine.result = type_
                self._result(routine, syntax.name.text, syntax.name.key, syntax.name.span)
                property_.getter = routine
            else:
                routine.variables[syntax.name.key] = Variable(
                    syntax.name.text, type_, Section.INPUT, syntax.name.span, owner=routine, is_read=True
                )
                property_.setter = routine
            self.units.append(UnitScope(routine, scope))

    # ── what contains itself ───────────────────────────────────────────────────────────────────────
    def _check_containment(self) -> None:
        """An instance can not hold an instance of its own type, however deep."""
        done: set[Block | Structure] = set()
        owners: list[Block | Structure] = list(self.blocks)
        owners.extend(one.type for one in self.types if isinstance(one.type, Structure))
        for owner in owners:
            self._contains(owner, [], done)

    def _contains(
        self, owner: Block | Structure, path: list[Block | Structure], done: set[Block | Structure]
    ) -> None:
        if owner in done:
            return
        done.add(owner)
        if isinstance(owner, Structure):
            variables = list(owner.fields.values())
        else:
            variables = [
                one
                for one in owner.all_variables()
                if one.section not in (Section.IN_OUT, Section.EXTERNAL, Section.TEMP)
            ]
        for variable in variables:
            type_ = variable.type
            while isinstance(type_, ArrayOf):
                type_ = type_.element
            if not isinstance(type_, (Block, Structure)) or (isinstance(type_, Block) and type_.is_interface):
                continue
            if type_ is owner or type_ in path:
                self.diagnostics.report(
                    "ST0207",
                    variable.span,
                    f"{owner.name} holds {variable.name}, and so contains itself",
                    mend="hold a reference (REF_TO) instead",
                )
                variable.type = UNKNOWN
            else:
                self._contains(type_, [*path, owner], done)


def _charts(unit: ast.Unit) -> list[ast.Chart]:
    """The chart that is a unit's body, then those of its actions."""
    bodies = [unit.body, *(one.body for one in unit.members if isinstance(one, ast.Action))]
    return [body for body in bodies if isinstance(body, ast.Chart)]


def _has_start_values(syntax: ast.TypeExpression) -> bool:
    return (isinstance(syntax, ast.NamedType) and syntax.arguments is not None) or (
        isinstance(syntax, ast.ArrayType) and bool(syntax.starts)
    )


def _both(started: typed.Expression, initial: typed.Expression | None) -> typed.Expression:
    """``Block(a := 1) := (b := 2)``: what follows the type goes before what follows ``:=``."""
    match started, initial:
        case typed.StructValue(), typed.StructValue():
            return replace(started, values=(*started.values, *initial.values))
        case typed.ArrayValue(), typed.ArrayValue() if len(started.items) == len(initial.items):
            items = zip(started.items, initial.items, strict=True)
            return replace(
                started,
                items=tuple(
                    ours
                    if isinstance(ours, typed.Repeated) or isinstance(theirs, typed.Repeated)
                    else _both(ours, theirs)
                    for ours, theirs in items
                ),
            )
    return started


@cache
def step_type() -> Structure:
    """What a step's name stands for: whether it is active and for how long (6.7.2)."""
    place = Span(Source("step", ""), 0, 0)
    fields = {
        "X": Variable("X", BOOL, Section.FIELD, place),
        "T": Variable("T", TIME, Section.FIELD, place),
    }
    return Structure("STEP", fields, is_overlapped=False, is_step=True)


@cache
def standard_blocks() -> dict[str, Block]:
    """The standard function blocks by upper-case name."""
    return _brought(standard.blocks_text())


@cache
def action_control() -> Block:
    """What decides when an action runs (6.7.4.6); it has no name in the language."""
    return _brought(standard.ACTION_CONTROL)["ACTION_CONTROL"]


def _brought(text: str) -> dict[str, Block]:
    diagnostics = Diagnostics()
    file = parse(Source("standard", text), diagnostics).file
    declarations = Declarations(diagnostics, {})
    declarations.declare([file])
    assert diagnostics.found == []
    for block in declarations.blocks:
        block.is_standard = True
    return {block.name.upper(): block for block in declarations.blocks}
