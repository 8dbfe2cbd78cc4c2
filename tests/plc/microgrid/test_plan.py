"""The demo's programs go by a plan: below the peak limit, and not when it is over, switched off, or in an island."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.simulator.plant.charger import Vehicle
from gateway.simulator.plant.microgrid import Microgrid
from gateway.simulator.together import Together

LET_GO_S = 2.0  # logic/peak.st
HELD_TO_KW = 5.0


@pytest.fixture
def noon(demo: Any, plant: Callable[..., Microgrid]) -> Together:
    """Noon; vehicles are there, and none is charged."""
    grid = plant(seed=1, start_hour=12.0)
    for number, charger in enumerate(grid.chargers, 1):
        charger.setpoint_kw = 0.0
        charger.plug_in(Vehicle(f"TL-{number}", 60.0, 30.0, 22.0, 1e9))
    together: Together = demo.start(grid)
    together.run(2.0)
    return together


def plan(
    together: Together, battery_kw: float, *, number: int = 1, for_s: float = 900.0, **more: float
) -> None:
    """As dispatch's tags would bring it."""
    program = together.program
    program["plan_battery_kw"] = battery_kw
    for name, value in more.items():
        program[f"plan_{name}"] = value
    program["plan_valid_for_s"] = for_s
    program["plan_sequence"] = number
    program["plan_is_good"] = True


def battery_kw(together: Together) -> float:
    return float(together.grid.battery.power_kw)


def test_the_battery_goes_by_the_plan_and_from_one_to_the_next_on_a_ramp(noon: Together) -> None:
    plan(noon, 60.0)
    noon.run(6.0)
    assert noon.program["is_planned"]
    assert battery_kw(noon) == pytest.approx(60.0, abs=1.0)
    plan(noon, -150.0, number=2)  # charging, which without a plan nobody would
    noon.run(4.0)
    assert -140.0 < battery_kw(noon) < 0.0
    noon.run(8.0)
    assert battery_kw(noon) == pytest.approx(-150.0, abs=1.0)


def test_vehicles_share_what_is_planned_where_the_logic_steers_them(noon: Together) -> None:
    program = noon.program
    program["ev_automatic"] = True
    program["ev_stay_h"] = 12.0
    plan(noon, 0.0, vehicles_kw=-90.0)
    fleet_kw = 0.0
    while fleet_kw != pytest.approx(-90.0, abs=2.0):
        assert noon.seconds < 90.0  # a contactor that has closed stays so for a minute
        noon.run(1.0)
        fleet_kw = sum(charger.power_kw for charger in noon.grid.chargers)
    noon.run(5.0)
    assert sum(charger.power_kw for charger in noon.grid.chargers) == pytest.approx(-90.0, abs=2.0)


def test_the_genset_runs_while_it_is_planned(noon: Together) -> None:
    plan(noon, 0.0, genset_kw=70.0)
    noon.run(15.0)
    assert noon.grid.genset.power_kw == pytest.approx(70.0, abs=2.0)
    plan(noon, 0.0, number=2, genset_kw=0.0)
    noon.run(8.0)
    assert noon.grid.genset.power_kw == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize("is_gone", [False, True])
def test_a_plan_that_is_over_is_not_followed_whether_or_not_who_plans_is_there(
    noon: Together, is_gone: bool
) -> None:
    """Until then it is, though its tags are Bad. Then the battery rests, and operators have it."""
    plan(noon, -60.0, for_s=8.0)
    noon.run(2.0)
    if is_gone:
        noon.program["plan_is_good"] = False
    noon.run(4.0)
    assert noon.program["is_planned"]
    assert battery_kw(noon) == pytest.approx(-60.0, abs=1.0)
    noon.run(5.0)
    assert not noon.program["is_planned"]
    noon.run(LET_GO_S)
    assert not noon.program["battery1.setpoint_active"]
    assert battery_kw(noon) == pytest.approx(0.0, abs=1.0)


def test_a_plan_that_is_switched_off_leaves_the_battery_to_operators(noon: Together) -> None:
    plan(noon, 60.0)
    noon.run(6.0)
    noon.program["follow_plan"] = False
    noon.run(1.0 + LET_GO_S + 0.1)
    assert not noon.program["battery1.setpoint_active"]
    noon.grid.battery.setpoint_kw = 25.0  # by an operator
    noon.run(3.0)
    assert battery_kw(noon) == pytest.approx(25.0, abs=1.0)


@pytest.mark.parametrize("is_fleet", [False, True])
def test_the_peak_limit_stays_above_the_plan(noon: Together, is_fleet: bool) -> None:
    """It asks for more than the limit allows, and sun and wind go."""
    program, grid = noon.program, noon.grid
    program["ev_automatic"] = is_fleet
    program["ev_stay_h"] = 12.0
    program["peak_limit_kw"] = 100.0
    plan(noon, -200.0, vehicles_kw=-150.0)
    noon.run(15.0)
    assert program["is_planned"]
    assert battery_kw(noon) < -1.0 or is_fleet  # the room is used
    assert grid.tie.power_kw < 100.0 + HELD_TO_KW
    grid.solar.limit_kw = grid.wind.limit_kw = 0.0
    noon.run(1.5)
    for _ in range(1000):
        noon.step()
        assert grid.tie.power_kw < 100.0 + HELD_TO_KW


def test_an_island_drops_the_plan_and_the_tie_takes_it_up_again(noon: Together) -> None:
    plan(noon, -150.0)
    noon.run(8.0)
    assert noon.program["is_planned"]
    noon.grid.utility.lose(True)
    noon.run(10.0)
    assert (noon.program["is_islanded"], noon.program["is_planned"]) == (True, False)
    assert battery_kw(noon) == pytest.approx(
        sum(feeder.power_kw for feeder in noon.grid.feeders)
        - noon.grid.solar.power_kw
        - noon.grid.wind.power_kw,
        abs=5.0,
    )
    noon.grid.utility.lose(False)
    for _ in range(30):
        noon.run(1.0)
        if noon.program["is_planned"] and battery_kw(noon) < -149.0:
            break
    assert noon.program["is_planned"]
    assert battery_kw(noon) == pytest.approx(-150.0, abs=1.0)


def test_powers_that_nothing_could_give_are_no_plan(noon: Together) -> None:
    plan(noon, float("nan"))
    noon.run(3.0)
    assert not noon.program["is_planned"]
    assert battery_kw(noon) == pytest.approx(0.0, abs=1.0)
