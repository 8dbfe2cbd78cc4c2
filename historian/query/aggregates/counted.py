"""Aggregates of samples, however long each held, and of bounds; all but the extremes (OPC 10000-13, 5.4.3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from historian.query.aggregates import bounds, tally
from historian.query.aggregates.known import BAD, judge
from historian.query.aggregates.tally import (
    CALCULATED,
    GOOD,
    MULTIPLE,
    NO_DATA,
    UNCERTAIN,
    Answer,
    Question,
)

_NONE = -1


@dataclass(frozen=True, slots=True)
class Members:
    """Samples within the intervals: their rows and each one's interval, both ascending, shape (m,)."""

    rows: NDArray[np.intp]
    interval: NDArray[np.intp]


def members(question: Question) -> Members:
    """The samples that lie in an interval."""
    interval = question.intervals.of(question.rows.times)
    rows = np.flatnonzero(question.rows.is_raw & (interval >= 0) & (interval < len(question.intervals)))
    return Members(rows, interval[rows])


def chosen(found: Members, which: NDArray[np.bool_]) -> Members:
    """Those of them that ``which``, shape (m,), picks."""
    return Members(found.rows[which], found.interval[which])


def average(question: Question) -> Answer:
    """5.4.3.5: the mean of the Good samples. Never partial."""
    found = members(question)
    good = chosen(found, question.rows.is_good[found.rows])
    count = tally.count(good.interval, len(question.intervals))
    sums = np.bincount(good.interval, question.rows.numbers[good.rows], len(question.intervals))
    mean = np.divide(sums, count, out=np.zeros(len(count)), where=count > 0)
    statuses = np.where(count > 0, _status(question, found) | CALCULATED, NO_DATA)
    return Answer(question.intervals.starts, mean, statuses.astype(np.uint32))


def count(question: Question) -> Answer:
    """5.4.3.21: how many samples were Good."""
    found = members(question)
    good = chosen(found, question.rows.is_good[found.rows])
    return _of_count(question, found, tally.count(good.interval, len(question.intervals)))


def annotation_count(question: Question) -> Answer:
    """5.4.3.20: how many annotations there are. Samples say only where the data begin and end."""
    interval = question.intervals.of(question.annotated)
    many = len(question.intervals)
    counts = tally.count(interval[(interval >= 0) & (interval < many)], many)
    statuses = np.where(question.has_data, GOOD | CALCULATED, NO_DATA).astype(np.uint32)
    return Answer(question.intervals.starts, counts.astype(np.float64), statuses)


def number_of_transitions(question: Question) -> Answer:
    """5.4.3.24: how many usable samples differ from the usable one before; the very first differs from nothing."""
    found = members(question)
    usable = np.flatnonzero(question.rows.usable & question.rows.is_raw)
    numbers = question.rows.numbers[usable]
    changes = np.ones(len(usable), bool)
    changes[1:] = numbers[1:] != numbers[:-1]
    is_change = np.zeros(len(question.rows), bool)
    is_change[usable] = changes
    moved = chosen(found, is_change[found.rows])
    return _of_count(question, found, tally.count(moved.interval, len(question.intervals)))


def _of_count(question: Question, found: Members, counts: NDArray[np.int64]) -> Answer:
    statuses = _status(question, found)
    statuses = np.where(statuses == BAD, statuses, statuses | CALCULATED)
    statuses = np.where(question.has_data, statuses, NO_DATA)
    return Answer(question.intervals.starts, counts.astype(np.float64), statuses.astype(np.uint32))


def _status(question: Question, found: Members) -> NDArray[np.uint32]:
    """By how many samples were Good and Bad. An Uncertain one is neither, unless it counts as Bad."""
    many = len(question.intervals)
    rows = question.rows
    good = tally.count(found.interval[rows.is_good[found.rows]], many)
    is_bad = ~(rows.is_good | rows.is_uncertain)
    if question.configuration.treat_uncertain_as_bad:
        is_bad = ~rows.is_good
    bad = tally.count(found.interval[is_bad[found.rows]], many)
    return tally.by_count(question, good, bad, tally.count(found.interval, many))


