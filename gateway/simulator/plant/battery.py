"""Battery with inverter: follows a setpoint while tied, forms the bus by droop while islanded, starts a dead bus.

Forming, the droop with its power filter is a swing equation (D'Arco and Suul, 2014): with droop K kW/Hz and a
filter of tau seconds the inertia is M = K tau, in kW s/Hz.
"""

from __future__ import annotations

from enum import IntEnum

from gateway.simulator.plant.nominal import (
    BLOCKED_BELOW_PU,
    NOMINAL,
    SECONDS_PER_HOUR,
    Nominal,
    clamp,
    lag,
    toward,
)

RATED_KW = 250.0
CAPACITY_KWH = 500.0
CHARGE_EFFICIENCY = 0.96
DISCHARGE_EFFICIENCY = 0.96
STANDBY_KW = 0.3  # drawn from the cells, always
DROOP = 0.02  # of nominal frequency at rated power
POWER_FILTER_S = 0.2
RAMP_KW_PER_S = 250.0
FOLLOW_S = 0.05
EMPTY_SHARE, FULL_SHARE = 0.05, 1.0  # no discharge below, no charge above; power tapers on the way there
EMPTY_TAPER, FULL_TAPER = 0.05, 0.08
OVERLOAD = 1.5  # of rated power, for OVERLOAD_S
OVERLOAD_S = 0.2
LOW_PU, HIGH_PU, BAND_S = 0.94, 1.04, 0.2  # of frequency; forming outside this band for so long: trip
RESET_S = 8.0  # from a trip to the next try
START_SHARE = 0.08  # least state of charge to start a dead bus
START_RAMP_S = 2.0  # soft start of the voltage, so that transformers do not saturate
EMPTY_V, FULL_V, RESISTANCE_OHM = 720.0, 840.0, 0.03
AIR_C, HEAT_K_PER_KW, THERMAL_S = 22.0, 1.6, 1800.0
SERIAL_NUMBER = "TLB250-0417"


class State(IntEnum):
    STANDBY = 0
    FOLLOWING = 1
    FORMING = 2
    TRIPPED = 3
    BLACK_START = 4


