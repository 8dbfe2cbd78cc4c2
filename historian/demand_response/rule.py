"""By which rule a baseline is made.

The defaults are after the ten-in-ten methodology of the California ISO: the mean of the ten most recent similar
days without an event, scaled by the day itself by at most 20 % (ISO Baseline Accuracy Work Group, proposal of
2017-04-04, section 1). The Australian market operator says of its own four baselines that they are after the same
ten of ten, and parts business days from others as here (AEMO, Baseline Methodology Register). The rest is meant to
be that of the California tariff, section 4.13.4, whose text was looked for and not found, so that it is unchecked:
at most 45 days back and at least five; four days, and at least four, where the event is on a weekend or holiday;
the second, third and fourth hour before the event for the scaling. Others differ: Consumers Energy, under MISO,
takes ten days and the three hours right before the event (``begins=timedelta(hours=3), ends=timedelta(0)``), also
within 20 %.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum

from historian.demand_response.errors import BadEvent


class Scaling(Enum):
    RATIO = "ratio"
    DIFFERENCE = "difference"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Adjustment:
    """How the day itself moves a baseline: by what was measured from ``begins`` to ``ends`` before the event."""

    scaling: Scaling = Scaling.RATIO
    begins: timedelta = timedelta(hours=4)
    ends: timedelta = timedelta(hours=1)
    cap: float = 0.20
    """As a share: it moves a baseline by no more, so that demand raised before an event pays no more than this."""
    before_notice: bool = False
    """The window moves back to end no later than the announcement, so that nothing done in its knowledge counts."""

    def __post_init__(self) -> None:
        if not self.begins > self.ends >= timedelta(0):
            raise BadEvent(
                f"adjustment: begins {self.begins} and ends {self.ends} before the event:"
                " the first must be above the second, and that 0 or more"
            )
        if not 0 <= self.cap < 1:
            raise BadEvent(f"adjustment: cap is {self.cap}: it must be 0 or more and below 1")


@dataclass(frozen=True, slots=True)
class _Days:
    look_back: timedelta = timedelta(days=45)
    adjustment: Adjustment = field(default_factory=Adjustment)
    least: int = 5
    """Of similar days; with fewer there is no baseline."""
    least_other: int = 4
    """The same where the event is on a weekend or holiday."""

    def __post_init__(self) -> None:
        if self.look_back < timedelta(days=1):
            raise BadEvent(f"look_back is {self.look_back}: it must be a day or more")
        for name in ("least", "least_other"):
            if getattr(self, name) < 1:
                raise BadEvent(f"{name} is {getattr(self, name)}: it must be 1 or more")


@dataclass(frozen=True, slots=True)
class DayMatching(_Days):
    """The mean of similar days: ``days`` of the most recent ``of``, those with the most demand."""

    days: int = 10
    of: int = 10
    days_other: int = 4
    of_other: int = 4

    def __post_init__(self) -> None:
        _Days.__post_init__(self)  # super() finds no cell in a slotted dataclass before Python 3.14
        for least, days, of in (
            (self.least, self.days, self.of),
            (self.least_other, self.days_other, self.of_other),
        ):
            if not least <= days <= of:
                raise BadEvent(
                    f"day matching: at least {least}, {days} of {of} days: each must be at least the one before"
                )


@dataclass(frozen=True, slots=True)
class Regression(_Days):
    """Least squares over the similar days: a level for each interval of the day, and the weather's columns.

    Time of week and temperature (Mathieu, Price, Kiliccote, Piette: Quantifying changes in building electricity
    use, IEEE Transactions on Smart Grid 2, 2011), with a week's days as business days and others.
    """


Rule = DayMatching | Regression

TEN_OF_TEN = DayMatching()
HIGH_FIVE_OF_TEN = DayMatching(days=5, days_other=2, of_other=3, least_other=2)
"""The five of ten days (two of three on weekends and holidays) with the most demand in the event's hours."""
REGRESSION = Regression()
