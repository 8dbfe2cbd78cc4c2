"""``tieline history import|export``: samples from other historians, and to other programs, on the terminal."""

from __future__ import annotations

import argparse
import datetime
import re
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from gateway.config.paths import RunPaths
from gateway.config.place import add_place, place_of
from gateway.tags.tag import ValueType
from historian.errors import DamagedBlock, DirectoryInUse, HistoryError
from historian.keeping import exporting
from historian.keeping.importing.inbox import Parcel, inbox_of, reason_of, take_alone
from historian.keeping.importing.mapping import ImportMap, read_map
from historian.keeping.importing.reading import Reader, Summary
from historian.keeping.progress import progress
from historian.keeping.zone import zone_of
from historian.query.history import History
from historian.times import iso_of, parse_time

DONE, FAULT = 0, 1
LOOK_EVERY_S = 0.1
_LIKE_A_TIME = re.compile(r"-\d")


def add_import(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``tieline history import``."""
    parser.add_argument("files", metavar="FILE", type=Path, nargs="+", help="CSV, or Parquet (.parquet)")
    add_place(parser)
    parser.add_argument("--map", type=Path, metavar="FILE.yaml", help="what its columns and tags are called")
    parser.add_argument("--dry-run", action="store_true", help="only tell what would be imported")
    parser.add_argument(
        "--no-wait", action="store_true", help="do not wait until the historian that runs has taken it"
    )


def add_export(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``tieline history export``."""
    # argparse takes "-1h" for an option unless it looks like a negative number to it.
    parser._negative_number_matcher = _LIKE_A_TIME
    parser.add_argument(
        "tags", metavar="TAG", nargs="*", help="names, or patterns as in 'ev*.power_kw'; all unless given"
    )
    add_place(parser)
    parser.add_argument(
        "--from", dest="start", default="-1d", metavar="TIME", help="as of tieline history (default: -1d)"
    )
    parser.add_argument("--to", dest="end", default="now", metavar="TIME", help="likewise (default: now)")
    parser.add_argument(
        "--utc", action="store_true", help="times and days of UTC instead of the site's time zone"
    )
    parser.add_argument("--format", choices=("csv", "parquet"), default="csv", help="what is written")
    parser.add_argument(
        "--partition", choices=("day",), help="a folder a day, of parquet: OUTPUT/date=2026-11-21/"
    )
    parser.add_argument("--output", type=Path, metavar="PATH", help="where to; csv is printed unless given")


def run_import(args: argparse.Namespace) -> int:
    """All of each file, or its faults and nothing of it."""
    paths = place_of(args)
    if isinstance(paths, int):
        return paths
    map = ImportMap() if args.map is None else read_map(args.map)
    status = DONE
    for file in args.files:
        try:
            _import(file, map, paths, args)
        except HistoryError as error:
            print(f"tieline history import: {error}", file=sys.stderr)
            status = FAULT
    return status


def run_export(args: argparse.Namespace) -> int:
    """Exit status 1 where something was damaged, and is left out."""
    if args.format == "parquet" and args.output is None:
        raise ValueError("parquet is no text: give --output")
    if args.partition and args.format != "parquet":
        raise ValueError("--partition is for --format parquet")
    paths = place_of(args)
    if isinstance(paths, int):
        return paths
    if not paths.history.is_dir():
        raise FileNotFoundError(f"{paths.history} is not there: no historian has run for this site")
    zone = datetime.UTC if args.utc else zone_of(paths.history)
    now = time.time_ns()
    start, end = parse_time(args.start, now, zone), parse_time(args.end, now, zone)
    if end <= start:
        raise ValueError(f"--to {args.end} does not lie after --from {args.start}")
    days = exporting.days_between(start, end, zone)
    damages: list[DamagedBlock] = []
    history = History(paths.history, on_damage=damages.append)
    try:
        parts = partial(exporting.parts_of, history, exporting.chosen(history.entries(), args.tags))
        with progress("export", len(days)) as advance:
            count = _export(args, days, parts, advance)
    finally:
        history.close()
    if args.output is not None:
        print(f"{args.output}: {count:,} samples")
    for text in dict.fromkeys(map(str, damages)):
        print(f"tieline history export: damaged, and left out: {text}", file=sys.stderr)
    return FAULT if damages else DONE


def _export(
    args: argparse.Namespace,
    days: list[exporting.Day],
    parts: exporting.Parts,
    advance: Callable[[int], None],
) -> int:
    if args.format == "parquet":
        write = exporting.write_parquet_by_day if args.partition else exporting.write_parquet
        return write(args.output, days, parts, advance)
    if args.output is None:
        sys.stdout.flush()
        return exporting.write_csv(sys.stdout.buffer, days, parts, advance)
    draft = args.output.with_name(args.output.name + ".draft")
    try:
        with draft.open("wb") as out:
            count = exporting.write_csv(out, days, parts, advance)
        draft.replace(args.output)
    finally:
        draft.unlink(missing_ok=True)
    return count


def _import(file: Path, map: ImportMap, paths: RunPaths, args: argparse.Namespace) -> None:
    now = time.time_ns()
    # Not above: what a site can be takes half of the time that other commands need to start.
    from gateway.config.load import load_site
    from gateway.config.site import HistorianSettings

    settings = HistorianSettings() if args.site is None else load_site(args.site).historian
    latest = now + settings.max_ahead_s * 10**9
    with Parcel(paths.history, now) as parcel:
        reader = Reader(file, map, _types(paths.history), latest, parcel)
        with progress(f"read {file.name}", file.stat().st_size) as advance:
            tags = reader.read(zone_of(paths.history), advance)
        _tell(file, reader.summary, args.dry_run)
        if args.dry_run or not reader.summary.samples:
            return
        handed_in = parcel.hand_in(tags)
    try:
        take_alone(paths.history)
    except DirectoryInUse:
        if args.no_wait:
            print("the historian that runs takes it from its inbox")
            return
        _wait(handed_in)
    reason = reason_of(handed_in)
    if reason is not None:
        raise HistoryError(f"{file} was not imported: {reason}; it is set aside in {inbox_of(paths.history)}")
    print(f"{file}: imported")


def _tell(file: Path, summary: Summary, is_dry: bool) -> None:
    if not summary.samples:
        print(f"{file}: no samples")
        return
    span = f"{iso_of(summary.first_time)} to {iso_of(summary.last_time)}"
    print(f"{file}: {summary.samples:,} samples, {span}{'; nothing was imported' if is_dry else ''}")
    for tag, type in summary.new_tags.items():
        print(f"  new tag {tag} ({type.name.lower()})")


def _types(history: Path) -> dict[str, ValueType]:
    if not history.is_dir():
        return {}
    asked = History(history)
    try:
        return {entry.path: entry.type for entry in asked.entries()}
    finally:
        asked.close()


def _wait(parcel: Path) -> None:
    """Until the historian has it durable, or refused it; it goes on should this be ended."""
    while parcel.exists():
        time.sleep(LOOK_EVERY_S)
