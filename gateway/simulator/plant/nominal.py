"""What the whole plant is built for, and two formulas every part of it uses."""

from __future__ import annotations

import math
import random
import sys
from dataclasses import dataclass

FINE_STEP_S = 0.005
STEP_S = FINE_STEP_S  # of the whole plant; the swing inside an islanded step runs at SWING_STEPS a step, 1 ms
SWING_STEPS = 5
WEATHER_STEPS = 20  # sun, wind, load profiles and vehicles change every 20 steps, 100 ms
WEATHER_S = WEATHER_STEPS * STEP_S
# Above a speed, a longer step: devices are looked at every 10 ms of the wall, 0.2 s of the plant at 20 times as fast.
FINE_SPEED = 20.0
COARSER_STEPS = ((FINE_SPEED, FINE_STEP_S), (100.0, 0.05), (math.inf, 0.5))
SECONDS_PER_HOUR = 3600.0
BLOCKED_BELOW_PU = (
    0.5  # momentary cessation: below this voltage converters feed nothing (IEEE 1547-2018 6.4.2)
)


def step_for(speed: float) -> float:
    """The step of a plant that goes so many times as fast as the wall; s."""
    return next(step_s for most, step_s in COARSER_STEPS if speed <= most)


def coarsen(step_s: float) -> None:
    """Have the plant step so coarsely, in all of this process, before anything else of it is loaded.

    A step is whole ms: the swing of an island stays at 1 ms, and lags are exact at any step.
    """
    global STEP_S, SWING_STEPS, WEATHER_STEPS, WEATHER_S
    loaded = [
        name for name in sys.modules if name.startswith("gateway.simulator.plant.") and name != __name__
    ]
    assert not loaded, f"{loaded[0]} has the other step already"
    STEP_S, SWING_STEPS = step_s, round(step_s * 1000)
    WEATHER_STEPS = max(round(0.1 / step_s), 2)
    WEATHER_S = WEATHER_STEPS * STEP_S


@dataclass(frozen=True, slots=True)
class Nominal:
    """What the plant is built for. Every threshold of its devices is a share of these (per unit).

    ``remote``: relays and inverter stand on remote control. They keep their own protection, slower and lower than
    that of the logic above them, and do nothing by themselves to come back: a breaker closes, and a tripped inverter
    starts, only when told. On local they are alone and return by themselves.
    """

    hz: float = 50.0
    v: float = 400.0  # line to line
    remote: bool = False


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
