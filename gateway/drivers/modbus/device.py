"""One Modbus device: keeps it connected, polls its groups, marks what is stale, and carries out commands."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gateway.config.modbus import ModbusDevice, ModbusPoint, Order, RegisterType, Table, WriteFunction
from gateway.config.registers import EncodeError, encode, switch
from gateway.drivers.modbus.client import (
    BroadcastError,
    ExceptionAnswerError,
    ExceptionCode,
    GarbledAnswerError,
    LinkLostError,
    ModbusError,
    NoAnswerError,
    NotOpenError,
    Request,
    mask_write_request,
    read_request,
    write_coil_request,
    write_coils_request,
    write_register_request,
    write_registers_request,
)
from gateway.drivers.modbus.codec import ALL_GOOD, MAX_POWER, Decoder
from gateway.drivers.modbus.line import Line, Station
from gateway.drivers.modbus.plan import limits_of, plan, write_limit_of
from gateway.drivers.modbus.poll import (
    FIRST_RETRY_S,
    MOST_REFUSALS,
    SILENCES_UNTIL_SLOW,
    SLOW_RETRY_S,
    Poll,
    Read,
    requests_of,
)
from gateway.drivers.modbus.writes import Pending, Write, fail
from gateway.drivers.session import Backoff, Event, Session
from gateway.drivers.trace import Ring
from gateway.tags.image import Region, Writer
from gateway.tags.operate import NotConnectedError, OperateError
from gateway.tags.quality import SEVERITY_BAD, Quality, is_bad
from gateway.tags.sample import Value, value_from_bits

LOOK_S = 0.2  # how late it is seen that a line is gone on which nobody answers
SPREAD_S = 0.2  # devices do not all poll in one instant; short, since the first values wait for it

# Reads of values whose scale factors changed meanwhile: a device that changes them each time has none.
UNSTEADY_READS = 3
_UNSTEADY = b"\x7f\x7f"  # in either byte order no scale factor

# Answers that say the read itself is wrong. Many devices say 3 for a length they do not like.
_SPLIT = frozenset({ExceptionCode.ILLEGAL_ADDRESS, ExceptionCode.ILLEGAL_VALUE})
# Answers by which a device refuses points written together that it may take one by one.
_NOT_TOGETHER = frozenset({ExceptionCode.ILLEGAL_FUNCTION, *_SPLIT})
_REWRITE = "'function: rewrite' in a bit's 'write' has its register read, changed and written back"
# A gateway's way to say that the device behind it is silent.
_SILENT = frozenset({ExceptionCode.GATEWAY_PATH, ExceptionCode.GATEWAY_TARGET})


class Device:
    """Runs one device over its line, which others may share. One image write a poll."""

    def __init__(
        self, config: ModbusDevice, line: Line, region: Region, writer: Writer, chance: random.Random
    ) -> None:
        self.config = config
        self.station = Station(
            config.unit_id, config.timeout_ms / 1000, config.pause_ms / 1000, config.is_broadcast
        )
        self.session = Session(Backoff(config.retry_max_ms / 1000, chance))
        self._line = line
        self._region = region
        self._writer = writer
        self._polls: list[Poll] = []
        self._stamp = np.zeros(1, np.int64)  # of the poll being written
        self._watch: asyncio.TimerHandle | None = None
        self._has_single_write = True  # until the device says it knows no function 6
        self._has_mask_write = True  # the same of function 22
        self._takes_groups = True  # until it refuses points written together; asked anew after a connection
        self._pending = Pending(
            {table: write_limit_of(config, table) for table in (Table.COIL, Table.HOLDING)}, config.points
        )
        self._writing: asyncio.Task[None] | None = None
        self._by_name = {point.name: point for point in config.points}
        self._asked: dict[int, Value] = {}  # by tag, what was last written to points that others prove

    @property
    def ring(self) -> Ring:
        """The last frames of its line."""
        return self._line.ring

    async def run(self, phase: float) -> None:
        """Until cancelled. ``phase`` (0..1) spreads the polls of many devices."""
        try:
            await self._run(phase)
        finally:
            self._line.release()

    async def _run(self, phase: float) -> None:
        if self.config.is_broadcast:
            await self._stay_open()
            return
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        limits = {table: limits_of(self.config, table) for table in Table}
        for place, group in enumerate(self.config.groups):
            points = [point for point in self.config.points if point.group == place]
            if points:
                phase_s = phase * min(group.period_ms / 1000, SPREAD_S)
                self._polls.append(Poll(group, points, limits, self._region.types, start_s, phase_s))
        if not self._polls:
            return
        self._expire()
        try:
            while True:
                self.session.on(Event.RETRY_DUE)
                await self._connect()
                if self.session.is_open:
                    await self._poll_while_open()
                await asyncio.sleep(self.session.retry_s())
        finally:
            if self._watch is not None:
                self._watch.cancel()
            if self._writing is not None:
                self._writing.cancel()

    def succeed(self, before: Device) -> None:
        """Count on where ``before``, the same device with other settings, ended."""
        self.station.counters = before.station.counters
        self.session.connections = before.session.connections

    async def _stay_open(self) -> None:
        """Of a broadcast: nobody answers, so that the way is all that can be there or not."""
        try:
            while True:
                self.session.on(Event.RETRY_DUE)
                await self._connect()
                if self.session.is_open:
                    self.session.on(Event.ANSWERED)
                    while self._line.is_open:  # noqa: ASYNC110 - others share it, and it tells nobody of its end
                        await asyncio.sleep(LOOK_S)
                    self._seen(Event.LOST)
                await asyncio.sleep(self.session.retry_s())
        finally:
            if self._writing is not None:
                self._writing.cancel()
            self._line.close()

    async def _connect(self) -> None:
        try:
            await self._line.open(self.station)
        except LinkLostError:
            self.session.on(Event.REFUSED)
            return
        self.session.on(Event.OPENED)
        self._takes_groups = True
        for poll in self._polls:
            poll.reconnected()

    # Polling

    async def _poll_while_open(self) -> None:
        """Each group at its own pace: on the line their requests take turns, so a long poll delays no short one."""
        tasks = [asyncio.create_task(self._keep_polling(poll)) for poll in self._polls]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()  # raises where it ended by a bug

    async def _keep_polling(self, poll: Poll) -> None:
        """Until the session is down."""
        loop = asyncio.get_running_loop()
        while self.session.is_open:
            wait_s = poll.schedule.next_s - loop.time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            await self._poll(poll)
            if poll.aside:
                await self._retry_aside(poll)
            poll.join(loop.time())
            poll.schedule.advance(loop.time())

    async def _poll(self, poll: Poll) -> None:
        """Ask all reads of the group, then write what was answered at once."""
        poll.overtaken.clear()
        answers: list[bytes] = []
        try:
            for read in poll.reads:
                answers.append(await self._ask(read))
                if read.silences:
                    read.silences = 0
        except ModbusError as error:
            await self._poll_with_trouble(poll, answers, error)
            return
        self._seen(Event.ANSWERED)
        self._write(poll, answers, poll.reads)

    async def _poll_with_trouble(self, poll: Poll, answers: list[bytes], error: ModbusError) -> None:
        """Go on after ``error``, the outcome of the read after ``answers``: the other points go on."""
        if answers:
            self._seen(Event.ANSWERED)
        reads: list[Read] = []  # the poll's reads from now on, in order
        payloads: list[bytes] = []
        answered: list[Read] = []
        for read, payload in zip(poll.reads, answers, strict=False):
            reads.append(read)
            payloads.append(payload)
            answered.append(read)
        waiting = deque(poll.reads[len(answers) :])
        outcome: bytes | ModbusError = error
        while waiting:
            read = waiting.popleft()
            if isinstance(outcome, bytes):
                self._seen(Event.ANSWERED)
                read.silences = 0
                payloads.append(outcome)
                answered.append(read)
                reads.append(read)
            else:
                pieces = self._judge(poll, read, outcome)
                if pieces is None:
                    payloads.append(bytes(read.block.payload_bytes))
                    reads.append(read)
                waiting.extendleft(reversed(pieces or ()))
            if not waiting:
                break
            if not self.session.is_open:
                payloads.extend(bytes(read.block.payload_bytes) for read in waiting)
                reads.extend(waiting)
                break
            outcome = await self._outcome(waiting[0])
        if reads != poll.reads:
            poll.reads = reads
            poll.refit()
        self._write(poll, payloads, answered)

    async def _outcome(self, read: Read) -> bytes | ModbusError:
        try:
            return await self._ask(read)
        except ModbusError as error:
            return error

    async def _ask(self, read: Read) -> bytes:
        if read.factors is None:
            return await self._line.ask(read.request, self.station)
        return await _ask_with_factors(
            read.request, read.factors, lambda request: self._line.ask(request, self.station)
        )

    def _judge(self, poll: Poll, read: Read, error: ModbusError) -> tuple[Read, ...] | None:
        """What becomes of a read that failed: None keeps it, else what takes its place (nothing: set aside)."""
        if isinstance(error, NoAnswerError):
            self._seen(Event.SILENT)
            return self._count_silence(poll, read)
        if not isinstance(error, ExceptionAnswerError):
            self._seen(Event.LOST)
            return None
        if error.code in _SILENT:
            self._seen(Event.SILENT)
            return self._count_silence(poll, read)
        self._seen(Event.ANSWERED)
        if error.code in _SPLIT:
            now_s = asyncio.get_running_loop().time()
            return poll.halves(read, now_s) or self._refuse(poll, read)
        if error.code == ExceptionCode.ILLEGAL_FUNCTION:
            return self._refuse(poll, read)
        if error.code == ExceptionCode.DEVICE_FAILURE:
            read.stale_quality = Quality.BAD_DEVICE_FAILURE
        return None

    def _count_silence(self, poll: Poll, read: Read) -> tuple[Read, ...] | None:
        if not self.session.is_open:
            return None  # it is the device that is silent, not this read
        read.silences += 1
        if read.silences < SILENCES_UNTIL_SLOW:
            return None
        self._set_aside(poll, read)
        return ()

    def _refuse(self, poll: Poll, read: Read) -> tuple[Read, ...]:
        """The device has no such registers: say so, and ask seldom."""
        read.freshness.is_stale = True
        self._writer.invalidate(Quality.BAD_CONFIGURATION_ERROR, time.time_ns(), read.tags)
        self._set_aside(poll, read)
        self._refused_again(read)
        return ()

    def _set_aside(self, poll: Poll, read: Read) -> None:
        read.retry_at_s = asyncio.get_running_loop().time() + SLOW_RETRY_S
        poll.aside.append(read)

    def _refused_again(self, read: Read) -> None:
        """Ask it soon, then ever more seldom."""
        wait_s = min(FIRST_RETRY_S * 2.0**read.refusals, SLOW_RETRY_S)
        read.refusals = min(read.refusals + 1, MOST_REFUSALS)
        read.retry_at_s = asyncio.get_running_loop().time() + wait_s

    async def _retry_aside(self, poll: Poll) -> None:
        """Ask the reads whose slow retry is due; what is answered is polled again."""
        loop = asyncio.get_running_loop()
        for read in [read for read in poll.aside if read.retry_at_s <= loop.time()]:
            if not self.session.is_open:
                return
            read.retry_at_s = loop.time() + SLOW_RETRY_S
            outcome = await self._outcome(read)
            if isinstance(outcome, bytes):
                self._seen(Event.ANSWERED)
                read.silences = read.refusals = 0
                poll.aside.remove(read)
                poll.reads.append(read)
                poll.refit()
            elif isinstance(outcome, ExceptionAnswerError):
                self._seen(Event.ANSWERED)
                self._refused_again(read)
            elif not isinstance(outcome, NoAnswerError):
                self._seen(Event.LOST)
            # Silence is what is known of such a read; whether the device is there, the others tell.

    def _write(self, poll: Poll, payloads: list[bytes], answered: list[Read]) -> None:
        """Decode the whole poll and put it into the image in one write; ``answered`` are the reads that count."""
        if not answered:
            return
        now_s = asyncio.get_running_loop().time()
        was_stale = False
        for read in answered:
            freshness = read.freshness
            was_stale = was_stale or freshness.is_stale
            freshness.refresh(now_s)
            read.stale_quality = Quality.BAD_COMMUNICATION_ERROR
        if was_stale or self._watch is None:
            self._expire()
        decoder = poll.decoder
        payloads.append(b"\0")
        data = b"".join(payloads)
        stamp = self._stamp
        stamp[0] = time.time_ns()
        is_whole = len(answered) == len(poll.reads) and not poll.overtaken
        counted = None if is_whole else {poll.reads.index(read) for read in answered}
        if len(decoder.tags):
            decoded = decoder.decode(data)
            tags, bits, status = decoder.tags, decoded.bits, decoded.status
            if counted is not None:
                keep = np.isin(decoder.block_of, list(counted)) & ~np.isin(tags, list(poll.overtaken))
                tags, bits = tags[keep], bits[keep]
                status = status if status is ALL_GOOD else status[keep]
            if decoded.has_bad:
                bad = np.flatnonzero(status & SEVERITY_BAD)
                bits[bad] = self._region.read(tags[bad])["value"]
            if len(tags):
                self._writer.write(tags, bits, status, stamp, stamp)
        if decoder.text_points:
            self._write_texts(poll, data, counted, stamp)

    def _write_texts(
        self, poll: Poll, data: bytes, counted: set[int] | None, stamp: NDArray[np.int64]
    ) -> None:
        decoder = poll.decoder
        good: list[int] = []
        texts: list[str] = []
        for (place, point, _), text in zip(decoder.text_points, decoder.texts(data), strict=True):
            if counted is not None and (place not in counted or point.tag in poll.overtaken):
                continue
            if text.value is None:
                self._writer.invalidate(text.status, int(stamp[0]), np.array([point.tag], np.uint32))
            else:
                good.append(point.tag)
                texts.append(text.value)
        if good:
            self._writer.write_texts(np.array(good, np.uint32), texts, Quality.GOOD, stamp, stamp)

    def _seen(self, event: Event) -> None:
        """Tell the session; a command's news may come after the connection's end, and is none then."""
        if self.session.is_open:
            self.session.on(event)

    # Staleness

    def _expire(self) -> None:
        """Mark what has become stale, and come again when the next may have."""
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        reads = [read for poll in self._polls for read in poll.all_reads]
        for quality, tags in _by_quality(read for read in reads if read.freshness.expire(now_s)):
            self._writer.invalidate(quality, time.time_ns(), tags)
        if self._watch is not None:
            self._watch.cancel()
        ahead = [read.freshness.until_s for read in reads if not read.freshness.is_stale]
        self._watch = loop.call_at(min(ahead), self._expire) if ahead else None

    # Commands

    async def operate(self, point: ModbusPoint, value: Value) -> None:
        """Write ``value``, once. Raises OperateError, NotConnectedError, TimeoutError (it may have acted).

        Cancelled before it was its turn, nothing is written.
        """
        try:
            if point.table is Table.COIL:
                data = bytes([switch(point, value)])
            elif point.table is not Table.HOLDING:
                raise OperateError(f"{point.name} is in a table that cannot be written")
            elif point.type is RegisterType.BOOL and point.bit is not None:
                await self._write_bit(point, switch(point, value))
                self._asked[point.tag] = value
                return
            else:
                data = encode(await self._with_present_scale(point), value)
        except (EncodeError, ExceptionAnswerError) as error:
            raise OperateError(_why(error)) from None
        if not self.session.is_open:
            raise NotConnectedError(f"{self.config.name} is not connected")
        self._asked[point.tag] = value
        write = Write(point, data, asyncio.get_running_loop().create_future())
        self._pending.add(write)
        if self._writing is None or self._writing.done():
            # It begins in the loop's next round: what others write in this one goes with it.
            self._writing = asyncio.create_task(self._write_pending())
        await write.done

    async def _with_present_scale(self, point: ModbusPoint) -> ModbusPoint:
        """The point with the scale that its device tells now. Raises as `_command`, and OperateError."""
        if point.scale_factor is None:
            return point
        octets = await self._command(read_request(point.table, point.scale_factor, 1))
        order: Literal["little", "big"] = "little" if point.byte_order is Order.LITTLE else "big"
        power = int.from_bytes(octets, order, signed=True)
        if abs(power) > MAX_POWER:
            raise OperateError(f"{point.name} has no scale now: its scale factor reads {power}")
        return replace(point, scale=point.scale * 10.0**power, scale_factor=None)

    async def read_back(self, point: ModbusPoint) -> Value:
        """What the device made of the last write, by the point's rule. Raises as `operate` does."""
        if self.config.is_broadcast:
            raise OperateError(f"{point.name} was told to all units of the line, of which none answers")
        rule = point.verify
        if rule is None:
            return await self._read(point)
        proof = self._by_name[f"{self.config.name}.{rule.point}"]
        told = await self._read(proof)
        if not rule.equals or point.tag not in self._asked:
            return told if not rule.equals else await self._read(point)
        if told in rule.equals:
            return self._asked[point.tag]
        wanted = " or ".join(str(value) for value in rule.equals)
        raise OperateError(f"{proof.name} is {told}, not {wanted}")

    async def _read(self, point: ModbusPoint) -> Value:
        """Read the point now, put it into the image, and return it. Raises as `operate` does."""
        [block] = plan([point], limits_of(self.config, point.table))
        try:
            request, factors = requests_of(block)
            if factors is None:
                payload = await self._command(request)
            else:
                payload = await _ask_with_factors(request, factors, self._command)
        except ExceptionAnswerError as error:
            raise OperateError(_why(error)) from None
        decoder = Decoder([block], self._region.types)
        data = payload + b"\0"
        stamp = time.time_ns()
        tags = np.array([point.tag], np.uint32)
        for poll in self._polls:
            poll.overtaken.add(point.tag)
        if decoder.text_points:
            [text] = decoder.texts(data)
            if text.value is None:
                raise OperateError(f"{point.name} reads back as no text")
            self._writer.write_texts(tags, [text.value], Quality.GOOD, stamp, stamp)
            return text.value
        decoded = decoder.decode(data)
        status = int(decoded.status[0])
        if is_bad(status):
            raise OperateError(f"{point.name} reads back as no valid value")
        self._writer.write(tags, decoded.bits, status, stamp, stamp)
        return value_from_bits(int(decoded.bits[0]), self._region.type_of(point.tag))

    async def _write_pending(self) -> None:
        """All that waits, group by group, each in a turn of its own: what came meanwhile goes with the next."""
        try:
            while self._pending:
                turn = self._line.queue(urgent=True)
                while True:
                    await self._line.take(turn)
                    try:
                        group = self._pending.next_group(alone=not self._takes_groups)
                        if group:
                            await self._write_group(group)
                        if not self._pending:
                            break
                        turn = self._line.queue(urgent=True)  # before `leave` gives it to a poll
                    finally:
                        self._line.leave()
        finally:
            self._pending.fail(NotConnectedError(f"{self.config.name} is not asked any more"))

    async def _write_group(self, group: list[Write]) -> None:
        """One turn's request (two where the device knows no function 6). Whoever waits is told."""
        try:
            await self._send_group(group)
        except ExceptionAnswerError as error:
            if len(group) > 1 and error.code in _NOT_TOGETHER:
                self._takes_groups = False  # what is refused as a whole was not done (7): each by itself
                self._pending.put_back(group)
                return
            trouble: Exception | None = OperateError(_why(error))
        except (OperateError, TimeoutError) as error:
            trouble = error
        except asyncio.CancelledError:
            for write in group:
                fail(write, TimeoutError(f"{self.config.name} was asked, but its answer is not waited for"))
            raise
        else:
            trouble = None
        for write in group:
            if trouble is not None:
                fail(write, trouble)
            elif not write.done.done():
                write.done.set_result(None)

    async def _send_group(self, group: list[Write]) -> None:
        address = group[0].point.address
        function = group[0].point.function
        data = b"".join(write.data for write in group)
        is_single = len(group) == 1 and function is not WriteFunction.MULTIPLE
        if group[0].point.table is Table.COIL:
            if is_single:
                request = write_coil_request(address, data == b"\1")
            else:
                request = write_coils_request(address, [octet == 1 for octet in data])
        elif len(data) == 2 and is_single:
            await self._write_register(address, data, holds_turn=True, only=function is WriteFunction.SINGLE)
            return
        else:
            request = write_registers_request(address, data)
        await self._send(request, holds_turn=True)

    async def _write_register(
        self, address: int, data: bytes, *, holds_turn: bool = False, only: bool = False
    ) -> None:
        """By function 6; by 16 where the device knows no 6, whose refusal proves that nothing was written.

        ``only``: by 6 or not at all.
        """
        if self._has_single_write or only:
            try:
                await self._send(write_register_request(address, data), holds_turn=holds_turn)
                return
            except ExceptionAnswerError as error:
                if error.code != ExceptionCode.ILLEGAL_FUNCTION or only:
                    raise
            self._has_single_write = False
        await self._send(write_registers_request(address, data), holds_turn=holds_turn)

    async def _write_bit(self, point: ModbusPoint, on: bool) -> None:
        """By mask write, which the device does in one step; by read, change and write where the point says so."""
        assert point.bit is not None
        # On the wire a register is big-endian; in one of little byte order the point's bit 0 is there bit 8.
        mask = 1 << (point.bit ^ 8 if point.byte_order is Order.LITTLE else point.bit)
        may_rewrite = point.function is not WriteFunction.AUTO
        if point.function is not WriteFunction.REWRITE and (self._has_mask_write or not may_rewrite):
            try:
                await self._send(mask_write_request(point.address, 0xFFFF ^ mask, mask if on else 0))
                return
            except ExceptionAnswerError as error:
                if error.code != ExceptionCode.ILLEGAL_FUNCTION:
                    raise
            if not may_rewrite:
                raise OperateError(f"{self.config.name} knows no mask write (function 22); {_REWRITE}")
            self._has_mask_write = False
        await self._line.enter(urgent=True)  # one turn for both: no command of ours gets in between
        try:
            payload = await self._command(read_request(Table.HOLDING, point.address, 1), holds_turn=True)
            register = int.from_bytes(payload, "big")
            register = register | mask if on else register & ~mask
            await self._write_register(point.address, register.to_bytes(2, "big"), holds_turn=True)
        finally:
            self._line.leave()

    async def _send(self, request: Request, *, holds_turn: bool = False) -> None:
        """A write. "Acknowledge" is a yes: taken, and under way; reading back tells the rest."""
        try:
            await self._command(request, holds_turn=holds_turn)
        except ExceptionAnswerError as error:
            if error.code != ExceptionCode.ACKNOWLEDGE:
                raise

    async def _command(self, request: Request, *, holds_turn: bool = False) -> bytes:
        """Ask before all polls, never twice. Raises ExceptionAnswerError, NotConnectedError, TimeoutError."""
        if not self.session.is_open:
            raise NotConnectedError(f"{self.config.name} is not connected")
        try:
            if holds_turn:
                answer = await self._line.exchange(request, self.station)
            else:
                answer = await self._line.ask(request, self.station, urgent=True)
        except ExceptionAnswerError as error:
            self._seen(Event.SILENT if error.code in _SILENT else Event.ANSWERED)
            raise
        except BroadcastError as error:
            raise TimeoutError(f"{self.config.name}: {error}") from None
        except GarbledAnswerError as error:
            self._seen(Event.SILENT)
            raise TimeoutError(f"{self.config.name} was asked, but then: {error}") from None
        except NoAnswerError:
            self._seen(Event.SILENT)
            raise TimeoutError(
                f"{self.config.name} did not answer within {self.config.timeout_ms} ms"
            ) from None
        except NotOpenError:
            self._seen(Event.LOST)
            raise NotConnectedError(f"{self.config.name} is not connected") from None
        except ModbusError as error:
            self._seen(Event.LOST)
            raise TimeoutError(f"{self.config.name} was asked, but then: {error}") from None
        self._seen(Event.ANSWERED)
        return answer


async def _ask_with_factors(
    request: Request, factors: Request, ask: Callable[[Request], Awaitable[bytes]]
) -> bytes:
    """Scale factors, then values, such that both were so at one time: the same factors before and after."""
    before = await ask(factors)
    for _ in range(UNSTEADY_READS):
        values = await ask(request)
        after = await ask(factors)
        if after == before:
            return before + values
        before = after
    return _UNSTEADY * (len(before) // 2) + values


def _why(error: EncodeError | ExceptionAnswerError) -> str:
    return f"the device answered {error}" if isinstance(error, ExceptionAnswerError) else str(error)


def _by_quality(reads: Iterable[Read]) -> list[tuple[Quality, NDArray[np.uint32]]]:
    """Tags of the reads, put together by the quality they get."""
    tags: dict[Quality, list[int]] = {}
    for read in reads:
        tags.setdefault(read.stale_quality, []).extend(read.tags.tolist())
    return [(quality, np.array(some, np.uint32)) for quality, some in tags.items()]
