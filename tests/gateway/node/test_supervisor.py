"""The supervisor over real processes that crash, hang, leave, and will not stop."""

import asyncio
import os
import signal
import time
from pathlib import Path

import numpy as np

from gateway.node import supervisor
from gateway.node.state import RunRecord
from gateway.node.status import status_of
from gateway.node.supervisor import State
from gateway.tags.quality import Quality, is_good

BUSY_UNTIL_S = 120.0  # a part that hangs twice, on a machine that has much else to do
PROMISED_S, BUSY_S = 5.0, 2.0  # to end everything; how much later that may be seen on a busy machine


def is_told_stuck(running, name: str) -> bool:
    """By `tieline status`."""
    names = tuple(life.part.name for life in running.supervisor.lives)
    record = RunRecord("small", running.region.name, os.getpid(), time.time_ns(), names, ())
    troubles = status_of(running.region, record, time.time_ns()).troubles
    return any(each.startswith(f"part {name} does not get on: ") for each in troubles)


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_parts_start_stage_by_stage_and_say_when_they_are_ready(start):
    async with start("steady", "drivers", stages={"drivers": 1}) as running:
        await running.until(lambda: any(line.startswith("all parts run") for line in running.said))
        assert [line.split()[0] for line in running.said] == ["steady", "drivers", "all"]


async def test_a_killed_part_comes_back_and_the_others_do_not_notice(start):
    async with start("steady", "drivers") as running:
        await running.until_ready("steady", "drivers")
        before = running.pid("drivers")
        os.kill(running.pid("steady"), signal.SIGKILL)
        await running.until(lambda: running.life("steady").restarts == 1)
        await running.until_ready("steady")
        assert running.pid("drivers") == before
        assert running.life("drivers").restarts == 0
        assert running.life("steady").last_exit == "killed by SIGKILL"


async def test_tags_of_a_dead_owner_turn_bad_with_the_last_value_and_good_again_after_its_restart(start):
    async with start("drivers") as running:
        await running.until(lambda: is_good(running.region.sample("pcc.power_kw").status))
        reader = running.region.reader("oldest")
        os.kill(running.pid("drivers"), signal.SIGKILL)
        await running.until(lambda: running.life("drivers").restarts == 1)
        await running.until(lambda: is_good(running.region.sample("pcc.power_kw").status))
        tag = running.region.index_of("pcc.power_kw")
        records = reader.take().records
        records = records[records["tag"] == tag]
        (row,) = np.flatnonzero(records["status"] == Quality.BAD_NO_COMMUNICATION)
        assert records["status"][row - 1] == Quality.GOOD
        assert records["value"][row] == records["value"][row - 1] > 0


async def test_tags_that_never_had_a_value_are_marked_too(start):
    async with start("drivers") as running:
        await running.until_ready("drivers")
        os.kill(running.pid("drivers"), signal.SIGKILL)
        status = int(Quality.BAD_NO_COMMUNICATION)
        await running.until(lambda: running.region.sample("pcc.breaker_closed").status == status)


async def test_a_part_that_hangs_is_killed_and_started_again(start, short_silence):
    async with start("hanging", "steady") as running:
        await running.until(lambda: running.life("hanging").restarts == 1)
        assert running.life("hanging").last_exit == "killed by SIGKILL"
        assert any(line.startswith("hanging does not answer") for line in running.said)
        assert running.life("steady").restarts == 0


async def test_a_stopped_process_counts_as_hung(start, short_silence):
    async with start("deaf") as running:
        await running.until(lambda: running.life("deaf").restarts == 1)
        assert running.life("deaf").last_exit == "killed by SIGKILL"


async def test_a_part_whose_work_stands_still_is_told_then_started_again_and_counted(start, monkeypatch):
    monkeypatch.setattr(supervisor, "STUCK_S", 1.5)
    async with start("stuck", "steady") as running:
        sample = running.region.sample
        await running.until_ready("stuck")
        await running.until(lambda: is_told_stuck(running, "stuck"), BUSY_UNTIL_S)
        await running.until(lambda: sample("_system.parts.stuck.restarts").value >= 1, BUSY_UNTIL_S)
        await running.until(lambda: sample("_system.parts.stuck.stuck").value is False, BUSY_UNTIL_S)
        assert sample("_system.parts.stuck.last_exit").value == "killed by SIGKILL: its work stood still"
        assert any(line.startswith("stuck answers, but its work stands still") for line in running.said)
        assert running.life("steady").restarts == 0
        assert sample("_system.parts.steady.stuck").value is False


