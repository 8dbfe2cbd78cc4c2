"""A linear model of what is above and below the season before, whose coefficients change smoothly with the lead.

One ridge regression for all leads: each input is multiplied by hat functions of the lead, so a forecast of one step
may lean on the last observation and one of two days on last week. Its quantiles are those of its own errors, scaled
by a second regression of their size on lead and time of day.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Steps = NDArray[np.intp]
SEASONAL: Final = "seasonal"  # the input that is the target one season before
RISE: Final = "rise"  # inputs whose last word it is are differences, centred on zero
_KNOTS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_DAY_TERMS: Final = ("target.hour_sin", "target.hour_cos", "target.is_weekend")
_PENALTY: Final = (
    1e-3  # of a coefficient, for each row, on inputs of unit spread; a hundredth of it suits sun less
)
_ROUNDS: Final = 8  # of reweighting towards least absolute errors: more change nothing that can be seen
_LEAST_ERROR: Final = 0.05  # of the spread; smaller errors weigh no more
_LEAST_SPREAD: Final = 0.05  # of the mean one
_SIZE_ROWS: Final = 20.0  # what is known beforehand about the size of errors weighs so many rows
_LEAST_WHOLE: Final = 0.3  # of the rows; with fewer that lack nothing, all are learned from
_CHUNK: Final = 16_384  # rows whose products are laid out at once


class SmoothLinear:
    """Inputs are those named ``…rise``; missing ones count as no difference."""

    def __init__(self, names: Sequence[str], quantiles: Sequence[float], seed: int) -> None:
        self._seasonal = names.index(SEASONAL)
        self._lead = names.index("lead")
        self._rises = [place for place, name in enumerate(names) if name.endswith(RISE)]
        self._day = [names.index(name) for name in _DAY_TERMS]
        self._quantiles = np.asarray(quantiles, dtype=np.float64)

    def fit(self, inputs: Floats, actual: Floats, issued: Steps) -> None:
        away = actual - inputs[:, self._seasonal]
        known = np.isfinite(away)
        # What history is too short for counts as no difference, which teaches wrong coefficients: better without.
        whole = known & np.isfinite(inputs[:, self._rises]).all(axis=1)
        known = whole if whole.sum() > _LEAST_WHOLE * known.sum() else known
        inputs, away = inputs[known], away[known]
        self._unit = float(np.std(away)) or 1.0
        away = away / self._unit
        longest = inputs[:, self._lead].max()
        self._knots = np.array([*(knot for knot in _KNOTS if knot < longest), longest], dtype=np.float64)
        with np.errstate(invalid="ignore"):
            spread = np.sqrt(np.nan_to_num(inputs[:, self._rises] ** 2).mean(axis=0))
        self._spreads = np.where(spread > 0, spread, 1.0)
        weights = np.ones(len(away))
        for _ in range(_ROUNDS):
            self._coefficients = self._ridge(inputs, away, weights, self._products)
            errors = away - self._applied(inputs, self._coefficients, self._products)
            weights = 1.0 / np.maximum(np.abs(errors), _LEAST_ERROR)
        self._size = float(np.mean(np.abs(errors)))
        self._least = _LEAST_SPREAD * self._size
        beyond = np.abs(errors) - self._size  # few rows leave it at the mean
        self._sizes = self._ridge(inputs, beyond, np.ones(len(away)), self._day_products, _SIZE_ROWS)
        shares = errors / self._spread(inputs)
        self._tails = np.quantile(shares, self._quantiles) - np.median(shares)

    def middle(self, inputs: Floats) -> Floats:
        """(n,): the median."""
        return inputs[:, self._seasonal] + self._unit * self._applied(
            inputs, self._coefficients, self._products
        )

    def predict(self, inputs: Floats) -> Floats:
        return self.middle(inputs)[:, None] + self._unit * self._spread(inputs)[:, None] * self._tails

    def _spread(self, inputs: Floats) -> Floats:
        return np.maximum(self._size + self._applied(inputs, self._sizes, self._day_products), self._least)

    def _hats(self, leads: Floats) -> Floats:
        """(n, knots): each is 1 at its knot and falls to 0 at its neighbours, evenly in the logarithm."""
        at, knots = np.log(np.maximum(leads, 1.0)), np.log(self._knots)
        return np.stack([np.interp(at, knots, row) for row in np.eye(len(knots))], axis=1)

    def _products(self, inputs: Floats) -> Floats:
        rises = np.nan_to_num(inputs[:, self._rises] / self._spreads)
        table = np.column_stack((np.ones(len(inputs)), rises))
        hats = self._hats(inputs[:, self._lead])
        products: Floats = (hats[:, :, None] * table[:, None, :]).reshape(len(inputs), -1)
        return products

    def _day_products(self, inputs: Floats) -> Floats:
        sine, cosine, weekend = inputs[:, self._day].T
        turn = cosine + 1j * sine
        waves = [part for times in (1, 2, 3) for part in ((turn**times).real, (turn**times).imag)]
        table = np.column_stack((np.ones(len(inputs)), *waves, weekend))
        hats = self._hats(inputs[:, self._lead])
        products: Floats = (hats[:, :, None] * table[:, None, :]).reshape(len(inputs), -1)
        return products

    def _ridge(
        self, inputs: Floats, wanted: Floats, weights: Floats, products: object, penalty: float = 0.0
    ) -> Floats:
        assert callable(products)
        square: Floats | float = 0.0
        side: Floats | float = 0.0
        for first in range(0, len(inputs), _CHUNK):
            some = slice(first, first + _CHUNK)
            table = products(inputs[some])
            heavy = table * weights[some, None]
            square, side = square + heavy.T @ table, side + heavy.T @ wanted[some]
        square = np.asarray(square)
        found: Floats = np.linalg.solve(
            square + (_PENALTY * weights.sum() + penalty) * np.eye(len(square)), np.asarray(side)
        )
        return found

    def _applied(self, inputs: Floats, coefficients: Floats, products: object) -> Floats:
        assert callable(products)
        parts = [
            products(inputs[first : first + _CHUNK]) @ coefficients for first in range(0, len(inputs), _CHUNK)
        ]
        return np.concatenate(parts) if parts else np.empty(0)
