"""What two callbacks of one turn of the loop may do to an output: a write falls due, and its point is released."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from gateway.commands.audit import AuditFile, AuditTrail
from gateway.commands.follow import Follower
from gateway.commands.holding import Event
from gateway.commands.kept import HeldFile
from gateway.config.load import load_site
from gateway.tags.image import Region
from gateway.tags.sample import Value

SITE = """
site: {name: races}
areas: {storage: Battery}
devices:
  battery1:
    area: storage
    protocol: modbus
    connection: {host: 127.0.0.1, port: 15020}
    groups: {fast: {period_ms: 1000}}
    points:
      setpoint_kw: {table: holding, address: 0, type: int16, unit: kW, write: {low: -250, high: 250}}
logic:
  programs: [site.st]
  outputs:
    battery1.setpoint_kw: {variable: gvl.kw, active: gvl.is_held, safe: 0, refresh_ms: 1000}
"""


class Device:
    """Takes every value."""

    def __init__(self) -> None:
        self.values: list[Value] = []

    async def operate(self, tag: int, value: Value) -> None:
        self.values.append(value)

    async def read_back(self, tag: int) -> Value:
        return self.values[-1]

    def connections(self, tag: int) -> int:
        return 1


async def until(claim: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not claim():
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


async def test_a_release_between_a_write_and_its_first_step_stops_the_write_and_not_the_output(
    tmp_path: Path,
) -> None:
    (tmp_path / "site.yaml").write_text(SITE)
    (tmp_path / "site.st").write_text("")
    site = load_site(tmp_path / "site.yaml")
    assert site.logic is not None
    device = Device()
    with Region.create("follow.races", [tag.spec() for tag in site.tags]) as region:
        writer = region.claim("drivers")
        trail = AuditTrail(AuditFile(tmp_path / "audit.jsonl"))
        drivers = {output.tag: device for output in site.logic.outputs}
        follower = Follower(
            site, site.logic, region, writer, drivers, HeldFile(tmp_path / "held.json"), trail
        )
        running = asyncio.create_task(follower.run())
        await until(lambda: bool(follower._outputs))
        output = follower._outputs[0]
        for value in (10, 20):
            follower._apply(output, Event.DEMANDED)
            follower._demand(output, value)  # its task is made, and has not begun
            follower._apply(output, Event.RELEASED)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert device.values == []
        follower._apply(output, Event.DEMANDED)
        follower._demand(output, 30)
        await until(lambda: device.values == [30])
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        writer.release()
