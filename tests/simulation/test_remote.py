"""Relays and inverter on remote control: a slower backup that waits to be told; and a plant of another nominal."""

from __future__ import annotations

import pytest

from gateway.simulator.plant.battery import State
from gateway.simulator.plant.microgrid import BusMode, Microgrid
from gateway.simulator.plant.nominal import STEP_S, Nominal

REMOTE = Nominal(hz=60.0, v=480.0, remote=True)


def seconds_until(grid: Microgrid, condition, limit_s: float) -> float:
    for step in range(round(limit_s / STEP_S)):
        if condition():
            return step * STEP_S
        grid.step()
    raise AssertionError(f"not within {limit_s} s")


def is_steered_in_step(grid: Microgrid) -> bool:
    """What a controller does in each step; True once the synch-check is content."""
    wanted_hz = grid.utility.frequency_hz - min(max(0.003 * grid.tie.angle_deg, -0.15), 0.15)
    grid.battery.setpoint_kw += 2.0 * grid.battery.droop_kw_per_hz * (wanted_hz - grid.frequency_hz) * STEP_S
    return grid.tie.may_close(grid.utility, grid.voltage_v, grid.frequency_hz)


@pytest.mark.parametrize(
    ("nominal", "least_s", "most_s"), [(Nominal(60.0, 480.0), 0.05, 0.15), (REMOTE, 0.3, 0.4)]
)
def test_the_tie_opens_later_on_remote(run, nominal: Nominal, least_s: float, most_s: float) -> None:
    grid = Microgrid(seed=1, nominal=nominal)
    run(grid, 2.0)
    grid.utility.lost = True
    assert least_s < seconds_until(grid, lambda: not grid.tie.breaker_closed, 1.0) < most_s
    assert grid.tie.tripped


def test_after_its_own_trip_a_tie_on_remote_closes_only_once_it_was_told_to_open(run) -> None:
    grid = Microgrid(seed=1, nominal=REMOTE)
    run(grid, 2.0)
    grid.utility.lost = True
    run(grid, 5.0)
    grid.utility.lost = False
    run(grid, 90.0)
    assert not grid.tie.breaker_closed, "it does not return by itself"
    assert grid.tie.trim_hz == 0.0, "and has no synchroniser"
    seconds_until(grid, lambda: is_steered_in_step(grid), 60.0)
    assert not grid.command_tie(True), "locked out"
    assert grid.command_tie(False)
    seconds_until(grid, lambda: is_steered_in_step(grid), 60.0)
    assert grid.command_tie(True)
    seconds_until(grid, lambda: grid.tie.breaker_closed, 0.1)
    contact = grid.tie.contact
    assert contact is not None
    assert contact.angle_deg == pytest.approx(0.0, abs=12.0)


def test_a_feeder_that_tripped_on_remote_is_acknowledged_before_it_closes(run) -> None:
    grid = Microgrid(seed=1, nominal=REMOTE)
    run(grid, 2.0)
    feeder = grid.feeders[3]
    for _ in range(100):
        feeder.watch(58.0, 1.0)
    assert feeder.tripped
    assert not feeder.breaker_closed
    run(grid, 60.0)
    assert not feeder.breaker_closed
    assert not feeder.command(True)
    assert feeder.command(False)
    assert feeder.command(True)
    assert feeder.breaker_closed


@pytest.mark.parametrize(
    ("nominal", "hz", "opens"),
    [
        (Nominal(), 48.9, True), (Nominal(), 49.1, False),
        (Nominal(60.0, 480.0), 58.7, True), (Nominal(60.0, 480.0), 58.9, False),
        (REMOTE, 58.3, False), (REMOTE, 58.1, True),
    ],
)  # fmt: skip
def test_under_frequency_stages_are_shares_of_nominal_and_lower_on_remote(
    nominal: Nominal, hz: float, opens: bool
) -> None:
    feeder = Microgrid(seed=1, nominal=nominal).feeders[3]
    for _ in range(100):
        feeder.watch(hz, 1.0)
    assert feeder.breaker_closed is not opens


def test_a_battery_on_remote_starts_a_dead_bus_when_it_is_asked_anew(run) -> None:
    grid = Microgrid(seed=1, nominal=REMOTE)
    run(grid, 2.0)
    grid.command_tie(False)
    run(grid, 1.0)
    grid.battery.trip()
    run(grid, 20.0)
    assert grid.mode is BusMode.DEAD
    grid.battery.command_forming(True)
    run(grid, 20.0)
    assert grid.mode is BusMode.DEAD, "no edge"
    grid.battery.command_forming(False)
    grid.battery.command_forming(True)
    run(grid, 5.0)
    assert grid.battery.state is State.FORMING


def test_a_battery_that_may_not_form_leaves_the_bus_dead(run) -> None:
    grid = Microgrid(seed=1, nominal=REMOTE)
    run(grid, 1.0)
    grid.battery.command_forming(False)
    grid.command_tie(False)
    run(grid, 1.0)
    assert grid.mode is BusMode.DEAD


def test_a_jammed_breaker_does_not_move(run) -> None:
    grid = Microgrid(seed=1, nominal=REMOTE)
    run(grid, 1.0)
    grid.feeders[2].jammed = grid.tie.jammed = True
    grid.feeders[2].command(False)
    grid.command_tie(False)
    run(grid, 1.0)
    assert grid.feeders[2].breaker_closed
    assert grid.tie.breaker_closed


@pytest.mark.parametrize("hz_s", [-3.0, 3.0])
def test_a_remnant_drifts_until_the_tie_opens_and_is_dead_then(run, hz_s: float) -> None:
    grid = Microgrid(seed=1, nominal=REMOTE)
    run(grid, 1.0)
    grid.utility.lose(True, hz_s)
    run(grid, 0.2)
    assert grid.frequency_hz == pytest.approx(60.0 + 0.2 * hz_s, abs=0.05)
    assert grid.voltage_v > 460.0
    grid.command_tie(False)
    run(grid, 0.2)
    assert grid.utility.voltage_v < 10.0
    assert grid.mode is BusMode.ISLANDED


@pytest.mark.parametrize("nominal", [Nominal(), Nominal(60.0, 480.0)])
def test_left_alone_a_plant_lives_at_its_nominal(run, nominal: Nominal) -> None:
    grid = Microgrid(seed=11, nominal=nominal)
    run(grid, 20.0)
    assert grid.frequency_hz == pytest.approx(nominal.hz, abs=0.1)
    assert grid.voltage_v == pytest.approx(nominal.v, rel=0.05)
    grid.command_tie(False)
    run(grid, 10.0)
    assert grid.frequency_hz == pytest.approx(nominal.hz, rel=0.02)
    assert grid.voltage_v == pytest.approx(nominal.v, rel=0.03)
    grid.genset.run_command = True
    run(grid, 15.0)
    assert grid.genset.speed_rpm == pytest.approx(30.0 * grid.frequency_hz, rel=0.001)
