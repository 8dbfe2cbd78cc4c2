"""A scripted peer over a real socket: expect a request, send any bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

import pytest
import uvloop

STEP_S = 5.0  # how long any expectation may take on a busy machine


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The driver runs on uvloop; its timers and transports are not asyncio's."""
    return {"uvloop": uvloop.new_event_loop}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the peer got it."""

    transaction: int
    unit: int
    pdu: bytes

    def answer(self, pdu: str | bytes, *, transaction: int | None = None, unit: int | None = None) -> bytes:
        """A frame that answers it, with a head as wrong as wished."""
        body = bytes.fromhex(pdu) if isinstance(pdu, str) else pdu
        number = self.transaction if transaction is None else transaction
        octet = self.unit if unit is None else unit
        return (
            number.to_bytes(2, "big") + b"\0\0" + (len(body) + 1).to_bytes(2, "big") + bytes([octet]) + body
        )


class Visit:
    """One connection a client made."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def asked(self) -> Asked:
        async with asyncio.timeout(STEP_S):
            head = await self._reader.readexactly(7)
            pdu = await self._reader.readexactly(int.from_bytes(head[4:6], "big") - 1)
        return Asked(int.from_bytes(head[:2], "big"), head[6], pdu)

    async def send(self, octets: bytes) -> None:
        self._writer.write(octets)
        await self._writer.drain()

    async def ended(self) -> bool:
        """Wait until the client gave the connection up, whatever it still sends before."""
        async with asyncio.timeout(STEP_S):
            try:
                while await self._reader.read(1000):
                    pass
            except ConnectionError:
                pass
        return True

    def close(self) -> None:
        self._writer.close()

    def reset(self) -> None:
        self._writer.transport.abort()


class Peer:
    """A listening socket."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._visits: asyncio.Queue[Visit] = asyncio.Queue()
        self._all: list[Visit] = []
        self.port = 0

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._come, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _come(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = Visit(reader, writer)
        self._all.append(visit)
        self._visits.put_nowait(visit)

    async def visit(self) -> Visit:
        """The next connection."""
        async with asyncio.timeout(STEP_S):
            return await self._visits.get()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for visit in self._all:
            visit.reset()
        await self._server.wait_closed()


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    it = Peer()
    await it.listen()
    yield it
    await it.stop()
