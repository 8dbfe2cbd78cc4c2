"""A day's plan at 96 steps of 15 minutes: 20 and 55 assets, beside others' ways to the same; what it does where it is
hard; and simulated annealing on the same sites.

    python benchmarks/energy/dispatch.py [--rounds 5] [--peer-limit 75] [--moves 20000]

Peers, all of them HiGHS: ``scipy.optimize.milp`` with the exclusivity of every battery, vehicle and tie at every
step, as such programs are usually written; and highspy's own modelling layer, an expression a row, without them.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import highspy
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
    Plan,
    Renewable,
    Reserve,
    Site,
    anneal,
    naive,
    solve,
)
from historian.dispatch.axis import Axis
from historian.dispatch.formulate import formulate
from historian.dispatch.imperial60 import play
from historian.dispatch.matrix import Program

START = datetime(2026, 6, 1, tzinfo=UTC)
STEP = timedelta(minutes=15)
STEPS = 96
GAP = 0.005


def site_of(
    seed: int, batteries: int, vehicles: int, gensets: int, deferrables: int, steps: int = STEPS
) -> Site:
    """Beside these: a load, sun and a grid tie, whose sizes go by the number of vehicles."""
    random = np.random.default_rng(seed)
    hours = np.arange(steps) / 4
    scale = vehicles / 10
    sun = 120 * scale * np.maximum(np.sin((hours - 6) / 12 * np.pi), 0)
    demand = scale * (60 + 25 * np.sin((hours - 14) / 24 * 2 * np.pi) + random.normal(0, 4, steps))
    price = 0.22 + 0.10 * np.sin((hours - 15) / 12 * 2 * np.pi) + random.normal(0, 0.01, steps)
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


def with_all_binaries(site: Site) -> Program:
    f = formulate(site, Axis(START, STEP, STEPS))
    for pair in f.exclusives:
        f.add_exclusive(pair, np.flatnonzero((pair.up_max > 0) & (pair.down_max > 0)).astype(np.int32))
    return f.matrix.program()


def by_scipy(site: Site, limit_s: float) -> tuple[float, float, float]:
    """CPU seconds, gap and cost, with every exclusivity binary."""
    cpu = time.process_time()
    p = with_all_binaries(site)
    matrix = csc_matrix((p.values, p.rows, p.starts), shape=(len(p.row_lower), len(p.cost)))
    found = milp(
        p.cost,
        integrality=p.integer.astype(int),
        bounds=Bounds(p.lower, p.upper),
        constraints=LinearConstraint(matrix, p.row_lower, p.row_upper),
        options={"time_limit": limit_s, "mip_rel_gap": GAP},
    )
    spent = time.process_time() - cpu
    if found.x is None:
        return spent, math.nan, math.nan
    return spent, float(found.mip_gap), float(found.fun) + p.offset


def by_expressions(site: Site) -> tuple[float, float]:
    """CPU seconds and cost: the same rows as expressions of highspy's modelling layer, no exclusivity binary."""
    program = formulate(site, Axis(START, STEP, STEPS)).matrix.program()
    entries = csc_matrix(
        (program.values, program.rows, program.starts), shape=(len(program.row_lower), len(program.cost))
    ).tocsr()
    cpu = time.process_time()
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("parallel", "off")
    highs.setOptionValue("mip_rel_gap", GAP)
    kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
    columns = [
        highs.addVariable(lb=low, ub=high, obj=cost, type=kinds[int(whole)])
        for low, high, cost, whole in zip(
            *(program.lower, program.upper, program.cost, program.integer), strict=True
        )
    ]
    for row, (low, high) in enumerate(zip(program.row_lower, program.row_upper, strict=True)):
        of_row = slice(entries.indptr[row], entries.indptr[row + 1])
        pairs = zip(entries.data[of_row], entries.indices[of_row], strict=True)
        terms = highs.qsum(value * columns[column] for value, column in pairs)
        if low == high:
            highs.addConstr(terms == low)
        elif low == -np.inf:
            highs.addConstr(terms <= high)
        elif high == np.inf:
            highs.addConstr(terms >= low)
        else:
            highs.addConstr(low <= terms <= high)
    highs.run()
    return time.process_time() - cpu, highs.getInfo().objective_function_value + program.offset


