"""Day-ahead forecasts of real series, rolling over all that comes after the training part, against last week's value.

    python benchmarks/energy/forecast_series.py [--series taylor pv] [--models linear …] [--victoria FILE]

taylor: half-hourly demand of England and Wales, 12 weeks of summer 2000 (Taylor 2003), as pmdarima ships it; trained
on 8. pv: power of a PV system in Golden, Colorado (SERF East, PVDAQ), 104 days at 15 minutes of summer 2016, as
pvanalytics ships it; trained on 56, with clear-sky irradiance known ahead. `pip install pmdarima pvanalytics`.

--victoria FILE: half-hourly demand of the state of Victoria in 2014 with temperature and working days; trained on 16
weeks; a CSV with time, load_kw, temperature_c, workday. It is `elecdemand` of the R package fpp2, which no package we
may depend on ships. Temperature and working days are those that came: a weather forecast would be a little worse.

Every six hours a forecast of 24 h is issued; every two weeks (Victoria: four) the models are trained anew.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from historian.forecast.backtest import Backtest, backtest
from historian.forecast.forecaster import QUANTILES, Forecaster
from historian.forecast.known import clear_sky
from historian.forecast.models import MODELS
from historian.forecast.scores import score

SERF_EAST = (39.742, -105.1727)  # latitude, longitude


@dataclass(frozen=True)
class Series:
    frame: Any
    horizon: int
    freq: str
    season: str
    trained_days: int
    refit: str
    known: tuple[str, ...] = field(default=())


def taylor() -> Series:
    datasets: Any = importlib.import_module("pmdarima.datasets")
    values = datasets.load_taylor()
    index = pd.date_range("2000-06-05", periods=len(values), freq="30min", tz="UTC")
    return Series(pd.DataFrame({"load_kw": values}, index), 48, "30min", "7D", 56, "14D")


def pv() -> Series:
    # Only its file is wanted: the package needs others to be imported.
    spec = importlib.util.find_spec("pvanalytics")
    if spec is None or spec.origin is None:
        raise SystemExit("pip install pvanalytics")
    file = Path(spec.origin).parent / "data" / "serf_east_15min_ac_power.csv"
    read = pd.read_csv(file, parse_dates=["measured_on"]).set_index("measured_on")["ac_power"]
    frame = read.tz_convert("America/Denver").rename("load_kw").to_frame()
    known = clear_sky(frame.index, *SERF_EAST)
    return Series(frame.join(known), 96, "15min", "1D", 56, "14D", tuple(known.columns))


def victoria(file: Path) -> Series:
    frame = pd.read_csv(file)
    frame.index = pd.DatetimeIndex(pd.to_datetime(frame.pop("time"), utc=True)).tz_convert(
        "Australia/Melbourne"
    )
    return Series(frame, 48, "30min", "7D", 112, "28D", ("temperature_c", "workday"))


def tested(series: Series, model: str) -> Backtest:
    forecaster = Forecaster(series.horizon, series.freq, QUANTILES, model=model, season=series.season)
    start = series.frame.index[0] + pd.Timedelta(days=series.trained_days) - pd.Timedelta(series.freq)
    return backtest(forecaster, series.frame, start, known=series.known, every="6h", refit=series.refit)


def told(name: str, model: str, found: Backtest, seconds: float) -> None:
    s = found.scores()
    leads = found.by_lead()["coverage90"]
    at = leads.iloc[[0, len(leads) // 4 - 1, len(leads) // 2 - 1, len(leads) - 1]]
    print(
        f"| {name} | `{model}` | {s['mape']:.2f} | {s['mase']:.3f} | {s['pinball']:.4g} | {100 * s['rcrps']:.2f} "
        f"| {100 * s['coverage90']:.1f} | {' '.join(f'{100 * share:.0f}' for share in at)} | {seconds:.0f} |",
        flush=True,
    )
    if name == "pv":
        # At night nothing can be missed: what counts is the day.
        hours = found.forecasts.index.get_level_values("time")
        sun = clear_sky(hours.unique().sort_values(), *SERF_EAST)["clear_sky_w_m2"]
        day = found.forecasts[sun.reindex(hours).to_numpy() > 0]
        columns = [day[quantile].to_numpy() for quantile in found.quantiles]
        by_day = score(day["actual"].to_numpy(), columns, found.quantiles, found.scale)
        print(f"| pv by day | `{model}` | | {by_day['mase']:.3f} | {by_day['pinball']:.4g} | ", end="")
        print(f"{100 * by_day['rcrps']:.2f} | {100 * by_day['coverage90']:.1f} | | |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--series", nargs="*", default=["taylor", "pv"], choices=["taylor", "pv"])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--victoria", type=Path)
    args = parser.parse_args()
    made = {name: {"taylor": taylor, "pv": pv}[name]() for name in args.series}
    if args.victoria is not None:
        made["victoria"] = victoria(args.victoria)
    print(
        "| series | model | MAPE % | MASE | pinball | rCRPS % | coverage of 90 % | at 1/n, 1/4, 1/2, 1 | CPU s |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, series in made.items():
        for model in args.models:
            begin = time.process_time()
            found = tested(series, model)
            told(name, model, found, time.process_time() - begin)


if __name__ == "__main__":
    main()
