"""`tieline write` and `tieline audit`: command a device from a terminal, and check the trail of commands."""

from __future__ import annotations

import argparse
import asyncio
import difflib
import getpass
import sys
import time
import uuid
from typing import assert_never

from gateway.commands.audit import AuditError, Link, verify
from gateway.commands.client import CommandClient
from gateway.commands.router import LONGEST_WAIT_S
from gateway.config.cli import load_or_explain
from gateway.config.paths import owner_of, run_paths
from gateway.config.place import SITE_VARIABLE, add_place, complete_place, place_of
from gateway.config.site import Site, Tag
from gateway.tags.command import Command, Done, Failed, Outcome, Refused, Selected, TimedOut
from gateway.tags.sample import Value
from gateway.tags.tag import ValueType

DEFAULT_WAIT_S = 10.0
LONGEST_VALIDITY_S = 31 * 86_400.0  # as of a setpoint's own `valid_for_s`
_WORDS = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}
_EXIT_FAULT = 1
_EXIT_USAGE = 2


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``write`` and ``audit``."""
    write = subparsers.add_parser(
        "write", help="set a tag through the command path and tell what became of it"
    )
    write.add_argument("tag", metavar="TAG", help="a writable tag, such as battery1.power_setpoint_kw")
    write.add_argument("value", metavar="VALUE", help="a number, a text, true/false, or the name of a state")
    add_place(write)
    write.add_argument("--user", metavar="NAME", required=True, help="who asks: a user of the site")
    write.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    write.add_argument("--reason", default="", help="why, for the audit trail")
    write.add_argument(
        "--wait",
        metavar="SECONDS",
        type=_seconds,
        default=DEFAULT_WAIT_S,
        help="give up after so long (default: 10)",
    )
    write.add_argument(
        "--valid-for",
        metavar="SECONDS",
        type=_validity,
        help="of a setpoint of the logic: it holds no longer than this",
    )
    write.set_defaults(run=_write)

    audit = subparsers.add_parser("audit", help="the trail of commands")
    parts = audit.add_subparsers(title="commands", required=True, metavar="COMMAND")
    check = parts.add_parser("verify", help="find any line that was changed, removed or moved")
    add_place(check, site_flag="site")
    check.add_argument(
        "--known", metavar="NUMBER:HASH", type=_link, help="a line noted earlier in a safe place"
    )
    check.set_defaults(run=_verify)


def _write(arguments: argparse.Namespace) -> int:
    complete_place(arguments)
    if arguments.site is None:
        print(f"say which: --site SITE (or ${SITE_VARIABLE})", file=sys.stderr)
        return _EXIT_USAGE
    site = load_or_explain(arguments.site)
    if site is None:
        return _EXIT_FAULT
    tags = {tag.name: tag for tag in site.tags}
    if arguments.tag not in tags:
        near = difflib.get_close_matches(arguments.tag, tags, 3)
        print(f"there is no tag {arguments.tag!r}{_perhaps(near)}", file=sys.stderr)
        return _EXIT_USAGE
    try:
        value = value_of(arguments.value, tags[arguments.tag])
    except ValueError as error:
        print(error, file=sys.stderr)
        return _EXIT_USAGE
    if arguments.password_stdin:
        password = sys.stdin.readline().rstrip("\n")
    else:
        password = getpass.getpass(f"Password of {arguments.user}: ")
    return asyncio.run(_send(site, arguments, value, password))


async def _send(site: Site, arguments: argparse.Namespace, value: Value, password: str) -> int:
    paths = run_paths(site.name, arguments.state)
    client = CommandClient(paths.command_socket, server_uid=owner_of(paths.state))
    try:
        if not await client.sign_in(arguments.user, password):
            print("the user or the password is wrong", file=sys.stderr)
            return _EXIT_FAULT
        now_ns = time.time_ns()
        valid_until_ns = 0 if arguments.valid_for is None else now_ns + int(arguments.valid_for * 1e9)
        outcome = await client.send(
            Command(
                id=uuid.uuid4().hex,
                tag=arguments.tag,
                value=value,
                user=arguments.user,
                origin="cli",
                deadline_ns=now_ns + int(arguments.wait * 1e9),
                reason=arguments.reason,
                valid_until_ns=valid_until_ns,
            )
        )
    except (ConnectionError, TimeoutError) as error:
        print(f"{site.name} does not run here: {error}", file=sys.stderr)
        return _EXIT_FAULT
    finally:
        await client.close()
    print(told(arguments.tag, outcome))
    return 0 if isinstance(outcome, Done) else _EXIT_FAULT


def _verify(arguments: argparse.Namespace) -> int:
    paths = place_of(arguments)
    if isinstance(paths, int):
        return paths
    try:
        found = verify(paths.audit, arguments.known)
    except AuditError as error:
        print(error, file=sys.stderr)
        return _EXIT_FAULT
    for fault in found.faults:
        print(f"{fault.file}: line {fault.line}: {fault.why}")
    if found.torn_bytes:
        torn = f"the last line is not complete ({found.torn_bytes} bytes); the next start sets it aside"
        print(f"{paths.audit.name}: {torn}")
    for id in found.open_intents:
        print(f"command {id} has no outcome yet: it is under way, or the run was cut off")
    print(f"{found.lines} lines in {found.files} files; last line {found.last.number}:{found.last.hash}")
    print(f"{len(found.faults)} faults" if found.faults else "the chain is whole")
    return _EXIT_FAULT if found.faults else 0


def value_of(text: str, tag: Tag) -> Value:
    """What was typed, in the tag's type. Raises ValueError with a sentence for who typed it."""
    by_name = {name.casefold(): number for number, name in tag.states.items()}
    number = by_name.get(text.casefold())
    try:
        match tag.type:
            case ValueType.BOOL:
                return _WORDS[text.casefold()] if number is None else bool(number)
            case ValueType.INT64 | ValueType.UINT64:
                return int(text, 0) if number is None else number
            case ValueType.DOUBLE:
                return float(text)
            case ValueType.STRING:
                return text
    except (KeyError, ValueError):
        pass
    kinds = {ValueType.BOOL: "true or false", ValueType.DOUBLE: "a number"}
    states = f", or one of {', '.join(tag.states.values())}" if tag.states else ""
    raise ValueError(f"{tag.name} takes {kinds.get(tag.type, 'a whole number')}{states}, not {text!r}")


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


def _perhaps(near: list[str]) -> str:
    return f"; perhaps {', '.join(near)}?" if near else ""


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= LONGEST_WAIT_S:
        raise argparse.ArgumentTypeError(f"from now to {LONGEST_WAIT_S:g} seconds, not {text}")
    return seconds


def _validity(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= LONGEST_VALIDITY_S:
        raise argparse.ArgumentTypeError(
            f"more than 0 and at most {LONGEST_VALIDITY_S:g} seconds, not {text}"
        )
    return seconds


def _link(text: str) -> Link:
    number, _, hash = text.partition(":")
    if not number.isdecimal() or len(hash) != 64:
        raise argparse.ArgumentTypeError("it is NUMBER:HASH, as `tieline audit verify` prints it")
    return Link(int(number), hash)
