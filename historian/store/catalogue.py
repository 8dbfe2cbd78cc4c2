"""The catalogue: which tag has which id, for ever, and the gaps in history (docs/formats/history.md)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gateway.config.site import Tag
from gateway.tags.tag import ValueType
from historian.errors import UnknownFormat
from historian.store.database import check, connect, connect_to_read, create
from historian.store.frame import GapFrame
from historian.store.journal import read_segment
from historian.store.layout import catalogue_path, day_files, segments

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
        with connect(self._path) as database:
            database.execute("BEGIN IMMEDIATE")
            for tag in chosen:
                database.execute(
                    "INSERT INTO tags(path, type, unit, decimals, low, high, stepped, description, since)"
                    " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(path, type) DO UPDATE SET unit = excluded.unit,"
                    " decimals = excluded.decimals, low = excluded.low, high = excluded.high,"
                    " stepped = excluded.stepped,"
                    " description = excluded.description, since = excluded.since",
                    (
                        tag.name,
                        int(tag.type),
                        tag.unit,
                        tag.decimals,
                        tag.low,
                        tag.high,
                        int(not tag.sloped),
                        tag.description,
                        now,
                    ),
                )
            database.execute("COMMIT")
            self._read(database)
        by_name = {(entry.path, entry.type): entry for entry in self._entries.values()}
        return [by_name[tag.name, tag.type] for tag in chosen]

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

    def _read(self, database: sqlite3.Connection) -> None:
        rows = database.execute(f"SELECT {COLUMNS} FROM tags")  # noqa: S608 - a constant
        self._entries = {row[0]: entry_of(row) for row in rows}

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
