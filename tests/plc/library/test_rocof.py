"""Rate of change of frequency: slopes of ramps and the analytic response to a ramp's beginning."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from statistics import stdev
from typing import Any

import pytest

Blocks = Callable[[str], Any]
MS = 10**6
at_periods = pytest.mark.parametrize("period_s", [0.001, 0.007, 0.02])


@at_periods
@pytest.mark.parametrize("slope_hz_s", [-8.0, 0.5])
def test_slope_of_a_ramp_is_exact_once_the_window_is_full(
    block: Blocks, period_s: float, slope_hz_s: float
) -> None:
    rate = block("ROCOF")
    rate.at(0, frequency_hz=60.0, window=500 * MS)
    valid = rate.follow(lambda t: {"frequency_hz": 60 + slope_hz_s * t}, 0.45, period_s, "is_valid")
    assert not any(valid)
    assert rate["rocof_hz_s"] == 0.0
    while not rate["is_valid"] and rate.time_s < 1.0:
        rate.follow(lambda t: {"frequency_hz": 60 + slope_hz_s * t}, rate.time_s + period_s, period_s)
    assert rate["rocof_hz_s"] == pytest.approx(slope_hz_s, rel=2e-4)
    # A part can be no shorter than a scan: at 20 ms, 32 parts are 640 ms.
    rate.follow(lambda t: {"frequency_hz": 60 + slope_hz_s * t}, 0.55 if period_s < 0.01 else 0.7, period_s)
    assert rate["is_valid"]
    assert rate["rocof_hz_s"] == pytest.approx(slope_hz_s, rel=2e-4)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_response_to_the_beginning_of_a_ramp(block: Blocks, share: float) -> None:
    rate = block("ROCOF")
    rate.at(0, frequency_hz=60.0, window=500 * MS)
    rate.run(2.0, 0.001)
    end_s = 2.0 + 0.5 * share
    rate.follow(lambda t: {"frequency_hz": 60 - 10 * (t - 2.0)}, end_s, 0.001)
    # The least-squares slope of a ramp that fills the share x of the window; one part of 32 may not be closed yet.
    least, greatest = (10 * x * x * (3 - 2 * x) for x in (share - 1 / 32, share + 1 / 32))
    assert -greatest <= rate["rocof_hz_s"] <= -least


def test_noise_is_averaged_as_least_squares_over_all_samples_does(block: Blocks) -> None:
    rate, random = block("ROCOF"), Random(11)
    rate.set(window=500 * MS)
    seen = rate.follow(lambda t: {"frequency_hz": 60 + random.gauss(0, 0.01)}, 30.0, 0.001, "rocof_hz_s")
    # sigma * sqrt(12 / (n * T^2)): 500 samples of 10 mHz in 0.5 s give 3.1 mHz/s.
    assert stdev(seen[1000::16]) == pytest.approx(0.01 * (12 / (500 * 0.25)) ** 0.5, rel=0.25)


def test_bad_frequency_makes_it_wait_for_a_whole_window(block: Blocks) -> None:
    rate = block("ROCOF")
    rate.set(window=100 * MS)
    rate.follow(lambda t: {"frequency_hz": 60 - t}, 0.5, 0.001)
    assert rate["is_valid"]
    rate.at(0.501, is_good=False, frequency_hz=0.0)
    assert (rate["is_valid"], rate["rocof_hz_s"]) == (False, 0.0)
    rate.set(is_good=True)
    rate.follow(lambda t: {"frequency_hz": 60 + 2 * t}, 0.59, 0.001)
    assert not rate["is_valid"]
    rate.follow(lambda t: {"frequency_hz": 60 + 2 * t}, 0.62, 0.001)
    assert rate["rocof_hz_s"] == pytest.approx(2.0, rel=1e-3)


def test_a_window_of_nothing_is_never_valid(block: Blocks) -> None:
    rate = block("ROCOF")
    rate.set(window=0)
    rate.follow(lambda t: {"frequency_hz": 60 + t}, 1.0, 0.01)
    assert not rate["is_valid"]
