"""Time-weighted averages of stepped values. Pure: knots and summaries in, one number an interval out.

A knot says what is so from its time on, until the next knot: a value, or that nothing is known. For an interval the
average is the integral over the time held by usable samples (not Bad, finite), divided by that time, as TimeAverage2
of OPC 10000-13 does with stepped bounds; Uncertain values count, and only Good time counts as good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.tags.quality import Quality
from historian.query.remembered import NO_GRID, Grid
from historian.store.blocks import NS

BAD_NO_DATA = int(Quality.BAD_NO_DATA)  # OPC 10000-4 7.39.2: nothing usable in the interval
UNCERTAIN_DATA_SUB_NORMAL = int(Quality.UNCERTAIN_DATA_SUB_NORMAL)
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


@dataclass(frozen=True, slots=True)
class Weights:
    """How long each knot of one array of times holds in each interval between ``edges``; built once, used for many.

    Every sum is of whole nanoseconds or of values times them: nothing is taken from a running total, where a great
    value would leave its rounding errors in all that follow.
    """

    edges: NDArray[np.int64]
    inside: slice  # knots that begin in an interval, and how long each holds in it
    held: NDArray[np.int64]
    held_s: NDArray[np.float64]
    filled: NDArray[np.int64]  # intervals in which a knot begins, and the place of the first in ``inside``
    starts: NDArray[np.int64]
    carried: NDArray[
        np.int64
    ]  # intervals that begin with what an earlier knot said, that knot, and for how long
    knot: NDArray[np.int64]
    carried_ns: NDArray[np.int64]
    carried_s: NDArray[np.float64]

    def time(self, holds: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Nanoseconds for which knots of ``holds`` (..., knots) hold in each interval."""
        return self._sums(holds, self.held, self.carried_ns)

    def integral(
        self, values: NDArray[Any], scratch: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Value times seconds of ``values`` (..., knots) in each interval; ``scratch`` is of that shape, or more."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self._sums(values, self.held_s, self.carried_s, scratch)

    def _sums(
        self,
        values: NDArray[Any],
        held: NDArray[Any],
        carried: NDArray[Any],
        scratch: NDArray[np.float64] | None = None,
    ) -> NDArray[Any]:
        sums = np.zeros((*values.shape[:-1], len(self.edges) - 1), held.dtype)
        if len(self.carried):
            sums[..., self.carried] = values[..., self.knot] * carried
        if len(self.filled):
            inside = values[..., self.inside]
            out = None if scratch is None else scratch[..., : inside.shape[-1]]
            sums[..., self.filled] += np.add.reduceat(
                np.multiply(inside, held, out=out), self.starts, axis=-1
            )
        return sums


def weights_of(edges: NDArray[np.int64], times: NDArray[np.int64]) -> Weights:
    """Of knots at ``times``, ascending; of knots of one time the last counts."""
    first = times.searchsorted(edges)
    inside = slice(int(first[0]), int(first[-1]))
    held = np.diff(times[inside], append=edges[-1])
    is_filled = first[1:] > first[:-1]
    filled = np.flatnonzero(is_filled)
    last = first[1:][filled] - 1
    held[last - inside.start] = edges[1:][filled] - times[last]
    until = edges[1:].copy()
    until[filled] = times[first[:-1][filled]]
    carried = np.flatnonzero((first[:-1] > 0) & (until > edges[:-1]))
    carried_ns: NDArray[np.int64] = (until - edges[:-1])[carried]
    carried_s = np.asarray(carried_ns * NS, np.float64)
    return Weights(
        edges,
        inside,
        held,
        held * NS,
        filled,
        first[:-1][filled] - inside.start,
        carried,
        first[:-1][carried] - 1,
        carried_ns,
        carried_s,
    )


@dataclass(frozen=True, slots=True)
class Stretch:
    """The intervals [first, last) reaches into, and their edges cut to its end; ``grid`` says the same in short."""

    first: int
    last: int
    inside: slice
    edges: NDArray[np.int64]
    grid: Grid

    @property
    def held(self) -> NDArray[np.int64]:
        """How much of each interval it takes."""
        return np.diff(np.maximum(self.edges, self.first))


class Stretches:
    """Cuts stretches of time by the intervals between ``edges``, which are alike but for the last."""

    def __init__(self, edges: NDArray[np.int64]) -> None:
        self.edges = edges
        self._start, self._end = int(edges[0]), int(edges[-1])
        self._step = int(edges[1]) - self._start
        self._known: dict[tuple[int, int], Stretch] = {}

    def of(self, first: int, last: int) -> Stretch:
        """The stretch [first, last); of no interval where it lies outside, or is empty."""
        known = self._known.get((first, last))
        if known is None:
            known = self._known[first, last] = self._cut(first, last)
        return known

    def place(self, time: int) -> int:
        """The interval that a time between the edges lies in."""
        return (time - self._start) // self._step

    def _cut(self, first: int, last: int) -> Stretch:
        low, high = max(first, self._start), min(last, self._end)
        if low >= high:
            return Stretch(first, last, slice(0, 0), self.edges[:1], NO_GRID)
        inside = slice(self.place(low), self.place(high - 1) + 1)
        own = self.edges[inside.start : inside.stop + 1].copy()
        own[-1] = high
        return Stretch(first, last, inside, own, (int(own[0]), self._step, len(own), high))


def average(
    edges: NDArray[np.int64],
    knots: Knots,
    covered: Sequence[Covered],
    known: Sequence[tuple[Stretch, NDArray[np.float64]]] = (),
) -> Averages:
    """Averages of the intervals between ``edges``; of ``known`` stretches, all Good, the integrals are given."""
    weights = weights_of(edges, knots.times)
    usable_ns = weights.time(knots.usable)
    good_ns = weights.time(knots.good)
    integral = weights.integral(knots.values)
    if covered:
        where = np.searchsorted(edges, [piece.first for piece in covered], "right") - 1
        np.add.at(usable_ns, where, [piece.usable_ns for piece in covered])
        np.add.at(good_ns, where, [piece.good_ns for piece in covered])
        with np.errstate(over="ignore", invalid="ignore"):
            np.add.at(integral, where, [piece.integral for piece in covered])
    for stretch, sums in known:
        usable_ns[stretch.inside] += stretch.held
        good_ns[stretch.inside] += stretch.held
        integral[stretch.inside] += sums
    return finish(edges, integral, usable_ns, good_ns)


def finish(
    edges: NDArray[np.int64],
    integral: NDArray[np.float64],
    usable_ns: NDArray[np.int64],
    good_ns: NDArray[np.int64],
) -> Averages:
    """The averages of integrals (value times seconds) over usable time."""
    has_data = usable_ns > 0
    result = np.full(len(edges) - 1, np.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        np.divide(integral, usable_ns * NS, out=result, where=has_data)
    length = np.diff(edges)
    statuses = np.where(
        good_ns == length, int(Quality.GOOD), np.where(has_data, UNCERTAIN_DATA_SUB_NORMAL, BAD_NO_DATA)
    ).astype(np.uint32)
    return Averages(edges[:-1], result, 100.0 * good_ns / length, statuses)
