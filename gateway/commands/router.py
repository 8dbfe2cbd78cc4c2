"""The router: the one way to a device. It takes each command through its steps, once.

authorise → limit → held by the logic → control of the area → interlocks → select → pause → second person → operate
→ read back → audit. The intent is in the audit trail before the device is touched, the outcome after; so whatever
happens to this process, the trail says what may have been done. What was judged before is judged again right before
the device is touched.

A command id acts at most once: outcomes are remembered until the deadline of their command has long passed, after
which the id is refused as expired. After a restart they are known from the audit trail. An outcome that is not known
is looked after (`settle`), never sent again.

An emergency goes a way of its own: past everything but authorisation and the device's limits, beside whatever is
under way, and not later because a disk is slow.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from gateway.commands import wire
from gateway.commands.arbitrate import Arbitration
from gateway.commands.audit import (
    AuditError,
    AuditTrail,
    by_hand_event,
    confirmation_event,
    opened_event,
    outcome_event,
    refusal_event,
    select_event,
    settled_event,
    waiting_event,
)
from gateway.commands.authorise import authorise
from gateway.commands.confirm import Confirmations
from gateway.commands.interlock import Interlocks
from gateway.commands.limit import limit
from gateway.commands.operate import Sent, operate
from gateway.commands.read_back import read_back
from gateway.commands.selections import DEFAULT_MS, Selections
from gateway.commands.settle import Settling, settled
from gateway.config.control_section import SELECT_SUFFIX
from gateway.config.site import LONGEST_COMMAND_MS, Site, Tag, WriteLimits
from gateway.tags.command import Command, Done, Failed, Outcome, Refusal, Refused, Selected, Step, TimedOut
from gateway.tags.operate import Driver, ExpiringDriver, NotConnectedError
from gateway.tags.sample import Value

RUNNING_COMMANDS = 256  # at once, one a tag: more than any operator or schedule of a site gives
EMERGENCIES = 32  # at once, beside all others: as many as a site has buttons
# Ids remembered: 10,000 in 11 minutes is 15 a second without a pause. While all are still needed, more are BUSY.
REMEMBERED_IDS = 10_000
EMERGENCY_IDS = 1_000  # beyond those, for emergencies only
LONGEST_WAIT_S = (
    LONGEST_COMMAND_MS / 1000
)  # how far ahead a deadline may be, since ids are remembered until then
REMEMBERED_AFTER_S = 60.0  # past the deadline: a client that lost its connection still learns the outcome
STOP_PATIENCE_S = 1.5  # for commands under way at the end; the part has 3 s in all
EMERGENCY_AUDIT_S = 0.5  # an emergency waits so long for the disk; its lines follow when that can be written

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Remembered:
    """A command this router has seen, and its outcome once there is one."""

    command: Command
    outcome: asyncio.Future[Outcome]
    until: float  # loop's time

    def is_same_wish(self, command: Command) -> bool:
        """Values are compared with their type: True is not 1, and nan is the same wish as nan."""
        return _wish(self.command) == _wish(command)


def _wish(command: Command) -> tuple[object, ...]:
    return (
        command.tag,
        repr(command.value),
        command.user,
        command.valid_until_ns,
        command.step,
    )


@dataclass(slots=True, eq=False)
class _Running:
    """A command that has passed its checks. ``second`` is who confirmed it."""

    remembered: _Remembered
    tag: int
    value: Value
    limits: WriteLimits
    is_emergency: bool
    second: str = ""
    is_preempted: bool = False  # an emergency came for the same tag
    sent_s: float | None = None  # loop's time
    task: asyncio.Task[None] | None = None

    @property
    def command(self) -> Command:
        return self.remembered.command


class Holder(Protocol):
    """Who may have the say over a point besides people."""

    def why_held(self, tag: int) -> str | None:
        """Why a person may not command the tag now; None where they may."""
        ...

    def commanded(self, tag: int, *, is_emergency: bool = False) -> None:
        """A person's command is about to be sent; an emergency goes also where the point is held."""
        ...


