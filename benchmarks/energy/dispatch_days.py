"""Days of the demo's plant under a plan: the simulator at steps of 0.5 s, dispatch, and the tracking in ST.

``python benchmarks/energy/dispatch_days.py [--days 2] [--plot FILE]``. As in a running site are the plant's model,
`Dispatcher` with the section of the demo, PLAN_TRACKING and VEHICLE_TO_GRID as compiled, once a second. What is not:
the plant steps 100 times as coarsely (the swing of an island does not), devices answer at once, and vehicles come
by a timetable, so that what each was promised can be reckoned. A day before goes by rule and is the history.
"""

from __future__ import annotations

import argparse
import random
import struct
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from gateway.config.dispatch import (
    Course,
    DispatchSettings,
    PlannedAsset,
    PlannedBattery,
    PlannedGenset,
    PlannedVehicle,
)
from gateway.config.load import load_site
from gateway.simulator.plant.charger import Vehicle
from gateway.simulator.plant.microgrid import Microgrid
from gateway.simulator.plant.nominal import Nominal
from historian.dispatch_job.child import Failure
from historian.dispatch_job.dispatcher import Dispatcher, Published
from historian.dispatch_job.foresight import NoForecasts
from historian.dispatch_job.kept import Kept
from historian.dispatch_job.shadow import Day
from historian.dispatch_job.solver import Job, Solved, solve_job
from plc.bench import Bench, load
from plc.library import FILES
from plc.runtime.variables import Kind, variable

FORMATS: Mapping[Kind, tuple[str, type]] = {
    Kind.BOOL: ("?", bool),
    Kind.F32: ("=f", float),
    Kind.I64: ("=q", int),
    Kind.U64: ("=Q", int),
}
SITE = Path(__file__).parents[2] / "config/sites/demo/site.yaml"
BEGIN = datetime(2026, 6, 1, tzinfo=UTC)  # a Monday; the sun of the plant is that of an equinox, always
STEPS_A_SECOND = 2
STAY_H, CAPACITY_KWH, TARGET, RESERVE_PCT = 8.0, 60.0, 0.8, 20.0
PROGRAM = """
VAR_GLOBAL
    tracking : PLAN_TRACKING;
    parked : VEHICLES;
    stop_charging : BOOL;
    is_islanded : BOOL;
    setpoint_kw : VEHICLE_POWERS;
END_VAR
// By rule: sun and wind to the load, then to the battery; vehicles take what they can.
PROGRAM main
    VAR
        fleet : VEHICLE_TO_GRID;
    END_VAR
    tracking.rule_battery_kw := tracking.import_kw + tracking.battery_kw + tracking.fleet_kw;
    tracking.rule_fleet_kw := -tracking.fleet_can_take_kw;
    tracking(fleet_can_give_kw := fleet.can_give_kw, fleet_can_take_kw := fleet.can_take_kw,
        fleet_must_take_kw := fleet.must_take_kw, charge_kw := 250.0, discharge_kw := 250.0,
        reserve_pct := 20.0, export_limit_kw := 400.0);
    fleet(vehicles := parked, count := 12, wanted_kw := SEL(is_islanded, tracking.fleet_setpoint_kw, 0.0),
        feeder_kw := 200.0, stop_charging := stop_charging, nominal_hz := 60.0, setpoint_kw => setpoint_kw);
END_PROGRAM
"""


class Program:
    """Its variables by their paths, each looked up once."""

    def __init__(self) -> None:
        self.bench: Bench = load(*FILES, PROGRAM)
        self.bench.restart()
        self._at: dict[str, tuple[struct.Struct, int, type]] = {}

    def put(self, path: str, value: Any) -> None:
        form, offset, as_type = self._where(path)
        form.pack_into(self.bench._view, offset, as_type(value))

    def __getitem__(self, path: str) -> Any:
        form, offset, _ = self._where(path)
        return form.unpack_from(self.bench._view, offset)[0]

    def _where(self, path: str) -> tuple[struct.Struct, int, type]:
        found = self._at.get(path)
        if found is None:
            at = variable(self.bench.symbols, path)
            form, as_type = FORMATS[at.kind]
            found = self._at[path] = struct.Struct(form), at.offset, as_type
        return found


