"""Day files as a reader sees them: what blocks there are of a tag, and what is in them.

Every use of a file is one SQLite transaction, so that blocks being moved or merged meanwhile are seen before or
after, never in between.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from gateway.tags.tag import ValueType
from historian.errors import DamagedBlock, DamagedColumn, UnknownFormat
from historian.query.decoding import Packed
from historian.query.listing import Listing
from historian.store.blocks import Samples, Summary
from historian.store.database import check, open_to_read
from historian.store.day_file import SUMMARY_COLUMNS, decode, summary_of
from historian.store.layout import DAY_NS, day_files, day_of, day_path

MAX_OPEN_DAYS = 32  # a month of questions without opening a file anew; each costs a few file descriptors

CACHE_KIB = (
    8192  # of each open day: what SQLite has by default holds 600 blocks, a question may be about thousands
)
FEW_DAYS = 8  # so many are looked for by name; for more the folder is listed
MAX_NEAR_DAYS = 4096  # names of days made once and kept: a decade

_PACKED = "id, tag, sequence, first_time, last_time, count, times"
_COLUMNS = "value_data, quality_data"
_OVERLAPS = " AND first_time < ? AND last_time >= ? ORDER BY tag, first_time"
_SUMMED = (
    "id, tag, sequence, first_time, last_time, count, first, last, first_status, last_status, usable, minimum,"
    " maximum, integral, good_ns, uncertain_ns, bad_ns"
)
_ASKED = "(SELECT value FROM json_each(?))"

Report = Callable[[DamagedBlock], None]


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A block without its columns."""

    id: int
    sequence: int
    summary: Summary


class Newest(NamedTuple):
    """The last sample of a block, ``value`` as `Summary.last`."""

    tag: int
    time: int
    sequence: int
    value: int | str
    status: int


class Summed(NamedTuple):
    """A block without its columns, as `Summary` says it; ``integral`` is None where it went over the top."""

    id: int
    tag: int
    sequence: int
    first_time: int
    last_time: int
    size: int
    first: int | str
    last: int | str
    first_status: int
    last_status: int
    usable: int
    minimum: int | None
    maximum: int | None
    integral: float | None
    good_ns: int
    uncertain_ns: int
    bad_ns: int


class DayView:
    """One day file inside a transaction. ``is_damaged`` once SQLite could not read something.

    Without a ``database`` the file is there, but cannot be read at all.
    """

    def __init__(self, day: int, path: Path, database: sqlite3.Connection | None, report: Report) -> None:
        self._day = day
        self._path = path
        self._database = database
        self._report = report
        self.is_damaged = database is None

    def packed(self, tags: Sequence[int], start: int, end: int) -> list[Packed]:
        """Blocks of these tags with samples in [start, end) and their columns, by tag and first time."""
        if len(tags) == 1:
            return self._packed(f"WHERE tag = ?{_OVERLAPS}", (tags[0], end, start))
        return self._packed(f"WHERE tag IN {_ASKED}{_OVERLAPS}", (json.dumps(list(tags)), end, start))

    def times_of(self, blocks: Sequence[Packed]) -> dict[int, bytes]:
        """The columns of times of these blocks, by id, as far as they can be read."""
        wanted = {block.times for block in blocks}
        found: dict[int, bytes] = {}
        if self._database is None:
            return found
        try:
            if len(wanted) == 1:
                rows = self._database.execute("SELECT id, data FROM times WHERE id = ?", (wanted.pop(),))
            else:
                asked = json.dumps(sorted(wanted))
                rows = self._database.execute(f"SELECT id, data FROM times WHERE id IN {_ASKED}", (asked,))  # noqa: S608
            for id, data in rows:
                found[id] = data
        except sqlite3.DatabaseError as error:
            self.is_damaged = True
            self._report(_whole(self._day, self._path, error))
        return found

    def summed(self, tags: Sequence[int], start: int, end: int) -> list[Summed]:
        """The sums of blocks of these tags with samples in [start, end), by tag and first time."""
        rows = self._fetch(
            f"SELECT {_SUMMED} FROM blocks WHERE tag IN {_ASKED}{_OVERLAPS}",  # noqa: S608
            (json.dumps(list(tags)), end, start),
        )
        return [Summed(*row) for row in rows]

    def packed_by_id(self, ids: Sequence[int]) -> list[Packed]:
        """These blocks and their columns."""
        return self._packed(f"WHERE id IN {_ASKED} ORDER BY tag, first_time", (json.dumps(list(ids)),))

    def tell(self, block: Packed, why: Exception) -> None:
        """Report a block that cannot be decoded."""
        self._report(DamagedBlock(self._path, block.id, block.first_time, block.last_time, str(why)))

    def newest(self, tags: Sequence[int], end: int) -> list[Newest]:
        """Of each tag that has one, the block wholly before ``end`` that reaches furthest."""
        rows = self._fetch(
            "SELECT tag, last_time, sequence, last, last_status FROM json_each(?) AS asked JOIN blocks ON blocks.id ="
            " (SELECT id FROM blocks WHERE tag = asked.value AND last_time < ?"
            " ORDER BY last_time DESC, sequence DESC LIMIT 1)",
            (json.dumps(list(tags)), end),
        )
        return [Newest(*row) for row in rows]

    def across(self, tags: Sequence[int], time: int) -> list[Packed]:
        """Blocks of these tags that begin before ``time`` and end at or after it."""
        return self.packed(tags, time, time)

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
        assert self._database is not None, "blocks come from a file that can be read"
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
        question = f"SELECT id, sequence, {SUMMARY_COLUMNS} FROM blocks WHERE {where}"  # noqa: S608 - constants
        return [StoredBlock(row[0], row[1], summary_of(row[2:])) for row in self._fetch(question, parameters)]

    def _fetch(self, question: str, parameters: tuple[int | str, ...]) -> list[Any]:
        """All rows; none, and the damage reported, where the file cannot be read."""
        if self._database is None:
            return []
        try:
            return self._database.execute(question, parameters).fetchall()
        except sqlite3.DatabaseError as error:
            self.is_damaged = True
            self._report(_whole(self._day, self._path, error))
            return []

    def _packed(self, where: str, parameters: tuple[int | str, ...]) -> list[Packed]:
        if self._database is None:
            return []
        try:
            rows = self._database.execute(f"SELECT {_PACKED}, {_COLUMNS} FROM blocks {where}", parameters)  # noqa: S608
            return [Packed(*row) for row in rows]
        except sqlite3.DatabaseError:
            # A page that cannot be read spoils the whole answer: what is on good pages comes block by block.
            return self._packed_singly(where, parameters)

    def _packed_singly(self, where: str, parameters: tuple[int | str, ...]) -> list[Packed]:
        found: list[Packed] = []
        for row in self._fetch(f"SELECT {_PACKED} FROM blocks {where}", parameters):  # noqa: S608 - constants
            try:
                assert self._database is not None, "rows come from a file that can be read"
                columns = self._database.execute(
                    f"SELECT {_COLUMNS} FROM blocks WHERE id = ?",  # noqa: S608 - constants
                    row[:1],
                ).fetchone()
            except sqlite3.DatabaseError:
                columns = (b"", None)  # too short for a column: told as damage of this block when decoded
            found.append(Packed(*row, *columns))
        return found


