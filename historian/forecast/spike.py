"""How likely a limit is exceeded, read off forecast quantiles; and how good such warnings were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def exceedance(values: ArrayLike, quantiles: Sequence[float], limit: float) -> Floats:
    """P(value > limit) of each forecast, ``values`` (n, quantiles) rising: (n,), NaN where one is missing.

    Linear between quantiles; beyond the outer ones the tail falls exponentially, as steeply as between the last two.
    For "within five minutes" the forecasts are of the greatest value of those minutes. Raises ValueError for fewer
    than two quantiles.
    """
    table, levels = (
        np.atleast_2d(np.asarray(values, dtype=np.float64)),
        np.asarray(quantiles, dtype=np.float64),
    )
    if len(levels) < 2 or table.shape[1] != len(levels):
        raise ValueError(f"{len(levels)} quantiles for {table.shape[1]} columns; at least 2, one a column")
    table = np.maximum.accumulate(table, axis=1)
    low, high = table[:, 0], table[:, -1]
    # Scales of the tails; none where the last two quantiles coincide: then it is a step.
    fall = (high - table[:, -2]) / np.log((1 - levels[-2]) / (1 - levels[-1]))
    rise = (table[:, 1] - low) / np.log(levels[1] / levels[0])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        above = np.where(fall > 0, (1 - levels[-1]) * np.exp(-(limit - high) / fall), 0.0)
        below = np.where(rise > 0, levels[0] * np.exp((limit - low) / rise), 0.0)
    # At a step the greatest level counts: a value at the limit does not exceed it.
    place = np.clip((table <= limit).sum(axis=1) - 1, 0, len(levels) - 2)
    row = np.arange(len(table))
    left, right = table[row, place], table[row, place + 1]
    share = np.where(right > left, (limit - left) / np.where(right > left, right - left, 1.0), 1.0)
    within = 1 - (levels[place] + np.clip(share, 0.0, 1.0) * (levels[place + 1] - levels[place]))
    found = np.where(limit > high, above, np.where(limit < low, 1 - below, within))
    found[np.isnan(table).any(axis=1)] = np.nan
    return found


@dataclass(frozen=True, slots=True)
class Warnings:
    """What became of warnings given where the probability passed a threshold. Shares are NaN of nothing."""

    hits: int
    misses: int
    false_alarms: int
    quiet: int

    @property
    def hit_rate(self) -> float:
        """Of what came, the share that was warned of."""
        return _share(self.hits, self.misses)

    @property
    def false_alarm_ratio(self) -> float:
        """Of the warnings, the share that nothing followed."""
        return _share(self.false_alarms, self.hits)


def warnings(probability: ArrayLike, came: ArrayLike, threshold: float) -> Warnings:
    """Counts of the forecasts whose probability is known; ``came``: whether the limit was exceeded."""
    p, happened = np.asarray(probability, dtype=np.float64), np.asarray(came, dtype=bool)
    known = np.isfinite(p)
    warned, happened = p[known] > threshold, happened[known]
    return Warnings(
        hits=int((warned & happened).sum()),
        misses=int((~warned & happened).sum()),
        false_alarms=int((warned & ~happened).sum()),
        quiet=int((~warned & ~happened).sum()),
    )


def _share(part: int, rest: int) -> float:
    return part / (part + rest) if part + rest else float("nan")
