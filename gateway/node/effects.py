"""What a changed site does to each part: which take it while they run, which are started again, and why.

A part that is not named goes on with the site it has: all that it uses of it is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from gateway.config.plant_time import speed_of
from gateway.config.site import Site, Tag
from gateway.node.parts import SCAN, parts_of

MOST_NAMED = 3  # tags or fields in a reason


class Act(StrEnum):
    """What happens to a part."""

    ENDS = "ends"
    STARTS = "starts"
    RESTARTS = "restarts"
    TAKES = "takes it in place"


@dataclass(frozen=True, slots=True)
class Effect:
    """``why`` are phrases; ``costs`` says what clients or the plant notice, where they do."""

    part: str
    act: Act
    why: tuple[str, ...]
    costs: str = ""


# Fields of a site that the drivers' process takes while it runs: its drivers start and stop single devices.
_DRIVERS_TAKE = {
    "modbus": "Modbus devices",
    "can_devices": "CAN devices",
    "dnp3_devices": "DNP3 devices",
    "users": "users",
    "opcua_devices": "OPC UA devices",
    "logic": "the logic",
    "control": "control and interlocks",
}
_COSTS = {
    "dnp3_master": "all DNP3 devices are asked again from the start",
    SCAN: "outputs are safe until it runs again; retained variables stay",
    "dnp3": "masters connect again; its event buffers begin anew",
    "modbus": "clients connect again",
    "opcua": "clients connect again",
    "hmi": "pages connect again",
    "calculated": "none: totals go on where they were",
    "forward": "none: it goes on where it stopped",
    "events": "none: they go on where they were",
    "anomaly": "none: windows begin anew, what was learned stays",
    "market": "none: members connect again, the ledger goes on",
    "health": "none: what is known of past days stays",
    "demand_response": "none: events are kept",
    "dispatch": "none: the last plan is kept",
    "forecast": "none: a training that is under way begins anew",
    "historian": "none: it goes on where it stopped in the journal",
    "simulator": "the simulated devices begin anew",
}

Why = Callable[[Site, Site], Iterable[str]]


def effects(old: Site, new: Site) -> list[Effect]:
    """What becomes of the parts, in the order in which it is done; empty where all go on as they are."""
    before = [part.name for part in parts_of(old)]
    after = [part.name for part in parts_of(new)]
    found = [Effect(part, Act.ENDS, ("the site has none any more",)) for part in before if part not in after]
    for part in sorted(after, key=_ORDER.index):
        if part not in before:
            found.append(Effect(part, Act.STARTS, ("the site has one now",)))
            continue
        restart, take = _RULES[part]
        why = tuple(restart(old, new))
        if why:
            found.append(Effect(part, Act.RESTARTS, why, _COSTS.get(part, "")))
        elif why := tuple(take(old, new)):
            found.append(Effect(part, Act.TAKES, why))
    return found


def impossible(old: Site, new: Site) -> list[str]:
    """What cannot be had while the site runs."""
    found = []
    if old.name != new.name:
        found.append(f"the site is called {new.name!r}, no longer {old.name!r}: its state folder is another")
    if old.journal_records != new.journal_records:
        found.append(f"journal records: {old.journal_records:,} → {new.journal_records:,}")
    if old.time_resolution != new.time_resolution:
        found.append(f"time resolution: {old.time_resolution.value} → {new.time_resolution.value}")
    return found


def _differ(*names: str) -> Why:
    """Each of these fields of a site that is not the same."""

    def why(old: Site, new: Site) -> Iterator[str]:
        for name in names:
            if getattr(old, name) != getattr(new, name):
                yield f"{name.replace('_', ' ')} changed"

    return why


def _pace(old: Site, new: Site) -> Iterator[str]:
    """The plant's time, by which forecasts and plans go."""
    if speed_of(old) != speed_of(new):
        yield f"the simulator's speed: {speed_of(old):g} → {speed_of(new):g}"


def _named(names: dict[str, str]) -> Why:
    def why(old: Site, new: Site) -> Iterator[str]:
        for name, called in names.items():
            if getattr(old, name, None) != getattr(new, name, None):
                yield f"{called} changed"

    return why


def _tags(wanted: Callable[[Tag], bool], aspect: Callable[[Tag], Any] = lambda tag: tag) -> Why:
    """Tags that came, went, or whose ``aspect`` is another one."""

    def why(old: Site, new: Site) -> Iterator[str]:
        before = {place: tag for place, tag in enumerate(old.tags) if tag.name and wanted(tag)}
        after = {place: tag for place, tag in enumerate(new.tags) if tag.name and wanted(tag)}
        yield from _some("new", [after[place].name for place in after if place not in before])
        yield from _some("gone", [before[place].name for place in before if place not in after])
        changed = [
            place for place in after if place in before and aspect(before[place]) != aspect(after[place])
        ]
        yield from _some("changed", [after[place].name for place in changed])

    return why


def _some(what: str, names: list[str]) -> Iterator[str]:
    if names:
        more = len(names) - MOST_NAMED
        yield f"tags {what}: {', '.join(names[:MOST_NAMED])}" + (f" and {more} more" if more > 0 else "")


def _of_logic(site: Site) -> set[int]:
    """Tags of others that the programs are wired to."""
    logic = site.logic
    if logic is None:
        return set()
    outputs = {each.tag for each in logic.outputs} | {each.tag for each in logic.setpoints}
    return outputs | {each.tag for each in logic.inputs}


def _of_calculated(site: Site) -> set[int]:
    """Tags that are calculated, and those that they are made of."""
    each = (
        *(() if site.calculated is None else site.calculated.tags),
        *(event.flag for event in site.events),
    )
    totals = {at for total in site.totals for at in (total.tag, total.of)}
    return totals | {tag.tag for tag in each} | {at for tag in each for at in tag.formula.tags}


