"""The market's door: a Unix socket that only this user and root may use (drawn in docs/formats/market.md).

The peer's user id comes from the operating system; who may say what, the signatures prove. The door bounds what comes
in, hands it to the market's thread, and answers in the order in which it was asked.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from historian.market_job import wire

CONNECTIONS = 64  # members' agents, and people at terminals
WAITING = 256  # requests on their way to the market's thread, of all connections
UNSENT_BYTES = 1 << 20  # answers a peer has not read: beyond this it is gone
# A connection's statements (a question counts as one): an agent re-quotes a day of 96 intervals every few seconds.
STATEMENTS_A_SECOND = 100.0
BURST = 1_000.0
_BACKLOG = 16

log = logging.getLogger(__name__)


class Bucket:
    """How much may still pass: ``rate`` more a second, ``burst`` at most. Time in seconds is passed in."""

    __slots__ = ("_at", "_burst", "_left", "rate")

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self._burst = burst
        self._left = burst
        self._at = 0.0

    def take(self, count: float, now: float) -> bool:
        """Whether so much passes; what does not is not counted."""
        self._left = min(self._burst, self._left + max(now - self._at, 0.0) * self.rate)
        self._at = now
        if self._left < count:
            return False
        self._left -= count
        return True


@dataclass(frozen=True, slots=True)
class Asked:
    """A request and where its answer goes."""

    request: wire.Request
    answer: asyncio.Future[wire.Reply]
    loop: asyncio.AbstractEventLoop

    def reply(self, reply: wire.Reply) -> None:
        """From any thread."""
        with suppress(RuntimeError):  # the loop is closed: the part ends
            self.loop.call_soon_threadsafe(self._set, reply)

    def _set(self, reply: wire.Reply) -> None:
        if not self.answer.done():
            self.answer.set_result(reply)


Inbox = queue.Queue[Asked]
WhyNot = Callable[[wire.Request], str]  # why it may not be asked at this door; empty where it may


def anything(_: wire.Request) -> str:
    """Whoever is let in here may ask all."""
    return ""


def make_inbox() -> Inbox:
    """What waits for the market's thread."""
    return queue.Queue(WAITING)


class Door:
    """Open at ``path`` between `start` and `stop`."""

    def __init__(self, path: Path, inbox: Inbox) -> None:
        self._path = path
        self._inbox = inbox
        self._server: asyncio.Server | None = None
        self._peers: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Raises OSError. A socket left by a market that died is replaced."""
        self._path.unlink(missing_ok=True)
        door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        door.setblocking(False)
        door.bind(str(self._path))
        self._path.chmod(0o600)  # before listen(): nobody can have connected yet
        self._server = await asyncio.start_unix_server(
            self._meet, sock=door, limit=wire.LINE_BYTES, backlog=_BACKLOG
        )

    async def stop(self) -> None:
        """Close the door and all connections."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._path.unlink(missing_ok=True)
        for peer in list(self._peers):
            peer.cancel()
        if self._peers:
            await asyncio.wait(self._peers)

    def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        uid = peer_uid(writer)
        if self._server is None:
            writer.close()
        elif uid not in (0, os.geteuid()):
            log.warning("user id %d was turned away from the market's socket", uid)
            writer.close()
        elif len(self._peers) >= CONNECTIONS:
            writer.write(wire.encode_reply(wire.Fault(f"{CONNECTIONS} connections are open")))
            writer.close()
        else:
            self.serve(reader, writer, anything, Bucket(STATEMENTS_A_SECOND, BURST), None)

    def serve(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        why_not: WhyNot,
        bucket: Bucket,
        idle_s: float | None,
    ) -> asyncio.Task[None]:
        """Answer a peer until it leaves, is silent for ``idle_s``, or `stop`."""
        peer = asyncio.create_task(self._serve(reader, writer, why_not, bucket, idle_s))
        self._peers.add(peer)
        peer.add_done_callback(self._peers.discard)
        return peer

    async def _serve(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        why_not: WhyNot,
        bucket: Bucket,
        idle_s: float | None,
    ) -> None:
        try:
            while True:
                async with asyncio.timeout(idle_s):  # not wait_for: until 3.12 it can lose a cancellation
                    line = await reader.readline()
                if not line.endswith(b"\n"):
                    return
                reply = await self._answer(line, bucket, why_not)
                if writer.transport.get_write_buffer_size() > UNSENT_BYTES:
                    writer.transport.abort()
                    return
                writer.write(wire.encode_reply(reply))
                if isinstance(reply, wire.Fault):
                    return
        except ValueError:  # StreamReader's word for a line beyond its limit
            writer.write(wire.encode_reply(wire.Fault(f"a line has at most {wire.LINE_BYTES} bytes")))
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass  # the peer is gone or silent, or `stop`: nobody else waits for this task
        finally:
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _answer(self, line: bytes, bucket: Bucket, why_not: WhyNot) -> wire.Reply:
        try:
            request = wire.decode_request(line)
        except wire.WireError as error:
            return wire.Turned(error.id, "malformed", error.why) if error.id else wire.Fault(error.why)
        if why := why_not(request):
            return wire.Turned(request.id, "not_allowed", why)
        loop = asyncio.get_running_loop()
        count = len(request.bundle.statements) if isinstance(request, wire.Submit) else 1
        if not bucket.take(count, loop.time()):
            why = f"more than {bucket.rate:g} statements a second on this connection: ask again later"
            return wire.Turned(request.id, "busy", why)
        asked = Asked(request, loop.create_future(), loop)
        try:
            self._inbox.put_nowait(asked)
        except queue.Full:
            return wire.Turned(request.id, "busy", f"{WAITING} requests wait already: ask again later")
        return await asked.answer


def peer_uid(writer: asyncio.StreamWriter) -> int:
    """Who is at the other end, as the operating system knows it (unix(7), SO_PEERCRED)."""
    raw = writer.get_extra_info("socket").getsockopt(
        socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")
    )
    _pid, uid, _gid = struct.unpack("3i", raw)
    assert isinstance(uid, int)
    return uid
