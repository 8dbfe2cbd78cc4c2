"""The router's door: a Unix socket that only this user and root may use (drawn in docs/formats/commands.md).

A command of origin ``cli`` also needs a sign-in on its
connection, since whoever sits at this machine's terminal is not yet a user of the site; servers sign their users
in themselves.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from pathlib import Path

from gateway.commands import wire
from gateway.commands.router import EMERGENCIES, RUNNING_COMMANDS, Router
from gateway.config.accounts import Accounts, AccountsError
from gateway.tags.command import Command, Refusal, Refused
from gateway.unix_door import UnixDoor, peer_uid

CONNECTIONS = 64  # a connection a process: servers, and people at terminals
SIGN_INS = 3  # a connection; each costs a hash
UNSENT_BYTES = 1 << 20  # answers a peer has not read: beyond this it is gone

log = logging.getLogger(__name__)


class CommandServer:
    """Serves ``router`` at ``path`` between `start` and `stop`."""

    def __init__(self, path: Path, router: Router, accounts: Accounts) -> None:
        self._router = router
        self._accounts = accounts
        self._door = UnixDoor(
            path,
            "the command socket",
            self._serve,
            line_bytes=wire.LINE_BYTES,
            most=CONNECTIONS,
            full=wire.encode_reply(wire.Fault(f"{CONNECTIONS} connections are open")),
        )

    async def start(self) -> None:
        """Raises OSError."""
        await self._door.start()

    async def stop(self) -> None:
        """Close the door and all connections; commands under way are the router's to end."""
        await self._door.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _Peer(self._router, self._accounts, reader, writer).serve()
        except (ConnectionError, asyncio.CancelledError):
            pass  # the peer is gone, or `stop`: nobody else waits for this task
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


class _Peer:
    """One connection."""

    def __init__(
        self, router: Router, accounts: Accounts, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._router = router
        self._accounts = accounts
        self._reader = reader
        self._writer = writer
        self._signed_in: set[str] = set()
        self._sign_ins = 0
        self._answering: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Until the peer closes its side or breaks the protocol. Commands under way go on without it."""
        try:
            while True:
                line = await self._reader.readline()
                if not line.endswith(b"\n"):
                    return
                await self._take(line)
        except ValueError:  # StreamReader's word for a line beyond its limit
            self._say(wire.Fault(f"a line has at most {wire.LINE_BYTES} bytes"))
        except wire.WireError as error:
            self._say(wire.Fault(error.why))
        finally:
            for answering in self._answering:
                answering.cancel()

    async def _take(self, line: bytes) -> None:
        try:
            request = wire.decode_request(line)
        except wire.WireError as error:
            if not error.id:
                raise
            self._say(wire.Answer(error.id, Refused(Refusal.MALFORMED, error.why)))
            return
        if isinstance(request, wire.SignIn):
            await self._sign_in(request)
        elif isinstance(request, wire.Note):
            self._say(wire.Noted(await self._router.note(request, peer_uid(self._writer))))
        elif isinstance(request, wire.ListWaiting):
            self._say(wire.WaitingList(tuple(self._router.waiting())))
        elif isinstance(request, wire.Confirm):
            self._say(wire.Confirmed(request.id, await self._confirm(request)))
        elif len(self._answering) >= _most_answers(self._router, request):
            why = f"{RUNNING_COMMANDS} commands of this connection are under way"
            self._say(wire.Answer(request.id, Refused(Refusal.BUSY, why)))
        else:
            answer = self._tell(request) if isinstance(request, wire.Ask) else self._answer(request)
            answering = asyncio.create_task(answer)
            self._answering.add(answering)
            answering.add_done_callback(self._answering.discard)

    async def _sign_in(self, request: wire.SignIn) -> None:
        self._sign_ins += 1
        if self._sign_ins > SIGN_INS:
            raise wire.WireError(f"{SIGN_INS} sign-ins failed")
        try:
            ok = await asyncio.to_thread(self._accounts.verify, request.user, request.password)
        except AccountsError as error:
            log.error("%s", error)
            ok = False
        if ok:
            self._signed_in.add(request.user)
            self._sign_ins = 0
        else:
            log.warning("a sign-in of %r at the command socket failed", request.user)
        self._say(wire.SignedIn(request.user, ok))

    async def _confirm(self, word: wire.Confirm) -> str:
        if word.origin == "cli" and word.user not in self._signed_in:
            return f"{word.user!r} has not signed in on this connection"
        return await self._router.confirm(word)

    async def _tell(self, ask: wire.Ask) -> None:
        outcome = await self._router.outcome_of(ask.id)
        if outcome is None:
            outcome = Refused(Refusal.EXPIRED, "no command of this id is known, or not any more")
        self._say(wire.Answer(ask.id, outcome))

    async def _answer(self, command: Command) -> None:
        needs_sign_in = command.origin == "cli" and command.user not in self._signed_in
        if needs_sign_in and self._router.known(command) is None:
            outcome = await self._router.refuse(
                command, Refusal.NOT_AUTHORISED, f"{command.user!r} has not signed in on this connection"
            )
            self._say(wire.Answer(command.id, outcome))
        else:
            self._say(wire.Answer(command.id, await self._router.send(command)))

    def _say(self, reply: wire.Reply) -> None:
        if self._writer.transport.get_write_buffer_size() > UNSENT_BYTES:
            self._writer.transport.abort()
        else:
            self._writer.write(wire.encode_reply(reply))


def _most_answers(router: Router, request: Command | wire.Ask) -> int:
    """How many commands of a connection may be under way: for emergencies there is room beyond."""
    is_emergency = isinstance(request, Command) and router.is_emergency(request)
    return RUNNING_COMMANDS + EMERGENCIES if is_emergency else RUNNING_COMMANDS
