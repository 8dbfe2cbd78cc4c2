"""What is measured of a store, and how."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ENOUGH_S = 1.5  # a query is asked again until so much time has gone
LEAST_ROUNDS = 5
MOST_ROUNDS = 200

Queries = Mapping[str, Callable[[], object]]


@dataclass(slots=True)
class Found:
    """Of one store. ``written`` are bytes that it had the kernel write to the device, ``waits`` seconds a batch."""

    name: str
    samples: int = 0
    size: int = 0
    written: int = 0
    waits: list[float] = field(default_factory=list)
    cpu_s: float = 0.0
    after_s: float = 0.0  # packing, merging, sorting: what it does besides taking the batches
    queries_ms: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def size_of(directory: Path) -> int:
    """All files but SQLite's shared memory, which is none of the disk's."""
    files = (path for path in directory.rglob("*") if path.is_file() and not path.name.endswith("-shm"))
    return sum(path.stat().st_size for path in files)


def written_by(process: int | None = None) -> int:
    """Bytes that a process has caused to be written so far; 0 where the kernel does not count them."""
    try:
        lines = Path(f"/proc/{process or os.getpid()}/io").read_text().splitlines()
    except OSError:
        return 0
    counts = {name: int(value) for name, value in (line.split(": ") for line in lines)}
    return counts["write_bytes"] - counts["cancelled_write_bytes"]


def ask(queries: Queries) -> dict[str, float]:
    """The median of each in ms, warm."""
    found = {}
    for name, query in queries.items():
        query()
        times: list[float] = []
        while len(times) < LEAST_ROUNDS or (sum(times) < ENOUGH_S and len(times) < MOST_ROUNDS):
            begin = time.perf_counter()
            query()
            times.append(time.perf_counter() - begin)
        found[name] = statistics.median(times) * 1e3
    return found


@contextmanager
def batch_timed(found: Found) -> Iterator[None]:
    """Adds what is done inside to the waits of ``found``."""
    begin = time.perf_counter()
    yield
    found.waits.append(time.perf_counter() - begin)


def at(waits: list[float], share: float) -> float:
    """A percentile in ms."""
    return sorted(waits)[min(int(len(waits) * share), len(waits) - 1)] * 1e3
