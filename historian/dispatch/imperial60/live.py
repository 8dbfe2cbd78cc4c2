"""The plant played tick by tick: the plan made anew at every tick, beside the rule and beside one who knows all.

The plant: a store of 50 J, at most 20 J of demand a tick with its jobs, 2 J a tick that its converters lose, and a
tie to the grid. What is dispatched counts in mW and mWh, so that numbers are of the size that the solver is made for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from gateway.scenarios.imperial60 import DEMAND_MAX_J, LOSS_J, STORE_J, TICK, TICKS, Day, Job, day_of
from historian.dispatch.model import (
    Asset,
    Battery,
    Deferrable,
    Floats,
    GridTie,
    Group,
    Load,
    Renewable,
    Site,
)
from historian.dispatch.naive import naive
from historian.dispatch.planning import solve

TIE_MAX_J = 100.0
"""A tick; above all that the plant could draw or give at once, as its tie has no limit of its own."""

MWH_PER_J = 1 / 3.6
MW_PER_J_A_TICK = 1000 / TICK.total_seconds()

PAST_DAYS = 20
"""Whose mean, tick by tick, is what is expected of the ticks to come."""

MARGIN_TICKS = 3
"""By which jobs are planned to be done early: demand that turns out above its mean takes what they were left."""

DEADLINE_S = 60.0
"""Thousands of times what it takes: here a plan that is not found is a defect."""

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
SMALL_J = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """Of one player. Cents paid less cents earned."""

    cost_cents: Floats
    """A day."""
    missed_j: float
    """Of jobs."""
    store_j: Floats
    """At the end of each tick."""
    bought_j: Floats
    """In each tick; below 0 where it sold."""
    solver_ms: Floats
    """Of each plan."""


@dataclass(frozen=True, slots=True)
class Played:
    rule: Result
    plan: Result
    foresight: Result
    """Planned once, with all that was to come known: nobody can do better."""

    @property
    def saved_cents(self) -> Floats:
        """A day, by the plan against the rule."""
        return self.rule.cost_cents - self.plan.cost_cents


def play(first_day: int, days: int) -> Played:
    """``first_day`` has PAST_DAYS before it, whose numbers may be below 0."""
    past = [day_of(number) for number in range(first_day - PAST_DAYS, first_day)]
    actual = [day_of(number) for number in range(first_day, first_day + days)]
    return Played(_by_rule(actual), _by_plan(past, actual), _by_foresight(actual))


def _demand_j(days: Sequence[Day]) -> Floats:
    return np.minimum(np.concatenate([day.demand_w for day in days]) * TICK.total_seconds(), DEMAND_MAX_J)


def _sun_j(days: Sequence[Day]) -> Floats:
    return np.concatenate([day.sun_w for day in days]) * TICK.total_seconds()


def _prices(days: Sequence[Day]) -> tuple[Floats, Floats]:
    return np.concatenate([day.asked_cents for day in days]), np.concatenate([day.paid_cents for day in days])


def _site(
    demand_j: Floats,
    sun_j: Floats,
    asked: Floats,
    paid: Floats,
    held_j: float,
    jobs: Sequence[tuple[int, Job]],
) -> Site:
    """From tick 0 of the series; ``jobs`` with the tick that they count from."""
    assets: list[Asset] = [
        Load("demand", demand_j * MW_PER_J_A_TICK, group="loads"),
        Load("losses", LOSS_J * MW_PER_J_A_TICK),
        Renewable("sun", sun_j * MW_PER_J_A_TICK),
        Battery(
            *("store", STORE_J * MWH_PER_J, min(held_j, STORE_J) * MWH_PER_J),
            *(STORE_J * MW_PER_J_A_TICK, STORE_J * MW_PER_J_A_TICK, 1.0, 1.0),
        ),
        GridTie(
            *("grid", asked / MWH_PER_J, paid / MWH_PER_J),
            *(TIE_MAX_J * MW_PER_J_A_TICK, TIE_MAX_J * MW_PER_J_A_TICK),
        ),
    ]
    for number, (origin, job) in enumerate(jobs):
        assets.append(
            Deferrable(
                *(f"job{number}", EPOCH + (origin + job.start) * TICK, EPOCH + (origin + job.end) * TICK),
                energy_kwh=job.energy_j * MWH_PER_J,
                power_max_kw=DEMAND_MAX_J * MW_PER_J_A_TICK,
                group="loads",
            )
        )
    # A job that is missed costs ten times the dearest joule: they are run.
    dear = 10 * float(asked.max()) / MWH_PER_J
    loads = Group("loads", DEMAND_MAX_J * MW_PER_J_A_TICK, 0.0)
    return Site(tuple(assets), (loads,), shortfall_cost_per_kwh=dear)


def _cost(bought_j: Floats, days: Sequence[Day]) -> Floats:
    asked, paid = _prices(days)
    cents = np.where(bought_j > 0, asked, paid) * bought_j
    return np.asarray(cents.reshape(-1, TICKS).sum(axis=1), dtype=np.float64)


def _by_rule(days: Sequence[Day]) -> Result:
    """Sun to demand, then the store, then the grid; jobs run as soon as they may, within the limit of demand."""
    demand = _demand_j(days)
    missed = 0.0
    for number, day in enumerate(days):
        for job in day.jobs:
            left = job.energy_j
            for tick in range(number * TICKS + job.start, number * TICKS + job.end):
                now = min(DEMAND_MAX_J - demand[tick], left)
                demand[tick] += now
                left -= now
            missed += left
    site = _site(demand, _sun_j(days), *_prices(days), 0.0, ())
    plan = naive(site, EPOCH, TICK, len(demand))
    bought = plan.powers_kw["grid"] / MW_PER_J_A_TICK
    store = plan.energies_kwh["store"] / MWH_PER_J
    return Result(_cost(bought, days), missed, store, bought, np.empty(0))


def _by_foresight(days: Sequence[Day]) -> Result:
    jobs = [(number * TICKS, job) for number, day in enumerate(days) for job in day.jobs]
    site = _site(_demand_j(days), _sun_j(days), *_prices(days), 0.0, jobs)
    plan = solve(site, EPOCH, TICK, len(days) * TICKS, gap=0.0, deadline_s=DEADLINE_S)
    assert plan.is_usable, plan.words
    bought = plan.powers_kw["grid"] / MW_PER_J_A_TICK
    store = plan.energies_kwh["store"] / MWH_PER_J
    missed = sum(plan.shortfall_kwh.values()) / MWH_PER_J
    return Result(_cost(bought, days), missed, store, bought, np.array([plan.solver_s * 1000]))


@dataclass(frozen=True, slots=True)
class Tick:
    """One of the plan's."""

    day: Day
    tick: int
    bought_j: float
    store_j: float
    """At its end."""
    jobs_left_j: float
    """Of the day's jobs; at its last tick they are missed."""
    solver_ms: float


