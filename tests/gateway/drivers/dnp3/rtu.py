"""An outstation of ours as a feeder's RTU, and a driver with its image that is its master."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from dnp3_interop_wire import Relay, settle

from gateway.config.dnp3 import ControlModel, Outstation, OutstationMaster, OutstationPoint, PointKind
from gateway.config.load import load_site
from gateway.config.site import Site
from gateway.drivers.dnp3.driver import Dnp3Driver
from gateway.drivers.remote import OperateServer, RemoteDriver
from gateway.servers.dnp3.database import Database
from gateway.servers.dnp3.objects import Flag, Kind, Measurement, Number
from gateway.servers.dnp3.server import OutstationServer
from gateway.tags.command import Command, Done, Outcome
from gateway.tags.image import Region
from gateway.tags.quality import Quality
from gateway.tags.sample import Sample

SITE = """
site: {name: rtu}
areas: {grid: Feeder}
devices:
  rtu:
    area: grid
    protocol: dnp3
    connection: {WAY, address: 10, timeout_ms: 1000, retry_max_ms: 500, keep_alive_ms: 1000}
    groups: {events: {period_ms: PERIOD, stale_after_ms: STALE}}
    points:
      closed: {type: binary, index: 0}
      position: {type: double_bit, index: 0}
      energy_kwh: {type: counter, index: 0, unit: kWh}
      frozen_kwh: {type: frozen_counter, index: 0, unit: kWh}
      power_kw: {type: analog, index: 0, scale: 0.001, unit: kW, range: [-100, 100]}
      name: {type: octet_string, index: 0, length: 20}
      close: {type: binary_output, index: 0, when_true: close, when_false: trip, write: {role: operator}}
      setpoint_kw: {type: analog_output, index: 0, form: float64, unit: kW, write: {low: -50, high: 50}}
      direct_kw:
        {type: analog_output, index: 1, select: false, form: int16, scale: 0.1, unit: kW, write: {low: -50, high: 50}}