class Router:
    """A `Commander`. ``drivers`` maps an image index to the driver that reaches that tag, ``setpoints`` those whose
    values may come with an end; what ``holder`` holds is refused, as is what ``control`` gives to somebody else and
    what ``interlocks`` stop.

    `open` it before the first command; `close` it while the drivers still run. Where the audit trail cannot be opened
    (a full disk), every command is refused until it can: that is no reason to stop asking the devices.
    """

    def __init__(
        self,
        site: Site,
        drivers: Mapping[int, Driver],
        trail: AuditTrail,
        *,
        setpoints: Mapping[int, ExpiringDriver] | None = None,
        holder: Holder | None = None,
        control: Arbitration | None = None,
        interlocks: Interlocks | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.take(site, drivers, setpoints=setpoints, holder=holder, control=control, interlocks=interlocks)
        self._trail = trail
        self._now_ns = now_ns
        self._remembered: dict[str, _Remembered] = {}
        self._running: dict[str, _Running] = {}  # by tag
        self._emergencies: dict[str, _Running] = {}  # by id
        self._answering: set[asyncio.Task[None]] = set()  # refusals and selects on their way into the trail
        self.selections = Selections()
        self._confirmations = Confirmations()
        self._settling = Settling()
        self._sent_s: dict[str, float] = {}  # by tag: when something went to the device last
        self._is_open = False
        self._learning = asyncio.Lock()
        self._has_learnt = False
        self._learnt_late: dict[
            str, tuple[Command, Outcome]
        ] = {}  # of commands sent again while it was learnt

    def take(
        self,
        site: Site,
        drivers: Mapping[int, Driver],
        *,
        setpoints: Mapping[int, ExpiringDriver] | None = None,
        holder: Holder | None = None,
        control: Arbitration | None = None,
        interlocks: Interlocks | None = None,
    ) -> None:
        """Go on with ``site``, whose tags keep their places in the image. Commands under way go on, each with the
        limits that it was let through by; what is not sent yet is judged by what is given here.
        """
        self._site_name = site.name
        self._tags: dict[str, Tag] = {tag.name: tag for tag in site.tags if tag.name}
        self._indexes = {tag.name: index for index, tag in enumerate(site.tags) if tag.name}
        self._users = {user.name: user for user in site.users}
        self._setpoints: Mapping[int, ExpiringDriver] = setpoints or {}
        self._drivers: Mapping[int, Driver] = {**drivers, **self._setpoints}
        self._holder = holder
        self._control = control
        self._interlocks = interlocks

    async def open(self) -> None:
        """Take commands. Those before are known from the trail, if not now then as soon as it can be opened."""
        self._is_open = True
        if self._control is not None:
            await self._control.open()
        try:
            await self._learn()
        except AuditError as error:
            log.error("the audit trail cannot be opened; commands are refused until it can: %s", error)

    async def _learn(self) -> None:
        """Learn, once, what was commanded before, and close what was cut off. Raises AuditError."""
        async with self._learning:
            if not self._has_learnt:
                await self._read_trail()
                self._has_learnt = True

    async def _read_trail(self) -> None:
        past = await self._trail.open()
        await self._trail.note(opened_event(self._site_name))
        cut_off = TimedOut("the gateway ended while this command ran; whether the device acted is not known")
        for command in past.intents.values():
            log.warning("command %s (%s) was cut off by the end of the last run", command.id, command.tag)
            await self._trail.note(outcome_event(command.id, cut_off))
            past.outcomes[command.id] = (command, cut_off)
        for command, outcome in past.outcomes.values():
            left = (command.deadline_ns - self._now_ns()) / 1e9
            settle_s = self._settle_s(command) if isinstance(outcome, TimedOut) else 0.0
            sent_again = self._remembered.get(command.id)
            if sent_again is not None and not sent_again.outcome.done():
                self._learnt_late[command.id] = command, outcome
            elif -REMEMBERED_AFTER_S - settle_s < left <= LONGEST_WAIT_S:
                remembered = self._remember(command, left + settle_s)
                remembered.outcome.set_result(outcome)
                if settle_s and left + settle_s > 0 and past.last.get(command.tag) == command.id:
                    self._settle(remembered, left + settle_s)

    async def close(self) -> None:
        """Take no more; let commands under way end, or end them as TimedOut; close the trail."""
        self._is_open = False
        self._confirmations.end(None, Refused(Refusal.NOT_CONNECTED, "the gateway is stopping"))
        running = [*self._running.values(), *self._emergencies.values()]
        await self._settling.close()
        tasks = [*(run.task for run in running if run.task is not None), *self._answering]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=STOP_PATIENCE_S)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=STOP_PATIENCE_S)
        await self._trail.close()

    def known(self, command: Command) -> asyncio.Future[Outcome] | None:
        """The outcome (to be) of a command sent before, without doing anything."""
        remembered = self._remembered.get(command.id)
        if remembered is None or not remembered.is_same_wish(self._meant(command)):
            return None
        return remembered.outcome

    async def outcome_of(self, id: str) -> Outcome | None:
        """What became of the command of this id, once that is known; None where there is none."""
        remembered = self._remembered.get(id)
        return None if remembered is None else await asyncio.shield(remembered.outcome)

    async def send(self, command: Command) -> Outcome:
        """What became of ``command``. Whoever waits may go away: the command goes on."""
        command = self._meant(command)
        known = self._remembered.get(command.id)
        if known is None:
            return await asyncio.shield(self._start(command))
        if known.is_same_wish(command):
            return await asyncio.shield(known.outcome)
        return await self.refuse(command, Refusal.MALFORMED, "this id was used for another command")

    def is_emergency(self, command: Command) -> bool:
        """Whether it is never locked out."""
        tag = self._tags.get(command.tag)
        if tag is None or tag.write is None or command.step is not Step.OPERATE:
            return False
        return tag.write.handling.is_emergency_of(command.value)

    async def refuse(self, command: Command, code: Refusal, why: str) -> Refused:
        """Refuse a command before it gets to the steps; it is in the audit trail like any other."""
        refused = Refused(code, why)
        await self._note_refusal(command, refused)
        return refused

    def waiting(self) -> list[wire.Waiting]:
        """The commands that wait for a second person."""
        return [wire.waiting_of(each.command, each.until_ns) for each in self._confirmations]

    async def confirm(self, word: wire.Confirm) -> str:
        """A second person's word; empty, or why it does not count."""
        why = self._why_no_word(word)
        try:
            await self._learn()
            await self._trail.note(confirmation_event(word, why))
        except AuditError as error:
            return f"the audit trail cannot be written: {error}"
        waiting = self._confirmations.find(word.id)
        if not why and (waiting is None or waiting.word.done()):
            return "it does not wait any more"
        if not why and waiting is not None:
            declined = Refused(Refusal.NOT_CONFIRMED, f"{word.user} declined it")
            waiting.word.set_result(word.user if word.ok else declined)
        return why

    def _why_no_word(self, word: wire.Confirm) -> str:
        waiting = self._confirmations.find(word.id)
        if waiting is None:
            return "no command of this id waits"
        if waiting.command.user == word.user:
            return "a second person confirms it, not the one who asked"
        may = authorise(replace(waiting.command, user=word.user), self._users, self._tags, self._area_of)
        return may.why if isinstance(may, Refused) else ""

    def _meant(self, command: Command) -> Command:
        """What is written to the select tag of a point selects the point."""
        if command.step is not Step.OPERATE or not command.tag.endswith(SELECT_SUFFIX):
            return command
        point = self._tags.get(command.tag.removesuffix(SELECT_SUFFIX))
        if point is None or point.write is None or not point.write.handling.select_ms:
            return command
        return replace(command, tag=point.name, step=Step.SELECT)

    def _area_of(self, tag: Tag) -> str:
        """The area whose users may command the tag."""
        index = self._indexes[tag.name]
        if self._control is not None and self._control.is_take(index):
            return self._control.area_of_take(index)
        return tag.area

    # ── decide ─────────────────────────────────────────────────────────────────────────────────────────────────
    def _start(self, command: Command) -> asyncio.Future[Outcome]:
        """Decide at once, without waiting for anything, so that no two commands can pass the same check."""
        is_emergency = self.is_emergency(command)
        checked = self._check(command, is_emergency=is_emergency)
        left = max((command.deadline_ns - self._now_ns()) / 1e9, 0.0)
        remembered = self._remember(command, min(left, LONGEST_WAIT_S), is_emergency=is_emergency)
        if isinstance(checked, Refused):
            self._answer(self._refuse(remembered, checked))
        elif isinstance(checked, Selected):
            self._answer(self._tell_selected(remembered, checked))
        else:
            run = _Running(remembered, self._indexes[command.tag], *checked, is_emergency)
            if is_emergency:
                self._preempt(command)
                self._emergencies[command.id] = run
            else:
                self._running[command.tag] = run
            self.selections.use(command.tag)
            run.task = asyncio.create_task(self._run(run))
            run.task.add_done_callback(_log_failure)
        return remembered.outcome

    def _answer(self, answer: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(answer)
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    def _check(
        self, command: Command, *, is_emergency: bool
    ) -> tuple[Value, WriteLimits] | Selected | Refused:
        """All that can be said before anything is done."""
        left = (command.deadline_ns - self._now_ns()) / 1e9
        if left <= 0:
            return Refused(Refusal.EXPIRED, "the deadline has passed")
        if left > LONGEST_WAIT_S:
            return Refused(Refusal.MALFORMED, f"the deadline is more than {LONGEST_WAIT_S:g} s ahead")
        limits = authorise(command, self._users, self._tags, self._area_of)
        if isinstance(limits, Refused):
            return limits
        value = limit(command.value, self._tags[command.tag], limits)
        if isinstance(value, Refused):
            return value
        index = self._indexes[command.tag]
        if command.valid_until_ns and index not in self._setpoints:
            return Refused(
                Refusal.MALFORMED, f"{command.tag} is no setpoint of the logic: it has no time until it holds"
            )
        if not self._is_open:
            return Refused(Refusal.NOT_CONNECTED, "the gateway is stopping")
        now_s = asyncio.get_running_loop().time()
        if command.step is Step.CANCEL:
            return self.selections.cancel(command, now_s, self._now_ns())
        if not is_emergency and (refused := self._hindrance(command, index, value)):
            return refused
        if index not in self._drivers and not self._is_take(index):
            return Refused(Refusal.NOT_CONNECTED, f"no driver reaches {command.tag}")
        if refused := self._crowded(command, is_emergency=is_emergency):
            return refused
        if command.step is Step.SELECT:
            if refused := self.selections.why_not(command, now_s):
                return refused
            return self.selections.select(
                command, value, limits.handling.select_ms or DEFAULT_MS, now_s, self._now_ns()
            )
        if is_emergency:
            return value, limits
        is_needed = limits.handling.select_ms > 0
        if refused := self.selections.why_no_operate(command, value, is_needed, now_s):
            return refused
        last_s = self._sent_s.get(command.tag)
        pause_s = limits.handling.interval_ms / 1000
        if last_s is not None and now_s - last_s < pause_s:
            left = pause_s - (now_s - last_s)
            return Refused(
                Refusal.TOO_SOON, f"{command.tag} takes a command every {pause_s:g} s; again in {left:.1f} s"
            )
        if limits.handling.confirm_ms and self._confirmations.is_full:
            return Refused(Refusal.BUSY, "as many commands as may wait for a second person do")
        return value, limits

    def _hindrance(self, command: Command, index: int, value: Value) -> Refused | None:
        """What may change from one moment to the next, and is asked again right before the device is touched."""
        if self._control is not None and self._control.is_take(index):
            assert isinstance(value, bool), value
            why = self._control.why_not_take(index, command, value)
            return None if why is None else Refused(Refusal.NOT_IN_CONTROL, why)
        why = None if self._holder is None else self._holder.why_held(index)
        if why is not None:
            return Refused(Refusal.HELD, why)
        why = None if self._control is None else self._control.why_not(index, command)
        if why is not None:
            return Refused(Refusal.NOT_IN_CONTROL, why)
        return self._interlocked(index, value)

    def _interlocked(self, index: int, value: Value) -> Refused | None:
        if self._interlocks is None:
            return None
        why = self._interlocks.why_not(index, value, asyncio.get_running_loop().time())
        return None if why is None else Refused(Refusal.INTERLOCKED, why)

    def _crowded(self, command: Command, *, is_emergency: bool) -> Refused | None:
        if not is_emergency:
            if command.tag in self._running or any(
                run.command.tag == command.tag for run in self._emergencies.values()
            ):
                return Refused(Refusal.BUSY, f"another command on {command.tag} is under way")
            if len(self._running) >= RUNNING_COMMANDS:
                return Refused(Refusal.BUSY, f"{RUNNING_COMMANDS} commands are under way")
        elif len(self._emergencies) >= EMERGENCIES:
            return Refused(Refusal.BUSY, f"{EMERGENCIES} emergency commands are under way")
        if not self._has_room(is_emergency=is_emergency):
            return Refused(
                Refusal.BUSY, f"{REMEMBERED_IDS} commands were sent whose deadlines have not passed"
            )
        return None

    def _preempt(self, emergency: Command) -> None:
        """What is not sent yet must not follow the emergency; what is being sent goes before it."""
        refused = Refused(Refusal.BUSY, "an emergency command came before it")
        self._confirmations.end(emergency.tag, refused)
        run = self._running.get(emergency.tag)
        if run is not None:
            run.is_preempted = True

    def _is_take(self, index: int) -> bool:
        return self._control is not None and self._control.is_take(index)

    # ── act ────────────────────────────────────────────────────────────────────────────────────────────────────
    async def _run(self, run: _Running) -> None:
        command, remembered = run.command, run.remembered
        try:
            outcome = await self._take_through(run)
            log.info("%s by %s via %s: %s", command.tag, command.user, command.origin, outcome)
            remembered.outcome.set_result(outcome)
            settle_s = self._settle_s(command)
            is_last = self._sent_s.get(command.tag) == run.sent_s  # else an emergency came after it
            if isinstance(outcome, TimedOut) and is_last and settle_s and self._is_open:
                left = (command.deadline_ns - self._now_ns()) / 1e9 + settle_s
                remembered.until += settle_s
                self._settle(remembered, left)
        finally:
            if run.is_emergency:
                del self._emergencies[command.id]
            else:
                del self._running[command.tag]
            if (
                not remembered.outcome.done()
            ):  # a bug or the end of the process: `open` of the next run closes it
                remembered.outcome.set_result(TimedOut("the gateway failed while this command ran"))

    async def _take_through(self, run: _Running) -> Outcome:
        command = run.command
        try:
            await self._learn_for(run)
            if command.id in self._learnt_late:
                return self._late_outcome(run.remembered)
            if run.limits.handling.confirm_ms and not run.is_emergency:
                word = await self._second_word(run)
                if isinstance(word, Refused):
                    await self._note_refusal(command, word)
                    return word
                run.second = word
            await self._begin(run)
        except AuditError as error:
            refused = Refused(Refusal.AUDIT_UNAVAILABLE, f"the audit trail cannot be written: {error}")
            await self._note_refusal(command, refused)
            return refused
        outcome: Outcome
        try:
            outcome = await self._act(run)
        except asyncio.CancelledError:
            outcome = TimedOut("the gateway stopped while this command ran; the device may have acted")
        await self._end(run, outcome)
        return outcome

    async def _learn_for(self, run: _Running) -> None:
        """Raises AuditError, but not for an emergency, which goes on without."""
        if not run.is_emergency:
            await self._learn()
            return
        if self._has_learnt:
            return
        learning = asyncio.ensure_future(self._learn())
        learning.add_done_callback(_log_not_learnt)
        await asyncio.wait([learning], timeout=EMERGENCY_AUDIT_S)

    async def _begin(self, run: _Running) -> None:
        if run.is_emergency:
            await self._trail.begin_at_once(run.command, EMERGENCY_AUDIT_S)
        else:
            await self._trail.begin(run.command, run.second)

    async def _end(self, run: _Running, outcome: Outcome) -> None:
        if run.is_emergency:
            await self._trail.end_at_once(run.command, outcome, EMERGENCY_AUDIT_S)
        else:
            await self._trail.end(run.command, outcome)

    async def _second_word(self, run: _Running) -> str | Refused:
        """Who confirmed it, or why it does not go."""
        command = run.command
        left_s = (command.deadline_ns - self._now_ns()) / 1e9
        left_s = max(min(left_s, run.limits.handling.confirm_ms / 1000), 0.0)
        until_ns = self._now_ns() + int(left_s * 1e9)
        await self._trail.note(waiting_event(command, until_ns))
        if run.is_preempted or not self._is_open:
            return Refused(Refusal.BUSY, "an emergency command came before it, or the gateway is stopping")
        return await self._confirmations.word(command, run.value, until_ns, left_s)

    def _late_outcome(self, remembered: _Remembered) -> Outcome:
        """Of an id that the trail knows, sent again before the trail could be read."""
        command, outcome = self._learnt_late.pop(remembered.command.id)
        if remembered.is_same_wish(command):
            return outcome
        return Refused(Refusal.MALFORMED, "this id was used for another command")

    async def _act(self, run: _Running) -> Outcome:
        command, value = run.command, run.value
        loop = asyncio.get_running_loop()
        left = (command.deadline_ns - self._now_ns()) / 1e9
        if left <= 0:
            return Refused(Refusal.EXPIRED, "the deadline passed before it could be sent")
        deadline = loop.time() + min(left, run.limits.timeout_ms / 1000)
        tag = run.tag
        if not run.is_emergency:
            if run.is_preempted:
                return Refused(Refusal.BUSY, "an emergency command came before it")
            if refused := self._hindrance(command, tag, value):
                return refused  # since it was checked
        if self._control is not None and self._control.is_take(tag):
            assert isinstance(value, bool), value
            return await self._control.take(tag, command, value)
        driver = self._drivers.get(tag)
        if driver is None:  # another site was taken meanwhile
            return Refused(Refusal.NOT_CONNECTED, f"no driver reaches {command.tag} any more")
        act = partial(driver.operate, tag, value)
        if command.valid_until_ns:
            act = partial(self._setpoints[tag].operate_until, tag, value, command.valid_until_ns)
        self._settling.end(tag)
        self._sent_s[command.tag] = run.sent_s = loop.time()
        if self._holder is not None:
            self._holder.commanded(tag, is_emergency=run.is_emergency)
        sent = await operate(act, deadline)
        if not isinstance(sent, Sent):
            return sent
        return await read_back(driver, tag, value, run.limits.tolerance, sent, deadline, self._now_ns)

    # ── settle ─────────────────────────────────────────────────────────────────────────────────────────────────
    def _settle_s(self, command: Command) -> float:
        """For how long after its deadline the device is asked what became of a command without an answer."""
        tag = self._tags.get(command.tag)
        if tag is None or tag.write is None:
            return 0.0
        index = self._indexes[command.tag]
        # A setpoint's answer belongs to its number, which only this run knows; control is on disk or it is not.
        if index not in self._drivers or index in self._setpoints:
            return 0.0
        return tag.write.handling.settle_ms / 1000

    def _settle(self, remembered: _Remembered, left_s: float) -> None:
        command = remembered.command
        tag = self._tags[command.tag]
        assert tag.write is not None
        value = limit(command.value, tag, tag.write)
        if isinstance(value, Refused):
            return  # the site file has changed since
        index = self._indexes[command.tag]
        until_s = asyncio.get_running_loop().time() + left_s
        self._settling.begin(index, self._settle_one(remembered, index, value, tag.write.tolerance, until_s))

    async def _settle_one(
        self, remembered: _Remembered, tag: int, value: Value, tolerance: float, until_s: float
    ) -> None:
        def may_go_on() -> bool:
            """What the logic writes meanwhile is the logic's."""
            return self._holder is None or self._holder.why_held(tag) is None

        found = await settled(self._read, tag, value, tolerance, until_s, may_go_on, self._now_ns)
        if found is not None:
            self._answer(self._tell_settled(remembered, found))  # a newer command does not stop it any more

    async def _tell_settled(self, remembered: _Remembered, found: Done | Failed) -> None:
        command = remembered.command
        log.info("%s by %s via %s is settled: %s", command.tag, command.user, command.origin, found)
        try:
            await self._trail.note(settled_event(command.id, found))
        except AuditError as error:
            log.error("what became of command %s is not in the audit trail: %s", command.id, error)
            return  # the next run must not tell another tale
        remembered.outcome = asyncio.get_running_loop().create_future()
        remembered.outcome.set_result(found)

    async def _read(self, tag: int) -> Value:
        """By whichever driver reaches the tag by now. Raises OperateError, TimeoutError."""
        driver = self._drivers.get(tag)
        if driver is None:
            raise NotConnectedError("no driver reaches it any more")
        return await driver.read_back(tag)

    # ── tell ───────────────────────────────────────────────────────────────────────────────────────────────────
    async def _refuse(self, remembered: _Remembered, refused: Refused) -> None:
        await self._note_refusal(remembered.command, refused)
        remembered.outcome.set_result(refused)

    async def _tell_selected(self, remembered: _Remembered, selected: Selected) -> None:
        command = remembered.command
        outcome: Outcome = selected
        try:
            await self._learn()
            await self._trail.note(select_event(command, selected))
        except AuditError as error:
            self.selections.use(command.tag)
            outcome = Refused(Refusal.AUDIT_UNAVAILABLE, f"the audit trail cannot be written: {error}")
        log.info("%s by %s via %s: %s", command.tag, command.user, command.origin, outcome)
        remembered.outcome.set_result(outcome)

    async def note(self, note: wire.Note, uid: int) -> str:
        """Put what is done to the running program by hand into the trail; why not, where that fails."""
        try:
            await self._learn()
            await self._trail.note(by_hand_event(note, uid))
        except AuditError as error:
            log.error("what %s did by hand is not in the audit trail: %s", note.user, error)
            return str(error)
        return ""

    async def _note_refusal(self, command: Command, refused: Refused) -> None:
        log.info("%s by %s via %s: %s", command.tag, command.user, command.origin, refused)
        try:
            await self._learn()
            await self._trail.note(refusal_event(command, refused))
        except AuditError as error:
            log.error("a refusal is not in the audit trail: %s", error)

    # ── remember ───────────────────────────────────────────────────────────────────────────────────────────────
    def _remember(self, command: Command, left: float, *, is_emergency: bool = False) -> _Remembered:
        loop = asyncio.get_running_loop()
        remembered = _Remembered(command, loop.create_future(), loop.time() + left + REMEMBERED_AFTER_S)
        if self._has_room(
            is_emergency=is_emergency
        ):  # else it was refused BUSY and did nothing: it need not be remembered
            self._remembered[command.id] = remembered
        return remembered

    def _has_room(self, *, is_emergency: bool = False) -> bool:
        """Whether another id can be remembered; forgets those that have expired, but only when room is short."""
        most = REMEMBERED_IDS + EMERGENCY_IDS if is_emergency else REMEMBERED_IDS
        if len(self._remembered) < most:
            return True
        now = asyncio.get_running_loop().time()
        self._remembered = {
            id: each for id, each in self._remembered.items() if each.until > now or not each.outcome.done()
        }
        return len(self._remembered) < most


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("a command broke the router", exc_info=error)


def _log_not_learnt(learning: asyncio.Future[None]) -> None:
    if not learning.cancelled() and (error := learning.exception()) is not None:
        log.error("an emergency goes without the audit trail: %s", error)
