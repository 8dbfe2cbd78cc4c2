"""Interlocks: what must be true of the site, of Good and current values only."""

from __future__ import annotations

import asyncio

import pytest

from gateway.tags.command import Done, Refusal, Refused
from gateway.tags.quality import Quality

CLOSE = {"tag": "pcc.close_command", "value": True}


def in_step(steps) -> None:
    steps.write("pcc.frequency_hz", 50.02)
    steps.write("pcc.grid_frequency_hz", 49.98)
    steps.write("pcc.state", 0)


async def test_a_command_goes_while_its_interlock_is_true(steps):
    in_step(steps)
    async with steps.router() as router:
        assert isinstance(await router.send(steps.wish(**CLOSE)), Done)


async def test_a_command_does_not_go_while_it_is_false(steps):
    in_step(steps)
    steps.write("pcc.grid_frequency_hz", 50.5)
    async with steps.router() as router:
        refused = await router.send(steps.wish(**CLOSE))
    assert refused == Refused(Refusal.INTERLOCKED, "the bus is not in step (interlock in_step)")
    assert steps.device.operated == []


@pytest.mark.parametrize(
    "status", [Quality.BAD_COMMUNICATION_ERROR, Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED]
)
async def test_a_value_that_is_not_good_stops_the_command_and_is_named(steps, status):
    in_step(steps)
    steps.write("pcc.grid_frequency_hz", 49.98, status)
    async with steps.router() as router:
        refused = await router.send(steps.wish(**CLOSE))
    why = "the bus is not in step (interlock in_step: pcc.grid_frequency_hz is not Good)"
    assert refused == Refused(Refusal.INTERLOCKED, why)


async def test_a_value_that_is_not_refreshed_stops_the_command(steps, wait):
    in_step(steps)
    async with steps.router() as router:
        assert isinstance(await router.send(steps.wish(**CLOSE)), Done)
        end = asyncio.get_running_loop().time() + 20
        outcome = None
        while not isinstance(outcome, Refused) and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.2)
            steps.write("pcc.frequency_hz", 50.02)
            steps.write("pcc.state", 0)
            outcome = await router.send(steps.wish(**CLOSE))
    why = "the bus is not in step (interlock in_step: pcc.grid_frequency_hz is stale)"
    assert outcome == Refused(Refusal.INTERLOCKED, why)


async def test_it_is_judged_again_right_before_the_command_is_sent(steps):
    in_step(steps)
    async with steps.router() as router:
        sending = asyncio.create_task(router.send(steps.wish(**CLOSE)))
        await asyncio.sleep(0)  # checked, and not sent yet
        steps.write("pcc.state", 1)
        assert (await sending).code is Refusal.INTERLOCKED
    assert steps.device.operated == []
    (event,) = steps.events("outcome")
    assert event["outcome"]["code"] == "interlocked"


async def test_it_stops_the_points_that_its_pattern_names(steps):
    async with steps.router() as router:
        steps.write("battery1.power_kw", 11.0)
        refused = await router.send(steps.wish("feeder1.open", True, origin="dnp3"))
        assert refused.code is Refusal.INTERLOCKED
        steps.write("battery1.power_kw", 9.0)
        assert isinstance(await router.send(steps.wish("feeder1.open", True, origin="dnp3")), Done)
