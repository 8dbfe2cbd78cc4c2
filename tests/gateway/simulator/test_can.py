"""The CAN bus and its devices, met by python-can's slcan and decoded by cantools with the templates' databases."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import can
import cantools
import pytest
from cantools.database.can import Database

from gateway.config.can import Checksum
from gateway.config.can_bits import insert
from gateway.config.load import load_site
from gateway.drivers.can.encode import checksum_of
from gateway.simulator.can_bus import CONNECTIONS, CanBus, CanNode
from gateway.simulator.devices import charger_can
from gateway.simulator.devices.frames import Signal, crc8
from gateway.simulator.devices.roster import CAN_BUS, can_devices
from gateway.simulator.faults import Fault, FaultError, FaultKind
from gateway.simulator.plant.charger import Vehicle
from gateway.simulator.plant.microgrid import Microgrid

DEVICES = Path(__file__).parents[3] / "config/devices"
DEMO = Path(__file__).parents[3] / "config/sites/demo/site.yaml"
LOOPBACK = "127.0.0.1"
STATION = 11
COMMAND = charger_can.COMMAND + STATION


def database(name: str) -> Database:
    read = cantools.database.load_file(DEVICES / f"{name}.dbc")
    assert isinstance(read, Database)
    return read


@pytest.fixture(scope="module")
def bms() -> Database:
    return database("bms")


@pytest.fixture(scope="module")
def charger() -> Database:
    return database("ev_charger_can_11")


@asynccontextmanager
async def bus_of(grid: Microgrid, *names: str) -> AsyncIterator[tuple[CanBus, dict[str, CanNode]]]:
    nodes = {name: CanNode(name, map, source) for name, map, source in can_devices(grid) if name in names}
    bus = CanBus(CAN_BUS, LOOPBACK, 0, list(nodes.values()))
    await bus.start()
    try:
        yield bus, nodes
    finally:
        await bus.stop()


class Ear:
    """python-can at the adapter; it blocks, so it works in threads."""

    def __init__(self, source: can.BusABC) -> None:
        self.source = source
        self.heard: list[can.Message] = []

    async def until(self, wanted: Callable[[can.Message], bool], patience_s: float = 15.0) -> can.Message:
        """The next message like that."""
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            message = await asyncio.to_thread(self.source.recv, 0.5)
            if message is not None:
                self.heard.append(message)
                if wanted(message):
                    return message
        raise AssertionError("it did not come")

    async def of(self, id: int) -> can.Message:
        return await self.until(lambda message: message.arbitration_id == id)

    async def drain(self) -> None:
        """What was on its way."""
        while await asyncio.to_thread(self.source.recv, 0.0) is not None:
            pass

    async def is_quiet(self, id: int, for_s: float, patience_s: float = 15.0) -> bool:
        """Whether, once what was on its way has come, nothing of it comes for so long."""
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            try:
                await self.until(lambda message: message.arbitration_id == id, for_s)
            except AssertionError:
                return True
        return False

    async def command(self, payload: bytes, id: int = COMMAND) -> None:
        await asyncio.to_thread(self.source.send, can.Message(arbitration_id=id, data=payload), 1.0)


@asynccontextmanager
async def ear(bus: CanBus) -> AsyncIterator[Ear]:
    source = await asyncio.to_thread(
        can.Bus, f"socket://{LOOPBACK}:{bus.port}", "slcan", bitrate=500_000, sleep_after_open=0.0
    )
    door = source.serialPortOrig._socket  # type: ignore[attr-defined]  # slcan's, behind `can.Bus`
    try:
        yield Ear(source)
    finally:
        with contextlib.suppress(can.CanError):
            await asyncio.to_thread(source.shutdown)
        door.close()  # pyserial leaves one open that was reset


def command(setpoint_kw: float, count: int) -> bytes:
    """As cantools and the drivers' own checksum make it."""
    payload = database("ev_charger_can_11").encode_message(
        "ChargerCommand", {"PowerSetpoint": setpoint_kw, "Counter": count, "Crc": 0}, strict=False
    )
    return payload[:3] + bytes([checksum_of(payload[:3], Checksum.CRC8_J1850)])


