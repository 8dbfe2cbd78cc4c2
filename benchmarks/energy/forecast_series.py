"""Day-ahead forecasts of real series, rolling over all that comes after the training part, against the season before.

    make bench-series        fetches the packages that ship the series (120 MB), then runs this
    python benchmarks/energy/forecast_series.py [--series taylor price …] [--models linear …] [--folder build/series]

Every six hours a forecast of 24 h is issued, and the models are trained anew as the series says (``real_series.py``).
Prints a row a series and model; of sun power another, of the hours with sun. The goals are less than 0.7 of the
naive one's MASE, and a 90 % interval that covers 88 to 92 %.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Final

import pandas as pd
from real_series import SERIES, TARGET, Series, told

from historian.forecast.backtest import Backtest, backtest
from historian.forecast.forecaster import QUANTILES, Forecaster
from historian.forecast.known import clear_sky
from historian.forecast.models import MODELS

NAIVE: Final = "seasonal-naive"
DEFAULT_MODELS: Final = ("linear", "gradient-boosting")
_NEAR_ZERO: Final = 0.01  # of the mean: of series that come nearer, percentages say nothing
FOLDER: Final = Path("build/series")
HEAD: Final = """\
| series | model | MAPE % | MASE | of the naive one's | pinball | rCRPS % | coverage of the 90 % interval | CPU s |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |"""


def tested(series: Series, model: str) -> Backtest:
    forecaster = Forecaster(
        series.horizon, series.freq, QUANTILES, model=model, season=series.season, bounds=series.bounds
    )
    start = (series.frame.index[0] + pd.Timedelta(days=series.trained_days)).floor("6h")
    return backtest(
        forecaster, series.frame, start, target=TARGET, known=series.known, every="6h", refit=series.refit
    )


def by_day(found: Backtest, place: tuple[float, float]) -> Backtest:
    """Of the hours with sun: at night nothing can be missed."""
    times = found.forecasts.index.get_level_values("time")
    sun = clear_sky(times.unique().sort_values(), *place)["clear_sky_w_m2"]
    return Backtest(found.forecasts[sun.reindex(times).to_numpy() > 0], found.quantiles, found.scale)


def scores(found: Backtest) -> dict[str, float]:
    every, actual = found.scores(), found.forecasts["actual"]
    if actual.min() <= _NEAR_ZERO * actual.mean():
        del every["mape"]
    return every


def row(name: str, model: str, s: dict[str, float], naive_mase: float, seconds: float | None) -> str:
    cells = (
        name,
        f"`{model}`",
        f"{s['mape']:.2f}" if "mape" in s else "",
        f"{s['mase']:.3f}",
        f"{s['mase'] / naive_mase:.2f}",
        f"{s['pinball']:.4g}",
        f"{100 * s['rcrps']:.2f}",
        f"{100 * s['coverage90']:.1f}",
        "" if seconds is None else f"{seconds:.0f}",
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=f"{__doc__}\n{told(list(SERIES))}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--series", nargs="+", default=list(SERIES), choices=list(SERIES), metavar="NAME")
    parser.add_argument(
        "--models", nargs="+", default=list(DEFAULT_MODELS), choices=list(MODELS), metavar="MODEL"
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the packages lie (build/series)")
    args = parser.parse_args()
    if not args.folder.is_dir():
        raise SystemExit(
            f"there is no folder {args.folder}: run `make bench-series`, which fetches the series"
        )
    try:
        made = {name: SERIES[name](args.folder) for name in args.series}
    except FileNotFoundError as error:
        raise SystemExit(f"{error.filename} is missing: run `make bench-series`, which fetches it") from None
    print(HEAD)
    for name, series in made.items():
        naive: list[float] = []
        for model in dict.fromkeys((NAIVE, *args.models)):
            begin = time.process_time()
            found = tested(series, model)
            seconds = time.process_time() - begin
            parts = [(name, found)]
            if series.place is not None:
                parts.append((f"{name} by day", by_day(found, series.place)))
            every = [scores(part) for _, part in parts]
            naive = naive or [some["mase"] for some in every]
            for (part, _), some, bar in zip(parts, every, naive, strict=True):
                print(row(part, model, some, bar, seconds if part == name else None), flush=True)


if __name__ == "__main__":
    main()
