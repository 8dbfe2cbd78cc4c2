"""The catalogue: which tag has which id, for ever, and the gaps in history (docs/formats/history.md)."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.tags.tag import ValueType
from historian.errors import UnknownFormat
from historian.store.database import check, connect, connect_to_read, create
from historian.store.frame import GapFrame
from historian.store.journal import read_segment
from historian.store.layout import catalogue_path, day_files, segments

if TYPE_CHECKING:  # who only reads history has no use for all that a site can be
    from gateway.config.site import Tag

SCHEMA = """
CREATE TABLE tags(
    id INTEGER PRIMARY KEY, path TEXT NOT NULL, type INTEGER NOT NULL, unit TEXT, decimals INTEGER, low REAL,
    high REAL, stepped INTEGER NOT NULL, description TEXT NOT NULL, since INTEGER NOT NULL, UNIQUE(path, type));
CREATE TABLE gaps(
    frame INTEGER PRIMARY KEY, kind TEXT NOT NULL, from_time INTEGER NOT NULL, to_time INTEGER NOT NULL,
    lost INTEGER NOT NULL);
CREATE TABLE about(key TEXT PRIMARY KEY, value);
INSERT INTO about VALUES('format', 1);
"""

UNKNOWN_LOST = -1
FEW = 10  # tags in so many are looked up one by one; more are read faster all at once


@dataclass(frozen=True, slots=True)
class Entry:
    """A tag as history knows it. ``stepped``: a value holds until the next one; sloped ones would be interpolated."""

    id: int
    path: str
    type: ValueType
    unit: str | None = None
    decimals: int | None = None
    low: float | None = None
    high: float | None = None
    stepped: bool = True
    description: str = ""


COLUMNS = "id, path, type, unit, decimals, low, high, stepped, description"


def entry_of(
    row: tuple[int, str, int, str | None, int | None, float | None, float | None, int, str],
) -> Entry:
    """A row of `COLUMNS`."""
    id, path, type, unit, decimals, low, high, stepped, description = row
    return Entry(id, path, ValueType(type), unit, decimals, low, high, bool(stepped), description)


def row_of(entry: Entry) -> tuple[object, ...]:
    """Values for `COLUMNS`."""
    return (
        entry.id,
        entry.path,
        int(entry.type),
        entry.unit,
        entry.decimals,
        entry.low,
        entry.high,
        int(entry.stepped),
        entry.description,
    )


_REGISTER = """
INSERT INTO tags(path, type, unit, decimals, low, high, stepped, description, since) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT(path, type) DO UPDATE SET unit = excluded.unit, decimals = excluded.decimals, low = excluded.low,
    high = excluded.high, stepped = excluded.stepped, description = excluded.description, since = excluded.since
