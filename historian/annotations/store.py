"""Annotations in a history folder (docs/formats/annotations.md); any process of the same user may write and read.

A change is a new version, also a deletion: the table is only ever added to. Each call is one transaction, durable
when it returns; those of several processes take turns.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from historian.errors import HistoryError
from historian.store.database import check, connect_to_read, open_to_write, prepare

MAX_TEXT = 10_000  # characters: a page and a half
MAX_AUTHOR = 64  # of a user's name
MOST_FOUND = 100_000  # of one answer; more belong in several questions
OPEN_TRIES = 50  # SQLite does not wait for who just makes the file
OPEN_PAUSE_S = 0.1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS versions(id INTEGER NOT NULL, version INTEGER NOT NULL, tag TEXT NOT NULL,
    time INTEGER NOT NULL, author TEXT NOT NULL, text TEXT NOT NULL, made INTEGER NOT NULL,
    is_deleted INTEGER NOT NULL, PRIMARY KEY(id, version)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS versions_by_time ON versions(time);
"""
_COLUMNS = "id, version, tag, time, author, text, made, is_deleted"
_PRESENT = "version = (SELECT max(version) FROM versions other WHERE other.id = versions.id)"


@dataclass(frozen=True, slots=True)
class Annotation:
    """One version of a note on ``tag`` at ``time``, which ``author`` made at ``made``; times are UTC ns.

    Versions count from 1. A deleted one has the text that it had.
    """

    id: int
    version: int
    tag: str
    time: int
    author: str
    text: str
    made: int
    is_deleted: bool


class NoSuchAnnotation(HistoryError):  # noqa: N818 - reads as what it is
    """There is none of this number, or it was deleted."""

    def __init__(self, id: int, why: str = "there is none of this number") -> None:
        super().__init__(f"annotation {id}: {why}")
        self.id = id


def annotations_path(directory: Path) -> Path:
    """In a history folder."""
    return directory / "annotations.sqlite"


