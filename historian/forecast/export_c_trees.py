"""The trees of scikit-learn's HistGradientBoostingRegressor, which it keeps in attributes of its own.

They are no public interface: another release may keep them elsewhere or read them otherwise. So they are read here
alone, and what is exported is compared with what the model itself says (``export_c_tables.check``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_FIELDS: Final = ("value", "feature_idx", "num_threshold", "missing_go_to_left", "left", "right", "is_leaf")


class ExportError(ValueError):
    """A forecaster that cannot be exported; says why and what to do."""


@dataclass(frozen=True, slots=True)
class Tree:
    """``splits`` (n,): the input, its threshold, where a missing one goes; ``below`` (at most the threshold) and
    ``above`` are the next split, or ~leaf. The first split is the root; without splits there is one leaf."""

    inputs: NDArray[np.intp]
    thresholds: Floats
    missing_below: NDArray[np.bool_]
    below: NDArray[np.intp]
    above: NDArray[np.intp]
    leaves: Floats


@dataclass(frozen=True, slots=True)
class Forest:
    """What it says is ``baseline`` and the leaf of each tree, added up in this order."""

    baseline: float
    trees: tuple[Tree, ...]


def forest_of(regressor: Any) -> Forest:
    """Of a fitted HistGradientBoostingRegressor whose inputs are all numbers. Raises ExportError."""
    try:
        baseline = float(np.ravel(regressor._baseline_prediction)[0])
        nodes = [predictor.nodes for (predictor,) in regressor._predictors]
        categories = regressor.is_categorical_
        columns = [[one[field] for field in _FIELDS] for one in nodes]
    except (AttributeError, ValueError, TypeError) as error:
        raise ExportError(f"this release of scikit-learn keeps its trees otherwise: {error}") from None
    if categories is not None and np.any(categories):
        raise ExportError("trees that split by categories cannot be exported")
    return Forest(baseline, tuple(_tree(*each) for each in columns))


def _tree(value: Any, feature: Any, threshold: Any, missing: Any, left: Any, right: Any, leaf: Any) -> Tree:
    is_leaf = np.asarray(leaf, dtype=bool)
    place = np.where(is_leaf, ~(np.cumsum(is_leaf) - 1), np.cumsum(~is_leaf) - 1)
    inner = ~is_leaf
    return Tree(
        np.asarray(feature, dtype=np.intp)[inner],
        np.asarray(threshold, dtype=np.float64)[inner],
        np.asarray(missing, dtype=bool)[inner],
        place[np.asarray(left, dtype=np.intp)[inner]],
        place[np.asarray(right, dtype=np.intp)[inner]],
        np.asarray(value, dtype=np.float64)[is_leaf],
    )
