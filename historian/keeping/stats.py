"""`tieline history stats`: what history holds, what it costs, and how long the disk lasts."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gateway.config.site import HistorianSettings
from historian.store.database import open_checked
from historian.store.frame import SamplesFrame
from historian.store.journal import read_segment
from historian.store.layout import DAY_NS, day_files, segments

GROWTH_DAYS = 7  # a week has its weekend: shorter would promise by a Sunday


@dataclass(frozen=True, slots=True)
class DayStats:
    """One day file. ``bytes`` with its write-ahead log; times in UTC ns."""

    day: int
    file: str
    bytes: int
    tags: int
    blocks: int
    samples: int
    first_time: int
    last_time: int

    @property
    def bytes_per_sample(self) -> float:
        return self.bytes / self.samples if self.samples else 0.0


@dataclass(frozen=True, slots=True)
class TagStats:
    """One tag over all days. ``bytes`` of its columns; shared times count once for each tag that shares them."""

    tag: str
    samples: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Stats:
    """A history folder. ``days_left`` until ``limit`` (what the limit is), None where none is in sight."""

    days: tuple[DayStats, ...]
    tags: tuple[TagStats, ...]
    unreadable: tuple[str, ...]
    journal_segments: int
    journal_bytes: int
    journal_samples: int
    total_bytes: int
    disk_free: int
    growth: float
    days_left: float | None
    limit: str

    @property
    def samples(self) -> int:
        return sum(day.samples for day in self.days)

    def as_json(self) -> dict[str, Any]:
        found = asdict(self)
        for row, day in zip(found["days"], self.days, strict=True):
            row["bytes_per_sample"] = round(day.bytes_per_sample, 3)
        return found


def read_stats(history: Path, settings: HistorianSettings | None, today: int) -> Stats:
    """Raises OSError. A file that cannot be read is named in ``unreadable``."""
    days: list[DayStats] = []
    samples: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    unreadable: list[str] = []
    for day, path in day_files(history).items():
        try:
            with closing(open_checked(path)) as database:
                days.append(_day(day, path, database))
                for tag, count, size in database.execute(_BY_TAG):
                    samples[tag] += count
                    sizes[tag] += size
        except FileNotFoundError:
            continue
        except sqlite3.DatabaseError as error:
            unreadable.append(f"{path.name}: {error}")
    waiting = list(segments(history).values())
    total = sum(_size(path) for path in history.rglob("*"))
    free = shutil.disk_usage(history).free
    growth = _growth(days, today)
    left, limit = _left(settings, total, free, growth, len(days))
    return Stats(
        tuple(days),
        tuple(TagStats(tag, samples[tag], size) for tag, size in sizes.most_common()),
        tuple(unreadable),
        len(waiting),
        sum(map(_size, waiting)),
        sum(map(_rows, waiting)),
        total,
        free,
        growth,
        left,
        limit,
    )


_BY_TAG = (
    "SELECT ifnull(tags.path, 'tag ' || tag), sum(blocks.count),"
    " sum(length(value_data) + ifnull(length(quality_data), 0) + ifnull(length(times.data), 0))"
    " FROM blocks LEFT JOIN times ON times.id = blocks.times LEFT JOIN tags ON tags.id = tag GROUP BY tag"
)


def _day(day: int, path: Path, database: sqlite3.Connection) -> DayStats:
    tags, blocks, samples, first, last = database.execute(
        "SELECT count(DISTINCT tag), count(*), ifnull(sum(count), 0), ifnull(min(first_time), 0),"
        " ifnull(max(last_time), 0) FROM blocks"
    ).fetchone()
    size = _size(path) + _size(path.with_name(path.name + "-wal"))
    return DayStats(day, path.name, size, tags, blocks, samples, first, last)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0


def _rows(path: Path) -> int:
    try:
        found = read_segment(path).frames
    except FileNotFoundError:
        return 0
    return sum(len(one.frame.rows) for one in found if isinstance(one.frame, SamplesFrame))


def _growth(days: list[DayStats], today: int) -> float:
    """Bytes a day, of the last whole days; of today, as far as it went, where there are none."""
    whole = [day.bytes for day in days if day.day < today][-GROWTH_DAYS:]
    if whole:
        return sum(whole) / len(whole)
    here = [day for day in days if day.day == today and day.last_time > day.first_time]
    if not here:
        return 0.0
    return here[0].bytes * DAY_NS / (here[0].last_time - here[0].first_time)


def _left(
    settings: HistorianSettings | None, total: int, free: int, growth: float, days: int
) -> tuple[float | None, str]:
    """Days until the first limit is reached, and what happens then."""
    if growth <= 0:
        return None, ""
    limits = [(free / growth, "the disk is full")]
    if settings is not None and settings.max_disk:
        limits.append(
            ((settings.max_disk - total) / growth, "max_disk is reached and the oldest days are dropped")
        )
    if settings is not None and settings.min_free:
        limits.append(
            ((free - settings.min_free) / growth, "min_free is reached and the oldest days are dropped")
        )
    left, limit = min(limits)
    if settings is not None and settings.keep_days and settings.keep_days + 1 - days < left:
        return None, f"never: keep_days drops the oldest days in {max(0, settings.keep_days + 1 - days)} days"
    return max(left, 0.0), limit
