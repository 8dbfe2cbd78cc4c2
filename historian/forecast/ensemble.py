"""Several models as one: their quantiles averaged, weighted by how they did on what came after their training.

Averaging quantiles keeps the shape of the distributions (Lichtendahl, Grushka-Cockayne & Winkler 2013). The weights
are those of least pinball loss over the folds of a rolling backtest within the training part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from historian.forecast.learners import GradientBoosting, Model, SeasonalNaive
from historian.forecast.linear import SmoothLinear

Floats = NDArray[np.float64]
Steps = NDArray[np.intp]
Maker = Callable[[Sequence[str], Sequence[float], int], Model]

_FOLDS: Final = (
    0.6,
    0.8,
)  # where folds begin, as shares of the time of issue; each ends where the next begins
_ROUNDS: Final = 400  # of exponentiated gradient: weights move by less than 0.01 after half of them
_RATE: Final = 0.5
_LEAST_ROWS: Final = 100  # of a fold; with fewer all members weigh the same


class Ensemble:
    """``weights``: of ``members``, in their order, after ``fit``."""

    members: tuple[tuple[str, Maker], ...] = (
        ("gradient-boosting", GradientBoosting),
        ("linear", SmoothLinear),
        ("seasonal-naive", SeasonalNaive),
    )

    def __init__(self, names: Sequence[str], quantiles: Sequence[float], seed: int) -> None:
        self._lead = names.index("lead")
        self._made = (tuple(names), tuple(quantiles), seed)
        self._quantiles = np.asarray(quantiles, dtype=np.float64)
        self._fitted = self._new()
        self.weights = np.full(len(self.members), 1 / len(self.members))

    def _new(self) -> list[Model]:
        return [make(*self._made) for _, make in self.members]

    def fit(self, inputs: Floats, actual: Floats, issued: Steps) -> None:
        begin, end = int(issued.min()), int(issued.max()) + 1
        edges = [begin + round((end - begin) * share) for share in (*_FOLDS, 1.0)]
        known = issued + inputs[:, self._lead].astype(np.intp)
        outputs, outcomes = [], []
        for fold, later in pairwise(edges):
            # A member has seen no outcome that was not known when the fold begins.
            before, within = known < fold, (issued >= fold) & (issued < later)
            if min(before.sum(), within.sum()) < _LEAST_ROWS:
                continue
            trained = self._new()
            for member in trained:
                member.fit(inputs[before], actual[before], issued[before])
            outputs.append(np.stack([member.predict(inputs[within]) for member in trained]))
            outcomes.append(actual[within])
        if outputs:
            self.weights = _weights(
                np.concatenate(outputs, axis=1), np.concatenate(outcomes), self._quantiles
            )
        for member in self._fitted:
            member.fit(inputs, actual, issued)

    def predict(self, inputs: Floats) -> Floats:
        parts = [
            weight * member.predict(inputs)
            for weight, member in zip(self.weights, self._fitted, strict=True)
            if weight > 0
        ]
        return np.asarray(sum(parts))


def _weights(outputs: Floats, outcomes: Floats, quantiles: Floats) -> Floats:
    """Of (members, rows, quantiles): not negative, sum 1, by exponentiated gradient (Kivinen & Warmuth 1997)."""
    known = np.isfinite(outputs).all(axis=(0, 2))
    outputs, outcomes = outputs[:, known], outcomes[known]
    members = len(outputs)
    weights = np.full(members, 1 / members)
    if not len(outcomes):
        return weights
    unit = float(np.mean(np.abs(outputs - outcomes[None, :, None]))) or 1.0
    mean = np.zeros(members)
    for turn in range(_ROUNDS):
        mixed = np.tensordot(weights, outputs, 1)
        below = outcomes[:, None] < mixed
        slope = np.where(below, 1 - quantiles, -quantiles)
        gradient = (outputs * slope).mean(axis=(1, 2)) / unit
        weights = weights * np.exp(-_RATE * (gradient - gradient.min()))
        weights /= weights.sum()
        if turn >= _ROUNDS // 2:
            mean += weights
    mean = np.where(mean < 0.01 * mean.sum(), 0.0, mean)  # who has no say is not asked
    found: Floats = mean / mean.sum()
    return found
