"""What becomes of a command, step by step, and that none acts twice."""

import asyncio
import math
import time

import pytest

from gateway.commands import router as router_module
from gateway.commands.audit import verify
from gateway.tags.command import Done, Failed, Refusal, Refused, TimedOut
from gateway.tags.operate import NotConnectedError, OperateError


async def test_a_command_is_done_when_the_device_reports_it_back(opened, device, wish):
    async with opened() as router:
        outcome = await router.send(wish(value=-12.5))
    assert isinstance(outcome, Done)
    assert outcome.value == -12.5
    assert abs(outcome.at_ns - time.time_ns()) < 10e9
    assert device.operated == [(1, -12.5)]


async def test_a_whole_number_is_a_number(opened, device, wish):
    async with opened() as router:
        assert isinstance(await router.send(wish(value=5)), Done)
    assert device.operated == [(1, 5.0)]


async def test_what_differs_by_no_more_than_the_tolerance_is_done(opened, device, wish):
    device.reports = lambda value: value + 0.1
    async with opened() as router:
        outcome = await router.send(wish(value=5.0))
    assert isinstance(outcome, Done)
    assert outcome.value == 5.1


async def test_a_device_that_reports_something_else_has_failed_the_command(opened, device, wish):
    device.reports = lambda value: 0.0
    async with opened() as router:
        outcome = await router.send(wish())
    assert outcome == Failed("the device took 5.0 but reports 0.0")
    assert len(device.operated) == 1


async def test_a_device_that_is_slow_to_report_is_asked_again(opened, device, wish):
    answers = iter([0.0, 0.0, 5.0])
    device.reports = lambda value: next(answers)
    async with opened() as router:
        assert isinstance(await router.send(wish()), Done)


async def test_an_error_of_the_device_fails_the_command(opened, device, wish):
    device.on_operate = OperateError("exception 4: device failure")
    async with opened() as router:
        assert await router.send(wish()) == Failed("exception 4: device failure")


async def test_without_a_connection_nothing_was_sent_so_it_is_refused(opened, device, wish):
    device.on_operate = NotConnectedError("battery1 is not connected")
    async with opened() as router:
        outcome = await router.send(wish())
    assert outcome == Refused(Refusal.NOT_CONNECTED, "battery1 is not connected")


async def test_an_unanswered_write_that_is_reported_back_is_done(opened, device, wish):
    device.on_operate = TimeoutError()
    device.registers[1] = 5.0
    async with opened() as router:
        assert isinstance(await router.send(wish()), Done)
    assert len(device.operated) == 1


async def test_an_unanswered_write_that_is_not_reported_back_timed_out(opened, device, wish):
    device.on_operate = TimeoutError()
    device.registers[1] = 0.0
    async with opened() as router:
        assert isinstance(await router.send(wish()), TimedOut)


async def test_a_device_that_cannot_be_read_back_fails_the_command_and_says_why(opened, device, wish):
    device.on_read = OperateError("illegal address")
    async with opened() as router:
        outcome = await router.send(wish())
    assert outcome == Failed("the device took 5.0 but cannot be read back: illegal address")


async def test_a_device_that_falls_silent_after_the_write_times_out(opened, device, wish):
    device.on_read = TimeoutError()
    async with opened() as router:
        assert isinstance(await router.send(wish()), TimedOut)


async def test_the_tags_time_limit_bounds_a_device_that_never_answers(opened, device, wish):
    device.may_answer.clear()
    async with opened() as router:
        begin = time.monotonic()
        outcome = await router.send(wish())
        assert isinstance(outcome, TimedOut)
        assert 0.5 < time.monotonic() - begin < 1.5


async def test_the_deadline_bounds_it_where_that_is_sooner(opened, device, wish):
    device.may_answer.clear()
    async with opened() as router:
        begin = time.monotonic()
        outcome = await router.send(wish(deadline_ns=time.time_ns() + 200_000_000))
        assert isinstance(outcome, TimedOut)
        assert time.monotonic() - begin < 0.5


