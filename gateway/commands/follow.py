"""From an output of the logic to its device: what the scan demands is operated at once, refreshed, and made safe.

Drawn in docs/commands.md. A thread sleeps on the region's bell and looks at the demand tags; the loop decides output
by output (`holding`) and gives writes to the drivers, which put them before their polls. Of an output one write is
under way at a time, and the newest demand follows it, so nothing queues up here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gateway.commands.audit import AuditError, AuditTrail, logic_event
from gateway.commands.holding import Attempt, Event, Holding, State
from gateway.commands.kept import HeldFile, KeptError
from gateway.commands.limit import limit
from gateway.config.logic import LogicOutput, LogicSettings, written
from gateway.config.site import Site, Tag, WriteLimits
from gateway.tags.command import Refused
from gateway.tags.image import Region, Writer
from gateway.tags.operate import DeviceDriver, NotConnectedError, OperateError
from gateway.tags.quality import SEVERITY_MASK, Quality
from gateway.tags.sample import Samples, Value, to_bits, value_from_bits
from gateway.tags.tag import ValueType

# The scan writes all it owns every second. What was not refreshed for three is not current (docs/scan.md).
STALE_AFTER_S = 3.0
LOOK_S = (
    0.1  # how often staleness and returned devices are looked for: what it may add to those three seconds
)
BELL_S = 0.25  # how long the listening thread sleeps at most: what it takes to end it
COUNTERS_PERIOD_S = 1.0
AUDIT_LINE_S = (
    10.0  # a line an output at most; a program that takes and releases in each scan cannot fill the disk
)
LOG_LINE_S = 60.0  # the same for what an output's log lines say
FILE_PATIENCE_S = (
    0.05  # an output on change only waits so long for its file: the device matters more than the disk
)
STOP_PATIENCE_S = 0.8  # for safe values at the end; the part has 3 s in all, and commands need theirs
LATENCIES = 1000  # that the percentiles look back on
_STATUS_CODE = 0xFFFF_0000  # without the information bits

log = logging.getLogger(__name__)


class Pulse:
    """Which of some tags are being refreshed, by a clock that nobody sets.

    A receipt time that differs from the one before is a sign of life, whatever it says: the clock that it comes from
    may be set at any time. Until the first such sign nothing is known.
    """

    def __init__(self, count: int, now_s: float) -> None:
        self._receipts: NDArray[np.int64] | None = None
        self._seen_s = np.full(count, now_s)
        self._has_beaten = np.zeros(count, np.bool_)

    def feed(self, receipts: NDArray[np.int64], now_s: float) -> None:
        if self._receipts is not None:
            beats = receipts != self._receipts
            self._has_beaten |= beats
            self._seen_s[beats] = now_s
        self._receipts = receipts.copy()

    def alive(self, now_s: float) -> NDArray[np.bool_]:
        alive: NDArray[np.bool_] = self._has_beaten & ~self.gone(now_s)
        return alive

    def gone(self, now_s: float) -> NDArray[np.bool_]:
        """Not refreshed for so long, or for so long after the start."""
        gone: NDArray[np.bool_] = now_s - self._seen_s > STALE_AFTER_S
        return gone


_NOTHING, _DEMANDED, _RELEASED, _GONE = range(4)
_EVENTS = {_DEMANDED: Event.DEMANDED, _RELEASED: Event.RELEASED, _GONE: Event.GONE}


def judge(status: NDArray[np.uint32], alive: NDArray[np.bool_], gone: NDArray[np.bool_]) -> NDArray[np.int8]:
    """What each demand tag says: `Event`s as small numbers; _NOTHING where it is not known yet.

    Good is a demand, Bad_NoData a release, as long as they are refreshed. Anything else tells that the program does
    not run, and is believed whether refreshed or not; what was never written is waited for.
    """
    code = status & np.uint32(_STATUS_CODE)
    is_good = (status & np.uint32(SEVERITY_MASK)) == 0
    is_released = code == Quality.BAD_NO_DATA
    is_waiting = code == Quality.BAD_WAITING_FOR_INITIAL_DATA
    said: NDArray[np.int8] = np.full(len(status), _GONE, np.int8)
    said[is_waiting | is_good | is_released] = _NOTHING
    said[is_good & alive] = _DEMANDED
    said[is_released & alive] = _RELEASED
    said[gone] = _GONE
    return said


@dataclass(slots=True, eq=False)
class _Output:
    """An output, and what is going on with it."""

    config: LogicOutput
    tag: Tag
    limits: WriteLimits
    holding: Holding
    driver: DeviceDriver
    connections: int
    writing: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None
    published_ns: int = 0  # receipt time of the demand that is to be written
    told: State = State.FREE  # by the audit trail
    told_s: float = 0.0
    changes: int = 0  # of state, since then
    logged_s: dict[str, float] = field(default_factory=dict)


class Follower:
    """Runs all outputs of ``logic``. The command router asks it who holds a point (`why_held`)."""

    def __init__(
        self,
        site: Site,
        logic: LogicSettings,
        region: Region,
        writer: Writer,
        drivers: Mapping[int, DeviceDriver],
        kept: HeldFile,
        trail: AuditTrail,
        *,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """``writer`` owns the system tags; outputs that none of ``drivers`` reaches are left alone, and logged."""
        self._site = site
        self._logic = logic
        self._region = region
        self._writer = writer
        self._drivers = drivers
        self._kept = kept
        self._trail = trail
        self._now_ns = now_ns
        self._outputs: list[_Output] = []
        self._of_tag: dict[int, _Output] = {}
        self._demands = np.empty(0, np.uint32)
        self._types: list[ValueType] = []
        self._values = np.empty(0, np.uint64)
        self._said = np.empty(0, np.int8)
        self._pulse = Pulse(0, 0.0)
        self._has_begun = False
        self._is_called = False
        self._is_ending = False
        self._is_listening = True
        self._has_changed = asyncio.Event()  # what `_kept` is to hold
        self._version = 0
        self._saving = asyncio.Lock()
        self._saved = asyncio.Condition()
        self._saved_version = 0
        self._counts = dict.fromkeys(("writes", "failures", "refused"), 0)
        self._system = _system_tags(region)
        self._is_counted = False  # by the tags, who holds what
        self._latency_ns = np.zeros(LATENCIES, np.int64)
        self._latencies = 0

    async def run(self) -> None:
        """Until cancelled; `finish` before that."""
        loop = asyncio.get_running_loop()
        await self._begin()
        listening = loop.run_in_executor(None, self._listen, loop) if self._outputs else None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_looking(), name="outputs")
                tasks.create_task(self._keep_saving(), name="outputs kept")
                tasks.create_task(self._keep_telling(), name="outputs told")
        finally:
            self._is_listening = False
            for output in self._outputs:
                if output.timer is not None:
                    output.timer.cancel()
                if output.writing is not None:
                    output.writing.cancel()
            if listening is not None:
                await asyncio.shield(listening)  # the region may be closed after this

    async def finish(self) -> None:
        """The end of the gateway is the end of the logic to its devices: safe values, as far as there is time."""
        loop = asyncio.get_running_loop()
        until = loop.time() + STOP_PATIENCE_S
        self._is_ending = True
        if not self._has_begun:
            return
        for output in self._outputs:
            self._apply(output, Event.GONE)
        while writing := [output.writing for output in self._outputs if output.writing is not None]:
            left = until - loop.time()
            if left <= 0:
                break
            await asyncio.wait(writing, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        for output in self._outputs:
            if output.holding.state is State.UNSAFE:
                log.error("%s did not take its safe value before the end", output.config.name)
        self._write_counters()
        try:
            async with asyncio.timeout(STOP_PATIENCE_S):
                await self._tell(everything=True)
                await self._save()
        except TimeoutError:
            log.error("the disk is too slow to note who holds what at the end")

    def why_held(self, tag: int) -> str | None:
        """Why a person may not command the tag now; None where they may."""
        output = self._of_tag.get(tag)
        if output is None:
            return None
        match output.holding.state:
            case State.HELD:
                return f"{output.config.name} is held by the logic; {self._way_out(output.config)}"
            case State.UNSAFE if not output.holding.is_refused:
                return f"{output.config.name} is on its way to the safe value, since the logic does not run"
            case _:
                return None

    def _way_out(self, config: LogicOutput) -> str:
        """What makes the program let go of it."""
        if config.active is None:
            return "stop the program"
        left = [
            f"{setpoint} {written(value)}"
            for setpoint, value in config.released_by.items()
            if self._region.sample(f"{setpoint}.accepted").value != value
        ]
        if left:
            return f"to have it let go, write {' and '.join(left)} first"
        done = [f"{setpoint} is {written(value)}" for setpoint, value in config.released_by.items()]
        why = f"although {' and '.join(done)}; " if done else ""
        return f"{why}it releases it while {config.active} is false"

    def commanded(self, tag: int, *, is_emergency: bool = False) -> None:
        """A person's command is about to be sent to the device; an emergency takes the point from the logic."""
        output = self._of_tag.get(tag)
        if output is None:
            return
        was_overridden = output.holding.state is State.OVERRIDDEN
        self._apply(output, Event.OVERRIDDEN if is_emergency else Event.COMMANDED)
        if was_overridden and not is_emergency:
            self._said[self._outputs.index(output)] = _NOTHING  # what is demanded is looked at anew

    # What the scan says

    async def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            held = await asyncio.to_thread(self._kept.load)
            overridden = await asyncio.to_thread(self._kept.load_overridden)
        except KeptError as error:
            log.error("which points the logic held before is not known: %s", error)
            held, overridden = {}, frozenset()
        for config in self._logic.outputs:
            tag = self._site.tags[config.tag]
            driver = self._drivers.get(config.tag)
            if driver is None or tag.write is None:
                log.error("no driver reaches %s, an output of the logic", config.name)
                continue
            safe = config.safe
            if safe is not None and tag.type is ValueType.DOUBLE:
                safe = float(safe)
            holding = Holding(safe, config.refresh_ms / 1000)
            if config.name in held:
                holding.state = State.HELD
                holding.sent = held[config.name]
            elif config.name in overridden:
                holding.state = State.OVERRIDDEN
            output = _Output(
                config, tag, tag.write, holding, driver, driver.connections(config.tag), told=holding.state
            )
            self._outputs.append(output)
            self._of_tag[config.tag] = output
        count = len(self._outputs)
        self._demands = np.array([output.config.demand for output in self._outputs], np.uint32)
        self._types = [self._region.type_of(output.config.demand) for output in self._outputs]
        self._values = np.zeros(count, np.uint64)
        self._said = np.full(count, _NOTHING, np.int8)
        self._pulse = Pulse(count, loop.time())
        self._has_begun = True

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """In a thread of its own: wake the loop as soon as a demand is another one."""
        rows = self._region.read(self._demands)
        bell = self._region.bell()
        while self._is_listening:
            values, statuses = rows["value"].copy(), rows["status"].copy()
            self._region.read(self._demands, rows)
            is_same = np.array_equal(values, rows["value"]) and np.array_equal(statuses, rows["status"])
            if not is_same and not self._is_called:
                self._is_called = True
                loop.call_soon_threadsafe(self._look)
            bell = self._region.wait(bell, BELL_S)

    def _look(self) -> None:
        """Take the demands as they stand, and act on what is different."""
        self._is_called = False  # before reading: what comes after it wakes the loop again
        if self._is_ending:
            return
        now_s = asyncio.get_running_loop().time()
        rows: Samples = self._region.read(self._demands)
        self._pulse.feed(rows["receipt_time"], now_s)
        said = judge(rows["status"], self._pulse.alive(now_s), self._pulse.gone(now_s))
        values = rows["value"]
        is_news = (said != self._said) | ((said == _DEMANDED) & (values != self._values))
        self._said, self._values = said, values.copy()
        for place in np.flatnonzero(is_news).tolist():
            event = _EVENTS.get(int(said[place]))
            if event is None:
                continue
            output = self._outputs[place]
            self._apply(output, event)
            if event is Event.DEMANDED and output.holding.state is State.HELD:
                output.published_ns = int(rows["receipt_time"][place])
                self._demand(output, value_from_bits(int(values[place]), self._types[place]))

    def _apply(self, output: _Output, event: Event) -> None:
        if output.holding.on(event, asyncio.get_running_loop().time()):
            self._note_change(output)
        self._schedule(output)

    def _demand(self, output: _Output, value: Value) -> None:
        allowed = limit(value, output.tag, output.limits)
        if isinstance(allowed, Refused):
            self._counts["refused"] += 1
            self._log(
                output, "limits", f"{output.config.name}: the logic's {value!r} is not written: {allowed.why}"
            )
            output.holding.want_nothing()
        else:
            output.holding.demand(allowed, asyncio.get_running_loop().time())
        self._schedule(output)

    async def _keep_looking(self) -> None:
        """Find out what no bell tells: that nothing comes any more, and that a device came back."""
        loop = asyncio.get_running_loop()
        counters_s = loop.time()
        while True:
            self._look()
            for output in self._outputs:
                connections = output.driver.connections(output.config.tag)
                if connections != output.connections:
                    output.connections = connections
                    self._apply(output, Event.RECONNECTED)
            if loop.time() >= counters_s or not self._is_counted:
                counters_s = loop.time() + COUNTERS_PERIOD_S
                self._write_counters()
            await asyncio.sleep(LOOK_S)

    # To the device

    def _schedule(self, output: _Output) -> None:
        """Write when it is due, unless a write is under way: it looks again at its end."""
        if output.timer is not None:
            output.timer.cancel()
            output.timer = None
        due_s = output.holding.next_s
        if output.writing is not None or due_s == float("inf"):
            return
        loop = asyncio.get_running_loop()
        if due_s <= loop.time():
            output.writing = loop.create_task(self._write(output), name=output.config.name)
            output.writing.add_done_callback(_log_failure)
        else:
            output.timer = loop.call_at(due_s, self._schedule, output)

    async def _write(self, output: _Output) -> None:
        loop = asyncio.get_running_loop()
        holding = output.holding
        if holding.next_s > loop.time():
            # Between the making of this task and its first step there was another turn: nothing is due any more.
            output.writing = None
            self._schedule(output)
            return
        state = holding.state
        published_ns, output.published_ns = output.published_ns, 0
        value = holding.begin(loop.time())
        try:
            if state is State.HELD and not holding.refresh_s:
                await self._be_remembered()
            attempt = await self._attempt(output, value)
            if attempt is Attempt.TAKEN:
                output.connections = output.driver.connections(output.config.tag)  # it was over this one
            if attempt is Attempt.TAKEN and published_ns:
                self._latency_ns[self._latencies % LATENCIES] = self._now_ns() - published_ns
                self._latencies += 1
            if holding.end(value, state, attempt, loop.time()):
                self._note_change(output)
        finally:
            output.writing = None
        self._schedule(output)

    async def _attempt(self, output: _Output, value: Value) -> Attempt:
        name = output.config.name
        try:
            await output.driver.operate(output.config.tag, value)
        except NotConnectedError as error:
            self._log(output, "away", f"{name}: {value!r} waits for the device: {error.why}")
            return Attempt.NOT_SENT
        except OperateError as error:
            self._counts["failures"] += 1
            self._log(output, "refused", f"{name}: the device does not take {value!r}: {error.why}")
            return Attempt.REFUSED
        except TimeoutError:
            self._counts["failures"] += 1
            self._log(output, "unanswered", f"{name}: no answer to {value!r}; the device may have acted")
            return Attempt.UNANSWERED
        self._counts["writes"] += 1
        return Attempt.TAKEN

    # What is told of it

    def _note_change(self, output: _Output) -> None:
        output.changes += 1
        self._is_counted = False
        self._touch()
        log.info("%s: %s", output.config.name, output.holding.state.name.lower())

    def _touch(self) -> None:
        self._version += 1
        self._has_changed.set()

    async def _be_remembered(self) -> None:
        """What is sent once is on disk before, so that the next run does not send it again; but the disk may hang."""
        self._touch()
        wanted = self._version
        try:
            async with asyncio.timeout(FILE_PATIENCE_S), self._saved:
                await self._saved.wait_for(lambda: self._saved_version >= wanted)
        except TimeoutError:
            log.warning("an output goes out before it is on disk that it does")

    async def _keep_saving(self) -> None:
        while True:
            await self._has_changed.wait()
            self._has_changed.clear()
            await self._save()

    async def _save(self) -> None:
        async with self._saving:
            await self._save_now()

    async def _save_now(self) -> None:
        version = self._version
        held = {
            output.config.name: None if output.holding.refresh_s else output.holding.sent
            for output in self._outputs
            if output.holding.state in (State.HELD, State.UNSAFE)
        }
        overridden = [
            output.config.name for output in self._outputs if output.holding.state is State.OVERRIDDEN
        ]
        try:
            await asyncio.to_thread(self._kept.save, held, overridden)
        except KeptError as error:
            log.error("which points the logic holds is not on disk: %s", error)
        async with self._saved:
            self._saved_version = version
            self._saved.notify_all()

    async def _keep_telling(self) -> None:
        while True:
            await self._tell()
            await asyncio.sleep(COUNTERS_PERIOD_S)

    async def _tell(self, *, everything: bool = False) -> None:
        """Changes of state into the audit trail: a line an output now and then, with how many there were."""
        if not self._trail.is_open:
            return
        now_s = asyncio.get_running_loop().time()
        due = [
            output
            for output in self._outputs
            if output.changes and (everything or not output.told_s or now_s - output.told_s >= AUDIT_LINE_S)
        ]
        lines = [(output, output.changes, output.holding.state, output.holding.wanted) for output in due]
        try:
            await asyncio.gather(
                *(
                    self._trail.note(logic_event(output.config.name, state.name.lower(), wanted, changes))
                    for output, changes, state, wanted in lines
                )
            )
        except AuditError as error:
            self._log(due[0], "audit", f"what the logic holds is not in the audit trail yet: {error}")
            return
        for output, changes, state, _ in lines:
            output.changes -= changes
            output.told, output.told_s = state, now_s

    def _log(self, output: _Output, what: str, line: str) -> None:
        """One line an output a minute for each kind of trouble."""
        now_s = asyncio.get_running_loop().time()
        if now_s - output.logged_s.get(what, -LOG_LINE_S) >= LOG_LINE_S:
            output.logged_s[what] = now_s
            log.warning("%s", line)

    def _write_counters(self) -> None:
        states = [output.holding.state for output in self._outputs]
        words: dict[str, int] = {
            **self._counts,
            "held": states.count(State.HELD),
            "unsafe": states.count(State.UNSAFE),
        }
        stamp = self._now_ns()
        rows = [
            (self._system[name], np.uint64(count)) for name, count in words.items() if name in self._system
        ]
        self._is_counted = True
        rows += [(self._system[name], bits) for name, bits in self._percentiles() if name in self._system]
        if rows:
            tags, bits = zip(*rows, strict=True)
            self._writer.write(
                np.array(tags, np.uint32), np.array(bits, np.uint64), Quality.GOOD, stamp, stamp
            )

    def _percentiles(self) -> Iterator[tuple[str, np.uint64]]:
        count = min(self._latencies, LATENCIES)
        if count:
            tails = np.percentile(self._latency_ns[:count], (50, 99), method="inverted_cdf") / 1e6
            yield from zip(
                ("latency_p50_ms", "latency_p99_ms"), to_bits(tails, ValueType.DOUBLE), strict=True
            )


def _system_tags(region: Region) -> dict[str, int]:
    tags = {}
    for what in ("writes", "failures", "refused", "held", "unsafe", "latency_p50_ms", "latency_p99_ms"):
        try:
            tags[what] = region.index_of(f"_system.follow.{what}")
        except KeyError:
            continue
    return tags


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("an output broke: %s", task.get_name(), exc_info=error)