def signals(read: Database, message: can.Message) -> dict[str, float]:
    told = read.decode_message(message.arbitration_id, message.data, decode_choices=False)
    assert isinstance(told, dict)
    return {name: float(value) for name, value in told.items()}  # type: ignore[arg-type]  # no choices


async def test_the_management_system_says_what_the_battery_is(grid: Microgrid, bms: Database) -> None:
    grid.battery.setpoint_kw = -120.0
    for _ in range(400):
        grid.step()
    battery = grid.battery
    async with bus_of(grid, "bms1") as (bus, _), ear(bus) as heard:
        status = signals(bms, await heard.of(0x180))
        cells = signals(bms, await heard.of(0x181))
        limits = signals(bms, await heard.of(0x182))
        alarms = signals(bms, await heard.of(0x183))
        modules: dict[str, float] = {}
        while len(modules) < 5:
            modules |= signals(bms, await heard.of(0x184))
    assert status["PackVoltage"] == pytest.approx(battery.voltage_v, abs=0.051)
    assert status["PackCurrent"] == pytest.approx(battery.current_a, abs=0.051)
    assert status["PackCurrent"] < -100.0
    assert status["StateOfCharge"] == pytest.approx(100 * battery.charge_share, abs=0.0051)
    assert status["State"] == 1
    assert cells["CellVoltageMin"] < battery.voltage_v / 216 < cells["CellVoltageMax"]
    assert cells["CellTemperatureMax"] == pytest.approx(battery.temperature_c, abs=0.26)
    assert limits["ChargeLimit"] == pytest.approx(
        1000 * battery.most_charge_kw() / battery.voltage_v, abs=0.051
    )
    assert (limits["StateOfHealth"], limits["Isolation"]) == (97.5, 950)
    assert alarms == {
        "ContactorsClosed": 1, "CellOverVoltage": 0, "CellUnderVoltage": 0, "OverTemperature": 0, "OverCurrent": 0,
    }  # fmt: skip
    assert modules["Module1Temperature"] > modules["Module4Temperature"]


async def test_a_battery_that_tripped_opens_its_contactors(grid: Microgrid, bms: Database) -> None:
    grid.battery.trip()
    async with bus_of(grid, "bms1") as (bus, _), ear(bus) as heard:
        assert signals(bms, await heard.of(0x180))["State"] == 2
        assert signals(bms, await heard.of(0x183))["ContactorsClosed"] == 0


async def test_counters_go_on_and_checksums_are_right(grid: Microgrid, bms: Database) -> None:
    async with bus_of(grid, "bms1") as (bus, _), ear(bus) as heard:
        for _ in range(5):
            await heard.of(0x180)
    status = [message for message in heard.heard if message.arbitration_id == 0x180]
    counts = [signals(bms, message)["Counter"] for message in status]
    assert counts == [(counts[0] + n) % 16 for n in range(len(counts))]
    assert all(
        message.data[7] == checksum_of(bytes(message.data[:7]), Checksum.CRC8_J1850) for message in status
    )


async def test_a_charger_says_what_its_vehicle_is_and_that_there_is_none(
    grid: Microgrid, charger: Database
) -> None:
    plug = grid.chargers[STATION - 1]
    plug.plug_in(Vehicle("TL-54321", 60.0, 30.0, 11.0, 3600.0))
    async with bus_of(grid, "ev11") as (bus, _), ear(bus) as heard:
        status = signals(charger, await heard.of(charger_can.STATUS + STATION))
        control = signals(charger, await heard.of(charger_can.CONTROL + STATION))
        meter = signals(charger, await heard.of(charger_can.METER + STATION))
        assert (status["StateOfCharge"], status["Connected"]) == (50.0, 1)
        assert (control["VehicleNumber"], control["ActiveSetpoint"]) == (54321, -22.0)
        assert meter["ChargeEnergy"] == pytest.approx(plug.charge_kwh, abs=0.001)
        plug.unplug()
        await heard.until(lambda message: message.data[3:5] == b"\xff\xff" and len(message.data) == 8)


