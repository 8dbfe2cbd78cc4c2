"""``tieline forecast``: train, compare and look at the forecasts of a site, whether it runs or not."""

from __future__ import annotations

import argparse
import os
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gateway.config.cli import load_or_explain
from gateway.config.forecasts import Forecast, ForecastModel
from gateway.config.paths import run_paths
from gateway.config.place import SITE_VARIABLE, add_place, complete_place
from gateway.config.plant_time import PlantTime, plant_time, speed_of
from gateway.config.site import Site
from historian.errors import HistoryError
from historian.forecast_job import training
from historian.forecast_job.library import ModelError
from historian.forecast_job.patterns import learn
from historian.forecast_job.plan import Plan, Track, plans_of
from historian.forecast_job.store import FOLDER, NoForecast
from historian.libraries import load
from historian.query.history import History
from historian.query.plant import open_history

ANSWERED, INCOMPLETE, USAGE, FAULTY_SITE = 0, 1, 2, 1  # exit statuses
_LIKE_A_TIME = re.compile(r"-\d")
Run = Callable[[argparse.Namespace, "Place"], int]


@dataclass(frozen=True, slots=True)
class Place:
    """A site and where it keeps things."""

    site: Site
    history: Path
    folder: Path
    state: Path
    plant: PlantTime

    def open(self) -> History:
        """Its history by the plant's time, as of now; to be closed."""
        return open_history(self.history, self.plant)

    def now(self) -> int:
        """The plant's time."""
        return self.plant.plant_ns(time.time_ns())

    def forecasts(self, name: str | None) -> list[Forecast]:
        """All, or the one of this name. Raises ValueError."""
        known = [forecast.name for forecast in self.site.forecasts]
        if not known:
            raise ValueError("the site has no forecasts: add them under 'forecasts'")
        if name is not None and name not in known:
            raise ValueError(f"the site has no forecast {name!r}; there are {', '.join(known)}")
        return [forecast for forecast in self.site.forecasts if name in (None, forecast.name)]


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to ``tieline``'s parser."""
    from historian.forecast_job.export import add_arguments, export
    from historian.forecast_job.show import show
    from historian.forecast_job.show_patterns import show_patterns

    forecast = subparsers.add_parser("forecast", help="train, compare and show forecasts of a site")
    verbs = forecast.add_subparsers(required=True, metavar="VERB")

    def add(name: str, help: str, run: Run) -> argparse.ArgumentParser:
        verb = verbs.add_parser(name, help=help, description=help)
        # argparse takes "-1h" for an option unless it looks like a negative number to it.
        verb._negative_number_matcher = _LIKE_A_TIME
        add_place(verb, site_flag="site")
        verb.set_defaults(run=lambda args: _explained(run, name, args))
        return verb

    trains = add("train", "compare models on the site's history, and keep the best of each forecast", _train)
    trains.add_argument("--name", metavar="FORECAST", help="this one only")

    tests = add("backtest", "compare models on the end of history, without keeping any", _backtest)
    tests.add_argument("--name", metavar="FORECAST", help="this one only")
    _add_track(tests)
    tests.add_argument(
        "--models", nargs="+", choices=[str(model) for model in ForecastModel], help="instead of the site's"
    )
    tests.add_argument("--days", type=_positive, help="how much to test on (default: a quarter, at most 14)")
    _add_files(tests)

    shows = add("show", "print a forecast that was issued, what came since, and how good it was", show)
    shows.add_argument("--name", metavar="FORECAST", help="which; needed where there are several")
    _add_track(shows)
    shows.add_argument(
        "--at", metavar="TIME", default="now", help="the newest issued by then: ISO 8601, now, -1d"
    )
    _add_printed(shows)
    shows.add_argument("--utc", action="store_true", help="UTC instead of the site's time zone")
    _add_files(shows)

    exports = add("export", "write the model of a forecast as C, for a board", export)
    exports.add_argument("--name", metavar="FORECAST", help="which; needed where there are several")
    _add_track(exports)
    add_arguments(exports)

    patterns = add(
        "patterns", "print the daily patterns of a class of consumers, and a day beside", show_patterns
    )
    patterns.add_argument("--name", metavar="FORECAST", help="whose; needed where several have classes")
    patterns.add_argument(
        "--class", dest="group", metavar="CLASS", help="which; needed where there are several"
    )
    patterns.add_argument(
        "--day", metavar="DATE", help="the day that is compared: 2026-11-20 (default: today)"
    )
    _add_printed(patterns)
    _add_files(patterns)


def _add_track(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--steps",
        dest="track",
        choices=("15min", "5min"),
        default="15min",
        help="length of the steps (default: 15min)",
    )


def _add_printed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format", choices=("table", "csv", "json"), default="table", help="how it is printed"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write there instead of printing")


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--png", type=Path, metavar="FILE", help="draw it")
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="a page with pictures and tables, in one file"
    )


