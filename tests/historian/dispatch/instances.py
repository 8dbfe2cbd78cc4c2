"""Random sites: numpy's generator, so that a seed is the same site everywhere."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import numpy as np

from historian.dispatch import (
    Asset,
    Battery,
    Deferrable,
    DemandResponse,
    ElectricVehicle,
    Genset,
    GridTie,
    Group,
    Load,
    Renewable,
    Reserve,
    Site,
)

START = datetime(2026, 3, 28, 18, tzinfo=timezone(timedelta(hours=1)))
STEP = timedelta(minutes=30)


def sun(horizon: int, peak_kw: float) -> np.ndarray:
    hours = np.arange(horizon) / 2 + 18
    return peak_kw * np.maximum(np.sin((hours - 6) % 24 / 12 * np.pi), 0.0)


def site_of(seed: int, horizon: int = 24) -> Site:
    """Wide grid limits, so that there always is a plan; what else it has is drawn."""
    random, more = np.random.default_rng(seed), np.random.default_rng((seed, 1))
    assets: list[Asset] = [
        Load("house", random.uniform(5, 40, horizon), shed_cost_per_kwh=random.choice([None, 20.0])),
        Load("office", random.uniform(0, 20, horizon), critical=False, group="feeder"),
        Renewable("pv", sun(horizon, random.uniform(10, 120)), curtailable=bool(random.random() < 0.8)),
        GridTie(
            "grid",
            random.uniform(-0.1 if random.random() < 0.3 else 0.1, 0.5, horizon).round(3),
            random.uniform(0.0, 0.7 if random.random() < 0.3 else 0.1, horizon).round(3),
            400.0,
            400.0,
            demand_charge_per_kw=float(random.choice([0.0, 2.0])),
            peak_so_far_kw=float(random.choice([0.0, 25.0])),
        ),
    ]
    for number in range(random.integers(0, 3)):
        capacity = random.uniform(10, 80)
        assets.append(
            Battery(
                f"battery{number}",
                capacity,
                random.uniform(0.2, 0.9) * capacity,
                random.uniform(5, 40),
                random.uniform(5, 40),
                random.uniform(0.85, 1.0),
                random.uniform(0.85, 1.0),
                energy_min_kwh=0.1 * capacity,
                wear_cost_per_kwh=float(random.choice([0.0, 0.03])),
                end_value_per_kwh=float(random.choice([0.0, 0.2])),
                group=random.choice([None, "feeder"]),
            )
        )
    for number in range(random.integers(0, 4)):
        arrival = START + timedelta(minutes=int(random.integers(-120, 400)))
        assets.append(
            ElectricVehicle(
                f"ev{number}",
                60.0,
                random.uniform(5, 30),
                arrival,
                arrival + timedelta(minutes=int(random.integers(60, 900))),
                random.uniform(20, 58),
                random.choice([7.4, 11.0, 22.0]),
                float(random.choice([0.0, 10.0])),
                energy_min_kwh=10.0,
                wear_cost_per_kwh=0.02,
                priority=int(random.integers(1, 4)),
                group="chargers",
                phase=more.choice([None, 1, 2, 3]),
            )
        )
    for number in range(random.integers(0, 3)):
        assets.append(
            Genset(
                f"genset{number}",
                15.0,
                50.0,
                random.uniform(0.2, 0.5),
                no_load_cost_per_h=1.0,
                start_cost=3.0,
                min_up=timedelta(minutes=int(random.choice([0, 60, 150]))),
                min_down=timedelta(minutes=int(random.choice([0, 60, 90]))),
                running=bool(random.random() < 0.5),
                unchanged_for=timedelta(minutes=30),
            )
        )
    for number in range(random.integers(0, 3)):
        start = START + timedelta(minutes=int(random.integers(-60, 300)))
        end = start + timedelta(minutes=int(random.integers(150, 700)))
        if random.random() < 0.5:
            assets.append(Deferrable(f"job{number}", start, end, random.uniform(2, 15), 10.0, priority=2))
        else:
            assets.append(Deferrable(f"job{number}", start, end, block_kw=(4.0, 9.0, 2.0)))
    event_start = START + timedelta(minutes=75)
    return Site(
        tuple(assets),
        groups=(
            Group("feeder", float(random.choice([45.0, 300.0])), 300.0),
            Group(
                *(
                    "chargers",
                    float(random.choice([15.0, 200.0])),
                    float(random.choice([5.0, 200.0])),
                    "feeder",
                ),
                phase_max_kw=more.choice([None, 7.0]),
                kept_kw=float(more.choice([0.0, 5.0])),
            ),
        ),
        reserve=Reserve(timedelta(hours=1), margin_kw=2.0, renewable_share=0.5)
        if random.random() < 0.4
        else None,
        events=(DemandResponse("event", "grid", event_start, event_start + timedelta(hours=1), 20.0, 5.0),)
        if random.random() < 0.4
        else (),
        shortfall_cost_per_kwh=50.0,
    )
