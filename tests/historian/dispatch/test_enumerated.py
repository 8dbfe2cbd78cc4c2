"""Every whole-number plan of small sites, each judged by the checker: the best of them costs what ours costs.

At an efficiency of 1 and limits in whole kW these sites are networks once the yes-or-no choices are made, so that
one of their optima is in whole kW (Hoffman and Kruskal, 1956).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from dispatch_checker import Checker

from historian.dispatch import (
    Battery,
    Deferrable,
    DemandResponse,
    ElectricVehicle,
    Genset,
    GridTie,
    Group,
    Load,
    Plan,
    Renewable,
    Reserve,
    Site,
    Status,
    solve,
)
from historian.dispatch.axis import Axis
from historian.dispatch.plan import settle

START = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
STEPS = 3
Powers = tuple[float, ...]


def whole(*allowed: float) -> list[Powers]:
    return list(itertools.product(map(float, allowed), repeat=STEPS))


def plans(site: Site, choices: dict[str, Iterable[Powers]]) -> Iterator[Plan]:
    """All combinations; the tie does the rest."""
    axis = Axis(START, HOUR, STEPS)
    for chosen in itertools.product(*choices.values()):
        powers = {name: np.array(power) for name, power in zip(choices, chosen, strict=True)}
        fed = np.zeros(STEPS)
        for asset in site.assets:
            if isinstance(asset, Load):
                powers[asset.name] = np.broadcast_to(asset.power_kw, STEPS)
            if not isinstance(asset, GridTie):
                fed += powers[asset.name] * (-1.0 if isinstance(asset, Load | Deferrable) else 1.0)
        powers["grid"] = -fed
        running = {asset.name: powers[asset.name] > 0 for asset in site.assets if isinstance(asset, Genset)}
        settled = settle(site, axis, powers, running)
        yield Plan(
            *(START, HOUR, STEPS, Status.RULE, powers, settled.energies_kwh, running, settled.shortfall_kwh),
            opted_out=settled.opted_out,
        )


def least_cost(site: Site, choices: dict[str, Iterable[Powers]]) -> float:
    seen = [Checker(site, plan) for plan in plans(site, choices)]
    return min(each.total for each in seen if not each.broken)


def check(site: Site, choices: dict[str, Iterable[Powers]]) -> Plan:
    plan = solve(site, START, HOUR, STEPS, gap=0.0, deadline_s=60)
    assert plan.status is Status.OPTIMAL
    assert Checker(site, plan).broken == []
    assert plan.costs.total == pytest.approx(least_cost(site, choices), abs=1e-6)
    return plan


def tie(random: np.random.Generator, most: float = 9.0) -> GridTie:
    return GridTie("grid", random.uniform(-0.2, 0.5, STEPS), random.uniform(-0.2, 0.3, STEPS), most, most)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_vehicle_that_gives_back_and_energy_that_may_wait(seed: int) -> None:
    random = np.random.default_rng(seed)
    car = ElectricVehicle(
        *("car", 6.0, 3.0, START, START + 3 * HOUR, 5.0, 2.0, 2.0, 1.0, 1.0),
        energy_min_kwh=1.0,
        wear_cost_per_kwh=0.03,
    )
    pump = Deferrable("pump", START + HOUR, START + 3 * HOUR, energy_kwh=3.0, power_max_kw=2.0)
    later = [powers for powers in whole(0, 1, 2) if powers[0] == 0]
    site = Site((Load("load", random.integers(0, 4, STEPS)), car, pump, tie(random)))
    check(site, {"car": whole(-2, -1, 0, 1, 2), "pump": later})


@pytest.mark.parametrize("seed", [2])
def test_vehicles_of_differing_priority_in_a_tree_with_phases_and_a_part_kept(seed: int) -> None:
    random = np.random.default_rng(seed)
    stay = (START, START + 3 * HOUR)
    taxi = ElectricVehicle("taxi", 9.0, 0.0, *stay, 6.0, 3.0, 0.0, 1.0, group="chargers", phase=1)
    fire = ElectricVehicle("fire", 9.0, 0.0, *stay, 5.0, 2.0, 0.0, 1.0, priority=3, group="chargers", phase=1)
    site = Site(
        (Load("load", random.integers(0, 3, STEPS), group="feeder"), taxi, fire, tie(random)),
        groups=(
            Group("feeder", 5.0, 0.0),
            Group("chargers", 4.0, 0.0, "feeder", phase_max_kw=3.0, kept_kw=float(random.integers(1, 4))),
        ),
        shortfall_cost_per_kwh=2.0,
    )
    plan = check(site, {"taxi": whole(0, -1, -2, -3), "fire": whole(0, -1, -2)})
    assert plan.shortfall_kwh["taxi"] > 0.5
    assert "fire" not in plan.shortfall_kwh


@pytest.mark.parametrize(("seed", "leaving"), [(1, 0.02), (2, 0.4), (3, 5.0)])
def test_a_block_an_event_and_a_reserve(seed: int, leaving: float) -> None:
    random = np.random.default_rng(seed)
    battery = Battery("battery", 6.0, 4.0, 2.0, 2.0, 1.0, 1.0, wear_cost_per_kwh=0.01, end_value_per_kwh=0.1)
    wash = Deferrable("wash", START, START + 3 * HOUR, block_kw=(2.0, 1.0), priority=2)
    site = Site(
        (Load("load", random.integers(1, 4, STEPS)), battery, wash, tie(random)),
        reserve=Reserve(HOUR, margin_kw=1.0),
        events=(DemandResponse("event", "grid", START + HOUR, START + 2 * HOUR, 1.0, leaving),),
        shortfall_cost_per_kwh=0.5,
    )
    blocks = [(2.0, 1.0, 0.0), (0.0, 2.0, 1.0), (0.0, 0.0, 0.0)]
    check(site, {"battery": whole(-2, -1, 0, 1, 2), "wash": blocks})


@pytest.mark.parametrize(("seed", "was_on"), [(1, False), (3, True)])
def test_a_genset_and_sun_that_may_be_left(seed: int, was_on: bool) -> None:
    random = np.random.default_rng(seed)
    genset = Genset(
        *("genset", 2.0, 4.0, float(random.uniform(0.1, 0.3)), 0.05, 0.3),
        *(2 * HOUR, 2 * HOUR, was_on, HOUR),
    )
    sun = np.array([2.0, 3.0, 1.0])
    site = Site((Load("load", random.integers(0, 6, STEPS)), genset, Renewable("sun", sun), tie(random, 4.0)))
    left = [powers for powers in whole(0, 1, 2, 3) if (np.array(powers) <= sun).all()]
    check(site, {"genset": whole(0, 2, 3, 4), "sun": left})
