"""The part on a real region: woken by writes, ended in its time, and going on after a restart."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable

import numpy as np
import pytest

from gateway.calculated.part import run
from gateway.config.load import load_site
from gateway.config.part import PartContext
from gateway.config.paths import RunPaths
from gateway.tags.image import Region, RegionError

JUMPS = """\
totals:
  p.c: {of: m.count, kind: counter, max_per_h: 1000, area: grid, periods: []}
events:
  meter_jumped: {while: p.c.implausible > previous(p.c.implausible)}
"""


@pytest.fixture
def region(plant):
    site = plant("  p.z_kw: {expression: m.a_kw + m.b_kw, area: grid, unit: kW}\n").site
    with Region.create(f"test_calculated_{os.getpid()}", [tag.spec() for tag in site.tags]) as region:
        yield site, region


def nothing(tag, start, end):
    raise AssertionError("there are no totals")


def context(site, region, folder):
    return PartContext(site, RunPaths(folder, folder), region.name, asyncio.Event(), asyncio.Event())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for is in shared memory
            await asyncio.sleep(0.01)


async def test_it_follows_what_drivers_write(region, tmp_path):
    site, region = region
    here = context(site, region, tmp_path)
    part = asyncio.create_task(run(here, nothing))
    await asyncio.wait_for(here.ready.wait(), 20)
    writer = region.claim("drivers")
    inputs = region.indexes_of(["m.a_kw", "m.b_kw"])
    for value in range(3):
        now = time.time_ns()
        writer.write(inputs, np.array([value, 0.5]).view(np.uint64), 0, now, now)
        await until(lambda value=value, now=now: region.sample("p.z_kw").value == value + 0.5)
        assert (
            region.sample("p.z_kw").source_time == now // 1000 * 1000
            or region.sample("p.z_kw").source_time == now
        )
    writer.invalidate(0x8005_0000, time.time_ns())
    await until(lambda: region.sample("p.z_kw").status == 0x8005_0000)
    assert region.sample("p.z_kw").value == 2.5
    here.stop.set()
    await asyncio.wait_for(part, 20)


async def test_only_one_calculates(region, tmp_path):
    site, region = region
    region.claim("calculated")
    one = context(site, region, tmp_path)
    with pytest.raises(RegionError):
        await asyncio.wait_for(run(one, nothing), 20)


async def test_an_implausible_jump_of_a_counter_can_be_an_event(plant, tmp_path, monkeypatch):
    """As docs/events.md has it; the flag goes down with the next time that the count is told."""
    monkeypatch.setattr("gateway.calculated.totaliser.QUIET_NS", 10**9)
    path = tmp_path / "site.yaml"
    plant("  p.z: {expression: m.x, area: grid}\n")  # writes the plant itself
    path.write_text(path.read_text().partition("calculated:")[0] + JUMPS)
    site = load_site(path)
    with Region.create(f"test_jump_{os.getpid()}", [tag.spec() for tag in site.tags]) as region:
        here = context(site, region, tmp_path)
        part = asyncio.create_task(run(here, nothing))
        await asyncio.wait_for(here.ready.wait(), 20)
        writer = region.claim("drivers")
        counter, flag = region.indexes_of(["m.count"]), "_system.events.meter_jumped"
        for count, implausible in ((5, 0.0), (10**9, 1.0)):
            jumped_at = time.time_ns()
            writer.write(counter, np.array([count], np.uint64), 0, jumped_at, jumped_at)
            await until(
                lambda wanted=implausible: (
                    region.sample("p.c.implausible").value == wanted
                    and not region.sample("p.c.implausible").status
                )
            )
        reader = region.reader(dict.fromkeys(region.owners, 0))
        told: list[tuple[int, int]] = []

        def went_up_and_down() -> bool:
            records = reader.take(65_536).records
            own = records[(records["tag"] == region.index_of(flag)) & (records["status"] == 0)]
            told.extend(zip(own["value"].tolist(), own["source_time"].tolist(), strict=True))
            values = [value for value, _ in told]
            return 1 in values and 0 in values[values.index(1) :]

        await until(went_up_and_down)
        assert next(at for value, at in told if value) >= jumped_at
        here.stop.set()
        await asyncio.wait_for(part, 20)
