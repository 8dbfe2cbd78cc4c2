"""Whatever is changed in a ledger's file is found, and said where."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from historian.ledger.book import Book
from historian.ledger.entry import (
    Account,
    Entry,
    KeyAction,
    KeyChange,
    Record,
    Role,
    decode_entry,
    encode_entry,
    transfer,
)
from historian.ledger.merkle import leaf_hash
from historian.ledger.pen import Pen
from historian.ledger.rows import Rows
from historian.ledger.verify import check_chunk, check_rows, verify
from historian.signing import SigningKey

OPERATOR = SigningKey.generate()
MEMBER = SigningKey.generate()


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven entries: one alone, bundles of four, one and three, a close, one of a member."""
    file = tmp_path_factory.mktemp("ledger") / "small.db"
    with Book.create(file, "demo", "market", OPERATOR) as book:
        pen = Pen(OPERATOR, book.id)
        accounts = [Account("a", "EUR", "market", True), Account("b", "EUR", "ev1")]
        enrol = KeyChange(KeyAction.ENROL, "ev1", Role.MEMBER, MEMBER.public)
        book.append([pen.sign([enrol, *accounts, transfer("one", "a", "b", "EUR", 500)])])
        book.append([pen.sign([Record("note", b"alone")])])
        book.append([pen.sign([transfer("", "a", "b", "EUR", n) for n in (1, 2, 3)])])
        book.close_period(OPERATOR)
        book.append([Pen(MEMBER, book.id).sign([transfer("", "b", "a", "EUR", 7)])])
    assert verify(file).is_sound
    return file


