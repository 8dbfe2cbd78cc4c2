"""`tieline discover`: what a device at an address has, written as a device of a site file. One subcommand a protocol.

A protocol's ``add_discover`` adds its subcommand, with `add_output` for where the text goes and `deliver` to put it
there; it imports its library only when it runs, so that no other command waits for that.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

_Subcommands = argparse._SubParsersAction  # the type that argparse has no public name for
AddDiscover = Callable[["_Subcommands[argparse.ArgumentParser]"], None]

DONE, FAILED, USAGE = 0, 1, 2  # exit statuses


def add_commands(subparsers: _Subcommands[argparse.ArgumentParser]) -> None:
    """Add ``discover`` with the subcommands of all protocols."""
    discover = subparsers.add_parser(
        "discover", help="ask a device what it has, and write that as a device of a site file"
    )
    protocols = discover.add_subparsers(title="protocols", metavar="PROTOCOL", required=True)
    for add in _protocols():
        add(protocols)


def _protocols() -> tuple[AddDiscover, ...]:
    """What each protocol adds, in the order of the help. Imported here, since they use what is below."""
    from gateway.drivers.opcua.cli import add_discover as add_opcua
    from gateway.drivers.sunspec.cli import add_discover as add_sunspec

    return (add_opcua, add_sunspec)


def add_output(parser: argparse.ArgumentParser) -> None:
    """The options that every subcommand has: the device's name, and the file."""
    parser.add_argument(
        "--name", default="device1", metavar="NAME", help="the device's name (default: device1)"
    )
    parser.add_argument(
        "--area", default="plant", metavar="AREA", help="the area it stands in (default: plant)"
    )
    parser.add_argument(
        "--output", metavar="FILE", type=Path, help="a new file to write it to; printed unless given"
    )


def deliver(text: str, arguments: argparse.Namespace) -> int:
    """Print a device, or write it to the file that was named, which must not be there yet; the exit status."""
    output: Path | None = arguments.output
    if output is None:
        sys.stdout.write(text)
        return DONE
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        print(f"{output} is there already; nothing was written", file=sys.stderr)
        return USAGE
    except OSError as error:
        print(f"{output}: {error.strerror}", file=sys.stderr)
        return FAILED
    print(f"wrote {output}; next: include it in a site, and tieline check", file=sys.stderr)
    return DONE
