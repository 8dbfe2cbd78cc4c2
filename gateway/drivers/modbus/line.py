"""One connection and those who share it: one request at a time, commands first, no faster than each device bears."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from gateway.drivers.modbus.client import (
    BroadcastError,
    Connection,
    ExceptionAnswerError,
    LinkLostError,
    ModbusError,
    NoAnswerError,
    NotOpenError,
    Request,
)
from gateway.drivers.modbus.counters import Counters
from gateway.drivers.modbus.untagged import UntaggedConnection
from gateway.drivers.trace import Ring

# Requests in a row, of all who share the line, with no answer: then the connection itself is taken for dead. One
# would cut off the neighbours of a unit that is switched off behind a serial gateway.
SILENCES_UNTIL_CLOSE = 2
# Commands in a row before a waiting poll gets one turn: logic that commands without a pause must not make its own
# inputs stale. So a command waits for one poll's request in nine at most.
COMMANDS_IN_A_ROW = 8
# For units to do what they were told by broadcast, before the next request (Modbus over Serial Line 1.02, 2.4.1).
BROADCAST_PAUSE_S = 0.1


@dataclass(slots=True)
class Station:
    """A device as its line sees it: how to address it, how long to wait, how long to leave it alone between."""

    unit: int
    timeout_s: float
    pause_s: float
    is_broadcast: bool = False  # all units of the line, of which none answers
    counters: Counters = field(default_factory=Counters)


class Line:
    """The way to one host and port, or by one serial port. Devices that must share a connection share a line."""

    def __init__(
        self,
        connect: Callable[[float], Awaitable[Connection | UntaggedConnection]],
        ring: Ring | None = None,
        *,
        bears_silence: bool = False,
    ) -> None:
        """``connect`` gets a time in seconds; ``bears_silence``: a new connection would cure nothing.

        ``ring`` gets the frames of all its connections.
        """
        self._connect = connect
        self.ring = Ring("", "") if ring is None else ring
        self._bears_silence = bears_silence
        self._connection: Connection | UntaggedConnection | None = None
        self._late: dict[
            tuple[int, int], float
        ] = {}  # (unit, function) whose late answer may come, until when
        self._is_taken = False
        self._commands: deque[asyncio.Future[None]] = deque()
        self._polls: deque[asyncio.Future[None]] = deque()
        self._in_a_row = 0  # turns given to commands while a poll waited
        self._free_at = 0.0  # loop time at which the last answer ended
        self._silences = 0
        self.users = 1  # devices that have it

    @property
    def is_open(self) -> bool:
        return self._connection is not None and self._connection.is_open

    async def open(self, station: Station) -> None:
        """Connect unless connected. Raises LinkLostError, counted on ``station``."""
        await self.enter(urgent=False)
        try:
            if not self.is_open:
                self._connection = await self._connect(station.timeout_s)
                self._silences = 0
        except LinkLostError as error:
            self.ring.note(str(error))
            station.counters.failed(error)
            raise
        finally:
            self.leave()

    def release(self) -> None:
        """One device less has it; the last one closes it."""
        self.users -= 1
        if not self.users:
            self.close()

    def close(self) -> None:
        """Drop the connection; whoever waits on it gets LinkLostError."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def ask(self, request: Request, station: Station, *, urgent: bool = False) -> bytes:
        """One request in one turn: the answer's data. Raises ModbusError, counted on ``station``."""
        if self._late:
            await self._until_not_late(request, station)
        if self._is_taken:
            await self.enter(urgent=urgent)
        else:
            self._is_taken = True
        try:
            return await self.exchange(request, station)
        finally:
            self.leave()

    async def exchange(self, request: Request, station: Station) -> bytes:
        """The same for one who holds the turn."""
        connection = self._connection
        if connection is None:
            raise NotOpenError("not connected")
        if connection.end is not None:  # it closed while nobody asked: counted once, by whoever finds out
            self._connection = None
            station.counters.failed(connection.end)
            raise NotOpenError(str(connection.end))
        loop = asyncio.get_running_loop()
        if station.pause_s:
            wait_s = self._free_at + station.pause_s - loop.time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
        counters = station.counters
        if isinstance(connection, UntaggedConnection):
            await self._until_not_late(request, station)
            try:
                await connection.quiet(station.timeout_s)
            except ModbusError as error:
                counters.failed(error)
                raise
        counters.requests += 1
        if station.is_broadcast:
            assert isinstance(connection, UntaggedConnection), "only lines have broadcasts"
            await asyncio.sleep(connection.tell(request, station.unit) + BROADCAST_PAUSE_S)
            self._free_at = loop.time()
            raise BroadcastError("it was told to all units, of which none answers")
        start_ns = time.monotonic_ns()
        try:
            data = await connection.ask(request, station.unit, station.timeout_s)
            counters.answered(time.monotonic_ns() - start_ns)
            self._silences = 0
        except ExceptionAnswerError as error:
            counters.answered(time.monotonic_ns() - start_ns)
            counters.failed(error)
            self._silences = 0
            raise
        except NoAnswerError as error:
            counters.failed(error)
            self._expect_late(request, station)
            self._silences += 1
            if self._silences >= SILENCES_UNTIL_CLOSE and not self._bears_silence:
                self.close()
            raise
        except asyncio.CancelledError:
            self._expect_late(request, station)
            raise
        except ModbusError as error:
            counters.failed(error)
            self.close()
            raise
        finally:
            self._free_at = loop.time()
        return data

    def _expect_late(self, request: Request, station: Station) -> None:
        """Without a transaction, a late answer is told from the next one of that unit and function only by time."""
        if isinstance(self._connection, UntaggedConnection):
            until_s = asyncio.get_running_loop().time() + station.timeout_s
            self._late[station.unit, request.pdu[0]] = until_s

    async def _until_not_late(self, request: Request, station: Station) -> None:
        """Leave a unit that owes an answer alone for one more timeout; the others are asked meanwhile."""
        key = (station.unit, request.pdu[0])
        until_s = self._late.get(key)
        if until_s is None:
            return
        wait_s = until_s - asyncio.get_running_loop().time()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        if self._late.get(key) == until_s:
            del self._late[key]

    async def enter(self, *, urgent: bool) -> None:
        """Take the turn; commands (``urgent``) before polls, each in order of arrival."""
        if not self._is_taken:
            self._is_taken = True
            return
        await self.take(self.queue(urgent=urgent))

    def queue(self, *, urgent: bool) -> asyncio.Future[None]:
        """A place in the queue, to be passed to `take` at once: whoever holds the turn may ask for its next one."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._is_taken:
            (self._commands if urgent else self._polls).append(turn)
        else:
            self._is_taken = True
            turn.set_result(None)
        return turn

    async def take(self, turn: asyncio.Future[None]) -> None:
        """Wait for a turn that was queued for."""
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()  # it was ours the moment we were cancelled: hand it on
            raise

    def leave(self) -> None:
        """Give the turn to the next in line."""
        is_polls_turn = self._in_a_row >= COMMANDS_IN_A_ROW
        for waiting in (self._polls, self._commands) if is_polls_turn else (self._commands, self._polls):
            while waiting:
                turn = waiting.popleft()
                if not turn.done():
                    self._in_a_row = self._in_a_row + 1 if waiting is self._commands and self._polls else 0
                    turn.set_result(None)
                    return
        self._in_a_row = 0
        self._is_taken = False
