"""A day's plan at 96 steps of 15 minutes: 20 and 55 assets, beside the same with all binaries.

    python benchmarks/dispatch.py [--rounds 5] [--peer-limit 20]

The peer is ``scipy.optimize.milp``, which is HiGHS too: what differs is that it gets the exclusivity of every
battery, vehicle and tie at every step at once, as such programs are usually written.
"""

from __future__ import annotations

import argparse
import statistics
import time
from datetime import UTC, datetime, timedelta

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csc_matrix

from historian.dispatch import (
    Asset,
    Battery,
    Deferrable,
    ElectricVehicle,
    Genset,
    GridTie,
    Group,
    Load,
    Renewable,
    Reserve,
    Site,
    naive,
    solve,
)
from historian.dispatch.axis import Axis
from historian.dispatch.formulate import formulate

START = datetime(2026, 6, 1, tzinfo=UTC)
STEP = timedelta(minutes=15)
STEPS = 96
GAP = 0.005


def site_of(seed: int, batteries: int, vehicles: int, gensets: int, deferrables: int) -> Site:
    """Beside these: a load, sun and a grid tie, whose sizes go by the number of vehicles."""
    random = np.random.default_rng(seed)
    hours = np.arange(STEPS) / 4
    scale = vehicles / 10
    sun = 120 * scale * np.maximum(np.sin((hours - 6) / 12 * np.pi), 0)
    demand = scale * (60 + 25 * np.sin((hours - 14) / 24 * 2 * np.pi) + random.normal(0, 4, STEPS))
    price = 0.22 + 0.10 * np.sin((hours - 15) / 12 * 2 * np.pi) + random.normal(0, 0.01, STEPS)
    assets: list[Asset] = [
        Load("load", np.maximum(demand, 5)),
        Renewable("pv", sun),
        GridTie("grid", price, 0.06, 130 * scale, 130 * scale, demand_charge_per_kw=0.5),
    ]
    for n in range(batteries):
        assets.append(
            Battery(
                *(f"battery{n}", 100.0, random.uniform(30, 70), 40.0, 40.0, 0.95, 0.95),
                energy_min_kwh=10.0,
                wear_cost_per_kwh=0.02,
                end_value_per_kwh=0.15,
            )
        )
    for n in range(vehicles):
        arrival = START + timedelta(hours=float(random.uniform(0, 14)))
        departure = arrival + timedelta(hours=float(random.uniform(4, 10)))
        gives = 11.0 if n % 3 == 0 else 0.0
        assets.append(
            ElectricVehicle(
                *(
                    f"ev{n}",
                    60.0,
                    random.uniform(10, 25),
                    arrival,
                    departure,
                    random.uniform(30, 50),
                    22.0,
                    gives,
                ),
                energy_min_kwh=10.0,
                wear_cost_per_kwh=0.04,
                group=f"feeder{n % 2}",
            )
        )
    for n in range(gensets):
        hour = timedelta(hours=1)
        assets.append(Genset(f"genset{n}", 15.0, 50.0, 0.27 + 0.02 * n, 1.0, 4.0, 2 * hour, hour))
    for n in range(deferrables):
        start = START + timedelta(hours=float(random.uniform(0, 12)))
        end = start + timedelta(hours=float(random.uniform(4, 10)))
        assets.append(Deferrable(f"job{n}", start, end, random.uniform(5, 20), 10.0))
    groups = (Group("feeder0", 60 * scale, 60 * scale), Group("feeder1", 60 * scale, 60 * scale))
    return Site(tuple(assets), groups, Reserve(timedelta(hours=1), renewable_share=0.3))


def peer(site: Site, limit_s: float) -> tuple[float, float, float, str]:
    """Wall and CPU seconds, gap and the outcome, with every exclusivity binary."""
    wall, cpu = time.perf_counter(), time.process_time()
    f = formulate(site, Axis(START, STEP, STEPS))
    for pair in f.exclusives:
        f.add_exclusive(pair, np.flatnonzero((pair.up_max > 0) & (pair.down_max > 0)).astype(np.int32))
    p = f.matrix.program()
    matrix = csc_matrix((p.values, p.rows, p.starts), shape=(len(p.row_lower), len(p.cost)))
    found = milp(
        p.cost,
        integrality=p.integer.astype(int),
        bounds=Bounds(p.lower, p.upper),
        constraints=LinearConstraint(matrix, p.row_lower, p.row_upper),
        options={"time_limit": limit_s, "mip_rel_gap": GAP},
    )
    spent = time.perf_counter() - wall, time.process_time() - cpu
    if found.x is None:
        return *spent, float("nan"), "no plan"
    return *spent, float(found.mip_gap), f"{found.fun + p.offset:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer-limit", type=float, default=20.0, help="seconds")
    arguments = parser.parse_args()
    solve(site_of(0, 1, 2, 0, 0), START, STEP, 4)  # loads the solver
    # batteries, vehicles, gensets, deferrables: 20 and 55 assets beside load, sun and tie
    for sizes in ((4, 10, 2, 4), (10, 34, 3, 8)):
        walls, cpus = [], []
        for seed in range(arguments.rounds):
            site = site_of(seed, *sizes)
            cpu = time.process_time()
            plan = solve(site, START, STEP, STEPS, gap=GAP, deadline_s=30)
            cpus.append(time.process_time() - cpu)
            walls.append(plan.solver_s)
            rule = naive(site, START, STEP, STEPS)
            print(
                f"{sum(sizes)} assets, seed {seed}: {plan.status.value} {plan.costs.total:.2f}"
                f" (rule {rule.costs.total:.2f}), gap {plan.gap:.2%},"
                f" {plan.solver_s:.2f} s, CPU {cpus[-1]:.2f} s, {plan.rounds} rounds,"
                f" {plan.exclusive_steps} steps with an exclusivity"
            )
        print(
            f"{sum(sizes)} assets: median {statistics.median(walls):.2f} s, CPU {statistics.median(cpus):.2f} s"
        )
        wall, cpu, gap, outcome = peer(site_of(0, *sizes), arguments.peer_limit)
        print(
            f"{sum(sizes)} assets by scipy.optimize.milp: {outcome}, gap {gap:.2%}, {wall:.2f} s, CPU {cpu:.2f} s"
        )


if __name__ == "__main__":
    main()
