"""Split-conformal calibration of quantiles: what the model missed on data it has not seen widens or narrows them.

Conformalized quantile regression with both tails calibrated by themselves (Romano, Patterson & Candès 2019,
theorem 2). It promises coverage where errors are exchangeable; those of a load that changes its habits are not, so it
is measured and not taken on trust. Leads are calibrated in bands, as errors grow with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LEAST_SCORES = 40  # a 5 % tail of fewer is less than two values


@dataclass(frozen=True, slots=True)
class Shifts:
    """What is added to each quantile, by lead: (horizon, quantiles)."""

    by_lead: Floats

    @classmethod
    def learn(
        cls,
        actual: Floats,
        forecasts: Floats,
        leads: NDArray[np.intp],
        quantiles: Sequence[float],
        horizon: int,
        bands: int,
    ) -> Self:
        """``actual`` (n,), ``forecasts`` (n, quantiles), ``leads`` (n,) from 1 to ``horizon``.

        A band with fewer than ``LEAST_SCORES`` values takes the shifts of all leads together. Raises ValueError
        where all together are fewer.
        """
        known = np.isfinite(actual) & np.isfinite(forecasts).all(axis=1)
        missed, leads = actual[known, None] - forecasts[known], leads[known]
        if len(missed) < LEAST_SCORES:
            raise ValueError(
                f"{len(missed)} forecasts with a known outcome to calibrate with; at least {LEAST_SCORES}"
            )
        every = _shift(missed, quantiles)
        by_lead = np.empty((horizon, len(quantiles)))
        edges = np.linspace(0, horizon, min(bands, horizon) + 1).round().astype(int)
        for first, last in pairwise(edges):
            of_band = missed[(leads > first) & (leads <= last)]
            by_lead[first:last] = _shift(of_band, quantiles) if len(of_band) >= LEAST_SCORES else every
        return cls(by_lead)

    def apply(self, forecasts: Floats, leads: NDArray[np.intp]) -> Floats:
        """Shifted, and sorted where quantiles have crossed (Chernozhukov, Fernández-Val & Galichon 2010)."""
        return np.sort(forecasts + self.by_lead[leads - 1], axis=1)


def _shift(missed: Floats, quantiles: Sequence[float]) -> Floats:
    """Of each tail the ceil((n + 1) q)-th smallest error outwards; the median stays the model's."""
    count = len(missed)
    shifts = np.zeros(len(quantiles))
    for position, quantile in enumerate(quantiles):
        if quantile == 0.5:
            continue
        outwards = 1.0 if quantile > 0.5 else -1.0
        rank = int(np.ceil((count + 1) * max(quantile, 1 - quantile)))
        shifts[position] = outwards * np.sort(outwards * missed[:, position])[min(rank, count) - 1]
    return shifts
