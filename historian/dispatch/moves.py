"""How each kind of asset may change its course, and what it costs by itself: what simulated annealing draws from."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from historian.dispatch.axis import Axis
from historian.dispatch.model import Battery, Deferrable, ElectricVehicle, Floats, Genset, Site
from historian.dispatch.needs import (
    block_starts,
    deferrable_need_kwh,
    held_steps,
    shortfall_cost,
    vehicle_need_kwh,
    vehicle_window,
)
from historian.dispatch.plan import Plan

LONGEST_RUN = 16
"""Steps of a genset that one move turns over."""


class Mover(Protocol):
    """An asset with decisions; ``course`` is whatever says them."""

    @property
    def name(self) -> str: ...

    def begin(self, rule: Plan) -> Floats:
        """The course of the naive rule, as far as it keeps the asset's own limits."""

    def draw(self, course: Floats, random: np.random.Generator) -> Floats | None:
        """A neighbour within the asset's own limits; None where the draw was none."""

    def fed(self, course: Floats) -> Floats:
        """kW fed into the bus at each step."""

    def cost(self, course: Floats) -> float:
        """By itself: wear, fuel, starts, what is short."""


@dataclass(frozen=True, slots=True, eq=False)
class StoreMover:
    """Its course is what its energy gains in each step, in kWh."""

    asset: Battery | ElectricVehicle
    axis: Axis
    site: Site
    steps: NDArray[np.intp] = field(init=False)
    bounds: tuple[float, float] = field(init=False)
    gain_max: float = field(init=False)
    loss_max: float = field(init=False)

    def __post_init__(self) -> None:
        asset, hours = self.asset, self.axis.step_h
        top = asset.energy_limit_kwh if isinstance(asset, Battery) else asset.capacity_kwh
        window = (
            slice(0, self.axis.horizon) if isinstance(asset, Battery) else vehicle_window(asset, self.axis)
        )
        bounds = min(asset.energy_min_kwh, asset.energy_kwh), max(top, asset.energy_kwh)
        object.__setattr__(self, "steps", np.arange(window.start, window.stop))
        object.__setattr__(self, "bounds", bounds)
        object.__setattr__(self, "gain_max", asset.charge_max_kw * hours * asset.charge_efficiency)
        object.__setattr__(self, "loss_max", asset.discharge_max_kw * hours / asset.discharge_efficiency)

    @property
    def name(self) -> str:
        return self.asset.name

    def begin(self, rule: Plan) -> Floats:
        power = rule.powers_kw[self.name]
        into = np.maximum(-power, 0.0) * self.asset.charge_efficiency
        course = (into - np.maximum(power, 0.0) / self.asset.discharge_efficiency) * self.axis.step_h
        return np.asarray(course if self._holds(course) else np.zeros(self.axis.horizon))

    def _holds(self, course: Floats) -> bool:
        energy = self.asset.energy_kwh + np.cumsum(course)
        low, high = self.bounds
        return bool(energy.min() >= low - 1e-9 and energy.max() <= high + 1e-9)

    def draw(self, course: Floats, random: np.random.Generator) -> Floats | None:
        """A step more and maybe another less by the same, so that later energies stay."""
        if not len(self.steps):
            return None
        new = course.copy()
        first = self.steps[random.integers(len(self.steps))]
        if random.random() < 0.3:  # full, none, or anything
            wanted = random.choice((-self.loss_max, 0.0, self.gain_max))
        else:
            wanted = new[first] + random.normal(0.0, 0.3) * max(self.gain_max, self.loss_max)
        change = min(max(wanted, -self.loss_max), self.gain_max) - new[first]
        if random.random() < 0.7:
            second = self.steps[random.integers(len(self.steps))]
            if second == first:
                return None
            change = -(min(max(new[second] - change, -self.loss_max), self.gain_max) - new[second])
            new[second] -= change
        new[first] += change
        return new if change and self._holds(new) else None

    def fed(self, course: Floats) -> Floats:
        asset, hours = self.asset, self.axis.step_h
        out, into = np.maximum(-course, 0.0) * asset.discharge_efficiency, np.maximum(course, 0.0)
        return np.asarray((out - into / asset.charge_efficiency) / hours)

    def cost(self, course: Floats) -> float:
        asset = self.asset
        out = float(np.maximum(-course, 0.0).sum()) * asset.discharge_efficiency
        gained = float(course.sum())
        cost = asset.wear_cost_per_kwh * out
        if isinstance(asset, Battery):
            cost -= asset.end_value_per_kwh * gained
            least = asset.end_energy_min_kwh or 0.0
            return cost + 2 * shortfall_cost(self.site, 3) * max(least - asset.energy_kwh - gained, 0.0)
        short = max(vehicle_need_kwh(asset, self.axis) - asset.energy_kwh - gained, 0.0)
        return cost + _shortfall(self.site, asset, short)


def _shortfall(site: Site, asset: ElectricVehicle | Deferrable, kwh: float) -> float:
    return kwh * (2 * shortfall_cost(site, 3) if asset.firm else shortfall_cost(site, asset.priority))


