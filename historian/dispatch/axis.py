"""The steps of a horizon.

Times are added and taken off as UTC: Python does both on the wall's clock where a zone has summer time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from historian.dispatch.errors import BadSite
from historian.dispatch.model import Floats, Series

MOST_STEPS = 4_000
"""Above two weeks of 5 minutes: a longer horizon is a mistake in its unit."""


@dataclass(frozen=True, slots=True)
class Axis:
    start: datetime
    step: timedelta
    horizon: int

    def __post_init__(self) -> None:
        if self.start.tzinfo is None:
            raise BadSite(f"start is {self.start}: it must be a time with its zone")
        if self.step <= timedelta(0):
            raise BadSite(f"step is {self.step}: it must be above 0")
        if not 1 <= self.horizon <= MOST_STEPS:
            raise BadSite(f"horizon is {self.horizon}: it must be 1 to {MOST_STEPS} steps")

    @property
    def step_h(self) -> float:
        return self.step / timedelta(hours=1)

    @property
    def end(self) -> datetime:
        return self.time(self.horizon)

    def time(self, step: int) -> datetime:
        """When a step begins."""
        return (self.start.astimezone(UTC) + step * self.step).astimezone(self.start.tzinfo)

    def _since_start(self, time: datetime) -> float:
        """In steps."""
        return (time.astimezone(UTC) - self.start.astimezone(UTC)) / self.step

    def first_from(self, time: datetime) -> int:
        """The first step that begins at ``time`` or later; may lie outside the horizon."""
        return math.ceil(self._since_start(time) - 1e-9)  # a nanosecond's rounding is no step

    def first_beyond(self, time: datetime) -> int:
        """The first step that does not end by ``time``; may lie outside the horizon."""
        return math.floor(self._since_start(time) + 1e-9)

    def steps_of(self, duration: timedelta) -> int:
        """Whole steps that last at least so long."""
        return math.ceil(duration / self.step - 1e-9)

    def inside(self, start: datetime, end: datetime) -> slice:
        """The steps that lie wholly between two times."""
        first = min(max(self.first_from(start), 0), self.horizon)
        return slice(first, min(max(self.first_beyond(end), first), self.horizon))

    def touched(self, start: datetime, end: datetime) -> slice:
        """The steps that lie partly between two times."""
        first = min(max(self.first_beyond(start), 0), self.horizon)
        return slice(first, min(max(self.first_from(end), first), self.horizon))

    def hours_left(self, time: datetime) -> float:
        """From the horizon's end to ``time``; 0 if that is within it."""
        return max((time.astimezone(UTC) - self.end.astimezone(UTC)) / timedelta(hours=1), 0.0)

    def series(self, values: Series, name: str, field: str) -> Floats:
        """One value a step. Raises BadSite where the length is another."""
        array = np.asarray(values, dtype=np.float64)
        if array.ndim == 0:
            return np.full(self.horizon, float(array))
        if len(array) < self.horizon:
            raise BadSite(f"{name}: {field} has {len(array)} values for {self.horizon} steps")
        return array[: self.horizon]
