"""A small site that plans: a battery, a vehicle, sun, a load and a tie, with a peak limit and a reserve."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gateway.config.load import load_site
from gateway.config.site import Site
from gateway.tags.image import Region
from gateway.tags.quality import Quality
from gateway.tags.sample import to_bits

SITE = """
site: {name: plant}
areas: {grid: All}
devices:
  d:
    area: grid
    protocol: modbus
    connection: {host: 192.0.2.1, port: 502}
    groups: {fast: {period_ms: 100}}
    points:
      load_kw: {table: input, address: 0, type: int16, unit: kW, scale: 0.1}
      sun_kw: {table: input, address: 1, type: int16, unit: kW, scale: 0.1}
      battery_kw: {table: input, address: 2, type: int16, unit: kW, scale: 0.1}
      soc_pct: {table: input, address: 3, type: int16, unit: "%", scale: 0.1}
      car_kw: {table: input, address: 4, type: int16, unit: kW, scale: 0.1}
      car_soc_pct: {table: input, address: 5, type: int16, unit: "%", scale: 0.1}
      tie_kw: {table: input, address: 6, type: int16, unit: kW, scale: 0.1}
      limit_kw: {table: input, address: 7, type: int16, unit: kW, scale: 0.1}
      connected: {table: discrete, address: 0}
dispatch:
  area: grid
  step_min: 15
  horizon_h: 12
  period_s: 900
  deadline_s: 10
  reserve: {ride_through_h: 1}
  tariffs:
    buy: {price_per_kwh: 0.2, periods: {evening: {from_h: 17, to_h: 21, price_per_kwh: 0.4}}}
    sell: {price_per_kwh: 0.05}
  assets:
    tie: {kind: tie, power: d.tie_kw, import_max_kw: 100, export_max_kw: 100, import_tariff: buy, export_tariff: sell,
          import_limit: d.limit_kw}
    battery: {kind: battery, power: d.battery_kw, state_of_charge: d.soc_pct, capacity_kwh: 100, charge_max_kw: 50,
              discharge_max_kw: 50, wear_cost_per_kwh: 0.02, end_value_per_kwh: 0.15}
    sun: {kind: renewable, power: d.sun_kw}
    load: {kind: load, power: d.load_kw}
    car: {kind: vehicle, power: d.car_kw, connected: d.connected, state_of_charge: d.car_soc_pct, capacity_kwh: 50,
          charge_max_kw: 11, discharge_max_kw: 0, stay_h: 6}
"""
VALUES = {
    "d.load_kw": 20.0, "d.sun_kw": 5.0, "d.battery_kw": 0.0, "d.soc_pct": 60.0, "d.car_kw": 0.0,
    "d.car_soc_pct": 30.0, "d.tie_kw": 15.0, "d.limit_kw": 30.0, "d.connected": 1.0,
}  # fmt: skip


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    path = tmp_path_factory.mktemp("site") / "site.yaml"
    path.write_text(SITE, encoding="utf-8")
    return load_site(path)


class Image:
    """A region with the site's tags, measured values in it as the drivers would write them."""

    def __init__(self, site: Site, name: str) -> None:
        self.site = site
        self.index = {tag.name: place for place, tag in enumerate(site.tags)}
        self.region = Region.create(name, [tag.spec() for tag in site.tags])
        self._writer = self.region.claim("drivers")
        self.put(**VALUES)

    def put(self, **values: float) -> None:
        for name, value in values.items():
            tag = np.array([self.index[name]], np.uint32)
            bits = to_bits(np.array([value]), self.site.tags[self.index[name]].type)
            self._writer.write(tag, bits, Quality.GOOD, 1, 1)

    def lose_one(self, name: str) -> None:
        """What a driver does when a point is not read."""
        self._writer.invalidate(Quality.BAD_NO_COMMUNICATION, 2, np.array([self.index[name]], np.uint32))

    def lose(self, owner: str) -> None:
        """What the root does when a part is dead."""
        self.region.claim(owner).invalidate(Quality.BAD_NO_COMMUNICATION, 2)

    def __getitem__(self, name: str) -> float | int | bool | str | None:
        """None while it is Bad."""
        sample = self.region.sample(name)
        return None if sample.status & 0x8000_0000 else sample.value


@pytest.fixture
def image(site: Site) -> Iterator[Image]:
    made = Image(site, f"test_dispatch_{os.getpid()}")
    with made.region:
        yield made


@pytest.fixture
def values() -> dict[str, float]:
    return dict(VALUES)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "history").mkdir()
    return tmp_path
