"""Control of an area: one holder, taken, released, run out, kept over a restart, shown."""

from __future__ import annotations

import asyncio

import pytest

from gateway.tags.command import Done, Refusal, Refused


async def test_what_nobody_has_control_of_is_refused_and_the_refusal_says_how_to_take_it(steps):
    async with steps.router() as router:
        refused = await router.send(steps.wish())
    assert refused == Refused(
        Refusal.NOT_IN_CONTROL,
        "nobody has control of storage; to take it write true to _system.control.storage.take, or "
        "`tieline control take storage`",
    )
    assert steps.device.operated == []


async def test_who_has_taken_control_commands_and_nobody_else_does(steps):
    async with steps.router() as router:
        assert isinstance(await router.send(steps.take()), Done)
        assert isinstance(await router.send(steps.wish()), Done)
        assert isinstance(await router.send(steps.wish(origin="cli", value=6.0)), Done)  # the same seat
        for other in ({"origin": "opcua"}, {"user": "otto"}):
            refused = await router.send(steps.wish(**other))
            assert refused.code is Refusal.NOT_IN_CONTROL
            assert "olga (local, hmi) has control of storage until " in refused.why
    assert len(steps.device.operated) == 2


@pytest.mark.parametrize(
    ("holder", "taker", "may"),
    [
        ("hmi", "hmi", True),
        ("hmi", "opcua", False),
        ("opcua", "hmi", True),
        ("dnp3", "modbus", True),
        ("schedule", "dnp3", True),
        ("dnp3", "schedule", False),
        ("market", "schedule", True),
        ("schedule", "market", False),
    ],
)
async def test_who_may_take_control_from_whom(steps, holder, taker, may):
    async with steps.router() as router:
        assert isinstance(await router.send(steps.take(origin=holder)), Done)
        outcome = await router.send(steps.take(origin=taker, user="otto"))
        assert isinstance(outcome, Done) is may
        if not may:
            assert outcome.code is Refusal.NOT_IN_CONTROL
            assert "may not take it from" in outcome.why


async def test_who_is_not_in_the_priority_takes_nothing(steps):
    async with steps.router() as router:
        refused = await router.send(steps.take(origin="logic"))
    assert refused == Refused(Refusal.NOT_IN_CONTROL, "logic may take control of nothing (`priority`)")


async def test_a_viewer_and_somebody_of_another_area_take_nothing(steps):
    async with steps.router() as router:
        for user in ("eve", "fred"):
            refused = await router.send(steps.take(user=user))
            assert refused.code is Refusal.NOT_AUTHORISED
        assert isinstance(await router.send(steps.take("loads", user="fred")), Done)


async def test_released_control_is_nobodys(steps):
    async with steps.router() as router:
        await router.send(steps.take(origin="opcua"))
        denied = await router.send(steps.take(value=False, origin="schedule"))
        assert denied.code is Refusal.NOT_IN_CONTROL
        assert isinstance(await router.send(steps.take(value=False, origin="opcua")), Done)
        refused = await router.send(steps.wish(origin="opcua"))
        assert refused.code is Refusal.NOT_IN_CONTROL


async def test_control_runs_out(steps):
    async with steps.router() as router:
        await router.send(steps.take())
        steps.shift_ns = 40_000_000_000
        assert isinstance(await router.send(steps.wish()), Done)
        steps.shift_ns = 101_000_000_000
        refused = await router.send(steps.wish(value=7.0))
        assert refused.code is Refusal.NOT_IN_CONTROL


async def test_control_is_kept_over_a_restart_and_no_longer_than_it_was_given(steps):
    async with steps.router() as router:
        await router.send(steps.take())
    async with steps.router() as router:
        assert isinstance(await router.send(steps.wish()), Done)
        assert (await router.send(steps.wish(origin="opcua"))).code is Refusal.NOT_IN_CONTROL
    steps.shift_ns = 101_000_000_000
    async with steps.router() as router:
        assert (await router.send(steps.wish())).code is Refusal.NOT_IN_CONTROL


