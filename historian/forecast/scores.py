"""How good forecasts were. All functions leave out what is missing (NaN), and give NaN where nothing is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
_ALMOST_ZERO: Final = 1e-9  # of the greatest value
CENTRAL: Final = 0.9  # share of time the interval is to hold whose coverage is scored


def mape(actual: ArrayLike, forecast: ArrayLike) -> float:
    """Mean absolute percentage error, in percent: 100 mean |y - f| / |y| (Hyndman & Koehler 2006, section 2.2).

    Values of zero, or of what arithmetic left of it, have none and are left out: useless for sun power and prices.
    """
    y, f = _both(actual, forecast)
    some = np.abs(y) > _ALMOST_ZERO * np.abs(y).max(initial=0.0)
    return _mean(100 * np.abs(y[some] - f[some]) / np.abs(y[some]))


def mase(actual: ArrayLike, forecast: ArrayLike, scale: float) -> float:
    """Mean absolute scaled error: mean |y - f| / scale, ``scale`` by ``seasonal_scale`` of the training part
    (Hyndman & Koehler 2006, section 3; with a season: Hyndman & Athanasopoulos, Forecasting 3rd ed., 5.8)."""
    y, f = _both(actual, forecast)
    return _mean(np.abs(y - f)) / scale if scale > 0 else float("nan")


def seasonal_scale(training: ArrayLike, season: int) -> float:
    """Mean absolute error of the seasonal naive forecast, one season ahead, within the training part."""
    y = np.asarray(training, dtype=np.float64)
    return _mean(np.abs(y[season:] - y[:-season])[np.isfinite(y[season:] - y[:-season])])


def pinball(actual: ArrayLike, forecast: ArrayLike, quantile: float) -> float:
    """Mean pinball loss: q (y - f) where y >= f, (1 - q)(f - y) elsewhere (Koenker & Bassett 1978).

    Its mean over evenly spread quantiles is half the continuous ranked probability score, about
    (Gneiting & Ranjan 2011, eq. 5).
    """
    y, f = _both(actual, forecast)
    return _mean(np.maximum(quantile * (y - f), (quantile - 1) * (y - f)))


def rcrps(actual: ArrayLike, columns: Sequence[ArrayLike], quantiles: Sequence[float]) -> float:
    """Continuous ranked probability score over mean |y|: 2 mean pinball over the quantiles (Gneiting & Ranjan 2011,
    eq. 5), which ranks models of one set of quantiles; spread them evenly to come near the integral."""
    losses = np.array([pinball(actual, column, q) for q, column in zip(quantiles, columns, strict=True)])
    y, _ = _both(actual, columns[0])
    size = _mean(np.abs(y))
    return 2 * _mean(losses) / size if size > 0 else float("nan")


def coverage(actual: ArrayLike, low: ArrayLike, high: ArrayLike) -> float:
    """Share of values within the interval, ends included (Gneiting, Balabdaoui & Raftery 2007: calibration)."""
    y, a, b = (np.asarray(values, dtype=np.float64) for values in (actual, low, high))
    known = np.isfinite(y) & np.isfinite(a) & np.isfinite(b)
    return _mean(((a <= y) & (y <= b))[known].astype(np.float64))


def score(
    actual: ArrayLike,
    forecasts: Mapping[float, ArrayLike] | Sequence[ArrayLike],
    quantiles: Sequence[float],
    scale: float,
) -> dict[str, float]:
    """All scores of one set of forecasts, ``forecasts`` a column a quantile. Points are the median.

    ``coverage90`` is there where 0.05 and 0.95 are among the quantiles.
    """
    columns = list(forecasts.values()) if isinstance(forecasts, Mapping) else list(forecasts)
    middle = columns[int(np.argmin([abs(quantile - 0.5) for quantile in quantiles]))]
    found: dict[str, Any] = {
        "mape": mape(actual, middle),
        "mase": mase(actual, middle, scale),
        "pinball": _mean(np.array([pinball(actual, f, q) for q, f in zip(quantiles, columns, strict=True)])),
    }
    found["rcrps"] = rcrps(actual, columns, quantiles)
    tail = (1 - CENTRAL) / 2
    ends = [[i for i, q in enumerate(quantiles) if abs(q - end) < 1e-9] for end in (tail, 1 - tail)]
    if all(ends):
        found["coverage90"] = coverage(actual, columns[ends[0][0]], columns[ends[1][0]])
    return found


def _both(actual: ArrayLike, forecast: ArrayLike) -> tuple[Floats, Floats]:
    y, f = np.asarray(actual, dtype=np.float64), np.asarray(forecast, dtype=np.float64)
    known = np.isfinite(y) & np.isfinite(f)
    return y[known], f[known]


def _mean(values: Floats) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
