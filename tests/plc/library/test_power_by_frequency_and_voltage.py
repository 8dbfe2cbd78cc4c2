"""Droop and volt-var against the curves of IEEE 1547-2018 6.5.2.7 and 5.3.3."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

Blocks = Callable[[str], Any]
SECOND = 10**9


@pytest.mark.parametrize(
    ("frequency_hz", "power_kw"),
    [
        (60.0, 20.0),
        (60.036, 20.0),  # the deadband's edges
        (59.964, 20.0),
        (59.664, 20.0 + 100 * 0.3 / (60 * 0.05)),
        (60.336, 20.0 - 100 * 0.3 / (60 * 0.05)),
        (61.236, 20.0 - 100 * 1.2 / (60 * 0.05)),
        (57.0, 60.0),  # at max_kw
        (64.0, -30.0),  # at min_kw
    ],
)
def test_droop_follows_the_formula_of_the_standard(
    block: Blocks, frequency_hz: float, power_kw: float
) -> None:
    droop = block("DROOP_P_F")
    droop.at(0, frequency_hz=frequency_hz, reference_kw=20.0, rated_kw=100.0, min_kw=-30.0, max_kw=60.0)
    assert droop["power_kw"] == pytest.approx(power_kw, abs=1e-3)
    assert droop["is_supporting"] == (abs(frequency_hz - 60) > 0.0361)


def test_droop_has_its_own_slope_on_each_side_and_any_nominal(block: Blocks) -> None:
    droop = block("DROOP_P_F")
    droop.set(rated_kw=50.0, nominal_hz=50.0, deadband_hz=0.2, droop_low_pct=2.0, droop_high_pct=8.0)
    droop.at(0, frequency_hz=49.3, min_kw=-50.0, max_kw=50.0)
    assert droop["power_kw"] == pytest.approx(50 * 0.5 / (50 * 0.02), abs=1e-3)
    droop.at(1, frequency_hz=50.7)
    assert droop["power_kw"] == pytest.approx(-50 * 0.5 / (50 * 0.08), abs=1e-3)


def test_droop_without_frequency_or_with_wrong_settings_is_the_limited_reference(block: Blocks) -> None:
    droop = block("DROOP_P_F")
    droop.at(
        0, frequency_hz=57.0, reference_kw=80.0, rated_kw=100.0, min_kw=-60.0, max_kw=60.0, is_good=False
    )
    assert (droop["power_kw"], droop["is_supporting"]) == (60.0, False)
    droop.at(1, is_good=True, reference_kw=10.0, droop_low_pct=0.0)
    assert (droop["power_kw"], droop["is_misconfigured"]) == (10.0, True)
    droop.at(1, droop_low_pct=5.0, nominal_hz=0.0)
    assert (droop["power_kw"], droop["is_misconfigured"]) == (10.0, True)
    droop.at(2, nominal_hz=60.0, min_kw=40.0, max_kw=30.0)
    assert (droop["power_kw"], droop["is_misconfigured"]) == (40.0, True)


@pytest.mark.parametrize(
    ("voltage_pu", "share"),
    [
        (0.80, 1.0),
        (0.92, 1.0),
        (0.95, 0.5),
        (0.98, 0.0),
        (1.0, 0.0),
        (1.02, 0.0),
        (1.035, -0.25),
        (1.08, -1.0),
        (1.3, -1.0),
    ],
)
def test_volt_var_curve_of_category_b(block: Blocks, voltage_pu: float, share: float) -> None:
    curve = block("VOLT_VAR")
    curve.at(0, voltage_v=480 * voltage_pu, nominal_v=480.0, rated_kvar=44.0, response_time=0)
    assert curve["reactive_power_kvar"] == pytest.approx(44 * share, abs=2e-3)


@pytest.mark.parametrize("period_s", [0.001, 0.02, 0.25])
def test_volt_var_has_90_percent_of_a_step_after_its_response_time(block: Blocks, period_s: float) -> None:
    curve = block("VOLT_VAR")
    curve.at(0, voltage_v=400.0, rated_kvar=100.0, response_time=5 * SECOND)
    curve.at(1.0, voltage_v=300.0)
    curve.run(6.0, period_s)
    assert curve.time_s == 6.0
    assert curve["reactive_power_kvar"] == pytest.approx(90.0, abs=1e-3)


def test_volt_var_gives_way_to_zero_when_blind_or_misconfigured(block: Blocks) -> None:
    curve = block("VOLT_VAR")
    curve.at(0, voltage_v=300.0, rated_kvar=100.0, response_time=SECOND)
    assert curve["reactive_power_kvar"] == 100.0
    curve.at(1.0, is_good=False)
    curve.at(1.5)
    assert curve["reactive_power_kvar"] == pytest.approx(100 * math.exp(-0.5 * math.log(10)), rel=1e-5)
    curve.at(60.0)
    assert curve["reactive_power_kvar"] == pytest.approx(0.0, abs=1e-6)
    curve.at(61.0, is_good=True, v2_pu=0.92)
    curve.at(90.0)
    assert curve["is_misconfigured"]
    assert curve["reactive_power_kvar"] == pytest.approx(0.0, abs=1e-6)
