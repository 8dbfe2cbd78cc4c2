"""Settings groups, ride-through and enter service of a source; and that nobody changes its settings at run time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plc.bench import Bench, CompileFault, load
from plc.library import FILES

Blocks = Callable[[str], Any]
SECOND = 10**9
MS = 10**6
at_periods = pytest.mark.parametrize("period_s", [0.001, 0.005, 0.02])
PROGRAM = """
VAR_GLOBAL CONSTANT
    UTILITY : DER_TRIP_SETTINGS;
    ISLAND : DER_TRIPS_ISLAND_60;
    RIDE_II : RIDE_THROUGH_CATEGORY_II;
    RIDE_I : RIDE_THROUGH_CATEGORY_I;
    TRIPS_II : DER_TRIPS_CATEGORY_II;
    TRIPS_I : DER_TRIPS_CATEGORY_I;
END_VAR
PROGRAM main
    VAR
        protection : DER_PROTECTION;
        ride : ARRAY[1..3] OF RIDE_THROUGH;
        trips : ARRAY[1..3] OF DER_TRIPS;
        low, high : REAL := 1.0;
        hz : REAL := 60.0;
        is_islanded, reset, is_state_bad, is_voltage_bad, rides : BOOL;
    END_VAR
    IF NOT rides THEN
        protection(lowest_v := low, highest_v := high, nominal_v := 1.0, frequency_hz := hz, connected := UTILITY,
            islanded := ISLAND, is_islanded := is_islanded, reset := reset, is_state_good := NOT is_state_bad,
            is_voltage_good := NOT is_voltage_bad);
    ELSE
        ride[1](lowest_v := low, highest_v := high, nominal_v := 1.0, frequency_hz := hz, settings := RIDE_I,
            is_voltage_good := NOT is_voltage_bad);
        ride[2](lowest_v := low, highest_v := high, nominal_v := 1.0, frequency_hz := hz, settings := RIDE_II,
            is_voltage_good := NOT is_voltage_bad);
        ride[3](lowest_v := low, highest_v := high, nominal_v := 1.0, frequency_hz := hz,
            is_voltage_good := NOT is_voltage_bad);
        trips[1](lowest_v := low, highest_v := high, nominal_v := 1.0, frequency_hz := hz, settings := TRIPS_I);
        trips[2](lowest_v := low, highest_v := high, nominal_v := 1.0, frequency_hz := hz, settings := TRIPS_II);
        trips[3](lowest_v := low, highest_v := high, nominal_v := 1.0, frequency_hz := hz);
    END_IF;
