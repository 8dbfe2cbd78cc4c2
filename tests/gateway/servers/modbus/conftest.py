"""A site with a Modbus server: image and commands are the test's, its door is on a free port."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import uvloop

from gateway.config.load import load_site
from gateway.servers.modbus.server import Door
from gateway.servers.modbus.view import View
from gateway.tags.command import Command, Done, Outcome
from gateway.tags.image import Region
from gateway.tags.quality import Quality
from gateway.tags.sample import Value, to_bits
from gateway.tags.tag import ValueType


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The part runs on uvloop; its transports, and its TLS, are not asyncio's."""
    return {"uvloop": uvloop.new_event_loop}


SITE = """
site: {name: served}
areas: {grid: Point of common coupling}
users: {dispatcher: {role: operator}, watcher: {role: viewer}}
devices:
  d:
    area: grid
    protocol: modbus
    connection: {host: 127.0.0.1, port: 15020}
    groups: {fast: {period_ms: 1000, stale_after_ms: 3000}}
    points:
      power_kw: {table: input, address: 0, type: int16, scale: 0.1, unit: kW}
      energy_kwh: {table: input, address: 1, type: uint64, unit: kWh}
      voltage_v: {table: input, address: 5, type: float32, unit: V}
      name: {table: input, address: 10, type: string, registers: 4}
      closed: {table: discrete, address: 0}
      alarm: {table: discrete, address: 1}
      close: {table: coil, address: 0, write: {role: operator}}
      start: {table: coil, address: 1, write: {role: operator}}
      settle: {table: coil, address: 2, write: {role: engineer}}
      setpoint_kw: {table: holding, address: 0, type: float32, unit: kW, write: {low: -50, high: 50}}
      count: {table: holding, address: 2, type: int32, write: {low: -1000, high: 100000}}
      mode: {table: holding, address: 4, type: uint16, states: {0: idle, 1: run, 3: test}, write: {low: 0, high: 3}}
      label: {table: holding, address: 5, type: string, registers: 4, write: {}}
servers:
  modbus:
    doors:
      main:
        port: 1502
        operate_timeout_ms: 1500
        connections: 5
        clients: {ems: {hosts: [127.0.0.0/8], user: dispatcher}}
        units:
          1:
            description: The grid connection
            points:
              d.power_kw: {table: input, address: 0, type: int16, scale: 0.1}
              d.energy_kwh: {table: input, address: 1, type: uint64, word_order: little}
              d.voltage_v: {table: input, address: 5, type: float32}
              d.count: {table: input, address: 7, type: bcd32}
              d.name: {table: input, address: 20, type: string, registers: 4, byte_order: little}
              d.closed: {table: discrete, address: 0}
              d.alarm: {table: discrete, address: 1, not_implemented: 1}
              d.close: {table: coil, address: 0, write: true}
              d.start: {table: coil, address: 1, write: true}
              d.settle: {table: coil, address: 2, write: true}
          2:
            word_order: little
            points:
              d.setpoint_kw: {table: holding, address: 100, type: float32, write: true}
              d.count: {table: holding, address: 102, type: int32, word_order: big, write: true}
              d.mode: {table: holding, address: 104, type: uint16, write: true}
              d.label: {table: holding, address: 105, type: string, registers: 4, write: true}
              d.close: {table: holding, address: 109, bit: 0, write: true}
              d.start: {table: holding, address: 109, bit: 9, write: true}
              d.closed: {table: holding, address: 109, bit: 4, not_implemented: 0}
              d.power_kw: {table: holding, address: 110, type: int16, scale: 0.1}
          3:
            bad: exception
            addressing: modicon
            points:
              d.voltage_v: {table: holding, address: 40001, type: int16}
              d.power_kw: {table: holding, address: 40002, type: float64, not_implemented: 0}
"""
FIRST: dict[str, Value] = {
    "d.power_kw": -12.3,
    "d.energy_kwh": 0x0123_4567_89AB_CDEF,
    "d.voltage_v": 231.4,
    "d.name": "Nord 3",
    "d.closed": True,
    "d.alarm": False,
    "d.close": False,
    "d.start": True,
    "d.settle": False,
    "d.setpoint_kw": 42.5,
    "d.count": 123456,
    "d.mode": 1,
    "d.label": "grid",
}


