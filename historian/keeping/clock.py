"""Sees when the machine's clock is put ahead or back: wall time against time since boot."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from historian.store.frame import GapFrame

KIND = "clock"
LEAST_JUMP_NS = 500 * 10**6  # time daemons slew what is less (ntpd steps from 128 ms, chrony mostly never)
STRETCH_NS = 50 * 10**6  # both clocks are read within this, or the machine was busy and it is tried again
TRIES = 5


@dataclass(frozen=True, slots=True)
class Jump:
    """The clock went from ``from_time``, which it had reached, to ``to_time`` (UTC ns)."""

    from_time: int
    to_time: int

    @property
    def size(self) -> int:
        """ns; negative where it was put back."""
        return self.to_time - self.from_time

    @property
    def gap(self) -> GapFrame:
        """As history notes it: nothing is lost, but between the two times nothing was."""
        return GapFrame(KIND, self.from_time, self.to_time, 0)


def unknown_in(gaps: Iterable[GapFrame]) -> list[GapFrame]:
    """Gaps in which something is not known: all but a clock put back, whose times came twice."""
    return [gap for gap in gaps if gap.kind != KIND or gap.to_time > gap.from_time]


def since_boot() -> int:
    """ns, the time the machine was suspended included (Linux)."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class ClockWatch:
    """Compares the clocks at each look; a slow slew between two looks is no jump."""

    def __init__(
        self, wall: Callable[[], int] = time.time_ns, steady: Callable[[], int] = since_boot
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._last: tuple[int, int] | None = None

    def look(self) -> Jump | None:
        """The jump since the last look, if there was one."""
        now = self._both()
        if now is None:
            return None
        last, self._last = self._last, now
        if last is None:
            return None
        expected = last[0] + now[1] - last[1]
        return Jump(expected, now[0]) if abs(now[0] - expected) >= LEAST_JUMP_NS else None

    def _both(self) -> tuple[int, int] | None:
        """Wall and steady time of one moment; None where the machine is too busy to tell."""
        for _ in range(TRIES):
            before = self._steady()
            wall = self._wall()
            after = self._steady()
            if after - before < STRETCH_NS:
                return wall, after
        return None
