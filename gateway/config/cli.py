"""``tieline check``, ``schema``, ``tags`` and ``init``: what can be done with a site file without running it."""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson

from gateway.config.document import Source
from gateway.config.fault import Fault, SiteFaults
from gateway.config.load import Loading
from gateway.config.reference import reference_text
from gateway.config.schema import schema_text
from gateway.config.shipped import FOLDER, as_text, shipped
from gateway.config.site import Site, Tag
from gateway.tags.tag import ValueType

CLEAN, FAULTY, USAGE = 0, 1, 2  # exit statuses
SHOWN_WIDTH = 100  # characters of a source line that are shown around a fault
STARTER_FILES = ("site.yaml", "devices.yaml")

_COLUMNS = ("index", "name", "type", "unit", "low", "high", "area", "device", "owner", "write", "description")
_TABLE_COLUMNS = ("name", "type", "unit", "range", "write", "description")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a file that is not a site file, as the one who read it shows it."""

    text: str
    json: Mapping[str, Any]
    is_error: bool


@dataclass(frozen=True, slots=True)
class Checked:
    """What somebody found who looked at more than the site files. ``counts`` are words: ``3 programs``."""

    faults: tuple[Fault, ...]
    problems: tuple[Problem, ...]
    counts: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        return not self.faults and not any(problem.is_error for problem in self.problems)


FurtherCheck = Callable[[Site], Checked | None]


def add_commands(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], further: FurtherCheck | None = None
) -> None:
    """Add the commands to ``tieline``'s parser. ``check`` asks ``further`` of a site that has no faults itself."""
    check = subparsers.add_parser("check", help="find every fault in a site file")
    check.add_argument("site", type=Path, metavar="SITE", help="the site file")
    check.add_argument("--format", choices=("text", "json"), default="text", help="how faults are printed")
    check.set_defaults(run=run_check, further=further)
    schema = subparsers.add_parser("schema", help="print the JSON Schema of site files, for editors")
    schema.add_argument(
        "--format",
        choices=("json", "markdown"),
        default="json",
        help="the schema, or its keys as tables for people",
    )
    schema.set_defaults(run=run_schema)
    tags = subparsers.add_parser("tags", help="list the tags that a site expands to")
    tags.add_argument("site", type=Path, metavar="SITE", help="the site file")
    tags.add_argument(
        "--format", choices=("table", "csv", "json"), default="table", help="how they are printed"
    )
    tags.set_defaults(run=run_tags)
    init = subparsers.add_parser("init", help="write a site to start from")
    init.add_argument("directory", type=Path, metavar="DIR", nargs="?", help="where to write it")
    init.add_argument(
        "--list-devices", action="store_true", help="list the device templates that ship, and write nothing"
    )
    init.set_defaults(run=run_init)


def run_check(args: argparse.Namespace) -> int:
    """Exit status 0 where the site is clean, 1 where it has faults, 2 where it cannot be read at all."""
    loaded = _load(args.site, "check")
    if loaded is None:
        return USAGE
    outcome, sources = loaded
    checked: Checked | None = None
    if isinstance(outcome, Site) and args.further is not None:
        try:
            checked = args.further(outcome)
        except OSError as error:
            print(f"tieline check: {error.filename}: {error.strerror}", file=sys.stderr)
            return USAGE
    if args.format == "json":
        _print_json(_report(args.site, outcome, checked))
    else:
        _print_outcome(args.site, outcome, checked, sources)
    is_clean = isinstance(outcome, Site) and (checked is None or checked.is_clean)
    return CLEAN if is_clean else FAULTY


@dataclass(frozen=True, slots=True)
class Report:
    """What `check` says of a file; ``site`` is None where it has faults."""

    text: str
    json: dict[str, Any]
    site: Site | None