def start(question: Question) -> Answer:
    """5.4.3.25: the earliest sample, as it is."""
    found = members(question)
    intervals, first = np.unique(found.interval, return_index=True)
    return _as_stored(question, intervals, found.rows[first])


def end(question: Question) -> Answer:
    """5.4.3.26: the latest sample, as it is."""
    found = members(question)
    intervals, first = np.unique(found.interval[::-1], return_index=True)
    return _as_stored(question, intervals, found.rows[::-1][first])


def _as_stored(question: Question, intervals: NDArray[np.intp], rows: NDArray[np.intp]) -> Answer:
    count = len(question.intervals)
    times, statuses = question.intervals.starts.copy(), np.full(count, NO_DATA)
    row = np.full(count, _NONE, np.intp)
    times[intervals] = question.rows.times[rows]
    statuses[intervals] = question.known.statuses[rows]
    row[intervals] = rows
    return Answer(times, np.zeros(count), statuses, row)


def delta(question: Question) -> Answer:
    """5.4.3.27: the latest Good sample less the earliest; Uncertain where others had to be skipped to find them."""
    found = members(question)
    is_good = question.rows.is_good[found.rows]
    good = chosen(found, is_good)
    intervals, first = np.unique(good.interval, return_index=True)
    last = len(good.interval) - 1 - np.unique(good.interval[::-1], return_index=True)[1]
    count = len(question.intervals)
    numbers, statuses = np.zeros(count), np.full(count, NO_DATA)
    values = question.rows.numbers
    with np.errstate(over="ignore"):
        numbers[intervals] = values[good.rows[last]] - values[good.rows[first]]
    all_first = np.unique(found.interval, return_index=True)
    all_last = len(found.interval) - 1 - np.unique(found.interval[::-1], return_index=True)[1]
    has_good = np.isin(all_first[0], intervals)
    skipped = ~is_good[all_first[1]] | ~is_good[all_last]
    statuses[intervals] = np.where(skipped[has_good], UNCERTAIN, GOOD) | CALCULATED
    return Answer(question.intervals.starts, numbers, statuses)


def start_bound(question: Question) -> Answer:
    """5.4.3.28: the simple bounding value where the interval begins."""
    points = _bound(question, at_end=False)
    return Answer(
        question.intervals.starts, points.numbers, _where_data(question, points.statuses), points.row
    )


def end_bound(question: Question) -> Answer:
    """5.4.3.29: the simple bounding value where the interval ends."""
    points = _bound(question, at_end=True)
    code = points.statuses & np.uint32(0xFFFF_0000)
    statuses = np.where(points.is_bad, NO_DATA, code | CALCULATED).astype(np.uint32)
    return Answer(question.intervals.starts, points.numbers, _where_data(question, statuses), points.row)


def delta_bounds(question: Question) -> Answer:
    """5.4.3.30: EndBound less StartBound."""
    first, last = _bound(question, at_end=False), _bound(question, at_end=True)
    with np.errstate(over="ignore"):
        numbers = last.numbers - first.numbers
    statuses = np.where(first.is_good & last.is_good, GOOD, UNCERTAIN) | CALCULATED
    statuses = np.where(first.is_bad | last.is_bad, NO_DATA, statuses).astype(np.uint32)
    return Answer(question.intervals.starts, numbers, _where_data(question, statuses))


def _bound(question: Question, at_end: bool) -> bounds.Points:
    intervals = question.intervals
    at = intervals.low if intervals.is_backwards is at_end else intervals.high
    return bounds.simple(question.rows, at, question.is_stepped)


