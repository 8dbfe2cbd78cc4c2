"""Days of sixty ticks: sun, demand, prices and jobs, by the rules of the server that desk-top grids trade with.

A day has 300 s, a tick 5 s. Every tick draws one normal number with the seed day × 60 + tick, and demand and price
both go by it; every day draws its jobs with its own number as the seed.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from datetime import timedelta
from random import Random

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TICKS = 60
TICK = timedelta(seconds=5)

SUNRISE, DAYLIGHT = 15, 30
"""Ticks: the sun rises with the 15th and is up for 30."""
DEMAND_POINTS = ((0, 25), (10, 25), (20, 100), (50, 100), (TICKS, 25))
"""Tick and percent; straight between them."""
WATT_PER_PERCENT = 0.02
SUN_WATT_PER_PERCENT = 0.01
"""Of the panel: 0.05 J a tick, as its makers reckon."""
PRICE_LEAST, PRICE_BASE, PRICE_SPREAD = 10, 10.0, 20.0
"""Cents a joule."""
PRICE_PAID = 0.5
"""What the grid pays, of what it asks for."""
JOBS = (
    ((0, 0), (59, 59), (50.0, 50.0)),
    ((40, 50), (59, 59), (20.0, 40.0)),
    ((0, 70), (30, 59), (10.0, 50.0)),
)
"""Ranges of first tick, last tick and joules."""
SHORTEST_JOB = 10
"""Ticks."""

STORE_J = 50.0
DEMAND_MAX_J = 20.0
"""A tick, with the jobs."""
LOSS_J = 2.0
"""A tick."""


@dataclass(frozen=True, slots=True)
class Job:
    """Energy that may be had at any time from the tick ``start`` until the tick ``end`` begins."""

    start: int
    end: int
    energy_j: float


@dataclass(frozen=True, slots=True, eq=False)
class Day:
    """A value a tick."""

    number: int
    sun_w: Floats
    demand_w: Floats
    asked_cents: Floats
    """A joule, from the grid."""
    paid_cents: Floats
    """A joule, by the grid."""
    jobs: tuple[Job, ...]


def day_of(number: int) -> Day:
    # The server's own generator: only so are the days the same.
    drawn = [Random(number * TICKS + tick).gauss(0.0, 1.0) for tick in range(TICKS)]  # noqa: S311
    base = [_base_demand(tick) for tick in range(TICKS)]
    sun = [_sun(tick) for tick in range(TICKS)]
    asked = [
        max(PRICE_LEAST, int(PRICE_BASE + base[tick] - sun[tick] + drawn[tick] * PRICE_SPREAD))
        for tick in range(TICKS)
    ]
    return Day(
        number,
        np.array(sun) * SUN_WATT_PER_PERCENT,
        np.array([max(base[tick] * WATT_PER_PERCENT + drawn[tick], 0.0) for tick in range(TICKS)]),
        np.array(asked, dtype=np.float64),
        np.array([int(price * PRICE_PAID) for price in asked], dtype=np.float64),
        _jobs(number),
    )


def _sun(tick: int) -> int:
    """Percent; whole, as the server rounds it down."""
    if not SUNRISE <= tick < SUNRISE + DAYLIGHT:
        return 0
    return int(math.sin((tick - SUNRISE) * math.pi / DAYLIGHT) * 100)


def _base_demand(tick: int) -> int:
    for (before, low), (after, high) in itertools.pairwise(DEMAND_POINTS):
        if tick < after:
            return int((tick - before) / (after - before) * (high - low) + low)
    raise AssertionError(f"tick {tick}: a day has {TICKS}")


def _jobs(number: int) -> tuple[Job, ...]:
    random = Random(number)  # noqa: S311 - as above
    jobs = []
    for starts, ends, energies in JOBS:
        start, end = random.randint(*starts), random.randint(*ends)
        energy = random.uniform(*energies)
        if end - start < SHORTEST_JOB:
            if start + SHORTEST_JOB >= TICKS:
                start = end - SHORTEST_JOB
            else:
                end = start + SHORTEST_JOB
        jobs.append(Job(start, end, energy))
    return tuple(jobs)
