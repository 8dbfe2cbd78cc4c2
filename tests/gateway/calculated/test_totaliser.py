"""All totals over a real region: killed at any time, restarted with it and without it, and always exact."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from gateway.calculated.totaliser import Totaliser
from gateway.config.load import load_site
from gateway.tags.history import Series
from gateway.tags.image import Region
from gateway.tags.tag import ValueType

PROCESS = Path(__file__).with_name("calculating_process.py")
UTC = datetime.UTC
S = 10**9
TOTALS = """\
totals:
  p.e_kwh: {of: m.a_kw, kind: integral, area: grid, unit: kWh, periods: [hour], hold_s: 1000}
  p.c: {of: m.count, kind: counter, max_per_h: 1e15, area: grid, periods: []}
  p.starts: {of: m.closed, kind: starts, area: grid}
"""


@pytest.fixture
def site(tmp_path, plant):
    path = tmp_path / "site.yaml"
    plant("  p.z: {expression: m.x, area: grid}\n")  # writes the plant itself
    path.write_text(path.read_text().partition("calculated:")[0] + TOTALS)
    return load_site(path)


@contextlib.contextmanager
def region_of(site, name: str) -> Iterator[Region]:
    with Region.create(f"test_totals_{name}_{os.getpid()}", [tag.spec() for tag in site.tags]) as region:
        yield region


def until(condition: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < give_up, what
        time.sleep(0.01)


def write(region: Region, writer, tag: str, value: float | int, at: int) -> None:
    bits = np.array([value], np.float64 if isinstance(value, float) else np.int64).view(np.uint64)
    writer.write(region.indexes_of([tag]), bits, 0, at, at)


def energy_of(samples: list[tuple[int, float]]) -> Fraction:
    """kW times ns."""
    return sum(
        (Fraction(value) * (then - at) for (at, value), (then, _) in itertools.pairwise(samples)),
        Fraction(0),
    )


def kept(path: Path, name: str) -> dict[str, object]:
    return json.loads(path.read_text())["totals"][name]


def test_killed_again_and_again_it_is_what_fractions_say(site, tmp_path):
    dice = random.Random(20261121)
    file, log = tmp_path / "totals.json", tmp_path / "log"
    samples: list[tuple[int, float]] = []
    counts, at = [1000], time.time_ns() // 1000 * 1000
    with region_of(site, "kill") as region, log.open("wb") as errors:
        writer = region.claim("drivers")

        def burst(least: int) -> None:
            nonlocal at
            for _ in range(dice.randrange(least, least + 40)):
                at += dice.randrange(1, 50) * 1_000_000
                samples.append((at, dice.uniform(-1e3, 1e3)))
                write(region, writer, "m.a_kw", samples[-1][1], at)
                counts.append(counts[-1] + dice.randrange(0, 9))
                write(region, writer, "m.count", counts[-1], at)
                if dice.random() < 0.1:
                    time.sleep(0.002)

        for turn in range(4):
            process = subprocess.Popen(
                [sys.executable, "-P", str(PROCESS), region.name, str(tmp_path / "site.yaml"), str(file)],
                stdout=subprocess.PIPE,
                stderr=errors,
            )
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == b"ready\n", log.read_text()
                burst(20)
                if dice.random() < 0.7:  # else it is killed before anything was kept in this life
                    before = file.stat().st_mtime_ns if file.exists() else 0
                    until(lambda b=before: file.exists() and file.stat().st_mtime_ns != b, "nothing is kept")
                    burst(5)
                if turn == 3:
                    until(lambda: file.exists() and kept(file, "p.c")["at"] == at, "not all is kept")
            finally:
                process.kill()
                process.communicate(timeout=30)
            burst(5) if turn < 3 else None
        total = kept(file, "p.e_kwh")
        assert Fraction(total["sum"], 2 << 1074) == energy_of(samples)
        assert Fraction(kept(file, "p.c")["sum"], 1 << 1074) == counts[-1] - counts[1]


class Past:
    """A history that has what was written."""

    def __init__(self) -> None:
        self.samples: list[tuple[int, float]] = []

    def __call__(self, tag: str, start: int, end: int) -> Series:
        found = [(at, value) for at, value in self.samples if start <= at < end and tag == "m.a_kw"]
        times = np.array([at for at, _ in found], np.int64)
        values = np.array([value for _, value in found], np.float64)
        return Series(ValueType.DOUBLE, times, values, np.zeros(len(found), np.uint32))


def test_after_a_restart_of_the_site_history_has_what_came_in_between(site, tmp_path):
    past, now = Past(), time.time_ns() // S * S
    at = now - 100 * S
    with region_of(site, "one") as region:
        writer = region.claim("drivers")
        totaliser = Totaliser(site.totals, site.tags, UTC, tmp_path / "totals.json", past)
        totaliser.start(region, now)
        for second in range(20):
            past.samples.append((at + second * S, float(second)))
            write(region, writer, "m.a_kw", float(second), at + second * S)
            if second == 10:
                totaliser.take(now)
                totaliser.keep(0, at_once=True)  # and is killed with the region; the rest is in history alone
    with region_of(site, "two") as region:
        writer = region.claim("drivers")
        totaliser = Totaliser(site.totals, site.tags, UTC, tmp_path / "totals.json", past)
        totaliser.start(region, now)
        write(region, writer, "m.a_kw", 7.0, at + 50 * S)
        write(region, writer, "m.a_kw", 7.0, at + 60 * S)
        totaliser.take(now)
        totaliser.keep(0, at_once=True)
    samples = [*past.samples, (at + 50 * S, 7.0), (at + 60 * S, 7.0)]
    assert Fraction(kept(tmp_path / "totals.json", "p.e_kwh")["sum"], 2 << 1074) == energy_of(samples)


def test_whoever_was_lapped_reads_history_and_counts_nothing_twice(site, tmp_path):
    past, now = Past(), time.time_ns() // S * S
    with Region.create(
        f"test_totals_lapped_{os.getpid()}", [tag.spec() for tag in site.tags], journal_records=1024
    ) as region:
        writer = region.claim("drivers")
        totaliser = Totaliser(site.totals, site.tags, UTC, tmp_path / "totals.json", past)
        totaliser.start(region, now)
        for step in range(3000):
            at = now - (3000 - step) * S // 100
            past.samples.append((at, float(step % 7)))
            write(region, writer, "m.a_kw", float(step % 7), at)
            if step < 10:
                totaliser.take(now)
        totaliser.take(now)
        totaliser.keep(0, at_once=True)
    assert Fraction(kept(tmp_path / "totals.json", "p.e_kwh")["sum"], 2 << 1074) == energy_of(past.samples)


def test_a_file_that_makes_no_sense_is_set_aside(site, tmp_path, caplog):
    file = tmp_path / "totals.json"
    file.write_text('{"format": 1, "totals"')
    with region_of(site, "damaged") as region:
        Totaliser(site.totals, site.tags, UTC, file, Past()).start(region, time.time_ns())
    assert (tmp_path / "totals.json.damaged").read_text() == '{"format": 1, "totals"'
    assert "TOTALS BEGIN ANEW" in caplog.text


def test_a_total_of_another_tag_goes_on_from_its_next_sample(site, tmp_path):
    file, now = tmp_path / "totals.json", time.time_ns() // S * S
    with region_of(site, "other") as region:
        writer = region.claim("drivers")
        one = Totaliser(site.totals, site.tags, UTC, file, Past())
        one.start(region, now)
        for second, value in ((0, 3600.0), (1, 3600.0)):
            write(region, writer, "m.a_kw", value, now + second * S)
        one.take(now)
        one.keep(0, at_once=True)
        path = tmp_path / "site.yaml"
        path.write_text(path.read_text().replace("of: m.a_kw", "of: m.b_kw"))
        changed = load_site(path)
        other = Totaliser(changed.totals, changed.tags, UTC, file, Past())
        other.start(region, now)
        for second, value in ((500, 7200.0), (501, 7200.0)):
            write(region, writer, "m.b_kw", value, now + second * S)
        other.take(now)
        other.keep(0, at_once=True)
    assert Fraction(kept(file, "p.e_kwh")["sum"], 2 << 1074) == (3600 + 7200) * S


def test_what_is_told_is_written_each_second(site, tmp_path):
    now = time.time_ns() // S * S
    with region_of(site, "tell") as region:
        drivers, own = region.claim("drivers"), region.claim("calculated")
        totaliser = Totaliser(site.totals, site.tags, UTC, tmp_path / "totals.json", Past())
        totaliser.start(region, now)
        totaliser.tell(own, now, 0)
        assert region.sample("p.e_kwh").status == 0x8032_0000
        write(region, drivers, "m.a_kw", 3600.0, now)
        write(region, drivers, "m.closed", 0, now)
        write(region, drivers, "m.closed", 1, now + S)
        totaliser.take(now)
        totaliser.tell(own, now + 2 * S, S // 2)
        assert region.sample("p.e_kwh").status == 0x8032_0000, "not more often than once a second"
        totaliser.tell(own, now + 2 * S, 2 * S)
        assert (region.sample("p.e_kwh").value, region.sample("p.e_kwh").status) == (2.0, 0)
        assert region.sample("p.e_kwh").source_time == now + 2 * S
        assert region.sample("p.e_kwh.this_hour").value == 2.0
        assert region.sample("p.e_kwh.unmeasured_s").value == 0.0
        assert region.sample("p.starts").value == 1.0
        assert region.sample("p.starts.this_day").value == 1.0
        assert region.sample("p.c.rollovers").status == 0x8032_0000
