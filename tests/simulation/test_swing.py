"""An island's frequency after a load step, against the closed form of the same equations."""

from __future__ import annotations

import math

import pytest

from gateway.simulator.plant import battery as storage
from gateway.simulator.plant import genset as diesel
from gateway.simulator.plant.feeder import frequency_slope
from gateway.simulator.plant.genset import State
from gateway.simulator.plant.microgrid import BusMode, Microgrid
from gateway.simulator.plant.nominal import STEP_S

# Switched on in the morning: 60 kW of workshop. Voltage dips with it, so demand is within 3 % of what it is later.
TOLERANCE = 0.03


def island(quiet, run) -> Microgrid:
    grid = quiet(feeders=3, start_hour=15.0)
    grid.solar.limit_kw = 0.0
    grid.feeders[2].command(False)
    grid.command_tie(False)
    run(grid, 8.0)
    assert grid.mode is BusMode.ISLANDED
    return grid


def drawn_kw(grid: Microgrid) -> float:
    return sum(feeder.power_kw for feeder in grid.feeders) + grid.losses_kw


def switch_on(grid: Microgrid, seconds: float) -> tuple[float, list[float]]:
    """The step of demand in kW, and the deviation of frequency in Hz after each plant step."""
    before_hz, before_kw = grid.frequency_hz, drawn_kw(grid)
    grid.feeders[2].command(True)
    trace = []
    step_kw = 0.0
    for _ in range(round(seconds / STEP_S)):
        grid.step()
        step_kw = step_kw or drawn_kw(grid) - before_kw
        trace.append(grid.frequency_hz - before_hz)
    return step_kw, trace


def test_battery_alone_falls_at_the_analytic_rocof_to_the_droop_line(quiet, run) -> None:
    grid = island(quiet, run)
    step_kw, trace = switch_on(grid, 3.0)
    assert step_kw > 40.0
    slope = grid.battery.droop_kw_per_hz + frequency_slope(drawn_kw(grid), grid.nominal.hz)
    tau_s = grid.battery.inertia_kw_s_per_hz / slope
    settled_hz = -step_kw / slope
    first = STEP_S / tau_s
    rocof = trace[0] / STEP_S / ((1.0 - math.exp(-first)) / first)
    assert rocof == pytest.approx(-step_kw / grid.battery.inertia_kw_s_per_hz, rel=TOLERANCE)
    assert min(trace) == pytest.approx(settled_hz, rel=TOLERANCE)
    one_tau = trace[round(tau_s / STEP_S) - 1]
    assert one_tau == pytest.approx(settled_hz * (1.0 - math.exp(-1.0)), rel=TOLERANCE)


def test_genset_alone_dips_to_the_analytic_nadir_and_comes_back_to_the_droop_line(quiet, run) -> None:
    grid = quiet(feeders=3, start_hour=6.0)  # a quarter of the workshop: more would reach the feeders' relays
    grid.solar.limit_kw = 0.0
    grid.feeders[2].command(False)
    grid.genset.run_command = True
    run(grid, 15.0)
    assert grid.genset.state is State.ON_LINE
    grid.battery.stored_kwh = 0.02 * storage.CAPACITY_KWH
    grid.command_tie(False)
    run(grid, 20.0)
    assert not grid.battery.is_forming
    assert grid.mode is BusMode.ISLANDED

    step_kw, trace = switch_on(grid, 6.0)

    inertia, lag_s = grid.genset.inertia_kw_s_per_hz, diesel.ENGINE_S
    droop = grid.genset.droop_kw_per_hz
    damping = frequency_slope(drawn_kw(grid), grid.nominal.hz)
    natural = math.sqrt((droop + damping) / (inertia * lag_s))
    decay = (inertia + damping * lag_s) / (2.0 * inertia * lag_s)
    ringing = math.sqrt(natural**2 - decay**2)
    settled = -step_kw / (droop + damping)
    rocof = -step_kw / inertia
    sine = (rocof - decay * settled) / ringing  # of x = settled + exp(-decay t) (-settled cos + sine sin)
    closed_form = [
        settled + math.exp(-decay * t) * (-settled * math.cos(ringing * t) + sine * math.sin(ringing * t))
        for t in (STEP_S * (i + 1) for i in range(len(trace)))
    ]
    assert trace[0] / STEP_S == pytest.approx(rocof, rel=TOLERANCE)
    assert min(closed_form) < 1.2 * settled, "the case must overshoot to tell something"
    assert min(trace) == pytest.approx(min(closed_form), rel=TOLERANCE)
    assert trace.index(min(trace)) == pytest.approx(closed_form.index(min(closed_form)), abs=6)
    assert trace[-1] == pytest.approx(settled, rel=TOLERANCE)


def test_battery_and_genset_share_a_load_by_their_droops(quiet, run) -> None:
    grid = island(quiet, run)
    grid.genset.setpoint_kw = diesel.LEAST_KW
    grid.genset.run_command = True
    run(grid, 20.0)
    battery_kw, genset_kw = grid.battery.power_kw, grid.genset.power_kw
    switch_on(grid, 5.0)
    share = (grid.genset.power_kw - genset_kw) / (grid.battery.power_kw - battery_kw)
    assert share == pytest.approx(grid.genset.droop_kw_per_hz / grid.battery.droop_kw_per_hz, rel=TOLERANCE)


def test_voltage_dips_at_the_step_and_is_regulated_back(quiet, run) -> None:
    grid = island(quiet, run)
    before_v = grid.voltage_v
    grid.feeders[2].command(True)
    run(grid, 0.02)
    dip_v = grid.voltage_v
    run(grid, 1.0)
    assert dip_v < grid.voltage_v < before_v
    assert before_v - dip_v > 1.5
