"""Gensets: run hours and starts, specific fuel, and the line of fuel over power."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from historian.health.series import GAP_S, S_PER_H, TooLittle, column, integral_of, seconds_of

REFUELLED: Final = 0.5  # litres more from row to row than noise explains


@dataclass(frozen=True, slots=True)
class RunRecord:
    """``starts`` are from standing to running; one before the frame begins is not among them.

    ``coverage`` is the share of time that is known.
    """

    hours: float
    starts: int
    longest_h: float
    coverage: float


def run_record(frame: Any, running: str, *, gap_s: float = GAP_S) -> RunRecord:
    """Of a column that is above 0 while it runs. A row holds until the next, at most ``gap_s``.

    After a gap or a missing value a start is counted where it ran after and had stood before. Runs are not joined
    over gaps.
    """
    seconds, values = seconds_of(frame), column(frame, running)
    known = np.isfinite(values)
    runs = known & (values > 0)
    held = np.append(np.diff(seconds), 0.0)
    counts = known & (held <= gap_s)
    told = runs[known]
    starts = int((told[1:] & ~told[:-1]).sum())
    longest = current = 0.0
    for place in range(len(seconds)):
        current = current + held[place] if runs[place] and counts[place] else 0.0
        longest = max(longest, current)
    whole = float(held.sum())
    return RunRecord(
        float(held[runs & counts].sum()) / S_PER_H,
        starts,
        float(longest) / S_PER_H,
        float(held[counts].sum()) / whole if whole > 0 else 0.0,
    )


@dataclass(frozen=True, slots=True)
class SpecificFuel:
    """``litres`` for ``energy_kwh``; in g/kWh with the density of the fuel."""

    l_per_kwh: float
    g_per_kwh: float
    litres: float
    energy_kwh: float


def specific_fuel(
    frame: Any,
    fuel_l: str,
    power: str,
    *,
    g_per_l: float = 835.0,
    least_kwh: float = 10.0,
    gap_s: float = GAP_S,
) -> SpecificFuel:
    """Fuel that left the tank over the energy that it made (ISO 3046-1, here at the terminals).

    ``fuel_l`` is the level in litres; where it rises it was refuelled, and that piece is left out with its energy.
    ``g_per_l``: 835 is the middle of EN 590 at 15 °C (820 to 845). Raises TooLittle below ``least_kwh``.
    """
    seconds, level, kw = seconds_of(frame), column(frame, fuel_l), column(frame, power)
    steps = np.diff(seconds)
    used = level[:-1] - level[1:]
    energy = (kw[1:] + kw[:-1]) / 2.0 * steps / S_PER_H
    counts = np.isfinite(used) & np.isfinite(energy) & (steps <= gap_s) & (used > -REFUELLED)
    litres, kwh = float(used[counts].sum()), float(energy[counts].sum())
    if kwh < least_kwh:
        raise TooLittle(f"{kwh:.3g} kWh: {least_kwh:g} are needed for a specific fuel that means something")
    return SpecificFuel(litres / kwh, litres * g_per_l / kwh, litres, kwh)


@dataclass(frozen=True, slots=True)
class FuelLine:
    """Fuel in l/h at ``power_kw``: ``idle_l_per_h + l_per_kwh x power_kw``."""

    idle_l_per_h: float
    l_per_kwh: float
    pieces: int

    def expected_l_per_kwh(self, power_kw: float) -> float:
        """Specific fuel at this power."""
        return self.l_per_kwh + self.idle_l_per_h / power_kw


def fuel_line(
    frame: Any, fuel_l: str, power: str, running: str, *, piece_s: float = 600.0, gap_s: float = GAP_S
) -> FuelLine:
    """The line of Willans (1888), by least squares over pieces of ``piece_s`` in which it ran throughout.

    A set whose line rises burns more at the same power; specific fuel alone also rises where it runs at lower power.
    Raises TooLittle below three pieces, or where all are of one power.
    """
    seconds, level, kw, runs = (
        seconds_of(frame),
        column(frame, fuel_l),
        column(frame, power),
        column(frame, running),
    )
    powers, rates = [], []
    first = 0
    for last in range(1, len(seconds)):
        refuelled = level[last] - level[last - 1] > REFUELLED
        if (
            not (runs[last] > 0 and runs[last - 1] > 0)
            or refuelled
            or seconds[last] - seconds[last - 1] > gap_s
        ):
            first = last
            continue
        length = seconds[last] - seconds[first]
        if length < piece_s:
            continue
        piece = slice(first, last + 1)
        mean = integral_of(seconds[piece], kw[piece], gap_s)
        used = level[first] - level[last]
        if mean.coverage == 1.0 and np.isfinite(used):
            powers.append(mean.value * S_PER_H / length)
            rates.append(used * S_PER_H / length)
        first = last
    x, y = np.array(powers), np.array(rates)
    if len(x) < 3 or float(np.ptp(x)) <= 0.05 * float(np.abs(x).max()):
        raise TooLittle(f"{len(x)} pieces of {piece_s:g} s: three at different powers are needed")
    slope, idle = np.polyfit(x, y, 1)
    return FuelLine(float(idle), float(slope), len(x))
