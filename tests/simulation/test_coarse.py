"""A plant far faster than the wall steps more coarsely: the same balance, the same day, an island that stands."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from gateway.simulator.plant.microgrid import BusMode, Microgrid
from gateway.simulator.plant.nominal import STEP_S, Nominal, step_for


@dataclass
class Course:
    """A quarter of an hour tied with everything at work, a minute as an island, then the utility is back."""

    grid: Microgrid
    worst: float = 0.0  # of the balance, a share of what is drawn
    slowest: float = 99.0  # Hz, as an island
    charged_kwh: float = 0.0
    genset_kw: float = 0.0
    hour: float = 0.0
    island: BusMode = BusMode.DEAD

    def go(self, seconds: float) -> None:
        grid = self.grid
        for _ in range(round(seconds / grid.nominal.step_s)):
            grid.step()
            fed = grid.tie.power_kw + grid.solar.power_kw + grid.wind.power_kw + grid.battery.power_kw
            fed += grid.genset.power_kw + sum(charger.power_kw for charger in grid.chargers)
            drawn = sum(feeder.power_kw for feeder in grid.feeders) + grid.losses_kw
            self.worst = max(self.worst, abs(fed - drawn) / max(drawn, 1.0))
            if grid.mode is BusMode.ISLANDED:
                self.slowest = min(self.slowest, grid.frequency_hz)


def course(step_s: float, *, remote: bool) -> Course:
    grid = Microgrid(3, start_hour=12.0, nominal=Nominal(60.0, 480.0, remote, step_s))
    told = Course(grid)
    grid.battery.setpoint_kw = -40.0
    grid.genset.run_command = True
    before_kwh = grid.battery.stored_kwh
    told.go(900)
    told.charged_kwh = grid.battery.stored_kwh - before_kwh
    told.genset_kw, told.hour = grid.genset.power_kw, grid.hour
    grid.genset.run_command = False
    grid.utility.lose(True)
    told.go(60)
    told.island = grid.mode
    grid.utility.lose(False)
    grid.tie.keeps_step = True
    return told


@pytest.mark.parametrize("step_s", [0.05, 0.5])
def test_a_coarse_plant_balances_keeps_its_day_and_its_island_stands(step_s: float) -> None:
    told = course(step_s, remote=False)
    told.go(150)
    assert told.worst < 1e-8
    assert told.charged_kwh == pytest.approx((40 * 0.96 - 0.3) / 4, rel=0.01)
    assert told.genset_kw == pytest.approx(60.0, rel=0.02)
    assert told.hour == pytest.approx(12.25)
    assert told.island is BusMode.ISLANDED
    assert told.slowest > 58.0
    assert told.grid.mode is BusMode.TIED


def test_under_remote_control_its_island_stands_and_is_held_in_step_until_it_is_told_to_close() -> None:
    told = course(0.05, remote=True)
    grid = told.grid
    grid.command_tie(False)  # a relay that has tripped is ready again
    told.go(60)
    in_step = 0
    for _ in range(20):
        told.go(1)
        in_step += grid.tie.may_close(grid.utility, grid.voltage_v, grid.frequency_hz)
    grid.command_tie(True)
    told.go(10)
    assert told.island is BusMode.ISLANDED
    assert in_step >= 18
    assert grid.mode is BusMode.TIED


def test_only_who_is_fast_steps_coarsely() -> None:
    assert [step_for(speed) for speed in (0.5, 1.0, 20.0)] == [STEP_S] * 3
    assert step_for(60.0) == 0.05
    assert step_for(1000.0) == 0.5
