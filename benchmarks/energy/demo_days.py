"""Days of the running demo, sixty times as fast as the clock: `tieline run` itself, and what it promises.

    python benchmarks/energy/demo_days.py [--days 2] [--speed 60] [--past-days 14] [--folder DIR]

A copy of the demo on free ports, with what FITTED says, and a history of days before (`plant_days.py`). It runs for
``--days`` of the plant (24 min a day at 60); in the middle `tieline fault utility lost` for an hour of the plant.
Then its own history is asked: forecasts, how long the plan was followed, the peak limit, what vehicles left with, the
island, and the saving that dispatch published. Exit status 0, and 1 where a claim does not hold. Ctrl-C ends all.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gateway.config.load import load_site
from gateway.config.paths import RunPaths, region_name, run_paths
from gateway.config.plant_time import NS, PlantTime, plant_time
from gateway.tags.image import Presence, Region, presence_of
from gateway.tags.quality import is_good
from historian.forecast_job import NoForecast, issued_between
from historian.query.history import History

ROOT = Path(__file__).parents[2]
TIELINE = Path(sys.executable).with_name("tieline")
DOORS = {"4840": 90, "8080": 91, "20000": 92}  # of the demo's ports, their places in the block that is free
FIRST_PORT = 15_020
STAY_H, TARGET_PCT, LIMIT_KW = 10.0, 80.0, 150.0
CHARGERS = range(1, 13)
FORECASTS = ("load", "pv")
STEP_S, HOUR_S, DAY_S = 900, 3_600, 86_400
START_PATIENCE_S = 900.0  # on a machine that others load; forecasts are trained in it
# What has to fit a plant that is fast, and the day that is shown; docs/dispatch.md says why. Each stands there once.
FITTED: dict[str, dict[str, str]] = {
    "site.yaml": {"speed: 1.0": "speed: {speed:g}, ev_stay_h: {stay:g}"},
    # Plans each step of 15 min of the plant, as many to the day as beside the clock are one each 15 min.
    "dispatch.yaml": {"period_s: 300": "period_s: {period:g}"},
    "logic.yaml": {
        "variable: ev_automatic, type: bool, area: ev, initial: false": (
            "variable: ev_automatic, type: bool, area: ev, initial: true"
        ),
        "high: 24, initial: 2": "high: 24, initial: {stay:g}",
        "high: 400, initial: 400": "high: 400, initial: {limit:g}",
    },
    "logic/settings.st": {"PLANT_SPEED : REAL := 1.0": "PLANT_SPEED : REAL := {speed:.6f}"},
    # The phase turns too fast to be steered from here: the relay's synch-check alone says when contacts may meet.
    "logic/microgrid.st": {
        "return_delay := T#60s": (
            "return_delay := T#5s, sync_phase_deg := 180.0, sync_slip_hz := 0.5, sync_dwell := T#0s,"
            " close_time := T#60s"
        )
    },
}


@dataclass(slots=True)
class Claim:
    """A row of the table; ``holds`` None: it is told, nothing is claimed."""

    what: str
    found: str
    asked: str = ""
    holds: bool | None = None


def free_ports() -> int:
    """The first of a hundred that are free."""
    for first in range(20_000, 32_000, 100):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + 100):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
    raise OSError("no hundred ports in a row are free")


def fitted_site(folder: Path, speed: float) -> Path:
    """The demo's copy there."""
    shutil.copytree(ROOT / "config", folder)
    site = folder / "sites" / "demo"
    first = free_ports()

    def moved(match: re.Match[str]) -> str:
        place = DOORS.get(match[0])
        return str(first + (int(match[0]) - FIRST_PORT if place is None else place))

    for file in site.glob("*.yaml"):
        file.write_text(re.sub(r"\b(150\d\d|4840|8080|20000)\b", moved, file.read_text()))
    values = {"speed": speed, "stay": STAY_H, "limit": LIMIT_KW, "period": max(STEP_S / speed, 5.0)}
    for name, changes in FITTED.items():
        text = (site / name).read_text()
        for shipped, wanted in changes.items():
            if text.count(shipped) != 1:
                raise SystemExit(f"{name} of the demo has {text.count(shipped)} times: {shipped}")
            text = text.replace(shipped, wanted.format(**values))
        (site / name).write_text(text)
    return site / "site.yaml"


