"""From a site file to a client: the part serves what the image holds, and hands writes to the command path."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from pathlib import Path

import pytest

from gateway.config.load import load_site
from gateway.config.part import PartContext
from gateway.config.paths import RunPaths
from gateway.node.parts import RUNNERS, parts_of
from gateway.servers.modbus.part import run
from gateway.tags.quality import Quality


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def ask(port: int, wire, unit: int, pdu: str) -> str:
    frame, answer = wire
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(frame(1, unit, pdu))
        async with asyncio.timeout(10):
            return await answer(reader, 1, unit)
    finally:
        writer.close()
        await writer.wait_closed()


DEVICES = """
site: {name: docs}
areas: {grid: Everything}
users: {dispatcher: {role: operator}}
devices:
  pcc:
    area: grid
    protocol: modbus
    connection: {host: 192.0.2.1}
    groups: {fast: {period_ms: 1000}}
    points:
      power_kw: {table: input, address: 0, type: int32, scale: 0.001, unit: kW}
      breaker_closed: {table: discrete, address: 0}
  battery1:
    area: grid
    protocol: modbus
    connection: {host: 192.0.2.2}
    groups: {fast: {period_ms: 1000}}
    points:
      power_kw: {table: input, address: 0, type: float32, unit: kW}
      power_setpoint_kw: {table: holding, address: 0, type: float32, unit: kW, write: {low: -50, high: 50}}
"""
SECOND = """
      other:
        port: OTHER
        clients: {scada: {hosts: [127.0.0.1]}}
        units: {0: {points: {d.power_kw: {table: holding, address: 7, type: float32, bad: exception}}}}
"""


async def test_the_image_reaches_clients_of_every_door_and_their_writes_the_router(
    tmp_path, served, wire, text: str
) -> None:
    ports = free_port(), free_port()
    file = tmp_path / "two.yaml"
    file.write_text(
        text.replace("port: 1502\n", f"port: {ports[0]}\n") + SECOND.replace("OTHER", str(ports[1]))
    )
    site = load_site(file)
    assert site.modbus_server is not None
    context = PartContext(
        site,
        RunPaths(tmp_path / "state", tmp_path / "run"),
        served.region.name,
        asyncio.Event(),
        asyncio.Event(),
    )
    task = asyncio.create_task(run(context, site.modbus_server, served))
    async with asyncio.timeout(10):
        await context.ready.wait()
    assert await ask(ports[0], wire, 1, "04 0000 0001") == "0402ff85"
    assert await ask(ports[1], wire, 0, "03 0007 0002") == "0304c144cccd"
    served.write("d.power_kw", 4.0)
    assert await ask(ports[0], wire, 1, "04 0000 0001") == "04020028"
    served.write("d.power_kw", 4.0, Quality.BAD_COMMUNICATION_ERROR)
    assert await ask(ports[1], wire, 0, "03 0007 0002") == "830b"
    assert await ask(ports[0], wire, 2, "06 0068 0003") == "0600680003"
    assert served.wishes == [("d.mode", 3)]
    assert await ask(ports[0], wire, 2, "03 0068 0001") == "03020003", "as the image has it by now"
    end = time.monotonic() + 20
    told = ""
    while told != "810b":  # nobody refreshes it: after 3 s it is told as such
        assert time.monotonic() < end
        told = await ask(ports[0], wire, 1, "01 0000 0001")
        await asyncio.sleep(0.05)
    begun = time.monotonic()
    context.stop.set()
    await task
    assert time.monotonic() - begun < 3.0
    with pytest.raises(ConnectionError):
        await ask(ports[0], wire, 1, "04 0000 0001")


def test_the_node_has_the_part(served) -> None:
    assert "modbus" in [part.name for part in parts_of(served.site)]
    assert "modbus" in RUNNERS
    assert "_system.parts.modbus.running" in [tag.name for tag in served.site.tags]


def test_the_example_of_the_docs_is_a_good_one(tmp_path) -> None:
    page = (Path(__file__).parents[4] / "docs" / "modbus.md").read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(servers:\n.*?)```", page, re.DOTALL)
    assert example is not None
    file = tmp_path / "docs.yaml"
    file.write_text(DEVICES + example[1])
    server = load_site(file).modbus_server
    assert server is not None
    assert [unit.unit_id for unit in server.doors[0].units] == [1, 2]
    assert [client.user for client in server.doors[0].clients] == ["dispatcher", None]
