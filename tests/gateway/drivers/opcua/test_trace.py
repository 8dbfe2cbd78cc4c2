"""What a ring of a session holds: services, values, keep-alives and statuses as text, and as tshark reads them."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from asyncua import Server, ua
from asyncua.crypto.permission_rules import User, UserRole
from hypothesis import given, settings
from hypothesis import strategies as st
from opcua_genset import Genset, free_port, running, until

from gateway.config.pki import Usage, own_identity
from gateway.drivers.opcua.describe import OpcUaDescriber
from gateway.drivers.opcua.tapped import HEAD, MESSAGE_BYTES
from gateway.drivers.pcap import Pcap, TcpWrapping
from gateway.drivers.trace import FRAME_BYTES, Ring, Way
from gateway.tags.operate import OperateError

POINTS = """
      power_kw: {node: "nsu=urn:maker:genset;s=Power", unit: kW}
      setpoint_kw: {node: "nsu=urn:maker:genset;s=Setpoint", unit: kW, scale: 0.1, write: {low: -1000, high: 5000}}
      locked_kw: {node: "nsu=urn:maker:genset;s=Current", unit: kW, write: {low: 0, high: 10}}
      run: {node: "nsu=urn:maker:genset;s=Running", type: bool, write: {role: operator},
            method: {object: "nsu=urn:maker:genset;s=Genset", method: "nsu=urn:maker:genset;s=Start"},
            method_false: {object: "nsu=urn:maker:genset;s=Genset", method: "nsu=urn:maker:genset;s=Stop"}}
      missing: {node: "nsu=urn:maker:genset;s=Nowhere"}
