"""Commands on pages of a multiplexed message, and what an inverter made of cantools reads in them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import can
import pytest
from cantools.database.can import Database

from gateway.config.load import load_site
from gateway.drivers.can.driver import CanDriver
from gateway.tags.image import Region
from gateway.tags.operate import OperateError
from gateway.tags.quality import Quality

DBC = """VERSION ""
NS_ :
BS_:
BU_: INV GW
BO_ 768 Settings: 8 GW
 SG_ Page M : 0|8@1+ (1,0) [0|255] "" INV
 SG_ Enable : 8|1@1+ (1,0) [0|1] "" INV
 SG_ Power m1 : 16|16@1- (0.1,0) [-100|100] "kW" INV
 SG_ Ramp m1 : 32|8@1+ (1,0) [0|200] "" INV
 SG_ Voltage m2 : 16|16@1+ (0.1,0) [0|1000] "V" INV
 SG_ Both m1 : 40|8@1+ (1,0) [0|200] "" INV
 SG_ Counter : 48|4@1+ (1,0) [0|15] "" INV
BA_DEF_ SG_ "GenSigStartValue" INT 0 255;
BA_DEF_DEF_ "GenSigStartValue" 0;
BA_ "GenSigStartValue" SG_ 768 Ramp 25;
"""
SITE = """
site: {name: inverter}
areas: {a: A}
devices:
  inverter:
    area: a
    protocol: can
    connection: {interface: virtual, channel: CHANNEL, database: inverter.dbc}
    groups: {fast: {period_ms: 50, stale_after_ms: 5000}}
    transmit: {Settings: {cycle_ms: 20, counter: Counter}}
    points:
      enable: {message: Settings, signal: Enable, write: {}}
      power_kw: {message: Settings, signal: Power, write: {}}
      voltage_v: {message: Settings, signal: Voltage, write: {}}
"""


async def until(condition: Callable[[], bool], what: str, patience_s: float = 15.0) -> None:
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, f"not within {patience_s:g} s: {what}"
        await asyncio.sleep(0.01)


class Inverter:
    def __init__(self, channel: str, database: Path) -> None:
        self.bus = can.Bus(channel, "virtual", ignore_config=True)
        self.database = Database()
        self.database.add_dbc_file(database)
        self.heard: list[dict[str, float]] = []

    def read(self) -> list[dict[str, float]]:
        while (message := self.bus.recv(0)) is not None:
            self.heard.append(dict(self.database.decode_message(message.arbitration_id, message.data)))  # type: ignore[arg-type] # plain numbers
        return self.heard


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[Region, CanDriver, Inverter]]:
    channel = f"bus-{uuid4().hex}"
    (folder / "inverter.dbc").write_text(DBC)
    (folder / "site.yaml").write_text(SITE.replace("CHANNEL", channel))
    site = load_site(folder / "site.yaml")
    other = Inverter(channel, folder / "inverter.dbc")
    with Region.create(f"t-{uuid4().hex[:12]}", [tag.spec() for tag in site.tags]) as region:
        driver = CanDriver(site.can_devices, region.claim("drivers"), seed=1)
        stop = asyncio.Event()
        task = asyncio.create_task(driver.run(stop))
        await until(lambda: driver._channels[0].is_open, "the bus is open")
        try:
            yield region, driver, other
        finally:
            stop.set()
            await task
            other.bus.shutdown()


async def test_each_page_that_was_commanded_is_sent_in_the_cycle_and_no_other(tmp_path: Path) -> None:
    async with running(tmp_path) as (region, driver, other):
        power, voltage, enable = (
            region.index_of(f"inverter.{n}") for n in ("power_kw", "voltage_v", "enable")
        )
        with pytest.raises(OperateError, match="no page of Settings was commanded yet"):
            await driver.operate(enable, True)
        assert other.read() == []
        await driver.operate(power, -12.5)
        await until(lambda: len(other.read()) >= 3, "it is sent")
        # the ramp has what the database says that it has at the start
        for one in other.read():
            assert (one["Page"], one["Power"], one["Ramp"], one["Enable"]) == (1, pytest.approx(-12.5), 25, 0)
        await driver.operate(voltage, 400.5)
        await driver.operate(enable, True)
        await until(
            lambda: (
                [one["Page"] for one in other.read()[-4:] if one["Enable"]] in ([1, 2, 1, 2], [2, 1, 2, 1])
            ),
            "both pages in turn, enabled",
        )
        first, second = sorted(other.read()[-2:], key=lambda one: one["Page"])
        assert (first["Power"], second["Voltage"]) == (pytest.approx(-12.5), pytest.approx(400.5))
        counts = [int(one["Counter"]) for one in other.read()]
        assert counts == [place % 16 for place in range(len(counts))]
        assert await driver.read_back(power) == pytest.approx(-12.5)
        assert await driver.read_back(voltage) == pytest.approx(400.5)
        assert await driver.read_back(enable) is True
        await until(lambda: region.sample("inverter.power_kw").value == pytest.approx(-12.5), "it is a tag")
        assert region.sample("inverter.voltage_v").status == Quality.GOOD


async def test_a_page_that_was_refused_is_not_sent_later(tmp_path: Path) -> None:
    async with running(tmp_path) as (region, driver, other):
        power, voltage = region.index_of("inverter.power_kw"), region.index_of("inverter.voltage_v")
        await driver.operate(power, 5.0)
        other.bus.send(can.Message(arbitration_id=0x40, is_error_frame=True, dlc=8, data=bytes(8)))  # bus-off
        state = "_system.inverter.bus_state"
        await until(lambda: region.sample(state).value == 2, "off")
        with pytest.raises(OperateError, match="bus-off"):
            await driver.operate(voltage, 300.0)
        with pytest.raises(OperateError, match="bus-off"):
            await driver.operate(power, 9.0)
        other.bus.send(can.Message(arbitration_id=0x100, is_error_frame=True, dlc=8, data=bytes(8)))
        await until(lambda: region.sample(state).value == 0, "active")
        count = len(other.read())
        await until(lambda: len(other.read()) >= count + 3, "the cycle goes on")
        assert {(one["Page"], one["Power"]) for one in other.read()} == {(1, 5.0)}
        with pytest.raises(OperateError, match="not sent yet"):
            await driver.read_back(voltage)
