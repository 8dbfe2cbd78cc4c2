"""Aggregates and values at instants, from what a `Reader` finds. Blocking; `History` makes calls take turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gateway.tags.aggregate import Aggregate, AggregateConfiguration, Processed
from gateway.tags.tag import ValueType
from historian.keeping.clock import unknown_in
from historian.query import around, at_time, merge
from historian.query.aggregates.intervals import Intervals
from historian.query.aggregates.known import Known
from historian.query.aggregates.table import NOT_ANNOTATED, calculate, type_of
from historian.query.around import Need
from historian.query.reader import MAX_KEPT_AT_ONCE, Found, Reader
from historian.query.stored import Stored
from historian.query.tail import Tail
from historian.store.blocks import Samples
from historian.store.catalogue import Entry
from historian.store.frame import GapFrame

_FIRST, _LAST = -(2**63), 2**63 - 1
_WIDE_NS = 120 * 10**9  # blocks are of a minute or longer: only in wider intervals are their sums of use

# Decoded at a time: 100 bytes each while they are reckoned with. 46 days of a tag at 1 Hz.
MAX_SAMPLES = 4_000_000

Sums = Callable[[Sequence[GapFrame], Mapping[int, Entry], Stored], bool]


class _TooManyError(Exception):
    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


@dataclass(frozen=True, slots=True)
class Processing:
    """``first`` reads a tag's first (or newest) samples of a span, ``gaps`` those that begin before a time, and
    ``annotated`` the times of a tag's annotations in a span.
    """

    reader: Reader
    tail: Tail
    gaps: Callable[[int], list[GapFrame]]
    first: Callable[[Entry, int, int, int | None, bool], Found]
    told: Callable[[Found], Found]
    annotated: Callable[[str, int, int], NDArray[np.int64]]
    clock: Callable[[], int]

    def aggregate(
        self,
        entries: Mapping[str, Entry],
        aggregate: Aggregate,
        asked: Intervals,
        configuration: AggregateConfiguration,
    ) -> dict[str, Processed]:
        """An aggregate of each tag over each interval. Raises ValueError."""
        for entry in entries.values():
            type_of(aggregate, entry.type)
        low, high = int(asked.edges[0]), int(asked.edges[-1])
        needs = {tag: around.need_of(aggregate, entry, configuration) for tag, entry in entries.items()}
        sums = partial(around.sums_up, aggregate, asked, configuration)
        is_wide = asked.edges[1] - asked.edges[0] >= _WIDE_NS
        try:
            known = self._known(entries, low, high, needs, configuration, sums if is_wide else None)
        except _TooManyError as error:
            if len(entries) > 1:
                return self._in_halves(
                    entries, lambda some: self.aggregate(some, aggregate, asked, configuration)
                )
            if len(asked) == 1:
                raise ValueError(
                    f"an interval holds {error.count} samples, more than {MAX_SAMPLES}: ask for shorter ones"
                ) from None
            parts = [self.aggregate(entries, aggregate, half, configuration) for half in asked.halves()]
            return {tag: at_time.one_behind_the_other([part[tag] for part in parts]) for tag in entries}
        counts_notes = aggregate is Aggregate.ANNOTATION_COUNT
        return {
            tag: calculate(
                aggregate,
                known[tag],
                entry.type,
                asked,
                stepped=entry.stepped,
                configuration=configuration,
                annotated=self.annotated(tag, low, high + 1) if counts_notes else NOT_ANNOTATED,
            )
            for tag, entry in entries.items()
        }

    def at_time(
        self,
        entries: Mapping[str, Entry],
        times: NDArray[np.int64],
        configuration: AggregateConfiguration,
        use_simple_bounds: bool,
    ) -> dict[str, Processed]:
        """What each tag was at each time. Raises ValueError."""
        is_ordered = bool((times[1:] >= times[:-1]).all())
        order = None if is_ordered else np.argsort(times, kind="stable")
        ordered = times if order is None else times[order]
        at_time.check(ordered)
        self.tail.refresh()
        parts: dict[str, list[Processed]] = {tag: [] for tag in entries}
        clusters = [ordered[cluster] for cluster in at_time.clusters(ordered)][::-1]
        while clusters:
            some = clusters.pop()
            simple = self._within_blocks(entries, some)
            others = {tag: entry for tag, entry in entries.items() if tag not in simple}
            needs = {
                tag: around.need_at(entry, configuration, use_simple_bounds) for tag, entry in others.items()
            }
            try:
                known = self._known(others, int(some[0]), int(some[-1]), needs, configuration, None, some)
            except _TooManyError:
                # What lies between two halves need not be read; a single instant needs next to nothing.
                assert len(some) > 1, "an instant lies in few blocks"
                clusters += [some[len(some) // 2 :], some[: len(some) // 2]]
                continue
            for tag, part in simple.items():
                parts[tag].append(part)
            for tag, entry in others.items():
                part = at_time.at_time(
                    known[tag],
                    entry.type,
                    some,
                    stepped=entry.stepped,
                    configuration=configuration,
                    use_simple_bounds=use_simple_bounds,
                )
                parts[tag].append(part)
        return {tag: at_time.joined(found, order) for tag, found in parts.items()}

    def _within_blocks(self, entries: Mapping[str, Entry], times: NDArray[np.int64]) -> dict[str, Processed]:
        """What each tag was at times, of those tags of which blocks in no gap say it alone."""
        low, high = int(times[0]), int(times[-1])
        types = {entry.id: entry.type for entry in entries.values() if entry.type is not ValueType.STRING}
        gathered = self.reader.gather(types, low, high + 1)
        if sum([one.count for one in gathered.values()]) > MAX_KEPT_AT_ONCE:
            return {}
        gaps = unknown_in(self.gaps(high + 1))
        found: dict[str, Processed] = {}
        for tag, entry in entries.items():
            blocks = self.reader.decoded(gathered[entry.id]) if entry.id in gathered else None
            if blocks and around.is_whole([block for block, _ in blocks], times, gaps):
                part = at_time.within(blocks, entry.type, times, stepped=entry.stepped)
                if part is not None:
                    found[tag] = part
        return found

    def _in_halves(
        self, entries: Mapping[str, Entry], ask: Callable[[Mapping[str, Entry]], dict[str, Processed]]
    ) -> dict[str, Processed]:
        """Half of the tags at a time."""
        tags = list(entries)
        halves = (tags[: len(tags) // 2], tags[len(tags) // 2 :])
        return {
            tag: found for half in halves for tag, found in ask({tag: entries[tag] for tag in half}).items()
        }

    def _known(
        self,
        entries: Mapping[str, Entry],
        low: int,
        high: int,
        needs: Mapping[str, Need],
        configuration: AggregateConfiguration,
        sums: Sums | None,
        only: NDArray[np.int64] | None = None,
    ) -> dict[str, Known]:
        """What is known of each tag from ``low`` up to and with ``high``, and around; or ``only`` around instants."""
        if not entries:
            return {}
        self.tail.refresh()
        now = self.clock()
        gaps = unknown_in(self.gaps(max(high, now) + 1))
        by_id = {entry.id: entry for entry in entries.values()}
        gathered = self.reader.gather(
            {id: entry.type for id, entry in by_id.items()},
            low,
            high + 1,
            before=True,
            sums=partial(sums, gaps, by_id) if sums else None,
        )
        count = sum(one.size for one in gathered.values())
        if count > MAX_SAMPLES and high > low:
            raise _TooManyError(count)
        known = {}
        for tag, entry in entries.items():
            one = gathered[entry.id]
            found = self.told(self.reader.settle(one, self.reader.crew))
            samples = self._widened(entry, found.samples, low, high, needs[tag], configuration, gaps)
            since = int(samples.times[0]) if len(samples) else low
            breaks = [gap for gap in gaps if max(gap.from_time, gap.to_time) >= since]
            if only is not None and not breaks and not found.damaged:
                samples = around.near(entry.type, samples, only)
            known[tag] = around.known_of(
                entry.type,
                samples,
                gaps=breaks,
                damaged=found.damaged,
                summed=one.summed,
                now=now,
            )
        return known

    def _widened(
        self,
        entry: Entry,
        samples: Samples,
        low: int,
        high: int,
        need: Need,
        configuration: AggregateConfiguration,
        gaps: Sequence[GapFrame],
    ) -> Samples:
        """With as many samples before and after as are needed, if there are."""
        before = samples[: int(samples.times.searchsorted(low, "right"))]
        if around.count_usable(entry.type, before, configuration) < need.usable_before and len(samples):
            since = int(samples.times[0])
            for limit in around.LOOK_AROUND:
                earlier = self.told(self.first(entry, _FIRST, since, limit, True)).samples[::-1]
                found = around.count_usable(
                    entry.type, merge.join([earlier, before], entry.type), configuration
                )
                if len(earlier) < limit or found >= need.usable_before:
                    break
            samples = merge.join([earlier, samples], entry.type)
        # In a gap that is open there, the end of the data is the next sample rather than the gap's begin.
        newest = int(samples.times[-1]) if len(samples) else _FIRST
        is_open = any(newest < gap.from_time <= high for gap in gaps)
        if need.after or is_open:
            for limit in around.LOOK_AROUND:
                later = self.told(self.first(entry, high + 1, _LAST, limit, False)).samples
                usable = around.count_usable(entry.type, later, configuration)
                if len(later) < limit or not need.after_usable or usable:
                    break
            samples = merge.join([samples, later], entry.type)
        return samples
