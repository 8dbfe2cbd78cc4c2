"""A history folder with a recorder in it, and tags to put there; time is passed in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gateway.config.site import HistorianSettings, Tag
from gateway.tags.sample import to_bits
from gateway.tags.tag import ValueType
from historian.query.history import History
from historian.store.frame import SamplesFrame
from historian.store.recorder import Recorder
from historian.store.rows import Rows

NOON = 1_795_262_400 * 10**9  # 2026-11-21T12:00:00Z
SECOND = 10**9

NUMPY = {ValueType.BOOL: "?", ValueType.INT64: "i8", ValueType.UINT64: "u8", ValueType.DOUBLE: "f8"}


class Clock:
    """Time that stands still until it is set."""

    def __init__(self, now: int = NOON) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def tag(name: str, type: ValueType = ValueType.DOUBLE, **more: Any) -> Tag:
    return Tag(
        name=name, type=type, owner="drivers", area="a", device="d", string_bytes=40 * (type == 5), **more
    )


TAGS = (
    tag("a.power_kw", decimals=1, unit="kW"),
    tag("a.count", ValueType.INT64),
    tag("a.energy_wh", ValueType.UINT64),
    tag("a.on", ValueType.BOOL),
    tag("a.name", ValueType.STRING),
    tag("b.power_kw"),
)


class Folder:
    """A history folder: write into it, move it on, and ask it."""

    def __init__(self, directory: Path, clock: Clock, settings: HistorianSettings) -> None:
        self.directory = directory
        self.clock = clock
        self.settings = settings
        self.position = 0
        self.reopen()

    def reopen(self) -> None:
        self.recorder = Recorder(self.directory, self.settings, self.clock)
        self.recorder.open()
        entries = self.recorder.catalogue.register(TAGS, self.clock())
        self.entries = {entry.path: entry for entry in entries}

    def write(self, name: str, times: Any, values: Any, statuses: Any = 0, flush: bool = True) -> None:
        entry = self.entries[name]
        times = np.array(times, np.int64)
        count = len(times)
        is_text = entry.type is ValueType.STRING
        rows = Rows(
            np.full(count, entry.id, np.uint32),
            np.broadcast_to(np.array(statuses, np.uint32), count).copy(),
            times,
            np.zeros(count, np.uint64)
            if is_text
            else to_bits(np.array(values, NUMPY[entry.type]), entry.type),
            np.arange(count * is_text, dtype=np.uint32),
            tuple(values) if is_text else (),
        )
        start, self.position = self.position, self.position + count
        self.recorder.offer(SamplesFrame(1, self.clock(), {"drivers": (start, self.position)}, rows))
        if flush:
            assert self.recorder.flush()

    def pack(self) -> None:
        """Everything durable so far into day files."""
        self.recorder.rotate()
        assert self.recorder.pack(never)

    def history(self) -> History:
        return History(self.directory, clock=self.clock)

    def raw(
        self, name: str, start: int = -(2**62), end: int = 2**62, **more: Any
    ) -> list[tuple[int, Any, int]]:
        history = self.history()
        try:
            series = history.raw(name, start, end, **more)
        finally:
            history.close()
        return list(
            zip(series.source_times.tolist(), series.values.tolist(), series.statuses.tolist(), strict=True)
        )


def never() -> bool:
    return False
