"""The DNP3 master before outstations that answer, fall silent, refuse and come back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from dnp3_rtu import T0, Running, running_rtu, until

from gateway.drivers.remote import RemoteDriver
from gateway.servers.dnp3.objects import Flag, Kind
from gateway.tags.command import Refusal, Refused
from gateway.tags.operate import NotConnectedError, OperateError
from gateway.tags.quality import Quality


@pytest.fixture
async def rtu(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_rtu(tmp_path) as found:
        await found.is_up()
        yield found


async def test_every_type_arrives_with_its_value(rtu: Running) -> None:
    await until(lambda: rtu.sample("name").status == Quality.GOOD, "the string")
    values = {
        name: rtu.sample(name).value
        for name in ("closed", "position", "energy_kwh", "power_kw", "name", "close", "setpoint_kw")
    }
    assert values == {
        "closed": True,
        "position": 2,
        "energy_kwh": 4_000_000_000,
        "power_kw": 42.5,
        "name": "Feeder 7",
        "close": False,
        "setpoint_kw": 0.0,
    }
    assert rtu.sample("frozen_kwh").status == Quality.BAD_WAITING_FOR_INITIAL_DATA
    await until(lambda: rtu.rtu.server.associations[1].clock_offset_ms is not None, "the time")


async def test_changes_keep_their_order_and_their_source_times(rtu: Running) -> None:
    reader = rtu.region.reader("now")
    tags = {rtu.tag("power_kw"), rtu.tag("closed")}
    told = []
    for step in range(200):
        at = T0 + 10 * step
        rtu.rtu.tell(Kind.ANALOG, 0, 1000.0 * (step % 90), at)
        rtu.rtu.tell(Kind.BINARY, 0, step % 2 == 1, at + 5)
        told += [(rtu.tag("power_kw"), at), (rtu.tag("closed"), at + 5)]
    found: list[tuple[int, int]] = []

    def collect() -> bool:
        for row in reader.take().records.tolist():
            if row[0] in tags and row[3] % 1_000_000 == 0:  # not the confirmations, which have our clock's ns
                found.append((row[0], row[3] // 1_000_000))
        return len(found) >= len(told)

    await until(collect, "all changes")
    assert found == told


async def test_quality_is_what_the_flags_say(rtu: Running) -> None:
    rtu.rtu.tell(Kind.ANALOG, 0, 5000.0, T0, Flag.COMM_LOST)
    await until(lambda: rtu.sample("power_kw").status == Quality.BAD_NO_COMMUNICATION, "the lost point")
    assert rtu.sample("power_kw").value == 5.0
    rtu.rtu.tell(Kind.ANALOG, 0, 200_000.0, T0)
    await until(
        lambda: rtu.sample("power_kw").status == Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED, "the range"
    )


async def test_commands_are_done_once_and_read_back(rtu: Running) -> None:
    await until(lambda: rtu.remote.connections(rtu.tag("close")) > 0, "the socket")
    await rtu.remote.operate(rtu.tag("close"), True)
    assert await rtu.remote.read_back(rtu.tag("close")) is True
    await rtu.remote.operate(rtu.tag("setpoint_kw"), 42.5)
    assert await rtu.remote.read_back(rtu.tag("setpoint_kw")) == 42.5
    assert rtu.sample("setpoint_kw").value == 42.5
    await rtu.remote.operate(rtu.tag("direct_kw"), -12.5)
    assert rtu.rtu.commands == [("close", True), ("setpoint", 42.5), ("direct", -125)]


async def test_a_refusal_says_what_the_outstation_said(rtu: Running) -> None:
    rtu.rtu.refusal = Refused(Refusal.OUT_OF_LIMITS, "too much")
    with pytest.raises(OperateError, match="OUT_OF_RANGE"):
        await rtu.driver.operate(rtu.tag("setpoint_kw"), 9.0)
    with pytest.raises(OperateError, match="not writable"):
        await rtu.driver.operate(rtu.tag("power_kw"), 9.0)
    with pytest.raises(OperateError, match="does not fit int16"):
        await rtu.driver.operate(rtu.tag("direct_kw"), 9e9)


async def test_a_lost_outstation_is_bad_in_time_and_recovers(rtu: Running) -> None:
    connections = rtu.driver.connections(rtu.tag("close"))
    await rtu.rtu.down()
    begun = time.monotonic()
    await until(lambda: rtu.sample("power_kw").status == Quality.BAD_COMMUNICATION_ERROR, "Bad")
    assert time.monotonic() - begun < 3.0
    assert rtu.sample("power_kw").value == 42.5
    with pytest.raises(NotConnectedError):
        await rtu.driver.operate(rtu.tag("setpoint_kw"), 1.0)
    rtu.rtu.tell(Kind.ANALOG, 0, 7000.0, T0 + 1)
    await rtu.rtu.up()
    await until(lambda: rtu.sample("power_kw").value == 7.0, "the recovery", 20.0)
    assert rtu.sample("power_kw").status == Quality.GOOD
    assert rtu.driver.connections(rtu.tag("close")) > connections
    assert rtu.region.sample("_system.rtu.errors_connection").value >= 1


async def test_unchanged_values_stay_fresh_and_a_silent_outstation_does_not(rtu: Running) -> None:
    first = rtu.sample("position").receipt_time
    await until(lambda: rtu.sample("position").receipt_time > first + 1_000_000_000, "confirmations")
    assert rtu.sample("position").value == 2
    rtu.rtu._task.cancel()
    for connection in rtu.rtu.server._connections.values():
        connection.writer.transport.pause_reading()
    await until(lambda: rtu.sample("position").status == Quality.BAD_COMMUNICATION_ERROR, "Bad")


async def test_what_did_not_change_is_good_again_after_a_silence(rtu: Running) -> None:
    """Over the same connection: only changes would be told else, and a breaker may stand as it is for years."""
    connections = rtu.driver.connections(rtu.tag("close"))
    for connection in rtu.rtu.server._connections.values():
        connection.writer.transport.pause_reading()
    await until(lambda: rtu.sample("position").status == Quality.BAD_COMMUNICATION_ERROR, "Bad")
    for connection in rtu.rtu.server._connections.values():
        connection.writer.transport.resume_reading()
    names = ("closed", "position", "energy_kwh", "power_kw", "name", "close", "setpoint_kw")
    await until(lambda: all(rtu.sample(name).status == Quality.GOOD for name in names), "all of it", 20.0)
    assert rtu.driver.connections(rtu.tag("close")) == connections
    assert rtu.sample("position").value == 2


async def test_a_driver_that_is_gone_is_not_connected(rtu: Running, tmp_path: Path) -> None:
    nobody = RemoteDriver(tmp_path / "none.sock", rtu.driver.tags())
    task = asyncio.create_task(nobody.run())
    with pytest.raises(NotConnectedError):
        await nobody.operate(rtu.tag("close"), True)
    task.cancel()
