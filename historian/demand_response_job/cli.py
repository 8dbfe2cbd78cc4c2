"""``tieline demand-response``: give, leave and cancel events, and verify what each participant gave."""

from __future__ import annotations

import argparse
import csv
import getpass
import io
import math
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any

import orjson

from gateway.config.cli import load_or_explain
from gateway.config.demand_response import (
    LEVELS,
    BaselineRule,
    DemandLevel,
    DemandProgramme,
    DemandResponseSettings,
)
from gateway.config.paths import RunPaths, run_paths
from gateway.config.place import SITE_VARIABLE, add_place, complete_place
from gateway.config.site import Site
from historian.demand_response_job.store import S_NS, Call, Calls, Refused
from historian.errors import HistoryError
from historian.keeping.zone import zone_named
from historian.query.history import History
from historian.times import iso_of, parse_duration, parse_time

ANSWERED, INCOMPLETE, USAGE, FAULTY_SITE = 0, 1, 2, 1  # exit statuses
_LIKE_A_TIME = re.compile(r"-\d")
_COMMAND = "tieline demand-response"
Row = Mapping[str, Any]
Run = Callable[[argparse.Namespace, "Place"], int]


@dataclass(frozen=True, slots=True)
class Place:
    """A site, what it says of demand response, and where it keeps things."""

    site: Site
    settings: DemandResponseSettings
    paths: RunPaths
    zone: tzinfo

    def programme(self, name: str) -> DemandProgramme:
        """Raises Refused."""
        found = self.settings.programme(name)
        if found is None:
            known = ", ".join(one.name for one in self.settings.programmes)
            raise Refused(f"the site has no programme {name!r}; there are {known}")
        return found

    def calls(self) -> list[Call]:
        if not self.paths.demand_response.exists():
            return []
        with Calls.to_read(self.paths.demand_response) as calls:
            return calls.all()

    def call(self, name: str) -> Call:
        """One that was not cancelled before it began. Raises Refused."""
        found = next((call for call in self.calls() if call.name == name), None)
        if found is None:
            raise Refused(f"there is no event {name!r}: see `{_COMMAND} event list`")
        if found.is_void:
            raise Refused(f"event {name} was cancelled before it began: nothing was asked")
        return found


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to ``tieline``'s parser."""
    parser = subparsers.add_parser("demand-response", help="events of demand response, and what came of them")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    event = verbs.add_parser("event", help="give, list, leave and cancel events")
    event_verbs = event.add_subparsers(required=True, metavar="VERB")

    adds = _verb(event_verbs, "add", "give an event to the participants of a programme", _add)
    adds.add_argument("--name", required=True, metavar="NAME", help="of the event, its own")
    adds.add_argument("--programme", required=True, metavar="NAME", help="one of the site's")
    adds.add_argument("--start", required=True, metavar="TIME", help="ISO 8601, in the site's time zone")
    adds.add_argument("--for", dest="length", required=True, metavar="DURATION", help="as in 2h or 90m")
    adds.add_argument("--level", choices=[each.value for each in DemandLevel], default="moderate")
    adds.add_argument("--note", default="", metavar="TEXT", help="what is to be remembered with it")
    _verb(event_verbs, "list", "print all events, with who left them", _list)
    cancels = _verb(event_verbs, "cancel", "end an event now, or before it begins", _cancel)
    leaves = _verb(event_verbs, "opt-out", "let a participant leave an event", _opt_out)
    leaves.add_argument("--participant", required=True, metavar="NAME")
    leaves.add_argument("--at", default="now", metavar="TIME", help="from when on (default: now)")
    for verb in (cancels, leaves):
        verb.add_argument("--name", required=True, metavar="NAME", help="of the event")
    for verb in (adds, cancels, leaves):
        verb.add_argument("--by", metavar="NAME", help="who says it (default: the user of this session)")

    shows = _verb(verbs, "baseline", "print the baseline of an event by its intervals", _baseline)
    shows.add_argument("--participant", metavar="NAME", help="this one only")
    verifies = _verb(verbs, "verify", "print the verified reduction of each participant of an event", _verify)
    for verb in (shows, verifies):
        verb.add_argument("--name", required=True, metavar="NAME", help="of the event")
    reports = _verb(verbs, "report", "print the verified reductions of all events of some time", _report)
    reports.add_argument("--from", dest="start", default="-31d", metavar="TIME", help="ISO 8601, or -31d")
    reports.add_argument("--to", dest="end", default="now", metavar="TIME", help="likewise (default: now)")
    for verb in (shows, verifies, reports):
        rules = [each.value for each in BaselineRule]
        verb.add_argument("--rule", choices=rules, help="instead of the site's")
        verb.add_argument(
            "--table",
            type=Path,
            metavar="CSV",
            help="readings instead of history: time, a column a participant",
        )


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, help: str, run: Run
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=help, description=help)
    verb._negative_number_matcher = _LIKE_A_TIME  # argparse takes "-31d" for an option otherwise
    add_place(verb, site_flag="site")
    verb.add_argument("--format", choices=("table", "csv", "json"), default="table", help="how it is printed")
    verb.add_argument("--utc", action="store_true", help="UTC instead of the site's time zone, as shown")
    verb.set_defaults(run=lambda args: _explained(run, name, args))
    return verb