"""
STRING = "      name: {type: octet_string, index: 0, length: 20}\n"
T0 = time.time_ns() // 1_000_000


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(condition: Callable[[], bool], what: str, patience_s: float = 10.0) -> None:
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, f"not within {patience_s:g} s: {what}"
        await asyncio.sleep(0.01)


class Rtu:
    """The outstation of the feeder; its commands change its outputs, as a device's do."""

    def __init__(self, port: int, **changes: Any) -> None:
        point = OutstationPoint
        self.points = (
            point(PointKind.BINARY, 0, 0, "closed", 1),
            point(PointKind.DOUBLE_BIT, 0, 1, "position", 1),
            point(PointKind.COUNTER, 0, 2, "energy", 3, frozen_class=3),
            point(PointKind.ANALOG, 0, 3, "power", 2),
            point(PointKind.OCTET_STRING, 0, 4, "name", 3),
            point(PointKind.BINARY_OUTPUT, 0, 5, "close", 1, control=ControlModel.TRIP_CLOSE),
            point(PointKind.ANALOG_OUTPUT, 0, 6, "setpoint", 2, static_variation=4),
            point(PointKind.ANALOG_OUTPUT, 1, 7, "direct", 2),
        )
        self.config = Outstation(
            "127.0.0.1",
            port,
            10,
            (OutstationMaster(1, ("127.0.0.1",), "master"),),
            self.points,
            unsolicited_hold_ms=20,
            needs_time=True,
        )
        self.config = dataclasses.replace(self.config, **changes)
        self.database = Database(self.points)
        self.commands: list[tuple[str, object]] = []
        self.refusal: Outcome | None = None
        first: tuple[tuple[Kind, int, Number], ...] = (
            (Kind.BINARY, 0, True),
            (Kind.DOUBLE_BIT, 0, 2),
            (Kind.COUNTER, 0, 4_000_000_000),
            (Kind.ANALOG, 0, 42_500.0),
            (Kind.OCTET_STRING, 0, b"Feeder 7"),
            (Kind.BINARY_OUTPUT, 0, False),
            (Kind.ANALOG_OUTPUT, 0, 0.0),
            (Kind.ANALOG_OUTPUT, 1, 0.0),
        )
        for kind, index, value in first:
            self.tell(kind, index, value, T0)
        self.server = OutstationServer(self.config, self.database, self)
        self._task: asyncio.Task[None] | None = None

    def tell(self, kind: Kind, index: int, value: Number, time_ms: int, flags: int = Flag.ONLINE) -> None:
        self.database.update(kind, index, Measurement(value, int(flags), time_ms))
        if hasattr(self, "server"):
            self.server.changed.set()

    async def send(self, command: Command) -> Outcome:
        self.commands.append((command.tag, command.value))
        if self.refusal is not None:
            return self.refusal
        kind = {"close": Kind.BINARY_OUTPUT, "setpoint": Kind.ANALOG_OUTPUT, "direct": Kind.ANALOG_OUTPUT}
        assert isinstance(command.value, bool | float | int)
        self.tell(kind[command.tag], int(command.tag == "direct"), command.value, time.time_ns() // 1_000_000)
        return Done(command.value, 0)

    async def up(self) -> None:
        self.server = OutstationServer(self.config, self.database, self)
        await self.server.open()
        self._task = asyncio.create_task(self.server.run())

    async def down(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await self.server.close()


class Running:
    """Where it is relayed, ``relay`` has written down what each side sent."""

    def __init__(
        self,
        rtu: Rtu,
        site: Site,
        region: Region,
        driver: Dnp3Driver,
        remote: RemoteDriver,
        relay: Relay,
    ) -> None:
        self.rtu, self.site, self.region = rtu, site, region
        self.driver, self.remote, self.relay = driver, remote, relay

    def sample(self, name: str) -> Sample:
        return self.region.sample(f"rtu.{name}")

    def tag(self, name: str) -> int:
        return self.region.index_of(f"rtu.{name}")

    async def is_up(self) -> None:
        await until(lambda: self.sample("power_kw").status == Quality.GOOD, "the first values")


@asynccontextmanager
async def running_rtu(
    folder: Path,
    way: str = "host: 127.0.0.1, port: PORT",
    period_ms: int = 200,
    relayed: bool = False,
    strings: bool = True,
    **changes: Any,
) -> AsyncIterator[Running]:
    """``way`` is what the connection says of it; ``changes`` are of the outstation's settings.

    ``strings``: the master's device has a point of an octet string, which the outstation has in any case.
    """
    port = free_port()
    relay = Relay(port)
    if relayed:
        await relay.open()
    site_text = SITE if strings else SITE.replace(STRING, "")
    text = site_text.replace("WAY", way.replace("PORT", str(relay.port if relayed else port)))
    file = folder / "site.yaml"
    file.write_text(text.replace("PERIOD", str(period_ms)).replace("STALE", str(max(1_500, 3 * period_ms))))
    site = load_site(file)
    rtu = Rtu(port, **changes)
    await rtu.up()
    with Region.create(f"dnp3.master.{port}", [tag.spec() for tag in site.tags]) as region:
        writer = region.claim("dnp3_master")
        driver = Dnp3Driver(site.dnp3_devices, region, writer)
        stop = asyncio.Event()
        task = asyncio.create_task(driver.run(stop))
        server = OperateServer(folder / "driver.sock", driver, driver.tags())
        await server.start()
        remote = RemoteDriver(folder / "driver.sock", driver.tags())
        connected = asyncio.create_task(remote.run())
        yield Running(rtu, site, region, driver, remote, relay)
        connected.cancel()
        await server.stop()
        stop.set()
        await task
        assert {
            region.sample(tag.name).status
            for tag in site.tags
            if tag.device == "rtu" and not tag.name.startswith("_")
        } == {Quality.BAD_COMMUNICATION_ERROR}
        if relayed:
            await relay.close()
        await rtu.down()
        await settle()
        writer.release()
