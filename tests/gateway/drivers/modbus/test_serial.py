"""Serial lines over real pseudo-terminals: slaves by others, and a line that does all that lines do wrong."""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import os
import subprocess
import sys
import tty
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.modbus import Parity, RegisterType, SerialPort, Table, Transport
from gateway.drivers.modbus.client import read_request
from gateway.drivers.modbus.counters import ErrorKind
from gateway.drivers.modbus.serial_port import silence_s
from gateway.drivers.modbus.untagged import AsciiFraming, Framing, RtuFraming
from gateway.drivers.trace import Way
from gateway.tags.operate import NotConnectedError, OperateError
from gateway.tags.quality import Quality

PEERS = Path(__file__).parent / "peers"
H, U16 = Table.HOLDING, RegisterType.UINT16
STEP_S = 15.0


def crc(frame: bytes) -> bytes:
    """Modbus over Serial Line 1.02, 6.2.2, bit by bit from the page."""
    register = 0xFFFF
    for octet in frame:
        register ^= octet
        for _ in range(8):
            register = register >> 1 ^ 0xA001 if register & 1 else register >> 1
    return register.to_bytes(2, "little")


def rtu(unit: int, pdu: bytes) -> bytes:
    frame = bytes([unit]) + pdu
    return frame + crc(frame)


class Terminal:
    """One end of a pseudo-terminal; the other has the name ``path``."""

    def __init__(self) -> None:
        self.end, self._other = os.openpty()
        tty.setraw(self._other)
        tty.setraw(self.end)
        os.set_blocking(self.end, False)
        self.path = os.ttyname(self._other)
        self.on_bytes: Callable[[bytes], None] = lambda octets: None
        asyncio.get_running_loop().add_reader(self.end, self._read)
        self._is_open = True

    def _read(self) -> None:
        try:
            octets = os.read(self.end, 4096)
        except OSError:
            return
        self.on_bytes(octets)

    def send(self, octets: bytes) -> None:
        os.write(self.end, octets)

    def unplug(self) -> None:
        if self._is_open:
            self._is_open = False
            asyncio.get_running_loop().remove_reader(self.end)
            os.close(self.end)
            os.close(self._other)


@pytest.fixture
async def new_terminal() -> AsyncIterator[Callable[[], Terminal]]:
    made: list[Terminal] = []

    def make() -> Terminal:
        made.append(Terminal())
        return made[-1]

    yield make
    for terminal in made:
        terminal.unplug()


