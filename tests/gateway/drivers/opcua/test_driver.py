"""The driver before a controller that tells, refuses, falls silent and comes back."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.common.utils import ServiceError
from asyncua.server.internal_session import InternalSession
from opcua_genset import POINTS, free_port, running, until

from gateway.drivers.opcua import connection
from gateway.tags.operate import NotConnectedError, OperateError
from gateway.tags.quality import Quality
from gateway.tags.sample import from_bits
from gateway.tags.tag import ValueType

BAD_SENSOR, UNCERTAIN_LAST = 0x808C_0000, 0x4090_0000


async def test_every_type_arrives_with_its_value(genset: Any, tmp_path: Path) -> None:
    expected = {
        "power_kw": 42.5, "current_a": 123.4, "hours": 2**40, "running": False, "mode": 2, "name": "Genset 7",
        "label": "Aggregat", "second_c": 81.5, "oil_bar": 4.5, "phase2_v": 231.0, "state_mode": 2,
        "setpoint_kw": 100.0, "limit_c": 110.0, "text": "",
    }  # fmt: skip
    async with running(tmp_path, genset.url) as plant:
        for name, value in expected.items():
            await plant.becomes(name, value)


async def test_quality_and_source_time_are_the_servers(genset: Any, tmp_path: Path) -> None:
    async with running(tmp_path, genset.url) as plant:
        await plant.becomes("power_kw", 42.5)
        reader = plant.region.reader("now")
        begun = datetime.now(UTC).replace(microsecond=123_000)
        told = []
        for step in range(20):
            at = begun + timedelta(milliseconds=step)
            await genset.tell("Power", float(step), source=at)
            told.append((float(step), int(at.timestamp() * 1e6) * 1000))
        found: list[tuple[float, int]] = []

        def collect() -> bool:
            rows = reader.take().records
            values = from_bits(rows["value"], ValueType.DOUBLE)
            for value, tag, source in zip(
                values.tolist(), rows["tag"], rows["source_time"].tolist(), strict=True
            ):
                if tag == plant.tag("power_kw") and (value, source) not in found:
                    found.append((value, source))
            return told[-1] in found

        await until(collect, "the last change")
        # the queue holds ten of what changed between two tellings: the others are dropped, and that is told
        assert [one for one in told if one in found] == found
        assert len(found) >= 10
        await genset.tell("Power", None, status=BAD_SENSOR)
        await plant.becomes("power_kw", 19.0, BAD_SENSOR)
        await genset.tell("Power", 7.0, status=UNCERTAIN_LAST)
        await plant.becomes("power_kw", 7.0, UNCERTAIN_LAST)
        await genset.tell("Power", 900.0)
        await plant.becomes("power_kw", 900.0, Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED)
        await genset.tell("Power", float("nan"))
        await until(lambda: plant.sample("power_kw").status == Quality.BAD_SENSOR_FAILURE, "the NaN")


async def test_an_old_source_time_stays_and_a_quality_that_returns_has_the_present_one(
    genset: Any, tmp_path: Path
) -> None:
    old = datetime.now(UTC) - timedelta(minutes=30)
    await genset.tell("Power", 5.0, source=old)
    async with running(tmp_path, genset.url) as plant:
        reader = plant.region.reader("oldest")
        await plant.becomes("power_kw", 5.0)
        written_ns = plant.sample("power_kw").receipt_time
        await until(lambda: plant.sample("power_kw").receipt_time > written_ns, "that it still holds")
        assert plant.sample("power_kw").source_time == int(old.timestamp() * 1e6) * 1000
        rows = reader.take().records
        mine = rows[rows["tag"] == plant.tag("power_kw")]
        assert mine["source_time"][0] == mine["receipt_time"][0], (
            "history learns that it is known from now on"
        )


async def test_a_value_that_stays_is_fresh_and_one_that_nobody_confirms_is_bad(
    genset: Any, proxy: Any, tmp_path: Path
) -> None:
    async with running(tmp_path, f"opc.tcp://127.0.0.1:{proxy.port}/") as plant:
        await plant.becomes("power_kw", 42.5)
        begun = time.monotonic()
        while time.monotonic() - begun < 2.5:  # longer than stale_after_ms
            assert plant.sample("power_kw").status == Quality.GOOD
            assert time.time_ns() - plant.sample("power_kw").receipt_time < 10e9
            await asyncio.sleep(0.05)
        proxy.is_deaf = True
        await plant.becomes("power_kw", 42.5, Quality.BAD_COMMUNICATION_ERROR)
        await until(lambda: not plant.told("connected"), "that the device is known to be away")
        proxy.cut()
        proxy.is_deaf = False
        await genset.tell("Power", 43.5)
        await plant.becomes("power_kw", 43.5)
        assert plant.driver.connections(plant.tag("power_kw")) == 2
        assert plant.driver.servers[0].told.rebuilds == 1


async def test_a_server_that_restarts_with_another_namespace_order_is_read_on(
    genset: Any, tmp_path: Path
) -> None:
    async with running(tmp_path, genset.url) as plant:
        await plant.becomes("power_kw", 42.5)
        await genset.down()
        await plant.becomes("power_kw", 42.5, Quality.BAD_COMMUNICATION_ERROR)
        await genset.up(first="urn:maker:new")
        await genset.tell("Power", 1.5)
        await plant.becomes("power_kw", 1.5)
        await plant.becomes("oil_bar", 4.5)
        await genset.tell("Power", 2.5)
        await plant.becomes("power_kw", 2.5)


async def test_only_the_points_that_the_server_refuses_are_bad(genset: Any, tmp_path: Path) -> None:
    points = (
        POINTS
        + """
      wrong_type: {node: "nsu=urn:maker:genset;s=Name"}
      no_part: {node: "nsu=urn:maker:genset;s=State", field: oil.colour}
      past_the_end: {node: "nsu=urn:maker:genset;s=Temperatures", field: "[7]"}
