"""SunSpec devices by somebody else: encoded by pysunspec2, served by pymodbus; and a site that polls one."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import sunspec2.device
import sunspec2.mdef
import uvloop
from pymodbus import FramerType
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from gateway.config.load import load_site
from gateway.config.modbus import ModbusPoint
from gateway.config.site import Site
from gateway.drivers.modbus.driver import ModbusDriver
from gateway.tags.image import Region
from gateway.tags.quality import Quality
from gateway.tags.sample import Sample

STEP_S = 20.0  # how long any expectation may take on a busy machine
END = bytes.fromhex("FFFF0000")
ABSENT = 0.05  # of the points say that they are not implemented
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 -_"

Json = dict[str, Any]


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The driver runs on uvloop."""
    return {"uvloop": uvloop.new_event_loop}


def seeded_value(form: str, registers: int, chance: random.Random) -> object:
    """Any value of a SunSpec type that says something; None, not implemented, now and then."""
    if chance.random() < ABSENT and form not in ("sunssf", "count", "pad"):
        return None
    if form == "string":
        return "".join(chance.choices(LETTERS, k=chance.randint(1, 2 * registers))).strip() or "x"
    if form == "sunssf":
        return chance.randint(-4, 3)
    if form in ("float32", "float64"):
        return float(chance.randint(-(2**20), 2**20)) / 16
    if form == "eui48":
        return ":".join(f"{chance.randrange(254):02X}" for _ in range(6))
    if form == "ipv6addr":
        return ":".join(f"{chance.getrandbits(32) | 1:08X}" for _ in range(4))
    if form == "pad":
        return 0x8000
    size = 16 * {"16": 1, "32": 2, "64": 4}.get(form[-2:], registers)
    if form.startswith("int"):
        return chance.randint(-(2 ** (size - 1)) + 1, 2 ** (size - 1) - 1)
    return chance.randint(1, min(2**size, 2**63) - 2)


def fill(group: Any, chance: random.Random, counts: Mapping[str, int], *, is_top: bool = True) -> None:
    """Give every point of a group of pysunspec2 a value."""
    for name, point in group.points.items():
        if is_top and name in ("ID", "L"):
            continue
        symbols = [symbol["value"] for symbol in point.pdef.get("symbols") or ()]
        if name in counts and point.pdef["type"] in ("uint16", "count"):
            point.value = counts[name]
        elif name == "ReadOnly":
            point.value = int(group.index == 1)
        elif symbols and point.pdef["type"].startswith("enum"):
            point.value = chance.choice(symbols)
        else:
            point.value = seeded_value(point.pdef["type"], point.len, chance)
    for inner in group.groups.values():
        for one in inner if isinstance(inner, list) else [inner]:
            fill(one, chance, counts, is_top=False)


def skeleton(definition: Json, counts: Mapping[str, int]) -> Json:
    """What pysunspec2 makes the groups of a model from: as many of each as ``counts`` say by the count's name."""
    data: Json = {
        point["name"]: counts[point["name"]] for point in definition["points"] if point["name"] in counts
    }
    for group in definition.get("groups", ()):
        inner = skeleton(group, counts)
        if group.get("count") is None:
            data[group["name"]] = inner
        else:
            times = counts.get(str(group["count"]), counts.get(group["name"], 1))
            data[group["name"]] = [inner for _ in range(times)]
    return data


def seeded_model(number: int, chance: random.Random, counts: Mapping[str, int] = {}) -> bytes:
    """The registers of a model, head included, encoded by pysunspec2."""
    definition = sunspec2.device.get_model_def(number)
    model = sunspec2.device.Model(number, data=skeleton(definition["group"], counts))
    assert not model.error_info, model.error_info
    fill(model, chance, counts)
    octets = bytes(model.get_mb())
    return octets[:2] + (len(octets) // 2 - 2).to_bytes(2, "big") + octets[4:]


def registers_of(octets: bytes) -> list[int]:
    return [int.from_bytes(octets[i : i + 2], "big") for i in range(0, len(octets), 2)]


class Served:
    """A running device."""

    def __init__(self, server: ModbusTcpServer, port: int) -> None:
        self._server = server
        self.port = port
        self.functions: set[int] = set()
        self.requests = 0

    async def set(self, address: int, *registers: int) -> None:
        await self._server.async_setValues(1, 16, address, list(registers))

    async def get(self, address: int, count: int = 1) -> list[int]:
        values = await self._server.async_getValues(1, 3, address, count)
        return [int(value) for value in values]


Serve = Callable[..., Awaitable[Served]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serve ``octets`` as holding registers from ``base``; other addresses are answered with an exception."""
    servers: list[ModbusTcpServer] = []

    async def start(octets: bytes, base: int = 40_000, framer: FramerType = FramerType.SOCKET) -> Served:
        device = SimDevice(
            id=1, simdata=[SimData(base, values=registers_of(octets), datatype=DataType.REGISTERS)]
        )
        served: Served

        def seen(sending: bool, pdu: Any) -> Any:
            if not sending:
                served.functions.add(pdu.function_code)
                served.requests += 1
            return pdu

        server = ModbusTcpServer(device, address=("127.0.0.1", 0), framer=framer, trace_pdu=seen)
        served = Served(server, 0)
        await server.serve_forever(background=True)
        servers.append(server)
        served.port = server.transport.sockets[0].getsockname()[1]
        return served

    yield start
    for server in servers:
        await server.shutdown()


class Polled:
    """A site whose Modbus devices are polled by the real driver."""

    def __init__(self, site: Site, region: Region, driver: ModbusDriver) -> None:
        self.site = site
        self.driver = driver
        self._region = region

    @property
    def points(self) -> dict[str, ModbusPoint]:
        return {point.name: point for device in self.site.modbus for point in device.points}

    def tag(self, name: str) -> int:
        return self._region.index_of(name)

    def sample(self, name: str) -> Sample:
        return self._region.sample(name)

    async def until(self, claim: Callable[[], bool]) -> None:
        async with asyncio.timeout(STEP_S):
            while not claim():  # noqa: ASYNC110 - the image has no event to wait for
                await asyncio.sleep(0.005)

    async def until_polled(self) -> None:
        """Every point has been read once."""
        unread = (Quality.BAD_WAITING_FOR_INITIAL_DATA, Quality.BAD_COMMUNICATION_ERROR)
        await self.until(lambda: all(self.sample(name).status not in unread for name in self.points))


@asynccontextmanager
async def polled(path: Path) -> AsyncIterator[Polled]:
    site = load_site(path)
    with Region.create(f"test-sunspec-{os.getpid()}", [tag.spec() for tag in site.tags]) as region:
        writer = region.claim("drivers")
        driver = ModbusDriver(site.modbus, region, writer, seed=1)
        stop = asyncio.Event()
        task = asyncio.create_task(driver.run(stop))
        try:
            yield Polled(site, region, driver)
        finally:
            stop.set()
            await task


@pytest.fixture(name="polled")
def polled_factory() -> Callable[[Path], Any]:
    return polled


@pytest.fixture(name="seeded_model")
def seeded_model_factory() -> Callable[..., bytes]:
    return seeded_model


def seeded_image(numbers: list[int], counts: Mapping[int, Mapping[str, int]], seed: int = 1) -> bytes:
    """All models one after the other, by pysunspec2; ``counts`` by model."""
    chance = random.Random(seed)
    return b"SunS" + b"".join(seeded_model(n, chance, counts.get(n, {})) for n in numbers) + END


@pytest.fixture(name="new_image")
def image_factory() -> Callable[..., bytes]:
    return seeded_image