def plan_ticks(past: Sequence[Day], days: Iterable[Day]) -> Iterator[Tick]:
    """At each tick what it is now is known, and of the day to come the mean of the days before, tick by tick."""
    known, held = list(past), 0.0
    for day in days:
        mean, left = _Expected(known), list(day.jobs)
        demand, sun, (asked, paid) = _demand_j([day]), _sun_j([day]), _prices([day])
        for tick in range(TICKS):
            later = (tick + np.arange(1, TICKS)) % TICKS
            site = _site(
                np.concatenate((demand[tick : tick + 1], mean.demand_j[later])),
                np.concatenate((sun[tick : tick + 1], mean.sun_j[later])),
                np.concatenate((asked[tick : tick + 1], mean.asked[later])),
                np.concatenate((paid[tick : tick + 1], mean.paid[later])),
                held,
                [(-tick, _early(job, tick)) for job in left if _is_open(job, tick)],
            )
            plan = solve(site, EPOCH, TICK, TICKS, gap=0.0, deadline_s=DEADLINE_S)
            assert plan.is_usable, plan.words
            held = min(max(float(plan.energies_kwh["store"][0]) / MWH_PER_J, 0.0), STORE_J)
            bought = float(plan.powers_kw["grid"][0]) / MW_PER_J_A_TICK
            left = _after(left, tick, plan.powers_kw)
            yield Tick(day, tick, bought, held, sum(job.energy_j for job in left), plan.solver_s * 1000)
        known = [*known[1:], day]


def _by_plan(past: Sequence[Day], days: Sequence[Day]) -> Result:
    ticks = list(plan_ticks(past, days))
    bought = np.array([each.bought_j for each in ticks])
    return Result(
        _cost(bought, days),
        sum(each.jobs_left_j for each in ticks if each.tick == TICKS - 1),
        np.array([each.store_j for each in ticks]),
        bought,
        np.array([each.solver_ms for each in ticks]),
    )


def watch(first_day: int, days: int) -> Iterator[tuple[Tick, Result]]:
    """The plan's ticks as they come, each with the rule's course from the first day to the end of its own day."""
    actual = [day_of(number) for number in range(first_day, first_day + days)]
    past = [day_of(number) for number in range(first_day - PAST_DAYS, first_day)]
    rule = None
    for each in plan_ticks(past, actual):
        if rule is None or each.tick == 0:
            rule = _by_rule(actual[: each.day.number - first_day + 1])
        yield each, rule


def _is_open(job: Job, tick: int) -> bool:
    return job.end > tick and job.energy_j > SMALL_J


def _early(job: Job, tick: int) -> Job:
    return Job(job.start, min(max(job.end - MARGIN_TICKS, tick + 1, job.start + 1), job.end), job.energy_j)


def _after(jobs: Sequence[Job], tick: int, powers_mw: Mapping[str, Floats]) -> list[Job]:
    """What is left of the jobs when the tick is over; their order in the site is that of those still open."""
    left, number = [], 0
    for job in jobs:
        taken = 0.0
        if _is_open(job, tick):
            taken = float(powers_mw[f"job{number}"][0]) / MW_PER_J_A_TICK
            number += 1
        left.append(Job(job.start, job.end, max(job.energy_j - taken, 0.0)))
    return left


class _Expected:
    """The mean of days, tick by tick; the sun is the same every day."""

    __slots__ = ("asked", "demand_j", "paid", "sun_j")

    def __init__(self, days: Sequence[Day]) -> None:
        self.asked = np.mean([day.asked_cents for day in days], axis=0)
        self.paid = np.mean([day.paid_cents for day in days], axis=0)
        self.demand_j = np.mean([_demand_j([day]) for day in days], axis=0)
        self.sun_j = _sun_j(days[-1:])
