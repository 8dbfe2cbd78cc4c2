"""Detectors of a site at work on an image: scores, alarms and qualities, learning from history, restarts."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.config.load import load_site
from gateway.config.part import PartContext
from gateway.config.paths import RunPaths
from gateway.config.site import Site
from gateway.node.watch import alert_troubles
from gateway.node.watched import watched_of
from gateway.tags.image import Region
from gateway.tags.sample import to_bits
from gateway.tags.tag import ValueType
from historian.anomaly.part import Watch, run

NOON = 1_795_262_400 * 10**9  # 2026-11-21T12:00:00Z
SECOND = 10**9
GOOD, UNCERTAIN, BAD, NO_DATA = 0, 0x4090_0000, 0x8005_0000, 0x809B_0000
OUT_OF_SERVICE, LAST_USABLE, SUB_NORMAL = 0x808D_0000, 0x4090_0000, 0x40A4_0000

PLANT = """\
site: {name: plant}
areas: {grid: Tie}
templates:
  meter:
    protocol: modbus
    parameters: {port: {type: integer}}
    connection: {host: 192.0.2.1, port: "${port}"}
    groups: {fast: {period_ms: 100, stale_after_ms: 5000}}
    points: {power_kw: {table: input, address: 0, type: float64, unit: kW}}
devices:
  a: {area: grid, template: meter, with: {port: 1001}}
  b: {area: grid, template: meter, with: {port: 1002}}
