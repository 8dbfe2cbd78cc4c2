"""Closed journal segments → blocks in day files; merging and retention of those. One thread's work.

A segment's samples of a day and the note that they are there are one transaction, and the segment is deleted after
all its days have theirs: wherever it is killed, doing it again adds nothing twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.tags.tag import ValueType
from historian.errors import DamagedBlock
from historian.keeping.quarantine import put_apart
from historian.store import columns, grids
from historian.store.blocks import Block, Samples, newest_of_each_time
from historian.store.catalogue import Catalogue
from historian.store.columns import Effort
from historian.store.day_file import DayFile
from historian.store.durable import unlink_for_room
from historian.store.frame import GapFrame, QuarantineFrame, SamplesFrame
from historian.store.journal import Segment, read_segment
from historian.store.layout import DAY_NS, day_files, day_of, day_path, segments
from historian.store.replaced import Replaced, replaced_in
from historian.store.rows import Rows, join

MAX_OPEN_DAYS = 4  # today, yesterday, and a device or two whose clock is wrong
MERGE_EVERY_NS = 3600 * 10**9
BUILD_TAGS = 1024  # built between two looks whether to stop: some 100 ms


@dataclass(frozen=True, slots=True)
class Written:
    """What a segment holds, in the order it was written; ``taken``: when, one a frame, which end at rows ``ends``."""

    rows: Rows
    taken: NDArray[np.int64]
    ends: NDArray[np.int64]

    def taken_at(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """When these rows were taken from the shared journal."""
        return self.taken[np.searchsorted(self.ends, places, "right")]


class Packer:
    """Moves closed segments into day files. Methods raise OSError or sqlite3.Error: try again later."""

    def __init__(self, directory: Path, catalogue: Catalogue, report: Callable[[DamagedBlock], None]) -> None:
        self._directory = directory
        self._catalogue = catalogue
        self._report = report
        self._open: dict[int, DayFile] = {}
        self._decimals: dict[int, int] = {}  # what scale each tag's last block had
        self._unmerged: dict[int, int] = {}  # days with small blocks, and since when

    def open(self, now: int) -> None:
        """See which days may want merging: since when they have been packed into is not known."""
        newest = list(day_files(self._directory))[-MAX_OPEN_DAYS:]
        self._unmerged = dict.fromkeys(newest, now - MERGE_EVERY_NS // 2)

    def close(self) -> None:
        for day in self._open.values():
            day.close()
        self._open.clear()

    def pack(self, below: int, now: int, stopping: Callable[[], bool]) -> int:
        """Move all segments with a number under ``below``; returns how many it moved before it was asked to stop."""
        moved = 0
        for number, path in segments(self._directory).items():
            if number >= below or stopping():
                break
            if not self._pack(read_segment(path), now, stopping):
                break
            path.unlink()
            moved += 1
        return moved

    def merge_due(self, now: int, stopping: Callable[[], bool]) -> None:
        """Merge the days that have had small blocks for an hour, and, into as few as can be, those that are over."""
        today = day_of(now)
        for day, since in list(self._unmerged.items()):
            is_due = abs(now - since) >= MERGE_EVERY_NS  # a clock set back does not put it off
            if (is_due or day < today) and self._merge(day, day < today, stopping):
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

    def _pack(self, segment: Segment, now: int, stopping: Callable[[], bool]) -> bool:
        gaps = [
            (found.sequence, found.frame) for found in segment.frames if isinstance(found.frame, GapFrame)
        ]
        self._catalogue.add_gaps(gaps)
        put_apart(
            self._directory,
            [found.frame for found in segment.frames if isinstance(found.frame, QuarantineFrame)],
        )
        written = written_in(segment)
        for day, places in days_of(written.rows):
            if stopping():
                return False
            file = self._day(day)
            if file.has_consumed(segment.number):
                continue
            pieces: list[grids.Piece] = []
            replaced: list[tuple[int, Replaced]] = []
            for tag, samples, taken in tags_of(written, places, self._catalogue):
                entry = self._catalogue.entry(tag)
                kept = samples
                if file.reaches(tag, int(samples.times[0])):
                    before = file.samples_at(entry, samples.times, self._report)
                    taken = np.concatenate([np.zeros(len(before), np.int64), written.taken_at(taken)])
                    samples = samples.after(before)
                    replaced.append((tag, replaced_in(samples, taken)))
                    kept = newest_of_each_time(kept)
                elif bool((samples.times[1:] == samples.times[:-1]).any()):
                    replaced.append((tag, replaced_in(samples, written.taken_at(taken))))
                    kept = newest_of_each_time(kept)
                decimals = self._decimals.get(tag, entry.decimals)
                pieces.append(grids.Piece(tag, entry.type, segment.number, kept, decimals))
            new: list[Block] = []
            for start in range(0, len(pieces), BUILD_TAGS):
                if stopping():
                    return False
                some = pieces[start : start + BUILD_TAGS]
                types = {piece.tag: piece.type for piece in some}
                built = grids.build(some, Effort.QUICK)
                for block in built:
                    found = columns.decimals_of(types[block.tag], block.value_data)
                    if found is not None:
                        self._decimals[block.tag] = found
                new += built
            entries = [self._catalogue.entry(piece.tag) for piece in pieces]
            file.add(segment.number, entries, new, [one for one in replaced if len(one[1])])
            self._unmerged.setdefault(day, now)
        return True

    def _merge(self, day: int, is_over: bool, stopping: Callable[[], bool]) -> bool:
        if not day_path(self._directory, day).exists():
            return True
        file = self._day(day)
        oldest = min(segments(self._directory), default=0)
        file.forget_consumed_below(oldest)
        return file.merge(stopping, self._report, is_over)

    def _day(self, day: int) -> DayFile:
        if day in self._open and not day_path(self._directory, day).exists():  # deleted under us
            self._open.pop(day).close()
        if day not in self._open:
            while len(self._open) >= MAX_OPEN_DAYS:
                self._open.pop(min(self._open)).close()
            self._open[day] = DayFile(day_path(self._directory, day))
        return self._open[day]


def written_in(segment: Segment) -> Written:
    """All samples of a segment."""
    frames = [found.frame for found in segment.frames if isinstance(found.frame, SamplesFrame)]
    return Written(
        join([frame.rows for frame in frames]),
        np.array([frame.taken_at for frame in frames], np.int64),
        np.cumsum([len(frame.rows) for frame in frames]),
    )


def days_of(rows: Rows) -> list[tuple[int, NDArray[np.int64]]]:
    """Days and the places of their rows, in the order they were written."""
    days = rows.times // DAY_NS
    if len(days) and bool((days == days[0]).all()):
        return [(int(days[0]), np.arange(len(days)))]
    return [(int(day), np.flatnonzero(days == day)) for day in np.unique(days)]


def tags_of(
    written: Written, places: NDArray[np.int64], catalogue: Catalogue
) -> Iterator[tuple[int, Samples, NDArray[np.int64]]]:
    """Of these rows each tag's, by time, those of one time as they were written; and their places."""
    rows = written.rows
    order = places[_order(rows.tags[places], rows.times[places])]
    tags, times, values, statuses = (
        rows.tags[order],
        rows.times[order],
        rows.values[order],
        rows.statuses[order],
    )
    cuts = (np.flatnonzero(tags[1:] != tags[:-1]) + 1).tolist()
    for start, end in zip([0, *cuts], [*cuts, len(order)], strict=True):
        tag = int(tags[start])
        own = values[start:end]
        if catalogue.entry(tag).type is ValueType.STRING:
            own = rows.texts_at(order[start:end])
        yield tag, Samples(times[start:end], own, statuses[start:end]), order[start:end]


def _order(tags: NDArray[np.uint32], times: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places by tag, then time, then place. Numbers of 16 bits are sorted by counting: ten times as fast."""
    order = np.argsort(tags.astype(np.uint16), kind="stable")
    if int(tags.max()) > 0xFFFF:
        order = order[np.argsort((tags[order] >> 16).astype(np.uint16), kind="stable")]
    ordered, moments = tags[order], times[order]
    if bool(((ordered[1:] != ordered[:-1]) | (moments[1:] >= moments[:-1])).all()):
        return order
    return np.lexsort((times, tags))


DISK_ERRORS = (OSError, sqlite3.Error)
