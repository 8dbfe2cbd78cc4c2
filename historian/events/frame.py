"""An event frame, as it is kept and told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SummaryValue:
    """One summary of one tag over a frame. ``value`` is None where there was nothing usable."""

    tag: str
    summary: str
    value: float | None
    status: int


@dataclass(frozen=True, slots=True)
class Frame:
    """A period of ``event``, of one device where ``device`` is not empty; times are UTC ns.

    ``end`` is None while it goes on. Where nobody watched, it began after ``start_from`` and not after ``start``, and
    ended after ``end_from`` and not after ``end``. ``status`` is Good, or Uncertain_DataSubNormal where a time is not
    exact or the condition was Bad meanwhile.
    """

    event: str
    device: str
    start: int
    end: int | None
    start_from: int | None
    end_from: int | None
    status: int
    severity: int = 0
    description: str = ""
    summaries: tuple[SummaryValue, ...] = ()
    id: int = 0

    @property
    def is_open(self) -> bool:
        return self.end is None
