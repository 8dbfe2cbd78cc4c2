"""Modbus/TCP Security from the other side: clients by pymodbus and OpenSSL, with good certificates and others."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.client import AsyncModbusTlsClient

from gateway.config.load import load_site
from gateway.config.tls import TlsError
from gateway.servers.modbus.role import RoleError, role_of, text_of

CLIENTS = "clients: {ems: {hosts: [127.0.0.0/8], user: dispatcher}}"
SECURE = """clients:
          ems: {hosts: [127.0.0.0/8], user: dispatcher, role: Operator}
          meters: {hosts: [127.0.0.0/8], user: watcher, role: Viewer}
        tls: {certificate: door.pem, key: door.key, authorities: authority.pem}"""
READ, ANSWER = "02 0000 0001", "020101"
WRITE = "05 0000 ff00"


@pytest.fixture
def pki(tmp_path: Path, new_pki: Callable[[Path], object]):
    made = new_pki(tmp_path)
    made.authority("authority")
    made.authority("elsewhere")
    made.leaf("door", "authority")
    made.leaf("operator", "authority", role="Operator")
    return made


@pytest.fixture
def text(text: str, pki) -> str:
    assert CLIENTS in text
    return text.replace(CLIENTS, SECURE)


def context(folder: Path, name: str | None) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=str(folder / "authority.pem"))
    if name is not None:
        made.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return made


@pytest.fixture
def ask(served, wire, tmp_path: Path) -> Callable[[str | None, str], AsyncIterator[str | None]]:
    """The answer to a PDU from one with this certificate; None where there is no connection."""
    frame, answer = wire

    async def asked(name: str | None, pdu: str) -> str | None:
        try:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", served.port, ssl=context(tmp_path, name), server_hostname="localhost"
            )
        except (ssl.SSLError, ConnectionError):
            return None
        try:
            writer.write(frame(1, 1, pdu))
            async with asyncio.timeout(10):
                return await answer(reader, 1, 1)
        except (ssl.SSLError, ConnectionError, asyncio.IncompleteReadError):
            return None
        finally:
            writer.transport.abort()

    return asked


async def test_pymodbus_reads_and_commands_as_its_role_may(served, pki) -> None:
    client = AsyncModbusTlsClient(
        "127.0.0.1", port=served.port, sslctx=context(pki.folder, "operator"), timeout=5
    )
    assert await client.connect()
    try:
        assert (await client.read_discrete_inputs(0, count=2, device_id=1)).bits[:2] == [True, False]
        assert not (await client.write_coil(0, True, device_id=1)).isError()
        assert (await client.read_discrete_inputs(7, device_id=1)).exception_code == 2
    finally:
        client.close()
    assert served.wishes == [("d.close", True)]
    assert served.commands[0].user == "dispatcher"


@pytest.mark.parametrize(
    ("role", "read", "write"),
    [
        ("Operator", ANSWER, "050000ff00"),
        ("Viewer", ANSWER, "8501"),  # a user that may not write
        ("Engineer", "8201", "8501"),  # a role that nobody there has
        ("operator", "8201", "8501"),  # roles are told apart by case
        (None, "8201", "8501"),
        (b"\x13\x08Operator", "8201", "8501"),  # a PrintableString
        (b"\x0c\x09Operator", "8201", "8501"),
        (b"\x0c\x02\xff\xfe", "8201", "8501"),
        (b"", "8201", "8501"),
    ],
)
async def test_the_role_decides(served, pki, ask, role, read: str, write: str) -> None:
    pki.leaf("someone", "authority", role=role)
    assert await ask("someone", READ) == read
    assert await ask("someone", WRITE) == write
    assert bool(served.commands) is (write == "050000ff00")


async def test_a_client_without_a_role_is_one_whose_certificate_says_none(
    tmp_path, served, pki, wire, text: str
) -> None:
    pki.leaf("plain", "authority")
    one = type(served)(tmp_path, text.replace(", role: Viewer", ""))
    one.fill()
    await one.door.open()
    frame, answer = wire
    try:
        for name, expected in (("plain", ANSWER), ("operator", ANSWER)):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", one.port, ssl=context(tmp_path, name), server_hostname="localhost"
            )
            writer.write(frame(1, 1, READ))
            async with asyncio.timeout(10):
                assert await answer(reader, 1, 1) == expected
            writer.write(frame(2, 1, WRITE))
            async with asyncio.timeout(10):
                assert await answer(reader, 2, 1) == ("050000ff00" if name == "operator" else "8501")
            writer.transport.abort()
    finally:
        await one.door.close()
        one.writer.release()
        one.region.close()


@pytest.mark.parametrize("who", ["stranger", "expired", None])
async def test_without_a_good_certificate_nothing_is_answered(served, pki, ask, who: str | None) -> None:
    pki.leaf("stranger", "elsewhere", role="Operator")
    pki.leaf("expired", "authority", role="Operator", is_expired=True)
    assert await ask(who, READ) is None
    assert await ask("operator", READ) == ANSWER
    assert not served.commands


@pytest.mark.parametrize(("version", "is_taken"), [("-tls1", False), ("-tls1_1", False), ("-tls1_2", True)])
async def test_old_tls_is_not_spoken(served, pki, version: str, is_taken: bool) -> None:
    files = ("-cert", str(pki.folder / "operator.pem"), "-key", str(pki.folder / "operator.key"))
    process = await asyncio.create_subprocess_exec(
        "openssl", "s_client", "-connect", f"127.0.0.1:{served.port}", *files, version,
        "-cipher", "ALL:@SECLEVEL=0", "-brief",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(20):
        output, _ = await process.communicate()
    assert (b"CONNECTION ESTABLISHED" in output) is is_taken, output


async def test_who_speaks_no_tls_is_told_nothing(served, wire) -> None:
    frame, _ = wire
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(frame(1, 1, READ))
    async with asyncio.timeout(10):
        told = await reader.read(100)
    assert told[:1] in (b"", b"\x15")  # nothing, or an alert of TLS
    writer.transport.abort()


async def test_a_certificate_that_is_gone_at_the_start_is_said(served, pki) -> None:
    await served.door.close()
    (pki.folder / "door.pem").unlink()
    with pytest.raises(TlsError, match=r"door\.pem"):
        await served.door.open()


def test_a_certificate_that_is_none_has_no_role() -> None:
    with pytest.raises(RoleError):
        role_of(b"\x30\x00")


@given(st.binary(max_size=300))
def test_any_extension_is_a_role_or_refused(octets: bytes) -> None:
    try:
        role = text_of(octets)
    except RoleError:
        return
    assert octets == b"\x0c" + bytes([len(role.encode())]) + role.encode()


def test_a_door_with_tls_is_at_802_and_one_without_at_502(tmp_path, pki, text: str) -> None:
    plain = """
      plain:
        clients: {scada: {hosts: [127.0.0.1]}}
        units: {0: {points: {d.closed: {table: discrete, address: 7}}}}
"""
    file = tmp_path / "ports.yaml"
    file.write_text(text.replace("        port: 1502\n", "").rstrip() + plain)
    server = load_site(file).modbus_server
    assert server is not None
    assert [(door.name, door.port) for door in server.doors] == [("main", 802), ("plain", 502)]
