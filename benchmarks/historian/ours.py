"""The historian itself: frames synced to the journal, packed each block interval, merged at the end."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measure import (
    ENOUGH_S,
    LEAST_ROUNDS,
    MOST_ROUNDS,
    Found,
    Queries,
    at,
    batch_timed,
    size_of,
    written_by,
)
from plant import SECOND, Plant

from gateway.config.site import HistorianSettings, Tag
from historian.query import History, frames
from historian.store.frame import SamplesFrame
from historian.store.recorder import Recorder
from historian.store.rows import Rows

DAY = 86_400 * SECOND
RATE = 200_000  # samples a second while it is asked
FLUSH_S = 0.25


def never() -> bool:
    return False


def opened(
    directory: Path, plant: Plant, clock: Callable[[], int], **settings: int
) -> tuple[Recorder, np.ndarray]:
    recorder = Recorder(directory, HistorianSettings(**settings), clock)
    recorder.open()
    names = [Tag(f"t{i}", plant.kind(i), "drivers", "a", "d") for i in range(plant.tags)]
    entries = recorder.catalogue.register(names, clock())
    return recorder, np.array([entry.id for entry in entries], np.uint32)


def frame_of(ids: np.ndarray, batch, now: int, position: int) -> SamplesFrame:
    count = len(batch)
    nothing = np.empty(0, np.uint32)
    rows = Rows(ids[batch.tags], np.zeros(count, np.uint32), batch.times, batch.bits, nothing, ())
    return SamplesFrame(1, now, {"drivers": (position, position + count)}, rows)


def ingest(directory: Path, plant: Plant) -> Found:
    found = Found("historian")
    now = plant.start
    recorder, ids = opened(directory, plant, lambda: now)
    every = HistorianSettings().block_s
    begin_written = written_by()
    cpu = 0.0
    packed = plant.start
    for batch in plant.batches():
        now = int(batch.times.max())
        frame = frame_of(ids, batch, now, found.samples)
        before = time.process_time()
        with batch_timed(found):
            recorder.offer(frame)
            assert recorder.flush()
        found.samples += len(batch)
        if now - packed >= every * SECOND:
            packed = now
            begin = time.perf_counter()
            recorder.rotate()
            assert recorder.pack(never)
            found.after_s += time.perf_counter() - begin
        cpu += time.process_time() - before
    before, begin = time.process_time(), time.perf_counter()
    recorder.rotate()
    assert recorder.pack(never)
    now = (now // DAY + 1) * DAY + SECOND  # the day is over: the last merge
    assert recorder.pack(never)
    recorder.close()
    found.after_s += time.perf_counter() - begin
    found.cpu_s = cpu + time.process_time() - before
    found.written = written_by() - begin_written
    found.size = size_of(directory)
    return found


def open_history(directory: Path, plant: Plant) -> History:
    return History(directory, clock=lambda: plant.end + DAY)


def queries_of_hour(history: History, plant: Plant) -> Queries:
    tag, hundred = "t1", [f"t{i}" for i in range(min(100, plant.slow))]
    everything = [f"t{i}" for i in range(plant.slow)]
    times = instants(plant)
    return {
        "raw": lambda: history.raw(tag, plant.start, plant.end),
        "last": lambda: history.last_many(hundred),
        "at_time": lambda: history.at_time(tag, times),
        "all_average": lambda: history.time_average_many(everything, plant.start, plant.end, 60 * SECOND),
        "frame": lambda: frames.to_pandas(history, hundred, plant.start, plant.end, wide=False),
        "wide": lambda: frames.to_pandas(history, hundred, plant.start, plant.end),
        "chart": lambda: history.chart([tag], plant.start, plant.end, 4000),
    }


def queries_of_day(history: History, plant: Plant) -> Queries:
    return {
        "day_average": lambda: history.time_average("t1", plant.start, plant.end, 900 * SECOND),
        "day_minutes": lambda: history.time_average("t1", plant.start, plant.end, 60 * SECOND),
    }


def ask_anew(history: History, queries: Queries) -> dict[str, float]:
    """The median of each in ms, of a history that was closed before and remembers nothing; files in the page cache.

    The peers are asked warm only: their caches cannot be emptied from outside without starting them anew.
    """
    found = {}
    for name, query in queries.items():
        times: list[float] = []
        while len(times) < LEAST_ROUNDS or (sum(times) < ENOUGH_S and len(times) < MOST_ROUNDS):
            history.close()
            begin = time.perf_counter()
            query()
            times.append(time.perf_counter() - begin)
        found[name] = statistics.median(times) * 1e3
    return found


def instants(plant: Plant) -> np.ndarray:
    """A hundred times of somewhere between two samples, over all of it."""
    chance = np.random.default_rng(3)
    return np.sort(chance.integers(plant.start + SECOND, plant.end, 100))


def feed(directory: Path, plant: Plant, seconds: float) -> None:
    """A historian that takes RATE samples a second until ``seconds`` have gone; for a process of its own."""
    recorder, ids = opened(directory, plant, time.time_ns, block_s=10)
    over = threading.Event()

    def pack() -> None:
        while not over.wait(1.0):
            assert recorder.pack(over.is_set)

    packing = threading.Thread(target=pack)
    packing.start()
    batches = list(Plant(plant.slow, plant.fast, 20, plant.start).batches())
    each = len(batches[0]) / RATE
    begin = time.monotonic()
    position = sent = 0
    print("ready", flush=True)
    while time.monotonic() - begin < seconds:
        time.sleep(FLUSH_S)
        while sent * each < time.monotonic() - begin:
            batch = batches[sent % len(batches)]
            now = time.time_ns()
            frame = frame_of(ids, batch, now, position)
            frame.rows.times[:] = now
            recorder.offer(frame)
            position += len(batch)
            sent += 1
        assert recorder.flush()
    over.set()
    packing.join()
    recorder.close()
    print(f"{position / (time.monotonic() - begin):.0f}", flush=True)


def under_load(directory: Path, plant: Plant, seconds: float) -> list[str]:
    """Lines that say how long questions take while another process ingests."""
    command = [
        sys.executable,
        str(Path(__file__).parent),
        "--feed",
        str(directory),
        "--seconds",
        str(seconds),
    ]
    command += ["--tags", str(plant.slow)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        history = History(directory)
        hundred = [f"t{i}" for i in range(min(100, plant.slow))]

        def minute() -> tuple[int, int]:
            now = time.time_ns()
            return now - 60 * SECOND, now

        queries: Queries = {
            "raw, the last minute of one tag": lambda: history.raw("t1", *minute()),
            "its average by the second": lambda: history.time_average("t1", *minute(), SECOND),
            "at-time x 100": lambda: history.at_time("t1", np.linspace(*minute(), 100).astype(np.int64)),
            "last of 100 tags": lambda: history.last_many(hundred),
        }
        waits: dict[str, list[float]] = {name: [] for name in queries}
        history.last("t1")
        give_up = time.monotonic() + seconds - 1
        while time.monotonic() < give_up and process.poll() is None:
            for name, query in queries.items():
                begin = time.perf_counter()
                query()
                waits[name].append(time.perf_counter() - begin)
                time.sleep(0.01)
        rate = process.stdout.read().strip()
        history.close()
    lines = [f"While {int(rate):,} samples/s are taken by another process (load {os.getloadavg()[0]:.0f}):"]
    for name, times in waits.items():
        spread = "  ".join(f"{what} {at(times, share):7.2f}" for what, share in (("p50", 0.5), ("p99", 0.99)))
        lines.append(f"  {name:<34} {spread}  worst {max(times) * 1e3:7.2f} ms of {len(times)}")
    return lines
