"""The rule that a plan has to beat: sun to load, then to store, then to grid; what is short from store, then grid.

Vehicles charge at full power from the moment they arrive, deferrables run when their window opens. It looks at no
tariff, group, reserve or event; what it cannot place or serve is the plan's ``imbalance_kw``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from historian.dispatch.axis import Axis
from historian.dispatch.model import (
    Battery,
    Deferrable,
    ElectricVehicle,
    Floats,
    Genset,
    GridTie,
    Load,
    Renewable,
    Site,
)
from historian.dispatch.needs import block_starts, held_steps, vehicle_need_kwh, vehicle_window
from historian.dispatch.plan import SMALL, Plan, Status, settle


@dataclass(slots=True)
class _Engine:
    """A genset between steps: a start or stop is allowed once it has been unchanged for long enough."""

    genset: Genset
    is_on: bool
    held: int
    """Steps for which it may not change."""


def naive(site: Site, start: datetime, step: timedelta, horizon: int) -> Plan:
    """The same kind of plan as ``solve`` gives. Raises BadSite where series or times do not fit."""
    began = time.perf_counter()
    axis = Axis(start, step, horizon)
    powers: dict[str, Floats] = {asset.name: np.zeros(horizon) for asset in site.assets}
    running: dict[str, NDArray[np.bool_]] = {
        asset.name: np.zeros(horizon, dtype=bool) for asset in site.assets if isinstance(asset, Genset)
    }
    lack = _fixed(site, axis, powers)
    stores = {asset.name: asset.energy_kwh for asset in site.assets if isinstance(asset, Battery)}
    engines = [
        _Engine(asset, asset.running, held_steps(asset, axis))
        for asset in site.assets
        if isinstance(asset, Genset)
    ]
    for k in range(horizon):
        lack[k] = _one_step(site, axis, k, float(lack[k]), powers, running, stores, engines)
    settled = settle(site, axis, powers, running)
    reserve = settled.reserve_short or (None, None)
    return Plan(
        *(start, step, horizon, Status.RULE),
        powers_kw=powers,
        energies_kwh=settled.energies_kwh,
        running=running,
        shortfall_kwh=settled.shortfall_kwh,
        reserve_short_kwh=reserve[0],
        reserve_short_kw=reserve[1],
        opted_out=settled.opted_out,
        imbalance_kw=lack,
        costs=settled.costs,
        solver_s=time.perf_counter() - began,
    )


def _fixed(site: Site, axis: Axis, powers: dict[str, Floats]) -> Floats:
    """Demand less forecast of sun and wind, and what needs no decision written into ``powers``."""
    lack = np.zeros(axis.horizon)
    for asset in site.assets:
        match asset:
            case Load():
                powers[asset.name] = axis.series(asset.power_kw, asset.name, "power_kw").copy()
                lack += powers[asset.name]
            case Renewable():
                powers[asset.name] = axis.series(asset.power_kw, asset.name, "power_kw").copy()
                lack -= powers[asset.name]
            case Deferrable():
                powers[asset.name] = _at_once(asset, axis)
                lack += powers[asset.name]
            case ElectricVehicle():
                powers[asset.name] = -_charged(asset, axis)
                lack -= powers[asset.name]
            case Battery() | Genset() | GridTie():
                pass  # they follow what is short
    return lack


def _at_once(load: Deferrable, axis: Axis) -> Floats:
    power = np.zeros(axis.horizon)
    if load.block_kw is not None:
        block = np.asarray(load.block_kw)
        starts, _ = block_starts(load, len(block), axis)
        if len(starts) and axis.first_beyond(load.end) > 0:
            power[starts[0] : starts[0] + len(block)] = block[: axis.horizon - starts[0]]
        return power
    window = axis.inside(load.start, load.end)
    return _poured(power, window, load.energy_kwh / axis.step_h, load.power_max_kw)


def _charged(vehicle: ElectricVehicle, axis: Axis) -> Floats:
    power = np.zeros(axis.horizon)
    if vehicle_need_kwh(vehicle, axis) <= 0 and vehicle.departure <= axis.start:
        return power
    missing = max(vehicle.need_kwh - vehicle.energy_kwh, 0.0) / vehicle.charge_efficiency
    return _poured(power, vehicle_window(vehicle, axis), missing / axis.step_h, vehicle.charge_max_kw)


def _poured(power: Floats, window: slice, total: float, most: float) -> Floats:
    """``total`` (a sum over steps) as early as it goes."""
    for k in range(window.start, window.stop):
        power[k] = min(most, total)
        total -= float(power[k])
    return power


def _one_step(
    site: Site,
    axis: Axis,
    k: int,
    lack: float,
    powers: dict[str, Floats],
    running: dict[str, NDArray[np.bool_]],
    stores: dict[str, float],
    engines: list[_Engine],
) -> float:
    """What is still short (positive) or over (negative) when all have done their part."""
    for engine in engines:  # those that must run do so at their least
        if engine.is_on and engine.held > 0:
            powers[engine.genset.name][k] = engine.genset.power_min_kw
            lack -= engine.genset.power_min_kw
    for battery in (asset for asset in site.assets if isinstance(asset, Battery)):
        power = _battery_power(battery, stores[battery.name], lack, axis.step_h)
        powers[battery.name][k] = power
        into, out = (
            max(-power, 0.0) * battery.charge_efficiency,
            max(power, 0.0) / battery.discharge_efficiency,
        )
        stores[battery.name] += (into - out) * axis.step_h
        lack -= power
    for tie in (asset for asset in site.assets if isinstance(asset, GridTie)):
        most = float(axis.series(tie.import_max_kw, tie.name, "import_max_kw")[k])
        least = -float(axis.series(tie.export_max_kw, tie.name, "export_max_kw")[k])
        powers[tie.name][k] = min(max(lack, least), most)
        lack -= float(powers[tie.name][k])
    for engine in engines:
        lack = _run_engine(engine, axis, k, lack, powers[engine.genset.name], running[engine.genset.name])
    for asset in site.assets:
        if isinstance(asset, Load) and asset.shed_cost_per_kwh is not None and lack > 0:
            shed = min(lack, float(powers[asset.name][k]))
            powers[asset.name][k] -= shed
            lack -= shed
        elif isinstance(asset, Renewable) and asset.curtailable and lack < 0:
            cut = min(-lack, float(powers[asset.name][k]))
            powers[asset.name][k] -= cut
            lack += cut
    return lack if abs(lack) > SMALL else 0.0


def _battery_power(battery: Battery, energy_kwh: float, lack_kw: float, step_h: float) -> float:
    if lack_kw > 0:
        held = max(energy_kwh - battery.energy_min_kwh, 0.0) * battery.discharge_efficiency / step_h
        return min(lack_kw, battery.discharge_max_kw, held)
    room = max(battery.energy_limit_kwh - energy_kwh, 0.0) / battery.charge_efficiency / step_h
    return -min(-lack_kw, battery.charge_max_kw, room)


def _run_engine(
    engine: _Engine, axis: Axis, k: int, lack: float, power: Floats, running: NDArray[np.bool_]
) -> float:
    """It runs for what store and grid leave short, and while it may not stop. What is still short."""
    genset, wanted = engine.genset, lack > SMALL
    if engine.held > 0:
        engine.held -= 1
    elif wanted != engine.is_on:
        engine.is_on = wanted
        least = genset.min_up if wanted else genset.min_down
        engine.held = max(axis.steps_of(least) - 1, 0)
    running[k] = engine.is_on
    if not engine.is_on:
        return lack
    already = float(power[k])
    power[k] = min(max(already + lack, genset.power_min_kw), genset.power_max_kw)
    return lack - (float(power[k]) - already)
