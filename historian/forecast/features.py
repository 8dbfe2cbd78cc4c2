"""Feature vectors of signals: one kernel for a whole table (batch) and for one observation after the other (stream).

Both give the same numbers to the last bit. Each vector is computed anew from the observations it looks at, and
every sum is by ``np.add.reduceat``, which goes along one window after the other, in an order that depends on the
window's length alone; that of ``np.sum`` depends on the shape and layout of the array. No sum drifts, and no vector
depends on when the stream began.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from historian.forecast.calendar import calendar_terms
from historian.forecast.feature_set import NS_PER_S, STATISTICS, FeatureSet
from historian.libraries import load

_CHUNK_BYTES: Final = 4 << 20  # of windows laid out at once: what the second-level cache about holds
_HOUR_S: Final = 3600.0
LEAST_LOAD: Final = 1e-9  # of which a share can be had, in the unit of the signal

Floats = NDArray[np.float64]


class NotPrimed(ValueError):  # noqa: N818 - reads as the claim it makes
    """Too little was observed for a vector; ``needed`` says how many observations more it takes."""

    def __init__(self, needed: int) -> None:
        super().__init__(f"not primed: {needed} more observations needed")
        self.needed = needed


class Kernel:
    """Computes vectors out of windows of observations. Holds no state between calls."""

    def __init__(self, features: FeatureSet) -> None:
        self.features = features
        self.width = len(features.names)
        self.buffer = features.buffer
        newest = features.buffer - 1
        self._lag_rows = newest - np.array([0, *features.lags], dtype=np.intp)
        # All windows behind one another, each from its newest row to its oldest: what a call of NumPy costs is the
        # bound of a stream, so each is of all windows and signals at once.
        sizes = features.windows
        self._window_rows = newest - np.concatenate([np.arange(size) for size in (*sizes, 0)]).astype(np.intp)
        self._window_begins = np.array([0, *np.cumsum(sizes)[:-1]], dtype=np.intp)
        self._window_of_row = np.repeat(np.arange(len(sizes)), sizes)
        self._longest = sizes.index(max(sizes)) if sizes else 0
        self._sizes = np.array(sizes, dtype=np.float64)[:, None]
        self._sizes_less_one = self._sizes - 1.0
        self._least_present = features.missing.least_present * self._sizes
        column = {name: position for position, name in enumerate(features.signals)}
        terms = (*features.calendar, *(term for _, term in features.interactions))
        self._terms = tuple(dict.fromkeys(terms))
        self._product_terms = np.array(
            [self._terms.index(t) for _, t in features.interactions], dtype=np.intp
        )
        self._product_signals = np.array([column[s] for s, _ in features.interactions], dtype=np.intp)
        if features.net_load is not None:
            self._load = column[features.net_load.load]
            self._sources = [column[source] for source in features.net_load.sources]
            steps = features.net_load.slope_steps
            self._later, self._earlier = (part.astype(np.intp) for part in np.tril_indices(steps, -1))
            self._slope_steps = steps
            self._least_pairs = max(1.0, features.missing.least_present * len(self._later))
            self._apart_h = (self._later - self._earlier) * (features.step_s / _HOUR_S)

    def vectors(self, windows: Floats, times_ns: Sequence[int]) -> Floats:
        """``windows``: (vectors, buffer, signals), oldest first, missing as NaN; returns (vectors, features)."""
        with np.errstate(
            over="ignore", invalid="ignore", divide="ignore"
        ):  # squares of values near the greatest double are infinite; a load may be 0
            return self._vectors(windows, times_ns)

    def _vectors(self, windows: Floats, times_ns: Sequence[int]) -> Floats:
        features, signals = self.features, len(self.features.signals)
        vectors = len(windows)
        out = np.empty((vectors, self.width))
        at = signals * len(self._lag_rows)
        out[:, :at] = windows.take(self._lag_rows, axis=1).reshape(vectors, at)
        if features.windows:
            at = self._statistics(windows, out, at)
        if self._terms:
            civil = features.civil
            terms = np.array([calendar_terms(time, self._terms, civil) for time in times_ns])
            end = at + len(features.calendar)
            out[:, at:end] = terms[:, : len(features.calendar)]
            at = end
        if len(self._product_terms):
            end = at + len(self._product_terms)
            out[:, at:end] = out[:, self._product_signals] * terms[:, self._product_terms]
            at = end
        if features.net_load is not None:
            self._net_load(windows, out[:, at:])
        missing = np.isnan(out)
        if np.count_nonzero(missing):
            out[missing] = np.nan  # one pattern of bits for all that is missing
        return out

    def _statistics(self, windows: Floats, out: Floats, at: int) -> int:
        """Mean, sample standard deviation (n - 1, two passes), least and greatest of each window."""
        sizes, signals = len(self._sizes), windows.shape[2]
        end: int = at + sizes * len(STATISTICS) * signals
        block = out[:, at:end].reshape(len(out), sizes, len(STATISTICS), signals)
        means, deviations, least, greatest = (block[:, :, place] for place in range(len(STATISTICS)))
        assert means.base is not None  # a view: what is written here lands in ``out``
        begins = self._window_begins
        rows = windows.take(self._window_rows, axis=1)
        sums = np.add.reduceat(rows, begins, axis=1)
        # A sum of all is NaN where one is; where values beyond measure cancel out as well, which only costs time.
        if np.count_nonzero(np.isnan(sums[:, self._longest])):
            return self._statistics_of_present(rows, block, end)
        np.divide(sums, self._sizes, out=means)
        np.minimum.reduceat(rows, begins, axis=1, out=least)
        np.maximum.reduceat(rows, begins, axis=1, out=greatest)
        rows -= means.take(self._window_of_row, axis=1)
        rows *= rows
        squares = np.add.reduceat(rows, begins, axis=1)
        squares /= self._sizes_less_one
        np.sqrt(squares, out=deviations)
        return end

    def _statistics_of_present(self, rows: Floats, block: Floats, end: int) -> int:
        """The same where values are missing. What is absent adds 0 to a sum, which changes no bit of it: vectors
        without holes come out the same whether or not another vector of the same call has some.
        """
        begins, absent = self._window_begins, np.isnan(rows)
        count = np.add.reduceat((~absent).astype(np.float64), begins, axis=1)
        np.copyto(rows, np.inf, where=absent)
        least = np.minimum.reduceat(rows, begins, axis=1)
        np.copyto(rows, -np.inf, where=absent)
        greatest = np.maximum.reduceat(rows, begins, axis=1)
        np.copyto(rows, 0.0, where=absent)
        means = np.add.reduceat(rows, begins, axis=1)
        means /= np.maximum(count, 1.0)
        rows -= means.take(self._window_of_row, axis=1)
        np.copyto(rows, 0.0, where=absent)
        rows *= rows
        deviations = np.sqrt(np.add.reduceat(rows, begins, axis=1) / np.maximum(count - 1.0, 1.0))
        few = count < self._least_present
        for statistic in (means, least, greatest):
            statistic[few] = np.nan
        deviations[few | (count < 2)] = np.nan
        for place, statistic in enumerate((means, deviations, least, greatest)):
            block[:, :, place] = statistic
        return end

    def _net_load(self, windows: Floats, out: Floats) -> None:
        """Renewable penetration; ramp; the median of the slopes of all pairs (Theil 1950, Sen 1968), per hour."""
        begin = -self._slope_steps
        loads = windows[:, begin:, self._load]
        renewable = windows[:, begin:, self._sources[0]]
        for source in self._sources[1:]:
            renewable = renewable + windows[:, begin:, source]
        load_now = loads[:, -1]
        np.divide(renewable[:, -1], load_now, out=out[:, 0])  # it may exceed 1
        none = np.abs(load_now) <= LEAST_LOAD
        if np.count_nonzero(none):
            out[none, 0] = np.nan  # without a load there is no share of it: missing, not zero
        net = loads - renewable
        slopes = net.take(self._later, axis=1)
        slopes -= net.take(self._earlier, axis=1)
        slopes /= self._apart_h
        out[:, 1] = slopes[:, -1]  # the last pair is that of the last two
        slopes.sort(axis=1)  # NaN last
        pairs = slopes.shape[1]
        if not np.count_nonzero(np.isnan(slopes[:, -1])):
            out[:, 2] = (slopes[:, (pairs - 1) // 2] + slopes[:, pairs // 2]) / 2.0
            return
        count = pairs - np.add.reduce(np.isnan(slopes), axis=1)
        low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, pairs - 1)
        row = np.arange(len(windows))
        out[:, 2] = (slopes[row, low] + slopes[row, high]) / 2.0
        out[count < self._least_pairs, 2] = np.nan


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
        window = self._twice[None, self._next : self._next + self._buffer]
        vector: Floats = self.kernel.vectors(window, (self._time_ns,))[0]
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
        windows = sliding_window_view(grid, features.buffer, axis=0).transpose(0, 2, 1)
        chunk = max(1, _CHUNK_BYTES // (8 * features.buffer * table.shape[1]))
        for begin in range(0, len(ready), chunk):
            some = ready[begin : begin + chunk]
            rows.append(first + some)
            vectors.append(
                kernel.vectors(windows[where[some] - features.buffer + 1], times[first + some].tolist())
            )
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
