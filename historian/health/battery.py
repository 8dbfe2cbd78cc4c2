"""Batteries: capacity and state of health, resistance, imbalance of cells, and when 80 % is reached.

Discharging is positive, as everywhere (power feeds the bus).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np

from historian.health.series import GAP_S, Floats, TooLittle, column, integral_of, seconds_of
from historian.libraries import load

END_PCT: Final = 80.0  # of nominal: what most warranties call the end of life
_DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Capacity:
    """``value`` in the charge column's unit times hours (kWh of kW, Ah of A), median of ``swings`` estimates.

    ``spread`` is the half of what the middle half of them spans. ``health_pct`` is of nominal.
    """

    value: float
    spread: float
    swings: int
    health_pct: float


def capacity(
    frame: Any,
    flow: str,
    state_of_charge: str,
    nominal: float,
    *,
    least_swing_pct: float = 20.0,
    efficiency: float = 1.0,
    gap_s: float = GAP_S,
) -> Capacity:
    """Charge that went through, over the change of the state of charge: Q = ∫ i dt / Δz.

    Each swing is a stretch in one direction of at least ``least_swing_pct`` points; wider ones say more, as an error
    of e points of the state of charge is one of e / swing of the capacity. ``flow`` is a current or a power at the
    terminals; of a power, ``efficiency`` is that of one way (of charging energy so much is stored; of what is taken
    from the cells so much comes out). The state of charge must not itself be counted from nominal capacity, or its
    error comes back (Plett, Battery Management Systems vol. II, 2016, ch. 4). Raises TooLittle.
    """
    seconds, through, charge = seconds_of(frame), column(frame, flow), column(frame, state_of_charge)
    found: list[float] = []
    for first, last in _swings(charge, least_swing_pct):
        piece = slice(first, last + 1)
        gone = integral_of(seconds[piece], through[piece], gap_s)
        moved_pct = charge[first] - charge[last]
        if gone.coverage < 1.0 or gone.value * moved_pct <= 0:
            continue
        inside = gone.value / efficiency if gone.value > 0 else gone.value * efficiency
        found.append(100.0 * inside / moved_pct)
    return _capacity(
        found, nominal, f"no swing of {least_swing_pct:g} points of {state_of_charge!r} without a gap"
    )


def counted_capacity(
    frame: Any,
    charged: str,
    discharged: str,
    state_of_charge: str,
    nominal: float,
    *,
    least_swing_pct: float = 20.0,
    efficiency: float = 1.0,
) -> Capacity:
    """`capacity` by the battery's own counters of energy at its terminals, in and out: no gap between rows harms it.

    A counter that went back, as one that was set to 0, or is unknown at an end, takes its swing out. Raises
    TooLittle.
    """
    charge, into, out = (column(frame, name) for name in (state_of_charge, charged, discharged))
    found: list[float] = []
    for first, last in _swings(charge, least_swing_pct):
        moved_pct = charge[first] - charge[last]
        gone = (out[last] - out[first]) / efficiency - (into[last] - into[first]) * efficiency
        went_back = any(np.nanmin(np.diff(each[first : last + 1]), initial=0.0) < 0 for each in (into, out))
        if np.isfinite(gone) and gone * moved_pct > 0 and not went_back:
            found.append(100.0 * gone / moved_pct)
    return _capacity(
        found, nominal, f"no swing of {least_swing_pct:g} points of {state_of_charge!r} was counted"
    )


def _capacity(found: list[float], nominal: float, otherwise: str) -> Capacity:
    if not found:
        raise TooLittle(otherwise)
    value = float(np.median(found))
    low, high = np.quantile(found, (0.25, 0.75))
    return Capacity(value, float(high - low) / 2.0, len(found), 100.0 * value / nominal)


def _swings(charge: Floats, least_pct: float) -> list[tuple[int, int]]:
    """First and last row of stretches from one turning point to the next, turns below 1 point not counted."""
    rows = np.flatnonzero(np.isfinite(charge)).tolist()
    found: list[tuple[int, int]] = []
    if not rows:
        return found
    start = low = high = rows[0]
    direction = 0
    for row in rows[1:]:
        low = row if charge[row] <= charge[low] else low
        high = row if charge[row] >= charge[high] else high
        if direction >= 0 and charge[high] - charge[row] > 1.0:
            if direction > 0:
                found.append((start, high))
            start, direction, low = high, -1, row
        elif direction <= 0 and charge[row] - charge[low] > 1.0:
            if direction < 0:
                found.append((start, low))
            start, direction, high = low, 1, row
    if direction:
        found.append((start, high if direction > 0 else low))
    return [(first, last) for first, last in found if abs(charge[last] - charge[first]) >= least_pct]


def throughput(frame: Any, power: str, nominal: float, *, gap_s: float = GAP_S) -> float:
    """Equivalent full cycles: all energy both ways, over twice the nominal one."""
    seconds, values = seconds_of(frame), column(frame, power)
    return integral_of(seconds, np.abs(values), gap_s).value / (2.0 * nominal)


@dataclass(frozen=True, slots=True)
class Resistance:
    """In ohm, median of ``steps`` current steps; ``spread`` as of Capacity."""

    ohm: float
    spread: float
    steps: int


def resistance(
    frame: Any, current: str, voltage: str, *, least_step_a: float, within_s: float = 2.0
) -> Resistance:
    """From steps of the current: R = -ΔU / ΔI, discharging positive (the pulse of ISO 12405-4 and IEC 62660-1).

    From a row to the next, not over ``within_s`` apart. The longer it takes, the more of the slow parts of the
    resistance are in it: compare only what was taken alike. Raises TooLittle.
    """
    seconds, amperes, volts = seconds_of(frame), column(frame, current), column(frame, voltage)
    steps_a, steps_v = np.diff(amperes), np.diff(volts)
    counts = (np.diff(seconds) <= within_s) & (np.abs(steps_a) >= least_step_a) & np.isfinite(steps_v)
    if not counts.any():
        raise TooLittle(f"no step of {current!r} of {least_step_a:g} A within {within_s:g} s")
    found = -steps_v[counts] / steps_a[counts]
    low, high = np.quantile(found, (0.25, 0.75))
    return Resistance(float(np.median(found)), float(high - low) / 2.0, len(found))


@dataclass(frozen=True, slots=True)
class Imbalance:
    """Voltage between the highest and the lowest cell, medians; ``growth_mv_a_month`` of the one at rest."""

    rest_mv: float
    loaded_mv: float
    growth_mv_a_month: float


def imbalance(frame: Any, lowest: str, highest: str, current: str, *, rest_a: float) -> Imbalance:
    """At rest cells differ in charge; what comes on top under load is of their resistances.

    Growth is the median of daily medians' slopes (Theil 1950, Sen 1968); NaN below three days. Raises TooLittle.
    """
    seconds = seconds_of(frame)
    apart_mv = 1000.0 * (column(frame, highest) - column(frame, lowest))
    amperes = column(frame, current)
    is_known = np.isfinite(apart_mv) & np.isfinite(amperes)
    at_rest = is_known & (np.abs(amperes) <= rest_a)
    if not at_rest.any():
        raise TooLittle(f"{current!r} was never within {rest_a:g} A")
    loaded = is_known & ~at_rest
    days = seconds // _DAY_S
    by_day = [(day, float(np.median(apart_mv[at_rest & (days == day)]))) for day in np.unique(days[at_rest])]
    slopes = [
        (later - earlier) / (after - before)
        for place, (before, earlier) in enumerate(by_day)
        for after, later in by_day[place + 1 :]
    ]
    return Imbalance(
        float(np.median(apart_mv[at_rest])),
        float(np.median(apart_mv[loaded])) if loaded.any() else float("nan"),
        30.4375 * float(np.median(slopes)) if len(by_day) >= 3 else float("nan"),
    )


@dataclass(frozen=True, slots=True)
class EndOfLife:
    """When a health that goes on falling as it did reaches ``at_pct``; None: not to be told, it does not fall.

    ``earliest`` and ``latest`` by the 95 % confidence interval of the line; ``latest`` may be never (None).
    """

    at_pct: float
    date: datetime | None
    earliest: datetime | None
    latest: datetime | None
    loss_pct_a_year: float


def date_of(frame: Any, health: str, at_pct: float = END_PCT) -> EndOfLife:
    """By a straight line through the states of health over time (least squares; its interval by Student's t:
    Draper & Smith, Applied Regression Analysis, 3rd ed., ch. 1). Ageing that bends at a knee ends earlier.
    Raises TooLittle below five values or 30 days.
    """
    seconds, values = seconds_of(frame), column(frame, health)
    is_known = np.isfinite(values)
    days, pct = seconds[is_known] / _DAY_S, values[is_known]
    if len(days) < 5 or days[-1] - days[0] < 30:
        raise TooLittle(f"{len(days)} values of {health!r}: five over 30 days are needed")
    stats = load("scipy.stats", "a confidence interval")
    middle = float(days.mean())
    squares = float(((days - middle) ** 2).sum())
    slope = float(((days - middle) * (pct - pct.mean())).sum()) / squares
    left = pct - pct.mean() - slope * (days - middle)
    error = float(np.sqrt((left * left).sum() / (len(days) - 2)))
    wide = float(stats.t.isf(0.025, len(days) - 2)) * error
    begin = frame.index[0].tz_convert("UTC").to_pydatetime().astimezone(UTC)

    def reached(sign: float) -> datetime | None:
        """Where the line, so many half-widths of its interval off, comes below; looked for over 100 years."""
        ahead = np.arange(days[-1], days[-1] + 36_525.0)
        band = wide * np.sqrt(1.0 / len(days) + (ahead - middle) ** 2 / squares)
        below = np.flatnonzero(pct.mean() + slope * (ahead - middle) + sign * band <= at_pct)
        return begin + timedelta(days=float(ahead[below[0]])) if len(below) else None

    date = reached(0.0) if slope < 0 else None
    return EndOfLife(
        at_pct, date, reached(-1.0) if date else None, reached(1.0) if date else None, -slope * 365.25
    )