"""


def _described(tag: Tag) -> tuple[object, ...]:
    """What the catalogue says of a tag besides its path and type, in the order of `COLUMNS`."""
    return tag.unit, tag.decimals, tag.low, tag.high, not tag.sloped, tag.description


def _says(entry: Entry) -> tuple[object, ...]:
    return entry.unit, entry.decimals, entry.low, entry.high, entry.stepped, entry.description


class Catalogue:
    """The writer's view of the catalogue; it lives in one thread at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = catalogue_path(directory)
        self._entries: dict[int, Entry] = {}

    def open(self, now: int) -> None:
        """Make the file where there is none (ids come back from the day files), read the tags.

        Raises UnknownFormat where it is missing and the journal holds samples, whose ids only it can tell.
        """
        fresh = not self._path.exists()
        waiting = segments(self._directory) if fresh else {}
        if any(read_segment(path).frames[1:] for path in waiting.values()):
            raise UnknownFormat(
                f"{self._path} is missing, but the journal beside it holds samples that need it:"
                " restore it, or move the journal folder away"
            )
        if fresh:
            create(self._path, SCHEMA, lambda database: self._adopt_all(database, now))
        with connect(self._path) as database:
            check(self._path, database)
            self._read(database)

    def register(self, tags: Iterable[Tag], now: int) -> list[Entry]:
        """An entry for each tag, in order; new tags get new ids, durable when this returns."""
        chosen = list(tags)
        known = {(entry.path, entry.type): entry for entry in self._entries.values()}
        types = Counter(path for path, _ in known)
        # Of a path with several types the present one is that registered last, so it is noted every time.
        changed = [
            tag
            for tag in chosen
            if (entry := known.get((tag.name, tag.type))) is None
            or types[tag.name] > 1
            or _says(entry) != _described(tag)
        ]
        if changed:
            with connect(self._path) as database:
                database.execute("BEGIN IMMEDIATE")
                database.executemany(
                    _REGISTER, ((tag.name, int(tag.type), *_described(tag), now) for tag in changed)
                )
                database.execute("COMMIT")
                is_few = len(changed) < len(known) // FEW
                found = self._read_some(database, changed) if is_few else self._read(database)
                known |= {(entry.path, entry.type): entry for entry in found}
        return [known[tag.name, tag.type] for tag in chosen]

    def entries(self) -> list[Entry]:
        """All tags; of a path whose type changed the present one last."""
        return list(self._entries.values())

    def entry(self, id: int) -> Entry:
        """Raises KeyError."""
        return self._entries[id]

    def add_gaps(self, gaps: Iterable[tuple[int, GapFrame]]) -> None:
        """Note gaps by frame sequence; noting one again changes nothing."""
        rows = [
            (frame, gap.kind, gap.from_time, gap.to_time, UNKNOWN_LOST if gap.lost is None else gap.lost)
            for frame, gap in gaps
        ]
        if rows:
            with connect(self._path) as database:
                database.execute("BEGIN IMMEDIATE")
                database.executemany("INSERT OR REPLACE INTO gaps VALUES(?, ?, ?, ?, ?)", rows)
                database.execute("COMMIT")

    def add_found_gaps(self, gaps: Iterable[GapFrame]) -> None:
        """Note gaps that no frame tells of, each once."""
        with connect(self._path) as database:
            database.execute("BEGIN IMMEDIATE")
            for gap in gaps:
                row = (gap.kind, gap.from_time, gap.to_time, UNKNOWN_LOST if gap.lost is None else gap.lost)
                known = "SELECT 1 FROM gaps WHERE kind = ? AND from_time = ? AND to_time = ? AND lost = ?"
                if database.execute(known, row).fetchone() is None:
                    (least,) = database.execute("SELECT ifnull(min(frame), 0) FROM gaps").fetchone()
                    database.execute("INSERT INTO gaps VALUES(?, ?, ?, ?, ?)", (min(least, 0) - 1, *row))
            database.execute("COMMIT")

    def _read(self, database: sqlite3.Connection) -> list[Entry]:
        rows = database.execute(f"SELECT {COLUMNS} FROM tags ORDER BY id")  # noqa: S608 - a constant
        return self._keep(rows)

    def _read_some(self, database: sqlite3.Connection, tags: Iterable[Tag]) -> list[Entry]:
        rows = database.execute(
            f"SELECT {COLUMNS} FROM tags WHERE path IN (SELECT value FROM json_each(?)) ORDER BY id",  # noqa: S608
            (json.dumps([tag.name for tag in tags]),),
        )
        return self._keep(rows)

    def _keep(self, rows: Iterable[Any]) -> list[Entry]:
        found = [entry_of(row) for row in rows]
        self._entries.update((entry.id, entry) for entry in found)
        return found

    def _adopt_all(self, database: sqlite3.Connection, now: int) -> None:
        for path in day_files(self._directory).values():
            self._adopt(database, path, now)

    def _adopt(self, database: sqlite3.Connection, path: Path, now: int) -> None:
        with connect_to_read(path) as day:
            check(path, day)
            rows = day.execute(f"SELECT {COLUMNS} FROM tags").fetchall()  # noqa: S608 - a constant
        database.executemany(
            f"INSERT OR IGNORE INTO tags({COLUMNS}, since) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(*row, now) for row in rows],
        )
