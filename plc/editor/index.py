"""What stands where in a checked program: the symbol at an offset, all places of a symbol, the scope of an offset."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TypeAlias

from plc.language import ast
from plc.language.analysis import Program
from plc.language.declare import standard_blocks
from plc.language.parser import Parsed
from plc.language.scope import Found, Scope
from plc.language.source import Source, Span
from plc.language.symbols import (
    Block,
    EnumMember,
    Namespace,
    Routine,
    Section,
    TypeName,
    Variable,
)
from plc.language.tokens import NAME, PREFIX
from plc.language.types import ArrayOf, Enumeration, Structure, Type

Meaning: TypeAlias = Found | EnumMember

shared_standard_blocks = cache(standard_blocks)


class Index:
    """Built once for a program, then only asked."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.sources: dict[str, Source] = {source.path: source for source in program.sources}
        self._parsed: dict[str, Parsed] = {
            source.path: parsed for source, parsed in zip(program.sources, program.files, strict=True)
        }
        self._marks: dict[str, list[tuple[int, int, Meaning]]] = {path: [] for path in self.sources}
        self._spans: dict[object, list[Span]] = {}
        self._units: dict[str, list[tuple[Span, Block | Routine]]] = {path: [] for path in self.sources}
        self._starts: dict[str, list[int]] = {}
        self._enumerations = {one.name.upper() for one in program.types if isinstance(one.type, Enumeration)}
        seen: set[tuple[str, int]] = set()
        for span, symbol in (*_declared(program), *((one.span, one.symbol) for one in program.references)):
            place = (span.source.path, span.start)
            if span.source.path in self._marks and span.end > span.start and place not in seen:
                seen.add(place)
                self._marks[span.source.path].append((span.start, span.end, symbol))
                self._spans.setdefault(identity(symbol), []).append(span)
        for unit in _units(program):
            if unit.syntax is not None and unit.syntax.span.source.path in self._units:
                self._units[unit.syntax.span.source.path].append((unit.syntax.span, unit))
        for span, symbol in self._enumeration_values():
            if (span.source.path, span.start) not in seen:
                self._marks[span.source.path].append((span.start, span.end, symbol))
                self._spans.setdefault(identity(symbol), []).append(span)
        for path, marks in self._marks.items():
            marks.sort(key=lambda mark: mark[0])
            self._starts[path] = [start for start, _, _ in marks]

    def _enumeration_values(self) -> Iterator[tuple[Span, Meaning]]:
        """``Type#Value`` and ``Type.Value``, which the checked tree keeps as numbers."""
        members = {identity(one): one for _, one in _enum_members(self.program.root)}
        for path, parsed in self._parsed.items():
            tokens = parsed.tokens
            for at, kind in enumerate(tokens.kinds[:-1]):
                is_prefix = kind == PREFIX
                value = at + (1 if is_prefix else 2)
                if not is_prefix and not (kind == NAME and tokens.kinds[at + 1] == "."):
                    continue
                if value >= len(tokens) or tokens.kinds[value] != NAME:
                    continue
                key = tokens.words[at]
                if key not in self._enumerations:
                    continue
                scope = self.scope_at(path, tokens.starts[at])
                # Before # stands a type, whatever variable has its name.
                found = scope.find_outside(key) if is_prefix else scope.find(key)
                if not isinstance(found, TypeName) or not isinstance(found.type, Enumeration):
                    continue
                if is_prefix:
                    yield Span(tokens.source, tokens.starts[at], tokens.starts[at] + len(key)), found
                member = members.get((id(found.type), tokens.words[value]))
                if member is not None:
                    yield Span(tokens.source, tokens.starts[value], tokens.ends[value]), member

    def parsed(self, path: str) -> Parsed:
        """A file's tree and tokens."""
        return self._parsed[path]

    def at(self, path: str, offset: int) -> tuple[Span, Meaning] | None:
        """The name at an offset, or that ends there, with what it means."""
        at = bisect_right(self._starts[path], offset) - 1
        if at < 0:
            return None
        start, end, symbol = self._marks[path][at]
        return (Span(self.sources[path], start, end), symbol) if offset <= end else None

    def places(self, symbol: Meaning) -> list[Span]:
        """Every place that names a symbol, its declaration too."""
        return self._spans.get(identity(symbol), [])

    def unit_at(self, path: str, offset: int) -> Block | Routine | None:
        """The innermost unit around an offset; half-typed text may have lost its end."""
        around = [(span, unit) for span, unit in self._units[path] if span.start <= offset]
        inside = [one for one in around if offset <= one[0].end]
        if inside:
            return max(inside, key=lambda one: one[0].start)[1]
        if not around:
            return None
        span, unit = max(around, key=lambda one: one[0].start)
        is_closed = span.text.rstrip("; \t\r\n").upper().split()[-1:][0].startswith("END_")
        return None if is_closed else unit

    def scope_at(self, path: str, offset: int) -> Scope:
        """Where names are looked up that stand at an offset."""
        unit = self.unit_at(path, offset)
        block = unit if isinstance(unit, Block) else unit.owner if unit is not None else None
        routine = unit if isinstance(unit, Routine) else None
        namespace = (
            block.namespace if block is not None else routine.namespace if routine is not None else None
        )
        usings = tuple(self._usings(self._parsed[path].file, offset))
        return Scope(namespace or self.program.root, usings, shared_standard_blocks(), block, routine)

    def _usings(self, node: ast.File | ast.Namespace | ast.Unit, offset: int) -> Iterator[Namespace]:
        for using in node.usings:
            for path in using.paths:
                found = self._namespace(path)
                if found is not None:
                    yield found
        if not isinstance(node, ast.Unit):
            for inner in node.declarations:
                if (
                    isinstance(inner, (ast.Namespace, ast.Unit))
                    and inner.span.start <= offset <= inner.span.end
                ):
                    yield from self._usings(inner, offset)

    def _namespace(self, path: tuple[ast.Name, ...]) -> Namespace | None:
        namespace = self.program.root
        for name in path:
            found = namespace.symbols.get(name.key)
            if not isinstance(found, Namespace):
                return None
            namespace = found
        return namespace


