"""The kinds of value a site file holds. Each can read a node and say itself as JSON Schema.

`gateway.config.site_keys` has the tables of keys made of these; parser, schema and the test of the docs go by them.
`read` gives the typed value, or HOLE after it has reported why there is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any, Protocol

from gateway.config import units
from gateway.config.document import HOLE, Hole, ListNode, MappingNode, Node, Plain, ScalarNode
from gateway.config.expression import BadExpression, Scope, substitute
from gateway.config.fault import FaultLog, Place, nearest, quote, suggestion

MAX_TEXT = 1_000  # characters of a description; an operator reads one line
# Without control characters, as it goes to terminals, and without halves of surrogate pairs, which are no text.
ANY_LINE = r"[^\u0000-\u001f\u007f-\u009f\u2028\u2029\ud800-\udfff]+"
MAX_ITEMS = 1_000  # of a list in a site file; the longest useful one names a few dozen files

Schema = dict[str, Any]
EXPRESSION_SCHEMA: Schema = {"type": "string", "pattern": r"\$\{[^{}]+\}"}


@dataclass(slots=True)
class Reading:
    """What readers share: where faults go, and what ``${...}`` may use; None where it may not be used at all."""

    faults: FaultLog
    scope: Scope | None = None

    def scalar(self, node: ScalarNode, name: str) -> Plain | Hole:
        """The value of a scalar with its ``${...}`` replaced."""
        if not node.has_expression or node.value is HOLE:
            return node.value
        if self.scope is None:
            self.faults.add(
                node.place,
                f"'${{' in {quote(name)}",
                "parameters are for devices and templates only; write the value out",
            )
            return HOLE
        try:
            return substitute(node.text, self.scope)
        except BadExpression as bad:
            self.faults.add(node.place, bad.found, bad.mend)
            return HOLE


class Kind(Protocol):
    """A kind of value."""

    @property
    def what(self) -> str:
        """The kind in words, after "write": ``an integer 1..125``."""
        ...

    def read(self, node: Node, name: str, reading: Reading) -> Any:
        """The typed value of ``node``, the value of key ``name``; HOLE where a fault was reported."""
        ...

    def schema(self, expressions: bool) -> Schema:
        """JSON Schema 2020-12; with ``expressions``, ``${...}`` is allowed too."""
        ...


def describe(value: object) -> str:
    """What was found, as a noun."""
    match value:
        case None:
            return "empty"
        case bool():
            return "true" if value else "false"
        case int():
            return f"the integer {value}"
        case float():
            return f"the number {value!r}"
        case str():
            return f"the text {quote(value)}" if value else "an empty text"
        case ListNode():
            return "a list"
        case MappingNode():
            return "a mapping"
    raise AssertionError(value)


def wrong(node: Node, name: str, value: object, kind: Kind, reading: Reading, mend: str = "") -> Hole:
    """Report that ``value`` is not of this kind."""
    hint = mend or f"write {kind.what}"
    if (
        isinstance(value, str)
        and isinstance(node, ScalarNode)
        and node.quoted
        and not node.has_expression
        and not mend
    ):
        hint += " without quotes" if isinstance(kind, Integer | Number | Boolean) else ""
    reading.faults.add(node.place, f"{quote(name)} is {describe(value)}", hint)
    return HOLE


def plain(node: Node, name: str, kind: Kind, reading: Reading) -> Plain | Hole:
    """The value of a node that must be a scalar."""
    if isinstance(node, ScalarNode):
        return reading.scalar(node, name)
    return wrong(node, name, node, kind, reading)


def _or_expression(schema: Schema, expressions: bool) -> Schema:
    return {"anyOf": [schema, EXPRESSION_SCHEMA]} if expressions else schema


@dataclass(frozen=True, slots=True)
class Boolean:
    """true or false."""

    @property
    def what(self) -> str:
        return "true or false"

    def read(self, node: Node, name: str, reading: Reading) -> bool | Hole:
        value = plain(node, name, self, reading)
        if isinstance(value, bool | Hole):
            return value
        return wrong(node, name, value, self, reading)

    def schema(self, expressions: bool) -> Schema:
        return _or_expression({"type": "boolean"}, expressions)


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number from ``low`` to ``high``, both included."""

    low: int
    high: int
    unit: str = ""

    @property
    def what(self) -> str:
        return f"an integer {self.low}..{self.high}{' ' if self.unit else ''}{self.unit}"

    def read(self, node: Node, name: str, reading: Reading) -> int | Hole:
        value = plain(node, name, self, reading)
        if isinstance(value, Hole):
            return value
        if type(value) is int and self.low <= value <= self.high:
            return value
        return wrong(node, name, value, self, reading)

    def schema(self, expressions: bool) -> Schema:
        return _or_expression({"type": "integer", "minimum": self.low, "maximum": self.high}, expressions)


