"""PV array and inverter: sun position, passing clouds, panel temperature, limits."""

from __future__ import annotations

import math
import random

from gateway.simulator.plant.nominal import (
    BLOCKED_BELOW_PU,
    NOMINAL,
    SECONDS_PER_HOUR,
    Nominal,
    clamp,
    lag,
)

RATED_KW = 150.0
LATITUDE_RAD = math.radians(48.0)
DECLINATION_RAD = math.radians(23.44 * math.sin(math.radians(360.0 * 436 / 365)))  # Cooper (1969), for 1 June
TEMPERATURE_PER_K = -0.004  # crystalline silicon, of power
HEATING_K_PER_W_M2 = 0.031  # (NOCT - 20 °C) / 800 W/m2 with NOCT 45 °C
AIR_MEAN_C, AIR_SWING_C = 18.0, 6.0
EFFICIENCY = 0.97
MPP_S, CURTAIL_S = 0.4, 0.1
RETURN_KW_PER_S = 50.0  # full power three seconds after a voltage dip
# Gives way at high frequency with 2 % droop, the steepest of EN 50549-1 4.6.1: a full island needs it.
HIGH_PU, HIGH_DROOP = 1.004, 0.02
WAKE_KW = 0.2
CLEAR_S, CLOUDY_S = 90.0, 45.0  # mean spells
CLOUD_EDGE_S, WARMING_S = 6.0, 300.0

OFF, ASLEEP, PRODUCING, LIMITED = 1, 2, 4, 5  # SunSpec model 103, St


def clear_sky_w_m2(hour: float) -> float:
    """Horizontal irradiance at a solar hour of the day, by Haurwitz (1945); 0 at night."""
    hour_angle = math.radians(15.0 * (hour - 12.0))
    height = math.sin(LATITUDE_RAD) * math.sin(DECLINATION_RAD)
    swing = math.cos(LATITUDE_RAD) * math.cos(DECLINATION_RAD)
    cos_zenith = height + swing * math.cos(hour_angle)
    if cos_zenith <= 0.0:
        return 0.0
    return 1098.0 * cos_zenith * math.exp(-0.059 / cos_zenith)


class Solar:
    """The plant at one roof. ``limit_kw`` is the setpoint."""

    __slots__ = (
        "_clearness",
        "_curtail_share",
        "_edge_share",
        "_mpp_share",
        "_nominal_hz",
        "_random",
        "_spell_s",
        "_step_s",
        "_target",
        "_warming_share",
        "_weather_s",
        "available_kw",
        "energy_kwh",
        "irradiance_w_m2",
        "limit_kw",
        "power_kw",
        "state",
        "temperature_c",
    )

    def __init__(self, seed: int, hour: float, nominal: Nominal = NOMINAL) -> None:
        self._nominal_hz = nominal.hz
        self._step_s, self._weather_s = nominal.step_s, nominal.weather_s
        self._mpp_share, self._curtail_share = lag(nominal.step_s, MPP_S), lag(nominal.step_s, CURTAIL_S)
        self._edge_share = lag(nominal.weather_s, CLOUD_EDGE_S)
        self._warming_share = lag(nominal.weather_s, WARMING_S)
        self._random = random.Random(f"{seed}:clouds")
        self._spell_s = 0.0
        self._target = 1.0
        self._clearness = 1.0
        self.limit_kw = RATED_KW
        self.irradiance_w_m2 = clear_sky_w_m2(hour)
        self.temperature_c = AIR_MEAN_C + HEATING_K_PER_W_M2 * self.irradiance_w_m2
        self.available_kw = 0.0
        self.power_kw = 0.0
        self.energy_kwh = 310_442.0
        self.state = ASLEEP
        self._expose(hour)
        self.power_kw = self.available_kw

    def weather(self, hour: float) -> None:
        """At every change of it."""
        self._spell_s -= self._weather_s
        if self._spell_s <= 0.0:
            is_cloudy = self._target >= 0.9
            self._target = self._random.uniform(0.2, 0.75) if is_cloudy else self._random.uniform(0.92, 1.0)
            self._spell_s = self._random.expovariate(1.0 / (CLOUDY_S if is_cloudy else CLEAR_S))
        self._clearness += (self._target - self._clearness) * self._edge_share
        self._expose(hour)

    def step(self, frequency_hz: float, voltage_pu: float) -> None:
        """Every step."""
        most_kw = min(self.available_kw, self.limit_kw)
        high_pu = frequency_hz / self._nominal_hz - HIGH_PU
        if high_pu > 0.0:
            yielded_kw = high_pu / HIGH_DROOP * RATED_KW
            most_kw = max(0.0, min(most_kw, RATED_KW - yielded_kw))
        if voltage_pu < BLOCKED_BELOW_PU:
            self.power_kw = 0.0
            self.state = OFF
            return
        if most_kw < self.power_kw:
            self.power_kw += (most_kw - self.power_kw) * self._curtail_share
        else:
            self.power_kw += min((most_kw - self.power_kw) * self._mpp_share, RETURN_KW_PER_S * self._step_s)
        self.energy_kwh += self.power_kw * self._step_s / SECONDS_PER_HOUR
        if self.available_kw < WAKE_KW:
            self.state = ASLEEP
        else:
            self.state = LIMITED if most_kw < self.available_kw else PRODUCING

    def _expose(self, hour: float) -> None:
        self.irradiance_w_m2 = clear_sky_w_m2(hour % 24.0) * self._clearness
        air_c = AIR_MEAN_C + AIR_SWING_C * math.sin(math.radians(15.0 * (hour - 9.0)))
        panel_c = air_c + HEATING_K_PER_W_M2 * self.irradiance_w_m2
        self.temperature_c += (panel_c - self.temperature_c) * self._warming_share
        share = self.irradiance_w_m2 / 1000.0 * (1.0 + TEMPERATURE_PER_K * (self.temperature_c - 25.0))
        self.available_kw = clamp(RATED_KW * share * EFFICIENCY, 0.0, RATED_KW)
