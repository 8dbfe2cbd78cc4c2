"""One CANopen node: brought up, watched, its objects read in their groups' periods and written on command.

One SDO transfer at a time: a node has one channel for them. What was read leaves here as frames for the decoder.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from gateway.config.can import CanMessage
from gateway.config.can_canopen import (
    EMERGENCY,
    HEARTBEAT,
    HEARTBEAT_TIME,
    SDO_ANSWER,
    SDO_REQUEST,
    CanopenLink,
    ObjectWrite,
    SdoObject,
)
from gateway.drivers.can.canopen.sdo import (
    NO_OBJECT,
    NO_SUBINDEX,
    READ_WRITE_ONLY,
    Download,
    Upload,
    abort_text,
)
from gateway.drivers.can.canopen.services import (
    Emergency,
    NodeCommand,
    NodeState,
    read_emergency,
    read_state,
)
from gateway.drivers.can.decode import Frame, key_of_message
from gateway.drivers.session import Schedule
from gateway.tags.image import Writer
from gateway.tags.operate import NotConnectedError, OperateError
from gateway.tags.quality import Quality

RETRY_S = 1.0  # how often a node that was not brought up is tried again; and how long it may take to start
TIMINGS = 1_000  # transfers over which latencies are told
_NETWORK = 0x000  # identifier of NMT commands
_NO_SUCH = frozenset({NO_OBJECT, NO_SUBINDEX, READ_WRITE_ONLY})


Take = Callable[[bytes, float, int], None]  # bytes, seconds of the loop's clock, nanoseconds since 1970


class Hand(Protocol):
    """Give a frame to the bus. Raises OperateError, TimeoutError."""

    def __call__(self, identifier: int, data: bytes) -> Awaitable[None]: ...


class Station(Protocol):
    """What is counted of the device, and where what it says goes."""

    def asked(self) -> None: ...
    def refused(self, text: str) -> None: ...
    def unanswered(self, text: str) -> None: ...
    def take(self, frame: Frame) -> None: ...
    def tell_bad(self, message: CanMessage, status: Quality) -> None: ...


@dataclass(frozen=True, slots=True)
class Poll:
    """Objects that are read together every ``period_s``."""

    period_s: float
    messages: tuple[CanMessage, ...]


class Node:
    """``polls`` are its objects that are read by SDO."""

    def __init__(self, link: CanopenLink, polls: Sequence[Poll], hand: Hand, station: Station) -> None:
        self.link = link
        self._polls = tuple(polls)
        self._hand = hand
        self._station = station
        self.state = NodeState.UNKNOWN
        self.boots = 0
        self.lost = 0
        self.emergencies = 0
        self.emergency: Emergency | None = None
        self.has_news = False
        self._emergency_ns = 0
        self._heard_s = 0.0
        self._is_lost = True  # until its first heartbeat
        self._is_ready = False  # brought up since it was lost, or since it booted
        self._is_busy = False  # being brought up; what it tells of that is no reason to do it again
        self._wants_setup = asyncio.Event()
        self._line = asyncio.Lock()
        self._answers: asyncio.Queue[bytes] | None = None
        self._timings_ms: deque[float] = deque(maxlen=TIMINGS)

    @property
    def is_there(self) -> bool:
        """Whether it is heard; always where it tells no heartbeat, since then nothing says that it is not."""
        return not self.link.lost_after_ms or not self._is_lost

    def handlers(self) -> dict[int, Take]:
        """Identifiers that it sends with, and what takes each."""
        node = self.link.node
        return {
            HEARTBEAT + node: self.on_heartbeat,
            EMERGENCY + node: self.on_emergency,
            SDO_ANSWER + node: self.on_answer,
        }

    def opened(self) -> None:
        """The bus is there, again perhaps."""
        self._is_ready = False
        self._wants_setup.set()

    def on_heartbeat(self, data: bytes, now_s: float, _time_ns: int) -> None:
        """It tells its state, or that it just began."""
        state = read_state(data)
        if state is None:
            return
        was_lost, self._is_lost = self._is_lost, False
        self._heard_s = now_s
        self.has_news |= was_lost or state is not self.state
        self.state = state
        if state is NodeState.BOOTING:
            self.boots += 1
            self._is_ready = False
        is_idle = state is NodeState.PRE_OPERATIONAL and self.link.is_started
        if state is NodeState.BOOTING or ((not self._is_ready or is_idle) and not self._is_busy):
            self._wants_setup.set()

    def on_emergency(self, data: bytes, _now_s: float, time_ns: int) -> None:
        told = read_emergency(data)
        if told is not None:
            self.emergency, self._emergency_ns = told, time_ns
            self.emergencies += told.code != 0
            self.has_news = True

    def on_answer(self, data: bytes, _now_s: float, _time_ns: int) -> None:
        """An SDO answer; what nobody waits for is late."""
        if self._answers is not None and not self._answers.full():
            self._answers.put_nowait(data)

    def expire(self, now_s: float) -> bool:
        """True once, when its heartbeat is missing for too long."""
        if self._is_lost or not self.link.lost_after_ms:
            return False
        if now_s - self._heard_s < self.link.lost_after_ms / 1000:
            return False
        self._is_lost, self._is_ready = True, False
        self.state = NodeState.UNKNOWN
        self.lost += 1
        self.has_news = True
        return True

    async def run(self) -> None:
        """For ever: bring it up whenever that is needed, and read its objects."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._bring_up(), name="canopen node")
            for poll in self._polls:
                tasks.create_task(self._poll(poll), name="canopen poll")

    async def read(self, message: CanMessage) -> bytes:
        """Read an object into the image; its bytes. Raises OperateError, NotConnectedError, TimeoutError."""
        place = message.object
        assert place is not None
        upload = Upload(place.index, place.subindex)
        await self._transfer(upload, message.name)
        if upload.abort is not None:
            status = (
                Quality.BAD_CONFIGURATION_ERROR if upload.abort in _NO_SUCH else Quality.BAD_DEVICE_FAILURE
            )
            self._station.tell_bad(message, status)
            raise OperateError(f"{message.name} can not be read: {abort_text(upload.abort)}")
        self._station.take(Frame(key_of_message(message), upload.data, time.time_ns()))
        return upload.data

    async def write(self, place: SdoObject | ObjectWrite, data: bytes, name: str) -> None:
        """Write an object. Raises OperateError with the node's reason, NotConnectedError, TimeoutError."""
        download = Download(place.index, place.subindex, data)
        await self._transfer(download, name)
        if download.abort is not None:
            raise OperateError(f"{name} was refused: {abort_text(download.abort)}")

    def tell(self, writer: Writer) -> None:
        """Its state and its last emergency, and the time that answers take."""
        self.has_news = False
        stamp = time.time_ns()
        tags = self.link.system
        counts = (
            (tags.node_state, int(self.state)),
            (tags.boots, self.boots),
            (tags.heartbeats_lost, self.lost),
            (tags.emergencies, self.emergencies),
        )
        writer.write(
            np.array([tag for tag, _ in counts], np.uint32),
            np.array([count for _, count in counts], np.uint64),
            Quality.GOOD,
            stamp,
            stamp,
        )
        told = self.emergency
        numbers = np.array([tags.emergency_code, tags.error_register], np.uint32)
        text = np.array([tags.emergency_text], np.uint32)
        if told is None:
            writer.invalidate(Quality.BAD_WAITING_FOR_INITIAL_DATA, stamp, np.concatenate((numbers, text)))
            return
        at_ns = self._emergency_ns
        words = np.array([told.code, told.register], np.uint64)
        writer.write(numbers, words, Quality.GOOD, at_ns, stamp)
        writer.write_texts(text, [told.text()], Quality.GOOD, at_ns, stamp)

    def latencies_ms(self) -> tuple[float, float] | None:
        """Median and 99th percentile of the last transfers."""
        if not self._timings_ms:
            return None
        low, high = np.percentile(np.array(self._timings_ms), (50, 99))
        return float(low), float(high)

    async def _bring_up(self) -> None:
        """For ever: what it has to be told before it does its work, then that it may."""
        while True:
            await self._wants_setup.wait()
            self._wants_setup.clear()
            self._is_busy = True
            try:
                await self._start()
            except (OperateError, TimeoutError):
                self._wants_setup.set()  # nothing else may tell that it is there
            await asyncio.sleep(RETRY_S)
            self._is_busy = False

    async def _start(self) -> None:
        """Raises NotConnectedError, TimeoutError, and OperateError where the bus takes nothing."""
        node = self.link.node
        if self.link.setup and self.link.is_started:
            await self._hand(_NETWORK, bytes((NodeCommand.ENTER_PRE_OPERATIONAL, node)))
        for one in self._setup():
            try:
                await self.write(one, one.data, f"0x{one.index:04X}.{one.subindex}")
            except NotConnectedError:
                raise
            except OperateError as error:
                self._station.refused(str(error))  # the rest may do
        if self.link.is_started:
            await self._hand(_NETWORK, bytes((NodeCommand.START, node)))
        self._is_ready = True

    def _setup(self) -> tuple[ObjectWrite, ...]:
        beat = self.link.heartbeat_ms
        own = (ObjectWrite(HEARTBEAT_TIME, 0, beat.to_bytes(2, "little")),) if beat else ()
        return (*own, *self.link.setup)

    async def _poll(self, poll: Poll) -> None:
        """For ever: read the objects of a group, one after the other; a node that is silent is asked for one only."""
        loop = asyncio.get_running_loop()
        schedule = Schedule(poll.period_s, loop.time())
        while True:
            for message in poll.messages:
                try:
                    await self.read(message)
                except (NotConnectedError, TimeoutError):
                    break
                except OperateError as error:
                    self._station.refused(str(error))
            schedule.advance(loop.time())
            await asyncio.sleep(schedule.next_s - loop.time())

    async def _transfer(self, transfer: Upload | Download, name: str) -> None:
        """Until it is done or was aborted. Raises NotConnectedError, TimeoutError."""
        loop = asyncio.get_running_loop()
        timeout_s = self.link.timeout_ms / 1000
        async with self._line:
            answers: asyncio.Queue[bytes] = asyncio.Queue(8)
            self._answers = answers
            identifier = SDO_REQUEST + self.link.node
            started_s = loop.time()
            request: bytes | None = transfer.start()
            self._station.asked()
            try:
                while transfer.is_open:
                    if request is not None:
                        await self._hand(identifier, request)
                    async with asyncio.timeout(timeout_s):
                        request = transfer.on_answer(await answers.get())
            except TimeoutError:
                self._station.unanswered(f"no answer to {name}")
                with contextlib.suppress(OperateError, TimeoutError):  # nothing hears it then
                    await self._hand(identifier, transfer.cancel())
                raise TimeoutError(f"no answer to {name}") from None
            finally:
                self._answers = None
            if request is not None:  # our own abort
                await self._hand(identifier, request)
            self._timings_ms.append((loop.time() - started_s) * 1000)
