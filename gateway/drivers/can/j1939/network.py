"""J1939 on one bus: our address, transfers both ways, requests, and the faults that devices tell.

Messages leave here as frames for the decoder, whether they came as one frame or as two hundred; see `key_of_group`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Container, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from gateway.config.can import CanMessage
from gateway.config.can_j1939 import (
    ACKNOWLEDGE,
    ACTIVE_FAULTS,
    ADDRESS_CLAIMED,
    GLOBAL,
    NOBODY,
    REQUEST,
    TRANSFER_CONTROL,
    TRANSFER_DATA,
    J1939Link,
    ParameterGroup,
    destination_of,
    identifier_of,
    pgn_of,
)
from gateway.drivers.can.decode import EXTENDED, Frame, key_of_group
from gateway.drivers.can.j1939.claim import Claim, State
from gateway.drivers.can.j1939.faults import ActiveFaults, Lamp, read_faults
from gateway.drivers.can.j1939.transfer import (
    BAM_PAUSE_S,
    Control,
    Outcome,
    Receiver,
    Reply,
    Sending,
    announcement,
    control,
    packet,
    packets_of,
)
from gateway.drivers.session import Schedule
from gateway.tags.image import Writer
from gateway.tags.operate import NotConnectedError, OperateError
from gateway.tags.quality import Quality

TICK_S = 0.02  # how late a time-out may be seen
MAX_ROUTES = 4_096  # identifiers whose meaning is kept; a bus has some hundreds
MAX_WAITING = 256  # answers on their way to a bus that takes none
MAX_HEARD = 64  # answers of a destination that wait for us
FAULTS_AGE_S = 5.0  # faults are told every second while there are any (J1939-73 5.7.1.1)
CANNOT_CLAIM_S = (
    0.153  # at most so long after it was asked does one without address say so (J1939-81 4.4.4.2)
)
_PRIORITY = 6  # of requests
_TRANSFER_PRIORITY = 7
_FRAME = 8
_MASK = 0x03FF_FFFF  # an identifier without its priority
_REFUSALS = {1: "it does not know it", 2: "access is denied", 3: "it cannot answer now"}


class Station(Protocol):
    """What is counted of a device."""

    def asked(self) -> None: ...
    def refused(self, text: str) -> None: ...


class Hand(Protocol):
    """Give a frame to the bus; waits until it is there where ``is_awaited``. Raises OperateError, TimeoutError."""

    def __call__(self, identifier: int, data: bytes, *, is_awaited: bool) -> Awaitable[None]: ...


@dataclass(slots=True)
class Member:
    """A device of the site on this bus."""

    link: J1939Link
    station: Station
    faults: ActiveFaults | None = None
    faults_ns: int = 0
    faults_s: float = 0.0
    transfers: int = 0


@dataclass(slots=True)
class _Transfer:
    sending: Sending
    heard: asyncio.Queue[bytes] = field(default_factory=lambda: asyncio.Queue(MAX_HEARD))


class Network:
    """``keys`` are the frames that the decoder has a use for."""

    def __init__(
        self, members: Sequence[Member], keys: Container[int], hand: Hand, chance: random.Random
    ) -> None:
        self.members = members
        identity = next((one.link.identity for one in members if one.link.identity is not None), None)
        self._claim = None if identity is None else Claim(identity)
        self._keys = keys
        self._hand = hand
        self._chance = chance
        self._receiver = Receiver()
        self._routes: dict[int, tuple[int, int, int, tuple[int, ...]]] = {}
        self._by_source: dict[int, list[Member]] = {}
        for member in members:
            if member.link.source is not None:
                self._by_source.setdefault(member.link.source, []).append(member)
        self._replies: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue(MAX_WAITING)
        self._transfers: dict[int, _Transfer] = {}
        self._locks: dict[int, asyncio.Lock] = {}
        self._claimed = asyncio.Event()  # for the first time
        self.has_news = False

    @property
    def address(self) -> int:
        """Ours; NOBODY while there is none."""
        return (
            NOBODY if self._claim is None or self._claim.state is not State.CLAIMED else self._claim.address
        )

    def opened(self) -> None:
        """The bus is there, again perhaps: our address is claimed anew."""
        self._receiver.clear()
        if self._claim is not None:
            self._reply(*self._claim.start(asyncio.get_running_loop().time()))

    async def run(self) -> None:
        """For ever: answers, time-outs and requests."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._answer(), name="j1939 answers")
            for member in self.members:
                for pgn, period_ms in member.link.requests:
                    tasks.create_task(self._request(member, pgn, period_ms / 1000), name="j1939 request")
            loop = asyncio.get_running_loop()
            while True:
                await asyncio.sleep(TICK_S)
                if self._claim is not None:
                    self._claim.tick(loop.time())
                    if self._claim.state is State.CLAIMED:
                        self._claimed.set()
                if not self._receiver.is_idle:
                    self._reply_all(self._receiver.expire(loop.time()))

    def take(self, frames: Sequence[Frame], now_s: float) -> list[Frame]:
        """What came; frames for the decoder."""
        decoded: list[Frame] = []
        for frame in frames:
            if not frame.key & EXTENDED:
                continue
            pgn, source, destination, keys = self._route(frame.key & _MASK)
            if source == self._own() and pgn != ADDRESS_CLAIMED:
                continue  # ours, heard again
            for key in keys:
                decoded.append(Frame(key, frame.data, frame.time_ns))
            if pgn == TRANSFER_DATA:
                message, replies = self._receiver.on_data(source, destination, frame.data, now_s)
                self._reply_all(replies)
                if message is not None:
                    for member in self._by_source.get(source, ()):
                        member.transfers += 1
                    for key in self._group_keys(message.pgn, source):
                        decoded.append(Frame(key, message.data, frame.time_ns))
                    if message.pgn == ACTIVE_FAULTS:
                        self._faults(source, message.data, frame.time_ns, now_s)
            elif pgn == TRANSFER_CONTROL:
                self._on_control(source, destination, frame.data, now_s)
            elif pgn == ACTIVE_FAULTS:
                self._faults(source, frame.data, frame.time_ns, now_s)
            elif pgn == ADDRESS_CLAIMED:
                self._on_claim(source, frame.data, now_s)
            elif pgn == REQUEST:
                self._on_request(destination, frame.data)
            elif pgn == ACKNOWLEDGE:
                self._on_acknowledge(source, frame.data)
        return decoded

    def write(self, writer: Writer, now_s: float, is_connected: Sequence[bool]) -> None:
        """Our address, transfers and faults, of all members."""
        stamp = time.time_ns()
        self.has_news = False
        for member, is_there in zip(self.members, is_connected, strict=True):
            tags = member.link.system
            own = np.array([tags.own_address, tags.transfers, tags.transfers_broken], np.uint32)
            words = np.array([self.address, member.transfers, self._receiver.broken], np.uint64)
            writer.write(own, words, Quality.GOOD, stamp, stamp)
            numbers = np.array(
                [tags.faults, tags.lamp_malfunction, tags.lamp_stop, tags.lamp_warning, tags.lamp_protect],
                np.uint32,
            )
            text = np.array([tags.fault_text], np.uint32)
            known = member.faults
            if known is None:
                both = np.concatenate((numbers, text))
                quality = Quality.BAD_WAITING_FOR_INITIAL_DATA
                if member.link.source is None:
                    quality = Quality.BAD_NOT_SUPPORTED
                writer.invalidate(quality, stamp, both)
                continue
            words = np.array([len(known.faults), *known.lamps], np.uint64)
            is_quiet = not known.faults and all(lamp in (Lamp.OFF, Lamp.UNKNOWN) for lamp in known.lamps)
            is_current = is_there and (is_quiet or now_s - member.faults_s <= FAULTS_AGE_S)
            status = Quality.GOOD if is_current else Quality.BAD_COMMUNICATION_ERROR
            writer.write(numbers, words, status, member.faults_ns, stamp)
            writer.write_texts(text, [_cut(known.text())], status, member.faults_ns, stamp)

    async def send(self, message: CanMessage, data: bytes, *, is_awaited: bool) -> None:
        """A message of one frame or many. Raises OperateError, NotConnectedError, TimeoutError."""
        group = message.group
        assert group is not None
        assert group.destination is not None
        source = self.address
        if source == NOBODY:
            why = (
                "has lost its address"
                if self._claim and self._claim.state is State.NONE
                else "has no address yet"
            )
            raise NotConnectedError(f"Tieline {why} on this bus")
        if len(data) <= _FRAME:
            identifier = identifier_of(group.pgn, group.priority, source, group.destination)
            await self._hand(identifier, data, is_awaited=is_awaited)
            return
        async with self._locks.setdefault(group.destination, asyncio.Lock()):
            if group.destination == GLOBAL:
                await self._broadcast(group, data, source)
            else:
                await self._transfer(message.name, group, data, source)

    async def _broadcast(self, group: ParameterGroup, data: bytes, source: int) -> None:
        to_all = (_TRANSFER_PRIORITY, source, GLOBAL)
        begin = announcement(Control.BAM, group.pgn, len(data))
        await self._hand(identifier_of(TRANSFER_CONTROL, *to_all), begin, is_awaited=True)
        for number in range(1, packets_of(len(data)) + 1):
            await asyncio.sleep(BAM_PAUSE_S)
            await self._hand(identifier_of(TRANSFER_DATA, *to_all), packet(data, number), is_awaited=True)

    async def _transfer(self, name: str, group: ParameterGroup, data: bytes, source: int) -> None:
        assert group.destination is not None
        to_one = (_TRANSFER_PRIORITY, source, group.destination)
        loop = asyncio.get_running_loop()
        sending = Sending(group.pgn, data, loop.time())
        transfer = self._transfers[group.destination] = _Transfer(sending)
        try:
            await self._hand(identifier_of(TRANSFER_CONTROL, *to_one), sending.start(), is_awaited=True)
            while sending.outcome is Outcome.OPEN:
                packets: list[bytes] = []
                try:
                    async with asyncio.timeout_at(sending.until_s):
                        heard = await transfer.heard.get()
                except TimeoutError:
                    abort = sending.on_time(max(loop.time(), sending.until_s))
                else:
                    packets, abort = sending.on_control(heard, loop.time())
                for one in packets:
                    await self._hand(identifier_of(TRANSFER_DATA, *to_one), one, is_awaited=False)
                if abort is not None:
                    await self._hand(identifier_of(TRANSFER_CONTROL, *to_one), abort, is_awaited=False)
        except asyncio.CancelledError:
            self._reply(
                identifier_of(TRANSFER_CONTROL, *to_one), control(Control.ABORT, group.pgn, 3)
            )  # the other end need not wait
            raise
        finally:
            del self._transfers[group.destination]
        if sending.outcome is Outcome.REFUSED:
            raise OperateError(f"{name} was not taken: {sending.why}")
        if sending.outcome is Outcome.UNKNOWN:
            raise TimeoutError(f"{name}: {sending.why}")

    def _own(self) -> int:
        """The address that we use or try for; nothing from it is somebody else's."""
        return NOBODY if self._claim is None else self._claim.address

    def _route(self, identifier: int) -> tuple[int, int, int, tuple[int, ...]]:
        known = self._routes.get(identifier)
        if known is None:
            pgn, source = pgn_of(identifier), identifier & 0xFF
            known = pgn, source, destination_of(identifier), self._group_keys(pgn, source)
            if len(self._routes) < MAX_ROUTES:
                self._routes[identifier] = known
        return known

    def _group_keys(self, pgn: int, source: int) -> tuple[int, ...]:
        both = (key_of_group(pgn, source), key_of_group(pgn, None))
        return tuple(key for key in both if key in self._keys)

    def _on_control(self, source: int, destination: int, data: bytes, now_s: float) -> None:
        if destination == self.address and destination != NOBODY:
            transfer = self._transfers.get(source)
            is_theirs = len(data) >= 8 and data[0] in (Control.CTS, Control.END, Control.ABORT)
            if transfer is not None and is_theirs and not transfer.heard.full():
                transfer.heard.put_nowait(data)
        elif destination != GLOBAL:
            return
        self._reply_all(self._receiver.on_control(source, destination, data, now_s))

    def _on_claim(self, source: int, data: bytes, now_s: float) -> None:
        if self._claim is not None:
            answer = self._claim.on_claim(source, data, now_s)
            if answer is not None:
                self._reply(*answer)

    def _on_request(self, destination: int, data: bytes) -> None:
        claim = self._claim
        if claim is None or len(data) < 3 or destination not in (GLOBAL, claim.address):
            return
        if int.from_bytes(data[:3], "little") == ADDRESS_CLAIMED:
            self._reply(*claim.on_request())

    def _on_acknowledge(self, source: int, data: bytes) -> None:
        """A device refuses what was requested."""
        if len(data) < _FRAME or data[0] not in _REFUSALS:
            return
        pgn = int.from_bytes(data[5:8], "little")
        for member in self._by_source.get(source, ()):
            if any(pgn == asked for asked, _ in member.link.requests):
                member.station.refused(f"PGN {pgn} was refused: {_REFUSALS[data[0]]}")

    def _faults(self, source: int, data: bytes, time_ns: int, now_s: float) -> None:
        for member in self._by_source.get(source, ()):
            told = read_faults(data)
            if told is not None:
                self.has_news |= told != member.faults
                member.faults, member.faults_ns, member.faults_s = told, time_ns, now_s

    async def _request(self, member: Member, pgn: int, period_s: float) -> None:
        """For ever: ask for a group."""
        loop = asyncio.get_running_loop()
        destination = GLOBAL if member.link.source is None else member.link.source
        await self._claimed.wait()
        schedule = Schedule(period_s, loop.time())
        while True:
            if self.address != NOBODY:
                identifier = identifier_of(REQUEST, _PRIORITY, self.address, destination)
                try:
                    member.station.asked()
                    await self._hand(identifier, pgn.to_bytes(3, "little"), is_awaited=False)
                except (OperateError, TimeoutError) as error:
                    member.station.refused(f"PGN {pgn} was not asked for: {error}")
            schedule.advance(loop.time())
            await asyncio.sleep(schedule.next_s - loop.time())

    def _reply_all(self, replies: Sequence[Reply]) -> None:
        for reply in replies:
            identifier = identifier_of(TRANSFER_CONTROL, _TRANSFER_PRIORITY, self.address, reply.destination)
            self._reply(identifier, reply.data)

    def _reply(self, identifier: int, data: bytes) -> None:
        if not self._replies.full():  # a bus that takes nothing gets no answer
            self._replies.put_nowait((identifier, data))

    async def _answer(self) -> None:
        while True:
            identifier, data = await self._replies.get()
            if identifier & 0xFF == NOBODY:
                # two that have no address would send one identifier with two contents at once
                await asyncio.sleep(self._chance.random() * CANNOT_CLAIM_S)
            try:
                await self._hand(identifier, data, is_awaited=False)
            except (OperateError, TimeoutError):
                continue  # it is counted; whoever asked will ask again


def _cut(text: str) -> str:
    return text.encode()[:200].decode(errors="ignore")