class Direct:
    """The solver in this process: a virtual clock does not wait for another."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def poll(self) -> Solved | Failure | None:
        return solve_job(self._job)

    def end(self) -> None:
        pass


@dataclass(slots=True)
class Session:
    """A vehicle's stay and what it was promised."""

    plug: int
    leaves_s: float
    arrived_kwh: float
    left_kwh: float = 0.0

    @property
    def share(self) -> float:
        """Of the energy that it was to get."""
        need = CAPACITY_KWH * TARGET - self.arrived_kwh
        return (self.left_kwh - self.arrived_kwh) / need


class Days:
    """The plant, the program and dispatch on one virtual clock."""

    def __init__(self, site: Path, seed: int, limit_kw: float, horizon_h: int) -> None:
        loaded = load_site(site)
        assert loaded.dispatch is not None, "the site has a section `dispatch`"
        self.names = {place: tag.name for place, tag in enumerate(loaded.tags)}
        self.settings = _of_timetable(loaded.dispatch, horizon_h)
        self.grid = Microgrid(seed=seed, start_hour=0.0, nominal=Nominal(hz=60.0, v=480.0, step_s=0.5))
        self.limit_kw = limit_kw
        self.program = Program()
        self._random = random.Random(f"{seed}:days")
        self.second = 0
        self.history: dict[str, list[float]] = defaultdict(list)  # means of steps since BEGIN
        self._sums: dict[str, float] = defaultdict(float)
        self.sessions: dict[int, Session] = {}
        self.done: list[Session] = []
        self._comes_s = [self._random.uniform(0.0, 6 * 3600.0) for _ in self.grid.chargers]
        self.dispatcher = Dispatcher(
            self.settings, self.names, UTC, Kept(), self.means, NoForecasts(), Direct
        )
        self.courses: dict[Course, int] = defaultdict(int)
        self.rows: list[tuple[float, ...]] = []
        self.finished: list[Day] = []
        self.over_s = self.short_s = 0
        self.over_at: list[tuple[float, float]] = []
        self.most_kw = 0.0
        self._sequence = -1
        self._closed_s = 0
        for charger in self.grid.chargers:
            charger.unplug()
            charger.setpoint_kw = 0.0

    @property
    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.second)

    def means(
        self, tags: Sequence[str], start: datetime, step: timedelta, count: int
    ) -> Mapping[str, np.ndarray]:
        """What was recorded; NaN before it began."""
        first = round((start - BEGIN) / step)
        found = {}
        for tag in tags:
            known = self.history[tag]
            found[tag] = np.array(
                [known[k] if 0 <= k < len(known) else np.nan for k in range(first, first + count)]
            )
        return found

    def run(self, seconds: int, *, plans: bool, lost: tuple[int, int] = (0, 0)) -> None:
        """``lost``: from which second to which the utility is away."""
        for _ in range(seconds):
            if self.second == lost[0] and lost[1] > lost[0]:
                self.grid.utility.lose(True)
            if self.second == lost[1] and lost[1] > lost[0]:
                self.grid.utility.lose(False)
            self._second(plans)
            if self.second % 21_600 == 0:
                print(f"{self.second / 3600:.0f} h", file=sys.stderr, flush=True)

    def _second(self, plans: bool) -> None:
        self._come_and_go()
        for _ in range(STEPS_A_SECOND):
            self.grid.step()
        values = self._values()
        published = None
        if plans:
            published = self.dispatcher.look(lambda tag: values[self.names[tag]], self.now)
            self.courses[published.course] += 1
        self._scan(values, published)
        self._record(values, published)
        self.second += 1

    def _come_and_go(self) -> None:
        for plug, charger in enumerate(self.grid.chargers):
            session = self.sessions.get(plug)
            if session is not None and self.second >= session.leaves_s:
                assert charger.vehicle is not None
                session.left_kwh = charger.vehicle.stored_kwh
                self.done.append(self.sessions.pop(plug))
                charger.unplug()
                self._comes_s[plug] = self.second + self._random.uniform(1800.0, 4 * 3600.0)
            charger._vacant_s = 1e9  # nobody comes beside the timetable
            if session is None and self.second >= self._comes_s[plug]:
                kwh = CAPACITY_KWH * self._random.uniform(0.15, 0.6)
                charger.plug_in(
                    Vehicle(f"TL-{plug}", CAPACITY_KWH, kwh, self._random.choice((11.0, 22.0)), 1e9)
                )
                self.sessions[plug] = Session(plug, self.second + STAY_H * 3600.0, kwh)

    def _values(self) -> dict[str, float | None]:
        grid = self.grid
        values: dict[str, float | None] = {
            "pcc.power_kw": grid.tie.power_kw,
            "pcc.breaker_closed": float(grid.tie.breaker_closed),
            "battery1.power_kw": grid.battery.power_kw,
            "battery1.state_of_charge_pct": 100 * grid.battery.charge_share,
            "genset1.power_kw": grid.genset.power_kw,
            "pv1.power_kw": grid.solar.power_kw,
            "wind1.power_kw": grid.wind.power_kw,
            "ev.stay_h.accepted": STAY_H,
            "peak.limit_kw.accepted": self.limit_kw,
        }
        for number, feeder in enumerate(grid.feeders, 1):
            values[f"feeder{number}.power_kw"] = feeder.power_kw
        for number, charger in enumerate(grid.chargers, 1):
            vehicle = charger.vehicle
            values[f"ev{number}.power_kw"] = charger.power_kw
            values[f"ev{number}.connected"] = float(vehicle is not None)
            values[f"ev{number}.state_of_charge_pct"] = (
                None if vehicle is None else 100 * vehicle.charge_share
            )
        return values

    def _scan(self, values: Mapping[str, float | None], published: Published | None) -> None:
        program, grid = self.program, self.grid
        is_tied = grid.tie.breaker_closed
        has_plan = published is not None and bool(published.powers_kw)
        program.put("tracking.is_plan_good", has_plan)
        if published is not None and has_plan:
            if published.sequence != self._sequence:
                self._sequence = published.sequence
                left_s = (published.valid_until - self.now).total_seconds()
                program.put("tracking.valid_for_s", left_s)
            program.put("tracking.sequence", published.sequence)
            program.put("tracking.plan_battery_kw", published.powers_kw.get("battery1", 0.0))
            program.put("tracking.plan_fleet_kw", published.vehicles_kw)
            program.put("tracking.plan_reserve_pct", published.reserve_pct)
        program.put("tracking.limit_kw", self.limit_kw)
        program.put("tracking.import_kw", grid.tie.power_kw)
        program.put("tracking.battery_kw", grid.battery.power_kw)
        program.put("tracking.fleet_kw", sum(charger.power_kw for charger in grid.chargers))
        program.put("tracking.soc_pct", 100 * grid.battery.charge_share)
        program.put("tracking.is_good", is_tied)
        program.put("is_islanded", not is_tied)
        program.put("stop_charging", not is_tied and grid.battery.charge_share < 0.15)
        for number, charger in enumerate(grid.chargers, 1):
            session, vehicle = self.sessions.get(number - 1), charger.vehicle
            program.put(f"parked[{number}].is_connected", vehicle is not None)
            if vehicle is not None and session is not None:
                program.put(f"parked[{number}].soc_pct", 100 * vehicle.charge_share)
                program.put(f"parked[{number}].capacity_kwh", CAPACITY_KWH)
                program.put(f"parked[{number}].time_left", round((session.leaves_s - self.second) * 1e9))
                program.put(f"parked[{number}].max_discharge_kw", 0.0)
                program.put(f"parked[{number}].proven_kw", 11.0)
        program.bench.scan(at_us=self.second * 1_000_000)
        if is_tied:
            grid.battery.setpoint_kw = program["tracking.battery_setpoint_kw"]
        else:
            grid.battery.setpoint_kw = grid.battery.power_kw  # frequency goes back to nominal
        for number, charger in enumerate(grid.chargers, 1):
            if number - 1 in self.sessions:
                charger.setpoint_kw = program[f"setpoint_kw[{number}]"]

    def _record(self, values: Mapping[str, float | None], published: Published | None) -> None:
        for name, value in values.items():
            if name.endswith("power_kw") and value is not None:
                self._sums[name] += value
        step_s = self.settings.step_min * 60
        self._closed_s = self._closed_s + 1 if self.grid.tie.breaker_closed else 0
        if published is not None and self._closed_s > 60:
            self.most_kw = max(self.most_kw, self.grid.tie.power_kw)
            if self.grid.tie.power_kw > self.limit_kw + 5.0:
                self.over_s += 1
                self.short_s += bool(self.program["tracking.is_short"])
                self.over_at.append((self.second / 3600, 100 * self.grid.battery.charge_share))
        if (self.second + 1) % step_s == 0:
            for name, total in self._sums.items():
                self.history[name].append(total / step_s)
            mean = {name: total / step_s for name, total in self._sums.items()}
            self._sums.clear()
            fleet = sum(mean[f"ev{number}.power_kw"] for number in range(1, 13))
            loads = sum(mean[f"feeder{number}.power_kw"] for number in range(1, 5))
            sun = mean["pv1.power_kw"] + mean["wind1.power_kw"]
            planned = published.powers_kw.get("battery1", np.nan) if published is not None else np.nan
            soc = 100 * self.grid.battery.charge_share
            self.rows.append((
                self.second / 3600, mean["pcc.power_kw"], mean["battery1.power_kw"], planned, fleet, loads, sun, soc
            ))  # fmt: skip
        shadow = self.dispatcher.kept.shadow
        day = shadow.yesterday
        if day is not None and (not self.finished or self.finished[-1].day != day.day):
            self.finished.append(day)