@dataclass(frozen=True, slots=True)
class Number:
    """A finite number; ``low`` and ``high`` are included, ``above`` is not."""

    low: float | None = None
    high: float | None = None
    above: float | None = None
    not_zero: bool = False

    @property
    def what(self) -> str:
        words = "a number"
        if self.above is not None:
            words += f" greater than {self.above:g}"
        if self.low is not None:
            words += f" of at least {self.low:g}"
        if self.high is not None:
            words += (
                f"{' and' if self.low is not None or self.above is not None else ' of'} at most {self.high:g}"
            )
        return words + (" other than 0" if self.not_zero else "")

    def read(self, node: Node, name: str, reading: Reading) -> float | Hole:
        value = plain(node, name, self, reading)
        if isinstance(value, Hole):
            return value
        if isinstance(value, bool) or not isinstance(value, int | float):
            return wrong(node, name, value, self, reading)
        fits = (
            (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (self.above is None or value > self.above)
            and not (self.not_zero and value == 0)
        )
        return float(value) if fits else wrong(node, name, value, self, reading)

    def schema(self, expressions: bool) -> Schema:
        schema: Schema = {"type": "number"}
        for key, limit in (("minimum", self.low), ("maximum", self.high), ("exclusiveMinimum", self.above)):
            if limit is not None:
                schema[key] = limit
        if self.not_zero:
            schema["not"] = {"const": 0}
        return _or_expression(schema, expressions)


@dataclass(frozen=True, slots=True)
class Text:
    """Text that a pattern matches as a whole."""

    described: str = "text"
    pattern: str = ANY_LINE
    longest: int = MAX_TEXT

    @property
    def what(self) -> str:
        return self.described

    def read(self, node: Node, name: str, reading: Reading) -> str | Hole:
        value = plain(node, name, self, reading)
        if isinstance(value, Hole):
            return value
        if not isinstance(value, str):
            if value is None or (isinstance(node, ScalarNode) and node.has_expression):
                return wrong(node, name, value, self, reading)
            assert isinstance(node, ScalarNode)
            return wrong(
                node, name, value, self, reading, f'write {self.what}, in quotes: "{node.text[:40]}"'
            )
        if len(value) > self.longest:
            reading.faults.add(
                node.place, f"{quote(name)} has {len(value)} characters", f"write at most {self.longest}"
            )
            return HOLE
        if re.fullmatch(self.pattern, value) is None:
            return wrong(node, name, value, self, reading)
        return value

    def schema(self, expressions: bool) -> Schema:
        schema: Schema = {"type": "string", "minLength": 1, "maxLength": self.longest}
        if self.pattern != ANY_LINE:
            schema["pattern"] = f"^(?:{self.pattern})$"
        return _or_expression(schema, expressions)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words; read as the enum's member where ``enum`` is given."""

    words: tuple[str, ...]
    enum: type[StrEnum] | None = None
    described: str = ""

    @property
    def what(self) -> str:
        return self.described or f"one of: {', '.join(self.words)}"

    def read(self, node: Node, name: str, reading: Reading) -> Any:
        value = plain(node, name, self, reading)
        if isinstance(value, Hole):
            return value
        if not isinstance(value, str):
            return wrong(node, name, value, self, reading)
        if value not in self.words:
            near = nearest(value, self.words)
            return wrong(node, name, value, self, reading, f"write '{near}'" if near else "")
        return value if self.enum is None else self.enum(value)

    def schema(self, expressions: bool) -> Schema:
        return _or_expression({"enum": list(self.words)}, expressions)


def choice(enum: type[StrEnum]) -> Choice:
    """A choice among an enum's members."""
    return Choice(tuple(member.value for member in enum), enum)


@dataclass(frozen=True, slots=True)
class UnitSymbol:
    """An engineering unit, by its symbol or as typed on a plain keyboard; read as the symbol."""

    @property
    def what(self) -> str:
        return "one of the units listed in docs/site-files.md, such as kW, V or °C"

    def read(self, node: Node, name: str, reading: Reading) -> str | Hole:
        value = plain(node, name, self, reading)
        if isinstance(value, Hole):
            return value
        if not isinstance(value, str):
            return wrong(node, name, value, self, reading)
        unit = units.unit_of(value)
        if unit is not None:
            return unit.symbol
        right = units.SPELLINGS.get(value)
        return wrong(node, name, value, self, reading, f"write '{right}'" if right else "")

    def schema(self, expressions: bool) -> Schema:
        words = [*units.UNITS, *(unit.typed for unit in units.UNITS.values() if unit.typed)]
        return _or_expression({"enum": words}, expressions)


@dataclass(frozen=True, slots=True)
class Anything:
    """Any single value: what it must be depends on something else."""

    described: str = "a single value"

    @property
    def what(self) -> str:
        return self.described

    def read(self, node: Node, name: str, reading: Reading) -> bool | int | float | str | Hole:
        value = plain(node, name, self, reading)
        if value is None:
            return wrong(node, name, value, self, reading)
        if isinstance(value, str) and len(value) > MAX_TEXT:
            reading.faults.add(
                node.place, f"{quote(name)} has {len(value)} characters", f"write at most {MAX_TEXT}"
            )
            return HOLE
        return value

    def schema(self, expressions: bool) -> Schema:
        return {"type": ["boolean", "number", "string"]}


@dataclass(frozen=True, slots=True)
class Pair:
    """``[low, high]``, low below high."""

    @property
    def what(self) -> str:
        return "two numbers, [low, high]"

    def read(self, node: Node, name: str, reading: Reading) -> tuple[float, float] | Hole:
        if not isinstance(node, ListNode) or len(node.items) != 2:
            if isinstance(node, ScalarNode) and node.value is HOLE:
                return HOLE
            if isinstance(node, ListNode):
                reading.faults.add(
                    node.place, f"{quote(name)} has {len(node.items)} values", f"write {self.what}"
                )
                return HOLE
            return wrong(node, name, node.text if isinstance(node, ScalarNode) else node, self, reading)
        low = Number().read(node.items[0], name, reading)
        high = Number().read(node.items[1], name, reading)
        if isinstance(low, Hole) or isinstance(high, Hole):
            return HOLE
        if low >= high:
            reading.faults.add(
                node.place,
                f"{quote(name)} goes from {low:g} to {high:g}",
                "write the lower number first: [low, high]",
            )
            return HOLE
        return low, high

    def schema(self, expressions: bool) -> Schema:
        return {"type": "array", "items": Number().schema(expressions), "minItems": 2, "maxItems": 2}


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of one kind, in file order; items that are faulty are left out."""

    item: Kind
    described: str

    @property
    def what(self) -> str:
        return self.described

    def read(self, node: Node, name: str, reading: Reading) -> tuple[Any, ...] | Hole:
        return tuple(value for value, _ in self.read_places(node, name, reading))

    def read_places(self, node: Node, name: str, reading: Reading) -> list[tuple[Any, Place]]:
        """The items with where they are."""
        if not isinstance(node, ListNode):
            if not (isinstance(node, ScalarNode) and node.value is HOLE):
                wrong(node, name, node.text or None if isinstance(node, ScalarNode) else node, self, reading)
            return []
        if len(node.items) > MAX_ITEMS:
            reading.faults.add(
                node.place, f"{quote(name)} has {len(node.items)} items", f"write at most {MAX_ITEMS}"
            )
            return []
        read = [(self.item.read(item, name, reading), item.place) for item in node.items]
        return [(value, place) for value, place in read if value is not HOLE]

    def schema(self, expressions: bool) -> Schema:
        return {"type": "array", "items": self.item.schema(expressions), "maxItems": MAX_ITEMS}


class _Required(Enum):
    REQUIRED = 0


REQUIRED = _Required.REQUIRED


@dataclass(frozen=True, slots=True)
class When:
    """Where a key has a meaning: while another key of its section has one of ``values``."""

    key: str
    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class Key:
    """One setting: its name, kind, default (REQUIRED, or None where absence means something) and meaning."""

    name: str
    kind: Kind
    doc: str
    default: object = REQUIRED
    when: When | None = None  # elsewhere it is a fault to give it, and none to leave it out


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping with known keys."""

    title: str  # "a point": for messages and as the schema's title
    keys: tuple[Key, ...]
    by_name: dict[str, Key] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {key.name: key for key in self.keys})

    @property
    def what(self) -> str:
        return f"with its keys: {', '.join(list(self.by_name)[:6])}, ..."

    def read(self, node: Node, name: str, reading: Reading) -> Settings | Hole:
        if not isinstance(node, MappingNode):
            if isinstance(node, ScalarNode) and node.value is HOLE:
                return HOLE
            value = node.value if isinstance(node, ScalarNode) else node
            return wrong(node, name, value, self, reading, f"write {self.title} {self.what}")
        settings = Settings(self, node.place)
        meant: set[str | None] = set()
        for key_node, value_node in node.entries:
            key = self.by_name.get(key_node.text)
            if key is None:
                if not reading.faults.is_full:  # the search for a near word is slow
                    meant.add(nearest(key_node.text, self.by_name))
                    mend = suggestion(key_node.text, self.by_name, "remove it")
                else:
                    mend = "remove it"
                reading.faults.add(
                    key_node.place, f"unknown key {quote(key_node.text)} in {self.title}", mend
                )
                continue
            settings.put(
                key.name, key.kind.read(value_node, key.name, reading), key_node.place, value_node.place
            )
        for key in self.keys:
            has_use = self._has_use(key, settings)
            if key.name in settings and has_use is False:
                assert key.when is not None
                reading.faults.add(
                    settings.key_at(key.name),
                    f"{quote(key.name)} where {quote(key.when.key)} is {settings[key.when.key]}",
                    "remove it",
                )
            is_missing = key.default is REQUIRED and key.name not in settings and has_use
            if is_missing and node.is_whole and key.name not in meant:
                reading.faults.add(
                    node.place,
                    f"{self.title} without {quote(key.name)}",
                    f"add '{key.name}: ...', {key.kind.what}",
                )
        return settings

    @staticmethod
    def _has_use(key: Key, settings: Settings) -> bool | None:
        """Whether the key means something beside what the others say; None where that cannot be told."""
        if key.when is None:
            return True
        said = settings[key.when.key]
        return None if said is None else said in key.when.values

    def schema(self, expressions: bool) -> Schema:
        properties: Schema = {}
        for key in self.keys:
            properties[key.name] = {**key.kind.schema(expressions), "description": key.doc}
            if key.default is not REQUIRED and key.default is not None:
                default = key.default
                properties[key.name]["default"] = list(default) if isinstance(default, tuple) else default
        schema: Schema = {"type": "object", "title": self.title, "properties": properties}
        required = [key.name for key in self.keys if key.default is REQUIRED and key.when is None]
        if required:
            schema["required"] = required
        sometimes = [
            self._sometimes(key, key.when)
            for key in self.keys
            if key.default is REQUIRED and key.when is not None
        ]
        if sometimes:
            schema["allOf"] = sometimes
        schema["additionalProperties"] = False
        return schema

    def _sometimes(self, key: Key, when: When) -> Schema:
        """The schema of a key that is required beside some values of another."""
        condition: Schema = {"properties": {when.key: {"enum": sorted(when.values)}}}
        if self.by_name[when.key].default not in when.values:
            condition["required"] = [when.key]
        return {"if": condition, "then": {"required": [key.name]}}


