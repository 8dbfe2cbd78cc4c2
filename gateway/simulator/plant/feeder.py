"""A load feeder: daily profile and noise, voltage and frequency sensitivity, breaker, relay, cold load pickup."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from gateway.simulator.plant.nominal import (
    NOMINAL,
    SECONDS_PER_HOUR,
    Noise,
    Nominal,
)

VOLTAGE_EXPONENT = 1.3  # of active power: mixed motors, electronics and heating
REACTIVE_EXPONENT = 2.0
FREQUENCY_SENSITIVITY = 1.5  # per unit of power for one per unit of frequency
KVAR_PER_KW = math.tan(math.acos(0.95))
CABLE_LOSS_PER_KW = 3.3e-4  # kW a kW squared: 2 % at 60 kW
COLD_LOAD_SHARE, COLD_LOAD_S, COLD_AFTER_S = 0.5, 60.0, 300.0
NOISE_SHARE, NOISE_TAU_S = 0.03, 8.0
NO_VOLTAGE_PU, NO_VOLTAGE_S = 0.7, 0.5  # the release drops out: a dead bus comes back without load
BREAKER_S = 0.04  # from trip coil to open contacts
RETURN_FREQUENCY_PU, RETURN_VOLTAGE_PU = 0.992, 0.9
RETURN_S_PER_PRIORITY = 5.0  # recloses by itself, the most important first


@dataclass(frozen=True, slots=True)
class UnderFrequency:
    """Setting of the feeders' under-frequency relays: below which share of nominal, by priority, and how long."""

    below_pu: tuple[float, float, float, float]  # of priority 1 to 4
    delay_s: float


# Alone: the island's battery reaches 0.98 at rated power. Below a controller, whose stages are 59.5, 59.0 and 58.6 Hz
# after 150 ms at 60 Hz: a backup, lower than all of them and slower.
ALONE = UnderFrequency((0.0, 0.972, 0.976, 0.980), 0.15)
BACKUP = UnderFrequency((0.0, 0.962, 0.966, 0.970), 0.30)


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
    """``close_command`` is what was asked; the relay may hold the breaker open meanwhile.

    On remote control, what the relay has opened (``tripped``) stays open until the breaker is told to open, and to
    close after that. ``jammed``: the breaker does not move.
    """

    __slots__ = (
        "_kind",
        "_nominal",
        "_open_s",
        "_opening_s",
        "_outside_s",
        "_pickup",
        "_return_s",
        "_step_s",
        "_under_hz",
        "_under_s",
        "base_kw",
        "breaker_closed",
        "close_command",
        "energy_kwh",
        "jammed",
        "noise",
        "power_kw",
        "reactive_kvar",
        "tripped",
        "voltage_v",
    )

    def __init__(self, seed: int, number: int, hour: float, nominal: Nominal = NOMINAL) -> None:
        self._kind = KINDS[(number - 1) % len(KINDS)]
        self._nominal = nominal
        self._step_s = nominal.step_s
        relay = BACKUP if nominal.remote else ALONE
        self._under_hz = relay.below_pu[self._kind.priority - 1] * nominal.hz
        self._under_s = relay.delay_s
        self._opening_s: float | None = None
        self.tripped = False
        self.jammed = False
        self.noise = Noise(random.Random(f"{seed}:feeder {number}"), NOISE_SHARE, NOISE_TAU_S)
        self._open_s = 0.0
        self._outside_s = 0.0
        self._return_s = 0.0
        self._pickup = 0.0
        self.close_command = True
        self.breaker_closed = True
        self.power_kw = 0.0
        self.reactive_kvar = 0.0
        self.voltage_v = nominal.v  # behind the breaker
        self.energy_kwh = 60_000.0 + 1000.0 * number
        self.base_kw = 0.0  # at nominal voltage and frequency
        self._load(hour)

    @property
    def priority(self) -> int:
        return self._kind.priority

    def command(self, close: bool) -> bool:
        """Close or open; False where the relay refuses, and everything is as before."""
        if close and self.tripped and self._nominal.remote:
            return False
        self.close_command = close
        if close:
            self._close()
        else:
            self.tripped = False
            self._begin_opening()
        return True

    def weather(self, hour: float) -> None:
        """At every change of it."""
        self.noise.step(self._nominal.weather_s)
        self._load(hour)

    def demand_at_nominal_hz(self, voltage_pu: float) -> float:
        """Demand now at this voltage; frequency is left to the swing, which needs its slope."""
        if not self.breaker_closed:
            return 0.0
        return self.base_kw * (1.0 + self._pickup) * math.pow(voltage_pu, VOLTAGE_EXPONENT)

    def account(self, power_kw: float, voltage_pu: float) -> None:
        """What the feeder drew for one step."""
        self.power_kw = power_kw
        self.reactive_kvar = 0.0
        self.voltage_v = 0.0
        if self.breaker_closed:
            self.voltage_v = self._nominal.v * voltage_pu
            self.reactive_kvar = (
                self.base_kw * (1.0 + self._pickup) * KVAR_PER_KW * math.pow(voltage_pu, REACTIVE_EXPONENT)
            )
        self.energy_kwh += power_kw * self._step_s / SECONDS_PER_HOUR
        self._pickup -= self._pickup * self._step_s / COLD_LOAD_S

    def watch(self, frequency_hz: float, voltage_pu: float) -> None:
        """The relay and the breaker, for one step."""
        if self._opening_s is not None:
            self._opening_s -= self._step_s
            if self._opening_s <= 1e-9:
                self._open()
        if self.breaker_closed:
            if voltage_pu < NO_VOLTAGE_PU:
                self._outside_s += self._step_s
                if self._outside_s >= NO_VOLTAGE_S:
                    self._trip()
            elif frequency_hz < self._under_hz:
                self._outside_s += self._step_s
                if self._outside_s >= self._under_s:
                    self._trip()
            else:
                self._outside_s = 0.0
            return
        self._open_s += self._step_s
        if self._nominal.remote:
            return
        return_hz = RETURN_FREQUENCY_PU * self._nominal.hz
        is_fit = voltage_pu > RETURN_VOLTAGE_PU and frequency_hz > return_hz
        self._return_s = self._return_s + self._step_s if is_fit else 0.0
        if self.close_command and self._return_s >= RETURN_S_PER_PRIORITY * self.priority:
            self._close()

    def _trip(self) -> None:
        self.tripped = True
        self._begin_opening()

    def _begin_opening(self) -> None:
        if self.breaker_closed and self._opening_s is None and not self.jammed:
            self._opening_s = BREAKER_S

    def _open(self) -> None:
        self.breaker_closed = False
        self._opening_s = None
        self._outside_s = 0.0
        self._return_s = 0.0

    def _close(self) -> None:
        self._opening_s = None
        if self.jammed:
            return
        self.tripped = False
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


def frequency_slope(demand_kw: float, nominal_hz: float) -> float:
    """kW of demand a Hz."""
    return FREQUENCY_SENSITIVITY * demand_kw / nominal_hz
