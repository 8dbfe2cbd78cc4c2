"""Modbus TCP: CPU a request and points a second of the driver, beside a bare pymodbus loop and libmodbus in C.

All three read 60 holding registers a request from one cheap server in another process. The bare loop does nothing
with what it reads; the driver decodes 44 points of five types, scales, checks ranges, and writes image and journal.
Both Python contenders run on uvloop, in this process, in turns; CPU is this process's own.
"Flat out": as fast as each goes (the driver: every device each millisecond). "Paced": each device at 20 Hz.

Usage: python benchmarks/modbus.py
"""

from __future__ import annotations

import asyncio
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import uvloop
from pymodbus.client import AsyncModbusTcpClient

from gateway.config.modbus import (
    ModbusDevice,
    ModbusPoint,
    ModbusSystemTags,
    Order,
    PollGroup,
    RegisterType,
    Table,
)
from gateway.drivers.modbus.driver import ModbusDriver
from gateway.tags.image import Region
from gateway.tags.tag import TagSpec, ValueType

REGISTERS = 60
SETTLE_S = 0.5
MEASURE_S = 2.0
ROUNDS = 3
PACE_MS = 50
GOAL = 1.3

# 60 registers: 44 points of five kinds, as a meter or an inverter mixes them.
KINDS = (
    (20, RegisterType.INT16, 1, 0.1, ValueType.DOUBLE),
    (12, RegisterType.FLOAT32, 2, 1.0, ValueType.DOUBLE),
    (4, RegisterType.INT32, 2, 0.001, ValueType.DOUBLE),
    (4, RegisterType.UINT16, 1, 1.0, ValueType.UINT64),
    (4, RegisterType.BOOL, 1, 1.0, ValueType.BOOL),
)
SYSTEM = (ValueType.BOOL, *[ValueType.UINT64] * 5, ValueType.DOUBLE, ValueType.DOUBLE, ValueType.STRING)


@dataclass(frozen=True, slots=True)
class Figure:
    """What one contender did in one round."""

    requests: int
    cpu_s: float
    wall_s: float

    @property
    def cpu_us(self) -> float:
        return self.cpu_s / self.requests * 1e6

    @property
    def rate(self) -> float:
        return self.requests / self.wall_s


def site(port: int, devices: int, period_ms: int) -> tuple[list[ModbusDevice], list[TagSpec], int]:
    """Devices, their tags, and how many points a request brings."""
    configs: list[ModbusDevice] = []
    specs: list[TagSpec] = []
    for number in range(devices):
        points: list[ModbusPoint] = []
        address = 0
        for count, type, registers, scale, image_type in KINDS:
            for i in range(count):
                points.append(
                    ModbusPoint(
                        name=f"d{number}.p{len(points)}",
                        tag=len(specs),
                        table=Table.HOLDING,
                        address=address,
                        registers=registers,
                        type=type,
                        word_order=Order.BIG,
                        byte_order=Order.BIG,
                        bit=i if type is RegisterType.BOOL else None,
                        scale=scale,
                        offset=0.0,
                        not_implemented=(0x8000,) if type is RegisterType.INT16 else (),
                        low=-1e9,
                        high=1e9,
                        group=0,
                        writable=False,
                    )
                )
                specs.append(TagSpec(points[-1].name, image_type, "drivers"))
                address += registers
        assert address == REGISTERS, address
        first = len(specs)
        for place, system_type in enumerate(SYSTEM):
            size = 200 if system_type is ValueType.STRING else 0
            specs.append(TagSpec(f"_system.d{number}.{place}", system_type, "drivers", size))
        configs.append(
            ModbusDevice(
                name=f"d{number}",
                host="127.0.0.1",
                port=port,
                unit_id=1,
                timeout_ms=2000,
                pause_ms=0,
                max_registers=125,
                max_coils=2000,
                max_gap=0,
                retry_max_ms=1000,
                single_connection=False,
                groups=(PollGroup("all", period_ms, 5000),),
                points=tuple(points),
                system=ModbusSystemTags(*range(first, first + len(SYSTEM))),
            )
        )
    return configs, specs, sum(count for count, *_ in KINDS)


async def measured(requests: Callable[[], int]) -> Figure:
    await asyncio.sleep(SETTLE_S)
    before, cpu_s, wall_s = requests(), time.process_time(), time.monotonic()
    await asyncio.sleep(MEASURE_S)
    return Figure(requests() - before, time.process_time() - cpu_s, time.monotonic() - wall_s)


