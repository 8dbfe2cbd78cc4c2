"""Deviation on what comes from the shared journal: the bound holds, whoever is killed; what is held is let go of."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from historian_folder import NOON, SECOND, Clock, tag

from gateway.config.deviation import Deviation
from gateway.config.site import HistorianSettings
from gateway.tags.image import Region
from gateway.tags.tag import ValueType
from historian.ingest import Ingest, thinned_tags
from historian.query.history import History
from historian.store.recorder import Recorder
from historian.thinning import Thinner

PROGRAM = Path(__file__).with_name("thinning_process.py")
DEVIATION = Deviation(exception=0.5, quiet_ns=10**13, compression=1.0, longest_ns=10**13)
TAGS = (
    tag("thin.a", sloped=True, deviation=DEVIATION),
    tag("thin.b", ValueType.INT64, sloped=True, deviation=DEVIATION),
    tag("all"),
)
NAMES = [tag.name for tag in TAGS]


@pytest.fixture
def region() -> Iterator[Region]:
    name = f"test_thinning_{os.getpid()}_{time.monotonic_ns()}"
    with Region.create(name, [tag.spec() for tag in TAGS], journal_records=1 << 16) as region:
        yield region


class Plant:
    """Writes a seeded walk into all tags, and remembers it."""

    def __init__(self, region: Region) -> None:
        self.region = region
        self.writer = region.claim("drivers")
        self.indexes = region.indexes_of(NAMES)
        self.rng = np.random.default_rng(7)
        self.level = np.zeros(3)
        self.written: list[tuple[int, float, float, float]] = []

    def write(self, count: int) -> None:
        for _ in range(count):
            at = NOON + len(self.written) * SECOND
            self.level += self.rng.normal(size=3) * self.rng.choice([0.05, 0.05, 0.05, 3.0])
            a, b, c = (float(self.level[0]), float(int(self.level[1] * 4)), float(self.level[2]))
            bits = np.array([a, 0, c]).view(np.uint64)
            bits[1] = np.array([int(b)], np.int64).view(np.uint64)[0]
            self.writer.write(self.indexes, bits, 0, at, at)
            self.written.append((at, a, b, c))


def assert_within_bound(directory: Path, plant: Plant) -> int:
    """Every sample that was written is read back within the bound; how many are kept of tags with a deviation."""
    history = History(directory)
    times = np.array([row[0] for row in plant.written])
    kept = 0
    for place, name in enumerate(NAMES):
        values = np.array([row[1 + place] for row in plant.written])
        found = history.raw(name, -(2**62), 2**62)
        if name == "all":
            assert found.source_times.tolist() == times.tolist()
            assert found.values.tolist() == values.tolist()
            continue
        kept += len(found)
        real = dict(zip(times.tolist(), values.tolist(), strict=True))
        assert all(
            real[at] == value
            for at, value in zip(found.source_times.tolist(), found.values.tolist(), strict=True)
        )
        assert found.source_times[-1] == times[-1], "the last is there, whatever was held"
        back = np.interp(times - NOON, found.source_times - NOON, found.values.astype(float))
        assert np.abs(back - values).max() <= DEVIATION.bound(is_sloped=True) + 1e-6
    history.close()
    return kept


def test_killed_at_random_points_the_bound_holds(region: Region, tmp_path: Path) -> None:
    plant = Plant(region)
    rng = np.random.default_rng(3)
    for _ in range(2):
        with subprocess.Popen(
            [sys.executable, PROGRAM, region.name, tmp_path], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            until = time.monotonic() + rng.uniform(0.05, 0.6)
            while time.monotonic() < until:
                plant.write(5)
                time.sleep(0.002)
            process.kill()
        plant.write(20)
    with subprocess.Popen(
        [sys.executable, PROGRAM, region.name, tmp_path], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        plant.write(50)
        process.send_signal(signal.SIGTERM)
    kept = assert_within_bound(tmp_path, plant)
    assert kept < len(plant.written), "and it did drop some, of two tags"


class Bench:
    """Ingest on a clock that stands."""

    def __init__(self, region: Region, directory: Path, most_records: int = 1 << 15) -> None:
        self.clock = Clock()
        self.region = region
        self.directory = directory
        self.most_records = most_records
        self.plant = Plant(region)
        self.open()

    def open(self) -> None:
        self.recorder = Recorder(self.directory, HistorianSettings(), self.clock)
        acknowledged = self.recorder.open()
        entries = {entry.path: entry for entry in self.recorder.catalogue.register(TAGS, self.clock())}
        thinner = Thinner(self.directory, self.region.instance, self.most_records)
        thinner.follow(thinned_tags(TAGS, entries))
        self.ingest = Ingest(self.region, entries, self.recorder, self.clock, thinner=thinner)
        self.ingest.start(acknowledged)

    def take(self, after_s: float = 1.0) -> None:
        self.clock.now += int(after_s * SECOND)
        self.ingest.take()
        assert self.recorder.flush()

    def end(self) -> None:
        self.ingest.take()
        self.ingest.finish()
        assert self.recorder.flush()
        self.recorder.close()


@pytest.fixture
def make_bench(region: Region, tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(**settings: int) -> Bench:
        made.append(Bench(region, tmp_path, **settings))
        return made[-1]

    yield make
    for bench in made:
        bench.recorder.close()


def test_a_kill_after_any_slice_keeps_the_bound(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    for n in range(30):
        bench.plant.write(3)
        if n % 3 == 2:
            bench.clock.now += SECOND
            bench.ingest.take()  # offered and, as it is killed now, never durable
        else:
            bench.take(after_s=1.0)
        bench.recorder.close()
        bench.open()
    bench.end()
    assert_within_bound(bench.directory, bench.plant)


def test_nothing_is_held_longer_than_stated(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.plant.level[:] = 0
    bench.plant.rng = np.random.default_rng(1)
    bench.plant.write(1)
    bench.take()
    for _ in range(5):
        bench.plant.written.append(bench.plant.written[-1])
        at = NOON + len(bench.plant.written) * SECOND
        bench.plant.writer.write(bench.plant.indexes[:1], np.zeros(1, np.uint64), 0, at, at)
        bench.take()
    history = History(bench.directory)
    newest = int(history.last("thin.a").source_times[0])
    assert newest < at
    bench.take(after_s=DEVIATION.held_ns / SECOND + 2)
    assert int(history.last("thin.a").source_times[0]) == at
    history.close()


def test_nothing_is_held_that_the_shared_journal_may_go_over(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(most_records=60)
    bench.plant.write(10)
    bench.take()
    for _ in range(10):
        bench.plant.write(10)
        bench.take()
        held = bench.ingest._thinner.held_from()
        assert held is not None
    bench.take()
    held = bench.ingest._thinner.held_from()
    assert held is not None
    assert bench.region.reader("now").positions["drivers"] - held["drivers"] <= 60 + 60
    bench.end()
    assert_within_bound(bench.directory, bench.plant)


def test_what_is_not_durable_is_not_taken_for_it(make_bench: Callable[..., Bench]) -> None:
    """The place that is written down is that of the last flush, not of what was only offered."""
    bench = make_bench()
    bench.plant.write(30)
    bench.take()
    bench.take()
    before = bench.ingest._thinner.held_from()
    for _ in range(5):
        bench.plant.write(30)
        bench.clock.now += SECOND
        bench.ingest.take()
    assert bench.ingest._thinner.held_from() == before
    bench.recorder.close()
    bench.open()
    bench.end()
    assert_within_bound(bench.directory, bench.plant)


def test_kept_samples_are_real_and_few(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.plant.write(500)
    bench.take()
    bench.end()
    kept = assert_within_bound(bench.directory, bench.plant)
    assert kept < 700
    history = History(bench.directory)
    assert all(
        first < last for first, last in pairwise(history.raw("thin.b", 0, 2**62).source_times.tolist())
    )
    assert not history.entry("thin.a").stepped
    history.close()