@dataclass(slots=True)
class Run:
    """One run of the site. Times are wall ns."""

    site_path: Path
    state: Path
    process: subprocess.Popen[bytes] | None = None
    paths: RunPaths = field(init=False)
    name: str = field(init=False)
    begin: int = 0
    end: int = 0
    lost: int = 0
    restored: int = 0

    def __post_init__(self) -> None:
        site = load_site(self.site_path)
        self.paths = run_paths(site.name, self.state)
        self.name = region_name(site.name, self.paths)

    def start(self, *, with_forecasts: bool) -> None:
        """Until the plan is followed and forecasts are issued for the first time."""
        with (self.state / "run.log").open("wb") as log:
            self.process = subprocess.Popen(
                [TIELINE, "run", self.site_path, "--state", self.state],
                stdout=log,
                stderr=log,
                preexec_fn=_first,
            )
        self.wait(lambda: presence_of(self.name) is Presence.LIVE, START_PATIENCE_S, "it does not start")
        with Region.attach(self.name) as region:
            ages = [f"forecast.{name}.age_s" for name in FORECASTS]
            self.wait(
                lambda: (
                    _now(region, "plan.followed") == 1.0
                    and (not with_forecasts or all(_now(region, age) is not None for age in ages))
                ),
                START_PATIENCE_S,
                "no plan is followed, or forecasts are not trained",
            )

    def wait(self, condition: Callable[[], bool], patience_s: float, words: str) -> None:
        give_up = time.monotonic() + patience_s
        while not condition():
            if time.monotonic() > give_up:
                raise SystemExit(f"{words}: see {self.state / 'run.log'}")
            self.sleep(0.2)

    def sleep(self, seconds: float) -> None:
        assert self.process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            raise SystemExit(
                f"the site has ended ({self.process.wait(seconds)}): see {self.state / 'run.log'}"
            )

    def until(self, at_ns: int) -> None:
        while (left_s := (at_ns - time.time_ns()) / NS) > 0.0:
            self.sleep(left_s)

    def say(self, *words: str) -> None:
        subprocess.run(
            [TIELINE, *words, "--site", self.site_path, "--state", self.state], check=True, timeout=120
        )

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(30)
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()


def _first() -> None:
    """Before others of this machine, where that is permitted; Ctrl-C is for us."""
    os.setsid()
    with contextlib.suppress(OSError):
        os.nice(-10)
        # Where the kernel shares processors out by session, that counts among sessions.
        Path("/proc/self/autogroup").write_text("-10")


def _now(region: Region, tag: str) -> float | None:
    sample = region.sample(tag)
    return float(sample.value) if is_good(sample.status) else None


def live(run: Run, days: float, speed: float) -> None:
    """The days, and the utility's hour away in the middle."""
    run.begin = time.time_ns()
    run.end = run.begin + round(days * DAY_S / speed * NS)
    middle = (run.begin + run.end) // 2
    run.until(middle)
    run.lost = time.time_ns()
    run.say("fault", "utility", "lost")
    run.until(run.lost + round(HOUR_S / speed * NS))
    run.restored = time.time_ns()
    run.say("fault", "utility", "restored")
    run.until(run.end)


