"""What commands of the command line share: the site, who types, and an outcome as a line for people."""

from __future__ import annotations

import argparse
import getpass
import sys
from typing import assert_never

from gateway.commands.router import LONGEST_WAIT_S
from gateway.config.cli import load_or_explain
from gateway.config.place import SITE_VARIABLE, complete_place
from gateway.config.site import Site
from gateway.tags.command import Done, Failed, Outcome, Refused, Selected, TimedOut

EXIT_FAULT = 1
EXIT_USAGE = 2


def add_user(parser: argparse.ArgumentParser, *, is_needed: bool = True) -> None:
    """Add ``--user`` and ``--password-stdin``."""
    parser.add_argument("--user", metavar="NAME", required=is_needed, help="who asks: a user of the site")
    parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")


def password_of(arguments: argparse.Namespace) -> str:
    """Typed, or from standard input."""
    if arguments.password_stdin:
        return sys.stdin.readline().rstrip("\n")
    return getpass.getpass(f"Password of {arguments.user}: ")


def site_of(arguments: argparse.Namespace) -> Site | int:
    """The site, or an exit status where it was not said (2) or is faulty (1); why is on stderr."""
    complete_place(arguments)
    if arguments.site is None:
        print(f"say which: --site SITE (or ${SITE_VARIABLE})", file=sys.stderr)
        return EXIT_USAGE
    site = load_or_explain(arguments.site)
    return EXIT_FAULT if site is None else site


def seconds(text: str) -> float:
    """How long to wait; for argparse."""
    wait = float(text)
    if not 0 < wait <= LONGEST_WAIT_S:
        raise argparse.ArgumentTypeError(f"from now to {LONGEST_WAIT_S:g} seconds, not {text}")
    return wait


def told(tag: str, outcome: Outcome) -> str:
    """An outcome as a line for people."""
    match outcome:
        case Done(value):
            return f"done: {tag} is {value}"
        case Selected(value):
            return f"selected: {tag} for {value}"
        case Refused(code, why):
            return f"refused ({code.value}): {why}"
        case TimedOut(why):
            return f"timed out: {why}"
        case Failed(why):
            return f"failed: {why}"
        case _:
            assert_never(outcome)
