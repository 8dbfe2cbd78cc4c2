"""The SunSpec models as typed values. Only this knows pysunspec2, of which nothing but its model definitions is used.

Its client is left out: it keeps the values of a device, and what is needed here is where they lie.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

SOURCE = f"pysunspec2 {version('pysunspec2')}"


class Form(StrEnum):
    """Types of the SunSpec Device Information Model Specification 1.1, 4.2."""

    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    UINT16 = "uint16"
    UINT32 = "uint32"
    UINT64 = "uint64"
    ACC16 = "acc16"
    ACC32 = "acc32"
    ACC64 = "acc64"
    ENUM16 = "enum16"
    ENUM32 = "enum32"
    BITFIELD16 = "bitfield16"
    BITFIELD32 = "bitfield32"
    BITFIELD64 = "bitfield64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    COUNT = "count"
    STRING = "string"
    IPADDR = "ipaddr"
    IPV6ADDR = "ipv6addr"
    EUI48 = "eui48"
    SUNSSF = "sunssf"
    PAD = "pad"


@dataclass(frozen=True, slots=True)
class PointDefinition:
    """A point of a group. ``scale_factor``: the name of the point that tells it, or a constant power of ten."""

    name: str
    form: Form
    registers: int
    label: str
    description: str
    unit: str
    scale_factor: str | int | None
    is_writable: bool
    is_static: bool
    symbols: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class GroupDefinition:
    """Points, then groups. ``count``: how often it is there, or the point that tells; 0 to the model's end."""

    name: str
    label: str
    count: int | str
    points: tuple[PointDefinition, ...]
    groups: tuple[GroupDefinition, ...]


@cache
def definition_of(model: int) -> GroupDefinition | None:
    """The model's outermost group, its number and length included; None for a model that is not defined."""
    file = files("sunspec2") / "models" / "json" / f"model_{model}.json"
    if not file.is_file():
        return None
    return _group(json.loads(file.read_text(encoding="utf-8"))["group"])


def _group(group: Mapping[str, Any]) -> GroupDefinition:
    return GroupDefinition(
        name=group["name"],
        label=_line(group.get("label", "")),
        count=group.get("count", 1),
        points=tuple(_point(point) for point in group.get("points", ())),
        groups=tuple(_group(inner) for inner in group.get("groups", ())),
    )


def _point(point: Mapping[str, Any]) -> PointDefinition:
    symbols = {symbol["value"]: symbol for symbol in point.get("symbols", ())}
    return PointDefinition(
        name=point["name"],
        form=Form(point["type"]),
        registers=int(point["size"]),
        label=_line(point.get("label", "")),
        description=_line(point.get("desc", "")),
        unit=_line(point.get("units", "")),
        scale_factor=_scale_factor(point.get("sf")),
        is_writable=point.get("access") == "RW",
        is_static=point.get("static") == "S",
        symbols={value: _line(symbol.get("label") or symbol["name"]) for value, symbol in symbols.items()},
    )


def _scale_factor(written: str | int | None) -> str | int | None:
    if isinstance(written, str) and written.lstrip("-").isdecimal():
        return int(written)
    return written


def _line(text: str) -> str:
    return " ".join(text.split())