"""
PASSWORD = "Öl & Wasser"


def lines(ring: Ring) -> list[str]:
    """As `tieline trace` shows them, without times and octets."""
    describer = OpcUaDescriber()
    arrows = {Way.SENT: ">", Way.RECEIVED: "<", Way.NOTE: "-"}
    return [
        f"{arrows[Way(way)]} {octets.decode() if way == Way.NOTE else describer.describe(Way(way), octets)}"
        for _, _, way, octets in ring.since(0)
    ]


async def seen(ring: Ring, *patterns: str) -> None:
    """Until there is a line of each pattern."""

    def missing() -> list[str]:
        shown = lines(ring)
        return [one for one in patterns if not any(re.search(one, line) for line in shown)]

    try:
        await until(lambda: not missing(), "lines")
    except AssertionError:
        raise AssertionError(f"no {missing()} in\n" + "\n".join(lines(ring))) from None


async def test_requests_answers_and_notifications_are_lines(genset: Any, tmp_path: Path) -> None:
    async with running(tmp_path, genset.url, POINTS) as plant:
        ring = plant.driver.traces()["genset"]
        assert (ring.protocol, ring.where) == ("opcua", f"127.0.0.1:{genset.port}")
        await plant.becomes("power_kw", 42.5)
        await seen(
            ring,
            r"^- connected",
            r"^- CreateSession answered",
            r"^> #\d+ Read i=2255 ",
            r"^< #\d+ Read Good \['http://opcfoundation.org/UA/'",
            r"^> #\d+ CreateSubscription every 100 ms, keep-alive after \d+",
            r"^< #\d+ CreateSubscription Good subscription \d+ every 100 ms",
            r"^> #\d+ CreateMonitoredItems 5 for subscription \d+",
            r"^< #\d+ CreateMonitoredItems Good 4 Good, 1 BadNodeIdUnknown",
            r"^< #\d+ Publish Good subscription \d+ message \d+ item \d+ = ",
            r"^> #\d+ Publish confirms message \d+ of subscription \d+",
            r"^< #\d+ Publish Good subscription \d+ message \d+ keep-alive",
        )


async def test_a_value_that_changes_and_its_status_are_in_the_notification(
    genset: Any, tmp_path: Path
) -> None:
    async with running(tmp_path, genset.url, POINTS) as plant:
        ring = plant.driver.traces()["genset"]
        await plant.becomes("power_kw", 42.5)
        await genset.tell("Power", 43.75)
        await seen(ring, r"^< #\d+ Publish Good subscription \d+ message \d+ item \d+ = 43.75$")
        await genset.tell("Power", 1.5, status=ua.StatusCodes.UncertainLastUsableValue)
        await seen(ring, r"item \d+ = 1.5 UncertainLastUsableValue$")


async def test_commands_and_what_the_server_makes_of_them_are_lines(genset: Any, tmp_path: Path) -> None:
    async with running(tmp_path, genset.url, POINTS) as plant:
        ring = plant.driver.traces()["genset"]
        await plant.becomes("setpoint_kw", 100.0)
        await plant.driver.operate(plant.tag("setpoint_kw"), 120.0)
        await seen(ring, r"^> #\d+ Write ns=\d;s=Setpoint = 1200", r"^< #\d+ Write Good 1 Good")
        with pytest.raises(OperateError):
            await plant.driver.operate(plant.tag("locked_kw"), 5.0)
        await seen(ring, r"^< #\d+ Write Good 1 Bad")
        await plant.driver.operate(plant.tag("run"), True)
        await seen(ring, r"^> #\d+ Call ns=\d;s=Start of ns=\d;s=Genset \(\)", r"^< #\d+ Call Good Good")


async def test_how_a_session_ended_is_a_line(genset: Any, proxy: Any, tmp_path: Path) -> None:
    async with running(tmp_path, f"opc.tcp://127.0.0.1:{proxy.port}/", POINTS) as plant:
        ring = plant.driver.traces()["genset"]
        await plant.becomes("power_kw", 42.5)
        proxy.cut()
        await seen(ring, r"^- the connection broke")
        shown = lines(ring)
        ended = next(i for i, line in enumerate(shown) if line.startswith("- the connection broke"))
        await until(
            lambda: any(line == "- connected" for line in lines(ring)[ended:]), "it is connected again"
        )


async def test_tshark_reads_the_capture(genset: Any, tmp_path: Path) -> None:
    async with running(tmp_path, genset.url, POINTS) as plant:
        ring = plant.driver.traces()["genset"]
        await plant.becomes("power_kw", 42.5)
        await genset.tell("Power", 43.75)
        await seen(ring, r"item \d+ = 43.75$")
        frames = ring.since(0)
    file = tmp_path / "opcua.pcap"
    with file.open("wb") as opened:
        pcap = Pcap(opened, TcpWrapping(ring.where, 4840))
        for _, at_ns, way, octets in frames:
            pcap.write(at_ns, Way(way), octets)
    command = ["tshark", "-r", str(file), "-T", "fields", "-e", "opcua.servicenodeid.numeric", "-e", "opcua.Double",
               "-e", "_ws.malformed"]  # fmt: skip
    ran = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=True, timeout=60
    )
    shown = ran.stdout
    rows = [line.split("\t") for line in shown.splitlines()]
    whole = [octets for _, _, way, octets in frames if way != Way.NOTE and len(octets) < FRAME_BYTES]
    assert len([row for row in rows if row[0] and not row[2]]) >= len(whole)
    services = {row[0] for row in rows}
    assert {"631", "634", "751", "754", "787", "790", "826", "829"} <= services
    assert any("43.75" in row[1] for row in rows)


async def test_nothing_that_lets_one_in_is_kept(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """An encrypted session with a password: its token, password and nonces are in no frame."""

    class Users:
        def get_user(
            self,
            iserver: Any,
            username: str | None = None,
            password: str | None = None,
            certificate: Any = None,
        ) -> User | None:
            return User(role=UserRole.User) if (username, password) == ("tieline", PASSWORD) else None

    files = tmp_path_factory.mktemp("server")
    identity = own_identity(files, "genset", "127.0.0.1", Usage.SERVER)

    async def prepare(server: Server) -> None:
        await server.set_application_uri(identity.application_uri)
        await server.load_certificate(str(files / "own" / "certificate.der"))
        await server.load_private_key(str(files / "own" / "private_key.pem"))
        server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
        server.iserver.user_manager = Users()
        server.set_identity_tokens([ua.UserNameIdentityToken])

    trusted = tmp_path / "pki" / "servers" / "trusted"
    trusted.mkdir(parents=True)
    shutil.copy(files / "own" / "certificate.der", trusted)
    (tmp_path / "password").write_text(PASSWORD)
    genset = Genset(free_port(), prepare)
    await genset.up()
    try:
        more = "user: tieline, password_file: password, verify_s: 60"
        security = "Basic256Sha256:SignAndEncrypt"
        async with running(tmp_path, genset.url, POINTS, security=security, more=more) as plant:
            ring = plant.driver.traces()["genset"]
            await plant.becomes("power_kw", 42.5)
            await seen(ring, r"^< #\d+ Read Good", "item .* = 42.5", "^- ActivateSession answered")
            connection = plant.driver.servers[0]._connection
            assert connection is not None
            protocol = connection._client.uaclient.protocol
            nonces = [protocol._connection.local_nonce, protocol._connection.remote_nonce]
            told = ring.since(0)
            assert all(len(nonce) >= 32 for nonce in nonces)
            assert not [
                secret for secret in (*nonces, PASSWORD.encode()) for *_, octets in told if secret in octets
            ]
            # The token of a request follows its type, a NodeId of four octets: it is the null NodeId.
            asked = [octets[HEAD.size :] for _, _, way, octets in told if way == Way.SENT]
            assert {(body[0], body[4:6]) for body in asked} == {(1, b"\0\0")}
    finally:
        await genset.down()


def message(body: bytes) -> bytes:
    return HEAD.pack(b"MSGF", HEAD.size + len(body), 1, 1, 1, 7) + body


# Encodings of all services that have lines of their own, and of others
SERVICES = (
    397,
    527,
    530,
    631,
    634,
    673,
    676,
    712,
    715,
    751,
    754,
    781,
    784,
    787,
    790,
    826,
    829,
    847,
    850,
    799,
    11,
    99_999,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SERVICES), st.binary(max_size=200), st.sampled_from([Way.SENT, Way.RECEIVED]))
def test_any_octets_are_a_line(service: int, octets: bytes, way: Way) -> None:
    describer = OpcUaDescriber()
    kind = b"\2\0\0" + service.to_bytes(4, "little")
    header = b"\0\0" + bytes(16) + b"\xff\xff\xff\xff" + bytes(4) + bytes(3)
    for body in (octets, kind + octets, kind + header + octets):
        assert describer.describe(way, message(body)).isprintable()


def test_a_message_that_was_cut_shows_what_there_is() -> None:
    reads = b"\1\0\x77\2" + b"\0\0" + bytes(16) + b"\xff\xff\xff\xff" + bytes(4) + bytes(3)
    reads += bytes(12) + (400).to_bytes(4, "little")
    reads += (b"\1\1\1\0" + b"\x0d\0\0\0" + b"\xff\xff\xff\xff" + b"\0\0\xff\xff\xff\xff") * 400
    shown = OpcUaDescriber().describe(Way.SENT, message(reads[:MESSAGE_BYTES]))
    assert shown.startswith("#7 Read ns=1;i=1 ns=1;i=1 ns=1;i=1 ns=1;i=1")


@pytest.mark.parametrize("letters", ["\x1b[31m", "\x07", "\u202e"])
def test_no_text_of_a_server_reaches_the_terminal_as_more_than_text(letters: str) -> None:
    text = letters.encode()
    body = b"\1\0\x7a\2" + bytes(12) + bytes(4) + b"\0" + bytes(4) + bytes(3)
    body += (1).to_bytes(4, "little") + b"\1\x0c" + len(text).to_bytes(4, "little") + text
    shown = OpcUaDescriber().describe(Way.RECEIVED, message(body))
    assert shown.startswith("#7 Read Good '")
    assert shown.isprintable()
