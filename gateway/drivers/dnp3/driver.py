"""All DNP3 devices of a site in one event loop: what they tell goes into the image, commands go to them.

An outstation tells changes by itself and is asked for them as well, once a period; each answer confirms every value
that it did not change. One that does not answer for `stale_after_ms` is Bad, with its last values.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.config.dnp3_device import DevicePointKind, Dnp3Device, Dnp3Engine, Dnp3Point
from gateway.drivers.dnp3.engine import OpenEngine
from gateway.drivers.dnp3.environment import interpreter
from gateway.drivers.dnp3.notices import (
    ChannelChanged,
    CommandEnded,
    Engine,
    Notice,
    Reading,
    Readings,
    TaskEnded,
    TaskKind,
)
from gateway.drivers.dnp3.points import KIND_OF_GROUP, STATIC_GROUP, raw_of, status_of, value_of
from gateway.drivers.dnp3.tunnel import Tunnel
from gateway.drivers.dnp3.worker import WorkerEngine
from gateway.drivers.trace import Ring
from gateway.tags.image import Region, Writer
from gateway.tags.operate import NotConnectedError, OperateError
from gateway.tags.quality import Quality
from gateway.tags.sample import Value, to_bits
from gateway.tags.tag import ValueType

LOOK_S = 0.2  # between two looks at what has gone stale
COUNTERS_PERIOD_S = 1.0
LAST_ERROR_BYTES = 200  # the bound of the `last_error` tag
WINDOW = 1000  # tasks that the latencies look back on
SUCCESS = 0  # control status (A.42)
# A source clock this far from ours is not believed: the value is stamped when it came.
CLOCK_TRUST_MS = 24 * 3600 * 1000


@dataclass(slots=True)
class _Known:
    """A point's last sample."""

    value: Value
    status: int
    source_ns: int


