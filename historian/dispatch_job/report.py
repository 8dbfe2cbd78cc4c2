"""Plans and simulations as tables, JSON and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.config.dispatch import (
    DispatchSettings,
    PlannedAsset,
    PlannedBattery,
    PlannedDeferrable,
    PlannedGenset,
    PlannedLoad,
    PlannedRenewable,
    PlannedTie,
    PlannedVehicle,
)
from historian.dispatch.plan import Plan
from historian.dispatch_job.simulate import Course
from historian.dispatch_job.solver import Solved
from historian.libraries import load

Floats = NDArray[np.float64]
MINUTE = timedelta(minutes=1)
READY = 0.99
"""Of its energy that a vehicle has to leave with to count as ready."""
_COLUMNS: tuple[tuple[str, type[Any]], ...] = (
    ("tie", PlannedTie),
    ("battery", PlannedBattery),
    ("vehicles", PlannedVehicle),
    ("gensets", PlannedGenset),
    ("sun, wind", PlannedRenewable),
    ("loads", PlannedLoad),
    ("deferrable", PlannedDeferrable),
)


def plan_table(solved: Solved, settings: DispatchSettings, zone: tzinfo, steps_a_row: int) -> str:
    """Means by rows, and what it costs beside the naive rule."""
    plan = solved.plan
    sums = _sums(plan.powers_kw, settings)
    soc = _charge(plan, settings)
    form = "%Y-%m-%d %H:%M" if plan.step >= MINUTE else "%m-%d %H:%M:%S  "
    lines = [f"{'time':<18}" + "".join(f"{name + ' kW':>15}" for name in sums) + f"{'charge %':>10}"]
    for first in range(0, plan.horizon, steps_a_row):
        time = plan.times[first].astimezone(zone)
        row = slice(first, first + steps_a_row)
        cells = "".join(f"{round(float(values[row].mean()), 1) + 0.0:>15.1f}" for values in sums.values())
        lines.append(f"{time:{form}}  {cells}{soc[row][-1]:>10.1f}")
    costs = plan.costs
    lines.append("")
    lines.append(
        f"{plan.status.value}, gap {plan.gap:.2%}, {plan.solver_s:.2f} s; costs {costs.money:.2f} "
        f"{settings.currency}, by the naive rule {solved.naive_cost:.2f}: saves {solved.naive_cost - costs.money:.2f}"
    )
    lines += [f"{name} lacks {kwh:.1f} kWh when it leaves" for name, kwh in plan.shortfall_kwh.items()]
    return "\n".join(lines)


def plan_json(solved: Solved, settings: DispatchSettings) -> dict[str, Any]:
    plan = solved.plan
    return {
        "status": plan.status.value,
        "start": plan.start.astimezone(UTC).isoformat(),
        "step_s": plan.step.total_seconds(),
        "gap": plan.gap,
        "solver_s": plan.solver_s,
        "currency": settings.currency,
        "costs": asdict(plan.costs),
        "naive_cost": solved.naive_cost,
        "powers_kw": {name: values.tolist() for name, values in plan.powers_kw.items()},
        "energies_kwh": {name: values.tolist() for name, values in plan.energies_kwh.items()},
        "shortfall_kwh": dict(plan.shortfall_kwh),
    }


def simulation_table(course: Course, settings: DispatchSettings) -> str:
    width = max((len(day.day) for day in course.days), default=3) + 2
    heads = "".join(f"{head:>10}" for head in ("cost", "naive", "saving", "peak kW", "naive kW"))
    lines = [f"{'day':<{width}}{heads}  ({settings.currency})"]
    for day in course.days:
        lines.append(
            f"{day.day:<{width}}{day.cost:>10.2f}{day.naive_cost:>10.2f}{day.saving:>10.2f}"
            f"{day.peak_kw:>10.1f}{day.naive_peak_kw:>10.1f}"
        )
    saving = sum(day.saving for day in course.days)
    lines.append(
        f"saved {saving:.2f} {settings.currency} in {len(course.times)} steps of {_words(settings.step)}"
    )
    if course.departures:
        ready = sum(departure.share >= READY for departure in course.departures)
        least = min(departure.share for departure in course.departures)
        lines.append(
            f"vehicles: {len(course.departures)} left, {ready} with {READY:.0%} of their energy; least {least:.0%}"
        )
    if course.over_kw > 0.05:
        lines.append(f"import was above its limit by up to {course.over_kw:.1f} kW")
    if course.without_plan:
        lines.append(f"{course.without_plan} steps without a new plan: {course.words}")
    return "\n".join(lines)


def simulation_json(course: Course, settings: DispatchSettings) -> dict[str, Any]:
    return {
        "currency": settings.currency,
        "days": [{**asdict(day), "saving": day.saving} for day in course.days],
        "departures": [
            {"name": each.name, "at": each.at.isoformat(), "share": each.share} for each in course.departures
        ],
        "over_kw": course.over_kw,
        "without_plan": course.without_plan,
        "times": [time.astimezone(UTC).isoformat() for time in course.times],
        "powers_kw": course.powers_kw,
    }


def plot_plan(plan: Plan, settings: DispatchSettings, zone: tzinfo, path: Path) -> None:
    """Raises ImportError where matplotlib is not installed, ValueError for an ending that it does not know."""
    _plot(plan.times, _sums(plan.powers_kw, settings), _charge(plan, settings), zone, path)


def plot_course(course: Course, settings: DispatchSettings, zone: tzinfo, path: Path) -> None:
    powers = {
        name: np.array(values)
        for name, values in course.powers_kw.items()
        if len(values) == len(course.times)
    }
    vehicles = [asset.name for asset in settings.assets if isinstance(asset, PlannedVehicle)]
    powers = {name: values for name, values in powers.items() if name not in vehicles}
    batteries = [asset for asset in settings.assets if isinstance(asset, PlannedBattery)]
    charge = np.zeros(len(course.times))
    if batteries:
        charge = np.mean([course.soc_pct[asset.name] for asset in batteries], axis=0)
    _plot(course.times, _sums(powers, settings), charge, zone, path)


def _sums(powers: Mapping[str, Floats], settings: DispatchSettings) -> dict[str, Floats]:
    """By kind, of those that there are."""
    found: dict[str, Floats] = {}
    for name, kind in _COLUMNS:
        of: list[PlannedAsset] = [asset for asset in settings.assets if isinstance(asset, kind)]
        values = [np.asarray(powers[asset.name]) for asset in of if asset.name in powers]
        if values:
            found[name] = np.sum(values, axis=0)
    return found


def _charge(plan: Plan, settings: DispatchSettings) -> Floats:
    """Of all batteries together, %."""
    batteries = [
        asset
        for asset in settings.assets
        if isinstance(asset, PlannedBattery) and asset.name in plan.energies_kwh
    ]
    if not batteries:
        return np.full(plan.horizon, np.nan)
    held = np.sum([plan.energies_kwh[asset.name] for asset in batteries], axis=0)
    return np.asarray(100 * held / sum(asset.capacity_kwh for asset in batteries))


def _plot(
    times: Sequence[datetime], powers: Mapping[str, Floats], charge: Floats, zone: tzinfo, path: Path
) -> None:
    matplotlib = load("matplotlib", "a picture of a plan")
    matplotlib.use("Agg")
    pyplot = load("matplotlib.pyplot", "a picture of a plan")
    figure, (above, below) = pyplot.subplots(2, 1, sharex=True, figsize=(12, 7), height_ratios=(3, 1))
    at = [time.astimezone(zone) for time in times]
    for name, values in powers.items():
        above.step(at, values, where="post", label=name, lw=1.2)
    above.set_ylabel("kW")
    above.axhline(0.0, color="black", lw=0.5)
    above.legend(ncols=4, fontsize=8)
    below.step(at, charge, where="post")
    below.set_ylabel("charge, %")
    figure.autofmt_xdate()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _words(step: timedelta) -> str:
    return f"{step / MINUTE:g} min" if step >= MINUTE else f"{step.total_seconds():g} s"