class Annotations:
    """Notes in one history folder. Blocking; every call raises HistoryError where the file cannot be used."""

    def __init__(self, directory: Path, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._path = annotations_path(directory)
        self._clock = clock

    def add(self, tag: str, time_ns: int, text: str, author: str) -> Annotation:
        """A new note. Raises ValueError where a text is empty or too long."""
        _check_words(text, author)
        with self._writing() as database:
            (last,) = database.execute("SELECT max(id) FROM versions").fetchone()
            made = Annotation((last or 0) + 1, 1, tag, time_ns, author, text, self._clock(), False)
            return _put(database, made)

    def edit(self, id: int, text: str, author: str) -> Annotation:
        """Another text for a note. Raises NoSuchAnnotation, ValueError."""
        _check_words(text, author)
        with self._writing() as database:
            before = _present(database, id)
            made = (before.id, before.version + 1, before.tag, before.time)
            return _put(database, Annotation(*made, author, text, self._clock(), False))

    def delete(self, id: int, author: str) -> Annotation:
        """Mark a note as deleted. Raises NoSuchAnnotation, ValueError."""
        _check_words("deleted", author)
        with self._writing() as database:
            before = _present(database, id)
            made = (before.id, before.version + 1, before.tag, before.time)
            return _put(database, Annotation(*made, author, before.text, self._clock(), True))

    def find(
        self,
        start_ns: int,
        end_ns: int,
        *,
        tag: str | None = None,
        all_versions: bool = False,
        limit: int = MOST_FOUND,
    ) -> list[Annotation]:
        """Notes on [start_ns, end_ns) by time, as they are now; with ``all_versions`` as they ever were, deleted too.

        ``tag`` may have ``*`` for any letters.
        """
        asked = "time >= ? AND time < ?"
        given: list[int | str] = [start_ns, end_ns]
        if tag is not None:
            asked += " AND tag GLOB ?"
            given.append(tag)
        if not all_versions:
            asked += f" AND NOT is_deleted AND {_PRESENT}"
        question = f"SELECT {_COLUMNS} FROM versions WHERE {asked} ORDER BY time, id, version LIMIT ?"  # noqa: S608 - ours
        return self._read(question, (*given, limit))

    def versions(self, id: int) -> list[Annotation]:
        """Every version of one note, the oldest first; none where there is no such note."""
        return self._read(f"SELECT {_COLUMNS} FROM versions WHERE id = ? ORDER BY version", (id,))  # noqa: S608 - ours

    def times(self, tag: str, start_ns: int, end_ns: int) -> NDArray[np.int64]:
        """When the notes on one tag of [start_ns, end_ns) are, shape (n,), as they are now; ascending."""
        asked = f"tag = ? AND time >= ? AND time < ? AND NOT is_deleted AND {_PRESENT}"
        question = f"SELECT time FROM versions WHERE {asked} ORDER BY time"  # noqa: S608 - ours
        return np.array([row[0] for row in self._rows(question, (tag, start_ns, end_ns))], np.int64)

    def _read(self, question: str, given: Sequence[int | str]) -> list[Annotation]:
        return [_annotation(row) for row in self._rows(question, given)]

    def _rows(self, question: str, given: Sequence[int | str]) -> list[Sequence[int | str]]:
        try:
            with connect_to_read(self._path) as database:
                check(self._path, database)
                return database.execute(question, given).fetchall()
        except FileNotFoundError:
            return []
        except sqlite3.Error as error:
            raise HistoryError(f"{self._path}: {error}") from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that nobody else writes in; nothing is kept where the body raises."""
        if not self._path.parent.is_dir():
            raise HistoryError(f"{self._path.parent} is not there: no historian has run for this site")
        try:
            database = self._open()
        except sqlite3.Error as error:
            raise HistoryError(f"{self._path}: {error}") from error
        try:
            database.execute("BEGIN IMMEDIATE")
            yield database
            database.execute("COMMIT")
        except sqlite3.Error as error:
            raise HistoryError(f"{self._path}: {error}") from error
        finally:
            database.close()  # what is not committed is rolled back

    def _open(self) -> sqlite3.Connection:
        for last in range(OPEN_TRIES - 1, -1, -1):
            try:
                database = open_to_write(self._path)
                try:
                    prepare(self._path, database, _SCHEMA)
                except BaseException:
                    database.close()
                    raise
                return database
            except sqlite3.OperationalError as error:
                if not last or "locked" not in str(error):
                    raise
                time.sleep(OPEN_PAUSE_S)
        raise AssertionError("the last try returns or raises")


def _check_words(text: str, author: str) -> None:
    if not text.strip() or not author.strip():
        raise ValueError("an annotation needs a text, and somebody who writes it")
    if len(text) > MAX_TEXT or len(author) > MAX_AUTHOR:
        raise ValueError(f"a text has at most {MAX_TEXT:,} characters, a name {MAX_AUTHOR}")


def _present(database: sqlite3.Connection, id: int) -> Annotation:
    row = database.execute(
        f"SELECT {_COLUMNS} FROM versions WHERE id = ? ORDER BY version DESC LIMIT 1",  # noqa: S608 - ours
        (id,),
    ).fetchone()
    if row is None:
        raise NoSuchAnnotation(id)
    found = _annotation(row)
    if found.is_deleted:
        raise NoSuchAnnotation(id, f"{found.author} deleted it")
    return found


def _put(database: sqlite3.Connection, made: Annotation) -> Annotation:
    values = (made.id, made.version, made.tag, made.time, made.author, made.text, made.made, made.is_deleted)
    database.execute("INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
    return made


def _annotation(row: Sequence[int | str]) -> Annotation:
    id, version, tag, time_ns, author, text, made, is_deleted = row
    return Annotation(
        int(id), int(version), str(tag), int(time_ns), str(author), str(text), int(made), bool(is_deleted)
    )
