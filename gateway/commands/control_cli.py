"""`tieline control`, `confirm` and `outcome`: who has control, a second person's word, what became of a command."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from gateway.commands import wire
from gateway.commands.client import CommandClient
from gateway.commands.terminal import (
    EXIT_FAULT,
    EXIT_USAGE,
    add_user,
    password_of,
    seconds,
    site_of,
    told,
)
from gateway.config.control import HOLDER_STATES, NOBODY, ControlArea
from gateway.config.paths import owner_of, region_name, run_paths
from gateway.config.place import add_place
from gateway.config.site import Site
from gateway.tags.command import Command, Done
from gateway.tags.image import Region, RegionError
from gateway.tags.quality import is_good

TAKE_WAIT_S = 5.0
ASK_S = 5.0


def add_control_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``control``, ``confirm`` and ``outcome``."""
    control = subparsers.add_parser("control", help="who has control of an area; take it, release it")
    parts = control.add_subparsers(title="commands", required=True, metavar="COMMAND")
    show = parts.add_parser("show", help="who has control, and until when")
    show.add_argument("area", metavar="AREA", nargs="?", help="an area under control; all unless given")
    add_place(show)
    show.set_defaults(run=_show)
    for verb, what, take in (
        ("take", "take control of an area", True),
        ("release", "release control of an area", False),
    ):
        parser = parts.add_parser(verb, help=what)
        parser.add_argument("area", metavar="AREA", help="an area under control")
        add_place(parser)
        add_user(parser)
        parser.set_defaults(run=_take, take=take)

    confirm = subparsers.add_parser("confirm", help="what waits for a second person; confirm or decline it")
    confirm.add_argument("id", metavar="ID", nargs="?", help="the command; without it, tell what waits")
    confirm.add_argument("--decline", action="store_true", help="say no")
    add_place(confirm)
    add_user(confirm, is_needed=False)
    confirm.set_defaults(run=_confirm)

    outcome = subparsers.add_parser("outcome", help="what became of a command, as known by now")
    outcome.add_argument("id", metavar="ID", help="the command, as `tieline write` named it")
    outcome.add_argument(
        "--wait", metavar="SECONDS", type=seconds, default=ASK_S, help="for one under way (default: 5)"
    )
    add_place(outcome)
    outcome.set_defaults(run=_outcome)


def _area(site: Site, path: str) -> ControlArea | None:
    areas = () if site.control is None else site.control.areas
    found = next((area for area in areas if area.path == path), None)
    if found is None:
        known = ", ".join(area.path for area in areas) or "none: the site has no `control: areas:`"
        print(f"{path!r} is no area under control; there are: {known}", file=sys.stderr)
    return found


def _show(arguments: argparse.Namespace) -> int:
    site = site_of(arguments)
    if isinstance(site, int):
        return site
    areas = () if site.control is None else site.control.areas
    if arguments.area is not None:
        area = _area(site, arguments.area)
        if area is None:
            return EXIT_USAGE
        areas = (area,)
    try:
        region = Region.attach(region_name(site.name, run_paths(site.name, arguments.state)))
    except RegionError as error:
        print(f"{site.name} does not run here: {error}", file=sys.stderr)
        return EXIT_FAULT
    with region:
        for area in areas:
            print(_shown(region, area))
    if not areas:
        print("no area is under control: who may write a point may command it")
    return 0


def _shown(region: Region, area: ControlArea) -> str:
    holder = region.sample(f"{area.folder}.holder")
    if not is_good(holder.status):
        return f"{area.path}: not known"
    who = HOLDER_STATES[int(holder.value)]
    if who == NOBODY:
        default = f"; {area.default} may command" if area.default is not None else ""
        return f"{area.path}: {NOBODY}{default}"
    until_ns = int(region.sample(f"{area.folder}.until").value)
    until = "until it is released"
    if until_ns:
        until = f"until {datetime.fromtimestamp(until_ns // 1_000_000_000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    return f"{area.path}: {region.sample(f'{area.folder}.user').value} ({who}) {until}"


def _take(arguments: argparse.Namespace) -> int:
    site = site_of(arguments)
    if isinstance(site, int):
        return site
    area = _area(site, arguments.area)
    if area is None:
        return EXIT_USAGE
    tag = site.tags[area.take].name

    async def ask(client: CommandClient) -> int:
        deadline_ns = time.time_ns() + int(TAKE_WAIT_S * 1e9)
        outcome = await client.send(
            Command(uuid.uuid4().hex, tag, arguments.take, arguments.user, "cli", deadline_ns)
        )
        if isinstance(outcome, Done):
            print(f"{arguments.user} {'has' if arguments.take else 'has released'} control of {area.path}")
            return 0
        print(told(tag, outcome))
        return EXIT_FAULT

    return _signed_in(site, arguments, ask)


def _confirm(arguments: argparse.Namespace) -> int:
    site = site_of(arguments)
    if isinstance(site, int):
        return site
    if arguments.id is None:
        return _asked(site, arguments, _list)
    if arguments.user is None:
        print("say who confirms: --user NAME", file=sys.stderr)
        return EXIT_USAGE

    async def say(client: CommandClient) -> int:
        word = wire.Confirm(arguments.id, arguments.user, "cli", not arguments.decline)
        why = await client.confirm(word)
        print(f"refused: {why}" if why else "declined" if arguments.decline else "confirmed")
        return EXIT_FAULT if why else 0

    return _signed_in(site, arguments, say)


async def _list(client: CommandClient) -> int:
    waiting = await client.waiting()
    for each in waiting:
        left_s = max((each.until_ns - time.time_ns()) / 1e9, 0.0)
        reason = f", {each.reason!r}" if each.reason else ""
        print(
            f"{each.id}  {each.tag} = {each.value}  by {each.user} ({each.origin}{reason}), {left_s:.0f} s left"
        )
    if not waiting:
        print("nothing waits")
    return 0


def _outcome(arguments: argparse.Namespace) -> int:
    site = site_of(arguments)
    if isinstance(site, int):
        return site

    async def ask(client: CommandClient) -> int:
        outcome = await client.ask(arguments.id, arguments.wait)
        print(told(arguments.id, outcome))
        return 0 if isinstance(outcome, Done) else EXIT_FAULT

    return _asked(site, arguments, ask)


def _signed_in(
    site: Site, arguments: argparse.Namespace, then: Callable[[CommandClient], Awaitable[int]]
) -> int:
    password = password_of(arguments)

    async def sign_in(client: CommandClient) -> int:
        if not await client.sign_in(arguments.user, password):
            print("the user or the password is wrong", file=sys.stderr)
            return EXIT_FAULT
        return await then(client)

    return _asked(site, arguments, sign_in)


def _asked(site: Site, arguments: argparse.Namespace, ask: Callable[[CommandClient], Awaitable[int]]) -> int:
    async def talk() -> int:
        paths = run_paths(site.name, arguments.state)
        client = CommandClient(paths.command_socket, server_uid=owner_of(paths.state))
        try:
            return await ask(client)
        except TimeoutError:
            print("not known yet", file=sys.stderr)
        except ConnectionError as error:
            print(f"{site.name} does not run here: {error}", file=sys.stderr)
        finally:
            await client.close()
        return EXIT_FAULT

    return asyncio.run(talk())
