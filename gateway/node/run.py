"""`tieline run`: everything a site needs, from its file to its running parts, and back to nothing at the end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from datetime import datetime
from pathlib import Path

from gateway.config.accounts import Accounts, AccountsError, new_password
from gateway.config.paths import RunPaths, region_name, run_paths
from gateway.config.site import Site
from gateway.config.system import DRIVERS_OWNER, FORECAST_OWNER, FORWARD_OWNER, NODE_OWNER
from gateway.node.addresses import addresses_of
from gateway.node.fork_server import ForkServer
from gateway.node.health import Health
from gateway.node.launch import share_site
from gateway.node.logs import log_to
from gateway.node.parts import parts_of
from gateway.node.reload import Reloads
from gateway.node.state import RunRecord, StateError, StateLock
from gateway.node.supervisor import Supervisor
from gateway.node.watched import watched_of
from gateway.tags.directory import spare_for
from gateway.tags.image import Region, RegionError

EXIT_FAULT = 1
EXIT_KILLED = 130  # as a shell tells of Ctrl-C

log = logging.getLogger(__name__)


def run_site(site: Site, file: Path, state: Path | None, *, new_passwords: bool = False) -> int:
    """Run ``site``, read from ``file``, until a signal says stop; returns the exit status.

    Faults are told on stderr.
    """
    os.umask(0o077)  # what a site remembers is nobody else's to read
    paths = run_paths(site.name, state)
    lock = StateLock(paths)
    try:
        lock.take()
    except StateError as error:
        print(error, file=sys.stderr)
        return EXIT_FAULT
    try:
        log_to(paths.logs, "node")
        with contextlib.closing(ForkServer(say)) as fork_server:
            fork_server.open()  # it imports while the region is made
            return _run(site, file, paths, lock, new_passwords, fork_server)
    except (AccountsError, RegionError, OSError) as error:
        print(f"the site cannot run: {error}", file=sys.stderr)
        return EXIT_FAULT
    finally:
        lock.release()


def say(text: str) -> None:
    """One event, for the operator and for the log."""
    log.info("%s", text)
    with contextlib.suppress(BrokenPipeError):  # whoever read it has gone; that is no reason to stop a plant
        print(f"{datetime.now().astimezone():%H:%M:%S} {text}", flush=True)


def _run(
    site: Site, file: Path, paths: RunPaths, lock: StateLock, new_passwords: bool, fork_server: ForkServer
) -> int:
    passwords = _passwords(site, Accounts(paths.accounts), new_passwords)
    parts = parts_of(site)
    region = Region.create(
        region_name(site.name, paths),
        [tag.spec() for tag in site.tags],
        journal_records=site.journal_records,
        extra_owners=(DRIVERS_OWNER, NODE_OWNER, FORWARD_OWNER, FORECAST_OWNER),
        spare=spare_for(len(site.tags)),
        time_step_ns=site.time_resolution.ns,
    )
    with region:
        started_ns = time.time_ns()
        record = RunRecord(
            site.name,
            region.name,
            os.getpid(),
            started_ns,
            tuple(part.name for part in parts),
            addresses_of(site),
            str(file.absolute()),
            site.digest,
            started_ns,
            watched=watched_of(site),
        )
        lock.record(record)
        _greet(site, paths, passwords)
        shared = share_site(site)
        supervisor = Supervisor(parts, paths, region, shared, say, fork_server)
        health = Health(region, supervisor.lives, paths.history)
        reloads = Reloads(paths, region, supervisor, health, lock, record, shared, say)
        try:
            fork_server.begin()
            with asyncio.Runner() as loop:
                return loop.run(_supervise(supervisor, health, reloads))
        finally:
            os.close(reloads.site)
            _sweep(paths)


async def _supervise(supervisor: Supervisor, health: Health, reloads: Reloads) -> int:
    stop = asyncio.Event()
    killed = False

    def told(name: str) -> None:
        nonlocal killed
        if stop.is_set():
            killed = True
            say("killed")
            supervisor.kill()
        else:
            say(f"stopping ({name})")
            stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, told, number.name)
    reporting = asyncio.create_task(health.run())
    supervising = asyncio.create_task(supervisor.run(stop))
    stopping = asyncio.create_task(stop.wait())
    await reloads.open()
    await asyncio.wait([reporting, supervising, stopping], return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    await reloads.close()
    await supervising
    reporting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await reporting  # raises what ended it early
    say("stopped")
    return EXIT_KILLED if killed else 0


def _passwords(site: Site, accounts: Accounts, all_new: bool) -> dict[str, str]:
    """Make a password for every user who has none (for all where ``all_new``); it is kept nowhere but hashed."""
    names = [user.name for user in site.users]
    fresh = {name: new_password() for name in (names if all_new else accounts.users_without_password(names))}
    for name, password in fresh.items():
        accounts.set_password(name, password)
    return fresh


def _greet(site: Site, paths: RunPaths, passwords: dict[str, str]) -> None:
    title = f" ({site.description})" if site.description else ""
    print(f"Tieline runs {site.name}{title}: {site.device_count} devices, {len(site.tags)} tags")
    for address in addresses_of(site):
        print(f"  open     {address}")
    if site.logic:
        files = len(site.logic.programs)
        print(f"  logic    {files} program file{'' if files == 1 else 's'}, {len(site.logic.tasks)} tasks")
    for name, password in passwords.items():
        print(f"  sign in  {name}  {password}")
    if passwords:
        print("           (shown only now; `tieline passwd SITE USER` sets another)")
    print(f"  state    {paths.state}")
    print(f"  logs     {paths.logs}")
    print("  stop     Ctrl-C", flush=True)


def _sweep(paths: RunPaths) -> None:
    """Sockets that parts left behind because they were killed."""
    for path in (paths.command_socket, paths.simulator_socket, paths.scan_socket):
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not empty: a part keeps something there, which is its own
        paths.runtime.rmdir()
