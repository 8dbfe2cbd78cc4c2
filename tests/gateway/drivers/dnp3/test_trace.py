"""`tieline trace` of a DNP3 device: its frames out of the library's log, what they say, a capture of them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from dnp3_interop_wire import settle
from dnp3_rtu import SITE, T0, Rtu, free_port, running_rtu, until

from gateway.drivers.dnp3 import engine
from gateway.drivers.dnp3.describe import Dnp3Describer, describe_fragment
from gateway.drivers.dnp3.engine import FRAMES, TOLD_FROM_HERE
from gateway.drivers.dnp3.frames import FrameLog
from gateway.drivers.pcap import Pcap
from gateway.drivers.trace import Ring, Way
from gateway.drivers.trace_cli import READINGS, line_of
from gateway.drivers.trace_socket import TraceServer, open_trace
from gateway.servers.dnp3.objects import Kind

HERE = Path(__file__).parent

HEAD, BODY = "05 64 0A 44 01 00 0A 00 6E 25", "C1 C0 81 90 00 9D 0F"
LONG = [
    "05 64 65 44 01 00 0A 00 73 3E",
    "C3 C2 81 10 00 01 02 00 00 00 81 03 02 00 00 00 64 6C",
    "81 0A 02 00 00 00 01 14 01 00 00 00 01 00 28 6B 1A 53",
    "EE 15 05 00 00 00 02 00 00 00 00 00 00 00 00 00 16 5E",
    "00 1E 05 00 00 00 01 00 04 26 47 28 04 00 00 00 D0 89",
    "01 00 00 00 00 00 00 00 00 28 03 00 01 01 01 00 2E FA",
    "00 00 00 6E 08 00 00 00 46 65 65 64 65 72 20 37 EA 16",
]


@pytest.fixture
def log() -> FrameLog:
    return FrameLog(Ring(FRAMES, "there"))


def kept(log: FrameLog) -> list[tuple[Way, bytes]]:
    return [(Way(way), octets) for _, _, way, octets in log.ring.since(0)]


def test_lines_of_both_ways_become_frames(log: FrameLog) -> None:
    for line in LONG[:3]:
        log.line(Way.RECEIVED, line)
    log.line(Way.SENT, "05 64 05 C9 0A 00 01 00 00 00")  # no data: whole at once
    for line in LONG[3:]:
        log.line(Way.RECEIVED, line)
    assert kept(log) == [
        (Way.SENT, bytes.fromhex("05 64 05 C9 0A 00 01 00 00 00")),
        (Way.RECEIVED, bytes.fromhex("".join(LONG))),
    ]


def test_a_frame_whose_end_was_not_told_is_left_out(log: FrameLog) -> None:
    log.line(Way.SENT, BODY)  # of a head that was before the log
    for line in (*LONG[:3], HEAD, BODY):
        log.line(Way.RECEIVED, line)
    assert kept(log) == [(Way.RECEIVED, bytes.fromhex(HEAD + BODY))]


def test_what_is_said_again_and_again_is_kept_once(log: FrameLog) -> None:
    for _ in range(1_000):
        log.note("Connection refused")
    log.line(Way.RECEIVED, "no octets")
    log.line(Way.RECEIVED, HEAD)
    log.line(Way.RECEIVED, BODY)
    log.note("no octets")
    assert kept(log) == [
        (Way.NOTE, b"Connection refused"),
        (Way.NOTE, b"no octets"),
        (Way.RECEIVED, bytes.fromhex(HEAD + BODY)),
        (Way.NOTE, b"no octets"),
    ]


@pytest.mark.parametrize(
    ("octets", "told"),
    [
        ("C0 15 3C 02 06 3C 03 06", "#0 disable unsolicited: class 1, class 2"),
        ("C7 01 1E 00 01 00 01 FF 01", "#7 read: analog g30v0 256..511"),
        ("D0 00", "#0 confirm"),
        ("F0 82 90 08", "#0 unsolicited [need time, restart, events lost]"),
        ("C3 04 0C 01 17 01 07 03 01 64 00 00 00 64 00 00 00 00", "#3 operate: relay command g12v1 7"),
        (
            "C3 05 29 02 28 02 00 01 00 05 00 00 02 00 06 00 00 29 02",
            "#3 direct operate: analog command g41v2 1 2, ...",
        ),
        ("C4 02 32 03 07 01 E4 21 53 FF A1 01", "#4 write: 1 time g50v3"),
        ("C1 02 50 01 00 07 07 00", "#1 write: indications g80v1 7"),
        ("C1 01 02 00 17 06 01 02 03 04 05 06", "#1 read: binary event g2v0 1 2 3 4 and 2 more"),
        ("C1 81 00 00 70 02 07 02 01", "#1 response: 2 g112v2, ..."),
        ("C1 81 00 00 70 02 17 02 01", "#1 response: g112v2 (2), ..."),
        ("C1 81 00 00 02 01 17 00", "#1 response: binary event g2v1 (0)"),
        ("C1 81 00 00 46 05 5B 01", "#1 response: g70v5 ..."),
        ("C1 77", "#1 function 119"),
        ("C1 81", "#1 response, cut"),
        ("C1", "no fragment"),
        ("C1 01" + "3C 02 06" * 13, "#1 read: " + "class 1, " * 12 + "..."),
    ],
)
def test_what_a_fragment_says(octets: str, told: str) -> None:
    assert describe_fragment(bytes.fromhex(octets)) == told


def framed(control: int, data: bytes, source: int = 10) -> bytes:
    """With CRCs of zeros: they were looked at before."""
    blocks = b"".join(data[at : at + 16] + b"\0\0" for at in range(0, len(data), 16))
    return bytes([5, 0x64, 5 + len(data), control, 1, 0, source, 0, 0, 0]) + blocks


def test_what_a_frame_says() -> None:
    describer = Dnp3Describer()

    def told(control: int, data: bytes = b"", source: int = 10) -> str:
        return describer.describe(Way.RECEIVED, framed(control, data, source))

    assert told(0x0B) == "10 to 1 link status"
    assert told(0x49) == "10 to 1 request link status"
    assert told(0x47) == "10 to 1 link function 7"
    assert told(0x05) == "10 to 1 link answer 5"
    assert told(0x44) == "10 to 1 no data"
    assert told(0x44, b"\x80\x81") == "10 to 1 the rest of a fragment"
    assert told(0x44, b"\x40\xc1\x81\0") == "10 to 1 3 octets of a fragment that goes on"
    for source in range(11, 100):  # others on the line, more than are remembered
        assert "goes on" in told(0x44, b"\x40\xc1", source)
    assert told(0x44, b"\x81\x81\0\0", 99) == "99 to 1 #1 response"
    assert told(0x44, b"\x81\x81\0\0") == "10 to 1 the rest of a fragment"
    told(0x44, b"\x40\xc1")
    describer.restart()
    assert told(0x44, b"\x81\x81\0\0") == "10 to 1 the rest of a fragment"
    assert describer.describe(Way.SENT, b"\5\x64") == "no DNP3 frame"
    assert describer.describe(Way.SENT, framed(0x44, b"\x40\xc1")[:-1]) == "no DNP3 frame"


async def test_what_a_running_outstation_was_asked_and_answered(tmp_path: Path) -> None:
    async with running_rtu(tmp_path, period_ms=1_000, relayed=True) as rtu:
        await rtu.is_up()
        ring = rtu.driver.traces()["rtu"]
        assert (ring.protocol, ring.where) == (FRAMES, f"127.0.0.1:{rtu.relay.port}")
        ring.look()
        await rtu.driver.operate(rtu.tag("setpoint_kw"), 42.5)
        await rtu.driver.outstations[0]._poll(everything=True)
        frames = ring.since(0)
        sent = {octets for _, _, way, octets in frames if way == Way.SENT}
        await until(lambda: sent <= {one.data for one in rtu.relay.sent}, "all on the wire as they were kept")
        describer = READINGS[FRAMES].describer()
        lines = [line_of(frame, describer) for frame in frames]
        assert lines[0].endswith(" - connected")
        assert lines[1].endswith(f" - {TOLD_FROM_HERE}")
        assert any(
            "> 1 to 10 #" in line and "read: class 1, class 2, class 3, class 0" in line for line in lines
        )
        assert any("< 10 to 1 #" in line and "octet string g110v8 0" in line for line in lines)
        assert any("operate: analog command g41v4 0" in line for line in lines)
        with (tmp_path / "rtu.pcap").open("wb") as file:
            capture = Pcap(file, READINGS[FRAMES].wrapping(ring.where))
            for _, at_ns, way, octets in frames:
                capture.write(at_ns, Way(way), octets)
        seen = await asyncio.to_thread(
            subprocess.run,
            ["tshark", "-r", tmp_path / "rtu.pcap", "-Y", "dnp3.al.func", "-T", "fields", "-e", "dnp3.al.func"],
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        assert {"1", "3", "4", "129"} <= set(seen.stdout.split())
        await rtu.rtu.down()
        await until(
            lambda: (Way.NOTE, b"connection lost") in [frame[2:] for frame in ring.since(0)], "the loss"
        )
        await rtu.rtu.up()


async def test_frames_are_told_only_while_somebody_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "KEPT_S", 0.5)
    async with running_rtu(tmp_path, period_ms=50) as rtu:
        await rtu.is_up()
        outstation = rtu.driver.outstations[0]
        log: list[tuple[object, ...]] = []
        handler = rtu.driver._engines[outstation.config.engine]._log
        monkeypatch.setattr(handler, "log", lambda *told: log.append(told))
        ring = rtu.driver.traces()["rtu"]

        async def polls(count: int) -> None:
            asked = outstation.requests
            await until(lambda: outstation.requests >= asked + count, f"{count} polls")

        await polls(10)
        assert log == [], "the library says nothing"
        ring.look()
        await until(lambda: len(log) > 10, "the octets")

        async def is_quiet() -> bool:
            told = len(log)
            await polls(5)
            return len(log) == told

        end = asyncio.get_running_loop().time() + 20.0
        while not await is_quiet():
            assert asyncio.get_running_loop().time() < end, "it is told on and on"


async def test_whoever_follows_over_the_socket_looks_all_the_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "KEPT_S", 0.5)
    async with running_rtu(tmp_path, period_ms=100) as rtu:
        await rtu.is_up()
        server = TraceServer(tmp_path / "dnp3.trace", (rtu.driver,))
        await server.start()

        def follow() -> list[tuple[int, int]]:
            """From the first frame on for longer than is told without a look: their times and ways."""
            trace = open_trace([tmp_path / "dnp3.trace"], "rtu", follow=True)
            found: list[tuple[int, int]] = []
            for frame in trace:
                assert not isinstance(frame, int)
                if frame[2] != Way.NOTE:
                    found.append((frame[1], frame[2]))
                    if found[-1][0] - found[0][0] > 2e9:
                        break
            trace.close()
            return found

        async with asyncio.timeout(60.0):
            found = await asyncio.to_thread(follow)
        assert {way for _, way in found} == {Way.SENT, Way.RECEIVED}
        await server.stop()


async def test_a_master_that_is_traced_is_stopped_fifty_times_in_the_middle_of_its_traffic(
    tmp_path: Path,
) -> None:
    """In a process of its own: one whose library's thread and Python wait for each other answers to no time limit."""
    rtu = Rtu(free_port())
    await rtu.up()
    site = tmp_path / "site.yaml"
    text = SITE.replace("WAY", f"host: 127.0.0.1, port: {rtu.server.port}")
    site.write_text(text.replace("PERIOD", "1000").replace("STALE", "5000"))
    stops = await asyncio.create_subprocess_exec(
        sys.executable, str(HERE / "stops.py"), str(site), "50", stdout=asyncio.subprocess.PIPE
    )
    told = asyncio.create_task(stops.communicate())
    try:
        async with asyncio.timeout(240.0):
            step = 0
            while not told.done():
                step += 1
                rtu.tell(Kind.ANALOG, 0, float(step), T0 + step)
                await asyncio.wait((told,), timeout=0.002)
        kept = [int(one) for one in (await told)[0].split()]
        assert stops.returncode == 0
        assert len(kept) == 50
        assert min(kept) >= 8, "each was traced"
    finally:
        if stops.returncode is None:
            stops.kill()
            await told
        await rtu.down()
        await settle()
