"""How a tag is named in a store of time series, and whether two tags would be one there. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from gateway.config.fault import quote
from gateway.config.forward import ForwardTarget, SeriesNames
from gateway.config.site import Tag
from gateway.tags.tag import ValueType

TYPE_WORDS = {
    ValueType.BOOL: "boolean",
    ValueType.INT64: "integer",
    ValueType.UINT64: "unsigned",
    ValueType.DOUBLE: "float",
    ValueType.STRING: "string",
}


@dataclass(frozen=True, slots=True)
class SeriesName:
    """Of one tag. An empty label is none."""

    measurement: str
    labels: tuple[tuple[str, str], ...]
    value_field: str
    status_field: str


def series_name(tag: Tag, names: SeriesNames, site: str) -> SeriesName:
    """The texts of ``names`` with the tag's own in their places; labels in order, as InfluxDB takes them fastest."""
    device, _, point = tag.name.rpartition(".")
    parts = {
        "site": site,
        "tag": tag.name,
        "area": tag.area,
        "device": tag.device or device,
        "point": point,
        "type": TYPE_WORDS[tag.type],
        "unit": tag.unit or "",
    }
    return SeriesName(
        names.measurement.format_map(parts),
        tuple((label.value, parts[label.value]) for label in sorted(names.labels) if parts[label.value]),
        names.field.format_map(parts),
        names.status_field.format_map(parts),
    )


def is_forwarded(path: str, target: ForwardTarget) -> bool:
    """Whether a tag is among those of a target."""
    return any(fnmatchcase(path, pattern) for pattern in target.tags)


def clash(tags: Iterable[Tag], target: ForwardTarget, site: str) -> tuple[str, str] | None:
    """What is wrong with a target's names, and how to mend it: two tags as one series, two types in one field.

    InfluxDB keeps the type that a field of a measurement had first, and refuses others.
    """
    owners: dict[tuple[str, tuple[tuple[str, str], ...], str], Tag] = {}
    types: dict[tuple[str, str], tuple[Tag, ValueType]] = {}
    for tag in tags:
        if not (tag.name and tag.history and is_forwarded(tag.name, target)):
            continue
        name = series_name(tag, target.names, site)
        for field, type in ((name.value_field, tag.type), (name.status_field, ValueType.INT64)):
            place = (name.measurement, name.labels, field)
            other = owners.setdefault(place, tag)
            if other is not tag:
                return (
                    f"{other.name} and {tag.name} would both be field {quote(field)} of {quote(name.measurement)}",
                    "put {tag} into 'measurement', or tag into 'labels'",
                )
            first, was = types.setdefault((name.measurement, field), (tag, type))
            if was is not type:
                return (
                    f"field {quote(field)} of {quote(name.measurement)} would be {TYPE_WORDS[was]} ({first.name}) "
                    f"and {TYPE_WORDS[type]} ({tag.name})",
                    "put {type} into 'field'",
                )
    return None
