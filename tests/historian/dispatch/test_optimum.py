"""Against an optimum by enumeration: a linear program for each choice of every binary, by SciPy, written anew."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy.optimize import linprog

from historian.dispatch import Battery, Genset, GridTie, Load, Renewable, Site, Status, solve

START = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
STEPS = 3


def small_site(seed: int) -> Site:
    random = np.random.default_rng(seed)
    return Site(
        (
            Load("load", random.uniform(5, 30, STEPS)),
            Renewable("sun", random.uniform(0, 40, STEPS), curtailable=seed % 2 == 0),
            Battery(
                *("battery", 20.0, random.uniform(5, 20), 12.0, 12.0, 0.8, 0.9),
                wear_cost_per_kwh=0.01,
                end_value_per_kwh=float(random.uniform(0, 0.2)),
            ),
            Genset(
                *("genset", 8.0, 20.0, 0.15, 0.5, 1.0),
                min_up=2 * HOUR,
                min_down=2 * HOUR,
                running=bool(seed % 3 == 0),
                unchanged_for=HOUR,
            ),
            # Prices below 0, and sales above purchases: both exclusivities matter.
            GridTie(
                "grid",
                *(random.uniform(-0.3, 0.4, STEPS), random.uniform(-0.3, 0.5, STEPS), 18.0, 15.0),
                demand_charge_per_kw=0.2,
            ),
        )
    )


def commitments(genset: Genset) -> list[tuple[int, ...]]:
    """Those that keep two hours on and two hours off; it has been unchanged for one."""
    allowed = []
    for on in itertools.product((0, 1), repeat=STEPS):
        runs = [[int(genset.running), 1]]
        for state in on:
            if state == runs[-1][0]:
                runs[-1][1] += 1
            else:
                runs.append([state, 1])
        if all(length >= 2 for _, length in runs[:-1]):
            allowed.append(on)
    return allowed


def least_cost(site: Site) -> float:
    load, sun, battery, genset, grid = (site.by_name[n] for n in ("load", "sun", "battery", "genset", "grid"))
    best = np.inf
    # x = charge, discharge, buy, sell, genset, cut (each a step), peak
    cost = np.concatenate(
        (
            np.full(STEPS, -battery.end_value_per_kwh * 0.8),
            np.full(STEPS, battery.end_value_per_kwh / 0.9 + 0.01),
            *(
                grid.import_price_per_kwh,
                -grid.export_price_per_kwh,
                np.full(STEPS, 0.15),
                np.zeros(STEPS),
                [0.2],
            ),
        )
    )
    one, none = np.eye(STEPS), np.zeros((STEPS, STEPS))
    balance = np.hstack([-one, one, one, -one, one, -one, np.zeros((STEPS, 1))])
    lower = np.tril(np.ones((STEPS, STEPS)))
    energy = np.hstack([0.8 * lower, -lower / 0.9, none, none, none, none, np.zeros((STEPS, 1))])
    peak = np.hstack([none, none, one, none, none, none, -np.ones((STEPS, 1))])
    for on in commitments(genset):
        starts = sum(now > before for before, now in zip((int(genset.running), *on), on, strict=False))
        fixed = sum(on) * 0.5 + starts * 1.0
        for charging in itertools.product((0, 1), repeat=STEPS):
            for buying in itertools.product((0, 1), repeat=STEPS):
                bounds = [(0, 12 * c) for c in charging] + [(0, 12 * (1 - c)) for c in charging]
                bounds += [(0, 18 * b) for b in buying] + [(0, 15 * (1 - b)) for b in buying]
                bounds += [(8 * u, 20 * u) for u in on]
                bounds += [(0, p if sun.curtailable else 0) for p in sun.power_kw] + [(0, None)]
                found = linprog(
                    cost,
                    np.vstack((energy, -energy, peak)),
                    np.concatenate(
                        (
                            np.full(STEPS, 20 - battery.energy_kwh),
                            np.full(STEPS, battery.energy_kwh),
                            np.zeros(STEPS),
                        )
                    ),
                    balance,
                    load.power_kw - sun.power_kw,
                    bounds,
                )
                if found.status == 0:
                    best = min(best, found.fun + fixed)
    return best


@pytest.mark.parametrize("seed", [3, 9])
def test_the_cost_is_that_of_the_best_of_all_choices(seed: int) -> None:
    site = small_site(seed)
    plan = solve(site, START, HOUR, STEPS, gap=0.0)
    assert plan.status is Status.OPTIMAL
    assert plan.costs.total == pytest.approx(least_cost(site), abs=1e-6)
