"""A small site, a region, and a supervisor over the parts of small_part.py."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.config.paths import RunPaths, region_name, run_paths
from gateway.config.site import HistorianSettings, Role, Site, Tag, User
from gateway.config.system import history_tags, part_tags
from gateway.node import supervisor
from gateway.node.fork_server import ForkServer
from gateway.node.health import Health
from gateway.node.launch import share_site
from gateway.node.supervisor import Life, Part, Supervisor
from gateway.tags.image import Presence, Region, presence_of
from gateway.tags.tag import ValueType

SMALL_PART = Path(__file__).with_name("small_part.py")


@dataclass(slots=True)
class Running:
    """A supervisor at work, and what it said."""

    supervisor: Supervisor
    region: Region
    stop: asyncio.Event
    paths: RunPaths
    said: list[str] = field(default_factory=list)

    def life(self, name: str) -> Life:
        return next(life for life in self.supervisor.lives if life.part.name == name)

    def pid(self, name: str) -> int:
        child = self.life(name).child
        assert child is not None
        return child.pid

    async def until(self, condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110 - other processes set no event of ours
                await asyncio.sleep(0.01)

    async def until_ready(self, *names: str) -> None:
        await self.until(lambda: all(self.life(name).ready.is_set() for name in names))


Start = Callable[..., "asynccontextmanager[Running]"]


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    paths = run_paths("small", tmp_path / "state")
    for folder in (paths.state, paths.runtime):
        folder.mkdir(parents=True)
    return paths


def small_site(*parts: str) -> Site:
    tags = [
        Tag("pcc.power_kw", ValueType.DOUBLE, "drivers", "grid", "pcc"),
        Tag("pcc.breaker_closed", ValueType.BOOL, "drivers", "grid", "pcc"),
        Tag("imaging.beat", ValueType.UINT64, "imaging", "grid", "imaging"),
        *(tag for part in parts for tag in part_tags(part)),
        *history_tags(),
    ]
    return Site(
        name="small",
        description="",
        areas=(),
        tags=tuple(tags),
        modbus=(),
        users=(User("operator", Role.OPERATOR),),
        historian=HistorianSettings(),
        opcua=None,
        hmi=None,
        simulator=None,
        journal_records=1024,
        files=(),
        digest="",
    )


@pytest.fixture
def start(paths: RunPaths) -> Start:
    """Start parts, each named after its behaviour; they are stopped at the end of the block."""

    @asynccontextmanager
    async def started(
        *names: str, stages: dict[str, int] | None = None, fork_server: ForkServer | None = None
    ) -> AsyncIterator[Running]:
        site = small_site(*names)
        parts = [
            Part(
                name,
                (sys.executable, str(SMALL_PART), name),
                (stages or {}).get(name, 0),
                0,
                is_forked=fork_server is not None,
            )
            if name != "imaging"
            else Part(
                name, (sys.executable, str(SMALL_PART), name), 0, 0, silence_s=1.5, beat=("imaging.beat",)
            )
            for name in names
        ]
        shared = share_site(site)
        name = region_name("small", paths)
        specs = [tag.spec() for tag in site.tags]
        said: list[str] = []
        with Region.create(name, specs, journal_records=1024, extra_owners=("drivers", "node")) as region:
            keeper = Supervisor(parts, paths, region, shared, said.append, fork_server)
            running = Running(keeper, region, asyncio.Event(), paths, said)
            health = asyncio.create_task(Health(region, keeper.lives, paths.history).run())
            task = asyncio.create_task(keeper.run(running.stop))
            try:
                yield running
            finally:
                running.stop.set()
                await task
                health.cancel()
                os.close(shared)
        assert presence_of(name) is Presence.ABSENT

    return started


@pytest.fixture
def short_silence(monkeypatch: pytest.MonkeyPatch) -> float:
    """A supervisor with less patience, so that the test need not have ten seconds of it."""
    monkeypatch.setattr(supervisor, "SILENCE_S", 2.5)
    return 2.5
