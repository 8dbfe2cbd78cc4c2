"""How a file of samples is to be read: its columns, its times, and what its tags are called here."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.config.document import HOLE, read_document, read_source
from gateway.config.fault import FaultLog
from gateway.config.kinds import ANY_LINE, Boolean, Choice, Integer, Key, Named, Reading, Section, Text
from gateway.config.site_keys.values import LONGEST_TAG_NAME, OWN_TAG_GRAMMAR, OWN_TAG_NAME
from gateway.config.zones import Zone
from gateway.tags.tag import ValueType
from historian.errors import HistoryError
from historian.keeping.zone import zone_named

UNITS_NS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
TYPES = {type.name.lower(): type for type in ValueType}

_COLUMN = Text("the name of a column")
_TAG = Text(OWN_TAG_GRAMMAR, OWN_TAG_NAME, LONGEST_TAG_NAME)
MAP = Section(
    "a map",
    (
        Key("layout", Choice(("long", "wide")), "long: a sample a line; wide: a column a tag.", None),
        Key("time", _COLUMN, "The column of times.", "time"),
        Key("tag", _COLUMN, "The column of tags, of long files.", "tag"),
        Key("value", _COLUMN, "The column of values, of long files.", "value"),
        Key(
            "quality",
            _COLUMN,
            "The column of qualities, of long files; unless given, status or quality.",
            None,
        ),
        Key("time_zone", Zone(), "Of times without an offset; the site's unless given.", None),
        Key("time_unit", Choice(tuple(UNITS_NS)), "Of times that are numbers since 1970.", None),
        Key("delimiter", Text("one character", r".|\t"), "Between the columns of a CSV file.", ","),
        Key("decimal", Choice((".", ",")), "The decimal sign of a CSV file.", "."),
        Key(
            "tags",
            Named(
                "a tag or column of the file",
                ANY_LINE,
                "",
                Text(OWN_TAG_GRAMMAR, OWN_TAG_NAME, LONGEST_TAG_NAME),
                1_000,
            ),
            "What tags of the file are called here; the others keep their names.",
            {},
        ),
        Key("only_named", Boolean(), "Leave out tags that `tags` does not name.", False),
        Key(
            "types",
            Named("a tag", OWN_TAG_NAME, OWN_TAG_GRAMMAR, Choice(tuple(TYPES)), LONGEST_TAG_NAME),
            "Types of tags that history does not have yet; unless given, what their first value is.",
            {},
        ),
        Key(
            "qualities",
            Named("a quality of the file", ANY_LINE, "", Integer(0, 0xFFFF_FFFF), 200),
            "StatusCodes of words in the quality column; 0 is Good, 0x80000000 Bad, 0x40000000 Uncertain.",
            {},
        ),
    ),
)


class FaultyMap(HistoryError):  # noqa: N818 - reads as the claim it makes
    """A map that is not right; the message has a line for each fault."""


@dataclass(frozen=True, slots=True)
class ImportMap:
    """A map as it is used. ``layout`` is None where the file's head decides; ``zone`` where it is the site's."""

    layout: str | None = None
    time: str = "time"
    tag: str = "tag"
    value: str = "value"
    quality: str | None = None
    zone: datetime.tzinfo | None = None
    unit_ns: int | None = None
    delimiter: str = ","
    decimal: str = "."
    tags: Mapping[str, str] = field(default_factory=dict)
    only_named: bool = False
    types: Mapping[str, ValueType] = field(default_factory=dict)
    qualities: Mapping[str, int] = field(default_factory=dict)


def read_map(path: Path) -> ImportMap:
    """Raises FaultyMap, OSError."""
    faults = FaultLog()
    source = read_source(path, path.read_bytes(), faults)
    node = read_document(source, faults) if source is not None else None
    found: Any = MAP.read(node, "map", Reading(faults)) if node is not None else HOLE
    if len(faults):
        raise FaultyMap(str(faults.sorted([path])))
    assert found is not HOLE
    return ImportMap(
        found["layout"],
        found["time"],
        found["tag"],
        found["value"],
        found["quality"],
        None if found["time_zone"] is None else zone_named(found["time_zone"]),
        None if found["time_unit"] is None else UNITS_NS[found["time_unit"]],
        found["delimiter"],
        found["decimal"],
        found["tags"],
        found["only_named"],
        {tag: TYPES[type] for tag, type in found["types"].items()},
        found["qualities"],
    )
