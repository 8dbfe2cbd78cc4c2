"""``tieline dispatch plan|simulate``: a plan for a site's section `dispatch`, or days gone by under plans."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import orjson

from gateway.config.cli import load_or_explain
from gateway.config.dispatch import DispatchSettings
from gateway.config.paths import RunPaths, run_paths
from gateway.config.plant_time import NS, WALL_TIME, PlantTime, plant_time, speed_of
from gateway.config.site import Site
from historian.dispatch.axis import Axis
from historian.dispatch.errors import DispatchError
from historian.dispatch_job.binding import Memory, bind
from historian.dispatch_job.course import words_of
from historian.dispatch_job.days import horizon_at, step_began
from historian.dispatch_job.foresight import Means, NoForecasts, Source, StoredForecasts, foresee_all
from historian.dispatch_job.kept import FILE, recall
from historian.dispatch_job.part import means_of
from historian.dispatch_job.record import Table, read_table, until
from historian.dispatch_job.report import (
    plan_json,
    plan_table,
    plot_course,
    plot_plan,
    simulation_json,
    simulation_table,
)
from historian.dispatch_job.simulate import simulate
from historian.dispatch_job.solver import Job, solve_job
from historian.errors import HistoryError
from historian.query.plant import open_history
from historian.times import parse_time

DONE, NO_PLAN, USAGE = 0, 1, 2  # exit statuses
NOW = timedelta(minutes=1)
"""What counts as now of a record: the mean of so long before, or of a fifth of a step."""
HOUR = timedelta(hours=1)
LONG = 6 * HOUR
"""A plan that is so long is printed by hours, a shorter one by steps."""
_LIKE_A_TIME = re.compile(r"-\d")


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to ``tieline``'s parser."""
    dispatch = subparsers.add_parser(
        "dispatch", help="plan a site at least cost, or try plans on days gone by"
    )
    verbs = dispatch.add_subparsers(dest="verb", metavar="VERB", required=True)
    plan = verbs.add_parser("plan", help="print a plan from now, or from a moment of history or a CSV")
    plan.add_argument("--at", metavar="TIME", help="ISO 8601, now, or -1h; of a CSV its end (default: now)")
    plan.add_argument("--steps", action="store_true", help="every step instead of hours")
    plan.set_defaults(run=run_plan)
    past = verbs.add_parser("simulate", help="days gone by under plans, and what they would have saved")
    past.add_argument(
        "--from", dest="start", metavar="TIME", help="ISO 8601 or -2d (default: the CSV's begin, or -2d)"
    )
    past.add_argument("--to", dest="end", metavar="TIME", help="likewise (default: the CSV's end, or now)")
    past.set_defaults(run=run_simulate)
    for parser in (plan, past):
        # argparse takes "-1h" for an option unless it looks like a negative number to it.
        parser._negative_number_matcher = _LIKE_A_TIME
        parser.add_argument(
            "site", metavar="SITE", type=Path, help="the site file, with a section `dispatch`"
        )
        parser.add_argument(
            "--state", metavar="DIR", type=Path, help="the state folder, where it is not the usual one"
        )
        parser.add_argument(
            "--csv", metavar="FILE", type=Path, help="this record instead of the site's history"
        )
        parser.add_argument("--plot", metavar="FILE", type=Path, help="draw it: .png, .svg or .pdf")
        parser.add_argument("--format", choices=("table", "json"), default="table", help="how it is printed")


class _Asked:
    """What both verbs need: the section, the record and forecasts."""

    def __init__(self, args: argparse.Namespace, site: Site, settings: DispatchSettings) -> None:
        self.settings = settings
        self.names = {tag: site.tags[tag].name for tag in settings.inputs}
        self.zone: tzinfo = UTC if site.time_zone == "UTC" else ZoneInfo(site.time_zone)
        self.paths: RunPaths = run_paths(site.name, args.state)
        self.plant: PlantTime = WALL_TIME
        self.table: Table | None = None
        self.source: Source = NoForecasts()
        self.means: Means
        if args.csv is not None:
            self.table = read_table(args.csv, settings, self.names, self.zone)
            self.means = self.table.means
            return
        if not self.paths.history.is_dir():
            raise ValueError(f"no history in {self.paths.history}: run the site first, or give --csv FILE")
        self.plant = plant_time(self.paths.state, speed_of(site))
        self.means = means_of(open_history(self.paths.history, self.plant))
        if site.forecasts:
            self.source = StoredForecasts(self.paths.state)

    def time(self, text: str) -> datetime:
        ns = parse_time(text, self.plant.plant_ns(time.time_ns()), self.zone)
        return datetime.fromtimestamp(ns / NS, UTC)

    def floor(self, at: datetime) -> datetime:
        return step_began(self.settings, at)


