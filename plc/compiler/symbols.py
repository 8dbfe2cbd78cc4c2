"""The table of symbols: what lies where in a program's state, and how a path finds it (docs/formats/symbols.md)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from plc.compiler.layout import (
    ELSEWHERE,
    Member,
    Record,
    element_count,
    is_open,
    scalar,
    scalar_bytes,
    string_bytes,
)
from plc.compiler.testing import TEXT
from plc.compiler.whole import Whole
from plc.language import typed
from plc.language.ast import UnitKind
from plc.language.symbols import Block, Routine, Section, Variable
from plc.language.types import (
    BOOL,
    LINT,
    ArrayOf,
    Elementary,
    Enumeration,
    Reference,
    StringOf,
    Structure,
    Subrange,
    Type,
)

FORMAT = 1
_PATH = re.compile(
    r"\s*(?:(?P<dot>\.)?\s*(?P<name>%?[A-Za-z_][\w%]*)|\[(?P<index>[^\]]*)\]|(?P<number>\.\d+))\s*"
)


class UnknownPathError(KeyError):
    """There is no variable at a path; the message says how far it is right."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True, slots=True)
class Place:
    """A variable: where it lies from the start of the state, and its type's number."""

    path: str
    type: int
    offset: int
    bytes: int
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Retained:
    """A piece of state that outlives a warm start."""

    key: int
    path: str
    offset: int
    bytes: int


