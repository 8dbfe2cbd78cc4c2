"""Devices on a CAN bus, and the adapter by which others reach it: slcan (LAWICEL) over TCP.

TCP on the loopback address, so that the bus needs no module of the kernel and no network, several run beside one
another on ports of their own, and nothing of them is on the wire. python-can knows it as interface `slcan`, channel
`socket://HOST:PORT`; where there is a bus of the kernel's, slcand makes an interface of it.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Sequence
from typing import Any

from gateway.simulator.devices.frames import Frame, FrameMap
from gateway.simulator.door import reset
from gateway.simulator.faults import Fault, FaultError, FaultKind, refuse_of_meters

CONNECTIONS = 8
LINE_BYTES = 64  # the longest of LAWICEL's is 27
MOST_PENDING_BYTES = 65_536  # towards one who does not read; then frames are lost, as they are in an adapter
RESTART_S = 1.0  # of a device that a command resets
_DATA = rb"([0-8])((?:[0-9A-Fa-f]{2})*)"
_FRAME = re.compile(rb"t([0-7][0-9A-Fa-f]{2})" + _DATA + rb"|T([01][0-9A-Fa-f]{7})" + _DATA)
_SETTING = re.compile(rb"[SY][0-9]|s[0-9A-Fa-f]{4}|Z[01]|[mM][0-9A-Fa-f]{8}")
_OK, _BELL = b"\r", b"\a"


class CanBus:
    """``nodes`` on one wire, and the adapter's server on ``host:port``; port 0 takes a free one."""

    def __init__(self, name: str, host: str, port: int, nodes: Sequence[CanNode]) -> None:
        self.name = name
        self.host = host
        self.port = port
        self.fault: Fault | None = None
        self._nodes = nodes
        self._server: asyncio.Server | None = None
        self._running: list[asyncio.Task[None]] = []
        self._peers: set[asyncio.Task[None]] = set()
        self._open: set[asyncio.StreamWriter] = set()  # those who have opened the bus
        for node in nodes:
            node.bus = self

    async def start(self) -> None:
        """Raises OSError where the port is taken."""
        await self._listen()
        self._running = [
            asyncio.create_task(node.send(frame), name=f"can {node.name}")
            for node in self._nodes
            for frame in node.map.sent
        ]

    async def stop(self) -> None:
        running, self._running = self._running, []
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        await self._close()

    async def suffer(self, fault: Fault | None) -> None:
        """Of the adapter. Raises FaultError; OSError where it comes back and finds its port taken."""
        if fault is not None and fault.kind not in (FaultKind.SILENT, FaultKind.RESET, FaultKind.STOPPED):
            raise FaultError(f"an adapter of a CAN bus is silent, reset or stopped, not {fault.kind}")
        self.fault = fault
        if fault is not None and fault.kind is FaultKind.STOPPED:
            await self._close()
        elif self._server is None:
            await self._listen()

    def put(self, frame: Frame[Any], payload: bytes) -> None:
        """A device's frame to all who listen."""
        head = f"T{frame.id:08X}" if frame.is_extended else f"t{frame.id:03X}"
        line = f"{head}{len(payload)}{payload.hex().upper()}\r"
        self._say(line.encode(), None)

    def _say(self, line: bytes, sender: asyncio.StreamWriter | None) -> None:
        kind = None if self.fault is None else self.fault.kind
        if kind is FaultKind.SILENT:
            return
        for writer in list(self._open):
            if kind is FaultKind.RESET:
                reset(writer)
            elif writer is not sender and writer.transport.get_write_buffer_size() < MOST_PENDING_BYTES:
                writer.write(line)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._meet, self.host, self.port, limit=LINE_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is None:
            return
        self._server.close()
        self._server = None
        peers = list(self._peers)
        for peer in peers:
            peer.cancel()
        if peers:
            await asyncio.wait(peers)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._peers.add(task)
        try:
            while len(self._peers) <= CONNECTIONS:
                line = await reader.readuntil(b"\r")
                writer.write(self._obey(line[:-1].lstrip(b"\n"), writer))
                await writer.drain()
        except (ConnectionError, EOFError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass  # the peer is gone, or talks of something else, or `stop`: nobody else waits for this task
        finally:
            self._open.discard(writer)
            writer.transport.abort()
            self._peers.discard(task)

    def _obey(self, line: bytes, writer: asyncio.StreamWriter) -> bytes:
        """LAWICEL's answer."""
        if line in (b"O", b"L"):
            self._open.add(writer)
        elif line == b"C":
            self._open.discard(writer)
        elif line == b"V":
            return b"V1013\r"
        elif line == b"N":
            return b"NTL01\r"
        elif line == b"F":
            return b"F00\r"
        elif (match := _FRAME.fullmatch(line)) and writer in self._open:
            text, size, data = (match[1] or match[4]), (match[2] or match[5]), (match[3] or match[6] or b"")
            if len(data) != 2 * int(size):
                return _BELL
            self._say(line + b"\r", writer)
            self._hear(int(text, 16), match[4] is not None, bytes.fromhex(data.decode()))
            return b"Z\r" if match[4] is not None else b"z\r"
        elif line and not _SETTING.fullmatch(line):
            return _BELL
        return _OK

    def _hear(self, id: int, is_extended: bool, payload: bytes) -> None:
        if self.fault is not None:
            return
        for node in self._nodes:
            node.hear(id, is_extended, payload)


class CanNode:
    """A device on the bus; what it says and takes is ``map``'s, of ``source``."""

    bus: CanBus

    def __init__(self, name: str, map: FrameMap[Any], source: object) -> None:
        self.name = name
        self.map = map
        self.fault: Fault | None = None
        self._source = source
        self._counts = dict.fromkeys(map.sent, 0)
        self._heard: dict[int, int] = {}  # by command: the counter that came last
        self._held: dict[Frame[Any], list[int]] = {}
        self._random = random.Random(name)
        self._restarted_s = 0.0  # when a device that was reset speaks again, by the loop's clock

    @property
    def port(self) -> int:
        """Its bus's."""
        return self.bus.port

    async def suffer(self, fault: Fault | None) -> None:
        """From now on behave so; None: be well. Raises FaultError for what no device on a bus can suffer."""
        if fault is not None and fault.kind is FaultKind.EXCEPTION:
            raise FaultError("a device on a CAN bus has no exceptions")
        refuse_of_meters(fault)
        self.fault = fault
        self._held = {}
        self._restarted_s = 0.0
        if fault is not None and fault.kind is FaultKind.STUCK:
            self._held = {frame: self._raws(frame) for frame in self.map.sent}

    async def send(self, frame: Frame[Any]) -> None:
        """For ever, every period."""
        loop = asyncio.get_running_loop()
        next_s = loop.time() + self._random.random() * frame.period_s
        while True:
            await asyncio.sleep(next_s - loop.time())
            next_s = max(next_s + frame.period_s, loop.time())
            self._put(frame)

    def hear(self, id: int, is_extended: bool, payload: bytes) -> None:
        """A command counts if its checksum is right and its counter goes on; what was made of it is told at once."""
        kind = None if self.fault is None else self.fault.kind
        if kind is FaultKind.STOPPED:
            return
        for frame in self.map.taken:
            if (frame.id, frame.is_extended) != (id, is_extended) or not frame.is_whole(payload):
                continue
            if kind is FaultKind.RESET:
                self._restarted_s = asyncio.get_running_loop().time() + RESTART_S
                self._counts = dict.fromkeys(self.map.sent, 0)
                return
            if frame.counter is not None:
                count = frame.count(payload)
                if self._heard.get(id) == count:
                    continue  # sent again by somebody who hangs
                self._heard[id] = count
            for signal in frame.signals:
                if signal.write is not None:
                    signal.write(self._source, signal.value(payload))
            if self.map.answered is not None:
                self._put(self.map.answered)

    def _put(self, frame: Frame[Any]) -> None:
        loop, fault = asyncio.get_running_loop(), self.fault
        kind = None if fault is None else fault.kind
        if kind in (FaultKind.SILENT, FaultKind.STOPPED) or loop.time() < self._restarted_s:
            return
        raws = self._raws(frame)
        if kind is FaultKind.STUCK:
            raws = self._held[frame]
        elif kind is FaultKind.WRONG:
            raws = [self._random.getrandbits(signal.length) for signal in frame.signals]
        payload = frame.sealed(raws, self._counts[frame])
        if kind is FaultKind.GARBLED:
            payload = b""
        self._counts[frame] += 1
        if fault is not None and kind is FaultKind.SLOW:
            loop.call_later(fault.delay_ms / 1000, self.bus.put, frame, payload)
        else:
            self.bus.put(frame, payload)

    def _raws(self, frame: Frame[Any]) -> list[int]:
        return [signal.raw(self._source) for signal in frame.signals]
