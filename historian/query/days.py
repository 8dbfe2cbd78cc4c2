"""Day files as a reader sees them: what blocks there are of a tag, and what is in them.

Every use of a file is one SQLite transaction, so that blocks being moved or merged meanwhile are seen before or
after, never in between. What was read of a file is remembered for as long as nobody writes to it: its `edition`.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count, groupby
from pathlib import Path
from typing import Any

from gateway.tags.tag import ValueType
from historian.errors import DamagedBlock, DamagedColumn, UnknownFormat
from historian.query.decoding import Times, decode
from historian.query.listing import Listing
from historian.query.remembered import BYTES_AN_ARRAY, MAX_KEPT_ROWS, Remembered, Report
from historian.query.stored import COLUMNS, Newest, Packed, Stored
from historian.store.blocks import Samples
from historian.store.database import open_checked
from historian.store.layout import DAY_NS, day_files, day_of, day_path

MAX_OPEN_DAYS = 32  # a month of questions without opening a file anew; each costs a few file descriptors

CACHE_KIB = (
    8192  # of each open day: what SQLite has by default holds 600 blocks, a question may be about thousands
)
FEW_DAYS = 8  # so many are looked for by name; for more the folder is listed
MAX_NEAR_DAYS = 4096  # names of days made once and kept: a decade

FEW_TAGS = 256  # of so many all rows of the day are read at once, however many there are

_OVERLAPS = " AND first_time < ? AND last_time >= ? ORDER BY tag, first_time"
_ASKED = "(SELECT value FROM json_each(?))"

RowsOf = Mapping[int, tuple[Stored, ...]]  # by tag, by first time
_editions = count(1)


@dataclass(slots=True)
class _OpenDay:
    """A connection, and what `data_version` said when ``edition`` began."""

    inode: int
    database: sqlite3.Connection
    version: int = -1
    edition: int = 0
    rows: int | None = None  # blocks in the file, once they were counted


class DayView:
    """One day file inside a transaction. ``is_damaged`` once SQLite could not read something.

    Without a ``database`` the file is there, but cannot be read at all.
    """

    def __init__(self, day: int, path: Path, opened: _OpenDay | None, remembered: Remembered) -> None:
        self.day = day
        self.path = path
        self._opened = opened
        self._database = None if opened is None else opened.database
        self._remembered = remembered
        self.is_damaged = opened is None

    def blocks(self, tags: Sequence[int], start: int, end: int) -> list[Stored]:
        """Blocks of these tags with samples in [start, end), those of one tag together and by first time."""
        rows = self._rows(tags)
        if rows is not None:
            return [
                block
                for tag in tags
                for block in rows[tag]
                if block.first_time < end and block.last_time >= start
            ]
        return self._stored(f"tag IN {_ASKED}{_OVERLAPS}", (json.dumps(list(tags)), end, start))

    def newest(self, tags: Sequence[int], end: int) -> list[Newest]:
        """Of each tag that has one, the last sample of the block wholly before ``end`` that reaches furthest."""
        rows = self._rows(tags)
        if rows is not None:
            return [newest for tag in tags if (newest := _newest(rows[tag], end)) is not None]
        found = self._fetch(
            "SELECT tag, last_time, sequence, last, last_status FROM json_each(?) AS asked JOIN blocks ON blocks.id ="
            " (SELECT id FROM blocks WHERE tag = asked.value AND last_time < ?"
            " ORDER BY last_time DESC, sequence DESC LIMIT 1)",
            (json.dumps(list(tags)), end),
        )
        return [Newest(*row) for row in found]

    def pack(self, blocks: Sequence[Stored]) -> list[Packed]:
        """These blocks with their columns, in their order."""
        if self._database is None or not blocks:
            return []
        asked = "SELECT id, value_data, quality_data FROM blocks WHERE id"
        found: dict[int, tuple[bytes, bytes | None]] = {}
        try:
            if len(blocks) == 1:
                rows = self._database.execute(f"{asked} = ?", (blocks[0].id,))
            else:
                ids = json.dumps([block.id for block in blocks])
                rows = self._database.execute(f"{asked} IN {_ASKED}", (ids,))
            found = {id: (values, quality) for id, values, quality in rows}
        except sqlite3.DatabaseError:
            # A page that cannot be read spoils the whole answer: what is on good pages comes block by block.
            found = self._columns_singly(blocks)
        # Nothing is too short for a column: told as damage of this block when decoded.
        return [Packed(block, *found.get(block.id, (b"", None))) for block in blocks]

    def times_of(self, blocks: Sequence[Stored]) -> dict[int, Times]:
        """The times of these blocks, by id, as far as they can be read."""
        found: dict[int, Times] = {}
        wanted: list[int] = []
        for id in {block.times for block in blocks}:
            known = self._remembered.times.get((blocks[0].edition, id))
            if known is None:
                wanted.append(id)
            else:
                found[id] = known
        if not wanted or self._database is None:
            return found
        try:
            asked = json.dumps(wanted)
            rows = self._database.execute(f"SELECT id, data FROM times WHERE id IN {_ASKED}", (asked,))  # noqa: S608
            for id, data in rows:
                times = found[id] = self._remembered.shared.decode(data)
                if not isinstance(times, DamagedColumn):
                    self._remembered.times.put((blocks[0].edition, id), times, times.nbytes + BYTES_AN_ARRAY)
        except sqlite3.DatabaseError as error:
            self._spoilt(error)
        return found

    def samples(self, block: Stored, type: ValueType) -> Samples | None:
        """What is in a block; None, and the damage reported, where it cannot be read."""
        known = self._remembered.samples_of(block)
        if known is not None:
            return known
        times = self.times_of([block]).get(block.times)
        (packed,) = self.pack([block])
        try:
            samples = decode(packed, times, type)
        except DamagedColumn as damage:
            self.tell(block, damage)
            return None
        self._remembered.keep_samples(block, samples)
        return samples

    def tell(self, block: Stored, why: Exception) -> None:
        """Report a block that cannot be decoded."""
        self._remembered.report(
            DamagedBlock(self.path, block.id, block.first_time, block.last_time, str(why))
        )

    def end(self) -> None:
        """Let go of the file as it was."""
        if self._database is not None:
            self._database.execute("ROLLBACK")

    def _rows(self, tags: Sequence[int]) -> RowsOf | None:
        """All blocks of each tag; None where they are too many to be read for a part of the day, or damaged."""
        if self._opened is None:
            return dict.fromkeys(tags, ())
        edition = self._opened.edition
        known = self._remembered.rows_of(edition)
        missing = [tag for tag in tags if tag not in known]
        if not missing:
            return known
        try:
            if len(missing) > FEW_TAGS and self._count(self._opened) > MAX_KEPT_ROWS // 2:
                return None
            rows = self._select(f"tag IN {_ASKED} ORDER BY tag, first_time", (json.dumps(missing),))
        except sqlite3.DatabaseError:
            return None
        found = {tag: known[tag] for tag in tags if tag in known}
        fresh: dict[int, tuple[Stored, ...]] = dict.fromkeys(missing, ())
        fresh.update((tag, tuple(own)) for tag, own in groupby(rows, _tag_of))
        found.update(fresh)
        self._remembered.keep_rows(edition, fresh)
        return found

    def _count(self, opened: _OpenDay) -> int:
        if opened.rows is None:
            (opened.rows,) = opened.database.execute("SELECT count(*) FROM blocks").fetchone()
        assert opened.rows is not None
        return opened.rows

    def _stored(self, where: str, parameters: tuple[int | str, ...]) -> list[Stored]:
        try:
            return self._select(where, parameters)
        except sqlite3.DatabaseError as error:
            self._spoilt(error)
            return []

    def _select(self, where: str, parameters: tuple[int | str, ...]) -> list[Stored]:
        assert self._opened is not None, "rows come from a file that can be read"
        question = f"SELECT ?, {COLUMNS} FROM blocks WHERE {where}"  # noqa: S608 - constants
        rows = self._opened.database.execute(question, (self._opened.edition, *parameters))
        return list(map(Stored._make, rows.fetchall()))

    def _fetch(self, question: str, parameters: tuple[int | str, ...]) -> list[Any]:
        """All rows; none, and the damage reported, where the file cannot be read."""
        if self._database is None:
            return []
        try:
            return self._database.execute(question, parameters).fetchall()
        except sqlite3.DatabaseError as error:
            self._spoilt(error)
            return []

    def _columns_singly(self, blocks: Sequence[Stored]) -> dict[int, tuple[bytes, bytes | None]]:
        found: dict[int, tuple[bytes, bytes | None]] = {}
        for block in blocks:
            try:
                assert self._database is not None, "rows come from a file that can be read"
                row = self._database.execute(
                    "SELECT value_data, quality_data FROM blocks WHERE id = ?", (block.id,)
                ).fetchone()
                found[block.id] = row
            except sqlite3.DatabaseError:
                continue
        return found

    def _spoilt(self, error: Exception) -> None:
        self.is_damaged = True
        self._remembered.report(_whole(self.day, self.path, error))


class Days:
    """All day files of a history folder; connections are kept, files may come and go."""

    def __init__(self, directory: Path, report: Report) -> None:
        self._directory = directory
        self._report = report
        self._listing = Listing(directory, lambda: day_files(directory))
        self._open: OrderedDict[int, _OpenDay] = OrderedDict()
        self._near: dict[int, Path] = {}
        self.remembered = Remembered(report)

    def close(self) -> None:
        for opened in self._open.values():
            opened.database.close()
        self._open.clear()
        self.remembered.forget()

    def paths(self) -> Mapping[int, Path]:
        """Files by day, in order."""
        return self._listing.now()

    def between(self, start: int, end: int) -> Mapping[int, Path]:
        """Files of the days in [start, end), in order; some may not be there."""
        first, last = day_of(start), day_of(end - 1)
        if first == last and first in self._near:
            return {first: self._near[first]}
        if last - first >= FEW_DAYS:
            return {day: path for day, path in self.paths().items() if first <= day <= last}
        if len(self._near) > MAX_NEAR_DAYS:
            self._near.clear()
        for day in range(first, last + 1):
            if day not in self._near:
                self._near[day] = day_path(self._directory, day)
        return {day: self._near[day] for day in range(first, last + 1)}

    def view(self, day: int, path: Path) -> _Look:
        """One transaction on a file; None where it is gone. That it cannot be read is reported, and the view's."""
        return _Look(self, day, path)

    def begin(self, day: int, path: Path) -> DayView | None:
        """What `view` gives; `end` it."""
        try:
            opened = self._opened(day, path)
            opened.database.execute("BEGIN")
            _see_edition(opened)
        except FileNotFoundError:
            return None
        except (UnknownFormat, sqlite3.DatabaseError) as error:
            self._drop(day)
            self._report(_whole(day, path, error))
            return DayView(day, path, None, self.remembered)
        return DayView(day, path, opened, self.remembered)

    def end(self, view: DayView) -> None:
        """Let go of a view; of a file that could not be read, altogether."""
        if view.is_damaged:
            self._drop(view.day)
        else:
            view.end()

    def _opened(self, day: int, path: Path) -> _OpenDay:
        """An open file. Raises FileNotFoundError, UnknownFormat, sqlite3.DatabaseError."""
        known = self._open.get(day)
        try:
            inode = os.stat(path).st_ino  # noqa: PTH116 - one call, and its error is the answer
        except FileNotFoundError:
            self._drop(day)
            raise
        # The number of a file that is open is given to no other.
        if known is not None and known.inode == inode:
            self._open.move_to_end(day)
            return known
        self._drop(day)
        database = open_checked(path)
        database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        opened = self._open[day] = _OpenDay(inode, database)
        while len(self._open) > MAX_OPEN_DAYS:
            self._open.popitem(last=False)[1].database.close()
        return opened

    def _drop(self, day: int) -> None:
        known = self._open.pop(day, None)
        if known is not None:
            known.database.close()


