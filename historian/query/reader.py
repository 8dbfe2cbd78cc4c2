"""What is stored of tags between two times: the journal's tail and the blocks of day files, merged.

In two steps: `gather` asks the files, one transaction a day for all tags; `settle` decodes and merges one tag, and
may run in any thread. Call `Tail.refresh` first (docs/formats/history.md, "Reading while it is being written").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.tags.quality import Quality
from gateway.tags.tag import ValueType
from historian.errors import DamagedBlock, DamagedColumn
from historian.query import merge
from historian.query.days import Days, DayView, Newest, Summed
from historian.query.decoding import Crew, Packed, SharedTimes, Times, decode
from historian.query.merge import Piece
from historian.query.tail import Tail
from historian.store.blocks import Samples
from historian.store.layout import DAY_NS, day_of

Span = tuple[int, int]  # [from, to) in UTC ns
Types = Mapping[int, ValueType]  # by catalogue id


@dataclass(slots=True)
class DayPart:
    """What a day holds of one tag: its blocks, not decoded yet, and pieces that are decoded."""

    path: Path | None
    low: int
    high: int
    blocks: list[tuple[Packed, Times | None]] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)


@dataclass(slots=True)
class Gathered:
    """Everything that may be said of one tag, by day in order; ``summed`` blocks tell their last sample only."""

    type: ValueType
    start: int
    takes_before: bool
    days: list[DayPart] = field(default_factory=list)
    summed: list[Summed] = field(default_factory=list)
    damaged: list[Span] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Samples to decode."""
        return sum(block.size for part in self.days for block, _ in part.blocks)


@dataclass(frozen=True, slots=True)
class Found:
    """Samples of one tag in order, and where more may have been that cannot be read.

    ``reports`` are the damaged blocks among them that nobody was told of yet.
    """

    samples: Samples
    damaged: tuple[Span, ...] = ()
    reports: tuple[DamagedBlock, ...] = ()


def settle(one: Gathered, crew: Crew | None = None) -> Found:
    """The samples, decoded and merged; one from before the start where it was asked for."""
    runs: list[Samples] = []
    reports: list[DamagedBlock] = []
    spans = list(one.damaged)
    for part in one.days:
        pieces = list(part.pieces)
        work = partial(_decode_all, part.path, one.type)
        if crew is None or len(part.blocks) < 2:
            decoded = work(part.blocks)
        else:
            decoded = crew.share(work, part.blocks, sum(block.size for block, _ in part.blocks))
        for (block, _), samples in zip(part.blocks, decoded, strict=True):
            if isinstance(samples, DamagedBlock):
                reports.append(samples)
                spans.append((max(one.start, samples.first_time), min(part.high, samples.last_time + 1)))
            else:
                pieces.append((block.sequence, samples))
        merged = merge.merge(pieces, one.type)
        low, high = merged.times.searchsorted((part.low, part.high)).tolist()
        if one.takes_before and not runs:
            low = max(int(merged.times.searchsorted(one.start)) - 1, 0)
        runs.append(merged if high - low == len(merged) else merged[low:high])
    return Found(merge.join(runs, one.type), tuple(sorted(spans)), tuple(reports))


def one_sample(type: ValueType, time: int, value: int | str, status: int) -> Samples:
    """A single sample; ``value`` is signed 64 bits, or the string."""
    values: NDArray[Any] = np.empty(1, object if type is ValueType.STRING else np.int64)
    values[0] = value
    if type is not ValueType.STRING:
        values = values.view(np.uint64)
    return Samples(np.array([time], np.int64), values, np.array([status], np.uint32))


