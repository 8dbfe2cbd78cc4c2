"""Warnings of spikes out of quantiles, drift of errors, what is known ahead, and weights of an ensemble."""

from __future__ import annotations

import math

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from historian.forecast.drift import DriftWatch, daily_errors
from historian.forecast.ensemble import Ensemble
from historian.forecast.known import clear_sky, holidays
from historian.forecast.learners import SeasonalNaive
from historian.forecast.spike import exceedance, warnings

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)


def test_the_probability_of_a_normal_load_is_that_of_the_normal_distribution() -> None:
    quantiles = norm.ppf(LEVELS, 100, 10)
    for limit in (80, 90, 100, 110, 120):
        assert exceedance(quantiles, LEVELS, limit)[0] == pytest.approx(norm.sf(limit, 100, 10), abs=0.02)


@given(st.lists(st.floats(-1e3, 1e3), min_size=7, max_size=7), st.floats(-2e3, 2e3), st.floats(0, 1e3))
def test_a_probability_is_one_and_falls_with_the_limit(values, limit, more) -> None:
    below, above = (exceedance(sorted(values), LEVELS, at)[0] for at in (limit, limit + more))
    assert 0 <= above <= below <= 1


@given(st.lists(st.integers(-1000, 1000), min_size=7, max_size=7, unique=True))
def test_at_a_quantile_it_is_the_rest(values) -> None:
    ordered = sorted(values)
    found = [exceedance(ordered, LEVELS, value)[0] for value in ordered]
    assert found == pytest.approx([1 - level for level in LEVELS])


def test_what_is_certain_is_a_step_and_what_is_missing_stays_so() -> None:
    assert exceedance([[5.0] * 7], LEVELS, 4.9)[0] == 1.0
    assert exceedance([[5.0] * 7], LEVELS, 5.1)[0] == 0.0
    assert math.isnan(exceedance([[5.0] * 6 + [math.nan]], LEVELS, 5.0)[0])
    with pytest.raises(ValueError, match="at least 2"):
        exceedance([[5.0]], (0.5,), 1.0)


def test_warnings_are_counted_with_both_of_their_faults() -> None:
    found = warnings([0.9, 0.8, 0.1, 0.2, math.nan], [True, False, True, False, True], 0.5)
    assert (found.hits, found.false_alarms, found.misses, found.quiet) == (1, 1, 1, 1)
    assert (found.hit_rate, found.false_alarm_ratio) == (0.5, 0.5)
    assert math.isnan(warnings([0.1], [False], 0.5).hit_rate)


def test_errors_as_usual_are_no_drift_and_greater_ones_are_told_of_within_weeks() -> None:
    random = np.random.default_rng(0)
    watch = DriftWatch.learn(random.normal(5, 1, 60))
    assert not any(watch.update(error) for error in random.normal(5, 1, 60))
    found = [watch.update(error) for error in random.normal(6.5, 1, 30)]
    assert found.index(True) < 15
    silent = watch.sum
    watch.update(math.nan)
    assert watch.sum == silent
    with pytest.raises(ValueError, match="errors of 2 days"):
        DriftWatch.learn([1.0, 2.0, math.nan])


def test_errors_of_a_day_are_averaged() -> None:
    hours = [hour * 3600 * 10**9 for hour in range(48)]
    assert daily_errors(hours, [1.0] * 24 + [math.nan] * 23 + [3.0]) == [1.0, 3.0]


def test_holidays_are_civil_days() -> None:
    index = pandas.date_range("2026-12-24T22:00", periods=5, freq="h", tz="Europe/Berlin")
    found = holidays(index, "DE")
    assert found["holiday"].tolist() == [0.0, 0.0, 1.0, 1.0, 1.0]
    assert found["before_holiday"].tolist()[0] == 1.0
    assert holidays(index.tz_convert("UTC"), "DE")["holiday"].tolist() == [0.0, 0.0, 0.0, 1.0, 1.0]
    with pytest.raises(NotImplementedError):
        holidays(index, "XX")
    with pytest.raises(ValueError, match="time zone"):
        holidays(index.tz_localize(None), "DE")


def test_a_clear_sky_is_dark_at_night_and_brightest_at_noon() -> None:
    index = pandas.date_range("2026-06-21", periods=96, freq="15min", tz="UTC")
    found = clear_sky(index, 0.0, 0.0)["clear_sky_w_m2"]
    assert (found.iloc[:20] == 0).all()
    assert abs(found.argmax() - 48) <= 1
    assert 800 < found.max() < 1_100
    with pytest.raises(ValueError, match="no place"):
        clear_sky(index, 91.0, 0.0)


class Wrong(SeasonalNaive):
    """Ten too much."""

    def predict(self, inputs):
        return super().predict(inputs) + 10.0


def test_an_ensemble_listens_to_who_was_right_after_his_training() -> None:
    class Three(Ensemble):
        members = (("good", SeasonalNaive), ("wrong", Wrong), ("also wrong", Wrong))

    random = np.random.default_rng(0)
    seasonal = random.normal(50, 10, 2_000)
    inputs = np.column_stack((random.integers(1, 5, 2_000), seasonal))
    issued = np.sort(random.integers(0, 500, 2_000))
    ensemble = Three(("lead", "seasonal"), (0.1, 0.5, 0.9), 0)
    ensemble.fit(inputs, seasonal + random.normal(0, 1, 2_000), issued)
    assert ensemble.weights.sum() == pytest.approx(1)
    assert ensemble.weights[0] > 0.9
    assert ensemble.predict(inputs).shape == (2_000, 3)


def test_no_member_of_an_ensemble_sees_an_outcome_of_the_fold_it_is_judged_by() -> None:
    seen: list[int] = []

    class Watched(SeasonalNaive):
        def fit(self, inputs, actual, issued):
            seen.append(int((issued + inputs[:, 0]).max()))

    class One(Ensemble):
        members = (("watched", Watched), ("other", SeasonalNaive))

    random = np.random.default_rng(0)
    inputs = np.column_stack((random.integers(1, 40, 3_000), random.normal(size=3_000)))
    One(("lead", "seasonal"), (0.1, 0.9), 0).fit(
        inputs, inputs[:, 1], np.sort(random.integers(0, 500, 3_000))
    )
    assert [last <= fold for last, fold in zip(seen, (300, 400), strict=False)] == [True, True]
    assert len(seen) == 3