class _Look:
    """A view for as long as a ``with`` lasts; no generator, which takes a short question a fiftieth of its time."""

    __slots__ = ("_day", "_days", "_path", "_view")

    def __init__(self, days: Days, day: int, path: Path) -> None:
        self._days, self._day, self._path = days, day, path
        self._view: DayView | None = None

    def __enter__(self) -> DayView | None:
        self._view = self._days.begin(self._day, self._path)
        return self._view

    def __exit__(self, *_: object) -> None:
        if self._view is not None:
            self._days.end(self._view)


def _see_edition(opened: _OpenDay) -> None:
    """Begin a new edition where somebody has written since; the transaction sees the file as of now from here on."""
    (version,) = opened.database.execute("PRAGMA data_version").fetchone()
    if version != opened.version:
        opened.version, opened.edition, opened.rows = version, next(_editions), None


def _tag_of(block: Stored) -> int:
    return block.tag


def _newest(rows: Sequence[Stored], end: int) -> Newest | None:
    best: Stored | None = None
    for block in rows:
        if block.last_time < end and (
            best is None or (block.last_time, block.sequence) >= (best.last_time, best.sequence)
        ):
            best = block
    if best is None:
        return None
    return Newest(best.tag, best.last_time, best.sequence, best.last, best.last_status)


def _whole(day: int, path: Path, error: Exception) -> DamagedBlock:
    return DamagedBlock(path, 0, day * DAY_NS, (day + 1) * DAY_NS - 1, f"cannot be read: {error}")