class Outstation:
    """One device. Its tasks run one at a time, as they do on the wire."""

    def __init__(self, config: Dnp3Device, engine: Engine, region: Region, writer: Writer) -> None:
        self.config = config
        self._engine = engine
        self._region = region
        self._writer = writer
        points = {(one.kind, one.index): one for one in config.points}
        self._points = {
            (group, index): point
            for group, wanted in KIND_OF_GROUP.items()
            for (kind, index), point in points.items()
            if kind is wanted
        }
        self._types = {one.tag: region.type_of(one.tag) for one in config.points}
        self._known: dict[int, _Known] = {}
        self._readers: dict[int, list[asyncio.Future[Reading]]] = {}  # by tag: who waits for a fresh value
        self._commands: dict[int, asyncio.Future[CommandEnded]] = {}
        self._turn = asyncio.Lock()
        self._is_enabled = asyncio.Event()  # unsolicited responses are, by the library
        self._task_ended: asyncio.Future[TaskEnded] | None = None
        self._number = 0
        self._answered_at: float | None = None
        self.is_open = False
        self._is_bad = False
        self._has_gap = False  # what did not change since it fell silent is not known until all is asked for
        self.start_ups = 0
        self.requests = 0
        self.timeouts = 0
        self.refusals = 0
        self.losses = 0
        self.garbled = 0
        self.last_error = ""
        self._latencies: list[float] = []

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()

        def notify(notice: Notice) -> None:
            loop.call_soon_threadsafe(self._take, notice)

        tunnel: Tunnel | None = None
        if self.config.tls is not None:
            tunnel = Tunnel(self.config, self.config.tls, self._tunnel_changed)
            await tunnel.open()
        master = self._engine.master(self.config, notify, None if tunnel is None else tunnel.port)
        self._master = master
        period_s = self.config.groups[0].period_ms / 1000
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch())
                tasks.create_task(self._keep_unsolicited_off())
                asked_all_at = loop.time()
                due = loop.time() + period_s
                while True:
                    await asyncio.sleep(max(due - loop.time(), 0.0))
                    due = max(due + period_s, loop.time())
                    if not self.is_open:
                        continue
                    integrity_s = self.config.integrity_s
                    is_due = bool(integrity_s) and loop.time() - asked_all_at >= integrity_s
                    everything = is_due or self._has_gap
                    if everything:
                        asked_all_at = loop.time()
                    await self._poll(everything)
        finally:
            await asyncio.to_thread(master.close)
            if tunnel is not None:
                await tunnel.close()

    async def _poll(self, everything: bool) -> None:
        begun_ns = time.time_ns()
        if everything:
            self._has_gap = False  # before it is asked: a silence meanwhile is another gap
        ended = await self._do(lambda: self._master.read_classes(everything=everything))
        if ended.failure is None:
            self._confirm(begun_ns)
        elif everything:
            self._has_gap = True

    async def _keep_unsolicited_off(self) -> None:
        """After each start-up, whose last step enables unsolicited responses, wanted or not."""
        while True:
            await self._is_enabled.wait()
            self._is_enabled.clear()
            if not self.config.unsolicited:
                await self._do(self._master.disable_unsolicited)

    async def _do(self, start: Callable[[], None]) -> TaskEnded:
        """Run one task to its end."""
        async with self._turn:
            waiting: asyncio.Future[TaskEnded] = asyncio.get_running_loop().create_future()
            self._task_ended = waiting
            begun = time.monotonic()
            self.requests += 1
            start()
            ended = await waiting
            if ended.failure is None:
                self._latencies.append((time.monotonic() - begun) * 1000)
                del self._latencies[:-WINDOW]
            return ended

    # ── what it tells ──────────────────────────────────────────────────────────────────────────────────────────
    def _take(self, notice: Notice) -> None:
        match notice:
            case Readings(rows):
                self._answered_at = time.monotonic()
                self._write(rows)
            case TaskEnded():
                self._end_task(notice)
            case ChannelChanged(is_open, why):
                self.start_ups += is_open and not self.is_open
                if not is_open and (why or self.is_open):
                    self.losses += self.is_open
                    self._fail(why or "the connection was lost")
                self.is_open = is_open
                if notice.is_blind:
                    self.invalidate()
            case CommandEnded(number):
                waiting = self._commands.pop(number, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(notice)

    def _tunnel_changed(self, is_open: bool, why: str) -> None:
        self._engine.note(self.config.name, "connected" if is_open else why)
        self._take(ChannelChanged(is_open, why))

    def _end_task(self, ended: TaskEnded) -> None:
        if ended.failure is None:
            self._answered_at = time.monotonic()
        elif self.is_open or ended.kind is TaskKind.OURS:  # else of a tunnel, which has said more
            self._count_failure(ended)
        if ended.kind is TaskKind.ENABLE_UNSOLICITED and ended.failure is None:
            self._is_enabled.set()
        if ended.kind is TaskKind.OURS and self._task_ended is not None:
            waiting, self._task_ended = self._task_ended, None
            if not waiting.done():
                waiting.set_result(ended)

    def _count_failure(self, ended: TaskEnded) -> None:
        if ended.is_timeout:
            self.timeouts += 1
            self._fail("no answer in time")
        elif ended.failure is not None and ended.failure != "no comms":
            self.garbled += 1
            self._fail(ended.failure)

    def _fail(self, why: str) -> None:
        self.last_error = why.encode()[:LAST_ERROR_BYTES].decode("utf-8", "ignore")

    def _write(self, rows: Sequence[Reading]) -> None:
        receipt_ns = time.time_ns()
        found: list[tuple[Dnp3Point, _Known]] = []
        for row in rows:
            point = self._points.get((row.group, row.point))
            if point is None:
                continue
            value = value_of(point, row)
            known = _Known(value, status_of(point, row, value), _source_ns(row, receipt_ns))
            self._known[point.tag] = known
            found.append((point, known))
            if not row.is_event:
                for waiting in self._readers.pop(point.tag, ()):
                    if not waiting.done():
                        waiting.set_result(row)
        self._is_bad = False
        self._put(found, receipt_ns)

    def _confirm(self, asked_ns: int) -> None:
        """It was asked for changes at ``asked_ns`` and has told all: what it did not tell is as it was."""
        rows: list[tuple[Dnp3Point, _Known]] = []
        for point in self.config.points:
            known = self._known.get(point.tag)
            if known is not None and known.source_ns < asked_ns:
                known.source_ns = asked_ns
                rows.append((point, known))
        self._is_bad = False
        self._put(rows, time.time_ns())

    def _put(self, rows: Sequence[tuple[Dnp3Point, _Known]], receipt_ns: int) -> None:
        numbers = [(point, known) for point, known in rows if not isinstance(known.value, str)]
        if numbers:
            self._writer.write(
                np.array([point.tag for point, _ in numbers], np.uint32),
                self._bits_of(numbers),
                np.array([known.status for _, known in numbers], np.uint32),
                np.array([known.source_ns for _, known in numbers], np.int64),
                receipt_ns,
            )
        texts = [(point, known) for point, known in rows if isinstance(known.value, str)]
        if texts:
            self._writer.write_texts(
                np.array([point.tag for point, _ in texts], np.uint32),
                [str(known.value) for _, known in texts],
                np.array([known.status for _, known in texts], np.uint32),
                np.array([known.source_ns for _, known in texts], np.int64),
                receipt_ns,
            )

    def _bits_of(self, rows: Sequence[tuple[Dnp3Point, _Known]]) -> NDArray[np.uint64]:
        """The values' raw words, those of one type at once."""
        found = np.empty(len(rows), np.uint64)
        types = [self._types[point.tag] for point, _ in rows]
        for type_ in set(types):
            places = [place for place, one in enumerate(types) if one is type_]
            found[places] = to_bits(np.array([rows[place][1].value for place in places]), type_)
        return found

    async def _watch(self) -> None:
        stale_s = self.config.groups[0].stale_after_ms / 1000
        begun = time.monotonic()
        while True:
            await asyncio.sleep(LOOK_S)
            last = self._answered_at if self._answered_at is not None else begun
            if not self._is_bad and time.monotonic() - last > stale_s:
                self.invalidate()

    def invalidate(self) -> None:
        """Nobody answers for the values: they stay, Bad_CommunicationError."""
        self._is_bad = True
        self._has_gap = True
        self._known.clear()
        tags = np.array([point.tag for point in self.config.points], np.uint32)
        if len(tags):
            self._writer.invalidate(Quality.BAD_COMMUNICATION_ERROR, time.time_ns(), tags)

    # ── commands ───────────────────────────────────────────────────────────────────────────────────────────────
    async def operate(self, point: Dnp3Point, value: Value) -> None:
        """Send a command, once. Raises OperateError, NotConnectedError, TimeoutError."""
        raw = raw_of(point, value)
        self._check_open()
        self._number += 1
        number = self._number
        waiting = self._commands[number] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._do(lambda: self._master.operate(number, point, raw)))
        # The caller may go away; the command goes on, and its end frees the turn.
        ended = await asyncio.shield(waiting)
        await asyncio.shield(task)
        if ended.status == SUCCESS:
            return
        if not ended.was_sent:
            raise NotConnectedError(f"{self.config.name} is not connected")
        if ended.status is None:
            raise TimeoutError
        self.refusals += 1
        why = f"the outstation answered {ended.status_name} ({ended.status})"
        self._fail(why)
        raise OperateError(why)

    async def read_back(self, point: Dnp3Point) -> Value:
        """What it says now. Raises OperateError, NotConnectedError, TimeoutError."""
        self._check_open()
        waiting: asyncio.Future[Reading] = asyncio.get_running_loop().create_future()
        self._readers.setdefault(point.tag, []).append(waiting)
        ended = await self._do(lambda: self._master.read_point(STATIC_GROUP[point.kind], point.index))
        if ended.failure is not None:
            if ended.is_timeout:
                raise TimeoutError
            raise NotConnectedError(f"{self.config.name}: {ended.failure}")
        if not waiting.done():
            waiting.cancel()
            raise OperateError(f"the outstation has no {point.kind} {point.index}")
        return value_of(point, waiting.result())

    def _check_open(self) -> None:
        if not self.is_open:
            raise NotConnectedError(f"{self.config.name} is not connected")

    def latency_ms(self) -> tuple[float, float] | None:
        """Median and 99th percentile of the last tasks; None before the first."""
        if not self._latencies:
            return None
        ordered = sorted(self._latencies)
        return ordered[(len(ordered) - 1) // 2], ordered[-(-99 * len(ordered) // 100) - 1]


class Dnp3Driver:
    """All outstations of a site. It is a `gateway.tags.operate.Driver` for their tags."""

    def __init__(
        self, devices: Sequence[Dnp3Device], region: Region, writer: Writer, environment: Path = Path()
    ) -> None:
        """``writer`` owns the devices' tags and system tags; ``environment`` is the folder of dnp3-python's."""
        self._writer = writer
        make: dict[Dnp3Engine, Callable[[], Engine]] = {
            Dnp3Engine.YADNP3: OpenEngine,
            Dnp3Engine.DNP3_PYTHON: lambda: WorkerEngine(lambda: interpreter(environment)),
        }
        wanted = {device.engine for device in devices}
        self._engines: dict[Dnp3Engine, Engine] = {
            name: make[name]() for name in Dnp3Engine if name in wanted
        }
        self.outstations = tuple(
            Outstation(device, self._engines[device.engine], region, writer) for device in devices
        )
        self._points = {
            point.tag: (outstation, point)
            for outstation in self.outstations
            for point in outstation.config.points
        }

    def tags(self) -> Iterable[int]:
        """The tags it can operate and read back."""
        return self._points.keys()

    def traces(self) -> Mapping[str, Ring]:
        """The frames since somebody looked, by device."""
        found: dict[str, Ring] = {}
        for engine in self._engines.values():
            found |= engine.traces()
        return found

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set; then the points are Bad_CommunicationError, since nobody watches them."""
        try:
            async with asyncio.TaskGroup() as tasks:
                running = [
                    tasks.create_task(one.run(), name=f"dnp3 {one.config.name}") for one in self.outstations
                ]
                running.append(tasks.create_task(self._count(), name="dnp3 counters"))
                await stop.wait()
                for task in running:
                    task.cancel()
        finally:
            for engine in self._engines.values():
                await asyncio.to_thread(engine.close)
            for one in self.outstations:
                one.is_open = False
                one.invalidate()
            self._write_counters()

    def connections(self, tag: int) -> int:
        """How often the tag's outstation has started up a conversation."""
        return self._find(tag)[0].start_ups

    async def operate(self, tag: int, value: Value) -> None:
        """Send ``value``, once. Raises OperateError, NotConnectedError, TimeoutError."""
        outstation, point = self._find(tag)
        if not point.writable:
            raise OperateError(f"{point.name} is not writable")
        await outstation.operate(point, value)

    async def read_back(self, tag: int) -> Value:
        """What the outstation says now; it is in the image when this returns. Raises as `operate` does."""
        outstation, point = self._find(tag)
        return await outstation.read_back(point)

    def _find(self, tag: int) -> tuple[Outstation, Dnp3Point]:
        try:
            return self._points[tag]
        except KeyError:
            raise OperateError(f"no DNP3 device has tag {tag}") from None

    async def _count(self) -> None:
        while True:
            self._write_counters()
            for engine in self._engines.values():
                engine.rest()
            await asyncio.sleep(COUNTERS_PERIOD_S)

    def _write_counters(self) -> None:
        """All devices' system tags in one write."""
        words: list[tuple[int, int]] = []
        for one in self.outstations:
            system = one.config.system
            words += (
                (system.connected, int(one.is_open)),
                (system.requests, one.requests),
                (system.errors_timeout, one.timeouts),
                (system.errors_exception, one.refusals),
                (system.errors_connection, one.losses),
                (system.errors_protocol, one.garbled),
            )
            latency = one.latency_ms()
            if latency is not None:
                for tag, number in zip((system.latency_p50_ms, system.latency_p99_ms), latency, strict=True):
                    words.append((tag, _bits(number, ValueType.DOUBLE)))
        if not words:
            return
        stamp = time.time_ns()
        tags, bits = zip(*words, strict=True)
        self._writer.write(np.array(tags, np.uint32), np.array(bits, np.uint64), Quality.GOOD, stamp, stamp)
        self._writer.write_texts(
            np.array([one.config.system.last_error for one in self.outstations], np.uint32),
            [one.last_error for one in self.outstations],
            Quality.GOOD,
            stamp,
            stamp,
        )


def _bits(value: Value, type: ValueType) -> int:
    return int(to_bits(np.array([value]), type)[0])


def _source_ns(row: Reading, receipt_ns: int) -> int:
    """When it became so: the outstation's word, where its clock is one to believe."""
    if row.time_ms is None or abs(row.time_ms - receipt_ns // 1_000_000) > CLOCK_TRUST_MS:
        return receipt_ns
    return row.time_ms * 1_000_000


assert set(STATIC_GROUP) == set(DevicePointKind)
