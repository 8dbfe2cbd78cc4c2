"""docs/tutorial.md does what it says: its files are written, its commands run, and they print what stands there."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(\w+) ?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PATIENCE_S = 240.0  # of a machine that others keep busy
POLL_S = 0.05
SIMULATOR_PORTS = 42


@dataclass(frozen=True)
class Block:
    kind: str
    more: str
    text: str
    line: int


def blocks() -> list[Block]:
    page = PAGE.read_text()
    return [
        Block(one[1], one[2], one[3], page.count("\n", 0, one.start()) + 1) for one in BLOCK.finditer(page)
    ]


def free_ports() -> dict[str, int]:
    """Others on this machine may run a site too. The simulator takes some forty ports in a row.

    Below those of the end-to-end tests, whose sites may be about to take theirs.
    """
    for base in random.sample(range(10_000, 15_000, SIMULATOR_PORTS), 100):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(base, base + SIMULATOR_PORTS):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return {"15020": base, "15023": base + 3, "4840": base + 40, "8080": base + 41}
    raise AssertionError("no ports are free")


class Shell:
    """One bash for all of the page, as a reader has; what it prints is kept."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            ["bash", "--norc"], cwd=folder, env=environment, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.said: list[str] = []
        self.count = 0
        self.listener = Thread(target=self._listen, daemon=True)
        self.listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)

    def _write(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def run(self, text: str) -> str:
        """Run commands; returns what they printed. Fails where one does."""
        self.count += 1
        start = len(self.said)
        mark = f"==done-{self.count}-"
        self._write(f"(exit 0)\n{_stopping(text)}echo {mark}$?==\n")
        end = time.monotonic() + PATIENCE_S
        while not any(one.startswith(mark) for one in self.said[start:]):
            assert time.monotonic() < end, "".join(self.said[start:])
            time.sleep(POLL_S)
        printed = "".join(self.said[start:])
        assert f"{mark}0==" in printed, printed
        return printed

    def background(self, text: str, until: str) -> None:
        """Start commands and wait until they have said something."""
        self.count += 1
        log = self.folder / f"background{self.count}.log"
        (command,) = text.strip().splitlines()  # one, so that `kill` meets it and no shell around it
        self._write(f"exec_it() {{ exec {command}; }}; exec_it < /dev/null > {log} 2>&1 &\n")
        end = time.monotonic() + PATIENCE_S
        while not (log.exists() and re.search(until, log.read_text())):
            assert time.monotonic() < end, log.read_text() if log.exists() else "nothing was said"
            time.sleep(POLL_S)

    def close(self) -> None:
        """End it and everything that it started: all of it is of one process group."""
        self._write("kill $(jobs -p) 2>/dev/null\nwait\nexit\n")
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.listener.join(30)  # it ends when nobody holds the pipe any more
        assert not self.listener.is_alive(), "something that the page started still runs"
        self.process.stdout.close()


def _stopping(text: str) -> str:
    """Commands in a row, of which the first that fails is the last."""
    commands = [line for line in text.splitlines() if line.strip()]
    return " && \\\n".join(commands) + "\n"


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "XDG_STATE_HOME": str(tmp_path / "states"),
        "COLUMNS": "150",
    }
    environment.pop("TIELINE_SITE", None)
    environment.pop("TIELINE_STATE", None)
    one = Shell(tmp_path, environment)
    yield one
    one.close()


def assert_told(expected: str, printed: str) -> None:
    """Every line that the page shows was printed, in this order; … stands for anything."""
    at = 0
    for line in expected.splitlines():
        pattern = r"\s+".join(
            ".*".join(re.escape(piece) for piece in word.split("…")) for word in line.split()
        )
        found = re.compile(pattern).search(printed, at)
        assert found is not None, f"{line!r} was not printed, but:\n{printed}"
        at = found.end()


@pytest.mark.timeout(1200)
def test_the_first_hour_works_as_it_is_written(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "mysite"
    ports = free_ports()
    printed = ""
    for block in blocks():
        match block.kind, block.more.split():
            case "sh", []:
                printed = shell.run(block.text)
            case "sh", ["background", until]:
                shell.background(block.text, until.removeprefix("until="))
            case "sh", ["background", until, "well"]:
                shell.background(block.text, until.removeprefix("until="))
                shell.run("until tieline status > /dev/null; do sleep 0.2; done")  # it is told a moment later
            case "sh", ["wait" | "end"]:
                printed = shell.run(block.text)
            case "text", []:
                assert_told(block.text, printed)
            case _, [path]:
                (folder / path).parent.mkdir(exist_ok=True)
                (folder / path).write_text(block.text)
            case _:
                pytest.fail(f"{PAGE.name}:{block.line}: what is this block?")
        site = folder / "site.yaml"
        if site.exists() and "port: 4840" in site.read_text():
            for usual, free in ports.items():
                site.write_text(re.sub(rf"\b{usual}\b", str(free), site.read_text()))
    assert (folder / "coverage" / "index.html").is_file()
    assert (folder / "trace.png").read_bytes().startswith(b"\x89PNG")


def test_the_pictures_are_there() -> None:
    for name in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", PAGE.read_text()):
        assert (PAGE.parent / name).is_file()
