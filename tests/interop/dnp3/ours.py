"""Our master, with its image, and our outstation, with a site that does what it is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.config.dnp3 import ControlModel, Outstation, OutstationMaster, OutstationPoint, PointKind
from gateway.config.load import load_site
from gateway.drivers.dnp3.driver import Dnp3Driver
from gateway.servers.dnp3.association import Association
from gateway.servers.dnp3.database import Database
from gateway.servers.dnp3.objects import Flag, Kind, Measurement, Number
from gateway.servers.dnp3.server import OutstationServer
from gateway.tags.command import Command, Done, Outcome
from gateway.tags.image import Region
from gateway.tags.quality import Quality
from gateway.tags.sample import Sample

PATIENCE_S = 20.0
SITE = """
site: {name: interop}
areas: {grid: Feeder}
devices:
  rtu:
    area: grid
    protocol: dnp3
    connection:
      {host: 127.0.0.1, port: PORT, address: 10, timeout_ms: 2000, retry_max_ms: 500, unsolicited: UNSOLICITED}
    groups: {events: {period_ms: 600000}}
    points:
      binary: {type: binary, index: 0}
      double_bit: {type: double_bit, index: 0}
      counter: {type: counter, index: 0}
      frozen_counter: {type: frozen_counter, index: 0}
      analog: {type: analog, index: 0}
      octet_string: {type: octet_string, index: 0, length: 20}
      binary_output: {type: binary_output, index: 0, select: SELECT, write: {role: operator}}
      analog_output: {type: analog_output, index: 0, select: SELECT, form: float32, write: {low: -50, high: 50}}
"""


async def until(condition: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"not within {PATIENCE_S:g} s: {what}"
        await asyncio.sleep(0.01)


class OurMaster:
    def __init__(self, region: Region, driver: Dnp3Driver) -> None:
        self._region = region
        self.driver = driver
        self._reader = region.reader("now")
        self._records: list[tuple[int, int, int, int, int]] = []

    def tag(self, name: str) -> int:
        return self._region.index_of(f"rtu.{name}")

    def sample(self, name: str) -> Sample:
        return self._region.sample(f"rtu.{name}")

    def is_good(self, name: str) -> bool:
        return self.sample(name).status == Quality.GOOD

    async def poll(self) -> None:
        """Ask for events now; its period is long, so that tests say when."""
        await self.driver.outstations[0]._poll(everything=False)

    async def poll_until(self, condition: Callable[[], Any], what: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end, f"not within {PATIENCE_S:g} s: {what}"
            await self.poll()
            await asyncio.sleep(0.01)

    def source_times_ms(self, name: str) -> set[int]:
        """Of all samples so far."""
        self._records += self._reader.take().records.tolist()
        tag = self.tag(name)
        return {row[3] // 1_000_000 for row in self._records if row[0] == tag}


@asynccontextmanager
async def our_master(folder: Path, port: int, *, unsolicited: bool, select: bool) -> AsyncIterator[OurMaster]:
    text = SITE.replace("PORT", str(port)).replace("UNSOLICITED", str(unsolicited).lower())
    text = text.replace("SELECT", str(select).lower())
    file = folder / f"{port}.{unsolicited}.yaml"
    file.write_text(text)
    site = load_site(file)
    with Region.create(f"dnp3.interop.{port}.{unsolicited}", [tag.spec() for tag in site.tags]) as region:
        writer = region.claim("dnp3_master")
        driver = Dnp3Driver(site.dnp3_devices, region, writer)
        stop = asyncio.Event()
        task = asyncio.create_task(driver.run(stop))
        try:
            yield OurMaster(region, driver)
        finally:
            stop.set()
            await task
            writer.release()


_POINT = OutstationPoint
_POINTS = (
    _POINT(PointKind.BINARY, 0, 0, "binary", 1),
    _POINT(PointKind.DOUBLE_BIT, 0, 1, "double_bit", 1),
    _POINT(PointKind.COUNTER, 0, 2, "counter", 3, frozen_class=3),
    _POINT(PointKind.ANALOG, 0, 3, "analog", 2),
    _POINT(PointKind.BINARY_OUTPUT, 0, 4, "binary_output", 1, control=ControlModel.LATCH),
    _POINT(PointKind.ANALOG_OUTPUT, 0, 5, "analog_output", 2),
    _POINT(PointKind.OCTET_STRING, 0, 6, "octet_string", 3),
)
FIRST: dict[Kind, Number] = {
    Kind.BINARY: True,
    Kind.DOUBLE_BIT: 2,
    Kind.COUNTER: 77,
    Kind.ANALOG: 42.5,
    Kind.BINARY_OUTPUT: True,
    Kind.ANALOG_OUTPUT: 1.0,
    Kind.OCTET_STRING: b"feeder 1",
}


class OurOutstation:
    def __init__(self, *, unsolicited: bool, with_strings: bool) -> None:
        points = tuple(one for one in _POINTS if with_strings or one.kind is not PointKind.OCTET_STRING)
        master = OutstationMaster(1, ("127.0.0.1",), "utility", unsolicited)
        config = Outstation(
            "127.0.0.1",
            0,
            10,
            (master,),
            points,
            unsolicited_hold_ms=20,
            needs_time=True,
            confirm_timeout_ms=2_000,
        )
        self.database = Database(points)
        self.commands: list[tuple[str, Any]] = []
        for kind, value in FIRST.items():
            if self.database.find(kind, 0) is not None:
                self.tell(kind, value, 1_700_000_000_000)
        self.server = OutstationServer(config, self.database, self)

    @property
    def association(self) -> Association:
        return self.server.associations[1]

    def tell(self, kind: Kind, value: Number, time_ms: int) -> None:
        self.database.update(kind, 0, Measurement(value, int(Flag.ONLINE), time_ms))
        if hasattr(self, "server"):
            self.server.changed.set()

    async def send(self, command: Command) -> Outcome:
        self.commands.append((command.tag, command.value))
        return Done(command.value, 0)


@asynccontextmanager
async def our_outstation(*, unsolicited: bool, with_strings: bool) -> AsyncIterator[OurOutstation]:
    found = OurOutstation(unsolicited=unsolicited, with_strings=with_strings)
    await found.server.open()
    task = asyncio.create_task(found.server.run())
    try:
        yield found
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await found.server.close()
