"""Classes of consumers whose daily patterns a forecast learns: their members in a site file, and the tags of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from gateway.config.document import Node
from gateway.config.fault import FaultLog, Place, quote
from gateway.config.forecasts import MAX_CLASSES, MAX_MEMBERS
from gateway.config.kinds import Reading
from gateway.config.site import Tag
from gateway.config.site_keys.forecasts import CONSUMER_CLASSES
from gateway.config.system import FORECAST_OWNER
from gateway.tags.tag import ValueType

TEXT_BYTES = 200
# ending behind the class's name, type, unit, decimals, description
_ROWS: tuple[tuple[str, ValueType, str | None, int | None, str], ...] = (
    ("pattern", ValueType.STRING, None, None, "The pattern that today follows so far"),
    ("unusual_pct", ValueType.DOUBLE, "%", 0, "Share of days that were more usual than today so far"),
)
_MANY_ROWS: tuple[tuple[str, ValueType, str | None, int | None, str], ...] = (
    ("most_unusual", ValueType.STRING, None, None, "Whose day is the most unusual so far"),
)
FindTag = Callable[[str, Place], int | None]  # reports what is no number that history keeps


def read_classes(
    node: Node | None, tags: Sequence[Tag], find: FindTag, faults: FaultLog, *, is_unsure: bool
) -> dict[str, tuple[str, ...]]:
    """Names of members by class; of no use where faults were added."""
    found: dict[str, tuple[str, ...]] = {}
    if node is None:
        return found
    reading = Reading(faults)
    for key, item in CONSUMER_CLASSES.entries(node, "patterns", reading):
        given = CONSUMER_CLASSES.value.read(item, key.text, reading)
        if not isinstance(given, list | tuple):
            continue
        if not given:
            faults.add(item.place, f"{quote(key.text)} is empty", "name the tags of its consumers")
        names = [
            name
            for each in given
            if isinstance(each, str)
            for name in _matching(each, item.place, tags, find, faults, is_unsure)
        ]
        members = tuple(dict.fromkeys(names))
        if len(members) > MAX_MEMBERS:
            faults.add(item.place, f"a class of {len(members)} tags", f"at most {MAX_MEMBERS}: make several")
        found[key.text] = members
    if len(found) > MAX_CLASSES:
        faults.add(node.place, f"{len(found)} classes", f"write at most {MAX_CLASSES}")
    return found


def class_rows(members: Sequence[str], like: Tag) -> Iterator[tuple[str, Tag]]:
    """The tags of a class, by their ending; whose day it is matters where there are several."""
    for ending, type, unit, decimals, text in (*_ROWS, *(_MANY_ROWS if len(members) > 1 else ())):
        yield (
            ending,
            replace(
                like,
                type=type,
                unit=unit,
                decimals=decimals,
                description=text,
                string_bytes=TEXT_BYTES if type is ValueType.STRING else 0,
            ),
        )


def _matching(
    pattern: str, place: Place, tags: Sequence[Tag], find: FindTag, faults: FaultLog, is_unsure: bool
) -> Iterator[str]:
    """Numbers that history keeps, by name or by a pattern of names, under which others are passed over."""
    if not any(letter in pattern for letter in "*?["):
        at = find(pattern, place)
        if at is not None:
            yield tags[at].name
        return
    found = [
        tag.name
        for tag in tags
        if tag.name
        and fnmatchcase(tag.name, pattern)
        and tag.owner != FORECAST_OWNER
        and tag.type is not ValueType.STRING
        and tag.history
    ]
    if not found and not is_unsure:
        faults.add(place, f"no tag is {quote(pattern)}", "see `tieline tags`")
    yield from found
