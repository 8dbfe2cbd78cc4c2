"""Days gone by as they would have gone under plans: at each step a plan by what was known then, its first step done.

What comes otherwise than foreseen goes through the tie; where that is at its limit, vehicles charge less and
batteries give more, as PLAN_TRACKING does. Beside it goes the naive rule, from the same start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo

import numpy as np

from gateway.config.dispatch import (
    DispatchSettings,
    PlannedBattery,
    PlannedDeferrable,
    PlannedLoad,
    PlannedRenewable,
    PlannedTie,
    PlannedVehicle,
)
from historian.dispatch.axis import Axis
from historian.dispatch.plan import Plan
from historian.dispatch_job.binding import Memory, bind
from historian.dispatch_job.days import day_name, horizon_at
from historian.dispatch_job.foresight import Means, Source, foresee_all
from historian.dispatch_job.measured import Measured
from historian.dispatch_job.record import until
from historian.dispatch_job.shadow import Day, Shadow
from historian.dispatch_job.solver import Job, Solved, solve_job
from historian.dispatch_job.windows import Window, window_of

FIRST_SOC_PCT = 50.0
"""Of a battery whose state of charge the record does not tell."""


@dataclass(frozen=True, slots=True)
class Departure:
    """What a vehicle that left had got of what it was to get."""

    name: str
    at: datetime
    share: float


@dataclass(slots=True)
class Course:
    """What came of a simulation. ``rows`` are means of steps by asset; ``over_kw`` is the most above the limit."""

    days: list[Day] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)
    powers_kw: dict[str, list[float]] = field(default_factory=dict)
    soc_pct: dict[str, list[float]] = field(default_factory=dict)
    departures: list[Departure] = field(default_factory=list)
    over_kw: float = 0.0
    without_plan: int = 0
    words: str = ""


@dataclass(slots=True)
class _State:
    """What stores hold, kWh, and what each vehicle came with."""

    energy_kwh: dict[str, float] = field(default_factory=dict)
    came_kwh: dict[str, float] = field(default_factory=dict)
    plugged: dict[str, datetime] = field(default_factory=dict)
    done_kwh: dict[str, float] = field(default_factory=dict)
    """Of deferrables, since their window opened."""


def simulate(
    settings: DispatchSettings,
    names: Mapping[int, str],
    zone: tzinfo,
    means: Means,
    source: Source,
    start: datetime,
    end: datetime,
    progress: Callable[[datetime], None] = lambda time: None,
) -> Course:
    """From ``start`` to ``end`` in whole steps. Raises BadAsset, BadSite, ImportError, and what ``means`` raises."""
    step = settings.step
    count = (end - start) // step
    tags = [names[tag] for tag in settings.inputs]
    told = means(tags, start, step, count)
    state, shadow, course = _State(), Shadow(), Course()
    plan: Plan | None = None
    for k in range(count):
        now = start + k * step
        progress(now)
        values = {tag: float(told[names[tag]][k]) for tag in settings.inputs}
        _come_and_go(settings, values, state, now, course)
        windows = _windows(settings, values, state, now, zone)
        solved = _solved(settings, names, zone, until(means, now), source, values, state, shadow, now)
        if solved.plan.is_usable:
            plan = solved.plan
        else:
            course.without_plan += 1
            course.words = solved.plan.words or "; ".join(map(str, solved.plan.conflicts))
        soc = _soc_pct(settings, state)
        powers = _done(settings, values, state, plan, now, step, course)
        measured = Measured(
            *(now, step, powers, soc, _soc_pct(settings, state), dict(state.plugged)),
            prices=_prices(settings, values),
            windows={name: window for name, window in windows.items() if window is not None},
        )
        day = shadow.account(settings, measured, zone)
        if not course.days or course.days[-1] is not day:
            course.days.append(day)
        course.times.append(now)
        for name, power in powers.items():
            course.powers_kw.setdefault(name, []).append(power)
        for name, pct in soc.items():
            if name not in state.plugged:
                course.soc_pct.setdefault(name, []).append(pct)
    return course


def _soc_pct(settings: DispatchSettings, state: _State) -> dict[str, float]:
    return {name: 100 * kwh / _capacity(settings, name) for name, kwh in state.energy_kwh.items()}


def _capacity(settings: DispatchSettings, name: str) -> float:
    for asset in settings.assets:
        if asset.name == name and isinstance(asset, PlannedBattery | PlannedVehicle):
            return asset.capacity_kwh
    raise AssertionError(name)


def _come_and_go(
    settings: DispatchSettings, values: Mapping[int, float], state: _State, now: datetime, course: Course
) -> None:
    for asset in settings.assets:
        match asset:
            case PlannedBattery() if asset.name not in state.energy_kwh:
                pct = values[asset.state_of_charge]
                pct = FIRST_SOC_PCT if np.isnan(pct) else pct
                state.energy_kwh[asset.name] = asset.capacity_kwh * pct / 100
            case PlannedVehicle():
                is_here = values[asset.connected] >= 0.5  # for most of the step
                if is_here and asset.name not in state.plugged:
                    pct = values[asset.state_of_charge]
                    kwh = asset.capacity_kwh * (0.0 if np.isnan(pct) else min(max(pct, 0.0), 100.0)) / 100
                    state.plugged[asset.name] = now
                    state.energy_kwh[asset.name] = state.came_kwh[asset.name] = kwh
                elif not is_here and asset.name in state.plugged:
                    need = asset.capacity_kwh * asset.target_pct / 100 - state.came_kwh[asset.name]
                    got = state.energy_kwh.pop(asset.name) - state.came_kwh.pop(asset.name)
                    del state.plugged[asset.name]
                    course.departures.append(Departure(asset.name, now, got / need if need > 0 else 1.0))
            case _:
                pass


def _reader(values: Mapping[int, float]) -> Callable[[int], float | None]:
    return lambda tag: None if np.isnan(values[tag]) else values[tag]


def _windows(
    settings: DispatchSettings, values: dict[int, float], state: _State, now: datetime, zone: tzinfo
) -> dict[str, Window | None]:
    """Of deferrables; what is done of them is what the simulation did, so ``values`` is told."""
    found: dict[str, Window | None] = {}
    for asset in settings.assets:
        if isinstance(asset, PlannedDeferrable):
            window = found[asset.name] = window_of(asset, _reader(values), now, zone)
            state.done_kwh.setdefault(asset.name, 0.0)
            if window is None or not window.start < now < window.end:
                state.done_kwh[asset.name] = 0.0
            if asset.done is not None and window is not None:
                values[asset.done] = state.done_kwh[asset.name]
                found[asset.name] = replace(window, done_kwh=state.done_kwh[asset.name])
    return found


def _prices(settings: DispatchSettings, values: Mapping[int, float]) -> dict[str, dict[str, float]]:
    """Of ties, as far as tags tell them."""
    found: dict[str, dict[str, float]] = {}
    for asset in settings.assets:
        if isinstance(asset, PlannedTie):
            tags = {"import": asset.import_price, "export": asset.export_price}
            found[asset.name] = {way: values[tag] for way, tag in tags.items() if tag is not None}
    return found


def _solved(
    settings: DispatchSettings,
    names: Mapping[int, str],
    zone: tzinfo,
    means: Means,
    source: Source,
    values: Mapping[int, float],
    state: _State,
    shadow: Shadow,
    now: datetime,
) -> Solved:
    axis = Axis(now, settings.step, horizon_at(settings, now, settings.steps))
    memory = Memory(
        plugged=dict(state.plugged),
        soc_pct=_soc_pct(settings, state),
    )

    read = _reader(values)
    foreseen = foresee_all(settings, names, read, axis, means, source)
    day = shadow.today
    is_same_day = day is not None and day.day == day_name(settings, now, zone)
    peak_kw = day.peak_kw if day is not None and is_same_day else 0.0
    bound = bind(settings, read, memory, foreseen, axis, zone, peak_kw)
    return solve_job(
        Job(bound.site, now, axis.step, axis.horizon, settings.deadline_s, settings.gap_pct / 100, None)
    )


def _done(
    settings: DispatchSettings,
    values: Mapping[int, float],
    state: _State,
    plan: Plan | None,
    now: datetime,
    step: timedelta,
    course: Course,
) -> dict[str, float]:
    """The powers of the step as it goes, and what stores hold at its end."""
    hours = step / timedelta(hours=1)
    at = -1 if plan is None else (now - plan.start) // step
    planned: dict[str, float] = {}
    if plan is not None and 0 <= at < plan.horizon:
        planned = {name: float(powers[at]) for name, powers in plan.powers_kw.items()}
    powers: dict[str, float] = {}
    lack = 0.0
    for asset in settings.assets:
        match asset:
            case PlannedLoad() | PlannedRenewable():
                measured = values[asset.power]
                power = 0.0 if np.isnan(measured) else max(measured, 0.0)
                powers[asset.name] = power
                lack += power if isinstance(asset, PlannedLoad) else -power
            case PlannedBattery() | PlannedVehicle():
                if asset.name in state.energy_kwh:
                    wanted = planned.get(asset.name, 0.0)
                    powers[asset.name] = _within(asset, state.energy_kwh[asset.name], wanted, hours)
                    lack -= powers[asset.name]
            case PlannedTie():
                pass
            case PlannedDeferrable():
                powers[asset.name] = planned.get(asset.name, 0.0)
                lack += powers[asset.name]
                state.done_kwh[asset.name] += powers[asset.name] * hours
            case _:
                powers[asset.name] = planned.get(asset.name, 0.0)
                lack -= powers[asset.name]
    ties = [asset for asset in settings.assets if isinstance(asset, PlannedTie)]
    for tie in ties:
        limit = tie.import_max_kw
        if tie.import_limit is not None and not np.isnan(values[tie.import_limit]):
            limit = min(limit, max(values[tie.import_limit], 0.0))
        lack = _relieve(settings, state, powers, lack, limit, hours)
        course.over_kw = max(course.over_kw, lack - limit)
        powers[tie.name] = lack
    for asset in settings.assets:
        if isinstance(asset, PlannedBattery | PlannedVehicle) and asset.name in state.energy_kwh:
            power = powers[asset.name]
            into = max(-power, 0.0) * asset.charge_efficiency_pct / 100
            out = max(power, 0.0) / (asset.discharge_efficiency_pct / 100)
            state.energy_kwh[asset.name] = min(
                max(state.energy_kwh[asset.name] + (into - out) * hours, 0.0), asset.capacity_kwh
            )
    return powers


def _within(asset: PlannedBattery | PlannedVehicle, kwh: float, power: float, hours: float) -> float:
    """The power that the store can give or take for the whole step."""
    least = asset.capacity_kwh * asset.soc_min_pct / 100
    most = asset.capacity_kwh * (asset.soc_max_pct if isinstance(asset, PlannedBattery) else 100.0) / 100
    gives = max(kwh - least, 0.0) * asset.discharge_efficiency_pct / 100 / hours
    takes = max(most - kwh, 0.0) / (asset.charge_efficiency_pct / 100) / hours
    return max(min(power, asset.discharge_max_kw, gives), -min(asset.charge_max_kw, takes))


def _relieve(
    settings: DispatchSettings,
    state: _State,
    powers: dict[str, float],
    lack: float,
    limit: float,
    hours: float,
) -> float:
    """Charging gives way to the limit, of vehicles first, then batteries give. What the tie has to carry then."""
    for asset in settings.assets:
        if isinstance(asset, PlannedVehicle) and powers.get(asset.name, 0.0) < 0.0 and lack > limit:
            less = min(lack - limit, -powers[asset.name])
            powers[asset.name] += less
            lack -= less
    for asset in settings.assets:
        if isinstance(asset, PlannedBattery) and asset.name in powers and lack > limit:
            before = powers[asset.name]
            powers[asset.name] = _within(asset, state.energy_kwh[asset.name], before + lack - limit, hours)
            lack -= powers[asset.name] - before
    return lack
