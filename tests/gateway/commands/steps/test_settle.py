"""An outcome that is not known is settled by what the device reports later, and never by sending again."""

from __future__ import annotations

import asyncio

import pytest

from gateway.commands import settle as settle_module
from gateway.tags.command import Done, Failed, TimedOut
from gateway.tags.operate import NotConnectedError

GATE = {"tag": "pcc.gate", "value": True}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(settle_module, "FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(settle_module, "LONGEST_PAUSE_S", 0.05)
    monkeypatch.setattr(settle_module, "STAYS_S", 0.2)


async def unknown(steps, router, **changes):
    """A command whose device fell silent after it was sent."""
    steps.device.on_operate = TimeoutError()
    steps.device.on_read = TimeoutError()
    command = steps.wish(**{**GATE, **changes})
    assert isinstance(await router.send(command), TimedOut)
    steps.device.on_operate = None
    return command


async def settled(router, command, kind):
    """The outcome that is told to who asks by id."""
    for _ in range(2000):
        outcome = await router.outcome_of(command.id)
        if isinstance(outcome, kind):
            return outcome
        await asyncio.sleep(0.01)
    pytest.fail(f"it stays {outcome}")


async def test_a_device_that_comes_back_and_has_the_value_has_done_it(steps):
    async with steps.router() as router:
        command = await unknown(steps, router)
        assert isinstance(await router.outcome_of(command.id), TimedOut)
        steps.device.on_read = None
        done = await settled(router, command, Done)
        assert await router.send(command) == done
    assert len(steps.device.operated) == 1
    assert [(event["id"], event["outcome"]["kind"]) for event in steps.events("settled")] == [
        (command.id, "done")
    ]


async def test_a_device_that_comes_back_without_the_value_has_not(steps):
    steps.device.takes = False
    steps.device.registers[steps.index("pcc.gate")] = False
    async with steps.router() as router:
        command = await unknown(steps, router)
        steps.device.on_read = None
        outcome = await settled(router, command, Failed)
    assert outcome == Failed("the device did not answer, and reports False, not True")
    assert len(steps.device.operated) == 1


async def test_a_device_that_acts_late_has_done_it(steps):
    steps.device.takes = False
    tag = steps.index("pcc.gate")
    steps.device.registers[tag] = False
    async with steps.router() as router:
        command = await unknown(steps, router)
        steps.device.on_read = None
        asyncio.get_running_loop().call_later(0.05, steps.device.registers.update, {tag: True})
        await settled(router, command, Done)


async def test_a_device_that_stays_away_leaves_it_unknown(steps):
    async with steps.router() as router:
        command = await unknown(steps, router)
        steps.device.on_read = NotConnectedError("no connection")
        await asyncio.sleep(0.3)
        assert isinstance(await router.outcome_of(command.id), TimedOut)


async def test_after_a_newer_command_nobody_can_tell(steps):
    async with steps.router() as router:
        first = await unknown(steps, router)
        second = await unknown(steps, router, value=False)
        steps.device.on_read = None
        assert (await settled(router, second, Done)).value is False
        assert isinstance(await router.outcome_of(first.id), TimedOut)
    assert [event["id"] for event in steps.events("settled")] == [second.id]


async def test_after_an_emergency_nobody_can_tell_what_became_of_the_command_before(steps, wait):
    for tag, value in (("pcc.frequency_hz", 50.0), ("pcc.grid_frequency_hz", 50.0), ("pcc.state", 0)):
        steps.write(tag, value)
    async with steps.router() as router:
        steps.device.on_operate, steps.device.takes = TimeoutError(), False
        steps.device.registers[steps.index("pcc.close_command")] = False
        closing = steps.wish("pcc.close_command", True, deadline_ns=steps.now_ns() + 3_000_000_000)
        sending = asyncio.create_task(router.send(closing))
        await wait(lambda: len(steps.device.operated) == 1, "it is sent")
        steps.device.on_operate = None
        assert isinstance(await router.send(steps.wish("pcc.close_command", False)), Done)
        assert isinstance(await sending, TimedOut)
        await asyncio.sleep(0.5)  # nothing is to happen
        assert isinstance(await router.outcome_of(closing.id), TimedOut)
    assert steps.events("settled") == []


async def test_what_was_not_settled_is_after_a_restart(steps):
    async with steps.router() as router:
        command = await unknown(steps, router)
    steps.device.on_read = None
    async with steps.router() as router:
        await settled(router, command, Done)
    async with steps.router() as router:
        assert isinstance(await router.send(command), Done)  # told by the trail
    assert len(steps.device.operated) == 1
    assert len(steps.events("settled")) == 1


async def test_after_the_time_for_it_nothing_is_settled_and_the_id_is_refused(steps):
    async with steps.router() as router:
        command = await unknown(steps, router)
    steps.device.on_read = None
    steps.shift_ns = 400_000_000_000
    async with steps.router() as router:
        await asyncio.sleep(0.2)
        outcome = await router.send(command)
        assert outcome.code.value == "expired"
    assert len(steps.device.operated) == 1


async def test_a_settled_outcome_that_cannot_be_audited_is_not_told(steps):
    async with steps.router() as router:
        command = await unknown(steps, router)
        steps.audit.rename(steps.audit.with_name("kept"))
        steps.audit.mkdir()
        router._trail._file.close()
        steps.device.on_read = None
        await asyncio.sleep(0.3)
        assert isinstance(await router.outcome_of(command.id), TimedOut)
        steps.audit.rmdir()
        steps.audit.with_name("kept").rename(steps.audit)
