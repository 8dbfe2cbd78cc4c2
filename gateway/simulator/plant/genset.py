"""Diesel genset: start and stop sequence as a table, governor with droop and lag, fuel, least power."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from gateway.simulator.plant.nominal import NOMINAL, SECONDS_PER_HOUR, Nominal, lag, toward

RATED_KW = 120.0
RATED_KVA = 150.0
LEAST_KW = 36.0  # 30 %: below it a diesel slobbers; kept while on line and not unloading
MOST_KW = 1.1 * RATED_KW
DROOP = 0.04
ENGINE_S = 0.3  # actuator, turbocharger and dead time as one lag
INERTIA_S = 1.2  # H
RAMP_KW_PER_S = 20.0
RPM_PER_HZ = 30.0  # four poles
TANK_L = 400.0
IDLE_L_PER_H, L_PER_KWH = 3.0, 0.25
UNLOADED_KW = 5.0
LOW_PU = 0.92  # of frequency; on line below this: trip
SPIN_S = 0.8


class State(IntEnum):
    STOPPED = 0
    CRANKING = 1
    WARMING_UP = 2
    SYNCHRONISING = 3
    ON_LINE = 4
    UNLOADING = 5
    COOLING_DOWN = 6
    FAULT = 7


@dataclass(frozen=True, slots=True)
class Stage:
    """After ``seconds`` go on to ``running`` where the run command stands, else to ``stopping``."""

    seconds: float
    running: State
    stopping: State
    leaves_at_once: bool  # where the run command is gone, without waiting for the seconds
    speed_pu: float


SEQUENCE = {
    State.STOPPED: Stage(0.0, State.CRANKING, State.STOPPED, False, 0.0),
    State.CRANKING: Stage(2.0, State.WARMING_UP, State.STOPPED, True, 0.12),
    State.WARMING_UP: Stage(4.0, State.SYNCHRONISING, State.COOLING_DOWN, True, 1.0),
    State.SYNCHRONISING: Stage(3.0, State.ON_LINE, State.COOLING_DOWN, True, 1.0),
    State.ON_LINE: Stage(0.0, State.ON_LINE, State.UNLOADING, True, 1.0),
    State.UNLOADING: Stage(20.0, State.ON_LINE, State.COOLING_DOWN, False, 1.0),
    State.COOLING_DOWN: Stage(10.0, State.SYNCHRONISING, State.STOPPED, False, 1.0),
    State.FAULT: Stage(30.0, State.STOPPED, State.STOPPED, False, 0.0),
}


class Genset:
    """``run_command`` starts and stops it; ``setpoint_kw`` is its power at nominal frequency."""

    __slots__ = (
        "_in_state_s",
        "_nominal_hz",
        "_ramped_kw",
        "_spin_share",
        "_step_s",
        "droop_kw_per_hz",
        "energy_kwh",
        "engine_kw",
        "engine_share",
        "fuel_l",
        "inertia_kw_s_per_hz",
        "power_kw",
        "run_command",
        "setpoint_kw",
        "speed_rpm",
        "state",
    )

    def __init__(self, nominal: Nominal = NOMINAL) -> None:
        self._nominal_hz = nominal.hz
        self._step_s = nominal.step_s
        self._spin_share = lag(nominal.step_s, SPIN_S)
        # Of the way that the engine goes in a step; 1: a coarse step, at its end.
        self.engine_share = min(nominal.step_s / ENGINE_S, 1.0)
        self.droop_kw_per_hz = RATED_KW / (DROOP * nominal.hz)
        self.inertia_kw_s_per_hz = 2.0 * INERTIA_S * RATED_KVA / nominal.hz
        self.run_command = False
        self.setpoint_kw = 60.0
        self.state = State.STOPPED
        self.engine_kw = 0.0  # at the shaft
        self.power_kw = 0.0  # at the terminals
        self.energy_kwh = 5_604.0
        self.fuel_l = 0.87 * TANK_L
        self.speed_rpm = 0.0
        self._ramped_kw = 0.0
        self._in_state_s = 0.0

    @property
    def is_on_line(self) -> bool:
        return self.state in (State.ON_LINE, State.UNLOADING)

    @property
    def is_running(self) -> bool:
        return self.state not in (State.STOPPED, State.CRANKING, State.FAULT)

    def choose(self, bus_is_live: bool) -> None:
        """The sequence, for one step."""
        self._in_state_s += self._step_s
        stage = SEQUENCE[self.state]
        is_over = self._in_state_s >= stage.seconds
        if self.state is State.SYNCHRONISING and not bus_is_live:
            is_over = True  # a dead bus needs no synchronising
        if self.fuel_l <= 0.0 and self.state not in (State.STOPPED, State.FAULT):
            self._enter(State.FAULT)
        elif self.state is State.UNLOADING and not self.run_command and self.engine_kw < UNLOADED_KW:
            self._enter(State.COOLING_DOWN)
        elif self.run_command and self.state is State.UNLOADING:
            self._enter(State.ON_LINE)
        elif is_over and self.run_command:
            self._enter(stage.running)
        elif not self.run_command and (is_over or stage.leaves_at_once):
            self._enter(stage.stopping)

    def reference_kw(self, trim_hz: float) -> float:
        """Move the load reference along its ramp; the power at 0 Hz of the droop line."""
        wanted_kw = 0.0 if self.state is State.UNLOADING else max(self.setpoint_kw, LEAST_KW)
        self._ramped_kw = toward(self._ramped_kw, wanted_kw, RAMP_KW_PER_S * self._step_s)
        return self._ramped_kw + self.droop_kw_per_hz * (self._nominal_hz + trim_hz)

    def trip(self) -> None:
        """Open and run on to cool; with the run command standing it tries again."""
        self._enter(State.COOLING_DOWN)

    def account(self, bus_hz: float) -> None:
        """Fuel, energy and speed of this step."""
        if self.is_on_line:
            self.speed_rpm = RPM_PER_HZ * bus_hz
        else:
            self.power_kw = 0.0
            self.engine_kw = 0.0
            wanted_rpm = SEQUENCE[self.state].speed_pu * RPM_PER_HZ * self._nominal_hz
            self.speed_rpm += (wanted_rpm - self.speed_rpm) * self._spin_share
        if self.is_running:
            litres = (IDLE_L_PER_H + L_PER_KWH * self.engine_kw) * self._step_s / SECONDS_PER_HOUR
            self.fuel_l = max(0.0, self.fuel_l - litres)
        self.energy_kwh += self.power_kw * self._step_s / SECONDS_PER_HOUR

    def _enter(self, state: State) -> None:
        if state is self.state:
            return
        if state is State.ON_LINE and self.state is not State.UNLOADING:
            self._ramped_kw = 0.0
            self.engine_kw = 0.0
        self.state = state
        self._in_state_s = 0.0