def paid_to_draw(seed: int) -> Site:
    """20 assets and five hours in which prices are below zero: charging while discharging would pay."""
    site = site_of(seed, 4, 10, 2, 4)
    price = np.array(site.by_name["grid"].import_price_per_kwh)
    price[40:60] -= 0.45
    tie = GridTie("grid", price, price - 0.05, 500.0, 130.0)
    others = tuple(tie if asset.name == "grid" else asset for asset in site.assets)
    return Site(others, site.groups, site.reserve)


def island(seed: int, first: int = 0) -> Site:
    """Four gensets, sun and a battery without a grid, from a step on: where the whole numbers are the work."""
    random = np.random.default_rng(seed)
    hours = np.arange(STEPS) / 4
    demand = np.maximum(60 + 30 * np.sin((hours - 14) / 12 * np.pi) + random.normal(0, 6, STEPS), 8)
    sun = 70 * np.maximum(np.sin((hours - 6) / 12 * np.pi), 0) * random.uniform(0.6, 1, STEPS)
    hour = timedelta(hours=1)
    return Site(
        (
            Load("load", np.roll(demand, -first)),
            Renewable("pv", np.roll(sun, -first)),
            Battery("battery", 60.0, 30.0, 25.0, 25.0, wear_cost_per_kwh=0.02, end_value_per_kwh=0.2),
            *(
                Genset(
                    *(f"genset{n}", 15.0 + 5 * n, 40.0 + 10 * n, 0.27 + 0.015 * n, 2.0 + n, 6.0 + 2 * n),
                    *(2 * hour, hour),
                )
                for n in range(4)
            ),
        )
    )


def timed(site: Site, **more: Any) -> tuple[Plan, float]:
    cpu = time.process_time()
    plan = solve(site, more.pop("start", START), STEP, STEPS, gap=GAP, deadline_s=60, **more)
    return plan, time.process_time() - cpu


def report_days(rounds: int, peer_limit_s: float) -> None:
    # batteries, vehicles, gensets, deferrables: 20 and 55 assets beside load, sun and tie
    for sizes in ((4, 10, 2, 4), (10, 34, 3, 8)):
        ours, expressions = [], []
        for seed in range(rounds):
            site = site_of(seed, *sizes)
            plan, cpu = timed(site)
            ours.append(cpu)
            spent, cost = by_expressions(site)
            expressions.append(spent)
            print(
                f"{sum(sizes)} assets, seed {seed}: {plan.status.value} {plan.costs.total:.2f}, gap {plan.gap:.2%},"
                f" CPU {cpu:.2f} s, {plan.exclusive_steps} binaries of exclusivity; as expressions {cost:.2f},"
                f" CPU {spent:.2f} s"
            )
        own = statistics.median(ours)
        peer, gap, peer_cost = by_scipy(site_of(0, *sizes), peer_limit_s)
        print(
            f"{sum(sizes)} assets, medians: CPU {own:.2f} s; as expressions {statistics.median(expressions):.2f} s,"
            f" {statistics.median(expressions) / own:.1f} x; all binaries, seed 0: {peer_cost:.2f}, gap {gap:.2%},"
            f" CPU {peer:.2f} s, {peer / ours[0]:.0f} x"
        )


def a_step_later(site: Site, plan: Plan) -> Site:
    """As it is when the first step of the plan was done."""
    assets: list[Asset] = []
    for asset in site.assets:
        match asset:
            case Load() | Renewable():
                assets.append(replace(asset, power_kw=np.asarray(asset.power_kw)[1:]))
            case GridTie():
                price, peak = np.asarray(asset.import_price_per_kwh)[1:], plan.powers_kw[asset.name][0]
                peak = max(asset.peak_so_far_kw, float(peak))
                assets.append(replace(asset, import_price_per_kwh=price, peak_so_far_kw=peak))
            case Battery() | ElectricVehicle():
                kwh = min(max(float(plan.energies_kwh[asset.name][0]), 0.0), asset.capacity_kwh)
                assets.append(replace(asset, energy_kwh=kwh))
            case Genset():
                assets.append(replace(asset, running=bool(plan.running[asset.name][0])))
            case _:
                assets.append(asset)
    return Site(tuple(assets), site.groups, site.reserve)


