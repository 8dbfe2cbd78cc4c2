"""`tieline control`, `confirm`, `outcome` and `write --select`, as typed."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from gateway.commands.server import CommandServer
from gateway.config.accounts import Accounts
from gateway.node.cli import main

PASSWORDS = {"olga": "correct horse", "otto": "battery staple"}
Type = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def accounts(steps) -> Accounts:
    steps.paths.runtime.mkdir(parents=True, mode=0o700)
    accounts = Accounts(steps.paths.accounts)
    for user, password in PASSWORDS.items():
        accounts.set_password(user, password)
    return accounts


@pytest.fixture
async def router(steps, accounts) -> AsyncIterator[Any]:
    async with steps.router() as router:
        server = CommandServer(steps.paths.command_socket, router, accounts)
        await server.start()
        yield router
        await server.stop()


@pytest.fixture
def typed(steps, monkeypatch, capsys) -> Type:
    """What a command line gives: exit status, standard output, standard error."""

    async def run(*arguments: str, user: str = "", password: str = "") -> tuple[int, str, str]:
        given = ["--site", str(steps.folder / "site.yaml"), "--state", str(steps.paths.state)]
        if user:
            given += ["--user", user, "--password-stdin"]
            monkeypatch.setattr("sys.stdin", io.StringIO((password or PASSWORDS[user]) + "\n"))
        status = await asyncio.to_thread(main, [*arguments, *given])
        told = capsys.readouterr()
        return status, told.out, told.err

    return run


async def test_control_is_taken_shown_and_released(steps, router, typed, wait):
    await wait(lambda: steps.region.sample("_system.control.loads.holder").status == 0, "shown")
    assert await typed("control", "show") == (0, "storage: nobody\nloads: nobody; remote may command\n", "")
    assert await typed("control", "take", "loads", user="olga") == (0, "olga has control of loads\n", "")
    await typed("control", "take", "storage", user="olga")
    await wait(lambda: steps.region.sample("_system.control.storage.user").value == "olga", "shown")
    status, out, _ = await typed("control", "show")
    assert status == 0
    storage, loads = out.splitlines()
    assert re.fullmatch(r"storage: olga \(local\) until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", storage)
    assert loads == "loads: olga (local) until it is released"
    assert await typed("control", "release", "loads", user="otto") == (
        0,
        "otto has released control of loads\n",
        "",
    )
    await wait(lambda: steps.region.sample("_system.control.loads.user").value == "", "shown")
    assert (await typed("control", "show", "loads"))[1] == "loads: nobody; remote may command\n"


async def test_what_makes_no_sense_is_said(steps, router, typed):
    status, _, err = await typed("control", "take", "lodes", user="olga")
    assert (status, err) == (2, "'lodes' is no area under control; there are: storage, loads\n")
    assert (await typed("control", "show", "lodes"))[0] == 2
    assert await typed("confirm", "nothing") == (2, "", "say who confirms: --user NAME\n")
    status, out, _ = await typed("outcome", "nothing")
    assert (status, out) == (1, "refused (expired): no command of this id is known, or not any more\n")
    status, _, err = await typed("control", "take", "loads", user="olga", password="wrong")
    assert (status, err) == (1, "the user or the password is wrong\n")


async def test_without_a_running_site_that_is_said(steps, typed):
    status, _, err = await typed("outcome", "x")
    assert status == 1
    assert "steps does not run here" in err


async def test_a_refused_take_says_why(steps, router, typed):
    await router.send(steps.take("storage"))
    steps.shift_ns = 0
    status, out, _ = await typed("write", "battery1.setpoint_kw", "5", user="otto")
    assert status == 1
    assert "refused (not_in_control): olga (local, hmi) has control of storage until" in out


async def test_a_write_with_select(steps, router, typed):
    status, out, _ = await typed("write", "pcc.select_kw", "5", "--select", user="olga")
    assert (status, out) == (0, "selected: pcc.select_kw for 5.0\ndone: pcc.select_kw is 5.0\n")
    status, out, _ = await typed("write", "pcc.select_kw", "50", "--select", user="olga")
    assert status == 1
    assert out.startswith("refused (out_of_limits)")


async def test_a_second_person_confirms_from_another_terminal(steps, router, typed, wait):
    assert await typed("confirm") == (0, "nothing waits\n", "")
    for verdict, outcome in (((), "confirmed\n"), (("--decline",), "declined\n")):
        sending = asyncio.create_task(
            router.send(steps.wish("pcc.pair_kw", deadline_ns=steps.now_ns() + 60_000_000_000, reason="peak"))
        )
        await wait(lambda: len(router.waiting()) == 1, "it waits")
        status, out, _ = await typed("confirm")
        found = re.fullmatch(r"(\S+)  pcc\.pair_kw = 5\.0  by olga \(hmi, 'peak'\), \d+ s left\n", out)
        assert status == 0
        assert found is not None
        refused = await typed("confirm", found[1], user="olga")
        assert refused[:2] == (1, "refused: a second person confirms it, not the one who asked\n")
        assert (await typed("confirm", found[1], *verdict, user="otto"))[:2] == (0, outcome)
        await sending
    status, out, _ = await typed("outcome", found[1])
    assert (status, out) == (1, "refused (not_confirmed): otto declined it\n")


async def test_who_asks_is_told_the_id_to_confirm(steps, router, typed, wait):
    typing = asyncio.create_task(typed("write", "pcc.pair_kw", "5", "--wait", "3", user="olga"))
    status, out, err = await typing
    assert status == 1
    assert out.startswith("refused (not_confirmed): nobody confirmed it within ")
    assert re.fullmatch(r"it waits for a second person: tieline confirm [0-9a-f]{32} --user NAME\n", err)


async def test_who_gets_no_answer_is_told_how_to_ask_again(steps, router, typed):
    steps.device.on_operate = steps.device.on_read = TimeoutError()
    status, out, err = await typed("write", "pcc.gate", "true", user="olga")
    assert status == 1
    assert out.startswith("timed out: ")
    id = err.split()[-1]
    assert err == f"what became of it may be known later: tieline outcome {id}\n"
    steps.device.on_read = None
    for _ in range(200):
        status, out, _ = await typed("outcome", id)
        if status == 0:
            break
        await asyncio.sleep(0.05)
    assert out == f"done: {id} is True\n"
