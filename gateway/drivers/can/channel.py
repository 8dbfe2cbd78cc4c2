"""One bus with all its devices: it is kept open, read in batches, and its devices are watched.

A thread reads the bus, since python-can's interfaces block. What it has read goes through the decoder into the image
as soon as the loop looks, all in one write; what comes meanwhile is the next batch. So a frame of a quiet bus goes
at once, and the fuller the bus, the larger the batches: `Pace` sees to it that they grow before a core is full.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import can
import numpy as np

from gateway.config.can import CanBus, CanDevice, CanMessage, CanPoint
from gateway.config.can_bits import end_byte, extract
from gateway.drivers.can.bus import (
    BUS_ERRORS,
    ECHOING,
    LINUX_ERRORS,
    BusState,
    Source,
    duration_s,
    error_text,
    frame_of,
    message_of,
    octets_of,
    open_source,
    state_of,
    state_told,
)
from gateway.drivers.can.canopen.node import Node, Poll, Take
from gateway.drivers.can.decode import Decoder, Frame, key_of, key_of_message
from gateway.drivers.can.encode import raw_of, value_of
from gateway.drivers.can.j1939.network import Member, Network
from gateway.drivers.can.pace import Pace
from gateway.drivers.can.transmit import Transmitter
from gateway.drivers.session import Backoff
from gateway.drivers.trace import Ring
from gateway.tags.image import Writer
from gateway.tags.operate import NotConnectedError, OperateError
from gateway.tags.quality import Quality
from gateway.tags.sample import Value, value_from_bits

TICK_S = 0.05  # how often a quiet bus is looked after: staleness is seen so late at most
RECEIVE_S = 0.1  # how long the thread waits for a frame, and hence how long closing may take
SEND_S = 0.5  # a bus that takes nothing for so long has nobody on it, or is too loud for our identifier
ECHO_S = 1.0  # likewise from being taken to being on the bus
FEEDBACK_S = 10.0  # longest wait for a feedback; the router asks again while a command has time
MAX_PENDING = 100_000  # frames between thread and loop: five seconds of a full bus, some 20 MB
MAX_BATCH = 4_096  # frames decoded without letting others run: some 3 ms
LAST_ERROR_BYTES = 200


@dataclass(slots=True)
class Counts:
    """What is told of a device in its system tags, since the start."""

    frames: int = 0
    sent: int = 0
    missing: int = 0  # times that a message was missing for too long
    refused: int = 0
    broken: int = 0  # times that the bus could not be opened, or broke
    short: int = 0
    last_error: str = ""

    def note(self, text: str) -> None:
        """The last error, cut to what its tag holds."""
        self.last_error = text.encode()[:LAST_ERROR_BYTES].decode(errors="ignore")


class Device:
    """A device as its channel sees it: whether it is there."""

    def __init__(self, config: CanDevice, has_received: bool) -> None:
        self.config = config
        self.counts = Counts()
        self.is_connected = False
        self.connections = 0
        self.heard_s = -np.inf
        # a device that only receives says nothing; it is there while the bus is
        self.only_receives = not has_received
        self.patience_s = max(group.stale_after_ms for group in config.groups) / 1000
        self.node: Node | None = None

    def asked(self) -> None:
        """Something was requested of it."""
        self.counts.sent += 1

    def refused(self, text: str) -> None:
        """It does not do what it was asked for."""
        self.counts.refused += 1
        self.counts.note(text)

    def look(self, now_s: float, is_bus_up: bool) -> None:
        """Take note of whether it is there."""
        is_heard = self.only_receives or now_s - self.heard_s <= self.patience_s
        if self.node is not None and self.config.canopen is not None and self.config.canopen.lost_after_ms:
            is_heard = self.node.is_there
        is_connected = is_bus_up and is_heard
        self.connections += is_connected and not self.is_connected
        self.is_connected = is_connected


class Inbox:
    """Frames on their way from the thread to the loop."""

    def __init__(self, bus: CanBus, loop: asyncio.AbstractEventLoop, ring: Ring) -> None:
        self._ring = ring
        self.frames: deque[Frame] = deque()
        self.lost = 0
        self.received = 0
        self.errors = 0
        self.error: str | None = None  # the last one that was not told yet
        self.state = BusState.ACTIVE
        self.bus_offs = 0
        self.busy_s = 0.0
        self.failure: str | None = None
        self.arrived = asyncio.Event()
        self._bus = bus
        self._loop = loop
        self._is_awake = False

    def read(self, source: Source, closed: threading.Event) -> None:
        """In the thread: until ``closed``, or the bus fails."""
        try:
            while not closed.is_set():
                message = source.recv(RECEIVE_S)
                if message is not None:
                    self._put(message)
        except BUS_ERRORS as error:
            self.failure = str(error) or type(error).__name__
            self._wake()

    def drain(self) -> list[Frame]:
        """In the loop: what has come, at most a batch."""
        self._is_awake = False  # before looking: what comes later wakes us again
        self.arrived.clear()
        frames = self.frames
        taken = [frames.popleft() for _ in range(min(len(frames), MAX_BATCH))]
        if frames:
            self.arrived.set()
        return taken

    def turn(self, state: BusState) -> None:
        """Our controller's state as it was told."""
        self.bus_offs += state is BusState.OFF and self.state is not BusState.OFF
        self.state = state

    def _put(self, message: can.Message) -> None:
        (self._ring.received if message.is_rx else self._ring.sent)(octets_of(message))
        if message.is_error_frame:
            self.errors += 1
            if self._bus.interface in LINUX_ERRORS:
                self.turn(state_told(message, self.state))
                self.error = error_text(message)
            return
        self.received += 1
        self.busy_s += duration_s(message, self._bus)
        if self.state is BusState.OFF:
            self.state = BusState.ACTIVE  # a controller that is off hears nothing
        if message.is_remote_frame:
            return
        if len(self.frames) >= MAX_PENDING:
            self.lost += 1
            return
        self.frames.append(frame_of(message, time.time()))
        self._wake()

    def _wake(self) -> None:
        if not self._is_awake:
            self._is_awake = True
            self._loop.call_soon_threadsafe(self.arrived.set)


