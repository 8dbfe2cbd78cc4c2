"""What the history of a run of `demo_days.py` says: forecasts, plans, peak limit, vehicles, the island, the saving.

    python benchmarks/energy/demo_days_judge.py DIR

``DIR`` is what `demo_days.py --folder DIR` has left there, or is still at. Exit status 0, and 1 where a claim does
not hold.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from gateway.config.load import load_site
from gateway.config.paths import run_paths
from gateway.config.plant_time import NS, PlantTime, plant_time
from gateway.tags.quality import is_good
from historian.forecast_job import NoForecast, issued_between
from historian.query.history import History

FILE = "run.json"
SITE = "config/sites/demo/site.yaml"
FORECASTS = ("load", "pv")
STAY_H, TARGET_PCT, LIMIT_KW = 10.0, 80.0, 150.0
CHARGERS = range(1, 13)
STEP_S, HOUR_S, DAY_S = 900, 3_600, 86_400


@dataclass(slots=True)
class Times:
    """Of a run, wall ns; ``lost`` and ``restored``: the utility."""

    speed: float
    begin: int
    end: int
    lost: int = 0
    restored: int = 0

    def keep(self, folder: Path) -> None:
        (folder / FILE).write_text(json.dumps(asdict(self)) + "\n")


@dataclass(slots=True)
class Claim:
    """A row of the table; ``holds`` None: it is told, nothing is claimed."""

    what: str
    found: str
    asked: str = ""
    holds: bool | None = None


class Found:
    """What the site's history says of the run. It is asked while the site runs, or after."""

    def __init__(self, folder: Path, run: Times) -> None:
        self.run = run
        self.state = folder / "state"
        self.speed = run.speed
        self.plant: PlantTime = plant_time(self.state, run.speed)
        site = load_site(folder / SITE)
        self.history = History(run_paths(site.name, self.state).history)

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
                issued = issued_between(self.state, name, begin, end)
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
        series = self.history.raw(f"ev{number}.state_of_charge_pct", arrived, left)
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


def judge(folder: Path) -> bool:
    """The table of a run; whether all claims hold."""
    times = Times(**json.loads((folder / FILE).read_text()))
    times.end = min(times.end, time.time_ns())
    return show(Found(folder, times).claims())


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    return 0 if judge(parser.parse_args().folder) else 1


if __name__ == "__main__":
    sys.exit(main())