"""
    )
    async with running(tmp_path, genset.url, points) as plant:
        for name in ("missing", "nothing", "wrong_type", "no_part", "past_the_end"):
            await until(lambda name=name: plant.sample(name).status == Quality.BAD_CONFIGURATION_ERROR, name)
        await plant.becomes("power_kw", 42.5)
        await plant.becomes("second_c", 81.5)
        assert len(plant.driver.servers[0].samples.misfits) == 5
        begun = time.monotonic()
        while time.monotonic() - begun < 2.0:  # longer than stale_after_ms: they are not taken for silent
            assert plant.sample("missing").status == Quality.BAD_CONFIGURATION_ERROR
            await asyncio.sleep(0.05)


async def test_what_is_refused_is_told(genset: Any, tmp_path: Path) -> None:
    points = """
      missing: {node: "nsu=urn:maker:genset;s=Nowhere"}
"""
    async with running(tmp_path, genset.url, points) as plant:
        await until(lambda: plant.last_error != "", "the reason")
        assert plant.last_error == "genset.missing: nsu=urn:maker:genset;s=Nowhere: BadNodeIdUnknown"


async def test_writes_take_the_nodes_type_and_are_read_back(genset: Any, tmp_path: Path) -> None:
    async with running(tmp_path, genset.url) as plant:
        await plant.becomes("setpoint_kw", 100.0)
        driver = plant.driver
        await driver.operate(plant.tag("setpoint_kw"), 42.5)
        assert await driver.read_back(plant.tag("setpoint_kw")) == 42.5
        assert (await genset.nodes["Setpoint"].read_data_value()).Value.VariantType is ua.VariantType.Int16
        # the library's server knows no ranges: it would take the element for the whole array
        with pytest.raises(OperateError, match="takes no single elements"):
            await driver.operate(plant.tag("limit_c"), 99.5)
        assert await genset.nodes["Limits"].read_value() == [90.0, 95.0, 110.0]
        await driver.operate(plant.tag("text"), "hello")
        assert await driver.read_back(plant.tag("text")) == "hello"
        with pytest.raises(OperateError, match=r"42.55 is no|425.5 is no whole number"):
            await driver.operate(plant.tag("setpoint_kw"), 42.55)
        with pytest.raises(OperateError, match="beyond what the node holds, Int16"):
            await driver.operate(plant.tag("setpoint_kw"), 4_000.0)
        with pytest.raises(OperateError, match="is not writable"):
            await driver.operate(plant.tag("power_kw"), 1.0)
        with pytest.raises(OperateError, match="no OPC UA device"):
            await driver.operate(10_000, 1.0)
        await genset.nodes["Setpoint"].set_writable(False)
        with pytest.raises(OperateError, match=r"answered Bad(UserAccessDenied|NotWritable)"):
            await driver.operate(plant.tag("setpoint_kw"), 1.0)


async def test_methods_are_called_with_what_was_commanded(genset: Any, tmp_path: Path) -> None:
    async with running(tmp_path, genset.url) as plant:
        await plant.becomes("running", False)
        driver = plant.driver
        await driver.operate(plant.tag("run"), True)
        assert await driver.read_back(plant.tag("run")) is True
        await driver.operate(plant.tag("run"), False)
        assert await driver.read_back(plant.tag("run")) is False
        with pytest.raises(OperateError, match="was not commanded"):
            await driver.read_back(plant.tag("ramp_kw"))
        await driver.operate(plant.tag("ramp_kw"), 120.0)
        assert await driver.read_back(plant.tag("ramp_kw")) == 120.0
        assert genset.calls == [("start",), ("stop",), ("ramp", 120.0, 5)]


async def test_a_command_that_was_sent_and_not_answered_is_unknown(
    genset: Any, proxy: Any, tmp_path: Path
) -> None:
    async with running(tmp_path, f"opc.tcp://127.0.0.1:{proxy.port}/", stale_ms=20_000) as plant:
        await plant.becomes("running", False)
        await plant.driver.operate(plant.tag("run"), True)
        proxy.is_deaf = True
        with pytest.raises(TimeoutError):
            await plant.driver.operate(plant.tag("run"), False)
        assert genset.calls == [("start",)]


async def test_a_command_to_a_server_that_is_away_is_not_sent(tmp_path: Path) -> None:
    async with running(tmp_path, f"opc.tcp://127.0.0.1:{free_port()}/") as plant:
        await until(lambda: plant.last_error != "", "the refused connection")
        for asking in (
            plant.driver.operate(plant.tag("run"), False),
            plant.driver.read_back(plant.tag("run")),
        ):
            with pytest.raises(NotConnectedError, match="genset is not connected"):
                await asking


async def test_a_subscription_that_lives_and_tells_nothing_is_found_and_then_polled(
    genset: Any, tmp_path: Path
) -> None:
    async with running(tmp_path, genset.url, more="verify_s: 1") as plant:
        await plant.becomes("power_kw", 42.5)
        told = plant.driver.servers[0].told
        genset.hide("Power", 50.0)
        await plant.becomes("power_kw", 50.0)  # by the subscription that was made anew
        assert told.rebuilds == 1
        genset.hide("Power", 55.0)
        await plant.becomes("power_kw", 55.0)
        assert told.rebuilds == 2
        for value in (52.0, 53.0):  # by polling from now on
            genset.hide("Power", value)
            await plant.becomes("power_kw", value)
        assert told.rebuilds == 2
        assert "polled from now on" in plant.last_error


async def test_points_may_be_polled(genset: Any, tmp_path: Path) -> None:
    points = """
      power_kw: {node: "nsu=urn:maker:genset;s=Power", unit: kW, read: poll}
      missing: {node: "nsu=urn:maker:genset;s=Nowhere", read: poll}
