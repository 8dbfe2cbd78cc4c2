"""``tieline history forward``: how far targets are, and a stretch of history sent to one again."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable

from gateway.config.place import add_place, place_of
from historian.forward import state as states
from historian.forward.sender import Folder
from historian.times import iso_of, parse_time

DONE, FAULT, USAGE = 0, 1, 2  # exit statuses
_LIKE_A_TIME = re.compile(r"-\d")

AddVerb = Callable[[str, str], argparse.ArgumentParser]


def add_verb(add: AddVerb) -> None:
    """Add the command to ``tieline history``."""
    parser = add("forward", "tell how far forwarding is, or send a stretch of history to a target again")
    # argparse takes "-1h" for an option unless it looks like a negative number to it.
    parser._negative_number_matcher = _LIKE_A_TIME
    parser.add_argument("name", metavar="NAME", nargs="?", help="a target of the site's forwarding")
    parser.add_argument(
        "--from", dest="start", metavar="TIME", help="send again from here: ISO 8601, now, or -1h"
    )
    parser.add_argument("--to", dest="end", default="now", metavar="TIME", help="likewise (default: now)")
    add_place(parser)
    parser.set_defaults(run=run_forward)


def run_forward(args: argparse.Namespace) -> int:
    """Exit status 0; 1 where there is no such target or the folder cannot be used, 2 where the question is wrong."""
    try:
        return _run(args)
    except ValueError as error:
        print(f"tieline history forward: {error}", file=sys.stderr)
        return USAGE
    except (OSError, states.StateError) as error:
        print(f"tieline history forward: {error}", file=sys.stderr)
        return FAULT


def _run(args: argparse.Namespace) -> int:
    paths = place_of(args)
    if isinstance(paths, int):
        return paths
    folder = Folder(paths.history)
    known = sorted(path.stem for path in folder.own.glob("*.json"))
    if args.name is not None and args.name not in known:
        said = f"it has forwarded to {', '.join(known)}" if known else "it has not forwarded to any yet"
        print(
            f"tieline history forward: {folder.directory} knows no target {args.name}: {said}",
            file=sys.stderr,
        )
        return FAULT
    if args.start is not None:
        return _ask_again(args, folder)
    for name in known if args.name is None else [args.name]:
        _tell(folder, name)
    return DONE


def _ask_again(args: argparse.Namespace, folder: Folder) -> int:
    if args.name is None:
        raise ValueError("--from needs the NAME of a target")
    now = time.time_ns()
    start, end = parse_time(args.start, now), parse_time(args.end, now)
    if end <= start:
        raise ValueError(f"--to {args.end} does not lie after --from {args.start}")
    states.ask_again(folder.own, args.name, start, end)
    print(f"{args.name}: asked for; it is sent between what is new, as soon as the site runs")
    return DONE


def _tell(folder: Folder, name: str) -> None:
    state = states.load(folder.state(name))
    print(f"{name}: sent up to segment {state.cursor.segment}, frame {state.cursor.sequence}; ", end="")
    print(
        f"{state.set_aside} points set aside" + (f" in {folder.set_aside(name)}" if state.set_aside else "")
    )
    for each in state.ranges:
        print(f"  again: {iso_of(each.start_ns)} to {iso_of(each.end_ns)}, has come to {iso_of(each.at_ns)}")
    for start, end in states.requests(folder.own, name).values():
        print(f"  asked for: {iso_of(start)} to {iso_of(end)}, not begun")
