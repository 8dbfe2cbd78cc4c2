"""Losing the utility, living without it, and coming back."""

from __future__ import annotations

import pytest

from gateway.simulator.plant import battery as storage
from gateway.simulator.plant.battery import State
from gateway.simulator.plant.microgrid import BusMode, Microgrid
from gateway.simulator.plant.nominal import NOMINAL, STEP_S
from gateway.simulator.plant.tie import CLOSING_S, RETURN_S, SYNC_DEGREES, SYNC_HZ


def seconds_until(grid: Microgrid, condition, limit_s: float) -> float:
    for step in range(round(limit_s / STEP_S)):
        if condition():
            return step * STEP_S
        grid.step()
    raise AssertionError(f"not within {limit_s} s")


def lose_utility(grid: Microgrid, run) -> None:
    run(grid, 2.0)
    grid.utility.lost = True
    run(grid, 5.0)
    assert grid.mode is BusMode.ISLANDED


def test_loss_of_the_utility_opens_the_tie_within_200_ms_and_the_island_lives(run) -> None:
    grid = Microgrid(seed=1)
    run(grid, 2.0)
    grid.utility.lost = True
    assert seconds_until(grid, lambda: not grid.tie.breaker_closed, 0.2) > 0.05
    run(grid, 1.0)
    assert grid.battery.state is State.FORMING
    assert all(feeder.breaker_closed for feeder in grid.feeders)
    assert 49.0 < grid.frequency_hz < 50.2
    assert grid.voltage_v == pytest.approx(NOMINAL.v, rel=0.02)
    assert grid.tie.power_kw == 0.0


@pytest.mark.parametrize(
    ("attribute", "value"), [("voltage_v", 290.0), ("voltage_v", 490.0), ("frequency_hz", 47.0)]
)
def test_the_tie_opens_on_voltage_or_frequency_out_of_band(run, monkeypatch, attribute, value) -> None:
    grid = Microgrid(seed=1)
    run(grid, 1.0)
    real = grid.utility.step

    class Sick:
        def __getattr__(self, name: str):
            return value if name == attribute else getattr(Microgrid(seed=1).utility, name)

        def step(self, tied: bool) -> None:
            real(tied)

        def weather(self) -> None:
            pass

    grid.utility = Sick()  # type: ignore[assignment] # a utility that one quantity of is out of band
    seconds_until(grid, lambda: not grid.tie.breaker_closed, 1.5)


def test_closing_out_of_step_is_refused_and_changes_nothing(run) -> None:
    grid = Microgrid(seed=1)
    lose_utility(grid, run)
    assert not grid.command_tie(True), "the utility is dead"
    grid.utility.lost = False
    seconds_until(grid, lambda: grid.tie.fit_s > 0.1, 3.0)
    seconds_until(grid, lambda: abs(grid.tie.angle_deg) > 30.0, 3.0)
    assert not grid.command_tie(True)
    assert not grid.tie.breaker_closed
    assert grid.mode is BusMode.ISLANDED


@pytest.mark.parametrize(
    ("bus_v", "bus_hz", "angle_deg", "allowed"),
    [
        (400.0, 50.0, 0.0, True),
        (400.0, 50.0, 9.0, True),
        (400.0, 50.0, 11.0, False),
        (400.0, 50.0, -11.0, False),
        (400.0, 50.2, 0.0, False),
        (400.0, 49.8, 0.0, False),
        (375.0, 50.0, 0.0, False),
        (0.0, 0.0, 120.0, True),  # a dead bus has no angle
    ],
)
def test_the_synch_check_looks_at_voltage_frequency_and_angle(bus_v, bus_hz, angle_deg, allowed) -> None:
    grid = Microgrid()
    grid.tie.breaker_closed = False
    grid.tie.angle_deg = angle_deg
    assert grid.tie.may_close(grid.utility, bus_v, bus_hz) is allowed


def test_the_synchroniser_brings_the_island_in_step_and_closing_is_then_allowed(run) -> None:
    grid = Microgrid(seed=1)
    lose_utility(grid, run)
    grid.utility.lost = False
    run(grid, 30.0)
    assert not grid.tie.breaker_closed
    assert abs(grid.tie.angle_deg) < SYNC_DEGREES
    assert abs(grid.frequency_hz - grid.utility.frequency_hz) < SYNC_HZ
    assert grid.command_tie(True)
    run(grid, CLOSING_S + STEP_S)
    assert grid.mode is BusMode.TIED
    before_kw = grid.battery.power_kw
    run(grid, 0.05)
    assert grid.battery.power_kw == pytest.approx(before_kw, abs=20.0), "no bump at closing"
    run(grid, 3.0)
    assert grid.battery.power_kw == pytest.approx(0.0, abs=0.1), "back at its setpoint"


