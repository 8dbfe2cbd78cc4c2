"""What a server has, written as a device of a site file."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.config.opcua_device import FIELD
from gateway.config.units import UNITS, Unit, contradiction, unit_of, unit_of_name
from gateway.drivers.opcua.browse import Found, Leaf, Variable
from gateway.drivers.opcua.structures import shown
from gateway.drivers.opcua.wire import (
    BOOLEAN,
    BYTE,
    BYTE_STRING,
    DATE_TIME,
    DOUBLE,
    FLOAT,
    GUID,
    INT64,
    LOCALIZED_TEXT,
    QUALIFIED_NAME,
    SBYTE,
    STATUS_CODE,
    STRING,
    UINT16,
    UINT32,
    UINT64,
    Moment,
    NodeKey,
    node_text,
)

LONGEST_NAME = 60  # of 64: a number may come behind it
MAX_STATES = 40
_TEXTS = frozenset({STRING, DATE_TIME, GUID, BYTE_STRING, QUALIFIED_NAME, LOCALIZED_TEXT})
_UNSIGNED = frozenset({BYTE, UINT16, UINT32, UINT64, STATUS_CODE})
_NOT_NAMES = frozenset(
    {"on", "off", "yes", "no", "y", "n", "true", "false", "null"}
)  # YAML takes them for values
_BY_NUMBER = {unit.unit_id: unit for unit in UNITS.values() if unit.unit_id > 0}


@dataclass(frozen=True, slots=True)
class Place:
    """How the device is called, where it stands, and how it is reached; ``site`` makes it a whole site."""

    name: str
    area: str
    connection: Mapping[str, str]
    site: str


def device_map(found: Found, namespaces: list[str], place: Place) -> str:
    """The text of the file."""
    taken: set[str] = set()
    points: list[str] = []
    folder: tuple[str, ...] | None = None
    left_out = 0
    for variable in found.variables:
        lines = []
        for leaf in variable.leaves:
            line = _point(variable, leaf, namespaces, taken)
            if line is None:
                left_out += 1
            else:
                lines.append(line)
        left_out += not variable.leaves
        if lines and variable.path[:-1] != folder:
            folder = variable.path[:-1]
            points.append(f"      # {_plain('/'.join(folder)) or 'Objects'}")
        points += lines
    head = [
        f"# What {place.connection['url']} has: {len(taken)} points, {len(found.methods)} methods.",
        "# Remove what is not wanted. What ends in 'writable' takes 'write: {role: operator, low: ..., high: ...}'.",
    ]
    if not found.is_whole:
        head.append("# It has more: raise --limit, or begin further down with --node.")
    if left_out:
        head.append(
            f"# Left out, as no part of them is a number or a text, or they are too long: {left_out}."
        )
    if place.site:
        head += [f"site: {{name: {place.site}}}", f"areas: {{{place.area}: {_quoted('Devices')}}}"]
    connection = ", ".join(f"{key}: {_quoted(value)}" for key, value in place.connection.items())
    head += [
        "devices:",
        f"  {place.name}:",
        f"    area: {place.area}",
        "    protocol: opcua",
        f"    connection: {{{connection}}}",
        "    groups: {all: {period_ms: 1000}}",
        "    points:" if points else "    points: {}",
    ]
    methods = []
    for method in found.methods:
        arguments = ", ".join(_plain(one.name) for one in method.arguments)
        methods.append(
            f"      # {_plain('/'.join(method.path))}({arguments}): method: {{object: "
            f"{_node(method.object, namespaces)}, method: {_node(method.node, namespaces)}"
            f"{', arguments: [value]' if method.arguments else ''}}}"
        )
    return "\n".join([*head, *points, *methods]) + "\n"


def _point(variable: Variable, leaf: Leaf, namespaces: list[str], taken: set[str]) -> str | None:
    kind = _kind(variable, leaf)
    if kind is None or (leaf.path and re.fullmatch(FIELD, shown(leaf.path)) is None):
        return None
    is_number = kind not in ("bool", "string")
    unit = _unit(variable) if is_number and not leaf.path else None
    name, unit = _named(variable, leaf, unit, is_number, taken)
    parts = [f"node: {_node(variable.node, namespaces)}"]
    if leaf.path:
        parts.append(f"field: {_quoted(shown(leaf.path))}")
    if kind != "float64":
        parts.append(f"type: {kind}")
    if unit is not None:
        parts.append(f"unit: {unit.symbol}")
    if variable.span is not None and is_number and all(math.isfinite(end) for end in variable.span):
        parts.append(f"range: [{_number(variable.span[0])}, {_number(variable.span[1])}]")
    if variable.states and kind in ("int64", "uint64") and not leaf.path:
        states = list(variable.states.items())[:MAX_STATES]
        parts.append(f"states: {{{', '.join(f'{number}: {_quoted(text)}' for number, text in states)}}}")
    if variable.description:
        parts.append(f"description: {_quoted(variable.description)}")
    is_writable = variable.is_writable and (not leaf.path or all(isinstance(step, int) for step in leaf.path))
    return f"      {name}: {{{', '.join(parts)}}}{'  # writable' if is_writable else ''}"


def _kind(variable: Variable, leaf: Leaf) -> str | None:
    """The tag's type."""
    if leaf.path:
        match leaf.value:
            case bool():
                return "bool"
            case int():
                return "int64"
            case float():
                return "float64"
            case str() | bytes() | Moment():
                return "string"
        return None
    built_in = variable.built_in
    if built_in == BOOLEAN:
        return "bool"
    if built_in in (FLOAT, DOUBLE):
        return "float64"
    if built_in in _UNSIGNED:
        return "uint64"
    if SBYTE <= built_in <= INT64:
        return "int64"
    return "string" if built_in in _TEXTS else None


