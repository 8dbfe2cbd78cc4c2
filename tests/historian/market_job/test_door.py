"""Doors of the market: they close whatever is under way, and nobody who is slow or loud holds them."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop

from gateway.config.market import MarketListen, MarketPeer
from historian.market_job import wire
from historian.market_job.client import MarketError
from historian.market_job.door import Bucket, Door, anything, make_inbox
from historian.market_job.peers import security
from historian.market_job.peers.client import PeerClient
from historian.market_job.peers.door import CONNECTIONS, HANDSHAKES_OF_ADDRESS, PeerDoor

_SPEC = importlib.util.spec_from_file_location("two_sites", Path(__file__).with_name("two_sites.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
two_sites = sys.modules["two_sites"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(two_sites)

PATIENCE_S = 30.0
ASK = wire.encode_request(wire.AskStatus("1"))


@pytest.mark.parametrize("turns", range(8))
async def test_a_door_closes_in_whatever_moment_a_request_comes(turns: int, tmp_path: Path) -> None:
    """Nobody answers any more when it closes; each turn of the loop the request is somewhere else."""
    door = Door(tmp_path / "m.sock", make_inbox())
    ours, theirs = socket.socketpair()
    with theirs:
        reader, writer = await asyncio.open_connection(sock=ours)
        serving = door.serve(reader, writer, anything, Bucket(10, 10), PATIENCE_S)
        await asyncio.sleep(0)
        theirs.sendall(ASK)
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.wait_for(door.stop(), PATIENCE_S)
        assert serving.done()


# ---------------------------------------------------------------- for other sites


class Site:
    """South's door; north and east are known there."""

    def __init__(self, state: Path, certificates: dict[str, Path]) -> None:
        self.state = state
        for name, folder in certificates.items():
            for file in ("peer.crt", "peer.key"):
                (state / (file if name == "south" else f"{name}.{file}")).write_bytes(
                    (folder / file).read_bytes()
                )
        peers = tuple(
            MarketPeer(name, "", 1, f"{name}.peer.crt", bytes(32), "", 0, 0) for name in ("north", "east")
        )
        self.local = Door(state / "m.sock", make_inbox())
        self.door = PeerDoor(MarketListen("127.0.0.1", 0, "peer.crt", "peer.key"), peers, state, self.local)

    async def __aenter__(self) -> Site:
        self.door.start()
        give_up = time.monotonic() + PATIENCE_S
        while not self.door.port:
            assert time.monotonic() < give_up
            await asyncio.sleep(0.001)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.door.stop()
        await self.local.stop()

    async def come(self, folder: Path, line: bytes = ASK) -> tuple[bytes, asyncio.StreamWriter | None]:
        """What is answered to who shows the certificate of a folder, and the connection; nothing if turned away."""
        context = security.caller(folder / "peer.crt", folder / "peer.key", self.state / "peer.crt")
        try:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", self.door.port, ssl=context, server_hostname=""
            )
        except OSError:
            return b"", None
        try:
            writer.write(line)
            return await asyncio.wait_for(reader.readline(), PATIENCE_S), writer
        except OSError:  # by TLS 1.3 a refused certificate is told after the handshake
            writer.transport.abort()
            return b"", None


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {name: tmp_path_factory.mktemp(name) for name in ("south", "north", "east", "other")}
    for name, folder in folders.items():
        two_sites.certify(folder, name)
    return folders


LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])


@LOOPS
def test_who_begins_handshakes_and_ends_none_keeps_nobody_else_out(
    loop: Any, certificates: dict[str, Path], tmp_path: Path
) -> None:
    async def scene() -> None:
        async with Site(tmp_path, certificates) as site:
            slow = [
                await asyncio.open_connection("127.0.0.1", site.door.port)
                for _ in range(HANDSHAKES_OF_ADDRESS)
            ]
            reader, one_more = await asyncio.open_connection("127.0.0.1", site.door.port)
            assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b"", "closed at once"
            for _, writer in [*slow, (reader, one_more)]:
                writer.transport.abort()
            give_up = time.monotonic() + PATIENCE_S
            said, writer = await site.come(certificates["north"])
            while writer is None:  # until the door has seen that they are gone
                assert time.monotonic() < give_up
                said, writer = await site.come(certificates["north"])
            assert b"own business" in said
            writer.transport.abort()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(scene())


