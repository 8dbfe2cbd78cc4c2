"""How long a historian takes to open a folder of 365 days, with its files in the page cache and without.

Usage: python benchmarks/historian/startup.py [--days N] [--rounds N]
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path

import ours
from plant import SECOND, Plant

from gateway.config.site import HistorianSettings
from historian.query import History
from historian.store.layout import day_of, day_path
from historian.store.recorder import Recorder

DAY = 86_400 * SECOND


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--days", type=int, default=365)
    options.add_argument("--rounds", type=int, default=5, help="of each; the least and the median are told")
    given = options.parse_args()
    now = time.time_ns() // DAY * DAY
    with tempfile.TemporaryDirectory(dir=".", prefix="bench-historian-") as scratch:
        directory = Path(scratch) / "history"
        plant = Plant(100, 0, 600, now - DAY, step=60)
        ours.ingest(directory, plant)
        for day in range(2, given.days + 1):
            shutil.copy(day_path(directory, day_of(now) - 1), day_path(directory, day_of(now) - day))
        print(f"{given.days} day files, load {os.getloadavg()[0]:.1f}")
        for name, is_cold in (("not in the page cache", True), ("in the page cache", False)):
            times = []
            for _ in range(given.rounds):
                if is_cold:
                    forget(directory)
                times.append(opened_ms(directory, now))
            times.sort()
            print(f"historian open, files {name}: {times[0]:.0f} ms, median {times[len(times) // 2]:.0f}")
        begin = time.perf_counter()
        history = History(directory)
        history.raw("t1", now - given.days * DAY, now)
        print(f"first question over all days: {(time.perf_counter() - begin) * 1e3:.0f} ms")
        history.close()


def opened_ms(directory: Path, now: int) -> float:
    recorder = Recorder(directory, HistorianSettings(), lambda: now)
    begin = time.perf_counter()
    recorder.open()
    took = time.perf_counter() - begin
    recorder.close()
    return took * 1e3


def forget(directory: Path) -> None:
    """Have the kernel drop the files from its page cache."""
    for path in (path for path in directory.rglob("*") if path.is_file()):
        file = os.open(path, os.O_RDONLY)
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


if __name__ == "__main__":
    main()