def _explained(run: Run, verb: str, args: argparse.Namespace) -> int:
    try:
        place = _place(args)
        return place if isinstance(place, int) else run(args, place)
    except ValueError as error:
        print(f"{_COMMAND} {verb}: {error}", file=sys.stderr)
        return USAGE
    except (HistoryError, OSError, ImportError, sqlite3.Error) as error:
        print(f"{_COMMAND} {verb}: {error}", file=sys.stderr)
        return INCOMPLETE


def _place(args: argparse.Namespace) -> Place | int:
    complete_place(args)
    if args.site is None:
        print(f"say which site file: SITE (or set {SITE_VARIABLE})", file=sys.stderr)
        return USAGE
    site = load_or_explain(args.site)
    if site is None:
        return FAULTY_SITE
    if site.demand_response is None:
        raise ValueError("the site has no demand response: add programmes under 'demand_response'")
    zone = zone_named(site.time_zone)
    return Place(site, site.demand_response, run_paths(site.name, args.state), zone)


def _add(args: argparse.Namespace, place: Place) -> int:
    now = time.time_ns()
    programme = place.programme(args.programme)
    start = parse_time(args.start, now, place.zone)
    until = start + parse_duration(args.length)
    level = DemandLevel(args.level).number
    call = Call(args.name, programme.name, start, until, level, now, args.by or getpass.getuser(), args.note)
    with Calls.to_write(place.paths.demand_response) as calls:
        calls.add(call, programme)
    return _print(args, [_told(call, _zone(args, place))])


def _list(args: argparse.Namespace, place: Place) -> int:
    return _print(args, [_told(call, _zone(args, place)) for call in place.calls()], "no event was given yet")


def _cancel(args: argparse.Namespace, place: Place) -> int:
    with Calls.to_write(place.paths.demand_response) as calls:
        call = calls.cancel(args.name, args.by or getpass.getuser(), time.time_ns())
    return _print(args, [_told(call, _zone(args, place))])


def _opt_out(args: argparse.Namespace, place: Place) -> int:
    now = time.time_ns()
    at = parse_time(args.at, now, place.zone)
    if at < now - S_NS:
        raise Refused(f"--at {args.at} is in the past: who left then was still asked")
    with Calls.to_write(place.paths.demand_response) as calls:
        programme = place.programme(calls.one(args.name).programme)
        call = calls.opt_out(args.name, programme, args.participant, args.by or getpass.getuser(), at)
    return _print(args, [_told(call, _zone(args, place))])


