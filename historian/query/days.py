"""Day files as a reader sees them: what blocks there are of a tag, and what is in them.

Every use of a file is one SQLite transaction, so that blocks being moved or merged meanwhile are seen before or
after, never in between.
"""

from __future__ import annotations

import os
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.tags.tag import ValueType
from historian.errors import DamagedBlock, DamagedColumn, UnknownFormat
from historian.store.blocks import Samples, Summary
from historian.store.database import check, open_to_read
from historian.store.day_file import SUMMARY_COLUMNS, decode, summary_of
from historian.store.layout import DAY_NS, day_files

MAX_OPEN_DAYS = 32  # a month of questions without opening a file anew; each costs a few file descriptors

Report = Callable[[DamagedBlock], None]


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A block without its columns."""

    id: int
    sequence: int
    summary: Summary


class DayView:
    """One day file inside a transaction. ``is_damaged`` once SQLite could not read something."""

    def __init__(self, day: int, path: Path, database: sqlite3.Connection, report: Report) -> None:
        self._day = day
        self._path = path
        self._database = database
        self._report = report
        self.is_damaged = False

    def blocks(self, tag: int, start: int, end: int) -> list[StoredBlock]:
        """Blocks of the tag with samples in [start, end), by first time."""
        return self._select(
            "tag = ? AND first_time < ? AND last_time >= ? ORDER BY first_time", (tag, end, start)
        )

    def newest_before(self, tag: int, end: int) -> list[StoredBlock]:
        """Blocks that may hold the newest sample before ``end``: those reaching over it, the last wholly before."""
        return self._select(
            "tag = ? AND last_time < ? ORDER BY last_time DESC, sequence DESC LIMIT 1", (tag, end)
        ) + self._select("tag = ? AND first_time < ? AND last_time >= ?", (tag, end, end))

    def samples(self, block: StoredBlock, type: ValueType) -> Samples | None:
        """What is in a block; None, and the damage reported, where it cannot be read."""
        try:
            times, values, quality = self._database.execute(
                "SELECT times.data, value_data, quality_data FROM blocks"
                " LEFT JOIN times ON times.id = blocks.times WHERE blocks.id = ?",
                (block.id,),
            ).fetchone()
            if times is None:
                raise DamagedColumn("its times are missing")
            return decode(type, block.summary.count, times, values, quality)
        except (DamagedColumn, sqlite3.DatabaseError) as error:
            summary = block.summary
            self._report(
                DamagedBlock(self._path, block.id, summary.first_time, summary.last_time, str(error))
            )
            return None

    def _select(self, where: str, parameters: tuple[int, ...]) -> list[StoredBlock]:
        try:
            rows = self._database.execute(
                f"SELECT id, sequence, {SUMMARY_COLUMNS} FROM blocks WHERE {where}",  # noqa: S608 - constants
                parameters,
            ).fetchall()
        except sqlite3.DatabaseError as error:
            self.is_damaged = True
            self._report(_whole(self._day, self._path, error))
            return []
        return [StoredBlock(row[0], row[1], summary_of(row[2:])) for row in rows]


class Days:
    """All day files of a history folder; connections are kept, files may come and go."""

    def __init__(self, directory: Path, report: Report) -> None:
        self._directory = directory
        self._report = report
        self._open: OrderedDict[Path, tuple[int, sqlite3.Connection]] = OrderedDict()

    def close(self) -> None:
        for _, database in self._open.values():
            database.close()
        self._open.clear()

    def paths(self) -> dict[int, Path]:
        """Files by day, in order."""
        return day_files(self._directory)

    @contextmanager
    def view(self, day: int, path: Path) -> Iterator[DayView | None]:
        """One transaction on a file; None where it is gone or, which is reported, cannot be read."""
        database = self._database(day, path)
        if database is None:
            yield None
            return
        database.execute("BEGIN")
        view = DayView(day, path, database, self._report)
        try:
            yield view
        finally:
            if view.is_damaged:
                self._drop(path)
            else:
                database.execute("ROLLBACK")

    def _database(self, day: int, path: Path) -> sqlite3.Connection | None:
        try:
            inode = os.stat(path).st_ino  # noqa: PTH116 - one call, and its error is the answer
            known = self._open.get(path)
            if known is not None and known[0] == inode:
                self._open.move_to_end(path)
                return known[1]
            self._drop(path)
            database = open_to_read(path)
        except FileNotFoundError:
            self._drop(path)
            return None
        except sqlite3.DatabaseError as error:
            self._report(_whole(day, path, error))
            return None
        try:
            check(path, database)
        except (UnknownFormat, sqlite3.DatabaseError) as error:
            database.close()
            self._report(_whole(day, path, error))
            return None
        self._open[path] = (inode, database)
        while len(self._open) > MAX_OPEN_DAYS:
            self._open.popitem(last=False)[1][1].close()
        return database

    def _drop(self, path: Path) -> None:
        known = self._open.pop(path, None)
        if known is not None:
            known[1].close()


def _whole(day: int, path: Path, error: Exception) -> DamagedBlock:
    return DamagedBlock(path, 0, day * DAY_NS, (day + 1) * DAY_NS - 1, f"cannot be read: {error}")
