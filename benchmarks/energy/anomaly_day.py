"""A day of the simulated plant at a row a second, run at full speed: what anomaly detectors are tried on.

    python benchmarks/energy/anomaly_day.py FILE.npz [--seed 1] [--minutes 1440] [--each-hour MINUTES]

A day takes eight minutes of one quiet core. ``--each-hour 10`` runs only the first ten minutes of each hour, each
from a plant of its own: a day to learn from in a sixth of the time. Interrupted (Ctrl-C), it goes on where it was.

Each device is read at its own moment of the second, as a site does. Battery and genset follow a timetable.
"""

from __future__ import annotations

import argparse
import hashlib
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import gateway.simulator.plant as plant
from gateway.simulator.plant.genset import TANK_L
from gateway.simulator.plant.microgrid import Microgrid
from gateway.simulator.plant.nominal import STEP_S

STEPS_PER_S = round(1.0 / STEP_S)
SETTLE_S = 30
SAVE_EVERY_S = 600

Read = Callable[[Microgrid], float]


def made_by() -> str:
    """Of the code that makes a day: another one makes other values."""
    code = hashlib.sha256(np.__version__.encode())
    for file in (Path(__file__), *sorted(Path(plant.__path__[0]).glob("*.py"))):
        code.update(file.read_bytes())
    return code.hexdigest()[:12]


def readings() -> dict[str, Read]:
    """What is recorded, by tag."""
    found: dict[str, Read] = {
        "pcc.power_kw": lambda g: g.tie.power_kw,
        "pcc.reactive_power_kvar": lambda g: g.tie.reactive_kvar,
        "pcc.voltage_v": lambda g: g.voltage_v,
        "pcc.frequency_hz": lambda g: g.frequency_hz,
        "pcc.import_energy_kwh": lambda g: g.tie.import_kwh,
        "pcc.export_energy_kwh": lambda g: g.tie.export_kwh,
        "pv1.power_kw": lambda g: g.solar.power_kw,
        "pv1.irradiance_w_m2": lambda g: g.solar.irradiance_w_m2,
        "pv1.temperature_c": lambda g: g.solar.temperature_c,
        "wind1.power_kw": lambda g: g.wind.power_kw,
        "wind1.wind_speed_m_s": lambda g: g.wind.speed_m_s,
        "battery1.power_kw": lambda g: g.battery.power_kw,
        "battery1.state_of_charge_pct": lambda g: 100.0 * g.battery.charge_share,
        "battery1.voltage_v": lambda g: g.battery.voltage_v,
        "battery1.current_a": lambda g: g.battery.current_a,
        "genset1.power_kw": lambda g: g.genset.power_kw,
        "genset1.fuel_pct": lambda g: 100.0 * g.genset.fuel_l / TANK_L,
        "ev.fleet_kw": lambda g: sum(charger.power_kw for charger in g.chargers),
    }
    for number in range(4):
        feeder = f"feeder{number + 1}"
        found[f"{feeder}.power_kw"] = lambda g, n=number: g.feeders[n].power_kw  # type: ignore[misc]
        found[f"{feeder}.reactive_power_kvar"] = lambda g, n=number: g.feeders[n].reactive_kvar  # type: ignore[misc]
        found[f"{feeder}.energy_kwh"] = lambda g, n=number: g.feeders[n].energy_kwh  # type: ignore[misc]
    return found


def steer(grid: Microgrid) -> None:
    """The battery charges from 10 to 15 h and empties from 17 to 21 h; the genset runs from 18 to 20 h."""
    hour = (grid.start_hour + grid.seconds / 3600) % 24
    grid.battery.setpoint_kw = -50.0 if 10 <= hour < 15 else 70.0 if 17 <= hour < 21 else 0.0
    grid.genset.run_command = 18 <= hour < 20


def rows(grid: Microgrid, seconds: int) -> Iterator[list[float]]:
    """A row a second; each device's tags are of one moment."""
    reads = readings()
    devices = list(dict.fromkeys(name.partition(".")[0] for name in reads))
    at = {device: round(place * STEPS_PER_S / len(devices)) for place, device in enumerate(devices)}
    by_step: dict[int, list[tuple[int, Read]]] = {}
    for column, (name, read) in enumerate(reads.items()):
        by_step.setdefault(at[name.partition(".")[0]], []).append((column, read))
    for _ in range(seconds):
        steer(grid)
        row = [0.0] * len(reads)
        for step in range(STEPS_PER_S):
            grid.step()
            for column, read in by_step.get(step, ()):
                row[column] = read(grid)
        yield row


def settled(seed: int, hour: float) -> Microgrid:
    grid = Microgrid(seed, 12, 4, hour)
    for _ in range(SETTLE_S * STEPS_PER_S):
        grid.step()
    return grid


def save(file: Path, seconds: list[int], taken: list[list[float]]) -> None:
    new = file.with_suffix(".new.npz")
    np.savez_compressed(
        new, names=np.array(list(readings())), seconds=np.array(seconds), values=np.array(taken, np.float64)
    )
    new.replace(file)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=int, default=1_440)
    parser.add_argument("--each-hour", type=int, metavar="MINUTES")
    args = parser.parse_args()
    seconds: list[int] = []
    taken: list[list[float]] = []
    if args.each_hour is not None:
        for hour in range(24):
            for second, row in enumerate(rows(settled(args.seed + hour, hour), 60 * args.each_hour)):
                seconds.append(3600 * hour + second)
                taken.append(row)
        save(args.file, seconds, taken)
        return
    state = args.file.with_suffix(".state")
    grid = settled(args.seed, 0.0)
    if state.exists():
        grid, seconds, taken = pickle.loads(state.read_bytes())  # noqa: S301 - written below, by ourselves
    while len(seconds) < 60 * args.minutes:
        for row in rows(grid, SAVE_EVERY_S):
            seconds.append(len(seconds))
            taken.append(row)
        new = state.with_suffix(".new")
        new.write_bytes(pickle.dumps((grid, seconds, taken)))
        new.replace(state)
        print(f"{args.file.stem}: {len(seconds) / (0.6 * args.minutes):.0f} %", file=sys.stderr, flush=True)
    save(args.file, seconds, taken)
    state.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
