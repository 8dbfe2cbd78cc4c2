"""What goes wrong in an island, and what the demo's programs make of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.simulator.plant.battery import State as BatteryState
from gateway.simulator.plant.microgrid import BusMode, Microgrid
from gateway.simulator.together import Together

CONNECTED, ISLANDED, DEAD, BLACK_START, LOCKED_OUT = 0, 4, 8, 9, 10
FAILED_TO_OPEN, BLACK_START_FAILED = 31, 36
Plant = Callable[..., Microgrid]


def until(together: Together, condition: Callable[[], bool], limit_s: float) -> float:
    """Seconds until it holds."""
    began_s = together.seconds
    while not condition():
        together.step()
        assert together.seconds - began_s < limit_s, f"state {state(together)}"
    return together.seconds - began_s


def state(together: Together) -> int:
    return int(together.program["island.islanding.state"])


def reason(together: Together) -> int:
    return int(together.program["island.islanding.reason"])


def begin(demo: Any, grid: Microgrid, charge: float = 0.6) -> Together:
    """Connected and settled, with some 120 kW of import where the battery can bring that about."""
    grid.battery.stored_kwh = charge * 500.0
    together = demo.start(grid)
    together.run(2.5)
    assert state(together) == CONNECTED
    return together


def island(demo: Any, grid: Microgrid, charge: float = 0.6) -> Together:
    together = begin(demo, grid, charge)
    grid.utility.lost = True
    until(together, lambda: state(together) == ISLANDED, 3.0)
    return together


def test_a_tie_that_sticks_is_told_and_once_it_opens_the_critical_load_comes_back_first(
    demo, plant: Plant
) -> None:
    grid = plant(seed=3)
    together = begin(demo, grid)
    grid.tie.jammed = True
    grid.utility.lost = True
    until(together, lambda: state(together) == LOCKED_OUT, 2.0)
    assert reason(together) == FAILED_TO_OPEN
    assert together.program["pcc.close_active"]
    assert not together.program["pcc.close_command"], "it is told on"
    together.run(1.0)
    assert not any(feeder.breaker_closed for feeder in grid.feeders), "their own relays let go of a dead bus"
    grid.tie.jammed = False
    back: list[int] = []
    until(together, lambda: state(together) == ISLANDED, 5.0)
    for number in (0, 1, 2, 3):
        until(together, lambda number=number: grid.feeders[number].breaker_closed, 20.0)
        back.append(number)
    assert [grid.feeders[number].breaker_closed for number in back] == [True] * 4
    assert together.program["island.islanding.failures"] == 1


def test_a_battery_that_trips_is_started_anew_and_feeders_return_by_priority(demo, plant: Plant) -> None:
    grid = plant(seed=4)
    together = island(demo, grid)
    grid.battery.trip()
    until(together, lambda: state(together) == DEAD, 2.0)
    assert grid.mode is BusMode.DEAD
    until(together, lambda: state(together) == ISLANDED, 20.0)
    assert together.program["island.islanding.black_starts"] == 1
    returned: dict[int, float] = {}

    def all_back() -> bool:
        for number, feeder in enumerate(grid.feeders):
            if feeder.breaker_closed:
                returned.setdefault(number, together.seconds)
        return len(returned) == 4

    until(together, all_back, 60.0)
    assert sorted(returned, key=lambda number: returned[number]) == [0, 1, 2, 3]
    assert returned[1] - returned[0] > 0.4, "one at a time"
    grid.utility.lost = False
    until(together, lambda: state(together) == CONNECTED, 60.0)


def test_black_starts_that_fail_end_locked_out_and_the_utility_still_wakes_the_bus(
    demo, plant: Plant
) -> None:
    grid = plant(seed=5)
    grid.genset.fuel_l = 0.0
    together = island(demo, grid)
    grid.battery.trip()

    def locked_out() -> bool:
        if grid.battery.state is BatteryState.BLACK_START:
            grid.battery.trip()
        return state(together) == LOCKED_OUT

    until(together, locked_out, 200.0)
    assert reason(together) == BLACK_START_FAILED
    assert not any(feeder.breaker_closed for feeder in grid.feeders)
    together.run(5.0)
    assert state(together) == LOCKED_OUT
    grid.utility.lost = False
    until(together, lambda: state(together) == CONNECTED, 30.0)
    assert grid.tie.contact is not None
    assert grid.tie.contact.angle_deg is None, "closed upon a dead bus"
    until(together, lambda: all(feeder.breaker_closed for feeder in grid.feeders), 30.0)


def test_with_an_empty_battery_the_genset_starts_the_dead_bus(demo, plant: Plant) -> None:
    grid = plant(seed=6, start_hour=1.0)
    grid.wind.limit_kw = grid.wind.power_kw = 0.0
    fuel_l, grid.genset.fuel_l = grid.genset.fuel_l, 0.0
    together = begin(demo, grid, charge=0.045)
    grid.utility.lost = True
    until(together, lambda: state(together) == DEAD, 20.0)
    grid.genset.fuel_l = fuel_l
    until(together, lambda: state(together) == ISLANDED, 200.0)
    assert grid.genset.is_on_line
    assert not grid.battery.is_forming
    until(together, lambda: grid.feeders[0].breaker_closed and grid.feeders[1].breaker_closed, 30.0)
    together.run(10.0)
    assert grid.frequency_hz == pytest.approx(60.0, abs=0.3)
    assert grid.feeders[0].breaker_closed


def test_a_battery_that_runs_empty_loses_load_by_priority_and_never_the_critical_one(
    demo, plant: Plant
) -> None:
    grid = plant(seed=7, start_hour=14.0)
    grid.genset.fuel_l = 0.0
    together = island(demo, grid)
    grid.solar.limit_kw = grid.wind.limit_kw = 0.0
    together.run(5.0)
    opened: list[int] = []
    lowest_hz = 60.0
    for charge in (0.08, 0.07, 0.065, 0.062, 0.06):
        grid.battery.stored_kwh = charge * 500.0
        for _ in range(1600):
            together.step()
            lowest_hz = min(lowest_hz, grid.frequency_hz)
            for number, feeder in enumerate(grid.feeders):
                if not feeder.breaker_closed and number not in opened:
                    opened.append(number)
    assert opened
    assert opened == sorted(opened, reverse=True)
    assert grid.feeders[0].breaker_closed
    assert lowest_hz > 58.5
    assert grid.mode is BusMode.ISLANDED


def test_what_an_operator_has_opened_stays_open(demo, plant: Plant) -> None:
    grid = plant(seed=8)
    grid.feeders[1].command(False)
    together = island(demo, grid)
    grid.utility.lost = False
    until(together, lambda: state(together) == CONNECTED, 60.0)
    together.run(5.0)
    assert not grid.feeders[1].breaker_closed
    assert [feeder.breaker_closed for feeder in grid.feeders] == [True, False, True, True]


def test_an_island_on_request_stays_while_it_is_wished_and_starts_without_a_bump(demo, plant: Plant) -> None:
    grid = plant(seed=9)
    together = begin(demo, grid)
    together.program["island_request"] = True
    until(together, lambda: not grid.tie.breaker_closed, 20.0)
    assert abs(grid.battery.power_kw) < 250.0
    lowest_hz = highest_hz = 60.0
    for _ in range(2000):
        together.step()
        lowest_hz, highest_hz = min(lowest_hz, grid.frequency_hz), max(highest_hz, grid.frequency_hz)
    assert state(together) == ISLANDED, "the utility is there all the time, and nobody goes back to it"
    assert lowest_hz > 59.7
    assert highest_hz < 60.3
    together.program["island_request"] = False
    until(together, lambda: state(together) == CONNECTED, 30.0)


def test_no_island_on_purpose_without_a_source(demo, plant: Plant) -> None:
    grid = plant(seed=10)
    together = begin(demo, grid, charge=0.06)
    together.program["island_request"] = True
    together.run(5.0)
    assert state(together) == CONNECTED
    assert grid.tie.breaker_closed


def test_a_controller_that_starts_in_an_island_takes_it_over_without_a_bump(demo, plant: Plant) -> None:
    grid = plant(seed=11)
    together = island(demo, grid)
    together.run(8.0)
    before = [feeder.breaker_closed for feeder in grid.feeders]
    again = demo.start(grid)
    lowest_hz = 60.0
    for _ in range(1000):
        again.step()
        lowest_hz = min(lowest_hz, grid.frequency_hz)
    assert state(again) == ISLANDED
    assert lowest_hz > 59.7
    assert [feeder.breaker_closed for feeder in grid.feeders] == before
    grid.utility.lost = False
    until(again, lambda: state(again) == CONNECTED, 40.0)


def test_a_lost_link_to_the_tie_is_no_lost_utility(demo, plant: Plant) -> None:
    grid = plant(seed=12)
    together = begin(demo, grid)
    together.bad |= {f"pcc.{point}" for point in (
        "power_kw", "voltage_v", "frequency_hz", "grid_voltage_v", "grid_frequency_hz", "phase_deg", "breaker_closed",
        "tripped",
    )}  # fmt: skip
    together.run(10.0)
    assert state(together) == CONNECTED
    assert all(feeder.breaker_closed for feeder in grid.feeders)
    assert grid.tie.breaker_closed


@pytest.mark.parametrize("what", ["WINDOWS", "TRANSITIONS", "SHED_TIMES", "UTILITY_TRIPS", "ISLAND_TRIPS"])
def test_settings_of_protection_are_constants_that_nothing_above_reaches(demo, what: str) -> None:
    symbols = demo.bench.symbols
    members = [place for place in symbols.walk() if place.path.upper().startswith(what + ".")]
    assert members
    assert all("constant" in place.flags for place in members)
    reachable = [one.variable.upper() for one in (*demo.site.logic.setpoints, *demo.site.logic.inputs)]
    assert not [variable for variable in reachable if variable.startswith(what)]
