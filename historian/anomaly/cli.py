"""``tieline anomaly score``: detectors on a table with labels: what they miss, and what they cry wolf about."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import orjson
from numpy.typing import NDArray

from historian.anomaly.alarms import Alarms, AlarmSettings
from historian.anomaly.catalogue import DETECTORS, make
from historian.anomaly.detector import ALARM, Detector, Floats, Times
from historian.anomaly.judge import Verdict, Window, judge
from historian.anomaly.table_file import Table, read_labels, read_table
from historian.times import iso_of, parse_duration

JUDGED, INCOMPLETE, USAGE = 0, 1, 2  # exit statuses
TOGETHER = "together"
_S = 10**9


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``anomaly`` to ``tieline``'s parser."""
    anomaly = subparsers.add_parser("anomaly", help="try anomaly detectors on a table with labels")
    verbs = anomaly.add_subparsers(required=True, metavar="VERB")
    score = verbs.add_parser(
        "score",
        help="score a table, and judge the alarms by labels",
        description="Learn from the beginning of a table, score the rest, and judge the alarms by labelled windows:\n"
        "false alarms and missed ones together, and how late the found ones were.",
        epilog=f"detectors: {', '.join(DETECTORS)} (docs/anomaly.md)\n"
        "with parameters: --detector 'gaussian window=300 limit=6'",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    score.add_argument("table", metavar="CSV", type=Path, help="time, and a column a tag")
    score.add_argument(
        "--labels", metavar="CSV", type=Path, required=True, help="start,end[,what]: what was wrong"
    )
    score.add_argument(
        "--detector",
        dest="detectors",
        metavar="'NAME [KEY=VALUE ...]'",
        action="append",
        help="one of those below, once or more (default: gaussian)",
    )
    score.add_argument("--columns", metavar="TAG,TAG", help="only these columns of the table")
    score.add_argument(
        "--train",
        type=float,
        default=0.25,
        metavar="SHARE",
        help="of the rows, to learn from (default: 0.25)",
    )
    score.add_argument(
        "--threshold",
        type=float,
        default=ALARM,
        help=f"score that alarms, above 0 (default: {ALARM}, the limit)",
    )
    score.add_argument(
        "--hold-off", default="0s", metavar="DURATION", help="a score above it for so long alarms"
    )
    score.add_argument(
        "--clear", default="0s", metavar="DURATION", help="one below it for so long ends the alarm"
    )
    score.add_argument(
        "--grace", default="0s", metavar="DURATION", help="after a window nothing is held against it"
    )
    score.add_argument(
        "--zone", default="UTC", metavar="ZONE", help="of times without an offset (default: UTC)"
    )
    score.add_argument(
        "--format", choices=("table", "csv", "json"), default="table", help="how it is printed"
    )
    score.add_argument("--scores", type=Path, metavar="FILE", help="write all scores there, as CSV")
    score.set_defaults(run=run_score)


def run_score(args: argparse.Namespace) -> int:
    """Exit status 0 where all was judged, 1 where a file cannot be used, 2 where the question is wrong."""
    try:
        return _run(args)
    except OSError as error:
        print(f"tieline anomaly score: {error}", file=sys.stderr)
        return INCOMPLETE
    except (ValueError, ImportError) as error:
        print(f"tieline anomaly score: {error}", file=sys.stderr)
        return USAGE


@dataclass(frozen=True, slots=True)
class _Judged:
    detector: str
    verdict: Verdict
    outputs: tuple[str, ...]
    scores: Floats


def _run(args: argparse.Namespace) -> int:
    try:
        zone = UTC if args.zone == "UTC" else ZoneInfo(args.zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"--zone {args.zone!r} is no time zone: write Europe/Berlin, say") from None
    settings = AlarmSettings(
        args.threshold, *(parse_duration(text) / _S for text in (args.hold_off, args.clear))
    )
    grace_s = parse_duration(args.grace) / _S
    if not 0 < args.train < 1:
        raise ValueError(f"--train {args.train} does not lie between 0 and 1")
    detectors = [_detector(text) for text in args.detectors or ["gaussian"]]
    table = _of_columns(read_table(args.table, zone), args.columns)
    labels = read_labels(args.labels, zone)
    cut = round(args.train * len(table.times_ns))
    _check_labels(args, table, labels, cut)
    judged, any_alarm = [], np.zeros(len(table.times_ns) - cut, np.bool_)
    for name, detector in detectors:
        detector.learn(table.names, table.times_ns[:cut], table.values[:cut])
        # The stream runs from the first row on, so that it is primed where judging begins.
        scores = detector.scores(table.times_ns, table.values)[cut:]
        alarms = _alarms(table.times_ns[cut:], scores, settings)
        any_alarm |= alarms
        judged.append(
            _Judged(
                name, judge(table.times_ns[cut:], alarms, labels, grace_s=grace_s), detector.outputs_, scores
            )
        )
    if len(judged) > 1:
        verdict = judge(table.times_ns[cut:], any_alarm, labels, grace_s=grace_s)
        judged.append(_Judged(TOGETHER, verdict, (), np.empty((0, 0))))
    if args.scores is not None:
        args.scores.write_text(_scores_csv(table.times_ns[cut:], judged), encoding="utf-8")
    match args.format:
        case "json":
            sys.stdout.write(_json(judged))
        case "csv":
            sys.stdout.write(_csv(judged))
        case _:
            sys.stdout.write(_text(judged, len(table.times_ns) - cut))
    return JUDGED


def _detector(text: str) -> tuple[str, Detector]:
    name, *rest = text.split() or [""]
    pairs = [part.partition("=") for part in rest]
    if wrong := next((part for part, (_, equals, _) in zip(rest, pairs, strict=True) if not equals), None):
        raise ValueError(f"--detector {text!r}: {wrong!r} is no parameter; write KEY=VALUE")
    return text, make(name, {key: value for key, _, value in pairs})


def _of_columns(table: Table, wanted: str | None) -> Table:
    if wanted is None:
        return table
    names = tuple(name.strip() for name in wanted.split(","))
    if absent := [name for name in names if name not in table.names]:
        raise ValueError(f"--columns: the table has no {', '.join(absent)}; it has {', '.join(table.names)}")
    return Table(names, table.times_ns, table.values[:, [table.names.index(name) for name in names]])


def _check_labels(args: argparse.Namespace, table: Table, labels: Sequence[Window], cut: int) -> None:
    """What is learned from is sound, and what is to be found is in the table."""
    first, last = int(table.times_ns[min(cut, len(table.times_ns) - 1)]), int(table.times_ns[-1])
    for window in labels:
        said = f"{args.labels}: the window from {iso_of(window.start_ns, UTC)}"
        if window.start_ns < first and window.end_ns >= int(table.times_ns[0]):
            raise ValueError(
                f"{said} begins before {iso_of(first, UTC)}, in what is learned from; "
                "give a smaller --train, or a table that begins earlier"
            )
        if not first <= window.start_ns <= last:
            raise ValueError(f"{said} lies outside of {args.table}; remove it")


def _alarms(times_ns: Times, scores: Floats, settings: AlarmSettings) -> NDArray[np.bool_]:
    """Whether any output's alarm stands, (rows,)."""
    alarms = Alarms(scores.shape[1], settings)
    stands = (alarms.push(time_ns, row) for time_ns, row in zip(times_ns.tolist(), scores, strict=True))
    return np.fromiter((one.any() for one in stands), np.bool_, len(scores))


def _row(one: _Judged) -> dict[str, Any]:
    verdict = one.verdict
    return {
        "detector": one.detector,
        "windows": verdict.windows,
        "missed": len(verdict.missed),
        "missed_pct": 100 * verdict.missed_share,
        "false_alarms": verdict.false_alarms,
        "false_alarms_a_day": verdict.false_alarms_a_day,
        "false_pct_of_time": 100 * verdict.false_share,
        "delay_median_s": verdict.median_delay_s,
        "delay_longest_s": verdict.longest_delay_s,
    }


def _json(judged: Sequence[_Judged]) -> str:
    rows = [
        {**_row(one), "missed_windows": [[iso_of(w.start_ns, UTC), w.what] for w in one.verdict.missed]}
        for one in judged
    ]
    return orjson.dumps(rows, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def _csv(judged: Sequence[_Judged]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(_row(judged[0])))
    writer.writeheader()
    writer.writerows(_row(one) for one in judged)
    return out.getvalue()


def _text(judged: Sequence[_Judged], rows: int) -> str:
    head = ("detector", "missed", "missed %", "false alarms", "a day", "% of time", "delay median", "longest")
    cells = [head]
    for one in judged:
        row = _row(one)
        cells.append(
            (
                one.detector,
                f"{row['missed']} of {row['windows']}",
                f"{row['missed_pct']:.0f}",
                str(row["false_alarms"]),
                f"{row['false_alarms_a_day']:.1f}",
                f"{row['false_pct_of_time']:.2f}",
                f"{row['delay_median_s']:.0f} s" if one.verdict.delays_s else "-",
                f"{row['delay_longest_s']:.0f} s" if one.verdict.delays_s else "-",
            )
        )
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
    for one in judged:
        for window in one.verdict.missed:
            lines.append(f"{one.detector} missed {iso_of(window.start_ns, UTC)} {window.what}".rstrip())
    return "\n".join([*lines, f"judged on {rows:,} rows"]) + "\n"


def _scores_csv(times_ns: Times, judged: Sequence[_Judged]) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    scored = [one for one in judged if one.outputs]
    writer.writerow(
        ["time", *(f"{one.detector.split()[0]}:{name}" for one in scored for name in one.outputs)]
    )
    for place, time_ns in enumerate(times_ns.tolist()):
        numbers = [f"{value:.4f}" if value == value else "" for one in scored for value in one.scores[place]]
        writer.writerow([iso_of(time_ns, UTC), *numbers])
    return out.getvalue()
