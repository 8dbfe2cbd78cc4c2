"""Parts that get another site: in place, by a new life, or not at all any more; and what fails comes back with it."""

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config.site import HistorianSettings, Site
from gateway.node import supervisor
from gateway.node.launch import share_site
from gateway.node.supervisor import Part, Supervisor
from gateway.tags.image import Region
from gateway.tags.tag import TagSpec, ValueType

SMALL_PART = Path(__file__).with_name("small_part.py")


@pytest.fixture
def other() -> Iterator[int]:
    """Another site, as the root has it."""
    site = Site(
        name="small",
        description="the other one",
        areas=(),
        tags=(),
        modbus=(),
        users=(),
        historian=HistorianSettings(),
        opcua=None,
        hmi=None,
        simulator=None,
        journal_records=1024,
        files=(),
        digest="other",
    )
    shared = share_site(site)
    yield shared
    os.close(shared)


async def test_a_part_that_can_takes_it_without_a_new_life(start, other):
    async with start("taking") as running:
        await running.until_ready("taking")
        pid = running.pid("taking")
        before = running.supervisor.run_site_from(other, [])
        assert await running.supervisor.hand_over("taking") is True
        assert await running.supervisor.hand_over("taking") is True
        assert (running.pid("taking"), running.life("taking").restarts) == (pid, 0)
        running.supervisor.run_site_from(before, [])


async def test_a_part_that_fails_over_it_is_started_again_with_it(start, other):
    async with start("refusing") as running:
        await running.until_ready("refusing")
        pid = running.pid("refusing")
        before = running.supervisor.run_site_from(other, [])
        assert await running.supervisor.hand_over("refusing") is False
        await running.until(lambda: running.life("refusing").restarts == 1)
        await running.until_ready("refusing")
        assert running.pid("refusing") != pid
        assert running.life("refusing").last_exit == "exit 1: RuntimeError: cannot take the other one"
        running.supervisor.run_site_from(before, [])


async def test_a_part_that_does_not_answer_is_killed_and_started_again(start, other, monkeypatch):
    monkeypatch.setattr(supervisor, "TAKE_PATIENCE_S", 0.5)
    async with start("steady") as running:
        await running.until_ready("steady")
        assert await running.supervisor.hand_over("steady") is False
        await running.until(lambda: running.life("steady").restarts == 1)
        await running.until_ready("steady")
        assert any("does not take the new site: killed" in said for said in running.said)


async def test_a_part_is_started_again_at_once_when_that_is_wanted(start, monkeypatch):
    monkeypatch.setattr(supervisor, "LEAVE_PATIENCE_S", 10.0)
    async with start("steady", "stubborn") as running:
        await running.until_ready("steady", "stubborn")
        pids = running.pid("steady"), running.pid("stubborn")
        await running.supervisor.restart("steady")
        monkeypatch.setattr(supervisor, "LEAVE_PATIENCE_S", 0.5)
        await running.supervisor.restart("stubborn")
        assert running.pid("steady") != pids[0]
        assert running.pid("stubborn") != pids[1]
        assert running.life("steady").last_exit == "exit 0"
        assert running.life("stubborn").last_exit == "killed by SIGKILL"
        assert not any("starts again in" in said for said in running.said)


async def test_a_part_that_waits_for_its_next_try_is_left_to_it(start, other):
    async with start("failing") as running:
        await running.until(lambda: running.life("failing").state is supervisor.State.WAITING)
        assert await running.supervisor.hand_over("failing") is False
        await running.supervisor.restart("failing")
        assert await running.supervisor.hand_over("nobody") is False
        await running.supervisor.restart("nobody")
        await running.supervisor.remove("nobody")


async def test_parts_come_and_go_while_the_others_run(start):
    async with start("steady", "failing") as running:
        await running.until_ready("steady")
        pid = running.pid("steady")
        part = Part("taking", (sys.executable, str(SMALL_PART), "taking"), 0, 0)
        await running.supervisor.add(part)
        assert running.life("taking").ready.is_set()
        came = running.pid("taking")
        await running.supervisor.remove("taking")
        assert running.supervisor.life_of("taking") is None
        with pytest.raises(ProcessLookupError):
            os.kill(came, 0)
        await running.until(lambda: running.life("failing").state is supervisor.State.WAITING)
        await running.supervisor.remove("failing")
        assert [life.part.name for life in running.supervisor.lives] == ["steady"]
        assert running.pid("steady") == pid


async def test_a_part_that_comes_while_others_still_start_is_started_once(start, monkeypatch):
    monkeypatch.setattr(supervisor, "READY_PATIENCE_S", 2.0)
    async with start("failing", "steady", stages={"failing": 0, "steady": 1}) as running:
        await running.until(lambda: running.life("failing").child is not None)
        later = Part("taking", (sys.executable, str(SMALL_PART), "taking"), 1, 0)
        await running.supervisor.add(later)
        await running.supervisor.remove("failing")
        names = ("steady", "taking")
        await running.until(lambda: all(running.life(name).ready.is_set() for name in names), 60.0)
        assert running.life("taking").restarts == 0


async def test_parts_are_started_as_the_new_site_has_them(start, other):
    async with start("steady") as running:
        await running.until_ready("steady")
        part = running.life("steady").part
        before = running.supervisor.run_site_from(other, [replace(part, silence_s=7.0)])
        assert running.life("steady").part.silence_s == 7.0
        running.supervisor.run_site_from(before, [])


async def test_nothing_is_added_to_a_supervisor_that_does_not_run(paths):
    spec = TagSpec("a", ValueType.BOOL, "node")
    with Region.create(f"test-idle-{os.getpid()}", [spec], journal_records=1024) as region:
        keeper = Supervisor([], paths, region, -1, print)
        await keeper.add(Part("steady", (sys.executable,), 0, 0))
        assert keeper.lives == []
