"""The historian killed at random, the region living on: nothing acknowledged is missing, nothing comes twice."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gateway.config.site import HistorianSettings
from gateway.tags.image import Region
from gateway.tags.tag import TagSpec, ValueType
from historian.query.history import History
from historian.store.layout import day_files, segments
from historian.store.recorder import Recorder, read_status

HERE = Path(__file__).parent
STEP_NS = 1_000_000
BASE = 1_795_305_599 * 10**9  # a second of samples before midnight: the shortest run goes over it
TAGS = 20
KILLS = 5
ROUNDS = int(os.environ.get("TIELINE_KILL_ROUNDS", "10"))  # in all, KILLS to a folder
LIVES_S = 0.8  # at most; by then it has packed and merged
PAUSE_S = 0.1  # between batches of 50 ticks of 20 tags: up to 10,000 changes/s; the ring holds 100 s of them
BATCH = 50  # ticks, then one text
DEADLINE_S = 30


@pytest.fixture
def region() -> Iterator[Region]:
    specs = [
        *(TagSpec(f"t{i}", ValueType.INT64, "drivers") for i in range(TAGS)),
        TagSpec("_unkept.t", ValueType.INT64, "drivers"),
        TagSpec("text", ValueType.STRING, "drivers", 40),
    ]
    with Region.create(f"test_history_{os.getpid()}", specs) as region:
        yield region


STARTED: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    yield
    for process in STARTED:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    STARTED.clear()


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    STARTED.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def start_historian(region: Region, directory: Path, block_s: int = 1) -> subprocess.Popen[str]:
    return start("ingest_process.py", region.name, directory, 20, block_s)


def start_writer(region: Region) -> subprocess.Popen[str]:
    return start("writer_process.py", region.name, BASE, TAGS, PAUSE_S)


def stop(process: subprocess.Popen[str]) -> str:
    """What the process printed when it was asked to end, and did so well."""
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0
    return out


def wait_for(condition, what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def check_counting(directory: Path, known: int, upto: int | None = None) -> None:
    """Every tag holds samples 0, 1, 2... without a hole or a repeat, at least ``known``, or exactly ``upto``."""
    history = History(directory)
    for i in range(TAGS):
        series = history.raw(f"t{i}", 0, 2**62)
        count = len(series)
        assert count >= known
        if upto is not None:
            assert count == upto
        assert np.array_equal(series.values, np.arange(count))
        assert np.array_equal(series.source_times, BASE + np.arange(count) * STEP_NS)
    with pytest.raises(KeyError):
        history.raw("_unkept.t", 0, 2**62)
    history.close()


def stored_samples(directory: Path) -> int:
    """How many samples all blocks hold, once everything is packed; queries would hide what is there twice."""
    recorder = Recorder(directory, HistorianSettings(), time.time_ns)
    recorder.open()
    recorder.rotate()
    assert recorder.pack(lambda: False)
    recorder.close()
    total = 0
    for path in day_files(directory).values():
        database = sqlite3.connect(path)
        total += database.execute("SELECT sum(count) FROM blocks").fetchone()[0]
        database.close()
    return total


@pytest.mark.parametrize("seed", range(ROUNDS // KILLS))
def test_killed_again_and_again_it_loses_and_doubles_nothing(region, tmp_path, seed):
    chance = random.Random(seed)
    directory = tmp_path / "history"
    writer = start_writer(region)
    for _ in range(KILLS):
        historian = start_historian(region, directory)
        time.sleep(chance.uniform(0, LIVES_S))
        historian.kill()
        historian.communicate()
        acknowledged = read_status(directory)
        assert acknowledged.instance in (0, region.instance)
        # Records before that position: TAGS a tick, and one text a batch of ticks.
        position = acknowledged.positions.get("drivers", 0)
        check_counting(directory, position * BATCH // (BATCH * TAGS + 1) - 1)
    written = int(stop(writer))
    historian = start_historian(region, directory)
    end = region.reader("now").positions["drivers"]
    wait_for(lambda: read_status(directory).positions.get("drivers") == end, "the rest to be acknowledged")
    stop(historian)
    check_counting(directory, written, upto=written)
    assert stored_samples(directory) == written * TAGS + written // BATCH
    history = History(directory)
    texts = history.raw("text", 0, 2**62)
    assert history.gaps() == []
    history.close()
    assert texts.values.tolist() == [f"n{n}" for n in range(49, written, 50)]


def test_blocks_in_day_files_hold_each_sample_once(region, tmp_path):
    directory = tmp_path / "history"
    historian = start_historian(region, directory)
    writer = start_writer(region)
    wait_for(lambda: len(day_files(directory)) == 2, "both days to have a file")
    written = int(stop(writer))
    end = region.reader("now").positions
    wait_for(lambda: read_status(directory).positions == end, "the rest to be acknowledged")
    stop(historian)
    check_counting(directory, written, upto=written)


def test_queries_while_it_writes_and_packs_never_miss_or_repeat(region, tmp_path):
    directory = tmp_path / "history"
    historian = start_historian(region, directory)
    writer = start_writer(region)
    history = History(directory)
    seen = moved = asked = 0
    end = time.monotonic() + DEADLINE_S
    while (moved < 4 or asked < 100) and time.monotonic() < end:
        series = history.raw("t7", 0, 2**62)
        assert np.array_equal(series.values, np.arange(len(series)))
        assert len(series) >= seen
        assert [*history.last("t7").values, -1][0] >= len(series) - 1
        seen = len(series)
        moved = max(moved, *segments(directory), 0)
        asked += 1
    assert moved >= 4, "segments were moved while it asked"
    written = int(stop(writer))
    stop(historian)
    history.close()
    check_counting(directory, seen)
    assert seen <= written


def test_a_sample_is_seen_by_a_query_within_twice_the_flush_interval(region, tmp_path):
    directory = tmp_path / "history"
    historian = start("ingest_process.py", region.name, directory, 250, 60)
    history = History(directory)
    writer = region.claim("drivers")
    tag = region.indexes_of(["t0"])
    waits = []
    for n in range(8):
        writer.write(tag, np.array([n], np.uint64), 0, BASE + n, BASE + n)
        begin = time.monotonic()
        wait_for(lambda n=n: len(history.raw("t0", BASE + n, BASE + n + 1)) == 1, "the sample to be seen")
        waits.append(time.monotonic() - begin)
    stop(historian)
    history.close()
    assert np.median(waits) < 0.5


def test_a_new_region_is_read_from_its_beginning_and_the_time_between_is_a_gap(tmp_path):
    directory = tmp_path / "history"
    specs = [*(TagSpec(f"t{i}", ValueType.INT64, "drivers") for i in range(TAGS))]
    for run in range(2):
        with Region.create(f"test_history_{os.getpid()}", specs) as region:
            writer = region.claim("drivers")
            for n in range(10):
                at = BASE + (run * 10 + n) * STEP_NS
                writer.write(region.indexes_of(["t0"]), np.array([run * 10 + n], np.uint64), 0, at, at)
            historian = start_historian(region, directory)
            wait_for(lambda: read_status(directory).instance == region.instance, "the region to be read")
            wait_for(lambda: read_status(directory).positions == {"drivers": 10}, "its records to be read")
            stop(historian)
    history = History(directory)
    assert history.raw("t0", 0, 2**62).values.tolist() == list(range(20))
    assert [gap.kind for gap in history.gaps()] == ["stopped"]
    history.close()


def test_lapped_it_says_so_and_writes_the_image_down(tmp_path):
    directory = tmp_path / "history"
    specs = [TagSpec("t0", ValueType.INT64, "drivers"), TagSpec("quiet", ValueType.DOUBLE, "drivers")]
    specs += [
        TagSpec("text", ValueType.STRING, "drivers", 40),
        TagSpec("silent", ValueType.DOUBLE, "drivers"),
    ]
    with Region.create(f"test_history_{os.getpid()}", specs, journal_records=1024) as region:
        writer = region.claim("drivers")
        t0, quiet, text = (region.indexes_of([name]) for name in ("t0", "quiet", "text"))
        stop(start_historian(region, directory))
        writer.write(quiet, np.array([2.5]).view(np.uint64), 0, BASE, BASE)
        writer.write_texts(text, ["idle"], 0, BASE, BASE)
        for n in range(5000):
            writer.write(t0, np.array([n], np.uint64), 0, BASE + n, BASE + n)
        writer.invalidate(0x8005_0000, BASE + 6000, quiet)
        for n in range(5000, 8000):
            writer.write(t0, np.array([n], np.uint64), 0, BASE + n, BASE + n)
        historian = start_historian(region, directory)
        end = region.reader("now").positions
        wait_for(lambda: read_status(directory).positions == end, "the region to be read")
        stop(historian)
    history = History(directory)
    (gap,) = history.gaps()
    found = history.raw("t0", 0, 2**62).values
    assert gap.kind == "lapped"
    assert gap.lost == 8003 - len(found)
    assert found.tolist() == list(range(8000 - len(found), 8000))
    series = history.raw("quiet", 0, 2**62)
    assert (series.source_times.tolist(), series.values.tolist(), series.statuses.tolist()) == (
        [BASE + 6000],
        [2.5],
        [0x8005_0000],
    )
    assert history.raw("text", 0, 2**62).values.tolist() == ["idle"]
    assert len(history.raw("silent", 0, 2**62)) == 0
    history.close()
