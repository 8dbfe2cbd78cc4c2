"""Each decoder of ours that bytes from outside reach, as a function of any bytes.

A target takes bytes and returns, or raises what the decoder says it raises; anything else is a find. What it needs
is made once from `site.yaml`. `fuzz.py` runs them with a coverage-guided fuzzer, `test_targets.py` with random
bytes and all that was found before.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import uuid
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
from py1815.link import build, control_byte
from py1815.transport import segment

from gateway.commands import wire
from gateway.config.dnp3 import ControlModel, Outstation, OutstationMaster, OutstationPoint, PointKind
from gateway.config.load import load_site
from gateway.config.modbus import Table
from gateway.config.site import Site
from gateway.drivers.can.canopen.sdo import MAX_BYTES, SEGMENT, Download, Upload
from gateway.drivers.can.decode import Decoder as CanDecoder
from gateway.drivers.can.decode import Frame
from gateway.drivers.can.describe import CanDescriber
from gateway.drivers.can.j1939.faults import read_faults
from gateway.drivers.can.j1939.transfer import Receiver
from gateway.drivers.dnp3.describe import Dnp3Describer, describe_fragment
from gateway.drivers.modbus.client import (
    Connection,
    ModbusError,
    Request,
    mask_write_request,
    read_request,
    write_coil_request,
    write_registers_request,
)
from gateway.drivers.modbus.codec import Decoder as RegisterDecoder
from gateway.drivers.modbus.describe import LineDescriber, TcpDescriber
from gateway.drivers.modbus.plan import limits_of, plan
from gateway.drivers.modbus.untagged import AsciiFraming, Framing, RtuFraming, UntaggedConnection
from gateway.drivers.trace import Ring, Way
from gateway.drivers.trace_cli import Describer
from gateway.servers.dnp3.association import Association, Operate
from gateway.servers.dnp3.control import ControlPoints, Status
from gateway.servers.dnp3.database import Database
from gateway.servers.dnp3.link import Fragment, Link
from gateway.servers.modbus.register_map import RegisterMap
from gateway.servers.modbus.requests import Client, Unit
from gateway.servers.modbus.view import View
from gateway.servers.modbus.writes import Wish, WriteCheck
from gateway.tags.image import Region
from gateway.tags.sample import Value
from historian.store import frame

HERE = Path(__file__).parent
LONGEST_FRAGMENT = 2048  # of DNP3, IEEE 1815 4.2.2.1
LONGEST_PDU = 253  # of Modbus


@dataclass(frozen=True, slots=True)
class Target:
    """``errors`` is what the decoder may raise."""

    name: str
    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    errors: tuple[type[Exception], ...] = ()

    def __call__(self, data: bytes) -> None:
        with contextlib.suppress(self.errors):
            self.run(data)


@cache
def site() -> Site:
    return load_site(HERE / "site.yaml")


def pieces(data: bytes) -> Iterator[bytes]:
    """A stream, cut as its first byte says: byte by byte, in few, or whole."""
    if data:
        size = data[0] or len(data)
        yield from (data[at : at + size] for at in range(1, len(data), size))


def finish(running: Coroutine[Any, Any, object]) -> object:
    """What never has to wait, without a loop."""
    try:
        running.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


# Modbus


class Sink:
    """Where the bytes of a connection go."""

    def write(self, data: bytes) -> None: ...

    def abort(self) -> None: ...

    def is_closing(self) -> bool:
        return False


REQUESTS: tuple[Request, ...] = (
    read_request(Table.HOLDING, 0, 2),
    read_request(Table.INPUT, 100, 125),
    read_request(Table.COIL, 0, 9),
    write_coil_request(3, True),
    write_registers_request(8, b"\1\2\3\4"),
    mask_write_request(4, 0xF2, 0x25),
)


@cache
def loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def asked(data: bytes, connection: Connection | UntaggedConnection) -> None:
    """The first byte chooses what is asked, the rest is heard in answer."""
    if not data:
        return
    request = REQUESTS[data[0] % len(REQUESTS)]
    connection.connection_made(cast(asyncio.Transport, Sink()))
    answer = connection.ask(request, 1, 3600.0)
    for piece in pieces(data[1:]):
        connection.data_received(piece)
    connection.close()
    error = answer.exception()
    if error is None:
        assert len(answer.result()) == request.answer_bytes - len(request.answer_head)
    else:
        assert isinstance(error, ModbusError), error


def modbus_tcp_answer(data: bytes) -> None:
    asked(data, Connection(loop(), Ring("modbus-tcp", "fuzzed")))


def untagged_answer(framing: Framing, data: bytes) -> None:
    asked(data, UntaggedConnection(loop(), framing, 0.0, 0.0, Ring("modbus-rtu", "fuzzed")))


def modbus_rtu_answer(data: bytes) -> None:
    untagged_answer(RtuFraming(), data)


def modbus_ascii_answer(data: bytes) -> None:
    untagged_answer(AsciiFraming(), data)


@cache
def unit() -> tuple[Unit, WriteCheck]:
    region = Region.create(f"fuzz.{uuid.uuid4().hex}", [tag.spec() for tag in site().tags])
    view = View(region, site().tags)
    server = site().modbus_server
    assert server is not None
    (config,) = server.doors[0].units
    return Unit(RegisterMap(config.points), view, "fuzzed", ""), WriteCheck(site().tags, None, view.now)


def modbus_request(data: bytes) -> None:
    if not data:
        return
    served, check = unit()

    async def command(wishes: Sequence[Wish]) -> None:
        for wish in wishes:
            assert isinstance(wish.value, Value)

    answer = cast(Any, finish(served.answer(data, Client(check, command))))
    encoded = answer.encode()
    assert len(encoded) < LONGEST_PDU


@cache
def registers() -> tuple[RegisterDecoder, int]:
    device = site().modbus[0]
    types = np.array([tag.type for tag in site().tags], np.uint8)
    points = [point for point in device.points if point.table is Table.HOLDING]
    blocks = plan(points, limits_of(device, Table.HOLDING))
    return RegisterDecoder(blocks, types), sum(block.payload_bytes for block in blocks)


def modbus_registers(data: bytes) -> None:
    decoder, size = registers()
    octets = data.ljust(size, b"\0")[:size]
    decoder.decode(octets)
    decoder.texts(octets)


# DNP3

POINTS = (
    OutstationPoint(PointKind.BINARY, 0, 0, "breaker", 1),
    OutstationPoint(PointKind.DOUBLE_BIT, 0, 1, "switch", 1),
    OutstationPoint(PointKind.BINARY_OUTPUT, 0, 2, "command", 1, control=ControlModel.TRIP_CLOSE),
    OutstationPoint(PointKind.COUNTER, 0, 3, "energy", 3, frozen_class=3),
    OutstationPoint(PointKind.ANALOG, 300, 4, "power", 2, deadband=1.0),
    OutstationPoint(PointKind.ANALOG_OUTPUT, 0, 5, "setpoint", 2),
    OutstationPoint(PointKind.OCTET_STRING, 0, 6, "name", 3),
)
MASTER = OutstationMaster(1, ("127.0.0.1",), "utility")


def dnp3_requests(data: bytes) -> None:
    """Fragments, each after its length."""
    config = Outstation(host="127.0.0.1", port=0, address=10, masters=(MASTER,), points=POINTS)
    one = Association(
        config, MASTER, Database(POINTS), ControlPoints(POINTS), wall_ms=lambda: 1_700_000_000_000
    )
    one.link_up(0.0)
    at, now = 0, 0.0
    while at < len(data):
        fragment = data[at + 1 : at + 1 + data[at]]
        at += 1 + data[at]
        now += 1.0
        for effect in one.receive(fragment, now) + one.tick(now):
            if isinstance(effect, Operate):
                one.complete(effect.token, (Status.SUCCESS,) * len(effect.wishes), now)
            else:
                assert 4 <= len(effect.fragment) <= LONGEST_FRAGMENT


def dnp3_frames(data: bytes) -> None:
    link = Link(10)
    for piece in pieces(data):
        for found in link.receive(piece):
            assert isinstance(found, Fragment) or len(found.data) == 10
            if isinstance(found, Fragment):
                assert len(found.data) <= LONGEST_FRAGMENT


def framed(fragment: bytes) -> bytes:
    control = control_byte(from_master=True, primary=True, function=4)
    return b"".join(build(control, 10, 1, one) for one in segment(fragment))


# CAN


@cache
def can_decoder() -> tuple[CanDecoder, tuple[int, ...]]:
    decoder = CanDecoder(site().can_devices[0].points)
    return decoder, tuple(decoder.keys)


def can_frames(data: bytes) -> None:
    """Frames, each after its length and which message it is."""
    decoder, keys = can_decoder()
    frames, at = [], 0
    while at < len(data):
        size = data[at] % 65
        frames.append(Frame(keys[data[at] % len(keys)], data[at + 1 : at + 1 + size], 0))
        at += 1 + size
    decoder.decode(frames)


def j1939_transport(data: bytes) -> None:
    """Frames of nine: what kind and who, then eight of data."""
    receiver = Receiver()
    now = 0.0
    for at in range(0, len(data), 9):
        head, octets = data[at], data[at + 1 : at + 9]
        source, destination = head % 8, (255, 1, 2)[head // 8 % 3]
        now += (head >> 6) * 0.1
        if head & 0x20:
            receiver.on_data(source, destination, octets, now)
        else:
            receiver.on_control(source, destination, octets, now)
        receiver.expire(now)


def j1939_faults(data: bytes) -> None:
    found = read_faults(data)
    if found is not None:
        assert found.text is not None


def canopen_sdo(data: bytes) -> None:
    """An object read and one written; answers of eight."""
    for transfer in (Upload(0x2001, 0), Download(0x2001, 0, bytes(100))):
        transfer.start()
        for at in range(0, len(data), 8):
            asked = transfer.on_answer(data[at : at + 8])
            assert asked is None or len(asked) == 8
        if isinstance(transfer, Upload):
            assert len(transfer.data) <= MAX_BYTES + SEGMENT


# What `tieline trace` shows


def described(describer: Describer, data: bytes) -> None:
    """Frames both ways, each after its length."""
    at = 0
    while at < len(data):
        line = describer.describe(Way(data[at] & 1), data[at + 1 : at + 1 + (data[at] >> 1)])
        assert "\n" not in line
        at += 1 + (data[at] >> 1)


def trace_modbus_tcp(data: bytes) -> None:
    described(TcpDescriber(), data)


def trace_modbus_rtu(data: bytes) -> None:
    described(LineDescriber(is_rtu=True), data)


def trace_modbus_ascii(data: bytes) -> None:
    described(LineDescriber(is_rtu=False), data)


def trace_dnp3(data: bytes) -> None:
    described(Dnp3Describer(), data)
    assert "\n" not in describe_fragment(data)


def trace_can(data: bytes) -> None:
    described(CanDescriber(), data)


# Ours


def command_request(data: bytes) -> None:
    wire.decode_request(data)


def command_reply(data: bytes) -> None:
    wire.decode_reply(data)


def history_frames(data: bytes) -> None:
    for _ in frame.scan(data, 0):
        pass


def requests_of(*fragments: bytes) -> bytes:
    return b"".join(bytes([len(one)]) + one for one in fragments)


CLASSES = bytes.fromhex("c001 3c0206 3c0306 3c0406 3c0106")
SELECT = bytes.fromhex("c103 0c012801000000 4101 64000000 64000000 00".replace(" ", ""))
OPERATE = b"\xc2\x04" + SELECT[2:]
ANALOG = b"\xc3\x05" + bytes.fromhex("290328010000") + struct.pack("<f", 42.5) + b"\0"
COMMAND = wire.encode_request(wire.SignIn(user="olga", password="correct horse"))
BAM = bytes.fromhex("18 20 0a00 02 ff caFE00")[:9]
TCP_ASKED = bytes.fromhex("0001 0000 0006 01 03 0000 0002")
TCP_ANSWERED = bytes.fromhex("0001 0000 0007 01 03 04 3fc00000")
RTU_ASKED = bytes.fromhex("01 03 0000 0002 c40b")
RTU_ANSWERED = bytes.fromhex("01 03 04 3fc00000 f7cf")

TARGETS = {
    target.name: target
    for target in (
        Target("modbus_tcp_answer", modbus_tcp_answer, (bytes.fromhex("00 00 0001 0000 0007 01 03 04 3fc00000"),)),
        Target("modbus_rtu_answer", modbus_rtu_answer, (bytes.fromhex("00 01 01 03 04 3fc00000 f7cf"),)),
        Target("modbus_ascii_answer", modbus_ascii_answer, (b"\0\1:0103043FC00000F9\r\n",)),
        Target("modbus_request", modbus_request,
               (bytes.fromhex("0300000002"), bytes.fromhex("10000000020441200000"), b"\x2b\x0e\1\0")),
        Target("modbus_registers", modbus_registers, (struct.pack(">f", 42.5) + bytes(24),)),
        Target("dnp3_requests", dnp3_requests, (requests_of(CLASSES), requests_of(SELECT, OPERATE, ANALOG))),
        Target("dnp3_frames", dnp3_frames, (b"\0" + framed(CLASSES), b"\1" + framed(CLASSES * 20))),
        Target("can_frames", can_frames, (b"\x08" + bytes(8) + b"\x09" + b"\1" * 9,)),
        Target("j1939_transport", j1939_transport, (BAM + b"\x20\1" + bytes(7) + b"\x20\2" + bytes(7),)),
        Target("j1939_faults", j1939_faults, (bytes.fromhex("04ff 64000301 6e001f81"),)),
        Target("canopen_sdo", canopen_sdo,
               (bytes.fromhex("4301200078563412"),
                bytes.fromhex("4101200009000000 0001020304050607 1d08090000000000"),
                bytes.fromhex("6001200000000000 2000000000000000 3000000000000000"))),
        Target("trace_modbus_tcp", trace_modbus_tcp,
               (b"\x18" + TCP_ASKED + b"\x1b" + TCP_ANSWERED,)),
        Target("trace_modbus_rtu", trace_modbus_rtu, (b"\x10" + RTU_ASKED + b"\x13" + RTU_ANSWERED,)),
        Target("trace_modbus_ascii", trace_modbus_ascii, (b"\x22:010300000002FA\r\n",)),
        Target("trace_dnp3", trace_dnp3, (b"\x36" + framed(CLASSES), CLASSES, SELECT)),
        Target("trace_can", trace_can, (b"\x20" + bytes(16),)),
        Target("command_request", command_request, (COMMAND,), (wire.WireError,)),
        Target("command_reply", command_reply, (wire.encode_reply(wire.SignedIn("olga", True)),), (wire.WireError,)),
        Target("history_frames", history_frames,
               (frame.encode(1, frame.GapFrame("the disk was full", 1, 2, 3)),), (frame.UnknownFormat,)),
    )
}  # fmt: skip
