"""A driver in a process of its own, operated from the router's: one request a line over a Unix socket.

Unasked, the driver's process tells how often each device was connected anew (`DeviceDriver.connections`). A request
that was sent and not answered is a TimeoutError, never tried again: whether the device acted is not known. A process
that can not be reached is a NotConnectedError: nothing was sent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import orjson

from gateway.tags.operate import DeviceDriver, NotConnectedError, OperateError
from gateway.tags.sample import Value
from gateway.unix_door import UnixDoor

LINE_BYTES = 4 << 20  # the connections of 100,000 tags
CONNECTIONS = 8  # one process asks; the one before it may not be gone yet
TELL_PERIOD_S = 0.2
RETRY_S = 0.2
CONNECTIONS_A_PROCESS = 1 << 32
ANSWER_PATIENCE_S = 660.0  # the router cancels long before: a point's own timeout is at most 600 s

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Request:
    id: int
    tag: int
    value: Value | None  # to operate; None: read back


class OperateServer:
    """Serves a driver of ``tags`` on the socket ``path`` to processes of the same user."""

    def __init__(self, path: Path, driver: DeviceDriver, tags: Iterable[int]) -> None:
        self._driver = driver
        self._tags = frozenset(tags)
        self._door = UnixDoor(
            path, "the driver's socket", self._serve, line_bytes=LINE_BYTES, most=CONNECTIONS
        )
        self._answering: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Raises OSError."""
        await self._door.start()

    async def stop(self) -> None:
        """Take no more; what is under way is cut off, and its caller learns that the outcome is not known."""
        await self._door.stop()
        for task in tuple(self._answering):
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        telling = asyncio.create_task(self._tell(writer))
        try:
            while line := await reader.readline():
                task = asyncio.create_task(self._answer(self._read(line), writer))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
        except ValueError as error:  # of a line without an end, too
            log.warning("a connection to the driver broke: %s", error)
            writer.write(orjson.dumps({"is": "malformed", "why": str(error)}) + b"\n")
        except OSError as error:
            log.warning("a connection to the driver broke: %s", error)
        finally:  # what is under way goes on without its peer
            telling.cancel()
            writer.close()

    def _read(self, line: bytes) -> _Request:
        """Raises ValueError."""
        match orjson.loads(line):  # which bounds how deep it nests by itself
            case {
                "id": int(number),
                "do": "operate",
                "tag": tag,
                "value": bool() | int() | float() | str() as value,
            }:
                request = _Request(number, tag, value)
            case {"id": int(number), "do": "read_back", "tag": tag}:
                request = _Request(number, tag, None)
            case _:
                raise ValueError(
                    "a request has an id, do (operate or read_back), a tag and to operate a value"
                )
        if request.tag not in self._tags:
            raise ValueError(f"{request.tag!r} is no tag of this driver")
        return request

    async def _tell(self, writer: asyncio.StreamWriter) -> None:
        """How often devices were connected anew, as it changes."""
        told: dict[int, int] = {}
        with suppress(ConnectionError):  # `_serve` sees that as well
            while not writer.is_closing():
                counts = {tag: self._driver.connections(tag) for tag in self._tags}
                changed = [(tag, count) for tag, count in counts.items() if told.get(tag) != count]
                if changed:
                    writer.write(orjson.dumps({"connections": changed}) + b"\n")
                    await writer.drain()
                    told = counts
                await asyncio.sleep(TELL_PERIOD_S)

    async def _answer(self, request: _Request, writer: asyncio.StreamWriter) -> None:
        answer: dict[str, object] = {"id": request.id}
        try:
            if request.value is not None:
                await self._driver.operate(request.tag, request.value)
            else:
                answer["value"] = await self._driver.read_back(request.tag)
            answer["is"] = "done"
        except NotConnectedError as error:
            answer |= {"is": "not connected", "why": error.why}
        except OperateError as error:
            answer |= {"is": "refused", "why": error.why}
        except TimeoutError:
            answer["is"] = "unknown"
        if not writer.is_closing():
            writer.write(orjson.dumps(answer) + b"\n")


class RemoteDriver:
    """A `DeviceDriver` for ``tags`` that another process reaches, behind the socket ``path``. Keep it running."""

    def __init__(self, path: Path, tags: Iterable[int]) -> None:
        self._path = path
        self._tags = tuple(tags)
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: dict[int, asyncio.Future[dict[str, object]]] = {}
        self._next = 0
        self._processes = 0
        self._connections: dict[int, int] = {}

    def tags(self) -> Iterable[int]:
        """The tags it can operate and read back."""
        return self._tags

    def take(self, tags: Iterable[int]) -> None:
        """Go on with these."""
        self._tags = tuple(tags)

    def connections(self, tag: int) -> int:
        """How often the device was connected anew; another process of the driver counts as that, too."""
        return self._processes * CONNECTIONS_A_PROCESS + self._connections.get(tag, 0)

    async def run(self) -> None:
        """Stay connected, until cancelled."""
        while True:
            with suppress(OSError):
                reader, self._writer = await asyncio.open_unix_connection(self._path, limit=LINE_BYTES)
                self._processes += 1
                self._connections.clear()
                await self._receive(reader, self._writer)
            await asyncio.sleep(RETRY_S)  # whoever turns us away is not asked again at once

    async def operate(self, tag: int, value: Value) -> None:
        """Send ``value``, once. Raises OperateError, NotConnectedError, TimeoutError."""
        await self._ask({"do": "operate", "tag": tag, "value": value})

    async def read_back(self, tag: int) -> Value:
        """What the device says now. Raises as `operate` does."""
        value = (await self._ask({"do": "read_back", "tag": tag}))["value"]
        assert isinstance(value, bool | int | float | str)
        return value

    async def _ask(self, request: dict[str, object]) -> dict[str, object]:
        writer = self._writer
        if writer is None or writer.is_closing():
            raise NotConnectedError("the driver's process does not answer")
        self._next += 1
        number = self._next
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        writer.write(orjson.dumps({"id": number, **request}) + b"\n")
        try:
            async with asyncio.timeout(ANSWER_PATIENCE_S):
                answer: dict[str, object] = await waiting
        finally:
            self._waiting.pop(number, None)
        match answer["is"]:
            case "done":
                return answer
            case "not connected":
                raise NotConnectedError(str(answer["why"]))
            case "refused":
                raise OperateError(str(answer["why"]))
        raise TimeoutError

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                answer = orjson.loads(line)
                if "connections" in answer:
                    self._connections.update(answer["connections"])
                    continue
                if "id" not in answer:
                    raise ValueError(answer["why"])
                waiting = self._waiting.get(answer["id"])
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
        except (OSError, ValueError) as error:
            log.warning("the connection to the driver's process broke: %s", error)
        finally:
            writer.transport.abort()
            self._writer = None
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_result({"is": "unknown"})
