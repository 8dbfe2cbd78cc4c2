"""What is stored of tags between two times: the journal's tail and the blocks of day files, merged.

In two steps: `gather` asks the files, one transaction a day for all tags; `settle` decodes and merges one tag, and
may run in any thread. Call `Tail.refresh` first (docs/formats/history.md, "Reading while it is being written").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.tags.quality import Quality
from gateway.tags.tag import ValueType
from historian.errors import DamagedBlock, DamagedColumn
from historian.query import merge
from historian.query.days import Days, DayView
from historian.query.decoding import Crew, Times, decode
from historian.query.merge import Piece
from historian.query.remembered import BYTES_A_SAMPLE, MAX_SAMPLES_BYTES
from historian.query.stored import Newest, Packed, Stored
from historian.query.tail import Tail
from historian.store.blocks import Samples
from historian.store.layout import DAY_NS, day_of

# Of what one question decodes: more would drive out all that others asked for.
MAX_KEPT_AT_ONCE = MAX_SAMPLES_BYTES // BYTES_A_SAMPLE // 2

Span = tuple[int, int]  # [from, to) in UTC ns
Types = Mapping[int, ValueType]  # by catalogue id
Recall = Callable[[Sequence[Stored]], list[NDArray[np.float64] | None]]


@dataclass(slots=True)
class DayPart:
    """What a day holds of one tag.

    ``blocks`` are not decoded yet, ``pieces`` and ``decoded`` blocks are, and of those in ``recalled`` the sums by
    interval are known, so that of their samples only the last is. Tuples, as most of them are empty: a question may
    be about thousands of tags, and each list would be one more for the garbage collector to look at.
    """

    path: Path | None
    low: int
    high: int
    pieces: tuple[Piece, ...]
    blocks: tuple[tuple[Packed, Times | None], ...] = ()
    decoded: tuple[tuple[Stored, Samples], ...] = ()
    recalled: tuple[tuple[Stored, NDArray[np.float64]], ...] = ()


@dataclass(slots=True)
class Gathered:
    """Everything that may be said of one tag, by day in order; ``summed`` blocks tell their last sample only."""

    type: ValueType
    start: int
    takes_before: bool
    days: list[DayPart] = field(default_factory=list)
    summed: tuple[Stored, ...] = ()
    damaged: tuple[Span, ...] = ()

    @property
    def count(self) -> int:
        """Samples to decode."""
        return sum([packed.block.size for part in self.days for packed, _ in part.blocks])

    @property
    def size(self) -> int:
        """Samples of blocks that are decoded, or to be."""
        return self.count + sum([len(samples) for part in self.days for _, samples in part.decoded])


@dataclass(frozen=True, slots=True)
class Found:
    """Samples of one tag in order, and where more may have been that cannot be read.

    ``reports`` are the damaged blocks among them that nobody was told of yet.
    """

    samples: Samples
    damaged: tuple[Span, ...] = ()
    reports: tuple[DamagedBlock, ...] = ()


def one_sample(type: ValueType, time: int, value: int | str, status: int) -> Samples:
    """A single sample; ``value`` is signed 64 bits, or the string."""
    values: NDArray[Any] = np.empty(1, object if type is ValueType.STRING else np.int64)
    values[0] = value
    if type is not ValueType.STRING:
        values = values.view(np.uint64)
    return Samples(np.array([time], np.int64), values, np.array([status], np.uint32))


def samples_of(type: ValueType, found: Sequence[Newest]) -> Samples:
    """Single samples of tags of one type, one behind the other, not in order of time."""
    values: NDArray[Any] = np.empty(len(found), object if type is ValueType.STRING else np.int64)
    values[:] = [one.value for one in found]
    return Samples(
        np.array([one.time for one in found], np.int64),
        values if type is ValueType.STRING else values.view(np.uint64),
        np.array([one.status for one in found], np.uint32),
    )


class Reader:
    """Reads for one `History`, which sees to it that calls take turns."""

    def __init__(self, tail: Tail, days: Days) -> None:
        self._tail = tail
        self._days = days
        self.remembered = days.remembered
        self.crew = Crew()

    def read(self, types: Types, start: int, end: int) -> dict[int, Found]:
        """Samples of [start, end) of each tag."""
        gathered = self.gather(types, start, end)
        return dict(zip(gathered, self.settle_all(list(gathered.values())), strict=True))

    def settle_all(self, asked: Sequence[Gathered]) -> list[Found]:
        """`settle` of each, in several threads where that is worth it."""
        count = sum(one.count for one in asked)
        keeps = count <= MAX_KEPT_AT_ONCE
        if len(asked) == 1:
            return [self.settle(asked[0], self.crew, keeps=keeps)]
        return self.crew.share(lambda some: [self.settle(one, keeps=keeps) for one in some], asked, count)

    def settle(self, one: Gathered, crew: Crew | None = None, *, keeps: bool = True) -> Found:
        """The samples, decoded and merged; one from before the start where it was asked for."""
        runs: list[Samples] = []
        reports: list[DamagedBlock] = []
        spans = list(one.damaged)
        for part in one.days:
            pieces = [*part.pieces]
            pieces += [(block.sequence, samples) for block, samples in part.decoded]
            pieces += [(block.sequence, last_of(one.type, block)) for block, _ in part.recalled]
            decoded: list[Samples | DamagedBlock] = []
            if crew is not None and len(part.blocks) > 1:
                work = partial(_decode_all, part.path, one.type)
                decoded = crew.share(work, part.blocks, one.count)
            elif part.blocks:
                decoded = _decode_all(part.path, one.type, part.blocks)
            for (packed, _), samples in zip(part.blocks, decoded, strict=True):
                block = packed.block
                if isinstance(samples, DamagedBlock):
                    reports.append(samples)
                    spans.append((max(one.start, samples.first_time), min(part.high, samples.last_time + 1)))
                else:
                    pieces.append((block.sequence, samples))
                    if keeps:
                        self.remembered.keep_samples(block, samples)
            merged = merge.merge(pieces, one.type)
            low, high = 0, len(merged)
            if high and merged.times[0] < part.low:
                low = int(merged.times.searchsorted(part.low))
            if high and merged.times[-1] >= part.high:
                high = int(merged.times.searchsorted(part.high))
            if one.takes_before and not runs:
                low = max(int(merged.times.searchsorted(one.start)) - 1, 0)
            runs.append(merged if high - low == len(merged) else merged[low:high])
        return Found(merge.join(runs, one.type), tuple(sorted(spans)), tuple(reports))

    def decoded(self, one: Gathered) -> list[tuple[Stored, Samples]] | None:
        """All there is of a tag as whole blocks that share no time, in order; None where it is not so."""
        if one.damaged or one.summed or any(part.pieces or part.recalled for part in one.days):
            return None
        found = [pair for part in one.days for pair in part.decoded]
        for part in one.days:
            for packed, times in part.blocks:
                try:
                    samples = decode(packed, times, one.type)
                except DamagedColumn:
                    return None
                self.remembered.keep_samples(packed.block, samples)
                found.append((packed.block, samples))
        found.sort(key=lambda pair: pair[0].first_time)
        if any(earlier.last_time >= later.first_time for (earlier, _), (later, _) in pairwise(found)):
            return None
        return found

    def gather(
        self,
        types: Types,
        start: int,
        end: int,
        *,
        before: bool = False,
        sums: Callable[[Stored], bool] | None = None,
        recall: Recall | None = None,
    ) -> dict[int, Gathered]:
        """What there is of each tag in [start, end); with ``before`` the newest sample before it too.

        A block alone in its time for which ``sums`` is true is not decoded: it comes as `Gathered.summed`; nor is one
        that ``recall`` has sums of: it comes as `DayPart.recalled`.
        """
        tails = self._tail.samples_of(types)
        gathered = {tag: Gathered(type, start, before) for tag, type in types.items()}
        ahead: dict[int, Newest] = {}
        if before:
            ahead = self.newest(types, start, across=False)
        paths = self._days.between(start, end)
        for day in sorted({*paths, *_days_of(tails, start, end)}):
            low, high = max(start, day * DAY_NS), min(end, (day + 1) * DAY_NS)
            path = paths.get(day)
            for tag, one in gathered.items():
                pieces = tuple(merge.cut_pieces(tails[tag], low, high)) if tag in tails else ()
                one.days.append(DayPart(path, low, high, pieces))
            if path is not None:
                self._gather_day(gathered, day, path, low, high, sums, recall)
        for type in set(types.values()) if ahead else ():
            known = [newest for newest in ahead.values() if types[newest.tag] is type]
            samples = samples_of(type, known)
            for place, newest in enumerate(known):
                one = gathered[newest.tag]
                if not one.days:
                    one.days.append(DayPart(None, start, end, ()))
                one.days[0].pieces += ((newest.sequence, samples[place : place + 1]),)
        return gathered

    def newest(self, types: Types, end: int | None, *, across: bool = True) -> dict[int, Newest]:
        """The newest sample before ``end``, or of all where None; a Bad one where it is in a damaged block.

        Without ``across`` blocks that reach over ``end`` are left out.
        """
        best: dict[int, Newest] = {} if end is not None else self._tail.newest(types)
        if end is not None:
            for tag, pieces in self._tail.samples_of(types).items():
                for sequence, samples in pieces:
                    place = int(samples.times.searchsorted(end))
                    if place:
                        _prefer(best, _newest_in(tag, types[tag], sequence, samples[place - 1 : place]))
        waiting = set(types)
        for day, path in self._days_back(end):
            waiting = {tag for tag in waiting if tag not in best or day_of(best[tag].time) <= day}
            if not waiting:
                break
            limit = (day + 1) * DAY_NS if end is None else min(end, (day + 1) * DAY_NS)
            with self._days.view(day, path) as view:
                if view is None:
                    continue
                asked = sorted(waiting)
                last = view.newest(asked, limit)
                reaching = self._reaching(view, types, asked, limit) if limit == end and across else []
            for newest in (*last, *reaching):
                _prefer(best, newest)
                waiting.discard(newest.tag)
        return best

    def _reaching(self, view: DayView, types: Types, tags: list[int], end: int) -> list[Newest]:
        """Of blocks that begin before ``end`` and end at or after it."""
        found: list[Newest] = []
        for block in view.blocks(tags, end, end):
            type = types[block.tag]
            samples = view.samples(block, type)
            if samples is None:
                nothing = "" if type is ValueType.STRING else 0
                found.append(Newest(block.tag, block.first_time, block.sequence, nothing, Quality.BAD))
            else:
                own = merge.cut(samples, block.first_time, end)[-1:]
                found.append(_newest_in(block.tag, type, block.sequence, own))
        return found

    def _gather_day(
        self,
        gathered: Mapping[int, Gathered],
        day: int,
        path: Path,
        low: int,
        high: int,
        sums: Callable[[Stored], bool] | None,
        recall: Recall | None,
    ) -> None:
        with self._days.view(day, path) as view:
            if view is None:
                return
            blocks = view.blocks(list(gathered), low, high)
            if sums is not None or recall is not None:
                blocks = _sum_up(gathered, blocks, sums, recall)
            wanted: list[Stored] = []
            for block, samples in zip(blocks, self.remembered.samples_of_many(blocks), strict=True):
                if samples is None:
                    wanted.append(block)
                else:
                    gathered[block.tag].days[-1].decoded += ((block, samples),)
            times = view.times_of(wanted) if wanted else {}
            for packed in view.pack(wanted):
                part = gathered[packed.block.tag].days[-1]
                part.blocks += ((packed, times.get(packed.block.times)),)
            if view.is_damaged:
                for one in gathered.values():
                    one.damaged += ((low, high),)

    def _days_back(self, end: int | None) -> Iterator[tuple[int, Path]]:
        """Files from the newest day (of before ``end``) on back; the first may not be there."""
        below: int | None = None
        if end is not None:
            below = day_of(end - 1)
            yield from self._days.between(end - 1, end).items()
        for day in sorted(self._days.paths(), reverse=True):
            if below is None or day < below:
                yield day, self._days.paths()[day]


def last_of(type: ValueType, block: Stored) -> Samples:
    """The last sample of a block."""
    return one_sample(type, block.last_time, block.last, block.last_status)


def _sum_up(
    gathered: Mapping[int, Gathered],
    blocks: list[Stored],
    sums: Callable[[Stored], bool] | None,
    recall: Recall | None,
) -> list[Stored]:
    """Note the blocks whose sums will do; the others."""
    rest: list[Stored] = []
    single: list[Stored] = []
    for block, is_alone in zip(blocks, _alone(blocks), strict=True):
        one = gathered[block.tag]
        part = one.days[-1]
        if not is_alone or (part.pieces and _overlap(part.pieces, block)):
            rest.append(block)
        elif sums is not None and sums(block):
            one.summed += (block,)
            part.pieces += ((block.sequence, last_of(one.type, block)),)
        elif recall is not None:
            single.append(block)
        else:
            rest.append(block)
    if recall is not None:
        for block, known in zip(single, recall(single), strict=True):
            if known is None:
                rest.append(block)
            else:
                gathered[block.tag].days[-1].recalled += ((block, known),)
    return rest


def _decode_all(
    path: Path | None, type: ValueType, blocks: Sequence[tuple[Packed, Times | None]]
) -> list[Samples | DamagedBlock]:
    decoded: list[Samples | DamagedBlock] = []
    for packed, times in blocks:
        block = packed.block
        try:
            decoded.append(decode(packed, times, type))
        except DamagedColumn as damage:
            assert path is not None, "blocks come from a file"
            decoded.append(DamagedBlock(path, block.id, block.first_time, block.last_time, str(damage)))
    return decoded


def _days_of(tails: Mapping[int, Sequence[Piece]], start: int, end: int) -> set[int]:
    """The days in which a tail has samples in [start, end)."""
    days: set[int] = set()
    for pieces in tails.values():
        for _, samples in pieces:
            inside = merge.cut(samples, start, end).times
            if len(inside):
                first, last = day_of(int(inside[0])), day_of(int(inside[-1]))
                days.update((first, last) if last - first < 2 else np.unique(inside // DAY_NS).tolist())
    return days


def _newest_in(tag: int, type: ValueType, sequence: int, samples: Samples) -> Newest:
    """The only sample there."""
    values = samples.values if type is ValueType.STRING else samples.values.view(np.int64)
    return Newest(tag, int(samples.times[0]), sequence, values.tolist()[0], int(samples.statuses[0]))


def _prefer(best: dict[int, Newest], newest: Newest) -> None:
    known = best.get(newest.tag)
    if known is None or (newest.time, newest.sequence) > (known.time, known.sequence):
        best[newest.tag] = newest


def _alone(blocks: Sequence[Stored]) -> list[bool]:
    """Which blocks share no time with another of their tag; they come by tag and first time."""
    alone = [True] * len(blocks)
    reach = furthest = 0
    for place, block in enumerate(blocks):
        if place and block.tag == blocks[furthest].tag and block.first_time <= reach:
            alone[place] = alone[furthest] = False
            if block.last_time > reach:
                reach, furthest = block.last_time, place
        else:
            reach, furthest = block.last_time, place
    return alone


def _overlap(pieces: Sequence[Piece], block: Stored) -> bool:
    return any(len(merge.cut(samples, block.first_time, block.last_time + 1)) for _, samples in pieces)
