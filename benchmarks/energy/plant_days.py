"""Days of the simulated plant before a site's first run, into its history: what forecasts learn from.

    python benchmarks/energy/plant_days.py SITE --state DIR [--days 14] [--every-s 60] [--seed 2]

The site's simulator has a speed other than 1. The plant's time of the state folder begins here, and the days before
it are run at full speed, at steps of 2 s and with nobody in command: vehicles charge at once, the battery stands.
Device tags that forecasts and plans look at, and what the site calculates of them, go through the historian's inbox,
stamped by the wall as the site itself would have: 14 days at 60 times are 5.6 hours. It takes 3 s of a core a day.
Another seed than the site's own, so that nothing is learned by heart.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from gateway.calculated.evaluate import Evaluator
from gateway.config.load import load_site
from gateway.config.paths import run_paths
from gateway.config.plant_time import NS, PlantTime, keep_plant_time, speed_of
from gateway.config.site import Site
from gateway.simulator.plant.microgrid import Microgrid
from gateway.simulator.plant.nominal import Nominal
from gateway.simulator.together import rows_by_tag
from gateway.tags.sample import SAMPLE, to_bits
from gateway.tags.tag import ValueType
from historian.keeping.importing.inbox import Parcel, reason_of, take_alone
from historian.store.rows import Rows

STEP_S = 2.0  # nobody looks at anything finer than a minute of it, and it is tied
SETTLE_S = 60
DAY_S = 86_400
HOUR_S = 3_600
FLEET = "ev.fleet_kw"  # the logic's: what all chargers give
MOST_ROWS = 60_000  # of a tag, kept until they are handed on


class Unfit(ValueError):  # noqa: N818 - reads as the claim it makes
    """A site that this is not for."""


@dataclass(slots=True)
class Recorded:
    """Of one tag: what changed, when by the wall."""

    type: ValueType
    times: list[int] = field(default_factory=list)
    bits: list[int] = field(default_factory=list)


class Past:
    """The plant of a site, read as its devices would be."""

    def __init__(self, site: Site, seed: int, start_hour: float) -> None:
        settings = site.simulator
        assert settings is not None
        built = Nominal(settings.nominal_hz, settings.nominal_v, step_s=STEP_S)
        self.site = site
        self.grid = Microgrid(
            seed, settings.ev_chargers, settings.feeders, start_hour, built, settings.ev_stay_h
        )
        rows = rows_by_tag(self.grid, site)
        self._index = {tag.name: place for place, tag in enumerate(site.tags) if tag.name}
        self._fleet = self._index.get(FLEET)
        calculated = () if site.calculated is None else site.calculated.tags
        self._evaluator = Evaluator(calculated, site.tags)
        wanted = self._wanted() | set(self._evaluator.inputs.tolist())
        self._reads = [
            (tag, row.read, source) for tag, (_, _, _, row, source) in rows.items() if tag in wanted
        ]
        self._samples = np.zeros(len(self._evaluator.inputs), SAMPLE)
        self._samples["tag"] = self._evaluator.inputs
        self._place = {int(tag): place for place, tag in enumerate(self._evaluator.inputs)}
        self.recorded: dict[int, Recorded] = {}

    def _wanted(self) -> set[int]:
        """What forecasts are of and made of, and what plans are made of."""
        names = {name for each in self.site.forecasts for name in (each.target, *each.past)}
        tags = {self._index[name] for name in names if name in self._index}
        return tags | set(() if self.site.dispatch is None else self.site.dispatch.inputs)

    def step(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP_S)):
            self.grid.step()

    def record(self, wall_ns: int, steady_ns: int) -> None:
        """All tags as they are now."""
        for tag, read, source in self._reads:
            value = read(source)
            if isinstance(value, float | int):
                self._put(tag, value, wall_ns)
        if self._fleet is not None:
            self._put(self._fleet, sum(charger.power_kw for charger in self.grid.chargers), wall_ns)
        found = self._evaluator.reckon(self._samples.copy(), wall_ns, steady_ns)  # it keeps what it got
        for tag, bits, status in zip(
            found.tags.tolist(), found.values.tolist(), found.statuses.tolist(), strict=True
        ):
            if not status & 0x8000_0000:
                self._keep(tag, bits, wall_ns)

    def _put(self, tag: int, value: float, wall_ns: int) -> None:
        bits = int(to_bits(np.array([value]), self.site.tags[tag].type)[0])
        place = self._place.get(tag)
        if place is not None:
            self._samples[place] = (tag, 0, bits, wall_ns, wall_ns)
        self._keep(tag, bits, wall_ns)

    def _keep(self, tag: int, bits: int, wall_ns: int) -> None:
        kept = self.recorded.setdefault(tag, Recorded(self.site.tags[tag].type))
        if not kept.bits or kept.bits[-1] != bits:
            kept.times.append(wall_ns)
            kept.bits.append(bits)


def moments(plant: PlantTime, days: float, every_s: float) -> Iterator[int]:
    """Plant times from so many days before the anchor on, until the plant's clock is reached."""
    at = plant.anchor_ns - round(days * DAY_S) * NS
    while at < plant.plant_ns(time.time_ns()):
        at += round(every_s * NS)
        yield at