def test_after_its_own_trip_the_tie_returns_by_itself_but_not_after_a_command(run) -> None:
    tripped, commanded = Microgrid(seed=1), Microgrid(seed=1)
    lose_utility(tripped, run)
    tripped.utility.lost = False
    commanded.command_tie(False)
    run(tripped, RETURN_S - 1.0)
    assert not tripped.tie.breaker_closed
    run(tripped, 15.0)
    run(commanded, RETURN_S + 15.0)
    assert tripped.tie.breaker_closed
    assert not commanded.tie.breaker_closed


def test_an_empty_battery_means_a_dead_bus_and_the_utility_wakes_it(run) -> None:
    grid = Microgrid(seed=1, start_hour=0.0)
    run(grid, 1.0)
    grid.battery.stored_kwh = 0.04 * storage.CAPACITY_KWH
    grid.utility.lost = True
    seconds_until(grid, lambda: grid.mode is BusMode.DEAD, 10.0)
    run(grid, 1.0)
    assert grid.voltage_v == 0.0
    assert [feeder.power_kw for feeder in grid.feeders] == [0.0] * 4
    assert not any(feeder.breaker_closed for feeder in grid.feeders)
    run(grid, 20.0)
    assert grid.battery.state is State.STANDBY
    grid.utility.lost = False
    run(grid, 1.0)
    assert grid.command_tie(True), "a live utility may be closed on a dead bus"
    run(grid, 30.0)
    assert all(feeder.breaker_closed for feeder in grid.feeders)


def test_a_tripped_battery_starts_the_dead_bus_again_and_feeders_return_by_priority(run) -> None:
    grid = Microgrid(seed=1, chargers=0)
    lose_utility(grid, run)
    grid.battery.trip()
    run(grid, 1.0)
    assert grid.mode is BusMode.DEAD
    returned: dict[int, int] = {}
    for _ in range(round(45.0 / STEP_S)):
        grid.step()
        for feeder in grid.feeders:
            if feeder.breaker_closed:
                returned.setdefault(feeder.priority, grid.steps)
    assert grid.mode is BusMode.ISLANDED
    assert sorted(returned) == [1, 2, 3, 4]
    assert returned[1] < returned[2] < returned[3] < returned[4]


def test_an_overloaded_island_sheds_its_least_important_feeders_and_holds(run) -> None:
    grid = Microgrid(seed=1, start_hour=12.0)
    run(grid, 1.0)
    grid.battery.stored_kwh = (
        storage.EMPTY_SHARE + 0.45 * storage.EMPTY_TAPER
    ) * storage.CAPACITY_KWH  # 112 kW
    grid.solar.limit_kw = 0.0
    grid.wind.limit_kw = 0.0
    grid.utility.lost = True
    run(grid, 6.0)
    closed = {feeder.priority: feeder.breaker_closed for feeder in grid.feeders}
    assert closed[1]
    assert not closed[4]
    assert grid.mode is BusMode.ISLANDED
    assert grid.frequency_hz > 48.5


def test_high_frequency_of_a_full_island_turns_the_sun_down(run) -> None:
    grid = Microgrid(seed=1, chargers=0, feeders=1, start_hour=12.0)
    grid.battery.stored_kwh = storage.CAPACITY_KWH
    run(grid, 2.0)
    grid.command_tie(False)
    run(grid, 10.0)
    assert grid.mode is BusMode.ISLANDED
    assert grid.frequency_hz > 50.2
    assert grid.solar.power_kw < 0.7 * grid.solar.available_kw


def test_a_deliberate_island_keeps_to_its_droop_until_somebody_asks_to_close(run) -> None:
    grid = Microgrid(seed=1, start_hour=0.0)
    run(grid, 2.0)
    grid.command_tie(False)
    run(grid, 20.0)
    assert grid.tie.trim_hz == 0.0
    assert grid.frequency_hz < 49.9
    seconds_until(grid, lambda: abs(grid.tie.angle_deg) > 30.0, 10.0)
    assert not grid.command_tie(True)
    assert not grid.tie.close_command
    run(grid, 20.0)
    assert grid.command_tie(True)
    assert grid.tie.close_command