class Reader:
    """Reads for one `History`, which sees to it that calls take turns."""

    def __init__(self, tail: Tail, days: Days) -> None:
        self._tail = tail
        self._days = days
        self._times = SharedTimes()
        self.crew = Crew()

    def read(self, types: Types, start: int, end: int) -> dict[int, Found]:
        """Samples of [start, end) of each tag."""
        gathered = self.gather(types, start, end)
        if len(gathered) == 1:
            ((tag, one),) = gathered.items()
            return {tag: settle(one, self.crew)}
        asked = list(gathered.values())
        found = self.crew.share(
            lambda some: [settle(one) for one in some], asked, sum(one.count for one in asked)
        )
        return dict(zip(gathered, found, strict=True))

    def gather(
        self,
        types: Types,
        start: int,
        end: int,
        *,
        before: bool = False,
        sums: Callable[[Summed], bool] | None = None,
    ) -> dict[int, Gathered]:
        """What there is of each tag in [start, end); with ``before`` the newest sample before it too.

        A block alone in its time for which ``sums`` is true is not decoded: it comes as `Gathered.summed`.
        """
        tails = self._tail.samples_of(types)
        gathered = {tag: Gathered(type, start, before) for tag, type in types.items()}
        ahead: dict[int, Piece] = {}
        if before:
            ahead = self.newest_pieces(types, start, across=False)
        paths = self._days.between(start, end)
        for day in sorted({*paths, *_days_of(tails, start, end)}):
            low, high = max(start, day * DAY_NS), min(end, (day + 1) * DAY_NS)
            path = paths.get(day)
            for tag, one in gathered.items():
                pieces = merge.cut_pieces(tails[tag], low, high) if tag in tails else []
                one.days.append(DayPart(path, low, high, [], pieces))
            if path is not None:
                self._gather_day(gathered, day, path, low, high, sums)
        for tag, piece in ahead.items():
            one = gathered[tag]
            if not one.days:
                one.days.append(DayPart(None, start, end))
            one.days[0].pieces.append(piece)
        return gathered

    def newest(self, types: Types, end: int | None) -> dict[int, Samples]:
        """The newest sample before ``end``, or of all where None; a Bad one where it is in a damaged block."""
        return {tag: samples for tag, (_, samples) in self.newest_pieces(types, end).items()}

    def newest_pieces(self, types: Types, end: int | None, *, across: bool = True) -> dict[int, Piece]:
        """`newest` with its sequence; without ``across`` blocks that reach over ``end`` are left out."""
        best: dict[int, Piece] = {} if end is not None else self._tail.newest(types)
        if end is not None:
            for tag, pieces in self._tail.samples_of(types).items():
                for sequence, samples in pieces:
                    place = int(samples.times.searchsorted(end))
                    if place:
                        _prefer(best, tag, (sequence, samples[place - 1 : place]))
        waiting = set(types)
        for day, path in self._days_back(end):
            waiting = {tag for tag in waiting if tag not in best or day_of(_time(best[tag])) <= day}
            if not waiting:
                break
            limit = (day + 1) * DAY_NS if end is None else min(end, (day + 1) * DAY_NS)
            with self._days.view(day, path) as view:
                if view is None:
                    continue
                asked = sorted(waiting)
                last = view.newest(asked, limit)
                reaching = self._reaching(view, types, asked, limit) if limit == end and across else []
            for tag, piece in (*_pieces_of(last, types), *reaching):
                _prefer(best, tag, piece)
                waiting.discard(tag)
        return best

    def _reaching(self, view: DayView, types: Types, tags: list[int], end: int) -> list[tuple[int, Piece]]:
        blocks = view.across(tags, end)
        times = self._times_of(view, blocks)
        found: list[tuple[int, Piece]] = []
        for block in blocks:
            type = types[block.tag]
            try:
                samples = merge.cut(decode(block, times.get(block.times), type), block.first_time, end)[-1:]
            except DamagedColumn as damage:
                view.tell(block, damage)
                nothing = "" if type is ValueType.STRING else 0
                samples = one_sample(type, block.first_time, nothing, Quality.BAD)
            found.append((block.tag, (block.sequence, samples)))
        return found

    def _gather_day(
        self,
        gathered: Mapping[int, Gathered],
        day: int,
        path: Path,
        low: int,
        high: int,
        sums: Callable[[Summed], bool] | None,
    ) -> None:
        tags = list(gathered)
        with self._days.view(day, path) as view:
            if view is None:
                return
            if sums is None:
                blocks = view.packed(tags, low, high)
            else:
                decoded = self._sum_up(gathered, view.summed(tags, low, high), sums)
                blocks = view.packed_by_id(decoded)
            times = self._times_of(view, blocks)
            for block in blocks:
                one = gathered[block.tag]
                one.days[-1].blocks.append((block, times.get(block.times)))
            if view.is_damaged:
                for one in gathered.values():
                    one.damaged.append((low, high))

    def _sum_up(
        self, gathered: Mapping[int, Gathered], blocks: list[Summed], sums: Callable[[Summed], bool]
    ) -> list[int]:
        """Note the blocks whose sums will do; the ids of the others."""
        rest: list[int] = []
        for block, is_alone in zip(blocks, _alone(blocks), strict=True):
            one = gathered[block.tag]
            part = one.days[-1]
            if is_alone and sums(block) and not _overlap(part.pieces, block):
                one.summed.append(block)
                last = one_sample(one.type, block.last_time, block.last, block.last_status)
                part.pieces.append((block.sequence, last))
            else:
                rest.append(block.id)
        return rest

    def _times_of(self, view: DayView, blocks: list[Packed]) -> dict[int, Times]:
        if not blocks:
            return {}
        return {id: self._times.decode(column) for id, column in view.times_of(blocks).items()}

    def _days_back(self, end: int | None) -> Iterator[tuple[int, Path]]:
        """Files from the newest day (of before ``end``) on back; the first may not be there."""
        below: int | None = None
        if end is not None:
            below = day_of(end - 1)
            yield from self._days.between(end - 1, end).items()
        for day in sorted(self._days.paths(), reverse=True):
            if below is None or day < below:
                yield day, self._days.paths()[day]


def _decode_all(
    path: Path | None, type: ValueType, blocks: Sequence[tuple[Packed, Times | None]]
) -> list[Samples | DamagedBlock]:
    decoded: list[Samples | DamagedBlock] = []
    for block, times in blocks:
        try:
            decoded.append(decode(block, times, type))
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


def _prefer(best: dict[int, Piece], tag: int, piece: Piece) -> None:
    known = best.get(tag)
    if known is None or (_time(piece), piece[0]) > (_time(known), known[0]):
        best[tag] = piece


def _time(piece: Piece) -> int:
    return int(piece[1].times[0])


def _pieces_of(found: Sequence[Newest], types: Types) -> list[tuple[int, Piece]]:
    """The last samples of blocks; numbers are cut from common arrays, as a question may be about thousands."""
    texts = [one for one in found if types[one.tag] is ValueType.STRING]
    numbers = [one for one in found if types[one.tag] is not ValueType.STRING] if texts else found
    pieces: list[tuple[int, Piece]] = [
        (one.tag, (one.sequence, one_sample(ValueType.STRING, one.time, one.value, one.status)))
        for one in texts
    ]
    times = np.array([one.time for one in numbers], np.int64)
    values = np.array([one.value for one in numbers], np.int64).view(np.uint64)
    statuses = np.array([one.status for one in numbers], np.uint32)
    for place, one in enumerate(numbers):
        here = slice(place, place + 1)
        pieces.append((one.tag, (one.sequence, Samples(times[here], values[here], statuses[here]))))
    return pieces


def _alone(blocks: Sequence[Summed]) -> list[bool]:
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


def _overlap(pieces: Sequence[Piece], block: Summed) -> bool:
    return any(len(merge.cut(samples, block.first_time, block.last_time + 1)) for _, samples in pieces)