async def test_a_command_that_is_whole_and_new_is_taken_and_told_at_once(
    grid: Microgrid, charger: Database
) -> None:
    plug = grid.chargers[STATION - 1]

    def tells(setpoint_kw: float) -> Callable[[can.Message], bool]:
        def is_told(message: can.Message) -> bool:
            if message.arbitration_id != charger_can.CONTROL + STATION:
                return False
            return signals(charger, message)["ActiveSetpoint"] == pytest.approx(setpoint_kw)

        return is_told

    async with bus_of(grid, "ev11") as (bus, _), ear(bus) as heard:
        await heard.command(command(-7.5, 0))
        await heard.until(tells(-7.5))
        await heard.command(command(3.2, 0))  # one that hangs repeats its counter
        spoilt = bytearray(command(4.0, 1))
        spoilt[3] ^= 1
        await heard.command(bytes(spoilt))
        await heard.command(command(99.0, 2))  # beyond its nameplate
        await heard.command(command(5.0, 3)[:3])  # cut off
        await heard.command(command(5.0, 4), COMMAND + 1)  # for another
        await heard.command(command(-8.5, 5))
        await heard.until(tells(-8.5))
    told = {
        signals(charger, message)["ActiveSetpoint"]
        for message in heard.heard
        if message.arbitration_id == charger_can.CONTROL + STATION
    }
    assert told <= {-22.0, -7.5, -8.5}
    assert plug.setpoint_kw == pytest.approx(-8.5)


async def test_a_silent_and_a_stopped_device_say_nothing_and_come_back(grid: Microgrid) -> None:
    async with bus_of(grid, "bms1", "ev11") as (bus, nodes), ear(bus) as heard:
        for kind in (FaultKind.SILENT, FaultKind.STOPPED):
            await nodes["bms1"].suffer(Fault(kind))
            assert await heard.is_quiet(0x180, 1.0)
            await heard.of(charger_can.STATUS + STATION)  # the others go on
            await nodes["bms1"].suffer(None)
            await heard.of(0x180)
        await nodes["ev11"].suffer(Fault(FaultKind.STOPPED))
        before_kw = grid.chargers[STATION - 1].setpoint_kw
        await heard.command(command(-1.5, 9))
        await heard.of(0x180)
        assert grid.chargers[STATION - 1].setpoint_kw == before_kw


async def test_a_garbled_device_sends_frames_without_data_until_it_is_mended(grid: Microgrid) -> None:
    async with bus_of(grid, "bms1") as (_, nodes), ear(nodes["bms1"].bus) as heard:
        assert len((await heard.of(0x180)).data) == 8
        await nodes["bms1"].suffer(Fault(FaultKind.GARBLED))
        await heard.until(lambda message: message.arbitration_id == 0x180 and not message.data)
        await nodes["bms1"].suffer(None)
        await heard.until(lambda message: message.arbitration_id == 0x180 and len(message.data) == 8)


async def test_a_stuck_device_keeps_its_values_and_counts_on(grid: Microgrid, bms: Database) -> None:
    async with bus_of(grid, "bms1") as (bus, nodes), ear(bus) as heard:
        before = signals(bms, await heard.of(0x180))
        await nodes["bms1"].suffer(Fault(FaultKind.STUCK))
        grid.battery.stored_kwh *= 0.5
        await heard.drain()
        first, second = [signals(bms, await heard.of(0x180)) for _ in range(2)]
        assert first["StateOfCharge"] == second["StateOfCharge"] == before["StateOfCharge"]
        assert first["Counter"] != second["Counter"]
        await nodes["bms1"].suffer(None)
        await heard.until(
            lambda m: (
                m.arbitration_id == 0x180 and signals(bms, m)["StateOfCharge"] < before["StateOfCharge"] - 20
            )
        )


