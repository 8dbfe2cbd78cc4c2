"""Samples from too far in the future: kept apart from history, counted, and readable when asked for.

A device whose clock is a year ahead would otherwise own the last value of its tags for a year. They are few, or
something is badly wrong, so they are plain rows (docs/formats/history.md, "Quarantine").
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.tags.history import Series
from gateway.tags.sample import from_bits
from gateway.tags.tag import ValueType
from historian.store.catalogue import Entry
from historian.store.database import open_checked, open_made, open_to_read
from historian.store.frame import QuarantineFrame
from historian.store.journal import read_segment
from historian.store.layout import quarantine_path, segments
from historian.store.rows import Rows

log = logging.getLogger(__name__)

MAX_BYTES = 64 << 20  # over a million samples: enough to see whose clock is wrong
SCHEMA = """
CREATE TABLE samples(
    tag INTEGER NOT NULL, time INTEGER NOT NULL, value INTEGER NOT NULL, text TEXT, status INTEGER NOT NULL,
    taken_at INTEGER NOT NULL, PRIMARY KEY(tag, time)) WITHOUT ROWID;
"""

Row = tuple[int, int, int, str | None, int, int]  # tag, time, value bits as signed, text, status, taken_at


def ahead(rows: Rows, now: int, max_ahead_ns: int) -> NDArray[np.bool_] | None:
    """Which rows lie too far in the future; None where none does, which is nearly always."""
    if not len(rows) or int(rows.times.max()) <= now + max_ahead_ns:
        return None
    return rows.times > now + max_ahead_ns


def put_apart(directory: Path, frames: Sequence[QuarantineFrame]) -> None:
    """Durable when this returns; doing it again changes nothing. Raises sqlite3.Error, OSError."""
    if not frames:
        return
    path = quarantine_path(directory)
    if path.exists() and path.stat().st_size > MAX_BYTES:
        log.error("%s is full: %d samples are not kept", path, sum(len(frame.rows) for frame in frames))
        return
    with closing(open_made(path, SCHEMA)) as database:
        database.execute("BEGIN IMMEDIATE")
        for frame in frames:
            database.executemany("INSERT OR REPLACE INTO samples VALUES(?, ?, ?, ?, ?, ?)", _rows(frame))
        database.execute("COMMIT")


def read_quarantined(
    directory: Path, entry: Entry, start_ns: int, end_ns: int, limit: int | None = None
) -> Series:
    """The first ``limit`` quarantined samples of a tag in [start_ns, end_ns), by time; of one time the newest.

    Raises OSError, HistoryError, sqlite3.Error.
    """
    waiting: list[Row] = []
    for path in segments(directory).values():
        try:
            found = read_segment(path).frames
        except FileNotFoundError:
            continue  # packed meanwhile, so it is in the file below
        for one in found:
            if isinstance(one.frame, QuarantineFrame):
                waiting += [row for row in _rows(one.frame) if row[0] == entry.id]
    by_time: dict[int, Row] = {}
    file = quarantine_path(directory)
    if file.exists():
        with closing(open_checked(file)) as database:
            question = "SELECT tag, time, value, text, status, taken_at FROM samples WHERE tag = ?"
            by_time = {row[1]: row for row in database.execute(question, (entry.id,))}
    by_time |= {row[1]: row for row in waiting}
    rows = [row for time, row in sorted(by_time.items()) if start_ns <= time < end_ns][:limit]
    if entry.type is ValueType.STRING:
        values: NDArray[np.object_] = np.array([row[3] for row in rows], object)
        return Series(entry.type, _times(rows), values, _statuses(rows))
    bits = np.array([row[2] for row in rows], np.int64).view(np.uint64)
    return Series(entry.type, _times(rows), from_bits(bits, entry.type), _statuses(rows))


def count(directory: Path) -> int:
    """How many samples are there, those still in the journal aside. Raises sqlite3.Error."""
    path = quarantine_path(directory)
    if not path.exists():
        return 0
    with closing(open_to_read(path)) as database:
        (found,) = database.execute("SELECT count(*) FROM samples").fetchone()
        return int(found)


def _rows(frame: QuarantineFrame) -> Iterator[Row]:
    rows = frame.rows
    texts = dict(zip(rows.text_rows.tolist(), rows.texts, strict=True))
    columns = (rows.tags, rows.times, rows.values.view(np.int64), rows.statuses)
    for place, (tag, time, value, status) in enumerate(
        zip(*(column.tolist() for column in columns), strict=True)
    ):
        yield tag, time, value, texts.get(place), status, frame.taken_at


def _times(rows: Sequence[Row]) -> NDArray[np.int64]:
    return np.array([row[1] for row in rows], np.int64)


def _statuses(rows: Sequence[Row]) -> NDArray[np.uint32]:
    return np.array([row[4] for row in rows], np.uint32)
