"""Simulated annealing (Kirkpatrick, Gelatt, Vecchi, Science 220, 1983): a solver by name, not by default.

What is drawn is the course of each store, vehicle, genset and deferrable load, and which events are left. Ties,
curtailing and shedding follow from the sum at each step by a rule of the moment, so that they miss what foresight
would make of them. It proves nothing: there is no bound and no gap, and that no plan exists it cannot tell.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np

from historian.dispatch.axis import Axis
from historian.dispatch.model import (
    Battery,
    Deferrable,
    DemandResponse,
    Floats,
    Genset,
    GridTie,
    Load,
    Renewable,
    Site,
)
from historian.dispatch.moves import GensetMover, Mover, movers
from historian.dispatch.naive import naive
from historian.dispatch.needs import ReserveNeed, reserve_need, shortfall_cost
from historian.dispatch.plan import SMALL, Plan, Status, settle
from historian.dispatch.together import SharedLimit, shared_limits

COOLED = 1e-3
"""The last temperature, of the first."""

TRIED = 100
"""Moves that are drawn to find the first temperature."""

BATCH = 64
"""Moves between two looks at the clock."""


def anneal(
    site: Site,
    start: datetime,
    step: timedelta,
    horizon: int,
    *,
    deadline_s: float = 10.0,
    moves: int | None = None,
    seed: int = 0,
) -> Plan:
    """The best plan found within the time, or after ``moves``; it begins at that of the naive rule.

    ``FEASIBLE`` with a gap of infinity, or ``LATE``. Raises BadSite where series or times do not fit.
    """
    began = time.perf_counter()
    axis = Axis(start, step, horizon)
    state = _State(site, axis)
    random = np.random.default_rng(seed)
    first = _first_temperature(state, random)
    best, best_courses, best_out = state.value, dict(state.courses), set(state.left)
    done, share = 0, 0.0
    while share < 1.0:
        for _ in range(BATCH):
            temperature = first * COOLED**share
            state.move(random, temperature)
        done += BATCH
        if state.value < best:  # courses are never written to, so that the mapping alone is kept
            best, best_courses, best_out = state.value, dict(state.courses), set(state.left)
        spent = (time.perf_counter() - began) / deadline_s
        share = max(spent, done / moves) if moves is not None else spent
    state.put(best_courses, best_out)
    return _plan(state, began, done)


@dataclass(slots=True, eq=False)
class _Shared:
    """What follows at each step from the sum of all courses."""

    ties: dict[str, Floats]
    shed: Floats
    cut: Floats
    unmet: Floats
    cost: float


@dataclass(slots=True, eq=False)
class _State:
    site: Site
    axis: Axis
    movers: list[Mover] = field(init=False)
    courses: dict[str, Floats] = field(init=False)
    left: set[str] = field(default_factory=set)
    """Events opted out of."""
    value: float = field(init=False)
    """What is minimised: costs, and what is broken at a price above any."""
    penalty: float = field(init=False)
    _own: dict[str, float] = field(init=False)
    _fed: dict[str, Floats] = field(init=False)
    _sum: Floats = field(init=False)
    _limits: list[SharedLimit] = field(init=False)
    _limit_sums: list[Floats] = field(init=False)
    _prices: list[tuple[GridTie, Floats, Floats, Floats, Floats]] = field(init=False)
    _shed_steps: list[tuple[Load, Floats]] = field(init=False)
    _cut_steps: list[tuple[Renewable, Floats]] = field(init=False)
    _need: ReserveNeed | None = field(init=False)

    def __post_init__(self) -> None:
        site, axis = self.site, self.axis
        rule = naive(site, axis.start, axis.step, axis.horizon)
        self.penalty = 2 * shortfall_cost(site, 3)
        self.movers = movers(site, axis)
        self._limits = shared_limits(site)
        self._need = reserve_need(site, axis) if site.reserve is not None else None
        self._prices = [
            (
                asset,
                axis.series(asset.import_price_per_kwh, asset.name, "import_price_per_kwh"),
                axis.series(asset.export_price_per_kwh, asset.name, "export_price_per_kwh"),
                axis.series(asset.import_max_kw, asset.name, "import_max_kw"),
                axis.series(asset.export_max_kw, asset.name, "export_max_kw"),
            )
            for asset in site.assets
            if isinstance(asset, GridTie)
        ]
        self._shed_steps = sorted(
            (
                (asset, axis.series(asset.power_kw, asset.name, "power_kw"))
                for asset in site.assets
                if isinstance(asset, Load) and asset.shed_cost_per_kwh is not None
            ),
            key=lambda each: each[0].shed_cost_per_kwh or 0.0,
        )
        self._cut_steps = [
            (asset, axis.series(asset.power_kw, asset.name, "power_kw"))
            for asset in site.assets
            if isinstance(asset, Renewable) and asset.curtailable
        ]
        self.put({each.name: each.begin(rule) for each in self.movers}, set())

    def put(self, courses: dict[str, Floats], left: set[str]) -> None:
        self.courses, self.left = dict(courses), set(left)
        self._own = {each.name: each.cost(courses[each.name]) for each in self.movers}
        self._fed = {each.name: each.fed(courses[each.name]) for each in self.movers}
        for asset in self.site.assets:
            if isinstance(asset, Load | Renewable):
                power = self.axis.series(asset.power_kw, asset.name, "power_kw")
                self._fed[asset.name] = power if isinstance(asset, Renewable) else -power
        nothing = np.zeros(self.axis.horizon)
        self._sum = sum(self._fed.values(), nothing)
        self._limit_sums = [
            sum(
                (share * self._fed[name] for name, share in limit.shares.items() if name in self._fed),
                nothing,
            )
            for limit in self._limits
        ]
        self.value = self._value(self._sum, self._limit_sums, self.courses, sum(self._own.values()))

    def move(self, random: np.random.Generator, temperature: float) -> float | None:
        """One draw, taken or not; by how much it would have changed the value, None where it was none."""
        events = [event for event in self.site.events if event.opt_out_cost is not None]
        number = int(random.integers(len(self.movers) + bool(events))) if self.movers or events else -1
        if number == len(self.movers):
            return self._leave_or_join(events[random.integers(len(events))], random, temperature)
        if number < 0:
            return None
        mover = self.movers[number]
        course = mover.draw(self.courses[mover.name], random)
        if course is None:
            return None
        fed, own = mover.fed(course), mover.cost(course)
        change = fed - self._fed[mover.name]
        total = self._sum + change
        sums = [
            found + limit.shares[mover.name] * change if mover.name in limit.shares else found
            for limit, found in zip(self._limits, self._limit_sums, strict=True)
        ]
        courses = {**self.courses, mover.name: course} if self._need is not None else self.courses
        costs = sum(self._own.values()) - self._own[mover.name] + own
        value = self._value(total, sums, courses, costs)
        worse = value - self.value
        if _is_taken(worse, temperature, random):
            self.courses[mover.name], self._fed[mover.name], self._own[mover.name] = course, fed, own
            self._sum, self._limit_sums, self.value = total, sums, value
        return worse

    def _leave_or_join(self, event: DemandResponse, random: np.random.Generator, temperature: float) -> float:
        self.left ^= {event.name}
        value = self._value(self._sum, self._limit_sums, self.courses, sum(self._own.values()))
        worse = value - self.value
        if _is_taken(worse, temperature, random):
            self.value = value
        else:
            self.left ^= {event.name}
        return worse

    def _value(self, total: Floats, sums: Sequence[Floats], courses: dict[str, Floats], own: float) -> float:
        hours = self.axis.step_h
        shared = self.share_out(total)
        broken = float(np.abs(shared.unmet).sum())
        for limit, found in zip(self._limits, sums, strict=True):
            full = found
            for name, share in limit.shares.items():
                if name in shared.ties:
                    full = full + share * shared.ties[name]
            broken += float(np.maximum(full - limit.feed_max, 0.0).sum())
            broken += float(np.maximum(-full - limit.draw_max, 0.0).sum())
        return own + shared.cost + self._reserve_cost(courses) + broken * hours * self.penalty

    def share_out(self, total: Floats) -> _Shared:
        """Ties by their order, then curtailing or shedding; before a tie where it pays more than the tie."""
        hours, cost = self.axis.step_h, 0.0
        lack = -total
        room_cut = sum((power for _, power in self._cut_steps), np.zeros_like(total))
        cut, shed = np.zeros_like(total), np.zeros_like(total)
        if self._prices:
            _, buy, sell, _, _ = self._prices[0]
            cut = np.where(
                buy < 0, room_cut, np.where(sell < 0, np.minimum(np.maximum(-lack, 0.0), room_cut), 0.0)
            )
            lack = lack + cut
            for load, power in self._shed_steps:
                price = load.shed_cost_per_kwh or 0.0
                now = np.where(buy > price, np.minimum(np.maximum(lack, 0.0), power), 0.0)
                shed, lack = shed + now, lack - now
                cost += price * float(now.sum()) * hours
        ties = {}
        for tie, buy, sell, buy_max, sell_max in self._prices:
            most = self._import_max(tie.name, buy_max)
            power = np.minimum(np.maximum(lack, -sell_max), most)
            ties[tie.name] = power
            lack = lack - power
            bought = np.maximum(power, 0.0)
            cost += float(buy @ bought + sell @ np.minimum(power, 0.0)) * hours
            cost += tie.demand_charge_per_kw * max(float(bought.max()) - tie.peak_so_far_kw, 0.0)
        more_cut = np.minimum(np.maximum(-lack, 0.0), room_cut - cut)
        cut, lack = cut + more_cut, lack + more_cut
        before = shed
        for load, power in self._shed_steps:
            now = np.minimum(np.maximum(lack, 0.0), np.maximum(power - before, 0.0))
            before = np.maximum(before - power, 0.0)
            shed, lack = shed + now, lack - now
            cost += (load.shed_cost_per_kwh or 0.0) * float(now.sum()) * hours
        cost += sum(event.opt_out_cost or 0.0 for event in self.site.events if event.name in self.left)
        return _Shared(ties, shed, cut, lack, cost)

    def _import_max(self, tie: str, most: Floats) -> Floats:
        for event in self.site.events:
            if event.tie == tie and event.name not in self.left:
                most = most.copy()
                window = self.axis.touched(event.start, event.end)
                most[window] = np.minimum(most[window], event.import_max_kw)
        return most

    def _reserve_cost(self, courses: dict[str, Floats]) -> float:
        reserve, need = self.site.reserve, self._need
        if reserve is None or need is None:
            return 0.0
        energy, power = need.energy_kwh, need.power_kw
        for asset in self.site.assets:
            if isinstance(asset, Battery):
                held = asset.energy_kwh - asset.energy_min_kwh + np.cumsum(courses[asset.name])
                energy, power = energy - held * asset.discharge_efficiency, power - asset.discharge_max_kw
            elif isinstance(asset, Genset):
                power = power - asset.power_max_kw * ~np.isnan(courses[asset.name])
        short = float(np.maximum(energy, 0.0).sum() + np.maximum(power, 0.0).sum()) * self.axis.step_h
        return short * (self.penalty if reserve.firm else self.site.shortfall_cost_per_kwh)

    def powers(self) -> dict[str, Floats]:
        """Of all assets, what is cut and shed given to each in turn."""
        shared = self.share_out(self._sum)
        powers = {name: fed.copy() for name, fed in self._fed.items()} | shared.ties
        cut, shed = shared.cut.copy(), shared.shed.copy()
        for renewable, power in self._cut_steps:
            own = np.minimum(cut, power)
            powers[renewable.name], cut = power - own, cut - own
        for load, power in self._shed_steps:
            own = np.minimum(shed, power)
            powers[load.name], shed = -(power - own), shed - own
        return powers

    def broken_kw(self, fed: dict[str, Floats]) -> float:
        """The most by which any limit over several assets is broken; ``fed``: what each feeds in."""
        most = float(np.abs(sum(fed.values(), np.zeros(self.axis.horizon))).max())
        for limit in self._limits:
            total = sum(
                (share * fed[name] for name, share in limit.shares.items()), np.zeros(self.axis.horizon)
            )
            most = max(most, float((total - limit.feed_max).max()), float((-total - limit.draw_max).max()))
        return most


def _is_taken(worse: float, temperature: float, random: np.random.Generator) -> bool:
    return worse <= 0 or bool(random.random() < math.exp(-worse / temperature))


def _first_temperature(state: _State, random: np.random.Generator) -> float:
    """The lower quartile of what moves that break nothing make worse: by more, little of a day is found again in
    the moves there are. A guess where there are none.
    """
    found = [state.move(random, 1e-12) for _ in range(TRIED)]
    worse = [each for each in found if each is not None and SMALL < each < 0.1 * state.penalty]
    return float(np.quantile(worse, 0.25)) if worse else 1.0


def _plan(state: _State, began: float, done: int) -> Plan:
    site, axis = state.site, state.axis
    fed = state.powers()
    is_firm_short = False
    demands = {asset.name for asset in site.assets if isinstance(asset, Load | Deferrable)}
    powers = {asset.name: fed[asset.name] * (-1.0 if asset.name in demands else 1.0) for asset in site.assets}
    running = {
        each.name: ~np.isnan(state.courses[each.name])
        for each in state.movers
        if isinstance(each, GensetMover)
    }
    settled = settle(site, axis, powers, running)
    for asset in site.assets:
        short = settled.shortfall_kwh.get(asset.name, 0.0) > SMALL
        is_firm_short |= short and bool(getattr(asset, "firm", False))
        if isinstance(asset, Battery) and asset.end_energy_min_kwh is not None:
            is_firm_short |= float(settled.energies_kwh[asset.name][-1]) < asset.end_energy_min_kwh - SMALL
    reserve = settled.reserve_short or (None, None)
    if site.reserve is not None and site.reserve.firm:
        is_firm_short |= any(each is not None and bool(each.any()) for each in reserve)
    spent = time.perf_counter() - began
    if is_firm_short or state.broken_kw(fed) > SMALL:
        words = f"no plan that keeps every limit in {done} moves"
        return Plan(axis.start, axis.step, axis.horizon, Status.LATE, solver_s=spent, words=words)
    return Plan(
        *(axis.start, axis.step, axis.horizon, Status.FEASIBLE, powers),
        energies_kwh=settled.energies_kwh,
        running=running,
        shortfall_kwh=settled.shortfall_kwh,
        reserve_short_kwh=reserve[0],
        reserve_short_kw=reserve[1],
        opted_out=settled.opted_out,
        imbalance_kw=np.zeros(axis.horizon),
        costs=settled.costs,
        gap=math.inf,
        solver_s=spent,
        words=f"{done} moves of simulated annealing",
    )