class Battery:
    """``setpoint_kw`` is followed while tied, and leaned on while forming. Positive discharges.

    ``form_command`` lets it form the bus when the tie is open. On remote control a trip, and a dead bus, wait for the
    command to be given anew (a rising edge).
    """

    __slots__ = (
        "_band_s",
        "_follow_share",
        "_is_asked",
        "_nominal",
        "_overload_s",
        "_ramped_kw",
        "_rest_s",
        "_step_s",
        "charge_kwh",
        "current_a",
        "discharge_kwh",
        "droop_kw_per_hz",
        "form_command",
        "heat_kw",
        "inertia_kw_s_per_hz",
        "power_kw",
        "setpoint_kw",
        "start_s",
        "state",
        "stored_kwh",
        "temperature_c",
        "voltage_v",
    )

    def __init__(self, nominal: Nominal = NOMINAL) -> None:
        self._nominal = nominal
        self._step_s = nominal.step_s
        self._follow_share = lag(nominal.step_s, FOLLOW_S)
        self.droop_kw_per_hz = RATED_KW / (DROOP * nominal.hz)
        self.inertia_kw_s_per_hz = self.droop_kw_per_hz * POWER_FILTER_S
        self.form_command = True
        self.setpoint_kw = 0.0
        self.power_kw = 0.0
        self.stored_kwh = 0.62 * CAPACITY_KWH
        self.state = State.FOLLOWING
        self.charge_kwh = 20_480.0
        self.discharge_kwh = 18_830.0
        self.voltage_v = EMPTY_V + (FULL_V - EMPTY_V) * 0.62
        self.current_a = 0.0
        self.temperature_c = AIR_C
        self.heat_kw = 0.0
        self.start_s = 0.0
        self._ramped_kw = 0.0
        self._overload_s = 0.0
        self._band_s = 0.0
        self._rest_s = 0.0
        self._is_asked = False

    @property
    def charge_share(self) -> float:
        """State of charge, 0..1."""
        return self.stored_kwh / CAPACITY_KWH

    @property
    def is_forming(self) -> bool:
        return self.state in (State.FORMING, State.BLACK_START)

    def most_discharge_kw(self) -> float:
        return RATED_KW * clamp((self.charge_share - EMPTY_SHARE) / EMPTY_TAPER, 0.0, 1.0)

    def most_charge_kw(self) -> float:
        return RATED_KW * clamp((FULL_SHARE - self.charge_share) / FULL_TAPER, 0.0, 1.0)

    def command_forming(self, form: bool) -> None:
        """Form the bus when the tie is open, or do not."""
        self._is_asked = form and (self._is_asked or not self.form_command)
        self.form_command = form

    def choose(self, tied: bool, bus_is_live: bool) -> None:
        """Which state to be in for the next step; the breaker's auxiliary contact wired to it says ``tied``."""
        waits = self._nominal.remote and not self._is_asked
        if self.state is State.TRIPPED:
            self._rest_s -= self._step_s
            if self._rest_s > 0.0 or waits:
                return
            self.state = State.STANDBY
        if tied:
            if self.state is not State.FOLLOWING:
                self.state = State.FOLLOWING
                self._ramped_kw = self.power_kw  # bumpless: from what it gives now, along the ramp
            self._is_asked = False
        elif not self.form_command:
            self.state = State.STANDBY
        elif self.is_forming:
            return
        elif not bus_is_live and waits:
            self.state = State.STANDBY
        elif self.state is not State.FOLLOWING and self.charge_share < START_SHARE:
            self.state = State.STANDBY  # too empty to try; the genset or the utility must come first
        elif bus_is_live:
            self.state = State.FORMING
            self._is_asked = False
        else:
            self.state = State.BLACK_START
            self.start_s = 0.0
            self._is_asked = False

    def follow(self, voltage_pu: float) -> None:
        """Power for one step where somebody else holds the bus."""
        if voltage_pu < BLOCKED_BELOW_PU or self.state is not State.FOLLOWING:
            self.power_kw = 0.0
            self._ramped_kw = 0.0
            return
        wanted_kw = clamp(self.setpoint_kw, -self.most_charge_kw(), self.most_discharge_kw())
        self._ramped_kw = toward(self._ramped_kw, wanted_kw, RAMP_KW_PER_S * self._step_s)
        self.power_kw += (self._ramped_kw - self.power_kw) * self._follow_share

    def watch(self, frequency_hz: float) -> None:
        """Protection while forming, after the power of the step is known."""
        if self.state is State.BLACK_START:
            self.start_s += self._step_s
            if self.start_s > START_RAMP_S:
                self.state = State.FORMING
        self._overload_s = (
            self._overload_s + self._step_s if abs(self.power_kw) > OVERLOAD * RATED_KW else 0.0
        )
        self._band_s = 0.0 if self._is_in_band(frequency_hz) else self._band_s + self._step_s
        if self._overload_s > OVERLOAD_S or self._band_s > BAND_S or self.charge_share < 0.5 * EMPTY_SHARE:
            self.trip()

    def _is_in_band(self, frequency_hz: float) -> bool:
        return LOW_PU * self._nominal.hz < frequency_hz < HIGH_PU * self._nominal.hz

    def trip(self) -> None:
        """Block from the next step on, and rest before trying again."""
        self.state = State.TRIPPED
        self._ramped_kw = 0.0
        self._overload_s = 0.0
        self._band_s = 0.0
        self._rest_s = RESET_S

    def reference_kw(self, trim_hz: float) -> float:
        """Power at 0 Hz of the droop line: P = reference - K f passes through the setpoint at nominal plus trim."""
        return self.setpoint_kw + self.droop_kw_per_hz * (self._nominal.hz + trim_hz)

    def account(self) -> None:
        """What the power of this step does to the cells; ``heat_kw`` is all that is lost on the way."""
        power_kw = self.power_kw
        energy_kwh = power_kw * self._step_s / SECONDS_PER_HOUR
        standby_kw = STANDBY_KW if self.stored_kwh > 0.0 else 0.0
        if power_kw >= 0.0:
            cells_kw = power_kw / DISCHARGE_EFFICIENCY + standby_kw
            self.discharge_kwh += energy_kwh
        else:
            cells_kw = power_kw * CHARGE_EFFICIENCY + standby_kw
            self.charge_kwh -= energy_kwh
        self.heat_kw = cells_kw - power_kw
        self.stored_kwh -= cells_kw * self._step_s / SECONDS_PER_HOUR
        open_v = EMPTY_V + (FULL_V - EMPTY_V) * self.charge_share
        self.current_a = 1000.0 * cells_kw / self.voltage_v
        self.voltage_v = open_v - RESISTANCE_OHM * self.current_a
        warm_c = AIR_C + HEAT_K_PER_KW * self.heat_kw
        self.temperature_c += (warm_c - self.temperature_c) * self._step_s / THERMAL_S
