"""Fifty devices of which ten are dead, silent, slow, resetting or lying: the forty do not notice."""

from __future__ import annotations

import contextlib
import statistics
import time
from pathlib import Path

import numpy as np
import pytest

from gateway.simulator.control import ControlClient
from gateway.simulator.faults import Fault, FaultKind
from gateway.tags.image import Region
from gateway.tags.quality import is_bad, is_good

CONFIG = Path(__file__).parents[2] / "config"
CHARGERS, FEEDERS = 40, 10
STALE_S = 1.5  # of a charger's fast group: the stated time
BUSY_S = 1.0  # how late a loop may be on a machine that runs other things
KEPT = 0.95  # of the rate: by each device of that of all, and by all of what it is without the ten
BEFORE_S, WINDOW_S = 6.0, 10.0
PATIENCE_S = 60.0  # for a window in which the machine has as much time for us as it had before
FAULTY = {
    "ev2": Fault(FaultKind.STOPPED),
    "ev7": Fault(FaultKind.STOPPED),
    "ev11": Fault(FaultKind.SILENT),
    "ev19": Fault(FaultKind.SLOW, delay_ms=3000),
    "ev23": Fault(FaultKind.SLOW, delay_ms=3000),
    "ev29": Fault(FaultKind.RESET),
    "ev31": Fault(FaultKind.RESET),
    "ev34": Fault(FaultKind.GARBLED),
    "ev37": Fault(FaultKind.GARBLED),
    "ev40": Fault(FaultKind.WRONG),
}
IMPLAUSIBLE = "ev40"
GONE = [name for name in FAULTY if name != IMPLAUSIBLE]


@pytest.fixture(scope="module")
def plant(tmp_path_factory, start_site, find_ports):
    folder = tmp_path_factory.mktemp("fifty")
    first = find_ports()
    path = folder / "site.yaml"
    path.write_text(f"""\
site: {{name: fifty}}
include: ["{CONFIG / "devices" / "ev_charger.yaml"}", "{CONFIG / "devices" / "feeder.yaml"}"]
areas: {{ev: Chargers, loads: Feeders}}
devices:
  ev: {{area: ev, repeat: 1..{CHARGERS}, template: ev_charger, with: {{port: "${{{first + 20} + n}}"}}}}
  feeder: {{area: loads, repeat: 1..{FEEDERS}, template: feeder, with: {{port: "${{{first + 10} + n}}"}}}}
simulator: {{base_port: {first}, ev_chargers: {CHARGERS}, feeders: {FEEDERS}}}
servers: {{opcua: {{port: {first + 90}}}, hmi: {{port: {first + 91}}}}}
users: {{operator: {{role: operator}}}}
""")
    plant = start_site(path, folder / "state")
    try:
        plant.read_until("all parts run")
        yield plant
    finally:
        plant.end()


@pytest.fixture
def image(plant):
    with Region.attach(plant.region_name) as image:
        plant.until(lambda: all(is_connected(image, device.name) for device in plant.site.modbus), 60)
        yield image


def is_connected(image, name):
    return image.sample(f"_system.{name}.connected").value is True


def power(image, name):
    return image.sample(f"{name}.power_kw")


def until_bad_s(image, name, last_good, since):
    """From the last Good value to Bad, by the times that both bear: at ``last_good`` or after ``since``, a reader."""
    changes = since.take()
    assert not changes.lost
    for row in changes.records[changes.records["tag"] == image.index_of(f"{name}.power_kw")]:
        if is_bad(int(row["status"])):
            return (int(row["receipt_time"]) - last_good) / 1e9
        last_good = int(row["source_time"])
    raise AssertionError(f"{name} was never Bad")


def rates(image, periods_s, seconds):
    """Of each device: the polls that its values' stamps tell of, as a share of those that were due by its period."""
    tags = {name: image.index_of(f"{name}.power_kw") for name in periods_s}
    stamps = {name: [] for name in periods_s}
    reader = image.reader("now")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        reader.wait(0.2, 0.2)
        changes = reader.take()
        assert not changes.lost
        for name, tag in tags.items():
            stamps[name] += changes.records["source_time"][changes.records["tag"] == tag].tolist()
    begun, ended = (edge(edge(of) for of in stamps.values() if of) for edge in (min, max))
    return {
        name: rate(np.unique(stamps[name]), begun, ended, period_s * 1e9)
        for name, period_s in periods_s.items()
    }


def rate(stamps, begun, ended, period):
    """None at all where it had nothing to tell at the beginning or the end of what the others tell of."""
    edges = (stamps[:1] - begun, ended - stamps[-1:])
    if len(stamps) < 2 or any(edge[0] > 3 * period for edge in edges):
        return 0.0
    return (len(stamps) - 1) * period / (stamps[-1] - stamps[0])


def test_ten_that_fail_slow_nobody_down_are_bad_in_time_and_come_back(plant, image):
    well = {device.name: point_period_s(device) for device in plant.site.modbus if device.name not in FAULTY}
    assert (len(well), len(FAULTY)) == (40, 10)
    control = ControlClient(plant.paths.simulator_socket)
    plant.until(lambda: all(is_good(power(image, name).status) for name in (*well, *FAULTY)), 30)
    # What a machine that does other things as well leaves of the due rate, without the ten: 1 on a quiet one.
    alone = statistics.median(rates(image, well, BEFORE_S).values())
    begin = {name: (power(image, name).source_time, image.reader("now")) for name in GONE}
    for name, fault in FAULTY.items():
        control.set(name, fault)
    try:
        for name in GONE:
            plant.until(lambda name=name: is_bad(power(image, name).status), 30)
            assert until_bad_s(image, name, *begin[name]) < STALE_S + BUSY_S, name
        # What is no plausible power is not told as one; a lie within the instrument's range nobody can know.
        plant.until(lambda: not is_good(power(image, IMPLAUSIBLE).status), 10)
        kept = 0.0
        end = time.monotonic() + PATIENCE_S
        while kept < KEPT * alone and time.monotonic() < end:
            now = rates(image, well, WINDOW_S)
            middle = statistics.median(now.values())
            starved = {name: share for name, share in now.items() if share < KEPT * middle}
            kept = kept if starved else max(kept, middle)
        assert kept, f"beside others with {middle:.3f} of their polls: {starved}"
        assert all(is_bad(power(image, name).status) for name in GONE)
        assert all(is_good(power(image, name).status) for name in well)
        assert all(is_connected(image, name) for name in well)
    finally:
        with contextlib.suppress(OSError):
            control.clear()
    plant.until(lambda: all(is_good(power(image, name).status) for name in FAULTY), 60)
    plant.until(lambda: all(is_connected(image, name) for name in FAULTY), 60)
    if kept < KEPT * alone:  # or has the machine become busier meanwhile?
        alone = min(alone, statistics.median(rates(image, well, WINDOW_S).values()))
    assert kept >= KEPT * alone


def point_period_s(device):
    [group] = {point.group for point in device.points if point.name.endswith(".power_kw")}
    return device.groups[group].period_ms / 1000
