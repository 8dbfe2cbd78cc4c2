"""The driver against devices by others, each in its own process: libmodbus (C) and pymodbus's server."""

from __future__ import annotations

import asyncio
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config.modbus import Order, RegisterType, Table
from gateway.tags.quality import Quality

PEERS = Path(__file__).parent / "peers"
H = Table.HOLDING

HOLDING = struct.pack(
    ">hfQ4s8sHHHh",
    -2,
    123.5,
    2**63 + 5,
    bytes.fromhex("12345678"),
    b"A12-B\0\0\0",
    0x0008,
    0xE240,
    0x0001,
    -30_000,
) + bytes(40)


@pytest.fixture(scope="module")
def libmodbus_server(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    assert shutil.which("pkg-config") is not None, "needs pkg-config: run .ci/system-packages"
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libmodbus"], check=True, capture_output=True, text=True
    )
    program = tmp_path_factory.mktemp("peer") / "libmodbus_server"
    source = PEERS / "libmodbus_server.c"
    subprocess.run(["cc", "-o", str(program), str(source), *flags.stdout.split()], check=True)
    return [str(program)]


@pytest.fixture(params=["libmodbus", "pymodbus"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """A device's port."""
    command = (
        request.getfixturevalue("libmodbus_server")
        if request.param == "libmodbus"
        else [sys.executable, str(PEERS / "pymodbus_server.py")]
    )
    words = [HOLDING[i : i + 2].hex() for i in range(0, len(HOLDING), 2)]
    with subprocess.Popen([*command, *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.kill()


async def test_what_they_hold_is_in_the_image(site, point, port: int) -> None:
    points = [
        point("minus", H, 0, RegisterType.INT16),
        point("real", H, 1, RegisterType.FLOAT32),
        point("large", H, 3, RegisterType.UINT64),
        point("bcd", H, 7, RegisterType.BCD32),
        point("text", H, 9, RegisterType.STRING, registers=4),
        point("bit", H, 13, RegisterType.BOOL, bit=3),
        point("swapped", H, 14, RegisterType.UINT32, word_order=Order.LITTLE),
        point("scaled", H, 16, RegisterType.INT16, scale=0.01),
        *(point(f"coil{i}", Table.COIL, i, RegisterType.BOOL) for i in range(16)),
        *(point(f"discrete{i}", Table.DISCRETE, i, RegisterType.BOOL) for i in range(1, 14)),
        *(point(f"input{i}", Table.INPUT, i, RegisterType.UINT16) for i in range(10)),
    ]
    site.add("d", port, points)
    site.start()
    await site.until_good(*(f"d.{it.name}" for it in points))
    names = ("minus", "real", "large", "bcd", "text", "bit", "swapped", "scaled")
    assert [site.value(f"d.{name}") for name in names] == [
        -2, 123.5, 2**63 + 5, 12345678, "A12-B", True, 123456, pytest.approx(-300.0)
    ]  # fmt: skip
    assert [site.value(f"d.coil{i}") for i in range(16)] == [i % 3 == 0 for i in range(16)]
    assert [site.value(f"d.discrete{i}") for i in range(1, 14)] == [i % 2 == 1 for i in range(1, 14)]
    assert [site.value(f"d.input{i}") for i in range(10)] == [1000 + i for i in range(10)]


async def test_what_is_written_is_read_back(site, point, port: int) -> None:
    wishes = {
        point("coil", Table.COIL, 1, RegisterType.BOOL, writable=True): True,
        point("single", H, 20, RegisterType.INT16, scale=0.1, writable=True): -12.3,
        point("pair", H, 22, RegisterType.UINT32, word_order=Order.LITTLE, writable=True): 123456,
        point("real", H, 24, RegisterType.FLOAT64, writable=True): 1e-3,
        point("text", H, 28, RegisterType.STRING, registers=4, writable=True): "grid",
        point("bit", H, 32, RegisterType.BOOL, bit=15, writable=True): True,
        point("bcd", H, 33, RegisterType.BCD16, writable=True): 4321,
    }
    site.add("d", port, list(wishes))
    site.start()
    await site.until_good(*(f"d.{it.name}" for it in wishes))
    for it, value in wishes.items():
        tag = site.tag(f"d.{it.name}")
        await site.driver.operate(tag, value)
        assert await site.driver.read_back(tag) == pytest.approx(value)
        assert site.value(f"d.{it.name}") == pytest.approx(value)


async def test_an_address_they_do_not_have_marks_only_its_point(site, point, port: int) -> None:
    last = len(HOLDING) // 2 - 1
    points = [point(f"m{i}", H, i, RegisterType.UINT16) for i in range(last - 5, last + 2)]
    site.add("d", port, points)
    site.start()
    await site.until(lambda: site.status(f"d.m{last + 1}") == Quality.BAD_CONFIGURATION_ERROR)
    await site.until_good(*(f"d.m{i}" for i in range(last - 5, last + 1)))


async def test_points_written_together_arrive_whole(site, point, port: int) -> None:
    points = [
        point("single", H, 20, RegisterType.INT16, scale=0.1, writable=True),
        point("pair", H, 21, RegisterType.UINT32, word_order=Order.LITTLE, writable=True),
        point("real", H, 23, RegisterType.FLOAT32, writable=True),
        *(point(f"coil{i}", Table.COIL, i, RegisterType.BOOL, writable=True) for i in range(1, 11)),
    ]
    site.add("d", port, points)
    site.start()
    await site.until_good(*(f"d.{it.name}" for it in points))
    before = site.driver.devices[0].station.counters.requests
    values = {"single": -12.3, "pair": 123456, "real": 1.5, **{f"coil{i}": i % 4 == 1 for i in range(1, 11)}}
    async with asyncio.TaskGroup() as tasks:
        for name, value in values.items():
            tasks.create_task(site.driver.operate(site.tag(f"d.{name}"), value))
    assert site.driver.devices[0]._takes_groups
    assert site.driver.devices[0].station.counters.requests - before < len(values)
    for name, value in values.items():
        assert await site.driver.read_back(site.tag(f"d.{name}")) == pytest.approx(value)