def report_of(path: Path, further: FurtherCheck) -> Report:
    """`check`, for other commands that must not go on with a faulty site."""
    try:
        loading = Loading(path)
        outcome: Site | SiteFaults = loading.site()
    except SiteFaults as faults:
        outcome = faults
    except OSError as error:
        return Report(f"{error}\n", {"site": str(path), "error": str(error)}, None)
    try:
        checked = further(outcome) if isinstance(outcome, Site) else None
    except OSError as error:
        why = f"{error.filename}: {error.strerror}"
        return Report(f"{why}\n", {"site": str(path), "error": why}, None)
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        _print_outcome(path, outcome, checked, loading.sources)
    is_clean = isinstance(outcome, Site) and (checked is None or checked.is_clean)
    site = outcome if isinstance(outcome, Site) and is_clean else None
    return Report(text.getvalue(), _report(path, outcome, checked), site)


def run_schema(args: argparse.Namespace) -> int:
    """Print the schema, or the reference."""
    sys.stdout.write(reference_text() if args.format == "markdown" else schema_text())
    return CLEAN


def run_tags(args: argparse.Namespace) -> int:
    """Print what the site expands to, in image order."""
    loaded = _load(args.site, "tags")
    if loaded is None:
        return USAGE
    outcome, sources = loaded
    if isinstance(outcome, SiteFaults):
        _print_faults(outcome, sources, file=sys.stderr)
        return FAULTY
    rows = [tag_row(index, tag) for index, tag in enumerate(outcome.tags)]
    if args.format == "json":
        _print_json(rows)
    elif args.format == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows(["" if row[column] is None else row[column] for column in _COLUMNS] for row in rows)
    else:
        _print_table(rows)
    return CLEAN


def run_init(args: argparse.Namespace) -> int:
    """Write the starting site; nothing is written where one of its files is there already."""
    if args.list_devices == (args.directory is not None):
        print("tieline init: say DIR, or --list-devices", file=sys.stderr)
        return USAGE
    if args.list_devices:
        return _list_devices()
    directory: Path = args.directory
    there = [directory / name for name in STARTER_FILES if (directory / name).exists()]
    if there:
        print(f"tieline init: {there[0]} is there already; nothing was written", file=sys.stderr)
        return USAGE
    starter = files("gateway.config") / "starter"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name in STARTER_FILES:
            with (directory / name).open("x", encoding="utf-8") as file:
                file.write((starter / name).read_text(encoding="utf-8"))
    except OSError as error:
        print(f"tieline init: {error.filename}: {error.strerror}", file=sys.stderr)
        return USAGE
    site = directory / STARTER_FILES[0]
    print(f"wrote {', '.join(str(directory / name) for name in STARTER_FILES)}")
    print(f"next: tieline check {site}, then tieline run {site}")
    print("templates of devices that sites have: tieline init --list-devices")
    return CLEAN


def _list_devices() -> int:
    try:
        templates = shipped()
    except OSError:
        why = "the templates come with the sources, in config/devices, and not with an installed package"
        print(f"tieline init: {why}", file=sys.stderr)
        return FAULTY
    print(as_text(templates))
    print(f"in a site file: include: [{FOLDER}/NAME.yaml]; all about them: docs/devices.md")
    return CLEAN


def load_or_explain(path: Path) -> Site | None:
    """The site, for commands that need one; None where it cannot be used, and why is on stderr as `check` says it."""
    loaded = _load(path, "check")
    if loaded is None:
        return None
    outcome, sources = loaded
    if isinstance(outcome, SiteFaults):
        _print_faults(outcome, sources, file=sys.stderr)
        return None
    return outcome


def tag_row(index: int, tag: Tag) -> dict[str, Any]:
    """A tag for people and for other programs."""
    write: dict[str, Any] | None = None
    if tag.write is not None:
        write = {
            "role": tag.write.role.value,
            "low": tag.write.low,
            "high": tag.write.high,
            "tolerance": tag.write.tolerance,
            "timeout_ms": tag.write.timeout_ms,
        }
    return {
        "index": index,
        "name": tag.name,
        "type": ValueType(tag.type).name.lower(),
        "unit": tag.unit,
        "low": tag.low,
        "high": tag.high,
        "area": tag.area,
        "device": tag.device,
        "owner": tag.owner,
        "write": None if write is None else write["role"],
        "description": tag.description,
        "write_limits": write,
        "states": {str(value): label for value, label in tag.states.items()},
        "deadband": tag.deadband,
        "decimals": tag.decimals,
        "stale_after_ms": tag.stale_after_ms,
        "history": tag.history,
        "sloped": tag.sloped,
        "deviation": None if tag.deviation is None else tag.deviation.bound(is_sloped=tag.sloped),
    }


