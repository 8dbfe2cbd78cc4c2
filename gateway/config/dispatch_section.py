"""The `dispatch` section of a site file: the tags of its plan, so that the logic may take them; what it is made of is
read later, in `dispatch_reading`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase

from gateway.config.alert import VALUE, Alert
from gateway.config.calculated_section import check_area
from gateway.config.dispatch import (
    AssetKind,
    Course,
    DispatchTags,
)
from gateway.config.document import ScalarNode
from gateway.config.fault import FaultLog, Place, quote, suggestion
from gateway.config.kinds import Named, Reading, Settings
from gateway.config.site import Tag
from gateway.config.site_keys.dispatch import DISPATCH_ASSETS
from gateway.config.system import AREA, DISPATCH_OWNER
from gateway.tags.tag import ValueType

FOLDER = "dispatch"
# Told every second; five missed, and the part is taken for hung by who uses them.
STALE_AFTER_MS = (
    60_000  # what stays is told again every 20 s; a part that dies or hangs is told by its quality
)
TEXT_BYTES = 400

# name, type, unit, decimals, description
_TAGS: tuple[tuple[str, ValueType, str | None, int | None, str], ...] = (
    ("status", ValueType.UINT64, None, None, "Which plan is followed"),
    ("sequence", ValueType.UINT64, None, 0, "Grows with every new set of planned powers"),
    ("valid_until", ValueType.INT64, "ns", 0, "The planned powers hold until then, UTC since 1970"),
    ("valid_for_s", ValueType.DOUBLE, "s", 0, "The same from the moment that the sequence grew"),
    ("age_s", ValueType.DOUBLE, "s", 0, "How long ago the plan was made"),
    ("horizon_h", ValueType.DOUBLE, "h", 1, "How far the plan looked ahead"),
    ("gap_pct", ValueType.DOUBLE, "%", 2, "How far the plan may be from the best"),
    ("solve_s", ValueType.DOUBLE, "s", 2, "How long the solver took"),
    ("failures", ValueType.UINT64, None, 0, "Solvers that died, were late or found no plan, since the start"),
    ("vehicles_kw", ValueType.DOUBLE, "kW", 1, "Plan of all vehicles together; negative while they charge"),
    (
        "reserve_pct",
        ValueType.DOUBLE,
        "%",
        1,
        "Charge that batteries are to hold now for an island, of all capacity",
    ),
    ("forecast_age_s", ValueType.DOUBLE, "s", 0, "Age of the oldest forecast in the plan"),
    (
        "planned_saving",
        ValueType.DOUBLE,
        None,
        2,
        "What the plan costs less than the naive rule, over its horizon",
    ),
    ("cost_today", ValueType.DOUBLE, None, 2, "What today has cost as it was measured"),
    ("naive_cost_today", ValueType.DOUBLE, None, 2, "What today would have cost by the naive rule"),
    ("saving_today", ValueType.DOUBLE, None, 2, "What today has cost less than by the naive rule"),
    ("saving_yesterday", ValueType.DOUBLE, None, 2, "The same of the day before"),
    ("words", ValueType.STRING, None, None, "What is the matter with the plan"),
    ("forecast", ValueType.STRING, None, None, "What the plan takes to come, and by which forecast"),
    (
        "trouble",
        ValueType.STRING,
        None,
        None,
        "Why it cannot keep its plan or make a new one; empty where it can",
    ),
)
assert [row[0] for row in _TAGS] == [field.name for field in fields(DispatchTags)]
_ALERTS = {
    "status": Alert(
        f"has no fresh plan: {VALUE}",
        "The plant goes by what is left of the last plan, then by its rules. See dispatch.words and"
        " logs/dispatch.log.",
        values=(Course.NONE.value, Course.KEPT.value, Course.RULE.value),
        words="words",
        after_s=600,  # two plans of the usual period; forecasts begin with the history that they need
    ),
    "trouble": Alert(
        VALUE,
        "It is tried again by itself. Is the disk full? See logs/dispatch.log.",
        text_but="",
        after_s=15,
    ),
}
_MONEY = frozenset({"planned_saving", "cost_today", "naive_cost_today", "saving_today", "saving_yesterday"})


@dataclass(frozen=True, slots=True)
class DeclaredAsset:
    """An asset whose tags are not looked up yet; ``planned_kw`` is the place of its own tag."""

    name: str
    device: str
    kind: AssetKind
    planned_kw: int
    settings: Settings


@dataclass(frozen=True, slots=True)
class DeclaredDispatch:
    """What the section adds to the site's tags, and what is still to be read."""

    tags: tuple[Tag, ...] = ()
    own: DispatchTags | None = None
    assets: tuple[DeclaredAsset, ...] = ()
    settings: Settings | None = None


