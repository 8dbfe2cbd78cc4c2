"""Closed journal segments → blocks in day files; merging and retention of those. One thread's work.

A segment's samples of a day and the note that they are there are one transaction, and the segment is deleted after
all its days have theirs: wherever it is killed, doing it again adds nothing twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.tags.tag import ValueType
from historian.errors import DamagedBlock
from historian.store import blocks, columns
from historian.store.blocks import Block, Samples
from historian.store.catalogue import Catalogue, Entry
from historian.store.day_file import DayFile
from historian.store.durable import unlink_for_room
from historian.store.frame import GapFrame, SamplesFrame
from historian.store.journal import Segment, read_segment
from historian.store.layout import DAY_NS, day_files, day_of, day_path, segments
from historian.store.rows import Rows, join

MAX_OPEN_DAYS = 4  # today, yesterday, and a device or two whose clock is wrong
MERGE_AFTER_SEGMENTS = 60  # hourly with blocks of a minute


@dataclass(frozen=True, slots=True)
class TagSlice:
    """The rows of one tag in one day, as places in a `Rows`."""

    tag: int
    places: NDArray[np.int64]


class Packer:
    """Moves closed segments into day files. Methods raise OSError or sqlite3.Error: try again later."""

    def __init__(self, directory: Path, catalogue: Catalogue, report: Callable[[DamagedBlock], None]) -> None:
        self._directory = directory
        self._catalogue = catalogue
        self._report = report
        self._open: dict[int, DayFile] = {}
        self._decimals: dict[int, int] = {}  # what scale each tag's last block had
        self._unmerged: dict[int, int] = {}

    def open(self) -> None:
        """See which days may want merging: how often they were packed into before this run is not known."""
        newest = list(day_files(self._directory))[-MAX_OPEN_DAYS:]
        self._unmerged = dict.fromkeys(newest, MERGE_AFTER_SEGMENTS // 2)

    def close(self) -> None:
        for day in self._open.values():
            day.close()
        self._open.clear()

    def pack(self, below: int, stopping: Callable[[], bool]) -> int:
        """Move all segments with a number under ``below``; returns how many it moved before it was asked to stop."""
        moved = 0
        for number, path in segments(self._directory).items():
            if number >= below or stopping():
                break
            if not self._pack(read_segment(path), stopping):
                break
            path.unlink()
            moved += 1
        return moved

    def merge_due(self, today: int, stopping: Callable[[], bool]) -> None:
        """Merge the days that have many small blocks, and those that are over."""
        for day, count in list(self._unmerged.items()):
            if (count >= MERGE_AFTER_SEGMENTS or day < today) and self._merge(day, stopping):
                del self._unmerged[day]

    def drop(self, day: int, *, for_room: bool) -> Path:
        """Delete a day. ``for_room`` gives its space back at once, although somebody may be reading it still."""
        if day in self._open:
            self._open.pop(day).close()
        self._unmerged.pop(day, None)
        path = day_path(self._directory, day)
        # The log first: a database without its log is whole, a log without its database is nothing.
        for name in (path.name + "-wal", path.name + "-shm"):
            path.with_name(name).unlink(missing_ok=True)
        if for_room:
            unlink_for_room(path)
        else:
            path.unlink(missing_ok=True)
        return path

    def _pack(self, segment: Segment, stopping: Callable[[], bool]) -> bool:
        gaps = [
            (found.sequence, found.frame) for found in segment.frames if isinstance(found.frame, GapFrame)
        ]
        self._catalogue.add_gaps(gaps)
        rows = join([found.frame.rows for found in segment.frames if isinstance(found.frame, SamplesFrame)])
        for day, slices in days_of(rows):
            if stopping():
                return False
            file = self._day(day)
            if file.has_consumed(segment.number):
                continue
            new: list[Block] = []
            entries: list[Entry] = []
            for piece in slices:
                entry = self._catalogue.entry(piece.tag)
                entries.append(entry)
                decimals = self._decimals.get(piece.tag, entry.decimals)
                built = blocks.build(
                    piece.tag,
                    entry.type,
                    segment.number,
                    samples_at(rows, entry.type, piece.places),
                    decimals,
                )
                found = columns.decimals_of(built[-1].value_data)
                if found is not None:
                    self._decimals[piece.tag] = found
                new += built
                if stopping():
                    return False
            file.add(segment.number, entries, new)
            self._unmerged[day] = self._unmerged.get(day, 0) + 1
        return True

    def _merge(self, day: int, stopping: Callable[[], bool]) -> bool:
        if not day_path(self._directory, day).exists():
            return True
        file = self._day(day)
        oldest = min(segments(self._directory), default=0)
        file.forget_consumed_below(oldest)
        return file.merge(stopping, self._report)

    def _day(self, day: int) -> DayFile:
        if day in self._open and not day_path(self._directory, day).exists():  # deleted under us
            self._open.pop(day).close()
        if day not in self._open:
            while len(self._open) >= MAX_OPEN_DAYS:
                self._open.pop(min(self._open)).close()
            self._open[day] = DayFile(day_path(self._directory, day))
        return self._open[day]


def days_of(rows: Rows) -> list[tuple[int, list[TagSlice]]]:
    """Rows by day, then by tag; the places of a tag ascend in time, the last written of a time being last."""
    if not len(rows):
        return []
    order = np.lexsort((rows.times, rows.tags, rows.times // DAY_NS))
    tags = rows.tags[order]
    days = rows.times[order] // DAY_NS
    cuts = np.flatnonzero((tags[1:] != tags[:-1]) | (days[1:] != days[:-1])) + 1
    found: dict[int, list[TagSlice]] = {}
    for places in np.split(order, cuts):
        day = day_of(int(rows.times[places[0]]))
        found.setdefault(day, []).append(TagSlice(int(rows.tags[places[0]]), places))
    return list(found.items())


def samples_at(rows: Rows, type: ValueType, places: NDArray[np.int64]) -> Samples:
    """One tag's samples in order of time, the newest of each time."""
    values = rows.texts_at(places) if type is ValueType.STRING else rows.values[places]
    return blocks.newest_of_each_time(Samples(rows.times[places], values, rows.statuses[places]))


DISK_ERRORS = (OSError, sqlite3.Error)