def shown(fault: Fault, source: Source | None) -> str:
    """A fault as a compiler would show it: where, what, the line with a caret, how to mend it."""
    where = f" ({fault.context})" if fault.context else ""
    lines = [f"{fault.file}:{fault.line}:{fault.column}: {fault.found}{where}"]
    text = source.line(fault.line) if source is not None else ""
    if text:
        start = max(0, fault.column - 1 - SHOWN_WIDTH // 2) if len(text) > SHOWN_WIDTH else 0
        window = "".join(c if c.isprintable() else " " for c in text[start : start + SHOWN_WIDTH])
        margin = f"{fault.line:>6} | "
        lines.append(f"{margin}{window}")
        lines.append(f"{'':>6} | {'':{fault.column - 1 - start}}^")
    lines.append(f"{'':>6} = {fault.mend}")
    return "\n".join(lines)


def _load(path: Path, command: str) -> tuple[Site | SiteFaults, dict[Path, Source]] | None:
    loading = Loading(path)
    try:
        return loading.site(), loading.sources
    except SiteFaults as faults:
        return faults, loading.sources
    except OSError as error:
        print(f"tieline {command}: {error}", file=sys.stderr)
        return None


def _print_outcome(
    path: Path, outcome: Site | SiteFaults, checked: Checked | None, sources: dict[Path, Source]
) -> None:
    if isinstance(outcome, SiteFaults):
        _print_faults(outcome, sources)
        return
    for problem in checked.problems if checked is not None else ():
        print(problem.text)
    if checked is not None and not checked.is_clean:
        for fault in checked.faults:
            print(shown(fault, sources.get(fault.file)))
        print(_count(len(checked.faults) + sum(one.is_error for one in checked.problems), "fault"))
        return
    counts = (
        _count(len(outcome.files), "file"),
        _count(outcome.device_count, "device"),
        _count(len(outcome.tags), "tag"),
        *(checked.counts if checked is not None else ()),
    )
    print(f"{path}: no faults; {', '.join(counts)}")


def _report(path: Path, outcome: Site | SiteFaults, checked: Checked | None) -> dict[str, Any]:
    if isinstance(outcome, Site):
        problems = {} if checked is None else {"problems": [dict(one.json) for one in checked.problems]}
        return {
            "site": str(path),
            "faults": [] if checked is None else _faults_as_json(checked.faults),
            "more": 0,
            "files": [str(file) for file in outcome.files],
            "devices": outcome.device_count,
            "tags": len(outcome.tags),
            **problems,
        }
    return {"site": str(path), "faults": _faults_as_json(outcome.faults), "more": outcome.more}


def _faults_as_json(faults: Sequence[Fault]) -> list[dict[str, Any]]:
    return [
        {
            "file": str(fault.file),
            "line": fault.line,
            "column": fault.column,
            "found": fault.found,
            "mend": fault.mend,
            "context": fault.context,
        }
        for fault in faults
    ]


def _print_faults(faults: SiteFaults, sources: dict[Path, Source], file: Any = None) -> None:
    for fault in faults.faults:
        print(shown(fault, sources.get(fault.file)), file=file)
    if faults.more:
        print(f"and {faults.more} more", file=file)
    print(_count(len(faults.faults) + faults.more, "fault"), file=file)


def _print_json(value: Any) -> None:
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")


def _print_table(rows: Sequence[dict[str, Any]]) -> None:
    cells = [_TABLE_COLUMNS, *(_cells(row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(_TABLE_COLUMNS))]
    for row in cells:
        print("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    span = "" if row["low"] is None else f"{row['low']:g} to {row['high']:g}"
    limits = row["write_limits"]
    write = ""
    if limits is not None:
        write = limits["role"] + (
            "" if limits["low"] is None else f" {limits['low']:g} to {limits['high']:g}"
        )
    return row["name"], row["type"], row["unit"] or "", span, write, row["description"]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
