"""Health of assets against numbers worked by hand, which stand beside each test."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from historian.health import (
    Evidence,
    capacity,
    date_of,
    due_by_hours,
    due_by_trend,
    due_by_value,
    fuel_line,
    imbalance,
    integral,
    performance_ratio,
    power_curve,
    resistance,
    run_record,
    specific_fuel,
    throughput,
)
from historian.health.battery import EndOfLife
from historian.health.maintenance import Urgency
from historian.health.series import TooLittle

NAN = float("nan")
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def frame(step_s: float, **columns: Any) -> pd.DataFrame:
    rows = len(next(iter(columns.values())))
    index = pd.date_range("2026-01-01", periods=rows, freq=pd.Timedelta(seconds=step_s), tz="UTC")
    return pd.DataFrame({name: np.asarray(values, float) for name, values in columns.items()}, index)


def test_an_integral_tells_what_it_is_of() -> None:
    # 60 kW for 4 of 6 minutes: two pieces touch the row that is missing. 60 x 4/60 = 4 kWh.
    found = integral(frame(60, kw=[60, 60, 60, NAN, 60, 60, 60]), "kw")
    assert found.value == pytest.approx(4.0)
    assert found.coverage == pytest.approx(4 / 6)
    with pytest.raises(KeyError, match="no column 'w'; it has kw"):
        integral(frame(60, kw=[1, 2]), "w")
    with pytest.raises(ValueError, match="time zone"):
        integral(pd.DataFrame({"kw": [1.0]}, pd.date_range("2026", periods=1)), "kw")


def test_capacity_is_charge_over_swing() -> None:
    # 100 A for 4 h take 80 points: 400 Ah / 0.8 = 500 Ah; then 100 A back. Of 520 Ah nominal, 96.2 %.
    hours = np.arange(0, 8.01, 1 / 60)
    amperes = np.where(hours <= 4, 100.0, -100.0)
    charge = np.where(hours <= 4, 90 - 20 * hours, 10 + 20 * (hours - 4))
    table = frame(60, current_a=amperes, soc_pct=charge)
    found = capacity(table, "current_a", "soc_pct", 520.0)
    assert found.swings == 2
    assert found.value == pytest.approx(500, rel=0.005)
    assert found.health_pct == pytest.approx(96.15, abs=0.5)
    with pytest.raises(TooLittle, match="no swing of 90 points"):
        capacity(table, "current_a", "soc_pct", 520.0, least_swing_pct=90)


def test_capacity_by_power_takes_the_losses_of_each_way() -> None:
    # Of 500 kWh, 40 points are 200 kWh inside: out come 192 at 96 %, in go 208.33.
    hours = np.arange(0, 4.01, 1 / 60)
    power = np.where(hours <= 2, 96.0, -100 / 0.96)
    charge = np.where(hours <= 2, 80 - 20 * hours, 40 + 20 * (hours - 2))
    found = capacity(frame(60, power_kw=power, soc_pct=charge), "power_kw", "soc_pct", 500, efficiency=0.96)
    assert found.value == pytest.approx(500, rel=0.01)


def test_a_swing_with_a_gap_in_it_is_not_used() -> None:
    hours = np.arange(0, 4.01, 1 / 60)
    amperes = np.full(len(hours), 100.0)
    amperes[100:110] = NAN
    with pytest.raises(TooLittle):
        capacity(frame(60, a=amperes, soc=90 - 20 * hours), "a", "soc", 500)


def test_cycles_count_energy_both_ways() -> None:
    # 100 kW out for 1 h and in for 1 h: 200 kWh / (2 x 100 kWh) = 1 cycle.
    power = np.repeat([100.0, -100.0], 3600)
    assert throughput(frame(1, power_kw=power), "power_kw", 100.0) == pytest.approx(1.0, abs=1e-3)


def test_resistance_is_the_step_of_voltage_over_that_of_current() -> None:
    # From 0 to 200 A the voltage falls from 780 to 774 V: 6 / 200 = 0.03 ohm; the small step does not count.
    table = frame(1, a=[0, 0, 200, 200, 0, 5], v=[780, 780, 774, 774, 780, 781])
    found = resistance(table, "a", "v", least_step_a=50)
    assert (found.ohm, found.steps, found.spread) == (pytest.approx(0.03), 2, pytest.approx(0.0))
    with pytest.raises(TooLittle, match="no step of 'a' of 500 A"):
        resistance(table, "a", "v", least_step_a=500)


def test_imbalance_grows_at_rest() -> None:
    # 10 mV at rest on day 0, 11 on day 1 ...: 1 mV a day is 30.4 a month; 20 mV more under load.
    hours = np.arange(24 * 10)
    current = np.where(hours % 2, 100.0, 0.0)
    apart = 10 + hours // 24 + np.where(current > 0, 20, 0)
    table = frame(3600, low=np.full(len(hours), 3.6), high=3.6 + apart / 1000, a=current)
    found = imbalance(table, "low", "high", "a", rest_a=1.0)
    assert found.rest_mv == pytest.approx(14.5)
    assert found.loaded_mv == pytest.approx(34.5)
    assert found.growth_mv_a_month == pytest.approx(30.4375)


def test_the_date_of_80_percent_is_where_the_line_gets_there() -> None:
    # From 100 %, 0.01 points a day: 80 % after 2,000 days; noise makes a band around it.
    days = np.arange(0, 1000, 10)
    noise = np.random.default_rng(0).normal(0, 0.2, len(days))
    found = date_of(frame(864_000, soh=100 - 0.01 * days + noise), "soh")
    expected = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=2000)
    assert found.date is not None
    assert found.earliest is not None
    assert found.latest is not None
    assert abs(found.date - expected) < timedelta(days=30)
    assert found.earliest < found.date < found.latest
    assert found.loss_pct_a_year == pytest.approx(3.65, abs=0.1)
    exact = date_of(frame(864_000, soh=100 - 0.01 * days), "soh")
    assert exact.date is not None
    assert abs(exact.date - expected) <= timedelta(days=1)


def test_a_health_that_does_not_fall_has_no_date() -> None:
    found = date_of(frame(864_000, soh=np.full(100, 97.0)), "soh")
    assert (found.date, found.earliest, found.latest) == (None, None, None)
    with pytest.raises(TooLittle, match="five over 30 days"):
        date_of(frame(86_400, soh=[100, 99, 98]), "soh")


def test_performance_ratio_by_the_book() -> None:
    # 1 h at 800 W/m² and 110 kW of 150: (110 / 150) / 0.8 = 0.9167; at 45 °C 0.9167 / (1 - 0.004 x 20) = 0.9964.
    table = frame(60, kw=[110.0] * 61, sun=[800.0] * 61, warm=[45.0] * 61)
    found = performance_ratio(table, "kw", "sun", 150.0, temperature="warm")
    assert found.ratio == pytest.approx(0.91667, abs=1e-4)
    assert found.corrected == pytest.approx(0.99638, abs=1e-4)
    assert (found.energy_kwh, found.reference_h) == (pytest.approx(110), pytest.approx(0.8))


def test_a_curtailed_plant_and_the_night_are_left_out() -> None:
    kw, limit = np.full(121, 110.0), np.full(121, 150.0)
    kw[61:] = limit[61:] = 50.0
    table = frame(60, kw=kw, sun=np.full(121, 800.0), limit=limit)
    assert performance_ratio(table, "kw", "sun", 150.0, limit="limit").ratio == pytest.approx(
        0.9167, abs=1e-3
    )
    assert performance_ratio(table, "kw", "sun", 150.0).ratio < 0.7
    with pytest.raises(TooLittle, match="never reached 50"):
        performance_ratio(table.assign(sun=0.0), "kw", "sun", 150.0)


def test_a_power_curve_and_what_lies_off_it() -> None:
    # Bins at 6.0 and 8.0 m/s: 10 and 30 kW; at 7.0 between them 20. A turbine that gives 90 % has a ratio of 0.9.
    table = frame(600, v=[6.0] * 4 + [8.0] * 4, kw=[9, 10, 10, 11, 29, 30, 30, 31])
    curve = power_curve(table, "v", "kw")
    assert curve.power_kw.tolist() == [10.0, 30.0]
    assert curve.spread_kw[0] == pytest.approx(0.8165, abs=1e-4)
    off = curve.residuals(frame(600, v=[7.0, 3.0], kw=[18.0, 0.0]), "v", "kw")
    assert off["residual_kw"].iloc[0] == pytest.approx(-2.0)
    assert off["deviations"].iloc[0] == pytest.approx(-2.0 / 0.8165, abs=1e-3)
    assert np.isnan(off["residual_kw"].iloc[1])
    assert curve.energy_ratio(frame(600, v=[6.0, 8.0], kw=[9.0, 27.0]), "v", "kw") == pytest.approx(0.9)
    with pytest.raises(TooLittle, match="two are needed"):
        power_curve(table.iloc[:4], "v", "kw")


def test_thin_air_counts_as_less_wind() -> None:
    # 8 m/s at 0.98 kg/m³: 8 x (0.98 / 1.225)^(1/3) = 7.427 m/s.
    table = frame(600, v=[8.0] * 3 + [10.0] * 3, kw=[20.0] * 3 + [40.0] * 3, rho=[0.98] * 6)
    assert power_curve(table, "v", "kw", density="rho").wind_m_s[0] == pytest.approx(7.4265, abs=1e-3)


def test_hours_and_starts_with_a_gap() -> None:
    # Runs 2 of the first 5 minutes, and after an hour nobody saw; the last row holds for no time.
    seconds = [0, 60, 120, 180, 240, 300, 3900, 3960]
    index = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(seconds, unit="s")
    table = pd.DataFrame({"on": [0, 1, 1, 0, NAN, 0, 1, 1]}, index)
    found = run_record(table, "on")
    assert found.hours == pytest.approx(180 / 3600)
    assert found.starts == 2
    assert found.longest_h == pytest.approx(120 / 3600)
    assert found.coverage == pytest.approx(300 / 3960)


def test_specific_fuel_leaves_refuelling_out() -> None:
    # 60 kW burn 18 l/h: 0.3 l/kWh, 250.5 g/kWh; the refuelling of 200 l in between is no fuel burnt.
    level = 300 - 18 / 60 * np.arange(121)
    level[60:] += 200
    table = frame(60, fuel_l=level, kw=np.full(121, 60.0))
    found = specific_fuel(table, "fuel_l", "kw")
    assert found.l_per_kwh == pytest.approx(0.3)
    assert found.g_per_kwh == pytest.approx(250.5)
    assert found.energy_kwh == pytest.approx(119.0)
    with pytest.raises(TooLittle, match="10 are needed"):
        specific_fuel(table.iloc[:5], "fuel_l", "kw")


def test_the_line_of_fuel_over_power() -> None:
    # 3 l/h idle and 0.25 l/kWh, at 40, 60, 80 and 100 kW for half an hour each; at 60 kW 0.3 l/kWh.
    power = np.repeat([40.0, 60.0, 80.0, 100.0], 180)
    level = 390 - np.concatenate(([0], np.cumsum(3 + 0.25 * (power[1:] + power[:-1]) / 2) * 10 / 3600))
    found = fuel_line(frame(10, fuel_l=level, kw=power, on=np.ones(720)), "fuel_l", "kw", "on")
    assert found.idle_l_per_h == pytest.approx(3.0, abs=1e-6)
    assert found.l_per_kwh == pytest.approx(0.25, abs=1e-8)
    assert found.expected_l_per_kwh(60.0) == pytest.approx(0.3)
    with pytest.raises(TooLittle, match="three at different powers are needed"):
        fuel_line(frame(10, fuel_l=level[:170], kw=power[:170], on=np.ones(170)), "fuel_l", "kw", "on")


def test_a_service_by_hours_is_due_by_use() -> None:
    # 250 h interval, 200 gone, 2 h a day: 25 days on.
    item = due_by_hours(
        "genset1", "oil", run_hours=1200, at_last_service=1000, interval_h=250, hours_a_day=2, now=NOW
    )
    assert (item.due, item.urgency) == (NOW + timedelta(days=25), Urgency.SOON)
    assert item.evidence[0] == Evidence("running since the last service", 200, 250, "h", "run hours")
    late = due_by_hours(
        "genset1", "oil", run_hours=1300, at_last_service=1000, interval_h=250, hours_a_day=2, now=NOW
    )
    assert late.urgency is Urgency.OVERDUE
    idle = due_by_hours(
        "genset1", "oil", run_hours=1200, at_last_service=1000, interval_h=250, hours_a_day=0, now=NOW
    )
    assert (idle.due, idle.urgency) == (None, Urgency.PLANNED)
    with pytest.raises(ValueError, match="run_hours not below"):
        due_by_hours("g", "oil", run_hours=1, at_last_service=2, interval_h=250, hours_a_day=0, now=NOW)


def test_a_value_beyond_its_limit_is_an_item_with_its_evidence() -> None:
    low = Evidence("performance ratio", 0.7, 0.75, "", "June")
    item = due_by_value("pv1", "clean the modules", low, is_low_bad=True, now=NOW)
    assert item is not None
    assert (item.urgency, item.evidence) == (Urgency.OVERDUE, (low,))
    near = due_by_value("pv1", "clean", Evidence("PR", 0.8, 0.75, "", ""), is_low_bad=True, now=NOW)
    assert near is not None
    assert near.urgency is Urgency.SOON
    well = Evidence("resistance", 0.03, 0.045, "ohm", "")
    assert due_by_value("battery1", "check", well, is_low_bad=False, now=NOW) is None


def test_a_falling_health_is_due_when_it_reaches_its_limit() -> None:
    date = NOW + timedelta(days=100)
    found = EndOfLife(80, date, date - timedelta(days=20), None, 3.0)
    item = due_by_trend("battery1", "replace", found, health_pct=81, now=NOW)
    assert item is not None
    assert (item.urgency, item.due, item.latest) == (Urgency.SOON, date, None)
    gone = due_by_trend("battery1", "replace", found, health_pct=79.9, now=NOW)
    assert gone is not None
    assert gone.urgency is Urgency.OVERDUE
    steady = EndOfLife(80, None, None, None, 0.0)
    assert due_by_trend("battery1", "replace", steady, health_pct=97, now=NOW) is None
