"""Events, who takes part in them, and who left."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import IntEnum

from historian.demand_response.errors import BadEvent


class Level(IntEnum):
    """As OpenADR 2.0b's SIMPLE signal counts."""

    NORMAL = 0
    MODERATE = 1
    HIGH = 2
    SPECIAL = 3


@dataclass(frozen=True, slots=True)
class OptOut:
    """A participant leaves; what it does from then on is not asked for, nor counted."""

    participant: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Event:
    """A call for less demand."""

    name: str
    start: datetime
    duration: timedelta
    level: Level = Level.MODERATE
    announced: datetime | None = None
    """When participants were told; None: not known."""
    opt_outs: tuple[OptOut, ...] = ()

    def __post_init__(self) -> None:
        if not self.name:
            raise BadEvent("an event's name is empty: give it one")
        for field_name in ("start", "announced"):
            time = getattr(self, field_name)
            if time is not None and time.tzinfo is None:
                raise BadEvent(f"event {self.name}: {field_name} is {time}: it must be a time with its zone")
        if self.duration <= timedelta(0):
            raise BadEvent(f"event {self.name}: duration is {self.duration}: it must be above 0")
        if self.announced is not None and self.announced > self.start:
            raise BadEvent(
                f"event {self.name}: announced is {self.announced}: it must not be after start, {self.start}"
            )
        twice = len(self.opt_outs) - len({each.participant for each in self.opt_outs})
        if twice:
            raise BadEvent(f"event {self.name}: a participant opts out more than once")
        for each in self.opt_outs:
            if each.at.tzinfo is None:
                raise BadEvent(
                    f"event {self.name}: {each.participant} opts out at {each.at}: it must be a time with its zone"
                )

    @property
    def end(self) -> datetime:
        # Not on the wall's clock, by which Python adds: an hour is one on the day that the clocks change too.
        return (self.start.astimezone(UTC) + self.duration).astimezone(self.start.tzinfo)

    def opt_out(self, participant: str, at: datetime) -> Event:
        """The event after a participant has left. Raises BadEvent where it is over, or it has left before."""
        if at >= self.end:
            raise BadEvent(f"event {self.name}: {participant} opts out at {at}: it is over since {self.end}")
        return replace(self, opt_outs=(*self.opt_outs, OptOut(participant, at)))

    def counted_until(self, participant: str) -> datetime:
        """The end, or when it left; the start where it left before."""
        for each in self.opt_outs:
            if each.participant == participant:
                return max(min(each.at, self.end), self.start)
        return self.end

    def asks(self, participant: str) -> bool:
        """Whether it took part for any time."""
        return self.level > Level.NORMAL and self.counted_until(participant) > self.start


@dataclass(frozen=True, slots=True)
class Participant:
    """A meter by its column, and by how much it has promised to go down at each level."""

    name: str
    committed_kw: float | Mapping[Level, float] = field(default=0.0)

    def __post_init__(self) -> None:
        promised = self.committed_kw
        values = list(promised.values()) if isinstance(promised, Mapping) else [promised]
        for value in values:
            if not math.isfinite(value) or value < 0:
                raise BadEvent(
                    f"participant {self.name}: committed_kw is {value}: it must be finite, 0 or more"
                )

    def promised_kw(self, level: Level) -> float:
        """0 where nothing was promised at that level."""
        if isinstance(self.committed_kw, Mapping):
            return self.committed_kw.get(level, 0.0)
        return self.committed_kw if level > Level.NORMAL else 0.0
