"""A detector that looks at the shape of what a tag did last: a beat, a start, a day that is like none of training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from historian.anomaly.detector import NS_PER_S, Floats, LimitDetector, Stream, Times, TooLittle
from historian.anomaly.tags import GAP_S

MOST_ROWS: Final = 10_000  # of training, the last ones: each row is compared with all of them
MOST_LENGTH: Final = 1_000
_LEAST_STRETCHES: Final = 3  # in training, one after the other: fewer have nothing to be compared with


class Shape(LimitDetector):
    """How far the last ``length`` rows are from the nearest stretch of training, in the tag's unit.

    Both about their own means, by root mean square: where a level drifts, a shape is as ever. Unless given, the limit
    is ``margin`` times the farthest that a stretch of training is from all those that do not overlap it (its discord:
    Keogh, Lin & Fu 2005). With a missing value, or a gap of over 60 s, among the rows there is no score.
    """

    def __init__(self, length: int = 60, limit: float | None = None, *, margin: float = 1.2) -> None:
        super().__init__(limit, margin)
        if not 2 <= length <= MOST_LENGTH:
            raise ValueError(f"a length of {length} rows does not lie between 2 and {MOST_LENGTH:,}")
        self.length = length

    def _learn(self, times_ns: Times, table: Floats) -> None:
        if len(table) < _LEAST_STRETCHES * self.length:
            raise TooLittle(
                f"{len(table)} rows; {_LEAST_STRETCHES * self.length} are needed for a length of {self.length}"
            )
        times_ns, table = times_ns[-MOST_ROWS:], table[-MOST_ROWS:]
        # Nobody saw what was in a gap: no stretch reaches over it.
        gaps = np.flatnonzero(np.diff(times_ns) > GAP_S * NS_PER_S) + 1
        table = np.insert(table, gaps, np.nan, axis=0)
        self.known_ = tuple(_known(column, self.length) for column in table.T)
        if self.limit is not None:
            self.limits_ = np.full(len(self.columns_), self.limit)
            return
        limits = np.array([self.margin * _discord(known, self.length) for known in self.known_])
        self.limits_ = np.where(limits > 0, limits, np.nan)

    def _measure(self) -> Stream:
        return _ShapeStream(self)


@dataclass(frozen=True, slots=True)
class _Known:
    """A tag's training: ``values`` (rows,) with 0 for what is missing, and of each stretch its ``squares`` about its
    mean, NaN where something is missing in it."""

    values: Floats
    squares: Floats

    def distances(self, shape: Floats) -> Floats:
        """Of all stretches from one about its mean, by root mean square."""
        # |s - q|² = |s|² - 2 s·q + |q|²; as q is about its mean, it is all the same which mean s has.
        squares = self.squares - 2.0 * np.correlate(self.values, shape) + float(shape @ shape)
        return np.sqrt(np.maximum(squares, 0.0) / len(shape))


def _known(column: Floats, length: int) -> _Known:
    is_there = ~np.isnan(column)
    about = column - (column[is_there].mean() if is_there.any() else 0.0)
    stretches = sliding_window_view(about, length)
    return _Known(np.where(is_there, about, 0.0), stretches.var(axis=1) * length)


def _discord(known: _Known, length: int) -> float:
    """The farthest that a stretch of training is from all others; NaN where there is none to compare with."""
    farthest = np.nan
    stretches = sliding_window_view(known.values, length)
    for place in np.flatnonzero(~np.isnan(known.squares)).tolist():
        distances = known.distances(stretches[place] - stretches[place].mean())
        distances[max(place - length + 1, 0) : place + length] = np.nan
        farthest = np.fmax(farthest, np.fmin.reduce(distances))
    return float(farthest)


class _ShapeStream:
    def __init__(self, of: Shape) -> None:
        self._of = of
        self._rows = np.full((of.length, len(of.columns_)), np.nan)
        self._last_ns: int | None = None

    def push(self, time_ns: int, values: Floats) -> Floats:
        if self._last_ns is not None and time_ns - self._last_ns > GAP_S * NS_PER_S:
            self._rows[:] = np.nan
        self._last_ns = time_ns
        self._rows[:-1] = self._rows[1:]
        self._rows[-1] = values
        found = np.full(len(values), np.nan)
        for place, known in enumerate(self._of.known_):
            rows = self._rows[:, place]
            if not np.isnan(rows).any():
                found[place] = np.fmin.reduce(known.distances(rows - rows.mean()))
        return found
