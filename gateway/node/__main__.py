"""`python -m gateway.node` is `tieline`; with ``part`` it is one part's process, which the supervisor starts so,
with ``fork-server`` the one that forks them, and with ``prepare`` the one that reads a site for a reload.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from gateway.node import main

if TYPE_CHECKING:
    from gateway.node.launch import Launch


def _part(arguments: list[str]) -> int:
    from gateway.node.launch import Launch
    from gateway.node.parts import RUNNERS, SCAN

    parser = argparse.ArgumentParser(
        "tieline part", description="One part's process; `tieline run` starts these."
    )
    parser.add_argument("part", choices=(*RUNNERS, SCAN))
    Launch.add_arguments(parser)
    return _run(Launch.parse(parser.parse_args(arguments)))


def _run(launch: Launch) -> int:
    """Be the part of this process."""
    from gateway.node.part_process import run_part
    from gateway.node.parts import RUNNERS, SCAN

    if launch.part == SCAN:
        from gateway.node.scan import run_scan

        return run_scan(launch)
    return run_part(launch, RUNNERS[launch.part])


def _fork_server(arguments: list[str]) -> int:
    from gateway.node.fork_server import main as fork_server

    launch = fork_server(arguments)
    return _run(launch) if launch is not None else 0


def _prepare(arguments: list[str]) -> int:
    from gateway.node.prepare import main as prepare

    return prepare(arguments)


if __name__ == "__main__":
    match sys.argv[1:2]:
        case ["part"]:
            sys.exit(_part(sys.argv[2:]))
        case ["fork-server"]:
            sys.exit(_fork_server(sys.argv[2:]))
        case ["prepare"]:
            sys.exit(_prepare(sys.argv[2:]))
    sys.exit(main())
