"""History as readers use it: raw samples, the last one, averages; from any process, while it is being written.

Order matters (docs/formats/history.md, "Reading while it is being written"): the journal first, then the day files.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.tags.history import Series
from gateway.tags.quality import SEVERITY_MASK, Quality
from gateway.tags.sample import from_bits
from gateway.tags.tag import ValueType
from historian.errors import DamagedBlock, HistoryError, UnknownFormat
from historian.query import average, merge
from historian.query.average import Averages, Covered, Knots
from historian.query.days import Days, DayView
from historian.query.merge import Piece
from historian.query.tail import Tail
from historian.store.blocks import Samples, usable_numbers
from historian.store.catalogue import COLUMNS, Entry, entry_of
from historian.store.database import check, open_to_read
from historian.store.frame import GapFrame
from historian.store.layout import DAY_NS, catalogue_path, day_of

log = logging.getLogger(__name__)

_FIRST, _LAST = -(2**63), 2**63 - 1
_UNKNOWN = -1  # the place of what is appended behind all samples
RESYNCED = (
    "lapped",
    "text",
)  # gaps at whose end the image was written down: from there values are known again

Report = Callable[[DamagedBlock], None]


class History:
    """Questions to one history folder (a `HistorySource`). Blocking; calls from several threads take turns.

    What cannot be read is left out and told to ``on_damage``, which by default logs it. Every question about a tag
    raises KeyError where it was never stored; OSError and HistoryError where the folder cannot be read at all.
    """

    def __init__(
        self,
        directory: Path,
        *,
        on_damage: Report | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._directory = directory
        self._report = on_damage or _log_damage
        self._clock = clock
        self._tail = Tail(directory)
        self._days = Days(directory, self._report)
        self._catalogue: sqlite3.Connection | None = None
        self._turn = threading.Lock()

    def close(self) -> None:
        """Let go of all files; another question opens them again."""
        with self._turn:
            self._days.close()
            if self._catalogue is not None:
                self._catalogue.close()
                self._catalogue = None

    def entries(self) -> list[Entry]:
        """Every tag that has history, by path."""
        with self._turn:
            try:
                rows = self._catalogue_rows(f"SELECT {COLUMNS} FROM tags ORDER BY path, since", ())  # noqa: S608
            except FileNotFoundError:
                return []
        return list({row[1]: entry_of(row) for row in rows}.values())

    def entry(self, tag: str) -> Entry:
        """The tag as history knows it."""
        with self._turn:
            return self._entry(tag)

    def raw(
        self, tag: str, start_ns: int, end_ns: int, *, limit: int | None = None, newest_first: bool = False
    ) -> Series:
        """Samples with start_ns <= source time < end_ns, at most ``limit``."""
        # OPC UA's first DateTime, 1601, lies before what 64 bits of nanoseconds can say.
        start_ns, end_ns = max(start_ns, _FIRST), min(end_ns, _LAST)
        with self._turn:
            entry = self._entry(tag)
            self._tail.refresh()
            runs: list[Samples] = []
            count = 0
            with closing(self._runs(entry, start_ns, end_ns, newest_first)) as found:
                for samples in found:
                    runs.append(samples[::-1] if newest_first else samples)
                    count += len(samples)
                    if limit is not None and count >= limit:
                        break
            return _series(entry.type, merge.join(runs, entry.type)[:limit])

    def last(self, tag: str) -> Series:
        """The newest sample, none where the tag has no history yet."""
        with self._turn:
            entry = self._entry(tag)
            self._tail.refresh()
            return _series(entry.type, self._before(entry, None))

    def time_average(self, tag: str, start_ns: int, end_ns: int, interval_ns: int) -> Averages:
        """Averages weighted by duration of [start_ns, end_ns) in steps of ``interval_ns`` (see `average`).

        What the newest sample says holds until now, and nothing is known of later; a gap in history is unknown until
        the next sample. A bool averages as the share of time it was true. Raises ValueError for strings.
        """
        with self._turn:
            entry = self._entry(tag)
            if entry.type is ValueType.STRING:
                raise ValueError(f"{tag} is a string: it has no average")
            edges = average.edges_of(start_ns, end_ns, interval_ns)
            now = self._clock()
            self._tail.refresh()
            gaps = self._gaps(end_ns)
            before = self._before(entry, start_ns)
            since = int(before.times[0]) if len(before) else start_ns
            gaps = [gap for gap in gaps if max(gap.from_time, gap.to_time) >= since]
            runs, unknown, covered = self._steps(entry, edges, interval_ns, gaps)
            knots = _knots(entry.type, merge.join([before, *runs], entry.type), unknown, covered, gaps, now)
            return average.average(edges, knots, [piece for _, piece in covered])

    def gaps(self, end_ns: int | None = None) -> list[GapFrame]:
        """Where changes may be missing, for all tags, by the time they begin."""
        with self._turn:
            self._tail.refresh()
            try:
                return self._gaps(self._clock() if end_ns is None else end_ns)
            except FileNotFoundError:
                return []

    def _steps(
        self, entry: Entry, edges: NDArray[np.int64], interval: int, gaps: Sequence[GapFrame]
    ) -> tuple[list[Samples], list[int], list[tuple[int, Covered]]]:
        """Decoded samples, times from which nothing is known, and blocks (last time, sums) used undecoded."""
        start, end = int(edges[0]), int(edges[-1])
        runs: list[Samples] = []
        unknown: list[int] = []
        covered: list[tuple[int, Covered]] = []
        for day, view, low, high, tail in self._views(entry, start, end, newest_first=False):
            blocks = view.blocks(entry.id, low, high) if view else []
            if view.is_damaged if view else day in self._days.paths():
                unknown.append(low)
            for region in merge.regions(blocks, low, high):
                pieces = merge.cut_pieces(tail, region.start, region.end)
                if len(region.blocks) == 1 and not pieces:
                    summary = region.blocks[0].summary
                    first, last = summary.first_time, summary.last_time
                    if (
                        first >= start
                        and last < end
                        and (first - start) // interval == (last - start) // interval
                        and np.isfinite(summary.integral)
                        and not any(gap.from_time <= last and gap.to_time >= first for gap in gaps)
                    ):
                        usable = summary.good_ns + summary.uncertain_ns
                        covered.append((last, Covered(first, summary.integral, usable, summary.good_ns)))
                        assert isinstance(summary.last, int)
                        runs.append(_one(entry.type, last, summary.last, summary.last_status))
                        continue
                samples, damaged = merge.read_region(view, region, pieces, entry.type)
                unknown += [max(start, block.summary.first_time) for block in damaged]
                runs.append(samples)
        return runs, unknown, covered

    def _runs(self, entry: Entry, start: int, end: int, newest_first: bool) -> Generator[Samples, None, None]:
        """Samples of [start, end), in runs that follow each other; each run ascends in time."""
        with closing(self._views(entry, start, end, newest_first)) as views:
            for _, view, low, high, tail in views:
                found = merge.regions(view.blocks(entry.id, low, high) if view else (), low, high)
                for region in reversed(found) if newest_first else found:
                    pieces = merge.cut_pieces(tail, region.start, region.end)
                    yield merge.read_region(view, region, pieces, entry.type)[0]

    def _views(
        self, entry: Entry, start: int, end: int, newest_first: bool
    ) -> Generator[tuple[int, DayView | None, int, int, list[Piece]], None, None]:
        """Each day with samples in [start, end): its file if it has one, its part of range and tail."""
        tail = merge.cut_pieces(self._tail.samples(entry.id, entry.type), start, end)
        paths = self._days.paths()
        days = {day for day in paths if start < (day + 1) * DAY_NS and day * DAY_NS < end}
        for _, samples in tail:
            days.update(np.unique(samples.times // DAY_NS).tolist())
        for day in sorted(days, reverse=newest_first):
            low, high = max(start, day * DAY_NS), min(end, (day + 1) * DAY_NS)
            pieces = merge.cut_pieces(tail, low, high)
            path = paths.get(day)
            if path is None:
                yield day, None, low, high, pieces
                continue
            with self._days.view(day, path) as view:
                yield day, view, low, high, pieces

    def _before(self, entry: Entry, end: int | None) -> Samples:
        """The newest sample before ``end``, or of all where None; a Bad one where it is in a damaged block."""
        found: list[tuple[int, int, Samples]] = []
        for sequence, samples in self._tail.samples(entry.id, entry.type):
            place = len(samples) if end is None else int(np.searchsorted(samples.times, end))
            if place:
                found.append((int(samples.times[place - 1]), sequence, samples[place - 1 : place]))
        newest = max((candidate[0] for candidate in found), default=None)
        for day, path in reversed(self._days.paths().items()):
            if end is not None and day > day_of(end - 1):
                continue
            if newest is not None and day_of(newest) > day:
                break
            limit = (day + 1) * DAY_NS if end is None else min(end, (day + 1) * DAY_NS)
            here: list[tuple[int, int, Samples]] = []
            with self._days.view(day, path) as view:
                if view is not None:
                    here = self._before_in(view, entry, limit)
            if here:
                found += here
                break
        return max(found, key=lambda candidate: candidate[:2])[2] if found else merge.nothing(entry.type)

    def _before_in(self, view: DayView, entry: Entry, end: int) -> list[tuple[int, int, Samples]]:
        found: list[tuple[int, int, Samples]] = []
        for block in view.newest_before(entry.id, end):
            summary = block.summary
            if summary.last_time < end:
                one = _one(entry.type, summary.last_time, summary.last, summary.last_status)
            else:
                samples = view.samples(block, entry.type)
                if samples is None:
                    one = _one(entry.type, summary.first_time, summary.first, Quality.BAD)
                else:
                    one = merge.cut(samples, summary.first_time, end)[-1:]
            found.append((int(one.times[0]), block.sequence, one))
        return found

    def _gaps(self, end: int) -> list[GapFrame]:
        gaps = [gap for gap in self._tail.gaps() if gap.from_time < end]
        rows = self._catalogue_rows(
            "SELECT kind, from_time, to_time, lost FROM gaps WHERE from_time < ?", (end,)
        )
        known = {GapFrame(kind, first, last, None if lost < 0 else lost) for kind, first, last, lost in rows}
        return sorted(known.union(gaps), key=lambda gap: gap.from_time)

    def _entry(self, tag: str) -> Entry:
        newest = f"SELECT {COLUMNS} FROM tags WHERE path = ? ORDER BY since DESC, id DESC LIMIT 1"  # noqa: S608
        try:
            rows = self._catalogue_rows(newest, (tag,))
        except FileNotFoundError:
            raise KeyError(tag) from None
        if not rows:
            raise KeyError(tag)
        return entry_of(rows[0])

    def _catalogue_rows(self, question: str, parameters: tuple[int | str, ...]) -> list[Any]:
        path = catalogue_path(self._directory)
        try:
            if self._catalogue is None:
                database = open_to_read(path)
                try:
                    check(path, database)
                except (UnknownFormat, sqlite3.Error):
                    database.close()
                    raise
                self._catalogue = database
            return self._catalogue.execute(question, parameters).fetchall()
        except sqlite3.Error as error:
            raise HistoryError(f"{path}: {error}") from error


def _log_damage(damage: DamagedBlock) -> None:
    log.error("damaged history: %s", damage)


def _one(type: ValueType, time: int, value: int | str, status: int) -> Samples:
    """A single sample; ``value`` is signed 64 bits, or the string."""
    values: NDArray[Any] = np.empty(1, object if type is ValueType.STRING else np.int64)
    values[0] = value
    if type is not ValueType.STRING:
        values = values.view(np.uint64)
    return Samples(np.array([time], np.int64), values, np.array([status], np.uint32))


def _series(type: ValueType, samples: Samples) -> Series:
    values = samples.values if type is ValueType.STRING else from_bits(samples.values, type)
    return Series(type, samples.times, values, samples.statuses)


def _knots(
    type: ValueType,
    samples: Samples,
    unknown: Sequence[int],
    covered: Sequence[tuple[int, Covered]],
    gaps: Sequence[GapFrame],
    now: int,
) -> Knots:
    """Samples, and where knowledge ends: at gaps, damaged blocks, blocks added up already, and now."""
    values, usable = usable_numbers(type, samples.values, samples.statuses)
    good = usable & ((samples.statuses & np.uint32(SEVERITY_MASK)) == 0)
    ends = [*unknown, *(gap.from_time for gap in gaps), *(piece.first for _, piece in covered)]
    newest = int(samples.times[-1]) if len(samples) else now
    restored = [
        (gap.to_time, place)
        for gap in gaps
        if gap.kind in RESYNCED
        and not any(other.from_time < gap.to_time < other.to_time for other in gaps)
        and (place := int(np.searchsorted(samples.times, gap.to_time, "right")) - 1) >= 0
    ]
    # Of knots of one time the last counts: a sample over the end of knowledge, but nothing over now.
    times = np.concatenate(
        [
            np.array([*ends, *(at for at, _ in restored)], np.int64),
            samples.times,
            np.array([max(now, newest)], np.int64),
        ]
    )
    places = np.array(
        [*([_UNKNOWN] * len(ends)), *(place for _, place in restored), *range(len(samples)), _UNKNOWN]
    )
    order = np.argsort(times, kind="stable")
    chosen = places[order]
    return Knots(
        times[order],
        np.append(values, 0.0)[chosen],
        np.append(usable, False)[chosen],
        np.append(good, False)[chosen],
    )
