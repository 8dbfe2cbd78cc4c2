"""The control section, what points ask of commands, users' areas; and the tags that these add."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from gateway.config.control import Seat
from gateway.config.fault import SiteFaults
from gateway.config.load import load_site
from gateway.config.renumber import Loaded, load_shifted, numbering, renumbered
from gateway.config.site import Handling, Role, Site
from gateway.tags.tag import ValueType

SITE = """
site: {name: controlled}
areas: {grid: The utility, loads/feeders: Feeders}
users: {olga: {role: operator, areas: [loads]}}
devices:
  pcc:
    area: grid
    protocol: modbus
    connection: {host: 127.0.0.1, port: 1}
    groups: {all: {period_ms: 1000}}
    points:
      power_kw: {table: input, address: 0, type: float32, unit: kW}
      setpoint_kw: {table: holding, address: 0, type: float32, unit: kW, write: {low: 0, high: 9 SETPOINT}}
      close_command: {table: coil, address: 0, write: {role: engineer COIL}}
  feeder1:
    area: loads/feeders
    protocol: modbus
    connection: {host: 127.0.0.1, port: 2}
    groups: {all: {period_ms: 1000}}
    points:
      open: {table: coil, address: 0, write: {}}
CONTROL
"""


def load(folder: Path, control: str = "", setpoint: str = "", coil: str = "") -> Site:
    text = SITE.replace(" SETPOINT", setpoint and f", {setpoint}").replace(" COIL", coil and f", {coil}")
    (folder / "site.yaml").write_text(text.replace("CONTROL", textwrap.dedent(control)))
    return load_site(folder / "site.yaml")


def faults(folder: Path, **changes: str) -> list[str]:
    with pytest.raises(SiteFaults) as raised:
        load(folder, **changes)
    return [f"{fault.line}:{fault.column} {fault.found}: {fault.mend}" for fault in raised.value.faults]


CONTROL = """
    control:
      areas:
        grid: {role: engineer, hold_s: 60, default: schedule}
        loads: {}
      priority: [local, schedule]
      interlocks:
        dead:
          points: [pcc.close_command, "feeder*.open"]
          value: true
          allow: abs(pcc.power_kw) < 1 kW and _system.control.grid.holder == 'local'
          message: there is power
