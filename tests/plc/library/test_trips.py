"""Trips and enter service: the times of IEEE 1547-2018, to one scan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Blocks = Callable[[str], Any]
SECOND = 10**9
MS = 10**6
at_periods = pytest.mark.parametrize("period_s", [0.001, 0.004, 0.03])

# Category: element: (quantity, just beyond, delay in seconds). 6.4.1 Tables 12 and 13, 6.5.1 Table 18.
FREQUENCIES = {
    "of2": ("frequency_hz", 62.0, 0.16),
    "of1": ("frequency_hz", 61.2, 300.0),
    "uf1": ("frequency_hz", 58.5, 300.0),
    "uf2": ("frequency_hz", 56.5, 0.16),
}
CATEGORY_III = FREQUENCIES | {
    "ov2": ("voltage_pu", 1.201, 0.16),
    "ov1": ("voltage_pu", 1.101, 13.0),
    "uv1": ("voltage_pu", 0.879, 21.0),
    "uv2": ("voltage_pu", 0.499, 2.0),
}
CATEGORY_II = FREQUENCIES | {
    "ov2": ("voltage_pu", 1.201, 0.16),
    "ov1": ("voltage_pu", 1.101, 2.0),
    "uv1": ("voltage_pu", 0.699, 10.0),
    "uv2": ("voltage_pu", 0.449, 0.16),
}
SETTINGS_II = {
    "ov1": {"threshold": 1.10, "delay": 2 * SECOND},
    "uv1": {"threshold": 0.70, "delay": 10 * SECOND},
    "uv2": {"threshold": 0.45, "delay": 160 * MS},
}


@pytest.fixture
def trips(block: Blocks) -> Any:
    trips = block("DER_TRIPS")
    trips.at(0, lowest_v=480.0, highest_v=480.0, nominal_v=480.0, frequency_hz=60.0)
    return trips


def disturb(trips: Any, quantity: str, value: float) -> None:
    if quantity == "voltage_pu":
        trips.at(1.0, lowest_v=480 * min(value, 1.0), highest_v=480 * max(value, 1.0))
    else:
        trips.at(1.0, frequency_hz=value)


@at_periods
@pytest.mark.parametrize("element", ["of2", "uf2", "ov2", "uv2"])
def test_fast_trips_of_category_iii_come_on_time_to_one_scan(
    trips: Any, element: str, period_s: float
) -> None:
    quantity, value, delay_s = CATEGORY_III[element]
    disturb(trips, quantity, value)
    assert trips["is_picked_up"]
    assert not trips["trip"]
    tripped_s = trips.when("trip", period_s, 5.0)
    assert -1e-9 <= tripped_s - 1.0 - delay_s < period_s
    assert trips[element]


@pytest.mark.parametrize("element", ["of1", "uf1", "ov1", "uv1"])
def test_slow_trips_of_category_iii_come_on_time(trips: Any, element: str) -> None:
    quantity, value, delay_s = CATEGORY_III[element]
    disturb(trips, quantity, value)
    assert trips["is_picked_up"]
    assert trips.when("trip", 0.1, 400.0) == pytest.approx(1.0 + delay_s)
    others = [name for name in CATEGORY_III if name != element and trips[name]]
    assert others == []


@pytest.mark.parametrize("element", sorted(CATEGORY_II))
def test_category_ii_settings_as_data(trips: Any, element: str) -> None:
    trips.set(**{f"settings__{name}": setting for name, setting in SETTINGS_II.items()})
    quantity, value, delay_s = CATEGORY_II[element]
    disturb(trips, quantity, value)
    assert trips.when("trip", 0.02, 400.0) == pytest.approx(1.0 + delay_s)


@pytest.mark.parametrize(
    ("quantity", "value"),
    [
        ("voltage_pu", 1.099),
        ("voltage_pu", 0.881),
        ("frequency_hz", 61.19),
        ("frequency_hz", 58.51),
    ],
)
def test_inside_of_all_thresholds_nothing_trips(trips: Any, quantity: str, value: float) -> None:
    disturb(trips, quantity, value)
    trips.run(600.0, 0.1)
    assert not trips["is_picked_up"]
    assert not trips["trip"]


def test_a_disturbance_that_ends_in_time_does_not_trip(trips: Any) -> None:
    trips.at(1.0, lowest_v=480 * 0.4)
    trips.run(2.9, 0.01)
    trips.at(2.95, lowest_v=480.0)
    trips.run(60.0, 0.01)
    assert not trips["trip"]
    assert not trips["is_picked_up"]


def test_trip_is_latched_and_resets_only_when_all_is_well(trips: Any) -> None:
    trips.at(1.0, frequency_hz=62.5)
    trips.at(1.2)
    assert trips["trip"]
    trips.at(1.3, reset=True)
    assert trips["trip"]
    trips.at(1.4, reset=False, frequency_hz=60.0)
    assert trips["trip"]
    trips.at(1.5, reset=True)
    assert not trips["trip"]


def test_frequency_of_a_dead_bus_is_not_judged(trips: Any) -> None:
    trips.at(1.0, lowest_v=0.0, highest_v=100.0, frequency_hz=0.0)
    trips.at(1.5)
    assert not trips["uf2"]
    assert trips.when("trip", 0.01, 10.0) == pytest.approx(3.0)
    assert trips["uv2"]


def test_blind_protection_trips_after_its_delay_and_counts_nothing_before(trips: Any) -> None:
    trips.at(1.0, frequency_hz=62.5)
    trips.at(1.1, is_frequency_good=False)
    trips.at(1.9)
    assert not trips["trip"]
    assert trips.when("trip", 0.01, 5.0) == pytest.approx(2.1)
    assert trips["is_blind"]
    trips.at(6.0, is_frequency_good=True, frequency_hz=60.0, reset=True)
    assert not trips["trip"]
    assert not trips["is_blind"]


@pytest.mark.parametrize("blindness", [{"is_voltage_good": False}, {"nominal_v": 0.0}])
def test_voltage_that_can_not_be_judged_trips_after_its_delay_too(
    trips: Any, blindness: dict[str, Any]
) -> None:
    trips.at(1.0, lowest_v=0.0, **blindness)
    assert not trips["is_picked_up"]
    assert trips.when("trip", 0.01, 5.0) == pytest.approx(2.0)
    assert trips["is_blind"]


# ── TRIP_TIMER ───────────────────────────────────────────────────────────────────────────────────────────────────
@at_periods
def test_trip_timer_drops_out_past_its_hysteresis(block: Blocks, period_s: float) -> None:
    timer = block("TRIP_TIMER")
    timer.at(0, value=1.0, threshold=1.1, is_over=True, delay=SECOND, hysteresis=0.02)
    timer.at(1.0, value=1.15)
    timer.at(1.2, value=1.09)  # within the hysteresis: it goes on timing
    assert -1e-9 <= timer.when("trip", period_s, 5.0) - 2.0 < period_s
    timer.at(timer.time_s, value=1.075)
    assert not timer["trip"]
    assert not timer["is_picked_up"]
    assert timer["counted"] == 0


def test_trip_timer_keeps_its_count_over_short_returns(block: Blocks) -> None:
    timer = block("TRIP_TIMER")
    timer.at(0, value=40.0, threshold=50.0, delay=SECOND, reset_delay=SECOND // 2)
    timer.at(0.6)
    timer.at(0.6, value=60.0)
    timer.at(0.9)
    timer.at(0.9, value=40.0)
    assert timer["counted"] == 600 * MS
    timer.at(1.3)
    assert timer["trip"]
    timer.at(1.3, value=60.0)
    timer.at(1.8)
    assert timer["counted"] == 0


def test_trip_timer_stands_still_while_blind_and_drops_out_when_blocked(block: Blocks) -> None:
    timer = block("TRIP_TIMER")
    timer.at(0, value=40.0, threshold=50.0, delay=SECOND)
    timer.at(0.5)
    timer.at(0.7, is_good=False, value=60.0)
    timer.at(5.0)
    assert timer["is_blind"]
    assert timer["is_picked_up"]
    timer.at(5.1, is_good=True, value=40.0)
    assert timer["counted"] == 500 * MS
    timer.at(5.6)
    assert timer["trip"]
    timer.at(5.7, is_blocked=True)
    assert (timer["trip"], timer["is_picked_up"], timer["counted"]) == (False, False, 0)


def test_trip_timer_without_delay_trips_at_once(block: Blocks) -> None:
    timer = block("TRIP_TIMER")
    timer.at(0, value=1.2, threshold=1.2, is_over=True)
    assert timer["trip"]


# ── ENTER_SERVICE ────────────────────────────────────────────────────────────────────────────────────────────────
def test_enter_service_after_300_s_inside(block: Blocks) -> None:
    enter = block("ENTER_SERVICE")
    enter.at(0, voltage_v=400.0, frequency_hz=60.0)
    assert enter.when("is_permitted", 0.1, 400) == pytest.approx(300.0)
    enter.at(401, is_good=False)
    assert not enter["is_permitted"]


@pytest.mark.parametrize(
    ("voltage_pu", "frequency_hz", "is_inside"),
    [
        (0.918, 59.51, True),
        (1.049, 60.09, True),
        (0.916, 60.0, False),
        (1.051, 60.0, False),
        (1.0, 59.49, False),
        (1.0, 60.11, False),
    ],
)
def test_enter_service_range(block: Blocks, voltage_pu: float, frequency_hz: float, is_inside: bool) -> None:
    enter = block("ENTER_SERVICE")
    enter.at(0, voltage_v=400 * voltage_pu, frequency_hz=frequency_hz)
    assert enter["is_inside"] == is_inside


def test_leaving_the_range_begins_the_wait_anew(block: Blocks) -> None:
    enter = block("ENTER_SERVICE")
    enter.at(0, voltage_v=400.0, frequency_hz=60.0)
    enter.at(299.0, frequency_hz=60.2)
    enter.at(300.0, frequency_hz=60.0)
    assert enter.when("is_permitted", 0.1, 700) == pytest.approx(600.0)
