"""What all aggregates share: where the data lie, and the status of an interval by shares of good and bad."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.tags.aggregate import AggregateConfiguration, InfoBits
from historian.query.aggregates.intervals import Intervals
from historian.query.aggregates.known import BAD, Judged, Known
from historian.query.average import BAD_NO_DATA, UNCERTAIN_DATA_SUB_NORMAL

CALCULATED = np.uint32(InfoBits.CALCULATED)
PARTIAL = np.uint32(InfoBits.PARTIAL)
MULTIPLE = np.uint32(InfoBits.MULTIPLE_VALUES)
GOOD = np.uint32(0)
UNCERTAIN = np.uint32(UNCERTAIN_DATA_SUB_NORMAL)
NO_DATA = np.uint32(BAD_NO_DATA)


@dataclass(frozen=True, slots=True)
class Question:
    """What an aggregate is reckoned from. ``resolution_ns`` is the least step of time of the data.

    ``annotated`` are the times (UTC ns) of the tag's annotations, one each.
    """

    known: Known
    rows: Judged
    intervals: Intervals
    configuration: AggregateConfiguration
    is_stepped: bool
    resolution_ns: int
    annotated: NDArray[np.int64]

    @property
    def has_data(self) -> NDArray[np.bool_]:
        """Which intervals reach into the data: all others are Bad_NoData (before the start, after the end)."""
        if not len(self.rows):
            return np.zeros(len(self.intervals), bool)
        first, last = self.rows.times[0], self.rows.times[-1]
        low, high = self.intervals.low, self.intervals.high
        found: NDArray[np.bool_] = (high > first) & (low <= last)
        if self.intervals.is_backwards:
            found = (high >= first) & (low < last)
        return found

    @property
    def is_partial(self) -> NDArray[np.bool_]:
        """Which intervals the data begin or end in (5.3.3.2)."""
        if not len(self.rows):
            return np.zeros(len(self.intervals), bool)
        first, last = self.rows.times[0], self.rows.times[-1]
        low, high = self.intervals.low, self.intervals.high
        found: NDArray[np.bool_] = ((low < first) & (first < high)) | ((low <= last) & (last < high))
        return found


@dataclass(frozen=True, slots=True)
class Answer:
    """One row an interval, ascending in time, shape (n,).

    ``row`` is where the value itself is that of a row of `Known`, and -1 where ``numbers`` says it.
    """

    times: NDArray[np.int64]
    numbers: NDArray[np.float64]
    statuses: NDArray[np.uint32]
    row: NDArray[np.intp] | None = None


def by_time(question: Question, bad_ns: NDArray[np.int64], total_ns: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Status by how long the data were Bad (5.4.3.2.1); all that is not Bad counts as Good."""
    return _by_share(question.configuration, total_ns - bad_ns, bad_ns, total_ns)


def by_count(
    question: Question, good: NDArray[np.int64], bad: NDArray[np.int64], total: NDArray[np.int64]
) -> NDArray[np.uint32]:
    """Status by how many values were Good and Bad; Good where there are none."""
    return _by_share(question.configuration, good, bad, total)


def _by_share(
    configuration: AggregateConfiguration,
    good: NDArray[np.int64],
    bad: NDArray[np.int64],
    total: NDArray[np.int64],
) -> NDArray[np.uint32]:
    # Where both shares are reached, Good counts (4.2.1.2).
    is_good = (good == total) | (good * 100.0 >= configuration.percent_data_good * total.astype(np.float64))
    is_bad = bad * 100.0 >= configuration.percent_data_bad * total.astype(np.float64)
    return np.where(is_good, GOOD, np.where(is_bad, np.uint32(BAD), UNCERTAIN)).astype(np.uint32)


def count(places: NDArray[np.intp], of: int) -> NDArray[np.int64]:
    """How often each of 0..of-1 occurs."""
    return np.bincount(places, minlength=of).astype(np.int64)
