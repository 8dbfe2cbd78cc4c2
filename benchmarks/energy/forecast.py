"""Features and forecasts: µs an update beside pandas; fit and 50 forecasts of 48 h beside scikit-learn bare.

    python benchmarks/energy/forecast.py

Scores on real series are measured by forecast_series.py.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from historian.forecast import Civil, FeatureSet, FeatureStream, NetLoad, batch
from historian.forecast.forecaster import Forecaster

STEP_NS = 900 * 10**9
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
SERIES = 50


def cpu(action: Callable[[], Any]) -> float:
    begin = time.process_time()
    action()
    return time.process_time() - begin


def features() -> None:
    signals = tuple(f"s{number}" for number in range(16))
    features = FeatureSet.wide(signals, net_load=NetLoad("s0", ("s1", "s2")), civil=Civil("Europe/Berlin"))
    values = np.random.default_rng(0).normal(size=(2_000, 16))
    stream, taken = FeatureStream(features), []
    for step, row in enumerate(values):
        begin = time.perf_counter()
        stream.push(step * STEP_NS, row)
        if not stream.needed:
            stream.vector()
            taken.append(time.perf_counter() - begin)
    whole = cpu(lambda: batch(features, np.arange(2_000) * STEP_NS, values))
    print(
        f"{len(features.names)} features: {median(taken) * 1e6:.0f} µs an update, least {min(taken) * 1e6:.0f}, "
        f"at load {os.getloadavg()[0]:.1f}; ",
        end="",
    )
    print(f"in batch {whole / 2_000 * 1e6:.0f} µs of CPU a row", end="; ")
    recent, taken = pd.DataFrame(values[:50], columns=list(signals)), []
    for _ in range(50):
        begin = time.process_time()
        with_pandas(recent)
        taken.append(time.process_time() - begin)
    print(f"lags and statistics alone by pandas {median(taken) * 1e6:.0f} µs of CPU an update")


def with_pandas(recent: Any) -> None:
    """What a service that recomputes its last row by pandas does."""
    for lag in range(1, 13):
        recent.iloc[-1 - lag]
    for window in (3, 6, 12, 48):
        last = recent.iloc[-window:]
        last.mean(), last.std(), last.min(), last.max()


def forecasts() -> None:
    steps = 96 * 7 * 20
    index = pd.date_range("2026-01-05", periods=steps, freq="15min", tz="Europe/Berlin")
    noise = np.random.default_rng(0).normal(0, 2, steps)
    frame = pd.DataFrame({"load_kw": 100 + 30 * np.sin(np.arange(steps) / 96 * 2 * np.pi) + noise}, index)
    for model in ("linear", "gradient-boosting"):
        forecaster = Forecaster(192, "15min", QUANTILES, model=model, calibration=0.1)
        fit = cpu(lambda: forecaster.fit(frame))  # noqa: B023 - called at once
        recent = frame.iloc[-forecaster.plan_.steps_wanted :]
        predict = cpu(lambda: [forecaster.predict(recent) for _ in range(SERIES)])  # noqa: B023
        print(
            f"{model}: fit of {len(QUANTILES)} quantiles twice and calibration {fit:.1f} s of CPU; "
            f"{SERIES} series, 192 steps ahead {predict:.2f} s"
        )
    random = np.random.default_rng(0)
    table, target = random.normal(size=(20_000, len(forecaster.plan_.names))), random.normal(size=20_000)
    bare = [
        HistGradientBoostingRegressor(
            loss="quantile", quantile=q, max_leaf_nodes=15, min_samples_leaf=40, early_stopping=False
        )
        for q in QUANTILES
    ]
    with threadpool_limits(1, "openmp"):  # as ours: its threads spin, and their CPU would be counted
        bare_fit = cpu(lambda: [model.fit(table, target) for model in bare])
        bare_predict = cpu(lambda: [model.predict(table[:192]) for _ in range(SERIES) for model in bare])
    print(
        f"scikit-learn bare: fit of 20,000 rows {bare_fit:.1f} s of CPU, {SERIES} times 192 rows {bare_predict:.2f}"
    )


def main() -> None:
    features()
    forecasts()


if __name__ == "__main__":
    main()