def identity(symbol: Meaning) -> object:
    """What makes two symbols one for who reads: an EXTERNAL is its global, a result is its function."""
    if isinstance(symbol, EnumMember):
        return (id(symbol.type), symbol.name.upper())
    if isinstance(symbol, Variable):
        if symbol.section is Section.RESULT and isinstance(symbol.owner, Routine):
            return id(symbol.owner)
        if symbol.target is not None:
            return id(symbol.target)
    return id(symbol)


def declaration(symbol: Meaning) -> Span | None:
    """Where a symbol is declared; none for what the language brings."""
    if isinstance(symbol, Namespace):
        return None
    if isinstance(symbol, Variable) and symbol.target is not None:
        return symbol.target.span
    return symbol.span


def _units(program: Program) -> Iterator[Block | Routine]:
    for block in program.blocks:
        yield block
        yield from _routines(block)
    yield from program.functions


def _routines(block: Block) -> Iterator[Routine]:
    yield from block.methods.values()
    yield from block.actions.values()
    for one in block.properties.values():
        yield from (accessor for accessor in (one.getter, one.setter) if accessor is not None)


def _declared(program: Program) -> Iterator[tuple[Span, Meaning]]:
    yield from _variables(program.globals)
    for name in program.types:
        yield name.span, name
        yield from _fields(name.type)
    for unit in _units(program):
        if isinstance(unit, Block):
            yield unit.span, unit
            for property_ in unit.properties.values():
                yield property_.span, property_
            yield from _variables(unit.steps.values())
        elif unit.kind not in ("GET", "SET"):
            yield unit.span, unit
        yield from _variables(unit.variables.values())
    yield from _enum_members(program.root)


def _variables(variables: Iterable[Variable]) -> Iterator[tuple[Span, Meaning]]:
    for variable in variables:
        if variable.section is not Section.RESULT:
            yield variable.span, variable
            yield from _fields(variable.type)


def _fields(type_: Type) -> Iterator[tuple[Span, Meaning]]:
    """The fields of a structure, which may be written out where a variable or another field is declared."""
    while isinstance(type_, ArrayOf):
        type_ = type_.element
    if isinstance(type_, Structure):
        for field in type_.fields.values():
            yield field.span, field


def _enum_members(namespace: Namespace) -> Iterator[tuple[Span, Meaning]]:
    for members in namespace.enum_members.values():
        yield from ((member.span, member) for member in members)
    for symbol in namespace.symbols.values():
        if isinstance(symbol, Namespace):
            yield from _enum_members(symbol)
