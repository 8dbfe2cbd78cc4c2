"""A region with a scene playing in it, and the HMI in front: in this process or in one of its own."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import pickle
import secrets
import socket
import sys
import time
import urllib.parse
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from gateway.config.accounts import Accounts
from gateway.config.part import PartContext
from gateway.config.paths import RunPaths
from gateway.config.site import HistorianSettings, Site
from gateway.tags.image import Region
from historian.store.frame import Rows, SamplesFrame
from historian.store.recorder import Recorder
from hmi.part import run

HERE = Path(__file__).parent
PASSWORD = "correct horse battery staple"
WAIT_S = 20.0


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"hmi_{name}", HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


scenes = _load("scene")


async def until(claim: Callable[[], Any], what: str = "it") -> Any:
    """Wait until ``claim()`` is true, and give what it returned."""
    deadline = time.monotonic() + WAIT_S
    while not (found := claim()):
        assert time.monotonic() < deadline, f"{what} within {WAIT_S} s"
        await asyncio.sleep(0.02)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Stand:
    """A site, its region and scene, and how to speak HTTP to the HMI as a browser would."""

    site: Site
    region: Region
    scene: Any
    paths: RunPaths
    port: int = 0
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def context(self) -> PartContext:
        return PartContext(self.site, self.paths, self.region.name, self.stop, self.ready)

    async def request(
        self,
        method: str,
        path: str,
        *,
        form: dict[str, str] | None = None,
        body: bytes | None = None,
        **headers: str,
    ) -> Answer:
        """One request on a connection of its own; a keyword ``content_type`` is the header Content-Type."""
        fields = {"host": f"127.0.0.1:{self.port}", "connection": "close"}
        if form is not None:
            body = urllib.parse.urlencode(form).encode()
            fields["content-type"] = "application/x-www-form-urlencoded"
        if method == "POST":
            fields["origin"] = self.origin
            fields["content-length"] = str(len(body or b""))
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [
            f"{method} {path} HTTP/1.1",
            *(f"{name}: {value}" for name, value in fields.items() if value),
        ]
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b""))
        raw = await reader.read()
        writer.close()
        await writer.wait_closed()
        head, _, content = raw.partition(b"\r\n\r\n")
        first, *rest = head.decode().split("\r\n")
        return Answer(
            int(first.split()[1]),
            {k.lower(): v for k, _, v in (line.partition(": ") for line in rest)},
            content,
        )

    async def sign_in(self, user: str = "operator", password: str = PASSWORD) -> str:
        """The cookie of a new session."""
        answer = await self.request("POST", "/sign-in", form={"user": user, "password": password})
        assert answer.status == 303, answer
        return answer.headers["set-cookie"].partition(";")[0]


@pytest.fixture
def make_stand(tmp_path: Path) -> Any:
    """A maker of stands: ``async with make_stand(**site arguments) as stand``."""

    @contextlib.asynccontextmanager
    async def make(**arguments: Any) -> AsyncIterator[Stand]:
        port = free_port()
        site = scenes.site(port, **arguments)
        paths = RunPaths(tmp_path / "state", tmp_path / "run")
        paths.state.mkdir(exist_ok=True)
        paths.runtime.mkdir(mode=0o700, exist_ok=True)
        Accounts(paths.accounts).set_password("operator", PASSWORD)
        name = f"hmitest{secrets.token_hex(4)}"
        specs = [tag.spec() for tag in site.tags]
        with Region.create(name, specs, journal_records=site.journal_records, spare=8) as region:
            scene = scenes.Scene(site, region)
            scene.write()
            yield Stand(site, region, scene, paths, port)

    return make


@pytest.fixture
async def stand(make_stand: Any) -> AsyncIterator[Stand]:
    """The demo's scene playing, and the part serving it in this process."""
    async with make_stand() as stand, serving(stand), playing(stand):
        yield stand


@contextlib.asynccontextmanager
async def serving(stand: Stand) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(run(stand.context))
    try:
        await until(lambda: stand.ready.is_set() or task.done(), "the part is ready")
        if task.done():
            task.result()
        yield task
    finally:
        stand.stop.set()
        await asyncio.wait([task])


@contextlib.asynccontextmanager
async def playing(stand: Stand) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(stand.scene.play())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.fixture
def remember() -> Any:
    """``remember(stand, tag, [(time_ns, value), ...])``: history has these samples of a tag of the site."""

    def write(stand: Stand, name: str, samples: list[tuple[int, int]]) -> None:
        recorder = Recorder(stand.paths.history, HistorianSettings(), time.time_ns)
        recorder.open()
        try:
            (tag,) = (tag for tag in stand.site.tags if tag.name == name)
            (entry,) = recorder.catalogue.register((tag,), time.time_ns())
            count = len(samples)
            rows = Rows(
                np.full(count, entry.id, np.uint32),
                np.zeros(count, np.uint32),
                np.array([at for at, _ in samples], np.int64),
                np.array([value for _, value in samples], np.uint64),
                np.empty(0, np.uint32),
                (),
            )
            recorder.offer(SamplesFrame(1, time.time_ns(), {tag.owner: (0, count)}, rows))
            assert recorder.flush()
        finally:
            recorder.close()

    return write


class PartProcess:
    """The part in a process of its own, to be started and killed."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        stand = self._stand
        site = stand.paths.state / "site.pickle"
        site.write_bytes(pickle.dumps(stand.site))
        arguments = [str(site), stand.region.name, str(stand.paths.state), str(stand.paths.runtime)]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", str(HERE / "part_process.py"), *arguments
        )
        deadline = time.monotonic() + WAIT_S
        while not await self.is_healthy():
            assert time.monotonic() < deadline, f"healthy within {WAIT_S} s"
            await asyncio.sleep(0.05)

    async def is_healthy(self) -> bool:
        try:
            return (await self._stand.request("GET", "/health")).status == 200
        except OSError:
            return False

    async def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def end(self) -> int:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.terminate()
        return await self._process.wait()


@pytest.fixture
def serve() -> Any:
    """``async with serve(stand) as task``: the part in this process."""
    return serving


@pytest.fixture
def play() -> Any:
    """``async with play(stand)``: the scene written over and over."""
    return playing


@pytest.fixture
def part_process() -> Any:
    """``async with part_process(stand) as part``: the part in its own process."""

    @contextlib.asynccontextmanager
    async def started(stand: Stand) -> AsyncIterator[PartProcess]:
        part = PartProcess(stand)
        await part.start()
        try:
            yield part
        finally:
            await part.end()

    return started
