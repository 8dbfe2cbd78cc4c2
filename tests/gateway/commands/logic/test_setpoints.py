"""A command on a setpoint of the logic ends with the scan's answer; its numbers only ever grow."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress

import pytest

from gateway.commands.kept import RESERVED_AT_ONCE, HeldFile, KeptError, Sequence
from gateway.config.logic import Reason
from gateway.tags.command import Done, Refusal, Refused, TimedOut
from gateway.tags.quality import Quality

S = "dispatch.battery_kw"
VALID_NS = 900 * 1_000_000_000


async def judging(plant, reason: Reason = Reason.ACCEPTED) -> list[tuple]:
    """Answer the next setpoint as a scan does: one batch, `answered` last. Returns what stood in the three tags."""
    names = (S, f"{S}.valid_until", f"{S}.sequence")
    before = plant.sample(names[2]).value if plant.sample(names[2]).status == 0 else 0
    await plant.until(lambda: plant.sample(names[2]).status == 0 and plant.sample(names[2]).value != before)
    seen = [plant.sample(name) for name in names]
    accepted = seen[0].value if reason is Reason.ACCEPTED else 1.5
    plant.scan.publish(
        {f"{S}.accepted": (accepted, 0), f"{S}.reason": (int(reason), 0), f"{S}.answered": (seen[2].value, 0)}
    )
    return seen


async def give(plant, value, reason=Reason.ACCEPTED, **changes):
    seen, outcome = await asyncio.gather(judging(plant, reason), plant.command(S, value, **changes))
    return seen, outcome


async def running(plant) -> None:
    """The drivers have seen that the scan runs."""
    await plant.until(lambda: plant.sample("_system.scan.mode").status == 0)
    await asyncio.sleep(0.4)  # some beats


async def test_a_setpoint_is_done_when_the_scan_accepts_it(plant) -> None:
    await running(plant)
    before = time.time_ns()
    (value, until, sequence), outcome = await give(plant, 25.0)
    assert isinstance(outcome, Done)
    assert outcome.value == 25.0
    assert (value.value, sequence.value) == (25.0, 1)
    assert value.source_time == until.source_time == sequence.source_time
    assert before <= value.source_time <= time.time_ns()
    assert until.value == value.source_time + VALID_NS


async def test_a_command_may_hold_for_less_than_the_setpoints_own_time_but_not_for_more(plant) -> None:
    await running(plant)
    soon = time.time_ns() + 5_000_000_000
    (_, until, _), _ = await give(plant, 25.0, valid_until_ns=soon)
    assert until.value == soon
    (value, until, _), _ = await give(plant, 26.0, valid_until_ns=soon + 10 * VALID_NS)
    assert until.value == value.source_time + VALID_NS


@pytest.mark.parametrize(
    ("reason", "code", "word"),
    [
        (Reason.EXPIRED, Refusal.EXPIRED, "expired"),
        (Reason.SEQUENCE_NOT_NEWER, Refusal.BUSY, "send it again"),
        (Reason.OUT_OF_LIMITS, Refusal.OUT_OF_LIMITS, "-250 to 250"),
        (Reason.TOO_FAST, Refusal.OUT_OF_LIMITS, "50 a second, and was last accepted as 1.5"),
        (Reason.NOT_A_NUMBER, Refusal.OUT_OF_LIMITS, "not a number"),
        (Reason.BAD_QUALITY, Refusal.BUSY, "bad quality"),
    ],
)
async def test_the_scans_reason_is_the_refusal(plant, reason, code, word) -> None:
    await running(plant)
    begin = time.monotonic()
    _, outcome = await give(plant, 25.0, reason)
    assert isinstance(outcome, Refused)
    assert outcome.code is code
    assert word in outcome.why
    assert time.monotonic() - begin < 0.7  # not after the time for an answer


async def test_a_setpoint_that_nobody_judges_in_time_has_timed_out(plant) -> None:
    await running(plant)
    assert isinstance(await plant.command(S, 25.0), TimedOut)


async def test_without_a_scan_nothing_is_left_lying_there(plant) -> None:
    plant.scan.stop()
    plant.scan.publish({"_system.scan.mode": (1, 0)})
    await asyncio.sleep(3.2)  # until what it said last is not current
    outcome = await plant.command(S, 25.0)
    assert outcome == Refused(Refusal.NOT_CONNECTED, "no scan runs that could judge a setpoint")
    assert plant.sample(S).status == Quality.BAD_WAITING_FOR_INITIAL_DATA


@pytest.mark.parametrize("mode", [0, 2])
async def test_a_program_that_does_not_run_takes_no_setpoints(plant, mode) -> None:
    plant.scan.publish({"_system.scan.mode": (mode, 0)})
    await running(plant)
    outcome = await plant.command(S, 25.0)
    assert isinstance(outcome, Refused)
    assert "stopped or failed" in outcome.why


async def test_what_is_beyond_its_limits_does_not_get_to_the_scan(plant) -> None:
    await running(plant)
    outcome = await plant.command(S, 251.0)
    assert outcome.code is Refusal.OUT_OF_LIMITS
    assert plant.sample(f"{S}.sequence").status != 0


async def test_only_setpoints_have_an_end(plant) -> None:
    outcome = await plant.command("battery1.fan", True, valid_until_ns=time.time_ns() + 10**9)
    assert outcome.code is Refusal.MALFORMED
    assert plant.battery.writes("fan") == []


async def test_numbers_grow_when_the_drivers_are_killed_and_when_their_file_is_lost(mortal) -> None:
    plant = mortal
    await running(plant)
    (_, _, first), _ = await give(plant, 1.0)
    (_, _, second), _ = await give(plant, 2.0)
    assert second.value == first.value + 1
    await plant.kill()
    await plant.start_process()
    await running(plant)
    assert plant.sample(S).status == Quality.GOOD  # what the scan has judged is as good as it was
    assert plant.sample(S).value == 2.0
    (_, _, third), _ = await give(plant, 3.0)
    assert third.value > second.value
    await plant.kill()
    (plant.paths.state / "setpoints.json").unlink()
    await plant.start_process()
    await running(plant)
    (_, _, fourth), outcome = await give(plant, 4.0)
    assert fourth.value > third.value
    assert isinstance(outcome, Done)


async def test_a_setpoint_cut_off_by_the_end_of_the_drivers_is_not_sent_again_by_the_next(mortal) -> None:
    plant = mortal
    await running(plant)
    sending = asyncio.create_task(plant.command(S, 9.0))
    await plant.until(lambda: plant.sample(f"{S}.sequence").status == 0)
    await plant.kill()
    await plant.start_process()
    assert isinstance(await sending, TimedOut)
    assert plant.sample(S).status == Quality.BAD_NO_COMMUNICATION  # nobody judged it
    assert plant.sample(f"{S}.sequence").value == 1


def test_a_sequence_survives_a_power_cut_at_every_step(tmp_path, monkeypatch) -> None:
    path = tmp_path / "setpoints.json"
    given = [Sequence(path).next(0)]
    for call in ("fsync", "open", "unlink"):
        with monkeypatch.context() as patch:
            patch.setattr(f"os.{call}", _cut)
            with suppress(KeptError, _CutError):
                given.append(Sequence(path).next(0))
        given.append(Sequence(path).next(0))
    assert given == sorted(set(given))


class _CutError(BaseException):
    pass


def _cut(*_: object, **__: object) -> None:
    raise _CutError


def test_a_thousand_numbers_cost_one_write(tmp_path) -> None:
    path = tmp_path / "setpoints.json"
    sequence = Sequence(path)
    numbers = [sequence.next(0) for _ in range(RESERVED_AT_ONCE)]
    assert numbers == list(range(1, RESERVED_AT_ONCE + 1))
    assert json.loads(path.read_text()) == {"version": 1, "reserved": RESERVED_AT_ONCE + 1}
    assert Sequence(path).next(0) == RESERVED_AT_ONCE + 2
    assert sequence.next(5000) == 5001


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"version": 2}', b'{"version": 1, "reserved": "x", "held": 5}']
)
def test_a_file_that_is_not_ours_is_an_error_not_a_beginning(tmp_path, content) -> None:
    path = tmp_path / "kept.json"
    path.write_bytes(content)
    with pytest.raises(KeptError):
        Sequence(path).next(0)
    with pytest.raises(KeptError):
        HeldFile(path).load()
