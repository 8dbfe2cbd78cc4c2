"""The demo site and its templates against the live devices, decoded by neither our driver nor our simulator."""

from __future__ import annotations

import math
import re
import shutil
from pathlib import Path

import cantools
import pytest
from pymodbus.client import AsyncModbusTcpClient

from gateway.config.load import load_site
from gateway.config.modbus import ModbusDevice, ModbusPoint, Order, RegisterType, Table
from gateway.config.site import Role, Site
from gateway.simulator.devices.controller import GENSET, NAMESPACE
from gateway.simulator.devices.roster import CAN_OFFSET, can_devices, devices
from gateway.simulator.devices.rtu import PCC
from gateway.simulator.plant.microgrid import Microgrid
from gateway.simulator.rtu import ADDRESS, MASTER_ADDRESS

ROOT = Path(__file__).parents[3]
TYPES = AsyncModbusTcpClient.DATATYPE
THEIRS = {
    RegisterType.INT16: TYPES.INT16, RegisterType.UINT16: TYPES.UINT16, RegisterType.INT32: TYPES.INT32,
    RegisterType.UINT32: TYPES.UINT32, RegisterType.UINT64: TYPES.UINT64, RegisterType.FLOAT32: TYPES.FLOAT32,
    RegisterType.FLOAT64: TYPES.FLOAT64, RegisterType.STRING: TYPES.STRING,
}  # fmt: skip

