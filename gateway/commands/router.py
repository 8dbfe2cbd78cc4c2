"""The router: the one way to a device. It takes each command through its steps, once.

authorise → limit → operate → read back → audit. The intent is in the audit trail before the device is touched, the
outcome after; so whatever happens to this process, the trail says what may have been done.

A command id acts at most once: outcomes are remembered until the deadline of their command has long passed, after
which the id is refused as expired. After a restart they are known from the audit trail.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from gateway.commands import wire
from gateway.commands.audit import (
    AuditError,
    AuditTrail,
    by_hand_event,
    opened_event,
    outcome_event,
    refusal_event,
)
from gateway.commands.authorise import authorise
from gateway.commands.limit import limit
from gateway.commands.operate import Sent, operate
from gateway.commands.read_back import read_back
from gateway.config.site import Site, Tag, WriteLimits
from gateway.tags.command import Command, Outcome, Refusal, Refused, TimedOut
from gateway.tags.operate import Driver, ExpiringDriver
from gateway.tags.sample import Value

RUNNING_COMMANDS = 256  # at once, one a tag: more than any operator or schedule of a site gives
# Ids remembered: 10,000 in 11 minutes is 15 a second without a pause. While all are still needed, more are BUSY.
REMEMBERED_IDS = 10_000
LONGEST_WAIT_S = 600.0  # how far ahead a deadline may be, since ids are remembered until then
REMEMBERED_AFTER_S = 60.0  # past the deadline: a client that lost its connection still learns the outcome
STOP_PATIENCE_S = 1.5  # for commands under way at the end; the part has 3 s in all

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A command this router has seen, and its outcome once there is one."""

    command: Command
    outcome: asyncio.Future[Outcome]
    until: float  # loop's time

    def is_same_wish(self, command: Command) -> bool:
        """Values are compared with their type: True is not 1, and nan is the same wish as nan."""
        mine = (self.command.tag, repr(self.command.value), self.command.user, self.command.valid_until_ns)
        return mine == (command.tag, repr(command.value), command.user, command.valid_until_ns)


class Holder(Protocol):
    """Who may have the say over a point besides people."""

    def why_held(self, tag: int) -> str | None:
        """Why a person may not command the tag now; None where they may."""
        ...

    def commanded(self, tag: int) -> None:
        """A person's command is about to be sent."""
        ...