REFUSALS = [
    ({"deadline_ns": 1}, Refusal.EXPIRED),
    ({"deadline_ns": 2**62}, Refusal.MALFORMED),
    ({"user": "nobody"}, Refusal.NOT_AUTHORISED),
    ({"user": "eve"}, Refusal.NOT_AUTHORISED),
    ({"tag": "pcc.breaker_close_command", "value": True}, Refusal.NOT_AUTHORISED),
    ({"tag": "battery9.power_setpoint_kw"}, Refusal.UNKNOWN_TAG),
    ({"tag": "battery1.power_kw", "user": "enno"}, Refusal.NOT_WRITABLE),
    ({"value": "5"}, Refusal.WRONG_TYPE),
    ({"value": True}, Refusal.WRONG_TYPE),
    ({"value": 100.01}, Refusal.OUT_OF_LIMITS),
    ({"value": -101}, Refusal.OUT_OF_LIMITS),
    ({"value": math.nan}, Refusal.OUT_OF_LIMITS),
    ({"value": math.inf}, Refusal.OUT_OF_LIMITS),
    ({"value": 10**400}, Refusal.OUT_OF_LIMITS),
    ({"tag": "pcc.breaker_close_command", "value": 1, "user": "enno"}, Refusal.WRONG_TYPE),
    ({"tag": "genset1.mode", "value": 1.0}, Refusal.WRONG_TYPE),
    ({"tag": "genset1.mode", "value": True}, Refusal.WRONG_TYPE),
    ({"tag": "genset1.mode", "value": -1}, Refusal.OUT_OF_LIMITS),
    ({"tag": "genset1.mode", "value": 2}, Refusal.OUT_OF_LIMITS),
    ({"tag": "genset1.trim", "value": 2**63}, Refusal.OUT_OF_LIMITS),
    ({"tag": "ev1.display", "value": 5}, Refusal.WRONG_TYPE),
    ({"tag": "ev1.display", "value": "a\0b"}, Refusal.WRONG_TYPE),
    ({"tag": "ev1.display", "value": "\ud800"}, Refusal.WRONG_TYPE),
    ({"tag": "ev1.display", "value": "äöüßä"}, Refusal.OUT_OF_LIMITS),
]


@pytest.mark.parametrize(("changes", "code"), REFUSALS)
async def test_what_is_not_allowed_is_refused_and_never_reaches_the_device(
    opened, device, wish, changes, code
):
    async with opened() as router:
        outcome = await router.send(wish(**changes))
    assert isinstance(outcome, Refused)
    assert outcome.code is code
    assert device.operated == []


ALLOWED = [
    {"tag": "pcc.breaker_close_command", "value": False, "user": "enno"},
    {"tag": "genset1.mode", "value": 5},
    {"tag": "genset1.trim", "value": -(2**63)},
    {"tag": "ev1.display", "value": "äöü"},
    {"value": 100.0},
    {"value": -100, "user": "enno"},
]


@pytest.mark.parametrize("changes", ALLOWED)
async def test_what_is_allowed_is_done(opened, wish, changes):
    async with opened() as router:
        outcome = await router.send(wish(**changes))
    assert isinstance(outcome, Done)
    assert outcome.value == changes["value"]


async def test_a_tag_that_no_driver_reaches_is_not_connected(opened, wish):
    async with opened(drivers={}) as router:
        outcome = await router.send(wish())
    assert isinstance(outcome, Refused)
    assert outcome.code is Refusal.NOT_CONNECTED


async def test_one_command_a_tag_at_a_time(opened, device, wish):
    device.may_answer.clear()
    async with opened() as router:
        first = asyncio.create_task(router.send(wish(value=1.0)))
        await asyncio.sleep(0)
        second = await router.send(wish(value=2.0))
        assert isinstance(second, Refused)
        assert second.code is Refusal.BUSY
        other = asyncio.create_task(router.send(wish(tag="genset1.trim", value=1)))
        await asyncio.sleep(0)
        device.may_answer.set()
        assert isinstance(await first, Done)
        assert isinstance(await other, Done)
        assert isinstance(await router.send(wish(value=2.0)), Done)


async def test_the_same_id_joins_while_it_runs_and_gets_the_same_outcome_later(opened, device, wish):
    device.may_answer.clear()
    command = wish()
    async with opened() as router:
        first = asyncio.create_task(router.send(command))
        second = asyncio.create_task(router.send(command))
        await asyncio.sleep(0)
        device.may_answer.set()
        outcome = await first
        assert isinstance(outcome, Done)
        assert await second == outcome
        assert await router.send(command) == outcome
    assert len(device.operated) == 1


async def test_the_same_id_gets_the_same_outcome_after_a_restart(opened, device, wish):
    done, refused = wish(), wish(user="eve")
    async with opened() as router:
        outcomes = [await router.send(done), await router.send(refused)]
    async with opened() as router:
        assert [await router.send(done), await router.send(refused)] == outcomes
    assert len(device.operated) == 1