def rows_of(file: Path) -> list[tuple[int, bytes, bytes]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT * FROM entries ORDER BY sequence").fetchall()


@pytest.fixture
def copy(ledger: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(ledger, tmp_path / "copy.db"))


def change(file: Path, *statements: tuple[str, tuple[object, ...]]) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        for text, values in statements:
            connection.execute(text, values)


UPDATE = "UPDATE entries SET entry = ? WHERE sequence = ?"


def test_any_byte_that_is_changed_is_found_at_its_entry(copy: Path) -> None:
    rows = rows_of(copy)
    last = len(rows) - 1
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection, Rows(copy) as reader:
        connection.execute("PRAGMA synchronous = OFF")
        for sequence, content, kept in rows:
            for column, whole in (("entry", content), ("hash", kept)):
                for at in range(len(whole)):
                    changed = bytearray(whole)
                    changed[at] ^= 1 << at % 8
                    text = f"UPDATE entries SET {column} = ? WHERE sequence = ?"  # noqa: S608 - our own names
                    connection.execute(text, (bytes(changed), sequence))
                    faults = check_rows(reader, sequence, min(sequence + 1, last), last)
                    assert faults, f"byte {at} of the {column} of {sequence}"
                    assert min(faults).sequence == sequence, (at, column, faults)
                connection.execute(f"UPDATE entries SET {column} = ? WHERE sequence = ?", (whole, sequence))  # noqa: S608
    assert verify(copy).is_sound


@pytest.mark.parametrize("sequence", range(11))
def test_an_entry_that_is_deleted_is_found(copy: Path, sequence: int) -> None:
    tip = (10, rows_of(copy)[10][2])
    change(copy, ("DELETE FROM entries WHERE sequence = ?", (sequence,)))
    verdict = verify(copy, receipt=tip)
    assert verdict.faults[0].sequence == sequence
    # Without the receipt of it, that the last is missing shows by its request, which is left.
    assert not verify(copy).is_sound or sequence == 10


def test_a_tail_that_is_cut_off_is_found_by_a_receipt_and_only_by_one(copy: Path) -> None:
    tip = (10, rows_of(copy)[10][2])
    change(
        copy,
        ("DELETE FROM entries WHERE sequence = ?", (10,)),
        ("DELETE FROM requests WHERE sequence = ?", (10,)),
    )
    assert verify(copy).is_sound
    assert "was cut" in verify(copy, receipt=tip).faults[0].why


@pytest.mark.parametrize(("one", "other"), [(0, 1), (2, 3), (5, 6), (8, 9), (1, 10)])
def test_entries_that_changed_places_are_found(copy: Path, one: int, other: int) -> None:
    rows = rows_of(copy)
    both = (rows[one][1], rows[one][2], other), (rows[other][1], rows[other][2], one)
    change(copy, *(("UPDATE entries SET entry = ?, hash = ? WHERE sequence = ?", row) for row in both))
    assert verify(copy).faults[0].sequence == one


def chained_anew(file: Path, rows: list[tuple[int, bytes, bytes]], edited: dict[int, Entry]) -> None:
    """As a forger does who has the file and no key: every number and hash fits again."""
    change(file, ("DELETE FROM entries", ()))
    previous = bytes(32)
    with closing(sqlite3.connect(file)) as connection, connection:
        for sequence, (was, content, _) in enumerate(rows):
            entry = edited.get(was) or decode_entry(content)
            content = encode_entry(
                Entry(
                    sequence,
                    entry.placed_at_us,
                    previous,
                    entry.index,
                    entry.size,
                    entry.signature,
                    entry.statement,
                )
            )
            previous = leaf_hash(content)
            connection.execute("INSERT INTO entries VALUES (?, ?, ?)", (sequence, content, previous))


@pytest.mark.parametrize(("sequence", "bundle"), [(0, 0), (4, 1), (5, 5), (7, 6), (9, 9), (10, 10)])
def test_a_changed_amount_is_found_though_all_hashes_are_made_anew(
    copy: Path, sequence: int, bundle: int
) -> None:
    rows = rows_of(copy)
    entry = decode_entry(rows[sequence][1])
    changed = entry.statement[:-1] + bytes((entry.statement[-1] ^ 1,))
    forged = Entry(0, entry.placed_at_us, b"", entry.index, entry.size, entry.signature, changed)
    chained_anew(copy, rows, {sequence: forged})
    verdict = verify(copy)
    assert verdict.faults[0].sequence == bundle
    assert any("not signed by its signer" in fault.why for fault in verdict.faults)


@pytest.mark.parametrize("gone", [0, 2, 5, 7, 9])
def test_an_entry_left_out_is_found_though_all_hashes_are_made_anew(copy: Path, gone: int) -> None:
    rows = rows_of(copy)
    chained_anew(copy, rows[:gone] + rows[gone + 1 :], {})
    assert not verify(copy).is_sound


def test_an_entry_of_a_revoked_key_is_found(tmp_path: Path) -> None:
    file = tmp_path / "revoked.db"
    with Book.create(file, "demo", "market", OPERATOR) as book:
        pen, member = Pen(OPERATOR, book.id), Pen(MEMBER, book.id)
        book.append([pen.sign([KeyChange(KeyAction.ENROL, "ev1", Role.MEMBER, MEMBER.public)])])
        book.append([member.sign([Record("note", b"while it was valid")])])
        book.append([pen.sign([KeyChange(KeyAction.REVOKE, "ev1", Role.MEMBER, MEMBER.public)])])
        (late,) = (bundle := member.sign([Record("note", b"after it")])).statements
        head = book.state.head
    content = encode_entry(Entry(4, head.placed_at_us + 1, head.hash, 0, 1, bundle.signature, late))
    change(file, ("INSERT INTO entries VALUES (?, ?, ?)", (4, content, leaf_hash(content))))
    (fault,) = verify(file).faults
    assert fault.sequence == 4
    assert "rotated or revoked" in fault.why


def test_requests_that_were_changed_are_found(copy: Path) -> None:
    change(copy, ("UPDATE requests SET client = ? WHERE sequence = 4", (bytes(16),)))
    assert "done twice" in verify(copy).faults[0].why


def test_a_ledger_of_another_id_is_found(copy: Path) -> None:
    assert "not 0000" in verify(copy, ledger=bytes(32)).faults[0].why


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_chunks_of_any_size_see_every_fault_once(copy: Path, size: int) -> None:
    def faults() -> list[int]:
        return [
            f.sequence
            for first in range(0, 11, size)
            for f in check_chunk(copy, first, min(first + size - 1, 10), 10)
        ]

    assert faults() == []
    rows = rows_of(copy)
    forged = {5: decode_entry(rows[5][1]), 7: decode_entry(rows[7][1])}
    forged = {
        at: Entry(0, e.placed_at_us, b"", e.index, e.size, e.signature, e.statement[:-1] + b"\xff")
        for at, e in forged.items()
    }
    chained_anew(copy, rows, forged)
    assert faults() == [5, 6]


def test_processes_find_what_one_finds(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("historian.ledger.verify.ALONE", 0)
    monkeypatch.setattr("historian.ledger.verify.CHUNK", 4)
    content = rows_of(copy)[6][1]
    change(copy, (UPDATE, (content[:-1] + b"\x55", 6)))
    alone, together = verify(copy, processes=1), verify(copy, processes=2)
    assert together.faults == alone.faults
    assert together.faults[0].sequence == 6
