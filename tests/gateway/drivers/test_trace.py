"""Rings of frames, the socket that they are asked for by, and the command that shows them."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.drivers.pcap import CanWrapping, Pcap, SerialWrapping, TcpWrapping, Wrapping
from gateway.drivers.trace import FRAME_BYTES, FRAMES, Ring, Way
from gateway.drivers.trace_cli import READINGS, add_commands
from gateway.drivers.trace_socket import CONNECTIONS, NoTraceError, TraceServer, open_trace
from gateway.node.cli import main


class Bench:
    """A driver of two devices on one line, and of one on another."""

    def __init__(self) -> None:
        self.line = Ring("modbus-rtu", "/dev/ttyUSB0")
        self.other = Ring("modbus-tcp", "192.0.2.7:502")

    def traces(self) -> Mapping[str, Ring]:
        return {"meter1": self.line, "meter2": self.line, "inverter": self.other}


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
async def path(tmp_path: Path, bench: Bench) -> AsyncIterator[Path]:
    (tmp_path / "run").mkdir()
    server = TraceServer(tmp_path / "run" / "drivers.trace", [bench])
    await server.start()
    yield tmp_path / "run" / "drivers.trace"
    await server.stop()
    assert not (tmp_path / "run" / "drivers.trace").exists()


def test_a_ring_keeps_the_last_frames_and_counts_all() -> None:
    ring = Ring("x", "there", frames=3)
    for octet in range(5):
        (ring.sent if octet % 2 else ring.received)(bytes([octet]))
    assert [(frame[0], frame[2], frame[3]) for frame in ring.since(0)] == [
        (3, Way.RECEIVED, b"\2"),
        (4, Way.SENT, b"\3"),
        (5, Way.RECEIVED, b"\4"),
    ]
    assert [frame[0] for frame in ring.since(4)] == [5]
    assert ring.since(5) == []


def test_a_ring_is_bounded_whatever_comes() -> None:
    ring = Ring("x", "there")
    for _ in range(3 * FRAMES):
        ring.received(bytes(100 * FRAME_BYTES))
    frames = ring.since(0)
    assert len(frames) == FRAMES
    assert {len(frame[3]) for frame in frames} == {FRAME_BYTES}


async def test_the_socket_is_the_users_own(path: Path) -> None:
    assert os.stat(path).st_mode & 0o777 == 0o600  # noqa: PTH116 - it waits for nothing


async def test_frames_come_in_order_with_their_way_and_time(path: Path, bench: Bench) -> None:
    bench.line.note("connected")
    bench.line.sent(b"\1\2")
    bench.line.received(b"\3")

    def ask() -> tuple[object, list[object]]:
        trace = open_trace([path], "meter2", follow=False)
        told = (trace.protocol, trace.where, trace.devices)
        frames = list(trace)
        trace.close()
        return told, frames

    told, frames = await asyncio.to_thread(ask)
    assert told == ("modbus-rtu", "/dev/ttyUSB0", ("meter1", "meter2"))
    assert frames == bench.line.since(0)


async def test_who_follows_gets_what_comes_and_is_told_what_was_lost(path: Path, bench: Bench) -> None:
    bench.other.sent(b"\0")
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b'{"trace": "inverter", "follow": true}\n')
    async with asyncio.timeout(20):
        assert json.loads(await reader.readline())["protocol"] == "modbus-tcp"
        assert json.loads(await reader.readline())["number"] == 1
        bench.other.received(b"\1")
        assert json.loads(await reader.readline())["octets"] == "01"
        for _ in range(FRAMES + 7):  # in one turn of the loop: nobody can have looked in between
            bench.other.sent(b"\2")
        assert json.loads(await reader.readline()) == {"lost": 7}
        assert json.loads(await reader.readline())["number"] == 10
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    "line",
    [b"\n", b"[]\n", b"{}\n", b"nothing", b"x" * 10_000, b'{"trace": 1}\n', b'{"trace": []}\n', b"[" * 4_000],
    ids=lambda line: line[:20].decode(),
)
async def test_a_request_that_is_none_is_told_so_and_ends_that_connection_only(
    path: Path, bench: Bench, line: bytes
) -> None:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(line)
    writer.write_eof()
    async with asyncio.timeout(20):
        told = await reader.read()
    writer.close()
    assert json.loads(told)["why"].startswith("a request is one line of JSON")
    trace = await asyncio.to_thread(open_trace, [path], "inverter", follow=False)
    trace.close()


async def test_connections_are_bounded(path: Path) -> None:
    many = [await asyncio.open_unix_connection(path) for _ in range(CONNECTIONS)]
    for _, writer in many:
        writer.write(b'{"trace": "inverter", "follow": true}\n')
    async with asyncio.timeout(20):
        for reader, _ in many:
            assert await reader.readline()
        reader, writer = await asyncio.open_unix_connection(path)
        assert json.loads(await reader.read()) == {"why": f"{CONNECTIONS} follow already"}
        with pytest.raises(NoTraceError, match="follow already"):
            await asyncio.to_thread(open_trace, [path], "inverter", follow=False)
    for _, each in [*many, (reader, writer)]:
        each.close()
        await each.wait_closed()


async def test_a_device_that_there_is_not(path: Path, tmp_path: Path) -> None:
    with pytest.raises(NoTraceError, match="there are: inverter, meter1, meter2"):
        await asyncio.to_thread(open_trace, [path], "meter3", follow=False)
    with pytest.raises(NoTraceError, match="no driver of this site is running"):
        open_trace([], "meter1", follow=False)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead.trace"))
    with pytest.raises(NoTraceError, match="no driver of this site is running"):
        open_trace([tmp_path / "dead.trace"], "meter1", follow=False)


@pytest.fixture
def tieline(capsys: pytest.CaptureFixture[str]) -> Callable[..., Awaitable[tuple[int, str, str]]]:
    """The command's exit status, output and errors."""

    async def run(*arguments: str) -> tuple[int, str, str]:
        status = await asyncio.to_thread(main, ["trace", *arguments])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