class Settings:
    """A section that was read. A key that was not given has its default, a faulty one is None."""

    __slots__ = ("_places", "_section", "_values", "place")

    def __init__(self, section: Section, place: Place) -> None:
        self.place = place
        self._section = section
        self._values: dict[str, Any] = {}
        self._places: dict[str, tuple[Place, Place]] = {}

    def put(self, name: str, value: Any, key_place: Place, place: Place) -> None:
        """Note what was read."""
        self._values[name] = None if value is HOLE else value
        self._places[name] = (key_place, place)

    def __getitem__(self, name: str) -> Any:
        if name in self._values:
            return self._values[name]
        default = self._section.by_name[name].default
        return None if default is REQUIRED else default

    def __contains__(self, name: str) -> bool:
        """Whether the file gives this key, be it faulty."""
        return name in self._values

    def is_sound(self, *names: str) -> bool:
        """Whether none of these keys is faulty or missing."""
        return all(
            self._values[name] is not None
            if name in self._values
            else self._section.by_name[name].default is not REQUIRED
            for name in names
        )

    def at(self, name: str) -> Place:
        """Where the value of a key is; where the section is, if the key is not given."""
        return self._places[name][1] if name in self._places else self.place

    def key_at(self, name: str) -> Place:
        """Where the key itself is."""
        return self._places[name][0] if name in self._places else self.place


