"""What is different between the site that runs and the one that is to run: for `tieline reload`.

Both sites number their tags alike (gateway.config.renumber), so that whatever is equal is the same.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from enum import Enum
from typing import Any

from gateway.config.site import Site, Tag
from gateway.tags.tag import ValueType

SHOWN_CHANGES = 6  # of one device or tag, in a line for people
_REFERENCES = ("tag", "feedback", "system", "bus_system")  # to tags, of points and devices
_NOT_TOLD = frozenset(
    {"tags", "files", "digest", "journal_records", "time_resolution", "time_zone"}
)  # of a site, as sections


@dataclass(frozen=True, slots=True)
class Changed:
    """A device or a tag that is in both sites. ``what`` are phrases such as ``period_ms: 1000 → 500``."""

    name: str
    what: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Renamed:
    """A tag whose name alone is another one. Its history stays under the old name."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Difference:
    """All of it, in the order of the sites. ``retyped`` tags are new ones under an old name.

    ``added`` and ``removed`` hold what is in only one site, renamed and retyped tags included. ``sections`` are the
    other parts of a site file that differ.
    """

    devices_added: tuple[str, ...]
    devices_removed: tuple[str, ...]
    devices_changed: tuple[Changed, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    retyped: tuple[Changed, ...]
    renamed: tuple[Renamed, ...]
    tags_changed: tuple[Changed, ...]
    sections: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        return not any(getattr(self, field.name) for field in fields(self))

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def difference(old: Site, new: Site) -> Difference:
    """What ``new`` has that ``old`` has not, and the other way round."""
    before, after = devices_of(old), devices_of(new)
    tags_before = {tag.name: tag for tag in old.tags if tag.name}
    tags_after = {tag.name: tag for tag in new.tags if tag.name}
    both = [(tags_before[name], tag) for name, tag in tags_after.items() if name in tags_before]
    kept = [(one, other) for one, other in both if one.spec() == other.spec()]
    retyped = tuple(
        Changed(one.name, tuple(changes(one.spec(), other.spec())))
        for one, other in both
        if one.spec() != other.spec()
    )
    again = tuple(each.name for each in retyped)
    return Difference(
        devices_added=tuple(name for name in after if name not in before),
        devices_removed=tuple(name for name in before if name not in after),
        devices_changed=tuple(
            Changed(name, tuple(device_changes(before[name], device)))
            for name, device in after.items()
            if name in before and before[name] != device
        ),
        added=tuple(name for name in tags_after if name not in tags_before) + again,
        removed=tuple(name for name in tags_before if name not in tags_after) + again,
        retyped=retyped,
        renamed=tuple(_renamed(before, after, tags_before.keys(), tags_after.keys())),
        tags_changed=tuple(
            Changed(one.name, tuple(changes(one, other))) for one, other in kept if one != other
        ),
        sections=tuple(_sections(old, new)),
    )


def devices_of(site: Site) -> dict[str, Any]:
    """The devices of all protocols by name, in the order of their kinds."""
    return {
        item.name: item
        for field in fields(site)
        if isinstance(value := getattr(site, field.name), tuple)
        for item in value
        if _is_device(item)
    }


def device_changes(old: Any, new: Any) -> Iterator[str]:
    """What of a device is different, in words: its own settings, and which of its points."""
    if type(old) is not type(new):
        yield "another protocol"
        return
    before = {point.name: point for point in old.points}
    after = {point.name: point for point in new.points}
    for name in before:
        if name not in after:
            yield f"point {_point(name, old)} goes"
    for name, point in after.items():
        if name not in before:
            yield f"point {_point(name, new)} comes"
        elif (what := _point_changes(before[name], old, point, new)) is not None:
            yield f"point {_point(name, new)} ({what})"
    yield from (change for change in changes(old, new) if not change.startswith("points"))


def _point_changes(one: Any, old: Any, other: Any, new: Any) -> str | None:
    """What of a point of both devices differs; None where that is at most the place of its group in the list."""
    groups = [old.groups[one.group].name, new.groups[other.group].name] if hasattr(one, "group") else ["", ""]
    what = [change for change in changes(one, other) if not change.startswith("group: ")]
    if groups[0] != groups[1]:
        what.append(f"group: {groups[0]} → {groups[1]}")
    return ", ".join(what) or ("its tag" if one.tag != other.tag else None)


def changes(old: Any, new: Any) -> Iterator[str]:
    """``name: old → new`` for each field that differs; fields of records in it are named ``outer.inner``.

    A field that refers to a tag differs where that is a new tag, which is told as such; so numbers of tags are left
    out.
    """
    for field in fields(old):
        one, other = getattr(old, field.name), getattr(new, field.name)
        if one == other or not field.compare:
            continue
        if field.name in _REFERENCES:
            continue
        if is_dataclass(one) and type(one) is type(other):
            yield from (f"{field.name}.{change}" for change in changes(one, other))
        elif _is_records(one) and _is_records(other):
            yield from _of_records(field.name, one, other)
        else:
            yield f"{field.name}: {_shown(one)} → {_shown(other)}"


def _of_records(name: str, one: tuple[Any, ...], other: tuple[Any, ...]) -> Iterator[str]:
    """Changes of the records with a name of their own, such as poll groups."""
    before = {each.name: each for each in one}
    after = {each.name: each for each in other}
    for key in before:
        if key not in after:
            yield f"{name} {key} goes"
    for key, each in after.items():
        if key not in before:
            yield f"{name} {key} comes"
        elif type(each) is not type(before[key]):
            yield f"{name} {key}"
        elif each != before[key]:
            yield from (f"{name} {key}.{change}" for change in changes(before[key], each))
    if before.keys() == after.keys() and list(before) != list(after):
        yield f"{name}: another order"


def _renamed(
    before: Mapping[str, Any], after: Mapping[str, Any], tags_before: Any, tags_after: Any
) -> Iterator[Renamed]:
    """Points that are what they were but for their name, in one device or in a device that was renamed as a whole."""
    for name, device in after.items():
        if name in before:
            yield from _renamed_points(before[name], device, tags_before, tags_after)
    gone = {_shape(device): device for name, device in before.items() if name not in after}
    for name, device in after.items():
        was = gone.pop(_shape(device), None) if name not in before else None
        if was is not None:
            for one, other in zip(was.points, device.points, strict=True):
                yield Renamed(one.name, other.name)


def _renamed_points(old: Any, new: Any, tags_before: Any, tags_after: Any) -> Iterator[Renamed]:
    gone = {
        _without(point, "name", "tag"): point.name for point in old.points if point.name not in tags_after
    }
    for point in new.points:
        if point.name not in tags_before:
            was = gone.pop(_without(point, "name", "tag"), None)
            if was is not None:
                yield Renamed(was, point.name)


def _shape(device: Any) -> Hashable:
    """A device without its name and its numbers."""
    points = tuple(
        (_point(point.name, device), _without(point, "name", "tag", "feedback")) for point in device.points
    )
    return (_without(device, "name", "points", "system", "bus_system"), points)


def _without(record: Any, *names: str) -> Hashable:
    """What a record says but for some fields; the text of it, since not every field can be hashed."""
    return repr(
        [type(record).__name__]
        + [(field.name, getattr(record, field.name)) for field in fields(record) if field.name not in names]
    )


def _sections(old: Site, new: Site) -> Iterator[str]:
    for field in fields(old):
        one, other = getattr(old, field.name), getattr(new, field.name)
        if field.name in _NOT_TOLD or one == other:
            continue
        both = [*one, *other] if isinstance(one, tuple) and isinstance(other, tuple) else []
        if any(_is_device(item) for item in both):
            continue
        yield field.name
    if old.journal_records != new.journal_records:
        yield "journal"
    if old.time_resolution != new.time_resolution:
        yield "site.time_resolution"
    if old.time_zone != new.time_zone:
        yield "site.time_zone"


def _is_device(item: Any) -> bool:
    return is_dataclass(item) and all(hasattr(item, name) for name in ("name", "points", "system"))


def _is_records(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) > 0 and all(hasattr(each, "name") for each in value)


def _point(name: str, device: Any) -> str:
    return name.removeprefix(f"{device.name}.")


def _shown(value: Any) -> str:
    if isinstance(value, ValueType):
        return value.name.lower()
    if isinstance(value, Enum):
        return str(value.value)
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def difference_text(found: Difference) -> list[str]:
    """Lines for people."""
    lines = [f"device {name}: new" for name in found.devices_added]
    lines += [f"device {name}: goes" for name in found.devices_removed]
    lines += [f"device {each.name}: {_some(each.what)}" for each in found.devices_changed]
    told = {each.old for each in found.renamed} | {each.name for each in found.retyped}
    news = {each.new for each in found.renamed} | {each.name for each in found.retyped}
    lines += [f"tag {each.old} is called {each.new}; its history stays where it is" for each in found.renamed]
    lines += [f"tag {each.name} is a new one ({_some(each.what)})" for each in found.retyped]
    lines += _counted("new tag", [name for name in found.added if name not in news])
    lines += _counted("tag that goes", [name for name in found.removed if name not in told])
    lines += [f"tag {each.name}: {_some(each.what)}" for each in found.tags_changed]
    lines += [f"section {name}: changed" for name in found.sections]
    return lines


def _some(what: tuple[str, ...]) -> str:
    more = len(what) - SHOWN_CHANGES
    return "; ".join(what[:SHOWN_CHANGES]) + (f"; and {more} more" if more > 0 else "")


def _counted(what: str, names: list[str]) -> list[str]:
    own = [name for name in names if not name.startswith("_system.")]
    lines = [f"{what}: {name}" for name in own]
    if len(names) > len(own):
        lines.append(f"{what}: {len(names) - len(own)} below _system")
    return lines


def described(tag: Tag) -> tuple[Hashable, ...]:
    """What the logic and the servers' maps rely on of a tag."""
    return (tag.name, tag.type, tag.unit, tag.write is not None)
