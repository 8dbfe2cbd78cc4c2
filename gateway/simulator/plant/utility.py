"""The utility on the far side of the tie: it holds frequency and voltage until it is lost."""

from __future__ import annotations

import random

from gateway.simulator.plant.nominal import NOMINAL, Noise, Nominal, clamp, lag

FREQUENCY_SIGMA_HZ = 0.012  # a strong continental grid stays within ±50 mHz nearly always
FREQUENCY_TAU_S = 20.0
VOLTAGE_SIGMA_PU = 0.00375
VOLTAGE_TAU_S = 45.0
FOLLOW_S = 0.3  # the noise is drawn every 100 ms; this keeps the frequency from jumping
COLLAPSE_S = 0.008  # the stub behind the lost utility dies within two cycles


class Utility:
    """A stiff source. ``lost`` is set from outside: the feeder upstream is open.

    With ``drift_hz_s`` other than zero the loss is one further up: a rotating remnant of the neighbourhood keeps the
    voltage, and its frequency runs away at that rate, until the tie opens and leaves it without load. With
    ``sag_pu`` below one it holds too little voltage.
    """

    __slots__ = (
        "_collapse_share",
        "_follow_share",
        "_frequency",
        "_nominal",
        "_voltage",
        "drift_hz_s",
        "frequency_hz",
        "lost",
        "sag_pu",
        "voltage_v",
    )

    def __init__(self, seed: int, nominal: Nominal = NOMINAL) -> None:
        self._nominal = nominal
        self._follow_share = lag(nominal.step_s, FOLLOW_S)
        self._collapse_share = lag(nominal.step_s, COLLAPSE_S)
        self.drift_hz_s = 0.0
        self.sag_pu = 1.0
        self._frequency = Noise(
            random.Random(f"{seed}:utility frequency"), FREQUENCY_SIGMA_HZ, FREQUENCY_TAU_S
        )
        sigma_v = VOLTAGE_SIGMA_PU * nominal.v
        self._voltage = Noise(random.Random(f"{seed}:utility voltage"), sigma_v, VOLTAGE_TAU_S)
        self.lost = False
        self.voltage_v = nominal.v
        self.frequency_hz = nominal.hz

    def lose(self, lost: bool, drift_hz_s: float = 0.0) -> None:
        """Open the feeder upstream, or one further up; or all is well again."""
        self.lost = lost
        self.drift_hz_s = drift_hz_s if lost else 0.0

    def weather(self) -> None:
        """At every change of it."""
        self._frequency.step(self._nominal.weather_s)
        self._voltage.step(self._nominal.weather_s)

    def step(self, tied: bool) -> None:
        """Every step."""
        nominal = self._nominal
        if self.lost:
            if self.drift_hz_s and tied:
                drifted_hz = self.frequency_hz + self.drift_hz_s * nominal.step_s
                self.frequency_hz = clamp(drifted_hz, 0.8 * nominal.hz, 1.2 * nominal.hz)
                return
            self.voltage_v -= self.voltage_v * self._collapse_share
            return
        self.voltage_v += (
            nominal.v * self.sag_pu + self._voltage.value - self.voltage_v
        ) * self._follow_share
        self.frequency_hz += (nominal.hz + self._frequency.value - self.frequency_hz) * self._follow_share

    @property
    def is_live(self) -> bool:
        """A relay sees voltage it can measure a frequency of."""
        return self.voltage_v > 0.1 * self._nominal.v