@dataclass(frozen=True, slots=True)
class Named:
    """A mapping whose keys are names that the site gives."""

    name_kind: str  # "a device": what the names name
    pattern: str
    grammar: str
    value: Kind
    longest: int = 64

    @property
    def what(self) -> str:
        return f"with a name for each: 'name: ...' (they name {self.name_kind})"

    def read(self, node: Node, name: str, reading: Reading) -> dict[str, Any] | Hole:
        if not isinstance(node, MappingNode):
            self._refuse(node, name, reading)
            return HOLE
        return {
            key.text: self.value.read(item, key.text, reading)
            for key, item in self.entries(node, name, reading)
        }

    def _refuse(self, node: Node, name: str, reading: Reading) -> None:
        if not (isinstance(node, ScalarNode) and node.value is HOLE):
            value = node.value if isinstance(node, ScalarNode) else node
            wrong(node, name, value, self, reading, "write 'name: ...' pairs, or remove the key")

    def entries(self, node: Node, name: str, reading: Reading) -> Iterator[tuple[ScalarNode, Node]]:
        """Names and what they stand for, unread; faulty names are reported and left out."""
        if not isinstance(node, MappingNode):
            self._refuse(node, name, reading)
            return
        for key, item in node.entries:
            if len(key.text) > self.longest:
                reading.faults.add(
                    key.place, f"a name of {len(key.text)} characters", f"write at most {self.longest}"
                )
            elif re.fullmatch(self.pattern, key.text) is None:
                reading.faults.add(
                    key.place, f"the name {quote(key.text)} for {self.name_kind}", self.grammar
                )
            else:
                yield key, item

    def schema(self, expressions: bool) -> Schema:
        return {
            "type": "object",
            "propertyNames": {"pattern": f"^(?:{self.pattern})$", "maxLength": self.longest},
            "additionalProperties": self.value.schema(expressions),
        }


