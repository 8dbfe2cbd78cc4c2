"""Which run a command of the command line is about.

``--site SITE`` (the run in its usual state folder) or ``--state DIR``; where neither is given, the environment's
``TIELINE_SITE`` and ``TIELINE_STATE``, so that an operator says it once a terminal.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from gateway.config.paths import RunPaths, run_paths

SITE_VARIABLE, STATE_VARIABLE = "TIELINE_SITE", "TIELINE_STATE"
_EXIT_FAULT = 1
_EXIT_USAGE = 2


def add_place(parser: argparse.ArgumentParser, *, site_flag: str = "--site") -> None:
    """Add the arguments; ``site_flag`` without dashes makes the site an optional positional."""
    if site_flag.startswith("-"):
        parser.add_argument(site_flag, metavar="SITE", type=Path, help=f"the site file (or ${SITE_VARIABLE})")
    else:
        parser.add_argument(
            site_flag, metavar="SITE", type=Path, nargs="?", help=f"the site file (or ${SITE_VARIABLE})"
        )
    parser.set_defaults(site_flag=f"{site_flag} SITE" if site_flag.startswith("-") else "SITE")
    parser.add_argument(
        "--state",
        metavar="DIR",
        type=Path,
        help=f"the state folder, where it is not the site's usual one (or ${STATE_VARIABLE})",
    )


def complete_place(arguments: argparse.Namespace) -> None:
    """Fill in from the environment what was not said: only where nothing was, so that two places never mix."""
    if arguments.site is None and arguments.state is None:
        arguments.site = _path(SITE_VARIABLE)
        arguments.state = _path(STATE_VARIABLE)


def place_of(arguments: argparse.Namespace) -> RunPaths | int:
    """The run's folders; or an exit status where it was not said (2) or the site is faulty (1); why is on stderr."""
    complete_place(arguments)
    if arguments.state is not None:
        return run_paths("", arguments.state)
    if arguments.site is None:
        said = f"say which: {arguments.site_flag} or --state DIR (or set {SITE_VARIABLE} or {STATE_VARIABLE})"
        print(said, file=sys.stderr)
        return _EXIT_USAGE
    from gateway.config.cli import load_or_explain  # not above: who names the folder pays for no site file

    site = load_or_explain(arguments.site)
    return _EXIT_FAULT if site is None else run_paths(site.name)


def _path(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value) if value else None
