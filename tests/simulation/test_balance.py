"""Energy is never made or lost but by the terms the plant states, whatever happens to it."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.simulator.plant import battery as storage
from gateway.simulator.plant.charger import EFFICIENCY, Vehicle
from gateway.simulator.plant.microgrid import Microgrid
from gateway.simulator.plant.nominal import SECONDS_PER_HOUR, STEP_S

HOURS = STEP_S / SECONDS_PER_HOUR

ACTIONS = st.one_of(
    st.tuples(st.just("battery"), st.floats(-250, 250)),
    st.tuples(st.just("genset power"), st.floats(0, 120)),
    st.tuples(st.just("genset"), st.booleans()),
    st.tuples(st.just("tie"), st.booleans()),
    st.tuples(st.just("utility lost"), st.booleans()),
    st.tuples(st.just("feeder"), st.tuples(st.integers(0, 3), st.booleans())),
    st.tuples(st.just("charger"), st.tuples(st.integers(0, 11), st.floats(-22, 22))),
    st.tuples(st.just("pv limit"), st.floats(0, 150)),
    st.tuples(st.just("stored"), st.floats(0.0, 1.0)),
)


def act(grid: Microgrid, action: str, value: object) -> None:
    match action, value:
        case "battery", float(kw):
            grid.battery.setpoint_kw = kw
        case "genset power", float(kw):
            grid.genset.setpoint_kw = kw
        case "genset", bool(run):
            grid.genset.run_command = run
        case "tie", bool(close):
            grid.command_tie(close)
        case "utility lost", bool(lost):
            grid.utility.lost = lost
        case "feeder", (int(place), bool(close)):
            grid.feeders[place].command(close)
        case "charger", (int(place), float(kw)):
            grid.chargers[place].setpoint_kw = kw
        case "pv limit", float(kw):
            grid.solar.limit_kw = kw
        case "stored", float(share):
            grid.battery.stored_kwh = share * storage.CAPACITY_KWH
        case other:
            raise AssertionError(other)


def sources_kw(grid: Microgrid) -> list[float]:
    return [
        grid.tie.power_kw,
        grid.solar.power_kw,
        grid.wind.power_kw,
        grid.battery.power_kw,
        grid.genset.power_kw,
        *(charger.power_kw for charger in grid.chargers),
    ]


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32 - 1), hour=st.floats(0, 24), script=st.lists(ACTIONS, max_size=8))
def test_powers_balance_in_every_step(seed: int, hour: float, script: list[tuple[str, object]]) -> None:
    grid = Microgrid(seed, start_hour=hour)
    for action, value in [*script, ("tie", True)]:
        act(grid, action, value)
        for _ in range(150):
            grid.step()
            fed = sources_kw(grid)
            drawn = [feeder.power_kw for feeder in grid.feeders]
            residual = math.fsum(fed) - math.fsum(drawn) - grid.losses_kw
            assert abs(residual) < 1e-8 * (1.0 + math.fsum(map(abs, fed))), grid.mode
            assert grid.losses_kw >= 0.0
            assert all(power >= 0.0 for power in drawn)
            assert math.isfinite(grid.frequency_hz + grid.voltage_v)


def test_powers_balance_while_engine_and_inverter_swing_together(run) -> None:
    grid = Microgrid(seed=4)
    grid.genset.run_command = True
    run(grid, 12.0)
    assert grid.genset.is_on_line
    grid.utility.lost = True
    for feeder in [None, *grid.feeders]:
        if feeder is not None:
            feeder.command(not feeder.breaker_closed)
        for _ in range(200):
            grid.step()
            residual = math.fsum(sources_kw(grid)) - sum(f.power_kw for f in grid.feeders) - grid.losses_kw
            assert abs(residual) < 1e-6
    assert grid.genset.is_on_line
    assert grid.battery.is_forming


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32 - 1), script=st.lists(ACTIONS, max_size=6))
def test_counters_are_the_integrals_of_their_powers(seed: int, script: list[tuple[str, object]]) -> None:
    grid = Microgrid(seed)
    fed_before, drawn_before = counters(grid)
    fed_kwh = drawn_kwh = lost_kwh = 0.0
    for action, value in [*script, ("tie", True)]:
        act(grid, action, value)
        for _ in range(150):
            grid.step()
            fed_kwh += math.fsum(sources_kw(grid)) * HOURS
            drawn_kwh += sum(feeder.power_kw for feeder in grid.feeders) * HOURS
            lost_kwh += grid.losses_kw * HOURS
    fed_after, drawn_after = counters(grid)
    assert fed_after - fed_before == pytest.approx(fed_kwh, abs=1e-6)
    assert drawn_after - drawn_before == pytest.approx(drawn_kwh, abs=1e-6)
    assert fed_kwh == pytest.approx(drawn_kwh + lost_kwh, abs=1e-9)


def counters(grid: Microgrid) -> tuple[float, float]:
    """All meters of sources, out less in, and all meters of feeders."""
    fed = (
        grid.tie.import_kwh
        - grid.tie.export_kwh
        + grid.solar.energy_kwh
        + grid.wind.energy_kwh
        + grid.battery.discharge_kwh
        - grid.battery.charge_kwh
        + grid.genset.energy_kwh
        + sum(charger.discharge_kwh - charger.charge_kwh for charger in grid.chargers)
    )
    return fed, sum(feeder.energy_kwh for feeder in grid.feeders)


@pytest.mark.parametrize("setpoint_kw", [-180.0, 180.0])
def test_cells_keep_what_the_stated_efficiencies_leave(run, setpoint_kw: float) -> None:
    grid = Microgrid(seed=3)
    grid.battery.setpoint_kw = setpoint_kw
    stored = grid.battery.stored_kwh
    charged, discharged = grid.battery.charge_kwh, grid.battery.discharge_kwh
    run(grid, 60.0)
    into_cells = (grid.battery.charge_kwh - charged) * storage.CHARGE_EFFICIENCY
    out_of_cells = (grid.battery.discharge_kwh - discharged) / storage.DISCHARGE_EFFICIENCY
    standby = storage.STANDBY_KW * 60.0 / SECONDS_PER_HOUR
    assert grid.battery.stored_kwh - stored == pytest.approx(into_cells - out_of_cells - standby, abs=1e-7)


def test_what_a_charger_gives_a_vehicle_keeps_less_the_stated_loss(run) -> None:
    grid = Microgrid(seed=3)
    charger = grid.chargers[0]
    charger.plug_in(Vehicle("TL-1", 60.0, 30.0, 22.0, 1e9))
    charged, discharged = charger.charge_kwh, charger.discharge_kwh
    run(grid, 30.0)
    charger.setpoint_kw = 15.0
    run(grid, 30.0)
    vehicle = charger.vehicle
    assert vehicle is not None
    kept = (charger.charge_kwh - charged) * EFFICIENCY - (charger.discharge_kwh - discharged) / EFFICIENCY
    assert charger.power_kw == pytest.approx(15.0, rel=1e-3)
    assert vehicle.stored_kwh - 30.0 == pytest.approx(kept, abs=1e-7)