async def test_a_part_that_gets_on_by_itself_is_not_started_again(start):
    async with start("halting") as running:
        sample = running.region.sample
        await running.until(lambda: is_told_stuck(running, "halting"), BUSY_UNTIL_S)
        assert sample("_system.parts.halting.running").value is True
        (running.paths.state / "go").touch()
        await running.until(lambda: sample("_system.parts.halting.stuck").value is False, BUSY_UNTIL_S)
        assert running.life("halting").restarts == 0
        assert running.said[-1] == "halting gets on"
        assert not is_told_stuck(running, "halting")


async def test_a_part_that_beats_in_the_image_is_ready_by_that_and_killed_when_it_falls_silent(start):
    async with start("imaging", "steady") as running:
        await running.until_ready("imaging")
        begin = time.monotonic()
        await running.until(lambda: running.life("imaging").restarts == 1)
        assert (
            time.monotonic() - begin < 6
        )  # 0.8 s of beats, 1.5 s of silence; not the patience of a first beat
        assert any(line.startswith("imaging does not answer") for line in running.said)
        await running.until_ready("imaging")
        assert running.life("steady").restarts == 0


async def test_a_part_that_fails_is_tried_less_and_less_often_and_says_why(start):
    async with start("failing") as running:
        await running.until(lambda: running.life("failing").restarts == 3)
        waits = [float(line.rsplit(" ", 2)[1]) for line in running.said if line.startswith("failing ended")]
        assert waits == sorted(waits)
        assert waits[2] >= waits[0] * 2
        assert running.life("failing").last_exit == "exit 1: RuntimeError: this part always fails"


async def test_a_part_that_leaves_without_being_told_is_started_again(start):
    async with start("leaving") as running:
        await running.until(lambda: running.life("leaving").restarts == 1)
        assert running.life("leaving").last_exit == "exit 1"


async def test_a_part_that_is_slow_to_begin_gets_more_time_at_each_start(start, monkeypatch):
    monkeypatch.setattr(supervisor, "FIRST_BEAT_S", 1.0)
    async with start("slow", "steady") as running:
        await running.until_ready("slow")
        assert any(line.startswith("slow does not answer") for line in running.said)
        assert running.life("slow").restarts >= 1


async def test_stopping_ends_all_processes_even_the_stubborn_within_five_seconds(start):
    async with start("steady", "stubborn") as running:
        await running.until_ready("steady", "stubborn")
        pids = [running.pid("steady"), running.pid("stubborn")]
        begin = time.monotonic()
    assert time.monotonic() - begin < PROMISED_S + BUSY_S
    assert not any(is_alive(pid) for pid in pids)
    assert running.life("steady").last_exit == "exit 0"
    assert running.life("stubborn").last_exit == "killed by SIGKILL"


async def test_stopping_while_a_part_waits_to_be_restarted_does_not_start_it(start):
    async with start("failing") as running:
        await running.until(lambda: running.life("failing").state is State.WAITING)
        restarts = running.life("failing").restarts
    assert running.life("failing").state is State.IDLE
    assert running.life("failing").restarts <= restarts + 1


async def test_killing_at_once_leaves_no_process(start):
    async with start("stubborn", "steady") as running:
        await running.until_ready("steady", "stubborn")
        pids = [running.pid("steady"), running.pid("stubborn")]
        begin = time.monotonic()
        running.stop.set()
        running.supervisor.kill()
        await running.until(lambda: not any(is_alive(pid) for pid in pids))
        assert time.monotonic() - begin < 1


async def test_health_of_the_parts_is_in_the_image(start):
    async with start("steady", "failing") as running:
        await running.until(lambda: running.region.sample("_system.parts.failing.restarts").value >= 1)
        await running.until(lambda: running.region.sample("_system.parts.steady.running").value is True)
        sample = running.region.sample
        assert sample("_system.parts.steady.pid").value == running.pid("steady")
        assert 5 < sample("_system.parts.steady.memory_mb").value < 500
        assert sample("_system.parts.failing.running").value is False
        assert sample("_system.parts.failing.last_exit").value.startswith("exit 1: RuntimeError")


async def test_a_supervisor_that_was_held_up_does_not_blame_its_parts(start, monkeypatch):
    monkeypatch.setattr(supervisor, "SILENCE_S", 3.0)
    async with start("steady") as running:
        await running.until_ready("steady")
        pid = running.pid("steady")
        time.sleep(4)  # noqa: ASYNC251 - this very process, and so the supervisor, does nothing meanwhile
        await asyncio.sleep(1)
        assert running.pid("steady") == pid
