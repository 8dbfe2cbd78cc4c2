"""Feature vectors of signals: one kernel for a whole table (batch) and for one observation after the other (stream).

Both give the same numbers to the last bit: each vector is computed anew from the observations it looks at, each sum
from the newest to the oldest. No sum drifts, and no vector depends on when the stream began. Windows are read in C
(firmware/features), free of the host, so that a board can have the same vectors; what needs civil time is done here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from historian.forecast._features import Features
from historian.forecast.calendar import calendar_terms
from historian.forecast.feature_set import NS_PER_S, STATISTICS, FeatureSet
from historian.libraries import load

_HOUR_S: Final = 3600.0

Floats = NDArray[np.float64]


class NotPrimed(ValueError):  # noqa: N818 - reads as the claim it makes
    """Too little was observed for a vector; ``needed`` says how many observations more it takes."""

    def __init__(self, needed: int) -> None:
        super().__init__(f"not primed: {needed} more observations needed")
        self.needed = needed


class Kernel:
    """Computes vectors out of observations. Holds no state between calls."""

    def __init__(self, features: FeatureSet) -> None:
        self.features = features
        self.width = len(features.names)
        column = {name: position for position, name in enumerate(features.signals)}
        net_load = features.net_load
        self._windows = Features(
            signals=len(features.signals),
            lags=np.array(features.lags, np.uint32),
            windows=np.array(features.windows, np.uint32),
            least_present=features.missing.least_present,
            load=0 if net_load is None else column[net_load.load],
            sources=np.array([] if net_load is None else [column[s] for s in net_load.sources], np.uint32),
            slope_steps=2 if net_load is None else net_load.slope_steps,
            step_h=features.step_s / _HOUR_S,
        )
        terms = (*features.calendar, *(term for _, term in features.interactions))
        self._terms = tuple(dict.fromkeys(terms))
        blocks = 1 + len(features.lags) + len(STATISTICS) * len(features.windows)
        self._calendar_at = blocks * len(features.signals)
        self._products_at = self._calendar_at + len(features.calendar)
        self._product_terms = [self._terms.index(term) for _, term in features.interactions]
        self._product_signals = [column[signal] for signal, _ in features.interactions]

    def vectors(self, grid: Floats, newest: NDArray[np.int64], times_ns: Sequence[int]) -> Floats:
        """``grid``: (steps, signals), missing as NaN; ``newest``: the step of each vector's newest observation, with
        all of the buffer before it; ``times_ns``: of those. Returns (vectors, features).
        """
        out = np.empty((len(newest), self.width))
        self._windows.compute(grid, newest, out)
        if self._terms:
            civil = self.features.civil
            terms = np.array([calendar_terms(time, self._terms, civil) for time in times_ns])
            calendar, products = self._calendar_at, self._products_at
            out[:, calendar:products] = terms[:, : products - calendar]
            if self._product_terms:
                end = products + len(self._product_terms)
                with np.errstate(over="ignore"):  # values near the greatest double
                    out[:, products:end] = out[:, self._product_signals] * terms[:, self._product_terms]
        return out


class FeatureStream:
    """Features as observations come in. Memory is bounded: twice the buffer.

    A stream that was restarted gives the same bits again once the last ``steps_to_prime`` observations of history
    were pushed into it.
    """

    def __init__(self, features: FeatureSet) -> None:
        self.features = features
        self.kernel = Kernel(features)
        self._buffer, self._to_prime = features.buffer, features.steps_to_prime
        self._step_ns = features.step_s * NS_PER_S
        # Each observation is written twice, a buffer apart, so that the last ones always lie in one piece.
        self._twice = np.full((2 * features.buffer, len(features.signals)), np.nan)
        self._held = np.full(len(features.signals), np.nan)
        self._age = np.zeros(len(features.signals), dtype=np.int64)
        self._next = 0
        self._steps = 0
        self._time_ns: int | None = None

    @property
    def needed(self) -> int:
        """How many observations are missing until there is a vector; 0 when primed."""
        return max(0, self._to_prime - self._steps)

    @property
    def time_ns(self) -> int | None:
        """Of the newest observation."""
        return self._time_ns

    def push(self, time_ns: int, values: ArrayLike) -> None:
        """Take the observation of all signals at a time of the grid; missing ones as NaN.

        Raises ValueError for a time off the grid or not after the last one, and a wrong number of values; nothing is
        changed then.
        """
        row = np.array(values, dtype=np.float64)
        if row.shape != self._held.shape:
            raise ValueError(
                f"{len(self.features.signals)} values are expected, one a signal, not {row.shape}"
            )
        if time_ns % self._step_ns:
            raise ValueError(f"time {time_ns} ns is no multiple of the step of {self.features.step_s} s")
        _clean(row)
        if self._time_ns is not None:
            steps = (time_ns - self._time_ns) // self._step_ns
            if steps < 1:
                raise ValueError(f"time {time_ns} ns is not after the last one, {self._time_ns} ns")
            if steps - 1 > self.features.missing.longest_gap:
                self._start_over()
            elif steps > 1:
                nothing = np.full(len(row), np.nan)
                for _ in range(steps - 1):
                    self._append(nothing)
        self._append(row)
        self._time_ns = time_ns

    def vector(self) -> Floats:
        """The features at the newest observation, in the order of ``features.names``. Raises NotPrimed."""
        if self.needed:
            raise NotPrimed(self.needed)
        assert self._time_ns is not None
        newest = np.array([self._next + self._buffer - 1])
        vector: Floats = self.kernel.vectors(self._twice, newest, (self._time_ns,))[0]
        return vector

    def _append(self, row: Floats) -> None:
        if self.features.missing.hold:
            absent = np.isnan(row)
            self._age = np.where(absent, self._age + 1, 0)
            row = np.where(absent & (self._age <= self.features.missing.hold), self._held, row)
            self._held = np.where(absent, self._held, row)
        self._twice[self._next] = self._twice[self._next + self._buffer] = row
        self._next = (self._next + 1) % self._buffer
        self._steps += 1

    def _start_over(self) -> None:
        self._twice[:] = np.nan
        self._held[:] = np.nan
        self._age[:] = 0
        self._next = self._steps = 0


def batch(features: FeatureSet, times_ns: ArrayLike, values: ArrayLike) -> tuple[NDArray[np.intp], Floats]:
    """All vectors of a table: the rows that have one, and their vectors, those a stream would give.

    ``times_ns`` (rows,) increasing and on the grid, ``values`` (rows, signals). Raises NotPrimed where no row has
    one, and ValueError for times off the grid or out of order.
    """
    times = np.asarray(times_ns, dtype=np.int64)
    table = np.array(values, dtype=np.float64)
    _clean(table)
    if table.shape != (len(times), len(features.signals)):
        raise ValueError(
            f"{len(times)} rows of {len(features.signals)} values are expected, not {table.shape}"
        )
    step_ns = features.step_s * NS_PER_S
    if wrong := np.flatnonzero(times % step_ns).tolist():
        raise ValueError(f"row {wrong[0]}: time {times[wrong[0]]} ns is no multiple of {features.step_s} s")
    if wrong := np.flatnonzero(np.diff(times) <= 0).tolist():
        raise ValueError(f"row {wrong[0] + 1}: time {times[wrong[0] + 1]} ns is not after the row before")
    kernel = Kernel(features)
    rows: list[NDArray[np.intp]] = []
    vectors: list[Floats] = []
    steps = 0
    for first, last in _stretches(times, step_ns, features.missing.longest_gap):
        where = (times[first:last] - times[first]) // step_ns
        steps = int(where[-1]) + 1
        grid = np.full((steps, table.shape[1]), np.nan)
        grid[where] = table[first:last]
        _hold(grid, features.missing.hold)
        ready = np.flatnonzero(where >= features.steps_to_prime - 1)
        if not len(ready):
            continue
        rows.append(first + ready)
        vectors.append(kernel.vectors(grid, where[ready], times[first + ready].tolist()))
    if not vectors:
        raise NotPrimed(features.steps_to_prime - steps)
    return np.concatenate(rows), np.concatenate(vectors)


def feature_frame(features: FeatureSet, frame: Any) -> Any:
    """The features of a DataFrame with a time-zone-aware index, one column a feature; rows not primed are left out.

    Raises NotPrimed, KeyError for missing columns, and ValueError as ``batch`` does.
    """
    pandas = load("pandas", "a table of features")
    if absent := [signal for signal in features.signals if signal not in frame.columns]:
        raise KeyError(f"the frame has no column {', '.join(absent)}")
    times = times_of(frame.index)
    rows, vectors = batch(features, times, frame[list(features.signals)].to_numpy(np.float64))
    return pandas.DataFrame(vectors, index=frame.index[rows], columns=list(features.names))


def times_of(index: Any) -> NDArray[np.int64]:
    """Nanoseconds since 1970 of a pandas index. Raises ValueError where it has no times or no time zone."""
    zone = getattr(index, "tz", None)
    if zone is None:
        raise ValueError(
            "the index must be of times with a time zone: frame.tz_localize('Europe/Berlin'), say"
        )
    times: NDArray[np.int64] = (
        index.tz_convert("UTC").tz_localize(None).to_numpy("datetime64[ns]").astype(np.int64)
    )
    return times


def row_of(features: FeatureSet, values: Mapping[str, float]) -> Floats:
    """Values by name as a row to push; what is not named is missing."""
    return np.array([values.get(signal, np.nan) for signal in features.signals])


def _clean(values: Floats) -> None:
    """In place: infinite values are missing, -0.0 becomes 0.0 (which of both is the least depends on the order)."""
    values += 0.0
    finite = np.isfinite(values)
    if np.count_nonzero(finite) < values.size:
        values[~finite] = np.nan


def _stretches(times: NDArray[np.int64], step_ns: int, longest_gap: int) -> Iterator[tuple[int, int]]:
    """First row and row after the last of each piece between gaps too long to be bridged."""
    if not len(times):
        return
    cuts = np.flatnonzero(np.diff(times) // step_ns - 1 > longest_gap) + 1
    edges = [0, *cuts.tolist(), len(times)]
    yield from pairwise(edges)


def _hold(grid: Floats, steps: int) -> None:
    """Let each signal keep its last value for so many steps, in place."""
    if not steps:
        return
    number = np.arange(len(grid))[:, None]
    last = np.maximum.accumulate(np.where(np.isnan(grid), -1, number), axis=0)
    held = (last >= 0) & (number - last <= steps)
    grid[:] = np.where(held, np.take_along_axis(grid, np.maximum(last, 0), axis=0), np.nan)
