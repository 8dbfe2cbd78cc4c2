"""Nightly training of five targets on two years of steps of 15 min, as the forecast part does it, in one process.

    OMP_NUM_THREADS=1 nice -n 10 python benchmarks/energy/forecast_training.py [--days 730] [--targets load pv …]

Series are made here (seeded): two years that the packages we use ship none of. Demand with days, weeks, seasons,
holidays and temperature; sun as a clear sky dimmed by weather that lasts; the power curve of a wind that lasts; price
out of demand and wind; chargers. What is measured is what a night costs, not how good the forecasts are.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from gateway.config.forecasts import (
    DEFAULT_MODELS,
    DEFAULT_QUANTILES,
    Forecast,
    ForecastKind,
    ForecastModel,
    Season,
    Surroundings,
)
from historian.forecast_job import training
from historian.forecast_job.plan import S_NS, Plan, Track

STEP_S: Final = 900
ZONE: Final = "Europe/Berlin"
PLACE: Final = (48.1, 11.6)
KINDS: Final = {
    "load": (ForecastKind.LOAD, Season.WEEK),
    "pv": (ForecastKind.PV, Season.DAY),
    "wind": (ForecastKind.WIND, Season.DAY),
    "price": (ForecastKind.PRICE, Season.WEEK),
    "ev": (ForecastKind.EV, Season.WEEK),
}


def lasting(random: Any, steps: int, hours: float) -> Any:
    """Normal noise that forgets itself in so many hours."""
    keep = np.exp(-STEP_S / 3600 / hours)
    noise = random.normal(size=steps) * np.sqrt(1 - keep**2)
    found = np.empty(steps)
    last = 0.0
    for at, value in enumerate(noise.tolist()):
        found[at] = last = keep * last + value
    return found


def series(end: int, days: int) -> dict[str, Any]:
    steps, random = days * 86_400 // STEP_S, np.random.default_rng(6)
    index = pd.date_range(end=pd.Timestamp(end, tz="UTC"), periods=steps + 1, freq="15min")[:-1].tz_convert(
        ZONE
    )
    hour = np.asarray(index.hour) + np.asarray(index.minute) / 60
    year = 2 * np.pi * np.asarray(index.day_of_year) / 365.25
    is_work = np.asarray(index.day_of_week) < 5
    weather, wind = lasting(random, steps, 12), lasting(random, steps, 18)
    warmth = 10 - 9 * np.cos(year) + 4 * np.sin((hour - 9) / 24 * 2 * np.pi) + 3 * lasting(random, steps, 48)
    day = np.where(is_work, np.exp(-(((hour - 12) / 5) ** 2)), 0.4) + 0.5 * np.exp(-(((hour - 19) / 2) ** 2))
    load = 80 + 90 * day + 1.5 * np.maximum(15 - warmth, 0) + 4 * lasting(random, steps, 3)
    height = np.maximum(0, np.sin((hour - 6) / 12 * np.pi) * (0.6 - 0.35 * np.cos(year)))
    pv = 200 * height * np.clip(0.75 + 0.35 * weather, 0.1, 1.0)
    power = 150 * np.clip((np.abs(6 + 3 * wind) - 3) / 9, 0, 1) ** 2
    charging = 60 * np.exp(-((((hour - 20) % 24) / 3) ** 2)) * random.gamma(4, 0.25, steps)
    price = 60 + 0.3 * (load - 120) - 0.2 * (power + pv) + 8 * lasting(random, steps, 6)
    return {"load": load, "pv": pv, "wind": power, "price": price, "ev": charging}


def forecast(name: str, days: int) -> Forecast:
    kind, season = KINDS[name]
    people = kind is not ForecastKind.PV and kind is not ForecastKind.WIND
    return Forecast(
        name=name,
        kind=kind,
        target=f"{name}.power_kw",
        target_tag=0,
        past=(),
        known=(),
        surroundings=Surroundings(None if people else PLACE, "DE-BY" if people else None),
        season=season,
        quantiles=DEFAULT_QUANTILES,
        horizon_h=48,
        short_min=0,
        models=tuple(map(ForecastModel, DEFAULT_MODELS)),
        train_days=days,
        train_at=(2, 30),
        deadline_min=15,
        max_model_days=7,
        keep_days=400,
        alert=None,
        quantile_tags=(),
        tags=(),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--days", type=int, default=730)
    parser.add_argument("--targets", nargs="+", default=list(KINDS), choices=list(KINDS))
    args = parser.parse_args()
    end = int(pd.Timestamp("2026-11-21T00:00Z").value)
    made = series(end, args.days)

    class Table:
        """History whose averages are those of the table: what reading costs is measured elsewhere."""

        def time_average(self, tag: str, start: int, stop: int, step: int) -> Any:
            values = made[tag.partition(".")[0]]
            at = len(values) - (end - np.arange(start, stop, step)) // (STEP_S * S_NS)
            inside = (at >= 0) & (at < len(values))
            found = np.where(inside, values[np.where(inside, at, 0)], np.nan)
            return type("Averages", (), {"values": found})()

    print(
        f"load {os.getloadavg()[0]:.1f}, {args.days} days of steps of 15 min, {', '.join(DEFAULT_MODELS)}",
        flush=True,
    )
    whole = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        for name in args.targets:
            begin, wall = time.process_time(), time.perf_counter()
            plan = Plan(forecast(name, args.days), Track.LONG)
            (found,) = training.train_all(
                Table(),
                Path(folder),
                [plan],
                ZONE,
                lambda _: None,
                lambda: end + 10 * S_NS,  # type: ignore[arg-type]
            )
            scores = found.scores.get(found.model, {})
            print(
                f"{name}: {time.process_time() - begin:.0f} s of CPU, {time.perf_counter() - wall:.0f} s; "
                f"{found.outcome}, {found.model}, MASE {scores.get('mase', float('nan')):.3f}",
                flush=True,
            )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"all: {time.process_time() - whole:.0f} s of CPU, at most {peak:.0f} MiB, load {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main()
