"""Clients by others, each in a process of its own or with its own stack: libmodbus (C), mbpoll, pymodbus."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest
from pymodbus.client import AsyncModbusTcpClient

from gateway.tags.quality import Quality

PEERS = Path(__file__).parent / "peers"


@pytest.fixture(scope="module")
def libmodbus_client(tmp_path_factory: pytest.TempPathFactory) -> str:
    assert shutil.which("pkg-config") is not None, "needs pkg-config: run .ci/system-packages"
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libmodbus"], check=True, capture_output=True, text=True
    )
    program = tmp_path_factory.mktemp("peer") / "libmodbus_client"
    source = PEERS / "libmodbus_client.c"
    subprocess.run(["cc", "-o", str(program), str(source), *flags.stdout.split()], check=True)
    return str(program)


async def said(*command: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(30):
        output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_libmodbus(served, libmodbus_client: str) -> None:
    status, output = await said(libmodbus_client, str(served.port))
    assert output.splitlines() == [
        "input: ff85 cdef 89ab 4567 0123 4367 6666 0012 3456",
        "discrete: 0001 0000",
        "coils: 0000 0001 0000",
        "gap: Illegal data address",
        "write coil:",
        "write coils:",
        "write registers:",
        "write register:",
        "mask write:",
        "half: Illegal data address",
        "too much: Illegal data value",
        "write and read: 0000 c0e8 0000 004d 0001",
        "no unit: Target device failed to respond",
    ]
    assert status == 0
    assert served.wishes == [
        ("d.close", True),
        ("d.close", False),
        ("d.start", True),
        ("d.setpoint_kw", -7.25),
        ("d.count", 77),
        ("d.mode", 3),
        ("d.start", False),
        ("d.mode", 1),
    ]


async def test_mbpoll_reads(served) -> None:
    async def read(*options: str) -> list[str]:
        _, output = await said(
            "mbpoll", "-m", "tcp", "-p", str(served.port), "-0", "-1", "-q", *options, "127.0.0.1"
        )
        lines = [" ".join(line.split()) for line in output.splitlines()]
        return [line for line in lines if line.startswith("[") or "failed" in line]

    assert await read("-a", "1", "-t", "3", "-r", "0", "-c", "1") == ["[0]: 65413 (-123)"]
    assert await read("-a", "1", "-t", "3:float", "-B", "-r", "5", "-c", "1") == ["[5]: 231.4"]
    assert await read("-a", "2", "-t", "4:float", "-r", "100", "-c", "1") == ["[100]: 42.5"]
    assert await read("-a", "2", "-t", "4:int", "-B", "-r", "102", "-c", "1") == ["[102]: 123456"]
    assert await read("-a", "1", "-t", "0", "-r", "0", "-c", "3") == ["[0]: 0", "[1]: 1", "[2]: 0"]
    assert await read("-a", "1", "-t", "1", "-r", "0", "-c", "2") == ["[0]: 1", "[1]: 0"]
    assert "Illegal data address" in (await read("-a", "1", "-t", "4", "-r", "0", "-c", "1"))[0]
    served.write("d.power_kw", 1.0, Quality.BAD_COMMUNICATION_ERROR)
    assert await read("-a", "1", "-t", "3", "-r", "0", "-c", "1") == ["[0]: 32768 (-32768)"]
    assert "Target device failed to respond" in (await read("-a", "9", "-t", "4", "-r", "0", "-c", "1"))[0]


async def test_mbpoll_writes(served) -> None:
    async def write(*options: str, values: tuple[str, ...]) -> str:
        _, output = await said(
            "mbpoll", "-m", "tcp", "-p", str(served.port), "-0", "-q", *options, "--", "127.0.0.1", *values
        )
        return output

    assert "Written 1 references" in await write("-a", "2", "-t", "4:float", "-r", "100", values=("-3.5",))
    assert "Written 2 references" in await write("-a", "1", "-t", "0", "-r", "0", values=("1", "0"))
    assert "Illegal data value" in await write("-a", "2", "-t", "4", "-r", "104", values=("2",))
    assert "Illegal function" in await write("-a", "1", "-t", "0", "-r", "2", values=("1",))
    assert served.wishes == [("d.setpoint_kw", -3.5), ("d.close", True), ("d.start", False)]


async def test_pymodbus(served) -> None:
    client = AsyncModbusTcpClient("127.0.0.1", port=served.port, timeout=5)
    assert await client.connect()
    try:
        read = await client.read_input_registers(0, count=9, device_id=1)
        assert client.convert_from_registers(read.registers[1:5], client.DATATYPE.UINT64, "little") == (
            0x0123_4567_89AB_CDEF
        )
        assert client.convert_from_registers(read.registers[5:7], client.DATATYPE.FLOAT32) == pytest.approx(
            231.4
        )
        assert (await client.read_discrete_inputs(0, count=2, device_id=1)).bits[:2] == [True, False]
        assert not (await client.write_coil(0, True, device_id=1)).isError()
        assert not (await client.write_coils(0, [False, True], device_id=1)).isError()
        label = client.convert_to_registers("insel\0\0\0", client.DATATYPE.STRING)
        assert not (await client.write_registers(105, label, device_id=2)).isError()
        assert not (
            await client.mask_write_register(address=109, and_mask=0xFFFE, or_mask=1, device_id=2)
        ).isError()
        both = await client.readwrite_registers(
            read_address=100, read_count=2, write_address=104, values=[3], device_id=2
        )
        assert client.convert_from_registers(both.registers, client.DATATYPE.FLOAT32, "little") == 42.5
        told = await client.read_device_information(read_code=3, device_id=1)
        assert told.information[0] == b"Tieline"
        assert told.information[6] == b"The grid connection"
        assert (await client.read_holding_registers(0, device_id=1)).exception_code == 2
        assert (await client.write_register(104, 2, device_id=2)).exception_code == 3
        many = await asyncio.gather(*(client.read_coils(0, count=3, device_id=1) for _ in range(20)))
        assert all(one.bits[:3] == [True, True, False] for one in many)
    finally:
        client.close()
    assert served.wishes == [
        ("d.close", True),
        ("d.close", False),
        ("d.start", True),
        ("d.label", "insel"),
        ("d.close", True),
        ("d.mode", 3),
    ]
