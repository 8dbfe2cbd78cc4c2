"""What is to be sent again, from what is stored: a stretch of time that was asked for, or that the journal lost.

A sample that was replaced is not among it: of each time the newest is sent. What is read in one call has to be sent
before anything that comes later in the journal, so that the newest is what the target is told last.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from gateway.tags.sample import to_bits
from gateway.tags.tag import ValueType
from historian.errors import HistoryError
from historian.forward.state import Range
from historian.query.history import History
from historian.store.catalogue import Entry
from historian.store.database import connect_to_read
from historian.store.layout import DAY_NS, day_files, day_of
from historian.store.rows import Rows, join

LAST_NS = 2**63 - 1
STEP_NS = 3600 * 10**9  # read by tag in steps so long; a restart goes on at the start of one


def stretches(directory: Path, segment: int) -> tuple[tuple[int, int], ...]:
    """Times [start, end), at most one of each day, in which lies all that this segment and later ones brought.

    A block says which is the newest segment in it, and merging keeps the highest: more may lie in a stretch, never
    less.
    Raises HistoryError.
    """
    found: list[tuple[int, int]] = []
    for path in day_files(directory).values():
        try:
            with connect_to_read(path) as day:
                first, last = day.execute(
                    "SELECT min(first_time), max(last_time) FROM blocks WHERE sequence >= ?", (segment,)
                ).fetchone()
        except FileNotFoundError:
            continue
        except sqlite3.Error as error:
            raise HistoryError(f"{path}: {error}") from error
        if first is not None:
            found.append((first, last + 1))
    return tuple(found)


class StoredFeed:
    """Hour by hour, in an hour tag by tag, each tag in order of time."""

    def __init__(self, directory: Path, history: History, wanted: Callable[[Entry], bool]) -> None:
        self._directory = directory
        self._history = history
        self._wanted = wanted

    def pieces(self, what: Range, most: int) -> Iterator[tuple[Rows, int]]:
        """``most`` rows and what its last tag has beyond, and from which time on the rest is still to be sent.

        Raises OSError, HistoryError.
        """
        at = what.at_ns
        while at < what.end_ns:
            to = min(what.end_ns, self._step(at))
            run: list[Rows] = []
            count = 0
            for entry in filter(self._wanted, self._history.entries()):
                rows = self._of(entry, at, to)
                run.append(rows)
                count += len(rows)
                if count >= most:
                    yield join(run), at
                    run, count = [], 0
            at = to
            yield join(run), at

    def _step(self, at: int) -> int:
        """How far to read: an hour, or over all days that have no file."""
        days = day_files(self._directory)
        if day_of(at) in days:
            return at - at % STEP_NS + STEP_NS
        return min((day * DAY_NS for day in days if day > day_of(at)), default=LAST_NS)

    def _of(self, entry: Entry, start: int, end: int) -> Rows:
        series = self._history.raw(entry.path, start, end)
        count = len(series)
        is_text = series.type is ValueType.STRING
        return Rows(
            np.full(count, entry.id, np.uint32),
            series.statuses,
            series.source_times,
            np.zeros(count, np.uint64) if is_text else to_bits(series.values, series.type),
            np.arange(count if is_text else 0, dtype=np.uint32),
            tuple(series.values.tolist()) if is_text else (),
        )
