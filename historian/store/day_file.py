"""The file of one UTC day: blocks put in and merged by the one writer (docs/formats/history.md, "Day file")."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.tags.tag import ValueType
from historian.errors import DamagedBlock, DamagedColumn
from historian.store import blocks, columns
from historian.store.blocks import MAX_BLOCK_SAMPLES, Block, Samples, Summary
from historian.store.catalogue import COLUMNS, Entry, entry_of, row_of
from historian.store.database import check, connect_to_read, open_to_write, prepare
from historian.store.durable import sync_directory

SCHEMA = """
CREATE TABLE tags(
    id INTEGER PRIMARY KEY, path TEXT NOT NULL, type INTEGER NOT NULL, unit TEXT, decimals INTEGER, low REAL,
    high REAL, stepped INTEGER NOT NULL, description TEXT NOT NULL);
CREATE TABLE times(id INTEGER PRIMARY KEY, count INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE blocks(
    id INTEGER PRIMARY KEY, tag INTEGER NOT NULL, sequence INTEGER NOT NULL, first_time INTEGER NOT NULL,
    last_time INTEGER NOT NULL, count INTEGER NOT NULL, times INTEGER NOT NULL, first, last,
    first_status INTEGER NOT NULL, last_status INTEGER NOT NULL, usable INTEGER NOT NULL, minimum INTEGER,
    maximum INTEGER, sum REAL, integral REAL, good_ns INTEGER NOT NULL, uncertain_ns INTEGER NOT NULL,
    bad_ns INTEGER NOT NULL, value_data BLOB NOT NULL, quality_data BLOB);
CREATE INDEX blocks_of_tag ON blocks(tag, first_time);
CREATE TABLE consumed(segment INTEGER PRIMARY KEY);
"""

FULL_BLOCK_SAMPLES = MAX_BLOCK_SAMPLES // 2  # a block from here on is not worth writing again
MERGE_BATCH_TAGS = 64  # one transaction: tens of milliseconds of work, so that stopping never waits long

TimesKey = bytes


def consumed_by(path: Path) -> int:
    """The highest segment number this file knows, 0 where none."""
    with connect_to_read(path) as database:
        check(path, database)
        (highest,) = database.execute("SELECT ifnull(max(segment), 0) FROM consumed").fetchone()
        return int(highest)


class DayFile:
    """One day file, open for writing. All methods raise sqlite3.Error when the disk does not take it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        fresh = not path.exists()
        self._database = open_to_write(path)
        try:
            prepare(path, self._database, SCHEMA)
            if fresh:
                sync_directory(path.parent)
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        self._database.close()

    def has_consumed(self, segment: int) -> bool:
        """Whether this day has all it gets from that segment."""
        row = self._database.execute("SELECT 1 FROM consumed WHERE segment = ?", (segment,)).fetchone()
        return row is not None

    def add(self, segment: int, entries: Iterable[Entry], new: Iterable[Block]) -> None:
        """Add blocks and note the segment as consumed: all of it, or nothing."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            self._put_tags(entries)
            shared: dict[TimesKey, int] = {}
            for block in new:
                self._put(block, shared)
            self._database.execute("INSERT INTO consumed VALUES(?)", (segment,))
            self._database.execute("COMMIT")
        finally:
            self._roll_back()

    def forget_consumed_below(self, segment: int) -> None:
        """Drop notes of segments long gone, but the newest."""
        self._database.execute(
            "DELETE FROM consumed WHERE segment < min(?, (SELECT max(segment) FROM consumed))", (segment,)
        )

    def merge(self, stopping: Callable[[], bool], report: Callable[[DamagedBlock], None]) -> bool:
        """Write the small blocks of each tag as few large ones; False where it was asked to stop before the end.

        All blocks of a tag are merged but full ones that overlap no other: what is merged keeps the highest sequence,
        and so precedence over everything is as before. Damaged blocks stay as they are, and so does their tag.
        """
        tags = [row[0] for row in self._database.execute("SELECT id FROM tags ORDER BY id").fetchall()]
        shared: dict[TimesKey, int] = {}
        for start in range(0, len(tags), MERGE_BATCH_TAGS):
            if stopping():
                return False
            self._database.execute("BEGIN IMMEDIATE")
            try:
                for tag in tags[start : start + MERGE_BATCH_TAGS]:
                    try:
                        self._merge_tag(tag, shared)
                    except DamagedBlock as damage:
                        report(damage)
                self._database.execute("COMMIT")
            finally:
                self._roll_back()
        self._database.execute("DELETE FROM times WHERE id NOT IN (SELECT times FROM blocks)")
        # Frees one page a step; of a statement without columns, execute() takes only the first.
        self._database.executescript("PRAGMA incremental_vacuum;")
        return True

    def _merge_tag(self, tag: int, shared: dict[TimesKey, int]) -> None:
        rows = self._database.execute(
            "SELECT id, sequence, first_time, last_time, count FROM blocks WHERE tag = ? ORDER BY first_time",
            (tag,),
        ).fetchall()
        chosen = [row for i, row in enumerate(rows) if row[4] < FULL_BLOCK_SAMPLES or _overlaps(rows, i)]
        if len(chosen) < 2:
            return
        entry = entry_of(
            self._database.execute(f"SELECT {COLUMNS} FROM tags WHERE id = ?", (tag,)).fetchone()  # noqa: S608
        )
        chosen.sort(key=lambda row: row[1])
        pieces = [self._samples(row[0], entry.type, row[2], row[3]) for row in chosen]
        merged = blocks.newest_of_each_time(
            Samples(
                np.concatenate([piece.times for piece in pieces]),
                np.concatenate([piece.values for piece in pieces]),
                np.concatenate([piece.statuses for piece in pieces]),
            )
        )
        self._database.executemany("DELETE FROM blocks WHERE id = ?", [(row[0],) for row in chosen])
        for block in blocks.build(tag, entry.type, chosen[-1][1], merged, entry.decimals):
            self._put(block, shared)

    def _samples(self, block: int, type: ValueType, first_time: int, last_time: int) -> Samples:
        times, values, quality, count = self._database.execute(
            "SELECT times.data, value_data, quality_data, blocks.count FROM blocks"
            " JOIN times ON times.id = blocks.times WHERE blocks.id = ?",
            (block,),
        ).fetchone()
        try:
            return decode(type, count, times, values, quality)
        except DamagedColumn as error:
            raise DamagedBlock(self.path, block, first_time, last_time, str(error)) from error

    def _put_tags(self, entries: Iterable[Entry]) -> None:
        self._database.executemany(
            f"INSERT OR REPLACE INTO tags({COLUMNS}) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [row_of(entry) for entry in entries],
        )

    def _put(self, block: Block, shared: dict[TimesKey, int]) -> None:
        times = self._put_times(block.times, shared)
        summary = block.summary
        self._database.execute(
            "INSERT INTO blocks VALUES(NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                block.tag,
                block.sequence,
                summary.first_time,
                summary.last_time,
                summary.count,
                times,
                summary.first,
                summary.last,
                summary.first_status,
                summary.last_status,
                summary.usable,
                summary.minimum,
                summary.maximum,
                summary.sum,
                summary.integral,
                summary.good_ns,
                summary.uncertain_ns,
                summary.bad_ns,
                block.value_data,
                block.quality_data,
            ),
        )

    def _put_times(self, times: NDArray[np.int64], shared: dict[TimesKey, int]) -> int:
        key = blake2b(times.tobytes(), digest_size=16).digest()
        known = shared.get(key)
        if known is not None:
            return known
        cursor = self._database.execute(
            "INSERT INTO times VALUES(NULL, ?, ?)", (len(times), columns.encode_times(times))
        )
        assert cursor.lastrowid is not None
        shared[key] = cursor.lastrowid
        return cursor.lastrowid

    def _roll_back(self) -> None:
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")


SUMMARY_COLUMNS = (
    "first_time, last_time, blocks.count, first, last, first_status, last_status, usable, minimum, maximum, sum,"
    " integral, good_ns, uncertain_ns, bad_ns"
)


def summary_of(row: tuple[Any, ...]) -> Summary:
    """A row of `SUMMARY_COLUMNS`. SQLite keeps a NaN as NULL: sums that went over the top are NaN here."""
    first_time, last_time, count, first, last, first_status, last_status, usable, *rest = row
    minimum, maximum, total, integral, good_ns, uncertain_ns, bad_ns = rest
    return Summary(
        first_time=first_time,
        last_time=last_time,
        count=count,
        first=first,
        last=last,
        first_status=first_status,
        last_status=last_status,
        usable=usable,
        minimum=minimum,
        maximum=maximum,
        sum=float("nan") if total is None else total,
        integral=float("nan") if integral is None else integral,
        good_ns=good_ns,
        uncertain_ns=uncertain_ns,
        bad_ns=bad_ns,
    )


def decode(type: ValueType, count: int, times: bytes, values: bytes, quality: bytes | None) -> Samples:
    """The samples of one block. Raises DamagedColumn."""
    samples = Samples(
        columns.decode_times(times),
        columns.decode_values(type, values),
        columns.decode_statuses(quality, count),
    )
    if len(samples.times) != count or len(samples.values) != count:
        raise DamagedColumn(
            f"{len(samples.times)} times and {len(samples.values)} values for {count} samples"
        )
    return samples


def _overlaps(rows: list[tuple[int, int, int, int, int]], i: int) -> bool:
    """Whether block ``i`` shares time with any other of ``rows`` (id, sequence, first_time, last_time, count)."""
    _, _, first, last, _ = rows[i]
    return any(
        other_first <= last and first <= other_last
        for j, (_, _, other_first, other_last, _) in enumerate(rows)
        if j != i
    )
