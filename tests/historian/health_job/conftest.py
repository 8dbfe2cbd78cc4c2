"""A site with an asset of each kind, and two and a half days of its history, made so that health is told by hand.

2026-11-19 and -20 whole, the 21st until noon. The battery gives 400 kWh out of 83.33 points of its 480 kWh, and takes
them back; a step of 140 A takes 4.2 V. PV gives 0.9 of its nameplate, 50 degrees warm. Wind gives 5 kW for each m/s
above 4 on the first day, and 0.8 of it later. The genset runs twice, three hours at 100 kW and 30 l/h.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.config.load import load_site
from gateway.config.site import Site
from gateway.tags.image import Region
from historian.query.history import History

NOON = sys.modules["historian_folder"].NOON
MINUTE, HOUR = 60 * 10**9, 3_600 * 10**9
START = NOON - 60 * HOUR  # 2026-11-19T00:00Z

SITE = """\
site: {name: plant}
areas: {all: Everything}
devices:
  a:
    area: all
    protocol: modbus
    connection: {host: 192.0.2.1}
    groups: {fast: {period_ms: 100}}
    points:
      battery_kw: {table: input, address: 0, type: float64, unit: kW}
      soc_pct: {table: input, address: 4, type: float64, unit: "%"}
      in_kwh: {table: input, address: 8, type: float64, unit: kWh}
      out_kwh: {table: input, address: 12, type: float64, unit: kWh}
      current_a: {table: input, address: 16, type: float64, unit: A}
      voltage_v: {table: input, address: 20, type: float64, unit: V}
      low_v: {table: input, address: 24, type: float64, unit: V}
      high_v: {table: input, address: 28, type: float64, unit: V}
      pv_kw: {table: input, address: 32, type: float64, unit: kW}
      sun_w_m2: {table: input, address: 36, type: float64, unit: W/m²}
      panel_c: {table: input, address: 40, type: float64, unit: °C}
      wind_kw: {table: input, address: 44, type: float64, unit: kW}
      wind_m_s: {table: input, address: 48, type: float64, unit: m/s}
      genset_kw: {table: input, address: 52, type: float64, unit: kW}
      fuel_pct: {table: input, address: 56, type: float64, unit: "%"}
      running: {table: discrete, address: 0}
health:
  battery:
    {kind: battery, area: all, power: a.battery_kw, state_of_charge: a.soc_pct, capacity_kwh: 500, COUNTERS
     current: a.current_a, voltage: a.voltage_v, resistance_mohm: 15, cell_lowest: a.low_v, cell_highest: a.high_v}
  sun: {kind: pv, area: all, power: a.pv_kw, irradiance: a.sun_w_m2, temperature: a.panel_c, rated_kw: 150,
     performance_min: 0.95}
  mill: {kind: wind, area: all, power: a.wind_kw, wind: a.wind_m_s, rated_kw: 60, learn_days: 1,
     energy_ratio_min: 0.9}
  genset:
    {kind: genset, area: all, power: a.genset_kw, running: a.running, fuel: a.fuel_pct, tank_l: 400,
     hours_before: 100, upkeep: {oil: {every_h: 2.5, description: Change the oil}}}
"""
COUNTERS = "charged: a.in_kwh, discharged: a.out_kwh,"


class Plant:
    """The site, its history, and an image to tell in."""

    def __init__(self, site: Site, path: Path, folder: Any) -> None:
        self.site, self.path, self.folder = site, path, folder
        self.state = path.parent / "state"
        self.history: History = folder.history()
        self.region: Region | None = None

    def image(self) -> Region:
        self.region = Region.create(f"health_{os.getpid()}", [tag.spec() for tag in self.site.tags])
        return self.region

    def said(self, name: str) -> tuple[Any, int]:
        assert self.region is not None
        sample = self.region.sample(f"health.{name}")
        return sample.value, sample.status

    def close(self) -> None:
        self.history.close()
        if self.region is not None:
            self.region.close()


def record(folder: Any, site: Site) -> None:
    folder.entries = {
        entry.path: entry
        for entry in folder.recorder.catalogue.register(
            [tag for tag in site.tags if tag.owner == "drivers"], NOON
        )
    }
    times = np.arange(START, NOON, MINUTE)
    hour = (times - START) / HOUR
    out_h = np.clip(hour - 28, 0, 4)  # from 04:00 of the 20th on, 100 kW
    in_h = np.clip(hour - 36, 0, 4)
    runs = ((hour >= 25) & (hour < 27)) | ((hour >= 53) & (hour < 54))
    run_h = np.clip(hour - 25, 0, 2) + np.clip(hour - 53, 0, 1)
    day_h = hour % 24
    sun = np.where((day_h >= 8) & (day_h < 16), 500.0, 0.0)
    wind = 4 + 8 * (times // (10 * MINUTE) % 40) / 40
    columns = {
        "battery_kw": np.where((out_h > 0) & (hour <= 32), 100.0, 0.0)
        - np.where((in_h > 0) & (hour <= 40), 100.0, 0.0),
        "soc_pct": 95 - (out_h - in_h) * 100 / 4.8,
        "in_kwh": 100 * in_h,
        "out_kwh": 100 * out_h,
        "low_v": np.full(len(times), 3.30),
        "high_v": np.full(len(times), 3.32),
        "pv_kw": 0.9 * 150 * sun / 1000,
        "sun_w_m2": sun,
        "panel_c": np.full(len(times), 50.0),
        "wind_kw": 5 * (wind - 4) * np.where(hour < 24, 1.0, 0.8),
        "wind_m_s": wind,
        "genset_kw": np.where(runs, 100.0, 0.0),
        "fuel_pct": 80 - 30 * run_h / 4.0,
        "running": runs,
    }
    for name, values in columns.items():
        folder.write(f"a.{name}", times, values, flush=False)
    # The step itself by the second: 0 to 140 A at 04:00:30.
    fine = START + 28 * HOUR + np.arange(60) * 10**9
    times = np.concatenate((times[times < fine[0]], fine, times[times > fine[-1]]))
    amperes = np.where((times >= fine[30]) & (times < START + 32 * HOUR), 140.0, 0.0)
    folder.write("a.current_a", times, amperes, flush=False)
    folder.write("a.voltage_v", times, 800 - 0.03 * amperes, flush=False)
    assert folder.recorder.flush()


@pytest.fixture
def plant(tmp_path: Path, make_folder: Callable[..., Any]) -> Iterator[Callable[..., Plant]]:
    made: list[Plant] = []

    def make(counters: str = COUNTERS) -> Plant:
        path = tmp_path / "site.yaml"
        path.write_text(SITE.replace("COUNTERS", counters), encoding="utf-8")
        site = load_site(path)
        folder = make_folder()
        record(folder, site)
        made.append(Plant(site, path, folder))
        return made[-1]

    yield make
    for each in made:
        each.close()
