"""The site of sixty-tick days on a clock that the test turns: planned at each tick, and cheaper than the rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from gateway.config.load import load_site
from gateway.config.site import Site
from gateway.scenarios.imperial60 import TICKS, day_of
from gateway.simulator.devices.imperial60 import imperial60_devices
from gateway.simulator.devices.registers import Reading
from gateway.simulator.plant.imperial60 import DAY_S, DEMAND_MAX_KW, KW_PER_W, STORE_KWH, TICK_S, Imperial60
from historian.dispatch_job.dispatcher import Dispatcher, Published
from historian.dispatch_job.foresight import Floats, NoForecasts
from historian.dispatch_job.kept import Kept
from historian.dispatch_job.solver import Job, Solved, solve_job

SITE = Path(__file__).parents[3] / "config" / "sites" / "imperial60" / "site.yaml"
DAY = 5_900_000
"""Some day of 2026."""
LOOKS = 5
"""A tick."""
OWN = {"house.demand_kw", "house.losses_kw", "sun.power_kw", "tie.asked_eur_kwh", "tie.paid_eur_kwh"}


@pytest.fixture(scope="module")
def site() -> Site:
    return load_site(SITE)


class AtOnce:
    """A solver that has its answer when it is asked for."""

    def __init__(self, job: Job) -> None:
        self._solved = solve_job(job)

    def poll(self) -> Solved:
        return self._solved

    def end(self) -> None:
        pass


def means(tags: Sequence[str], start: datetime, step: timedelta, count: int) -> Mapping[str, Floats]:
    """What history would say of days gone by."""
    first = round(start.timestamp() / TICK_S)
    days = {number: day_of(number) for number in range(first // TICKS, (first + count) // TICKS + 1)}

    def value(tag: str, place: int) -> float:
        day, tick = days[place // TICKS], place % TICKS
        match tag:
            case "house.demand_kw":
                return min(float(day.demand_w[tick]) * KW_PER_W, DEMAND_MAX_KW)
            case "sun.power_kw":
                return float(day.sun_w[tick]) * KW_PER_W
            case "tie.asked_eur_kwh":
                return float(day.asked_cents[tick]) / 100
            case "tie.paid_eur_kwh":
                return float(day.paid_cents[tick]) / 100
            case _:
                return 1440.0

    assert set(tags) <= OWN
    return {tag: np.array([value(tag, first + k) for k in range(count)]) for tag in tags}


class Running:
    """Plant and dispatcher; what is planned is done at once."""

    def __init__(self, site: Site, start_s: float) -> None:
        assert site.dispatch is not None
        self.now_s = start_s
        self.plant = Imperial60(0, start_s)
        self.jobs: list[Job] = []
        self._rows: dict[int, Callable[[], Reading]] = {}
        served = {name: (map, source) for name, _, map, source in imperial60_devices(self.plant)}
        for device in site.modbus:
            map, source = served[device.name]
            rows = {(row.table.value, row.address): row for row in map.rows}
            for point in device.points:
                row = rows[point.table.value, point.address]
                self._rows[point.tag] = partial(row.read, source)
        names = {tag: site.tags[tag].name for tag in site.dispatch.inputs}
        self.dispatcher = Dispatcher(site.dispatch, names, UTC, Kept(), means, NoForecasts(), self._begin)

    def _begin(self, job: Job) -> AtOnce:
        self.jobs.append(job)
        return AtOnce(job)

    def look(self) -> Published:
        now = datetime.fromtimestamp(self.now_s, UTC)
        return self.dispatcher.look(self._read, now)

    def _read(self, tag: int) -> float:
        value = self._rows[tag]()
        assert isinstance(value, (int, float)), value
        return float(value)

    def tick(self) -> Published:
        """One of the clock's: a plan soon after it began, followed to its end."""
        self.plant.step(self.now_s)
        began_s, published = self.now_s, self.look()
        for k in range(1, LOOKS + 1):
            self.now_s = began_s + TICK_S * k / (LOOKS + 1)
            self.plant.step(self.now_s)
            published = self.look()
            if not published.powers_kw:
                continue  # a day that has begun and is not planned yet
            self.plant.store.setpoint_kw = published.powers_kw["store"]
            for number, job in enumerate(self.plant.jobs, 1):
                job.setpoint_kw = max(published.powers_kw[f"job{number}"], 0.0)
        self.now_s = began_s + TICK_S
        return published


def test_a_day_is_planned_at_each_tick_to_its_end_and_costs_less_than_by_the_rule(site: Site) -> None:
    running = Running(site, DAY * DAY_S)
    done = []
    for tick in range(TICKS):
        published = running.tick()
        if tick == TICKS - 2:
            done = [(job.done_kwh, job.energy_kwh) for job in running.plant.jobs]
        assert 0.0 <= running.plant.store.energy_kwh <= STORE_KWH
        assert "history of 20 days" in published.forecast
        assert published.words == ""
    # The first look of a day asks at once, the others when the tick has begun for `wait_s`.
    horizons = [job.horizon for job in running.jobs]
    assert horizons[:1] + horizons[-TICKS + 1 :] == [*range(TICKS, 0, -1)]
    assert all(had == pytest.approx(needed, abs=1e-3) for had, needed in done), (
        "jobs are done in their windows"
    )
    running.tick()
    running.look()  # the first tick of the next day counts: the day is over
    yesterday = running.dispatcher.kept.shadow.yesterday
    assert yesterday is not None
    assert yesterday.steps == TICKS
    assert yesterday.naive_cost > 0
    assert yesterday.cost < 0.9 * yesterday.naive_cost


def test_what_is_now_takes_the_place_of_what_was_foreseen(site: Site) -> None:
    running = Running(site, DAY * DAY_S)
    for _ in range(3):
        running.tick()
    job, day = running.jobs[-1], day_of(DAY)
    load, tie = job.site.by_name["demand"], job.site.by_name["grid"]
    past = [day_of(DAY - n) for n in range(1, 21)]
    assert tie.import_price_per_kwh[0] == pytest.approx(day.asked_cents[2] / 100)
    assert tie.import_price_per_kwh[1:] == pytest.approx(
        np.mean([each.asked_cents for each in past], axis=0)[3:] / 100
    )
    assert tie.export_price_per_kwh[0] == pytest.approx(day.paid_cents[2] / 100)
    assert load.power_kw[0] == pytest.approx(min(day.demand_w[2] * KW_PER_W, DEMAND_MAX_KW))
