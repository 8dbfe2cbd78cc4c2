"""The `calculated` section of a site file: its tags first, so that others may name them, and later what they say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.config.alert_section import read_alert
from gateway.config.calculated import REFRESH_MS, Calculated, CalculatedTag
from gateway.config.document import Node, ScalarNode
from gateway.config.fault import FaultLog, Place, quote, suggestion
from gateway.config.formula.read import BadFormula, Quantity, read_formula, unit_misfit
from gateway.config.formula.tree import Formula
from gateway.config.kinds import Reading, Settings, describe
from gateway.config.site import Tag
from gateway.config.site_keys.calculated import CALCULATED
from gateway.config.system import CALCULATED_OWNER
from gateway.config.units import contradiction
from gateway.tags.tag import ValueType

_TYPES = {"float64": ValueType.DOUBLE, "bool": ValueType.BOOL}
MIN_STALE_MS = 3_000  # three of these
STALE_PERIODS = 3


@dataclass(frozen=True, slots=True)
class DeclaredTag:
    """A calculated tag whose formula is not read yet. ``place`` is that of its name."""

    index: int
    place: Place
    settings: Settings


@dataclass(frozen=True, slots=True)
class Declared:
    """What the section adds to the site's tags."""

    tags: tuple[Tag, ...] = ()
    entries: tuple[DeclaredTag, ...] = ()


def declare_calculated(
    entries: Mapping[str, tuple[ScalarNode, Node]],
    tags: Sequence[Tag],
    areas: Mapping[str, Place],
    faults: FaultLog,
) -> Declared:
    """The section's tags, which stand after ``tags``; their formulas may name what comes later."""
    reading = Reading(faults)
    taken = {tag.name for tag in tags}
    added: list[Tag] = []
    declared: list[DeclaredTag] = []
    for name, node in entries.values():
        with faults.within("calculated tags"):
            s = CALCULATED.value.read(node, name.text, reading)
            if not isinstance(s, Settings):
                continue
            if name.text in taken:
                faults.add(
                    name.place,
                    f"the tag {quote(name.text)} a second time (the site has it already)",
                    "rename one of the two",
                )
                continue
            type = _TYPES.get(s["type"] or "", ValueType.DOUBLE)
            _check(name, s, type, areas, faults)
            low, high = s["range"] or (None, None)
            declared.append(DeclaredTag(len(tags) + len(added), name.place, s))
            added.append(
                Tag(
                    name=name.text,
                    type=type,
                    owner=CALCULATED_OWNER,
                    area=s["area"] or "",
                    device=name.text.partition(".")[0],
                    description=s["description"] or "",
                    unit=s["unit"],
                    low=low,
                    high=high,
                    deadband=s["deadband"] or 0.0,
                    decimals=s["decimals"],
                    stale_after_ms=MIN_STALE_MS,
                    history=bool(s["history"]),
                    sloped=bool(s["sloped"]),
                    states=s["states"] or {},
                    alert=read_alert(s["alert"], type, faults),
                )
            )
    return Declared(tuple(added), tuple(declared))


def _check(
    name: ScalarNode, s: Settings, type: ValueType, areas: Mapping[str, Place], faults: FaultLog
) -> None:
    check_area(s, areas, faults)
    is_bool = type is ValueType.BOOL
    for key in ("unit", "range", "decimals", "deadband", "sloped") if is_bool else ("states",):
        if key in s:
            what = "of a bool, which is no number" if is_bool else "of a number with decimals"
            faults.add(s.key_at(key), f"{quote(key)} {what}", f"remove '{key}'")
    check_unit_of_name(name, s, is_bool, faults)


def check_unit_of_name(name: ScalarNode, s: Settings, is_bool: bool, faults: FaultLog) -> None:
    """A name that ends in a unit has that unit."""
    if is_bool or ("unit" in s and s["unit"] is None):
        return
    wrong = contradiction(name.text.rpartition(".")[2], s["unit"])
    if wrong is not None:
        is_given, found, mend = wrong
        faults.add(s.at("unit") if is_given else name.place, found, mend)


def check_area(s: Settings, areas: Mapping[str, Place], faults: FaultLog) -> None:
    """Areas are written under `areas`."""
    area = s["area"]
    if area is not None and area not in areas and not faults.unsure:
        mend = suggestion(area, areas, "add it under 'areas'")
        faults.add(s.at("area"), f"the unknown area {quote(area)}", mend)


