"""Each source and load by itself: its curve, its limits, its sequence, and life without any command."""

from __future__ import annotations

import pytest

from gateway.simulator.plant import battery as storage
from gateway.simulator.plant import genset as diesel
from gateway.simulator.plant import wind
from gateway.simulator.plant.charger import State as ChargerState
from gateway.simulator.plant.charger import Vehicle
from gateway.simulator.plant.genset import State
from gateway.simulator.plant.microgrid import BusMode, Microgrid
from gateway.simulator.plant.nominal import STEP_S
from gateway.simulator.plant.solar import clear_sky_w_m2


def state_of(grid: Microgrid) -> list[float]:
    return [
        grid.frequency_hz, grid.voltage_v, grid.tie.power_kw, grid.solar.power_kw, grid.wind.speed_m_s,
        grid.battery.stored_kwh, *(c.power_kw for c in grid.chargers), *(f.power_kw for f in grid.feeders),
    ]  # fmt: skip


def test_the_same_seed_and_commands_give_the_same_run_to_the_last_bit(run) -> None:
    one, two, other = Microgrid(seed=7), Microgrid(seed=7), Microgrid(seed=8)
    for grid in (one, two, other):
        run(grid, 20.0)
        grid.battery.setpoint_kw = 33.0
        grid.utility.lost = True
        run(grid, 20.0)
    assert state_of(one) == state_of(two)
    assert state_of(one) != state_of(other)


def test_commands_do_not_change_the_weather_or_who_comes_to_charge(run) -> None:
    left_alone, commanded = Microgrid(seed=7), Microgrid(seed=7)
    commanded.command_tie(False)
    commanded.battery.setpoint_kw = 90.0
    for charger in commanded.chargers:
        charger.setpoint_kw = 0.0
    run(left_alone, 120.0)
    run(commanded, 120.0)
    assert commanded.solar.irradiance_w_m2 == left_alone.solar.irradiance_w_m2
    assert commanded.wind.speed_m_s == left_alone.wind.speed_m_s
    assert [c.vehicle and c.vehicle.id for c in commanded.chargers] == [
        c.vehicle and c.vehicle.id for c in left_alone.chargers
    ]


@pytest.mark.parametrize("hour", [0.0, 7.5, 18.0])
def test_left_alone_it_lives_sensibly(run, hour: float) -> None:
    grid = Microgrid(seed=11, start_hour=hour)
    run(grid, 120.0)
    assert grid.mode is BusMode.TIED
    assert 49.9 < grid.frequency_hz < 50.1
    assert 380.0 < grid.voltage_v < 415.0
    assert grid.battery.power_kw == 0.0
    assert grid.genset.power_kw == 0.0
    occupied = [c for c in grid.chargers if c.vehicle is not None]
    assert len(occupied) >= 3
    assert all(
        c.state is ChargerState.CHARGING for c in occupied if c.vehicle and c.vehicle.charge_share < 0.99
    )
    assert all(f.breaker_closed and f.power_kw > 1.0 for f in grid.feeders)


def test_the_sun_shines_by_day_only_and_most_at_noon() -> None:
    assert clear_sky_w_m2(0.0) == clear_sky_w_m2(23.0) == 0.0
    assert 850.0 < clear_sky_w_m2(12.0) < 1000.0
    assert clear_sky_w_m2(9.0) == pytest.approx(clear_sky_w_m2(15.0))


def test_a_turbine_follows_the_cube_between_cut_in_and_rated() -> None:
    assert wind.curve_kw(2.9) == 0.0
    assert wind.curve_kw(12.0) == wind.curve_kw(20.0) == wind.RATED_KW
    low, high = wind.curve_kw(5.0), wind.curve_kw(10.0)
    assert high / low == pytest.approx((10**3 - 3**3) / (5**3 - 3**3))


@pytest.mark.parametrize(("source", "limit_kw"), [("solar", 20.0), ("wind", 5.0)])
def test_a_power_limit_is_kept(run, source: str, limit_kw: float) -> None:
    grid = Microgrid(seed=2, start_hour=12.0)
    getattr(grid, source).limit_kw = limit_kw
    run(grid, 20.0)
    assert 0.5 * limit_kw < getattr(grid, source).power_kw <= limit_kw + 1e-3


def test_a_battery_ramps_to_its_setpoint_and_stops_at_empty_and_full(run) -> None:
    grid = Microgrid(seed=2)
    grid.battery.setpoint_kw = 200.0
    run(grid, 0.4)
    assert grid.battery.power_kw == pytest.approx(storage.RAMP_KW_PER_S * (0.4 - 0.05), rel=0.05)
    run(grid, 2.0)
    assert grid.battery.power_kw == pytest.approx(200.0, abs=0.1)
    grid.battery.stored_kwh = storage.EMPTY_SHARE * storage.CAPACITY_KWH
    run(grid, 2.0)
    assert grid.battery.power_kw == pytest.approx(0.0, abs=0.1)
    grid.battery.stored_kwh = storage.CAPACITY_KWH
    grid.battery.setpoint_kw = -200.0
    run(grid, 2.0)
    assert grid.battery.power_kw == pytest.approx(0.0, abs=0.5)