class Units:
    """Slaves on a terminal, each with registers 100 * unit + i; ``reply`` may spoil what they answer."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        terminal.on_bytes = self._hear
        self.requests: list[tuple[float, int, bytes]] = []
        self.silent: set[int] = set()
        self.registers: dict[tuple[int, int], int] = {}
        self.reply: Callable[[int, bytes, bytes], None] = lambda unit, pdu, answer: terminal.send(answer)
        self._buffer = b""

    def _hear(self, octets: bytes) -> None:
        self._buffer += octets
        while len(self._buffer) >= 8:
            size = 9 + self._buffer[6] if self._buffer[1] == 16 else 8
            if len(self._buffer) < size:
                return
            frame, self._buffer = self._buffer[:size], self._buffer[size:]
            assert crc(frame[:-2]) == frame[-2:], frame.hex(" ")
            unit, pdu = frame[0], frame[1:-2]
            self.requests.append((asyncio.get_running_loop().time(), unit, pdu))
            if unit not in self.silent:
                self.reply(unit, pdu, rtu(unit, self._answer(unit, pdu)))

    def _answer(self, unit: int, pdu: bytes) -> bytes:
        address, count = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
        if pdu[0] == 6:
            self.registers[unit, address] = count
            return pdu
        assert pdu[0] == 3, pdu.hex(" ")
        words = [self.registers.get((unit, i), 100 * unit + i) for i in range(address, address + count)]
        return bytes([3, 2 * count]) + b"".join(word.to_bytes(2, "big") for word in words)

    def writes(self) -> list[bytes]:
        return [pdu for _, _, pdu in self.requests if pdu[0] == 6]


def serial(path: str, transport: Transport = Transport.RTU, **changes: Any) -> dict[str, Any]:
    port = SerialPort(path, 19200, Parity.NONE, 1, 8)  # a pseudo-terminal refuses to be set to a parity twice
    return {"transport": transport, "serial": port, "port": 0, **changes}


def meter(point, count: int = 3):
    return [point(f"m{i}", H, i, U16, writable=True) for i in range(count)]


def errors(site, device: int, kind: ErrorKind) -> int:
    return site.driver.devices[device].station.counters.errors_of(kind)


# Slaves by others


@pytest.fixture(scope="module")
def libmodbus_rtu_server(tmp_path_factory: pytest.TempPathFactory) -> str:
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libmodbus"], check=True, capture_output=True, text=True
    )
    program = tmp_path_factory.mktemp("peer") / "libmodbus_rtu_server"
    source = PEERS / "libmodbus_rtu_server.c"
    subprocess.run(["cc", "-o", str(program), str(source), *flags.stdout.split()], check=True)
    return str(program)


@pytest.fixture
def start() -> Iterator[Callable[..., str]]:
    """Start a program; its first line."""
    running: list[subprocess.Popen[str]] = []

    def begin(*command: str) -> str:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        return process.stdout.readline().strip()

    yield begin
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("kind", ["libmodbus rtu", "pymodbus rtu", "pymodbus ascii", "pymodbus rtu-over-tcp"])
async def test_slaves_by_others_are_read_and_written(
    site, point, new_terminal, libmodbus_rtu_server: str, start: Callable[..., str], kind: str
) -> None:
    maker, transport = kind.split()
    units = (2,) if maker == "libmodbus" else (1, 2, 3)
    python_peer = (sys.executable, str(PEERS / "pymodbus_line_server.py"))
    if transport == "rtu-over-tcp":
        port = int(start(*python_peer, transport))
        way: dict[str, Any] = {"transport": Transport.RTU_OVER_TCP, "port": port}
    else:
        ours, theirs = new_terminal(), new_terminal()
        ours.on_bytes, theirs.on_bytes = theirs.send, ours.send
        way = serial(ours.path, Transport(transport))
        if maker == "libmodbus":
            assert start(libmodbus_rtu_server, theirs.path, "2") == "ready"
        else:
            assert start(*python_peer, transport, theirs.path) == "ready"
    base = 100 if maker == "libmodbus" else 0
    for unit in units:
        coils = [point(f"c{i}", Table.COIL, i, RegisterType.BOOL, writable=True) for i in range(16)]
        site.add(f"u{unit}", points=[*meter(point, 60), *coils], unit_id=unit, timeout_ms=1000, **way)
    site.start()
    names = [f"m{i}" for i in range(60)] + [f"c{i}" for i in range(16)]
    await site.until_good(*(f"u{unit}.{name}" for unit in units for name in names))
    for unit in units:
        first = base or 100 * unit
        assert [site.value(f"u{unit}.m{i}") for i in range(60)] == [first + i for i in range(60)]
        assert [site.value(f"u{unit}.c{i}") for i in range(16)] == [i % 3 == 0 for i in range(16)]
    for unit in units:
        for name, value in (("m7", 40_000 + unit), ("c1", True)):
            tag = site.tag(f"u{unit}.{name}")
            await site.driver.operate(tag, value)
            assert await site.driver.read_back(tag) == value
        wishes = {f"m{i}": 7 * i + unit for i in range(20, 30)}
        async with asyncio.TaskGroup() as tasks:
            for name, value in wishes.items():
                tasks.create_task(site.driver.operate(site.tag(f"u{unit}.{name}"), value))
        assert await site.driver.read_back(site.tag(f"u{unit}.m29")) == wishes["m29"]
    assert [errors(site, i, kind) for i in range(len(units)) for kind in ErrorKind] == [0] * 4 * len(units)


# Lines that do wrong


async def test_one_request_at_a_time_and_silence_before_each(site, point, new_terminal) -> None:
    units = Units(new_terminal())
    loop = asyncio.get_running_loop()
    answered: list[float] = []

    def reply(unit: int, pdu: bytes, answer: bytes) -> None:
        units.terminal.send(answer)
        answered.append(loop.time())

    units.reply = reply
    for unit in (1, 2, 3):
        site.add(
            f"u{unit}", points=meter(point), unit_id=unit, turnaround_ms=10, **serial(units.terminal.path)
        )
    site.start()
    await site.until(lambda: len(answered) > 30)
    gaps = [came[0] - sent for came, sent in zip(units.requests[1:], answered, strict=False)]
    assert min(gaps) >= 0.010 + 3.5 * 10 / 19200 - 0.001
    assert {unit for _, unit, _ in units.requests} == {1, 2, 3}


@pytest.mark.parametrize("spoil", ["split", "noise before", "noise after", "foreign before", "false start"])
async def test_an_answer_is_found_in_what_is_around_it(site, point, new_terminal, spoil: str) -> None:
    units = Units(new_terminal())
    loop = asyncio.get_running_loop()

    def reply(unit: int, pdu: bytes, answer: bytes) -> None:
        match spoil:
            case "split":
                for i in range(len(answer)):
                    loop.call_later(0.003 * i, units.terminal.send, answer[i : i + 1])
            case "noise before":
                units.terminal.send(b"\xff\x00" + answer)
            case "noise after":
                units.terminal.send(answer + b"\xff\x00")
            case "foreign before":
                units.terminal.send(rtu(9, answer[1:-2]) + answer)
            case "false start":
                units.terminal.send(answer[:5] + answer)

    units.reply = reply
    site.add("u1", points=meter(point), **serial(units.terminal.path, timeout_ms=1000))
    site.start()
    await site.until_good("u1.m0", "u1.m1", "u1.m2")
    before = len(units.requests)
    await site.until(lambda: len(units.requests) > before + 5)
    assert [site.value(f"u1.m{i}") for i in range(3)] == [100, 101, 102]
    assert sum(errors(site, 0, kind) for kind in ErrorKind) == 0


@pytest.mark.parametrize(
    "spoil", ["check", "inside", "cut", "other unit", "other function", "other length", "refusal cut"]
)
async def test_what_is_no_answer_is_never_taken_for_one(site, point, new_terminal, spoil: str) -> None:
    units = Units(new_terminal())

    def reply(unit: int, pdu: bytes, answer: bytes) -> None:
        wrong = {
            "check": answer[:-1] + bytes([answer[-1] ^ 1]),
            "inside": answer[:4] + b"\x55" + answer[4:],
            "cut": answer[:4] + answer[5:],
            "other unit": rtu(2, answer[1:-2]),
            "other function": rtu(1, b"\x04" + answer[2:-2]),
            "other length": rtu(1, bytes([3, 4]) + answer[3:7]),
            "refusal cut": rtu(1, b"\x83\x02")[:-1],
        }
        units.terminal.send(wrong[spoil])

    site.add("u1", points=meter(point), **serial(units.terminal.path, timeout_ms=150))
    site.start()
    await site.until_good("u1.m0")
    units.reply = reply
    await site.until(lambda: site.status("u1.m0") == Quality.BAD_COMMUNICATION_ERROR)
    assert site.value("u1.m0") == 100
    await site.until(lambda: errors(site, 0, ErrorKind.PROTOCOL) >= 2)
    units.reply = lambda unit, pdu, answer: units.terminal.send(answer)
    await site.until_good("u1.m0")
    assert site.driver.connections(site.tag("u1.m0")) == 2


async def test_a_late_answer_is_not_taken_for_the_next(site, point, new_terminal) -> None:
    """Both groups read as many registers of one unit: but for the time, their answers are alike."""
    units = Units(new_terminal())
    loop = asyncio.get_running_loop()
    count = 0

    def reply(unit: int, pdu: bytes, answer: bytes) -> None:
        nonlocal count
        count += 1
        loop.call_later(0.09 if count % 5 == 0 else 0.04, units.terminal.send, answer)

    units.reply = reply
    points = [point("low", H, 0, U16), point("high", H, 50, U16)]
    site.add("u1", points=points, timeout_ms=60, **serial(units.terminal.path))
    site.start()
    await site.until_good("u1.low", "u1.high")
    wrong: list[Any] = []

    def watched() -> bool:
        wrong.extend((name, site.value(f"u1.{name}")) for name in ("low", "high"))
        return errors(site, 0, ErrorKind.TIMEOUT) >= 8

    await site.until(watched, within_s=10)
    assert set(wrong) == {("low", 100), ("high", 150)}


async def test_a_silent_unit_costs_the_others_one_timeout(site, point, new_terminal) -> None:
    units = Units(new_terminal())
    units.silent.add(2)
    for unit in (1, 2, 3):
        site.add(
            f"u{unit}", points=meter(point), unit_id=unit, timeout_ms=150, retry_max_ms=1000,
            **serial(units.terminal.path),
        )  # fmt: skip
    site.start()
    await site.until_good("u1.m0", "u3.m0")
    await site.until(lambda: errors(site, 1, ErrorKind.TIMEOUT) >= 4, within_s=10)
    assert site.status("u2.m0") == Quality.BAD_COMMUNICATION_ERROR
    for unit in (1, 3):
        times = [at for at, asked, _ in units.requests if asked == unit]
        assert max(b - a for a, b in itertools.pairwise(times)) < 0.15 + 0.15
        assert site.status(f"u{unit}.m0") == Quality.GOOD
    units.silent.clear()
    await site.until_good("u2.m0")


async def test_a_write_whose_answer_is_spoilt_is_sent_once(site, point, new_terminal) -> None:
    units = Units(new_terminal())
    units.reply = lambda unit, pdu, answer: units.terminal.send(
        answer if pdu[0] == 3 else answer[:-1] + bytes([answer[-1] ^ 1])
    )
    site.add("u1", points=meter(point), **serial(units.terminal.path, timeout_ms=60))
    site.start()
    await site.until_good("u1.m0")
    with pytest.raises(TimeoutError):
        await site.driver.operate(site.tag("u1.m0"), 7)
    await site.until(lambda: site.value("u1.m0") == 7)
    assert len(units.writes()) == 1


@pytest.mark.parametrize("transport", [Transport.RTU, Transport.ASCII])
async def test_a_broadcast_is_sent_once_answered_by_nobody_and_never_reported_done(
    site, point, new_terminal, transport: Transport
) -> None:
    terminal = new_terminal()
    heard: list[bytes] = []
    terminal.on_bytes = heard.append
    port = serial(terminal.path, transport)
    site.add("all", points=meter(point, 1), unit_id=0, is_broadcast=True, **port)
    site.start()
    await site.until(lambda: site.value("_system.all.connected") is True)
    assert heard == []  # nothing is ever read
    with pytest.raises(TimeoutError, match="told to all units"):
        await site.driver.operate(site.tag("all.m0"), 7)
    with pytest.raises(OperateError, match="of which none answers"):
        await site.driver.read_back(site.tag("all.m0"))
    frame = rtu(0, bytes.fromhex("06 0000 0007"))
    expected = frame if transport is Transport.RTU else b":000600000007F3\r\n"
    await site.until(lambda: b"".join(heard) == expected)
    assert site.status("all.m0") != Quality.GOOD


async def test_units_get_their_time_after_a_broadcast(site, point, new_terminal) -> None:
    units = Units(new_terminal())
    units.silent.add(0)
    site.add("all", points=meter(point, 1), unit_id=0, is_broadcast=True, **serial(units.terminal.path))
    site.add("u1", points=meter(point), unit_id=1, **serial(units.terminal.path))
    site.start()
    await site.until_good("u1.m0")
    ring = site.driver.traces()["all"]
    with pytest.raises(TimeoutError):
        await site.driver.operate(site.tag("all.m0"), 7)

    def sent() -> list[tuple[int, int]]:
        """Unit and time of each request."""
        return [(frame[3][0], frame[1]) for frame in ring.since(0) if frame[2] == Way.SENT]

    await site.until(lambda: 0 in [unit for unit, _ in sent()[:-1]])
    told = [unit for unit, _ in sent()].index(0)
    assert sent()[told + 1][1] - sent()[told][1] >= 98_000_000  # uvloop counts whole milliseconds
    assert [unit for _, unit, _ in units.requests].count(0) == 1
    await site.until_good("u1.m0")


async def test_the_line_of_a_broadcast_that_is_pulled_out_is_opened_again(
    site, point, new_terminal, tmp_path: Path
) -> None:
    first, link = new_terminal(), tmp_path / "port"
    link.symlink_to(first.path)
    site.add("all", points=meter(point, 1), unit_id=0, is_broadcast=True, **serial(str(link)))
    site.start()
    await site.until(lambda: site.value("_system.all.connected") is True)
    first.unplug()
    await site.until(lambda: site.value("_system.all.connected") is False)
    with pytest.raises(NotConnectedError):
        await site.driver.operate(site.tag("all.m0"), 7)
    second = new_terminal()
    link.unlink()
    link.symlink_to(second.path)
    await site.until(lambda: site.value("_system.all.connected") is True)


async def test_a_line_that_is_never_quiet_is_not_spoken_on(site, point, new_terminal) -> None:
    units = Units(new_terminal())
    site.add("u1", points=meter(point), **serial(units.terminal.path))
    site.start()
    await site.until_good("u1.m0")

    async def babble() -> None:
        while True:
            units.terminal.send(b"\x55")
            await asyncio.sleep(0.0005)

    noise = asyncio.create_task(babble())
    await site.until(lambda: site.status("u1.m0") == Quality.BAD_COMMUNICATION_ERROR)
    await site.until(lambda: errors(site, 0, ErrorKind.PROTOCOL) > 0)
    noise.cancel()
    await site.until_good("u1.m0")


async def test_an_adapter_pulled_out_is_bad_in_time_and_opened_again(
    site, point, new_terminal, tmp_path: Path
) -> None:
    link = tmp_path / "adapter"
    first = Units(new_terminal())
    link.symlink_to(first.terminal.path)
    for unit in (1, 2):
        site.add(f"u{unit}", points=meter(point), unit_id=unit, **serial(str(link)))
    site.start()
    await site.until_good("u1.m0", "u2.m0")
    link.unlink()
    first.terminal.unplug()
    await site.until(
        lambda: {site.status(f"u{unit}.m0") for unit in (1, 2)} == {Quality.BAD_COMMUNICATION_ERROR}
    )
    with pytest.raises(NotConnectedError):
        await site.driver.operate(site.tag("u1.m0"), 7)
    second = Units(new_terminal())
    link.symlink_to(second.terminal.path)
    await site.until_good("u1.m0", "u2.m0")
    assert "serial port" in site.driver.devices[0].station.counters.last_error


async def test_a_port_that_another_program_uses_is_left_alone(site, point, new_terminal) -> None:
    units = Units(new_terminal())
    descriptor = os.open(units.terminal.path, os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    site.add("u1", points=meter(point), **serial(units.terminal.path))
    site.start()
    await site.until(lambda: errors(site, 0, ErrorKind.CONNECTION) >= 2)
    assert "used by another program" in site.driver.devices[0].station.counters.last_error
    assert units.requests == []
    os.close(descriptor)
    await site.until_good("u1.m0")


def test_the_silence_is_three_and_a_half_characters() -> None:
    assert silence_s(SerialPort("/dev/x", 9600, Parity.EVEN, 1, 8)) == pytest.approx(3.5 * 11 / 9600)
    assert silence_s(SerialPort("/dev/x", 9600, Parity.NONE, 1, 8)) == pytest.approx(3.5 * 10 / 9600)
    assert silence_s(SerialPort("/dev/x", 115200, Parity.EVEN, 1, 8)) == 0.00175


@pytest.mark.parametrize("framing", [RtuFraming(), AsciiFraming()], ids=["rtu", "ascii"])
@settings(deadline=None)  # of a busy machine, not of the code
@given(
    noise=st.binary(max_size=600),
    after=st.binary(max_size=40),
    near=st.lists(
        st.sampled_from([b":", b"\r\n", b"\x05\x03\x04", b":0503", b"\x05\x83", b"FF"]), max_size=20
    ),
)
def test_any_bytes_are_no_answer_or_the_one(
    framing: Framing, noise: bytes, after: bytes, near: list[bytes]
) -> None:
    request = read_request(H, 10, 2)
    heard = noise + b"".join(near)
    answer = bytes.fromhex("0304 0001 0002")
    assert framing.find(heard + after, 5, request) is None
    start = b"" if isinstance(framing, RtuFraming) else b"\r\n"
    found = framing.find(heard + start + framing.encode(answer, 5) + after, 5, request)
    assert found is not None
    assert found[0] == answer
