"""From a site file to a master: the part serves what the image holds, over TCP and over TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import opendnp3
import pytest
from dnp3_certificates import certificates
from dnp3_masters import Master
from dnp3_outstations import Site, until
from py1815.link import build, control_byte

from gateway.config.load import load_site
from gateway.config.part import PartContext
from gateway.config.paths import RunPaths
from gateway.servers.dnp3.part import run
from gateway.tags.image import Region, Writer
from gateway.tags.quality import Quality

SITE = """
site: {name: outstation}
areas: {grid: Point of common coupling}
users: {dispatcher: {role: operator}}
devices:
  pcc:
    area: grid
    protocol: modbus
    connection: {host: 127.0.0.1, port: 15020}
    groups: {fast: {period_ms: 1000, stale_after_ms: 3000}}
    points:
      power_kw: {table: input, address: 0, type: int16, scale: 0.1, unit: kW}
      closed: {table: discrete, address: 0}
      close: {table: coil, address: 0, write: {role: operator}}
      name: {table: input, address: 10, type: string, registers: 4}
servers:
  dnp3:
    port: PORT
    address: 10
    unsolicited_hold_ms: 20
    masters: {utility: {address: 1, hosts: [127.0.0.1], user: dispatcher}}
    points:
      pcc.power_kw: {type: analog, index: 0, class: 2, scale: 1000}
      pcc.closed: {type: binary, index: 0, class: 1}
      pcc.close: {type: binary_output, index: 0, class: 1}
      pcc.name: {type: octet_string, index: 0, class: 3}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write(region: Region, writer: Writer, name: str, value: float, status: int = Quality.GOOD) -> None:
    bits = (
        np.array([value], np.float64).view(np.uint64)
        if name == "pcc.power_kw"
        else np.array([value], np.uint64)
    )
    stamp = time.time_ns()
    writer.write(np.array([region.index_of(name)], np.uint32), bits, status, stamp, stamp)


@asynccontextmanager
async def part(
    folder: Path, text: str, before: Callable[[Region, Writer], None] = lambda region, writer: None
) -> AsyncIterator[tuple[Region, Writer, int, Site]]:
    """The part as it runs; ``before`` fills the image that it finds."""
    port = free_port()
    file = folder / "site.yaml"
    file.write_text(text.replace("PORT", str(port)))
    site = load_site(file)
    name = f"dnp3.{port}"
    with Region.create(name, [tag.spec() for tag in site.tags]) as region:
        writer = region.claim("drivers")
        before(region, writer)
        commander = Site()
        context = PartContext(
            site, RunPaths(folder / "state", folder / "run"), name, asyncio.Event(), asyncio.Event()
        )
        assert site.dnp3 is not None
        task = asyncio.create_task(run(context, site.dnp3, commander))
        async with asyncio.timeout(10):
            await context.ready.wait()
        yield region, writer, port, commander
        begun = time.monotonic()
        context.stop.set()
        await task
        assert time.monotonic() - begun < 10.0
        writer.release()


async def test_the_image_reaches_the_master_and_its_commands_the_router(tmp_path: Path) -> None:
    def before(region: Region, writer: Writer) -> None:
        write(region, writer, "pcc.power_kw", 12.5)
        write(region, writer, "pcc.closed", 1)
        stamp = time.time_ns()
        names = np.array([region.index_of("pcc.name")], np.uint32)
        writer.write_texts(names, ["Nord 3"], Quality.GOOD, stamp, stamp)

    async with part(tmp_path, SITE, before) as (region, writer, port, commander):
        master = Master(port)
        try:
            await until(lambda: ("ENABLE_UNSOLICITED", "SUCCESS") in master.application.done, "the start-up")
            polled = {(name, index): (value, flags) for name, index, value, flags, _ in master.heard.rows}
            assert polled[("Group30Var5", 0)] == (12_500.0, 1)
            assert polled[("Group1Var2", 0)] == (True, 0x81)
            assert polled[("Group110Var0", 0)][0] == b"Nord 3"
            assert polled[("Group10Var2", 0)] == (False, 2), "not read yet: RESTART"
            write(region, writer, "pcc.power_kw", -3.0)
            write(region, writer, "pcc.closed", 1, Quality.BAD_COMMUNICATION_ERROR)
            await until(lambda: len(master.heard.unsolicited) >= 2, "the changes")
            assert [row[:4] for row in master.heard.unsolicited] == [
                ("Group32Var7", 0, -3000.0, 1),
                ("Group2Var2", 0, True, 0x84),
            ]
            assert abs(master.heard.unsolicited[0][4] - time.time() * 1000) < 60_000
            wish = opendnp3.ControlRelayOutputBlock(opendnp3.OperationType.LATCH_ON)
            assert await master.command(master.master.SelectAndOperate, wish, 0) == ("SUCCESS", "SUCCESS")
            assert commander.commands == [("pcc.close", True)]
        finally:
            await asyncio.to_thread(master.close)


@pytest.mark.parametrize(("who", "is_let_in"), [("master", True), ("stranger", False), (None, False)])
async def test_tls_lets_in_whom_the_authority_has_signed(
    tmp_path: Path, who: str | None, is_let_in: bool
) -> None:
    certificates(tmp_path)
    tls = "    tls: {certificate: outstation.pem, key: outstation.key, authorities: authority.pem}\n"
    async with part(tmp_path, SITE.replace("    address: 10\n", "    address: 10\n" + tls)) as (
        _,
        _,
        port,
        _,
    ):
        context = ssl.create_default_context(cafile=str(tmp_path / "authority.pem"))
        if who is not None:
            context.load_cert_chain(tmp_path / f"{who}.pem", tmp_path / f"{who}.key")
        ask = build(control_byte(from_master=True, primary=True, function=9), 10, 1)
        answer = b""
        try:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=context, server_hostname="localhost"
            )
            writer.write(ask)
            async with asyncio.timeout(5):
                answer = await reader.read(10)
            writer.close()
        except (ssl.SSLError, ConnectionError):
            pass
        assert bool(answer) is is_let_in
