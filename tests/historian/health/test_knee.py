"""The knee of a falling health: found where one was put, and not in what has none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from historian.health import counted_capacity, knee
from historian.health.series import TooLittle

NAN = float("nan")
START = datetime(2024, 1, 1, tzinfo=UTC)


def weeks(values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"pct": values}, pd.date_range(START, periods=len(values), freq="7D"))


def test_a_knee_is_found_where_it_was_put() -> None:
    # 0.05 points a week, and 0.2 from week 60 on: 2.6 and 10.4 % a year.
    week = np.arange(100)
    noise = np.random.default_rng(1).normal(0, 0.3, 100)
    found = knee(weeks(100 - 0.05 * week - 0.15 * np.maximum(week - 60, 0) + noise), "pct")
    put = START + timedelta(weeks=60)
    assert abs(found.date - put) < timedelta(days=14)
    assert found.earliest < put < found.latest
    assert found.latest - found.earliest < timedelta(days=30)
    assert found.loss_before_pct_a_year == pytest.approx(2.6, abs=0.3)
    assert found.loss_after_pct_a_year == pytest.approx(10.4, abs=0.5)


def test_straight_lines_with_noise_have_no_knee() -> None:
    source, week = np.random.default_rng(7), np.arange(60)
    found = [knee(weeks(100 - 0.05 * week + source.normal(0, 0.5, 60)), "pct") for _ in range(40)]
    assert sum(each.date is not None for each in found) <= 1  # of alpha 0.01, over all that is tried


def test_what_falls_more_slowly_after_a_bend_has_no_knee() -> None:
    # Cells lose fast at first, and slower then: a bend, but no knee.
    week = np.arange(100)
    found = knee(weeks(100 - 0.2 * np.minimum(week, 20) - 0.02 * np.maximum(week - 20, 0)), "pct")
    assert found.date is None
    assert found.p < 0.01
    assert knee(weeks(100 - 0.05 * week), "pct").date is None


def test_what_falls_but_a_little_faster_after_a_bend_has_no_knee() -> None:
    # 0.05 and then 0.06 points a week, without noise: the bend is certain, and not half as steep again.
    week = np.arange(100)
    found = knee(weeks(100 - 0.05 * week - 0.01 * np.maximum(week - 50, 0)), "pct")
    assert found.p < 0.01
    assert found.loss_after_pct_a_year > found.loss_before_pct_a_year
    assert found.date is None


def test_too_few_values_have_none() -> None:
    with pytest.raises(TooLittle, match=r"11 values of 'pct' over 70 days: 12 over 60 are needed"):
        knee(weeks(np.linspace(100, 99, 11)), "pct")
    with pytest.raises(TooLittle, match=r"0 values of 'pct' over 0 days"):
        knee(weeks(np.full(20, NAN)), "pct")


def test_capacity_by_counters_is_not_harmed_by_gaps() -> None:
    # 400 kWh out of 80 points: 500 kWh; at 80 % of one way 500 kWh left the cells: 625 kWh.
    out = np.array([1000.0, 1100, NAN, NAN, 1400, 1400])
    table = pd.DataFrame(
        {"in": np.full(6, 50.0), "out": out, "soc": [90.0, 70, NAN, NAN, 10, 10]},
        pd.date_range(START, periods=6, freq="h"),
    )
    assert counted_capacity(table, "in", "out", "soc", 500.0).value == pytest.approx(500.0)
    found = counted_capacity(table, "in", "out", "soc", 500.0, efficiency=0.8)
    assert (found.value, found.health_pct) == (pytest.approx(625.0), pytest.approx(125.0))
    table["out"] = [1000.0, 1100, 0, 100, 200, 200]  # it was replaced
    with pytest.raises(TooLittle, match="no swing of 20 points of 'soc' was counted"):
        counted_capacity(table, "in", "out", "soc", 500.0)
