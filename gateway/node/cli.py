"""The `tieline` command: `run`, `status`, `passwd`, and the commands of every package."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

EXIT_FAULT = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

Commands = argparse._SubParsersAction  # argparse has no public name for it

# Who adds which commands. Only the one that is asked for is imported: all of them take two seconds of a processor.
_MODULES: Mapping[str, tuple[str, ...]] = {
    "gateway.config.cli": ("check", "schema", "tags", "init"),
    "gateway.commands.cli": ("write", "control", "confirm", "outcome", "audit"),
    "historian.cli": ("history",),
    "historian.dispatch_job.cli": ("dispatch",),
    "historian.forecast_job.cli": ("forecast",),
    "historian.ledger.cli": ("ledger",),
    "historian.market_job.cli": ("market",),
    "historian.anomaly.cli": ("anomaly",),
    "historian.health_job.cli": ("health",),
    "historian.demand_response_job.cli": ("demand-response",),
    "gateway.simulator.cli": ("fault", "sim"),
    "gateway.drivers.discover": ("discover",),
    "gateway.drivers.trace_cli": ("trace",),
    "gateway.drivers.dnp3.cli": ("dnp3-python",),
    "plc.cli": ("plc",),
}
_OURS = ("run", "status", "reload", "passwd")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `tieline`; returns the exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    parsed = parser(words[0] if words else "").parse_args(words)
    try:
        status = parsed.run(parsed)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # `tieline tags SITE | head`
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # or the interpreter flushes it once more
        return EXIT_FAULT
    assert isinstance(status, int), f"{parsed.run} returned {status!r}"
    return status


def parser(asked: str = "") -> argparse.ArgumentParser:
    """The command line: of the commands those that ``asked`` is one of, all where it is none."""
    whole = argparse.ArgumentParser(
        prog="tieline", description="Gateway, logic, historian and HMI of a microgrid."
    )
    whole.add_argument("--version", action="version", version=f"tieline {version('tieline')}")
    commands = whole.add_subparsers(title="commands", metavar="COMMAND", required=True)

    if asked in _OURS:
        _add_ours(commands)
        return whole
    found = [name for name, added in _MODULES.items() if asked in added]
    if not found:
        _add_ours(commands)
    for name in found or _MODULES:
        _add_of(name, commands)
    return whole


def _add_of(name: str, commands: Commands[argparse.ArgumentParser]) -> None:
    """The commands of another package's module."""
    add_commands = import_module(name).add_commands
    if name == "gateway.config.cli":
        from gateway.node.logic_check import checked_logic

        add_commands(commands, checked_logic)
    else:
        add_commands(commands)


def _add_ours(commands: Commands[argparse.ArgumentParser]) -> None:
    from gateway.config.place import add_place

    run = commands.add_parser("run", help="run a site until Ctrl-C")
    run.add_argument("site", metavar="SITE", type=Path, help="the site file")
    _add_state(run)
    run.add_argument(
        "--new-passwords", action="store_true", help="give every user a new password and show it"
    )
    run.set_defaults(run=_run)

    status = commands.add_parser("status", help="tell how a running site is; exit status 1 if not well")
    add_place(status, site_flag="site")
    status.add_argument("--format", choices=("text", "json"), default="text", help="how it is printed")
    status.set_defaults(run=_status)

    reload = commands.add_parser(
        "reload", help="make a changed site file the one that runs, whole or not at all"
    )
    add_place(reload)
    reload.add_argument("--dry-run", action="store_true", help="only tell what it would do")
    reload.add_argument("--format", choices=("text", "json"), default="text", help="how the plan is printed")
    reload.set_defaults(run=_reload)

    passwd = commands.add_parser("passwd", help="set the password of a user of a site")
    passwd.add_argument("site", metavar="SITE", type=Path, help="the site file")
    passwd.add_argument("user", metavar="USER", help="a user of the site")
    _add_state(passwd)
    passwd.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    passwd.set_defaults(run=_passwd)


def _add_state(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state", metavar="DIR", type=Path, help="the state folder, where it is not the usual one"
    )


def _run(arguments: argparse.Namespace) -> int:
    from gateway.config.cli import load_or_explain
    from gateway.node.run import run_site

    site = load_or_explain(arguments.site)
    if site is None:
        return EXIT_FAULT
    return run_site(site, arguments.site, arguments.state, new_passwords=arguments.new_passwords)


def _reload(arguments: argparse.Namespace) -> int:
    from gateway.node.reload_request import run_reload

    return run_reload(arguments)


def _status(arguments: argparse.Namespace) -> int:
    from gateway.config.place import place_of
    from gateway.node.status import NotRunningError, read_status, status_text

    paths = place_of(arguments)
    if isinstance(paths, int):
        return paths
    try:
        status = read_status(paths)
    except NotRunningError as error:
        print(error, file=sys.stderr)
        return EXIT_FAULT
    print(json.dumps(status.as_json(), indent=1) if arguments.format == "json" else status_text(status))
    return EXIT_FAULT if status.troubles else 0


def _passwd(arguments: argparse.Namespace) -> int:
    from gateway.config.accounts import Accounts, AccountsError
    from gateway.config.cli import load_or_explain
    from gateway.config.paths import run_paths

    site = load_or_explain(arguments.site)
    if site is None:
        return EXIT_FAULT
    if arguments.user not in [user.name for user in site.users]:
        print(f"{arguments.user!r} is not a user of {site.name}", file=sys.stderr)
        return EXIT_USAGE
    if arguments.password_stdin:
        password = sys.stdin.readline().rstrip("\n")
    else:
        password = getpass.getpass(f"New password of {arguments.user}: ")
        if getpass.getpass("Once more: ") != password:
            print("the two are not the same", file=sys.stderr)
            return EXIT_FAULT
    try:
        Accounts(run_paths(site.name, arguments.state).accounts).set_password(arguments.user, password)
    except (AccountsError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return EXIT_FAULT
    print(f"{arguments.user} has a new password")
    return 0
