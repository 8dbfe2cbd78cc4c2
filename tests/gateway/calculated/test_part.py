"""The part on a real region: woken by writes, ended in its time, and going on after a restart."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable

import numpy as np
import pytest

from gateway.calculated.part import run
from gateway.config.part import PartContext
from gateway.config.paths import RunPaths
from gateway.tags.image import Region, RegionError


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
