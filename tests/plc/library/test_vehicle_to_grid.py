"""Vehicles that charge and give back: limits, departures, classes, fairness, support, contactors."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plc.bench import Bench

Blocks = Callable[[str], Any]
Library = tuple[Bench, dict[str, int]]
SECOND = 10**9
HOUR = 3600 * SECOND
PLACES = 12
EMPTY: dict[str, Any] = {
    "is_connected": False,
    "is_good": True,
    "soc_pct": 0.0,
    "capacity_kwh": 60.0,
    "target_pct": 80.0,
    "keep_pct": 30.0,
    "full_pct": 100.0,
    "time_left": 8 * HOUR,
    "max_charge_kw": 22.0,
    "max_discharge_kw": 22.0,
    "proven_kw": 0.0,
    "priority": 3,
}


def vehicle(**changes: Any) -> dict[str, Any]:
    hours = changes.pop("hours", None)
    found = EMPTY | {"is_connected": True, "soc_pct": 60.0} | changes
    return found if hours is None else found | {"time_left": round(hours * HOUR)}


def parked(*vehicles: dict[str, Any]) -> list[dict[str, Any]]:
    return [*vehicles, *[EMPTY] * (32 - len(vehicles))]


class Fleet:
    """A VEHICLE_TO_GRID with everything at once: no ramps, no waiting, no losses, unless a test says otherwise."""

    def __init__(self, library: Library, **inputs: Any) -> None:
        self.bench, numbers = library
        self.bench.restart()
        self.bench["main.which"] = numbers["VEHICLE_TO_GRID"]
        self.set(
            count=PLACES,
            efficiency_pct=100.0,
            ramp_kw_per_s=1e9,
            min_on_time=0,
            min_off_time=0,
            reserve_time=0,
        )
        self.set(**inputs)
        self.bench.scan(at_us=0)

    def set(self, **inputs: Any) -> None:
        for name, value in inputs.items():
            self.bench[f"main.VEHICLE_TO_GRID_.{name}"] = value

    def __getitem__(self, name: str) -> Any:
        value = self.bench[f"main.VEHICLE_TO_GRID_.{name}"]
        return value[:PLACES] if isinstance(value, list) else value

    def at(self, time_s: float, **inputs: Any) -> None:
        self.set(**inputs)
        self.bench.scan(at_us=round(time_s * 1e6))

    def run(self, until_s: float, period_s: float, **inputs: Any) -> None:
        self.set(**inputs)
        period_us = round(period_s * 1e6)
        for time_us in range(self.bench.clock_ns // 1000 + period_us, round(until_s * 1e6) + 1, period_us):
            self.bench.scan(at_us=time_us)

    def now(self, *vehicles: dict[str, Any], **inputs: Any) -> list[float]:
        """The setpoints after two scans (the first sees who is there)."""
        time_s = self.bench.clock_ns / 1e9
        self.at(time_s + 1, vehicles=parked(*vehicles), **inputs)
        self.at(time_s + 2)
        found: list[float] = self["setpoint_kw"][: len(vehicles)]
        return found


@pytest.fixture
def fleet(library: Library) -> Fleet:
    return Fleet(library)


# ── shares ───────────────────────────────────────────────────────────────────────────────────────────────────────
def test_equals_share_equally_and_limits_leave_the_rest_to_the_others(fleet: Fleet) -> None:
    assert fleet.now(vehicle(), vehicle(), vehicle(), wanted_kw=-30.0) == pytest.approx([-10.0] * 3)
    three = (vehicle(max_charge_kw=4.0), vehicle(), vehicle())
    assert fleet.now(*three, wanted_kw=-30.0) == pytest.approx([-4.0, -13.0, -13.0])
    assert fleet.now(vehicle(), vehicle(), vehicle(), wanted_kw=45.0) == pytest.approx([15.0] * 3)
    assert fleet["rest_kw"] == pytest.approx(0.0, abs=1e-4)


def test_class_1_charges_first_and_gives_last(fleet: Fleet) -> None:
    four = tuple(vehicle(priority=number, soc_pct=90.0, target_pct=50.0) for number in (1, 2, 3, 4))
    assert fleet.now(*four, wanted_kw=-30.0) == pytest.approx([-22.0, -8.0, 0.0, 0.0])
    assert fleet.now(*four, wanted_kw=30.0) == pytest.approx([0.0, 0.0, 8.0, 22.0])
    assert fleet.now(*four, wanted_kw=80.0) == pytest.approx([14.0, 22.0, 22.0, 22.0])


def test_an_emergency_vehicle_charges_at_once_to_its_need_and_gives_only_above(fleet: Fleet) -> None:
    assert fleet.now(vehicle(priority=1, soc_pct=79.0), wanted_kw=50.0) == [-22.0]
    assert fleet.now(vehicle(priority=1, soc_pct=80.0), wanted_kw=50.0) == [0.0]
    assert fleet.now(vehicle(priority=1, soc_pct=81.5), wanted_kw=50.0) == pytest.approx([11.0])
    assert fleet.now(vehicle(priority=1, soc_pct=95.0), wanted_kw=50.0) == pytest.approx([22.0])
    # what it draws, the others give, where they were asked for nothing
    assert fleet.now(vehicle(priority=1, soc_pct=50.0), vehicle(), wanted_kw=0.0) == pytest.approx(
        [-22.0, 22.0]
    )


@pytest.mark.parametrize(
    ("asked_kw", "setpoints", "rest_kw"),
    [
        (-1.3, [0.0, 0.0, 0.0], -1.3),
        (-1.4, [-1.4, 0.0, 0.0], 0.0),
        (-2.9, [-1.45, -1.45, 0.0], 0.0),
        (-4.2, [-1.4, -1.4, -1.4], 0.0),
        (3.0, [1.5, 1.5, 0.0], 0.0),
    ],
)
def test_a_connector_does_nothing_or_at_least_its_least(
    fleet: Fleet, asked_kw: float, setpoints: list[float], rest_kw: float
) -> None:
    assert fleet.now(vehicle(), vehicle(), vehicle(), wanted_kw=asked_kw) == pytest.approx(setpoints)
    assert fleet["rest_kw"] == pytest.approx(rest_kw, abs=1e-5)


def test_those_that_run_already_keep_the_little_there_is(fleet: Fleet) -> None:
    low = (vehicle(soc_pct=70.0), vehicle(soc_pct=40.0), vehicle(soc_pct=50.0))
    assert fleet.now(*low, wanted_kw=-1.5) == pytest.approx([0.0, -1.5, 0.0])  # who needs most
    lower = (vehicle(soc_pct=70.0), vehicle(soc_pct=45.0), vehicle(soc_pct=35.0))
    assert fleet.now(*lower, wanted_kw=-1.5) == pytest.approx([0.0, -1.5, 0.0])


# ── limits ───────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("changes", "give_kw", "take_kw"),
    [
        ({}, 22.0, 22.0),
        ({"soc_pct": 30.0, "target_pct": 30.0}, 0.0, 22.0),
        ({"soc_pct": 31.5, "target_pct": 30.0}, 11.0, 22.0),
        ({"soc_pct": 100.0}, 22.0, 0.0),
        ({"soc_pct": 90.0, "full_pct": 90.0}, 22.0, 0.0),
        ({"is_connected": False}, 0.0, 0.0),
        ({"is_good": False}, 0.0, 22.0),
        ({"max_charge_kw": -5.0, "max_discharge_kw": -5.0}, 0.0, 0.0),
        ({"max_charge_kw": 1.0}, 0.0, 0.0),  # less than a connector can do: it could not charge back
    ],
)
def test_what_a_vehicle_can_do(fleet: Fleet, changes: dict[str, Any], give_kw: float, take_kw: float) -> None:
    fleet.now(vehicle(**changes))
    assert (fleet["give_kw"][0], fleet["take_kw"][0]) == (pytest.approx(give_kw, abs=1e-3), take_kw)


def test_the_feeder_limits_the_sum_both_ways(fleet: Fleet) -> None:
    four = tuple(vehicle(target_pct=50.0) for _ in range(4))
    assert fleet.now(*four, feeder_kw=40.0, wanted_kw=-88.0) == pytest.approx([-10.0] * 4)
    assert fleet.now(*four, feeder_kw=40.0, wanted_kw=88.0) == pytest.approx([10.0] * 4)
    assert (fleet["can_give_kw"], fleet["can_take_kw"]) == (40.0, 40.0)


def test_an_island_without_power_charges_nobody(fleet: Fleet) -> None:
    two = (vehicle(priority=1, soc_pct=20.0), vehicle(soc_pct=70.0, target_pct=70.0))
    assert fleet.now(*two, stop_charging=True, wanted_kw=-30.0) == [0.0, 0.0]
    assert fleet.now(*two, wanted_kw=10.0) == pytest.approx([0.0, 10.0])
    assert fleet["is_urgent"][:2] == [True, False]


# ── departure ────────────────────────────────────────────────────────────────────────────────────────────────────
# 60 kWh from 60 to 80 % by 22 kW without losses: 12 kWh, 32.7 minutes.
@pytest.mark.parametrize(
    ("minutes", "asked_kw", "setpoint_kw"),
    [(66.0, 22.0, 22.0), (65.0, 22.0, 0.0), (33.0, 22.0, 0.0), (32.5, 22.0, -22.0), (0.0, 22.0, -22.0)],
)
def test_it_charges_when_the_time_left_is_just_enough(
    fleet: Fleet, minutes: float, asked_kw: float, setpoint_kw: float
) -> None:
    assert fleet.now(vehicle(hours=minutes / 60), wanted_kw=asked_kw) == pytest.approx([setpoint_kw])
    assert fleet["need_kwh"][0] == pytest.approx(12.0)
    assert fleet["is_late"][0] == (minutes < 32.7)


def test_the_reserve_comes_off_the_time_and_losses_on_the_need(fleet: Fleet) -> None:
    fleet.set(reserve_time=HOUR // 4, efficiency_pct=80.0)
    # 15 kWh take 40.9 minutes
    assert fleet.now(vehicle(hours=56.5 / 60), wanted_kw=22.0) == [0.0]
    assert fleet.now(vehicle(hours=55.5 / 60), wanted_kw=22.0) == [-22.0]
    assert (fleet["is_urgent"][0], fleet["is_late"][0]) == (True, False)


def test_departure_is_planned_by_what_the_vehicle_was_seen_to_take(fleet: Fleet) -> None:
    slow = vehicle(hours=1.0, proven_kw=11.0)  # 12 kWh by 11 kW: more than an hour
    assert fleet.now(slow, wanted_kw=0.0) == [-22.0]
    assert fleet.now(slow | {"proven_kw": 0.0}, wanted_kw=0.0) == [0.0]


def test_without_knowing_the_charge_the_need_is_the_last_or_that_of_an_empty_battery(fleet: Fleet) -> None:
    fleet.now(vehicle(is_good=False, soc_pct=99.0), wanted_kw=0.0)
    assert fleet["need_kwh"][0] == pytest.approx(48.0)
    fleet.now(vehicle(), wanted_kw=0.0)
    fleet.now(vehicle(is_good=False, soc_pct=0.0), wanted_kw=0.0)
    assert fleet["need_kwh"][0] == pytest.approx(12.0)
    fleet.now(vehicle(is_connected=False))
    fleet.now(vehicle(is_good=False), wanted_kw=20.0)
    assert fleet["need_kwh"][0] == pytest.approx(48.0)
    assert fleet["setpoint_kw"][0] == 0.0
    assert fleet.now(vehicle(is_good=False), wanted_kw=-7.0) == pytest.approx([-7.0])


def test_a_feeder_that_just_carries_all_paces_is_shared_by_them(fleet: Fleet) -> None:
    # 12 kWh in 1 h and in 3 h: 12 + 4 kW of a feeder of 17
    two = (vehicle(hours=1.0), vehicle(hours=3.0))
    assert fleet.now(*two, feeder_kw=17.0, wanted_kw=17.0) == pytest.approx([-12.0, -4.0])
    assert not fleet["is_overbooked"]
    assert fleet.now(*two, feeder_kw=20.0, wanted_kw=0.0) == [0.0, 0.0]


def test_an_overbooked_feeder_goes_to_the_first_class_first(fleet: Fleet) -> None:
    late = tuple(vehicle(hours=0.3, priority=number) for number in (3, 2, 2, 1))
    assert fleet.now(*late, feeder_kw=50.0, wanted_kw=50.0) == pytest.approx([0.0, -14.0, -14.0, -22.0])
    assert fleet["is_overbooked"]


# ── frequency ────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("hz", "support_kw"),
    [
        (60.0, 0.0),
        (59.9, 0.0),
        (59.3, 44 * 0.6 / 3.0),  # 5 % of 60 Hz are 3 Hz, for two connectors of 22 kW
        (60.7, -44 * 0.6 / 3.0),
        (55.0, 44.0),
        (70.0, -44.0),
    ],
)
def test_vehicles_answer_to_frequency_by_their_droop(fleet: Fleet, hz: float, support_kw: float) -> None:
    fleet.set(support=True, nominal_hz=60.0, deadband_hz=0.1)
    powers = fleet.now(vehicle(), vehicle(), frequency_hz=hz)
    assert fleet["support_kw"] == pytest.approx(support_kw, abs=1e-3)
    assert sum(powers) == pytest.approx(support_kw, abs=1e-3)


@pytest.mark.parametrize("change", [{"support": False}, {"is_frequency_good": False}])
def test_no_answer_without_order_or_without_sight(fleet: Fleet, change: dict[str, Any]) -> None:
    fleet.set(nominal_hz=60.0, frequency_hz=57.0, **({"support": True} | change))
    assert fleet.now(vehicle(), vehicle(), wanted_kw=-4.0) == pytest.approx([-2.0, -2.0])


@pytest.mark.parametrize("period_s", [0.001, 0.005, 0.02])
def test_support_is_there_in_time(library: Library, period_s: float) -> None:
    fleet = Fleet(library, ramp_kw_per_s=2.0, min_off_time=60 * SECOND, support=True, nominal_hz=60.0)
    fleet.set(vehicles=parked(vehicle(), vehicle()), frequency_hz=60.0)
    fleet.run(1.0, period_s)
    fleet.run(1.0 + period_s, period_s, frequency_hz=57.5)  # 35.2 kW
    assert fleet["setpoint_kw"][0] >= 1.3999  # at once, whatever the contactors' times
    fleet.run(1.0 + 17.6 / 100 + 2 * period_s, period_s)
    assert fleet["total_kw"] == pytest.approx(35.2, abs=0.01)


# ── contactors and ramps ─────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("period_s", [0.001, 0.005, 0.02])
def test_setpoints_move_by_their_ramp_and_not_between_off_and_their_least(
    library: Library, period_s: float
) -> None:
    fleet = Fleet(library, ramp_kw_per_s=5.0, vehicles=parked(vehicle(target_pct=50.0)))
    fleet.run(1.0, period_s)
    fleet.set(wanted_kw=-22.0)
    seen = [0.0]
    while seen[-1] > -22.0 and len(seen) < 10_000:
        fleet.run(fleet.bench.clock_ns / 1e9 + period_s, period_s)
        seen.append(fleet["setpoint_kw"][0])
    assert seen[1] == pytest.approx(-1.4)
    steps = [before - after for before, after in itertools.pairwise(seen[1:])]
    assert max(steps) <= 5.0 * period_s + 1e-5
    assert (len(seen) - 2) * period_s == pytest.approx((22.0 - 1.4) / 5.0, abs=2 * period_s)


def test_a_connector_stays_on_and_off_for_its_least_times(library: Library) -> None:
    fleet = Fleet(library, min_on_time=60 * SECOND, min_off_time=30 * SECOND)
    fleet.set(vehicles=parked(vehicle(target_pct=50.0)))
    fleet.run(31.0, 0.1)
    fleet.run(32.0, 0.1, wanted_kw=-10.0)
    assert fleet["setpoint_kw"][0] == pytest.approx(-10.0)
    fleet.run(91.0, 0.1, wanted_kw=0.0)
    assert fleet["setpoint_kw"][0] == pytest.approx(-1.4)
    fleet.run(91.3, 0.1)
    assert fleet["setpoint_kw"][0] == 0.0
    fleet.run(120.9, 0.1, wanted_kw=-10.0)
    assert fleet["setpoint_kw"][0] == 0.0
    fleet.run(121.5, 0.1)
    assert fleet["setpoint_kw"][0] == pytest.approx(-10.0)


@pytest.mark.parametrize(
    ("change", "setpoint_kw"),
    [
        ({"stop_charging": True}, 0.0),
        ({"vehicles": parked(vehicle(is_connected=False))}, 0.0),
        ({"vehicles": parked(vehicle(soc_pct=100.0))}, 0.0),
        ({"vehicles": parked(vehicle(max_charge_kw=5.0))}, -5.0),
        ({"vehicles": parked(vehicle(hours=0.1))}, -22.0),
    ],
)
def test_limits_and_departures_do_not_wait_for_contactors(
    library: Library, change: dict[str, Any], setpoint_kw: float
) -> None:
    fleet = Fleet(library, min_on_time=600 * SECOND, min_off_time=600 * SECOND)
    fleet.at(0, vehicles=parked(vehicle()), wanted_kw=-10.0)
    fleet.at(601)
    assert fleet["setpoint_kw"][0] == pytest.approx(-10.0)
    fleet.at(602, **change)
    assert fleet["setpoint_kw"][0] == pytest.approx(setpoint_kw)


# ── properties ───────────────────────────────────────────────────────────────────────────────────────────────────
any_vehicle = st.builds(
    vehicle,
    is_connected=st.sampled_from([True, True, True, False]),
    is_good=st.sampled_from([True, True, True, False]),
    soc_pct=st.floats(0.0, 100.0, width=32),
    capacity_kwh=st.sampled_from([0.0, 20.0, 40.0, 60.0, 90.0]),
    target_pct=st.sampled_from([30.0, 50.0, 80.0, 100.0]),
    keep_pct=st.sampled_from([10.0, 30.0, 50.0]),
    full_pct=st.sampled_from([90.0, 100.0]),
    hours=st.floats(-1.0, 12.0),
    max_charge_kw=st.sampled_from([0.0, 1.0, 3.7, 7.4, 11.0, 22.0]),
    max_discharge_kw=st.sampled_from([0.0, 1.0, 3.7, 11.0, 22.0]),
    proven_kw=st.sampled_from([0.0, 3.7, 7.4, 30.0]),
    priority=st.sampled_from([-1, 1, 2, 3, 4, 9]),
)
any_fleet = st.lists(any_vehicle, min_size=1, max_size=PLACES)
orders = st.lists(
    st.tuples(
        any_fleet,
        st.floats(-400.0, 400.0, width=32),  # wanted
        st.sampled_from([0.0, 5.0, 30.0, 100.0, 500.0]),  # feeder
        st.sampled_from([0.001, 0.02, 0.5, 30.0, 90.0]),  # seconds until then
        st.booleans(),  # stop
        st.sampled_from([57.0, 59.8, 60.0, 60.0, 61.0]),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=orders)
def test_never_outside_the_limits_of_any_vehicle_or_the_feeder(library: Library, steps: list[Any]) -> None:
    fleet = Fleet(
        library, min_on_time=60 * SECOND, min_off_time=60 * SECOND, ramp_kw_per_s=5.0, nominal_hz=60.0
    )
    time_s = 0.0
    for vehicles, wanted_kw, feeder_kw, seconds, stop, hz in steps:
        time_s += seconds
        fleet.at(
            time_s,
            vehicles=parked(*vehicles),
            wanted_kw=wanted_kw,
            feeder_kw=feeder_kw,
            stop_charging=stop,
            support=True,
            frequency_hz=hz,
        )
        powers = fleet["setpoint_kw"]
        assert abs(sum(powers)) <= feeder_kw + 1e-3
        assert fleet["total_kw"] == pytest.approx(sum(powers), abs=1e-3)
        for power, one in zip(powers, [*vehicles, *[EMPTY] * PLACES], strict=False):
            if not one["is_connected"]:
                assert power == 0.0
                continue
            assert power == 0.0 or abs(power) >= 1.4 - 1e-5
            assert -one["max_charge_kw"] - 1e-4 <= power <= one["max_discharge_kw"] + 1e-4
            if stop or (one["is_good"] and one["soc_pct"] >= one["full_pct"]):
                assert power >= 0.0
            if not one["is_good"] or one["soc_pct"] <= one["keep_pct"]:
                assert power <= 0.0
            if one["priority"] <= 1 and one["soc_pct"] <= one["target_pct"]:
                assert power <= 0.0


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    vehicles=any_fleet,
    wanted_kw=st.floats(-400.0, 400.0, width=32),
    feeder_kw=st.sampled_from([20.0, 60.0, 150.0, 500.0]),
)
def test_the_sum_is_what_was_asked_within_what_is_possible_and_classes_are_strict(
    library: Library, vehicles: list[dict[str, Any]], wanted_kw: float, feeder_kw: float
) -> None:
    fleet = Fleet(library)
    powers = fleet.now(*vehicles, wanted_kw=wanted_kw, feeder_kw=feeder_kw)
    count = len(vehicles)
    must = fleet["must_kw"][:count]
    give = [0.0 if due > 0 else can for due, can in zip(must, fleet["give_kw"][:count], strict=True)]
    take = fleet["take_kw"][:count]
    total = sum(powers)
    possible = max(-feeder_kw, -sum(take), min(wanted_kw, feeder_kw, sum(give) - sum(must)))
    # Less than one connector's least may be left over of what is charged, or given, beyond the departures.
    left_over = total - possible if possible < -sum(must) else possible - total
    assert -1e-2 <= left_over < 1.4 + 1e-2
    classes = [min(max(one["priority"], 1), 4) for one in vehicles]
    for mine, power, due, can_take, can_give in zip(classes, powers, must, take, give, strict=True):
        assert due == 0.0 or power <= -due + 1e-3
        for other, theirs, their_due in zip(classes, powers, must, strict=True):
            if other > mine and theirs < -their_due - 1e-3:  # a lesser class charges more than it must
                assert power <= -can_take + 1.4 + 1e-3
            if other < mine and theirs > 1e-3:  # a higher class gives
                assert power >= can_give - 1.4 - 1e-3 or due > 0


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    limits=st.lists(st.sampled_from([0.0, 2.0, 3.7, 7.4, 11.0, 22.0]), min_size=1, max_size=PLACES),
    total_kw=st.floats(0.0, 300.0, width=32),
)
def test_within_a_class_nobody_could_get_more_without_taking_from_who_has_less(
    library: Library, limits: list[float], total_kw: float
) -> None:
    fleet = Fleet(library)
    vehicles = [vehicle(max_charge_kw=limit, target_pct=50.0) for limit in limits]
    powers = [-power for power in fleet.now(*vehicles, wanted_kw=-total_kw)]
    below_limit = [power for power, limit in zip(powers, limits, strict=True) if 0.0 < power < limit - 1e-3]
    if below_limit:
        assert max(powers) <= min(below_limit) + 1e-3


@pytest.mark.parametrize("seed", range(40))
def test_every_need_that_was_feasible_at_arrival_is_met_whatever_is_asked(
    library: Library, seed: int
) -> None:
    """Four hours at a feeder in steps of 30 s: vehicles come, are asked for anything, and leave ready."""
    source = random.Random(seed)
    feeder_kw, step_s, early_s = source.choice([60.0, 90.0, 200.0]), 30, 300
    fleet = Fleet(library, feeder_kw=feeder_kw, reserve_time=early_s * SECOND, ramp_kw_per_s=5.0)
    fleet.set(min_on_time=60 * SECOND, min_off_time=60 * SECOND, vehicles=parked())
    day = Day(fleet, feeder_kw, early_s)
    served, given_kw, wanted_kw = 0, 0.0, 0.0
    for time_s in range(0, 4 * 3600, step_s):
        if time_s % 300 == 0:
            wanted_kw = source.choice([-300.0, -40.0, -3.0, 0.0, 30.0, 300.0, 300.0])
            if time_s < 2 * 3600:
                day.arrive(source, time_s)
        served += day.depart(time_s)
        fleet.at(time_s + 1e-3, wanted_kw=wanted_kw)
        fleet.at(time_s + 12.0)  # the ramps are faster than the steps of the day
        given_kw += day.charge(step_s)
    assert served >= 5
    assert given_kw > 0.0


class Day:
    """Who is parked until when; their batteries follow the setpoints without losses."""

    def __init__(self, fleet: Fleet, feeder_kw: float, early_s: int) -> None:
        self.fleet, self.feeder_kw, self.early_s = fleet, feeder_kw, early_s
        self.parked: dict[int, dict[str, Any]] = {}
        self.leaves_s: dict[int, int] = {}

    def pace_kw(self, one: dict[str, Any], left_s: float) -> float:
        need_kwh = max(80.0 - one["soc_pct"], 0.0) * one["capacity_kwh"] / 100
        return float(need_kwh / max((left_s - self.early_s) / 3600, 1e-6))

    def arrive(self, source: random.Random, time_s: int) -> None:
        """A newcomer at a free place, where the promise can be made: his pace, and the sum of all paces."""
        place = source.randrange(PLACES)
        newcomer = vehicle(
            soc_pct=source.uniform(10.0, 95.0),
            capacity_kwh=source.choice([40.0, 60.0, 90.0]),
            priority=source.choice([1, 2, 3, 4]),
            max_charge_kw=source.choice([7.4, 11.0, 22.0]),
        )
        stay_s = source.choice([1800, 3600, 7200])
        pace = self.pace_kw(newcomer, stay_s)
        others = sum(self.pace_kw(one, self.leaves_s[key] - time_s) for key, one in self.parked.items())
        if (
            place not in self.parked
            and pace <= newcomer["max_charge_kw"]
            and pace + others <= 0.9 * self.feeder_kw
        ):
            self.parked[place] = newcomer
            self.leaves_s[place] = time_s + stay_s
            self.fleet.set(**{f"vehicles[{place + 1}]": newcomer})

    def depart(self, time_s: int) -> int:
        """Who has to go goes, and is ready; returns how many."""
        gone = [place for place, leaves_s in self.leaves_s.items() if time_s >= leaves_s]
        for place in gone:
            assert self.parked[place]["soc_pct"] >= 80.0 - 1e-3, (place, self.parked[place], time_s)
            del self.parked[place], self.leaves_s[place]
            self.fleet.set(**{f"vehicles[{place + 1}].is_connected": False})
        for place, leaves_s in self.leaves_s.items():
            self.fleet.set(**{f"vehicles[{place + 1}].time_left": (leaves_s - time_s) * SECOND})
        return len(gone)

    def charge(self, step_s: int) -> float:
        """The setpoints hold for a step; returns the power that was given back."""
        powers = self.fleet["setpoint_kw"]
        for place, one in self.parked.items():
            one["soc_pct"] -= powers[place] * step_s / 3600 / one["capacity_kwh"] * 100
            self.fleet.set(**{f"vehicles[{place + 1}].soc_pct": one["soc_pct"]})
        return float(sum(max(power, 0.0) for power in powers))
