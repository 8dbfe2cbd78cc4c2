"""``tieline history backup|restore|verify|stats...``: history looked after, on the terminal."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import orjson

from gateway.config.paths import RunPaths
from gateway.config.place import add_place, place_of
from gateway.config.sizes import size_text
from historian.answered import ANSWERED, INCOMPLETE, answered
from historian.keeping import backup, restore, stats, verify
from historian.keeping.progress import progress
from historian.keeping.restore import FolderSource, Source
from historian.keeping.transfer_cli import add_export, add_import, run_export, run_import
from historian.keeping.verify import Fault, Tally
from historian.store.layout import day_of
from historian.times import iso_of

TAGS_SHOWN = 10

AddVerb = Callable[[str, str], argparse.ArgumentParser]


def add_verbs(add_verb: AddVerb) -> None:
    """Add the commands to ``tieline history``."""
    parser = add_verb(
        "backup", "copy all history into a folder of backups, or one tar file; while it is written"
    )
    parser.add_argument("target", metavar="DIR|FILE.tar", type=Path, help="where the backup goes")
    add_place(parser)
    parser.add_argument(
        "--keep",
        type=int,
        default=0,
        metavar="N",
        help="afterwards keep only the newest N in DIR (default: all)",
    )
    parser.set_defaults(run=answered("history backup", _backup))

    parser = add_verb("restore", "make a backup the history of a site that has none")
    parser.add_argument(
        "backup", metavar="BACKUP", type=Path, help="a tar file, a backup, or DIR for its newest"
    )
    add_place(parser)
    parser.set_defaults(run=answered("history restore", _restore))

    parser = add_verb("verify", "read all of history, or of a backup, and name what is damaged")
    parser.add_argument(
        "backup", metavar="BACKUP", type=Path, nargs="?", help="a backup, instead of a site's history"
    )
    add_place(parser)
    parser.set_defaults(run=answered("history verify", _verify))

    parser = add_verb("import", "take samples of another historian, from CSV or Parquet; also while it runs")
    add_import(parser)
    parser.set_defaults(run=answered("history import", run_import))

    parser = add_verb("export", "write many tags over a long time into CSV or Parquet")
    add_export(parser)
    parser.set_defaults(run=answered("history export", run_export))

    parser = add_verb("stats", "tell what history holds, what it costs, and how long the disk lasts")
    add_place(parser)
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how it is printed")
    parser.set_defaults(run=answered("history stats", _stats))


def _backup(args: argparse.Namespace) -> int:
    if args.keep < 0:
        raise ValueError("--keep must be at least 0")
    paths = place_of(args)
    if isinstance(paths, int):
        return paths
    is_tar = args.target.suffix == ".tar"
    if is_tar and args.keep:
        raise ValueError("--keep is for folders of backups; a tar file is one")
    beside = _beside(paths)
    with progress("backup", backup.work_of(paths.history, beside)) as advance:
        if is_tar:
            made = backup.back_up_to_tar(paths.history, args.target, advance, beside=beside)
        else:
            made = backup.back_up(paths.history, args.target, advance, beside=beside, keep=args.keep)
    print(
        f"{made.path}: {len(made.manifest.files)} files, {size_text(made.manifest.size)},"
        f" {size_text(made.copied_bytes)} of it copied, {made.linked} days as in the backup before"
    )
    for path in made.removed:
        print(f"removed {path}")
    for name in made.damaged:
        print(f"tieline history backup: {name} is damaged, and copied as it lies", file=sys.stderr)
    return INCOMPLETE if made.damaged else ANSWERED


def _restore(args: argparse.Namespace) -> int:
    paths = place_of(args)
    if isinstance(paths, int):
        return paths
    source = restore.open_backup(args.backup)
    try:
        with progress("restore", source.manifest.size) as advance:
            left = restore.restore(source, paths.history, advance, beside=_beside(paths))
    finally:
        source.close()
    print(
        f"{paths.history}: {len(source.manifest.files)} files, {size_text(source.manifest.size)};"
        f" all that was acknowledged by {iso_of(source.manifest.begun_at // 10**9 * 10**9)}"
    )
    for path in left:
        print(f"{path} is there already, and stays as it is: it is newer than the backup's")
    return ANSWERED


def _verify(args: argparse.Namespace) -> int:
    tally = Tally()
    if args.backup is not None:
        source = restore.open_backup(args.backup)
        try:
            faults = _verify_backup(source, tally)
        finally:
            source.close()
    else:
        paths = place_of(args)
        if isinstance(paths, int):
            return paths
        _refuse_none(paths)
        with progress("verify", verify.work_of(paths.history)) as advance:
            faults = _told(verify.verify(paths.history, tally, advance))
    verdict = f"{faults} faults" if faults else "all as it should be"
    if tally == Tally() and args.backup is not None:
        print(f"compared with its manifest: {verdict}; restore it to read what is in it")
    else:
        print(
            f"{tally.days} days, {tally.blocks:,} blocks, {tally.samples:,} samples, {tally.segments} journal"
            f" segments, {tally.frames:,} frames read: {verdict}"
        )
    return INCOMPLETE if faults else ANSWERED


def _verify_backup(source: Source, tally: Tally) -> int:
    with progress("compare", source.manifest.size) as advance:
        differing = restore.faults_of(source, advance)
    for what in differing:
        print(what)
    if not isinstance(source, FolderSource):
        return len(differing)
    with progress("verify", verify.work_of(source.directory)) as advance:
        found = verify.verify(source.directory, tally, advance, verify.open_as_it_lies)
        return len(differing) + _told(found)


def _told(faults: Iterable[Fault]) -> int:
    count = 0
    for fault in faults:
        count += 1
        where = f"{fault.file}: {fault.tag}" if fault.tag else fault.file
        span = f", {iso_of(fault.first_time)} to {iso_of(fault.last_time)}" if fault.last_time else ""
        print(f"{where}{span}: {fault.what}", flush=True)
    return count


def _stats(args: argparse.Namespace) -> int:
    paths = place_of(args)
    if isinstance(paths, int):
        return paths
    _refuse_none(paths)
    # Not above: what a site can be takes half of the time that other commands need to start.
    from gateway.config.load import load_site

    settings = load_site(args.site).historian if args.site is not None else None
    found = stats.read_stats(paths.history, settings, day_of(time.time_ns()))
    if args.format == "json":
        print(orjson.dumps(found.as_json(), option=orjson.OPT_INDENT_2).decode())
    else:
        print("\n".join(stats_lines(found)))
    return INCOMPLETE if found.unreadable else ANSWERED


def stats_lines(found: stats.Stats) -> list[str]:
    """For people."""
    lines = [f"{'day':<17} {'size':>10} {'tags':>8} {'blocks':>9} {'samples':>14} {'bytes a sample':>15}"]
    lines += [
        f"{day.file.removesuffix('.sqlite'):<17} {size_text(day.bytes):>10} {day.tags:>8,} {day.blocks:>9,}"
        f" {day.samples:>14,} {day.bytes_per_sample:>15.2f}"
        for day in found.days
    ]
    if found.tags:
        lines += ["", f"{'largest tags':<40} {'samples':>14} {'size':>10}"]
        lines += [
            f"{tag.tag:<40} {tag.samples:>14,} {size_text(tag.bytes):>10}" for tag in found.tags[:TAGS_SHOWN]
        ]
    lines += [
        "",
        f"days      {len(found.days)}, {found.samples:,} samples of {len(found.tags):,} tags,"
        f" {size_text(found.total_bytes)}",
        f"journal   {found.journal_segments} segments, {found.journal_samples:,} samples,"
        f" {size_text(found.journal_bytes)}",
    ]
    if found.days:
        oldest = min(day.first_time for day in found.days)
        newest = max(day.last_time for day in found.days)
        lines.append(f"from      {iso_of(oldest)} to {iso_of(newest)}, and what is in the journal")
    lines.append(
        f"disk      {size_text(found.disk_free)} free; history grows by {size_text(found.growth)} a day"
    )
    if found.days_left is not None:
        lines.append(f"lasts     {found.days_left:,.0f} days until {found.limit}")
    elif found.limit:
        lines.append(f"lasts     {found.limit}")
    lines += [f"cannot be read: {what}" for what in found.unreadable]
    return lines


def _beside(paths: RunPaths) -> tuple[Path, ...]:
    """What of the state folder goes on from history."""
    from historian.forecast_job.store import FOLDER

    return (paths.totals, paths.state / FOLDER)


def _refuse_none(paths: RunPaths) -> None:
    if not paths.history.is_dir():
        raise FileNotFoundError(f"{paths.history} is not there: no historian has run for this site")
