"""A plant that stands still behind its real servers on free ports, and a client by somebody else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import pytest
import uvloop
from pymodbus.client import AsyncModbusTcpClient

from gateway.simulator.devices.roster import devices
from gateway.simulator.plant.microgrid import Microgrid
from gateway.simulator.server import DeviceServer

LOOPBACK = "127.0.0.1"


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """A part runs on uvloop; its resets and late tasks differ from asyncio's own."""
    return {"uvloop": uvloop.new_event_loop}


def free_base_port(count: int) -> int:
    """The first of ``count`` ports in a row that are free now."""
    for base in range(21_000, 30_000, 97):
        doors = [socket.socket() for _ in range(count)]
        try:
            for offset, door in enumerate(doors):
                door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                door.bind((LOOPBACK, base + offset))
            return base
        except OSError:
            continue
        finally:
            for door in doors:
                door.close()
    raise AssertionError("no ports are free")


@pytest.fixture
def base_port() -> int:
    return free_base_port(40)


@pytest.fixture
def grid() -> Microgrid:
    plant = Microgrid(seed=5)
    for _ in range(1000):
        plant.step()
    return plant


@pytest.fixture
async def servers(grid: Microgrid) -> AsyncIterator[dict[str, DeviceServer]]:
    served = {name: DeviceServer(name, LOOPBACK, 0, map, source) for name, _, map, source in devices(grid)}
    for server in served.values():
        await server.start()
    yield served
    for server in served.values():
        await server.stop()


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., Awaitable[AsyncModbusTcpClient]]]:
    """A connected pymodbus client that neither retries nor reconnects by itself."""
    clients: list[AsyncModbusTcpClient] = []

    async def open(port: int, timeout: float = 2.0) -> AsyncModbusTcpClient:
        client = AsyncModbusTcpClient(LOOPBACK, port=port, timeout=timeout, retries=0, reconnect_delay=0)
        clients.append(client)
        assert await client.connect()
        return client

    yield open
    for client in clients:
        client.close()
