"""Forwarding as a part beside the historian: what the image gets is at the target, and tags tell how it goes."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from historian_folder import TAGS

import historian.part
from gateway.config.forward import ForwardKind, ForwardSystemTags, ForwardTarget
from gateway.config.part import PartContext
from gateway.config.paths import RunPaths
from gateway.config.site import HistorianSettings, Site
from gateway.config.system import forward_tags
from gateway.tags.image import Region
from historian.forward.part import run

ALL_TAGS = (*TAGS, *(replace(tag, history=False) for tag in forward_tags("plant")))
SYSTEM = ForwardSystemTags(*range(len(TAGS), len(ALL_TAGS)))
PATIENCE_S = 20.0


@pytest.fixture
def region() -> Iterator[Region]:
    with Region.create(f"test_forward_{os.getpid()}", [tag.spec() for tag in ALL_TAGS]) as region:
        yield region


def context(region: Region, state: Path, url: str, database: str) -> PartContext:
    target = ForwardTarget(
        "plant", ForwardKind.INFLUXDB1, url, database, interval_ms=100, timeout_ms=60_000, system=SYSTEM
    )
    site = Site(
        name="demo",
        description="",
        areas=(),
        tags=ALL_TAGS,
        modbus=(),
        users=(),
        historian=HistorianSettings(flush_ms=50),
        opcua=None,
        hmi=None,
        simulator=None,
        journal_records=4096,
        files=(),
        digest="",
        forward=(target,),
    )
    return PartContext(site, RunPaths(state, state), region.name, asyncio.Event(), asyncio.Event())


async def until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up
        await asyncio.sleep(0.05)


def text_of(region: Region) -> str:
    return region.texts(np.array([SYSTEM.last_error], np.uint32))[1][0]


async def test_changes_of_the_image_reach_the_target_and_tags_tell_of_it(
    region: Region, tmp_path: Path, influxd: Any, database: str
) -> None:
    here = context(region, tmp_path, influxd.url, database)
    recorder = asyncio.create_task(historian.part.run(here))
    await asyncio.wait_for(here.ready.wait(), PATIENCE_S)
    there = replace(here, ready=asyncio.Event())
    forwarder = asyncio.create_task(run(there))
    await asyncio.wait_for(there.ready.wait(), PATIENCE_S)
    writer = region.claim("drivers")
    power = region.indexes_of(["a.power_kw"])
    now = time.time_ns() // 1000 * 1000
    for n in range(20):
        writer.write(power, np.array([n + 0.5]).view(np.uint64), 0, now + n * 1000, now + n * 1000)
    expected = [(now + n * 1000, n + 0.5, 0) for n in range(20)]
    await until(lambda: influxd.samples(database, "a.power_kw") == expected)
    await until(lambda: int(region.read(np.array([SYSTEM.sent], np.uint32))["value"][0]) == 20)
    assert region.read(np.array([SYSTEM.connected], np.uint32))["value"][0] == 1
    assert text_of(region) == ""
    here.stop.set()
    await asyncio.wait_for(asyncio.gather(recorder, forwarder), PATIENCE_S)


async def test_stopping_does_not_wait_for_a_target_that_answers_nothing(
    region: Region, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        here = context(region, tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}", "plant")
        recorder = asyncio.create_task(historian.part.run(here))
        await asyncio.wait_for(here.ready.wait(), PATIENCE_S)
        index = region.indexes_of(["b.power_kw"])
        region.claim("drivers").write(index, np.zeros(1, np.uint64), 0, time.time_ns(), 0)
        there = replace(here, ready=asyncio.Event())
        forwarder = asyncio.create_task(run(there))
        connection, _ = await asyncio.to_thread(silent.accept)
        with connection:
            here.stop.set()
            await asyncio.wait_for(asyncio.gather(recorder, forwarder), PATIENCE_S)


async def test_a_target_that_is_away_is_told(region: Region, tmp_path: Path) -> None:
    here = context(region, tmp_path, "http://127.0.0.1:1", "plant")
    recorder = asyncio.create_task(historian.part.run(here))
    await asyncio.wait_for(here.ready.wait(), PATIENCE_S)
    index = region.indexes_of(["b.power_kw"])
    region.claim("drivers").write(index, np.zeros(1, np.uint64), 0, time.time_ns(), 0)
    forwarder = asyncio.create_task(run(replace(here, ready=asyncio.Event())))
    await until(lambda: "refused" in text_of(region))
    assert region.read(np.array([SYSTEM.connected], np.uint32))["value"][0] == 0
    lag = np.array([SYSTEM.lag_s], np.uint32)
    await until(lambda: region.read(lag)["value"].view(np.float64)[0] > 0)
    here.stop.set()
    await asyncio.wait_for(asyncio.gather(recorder, forwarder), PATIENCE_S)
