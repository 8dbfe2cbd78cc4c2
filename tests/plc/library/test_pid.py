"""The PID controller against the solutions of its own differential equation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

Blocks = Callable[[str], Any]
SECOND = 10**9
at_periods = pytest.mark.parametrize("period_s", [0.001, 0.013, 0.1])


@pytest.fixture
def pid(block: Blocks) -> Any:
    controller = block("PID")
    controller.set(output_low=-1000.0, output_high=1000.0)
    return controller


def test_without_integral_it_is_gain_times_error_plus_bias(pid: Any) -> None:
    pid.at(0, setpoint=50.0, measured=48.0, gain=3.0, bias=10.0)
    assert pid["output"] == 16.0
    assert pid["error"] == 2.0
    pid.at(1, gain=-3.0)
    assert pid["output"] == 4.0


@at_periods
def test_step_response_of_pi_is_exact_at_any_period(pid: Any, period_s: float) -> None:
    pid.at(0, setpoint=0.0, measured=0.0, gain=2.0, integral_time=4 * SECOND)
    pid.at(0, setpoint=5.0)
    assert pid["output"] == 10.0
    pid.run(6.0, period_s)
    assert pid["output"] == pytest.approx(2.0 * 5.0 * (1 + pid.time_s / 4), rel=1e-6)


@at_periods
def test_derivative_of_a_ramp_rises_through_its_filter_to_its_slope(pid: Any, period_s: float) -> None:
    pid.at(0, gain=1.5, derivative_time=2 * SECOND, derivative_gain=4.0)
    pid.follow(lambda t: {"measured": 10 * t, "setpoint": 10 * t}, 1.0, period_s)
    assert pid["output"] == pytest.approx(-1.5 * 2 * 10 * (1 - math.exp(-pid.time_s / 0.5)), rel=1e-3)


def test_setpoint_step_gives_no_derivative_kick(pid: Any) -> None:
    pid.at(0, setpoint=0.0, measured=0.0, gain=1.0, derivative_time=10 * SECOND)
    pid.at(0.01, setpoint=5.0)
    assert pid["output"] == 5.0


@at_periods
def test_manual_to_automatic_and_back_have_no_bump(pid: Any, period_s: float) -> None:
    pid.at(
        0, setpoint=60.0, measured=20.0, gain=4.0, integral_time=SECOND, is_manual=True, manual_output=33.0
    )
    pid.run(2.0, period_s)
    assert pid["output"] == 33.0
    start_s = pid.time_s
    pid.run(start_s + period_s, period_s, is_manual=False)
    assert pid["output"] == pytest.approx(33.0, rel=1e-6)
    automatic_s = pid.time_s
    pid.run(3.0, period_s)
    assert pid["output"] == pytest.approx(33.0 + 4 * 40 * (pid.time_s - automatic_s) / 1, rel=1e-6)
    pid.run(pid.time_s + period_s, period_s, is_manual=True, manual_output=pid["output"])
    assert not pid["is_limited"]


def test_automatic_from_the_start_begins_at_bias(pid: Any) -> None:
    pid.at(0, setpoint=10.0, measured=0.0, gain=5.0, integral_time=SECOND, bias=25.0)
    assert pid["output"] == 25.0


@at_periods
def test_output_stays_within_its_limits_and_the_integral_does_not_wind_up(pid: Any, period_s: float) -> None:
    pid.at(0, setpoint=0.0, measured=0.0, gain=2.0, integral_time=SECOND, output_low=-10.0, output_high=10.0)
    pid.run(
        60.0, period_s, setpoint=8.0
    )  # a minute at the limit: without anti-windup the integral would be near 960
    assert pid["output"] == 10.0
    assert pid["is_limited"]
    # With tracking, integral + proportional settles where it gains as much as it is led back: at most 16 + 10 above.
    assert pid["integral"] < 30.0
    pid.set(setpoint=-2.0)
    assert pid.when("is_limited", period_s, 75.0, becomes=False) < 60.0 + 3.0


@at_periods
def test_output_rate_is_limited_at_any_period(pid: Any, period_s: float) -> None:
    pid.at(0, setpoint=0.0, measured=0.0, gain=10.0, rate_per_s=20.0)
    pid.run(1.5, period_s, setpoint=50.0)
    assert pid["output"] == pytest.approx(20.0 * pid.time_s, rel=1e-6)


def test_bad_measurement_holds_the_output_and_control_resumes_from_there(pid: Any) -> None:
    pid.at(0, setpoint=0.0, measured=0.0, gain=2.0, integral_time=SECOND)
    pid.run(1.0, 0.01, setpoint=5.0)
    held = pid["output"]
    pid.run(9.0, 0.01, is_good=False, measured=-300.0)
    assert pid["output"] == held
    pid.run(9.01, 0.01, is_good=True, measured=1.0)
    assert pid["output"] == pytest.approx(held, rel=1e-6)


def test_limits_the_wrong_way_round_hold_the_output(pid: Any) -> None:
    pid.at(0, setpoint=5.0, gain=1.0)
    pid.at(1, output_low=10.0, output_high=-10.0, setpoint=9.0)
    assert pid["is_misconfigured"]
    assert pid["output"] == 5.0


@at_periods
def test_closed_loop_with_a_first_order_plant_has_the_poles_of_the_theory(pid: Any, period_s: float) -> None:
    # Plant 1 / (1 + s), PI with Ti = 1 s cancels its pole: the loop is 1 / (1 + s / gain), a first-order lag.
    gain = 0.5
    pid.at(0, setpoint=0.0, measured=0.0, gain=gain, integral_time=SECOND)
    pid.at(0, setpoint=1.0)
    measured, decay = 0.0, math.exp(-period_s)
    while pid.time_s < 3.0:
        measured = pid["output"] + (measured - pid["output"]) * decay
        pid.at(pid.time_s + period_s, measured=measured)
    assert measured == pytest.approx(1 - math.exp(-gain * pid.time_s), abs=0.05 * period_s / 0.1 + 1e-4)