@LOOPS
def test_a_certificate_that_is_changed_holds_from_the_next_connection_on(
    loop: Any, certificates: dict[str, Path], tmp_path: Path
) -> None:
    async def scene() -> None:
        async with Site(tmp_path, certificates) as site:
            assert (await site.come(certificates["other"]))[0] == b""
            pinned = tmp_path / "north.peer.crt"
            pinned.unlink()
            pinned.write_bytes((certificates["other"] / "peer.crt").read_bytes())
            said, writer = await site.come(certificates["other"])
            assert b"own business" in said
            assert writer is not None
            writer.transport.abort()
            assert (await site.come(certificates["north"]))[0] == b""
            pinned.write_bytes(b"half a certificate")
            said, writer = await site.come(certificates["east"])
            assert b"own business" in said, "one that cannot be read keeps out its site alone"
            assert writer is not None
            writer.transport.abort()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(scene())


@LOOPS
def test_a_site_that_comes_again_and_again_loses_its_oldest_connection(
    loop: Any, certificates: dict[str, Path], tmp_path: Path
) -> None:
    async def scene() -> None:
        async with Site(tmp_path, certificates) as site:
            came = [await site.come(certificates["north"]) for _ in range(CONNECTIONS + 1)]
            assert all(b"own business" in said for said, _ in came)
            writers = [writer for _, writer in came if writer is not None]
            await asyncio.wait_for(writers[0].wait_closed(), PATIENCE_S)
            for writer in writers:
                writer.transport.abort()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(scene())


# ---------------------------------------------------------------- at another site's door


@pytest.fixture
def south(certificates: dict[str, Path], tmp_path: Path) -> Path:
    """The state folder of the south, who calls the north."""
    for file, of in (("peer.crt", "south"), ("peer.key", "south"), ("north.crt", "north")):
        (tmp_path / file).write_bytes((certificates[of] / Path(file).with_stem("peer")).read_bytes())
    return tmp_path


def asked_at(port: int, state: Path) -> str:
    """Why there is no answer."""
    peer = MarketPeer("north", "127.0.0.1", port, "north.crt", bytes(32), "", 0, 0)
    with (
        PeerClient(peer, MarketListen("", 0, "peer.crt", "peer.key"), state, patience_s=0.5) as client,
        pytest.raises(MarketError) as error,
    ):
        client.terms(bytes(32))
    return str(error.value)


async def test_a_site_that_never_ends_its_handshake_is_given_up(south: Path) -> None:
    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    writers: list[asyncio.StreamWriter] = []
    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert "timed out" in await asyncio.to_thread(asked_at, port, south)
        for writer in writers:
            writer.transport.abort()


async def test_a_site_that_answers_byte_by_byte_is_given_up(
    south: Path, certificates: dict[str, Path]
) -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)

    north = certificates["north"]
    context = security.door(north / "peer.crt", north / "peer.key", [south / "peer.crt"])
    async with await asyncio.start_server(drip, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        assert "timed out" in await asyncio.to_thread(asked_at, port, south)


async def test_a_site_that_shows_another_certificate_is_not_spoken_to(
    south: Path, certificates: dict[str, Path]
) -> None:
    async def never(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    other = certificates["other"]
    context = security.door(other / "peer.crt", other / "peer.key", [south / "peer.crt"])
    async with await asyncio.start_server(never, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        assert "certificate is not accepted" in await asyncio.to_thread(asked_at, port, south)
