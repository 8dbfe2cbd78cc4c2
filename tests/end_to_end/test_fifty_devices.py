"""Fifty devices of which ten are dead, silent, slow, resetting or lying: the forty do not notice."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest

from gateway.simulator.control import ControlClient
from gateway.simulator.faults import Fault, FaultKind
from gateway.tags.image import Region
from gateway.tags.quality import is_bad, is_good

CONFIG = Path(__file__).parents[2] / "config"
CHARGERS, FEEDERS = 40, 10
STALE_S = 1.5  # of a charger's fast group, the stated time
TIMEOUT_S = 1.0
LOOK_S = 0.1  # how often the driver looks for what is stale
BUSY_S = 2.0  # how late a machine that runs other things may be
KEPT = 0.95  # of the rate of all together
ONES_KEPT = 0.75  # of a device's: it is asked some 18 times in a window, and counted once a second
WINDOW_S = 4.0
FAULTY = {
    "ev2": Fault(FaultKind.STOPPED),
    "ev7": Fault(FaultKind.STOPPED),
    "ev11": Fault(FaultKind.SILENT),
    "ev13": Fault(FaultKind.SILENT),
    "ev19": Fault(FaultKind.SLOW, delay_ms=3000),
    "ev23": Fault(FaultKind.SLOW, delay_ms=3000),
    "ev29": Fault(FaultKind.RESET),
    "ev31": Fault(FaultKind.RESET),
    "ev37": Fault(FaultKind.WRONG),
    "ev40": Fault(FaultKind.WRONG),
}
LYING = [name for name, fault in FAULTY.items() if fault.kind is FaultKind.WRONG]
GONE = [name for name in FAULTY if name not in LYING]


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


def rates(image, names):
    """Answered polls a second of each device, over a while, by counters and the times that they bear."""
    tags = [f"_system.{name}.requests" for name in names]
    before = [image.sample(tag) for tag in tags]
    time.sleep(WINDOW_S)  # what is measured is a rate
    after = [image.sample(tag) for tag in tags]
    return [
        (last.value - first.value) / max(last.receipt_time - first.receipt_time, 1) * 1e9
        for first, last in zip(before, after, strict=True)
    ]


def test_ten_that_fail_slow_nobody_down_are_bad_in_time_and_come_back(plant, image):
    well = [device.name for device in plant.site.modbus if device.name not in FAULTY]
    assert (len(well), len(FAULTY)) == (40, 10)
    control = ControlClient(plant.paths.simulator_socket)
    plant.until(lambda: all(is_good(power(image, name).status) for name in (*well, *FAULTY)), 30)
    rate_before = rates(image, well)
    begin = time.monotonic()
    for name, fault in FAULTY.items():
        control.set(name, fault)
    try:
        plant.until(lambda: all(is_bad(power(image, name).status) for name in GONE), 30)
        assert time.monotonic() - begin < STALE_S + TIMEOUT_S + LOOK_S + BUSY_S
        # What is no plausible power is not told as one; a lie within the instrument's range nobody can know.
        for name in LYING:
            plant.until(lambda name=name: not is_good(power(image, name).status), 10)

        def keep_their_rate():
            now = rates(image, well)
            each = zip(now, rate_before, strict=True)
            return sum(now) >= KEPT * sum(rate_before) and all(a >= ONES_KEPT * b for a, b in each)

        plant.until(keep_their_rate, 60)
        assert all(is_good(power(image, name).status) for name in well)
        assert all(is_connected(image, name) for name in well)
    finally:
        with contextlib.suppress(OSError):
            control.clear()
    plant.until(lambda: all(is_good(power(image, name).status) for name in FAULTY), 60)
    plant.until(lambda: all(is_connected(image, name) for name in FAULTY), 60)
