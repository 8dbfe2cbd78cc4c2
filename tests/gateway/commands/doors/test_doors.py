"""The steps through every door: a site with a real device, the drivers' part with its router, three servers of it.

The clients are by others: opendnp3's master, asyncua's client; Modbus is written by the octet. The device is
pymodbus's.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import opendnp3
import pytest
from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from asyncua.ua.status_codes import StatusCodes
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from gateway.commands.client import CommandClient
from gateway.config.accounts import Accounts
from gateway.config.load import load_site
from gateway.config.part import PartContext
from gateway.config.paths import RunPaths
from gateway.config.site import Site
from gateway.node import drivers
from gateway.servers.dnp3 import part as dnp3
from gateway.servers.modbus import part as modbus
from gateway.servers.opcua import part as opcua
from gateway.tags.command import Command, Done, Refusal
from gateway.tags.image import Region
from gateway.tags.quality import is_good

PASSWORD = "correct horse battery"
URI = "urn:tieline:test"
SITE = """
site: {name: doors}
areas: {grid: The utility}
users:
  olga: {role: operator}
  ems: {role: operator}
  utility: {role: operator}
  scada: {role: operator}
devices:
  pcc:
    area: grid
    protocol: modbus
    connection: {host: 127.0.0.1, port: DEVICE}
    groups: {all: {period_ms: 100, stale_after_ms: 60000}}
    points:
      closed: {table: coil, address: 0, write: {timeout_ms: 4000}}
      locked: {table: coil, address: 1, write: {timeout_ms: 4000}}
      chosen: {table: coil, address: 2, write: {timeout_ms: 4000, select: true}}
      stop: {table: coil, address: 3, write: {timeout_ms: 4000, emergency: true}}
control:
  areas: {grid: {}}
  interlocks:
    dead: {points: [pcc.locked], allow: not pcc.closed, message: it is closed}
servers:
  opcua: {port: OPCUA, trust: all}
  dnp3:
    port: DNP3
    address: 10
    operate_timeout_ms: 10000
    masters: {utility: {address: 1, hosts: [127.0.0.1], user: utility}}
    points:
      pcc.closed: {type: binary_output, index: 0}
      pcc.locked: {type: binary_output, index: 1}
      pcc.chosen: {type: binary_output, index: 2}
      pcc.stop: {type: binary_output, index: 3}
      _system.control.grid.take: {type: binary_output, index: 4}
  modbus:
    doors:
      ems:
        port: MODBUS
        operate_timeout_ms: 10000
        clients: {ems: {hosts: [127.0.0.1], user: ems}}
        units:
          1:
            points:
              pcc.closed: {table: coil, address: 0, write: true}
              pcc.locked: {table: coil, address: 1, write: true}
              pcc.chosen: {table: coil, address: 2, write: true}
              pcc.stop: {table: coil, address: 3, write: true}
              _system.control.grid.take: {table: coil, address: 4, write: true}
              pcc.chosen.select: {table: coil, address: 5, write: true}
"""
COILS = {"pcc.closed": 0, "pcc.locked": 1, "pcc.chosen": 2, "pcc.stop": 3, "take": 4, "pcc.chosen.select": 5}
TAKE = "_system.control.grid.take"
LATCH = {
    True: opendnp3.ControlRelayOutputBlock(opendnp3.OperationType.LATCH_ON),
    False: opendnp3.ControlRelayOutputBlock(opendnp3.OperationType.LATCH_OFF),
}


class Nothing:
    """A history of nothing."""

    def raw(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("nobody asks")


class Master(opendnp3.ISOEHandler):  # type: ignore[misc]  # the binding has no types
    """opendnp3's master, which hears nothing and commands."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._manager = opendnp3.DNP3Manager(1)
        retry = opendnp3.ChannelRetry(
            opendnp3.TimeDuration.Milliseconds(50), opendnp3.TimeDuration.Milliseconds(200)
        )
        end = opendnp3.IPEndpoint("127.0.0.1", port)
        everywhere = "0.0.0.0"  # noqa: S104 - the adapter it connects from
        channel = self._manager.AddTCPClient("tcp", opendnp3.levels.NOTHING, retry, [end], everywhere, None)
        config = opendnp3.MasterStackConfig()
        config.link.LocalAddr, config.link.RemoteAddr = 1, 10
        config.master.responseTimeout = opendnp3.TimeDuration.Seconds(20)
        self._application = Application()
        self._master = channel.AddMaster("master", self, self._application, config)
        self._master.Enable()

    def BeginFragment(self, info: Any) -> None:  # noqa: N802 - opendnp3's name
        pass

    def EndFragment(self, info: Any) -> None:  # noqa: N802
        pass

    def Process(self, info: Any, values: Any) -> None:  # noqa: N802
        pass

    @property
    def is_up(self) -> bool:
        return "STARTUP_INTEGRITY_POLL" in self._application.done

    def close(self) -> None:
        self._manager.Shutdown()

    async def command(self, point: str, value: bool, *, select: bool = False) -> str:
        """The status of a command, direct or selected before."""
        ended = threading.Event()
        found: list[str] = []

        def result(of: Any) -> None:
            found.extend(one.status.name for one in of.to_list())
            found.append(of.summary.name)
            ended.set()

        send = self._master.SelectAndOperate if select else self._master.DirectOperate
        send(LATCH[value], COILS[point], result)
        await until(ended.is_set, "the command's end")
        return found[0]


