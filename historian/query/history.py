"""History as readers use it: raw samples, the last one, averages; from any process, while it is being written.

Order matters (docs/formats/history.md, "Reading while it is being written"): the journal first, then the day files.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.tags.aggregate import Aggregate, AggregateConfiguration, Processed
from gateway.tags.history import Modified, Series
from gateway.tags.sample import from_bits
from gateway.tags.tag import ValueType
from historian.annotations.store import Annotations
from historian.errors import DamagedBlock
from historian.keeping.clock import unknown_in
from historian.query import average, chart, knots, merge, modified
from historian.query.aggregates.intervals import intervals
from historian.query.aggregates.table import DEFAULTS
from historian.query.average import Averages, Stretches
from historian.query.chart import Line
from historian.query.days import Days, DayView
from historian.query.merge import Piece
from historian.query.names import Names
from historian.query.processing import Processing
from historian.query.reader import Found, Reader, Span, samples_of
from historian.query.stored import Newest, Stored
from historian.query.tail import Tail
from historian.store.blocks import Samples
from historian.store.catalogue import Entry
from historian.store.frame import GapFrame
from historian.store.layout import DAY_NS

log = logging.getLogger(__name__)

_FIRST, _LAST = -(2**63), 2**63 - 1
WIDE_NS = 120 * 10**9  # blocks are of a minute or longer: only in wider intervals are their sums of use

Report = Callable[[DamagedBlock], None]


class History:
    """Questions to one history folder (a `HistorySource`). Blocking; calls from several threads take turns.

    What cannot be read is left out, told to ``on_damage``, which by default logs it, and named in `Series.damaged`.
    Every question about a tag raises KeyError where it was never stored; OSError and HistoryError where the folder
    cannot be read at all. The arrays of answers may be shared: copy them before writing into them.
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
        self._names = Names(directory)
        self._reader = Reader(self._tail, self._days)
        notes = Annotations(directory)
        self._processing = Processing(
            self._reader, self._tail, self._gaps, self._first, self._told, notes.times, clock
        )
        self._turn = threading.Lock()

    @property
    def directory(self) -> Path:
        return self._directory

    def close(self) -> None:
        """Let go of all files and threads; another question opens them again."""
        with self._turn:
            self._days.close()
            self._names.close()
            self._reader.crew.close()

    def entries(self) -> list[Entry]:
        """Every tag that has history, by path."""
        with self._turn:
            return self._names.all()

    def entry(self, tag: str) -> Entry:
        """The tag as history knows it."""
        with self._turn:
            return self._names.entries((tag,))[tag]

    def raw(
        self, tag: str, start_ns: int, end_ns: int, *, limit: int | None = None, newest_first: bool = False
    ) -> Series:
        """Samples with start_ns <= source time < end_ns, at most ``limit``."""
        if limit is None and not newest_first:
            return self.raw_many((tag,), start_ns, end_ns)[tag]
        start_ns, end_ns = _within(start_ns, end_ns)
        with self._turn:
            entry = self._names.entries((tag,))[tag]
            self._tail.refresh()
            return _series(entry.type, self._first(entry, start_ns, end_ns, limit, newest_first))

    def raw_many(self, tags: Iterable[str], start_ns: int, end_ns: int) -> dict[str, Series]:
        """`raw` of each tag, in the order asked."""
        start_ns, end_ns = _within(start_ns, end_ns)
        with self._turn:
            entries = self._names.entries(tags)
            self._tail.refresh()
            found = self._reader.read({entry.id: entry.type for entry in entries.values()}, start_ns, end_ns)
            return {tag: _series(entry.type, self._told(found[entry.id])) for tag, entry in entries.items()}

    def last(self, tag: str) -> Series:
        """The newest sample, none where the tag has no history yet."""
        return self.last_many((tag,))[tag]

    def last_many(self, tags: Iterable[str]) -> dict[str, Series]:
        """`last` of each tag, in the order asked."""
        with self._turn:
            entries = self._names.entries(tags)
            self._tail.refresh()
            types = {entry.id: entry.type for entry in entries.values()}
            found = self._reader.newest(types, None)
            by_type: dict[ValueType, list[Newest]] = {}
            for id, newest in found.items():
                by_type.setdefault(types[id], []).append(newest)
            series = {id: one for type, some in by_type.items() for id, one in _singles(type, some)}
            return {tag: series.get(entry.id) or _nothing(entry.type) for tag, entry in entries.items()}

    def latest(self, tag: str, count: int) -> Series:
        """The newest ``count`` samples, the newest first."""
        return self.raw(tag, _FIRST, _LAST, limit=count, newest_first=True)

    def time_average(self, tag: str, start_ns: int, end_ns: int, interval_ns: int) -> Averages:
        """Averages weighted by duration of [start_ns, end_ns) in steps of ``interval_ns`` (see `average`).

        What the newest sample says holds until now, and nothing is known of later; a gap in history is unknown until
        the next sample. A bool averages as the share of time it was true. Raises ValueError for strings.
        """
        return self.time_average_many((tag,), start_ns, end_ns, interval_ns)[tag]

    def time_average_many(
        self, tags: Iterable[str], start_ns: int, end_ns: int, interval_ns: int
    ) -> dict[str, Averages]:
        """`time_average` of each tag, in the order asked."""
        edges = average.edges_of(start_ns, end_ns, interval_ns)
        with self._turn:
            entries = self._names.entries(tags)
            for tag, entry in entries.items():
                if entry.type is ValueType.STRING:
                    raise ValueError(f"{tag} is a string: it has no average")
            now = self._clock()
            self._tail.refresh()
            gaps = unknown_in(self._gaps(end_ns))
            sums = partial(knots.can_sum, edges, interval_ns, gaps) if interval_ns >= WIDE_NS else None
            stretches = Stretches(edges)
            gathered = self._reader.gather(
                {entry.id: entry.type for entry in entries.values()},
                start_ns,
                end_ns,
                before=True,
                sums=sums,
                recall=partial(knots.recall, stretches, gaps, now, self._reader.remembered),
            )
            answers = knots.averages_of(list(gathered.values()), stretches, gaps, now, self._reader)
            for _, found in answers:
                if found.reports:
                    self._told(found)
            by_id = dict(zip(gathered, answers, strict=True))
            return {tag: by_id[entry.id][0] for tag, entry in entries.items()}

    def chart(self, tags: Iterable[str], start_ns: int, end_ns: int, points: int) -> dict[str, Line]:
        """What to draw of each tag: at most ``points`` points, the one before the start and breaks (see `chart`).

        Where a whole block lies in one column of pixels its least and greatest value stand somewhere in it. Raises
        ValueError for strings; ImportError without the analytics libraries.
        """
        edges = chart.columns_of(start_ns, end_ns, points)
        with self._turn:
            entries = self._names.entries(tags)
            for tag, entry in entries.items():
                if entry.type is ValueType.STRING:
                    raise ValueError(f"{tag} is a string: it has no line")
            self._tail.refresh()
            gaps = unknown_in(self._gaps(end_ns))
            is_wide = edges[1] - edges[0] >= WIDE_NS
            gathered = self._reader.gather(
                {entry.id: entry.type for entry in entries.values()},
                start_ns,
                end_ns,
                before=True,
                sums=partial(chart.can_sum, edges, gaps) if is_wide else None,
            )
            found = self._reader.settle_all(list(gathered.values()))
            lines: dict[int, Line] = {}
            for (id, one), read in zip(gathered.items(), found, strict=True):
                self._told(read)
                drawn = [(0, chart.of_sums(one.type, block)) for block in one.summed]
                samples = merge.merge([*drawn, (1, read.samples)], one.type)
                since = int(samples.times[0]) if len(samples) else start_ns
                breaks = [gap.from_time for gap in gaps] + [max(start_ns, low) for low, _ in read.damaged]
                known = np.array(sorted({at for at in breaks if since <= at < end_ns}), np.int64)
                lines[id] = chart.decimate(one.type, samples, known, edges, points)
            return {tag: lines[entry.id] for tag, entry in entries.items()}

    def aggregate(
        self,
        tag: str,
        aggregate: Aggregate,
        start_ns: int,
        end_ns: int,
        interval_ns: int = 0,
        configuration: AggregateConfiguration = DEFAULTS,
    ) -> Processed:
        """An aggregate of OPC 10000-13 over each interval of [start_ns, end_ns); 0: over one (docs/aggregates.md).

        Backwards in time where the end lies before the start. Raises ValueError.
        """
        return self.aggregate_many((tag,), aggregate, start_ns, end_ns, interval_ns, configuration)[tag]

    def aggregate_many(
        self,
        tags: Iterable[str],
        aggregate: Aggregate,
        start_ns: int,
        end_ns: int,
        interval_ns: int = 0,
        configuration: AggregateConfiguration = DEFAULTS,
    ) -> dict[str, Processed]:
        """`aggregate` of each tag, in the order asked."""
        asked = intervals(start_ns, end_ns, interval_ns)
        with self._turn:
            return self._processing.aggregate(self._names.entries(tags), aggregate, asked, configuration)

    def at_time(
        self,
        tag: str,
        times_ns: Sequence[int] | NDArray[np.int64],
        configuration: AggregateConfiguration = DEFAULTS,
        *,
        use_simple_bounds: bool = False,
    ) -> Processed:
        """What a tag was at each of the times, in the order asked (see `at_time`). Raises ValueError."""
        return self.at_time_many((tag,), times_ns, configuration, use_simple_bounds=use_simple_bounds)[tag]

    def at_time_many(
        self,
        tags: Iterable[str],
        times_ns: Sequence[int] | NDArray[np.int64],
        configuration: AggregateConfiguration = DEFAULTS,
        *,
        use_simple_bounds: bool = False,
    ) -> dict[str, Processed]:
        """`at_time` of each tag, in the order asked."""
        times = np.asarray(times_ns, np.int64)
        with self._turn:
            return self._processing.at_time(
                self._names.entries(tags), times, configuration, use_simple_bounds
            )

    def modified(self, tag: str, start_ns: int, end_ns: int) -> Modified:
        """Samples of [start_ns, end_ns) that a later write replaced, and when (see `modified`)."""
        return modified.modified(self, tag, *_within(start_ns, end_ns))

    def gaps(self, end_ns: int | None = None) -> list[GapFrame]:
        """Where changes may be missing, for all tags, by the time they begin."""
        with self._turn:
            self._tail.refresh()
            try:
                return self._gaps(self._clock() if end_ns is None else end_ns)
            except FileNotFoundError:
                return []

    def _gaps(self, end: int) -> list[GapFrame]:
        known = {
            gap for gap in (*self._names.gaps(), *self._tail.gaps()) if min(gap.from_time, gap.to_time) < end
        }
        return sorted(known, key=lambda gap: gap.from_time)

    def _told(self, found: Found) -> Found:
        """The same, and its damage told."""
        for damage in found.reports:
            self._report(damage)
        return found

    def _first(self, entry: Entry, start: int, end: int, limit: int | None, newest_first: bool) -> Found:
        """At most ``limit`` samples of [start, end); no more is decoded than needed."""
        runs: list[Samples] = []
        damaged: list[Span] = []
        count = 0
        with closing(self._runs(entry, start, end, newest_first)) as found:
            for samples, spans in found:
                runs.append(samples[::-1] if newest_first else samples)
                damaged += spans
                count += len(samples)
                if limit is not None and count >= limit:
                    break
        samples = merge.join(runs, entry.type)[:limit]
        if limit is not None and limit and count >= limit:
            # What is damaged beyond the last sample belongs to whoever asks on from there.
            last = int(samples.times[-1])
            damaged = [
                (max(low, last), high) if newest_first else (low, min(high, last))
                for low, high in damaged
                if (high > last if newest_first else low < last)
            ]
        return Found(samples, tuple(sorted(damaged)))

    def _runs(
        self, entry: Entry, start: int, end: int, newest_first: bool
    ) -> Generator[tuple[Samples, list[Span]], None, None]:
        """Samples of [start, end), in runs that follow each other, and damage; each run ascends in time."""
        with closing(self._views(entry, start, end, newest_first)) as views:
            for view, low, high, tail in views:
                found = merge.regions(view.blocks((entry.id,), low, high) if view else (), low, high)
                if view is not None and view.is_damaged:
                    yield merge.nothing(entry.type), [(low, high)]
                for region in reversed(found) if newest_first else found:
                    pieces = merge.cut_pieces(tail, region.start, region.end)
                    samples, damaged = merge.read_region(view, region, pieces, entry.type)
                    yield samples, [_span(block, low, high) for block in damaged]

    def _views(
        self, entry: Entry, start: int, end: int, newest_first: bool
    ) -> Generator[tuple[DayView | None, int, int, list[Piece]], None, None]:
        """Each day with samples in [start, end): its file if it has one, its part of range and tail."""
        tail = merge.cut_pieces(self._tail.samples(entry.id, entry.type), start, end)
        paths = self._days.between(start, end)
        days = set(paths)
        for _, samples in tail:
            days.update(np.unique(samples.times // DAY_NS).tolist())
        for day in sorted(days, reverse=newest_first):
            low, high = max(start, day * DAY_NS), min(end, (day + 1) * DAY_NS)
            pieces = merge.cut_pieces(tail, low, high)
            path = paths.get(day)
            if path is None:
                yield None, low, high, pieces
                continue
            with self._days.view(day, path) as view:
                yield view, low, high, pieces


def _log_damage(damage: DamagedBlock) -> None:
    log.error("damaged history: %s", damage)


def _within(start: int, end: int) -> tuple[int, int]:
    """OPC UA's first DateTime, 1601, lies before what 64 bits of nanoseconds can say."""
    return max(start, _FIRST), min(end, _LAST)


def _span(block: Stored, low: int, high: int) -> Span:
    return max(low, block.first_time), min(high, block.last_time + 1)


def _singles(type: ValueType, some: Sequence[Newest]) -> Iterator[tuple[int, Series]]:
    """Of tags of one type, cut from common arrays: for a sample each, making arrays of its own costs most."""
    whole = _series(type, Found(samples_of(type, some)))
    times, values, statuses = whole.source_times, whole.values, whole.statuses
    for place, newest in enumerate(some):
        own = slice(place, place + 1)
        yield newest.tag, Series(type, times[own], values[own], statuses[own])


def _nothing(type: ValueType) -> Series:
    return _series(type, Found(merge.nothing(type)))


def _series(type: ValueType, found: Found) -> Series:
    samples = found.samples
    values = samples.values if type is ValueType.STRING else from_bits(samples.values, type)
    return Series(type, samples.times, values, samples.statuses, found.damaged)
