"""``tieline history annotate`` and ``tieline history annotations``: notes of people on a tag at a time."""

from __future__ import annotations

import argparse
import csv
import difflib
import getpass
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
from historian.annotations.store import MOST_FOUND, Annotation, Annotations
from historian.answered import ANSWERED, INCOMPLETE, answered
from historian.keeping.zone import zone_of
from historian.query.history import History
from historian.times import iso_of, parse_time

_LIKE_A_TIME = re.compile(r"-\d")
_FIRST, _LAST = -(2**62), 2**62

AddVerb = Callable[[str, str], argparse.ArgumentParser]


def add_verbs(add_verb: AddVerb) -> None:
    """Add the commands to ``tieline history``."""
    parser = add_verb("annotate", "note something about a tag at a time; edit or delete a note")
    parser._negative_number_matcher = _LIKE_A_TIME  # "-1h" is no option
    parser.add_argument(
        "words", nargs="*", metavar="TAG TEXT", help="the tag, and the note; with --edit the note"
    )
    add_place(parser)
    parser.add_argument(
        "--at", default="now", metavar="TIME", help="when it is about: ISO 8601, now, or -1h (default: now)"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--edit", type=int, metavar="ID", help="give this note another text")
    which.add_argument("--delete", type=int, metavar="ID", help="delete this note; its versions stay")
    parser.add_argument("--by", metavar="NAME", help="who notes it (default: the user of this session)")
    parser.set_defaults(run=answered("history annotate", _annotate))

    parser = add_verb("annotations", "print notes")
    parser._negative_number_matcher = _LIKE_A_TIME
    parser.add_argument("tag", nargs="?", metavar="TAG", help="of this tag only; * for any letters")
    add_place(parser)
    parser.add_argument("--from", dest="start", metavar="TIME", help="ISO 8601, now, or -1h (default: all)")
    parser.add_argument("--to", dest="end", metavar="TIME", help="likewise")
    parser.add_argument("--versions", action="store_true", help="every version, and deleted ones")
    parser.add_argument("--limit", type=int, default=MOST_FOUND, metavar="N", help="at most the first N")
    parser.add_argument(
        "--format", choices=("table", "csv", "json"), default="table", help="how they are printed"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write there instead of printing")
    parser.add_argument("--utc", action="store_true", help="UTC instead of the site's time zone")
    parser.set_defaults(run=answered("history annotations", _annotations))


def _annotate(args: argparse.Namespace) -> int:
    wanted = 0 if args.delete is not None else 1 if args.edit is not None else 2
    if len(args.words) != wanted:
        how = ("--delete ID", '--edit ID "text"', 'TAG --at TIME "text"')[wanted]
        raise ValueError(f"write: tieline history annotate {how}; a text of several words in quotes")
    paths = place_of(args)
    if isinstance(paths, int):
        return paths
    annotations = Annotations(paths.history)
    author = args.by or getpass.getuser()
    if args.delete is not None:
        made = annotations.delete(args.delete, author)
    elif args.edit is not None:
        made = annotations.edit(args.edit, args.words[0], author)
    else:
        tag, text = args.words
        at = parse_time(args.at, time.time_ns(), zone_of(paths.history))
        if not _is_known(paths.history, tag):
            return INCOMPLETE
        made = annotations.add(tag, at, text, author)
    what = "deleted" if made.is_deleted else f"version {made.version}"
    print(f"annotation {made.id}, {what}: {made.tag} at {iso_of(made.time, zone_of(paths.history))}")
    return ANSWERED


def _is_known(directory: Path, tag: str) -> bool:
    """Whether the tag has history; says so where not."""
    history = History(directory)
    try:
        history.entry(tag)
    except KeyError:
        near = difflib.get_close_matches(tag, [entry.path for entry in history.entries()], 3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        print(f"tieline history annotate: {tag} has no history{hint}", file=sys.stderr)
        return False
    finally:
        history.close()
    return True


def _annotations(args: argparse.Namespace) -> int:
    paths = place_of(args)
    if isinstance(paths, int):
        return paths
    now, zone = time.time_ns(), UTC if args.utc else zone_of(paths.history)
    start = _FIRST if args.start is None else parse_time(args.start, now, zone)
    end = _LAST if args.end is None else parse_time(args.end, now, zone)
    if end <= start:
        raise ValueError(f"--to {args.end} does not lie after --from {args.start}")
    if args.limit < 1:
        raise ValueError("--limit must be at least 1")
    found = Annotations(paths.history).find(
        start, end, tag=args.tag, all_versions=args.versions, limit=args.limit
    )
    match args.format:
        case "csv":
            text = as_csv(found)
        case "json":
            text = as_json(found)
        case _:
            text = as_table(found, zone, with_versions=args.versions)
    if args.output is not None:
        args.output.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
        sys.stdout.flush()
    return ANSWERED if found else INCOMPLETE


def as_table(found: Sequence[Annotation], zone: tzinfo = UTC, *, with_versions: bool = False) -> str:
    """For people, in their time zone."""
    if not found:
        return "no annotations\n"
    lines = []
    for each in found:
        version = f" version {each.version}{', deleted' * each.is_deleted}" if with_versions else ""
        made = iso_of(each.made // 10**9 * 10**9, zone)
        lines.append(f"{iso_of(each.time, zone)}  {each.tag}  #{each.id}{version}  ({each.author}, {made})")
        lines += [f"    {line}" for line in each.text.splitlines()]
    return "\n".join(lines) + "\n"


def as_csv(found: Sequence[Annotation]) -> str:
    """RFC 4180 with a head line; times in UTC."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["time", "tag", "text", "author", "made", "id", "version", "deleted"])
    for each in found:
        made = (iso_of(each.made), each.id, each.version, int(each.is_deleted))
        writer.writerow([iso_of(each.time), each.tag, each.text, each.author, *made])
    return text.getvalue()


def as_json(found: Sequence[Annotation]) -> str:
    """A list of objects; times in UTC."""
    rows: list[dict[str, Any]] = [
        {
            "time": iso_of(each.time),
            "tag": each.tag,
            "text": each.text,
            "author": each.author,
            "made": iso_of(each.made),
            "id": each.id,
            "version": each.version,
            "deleted": each.is_deleted,
        }
        for each in found
    ]
    return orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode() + "\n"
