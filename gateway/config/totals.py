"""Totalised tags, as typed values: integrals, counters, hours and starts, by hour, day and month."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class TotalKind(StrEnum):
    """What is summed up."""

    INTEGRAL = "integral"  # of a rate over time: kWh of kW
    COUNTER = "counter"  # of what a device counts, over its rollovers and resets
    RUN_TIME = "run_time"  # while a bool is true
    STARTS = "starts"  # how often a bool became true


class Sign(StrEnum):
    """Which values an integral takes."""

    BOTH = "both"
    POSITIVE = "positive"
    NEGATIVE = "negative"  # as a positive number


class Method(StrEnum):
    """What is between two samples of an integral."""

    STEPPED = "stepped"  # the first one's value
    TRAPEZOID = "trapezoid"  # a straight line


class Period(StrEnum):
    """Of the site's time zone; the month is the calendar's."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class PeriodTags:
    """Image indexes of a period's two tags."""

    period: Period
    this: int
    last: int


@dataclass(frozen=True, slots=True)
class Total:
    """``tag`` is the total since it began, ``of`` what it is of, both image indexes.

    ``numerator`` / ``denominator`` make it from the rate's unit times hours, or the counter's unit. A sample counts
    for ``hold_ns`` at most. ``modulus`` 0: the counter does not roll over. ``max_per_h`` is in the total's unit.
    ``counted`` are the tags of resets, rollovers and increments that were not counted, of a counter.
    """

    name: str
    tag: int
    of: int
    of_name: str
    kind: TotalKind
    unit: str | None
    sign: Sign
    method: Method
    numerator: int
    denominator: int
    hold_ns: int
    modulus: float
    max_per_h: float
    unmeasured: int
    periods: tuple[PeriodTags, ...]
    counted: tuple[int, int, int] | None
