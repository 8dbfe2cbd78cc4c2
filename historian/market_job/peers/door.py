"""The door for other sites: TLS 1.3, a pinned certificate each, and only requests by the site's own key."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from gateway.config.market import MarketListen, MarketPeer
from gateway.config.tls import TlsError
from historian.ledger.entry import signer_of
from historian.market_job import wire
from historian.market_job.door import Door
from historian.market_job.peers import security

CONNECTIONS = 4  # of one site: one is in use, others may hang after the link was cut
HANDSHAKE_S = 10.0
IDLE_S = 60.0  # a site asks every few seconds; one that is silent for so long is gone
REOPEN_S = 10.0  # a door that cannot be opened is tried again so often: the market does not wait for it

log = logging.getLogger(__name__)


class PeerDoor:
    """Open between `start` and `stop`, or tried again and again: a market without it trades all the same."""

    def __init__(self, listen: MarketListen, peers: tuple[MarketPeer, ...], state: Path, door: Door) -> None:
        self._listen = listen
        self._peers = peers
        self._state = state
        self._door = door
        self._server: asyncio.Server | None = None
        self._opening: asyncio.Task[None] | None = None
        self._open: dict[str, int] = {}
        self.port = 0  # which is known once it is open
        self.error = ""

    def start(self) -> None:
        """Open it, now or later."""
        self._opening = asyncio.create_task(self._keep_opening())

    async def stop(self) -> None:
        """Close it; connections are the local door's to close."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        if self._server is not None:
            self._server.close()

    async def _keep_opening(self) -> None:
        while True:
            try:
                await self._start()
            except (OSError, TlsError) as error:
                if str(error) != self.error:
                    log.error("no door for other sites: %s", error)
                self.error = str(error)
                await asyncio.sleep(REOPEN_S)
            else:
                self.error = ""
                return

    async def _start(self) -> None:
        pinned = {peer.name: self._state / peer.certificate for peer in self._peers}
        known = {security.fingerprint(file): name for name, file in pinned.items()}
        listen = self._listen
        context = security.door(self._state / listen.certificate, self._state / listen.key, pinned.values())
        self._server = await asyncio.start_server(
            partial(self._meet, known),
            listen.host,
            listen.port,
            ssl=context,
            ssl_handshake_timeout=HANDSHAKE_S,
            ssl_shutdown_timeout=1.0,
            limit=wire.LINE_BYTES,
            backlog=16,
        )
        self.port = self._server.sockets[0].getsockname()[1]
        log.info("other sites reach this one at port %d", self.port)

    async def _meet(
        self, known: Mapping[bytes, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        name = known.get(security.shown(writer.get_extra_info("ssl_object")))
        if name is None:  # signed by one that is pinned, and not pinned itself
            log.warning("a certificate that is not pinned was turned away from the door for other sites")
            writer.close()
            return
        if self._open.get(name, 0) >= CONNECTIONS:
            writer.write(wire.encode_reply(wire.Fault(f"{CONNECTIONS} connections of {name} are open")))
            writer.close()
            return
        self._open[name] = self._open.get(name, 0) + 1
        key = next(peer.public_key for peer in self._peers if peer.name == name)
        try:
            await self._door.serve(reader, writer, partial(why_not, key), IDLE_S)
        finally:
            self._open[name] -= 1


def why_not(key: bytes, request: wire.Request) -> str:
    """Why a site with this key may not ask that; empty where it may."""
    match request:
        case wire.Submit(_, bundle):
            # Who forges the site's key gets as far as the ledger, which refuses it on the record.
            is_own = all(signer_of(statement) == key for statement in bundle.statements)
            return "" if is_own else "a site says only what it signed itself"
        case wire.AskTerms(_, asked) | wire.AskOrders(_, asked):
            return "" if asked == key else "a site asks of itself only"
        case _:
            return "that is this site's own business"
