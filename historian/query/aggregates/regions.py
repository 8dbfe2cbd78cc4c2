"""Aggregates that weigh by time: an interval is cut into regions, each from one row or edge to the next.

With simple bounding values (5.4.3.2.2): TimeAverage2, Total2, DurationInState..., DurationGood and -Bad, PercentGood
and -Bad. With interpolated ones, always sloped (5.4.3.6): TimeAverage and Total.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from historian.query.aggregates import bounds, tally
from historian.query.aggregates.bounds import Points
from historian.query.aggregates.tally import CALCULATED, GOOD, NO_DATA, UNCERTAIN, Answer, Question

NS = 1e-9


@dataclass(frozen=True, slots=True)
class Regions:
    """Regions in order of time, shape (r,), those of each interval from ``starts`` on, shape (n,).

    ``points`` are their beginnings and the end of the last, shape (r + 1,). ``lengths`` are 0 for what lies beyond
    the data or is covered.
    """

    points: Points
    lengths: NDArray[np.int64]
    starts: NDArray[np.intp]

    def sum(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """Added up by interval, exactly."""
        return np.add.reduceat(lengths, self.starts)


def simple_regions(question: Question) -> Regions:
    """Regions with simple bounding values."""
    rows, edges = question.rows, question.intervals.edges
    inside = rows.times[
        np.searchsorted(rows.times, edges[0], "right") : np.searchsorted(rows.times, edges[-1])
    ]
    at = np.union1d(edges, inside)
    lengths = np.diff(at)
    if len(rows):
        # The last row is known for as long as time is told apart (5.4.2.4), and nothing is known after it.
        last = rows.times[-1]
        lengths = np.where(at[:-1] < last, lengths, 0)
        lengths = np.where(at[:-1] == last, np.minimum(np.diff(at), question.resolution_ns), lengths)
        lengths[np.isin(at[:-1], question.known.covered.first)] = 0
    points = bounds.simple(rows, at, question.is_stepped)
    return Regions(points, lengths, np.searchsorted(at, edges[:-1]))


def status_by_time(question: Question, regions: Regions) -> NDArray[np.uint32]:
    """Status of each interval by how long it was Bad."""
    bad, total = _bad_and_total(question, regions)
    return tally.by_time(question, bad, total)


def _bad_and_total(question: Question, regions: Regions) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    points = regions.points
    is_bad = points.is_bad[:-1]
    if question.configuration.treat_uncertain_as_bad:
        # A region is Uncertain as it begins, or as it ends where lines are drawn (5.4.3.2.2).
        is_bad = ~points.is_good[:-1]
        if not question.is_stepped:
            is_bad |= ~points.is_good[1:]
    bad = regions.sum(np.where(is_bad, regions.lengths, 0))
    usable, _, total = _covered(question)
    total_ns = regions.sum(regions.lengths) + total
    return bad + total - usable, total_ns


def _covered(question: Question) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Usable, good and all time that is added up already, by interval."""
    covered, intervals, rows = question.known.covered, question.intervals, question.rows
    sums = np.zeros((3, len(intervals)), np.int64)
    if len(covered.first):
        where = intervals.of(covered.first)
        begin = np.searchsorted(rows.times, covered.first)
        lengths = rows.times[begin + 1] - covered.first
        for row, ns in enumerate((covered.usable_ns, covered.good_ns, lengths)):
            np.add.at(sums[row], where, ns)
    return sums[0], sums[1], sums[2]


def time_average2(question: Question) -> Answer:
    """5.4.3.7: the area below stepped or sloped lines, over the time that is not Bad."""
    return _average2(question, per_second=True)


def total2(question: Question) -> Answer:
    """5.4.3.9: the same area, value times seconds."""
    return _average2(question, per_second=False)


def _average2(question: Question, per_second: bool) -> Answer:
    regions = simple_regions(question)
    points = regions.points
    usable = ~points.is_bad[:-1]
    value = points.numbers[:-1]
    if not question.is_stepped:
        value = np.where(points.is_bad[1:], value, (value + points.numbers[1:]) / 2)
    area = np.add.reduceat(np.where(usable, value * (regions.lengths * NS), 0.0), regions.starts)
    covered = question.known.covered
    if len(covered.first):
        np.add.at(area, question.intervals.of(covered.first), covered.integral)
    known_ns = regions.sum(np.where(usable, regions.lengths, 0)) + _covered(question)[0]
    result = area
    if per_second:
        result = np.divide(area, known_ns * NS, out=np.zeros_like(area), where=known_ns > 0)
    statuses = status_by_time(question, regions) | CALCULATED
    return Answer(
        question.intervals.starts,
        result,
        _where_data(question, np.where(known_ns > 0, statuses, NO_DATA)),
    )


def time_average(question: Question) -> Answer:
    """5.4.3.6: sloped lines between all usable values, whatever the tag is; over the time from the first on."""
    return _average(question, per_second=True)


