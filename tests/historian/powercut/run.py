"""A short life of a history folder: its batches are told before and after in a file of marks."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from gateway.config.site import HistorianSettings, Tag
from gateway.tags.tag import ValueType
from historian.store.frame import SamplesFrame
from historian.store.recorder import Recorder
from historian.store.rows import Rows

SECOND = 10**9
MIDNIGHT = 1_795_305_600 * SECOND  # the run goes over it
BATCHES = 12
NAMES = ("count", "power_kw", "text")
TYPES = (ValueType.INT64, ValueType.DOUBLE, ValueType.STRING)

Sample = tuple[int, int | float | str, int]  # source time, value, status


def batch(number: int) -> dict[str, list[Sample]]:
    """What is written in the batch: ten seconds of samples, and from the third on a correction of an earlier one."""
    start = MIDNIGHT + (number - BATCHES // 2) * 10 * SECOND
    found: dict[str, list[Sample]] = {name: [] for name in NAMES}
    for i in range(10):
        at, n = start + i * SECOND, number * 10 + i
        found["count"].append((at, n * 7919 % 1009, 0))
        found["power_kw"].append((at, n * 37 % 100 / 10, 0x8005_0000 if n % 13 == 0 else 0))
    found["text"].append((start, f"batch {number}", 0))
    if number >= 3:
        found["count"].append((start - 25 * SECOND, -number, 0x4094_0000))
    return found


def rows_of(number: int, ids: dict[str, int]) -> Rows:
    """The batch as the recorder takes it."""
    flat = [(name, *sample) for name, samples in batch(number).items() for sample in samples]
    is_text = [name == "text" for name, *_ in flat]
    bits = [
        0
        if name == "text"
        else int(np.array(value, "<f8").view(np.uint64))
        if name == "power_kw"
        else int(value) & (2**64 - 1)
        for name, _, value, _ in flat
    ]
    return Rows(
        np.array([ids[name] for name, *_ in flat], np.uint32),
        np.array([status for *_, status in flat], np.uint32),
        np.array([at for _, at, _, _ in flat], np.int64),
        np.array(bits, np.uint64),
        np.flatnonzero(is_text).astype(np.uint32),
        tuple(str(value) for (_, _, value, _), text in zip(flat, is_text, strict=True) if text),
    )


def main() -> None:
    below = Path(sys.argv[1])
    marks = os.open(below / "marks", os.O_WRONLY | os.O_CREAT, 0o600)
    now = MIDNIGHT - 60 * SECOND
    position = 0

    def begin() -> tuple[Recorder, dict[str, int]]:
        recorder = Recorder(below / "history", HistorianSettings(block_s=3600), lambda: now)
        recorder.open()
        tags = [Tag(name, type, "drivers", "a", "d") for name, type in zip(NAMES, TYPES, strict=True)]
        entries = recorder.catalogue.register(tags, now)
        return recorder, {entry.path: entry.id for entry in entries}

    recorder, ids = begin()
    for number in range(BATCHES):
        rows = rows_of(number, ids)
        os.write(marks, b"offered\n")
        recorder.offer(SamplesFrame(1, now, {"drivers": (position, position + len(rows))}, rows))
        assert recorder.flush()
        position += len(rows)
        os.write(marks, b"acknowledged\n")
        now += 10 * SECOND
        if number % 3 == 2:
            recorder.rotate()
            assert recorder.pack(lambda: False)
        if number == 7:
            now += 3600 * SECOND  # the merge of the hour is due, and that of the day before
            assert recorder.pack(lambda: False)
        if number == 9:
            recorder.close()
            recorder, ids = begin()
    now += 86_400 * SECOND
    recorder.rotate()
    assert recorder.pack(lambda: False)
    recorder.close()


if __name__ == "__main__":
    main()
