"""From scores to alarms: neither a single odd value nor one that flickers about the limit wakes anybody twice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from historian.anomaly.detector import ALARM, NS_PER_S, Floats


@dataclass(frozen=True, slots=True)
class AlarmSettings:
    """A score above ``threshold`` for ``hold_off_s`` raises; one at or below it for ``clear_s`` clears.

    Within ``refractory_s`` of its end an alarm is not raised again. A missing score neither raises nor clears.
    """

    threshold: float = ALARM
    hold_off_s: float = 0.0
    clear_s: float = 0.0
    refractory_s: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ValueError(f"a threshold of {self.threshold} does not lie between 0 and 1")
        if min(self.hold_off_s, self.clear_s, self.refractory_s) < 0:
            raise ValueError("hold_off_s, clear_s and refractory_s are 0 or more")


class Alarms:
    """The alarms of ``count`` scores, all at once."""

    def __init__(self, count: int, settings: AlarmSettings) -> None:
        self._settings = settings
        self._hold_off_ns, self._clear_ns, self._refractory_ns = (
            round(seconds * NS_PER_S)
            for seconds in (settings.hold_off_s, settings.clear_s, settings.refractory_s)
        )
        self.is_active = np.zeros(count, np.bool_)
        self._was_high = np.zeros(count, np.bool_)
        self._since = np.zeros(count, np.int64)  # of being above the threshold, or not
        self._ended = np.full(count, np.iinfo(np.int64).min // 2, np.int64)

    def set_clock(self, time_ns: int) -> None:
        """The clock was set back to this time: hold-offs begin anew, and what stands does so on."""
        self._since[:] = time_ns
        self._ended[:] = np.iinfo(np.int64).min // 2

    def push(self, time_ns: int, scores: Floats) -> NDArray[np.bool_]:
        """Which alarms stand, by the scores of this time."""
        is_high = np.where(np.isnan(scores), self._was_high, scores > self._settings.threshold)
        self._since[is_high != self._was_high] = time_ns
        self._was_high = is_high
        for_ns = time_ns - self._since
        is_told = ~np.isnan(scores)
        may_rise = time_ns - self._ended >= self._refractory_ns
        rises = is_told & ~self.is_active & is_high & (for_ns >= self._hold_off_ns) & may_rise
        ends = is_told & self.is_active & ~is_high & (for_ns >= self._clear_ns)
        self._ended[ends] = time_ns
        self.is_active = (self.is_active | rises) & ~ends
        return self.is_active.copy()
