"""Minimum, Maximum and Range in all their kinds (OPC 10000-13, 5.4.3.10 to 5.4.3.19)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.tags.aggregate import InfoBits
from historian.query.aggregates import bounds, regions, tally
from historian.query.aggregates.counted import chosen, members
from historian.query.aggregates.tally import (
    CALCULATED,
    GOOD,
    MULTIPLE,
    NO_DATA,
    UNCERTAIN,
    Answer,
    Question,
)

_INTERPOLATED = np.uint32(InfoBits.INTERPOLATED)


@dataclass(frozen=True, slots=True)
class _Candidates:
    """What an extreme is picked from, shape (c,), by interval and then by time. ``row`` as in `bounds.Points`."""

    interval: NDArray[np.intp]
    times: NDArray[np.int64]
    numbers: NDArray[np.float64]
    row: NDArray[np.intp]
    is_interpolated: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Picked:
    """The first candidate that has the least number of its interval; ``has_one`` and ``is_multiple`` shape (n,)."""

    interval: NDArray[np.intp]
    place: NDArray[np.intp]
    has_one: NDArray[np.bool_]
    is_multiple: NDArray[np.bool_]


def _pick(of: _Candidates, sign: int, many: int) -> _Picked:
    """Least where ``sign`` is 1, greatest where it is -1."""
    least = np.full(many, np.inf)
    numbers = sign * of.numbers
    np.minimum.at(least, of.interval, numbers)
    places = np.flatnonzero(numbers == least[of.interval])
    interval, first = np.unique(of.interval[places], return_index=True)
    counts = tally.count(of.interval[places], many)
    return _Picked(interval, places[first], counts > 0, counts > 1)


# Of the Good samples


def _samples(question: Question) -> _Candidates:
    found = members(question)
    good = chosen(found, question.rows.is_good[found.rows])
    return _Candidates(
        good.interval,
        question.rows.times[good.rows],
        question.rows.numbers[good.rows],
        good.rows,
        np.zeros(len(good.rows), bool),
    )


def _status(question: Question, *signs: int) -> NDArray[np.uint32]:
    """Uncertain where Bad samples exist, or an Uncertain one lies beyond the extreme of the Good ones."""
    found, many, rows = members(question), len(question.intervals), question.rows
    doubtful = tally.count(found.interval[~rows.usable[found.rows]], many) > 0
    unsure = chosen(found, rows.usable[found.rows] & rows.is_uncertain[found.rows])
    good = chosen(found, rows.is_good[found.rows])
    for sign in signs:
        least = np.full(many, np.inf)
        np.minimum.at(least, good.interval, sign * rows.numbers[good.rows])
        doubtful |= (
            tally.count(unsure.interval[sign * rows.numbers[unsure.rows] < least[unsure.interval]], many) > 0
        )
    return np.where(doubtful, UNCERTAIN, GOOD)


def _extreme(question: Question, sign: int, is_actual_time: bool) -> Answer:
    candidates, many = _samples(question), len(question.intervals)
    picked = _pick(candidates, sign, many)
    status = _status(question, sign)
    starts = question.intervals.starts
    times, row = starts.copy(), np.full(many, -1, np.intp)
    row[picked.interval] = candidates.row[picked.place]
    if is_actual_time:
        times[picked.interval] = candidates.times[picked.place]
    else:
        is_at_start = np.zeros(many, bool)
        is_at_start[picked.interval] = candidates.times[picked.place] == starts[picked.interval]
        status = np.where(is_at_start & (status == GOOD), status, status | CALCULATED)
    status = np.where(picked.is_multiple, status | MULTIPLE, status)
    return Answer(times, np.zeros(many), np.where(picked.has_one, status, NO_DATA).astype(np.uint32), row)


def minimum(question: Question) -> Answer:
    """5.4.3.10."""
    return _extreme(question, 1, is_actual_time=False)


def maximum(question: Question) -> Answer:
    """5.4.3.11."""
    return _extreme(question, -1, is_actual_time=False)


def minimum_actual_time(question: Question) -> Answer:
    """5.4.3.12: with the time of the first that is the least."""
    return _extreme(question, 1, is_actual_time=True)


def maximum_actual_time(question: Question) -> Answer:
    """5.4.3.13."""
    return _extreme(question, -1, is_actual_time=True)


def range(question: Question) -> Answer:
    """5.4.3.14: Maximum less Minimum."""
    numbers, has_one = _span(_samples(question), len(question.intervals))
    status = _status(question, 1, -1) | CALCULATED
    return Answer(question.intervals.starts, numbers, np.where(has_one, status, NO_DATA).astype(np.uint32))


def _span(of: _Candidates, many: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    low, high = _pick(of, 1, many), _pick(of, -1, many)
    numbers = np.zeros(many)
    with np.errstate(over="ignore"):
        numbers[low.interval] = of.numbers[high.place] - of.numbers[low.place]
    return numbers, low.has_one


# With simple bounding values


def _with_bounds(question: Question) -> _Candidates:
    """Usable samples, the bound where an interval begins, and the one where it ends unless values are stepped."""
    rows, intervals, many = question.rows, question.intervals, len(question.intervals)
    edge = bounds.simple(rows, intervals.edges, question.is_stepped)
    usable = edge.is_good | (~edge.is_bad & (not question.configuration.treat_uncertain_as_bad))
    is_sample = (edge.row >= 0) & (rows.times[edge.row] == edge.times) if len(rows) else usable
    low = np.flatnonzero(usable[:-1])
    # What holds as a stepped interval ends is the next one's; backwards in time the sample there is this one's.
    ends = np.full(many, True) if not question.is_stepped else is_sample[1:] & intervals.is_backwards
    high = np.flatnonzero(usable[1:] & ends)
    inside = np.flatnonzero(rows.usable & rows.is_raw & ~np.isin(rows.times, intervals.edges))
    where = intervals.of(rows.times[inside])
    inside, where = inside[(where >= 0) & (where < many)], where[(where >= 0) & (where < many)]
    interval = np.concatenate([low, where, high])
    order = np.argsort(interval, kind="stable")
    reckoned = ~is_sample
    return _Candidates(
        interval[order],
        np.concatenate([edge.times[low], rows.times[inside], edge.times[high + 1]])[order],
        np.concatenate([edge.numbers[low], rows.numbers[inside], edge.numbers[high + 1]])[order],
        np.concatenate([edge.row[low], inside, edge.row[high + 1]])[order],
        np.concatenate([reckoned[low], np.zeros(len(inside), bool), reckoned[high + 1]])[order],
    )


def _extreme2(question: Question, sign: int, is_actual_time: bool) -> Answer:
    candidates, intervals, many = _with_bounds(question), question.intervals, len(question.intervals)
    picked = _pick(candidates, sign, many)
    status = regions.status_by_time(question, regions.simple_regions(question))
    times = candidates.times[picked.place]
    is_far = times == (intervals.low if intervals.is_backwards else intervals.high)[picked.interval]
    is_at_start = times == intervals.starts[picked.interval]
    is_interpolated = candidates.is_interpolated[picked.place]
    stamps, bits = intervals.starts.copy(), np.zeros(many, np.uint32)
    if is_actual_time:
        # The end is not of the interval: its value is given at the last time that is (5.4.2.4).
        step = question.resolution_ns if intervals.is_backwards else -question.resolution_ns
        stamps[picked.interval] = np.where(is_far, times + step, times)
        bits[picked.interval] = np.where(is_far | is_interpolated, _INTERPOLATED, 0)
    else:
        bits[picked.interval] = np.where(is_interpolated, _INTERPOLATED, np.where(is_at_start, 0, CALCULATED))
    row, numbers = np.full(many, -1, np.intp), np.zeros(many)
    row[picked.interval] = candidates.row[picked.place]
    numbers[picked.interval] = candidates.numbers[picked.place]
    status = status | bits | np.where(picked.is_multiple, MULTIPLE, 0)
    has_one = picked.has_one & question.has_data
    stamps = np.where(has_one, stamps, intervals.starts)
    return Answer(stamps, numbers, np.where(has_one, status, NO_DATA).astype(np.uint32), row)


def minimum2(question: Question) -> Answer:
    """5.4.3.15."""
    return _extreme2(question, 1, is_actual_time=False)


def maximum2(question: Question) -> Answer:
    """5.4.3.16."""
    return _extreme2(question, -1, is_actual_time=False)


def minimum_actual_time2(question: Question) -> Answer:
    """5.4.3.17."""
    return _extreme2(question, 1, is_actual_time=True)


def maximum_actual_time2(question: Question) -> Answer:
    """5.4.3.18."""
    return _extreme2(question, -1, is_actual_time=True)


def range2(question: Question) -> Answer:
    """5.4.3.19: Maximum2 less Minimum2."""
    numbers, has_one = _span(_with_bounds(question), len(question.intervals))
    status = regions.status_by_time(question, regions.simple_regions(question)) | CALCULATED
    status = np.where(has_one & question.has_data, status, NO_DATA)
    return Answer(question.intervals.starts, numbers, status.astype(np.uint32))
