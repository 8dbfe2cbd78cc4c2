"""Wind turbine with full converter: slow wind, turbulence, cubic curve, storm cut-out, limits."""

from __future__ import annotations

import random

from gateway.simulator.plant.nominal import (
    BLOCKED_BELOW_PU,
    NOMINAL,
    SECONDS_PER_HOUR,
    Noise,
    Nominal,
    lag,
    toward,
)

RATED_KW = 60.0
CUT_IN_M_S, RATED_M_S, CUT_OUT_M_S, RESTART_M_S = 3.0, 12.0, 25.0, 20.0
MEAN_M_S, SLOW_SIGMA_M_S, SLOW_TAU_S = 8.0, 1.6, 900.0
TURBULENCE_INTENSITY, TURBULENCE_TAU_S = 0.12, 6.0  # IEC 61400-1, class C
ROTOR_S = 2.5
RAMP_KW_PER_S = 12.0
HIGH_PU, HIGH_DROOP = 1.004, 0.02  # as PV
STOPPED, WAITING, PRODUCING, LIMITED, STORM = 0, 1, 2, 3, 4


def curve_kw(wind_m_s: float) -> float:
    """Power at a steady wind: the cube between cut-in and rated, nothing below, rated above."""
    if wind_m_s < CUT_IN_M_S:
        return 0.0
    if wind_m_s >= RATED_M_S:
        return RATED_KW
    return RATED_KW * (wind_m_s**3 - CUT_IN_M_S**3) / (RATED_M_S**3 - CUT_IN_M_S**3)


class Wind:
    """One turbine. ``limit_kw`` is the setpoint."""

    __slots__ = (
        "_gusts",
        "_nominal_hz",
        "_rotor_share",
        "_slow",
        "_step_s",
        "_storm",
        "_weather_s",
        "energy_kwh",
        "limit_kw",
        "power_kw",
        "speed_m_s",
        "state",
    )

    def __init__(self, seed: int, nominal: Nominal = NOMINAL) -> None:
        self._nominal_hz = nominal.hz
        self._step_s, self._weather_s = nominal.step_s, nominal.weather_s
        self._rotor_share = lag(nominal.step_s, ROTOR_S)
        self._slow = Noise(random.Random(f"{seed}:wind"), SLOW_SIGMA_M_S, SLOW_TAU_S)
        self._gusts = Noise(random.Random(f"{seed}:gusts"), 1.0, TURBULENCE_TAU_S)
        self._storm = False
        self.limit_kw = RATED_KW
        self.speed_m_s = MEAN_M_S
        self.power_kw = curve_kw(MEAN_M_S)
        self.energy_kwh = 88_120.0
        self.state = PRODUCING

    def weather(self) -> None:
        """At every change of it."""
        mean_m_s = max(0.0, MEAN_M_S + self._slow.step(self._weather_s))
        self.speed_m_s = max(0.0, mean_m_s * (1.0 + TURBULENCE_INTENSITY * self._gusts.step(self._weather_s)))
        if self.speed_m_s > CUT_OUT_M_S:
            self._storm = True
        elif self.speed_m_s < RESTART_M_S:
            self._storm = False

    def step(self, frequency_hz: float, voltage_pu: float) -> None:
        """Every step."""
        if voltage_pu < BLOCKED_BELOW_PU:
            self.power_kw = 0.0
            self.state = STOPPED
            return
        available_kw = 0.0 if self._storm else curve_kw(self.speed_m_s)
        most_kw = min(available_kw, self.limit_kw)
        high_pu = frequency_hz / self._nominal_hz - HIGH_PU
        if high_pu > 0.0:
            yielded_kw = high_pu / HIGH_DROOP * RATED_KW
            most_kw = max(0.0, min(most_kw, RATED_KW - yielded_kw))
        if most_kw < self.power_kw and most_kw < available_kw:
            # The converter gives way in a second; the rotor takes what is left.
            self.power_kw = toward(self.power_kw, most_kw, RATED_KW * self._step_s)
        else:
            change_kw = (most_kw - self.power_kw) * self._rotor_share
            self.power_kw = toward(self.power_kw, self.power_kw + change_kw, RAMP_KW_PER_S * self._step_s)
        self.energy_kwh += self.power_kw * self._step_s / SECONDS_PER_HOUR
        if self._storm:
            self.state = STORM
        elif available_kw <= 0.0:
            self.state = WAITING
        else:
            self.state = LIMITED if most_kw < available_kw else PRODUCING
