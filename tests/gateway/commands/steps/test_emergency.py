"""Emergency commands are never locked out, never late, always audited, and bounded."""

from __future__ import annotations

import asyncio
import threading

import pytest

from gateway.commands import router as router_module
from gateway.commands.audit import AuditFile, AuditTrail, verify
from gateway.tags.command import Done, Refusal, Refused, Step

STOP = {"tag": "pcc.stop", "value": True}
OPEN = {"tag": "pcc.close_command", "value": False}


class Logic:
    """A holder that holds everything."""

    def __init__(self) -> None:
        self.emergencies: list[int] = []

    def why_held(self, tag: int) -> str | None:
        return "held by the logic"

    def commanded(self, tag: int, *, is_emergency: bool = False) -> None:
        if is_emergency:
            self.emergencies.append(tag)


async def test_an_emergency_passes_the_logic_and_takes_the_point_from_it(steps):
    logic = Logic()
    async with steps.router(holder=logic) as router:
        assert (await router.send(steps.wish("pcc.close_command", True))).code is Refusal.HELD
        assert isinstance(await router.send(steps.wish(**OPEN)), Done)
    assert logic.emergencies == [steps.index("pcc.close_command")]


async def test_only_the_value_that_is_the_emergency_passes_the_interlock(steps):
    async with steps.router() as router:
        assert (await router.send(steps.wish("pcc.close_command", True))).code is Refusal.INTERLOCKED
        assert isinstance(await router.send(steps.wish(**OPEN)), Done)


async def test_an_emergency_passes_what_somebody_else_has_selected(steps):
    async with steps.router() as router:
        await router.send(steps.wish(**STOP, step=Step.SELECT, user="otto", origin="opcua"))
        assert isinstance(await router.send(steps.wish(**STOP)), Done)


@pytest.mark.parametrize(
    ("user", "code"), [("eve", Refusal.NOT_AUTHORISED), ("fred", Refusal.NOT_AUTHORISED)]
)
async def test_an_emergency_does_not_pass_who_one_is(steps, user, code):
    async with steps.router() as router:
        assert (await router.send(steps.wish(**STOP, user=user))).code is code


async def test_an_emergency_of_a_wrong_kind_of_value_is_refused(steps):
    async with steps.router() as router:
        assert (await router.send(steps.wish("pcc.stop", 1))).code is Refusal.WRONG_TYPE


async def test_an_emergency_goes_while_the_router_is_full(steps, monkeypatch):
    monkeypatch.setattr(router_module, "RUNNING_COMMANDS", 0)
    monkeypatch.setattr(router_module, "REMEMBERED_IDS", 0)
    async with steps.router() as router:
        assert (await router.send(steps.wish("feeder1.open", True, origin="dnp3"))).code is not None
        assert isinstance(await router.send(steps.wish(**STOP)), Done)


async def test_an_emergency_goes_beside_a_command_of_its_point_which_does_not_follow_it(steps):
    """The ordinary command has passed its checks and is on its way to the disk when the emergency comes."""
    steps.write("pcc.frequency_hz", 50.0)
    steps.write("pcc.grid_frequency_hz", 50.0)
    steps.write("pcc.state", 0)
    async with steps.router() as router:
        closing = asyncio.create_task(router.send(steps.wish("pcc.close_command", True)))
        await asyncio.sleep(0)
        assert isinstance(await router.send(steps.wish(**OPEN)), Done)
        assert await closing == Refused(Refusal.BUSY, "an emergency command came before it")
    assert [value for _, value in steps.device.operated] == [False]


async def test_a_command_that_waits_for_a_second_person_makes_way(steps, wait):
    async with steps.router() as router:
        pairs = steps.wish("pcc.pair_kw")
        sending = asyncio.create_task(router.send(pairs))
        await wait(lambda: len(router.waiting()) == 1, "it waits")
        router._preempt(pairs)
        assert await sending == Refused(Refusal.BUSY, "an emergency command came before it")


async def test_emergencies_are_bounded(steps, monkeypatch, wait):
    monkeypatch.setattr(router_module, "EMERGENCIES", 2)
    steps.device.may_answer.clear()
    async with steps.router() as router:
        under_way = [asyncio.create_task(router.send(steps.wish(**STOP))) for _ in range(2)]
        await wait(lambda: len(steps.device.operated) == 2, "both are sent")
        assert (await router.send(steps.wish(**STOP))).code is Refusal.BUSY
        steps.device.may_answer.set()
        assert all(isinstance(outcome, Done) for outcome in await asyncio.gather(*under_way))


async def test_the_same_emergency_sent_again_acts_once(steps):
    command = steps.wish(**STOP)
    async with steps.router() as router:
        assert await router.send(command) == await router.send(command)
    async with steps.router() as router:
        assert isinstance(await router.send(command), Done)
    assert len(steps.device.operated) == 1


async def test_an_emergency_is_marked_in_the_audit_trail(steps):
    async with steps.router() as router:
        await router.send(steps.wish(**STOP))
    (intent,) = steps.events("intent")
    assert intent["emergency"] is True


async def test_a_full_disk_stops_no_emergency_and_its_lines_follow(steps):
    async with steps.router() as router:
        await router.send(steps.wish(**STOP))
        steps.audit.rename(steps.audit.with_name("kept"))
        steps.audit.mkdir()  # as good as a disk that takes nothing
        router._trail._file.close()
        assert (await router.send(steps.wish("pcc.close_command", True, user="enno"))).code is not None
        assert isinstance(await router.send(steps.wish("pcc.stop", False)), Done)
        steps.audit.rmdir()
        steps.audit.with_name("kept").rename(steps.audit)
        assert isinstance(await router.send(steps.wish(**STOP)), Done)
    assert verify(steps.audit).faults == ()
    intents = [event["command"]["value"] for event in steps.events("intent")]
    assert intents == [True, False, True]
    assert len(steps.events("outcome")) == 3


class SlowFile(AuditFile):
    """A disk that hangs until it may go on."""

    def __init__(self, path) -> None:
        super().__init__(path)
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def append(self, events) -> None:
        assert self.may_go_on.wait(30)
        super().append(events)


async def test_a_slow_disk_holds_no_emergency_up(steps):
    file = SlowFile(steps.audit)
    async with steps.router(trail=AuditTrail(file)) as router:
        file.may_go_on.clear()
        try:
            async with asyncio.timeout(10):
                assert isinstance(await router.send(steps.wish(**STOP)), Done)
        finally:
            file.may_go_on.set()
    (outcome,) = steps.events("outcome")
    assert outcome["outcome"]["kind"] == "done"
    assert verify(steps.audit).open_intents == ()


async def test_lines_that_wait_for_a_disk_are_bounded(steps, monkeypatch, caplog):
    monkeypatch.setattr("gateway.commands.audit.MOST_OWED", 0)
    async with steps.router() as router:
        assert isinstance(await router.send(steps.wish(**STOP)), Done)
    assert steps.events("intent") == []
    assert "the audit trail has not been written for too long" in caplog.text
