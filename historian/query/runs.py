"""Averages of tags of which there are Good samples only, in runs that follow each other. Pure.

Nothing is merged or copied: each run is added up as it lies, and tags whose runs have the same times, as those of a
poll group have, are rows of one matrix. What is otherwise goes the long way (`knots.average_of`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.tags.sample import from_bits
from gateway.tags.tag import ValueType
from historian.errors import DamagedColumn
from historian.query.average import Averages, Stretch, Stretches, Weights, finish, weights_of
from historian.query.reader import Gathered
from historian.query.remembered import Remembered
from historian.query.stored import Packed, Stored
from historian.store import columns
from historian.store.blocks import NS
from historian.store.frame import GapFrame
from historian.store.integers import decode_integers

ROOM = 1 << 17  # numbers decoded at a time: twice a MiB stays in the cache of a core while it is added up


class Run(NamedTuple):
    """Samples of one tag with none of others between them: a block, or ``values`` that are decoded.

    ``end`` is its last value, signed 64 bits. Of a block whose ``sums`` by interval are known no more is.
    """

    first: int
    last: int
    end: int | str  # strings have no averages
    block: Stored | None
    times: NDArray[np.int64] | None
    packed: Packed | None
    values: NDArray[Any] | None
    sums: NDArray[np.float64] | None


class _Row(NamedTuple):
    place: int
    type: ValueType
    runs: list[Run]


def averages(
    asked: Sequence[Gathered],
    stretches: Stretches,
    gaps: Sequence[GapFrame],
    now: int,
    remembered: Remembered,
) -> list[Averages | None]:
    """The averages of each tag; None where it is not so simple, or something cannot be read."""
    found: list[Averages | None] = [None] * len(asked)
    groups: dict[object, list[_Row]] = {}
    for place, one in enumerate(asked):
        runs = runs_of(one)
        if runs:
            alike = _times_of(runs[0]) if len(runs) == 1 else tuple(map(_times_of, runs))
            groups.setdefault(alike, []).append(_Row(place, one.type, runs))
    room = _Room()
    for rows in groups.values():
        since = rows[0].runs[0].first
        if any(
            gap.from_time < stretches.edges[-1] and max(gap.from_time, gap.to_time) >= since for gap in gaps
        ):
            continue
        for row, result in zip(rows, _together(rows, stretches, now, remembered, room), strict=True):
            found[row.place] = result
    return found


def runs_of(one: Gathered) -> list[Run]:
    """The runs of a tag in order; none where they overlap, or not all is Good and readable."""
    if one.summed or one.damaged:
        return []
    runs: list[Run] = []
    for part in one.days:
        for block, sums in part.recalled:
            runs.append(Run(block.first_time, block.last_time, block.last, block, None, None, None, sums))
        for block, samples in part.decoded:
            if not block.is_good:
                return []
            values, times = samples.values, samples.times
            runs.append(Run(block.first_time, block.last_time, block.last, block, times, None, values, None))
        for packed, known in part.blocks:
            block = packed.block
            if not block.is_good or not isinstance(known, np.ndarray) or len(known) != block.size:
                return []
            runs.append(Run(block.first_time, block.last_time, block.last, block, known, packed, None, None))
        for _, samples in part.pieces:
            if samples.statuses.any():
                return []
            times, values = samples.times, samples.values
            end = int(values[-1:].view(np.int64)[0])
            runs.append(Run(int(times[0]), int(times[-1]), end, None, times, None, values, None))
    if len(runs) > 1:
        runs.sort(key=_first_of)
        if any(run.last >= later.first for run, later in pairwise(runs)):
            return []
    return runs


def _first_of(run: Run) -> int:
    return run.first


def _times_of(run: Run) -> object:
    """The same where the times of two runs are the same."""
    if run.block is not None:
        return run.block.edition, run.block.times
    assert run.times is not None, "what is decoded has times"
    return run.times.tobytes()


class _Room:
    """Two arrays for numbers, made once and kept: new memory costs more than what is put there."""

    def __init__(self) -> None:
        self._words = np.empty((2, 0))

    def of(self, rows: int, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Both, shape (rows, count), with whatever is in them."""
        if self._words.shape[1] < rows * count:
            self._words = np.empty((2, rows * count))
        first, second = self._words[:, : rows * count].reshape(2, rows, count)
        return first, second


