"""Select before operate at the router: one user, one door, one value, for some time."""

from __future__ import annotations

import asyncio

import pytest

from gateway.tags.command import Done, Refusal, Refused, Selected, Step
from gateway.tags.quality import Quality

POINT = "pcc.select_kw"


async def test_an_operate_without_a_select_is_refused(steps):
    async with steps.router() as router:
        refused = await router.send(steps.wish(POINT))
    assert refused.code is Refusal.NOT_SELECTED
    assert steps.device.operated == []


async def test_an_operate_follows_its_select_once(steps):
    async with steps.router() as router:
        select = steps.wish(POINT, step=Step.SELECT)
        selected = await router.send(select)
        assert isinstance(selected, Selected)
        assert abs(selected.until_ns - steps.now_ns() - 30e9) < 20e9
        assert steps.device.operated == []
        assert isinstance(await router.send(steps.wish(POINT, select=select.id)), Done)
        assert (await router.send(steps.wish(POINT, select=select.id))).code is Refusal.NOT_SELECTED
    assert len(steps.device.operated) == 1
    assert [row["event"] for row in steps.events()] == ["opened", "select", "intent", "outcome", "refusal"]


async def test_a_door_without_ids_operates_what_its_user_selected(steps):
    async with steps.router() as router:
        assert isinstance(await router.send(steps.wish(POINT, step=Step.SELECT)), Selected)
        assert isinstance(await router.send(steps.wish(POINT)), Done)


@pytest.mark.parametrize(
    "changes",
    [{"value": 5.5}, {"select": "another"}],
)
async def test_an_operate_that_is_not_what_was_selected_ends_the_select(steps, changes):
    async with steps.router() as router:
        await router.send(steps.wish(POINT, step=Step.SELECT))
        assert (await router.send(steps.wish(POINT, **changes))).code is Refusal.NOT_SELECTED
        assert (await router.send(steps.wish(POINT))).code is Refusal.NOT_SELECTED
    assert steps.device.operated == []


@pytest.mark.parametrize("other", [{"user": "otto"}, {"origin": "opcua"}])
async def test_a_selected_point_is_reserved_against_others(steps, other):
    async with steps.router() as router:
        await router.send(steps.wish(POINT, step=Step.SELECT))
        for step in (Step.OPERATE, Step.SELECT):
            refused = await router.send(steps.wish(POINT, step=step, **other))
            assert refused.code is Refusal.SELECTED
            assert "is selected by olga (hmi)" in refused.why
        assert (await router.send(steps.wish(POINT, step=Step.CANCEL, **other))).code is Refusal.NOT_SELECTED
        assert isinstance(await router.send(steps.wish(POINT)), Done)


async def test_a_cancelled_select_is_anybodys_again(steps):
    async with steps.router() as router:
        await router.send(steps.wish(POINT, step=Step.SELECT))
        assert isinstance(await router.send(steps.wish(POINT, step=Step.CANCEL)), Selected)
        assert (await router.send(steps.wish(POINT))).code is Refusal.NOT_SELECTED
        assert isinstance(await router.send(steps.wish(POINT, step=Step.SELECT, user="otto")), Selected)


async def test_a_select_runs_out(steps, monkeypatch):
    loop = asyncio.get_running_loop()
    async with steps.router() as router:
        await router.send(steps.wish(POINT, step=Step.SELECT))
        reservation = router.selections.of(POINT, loop.time())
        assert reservation is not None
        assert router.selections.of(POINT, reservation.until_s) is None
        assert (await router.send(steps.wish(POINT))).code is Refusal.NOT_SELECTED


async def test_a_select_is_refused_where_the_operate_would_be(steps):
    async with steps.router() as router:
        for changes, code in [
            ({"value": 10.0}, Refusal.OUT_OF_LIMITS),
            ({"user": "eve"}, Refusal.NOT_AUTHORISED),
            ({"tag": "battery1.setpoint_kw"}, Refusal.NOT_IN_CONTROL),
            ({"tag": "pcc.close_command", "value": True}, Refusal.INTERLOCKED),
        ]:
            fields = {"tag": POINT, **changes}
            refused = await router.send(steps.wish(**fields, step=Step.SELECT))
            assert refused.code is code


async def test_a_point_may_be_selected_that_does_not_ask_for_it(steps):
    async with steps.router() as router:
        await router.send(steps.wish("pcc.stop", True, step=Step.SELECT, user="otto"))
        await router.send(steps.wish("feeder1.open", True, step=Step.SELECT, origin="dnp3"))
        assert isinstance(await router.send(steps.wish("pcc.stop", True)), Done)  # an emergency passes it


async def test_the_select_tag_selects_for_clients_that_have_no_select(steps, wait):
    tag = f"{POINT}.select"
    async with steps.router() as router:
        await wait(lambda: steps.region.sample(tag).status == Quality.BAD_NO_DATA, "nothing selected")
        assert isinstance(await router.send(steps.wish(tag, 4, origin="opcua")), Selected)
        await wait(lambda: steps.region.sample(tag).status == Quality.GOOD, "shown")
        assert steps.region.sample(tag).value == 4.0
        assert (await router.send(steps.wish(POINT, 4))).code is Refusal.SELECTED
        assert isinstance(await router.send(steps.wish(POINT, 4, origin="opcua")), Done)
        await wait(lambda: steps.region.sample(tag).status == Quality.BAD_NO_DATA, "spent")


async def test_a_select_that_cannot_be_audited_is_none(steps):
    steps.audit.parent.write_text("in the way, as a full disk would be")
    async with steps.router() as router:
        refused = await router.send(steps.wish(POINT, step=Step.SELECT))
        assert refused.code is Refusal.AUDIT_UNAVAILABLE
        assert router.selections.of(POINT, asyncio.get_running_loop().time()) is None


async def test_after_a_restart_everything_is_selected_anew(steps):
    async with steps.router() as router:
        await router.send(steps.wish(POINT, step=Step.SELECT))
    async with steps.router() as router:
        refused = await router.send(steps.wish(POINT))
        assert isinstance(refused, Refused)
        assert refused.code is Refusal.NOT_SELECTED


async def test_a_command_follows_the_one_before_no_sooner_than_the_point_allows(steps):
    async with steps.router() as router:
        await router.send(steps.take())
        assert isinstance(await router.send(steps.wish("battery1.slow_kw")), Done)
        refused = await router.send(steps.wish("battery1.slow_kw"))
        assert refused.code is Refusal.TOO_SOON
        assert "takes a command every 60 s" in refused.why
