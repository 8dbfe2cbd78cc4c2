"""Keeps the parts alive: starts them in order, restarts what ends or hangs, and stops them in order.

A part's life is a small table of states::

    IDLE ──start──► STARTING ──ready──► RUNNING
      ▲                │ ended             │ ended, or silent and killed
      │                ▼                   ▼
      │             WAITING ◄──────────────┘      (back-off; its tags are Bad_NoCommunication meanwhile)
      │                │ time is up: STARTING again
      └── ended ── STOPPING ◄── stop, from any state

A part whose loop beats while the thread that does its work stands still (`gateway.config.part.Progress`) is told so,
and is killed and started again when it does not get on by itself.

No part ends another: each is kept by a task of its own, and nothing here waits for a part's answer.

A reload hands a part another site (`hand_over`), starts it again with it (`restart`), adds a part or lets one go.
From `run_site_from` on, whatever starts has the new site: a part that dies in the middle comes back with it.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum

from gateway.config.paths import RunPaths
from gateway.node.back_off import BackOff
from gateway.node.child import Child
from gateway.node.fork_server import ForkServer
from gateway.tags.image import Region, RegionError
from gateway.tags.quality import Quality, is_good

SILENCE_S = 10.0  # a loop that did not turn for so long is hung; PartContext states it
FIRST_BEAT_S = (
    30.0  # imports on a small processor whose other parts all start too; each time it was too short, twice
)
LONGEST_FIRST_BEAT_S = 600.0
STUCK_S = (
    120.0  # told at once, killed after it: each time that it was too short, twice (a disk that is very slow)
)
LONGEST_STUCK_S = 3_600.0
READY_PATIENCE_S = 20.0  # how long the next stage waits for one: a part may need longer, the others need not
WATCH_S = 0.5
STAGE_PATIENCE_S = 1.2  # at the end, before the next stage is told too
STOP_S = 4.3  # in all, then whatever is left is killed: 5 s is what we promise
TAKE_PATIENCE_S = (
    60.0  # for a part to take another site in place, whose loop turns: one that hangs is killed before
)
LEAVE_PATIENCE_S = 3.5  # for one that is told to end while the others go on: it promises 3 s
DIED_IN_CLAIM_S = 1.0  # a claim of a dead process is free at once; more is for one that is slow to die

log = logging.getLogger(__name__)


class State(Enum):
    """Where a part is in its life."""

    IDLE = "idle"
    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"
    STOPPING = "stopping"


class Wanted(Enum):
    """What becomes of a part when its process ends."""

    RUN = "run"  # it is started again, after the back-off
    RUN_AT_ONCE = "run at once"  # it was told to end so that it starts with another site
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Part:
    """What is started: ``command`` takes the arguments of `Launch` after it. Lower ``stage`` starts earlier.

    ``stop_stage``: lower is told to end earlier. One that is silent for ``silence_s`` is killed. ``beat`` are
    tags that it writes all the time, for one that does not beat through its pipe: any new receipt time is a beat, and
    it is ready once the first of them is Good.
    """

    name: str
    command: tuple[str, ...]
    stage: int
    stop_stage: int
    silence_s: float | None = None  # SILENCE_S
    beat: tuple[str, ...] = ()
    is_forked: bool = False  # its process is had of the fork server, where there is one


@dataclass(slots=True)
class Life:
    """A part as it is now; `health` and `status` read it."""

    part: Part
    state: State = State.IDLE
    child: Child | None = None
    restarts: int = 0
    wanted: Wanted = Wanted.RUN
    is_kept: bool = False
    last_exit: str = ""
    beat_at: int = 0  # the latest receipt time of its beats that was seen
    never_began: int = 0  # its latest processes, in a row, that were killed before they beat
    is_stuck: bool = False  # its process answers, and its work stands still
    stuck_kills: int = 0  # its latest processes, in a row, that were killed for it
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    wake: asyncio.Event = field(default_factory=asyncio.Event)  # out of the back-off
    back_off: BackOff = field(default_factory=BackOff)


class Supervisor:
    """Runs ``parts`` over ``region``; ``say`` gets a line for each event an operator would want to know of."""

    def __init__(
        self,
        parts: Sequence[Part],
        paths: RunPaths,
        region: Region,
        site: int,
        say: Callable[[str], None],
        fork_server: ForkServer | None = None,
    ) -> None:
        self.lives = [Life(part) for part in parts]
        self._paths = paths
        self._region = region
        self._site = site
        self._say = say
        self._fork_server = fork_server
        self._is_stopping = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None  # while it runs

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set and every part has ended."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                watching = tasks.create_task(self._watch())
                starting = tasks.create_task(self._start(tasks))
                await stop.wait()
                starting.cancel()
                await self._stop()
                watching.cancel()
        finally:
            self.kill()

    def run_site_from(self, site: int, parts: Sequence[Part]) -> int:
        """Start parts with this site from now on, as ``parts`` has those that are there.

        Returns the descriptor of the site before, for the caller to close.
        """
        by_name = {part.name: part for part in parts}
        for life in self.lives:
            life.part = by_name.get(life.part.name, life.part)
        before, self._site = self._site, site
        return before

    def life_of(self, name: str) -> Life | None:
        """The part of this name, if there is one."""
        return next((life for life in self.lives if life.part.name == name), None)

    async def hand_over(self, name: str) -> bool:
        """Let a part take the present site while it runs; False where it had to be started again for it."""
        life = self.life_of(name)
        if life is None or life.child is None or life.child.ended.done():
            return False  # it starts with it, by and by
        with suppress(TimeoutError):
            async with asyncio.timeout(READY_PATIENCE_S):
                await life.ready.wait()
        child = life.child
        try:
            async with asyncio.timeout(TAKE_PATIENCE_S):
                return await child.take(self._site)
        except TimeoutError:
            self._say(f"{name} does not take the new site: killed")
            life.wanted = Wanted.RUN_AT_ONCE
            child.send(signal.SIGKILL)
            return False

    async def restart(self, name: str) -> None:
        """Let a part end, and start it with the present site; returns when its new life has begun."""
        life = self.life_of(name)
        if life is None or life.child is None or life.child.ended.done():
            return
        await self._leave(life, Wanted.RUN_AT_ONCE)
        with suppress(TimeoutError):
            async with asyncio.timeout(READY_PATIENCE_S):
                await life.ready.wait()

    async def remove(self, name: str) -> None:
        """Let a part end for good."""
        life = self.life_of(name)
        if life is not None:
            await self._leave(life, Wanted.GONE)
            self.lives.remove(life)

    async def add(self, part: Part) -> None:
        """Start a part that was not there; returns when it is ready, or late."""
        if self._tasks is None or self._is_stopping.is_set():
            return
        life = Life(part)
        self.lives.append(life)
        self._begin(self._tasks, life)
        with suppress(TimeoutError):
            async with asyncio.timeout(READY_PATIENCE_S):
                await life.ready.wait()

    async def _leave(self, life: Life, wanted: Wanted) -> None:
        life.wanted = wanted
        life.wake.set()
        life.ready.clear()
        child = life.child
        if child is None or child.ended.done():
            return
        child.send(signal.SIGTERM)
        _, late = await asyncio.wait([asyncio.shield(child.ended)], timeout=LEAVE_PATIENCE_S)
        if late:
            self._say(f"{life.part.name} did not end in time: killed")
            child.send(signal.SIGKILL)
            await asyncio.shield(child.ended)

    def kill(self) -> None:
        """End every process at once, without its consent."""
        self._is_stopping.set()
        for life in self.lives:
            if life.child is not None and not life.child.ended.done():
                life.child.send(signal.SIGKILL)

    async def _start(self, tasks: asyncio.TaskGroup) -> None:
        """Stage by stage; a part that is slow to be ready does not hold the others for ever."""
        begun = asyncio.get_running_loop().time()
        for stage in sorted({life.part.stage for life in self.lives}):
            lives = [life for life in self.lives if life.part.stage == stage]
            for life in lives:
                self._begin(tasks, life)
            with suppress(TimeoutError):
                async with asyncio.timeout(READY_PATIENCE_S):
                    await asyncio.gather(*(life.ready.wait() for life in lives))
        waiting = [life.part.name for life in self.lives if not life.ready.is_set()]
        if waiting:
            self._say(f"not ready yet: {', '.join(waiting)}; see the logs")
            await asyncio.gather(*(life.ready.wait() for life in self.lives))
        self._say(f"all parts run ({asyncio.get_running_loop().time() - begun:.1f} s)")

    def _begin(self, tasks: asyncio.TaskGroup, life: Life) -> None:
        """Keep it from now on; once, be it added while the others still start."""
        if not life.is_kept:
            life.is_kept = True
            tasks.create_task(self._keep(life))

    async def _keep(self, life: Life) -> None:
        """One part, life after life."""
        loop = asyncio.get_running_loop()
        while not self._is_stopping.is_set():
            life.state = State.STARTING
            started = loop.time()
            self._has_new_beat(life)  # what is there is not this life's
            try:
                life.child = self._child(life)
            except (
                OSError
            ) as error:  # no memory or no process left on this machine: as if it had ended at once
                life.last_exit = f"cannot be started: {error.strerror}"
            else:
                await asyncio.shield(life.child.ended)
                life.last_exit = life.child.exit_text()
                if life.child.has_beaten:
                    life.never_began = 0
            if self._is_stopping.is_set():
                life.state = State.IDLE
                log.info("%s: %s", life.part.name, life.last_exit)
                return
            life.state = State.WAITING
            life.is_stuck = False
            life.ready.clear()
            await self._disown(life)
            if life.wanted is Wanted.RUN:
                # One that never beat was not well, however long it took to see it.
                wait_s = life.back_off.after(0.0 if life.never_began else loop.time() - started)
                self._say(f"{life.part.name} ended ({life.last_exit}); starts again in {wait_s:.1f} s")
                await self._pause(life, wait_s)
            if life.wanted is Wanted.GONE:
                break
            life.wanted = Wanted.RUN
            life.restarts += 1
        life.state = State.IDLE

    async def _pause(self, life: Life, wait_s: float) -> None:
        """The back-off; cut short by the end of all, or of this part."""
        life.wake.clear()
        waiting = [asyncio.ensure_future(event.wait()) for event in (self._is_stopping, life.wake)]
        await asyncio.wait(waiting, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        for each in waiting:
            each.cancel()

    def _child(self, life: Life) -> Child:
        return Child(
            life.part.name,
            life.part.command,
            self._paths,
            self._region.name,
            self._site,
            lambda: self._on_ready(life),
            self._fork_server if life.part.is_forked else None,
        )

    def _on_ready(self, life: Life) -> None:
        if life.state is State.STARTING and life.child is not None:
            life.state = State.RUNNING
            life.ready.set()
            self._say(
                f"{life.part.name} ready ({asyncio.get_running_loop().time() - life.child.started:.1f} s)"
            )

    async def _disown(self, life: Life) -> None:
        """What a dead part last wrote is no longer known to be true: keep the values, say that they are not."""
        name = life.part.name
        if name not in self._region.owners:
            return
        loop = asyncio.get_running_loop()
        until = loop.time() + DIED_IN_CLAIM_S
        while True:
            try:
                writer = self._region.claim(name)
            except RegionError as error:
                if loop.time() >= until:
                    log.error("the tags of %s cannot be marked bad: %s", name, error)
                    return
                await asyncio.sleep(0.01)
                continue
            try:
                writer.invalidate(Quality.BAD_NO_COMMUNICATION, time.time_ns())
            finally:
                writer.release()
            return

    async def _watch(self) -> None:
        """Kill a part that has not beaten for too long. If we ourselves were held up, all get a fresh start."""
        loop = asyncio.get_running_loop()
        due = loop.time() + WATCH_S
        while True:
            await asyncio.sleep(max(due - loop.time(), 0.0))
            now = loop.time()
            was_held_up = now - due > WATCH_S * 4
            due = now + WATCH_S
            for life in self.lives:
                child = life.child
                if child is None or child.ended.done() or self._is_stopping.is_set():
                    continue
                if self._has_new_beat(life):
                    child.beat()
                    if is_good(self._region.sample(life.part.beat[0]).status):
                        self._on_ready(life)
                if was_held_up:
                    child.last_beat = now
                elif now - child.last_beat > _patience_s(life, child):
                    self._say(f"{life.part.name} does not answer (for {now - child.last_beat:.0f} s): killed")
                    life.never_began += not child.has_beaten
                    child.last_beat = now
                    child.send(signal.SIGKILL)
                else:
                    self._look_at_work(life, child, now)

    def _look_at_work(self, life: Life, child: Child, now: float) -> None:
        name, since = life.part.name, child.stuck_since
        if life.is_stuck is not (since is not None):
            life.is_stuck = since is not None
            self._say(f"{name} answers, but its work stands still" if life.is_stuck else f"{name} gets on")
        if since is None or child.why_killed:
            return
        patience_s = min(STUCK_S * 2.0**life.stuck_kills, LONGEST_STUCK_S)
        if now - since > patience_s:
            self._say(f"{name} does not get on (told {now - since:.0f} s ago): killed")
            was_well = since - child.started > LONGEST_STUCK_S
            life.stuck_kills = 1 if was_well else life.stuck_kills + 1
            child.why_killed = "its work stood still"
            child.send(signal.SIGKILL)

    def _has_new_beat(self, life: Life) -> bool:
        """Whether a part that beats in the image has done so since the last look."""
        at = max((self._region.sample(tag).receipt_time for tag in life.part.beat), default=0)
        is_new = at != life.beat_at
        life.beat_at = at
        return is_new

    async def _stop(self) -> None:
        loop = asyncio.get_running_loop()
        self._is_stopping.set()
        until = loop.time() + STOP_S
        told: list[asyncio.Future[int]] = []
        for stage in sorted({life.part.stop_stage for life in self.lives}):
            for life in self.lives:
                if life.part.stop_stage == stage and life.child is not None and not life.child.ended.done():
                    life.state = State.STOPPING
                    life.child.send(signal.SIGTERM)
                    told.append(life.child.ended)
            left = [ended for ended in told if not ended.done()]
            if left:
                await asyncio.wait(left, timeout=min(STAGE_PATIENCE_S, until - loop.time()))
        left = [ended for ended in told if not ended.done()]
        if left:
            await asyncio.wait(left, timeout=max(until - loop.time(), 0.0))
        for life in self.lives:
            if life.child is not None and not life.child.ended.done():
                self._say(f"{life.part.name} did not end in time: killed")
                life.child.send(signal.SIGKILL)
        await asyncio.gather(
            *(asyncio.shield(life.child.ended) for life in self.lives if life.child is not None)
        )


def _patience_s(life: Life, child: Child) -> float:
    """How long a part may be silent. Where all start at once on a busy machine, killing them makes it busier."""
    if not child.has_beaten:
        return min(FIRST_BEAT_S * 2.0**life.never_began, LONGEST_FIRST_BEAT_S)
    return SILENCE_S if life.part.silence_s is None else life.part.silence_s
