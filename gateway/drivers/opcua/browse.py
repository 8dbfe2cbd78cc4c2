"""What a server has: its variables and methods with what is known of them, found by browsing from a node down."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.drivers.opcua.connection import (
    ACCESS_LEVEL,
    DATA_TYPE,
    DESCRIPTION,
    HAS_PROPERTY,
    HIERARCHICAL,
    Connection,
    Reference,
)
from gateway.drivers.opcua.structures import Definitions, FieldError, unfold
from gateway.drivers.opcua.types import DataTypes
from gateway.drivers.opcua.wire import LOCALIZED_TEXT, Argument, Cursor, NodeKey, Raw, Reading, WireError

OBJECTS: NodeKey = (0, 85)
MAX_ELEMENTS = 16  # of an array that become points; longer ones are mostly tables or curves
MAX_DEPTH = 20  # of folders in folders
_PROPERTY_TYPE: NodeKey = (0, 68)
_VARIABLE, _METHOD = 2, 4  # node classes
_RANGE: NodeKey = (0, 886)  # encodings of the standard's structures
_UNITS: NodeKey = (0, 889)
_ENUM_VALUE: NodeKey = (0, 8251)
_DESCRIBING = ("EURange", "EngineeringUnits", "EnumStrings", "EnumValues")
_READ, _WRITE = 1, 2  # of the access level


@dataclass(frozen=True, slots=True)
class Leaf:
    """A part of a value that can be a tag: where it is in there, and what it is now."""

    path: tuple[str | int, ...]
    value: object


@dataclass(slots=True)
class Variable:
    """A variable. ``built_in`` is the built-in type of its values; ``unit`` its UNECE number and its symbol."""

    node: NodeKey
    path: tuple[str, ...]  # names from the start down
    built_in: int = 0
    reading: Reading | None = None
    leaves: list[Leaf] = field(default_factory=list)
    is_writable: bool = False
    description: str = ""
    span: tuple[float, float] | None = None
    unit: tuple[int, str] | None = None
    states: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Method:
    """A method, and the object that has it."""

    object: NodeKey
    node: NodeKey
    path: tuple[str, ...]
    arguments: tuple[Argument, ...]


@dataclass(slots=True)
class Found:
    """What a server has. ``is_whole`` is False where there was more than was asked for."""

    variables: list[Variable]
    methods: list[Method]
    is_whole: bool


async def browse(connection: Connection, start: NodeKey, limit: int) -> Found:
    """Variables and methods below ``start``, at most ``limit``; the standard's own are left out.

    Raises as `Connection.read` does.
    """
    types = DataTypes(connection)
    found = Found([], [], True)
    seen = {start}
    waiting: list[tuple[NodeKey, tuple[str, ...]]] = [(start, ())]
    while waiting:
        node, path = waiting.pop(0)
        if len(path) > MAX_DEPTH:
            continue
        for one in await connection.browse(node, HIERARCHICAL):
            if one.node in seen or one.node[0] == 0 or one.type == _PROPERTY_TYPE:
                continue
            if len(found.variables) + len(found.methods) >= limit:
                found.is_whole = False
                waiting.clear()
                break
            seen.add(one.node)
            below = (*path, one.name)
            if one.node_class == _VARIABLE:
                found.variables.append(Variable(one.node, below))
            elif one.node_class == _METHOD:
                arguments = await connection.arguments(one.node)
                found.methods.append(Method(node, one.node, below, tuple(arguments)))
                continue
            waiting.append((one.node, below))
    if found.variables:
        await _read(connection, types, found.variables)
    return found


async def _read(connection: Connection, types: DataTypes, variables: list[Variable]) -> None:
    """What there is to know of each."""
    nodes = [one.node for one in variables]
    values = await connection.read(nodes)
    data_types = await connection.read(nodes, DATA_TYPE)
    levels = await connection.read(nodes, ACCESS_LEVEL)
    descriptions = await connection.read(nodes, DESCRIPTION)
    await types.learn([one.value for one in values])
    enumerations: dict[NodeKey, Mapping[int, str]] = {}
    for place, one in enumerate(variables):
        one.reading = values[place]
        said, level = data_types[place].value, levels[place].value
        data_type: NodeKey | None = (said[0], said[1]) if isinstance(said, tuple) else None
        one.built_in = one.reading.type
        if not one.built_in and data_type is not None:
            one.built_in = await types.built_in_of(data_type)
        one.is_writable = isinstance(level, int) and bool(level & _WRITE)
        text = descriptions[place].value
        one.description = text if isinstance(text, str) else ""
        one.leaves = list(_leaves(one.reading.value, types.definitions))
        await _describe(connection, one, one.node)
        if data_type is not None and data_type[0] != 0 and not one.states:
            if data_type not in enumerations:
                kind = Variable(data_type, ())
                await _describe(connection, kind, data_type)
                enumerations[data_type] = kind.states
            one.states = enumerations[data_type]


async def _describe(connection: Connection, variable: Variable, node: NodeKey) -> None:
    """Range, unit and names of values, which are properties of a node."""
    properties: list[Reference] = [
        one for one in await connection.browse(node, HAS_PROPERTY) if one.name in _DESCRIBING
    ]
    if not properties:
        return
    values = await connection.read([one.node for one in properties])
    for one, reading in zip(properties, values, strict=True):
        try:
            _take_property(variable, one.name, reading.value)
        except (WireError, struct.error):
            continue  # it is not as the standard has it: as good as none


def _take_property(variable: Variable, name: str, value: object) -> None:
    match name, value:
        case "EURange", Raw(type, body) if type == _RANGE:
            low, high = struct.unpack_from("<dd", body)
            if low < high:
                variable.span = low, high
        case "EngineeringUnits", Raw(type, body) if type == _UNITS:
            at = Cursor(body)
            at.string()
            number = at.i32()
            variable.unit = number, str(at.value(LOCALIZED_TEXT, 0) or "")
        case "EnumStrings", list():
            variable.states = {number: str(text) for number, text in enumerate(value) if text}
        case "EnumValues", list():
            states = {}
            for item in value:
                if isinstance(item, Raw) and item.type == _ENUM_VALUE:
                    at = Cursor(item.body)
                    number = at.i64()
                    states[number] = str(at.value(LOCALIZED_TEXT, 0) or number)
            variable.states = states


def _leaves(value: object, definitions: Definitions, path: tuple[str | int, ...] = ()) -> Sequence[Leaf]:
    """The parts of a value that can be tags."""
    if isinstance(value, Raw):
        try:
            value = unfold(value, definitions)
        except FieldError:
            return []
    if isinstance(value, Mapping):
        return [
            leaf for name, part in value.items() for leaf in _leaves(part, definitions, (*path, str(name)))
        ]
    if isinstance(value, list):
        if len(value) > MAX_ELEMENTS:
            return []
        return [leaf for i, part in enumerate(value) for leaf in _leaves(part, definitions, (*path, i))]
    return [Leaf(path, value)]