def fill(site: Site, state: Path, days: float, every_s: float, seed: int) -> int:
    """How many samples there are now. Raises Unfit, HistoryError, OSError."""
    speed = speed_of(site)
    if speed == 1.0:
        raise Unfit("the site's simulator has speed 1: its history is written as it runs, days take days")
    plant, zone = keep_plant_time(state, speed), ZoneInfo(site.time_zone)
    begin = plant.anchor_ns - round(days * DAY_S) * NS
    past = Past(site, seed, plant.hour(plant.wall_ns(begin), zone))
    past.step(SETTLE_S)
    next_hour, told = begin, ""
    for at in moments(plant, days, every_s):
        if at >= next_hour:
            next_hour += HOUR_S * NS
            past.grid.set_hour(plant.hour(plant.wall_ns(at), zone))  # also where the clocks change
            day = f"{datetime.fromtimestamp(at / NS, zone):%Y-%m-%d}"
            if day != told:
                told = day
                print(day, file=sys.stderr, flush=True)
        past.step(every_s)
        past.record(plant.wall_ns(at), at)
    return _hand_in(past, run_paths(site.name, state).history)


def _hand_in(past: Past, history: Path) -> int:
    """By time, as a site writes: a parcel's frames then hold all tags of a stretch."""
    tags = np.concatenate([np.full(len(kept.bits), tag, np.uint32) for tag, kept in past.recorded.items()])
    times = np.concatenate([np.array(kept.times, np.int64) for kept in past.recorded.values()])
    values = np.concatenate([np.array(kept.bits, np.uint64) for kept in past.recorded.values()])
    order = np.argsort(times, kind="stable")
    tags, times, values = tags[order], times[order], values[order]
    with Parcel(history, time.time_ns()) as parcel:
        for first in range(0, len(tags), MOST_ROWS):
            part = slice(first, first + MOST_ROWS)
            count = len(tags[part])
            statuses, no_texts = np.zeros(count, np.uint32), np.zeros(0, np.uint32)
            parcel.add(Rows(tags[part], statuses, times[part], values[part], no_texts, ()))
        named = {tag: (past.site.tags[tag].name, kept.type) for tag, kept in past.recorded.items()}
        handed_in = parcel.hand_in(named)
    take_alone(history)
    reason = reason_of(handed_in)
    if reason is not None:
        raise Unfit(f"the days were not taken: {reason}")
    return len(tags)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("site", type=Path)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--days", type=float, default=14.0)
    parser.add_argument("--every-s", type=float, default=60.0, help="of the plant, between two samples")
    parser.add_argument("--seed", type=int, default=2)
    args = parser.parse_args()
    began = time.perf_counter()
    try:
        count = fill(load_site(args.site), args.state, args.days, args.every_s, args.seed)
    except Unfit as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{count:,} samples of {args.days:g} days in {time.perf_counter() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
