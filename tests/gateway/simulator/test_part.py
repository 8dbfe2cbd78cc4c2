"""The simulator as a part: in time, ready, stopped clean, and commanded from the terminal."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import socket
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from time import time_ns
from zoneinfo import ZoneInfo

import pytest

from gateway.config.load import load_site
from gateway.config.part import PartContext
from gateway.config.paths import run_paths
from gateway.config.plant_time import NS, PlantTime, keep_plant_time, plant_time
from gateway.simulator import cli, part
from gateway.simulator.pace import FORGIVEN_S, MOST_STEPS, Pace
from gateway.simulator.plant.microgrid import Microgrid
from gateway.simulator.plant.nominal import STEP_S

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "config/sites/demo/site.yaml"


@pytest.mark.parametrize("speed", [0.5, 1.0, 3.0])
def test_pace_keeps_to_the_clock_without_drift(speed: float) -> None:
    pace = Pace(1000.0, speed)
    steps = sum(pace.due(1000.0 + tick * 0.0103) for tick in range(100_000))
    assert steps == pytest.approx(99_999 * 0.0103 * speed / STEP_S, abs=1.0)
    assert pace.dropped_s == 0.0


def test_pace_catches_up_in_bounded_goes() -> None:
    pace = Pace(0.0, 1.0)
    goes = [pace.due(1.5) for _ in range(4)]
    assert goes == [MOST_STEPS, round(1.5 / STEP_S) - MOST_STEPS, 0, 0]


def test_pace_leaves_out_what_a_suspend_took() -> None:
    pace = Pace(0.0, 1.0)
    assert pace.due(1.0) == round(1.0 / STEP_S)
    assert pace.due(100.0) == 0
    assert pace.dropped_s == pytest.approx(99.0)
    assert pace.due(100.0 + FORGIVEN_S / 4) == pytest.approx(FORGIVEN_S / 4 / STEP_S, abs=1)


async def test_live_steps_the_plant_at_its_speed() -> None:
    grid, stop = Microgrid(chargers=0), asyncio.Event()
    began = asyncio.get_running_loop().time()
    task = asyncio.create_task(part.live(grid, 4.0, stop))
    for _ in range(1000):
        if grid.seconds >= 1.6:
            break
        await asyncio.sleep(0.01)
    took_s = asyncio.get_running_loop().time() - began
    stop.set()
    await task
    assert grid.seconds == pytest.approx(4.0 * took_s, rel=0.15)


async def test_a_plant_that_leaves_time_out_goes_on_at_the_right_hour() -> None:
    grid, stop = Microgrid(chargers=0, feeders=0), asyncio.Event()
    hours = iter((3.0, 19.0))
    last = 3.0

    def hour() -> float:
        nonlocal last
        last = next(hours, last)
        return last

    task = asyncio.create_task(part.live(grid, 1e6, stop, hour))
    for _ in range(1000):
        if grid.hour >= 19.0:
            break
        await asyncio.sleep(0.01)
    stop.set()
    await task
    assert 19.0 <= grid.hour < 20.0


async def test_a_fast_plant_begins_at_the_hour_of_plant_time(context: PartContext) -> None:
    settings = context.site.simulator
    assert settings is not None
    noon = 1_795_262_400 * NS
    keep_plant_time(context.paths.state, 2.0, lambda: noon)
    site = replace(context.site, simulator=replace(settings, speed=2.0, start_hour=3.0))
    grid, stop = Microgrid(chargers=0), asyncio.Event()
    time = plant_time(context.paths.state, 2.0)
    task = asyncio.create_task(part.live(grid, 2.0, stop, part.hour_of(site, context.paths.state)))
    for _ in range(1000):
        if grid.seconds:
            break
        await asyncio.sleep(0.01)
    stop.set()
    await task
    there = datetime.fromtimestamp(time.plant_ns(time_ns()) / NS, ZoneInfo(site.time_zone))
    off_h = (there.hour + there.minute / 60 - grid.hour + 12.0) % 24.0 - 12.0
    assert abs(off_h) < 0.2


async def test_a_plant_that_runs_follows_summer_time() -> None:
    grid, stop, zone = Microgrid(chargers=0, feeders=0), asyncio.Event(), ZoneInfo("Europe/Berlin")
    before = round(datetime(2026, 3, 29, 1, 59, 30, tzinfo=zone).timestamp()) * NS
    plant, now = PlantTime(before, 60.0), before
    task = asyncio.create_task(part.live(grid, 1.0, stop, lambda: plant.hour(now, zone)))
    hours = []
    for expected in (1.99, 3.01):
        for _ in range(1000):
            if grid.seconds and abs(grid.hour - expected) < 0.05:
                break
            await asyncio.sleep(0.01)
        hours.append(grid.hour)
        now = before + NS  # a minute later, an hour is left out
    stop.set()
    await task
    assert hours == pytest.approx([1.99, 3.01], abs=0.05)


@pytest.fixture
def context(tmp_path, base_port: int) -> PartContext:
    site = load_site(DEMO)
    assert site.simulator is not None
    site = replace(site, simulator=replace(site.simulator, base_port=base_port))
    paths = run_paths(site.name, tmp_path)
    paths.runtime.mkdir(mode=0o700, parents=True)
    return PartContext(site, paths, "not used", asyncio.Event(), asyncio.Event())


async def started(context: PartContext) -> asyncio.Task[None]:
    task = asyncio.create_task(part.run(context))
    ready = asyncio.create_task(context.ready.wait())
    await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED, timeout=10.0)
    assert context.ready.is_set(), task
    return task


async def test_the_part_serves_all_devices_and_leaves_nothing_behind(context) -> None:
    before = asyncio.all_tasks()
    task = await started(context)
    settings = context.site.simulator
    writers = []
    for offset in [*range(6), *range(11, 15), *range(21, 31)]:
        _, writer = await asyncio.open_connection(settings.host, settings.base_port + offset)
        writers.append(writer)
    assert context.paths.simulator_socket.is_socket()
    context.stop.set()
    await asyncio.wait_for(task, 3.0)
    assert not context.paths.simulator_socket.exists()
    for writer in writers:
        writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(settings.host, settings.base_port)
    assert asyncio.all_tasks() == before


async def test_a_taken_port_is_an_error_and_closes_what_was_open(context) -> None:
    settings = context.site.simulator
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind((settings.host, settings.base_port + 3))
        door.listen()
        with pytest.raises(OSError, match="in use"):
            await part.run(context)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(settings.host, settings.base_port)
    assert not context.ready.is_set()


@pytest.fixture
def tieline():
    parser = argparse.ArgumentParser(prog="tieline")
    cli.add_commands(parser.add_subparsers(required=True))

    async def command(*words: object) -> int:
        arguments = parser.parse_args([str(word) for word in words])
        return await asyncio.to_thread(arguments.run, arguments)

    return command


async def test_fault_from_the_terminal_reaches_the_running_simulator(
    context, tieline, tmp_path, capsys
) -> None:
    task = await started(context)
    at = ("--site", DEMO, "--state", tmp_path)
    assert await tieline("fault", "ev3", "slow", "--delay-ms", 700, *at) == 0
    assert await tieline("fault", "battery1", "exception", "--code", 2, *at) == 0
    assert await tieline("fault", "utility", "lost", *at) == 0
    assert await tieline("fault", "--list", *at) == 0
    listed = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert listed["utility"] == ["lost"]
    assert listed["ev3"][1:] == ["slow", "delay_ms=700"]
    assert listed["battery1"][1:] == ["exception", "code=2"]
    assert listed["pcc"] == [str(context.site.simulator.base_port), "well"]
    assert await tieline("fault", "ev3", "clear", *at) == 0
    assert await tieline("fault", "--clear", *at) == 0
    assert await tieline("fault", "ev99", "silent", *at) == 2
    assert "no device 'ev99'" in capsys.readouterr().err
    context.stop.set()
    await task


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("ev3",), 2),
        (("ev3", "on fire"), 2),
        (("utility", "silent"), 2),
        ((), 2),
        (("--list", "--clear"), 2),
        (("ev3", "silent", "--list"), 2),
        (("ev3", "silent"), 1),  # nothing runs there
    ],
)
async def test_fault_explains_what_it_cannot_do(tieline, tmp_path, capsys, words, status: int) -> None:
    assert await tieline("fault", *words, "--site", DEMO, "--state", tmp_path) == status
    assert capsys.readouterr().err.strip()


async def test_the_same_site_without_a_template_says_which(tmp_path, tieline, capsys) -> None:
    shutil.copytree(ROOT / "config/sites", tmp_path / "sites")
    assert await tieline("fault", "--list", "--site", tmp_path / "sites/demo/site.yaml") == 1
    assert "ev_charger.yaml" in "".join(capsys.readouterr())


async def test_fault_needs_to_know_where(tieline, capsys) -> None:
    assert await tieline("fault", "--list") == 2
    assert "--site SITE or --state DIR" in capsys.readouterr().err


async def test_a_simulator_that_cannot_keep_up_leaves_time_out_and_says_so_once(caplog) -> None:
    grid, stop = Microgrid(chargers=0, feeders=0), asyncio.Event()
    with caplog.at_level("WARNING"):
        task = asyncio.create_task(part.live(grid, 1e6, stop))
        for _ in range(1000):
            if caplog.messages:
                break
            await asyncio.sleep(0.01)
        stop.set()
        await task
    assert len(caplog.messages) == 1
    assert "left out" in caplog.messages[0]