anomalies:
"""
RANGE = (
    "  r: {detector: range, tags: ['?.power_kw'], range: [0, 10], hold_off_s: 2, clear_s: 0, area: grid}\n"
)
LEARNED = "  r: {detector: range, tags: ['?.power_kw'], learn_min: 2, hold_off_s: 0, area: grid}\n"


class Plant:
    """An image, and the detectors of a site that look at it every second of a time of its own."""

    def __init__(self, site: Site, region: Region, folder: Any, directory: Path) -> None:
        self.site, self.region, self.folder, self.directory = site, region, folder, directory
        self.now, self.steady = NOON, 0.0
        self.drivers, self.writer = region.claim("drivers"), region.claim("anomaly")
        self.inputs = region.indexes_of(["a.power_kw", "b.power_kw"])
        self.restart()

    def restart(self) -> None:
        self.watches = [
            Watch(each, self.site.tags, self.region, self.folder.history(), self.directory)
            for each in self.site.anomalies
        ]

    def set(self, a: float, b: float, status: int = GOOD) -> None:
        bits = to_bits(np.array([a, b]), ValueType.DOUBLE)
        self.drivers.write(self.inputs, bits, status, self.now, self.now)

    def look(self, seconds: float = 1.0) -> None:
        self.now += round(seconds * SECOND)
        self.steady += max(seconds, 1.0)
        for watch in self.watches:
            watch.look(self.region, self.writer, self.now, self.steady)

    def go(self, *rows: tuple[float, float]) -> None:
        for a, b in rows:
            self.set(a, b)
            self.look()

    def not_normal(self, folder: Any) -> list[str]:
        """What `tieline status` tells of it."""
        return list(alert_troubles(self.region, watched_of(self.site), folder.directory, self.now))

    def told(self, name: str) -> tuple[Any, int]:
        sample = self.region.sample(f"anomaly.r.{name}")
        return sample.value, sample.status


@pytest.fixture
def plant(tmp_path: Path, folder: Any) -> Iterator[Callable[[str], Plant]]:
    regions: list[Region] = []

    def make(anomalies: str) -> Plant:
        path = tmp_path / "site.yaml"
        path.write_text(PLANT + anomalies)
        site = load_site(path)
        region = Region.create(f"test_anomaly_{os.getpid()}", [tag.spec() for tag in site.tags])
        regions.append(region)
        return Plant(site, region, folder, tmp_path / "anomalies")

    yield make
    for region in regions:
        region.close()


def test_a_score_beyond_the_limit_alarms_after_the_hold_off(plant):
    here = plant(RANGE)
    here.go((5, 5))
    assert here.told("a.power_kw.score") == (0.0, GOOD)
    assert here.told("a.power_kw.alarm") == (False, GOOD)
    assert here.told("state")[0] == "scores"
    here.go((20, 5), (20, 5))
    assert here.told("a.power_kw.score") == (0.9, GOOD)
    assert here.told("a.power_kw.alarm") == (False, GOOD)
    here.go((20, 5))
    assert here.told("a.power_kw.alarm") == (True, GOOD)
    assert here.told("b.power_kw.alarm") == (False, GOOD)
    here.go((5, 5))
    assert here.told("a.power_kw.alarm") == (False, GOOD)


def test_what_is_bad_or_stale_has_no_score_and_an_alarm_that_stands_says_so(plant):
    here = plant(RANGE)
    here.go((20, 5), (20, 5), (20, 5))
    here.set(5, 5, BAD)
    here.look()
    assert here.told("a.power_kw.score")[1] == NO_DATA
    assert here.told("a.power_kw.alarm") == (True, LAST_USABLE)
    assert here.told("b.power_kw.alarm") == (False, NO_DATA)
    here.go((5, 5))
    assert here.told("a.power_kw.alarm") == (False, GOOD)
    here.look(4)
    assert here.told("a.power_kw.score")[1] == GOOD
    here.look(3)
    assert here.told("a.power_kw.score")[1] == NO_DATA


def test_a_score_made_of_uncertain_values_is_uncertain(plant):
    here = plant(RANGE)
    here.set(5, 5, UNCERTAIN)
    here.look()
    assert here.told("a.power_kw.score") == (0.0, SUB_NORMAL)


def test_small_changes_are_not_written_and_all_is_told_again_each_minute(plant):
    here = plant(RANGE)
    here.go((5, 5))
    first = here.region.sample("anomaly.r.a.power_kw.score").source_time
    here.go(*[(5.5, 5)] * 58)
    assert here.region.sample("anomaly.r.a.power_kw.score").source_time == first
    here.go(*[(5.5, 5)] * 3)
    assert here.region.sample("anomaly.r.a.power_kw.score").source_time == first + 60 * SECOND


def test_a_clock_that_was_set_back_ends_nothing(plant):
    here = plant("  r: {detector: rate, tags: ['?.power_kw'], limit: 1, hold_off_s: 0, area: grid}\n")
    here.go((5, 5), (9, 5))
    assert here.told("a.power_kw.alarm")[0]
    here.now -= 3600 * SECOND
    here.go((5, 5), (5, 5))
    assert here.told("a.power_kw.score") == (0.0, GOOD)
    assert here.region.sample("anomaly.r.a.power_kw.score").source_time <= here.now


def test_a_clock_that_was_set_back_holds_no_alarm_up(plant):
    here = plant(RANGE)
    here.go((20, 5))
    here.now -= 3600 * SECOND
    here.go((20, 5), (20, 5))
    assert here.told("a.power_kw.alarm")[0] is False
    here.go((20, 5))
    assert here.told("a.power_kw.alarm")[0] is True


def test_it_waits_for_history_to_learn_from_and_keeps_what_it_learned(plant, folder):
    here = plant(LEARNED)
    here.go((5, 5))
    assert here.told("a.power_kw.score")[1] == NO_DATA
    assert here.told("state")[0] == "learns: 120 rows of history are missing"
    times = [NOON + second * SECOND for second in range(-200, 40)]
    for name in ("a.power_kw", "b.power_kw"):
        folder.write(name, times, 5 + np.sin(np.arange(240)))
    here.look(35)
    here.go((5, 5))
    assert here.told("state")[0] == "scores"
    assert here.told("a.power_kw.score")[1] == GOOD
    here.go((8, 5))
    assert here.told("a.power_kw.alarm") == (True, GOOD)
    # A fault that history is full of by now is not learned by a restart.
    later = [NOON + second * SECOND for second in range(40, 400)]
    folder.write("a.power_kw", later, np.full(360, 8.0))
    here.now = NOON + 400 * SECOND
    here.restart()
    here.go((8, 5), (8, 5))
    assert here.told("a.power_kw.alarm") == (True, GOOD)
    # Only when it is told to forget.
    (here.directory / "r.npz").unlink()
    folder.write("a.power_kw", [NOON + 401 * SECOND], [8.1])
    folder.write("b.power_kw", [NOON + second * SECOND for second in range(40, 400)], np.full(360, 5.0))
    here.restart()
    here.go((8, 5))
    assert here.told("a.power_kw.score")[0] < 0.6
    assert here.told("state")[0] == "scores"


def test_what_it_cannot_keep_it_does_not_learn_and_that_is_a_fault(plant, folder):
    here = plant(LEARNED)
    here.directory.write_text("")  # where a folder should be
    times = [NOON + second * SECOND for second in range(-200, 40)]
    for name in ("a.power_kw", "b.power_kw"):
        folder.write(name, times, 5 + np.sin(np.arange(240)))
    here.look(41)
    assert here.told("state")[0].startswith("cannot learn: ")
    assert here.told("a.power_kw.score")[1] == OUT_OF_SERVICE
    (told,) = here.not_normal(folder)
    assert told.startswith("anomaly r cannot learn: ")
    assert "Is the disk full" in told
    here.directory.unlink()
    here.look(41)
    here.go((5, 5))
    assert here.told("a.power_kw.score")[1] == GOOD
    assert here.told("trouble") == ("", GOOD)
    assert here.not_normal(folder) == []


def test_that_it_learns_is_no_trouble_unless_it_takes_much_longer_than_what_it_waits_for(plant, folder):
    here = plant(LEARNED)
    here.go((5, 5))
    here.look(12 * 60)
    assert here.told("state")[0] == "learns: 120 rows of history are missing"
    assert here.told("trouble") == ("", GOOD)
    here.look(3 * 60)  # twice the two minutes, and ten
    assert here.told("trouble") == ("learns: 120 rows of history are missing", GOOD)
    assert len(here.not_normal(folder)) == 1


def test_on_a_full_disk_it_learns_when_there_is_room_and_says_so_once(plant, folder, disk, caplog):
    here = plant(LEARNED)
    (disk.path / "rows").mkdir()
    here.directory.symlink_to(disk.path / "rows")
    times = [NOON + second * SECOND for second in range(-200, 200)]
    for name in ("a.power_kw", "b.power_kw"):
        folder.write(name, times, 5 + np.sin(np.arange(400)))
    disk.fill()
    for seconds in (41, 31, 31):
        here.look(seconds)
    assert here.told("state")[0].startswith("cannot learn: ")
    assert here.told("a.power_kw.score")[1] == OUT_OF_SERVICE
    assert caplog.text.count("cannot learn") == 1
    assert not list((disk.path / "rows").iterdir()), "it leaves no half of one"
    disk.free()
    here.look(31)
    here.go((5, 5))
    assert here.told("a.power_kw.score")[1] == GOOD


def test_a_damaged_file_is_learned_anew_and_one_of_other_settings_too(plant, folder):
    here = plant(LEARNED)
    times = [NOON + second * SECOND for second in range(-200, 40)]
    for name in ("a.power_kw", "b.power_kw"):
        folder.write(name, times, 5 + np.sin(np.arange(240)))
    here.go((5, 5))
    file = here.directory / "r.npz"
    kept = file.read_bytes()
    assert here.told("state")[0] == "scores"
    for damaged in (kept[: len(kept) // 2], b"", kept.replace(b"range", b"rate_", 1)):
        file.write_bytes(damaged)
        here.restart()
        here.go((5, 5))
        assert here.told("state")[0] == "scores"
        assert len(file.read_bytes()) > 1000


async def test_the_part_runs_in_a_site_and_ends_when_told(plant, tmp_path):
    here = plant(RANGE)
    here.writer.release()
    paths = RunPaths(tmp_path, tmp_path)
    context = PartContext(here.site, paths, here.region.name, asyncio.Event(), asyncio.Event())
    part = asyncio.create_task(run(context))
    await asyncio.wait_for(context.ready.wait(), 20)
    async with asyncio.timeout(20):
        while here.told("a.power_kw.score") != (0.9, GOOD):
            here.now = time.time_ns()
            here.set(20, 5)
            await asyncio.sleep(0.05)
    context.stop.set()
    await asyncio.wait_for(part, 20)
