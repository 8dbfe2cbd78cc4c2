"""A history folder's files, copied whole while a historian writes them (docs/formats/history.md, "Backup")."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from historian.store.database import open_to_read
from historian.store.layout import catalogue_path, day_files, segments

PIECE_BYTES = 1 << 20
SETTLED_NS = (
    2 * 10**9
)  # file times may be 10 ms coarse: what was written so lately may be written again unseen

# What a backup leaves out: made anew at each start, of this run only, or set aside as unreadable.
LEFT_OUT = ("lock", "status.json", "inbox")
BESIDE_ENDINGS = (".sqlite", ".model")  # of a folder beside history: no private key and no log is in a backup
LEFT_OUT_ENDINGS = ("-wal", "-shm", "-journal", ".draft")


@dataclass(frozen=True, slots=True)
class Stamp:
    """What changes when a database file is written to: sizes and times of it and of its write-ahead log."""

    size: int
    changed_ns: int
    log_size: int
    log_changed_ns: int


@dataclass(frozen=True, slots=True)
class Copied:
    """A file as it was copied."""

    size: int
    sha256: str


def stamp_of(path: Path) -> Stamp | None:
    """None where the file was written to just now, so that a later change might not show. Raises OSError."""
    main = path.stat()
    log_size = log_changed = 0
    try:
        log = path.with_name(path.name + "-wal").stat()
        if log.st_size:
            log_size, log_changed = log.st_size, log.st_mtime_ns
    except FileNotFoundError:
        pass
    newest = max(main.st_mtime_ns, log_changed)
    if time.time_ns() - newest < SETTLED_NS:
        return None
    return Stamp(main.st_size, main.st_mtime_ns, log_size, log_changed)


def databases(directory: Path) -> list[Path]:
    """Day files first; the catalogue last, as it only grows and so knows every tag of what was copied before."""
    found = sorted(path for path in directory.rglob("*.sqlite") if _is_kept(path.relative_to(directory)))
    return sorted(found, key=lambda path: path == catalogue_path(directory))


def other_databases(directory: Path) -> list[Path]:
    """Databases besides day files and catalogue."""
    known = {*day_files(directory).values(), catalogue_path(directory)}
    return [path for path in databases(directory) if path not in known]


def other_files(directory: Path) -> list[Path]:
    """Everything else worth keeping, journal and databases aside."""
    found = []
    for path in sorted(directory.rglob("*")):
        inner = path.relative_to(directory)
        if _is_kept(inner) and path.suffix != ".sqlite" and path.is_file():
            found.append(path)
    return found


def files_beside(path: Path) -> list[Path]:
    """A file that stands beside history; of a folder there, what of it goes into a backup."""
    if not path.is_dir():
        return [path]
    return [one for one in sorted(path.iterdir()) if one.suffix in BESIDE_ENDINGS and one.is_file()]


def _is_kept(inner: Path) -> bool:
    return (
        inner.parts[0] not in (*LEFT_OUT, "journal")
        and ".damaged" not in inner.name
        and not inner.name.endswith(LEFT_OUT_ENDINGS)
    )


def copy_segments(directory: Path, to: Path) -> list[Path]:
    """The journal as it is now; segments that were packed meanwhile are in day files, to be copied after this."""
    to.mkdir(parents=True)
    for path in segments(directory).values():
        try:
            copy_file(path, to / path.name)
        except FileNotFoundError:
            continue
    still = {path.name for path in segments(directory).values()}
    kept = []
    for path in sorted(to.iterdir()):
        if path.name in still:
            kept.append(path)
        else:
            path.unlink()
    return kept


def copy_database(source: Path, to: Path) -> None:
    """One SQLite file as of one moment, by SQLite itself; durable. Raises OSError, sqlite3.Error."""
    with closing(open_to_read(source)) as database, closing(sqlite3.connect(to)) as target:
        target.execute("PRAGMA synchronous = OFF")  # synced once, below
        database.backup(target)
    sync_file(to)


def copy_file(source: Path, to: Path) -> Copied:
    """Bytes as they are; durable. Raises OSError."""
    digest = hashlib.sha256()
    size = 0
    with source.open("rb") as reading, to.open("xb") as writing:
        while piece := reading.read(PIECE_BYTES):
            digest.update(piece)
            size += len(piece)
            writing.write(piece)
        writing.flush()
        os.fsync(writing.fileno())
    return Copied(size, digest.hexdigest())


def measure(path: Path) -> Copied:
    """Size and hash of a file. Raises OSError."""
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
            size += len(piece)
    return Copied(size, digest.hexdigest())


def sync_file(path: Path) -> None:
    """Make a file's bytes last. Raises OSError."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
