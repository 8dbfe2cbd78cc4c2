"""Every shipped template of a Modbus device, polled by the real driver from a device that holds seeded values.

The registers are made by pymodbus' converter (texts, bits and byte order by hand), never by our own codec.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import uvloop
import yaml
from pymodbus.client.mixin import ModbusClientMixin
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from gateway.config.load import load_site
from gateway.config.modbus import ModbusDevice, ModbusPoint, Order, RegisterType, Table
from gateway.drivers.modbus.driver import ModbusDriver
from gateway.tags.image import Region
from gateway.tags.quality import Quality
from gateway.tags.sample import Sample

DEVICES = Path(__file__).parents[2] / "config" / "devices"
STEP_S = 30.0  # how long any expectation may take on a busy machine
LONGEST_HOLE = 200  # addresses that no point has, and the device answers with 0: reads go across gaps
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

CONVERTER = ModbusClientMixin.DATATYPE
CONVERTED = {
    RegisterType.INT16: CONVERTER.INT16,
    RegisterType.UINT16: CONVERTER.UINT16,
    RegisterType.INT32: CONVERTER.INT32,
    RegisterType.UINT32: CONVERTER.UINT32,
    RegisterType.INT64: CONVERTER.INT64,
    RegisterType.UINT64: CONVERTER.UINT64,
    RegisterType.FLOAT32: CONVERTER.FLOAT32,
    RegisterType.FLOAT64: CONVERTER.FLOAT64,
    RegisterType.STRING: CONVERTER.STRING,
}
MOST = {RegisterType.INT16: 32_000, RegisterType.UINT16: 65_000}


@cache
def bodies(path: Path) -> dict[str, dict]:
    """The templates of a file by name."""
    return yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader).get("templates") or {}


def templates() -> list[tuple[str, str]]:
    """(file, template) of all templates of Modbus devices."""
    found = []
    for path in sorted(DEVICES.glob("*.yaml")):
        for name, body in bodies(path).items():
            if body["protocol"] == "modbus":
                found.append((path.name, name))
    return found


TEMPLATES = templates()


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


def test_there_are_as_many_as_promised() -> None:
    assert len(TEMPLATES) >= 25 + 7  # the demo's are of devices that nobody makes


def site_of(file: str, template: str, port: int, folder: Path) -> Path:
    """A site with one device made from the template."""
    body = bodies(DEVICES / file)[template]
    given = {"host": "127.0.0.1", "port": port, "model_at": 40_069}
    arguments = {name: value for name, value in given.items() if name in body["parameters"]}
    site = {
        "site": {"name": "s"},
        "areas": {"a": "Area"},
        "include": [str(DEVICES / file)],
        "devices": {"d": {"area": "a", "template": template, "with": arguments}},
    }
    path = folder / f"{template}.yaml"
    path.write_text(yaml.safe_dump(site), encoding="utf-8")
    return path


def raw_value(point: ModbusPoint, scale: float, chance: random.Random) -> int | float:
    """Any value that the point's registers can hold, within its range, that does not say "not implemented"."""
    most = MOST.get(point.type, 2_000_000_000)
    is_signed = point.type in (RegisterType.INT16, RegisterType.INT32, RegisterType.INT64)
    low, high = (-most if is_signed else 0), most
    if point.type in (RegisterType.FLOAT32, RegisterType.FLOAT64):
        low, high = -(2**20), 2**20
    if point.low is not None and point.high is not None:
        ends = sorted(((point.low - point.offset) / scale, (point.high - point.offset) / scale))
        low, high = max(low, int(ends[0]) + 1), min(high, int(ends[1]) - 1)
    if point.type in (RegisterType.FLOAT32, RegisterType.FLOAT64):
        return chance.randint(low, high) + chance.randint(0, 15) / 16 * (high - low > 1)
    value = chance.randint(low, high)
    size = 16 * point.registers
    while value % (1 << size) in point.not_implemented:
        value = chance.randint(low, high)
    return value


