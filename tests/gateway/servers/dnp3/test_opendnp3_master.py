"""The outstation before a master of somebody else's: opendnp3's, which most utilities' tools are measured against."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import opendnp3
import pytest
from dnp3_masters import Master, Row
from dnp3_outstations import T0, Running, outstation, server_of, until

from gateway.servers.dnp3.objects import Kind, Measurement
from gateway.tags.command import Refusal, Refused, TimedOut


@pytest.fixture
async def master(running: Running) -> AsyncIterator[Master]:
    found = Master(running.server.port)
    await until(lambda: ("ENABLE_UNSOLICITED", "SUCCESS") in found.application.done, "the start-up")
    yield found
    await asyncio.to_thread(found.close)


async def test_the_integrity_poll_brings_every_point(master: Master) -> None:
    assert ("STARTUP_INTEGRITY_POLL", "SUCCESS") in master.application.done
    assert ("CLEAR_RESTART", "SUCCESS") in master.application.done
    values = {(name, index): value for name, index, value, _, _ in master.heard.rows}
    assert values == {
        ("Group1Var2", 0): True,
        ("Group3Var2", 0): opendnp3.DoubleBit.DETERMINED_ON,
        ("Group10Var2", 0): False,
        ("Group10Var2", 1): False,
        ("Group20Var1", 0): 77,
        ("Group21Var5", 0): 0,
        ("Group30Var5", 0): 42.5,
        ("Group30Var6", 300): 1e-9,
        ("Group40Var3", 0): 3.25,
        ("Group110Var0", 0): b"feeder 1",
    }


async def test_events_come_unasked_in_order_with_their_times(running: Running, master: Master) -> None:
    for step in range(100):
        running.tell(Kind.ANALOG, 0, 100.0 + 10 * step, T0 + 2 * step)
        running.tell(Kind.BINARY, 0, step % 2 == 1, T0 + 2 * step + 1)
    running.tell(Kind.DOUBLE_BIT, 0, 1, T0 + 300)
    running.tell(Kind.COUNTER, 0, 78, T0 + 301)
    running.tell(Kind.OCTET_STRING, 0, b"feeder 2", T0 + 302)
    running.tell(Kind.ANALOG, 300, 2.5e-7, T0 + 303)
    running.tell(Kind.ANALOG_OUTPUT, 0, -7.5, T0 + 304)
    heard = master.heard.unsolicited
    await until(lambda: len(heard) >= 205, "all events")
    expected: list[Row] = []
    for step in range(100):
        expected.append(("Group32Var7", 0, 100.0 + 10 * step, 1, T0 + 2 * step))
        expected.append(("Group2Var2", 0, step % 2 == 1, 0x81 if step % 2 else 1, T0 + 2 * step + 1))
    expected += [
        ("Group4Var2", 0, opendnp3.DoubleBit.DETERMINED_OFF, 0x41, T0 + 300),
        ("Group22Var5", 0, 78, 1, T0 + 301),
        ("Group111Var0", 0, b"feeder 2", 0, 0),
        ("Group32Var8", 300, 2.5e-7, 1, T0 + 303),
        ("Group42Var7", 0, -7.5, 1, T0 + 304),
    ]
    assert heard == expected
    await until(lambda: len(running.server.associations[1].events) == 0, "the last confirm")


async def test_commands_are_selected_operated_and_done(running: Running, master: Master) -> None:
    one = master.master
    close = opendnp3.ControlRelayOutputBlock(opendnp3.OperationType.PULSE_ON, opendnp3.TripCloseCode.CLOSE)
    latch = opendnp3.ControlRelayOutputBlock(opendnp3.OperationType.LATCH_ON)
    assert await master.command(one.SelectAndOperate, close, 0) == ("SUCCESS", "SUCCESS")
    assert await master.command(one.DirectOperate, latch, 1) == ("SUCCESS", "SUCCESS")
    for wish, value in (
        (opendnp3.AnalogOutputFloat32(42.5), 42.5),
        (opendnp3.AnalogOutputDouble64(-0.1), -0.1),
        (opendnp3.AnalogOutputInt32(-70_000), -70_000),
        (opendnp3.AnalogOutputInt16(-7), -7),
    ):
        assert await master.command(one.DirectOperate, wish, 0) == ("SUCCESS", "SUCCESS")
        assert running.site.commands[-1] == ("setpoint", value)
    assert await master.command(one.SelectAndOperate, opendnp3.AnalogOutputFloat32(1.5), 0) == (
        "SUCCESS",
        "SUCCESS",
    )
    assert running.site.commands[:2] == [("breaker_command", True), ("latch", True)]
    assert len(running.site.commands) == 7


async def test_a_command_that_was_not_done_is_not_told_as_done(running: Running, master: Master) -> None:
    one = master.master
    wish = opendnp3.AnalogOutputFloat32(9e9)
    running.site.outcome = lambda command: Refused(Refusal.OUT_OF_LIMITS, "above the limit")
    assert (await master.command(one.DirectOperate, wish, 0))[1] == "OUT_OF_RANGE"
    running.site.outcome = lambda command: TimedOut("no confirmation")
    assert (await master.command(one.DirectOperate, wish, 0))[1] == "UNDEFINED"
    running.site.outcome = lambda command: Refused(Refusal.NOT_AUTHORISED, "a viewer")
    assert (await master.command(one.DirectOperate, wish, 0))[1] == "NOT_AUTHORIZED"
    assert (await master.command(one.DirectOperate, wish, 17))[1] == "NOT_SUPPORTED"


async def test_a_freeze_is_told(running: Running, master: Master) -> None:
    header = opendnp3.Header.AllObjects(20, 0)
    master.master.Freeze(opendnp3.FreezeType.ImmediateFreeze, [header])
    await until(lambda: bool(master.heard.unsolicited), "the frozen counter's event")
    name, index, value, flags, _ = master.heard.unsolicited[0]
    assert (name, index, value, flags) == ("Group23Var5", 0, 77, 1)


async def test_a_lost_link_loses_and_doubles_no_event(running: Running, master: Master) -> None:
    """The master's connection is cut again and again while events come."""
    total = 400
    for step in range(total):
        running.tell(Kind.ANALOG, 0, 100.0 + 10 * step, T0 + step)
        if step % 80 == 40:
            for connection in tuple(running.server._connections.values()):
                connection.writer.transport.abort()
        await asyncio.sleep(0.002)  # events over time, not at once

    def told() -> list[object]:
        return [
            value
            for rows in (master.heard.rows, master.heard.unsolicited)
            for name, index, value, _, _ in rows
            if name == "Group32Var7" and index == 0
        ]

    await until(lambda: len(set(told())) == total, "all events", 30.0)
    await until(lambda: len(running.server.associations[1].events) == 0, "the last confirm")


async def test_quality_goes_with_the_value(running: Running, master: Master) -> None:
    running.database.update(Kind.ANALOG, 0, Measurement(42.5, 0x04, T0 + 5))
    running.server.changed.set()
    await until(lambda: bool(master.heard.unsolicited), "the event")
    assert master.heard.unsolicited == [("Group32Var7", 0, 42.5, 0x04, T0 + 5)]


async def test_the_masters_clock_is_compared_with_ours() -> None:
    server, _, _ = server_of(outstation(needs_time=True))
    await server.open()
    task = asyncio.create_task(server.run())
    found = Master(server.port)
    try:
        await until(lambda: server.associations[1].clock_offset_ms is not None, "the time")
        offset = server.associations[1].clock_offset_ms
        assert offset is not None
        assert abs(offset) < 5_000
    finally:
        await asyncio.to_thread(found.close)
        task.cancel()
        await server.close()