# What each tag of a device must read, from the plant itself.
TRUTH = {
    "pcc": {
        "power_kw": lambda g: g.tie.power_kw, "reactive_power_kvar": lambda g: g.tie.reactive_kvar,
        "voltage_v": lambda g: g.voltage_v, "frequency_hz": lambda g: g.frequency_hz,
        "grid_voltage_v": lambda g: g.utility.voltage_v, "grid_frequency_hz": lambda g: g.utility.frequency_hz,
        "breaker_closed": lambda g: g.tie.breaker_closed, "breaker_close_command": lambda g: g.tie.close_command,
        "islanded": lambda g: not g.tie.breaker_closed, "import_energy_kwh": lambda g: g.tie.import_kwh,
        "export_energy_kwh": lambda g: g.tie.export_kwh, "phase_deg": lambda g: g.tie.angle_deg,
        "tripped": lambda g: g.tie.tripped, "remote": lambda g: g.nominal.remote,
    },
    "pv": {
        "power_kw": lambda s: s.power_kw, "power_limit_kw": lambda s: s.limit_kw,
        "irradiance_w_m2": lambda s: s.irradiance_w_m2, "temperature_c": lambda s: s.temperature_c,
        "energy_kwh": lambda s: s.energy_kwh, "state": lambda s: s.state,
    },
    "wind": {
        "power_kw": lambda w: w.power_kw, "power_limit_kw": lambda w: w.limit_kw,
        "wind_speed_m_s": lambda w: w.speed_m_s, "energy_kwh": lambda w: w.energy_kwh, "state": lambda w: w.state,
    },
    "battery": {
        "power_kw": lambda b: b.power_kw, "power_setpoint_kw": lambda b: b.setpoint_kw,
        "state_of_charge_pct": lambda b: 100 * b.charge_share, "voltage_v": lambda b: b.voltage_v,
        "current_a": lambda b: b.current_a, "temperature_c": lambda b: b.temperature_c,
        "grid_forming": lambda b: b.is_forming,
        "grid_forming_command": lambda b: b.form_command, "state": lambda b: b.state,
        "serial_number": lambda b: "TLB250-0417",
        "charge_energy_kwh": lambda b: b.charge_kwh, "discharge_energy_kwh": lambda b: b.discharge_kwh,
    },
    "genset": {
        "power_kw": lambda g: g.power_kw, "power_setpoint_kw": lambda g: g.setpoint_kw,
        "run_command": lambda g: g.run_command, "running": lambda g: g.is_running,
        "speed_rpm": lambda g: g.speed_rpm, "fuel_pct": lambda g: g.fuel_l / 4.0,
        "energy_kwh": lambda g: g.energy_kwh, "state": lambda g: g.state,
    },
    "feeder": {
        "power_kw": lambda f: f.power_kw, "voltage_v": lambda f: f.voltage_v,
        "tripped": lambda f: f.tripped, "breaker_closed": lambda f: f.breaker_closed,
        "breaker_close_command": lambda f: f.close_command,
        "priority": lambda f: f.priority, "energy_kwh": lambda f: f.energy_kwh,
    },
    "ev": {
        "power_kw": lambda c: c.power_kw, "power_setpoint_kw": lambda c: c.setpoint_kw,
        "connected": lambda c: c.vehicle is not None,
        "state_of_charge_pct": lambda c: c.vehicle and 100 * c.vehicle.charge_share,
        "charge_energy_kwh": lambda c: c.charge_kwh, "discharge_energy_kwh": lambda c: c.discharge_kwh,
        "state": lambda c: c.state, "vehicle_id": lambda c: c.vehicle.id if c.vehicle else "",
    },
    "bms": {
        "voltage_v": lambda b: b.voltage_v, "current_a": lambda b: b.current_a,
        "state_of_charge_pct": lambda b: 100 * b.charge_share, "state": lambda b: 1,
        "cell_min_v": lambda b: b.voltage_v / 216 - 0.008, "cell_max_v": lambda b: b.voltage_v / 216 + 0.011,
        "cell_min_c": lambda b: b.temperature_c - 2.5, "cell_max_c": lambda b: b.temperature_c,
        "charge_limit_a": lambda b: 250_000 / b.voltage_v, "discharge_limit_a": lambda b: 250_000 / b.voltage_v,
        "state_of_health_pct": lambda b: 97.5, "isolation_kohm": lambda b: 950,
        "contactors_closed": lambda b: True, "cell_overvoltage": lambda b: False,
        "cell_undervoltage": lambda b: False, "overtemperature": lambda b: False,
        "overcurrent": lambda b: False, "module1_c": lambda b: b.temperature_c,
        "module2_c": lambda b: b.temperature_c - 0.6, "module3_c": lambda b: b.temperature_c - 1.4,
        "module4_c": lambda b: b.temperature_c - 2.5,
    },
}  # fmt: skip
# By CAN a charger tells its vehicle by number, and what it made of a setpoint beside what it was sent.
TRUTH_BY_CAN = {name: truth for name, truth in TRUTH["ev"].items() if name != "vehicle_id"} | {
    "vehicle_number": lambda c: c.vehicle and int(c.vehicle.id[3:]), "active_setpoint_kw": lambda c: c.setpoint_kw,
}  # fmt: skip
BY_CAN = ("bms1", "ev11", "ev12")
BY_MODBUS_AS_WELL = ("grid_connection", "genset")
TEMPLATES = (
    "battery", "bms", "ev_charger", "ev_charger_can", "feeder", "genset", "genset_opcua", "grid_connection",
    "grid_connection_dnp3", "pv_inverter", "wind_turbine",
)  # fmt: skip
OTHERS = """
site: {name: others}
include: [devices/grid_connection.yaml, devices/genset.yaml, devices/ev_charger.yaml]
areas: {grid: All}
devices:
  pcc: {area: grid, template: grid_connection, with: {port: 15020}}
  genset1: {area: grid, template: genset, with: {port: 15024}}
  ev: {area: grid, repeat: 11..12, template: ev_charger, with: {port: "${15040 + n}"}}
"""


def truth_of(device: str) -> dict[str, object]:
    """By the last part of a tag's name."""
    return TRUTH_BY_CAN if device in ("ev11", "ev12") else TRUTH[device.rstrip("0123456789")]


@pytest.fixture(scope="module")
def site() -> Site:
    return load_site(ROOT / "config/sites/demo/site.yaml")


@pytest.fixture(scope="module")
def modbus_sites(site: Site, tmp_path_factory: pytest.TempPathFactory) -> tuple[Site, Site]:
    """The demo, and one in which its other devices speak Modbus."""
    folder = tmp_path_factory.mktemp("modbus")
    shutil.copytree(ROOT / "config/devices", folder / "devices")
    (folder / "site.yaml").write_text(OTHERS)
    return site, load_site(folder / "site.yaml")


