"""How SQLite files are opened here: what each connection is set to, and why."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from historian.errors import UnknownFormat
from historian.store.durable import sync_directory

APPLICATION_ID = 0x544C4849  # "TLHI"
FORMAT = 1
BUSY_S = 5.0  # a reader recovering after a crash holds the lock for milliseconds; a second is already a fault

PAGE_BYTES = 4096
CHECKPOINT_BYTES = (
    64 << 20
)  # what is merged before it comes to that is written to the database itself but once
LOG_BYTES = 4 << 20  # of the log's file left behind by a checkpoint


def open_to_write(path: Path) -> sqlite3.Connection:
    """A connection in autocommit mode; transactions are begun by name.

    WAL mode lets readers read while a transaction is written; synchronous=FULL makes COMMIT durable, which it must
    be, since the journal segment is deleted after it. Raises sqlite3.Error.
    """
    database = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        database.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_BYTES // PAGE_BYTES}")
        database.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
    except sqlite3.Error:
        database.close()
        raise
    return database


def open_made(path: Path, schema: str) -> sqlite3.Connection:
    """`open_to_write` a file of these tables, made where there is none.

    Raises sqlite3.Error, UnknownFormat, OSError.
    """
    if not path.exists():
        create(path, schema)
    database = open_to_write(path)
    try:
        prepare(path, database, schema)
    except BaseException:
        database.close()
        raise
    return database


@contextmanager
def connect(path: Path) -> Iterator[sqlite3.Connection]:
    """`open_to_write`, closed at the end; what is not committed is rolled back."""
    with closing(open_to_write(path)) as database:
        yield database


def open_to_read(path: Path) -> sqlite3.Connection:
    """A connection that cannot write. Raises sqlite3.Error, FileNotFoundError.

    SQLite wants to make its ``-shm`` file beside a database in WAL mode. Where this user may not write there, or the
    disk is full, and nothing is in a ``-wal``, nothing is being written, and the file can be read as it lies.
    """
    if not path.exists():
        raise FileNotFoundError(path)
    name = path.resolve().as_uri()
    database = sqlite3.connect(
        f"{name}?mode=ro", uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False
    )
    try:
        database.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
    except sqlite3.OperationalError:
        database.close()
        write_ahead = path.with_name(path.name + "-wal")
        if write_ahead.exists() and write_ahead.stat().st_size:
            raise
        return _open_as_it_lies(path)
    except sqlite3.Error:
        database.close()
        raise
    return database


def open_checked(path: Path) -> sqlite3.Connection:
    """`open_to_read` a file of ours. Raises sqlite3.Error, FileNotFoundError, UnknownFormat."""
    database = open_to_read(path)
    try:
        check(path, database)
    except BaseException:
        database.close()
        raise
    return database


def open_at_rest(path: Path) -> sqlite3.Connection:
    """`open_to_read` by who keeps others from writing: without a log a file is read as it lies, in half the time.

    What is left out are locks and the ``-shm`` file. Raises sqlite3.Error, FileNotFoundError.
    """
    log = path.with_name(path.name + "-wal")
    return open_to_read(path) if log.exists() and log.stat().st_size else _open_as_it_lies(path)


def _open_as_it_lies(path: Path) -> sqlite3.Connection:
    name = path.absolute().as_uri()
    return sqlite3.connect(
        f"{name}?mode=ro&immutable=1", uri=True, isolation_level=None, check_same_thread=False
    )


@contextmanager
def connect_to_read(path: Path) -> Iterator[sqlite3.Connection]:
    """`open_to_read`, closed at the end."""
    with closing(open_to_read(path)) as database:
        yield database


def prepare(path: Path, database: sqlite3.Connection, schema: str) -> None:
    """Make the tables in a new file, all or none. Raises UnknownFormat where the file is of another version."""
    if database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        check(path, database)
        return
    database.executescript(
        f"BEGIN IMMEDIATE; {schema}"
        f" PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT}; COMMIT;"
    )


def create(path: Path, schema: str, fill: Callable[[sqlite3.Connection], object] | None = None) -> None:
    """Make a database with its tables, and what ``fill`` puts there: whole under this name, or not at all.

    Nobody ever meets a file without tables, be it that the power went. Raises sqlite3.Error, OSError.
    """
    draft = path.with_name(path.name + ".draft")
    for name in (draft.name + "-wal", draft.name + "-shm", draft.name):
        draft.with_name(name).unlink(missing_ok=True)  # of a try that was cut off
    with connect(draft) as database:
        prepare(draft, database, schema)
        if fill is not None:
            fill(database)
        # By name: closing does it too, but says nothing where the disk is full, and the log keeps the draft's name.
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    draft.rename(path)
    sync_directory(path.parent)


def check(path: Path, database: sqlite3.Connection) -> None:
    """Raises UnknownFormat where the file is none of ours, or of another version."""
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID or version != FORMAT:
        raise UnknownFormat(
            f"{path}: application {application:#x}, version {version}; this program reads {FORMAT}"
        )
