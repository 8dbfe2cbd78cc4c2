"""The door for other sites: TLS 1.3, a pinned certificate each, and only requests by the site's own key."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gateway.config.market import MarketListen, MarketPeer
from gateway.config.tls import TlsError, tls_trouble
from historian.ledger.entry import signer_of
from historian.market_job import wire
from historian.market_job.door import Bucket, Door
from historian.market_job.peers import security

CONNECTIONS = 4  # of one site: one is in use, others may hang after the link was cut; the oldest goes first
HANDSHAKE_S = 10.0
HANDSHAKES, HANDSHAKES_OF_ADDRESS = (
    32,
    8,
)  # under way: whoever begins more and ends none takes no files from us
STATEMENTS_A_SECOND, BURST = 20.0, 200.0  # and questions, of one site on all its connections
IDLE_S = 60.0  # a site asks every few seconds; one that is silent for so long is gone
REOPEN_S = 10.0  # a door that cannot be opened is tried again so often: the market does not wait for it
PAUSE_S = 1.0  # where a connection cannot be taken (no files left, say)
TELL_S = 60.0
BACKLOG = 16

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Locks:
    """Whom the door opens to: by the files as they were when they were read."""

    stamps: tuple[tuple[int, int, int], ...]
    context: ssl.SSLContext
    known: Mapping[bytes, str]


class PeerDoor:
    """Open between `start` and `stop`, or tried again and again: a market without it trades all the same."""

    def __init__(self, listen: MarketListen, peers: tuple[MarketPeer, ...], state: Path, door: Door) -> None:
        self._listen = listen
        self._peers = {peer.name: peer for peer in peers}
        self._state = state
        self._door = door
        self._opening: asyncio.Task[None] | None = None
        self._meetings: set[asyncio.Task[None]] = set()
        self._shaking: Counter[str] = Counter()
        self._served: dict[str, deque[asyncio.Task[None]]] = {name: deque() for name in self._peers}
        self._buckets = {name: Bucket(STATEMENTS_A_SECOND, BURST) for name in self._peers}
        self._locks: _Locks | None = None
        self._strangers = 0
        self._tell_at = 0.0
        self.port = 0  # which is known once it is open
        self.error = ""

    def start(self) -> None:
        """Open it, now or later."""
        self._opening = asyncio.create_task(self._keep_open())

    async def stop(self) -> None:
        """Close it; connections that are served are the local door's to close."""
        tasks = [task for task in (self._opening, *self._meetings) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # ------------------------------------------------------------ the door

    async def _keep_open(self) -> None:
        while True:
            try:
                self._unlock()
                listener = socket.create_server(
                    (self._listen.host, self._listen.port), family=_family(self._listen.host), backlog=BACKLOG
                )
            except (OSError, TlsError) as error:
                self._complain(f"no door for other sites: {error}")
                await asyncio.sleep(REOPEN_S)
                continue
            with listener:
                listener.setblocking(False)
                self.port = listener.getsockname()[1]
                log.info("other sites reach this one at port %d", self.port)
                await self._accept(listener)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, (address, *_) = await loop.sock_accept(listener)
            except OSError as error:
                self._complain(f"no other site is let in: {error}")
                await asyncio.sleep(PAUSE_S)
                continue
            if self._shaking.total() >= HANDSHAKES or self._shaking[address] >= HANDSHAKES_OF_ADDRESS:
                connection.close()
                continue
            self._shaking[address] += 1
            meeting = asyncio.create_task(self._meet(connection, address))
            self._meetings.add(meeting)
            meeting.add_done_callback(self._meetings.discard)

    def _complain(self, error: str) -> None:
        if error and error != self.error:
            log.error("%s", error)
        self.error = error

    def _unlock(self) -> _Locks:
        """By the certificates as they are in their files now. Raises TlsError, where they never were good."""
        listen = self._listen
        own = self._state / listen.certificate, self._state / listen.key
        files = {name: self._state / peer.certificate for name, peer in self._peers.items()}
        stamps = tuple(map(_stamp, (*own, *files.values())))
        locks = self._locks
        if locks is not None and locks.stamps == stamps:
            return locks
        try:
            known, bad = {}, []
            for name, file in files.items():
                try:
                    known[security.fingerprint(file)] = name
                except TlsError as error:
                    bad.append(f"{name} is not let in: {error}")
            if not known:
                raise TlsError("; ".join(bad))
            context = security.door(*own, [files[name] for name in known.values()])
        except TlsError as error:
            if locks is None:
                raise
            self._complain(f"the door for other sites opens as before: {error}")
            return locks
        self._complain("; ".join(bad))
        self._locks = _Locks(stamps, context, known)
        return self._locks

    # ------------------------------------------------------------ who comes

    async def _meet(self, connection: socket.socket, address: str) -> None:
        """The handshake; who is known is then served by the local door."""
        locks = self._unlock()
        reader = asyncio.StreamReader(limit=wire.LINE_BYTES)
        protocol = asyncio.StreamReaderProtocol(reader)
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol,
                connection,
                ssl=locks.context,
                ssl_handshake_timeout=HANDSHAKE_S,
                ssl_shutdown_timeout=1.0,
            )
        except OSError as error:
            self._turned_away(address, tls_trouble(error) if isinstance(error, ssl.SSLError) else str(error))
            return
        finally:
            self._shaking[address] -= 1
            if not self._shaking[address]:
                del self._shaking[address]
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        name = locks.known.get(security.shown(writer.get_extra_info("ssl_object")))
        if name is None:  # signed by one that is pinned, and not pinned itself
            self._turned_away(address, "its certificate is not pinned")
            writer.close()
            return
        self._serve(name, reader, writer)

    def _turned_away(self, address: str, why: str) -> None:
        """Told once a minute: who knocks all the time does not fill the disk."""
        self._strangers += 1
        now = asyncio.get_running_loop().time()
        if now >= self._tell_at:
            count, self._strangers, self._tell_at = self._strangers, 0, now + TELL_S
            log.warning("%d were turned away from the door for other sites, %s last: %s", count, address, why)

    def _serve(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        may = partial(why_not, self._peers[name].public_key)
        served = self._served[name]
        served.append(self._door.serve(reader, writer, may, self._buckets[name], IDLE_S))
        for task in [task for task in served if task.done()]:
            served.remove(task)
        while len(served) > CONNECTIONS:
            served.popleft().cancel()


def _stamp(file: Path) -> tuple[int, int, int]:
    """Changes with the file; of one that is not there, nothing."""
    try:
        found = file.stat()
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_mtime_ns, found.st_size


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


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
