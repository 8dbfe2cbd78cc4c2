"""Other people's DNP3 in processes of their own, and where each finds its Python."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.drivers.dnp3.environment import FOLDER, make

HERE = Path(__file__).parent
BUILD = HERE.parents[2] / "build"
LINE_BYTES = 1 << 20


class Peer:
    """One process: what it said is in ``said``, `wish` something of it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.said: list[dict[str, Any]] = []

    async def listen(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            with contextlib.suppress(json.JSONDecodeError):  # a library's own words
                self.said.append(json.loads(line))

    def wish(self, wish: str, **more: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"wish": wish, **more}).encode() + b"\n")

    def told(self, about: str, since: int = 0) -> list[dict[str, Any]]:
        return [one for one in self.said[since:] if one["about"] == about]

    def rows(self, kind: str, since: int = 0) -> list[list[Any]]:
        """What a master was told of a type: kind, index, value, flags, time."""
        found = [one["row"] for one in self.said[since:] if one["about"] in ("static", "event", "row")]
        return [row for row in found if row[0] == kind]


@asynccontextmanager
async def peer(name: str, role: str, port: int) -> AsyncIterator[Peer]:
    """``name`` is of a file `peers/NAME_peer.py`."""
    python = dnp3_python_environment() if name == "dnp3_python" else sys.executable
    process = await asyncio.create_subprocess_exec(
        python,
        str(HERE / "peers" / f"{name}_peer.py"),
        role,
        str(port),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=LINE_BYTES,
    )
    found = Peer(process)
    listening = asyncio.create_task(found.listen())
    try:
        yield found
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await listening


def dnp3_python_environment() -> str:
    """The Python of an environment that has dnp3-python; made when it is not there or of another version."""
    return str(make(BUILD / FOLDER))