async def test_the_command_shows_frames_decoded_with_their_octets(
    path: Path, bench: Bench, tmp_path: Path, tieline
) -> None:
    bench.other.note("connected")
    bench.other.sent(bytes.fromhex("0011 0000 0006 01 03 0000 0002"))
    bench.other.received(bytes.fromhex("0011 0000 0007 01 03 04 0001 00ff"))
    bench.other.sent(bytes.fromhex("0012 0000 0027 01 10 0000 0010 20") + bytes(32))
    state = ("--state", str(tmp_path))
    status, output, _ = await tieline("inverter", *state)
    lines = output.splitlines()
    assert status == 0
    assert lines[0] == "modbus-tcp at 192.0.2.7:502"
    assert lines[1].endswith(" - connected")
    assert lines[2].endswith(" > unit 1 #17 read holding 0..1  |  00 11 00 00 00 06 01 03 00 00 00 02")
    assert " < unit 1 #17 holding 0..1: 0001 00ff  |  00 11" in lines[3]
    assert lines[4].endswith(" ... (45)")
    status, output, _ = await tieline("inverter", *state, "--raw")
    assert output.splitlines()[4].endswith("00 00")
    status, output, errors = await tieline("inverted", *state)
    assert (status, output) == (1, "")
    assert "there are: inverter" in errors
    status, _, errors = await tieline("meter1", *state, "--pcap", str(tmp_path / "new.pcap"))
    assert (status, errors) == (0, f"0 frames written to {tmp_path / 'new.pcap'}\n")
    assert os.stat(tmp_path / "new.pcap").st_mode & 0o777 == 0o600  # noqa: PTH116 - likewise
    assert (await tieline("meter1", *state, "--pcap", str(tmp_path / "new.pcap")))[0] == 2
    assert (await tieline("meter1", *state, "--pcap", str(tmp_path / "none" / "new.pcap")))[0] == 1


