"""Time-weighted averages of stepped values. Pure: knots and summaries in, one number an interval out.

A knot says what is so from its time on, until the next knot: a value, or that nothing is known. For an interval the
average is the integral over the time held by usable samples (not Bad, finite), divided by that time, as TimeAverage2
of OPC 10000-13 does with stepped bounds; Uncertain values count, and only Good time counts as good.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.tags.quality import Quality
from historian.store.blocks import NS

BAD_NO_DATA = 0x809B_0000  # OPC 10000-4 7.39.2: nothing usable in the interval
UNCERTAIN_DATA_SUB_NORMAL = 0x40A4_0000  # OPC 10000-13 4.2.2.2: computed from less than all good data
MAX_INTERVALS = 1_000_000  # eleven days by the second; more belongs in several questions


@dataclass(frozen=True, slots=True)
class Averages:
    """One row an interval, shape (n,). ``values`` is NaN where ``statuses`` is BadNoData."""

    starts: NDArray[np.int64]
    values: NDArray[np.float64]
    percent_good: NDArray[np.float64]
    statuses: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.starts)


@dataclass(frozen=True, slots=True)
class Knots:
    """What is so from ``times`` (ascending) on; where not usable, ``values`` is 0."""

    times: NDArray[np.int64]
    values: NDArray[np.float64]
    usable: NDArray[np.bool_]
    good: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Covered:
    """A stretch that starts at ``first`` and ends in the same interval, added up already; knots say nothing in it."""

    first: int
    integral: float
    usable_ns: int
    good_ns: int


def edges_of(start: int, end: int, interval: int) -> NDArray[np.int64]:
    """Where intervals start, and the end of the last, which may be shorter. Raises ValueError."""
    if end <= start:
        raise ValueError("the end lies before the start")
    if not -(2**62) < start < end < 2**62:
        raise ValueError("the times lie outside 1823..2116")
    if interval <= 0:
        raise ValueError("an interval must be longer than nothing")
    count = -(-(end - start) // interval)
    if count > MAX_INTERVALS:
        raise ValueError(f"{count} intervals are more than {MAX_INTERVALS}")
    interval = min(interval, end - start)  # a longer one is cut at the end anyway, and need not fit 64 bits
    return np.append(start + interval * np.arange(count, dtype=np.int64), end)


def average(edges: NDArray[np.int64], knots: Knots, covered: list[Covered]) -> Averages:
    """Averages of the intervals between ``edges``."""
    count = len(edges) - 1
    inside = knots.times[(knots.times > edges[0]) & (knots.times < edges[-1])]
    starts = np.union1d(edges[:-1], inside)
    held = np.diff(np.append(starts, edges[-1]))
    interval = np.searchsorted(edges, starts, "right") - 1
    knot = np.searchsorted(knots.times, starts, "right") - 1
    is_known = knot >= 0
    usable = np.zeros(len(starts), bool)
    good = np.zeros(len(starts), bool)
    values = np.zeros(len(starts))
    usable[is_known] = knots.usable[knot[is_known]]
    good[is_known] = knots.good[knot[is_known]]
    values[is_known] = knots.values[knot[is_known]]
    usable_ns = np.zeros(count, np.int64)
    good_ns = np.zeros(count, np.int64)
    integral = np.zeros(count)
    np.add.at(usable_ns, interval, np.where(usable, held, 0))
    np.add.at(good_ns, interval, np.where(good, held, 0))
    with np.errstate(over="ignore", invalid="ignore"):
        np.add.at(integral, interval, values * (held * NS))
        if covered:
            where = np.searchsorted(edges, [piece.first for piece in covered], "right") - 1
            np.add.at(usable_ns, where, [piece.usable_ns for piece in covered])
            np.add.at(good_ns, where, [piece.good_ns for piece in covered])
            np.add.at(integral, where, [piece.integral for piece in covered])
        has_data = usable_ns > 0
        result = np.full(count, np.nan)
        np.divide(integral, usable_ns * NS, out=result, where=has_data)
    length = np.diff(edges)
    statuses = np.where(
        good_ns == length, int(Quality.GOOD), np.where(has_data, UNCERTAIN_DATA_SUB_NORMAL, BAD_NO_DATA)
    ).astype(np.uint32)
    return Averages(edges[:-1], result, 100.0 * good_ns / length, statuses)