def _of_timetable(settings: DispatchSettings, horizon_h: int) -> DispatchSettings:
    """The demo's, with vehicles as they come here; and less of the battery is kept, since no genset stands by."""
    assets: list[PlannedAsset] = []
    for asset in settings.assets:
        match asset:
            case PlannedVehicle():
                assets.append(replace(asset, capacity_kwh=CAPACITY_KWH, charge_max_kw=11.0))
            case PlannedBattery():
                assets.append(replace(asset, soc_min_pct=RESERVE_PCT))
            case PlannedGenset():
                pass
            case _:
                assets.append(asset)
    return replace(settings, assets=tuple(assets), horizon_h=horizon_h, period_s=900)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--site", type=Path, default=SITE)
    parser.add_argument("--days", type=float, default=2.0)
    parser.add_argument("--warm-h", type=float, default=24.0, help="hours by rule before")
    parser.add_argument("--horizon-h", type=int, default=48)
    parser.add_argument("--limit-kw", type=float, default=150.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--island-s", type=int, default=3600, help="how long the utility is lost, in the middle"
    )
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    began = time.perf_counter()
    days = Days(args.site, args.seed, args.limit_kw, args.horizon_h)
    days.run(round(args.warm_h * 3600), plans=False)
    seconds = round(args.days * 86_400)
    before = len(days.done)
    middle = days.second + seconds // 2
    days.run(seconds, plans=True, lost=(middle, middle + args.island_s))
    shadow = days.dispatcher.kept.shadow
    last = [] if shadow.today is None else [shadow.today]
    print(f"{'day':<12}{'cost':>9}{'naive':>9}{'saving':>9}{'peak kW':>9}{'naive peak':>12}")
    for day in [*days.finished, *last]:
        print(
            f"{day.day!s:<12}{day.cost:>9.2f}{day.naive_cost:>9.2f}{day.saving:>9.2f}"
            f"{day.peak_kw:>9.1f}{day.naive_peak_kw:>12.1f}"
        )
    sessions = days.done[before:]
    shares = sorted(session.share for session in sessions)
    full = sum(share >= 0.99 for share in shares)
    least = f"; least {shares[0]:.1%}" if shares else ""
    print(f"vehicles: {len(sessions)} left, {full} with 99 % of their energy or more{least}")
    print(
        f"import: limit {args.limit_kw:g} kW, highest second {days.most_kw:.1f}, over by 5 kW: {days.over_s} s, "
        f"of these with nothing left to give: {days.short_s}"
    )
    hours = sorted({round(at, 1) for at, _ in days.over_at})
    if hours:
        least = min(charge for _, charge in days.over_at)
        print(f"  in the hours {', '.join(map(str, hours[:12]))}; charge then {least:.0f} % at the least")
    print(
        "courses, s: " + ", ".join(f"{course.text} {count}" for course, count in sorted(days.courses.items()))
    )
    print(
        f"failures of the solver: {days.dispatcher.standing.failures}; took {time.perf_counter() - began:.0f} s"
    )
    if args.plot is not None:
        _plot(days.rows, args.limit_kw, args.plot)


def _plot(rows: Sequence[tuple[float, ...]], limit_kw: float, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    table = np.array(rows)
    figure, (powers, charge) = pyplot.subplots(2, 1, sharex=True, figsize=(12, 7), height_ratios=(3, 1))
    for column, label in (
        (1, "tie"),
        (2, "battery"),
        (3, "battery, plan"),
        (4, "vehicles"),
        (5, "loads"),
        (6, "sun, wind"),
    ):
        powers.plot(table[:, 0], table[:, column], label=label, lw=1.0, ls="--" if column == 3 else "-")
    powers.axhline(limit_kw, color="black", lw=0.8, ls=":")
    powers.set_ylabel("kW")
    powers.legend(ncols=3, fontsize=8)
    charge.plot(table[:, 0], table[:, 7])
    charge.set_ylabel("battery, %")
    charge.set_xlabel("hours")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