class Application(opendnp3.IMasterApplication):  # type: ignore[misc]  # the binding has no types
    def __init__(self) -> None:
        super().__init__()
        self.done: set[str] = set()

    def Now(self) -> Any:  # noqa: N802
        return opendnp3.UTCTimestamp(time.time_ns() // 1_000_000)

    def OnTaskComplete(self, info: Any) -> None:  # noqa: N802
        self.done.add(info.type.name)


@dataclass
class Doors:
    """What speaks to the site."""

    site: Site
    region: Region
    modbus_port: int
    dnp3: Master
    opcua: Client
    local: CommandClient

    async def modbus(self, point: str, value: bool) -> int:
        """Write single coil: 0, or the code of the exception."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.modbus_port)
        try:
            address = COILS[point].to_bytes(2, "big")
            writer.write(bytes.fromhex("0001 0000 0006 01 05") + address + (b"\xff\0" if value else b"\0\0"))
            async with asyncio.timeout(20):
                head = await reader.readexactly(7)
                body = await reader.readexactly(int.from_bytes(head[4:6], "big") - 1)
        finally:
            writer.close()
        return body[1] if body[0] & 0x80 else 0

    async def write(self, tag: str, value: bool) -> int:
        """The StatusCode of an OPC UA write by scada."""
        given = ua.WriteValue(ua.NodeId(tag, 2), ua.AttributeIds.Value, None, ua.DataValue(value))
        (result,) = await self.opcua.uaclient.write(ua.WriteParameters([given]))
        return int(result.value)

    async def panel(self, tag: str, value: bool) -> Any:
        """The outcome of olga's command at the page."""
        deadline_ns = time.time_ns() + 10_000_000_000
        return await self.local.send(Command(uuid.uuid4().hex, tag, value, "olga", "hmi", deadline_ns))

    def value(self, tag: str) -> Any:
        return self.region.sample(tag).value


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(is_so: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.02)


def client_files(folder: Path) -> tuple[Path, Path]:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "client")])
    now = datetime.now(UTC)
    uri = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(URI)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(uri, critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "client.der", folder / "client.pem"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.DER))
    plain = serialization.NoEncryption()
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    return files


async def opcua_client(site: Site, paths: RunPaths, folder: Path) -> Client:
    assert site.opcua is not None
    client = Client(f"opc.tcp://127.0.0.1:{site.opcua.port}", timeout=20)
    client.application_uri = URI
    client.set_user("scada")
    client.set_password(PASSWORD)
    certificate, key = await asyncio.to_thread(client_files, folder)
    await client.set_security(
        SecurityPolicyBasic256Sha256, certificate, key, None, paths.pki / "own" / "certificate.der",
        ua.MessageSecurityMode.SignAndEncrypt,
    )  # fmt: skip
    await client.connect()
    return client


