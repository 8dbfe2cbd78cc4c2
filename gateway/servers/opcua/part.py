"""The OPC UA server as a part: a process that serves the region's tags until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.config.accounts import Accounts
from gateway.config.part import PartContext
from gateway.config.site import Trust
from gateway.servers.opcua.certificates import TrustList, own_identity
from gateway.servers.opcua.server import OpcUaServer
from gateway.servers.opcua.sign_in import SignIn
from gateway.tags.command import Commander
from gateway.tags.history import HistorySource
from gateway.tags.image import Region

LIBRARY_LINES_PER_MINUTE = 20  # strangers can make the library log; a disk full of it would stop the site


async def run(context: PartContext, commander: Commander, history: HistorySource) -> None:
    """Serve until ``context.stop``."""
    settings = context.site.opcua
    assert settings is not None, "the site has no OPC UA server"
    hush_library()
    identity = await asyncio.to_thread(own_identity, context.paths.pki, context.site.name, settings.host)
    trust = TrustList(context.paths.pki, settings.trust is Trust.ALL)
    await asyncio.to_thread(trust.prepare)
    sign_in = SignIn(context.site.users, Accounts(context.paths.accounts))
    try:
        with Region.attach(context.region_name) as region:
            server = OpcUaServer(context.site, region, commander, history, identity, trust, sign_in)
            with _no_collection():
                await server.open()
            await server.start()
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(server.follow()), group.create_task(_take(server, context))]
                    context.ready.set()
                    await context.stop.wait()
                    for task in tasks:
                        task.cancel()
            finally:
                await server.stop()
    finally:
        sign_in.close()


async def _take(server: OpcUaServer, context: PartContext) -> None:
    """Other sites as they come."""
    while True:
        reload = await context.reloads.get()
        server.take(reload.site)
        reload.done.set_result(None)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Make what stays for ever without the collector looking, now or later.

    The standard's 6,000 nodes are a million objects: loading takes a third less, and no collection stops the loop
    for 100 ms to walk them.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


class LineLimit(logging.Filter):
    """Lets so many lines a minute through."""

    def __init__(self, lines: int) -> None:
        super().__init__()
        self._lines = lines
        self._minute = 0
        self._count = 0

    def filter(self, record: logging.LogRecord) -> bool:
        minute = int(time.monotonic() // 60)
        if minute != self._minute:
            self._minute, self._count = minute, 0
        self._count += 1
        return self._count <= self._lines


def hush_library() -> None:
    """Keep the library's loggers to warnings, and to a bounded number of them."""
    logging.getLogger("asyncua").setLevel(logging.WARNING)
    limit = LineLimit(LIBRARY_LINES_PER_MINUTE)
    for name in (
        "server.uaprocessor",
        "server.binary_server_asyncio",
        "server.internal_session",
        "uaprotocol",
    ):
        logger = logging.getLogger(f"asyncua.{name}")
        if not logger.filters:
            logger.addFilter(limit)