@dataclass(frozen=True, slots=True, eq=False)
class DeferrableMover:
    """Its course is its power."""

    asset: Deferrable
    axis: Axis
    site: Site

    @property
    def name(self) -> str:
        return self.asset.name

    def begin(self, rule: Plan) -> Floats:
        return rule.powers_kw[self.name].copy()

    def draw(self, course: Floats, random: np.random.Generator) -> Floats | None:
        block = self.asset.block_kw
        if block is not None:
            return self._another_start(np.asarray(block), random)
        window = self.axis.inside(self.asset.start, self.asset.end)
        if window.stop <= window.start:
            return None
        new, most = course.copy(), self.asset.power_max_kw
        first, second = random.integers(window.start, window.stop, 2)
        change = min(max(new[first] + random.normal(0.0, 0.4) * most, 0.0), most) - new[first]
        if first != second and random.random() < 0.7:
            change = -(min(max(new[second] - change, 0.0), most) - new[second])
            new[second] -= change
        new[first] += change
        return new if float(new.sum()) * self.axis.step_h <= self.asset.energy_kwh + 1e-9 else None

    def _another_start(self, block: Floats, random: np.random.Generator) -> Floats | None:
        new, axis = np.zeros(self.axis.horizon), self.axis
        starts, _ = block_starts(self.asset, len(block), axis)
        if not len(starts) or axis.first_beyond(self.asset.end) <= 0:
            return None
        at = int(random.integers(len(starts) + 1))
        if at < len(starts):
            new[starts[at] : starts[at] + len(block)] = block[: axis.horizon - starts[at]]
        return new

    def fed(self, course: Floats) -> Floats:
        return -course

    def cost(self, course: Floats) -> float:
        if self.asset.block_kw is None:
            short = deferrable_need_kwh(self.asset, self.axis) - float(course.sum()) * self.axis.step_h
            return _shortfall(self.site, self.asset, max(short, 0.0))
        block = np.asarray(self.asset.block_kw)
        may_wait = block_starts(self.asset, len(block), self.axis)[1]
        if course.any() or may_wait or self.axis.first_beyond(self.asset.end) <= 0:
            return 0.0
        return _shortfall(self.site, self.asset, float(block.sum()) * self.axis.step_h)


@dataclass(frozen=True, slots=True, eq=False)
class GensetMover:
    """Its course is its power; NaN is off, as its least may be 0."""

    asset: Genset
    axis: Axis

    @property
    def name(self) -> str:
        return self.asset.name

    def begin(self, rule: Plan) -> Floats:
        course = np.where(rule.running[self.name], rule.powers_kw[self.name], np.nan)
        if self._holds(~np.isnan(course)):
            return np.asarray(course)
        return np.full(self.axis.horizon, self.asset.power_min_kw if self.asset.running else np.nan)

    def _holds(self, on: NDArray[np.bool_]) -> bool:
        """Least times on and off, those of before the horizon too."""
        asset, axis = self.asset, self.axis
        held = held_steps(asset, axis)
        if (on[:held] != asset.running).any():
            return False
        changes = np.flatnonzero(np.diff(np.concatenate(((asset.running,), on)).astype(np.int8)))
        up, down = max(axis.steps_of(asset.min_up), 1), max(axis.steps_of(asset.min_down), 1)
        return all(
            after - before >= (up if on[before] else down) for before, after in itertools.pairwise(changes)
        )

    def draw(self, course: Floats, random: np.random.Generator) -> Floats | None:
        new, asset = course.copy(), self.asset
        first = int(random.integers(self.axis.horizon))
        last = first + int(random.integers(1, LONGEST_RUN))
        power = random.uniform(asset.power_min_kw, asset.power_max_kw)
        if random.random() < 0.4:
            new[first:last] = power if math.isnan(new[first]) else np.nan
            return new if self._holds(~np.isnan(new)) else None
        if random.random() < 0.5:
            last = first + 1
        if np.isnan(new[first:last]).all():
            return None
        new[first:last] = np.where(np.isnan(new[first:last]), np.nan, power)
        return new

    def fed(self, course: Floats) -> Floats:
        return np.nan_to_num(course)

    def cost(self, course: Floats) -> float:
        asset, hours, on = self.asset, self.axis.step_h, ~np.isnan(course)
        starts = int((on & ~np.concatenate(((asset.running,), on[:-1]))).sum())
        fuel = asset.fuel_cost_per_kwh * float(np.nansum(course)) * hours
        return fuel + asset.no_load_cost_per_h * int(on.sum()) * hours + asset.start_cost * starts


def movers(site: Site, axis: Axis) -> list[Mover]:
    found: list[Mover] = []
    for asset in site.assets:
        if isinstance(asset, Battery | ElectricVehicle):
            found.append(StoreMover(asset, axis, site))
        elif isinstance(asset, Deferrable):
            found.append(DeferrableMover(asset, axis, site))
        elif isinstance(asset, Genset):
            found.append(GensetMover(asset, axis))
    return found
