"""A site with a forecast, eleven days of history of its target, and jobs whose time is passed in."""

from __future__ import annotations

import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.config.load import load_site
from gateway.config.site import HistorianSettings, Site
from gateway.tags.image import Region
from gateway.tags.sample import to_bits
from gateway.tags.tag import ValueType
from historian.forecast_job.job import Jobs
from historian.forecast_job.part import Teller
from historian.forecast_job.plan import S_NS, plans_of
from historian.forecast_job.store import FOLDER
from historian.forecast_job.training import train_all
from historian.keeping.zone import note_zone
from historian.query.history import History

folders = sys.modules["historian_folder"]
NOON, DAY_NS = folders.NOON, 86_400 * S_NS
STEP_NS = 900 * S_NS
HISTORY_DAYS = 11
LONG_DAYS = 16  # enough for patterns of days

# The naive model alone: training is that of a second, and what it forecasts can be told by hand.
SITE = """\
site: {name: plant, time_zone: Europe/Berlin}
areas: {loads: Demand}
devices:
  a:
    area: loads
    protocol: modbus
    connection: {host: 192.0.2.1}
    groups: {fast: {period_ms: 100}}
    points: {power_kw: {table: input, address: 0, type: float64, unit: kW, decimals: 1}}
  b:
    area: loads
    protocol: modbus
    connection: {host: 192.0.2.1}
    groups: {fast: {period_ms: 100}}
    points: {power_kw: {table: input, address: 0, type: float64, unit: kW, decimals: 1}}
forecasts:
  load: {target: a.power_kw, kind: load, area: loads, season: day, horizon_h: 24, short_min: 15,
         models: [seasonal-naive], train_days: 11, train_at: "02:30", alert_above: 140, alert_probability: 0.6}
"""
ALERT = ", alert_above: 140, alert_probability: 0.6"
assert ALERT in SITE


def load_kw(time_ns: int) -> float:
    """The same every day but for some noise: 100 kW on average, most at 18:00 UTC."""
    noise = (time_ns // (300 * S_NS) * 2_654_435_761 % 1_000) / 500 - 1
    return 100 + 50 * math.cos(2 * math.pi * (time_ns / DAY_NS - 0.75)) + noise


class Plant:
    """A running site as the part sees it: history, image, clock. ``look`` is one turn of the part's loop."""

    def __init__(self, folder: Any, site: Site, state: Path) -> None:
        self.folder, self.site, self.state, self.clock = folder, site, state, folder.clock
        self.forecasts = state / FOLDER
        self.clock.now = NOON + 10 * S_NS
        name = f"forecast_{os.getpid()}_{id(self)}"
        self.region = Region.create(name, [tag.spec() for tag in site.tags])
        self._drivers = self.region.claim("drivers")
        self._writer = self.region.claim("forecast")
        self.start()

    def start(self) -> None:
        self.jobs = Jobs(
            self.site.forecasts, self.folder.directory, self.forecasts, self.site.time_zone, self.clock
        )
        self.teller = Teller(self._writer, self.region, self.site.time_zone, self.clock)

    def close(self) -> None:
        self.jobs.close()
        self.region.close()

    @property
    def job(self) -> Any:
        return self.jobs.jobs[0]

    def put(self, value: float, status: int = 0) -> None:
        """What the target is now, in the image."""
        tags = self.region.indexes_of(["a.power_kw"])
        now = self.clock()
        self._drivers.write(tags, to_bits(np.array([value]), ValueType.DOUBLE), status, now, now)

    def record(self, first: int, last: int, name: str = "a.power_kw") -> None:
        """History of [first, last), a sample in five minutes."""
        times = list(range(first, last, 300 * S_NS))
        self.folder.write(name, times, [load_kw(time) for time in times])

    def train(self) -> list[Any]:
        """As the process does, but here."""
        history = History(self.folder.directory, clock=self.clock)
        plans = [plan for forecast in self.site.forecasts for plan in plans_of(forecast)]
        try:
            return train_all(history, self.forecasts, plans, self.site.time_zone, lambda _: None, self.clock)
        finally:
            history.close()

    def look(self) -> None:
        new = self.jobs.look()
        self.teller.tell(self.jobs.jobs, new, self.jobs.trainer.forecast if self.jobs.trainer.is_busy else "")

    def said(self, ending: str) -> Any:
        return self.region.sample(f"forecast.load.{ending}")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    file = tmp_path / "site.yaml"
    file.write_text(SITE)
    return load_site(file)


@pytest.fixture
def make_plant(folder: Any, tmp_path: Path) -> Iterator[Callable[[Site], Plant]]:
    made: list[Plant] = []

    def make(site: Site) -> Plant:
        state = tmp_path / "state"
        state.mkdir()
        (state / "history").symlink_to(folder.directory)
        note_zone(folder.directory, site.time_zone)
        made.append(Plant(folder, site, state))
        return made[-1]

    yield make
    for plant in made:
        plant.close()


@pytest.fixture
def bare(make_plant: Callable[[Site], Plant], site: Site) -> Plant:
    """Without any history."""
    return make_plant(site)


@pytest.fixture
def long_plant(make_plant: Callable[[Site], Plant], tmp_path: Path) -> Plant:
    """With history, a class of consumers, and steps of 15 min alone: one model to train."""
    file = tmp_path / "long.yaml"
    longer = SITE.replace("short_min: 15", "short_min: 0").replace(ALERT, ", patterns: {home: [a.power_kw]}")
    file.write_text(longer.replace("train_days: 11", f"train_days: {LONG_DAYS}"))
    plant = make_plant(load_site(file))
    plant.record(NOON - LONG_DAYS * DAY_NS, NOON)
    plant.put(load_kw(NOON))
    return plant


@pytest.fixture
def plant(bare: Plant) -> Plant:
    """With eleven days of it."""
    bare.record(NOON - HISTORY_DAYS * DAY_NS, NOON)
    bare.put(load_kw(NOON))
    return bare


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What training on that history leaves behind; made once, as it takes the longest."""
    state = tmp_path_factory.mktemp("trained")
    folder = folders.Folder(state / "history", folders.Clock(), HistorianSettings())
    (state / "site.yaml").write_text(SITE)
    plant = Plant(folder, load_site(state / "site.yaml"), state)
    try:
        plant.record(NOON - HISTORY_DAYS * DAY_NS, NOON)
        assert [each.model for each in plant.train()] == ["seasonal-naive"] * 3
    finally:
        plant.close()
        folder.recorder.close()
    return state / FOLDER


@pytest.fixture
def trained(plant: Plant, models: Path) -> Plant:
    """And models."""
    plant.jobs.close()
    shutil.copytree(models, plant.forecasts, dirs_exist_ok=True)
    plant.start()
    return plant
