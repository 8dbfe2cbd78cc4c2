"""Hysteresis, ramps, filters, means and statistics against closed forms, at several scan periods."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

Blocks = Callable[[str], Any]
SECOND = 10**9  # a TIME is nanoseconds on the bench
PERIODS = [0.001, 0.007, 0.1]
at_periods = pytest.mark.parametrize("period_s", PERIODS)


def uneven(until_s: float, seed: int) -> list[float]:
    """Times of scans with a jittering period, whole microseconds, ending at ``until_s``."""
    random = Random(seed)
    times, time_us = [], 0
    while time_us < until_s * 1e6:
        times.append(time_us / 1e6)
        time_us += random.randrange(500, 40_000)
    return [*times, until_s]


# ── ELAPSED_TIME ─────────────────────────────────────────────────────────────────────────────────────────────────
def test_elapsed_time_is_zero_first_and_then_what_passed(block: Blocks) -> None:
    clock = block("ELAPSED_TIME")
    clock.at(5.0)
    assert clock["elapsed"] == 0
    clock.at(5.0)
    assert clock["elapsed"] == 0
    clock.at(5.123456)
    assert clock["elapsed"] == 123_456_000
    assert clock["elapsed_s"] == pytest.approx(0.123456, rel=1e-12)


def test_elapsed_time_loses_nothing_over_a_month(block: Blocks) -> None:
    clock = block("ELAPSED_TIME")
    total_ns = 0
    for step in range(1001):
        clock.at(step * 2592.0)  # 30 days in 1000 scans, through the timer's new start at 10 days
        total_ns += clock["elapsed"]
    assert total_ns == 30 * 86_400 * SECOND


# ── HYSTERESIS ───────────────────────────────────────────────────────────────────────────────────────────────────
def test_hysteresis_switches_at_its_thresholds_and_holds_between(block: Blocks) -> None:
    switch = block("HYSTERESIS")
    switch.set(high=45.0, low=40.0)
    seen = switch.follow(
        lambda t: {"value": [42.0, 44.9, 45.0, 42.0, 40.1, 40.0, 42.0][round(t) - 1]}, 7, 1, "is_on"
    )
    assert seen == [False, False, True, True, True, False, False]


def test_hysteresis_holds_on_bad_and_refuses_crossed_thresholds(block: Blocks) -> None:
    switch = block("HYSTERESIS")
    switch.at(0, value=50.0, high=45.0, low=40.0)
    switch.at(1, value=0.0, is_good=False)
    assert switch["is_on"]
    switch.at(2, is_good=True, low=46.0)
    assert not switch["is_on"]
    assert switch["is_misconfigured"]


# ── RAMP ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@at_periods
def test_ramp_rises_and_falls_at_its_own_rates(block: Blocks, period_s: float) -> None:
    ramp = block("RAMP")
    ramp.at(0, target=100.0, up_per_s=5.0, down_per_s=20.0, track_value=10.0)
    assert ramp["value"] == 10.0
    ramp.run(7.0, period_s)
    assert ramp["value"] == pytest.approx(10 + 5 * ramp.time_s, rel=1e-6)
    start_s, start = ramp.time_s, ramp["value"]
    ramp.run(8.4, period_s, target=-50.0)
    assert ramp["value"] == pytest.approx(start - 20 * (ramp.time_s - start_s), rel=1e-6)
    ramp.run(30.0, period_s)
    assert ramp["value"] == -50.0
    assert ramp["is_at_target"]


def test_a_slow_ramp_at_a_short_scan_does_not_stand_still(block: Blocks) -> None:
    ramp = block("RAMP")
    ramp.at(0, target=200.0, up_per_s=0.001, track_value=100.0)
    ramp.run(60.0, 0.001)
    assert ramp["value"] == pytest.approx(100.06, abs=1e-5)


def test_ramp_tracks_and_a_rate_of_nothing_holds(block: Blocks) -> None:
    ramp = block("RAMP")
    ramp.at(0, target=100.0, up_per_s=1.0, down_per_s=0.0, track=True, track_value=30.0)
    ramp.at(1, track_value=40.0)
    assert ramp["value"] == 40.0
    ramp.at(2, track=False)
    assert ramp["value"] == 41.0
    ramp.at(9, target=0.0)
    assert ramp["value"] == 41.0
    ramp.at(10, down_per_s=-5.0)
    assert ramp["value"] == 41.0


# ── LOWPASS ──────────────────────────────────────────────────────────────────────────────────────────────────────
@at_periods
def test_lowpass_step_is_exact_at_any_period(block: Blocks, period_s: float) -> None:
    filter_ = block("LOWPASS")
    filter_.at(0, value=2.0, time_constant=SECOND // 2)
    filter_.at(1, value=12.0)
    for until_s in (1.2, 1.5, 3.0):
        filter_.run(until_s, period_s)
        assert filter_["filtered"] == pytest.approx(12 - 10 * math.exp(-(filter_.time_s - 1) / 0.5), rel=1e-6)


def test_lowpass_step_is_exact_at_a_jittering_period(block: Blocks) -> None:
    filter_ = block("LOWPASS")
    filter_.at(0, value=0.0, time_constant=SECOND)
    for time_s in uneven(2.5, seed=1):
        filter_.at(time_s, value=1.0)
    assert filter_["filtered"] == pytest.approx(1 - math.exp(-2.5), rel=1e-6)


def test_a_slow_lowpass_at_a_short_scan_does_not_stand_still(block: Blocks) -> None:
    filter_ = block("LOWPASS")
    filter_.at(0, value=0.0, time_constant=600 * SECOND)
    filter_.at(0, value=1000.0)
    filter_.run(60.0, 0.001)
    assert filter_["filtered"] == pytest.approx(1000 * (1 - math.exp(-0.1)), rel=1e-6)


def test_lowpass_holds_on_bad_and_bad_time_does_not_count(block: Blocks) -> None:
    filter_ = block("LOWPASS")
    filter_.at(0, value=0.0, time_constant=SECOND)
    filter_.at(0, value=1.0)
    filter_.run(0.5, 0.01)
    held = filter_["filtered"]
    filter_.run(5.0, 0.01, is_good=False, value=99.0)
    assert filter_["filtered"] == held
    filter_.run(5.01, 0.01, is_good=True, value=1.0)
    assert filter_["filtered"] == held
    filter_.run(5.51, 0.01)
    assert filter_["filtered"] == pytest.approx(1 - math.exp(-1.0), rel=1e-6)


def test_lowpass_starts_at_its_first_value_and_passes_all_without_a_time_constant(block: Blocks) -> None:
    filter_ = block("LOWPASS")
    filter_.at(0, value=7.0, time_constant=SECOND)
    assert filter_["filtered"] == 7.0
    filter_.at(1, value=9.0, reset=True)
    assert filter_["filtered"] == 9.0
    filter_.at(2, value=3.0, reset=False, time_constant=0)
    assert filter_["filtered"] == 3.0


# ── MOVING_AVERAGE ───────────────────────────────────────────────────────────────────────────────────────────────
@at_periods
def test_moving_average_of_a_step_is_a_straight_line_over_the_window(block: Blocks, period_s: float) -> None:
    average = block("MOVING_AVERAGE")
    average.at(0, value=0.0, window=SECOND * 2)
    average.run(5.0, period_s)
    assert average["is_full"]
    step_s = average.time_s
    average.at(step_s, value=10.0)
    for share in (0.25, 0.5, 0.9):
        average.run(step_s + 2 * share, period_s)
        # The oldest part may hold the step itself: it is 1/60 of the window or one scan long.
        expected = 10 * (average.time_s - step_s) / 2
        assert average["mean"] == pytest.approx(expected, abs=1e-4)
    average.run(step_s + 2.0 + 2 * max(period_s, 2 / 60), period_s)
    assert average["mean"] == pytest.approx(10.0, rel=1e-6)


def test_moving_average_before_its_window_is_full_is_the_mean_so_far(block: Blocks) -> None:
    average = block("MOVING_AVERAGE")
    average.at(0, value=4.0, window=10 * SECOND)
    assert average["mean"] == 4.0
    average.run(1.0, 0.1)
    average.at(1.0, value=8.0)
    average.run(4.0, 0.1)
    assert average["mean"] == pytest.approx((4 * 1 + 8 * 3) / 4)
    assert not average["is_full"]


@at_periods
def test_moving_average_of_a_sine_over_its_own_period_is_its_mean(block: Blocks, period_s: float) -> None:
    average = block("MOVING_AVERAGE")
    average.set(window=SECOND)
    average.follow(lambda t: {"value": 3 + math.sin(2 * math.pi * t)}, 4.0, period_s)
    assert average["mean"] == pytest.approx(3.0, abs=0.02)


def test_moving_average_leaves_bad_time_out(block: Blocks) -> None:
    average = block("MOVING_AVERAGE")
    average.at(0, value=1.0, window=4 * SECOND)
    average.at(1, value=99.0, is_good=False)
    average.at(2, value=3.0, is_good=True)
    average.at(3)
    assert average["mean"] == pytest.approx(
        3.0
    )  # the second from 0 ended in a Bad value, so only 2 to 3 is known
    average.at(4, reset=True, value=5.0)
    assert average["mean"] == 5.0
    average.at(6, reset=False)
    assert average["mean"] == 5.0


def test_moving_average_bears_a_window_changed_at_run_time(block: Blocks) -> None:
    average = block("MOVING_AVERAGE")
    average.at(0, value=1.0, window=SECOND)
    average.run(3.0, 0.01)
    average.run(40.0, 0.01, window=30 * SECOND)
    assert average["mean"] == pytest.approx(1.0)
    average.run(41.0, 0.01, window=SECOND // 10)
    average.run(42.0, 0.01, value=2.0)
    assert average["mean"] == pytest.approx(2.0)


# ── STATISTICS ───────────────────────────────────────────────────────────────────────────────────────────────────
@at_periods
def test_statistics_of_a_rectangle_wave(block: Blocks, period_s: float) -> None:
    statistics = block("STATISTICS")
    scans = round(0.7 / period_s)  # both levels stand for whole scans
    statistics.at(0, value=10.0)
    statistics.run(scans * period_s, period_s)
    statistics.at(statistics.time_s, value=20.0)
    statistics.run(4 * scans * period_s, period_s)
    assert statistics["mean"] == pytest.approx((10 + 3 * 20) / 4, rel=1e-6)
    assert statistics["deviation"] == pytest.approx(10 * math.sqrt(0.25 * 0.75), rel=1e-6)
    assert (statistics["least"], statistics["greatest"]) == (10.0, 20.0)
    assert statistics["time_s"] == pytest.approx(4 * scans * period_s)


def test_statistics_do_not_cancel_on_a_great_offset(block: Blocks) -> None:
    statistics = block("STATISTICS")
    statistics.follow(lambda t: {"value": 1e6 + (1 if round(t * 1000) % 2 else -1)}, 20.0, 0.001)
    assert statistics["deviation"] == pytest.approx(1.0, rel=1e-3)


def test_statistics_begin_anew_and_leave_bad_values_out(block: Blocks) -> None:
    statistics = block("STATISTICS")
    statistics.at(0, value=500.0, is_good=False)
    assert not statistics["is_known"]
    statistics.at(1, value=5.0, is_good=True)
    assert (statistics["mean"], statistics["deviation"], statistics["least"]) == (5.0, 0.0, 5.0)
    statistics.at(2, value=-999.0, is_good=False)
    statistics.at(3, value=7.0, is_good=True)
    statistics.at(4)
    assert (statistics["least"], statistics["greatest"], statistics["time_s"]) == (
        5.0,
        7.0,
        pytest.approx(1.0),
    )
    statistics.at(5, reset=True, value=1.0)
    statistics.at(6, reset=False)
    assert (statistics["mean"], statistics["greatest"], statistics["time_s"]) == (
        1.0,
        1.0,
        pytest.approx(1.0),
    )


# ── TOTALIZER ────────────────────────────────────────────────────────────────────────────────────────────────────
@at_periods
def test_totalizer_counts_constant_power_exactly(block: Blocks, period_s: float) -> None:
    counter = block("TOTALIZER")
    counter.at(0, power_kw=36.0)
    counter.run(25.0, period_s)
    assert counter["energy_kwh"] == pytest.approx(0.01 * counter.time_s, rel=1e-9)


@at_periods
def test_totalizer_is_a_trapezoid_and_counts_only_above_the_crossing(block: Blocks, period_s: float) -> None:
    counter = block("TOTALIZER")
    # A straight line from +100 to -100 kW in 2 s and back: two triangles of 50 kWs.
    counter.at(0, power_kw=100.0)
    counter.follow(lambda t: {"power_kw": 100.0 * abs(2.0 - t) - 100.0}, 4.2, period_s)
    end_kw = 100.0 * abs(2.0 - counter.time_s) - 100.0
    last = (end_kw + 100) / 2 * (counter.time_s - 4.0) if counter.time_s > 4 else 0.0
    assert counter["energy_kwh"] == pytest.approx(
        (50 + 50 + last) / 3600, rel=2e-3 if period_s > 0.05 else 1e-4
    )


@pytest.mark.parametrize(
    ("before_kw", "after_kw", "area_kws"),
    [
        (10.0, 30.0, 80.0),
        (-10.0, 30.0, 0.5 * 30 * 3),
        (30.0, -10.0, 0.5 * 30 * 3),
        (-30.0, -10.0, 0.0),
        (0.0, 30.0, 60.0),
    ],
)
def test_one_long_scan_counts_what_is_above_zero_of_a_straight_line(
    block: Blocks, before_kw: float, after_kw: float, area_kws: float
) -> None:
    counter = block("TOTALIZER")
    counter.at(0, power_kw=before_kw)
    counter.at(4, power_kw=after_kw)
    assert counter["energy_kwh"] == pytest.approx(area_kws / 3600, rel=1e-9)


def test_totalizer_never_falls(block: Blocks) -> None:
    counter, random, before = block("TOTALIZER"), Random(3), 0.0
    for step in range(2000):
        counter.at(step * 0.1, power_kw=random.uniform(-50, 30), is_good=random.random() > 0.1)
        assert counter["energy_kwh"] >= before
        before = counter["energy_kwh"]
    assert before > 0.1


def test_a_counter_of_years_still_counts_each_scan(block: Blocks) -> None:
    counter = block("TOTALIZER")
    counter.set(whole_wh=9_000_000_000_000)  # 9 TWh: one scan's 1E-7 kWh is far below the last bit of the sum
    counter.at(0, power_kw=0.36)
    counter.run(100.0, 0.001)
    assert counter["whole_wh"] == 9_000_000_000_010


def test_totalizer_rolls_over_resets_and_tells_of_bad_time(block: Blocks) -> None:
    counter = block("TOTALIZER")
    counter.at(0, power_kw=3600.0, rollover_kwh=10.0)
    counter.run(25.0, 1.0)
    assert (counter["energy_kwh"], counter["rollovers"]) == (pytest.approx(5.0), 2)
    counter.at(30.0, is_good=False)
    counter.at(40.0, is_good=True)
    assert (counter["energy_kwh"], counter["not_counted_s"]) == (pytest.approx(5.0), pytest.approx(15.0))
    counter.at(41.0)
    assert counter["energy_kwh"] == pytest.approx(6.0)
    counter.at(42.0, reset=True)
    assert (counter["energy_kwh"], counter["rollovers"], counter["not_counted_s"]) == (0.0, 0, 0.0)
