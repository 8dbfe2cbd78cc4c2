"""Columns and rows of each kind of asset."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from historian.dispatch.formulation import Exclusive, Flow, Formulation
from historian.dispatch.matrix import Family, Index
from historian.dispatch.model import (
    Battery,
    Deferrable,
    ElectricVehicle,
    Floats,
    Genset,
    GridTie,
    Load,
    Renewable,
)
from historian.dispatch.needs import (
    block_starts,
    deferrable_need_kwh,
    held_steps,
    shortfall_cost,
    vehicle_need_kwh,
    vehicle_window,
)


def _open(most: Floats) -> Floats:
    """No bound where something may flow at all: the limit proper has a name, and may be what conflicts."""
    return np.where(most > 0, np.inf, 0.0)


def _add_store(
    f: Formulation, asset: Battery | ElectricVehicle, here: NDArray[np.bool_], upper_kwh: float
) -> None:
    """E_k = E_k−1 + (η_c charge − discharge / η_d) Δt, with both 0 where it is not here."""
    m, count, hours = f.matrix, f.axis.horizon, f.axis.step_h
    charge_max = np.where(here, asset.charge_max_kw, 0.0)
    discharge_max = np.where(here, asset.discharge_max_kw, 0.0)
    charge = m.columns(count, 0.0, _open(charge_max))
    discharge = m.columns(count, 0.0, _open(discharge_max), asset.wear_cost_per_kwh * hours)
    energy = m.columns(count)
    m.limit(charge, 0.0, charge_max, Family(asset.name, f"charges at most {asset.charge_max_kw:g} kW", "kW"))
    m.limit(
        *(discharge, 0.0, discharge_max),
        Family(asset.name, f"discharges at most {asset.discharge_max_kw:g} kW", "kW"),
    )
    low, high = min(asset.energy_min_kwh, asset.energy_kwh), max(upper_kwh, asset.energy_kwh)
    m.limit(energy, low, high, Family(asset.name, f"holds {low:g} to {high:g} kWh", "kWh"))
    before = np.zeros(count)
    before[0] = asset.energy_kwh
    rows = m.rows(before, before, count)
    m.add(rows, energy, 1.0)
    m.add(rows[1:], energy[:-1], -1.0)
    m.add(rows, charge, -asset.charge_efficiency * hours)
    m.add(rows, discharge, hours / asset.discharge_efficiency)
    f.energy[asset.name] = energy
    f.flows.append(Flow(asset, np.zeros(count), ((1.0, discharge), (-1.0, charge))))
    both = (charge_max > 0) & (discharge_max > 0)
    words = "charges or discharges, not both"
    f.exclusives.append(Exclusive(asset.name, words, discharge, charge, discharge_max, charge_max, both))


def add_battery(f: Formulation, battery: Battery) -> None:
    m, last = f.matrix, f.axis.horizon - 1
    _add_store(f, battery, np.ones(f.axis.horizon, dtype=bool), battery.energy_limit_kwh)
    energy = f.energy[battery.name]
    if battery.end_value_per_kwh:
        value = m.columns(1, -np.inf, np.inf, -battery.end_value_per_kwh)
        rows = m.rows(battery.energy_kwh, battery.energy_kwh, 1)  # E_end − gain = E_0
        m.add(rows, energy[-1:], 1.0)
        m.add(rows, value, -1.0)
    if battery.end_energy_min_kwh is not None:
        words = f"holds {battery.end_energy_min_kwh:g} kWh or more at the end"
        steps = np.array([last], dtype=np.int32)
        rows = m.rows(battery.end_energy_min_kwh, np.inf, 1, Family(battery.name, words, "kWh"), steps)
        m.add(rows, energy[-1:], 1.0)


def add_vehicle(f: Formulation, vehicle: ElectricVehicle) -> None:
    window = vehicle_window(vehicle, f.axis)
    here = np.zeros(f.axis.horizon, dtype=bool)
    here[window] = True
    _add_store(f, vehicle, here, vehicle.capacity_kwh)
    need = vehicle_need_kwh(vehicle, f.axis)
    if need <= 0:
        return
    leaving = max(window.stop - 1, 0)
    words = f"leaves with {need:g} kWh"
    _add_need(f, vehicle, f.energy[vehicle.name][leaving : leaving + 1], 1.0, need, words, leaving)


def _add_need(
    f: Formulation,
    asset: ElectricVehicle | Deferrable,
    columns: Index,
    value: float,
    need: float,
    words: str,
    step: int,
) -> None:
    """value × Σ columns + short ≥ need; short is 0 if the need is firm."""
    m = f.matrix
    steps = np.array([step], dtype=np.int32)
    row = m.rows(need, np.inf, 1, Family(asset.name, words, "kWh") if asset.firm else None, steps)
    m.add(row, columns, value)
    if not asset.firm:
        short = m.columns(1, 0.0, need, shortfall_cost(f.site, asset.priority))
        m.add(row, short, 1.0)
        f.short[asset.name] = short


def add_genset(f: Formulation, genset: Genset) -> None:
    """u runs, v starts, w stops: u_k − u_k−1 = v_k − w_k; Σ v over the last min_up ≤ u; Σ w over min_down ≤ 1 − u.

    v and w need no integrality: with the two sums they are 0 or 1 where u is.
    """
    m, axis = f.matrix, f.axis
    count, hours = axis.horizon, axis.step_h
    power = m.columns(count, cost=genset.fuel_cost_per_kwh * hours)
    u = m.columns(count, 0.0, 1.0, genset.no_load_cost_per_h * hours, integer=True)
    v = m.columns(count, 0.0, 1.0, genset.start_cost)
    w = m.columns(count, 0.0, 1.0)
    most = m.rows(-np.inf, 0.0, count, Family(genset.name, f"gives at most {genset.power_max_kw:g} kW", "kW"))
    m.add(most, power, 1.0)
    m.add(most, u, -genset.power_max_kw)
    least = m.rows(
        0.0,
        np.inf,
        count,
        Family(genset.name, f"gives {genset.power_min_kw:g} kW or more while it runs", "kW"),
    )
    m.add(least, power, 1.0)
    m.add(least, u, -genset.power_min_kw)
    was = np.zeros(count)
    was[0] = float(genset.running)
    change = m.rows(was, was, count)
    m.add(change, u, 1.0)
    m.add(change[1:], u[:-1], -1.0)
    m.add(change, v, -1.0)
    m.add(change, w, 1.0)
    up, down = max(axis.steps_of(genset.min_up), 1), max(axis.steps_of(genset.min_down), 1)
    for columns, length, value, limit in ((v, up, -1.0, 0.0), (w, down, 1.0, 1.0)):
        rows = m.rows(-np.inf, limit, count)
        m.add(rows, u, value)
        for back in range(min(length, count)):
            m.add(rows[back:], columns[: count - back], 1.0)
    held = held_steps(genset, axis)
    if held:
        state = float(genset.running)
        words = f"stays {'on' if genset.running else 'off'} for its first {held} steps"
        m.limit(u[:held], state, state, Family(genset.name, words, "of full power"))
    f.running[genset.name] = u
    f.flows.append(Flow(genset, np.zeros(count), ((1.0, power),)))


def add_tie(f: Formulation, tie: GridTie) -> None:
    m, axis = f.matrix, f.axis
    count, hours = axis.horizon, axis.step_h
    buy_price = axis.series(tie.import_price_per_kwh, tie.name, "import_price_per_kwh")
    sell_price = axis.series(tie.export_price_per_kwh, tie.name, "export_price_per_kwh")
    buy_max = axis.series(tie.import_max_kw, tie.name, "import_max_kw")
    sell_max = axis.series(tie.export_max_kw, tie.name, "export_max_kw")
    buy, sell = m.columns(count, cost=buy_price * hours), m.columns(count, cost=-sell_price * hours)
    m.limit(buy, 0.0, buy_max, Family(tie.name, f"imports at most {_span(buy_max)} kW", "kW"))
    m.limit(sell, 0.0, sell_max, Family(tie.name, f"exports at most {_span(sell_max)} kW", "kW"))
    if tie.demand_charge_per_kw:
        peak = m.columns(1, tie.peak_so_far_kw, np.inf, tie.demand_charge_per_kw)
        m.offset -= tie.demand_charge_per_kw * tie.peak_so_far_kw
        rows = m.rows(-np.inf, 0.0, count)
        m.add(rows, buy, 1.0)
        m.add(rows, peak, -1.0)
    # Where selling pays no more than buying costs, both at once are worth no more than their difference.
    matters = (buy_max > 0) & (sell_max > 0) & (sell_price > buy_price)
    f.exclusives.append(
        Exclusive(tie.name, "imports or exports, not both", buy, sell, buy_max, sell_max, matters)
    )
    f.flows.append(Flow(tie, np.zeros(count), ((1.0, buy), (-1.0, sell))))
    for event in f.site.events:
        if event.tie != tie.name:
            continue
        # Net of export, since an event counts at the meter.
        window = axis.touched(event.start, event.end)
        steps = np.arange(window.start, window.stop, dtype=np.int32)
        words = f"imports at most {event.import_max_kw:g} kW during the event {event.name}"
        family = Family(tie.name, words, "kW") if event.opt_out_cost is None else None
        rows = m.rows(-np.inf, event.import_max_kw, len(steps), family, steps)
        m.add(rows, buy[steps], 1.0)
        m.add(rows, sell[steps], -1.0)
        if event.opt_out_cost is not None and len(steps):
            out = m.columns(1, 0.0, 1.0, event.opt_out_cost, integer=True)
            m.add(rows, np.repeat(out, len(steps)), -np.maximum(buy_max[steps] - event.import_max_kw, 0.0))
            f.opted_out[event.name] = out


def _span(values: Floats) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def add_load(f: Formulation, load: Load) -> None:
    power = f.axis.series(load.power_kw, load.name, "power_kw")
    if load.shed_cost_per_kwh is None:
        f.flows.append(Flow(load, -power, ()))
        return
    shed = f.matrix.columns(f.axis.horizon, 0.0, power, load.shed_cost_per_kwh * f.axis.step_h)
    f.flows.append(Flow(load, -power, ((1.0, shed),)))


def add_renewable(f: Formulation, renewable: Renewable) -> None:
    power = f.axis.series(renewable.power_kw, renewable.name, "power_kw")
    if not renewable.curtailable:
        f.flows.append(Flow(renewable, power, ()))
        return
    cut = f.matrix.columns(f.axis.horizon, 0.0, power)
    f.flows.append(Flow(renewable, power, ((-1.0, cut),)))


def add_deferrable(f: Formulation, load: Deferrable) -> None:
    m, axis = f.matrix, f.axis
    window = axis.inside(load.start, load.end)
    most = np.zeros(axis.horizon)
    most[window] = load.power_max_kw
    power = m.columns(axis.horizon, 0.0, _open(most))
    m.limit(power, 0.0, most, Family(load.name, f"takes at most {load.power_max_kw:g} kW", "kW"))
    f.flows.append(Flow(load, np.zeros(axis.horizon), ((-1.0, power),)))
    total = m.rows(-np.inf, load.energy_kwh, 1)
    m.add(total, power, axis.step_h)
    need = deferrable_need_kwh(load, axis)
    if need > 0:
        words = f"gets {need:g} kWh in its window"
        _add_need(f, load, power, axis.step_h, need, words, max(window.stop - 1, 0))


def add_block(f: Formulation, load: Deferrable, block: Floats) -> None:
    """One binary a start: Σ z = 1, or ≤ 1 where the block may wait; power_k = Σ z_s block_(k−s)."""
    m, axis = f.matrix, f.axis
    if axis.first_beyond(load.end) <= 0:
        f.flows.append(Flow(load, np.zeros(axis.horizon), ()))
        return
    starts, may_wait = block_starts(load, len(block), axis)
    power, z = m.columns(axis.horizon), m.columns(len(starts), 0.0, 1.0, integer=True)
    shape = m.rows(0.0, 0.0, axis.horizon)
    m.add(shape, power, -1.0)
    for column, start in zip(z, starts, strict=True):
        seen = block[: axis.horizon - start]
        at = np.flatnonzero(seen)
        m.add(shape[start + at], np.full(len(at), column, dtype=np.int32), seen[at])
    f.flows.append(Flow(load, np.zeros(axis.horizon), ((-1.0, power),)))
    once = m.rows(-np.inf, 1.0, 1)
    m.add(once, z, 1.0)
    if may_wait:
        return
    energy = float(block.sum()) * axis.step_h
    _add_need(
        f, load, z, energy, energy, "runs its block in its window", axis.inside(load.start, load.end).start
    )
