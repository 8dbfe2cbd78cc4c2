"""A part's own process: it beats while its loop turns, ends on SIGTERM, and does not outlive the root."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import uvloop

from gateway.config.part import PartContext, Reload
from gateway.node.launch import (
    BEAT,
    BEAT_PERIOD_S,
    READY,
    STUCK,
    TAKEN,
    Launch,
    receive_site,
    shared_site,
)
from gateway.node.logs import log_to
from gateway.tags import image

Runner = Callable[[PartContext], Awaitable[None]]

ROOT_GONE_PATIENCE_S = 4.0  # a part has 3 s to end; after that it ends without its consent
EXIT_ROOT_GONE = 70  # sysexits.h, EX_SOFTWARE
_PR_SET_PDEATHSIG = 1  # prctl(2)
_PR_SET_NAME = 15

log = logging.getLogger(__name__)


def run_part(launch: Launch, runner: Runner) -> int:
    """Run ``runner`` as the part of ``launch`` until SIGTERM or the death of the root; returns the exit status."""
    tie_to_root(launch.part, launch.root)
    log_to(launch.paths.logs, launch.part)
    site = shared_site(launch.site)
    os.set_blocking(launch.pipe, False)
    threading.Thread(target=_outlive_root_briefly, args=(launch,), name="root guard", daemon=True).start()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
            return loop.run(
                _live(
                    launch,
                    runner,
                    PartContext(site, launch.paths, launch.region, asyncio.Event(), asyncio.Event()),
                )
            )
    finally:
        if os.getppid() != launch.root:
            image.remove_stale(launch.region)


async def _live(launch: Launch, runner: Runner, context: PartContext) -> int:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, context.stop.set)
    beating = asyncio.create_task(_beat(launch, context))
    log.info("started as process %d", os.getpid())
    with socket.socket(fileno=launch.control) as control:
        control.setblocking(False)
        loop.add_reader(control, _hear, control, context)
        try:
            await runner(context)
        finally:
            beating.cancel()
            loop.remove_reader(control)
    if context.stop.is_set():
        log.info("ended")
        return 0
    log.error("ended without being told to")
    return 1


def _hear(control: socket.socket, context: PartContext) -> None:
    """A site from the root: it goes to the part, whose answer is told once there is one."""
    loop = asyncio.get_running_loop()
    try:
        site = receive_site(control)
    except BlockingIOError:
        return
    if site is None:
        loop.remove_reader(control)
        return

    def answer(done: asyncio.Future[None]) -> None:
        with suppress(OSError):  # the root has gone, or this part ends
            control.send(TAKEN)

    reload = Reload(site, loop.create_future())
    reload.done.add_done_callback(answer)
    context.reloads.put_nowait(reload)


async def _beat(launch: Launch, context: PartContext) -> None:
    was_ready = False
    while True:
        message = STUCK if was_ready and context.progress.is_stuck(BEAT_PERIOD_S) else BEAT
        if context.ready.is_set() and not was_ready:
            was_ready = True
            message = READY
        # A full pipe means that the root has not looked for minutes: it does not miss this beat.
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(launch.pipe, message)
        if was_ready:
            await asyncio.sleep(BEAT_PERIOD_S)
        else:
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT_PERIOD_S):
                    await context.ready.wait()


def tie_to_root(name: str, root: int) -> None:
    """Get SIGTERM when the root dies, even by kill -9; a terminal's Ctrl-C is the root's alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NAME, f"tl-{name}".encode()[:15], 0, 0, 0)
    libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != root:  # it died before it could be told
        sys.exit(EXIT_ROOT_GONE)


def _outlive_root_briefly(launch: Launch) -> None:
    """In a thread of its own: when the root's end of the pipe closes, this process has a short time left."""
    watch = select.poll()
    watch.register(launch.pipe, 0)  # POLLERR always counts: the reading end is closed
    watch.poll()
    time.sleep(ROOT_GONE_PATIENCE_S)
    image.remove_stale(launch.region)
    os._exit(EXIT_ROOT_GONE)
