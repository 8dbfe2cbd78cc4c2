"""What learns quantiles of the target from a table of inputs: one class a model, all alike to the forecaster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from historian.forecast.linear import SEASONAL, SmoothLinear
from historian.libraries import load

Floats = NDArray[np.float64]
Steps = NDArray[np.intp]


class Model(Protocol):
    """``inputs`` (n, names) may have missing values, as NaN; ``actual`` (n,) has none. ``issued`` (n,) says at which
    step each row's forecast is issued; rows come in its order."""

    def fit(self, inputs: Floats, actual: Floats, issued: Steps) -> None: ...

    def predict(self, inputs: Floats) -> Floats:
        """(n, quantiles)."""


class SeasonalNaive:
    """What was there one season before. Its quantiles come out of the calibration alone. The bar to beat."""

    def __init__(self, names: Sequence[str], quantiles: Sequence[float], seed: int) -> None:
        self._column = names.index(SEASONAL)
        self._count = len(quantiles)

    def fit(self, inputs: Floats, actual: Floats, issued: Steps) -> None:
        pass

    def predict(self, inputs: Floats) -> Floats:
        return np.repeat(inputs[:, [self._column]], self._count, axis=1)


_LEAST_LEAF: Final = 60  # rows
_LEAF_HORIZONS: Final = 2  # and as many as that many horizons have on average: one day's weather is no rule
_SPLIT_INPUTS: Final = 0.3  # of the inputs are looked at for a split: many of them say nearly the same


class _Boosted:
    """Boosted trees with quantile loss, one forest a quantile, on what the linear model leaves over.

    Trees cannot go beyond what they saw; the linear model follows a level that moves. Missing values are a branch of
    their own in the trees.
    """

    def __init__(self, names: Sequence[str], quantiles: Sequence[float], seed: int) -> None:
        self._linear = SmoothLinear(names, quantiles, seed)
        self._lead = names.index("lead")
        self._quantiles, self._seed = quantiles, seed

    def _forest(self, quantile: float, leaf: int) -> Any:
        raise NotImplementedError

    def _one_thread(self) -> Any:
        # Threads of OpenMP wait for each other by spinning: beside a running site many are slower than one.
        return load("threadpoolctl", "gradient boosting").threadpool_limits(1, "openmp")

    def fit(self, inputs: Floats, actual: Floats, issued: Steps) -> None:
        self._linear.fit(inputs, actual, issued)
        left = actual - self._linear.middle(inputs)
        known = np.isfinite(left)
        self._unit = float(np.std(left[known])) or 1.0
        # Rows of one day tell of the same clouds: what they share must not look like what many days share.
        horizons = max(1.0, float(issued.max() - issued.min()) / float(inputs[:, self._lead].max()))
        leaf = max(_LEAST_LEAF, round(_LEAF_HORIZONS * len(left) / horizons))
        self._forests = [self._forest(quantile, leaf) for quantile in self._quantiles]
        with self._one_thread():
            for forest in self._forests:
                forest.fit(inputs[known], left[known] / self._unit)

    def predict(self, inputs: Floats) -> Floats:
        with self._one_thread():
            left = np.stack([forest.predict(inputs) for forest in self._forests], axis=1)
        return self._linear.middle(inputs)[:, None] + self._unit * left


class GradientBoosting(_Boosted):
    """By scikit-learn's HistGradientBoostingRegressor."""

    def _forest(self, quantile: float, leaf: int) -> Any:
        return load("sklearn.ensemble", "gradient boosting").HistGradientBoostingRegressor(
            loss="quantile",
            quantile=quantile,
            learning_rate=0.06,
            max_iter=100,
            max_leaf_nodes=15,
            min_samples_leaf=leaf,
            max_features=_SPLIT_INPUTS,
            l2_regularization=1.0,
            early_stopping=False,
            random_state=self._seed,
        )


class LightGBM(_Boosted):
    """By LightGBM, where it is installed: the same trees, trained in less time."""

    def _forest(self, quantile: float, leaf: int) -> Any:
        return load("lightgbm", "the model lightgbm").LGBMRegressor(
            objective="quantile",
            alpha=quantile,
            learning_rate=0.06,
            n_estimators=100,
            num_leaves=15,
            min_child_samples=leaf,
            colsample_bynode=_SPLIT_INPUTS,
            reg_lambda=1.0,
            random_state=self._seed,
            deterministic=True,
            force_row_wise=True,
            n_jobs=1,
            verbose=-1,
        )
