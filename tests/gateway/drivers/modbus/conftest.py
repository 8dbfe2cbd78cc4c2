"""A scripted peer and a plain device over real sockets, and a site of them whose driver runs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import uvloop

from gateway.config.modbus import (
    ModbusDevice,
    ModbusPoint,
    ModbusSystemTags,
    Order,
    PollGroup,
    RegisterType,
    Table,
)
from gateway.config.registers import REGISTERS
from gateway.drivers.modbus.driver import ModbusDriver
from gateway.tags.image import Region, Writer
from gateway.tags.quality import Quality
from gateway.tags.sample import Sample, Value
from gateway.tags.tag import TagSpec, ValueType

STEP_S = 15.0  # how long any expectation may take on a busy machine


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The driver runs on uvloop; its timers and transports are not asyncio's."""
    return {"uvloop": uvloop.new_event_loop}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the peer got it."""

    transaction: int
    unit: int
    pdu: bytes

    def answer(self, pdu: str | bytes, *, transaction: int | None = None, unit: int | None = None) -> bytes:
        """A frame that answers it, with a head as wrong as wished."""
        body = bytes.fromhex(pdu) if isinstance(pdu, str) else pdu
        number = self.transaction if transaction is None else transaction
        octet = self.unit if unit is None else unit
        return (
            number.to_bytes(2, "big") + b"\0\0" + (len(body) + 1).to_bytes(2, "big") + bytes([octet]) + body
        )


class Visit:
    """One connection a client made."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def asked(self) -> Asked:
        async with asyncio.timeout(STEP_S):
            head = await self._reader.readexactly(7)
            pdu = await self._reader.readexactly(int.from_bytes(head[4:6], "big") - 1)
        return Asked(int.from_bytes(head[:2], "big"), head[6], pdu)

    async def send(self, octets: bytes) -> None:
        self._writer.write(octets)
        await self._writer.drain()

    async def ended(self) -> bool:
        """Wait until the client gave the connection up, whatever it still sends before."""
        async with asyncio.timeout(STEP_S):
            try:
                while await self._reader.read(1000):
                    pass
            except ConnectionError:
                pass
        return True

    def close(self) -> None:
        self._writer.close()

    def reset(self) -> None:
        self._writer.transport.abort()


