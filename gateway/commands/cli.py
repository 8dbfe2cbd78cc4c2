"""`tieline write` and `tieline audit`: command a device from a terminal, and check the trail of commands."""

from __future__ import annotations

import argparse
import asyncio
import difflib
import sys
import time
import uuid
from dataclasses import replace

from gateway.commands.audit import AuditError, Link, verify
from gateway.commands.client import CommandClient
from gateway.commands.control_cli import add_control_commands
from gateway.commands.router import LONGEST_WAIT_S
from gateway.commands.terminal import add_user, password_of, seconds, site_of, told
from gateway.config.paths import owner_of, run_paths
from gateway.config.place import add_place, place_of
from gateway.config.site import Site, Tag
from gateway.tags.command import Command, Done, Selected, Step, TimedOut
from gateway.tags.sample import Value
from gateway.tags.tag import ValueType

DEFAULT_WAIT_S = 10.0
LONGEST_VALIDITY_S = 31 * 86_400.0  # as of a setpoint's own `valid_for_s`
_WORDS = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}
_EXIT_FAULT = 1
_EXIT_USAGE = 2


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``write``, ``control``, ``confirm``, ``outcome`` and ``audit``."""
    write = subparsers.add_parser(
        "write", help="set a tag through the command path and tell what became of it"
    )
    write.add_argument("tag", metavar="TAG", help="a writable tag, such as battery1.power_setpoint_kw")
    write.add_argument("value", metavar="VALUE", help="a number, a text, true/false, or the name of a state")
    add_place(write)
    add_user(write)
    write.add_argument("--reason", default="", help="why, for the audit trail")
    write.add_argument(
        "--wait",
        metavar="SECONDS",
        type=seconds,
        help="give up after so long (default: 10, or what a second person has beside that)",
    )
    write.add_argument(
        "--valid-for",
        metavar="SECONDS",
        type=_validity,
        help="of a setpoint of the logic: it holds no longer than this",
    )
    write.add_argument(
        "--select", action="store_true", help="select the point for the value, then operate it"
    )
    write.set_defaults(run=_write)
    add_control_commands(subparsers)

    audit = subparsers.add_parser("audit", help="the trail of commands")
    parts = audit.add_subparsers(title="commands", required=True, metavar="COMMAND")
    check = parts.add_parser("verify", help="find any line that was changed, removed or moved")
    add_place(check, site_flag="site")
    check.add_argument(
        "--known", metavar="NUMBER:HASH", type=_link, help="a line noted earlier in a safe place"
    )
    check.set_defaults(run=_verify)


def _write(arguments: argparse.Namespace) -> int:
    site = site_of(arguments)
    if isinstance(site, int):
        return site
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
    return asyncio.run(_send(site, arguments, tags[arguments.tag], value, password_of(arguments)))


async def _send(site: Site, arguments: argparse.Namespace, tag: Tag, value: Value, password: str) -> int:
    paths = run_paths(site.name, arguments.state)
    client = CommandClient(paths.command_socket, server_uid=owner_of(paths.state))
    try:
        if not await client.sign_in(arguments.user, password):
            print("the user or the password is wrong", file=sys.stderr)
            return _EXIT_FAULT
        now_ns = time.time_ns()
        valid_until_ns = 0 if arguments.valid_for is None else now_ns + int(arguments.valid_for * 1e9)
        command = Command(
            id=uuid.uuid4().hex,
            tag=arguments.tag,
            value=value,
            user=arguments.user,
            origin="cli",
            deadline_ns=now_ns + int(_wait_s(arguments, tag) * 1e9),
            reason=arguments.reason,
            valid_until_ns=valid_until_ns,
        )
        if arguments.select:
            select = replace(command, id=uuid.uuid4().hex, step=Step.SELECT, valid_until_ns=0)
            selected = await client.send(select)
            print(told(arguments.tag, selected))
            if not isinstance(selected, Selected):
                return _EXIT_FAULT
            command = replace(command, select=select.id)
        if tag.write is not None and tag.write.handling.confirm_ms:
            print(f"it waits for a second person: tieline confirm {command.id} --user NAME", file=sys.stderr)
        outcome = await client.send(command)
    except (ConnectionError, TimeoutError) as error:
        print(f"{site.name} does not run here: {error}", file=sys.stderr)
        return _EXIT_FAULT
    finally:
        await client.close()
    print(told(arguments.tag, outcome))
    if isinstance(outcome, TimedOut):
        print(f"what became of it may be known later: tieline outcome {command.id}", file=sys.stderr)
    return 0 if isinstance(outcome, Done) else _EXIT_FAULT


def _wait_s(arguments: argparse.Namespace, tag: Tag) -> float:
    if arguments.wait is not None:
        return float(arguments.wait)
    confirm_s = 0.0 if tag.write is None else tag.write.handling.confirm_ms / 1000
    return min(DEFAULT_WAIT_S + confirm_s, LONGEST_WAIT_S)


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


def _perhaps(near: list[str]) -> str:
    return f"; perhaps {', '.join(near)}?" if near else ""


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
