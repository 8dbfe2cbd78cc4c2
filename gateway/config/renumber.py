"""A site whose tags keep the places that they have in a running image.

A site that is loaded numbers its tags from 0 in the order of its file, and its devices, servers and logic refer to
tags by these numbers. Which numbers of a typed site are such references is not asked of every protocol: the same
file is loaded twice, the second time with `SHIFT` empty places before the first tag, and what differs by just that is
a reference. Anything else that differs is a fault of the loader, or a file that was changed in between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from gateway.config.load import Loading
from gateway.config.site import NO_TAG, Site, Tag

SHIFT = 1_009  # a prime that no key of a site file is likely to differ by


class NotReproducibleError(Exception):
    """A site file read twice gave two sites; the message says where they differ."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A site as its file numbers it, and once more with `SHIFT` empty places first."""

    site: Site
    shifted: Site


@dataclass(frozen=True, slots=True)
class Numbering:
    """Where tags of a new site go in the image of an old one.

    ``places`` maps the new site's own numbers to places of the image; ``added`` are the tags that get the places
    after the last one, in order, and ``retired`` the places whose tag goes.
    """

    places: tuple[int, ...]
    added: tuple[Tag, ...]
    retired: tuple[int, ...]


def load_shifted(path: Path) -> Site:
    """The site in ``path`` with `SHIFT` empty places first. Raises as `Loading.site` does."""
    return Loading(path, empty=SHIFT).site()


def numbering(old: Site, new: Site) -> Numbering:
    """A tag that is what it was for the image (name, type, owner, room for its text) keeps its place."""
    known = {tag.spec(): place for place, tag in enumerate(old.tags) if tag.name}
    places: list[int] = []
    added: list[Tag] = []
    for tag in new.tags:
        place = known.pop(tag.spec(), None)
        if place is None:
            place = len(old.tags) + len(added)
            added.append(tag)
        places.append(place)
    return Numbering(tuple(places), tuple(added), tuple(sorted(known.values())))


def renumbered(loaded: Loaded, old: Site, where: Numbering) -> Site:
    """The new site with its tags in their places. Raises NotReproducibleError."""
    site, shifted = loaded.site, loaded.shifted
    if site.digest != shifted.digest:
        raise NotReproducibleError("the site's files were changed while they were read; try again")
    if len(shifted.tags) != len(site.tags) + SHIFT:
        raise NotReproducibleError(f"{len(site.tags)} tags, then {len(shifted.tags) - SHIFT}")
    walk = _Walk(where.places)
    tags = [NO_TAG] * (len(old.tags) + len(where.added))
    for place, one, other in zip(where.places, site.tags, shifted.tags[SHIFT:], strict=True):
        tags[place] = walk.both(one, other, "tags")
    without = replace(site, tags=())
    result: Site = walk.both(without, replace(shifted, tags=()), "site")
    return replace(result, tags=tuple(tags))


class _Walk:
    """Goes through two sites in step. What holds no reference is kept as it is."""

    def __init__(self, places: Sequence[int]) -> None:
        self._places = places

    def both(self, one: Any, other: Any, where: str) -> Any:
        if type(one) is not type(other):
            raise _differ(where, one, other)
        if type(one) is int:
            if one == other:
                return one
            if other - one != SHIFT or not 0 <= one < len(self._places):
                raise _differ(where, one, other)
            return self._places[one]
        if is_dataclass(one):
            return self._record(one, other, where)
        if isinstance(one, tuple | list):
            return self._row(one, other, where)
        if isinstance(one, Mapping):
            return self._table(one, other, where)
        if isinstance(one, frozenset):
            return self._set(one, other, where)
        if one != other and one == one:
            raise _differ(where, one, other)
        return one

    def _record(self, one: Any, other: Any, where: str) -> Any:
        found = {
            field.name: self.both(
                getattr(one, field.name), getattr(other, field.name), f"{where}.{field.name}"
            )
            for field in fields(one)
        }
        if all(value is getattr(one, name) for name, value in found.items()):
            return one
        made = object.__new__(type(one))
        for name, value in found.items():
            object.__setattr__(made, name, value)  # frozen, and `__init__` may take other arguments
        return made

    def _row(self, one: Any, other: Any, where: str) -> Any:
        if len(one) != len(other):
            raise _differ(where, one, other)
        found = [self.both(a, b, f"{where}[{i}]") for i, (a, b) in enumerate(zip(one, other, strict=True))]
        if all(a is b for a, b in zip(one, found, strict=True)):
            return one
        return type(one)(found)

    def _table(self, one: Any, other: Any, where: str) -> Any:
        if len(one) != len(other):
            raise _differ(where, one, other)
        found = {
            self.both(a, b, where): self.both(one[a], other[b], f"{where}[{a!r}]")
            for a, b in zip(one, other, strict=True)
        }
        is_same = all(a is b and one[a] is found[b] for a, b in zip(one, found, strict=True))
        return one if is_same else found

    def _set(self, one: Any, other: Any, where: str) -> Any:
        if one == other:
            return one
        if not all(type(each) is int and 0 <= each < len(self._places) for each in one):
            raise _differ(where, one, other)
        if {each + SHIFT for each in one} != set(other):
            raise _differ(where, one, other)
        return frozenset(self._places[each] for each in one)


def _differ(where: str, one: Any, other: Any) -> NotReproducibleError:
    return NotReproducibleError(f"{where} is {one!r}, then {other!r}")
