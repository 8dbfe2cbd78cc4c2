"""A driver in a process of its own, operated from the router's: one request a line over a Unix socket.

Unasked, the driver's process tells how often each device was connected anew (`DeviceDriver.connections`). A request
that was sent and not answered is a TimeoutError, never tried again: whether the device acted is not known. A process
that can not be reached is a NotConnectedError: nothing was sent.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import orjson

from gateway.tags.operate import DeviceDriver, NotConnectedError, OperateError
from gateway.tags.sample import Value
from gateway.unix_door import peer_uid

LINE_BYTES = 4 << 20  # the connections of 100,000 tags
TELL_PERIOD_S = 0.2
RETRY_S = 0.2
CONNECTIONS_A_PROCESS = 1 << 32
ANSWER_PATIENCE_S = 660.0  # the router cancels long before: a point's own timeout is at most 600 s

log = logging.getLogger(__name__)


class OperateServer:
    """Serves a driver of ``tags`` on the socket ``path`` to processes of the same user."""

    def __init__(self, path: Path, driver: DeviceDriver, tags: Iterable[int]) -> None:
        self._path = path
        self._driver = driver
        self._tags = tuple(tags)
        self._server: asyncio.Server | None = None
        self._running: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Raises OSError."""
        with suppress(FileNotFoundError):
            self._path.unlink()
        self._server = await asyncio.start_unix_server(self._serve, self._path, limit=LINE_BYTES)
        self._path.chmod(0o600)

    async def stop(self) -> None:
        """Take no more; what is under way is cut off, and its caller learns that the outcome is not known."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        with suppress(FileNotFoundError):
            self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if peer_uid(writer) not in (0, os.geteuid()):
            writer.transport.abort()
            return
        telling = asyncio.create_task(self._tell(writer))
        self._running.add(telling)
        telling.add_done_callback(self._running.discard)
        try:
            while line := await reader.readline():
                task = asyncio.create_task(self._answer(line, writer))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
        except (OSError, ValueError) as error:  # ValueError: a line without an end
            log.warning("a connection to the driver broke: %s", error)
        finally:
            telling.cancel()
            writer.transport.abort()

    async def _tell(self, writer: asyncio.StreamWriter) -> None:
        """How often devices were connected anew, as it changes."""
        told: dict[int, int] = {}
        while not writer.is_closing():
            counts = {tag: self._driver.connections(tag) for tag in self._tags}
            changed = [(tag, count) for tag, count in counts.items() if told.get(tag) != count]
            if changed:
                writer.write(orjson.dumps({"connections": changed}) + b"\n")
                told = counts
            await asyncio.sleep(TELL_PERIOD_S)

    async def _answer(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        request = orjson.loads(line)
        answer: dict[str, object] = {"id": request["id"]}
        try:
            if request["do"] == "operate":
                await self._driver.operate(request["tag"], request["value"])
            else:
                answer["value"] = await self._driver.read_back(request["tag"])
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
            try:
                reader, self._writer = await asyncio.open_unix_connection(self._path, limit=LINE_BYTES)
            except OSError:
                await asyncio.sleep(RETRY_S)
                continue
            self._processes += 1
            self._connections.clear()
            await self._receive(reader, self._writer)

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
