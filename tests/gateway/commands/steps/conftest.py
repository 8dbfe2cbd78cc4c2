"""A site with control, interlocks, selects, a second person, emergencies; a device in memory; a router over both."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.commands.arbitrate import Arbitration
from gateway.commands.audit import AuditFile, AuditTrail
from gateway.commands.interlock import Interlocks
from gateway.commands.kept import ControlFile
from gateway.commands.router import Router
from gateway.commands.shown import Shown
from gateway.config.load import load_site
from gateway.config.paths import region_name, run_paths
from gateway.config.site import Site
from gateway.tags.command import Command
from gateway.tags.image import Region
from gateway.tags.quality import Quality
from gateway.tags.sample import Value, to_bits
from gateway.tags.tag import ValueType

SITE = """
site: {name: steps}
areas: {grid: The utility, storage: Battery, loads: Loads, loads/feeders: Feeders}
users:
  eve: {role: viewer}
  olga: {role: operator}
  otto: {role: operator}
  enno: {role: engineer}
  fred: {role: operator, areas: [loads]}
devices:
  battery1:
    protocol: modbus
    connection: {host: 127.0.0.1, port: 1}
    groups: {all: {period_ms: 1000, stale_after_ms: 4000}}
    area: storage
    points:
      power_kw: {table: input, address: 0, type: float32, unit: kW}
      setpoint_kw: {table: holding, address: 0, type: float32, unit: kW, write: {low: -50, high: 50}}
      slow_kw: {table: holding, address: 2, type: float32, unit: kW, write: {low: 0, high: 9, interval_ms: 60000}}
  pcc:
    protocol: modbus
    connection: {host: 127.0.0.1, port: 2}
    groups: {all: {period_ms: 1000, stale_after_ms: 4000}}
    area: grid
    points:
      frequency_hz: {table: input, address: 0, type: float32, unit: Hz}
      grid_frequency_hz: {table: input, address: 2, type: float32, unit: Hz}
      state: {table: input, address: 4, type: uint16, states: {0: open, 1: closed}}
      close_command:
        {table: coil, address: 0, write: {timeout_ms: 4000, settle_s: 30, emergency: true, emergency_value: false}}
      select_kw: {table: holding, address: 0, type: float32, unit: kW, write: {low: 0, high: 9, select: true}}
      pair_kw: {table: holding, address: 2, type: float32, unit: kW, write: {low: 0, high: 9, second_person: true}}
      stop: {table: coil, address: 1, write: {emergency: true, timeout_ms: 4000}}
      gate: {table: coil, address: 2, write: {timeout_ms: 300}}
  feeder1:
    protocol: modbus
    connection: {host: 127.0.0.1, port: 3}
    groups: {all: {period_ms: 1000, stale_after_ms: 4000}}
    area: loads/feeders
    points:
      open: {table: coil, address: 0, write: {timeout_ms: 4000}}
control:
  areas:
    storage: {hold_s: 100}
    loads: {default: remote, hold_s: 0}
  priority: [local, remote, schedule, market]
  interlocks:
    in_step:
      points: [pcc.close_command]
      value: true
      allow: "abs(pcc.frequency_hz - pcc.grid_frequency_hz) < 0.2 Hz and pcc.state == 'open'"
      message: the bus is not in step
    feeders:
      points: ["feeder*.open"]
      allow: battery1.power_kw < 10
      message: the battery feeds them
"""
_ids = itertools.count(1)


@dataclass(slots=True)
class Device:
    """A driver whose device takes what it is told, unless told otherwise here."""

    operated: list[tuple[int, Value]] = field(default_factory=list)
    registers: dict[int, Value] = field(default_factory=dict)
    on_operate: BaseException | None = None
    on_read: BaseException | None = None
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    takes: bool = True

    def __post_init__(self) -> None:
        self.may_answer.set()

    async def operate(self, tag: int, value: Value) -> None:
        self.operated.append((tag, value))
        await self.may_answer.wait()
        if self.takes:
            self.registers[tag] = value
        if self.on_operate is not None:
            raise self.on_operate

    async def read_back(self, tag: int) -> Value:
        if self.on_read is not None:
            raise self.on_read
        return self.registers[tag]


class Steps:
    """The site and what is known of it. ``now_ns`` is what the router takes for the time."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site = site
        self.folder = folder
        self.audit = folder / "state" / "audit.jsonl"
        self.paths = run_paths(site.name, folder / "state")
        self.region = Region.create(region_name(site.name, self.paths), [tag.spec() for tag in site.tags])
        self.writer = self.region.claim("drivers")
        self.device = Device()
        self.shift_ns = 0

    def now_ns(self) -> int:
        return time.time_ns() + self.shift_ns

    def index(self, name: str) -> int:
        return self.region.index_of(name)

    def write(self, name: str, value: Value, status: int = Quality.GOOD) -> None:
        tag = self.index(name)
        stamp = time.time_ns()
        bits = to_bits(np.array([value]), ValueType(int(self.region.types[tag])))
        self.writer.write(np.array([tag], np.uint32), bits, status, stamp, stamp)

    def wish(self, tag: str = "battery1.setpoint_kw", value: Value = 5.0, **changes: Any) -> Command:
        fields: dict[str, Any] = {
            "id": f"id{next(_ids)}",
            "tag": tag,
            "value": value,
            "user": "olga",
            "origin": "hmi",
            "deadline_ns": self.now_ns() + 5_000_000_000,
            **changes,
        }
        return Command(**fields)

    def take(self, area: str = "storage", value: bool = True, **changes: Any) -> Command:
        return self.wish(f"_system.control.{area}.take", value, **changes)

    @asynccontextmanager
    async def router(self, **changes: Any) -> AsyncIterator[Router]:
        """Open for the block; each call is a new one over the same state, as after a restart."""
        settings = self.site.control
        assert settings is not None
        control = Arbitration(
            settings,
            self.site.tags,
            self.site.users,
            ControlFile(self.folder / "state" / "control.json"),
            now_ns=self.now_ns,
        )
        interlocks = Interlocks(
            settings.interlocks, self.site.tags, self.region, asyncio.get_running_loop().time()
        )
        router = Router(
            self.site,
            dict.fromkeys(range(len(self.site.tags)), self.device),
            changes.pop("trail", None) or AuditTrail(AuditFile(self.audit)),
            control=control,
            interlocks=interlocks,
            now_ns=self.now_ns,
            **changes,
        )
        await router.open()
        shown = Shown(self.site.tags, control, router.selections, self.writer, now_ns=self.now_ns)
        running = [asyncio.create_task(each.run()) for each in (interlocks, shown)]
        try:
            yield router
        finally:
            for task in running:
                task.cancel()
            await asyncio.wait(running)
            await router.close()

    def events(self, kind: str = "") -> list[dict[str, Any]]:
        """What the audit trail says, of one kind or all."""
        rows = [json.loads(line) for line in self.audit.read_text().splitlines()]
        return [row for row in rows if not kind or row["event"] == kind]


async def until(is_so: Callable[[], bool], what: str, patience_s: float = 20.0) -> None:
    """Wait for it."""
    end = time.monotonic() + patience_s
    while not is_so():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.01)


@pytest.fixture
def steps(tmp_path: Path) -> Any:
    file = tmp_path / "site.yaml"
    file.write_text(SITE)
    made = Steps(load_site(file), tmp_path)
    yield made
    made.region.close()


@pytest.fixture
def wait() -> Callable[..., Any]:
    return until
