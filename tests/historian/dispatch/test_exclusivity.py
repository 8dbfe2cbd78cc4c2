"""Binaries only where they are needed: looked at from outside, by the program without any of them."""

from __future__ import annotations

import numpy as np
import pytest
from dispatch_checker import Checker
from dispatch_instances import START, STEP, site_of

from historian.dispatch import GridTie, Site, solve
from historian.dispatch.axis import Axis
from historian.dispatch.formulate import formulate
from historian.dispatch.formulation import Formulation
from historian.dispatch.solver import Outcome, run

HORIZON = 8


def dear_to_hold(seed: int) -> Site:
    """A random site at whose tie it is paid to draw for three steps, and selling pays more than buying for two."""
    site = site_of(seed, HORIZON)
    tie = site.by_name["grid"]
    assert isinstance(tie, GridTie)
    buy, sell = np.array(tie.import_price_per_kwh), np.array(tie.export_price_per_kwh)
    buy[1:4], sell[1:4] = -0.4, -0.5
    sell[6:] = buy[6:] + 0.1
    odd = GridTie("grid", buy, sell, 400.0, 400.0)
    assets = tuple(odd if asset.name == "grid" else asset for asset in site.assets)
    return Site(assets, site.groups, site.reserve, site.events, site.shortfall_cost_per_kwh)


def both_used(f: Formulation) -> int:
    """At how many steps a solution with none of the binaries does both of what excludes each other."""
    solution = run(f.matrix.program(), 60.0, 1e-6)
    assert solution.outcome is Outcome.SOLVED
    return sum(
        int((pair.matters & (np.minimum(solution.values[pair.up], solution.values[pair.down]) > 1e-7)).sum())
        for pair in f.exclusives
    )


def cost_with_all(f: Formulation) -> float:
    for pair in f.exclusives:
        f.add_exclusive(pair, np.arange(HORIZON, dtype=np.int32))
    return run(f.matrix.program(), 60.0, 1e-6).bound


@pytest.mark.parametrize("first", [0, 2])
def test_there_is_none_where_none_is_violated_and_the_cost_is_that_of_all_of_them(first: int) -> None:
    needed = 0
    for seed in range(first, first + 2):
        for site in (site_of(seed, HORIZON), dear_to_hold(seed)):
            f = formulate(site, Axis(START, STEP, HORIZON))
            wrong = both_used(f)
            plan = solve(site, START, STEP, HORIZON, gap=1e-6, deadline_s=60)
            assert Checker(site, plan).broken == []
            tie = site.by_name["grid"]
            assert isinstance(tie, GridTie)
            if np.min(tie.import_price_per_kwh) >= 0.0:  # below, they are there from the start
                assert (plan.exclusive_steps > 0) == (plan.rounds > 1), f"seed {seed}"
                assert wrong or plan.exclusive_steps == 0, f"seed {seed}"
            pairs = sum(int(pair.matters.sum()) for pair in f.exclusives)
            assert plan.exclusive_steps <= pairs, f"seed {seed}"
            best = cost_with_all(f)
            assert plan.costs.total == pytest.approx(best, abs=1e-4, rel=1e-5), f"seed {seed}"
            needed += plan.exclusive_steps > 0
    assert needed  # some of them were not left out
