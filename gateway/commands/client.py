"""Send commands to the router over its Unix socket: the `Commander` of servers and of the command line.

One connection carries all commands of a process, told apart by id. When the router's process dies midway, the
client connects again and sends the same id: the router acts once and tells the outcome it kept.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from pathlib import Path

from gateway.commands import wire
from gateway.tags.command import Command, Outcome, Refusal, Refused, TimedOut
from gateway.unix_door import peer_uid

CONNECT_PATIENCE_S = 3.0  # the supervisor has a dead router back within about 2 s
CONNECT_PAUSE_S = 0.1
OUTCOME_GRACE_S = 2.0  # after the deadline the router still has to make the outcome durable and tell it
ANSWER_PATIENCE_S = 5.0  # of the router, for what it knows
SIGN_IN_PATIENCE_S = 10.0  # a hash takes 0.1 s; others may be before us


class CommandClient:
    """A `Commander` over the socket ``path``. Use it on one event loop; `close` it at the end.

    ``server_uid``: the user who runs the site (ours where None). A socket of anybody else is not spoken to,
    so that no password goes to a stranger who made a socket of that name.
    """

    def __init__(self, path: Path, *, server_uid: int | None = None) -> None:
        self._path = path
        self._server_uids = {0, os.geteuid() if server_uid is None else server_uid}
        self._writer: asyncio.StreamWriter | None = None
        self._receiving: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()
        self._waiting: dict[str, asyncio.Future[Outcome | None]] = {}  # None: the connection was lost
        self._signing_in: asyncio.Future[bool] | None = None
        self._asking = asyncio.Lock()
        self._replied: asyncio.Future[wire.Reply] | None = None

    async def send(self, command: Command) -> Outcome:
        """What became of ``command``, at the latest `OUTCOME_GRACE_S` after its deadline.

        Trouble of the connection is an outcome too: Refused(NOT_CONNECTED) where the router was never told,
        TimedOut where it was and did not answer.
        """
        try:
            line = wire.encode_request(command)
        except wire.WireError as error:
            return Refused(Refusal.MALFORMED, error.why)
        loop = asyncio.get_running_loop()
        start = loop.time()
        left = (command.deadline_ns - time.time_ns()) / 1e9
        give_up = start + max(left, 0.0) + OUTCOME_GRACE_S
        was_sent = False
        while True:
            connect_until = give_up if was_sent else min(give_up, start + CONNECT_PATIENCE_S)
            writer = await self._connected(connect_until)
            if writer is None:
                if was_sent:
                    return TimedOut("the connection to the command router was lost and did not come back")
                return Refused(Refusal.NOT_CONNECTED, f"no command router answers at {self._path}")
            waiting = self._waiting.get(command.id)
            if waiting is None:
                waiting = self._waiting[command.id] = loop.create_future()
            writer.write(line)
            was_sent = True
            try:
                async with asyncio.timeout_at(give_up):
                    outcome = await asyncio.shield(waiting)
            except TimeoutError:
                self._waiting.pop(command.id, None)
                return TimedOut("the command router did not tell the outcome in time")
            if outcome is not None:
                return outcome

    async def sign_in(self, user: str, password: str) -> bool:
        """Prove who types: commands of origin ``cli`` need it on this connection.

        Raises ConnectionError, TimeoutError.
        """
        loop = asyncio.get_running_loop()
        writer = await self._connected(loop.time() + CONNECT_PATIENCE_S)
        if writer is None:
            raise ConnectionError(f"no command router answers at {self._path}")
        assert self._signing_in is None, "one sign-in at a time"
        self._signing_in = loop.create_future()
        try:
            writer.write(wire.encode_request(wire.SignIn(user, password)))
            async with asyncio.timeout(SIGN_IN_PATIENCE_S):
                return await self._signing_in
        finally:
            self._signing_in = None

    async def ask(self, id: str, patience_s: float = ANSWER_PATIENCE_S) -> Outcome:
        """What became of the command ``id``. Raises ConnectionError, TimeoutError where that is not known in time."""
        loop = asyncio.get_running_loop()
        waiting = self._waiting.get(id)
        if waiting is None:
            waiting = self._waiting[id] = loop.create_future()
        try:
            async with asyncio.timeout(patience_s):
                await self._say(wire.Ask(id))
                outcome = await asyncio.shield(waiting)
        except TimeoutError:
            self._waiting.pop(id, None)
            raise
        if outcome is None:
            raise ConnectionError("the command router closed the connection")
        return outcome

    async def waiting(self) -> tuple[wire.Waiting, ...]:
        """The commands that wait for a second person. Raises ConnectionError, TimeoutError."""
        reply = await self._asked(wire.ListWaiting())
        assert isinstance(reply, wire.WaitingList), reply
        return reply.commands

    async def confirm(self, word: wire.Confirm) -> str:
        """A second person's word; empty, or why it does not count. Raises ConnectionError, TimeoutError."""
        reply = await self._asked(word)
        assert isinstance(reply, wire.Confirmed), reply
        return reply.why

    async def _say(self, request: wire.Request) -> None:
        writer = await self._connected(asyncio.get_running_loop().time() + CONNECT_PATIENCE_S)
        if writer is None:
            raise ConnectionError(f"no command router answers at {self._path}")
        writer.write(wire.encode_request(request))

    async def _asked(self, request: wire.ListWaiting | wire.Confirm) -> wire.Reply:
        """One such question at a time: its answer is the next of its kind."""
        async with self._asking, asyncio.timeout(ANSWER_PATIENCE_S):
            self._replied = asyncio.get_running_loop().create_future()
            try:
                await self._say(request)
                return await self._replied
            finally:
                self._replied = None

    async def close(self) -> None:
        """End the connection; commands under way go on in the router."""
        if self._receiving is not None:
            self._receiving.cancel()
            with suppress(asyncio.CancelledError):
                await self._receiving
            self._receiving = None

    async def _connected(self, until: float) -> asyncio.StreamWriter | None:
        """The connection, made again where it was lost; None where that did not work until then."""
        loop = asyncio.get_running_loop()
        async with self._connecting:
            while self._writer is None or self._writer.is_closing():
                try:
                    reader, writer = await asyncio.open_unix_connection(
                        str(self._path), limit=wire.LINE_BYTES
                    )
                except OSError:
                    if loop.time() + CONNECT_PAUSE_S >= until:
                        return None
                    await asyncio.sleep(CONNECT_PAUSE_S)
                    continue
                if peer_uid(writer) not in self._server_uids:
                    await _closed(writer)
                    return None
                self._writer = writer
                self._receiving = asyncio.create_task(self._receive(reader, writer))
            return self._writer

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand each outcome to who waits for it; when the connection ends, tell them all."""
        try:
            while line := await reader.readline():
                match wire.decode_reply(line):
                    case wire.Answer(id, outcome):
                        waiting = self._waiting.pop(id, None)
                        if waiting is not None and not waiting.done():
                            waiting.set_result(outcome)
                    case wire.SignedIn(_, ok):
                        if self._signing_in is not None and not self._signing_in.done():
                            self._signing_in.set_result(ok)
                    case wire.Confirmed() | wire.WaitingList() as reply:
                        if self._replied is not None and not self._replied.done():
                            self._replied.set_result(reply)
                    case wire.Fault(why):
                        raise wire.WireError(why)
        except (OSError, ValueError, wire.WireError):
            pass  # whatever ended it, those who wait connect again or give up
        finally:
            if self._writer is writer:
                self._writer = None
            lost, self._waiting = self._waiting, {}
            for waiting in lost.values():
                if not waiting.done():
                    waiting.set_result(None)
            if self._signing_in is not None and not self._signing_in.done():
                self._signing_in.set_exception(ConnectionError("the command router closed the connection"))
            if self._replied is not None and not self._replied.done():
                self._replied.set_exception(ConnectionError("the command router closed the connection"))
            await _closed(writer)


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):  # it may have been lost before
        await writer.wait_closed()
