"""The HMI part: attach to the region, serve the page, end in order."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
import time
from collections.abc import Iterator

import uvicorn

from gateway.config.accounts import Accounts, AccountsError
from gateway.config.part import PartContext
from gateway.config.site import HmiSettings
from gateway.tags.image import Region
from historian.query.history import History
from hmi.feed import Feed
from hmi.server import FEED_MESSAGE_BYTES, Web
from hmi.sessions import Sessions

GRACE_S = 1  # for open requests at the end; a stalled WebSocket would otherwise hold the server for ever
PING_S = 10.0  # a browser that has vanished is noticed after two of these
BACKLOG = 128
# What the kernel holds for a page that has stalled is sent before anything fresh: 10 s of the demo, not megabytes.
SEND_BUFFER_BYTES = 256 * 1024
SESSIONS_FILE = "hmi-sessions.json"
SWEEP_S = 2.0  # how long a page may outlive its session

log = logging.getLogger(__name__)


async def run(context: PartContext) -> None:
    """Serve until ``context.stop``. Raises RegionError when the region is gone, OSError when the port is taken."""
    settings = context.site.hmi
    assert settings is not None, "this site has no HMI"
    accounts = Accounts(context.paths.accounts)
    sessions = Sessions(context.paths.runtime / SESSIONS_FILE, time.time, accounts.seal)
    sessions.load({user.name for user in context.site.users})
    with (
        Region.attach(context.region_name) as region,
        _listen(settings) as listening,
        contextlib.closing(History(context.paths.history)) as history,
    ):
        feed = Feed(region, context.site)
        web = Web(context.site, feed, sessions, accounts, history)
        server = _Server(
            uvicorn.Config(
                web.application(),
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                backlog=BACKLOG,
                timeout_graceful_shutdown=GRACE_S,
                ws_max_size=FEED_MESSAGE_BYTES,
                ws_ping_interval=PING_S,
                ws_ping_timeout=PING_S,
                ws_per_message_deflate=False,  # 25 KB/s a page on a local network is cheaper than zlib for each
            )
        )
        sweeping = asyncio.create_task(_sweep(sessions))
        try:
            following = asyncio.create_task(_follow(web, context))
            await _serve(server, listening, feed, following, context)
        finally:
            sweeping.cancel()


async def _follow(web: Web, context: PartContext) -> None:
    """Take other sites as they come."""
    while True:
        reload = await context.reloads.get()
        web.follow(reload.site)
        reload.done.set_result(None)


async def _sweep(sessions: Sessions) -> None:
    """An open page of somebody who is no longer signed in is cut off within SWEEP_S."""
    while True:
        await asyncio.sleep(SWEEP_S)
        try:
            sessions.sweep()
        except AccountsError as error:
            log.error("sessions cannot be checked against the accounts: %s", error)


async def _serve(
    server: _Server,
    listening: socket.socket,
    feed: Feed,
    following: asyncio.Task[None],
    context: PartContext,
) -> None:
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    feeding = asyncio.create_task(feed.run())
    starting = asyncio.create_task(server.has_started.wait())
    stopping = asyncio.create_task(context.stop.wait())
    try:
        await asyncio.wait({serving, feeding, starting}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            context.ready.set()
            log.info("the page is at http://%s:%d", *listening.getsockname()[:2])
        await asyncio.wait({serving, feeding, following, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        server.should_exit = True
        await serving
        server.cut_off()
        for task in (feeding, following, starting, stopping):
            task.cancel()
        await asyncio.gather(starting, stopping, return_exceptions=True)
        for task in (feeding, following):
            with contextlib.suppress(asyncio.CancelledError):
                await task  # raises what ended it


class _Server(uvicorn.Server):
    """uvicorn as a guest: the signals are the composition root's, and so is the end of stalled connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.has_started = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.has_started.set()

    def cut_off(self) -> None:
        """Drop the connections that outlasted the grace, with whatever they had still to send."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()


def _listen(settings: HmiSettings) -> socket.socket:
    """Bind before uvicorn does, whose answer to a taken port is to exit the process."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    if not ipaddress.ip_address(address[0]).is_loopback:
        log.warning(
            "the page is open to the network at %s without TLS: passwords travel in the clear", settings.host
        )
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(
        socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES
    )  # accepted sockets inherit it
    try:
        listening.bind(address)
    except OSError:
        listening.close()
        raise
    listening.setblocking(False)
    return listening
