"""Data types of a server, asked for as they are met: what is in its structures, and what a node takes.

A data type is a built-in one, an enumeration (written as Int32), a structure, or a subtype of one of these (OPC
10000-3, 5.8); a structure's definition is its DataTypeDefinition attribute, which servers before 1.04 do not have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from gateway.drivers.opcua.structures import (
    Definitions,
    FieldError,
    Structure,
    StructureField,
    StructureKind,
    unfold,
)
from gateway.drivers.opcua.wire import (
    DIAGNOSTIC,
    EXTENSION_OBJECT,
    INT32,
    VARIANT,
    NodeKey,
    Raw,
    StructureDefinition,
)

ENUMERATION: NodeKey = (0, 29)
MAX_ANCESTORS = 16  # from a data type up to a built-in one; the standard's deepest has five
MAX_STRUCTURES = 1_000  # of one server that are followed
# Abstract number types (OPC 10000-3, 8): a value of them comes as a Variant.
_ABSTRACT = {(0, number): VARIANT for number in (26, 27, 28)}


class TypeSource(Protocol):
    """Who is asked (`gateway.drivers.opcua.connection.Connection`). All raise as `Connection.read` does."""

    async def definition(self, data_type: NodeKey) -> StructureDefinition | None: ...
    async def data_type_of(self, encoding: NodeKey) -> NodeKey | None: ...
    async def supertype_of(self, data_type: NodeKey) -> NodeKey | None: ...


class DataTypes:
    """What one server has told of its data types."""

    def __init__(self, source: TypeSource) -> None:
        self.definitions = Definitions({}, {})
        self._source = source
        self._built_in: dict[NodeKey, int] = {}
        self._asked: set[NodeKey] = set()

    async def built_in_of(self, data_type: NodeKey) -> int:
        """The built-in type that values of a data type have; 0 where the server does not say."""
        known = self._built_in.get(data_type)
        if known is not None:
            return known
        one: NodeKey | None = data_type
        found = 0
        for _ in range(MAX_ANCESTORS):
            if one is None:
                break
            if one == ENUMERATION:
                found = INT32
                break
            if one in _ABSTRACT:
                found = _ABSTRACT[one]
                break
            if one[0] == 0 and isinstance(one[1], int) and 1 <= one[1] <= DIAGNOSTIC:
                found = one[1]
                break
            one = await self._source.supertype_of(one)
        self._built_in[data_type] = found
        return found

    async def learn(self, values: Iterable[object]) -> bool:
        """Ask for all structures in these values, and those in them; whether anything new was told."""
        known = len(self.definitions.structures)
        waiting = list(_raws(values))
        while waiting:
            raw = waiting.pop()
            if raw.type not in self.definitions.encodings and raw.type not in self._asked:
                self._asked.add(raw.type)
                data_type = await self._source.data_type_of(raw.type)
                if data_type is not None:
                    self.definitions.encodings[raw.type] = data_type
                    await self._learn_type(data_type)
            try:
                waiting += _raws(unfold(raw, self.definitions).values())
            except FieldError:
                continue  # who asks for a part of it is told
        return len(self.definitions.structures) > known

    async def _learn_type(self, data_type: NodeKey) -> None:
        waiting = [data_type]
        while waiting and len(self.definitions.structures) < MAX_STRUCTURES:
            one = waiting.pop()
            if one in self.definitions.structures or (one != data_type and one in self._asked):
                continue
            self._asked.add(one)
            told = await self._source.definition(one)
            if told is None or told.kind not in (0, 1, 2) or not told.fields:
                continue  # what is in it stays unknown: `part_of` says so
            fields = []
            for field in told.fields:
                built_in = await self.built_in_of(field.data_type)
                is_structure = built_in == EXTENSION_OBJECT and field.data_type != (0, EXTENSION_OBJECT)
                if is_structure:
                    waiting.append(field.data_type)
                fields.append(
                    StructureField(
                        field.name,
                        built_in,
                        field.data_type if is_structure else None,
                        field.value_rank >= 1,
                        field.is_optional,
                    )
                )
            self.definitions.structures[one] = Structure(StructureKind(told.kind), tuple(fields))
            self.definitions.encodings.setdefault(told.encoding, one)


def _raws(values: Iterable[object]) -> Iterator[Raw]:
    """Structures in values; a structure's own fields are not looked into."""
    for value in values:
        if isinstance(value, Raw):
            yield value
        elif isinstance(value, list):
            yield from _raws(value)
        elif isinstance(value, Mapping):
            yield from _raws(value.values())