async def raw(client: AsyncModbusTcpClient, point: ModbusPoint) -> list[int] | list[bool]:
    reads = {
        Table.COIL: client.read_coils, Table.DISCRETE: client.read_discrete_inputs,
        Table.INPUT: client.read_input_registers, Table.HOLDING: client.read_holding_registers,
    }  # fmt: skip
    answer = await reads[point.table](point.address, count=point.registers, device_id=1)
    assert not answer.isError(), f"{point.name}: {answer}"
    return answer.registers or answer.bits[:1]


def meant(point: ModbusPoint, words: list[int]) -> float | str | bool | None:
    """The engineering value by the template's word, None where the device says that it has none."""
    if point.table in (Table.COIL, Table.DISCRETE):
        return bool(words[0])
    if point.byte_order is Order.LITTLE:
        words = [(word >> 8) | (word & 0xFF) << 8 for word in words]
    bits = int(
        "".join(f"{word:04x}" for word in (words if point.word_order is Order.BIG else words[::-1])), 16
    )
    if bits in point.not_implemented:
        return None
    if point.bit is not None:
        return bool(bits >> point.bit & 1)
    if point.type in (RegisterType.BCD16, RegisterType.BCD32):
        number = float(f"{bits:x}")
    else:
        order = "big" if point.word_order is Order.BIG else "little"
        value = AsyncModbusTcpClient.convert_from_registers(words, THEIRS[point.type], word_order=order)
        if isinstance(value, str):
            return value.rstrip("\0")
        number = float(value)
    return number * point.scale + point.offset


def test_the_demo_has_the_devices_tags_and_people_that_the_rest_of_tieline_counts_on(site: Site) -> None:
    by_device = {device.name: {p.name.split(".")[1] for p in device.points} for device in all_devices(site)}
    kinds = ["pcc", "pv1", "wind1", "battery1", "bms1", "genset1"]
    names = [*kinds, *(f"feeder{n}" for n in range(1, 5)), *(f"ev{n}" for n in range(1, 13))]
    assert sorted(by_device) == sorted(names)
    for name, points in by_device.items():
        assert points == set(truth_of(name)), name
    assert {device.name for device in site.can_devices} == set(BY_CAN)
    (rtu,), (controller,) = site.dnp3_devices, site.opcua_devices
    assert (rtu.name, controller.name) == ("pcc", "genset1")
    assert {user.name: user.role for user in site.users} == {
        "viewer": Role.VIEWER, "operator": Role.OPERATOR, "engineer": Role.ENGINEER,
    }  # fmt: skip
    assert site.simulator is not None
    ports = {device.name: device.port for device in site.modbus}
    served = {name: site.simulator.base_port + offset for name, offset, _, _ in devices(Microgrid())}
    assert (rtu.port, controller.url) == (served["pcc"], f"opc.tcp://{rtu.host}:{served['genset1']}/")
    assert (rtu.address, rtu.master_address) == (ADDRESS, MASTER_ADDRESS)
    assert ports == {name: port for name, port in served.items() if name not in (*BY_CAN, "pcc", "genset1")}
    assert {device.bus.channel for device in site.can_devices} == {
        f"socket://{site.simulator.host}:{site.simulator.base_port + CAN_OFFSET}"
    }


def all_devices(site: Site):
    return (*site.modbus, *site.can_devices, *site.dnp3_devices, *site.opcua_devices)


def test_every_point_of_the_demo_says_what_it_is(site: Site) -> None:
    names = (".serial_number", ".vehicle_id", ".vehicle_number", ".priority")
    for device in all_devices(site):
        for point in device.points:
            tag = site.tags[point.tag]
            assert tag.description, tag.name
            if tag.unit is None:
                assert tag.states or tag.name.endswith(names), tag.name
            elif not tag.name.endswith("_kwh"):
                assert tag.low is not None, tag.name
    for device in site.modbus:
        for point in device.points:
            assert site.tags[point.tag].write is None or point.table in (Table.COIL, Table.HOLDING)


