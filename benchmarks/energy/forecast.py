"""Features and forecasts: µs an update; fit and predict beside scikit-learn bare; scores on real demand.

    python benchmarks/forecast.py [--demand FILE]

FILE holds Taylor's half-hourly demand of England and Wales, 12 weeks of 2000: one number a line. pmdarima ships it:
``python -c "from pmdarima.datasets import load_taylor; print(*load_taylor(), sep='\\n')"``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from historian.forecast import Civil, FeatureSet, FeatureStream, NetLoad, batch
from historian.forecast.backtest import backtest
from historian.forecast.forecaster import Forecaster
from historian.forecast.models import MODELS

STEP_NS = 900 * 10**9
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


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
        f"{len(features.names)} features: {median(taken) * 1e6:.0f} µs an update, least {min(taken) * 1e6:.0f}; ",
        end="",
    )
    print(f"in batch {whole / 2_000 * 1e6:.0f} µs of CPU a row")


def forecasts() -> None:
    steps = 96 * 7 * 20
    index = pd.date_range("2026-01-05", periods=steps, freq="15min", tz="Europe/Berlin")
    noise = np.random.default_rng(0).normal(0, 2, steps)
    frame = pd.DataFrame({"load_kw": 100 + 30 * np.sin(np.arange(steps) / 96 * 2 * np.pi) + noise}, index)
    forecaster = Forecaster(192, "15min", QUANTILES)
    fit = cpu(lambda: forecaster.fit(frame))
    recent = frame.iloc[-forecaster.plan_.steps_needed :]
    predict = cpu(lambda: forecaster.predict(recent))
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
        bare_predict = cpu(lambda: [model.predict(table[:192]) for model in bare])
    print(
        f"fit of {len(QUANTILES)} quantiles, 20,000 rows: {fit:.1f} s of CPU; scikit-learn bare {bare_fit:.1f}"
    )
    print(
        f"192 steps ahead: {predict * 1e3:.0f} ms of CPU a series; scikit-learn bare {bare_predict * 1e3:.0f}"
    )


def demand(file: Path) -> None:
    values = np.loadtxt(file)
    index = pd.date_range("2000-06-05", periods=len(values), freq="30min", tz="UTC")
    frame = pd.DataFrame({"load_kw": values}, index)
    for model in MODELS:
        one = Forecaster(48, "30min", QUANTILES, model=model)
        found = backtest(one, frame, index[48 * 7 * 8 - 1], every="6h").scores()
        print(f"{model}: " + ", ".join(f"{name} {value:.3f}" for name, value in found.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demand", type=Path)
    args = parser.parse_args()
    features()
    forecasts()
    if args.demand is not None:
        demand(args.demand)


if __name__ == "__main__":
    main()
