"""The ways to an outstation: TLS by a tunnel that is nobody else's, a serial line; unsolicited responses left off."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import uvloop
from dnp3_certificates import certificates
from dnp3_rtu import Running, running_rtu, until

from gateway.config.load import load_site
from gateway.config.tls import TlsFiles
from gateway.drivers.dnp3 import tunnel
from gateway.drivers.dnp3.engine import OpenEngine
from gateway.drivers.dnp3.notices import ChannelChanged, Notice
from gateway.drivers.trace import Way
from gateway.servers.dnp3.objects import Kind

TLS = (
    "transport: tls, host: 127.0.0.1, port: PORT, certificate: {who}.pem, key: {who}.key, "
    "authorities: {by}.pem, names: [{name}]"
)


@asynccontextmanager
async def over_tls(
    folder: Path, who: str = "master", by: str = "authority", name: str = "localhost"
) -> AsyncIterator[Running]:
    certificates(folder)
    files = TlsFiles(folder / "outstation.pem", folder / "outstation.key", folder / "authority.pem")
    async with running_rtu(folder, TLS.format(who=who, by=by, name=name), tls=files) as found:
        yield found


async def test_an_outstation_behind_tls_is_read_commanded_and_found_again(tmp_path: Path) -> None:
    async with over_tls(tmp_path) as rtu:
        await rtu.is_up()
        await until(lambda: rtu.sample("power_kw").value == 42.5, "the value")
        rtu.rtu.tell(Kind.ANALOG, 0, 9_000.0, 1)
        await until(lambda: rtu.sample("power_kw").value == 9.0, "the change")
        await rtu.driver.operate(rtu.tag("setpoint_kw"), 42.5)
        assert await rtu.driver.read_back(rtu.tag("setpoint_kw")) == 42.5
        await rtu.rtu.down()
        await until(lambda: not rtu.driver.outstations[0].is_open, "the loss")
        rtu.rtu.tell(Kind.ANALOG, 0, 7_000.0, 2)
        await rtu.rtu.up()
        await until(lambda: rtu.sample("power_kw").value == 7.0, "the recovery", 30.0)


async def test_a_trace_has_the_octets_before_tls_and_after_it(tmp_path: Path) -> None:
    async with over_tls(tmp_path) as rtu:
        await rtu.is_up()
        ring = rtu.driver.traces()["rtu"]
        assert ring.where == f"127.0.0.1:{rtu.rtu.server.port}"  # not the tunnel's
        ring.look()
        await until(lambda: {way for _, _, way, _ in ring.since(0)} == set(Way), "both ways")
        frames = ring.since(0)
        assert {octets[:2] for _, _, way, octets in frames if way != Way.NOTE} == {b"\x05\x64"}
        assert b"connected" in [octets for _, _, way, octets in frames if way == Way.NOTE]


def test_tls_under_the_loop_that_parts_run_in(tmp_path: Path) -> None:
    async def run() -> None:
        async with over_tls(tmp_path) as rtu:
            await rtu.is_up()
            await rtu.driver.operate(rtu.tag("setpoint_kw"), 42.5)
            assert await rtu.driver.read_back(rtu.tag("setpoint_kw")) == 42.5
            await rtu.rtu.down()
            await until(lambda: not rtu.driver.outstations[0].is_open, "the loss")
            await rtu.rtu.up()
            await until(lambda: rtu.driver.outstations[0].is_open, "the recovery", 30.0)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def test_under_that_loop_the_wrong_name_is_told_as_well(tmp_path: Path) -> None:
    async def run() -> None:
        async with over_tls(tmp_path, name="rtu7.example") as rtu:
            outstation = rtu.driver.outstations[0]
            await until(lambda: "rtu7.example" in outstation.last_error, "the name")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


@pytest.mark.parametrize(
    ("who", "by", "name", "why"),
    [
        ("master", "elsewhere", "localhost", "its certificate is not accepted"),
        ("master", "authority", "rtu7.example", "its certificate is not of rtu7.example"),
        ("stranger", "authority", "localhost", "does it know our certificate?"),
    ],
)
async def test_no_connection_without_the_right_certificates(
    tmp_path: Path, who: str, by: str, name: str, why: str
) -> None:
    async with over_tls(tmp_path, who, by, name) as rtu:
        outstation = rtu.driver.outstations[0]
        said: set[str] = set()

        def is_said() -> bool:
            said.add(outstation.last_error)
            return any(why in one for one in said)

        await until(is_said, why)
        await until(lambda: rtu.sample("power_kw").status != 0, "Bad")
        assert not rtu.sample("power_kw").value


async def test_the_tunnel_serves_one_connection_of_its_own_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tunnel.Tunnel] = []
    open_it = tunnel.Tunnel.open

    async def remembering(self: tunnel.Tunnel) -> None:
        opened.append(self)
        await open_it(self)

    monkeypatch.setattr(tunnel.Tunnel, "open", remembering)
    async with over_tls(tmp_path) as rtu:
        await rtu.is_up()
        port = opened[0].port
        knock = f"import socket; print(socket.create_connection(('127.0.0.1', {port}), 20).recv(1))"
        stranger = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", knock], capture_output=True, text=True, timeout=30
        )
        assert stranger.stdout == "b''\n" or "ConnectionResetError" in stranger.stderr
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(1), 10) == b""
        writer.transport.abort()
        rtu.rtu.tell(Kind.ANALOG, 0, 9_000.0, 1)
        await until(lambda: rtu.sample("power_kw").value == 9.0, "the one that is allowed goes on")


async def test_whose_a_socket_is() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            ours, _ = listener.accept()
            assert tunnel.is_own(ours)
            ours.close()
        wait = f"import socket, sys\ns = socket.create_connection(('127.0.0.1', {port}))\nsys.stdin.read()"
        stranger = await asyncio.create_subprocess_exec(sys.executable, "-c", wait, stdin=subprocess.PIPE)
        theirs, _ = await asyncio.to_thread(listener.accept)
        assert not tunnel.is_own(theirs)
        theirs.close()
        await stranger.communicate(b"")


class Line:
    """A serial line of two pseudo-terminals, whose far end is a TCP connection to the outstation."""

    def __init__(self) -> None:
        self.near, ours = os.openpty()
        tty.setraw(ours)
        self.path = os.ttyname(ours)
        self._held = ours  # else a master that lets go ends the line
        self._ends: list[socket.socket] = []

    def lead_to(self, port: int) -> None:
        there = socket.create_connection(("127.0.0.1", port))
        self._ends.append(there)

        def carry(take: int, give: int) -> None:
            try:
                while data := os.read(take, 4096):
                    os.write(give, data)
            except OSError:
                return

        for take, give in ((self.near, there.fileno()), (there.fileno(), self.near)):
            threading.Thread(target=carry, args=(take, give), daemon=True).start()

    def close(self) -> None:
        for end in self._ends:
            end.shutdown(socket.SHUT_RDWR)
            end.close()
        os.close(self._held)


async def test_an_outstation_on_a_serial_line(tmp_path: Path) -> None:
    line = Line()
    way = f"transport: serial, serial: {line.path}, baud: 115200"
    async with running_rtu(tmp_path, way) as rtu:
        await asyncio.to_thread(line.lead_to, rtu.rtu.server.port)
        await rtu.is_up()
        await rtu.driver.operate(rtu.tag("setpoint_kw"), 42.5)
        assert await rtu.driver.read_back(rtu.tag("setpoint_kw")) == 42.5
        rtu.rtu.tell(Kind.DOUBLE_BIT, 0, 1, 5)
        await until(lambda: rtu.sample("position").value == 1, "the change")
        line.close()


LINE = """
site: {name: line}
areas: {grid: Feeder}
devices:
  rtu:
    area: grid
    repeat: 1..2
    protocol: dnp3
    connection: {transport: serial, serial: PATH, address: "${10 + n}"}
    groups: {events: {period_ms: 1000}}
    points: {closed: {type: binary, index: 0}}
