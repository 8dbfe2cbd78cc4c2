"""A plan, and what it costs: computed from its powers alone, so that plans of any origin compare."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from historian.dispatch.axis import Axis
from historian.dispatch.basis import Basis
from historian.dispatch.model import (
    Battery,
    Deferrable,
    ElectricVehicle,
    Floats,
    Genset,
    GridTie,
    Load,
    Site,
)
from historian.dispatch.needs import (
    block_starts,
    deferrable_need_kwh,
    reserve_need,
    shortfall_cost,
    vehicle_need_kwh,
    vehicle_window,
)

SMALL = 1e-6
"""kW or kWh that count as none."""


class Status(Enum):
    OPTIMAL = "optimal"
    """Within the gap asked for."""
    FEASIBLE = "feasible"
    """All constraints hold; the deadline came before the gap."""
    INFEASIBLE = "infeasible"
    """No plan exists: ``conflicts`` says why."""
    LATE = "late"
    """No plan by the deadline: keep the last one."""
    FAILED = "failed"
    """The solver gave up; ``words`` is what it said."""
    RULE = "rule"
    """By the naive rule, which looks at no limit but those of each asset."""


@dataclass(frozen=True, slots=True)
class Costs:
    """In the currency of the prices; what is earned is negative."""

    imports: float = 0.0
    exports: float = 0.0
    peak: float = 0.0
    fuel: float = 0.0
    starts: float = 0.0
    wear: float = 0.0
    shed: float = 0.0
    opt_outs: float = 0.0
    commitments: float = 0.0
    """Of what is off them."""
    stored: float = 0.0
    """Minus the worth of what batteries hold at the end above what they held at the start."""
    shortfall: float = 0.0
    """Weights of unmet needs and reserve: no money."""

    @property
    def money(self) -> float:
        return self.total - self.shortfall

    @property
    def total(self) -> float:
        """What is minimised."""
        paid = self.imports + self.exports + self.peak + self.fuel + self.starts
        return paid + self.wear + self.shed + self.opt_outs + self.commitments + self.stored + self.shortfall


@dataclass(frozen=True, slots=True)
class Conflict:
    """One of the constraints that cannot hold together; without any of them the others could."""

    asset: str
    constraint: str
    unit: str
    first: datetime | None = None
    """The first step in which it alone would have to give way, and the end of the last; None: not known."""
    end: datetime | None = None
    amount: float | None = None
    """By how much at most."""

    def __str__(self) -> str:
        text = f"{self.asset}: {self.constraint}"
        if self.first is None or self.end is None or self.amount is None:
            return text
        return (
            f"{text} (alone it would have to give way by up to {self.amount:.4g} {self.unit}"
            f" from {self.first:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M})"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Mean powers of each step. Positive feeds the bus, except of Load and Deferrable, where it is demand."""

    start: datetime
    step: timedelta
    horizon: int
    status: Status
    powers_kw: Mapping[str, Floats] = field(default_factory=dict)
    energies_kwh: Mapping[str, Floats] = field(default_factory=dict)
    """Of batteries and vehicles, at the end of each step."""
    running: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    """Of gensets."""
    shortfall_kwh: Mapping[str, float] = field(default_factory=dict)
    """Of vehicles and deferrables that do not get all they need."""
    reserve_short_kwh: Floats | None = None
    reserve_short_kw: Floats | None = None
    opted_out: tuple[str, ...] = ()
    imbalance_kw: Floats | None = None
    """Demand that nothing serves (positive) or power that has nowhere to go; only a rule leaves any."""
    costs: Costs = field(default_factory=Costs)
    gap: float = 0.0
    """Relative, of the solver's proof."""
    bound: float = math.nan
    """``costs.total`` of any plan is at least this; NaN where nothing is proven."""
    solver_s: float = 0.0
    rounds: int = 0
    """How often it was solved: once, and once more for each time that exclusivity had to be added."""
    exclusive_steps: int = 0
    """Steps with a binary for charging or discharging, buying or selling."""
    conflicts: tuple[Conflict, ...] = ()
    words: str = ""
    basis: Basis | None = field(default=None, repr=False)
    """Where the solver of the next plan begins, if this is its ``previous``."""

    @property
    def is_usable(self) -> bool:
        """Whether there are powers to follow."""
        return self.status in (Status.OPTIMAL, Status.FEASIBLE, Status.RULE)

    @property
    def end(self) -> datetime:
        return Axis(self.start, self.step, self.horizon).end

    @property
    def times(self) -> tuple[datetime, ...]:
        """When each step begins."""
        return tuple(Axis(self.start, self.step, self.horizon).time(k) for k in range(self.horizon))


@dataclass(frozen=True, slots=True)
class Settled:
    """What follows from powers."""

    energies_kwh: dict[str, Floats]
    shortfall_kwh: dict[str, float]
    reserve_short: tuple[Floats, Floats] | None
    opted_out: tuple[str, ...]
    costs: Costs


def store_energy(asset: Battery | ElectricVehicle, power_kw: Floats, step_h: float) -> Floats:
    """kWh at the end of each step."""
    into = np.maximum(-power_kw, 0.0) * asset.charge_efficiency
    out = np.maximum(power_kw, 0.0) / asset.discharge_efficiency
    return np.asarray(asset.energy_kwh + np.cumsum(into - out) * step_h, dtype=np.float64)


