"""The link to a device that listens on a port of its own: it carries bytes, and fails as links do when told to."""

from __future__ import annotations

import asyncio
import random

from gateway.simulator.door import reset
from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.garbled import garbled_stream

CHUNK = 65_536
CONNECTIONS = 16


class Link:
    """From ``host:port`` to ``host:inner_port``; port 0 takes a free one.

    ``silent`` loses what is sent either way, ``slow`` holds answers back, ``reset`` resets the connection at each
    request, ``garbled`` changes octets of the answers, ``stopped`` refuses connections. Other faults are the
    device's own.
    """

    def __init__(self, host: str, port: int, inner_port: int) -> None:
        self.host = host
        self.port = port
        self._inner_port = inner_port
        self._fault: Fault | None = None
        self._server: asyncio.Server | None = None
        self._peers: set[asyncio.Task[None]] = set()
        self._random = random.Random(inner_port)

    async def open(self) -> None:
        """Raises OSError where the port is taken."""
        self._server = await asyncio.start_server(self._meet, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Close the port and all connections; once it returns none of its tasks is left."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        peers = list(self._peers)
        for peer in peers:
            peer.cancel()
        if peers:
            await asyncio.wait(peers)

    async def suffer(self, fault: Fault | None) -> None:
        """Raises OSError where it comes back and finds its port taken."""
        self._fault = fault
        if fault is not None and fault.kind is FaultKind.STOPPED:
            await self.close()
        elif self._server is None:
            await self.open()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._peers.add(task)
        inner: asyncio.StreamWriter | None = None
        try:
            if len(self._peers) <= CONNECTIONS:
                answers, inner = await asyncio.open_connection(self.host, self._inner_port)
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._carry(reader, inner, writer))
                    both.create_task(self._carry(answers, writer, None))
        except* (OSError, EOFError, asyncio.CancelledError):
            pass  # one side is gone, or `close`: nobody else waits for this task
        finally:
            for one in (writer, inner):
                if one is not None:
                    one.transport.abort()
            self._peers.discard(task)

    async def _carry(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, client: asyncio.StreamWriter | None
    ) -> None:
        """Until ``source`` ends, which raises EOFError. ``client``: this is the way from it."""
        while data := await source.read(CHUNK):
            fault = self._fault
            if fault is not None and fault.kind is FaultKind.SILENT:
                continue
            if fault is not None and fault.kind is FaultKind.RESET and client is not None:
                reset(client)
                raise EOFError
            if fault is not None and fault.kind is FaultKind.SLOW and client is None:
                await asyncio.sleep(fault.delay_ms / 1000)
            if fault is not None and fault.kind is FaultKind.GARBLED and client is None:
                data = garbled_stream(data, self._random)
            target.write(data)
            await target.drain()
        raise EOFError