class Registers:
    """What the device holds, and what its points have to read."""

    def __init__(self, device: ModbusDevice, chance: random.Random) -> None:
        self.tables: dict[Table, dict[int, int]] = {table: {} for table in Table}
        self.expected: dict[str, object] = {}
        self._powers: dict[tuple[Table, int], int] = {}
        for point in device.points:
            if point.scale_factor is not None:
                most = 3 if point.high is None else -3  # so that a narrow range can be met
                power = self._powers.setdefault((point.table, point.scale_factor), chance.randint(-3, most))
                self._put(point, point.scale_factor, [power % 65_536])
        for point in device.points:
            self.expected[point.name] = self._value(point, chance)

    def _value(self, point: ModbusPoint, chance: random.Random) -> object:
        if point.type is RegisterType.BOOL:
            is_set = chance.random() < 0.5
            held = self.tables[point.table]
            if point.bit is None:
                held[point.address] = int(is_set)
            else:
                assert held.get(point.address, 0) >> point.bit & 1 == 0
                held[point.address] = held.get(point.address, 0) | is_set << point.bit
            return is_set
        if point.type is RegisterType.STRING:
            text = "".join(chance.choices(LETTERS, k=chance.randint(1, 2 * point.registers)))
            self._put(point, point.address, self._converted(point, text))
            return text
        power = 0 if point.scale_factor is None else self._powers[point.table, point.scale_factor]
        scale = point.scale * 10.0**power
        raw = raw_value(point, scale, chance)
        self._put(point, point.address, self._converted(point, raw))
        is_plain = point.scale == 1 and point.offset == 0 and point.scale_factor is None
        return raw if is_plain else raw * scale + point.offset

    def _converted(self, point: ModbusPoint, value: int | float | str) -> list[int]:
        order = "little" if point.word_order is Order.LITTLE else "big"
        if point.type in (RegisterType.BCD16, RegisterType.BCD32):
            digits = int(str(value), 16)
            return [digits >> 16 * i & 0xFFFF for i in reversed(range(point.registers))]
        if isinstance(value, str):
            order = "big"
        registers = ModbusClientMixin.convert_to_registers(value, CONVERTED[point.type], word_order=order)
        return [*registers, *[0] * (point.registers - len(registers))]

    def _put(self, point: ModbusPoint, address: int, registers: list[int]) -> None:
        for i, register in enumerate(registers):
            if point.byte_order is Order.LITTLE:
                register = register >> 8 | (register & 0xFF) << 8
            held = self.tables[point.table].setdefault(address + i, register)
            assert held == register, f"{point.name} overlaps another point"

    def blocks(self, table: Table) -> list[SimData]:
        """For pymodbus: runs of addresses with their short holes filled."""
        kind = DataType.BITS if table in (Table.COIL, Table.DISCRETE) else DataType.REGISTERS
        held = self.tables[table] or {0: 0}
        runs: list[tuple[int, list[int | bool]]] = []
        for address in sorted(held):
            value = bool(held[address]) if kind is DataType.BITS else held[address]
            if runs and address - (runs[-1][0] + len(runs[-1][1])) <= LONGEST_HOLE:
                first, values = runs[-1]
                values += [type(value)(0)] * (address - first - len(values))
                values.append(value)
            else:
                runs.append((address, [value]))
        if kind is DataType.BITS:
            runs = [(first, values + [False] * (-len(values) % 16)) for first, values in runs]
        return [SimData(first, values=values, datatype=kind) for first, values in runs]


@pytest.mark.parametrize(("file", "template"), TEMPLATES, ids=[name for _, name in TEMPLATES])
async def test_each_point_of_a_template_reads_what_the_device_holds(
    file: str, template: str, tmp_path: Path
) -> None:
    site = load_site(site_of(file, template, 502, tmp_path))
    [config] = site.modbus
    held = Registers(config, random.Random(template))
    device = SimDevice(
        id=config.unit_id,
        simdata=tuple(
            held.blocks(table) for table in (Table.COIL, Table.DISCRETE, Table.HOLDING, Table.INPUT)
        ),
    )
    server = ModbusTcpServer(device, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    config = replace(config, port=server.transport.sockets[0].getsockname()[1])
    stop = asyncio.Event()
    with Region.create(f"test-templates-{os.getpid()}", [tag.spec() for tag in site.tags]) as region:
        driver = ModbusDriver([config], region, region.claim("drivers"), seed=1)
        polling = asyncio.create_task(driver.run(stop))
        try:
            ends_s = time.monotonic() + STEP_S
            differing = dict.fromkeys(held.expected)
            while differing and time.monotonic() < ends_s:
                await asyncio.sleep(0.01)
                differing = {
                    name: (region.sample(name), expected)
                    for name, expected in held.expected.items()
                    if not same(region.sample(name), expected)
                }
        finally:
            stop.set()
            await polling
            await server.shutdown()
    assert not differing


def same(sample: Sample, expected: object) -> bool:
    if sample.status != Quality.GOOD:
        return False
    if isinstance(expected, float):
        return sample.value == pytest.approx(expected, rel=1e-6, abs=1e-9)
    return sample.value == expected
