"""A site's ledger and keys: found as they were left, or begun at the first start.

Beside the ledger stands a file ``NAME.id`` with its id. A ledger that is gone is not silently begun anew: members'
money would be gone with it.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.config.market import MarketSettings
from historian.ledger.book import Book
from historian.ledger.errors import NotALedger
from historian.ledger.rows import Rows
from historian.signing import KeyFileError, SigningKey
from historian.store.durable import sync_directory

log = logging.getLogger(__name__)

ROOM_BYTES = 1 << 20  # the log of some hundred orders, or of a gate and the settlement of a community


@dataclass(frozen=True, slots=True)
class Opened:
    """The book, the operator's key, and the members' that the site holds."""

    book: Book
    key: SigningKey
    held: dict[str, SigningKey]
    closed_at_us: int  # when its last period was closed, or it was begun


def open_market(settings: MarketSettings, state: Path, site: str, clock: Callable[[], int]) -> Opened:
    """Raises NotALedger, LedgerError, KeyFileError, OSError, sqlite3.Error."""
    file, key_file = state / settings.ledger, state / settings.key
    id_file = Path(f"{file}.id")
    if not file.exists():
        if id_file.exists():
            raise NotALedger(
                f"{file} is gone: bring it back from a backup, or remove {id_file} to begin another ledger"
            )
        _begin(file, site, settings.operator, _made(key_file), clock)
        log.info("began the ledger %s", file)
    key = SigningKey.load(key_file)
    held = {member.name: _made(state / member.key) for member in settings.members if member.key}
    book = Book.open(file, clock)
    try:
        _check_id(id_file, book)
        author = book.state.authors.get(settings.operator)
        if author is None:
            raise NotALedger(f"{file} is run by another operator than {settings.operator}")
        if author.key != key.public:
            raise KeyFileError(f"{key_file} is not the key of {settings.operator} in {file}")
        return Opened(book, key, held, _closed_at(file))
    except BaseException:
        book.close()
        raise


def check_room(settings: MarketSettings, state: Path) -> None:
    """Raises OSError where the ledger cannot grow: that it can be opened does not tell."""
    file = state / f"{settings.ledger}.room"
    try:
        with file.open("wb") as opened:
            opened.write(os.urandom(ROOM_BYTES))  # what does not compress takes as much as it is long
            opened.flush()
            os.fsync(opened.fileno())
    finally:
        file.unlink(missing_ok=True)


def _begin(file: Path, site: str, operator: str, key: SigningKey, clock: Callable[[], int]) -> None:
    """A new ledger, whole under its name or not at all: half of one would be refused at each start from then on.

    Raises OSError, sqlite3.Error, LedgerError.
    """
    draft = file.with_name(file.name + ".draft")
    log_file = draft.with_name(draft.name + "-wal")
    for name in (log_file, draft.with_name(draft.name + "-shm"), draft):
        name.unlink(missing_ok=True)  # of a try that was cut off
    Book.create(draft, site, operator, key, clock).close()
    if log_file.exists():  # closing takes it into the file, and says nothing where there is no room for that
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(draft))
    draft.rename(file)
    sync_directory(file.parent)


def _made(file: Path) -> SigningKey:
    """The key in the file; a new one where there is no file."""
    if not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        SigningKey.generate().save(file)
        log.info("made the key %s", file)
    return SigningKey.load(file)


def _check_id(id_file: Path, book: Book) -> None:
    known = id_file.read_text(encoding="ascii").strip() if id_file.exists() else ""
    if not known:
        # A ledger that was begun elsewhere is as good; from here on it is this one.
        part = Path(f"{id_file}.part")
        with part.open("w", encoding="ascii") as opened:
            opened.write(book.id.hex() + "\n")
            opened.flush()
            os.fsync(opened.fileno())
        part.replace(id_file)
    elif known != book.id.hex():
        raise NotALedger(f"{book.file} is the ledger {book.id.hex()}, not {known} as {id_file} says")


def _closed_at(file: Path) -> int:
    with Rows(file) as rows:
        last = 0
        for sequence, _ in rows.closes():
            last = sequence
        return rows.entry(last).placed_at_us