def read_text(
    settings: Settings,
    key: str,
    tags: Mapping[str, int],
    quantities: Mapping[int, Quantity],
    faults: FaultLog,
    *,
    unit: str | None = None,
    is_bool: bool = True,
    thing: str = "expression",
    is_unsure: bool = False,
    named: dict[int, int] | None = None,
) -> Formula | None:
    """The formula under ``key``, of the kind and unit wanted; None where a fault was added."""
    node = settings[key]
    if node is None:
        return None
    if not isinstance(node, ScalarNode):
        faults.add(settings.at(key), f"{quote(key)} is {describe(node)}", "write an expression over tags")
        return None
    place = node.place
    try:
        formula, part = read_formula(node.text, tags, quantities, thing=thing, named=named)
    except BadFormula as bad:
        if not (is_unsure and bad.found.startswith(("the unknown tag", "no tag is"))):
            at = place._replace(column=place.column + node.quoted + bad.at)
            faults.add(at, bad.found, bad.mend)
        return None
    if part.is_bool is not is_bool:
        found = ("a number", "true or false") if is_bool else ("true or false", "a number")
        mend = "compare it: 'x < 5'" if is_bool else "add 'type: bool', or reckon with numbers"
        faults.add(place, f"{found[0]} where {quote(key)} gives {found[1]}", mend)
        return None
    misfit = None if is_bool else unit_misfit(part, unit)
    if misfit is not None:
        faults.add(settings.at("unit") if "unit" in settings else place, *misfit)
        return None
    return formula


def read_calculated(
    declared: Declared, tags: list[Tag], faults: FaultLog, *, is_unsure: bool
) -> Calculated | None:
    """The formulas, when all tags are known; tags get the times after which they are stale.

    Of no use where faults were added.
    """
    if not declared.entries:
        return None
    index = {tag.name: place for place, tag in enumerate(tags) if tag.name}
    quantities = dict(enumerate(tags))
    found: dict[int, CalculatedTag] = {}
    places: dict[int, Place] = {}
    for entry in declared.entries:
        s, tag = entry.settings, tags[entry.index]
        with faults.within("calculated tags"):
            formula = read_text(
                s,
                "expression",
                index,
                quantities,
                faults,
                unit=tag.unit,
                is_bool=tag.type is ValueType.BOOL,
                is_unsure=is_unsure,
            )
            if formula is None:
                continue
            period = s["period_ms"] or 0
            if not period and (formula.is_timed or not formula.tags):
                why = "whose value changes with time" if formula.is_timed else "without a tag"
                faults.add(s.at("expression"), f"an expression {why}", "add 'period_ms: 1000'")
                continue
        found[entry.index] = CalculatedTag(entry.index, formula, period)
        places[entry.index] = entry.place
    with faults.within("calculated tags"):
        order = _ordered(found, places, tags, faults)
    for each in order:
        slowest = max((tags[at].stale_after_ms for at in each.formula.tags), default=0)
        stale = max(slowest + REFRESH_MS, STALE_PERIODS * each.period_ms, MIN_STALE_MS)
        tags[each.tag] = replace(tags[each.tag], stale_after_ms=stale)
    return Calculated(tuple(order))


def _ordered(
    found: Mapping[int, CalculatedTag], places: Mapping[int, Place], tags: Sequence[Tag], faults: FaultLog
) -> list[CalculatedTag]:
    """Each after those it is made of; a circle is a fault, told once with all that are in it."""
    order: list[CalculatedTag] = []
    done: set[int] = set()
    for start in found:
        path: list[int] = []
        todo: list[tuple[int, Iterator[int]]] = []
        if start not in done:
            path.append(start)
            todo.append((start, iter(found[start].formula.tags)))
        while todo:
            at, rest = todo[-1]
            below = next((tag for tag in rest if tag in found and tag not in done), None)
            if below is None:
                order.append(found[at])
                done.add(at)
                path.pop()
                todo.pop()
            elif below in path:
                circle = [*path[path.index(below) :], below]
                shown = " -> ".join(tags[tag].name for tag in circle)
                faults.add(places[below], f"a circle: {shown}", "let one of them be made of something else")
                return order
            else:
                path.append(below)
                todo.append((below, iter(found[below].formula.tags)))
    return order