def _named(
    variable: Variable, leaf: Leaf, unit: Unit | None, is_number: bool, taken: set[str]
) -> tuple[str, Unit | None]:
    """A name that no other point has, its unit last, and the unit that it then says."""
    own = "_".join(str(step) for step in leaf.path)
    for depth in range(1, len(variable.path) + 1):
        words = "_".join([*variable.path[-depth:], own])
        name = _snake(words)
        if is_number:
            name, said = _with_unit(name, unit)
        else:
            said = None
        if name not in taken:
            break
    number = 2
    plain, end = name, f"_{said.suffix}" if said is not None and name.endswith(f"_{said.suffix}") else ""
    while name in taken:
        name = f"{plain.removesuffix(end)}_{number}{end}"
        number += 1
    taken.add(name)
    return name, said


def _with_unit(name: str, unit: Unit | None) -> tuple[str, Unit | None]:
    symbol = None if unit is None else unit.symbol
    if contradiction(name, symbol) is not None:
        if unit is None:  # the name says one
            return name, unit_of_name(name)
        name = f"{name}_{unit.suffix}" if unit.suffix else f"{name}_value"
    elif unit is not None and unit.suffix and not name.endswith(f"_{unit.suffix}") and name != unit.suffix:
        name = f"{name}_{unit.suffix}"
    return name, unit


def _unit(variable: Variable) -> Unit | None:
    if variable.unit is None:
        return None
    number, symbol = variable.unit
    return _BY_NUMBER.get(number) or unit_of(symbol)


def _node(key: NodeKey, namespaces: list[str]) -> str:
    """By the namespace's URI, which stays, where it has one that can be written."""
    space, identifier = key
    uri = namespaces[space] if space < len(namespaces) else ""
    text = node_text(key)
    if space and uri and re.fullmatch(r"[^;\s]+", uri):
        text = f"nsu={uri};{node_text((0, identifier))}"
    return _quoted(text)


def _number(value: float) -> str:
    return f"{value:.12g}"


def _snake(text: str) -> str:
    spread = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", text)
    name = re.sub(r"[^a-z0-9]+", "_", spread.lower()).strip("_")[:LONGEST_NAME].strip("_")
    if not name or not name[0].isalpha():
        name = f"v_{name}".strip("_")
    return f"{name}_value" if name in _NOT_NAMES else name


def _plain(text: str) -> str:
    """Without what would end a comment."""
    return "".join(c if c.isprintable() else " " for c in text)


def _quoted(text: str) -> str:
    return json.dumps(_plain(text).replace("${", "$ {")[:1000], ensure_ascii=False)