@pytest.fixture
async def doors(tmp_path: Path) -> AsyncIterator[Doors]:
    bits = SimData(0, count=16, values=[False], datatype=DataType.BITS)
    device = SimDevice(1, simdata=([bits], [bits], [SimData(0, 1)], [SimData(0, 1)]))
    server = ModbusTcpServer(device, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    ports = {"DEVICE": server.transport.sockets[0].getsockname()[1]}
    ports |= {name: free_port() for name in ("OPCUA", "DNP3", "MODBUS")}
    text = SITE
    for name, port in ports.items():
        text = text.replace(name, str(port))
    (tmp_path / "site.yaml").write_text(text)
    site = load_site(tmp_path / "site.yaml")
    paths = RunPaths(tmp_path / "state", tmp_path / "run")
    paths.runtime.mkdir(mode=0o700)
    paths.state.mkdir(mode=0o700)
    await asyncio.to_thread(Accounts(paths.accounts).set_password, "scada", PASSWORD)
    name = f"doors.{ports['DNP3']}"
    stop = asyncio.Event()
    with Region.create(name, [tag.spec() for tag in site.tags]) as region:
        clients = [CommandClient(paths.command_socket) for _ in range(4)]
        contexts = [PartContext(site, paths, name, stop, asyncio.Event()) for _ in range(4)]
        assert site.dnp3 is not None
        assert site.modbus_server is not None
        parts = [
            asyncio.create_task(drivers.run(contexts[0])),
            asyncio.create_task(opcua.run(contexts[1], clients[1], Nothing())),
            asyncio.create_task(dnp3.run(contexts[2], site.dnp3, clients[2])),
            asyncio.create_task(modbus.run(contexts[3], site.modbus_server, clients[3])),
        ]
        await until(
            lambda: all(each.ready.is_set() for each in contexts) or any(p.done() for p in parts), "ready"
        )
        master = Master(ports["DNP3"])
        client = await opcua_client(site, paths, tmp_path)
        await until(lambda: master.is_up, "the master's start-up")
        await until(lambda: is_good(region.sample("pcc.closed").status), "the device")
        await until(lambda: is_good(region.sample(TAKE).status), "control")
        yield Doors(site, region, ports["MODBUS"], master, client, clients[0])
        await client.disconnect()
        await asyncio.to_thread(master.close)
        stop.set()
        for each in clients:
            await each.close()
        await asyncio.gather(*parts)
    await server.shutdown()


async def test_the_steps_through_every_door(doors: Doors) -> None:
    """One start for both: three servers take some seconds."""
    await interlock_and_select(doors)
    assert await doors.dnp3.command("take", False) == "SUCCESS"
    assert await doors.modbus("pcc.closed", True) == ExcCodes.ILLEGAL_FUNCTION
    await control(doors)


async def control(doors: Doors) -> None:
    """It is taken and lost through every door."""
    # Nobody has it: each door says so in its own words.
    assert await doors.modbus("pcc.closed", True) == ExcCodes.ILLEGAL_FUNCTION
    assert await doors.write("pcc.closed", True) == StatusCodes.BadRequestNotAllowed
    assert await doors.dnp3.command("pcc.closed", True) == "LOCAL"
    assert (await doors.panel("pcc.closed", True)).code is Refusal.NOT_IN_CONTROL
    # Each takes it from the one before, and then commands.
    assert await doors.modbus("take", True) == 0
    assert await doors.modbus("pcc.closed", True) == 0
    assert await doors.write(TAKE, True) == StatusCodes.Good
    assert await doors.modbus("pcc.closed", False) == ExcCodes.ILLEGAL_FUNCTION
    assert await doors.write("pcc.closed", False) == StatusCodes.Good
    assert await doors.dnp3.command("take", True) == "SUCCESS"
    assert await doors.write("pcc.closed", True) == StatusCodes.BadRequestNotAllowed
    assert await doors.dnp3.command("pcc.closed", True) == "SUCCESS"
    await until(lambda: doors.value("_system.control.grid.user") == "utility", "the holder")
    # The panel takes it from all of them, and none of them takes it back.
    assert isinstance(await doors.panel(TAKE, True), Done)
    assert await doors.dnp3.command("take", True) == "LOCAL"
    assert await doors.write(TAKE, False) == StatusCodes.BadRequestNotAllowed
    assert await doors.modbus("take", True) == ExcCodes.ILLEGAL_FUNCTION
    assert isinstance(await doors.panel("pcc.closed", False), Done)
    # An emergency is never locked out.
    assert await doors.modbus("pcc.stop", True) == 0
    assert await doors.dnp3.command("pcc.stop", False) == "SUCCESS"
    assert await doors.write("pcc.stop", True) == StatusCodes.Good
    assert [doors.value(f"pcc.{point}") for point in ("closed", "stop")] == [False, True]


async def interlock_and_select(doors: Doors) -> None:
    """Through every door."""
    assert await doors.modbus("take", True) == 0
    assert await doors.modbus("pcc.closed", True) == 0
    await until(lambda: doors.value("pcc.closed") is True, "read")
    assert await doors.modbus("pcc.locked", True) == ExcCodes.DEVICE_FAILURE
    assert await doors.modbus("pcc.chosen", True) == ExcCodes.ILLEGAL_FUNCTION  # not selected
    assert await doors.modbus("pcc.chosen.select", True) == 0
    assert doors.value("pcc.chosen") is False
    assert await doors.modbus("pcc.chosen", True) == 0
    assert await doors.write(TAKE, True) == StatusCodes.Good
    assert await doors.write("pcc.locked", True) == StatusCodes.BadInvalidState
    assert await doors.write("pcc.chosen", False) == StatusCodes.BadStateNotActive
    assert await doors.write("pcc.chosen.select", False) == StatusCodes.Good
    assert doors.value("pcc.chosen") is True
    assert await doors.write("pcc.chosen", False) == StatusCodes.Good
    assert await doors.dnp3.command("take", True) == "SUCCESS"
    assert await doors.dnp3.command("pcc.locked", True) == "AUTOMATION_INHIBIT"
    assert await doors.dnp3.command("pcc.chosen", True) == "NO_SELECT"
    assert await doors.dnp3.command("pcc.chosen", True, select=True) == "SUCCESS"
    points = ("closed", "locked", "chosen")
    assert [doors.value(f"pcc.{point}") for point in points] == [True, False, True]
