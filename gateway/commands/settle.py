"""After a command of unknown outcome: look at the device until it tells, as soon as it can be asked.

Nothing is sent again. What the device reports settles the outcome: the value that was asked is done, another one that
stays is not.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine

from gateway.commands.read_back import is_equal
from gateway.tags.command import Done, Failed
from gateway.tags.operate import OperateError
from gateway.tags.sample import Value

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 5.0  # of a device that stays away
READ_PATIENCE_S = 10.0  # for one answer: the driver has a shorter time of its own
# A device that acts late: another value counts only if it is still there after so long.
STAYS_S = 1.0
AT_ONCE = 256  # commands that are looked after: as many as may run

log = logging.getLogger(__name__)


async def settled(
    read: Callable[[int], Awaitable[Value]],
    tag: int,
    value: Value,
    tolerance: float,
    until_s: float,
    may_go_on: Callable[[], bool],
    now_ns: Callable[[], int] = time.time_ns,
) -> Done | Failed | None:
    """What became of it, by asking the device with ``read``; None where nobody can tell.

    ``until_s`` is in the loop's time; once ``may_go_on`` is false, another one has written to the point.
    """
    loop = asyncio.get_running_loop()
    pause = FIRST_PAUSE_S
    differs_since: float | None = None
    while loop.time() < until_s and may_go_on():
        await asyncio.sleep(min(pause, max(until_s - loop.time(), 0.0)))
        pause = min(pause * 2, LONGEST_PAUSE_S)
        asked_s = loop.time()
        try:
            async with asyncio.timeout(READ_PATIENCE_S):
                reported = await read(tag)
        except (OperateError, TimeoutError):
            differs_since = None
            continue
        if not may_go_on():
            return None
        if is_equal(value, reported, tolerance):
            return Done(reported, now_ns())
        if differs_since is None:
            differs_since, pause = asked_s, FIRST_PAUSE_S
        elif asked_s - differs_since >= STAYS_S:
            return Failed(f"the device did not answer, and reports {reported!r}, not {value!r}")
    return None


class Settling:
    """Those under way, one a tag: after a newer command nobody can tell what became of the one before."""

    def __init__(self) -> None:
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def begin(self, tag: int, settle: Coroutine[None, None, None]) -> None:
        """Look after a command of the tag."""
        self.end(tag)
        if len(self._tasks) >= AT_ONCE:
            settle.close()
            return
        task = self._tasks[tag] = asyncio.create_task(settle)
        task.add_done_callback(lambda ended: self._forget(tag, ended))

    def end(self, tag: int) -> None:
        """Another command goes to the device."""
        task = self._tasks.pop(tag, None)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """What is not settled now the next run looks after."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _forget(self, tag: int, task: asyncio.Task[None]) -> None:
        if self._tasks.get(tag) is task:
            del self._tasks[tag]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("what became of a command cannot be found out", exc_info=error)
