"""The historian's store: bytes a sample, durable ingest, and queries, beside SQLite rows on the same samples.

The plant: 1,000 tags at 1 Hz (slowly varying analogs rounded to a sensible resolution, steps, counters, booleans)
and 20 tags at 10 Hz, for 30 minutes. Ours goes the whole way: a frame synced to the journal each plant second, packed
to blocks each plant minute, merged at the end. SQLite gets the same batches, a transaction each, synchronous=FULL.

Usage: python benchmarks/historian.py [MINUTES]
"""

from __future__ import annotations

import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.config.site import HistorianSettings, Tag
from gateway.tags.sample import to_bits
from gateway.tags.tag import ValueType
from historian.query import History
from historian.store.frame import SamplesFrame
from historian.store.recorder import Recorder
from historian.store.rows import Rows

SLOW_TAGS = 1000
FAST_TAGS = 20
SECOND = 10**9
START = 1_795_219_200 * SECOND  # 2026-11-21T00:00:00Z
ASKED_TAG = "t17"
ROUNDS = 30

Batch = tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.uint64], NDArray[np.float64]]


def kind_of(tag: int) -> ValueType:
    if tag >= SLOW_TAGS:
        return ValueType.DOUBLE
    return (ValueType.DOUBLE, ValueType.DOUBLE, ValueType.DOUBLE, ValueType.INT64, ValueType.BOOL)[tag % 5]


