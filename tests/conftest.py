"""Fixtures for every test: an OPC UA client by someone else."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# A machine may be busy: how long an example takes is measured in benchmarks/, not here.
# Forty examples a run, new ones each time, keep `make test` short; TIELINE_EXAMPLES=1000 looks longer.
settings.register_profile(
    "tieline", deadline=None, max_examples=int(os.environ.get("TIELINE_EXAMPLES", "40"))
)
settings.load_profile("tieline")

CLIENT = Path(__file__).parent / "interop" / "opcua" / "client.js"
LINE_BYTES = 4 << 20  # a line of history
NODE = shutil.which("node")


class NodeClient:
    """`client.js` in a process of its own: wishes in, what came of them out, changes on the side."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.changes: list[dict[str, Any]] = []

    async def expect(self, about: str) -> dict[str, Any]:
        """The next line about this; changes before it are kept."""
        assert self._process.stdout is not None
        async with asyncio.timeout(30):
            while True:
                line = await self._process.stdout.readline()
                assert line, "the client ended"
                said = json.loads(line)
                if said["about"] == "change":
                    self.changes.append(said)
                elif said["about"] == about:
                    return dict(said)
                else:
                    pytest.fail(f"{about} was expected, but the client said {said}")

    async def wish(self, wish: str, **more: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"wish": wish, **more}).encode() + b"\n")
        return await self.expect(wish)

    async def until_changes(self, count: int) -> None:
        """Wait until so many changes have been told in all."""
        assert self._process.stdout is not None
        async with asyncio.timeout(30):
            while len(self.changes) < count:
                said = json.loads(await self._process.stdout.readline())
                assert said["about"] == "change", said
                self.changes.append(said)


@pytest.fixture(scope="session")
def node_pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client's key and certificate, which it takes seconds to make."""
    return tmp_path_factory.mktemp("node-pki")


@pytest.fixture
def node_client(tmp_path: Path, node_pki: Path) -> Any:
    """Start the client; the caller decides what it expects first."""
    assert NODE is not None, "node is needed: see docs/opcua.md"
    assert (CLIENT.parent / "node_modules").is_dir(), (
        "`npm ci --ignore-scripts` in tests/interop/opcua has not been run"
    )

    @asynccontextmanager
    async def start(url: str, **options: Any) -> AsyncIterator[NodeClient]:
        asked = {"url": url, "pki": str(node_pki), **options}
        process = await asyncio.create_subprocess_exec(
            str(NODE),
            "--no-warnings",
            str(CLIENT),
            json.dumps(asked),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=tmp_path,
            limit=LINE_BYTES,
        )
        try:
            yield NodeClient(process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    return start
