"""A plant far faster than the wall steps more coarsely: the same balance, the same day, an island that stands.

Its step is fixed when it is loaded, so each of these runs in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from gateway.simulator.plant.nominal import FINE_STEP_S, STEP_S, step_for

# A quarter of an hour tied with everything at work, a minute as an island, then the utility is back.
COURSE = """
import json, sys
from gateway.simulator.plant import nominal
nominal.coarsen(float(sys.argv[1]))
from gateway.simulator.plant.microgrid import BusMode, Microgrid
from gateway.simulator.plant.nominal import STEP_S, Nominal

grid = Microgrid(3, start_hour=12.0, nominal=Nominal(60.0, 480.0, remote=sys.argv[2] == "remote"))
grid.battery.setpoint_kw = -40.0
grid.genset.run_command = True
worst, slowest, modes = 0.0, 99.0, set()

def go(seconds):
    global worst, slowest
    for _ in range(round(seconds / STEP_S)):
        grid.step()
        fed = grid.tie.power_kw + grid.solar.power_kw + grid.wind.power_kw + grid.battery.power_kw
        fed += grid.genset.power_kw + sum(charger.power_kw for charger in grid.chargers)
        drawn = sum(feeder.power_kw for feeder in grid.feeders) + grid.losses_kw
        worst = max(worst, abs(fed - drawn) / max(drawn, 1.0))
        if grid.mode is BusMode.ISLANDED:
            slowest = min(slowest, grid.frequency_hz)

before_kwh = grid.battery.stored_kwh
go(900)
charged_kwh, genset_kw, hour = grid.battery.stored_kwh - before_kwh, grid.genset.power_kw, grid.hour
grid.genset.run_command = False
grid.utility.lose(True)
go(60)
island = grid.mode.value
grid.utility.lose(False)
grid.tie.keeps_step = True
in_step = 0
if sys.argv[2] == "remote":
    grid.command_tie(False)  # a relay that has tripped is ready again
    go(60)
    for _ in range(20):
        go(1)
        in_step += grid.tie.may_close(grid.utility, grid.voltage_v, grid.frequency_hz)
    grid.command_tie(True)
    go(10)
else:
    go(150)
print(json.dumps({"worst": worst, "slowest": slowest, "charged_kwh": charged_kwh, "genset_kw": genset_kw,
    "hour": hour, "island": island, "in_step": in_step, "after": grid.mode.value}))
"""


def course(step_s: float, control: str) -> dict[str, Any]:
    command = [sys.executable, "-c", COURSE, str(step_s), control]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert answer.returncode == 0, answer.stderr
    told: dict[str, Any] = json.loads(answer.stdout)
    return told


@pytest.mark.parametrize("step_s", [0.05, 0.5])
def test_a_coarse_plant_balances_keeps_its_day_and_its_island_stands(step_s: float) -> None:
    told = course(step_s, "local")
    assert told["worst"] < 1e-8
    assert told["charged_kwh"] == pytest.approx((40 * 0.96 - 0.3) / 4, rel=0.01)
    assert told["genset_kw"] == pytest.approx(60.0, rel=0.02)
    assert told["hour"] == pytest.approx(12.25)
    assert told["island"] == "islanded"
    assert told["slowest"] > 58.0
    assert told["after"] == "tied"


def test_under_remote_control_its_island_stands_and_is_held_in_step_until_it_is_told_to_close() -> None:
    told = course(0.05, "remote")
    assert told["island"] == "islanded"
    assert told["in_step"] >= 18  # of 20 s
    assert told["after"] == "tied"


def test_only_who_is_fast_steps_coarsely() -> None:
    assert [step_for(speed) for speed in (0.5, 1.0, 20.0)] == [FINE_STEP_S] * 3
    assert step_for(60.0) == 0.05
    assert step_for(1000.0) == 0.5
    assert STEP_S == FINE_STEP_S
