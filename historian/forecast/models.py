"""The models there are, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from historian.forecast.ensemble import Ensemble
from historian.forecast.genetic import GeneticNet
from historian.forecast.learners import GradientBoosting, LightGBM, Model, SeasonalNaive
from historian.forecast.linear import SmoothLinear

MODELS: Final[dict[str, Callable[[Sequence[str], Sequence[float], int], Model]]] = {
    "gradient-boosting": GradientBoosting,
    "lightgbm": LightGBM,
    "linear": SmoothLinear,
    "ensemble": Ensemble,
    "genetic": GeneticNet,
    "seasonal-naive": SeasonalNaive,
}
