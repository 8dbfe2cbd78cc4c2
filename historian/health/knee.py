"""Where a falling health bends down: the knee of Bacon and Watts, with a test of whether there is one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np

from historian.health.series import Floats, TooLittle, column, seconds_of
from historian.libraries import load

LEAST_VALUES: Final = 12  # four parameters, and as many again to each side of the knee
LEAST_SIDE: Final = 4
LEAST_DAYS: Final = 60.0
LEAST_RATIO: Final = 1.5  # so much steeper after it than before, or it is no knee
ALPHA: Final = 0.01
MOST_CANDIDATES: Final = 200
_DAY_S: Final = 86_400.0
_YEAR_D: Final = 365.25


@dataclass(frozen=True, slots=True)
class Knee:
    """``date`` is None where there is none. ``earliest`` and ``latest``: 95 % of it; losses in percent a year.

    ``p`` is how likely a straight line gives as much of a bend by chance.
    """

    date: datetime | None
    earliest: datetime | None
    latest: datetime | None
    loss_before_pct_a_year: float
    loss_after_pct_a_year: float
    p: float


def knee(frame: Any, health: str) -> Knee:
    """By two straight lines that meet: y = a0 + a1 (x - x1) + a2 |x - x1|, least squares, x1 by search.

    This is the model of Bacon & Watts (Biometrika 58, 1971) with its transition made sharp, which Fermin-Cueto et al.
    (Energy and AI 1, 2020, 100006) use for the knees of lithium-ion cells. It is a knee where an F test against one
    straight line says so with ``ALPHA``, held against every x1 that was tried (Bonferroni: the search itself finds
    bends in noise), and the health falls 1.5 times as fast after it. Its band: all x1 whose sum of squares the F
    distribution takes for as good. Raises TooLittle below 12 values or 60 days.
    """
    seconds, values = seconds_of(frame), column(frame, health)
    is_known = np.isfinite(values)
    days, pct = seconds[is_known] / _DAY_S, values[is_known]
    span = float(days[-1] - days[0]) if len(days) else 0.0
    if len(days) < LEAST_VALUES or span < LEAST_DAYS:
        raise TooLittle(
            f"{len(days)} values of {health!r} over {span:.0f} days: {LEAST_VALUES} over {LEAST_DAYS:.0f} are needed"
        )
    stats = load("scipy.stats", "a test of a knee")
    tried = _candidates(days)
    fits = [_bent(days, pct, place) for place in tried.tolist()]
    squares = np.array([fit[1] for fit in fits])
    best = int(squares.argmin())
    (_, slope, bend), least = fits[best]
    before, after = slope - bend, slope + bend
    free = len(days) - 4
    straight = _straight(days, pct)
    # What is left to explain is never less than rounding, or a perfect line has a knee anywhere.
    least = max(float(least), 1e-18 * float((pct * pct).sum()))
    ratio = max(straight - least, 0.0) / 2.0 / (least / free)
    p = min(1.0, len(tried) * float(stats.f.sf(ratio, 2, free)))
    is_knee = p < ALPHA and after < 0 and after < LEAST_RATIO * min(before, 0.0) and bend < 0
    start = frame.index[0].tz_convert("UTC").to_pydatetime()

    def date(day: float) -> datetime | None:
        found: datetime = start + timedelta(days=float(day))
        return found if is_knee else None

    as_good = tried[squares <= least * (1.0 + float(stats.f.isf(0.05, 1, free)) / free)]
    return Knee(
        date(tried[best]),
        date(as_good.min()),
        date(as_good.max()),
        -before * _YEAR_D,
        -after * _YEAR_D,
        p,
    )


def _candidates(days: Floats) -> Floats:
    """Between the values, with some to each side."""
    first, last = days[LEAST_SIDE - 1], days[-LEAST_SIDE]
    return np.linspace(first, last, min(MOST_CANDIDATES, len(days)))


def _bent(days: Floats, pct: Floats, at: float) -> tuple[tuple[float, float, float], float]:
    """The three coefficients, and the sum of squares that they leave."""
    away = days - at
    design = np.column_stack((np.ones(len(days)), away, np.abs(away)))
    found = np.linalg.lstsq(design, pct, rcond=None)[0]
    left = pct - design @ found
    return (float(found[0]), float(found[1]), float(found[2])), float(left @ left)


def _straight(days: Floats, pct: Floats) -> float:
    middle = days - days.mean()
    left = pct - pct.mean() - float(middle @ pct) / float(middle @ middle) * middle
    return float(left @ left)