async def test_a_lying_device_says_anything_with_a_right_checksum(grid: Microgrid, bms: Database) -> None:
    async with bus_of(grid, "bms1") as (bus, nodes), ear(bus) as heard:
        await nodes["bms1"].suffer(Fault(FaultKind.WRONG))
        told = [await heard.of(0x180) for _ in range(6)][2:]
    assert len({signals(bms, message)["PackVoltage"] for message in told}) > 1
    assert all(m.data[7] == checksum_of(bytes(m.data[:7]), Checksum.CRC8_J1850) for m in told)


async def test_a_slow_device_tells_what_was(grid: Microgrid, bms: Database) -> None:
    async with bus_of(grid, "bms1") as (bus, nodes), ear(bus) as heard:
        before = signals(bms, await heard.of(0x180))["StateOfCharge"]
        await nodes["bms1"].suffer(Fault(FaultKind.SLOW, 1500))
        changed_s = time.monotonic()
        grid.battery.stored_kwh *= 0.5
        await heard.until(
            lambda m: m.arbitration_id == 0x180 and signals(bms, m)["StateOfCharge"] < before - 20
        )
        assert time.monotonic() - changed_s > 1.4


async def test_a_device_that_resets_is_gone_after_a_command_and_counts_anew(
    grid: Microgrid, charger: Database
) -> None:
    async with bus_of(grid, "ev11") as (bus, nodes), ear(bus) as heard:
        await nodes["ev11"].suffer(Fault(FaultKind.RESET))
        before_kw = grid.chargers[STATION - 1].setpoint_kw

        def counts(wanted: int) -> Callable[[can.Message], bool]:
            def is_so(message: can.Message) -> bool:
                if message.arbitration_id != charger_can.STATUS + STATION:
                    return False
                return signals(charger, message)["Counter"] == wanted

            return is_so

        await heard.until(counts(4))
        heard.heard.clear()
        await heard.command(command(-3.0, 1))
        await heard.until(counts(0))
        assert not any(counts(15)(message) for message in heard.heard), "it did not come round"
        assert grid.chargers[STATION - 1].setpoint_kw == before_kw


async def test_what_a_bus_can_not_suffer_is_refused(grid: Microgrid) -> None:
    async with bus_of(grid, "bms1") as (bus, nodes):
        with pytest.raises(FaultError, match="no exceptions"):
            await nodes["bms1"].suffer(Fault(FaultKind.EXCEPTION))
        with pytest.raises(FaultError, match="silent, reset or stopped"):
            await bus.suffer(Fault(FaultKind.WRONG))


async def test_an_adapter_that_is_stopped_silent_or_resets_takes_all_with_it(grid: Microgrid) -> None:
    async with bus_of(grid, "bms1", "ev11") as (bus, _):
        async with ear(bus) as heard:
            await heard.of(0x180)
            await bus.suffer(Fault(FaultKind.SILENT))
            assert await heard.is_quiet(0x180, 0.7)
            before_kw = grid.chargers[STATION - 1].setpoint_kw
            await heard.command(command(-2.0, 1))
            await bus.suffer(None)
            await heard.of(0x180)
            assert grid.chargers[STATION - 1].setpoint_kw == before_kw
            await bus.suffer(Fault(FaultKind.STOPPED))
            with pytest.raises(can.CanError):
                await heard.of(0x180)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(LOOPBACK, bus.port)
        await bus.suffer(Fault(FaultKind.RESET))
        async with ear(bus) as heard:
            with pytest.raises(can.CanError):
                await heard.of(0x180)
        await bus.suffer(None)
        async with ear(bus) as heard:
            await heard.of(0x180)