"""


def test_without_the_section_nothing_is_added_and_nothing_asked(tmp_path):
    site = load(tmp_path)
    assert site.control is None
    assert not [tag.name for tag in site.tags if "control" in tag.name or tag.name.endswith(".select")]
    setpoint = next(tag for tag in site.tags if tag.name == "pcc.setpoint_kw")
    assert setpoint.write is not None
    assert setpoint.write.handling == Handling()


def test_the_section_is_as_written(tmp_path):
    site = load(tmp_path, CONTROL)
    control = site.control
    assert control is not None
    grid, loads = control.areas
    assert (grid.path, grid.hold_s, grid.default) == ("grid", 60, Seat.SCHEDULE)
    assert (loads.path, loads.hold_s, loads.default) == ("loads", 900, None)
    names = [tag.name for tag in site.tags]
    assert {names[at] for at in grid.points} == {"pcc.setpoint_kw", "pcc.close_command"}
    assert {names[at] for at in loads.points} == {"feeder1.open"}
    assert control.priority == (Seat.LOCAL, Seat.SCHEDULE)
    (interlock,) = control.interlocks
    assert {names[at] for at in interlock.points} == {"pcc.close_command", "feeder1.open"}
    assert [names[at] for at in interlock.allow.tags] == ["pcc.power_kw", "_system.control.grid.holder"]
    assert site.users[0].areas == ("loads",)


def test_each_area_has_its_tags(tmp_path):
    site = load(tmp_path, CONTROL)
    assert site.control is not None
    grid = site.control.areas[0]
    tags = [site.tags[at] for at in (grid.take, grid.holder, grid.user, grid.until)]
    assert [(tag.name, tag.type) for tag in tags] == [
        ("_system.control.grid.take", ValueType.BOOL),
        ("_system.control.grid.holder", ValueType.UINT64),
        ("_system.control.grid.user", ValueType.STRING),
        ("_system.control.grid.until", ValueType.INT64),
    ]
    assert tags[0].write is not None
    assert tags[0].write.role is Role.ENGINEER
    assert tags[1].states == {0: "nobody", 1: "local", 2: "remote", 3: "schedule", 4: "logic", 5: "market"}
    assert [tag.write for tag in tags[1:]] == [None, None, None]


def test_a_point_says_how_its_commands_are_handled(tmp_path):
    coil = "emergency: true, emergency_value: false, select: true, select_timeout_ms: 5000, settle_s: 9"
    site = load(tmp_path, setpoint="second_person: true, interval_ms: 250", coil=coil)
    tags = {tag.name: tag for tag in site.tags}
    assert tags["pcc.setpoint_kw"].write.handling == Handling(confirm_ms=120_000, interval_ms=250)
    assert tags["pcc.setpoint_kw"].write.patience_ms == 122_000
    handling = tags["pcc.close_command"].write.handling
    assert handling == Handling(5000, settle_ms=9000, is_emergency=True, emergency_value=False)
    assert [handling.is_emergency_of(value) for value in (False, True)] == [True, False]
    select = tags["pcc.close_command.select"]
    assert (select.type, select.area, select.write.role) == (ValueType.BOOL, "grid", Role.ENGINEER)
    assert not select.write.handling.is_emergency


def test_a_reloaded_site_keeps_its_places_whatever_control_refers_to(tmp_path):
    old = load(tmp_path, setpoint="select: true")
    new = load(tmp_path, CONTROL, setpoint="select: true")
    loaded = Loaded(new, load_shifted(tmp_path / "site.yaml"))
    site = renumbered(loaded, old, numbering(old, new))
    names = [tag.name for tag in site.tags]
    assert names[: len(old.tags)] == [tag.name for tag in old.tags]
    assert site.control is not None
    grid = site.control.areas[0]
    assert names[grid.take] == "_system.control.grid.take"
    assert {names[at] for at in grid.points} >= {"pcc.setpoint_kw", "pcc.close_command"}
    (interlock,) = site.control.interlocks
    assert [names[at] for at in interlock.allow.tags] == ["pcc.power_kw", "_system.control.grid.holder"]


LOCK = "control: {interlocks: {x: {points: [feeder1.open], KEYS, message: m}}}"
# What is written, the words at which the fault stands, and what it says.
WRONG = [
    (
        "setpoint",
        "select_timeout_ms: 500",
        "select_",
        "'select_timeout_ms' without 'select': add 'select: true'",
    ),
    (
        "setpoint",
        "confirm_timeout_ms: 5000",
        "confirm_",
        "'confirm_timeout_ms' without 'second_person': add 'second_person: true'",
    ),
    (
        "setpoint",
        "emergency: true, select: true",
        "select: true",
        "'select' of an emergency, which passes it: remove one, or say by 'emergency_value' which value is the "
        "emergency",
    ),
    (
        "setpoint",
        "emergency_value: 1",
        "emergency_value",
        "'emergency_value' of a point without 'emergency': add 'emergency: true'",
    ),
    (
        "setpoint",
        "emergency: true, emergency_value: 10",
        "10",
        "'emergency_value' is the integer 10, which the point does not take: write a value that may be commanded",
    ),
    (
        "coil",
        "emergency: true, emergency_value: 0",
        "0}}",
        "'emergency_value' is the integer 0: write true or false",
    ),
    ("control", "control: {areas: {gird: {}}}", "gird", "the unknown area 'gird': write 'grid'"),
    (
        "control",
        "control: {priority: [local, local]}",
        "[local",
        "'local' a second time in 'priority': name it once",
    ),
    (
        "control",
        "control: {interlocks: {x: {points: [pcc.power_kw], allow: 1 < 2, message: m}}}",
        "[pcc",
        "no writable tag is 'pcc.power_kw': write 'pcc.setpoint_kw'",
    ),
    (
        "control",
        "control: {interlocks: {x: {points: [], allow: 1 < 2, message: m}}}",
        "[]",
        "'points' is empty: name writable tags",
    ),
    (
        "control",
        LOCK.replace("KEYS", "allow: 1 < pcc.power_kv"),
        "pcc.power_kv",
        "the unknown tag 'pcc.power_kv': write 'pcc.power_kw'",
    ),
    (
        "control",
        LOCK.replace("KEYS", 'allow: "pcc.power_kw < 1 V"'),
        "< 1 V",
        "'kW' < 'V': convert one: 'x * 1000', or 'x / 1 kW'",
    ),
    (
        "control",
        LOCK.replace("KEYS", "allow: [1]"),
        "[1]",
        "'allow' is a list: write an expression over tags",
    ),
    (
        "control",
        LOCK.replace("KEYS", "value: 1, allow: 1 < 2"),
        "1, allow",
        "'value' is the integer 1: write true or false",
    ),
    (
        "control",
        'control: {interlocks: {x: {points: ["*"], allow: value, message: m}}}',
        '["*"]',
        "'pcc.setpoint_kw' and 'pcc.close_command' take values of different kinds: make an interlock for each, "
        "or leave 'value' out",
    ),
]


@pytest.mark.parametrize(("key", "written", "at", "expected"), WRONG)
def test_what_is_wrong_is_told_with_its_place(tmp_path, key, written, at, expected):
    (fault,) = faults(tmp_path, **{key: written})
    line, column = next(
        (number, line.rindex(at) + 1)
        for number, line in enumerate((tmp_path / "site.yaml").read_text().splitlines(), 1)
        if written in line
    )
    assert fault == f"{line}:{column} {expected}"


def test_an_emergency_has_no_interlock(tmp_path):
    control = "control: {interlocks: {x: {points: [pcc.close_command], allow: 1 < 2, message: m}}}"
    (fault,) = faults(tmp_path, coil="emergency: true", control=control)
    assert "an interlock of the emergency 'pcc.close_command', which passes it: leave the point out" in fault
    (fault,) = faults(
        tmp_path,
        coil="emergency: true, emergency_value: false",
        control=control.replace("allow", "value: false, allow"),
    )
    assert "an interlock of the emergency" in fault
    load(tmp_path, control, coil="emergency: true, emergency_value: false")


def test_an_area_that_a_user_is_said_to_have_must_be_there(tmp_path):
    text = SITE.replace("areas: [loads]", "areas: [lodes]").replace(" SETPOINT", "").replace(" COIL", "")
    (tmp_path / "site.yaml").write_text(text.replace("CONTROL", ""))
    with pytest.raises(SiteFaults) as raised:
        load_site(tmp_path / "site.yaml")
    (fault,) = raised.value.faults
    assert (fault.found, fault.mend) == ("the unknown area 'lodes' of the user 'olga'", "write 'loads'")