def _together(
    rows: Sequence[_Row], stretches: Stretches, now: int, remembered: Remembered, room: _Room
) -> Iterator[Averages | None]:
    """Of tags whose runs have the same times."""
    runs, edges = rows[0].runs, stretches.edges
    since, until = runs[0].first, max(now, _newest(runs[-1], int(edges[-1])))
    integral = np.zeros((len(rows), len(edges) - 1))
    with np.errstate(over="ignore", invalid="ignore"):
        for number, run in enumerate(runs):
            inside = stretches.of(run.first, run.last)
            if len(inside.edges) > 1:
                integral[:, inside.inside] += _within(rows, number, inside, remembered, room)
            _hold(
                integral, rows, number, stretches, runs[number + 1].first if number + 1 < len(runs) else until
            )
        known_ns = np.maximum(np.minimum(edges[1:], until) - np.maximum(edges[:-1], since), 0)
        shared = finish(edges, np.zeros(len(edges) - 1), known_ns, known_ns)
        means = integral / np.where(known_ns > 0, known_ns * NS, np.nan)
    finite = np.atleast_1d(np.isfinite(integral).all(axis=1)).tolist()
    for mean, is_finite in zip(means, finite, strict=True):
        yield Averages(shared.starts, mean, shared.percent_good, shared.statuses) if is_finite else None


def _hold(
    integral: NDArray[np.float64], rows: Sequence[_Row], number: int, stretches: Stretches, end: int
) -> None:
    """To ``integral`` (rows, intervals) what the last sample of each row's run of that number says until ``end``."""
    last, edges = rows[0].runs[number].last, stretches.edges
    low, high = max(last, int(edges[0])), min(end, int(edges[-1]))
    if low >= high:
        return
    bits = np.array([row.runs[number].end for row in rows], np.int64).view(np.uint64)
    types = {row.type for row in rows}
    numbers = np.empty(len(rows))
    for type in types:
        own = slice(None) if len(types) == 1 else [row.type is type for row in rows]
        numbers[own] = from_bits(bits[own], type)
    place = stretches.place(low)
    if high <= edges[place + 1]:
        integral[:, place] += numbers * ((high - low) * NS)
    else:
        held = stretches.of(last, end)
        integral[:, held.inside] += numbers[:, np.newaxis] * (held.held * NS)


def _newest(run: Run, end: int) -> int:
    """When the newest sample before the end was: what it says holds until now, or to its own time where the clock
    is behind it."""
    if run.last < end:
        return run.last
    # Sums are recalled of what reaches over the end only where the end lies in the past.
    return end if run.times is None else int(run.times[run.times.searchsorted(end) - 1])


def _within(
    rows: Sequence[_Row], number: int, stretch: Stretch, remembered: Remembered, room: _Room
) -> NDArray[np.float64]:
    """What each row's run of that number says to its intervals, from first to last sample; (rows, intervals)."""
    missing = [place for place, row in enumerate(rows) if row.runs[number].sums is None]
    reckoned = np.zeros((len(missing), len(stretch.edges) - 1))
    if missing:
        some = [rows[place] for place in missing]
        times = some[0].runs[number].times
        assert times is not None, "what is not recalled was read"
        _add(reckoned, some, number, weights_of(stretch.edges, times), room)
        finite = np.atleast_1d(np.isfinite(reckoned).all(axis=1))
        blocks = [row.runs[number].block for row in some]
        kept = [
            block
            for block, is_finite in zip(blocks, finite.tolist(), strict=True)
            if block is not None and is_finite
        ]
        if kept:
            remembered.keep_sums(kept, stretch.grid, reckoned[finite])
        if len(missing) == len(rows):
            return reckoned
    left = iter(reckoned)
    return np.array([next(left) if (known := row.runs[number].sums) is None else known for row in rows])


def _add(
    integral: NDArray[np.float64], rows: Sequence[_Row], number: int, weights: Weights, room: _Room
) -> None:
    """To ``integral`` (rows, intervals) what each row's run of that number says; NaN where it cannot be read."""
    times = rows[0].runs[number].times
    assert times is not None, "what is not recalled was read"
    count = len(times)
    step = max(1, ROOM // count)
    others: list[int] = []
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        numbers, scratch = room.of(len(some), count)
        whole = numbers.view(np.int64)
        factors = np.empty((len(some), 1))
        for place, (row, out) in enumerate(zip(some, whole, strict=True)):
            packed = row.runs[number].packed
            factor = None
            if packed is not None:
                try:
                    factor = decode_integers(row.type, packed.value_data, out)
                except DamagedColumn:
                    integral[start + place] = np.nan
            if factor is None:
                others.append(start + place)
                out[:] = 0
            factors[place] = factor or 0.0
        integral[start : start + len(some)] += weights.integral(whole, scratch) * factors
    for start in range(0, len(others), step):
        places = others[start : start + step]
        numbers, scratch = room.of(len(places), count)
        for place, doubles in zip(places, numbers, strict=True):
            doubles[:] = _doubles(rows[place].type, rows[place].runs[number], count)
        integral[places] += weights.integral(numbers, scratch)


def _doubles(type: ValueType, run: Run, count: int) -> NDArray[Any] | float:
    """The values of a run; NaN where they cannot be read."""
    values = run.values
    if values is None:
        assert run.packed is not None, "a run is a block, or values"
        try:
            values = columns.decode_values(type, run.packed.value_data)
        except DamagedColumn:
            return np.nan
        if len(values) != count:
            return np.nan
    return from_bits(values, type)
