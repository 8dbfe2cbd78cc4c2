"""Trips, ride-through and enter service: the times of IEEE 1547-2018 and VDE-AR-N 4105, to one scan."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest

from plc.bench import Bench, load
from plc.library import FILES

Blocks = Callable[[str], Any]
Library = tuple[Bench, dict[str, int]]
SECOND = 10**9
MS = 10**6
at_periods = pytest.mark.parametrize("period_s", [0.001, 0.005, 0.02])

# Element: (threshold in pu or Hz, delay in seconds), written down from the standards, not from the library.
FREQUENCIES = {"of2": (62.0, 0.16), "of1": (61.2, 300.0), "uf1": (58.5, 300.0), "uf2": (56.5, 0.16)}
GROUPS = {
    # IEEE 1547-2018, 6.4.1 Table 13 and 6.5.1 Table 18
    "DER_TRIP_SETTINGS": FREQUENCIES
    | {"ov2": (1.20, 0.16), "ov1": (1.10, 13.0), "uv1": (0.88, 21.0), "uv2": (0.50, 2.0)},
    # Table 12
    "DER_TRIPS_CATEGORY_II": FREQUENCIES
    | {"ov2": (1.20, 0.16), "ov1": (1.10, 2.0), "uv1": (0.70, 10.0), "uv2": (0.45, 0.16)},
    # Table 11
    "DER_TRIPS_CATEGORY_I": FREQUENCIES
    | {"ov2": (1.20, 0.16), "ov1": (1.10, 2.0), "uv1": (0.70, 2.0), "uv2": (0.45, 0.16)},
    # VDE-AR-N 4105:2018-11, Table 2
    "DER_TRIPS_VDE_AR_N_4105": {
        "ov2": (1.25, 0.1),
        "uv1": (0.80, 3.0),
        "uv2": (0.45, 0.3),
        "of2": (51.5, 0.1),
        "uf2": (47.5, 0.1),
    },
    "DER_TRIPS_ISLAND_60": {
        "ov2": (1.20, 0.16),
        "ov1": (1.10, 2.0),
        "uv1": (0.80, 10.0),
        "uv2": (0.50, 2.0),
        "of2": (62.0, 0.16),
        "of1": (61.2, 10.0),
        "uf1": (57.0, 20.0),
        "uf2": (55.5, 0.16),
    },
    "DER_TRIPS_ISLAND_50": {
        "of2": (51.67, 0.16),
        "of1": (51.0, 10.0),
        "uf1": (47.5, 20.0),
        "uf2": (46.25, 0.16),
    },
}
ELEMENTS = [
    (group, element, period_s)
    for group, elements in GROUPS.items()
    for element in elements
    for period_s in (0.001, 0.005, 0.02)
]
# 300 s are 300,000 scans of 1 ms: Category III is timed at it, the rest of the long ones at 20 ms.
SHORT = [one for one in ELEMENTS if GROUPS[one[0]][one[1]][1] < 100 or one[2] == 0.02]
TIMED = [one for one in ELEMENTS if one in SHORT or one[0] == "DER_TRIP_SETTINGS"]


def real(value: float) -> float:
    """As a REAL holds it."""
    return float(struct.unpack("f", struct.pack("f", value))[0])


def next_real(value: float, up: bool) -> float:
    """The REAL beside it."""
    bits: int = struct.unpack("i", struct.pack("f", value))[0]
    return float(struct.unpack("f", struct.pack("i", bits + (1 if up else -1)))[0])


def nominal_of(group: str) -> float:
    return 50.0 if group.endswith(("4105", "_50")) else 60.0


@pytest.fixture(scope="session")
def groups() -> Bench:
    """One DER_TRIPS for each group of settings, all seeing the same; settings are constants as a site has them."""
    constants = "".join(f"        {group}_ : {group};\n" for group in GROUPS)
    instances = "".join(f"        {group}_trips : DER_TRIPS;\n" for group in GROUPS)
    calls = "".join(
        f"        {number}: {group}_trips(lowest_v := low, highest_v := high, nominal_v := 1.0,\n"
        f"            frequency_hz := hz, settings := {group}_);\n"
        for number, group in enumerate(GROUPS, 1)
    )
    return load(
        *FILES,
        "PROGRAM main\n    VAR CONSTANT\n"
        f"{constants}    END_VAR\n    VAR\n{instances}        low, high : REAL := 1.0;\n        hz : REAL;\n"
        f"        which : INT;\n    END_VAR\n    CASE which OF\n{calls}    END_CASE;\nEND_PROGRAM\n",
    )


def start(bench: Bench, group: str) -> None:
    bench.restart()
    bench["main.which"] = list(GROUPS).index(group) + 1
    bench["main.hz"] = nominal_of(group)
    bench.scan(at_us=0)


def apply(bench: Bench, element: str, value: float) -> None:
    if element[1] == "f":
        bench["main.hz"] = value
    elif element[0] == "o":
        bench["main.high"] = value
    else:
        bench["main.low"] = value


def run(bench: Bench, until_us: int, period_us: int) -> None:
    """Scans one period apart after the last one, up to and with until_us."""
    first_us = bench.clock_ns // 1000 + period_us
    count = (until_us - first_us) // period_us + 1
    if count > 1:
        bench.scan(count - 1, at_us=first_us, period_us=period_us)
    if count > 0:
        bench.scan(at_us=first_us + (count - 1) * period_us)


@pytest.mark.parametrize(("group", "element", "period_s"), TIMED)
def test_each_trip_comes_on_time_to_one_scan(
    groups: Bench, group: str, element: str, period_s: float
) -> None:
    threshold, delay_s = GROUPS[group][element]
    period_us, delay_us, begins_us = round(period_s * 1e6), round(delay_s * 1e6), 1_000_000
    start(groups, group)
    run(groups, begins_us - period_us, period_us)
    apply(groups, element, next_real(threshold, up=element[0] == "o"))
    groups.scan(at_us=begins_us)  # beyond by the last bit of a REAL
    assert groups[f"main.{group}_trips.is_picked_up"]
    run(groups, begins_us + delay_us - 1, period_us)
    assert not groups[f"main.{group}_trips.{element}"]
    run(groups, begins_us + delay_us + period_us - 1, period_us)
    assert groups[f"main.{group}_trips.{element}"]
    assert groups[f"main.{group}_trips.trip"]


@pytest.mark.parametrize(("group", "element", "period_s"), SHORT)
@pytest.mark.parametrize("inside_by", ["nothing", "one bit"])
def test_at_a_threshold_and_inside_of_it_an_element_never_trips(
    groups: Bench, group: str, element: str, period_s: float, inside_by: str
) -> None:
    threshold, delay_s = GROUPS[group][element]
    start(groups, group)
    value = real(threshold) if inside_by == "nothing" else next_real(threshold, up=element[0] == "u")
    apply(groups, element, value)
    run(groups, round(2e6 * delay_s) + 1_000_000, round(period_s * 1e6))
    assert not groups[f"main.{group}_trips.{element}"]


@pytest.mark.parametrize(("group", "element", "period_s"), SHORT)
def test_a_disturbance_that_ends_one_scan_early_does_not_trip_and_the_next_counts_anew(
    groups: Bench, group: str, element: str, period_s: float
) -> None:
    threshold, delay_s = GROUPS[group][element]
    period_us = round(period_s * 1e6)
    last_us = -(-round(delay_s * 1e6) // period_us) * period_us - period_us  # of the scans too early to trip
    start(groups, group)
    beyond = next_real(threshold, up=element[0] == "o")
    apply(groups, element, beyond)
    groups.scan(at_us=0)
    run(groups, last_us, period_us)
    assert not groups[f"main.{group}_trips.{element}"]
    apply(groups, element, real(threshold))
    run(groups, last_us + period_us, period_us)
    apply(groups, element, beyond)
    run(groups, 2 * last_us, period_us)
    assert not groups[f"main.{group}_trips.{element}"]


def test_the_mean_of_ten_minutes_trips_where_the_voltage_itself_may_stay(groups: Bench) -> None:
    # 1.00 for ten minutes, then 1.12: the mean passes 1.10 when 500 of 600 s are at 1.12
    start(groups, "DER_TRIPS_VDE_AR_N_4105")
    run(groups, 600_000_000, 20_000)
    groups["main.high"] = 1.12
    run(groups, 600_000_000 + 498_000_000, 20_000)
    assert not groups["main.DER_TRIPS_VDE_AR_N_4105_trips.ov1"]
    run(groups, 600_000_000 + 502_000_000, 20_000)
    assert groups["main.DER_TRIPS_VDE_AR_N_4105_trips.ov1"]


@pytest.fixture
def trips(block: Blocks) -> Any:
    trips = block("DER_TRIPS")
    trips.at(0, lowest_v=480.0, highest_v=480.0, nominal_v=480.0, frequency_hz=60.0)
    return trips


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
