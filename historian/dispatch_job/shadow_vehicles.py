"""Vehicles under the rule: each takes what the real one took, no more and no less, but at once.

Nothing has to be known of a vehicle: neither its size nor what it was to get. What the real one has taken since it
came is poured into the steps of its stay from the first on, at the connector's full power:

    taken      T = Σ Δ (draw - given / (η_charge η_discharge))     over the steps of the stay, so far
    by rule    draw_k = min(most, (T - Σ before k) / Δ)            most: charge_max_kw, or what was measured above it

So both have served the same vehicles with the same energy at every moment; one that leaves empty, and one that takes
more than was asked, makes neither a saving nor a loss but by when it was charged. In the step in which one came, and
in an island, its draw is as it was measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from gateway.config.dispatch import DispatchSettings, PlannedVehicle
from historian.dispatch_job.measured import Measured


def at_once(
    settings: DispatchSettings, steps: Sequence[Measured], ahead_kwh: Mapping[str, float]
) -> list[dict[str, float]]:
    """Draw of each vehicle in each step, kW. ``ahead_kwh``: what the rule's had taken more before the first step, of
    those whose stay began before it.
    """
    draws = [
        {
            asset.name: -step.powers_kw.get(asset.name, 0.0)
            for asset in settings.assets
            if isinstance(asset, PlannedVehicle)
        }
        for step in steps
    ]
    for vehicle in settings.assets:
        if isinstance(vehicle, PlannedVehicle):
            for since, stay in _stays(vehicle.name, steps).items():
                is_first = steps[0].vehicles.get(vehicle.name) == since
                before = ahead_kwh.get(vehicle.name, 0.0) if is_first else 0.0
                _pour(vehicle, [steps[k].hours for k in stay], [draws[k] for k in stay], before)
    return draws


def ahead_of(
    settings: DispatchSettings,
    steps: Sequence[Measured],
    draws: Sequence[Mapping[str, float]],
    count: int,
    ahead_kwh: Mapping[str, float],
) -> dict[str, float]:
    """``ahead_kwh`` as it is after ``count`` of the steps, of stays that go on then."""
    found = {}
    for vehicle in settings.assets:
        if not isinstance(vehicle, PlannedVehicle) or count >= len(steps):
            continue
        name = vehicle.name
        since = steps[count].vehicles.get(name)
        stay = [k for k in range(count) if since is not None and steps[k].vehicles.get(name) == since]
        if stay:
            found[name] = ahead_kwh.get(name, 0.0) if steps[0].vehicles.get(name) == since else 0.0
            found[name] += sum(
                _taken(vehicle, draws[k][name], steps[k].hours)
                - _taken(vehicle, -steps[k].powers_kw.get(name, 0.0), steps[k].hours)
                for k in stay
            )
    return found


def _stays(name: str, steps: Sequence[Measured]) -> dict[datetime, list[int]]:
    """The steps of each stay beside the utility."""
    found: dict[datetime, list[int]] = {}
    for k, step in enumerate(steps):
        since = step.vehicles.get(name)
        if since is not None and not step.is_island:
            found.setdefault(since, []).append(k)
    return found


def _pour(
    vehicle: PlannedVehicle, hours: Sequence[float], draws: Sequence[dict[str, float]], before_kwh: float
) -> None:
    """In place. Who has given more than it took so far gives that at once."""
    name = vehicle.name
    measured = [draw[name] for draw in draws]
    left = sum(_taken(vehicle, draw, each) for draw, each in zip(measured, hours, strict=True)) - before_kwh
    most = max(vehicle.charge_max_kw, *measured)
    least = min(-vehicle.discharge_max_kw, *measured)
    if left < 0:
        left *= _round_trip(vehicle)
    for draw, each in zip(draws, hours, strict=True):
        draw[name] = min(max(left / each, least), most)
        left -= draw[name] * each


def _taken(vehicle: PlannedVehicle, draw_kw: float, hours: float) -> float:
    """kWh at the socket; what was given is what has to be taken for it again."""
    return draw_kw * hours if draw_kw >= 0 else draw_kw * hours / _round_trip(vehicle)


def _round_trip(vehicle: PlannedVehicle) -> float:
    return vehicle.charge_efficiency_pct * vehicle.discharge_efficiency_pct / 10_000