async def bare_loop(port: int, devices: int, period_ms: int | None) -> Figure:
    """pymodbus's own client as its examples use it; paced by absolute times where a period is given."""
    count = 0
    stop = False

    async def ask(place: int) -> None:
        nonlocal count
        client = AsyncModbusTcpClient("127.0.0.1", port=port)
        assert await client.connect()
        loop = asyncio.get_running_loop()
        due_s = loop.time() + place / devices * (period_ms or 0) / 1000
        while not stop:
            if period_ms is not None:
                await asyncio.sleep(max(0.0, due_s - loop.time()))
                due_s += period_ms / 1000
            answer = await client.read_holding_registers(0, count=REGISTERS, device_id=1)
            assert len(answer.registers) == REGISTERS
            count += 1
        client.close()

    tasks = [asyncio.create_task(ask(place)) for place in range(devices)]
    figure = await measured(lambda: count)
    stop = True
    await asyncio.gather(*tasks)
    return figure


async def driver(port: int, devices: int, period_ms: int | None) -> Figure:
    configs, specs, points = site(port, devices, period_ms or 1)
    with Region.create(f"bench-modbus-{os.getpid()}", specs) as region:
        reader = region.reader()
        made = ModbusDriver(configs, region, region.claim("drivers"))
        stop = asyncio.Event()
        task = asyncio.create_task(made.run(stop))
        figure = await measured(lambda: sum(device.station.counters.requests for device in made.devices))
        stop.set()
        await task
        assert all(not sum(device.station.counters.errors) for device in made.devices)
        assert sum(reader.positions.values()) == 0
        written = sum(region.reader().positions.values())
        assert written >= figure.requests * points, (written, figure)
    return figure


def run(contender: Callable[[int, int, int | None], Awaitable[Figure]], *about: int | None) -> Figure:
    async def main() -> Figure:
        return await contender(*about)  # type: ignore[arg-type]  # port, devices, period

    return uvloop.run(main())


def limit(program: Path, port: int, devices: int) -> Figure:
    words = [str(program), "client", str(port), str(devices), str(MEASURE_S)]
    requests, cpu_s, wall_s = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    return Figure(int(requests), float(cpu_s), float(wall_s))


def build(folder: Path) -> Path:
    program = folder / "modbus_limit"
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libmodbus"], check=True, capture_output=True, text=True
    ).stdout
    source = Path(__file__).with_name("modbus_limit.c")
    subprocess.run(["cc", "-O2", "-o", str(program), str(source), *shlex.split(flags)], check=True)
    return program


def main() -> int:
    points = sum(count for count, *_ in KINDS)
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        program = build(Path(folder))
        with subprocess.Popen(
            [str(program), "server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as server:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            print(
                f"{REGISTERS} registers = {points} points a request; medians of {ROUNDS} rounds of {MEASURE_S:g} s"
            )
            for devices in (10, 50):
                for title, period_ms in (("flat out", None), (f"paced {1000 // PACE_MS} Hz", PACE_MS)):
                    bare, ours, least = [], [], []
                    for _ in range(ROUNDS):
                        bare.append(run(bare_loop, port, devices, period_ms))
                        ours.append(run(driver, port, devices, period_ms))
                        if period_ms is None:
                            least.append(limit(program, port, devices))
                    cpu = {
                        name: statistics.median(figure.cpu_us for figure in figures)
                        for name, figures in (("bare", bare), ("ours", ours), ("C", least))
                        if figures
                    }
                    rate = statistics.median(figure.rate for figure in ours)
                    ratio = cpu["ours"] / cpu["bare"]
                    worst = max(worst, ratio)
                    in_c = f"  libmodbus in C {cpu['C']:5.1f} µs" if "C" in cpu else ""
                    print(
                        f"{devices:3} devices, {title:<11}  driver {cpu['ours']:5.1f} µs/request"
                        f"  bare pymodbus {cpu['bare']:5.1f} µs: {ratio:4.2f} x (goal <= {GOAL}){in_c}"
                        f"   {rate:7.0f} requests/s = {rate * points:9.0f} points/s"
                        f"  ({1e6 / cpu['ours'] * points:9.0f} points/s a core,"
                        f" {cpu['ours'] / points * 1e3:.0f} ns a point)"
                    )
            assert server.stdin is not None
            server.stdin.close()
    return 0 if worst <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