async def test_a_clock_set_back_makes_no_hold_longer(steps):
    async with steps.router() as router:
        await router.send(steps.take())
    steps.shift_ns = -86_400_000_000_000
    async with steps.router() as router:
        assert isinstance(await router.send(steps.wish()), Done)
        steps.shift_ns += 101_000_000_000
        assert (await router.send(steps.wish())).code is Refusal.NOT_IN_CONTROL


@pytest.mark.parametrize("content", ["no JSON", '{"version": 1, "areas": {"storage": {"seat": "moon"}}}'])
async def test_where_it_is_not_known_who_had_control_nobody_has(steps, content):
    (steps.folder / "state").mkdir()
    (steps.folder / "state" / "control.json").write_text(content)
    async with steps.router() as router:
        assert (await router.send(steps.wish())).code is Refusal.NOT_IN_CONTROL
        assert isinstance(await router.send(steps.take()), Done)


async def test_control_that_cannot_be_written_down_is_not_given(steps):
    async with steps.router() as router:
        (steps.folder / "state" / "control.new").mkdir()  # in the way of every write
        refused = await router.send(steps.take())
        assert refused.code is Refusal.AUDIT_UNAVAILABLE
        assert (await router.send(steps.wish())).code is Refusal.NOT_IN_CONTROL


async def test_the_default_commands_while_nobody_has_control_of_the_area_above(steps):
    steps.write("battery1.power_kw", 0.0)
    async with steps.router() as router:
        feeder = {"tag": "feeder1.open", "value": True}
        assert isinstance(await router.send(steps.wish(**feeder, origin="dnp3")), Done)
        assert (await router.send(steps.wish(**feeder))).code is Refusal.NOT_IN_CONTROL
        await router.send(steps.take("loads"))
        assert (await router.send(steps.wish(**feeder, origin="dnp3"))).code is Refusal.NOT_IN_CONTROL
        assert isinstance(await router.send(steps.wish(**feeder)), Done)


async def test_an_area_that_is_under_nobodys_control_is_everybodys(steps):
    async with steps.router() as router:
        for origin in ("hmi", "opcua", "schedule"):
            outcome = await router.send(steps.wish("pcc.stop", True, origin=origin))
            assert isinstance(outcome, Done)


async def test_who_has_control_is_shown_by_tags(steps, wait):
    def shown() -> tuple:
        names = ("take", "holder", "user", "until")
        return tuple(steps.region.sample(f"_system.control.storage.{name}").value for name in names)

    async with steps.router() as router:
        await wait(lambda: shown() == (False, 0, "", 0), "nobody")
        await router.send(steps.take(origin="dnp3"))
        await wait(lambda: shown()[:3] == (True, 2, "olga"), "the holder")
        assert abs(shown()[3] - steps.now_ns() - 100e9) < 60e9
        steps.shift_ns = 200_000_000_000
        await wait(lambda: shown() == (False, 0, "", 0), "nobody again")


async def test_of_two_that_take_control_at_once_one_has_it(steps):
    async with steps.router() as router:
        outcomes = await asyncio.gather(
            router.send(steps.take(origin="opcua")), router.send(steps.take(origin="dnp3", user="otto"))
        )
        assert [isinstance(outcome, Done) for outcome in outcomes] == [True, False]
        assert isinstance(await router.send(steps.wish(origin="opcua")), Done)


async def test_a_command_is_judged_again_right_before_it_is_sent(steps):
    """Control is lost while the intent is on its way to the disk."""
    async with steps.router() as router:
        await router.send(steps.take(origin="opcua"))
        sending = asyncio.create_task(router.send(steps.wish(origin="opcua")))
        await asyncio.sleep(0)  # checked, and not sent yet
        steps.shift_ns = 101_000_000_000
        outcome = await sending
    assert outcome.code in (Refusal.NOT_IN_CONTROL, Refusal.EXPIRED)
    assert steps.device.operated == []


async def test_who_took_control_is_in_the_audit_trail(steps):
    async with steps.router() as router:
        await router.send(steps.take())
    (intent,) = steps.events("intent")
    assert intent["command"]["tag"] == "_system.control.storage.take"
    assert (intent["command"]["user"], intent["command"]["value"]) == ("olga", True)
