"""For every test: how many examples are drawn, in what order files begin, and an OPC UA client by someone else."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

# A machine may be busy: how long an example takes is measured in benchmarks/, not here.
# Forty examples a run, new ones each time, keep `make test` short; TIELINE_EXAMPLES=1000 looks longer.
settings.register_profile(
    "tieline", deadline=None, max_examples=int(os.environ.get("TIELINE_EXAMPLES", "40"))
)
settings.load_profile("tieline")

HERE = Path(__file__).parent
# They take the longest and begin first, for what begins last is waited for alone. Others take seconds.
LONG = (
    "end_to_end/",
    "plc/test_tutorial.py",
    "plc/microgrid/",
    "plc/thumb/",
    "gateway/node/test_supervisor",
    "gateway/simulator/test_controller.py",
)
END_TO_END = HERE / "end_to_end"  # one worker's: two whole sites at once would be in each other's way


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, then those of many tests. A demo that tests share is wanted by them in a row."""
    count = Counter(item.path for item in items)

    def place(item: pytest.Item) -> tuple[int, bool, int]:
        name = item.path.relative_to(HERE).as_posix()
        rank = next((rank for rank, long in enumerate(LONG) if name.startswith(long)), len(LONG))
        is_end_to_end = item.path.is_relative_to(END_TO_END)
        shares_demo = is_end_to_end and "demo" in getattr(item, "fixturenames", ())
        return rank, not shares_demo, 0 if is_end_to_end else -count[item.path]

    items.sort(key=place)


class ByFile(LoadFileScheduling):
    """A file is one worker's, and so is all of ``END_TO_END``; they begin in the order of the tests."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return END_TO_END.name if END_TO_END.name in Path(file).parts else file


@pytest.hookimpl(optionalhook=True)  # without pytest-xdist there is nothing to schedule
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    config.option.loadscopereorder = False  # not by the number of tests alone
    return ByFile(config, log)


CLIENT = HERE / "interop" / "opcua" / "client.js"
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
