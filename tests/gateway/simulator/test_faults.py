"""Each fault as a client meets it, set through the control socket; the other devices never notice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import stat
import time

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymodbus.exceptions import ModbusException

from gateway.simulator.control import Control, ControlClient
from gateway.simulator.devices.roster import devices
from gateway.simulator.faults import MEANING, Fault, FaultError, FaultKind, parse_fault, refuse_of_meters
from gateway.simulator.garbled import garbled_answer
from gateway.simulator.meters import Quantity, shown
from gateway.simulator.plant.microgrid import Microgrid
from gateway.simulator.server import CONNECTIONS, DeviceServer

SOC = 2  # battery1's input register of the state of charge


@pytest.fixture
async def control(tmp_path, servers, grid):
    door = Control(tmp_path / "sim.sock", servers, grid.utility)
    await door.start()
    yield ControlClient(tmp_path / "sim.sock")
    await door.stop()


async def ask(function, *arguments):
    """The blocking client off the loop, since the socket is served on it."""
    return await asyncio.to_thread(function, *arguments)


async def soc(client) -> int:
    answer = await client.read_input_registers(SOC, count=1, device_id=1)
    assert not answer.isError()
    return answer.registers[0]


async def test_silent_and_the_neighbour_goes_on(servers, control, connect) -> None:
    client, neighbour = await connect(servers["battery1"].port, 0.2), await connect(servers["pv1"].port)
    await ask(control.set, "battery1", Fault(FaultKind.SILENT))
    with pytest.raises(ModbusException):
        await client.read_input_registers(SOC, count=1, device_id=1)
    assert not (await neighbour.read_holding_registers(40083, count=1, device_id=1)).isError()
    await ask(control.clear, "battery1")
    assert await soc(client) > 0, "the same connection serves again"


async def test_slow_answers_late_and_each_with_its_own_transaction_id(servers, control) -> None:
    await ask(control.set, "battery1", Fault(FaultKind.SLOW, delay_ms=200))
    reader, writer = await asyncio.open_connection("127.0.0.1", servers["battery1"].port)
    began = time.monotonic()
    for transaction in (0x1111, 0x2222):  # the second request does not wait for the first answer
        writer.write(transaction.to_bytes(2, "big") + bytes.fromhex("0000 0006 01 04 0002 0001"))
    first, second = await reader.readexactly(11), await reader.readexactly(11)
    assert (first[:2], second[:2]) == (b"\x11\x11", b"\x22\x22")
    assert time.monotonic() - began > 0.4
    writer.close()


async def test_reset_breaks_the_connection_at_the_request(servers, control) -> None:
    await ask(control.set, "battery1", Fault(FaultKind.RESET))
    reader, writer = await asyncio.open_connection("127.0.0.1", servers["battery1"].port)
    writer.write(bytes.fromhex("0001 0000 0006 01 04 0002 0001"))
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    writer.close()


async def test_wrong_gives_random_values_in_due_form(servers, control, connect) -> None:
    client = await connect(servers["battery1"].port)
    await ask(control.set, "battery1", Fault(FaultKind.WRONG))
    assert len({await soc(client) for _ in range(20)}) > 10
    await ask(control.clear, "battery1")
    assert len({await soc(client) for _ in range(20)}) == 1


@pytest.mark.parametrize("pdu_hex", ["04 02 0001", "03 04 0001 0002", "01 01 01", "10 0000 0002"])
def test_what_is_garbled_is_never_the_answer(pdu_hex: str) -> None:
    """Nor another of its transaction, unit, function and length, which would be data: those are `wrong`."""
    pdu = bytes.fromhex(pdu_hex)
    answer = b"\x12\x34\0\0" + (len(pdu) + 1).to_bytes(2, "big") + b"\x01" + pdu
    chance = random.Random(1)
    for _ in range(5_000):
        frame = garbled_answer(answer, chance)
        is_data = frame[:8] == answer[:8] and len(frame) == len(answer)
        assert frame != answer
        assert not is_data


async def test_a_garbled_device_talks_nonsense_until_it_is_mended(servers, control, connect) -> None:
    await ask(control.set, "battery1", Fault(FaultKind.GARBLED))
    right = bytes.fromhex("1111 0000 0005 01 04 02")
    for _ in range(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", servers["battery1"].port)
        writer.write(bytes.fromhex("1111 0000 0006 01 04 0002 0001"))
        frame = await asyncio.wait_for(reader.read(300), 2.0)
        assert not (frame.startswith(right) and len(frame) == 11)
        writer.close()
    await ask(control.clear, "battery1")
    assert await soc(await connect(servers["battery1"].port)) > 0


async def test_stuck_keeps_the_values_of_when_it_began_though_it_takes_writes(
    grid, servers, control, connect
) -> None:
    client = await connect(servers["battery1"].port)
    await ask(control.set, "battery1", Fault(FaultKind.STUCK))
    before = await soc(client)
    grid.battery.stored_kwh -= 100.0
    assert await soc(client) == before
    await client.write_registers(
        0, client.convert_to_registers(40.0, client.DATATYPE.FLOAT32, "little"), device_id=1
    )
    assert grid.battery.setpoint_kw == 40.0
    assert (await client.read_holding_registers(0, count=2, device_id=1)).registers == [0, 0]
    await ask(control.clear, "battery1")
    assert await soc(client) == before - 2000


async def test_exception_answers_every_request_with_the_code(servers, control, connect) -> None:
    client = await connect(servers["battery1"].port)
    await ask(control.set, "battery1", Fault(FaultKind.EXCEPTION, code=6))
    answer = await client.read_input_registers(SOC, count=1, device_id=1)
    assert answer.exception_code == 6


async def test_stopped_refuses_connections_and_comes_back_on_the_same_port(servers, control, connect) -> None:
    server = servers["battery1"]
    client = await connect(server.port, 0.5)
    await ask(control.set, "battery1", Fault(FaultKind.STOPPED))
    with pytest.raises(ModbusException):
        await client.read_input_registers(SOC, count=1, device_id=1)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", server.port)
    await ask(control.set, "battery1", Fault(FaultKind.STOPPED))
    await ask(control.clear, "battery1")
    assert await soc(await connect(server.port)) > 0


async def test_the_utility_is_lost_and_restored_and_clear_mends_everything(grid, control) -> None:
    await ask(control.utility, False)
    await ask(control.set, "ev3", Fault(FaultKind.SLOW, delay_ms=700))
    listed = await ask(control.list)
    assert grid.utility.lost
    assert listed["utility"] == "lost"
    assert listed["devices"]["ev3"]["fault"] == {"kind": "slow", "delay_ms": 700}
    assert listed["devices"]["ev4"]["fault"] is None
    await ask(control.clear)
    listed = await ask(control.list)
    assert not grid.utility.lost
    assert {device["fault"] for device in listed["devices"].values()} == {None}


async def test_the_socket_is_for_its_user_only(tmp_path, control) -> None:
    assert stat.S_IMODE((tmp_path / "sim.sock").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{", "one line of JSON"),
        (b"[]", "is an object"),
        (b'{"do": "burn"}', "do is list"),
        (b'{"do": "clear", "devise": "ev3"}', "do is list"),
        (b'{"do": "set", "device": "ev99", "fault": {"kind": "slow"}}', "no device 'ev99'"),
        (b'{"do": "set", "device": "ev3", "fault": {"kind": "slo"}}', "kind is one of"),
        (b'{"do": "set", "device": "ev3", "fault": {"kind": "slow", "delay_ms": true}}', "whole number"),
        (b'{"do": "set", "device": "ev3", "fault": {"kind": "slow", "delay": 5}}', "not delay"),
        (b'{"do": "utility", "live": 1}', "do is list"),
        (b"x" * 70_000, "too long"),
        (b"[" * 60_000, "one line of JSON"),
    ],
    ids=lambda said: str(said)[:40],
)
async def test_a_request_without_sense_is_refused_in_words(tmp_path, control, line: bytes, why: str) -> None:
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "sim.sock"))
    writer.write(line + b"\n")
    answer = json.loads(await reader.readline())
    assert answer["ok"] is False
    assert why in answer["why"]
    writer.close()
    await ask(control.list)


async def test_the_client_raises_what_the_simulator_refuses(control) -> None:
    with pytest.raises(FaultError, match="no device"):
        await ask(control.clear, "ev99")


@pytest.mark.parametrize("kind", FaultKind)
def test_a_fault_survives_its_json_and_is_explained(kind: FaultKind) -> None:
    fault = Fault(kind)
    assert parse_fault(json.loads(json.dumps(fault.as_json()))) == fault
    assert MEANING[kind]


@pytest.mark.parametrize(
    ("request_hex", "exception"),
    [
        ("0001 0000 0006 01 04 03e8 0001", "84 02"),  # address nobody has
        ("0001 0000 0006 01 04 0000 0000", "84 03"),  # no registers
        ("0001 0000 0006 01 04 0000 00ff", "84 03"),  # 255 of them
        ("0001 0000 0002 01 2b", "ab 01"),  # function it does not have
        ("0001 0000 0003 01 84 01", "84 01"),  # an answer, not a request
        ("0001 0000 0003 01 04 00", "84 03"),  # cut short
        ("0001 0000 0006 07 04 0000 0001", "84 0b"),  # another unit
        ("0001 0000 0008 01 10 0000 0002 04 0000", "90 03"),  # bytes missing
    ],
)
async def test_requests_the_protocol_forbids_get_their_exception(
    servers, request_hex: str, exception: str
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", servers["battery1"].port)
    writer.write(bytes.fromhex(request_hex))
    answer = await asyncio.wait_for(reader.readexactly(9), 2.0)
    assert answer[7:] == bytes.fromhex(exception)
    writer.close()


@pytest.mark.parametrize("header", ["0001 0001 0006 01", "0001 0000 0001 01", "0001 0000 00ff 01"])
async def test_what_is_no_modbus_ends_the_connection(servers, header: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", servers["battery1"].port)
    writer.write(bytes.fromhex(header) + bytes(300))
    with contextlib.suppress(ConnectionResetError):  # it closed before it had read all
        assert await asyncio.wait_for(reader.read(1), 2.0) == b""
    writer.close()


async def test_one_device_takes_no_more_connections_than_it_says(servers) -> None:
    port = servers["ev1"].port
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS)]
    for reader, writer in held:
        writer.write(bytes.fromhex("0001 0000 0006 01 04 0000 0001"))
        assert await reader.readexactly(11)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.read(1) == b""
    for _, other in [*held, (reader, writer)]:
        other.close()


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(garbage=st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=4), framed=st.booleans())
def test_garbage_never_stops_a_device(garbage: list[bytes], framed: bool) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_throw(garbage, framed))


async def _throw(garbage: list[bytes], framed: bool) -> None:
    faults: list[dict] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: faults.append(context))
    name, _, map, source = next(entry for entry in devices(Microgrid()) if entry[0] == "battery1")
    server = DeviceServer(name, "127.0.0.1", 0, map, source)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for piece in garbage:
        if framed:
            piece = b"\0\1\0\0" + (len(piece) + 1).to_bytes(2, "big") + b"\1" + piece
        writer.write(piece)
    writer.write_eof()
    await reader.read()
    writer.close()
    await server.stop()
    assert faults == []


POWER, ENERGY = 0, 4  # feeder1's input registers


async def feeder(client, address: int, low_word_first: bool) -> int:
    """A number of 32 bits, the less significant byte of every register first."""
    answer = await client.read_input_registers(address, count=2, device_id=1)
    assert not answer.isError()
    words = [(word >> 8) | (word & 0xFF) << 8 for word in answer.registers]
    high, low = reversed(words) if low_word_first else words
    return high << 16 | low


@pytest.mark.parametrize(
    ("fault", "share"),
    [
        (Fault(FaultKind.FRAUD, share=0.3), 0.7),
        (Fault(FaultKind.SWAPPED), 0.0814),
        (Fault(FaultKind.SPIKE, share=4.0), 5.0),
    ],
)
async def test_a_meter_shows_a_share_and_the_plant_goes_on(
    servers, control, connect, grid, fault, share
) -> None:
    client = await connect(servers["feeder1"].port)
    true = await feeder(client, POWER, False)
    await ask(control.set, "feeder1", fault)
    assert await feeder(client, POWER, False) == pytest.approx(true * share, rel=1e-3)
    assert grid.feeders[0].power_kw == pytest.approx(true / 1000, abs=1e-3)
    await ask(control.clear, "feeder1")
    assert await feeder(client, POWER, False) == true


async def test_a_counter_goes_on_from_where_it_was_when_the_fault_began(
    servers, control, connect, grid
) -> None:
    client = await connect(servers["feeder1"].port)
    before = await feeder(client, ENERGY, True)
    await ask(control.set, "feeder1", Fault(FaultKind.FRAUD, share=0.25))
    assert await feeder(client, ENERGY, True) == before
    grid.feeders[0].energy_kwh += 100.0
    assert await feeder(client, ENERGY, True) == pytest.approx(before + 7_500, abs=1)


def test_a_drift_grows_and_a_spike_passes() -> None:
    drift, spike = Fault(FaultKind.DRIFT, share=0.1), Fault(FaultKind.SPIKE, share=4.0)
    assert shown(drift, Quantity.POWER, 50.0, 7200.0) == pytest.approx(60.0)
    assert shown(drift, Quantity.ENERGY, 1100.0, 7200.0, 1000.0) == pytest.approx(1110.0)
    assert shown(spike, Quantity.POWER, 50.0, 61.0) == 250.0
    assert shown(spike, Quantity.POWER, 50.0, 62.0) == 50.0
    assert shown(spike, Quantity.ENERGY, 50.0, 61.0) == 50.0


async def test_what_has_no_meter_refuses_its_faults(servers, control) -> None:
    with pytest.raises(FaultError, match="genset1 has no meter that could be at fault"):
        await ask(control.set, "genset1", Fault(FaultKind.FRAUD, share=0.3))
    with pytest.raises(FaultError, match="feeder1"):
        refuse_of_meters(Fault(FaultKind.DRIFT, share=0.1))
    with pytest.raises(FaultError, match="share of fraud is a number from -1 to 1, not 2"):
        parse_fault({"kind": "fraud", "share": 2})
