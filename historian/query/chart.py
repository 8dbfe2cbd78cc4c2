"""Few samples that draw the same line as many: the first, least, greatest and last of each column of pixels (M4).

Where the line is broken (Bad, no finite number, a gap in history, damage) stands one row whose value is NaN and whose
status says why, so that nobody joins what lies on either side. Pure, but for the library that picks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.tags.tag import ValueType
from historian.libraries import load
from historian.query.average import BAD_NO_DATA
from historian.query.stored import Stored
from historian.store.blocks import Samples, usable_numbers
from historian.store.frame import GapFrame

A_COLUMN = 4  # points: first, least, greatest, last
MAX_POINTS = 1 << 20  # wider than any screen


@dataclass(frozen=True, slots=True)
class Line:
    """What to draw of a tag, shape (n,), in order of time; ``values`` is NaN where the line is broken.

    The first row may lie before the start: what held there.
    """

    times: NDArray[np.int64]
    values: NDArray[np.float64]
    statuses: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.times)


def columns_of(start: int, end: int, points: int) -> NDArray[np.int64]:
    """The edges of as many columns as take ``points`` points. Raises ValueError."""
    if end <= start:
        raise ValueError("the end lies before the start")
    if not A_COLUMN <= points <= MAX_POINTS:
        raise ValueError(f"{points} points: a chart has {A_COLUMN} to {MAX_POINTS}")
    count = min(points // A_COLUMN, end - start)
    return np.array([start + (end - start) * place // count for place in range(count + 1)], np.int64)


def can_sum(edges: NDArray[np.int64], gaps: Sequence[GapFrame], block: Stored) -> bool:
    """Whether a block is drawn by its sums alone: all of it usable, within one column, in no gap."""
    first, last = edges.searchsorted((block.first_time, block.last_time), "right")
    return (
        bool(0 < first == last < len(edges))
        and block.usable == block.size
        and not any(gap.from_time <= block.last_time and gap.to_time >= block.first_time for gap in gaps)
    )


def of_sums(type: ValueType, block: Stored) -> Samples:
    """First, least and greatest of a block, whose last is among the samples; all lie in one column."""
    step = (block.last_time - block.first_time) // 3
    bits = np.array([block.first, block.minimum, block.maximum], np.int64).view(np.uint64)
    times = block.first_time + step * np.arange(3, dtype=np.int64)
    statuses = np.array([block.first_status, block.first_status, block.first_status], np.uint32)
    # A block of one or few ns has no room for four times: its last sample is not to be overtaken.
    keep = np.append(times[1:] > times[:-1], times[2] < block.last_time)
    return Samples(times[keep], bits[keep], statuses[keep])


def decimate(
    type: ValueType, samples: Samples, breaks: NDArray[np.int64], edges: NDArray[np.int64], points: int
) -> Line:
    """The line through ``samples``, broken from each of ``breaks`` to the sample after it."""
    numbers, usable = usable_numbers(type, samples.values, samples.statuses)
    values = np.where(usable, numbers, np.nan)
    times, statuses = samples.times, samples.statuses
    if len(breaks):
        # A sample of the same time counts more: it comes later, and the break is dropped.
        breaks = np.setdiff1d(breaks, times)
        at = times.searchsorted(breaks)
        times = np.insert(times, at, breaks)
        values = np.insert(values, at, np.nan)
        statuses = np.insert(statuses, at, BAD_NO_DATA).astype(np.uint32)
    is_break = np.isnan(values)
    begins = is_break & ~np.append(False, is_break[:-1])
    drawn = np.flatnonzero(~is_break)
    if len(drawn) > points:
        drawn = drawn[_pick(times[drawn], values[drawn], edges)]
    chosen = np.sort(np.append(drawn, _between(drawn, np.flatnonzero(begins))))
    return Line(times[chosen], values[chosen], statuses[chosen])


def _pick(
    times: NDArray[np.int64], values: NDArray[np.float64], edges: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Places of the first, least, greatest and last of each column; what lies before the first edge stays too.

    The library cuts the span of its x into columns of equal width. Ours are given to it as odd numbers, two apart,
    and one column more on either side, so that each sample lies in the middle of its column, whatever is rounded.
    """
    library: Any = load("tsdownsample", "a chart")
    column = edges.searchsorted(times, "right")
    room = A_COLUMN * (len(edges) + 1)
    # Given no more than there is room for, it would pick nothing and give back all.
    ahead = max(1, room - len(times))
    x = np.concatenate([np.zeros(ahead, np.int64), 2 * column + 1, [2 * (len(edges) + 1)]])
    y = np.concatenate([np.zeros(ahead), values, [0.0]])
    picked = library.M4Downsampler().downsample(x, y, n_out=room).astype(np.int64) - ahead
    inside: NDArray[np.int64] = np.unique(picked[(picked >= 0) & (picked < len(times))])
    return inside


def _between(drawn: NDArray[np.int64], breaks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of the breaks before, between and behind what is drawn, the first each."""
    _, first = np.unique(drawn.searchsorted(breaks), return_index=True)
    chosen: NDArray[np.int64] = breaks[first]
    return chosen
