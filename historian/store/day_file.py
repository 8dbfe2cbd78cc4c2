"""The file of one UTC day: blocks put in and merged by the one writer (docs/formats/history.md, "Day file")."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from hashlib import blake2b
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.tags.tag import ValueType
from historian.errors import DamagedBlock, DamagedColumn
from historian.store import columns, grids
from historian.store.blocks import MAX_BLOCK_SAMPLES, Block, Samples, Summary, newest_of_each_time
from historian.store.catalogue import COLUMNS, Entry, entry_of, row_of
from historian.store.database import check, create, open_at_rest, open_to_write
from historian.store.replaced import Kind, Replaced, joined

SCHEMA = """
CREATE TABLE tags(
    id INTEGER PRIMARY KEY, path TEXT NOT NULL, type INTEGER NOT NULL, unit TEXT, decimals INTEGER, low REAL,
    high REAL, stepped INTEGER NOT NULL, description TEXT NOT NULL);
CREATE TABLE times(id INTEGER PRIMARY KEY, count INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE blocks(
    id INTEGER PRIMARY KEY, tag INTEGER NOT NULL, sequence INTEGER NOT NULL, first_time INTEGER NOT NULL,
    last_time INTEGER NOT NULL, count INTEGER NOT NULL, times INTEGER NOT NULL, first, last,
    first_status INTEGER NOT NULL, last_status INTEGER NOT NULL, usable INTEGER NOT NULL, minimum INTEGER,
    maximum INTEGER, sum REAL, integral REAL, good_ns INTEGER NOT NULL, uncertain_ns INTEGER NOT NULL,
    bad_ns INTEGER NOT NULL, value_data BLOB NOT NULL, quality_data BLOB);
CREATE INDEX blocks_of_tag ON blocks(tag, first_time);
CREATE TABLE consumed(segment INTEGER PRIMARY KEY);
"""

# Added to files that have none of it yet: readers ask for the table before they read it.
SCHEMA_REPLACED = """
CREATE TABLE IF NOT EXISTS replaced(
    id INTEGER PRIMARY KEY, tag INTEGER NOT NULL, first_time INTEGER NOT NULL, last_time INTEGER NOT NULL,
    count INTEGER NOT NULL, kind INTEGER NOT NULL, time_data BLOB NOT NULL, modified_data BLOB NOT NULL,
    value_data BLOB NOT NULL, quality_data BLOB);
CREATE INDEX IF NOT EXISTS replaced_of_tag ON replaced(tag, first_time);
"""

FULL_BLOCK_SAMPLES = MAX_BLOCK_SAMPLES // 2  # a block from here on is not worth writing again
HOUR_BLOCK_SAMPLES = 2048  # half an hour at 1 Hz: from here on it is left until the day is over
GROWTH = (
    2  # a block is written again only with newer ones that are half as many samples: log2(n) times at most
)
MERGE_BATCH_TAGS = 256  # one transaction: a tenth of a second of work, so that stopping never waits long

TimesKey = bytes


def consumed_by(path: Path) -> int:
    """The highest segment number this file knows, 0 where none; only for who holds the folder's lock."""
    with closing(open_at_rest(path)) as database:
        check(path, database)
        (highest,) = database.execute("SELECT ifnull(max(segment), 0) FROM consumed").fetchone()
        return int(highest)


class DayFile:
    """One day file, open for writing. All methods raise sqlite3.Error when the disk does not take it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            create(path, SCHEMA + SCHEMA_REPLACED)
        self._database = open_to_write(path)
        try:
            check(path, self._database)
            self._database.executescript(SCHEMA_REPLACED)
        except BaseException:
            self._database.close()
            raise
        self._tags: dict[int, Entry] | None = None  # those in the file, once it was looked
        self._reach: dict[int, int] = {}  # the last time of each tag in the file

    def close(self) -> None:
        self._database.close()

    def has_consumed(self, segment: int) -> bool:
        """Whether this day has all it gets from that segment."""
        row = self._database.execute("SELECT 1 FROM consumed WHERE segment = ?", (segment,)).fetchone()
        return row is not None

    def reaches(self, tag: int, time: int) -> bool:
        """Whether the file has a sample of the tag at this time or later."""
        self._look()
        return self._reach.get(tag, -(2**63)) >= time

    def samples_at(
        self, entry: Entry, times: NDArray[np.int64], report: Callable[[DamagedBlock], None]
    ) -> Samples:
        """What the file has of the tag at these times, which ascend; damaged blocks are reported and left out."""
        rows = self._database.execute(
            "SELECT id, first_time, last_time FROM blocks WHERE tag = ? AND first_time <= ? AND last_time >= ?"
            " ORDER BY sequence",
            (entry.id, int(times[-1]), int(times[0])),
        ).fetchall()
        found = Samples(
            np.empty(0, np.int64),
            np.empty(0, object if entry.type is ValueType.STRING else np.uint64),
            np.empty(0, np.uint32),
        )
        for block, first_time, last_time in rows:
            try:
                found = self._samples(block, entry.type, first_time, last_time, {})[0].after(found)
            except DamagedBlock as damage:
                report(damage)
        found = newest_of_each_time(found)
        return found[np.isin(found.times, times)]

    def add(
        self,
        segment: int,
        entries: Iterable[Entry],
        new: Sequence[Block],
        replaced: Iterable[tuple[int, Replaced]] = (),
    ) -> None:
        """Add blocks, and by tag what they replace, and note the segment as consumed: all of it, or nothing."""
        tags = self._look()
        entries = list(entries)
        types = {entry.id: entry.type for entry in entries}
        fresh = [entry for entry in entries if tags.get(entry.id) != entry]
        self._database.execute("BEGIN IMMEDIATE")
        try:
            self._put_tags(fresh)
            self._put(new, {})
            for tag, samples in replaced:
                self._put_replaced(tag, types[tag], samples)
            self._database.execute("INSERT INTO consumed VALUES(?)", (segment,))
            self._database.execute("COMMIT")
        finally:
            self._roll_back()
        tags.update((entry.id, entry) for entry in fresh)
        for block in new:
            self._reach[block.tag] = max(
                self._reach.get(block.tag, block.summary.last_time), block.summary.last_time
            )

    def forget_consumed_below(self, segment: int) -> None:
        """Drop notes of segments long gone, but the newest."""
        self._database.execute(
            "DELETE FROM consumed WHERE segment < min(?, (SELECT max(segment) FROM consumed))", (segment,)
        )

    def merge(
        self, stopping: Callable[[], bool], report: Callable[[DamagedBlock], None], is_over: bool = True
    ) -> bool:
        """Write the small blocks of each tag as few large ones; False where it was asked to stop before the end.

        Of a day that is not over, blocks that are large enough stay as they are until it is. What is merged keeps the
        highest sequence, and where blocks overlap all are merged, so precedence over everything is as before. Damaged
        blocks stay as they are, and so does their tag.
        """
        tags = [row[0] for row in self._database.execute("SELECT id FROM tags ORDER BY id").fetchall()]
        shared: dict[TimesKey, int] = {}
        for start in range(0, len(tags), MERGE_BATCH_TAGS):
            if stopping():
                return False
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._merge_tags(tags[start : start + MERGE_BATCH_TAGS], shared, report, is_over)
                self._database.execute("COMMIT")
            finally:
                self._roll_back()
        self._database.execute("DELETE FROM times WHERE id NOT IN (SELECT times FROM blocks)")
        if is_over:
            # Frees one page a step; of a statement without columns, execute() takes only the first.
            self._database.executescript("PRAGMA incremental_vacuum;")
        self._database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return True

    def _merge_tags(
        self,
        tags: Sequence[int],
        shared: dict[TimesKey, int],
        report: Callable[[DamagedBlock], None],
        is_over: bool,
    ) -> None:
        pieces: list[grids.Piece] = []
        times: dict[int, NDArray[np.int64]] = {}
        known = self._look()
        for tag in tags:
            rows = self._database.execute(
                "SELECT id, sequence, first_time, last_time, count FROM blocks WHERE tag = ? ORDER BY first_time",
                (tag,),
            ).fetchall()
            try:
                for chosen in _worth_merging(rows, is_over):
                    pieces.append(self._merged(known[tag], chosen, times))
                    self._database.executemany(
                        "DELETE FROM blocks WHERE id = ?", [(row[0],) for row in chosen]
                    )
                if is_over:
                    self._merge_replaced(known[tag])
            except DamagedBlock as damage:
                report(damage)
        self._put(grids.build(pieces, columns.Effort.THOROUGH), shared)

    def _merged(
        self, entry: Entry, chosen: list[StoredRow], times: dict[int, NDArray[np.int64]]
    ) -> grids.Piece:
        chosen.sort(key=lambda row: row[1])
        pieces = [self._samples(row[0], entry.type, row[2], row[3], times) for row in chosen]
        merged = newest_of_each_time(
            Samples(
                np.concatenate([samples.times for samples, _ in pieces]),
                np.concatenate([samples.values for samples, _ in pieces]),
                np.concatenate([samples.statuses for samples, _ in pieces]),
            )
        )
        guess = columns.decimals_of(entry.type, pieces[-1][1])
        decimals = entry.decimals if guess in (None, columns.NOT_DECIMAL) else guess
        return grids.Piece(entry.id, entry.type, chosen[-1][1], merged, decimals)

    def _merge_replaced(self, entry: Entry) -> None:
        rows = self._database.execute(
            "SELECT id, kind, first_time, last_time, count, time_data, modified_data, value_data, quality_data"
            " FROM replaced WHERE tag = ? AND count < ? ORDER BY id",
            (entry.id, FULL_BLOCK_SAMPLES),
        ).fetchall()
        by_kind: dict[int, list[tuple[int, Replaced]]] = {}
        for id, kind, first_time, last_time, count, times, modified, values, quality in rows:
            try:
                found = decode_replaced(entry.type, count, times, modified, values, quality)
            except DamagedColumn as error:
                raise DamagedBlock(self.path, id, first_time, last_time, str(error)) from error
            by_kind.setdefault(kind, []).append((id, found))
        for kind, found_here in by_kind.items():
            if len(found_here) > 1:
                self._database.executemany(
                    "DELETE FROM replaced WHERE id = ?", [(id,) for id, _ in found_here]
                )
                self._put_replaced(entry.id, entry.type, joined([one for _, one in found_here]), Kind(kind))

    def _samples(
        self,
        block: int,
        type: ValueType,
        first_time: int,
        last_time: int,
        known: dict[int, NDArray[np.int64]],
    ) -> tuple[Samples, bytes]:
        """The samples of a block, and its column of values; ``known`` times are not read again.

        Raises DamagedBlock.
        """
        id, values, quality, count = self._database.execute(
            "SELECT times, value_data, quality_data, count FROM blocks WHERE id = ?", (block,)
        ).fetchone()
        try:
            times = known.get(id)
            if times is None:
                row = self._database.execute("SELECT data FROM times WHERE id = ?", (id,)).fetchone()
                if row is None:
                    raise DamagedColumn("its times are missing")
                times = known[id] = columns.decode_times(row[0])
            return _samples(type, count, times, values, quality), values
        except DamagedColumn as error:
            raise DamagedBlock(self.path, block, first_time, last_time, str(error)) from error

    def _look(self) -> dict[int, Entry]:
        """The tags in the file, after it was seen how far their blocks reach."""
        if self._tags is None:
            rows = self._database.execute(f"SELECT {COLUMNS} FROM tags").fetchall()  # noqa: S608 - a constant
            reach = self._database.execute("SELECT tag, max(last_time) FROM blocks GROUP BY tag").fetchall()
            self._tags = {row[0]: entry_of(row) for row in rows}
            self._reach = dict(reach)
        return self._tags

    def _put_tags(self, entries: Iterable[Entry]) -> None:
        self._database.executemany(
            f"INSERT OR REPLACE INTO tags({COLUMNS}) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [row_of(entry) for entry in entries],
        )

    def _put(self, new: Sequence[Block], shared: dict[TimesKey, int]) -> None:
        times: dict[int, int] = {}  # by the arrays themselves: blocks of a grid have the same one
        for block in new:
            if id(block.times) not in times:
                times[id(block.times)] = self._put_times(block.times, shared)
        self._database.executemany(
            "INSERT INTO blocks VALUES(NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [self._row(block, times[id(block.times)]) for block in new],
        )

    def _row(self, block: Block, times: int) -> tuple[object, ...]:
        summary = block.summary
        return (
            block.tag,
            block.sequence,
            summary.first_time,
            summary.last_time,
            summary.count,
            times,
            summary.first,
            summary.last,
            summary.first_status,
            summary.last_status,
            summary.usable,
            summary.minimum,
            summary.maximum,
            summary.sum,
            summary.integral,
            summary.good_ns,
            summary.uncertain_ns,
            summary.bad_ns,
            block.value_data,
            block.quality_data,
        )

    def _put_replaced(self, tag: int, type: ValueType, replaced: Replaced, kind: Kind = Kind.UPDATE) -> None:
        for start in range(0, len(replaced), MAX_BLOCK_SAMPLES):
            samples = replaced.samples[start : start + MAX_BLOCK_SAMPLES]
            modified = replaced.modified[start : start + MAX_BLOCK_SAMPLES]
            self._database.execute(
                "INSERT INTO replaced VALUES(NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    tag,
                    int(samples.times[0]),
                    int(samples.times[-1]),
                    len(samples),
                    int(kind),
                    columns.encode_times(samples.times),
                    columns.encode_times(modified),
                    columns.encode_values(type, samples.values),
                    columns.encode_statuses(samples.statuses),
                ),
            )

    def _put_times(self, times: NDArray[np.int64], shared: dict[TimesKey, int]) -> int:
        key = blake2b(times.tobytes(), digest_size=16).digest()
        known = shared.get(key)
        if known is not None:
            return known
        cursor = self._database.execute(
            "INSERT INTO times VALUES(NULL, ?, ?)", (len(times), columns.encode_times(times))
        )
        assert cursor.lastrowid is not None
        shared[key] = cursor.lastrowid
        return cursor.lastrowid

    def _roll_back(self) -> None:
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")


SUMMARY_COLUMNS = (
    "first_time, last_time, blocks.count, first, last, first_status, last_status, usable, minimum, maximum, sum,"
    " integral, good_ns, uncertain_ns, bad_ns"
)


def summary_of(row: tuple[Any, ...]) -> Summary:
    """A row of `SUMMARY_COLUMNS`. SQLite keeps a NaN as NULL: sums that went over the top are NaN here."""
    first_time, last_time, count, first, last, first_status, last_status, usable, *rest = row
    minimum, maximum, total, integral, good_ns, uncertain_ns, bad_ns = rest
    return Summary(
        first_time=first_time,
        last_time=last_time,
        count=count,
        first=first,
        last=last,
        first_status=first_status,
        last_status=last_status,
        usable=usable,
        minimum=minimum,
        maximum=maximum,
        sum=float("nan") if total is None else total,
        integral=float("nan") if integral is None else integral,
        good_ns=good_ns,
        uncertain_ns=uncertain_ns,
        bad_ns=bad_ns,
    )


def decode(type: ValueType, count: int, times: bytes, values: bytes, quality: bytes | None) -> Samples:
    """The samples of one block. Raises DamagedColumn."""
    return _samples(type, count, columns.decode_times(times), values, quality)


def _samples(
    type: ValueType, count: int, times: NDArray[np.int64], values: bytes, quality: bytes | None
) -> Samples:
    samples = Samples(times, columns.decode_values(type, values), columns.decode_statuses(quality, count))
    if len(samples.times) != count or len(samples.values) != count:
        raise DamagedColumn(
            f"{len(samples.times)} times and {len(samples.values)} values for {count} samples"
        )
    return samples


def decode_replaced(
    type: ValueType, count: int, times: bytes, modified: bytes, values: bytes, quality: bytes | None
) -> Replaced:
    """What was replaced. Raises DamagedColumn."""
    moments = columns.decode_times(modified)
    if len(moments) != count:
        raise DamagedColumn(f"{len(moments)} times of modification for {count} samples")
    return Replaced(decode(type, count, times, values, quality), moments)


StoredRow = tuple[int, int, int, int, int]  # id, sequence, first_time, last_time, count


def _worth_merging(rows: list[StoredRow], is_over: bool) -> list[list[StoredRow]]:
    """Which blocks of a tag, given by first time, to write as one each; where any overlap, all that is not full."""
    if _overlap(rows):
        chosen = [row for i, row in enumerate(rows) if row[4] < FULL_BLOCK_SAMPLES or _overlaps(rows, i)]
        return [chosen] if len(chosen) > 1 else []
    full = FULL_BLOCK_SAMPLES if is_over else HOUR_BLOCK_SAMPLES
    runs = [list(run) for is_small, run in groupby(rows, key=lambda row: row[4] < full) if is_small]
    if not is_over:
        runs = [_newest(run) for run in runs]
    return [run for run in runs if len(run) > 1]


def _newest(run: list[StoredRow]) -> list[StoredRow]:
    newer = sum(row[4] for row in run)
    for place, row in enumerate(run):
        newer -= row[4]
        if row[4] <= GROWTH * newer:
            return run[place:]
    return []


def _overlap(rows: list[StoredRow]) -> bool:
    return any(later[2] <= earlier[3] for earlier, later in pairwise(rows))


def _overlaps(rows: list[StoredRow], i: int) -> bool:
    """Whether block ``i`` shares time with any other of ``rows``."""
    _, _, first, last, _ = rows[i]
    return any(
        other_first <= last and first <= other_last
        for j, (_, _, other_first, other_last, _) in enumerate(rows)
        if j != i
    )