class Served:
    """A running door. It is the site's `Commander` as well: what it is told, the image holds."""

    def __init__(self, folder: Path, text: str) -> None:
        file = folder / "site.yaml"
        file.write_text(text)
        self.site = load_site(file)
        self.region = Region.create(
            f"modbus.{folder.name}.{id(self)}", [tag.spec() for tag in self.site.tags]
        )
        self.writer = self.region.claim("drivers")
        self.view = View(self.region, self.site.tags)
        assert self.site.modbus_server is not None
        config = replace(self.site.modbus_server.doors[0], port=0)
        self.door = Door(config, self.site, self.view, self)
        self.commands: list[Command] = []
        self.outcome: Callable[[Command], Outcome] = lambda command: Done(command.value, 0)
        self.hold: asyncio.Event | None = None
        self._transactions = itertools.count(1)

    def fill(self) -> None:
        for name, value in FIRST.items():
            self.write(name, value)
        self.view.look(0)

    def write(self, name: str, value: Value, status: int = Quality.GOOD) -> None:
        tag = self.region.index_of(name)
        at = np.array([tag], np.uint32)
        stamp = time.time_ns()
        if isinstance(value, str):
            self.writer.write_texts(at, [value], status, stamp, stamp)
            return
        type = ValueType(int(self.region.types[tag]))
        self.writer.write(at, to_bits(np.array([value]), type), status, stamp, stamp)

    async def send(self, command: Command) -> Outcome:
        self.commands.append(command)
        if self.hold is not None:
            await self.hold.wait()
        outcome = self.outcome(command)
        if isinstance(outcome, Done):
            self.write(command.tag, command.value)
        return outcome

    @property
    def wishes(self) -> list[tuple[str, Value]]:
        return [(command.tag, command.value) for command in self.commands]

    @property
    def port(self) -> int:
        return self.door.port

    async def ask(self, unit: int, pdu: str) -> str:
        """The answer's PDU to a request's, both in hexadecimal, over a connection of its own."""
        transaction = next(self._transactions)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(frame(transaction, unit, pdu))
            async with asyncio.timeout(10):
                return await answer(reader, transaction, unit)
        finally:
            writer.close()
            await writer.wait_closed()


def frame(transaction: int, unit: int, pdu: str) -> bytes:
    body = bytes.fromhex(pdu)
    return (
        transaction.to_bytes(2, "big") + bytes(2) + (len(body) + 1).to_bytes(2, "big") + bytes((unit,)) + body
    )


async def answer(reader: asyncio.StreamReader, transaction: int, unit: int) -> str:
    """The next answer's PDU, which has to be that of this transaction."""
    header = await reader.readexactly(7)
    assert header[:2] == transaction.to_bytes(2, "big")
    assert header[2:4] == bytes(2)
    assert header[6] == unit
    return (await reader.readexactly(int.from_bytes(header[4:6], "big") - 1)).hex()


async def until(is_so: Callable[[], bool], what: str) -> None:
    """Wait for it, 10 s at most."""
    end = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.01)


@pytest.fixture
def text() -> str:
    """The site; a test may give another."""
    return SITE


@pytest.fixture
async def served(tmp_path: Path, text: str) -> AsyncIterator[Served]:
    one = Served(tmp_path, text)
    one.fill()
    await one.door.open()
    yield one
    await one.door.close()
    one.writer.release()
    one.region.close()


@pytest.fixture
def wire() -> tuple[Callable[[int, int, str], bytes], object]:
    """`frame` and `answer`, for tests with a connection of their own."""
    return frame, answer


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool], str], object]:
    return until
