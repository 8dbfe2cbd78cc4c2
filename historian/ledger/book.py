"""The ledger's file, open for writing: batches are checked, placed whole, and on disk when ``append`` returns."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from historian.ledger.bundle import Bundle, is_signed_by_its_signer, sign
from historian.ledger.entry import (
    MOST_IN_BUNDLE,
    NO_LEDGER,
    Genesis,
    PeriodClose,
    Role,
    Statement,
    decode_entry,
    decode_statement,
    place_statement,
)
from historian.ledger.errors import LedgerError, NotALedger, Reason, Refused
from historian.ledger.merkle import leaf_hash
from historian.ledger.pen import VALIDITY_US, now_us
from historian.ledger.rows import BUSY_S, SCHEMA, check_file
from historian.ledger.state import Placed, State
from historian.signing import SigningKey

MOST_IN_BATCH = 10 * MOST_IN_BUNDLE  # about half a second of one core


class Receipt(NamedTuple):
    """Where a statement is; kept by its author, it shows later whether the ledger was cut or changed."""

    sequence: int
    placed_at_us: int
    hash: bytes
    is_new: bool = True


class _Batch:
    """Rows of one transaction."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, bytes, bytes]] = []
        self.requests: list[tuple[str, bytes, int]] = []
        self.snapshots: list[tuple[int, bytes]] = []
        self.asked: dict[tuple[str, bytes], int] = {}
        self.placed: list[Placed] = []


