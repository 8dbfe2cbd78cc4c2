"""``tieline history``: what a tag was, on the terminal or for another program."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
import time
from datetime import UTC, tzinfo
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from gateway.config.place import add_place, place_of
from historian import aggregates_cli, export
from historian.annotations.cli import add_verbs as add_annotation_verbs
from historian.answered import ANSWERED, INCOMPLETE, answered
from historian.errors import DamagedBlock
from historian.events.cli import add_verbs as add_event_verbs
from historian.export import Answer
from historian.forward.cli import add_verb as add_forward
from historian.keeping.cli import add_verbs
from historian.keeping.quarantine import read_quarantined
from historian.keeping.zone import zone_of
from historian.query.average import Averages
from historian.query.history import History
from historian.times import day_edges, parse_duration, parse_time, whole_days

DEFAULT_INTERVAL = "1m"
_LIKE_A_TIME = re.compile(r"-\d")


class HistoryParser(argparse.ArgumentParser):
    """``tieline history TAG ...`` or ``tieline history VERB ...``: the first word decides, as no tag is a verb."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.verbs: dict[str, argparse.ArgumentParser] = {}

    def add_verb(self, name: str, help: str) -> argparse.ArgumentParser:
        """A parser of its own for what follows ``name``."""
        self.epilog = f"{self.epilog or 'other commands:'}\n  {name:<10} {help}"
        self.verbs[name] = argparse.ArgumentParser(prog=f"{self.prog} {name}", description=help)
        return self.verbs[name]

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if args and args[0] in self.verbs:
            return self.verbs[args[0]].parse_known_args(args[1:], namespace)
        return super().parse_known_args(args, namespace)


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to ``tieline``'s parser."""
    # argparse makes subparsers of one class only; this one is of its own.
    usual, subparsers._parser_class = subparsers._parser_class, HistoryParser
    history = subparsers.add_parser(
        "history",
        help="print the history of a tag, and keep history: backup, verify, import...",
        description="Print samples of a tag, or its averages, from the files of a running or stopped historian.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers._parser_class = usual
    assert isinstance(history, HistoryParser)
    add_verbs(history.add_verb)
    add_event_verbs(history.add_verb)
    add_annotation_verbs(history.add_verb)
    add_forward(history.add_verb)
    # argparse takes "-1h" for an option unless it looks like a negative number to it.
    history._negative_number_matcher = _LIKE_A_TIME
    history.add_argument("tag", metavar="TAG", help="the tag's name, as in battery1.power_kw")
    add_place(history)
    history.add_argument(
        "--from", dest="start", default="-1h", metavar="TIME", help="ISO 8601, now, or -1h (default: -1h)"
    )
    history.add_argument("--to", dest="end", default="now", metavar="TIME", help="likewise (default: now)")
    aggregates_cli.add_options(history)
    history.add_argument(
        "--interval",
        metavar="DURATION",
        help=f"of the aggregate, as in 90s or 15m (default: {DEFAULT_INTERVAL}); 0s: one over all",
    )
    history.add_argument("--utc", action="store_true", help="UTC instead of the site's time zone")
    history.add_argument(
        "--quarantined", action="store_true", help="samples set apart as they claim to be of the future"
    )
    history.add_argument("--limit", type=int, metavar="N", help="at most the first N rows")
    history.add_argument(
        "--format", choices=("table", "csv", "json", "parquet"), default="table", help="how they are printed"
    )
    history.add_argument("--output", type=Path, metavar="FILE", help="write there instead of printing")
    history.set_defaults(run=answered("history", _run))


def _run(args: argparse.Namespace) -> int:
    if args.limit is not None and args.limit < 1:
        raise ValueError("--limit must be at least 1")
    if args.interval is not None and args.aggregate is None:
        raise ValueError("--interval needs --aggregate")
    configuration = aggregates_cli.configuration_of(args)
    aggregates = []
    if args.aggregate not in (None, aggregates_cli.TIME_AVERAGE):
        aggregates = aggregates_cli.aggregates_of(args.aggregate)
    if args.quarantined and args.aggregate is not None:
        raise ValueError("--quarantined samples are in no aggregate")
    if args.format == "parquet" and args.output is None and sys.stdout.isatty():
        raise ValueError("parquet is no text: give --output FILE, or send it into a pipe")
    damages: list[DamagedBlock] = []
    paths = place_of(args)
    if isinstance(paths, int):
        return paths
    if not paths.history.is_dir():
        raise FileNotFoundError(f"{paths.history} is not there: no historian has run for this site")
    zone = UTC if args.utc else zone_of(paths.history)
    now = time.time_ns()
    start, end = parse_time(args.start, now, zone), parse_time(args.end, now, zone)
    if end <= start:
        raise ValueError(f"--to {args.end} does not lie after --from {args.start}")
    history = History(paths.history, on_damage=damages.append)
    try:
        if aggregates:
            entry, spans = history.entry(args.tag), _spans(args, start, end, zone)
            answer = aggregates_cli.answer(history, entry, aggregates, spans, configuration, zone)
        else:
            answer = _ask(history, args, paths.history, start, end, zone)
    except KeyError:
        return _unknown(history, args.tag)
    finally:
        history.close()
    _write(args, answer, zone)
    for text in dict.fromkeys(map(str, damages)):
        print(f"tieline history: damaged, and left out: {text}", file=sys.stderr)
    return INCOMPLETE if damages else ANSWERED


def _ask(
    history: History, args: argparse.Namespace, directory: Path, start: int, end: int, zone: tzinfo
) -> Answer:
    entry = history.entry(args.tag)
    if args.quarantined:
        return export.answer_of_series(entry, read_quarantined(directory, entry, start, end, args.limit))
    if args.aggregate is None:
        return export.answer_of_series(entry, history.raw(args.tag, start, end, limit=args.limit))
    spans = _spans(args, start, end, zone)
    parts = [history.time_average(args.tag, low, high, length or high - low) for low, high, length in spans]
    return export.answer_of_averages(entry, _joined(parts))


def _spans(args: argparse.Namespace, start: int, end: int, zone: tzinfo) -> list[tuple[int, int, int]]:
    """What intervals are asked for, as (start, end, length), length 0: one over all. Days are those of the zone."""
    asked = args.interval or DEFAULT_INTERVAL
    length = parse_duration(asked)
    days = whole_days(asked)
    if days and zone is not UTC:
        edges = day_edges(start, end, days, zone)[: None if args.limit is None else args.limit + 1]
        return [(low, high, 0) for low, high in pairwise(edges)]
    if args.limit is not None and length:
        end = min(end, start + args.limit * length)
    return [(start, end, length)]


def _joined(parts: list[Averages]) -> Averages:
    return Averages(
        np.concatenate([part.starts for part in parts]),
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.percent_good for part in parts]),
        np.concatenate([part.statuses for part in parts]),
    )


def _write(args: argparse.Namespace, answer: Answer, zone: tzinfo) -> None:
    match args.format:
        case "parquet":
            data = export.as_parquet(answer)
        case "csv":
            data = export.as_csv(answer).encode()
        case "json":
            data = export.as_json(answer).encode()
        case _:
            data = export.as_table(answer, zone).encode()
    if args.output is not None:
        args.output.write_bytes(data)
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _unknown(history: History, tag: str) -> int:
    names = [entry.path for entry in history.entries()]
    history.close()
    near = difflib.get_close_matches(tag, names, 3)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    print(f"tieline history: {tag} has no history{hint}", file=sys.stderr)
    return INCOMPLETE
