"""What is in a structure, as its server defines it (OPC 10000-3, 8.49; OPC 10000-6, 5.2.6), and the way in.

Errors: `FieldError`, for a path that leads nowhere or a body that is not as defined.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from gateway.drivers.opcua.wire import EXTENSION_OBJECT, MAX_DEPTH, Cursor, NodeKey, Raw, WireError

MAX_SHOWN = 8  # names of fields in a message


class FieldError(Exception):
    """There is no such part in the value; the text is for the integrator."""


class StructureKind(Enum):
    """How the fields follow each other (OPC 10000-3, 8.48)."""

    PLAIN = 0
    OPTIONAL_FIELDS = 1
    UNION = 2


@dataclass(frozen=True, slots=True)
class StructureField:
    """A field: of a built-in type, or of the structure whose data type is ``structure``."""

    name: str
    type: int
    structure: NodeKey | None
    is_array: bool
    is_optional: bool


@dataclass(frozen=True, slots=True)
class Structure:
    """A structure's fields in order."""

    kind: StructureKind
    fields: tuple[StructureField, ...]


@dataclass(slots=True)
class Definitions:
    """Structures of one server: by the NodeId of the data type, and which encoding is of which data type."""

    structures: dict[NodeKey, Structure]
    encodings: dict[NodeKey, NodeKey]

    def of(self, raw: Raw) -> Structure | None:
        """How a value is made; None where the server has not said so."""
        data_type = self.encodings.get(raw.type)
        return None if data_type is None else self.structures.get(data_type)


def part_of(value: object, path: Sequence[str | int], definitions: Definitions) -> object:
    """What a path leads to in a value; None where the server left out what it leads through. Raises FieldError."""
    for depth, step in enumerate(path):
        if value is None:
            return None
        if isinstance(value, Raw):
            value = unfold(value, definitions)
        if isinstance(step, int):
            if not isinstance(value, list):
                raise FieldError(f"{shown(path[: depth + 1])}: it is no array")
            if step >= len(value):
                raise FieldError(f"{shown(path[: depth + 1])}: the array has {len(value)} elements")
            value = value[step]
        else:
            if not isinstance(value, Mapping):
                raise FieldError(f"{shown(path[: depth + 1])}: it is no structure")
            if step not in value:
                names = ", ".join(list(value)[:MAX_SHOWN])
                raise FieldError(f"{shown(path[: depth + 1])}: there is no such field; there are: {names}")
            value = value[step]
    return value


def shown(path: Sequence[str | int]) -> str:
    """A path as the site file writes it."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def unfold(raw: Raw, definitions: Definitions) -> Mapping[str, object]:
    """The fields of a structure by name; those in it that are ExtensionObjects stay `Raw`. Raises FieldError."""
    structure = definitions.of(raw)
    if structure is None:
        raise FieldError("the server does not tell how this structure is made")
    try:
        return _fields(Cursor(raw.body), structure, definitions, 0)
    except (WireError, struct.error) as error:
        raise FieldError(f"the structure is not as its server defines it: {error}") from error


def _fields(at: Cursor, structure: Structure, definitions: Definitions, depth: int) -> dict[str, object]:
    if depth > MAX_DEPTH:
        raise WireError("structures nested too deep")
    found: dict[str, object] = {}
    if structure.kind is StructureKind.UNION:
        chosen = at.u32()
        if chosen > len(structure.fields):
            raise WireError(f"the field {chosen} of a union of {len(structure.fields)}")
        for place, field in enumerate(structure.fields, 1):
            found[field.name] = _field(at, field, definitions, depth) if place == chosen else None
        return found
    mask = at.u32() if structure.kind is StructureKind.OPTIONAL_FIELDS else 0
    bit = 1
    for field in structure.fields:
        is_there = True
        if field.is_optional:
            is_there = bool(mask & bit)
            bit <<= 1
        found[field.name] = _field(at, field, definitions, depth) if is_there else None
    return found


def _field(at: Cursor, field: StructureField, definitions: Definitions, depth: int) -> object:
    if field.structure is None:
        return at.array(field.type, depth + 1) if field.is_array else at.value(field.type, depth + 1)
    structure = definitions.structures.get(field.structure)
    if structure is None:
        if field.type == EXTENSION_OBJECT:
            raise WireError(f"the field {field.name} is of a structure that the server does not tell")
        return at.value(field.type, depth + 1)
    if not field.is_array:
        return _fields(at, structure, definitions, depth + 1)
    return [_fields(at, structure, definitions, depth + 1) for _ in range(max(at.count(), 0))]