def declare_dispatch(
    settings: Settings | None, tags: Sequence[Tag], areas: Mapping[str, Place], faults: FaultLog
) -> DeclaredDispatch:
    """The section's tags, which stand after ``tags``."""
    if settings is None:
        return DeclaredDispatch()
    with faults.within("dispatch"):
        check_area(settings, areas, faults)
        added = list(_site_tags(settings))
        own = DispatchTags(*range(len(tags), len(tags) + len(added)))
        assets: list[DeclaredAsset] = []
        is_unsure = faults.unsure or len(faults) > 0
        taken: dict[str, str] = {}
        for key, s in entries(settings, "assets", DISPATCH_ASSETS, faults):
            kind = s["kind"]
            if kind is None:
                continue
            for device in _devices(s, tags, faults, is_unsure):
                name = device or key.text
                if name in taken:
                    found = f"the asset {quote(name)} a second time (of {quote(taken[name])} too)"
                    faults.add(key.place, found, "let each device be one asset")
                    continue
                taken[name] = key.text
                assets.append(DeclaredAsset(name, device, kind, len(tags) + len(added), s))
                added += _asset_tags(name, kind, settings["area"] or "")
        known = {tag.name for tag in tags}
        for tag in added:
            if tag.name in known:
                found = f"the tag {quote(tag.name)} is there already, and Tieline makes it"
                faults.add(settings.place, found, "rename yours")
        return DeclaredDispatch(tuple(added), own, tuple(assets), settings)


def _site_tags(s: Settings) -> Iterator[Tag]:
    for name, type, unit, decimals, description in _TAGS:
        yield Tag(
            name=f"{FOLDER}.{name}",
            type=type,
            owner=DISPATCH_OWNER,
            area=s["area"] or "",
            device=FOLDER,
            description=f"{description}, {s['currency']}" if name in _MONEY else description,
            unit=unit,
            decimals=decimals,
            stale_after_ms=STALE_AFTER_MS,
            history=name not in ("valid_until", "age_s", "forecast_age_s"),
            string_bytes=TEXT_BYTES if type is ValueType.STRING else 0,
            states={course.value: course.text for course in Course} if name == "status" else {},
            alert=_ALERTS.get(name),
        )


def _asset_tags(name: str, kind: AssetKind, area: str) -> Iterator[Tag]:
    power = Tag(
        name=f"{FOLDER}.{name}_kw",
        type=ValueType.DOUBLE,
        owner=DISPATCH_OWNER,
        area=area,
        device=FOLDER,
        description=f"Plan of {name} now",
        unit="kW",
        decimals=1,
        stale_after_ms=STALE_AFTER_MS,
    )
    yield power
    if kind is AssetKind.BATTERY:
        yield Tag(
            name=f"{FOLDER}.{name}_kwh",
            type=ValueType.DOUBLE,
            owner=DISPATCH_OWNER,
            area=area,
            device=FOLDER,
            description=f"What {name} is to hold at the end of this step",
            unit="kWh",
            decimals=1,
            stale_after_ms=STALE_AFTER_MS,
        )


def entries(
    settings: Settings, section: str, kind: Named, faults: FaultLog
) -> Iterator[tuple[ScalarNode, Settings]]:
    node = settings[section]
    if node is None:
        return
    reading = Reading(faults)
    for key, item in kind.entries(node, section, reading):
        with faults.within(f"{section} of dispatch"):
            read = kind.value.read(item, key.text, reading)
            if isinstance(read, Settings):
                yield key, read


def _devices(s: Settings, tags: Sequence[Tag], faults: FaultLog, is_unsure: bool) -> Iterator[str]:
    """Each device that is such an asset; an empty name where it is none's."""
    if "for" not in s:
        yield ""
        return
    pattern = s["for"]
    if pattern is None:
        return
    known = dict.fromkeys(tag.device for tag in tags if tag.area != AREA.path and tag.device)
    found = [device for device in known if fnmatchcase(device, pattern)]
    if not found and not is_unsure:
        faults.add(
            s.at("for"),
            f"no device is {quote(pattern)}",
            suggestion(pattern, known, "name devices of the site"),
        )
    yield from found