def _told(call: Call, zone: tzinfo) -> Row:
    ended = (
        "" if call.cancelled is None else f"{iso_of(call.cancelled // S_NS * S_NS, zone)} {call.cancelled_by}"
    )
    return {
        "event": call.name,
        "programme": call.programme,
        "start": iso_of(call.start, zone),
        "minutes": (call.until - call.start) / 60 / S_NS,
        "level": LEVELS[call.level],
        "announced": iso_of(call.announced // S_NS * S_NS, zone),
        "by": call.by,
        "left": ", ".join(
            f"{each.participant} {iso_of(each.at // S_NS * S_NS, zone)} ({each.by})" for each in call.left
        ),
        "cancelled": ended,
        "note": call.note,
    }


def _measured(args: argparse.Namespace, place: Place, wanted: Sequence[Call]) -> Any:
    """A Verification of each event."""
    from historian.demand_response_job.measure import RULES, from_history, from_table, measured

    rule = RULES[place.settings.rule if args.rule is None else BaselineRule(args.rule)]
    calls, now = place.calls(), time.time_ns()
    if args.table is not None:
        from historian.anomaly.table_file import read_table

        table = read_table(args.table, place.zone)
        frame = from_table(table.times_ns, table.names, table.values, place.zone)
        return [measured(place.settings, call, calls, frame, place.zone, rule) for call in wanted]
    history = History(place.paths.history, clock=time.time_ns)
    try:
        return [
            measured(
                place.settings,
                call,
                calls,
                from_history(place.settings, history, call, now, place.zone),
                place.zone,
                rule,
            )
            for call in wanted
        ]
    finally:
        history.close()


def _baseline(args: argparse.Namespace, place: Place) -> int:
    (found,) = _measured(args, place, [place.call(args.name)])
    rows: list[Row] = []
    zone = _zone(args, place)
    names = [each.participant for each in found.reductions]
    if args.participant is not None and args.participant not in names:
        raise Refused(f"{args.participant!r} is not asked by {args.name}; it asks {', '.join(names)}")
    for each in found.reductions:
        if args.participant not in (None, each.participant):
            continue
        if each.baseline is None:
            print(f"{each.participant}: {each.words}", file=sys.stderr)
            continue
        made = each.baseline
        for at, kw in made.kw.items():
            drawn = math.nan if each.measured_kw is None else each.measured_kw.get(at, math.nan)
            rows.append(
                {
                    "participant": each.participant,
                    "from": at.astimezone(zone).isoformat(),
                    "unadjusted_kw": float(made.unadjusted_kw[at]),
                    "baseline_kw": float(kw),
                    "measured_kw": float(drawn),
                    "reduction_kw": float(kw - drawn),
                }
            )
    if not rows:
        return INCOMPLETE
    return _print(args, rows)


def _verify(args: argparse.Namespace, place: Place) -> int:
    return _print(args, _verdicts(_measured(args, place, [place.call(args.name)]), _zone(args, place)))


def _report(args: argparse.Namespace, place: Place) -> int:
    now = time.time_ns()
    start, end = (parse_time(text, now, place.zone) for text in (args.start, args.end))
    wanted = [call for call in place.calls() if not call.is_void and start <= call.start and call.end <= end]
    return _print(
        args, _verdicts(_measured(args, place, wanted), _zone(args, place)), "no event was over then"
    )


def _verdicts(found: Sequence[Any], zone: tzinfo) -> list[Row]:
    """A row for each participant of each event, with what it is made of."""
    return [
        {
            "event": one.event.name,
            "start": one.event.start.astimezone(zone).isoformat(),
            "participant": each.participant,
            "verdict": each.verdict.value,
            "promised_kw": each.promised_kw,
            "reduction_kw": each.mean_kw,
            "reduction_kwh": each.energy_kwh,
            "adjustment": math.nan if each.baseline is None else each.baseline.applied,
            "capped": each.baseline is not None and each.baseline.is_capped,
            "days": ""
            if each.baseline is None
            else " ".join(day.isoformat() for day in sorted(each.baseline.days)),
            "words": each.words or ("" if each.baseline is None else each.baseline.words),
        }
        for one in found
        for each in one.reductions
    ]


def _print(args: argparse.Namespace, rows: Sequence[Row], otherwise: str = "") -> int:
    if args.format == "json":
        sys.stdout.write(
            orjson.dumps(list(rows), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
        )
        return ANSWERED
    if not rows:
        print(otherwise)
        return ANSWERED
    if args.format == "csv":
        out = io.StringIO()
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _plain(value) for name, value in row.items()} for row in rows)
        sys.stdout.write(out.getvalue())
        return ANSWERED
    used = [name for name in rows[0] if any(row[name] not in ("", None) for row in rows)]
    cells = [used, *([_cell(row[name]) for name in used] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    return ANSWERED


def _plain(value: object) -> object:
    return "" if isinstance(value, float) and math.isnan(value) else value


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.5g}"
    return str(value)


def _zone(args: argparse.Namespace, place: Place) -> tzinfo:
    return UTC if args.utc else place.zone
