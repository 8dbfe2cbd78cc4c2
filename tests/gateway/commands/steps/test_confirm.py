"""The two-person rule."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from gateway.commands import wire
from gateway.commands.client import CommandClient
from gateway.commands.server import CommandServer
from gateway.config.accounts import Accounts
from gateway.tags.command import Done, Refusal, Refused

POINT = "pcc.pair_kw"


def word(id: str, user: str = "otto", ok: bool = True, origin: str = "hmi") -> wire.Confirm:
    return wire.Confirm(id, user, origin, ok)


@asynccontextmanager
async def waiting(steps, router, wait, **changes):
    """A command that waits for its second person."""
    command = steps.wish(POINT, **changes)
    sending = asyncio.create_task(router.send(command))
    await wait(lambda: [each.id for each in router.waiting()] == [command.id], "it waits")
    yield command, sending


async def test_a_second_person_lets_it_go_and_both_are_in_the_audit_trail(steps, wait):
    async with steps.router() as router, waiting(steps, router, wait) as (command, sending):
        assert steps.device.operated == []
        assert await router.confirm(word(command.id)) == ""
        assert isinstance(await sending, Done)
    (intent,) = steps.events("intent")
    assert (intent["command"]["user"], intent["confirmed_by"]) == ("olga", "otto")
    assert [row["event"] for row in steps.events()][1:] == ["waiting", "confirmation", "intent", "outcome"]


@pytest.mark.parametrize(
    ("user", "why"),
    [
        ("olga", "a second person confirms it, not the one who asked"),
        ("eve", "pcc.pair_kw takes the role operator; eve has viewer"),
        ("fred", "pcc.pair_kw is in the area grid; fred has loads"),
        ("nobody", "'nobody' is not a user of this site"),
    ],
)
async def test_who_may_not_confirm_is_told_why_and_it_waits_on(steps, wait, user, why):
    async with steps.router() as router, waiting(steps, router, wait) as (command, sending):
        assert await router.confirm(word(command.id, user)) == why
        assert not sending.done()
        assert await router.confirm(word(command.id, "enno")) == ""
        assert isinstance(await sending, Done)
    assert [event["why"] for event in steps.events("confirmation")] == [why, ""]


async def test_a_second_person_may_decline(steps, wait):
    async with steps.router() as router, waiting(steps, router, wait) as (command, sending):
        assert await router.confirm(word(command.id, ok=False)) == ""
        assert await sending == Refused(Refusal.NOT_CONFIRMED, "otto declined it")
        assert await router.confirm(word(command.id)) == "no command of this id waits"
    assert steps.device.operated == []


async def test_a_command_that_nobody_confirms_does_not_go(steps):
    async with steps.router() as router:
        outcome = await router.send(steps.wish(POINT, deadline_ns=steps.now_ns() + 2_000_000_000))
        assert outcome.code is Refusal.NOT_CONFIRMED
        assert router.waiting() == []
    assert steps.device.operated == []


async def test_the_same_id_joins_what_waits(steps, wait):
    async with steps.router() as router, waiting(steps, router, wait) as (command, sending):
        again = asyncio.create_task(router.send(command))
        await router.confirm(word(command.id))
        assert await again == await sending
    assert len(steps.device.operated) == 1


async def test_what_waits_keeps_others_from_the_point(steps, wait):
    async with steps.router() as router, waiting(steps, router, wait) as (command, sending):
        assert (await router.send(steps.wish(POINT))).code is Refusal.BUSY
        await router.confirm(word(command.id, ok=False))
        await sending


async def test_the_end_of_the_gateway_sends_nothing_that_waits(steps, wait):
    async with steps.router() as router, waiting(steps, router, wait) as (_, sending):
        pass
    outcome = await sending
    assert outcome == Refused(Refusal.NOT_CONNECTED, "the gateway is stopping")
    assert steps.device.operated == []


async def test_no_more_wait_than_the_list_can_tell(steps, wait, monkeypatch):
    monkeypatch.setattr("gateway.commands.confirm.WAITING", 0)
    async with steps.router() as router:
        assert (await router.send(steps.wish(POINT))).code is Refusal.BUSY


async def test_over_the_socket_a_terminal_signs_in_to_confirm(steps, wait):
    accounts = Accounts(steps.folder / "accounts.json")
    accounts.set_password("otto", "correct horse battery")
    path = steps.folder / "c.sock"
    async with steps.router() as router, waiting(steps, router, wait, reason="peak") as (command, sending):
        server = CommandServer(path, router, accounts)
        await server.start()
        client = CommandClient(path)
        try:
            (listed,) = await client.waiting()
            assert (listed.id, listed.tag, listed.value, listed.user, listed.reason) == (
                command.id, POINT, 5.0, "olga", "peak",
            )  # fmt: skip
            terminal = word(command.id, origin="cli")
            assert await client.confirm(terminal) == "'otto' has not signed in on this connection"
            assert await client.sign_in("otto", "correct horse battery")
            assert await client.confirm(terminal) == ""
            assert isinstance(await sending, Done)
            assert await client.ask(command.id) == await sending
            unknown = await client.ask("nothing")
            assert isinstance(unknown, Refused)
            assert unknown.code is Refusal.EXPIRED
        finally:
            await client.close()
            await server.stop()
