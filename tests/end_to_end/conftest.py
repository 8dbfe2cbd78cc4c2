"""The demo as `tieline run` runs it: a copy of its site with free ports, all parts real, in a folder of its own."""

import contextlib
import json
import os
import queue
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.config.load import load_site
from gateway.config.paths import RunPaths, region_name, run_paths
from gateway.config.site import Site
from gateway.tags.image import Presence, Region, presence_of

CONFIG = Path(__file__).parents[2] / "config"
TIELINE = Path(sys.executable).with_name("tieline")
PLACE = {f"150{place + 20}": place for place in range(80)} | {"4840": 90, "8080": 91, "20000": 92}
# While the logic goes by a plan it holds the battery, which people command in these tests.
BY_PLAN, BY_HAND = "type: bool, area: grid, initial: true", "type: bool, area: grid, initial: false"
START_PATIENCE_S = 240.0  # a machine that others load, and programs to compile


def free_ports() -> int:
    """The first of a block of free ports, below those that the system hands out for connections.

    Its last port is held until this process ends: who looks before the site is up finds the block taken.
    """
    for _ in range(100):
        first = random.randrange(20_000, 32_000, 100)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + 100):
                probe = stack.enter_context(socket.socket())
                probe.bind(("127.0.0.1", port))
            os.dup(probe.fileno())
            return first
    raise AssertionError("no block of 100 free ports")


def copied_site(folder: Path) -> Path:
    """The demo with every port moved: devices from the first free port, the doors after them."""
    shutil.copytree(CONFIG, folder)
    first = free_ports()
    for file in (folder / "sites" / "demo").glob("*.yaml"):
        text = file.read_text()
        # In one go: what a port has become may look like another one of the demo.
        text = re.sub(r"\b(150\d\d|4840|8080|20000)\b", lambda match: str(first + PLACE[match[1]]), text)
        file.write_text(text.replace(BY_PLAN, BY_HAND))
    return folder / "sites" / "demo" / "site.yaml"


