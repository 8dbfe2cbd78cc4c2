"""Detectors that look at each tag by itself, all tags of a row at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from historian.anomaly.detector import NS_PER_S, Detector, Floats, LimitDetector, Stream, Times, grade

LEAST_VALUES = 60  # the deviation of so many is within a tenth of the true one two times of three
LEAST_ELSEWHERE = (
    0.1  # of training away from where a tag rests: with less, nothing is known of how it moves there
)
GAP_S = 60.0  # after a longer silence what was before says nothing of what is after


class Gaussian(Detector):
    """How far a value is from the mean of its window, in standard deviations; ``limit`` of them is the limit.

    The window of ``window`` rows is made of ``blocks``; what is scored is not in it yet (windowed Gaussian, after
    the detector of that name of the Numenta Anomaly Benchmark: Lavin & Ahmad 2015; sums of blocks by Chan, Golub &
    LeVeque 1979). A value beyond the limit does not teach for ``refractory_s``: a fault does not become normal at
    once, and a new level does at last. Fewer than ``least`` values in the window (60, or half of it): no score.

    The standard deviation is at least ``least_share`` of the mean and ``least_spread``, which unless given is
    learned: the median of changes from row to row.
    """

    def __init__(
        self,
        window: int = 600,
        limit: float = 5.0,
        *,
        blocks: int = 20,
        least: int | None = None,
        refractory_s: float = 300.0,
        least_share: float = 0.005,
        least_spread: float | None = None,
    ) -> None:
        super().__init__()
        if blocks < 2 or window < blocks:
            raise ValueError(f"a window of {window} rows in {blocks} blocks: at least 2 blocks of a row")
        least = min(LEAST_VALUES, window // 2) if least is None else least
        if not 2 <= least <= window:
            raise ValueError(f"least {least} does not lie between 2 and the window of {window} rows")
        if limit <= 0 or refractory_s < 0 or least_share < 0:
            raise ValueError("limit must be above 0, refractory_s and least_share 0 or more")
        self.window, self.limit, self.blocks, self.least = window, limit, blocks, least
        self.refractory_s, self.least_share, self.least_spread = refractory_s, least_share, least_spread

    def _learn(self, times_ns: Times, table: Floats) -> None:
        self.least_spread_ = np.full(len(self.columns_), self.least_spread or 0.0)
        if self.least_spread is None and len(table) > 1:
            changes = np.abs(np.diff(table, axis=0))
            for place in range(table.shape[1]):
                some = changes[:, place]
                some = some[some > 0]
                self.least_spread_[place] = np.median(some) if len(some) else 0.0

    def _stream(self) -> Stream:
        return _GaussianStream(self)


class _GaussianStream:
    def __init__(self, detector: Gaussian) -> None:
        self._of = detector
        self._rows = detector.window // detector.blocks
        self._refractory_ns = round(detector.refractory_s * NS_PER_S)
        self._last_ns: int | None = None
        self._begin()

    def _begin(self) -> None:
        blocks, tags = self._of.blocks, len(self._of.columns_)
        self._counts, self._means, self._squares = (np.zeros((blocks, tags)) for _ in range(3))
        self._count, self._mean, self._square = (np.zeros(tags) for _ in range(3))
        self._model_mean = np.full(tags, np.nan)
        self._model_spread = np.full(tags, np.nan)
        self._odd_ns = np.full(tags, -1, np.int64)  # since when each is beyond its limit; -1: it is not
        self._block = self._in_block = 0

    def push(self, time_ns: int, values: Floats) -> Floats:
        if self._last_ns is not None and time_ns - self._last_ns > GAP_S * NS_PER_S:
            self._begin()
        self._last_ns = time_ns
        away = np.abs(values - self._model_mean)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = away / (self._of.limit * self._model_spread)
        ratio[away == 0] = 0.0
        is_odd = ratio > 1.0
        self._odd_ns[~is_odd] = -1
        self._odd_ns[is_odd & (self._odd_ns < 0)] = time_ns
        is_taught = ~np.isnan(values) & (~is_odd | (time_ns - self._odd_ns >= self._refractory_ns))
        self._teach(np.where(is_taught, values, self._mean), is_taught)
        return grade(ratio)

    def _teach(self, values: Floats, is_taught: np.typing.NDArray[np.bool_]) -> None:
        self._count += is_taught
        change = values - self._mean
        self._mean += change / np.maximum(self._count, 1.0)
        self._square += change * (values - self._mean)
        self._in_block += 1
        if self._in_block == self._rows:
            self._close_block()

    def _close_block(self) -> None:
        self._counts[self._block], self._means[self._block] = self._count, self._mean
        self._squares[self._block] = self._square
        self._block = (self._block + 1) % self._of.blocks
        self._count, self._mean, self._square = (np.zeros_like(self._count) for _ in range(3))
        self._in_block = 0
        count = np.add.reduce(self._counts, axis=0)
        some = np.maximum(count, 2.0)
        mean = np.add.reduce(self._counts * self._means, axis=0) / some
        apart = self._means - mean
        square = np.add.reduce(self._squares + self._counts * (apart * apart), axis=0)
        spread = np.sqrt(square / (some - 1.0))
        spread = np.maximum(spread, np.maximum(self._of.least_share * np.abs(mean), self._of.least_spread_))
        is_ready = count >= self._of.least
        self._model_mean = np.where(is_ready, mean, np.nan)
        self._model_spread = np.where(is_ready, spread, np.nan)


class Range(Detector):
    """Where a value stands between ``low`` and ``high``: 0 in the middle, the limit at either.

    Unless given, they are learned: the least and the greatest in training, and ``margin`` of what is between them
    beyond.
    """

    def __init__(self, low: float | None = None, high: float | None = None, *, margin: float = 0.1) -> None:
        super().__init__()
        if low is not None and high is not None and not low < high:
            raise ValueError(f"low {low} is not below high {high}")
        if margin < 0:
            raise ValueError(f"a margin of {margin} is below 0")
        self.low, self.high, self.margin = low, high, margin

    def _learn(self, times_ns: Times, table: Floats) -> None:
        tags = len(self.columns_)
        nothing = np.full(tags, np.nan)
        least = np.fmin.reduce(table, axis=0) if len(table) else nothing
        greatest = np.fmax.reduce(table, axis=0) if len(table) else nothing
        more = self.margin * (greatest - least)
        self.low_ = least - more if self.low is None else np.full(tags, self.low)
        self.high_ = greatest + more if self.high is None else np.full(tags, self.high)

    def _stream(self) -> Stream:
        half = (self.high_ - self.low_) / 2.0
        return _RangeStream(self.low_ + half, np.where(half > 0, half, np.nan))


class _RangeStream:
    def __init__(self, middle: Floats, half: Floats) -> None:
        self._middle, self._half = middle, half

    def push(self, time_ns: int, values: Floats) -> Floats:
        return grade(np.abs(values - self._middle) / self._half)


class Rate(LimitDetector):
    """How fast a value changes, in its unit a second, from its last value not over 60 s ago."""

    def __init__(self, limit: float | None = None, *, margin: float = 1.5) -> None:
        super().__init__(limit, margin)

    def _measure(self) -> Stream:
        return _RateStream(len(self.columns_))


class _RateStream:
    def __init__(self, tags: int) -> None:
        self._value = np.full(tags, np.nan)
        self._time = np.zeros(tags, np.int64)

    def push(self, time_ns: int, values: Floats) -> Floats:
        seconds = (time_ns - self._time) / NS_PER_S
        rate = np.where(seconds <= GAP_S, np.abs(values - self._value) / seconds, np.nan)
        is_there = ~np.isnan(values)
        self._value = np.where(is_there, values, self._value)
        self._time[is_there] = time_ns
        return rate


class FlatLine(LimitDetector):
    """For how many seconds a value has stood still: not ``tolerance`` away from where it stood when it came to rest.

    A gap of over 60 s ends a stillness, as nobody saw what was in it. A learned limit is at least 30 s. Where a tag
    rested longest in training (a PV system's nothing at night) has a limit of its own, and does not loosen that of
    all other values; unless training hardly knows others (less than a tenth of it): then all have that limit.
    """

    least_limit = 30.0

    def __init__(self, limit: float | None = None, *, tolerance: float = 0.0, margin: float = 2.0) -> None:
        super().__init__(limit, margin)
        if tolerance < 0:
            raise ValueError(f"a tolerance of {tolerance} is below 0")
        self.tolerance = tolerance

    def _learn(self, times_ns: Times, table: Floats) -> None:
        super()._learn(times_ns, table)
        self.rests_ = np.full(len(self.columns_), np.nan)
        self.rest_limits_ = self.limits_
        if self.limit is not None:
            return
        longest = np.zeros(len(self.columns_))
        for still, rest in self._stillness(times_ns, table):
            is_longer = still > longest
            longest = np.where(is_longer, still, longest)
            self.rests_ = np.where(is_longer, rest, self.rests_)
        elsewhere, rows = np.zeros(len(self.columns_)), np.zeros(len(self.columns_))
        for still, rest in self._stillness(times_ns, table):
            is_elsewhere = np.abs(rest - self.rests_) > self.tolerance
            elsewhere = np.where(is_elsewhere, np.fmax(elsewhere, still), elsewhere)
            rows += is_elsewhere & ~np.isnan(still)
        is_known = rows >= LEAST_ELSEWHERE * np.isfinite(table).sum(axis=0)
        limits = np.maximum(self.margin * elsewhere, self.least_limit)
        self.limits_ = np.where(is_known & (longest > 0), limits, self.rest_limits_)

    def _stillness(self, times_ns: Times, table: Floats) -> Iterator[tuple[Floats, Floats]]:
        """Of each row for how long, and where."""
        stream = _FlatStream(len(self.columns_), self.tolerance)
        for place, time_ns in enumerate(times_ns.tolist()):
            yield stream.push(time_ns, table[place]), stream.rest

    def _measure(self) -> Stream:
        return _FlatStream(len(self.columns_), self.tolerance)

    def _stream(self) -> Stream:
        return _RestingStream(self)


class _RestingStream:
    def __init__(self, of: FlatLine) -> None:
        self._of = of
        self._still = _FlatStream(len(of.columns_), of.tolerance)

    def push(self, time_ns: int, values: Floats) -> Floats:
        of = self._of
        still = self._still.push(time_ns, values)
        is_at_rest = np.abs(self._still.rest - of.rests_) <= of.tolerance
        return grade(still / np.where(is_at_rest, of.rest_limits_, of.limits_))


class _FlatStream:
    def __init__(self, tags: int, tolerance: float) -> None:
        self._tolerance = tolerance
        self.rest = np.full(tags, np.nan)  # the value it came to rest at
        self._since = np.zeros(tags, np.int64)
        self._seen = np.zeros(tags, np.int64)

    def push(self, time_ns: int, values: Floats) -> Floats:
        is_there = ~np.isnan(values)
        # A comparison with NaN is false: the first value moves.
        is_still = (np.abs(values - self.rest) <= self._tolerance) & (
            time_ns - self._seen <= GAP_S * NS_PER_S
        )
        moves = is_there & ~is_still
        self.rest = np.where(moves, values, self.rest)
        self._since[moves] = time_ns
        self._seen[is_there] = time_ns
        return np.where(is_there, (time_ns - self._since) / NS_PER_S, np.nan)


class Missing(LimitDetector):
    """For how many seconds there was no value, up to this row: a gap is scored while it lasts, and where it ends."""

    def __init__(self, limit: float | None = None, *, margin: float = 3.0) -> None:
        super().__init__(limit, margin)

    def _measure(self) -> Stream:
        return _MissingStream(len(self.columns_))


class _MissingStream:
    def __init__(self, tags: int) -> None:
        self._seen: Times | None = None
        self._tags = tags

    def push(self, time_ns: int, values: Floats) -> Floats:
        if self._seen is None:  # one that was never there is missing since the stream began
            self._seen = np.full(self._tags, time_ns, np.int64)
        age: Floats = (time_ns - self._seen) / NS_PER_S
        self._seen[~np.isnan(values)] = time_ns
        return age


class Clock(LimitDetector):
    """How many seconds source times are off: values are in seconds since 1970 UTC, rows are when they were read.

    Late by ``limit`` is the limit, and so is ahead by ``ahead_s``. A time before the last one seen is a replay, or a
    clock that was set back: 1.
    """

    def __init__(self, limit: float | None = None, *, ahead_s: float = 1.0, margin: float = 3.0) -> None:
        super().__init__(limit, margin)
        if ahead_s <= 0:
            raise ValueError(f"ahead_s of {ahead_s} is not above 0")
        self.ahead_s = ahead_s

    def _measure(self) -> Stream:
        return _LateStream(len(self.columns_))

    def _stream(self) -> Stream:
        return _ClockStream(self, self._measure())


class _LateStream:
    def __init__(self, tags: int) -> None:
        self._tags = tags

    def push(self, time_ns: int, values: Floats) -> Floats:
        return np.maximum(_read_s(time_ns) - values, 0.0)


class _ClockStream:
    def __init__(self, of: Clock, late: Stream) -> None:
        self._of, self._late = of, late
        self._newest = np.full(len(of.columns_), -np.inf)

    def push(self, time_ns: int, values: Floats) -> Floats:
        is_there = ~np.isnan(values)
        # Without a limit to lateness what is ahead or back is scored all the same.
        late = self._late.push(time_ns, values) / self._of.limits_
        ratio = np.fmax(late, np.maximum(values - _read_s(time_ns), 0.0) / self._of.ahead_s)
        ratio = np.where(values < self._newest, np.inf, ratio)
        self._newest = np.where(is_there, np.maximum(values, self._newest), self._newest)
        return grade(np.where(is_there, ratio, np.nan))


def _read_s(time_ns: int) -> float:
    return time_ns / NS_PER_S