def plant(minutes: int) -> list[Batch]:
    """A batch each plant second; values as raw bits, and as doubles for the peer."""
    chance = np.random.default_rng(1)
    slow = np.arange(SLOW_TAGS, dtype=np.uint32)
    fast = np.arange(SLOW_TAGS, SLOW_TAGS + FAST_TAGS, dtype=np.uint32)
    tags = np.concatenate([slow, np.tile(fast, 10)])
    level = chance.uniform(20, 400, SLOW_TAGS)
    steps = np.zeros(SLOW_TAGS)
    counters = np.zeros(SLOW_TAGS, np.int64)
    switches = np.zeros(SLOW_TAGS, bool)
    quick = chance.uniform(0, 100, FAST_TAGS)
    kind = slow % 5
    batches: list[Batch] = []
    for second in range(minutes * 60):
        level += chance.normal(0, 0.3, SLOW_TAGS)
        steps = np.where(chance.random(SLOW_TAGS) < 0.01, chance.integers(0, 20, SLOW_TAGS), steps)
        counters += chance.integers(0, 5, SLOW_TAGS)
        switches ^= chance.random(SLOW_TAGS) < 0.002
        path = quick + np.cumsum(chance.normal(0, 0.5, (10, FAST_TAGS)), axis=0)
        quick = path[-1]
        analogs = [np.round(level, 1), np.round(level, 2), steps, counters, switches]
        values = np.concatenate([np.choose(kind, analogs), np.round(path, 2).ravel()])
        bits = to_bits(values, ValueType.DOUBLE)
        whole = np.flatnonzero(kind >= 3)
        bits[whole] = values[whole].astype(np.int64).view(np.uint64)
        at = START + second * SECOND
        ticks = at + np.repeat(np.arange(10) * SECOND // 10, FAST_TAGS)
        batches.append((tags, np.concatenate([np.full(SLOW_TAGS, at), ticks]), bits, values))
    return batches


def size_of(directory: Path) -> int:
    files = (path for path in directory.rglob("*") if path.is_file() and path.suffix != ".sqlite-shm")
    return sum(path.stat().st_size for path in files)


def median_ms(work: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1e3


def ours(directory: Path, data: list[Batch]) -> tuple[int, list[float], float, float]:
    """Samples, seconds of each durable batch, CPU seconds of flushing and of packing with merging."""
    now = START
    recorder = Recorder(directory, HistorianSettings(), lambda: now)
    recorder.open()
    names = [Tag(f"t{i}", kind_of(i), "drivers", "a", "d") for i in range(SLOW_TAGS + FAST_TAGS)]
    entries = recorder.catalogue.register(names, now)
    ids = np.array([entry.id for entry in entries], np.uint32)
    count, waits, flush_cpu, pack_cpu = 0, [], 0.0, 0.0
    for second, (tags, times, bits, _) in enumerate(data):
        now = START + second * SECOND
        rows = Rows(ids[tags], np.zeros(len(tags), np.uint32), times, bits, np.empty(0, np.uint32), ())
        begin, cpu = time.perf_counter(), time.process_time()
        recorder.offer(SamplesFrame(1, now, {"drivers": (count, count + len(tags))}, rows))
        assert recorder.flush()
        waits.append(time.perf_counter() - begin)
        flush_cpu += time.process_time() - cpu
        count += len(tags)
        if second % 60 == 59:
            cpu = time.process_time()
            recorder.rotate()
            assert recorder.pack(lambda: False)
            pack_cpu += time.process_time() - cpu
    print(f"  before merging {size_of(directory) / count:6.2f} bytes a sample, all files")
    cpu = time.process_time()
    now = START + 86_400 * SECOND
    assert recorder.pack(lambda: False)
    pack_cpu += time.process_time() - cpu
    recorder.close()
    return count, waits, flush_cpu, pack_cpu


def peer(path: Path, data: list[Batch]) -> tuple[list[float], float]:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute(
        "CREATE TABLE samples(tag INTEGER, time INTEGER, value, status INTEGER, PRIMARY KEY(tag, time)) WITHOUT ROWID"
    )
    waits, cpu = [], time.process_time()
    for tags, times, _, values in data:
        begin = time.perf_counter()
        rows = zip(tags.tolist(), times.tolist(), values.tolist(), [0] * len(tags), strict=True)
        database.execute("BEGIN")
        database.executemany("INSERT OR REPLACE INTO samples VALUES(?, ?, ?, ?)", rows)
        database.execute("COMMIT")
        waits.append(time.perf_counter() - begin)
    cpu = time.process_time() - cpu
    database.close()
    return waits, cpu


def queries(directory: Path, path: Path, minutes: int) -> None:
    history = History(directory, clock=lambda: START + 86_400 * SECOND)
    database = sqlite3.connect(path)
    end = START + minutes * 60 * SECOND
    tag = int(ASKED_TAG[1:])

    def raw_peer() -> None:
        rows = database.execute(
            "SELECT time, value, status FROM samples WHERE tag = ? AND time >= ? AND time < ?",
            (tag, START, end),
        ).fetchall()
        np.array([row[0] for row in rows]), np.array([row[1] for row in rows])

    def average_peer(step: int) -> None:
        database.execute(
            "SELECT (time - ?) / ? AS i, sum(value * (following - time)) / sum(following - time)"
            " FROM (SELECT time, value, lead(time, 1, ?) OVER (ORDER BY time) AS following"
            " FROM samples WHERE tag = ? AND time >= ? AND time < ?) GROUP BY i",
            (START, step, end, tag, START, end),
        ).fetchall()

    def last_peer() -> None:
        for i in range(100):
            database.execute(
                "SELECT value FROM samples WHERE tag = ? ORDER BY time DESC LIMIT 1", (i,)
            ).fetchone()

    whole, minute = (end - START), 60 * SECOND
    rows = (
        (f"raw, {minutes} min of one 1 Hz tag", lambda: history.raw(ASKED_TAG, START, end), raw_peer),
        (
            "newest 100 samples",
            lambda: history.raw(ASKED_TAG, START, end, limit=100, newest_first=True),
            None,
        ),
        (
            "time average by the minute",
            lambda: history.time_average(ASKED_TAG, START, end, minute),
            lambda: average_peer(minute),
        ),
        (
            "time average of all of it",
            lambda: history.time_average(ASKED_TAG, START, end, whole),
            lambda: average_peer(whole),
        ),
        ("last of 100 tags", lambda: [history.last(f"t{i}") for i in range(100)], last_peer),
    )
    for what, mine, theirs in rows:
        other = f"{median_ms(theirs):8.3f} ms" if theirs else "       -"
        print(f"  {what:<34} {median_ms(mine):8.3f} ms   SQLite rows {other}")
    history.close()
    database.close()


def spread(waits: list[float]) -> str:
    ordered = sorted(waits)
    return (
        f"p50 {ordered[len(ordered) // 2] * 1e3:6.2f}  p99 {ordered[len(ordered) * 99 // 100] * 1e3:6.2f}"
        f"  worst {ordered[-1] * 1e3:6.2f} ms"
    )


def main() -> None:
    minutes = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    data = plant(minutes)
    with tempfile.TemporaryDirectory(dir=".") as scratch:
        directory, path = Path(scratch) / "history", Path(scratch) / "rows.sqlite"
        begin = time.perf_counter()
        count, waits, flush_cpu, pack_cpu = ours(directory, data)
        took = time.perf_counter() - begin
        print(f"{count} samples of {SLOW_TAGS + FAST_TAGS} tags over {minutes} min")
        print(f"  ours           {size_of(directory) / count:6.2f} bytes a sample, all files")
        print(f"    durable batch of {len(data[0][0])}: {spread(waits)}")
        print(
            f"    CPU a sample: {flush_cpu / count * 1e6:.2f} µs to durable + {pack_cpu / count * 1e6:.2f} µs packing"
            f" and merging; {count / took / 1e3:.0f} thousand/s all in, one sync a batch"
        )
        begin = time.perf_counter()
        waits, cpu = peer(path, data)
        took = time.perf_counter() - begin
        print(
            f"  SQLite rows    {size_of(path.parent) / count - size_of(directory) / count:6.2f} bytes a sample"
        )
        print(f"    durable batch of {len(data[0][0])}: {spread(waits)}")
        print(
            f"    CPU a sample: {cpu / count * 1e6:.2f} µs; {count / took / 1e3:.0f} thousand/s, one sync a batch"
        )
        queries(directory, path, minutes)


if __name__ == "__main__":
    main()
