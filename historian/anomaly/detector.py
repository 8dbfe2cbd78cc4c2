"""What all detectors have in common: they learn from a table, and score one observation after the other.

There is one kernel a detector, its stream. ``score`` runs a new stream over all rows of a frame, ``update`` runs the
detector's own over what comes in: the numbers are the same to the last bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from historian.forecast.features import times_of
from historian.libraries import load

Floats = NDArray[np.float64]
Times = NDArray[np.int64]
NS_PER_S: Final = 10**9
ALARM: Final = 0.5  # the score at a detector's limit
BEYOND: Final = 1e30  # no instrument shows it, and single precision (Forest) ends at 3.4e38


@dataclass(frozen=True, slots=True)
class Observation:
    """What all tags of a detector are at one time, in its order; NaN: no value, or one of Bad quality."""

    time_ns: int
    values: Floats


class NotFitted(ValueError):  # noqa: N818 - reads as the claim it makes
    """The detector has not learned from a frame yet."""


class TooLittle(ValueError):  # noqa: N818
    """The frame to learn from has too little in it."""


class Stream(Protocol):
    """Scores of observations in the order of time. Its memory is bounded, whatever it is fed."""

    def push(self, time_ns: int, values: Floats) -> Floats: ...


def grade(ratio: Floats) -> Floats:
    """From a measure over its limit to a score: r² / (1 + r²), so 0.5 at the limit, 0.8 at twice, 0.9 at thrice."""
    with np.errstate(over="ignore", invalid="ignore"):
        square = ratio * ratio
        return np.where(np.isinf(square), 1.0, square / (1.0 + square))


class Detector(ABC):
    """Scores from 0 to 1, above ``ALARM`` beyond the limit; NaN where there is nothing to score.

    After ``fit``: ``columns_`` that it takes and ``outputs_`` that it gives, in their orders. Times have to increase.
    Values beyond ``BEYOND`` are missing.
    """

    columns_: tuple[str, ...]
    outputs_: tuple[str, ...]

    def __init__(self) -> None:
        self._live: Stream | None = None
        self._last_ns: int | None = None

    def fit(self, frame: Any) -> Self:
        """Learn from a DataFrame whose index has a time zone, a column a tag, taken to be sound.

        Begins anew: what ``update`` knew is forgotten. Raises TooLittle, and ValueError for times out of order and
        wrong parameters.
        """
        return self.learn([str(name) for name in frame.columns], times_of(frame.index), table_of(frame))

    def learn(self, names: Sequence[str], times_ns: Times, table: Floats) -> Self:
        """The same from arrays, (rows,) and (rows, columns)."""
        check_order(times_ns)
        self.columns_ = tuple(names)
        self.outputs_ = self.columns_
        self._learn(times_ns, cleaned(table))
        self.start_over()
        return self

    def score(self, frame: Any) -> Any:
        """Scores of all rows, a column an output, by a stream that begins with the first of them.

        Raises NotFitted, KeyError for columns that are not there, ValueError for times out of order.
        """
        pandas = load("pandas", "a table of scores")
        self._check_fitted()
        if absent := [name for name in self.columns_ if name not in frame.columns]:
            raise KeyError(f"the frame has no column {', '.join(absent)}")
        found = self.scores(times_of(frame.index), table_of(frame[list(self.columns_)]))
        return pandas.DataFrame(found, index=frame.index, columns=list(self.outputs_))

    def scores(self, times_ns: Times, table: Floats) -> Floats:
        """The same with arrays: (rows, outputs)."""
        self._check_fitted()
        check_order(times_ns)
        stream, rows = self._stream(), cleaned(table)
        found = np.empty((len(rows), len(self.outputs_)))
        for place, time_ns in enumerate(times_ns.tolist()):
            found[place] = stream.push(time_ns, rows[place])
        return found

    def update(self, observation: Observation) -> Floats:
        """Scores of one observation more, (outputs,).

        Raises NotFitted, and ValueError for a time that is not after the last one and a wrong number of values;
        nothing is changed then.
        """
        self._check_fitted()
        values = cleaned(np.asarray(observation.values, np.float64))
        if values.shape != (len(self.columns_),):
            raise ValueError(f"{len(self.columns_)} values are expected, one a column, not {values.shape}")
        if self._last_ns is not None and observation.time_ns <= self._last_ns:
            raise ValueError(f"time {observation.time_ns} ns is not after the last one, {self._last_ns} ns")
        if self._live is None:
            self._live = self._stream()
        self._last_ns = observation.time_ns
        return self._live.push(observation.time_ns, values)

    def start_over(self) -> None:
        """Forget what ``update`` knew, as a restart does; what was learned stays."""
        self._live = None
        self._last_ns = None

    def _check_fitted(self) -> None:
        if not hasattr(self, "columns_"):
            raise NotFitted(f"{type(self).__name__} has not learned yet: call fit(frame) first")

    @abstractmethod
    def _learn(self, times_ns: Times, table: Floats) -> None: ...

    @abstractmethod
    def _stream(self) -> Stream: ...


class LimitDetector(Detector):
    """A detector with a measure of its own, which is graded by a limit.

    A limit that is not given is learned: ``margin`` times the greatest measure in training. Where that is 0 or
    unknown there is no limit, and no score, unless there is a ``least_limit``.
    """

    least_limit = 0.0

    def __init__(self, limit: float | None, margin: float) -> None:
        super().__init__()
        if limit is not None and not 0 < limit < np.inf:
            raise ValueError(f"a limit of {limit} is not more than 0")
        if not 1 <= margin < np.inf:
            raise ValueError(f"a margin of {margin} is not at least 1")
        self.limit = limit
        self.margin = margin
        self.limits_: Floats = np.empty(0)

    def _learn(self, times_ns: Times, table: Floats) -> None:
        self.limits_ = np.full(len(self.outputs_), np.nan if self.limit is None else self.limit)
        if self.limit is not None:
            return
        measure = self._measure()
        greatest = np.zeros(len(self.outputs_))
        for place, time_ns in enumerate(times_ns.tolist()):
            greatest = np.fmax(greatest, measure.push(time_ns, table[place]))
        limits = np.maximum(self.margin * greatest, self.least_limit)
        self.limits_ = np.where(limits > 0, limits, np.nan)

    def _stream(self) -> Stream:
        return _Graded(self._measure(), self.limits_)

    @abstractmethod
    def _measure(self) -> Stream:
        """Of each output, 0 where all is as ever."""


class _Graded:
    def __init__(self, measure: Stream, limits: Floats) -> None:
        self._measure = measure
        self._limits = limits

    def push(self, time_ns: int, values: Floats) -> Floats:
        return grade(self._measure.push(time_ns, values) / self._limits)


def cleaned(values: Floats) -> Floats:
    """What is no measurement is missing."""
    return np.where(np.abs(values) <= BEYOND, values, np.nan)


def table_of(frame: Any) -> Floats:
    """Of a DataFrame; pandas' own missing values as NaN."""
    table: Floats = frame.to_numpy(np.float64, na_value=np.nan)
    return table


def check_order(times_ns: ArrayLike) -> None:
    """Raises ValueError where times do not increase."""
    times = np.asarray(times_ns, np.int64)
    if wrong := np.flatnonzero(np.diff(times) <= 0).tolist():
        raise ValueError(f"row {wrong[0] + 1} is not after the row before: sort the frame, drop duplicates")
