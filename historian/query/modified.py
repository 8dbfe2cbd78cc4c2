"""What a tag's history said before it was corrected: OPC UA's ReadModified (OPC 10000-11 6.5.3)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gateway.tags.history import Modified, Series
from gateway.tags.sample import from_bits
from gateway.tags.tag import ValueType
from historian.errors import DamagedColumn, HistoryError
from historian.query import merge
from historian.store.blocks import Samples, newest_of_each_time
from historian.store.catalogue import Entry
from historian.store.database import check, connect_to_read
from historian.store.day_file import decode, decode_replaced
from historian.store.frame import SamplesFrame
from historian.store.journal import read_segment
from historian.store.layout import DAY_NS, day_files, segments
from historian.store.replaced import Kind, Replaced, replaced_in

if TYPE_CHECKING:
    from historian.query.history import History

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Written:
    """Samples of one segment in the order they were written, and when each was taken."""

    segment: int
    samples: Samples
    taken: NDArray[np.int64]

    def on(self, day: int) -> _Written:
        inside = self.samples.times // DAY_NS == day
        return _Written(self.segment, self.samples[inside], self.taken[inside])


@dataclass(frozen=True, slots=True)
class _Day:
    """What a day file says of a tag."""

    consumed: frozenset[int]
    replaced: list[tuple[Kind, Replaced]]
    present: Samples
    damaged: list[Span]


_NOTHING = _Day(frozenset(), [], merge.nothing(ValueType.INT64), [])


def modified(history: History, tag: str, start_ns: int, end_ns: int) -> Modified:
    """Samples of [start_ns, end_ns) that were replaced, and when; what is in the journal still among them.

    By source time, those of one time by when they were replaced. Raises KeyError where the tag was never stored,
    OSError and HistoryError where the folder cannot be read.
    """
    entry = history.entry(tag)
    # The journal first: a segment that is packed meanwhile is then seen in both, and left out here as consumed.
    tail = list(_tail(history.directory, entry, start_ns, end_ns))
    files = {
        day: path
        for day, path in day_files(history.directory).items()
        if start_ns < (day + 1) * DAY_NS and day * DAY_NS < end_ns
    }
    days = {day for piece in tail for day in np.unique(piece.samples.times // DAY_NS).tolist()}
    found: list[tuple[Kind, Replaced]] = []
    damaged: list[Span] = []
    for day in sorted(days | set(files)):
        written = [piece.on(day) for piece in tail]
        stored = _NOTHING
        if day in files:
            low, high = max(start_ns, day * DAY_NS), min(end_ns, (day + 1) * DAY_NS)
            stored = _stored(files[day], entry, low, high, bool(sum(len(piece.samples) for piece in written)))
        waiting = [piece for piece in written if piece.segment not in stored.consumed and len(piece.samples)]
        found += stored.replaced
        damaged += stored.damaged
        if waiting:
            found.append((Kind.UPDATE, _replaced_by(waiting, stored.present, entry.type)))
    return _modified(entry.type, found, start_ns, end_ns, tuple(damaged))


def _tail(directory: Path, entry: Entry, start: int, end: int) -> Iterator[_Written]:
    for number, path in segments(directory).items():
        try:
            frames = [found.frame for found in read_segment(path).frames]
        except FileNotFoundError:
            continue  # packed meanwhile: the day files, which are read next, have it
        runs: list[Samples] = []
        taken: list[NDArray[np.int64]] = []
        for frame in frames:
            if isinstance(frame, SamplesFrame):
                rows = frame.rows
                places = np.flatnonzero((rows.tags == entry.id) & (rows.times >= start) & (rows.times < end))
                values = rows.texts_at(places) if entry.type is ValueType.STRING else rows.values[places]
                runs.append(Samples(rows.times[places], values, rows.statuses[places]))
                taken.append(np.full(len(places), frame.taken_at))
        if runs:
            yield _Written(number, merge.join(runs, entry.type), np.concatenate(taken))


def _stored(path: Path, entry: Entry, start: int, end: int, with_present: bool) -> _Day:
    damaged: list[Span] = []
    replaced: list[tuple[Kind, Replaced]] = []
    present = merge.nothing(entry.type)
    inside = (entry.id, end, start)
    try:
        with connect_to_read(path) as database:
            check(path, database)
            database.execute("BEGIN")
            consumed = frozenset(row[0] for row in database.execute("SELECT segment FROM consumed"))
            for kind, first, last, count, times, moments, values, quality in _rows_of_replaced(
                database, inside
            ):
                try:
                    replaced.append(
                        (Kind(kind), decode_replaced(entry.type, count, times, moments, values, quality))
                    )
                except DamagedColumn:
                    damaged.append((max(first, start), min(last + 1, end)))
            if with_present:
                for first, last, count, times, values, quality in database.execute(
                    "SELECT first_time, last_time, blocks.count, times.data, value_data, quality_data FROM blocks"
                    " JOIN times ON times.id = blocks.times WHERE tag = ? AND first_time < ? AND last_time >= ?"
                    " ORDER BY sequence",
                    inside,
                ):
                    try:
                        present = decode(entry.type, count, times, values, quality).after(present)
                    except DamagedColumn:
                        damaged.append((max(first, start), min(last + 1, end)))
            return _Day(consumed, replaced, newest_of_each_time(present), damaged)
    except FileNotFoundError:
        return _NOTHING
    except (sqlite3.DatabaseError, HistoryError):
        return _Day(frozenset(), [], merge.nothing(entry.type), [(start, end)])


def _rows_of_replaced(
    database: sqlite3.Connection, inside: tuple[int, int, int]
) -> list[tuple[int, int, int, int, bytes, bytes, bytes, bytes | None]]:
    if database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'replaced'").fetchone() is None:
        return []  # made before replaced samples were kept
    return database.execute(
        "SELECT kind, first_time, last_time, count, time_data, modified_data, value_data, quality_data FROM replaced"
        " WHERE tag = ? AND first_time < ? AND last_time >= ?",
        inside,
    ).fetchall()


def _replaced_by(waiting: list[_Written], present: Samples, type: ValueType) -> Replaced:
    written = merge.join([piece.samples for piece in waiting], type)
    before = present[np.isin(present.times, written.times)] if len(present) else merge.nothing(type)
    taken = np.concatenate([np.zeros(len(before), np.int64), *(piece.taken for piece in waiting)])
    return replaced_in(written.after(before), taken)


def _modified(
    type: ValueType, found: list[tuple[Kind, Replaced]], start: int, end: int, damaged: tuple[Span, ...]
) -> Modified:
    pieces = [(kind, piece) for kind, piece in found if len(piece)]
    kinds = np.concatenate(
        [np.empty(0, np.uint8), *(np.full(len(one), kind, np.uint8) for kind, one in pieces)]
    )
    if not pieces:
        samples, moments = merge.nothing(type), np.empty(0, np.int64)
    else:
        samples = merge.join([one.samples for _, one in pieces], type)
        moments = np.concatenate([one.modified for _, one in pieces])
    order = np.lexsort((moments, samples.times))
    order = order[(samples.times[order] >= start) & (samples.times[order] < end)]
    samples = samples[order]
    values = samples.values if type is ValueType.STRING else from_bits(samples.values, type)
    series = Series(type, samples.times, values, samples.statuses, damaged)
    return Modified(series, moments[order], kinds[order].astype(np.uint8))
