"""Real time times speed: how many steps are due now, against a schedule that does not drift."""

from __future__ import annotations

from gateway.simulator.plant.nominal import STEP_S

MOST_STEPS = 200  # in one go: 5 ms of computing, then others have their turn on the loop
FORGIVEN_S = 2.0  # wall time behind, as after a suspend: beyond this the time is dropped, not made up for


class Pace:
    """``start_s`` and ``now_s`` are of one monotonic clock; ``speed`` is simulated seconds a second."""

    __slots__ = ("_done", "_speed", "_start_s", "_step_s", "dropped_s")

    def __init__(self, start_s: float, speed: float, step_s: float = STEP_S) -> None:
        self._start_s = start_s
        self._speed = speed
        self._step_s = step_s
        self._done = 0
        self.dropped_s = 0.0  # wall time that was not simulated

    def due(self, now_s: float) -> int:
        """Steps to take now, at most MOST_STEPS; the caller takes them. More than that are due at the next call."""
        behind_s = now_s - self._start_s - self._done * self._step_s / self._speed
        if behind_s > FORGIVEN_S:
            self._start_s += behind_s
            self.dropped_s += behind_s
            return 0
        steps = min(int(behind_s * self._speed / self._step_s + 1e-9), MOST_STEPS)
        self._done += max(steps, 0)
        return max(steps, 0)
