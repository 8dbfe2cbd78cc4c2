"""Doors of the market: they close whatever is under way, and nobody who is slow or loud holds them."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from historian.market_job import wire
from historian.market_job.door import Door, anything, make_inbox

PATIENCE_S = 30.0
ASK = wire.encode_request(wire.AskStatus("1"))


@pytest.mark.parametrize("turns", range(8))
async def test_a_door_closes_in_whatever_moment_a_request_comes(turns: int, tmp_path: Path) -> None:
    """Nobody answers any more when it closes; each turn of the loop the request is somewhere else."""
    door = Door(tmp_path / "m.sock", make_inbox())
    ours, theirs = socket.socketpair()
    with theirs:
        reader, writer = await asyncio.open_connection(sock=ours)
        serving = door.serve(reader, writer, anything, PATIENCE_S)
        await asyncio.sleep(0)
        theirs.sendall(ASK)
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.wait_for(door.stop(), PATIENCE_S)
        assert serving.done()
