"""When a deferrable is wanted, and how much of it is left: by the hours of the site file, or as its tags tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from gateway.config.dispatch import PlannedDeferrable
from historian.dispatch.axis import Axis
from historian.dispatch_job.prices import window_at

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
"""When a window opened of which only this is told, that it is open."""
CLOSE = 0.2
"""Of a step: what tags tell is a little old, and a window that begins with a step is not to lose it for that."""


@dataclass(frozen=True, slots=True)
class Window:
    """From ``start`` until ``end``; the same moment where it is not wanted. ``done_kwh``: since it opened."""

    start: datetime
    end: datetime
    energy_kwh: float
    done_kwh: float

    @property
    def left_kwh(self) -> float:
        return max(self.energy_kwh - self.done_kwh, 0.0)

    def is_open(self, time: datetime) -> bool:
        return self.start <= time < self.end

    def on(self, axis: Axis, now: datetime, margin: timedelta) -> tuple[datetime, datetime]:
        """On the edges of steps where it is near them, and over ``margin`` earlier, but no shorter than a step. One
        that is open is so for the whole step that has begun.
        """
        start = axis.start if self.is_open(now) else _snapped(self.start, axis)
        end = _snapped(self.end, axis)
        soonest = max(start, axis.start) + axis.step
        return start, max(min(end, max(end - margin, soonest)), start + axis.step)


def window_of(
    planned: PlannedDeferrable, read: Callable[[int], float | None], now: datetime, zone: tzinfo
) -> Window | None:
    """The one that is open or comes next; None where a tag that tells of it is Bad."""
    done = None if planned.done is None else read(planned.done)
    if planned.from_h is not None and planned.to_h is not None and planned.energy_kwh is not None:
        start, end = window_at(now, planned.from_h, planned.to_h, zone)
        return Window(start, end, planned.energy_kwh, 0.0 if done is None or start > now else done)
    assert planned.energy is not None
    assert planned.opens_in is not None
    assert planned.closes_in is not None
    energy, opens, closes = (read(tag) for tag in (planned.energy, planned.opens_in, planned.closes_in))
    if energy is None or opens is None or closes is None or (planned.done is not None and done is None):
        return None
    if closes <= 0.0:
        return Window(now, now, 0.0, 0.0)
    start = now + timedelta(seconds=opens) if opens > 0.0 else LONG_AGO
    return Window(start, now + timedelta(seconds=closes), energy, done or 0.0)


def _snapped(time: datetime, axis: Axis) -> datetime:
    steps = (time - axis.start) / axis.step
    return axis.time(round(steps)) if abs(steps - round(steps)) <= CLOSE else time