@asynccontextmanager
async def dying_driver(path: Path, told: bytes) -> AsyncIterator[None]:
    """It answers so far, and is gone."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b'{"protocol": "can", "where": "can0", "devices": ["bms"]}\n' + told)
        writer.close()

    server = await asyncio.start_unix_server(answer, path)
    yield
    server.close()
    await server.wait_closed()


async def test_who_follows_is_told_of_the_end_of_the_drivers(tmp_path: Path, tieline) -> None:
    (tmp_path / "run").mkdir()
    frame = b'{"number": 1, "at_ns": 5, "way": 1, "octets": "000001230100000001"}\n'
    async with dying_driver(tmp_path / "run" / "drivers.trace", frame):
        status, output, errors = await tieline("bms", "--state", str(tmp_path), "--follow")
    assert status == 1
    assert "123 [1] 01" in output
    assert "has ended" in errors


async def test_what_is_cut_in_the_middle_of_a_line_is_the_end(tmp_path: Path) -> None:
    async with dying_driver(tmp_path / "drivers.trace", b'{"number": 1, "at'):
        trace = await asyncio.to_thread(open_trace, [tmp_path / "drivers.trace"], "bms", follow=False)
        assert await asyncio.to_thread(list, trace) == []
        assert trace.is_cut
        trace.close()


async def test_a_capture_may_be_followed_through_a_pipe(path: Path, bench: Bench, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.node", "trace", "inverter",
        "--state", str(tmp_path), "--follow", "--pcap", "-",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        # Where the tests run in the background Ctrl-C is ignored, and what they start would ignore it as well.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            assert len(await process.stdout.readexactly(24)) == 24
            bench.other.sent(b"\1\2\3")
            packet = await process.stdout.readexactly(16 + 40 + 3)
        assert packet.endswith(b"\1\2\3")
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            _, errors = await process.communicate()
        assert errors.decode() == "1 frames written to -\n"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def tshark(file: Path, *options: str) -> list[str]:
    done = subprocess.run(
        ["tshark", "-r", str(file), "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", *options],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return done.stdout.splitlines()


def capture(file: Path, wrapping: Wrapping, frames: list[tuple[Way, str]]) -> Path:
    with file.open("wb") as opened:
        pcap = Pcap(opened, wrapping)
        for at, (way, octets) in enumerate(frames):
            pcap.write(1_790_000_000_000_000_000 + at * 1_000_000, way, bytes.fromhex(octets))
    return file


def test_tshark_reads_modbus_tcp_of_two_connections(tmp_path: Path) -> None:
    ask, answer = "0001 0000 0006 01 03 0000 0002", "0001 0000 0007 01 03 04 0001 0002"
    file = capture(
        tmp_path / "tcp.pcap",
        TcpWrapping("127.0.0.1:15020", 502),
        [
            (Way.NOTE, ""), (Way.SENT, ask), (Way.RECEIVED, answer[:20]), (Way.RECEIVED, answer[20:]),
            (Way.NOTE, ""), (Way.NOTE, ""), (Way.SENT, ask), (Way.RECEIVED, "0001 0000 0003 01 83 02"),
        ],
    )  # fmt: skip
    fields = (
        "-T",
        "fields",
        "-e",
        "tcp.stream",
        "-e",
        "mbtcp.trans_id",
        "-e",
        "modbus.func_code",
        "-e",
        "modbus.regval_uint16",
        "-e",
        "modbus.exception_code",
    )
    assert tshark(file, "-Y", "modbus", *fields) == [
        "0\t1\t3\t\t",
        "0\t1\t3\t1,2\t",
        "1\t1\t3\t\t",
        "1\t1\t3\t\t2",
    ]
    bad = "_ws.malformed || _ws.expert.severity >= 0x600000 || tcp.checksum.status == 0 || ip.checksum.status == 0"
    assert tshark(file, "-Y", bad) == []


def test_tshark_reads_modbus_rtu(tmp_path: Path) -> None:
    frames = [(Way.SENT, "01 03 0000 0002 c40b"), (Way.NOTE, ""), (Way.RECEIVED, "01 83 02 c0f1")]
    file = capture(tmp_path / "rtu.pcap", SerialWrapping(), frames)
    fields = ("-T", "fields", "-e", "mbrtu.unit_id", "-e", "modbus.func_code", "-e", "modbus.exception_code")
    assert tshark(file, "-d", "rtacser.data,mbrtu", *fields) == ["1\t3\t", "1\t3\t2"]


def test_tshark_reads_can(tmp_path: Path) -> None:
    file = capture(tmp_path / "can.pcap", CanWrapping(), [(Way.RECEIVED, "00000123 04 00 00 00 01020304")])
    assert tshark(file, "-T", "fields", "-e", "can.id", "-e", "can.len") == ["291\t4"]


def test_a_name_of_a_device_that_is_no_address_and_ports_that_come_round() -> None:
    wrapping = TcpWrapping("inverter7.example:502", 502)
    first = wrapping.packet(0, Way.SENT, b"\1")
    assert first[16:20] == bytes([192, 0, 2, 2])
    ports = set()
    for _ in range(20_000):
        wrapping.restart()
        ports.add(int.from_bytes(wrapping.packet(0, Way.SENT, b"")[20:22], "big"))
    assert (min(ports), max(ports)) == (49_152, 65_535)


def test_every_protocol_has_its_reading_and_every_option_is_in_the_docs() -> None:
    page = (Path(__file__).parents[3] / "docs" / "trace.md").read_text(encoding="utf-8")
    for protocol, reading in READINGS.items():
        assert f"`{protocol}`" in page
        assert reading.describer().describe(Way.SENT, bytes(1))
        assert reading.wrapping("there").packet(0, Way.SENT, bytes(16))
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    add_commands(commands)
    options = {option for action in commands.choices["trace"]._actions for option in action.option_strings}
    assert all(option in page for option in options - {"-h", "--help"})
    assert f"last {FRAMES} frames" in page
