"""Random sites: every constraint holds by an independent look, and the rule is never cheaper."""

from __future__ import annotations

import os

import pytest
from dispatch_checker import Checker
from dispatch_instances import START, STEP, site_of

from historian.dispatch import naive, solve

SEEDS = int(os.environ.get("TIELINE_DISPATCH_SEEDS", "40"))
HORIZON = 12
GAP = 0.002


@pytest.mark.parametrize("first", range(0, SEEDS, 8))
def test_plans_hold_every_constraint_and_cost_no_more_than_the_rule(first: int) -> None:
    compared = 0
    for seed in range(first, first + 8):
        site = site_of(seed, HORIZON)
        plan = solve(site, START, STEP, HORIZON, gap=GAP, deadline_s=60)
        assert plan.is_usable, (
            f"seed {seed}: {plan.status} {plan.words} {[str(each) for each in plan.conflicts]}"
        )
        seen = Checker(site, plan)
        assert not seen.broken, f"seed {seed}: {seen.broken[:5]}"
        assert plan.costs.total == pytest.approx(seen.total, abs=1e-5, rel=1e-9), f"seed {seed}"
        # What the solver minimised is what the plan is said to cost.
        slack = GAP * abs(plan.costs.total) + 1e-5
        assert plan.bound - 1e-5 <= plan.costs.total <= plan.bound + slack, f"seed {seed}"
        rule = naive(site, START, STEP, HORIZON)
        seen_of_rule = Checker(site, rule)
        if seen_of_rule.broken or rule.imbalance_kw.any():
            continue  # the rule looks at no group, so that it may do what a plan may not
        compared += 1
        assert rule.costs.total == pytest.approx(seen_of_rule.total, abs=1e-5, rel=1e-9), f"seed {seed}"
        worst = rule.costs.total + plan.gap * abs(plan.costs.total) + 1e-6
        assert plan.costs.total <= worst, f"seed {seed}"
    assert compared >= 2