END_PROGRAM
"""
CAUSES = ["NO_CAUSE", "OV2", "OV1", "UV1", "UV2", "OF2", "OF1", "UF1", "UF2", "BLIND"]
REGIONS = ["CONTINUOUS", "MANDATORY", "PERMISSIVE", "MOMENTARY_CESSATION", "CEASE", "UNREQUIRED"]


class Source:
    """The program above; times in seconds."""

    def __init__(self, bench: Bench, rides: bool) -> None:
        bench.restart()
        self.bench = bench
        bench["main.rides"] = rides
        bench.scan(at_us=0)

    def run(self, until_s: float, period_s: float, **inputs: Any) -> None:
        for name, value in inputs.items():
            self.bench[f"main.{name}"] = value
        period_us = round(period_s * 1e6)
        first_us = self.bench.clock_ns // 1000 + period_us
        count = (round(until_s * 1e6) - first_us) // period_us + 1
        if count > 1:
            self.bench.scan(count - 1, at_us=first_us, period_us=period_us)
        if count > 0:
            self.bench.scan(at_us=first_us + (count - 1) * period_us)

    def tripped_s(self, limit_s: float, period_s: float) -> float | None:
        """When the protection tripped; None if it did not by then."""
        period_us = round(period_s * 1e6)
        for time_us in range(self.bench.clock_ns // 1000 + period_us, round(limit_s * 1e6) + 1, period_us):
            self.bench.scan(at_us=time_us)
            if self.bench["main.protection.trip"]:
                return time_us / 1e6
        return None

    @property
    def cause(self) -> str:
        return CAUSES[int(self.bench["main.protection.cause"])]

    def ride(self, category: int, name: str) -> Any:
        value = self.bench[f"main.ride[{category}].{name}"]
        return REGIONS[value] if name.endswith("region") else value


@pytest.fixture(scope="session")
def program() -> Bench:
    return load(*FILES, PROGRAM)


@pytest.fixture
def source(program: Bench) -> Source:
    return Source(program, rides=False)


@pytest.fixture
def rider(program: Bench) -> Source:
    return Source(program, rides=True)


# ── groups ───────────────────────────────────────────────────────────────────────────────────────────────────────
@at_periods
def test_the_group_in_force_acts(source: Source, period_s: float) -> None:
    # 57.5 Hz: connected UF1 after 300 s; in the island inside of all thresholds
    source.run(10.0, period_s, is_islanded=True, hz=57.5)
    assert source.bench["main.protection.is_island_group"]
    assert not source.bench["main.protection.is_picked_up"]
    source.run(60.0, period_s)
    assert not source.bench["main.protection.trip"]
    source.run(60.5, period_s, hz=55.4)
    assert source.bench["main.protection.trip"]
    assert source.cause == "UF2"


@at_periods
@pytest.mark.parametrize("switched_s", [5.0, 12.0, 20.9])
def test_a_change_of_group_keeps_the_time_counted_by_the_new_groups_own_thresholds(
    source: Source, switched_s: float, period_s: float
) -> None:
    # 0.7 pu is below UV1 of both: 10 s in the island, 21 s connected, both counted since 1 s.
    source.run(1.0 - period_s, period_s, is_islanded=True)
    source.run(switched_s, period_s, low=0.7)
    tripped_at_switch = source.bench["main.protection.trip"]
    assert tripped_at_switch == (switched_s > 11.0)
    if not tripped_at_switch:
        source.bench["main.is_islanded"] = False
        assert source.tripped_s(40.0, period_s) == pytest.approx(22.0, abs=period_s)


def test_time_beyond_the_tighter_group_alone_does_not_count_for_the_other(source: Source) -> None:
    # 0.85 pu for 15 s counts for UV1 of the utility (0.88), not for that of the island (0.80)
    source.run(1.0, 0.01)
    source.run(16.0, 0.01, low=0.85)
    source.run(16.5, 0.01, is_islanded=True)
    assert not source.bench["main.protection.is_picked_up"]
    source.bench["main.low"] = 0.79
    assert source.tripped_s(40.0, 0.01) == pytest.approx(26.51, abs=0.02)


def test_an_island_that_comes_and_goes_does_not_put_a_trip_off(source: Source) -> None:
    source.run(1.0, 0.01)
    source.bench["main.low"] = 0.7
    tripped_s = None
    for turn in range(200):
        source.bench["main.is_islanded"] = turn % 2 == 1
        tripped_s = source.tripped_s(1.0 + 0.1 * (turn + 1), 0.01)
        if tripped_s is not None:
            break
    assert tripped_s == pytest.approx(
        11.1, abs=0.12
    )  # the island's 10 s, in the first turn that it is in force


def test_back_beside_the_utility_what_lasted_too_long_trips_at_once(source: Source) -> None:
    source.run(40.0, 0.01, is_islanded=True, low=0.85)
    assert not source.bench["main.protection.trip"]
    source.run(40.01, 0.01, is_islanded=False)
    assert source.bench["main.protection.trip"]
    assert source.cause == "UV1"


def test_a_trip_stays_over_a_change_of_group_and_tells_its_first_cause(source: Source) -> None:
    source.run(1.0, 0.01, hz=62.5)
    assert source.cause == "OF2"
    source.run(5.0, 0.01, hz=60.0, low=0.3, is_islanded=True)
    assert source.cause == "OF2"
    source.run(6.0, 0.01, reset=True)
    assert source.bench["main.protection.trip"]  # still under voltage
    source.run(7.0, 0.01, low=1.0)
    assert (source.bench["main.protection.trip"], source.cause) == (False, "NO_CAUSE")


def test_a_bad_state_of_the_island_keeps_the_group(source: Source) -> None:
    source.run(1.0, 0.01, is_islanded=True)
    source.run(2.0, 0.01, is_state_bad=True, is_islanded=False)
    assert source.bench["main.protection.is_island_group"]
    source.run(3.0, 0.01, is_state_bad=False)
    assert not source.bench["main.protection.is_island_group"]


def test_blindness_trips_and_is_its_cause(source: Source) -> None:
    source.run(1.0, 0.01, is_voltage_bad=True)
    assert not source.bench["main.protection.trip"]
    source.run(2.01, 0.01, reset=True)
    assert (source.bench["main.protection.trip"], source.cause) == (True, "BLIND")


# ── nobody changes settings at run time ──────────────────────────────────────────────────────────────────────────
def test_settings_are_constants_that_no_program_can_assign() -> None:
    with pytest.raises(CompileFault) as fault:
        load(*FILES, PROGRAM.replace("IF NOT rides", "UTILITY.ov1.delay := T#1h; IF NOT rides"))
    assert [one.code for one in fault.value.diagnostics] == ["ST0303"]


def test_every_leaf_of_the_settings_is_marked_constant(program: Bench) -> None:
    leaves = [
        place
        for place in program.symbols.walk()
        if place.path.upper().split(".")[0].split("[")[0]
        in {"UTILITY", "ISLAND", "RIDE_II", "RIDE_I", "TRIPS_II", "TRIPS_I"}
    ]
    assert len(leaves) == 4 * 17 + 2 * (5 * 1 + 2 + 6 * 4)
    assert [place.path for place in leaves if "constant" not in place.flags] == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("main.protection.connected.of2.delay", 3600 * SECOND),
        ("main.protection.connected.of2.threshold", 99.0),
        ("main.protection.in_parallel.settings.of2.delay", 3600 * SECOND),
        ("main.protection.in_parallel.fast2.delay", 3600 * SECOND),
        ("main.protection.in_parallel.fast2.threshold", 99.0),
        ("main.protection.in_parallel.fast2.is_blocked", True),
        ("main.protection.in_parallel.blind.PT", 3600 * SECOND),
        ("main.protection.is_island_group", True),
    ],
)
def test_what_is_written_into_the_blocks_is_gone_before_they_judge(
    source: Source, path: str, value: Any
) -> None:
    source.run(1.0, 0.01)
    source.bench["main.hz"] = 62.5
    for _ in range(17):
        source.bench[path] = value  # as the control socket writes it, before every scan
        source.run(source.bench.clock_ns / 1e9 + 0.01, 0.01)
    assert source.bench["main.protection.trip"]


# ── RIDE_THROUGH ─────────────────────────────────────────────────────────────────────────────────────────────────
# (category, voltage in pu, region, seconds to be ridden through), IEEE 1547-2018 6.4.2 Tables 14 to 16
TABLES = [
    (3, 1.0, "CONTINUOUS", None),
    (3, 0.88, "CONTINUOUS", None),
    (3, 1.10, "CONTINUOUS", None),
    (3, 0.879, "MANDATORY", 20.0),
    (3, 0.70, "MANDATORY", 20.0),
    (3, 0.699, "MANDATORY", 10.0),
    (3, 0.50, "MANDATORY", 10.0),
    (3, 0.499, "MOMENTARY_CESSATION", 1.0),
    (3, 0.0, "MOMENTARY_CESSATION", 1.0),
    (3, 1.101, "MOMENTARY_CESSATION", 12.0),
    (3, 1.20, "MOMENTARY_CESSATION", 12.0),
    (3, 1.201, "CEASE", 0.0),
    (2, 0.879, "MANDATORY", 3 + 8.7 * 0.229),
    (2, 0.80, "MANDATORY", 3 + 8.7 * 0.15),
    (2, 0.65, "MANDATORY", 3.0),
    (2, 0.649, "PERMISSIVE", 0.32),
    (2, 0.449, "PERMISSIVE", 0.16),
    (2, 0.30, "PERMISSIVE", 0.16),
    (2, 0.299, "CEASE", 0.0),
    (2, 1.15, "PERMISSIVE", 1.0),
    (2, 1.16, "PERMISSIVE", 0.5),
    (2, 1.19, "PERMISSIVE", 0.2),
    (2, 1.21, "CEASE", 0.0),
    (1, 0.879, "MANDATORY", 0.7 + 4 * 0.179),
    (1, 0.70, "MANDATORY", 0.7),
    (1, 0.69, "PERMISSIVE", 0.16),
    (1, 0.499, "CEASE", 0.0),
    (1, 1.175, "PERMISSIVE", 0.5),
    (1, 1.21, "CEASE", 0.0),
]


@pytest.mark.parametrize(("category", "voltage_pu", "region", "ride_s"), TABLES)
def test_regions_and_times_of_the_tables(
    rider: Source, category: int, voltage_pu: float, region: str, ride_s: float | None
) -> None:
    rider.run(1.0, 0.005)
    rider.run(1.005, 0.005, low=min(voltage_pu, 1.0), high=max(voltage_pu, 1.0))
    assert rider.ride(category, "voltage_region") == region
    assert rider.ride(category, "cease") == (region in ("MOMENTARY_CESSATION", "CEASE"))
    if ride_s is None:
        assert rider.ride(category, "must_ride")
    else:
        assert rider.ride(category, "left") == pytest.approx(ride_s * SECOND, abs=2 * MS)
        rider.run(1.005 + ride_s - 0.01, 0.005)
        assert rider.ride(category, "must_ride") == (ride_s > 0)
        rider.run(1.005 + ride_s + 0.01, 0.005)
        assert not rider.ride(category, "must_ride")


@pytest.mark.parametrize(
    ("hz", "region", "ride_s"),
    [
        (58.8, "CONTINUOUS", None),
        (61.2, "CONTINUOUS", None),
        (58.79, "MANDATORY", 299.0),
        (57.0, "MANDATORY", 299.0),
        (61.8, "MANDATORY", 299.0),
        (56.99, "UNREQUIRED", 0.0),
        (61.81, "UNREQUIRED", 0.0),
    ],
)
def test_frequency_is_ridden_through(rider: Source, hz: float, region: str, ride_s: float | None) -> None:
    rider.run(1.0, 0.02)
    rider.run(1.02, 0.02, hz=hz)
    assert rider.ride(3, "frequency_region") == region
    assert not rider.ride(3, "cease")
    if ride_s is None:
        assert rider.ride(3, "must_ride")
    else:
        rider.run(1.02 + ride_s - 0.03, 0.02)
        assert rider.ride(3, "must_ride") == (ride_s > 0)
        rider.run(1.02 + ride_s + 0.03, 0.02)
        assert not rider.ride(3, "must_ride")


@at_periods
def test_momentary_cessation_comes_and_goes_within_one_scan(rider: Source, period_s: float) -> None:
    rider.run(1.0, period_s)
    rider.run(1.0 + period_s, period_s, low=0.4)
    assert rider.ride(3, "cease")
    rider.run(1.0 + 2 * period_s, period_s, low=0.9)
    assert not rider.ride(3, "cease")


def test_a_bad_voltage_leaves_the_region_and_time_runs_on(rider: Source) -> None:
    rider.run(1.0, 0.01, low=0.6)
    rider.run(6.0, 0.01, is_voltage_bad=True, low=0.0)
    assert rider.ride(3, "voltage_region") == "MANDATORY"
    assert rider.ride(3, "left") == pytest.approx(4.01 * SECOND, abs=20 * MS)


steps = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.2, 0.35, 0.47, 0.55, 0.68, 0.75, 0.85, 0.89, 1.0]),
        st.sampled_from([1.0, 1.0, 1.09, 1.12, 1.16, 1.19, 1.25]),
        st.sampled_from([56.0, 56.9, 58.0, 58.6, 60.0, 60.0, 60.0, 61.5, 61.79, 61.9, 63.0]),
        st.sampled_from([0.02, 0.1, 0.2, 0.5, 1.5, 4.0, 12.0]),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(disturbances=steps)
def test_no_trip_of_a_category_acts_while_its_ride_through_forbids_it(
    program: Bench, disturbances: list[tuple[float, float, float, float]]
) -> None:
    source = Source(program, rides=True)
    now_s = 0.0
    tripped = [False] * 3
    for low, high, hz, lasts_s in disturbances:
        for name, value in (("low", low), ("high", max(high, low)), ("hz", hz)):
            source.bench[f"main.{name}"] = value
        until_s = now_s + lasts_s
        while now_s < until_s - 1e-9:
            now_s = round(now_s + 0.02, 6)
            source.bench.scan(at_us=round(now_s * 1e6))
            for category in (1, 2, 3):
                trips = source.bench[f"main.trips[{category}].trip"]
                if trips and not tripped[category - 1]:
                    assert not source.ride(category, "must_ride"), (category, now_s, low, high, hz)
                tripped[category - 1] = trips


# ── ENTER_SERVICE, DER_SERVICE ───────────────────────────────────────────────────────────────────────────────────
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


@at_periods
def test_a_source_enters_and_rises_in_a_straight_line(block: Blocks, period_s: float) -> None:
    service = block("DER_SERVICE")
    service.set(settings__delay=2 * SECOND, settings__ramp_time=10 * SECOND)
    service.at(0, voltage_v=400.0, frequency_hz=60.0)
    entered_s = service.when("is_in_service", period_s, 5.0)
    assert -1e-9 <= entered_s - 2.0 < period_s
    assert service["limit_pct"] == 0.0
    for after_s in (1.0, 4.0, 7.0):
        service.run(entered_s + after_s, period_s)
        assert service["limit_pct"] == pytest.approx(10 * (service.time_s - entered_s), abs=1e-3)
    service.run(entered_s + 12.0, period_s)
    assert service["limit_pct"] == 100.0
    service.run(service.time_s + 1.0, period_s, frequency_hz=58.0)  # only the trip ends it
    assert (service["is_in_service"], service["limit_pct"]) == (True, 100.0)
    service.at(service.time_s + period_s, trip=True)
    assert (service["is_in_service"], service["limit_pct"]) == (False, 0.0)


def test_the_wait_begins_when_the_trip_is_gone_and_the_permit_is_there(block: Blocks) -> None:
    service = block("DER_SERVICE")
    service.at(0, voltage_v=400.0, frequency_hz=60.0, permit_service=False)
    service.at(400.0, permit_service=True, trip=True)
    service.at(800.0, trip=False)
    assert service.when("is_in_service", 0.1, 2000.0) == pytest.approx(1100.0)


@pytest.mark.parametrize(
    ("inputs", "takes_over"),
    [({}, True), ({"trip": True}, False), ({"permit_service": False}, False)],
)
def test_a_source_that_feeds_already_is_taken_over(
    block: Blocks, inputs: dict[str, Any], takes_over: bool
) -> None:
    service = block("DER_SERVICE")
    service.at(0, takes_over=True, voltage_v=400.0, frequency_hz=60.0, **inputs)
    assert (service["is_in_service"], service["limit_pct"]) == (takes_over, 100.0 if takes_over else 0.0)


def test_taking_over_is_for_the_first_scan_alone(block: Blocks) -> None:
    service = block("DER_SERVICE")
    service.at(0, voltage_v=400.0, frequency_hz=60.0)
    service.at(1, takes_over=True)
    assert not service["is_in_service"]
