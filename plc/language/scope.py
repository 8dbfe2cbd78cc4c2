"""Finding what a name means from where it stands (IEC 61131-3 6.5.2.2, 6.6.4): innermost first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from plc.language import standard
from plc.language.symbols import (
    Block,
    EnumMember,
    Namespace,
    PropertySymbol,
    Routine,
    Symbol,
    TypeName,
)
from plc.language.types import ELEMENTARY, Enumeration

Found: TypeAlias = Symbol | PropertySymbol


class Scope:
    """The names seen from inside a unit, or from a file or namespace where there is no unit."""

    __slots__ = ("_found", "block", "namespace", "routine", "standard_blocks", "usings")

    def __init__(
        self,
        namespace: Namespace,
        usings: tuple[Namespace, ...],
        standard_blocks: dict[str, Block],
        block: Block | None = None,
        routine: Routine | None = None,
    ) -> None:
        self.namespace = namespace
        self.usings = usings
        self.standard_blocks = standard_blocks
        self.block = block
        self.routine = routine
        self._found: dict[str, Found | None] = {}

    def inside(
        self, block: Block | None, routine: Routine | None = None, usings: tuple[Namespace, ...] = ()
    ) -> Scope:
        """The scope of a unit that stands in this one."""
        return Scope(self.namespace, (*usings, *self.usings), self.standard_blocks, block, routine)

    def find(self, key: str) -> Found | None:
        """What a name in upper case means; enumeration values and standard functions are asked for elsewhere."""
        try:
            return self._found[key]
        except KeyError:
            found = self._search(key)
            self._found[key] = found
            return found

    def _search(self, key: str) -> Found | None:
        if self.routine is not None:
            variable = self.routine.variables.get(key)
            if variable is not None:
                return variable
        if self.block is not None:
            member = (
                self.block.find_variable(key) or self.block.find_method(key) or self.block.find_property(key)
            )
            if member is not None:
                return member
        return self.find_outside(key)

    def find_outside(self, key: str) -> Symbol | None:
        """What a name means outside all units."""
        namespace: Namespace | None = self.namespace
        while namespace is not None:
            symbol = namespace.symbols.get(key)
            if symbol is not None:
                return symbol
            namespace = namespace.parent
        for using in self.usings:
            symbol = using.symbols.get(key)
            if symbol is not None:
                return symbol
        return self.standard_blocks.get(key)

    def find_global(self, key: str) -> Symbol | None:
        """What ``.name`` means: the outermost namespace only."""
        namespace = self.namespace
        while namespace.parent is not None:
            namespace = namespace.parent
        return namespace.symbols.get(key)

    def enum_members(self, key: str) -> list[EnumMember]:
        """The enumeration values that a bare name can mean."""
        found: list[EnumMember] = []
        for namespace in self._namespaces():
            found.extend(namespace.enum_members.get(key, ()))
        return found

    def _namespaces(self) -> Iterator[Namespace]:
        namespace: Namespace | None = self.namespace
        while namespace is not None:
            yield namespace
            namespace = namespace.parent
        yield from self.usings

    def names(self) -> Iterator[str]:
        """Every name that can be seen, for suggestions."""
        if self.routine is not None:
            yield from _spelt(self.routine.variables.values())
        if self.block is not None:
            yield from member_names(self.block)
        for namespace in self._namespaces():
            yield from _spelt(namespace.symbols.values())
            for members in namespace.enum_members.values():
                yield members[0].name
        yield from self.standard_blocks
        yield from standard.FUNCTIONS

    def type_names(self) -> Iterator[str]:
        """Every name of a type that can be seen, for suggestions."""
        yield from ELEMENTARY
        yield from self.standard_blocks
        for namespace in self._namespaces():
            yield from _spelt(one for one in namespace.symbols.values() if isinstance(one, (TypeName, Block)))


def _spelt(symbols: Iterable[Symbol]) -> Iterator[str]:
    for symbol in symbols:
        yield symbol.name


def member_names(block: Block) -> Iterator[str]:
    """The names of a block's variables, methods, properties and actions, inherited ones too."""
    for one in (*block.lineage(), *block.all_interfaces()):
        yield from _spelt(one.variables.values())
        yield from _spelt(one.methods.values())
        yield from _spelt(one.actions.values())
        for property_ in one.properties.values():
            yield property_.name


def enumeration_of(found: Found | None) -> Enumeration | None:
    """The enumeration that a name stands for, if it names one."""
    if isinstance(found, TypeName) and isinstance(found.type, Enumeration):
        return found.type
    return None