class Router:
    """A `Commander`. ``drivers`` maps an image index to the driver that reaches that tag, ``setpoints`` those whose
    values may come with an end; what ``holder`` holds is refused.

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
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._site_name = site.name
        self._tags: dict[str, Tag] = {tag.name: tag for tag in site.tags}
        self._indexes = {tag.name: index for index, tag in enumerate(site.tags)}
        self._users = {user.name: user.role for user in site.users}
        self._setpoints = {} if setpoints is None else setpoints
        self._drivers = {**drivers, **self._setpoints}
        self._holder = holder
        self._trail = trail
        self._now_ns = now_ns
        self._remembered: dict[str, _Remembered] = {}
        self._running: dict[str, asyncio.Task[None]] = {}  # by tag
        self._refusing: set[asyncio.Task[None]] = set()
        self._is_open = False
        self._learning = asyncio.Lock()
        self._has_learnt = False
        self._learnt_late: dict[
            str, tuple[Command, Outcome]
        ] = {}  # of commands sent again while it was learnt

    async def open(self) -> None:
        """Take commands. Those before are known from the trail, if not now then as soon as it can be opened."""
        self._is_open = True
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
            sent_again = self._remembered.get(command.id)
            if sent_again is not None and not sent_again.outcome.done():
                self._learnt_late[command.id] = command, outcome
            elif -REMEMBERED_AFTER_S < left <= LONGEST_WAIT_S:
                self._remember(command, left).outcome.set_result(outcome)

    async def close(self) -> None:
        """Take no more; let commands under way end, or end them as TimedOut; close the trail."""
        self._is_open = False
        tasks = [*self._running.values(), *self._refusing]
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
        if remembered is None or not remembered.is_same_wish(command):
            return None
        return remembered.outcome

    async def send(self, command: Command) -> Outcome:
        """What became of ``command``. Whoever waits may go away: the command goes on."""
        known = self._remembered.get(command.id)
        if known is None:
            return await asyncio.shield(self._start(command))
        if known.is_same_wish(command):
            return await asyncio.shield(known.outcome)
        return await self.refuse(command, Refusal.MALFORMED, "this id was used for another command")

    async def refuse(self, command: Command, code: Refusal, why: str) -> Refused:
        """Refuse a command before it gets to the steps; it is in the audit trail like any other."""
        refused = Refused(code, why)
        await self._note_refusal(command, refused)
        return refused

    def _start(self, command: Command) -> asyncio.Future[Outcome]:
        """Decide at once, without waiting for anything, so that no two commands can pass the same check."""
        checked = self._check(command)
        left = max((command.deadline_ns - self._now_ns()) / 1e9, 0.0)
        remembered = self._remember(command, min(left, LONGEST_WAIT_S))
        if isinstance(checked, Refused):
            task = asyncio.create_task(self._refuse(remembered, checked))
            self._refusing.add(task)
            task.add_done_callback(self._refusing.discard)
        else:
            value, limits = checked
            deadline = asyncio.get_running_loop().time() + min(left, limits.timeout_ms / 1000)
            task = asyncio.create_task(self._run(remembered, value, limits, deadline))
            self._running[command.tag] = task
            task.add_done_callback(_log_failure)
        return remembered.outcome

    def _check(self, command: Command) -> tuple[Value, WriteLimits] | Refused:
        """All that can be said before anything is done."""
        left = (command.deadline_ns - self._now_ns()) / 1e9
        if left <= 0:
            return Refused(Refusal.EXPIRED, "the deadline has passed")
        if left > LONGEST_WAIT_S:
            return Refused(Refusal.MALFORMED, f"the deadline is more than {LONGEST_WAIT_S:g} s ahead")
        limits = authorise(command, self._users, self._tags)
        if isinstance(limits, Refused):
            return limits
        value = limit(command.value, self._tags[command.tag], limits)
        if isinstance(value, Refused):
            return value
        if command.valid_until_ns and self._indexes[command.tag] not in self._setpoints:
            return Refused(
                Refusal.MALFORMED, f"{command.tag} is no setpoint of the logic: it has no time until it holds"
            )
        if not self._is_open:
            return Refused(Refusal.NOT_CONNECTED, "the gateway is stopping")
        if held := self._held(command):
            return held
        if self._indexes[command.tag] not in self._drivers:
            return Refused(Refusal.NOT_CONNECTED, f"no driver reaches {command.tag}")
        if command.tag in self._running:
            return Refused(Refusal.BUSY, f"another command on {command.tag} is under way")
        if len(self._running) >= RUNNING_COMMANDS:
            return Refused(Refusal.BUSY, f"{RUNNING_COMMANDS} commands are under way")
        if not self._has_room():
            return Refused(
                Refusal.BUSY, f"{REMEMBERED_IDS} commands were sent whose deadlines have not passed"
            )
        return value, limits

    async def _run(self, remembered: _Remembered, value: Value, limits: WriteLimits, deadline: float) -> None:
        command = remembered.command
        outcome: Outcome
        try:
            try:
                await self._learn()
                if command.id in self._learnt_late:
                    remembered.outcome.set_result(self._late_outcome(remembered))
                    return
                await self._trail.begin(command)
            except AuditError as error:
                outcome = Refused(Refusal.AUDIT_UNAVAILABLE, f"the audit trail cannot be written: {error}")
                await self._note_refusal(command, outcome)
            else:
                try:
                    outcome = await self._act(command, value, limits, deadline)
                except asyncio.CancelledError:
                    outcome = TimedOut(
                        "the gateway stopped while this command ran; the device may have acted"
                    )
                await self._trail.end(command, outcome)
            log.info("%s by %s via %s: %s", command.tag, command.user, command.origin, outcome)
            remembered.outcome.set_result(outcome)
        finally:
            del self._running[command.tag]
            if (
                not remembered.outcome.done()
            ):  # a bug or the end of the process: `open` of the next run closes it
                remembered.outcome.set_result(TimedOut("the gateway failed while this command ran"))

    def _late_outcome(self, remembered: _Remembered) -> Outcome:
        """Of an id that the trail knows, sent again before the trail could be read."""
        command, outcome = self._learnt_late.pop(remembered.command.id)
        if remembered.is_same_wish(command):
            return outcome
        return Refused(Refusal.MALFORMED, "this id was used for another command")

    async def _act(self, command: Command, value: Value, limits: WriteLimits, deadline: float) -> Outcome:
        if asyncio.get_running_loop().time() >= deadline:
            return Refused(Refusal.EXPIRED, "the deadline passed while the intent was written down")
        if held := self._held(command):
            return held  # since it was checked
        tag = self._indexes[command.tag]
        driver = self._drivers[tag]
        act = partial(driver.operate, tag, value)
        if command.valid_until_ns:
            act = partial(self._setpoints[tag].operate_until, tag, value, command.valid_until_ns)
        if self._holder is not None:
            self._holder.commanded(tag)
        sent = await operate(act, deadline)
        if not isinstance(sent, Sent):
            return sent
        return await read_back(driver, tag, value, limits.tolerance, sent, deadline, self._now_ns)

    def _held(self, command: Command) -> Refused | None:
        why = None if self._holder is None else self._holder.why_held(self._indexes[command.tag])
        return None if why is None else Refused(Refusal.HELD, why)

    async def _refuse(self, remembered: _Remembered, refused: Refused) -> None:
        await self._note_refusal(remembered.command, refused)
        remembered.outcome.set_result(refused)

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

    def _remember(self, command: Command, left: float) -> _Remembered:
        loop = asyncio.get_running_loop()
        remembered = _Remembered(command, loop.create_future(), loop.time() + left + REMEMBERED_AFTER_S)
        if self._has_room():  # else it was refused BUSY and did nothing: it need not be remembered
            self._remembered[command.id] = remembered
        return remembered

    def _has_room(self) -> bool:
        """Whether another id can be remembered; forgets those that have expired, but only when room is short."""
        if len(self._remembered) < REMEMBERED_IDS:
            return True
        now = asyncio.get_running_loop().time()
        self._remembered = {
            id: each for id, each in self._remembered.items() if each.until > now or not each.outcome.done()
        }
        return len(self._remembered) < REMEMBERED_IDS


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("a command broke the router", exc_info=error)
