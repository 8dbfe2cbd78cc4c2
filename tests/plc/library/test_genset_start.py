"""The start sequence of a generating set, state by state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Blocks = Callable[[str], Any]
STOPPED, PREPARING, CRANKING, RESTING, WARMING, READY, COOLING, STOPPING, FAILED = range(9)
OUTPUTS = ("preheat", "crank", "fuel", "is_ready")


@pytest.fixture
def genset(block: Blocks) -> Any:
    genset = block("GENSET_START")
    genset.at(0)
    assert genset["state"] == STOPPED
    return genset


def start(genset: Any, period_s: float = 0.1) -> None:
    """Up to READY at 1800 rpm, at 33.1 s or one scan later."""
    genset.set(run_request=True)
    genset.when("crank", period_s, 10)
    genset.set(speed_rpm=450.0)
    genset.when("state", period_s, 10, becomes=WARMING)
    genset.set(speed_rpm=1800.0)
    assert genset.when("is_ready", period_s, 60) is not None


@pytest.mark.parametrize("period_s", [0.01, 0.1, 0.5])
def test_a_start_that_goes_well(genset: Any, period_s: float) -> None:
    genset.run(period_s, period_s, run_request=True)
    assert genset["state"] == PREPARING
    assert [genset[name] for name in OUTPUTS] == [True, False, False, False]
    begun_s = genset.time_s
    cranked_s = genset.when("crank", period_s, 20)
    assert -1e-9 <= cranked_s - begun_s - 2.0 < period_s
    assert [genset[name] for name in OUTPUTS] == [True, True, True, False]
    genset.run(cranked_s + 3.0, period_s, speed_rpm=150.0)
    assert genset["crank"]
    genset.run(genset.time_s + period_s, period_s, speed_rpm=420.0)
    assert genset["state"] == WARMING
    assert [genset[name] for name in OUTPUTS] == [False, False, True, False]
    fired_s = genset.time_s
    genset.set(speed_rpm=1800.0)
    ready_s = genset.when("is_ready", period_s, 100)
    assert -1e-9 <= ready_s - fired_s - 30.0 < period_s
    assert not genset["open_breaker"]
    assert genset["attempts"] == 1


def test_an_engine_that_does_not_fire_is_cranked_three_times_with_rests(genset: Any) -> None:
    genset.set(run_request=True, speed_rpm=120.0)
    changes, before = [], False
    for tenth in range(1, 1200):
        genset.at(tenth / 10)
        if genset["crank"] != before:
            before = genset["crank"]
            changes.append(tenth / 10)
    assert changes == [2.1, 17.1, 32.1, 47.1, 62.1, 77.1]
    assert genset["state"] == FAILED
    assert genset["has_failed_to_start"]
    assert not genset["fuel"]


def test_a_failure_is_left_by_reset_only_after_the_request_was_taken_back(genset: Any) -> None:
    genset.run(100.0, 0.1, run_request=True)
    assert genset["state"] == FAILED
    genset.run(101.0, 0.1, reset=True)
    assert genset["state"] == FAILED
    genset.run(102.0, 0.1, run_request=False)
    assert genset["state"] == STOPPED
    assert not genset["has_failed_to_start"]


def test_the_starter_never_turns_a_running_engine_or_one_whose_speed_is_unknown(genset: Any) -> None:
    genset.set(run_request=True, speed_rpm=1800.0)
    assert not any(genset.follow(lambda t: {}, 10.0, 0.1, "crank"))
    genset.run(11.0, 0.1, is_good=False)
    assert not genset["crank"]


def test_blind_cranking_is_no_cranking(genset: Any) -> None:
    genset.set(run_request=True)
    genset.run(5.0, 0.1)
    assert genset["crank"]
    genset.run(5.1, 0.1, is_good=False)
    assert not genset["crank"]


def test_it_cools_down_without_load_before_it_stops(genset: Any) -> None:
    start(genset)
    genset.run(100.0, 0.1, is_breaker_closed=True)
    genset.run(150.0, 0.1, run_request=False)
    assert genset["state"] == COOLING
    assert genset["open_breaker"]
    assert genset["in_state"] == 0
    opened_s = genset.time_s
    genset.set(is_breaker_closed=False)
    stopped_s = genset.when("fuel", 0.1, 500, becomes=False)
    assert stopped_s == pytest.approx(opened_s + 180.0, abs=0.11)
    assert genset["state"] == STOPPING
    genset.run(stopped_s + 5.0, 0.1, speed_rpm=20.0)
    assert genset["state"] == STOPPED


def test_a_new_request_while_cooling_is_ready_at_once(genset: Any) -> None:
    start(genset)
    genset.run(100.0, 0.1, run_request=False)
    assert genset["state"] == COOLING
    genset.run(100.1, 0.1, run_request=True)
    assert genset["is_ready"]


@pytest.mark.parametrize("speed_rpm", [1199.0, 2070.0])
def test_a_wrong_speed_when_running_stops_it(genset: Any, speed_rpm: float) -> None:
    start(genset)
    genset.run(genset.time_s + 0.1, 0.1, speed_rpm=speed_rpm)
    assert genset["state"] == FAILED
    assert genset["has_failed_running"]
    assert not genset["fuel"]
    assert genset["open_breaker"]


def test_overspeed_is_a_failure_even_while_stopping(genset: Any) -> None:
    start(genset)
    genset.run(300.0, 0.1, run_request=False)
    assert genset["state"] == FAILED  # it was told to stop and turned on at 1800 rpm
    assert genset["has_failed_to_stop"]
    assert not genset["has_failed_running"]


def test_an_engine_that_does_not_reach_its_speed_fails(genset: Any) -> None:
    genset.set(run_request=True)
    genset.when("crank", 0.1, 10)
    genset.set(speed_rpm=600.0)
    fired_s = genset.when("state", 0.1, 10, becomes=WARMING)
    assert genset.when("state", 0.1, 60, becomes=FAILED) == pytest.approx(fired_s + 10.0)


def test_a_bad_speed_is_borne_for_two_seconds(genset: Any) -> None:
    start(genset)
    at_s = genset.time_s
    genset.run(at_s + 1.9, 0.1, is_good=False)
    assert genset["is_ready"]
    genset.run(at_s + 2.3, 0.1)
    assert genset["state"] == FAILED


@pytest.mark.parametrize("seconds", [0.5, 5.0, 20.0, 40.0])
def test_emergency_stop_acts_in_one_scan_from_every_state(genset: Any, seconds: float) -> None:
    genset.run(seconds, 0.1, run_request=True)
    genset.run(seconds + 0.1, 0.1, emergency_stop=True)
    assert genset["state"] == FAILED
    assert [genset[name] for name in OUTPUTS] == [False] * 4
    genset.run(seconds + 1.0, 0.1, run_request=False, reset=True)
    assert genset["state"] == FAILED
    genset.run(seconds + 1.1, 0.1, emergency_stop=False)
    assert genset["state"] == STOPPED


@pytest.mark.parametrize("seconds", [1.0, 10.0, 20.0])
def test_a_request_taken_back_before_it_fires_stops_it(genset: Any, seconds: float) -> None:
    genset.run(seconds, 0.1, run_request=True)
    genset.run(seconds + 0.2, 0.1, run_request=False)
    assert genset["state"] == STOPPED
    assert not genset["crank"]