"""
    async with running(tmp_path, genset.url, points) as plant:
        await plant.becomes("power_kw", 42.5)
        genset.hide("Power", 43.0)
        await plant.becomes("power_kw", 43.0)
        await until(
            lambda: plant.sample("missing").status == Quality.BAD_CONFIGURATION_ERROR, "the missing node"
        )
        await until(lambda: plant.told("requests") > 10, "polls")
        assert plant.told("monitored") == 0


async def test_a_deadband_is_the_servers_and_one_that_it_has_not_is_left_off(
    genset: Any, tmp_path: Path
) -> None:
    points = """
      power_kw: {node: "nsu=urn:maker:genset;s=Power", unit: kW, absolute_deadband: 5}
      name: {node: "nsu=urn:maker:genset;s=Mode", percent_deadband: 5}
"""
    async with running(tmp_path, genset.url, points) as plant:
        await plant.becomes("power_kw", 42.5)
        await plant.becomes("name", 2.0)
        before = plant.driver.servers[0].told.notifications
        await genset.tell("Power", 44.0)
        await genset.tell("Power", 60.0)
        await plant.becomes("power_kw", 60.0)
        assert plant.driver.servers[0].told.notifications == before + 1


async def test_counters_tell_what_was_asked_and_came(genset: Any, tmp_path: Path) -> None:
    async with running(tmp_path, genset.url) as plant:
        await plant.becomes("power_kw", 42.5)
        await until(lambda: plant.told("connected") and plant.told("latency_p50_ms") > 0, "the counters")
        # a node with several parts is one item
        assert plant.told("monitored") == 12
        assert plant.told("notifications") >= 12
        assert plant.told("refused_nodes") == 2
        assert plant.told("rebuilds") == 0


async def test_a_text_that_is_too_long_is_bad_and_ends_in_a_whole_character(
    genset: Any, tmp_path: Path
) -> None:
    async with running(tmp_path, genset.url) as plant:
        await genset.tell("Name", "Ä" * 15, ua.VariantType.String)
        await plant.becomes("name", "Ä" * 10, Quality.BAD_OUT_OF_RANGE)
        assert "raise its 'length'" in plant.last_error
        await genset.tell("Name", "short", ua.VariantType.String)
        await plant.becomes("name", "short")


async def test_a_structure_of_another_type_is_learned_when_it_comes(genset: Any, tmp_path: Path) -> None:
    genset.hide("State", None)
    async with running(tmp_path, genset.url) as plant:
        await plant.becomes("oil_bar", 0.0, Quality.BAD_NO_DATA)
        await genset.tell("State", genset.state, ua.VariantType.ExtensionObject)
        await plant.becomes("oil_bar", 4.5)


async def test_requests_that_the_server_finds_too_large_are_halved(
    genset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, monitor = InternalSession.read, InternalSession.create_monitored_items
    asked: list[int] = []

    async def read_few(self: InternalSession, params: Any) -> Any:
        asked.append(len(params.NodesToRead))
        if asked[-1] > 3:
            raise ServiceError(ua.StatusCodes.BadTooManyOperations)
        return await read(self, params)

    async def monitor_few(self: InternalSession, params: Any) -> Any:
        if len(params.ItemsToCreate) > 2:
            raise ServiceError(ua.StatusCodes.BadTooManyOperations)
        return await monitor(self, params)

    monkeypatch.setattr(InternalSession, "read", read_few)
    monkeypatch.setattr(InternalSession, "create_monitored_items", monitor_few)
    async with running(tmp_path, genset.url) as plant:
        await plant.becomes("power_kw", 42.5)
        await plant.becomes("setpoint_kw", 100.0)
        assert max(asked) <= 4


async def test_a_channel_is_renewed_in_time(
    genset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CHANNEL_MS", 1_000)
    renewed = []
    keep = Client.open_secure_channel

    async def counted(self: Client, renew: bool = False) -> None:
        await keep(self, renew)
        renewed.append(renew)

    monkeypatch.setattr(Client, "open_secure_channel", counted)
    async with running(tmp_path, genset.url) as plant:
        await plant.becomes("power_kw", 42.5)
        await until(lambda: sum(renewed) >= 2, "two renewals")
        await genset.tell("Power", 50.0)
        await plant.becomes("power_kw", 50.0)
        assert plant.driver.connections(plant.tag("power_kw")) == 1
