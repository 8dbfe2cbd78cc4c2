"""The SQLite file of a ledger: its schema, and reading it without changing it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from historian.ledger.entry import Entry, PeriodClose, decode_entry, decode_statement
from historian.ledger.errors import NotALedger

APPLICATION_ID = 0x54494C47  # "TILG"
FILE_VERSION = 1
BUSY_S = 10.0  # another writer's batch of 10,000 takes under a second

SCHEMA = (
    "CREATE TABLE entries (sequence INTEGER PRIMARY KEY, entry BLOB NOT NULL, hash BLOB NOT NULL)",
    "CREATE TABLE requests (author TEXT, client BLOB, sequence INTEGER NOT NULL, PRIMARY KEY (author, client))"
    " WITHOUT ROWID",
    "CREATE TABLE snapshots (sequence INTEGER PRIMARY KEY, state BLOB NOT NULL)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {FILE_VERSION}",
)


def check_file(connection: sqlite3.Connection, file: Path) -> None:
    """``NotALedger`` where the file is none of this version."""
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.DatabaseError as error:
        raise NotALedger(f"{file}: {error}") from error
    if application != APPLICATION_ID:
        raise NotALedger(f"{file} is no ledger")
    if version != FILE_VERSION:
        raise NotALedger(f"{file} is of version {version}; this program reads version {FILE_VERSION}")


class Rows:
    """A ledger's file, open for reading; a writer may go on meanwhile."""

    def __init__(self, file: Path) -> None:
        if not file.is_file():
            raise NotALedger(f"{file}: no such file")
        where = f"file:{quote(str(file.resolve()))}?mode=ro"
        if not os.access(file.parent, os.W_OK) and not Path(f"{file}-wal").exists():
            where += "&immutable=1"  # a medium that nobody writes: SQLite could not make its lock file there
        try:
            self.connection = sqlite3.connect(where, uri=True, timeout=BUSY_S, isolation_level=None)
        except sqlite3.Error as error:
            raise NotALedger(f"{file}: {error}") from error
        self.file = file
        try:
            check_file(self.connection, file)
        except NotALedger:
            self.close()
            raise

    def __enter__(self) -> Rows:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self.connection.close()

    def last(self) -> int:
        """The last sequence; -1 where there is no entry."""
        (last,) = self.connection.execute("SELECT max(sequence) FROM entries").fetchone()
        return -1 if last is None else int(last)

    def raw(self, first: int, last: int) -> Iterator[tuple[int, bytes, bytes]]:
        """Sequence, entry and hash as they are in the file, whatever they are."""
        return self.connection.execute(
            "SELECT sequence, entry, hash FROM entries WHERE sequence BETWEEN ? AND ? ORDER BY sequence",
            (first, last),
        )

    def entry(self, sequence: int) -> Entry:
        """One entry."""
        row = next(self.raw(sequence, sequence), None)
        if row is None:
            raise NotALedger(f"{self.file} has no entry {sequence}: its last is {self.last()}")
        return decode_entry(row[1])

    def leaves(self, first: int, count: int) -> list[bytes]:
        """The hashes of entries, which are leaves of a period's tree."""
        found = [row[2] for row in self.raw(first, first + count - 1)]
        if len(found) != count:
            raise NotALedger(f"{self.file} has {len(found)} of the {count} entries from {first}")
        return found

    def closes(self) -> Iterator[tuple[int, PeriodClose]]:
        """The entries that close periods, in order."""
        for (sequence,) in self.connection.execute(
            "SELECT sequence FROM snapshots ORDER BY sequence"
        ).fetchall():
            body = decode_statement(self.entry(sequence + 1).statement).body
            if not isinstance(body, PeriodClose):
                raise NotALedger(
                    f"{self.file}: entry {sequence + 1} closes no period, and there is a snapshot of it"
                )
            yield sequence + 1, body