class Days:
    """All day files of a history folder; connections are kept, files may come and go."""

    def __init__(self, directory: Path, report: Report) -> None:
        self._directory = directory
        self._report = report
        self._listing = Listing(directory, lambda: day_files(directory))
        self._open: OrderedDict[int, tuple[int, sqlite3.Connection]] = OrderedDict()
        self._near: dict[int, Path] = {}

    def close(self) -> None:
        for _, database in self._open.values():
            database.close()
        self._open.clear()

    def paths(self) -> Mapping[int, Path]:
        """Files by day, in order."""
        return self._listing.now()

    def between(self, start: int, end: int) -> Mapping[int, Path]:
        """Files of the days in [start, end), in order; some may not be there."""
        first, last = day_of(start), day_of(end - 1)
        if last - first >= FEW_DAYS:
            return {day: path for day, path in self.paths().items() if first <= day <= last}
        if len(self._near) > MAX_NEAR_DAYS:
            self._near.clear()
        for day in range(first, last + 1):
            if day not in self._near:
                self._near[day] = day_path(self._directory, day)
        return {day: self._near[day] for day in range(first, last + 1)}

    @contextmanager
    def view(self, day: int, path: Path) -> Iterator[DayView | None]:
        """One transaction on a file; None where it is gone. That it cannot be read is reported, and the view's."""
        try:
            database = self._database(day, path)
        except FileNotFoundError:
            yield None
            return
        except (UnknownFormat, sqlite3.DatabaseError) as error:
            self._report(_whole(day, path, error))
            yield DayView(day, path, None, self._report)
            return
        database.execute("BEGIN")
        view = DayView(day, path, database, self._report)
        try:
            yield view
        finally:
            if view.is_damaged:
                self._drop(day)
            else:
                database.execute("ROLLBACK")

    def _database(self, day: int, path: Path) -> sqlite3.Connection:
        """An open connection. Raises FileNotFoundError, UnknownFormat, sqlite3.DatabaseError."""
        known = self._open.get(day)
        try:
            inode = os.stat(path).st_ino  # noqa: PTH116 - one call, and its error is the answer
        except FileNotFoundError:
            self._drop(day)
            raise
        if known is not None and known[0] == inode:
            self._open.move_to_end(day)
            return known[1]
        self._drop(day)
        database = open_to_read(path)
        try:
            check(path, database)
        except (UnknownFormat, sqlite3.DatabaseError):
            database.close()
            raise
        database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self._open[day] = (inode, database)
        while len(self._open) > MAX_OPEN_DAYS:
            self._open.popitem(last=False)[1][1].close()
        return database

    def _drop(self, day: int) -> None:
        known = self._open.pop(day, None)
        if known is not None:
            known[1].close()


def _whole(day: int, path: Path, error: Exception) -> DamagedBlock:
    return DamagedBlock(path, 0, day * DAY_NS, (day + 1) * DAY_NS - 1, f"cannot be read: {error}")
