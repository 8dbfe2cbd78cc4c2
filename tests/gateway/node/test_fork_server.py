"""Parts that are forked of one server: they are the root's own, and none of them needs the server to live."""

import ast
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.node import fork_server, parts
from gateway.node.fork_server import ForkServer
from gateway.node.supervisor import Part

SMALL_PART = Path(__file__).with_name("small_part.py")

LIBRARIES = (
    *("pandas", "pyarrow", "duckdb", "scipy", "sklearn", "lightgbm", "highspy", "pvlib", "matplotlib"),
    *("holidays", "rich", "PIL", "reportlab", "tsdownsample", "eth_account", "influxdb_client", "pytest"),
)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def server(said: list[str]) -> Iterator[ForkServer]:
    server = ForkServer(said.append)
    server.open()
    try:
        server.begin()
        assert said == []
        yield server
    finally:
        server.close()


def fields_of(pid: int) -> list[str]:
    """proc(5), ``/proc/<pid>/stat`` from the state on: state, parent, process group."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_a_forked_part_is_the_roots_child_and_comes_back_when_killed(start, server):
    # No small part has this name: what is not forked is never ready.
    async with start("historian", fork_server=server) as running:
        await running.until_ready("historian")
        pid = running.pid("historian")
        _, parent, group = fields_of(pid)[:3]
        assert (int(parent), int(group)) == (os.getpid(), pid)
        assert name_of(pid) == "tl-historian"
        os.kill(pid, signal.SIGKILL)
        await running.until(lambda: running.life("historian").restarts == 1)
        await running.until_ready("historian")
        assert running.life("historian").last_exit == "killed by SIGKILL"
        pid = running.pid("historian")
    assert running.life("historian").last_exit == "exit 0"
    assert not is_there(pid)


async def test_parts_live_on_without_the_server_and_start_by_their_commands(start, server, said):
    async with start("historian", fork_server=server) as running:
        await running.until_ready("historian")
        before = running.pid("historian")
        os.kill(server.pid, signal.SIGKILL)
        command = (sys.executable, str(SMALL_PART), "steady")
        await running.supervisor.add(Part("steady", command, 0, 0, is_forked=True))
        await running.until_ready("steady")
        assert said == ["no fork server (it has ended): parts start by themselves, which takes longer"]
        assert running.pid("historian") == before
        assert server.pid == 0


async def test_a_server_that_does_not_answer_is_given_up(start, server, said, monkeypatch):
    monkeypatch.setattr(fork_server, "ANSWER_PATIENCE_S", 0.3)
    pid = server.pid
    os.kill(pid, signal.SIGSTOP)
    async with start("steady", fork_server=server) as running:
        await running.until_ready("steady")
    assert said == ["no fork server (it does not answer): parts start by themselves, which takes longer"]
    assert not is_there(pid)


async def test_what_a_forked_part_says_last_is_kept(start, server):
    # The server knows no such part: the process ends by itself, and its words come through its own pipe.
    async with start("steady", fork_server=server) as running:
        await running.until(lambda: running.life("steady").restarts >= 1)
        assert running.life("steady").last_exit == "exit 1: KeyError: 'steady'"


def test_no_part_imports_a_library_of_analysis_to_start() -> None:
    tree = ast.parse(Path(parts.__file__).read_text())
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    assert {"historian.forecast_job.part", "gateway.servers.opcua.part"} < modules
    imported = _imported_by(*sorted(modules), "gateway.node.scan", *fork_server.PRELOADED)
    assert imported.isdisjoint(LIBRARIES)


def test_who_has_no_use_for_all_that_a_site_can_be_does_not_import_it() -> None:
    imported = _imported_by("historian.dispatch_job.solver", "historian.query", "plc.commands.online")
    assert "gateway.config.site" not in imported


def _imported_by(*modules: str) -> set[str]:
    code = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    return set(said.stdout.split())
