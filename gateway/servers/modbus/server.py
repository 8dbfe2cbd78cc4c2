"""A door of the Modbus server: one TCP port, maybe with TLS, its connections, and the commands that come through it.

Requests of a connection are answered one after another, each with its own transaction id (Modbus Messaging on TCP/IP
1.0b, 4.2): a client may send several at once, and what it sends beyond that waits in the socket. Different
connections do not wait for each other.

    transaction u16 | protocol u16, 0 | length u16 of what follows | unit u8 | PDU of 1..253 bytes
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import time
import uuid
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from pymodbus.framer import FramerSocket
from pymodbus.pdu import DecodePDU, ModbusPDU

from gateway.config.modbus_server import ModbusClient, ModbusDoor
from gateway.config.site import Site
from gateway.config.tls import server_context
from gateway.servers.modbus.exceptions import ExceptionCode, code_of_outcome
from gateway.servers.modbus.register_map import RegisterMap
from gateway.servers.modbus.requests import Client, Unit, refusal
from gateway.servers.modbus.role import RoleError, role_of
from gateway.servers.modbus.view import View
from gateway.servers.modbus.writes import Wish, WriteCheck
from gateway.tags.command import Command, Commander

HEADER = struct.Struct(">HHHB")
LONGEST_PDU = 253  # Modbus Application Protocol 1.1b3, 4.1
FRAME_S = 10.0  # from a frame's first byte to its last
UNREAD_S = 10.0  # a client that takes no answer for so long is gone
HANDSHAKE_S = 10.0
COMMANDS_AT_ONCE = 64  # a door; the router takes 256 from all
UNREAD_BYTES = 1 << 16  # that the system keeps for a client which reads nothing; the loop keeps as much again
# A client that is gone without a word gives its place back after 30 + 3 * 10 s.
KEEP_ALIVE = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))

log = logging.getLogger(__name__)


class Door:
    """Serves ``config.units`` to ``config.clients`` between `open` and `close`; port 0 takes a free one."""

    def __init__(
        self,
        config: ModbusDoor,
        site: Site,
        view: View,
        commander: Commander,
        *,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._config = config
        self._commander = commander
        self._wall_ns = wall_ns
        roles = {user.name: user.role for user in site.users}
        self._checks = {
            client: WriteCheck(site.tags, None if client.user is None else roles.get(client.user), view.now)
            for client in config.clients
        }
        self._units = {
            unit.unit_id: Unit(RegisterMap(unit.points), view, site.name, unit.description)
            for unit in config.units
        }
        self._framer = FramerSocket(DecodePDU(True))
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._turns = asyncio.Semaphore(COMMANDS_AT_ONCE)
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None, "the door is not open"
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def connections(self) -> int:
        """How many there are now."""
        return len(self._open)

    async def open(self) -> None:
        """Listen. Raises OSError, and TlsError for certificates that cannot be used."""
        tls = self._config.tls
        self._server = await asyncio.start_server(
            self._meet,
            self._config.host,
            self._config.port,
            ssl=None if tls is None else server_context(tls),
            ssl_handshake_timeout=None if tls is None else HANDSHAKE_S,
        )

    async def close(self) -> None:
        """End all connections; commands under way go on at the router, but nobody is told of them."""
        if self._server is not None:
            self._server.close()
        for task, writer in self._open.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def client_at(self, host: str, role: str | None = None) -> ModbusClient | None:
        """Who connects from there, with a certificate that says ``role``; None: nobody that we know."""
        return next((client for client in self._clients_at(host) if client.role == role), None)

    def _clients_at(self, host: str) -> list[ModbusClient]:
        """Who may connect from there."""
        address = _address(host)
        return [one for one in self._config.clients if any(address in network for network in one.networks)]

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        host = str(writer.get_extra_info("peername")[0])
        is_known = len(self._clients_at(host)) > 0
        if not is_known or len(self._open) >= self._config.connections:
            why = "is one too many" if is_known else "is not known"
            log.warning("a connection from %s to the door %s is refused: it %s", host, self._config.name, why)
            writer.transport.abort()
            return
        client = self._client_of(host, writer)
        self._open[task] = writer
        try:
            _bound(writer)
            await self._serve(reader, writer, client, host)
        except TimeoutError:
            log.warning("%s at the door %s stopped midway: closed", host, self._config.name)
        except (OSError, asyncio.IncompleteReadError) as error:
            log.info("the connection of %s ended: %s", host, error)
        except asyncio.CancelledError:
            pass  # `close`: nobody else waits for this task
        finally:
            del self._open[task]
            writer.transport.abort()

    def _client_of(self, host: str, writer: asyncio.StreamWriter) -> ModbusClient | None:
        """Who it is; None, with a word in the log, where its certificate makes it nobody."""
        if self._config.tls is None:
            return self.client_at(host)
        try:
            role = role_of(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        except RoleError as error:
            log.warning("%s at the door %s may do nothing: %s", host, self._config.name, error)
            return None
        client = self.client_at(host, role)
        if client is None:
            said = "no role" if role is None else f"the role {role!r}"
            log.warning(
                "%s at the door %s may do nothing: nobody there has %s", host, self._config.name, said
            )
        return client

    async def _serve(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        client: ModbusClient | None,
        host: str,
    ) -> None:
        """Until the client goes, or sends what is no Modbus."""
        while True:
            start = await reader.readexactly(1)
            async with asyncio.timeout(FRAME_S):
                header = start + await reader.readexactly(HEADER.size - 1)
                transaction, protocol, length, unit = HEADER.unpack(header)
                if protocol != 0 or not 2 <= length <= LONGEST_PDU + 1:
                    log.warning("%s at the door %s sent no Modbus: closed", host, self._config.name)
                    return
                body = await reader.readexactly(length - 1)
            answer = await self._answer(client, host, unit, body)
            answer.transaction_id = transaction
            answer.dev_id = unit
            writer.write(self._framer.buildFrame(answer))
            async with asyncio.timeout(UNREAD_S):
                await writer.drain()
            await asyncio.sleep(0)  # to the others, before this one's next request, which may be here already

    async def _answer(self, client: ModbusClient | None, host: str, unit_id: int, body: bytes) -> ModbusPDU:
        if client is None:  # Modbus/TCP Security v21, 8.4: who may not, learns it by this exception
            return refusal(body[0], ExceptionCode.ILLEGAL_FUNCTION)
        unit = self._units.get(unit_id)
        if unit is None or (client.units is not None and unit_id not in client.units):
            return refusal(body[0], ExceptionCode.NO_ANSWER)

        async def command(wishes: Sequence[Wish]) -> ExceptionCode | None:
            return await self._command(client, f"{client.name} ({host}), unit {unit_id}", wishes)

        return await unit.answer(body, Client(self._checks[client], command))

    async def _command(
        self, client: ModbusClient, reason: str, wishes: Sequence[Wish]
    ) -> ExceptionCode | None:
        """All at once, so that their driver may make one request of neighbours; the first that went wrong is told."""
        if not wishes:
            return None
        assert client.user is not None, "the check lets nobody through who is no user"
        user = client.user
        end = time.monotonic() + self._config.operate_timeout_ms / 1000
        codes = await asyncio.gather(*(self._give(user, reason, wish, end) for wish in wishes))
        return next((code for code in codes if code is not None), None)

    async def _give(self, user: str, reason: str, wish: Wish, end: float) -> ExceptionCode | None:
        """A repeated request is a new wish in Modbus: each command has an id of its own."""
        async with self._turns:
            left_s = end - time.monotonic()
            if left_s <= 0:
                return ExceptionCode.BUSY  # not begun
            deadline_ns = self._wall_ns() + int(left_s * 1e9)
            command = Command(
                uuid.uuid4().hex, wish.tag.name, wish.value, user, "modbus", deadline_ns, reason
            )
            return code_of_outcome(await self._commander.send(command))


def _address(host: str) -> IPv4Address | IPv6Address:
    """An IPv4 client at a socket of both kinds comes as ::ffff:192.0.2.7; a link-local one with its interface."""
    address = ip_address(host.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _bound(writer: asyncio.StreamWriter) -> None:
    """What a client costs that does not read, and how long one that is gone."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD_BYTES)
    writer.transport.set_write_buffer_limits(high=UNREAD_BYTES)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEP_ALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
