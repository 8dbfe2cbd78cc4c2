"""A load feeder: daily profile and noise, voltage and frequency sensitivity, breaker, relay, cold load pickup."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from gateway.simulator.plant.nominal import NOMINAL_HZ, NOMINAL_V, SECONDS_PER_HOUR, STEP_S, WEATHER_S, Noise

VOLTAGE_EXPONENT = 1.3  # of active power: mixed motors, electronics and heating
REACTIVE_EXPONENT = 2.0
FREQUENCY_SENSITIVITY = 1.5  # per unit of power for one per unit of frequency
KVAR_PER_KW = math.tan(math.acos(0.95))
CABLE_LOSS_PER_KW = 3.3e-4  # kW a kW squared: 2 % at 60 kW
COLD_LOAD_SHARE, COLD_LOAD_S, COLD_AFTER_S = 0.5, 60.0, 300.0
NOISE_SHARE, NOISE_TAU_S = 0.03, 8.0
NO_VOLTAGE_PU, NO_VOLTAGE_S = 0.7, 0.5  # the release drops out: a dead bus comes back without load
SHED_S = 0.15
# Under-frequency relay by priority: the island's battery alone reaches 49.0 Hz at rated power.
SHED_BELOW_HZ = {4: 49.0, 3: 48.8, 2: 48.6, 1: 0.0}
RETURN_HZ, RETURN_PU = 49.6, 0.9
RETURN_S_PER_PRIORITY = 5.0  # recloses by itself, the most important first


@dataclass(frozen=True, slots=True)
class Kind:
    """What hangs on a feeder: its peak, and the share of it at 0, 3, 6 ... 21 o'clock."""

    priority: int
    peak_kw: float
    shares: tuple[float, ...]


KINDS = (
    Kind(1, 35.0, (0.75, 0.75, 0.78, 0.90, 0.95, 1.00, 0.92, 0.80)),  # emergency supply and servers
    Kind(2, 45.0, (0.30, 0.28, 0.45, 0.85, 1.00, 0.95, 0.75, 0.45)),  # building services
    Kind(3, 60.0, (0.10, 0.10, 0.25, 0.95, 0.80, 1.00, 0.40, 0.12)),  # workshop
    Kind(4, 40.0, (0.35, 0.35, 0.40, 0.80, 1.00, 0.85, 0.60, 0.40)),  # laundry and cold store
)


class Feeder:
    """``close_command`` is what was asked; the relay may hold the breaker open meanwhile."""

    __slots__ = (
        "_kind",
        "_open_s",
        "_outside_s",
        "_pickup",
        "_return_s",
        "base_kw",
        "breaker_closed",
        "close_command",
        "energy_kwh",
        "noise",
        "power_kw",
        "reactive_kvar",
        "voltage_v",
    )

    def __init__(self, seed: int, number: int, hour: float) -> None:
        self._kind = KINDS[(number - 1) % len(KINDS)]
        self.noise = Noise(random.Random(f"{seed}:feeder {number}"), NOISE_SHARE, NOISE_TAU_S)
        self._open_s = 0.0
        self._outside_s = 0.0
        self._return_s = 0.0
        self._pickup = 0.0
        self.close_command = True
        self.breaker_closed = True
        self.power_kw = 0.0
        self.reactive_kvar = 0.0
        self.voltage_v = NOMINAL_V  # behind the breaker
        self.energy_kwh = 60_000.0 + 1000.0 * number
        self.base_kw = 0.0  # at nominal voltage and frequency
        self._load(hour)

    @property
    def priority(self) -> int:
        return self._kind.priority

    def command(self, close: bool) -> None:
        self.close_command = close
        if close:
            self._close()
        else:
            self._open()

    def weather(self, hour: float) -> None:
        """Every WEATHER_S."""
        self.noise.step(WEATHER_S)
        self._load(hour)

    def demand_at_nominal_hz(self, voltage_pu: float) -> float:
        """Demand now at this voltage; frequency is left to the swing, which needs its slope."""
        if not self.breaker_closed:
            return 0.0
        return self.base_kw * (1.0 + self._pickup) * math.pow(voltage_pu, VOLTAGE_EXPONENT)

    def account(self, power_kw: float, voltage_pu: float) -> None:
        """What the feeder drew for one STEP_S."""
        self.power_kw = power_kw
        self.reactive_kvar = 0.0
        self.voltage_v = 0.0
        if self.breaker_closed:
            self.voltage_v = NOMINAL_V * voltage_pu
            self.reactive_kvar = (
                self.base_kw * (1.0 + self._pickup) * KVAR_PER_KW * math.pow(voltage_pu, REACTIVE_EXPONENT)
            )
        self.energy_kwh += power_kw * STEP_S / SECONDS_PER_HOUR
        self._pickup -= self._pickup * STEP_S / COLD_LOAD_S

    def watch(self, frequency_hz: float, voltage_pu: float) -> None:
        """The relay, for one STEP_S."""
        if self.breaker_closed:
            if voltage_pu < NO_VOLTAGE_PU:
                self._outside_s += STEP_S
                if self._outside_s >= NO_VOLTAGE_S:
                    self._open()
            elif frequency_hz < SHED_BELOW_HZ[self.priority]:
                self._outside_s += STEP_S
                if self._outside_s >= SHED_S:
                    self._open()
            else:
                self._outside_s = 0.0
            return
        self._open_s += STEP_S
        is_fit = voltage_pu > RETURN_PU and frequency_hz > RETURN_HZ
        self._return_s = self._return_s + STEP_S if is_fit else 0.0
        if self.close_command and self._return_s >= RETURN_S_PER_PRIORITY * self.priority:
            self._close()

    def _open(self) -> None:
        self.breaker_closed = False
        self._outside_s = 0.0
        self._return_s = 0.0

    def _close(self) -> None:
        if not self.breaker_closed:
            self._pickup = COLD_LOAD_SHARE * min(1.0, self._open_s / COLD_AFTER_S)
        self.breaker_closed = True
        self._open_s = 0.0

    def _load(self, hour: float) -> None:
        place = (hour % 24.0) / 3.0
        shares = self._kind.shares
        before = int(place)
        blend = place - before
        share = shares[before] * (1.0 - blend) + shares[(before + 1) % len(shares)] * blend
        self.base_kw = self._kind.peak_kw * share * (1.0 + self.noise.value)


def frequency_slope(demand_kw: float) -> float:
    """kW of demand a Hz."""
    return FREQUENCY_SENSITIVITY * demand_kw / NOMINAL_HZ
