"""What goes over the wire between a master and an outstation: carried, written down, and cut when asked.

It knows the link frames and the transport function of IEEE 1815 (clauses 8 and 9), and of fragments their heads.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

CONFIRM, READ, WRITE, SELECT, OPERATE, DIRECT_OPERATE, ENABLE, DISABLE = 0, 1, 2, 3, 4, 5, 20, 21
RESPONSE, UNSOLICITED = 129, 130
USER_DATA = frozenset({3, 4})  # link functions of primary frames
CON = 0x20  # of the application control: a confirm is asked for
START = b"\x05\x64"
EVENT_GROUPS = frozenset({2, 4, 11, 22, 23, 32, 42, 111})


@dataclass(frozen=True, slots=True)
class Fragment:
    """An application fragment; ``indications`` is 0 for a request."""

    is_master: bool
    control: int
    function: int
    indications: int
    objects: bytes

    @property
    def has_events(self) -> bool:
        return not self.is_master and bool(self.objects) and self.objects[0] in EVENT_GROUPS


@dataclass(frozen=True, slots=True)
class Sent:
    """A frame as it was sent."""

    connection: int
    is_master: bool
    data: bytes
    time_ns: int


class Frames:
    """Octets of one direction as whole frames, and the fragments in them."""

    def __init__(self, *, is_master: bool) -> None:
        self._is_master = is_master
        self._octets = b""
        self._fragment = b""

    def take(self, data: bytes) -> Iterator[tuple[bytes, Fragment | None]]:
        self._octets += data
        while len(self._octets) >= 10:
            assert self._octets[:2] == START, self._octets[:2]
            users = self._octets[2] - 5
            size = 10 + users + 2 * -(-users // 16)
            if len(self._octets) < size:
                return
            frame, self._octets = self._octets[:size], self._octets[size:]
            yield frame, self._part(frame)

    def _part(self, frame: bytes) -> Fragment | None:
        control = frame[3]
        if not control & 0x40 or control & 0x0F not in USER_DATA:
            return None
        user = b"".join(frame[at : at + 18][:-2] for at in range(10, len(frame), 18))
        if user[0] & 0x40:
            self._fragment = b""
        self._fragment += user[1:]
        if not user[0] & 0x80:
            return None
        whole = self._fragment
        if self._is_master:
            return Fragment(True, whole[0], whole[1], 0, whole[2:])
        return Fragment(False, whole[0], whole[1], struct.unpack_from("<H", whole, 2)[0], whole[4:])


SETTLE_S = 10.0


async def settle() -> None:
    """End what servers were taking when they closed: asyncio tells nobody of it, and warns when the loop closes."""
    loop, end = asyncio.get_running_loop(), time.monotonic() + SETTLE_S
    while True:
        taking = any("_accept_connection2" in str(one.get_coro()) for one in asyncio.all_tasks())
        left = [
            one
            for one in gc.get_objects()
            if issubclass(type(one), asyncio.Transport)  # a proxy may refuse to be asked for its class
            and getattr(one, "_loop", None) is loop
            and getattr(one, "_sock", None) is not None
            and one._sock.family == socket.AF_INET
        ]
        if not taking and not left:
            return
        assert time.monotonic() < end, left
        for one in left:
            one.abort()
        await asyncio.sleep(0.01)


@dataclass
class Relay:
    """Between masters that connect to ``port`` and the outstation.

    ``withhold``: the next confirm is lost, and the link with it; or after events that ask for none the link alone.
    """

    outstation_port: int
    sent: list[Sent] = field(default_factory=list)
    fragments: list[Fragment] = field(default_factory=list)
    withhold: bool = False
    connections: int = 0
    _server: asyncio.Server | None = None
    _is_closed: bool = False
    _is_cut: bool = False
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def cut(self) -> None:
        """Lose the link, and refuse it until `mend`."""
        self._is_cut = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def mend(self) -> None:
        self._is_cut = False

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_closed or self._is_cut:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: writer.transport.abort())  # also where it never began

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        there = await asyncio.open_connection("127.0.0.1", self.outstation_port)
        ways = (
            asyncio.create_task(self._way(number, reader, there[1], is_master=True)),
            asyncio.create_task(self._way(number, there[0], writer, is_master=False)),
        )
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            writer.transport.abort()
            there[1].transport.abort()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _way(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_master: bool
    ) -> None:
        frames = Frames(is_master=is_master)
        try:
            while data := await reader.read(4096):
                for frame, fragment in frames.take(data):
                    self.sent.append(Sent(number, is_master, frame, time.time_ns()))
                    if fragment is not None:
                        self.fragments.append(fragment)
                        if self.withhold and is_master and fragment.function == CONFIRM:
                            self.withhold = False
                            return
                    writer.write(frame)
                    if (
                        self.withhold
                        and fragment is not None
                        and fragment.has_events
                        and not fragment.control & CON
                    ):
                        self.withhold = False
                        await writer.drain()
                        return
        except OSError:
            return

    def awaits_confirm(self) -> bool:
        """Whether the last response that asks for a confirm has got none yet."""
        for one in reversed(self.fragments):
            if one.is_master and one.function == CONFIRM:
                return False
            if not one.is_master and one.control & CON:
                return True
        return False

    def found(
        self, function: int, group: int, variation: int | None = None, since: int = 0
    ) -> list[Fragment]:
        """Fragments of a function whose first object is of a group."""
        return [
            one
            for one in self.fragments[since:]
            if one.function == function
            and one.objects[:1] == bytes([group])
            and (variation is None or one.objects[1] == variation)
        ]


PORT = 20_000  # what tshark takes for DNP3
_MASTER, _OUTSTATION = b"\x0a\x00\x00\x01", b"\x0a\x00\x00\x02"
_SYN, _ACK, _PUSH = 0x02, 0x10, 0x08


def write_capture(path: Path, relays: list[Relay]) -> int:
    """All that was sent as a capture, each connection one of TCP; how many frames there are."""
    packets: list[tuple[int, bytes]] = []
    source = 40_000
    frames = 0
    for relay in relays:
        for number in range(1, relay.connections + 1):
            rows = [one for one in relay.sent if one.connection == number]
            if not rows:
                continue
            source += 1
            frames += len(rows)
            at = [1, 1]  # next sequence numbers, of master and outstation
            first = rows[0].time_ns
            packets += (
                (first, _packet(True, source, 0, 0, _SYN, b"")),
                (first, _packet(False, source, 0, 1, _SYN | _ACK, b"")),
                (first, _packet(True, source, 1, 1, _ACK, b"")),
            )
            for one in rows:
                mine, theirs = (0, 1) if one.is_master else (1, 0)
                packets.append(
                    (
                        one.time_ns,
                        _packet(one.is_master, source, at[mine], at[theirs], _PUSH | _ACK, one.data),
                    )
                )
                at[mine] += len(one.data)
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 101))  # 101: raw IP
        for time_ns, packet in packets:
            seconds, rest = divmod(time_ns, 1_000_000_000)
            file.write(struct.pack("<IIII", seconds, rest // 1000, len(packet), len(packet)) + packet)
    return frames


def _packet(is_master: bool, port: int, sequence: int, acknowledged: int, flags: int, data: bytes) -> bytes:
    ends = (port, PORT) if is_master else (PORT, port)
    hosts = (_MASTER, _OUTSTATION) if is_master else (_OUTSTATION, _MASTER)
    tcp = struct.pack(">HHIIBBHHH", *ends, sequence, acknowledged, 5 << 4, flags, 65_535, 0, 0)
    head = struct.pack(">BBHHHBBH", 0x45, 0, 40 + len(data), 0, 0, 64, 6, 0)
    return head + b"".join(hosts) + tcp + data
