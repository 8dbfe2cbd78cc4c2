"""What learns quantiles of the target from a table of inputs: one class a model, all alike to the forecaster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from historian.query.libraries import load

Floats = NDArray[np.float64]
SEASONAL: Final = "seasonal"  # the input that is the target one season before
LINEAR_ROWS: Final = 2_000  # its linear program takes seconds with more


class Model(Protocol):
    """``inputs`` (n, names) may have missing values, as NaN; ``actual`` (n,) has none."""

    def fit(self, inputs: Floats, actual: Floats) -> None: ...

    def predict(self, inputs: Floats) -> Floats:
        """(n, quantiles)."""


class SeasonalNaive:
    """What was there one season before. Its quantiles come out of the calibration alone. The bar to beat."""

    def __init__(self, names: Sequence[str], quantiles: Sequence[float], seed: int) -> None:
        self._column = names.index(SEASONAL)
        self._count = len(quantiles)

    def fit(self, inputs: Floats, actual: Floats) -> None:
        pass

    def predict(self, inputs: Floats) -> Floats:
        return np.repeat(inputs[:, [self._column]], self._count, axis=1)


class GradientBoosting:
    """scikit-learn's HistGradientBoostingRegressor with quantile loss, one a quantile. Missing values are a branch of
    their own in its trees.

    It learns the difference from the season before, so that trees, which cannot go beyond what they saw, follow a
    level that moves.
    """

    def __init__(self, names: Sequence[str], quantiles: Sequence[float], seed: int) -> None:
        ensemble = load("sklearn.ensemble", "gradient boosting")
        self._column = names.index(SEASONAL)
        # Its threads wait for each other by spinning: beside a running site they are many times slower than one.
        self._one_thread = partial(load("threadpoolctl", "gradient boosting").threadpool_limits, 1, "openmp")
        self._models = [
            ensemble.HistGradientBoostingRegressor(
                loss="quantile",
                quantile=quantile,
                learning_rate=0.1,
                max_iter=100,
                max_leaf_nodes=15,
                min_samples_leaf=40,
                l2_regularization=1.0,
                early_stopping=False,
                random_state=seed,
            )
            for quantile in quantiles
        ]

    def fit(self, inputs: Floats, actual: Floats) -> None:
        away = actual - inputs[:, self._column]
        known = np.isfinite(away)
        with self._one_thread():
            for model in self._models:
                model.fit(inputs[known], away[known])

    def predict(self, inputs: Floats) -> Floats:
        with self._one_thread():
            away = np.stack([model.predict(inputs) for model in self._models], axis=1)
        return away + inputs[:, [self._column]]


class LinearQuantile:
    """Linear quantile regression (Koenker & Bassett 1978) with a small L1 penalty, by scikit-learn on HiGHS.

    It learns the difference from the season before, in units of its spread, so that the penalty means the same for
    watts and megawatts. Missing inputs are replaced by their median in the training part, beside a column that
    says so.
    """

    def __init__(self, names: Sequence[str], quantiles: Sequence[float], seed: int) -> None:
        impute = load("sklearn.impute", "linear quantile regression")
        linear, scale, pipeline = (
            load(f"sklearn.{part}", "linear quantile regression")
            for part in ("linear_model", "preprocessing", "pipeline")
        )
        self._seed = seed
        self._column = names.index(SEASONAL)
        self._scale = 1.0
        self._inputs: Any = pipeline.make_pipeline(
            impute.SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
            scale.StandardScaler(),
        )
        self._models = [linear.QuantileRegressor(quantile=q, alpha=1e-4, solver="highs") for q in quantiles]

    def fit(self, inputs: Floats, actual: Floats) -> None:
        if len(inputs) > LINEAR_ROWS:
            some = np.sort(np.random.default_rng(self._seed).choice(len(inputs), LINEAR_ROWS, replace=False))
            inputs, actual = inputs[some], actual[some]
        away = actual - inputs[:, self._column]
        known = np.isfinite(away)
        table, away = self._inputs.fit_transform(inputs[known]), away[known]
        self._scale = float(np.std(away)) or 1.0
        for model in self._models:
            model.fit(table, away / self._scale)

    def predict(self, inputs: Floats) -> Floats:
        table = self._inputs.transform(inputs)
        away = self._scale * np.stack([model.predict(table) for model in self._models], axis=1)
        return inputs[:, [self._column]] + away


MODELS: Final[dict[str, Callable[[Sequence[str], Sequence[float], int], Model]]] = {
    "gradient-boosting": GradientBoosting,
    "linear": LinearQuantile,
    "seasonal-naive": SeasonalNaive,
}
