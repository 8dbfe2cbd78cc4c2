"""Modbus/TCP Security from our side: a device by pymodbus, servers by OpenSSL that are not whom we asked for."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config.modbus import RegisterType, Table, Transport
from gateway.config.tls import TlsFiles, bears
from gateway.tags.quality import Quality

PEERS = Path(__file__).parent / "peers"
H = Table.HOLDING


@pytest.fixture
def pki(tmp_path: Path, new_pki: Callable[[Path], object]):
    made = new_pki(tmp_path)
    made.authority("authority")
    made.leaf("tieline", "authority", role="Operator")
    made.leaf("device", "authority")
    made.authority("elsewhere")
    return made


def files(folder: Path, name: str = "tieline") -> TlsFiles:
    return TlsFiles(folder / f"{name}.pem", folder / f"{name}.key", folder / "authority.pem")


@contextmanager
def pymodbus_device(folder: Path, name: str = "device") -> Iterator[int]:
    command = [
        sys.executable,
        str(PEERS / "pymodbus_tls_server.py"),
        *(str(folder / part) for part in (f"{name}.pem", f"{name}.key", "authority.pem")),
        *("0001", "00ff", "0000", "0000"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


@contextmanager
def openssl_server(folder: Path, name: str, *options: str) -> Iterator[int]:
    """It shakes hands, and says nothing more."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    files = ("-cert", str(folder / f"{name}.pem"), "-key", str(folder / f"{name}.key"))
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", *files, *options]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        try:
            while "ACCEPT" not in (line := process.stdout.readline()):
                assert line, "the server ended"
            yield port
        finally:
            process.kill()


def add(site, point, port: int, tls: TlsFiles, names: tuple[str, ...] = ("127.0.0.1",)) -> None:
    points = [
        point("first", H, 0, RegisterType.UINT16),
        point("limit", H, 2, RegisterType.FLOAT32, writable=True),
    ]
    site.add("d", port, points, transport=Transport.TLS, tls=tls, names=names, timeout_ms=5_000)


async def test_a_device_by_another_is_read_and_written(site, point, pki) -> None:
    with pymodbus_device(pki.folder) as port:
        add(site, point, port, files(pki.folder))
        site.start()
        await site.until_good("d.first", "d.limit")
        assert site.value("d.first") == 1
        tag = site.tag("d.limit")
        await site.driver.operate(tag, 42.5)
        assert await site.driver.read_back(tag) == 42.5
        await site.stop()


@pytest.mark.parametrize(
    ("names", "is_it"), [(("inverter7.example", "localhost"), True), (("inverter7.example",), False)]
)
async def test_the_certificate_has_to_bear_one_of_the_names(site, point, pki, names, is_it: bool) -> None:
    with pymodbus_device(pki.folder) as port:
        add(site, point, port, files(pki.folder), names)
        site.start()
        if is_it:
            await site.until_good("d.first")
        else:
            await site.until(lambda: "is not of inverter7.example" in site.value("_system.d.last_error"))
            assert site.status("d.first") != Quality.GOOD
        await site.stop()


@pytest.mark.parametrize(
    ("make", "options", "why"),
    [
        (lambda pki: pki.leaf("wrong", "elsewhere"), (), "unable to get local issuer certificate"),
        (lambda pki: pki.leaf("wrong", "authority", is_expired=True), (), "certificate has expired"),
        (lambda pki: pki.leaf("wrong", "authority"), ("-tls1", "-cipher", "ALL:@SECLEVEL=0"), "version"),
    ],
    ids=["other authority", "expired", "TLS 1.0"],
)
async def test_a_server_that_is_not_to_be_trusted_is_told_nothing(
    site, point, pki, make, options: tuple[str, ...], why: str
) -> None:
    make(pki)
    with openssl_server(pki.folder, "wrong", *options) as port:
        add(site, point, port, files(pki.folder))
        site.start()
        await site.until(lambda: why in site.value("_system.d.last_error"))
        assert site.value("_system.d.requests") == 0
        assert site.status("d.first") != Quality.GOOD
        await site.stop()


async def test_a_device_that_does_not_take_our_certificate_is_told_of(site, point, pki) -> None:
    pki.leaf("stranger", "elsewhere")
    with pymodbus_device(pki.folder) as port:
        add(site, point, port, files(pki.folder, "stranger"))
        site.start()
        await site.until(lambda: "does not accept our certificate" in site.value("_system.d.last_error"))
        assert site.value("_system.d.connected") is False
        await site.stop()


async def test_renewed_files_are_used_by_the_next_connection(site, point, pki) -> None:
    pki.leaf("ours", "elsewhere")
    with pymodbus_device(pki.folder) as port:
        add(site, point, port, files(pki.folder, "ours"))
        site.start()
        await site.until(lambda: "does not accept our certificate" in site.value("_system.d.last_error"))
        (pki.folder / "ours.key").unlink()
        await site.until(lambda: "No such file" in site.value("_system.d.last_error"))
        pki.leaf("ours", "authority")
        await site.until_good("d.first")
        await site.stop()


@pytest.mark.parametrize(
    ("certificate", "name", "is_it"),
    [
        ({"subjectAltName": (("DNS", "A.example"),)}, "a.EXAMPLE", True),
        ({"subjectAltName": (("DNS", "*.example.org"),)}, "a.example.org", True),
        ({"subjectAltName": (("DNS", "*.example.org"),)}, "a.b.example.org", False),
        ({"subjectAltName": (("DNS", "*.org"),)}, "example.org", False),
        ({"subjectAltName": (("IP Address", "0:0:0:0:0:0:0:1"),)}, "::1", True),
        ({"subjectAltName": (("IP Address", "192.0.2.1"),)}, "192.0.2.2", False),
        ({"subjectAltName": (("DNS", "192.0.2.1"),)}, "a", False),
        ({"subjectAltName": (("IP Address", "192.0.2.1"),)}, "a", False),
        ({"subject": ((("commonName", "SN-1234"),),)}, "sn-1234", True),
        ({"subject": ((("commonName", "a"),),), "subjectAltName": (("DNS", "b"),)}, "a", False),
        ({}, "a", False),
    ],
)
def test_whose_certificate_it_is(certificate: dict[str, object], name: str, is_it: bool) -> None:
    assert bears(certificate, ["other", name]) is is_it


async def test_a_handshake_that_does_not_end_is_given_up_in_time(site, point, pki, peer) -> None:
    add(site, point, peer.port, files(pki.folder))
    site.configs[0] = replace(site.configs[0], timeout_ms=100)
    site.start()
    async with asyncio.timeout(10):
        first = await peer.visit()
        assert await first.ended()
    await site.until(lambda: "within 0.1 s" in site.value("_system.d.last_error"))
