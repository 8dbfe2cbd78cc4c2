"""How good alarms were, by labelled windows: false alarms and missed ones together, as either alone says nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from historian.anomaly.detector import NS_PER_S, Times


@dataclass(frozen=True, slots=True)
class Window:
    """Something was wrong from ``start_ns`` until before ``end_ns``."""

    start_ns: int
    end_ns: int
    what: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """``missed`` are the windows without an alarm; ``delays_s`` of the others are from the start to the first alarm.

    ``false_alarms`` began outside of all windows; ``false_rows`` of ``sound_rows`` were in alarm there.
    """

    windows: int
    missed: tuple[Window, ...]
    delays_s: tuple[float, ...]
    false_alarms: int
    false_rows: int
    sound_rows: int
    sound_days: float

    @property
    def missed_share(self) -> float:
        """Of the windows; NaN without any."""
        return len(self.missed) / self.windows if self.windows else float("nan")

    @property
    def false_share(self) -> float:
        """Of the time without a window: how long an alarm stood there."""
        return self.false_rows / self.sound_rows if self.sound_rows else float("nan")

    @property
    def false_alarms_a_day(self) -> float:
        return self.false_alarms / self.sound_days if self.sound_days > 0 else float("nan")

    @property
    def median_delay_s(self) -> float:
        return float(np.median(self.delays_s)) if self.delays_s else float("nan")

    @property
    def longest_delay_s(self) -> float:
        return max(self.delays_s, default=float("nan"))


def judge(
    times_ns: Times, alarms: NDArray[np.bool_], windows: Sequence[Window], *, grace_s: float = 0.0
) -> Verdict:
    """``alarms`` (rows,) are whether one stood. In the ``grace_s`` after a window nothing is held against it.

    A window is found where an alarm stands in it. What stood before it began is a false alarm, and still finds it:
    look at both rates.
    """
    grace_ns = round(grace_s * NS_PER_S)
    is_sound = np.ones(len(times_ns), np.bool_)
    missed: list[Window] = []
    delays: list[float] = []
    for window in windows:
        is_in = (times_ns >= window.start_ns) & (times_ns < window.end_ns)
        is_sound &= (times_ns < window.start_ns) | (times_ns >= window.end_ns + grace_ns)
        found = times_ns[is_in & alarms]
        if len(found):
            delays.append(float(found[0] - window.start_ns) / NS_PER_S)
        else:
            missed.append(window)
    begins = alarms & ~np.concatenate(([False], alarms[:-1]))
    steps = np.diff(times_ns, append=times_ns[-1:])
    return Verdict(
        windows=len(windows),
        missed=tuple(missed),
        delays_s=tuple(delays),
        false_alarms=int((begins & is_sound).sum()),
        false_rows=int((alarms & is_sound).sum()),
        sound_rows=int(is_sound.sum()),
        sound_days=float(steps[is_sound].sum()) / NS_PER_S / 86_400,
    )
