"""The market's door: a Unix socket that only this user and root may use (drawn in docs/formats/market.md).

The peer's user id comes from the operating system; who may say what, the signatures prove. The door bounds what comes
in, hands it to the market's thread, and answers in the order in which it was asked.
"""

from __future__ import annotations

import asyncio
import logging
import queue
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.unix_door import UnixDoor
from historian.market_job import wire

CONNECTIONS = 64  # members' agents, and people at terminals
WAITING = 256  # requests on their way to the market's thread, of all connections
UNSENT_BYTES = 1 << 20  # answers a peer has not read: beyond this it is gone
# A connection's statements (a question counts as one): an agent re-quotes a day of 96 intervals every few seconds.
STATEMENTS_A_SECOND = 100.0
BURST = 1_000.0

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
        self._inbox = inbox
        self._door = UnixDoor(
            path,
            "the market's socket",
            self._serve_here,
            line_bytes=wire.LINE_BYTES,
            most=CONNECTIONS,
            full=wire.encode_reply(wire.Fault(f"{CONNECTIONS} connections are open")),
        )

    async def start(self) -> None:
        """Raises OSError."""
        await self._door.start()

    async def stop(self) -> None:
        """Close the door and all connections."""
        await self._door.stop()

    async def _serve_here(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._serve(reader, writer, anything, Bucket(STATEMENTS_A_SECOND, BURST), None)

    def serve(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        why_not: WhyNot,
        bucket: Bucket,
        idle_s: float | None,
    ) -> asyncio.Task[None]:
        """Answer a peer until it leaves, is silent for ``idle_s``, or `stop`."""
        return self._door.keep(self._serve(reader, writer, why_not, bucket, idle_s))

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