async def test_two_listeners_hear_each_other_and_the_devices(grid: Microgrid) -> None:
    async with bus_of(grid, "ev11") as (bus, _), ear(bus) as one, ear(bus) as other:
        await one.command(b"\x01\x02", 0x123456)
        assert (await other.of(0x123456)).data == b"\x01\x02"
        await one.of(charger_can.STATUS + STATION)
        assert not [message for message in one.heard if message.arbitration_id == 0x123456]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"V", b"V1013\r"), (b"N", b"NTL01\r"), (b"F", b"F00\r"), (b"S6", b"\r"), (b"", b"\r"), (b"O", b"\r"),
        (b"t1230", b"\a"),  # the bus is closed
        (b"burn", b"\a"), (b"S", b"\a"), (b"\xff\xfe", b"\a"),
    ],
)  # fmt: skip
async def test_the_adapter_answers_as_lawicel_says(grid: Microgrid, line: bytes, answer: bytes) -> None:
    async with bus_of(grid) as (bus, _):
        reader, writer = await asyncio.open_connection(LOOPBACK, bus.port)
        writer.write(line + b"\r")
        assert await asyncio.wait_for(reader.read(20), 10) == answer
        writer.close()


async def test_frames_in_its_own_words(grid: Microgrid) -> None:
    async with bus_of(grid) as (bus, _):
        reader, writer = await asyncio.open_connection(LOOPBACK, bus.port)
        writer.write(b"S6\rO\rt1232AABB\rT1234567800\rT123456780\rt12381122\rC\rt1230\r")
        answers = b""
        while len(answers) < 10:
            more = await asyncio.wait_for(reader.read(20), 10)
            assert more
            answers += more
        assert answers == b"\r\rz\r\aZ\r\a\r\a"
        writer.close()


async def test_garbage_and_lines_without_end_cost_their_sender_the_connection_and_nobody_else(
    grid: Microgrid,
) -> None:
    chance = random.Random(7)
    async with bus_of(grid, "bms1") as (bus, _), ear(bus) as heard:
        for size in (1, 40, 500, 5000):
            reader, writer = await asyncio.open_connection(LOOPBACK, bus.port)
            writer.write(bytes(chance.getrandbits(8) for _ in range(size)).replace(b"\r", b"x") + b"x" * 200)
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(1 << 16), 10) is not None
            writer.close()
        await heard.of(0x180)


async def test_more_than_the_adapter_bears_are_turned_away(grid: Microgrid) -> None:
    async with bus_of(grid) as (bus, _):
        writers = []
        for _ in range(CONNECTIONS):
            reader, writer = await asyncio.open_connection(LOOPBACK, bus.port)
            writer.write(b"V\r")
            assert await asyncio.wait_for(reader.read(20), 10) == b"V1013\r"
            writers.append(writer)
        reader, writer = await asyncio.open_connection(LOOPBACK, bus.port)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(20), 10) == b""
        for one in (*writers, writer):
            one.close()


def test_signals_lie_where_the_drivers_own_layout_has_them() -> None:
    """The demo's points: two layouts that share no code put the same bits into the same places."""
    seen = 0
    maps = {name: map for name, map, _ in can_devices(Microgrid())}
    for device in load_site(DEMO).can_devices:
        frames = {(f.id, f.is_extended): f for f in (*maps[device.name].sent, *maps[device.name].taken)}
        for point in device.points:
            frame = frames[point.message.id, point.message.is_extended]
            raw = (1 << point.signal.length) - 2
            ours = bytearray(frame.size)
            if point.selectors:
                signal = Signal(point.signal.start, point.signal.length, lambda source: None)
            else:
                signal = next(one for one in frame.signals if one.start == point.signal.start)
                assert (signal.length, signal.is_signed) == (point.signal.length, point.signal.is_signed)
                assert (signal.scale, signal.offset) == (point.signal.scale, point.signal.offset)
            signal.put(ours, raw)
            assert bytes(ours) == insert(bytes(frame.size), point.signal, raw), point.name
            seen += 1
    assert seen == 39


def test_the_checksum_of_a_catalogue() -> None:
    assert crc8(b"123456789") == 0x4B
