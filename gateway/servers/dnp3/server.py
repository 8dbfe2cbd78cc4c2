"""The outstation on TCP or TLS: connections, who may connect, and the clock of each association."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable

from gateway.config.dnp3 import Outstation, OutstationMaster
from gateway.config.tls import server_context
from gateway.servers.dnp3.association import Association, Broadcast, Effect, Operate, Send
from gateway.servers.dnp3.control import ControlPoints, Status, Wish
from gateway.servers.dnp3.database import Database
from gateway.servers.dnp3.link import NO_CONFIRM, Fragment, Link
from gateway.tags.command import (
    Command,
    Commander,
    Done,
    Failed,
    Outcome,
    Refusal,
    Refused,
    Selected,
    Step,
    TimedOut,
)

READ_BYTES = 4096
FIRST_WORDS_S = 10.0  # from connecting to the first frame of a known master
MOST_CONNECTIONS = 32
MOST_UNSENT = 1 << 20  # octets a master may leave unread before it is taken for gone
PACE_S = 1.0  # of looking for what is due where nothing says when

log = logging.getLogger(__name__)

_REFUSALS = {
    Refusal.NOT_AUTHORISED: Status.NOT_AUTHORIZED,
    Refusal.NOT_WRITABLE: Status.NOT_SUPPORTED,
    Refusal.UNKNOWN_TAG: Status.NOT_SUPPORTED,
    Refusal.WRONG_TYPE: Status.FORMAT_ERROR,
    Refusal.OUT_OF_LIMITS: Status.OUT_OF_RANGE,
    Refusal.EXPIRED: Status.TIMEOUT,
    Refusal.BUSY: Status.ALREADY_ACTIVE,
    Refusal.HELD: Status.AUTOMATION_INHIBIT,  # the site's logic holds the point
    Refusal.INTERLOCKED: Status.AUTOMATION_INHIBIT,
    Refusal.NOT_IN_CONTROL: Status.LOCAL,
    Refusal.NOT_SELECTED: Status.NO_SELECT,
    Refusal.SELECTED: Status.ALREADY_ACTIVE,
    Refusal.TOO_SOON: Status.PROCESSING_LIMITED,
    Refusal.NOT_CONFIRMED: Status.NOT_AUTHORIZED,
}


class _Connection:
    """A master's connection: its link, and the writer that a newer one of the same master closes."""

    def __init__(self, address: int, writer: asyncio.StreamWriter) -> None:
        self.link = Link(address)
        self.writer = writer
        self.heard_at = time.monotonic()
        self.is_asked = False

    def send(self, data: bytes) -> None:
        if self.writer.transport.get_write_buffer_size() > MOST_UNSENT:
            log.warning("master %s reads nothing: its connection is closed", self.link.master)
            self.writer.transport.abort()
            return
        self.writer.write(data)