class Found:
    """What the site's history says of the run. It is asked while the site runs, or after."""

    def __init__(self, run: Run, speed: float) -> None:
        self.run = run
        self.plant: PlantTime = plant_time(run.state, speed)
        self.speed = speed
        self.history = History(run.paths.history)

    def clock(self, wall_ns: int) -> str:
        """Day and hour of the plant."""
        return time.strftime("%d, %H:%M", time.gmtime(self.plant.plant_ns(wall_ns) / NS))

    def changes(self, tag: str, begin: int, end: int) -> list[tuple[int, float | None]]:
        """When it became what; None: not known. What it was at ``begin`` comes first."""
        series = self.history.raw(tag, begin - 3600 * NS, end)
        rows: list[tuple[int, float | None]] = []
        for at, value, status in zip(
            series.source_times.tolist(), series.values.tolist(), series.statuses.tolist(), strict=True
        ):
            told = float(value) if is_good(status) else None
            if at <= begin:
                rows = [(begin, told)]
            elif not rows or rows[-1][1] != told:
                rows.append((at, told))
        return rows

    def shares(self, tag: str, begin: int, end: int, states: dict[str, float]) -> dict[str, float]:
        """Of the time for which each of ``states`` held."""
        rows = [*self.changes(tag, begin, end), (end, None)]
        held = dict.fromkeys(states, 0.0)
        for (at, value), (next_at, _) in itertools.pairwise(rows):
            for name, wanted in states.items():
                if value == wanted:
                    held[name] += (next_at - at) / (end - begin)
        return held

    def claims(self) -> list[Claim]:
        return [
            *self._forecasts(),
            *self._island(),
            self._followed(),
            *self._peak(),
            *self._vehicles(),
            *self._savings(),
        ]

    def _forecasts(self) -> list[Claim]:
        plant = self.plant
        begin, end = plant.plant_ns(self.run.begin), plant.plant_ns(self.run.end)
        found = []
        for name in FORECASTS:
            try:
                issued = issued_between(self.run.state, name, begin, end)
            except NoForecast as error:
                found.append(Claim(f"forecasts of {name}", str(error), "each 15 min", False))
                continue
            wanted = (end - begin) / NS / STEP_S
            due = sum(not each.is_doubtful for each in issued.values())
            found.append(
                Claim(
                    f"forecasts of {name}, 48 h in steps of 15 min",
                    f"{len(issued)} issued, {due} of whole inputs",
                    f"each 15 min: {wanted:.0f}",
                    len(issued) >= 0.95 * wanted,
                )
            )
            told = {
                ending: self.changes(f"forecast.{name}.{ending}", self.run.begin, self.run.end)
                for ending in ("mape_pct", "mase", "coverage_pct")
            }
            last = {
                ending: next((value for _, value in reversed(rows) if value is not None), float("nan"))
                for ending, rows in told.items()
            }
            words = f"MASE {last['mase']:.2f}, {last['coverage_pct']:.0f} % between the outer quantiles"
            if name != "pv":
                words += f", MAPE {last['mape_pct']:.1f} %"
            found.append(Claim("  its scores, of what has come since", words))
        return found

    def _island(self) -> list[Claim]:
        run = self.run
        tie = self.changes("pcc.breaker_closed", run.begin, run.end)
        opened = [at for at, value in tie if value == 0.0 and at >= run.lost]
        state = self.changes("island.state", run.lost, run.end)
        formed = [at for at, value in state if value == 4.0]
        closed = [at for at, value in tie if value == 1.0 and at >= run.restored]
        settled = [at for at, value in state if value == 0.0 and at >= run.restored]
        critical = [
            at for at, value in self.changes("feeder1.breaker_closed", run.begin, run.end) if value == 0.0
        ]
        before = [at for at, value in tie[1:] if at < run.lost]

        def told(times: list[int], since: int) -> str:
            if not times:
                return "never"
            after = (times[0] - since) / NS
            minutes = after * self.speed / 60
            return f"{self.clock(times[0])}, after {after:.1f} s of the wall, {minutes:.0f} min of the plant"

        return [
            Claim("utility lost", self.clock(run.lost)),
            Claim("  the tie open", told(opened, run.lost), "it opens", bool(opened)),
            Claim("  the island formed", told(formed, run.lost), "it forms", bool(formed)),
            Claim("utility back", self.clock(run.restored)),
            Claim("  the tie closed", told(closed, run.restored), "it closes", bool(closed)),
            Claim("  connected", told(settled, run.restored), "it settles", bool(settled)),
            Claim("the critical feeder", f"opened {len(critical)} times", "never", not critical),
            Claim("the tie, while the utility was there", f"opened {len(before)} times", "never", not before),
        ]

    def _followed(self) -> Claim:
        """Beside the utility."""
        run = self.run
        rows = self.changes("island.state", run.lost, run.end)
        back = next((at for at, value in rows if value == 0.0 and at >= run.restored), run.end)
        spans = [(run.begin, run.lost), (back, run.end)]
        lengths = [max(last - first, 0) for first, last in spans]
        share = sum(
            self.shares("plan.followed", first, last, {"yes": 1.0})["yes"] * length
            for (first, last), length in zip(spans, lengths, strict=True)
            if length
        ) / max(sum(lengths), 1)
        return Claim("plan followed, beside the utility", f"{share:.1%} of the time", "95 %", share >= 0.95)

    def _peak(self) -> list[Claim]:
        """Means of 15 min, as a meter has them: by the plant's clock."""
        run, plant = self.run, self.plant
        step = STEP_S * NS
        first = -(-plant.plant_ns(run.begin) // step) * step
        count = (plant.plant_ns(run.end) - first) // step
        edges = [plant.wall_ns(first + place * step) for place in range(count + 1)]
        length = round(step / self.speed)
        means = self.history.time_average("pcc.power_kw", edges[0], edges[0] + count * length, length).values
        highest = float(np.nanmax(means))
        at = edges[int(np.nanargmax(means))]
        over = int(np.sum(means > LIMIT_KW))
        seconds = self.history.time_average("pcc.power_kw", run.begin, run.end, NS // 4).values
        return [
            Claim(
                "highest mean import of 15 min",
                f"{highest:.1f} kW on the {self.clock(at)}; {over} of {count} above the limit",
                f"{LIMIT_KW:g} kW",
                highest <= LIMIT_KW,
            ),
            Claim("  highest quarter of a second of the wall", f"{float(np.nanmax(seconds)):.1f} kW"),
        ]

    def _vehicles(self) -> list[Claim]:
        """Who came and left within the run: charge at departure against the target, from what it came with."""
        shares = []
        for number in CHARGERS:
            connected = self.changes(f"ev{number}.connected", self.run.begin, self.run.end)
            arrived: int | None = None
            for place, (at, value) in enumerate(connected):
                if value == 1.0 and (place or at > self.run.begin):
                    arrived = at
                elif value == 0.0 and arrived is not None:
                    shares.append(self._share(number, arrived, at))
                    arrived = None
        shares.sort()
        full = sum(share >= 0.99 for share in shares)
        least = f"; least {shares[0]:.1%}" if shares else ""
        return [
            Claim(
                f"vehicles that came and left, each after {STAY_H:g} h",
                f"{full} of {len(shares)} with 99 % of their energy{least}",
                "all",
                bool(shares) and full == len(shares),
            )
        ]

    def _share(self, number: int, arrived: int, left: int) -> float:
        """Of the charge that it was to get."""
        series = self.history.raw(f"ev{number}.state_of_charge_pct", arrived - NS, left + NS)
        known = [
            float(value)
            for value, status in zip(series.values.tolist(), series.statuses.tolist(), strict=True)
            if is_good(status) and value > 0.0
        ]
        if not known:
            return 0.0
        need = TARGET_PCT - known[0]
        return 1.0 if need <= 0.0 else (known[-1] - known[0]) / need

    def _savings(self) -> list[Claim]:
        """As the part publishes them for each day; of the first, what was there at the begin is taken off."""
        day_ns = DAY_S * NS
        begin, end = self.plant.plant_ns(self.run.begin), self.plant.plant_ns(self.run.end)
        by_day: list[dict[int, float]] = []
        for tag in ("cost_today", "naive_cost_today"):
            last: dict[int, float] = {}
            first: float | None = None
            for at, value in self.changes(f"dispatch.{tag}", self.run.begin, self.run.end):
                if value is not None:
                    first = value if first is None and at == self.run.begin else first
                    # A step is told when it is over: the last of a day in the first of the next.
                    last[(self.plant.plant_ns(at) - STEP_S * NS) // day_ns] = value
            if begin // day_ns in last:
                last[begin // day_ns] -= first or 0.0
            by_day.append(last)
        found, total = [], 0.0
        for day, cost in by_day[0].items():
            naive = by_day[1].get(day, cost)
            total += naive - cost
            hours = (min(end, (day + 1) * day_ns) - max(begin, day * day_ns)) / NS / HOUR_S
            found.append(
                Claim(
                    f"saved on {time.strftime('%Y-%m-%d', time.gmtime(day * DAY_S))} ({hours:.1f} h of it)",
                    f"{naive - cost:.2f} EUR: {cost:.2f} beside {naive:.2f} by rule",
                )
            )
        found.append(
            Claim("saved beside the naive rule, in all", f"{total:.2f} EUR", "more than nothing", total > 0.0)
        )
        return found


def show(claims: list[Claim]) -> bool:
    """The table; whether all hold."""
    width = max(len(claim.what) for claim in claims)
    most = max(len(claim.found) for claim in claims)
    for claim in claims:
        mark = {None: "", True: "holds", False: "DOES NOT HOLD"}[claim.holds]
        asked = f"({claim.asked})" if claim.asked else ""
        print(f"{claim.what:<{width}}  {claim.found:<{most}}  {mark:<5} {asked}".rstrip())
    return all(claim.holds is not False for claim in claims)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--days", type=float, default=2.0, help="of the plant")
    parser.add_argument("--speed", type=float, default=60.0)
    parser.add_argument("--past-days", type=float, default=14.0, help="of history before; forecasts need 12")
    parser.add_argument("--folder", type=Path, help="kept there; else a temporary one that goes")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with contextlib.ExitStack() as stack:
        folder = args.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="demo_days_")))
        site_path, state = fitted_site(folder / "config", args.speed), folder / "state"
        state.mkdir()
        if args.past_days:
            filling = [Path(__file__).with_name("plant_days.py"), site_path, "--state", state, "--days"]
            subprocess.run([sys.executable, *filling, str(args.past_days)], check=True, preexec_fn=_first)
        run = Run(site_path, state)
        try:
            run.start(with_forecasts=args.past_days > 0)
            live(run, args.days, args.speed)
            holds = show(Found(run, args.speed).claims())
        except KeyboardInterrupt:
            return 130
        finally:
            run.stop()
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
