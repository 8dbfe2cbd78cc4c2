"""The `totals` section of a site file, and the tags that each total adds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from gateway.config.calculated_section import check_area, check_unit_of_name
from gateway.config.document import Node, ScalarNode
from gateway.config.fault import FaultLog, Place, quote
from gateway.config.kinds import Reading, Settings
from gateway.config.known_tag import known_tag
from gateway.config.site import Tag
from gateway.config.site_keys.totals import TOTALS
from gateway.config.system import CALCULATED_OWNER
from gateway.config.totals import Method, Period, PeriodTags, Sign, Total, TotalKind
from gateway.tags.tag import ValueType

STALE_AFTER_MS = 10_000  # told every second or so
QUIET_STALE_MS = 150_000  # told every minute where they stay
S_NS = 10**9

# A rate and what it gives in an hour: the units of each row differ by powers of ten, and so do their totals.
_RATES: tuple[tuple[Mapping[str, int], Mapping[str, int]], ...] = (
    ({"W": 1, "kW": 10**3, "MW": 10**6}, {"Wh": 1, "kWh": 10**3, "MWh": 10**6}),
    ({"kvar": 1}, {"kvarh": 1}),
    ({"kVA": 1}, {"kVAh": 1}),
    ({"A": 1}, {"Ah": 1}),
    ({"m³/h": 1}, {"m³": 1}),
    ({"l/h": 1, "l/min": 60, "m³/h": 1000}, {"l": 1, "m³": 1000}),
    ({"kg/h": 1}, {"kg": 1, "t": 1000}),
    ({"km/h": 1}, {"km": 1}),
)
_COUNTERS: tuple[Mapping[str, int], ...] = (
    {"Wh": 1, "kWh": 10**3, "MWh": 10**6},
    {"l": 1, "m³": 1000},
    {"g": 1, "kg": 1000, "t": 10**6},
    {"m": 1, "km": 1000},
)
_TIMES = {"s": Fraction(3600), "min": Fraction(60), "h": Fraction(1), "d": Fraction(1, 24)}
_OF_KIND: Mapping[TotalKind, frozenset[str]] = {
    TotalKind.INTEGRAL: frozenset({"sign", "method", "hold_s"}),
    TotalKind.COUNTER: frozenset({"modulus", "max_per_h", "hold_s"}),
    TotalKind.RUN_TIME: frozenset({"hold_s"}),
    TotalKind.STARTS: frozenset({"hold_s"}),
}


@dataclass(frozen=True, slots=True)
class DeclaredTotal:
    """A total whose input is not looked up yet; its tags stand one after the other from ``first``."""

    name: ScalarNode
    first: int
    settings: Settings
    periods: tuple[Period, ...]


@dataclass(frozen=True, slots=True)
class DeclaredTotals:
    """What the section adds to the site's tags."""

    tags: tuple[Tag, ...] = ()
    entries: tuple[DeclaredTotal, ...] = ()


def declare_totals(
    entries: Mapping[str, tuple[ScalarNode, Node]],
    tags: Sequence[Tag],
    areas: Mapping[str, Place],
    faults: FaultLog,
) -> DeclaredTotals:
    """The section's tags, which stand after ``tags``; what they are of may come later."""
    taken = {tag.name for tag in tags}
    added: list[Tag] = []
    declared: list[DeclaredTotal] = []
    for name, node in entries.values():
        with faults.within("totals"):
            s = TOTALS.value.read(node, name.text, Reading(faults))
            if not isinstance(s, Settings):
                continue
            check_area(s, areas, faults)
            check_unit_of_name(name, s, False, faults)
            periods = tuple(dict.fromkeys(s["periods"] or ()))
            own = list(_tags(name.text, s, periods))
            twice = next((tag.name for tag in own if tag.name in taken), None)
            if twice is not None:
                found = f"the tag {quote(twice)} a second time (the site has it already)"
                faults.add(name.place, found, "rename one of the two")
                continue
            declared.append(DeclaredTotal(name, len(tags) + len(added), s, periods))
            added += own
    return DeclaredTotals(tuple(added), tuple(declared))


def _tags(name: str, s: Settings, periods: Sequence[Period]) -> Iterator[Tag]:
    """The total, two of each period, and what tells of its input."""
    whole = Tag(
        name=name,
        type=ValueType.DOUBLE,
        owner=CALCULATED_OWNER,
        area=s["area"] or "",
        device=name.partition(".")[0],
        description=s["description"] or "",
        unit=s["unit"],
        decimals=s["decimals"],
        stale_after_ms=STALE_AFTER_MS,
    )
    yield whole
    for period in periods:
        yield replace(
            whole, name=f"{name}.this_{period}", description=f"{name}, this {period}", history=False
        )
        yield replace(
            whole,
            name=f"{name}.last_{period}",
            description=f"{name}, the {period} before",
            stale_after_ms=QUIET_STALE_MS,
        )
    quiet = replace(whole, unit=None, decimals=0, stale_after_ms=QUIET_STALE_MS)
    yield replace(
        quiet,
        name=f"{name}.unmeasured_s",
        unit="s",
        description=f"For how long {name} was without a usable input",
    )
    if s["kind"] is TotalKind.COUNTER:
        for word, what in (
            ("resets", "How often its counter began anew"),
            ("rollovers", "How often its counter went round"),
            ("implausible", "Increments that were too large, and are not counted"),
        ):
            yield replace(quiet, name=f"{name}.{word}", description=what)


