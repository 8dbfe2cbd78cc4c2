"""Bounding values: what a tag was at an instant, by the samples around it (OPC 10000-13, 3.1.8 and 3.1.9)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.tags.aggregate import InfoBits
from gateway.tags.quality import SEVERITY_BAD, SEVERITY_MASK
from historian.query.aggregates.known import Judged
from historian.query.average import BAD_NO_DATA, UNCERTAIN_DATA_SUB_NORMAL

INTERPOLATED_GOOD = np.uint32(InfoBits.INTERPOLATED)
_INTERPOLATED_UNCERTAIN = np.uint32(UNCERTAIN_DATA_SUB_NORMAL | InfoBits.INTERPOLATED)


@dataclass(frozen=True, slots=True)
class Points:
    """Values at instants, shape (n,). ``row`` is where a value was taken from; -1: it was reckoned, or is none."""

    times: NDArray[np.int64]
    numbers: NDArray[np.float64]
    statuses: NDArray[np.uint32]
    row: NDArray[np.intp]

    @property
    def is_good(self) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = (self.statuses & np.uint32(SEVERITY_MASK)) == 0
        return found

    @property
    def is_bad(self) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = (self.statuses & np.uint32(SEVERITY_BAD)) != 0
        return found


def simple(rows: Judged, at: NDArray[np.int64], is_stepped: bool) -> Points:
    """Simple bounding values (3.1.9): by the rows next to an instant, even if these are Bad.

    Beyond the last row there is none: the standard leaves it to the server, and its examples do so.
    """
    points = _nothing(at)
    count = len(rows)
    if not count:
        return points
    before = np.searchsorted(rows.times, at, "right") - 1
    known = np.flatnonzero((before >= 0) & rows.usable[before])
    _take_raw(rows, points, before, known)
    known = known[(rows.times[before[known]] != at[known]) & (before[known] < count - 1)]
    low = before[known]
    if is_stepped:
        _hold(rows, points, known, low, rows.is_uncertain[low])
        return points
    is_line = rows.usable[low + 1]
    _hold(rows, points, known[~is_line], low[~is_line], True)
    lines, low = known[is_line], low[is_line]
    _draw(rows, points, lines, low, low + 1, rows.is_uncertain[low] | rows.is_uncertain[low + 1])
    return points


def interpolated(
    rows: Judged, at: NDArray[np.int64], is_stepped: bool, use_sloped_extrapolation: bool
) -> Points:
    """Interpolated bounding values (3.1.8): by the nearest usable rows, however far; after the last, extrapolated."""
    points = _nothing(at)
    count = len(rows)
    if not count:
        return points
    places = np.arange(count)
    last_usable = np.maximum.accumulate(np.where(rows.usable, places, -1))
    next_usable = np.append(
        np.minimum.accumulate(np.where(rows.usable, places, count)[::-1])[::-1], count
    )  # count: none
    before = np.searchsorted(rows.times, at, "right") - 1
    early = np.where(before >= 0, last_usable[before], -1)
    known = np.flatnonzero(early >= 0)
    exact = known[(early[known] == before[known]) & (rows.times[before[known]] == at[known])]
    _take_raw(rows, points, before, exact)
    known = np.setdiff1d(known, exact, assume_unique=True)
    low, high = early[known], next_usable[before[known] + 1]
    is_beyond = before[known] == count - 1
    if is_stepped:
        _hold(rows, points, known, low, rows.is_uncertain[low] | (low != before[known]) | is_beyond)
        return points
    is_line = high < count
    lines, ends = known[is_line], (low[is_line], high[is_line])
    doubtful = rows.is_uncertain[ends[0]] | rows.is_uncertain[ends[1]] | (ends[1] - ends[0] > 1)
    _draw(rows, points, lines, *ends, doubtful)
    known, low = known[~is_line], low[~is_line]
    second = np.where(low > 0, last_usable[low - 1], -1)
    is_line = (second >= 0) & use_sloped_extrapolation
    _draw(rows, points, known[is_line], second[is_line], low[is_line], True)
    _hold(rows, points, known[~is_line], low[~is_line], True)
    return points


def _nothing(at: NDArray[np.int64]) -> Points:
    count = len(at)
    return Points(at, np.zeros(count), np.full(count, BAD_NO_DATA, np.uint32), np.full(count, -1, np.intp))


def _take_raw(rows: Judged, points: Points, before: NDArray[np.intp], known: NDArray[np.intp]) -> None:
    """What a row at the very instant says."""
    exact = known[rows.times[before[known]] == points.times[known]]
    row = before[exact]
    held = np.where(rows.is_uncertain[row], _INTERPOLATED_UNCERTAIN, INTERPOLATED_GOOD)
    points.numbers[exact] = rows.numbers[row]
    points.statuses[exact] = np.where(rows.is_raw[row], rows.statuses[row], held)
    points.row[exact] = row


def _hold(
    rows: Judged,
    points: Points,
    places: NDArray[np.intp],
    row: NDArray[np.intp],
    is_doubtful: NDArray[np.bool_] | bool,
) -> None:
    """The value of a row, held."""
    points.numbers[places] = rows.numbers[row]
    points.statuses[places] = np.where(is_doubtful, _INTERPOLATED_UNCERTAIN, INTERPOLATED_GOOD)
    points.row[places] = row


def _draw(
    rows: Judged,
    points: Points,
    places: NDArray[np.intp],
    low: NDArray[np.intp],
    high: NDArray[np.intp],
    is_doubtful: NDArray[np.bool_] | bool,
) -> None:
    """A straight line through two rows (3.1.8, the formula)."""
    share = (points.times[places] - rows.times[low]) / (rows.times[high] - rows.times[low])
    with np.errstate(over="ignore", invalid="ignore"):
        points.numbers[places] = rows.numbers[low] + share * (rows.numbers[high] - rows.numbers[low])
    points.statuses[places] = np.where(is_doubtful, _INTERPOLATED_UNCERTAIN, INTERPOLATED_GOOD)
