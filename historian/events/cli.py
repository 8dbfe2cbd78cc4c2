"""``tieline history events``: what happened, from when until when, and what tags did meanwhile."""

from __future__ import annotations

import argparse
import csv
import io
import re
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any

import orjson

from gateway.config.place import add_place, place_of
from historian.answered import ANSWERED, INCOMPLETE, answered
from historian.events.frame import Frame, SummaryValue
from historian.events.query import MOST_FRAMES, Events
from historian.export import quality_name
from historian.keeping.zone import zone_of
from historian.times import iso_of, parse_time

NS = 1e-9
_LIKE_A_TIME = re.compile(r"-\d")

AddVerb = Callable[[str, str], argparse.ArgumentParser]


def add_verbs(add_verb: AddVerb) -> None:
    """Add the command to ``tieline history``."""
    parser = add_verb("events", "print event frames, with what tags did in them")
    # argparse takes "-1h" for an option unless it looks like a negative number to it.
    parser._negative_number_matcher = _LIKE_A_TIME
    add_place(parser)
    parser.add_argument(
        "--from", dest="start", default="-1d", metavar="TIME", help="ISO 8601, now, or -1h (default: -1d)"
    )
    parser.add_argument("--to", dest="end", default="now", metavar="TIME", help="likewise (default: now)")
    parser.add_argument("--name", metavar="EVENT", help="of this event only")
    parser.add_argument("--device", metavar="DEVICE", help="of this device only")
    parser.add_argument(
        "--limit", type=int, default=MOST_FRAMES, metavar="N", help="at most the first N frames"
    )
    parser.add_argument(
        "--format", choices=("table", "csv", "json"), default="table", help="how they are printed"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write there instead of printing")
    parser.add_argument("--utc", action="store_true", help="UTC instead of the site's time zone")
    parser.set_defaults(run=answered("history events", _run))


def _run(args: argparse.Namespace) -> int:
    now = time.time_ns()
    paths = place_of(args)
    if isinstance(paths, int):
        return paths
    zone = UTC if args.utc else zone_of(paths.history)
    start, end = parse_time(args.start, now, zone), parse_time(args.end, now, zone)
    if end <= start:
        raise ValueError(f"--to {args.end} does not lie after --from {args.start}")
    if args.limit < 1:
        raise ValueError("--limit must be at least 1")
    events = Events(paths.history)
    frames = events.frames(start, end, name=args.name, device=args.device, limit=args.limit)
    if args.name is not None and not frames and args.name not in (names := events.names()):
        known = f"; there are {', '.join(names)}" if names else ""
        print(f"tieline history events: no event {args.name!r} was kept yet{known}", file=sys.stderr)
        return INCOMPLETE
    match args.format:
        case "csv":
            text = as_csv(frames, now)
        case "json":
            text = as_json(frames, now)
        case _:
            text = as_table(frames, now, zone)
    if args.output is not None:
        args.output.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
        sys.stdout.flush()
    return ANSWERED if frames else INCOMPLETE


def as_table(frames: Sequence[Frame], now: int, zone: tzinfo = UTC) -> str:
    """For people, in their time zone: a line a frame, its summaries below it."""
    if not frames:
        return "no events\n"
    rows = [("start", "end", "duration", "event", "device", "severity", "quality")]
    for frame in frames:
        end = "goes on" if frame.end is None else iso_of(frame.end // 10**6 * 10**6, zone)
        rows.append(
            (
                iso_of(frame.start // 10**6 * 10**6, zone),
                end,
                _duration(_seconds(frame, now)),
                frame.event,
                frame.device or "-",
                str(frame.severity),
                quality_name(frame.status),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines: list[str] = []
    for place, row in enumerate(rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join(cells).rstrip())
        if place:
            frame = frames[place - 1]
            told = {tag: _told(frame.summaries, tag) for tag in dict.fromkeys(s.tag for s in frame.summaries)}
            lines += [f"    {tag}: {what}" for tag, what in told.items()]
    return "\n".join(lines) + "\n"


def as_csv(frames: Sequence[Frame], now: int) -> str:
    """RFC 4180 with a head line; a column for each summary of any frame, empty where a frame has none."""
    columns = list(dict.fromkeys((each.tag, each.summary) for frame in frames for each in frame.summaries))
    text = io.StringIO()
    writer = csv.writer(text)
    head = [
        "start",
        "end",
        "duration_s",
        "event",
        "device",
        "severity",
        "quality",
        "status",
        "start_from",
        "end_from",
    ]
    writer.writerow([*head, *(f"{tag} {summary}" for tag, summary in columns)])
    for frame in frames:
        values = {(each.tag, each.summary): each.value for each in frame.summaries}
        writer.writerow(
            [
                *(iso_of(frame.start), _iso(frame.end), f"{_seconds(frame, now):.6f}"),
                *(frame.event, frame.device, frame.severity, quality_name(frame.status), frame.status),
                *(_iso(frame.start_from), _iso(frame.end_from)),
                *("" if (value := values.get(column)) is None else repr(value) for column in columns),
            ]
        )
    return text.getvalue()


def as_json(frames: Sequence[Frame], now: int) -> str:
    """A list of objects."""
    return orjson.dumps([_object(frame, now) for frame in frames], option=orjson.OPT_INDENT_2).decode() + "\n"


def _object(frame: Frame, now: int) -> dict[str, Any]:
    return {
        "event": frame.event,
        "device": frame.device or None,
        "description": frame.description,
        "severity": frame.severity,
        "start": iso_of(frame.start),
        "end": _iso(frame.end) or None,
        "duration_s": _seconds(frame, now),
        "start_from": _iso(frame.start_from) or None,
        "end_from": _iso(frame.end_from) or None,
        "quality": quality_name(frame.status),
        "status": frame.status,
        "summaries": [
            {
                "tag": each.tag,
                "summary": each.summary,
                "value": each.value,
                "quality": quality_name(each.status),
                "status": each.status,
            }
            for each in frame.summaries
        ],
    }


def _told(summaries: Sequence[SummaryValue], tag: str) -> str:
    return ", ".join(
        f"{each.summary} {'-' if each.value is None else f'{each.value:.6g}'}"
        for each in summaries
        if each.tag == tag
    )


def _seconds(frame: Frame, now: int) -> float:
    return max((now if frame.end is None else frame.end) - frame.start, 0) * NS


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _iso(time_ns: int | None) -> str:
    return "" if time_ns is None else iso_of(time_ns)