def _of_forecasts(site: Site) -> set[int]:
    """What is forecast, and what tells the future; other inputs are read from history by name."""
    ahead = {at for each in site.forecasts for known in each.known for _, _, at in known.leads}
    return ahead | {each.target_tag for each in site.forecasts}


def _of_anomalies(site: Site) -> set[int]:
    return {at for each in site.anomalies for at in each.inputs}


def _of_dispatch(site: Site) -> set[int]:
    """Tags that plans are made of."""
    return set() if site.dispatch is None else set(site.dispatch.inputs)


def _of_market(site: Site) -> set[int]:
    """Tags that prices and levels are read from; registers are read from history by name."""
    return set() if site.market is None else set(site.market.inputs)


def _of_outstation(site: Site) -> set[int]:
    return set() if site.dnp3 is None else {point.tag for point in site.dnp3.points}


def _of_modbus_server(site: Site) -> set[int]:
    doors = () if site.modbus_server is None else site.modbus_server.doors
    return {point.tag for door in doors for unit in door.units for point in unit.points}


def _wired(of: Callable[[Site], set[int]], aspect: Callable[[Tag], Any]) -> Why:
    """Tags in the part's own map, whose numbers are in its section, that are not what they were."""

    def why(old: Site, new: Site) -> Iterator[str]:
        both = sorted(of(old) & of(new))
        changed = [place for place in both if aspect(old.tags[place]) != aspect(new.tags[place])]
        yield from _some("changed", [new.tags[place].name for place in changed])

    return why


def _for_calculated(tag: Tag) -> Any:
    return (tag.type, tag.unit, tag.low, tag.high, tag.stale_after_ms)


def _for_logic(tag: Tag) -> Any:
    return (tag.type, tag.unit, tag.write is not None)


def _for_servers(tag: Tag) -> Any:
    return (tag.type, tag.unit, tag.write, tag.low, tag.high, tag.stale_after_ms)


def _all(*rules: Why) -> Why:
    def why(old: Site, new: Site) -> Iterator[str]:
        for rule in rules:
            yield from rule(old, new)

    return why


def _never(_: Site, __: Site) -> Iterable[str]:
    return ()


def _any_tag(_: Tag) -> bool:
    return True


def _kept(tag: Tag) -> bool:
    return tag.history


def _for_forward(tag: Tag) -> Any:
    return (tag.type, tag.area, tag.device, tag.unit)


def _for_history(tag: Tag) -> Any:
    return (tag.unit, tag.decimals, tag.low, tag.high, tag.sloped, tag.description)


# Of each part: what it has to be started again for, and what it takes while it runs.
_RULES: dict[str, tuple[Why, Why]] = {
    "historian": (_differ("historian", "time_zone"), _tags(_kept, _for_history)),
    "forward": (_all(_differ("forward"), _tags(_kept, _for_forward)), _never),
    "drivers": (_never, _all(_named(_DRIVERS_TAKE), _tags(_any_tag))),
    "dnp3_master": (_differ("dnp3_devices"), _never),
    "events": (_differ("events"), _never),
    "anomaly": (_all(_differ("anomalies"), _wired(_of_anomalies, _for_calculated)), _never),
    "health": (_differ("health"), _never),
    "demand_response": (_differ("demand_response"), _never),
    "dispatch": (
        _all(
            _differ("dispatch", "demand_response", "forecasts", "time_zone"),
            _pace,
            _wired(_of_dispatch, _for_calculated),
        ),
        _never,
    ),
    "market": (_all(_differ("market", "time_zone"), _wired(_of_market, _for_calculated)), _never),
    "forecast": (
        _all(_differ("forecasts", "time_zone"), _pace, _wired(_of_forecasts, _for_calculated)),
        _never,
    ),
    "calculated": (
        _all(_differ("calculated", "events", "totals", "time_zone"), _wired(_of_calculated, _for_calculated)),
        _never,
    ),
    SCAN: (_all(_differ("logic"), _wired(_of_logic, _for_logic)), _never),
    "opcua": (_differ("opcua", "users"), _all(_differ("areas", "description"), _tags(_any_tag))),
    "hmi": (_differ("hmi"), _all(_differ("areas", "users", "description"), _tags(_any_tag))),
    "dnp3": (_all(_differ("dnp3", "users"), _wired(_of_outstation, _for_servers)), _never),
    "modbus": (_all(_differ("modbus_server", "users"), _wired(_of_modbus_server, _for_servers)), _never),
    "simulator": (_differ("simulator"), _never),
}
# History is ready for new tags before anybody writes them; who shows tags is told last.
_ORDER = (
    "simulator",
    "historian",
    "forward",
    "drivers",
    "dnp3_master",
    "calculated",
    "events",
    "forecast",
    "dispatch",
    "anomaly",
    "health",
    "market",
    "demand_response",
    SCAN,
    "dnp3",
    "modbus",
    "opcua",
    "hmi",
)

_HANDLED = {
    *("name", "journal_records", "time_resolution"),  # impossible
    *("tags", "files", "digest"),
    *(
        "description",
        "time_zone",
        "areas",
        "users",
        "historian",
        "opcua",
        "hmi",
        "simulator",
        "logic",
        "dnp3",
        "modbus_server",
        "calculated",
        "forward",
        "events",
        "forecasts",
        "dispatch",
        "anomalies",
        "health",
        "demand_response",
        "market",
        "totals",
    ),
    *_DRIVERS_TAKE,
}


def unknown_fields() -> set[str]:
    """Fields of a site that nothing here speaks of: a change there would go unseen. There are none."""
    return {field.name for field in fields(Site)} - _HANDLED
