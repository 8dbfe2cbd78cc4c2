"""The `control` section of a site file, and the tags that selects and control add."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from gateway.config.condition import VALUE, BadCondition, read_condition
from gateway.config.control import (
    HOLDER_STATES,
    ControlArea,
    ControlSettings,
    Interlock,
    Seat,
    control_folder,
)
from gateway.config.document import ScalarNode
from gateway.config.fault import FaultLog, Place, quote, suggestion
from gateway.config.kinds import Named, Reading, Settings, describe
from gateway.config.site import Tag, WriteLimits
from gateway.config.site_keys.control import CONTROL_AREAS, INTERLOCKS
from gateway.config.system import AREA, DRIVERS_OWNER, STALE_AFTER_MS
from gateway.tags.tag import ValueType

SELECT_SUFFIX = ".select"
USER_BYTES = 64 * 4  # of a user's name
TAKE_TIMEOUT_MS = 2_000  # a small file is written


def select_tags(tags: Sequence[Tag]) -> list[Tag]:
    """The tags by which clients without a select of their own select points, for ``tags`` that ask for it."""
    added: list[Tag] = []
    for tag in tags:
        if tag.write is None or not tag.write.handling.select_ms:
            continue
        handling = replace(tag.write.handling, is_emergency=False, emergency_value=None)
        added.append(
            replace(
                tag,
                name=tag.name + SELECT_SUFFIX,
                owner=DRIVERS_OWNER,
                description=f"Selects {tag.name}: write the value here, then there",
                history=False,
                stale_after_ms=STALE_AFTER_MS,
                write=replace(tag.write, handling=replace(handling, confirm_ms=0)),
            )
        )
    return added


@dataclass(frozen=True, slots=True)
class ReadAreas:
    """The areas of the section, and the tags that they add after all others."""

    areas: tuple[ControlArea, ...] = ()
    tags: tuple[Tag, ...] = ()


def read_control_areas(
    settings: Settings | None, tags: Sequence[Tag], areas: Mapping[str, Place], faults: FaultLog
) -> ReadAreas:
    """What of the section is needed before the logic is read, whose inputs may be tags of control."""
    if settings is None or settings["areas"] is None:
        return ReadAreas()
    found: list[ControlArea] = []
    added: list[Tag] = []
    for key, s in _entries(settings, "areas", CONTROL_AREAS, faults):
        known = {parent for path in areas for parent in _and_above(path)}
        if key.text not in known:
            if not faults.unsure:
                faults.add(
                    key.place,
                    f"the unknown area {quote(key.text)}",
                    suggestion(key.text, known, "name one of the site's"),
                )
            continue
        if not s.is_sound("role", "hold_s") or ("default" in s and s["default"] is None):
            continue
        first = len(tags) + len(added)
        added += _area_tags(key.text, s)
        found.append(ControlArea(key.text, s["hold_s"], s["default"], first, first + 1, first + 2, first + 3))
    return ReadAreas(tuple(found), tuple(added))


def read_control(
    settings: Settings | None, read: ReadAreas, tags: Sequence[Tag], faults: FaultLog
) -> ControlSettings | None:
    """The whole section, once all tags are known; of no use where faults were added."""
    if settings is None:
        return None
    of_area: dict[str, set[int]] = {area.path: set() for area in read.areas}
    for place, tag in enumerate(tags):
        if tag.write is None:
            continue
        nearest = next((path for path in reversed(_and_above(tag.area)) if path in of_area), None)
        if nearest is not None:
            of_area[nearest].add(place)
    return ControlSettings(
        tuple(replace(area, points=frozenset(of_area[area.path])) for area in read.areas),
        _priority(settings, faults),
        tuple(_interlocks(settings, tags, faults)),
    )


def _and_above(path: str) -> list[str]:
    """``a/b/c`` → a, a/b, a/b/c."""
    words = path.split("/")
    return ["/".join(words[: depth + 1]) for depth in range(len(words))]


def _entries(
    settings: Settings, section: str, kind: Named, faults: FaultLog
) -> Iterator[tuple[ScalarNode, Settings]]:
    node = settings[section]
    if node is None:
        return
    reading = Reading(faults)
    for key, item in kind.entries(node, section, reading):
        with faults.within(f"{section} of the control section"):
            found = kind.value.read(item, key.text, reading)
            if isinstance(found, Settings):
                yield key, found


def _area_tags(path: str, s: Settings) -> Iterator[Tag]:
    """The four of `ControlArea`, in its order."""
    folder = control_folder(path)
    common = Tag(
        name="",
        type=ValueType.BOOL,
        owner=DRIVERS_OWNER,
        area=AREA.path,
        device=folder.removeprefix("_system."),
        stale_after_ms=STALE_AFTER_MS,
    )
    yield replace(
        common,
        name=f"{folder}.take",
        description=f"Somebody has control of {path}; write true to take it, false to release it",
        write=WriteLimits(s["role"], None, None, 0.0, TAKE_TIMEOUT_MS),
    )
    yield replace(
        common,
        name=f"{folder}.holder",
        type=ValueType.UINT64,
        decimals=0,
        description=f"Who has control of {path}",
        states=HOLDER_STATES,
    )
    yield replace(
        common,
        name=f"{folder}.user",
        type=ValueType.STRING,
        string_bytes=USER_BYTES,
        description=f"The user who has control of {path}",
    )
    yield replace(
        common,
        name=f"{folder}.until",
        type=ValueType.INT64,
        decimals=0,
        description=f"When control of {path} ends, ns since 1970 UTC; 0: when it is released, or nobody has it",
    )


def _priority(settings: Settings, faults: FaultLog) -> tuple[Seat, ...]:
    seats: tuple[Seat, ...] = settings["priority"] or ()
    for twice in sorted({seat for seat in seats if seats.count(seat) > 1}):
        faults.add(settings.at("priority"), f"{quote(twice)} a second time in 'priority'", "name it once")
    return seats


def _interlocks(settings: Settings, tags: Sequence[Tag], faults: FaultLog) -> Iterator[Interlock]:
    is_unsure = faults.unsure or len(faults) > 0
    index = {tag.name: place for place, tag in enumerate(tags)}
    for key, s in _entries(settings, "interlocks", INTERLOCKS, faults):
        if not s.is_sound("points", "allow", "message"):
            continue
        points = list(_points(s, tags, faults, is_unsure=is_unsure))
        node = s["allow"]
        if not isinstance(node, ScalarNode):
            faults.add(s.at("allow"), f"'allow' is {describe(node)}", "write an expression over tags")
            continue
        if not points:
            continue
        first = tags[points[0]]
        odd = next((tags[at] for at in points if _nature(tags[at]) != _nature(first)), None)
        if odd is not None and ("value" in s or "value" in node.text):
            faults.add(
                s.at("points"),
                f"{quote(first.name)} and {quote(odd.name)} take values of different kinds",
                "make an interlock for each, or leave 'value' out",
            )
            continue
        value = s["value"]
        if value is not None and isinstance(value, bool) is not (first.type is ValueType.BOOL):
            wanted = "true or false" if first.type is ValueType.BOOL else "a number"
            faults.add(s.at("value"), f"'value' is {describe(value)}", f"write {wanted}")
            continue
        for at in points:
            _check_emergency(s, tags[at], value, faults)
        try:
            allow = read_condition(node.text, index, {**dict(enumerate(tags)), VALUE: first})
        except BadCondition as bad:
            if not (is_unsure and bad.found.startswith("the unknown tag")):
                place = node.place._replace(column=node.place.column + node.quoted + bad.at)
                faults.add(place, bad.found, bad.mend)
            continue
        yield Interlock(key.text, frozenset(points), value, allow, s["message"])


def _points(s: Settings, tags: Sequence[Tag], faults: FaultLog, *, is_unsure: bool) -> Iterator[int]:
    """``is_unsure``: other faults may be why a tag is not there."""
    writable = {
        tag.name: place
        for place, tag in enumerate(tags)
        if tag.write is not None and tag.area != AREA.path and not tag.name.endswith(SELECT_SUFFIX)
    }
    seen: set[int] = set()
    if not s["points"]:
        faults.add(s.at("points"), "'points' is empty", "name writable tags")
    for pattern in s["points"]:
        found = [place for name, place in writable.items() if fnmatchcase(name, pattern)]
        if not found and not is_unsure:
            faults.add(
                s.at("points"),
                f"no writable tag is {quote(pattern)}",
                suggestion(pattern, writable, "see `tieline tags`"),
            )
        yield from (place for place in found if place not in seen)
        seen.update(found)


def _nature(tag: Tag) -> tuple[ValueType, str | None, tuple[tuple[int, str], ...]]:
    return tag.type, tag.unit, tuple(sorted(tag.states.items()))


def _check_emergency(s: Settings, tag: Tag, value: object, faults: FaultLog) -> None:
    """What is never locked out has no interlock; one of the point's other values may."""
    assert tag.write is not None
    handling = tag.write.handling
    if handling.is_emergency and (handling.emergency_value is None or value == handling.emergency_value):
        faults.add(
            s.at("points"),
            f"an interlock of the emergency {quote(tag.name)}, which passes it",
            "leave the point out, or say by 'emergency_value' which value is the emergency",
        )