def report_rolling(rounds: int, shifts: int = 8) -> None:
    """A plan each 15 minutes, from nothing and from the basis of the plan before."""
    for sizes in ((4, 10, 2, 4), (10, 34, 3, 8)):
        cold: list[float] = []
        warm: list[float] = []
        dearer = 0.0
        for seed in range(rounds):
            site = site_of(seed, *sizes, steps=STEPS + shifts)
            previous, _ = timed(site)
            for shift in range(1, shifts):
                site, start = a_step_later(site, previous), START + shift * STEP
                plan, cpu = timed(site, start=start)
                previous, cpu_warm = timed(site, start=start, previous=previous)
                cold.append(cpu)
                warm.append(cpu_warm)
                dearer = max(dearer, previous.costs.total / plan.costs.total - 1)
        medians = statistics.median(cold), statistics.median(warm)
        print(
            f"rolling, {sum(sizes)} assets, {len(cold)} plans, medians: CPU {medians[0]:.3f} s from nothing,"
            f" {medians[1]:.3f} s from the last basis, {medians[0] / medians[1]:.1f} x; at most {dearer:.1e} dearer"
        )


def report_hard(rounds: int) -> None:
    for seed in range(rounds):
        plan, cpu = timed(paid_to_draw(seed))
        print(
            f"prices below zero, seed {seed}: {plan.status.value}, gap {plan.gap:.2%}, CPU {cpu:.2f} s,"
            f" {plan.rounds} rounds, {plan.exclusive_steps} binaries of exclusivity"
        )
    cold, warm = [], []
    for seed in range(rounds):
        first, _ = timed(island(seed))
        later = START + STEP
        plan, cpu = timed(island(seed, 1), start=later)
        again, cpu_warm = timed(island(seed, 1), start=later, previous=first)
        cold.append(cpu)
        warm.append(cpu_warm)
        print(
            f"island of four gensets, seed {seed}: {plan.costs.total:.2f} in {cpu:.2f} s of CPU,"
            f" from the plan before {again.costs.total:.2f} in {cpu_warm:.2f} s"
        )
    print(
        f"island, medians: {statistics.median(cold):.2f} s cold, {statistics.median(warm):.2f} s from the plan before"
    )


def report_annealing(rounds: int, moves: int) -> None:
    for sizes in ((4, 10, 2, 4), (10, 34, 3, 8)):
        above: list[float] = []
        spent: list[float] = []
        for seed in range(rounds):
            site = site_of(seed, *sizes)
            best, _ = timed(site)
            rule = naive(site, START, STEP, STEPS)
            cpu = time.process_time()
            found = anneal(site, START, STEP, STEPS, deadline_s=3600, moves=moves, seed=seed)
            spent.append(time.process_time() - cpu)
            if found.is_usable:
                above.append(found.costs.total / best.costs.total - 1)
            print(
                f"annealing, {sum(sizes)} assets, seed {seed}: {found.status.value},"
                f" {found.costs.total:.2f} against {best.costs.total:.2f} (rule {rule.costs.total:.2f}),"
                f" {found.words}"
            )
        if above:
            print(
                f"annealing, {sum(sizes)} assets, {moves} moves, CPU {statistics.median(spent):.0f} s:"
                f" median {statistics.median(above):.1%} above,"
                f" {len(above)} of {rounds} with a plan"
            )


def report_ticks() -> None:
    played = play(100, 2)
    print(
        f"imperial60: a plan of 60 ticks {float(np.median(played.plan.solver_ms)):.0f} ms,"
        f" {played.saved_cents.sum() / played.rule.cost_cents.sum():.0%} saved"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Plans of a day beside their peers.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--peer-limit", type=float, default=75.0, help="seconds, of the peer with all binaries"
    )
    parser.add_argument("--moves", type=int, default=20_000, help="of annealing, on each site")
    arguments = parser.parse_args()
    solve(site_of(0, 1, 2, 0, 0), START, STEP, 4)  # loads the solver
    report_days(arguments.rounds, arguments.peer_limit)
    report_rolling(min(arguments.rounds, 3))
    report_hard(min(arguments.rounds, 3))
    report_annealing(min(arguments.rounds, 3), arguments.moves)
    report_ticks()


if __name__ == "__main__":
    main()
