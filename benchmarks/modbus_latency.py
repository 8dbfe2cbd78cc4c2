"""Modbus TCP: from the answer on the wire to the value in the image, p50 and p99, beside a bare pymodbus client.

A device in another process answers each read with the time at which it does so (ns, four registers). The driver's
figure ends when the image has the value (`Writer.write` is back), pymodbus' when its caller has the registers.
Devices are asked 100 times a second each, all in one process on uvloop, one contender at a time.

Usage: python benchmarks/modbus_latency.py
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
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
from gateway.tags.image import Region, Writer
from gateway.tags.tag import TagSpec, ValueType

sys.path.insert(0, str(Path(__file__).parent))
from modbus import SYSTEM  # the benchmark beside this one

PERIOD_MS, SETTLE_S, MEASURE_S, ROUNDS = 10, 0.5, 4.0, 3
GOAL = 2.0  # times pymodbus' p99: what decoding and the image may add, on a machine with other work


class Device(asyncio.Protocol):
    """Answers any read of four registers with the time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        head = data[:4] + b"\0\x0b" + data[6:8] + b"\x08"
        self._transport.write(head + time.time_ns().to_bytes(8, "big"))


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Device, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


class Watched:
    """The driver's writer, and how old each time was when the image had it."""

    def __init__(self, writer: Writer, tags: int) -> None:
        self._writer = writer
        self._tags = tags
        self.ages_ns: list[int] = []

    def write(self, tags: Any, bits: Any, *others: Any) -> None:
        self._writer.write(tags, bits, *others)
        if len(tags) == 1 and tags[0] < self._tags:
            self.ages_ns.append(time.time_ns() - int(bits[0]))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)


async def driver(port: int, devices: int) -> list[int]:
    specs = [TagSpec(f"d{number}.time", ValueType.UINT64, "drivers") for number in range(devices)]
    configs = []
    for number in range(devices):
        first = len(specs)
        specs += [
            TagSpec(f"_system.d{number}.{place}", type, "drivers", 200 if type is ValueType.STRING else 0)
            for place, type in enumerate(SYSTEM)
        ]
        point = ModbusPoint(
            f"d{number}.time", number, Table.HOLDING, 0, 4, RegisterType.UINT64, Order.BIG, Order.BIG, None,
            1.0, 0.0, (), None, None, 0, False,
        )  # fmt: skip
        configs.append(
            ModbusDevice(
                f"d{number}", "127.0.0.1", port, 1, 2000, 0, 125, 2000, 0, 1000, False,
                (PollGroup("all", PERIOD_MS, 5000),), (point,), ModbusSystemTags(*range(first, first + len(SYSTEM))),
            )
        )  # fmt: skip
    with Region.create(f"bench-modbus-latency-{os.getpid()}", specs) as region:
        watched = Watched(region.claim("drivers"), devices)
        stop = asyncio.Event()
        task = asyncio.create_task(ModbusDriver(configs, region, cast(Writer, watched)).run(stop))
        await asyncio.sleep(SETTLE_S)
        watched.ages_ns.clear()
        await asyncio.sleep(MEASURE_S)
        ages = watched.ages_ns.copy()
        stop.set()
        await task
    return ages


async def bare(port: int, devices: int) -> list[int]:
    ages: list[int] = []
    stop = False

    async def ask(place: int) -> None:
        client = AsyncModbusTcpClient("127.0.0.1", port=port)
        assert await client.connect()
        loop = asyncio.get_running_loop()
        due_s = loop.time() + place / devices * PERIOD_MS / 1000
        while not stop:
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            due_s += PERIOD_MS / 1000
            registers = (await client.read_holding_registers(0, count=4, device_id=1)).registers
            told = 0
            for register in registers:
                told = told << 16 | register
            ages.append(time.time_ns() - told)
        client.close()

    tasks = [asyncio.create_task(ask(place)) for place in range(devices)]
    await asyncio.sleep(SETTLE_S)
    ages.clear()
    await asyncio.sleep(MEASURE_S)
    kept = ages.copy()
    stop = True
    await asyncio.gather(*tasks)
    return kept


def main() -> int:
    if sys.argv[1:] == ["server"]:
        uvloop.run(serve())
        return 0
    worst = 0.0
    command = [sys.executable, __file__, "server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        port = int(server.stdout.readline())
        contenders: dict[str, Callable[[int, int], Awaitable[list[int]]]] = {
            "driver": driver,
            "pymodbus": bare,
        }
        for devices in (1, 10):
            ages: dict[str, list[int]] = {name: [] for name in contenders}
            for _ in range(ROUNDS):
                for name, contender in contenders.items():
                    ages[name] += uvloop.run(cast(Any, contender(port, devices)))
            text, p99 = [], {}
            for name, some in ages.items():
                p50, p99[name] = np.percentile(np.array(some) / 1e3, (50, 99))
                text.append(f"{name} p50 {p50:5.0f} p99 {p99[name]:5.0f} µs of {len(some)}")
            ratio = p99["driver"] / p99["pymodbus"]
            worst = max(worst, ratio)
            title = f"{devices:2} devices at {1000 // PERIOD_MS} Hz"
            print(f"{title}: {'; '.join(text)}: {ratio:4.2f} x (goal <= {GOAL})")
        server.stdin.close()
    return 0 if worst <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
