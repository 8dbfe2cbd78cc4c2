"""A site with logic as it is written in YAML, its drivers' process in this loop, a Modbus device that keeps a diary,
and a scan that is told what to demand."""

from __future__ import annotations

import asyncio
import os
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvloop
from pymodbus.constants import ExcCodes

from gateway.commands.client import CommandClient
from gateway.config.load import load_site
from gateway.config.part import PartContext
from gateway.config.paths import run_paths
from gateway.config.site import Site
from gateway.node import drivers
from gateway.simulator.devices.registers import BIT, INT16, UINT16, RegisterMap, Row, Table
from gateway.simulator.server import DeviceServer
from gateway.tags.command import Command, Outcome
from gateway.tags.image import Region, Writer
from gateway.tags.quality import Quality
from gateway.tags.sample import Value, to_bits

STEP_S = 10.0  # how long any expectation may take on a busy machine
START_S = 90.0  # a process loads what it needs, of a disk and a processor that others use
REFRESH_S = 0.3

SITE = """
site: {{name: followed}}
areas: {{storage: Battery}}
devices:
  battery1:
    area: storage
    protocol: modbus
    connection: {{host: 127.0.0.1, port: {port}, unit_id: 1, timeout_ms: 200, retry_max_ms: 500}}
    groups: {{fast: {{period_ms: 50, stale_after_ms: 400}}}}
    points:
      power_setpoint_kw: {{table: holding, address: 0, type: int16, scale: 0.1, unit: kW,
        write: {{role: operator, low: -250, high: 250, tolerance: 0.1, timeout_ms: 1000}}}}
      reactive_setpoint_kvar: {{table: holding, address: 1, type: int16, scale: 0.1, unit: kvar,
        write: {{role: operator, low: -250, high: 250, tolerance: 0.1, timeout_ms: 1000}}}}
      mode: {{table: holding, address: 5, type: uint16, states: {{0: "off", 1: follow, 2: form}},
        write: {{role: operator, low: 0, high: 2, timeout_ms: 1000, emergency: true, emergency_value: 0}}}}
      start: {{table: coil, address: 0, write: {{role: operator, timeout_ms: 1000}}}}
      fan: {{table: coil, address: 9, write: {{role: operator, timeout_ms: 1000}}}}
users: {{olga: {{role: operator}}}}
logic:
  programs: [logic.st]
  outputs:
    battery1.power_setpoint_kw: {{variable: gvl.kw, active: gvl.is_held, safe: 0, refresh_ms: 300}}
    battery1.reactive_setpoint_kvar: {{variable: gvl.kvar, safe: hold, refresh_ms: 300}}
    battery1.mode: {{variable: gvl.mode, active: gvl.is_held, safe: 1, refresh_ms: 300,
      released_by: {{dispatch.battery_kw: 0}}}}
    battery1.start: {{variable: gvl.start, active: gvl.is_held, safe: false, refresh_ms: 0}}
  setpoints:
    dispatch.battery_kw: {{variable: gvl.dispatch_kw, area: storage, unit: kW, low: -250, high: 250,
      max_rate_per_s: 50, valid_for_s: 900, initial: 0, fallback: 0, timeout_ms: 800}}
"""
POWER, REACTIVE, MODE, START = (
    "battery1.power_setpoint_kw", "battery1.reactive_setpoint_kvar", "battery1.mode", "battery1.start"
)  # fmt: skip
RELEASED, STOPPED = Quality.BAD_NO_DATA, Quality.BAD_OUT_OF_SERVICE


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """A part runs on uvloop; its timers are not asyncio's."""
    return {"uvloop": uvloop.new_event_loop}


@dataclass(slots=True)
class Battery:
    """What the device holds, and every write that reached it: (loop's time, name, value)."""

    values: dict[str, float] = field(default_factory=lambda: {"power": 0.0, "reactive": 0.0, "mode": 0.0,
                                                              "start": 0.0, "fan": 0.0})  # fmt: skip
    diary: list[tuple[float, str, float]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)

    def writes(self, name: str) -> list[float]:
        return [value for _, it, value in self.diary if it == name]

    def row(self, name: str, table: Table, address: int, form: Any, scale: float = 1.0) -> Row[Battery]:
        def write(device: Battery, value: float) -> ExcCodes | None:
            if name in device.refused:
                return ExcCodes.DEVICE_FAILURE
            device.values[name] = value
            device.diary.append((asyncio.get_running_loop().time(), name, round(value, 6)))
            return None

        return Row(table, address, form, lambda device: device.values[name], write, scale)

    def map(self) -> RegisterMap[Battery]:
        return RegisterMap(
            [
                self.row("power", Table.HOLDING, 0, INT16, 0.1),
                self.row("reactive", Table.HOLDING, 1, INT16, 0.1),
                self.row("mode", Table.HOLDING, 5, UINT16),
                self.row("start", Table.COIL, 0, BIT),
                self.row("fan", Table.COIL, 9, BIT),
            ]
        )