class OutstationServer:
    """Serves ``database``. `open` it, `run` it, and set `changed` after updates of the database."""

    def __init__(
        self,
        config: Outstation,
        database: Database,
        commander: Commander,
        *,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._config = config
        self._commander = commander
        self._wall_ns = wall_ns
        controls = ControlPoints(config.points)
        self._masters = {one.address: one for one in config.masters}
        self.associations: dict[int, Association] = {
            one.address: Association(
                config, one, database, controls, wall_ms=lambda: self._wall_ns() // 1_000_000
            )
            for one in config.masters
        }
        self._connections: dict[int, _Connection] = {}
        self._open: dict[asyncio.Task[None], _Connection] = {}
        self._commands: set[asyncio.Task[None]] = set()
        self.changed = asyncio.Event()  # set it when points were updated
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """Where it listens; for a port of 0 the one that was taken."""
        assert self._server is not None, "the server is not open"
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def connected(self) -> frozenset[int]:
        """Addresses of the masters that are connected."""
        return frozenset(self._connections)

    async def open(self) -> None:
        """Listen. Raises OSError, and TlsError for certificates that can not be used."""
        context = None if self._config.tls is None else server_context(self._config.tls)
        self._server = await asyncio.start_server(
            self._serve, self._config.host, self._config.port, ssl=context
        )

    async def close(self) -> None:
        """End all connections; commands under way go on at the router, but nobody is told of them."""
        if self._server is not None:
            self._server.close()
        for connection in self._open.values():
            connection.writer.transport.abort()
        for task in self._commands:
            task.cancel()
        await asyncio.gather(*self._open, *self._commands, return_exceptions=True)

    async def run(self) -> None:
        """Send what is due, until cancelled."""
        while True:
            self.changed.clear()
            now = time.monotonic()
            due: float = now + PACE_S
            for address, connection in tuple(self._connections.items()):
                association = self.associations[address]
                self._do(address, association.tick(now))
                self._keep_alive(connection, now)
                deadline = association.deadline()
                if deadline is not None:
                    due = min(due, deadline)
            try:
                async with asyncio.timeout(max(due - time.monotonic(), 0.001)):
                    await self.changed.wait()
            except TimeoutError:
                continue

    def _keep_alive(self, connection: _Connection, now: float) -> None:
        """Ask a silent master for its link status; one that does not answer that either is gone."""
        silent_s = now - connection.heard_at
        limit_s = self._config.keep_alive_ms / 1000
        if silent_s > limit_s + self._config.confirm_timeout_ms / 1000:
            log.warning("master %s does not answer: its connection is closed", connection.link.master)
            connection.writer.transport.abort()
        elif silent_s > limit_s and not connection.is_asked:
            connection.is_asked = True
            connection.send(connection.link.ask_status())

    # ── connections ────────────────────────────────────────────────────────────────────────────────────────────
    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self._server is None or not self._server.is_serving():  # closed while this one was taken
            writer.transport.abort()
            return
        host = str(writer.get_extra_info("peername")[0])
        if len(self._open) >= MOST_CONNECTIONS or not any(
            host in one.hosts for one in self._masters.values()
        ):
            log.warning("a connection from %s is refused", host)
            writer.transport.abort()
            return
        connection = self._open[task] = _Connection(self._config.address, writer)
        try:
            await self._converse(connection, reader, host)
        except (OSError, asyncio.IncompleteReadError) as error:
            log.info("the connection of %s broke: %s", host, error)
        finally:
            del self._open[task]
            self._leave(connection)
            writer.transport.abort()

    async def _converse(self, connection: _Connection, reader: asyncio.StreamReader, host: str) -> None:
        expected = [one.address for one in self._masters.values() if host in one.hosts]
        if len(expected) == 1 and expected[0] not in self._connections:
            # Nobody else can it be; and a master that has lost its link may wait for us to speak first.
            connection.link.master = expected[0]
            self._join(connection, host)
        while True:
            patience = None if connection.link.master in self._connections else FIRST_WORDS_S
            try:
                async with asyncio.timeout(patience):
                    data = await reader.read(READ_BYTES)
            except TimeoutError:
                log.warning("%s connected and said nothing: closed", host)
                return
            if not data:
                return
            connection.heard_at = time.monotonic()
            connection.is_asked = False
            for found in connection.link.receive(data):
                if not self._join(connection, host):
                    return
                if isinstance(found, Fragment):
                    self._take(connection, found)
                else:
                    connection.send(found.data)
            await connection.writer.drain()

    def _join(self, connection: _Connection, host: str) -> bool:
        """Make this the connection of its master. False: no master of ours, or not from there."""
        address = connection.link.master
        assert address is not None
        before = self._connections.get(address)
        if before is connection:
            return True
        master = self._masters.get(address)
        if master is None or host not in master.hosts:
            log.warning("master %s from %s is not known: closed", address, host)
            return False
        if before is not None:  # a half-open connection must not keep its own master out
            log.info("master %s has connected anew", address)
            before.writer.transport.abort()
        self._connections[address] = connection
        self._do(address, self.associations[address].link_up(time.monotonic()))
        self.changed.set()
        return True

    def _leave(self, connection: _Connection) -> None:
        address = connection.link.master
        if address is not None and self._connections.get(address) is connection:
            del self._connections[address]
            self.associations[address].link_down()

    def _take(self, connection: _Connection, fragment: Fragment) -> None:
        broadcast = None
        if fragment.broadcast is not None:
            broadcast = Broadcast.NO_CONFIRM if fragment.broadcast in NO_CONFIRM else Broadcast.CONFIRM
        association = self.associations[fragment.source]
        self._do(fragment.source, association.receive(fragment.data, time.monotonic(), broadcast))
        self.changed.set()

    def _do(self, address: int, effects: list[Effect]) -> None:
        connection = self._connections.get(address)
        for effect in effects:
            match effect:
                case Send(fragment):
                    if connection is not None:
                        connection.send(connection.link.send(fragment))
                case Operate(token, wishes, is_select):
                    give = self._select if is_select else self._operate
                    task = asyncio.create_task(give(address, token, wishes))
                    self._commands.add(task)
                    task.add_done_callback(self._commands.discard)

    # ── commands ───────────────────────────────────────────────────────────────────────────────────────────────
    async def _operate(self, address: int, token: int, wishes: tuple[Wish, ...]) -> None:
        """Give the commands one after another, as the master listed them."""
        master = self._masters[address]
        statuses: list[Status] = []
        end = time.monotonic() + self._config.operate_timeout_ms / 1000
        for wish in wishes:
            statuses.append(await self._give(master, wish, end))
        self._complete(address, token, statuses)

    async def _select(self, address: int, token: int, wishes: tuple[Wish, ...]) -> None:
        """Reserve the points for this master, all of them or none."""
        master = self._masters[address]
        end = time.monotonic() + self._config.operate_timeout_ms / 1000
        statuses = [await self._give(master, wish, end, Step.SELECT) for wish in wishes]
        if any(status is not Status.SUCCESS for status in statuses):
            for wish, status in zip(wishes, statuses, strict=True):
                if status is Status.SUCCESS:
                    await self._give(master, wish, end, Step.CANCEL)
        self._complete(address, token, statuses)

    def _complete(self, address: int, token: int, statuses: list[Status]) -> None:
        effects = self.associations[address].complete(token, tuple(statuses), time.monotonic())
        self._do(address, effects)
        self.changed.set()

    async def _give(
        self, master: OutstationMaster, wish: Wish, end: float, step: Step = Step.OPERATE
    ) -> Status:
        assert wish.point is not None
        assert wish.value is not None
        assert master.user is not None
        left_s = end - time.monotonic()
        if left_s <= 0:
            return Status.TIMEOUT  # not begun
        command = Command(
            uuid.uuid4().hex,
            wish.point.name,
            wish.value,
            master.user,
            "dnp3",
            self._wall_ns() + int(left_s * 1e9),
            f"master {master.address}",
            step=step,
        )
        return status_of(await self._commander.send(command))


def status_of(outcome: Outcome) -> Status:
    """What the master is told. SUCCESS only where the device has reported the value back."""
    match outcome:
        case Done() | Selected():
            return Status.SUCCESS
        case Refused(code):
            return _REFUSALS.get(code, Status.HARDWARE_ERROR)
        case Failed():
            return Status.HARDWARE_ERROR
        case TimedOut():
            return Status.UNDEFINED  # it was sent: whether the device acted is not known