@dataclass(slots=True)
class Symbols:
    """Types by number, variables by upper-case path, functions that can be called."""

    digest: str
    state_bytes: int
    types: list[dict[str, Any]]
    variables: dict[str, dict[str, Any]]
    functions: dict[str, dict[str, Any]]
    tasks: list[str]
    files: list[str] = field(default_factory=list)
    tests: list[dict[str, Any]] = field(default_factory=list)
    coverage: list[dict[str, Any]] = field(default_factory=list)

    # ── looking up ─────────────────────────────────────────────────────────────────────────────────────────────
    def find(self, path: str) -> Place:
        """The variable at a path; raises UnknownPathError. Letter case and blanks do not matter."""
        steps = _steps(path)
        root, used = self._root(steps, path)
        place = Place(path, root["type"], root["offset"], root["bytes"], frozenset(root["flags"]))
        for step in steps[used:]:
            place = self._step(place, step, path)
        return place

    def _root(self, steps: list[str | tuple[int, ...]], path: str) -> tuple[dict[str, Any], int]:
        names: list[str] = []
        found: tuple[dict[str, Any], int] | None = None
        for step in steps:
            if not isinstance(step, str):
                break
            names.append(step)
            root = self.variables.get(".".join(names))
            if root is not None:
                found = root, len(names)
        if found is None:
            raise UnknownPathError(f"{path}: there is no variable or program {names[0] if names else path!r}")
        return found

    def _step(self, place: Place, step: str | tuple[int, ...], path: str) -> Place:
        type_ = self.types[place.type]
        if isinstance(step, str):
            if type_["kind"] != "record":
                raise UnknownPathError(f"{path}: {type_['name']} has no member {step}")
            member = next((one for one in type_["members"] if one["name"].upper() == step), None)
            if member is None:
                raise UnknownPathError(f"{path}: {type_['name']} has no member {step}")
            flags = (place.flags & {"retain", "constant"}) | set(member["flags"])
            return Place(path, member["type"], place.offset + member["offset"], member["bytes"], flags)
        if type_["kind"] != "array":
            raise UnknownPathError(f"{path}: {type_['name']} has no elements")
        index = 0
        bounds = type_["bounds"]
        if len(step) < len(bounds):
            raise UnknownPathError(f"{path}: {type_['name']} takes {len(bounds)} indices")
        for value, (low, high) in zip(step, bounds, strict=False):
            if not low <= value <= high:
                raise UnknownPathError(f"{path}: index {value} is outside of {low}..{high}")
            index = index * (high - low + 1) + value - low
        size = self.types[type_["element"]]["bytes"]
        inner = Place(path, type_["element"], place.offset + index * size, size, place.flags)
        rest = step[len(bounds) :]
        return self._step(inner, rest, path) if rest else inner

    def walk(self) -> Iterator[Place]:
        """Every scalar and string, with its whole path; arrays element by element."""
        for root in self.variables.values():
            start = Place(root["name"], root["type"], root["offset"], root["bytes"], frozenset(root["flags"]))
            yield from self._leaves(start)

    def _leaves(self, place: Place) -> Iterator[Place]:
        type_ = self.types[place.type]
        if type_["kind"] == "record":
            for member in type_["members"]:
                flags = (place.flags & {"retain", "constant"}) | set(member["flags"])
                path = f"{place.path}.{member['name']}"
                yield from self._leaves(
                    Place(path, member["type"], place.offset + member["offset"], member["bytes"], flags)
                )
        elif type_["kind"] == "array":
            size = self.types[type_["element"]]["bytes"]
            for number, index in enumerate(_indices(type_["bounds"])):
                path = f"{place.path}[{','.join(str(one) for one in index)}]"
                yield from self._leaves(
                    Place(path, type_["element"], place.offset + number * size, size, place.flags)
                )
        else:
            yield place

    def retained(self) -> list[Retained]:
        """What a warm start keeps, as few pieces as variables allow."""
        found: list[Retained] = []
        for root in self.variables.values():
            start = Place(root["name"], root["type"], root["offset"], root["bytes"], frozenset(root["flags"]))
            found.extend(self._retained(start))
        return found

    def constants(self) -> list[tuple[int, int]]:
        """Offset and bytes of all constants, in order, as few pieces as can be."""
        pieces: list[tuple[int, int]] = []
        places = (place for place in self.walk() if "constant" in place.flags)
        for offset, size in sorted({(place.offset, place.bytes) for place in places}):
            if pieces and offset <= sum(pieces[-1]):
                first = pieces[-1][0]
                pieces[-1] = (first, max(sum(pieces[-1]), offset + size) - first)
            else:
                pieces.append((offset, size))
        return pieces

    def _retained(self, place: Place) -> Iterator[Retained]:
        type_ = self.types[place.type]
        if "retain" in place.flags and type_["kind"] != "record":
            key = hashlib.sha256(f"{place.path.upper()}:{self._signature(place.type)}".encode()).digest()[:8]
            yield Retained(int.from_bytes(key, "little"), place.path, place.offset, place.bytes)
        elif type_["kind"] == "record":
            for member in type_["members"]:
                if "non_retain" in member["flags"] or "constant" in member["flags"]:
                    continue
                flags = (place.flags & {"retain"}) | set(member["flags"])
                path = f"{place.path}.{member['name']}"
                yield from self._retained(
                    Place(path, member["type"], place.offset + member["offset"], member["bytes"], flags)
                )
        elif type_["kind"] == "array" and self._holds_retained(type_["element"]):
            size = self.types[type_["element"]]["bytes"]
            for number, index in enumerate(_indices(type_["bounds"])):
                path = f"{place.path}[{','.join(str(one) for one in index)}]"
                yield from self._retained(
                    Place(path, type_["element"], place.offset + number * size, size, place.flags)
                )

    def _holds_retained(self, number: int) -> bool:
        type_ = self.types[number]
        if type_["kind"] == "array":
            return self._holds_retained(type_["element"])
        return type_["kind"] == "record" and any(
            "retain" in one["flags"] or self._holds_retained(one["type"]) for one in type_["members"]
        )

    def _signature(self, number: int) -> str:
        """A type as text that changes whenever its bytes mean something else."""
        type_ = self.types[number]
        if type_["kind"] == "array":
            return f"{type_['bounds']} of {self._signature(type_['element'])}"
        if type_["kind"] == "record":
            return str(
                [(one["name"], one["offset"], self._signature(one["type"])) for one in type_["members"]]
            )
        return f"{type_['kind']} {type_['name']} {type_['bytes']}"

    # ── as a file ──────────────────────────────────────────────────────────────────────────────────────────────
    def to_json(self) -> str:
        """The file beside the shared object."""
        return json.dumps(
            {
                "format": FORMAT,
                "digest": self.digest,
                "state_bytes": self.state_bytes,
                "files": self.files,
                "tasks": self.tasks,
                "types": self.types,
                "variables": list(self.variables.values()),
                "functions": list(self.functions.values()),
                "tests": self.tests,
                "coverage": self.coverage,
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str) -> Symbols:
        """Read what ``to_json`` wrote; raises ValueError for another format."""
        data = json.loads(text)
        if data.get("format") != FORMAT:
            raise ValueError(f"symbols of format {data.get('format')}, expected {FORMAT}")
        return cls(
            data["digest"],
            data["state_bytes"],
            data["types"],
            {one["name"].upper(): one for one in data["variables"]},
            {one["name"].upper(): one for one in data["functions"]},
            data["tasks"],
            data["files"],
            data.get("tests", []),
            data.get("coverage", []),
        )


def _steps(path: str) -> list[str | tuple[int, ...]]:
    steps: list[str | tuple[int, ...]] = []
    position = 0
    while position < len(path):
        match = _PATH.match(path, position)
        if match is None:
            raise UnknownPathError(f"{path}: a path looks like main.block.values[2].q")
        if match["index"] is not None:
            try:
                steps.append(tuple(int(one) for one in match["index"].split(",")))
            except ValueError:
                raise UnknownPathError(f"{path}: [{match['index']}] is no list of whole numbers") from None
        elif match["number"] is not None:
            steps[-1] = f"{steps[-1]}{match['number']}"  # %QX0.1
        else:
            steps.append(match["name"].upper())
        position = match.end()
    return steps


def _indices(bounds: list[list[int]]) -> Iterator[tuple[int, ...]]:
    if not bounds:
        yield ()
        return
    low, high = bounds[0]
    for first in range(low, high + 1):
        for rest in _indices(bounds[1:]):
            yield (first, *rest)


# ── making the table ─────────────────────────────────────────────────────────────────────────────────────────────
class _Describer:
    def __init__(self, whole: Whole) -> None:
        self.whole = whole
        self.layout = whole.layout
        self.types: list[dict[str, Any]] = []
        self.numbers: dict[object, int] = {}

    def type(self, type_: Type, variable: Variable | None = None) -> int:
        """The number of a type, described when it is first met."""
        key: object = type_ if not isinstance(type_, (Structure, Block, Enumeration)) else id(type_)
        known = self.numbers.get(key)
        if known is not None:
            return known
        described = self._describe(type_)
        number = len(self.types)
        self.numbers[key] = number
        self.types.append(described)
        return number

    def _describe(self, type_: Type) -> dict[str, Any]:
        name = str(type_)
        kind = scalar(type_)
        if isinstance(type_, Reference) or (isinstance(type_, Block) and type_.is_interface):
            return {"kind": "reference", "name": name, "scalar": "u32", "bytes": 4}
        if kind is not None:
            found: dict[str, Any] = {
                "kind": "scalar",
                "name": name,
                "scalar": kind,
                "bytes": scalar_bytes(kind),
            }
            if isinstance(type_, Enumeration):
                found["kind"] = "enumeration"
                found["values"] = {type_.spelling.get(one, one): value for one, value in type_.values.items()}
            elif isinstance(type_, Subrange):
                found |= {"name": str(type_.base), "low": type_.low, "high": type_.high}
            elif isinstance(type_, Elementary):
                found["family"] = type_.family.name.lower()
            return found
        if isinstance(type_, StringOf):
            kind = "wstring" if type_.is_wide else "string"
            return {"kind": kind, "name": name, "length": type_.length, "bytes": string_bytes(type_)}
        if isinstance(type_, ArrayOf):
            element = self.type(type_.element)
            return {
                "kind": "array",
                "name": name,
                "bounds": [list(one) for one in type_.bounds if one is not None],
                "element": element,
                "bytes": element_count(type_) * self.types[element]["bytes"],
            }
        if isinstance(type_, Structure):
            record = self.layout.structure(type_)
            return self._record("record", name, record)
        assert isinstance(type_, Block)
        record = self.layout.block(type_)
        found = self._record("record", name, record)
        found["is_instance"] = True
        return found

    def _record(self, kind: str, name: str, record: Record) -> dict[str, Any]:
        members: list[dict[str, Any]] = []
        base = record
        chain = [record]
        while base.base is not None:
            base = base.base
            chain.insert(0, base)
        for one in chain:
            members += [self._member(one, variable) for variable in one.by_variable]
            members += [self._hidden(member) for member in one.members if _is_memory(member)]
        return {"kind": kind, "name": name, "members": members, "bytes": record.bytes}

    def _member(self, record: Record, variable: Variable) -> dict[str, Any]:
        member = record.by_variable[variable]
        if variable.section is Section.IN_OUT and isinstance(variable.owner, Block):
            number = self._reference_to(variable.type)
        else:
            number = self.type(variable.type)
        return {
            "name": variable.name,
            "type": number,
            "offset": member.offset,
            "bytes": member.bytes,
            "flags": flags(variable),
        }

    def _hidden(self, member: Member) -> dict[str, Any]:
        """What a block remembers without a name in ST: an online change carries it over too."""
        number = self.type(BOOL if member.c_type == "bool" else LINT)
        return {
            "name": member.c_name,
            "type": number,
            "offset": member.offset,
            "bytes": member.bytes,
            # Where an instance runs is the new program's business, not what the old one remembers.
            "flags": ["hidden", "constant"] if member.c_name.startswith(ELSEWHERE) else ["hidden"],
        }

    def _reference_to(self, type_: Type) -> int:
        name = f"in-out {type_}"
        number = self.numbers.get(name)
        if number is None:
            number = len(self.types)
            self.numbers[name] = number
            self.types.append({"kind": "reference", "name": name, "scalar": "u32", "bytes": 4})
        return number


def _is_memory(member: Member) -> bool:
    return member.variable is None and member.c_type in ("bool", "int64_t")


_SECTION_FLAGS = {
    Section.INPUT: "input",
    Section.OUTPUT: "output",
    Section.IN_OUT: "in_out",
    Section.GLOBAL: "global",
    Section.RESULT: "result",
}


def flags(variable: Variable) -> list[str]:
    """What a reader of the table has to know of a variable."""
    found = [_SECTION_FLAGS[variable.section]] if variable.section in _SECTION_FLAGS else []
    if variable.is_constant:
        found.append("constant")
    if variable.is_retained:
        found.append("retain")
    if "NON_RETAIN" in variable.qualifiers:
        found.append("non_retain")
    if "HIDDEN" in variable.qualifiers:
        found.append("hidden")
    if variable.location is not None:
        found.append(f"at {variable.location}")
    return found


def describe(
    whole: Whole,
    roots: list[tuple[str, Block | typed.DirectUse, str]],
    calls: list[tuple[Routine, str, Record]],
    digest: str,
    tasks: list[str],
) -> Symbols:
    """The table of a program whose state is laid out."""
    describer = _Describer(whole)
    by_name = {f"state->{member.c_name}": member for member in whole.state.members}
    variables: dict[str, dict[str, Any]] = {}

    def add(name: str, type_: Type, place: str, its_flags: list[str]) -> None:
        root, inside = whole.within.get(place, (place, 0))
        number = describer.type(type_)
        variables.setdefault(
            name.upper(),
            {
                "name": name,
                "type": number,
                "offset": by_name[root].offset + inside,
                "bytes": describer.types[number]["bytes"],
                "flags": its_flags,
            },
        )

    for name, thing, place in roots:
        if isinstance(thing, Block):
            add(name, thing, place, ["program"] if thing.kind is UnitKind.PROGRAM else [])
        else:
            add(name, thing.type, place, ["global", f"at {name}"])
    for address, (variable, place) in whole.configured.items():
        add(address, variable.type, place, ["global", f"at {address}"])
    for variable, place in whole.globals.items():
        prefix = "" if variable.owner is None else f"{variable.owner.name}."
        add(f"{prefix}{variable.name}", variable.type, place, flags(variable))
        if variable.location is not None and "*" not in variable.location:
            add(variable.location, variable.type, place, flags(variable))
    for variable, place in whole.statics.items():
        assert variable.owner is not None
        add(f"{variable.owner.qualified}.{variable.name}", variable.type, place, flags(variable))
    for key, place in whole.assertion.items():
        add(f"__assertion.{key}", TEXT, place, ["hidden"])
    functions = {}
    for number, (routine, member_name, record) in enumerate(calls):
        member = by_name[f"state->{member_name}"]
        functions[routine.qualified.upper()] = {
            "name": routine.qualified,
            "number": number,
            "parameters": [
                {
                    **describer._member(record, variable),  # the same module
                    "offset": member.offset + record.by_variable[variable].offset,
                    "is_optional": variable.initial is not None,
                }
                for variable in record.by_variable
                if not is_open(variable.type)
            ],
        }
    return Symbols(digest, whole.state.bytes, describer.types, variables, functions, tasks, list(whole.paths))