def _explained(run: Run, verb: str, args: argparse.Namespace) -> int:
    complete_place(args)
    if args.site is None:
        print(f"say which: SITE (or set {SITE_VARIABLE})", file=sys.stderr)
        return USAGE
    site = load_or_explain(args.site)
    if site is None:
        return FAULTY_SITE
    state = run_paths(site.name, args.state).state
    try:
        plant = plant_time(state, speed_of(site))
        return run(args, Place(site, state / "history", state / FOLDER, state, plant))
    except BrokenPipeError:
        # The reader (head, less) has seen enough. What is left in the buffer must not be tried again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ANSWERED
    except (ValueError, ImportError) as error:
        print(f"tieline forecast {verb}: {error}", file=sys.stderr)
        return USAGE
    except (OSError, HistoryError, ModelError, NoForecast, sqlite3.Error) as error:
        print(f"tieline forecast {verb}: {error}", file=sys.stderr)
        return INCOMPLETE


def _train(args: argparse.Namespace, place: Place) -> int:
    plans = [plan for forecast in place.forecasts(args.name) for plan in plans_of(forecast)]
    history = place.open()
    try:
        with progress(sum(training.steps_of(plan) for plan in plans)) as tell:
            found = training.train_all(history, place.folder, plans, place.site.time_zone, tell, place.now)
        learned = [
            line
            for forecast in place.forecasts(args.name)
            for line in learn(history, place.folder, forecast, place.site.time_zone, place.now())
        ]
    finally:
        history.close()
    for each in found:
        print(f"{each.forecast}, steps of {each.track}: {each.outcome}")
        if each.scores:
            print_scores(each.scores, each.model)
    for line in learned:
        print(line)
    return ANSWERED if all(each.model for each in found) else INCOMPLETE


def _backtest(args: argparse.Namespace, place: Place) -> int:
    from historian.forecast_job.report import write_backtest

    wanted = Track(args.track)
    plans = [plan for one in place.forecasts(args.name) for plan in plans_of(one) if plan.track is wanted]
    if not plans:
        raise ValueError(f"no forecast has steps of {wanted}: 'short_min' is 0")
    if len(plans) > 1 and (args.png or args.html):
        raise ValueError("one picture is of one forecast: say which by --name")
    history = place.open()
    try:
        with progress(sum(len(args.models or plan.forecast.models) for plan in plans)) as tell:
            found = [(plan, _compared(history, plan, place, args, tell)) for plan in plans]
    finally:
        history.close()
    for plan, compared in found:
        print(f"{plan.forecast.name}, steps of {plan.track}: {compared.model} is the best")
        for line in compared.skipped:
            print(f"  left out: {line}")
        print_scores(compared.scores, compared.model)
        print_leads(compared.tests[compared.model].by_lead(), compared.model)
        write_backtest(plan, compared, _unit(place.site, plan), args.png, args.html)
    return ANSWERED


def _compared(
    history: History, plan: Plan, place: Place, args: argparse.Namespace, tell: training.Tell
) -> training.Trained:
    return training.compare(history, plan, place.now(), place.site.time_zone, tell, args.models, args.days)


@contextmanager
def progress(steps: int) -> Iterator[training.Tell]:
    """A bar on standard error, on a terminal; what is given is called at the start of each step."""
    bars, console = load("rich.progress", "a progress bar"), load("rich.console", "a progress bar")
    columns = (bars.TextColumn("{task.description}"), bars.BarColumn(), bars.TimeElapsedColumn())
    screen = console.Console(stderr=True)
    with bars.Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("reads history", total=steps)
        done = -1

        def tell(text: str) -> None:
            nonlocal done
            done += 1
            bar.update(task, description=text, completed=done)

        yield tell


def print_scores(scores: Any, winner: str) -> None:
    """A line a model."""
    names = score_names(scores)
    print("  " + f"{'model':<20}" + "".join(f"{name:>12}" for name in names))
    for model, found in scores.items():
        mark = " *" if model == winner else ""
        cells = "".join(f"{number(found.get(name, float('nan'))):>12}" for name in names)
        print("  " + f"{model + mark:<20}" + cells)


def print_leads(table: Any, model: str) -> None:
    """Some leads of all."""
    print(f"  {model} by how far ahead")
    print("  " + f"{'lead':<12}" + "".join(f"{name:>12}" for name in table.columns))
    for row in shown_leads(len(table)):
        lead, found = table.index[row], table.iloc[row]
        print("  " + f"{lead_text(lead):<12}" + "".join(f"{number(value):>12}" for value in found))


def shown_leads(count: int) -> list[int]:
    """Positions of about eight leads, the first and the last among them, closer where they are near."""
    return sorted({0, count - 1, *(round(at) for at in np.geomspace(1, max(count, 1), 8) - 1)})


def lead_text(lead: Any) -> str:
    minutes = round(lead.total_seconds() / 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"


def score_names(scores: Any) -> list[str]:
    """All that any model has, in the order they came."""
    return list(dict.fromkeys(name for found in scores.values() for name in found))


def number(value: float) -> str:
    return "-" if not np.isfinite(value) else f"{value:.4g}"


def _unit(site: Site, plan: Plan) -> str:
    return site.tags[plan.forecast.target_tag].unit or ""


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} is not greater than 0")
    return value


def rows_of(table: Any, positions: Sequence[int]) -> list[list[str]]:
    """Rows of a table by lead, as texts."""
    return [[lead_text(table.index[at]), *(number(value) for value in table.iloc[at])] for at in positions]