def read_totals(
    declared: DeclaredTotals, tags: Sequence[Tag], faults: FaultLog, *, is_unsure: bool
) -> tuple[Total, ...]:
    """The totals, when all tags are known; of no use where faults were added."""
    index = {tag.name: place for place, tag in enumerate(tags) if tag.name}
    found: list[Total] = []
    for entry in declared.entries:
        with faults.within("totals"):
            total = _total(entry, tags, index, faults, is_unsure)
        if total is not None:
            found.append(total)
    return tuple(found)


def _total(
    entry: DeclaredTotal, tags: Sequence[Tag], index: Mapping[str, int], faults: FaultLog, is_unsure: bool
) -> Total | None:
    s, first = entry.settings, entry.first
    kind: TotalKind | None = s["kind"]
    if kind is None or not s.is_sound("of", "unit"):
        return None
    place = known_tag(s["of"], index, s.at("of"), faults, is_unsure=is_unsure)
    if place is None:
        return None
    of = tags[place]
    for key in ("sign", "method", "modulus", "max_per_h"):
        if key in s and key not in _OF_KIND[kind]:
            faults.add(s.key_at(key), f"{quote(key)} where 'kind' is {kind}", "remove it")
    if kind is TotalKind.COUNTER and "max_per_h" not in s:
        faults.add(
            s.place,
            "a counter without 'max_per_h'",
            "add 'max_per_h: ...', the most that it can count in an hour",
        )
    wants_bool = kind in (TotalKind.RUN_TIME, TotalKind.STARTS)
    if of.type is ValueType.STRING or (of.type is ValueType.BOOL) is not wants_bool:
        wanted = "name a bool" if wants_bool else "name a number; for a bool, 'kind' is run_time or starts"
        faults.add(s.at("of"), f"{quote(of.name)} for 'kind: {kind}'", wanted)
        return None
    per = _factor(kind, of.unit, s["unit"])
    if isinstance(per, str):
        has = f"'{of.unit}'" if of.unit else "what has no unit"
        given = f"the unit '{s['unit']}'" if s["unit"] else "no unit"
        faults.add(s.at("unit") if "unit" in s else entry.name.place, f"{given} for a total of {has}", per)
        return None
    after = first + 1 + 2 * len(entry.periods)
    hold_s = s["hold_s"]
    return Total(
        name=entry.name.text,
        tag=first,
        of=place,
        of_name=of.name,
        kind=kind,
        unit=s["unit"],
        sign=s["sign"] or Sign.BOTH,
        method=s["method"] or Method.STEPPED,
        numerator=per.numerator,
        denominator=per.denominator,
        hold_ns=of.stale_after_ms * 10**6 if hold_s is None else round(hold_s * S_NS),
        modulus=s["modulus"] or 0.0,
        max_per_h=s["max_per_h"] or 0.0,
        unmeasured=after,
        periods=tuple(
            PeriodTags(period, first + 1 + 2 * i, first + 2 + 2 * i) for i, period in enumerate(entry.periods)
        ),
        counted=(after + 1, after + 2, after + 3) if kind is TotalKind.COUNTER else None,
    )


def _factor(kind: TotalKind, of: str | None, unit: str | None) -> Fraction | str:
    """What makes the total's unit of the input's, times hours where it is of time; or how to mend it."""
    if kind is TotalKind.STARTS:
        return Fraction(1) if unit is None else "remove 'unit': starts are counted"
    if kind is TotalKind.RUN_TIME:
        return _TIMES.get(unit or "") or f"write one of: {', '.join(_TIMES)}"
    if kind is TotalKind.COUNTER:
        if of == unit:
            return Fraction(1)
        for row in _COUNTERS:
            if of is not None and unit is not None and of in row and unit in row:
                return Fraction(row[of], row[unit])
        return f"write '{of}'" if of else "remove 'unit'"
    if of is None and unit is None:
        return Fraction(1)
    known: list[str] = []
    for rates, totals in _RATES:
        if of is not None and of in rates:
            if unit is not None and unit in totals:
                return Fraction(rates[of], totals[unit])
            known += totals
    return f"write one of: {', '.join(dict.fromkeys(known))}" if known else "total what is a rate, such as kW"
