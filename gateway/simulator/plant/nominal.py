"""What the whole plant is built for, and two formulas every part of it uses."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

STEP_S = 0.005  # of the whole plant; the swing inside an islanded step runs at steps of SWING_S
SWING_S = 0.001
WEATHER_S = 0.1  # sun, wind, load profiles and vehicles change so often, at coarse steps every second one
# Above a speed, a longer step: devices are looked at every 10 ms of the wall, 0.2 s of the plant at 20 times as fast.
FINE_SPEED = 20.0
COARSER_STEPS = ((FINE_SPEED, STEP_S), (100.0, 0.05), (math.inf, 0.5))
SECONDS_PER_HOUR = 3600.0
BLOCKED_BELOW_PU = (
    0.5  # momentary cessation: below this voltage converters feed nothing (IEEE 1547-2018 6.4.2)
)


def step_for(speed: float) -> float:
    """The step of a plant that goes so many times as fast as the wall; s."""
    return next(step_s for most, step_s in COARSER_STEPS if speed <= most)


@dataclass(frozen=True, slots=True)
class Nominal:
    """What the plant is built for, every threshold of its devices a share of it (per unit), and its step.

    ``remote``: relays and inverter stand on remote control. They keep their own protection, slower and lower than
    that of the logic above them, and do nothing by themselves to come back: a breaker closes, and a tripped inverter
    starts, only when told. On local they are alone and return by themselves.

    ``step_s`` is whole ms: the swing of an island stays at 1 ms, and lags are exact at any step.
    """

    hz: float = 50.0
    v: float = 400.0  # line to line
    remote: bool = False
    step_s: float = STEP_S

    @property
    def swing_steps(self) -> int:
        """Of an islanded step."""
        return round(self.step_s / SWING_S)

    @property
    def weather_steps(self) -> int:
        """From one change of the weather to the next."""
        return max(round(WEATHER_S / self.step_s), 2)

    @property
    def weather_s(self) -> float:
        return self.weather_steps * self.step_s


NOMINAL = Nominal()


def lag(dt_s: float, time_constant_s: float) -> float:
    """The share of the way a first-order lag goes in ``dt_s``; exact for a constant input."""
    return 1.0 - math.exp(-dt_s / time_constant_s)


class Noise:
    """An Ornstein-Uhlenbeck process: zero mean, standard deviation ``sigma``, correlation time ``tau_s``."""

    __slots__ = ("_random", "sigma", "tau_s", "value")

    def __init__(self, source: random.Random, sigma: float, tau_s: float) -> None:
        self._random = source
        self.sigma = sigma
        self.tau_s = tau_s
        self.value = 0.0

    def step(self, dt_s: float) -> float:
        """Advance by ``dt_s``, by the exact transition of the process, and return the value."""
        keep = math.exp(-dt_s / self.tau_s)
        spread = self.sigma * math.sqrt(1.0 - keep * keep)
        self.value = self.value * keep + spread * self._random.gauss(0.0, 1.0)
        return self.value


def clamp(value: float, low: float, high: float) -> float:
    """``value``, or the bound it has passed."""
    return low if value < low else high if value > high else value


def toward(value: float, target: float, most: float) -> float:
    """``target``, or as near to it as a change of at most ``most`` goes."""
    if target > value + most:
        return value + most
    if target < value - most:
        return value - most
    return target
