"""Is a ledger what was written? From the file alone: chain, signatures, rules, periods, snapshots."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from historian.ledger.book import replay
from historian.ledger.bundle import is_signed
from historian.ledger.entry import MOST_IN_BUNDLE, Entry, PeriodClose, decode_entry, signer_of
from historian.ledger.errors import NotALedger, Refused
from historian.ledger.merkle import leaf_hash, root
from historian.ledger.rows import Rows
from historian.ledger.state import State

CHUNK = 10_000  # entries a task: about 5 MB
ALONE = 20_000  # up to so many, starting processes takes longer than the work
MOST_FAULTS = 100  # told; after so many the file is not worth more words


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """What is wrong, and at which entry."""

    sequence: int
    why: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found. ``state`` is that after the last entry that counts."""

    entries: int
    state: State
    faults: tuple[Fault, ...]

    @property
    def is_sound(self) -> bool:
        """No fault."""
        return not self.faults


def verify(
    file: Path,
    *,
    ledger: bytes | None = None,
    receipt: tuple[int, bytes] | None = None,
    processes: int | None = None,
) -> Verdict:
    """Check every entry. ``ledger`` is the id its authors know; ``receipt`` one that somebody kept."""
    with Rows(file) as rows:
        # One reading: what a writer adds meanwhile is not looked at.
        last = rows.last()
        wanted = processes or os.cpu_count() or 1
        starts = range(0, last + 1, CHUNK)
        if last < ALONE or wanted == 1:
            state, faults = _replayed(rows, last)
            for first in starts:
                faults += check_rows(rows, first, min(first + CHUNK - 1, last), last)
        else:
            # Fresh processes: a fork of one with threads and open SQLite files is not safe.
            fresh = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(wanted, fresh) as pool:
                tasks: list[Future[list[Fault]]] = [
                    pool.submit(check_chunk, file, first, min(first + CHUNK - 1, last), last)
                    for first in starts
                ]
                state, faults = _replayed(rows, last)
                for task in tasks:
                    faults += task.result()
        if last < 0:
            faults.append(Fault(0, "there is no entry"))
        if ledger is not None and state.ledger != ledger:
            faults.append(Fault(0, f"this is the ledger {state.ledger.hex()}, not {ledger.hex()}"))
        if receipt is not None:
            faults += _missed(rows, *receipt)
    # Of one entry, the check of its bytes says more than that its rules fail.
    return Verdict(last + 1, state, tuple(sorted(set(faults))[:MOST_FAULTS]))


def _missed(rows: Rows, sequence: int, kept: bytes) -> Iterator[Fault]:
    row = next(rows.raw(sequence, sequence), None)
    if row is None:
        yield Fault(sequence, "there is a receipt of it and it is not here: the ledger was cut")
    elif leaf_hash(row[1]) != kept:
        yield Fault(sequence, "it is not the one that the receipt is of")


def check_chunk(file: Path, first: int, last: int, end: int) -> list[Fault]:
    """``check_rows`` in a process of its own."""
    with Rows(file) as rows:
        return check_rows(rows, first, last, end)


def check_rows(rows: Rows, first: int, last: int, end: int) -> list[Fault]:
    """Bytes, links and signatures of the entries ``first`` to ``last`` of a ledger that ends with ``end``."""
    faults: list[Fault] = []
    before = next(rows.raw(first - 1, first - 1), None)
    previous_hash = before[2] if before else bytes(32)
    previous = _decoded(before[1]) if before else None
    expected = first
    # None until a bundle begins: the entries up to there are of one that the chunk before checks.
    bundle: list[Entry | None] | None = None
    for sequence, content, kept in rows.raw(first, min(end, last + MOST_IN_BUNDLE)):
        if sequence > last and bundle is None:
            break
        if sequence != expected:
            faults.append(_gap(expected, sequence))
            previous, bundle = None, None
        entry, why = _look(sequence, content, kept, previous_hash if sequence == expected else None)
        if entry is not None and previous is not None and not why:
            why = _out_of_bundle(previous, entry)
        if sequence <= last and why:
            faults.append(Fault(sequence, why))
        if entry is not None and entry.index == 0:
            if sequence > last:
                break
            bundle = []
        if bundle is not None:
            bundle.append(None if why else entry)
            if entry is not None and len(bundle) == entry.size:
                faults += _signature(sequence - len(bundle) + 1, bundle)
                bundle = None
        expected, previous, previous_hash = sequence + 1, None if why else entry, kept
    if expected <= last:
        faults.append(_gap(expected, last + 1))
    elif last == end and previous is not None and previous.index != previous.size - 1:
        faults.append(Fault(end + 1, f"missing: the last bundle has {previous.index + 1} of {previous.size}"))
    return faults