@dataclass(frozen=True, slots=True)
class States:
    """Names of an enumerated point's values: ``{0: open, 1: closed}``."""

    @property
    def what(self) -> str:
        return "names by value: {0: open, 1: closed}"

    def read(self, node: Node, name: str, reading: Reading) -> dict[int, str] | Hole:
        if not isinstance(node, MappingNode):
            if isinstance(node, ScalarNode) and node.value is HOLE:
                return HOLE
            value = node.value if isinstance(node, ScalarNode) else node
            return wrong(node, name, value, self, reading)
        if len(node.entries) > MAX_ITEMS:
            reading.faults.add(
                node.place, f"{quote(name)} has {len(node.entries)} items", f"write at most {MAX_ITEMS}"
            )
            return HOLE
        states: dict[int, str] = {}
        for key, item in node.entries:
            if type(key.value) is not int:
                reading.faults.add(
                    key.place, f"the state {quote(key.text)} is not an integer", f"write {self.what}"
                )
                continue
            label = Text(longest=80).read(item, name, reading)
            if not isinstance(label, Hole):
                states[key.value] = label
        return states

    def schema(self, expressions: bool) -> Schema:
        return {
            "type": "object",
            "propertyNames": {"pattern": "^(?:-?[0-9]+|0x[0-9a-fA-F]+)$"},
            "additionalProperties": Text(longest=80).schema(expressions),
        }


@dataclass(frozen=True, slots=True)
class Later:
    """A value that is read when its parameters are known: reads as the node itself."""

    kind: Kind
    expressions: bool | None = None  # whether `${...}` may be used inside; None: as outside

    @property
    def what(self) -> str:
        return self.kind.what

    def read(self, node: Node, name: str, reading: Reading) -> Node | Hole:
        return HOLE if isinstance(node, ScalarNode) and node.value is HOLE else node

    def schema(self, expressions: bool) -> Schema:
        return self.kind.schema(expressions if self.expressions is None else self.expressions)


@dataclass(frozen=True, slots=True)
class ByProtocol:
    """A value whose keys depend on the device's protocol; the reader of the device takes its own of ``kinds``."""

    kinds: Mapping[str, Kind]

    @property
    def what(self) -> str:
        return next(iter(self.kinds.values())).what

    def read(self, node: Node, name: str, reading: Reading) -> Node | Hole:
        return HOLE if isinstance(node, ScalarNode) and node.value is HOLE else node

    def schema(self, expressions: bool) -> Schema:
        schemas = [kind.schema(expressions) for kind in self.kinds.values()]
        return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


@dataclass(frozen=True, slots=True)
class OrAlone:
    """A section, or its key ``main`` alone: ``x: gvl.x`` stands for ``x: {variable: gvl.x}``."""

    section: Section
    main: str

    @property
    def what(self) -> str:
        return f"{self.section.by_name[self.main].kind.what}, or keys"

    def read(self, node: Node, name: str, reading: Reading) -> Settings | Hole:
        if isinstance(node, MappingNode):
            return self.section.read(node, name, reading)
        settings = Settings(self.section, node.place)
        value = self.section.by_name[self.main].kind.read(node, name, reading)
        settings.put(self.main, value, node.place, node.place)
        return settings

    def schema(self, expressions: bool) -> Schema:
        return {
            "anyOf": [
                self.section.by_name[self.main].kind.schema(expressions),
                self.section.schema(expressions),
            ]
        }
