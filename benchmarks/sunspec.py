"""SunSpec: an IEEE 1547 device read completely, beside pysunspec2's own client doing the same.

The device is the one of the tests (models 1 and 701 to 714, seeded values), served by pymodbus in its own process.
"Scan" is all models whole; "polled" from the driver's start until every point has its first value in the image.

Usage: python benchmarks/sunspec.py
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import sunspec2.modbus.client
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from gateway.config.load import load_site
from gateway.drivers.modbus.client import connect
from gateway.drivers.modbus.driver import ModbusDriver
from gateway.drivers.modbus.line import Line, Station
from gateway.drivers.sunspec.device_map import Place, device_map
from gateway.drivers.sunspec.scan import Scan, scan
from gateway.tags.image import Region

TESTS = Path(__file__).parents[1] / "tests" / "gateway" / "drivers" / "sunspec"
ROUNDS = 5


def module(name: str) -> ModuleType:
    """A module of the tests, which are no package."""
    spec = importlib.util.spec_from_file_location(name, TESTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


async def serve() -> None:
    """Until killed; prints the port."""
    conftest, tests = module("conftest"), module("test_discover")
    image = conftest.seeded_image(tests.DER, tests.COUNTS, 1)
    values = conftest.registers_of(image)
    device = SimDevice(id=1, simdata=[SimData(40_000, values=values, datatype=DataType.REGISTERS)])
    server = ModbusTcpServer(device, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    print(server.transport.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


async def scanned(port: int) -> tuple[Scan, float, int]:
    """What the device has, the seconds it took, and the requests."""
    station = Station(1, 5.0, 0.0)
    line = Line(lambda timeout_s: connect("127.0.0.1", port, timeout_s))
    start = time.perf_counter()
    found = await scan(line, station, 125)
    took_s = time.perf_counter() - start
    line.close()
    return found, took_s, station.counters.requests


async def polled(path: Path) -> tuple[int, float]:
    """Points, and seconds until all have a value."""
    site = load_site(path)
    points = [point.tag for device in site.modbus for point in device.points]
    stop = asyncio.Event()
    with Region.create(f"bench-sunspec-{os.getpid()}", [tag.spec() for tag in site.tags]) as region:
        driver = ModbusDriver(site.modbus, region, region.claim("drivers"))
        start = time.perf_counter()
        task = asyncio.create_task(driver.run(stop))
        while not all(region.sample(site.tags[tag].name).receipt_time for tag in points):  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.005)
        took_s = time.perf_counter() - start
        stop.set()
        await task
    return len(points), took_s


def by_pysunspec2(port: int) -> float:
    device = sunspec2.modbus.client.SunSpecModbusClientDeviceTCP(1, "127.0.0.1", port, timeout=10)
    start = time.perf_counter()
    device.scan()
    took_s = time.perf_counter() - start
    device.close()
    return took_s


def main() -> None:
    server = subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        rounds = [asyncio.run(scanned(port)) for _ in range(ROUNDS)]
        found, _, requests = rounds[0]
        print(f"scan: {min(took for _, took, _ in rounds) * 1000:.0f} ms, {requests} requests")
        print(f"pysunspec2's scan: {min(by_pysunspec2(port) for _ in range(ROUNDS)) * 1000:.0f} ms")
        with TemporaryDirectory() as folder:
            path = Path(folder) / "site.yaml"
            start = time.perf_counter()
            place = Place("d", "plant", {"host": "127.0.0.1", "port": port}, "s")
            path.write_text(device_map(found, place, keep_all=True), encoding="utf-8")
            print(f"map written: {(time.perf_counter() - start) * 1000:.0f} ms")
            points, took_s = asyncio.run(polled(path))
            print(f"polled: {points} points after {took_s * 1000:.0f} ms")
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        asyncio.run(serve())
    else:
        main()