async def test_an_id_used_for_another_wish_is_refused(opened, device, wish):
    command = wish()
    async with opened() as router:
        await router.send(command)
        outcome = await router.send(wish(id=command.id, value=6.0))
    assert isinstance(outcome, Refused)
    assert outcome.code is Refusal.MALFORMED
    assert len(device.operated) == 1


async def test_whoever_waits_may_go_away(opened, device, wish):
    device.may_answer.clear()
    command = wish()
    async with opened() as router:
        waiting = asyncio.create_task(router.send(command))
        await asyncio.sleep(0.05)
        waiting.cancel()
        device.may_answer.set()
        assert isinstance(await router.send(command), Done)
    assert len(device.operated) == 1


async def test_the_end_lets_a_command_finish(opened, device, wish):
    device.may_answer.clear()
    async with opened() as router:
        sending = asyncio.create_task(router.send(wish()))
        await asyncio.sleep(0.05)
        asyncio.get_running_loop().call_later(0.1, device.may_answer.set)
    assert isinstance(await sending, Done)


async def test_the_end_does_not_wait_for_ever(opened, device, wish, audit_path, monkeypatch):
    monkeypatch.setattr(router_module, "STOP_PATIENCE_S", 0.1)
    device.may_answer.clear()
    async with opened() as router:
        sending = asyncio.create_task(router.send(wish()))
        await asyncio.sleep(0.05)
    assert isinstance(await sending, TimedOut)
    assert verify(audit_path).open_intents == ()


async def test_after_the_end_commands_are_refused(opened, wish):
    async with opened() as router:
        await router.send(wish())
        router._is_open = False
        outcome = await router.send(wish())
    assert isinstance(outcome, Refused)
    assert outcome.code is Refusal.NOT_CONNECTED


async def test_ids_are_forgotten_only_when_their_deadline_has_passed(opened, device, wish, monkeypatch):
    monkeypatch.setattr(router_module, "REMEMBERED_IDS", 3)
    monkeypatch.setattr(router_module, "REMEMBERED_AFTER_S", 0.0)
    async with opened() as router:
        soon = [wish(deadline_ns=time.time_ns() + 300_000_000) for _ in range(3)]
        for command in soon:
            assert isinstance(await router.send(command), Done)
        late = wish()
        busy = await router.send(late)
        assert isinstance(busy, Refused)
        assert busy.code is Refusal.BUSY
        await asyncio.sleep(0.35)  # their deadlines
        assert isinstance(await router.send(wish()), Done)
        again = await router.send(soon[0])
        assert isinstance(again, Refused)
        assert again.code is Refusal.EXPIRED
    assert len(device.operated) == 4


async def test_a_trail_that_cannot_be_opened_refuses_commands_but_stops_nothing_else(
    opened, device, wish, audit_path
):
    audit_path.parent.write_text("in the way, as a full disk would be")
    async with opened() as router:
        refused = await router.send(wish())
        assert (refused.code, device.operated) == (Refusal.AUDIT_UNAVAILABLE, [])
        audit_path.parent.unlink()
        assert isinstance(await router.send(wish()), Done)
    assert verify(audit_path).faults == ()


async def test_what_a_trail_opened_late_remembers_is_not_done_again(opened, device, wish, audit_path):
    command = wish()
    async with opened() as router:
        first = await router.send(command)
    hidden = audit_path.parent.rename(audit_path.parent.with_name("hidden"))
    hidden.with_name("state").write_text("in the way")
    async with opened() as router:
        hidden.with_name("state").unlink()
        hidden.rename(audit_path.parent)
        outcomes = await asyncio.gather(router.send(command), router.send(wish(tag="genset1.trim", value=1)))
    assert outcomes[0] == first
    assert isinstance(outcomes[1], Done)
    assert device.operated == [(1, 5.0), (4, 1)]


async def test_an_outcome_learnt_late_is_not_given_to_another_wish(opened, device, wish, audit_path):
    command = wish()
    async with opened() as router:
        await router.send(command)
    hidden = audit_path.parent.rename(audit_path.parent.with_name("hidden"))
    hidden.with_name("state").write_text("in the way")
    async with opened() as router:
        hidden.with_name("state").unlink()
        hidden.rename(audit_path.parent)
        outcome = await router.send(wish(id=command.id, value=6.0))
    assert isinstance(outcome, Refused)
    assert outcome.code is Refusal.MALFORMED
    assert device.operated == [(1, 5.0)]
