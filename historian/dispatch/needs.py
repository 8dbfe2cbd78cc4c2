"""What follows from the site and the horizon alone: windows, needs and how long things are held."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from historian.dispatch.axis import Axis
from historian.dispatch.model import Deferrable, ElectricVehicle, Floats, Genset, Load, Renewable, Site

PRIORITY_WEIGHT = 5.0
"""A kWh missed at one priority costs this much more than at the one below: above any ratio of efficiencies, so that
what is short goes to the higher, and small enough for the solver's arithmetic."""


def shortfall_cost(site: Site, priority: int) -> float:
    """Of a kWh missed."""
    return site.shortfall_cost_per_kwh * PRIORITY_WEIGHT ** (priority - 1)


def vehicle_window(vehicle: ElectricVehicle, axis: Axis) -> slice:
    """The whole steps within the horizon that it is plugged in."""
    return axis.inside(vehicle.arrival, vehicle.departure)


def vehicle_need_kwh(vehicle: ElectricVehicle, axis: Axis) -> float:
    """What it must hold when it leaves, or when the horizon ends: the rest can still be charged after that.

    0 where it left before the horizon or arrives after it.
    """
    if axis.first_beyond(vehicle.departure) <= 0 or axis.first_from(vehicle.arrival) >= axis.horizon:
        return 0.0
    later = axis.hours_left(vehicle.departure) * vehicle.charge_max_kw * vehicle.charge_efficiency
    return max(vehicle.need_kwh - later, 0.0)


def held_steps(genset: Genset, axis: Axis) -> int:
    """Steps from the start in which it must stay as it is."""
    least = genset.min_up if genset.running else genset.min_down
    return min(max(axis.steps_of(least - genset.unchanged_for), 0), axis.horizon)


def deferrable_need_kwh(load: Deferrable, axis: Axis) -> float:
    """What it must have had when its window or the horizon ends; 0 outside the horizon."""
    if axis.first_beyond(load.end) <= 0 or axis.first_from(load.start) >= axis.horizon:
        return 0.0
    return max(load.energy_kwh - axis.hours_left(load.end) * load.power_max_kw, 0.0)


def block_starts(load: Deferrable, length: int, axis: Axis) -> tuple[range, bool]:
    """The steps a block may begin at within the horizon, and whether it may also wait until after it."""
    last = axis.first_beyond(load.end) - length
    first = max(axis.first_from(load.start), 0)
    return range(first, min(last, axis.horizon - 1) + 1), last >= axis.horizon


@dataclass(frozen=True, slots=True)
class ReserveNeed:
    energy_kwh: Floats
    """To be held at the end of each step."""
    power_kw: Floats
    """To be had from batteries and running gensets during each step."""


def reserve_need(site: Site, axis: Axis) -> ReserveNeed:
    """What a loss of the grid would ask for; beyond the horizon the last step's values hold on."""
    reserve = site.reserve
    assert reserve is not None
    critical, firm = np.zeros(axis.horizon), np.zeros(axis.horizon)
    for asset in site.assets:
        if isinstance(asset, Load) and asset.critical:
            critical += axis.series(asset.power_kw, asset.name, "power_kw")
        elif isinstance(asset, Renewable):
            firm += reserve.renewable_share * axis.series(asset.power_kw, asset.name, "power_kw")
    gensets = sum(asset.power_max_kw for asset in site.assets if isinstance(asset, Genset))
    drain = np.maximum(critical - firm - (gensets if reserve.count_gensets else 0.0), 0.0) * axis.step_h
    ahead = axis.steps_of(reserve.ride_through)
    drain = np.concatenate((drain, np.full(ahead + 1, drain[-1])))
    total = np.concatenate(((0.0,), np.cumsum(drain)))
    first = np.arange(1, axis.horizon + 1)
    power = np.maximum(critical - firm + reserve.margin_kw, 0.0)
    return ReserveNeed(np.maximum(total[first + ahead] - total[first], 0.0), power)
