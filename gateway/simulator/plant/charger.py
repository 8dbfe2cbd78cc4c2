"""A bidirectional charger and the vehicles that come to it and leave again."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import IntEnum

from gateway.simulator.plant.nominal import (
    BLOCKED_BELOW_PU,
    NOMINAL,
    SECONDS_PER_HOUR,
    Nominal,
    clamp,
    lag,
)

RATED_KW = 22.0
EFFICIENCY = 0.93  # each way, socket to cells
TAPER_FROM = 0.80  # state of charge from which a vehicle takes less and less
TAPER_TO_SHARE = 0.08
LEAST_SHARE = 0.30  # a vehicle gives nothing back below this
FULL_SHARE = 0.999
FOLLOW_S = 0.4
RETURN_S = 3.0  # wait after the voltage is back
# Charging gives way as frequency falls, from all to nothing (as LFSM-UC does for large storage), so that an
# island keeps its lights before it fills its cars.
LOW_FROM_PU, LOW_TO_PU = 0.994, 0.984  # 49.7 and 49.2 Hz at 50
OCCUPIED_AT_START = 0.65
VACANT_S = 1500.0  # mean, between two vehicles
STAY_S = (1800.0, 10_800.0)
ARRIVES_WITH = (0.15, 0.65)
CAPACITIES_KWH = (40.0, 58.0, 64.0, 77.0, 90.0)
VEHICLE_KW = (7.4, 11.0, 11.0, 22.0)


class State(IntEnum):
    FREE = 0
    WAITING = 1
    CHARGING = 2
    GIVING_BACK = 3
    FULL = 4


@dataclass(slots=True)
class Vehicle:
    """A car at the plug; ``most_kw`` is its own converter's limit, both ways."""

    id: str
    capacity_kwh: float
    stored_kwh: float
    most_kw: float
    stays_s: float

    @property
    def charge_share(self) -> float:
        return self.stored_kwh / self.capacity_kwh


class Charger:
    """``setpoint_kw`` -22..22; it starts at -22: with nobody to say otherwise, cars are charged."""

    __slots__ = (
        "_back_s",
        "_follow_share",
        "_low_from_hz",
        "_low_to_hz",
        "_random",
        "_stay_h",
        "_step_s",
        "_vacant_s",
        "_weather_s",
        "charge_kwh",
        "discharge_kwh",
        "power_kw",
        "setpoint_kw",
        "state",
        "vehicle",
    )

    def __init__(
        self, seed: int, number: int, nominal: Nominal = NOMINAL, stay_h: float | None = None
    ) -> None:
        """``stay_h``: of every vehicle; None: drawn anew for each."""
        self._stay_h = stay_h
        self._step_s, self._weather_s = nominal.step_s, nominal.weather_s
        self._follow_share = lag(nominal.step_s, FOLLOW_S)
        self._low_from_hz, self._low_to_hz = LOW_FROM_PU * nominal.hz, LOW_TO_PU * nominal.hz
        self._random = random.Random(f"{seed}:charger {number}")
        self.setpoint_kw = -RATED_KW
        self.power_kw = 0.0
        self.charge_kwh = round(self._random.uniform(3000.0, 9000.0), 1)
        self.discharge_kwh = round(self._random.uniform(100.0, 600.0), 1)
        self.state = State.FREE
        self.vehicle: Vehicle | None = None
        self._back_s = RETURN_S
        self._vacant_s = self._random.expovariate(1.0 / VACANT_S)
        if self._random.random() < OCCUPIED_AT_START:
            self.plug_in(self._next_vehicle())

    def plug_in(self, vehicle: Vehicle) -> None:
        self.vehicle = vehicle
        self.state = State.WAITING

    def unplug(self) -> None:
        self.vehicle = None
        self.state = State.FREE
        self.power_kw = 0.0
        self._vacant_s = self._random.expovariate(1.0 / VACANT_S)

    def weather(self) -> None:
        """Comings and goings, at every change of the weather."""
        if self.vehicle is None:
            self._vacant_s -= self._weather_s
            if self._vacant_s <= 0.0:
                self.plug_in(self._next_vehicle())
        else:
            self.vehicle.stays_s -= self._weather_s
            if self.vehicle.stays_s <= 0.0:
                self.unplug()

    def step(self, frequency_hz: float, voltage_pu: float) -> None:
        """Every step."""
        vehicle = self.vehicle
        if vehicle is None:
            return
        if voltage_pu < BLOCKED_BELOW_PU:
            self.power_kw = 0.0
            self._back_s = 0.0
            self.state = State.WAITING
            return
        share = vehicle.stored_kwh / vehicle.capacity_kwh
        wanted_kw = self.setpoint_kw
        if self._back_s < RETURN_S:
            self._back_s += self._step_s
            wanted_kw = 0.0
        if wanted_kw < 0.0:
            most_kw = vehicle.most_kw
            if share > TAPER_FROM:
                most_kw *= 1.0 - (1.0 - TAPER_TO_SHARE) * (share - TAPER_FROM) / (1.0 - TAPER_FROM)
            if share >= FULL_SHARE:
                most_kw = 0.0
            if frequency_hz < self._low_from_hz:
                share_left = (frequency_hz - self._low_to_hz) / (self._low_from_hz - self._low_to_hz)
                most_kw *= clamp(share_left, 0.0, 1.0)
            wanted_kw = max(wanted_kw, -most_kw)
        elif wanted_kw > 0.0:
            wanted_kw = min(wanted_kw, vehicle.most_kw) if share > LEAST_SHARE else 0.0
        self.power_kw += (wanted_kw - self.power_kw) * self._follow_share
        energy_kwh = self.power_kw * self._step_s / SECONDS_PER_HOUR
        if energy_kwh < 0.0:
            self.charge_kwh -= energy_kwh
            vehicle.stored_kwh -= energy_kwh * EFFICIENCY
            self.state = State.FULL if share >= FULL_SHARE else State.CHARGING
        else:
            self.discharge_kwh += energy_kwh
            vehicle.stored_kwh -= energy_kwh / EFFICIENCY
            self.state = State.GIVING_BACK
        if -0.05 < self.power_kw < 0.05:
            self.state = State.FULL if share >= FULL_SHARE else State.WAITING

    def _next_vehicle(self) -> Vehicle:
        source = self._random
        capacity_kwh = source.choice(CAPACITIES_KWH)
        vehicle = Vehicle(
            id=f"TL-{source.randrange(10_000, 100_000)}",
            capacity_kwh=capacity_kwh,
            stored_kwh=capacity_kwh * source.uniform(*ARRIVES_WITH),
            most_kw=source.choice(VEHICLE_KW),
            stays_s=source.uniform(*STAY_S),
        )
        if self._stay_h is not None:
            vehicle.stays_s = self._stay_h * SECONDS_PER_HOUR
        return vehicle
