"""Simulated annealing keeps every limit, and is no better than what is proven."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from dispatch_checker import Checker
from dispatch_instances import START, STEP, site_of

from historian.dispatch import (
    Battery,
    ElectricVehicle,
    GridTie,
    Load,
    Site,
    Solver,
    Status,
    anneal,
    naive,
    solve,
)

HORIZON = 8
LONG = 600.0  # seconds: what ends it is the number of moves


@pytest.mark.parametrize("seed", range(6))
def test_a_plan_keeps_every_limit_and_costs_no_less_than_the_bound(seed: int) -> None:
    site = site_of(seed, HORIZON)
    found = anneal(site, START, STEP, HORIZON, moves=600, deadline_s=LONG)
    assert found.status is Status.FEASIBLE
    seen = Checker(site, found)
    assert seen.broken == []
    assert found.costs.total == pytest.approx(seen.total, abs=1e-6)
    assert found.gap == np.inf
    best = solve(site, START, STEP, HORIZON, gap=1e-6, deadline_s=60)
    assert found.costs.total >= best.bound - 1e-5
    rule = naive(site, START, STEP, HORIZON)
    if not Checker(site, rule).broken and not rule.imbalance_kw.any():
        assert found.costs.total <= rule.costs.total + 1e-6


def test_a_battery_finds_the_dear_hours() -> None:
    start = datetime(2026, 6, 1, tzinfo=UTC)
    store = Battery("battery", 20.0, 0.0, 10.0, 10.0, 0.9, 0.9)
    site = Site((Load("house", 6.0), store, GridTie("grid", [0.1, 0.2, 0.1, 0.5, 0.6, 0.3], 0.0, 40.0, 40.0)))
    best = solve(site, start, timedelta(hours=1), 6, gap=0.0, deadline_s=60)
    found = anneal(site, start, timedelta(hours=1), 6, moves=4000, deadline_s=LONG)
    assert found.costs.total == pytest.approx(best.costs.total, rel=0.01)


def test_the_same_seed_gives_the_same_plan() -> None:
    first, again = (
        anneal(site_of(3, HORIZON), START, STEP, HORIZON, moves=300, deadline_s=LONG, seed=4)
        for _ in range(2)
    )
    assert first.is_usable
    for name, power in first.powers_kw.items():
        assert np.array_equal(power, again.powers_kw[name])
    assert first.words == "320 moves of simulated annealing"


def test_where_limits_cannot_hold_there_is_no_plan() -> None:
    tight = GridTie("grid", 0.3, 0.0, 2.0, 0.0)
    dark = anneal(Site((Load("house", 5.0), tight)), START, STEP, 4, moves=64, deadline_s=LONG)
    assert dark.status is Status.LATE
    assert "no plan that keeps every limit" in dark.words
    car = ElectricVehicle("car", 50.0, 0.0, START, START + 4 * STEP, 50.0, 2.0, firm=True)
    assert anneal(Site((car, tight)), START, STEP, 4, moves=64, deadline_s=LONG).status is Status.LATE


def test_it_is_chosen_by_name_and_takes_its_time() -> None:
    site = site_of(3, 6)
    named = solve(site, START, STEP, 6, deadline_s=0.05, solver=Solver.ANNEALING)
    assert named.is_usable
    assert "simulated annealing" in named.words
    assert named.solver_s >= 0.05
    assert solve(site, START, STEP, 6, deadline_s=60.0).status is Status.OPTIMAL
