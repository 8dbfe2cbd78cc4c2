"""Rings of frames over a Unix socket: a driver's process serves them, `tieline trace` asks. One JSON object a line.

{"trace": "meter1", "follow": false}                                         asked, once a connection
{"protocol": "modbus-tcp", "where": "192.0.2.7:502", "devices": ["meter1"]}  those that share the line;
{"devices": ["meter1", "meter2"]}                                            or, where it has none, all that have
{"why": "a request is ..."}                                                  to one whose request makes no sense
{"number": 1, "at_ns": 1790000000000000000, "way": 0, "octets": "0001"}      a frame each
{"number": 9, "at_ns": 1790000000000000000, "way": 2, "text": "connected"}
{"lost": 3}                                                                  to one who follows too slowly
{"end": true}                                                                unless it follows
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.drivers.trace import Frame, Ring, Traced, Way
from gateway.unix_door import UnixDoor

CONNECTIONS = 8  # at once: people, not programs, look
REQUEST_BYTES = 4_096
REQUEST_S = 5.0
REQUEST = 'a request is one line of JSON: {"trace": DEVICE, "follow": true or false}'
FOLLOW_S = 0.1  # how often it is looked whether there is more: nothing is done for it where frames are added
ANSWER_S = 10.0  # a person waits no longer for the first line

log = logging.getLogger(__name__)


class TraceServer:
    """Serves the rings of ``drivers`` on the socket ``path`` to processes of the same user."""

    def __init__(self, path: Path, drivers: Iterable[Traced]) -> None:
        self._drivers = tuple(drivers)
        self._door = UnixDoor(
            path,
            "the socket of traces",
            self._serve,
            line_bytes=REQUEST_BYTES,
            most=CONNECTIONS,
            full=_line({"why": f"{CONNECTIONS} follow already"}),
        )

    async def start(self) -> None:
        """Raises OSError."""
        await self._door.start()

    async def stop(self) -> None:
        await self._door.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer(reader, writer)
        except (OSError, ValueError, TimeoutError) as error:
            log.info("a trace ended: %s", error)
        except asyncio.CancelledError:
            pass  # `stop`: nobody else waits for this task
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(REQUEST_S):
            request = await _request(reader)
        if request is None:
            _say(writer, {"why": REQUEST})
            await writer.drain()
            return
        device, follow = request
        rings: dict[str, Ring] = {}
        for driver in self._drivers:
            rings |= driver.traces()
        ring = rings.get(device)
        if ring is None:
            _say(writer, {"devices": sorted(rings)})
            await writer.drain()
            return
        shared = sorted(name for name, other in rings.items() if other is ring)
        _say(writer, {"protocol": ring.protocol, "where": ring.where, "devices": shared})
        ring.look()
        last = _tell(writer, ring, 0, knows=False)
        gone = asyncio.create_task(reader.read(1))  # whoever asked says no more, and goes
        try:
            while follow and not gone.done():
                await writer.drain()
                await asyncio.wait((gone,), timeout=FOLLOW_S)
                ring.look()
                last = _tell(writer, ring, last, knows=True)
        finally:
            gone.cancel()
        _say(writer, {"end": True})
        await writer.drain()


async def _request(reader: asyncio.StreamReader) -> tuple[str, bool] | None:
    """The device, and whether to follow; None for what is no request."""
    try:
        asked = json.loads(await reader.readline())
    except (ValueError, RecursionError):  # ValueError: of a line without an end, too
        return None
    match asked:
        case {"trace": str(device)}:
            return device, asked.get("follow") is True
    return None


def _tell(writer: asyncio.StreamWriter, ring: Ring, last: int, *, knows: bool) -> int:
    """What came after the frame ``last``; the number of the last one now. Who ``knows`` that one is told of gaps."""
    frames = ring.since(last)
    if not frames:
        return last
    lost = frames[0][0] - last - 1
    if knows and lost:
        _say(writer, {"lost": lost})
    for number, at_ns, way, octets in frames:
        told = {"text": octets.decode()} if way == Way.NOTE else {"octets": octets.hex()}
        _say(writer, {"number": number, "at_ns": at_ns, "way": int(way), **told})
    return frames[-1][0]


def _say(writer: asyncio.StreamWriter, line: Mapping[str, Any]) -> None:
    writer.write(_line(line))


def _line(said: Mapping[str, Any]) -> bytes:
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"


class NoTraceError(Exception):
    """No process has frames of the device; the text is for an operator."""


@dataclass(slots=True)
class Trace:
    """One device's frames as they come: ``devices`` share the line. Iterate, and `close`."""

    protocol: str
    where: str
    devices: tuple[str, ...]
    _connection: socket.socket
    _lines: Any
    is_cut: bool = True  # the other end went before it was done; known once there is no more to iterate

    def __iter__(self) -> Iterator[Frame | int]:
        """Frames, and how many were lost in between."""
        for line in self._lines:
            if not line.endswith(b"\n"):
                return
            told = json.loads(line)
            if "end" in told:
                self.is_cut = False
                return
            if "lost" in told:
                yield int(told["lost"])
                continue
            octets = told["text"].encode() if "text" in told else bytes.fromhex(told["octets"])
            yield (told["number"], told["at_ns"], Way(told["way"]), octets)

    def close(self) -> None:
        self._lines.close()
        self._connection.close()


def open_trace(sockets: Iterable[Path], device: str, *, follow: bool) -> Trace:
    """Ask the processes behind ``sockets`` for a device. Raises NoTraceError."""
    known: list[str] = []
    is_running = False
    for path in sockets:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(ANSWER_S)
            connection.connect(str(path))
            connection.sendall(json.dumps({"trace": device, "follow": follow}).encode() + b"\n")
            lines = connection.makefile("rb")
            first = json.loads(lines.readline() or b"{}")
        except (OSError, ValueError):
            connection.close()
            continue
        is_running = True
        if "protocol" in first:
            connection.settimeout(None)
            return Trace(first["protocol"], first["where"], tuple(first["devices"]), connection, lines)
        lines.close()
        connection.close()
        if "why" in first:
            raise NoTraceError(first["why"])
        known += first.get("devices", ())
    if not is_running:
        raise NoTraceError("no driver of this site is running (or it runs as another user)")
    there = f"there are: {', '.join(sorted(known))}" if known else "no device has any"
    raise NoTraceError(f"no frames are kept of a device {device!r}; {there}")