def test_the_templates_of_the_plant_are_those_of_the_demo_and_what_some_devices_speak_as_well() -> None:
    included = re.findall(r"/devices/(\w+)\.yaml", (ROOT / "config/sites/demo/site.yaml").read_text())
    assert {*included, *BY_MODBUS_AS_WELL} == set(TEMPLATES)


def tied(grid: Microgrid) -> None:
    """As it is left alone."""


def islanded(grid: Microgrid) -> None:
    """Everything that is zero, false or positive otherwise is not."""
    grid.genset.run_command = True
    grid.genset.setpoint_kw = 110.0
    grid.battery.setpoint_kw = -40.0
    grid.feeders[2].command(False)
    for _ in range(2500):
        grid.step()
    grid.command_tie(False)
    for charger in grid.chargers:
        charger.setpoint_kw = 5.0
    for _ in range(1000):
        grid.step()
    assert grid.battery.is_forming
    assert grid.battery.power_kw < -10.0
    assert grid.genset.speed_rpm > 1400.0


@pytest.mark.parametrize("bring_about", [tied, islanded])
async def test_every_point_reads_true_through_an_independent_decoder(
    modbus_sites, grid, servers, connect, bring_about
) -> None:
    bring_about(grid)
    sources = {name: source for name, _, _, source in devices(grid)}
    absent = 0
    for site, device in [(one, device) for one in modbus_sites for device in one.modbus]:
        client = await connect(servers[device.name].port)
        for point in device.points:
            told = meant(point, await raw(client, point))
            truth = TRUTH[device.name.rstrip("0123456789")][point.name.split(".")[1]](sources[device.name])
            if truth is None:
                assert told is None, point.name
                absent += 1
            elif isinstance(truth, bool | str):
                assert told == truth, point.name
            else:
                assert told == pytest.approx(float(truth), abs=0.51 * point.scale, rel=1e-6), point.name
                assert math.isfinite(told)
                if point.low is not None:
                    assert point.low <= told <= point.high, point.name
                states = site.tags[point.tag].states
                assert not states or int(told) in states, point.name
    assert absent >= 1, "some charger must be free, so that its sentinel is seen"


@pytest.mark.parametrize("bring_about", [tied, islanded])
def test_every_can_point_reads_true_through_an_independent_decoder(site, grid, bring_about) -> None:
    bring_about(grid)
    served = {name: (map, source) for name, map, source in can_devices(grid)}
    for device in site.can_devices:
        map, source = served[device.name]
        stem = "bms" if device.name == "bms1" else f"ev_charger_can_{device.name[2:]}"
        database = cantools.database.load_file(ROOT / f"config/devices/{stem}.dbc")
        told: dict[tuple[str, int], float] = {}
        raw: dict[tuple[str, int], float] = {}
        for frame in (*map.sent, *map.taken):
            payload = frame.sealed([signal.raw(source) for signal in frame.signals], 3)
            message = database.get_message_by_frame_id(frame.id)
            for scaling, found in ((True, told), (False, raw)):
                values = message.decode(payload, decode_choices=False, scaling=scaling)
                found |= {
                    (message.name, signal.start): values[signal.name]
                    for signal in message.signals
                    if signal.name in values
                }
        for point in device.points:
            name = point.name.split(".")[1]
            truth, place = truth_of(device.name)[name](source), (point.message.name, point.signal.start)
            if point.selectors:  # a page a frame, and the last is at hand
                continue
            if truth is None:
                assert raw[place] in point.not_implemented, point.name
                continue
            step = abs(point.signal.scale) if isinstance(point.signal.scale, float) else 0.01
            assert told[place] == pytest.approx(float(truth), abs=0.51 * step, rel=1e-6), point.name
            states = site.tags[point.tag].states
            assert not states or int(told[place]) in states, point.name


