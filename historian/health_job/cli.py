"""``tieline health``: how the assets of a site are, what is to be maintained, and what somebody did about it."""

from __future__ import annotations

import argparse
import getpass
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path

from gateway.config.cli import load_or_explain
from gateway.config.health import GensetHealth, HealthAsset
from gateway.config.paths import RunPaths, run_paths
from gateway.config.place import SITE_VARIABLE, add_place, complete_place
from gateway.config.site import Site
from historian.errors import HistoryError
from historian.health_job.assess import Assessment, assess
from historian.health_job.report import FORMATS, Report
from historian.health_job.rounds import known_of, over
from historian.health_job.store import HealthStore, KeptItem, NoItem
from historian.keeping.zone import zone_named
from historian.query.history import History
from historian.times import parse_time

ANSWERED, INCOMPLETE, USAGE, FAULTY_SITE = 0, 1, 2, 1  # exit statuses
_LIKE_A_TIME = re.compile(r"-\d")
_NOTHING = "nothing is known yet: the part 'health' of a running site looks at history"
Run = Callable[[argparse.Namespace, "Place"], int]


@dataclass(frozen=True, slots=True)
class Place:
    """A site and where it keeps things."""

    site: Site
    paths: RunPaths

    def assets(self, name: str | None) -> list[HealthAsset]:
        """All, or the one of this name. Raises ValueError."""
        known = [asset.name for asset in self.site.health]
        if not known:
            raise ValueError("the site watches no health: add assets under 'health'")
        if name is not None and name not in known:
            raise ValueError(f"the site watches no asset {name!r}; there are {', '.join(known)}")
        return [asset for asset in self.site.health if name in (None, asset.name)]


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to ``tieline``'s parser."""
    health = subparsers.add_parser("health", help="how assets are, and what is to be maintained")
    verbs = health.add_subparsers(required=True, metavar="VERB")

    def add(name: str, help: str, run: Run) -> argparse.ArgumentParser:
        verb = verbs.add_parser(name, help=help, description=help)
        verb._negative_number_matcher = _LIKE_A_TIME  # argparse takes "-90d" for an option otherwise
        add_place(verb, site_flag="site")
        verb.set_defaults(run=lambda args: _explained(run, name, args))
        return verb

    shows = add("show", "print what is known now, and open maintenance items with their evidence", _show)
    shows.add_argument("--all", action="store_true", help="closed items too")
    reports = add(
        "report", "look at history anew, from one time to another, and print what it tells", _report
    )
    reports.add_argument("--from", dest="start", default="-30d", metavar="TIME", help="ISO 8601, or -90d")
    reports.add_argument("--to", dest="end", default="now", metavar="TIME", help="likewise (default: now)")
    for verb in (shows, reports):
        verb.add_argument("--asset", metavar="NAME", help="this one only")
        verb.add_argument("--format", choices=FORMATS, default="table", help="how it is printed")
        verb.add_argument("--output", type=Path, metavar="FILE", help="write there instead of printing")
        verb.add_argument("--utc", action="store_true", help="UTC instead of the site's time zone")
    sees = add("acknowledge", "say that a maintenance item was seen; it stays open", _acknowledge)
    ends = add("done", "say that the work of a maintenance item is done; it counts from now", _done)
    for verb in (sees, ends):
        verb.add_argument("--item", type=int, required=True, metavar="ID", help="its number in `show`")
        verb.add_argument("--by", metavar="NAME", help="who says it (default: the user of this session)")
        verb.add_argument("--note", default="", metavar="TEXT", help="what is to be remembered with it")


def _explained(run: Run, verb: str, args: argparse.Namespace) -> int:
    try:
        place = _place(args)
        return place if isinstance(place, int) else run(args, place)
    except ValueError as error:
        print(f"tieline health {verb}: {error}", file=sys.stderr)
        return USAGE
    except (NoItem, HistoryError, OSError, ImportError, sqlite3.Error) as error:
        print(f"tieline health {verb}: {error}", file=sys.stderr)
        return INCOMPLETE


def _place(args: argparse.Namespace) -> Place | int:
    complete_place(args)
    if args.site is None:
        print(f"say which site file: SITE (or set {SITE_VARIABLE})", file=sys.stderr)
        return USAGE
    site = load_or_explain(args.site)
    return FAULTY_SITE if site is None else Place(site, run_paths(site.name, args.state))


def _show(args: argparse.Namespace, place: Place) -> int:
    assets = place.assets(args.asset)
    if not place.paths.health.exists():
        print(f"tieline health show: {_NOTHING}", file=sys.stderr)
        return INCOMPLETE
    now = time.time_ns()
    with HealthStore.to_read(place.paths.health) as store:
        found = [assess(asset, known_of(asset, store), now) for asset in assets]
        items = [kept for kept in store.items(closed=args.all) if kept.item.asset in {a.name for a in assets}]
    return _print(args, place, found, items)


def _report(args: argparse.Namespace, place: Place) -> int:
    assets = place.assets(args.asset)
    now, zone = time.time_ns(), _zone(args, place)
    start, end = (parse_time(text, now, zone) for text in (args.start, args.end))
    if end <= start:
        raise ValueError("--to does not lie after --from")
    history = History(place.paths.history, clock=time.time_ns)
    try:
        known = [over(asset, history, start, end) for asset in assets]
    finally:
        history.close()
    found = [assess(asset, each, end) for asset, each in zip(assets, known, strict=True)]
    return _print(args, place, found, None)


def _print(
    args: argparse.Namespace, place: Place, found: Sequence[Assessment], items: Sequence[KeptItem] | None
) -> int:
    units = {
        (asset.name, name): place.site.tags[at].unit or ""
        for asset in place.site.health
        for name, at in asset.tags.outputs
    }
    text = Report(place.site.name, found, items, units, _zone(args, place)).text(args.format)
    if args.output is None:
        sys.stdout.write(text)
    else:
        args.output.write_text(text, encoding="utf-8")
    return ANSWERED


def _acknowledge(args: argparse.Namespace, place: Place) -> int:
    with _existing(place) as store:
        kept = store.acknowledge(args.item, args.by or getpass.getuser(), args.note, time.time_ns())
    print(f"item {kept.id} of {kept.item.asset}, {kept.item.work}: seen by {kept.acknowledged_by}")
    return ANSWERED


def _done(args: argparse.Namespace, place: Place) -> int:
    now = time.time_ns()
    with _existing(place) as store:
        name = next((kept.item.asset for kept in store.items() if kept.id == args.item), None)
        asset = next((asset for asset in place.site.health if asset.name == name), None)
        run_hours, starts = None, None
        if isinstance(asset, GensetHealth):
            found = assess(asset, known_of(asset, store), now)
            readings = {each.name: each.value for each in found.readings}
            run_hours = readings["run_hours"]
            starts = None if readings["starts"] is None else round(readings["starts"])
        by = args.by or getpass.getuser()
        kept = store.finish(args.item, by, args.note, now, run_hours, starts)
    at = "" if run_hours is None else f" at {run_hours:.1f} h of running"
    print(f"item {kept.id} of {kept.item.asset}, {kept.item.work}: done by {by}{at}")
    return ANSWERED


def _existing(place: Place) -> HealthStore:
    if not place.paths.health.exists():
        raise NoItem(_NOTHING)
    return HealthStore.to_write(place.paths.health)


def _zone(args: argparse.Namespace, place: Place) -> tzinfo:
    return UTC if args.utc else zone_named(place.site.time_zone)