def interpolative(question: Question) -> Answer:
    """5.4.3.4: the interpolated bounding value where the interval begins; extrapolated after the data."""
    points = bounds.interpolated(
        question.rows,
        question.intervals.starts,
        question.is_stepped,
        question.configuration.use_sloped_extrapolation,
    )
    return Answer(question.intervals.starts, points.numbers, points.statuses, points.row)


def worst_quality(question: Question) -> Answer:
    """5.4.3.35: the first of the worst statuses of the samples; MultipleValues where there are more of a kind."""
    found = members(question)
    return _worst(question, found.interval, question.known.statuses[found.rows])


def worst_quality2(question: Question) -> Answer:
    """5.4.3.36: the simple bounding values count, too. Uncertain is never Bad here, whatever the configuration."""
    rows = judge(question.known, treat_uncertain_as_bad=False)
    found = members(question)
    intervals = question.intervals
    edge = bounds.simple(rows, intervals.edges, question.is_stepped)
    is_inside = rows.times[found.rows] != intervals.starts[found.interval]
    found = chosen(found, is_inside)
    many = np.arange(len(intervals))
    order = np.argsort(np.concatenate([many, found.interval, many]), kind="stable")
    low, high = edge.statuses[:-1], edge.statuses[1:]
    statuses = np.concatenate([low, question.known.statuses[found.rows], high]) & np.uint32(0xFFFF_0000)
    return _worst(question, np.concatenate([many, found.interval, many])[order], statuses[order])


def _worst(question: Question, interval: NDArray[np.intp], statuses: NDArray[np.uint32]) -> Answer:
    """``interval`` ascends; of one interval the statuses come in order of time."""
    count = len(question.intervals)
    severity = np.minimum(statuses >> np.uint32(30), 2).astype(np.int64)
    worst = np.full(count, _NONE, np.int64)
    np.maximum.at(worst, interval, severity)
    is_worst = severity == worst[interval]
    intervals, first = np.unique(interval[is_worst], return_index=True)
    numbers, result = np.zeros(count), np.full(count, NO_DATA)
    numbers[intervals] = statuses[is_worst][first]
    # Good is nothing to point out: the standard's examples never mark it.
    is_multiple = (tally.count(interval[is_worst], count) > 1) & (worst > 0)
    result[intervals] = CALCULATED
    result = np.where((worst >= 0) & is_multiple, result | MULTIPLE, result)
    return Answer(question.intervals.starts, numbers, _where_data(question, result))


def standard_deviation_sample(question: Question) -> Answer:
    """5.4.3.37: of the Good samples, by n - 1."""
    return _spread(question, 1, is_root=True)


def variance_sample(question: Question) -> Answer:
    """5.4.3.38."""
    return _spread(question, 1, is_root=False)


def standard_deviation_population(question: Question) -> Answer:
    """5.4.3.39: of the Good samples, by n."""
    return _spread(question, 0, is_root=True)


def variance_population(question: Question) -> Answer:
    """5.4.3.40."""
    return _spread(question, 0, is_root=False)


def _spread(question: Question, less: int, is_root: bool) -> Answer:
    found = members(question)
    is_good = question.rows.is_good[found.rows]
    good = chosen(found, is_good)
    values, many = question.rows.numbers[good.rows], len(question.intervals)
    counts = tally.count(good.interval, many)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.bincount(good.interval, values, many) / np.maximum(counts, 1)
        squares = np.bincount(good.interval, (values - mean[good.interval]) ** 2, many)
        spread = np.where(counts > 1, squares / np.maximum(counts - less, 1), 0.0)
    skipped = tally.count(found.interval[~is_good], many) > 0
    statuses = np.where(counts > 0, np.where(skipped, UNCERTAIN, GOOD) | CALCULATED, NO_DATA)
    return Answer(
        question.intervals.starts, np.sqrt(spread) if is_root else spread, statuses.astype(np.uint32)
    )


def _where_data(question: Question, statuses: NDArray[np.uint32]) -> NDArray[np.uint32]:
    return np.where(question.has_data, statuses, NO_DATA).astype(np.uint32)