def _gap(expected: int, found: int) -> Fault:
    return Fault(expected, "missing" if found == expected + 1 else f"missing, with those to {found - 1}")


def _decoded(content: bytes) -> Entry | None:
    try:
        return decode_entry(content)
    except Refused:
        return None


def _look(sequence: int, content: object, kept: object, previous: object) -> tuple[Entry | None, str]:
    """The entry, and what is wrong with its bytes."""
    if not isinstance(content, bytes) or not isinstance(kept, bytes):
        return None, "its row holds no bytes"
    try:
        entry = decode_entry(content)
    except Refused as refused:
        return None, str(refused)
    if leaf_hash(content) != kept:
        return entry, "its bytes are not those that its hash was made of"
    if entry.sequence != sequence:
        return entry, f"it says that it is entry {entry.sequence}"
    if previous is not None and entry.previous != previous:
        return entry, "it is chained to another entry than the one before it"
    return entry, ""


def _out_of_bundle(previous: Entry, entry: Entry) -> str:
    if entry.index:
        if (previous.index + 1, previous.size, previous.signature) != (
            entry.index,
            entry.size,
            entry.signature,
        ):
            return f"statement {entry.index} of a bundle follows none that is its like"
    elif previous.index != previous.size - 1:
        return f"a bundle of {previous.size} ended before it with statement {previous.index}"
    return ""


def _signature(first: int, bundle: list[Entry | None]) -> Iterator[Fault]:
    """A fault where the bundle's signature does not hold, unless one of its entries is known to be damaged."""
    whole = [entry for entry in bundle if entry is not None]
    if len(whole) != len(bundle):
        return
    signer = signer_of(whole[0].statement)
    leaves = [leaf_hash(entry.statement) for entry in whole]
    is_of_one = all(signer_of(entry.statement) == signer for entry in whole)
    if not is_of_one or not is_signed(signer, len(whole), root(leaves), whole[0].signature):
        to = f" (the bundle to {first + len(whole) - 1})" if len(whole) > 1 else ""
        yield Fault(first, f"it is not signed by its signer{to}")


def _replayed(rows: Rows, last: int) -> tuple[State, list[Fault]]:
    """Every rule again, up to the first entry that breaks one; then snapshots and requests."""
    state = State()
    asked = 0  # sum of salted hashes: compares the two tables in no order
    closes: list[PeriodClose] = []
    for sequence, content, kept in rows.raw(0, last):
        try:
            if sequence != state.head.sequence + 1:
                raise NotALedger("missing")
            statement = replay(state, content, kept)
        except NotALedger as error:
            state.undo()
            return state, [Fault(state.head.sequence + 1, str(error))]
        state.keep()
        author = state.keys[statement.signer]
        asked += hash((author, statement.client, sequence))
        if isinstance(statement.body, PeriodClose):
            closes.append(statement.body)
    return state, [*_wrong_snapshots(rows, closes, last), *_wrong_requests(rows, asked, last)]


def _wrong_snapshots(rows: Rows, closes: list[PeriodClose], last: int) -> Iterator[Fault]:
    found: dict[int, bytes] = dict(
        rows.connection.execute("SELECT sequence, state FROM snapshots WHERE sequence < ?", (last,))
    )
    for close in closes:
        sequence = close.first + close.count - 1
        snapshot = found.pop(sequence, None)
        if not isinstance(snapshot, bytes) or leaf_hash(snapshot) != close.state:
            yield Fault(sequence, f"the snapshot of period {close.number} is missing or changed")
    for sequence in found:
        yield Fault(sequence, "there is a snapshot of it, and no period closes after it")


def _wrong_requests(rows: Rows, asked: int, last: int) -> Iterator[Fault]:
    try:
        found = sum(
            map(
                hash,
                rows.connection.execute(
                    "SELECT author, client, sequence FROM requests WHERE sequence <= ?", (last,)
                ),
            )
        )
    except sqlite3.DatabaseError as error:
        yield Fault(last, f"the table of requests cannot be read: {error}")
        return
    if found != asked:
        yield Fault(last, "the table of requests is not that of the entries: a request could be done twice")
