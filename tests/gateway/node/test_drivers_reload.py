"""The drivers' part gets another site: a CAN bus that is not concerned goes on, the other one is opened anew."""

import asyncio
import contextlib
import os
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import can
import numpy as np
import pytest

from gateway.config.load import load_site
from gateway.config.part import PartContext, Reload
from gateway.config.paths import RunPaths, run_paths
from gateway.config.renumber import Loaded, load_shifted, numbering, renumbered
from gateway.config.site import Site
from gateway.node import drivers
from gateway.tags.image import Region
from gateway.tags.quality import Quality

PATIENCE_S = 20.0
DATABASE = """VERSION ""
NS_ :
BS_:
BU_: Meter
BO_ 256 Status: 8 Meter
 SG_ Voltage : 0|16@1+ (0.1,0) [0|1000] "V" Meter
 SG_ Current : 16|16@1- (0.1,0) [-400|400] "A" Meter
"""
SITE = """\
site: {name: buses}
areas: {storage: Battery}
devices:
"""
DEVICE = """\
  NAME:
    area: storage
    protocol: can
    connection: {interface: virtual, channel: CHANNEL, database: meter.dbc, retry_max_ms: 200}
    groups: {fast: {period_ms: 50, stale_after_ms: STALE}}
    points:
      voltage_v: {message: Status, signal: Voltage}
"""


@dataclass(slots=True)
class Part:
    """The part in this loop, and its site."""

    folder: Path
    paths: RunPaths
    site: Site
    region: Region
    context: PartContext

    async def reload(self, text: str) -> None:
        file = self.folder / "site.yaml"
        file.write_text(text)
        site = await asyncio.to_thread(load_site, file)
        where = numbering(self.site, site)
        self.site = renumbered(Loaded(site, load_shifted(file)), self.site, where)
        self.region.change([tag.spec() for tag in where.added], where.retired)
        handed = Reload(self.site, asyncio.get_running_loop().create_future())
        self.context.reloads.put_nowait(handed)
        async with asyncio.timeout(PATIENCE_S):
            await handed.done

    async def until_good(self, *names: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not all(  # noqa: ASYNC110 - the driver's thread sets no event of ours
                self.region.sample(name).status == Quality.GOOD for name in names
            ):
                await asyncio.sleep(0.01)


def device(name: str, channel: str, *, stale_ms: int = 15_000, more: str = "") -> str:
    text = DEVICE.replace("NAME", name).replace("CHANNEL", channel).replace("STALE", str(stale_ms))
    return text + more


@pytest.fixture
def channels() -> list[str]:
    return [f"reload-{uuid.uuid4().hex[:8]}" for _ in range(2)]


@pytest.fixture
async def part(tmp_path: Path, channels: list[str]) -> AsyncIterator[Part]:
    """Two buses with a meter each, which tells its voltage every 20 ms."""
    (tmp_path / "meter.dbc").write_text(DATABASE)
    file = tmp_path / "site.yaml"
    file.write_text(SITE + device("one", channels[0]) + device("two", channels[1]))
    site = load_site(file)
    paths = run_paths("buses", tmp_path / "state")
    for folder in (paths.state, paths.runtime):
        folder.mkdir(parents=True)
    name = f"test-buses-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    with Region.create(name, [tag.spec() for tag in site.tags], journal_records=1 << 14, spare=64) as region:
        context = PartContext(site, paths, name, asyncio.Event(), asyncio.Event())
        telling = asyncio.create_task(tell(channels))
        running = asyncio.create_task(drivers.run(context))
        try:
            async with asyncio.timeout(PATIENCE_S):
                await context.ready.wait()
            yield Part(tmp_path, paths, site, region, context)
        finally:
            context.stop.set()
            async with asyncio.timeout(PATIENCE_S):
                await running
            telling.cancel()
            await asyncio.wait([telling])


async def tell(channels: list[str]) -> None:
    with contextlib.ExitStack() as stack:
        buses = [stack.enter_context(can.Bus(channel, "virtual", ignore_config=True)) for channel in channels]
        count = 0
        while True:
            count += 1
            for bus in buses:
                bus.send(
                    can.Message(arbitration_id=256, is_extended_id=False, data=count.to_bytes(8, "little"))
                )
            await asyncio.sleep(0.02)


async def test_a_bus_that_stays_goes_on_while_another_is_opened_anew(part: Part, channels: list[str]) -> None:
    await part.until_good("one.voltage_v", "two.voltage_v")
    frames = int(part.region.sample("_system.one.frames").value)
    reader = part.region.reader("now")
    current = "      current_a: {message: Status, signal: Current}\n"
    await part.reload(SITE + device("one", channels[0]) + device("two", channels[1], more=current))
    await part.until_good("one.voltage_v", "two.voltage_v", "two.current_a")
    taken = reader.take()
    assert taken.lost == 0
    statuses = {
        name: set(taken.records["status"][taken.records["tag"] == part.region.index_of(name)].tolist())
        for name in ("one.voltage_v", "two.voltage_v")
    }
    assert statuses["one.voltage_v"] == {Quality.GOOD}
    assert Quality.BAD_COMMUNICATION_ERROR in statuses["two.voltage_v"]  # it was closed meanwhile
    assert int(part.region.sample("_system.one.frames").value) >= frames


async def test_a_bus_that_goes_and_one_that_comes(part: Part, channels: list[str]) -> None:
    await part.until_good("one.voltage_v", "two.voltage_v")
    gone = part.region.indexes_of(["one.voltage_v", "_system.one.connected"])
    await part.reload(SITE + device("two", channels[1]))
    assert set(part.region.read(gone)["status"].tolist()) == {Quality.BAD_OUT_OF_SERVICE}
    at = time.time_ns()
    await part.reload(SITE + device("one", channels[0]) + device("two", channels[1]))
    await part.until_good("one.voltage_v", "two.voltage_v")
    assert not np.isin(part.region.index_of("one.voltage_v"), gone)
    assert set(part.region.read(gone)["status"].tolist()) == {Quality.BAD_OUT_OF_SERVICE}
    assert max(part.region.read(gone)["receipt_time"].tolist()) < at
