"""`tieline dnp3-python`: make the environment that devices with `engine: dnp3-python` need."""

from __future__ import annotations

import argparse
import sys

from gateway.config.place import add_place, place_of
from gateway.drivers.dnp3.environment import FOLDER, NoEnvironmentError, make

_EXIT_FAULT = 1


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "dnp3-python",
        help="install dnp3-python for DNP3 devices whose engine it is",
        description="Makes an environment with dnp3-python and its own CPython 3.10 in the site's state folder.",
    )
    add_place(parser)
    parser.set_defaults(run=_install)


def _install(arguments: argparse.Namespace) -> int:
    paths = place_of(arguments)
    if isinstance(paths, int):
        return paths
    try:
        print(make(paths.state / FOLDER))
    except NoEnvironmentError as error:
        print(error, file=sys.stderr)
        return _EXIT_FAULT
    return 0