def total(question: Question) -> Answer:
    """5.4.3.8: TimeAverage times seconds."""
    return _average(question, per_second=False)


def _average(question: Question, per_second: bool) -> Answer:
    rows, edges = question.rows, question.intervals.edges
    ends = bounds.interpolated(rows, edges, False, question.configuration.use_sloped_extrapolation)
    inside = slice(np.searchsorted(rows.times, edges[0], "right"), np.searchsorted(rows.times, edges[-1]))
    times, numbers, usable = rows.times[inside], rows.numbers[inside], rows.usable[inside]
    is_edge = np.isin(times, edges)
    between = usable & ~is_edge
    at = np.concatenate([edges, times[between]])
    values = np.concatenate([ends.numbers, numbers[between]])
    is_known = np.concatenate([~ends.is_bad, np.ones(int(between.sum()), bool)])
    order = np.argsort(at, kind="stable")
    at, values, is_known = at[order], values[order], is_known[order]
    lengths = np.where(is_known[:-1], np.diff(at), 0)
    starts = np.searchsorted(at, edges[:-1])
    area = np.add.reduceat((values[:-1] + values[1:]) / 2 * (lengths * NS), starts)
    known_ns = np.add.reduceat(lengths, starts)
    result = area
    if per_second:
        result = np.divide(area, known_ns * NS, out=np.zeros_like(area), where=known_ns > 0)
    # Good where nothing but Good values were used and none was skipped.
    doubtful = tally.count(
        question.intervals.of(times[~is_edge & ~rows.is_good[inside]]), len(question.intervals)
    )
    is_good = ends.is_good[:-1] & ends.is_good[1:] & (doubtful == 0)
    statuses = np.where(known_ns > 0, np.where(is_good, GOOD, UNCERTAIN) | CALCULATED, NO_DATA)
    return Answer(question.intervals.starts, result, _where_data(question, statuses))


def duration_in_state_zero(question: Question) -> Answer:
    """5.4.3.22, in ms."""
    return _duration_in_state(question, lambda numbers: numbers == 0)


def duration_in_state_non_zero(question: Question) -> Answer:
    """5.4.3.23, in ms."""
    return _duration_in_state(question, lambda numbers: numbers != 0)


def _duration_in_state(
    question: Question, is_in_state: Callable[[NDArray[np.float64]], NDArray[np.bool_]]
) -> Answer:
    regions = simple_regions(question)
    points = regions.points
    counts = points.is_good[:-1] & is_in_state(points.numbers[:-1])
    held = regions.sum(np.where(counts, regions.lengths, 0))
    statuses = status_by_time(question, regions) | CALCULATED
    return Answer(question.intervals.starts, _in_ms(held), _where_data(question, statuses))


def duration_good(question: Question) -> Answer:
    """5.4.3.31, in ms."""
    good, _, _ = _good_bad_total(question)
    return _of_duration(question, _in_ms(good))


def duration_bad(question: Question) -> Answer:
    """5.4.3.32, in ms."""
    _, bad, _ = _good_bad_total(question)
    return _of_duration(question, _in_ms(bad))


def percent_good(question: Question) -> Answer:
    """5.4.3.33: of the interval, or of that part of it at whose end the data end."""
    good, _, total_ns = _good_bad_total(question)
    return _of_duration(question, _percent(good, total_ns))


def percent_bad(question: Question) -> Answer:
    """5.4.3.34."""
    _, bad, total_ns = _good_bad_total(question)
    return _of_duration(question, _percent(bad, total_ns))


def _good_bad_total(
    question: Question,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """How long each interval was Good and Bad, by the status each region begins with, and how long it was."""
    regions = simple_regions(question)
    points, lengths = regions.points, regions.lengths
    usable, good_covered, covered = _covered(question)
    good = regions.sum(np.where(points.is_good[:-1], lengths, 0)) + good_covered
    is_bad = points.is_bad[:-1]
    if question.configuration.treat_uncertain_as_bad:
        is_bad = ~points.is_good[:-1]
    bad = regions.sum(np.where(is_bad, lengths, 0)) + covered - usable
    return good, bad, regions.sum(lengths) + covered


def _of_duration(question: Question, numbers: NDArray[np.float64]) -> Answer:
    statuses = np.full(len(question.intervals), CALCULATED)
    return Answer(question.intervals.starts, numbers, _where_data(question, statuses))


def _in_ms(lengths: NDArray[np.int64]) -> NDArray[np.float64]:
    return lengths.astype(np.float64) / 1e6


def _percent(part: NDArray[np.int64], of: NDArray[np.int64]) -> NDArray[np.float64]:
    return 100.0 * part.astype(np.float64) / np.maximum(of, 1).astype(np.float64)


def _where_data(question: Question, statuses: NDArray[np.uint32]) -> NDArray[np.uint32]:
    return np.where(question.has_data, statuses, NO_DATA).astype(np.uint32)
