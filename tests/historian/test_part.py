"""The historian as a part of a running site: ready when it records, and gone within its time with all durable."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from historian_folder import NOON, TAGS

from gateway.config.part import PartContext
from gateway.config.paths import RunPaths
from gateway.config.site import HistorianSettings, Site
from gateway.tags.image import Region, RegionError
from historian.errors import DirectoryInUse
from historian.part import run
from historian.query import History
from historian.store.recorder import Recorder, read_status

SITE = Site(
    name="test",
    description="",
    areas=(),
    tags=TAGS,
    modbus=(),
    users=(),
    historian=HistorianSettings(flush_ms=50),
    opcua=None,
    hmi=None,
    simulator=None,
    journal_records=4096,
    files=(),
    digest="",
)


@pytest.fixture
def region() -> Iterator[Region]:
    with Region.create(f"test_part_{os.getpid()}", [tag.spec() for tag in TAGS]) as region:
        yield region


def context(region_name: str, state: Path) -> PartContext:
    return PartContext(SITE, RunPaths(state, state), region_name, asyncio.Event(), asyncio.Event())


async def test_what_was_written_before_it_stopped_is_durable_within_three_seconds(region, tmp_path):
    here = context(region.name, tmp_path)
    part = asyncio.create_task(run(here))
    await asyncio.wait_for(here.ready.wait(), 10)
    writer = region.claim("drivers")
    power, name = region.indexes_of(["a.power_kw"]), region.indexes_of(["a.name"])
    for n in range(100):
        writer.write(power, np.array([n / 10]).view(np.uint64), 0, NOON + n, NOON + n)
    writer.write_texts(name, ["Störung"], 0, NOON, NOON)
    here.stop.set()
    begin = time.monotonic()
    await part
    assert time.monotonic() - begin < 3
    assert read_status(here.paths.history).positions == region.reader("now").positions
    history = History(here.paths.history)
    assert history.raw("a.power_kw", 0, 2**62).values.tolist() == [n / 10 for n in range(100)]
    assert history.raw("a.name", 0, 2**62).values.tolist() == ["Störung"]
    history.close()


async def test_without_a_region_it_fails_at_once(tmp_path):
    with pytest.raises(RegionError):
        await run(context("test_no_such_region", tmp_path))


async def test_a_folder_in_use_fails_at_once_with_the_holder_named(region, tmp_path):
    here = context(region.name, tmp_path)
    holder = Recorder(here.paths.history, HistorianSettings(), time.time_ns)
    holder.open()
    with pytest.raises(DirectoryInUse, match=str(os.getpid())):
        await run(here)
    holder.close()
