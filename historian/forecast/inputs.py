"""What a forecast is made from: for pairs of an issue and a lead, what was known at the issue about that lead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from historian.forecast.calendar import Civil, calendar_terms
from historian.forecast.feature_set import NS_PER_S, FeatureSet, Missing
from historian.forecast.features import NotPrimed, batch, times_of
from historian.forecast.linear import SEASONAL

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

DAY_S: Final = 86_400
_AROUND_S: Final = 3600  # sunrise comes earlier than it did, and summer time moves the clock
_LEAST_CHANGE: Final = 0.01  # of the mean change over a season
_DAYS: Final = 28  # a month of days says what is usual at a time of day, and how far from it is not rare
_LEAST_DAYS: Final = 5  # fewer say nothing about a quarter of them
_USUAL: Final = (0.25, 0.5, 0.75)
CLEAR_SKY: Final = "clear_sky_w_m2"  # the known input (``known.clear_sky``) that a sun power is measured by
_LEAST_SUN_W_M2: Final = 10.0  # of a lower sun a ratio says nothing
_MOST_SUN: Final = 2.0  # times as strong, or weak, as on the day compared with: beyond, shadows decide
_CALENDAR: Final = ("hour", "weekday", "is_weekend", "hour_sin", "hour_cos", "year_sin", "year_cos")


@dataclass(frozen=True, slots=True)
class Grid:
    """A frame on every step of its grid: ``signals`` (steps, target first), ``known`` (steps, known)."""

    first_ns: int
    signals: Floats
    known: Floats

    @property
    def steps(self) -> int:
        return len(self.signals)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputPlan:
    """Which inputs there are. Signals are known up to the issue, ``known`` for what is forecast as well."""

    target: str
    past: tuple[str, ...]
    known: tuple[str, ...]
    step_s: int
    season_s: int
    civil: Civil
    features: FeatureSet = field(init=False)

    def __post_init__(self) -> None:
        day = max(2, DAY_S // self.step_s)
        windows = tuple(dict.fromkeys((min(4, day), day)))
        features = FeatureSet(
            signals=(self.target, *self.past),
            step_s=self.step_s,
            lags=(1, 2, 3),
            windows=windows,
            missing=Missing(longest_gap=day),
            civil=self.civil,
        )
        object.__setattr__(self, "features", features)

    @property
    def season(self) -> int:
        """In steps, as ``day`` is."""
        return self.season_s // self.step_s

    @property
    def seasons(self) -> int:
        """How many of them are looked back: a week of days, or a month of weeks."""
        return 7 if self.season_s <= DAY_S else 4

    @property
    def day(self) -> int:
        return max(1, DAY_S // self.step_s)

    @property
    def names(self) -> tuple[str, ...]:
        """What ends in ``rise`` is a difference from a season before: centred on zero, whatever the level."""
        return (
            "lead",
            SEASONAL,
            "season_before.rise",
            "second_season_before.rise",
            "seasons_mean.rise",
            *(f"usual_{quantile}.rise" for quantile in _USUAL),
            "day_before.away_rise",
            "day_before.rise",
            "now.rise",
            "step_before.rise",
            "hour_now.rise",
            "yesterday.rise",
            "day_mean.rise",
            "yesterday_mean.rise",
            *(("clearness_hour.rise", "clearness_day.rise") if CLEAR_SKY in self.known else ()),
            *(f"{name}.rise" for name in self.past),
            *self.features.names,
            *(f"target.{term}" for term in _CALENDAR),
            *(f"target.{name}" for name in self.known),
            *(f"target.{name}.rise" for name in self.known),
        )

    @property
    def steps_needed(self) -> int:
        """Up to and with the issue: a season, and the day before it."""
        return max(self.season + self.day, self.features.steps_to_prime)

    @property
    def steps_wanted(self) -> int:
        """Up to and with the issue: with fewer, inputs that look back more seasons are missing."""
        return max(self.seasons * self.season + self.day, (_DAYS + 1) * self.day, self.steps_needed)

    def grid(self, frame: Any, more: int = 0, known: Any = None) -> Grid:
        """``frame`` on its grid, missing steps as NaN; with ``more`` steps after its last, whose ``known`` come from
        there. Raises KeyError for columns that are not there, ValueError for times off the grid or out of order."""
        columns = (*self.features.signals, *self.known)
        if absent := [name for name in columns if name not in frame.columns]:
            raise KeyError(f"the frame has no column {', '.join(absent)}")
        times = times_of(frame.index)
        rows = self._rows(times, "the frame")
        if not len(rows):
            raise NotPrimed(self.steps_needed)
        steps = int(rows[-1]) + 1 + more
        signals = np.full((steps, len(self.features.signals)), np.nan)
        signals[rows] = frame[list(self.features.signals)].to_numpy(np.float64)
        ahead = np.full((steps, len(self.known)), np.nan)
        ahead[rows] = frame[list(self.known)].to_numpy(np.float64)
        if known is not None:
            if absent := [name for name in self.known if name not in known.columns]:
                raise KeyError(f"the known inputs have no column {', '.join(absent)}")
            later = times_of(known.index)
            self._rows(later, "the known inputs")
            where = (later - times[0]) // (self.step_s * NS_PER_S)
            inside = (where > rows[-1]) & (where < steps)
            ahead[where[inside]] = known[list(self.known)].to_numpy(np.float64)[inside]
        return Grid(int(times[0]), signals, ahead)

    def _rows(self, times: NDArray[np.int64], what: str) -> Rows:
        step_ns = self.step_s * NS_PER_S
        if wrong := np.flatnonzero(times % step_ns).tolist():
            raise ValueError(
                f"row {wrong[0]} of {what} lies off the grid of {self.step_s} s: resample it first"
            )
        if wrong := np.flatnonzero(np.diff(times) <= 0).tolist():
            raise ValueError(
                f"row {wrong[0] + 1} of {what} is not after the row before: sort it, drop duplicates"
            )
        rows: Rows = (times - times[:1]) // step_ns
        return rows

    def step_of(self, grid: Grid) -> int:
        """The number of its first step, counted from 1970."""
        return grid.first_ns // (self.step_s * NS_PER_S)

    def change_by_time_of_day(self, first_step: int, target: Floats) -> Floats:
        """Mean change over a season for each step of a day (of UTC), the greatest within an hour around: (day,).

        At least a hundredth of the mean over all, and 1 where nothing is known.
        """
        change = np.abs(target[self.season :] - target[: -self.season])
        known = np.isfinite(change)
        slot = (first_step + self.season + np.arange(len(change))) % self.day
        count = np.bincount(slot[known], minlength=self.day)
        means = np.bincount(slot[known], change[known], self.day) / np.maximum(count, 1)
        overall = float(change[known].mean()) if known.any() else 0.0
        means = np.where(count > 0, means, overall)
        around = max(0, _AROUND_S // self.step_s)
        greatest = np.max([np.roll(means, by) for by in range(-around, around + 1)], axis=0)
        return np.maximum(greatest, _LEAST_CHANGE * overall) if overall > 0 else np.ones(self.day)

    def issues(self, grid: Grid) -> tuple[Rows, Floats]:
        """Steps at which a forecast can be issued, and their features. Raises NotPrimed where there are none."""
        if grid.steps < self.steps_needed:
            raise NotPrimed(self.steps_needed - grid.steps)
        times = grid.first_ns + np.arange(grid.steps) * (self.step_s * NS_PER_S)
        rows, vectors = batch(self.features, times, grid.signals)
        ready = rows >= self.steps_needed - 1
        return rows[ready], vectors[ready]

    def table(self, grid: Grid, issues: Rows, leads: Rows, vectors: Floats) -> Floats:
        """Inputs of pairs, (pairs, names); ``vectors`` are the features at each pair's issue."""
        target, season, day = grid.signals[:, 0], self.season, self.day
        at = issues + leads
        # As many whole seasons back as it takes to lie at or before the issue.
        before = at - season * -(-leads // season)
        older = [_back(target, before, season * seasons) for seasons in range(1, self.seasons)]
        # A hole in the last season is looked up in those before it.
        base = target[before]
        for one in older:
            base = np.where(np.isnan(base), one, base)
        day_before = at - day * -(-leads // day)
        now = issues - season
        hour = max(1, 3600 // self.step_s)
        hours = _means(target, hour, self.features.missing.least_present)
        days = _means(target, day, self.features.missing.least_present)
        past = grid.signals[:, 1:]
        sun = grid.known[:, self.known.index(CLEAR_SKY)] if CLEAR_SKY in self.known else None
        steps, place = np.unique(at, return_inverse=True)
        times = grid.first_ns + steps * (self.step_s * NS_PER_S)
        calendar = np.array([calendar_terms(time, _CALENDAR, self.civil) for time in times.tolist()])
        known = grid.known[at] if len(self.known) else np.empty((len(at), 0))
        known_before = grid.known[before] if len(self.known) else known
        return np.column_stack(
            (
                leads.astype(np.float64),
                base,
                older[0] - base,
                older[1] - base,
                _mean_of((base, *older)) - base,
                *(usual - base for usual in self._usual(target, sun, at, leads)),
                target[day_before] - base,
                target[day_before] - target[day_before - season],
                target[issues] - target[now],
                _back(target, issues, 1) - _back(target, now, 1),
                hours[issues] - hours[now],
                target[issues - day] - _back(target, now, day),
                days[issues] - days[now],
                _back(days, issues, day) - _back(days, now, day),
                *(clear - base for clear in self._as_clear(target, sun, issues, at)),
                past[issues] - past[now],
                vectors,
                calendar[place],
                known,
                known - known_before,
            )
        )

    def _usual(self, target: Floats, sun: Floats | None, at: Rows, leads: Rows) -> list[Floats]:
        """Quantiles of the last days at the time of day, as much brighter as the sun would be in a clear sky."""
        first = at - self.day * -(-leads // self.day)
        days = np.stack([_back(target, first, self.day * back) for back in range(_DAYS)], axis=1)
        if sun is not None:
            then = np.stack([_back(sun, first, self.day * back) for back in range(_DAYS)], axis=1)
            clear = sun[at][:, None]
            high = (then > _LEAST_SUN_W_M2) & (clear > _LEAST_SUN_W_M2)
            brighter = np.clip(clear / np.where(high, then, 1.0), 1 / _MOST_SUN, _MOST_SUN)
            days = days * np.where(high, brighter, 1.0)
        days.sort(axis=1)  # missing ones go last
        count = np.isfinite(days).sum(axis=1)
        rows = np.arange(len(days))
        found = []
        for quantile in _USUAL:
            place = quantile * (np.maximum(count, 1) - 1)
            low = place.astype(np.intp)
            high_end = days[rows, np.minimum(low + 1, np.maximum(count, 1) - 1)]
            between = days[rows, low] + (place - low) * (high_end - days[rows, low])
            found.append(np.where(count >= _LEAST_DAYS, between, np.nan))
        return found

    def _as_clear(self, target: Floats, sun: Floats | None, issues: Rows, at: Rows) -> list[Floats]:
        """The target if the sky stayed as clear as in the last hour, and day, that had sun."""
        if sun is None:
            return []
        seen = np.isfinite(target) & (sun > _LEAST_SUN_W_M2)
        power, clear = np.where(seen, target, 0.0), np.where(seen, sun, 0.0)
        found = []
        for window in (max(1, 3600 // self.step_s), self.day):
            total = _sums(clear, window)
            known = total > _LEAST_SUN_W_M2
            ratio = np.where(known, _sums(power, window) / np.where(known, total, 1.0), np.nan)
            # By night the last of the day before goes on.
            last = np.maximum.accumulate(np.where(known, np.arange(len(ratio)), 0))
            found.append(ratio[last][issues] * sun[at])
        return found


def _sums(values: Floats, window: int) -> Floats:
    """Of the window that ends at each step, each added up anew: nothing runs along that could drift."""
    padded = np.concatenate((np.zeros(window - 1), values))
    found: Floats = np.lib.stride_tricks.sliding_window_view(padded, window).sum(axis=1)
    return found


def _mean_of(columns: Sequence[Floats]) -> Floats:
    """Of those present; NaN where none is."""
    table = np.stack(columns)
    present = np.isfinite(table)
    count = present.sum(axis=0)
    return np.where(count > 0, np.where(present, table, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)


def _back(values: Floats, at: Rows, steps: int) -> Floats:
    """Values so many steps before; NaN before the first."""
    where = at - steps
    return np.where(where >= 0, values[np.maximum(where, 0)], np.nan)


def pairs(issues: Sequence[int] | Rows, horizon: int) -> tuple[Rows, Rows, Rows]:
    """Each issue with each lead: positions among the issues, issues, leads."""
    position = np.repeat(np.arange(len(issues)), horizon)
    return (
        position,
        np.asarray(issues, dtype=np.intp)[position],
        np.tile(np.arange(1, horizon + 1), len(issues)),
    )


def _means(values: Floats, window: int, least_present: float) -> Floats:
    """Mean of the window that ends at each step; NaN where too few are present."""
    padded = np.concatenate((np.full(window - 1, np.nan), values))
    windows = np.lib.stride_tricks.sliding_window_view(padded, window)
    present = np.isfinite(windows)
    count = present.sum(axis=1)
    sums = np.where(present, windows, 0.0).sum(axis=1)
    return np.where(count >= least_present * window, sums / np.maximum(count, 1), np.nan)
