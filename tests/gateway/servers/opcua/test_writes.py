"""A write is a command: it succeeds when the device has reported the value, and fails with the reason."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.ua.status_codes import StatusCodes
from opcua_plant import Plant, node_id, until

from gateway.servers.opcua import limits, writes
from gateway.tags.command import Done, Failed, Outcome, Refusal, Refused, TimedOut

Clients = Callable[..., Any]
T = ua.VariantType


async def write(client: Client, tag: str, value: Any, **more: Any) -> int:
    """The StatusCode that a write gives."""
    given = value if isinstance(value, ua.DataValue) else ua.DataValue(value)
    item = ua.WriteValue(node_id(tag), more.get("attribute", ua.AttributeIds.Value), more.get("range"), given)
    (result,) = await client.uaclient.write(ua.WriteParameters([item]))
    return int(result.value)


async def test_a_setpoint_is_commanded_and_read_back(plant: Plant, client_of: Clients) -> None:
    before = time.time_ns()
    async with await client_of(plant) as client:
        node = client.get_node(node_id("battery1.power_setpoint_kw"))
        await node.write_value(-12.5)
        assert await node.read_value() == -12.5
    (command,) = plant.devices.commands
    assert (command.tag, command.value) == ("battery1.power_setpoint_kw", -12.5)
    assert (command.user, command.origin) == ("operator", "opcua")
    assert before + 2_000_000_000 <= command.deadline_ns <= time.time_ns() + 2_000_000_000


async def test_the_value_changes_when_the_device_reports_it_and_not_before(
    plant: Plant, client_of: Clients
) -> None:
    plant.write("battery1.power_setpoint_kw", 1.0)
    plant.devices.outcome = Done(9.0, time.time_ns())  # a device that reports nothing after all
    async with await client_of(plant) as client:
        assert await write(client, "battery1.power_setpoint_kw", 9.0) == 0
        assert await client.get_node(node_id("battery1.power_setpoint_kw")).read_value() == 1.0


async def test_a_slow_device_keeps_nobody_waiting(plant: Plant, client_of: Clients) -> None:
    plant.devices.delay_s = 1.0
    async with await client_of(plant) as client, await client_of(plant, "viewer") as other:
        writing = asyncio.create_task(write(client, "battery1.power_setpoint_kw", 3.0))
        await until(lambda: len(plant.devices.commands) == 1)
        start = time.monotonic()
        for reader in (client, other):
            await reader.get_node(node_id("battery1.power_kw")).read_attribute(ua.AttributeIds.BrowseName)
        assert time.monotonic() - start < 0.5
        assert not writing.done()
        assert await writing == 0


async def test_writes_of_one_request_go_at_once_but_in_order_for_a_tag(
    plant: Plant, client_of: Clients
) -> None:
    plant.devices.delay_s = 0.2
    async with await client_of(plant, "engineer") as client:
        items = [
            ua.WriteValue(node_id(tag), ua.AttributeIds.Value, None, ua.DataValue(value))
            for tag, value in (
                ("battery1.power_setpoint_kw", 1.0),
                ("feeder1.breaker_close_command", True),
                ("battery1.power_setpoint_kw", 2.0),
            )
        ]
        results = await client.uaclient.write(ua.WriteParameters(items))
        assert [result.value for result in results] == [0, 0, 0]
        assert [command.value for command in plant.devices.commands] == [1.0, True, 2.0]
        assert await client.get_node(node_id("battery1.power_setpoint_kw")).read_value() == 2.0


@pytest.mark.parametrize(
    ("user", "tag", "value", "code"),
    [
        ("viewer", "battery1.power_setpoint_kw", 1.0, StatusCodes.BadUserAccessDenied),
        ("operator", "feeder1.breaker_close_command", True, StatusCodes.BadUserAccessDenied),
        ("operator", "battery1.power_setpoint_kw", 51.0, StatusCodes.BadOutOfRange),
        ("engineer", "battery1.power_kw", 1.0, StatusCodes.BadNotWritable),
    ],
)
async def test_what_the_router_refuses_is_told_and_on_record(
    plant: Plant, client_of: Clients, user: str, tag: str, value: Any, code: int
) -> None:
    async with await client_of(plant, user) as client:
        assert await write(client, tag, value) == code
    assert [command.user for command in plant.devices.commands] == [user]


@pytest.mark.parametrize(
    ("tag", "value", "code"),
    [
        ("battery1.power_setpoint_kw", ua.Variant(1, T.Int32), StatusCodes.BadTypeMismatch),
        ("battery1.power_setpoint_kw", ua.Variant([1.0, 2.0], T.Double), StatusCodes.BadTypeMismatch),
        ("battery1.power_setpoint_kw", ua.Variant("1", T.String), StatusCodes.BadTypeMismatch),
        ("battery1.power_setpoint_kw", ua.Variant(), StatusCodes.BadTypeMismatch),
        ("battery1.power_setpoint_kw", ua.Variant(math.nan, T.Double), StatusCodes.BadOutOfRange),
        ("battery1.power_setpoint_kw", ua.Variant(math.inf, T.Double), StatusCodes.BadOutOfRange),
        ("battery1.serial_number", ua.Variant("x" * 33, T.String), StatusCodes.BadOutOfRange),
        ("nothing.here", ua.Variant(1.0, T.Double), StatusCodes.BadNodeIdUnknown),
        ("/storage", ua.Variant(1.0, T.Double), StatusCodes.BadNotWritable),
        ("battery1.power_kw/EURange", ua.Variant(1.0, T.Double), StatusCodes.BadNotWritable),
    ],
)
async def test_what_is_no_value_of_the_tag_never_becomes_a_command(
    plant: Plant, client_of: Clients, tag: str, value: Any, code: int
) -> None:
    async with await client_of(plant, "engineer") as client:
        assert await write(client, tag, value) == code
    assert plant.devices.commands == []


async def test_nothing_but_values_can_be_written(plant: Plant, client_of: Clients) -> None:
    tag = "battery1.power_setpoint_kw"
    async with await client_of(plant, "engineer") as client:
        for attribute in (
            ua.AttributeIds.Description,
            ua.AttributeIds.AccessLevel,
            ua.AttributeIds.BrowseName,
        ):
            assert await write(client, tag, 1.0, attribute=attribute) == StatusCodes.BadNotWritable
        assert await write(client, tag, 1.0, range="0:1") == StatusCodes.BadIndexRangeNoData
        marked = ua.DataValue(1.0, StatusCode=ua.StatusCode(StatusCodes.Uncertain))
        assert await write(client, tag, marked) == StatusCodes.BadWriteNotSupported
        state = client.get_node(ua.ObjectIds.Server_ServerStatus_State)
        with pytest.raises(ua.UaStatusCodeError) as caught:
            await state.write_value(ua.Variant(3, T.Int32))
        assert caught.value.code == StatusCodes.BadNotWritable
    assert plant.devices.commands == []


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Done(1.0, 1), StatusCodes.Good),
        (TimedOut(""), StatusCodes.BadTimeout),
        (Failed(""), StatusCodes.BadDeviceFailure),
        (Refused(Refusal.NOT_CONNECTED, ""), StatusCodes.BadNoCommunication),
        (Refused(Refusal.BUSY, ""), StatusCodes.BadResourceUnavailable),
        (Refused(Refusal.WRONG_TYPE, ""), StatusCodes.BadTypeMismatch),
        (Refused(Refusal.EXPIRED, ""), StatusCodes.BadTimeout),
        (Refused(Refusal.AUDIT_UNAVAILABLE, ""), StatusCodes.BadResourceUnavailable),
        (Refused(Refusal.UNKNOWN_TAG, ""), StatusCodes.BadNodeIdUnknown),
        (Refused(Refusal.MALFORMED, ""), StatusCodes.BadInvalidArgument),
    ],
)
def test_each_outcome_has_its_status(outcome: Outcome, code: int) -> None:
    assert writes.status_of(outcome).value == code


async def test_a_router_that_never_answers_is_a_timeout(
    plant: Plant, client_of: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WRITE_GRACE_S", -1.8)
    plant.devices.delay_s = 60.0
    async with await client_of(plant) as client:
        assert await write(client, "battery1.power_setpoint_kw", 1.0) == StatusCodes.BadTimeout


async def test_writes_under_way_are_bounded(plant: Plant, client_of: Clients) -> None:
    plant.devices.delay_s = 1.0
    async with await client_of(plant) as client:
        writing = [
            asyncio.create_task(write(client, "battery1.power_setpoint_kw", 1.0))
            for _ in range(limits.PENDING_SLOW_REQUESTS + 1)
        ]
        results = await asyncio.gather(*writing, return_exceptions=True)
        refused = [result for result in results if isinstance(result, ua.UaStatusCodeError)]
        assert [error.code for error in refused] == [StatusCodes.BadTooManyOperations]
