"""Servers that do what the standard allows, and what it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from asyncua.common.utils import wait_for
from asyncua.server.internal_session import InternalSession
from opcua_genset import running, until

from gateway.drivers.opcua import wire
from gateway.drivers.opcua.connection import Connection, Subscription, cancelled_plainly
from gateway.drivers.opcua.wire import Published
from gateway.simulator.faults import Fault, FaultKind
from gateway.simulator.link import Link
from gateway.tags.quality import Quality

POINTS = """
      power_kw: {node: "nsu=urn:maker:genset;s=Power", unit: kW}
      current_a: {node: "nsu=urn:maker:genset;s=Current", unit: A}
      mode: {node: "nsu=urn:maker:genset;s=Mode", type: int64}
"""
Answer = tuple[int, Published | None]


def once(monkeypatch: pytest.MonkeyPatch, change: Callable[[Published], Answer]) -> None:
    """Change the first keep-alive."""
    read = wire.publish_response
    is_done = False

    def changed(body: bytes) -> Answer:
        nonlocal is_done
        result, published = read(body)
        if is_done or published is None or published.has_data:
            return result, published
        is_done = True
        return change(published)

    monkeypatch.setattr(wire, "publish_response", changed)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda one: (0, replace(one, sequence=77, has_data=True)), "messages of a subscription were lost"),
        (lambda one: (0, replace(one, ended=0x800A_0000)), "the server ended a subscription: BadTimeout"),
        (lambda one: (0x8079_0000, None), "the server answered BadNoSubscription"),
    ],
)
async def test_a_subscription_that_ends_is_made_anew(
    genset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any, why: str
) -> None:
    once(monkeypatch, change)
    async with running(tmp_path, genset.url, POINTS) as plant:
        await until(lambda: plant.driver.connections(plant.tag("power_kw")) == 2, "another session")
        assert plant.last_error == why
        await genset.tell("Power", 50.0)
        await plant.becomes("power_kw", 50.0)


@pytest.mark.parametrize("status", [0x8078_0000, 0x800A_0000])  # BadTooManyPublishRequests, BadTimeout
async def test_a_publish_that_the_server_will_not_hold_ends_nothing(
    genset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    once(monkeypatch, lambda one: (status, None))
    async with running(tmp_path, genset.url, POINTS) as plant:
        await plant.becomes("mode", 2)
        await genset.tell("Power", 50.0)
        await plant.becomes("power_kw", 50.0)
        assert plant.driver.connections(plant.tag("power_kw")) == 1


async def test_items_that_the_server_has_no_room_for_are_polled(
    genset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = InternalSession.create_monitored_items

    async def few(self: InternalSession, params: Any) -> Any:
        results = await create(self, params)
        for result in results[1:]:
            result.StatusCode = ua.StatusCode(0x80DB_0000)
        return results

    monkeypatch.setattr(InternalSession, "create_monitored_items", few)
    async with running(tmp_path, genset.url, POINTS) as plant:
        await plant.becomes("power_kw", 42.5)
        await plant.becomes("current_a", 1234.0)
        genset.hide("Current", 1200.0)
        await plant.becomes("current_a", 1200.0)
        assert "no room for 2 monitored items" in plant.last_error
        await until(lambda: plant.told("monitored") == 1, "the counter")


async def test_a_deadband_that_the_server_has_not_is_left_off(
    genset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = InternalSession.create_monitored_items

    async def plain(self: InternalSession, params: Any) -> Any:
        results = await create(self, params)
        for wish, result in zip(params.ItemsToCreate, results, strict=True):
            if getattr(wish.RequestedParameters.Filter, "DeadbandValue", 0):
                result.StatusCode = ua.StatusCode(0x8044_0000)
        return results

    monkeypatch.setattr(InternalSession, "create_monitored_items", plain)
    points = POINTS.replace("unit: A", "unit: A, percent_deadband: 5")
    async with running(tmp_path, genset.url, points) as plant:
        await plant.becomes("current_a", 1234.0)
        assert "the server has no deadband for nsu=urn:maker:genset;s=Current" in plant.last_error


async def test_a_server_that_tells_seldom_is_believed_for_longer_and_that_is_told(
    genset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe = Connection.subscribe

    async def seldom(self: Connection, *given: Any) -> Subscription:
        return replace(await subscribe(self, *given), keep_alive_s=4.0)

    monkeypatch.setattr(Connection, "subscribe", seldom)
    async with running(tmp_path, genset.url, POINTS) as plant:
        await plant.becomes("power_kw", 42.5)
        assert plant.last_error == (
            "the server tells that it lives every 4 s only: raise stale_after_ms of 'fast' above 7000"
        )


async def test_a_server_that_talks_nonsense_is_bad_and_comes_back(genset: Any, tmp_path: Path) -> None:
    link = Link("127.0.0.1", 0, genset.port)
    await link.open()
    try:
        async with running(tmp_path, f"opc.tcp://127.0.0.1:{link.port}/", POINTS) as plant:
            await plant.becomes("power_kw", 42.5)
            await link.suffer(Fault(FaultKind.GARBLED))
            await until(lambda: plant.sample("power_kw").status == Quality.BAD_COMMUNICATION_ERROR, "Bad")
            assert plant.sample("power_kw").value == 42.5
            await link.suffer(None)
            await plant.becomes("power_kw", 42.5)
    finally:
        await link.close()


async def test_a_task_that_ends_while_an_answer_comes_is_no_failure() -> None:
    """The library's `wait_for` has an end of its own for that, which a group of tasks takes for a failure."""
    answer = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(cancelled_plainly(wait_for(answer, 10)))
        await asyncio.sleep(0)
        answer.set_result(None)
        asking.cancel()
    assert asking.cancelled()


async def test_a_time_that_is_up_while_an_answer_comes_is_a_timeout() -> None:
    """And which does not count as the end of a time: the device's task would have ended instead, for ever."""
    loop = asyncio.get_running_loop()
    answer = loop.create_future()

    async def ask() -> None:
        async with asyncio.timeout(0.01) as limit:
            when = limit.when()
            assert when is not None
            loop.call_at(when, answer.set_result, None)
            await cancelled_plainly(wait_for(answer, 10))
            await asyncio.sleep(10)

    with pytest.raises(TimeoutError):
        await ask()