def run_plan(args: argparse.Namespace) -> int:
    """0 where there is a plan, 1 where there is none, 2 where the question is wrong."""
    return _run(args, _plan)


def run_simulate(args: argparse.Namespace) -> int:
    """The same of a simulation: 1 where some step had no plan."""
    return _run(args, _simulate)


def _run(args: argparse.Namespace, verb: Callable[[argparse.Namespace, _Asked], int]) -> int:
    site = load_or_explain(args.site)
    if site is None:
        return NO_PLAN
    command = f"tieline dispatch {args.verb}"
    if site.dispatch is None:
        print(
            f"{command}: {args.site} has no section 'dispatch': docs/dispatch.md shows one", file=sys.stderr
        )
        return USAGE
    try:
        return verb(args, _Asked(args, site, site.dispatch))
    except (DispatchError, ImportError, HistoryError, OSError) as error:
        print(f"{command}: {error}", file=sys.stderr)
        return NO_PLAN
    except ValueError as error:
        print(f"{command}: {error}", file=sys.stderr)
        return USAGE


def _plan(args: argparse.Namespace, asked: _Asked) -> int:
    settings = asked.settings
    default = asked.table.end.isoformat() if asked.table is not None else "now"
    at = asked.time(args.at or default)
    length = asked.table.step if asked.table is not None else min(NOW, settings.step / 5)
    told = asked.means(list(asked.names.values()), at - length, length, 1)
    values = {tag: float(told[name][0]) for tag, name in asked.names.items()}
    memory = Memory() if args.csv is not None or args.at else recall(asked.paths.state / FILE).memory
    known_at = at if asked.table is None else at - length
    read = _reader(values)
    memory.look(settings, read, at)
    start = asked.floor(at)
    axis = Axis(start, settings.step, horizon_at(settings, start, settings.steps))
    foreseen = foresee_all(settings, asked.names, read, axis, until(asked.means, at), asked.source)
    bound = bind(settings, read, memory, foreseen, axis, asked.zone, now=known_at)
    job = Job(
        bound.site, axis.start, axis.step, axis.horizon, settings.deadline_s, settings.gap_pct / 100, None
    )
    solved = solve_job(job)
    for words in bound.without:
        print(f"left out: {words}", file=sys.stderr)
    if not solved.plan.is_usable:
        print(f"no plan ({solved.plan.status.value}): {words_of(solved.plan)}", file=sys.stderr)
        return NO_PLAN
    if args.format == "json":
        sys.stdout.buffer.write(orjson.dumps(plan_json(solved, settings), option=orjson.OPT_INDENT_2) + b"\n")
    else:
        is_long = axis.end - start >= LONG
        hours = max(round(HOUR / axis.step), 1) if is_long and not args.steps else 1
        print(plan_table(solved, settings, asked.zone, hours))
        print("\n".join(f"{name}: {each.words}" for name, each in foreseen.items()))
    if args.plot is not None:
        plot_plan(solved.plan, settings, asked.zone, args.plot)
    return DONE


def _reader(values: Mapping[int, float]) -> Callable[[int], float | None]:
    return lambda tag: None if np.isnan(values[tag]) else values[tag]


def _simulate(args: argparse.Namespace, asked: _Asked) -> int:
    table = asked.table
    start = asked.floor(asked.time(args.start or (table.start.isoformat() if table is not None else "-2d")))
    end = asked.floor(asked.time(args.end or (table.end.isoformat() if table is not None else "now")))
    if end <= start:
        raise ValueError(f"from {start.isoformat()} to {end.isoformat()}: nothing lies between")
    last = start

    def progress(at: datetime) -> None:
        nonlocal last
        if at.date() != last.date():
            last = at
            print(f"{at:%Y-%m-%d} ...", file=sys.stderr)

    course = simulate(
        asked.settings, asked.names, asked.zone, asked.means, asked.source, start, end, progress
    )
    if args.format == "json":
        content = simulation_json(course, asked.settings)
        sys.stdout.buffer.write(orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")
    else:
        print(simulation_table(course, asked.settings))
    if args.plot is not None:
        plot_course(course, asked.settings, asked.zone, args.plot)
    return NO_PLAN if course.without_plan else DONE
