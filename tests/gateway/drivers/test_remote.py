"""A driver behind its socket, as the router's process has it, and as whoever sends nonsense finds it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import orjson
import pytest

from gateway.drivers.remote import CONNECTIONS, OperateServer, RemoteDriver
from gateway.tags.operate import NotConnectedError, OperateError
from gateway.tags.sample import Value

PATIENCE_S = 20.0


class Bench:
    """A device of three points: one obeys, one refuses, one never answers."""

    OBEYS, REFUSES, HANGS = 1, 2, 3

    def __init__(self) -> None:
        self.value: Value = 0
        self.asked = asyncio.Event()
        self.cut = asyncio.Event()

    def tags(self) -> Iterable[int]:
        return (self.OBEYS, self.REFUSES, self.HANGS)

    def connections(self, tag: int) -> int:
        return 7

    async def operate(self, tag: int, value: Value) -> None:
        if tag == self.REFUSES:
            raise OperateError("interlocked")
        if tag == self.HANGS:
            self.asked.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.cut.set()
        self.value = value

    async def read_back(self, tag: int) -> Value:
        return self.value


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
async def server(tmp_path: Path, bench: Bench) -> AsyncIterator[OperateServer]:
    server = OperateServer(tmp_path / "d.sock", bench, bench.tags())
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def remote(tmp_path: Path, server: OperateServer, bench: Bench) -> AsyncIterator[RemoteDriver]:
    remote = RemoteDriver(tmp_path / "d.sock", bench.tags())
    running = asyncio.create_task(remote.run())
    async with asyncio.timeout(PATIENCE_S):
        while not remote.connections(Bench.OBEYS) % (1 << 32):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    yield remote
    running.cancel()
    await asyncio.wait((running,))


async def test_what_is_asked_is_done_refused_or_not_known(
    remote: RemoteDriver, bench: Bench, server: OperateServer
) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await remote.operate(Bench.OBEYS, 42)
        assert await remote.read_back(Bench.OBEYS) == 42
        with pytest.raises(OperateError, match="interlocked"):
            await remote.operate(Bench.REFUSES, 1)
        hanging = asyncio.create_task(remote.operate(Bench.HANGS, 1))
        await bench.asked.wait()
        await server.stop()
        with pytest.raises(TimeoutError):
            await hanging
        assert bench.cut.is_set()
        with pytest.raises(NotConnectedError):
            await remote.operate(Bench.OBEYS, 1)


async def test_the_socket_is_the_users_own(tmp_path: Path, server: OperateServer) -> None:
    assert (tmp_path / "d.sock").stat().st_mode & 0o777 == 0o600
    await server.stop()
    assert not (tmp_path / "d.sock").exists()


@pytest.mark.parametrize(
    "line",
    [
        b"nothing\n",
        b"[" * 100_000 + b"\n",
        b"[]\n",
        b'{"do": "operate", "tag": 1, "value": 1}\n',
        b'{"id": 1, "do": "operate", "tag": 1}\n',
        b'{"id": 1, "do": "operate", "tag": 1, "value": []}\n',
        b'{"id": 1, "do": "read_back", "tag": 99}\n',
        b'{"id": 1, "do": "explode", "tag": 1}\n',
    ],
    ids=lambda line: line[:40].decode(),
)
async def test_nonsense_is_told_so_and_ends_that_connection_only(
    tmp_path: Path, remote: RemoteDriver, line: bytes
) -> None:
    reader, writer = await asyncio.open_unix_connection(tmp_path / "d.sock")
    writer.write(line)
    async with asyncio.timeout(PATIENCE_S):
        told = [orjson.loads(line) for line in (await reader.read()).splitlines()]
        assert [each["is"] for each in told if "is" in each] == ["malformed"]
        assert told[-1]["why"]
        await remote.operate(Bench.OBEYS, 43)
        assert await remote.read_back(Bench.OBEYS) == 43
    writer.close()


async def test_connections_are_bounded(tmp_path: Path, server: OperateServer) -> None:
    many = [await asyncio.open_unix_connection(tmp_path / "d.sock") for _ in range(CONNECTIONS + 1)]
    async with asyncio.timeout(PATIENCE_S):
        assert await many[-1][0].read() == b""
    for _, writer in many:
        writer.close()
