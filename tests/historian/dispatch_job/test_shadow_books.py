"""The books of the shadow, whatever comes: a plant that does as the rule does saves nothing, and nothing is lost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.dispatch import DispatchSettings, PlannedAsset, PlannedBattery, PlannedTie, PlannedVehicle
from historian.dispatch import GridTie, Site
from historian.dispatch.axis import Axis
from historian.dispatch.plan import settle
from historian.dispatch_job.binding import battery, tie
from historian.dispatch_job.kept import Kept, keep, recall
from historian.dispatch_job.measured import Measured, money
from historian.dispatch_job.shadow import Shadow
from historian.dispatch_job.shadow_rule import Rule
from historian.dispatch_job.shadow_vehicles import at_once

BEGIN = datetime(2026, 3, 2, 19, tzinfo=UTC)
STEP = timedelta(minutes=15)
H = 0.25


@pytest.fixture(scope="module")
def settings(site: Any) -> DispatchSettings:
    """With a demand charge, and a battery that keeps something back."""
    assets: list[PlannedAsset] = []
    for asset in site.dispatch.assets:
        match asset:
            case PlannedTie():
                assets.append(replace(asset, demand_charge_per_kw=0.5))
            case PlannedBattery():
                assets.append(replace(asset, soc_min_pct=40.0))
            case PlannedVehicle():
                assets.append(replace(asset, discharge_max_kw=8.0))
            case _:
                assets.append(asset)
    found: DispatchSettings = replace(site.dispatch, assets=tuple(assets))
    return found


@dataclass(frozen=True)
class Weather:
    """What comes, by steps; ``wants_kwh``: of a car that came at it, and stays until the next one or for good."""

    load: list[float]
    sun: list[float]
    losses: list[float]
    island: list[bool]
    wants_kwh: list[float | None]


@st.composite
def weathers(draw: st.DrawFn) -> Weather:
    count = draw(st.integers(4, 36))  # past midnight
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    islands = np.zeros(count, dtype=bool)
    for _ in range(draw(st.integers(0, 2))):
        begin = int(rng.integers(1, count))
        islands[begin : begin + int(rng.integers(1, 5))] = True
    wants: list[float | None] = [
        float(rng.uniform(0.0, 30.0)) if rng.random() < 0.1 else None for _ in range(count)
    ]
    return Weather(
        rng.uniform(0.0, 60.0, count).tolist(),
        (rng.uniform(0.0, 60.0, count) * (rng.random(count) < 0.4)).tolist(),
        rng.uniform(-2.0, 4.0, count).tolist(),
        islands.tolist(),
        wants,
    )


def plant_by_rule(weather: Weather) -> list[Measured]:
    """A plant whose control is the rule, written without a line of the shadow's: 100 kWh from 40 to 100 %, 50 kW,
    0.95 each way; a car takes 11 kW until it has what it wants.
    """
    steps, kwh, left, since, peak, day = [], 70.0, 0.0, None, 0.0, None
    for k, load in enumerate(weather.load):
        at = BEGIN + k * STEP
        if at.date() != day:
            day, peak = at.date(), 0.0
        if weather.wants_kwh[k] is not None:
            since, left = at, weather.wants_kwh[k] or 0.0
        car = min(11.0, left / H)
        lack = load + weather.losses[k] + car - weather.sun[k]
        begin = kwh
        if weather.island[k]:
            given = min(max(lack, -20.0, -(100.0 - kwh) / 0.95 / H), 20.0, kwh * 0.95 / H)
            kwh += -given * H * 0.95 if given < 0 else -given * H / 0.95
            grid = 0.0
        else:
            if lack > 0:
                given = min(lack, 50.0, max(kwh - 40.0, 0.0) * 0.95 / H)
                kwh -= given * H / 0.95
            else:
                given = -min(-lack, 50.0, (100.0 - kwh) / 0.95 / H)
                kwh -= given * H * 0.95
            grid = lack - given
            again = max(min((40.0 - kwh) / 0.95 / H, 50.0 + given, peak - grid), 0.0)
            kwh, given, grid = kwh + again * H * 0.95, given - again, grid + again
        left -= car * H
        peak = max(peak, grid)
        powers = {"load": load, "sun": weather.sun[k], "car": -car, "battery": given, "tie": grid}
        here = {} if since is None else {"car": since}
        steps.append(
            Measured(at, STEP, powers, {"battery": begin}, {"battery": kwh}, here, weather.island[k])
        )
    return steps


@given(weather=weathers(), restart=st.integers(0, 36))
def test_a_plant_that_does_what_the_rule_does_saves_nothing(
    settings: DispatchSettings, weather: Weather, restart: int
) -> None:
    shadow = Shadow()
    with TemporaryDirectory() as folder:
        for k, step in enumerate(plant_by_rule(weather)):
            day = shadow.account(settings, step, UTC)
            assert day.saving == pytest.approx(0.0, abs=1e-6)
            assert day.naive_peak_kw == pytest.approx(day.peak_kw)
            if k == restart:
                keep(Path(folder) / "kept.json", Kept(shadow=shadow))
                shadow = recall(Path(folder) / "kept.json").shadow


def under_some_plan(weather: Weather, seed: int) -> list[Measured]:
    """The same weather, battery and car as somebody likes."""
    rng = np.random.default_rng(seed)
    steps, kwh, since = [], 70.0, None
    for k, load in enumerate(weather.load):
        at = BEGIN + k * STEP
        since = at if weather.wants_kwh[k] is not None else since
        car = 0.0 if since is None else float(rng.choice([0.0, 0.0, 3.0, 12.0, -6.0]))
        given = float(rng.uniform(-20.0, 20.0)) if 20.0 < kwh < 90.0 else (10.0 if kwh > 50 else -10.0)
        begin, kwh = kwh, kwh - given * H * (0.9 if given < 0 else 1 / 0.9)
        grid = 0.0 if weather.island[k] else load + car - weather.sun[k] - given + weather.losses[k]
        powers = {"load": load, "sun": weather.sun[k], "car": -car, "battery": given, "tie": grid}
        here = {} if since is None else {"car": since}
        steps.append(
            Measured(at, STEP, powers, {"battery": begin}, {"battery": kwh}, here, weather.island[k])
        )
    return steps


@given(weather=weathers(), seed=st.integers(0, 2**32 - 1))
def test_what_is_booked_step_by_step_is_what_all_steps_cost_when_all_is_known(
    settings: DispatchSettings, weather: Weather, seed: int
) -> None:
    steps = under_some_plan(weather, seed)
    shadow, days = Shadow(), {}
    for step in steps:
        day = shadow.account(settings, step, UTC)
        days[day.day] = day
    rule, draws = Rule(), at_once(settings, steps, {})
    for step, draw in zip(steps, draws, strict=True):
        rule.step(settings, step, UTC, draw)
    assert sum(day.naive_cost for day in days.values()) == pytest.approx(rule.cost, abs=1e-6)
    # As much was taken by the rule's vehicle; what was given counts as what it takes to charge it again.
    real = np.array([-step.powers_kw["car"] for step in steps])
    rules = np.array([draw["car"] for draw in draws])
    taken, by_rule = (np.where(each < 0, each / 0.95**2, each).sum() * H for each in (real, rules))
    assert by_rule == pytest.approx(taken, abs=1e-6)


@given(weather=weathers(), seed=st.integers(0, 2**32 - 1))
def test_the_cost_of_all_days_is_what_was_paid_less_the_worth_of_what_came_into_the_battery(
    settings: DispatchSettings, weather: Weather, seed: int
) -> None:
    nobody = replace(weather, wants_kwh=[None] * len(weather.load))
    steps = under_some_plan(nobody, seed)
    shadow, days = Shadow(), {}
    for step in steps:
        day = shadow.account(settings, step, UTC)
        days[day.day] = day
    paid = 0.0
    for step in steps:
        grid, hour = step.powers_kw["tie"], step.start.hour
        paid += grid * H * ((0.4 if 17 <= hour < 21 else 0.2) if grid > 0 else 0.05)
        paid += 0.02 * H * max(step.powers_kw["battery"], 0.0)
    paid += sum(0.5 * day.peak_kw for day in days.values())
    rose = steps[-1].soc_end_pct["battery"] - steps[0].soc_pct["battery"]
    assert sum(day.cost for day in days.values()) == pytest.approx(paid - 0.15 * rose)


@given(powers=st.tuples(*[st.floats(-50.0, 50.0)] * 2), peak=st.floats(0.0, 60.0), hour=st.integers(0, 23))
def test_a_step_costs_the_plant_what_the_plan_reckons_it_to_cost(
    settings: DispatchSettings, powers: tuple[float, float], peak: float, hour: int
) -> None:
    at = BEGIN.replace(hour=hour)
    told = dict(zip(("tie", "battery"), powers, strict=True))
    rise = -powers[1] * H * (0.95 if powers[1] < 0 else 1 / 0.95)
    step = Measured(at, STEP, told, {"battery": 50.0}, {"battery": 50.0 + rise}, {})
    axis = Axis(at, STEP, 1)
    by_name = {asset.name: asset for asset in settings.assets}
    planned = by_name["tie"], by_name["battery"]
    assert isinstance(planned[0], PlannedTie)
    assert isinstance(planned[1], PlannedBattery)
    grid: GridTie = tie(planned[0], 100.0, 100.0, {}, axis, UTC, peak)
    settled = settle(
        Site((grid, battery(planned[1], 50.0))), axis, {n: np.array([p]) for n, p in told.items()}, {}
    )
    found = money(settings, step, UTC, told, step.stored_kwh(settings), peak, {})
    assert found == pytest.approx(settled.costs.money, abs=1e-9)