def is_alive(pid: int) -> bool:
    """Whether there is such a process, not counting one that has ended and is not yet waited for."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@dataclass(slots=True)
class Demo:
    """One run of the demo."""

    site_path: Path
    state: Path
    process: "subprocess.Popen[str]"
    site: Site
    paths: RunPaths
    output: "queue.Queue[str]" = field(default_factory=queue.Queue)
    lines: list[str] = field(default_factory=list)
    passwords: dict[str, str] = field(default_factory=dict)
    reading: threading.Thread = field(init=False)
    is_up: bool = False

    @property
    def parts(self) -> tuple[str, ...]:
        """Those that the site has."""
        names = [tag.name for tag in self.site.tags if tag.name.startswith("_system.parts.")]
        return tuple(name.split(".")[2] for name in names if name.endswith(".running"))

    @property
    def devices(self) -> tuple[str, ...]:
        """Of every protocol."""
        site = self.site
        found = (*site.modbus, *site.dnp3_devices, *site.can_devices, *site.opcua_devices)
        return tuple(device.name for device in found)

    @property
    def region_name(self) -> str:
        return region_name(self.site.name, self.paths)

    def __post_init__(self) -> None:
        self.reading = threading.Thread(target=self.read, daemon=True)
        self.reading.start()

    def read_until(self, pattern: str, timeout_s: float = START_PATIENCE_S) -> str:
        """The first line of its output from here on that matches."""
        end = time.monotonic() + timeout_s
        with contextlib.suppress(queue.Empty):
            while line := self.output.get(timeout=max(end - time.monotonic(), 0)):
                self.lines.append(line.rstrip("\n"))
                if match := re.match(r"\s+sign in\s+(\S+)\s+(\S+)", line):
                    self.passwords[match[1]] = match[2]
                if re.search(pattern, line):
                    return line
        raise AssertionError(f"no line matches {pattern!r}:\n" + "\n".join(self.lines))

    def run(self, *arguments: str, input: str = "") -> "subprocess.CompletedProcess[str]":
        """Another `tieline` command."""
        return subprocess.run(
            [TIELINE, *arguments], capture_output=True, text=True, input=input, timeout=60, check=False
        )

    def status(self) -> dict[str, Any]:
        """What `tieline status` says."""
        said = self.run("status", "--state", str(self.state), "--format", "json")
        assert said.stdout, said.stderr
        status: dict[str, Any] = json.loads(said.stdout)
        return status

    @staticmethod
    def until(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
        """Wait for something other processes do."""
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, f"not so after {timeout_s} s"
            time.sleep(0.02)

    def assert_nothing_left(self, pids: Iterable[int]) -> None:
        """No process, no socket; and no region, or one that the next start removes."""
        self.until(lambda: not any(is_alive(pid) for pid in pids), 8)  # 5 s is promised
        assert presence_of(self.region_name) is not Presence.LIVE
        assert not self.paths.command_socket.exists()
        assert not self.paths.simulator_socket.exists()

    def pid(self, region: Region, part: str) -> int:
        return int(region.sample(f"_system.parts.{part}.pid").value)

    def pids(self, region: Region) -> dict[str, int]:
        return {part: self.pid(region, part) for part in self.parts}

    def until_well(self, region: Region) -> None:
        """All parts run and all devices are connected."""
        names = [f"_system.parts.{part}.running" for part in self.parts]
        names += [f"_system.{device}.connected" for device in self.devices]
        self.until(lambda: all(region.sample(name).value is True for name in names), 120)

    def end(self) -> None:
        """Whatever has become of it, nothing of it is left."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.reading.join()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def again(self) -> "Demo":
        """Another run of the same site and state folder."""
        return started(self.site_path, self.state)

    def read(self) -> None:
        """In a thread: its output, line by line; an empty one at the end."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.put(line)
        self.output.put("")


def started(site_path: Path, state: Path) -> Demo:
    """Start it; use `Demo.read_until` to see it come up."""
    process = subprocess.Popen(
        [TIELINE, "run", site_path, "--state", state],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        bufsize=1,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    site = load_site(site_path)
    return Demo(site_path, state, process, site, run_paths(site.name, state))


@pytest.fixture(scope="session")
def start_site() -> Callable[[Path, Path], Demo]:
    """Start a site file in a state folder; whoever does ends it."""
    return started


@pytest.fixture(scope="session")
def find_ports() -> Callable[[], int]:
    """The first of a hundred free ports."""
    return free_ports


_SHARED = pytest.StashKey[Demo]()
_SITE = pytest.StashKey[Path]()
_PROGRAMS = Path("logic/programs")


def site_of_all(session: pytest.Session, factory: pytest.TempPathFactory) -> Path:
    """The copy of the demo that one after the other runs, so that its programs are compiled once."""
    if _SITE not in session.stash:
        session.stash[_SITE] = copied_site(factory.mktemp("site") / "config")
    return session.stash[_SITE]


@pytest.fixture
def demo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """One demo for all tests that leave it well. It ends with the last of them, for it takes half a processor."""
    stash = request.session.stash
    demo = stash.get(_SHARED, None)
    if demo is None:
        site_path = site_of_all(request.session, tmp_path_factory)
        demo = stash[_SHARED] = started(site_path, tmp_path_factory.mktemp("demo") / "state")
        demo.read_until("all parts run")
        demo.is_up = True
    assert demo.is_up, "it did not start; the first test that wanted it tells why"
    return demo


def shares_demo(item: pytest.Item) -> bool:
    return "demo" in getattr(item, "fixturenames", ())


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """What the test itself had is gone by now."""
    if (nextitem is None or not shares_demo(nextitem)) and _SHARED in item.session.stash:
        demo = item.session.stash[_SHARED]
        del item.session.stash[_SHARED]
        demo.end()


@pytest.fixture
def region(demo: Demo) -> Iterator[Region]:
    with Region.attach(demo.region_name) as region:
        demo.until_well(region)
        yield region


@pytest.fixture
def own_demo(
    request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Demo]:
    """A demo that the test may end as it likes, where the shared one has ended; it finds what one before compiled."""
    assert _SHARED not in request.session.stash, "two runs of one site"
    site_path, state = site_of_all(request.session, tmp_path_factory), tmp_path / "state"
    compiled = site_path.parents[3] / "programs"
    if compiled.exists():
        shutil.copytree(compiled, state / _PROGRAMS)
    demo = started(site_path, state)
    try:
        demo.read_until("all parts run")
        if not compiled.exists():
            shutil.copytree(state / _PROGRAMS, compiled)
        yield demo
    finally:
        demo.end()