class Scan:
    """A writer of the owner ``scan``: refreshes all it owns every 100 ms, as the real one does every second."""

    def __init__(self, site: Site, region: Region) -> None:
        assert site.logic is not None
        self._region = region
        self._writer: Writer = region.claim("scan")
        self._tags = {
            tag.name: index
            for index, tag in enumerate(site.tags)
            if tag.owner == "scan" and not tag.string_bytes
        }
        self._now: dict[str, tuple[Value, int]] = {name: (0, int(RELEASED)) for name in self._tags}
        self._now["_system.scan.mode"] = (1, 0)
        self._beating: asyncio.Task[None] | None = None
        self.clock_ns: Callable[[], int] = time.time_ns
        self.start()

    def start(self) -> None:
        self._beating = asyncio.create_task(self._beat())

    def stop(self) -> None:
        """Be held, as by SIGSTOP: nothing is written any more."""
        if self._beating is not None:
            self._beating.cancel()
            self._beating = None

    def demand(self, **values: Value) -> None:
        """Of battery1's outputs by their last names, in one batch."""
        self.publish({f"battery1.{name}.demand": (value, 0) for name, value in values.items()})

    def release(self, *names: str) -> None:
        self.publish({f"battery1.{name}.demand": (0, int(RELEASED)) for name in names})

    def say(self, status: int) -> None:
        """Of all outputs."""
        self.publish(
            {name: (value, status) for name, (value, _) in self._now.items() if name.endswith(".demand")}
        )

    def publish(self, samples: Mapping[str, tuple[Value, int]]) -> None:
        self._now.update(samples)
        names = list(samples)
        tags = np.array([self._tags[name] for name in names], np.uint32)
        bits = [
            to_bits(np.array([samples[name][0]]), self._region.type_of(self._tags[name]))[0] for name in names
        ]
        statuses = np.array([samples[name][1] for name in names], np.uint32)
        stamp = self.clock_ns()
        self._writer.write(tags, np.array(bits, np.uint64), statuses, stamp, stamp)

    def die(self) -> None:
        """As the supervisor leaves its tags then."""
        self.stop()
        self._writer.invalidate(Quality.BAD_NO_COMMUNICATION, time.time_ns())

    async def _beat(self) -> None:
        while True:
            self.publish(dict(self._now))
            await asyncio.sleep(0.1)


class Plant:
    """All of it. `start` and `stop` (or `kill`) the drivers; the region and the scan go on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.battery = Battery()
        self.device = DeviceServer("battery1", "127.0.0.1", 0, self.battery.map(), self.battery)
        self.site: Site
        self.region: Region
        self.scan: Scan
        self.client: CommandClient
        self.paths = run_paths("followed", folder / "state")
        self._running: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._context: PartContext | None = None

    async def open(self) -> None:
        file = self.folder / "site.yaml"
        await self.device.start()
        file.write_text(SITE.format(port=self.device.port))
        (self.folder / "logic.st").write_text("")
        self.site = load_site(file)
        for folder in (self.paths.state, self.paths.runtime):
            folder.mkdir(parents=True)
        name = f"test-follow-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        specs = [tag.spec() for tag in self.site.tags]
        self.region = Region.create(name, specs, journal_records=1 << 16, spare=64)
        self.scan = Scan(self.site, self.region)
        self.client = CommandClient(self.paths.command_socket)

    async def start(self) -> None:
        context = PartContext(self.site, self.paths, self.region.name, asyncio.Event(), asyncio.Event())
        self._context = context
        self._running = asyncio.create_task(drivers.run(context))
        await self.until(context.ready.is_set)
        await self.until(lambda: self.sample("battery1.power_setpoint_kw").status == 0)

    async def start_process(self) -> None:
        """The drivers in a process of their own, for `kill`."""
        program = Path(__file__).with_name("drivers_process.py")
        arguments = (self.folder / "site.yaml", self.paths.state, self.region.name)
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, str(program), *map(str, arguments), stdout=asyncio.subprocess.PIPE
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(START_S):
            assert await self._process.stdout.readline() == b"ready\n"
        await self.until(lambda: self.sample("battery1.power_setpoint_kw").status == 0)

    async def stop(self) -> None:
        """By SIGTERM."""
        if self._running is not None and self._context is not None:
            self._context.stop.set()
            async with asyncio.timeout(STEP_S):
                await self._running
            self._running = None

    async def kill(self) -> None:
        """By SIGKILL. What it wrote is marked, as the supervisor does."""
        assert self._process is not None
        process, self._process = self._process, None
        process.kill()
        await process.wait()
        writer = self.region.claim("drivers")
        writer.invalidate(Quality.BAD_NO_COMMUNICATION, time.time_ns())
        writer.release()

    async def close(self) -> None:
        self.scan.stop()
        await self.client.close()
        await self.stop()
        if self._process is not None:
            await self.kill()
        await self.device.stop()
        self.region.close()

    def sample(self, name: str) -> Any:
        return self.region.sample(name)

    def count(self, name: str) -> Value:
        return self.region.sample(f"_system.follow.{name}").value

    async def until(self, claim: Callable[[], bool], within_s: float = STEP_S) -> None:
        async with asyncio.timeout(within_s):
            while not claim():
                if self._running is not None and self._running.done():
                    self._running.result()
                await asyncio.sleep(0.005)

    async def command(self, tag: str, value: Value, **changes: Any) -> Outcome:
        fields = {
            "id": uuid.uuid4().hex,
            "tag": tag,
            "value": value,
            "user": "olga",
            "origin": "hmi",
            "deadline_ns": time.time_ns() + 5_000_000_000,
            **changes,
        }
        return await self.client.send(Command(**fields))


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[Plant]:
    async with opened(tmp_path) as it:
        await it.start()
        yield it


@pytest.fixture
async def mortal(tmp_path: Path) -> AsyncIterator[Plant]:
    """A plant whose drivers can be killed."""
    async with opened(tmp_path) as it:
        await it.start_process()
        yield it


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Plant]:
    it = Plant(folder)
    await it.open()
    try:
        yield it
    finally:
        await it.close()
