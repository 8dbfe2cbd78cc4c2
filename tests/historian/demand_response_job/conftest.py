"""A site with two participants in one programme, and one more that is in another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config.load import load_site
from gateway.config.site import Site

SITE = """\
site: {name: plant, time_zone: Europe/Vienna, holidays: AT}
areas: {all: Everything}
devices:
  a:
    area: all
    protocol: modbus
    connection: {host: 192.0.2.1}
    groups: {fast: {period_ms: 100}}
    points:
      mill_kw: {table: input, address: 0, type: float64, unit: kW}
      shop_kw: {table: input, address: 4, type: float64, unit: kW}
      farm_kw: {table: input, address: 8, type: float64, unit: kW}
demand_response:
  area: all
  participants:
    mill: {power: a.mill_kw, committed_kw: 10, high_kw: 25}
    shop: {power: a.shop_kw, committed_kw: 5}
    farm: {power: a.farm_kw, committed_kw: 7}
  programmes:
    peak: {participants: [mill, shop], import_max_kw: 200, notice_min: 30, longest_h: 3, most_a_month: 2}
    fast: {participants: [farm]}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(SITE, encoding="utf-8")
    return path


@pytest.fixture
def site(path: Path) -> Site:
    return load_site(path)


@pytest.fixture
def table(tmp_path: Path) -> Callable[[], Path]:
    """Eight weeks of readings in 15 min: mill 100 kW, and 70 on 2026-06-25 from 14:00 to 16:00; shop 40 kW."""

    def write() -> Path:
        import pandas as pd

        times = pd.date_range("2026-05-04", "2026-06-27", freq="15min", tz="Europe/Vienna", inclusive="left")
        frame = pd.DataFrame({"mill": 100.0, "shop": 40.0, "farm": 7.0}, index=times)
        frame.loc[(times >= "2026-06-25T14:00+02:00") & (times < "2026-06-25T16:00+02:00"), "mill"] = 70.0
        frame.index = [time.isoformat() for time in times]
        path = tmp_path / "readings.csv"
        frame.to_csv(path, index_label="time")
        return path

    return write
