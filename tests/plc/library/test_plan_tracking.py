"""PLAN_TRACKING: the plan is followed, limits come first, and without a plan the rule holds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

Blocks = Callable[[str], Any]
FREE = {
    "import_kw": 50.0, "battery_kw": 0.0, "fleet_kw": 0.0, "soc_pct": 80.0, "charge_kw": 100.0, "discharge_kw": 100.0,
    "limit_kw": 400.0, "fleet_can_take_kw": 60.0, "fleet_can_give_kw": 20.0, "rule_battery_kw": 3.0,
    "rule_fleet_kw": -60.0,
}  # fmt: skip
PLAN = {
    "sequence": 1, "valid_for_s": 900.0, "is_plan_good": True, "plan_battery_kw": -30.0, "plan_fleet_kw": -20.0,
    "plan_reserve_pct": 25.0,
}  # fmt: skip


@pytest.fixture
def tracking(block: Blocks) -> Any:
    made = block("PLAN_TRACKING")
    made.set(**FREE)
    return made


def setpoints(tracking: Any) -> tuple[float, float]:
    return tracking["battery_setpoint_kw"], tracking["fleet_setpoint_kw"]


def test_the_plan_is_followed_from_the_scan_in_which_it_comes(tracking: Any) -> None:
    tracking.at(0)
    assert setpoints(tracking) == (3.0, -60.0)  # the rule
    assert (tracking["is_following"], tracking["is_stale"]) == (False, True)
    tracking.at(1, **PLAN)
    assert setpoints(tracking) == (-30.0, -20.0)
    assert (tracking["is_following"], tracking["is_stale"], tracking["left_s"]) == (True, False, 900.0)


@pytest.mark.parametrize("period_s", [0.05, 1.0, 7.0])
def test_a_plan_ends_with_its_time_whoever_is_gone_and_a_new_sequence_begins_anew(
    tracking: Any, period_s: float
) -> None:
    tracking.at(0, **PLAN)
    tracking.run(100.0, period_s, is_plan_good=False)  # who plans is dead
    assert setpoints(tracking) == (-30.0, -20.0)
    tracking.run(880.0, period_s)
    assert tracking["is_following"]
    tracking.run(920.0, period_s)
    assert setpoints(tracking) == (3.0, -60.0)
    tracking.run(1000.0, period_s, is_plan_good=True)  # back, with the same old set
    assert not tracking["is_following"]
    tracking.run(1010.0, period_s, sequence=2)
    assert setpoints(tracking) == (-30.0, -20.0)


def test_a_sequence_that_begins_again_after_a_loss_is_a_new_set_too(tracking: Any) -> None:
    tracking.at(0, **{**PLAN, "sequence": 500})
    tracking.at(1, sequence=1, plan_battery_kw=10.0)
    assert (tracking["left_s"], tracking["battery_setpoint_kw"]) == (900.0, 10.0)


def test_switched_off_the_rule_holds_and_switched_on_again_the_plan(tracking: Any) -> None:
    tracking.at(0, **PLAN)
    tracking.at(1, enable=False)
    assert setpoints(tracking) == (3.0, -60.0)
    tracking.at(2, enable=True)
    assert setpoints(tracking) == (-30.0, -20.0)


@pytest.mark.parametrize("kw", [math.nan, math.inf, -math.inf, 1e7])
@pytest.mark.parametrize("which", ["plan_battery_kw", "plan_fleet_kw", "plan_reserve_pct"])
def test_powers_that_cannot_be_are_refused(tracking: Any, kw: float, which: str) -> None:
    tracking.at(0, **{**PLAN, which: kw})
    assert (tracking["is_refused"], tracking["is_following"]) == (True, False)
    assert setpoints(tracking) == (3.0, -60.0)
    tracking.at(1, **PLAN)
    assert setpoints(tracking) == (-30.0, -20.0)


@pytest.mark.parametrize("seconds", [math.nan, -1.0, 0.0, 1e9])
def test_a_time_that_cannot_be_is_none(tracking: Any, seconds: float) -> None:
    tracking.at(0, **{**PLAN, "valid_for_s": seconds})
    assert not tracking["is_following"]


def test_the_limit_takes_from_charging_first_then_from_the_battery_then_from_vehicles(tracking: Any) -> None:
    tracking.set(**PLAN)
    tracking.at(0, limit_kw=90.0)  # 50 + 30 + 20 planned: 10 too much
    assert setpoints(tracking) == (-30.0, -10.0)
    tracking.at(1, limit_kw=75.0)
    assert setpoints(tracking) == (-25.0, 0.0)
    tracking.at(2, limit_kw=10.0)
    assert setpoints(tracking) == (40.0, 0.0)
    tracking.at(3, import_kw=170.0, limit_kw=60.0)
    assert setpoints(tracking) == (100.0, 10.0)
    assert not tracking["is_short"]
    tracking.at(4, limit_kw=40.0)
    assert setpoints(tracking) == (100.0, 20.0)
    assert tracking["is_short"]


def test_the_battery_stands_in_for_vehicles_until_they_have_come_down(tracking: Any) -> None:
    plan = {**PLAN, "plan_battery_kw": 0.0}
    tracking.at(0, **plan, import_kw=110.0, fleet_kw=-40.0, limit_kw=90.0)
    assert setpoints(tracking) == (20.0, -20.0)  # 70 without vehicles, which still take 40
    tracking.at(1, import_kw=90.0, fleet_kw=-20.0, battery_kw=0.0)
    assert setpoints(tracking) == (0.0, -20.0)


def test_what_vehicles_must_take_they_get_at_the_limit_too(tracking: Any) -> None:
    tracking.at(0, **PLAN, limit_kw=40.0, fleet_must_take_kw=35.0)
    assert setpoints(tracking) == (45.0, -35.0)


def test_the_battery_gives_nothing_below_the_reserve_and_the_plan_can_only_raise_it(tracking: Any) -> None:
    plan = {**PLAN, "plan_battery_kw": 80.0}
    tracking.at(0, **plan, soc_pct=24.0)
    assert tracking["battery_setpoint_kw"] == 0.0  # 25 % are the plan's
    tracking.at(1, soc_pct=26.0)
    assert tracking["battery_setpoint_kw"] == pytest.approx(50.0)  # half of the taper
    tracking.at(2, soc_pct=24.0, plan_reserve_pct=0.0)
    assert tracking["battery_setpoint_kw"] == 80.0
    tracking.at(3, soc_pct=19.0)
    assert tracking["battery_setpoint_kw"] == 0.0  # 20 % are the site's
    tracking.at(4, soc_pct=50.0, is_soc_good=False)
    assert tracking["battery_setpoint_kw"] == 0.0


def test_too_much_export_is_taken_by_the_battery_then_by_vehicles(tracking: Any) -> None:
    tracking.at(0, **PLAN, import_kw=-200.0, export_limit_kw=100.0)
    assert setpoints(tracking) == (-80.0, -20.0)
    tracking.at(1, export_limit_kw=60.0)
    assert setpoints(tracking) == (-100.0, -40.0)


def test_the_battery_goes_to_its_plan_on_a_ramp_and_limits_act_at_once(tracking: Any) -> None:
    tracking.at(0, ramp_kw_per_s=5.0, rule_battery_kw=0.0)
    tracking.at(1, **PLAN)
    assert tracking["battery_setpoint_kw"] == -5.0
    tracking.at(2)
    assert tracking["battery_setpoint_kw"] == -10.0
    tracking.at(3, limit_kw=10.0)
    assert tracking["battery_setpoint_kw"] == 40.0


def test_import_that_is_bad_leaves_limits_to_what_was_measured_last(tracking: Any) -> None:
    tracking.at(0, **PLAN, limit_kw=90.0)
    tracking.at(1, import_kw=-1e3, is_good=False)
    assert setpoints(tracking) == (-30.0, -10.0)


@given(
    others=st.floats(-300, 300),
    limit=st.floats(0, 300),
    battery=st.floats(-200, 200),
    fleet=st.floats(-200, 200),
    soc=st.floats(0, 100),
    can=st.tuples(st.floats(0, 100), st.floats(0, 100)),
    must=st.floats(0, 100),
    good=st.booleans(),
)
def test_no_setpoint_is_beyond_what_can_be_and_the_limit_is_held_or_told(
    library: Any,
    others: float,
    limit: float,
    battery: float,
    fleet: float,
    soc: float,
    can: tuple[float, float],
    must: float,
    good: bool,
) -> None:
    bench, numbers = library
    bench.restart()
    bench["main.which"] = numbers["PLAN_TRACKING"]
    inputs = {
        **FREE, **PLAN, "is_plan_good": good, "import_kw": others, "limit_kw": limit, "plan_battery_kw": battery,
        "plan_fleet_kw": fleet, "soc_pct": soc, "fleet_can_take_kw": can[0], "fleet_can_give_kw": can[1],
        "fleet_must_take_kw": must,
    }  # fmt: skip
    for name, value in inputs.items():
        bench[f"main.PLAN_TRACKING_.{name}"] = value
    bench.scan(at_us=0)
    given_kw, fleet_kw, short = (
        bench[f"main.PLAN_TRACKING_.{name}"]
        for name in ("battery_setpoint_kw", "fleet_setpoint_kw", "is_short")
    )
    assert -100.0 <= given_kw <= 100.0
    assert given_kw <= 0.0 or soc > 20.0
    assert -can[0] - 1e-3 <= fleet_kw <= can[1] + 1e-3
    assert fleet_kw <= -min(must, can[0]) + 1e-3 or must < 1e-3
    assert short or others - given_kw - fleet_kw <= limit + 1e-2