class Peer:
    """A listening socket."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._visits: asyncio.Queue[Visit] = asyncio.Queue()
        self._all: list[Visit] = []
        self.port = 0

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._come, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _come(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = Visit(reader, writer)
        self._all.append(visit)
        self._visits.put_nowait(visit)

    async def visit(self) -> Visit:
        """The next connection."""
        async with asyncio.timeout(STEP_S):
            return await self._visits.get()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for visit in self._all:
            visit.reset()
        await self._server.wait_closed()


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    it = Peer()
    await it.listen()
    yield it
    await it.stop()


class PlainDevice:
    """A Modbus TCP device written from the protocol's page, with faults to order; shares nothing with pymodbus.

    ``tables`` maps a function's table (1 coils, 2 discrete, 3 holding, 4 input) to its addresses and values; an
    address that is not there is answered with exception 2.
    """

    def __init__(self, tables: dict[int, dict[int, int]]) -> None:
        self.tables = tables
        self.port = 0
        self.requests: list[Asked] = []
        self.times: list[tuple[float, float]] = []  # (request came, answer sent), loop time
        self.connections = 0  # made so far
        self.open = 0
        self.most_at_once = 0
        self.delay_s = 0.0
        self.delay_of: dict[int, float] = {}  # by address, instead
        self.is_silent = False
        self.answers_as_unit: int | None = None
        self.silent_units: set[int] = set()
        self.silent_addresses: set[int] = set()
        self.resets = False
        self.exception_of: dict[int, int] = {}  # by address
        self.unsupported: set[int] = set()  # functions
        self._at_once = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Cut it: nobody listens, and connections are reset."""
        if self._server is None:
            return
        self._server.close()
        self.drop_clients()
        await self._server.wait_closed()
        self._server = None

    def drop_clients(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def until_left(self) -> None:
        """Wait until no client is connected."""
        async with asyncio.timeout(STEP_S):
            while self.open:  # noqa: ASYNC110 - the condition is plain state of the test's own server
                await asyncio.sleep(0.005)

    def writes(self) -> list[bytes]:
        return [asked.pdu for asked in self.requests if asked.pdu[0] in (5, 6, 15, 16, 22)]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self._writers.add(writer)
        loop = asyncio.get_running_loop()
        try:
            while True:
                head = await reader.readexactly(7)
                pdu = await reader.readexactly(int.from_bytes(head[4:6], "big") - 1)
                asked = Asked(int.from_bytes(head[:2], "big"), head[6], pdu)
                came_s = loop.time()
                self.requests.append(asked)
                self._at_once += 1
                self.most_at_once = max(self.most_at_once, self._at_once)
                address = int.from_bytes(pdu[1:3], "big")
                await asyncio.sleep(self.delay_of.get(address, self.delay_s))
                self._at_once -= 1
                if self.resets:
                    writer.transport.abort()
                    return
                answer = self._answer(pdu, address)
                if self.is_silent or asked.unit in self.silent_units or address in self.silent_addresses:
                    continue
                writer.write(asked.answer(answer, unit=self.answers_as_unit))
                self.times.append((came_s, loop.time()))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            self._writers.discard(writer)
            writer.close()

    def _answer(self, pdu: bytes, address: int) -> bytes:
        function = pdu[0]
        if function in self.unsupported:
            return bytes([function | 0x80, 1])
        if address in self.exception_of:
            return bytes([function | 0x80, self.exception_of[address]])
        words = [int.from_bytes(pdu[i : i + 2], "big") for i in range(1, 5, 2)]
        if function <= 4:
            table = self.tables.get(function, {})
            places = range(address, address + words[1])
            if any(place not in table for place in places):
                return bytes([function | 0x80, 2])
            if function <= 2:
                packed = sum(bool(table[place]) << i for i, place in enumerate(places))
                data = packed.to_bytes((words[1] + 7) // 8, "little")
            else:
                data = b"".join(table[place].to_bytes(2, "big") for place in places)
            return bytes([function, len(data)]) + data
        if function == 5:
            self.tables[1][address] = words[1] == 0xFF00
            return pdu
        if function == 6:
            self.tables[3][address] = words[1]
            return pdu
        if function == 15:
            for i in range(words[1]):
                self.tables[1][address + i] = pdu[6 + i // 8] >> i % 8 & 1
            return pdu[:5]
        if function == 16:
            for i in range(words[1]):
                self.tables[3][address + i] = int.from_bytes(pdu[6 + 2 * i : 8 + 2 * i], "big")
            return pdu[:5]
        assert function == 22, f"function {function}"
        or_mask = int.from_bytes(pdu[5:7], "big")
        self.tables[3][address] = self.tables[3][address] & words[1] | or_mask & ~words[1]
        return pdu


def make_point(name: str, table: Table, address: int, type: RegisterType, **changes: Any) -> ModbusPoint:
    """A point of group 0 whose tag is still to be given."""
    registers = changes.pop("registers", REGISTERS.get(type, 1))
    plain = ModbusPoint(
        name=name,
        tag=-1,
        table=table,
        address=address,
        registers=registers,
        type=type,
        word_order=Order.BIG,
        byte_order=Order.BIG,
        bit=None,
        scale=1.0,
        offset=0.0,
        not_implemented=(),
        low=None,
        high=None,
        group=0,
        writable=False,
    )
    return replace(plain, **changes)


def type_of(point: ModbusPoint) -> ValueType:
    if point.type is RegisterType.STRING:
        return ValueType.STRING
    if point.type is RegisterType.BOOL:
        return ValueType.BOOL
    floats = (RegisterType.FLOAT32, RegisterType.FLOAT64)
    if point.scale != 1 or point.offset != 0 or point.scale_factor is not None or point.type in floats:
        return ValueType.DOUBLE
    signed = (RegisterType.INT16, RegisterType.INT32, RegisterType.INT64)
    return ValueType.INT64 if point.type in signed else ValueType.UINT64


SYSTEM = (
    ("connected", ValueType.BOOL),
    ("requests", ValueType.UINT64),
    ("errors_timeout", ValueType.UINT64),
    ("errors_exception", ValueType.UINT64),
    ("errors_connection", ValueType.UINT64),
    ("errors_protocol", ValueType.UINT64),
    ("latency_p50_ms", ValueType.DOUBLE),
    ("latency_p99_ms", ValueType.DOUBLE),
    ("last_error", ValueType.STRING),
)


class Site:
    """Devices, their region and the running driver. Add devices, then `start`."""

    def __init__(self) -> None:
        self.specs: list[TagSpec] = []
        self.configs: list[ModbusDevice] = []
        self.region: Region
        self.driver: ModbusDriver
        self._writer: Writer
        self._task: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()

    def add(self, name: str, port: int, points: Sequence[ModbusPoint], **changes: Any) -> None:
        """Points are named ``name.point``; groups default to one of 50 ms that is stale after 400 ms."""
        placed = []
        for point in points:
            type = type_of(point)
            text_bytes = 2 * point.registers if type is ValueType.STRING else 0
            placed.append(replace(point, name=f"{name}.{point.name}", tag=len(self.specs)))
            self.specs.append(TagSpec(f"{name}.{point.name}", type, "drivers", text_bytes))
        places = []
        for tag, type in SYSTEM:
            places.append(len(self.specs))
            text_bytes = 200 if type is ValueType.STRING else 0
            self.specs.append(TagSpec(f"_system.{name}.{tag}", type, "drivers", text_bytes))
        plain = ModbusDevice(
            name=name,
            host="127.0.0.1",
            port=port,
            unit_id=1,
            timeout_ms=200,
            pause_ms=0,
            max_registers=125,
            max_coils=2000,
            max_gap=8,
            retry_max_ms=300,
            single_connection=False,
            groups=(PollGroup("fast", 50, 400),),
            points=tuple(placed),
            system=ModbusSystemTags(*places),
        )
        self.configs.append(replace(plain, **changes))

    def start(self) -> None:
        self.region = Region.create(f"test-modbus-{os.getpid()}", self.specs, journal_records=1 << 16)
        self._writer = self.region.claim("drivers")
        self.driver = ModbusDriver(self.configs, self.region, self._writer, seed=1)
        self._task = asyncio.create_task(self.driver.run(self._stop))

    async def stop(self) -> None:
        self._stop.set()
        if self._task is not None:
            async with asyncio.timeout(STEP_S):
                await self._task
            self._task = None

    async def close(self) -> None:
        try:
            await self.stop()
        finally:
            if hasattr(self, "region"):
                self.region.close()

    def sample(self, name: str) -> Sample:
        return self.region.sample(name)

    def status(self, name: str) -> int:
        return self.region.sample(name).status

    def value(self, name: str) -> Value:
        return self.region.sample(name).value

    def tag(self, name: str) -> int:
        return self.region.index_of(name)

    async def until(self, claim: Callable[[], bool], within_s: float = STEP_S) -> None:
        """Wait until ``claim`` holds; fail where it does not in time."""
        assert self._task is not None
        async with asyncio.timeout(within_s):
            while not claim():
                if self._task.done():
                    self._task.result()
                await asyncio.sleep(0.005)

    async def until_good(self, *names: str) -> None:
        await self.until(lambda: all(self.status(name) == Quality.GOOD for name in names))


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    it = Site()
    yield it
    await it.close()


@pytest.fixture
async def new_device() -> AsyncIterator[Callable[..., Any]]:
    """Start a PlainDevice with the given tables."""
    made: list[PlainDevice] = []

    async def start(tables: dict[int, dict[int, int]]) -> PlainDevice:
        device = PlainDevice(tables)
        await device.start()
        made.append(device)
        return device

    yield start
    for device in made:
        await device.stop()


@pytest.fixture(name="point")
def point_factory() -> Callable[..., ModbusPoint]:
    return make_point