class Book:
    """A ledger. Several processes may have it open; each batch sees those of the others."""

    def __init__(self, connection: sqlite3.Connection, file: Path, clock: Callable[[], int]) -> None:
        self.file = file
        # Is told each entry from here on once it is on disk, in order, whoever placed it.
        self.follow: Callable[[Placed], None] | None = None
        self._connection = connection
        self._clock = clock
        self._state = State()

    @classmethod
    def create(
        cls, file: Path, name: str, operator: str, key: SigningKey, clock: Callable[[], int] = now_us
    ) -> Book:
        """A new ledger, begun; ``NotALedger`` where the file has something in it."""
        book = cls(_connect(file), file, clock)
        try:
            book._begin(name, operator, key)
        except (LedgerError, sqlite3.Error):
            book.close()
            raise
        return book

    def _begin(self, name: str, operator: str, key: SigningKey) -> None:
        now = self._clock()
        body = Genesis(name, operator)
        # The random client id makes two ledgers of one name and key two ledgers.
        statement = Statement(NO_LEDGER, key.public, now, os.urandom(16), now, now + VALIDITY_US, body)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            if self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
                raise NotALedger(f"{self.file} is there already")
            for line in SCHEMA:
                self._connection.execute(line)
            batch = _Batch()
            self._place(sign(key, [statement]), batch)
            self._write(batch)
        except (LedgerError, sqlite3.Error):
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        self._state.keep()
        _sync_folder(self.file.parent)

    @classmethod
    def open(cls, file: Path, clock: Callable[[], int] = now_us) -> Book:
        """A ledger that is there; its state is the last snapshot and the entries after it."""
        if not file.is_file():
            raise NotALedger(f"{file}: no such file")
        book = cls(_connect(file), file, clock)
        try:
            check_file(book._connection, file)
            book._catch_up()
            _sync_folder(file.parent)  # SQLite made the write-ahead log anew
        except (LedgerError, sqlite3.Error):
            book.close()
            raise
        return book

    def __enter__(self) -> Book:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @property
    def state(self) -> State:
        """The state after the last entry this process knows of. To look at, not to change."""
        return self._state

    @property
    def id(self) -> bytes:
        """What statements for this ledger name it by."""
        return self._state.ledger

    # ------------------------------------------------------------ appending

    def append(self, bundles: Sequence[Bundle]) -> list[Receipt]:
        """Place all statements of all bundles, or none: ``Refused`` says which and why.

        A bundle that was placed before gets its first receipts again.
        """
        size = sum(len(bundle.statements) for bundle in bundles)
        if size > MOST_IN_BATCH:
            raise Refused(Reason.OVERSIZED, f"a batch of {size} statements: {MOST_IN_BATCH} at most")
        for number, bundle in enumerate(bundles):
            if not is_signed_by_its_signer(bundle):
                raise Refused(Reason.FORGED, f"bundle {number}: the signature is not its signer's")
        return self._transact(
            lambda batch: [receipt for bundle in bundles for receipt in self._place(bundle, batch)]
        )

    def close_period(self, key: SigningKey) -> Receipt:
        """End the settlement period with what is in the ledger now, signed by an operator."""

        def place(batch: _Batch) -> list[Receipt]:
            state = self._state
            author = state.authors.get(state.keys.get(key.public, ""))
            now = self._clock()
            number = max(author.number + 1 if author else 1, now)
            body = state.close_now()
            statement = Statement(
                state.ledger, key.public, number, os.urandom(16), now, now + VALIDITY_US, body
            )
            return self._place(sign(key, [statement]), batch)

        return self._transact(place)[0]

    def _transact(self, place: Callable[[_Batch], list[Receipt]]) -> list[Receipt]:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            self._catch_up()
            batch = _Batch()
            receipts = place(batch)
            self._write(batch)
            connection.execute("COMMIT")
            self._state.keep()
        except sqlite3.Error as error:
            # Whether it is on disk is known after reading again; the author asks again by the client ids.
            self._state = State()
            raise LedgerError(f"{self.file}: not written: {error}") from error
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._state.undo()
        if self.follow is not None:
            for placed in batch.placed:
                self.follow(placed)
        return receipts

    def _place(self, bundle: Bundle, batch: _Batch) -> list[Receipt]:
        state = self._state
        statements = [decode_statement(encoded) for encoded in bundle.statements]
        author = state.author_of(statements[0])
        clients = [statement.client for statement in statements]
        if self._may_be_placed(author, clients, batch) and any(
            placed := [self._receipt_of(author, client, batch) for client in clients]
        ):
            return self._placed_before(bundle, placed, batch)
        receipts = []
        head = state.head
        placed_at_us = max(self._clock(), head.placed_at_us)
        size, signature = len(statements), bundle.signature
        for index, (statement, encoded) in enumerate(zip(statements, bundle.statements, strict=True)):
            sequence, client = head.sequence + 1, statement.client
            is_close = isinstance(statement.body, PeriodClose)
            if is_close:
                batch.snapshots.append((head.sequence, state.encode()))
            try:
                state.apply(statement, encoded, placed_at_us)
            except Refused as refused:
                where = f"statement {index} of {author}, number {statement.number}"
                raise Refused(refused.reason, f"{where}: {refused.why}") from None
            if (author, client) in batch.asked:
                raise Refused(Reason.CONFLICT, f"statement {index} of {author}: its client id comes twice")
            entry = place_statement(sequence, placed_at_us, head.hash, index, size, signature, encoded)
            entry_hash = leaf_hash(entry)
            state.take_entry(sequence, placed_at_us, entry_hash, is_close=is_close)
            batch.asked[author, client] = len(batch.entries)
            batch.entries.append((sequence, entry, entry_hash))
            batch.requests.append((author, client, sequence))
            if self.follow is not None:
                batch.placed.append(self._placed(sequence, placed_at_us, author, statement))
            receipts.append(Receipt(sequence, placed_at_us, entry_hash))
        return receipts

    def has_request(self, author: str, client: bytes) -> bool:
        """Whether an author's request of this client id is in the ledger, in force or void."""
        return self.sequence_of(author, client) is not None

    def sequence_of(self, author: str, client: bytes) -> int | None:
        """Which entry an author's request of this client id is; None where it is not in the ledger."""
        row = self._connection.execute(
            "SELECT sequence FROM requests WHERE author = ? AND client = ?", (author, client)
        ).fetchone()
        return None if row is None else int(row[0])

    def _may_be_placed(self, author: str, clients: list[bytes], batch: _Batch) -> bool:
        """False where all are new: of ids that ascend, one question tells."""
        if batch.asked and any((author, client) in batch.asked for client in clients):
            return True
        row = self._connection.execute(
            "SELECT 1 FROM requests WHERE author = ? AND client BETWEEN ? AND ? LIMIT 1",
            (author, min(clients), max(clients)),
        ).fetchone()
        return row is not None

    def _receipt_of(self, author: str, client: bytes, batch: _Batch) -> tuple[int, bytes, bytes] | None:
        """The row of the entry that this request has already."""
        if batch.asked and (index := batch.asked.get((author, client))) is not None:
            return batch.entries[index]
        row: tuple[int, bytes, bytes] | None = self._connection.execute(
            "SELECT sequence, entry, hash FROM entries WHERE sequence ="
            " (SELECT sequence FROM requests WHERE author = ? AND client = ?)",
            (author, client),
        ).fetchone()
        return row

    def _placed_before(
        self, bundle: Bundle, placed: list[tuple[int, bytes, bytes] | None], batch: _Batch
    ) -> list[Receipt]:
        receipts = []
        for index, (row, encoded) in enumerate(zip(placed, bundle.statements, strict=True)):
            if row is None:
                raise Refused(
                    Reason.CONFLICT,
                    f"statement {index} is new, others of its bundle not: send it alone",
                )
            entry = decode_entry(row[1])
            if _content(entry.statement) != _content(encoded):
                raise Refused(
                    Reason.CONFLICT,
                    f"statement {index}: its client id stands for entry {row[0]}",
                )
            receipts.append(Receipt(row[0], entry.placed_at_us, row[2], is_new=False))
        return receipts

    def _write(self, batch: _Batch) -> None:
        self._connection.executemany("INSERT INTO entries VALUES (?, ?, ?)", batch.entries)
        self._connection.executemany("INSERT INTO requests VALUES (?, ?, ?)", batch.requests)
        self._connection.executemany("INSERT INTO snapshots VALUES (?, ?)", batch.snapshots)

    # ------------------------------------------------------------ reading

    def placed(self, after: int) -> Iterator[Placed]:
        """The entries after this one, as far as this process knows of them."""
        rows = self._connection.execute(
            "SELECT entry FROM entries WHERE sequence > ? AND sequence <= ? ORDER BY sequence",
            (after, self._state.head.sequence),
        )
        for (content,) in rows:
            entry = decode_entry(content)
            statement = decode_statement(entry.statement)
            author = self._state.author_of(statement)
            yield self._placed(entry.sequence, entry.placed_at_us, author, statement)

    def _placed(self, sequence: int, placed_at_us: int, author: str, statement: Statement) -> Placed:
        is_operator = self._state.authors[author].role is Role.OPERATOR
        return Placed(sequence, placed_at_us, author, is_operator, statement)

    def _catch_up(self) -> None:
        """Apply what another process placed, or (at first) all since the last snapshot."""
        if self._state.head.sequence < 0:
            self._restore()
        rows = self._connection.execute(
            "SELECT entry, hash FROM entries WHERE sequence > ? ORDER BY sequence",
            (self._state.head.sequence,),
        )
        for content, entry_hash in rows:
            statement = replay(self._state, content, entry_hash)
            if self.follow is not None:
                head = self._state.head
                author = self._state.keys[statement.signer]
                self.follow(self._placed(head.sequence, head.placed_at_us, author, statement))
        if self._state.head.sequence < 0:
            raise NotALedger(f"{self.file} has no entry")
        self._state.keep()

    def _restore(self) -> None:
        row = self._connection.execute(
            "SELECT s.state, e.entry FROM snapshots s JOIN entries e ON e.sequence = s.sequence + 1"
            " ORDER BY s.sequence DESC LIMIT 1"
        ).fetchone()
        if row is None:
            return
        snapshot, content = row
        if not isinstance(snapshot, bytes) or not isinstance(content, bytes):
            raise NotALedger(f"{self.file}: the last snapshot is damaged: it is no bytes")
        body = decode_statement(decode_entry(content).statement).body
        if not isinstance(body, PeriodClose) or leaf_hash(snapshot) != body.state:
            raise NotALedger(f"{self.file}: the last snapshot is damaged; see `tieline ledger verify`")
        try:
            self._state = State.decode(snapshot)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # An operator may have signed the digest of anything.
            raise NotALedger(f"{self.file}: the last snapshot is no state: {error}"[:300]) from error


