"""Whether a forecaster has grown worse than it was: a cumulative sum of how far its errors are above the usual."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

LEAST_DAYS = 5  # of errors to know the usual by


@dataclass(slots=True)
class DriftWatch:
    """One-sided CUSUM (Page 1954) of a day's mean error, in standard deviations of the usual ones.

    With ``slack`` 0.5 and ``limit`` 5 normal errors give a false alarm about once in 930 days, and errors that rose
    by one deviation are told of after about ten (Montgomery, Introduction to Statistical Quality Control, 9.1).
    """

    usual: float
    deviation: float
    slack: float = 0.5
    limit: float = 5.0
    sum: float = 0.0

    @classmethod
    def learn(cls, errors: ArrayLike, slack: float = 0.5, limit: float = 5.0) -> Self:
        """From a day's mean errors, each day one. Raises ValueError for fewer than ``LEAST_DAYS``."""
        days = np.asarray(errors, dtype=np.float64)
        days = days[np.isfinite(days)]
        if len(days) < LEAST_DAYS:
            raise ValueError(f"errors of {len(days)} days; at least {LEAST_DAYS} say what is usual")
        mean = float(np.mean(days))
        # Few days may look alike by chance: a tenth of the mean is the least that is held for their spread.
        return cls(mean, max(float(np.std(days, ddof=1)), 0.1 * mean, 1e-12), slack, limit)

    def update(self, error: float) -> bool:
        """Take a day's mean error; NaN changes nothing. Whether the errors have drifted."""
        if np.isfinite(error):
            self.sum = max(0.0, self.sum + (error - self.usual) / self.deviation - self.slack)
        return self.has_drifted

    @property
    def has_drifted(self) -> bool:
        return self.sum > self.limit


def daily_errors(times: Sequence[int], errors: ArrayLike, day_s: int = 86_400) -> list[float]:
    """Means of each day (UTC) of errors at ``times``, in ns and in order; days without any are left out."""
    found: dict[int, list[float]] = {}
    for time, error in zip(times, np.asarray(errors, dtype=np.float64).tolist(), strict=True):
        if np.isfinite(error):
            found.setdefault(time // (day_s * 1_000_000_000), []).append(error)
    return [float(np.mean(of_day)) for _, of_day in sorted(found.items())]