class Station:
    """What a CANopen node's doings mean for its device and for the image."""

    def __init__(self, device: Device, channel: Channel) -> None:
        self._device, self._channel = device, channel

    def asked(self) -> None:
        self._device.asked()

    def refused(self, text: str) -> None:
        self._device.refused(text)

    def unanswered(self, text: str) -> None:
        self._device.counts.missing += 1
        self._device.counts.note(text)

    def take(self, frame: Frame) -> None:
        """What was read of it."""
        self._channel.take_answer(frame)

    def tell_bad(self, message: CanMessage, status: Quality) -> None:
        """What it will not tell."""
        self._channel.tell_bad(self._device, message, status)


class Channel:
    """A bus and the devices on it. ``writer`` owns their tags."""

    def __init__(self, devices: Sequence[CanDevice], writer: Writer, chance: random.Random) -> None:
        self.bus = devices[0].bus
        self._writer = writer
        self._points: list[CanPoint] = [point for device in devices for point in device.points]
        self._decoder = Decoder(self._points)
        self.transmitters: dict[CanMessage, Transmitter] = {
            transmit.message: Transmitter(transmit, self._send)
            for device in devices
            for transmit in device.transmits
        }
        is_sent = [point.message in self.transmitters for point in self._points]
        owner = [place for place, device in enumerate(devices) for _ in device.points]
        self.devices = tuple(
            Device(device, any(o == place and not sent for o, sent in zip(owner, is_sent, strict=True)))
            for place, device in enumerate(devices)
        )
        self._device_of = {
            transmit.message: device for device in self.devices for transmit in device.config.transmits
        }
        self._owner = np.array(owner, np.int64)
        self._is_sent = np.array(is_sent, bool)
        self._tags = np.array([point.tag for point in self._points], np.uint32)
        self._place = {point.tag: place for place, point in enumerate(self._points)}
        self._stale_after_s = np.array(
            [
                np.inf
                if point.message in self.transmitters and not self.transmitters[point.message].config.cycle_ms
                else device.groups[point.group].stale_after_ms / 1000
                for device in devices
                for point in device.points
            ],
            np.float64,
        )
        self._is_stale = np.zeros(len(self._points), bool)
        self._backoff = Backoff(self.bus.retry_max_ms / 1000, chance)
        self._members = [
            (device, Member(device.config.j1939, device)) for device in self.devices if device.config.j1939
        ]
        self.network: Network | None = None
        if self._members:
            members = [member for _, member in self._members]
            self.network = Network(members, self._decoder.keys, self._hand_j1939, chance)
        self._handlers: dict[int, list[Take]] = {}
        for device in self.devices:
            if device.config.canopen is not None:
                device.node = self._node(device)
        self.ring = Ring("can", f"{self.bus.interface} {self.bus.channel}".strip())
        self._source: Source | None = None
        self._inbox: Inbox | None = None
        self._sender = ThreadPoolExecutor(1, "can send")
        self._echoes: dict[tuple[int, bytes], list[asyncio.Future[None]]] = {}
        self._awaited: dict[int, list[asyncio.Future[Value]]] = {}
        self._load_from = (0.0, 0.0)
        self.load_pct = 0.0

    def _node(self, device: Device) -> Node:
        """The node that a device is; its objects are read in the periods of their groups."""
        link = device.config.canopen
        assert link is not None
        polls: dict[int, dict[CanMessage, None]] = {}
        for point in device.config.points:
            if point.message.object is not None:
                polls.setdefault(point.group, {})[point.message] = None
        node = Node(
            link,
            [
                Poll(device.config.groups[group].period_ms / 1000, tuple(messages))
                for group, messages in polls.items()
            ],
            self._hand_canopen,
            Station(device, self),
        )
        for identifier, take in node.handlers().items():
            self._handlers.setdefault(identifier, []).append(take)
        return node

    @property
    def inbox(self) -> Inbox | None:
        """Counters of the bus; None before it was opened for the first time."""
        return self._inbox

    @property
    def is_open(self) -> bool:
        return self._source is not None

    async def run(self) -> None:
        """For ever: open the bus, read it, and begin again when it breaks."""
        loop = asyncio.get_running_loop()
        self._inbox = Inbox(self.bus, loop, self.ring)
        # what we send is not missed before it was sent
        self._heard_s = np.where(self._is_sent, np.inf, loop.time())
        try:
            async with asyncio.TaskGroup() as tasks:
                for transmitter in self.transmitters.values():
                    tasks.create_task(transmitter.run(), name="can transmit")
                tasks.create_task(self._watch(), name="can watch")
                if self.network is not None:
                    tasks.create_task(self.network.run(), name="j1939")
                for device in self.devices:
                    if device.node is not None:
                        tasks.create_task(device.node.run(), name="canopen")
                while True:
                    await self._session(self._inbox)
        finally:
            self._sender.shutdown(wait=False, cancel_futures=True)

    async def _session(self, inbox: Inbox) -> None:
        """From an attempt to open the bus until it breaks, and the pause after that."""
        try:
            source = await asyncio.to_thread(open_source, self.bus)
        except BUS_ERRORS as error:
            self._break(f"cannot open the bus: {error or type(error).__name__}")
            await asyncio.sleep(self._backoff.next_s())
            return
        closed = threading.Event()
        inbox.failure = None
        thread = threading.Thread(target=inbox.read, args=(source, closed), name="can receive", daemon=True)
        self._source = source
        self._load_from = (asyncio.get_running_loop().time(), inbox.busy_s)
        inbox.turn(BusState.ACTIVE)
        self.ring.note("opened")
        thread.start()
        if self.network is not None:
            self.network.opened()
        for device in self.devices:
            if device.node is not None:
                device.node.opened()
        try:
            await self._read(inbox)
        finally:
            self._source = None
            closed.set()
            await asyncio.to_thread(_close, thread, source)
        self._break(f"the bus failed: {inbox.failure}")
        await asyncio.sleep(self._backoff.next_s())

    async def _read(self, inbox: Inbox) -> None:
        """Batches into the image, until the bus fails."""
        pace = Pace(time.monotonic())
        while inbox.failure is None or inbox.frames:
            await inbox.arrived.wait()
            frames = inbox.drain()
            begun_s = (
                time.thread_time()
            )  # of the CPU, so that others on the machine do not slow us down twice
            if frames:
                self._backoff.reset()
                self._take(frames)
            rest_s = pace.rest_s(time.thread_time() - begun_s, time.monotonic())
            if rest_s or inbox.arrived.is_set():  # else waiting for the next lets others run
                await asyncio.sleep(rest_s)

    def _take(self, frames: Sequence[Frame]) -> None:
        """A batch into the image, to those who wait for it, and to the devices' counters."""
        now_s, now_ns = asyncio.get_running_loop().time(), time.time_ns()
        if self._echoes:
            self._find_echoes(frames)
        if self.network is not None:
            frames = [*frames, *self.network.take(frames, now_s)]
        if self._handlers:
            for frame in frames:
                for handler in self._handlers.get(frame.key, ()):
                    handler(frame.data, now_s, frame.time_ns)
        self._decode(frames, now_s, now_ns)
        if self.network is not None and self.network.has_news:
            self.write_network(now_s)
        for device in self.devices:
            if device.node is not None and device.node.has_news:
                device.node.tell(self._writer)

    def take_answer(self, frame: Frame) -> None:
        """What a node answered."""
        self._decode([frame], asyncio.get_running_loop().time(), frame.time_ns)

    def tell_bad(self, owner: Device, message: CanMessage, status: Quality) -> None:
        """Points of a message that their device will not tell; they are no older for that."""
        here = self.devices.index(owner)
        places = [
            place
            for place, point in enumerate(self._points)
            if self._owner[place] == here and point.message == message
        ]
        self._writer.invalidate(status, time.time_ns(), self._tags[places])
        self._heard_s[places] = asyncio.get_running_loop().time()
        self._is_stale[places] = False

    def _decode(self, frames: Sequence[Frame], now_s: float, now_ns: int) -> None:
        decoded = self._decoder.decode(frames)
        if len(decoded.short):
            self._refuse(decoded.short, now_ns)
        points = decoded.point
        if not len(points):
            return
        times = np.array([frame.time_ns for frame in frames], np.int64)[decoded.frame]
        self._writer.write(self._tags[points], decoded.bits, decoded.status, times, now_ns)
        self._heard_s[points] = now_s
        self._is_stale[points] = False
        count = len(self.devices)
        theirs = ~self._is_sent[points]
        owners = self._owner[points[theirs]]
        if len(frames) == 1:
            counted: Iterable[tuple[int, int]] = ((place, 1) for place in set(owners.tolist()))
        else:
            pairs = np.unique(decoded.frame[theirs] * count + owners)
            counted = enumerate(np.bincount(pairs % count, minlength=count))
        for place, heard in counted:
            if heard:
                device = self.devices[place]
                device.counts.frames += int(heard)
                device.heard_s = now_s
                device.look(now_s, True)
        if self._awaited:
            self._tell(points, decoded.bits)

    def _refuse(self, short: np.ndarray[tuple[int], np.dtype[np.int64]], now_ns: int) -> None:
        """Frames that are shorter than the database says: their signals are not there."""
        self._writer.invalidate(Quality.BAD_DATA_ENCODING_INVALID, now_ns, self._tags[short])
        for place in np.unique(self._owner[short]):
            counts = self.devices[place].counts
            counts.short += 1
            counts.note(f"a frame too short for {self._points[int(short[0])].name}")

    def _find_echoes(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            for future in self._echoes.pop((frame.key, frame.data), ()):
                if not future.done():
                    future.set_result(None)

    def _tell(
        self,
        points: np.ndarray[tuple[int], np.dtype[np.int64]],
        bits: np.ndarray[tuple[int], np.dtype[np.uint64]],
    ) -> None:
        """New values to those who wait for a point."""
        for place in list(self._awaited):
            rows = np.flatnonzero(points == place)
            if len(rows):
                value = value_from_bits(int(bits[rows[-1]]), self._points[place].signal.type)
                for future in self._awaited.pop(place):
                    if not future.done():
                        future.set_result(value)

    async def _watch(self) -> None:
        """Stale points, absent devices, the state of our controller."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK_S)
            now_s = loop.time()
            stale = (now_s - self._heard_s > self._stale_after_s) & ~self._is_stale
            if stale.any():
                self._expire(np.flatnonzero(stale))
            inbox, source = self._inbox, self._source
            assert inbox is not None
            is_up = source is not None and inbox.state is not BusState.OFF
            if inbox.error is not None:
                told, inbox.error = inbox.error, None
                for device in self.devices:
                    device.counts.note(told)
            for place, device in enumerate(self.devices):
                if device.node is not None and device.node.expire(now_s):
                    device.node.tell(self._writer)
                    self._expire(np.flatnonzero((self._owner == place) & ~self._is_sent))
                    device.counts.note("its heartbeat is missing")
                device.look(now_s, is_up)
            since_s, busy_s = self._load_from
            if source is not None and now_s - since_s >= 1.0:
                self.load_pct = 100 * (inbox.busy_s - busy_s) / (now_s - since_s)
                self._load_from = (now_s, inbox.busy_s)
                state = state_of(source)
                if state is not BusState.ACTIVE:
                    inbox.turn(state)

    def _expire(self, places: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
        """Points whose message is missing: Bad with their last value."""
        self._is_stale[places] = True
        self._writer.invalidate(Quality.BAD_COMMUNICATION_ERROR, time.time_ns(), self._tags[places])
        seen: set[tuple[int, str]] = set()
        for place in places:
            owner, message = int(self._owner[place]), self._points[place].message.name
            if (owner, message) not in seen:
                seen.add((owner, message))
                counts = self.devices[owner].counts
                counts.missing += 1
                counts.note(f"message {message} is missing")

    def _break(self, why: str) -> None:
        self.ring.note(why)
        for device in self.devices:
            device.counts.broken += 1
            device.counts.note(why)
        self.load_pct = 0.0

    async def operate(self, point: CanPoint, value: Value) -> None:
        """Send the point's message with ``value``. Raises OperateError, NotConnectedError, TimeoutError."""
        place = point.message.object
        if place is not None:
            data = raw_of(point.signal, value) & (1 << 8 * place.size) - 1
            node = self._node_of(point)
            await node.write(place, data.to_bytes(place.size, "little"), point.message.name)
            return
        await self.transmitters[point.message].command(point, value)

    async def read_back(self, point: CanPoint) -> Value:
        """The next value of the feedback point; without one, what the message that reached the bus said."""
        transmitter = self.transmitters.get(point.message)
        told_by = point if point.feedback is None else self._points[self._place[point.feedback]]
        if told_by.message.object is not None:
            return await self._ask(told_by)
        tag = point.tag if point.feedback is None else point.feedback
        if transmitter is not None and point.feedback is None:
            return transmitter.told(point)
        if not self.is_open:
            raise NotConnectedError("the bus is not open")
        place = self._place[tag]
        future: asyncio.Future[Value] = asyncio.get_running_loop().create_future()
        self._awaited.setdefault(place, []).append(future)
        try:
            async with asyncio.timeout(min(float(self._stale_after_s[place]), FEEDBACK_S)):
                return await future
        finally:
            self._forget(place, future)

    async def _ask(self, point: CanPoint) -> Value:
        """An object of a node, read now: not what a poll that was under way is told."""
        data = await self._node_of(point).read(point.message)
        if len(data) < end_byte(point.signal):
            raise OperateError(f"{point.message.name} is shorter than its type")
        return value_of(point.signal, extract(data, point.signal))

    def _forget(self, place: int, future: asyncio.Future[Value]) -> None:
        waiting = self._awaited.get(place, [])
        if future in waiting:
            waiting.remove(future)
        if not waiting:
            self._awaited.pop(place, None)

    def write_network(self, now_s: float) -> None:
        """What J1939 devices tell beside their points."""
        if self.network is not None:
            are_there = [device.is_connected for device, _ in self._members]
            self.network.write(self._writer, now_s, are_there)

    def _node_of(self, point: CanPoint) -> Node:
        """Raises NotConnectedError where it is not heard."""
        self._check_open()
        device = self.devices[int(self._owner[self._place[point.tag]])]
        assert device.node is not None
        if not device.node.is_there:
            raise NotConnectedError("the node is not heard")
        return device.node

    async def _send(self, layout: CanMessage, payload: bytes, is_command: bool) -> None:
        """Hand a message to the bus; for a command, wait until it is on the bus where the interface tells."""
        counts = self._device_of[layout].counts
        key = key_of_message(layout)
        try:
            if layout.group is not None:
                assert self.network is not None
                counts.sent += 1
                await self.network.send(layout, payload, is_awaited=is_command)
                is_shown = False  # what is heard again is not taken for another's
            else:
                self._check_open()
                counts.sent += 1
                message = message_of(layout, payload)
                is_shown = await self._hand(message, key, is_awaited=is_command)
        except NotConnectedError:
            raise
        except OperateError as error:
            counts.refused += 1
            counts.note(f"message {layout.name} was not sent: {error}")
            raise OperateError(f"the bus did not take {layout.name}: {error}") from None
        if not is_shown:
            now_ns = time.time_ns()
            self._decode([Frame(key, payload, now_ns)], asyncio.get_running_loop().time(), now_ns)

    def _check_open(self) -> Source:
        """Raises NotConnectedError where nothing can be sent."""
        source, inbox = self._source, self._inbox
        if source is None or inbox is None:
            raise NotConnectedError("the bus is not open")
        if inbox.state is BusState.OFF:
            raise NotConnectedError("our controller is bus-off")
        return source

    async def _hand_j1939(self, identifier: int, data: bytes, *, is_awaited: bool) -> None:
        message = can.Message(arbitration_id=identifier, is_extended_id=True, data=data)
        await self._hand(message, key_of(identifier, True), is_awaited=is_awaited)

    async def _hand_canopen(self, identifier: int, data: bytes) -> None:
        message = can.Message(arbitration_id=identifier, is_extended_id=False, data=data)
        await self._hand(message, key_of(identifier, False), is_awaited=False)

    async def _hand(self, message: can.Message, key: int, *, is_awaited: bool) -> bool:
        """A frame to the bus; whether the interface shows us what we send. Raises OperateError, TimeoutError."""
        source = self._check_open()
        loop = asyncio.get_running_loop()
        does_echo = self.bus.interface in ECHOING
        echo: asyncio.Future[None] | None = None
        payload = bytes(message.data)
        if is_awaited and does_echo:
            echo = loop.create_future()
            self._echoes.setdefault((key, payload), []).append(echo)
        try:
            try:
                await loop.run_in_executor(self._sender, source.send, message, SEND_S)
            except BUS_ERRORS as error:
                raise OperateError(str(error) or type(error).__name__) from None
            if not does_echo:  # else it is told when it is heard
                self.ring.sent(octets_of(message))
            if echo is not None:
                async with asyncio.timeout(ECHO_S):
                    await echo
        finally:
            if echo is not None and not echo.done():
                self._echoes.pop((key, payload), None)
        return does_echo


def _close(thread: threading.Thread, source: Source) -> None:
    """End the thread, then close; a bus that breaks on being closed is closed as well."""
    thread.join()
    try:
        source.shutdown()
    except BUS_ERRORS:
        return
