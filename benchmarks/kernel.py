"""Image and journal from Python: a batch write, a snapshot, and one writer with four reading processes.

Each figure stands beside its peers of the same run: a plain copy of as many bytes, and a Python dict of tuples under
one lock, which is what a gateway without a kernel would use. Usage: python benchmarks/kernel.py
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import numpy as np

from gateway.tags.image import Region
from gateway.tags.sample import SAMPLE, to_bits
from gateway.tags.tag import TagSpec, ValueType

TAGS = 100_000
BATCH = 10_000
ROUNDS = 300
SUSTAINED_S = 8.0
READERS = 4
JOURNAL_BATCH = 4096
SPECS = [TagSpec(f"device.point{i}", ValueType.DOUBLE, "drivers") for i in range(TAGS)]


def median_us(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


def row(what: str, us: float, copy_us: float, dict_us: float) -> None:
    print(
        f"{what:<44} {us:9.0f} µs   copy {copy_us:6.1f} µs: {us / copy_us:4.1f} x (goal <= 15)"
        f"   dict {dict_us:8.0f} µs: {dict_us / us:5.1f} x faster (goal >= 15)"
    )


def image_and_dict(region: Region) -> None:
    writer = region.claim("drivers")
    random = np.random.default_rng(1)
    tags = random.permutation(TAGS)[:BATCH].astype(np.uint32)
    for order, batch in (("in order", np.sort(tags)), ("in one block", np.arange(BATCH, dtype=np.uint32))):
        values = random.random(BATCH)
        bits = to_bits(values, ValueType.DOUBLE)
        status = np.zeros(BATCH, np.uint32)
        times = np.full(BATCH, time.time_ns())
        source = np.zeros(BATCH, SAMPLE).view(np.uint8)
        target = source.copy()
        lock = threading.Lock()
        table: dict[int, tuple[float, int, int, int]] = {}
        columns = (batch.tolist(), values.tolist(), status.tolist(), times.tolist())

        def to_table(
            lock: threading.Lock = lock,
            table: dict[int, tuple[float, int, int, int]] = table,
            columns: tuple[list[int], list[float], list[int], list[int]] = columns,
        ) -> None:
            for tag, value, quality, moment in zip(*columns, strict=True):
                with lock:
                    table[tag] = (value, quality, moment, moment)

        row(
            f"write {BATCH:,} values + records, tags {order}",
            median_us(
                lambda batch=batch, bits=bits, status=status, times=times: writer.write(  # type: ignore[misc]
                    batch, bits, status, times, times
                )
            ),
            median_us(lambda target=target, source=source: np.copyto(target, source)),  # type: ignore[misc]
            median_us(to_table, 30),
        )
    with Region.create(f"benchmark-step-{os.getpid()}", SPECS, time_step_ns=1000) as stepped:
        stepped_writer = stepped.claim("drivers")
        batch = np.arange(BATCH, dtype=np.uint32)
        for what, moments in (("one", times), ("each its own", times + np.arange(BATCH) * 1_001)):
            plain, brought = (
                median_us(lambda to=to, moments=moments: to.write(batch, bits, status, moments, times))  # type: ignore[misc]
                for to in (writer, stepped_writer)
            )
            print(f"source times brought to 1 µs, {what:<13} {brought:9.0f} µs   as they are {plain:6.0f} µs")
        stepped_writer.release()
    everything = np.arange(TAGS, dtype=np.uint32)
    out = np.empty(TAGS, SAMPLE)
    source = np.zeros(TAGS * SAMPLE.itemsize, np.uint8)
    target = source.copy()
    lock = threading.Lock()
    table = {tag: (float(tag), 0, tag, tag) for tag in range(TAGS)}
    keys = everything.tolist()

    def snapshot_of_table() -> list[tuple[float, int, int, int]]:
        rows = []
        for tag in keys:
            with lock:
                rows.append(table[tag])
        return rows

    row(
        f"snapshot of {TAGS:,} tags",
        median_us(lambda: region.read(everything, out)),
        median_us(lambda: np.copyto(target, source)),
        median_us(snapshot_of_table, 30),
    )
    writer.release()


def read_for(name: str) -> None:
    """A reading process: takes slices until its input is closed, then says what it read and lost."""
    with Region.attach(name) as region:
        reader = region.reader()
        print("ready", flush=True)
        taken = lost = 0
        done = threading.Event()
        threading.Thread(target=lambda: (sys.stdin.read(), done.set()), daemon=True).start()
        last = False
        while not last:
            last = done.is_set()
            piece = reader.take()
            taken += len(piece.records)
            lost += piece.lost
            if not len(piece.records):
                reader.wait(0.01)
        while len((piece := reader.take()).records):
            taken += len(piece.records)
            lost += piece.lost
        print(f"{taken} {lost}", flush=True)


def sustained(region: Region, rate_per_s: float | None) -> None:
    """One writer, READERS processes; unpaced (None), or paced to a rate that readers can follow."""
    readers = [
        subprocess.Popen(
            [sys.executable, __file__, "--read", region.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(READERS)
    ]
    for reader in readers:
        assert reader.stdout is not None
        reader.stdout.readline()
    writer = region.claim("drivers")
    tags = np.arange(JOURNAL_BATCH, dtype=np.uint32)
    bits = np.arange(JOURNAL_BATCH, dtype=np.uint64)
    now = np.array([time.time_ns()])
    status = np.zeros(1, np.uint32)
    start = time.perf_counter()
    written = 0
    while (elapsed := time.perf_counter() - start) < SUSTAINED_S:
        if rate_per_s is not None and written > elapsed * rate_per_s:
            time.sleep(0.0005)
            continue
        writer.write(tags, bits, status, now, now)
        written += JOURNAL_BATCH
    elapsed = time.perf_counter() - start
    writer.release()
    results = []
    for reader in readers:
        output, _ = reader.communicate("")
        results.append(tuple(int(word) for word in output.split()))
    for taken, lost in results:
        assert taken + lost == written, (taken, lost, written)
    shares = ", ".join(f"{taken / written:.0%}" for taken, _ in results)
    print(
        f"journal, 1 writer + {READERS} readers on {os.cpu_count()} cores, "
        f"{'unpaced' if rate_per_s is None else f'paced to {rate_per_s / 1e6:.0f} M/s'}: "
        f"{written / elapsed / 1e6:.0f} M changes/s written; read {shares}; "
        f"every change of every reader read or reported lost (goal >= 30 M/s)"
    )


def main() -> None:
    with Region.create(f"benchmark-{os.getpid()}", SPECS) as region:
        image_and_dict(region)
        sustained(region, None)
        sustained(region, 32e6)
        sustained(region, 10e6)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--read"]:
        read_for(sys.argv[2])
    else:
        main()
