"""TLS to an outstation (IEC 62351-3), for a library that is left to speak TCP: a port of loopback that leads there.

    opendnp3 ──TCP, 127.0.0.1──► tunnel ──TLS, certificates on both sides──► outstation

Whoever reached the loopback port would speak with our certificate. So one connection is taken at a time, and only one
of this very process: its socket has to be among the process' own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path

from gateway.config.dnp3_device import Dnp3Device
from gateway.config.tls import TlsError, TlsFiles, bears, client_context, tls_trouble

READ_BYTES = 4096
FIRST_PAUSE_S = 0.5  # after a first failure; each further one doubles it
LOST = "the connection was lost"
UNHEARD = "it closed the connection before it said anything: does it know our certificate?"

log = logging.getLogger(__name__)


class Tunnel:
    """`open` it, and `close` it; ``changed`` is told whether the outstation is connected, and why it is not."""

    def __init__(self, device: Dnp3Device, files: TlsFiles, changed: Callable[[bool, str], None]) -> None:
        self._device = device
        self._files = files
        self._changed = changed
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._is_taken = False
        self._pause_s = 0.0
        self._not_before = 0.0  # of the monotonic clock: of the next attempt

    @property
    def port(self) -> int:
        """On loopback; whose it is does not change while the tunnel is open."""
        assert self._server is not None, "the tunnel is not open"
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def open(self) -> None:
        """Take a port. Raises OSError."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def close(self) -> None:
        """Let go of the port; only after opendnp3 has, for another could take it."""
        if self._server is not None:
            self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None or not self._server.is_serving():  # closed while this one was taken
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        task.add_done_callback(lambda _: writer.transport.abort())  # also where it never began

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not is_own(writer.get_extra_info("socket")):
            log.warning("%s: a stranger at the tunnel's port is refused", self._device.name)
        elif not self._is_taken and time.monotonic() >= self._not_before:
            self._is_taken = True
            try:
                await self._carry(reader, writer)
            finally:
                self._is_taken = False

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its first octet to its end."""
        try:
            there = await self._connect()
        except TlsError as error:
            self._pause_s = min(max(2 * self._pause_s, FIRST_PAUSE_S), self._device.retry_max_ms / 1000)
            self._not_before = time.monotonic() + self._pause_s
            self._changed(False, str(error))
            return
        why = LOST
        try:
            self._changed(True, "")
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_relay(reader, there[1], LOST))
                tasks.create_task(_relay(there[0], writer, UNHEARD))
        except* _EndedError as group:
            why = str(group.exceptions[0])
        finally:
            there[1].transport.abort()
            self._changed(False, why)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Raises TlsError."""
        device = self._device
        try:
            async with asyncio.timeout(device.timeout_ms / 1000):
                reader, writer = await asyncio.open_connection(
                    device.host, device.port, ssl=client_context(self._files), server_hostname=device.names[0]
                )
        except TimeoutError:
            raise TlsError("no TLS connection in time") from None
        except ssl.SSLError as error:
            raise TlsError(tls_trouble(error)) from None
        except OSError as error:
            raise TlsError(f"no connection: {error.strerror or error}") from None
        certificate = writer.get_extra_info("peercert") or {}
        if not bears(certificate, device.names):
            writer.transport.abort()
            raise TlsError(f"its certificate is not of {' or '.join(device.names)}")
        self._pause_s = 0.0
        return reader, writer


class _EndedError(Exception):
    """One of the two sides has closed, or broken."""


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, unheard: str) -> None:
    """Carry octets until the end, which raises _EndedError: ``unheard`` where there were none."""
    why = unheard
    try:
        while data := await reader.read(READ_BYTES):
            why = LOST
            writer.write(data)
            await writer.drain()
    except ssl.SSLError as error:
        raise _EndedError(tls_trouble(error)) from None
    except OSError:
        raise _EndedError(why) from None
    raise _EndedError(why)


def is_own(connection: socket.socket) -> bool:
    """Whether the other end of a connection over loopback is a socket of this very process."""
    ours, theirs = connection.getsockname(), connection.getpeername()
    inode = _inode_of(theirs, ours)
    return inode is not None and inode in _own_inodes()


def _inode_of(local: tuple[str, int], remote: tuple[str, int]) -> str | None:
    """Of the socket of IPv4 that is connected so, by the kernel's table (proc(5), /proc/net/tcp)."""
    wanted = [_hex(local), _hex(remote)]
    for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1:3] == wanted:
            return fields[9]
    return None


def _hex(address: tuple[str, int]) -> str:
    number = int.from_bytes(socket.inet_aton(address[0]), sys.byteorder)
    return f"{number:08X}:{address[1]:04X}"


def _own_inodes() -> set[str]:
    found: set[str] = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            found.add(str(entry.readlink()).removeprefix("socket:[").removesuffix("]"))
    return found
