"""The solver in a process of its own: a pickled `Job` on standard input, a pickled plan on standard output.

Whatever happens in here, a crash of the library included, the part goes on with the plan it has.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from historian.dispatch.axis import Axis
from historian.dispatch.model import Battery, Floats, Site
from historian.dispatch.naive import naive
from historian.dispatch.needs import reserve_need
from historian.dispatch.plan import Plan, Status
from historian.dispatch.planning import solve

NICE = 10  # control and devices go first
START_S = 20.0  # to begin, on a machine that is busy; beyond deadline and this it is killed


@dataclass(frozen=True, slots=True)
class Job:
    """What to solve. ``previous`` is where the solver begins."""

    site: Site
    start: datetime
    step: timedelta
    horizon: int
    deadline_s: float
    gap: float
    previous: Plan | None

    @property
    def axis(self) -> Axis:
        return Axis(self.start, self.step, self.horizon)


@dataclass(frozen=True, slots=True)
class Solved:
    """``naive_cost`` is the money that the rule would cost over the same horizon, for the same forecast."""

    plan: Plan
    naive_cost: float
    reserve_pct: Floats | None = None
    """What batteries are to hold at the begin of each step, of all their capacity; None without a reserve."""


def solve_job(job: Job) -> Solved:
    """Raises BadSite, ImportError."""
    plan = solve(
        job.site,
        job.start,
        job.step,
        job.horizon,
        deadline_s=job.deadline_s,
        gap=job.gap,
        previous=job.previous,
    )
    rule = naive(job.site, job.start, job.step, job.horizon)
    return Solved(plan, rule.costs.money, _reserve_pct(job))


def _reserve_pct(job: Job) -> Floats | None:
    """By capacity: who follows the plan gives nothing below, but for an island."""
    batteries = [asset for asset in job.site.assets if isinstance(asset, Battery)]
    capacity = sum(battery.capacity_kwh for battery in batteries)
    if job.site.reserve is None or not capacity:
        return None
    need = reserve_need(job.site, job.axis).energy_kwh
    efficiency = min(battery.discharge_efficiency for battery in batteries)
    least = sum(battery.energy_min_kwh for battery in batteries)
    return np.asarray(np.minimum(100 * (least + need / efficiency) / capacity, 100.0))


def main() -> None:
    job: Job = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the part that started us
    os.nice(NICE)
    # Should the part die meanwhile, nobody is left to end us: the alarm does, by its default action.
    signal.setitimer(signal.ITIMER_REAL, job.deadline_s + START_S)
    try:
        solved = solve_job(job)
    except (ImportError, ValueError) as error:
        failed = Plan(job.start, job.step, job.horizon, Status.FAILED, words=str(error))
        solved = Solved(failed, float("nan"))
    pickle.dump(solved, sys.stdout.buffer)
