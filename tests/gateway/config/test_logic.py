"""From the `logic` section to settings and tags."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config.fault import Fault
from gateway.config.load import load_site
from gateway.config.logic import LogicSettings, Reason, Start
from gateway.config.site import Role, Site, Tag, WriteLimits
from gateway.config.system import DRIVERS_OWNER, SCAN_OWNER, part_names
from gateway.tags.tag import ValueType

SITE = """\
site: {name: plant}
areas: {storage: Battery, grid: Tie}
devices:
  battery1:
    area: storage
    protocol: modbus
    connection: {host: 192.0.2.10}
    groups: {fast: {period_ms: 200}}
    points:
      power_kw: {table: input, address: 0, type: int16, unit: kW}
      closed: {table: coil, address: 1, write: {role: engineer}}
      power_setpoint_kw:
        {table: holding, address: 0, type: int16, scale: 0.1, unit: kW, write: {role: operator, low: -50, high: 50}}
"""
LOGIC = """\
logic:
  programs: [st/*.st, st/main.st]
  tasks: [Fast]
  watchdog_ms: 50
  priority: 70
  retain_ms: 500
  start: cold
  inputs:
    battery1.power_kw: main.power
    battery1.closed: {variable: main.closed, quality: main.closed_status, good: main.closed_is_good}
    plan.battery_kw.accepted: main.again
  tags:
    island.state:
      {variable: main.state, type: uint16, area: grid, states: {0: connected, 1: islanded}, safe: 1, history: false,
       description: Where the island stands}
    island.load_kw: {variable: main.load, type: float32, area: grid, unit: kW, range: [0, 200], decimals: 1}
  outputs:
    battery1.power_setpoint_kw: {variable: main.battery, active: main.holds, safe: 0, refresh_ms: 500}
    battery1.closed: {variable: main.close, safe: hold}
  setpoints:
    plan.battery_kw:
      {variable: main.plan, valid: main.plan_is_valid, area: storage, unit: kW, low: -50, high: 50,
       max_rate_per_s: 5, valid_for_s: 60, initial: 0, fallback: hold, role: engineer, timeout_ms: 900}
    plan.allow: {variable: main.allow, type: bool, area: storage, initial: true, fallback: false}
"""


@pytest.fixture
def site(load: Callable[..., Site], programs: Path) -> Site:
    return load(SITE + LOGIC)


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    folder = tmp_path / "st"
    folder.mkdir()
    for name in ("main.st", "b.st", "a.st", "notes.txt"):
        (folder / name).write_text("PROGRAM main\nEND_PROGRAM\n")
    return folder


def logic_of(site: Site) -> LogicSettings:
    assert site.logic is not None
    return site.logic


def tag_of(site: Site, name: str) -> Tag:
    return next(tag for tag in site.tags if tag.name == name)


def test_programs_are_sorted_and_each_is_there_once(site: Site, programs: Path) -> None:
    assert logic_of(site).programs == (programs / "a.st", programs / "b.st", programs / "main.st")


def test_settings_are_as_written(site: Site) -> None:
    logic = logic_of(site)
    assert (logic.tasks, logic.watchdog_ms, logic.priority, logic.retain_ms, logic.start) == (
        ("Fast",), 50, 70, 500, Start.COLD,
    )  # fmt: skip


def test_settings_have_defaults(load: Callable[..., Site], programs: Path) -> None:
    logic = logic_of(load(SITE + "logic: {programs: [st/main.st]}\n"))
    assert (logic.tasks, logic.watchdog_ms, logic.priority, logic.retain_ms, logic.start) == (
        (), 100, 80, 1000, Start.WARM,
    )  # fmt: skip
    assert (logic.inputs, logic.tags, logic.outputs, logic.setpoints) == ((), (), (), ())


def test_indexes_are_those_of_the_image(site: Site) -> None:
    logic = logic_of(site)
    names = [tag.name for tag in site.tags]
    assert [names[one.tag] for one in logic.inputs] == [
        "battery1.power_kw", "battery1.closed", "plan.battery_kw.accepted",
    ]  # fmt: skip
    assert [names[one.tag] for one in logic.tags] == ["island.state", "island.load_kw"]
    assert [(names[one.tag], names[one.demand]) for one in logic.outputs] == [
        ("battery1.power_setpoint_kw", "battery1.power_setpoint_kw.demand"),
        ("battery1.closed", "battery1.closed.demand"),
    ]
    for one in logic.setpoints:
        indexes = (one.tag, one.valid_until, one.sequence, one.accepted, one.answered, one.reason)
        companions = ("", ".valid_until", ".sequence", ".accepted", ".answered", ".reason")
        assert [names[index] for index in indexes] == [one.name + end for end in companions]
    assert len(set(names)) == len(names)


def test_devices_keep_their_indexes_with_logic_and_without(site: Site, load: Callable[..., Site]) -> None:
    without = load(SITE)
    assert without.logic is None
    assert [point.tag for point in site.modbus[0].points] == [point.tag for point in without.modbus[0].points]
    assert site.modbus[0].system == without.modbus[0].system


def test_inputs_with_and_without_keys(site: Site) -> None:
    first, second, _ = logic_of(site).inputs
    assert (first.variable, first.quality, first.good) == ("main.power", None, None)
    assert (second.variable, second.quality, second.good) == (
        "main.closed", "main.closed_status", "main.closed_is_good",
    )  # fmt: skip


def test_published_tag_is_a_tag_of_the_scan(site: Site) -> None:
    state, load_kw = logic_of(site).tags
    assert (state.type, state.safe, load_kw.type, load_kw.safe) == ("uint16", 1, "float32", 0)
    assert tag_of(site, "island.state") == Tag(
        name="island.state",
        type=ValueType.UINT64,
        owner=SCAN_OWNER,
        area="grid",
        device="island",
        description="Where the island stands",
        stale_after_ms=2500,
        history=False,
        states={0: "connected", 1: "islanded"},
    )
    published = tag_of(site, "island.load_kw")
    assert (published.type, published.unit, published.low, published.high) == (ValueType.DOUBLE, "kW", 0, 200)


def test_output_has_a_demand_like_its_target_that_nobody_may_write(site: Site) -> None:
    target, demand = (
        tag_of(site, "battery1.power_setpoint_kw"),
        tag_of(site, "battery1.power_setpoint_kw.demand"),
    )
    assert (demand.type, demand.unit, demand.area, demand.device) == (
        target.type, target.unit, target.area, target.device,
    )  # fmt: skip
    assert (demand.owner, demand.write, demand.history, demand.stale_after_ms) == (
        SCAN_OWNER,
        None,
        True,
        2500,
    )
    battery, closed = logic_of(site).outputs
    assert (battery.safe, battery.active, battery.refresh_ms) == (0, "main.holds", 500)
    assert (closed.safe, closed.active, closed.refresh_ms) == (None, None, 1000)


def test_setpoint_is_written_by_the_drivers_part_and_answered_by_the_scan(site: Site) -> None:
    setpoint, allow = logic_of(site).setpoints
    assert (setpoint.low, setpoint.high, setpoint.max_rate_per_s, setpoint.valid_for_s) == (-50, 50, 5, 60)
    assert (setpoint.initial, setpoint.fallback, setpoint.valid) == (0, None, "main.plan_is_valid")
    assert (allow.low, allow.high, allow.max_rate_per_s, allow.valid_for_s) == (None, None, None, 900)
    assert (allow.initial, allow.fallback, allow.valid) == (True, False, None)
    tags = {
        end: tag_of(site, f"plan.battery_kw{end}")
        for end in ("", ".valid_until", ".sequence", ".accepted", ".answered", ".reason")
    }
    assert {end: (tag.type, tag.owner) for end, tag in tags.items()} == {
        "": (ValueType.DOUBLE, DRIVERS_OWNER),
        ".valid_until": (ValueType.INT64, DRIVERS_OWNER),
        ".sequence": (ValueType.UINT64, DRIVERS_OWNER),
        ".accepted": (ValueType.DOUBLE, SCAN_OWNER),
        ".answered": (ValueType.UINT64, SCAN_OWNER),
        ".reason": (ValueType.UINT64, SCAN_OWNER),
    }
    assert tags[""].write == WriteLimits(Role.ENGINEER, -50, 50, 0.0, 900)
    assert [end for end, tag in tags.items() if tag.write is not None] == [""]
    assert tags[".reason"].states[Reason.TOO_FAST] == "too fast"
    assert tags[".accepted"].unit == "kW"


def test_scan_tells_of_itself_and_of_each_task(site: Site) -> None:
    names = {site.tags[one.tag].name: one for one in logic_of(site).scan}
    assert names["_system.scan.mode"].what == "mode"
    count = names["_system.scan.fast.count"]
    assert (count.what, count.task) == ("count", "Fast")
    assert all(site.tags[one.tag].owner == SCAN_OWNER for one in names.values())
    assert tag_of(site, "_system.scan.fast.jitter_p99_us").unit == "µs"


def test_scan_is_a_part_with_health(site: Site) -> None:
    assert part_names(site.opcua, site.hmi, site.simulator, site.logic) == ("drivers", "scan", "historian")
    assert tag_of(site, "_system.parts.scan.running").owner == "node"


def test_places_are_those_of_the_file(site: Site, tmp_path: Path) -> None:
    closed = logic_of(site).inputs[1]
    lines = (tmp_path / "site.yaml").read_text().splitlines()
    place = closed.places["quality"]
    assert lines[place.line - 1][place.column - 1 :].startswith("main.closed_status")
    assert lines[closed.places["tag"].line - 1].strip().startswith("battery1.closed:")


def test_logic_of_an_included_file_names_programs_beside_that_file(
    load: Callable[..., Site], programs: Path
) -> None:
    (programs / "logic.yaml").write_text("logic: {programs: [main.st]}\n")
    site = load(SITE + "include: [st/logic.yaml]\n")
    assert logic_of(site).programs == (programs / "main.st",)


def test_unknown_tag_is_not_told_where_the_device_itself_is_faulty(
    faults_of: Callable[..., list[Fault]], programs: Path
) -> None:
    (fault,) = faults_of(SITE.replace("address: 1", "address: -1") + LOGIC)
    assert fault.found == "'address' is the integer -1"


def test_absolute_path_of_a_program(tmp_path: Path, programs: Path) -> None:
    path = tmp_path / "absolute.yaml"
    path.write_text(SITE + f"logic: {{programs: [{programs}/m*.st]}}\n")
    assert logic_of(load_site(path)).programs == (programs / "main.st",)
