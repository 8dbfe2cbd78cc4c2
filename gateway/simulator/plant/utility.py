"""The utility on the far side of the tie: it holds frequency and voltage until it is lost."""

from __future__ import annotations

import random

from gateway.simulator.plant.nominal import NOMINAL_HZ, NOMINAL_V, STEP_S, WEATHER_S, Noise, lag

FREQUENCY_SIGMA_HZ = 0.012  # a strong continental grid stays within ±50 mHz nearly always
FREQUENCY_TAU_S = 20.0
VOLTAGE_SIGMA_V = 1.5
VOLTAGE_TAU_S = 45.0
_FOLLOW = lag(STEP_S, 0.3)  # the noise is drawn every 100 ms; this keeps the frequency from jumping
_COLLAPSE = lag(STEP_S, 0.008)  # the stub behind the lost utility dies within two cycles


class Utility:
    """A stiff source. ``lost`` is set from outside: the feeder upstream is open."""

    __slots__ = ("_frequency", "_voltage", "frequency_hz", "lost", "voltage_v")

    def __init__(self, seed: int) -> None:
        self._frequency = Noise(
            random.Random(f"{seed}:utility frequency"), FREQUENCY_SIGMA_HZ, FREQUENCY_TAU_S
        )
        self._voltage = Noise(random.Random(f"{seed}:utility voltage"), VOLTAGE_SIGMA_V, VOLTAGE_TAU_S)
        self.lost = False
        self.voltage_v = NOMINAL_V
        self.frequency_hz = NOMINAL_HZ

    def weather(self) -> None:
        """Every WEATHER_S."""
        self._frequency.step(WEATHER_S)
        self._voltage.step(WEATHER_S)

    def step(self) -> None:
        """Every STEP_S."""
        if self.lost:
            self.voltage_v -= self.voltage_v * _COLLAPSE
            return
        self.voltage_v += (NOMINAL_V + self._voltage.value - self.voltage_v) * _FOLLOW
        self.frequency_hz += (NOMINAL_HZ + self._frequency.value - self.frequency_hz) * _FOLLOW

    @property
    def is_live(self) -> bool:
        """A relay sees voltage it can measure a frequency of."""
        return self.voltage_v > 0.1 * NOMINAL_V
