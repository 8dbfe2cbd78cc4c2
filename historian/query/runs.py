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
from historian.query.average import Averages, Weights, finish, weights_of
from historian.query.decoding import Packed
from historian.query.reader import Gathered
from historian.store import columns
from historian.store.blocks import NS
from historian.store.frame import GapFrame
from historian.store.integers import decode_integers

ROOM = 1 << 17  # numbers decoded at a time: twice a MiB stays in the cache of a core while it is added up


class Run(NamedTuple):
    """Samples of one tag with none of others between them: a block, or ``values`` that are decoded."""

    first: int
    last: int
    times: NDArray[np.int64]
    block: Packed | None
    values: NDArray[Any] | None


class _Row(NamedTuple):
    place: int
    type: ValueType
    runs: list[Run]


def averages(
    asked: Sequence[Gathered], edges: NDArray[np.int64], gaps: Sequence[GapFrame], now: int
) -> list[Averages | None]:
    """The averages of each tag; None where it is not so simple, or something cannot be read."""
    found: list[Averages | None] = [None] * len(asked)
    groups: dict[tuple[int | bytes, ...], list[_Row]] = {}
    for place, one in enumerate(asked):
        runs = runs_of(one)
        if runs:
            alike = tuple([id(run.times) if run.block else run.times.tobytes() for run in runs])
            groups.setdefault(alike, []).append(_Row(place, one.type, runs))
    room = _Room()
    for rows in groups.values():
        since = rows[0].runs[0].first
        if any(gap.from_time < edges[-1] and max(gap.from_time, gap.to_time) >= since for gap in gaps):
            continue
        for row, result in zip(rows, _together(rows, edges, now, room), strict=True):
            found[row.place] = result
    return found


def runs_of(one: Gathered) -> list[Run]:
    """The runs of a tag in order; none where they overlap, or not all is Good and readable."""
    if one.summed or one.damaged:
        return []
    runs: list[Run] = []
    for part in one.days:
        for block, times in part.blocks:
            if (
                block.quality_data is not None
                or not isinstance(times, np.ndarray)
                or len(times) != block.size
            ):
                return []
            runs.append(Run(block.first_time, block.last_time, times, block, None))
        for _, samples in part.pieces:
            if samples.statuses.any():
                return []
            times = samples.times
            runs.append(Run(int(times[0]), int(times[-1]), times, None, samples.values))
    if len(runs) > 1:
        runs.sort(key=lambda run: run.first)
        if any(run.last >= later.first for run, later in pairwise(runs)):
            return []
    return runs


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
    rows: Sequence[_Row], edges: NDArray[np.int64], now: int, room: _Room
) -> Iterator[Averages | None]:
    """Of tags whose runs have the same times."""
    runs = rows[0].runs
    # What the newest sample before the end says holds until now, or to its own time where the clock is behind it.
    newest = runs[-1].times[runs[-1].times.searchsorted(edges[-1]) - 1]
    since, until = runs[0].first, max(now, int(newest))
    integral = np.zeros((len(rows), len(edges) - 1))
    with np.errstate(over="ignore", invalid="ignore"):
        for number, run in enumerate(runs):
            end = runs[number + 1].first if number + 1 < len(runs) else until
            inside = slice(
                max(int(edges.searchsorted(run.first, "right")) - 1, 0), int(edges.searchsorted(end))
            )
            own = edges[inside.start : inside.stop + 1].copy()
            if run.first >= edges[-1] or len(own) < 2:
                continue
            own[-1] = min(int(own[-1]), end)
            _add(integral[:, inside], rows, number, weights_of(own, run.times), room)
        known_ns = np.maximum(np.minimum(edges[1:], until) - np.maximum(edges[:-1], since), 0)
        shared = finish(edges, np.zeros(len(edges) - 1), known_ns, known_ns)
        means = integral / np.where(known_ns > 0, known_ns * NS, np.nan)
    finite = np.atleast_1d(np.isfinite(integral).all(axis=1)).tolist()
    for mean, is_finite in zip(means, finite, strict=True):
        yield Averages(shared.starts, mean, shared.percent_good, shared.statuses) if is_finite else None


def _add(
    integral: NDArray[np.float64], rows: Sequence[_Row], number: int, weights: Weights, room: _Room
) -> None:
    """To ``integral`` (rows, intervals) what each row's run of that number says; NaN where it cannot be read."""
    count = len(rows[0].runs[number].times)
    step = max(1, ROOM // count)
    others: list[int] = []
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        numbers, scratch = room.of(len(some), count)
        whole = numbers.view(np.int64)
        factors = np.empty((len(some), 1))
        for place, (row, out) in enumerate(zip(some, whole, strict=True)):
            block = row.runs[number].block
            factor = None
            if block is not None:
                try:
                    factor = decode_integers(row.type, block.value_data, out)
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
        assert run.block is not None, "a run is a block, or values"
        try:
            values = columns.decode_values(type, run.block.value_data)
        except DamagedColumn:
            return np.nan
        if len(values) != count:
            return np.nan
    return from_bits(values, type)