def test_a_genset_goes_through_its_sequence_keeps_its_minimum_and_burns_fuel(run) -> None:
    grid = Microgrid(seed=2)
    genset = grid.genset
    genset.setpoint_kw = 10.0
    genset.run_command = True
    fuel_l = genset.fuel_l
    seen = [genset.state]
    for _ in range(round(25.0 / STEP_S)):
        grid.step()
        if genset.state is not seen[-1]:
            seen.append(genset.state)
    assert seen == [State.STOPPED, State.CRANKING, State.WARMING_UP, State.SYNCHRONISING, State.ON_LINE]
    run(grid, 5.0)
    assert genset.power_kw == pytest.approx(diesel.LEAST_KW, abs=2.0)
    assert genset.speed_rpm == pytest.approx(1500.0, abs=2.0)
    assert genset.fuel_l < fuel_l
    genset.run_command = False
    while genset.state is not State.STOPPED:
        grid.step()
        if genset.state is not seen[-1]:
            seen.append(genset.state)
    assert seen[-3:] == [State.UNLOADING, State.COOLING_DOWN, State.STOPPED]
    run(grid, 5.0)
    assert genset.power_kw == 0.0
    assert genset.speed_rpm < 10.0


def test_a_genset_without_fuel_stops_with_a_fault(run) -> None:
    grid = Microgrid(seed=2)
    grid.genset.run_command = True
    run(grid, 12.0)
    grid.genset.fuel_l = 0.0
    run(grid, 1.0)
    assert grid.genset.state is State.FAULT
    assert grid.genset.power_kw == 0.0


@pytest.mark.parametrize(
    ("stored_kwh", "setpoint_kw", "expected_kw"),
    [
        (30.0, -22.0, -11.0),  # the vehicle's own limit
        (30.0, -6.0, -6.0),
        (30.0, 8.0, 8.0),  # gives back
        (12.0, 8.0, 0.0),  # too little in it to give back
        (54.0, -22.0, -11.0 * (1 - 0.92 / 2)),  # tapers: half of the way from 80 % to full
        (60.0, -22.0, 0.0),
    ],
)
def test_a_vehicle_takes_and_gives_within_its_own_limits(
    run, stored_kwh: float, setpoint_kw: float, expected_kw: float
) -> None:
    grid = Microgrid(seed=2)
    charger = grid.chargers[0]
    charger.plug_in(Vehicle("TL-1", 60.0, stored_kwh, 11.0, 1e9))
    charger.setpoint_kw = setpoint_kw
    run(grid, 6.0)
    assert charger.power_kw == pytest.approx(expected_kw, abs=0.05)


def test_vehicles_come_and_go(run) -> None:
    grid = Microgrid(seed=2, chargers=1)
    charger = grid.chargers[0]
    charger.plug_in(Vehicle("TL-1", 60.0, 30.0, 11.0, 5.0))
    run(grid, 6.0)
    assert charger.vehicle is None
    assert charger.power_kw == 0.0
    assert charger.state is ChargerState.FREE
    charger._vacant_s = 5.0
    run(grid, 6.0)
    assert charger.vehicle is not None


def test_a_plant_whose_vehicles_stay_alike_has_the_same_ones_for_so_long() -> None:
    charger, alike = Microgrid(seed=4).chargers[0], Microgrid(seed=4, ev_stay_h=10.0).chargers[0]
    for each in (charger, alike):
        while each.vehicle is None:
            each.weather()
    assert charger.vehicle is not None
    assert alike.vehicle is not None
    assert (alike.vehicle.id, alike.vehicle.stored_kwh) == (charger.vehicle.id, charger.vehicle.stored_kwh)
    assert (alike.vehicle.stays_s, charger.vehicle.stays_s < 10_800.0) == (36_000.0, True)


def test_a_feeder_draws_nothing_open_and_more_than_before_when_it_comes_back_cold(run, quiet) -> None:
    grid = quiet(feeders=2, start_hour=12.0)
    run(grid, 2.0)
    before_kw = grid.feeders[1].power_kw
    grid.feeders[1].command(False)
    run(grid, 200.0)
    assert grid.feeders[1].power_kw == grid.feeders[1].voltage_v == 0.0
    grid.feeders[1].command(True)
    run(grid, 0.1)
    assert grid.feeders[1].power_kw > 1.2 * before_kw
