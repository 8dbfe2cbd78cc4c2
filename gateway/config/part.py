"""What the composition root hands to every part it starts in a process of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gateway.config.paths import RunPaths
from gateway.config.site import Site

TURN_S: Final = 20.0  # the longest turn of one that looks each second, and reads little
LONG_TURN_S: Final = 180.0  # of one that may learn from weeks of history in a turn, or open a ledger of years


@dataclass(frozen=True, slots=True)
class Reload:
    """A site that takes the place of the one a part has. Places of tags that stay are the same in both.

    The part calls `Region.refresh`, acts on what is different, and then sets ``done``. One that cannot raises: it is
    started again with the new site, which holds already. The same site may come twice.
    """

    site: Site
    done: asyncio.Future[None]


class Stop(threading.Event):
    """Tells the thread that works to end. It looks at it, or waits on it, each turn: one that does neither stands
    still. Looks of other threads do not count.
    """

    def __init__(self) -> None:
        super().__init__()
        self.turns = 0
        self.is_waited_on = False
        self._thread: int | None = None

    def is_for_this_thread(self) -> None:
        """It is this one whose turns count."""
        self._thread = threading.get_ident()

    def is_set(self) -> bool:
        self.turns += threading.get_ident() == self._thread
        return super().is_set()

    def wait(self, timeout: float | None = None) -> bool:
        if threading.get_ident() != self._thread:
            return super().wait(timeout)
        self.turns += 1
        self.is_waited_on = True
        try:
            return super().wait(timeout)
        finally:
            self.is_waited_on = False


class Progress:
    """Whether a part's work gets on. It is asked with each beat of the part's loop, and goes by their number: what
    the machine or a debugger held up as a whole has missed no beat.
    """

    def __init__(self) -> None:
        self._stop: Stop | None = None
        self._longest_s = LONG_TURN_S
        self._turns = 0
        self._still_s = 0.0

    def follow(self, stop: Stop, longest_s: float) -> None:
        """Of the thread that works until ``stop``, whose turns take ``longest_s`` at most."""
        self._stop, self._longest_s, self._still_s = stop, longest_s, 0.0

    def is_stuck(self, beat_s: float) -> bool:
        """Whether a turn takes longer than it may, ``beat_s`` after this was asked last."""
        stop = self._stop
        if stop is None:
            return False
        is_turning = stop.is_waited_on or stop.turns != self._turns
        self._turns = stop.turns
        self._still_s = 0.0 if is_turning else self._still_s + beat_s
        return self._still_s >= self._longest_s


@dataclass(frozen=True, slots=True)
class PartContext:
    """A part is ``async def run(context, ...) -> None``: it works until ``stop`` is set, then ends within 3 s.

    It attaches to the region ``region_name`` itself. It calls ``ready.set()`` once it does its job. The
    root's beat task runs on the same loop: a part that blocks its loop for 10 s is taken for hung and restarted. So
    in the end is one whose ``progress`` says that its work stands still (`work_in_thread`).
    ``reloads`` brings sites to parts that can take them in place (`gateway.node.effects` names them).
    """

    site: Site
    paths: RunPaths
    region_name: str
    stop: asyncio.Event
    ready: asyncio.Event
    reloads: asyncio.Queue[Reload] = field(default_factory=asyncio.Queue)
    progress: Progress = field(default_factory=Progress)


async def work_in_thread(
    context: PartContext,
    work: Callable[[threading.Event, Callable[[], object]], None],
    longest_turn_s: float = LONG_TURN_S,
) -> None:
    """Run ``work(stop, ready)`` in a thread until the part is stopped or ``work`` ends; raises what it raises.

    For parts that block: they wait on ``stop`` and call ``ready()`` once, from their thread. Once they are ready they
    look at ``stop`` every ``longest_turn_s`` at least, or are told to stand still.
    """
    loop = asyncio.get_running_loop()
    stop = Stop()

    def be_ready() -> None:
        context.progress.follow(stop, longest_turn_s)
        context.ready.set()

    def begin() -> None:
        stop.is_for_this_thread()
        work(stop, lambda: loop.call_soon_threadsafe(be_ready))

    working = asyncio.create_task(asyncio.to_thread(begin))
    stopped = asyncio.create_task(context.stop.wait())
    try:
        await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.set()
        stopped.cancel()
        await working