def settle(
    site: Site, axis: Axis, powers: Mapping[str, Floats], running: Mapping[str, NDArray[np.bool_]]
) -> Settled:
    hours = axis.step_h
    energies: dict[str, Floats] = {}
    missed: dict[str, float] = {}
    sums = dict.fromkeys(("imports", "exports", "peak", "fuel", "starts", "wear", "shed", "stored"), 0.0)
    for asset in site.assets:
        power = powers[asset.name]
        match asset:
            case Battery() | ElectricVehicle():
                energy = energies[asset.name] = store_energy(asset, power, hours)
                sums["wear"] += asset.wear_cost_per_kwh * float(np.maximum(power, 0.0).sum()) * hours
                if isinstance(asset, Battery):
                    sums["stored"] -= asset.end_value_per_kwh * (float(energy[-1]) - asset.energy_kwh)
                else:
                    leaving = max(vehicle_window(asset, axis).stop - 1, 0)
                    missed[asset.name] = vehicle_need_kwh(asset, axis) - float(energy[leaving])
            case Genset():
                on = running[asset.name]
                began = on & ~np.concatenate(((asset.running,), on[:-1]))
                sums["fuel"] += asset.fuel_cost_per_kwh * float(power.sum()) * hours
                sums["fuel"] += asset.no_load_cost_per_h * int(on.sum()) * hours
                sums["starts"] += asset.start_cost * int(began.sum())
            case GridTie():
                buy_price = axis.series(asset.import_price_per_kwh, asset.name, "import_price_per_kwh")
                sell_price = axis.series(asset.export_price_per_kwh, asset.name, "export_price_per_kwh")
                bought = np.maximum(power, 0.0)
                sums["imports"] += float(buy_price @ bought) * hours
                sums["exports"] -= float(sell_price @ np.maximum(-power, 0.0)) * hours
                above = max(float(bought.max()) - asset.peak_so_far_kw, 0.0)
                sums["peak"] += asset.demand_charge_per_kw * above
            case Load() if asset.shed_cost_per_kwh is not None:
                shed = axis.series(asset.power_kw, asset.name, "power_kw") - power
                sums["shed"] += asset.shed_cost_per_kwh * float(shed.sum()) * hours
            case Deferrable():
                missed[asset.name] = _deferrable_short_kwh(asset, axis, power)
    short = {name: kwh for name, kwh in missed.items() if kwh > SMALL}
    penalty = sum(kwh * _weight(site, name) for name, kwh in short.items())
    reserve = _reserve_short(site, axis, energies, running)
    if reserve is not None:
        penalty += site.shortfall_cost_per_kwh * hours * float(reserve[0].sum() + reserve[1].sum())
    out = _opted_out(site, axis, powers)
    opt_outs = sum(event.opt_out_cost or 0.0 for event in site.events if event.name in out)
    off = _off_commitments(site, axis, powers)
    costs = Costs(**sums, opt_outs=opt_outs, commitments=off, shortfall=penalty)
    return Settled(energies, short, reserve, out, costs)


def _weight(site: Site, name: str) -> float:
    asset = site.by_name[name]
    assert isinstance(asset, ElectricVehicle | Deferrable)
    return shortfall_cost(site, asset.priority)


def _deferrable_short_kwh(load: Deferrable, axis: Axis, power: Floats) -> float:
    taken = float(power.sum()) * axis.step_h
    if load.block_kw is None:
        return deferrable_need_kwh(load, axis) - taken
    block = np.asarray(load.block_kw)
    may_wait = block_starts(load, len(block), axis)[1]
    if may_wait or power.any() or axis.first_beyond(load.end) <= 0:
        return 0.0
    return float(block.sum()) * axis.step_h


def _reserve_short(
    site: Site, axis: Axis, energies: Mapping[str, Floats], running: Mapping[str, NDArray[np.bool_]]
) -> tuple[Floats, Floats] | None:
    if site.reserve is None:
        return None
    need = reserve_need(site, axis)
    energy, power = need.energy_kwh.copy(), need.power_kw.copy()
    for asset in site.assets:
        if isinstance(asset, Battery):
            energy -= (energies[asset.name] - asset.energy_min_kwh) * asset.discharge_efficiency
            power -= asset.discharge_max_kw
        elif isinstance(asset, Genset):
            power -= asset.power_max_kw * running[asset.name]
    return np.where(energy > SMALL, energy, 0.0), np.where(power > SMALL, power, 0.0)


def _opted_out(site: Site, axis: Axis, powers: Mapping[str, Floats]) -> tuple[str, ...]:
    found = []
    for event in site.events:
        meanwhile = powers[event.tie][axis.touched(event.start, event.end)]
        if event.opt_out_cost is not None and (meanwhile > event.import_max_kw + SMALL).any():
            found.append(event.name)
    return tuple(found)


def _off_commitments(site: Site, axis: Axis, powers: Mapping[str, Floats]) -> float:
    cost = 0.0
    for commitment in site.commitments:
        meanwhile = powers[commitment.asset][axis.inside(commitment.start, commitment.end)]
        off_kw = meanwhile - commitment.power_kw
        cost += commitment.above_cost * float(np.maximum(off_kw, 0.0).sum()) * axis.step_h
        cost += commitment.below_cost * float(np.maximum(-off_kw, 0.0).sum()) * axis.step_h
    return cost
