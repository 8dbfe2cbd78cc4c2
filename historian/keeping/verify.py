"""`tieline history verify`: every byte of history read and compared with what it says of itself."""

from __future__ import annotations

import math
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path

import numpy as np

from historian.errors import DamagedColumn, HistoryError
from historian.keeping.copying import other_databases
from historian.keeping.progress import Advance
from historian.store.blocks import Samples, Summary, summarise
from historian.store.catalogue import COLUMNS, Entry, entry_of
from historian.store.database import check, open_to_read
from historian.store.day_file import SUMMARY_COLUMNS, decode, decode_replaced, summary_of
from historian.store.journal import read_segment
from historian.store.layout import DAY_NS, catalogue_path, day_files, segments

CLOSE = 1e-9  # sums of one block added up in another order differ by rounding only

Open = Callable[[Path], sqlite3.Connection]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is not as it should be; ``tag`` and the times [first, last] where one is concerned."""

    file: str
    what: str
    tag: str = ""
    first_time: int = 0
    last_time: int = 0


@dataclass(slots=True)
class Tally:
    """What was looked at."""

    days: int = 0
    blocks: int = 0
    samples: int = 0
    segments: int = 0
    frames: int = 0


def open_as_it_lies(path: Path) -> sqlite3.Connection:
    """For files that nobody writes: SQLite makes none of its own beside them. Raises sqlite3.Error."""
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)


def work_of(history: Path) -> int:
    """How many bytes there are to look at, for a progress bar."""
    paths = [*day_files(history).values(), *segments(history).values()]
    return sum(path.stat().st_size for path in paths if path.exists())


def verify(history: Path, tally: Tally, advance: Advance, opened: Open = open_to_read) -> Iterator[Fault]:
    """Every fault, file by file; the journal first, as samples move from there to day files meanwhile."""
    yield from _journal(history, tally, advance)
    catalogue: dict[int, Entry] = {}
    try:
        catalogue = _catalogue(history, opened)
    except (sqlite3.Error, OSError, HistoryError, ValueError) as error:
        yield Fault(catalogue_path(history).name, f"cannot be read: {error}")
    for day, path in day_files(history).items():
        try:
            size = path.stat().st_size
            with closing(opened(path)) as database:
                database.execute("BEGIN")
                yield from _day(day, path, database, catalogue, tally)
        except FileNotFoundError:
            continue  # dropped meanwhile
        except (sqlite3.Error, HistoryError) as error:
            yield Fault(path.name, f"cannot be read: {error}", "", day * DAY_NS, (day + 1) * DAY_NS - 1)
        tally.days += 1
        advance(size)
    for path in other_databases(history):
        yield from _other(path, opened)


def _other(path: Path, opened: Open) -> Iterator[Fault]:
    """A database that is not made of blocks: what SQLite finds."""
    try:
        with closing(opened(path)) as database:
            for (told,) in database.execute("PRAGMA integrity_check(10)"):
                if told != "ok":
                    yield Fault(path.name, told)
    except FileNotFoundError:
        return
    except sqlite3.Error as error:
        yield Fault(path.name, f"cannot be read: {error}")


def _catalogue(history: Path, opened: Open) -> dict[int, Entry]:
    path = catalogue_path(history)
    with closing(opened(path)) as database:
        check(path, database)
        for (told,) in database.execute("PRAGMA integrity_check"):
            if told != "ok":
                raise HistoryError(told)
        database.execute("SELECT kind, from_time, to_time, lost FROM gaps").fetchall()
        rows = database.execute(f"SELECT {COLUMNS} FROM tags").fetchall()  # noqa: S608 - a constant
    return {row[0]: entry_of(row) for row in rows}


def _journal(history: Path, tally: Tally, advance: Advance) -> Iterator[Fault]:
    last_sequence = 0
    found_here = segments(history)
    newest = max(found_here, default=0)
    for number, path in found_here.items():
        name = f"journal/{path.name}"
        try:
            segment = read_segment(path)
        except FileNotFoundError:
            continue  # packed meanwhile
        except (OSError, HistoryError) as error:
            yield Fault(name, f"cannot be read: {error}")
            continue
        if segment.number != number:
            yield Fault(name, f"says that it is segment {segment.number}")
        for damage in segment.damage:
            yield Fault(name, f"bytes {damage.start:,} to {damage.end:,} are damaged")
        # Of the newest a frame may just be being written; a start cuts the others off, so there it is damage.
        if segment.end < segment.size and number != newest:
            yield Fault(name, f"its last {segment.size - segment.end:,} bytes are no whole frame")
        for found in segment.frames:
            if found.sequence <= last_sequence:
                yield Fault(name, f"frame {found.sequence} follows frame {last_sequence}")
            last_sequence = found.sequence
        tally.segments += 1
        tally.frames += len(segment.frames)
        advance(segment.size)


def _day(
    day: int, path: Path, database: sqlite3.Connection, catalogue: dict[int, Entry], tally: Tally
) -> Iterator[Fault]:
    check(path, database)
    for (told,) in database.execute("PRAGMA integrity_check(10)"):
        if told != "ok":
            yield Fault(path.name, told)
    rows = database.execute(f"SELECT {COLUMNS} FROM tags").fetchall()  # noqa: S608 - a constant
    entries = {row[0]: entry_of(row) for row in rows}
    for entry in entries.values():
        known = catalogue.get(entry.id)
        if catalogue and (known is None or (known.path, known.type) != (entry.path, entry.type)):
            yield Fault(path.name, f"tag {entry.id} is another in the catalogue", entry.path)
    seen: defaultdict[tuple[int, int], list[tuple[int, int, int]]] = defaultdict(list)
    question = (
        f"SELECT blocks.id, tag, sequence, times.data, value_data, quality_data, {SUMMARY_COLUMNS}"  # noqa: S608 - a constant
        " FROM blocks LEFT JOIN times ON times.id = blocks.times ORDER BY tag, first_time"
    )
    for id, tag, sequence, times, values, quality, *rest in database.execute(question):
        summary = summary_of(tuple(rest))
        tally.blocks += 1
        tally.samples += summary.count
        entry_here = entries.get(tag)
        for what in _block(day, entry_here, summary, times, values, quality):
            yield Fault(
                path.name,
                f"block {id}: {what}",
                entry_here.path if entry_here else f"tag {tag}",
                summary.first_time,
                summary.last_time,
            )
        seen[tag, sequence].append((summary.first_time, summary.last_time, id))
    yield from _replaced(path, database, entries)
    for (tag, sequence), spans in seen.items():
        spans.sort()
        for (first, last, one), (later, _, other) in pairwise(spans):
            if later <= last:
                name = entries[tag].path if tag in entries else f"tag {tag}"
                what = f"blocks {one} and {other} of sequence {sequence} share time"
                yield Fault(path.name, what, name, first, last)


def _replaced(path: Path, database: sqlite3.Connection, entries: dict[int, Entry]) -> Iterator[Fault]:
    """Samples that later writes replaced; files of before there were such have no table of them."""
    if database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'replaced'").fetchone() is None:
        return
    question = (
        "SELECT id, tag, first_time, last_time, count, time_data, modified_data, value_data, quality_data"
        " FROM replaced ORDER BY tag, first_time"
    )
    for id, tag, first, last, count, times, modified, values, quality in database.execute(question):
        entry = entries.get(tag)
        if entry is None:
            yield Fault(
                path.name, f"replaced block {id}: its tag is not in the file", f"tag {tag}", first, last
            )
            continue
        try:
            decode_replaced(entry.type, count, times, modified, values, quality)
        except DamagedColumn as error:
            yield Fault(path.name, f"replaced block {id}: {error}", entry.path, first, last)


def _block(
    day: int,
    entry: Entry | None,
    summary: Summary,
    times: bytes | None,
    values: bytes,
    quality: bytes | None,
) -> Iterator[str]:
    if entry is None:
        yield "its tag is not in the file"
        return
    if times is None:
        yield "its times are missing"
        return
    try:
        samples = decode(entry.type, summary.count, times, values, quality)
    except DamagedColumn as error:
        yield str(error)
        return
    yield from _times(day, samples)
    if summary.count and not bool((np.diff(samples.times) <= 0).any()):
        found = summarise(entry.type, samples)
        wrong = [
            field.name
            for field in fields(Summary)
            if not _same(getattr(summary, field.name), getattr(found, field.name))
        ]
        if wrong:
            yield f"its summary is not that of its samples: {', '.join(wrong)}"


def _times(day: int, samples: Samples) -> Iterator[str]:
    if not len(samples):
        yield "it is empty"
    elif bool((np.diff(samples.times) <= 0).any()):
        yield "its times do not ascend"
    elif samples.times[0] < day * DAY_NS or samples.times[-1] >= (day + 1) * DAY_NS:
        yield "its times are not of this day"


def _same(stored: object, found: object) -> bool:
    if isinstance(stored, float) and isinstance(found, float):
        both_nan = math.isnan(stored) and math.isnan(found)
        return both_nan or stored == found or math.isclose(stored, found, rel_tol=CLOSE, abs_tol=CLOSE)
    return stored == found