"""


async def test_outstations_that_share_a_line_share_its_state(tmp_path: Path) -> None:
    """The second comes when the line is open; the line is let go by the last."""
    line = Line()
    (tmp_path / "site.yaml").write_text(LINE.replace("PATH", line.path))
    first, second = load_site(tmp_path / "site.yaml").dnp3_devices
    told: dict[str, list[Notice]] = {"first": [], "second": []}
    engine = OpenEngine()
    one = engine.master(first, told["first"].append)
    await until(lambda: ChannelChanged(True) in told["first"], "the line")
    other = engine.master(second, told["second"].append)
    assert engine.traces()[first.name] is engine.traces()[second.name]
    await until(lambda: ChannelChanged(True) in told["second"], "the line that is open")
    await asyncio.to_thread(one.close)
    assert ChannelChanged(False) not in told["second"]
    await asyncio.to_thread(other.close)
    again = engine.master(first, told["first"].append)
    await until(lambda: told["first"].count(ChannelChanged(True)) == 2, "the line anew")
    await asyncio.to_thread(again.close)
    await asyncio.to_thread(engine.close)
    line.close()


async def test_unsolicited_responses_stay_off_where_they_are_not_wanted(tmp_path: Path) -> None:
    way = "host: 127.0.0.1, port: PORT, unsolicited: false"
    async with running_rtu(tmp_path, way) as rtu:
        await rtu.is_up()
        association = rtu.rtu.server.associations[1]
        await until(lambda: association.clock_offset_ms is not None, "the start-up")
        enabled = rtu.driver.outstations[0]._is_enabled
        await until(lambda: not enabled.is_set() and not association._enabled, "them off")
        rtu.rtu.tell(Kind.ANALOG, 0, 9_000.0, 1)
        await until(lambda: rtu.sample("power_kw").value == 9.0, "the change, by a poll")
        assert not association._enabled