@pytest.mark.parametrize("bring_about", [tied, islanded])
def test_every_point_by_dnp3_and_opcua_has_its_place_in_the_device(site, grid, bring_about) -> None:
    """The wire itself is in test_rtu and test_controller; here each place is the right one, in the right unit."""
    bring_about(grid)
    (rtu,), (controller,) = site.dnp3_devices, site.opcua_devices
    points = {(point.kind.value, point.index): point for point in PCC}
    assert len(rtu.points) == len(PCC)
    for point in rtu.points:
        there = points[point.kind.value, point.index]
        assert (point.scale, point.writable) == (there.scale, there.write is not None), point.name
        assert there.read(grid) == TRUTH["pcc"][point.name.split(".")[1]](grid), point.name
    variables = {variable.name: variable for variable in GENSET}
    assert len(controller.points) == len(GENSET)
    for point in controller.points:
        assert point.node.namespace == NAMESPACE
        variable = variables[".".join((point.node.identifier, *point.field))]
        assert point.writable == (variable.write is not None), point.name
        methods = tuple(
            one.method.identifier for one in (point.method, point.method_false) if one is not None
        )
        assert methods == (variable.methods or ()), point.name
        assert variable.read(grid.genset) == TRUTH["genset"][point.name.split(".")[1]](grid.genset), (
            point.name
        )


async def test_every_writable_point_takes_its_limits_and_reports_them_back(
    modbus_sites, grid, servers, connect
) -> None:
    written = 0
    for site, device in [(one, device) for one in modbus_sites for device in one.modbus]:
        client = await connect(servers[device.name].port)
        for point in device.points:
            limits = site.tags[point.tag].write
            if limits is None:
                continue
            for value in (False, True) if point.table is Table.COIL else (limits.low, limits.high):
                answer = await write(client, point, value)
                assert not answer.isError(), f"{point.name} refuses {value}: {answer}"
                told = meant(point, await raw(client, point))
                if point.name == "pcc.breaker_close_command" and value:
                    continue  # an island just made is still in step; being refused has a test of its own
                assert told == pytest.approx(value, abs=limits.tolerance), point.name
                written += 1
    assert written >= 40


async def write(client: AsyncModbusTcpClient, point: ModbusPoint, value: float | bool):
    if point.table is Table.COIL:
        return await client.write_coil(point.address, bool(value), device_id=1)
    order = "big" if point.word_order is Order.BIG else "little"
    number = value / point.scale if point.type is RegisterType.FLOAT32 else round(value / point.scale)
    words = client.convert_to_registers(number, THEIRS[point.type], word_order=order)
    return await client.write_registers(point.address, words, device_id=1)


async def test_a_value_beyond_the_nameplate_is_refused_by_the_device(site, grid, servers, connect) -> None:
    for name, tag, value in [("battery1", "power_setpoint_kw", 251.0), ("ev1", "power_setpoint_kw", 22.1)]:
        device: ModbusDevice = next(device for device in site.modbus if device.name == name)
        point = next(point for point in device.points if point.name == f"{name}.{tag}")
        answer = await write(await connect(servers[name].port), point, value)
        assert answer.exception_code == 3


async def test_closing_the_tie_out_of_step_is_answered_with_exception_4(grid, servers, connect) -> None:
    client = await connect(servers["pcc"].port)
    assert not (await client.write_coil(0, False, device_id=1)).isError()
    while abs(grid.tie.angle_deg) < 30.0:
        grid.step()
    answer = await client.write_coil(0, True, device_id=1)
    assert answer.exception_code == 4
    assert (await client.read_coils(0, count=1, device_id=1)).bits[0] is False
    assert not grid.tie.breaker_closed


async def test_a_vehicle_that_comes_brings_its_state_of_charge_and_its_name(grid, servers, connect) -> None:
    number, charger = next((n, c) for n, c in enumerate(grid.chargers, 1) if c.vehicle is not None)
    vehicle = charger.vehicle
    client = await connect(servers[f"ev{number}"].port)
    charger.unplug()
    free = await client.read_input_registers(2, count=1, device_id=1)
    nobody = await client.read_input_registers(20, count=8, device_id=1)
    assert free.registers == [0xFFFF]
    assert nobody.registers == [0] * 8
    charger.plug_in(vehicle)
    taken = await client.read_input_registers(2, count=1, device_id=1)
    assert taken.registers == [round(1000 * vehicle.charge_share)]