def replay(state: State, content: object, entry_hash: object) -> Statement:
    """Apply an entry of the file; ``NotALedger`` where it does not follow, or would have been refused."""
    sequence = state.head.sequence + 1
    if not isinstance(content, bytes) or not isinstance(entry_hash, bytes):  # SQLite keeps any type anywhere
        raise NotALedger(f"entry {sequence} is no bytes")
    try:
        entry = decode_entry(content)
        statement = decode_statement(entry.statement)
        if (entry.sequence, entry.previous) != (sequence, state.head.hash):
            raise NotALedger(f"entry {sequence} does not follow the one before")
        if entry.placed_at_us < state.head.placed_at_us:
            raise NotALedger(f"entry {sequence} is placed before the one before it")
        state.apply(statement, entry.statement, entry.placed_at_us)
    except Refused as refused:
        raise NotALedger(f"entry {sequence} does not count: {refused}") from refused
    is_close = isinstance(statement.body, PeriodClose)
    state.take_entry(sequence, entry.placed_at_us, entry_hash, is_close=is_close)
    return statement


def _content(statement: bytes) -> bytes:
    """What is asked for: kind and body, whenever and with whatever key."""
    return statement[1:2] + statement[106:]


def _connect(file: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(file, timeout=BUSY_S, isolation_level=None)
    except sqlite3.Error as error:
        raise NotALedger(f"{file}: {error}") from error
    try:
        connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error as error:
        connection.close()
        raise NotALedger(f"{file}: {error}") from error
    return connection


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
