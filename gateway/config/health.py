"""What a site watches the health of, as typed values (docs/health.md). Tags are named as in history."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class HealthKind(StrEnum):
    """What an asset is."""

    BATTERY = "battery"
    PV = "pv"
    WIND = "wind"
    GENSET = "genset"


@dataclass(frozen=True, slots=True)
class Upkeep:
    """Work that comes round: after hours of running, starts, or days; None: not by these."""

    name: str
    description: str
    every_h: float | None
    every_starts: int | None
    every_days: float | None


@dataclass(frozen=True, slots=True)
class HealthTags:
    """Places of an asset's tags: ``outputs`` by name, what is to be done, and in words how it is."""

    outputs: tuple[tuple[str, int], ...]
    open_items: int
    urgency: int
    state: int


@dataclass(frozen=True, slots=True)
class BatteryHealth:
    """``charged`` and ``discharged`` are counters at its terminals; without them energy is integrated from power."""

    name: str
    tags: HealthTags
    upkeep: tuple[Upkeep, ...]
    window_days: int
    power: str
    state_of_charge: str
    capacity_kwh: float
    efficiency_pct: float
    least_swing_pct: float
    charged: str | None
    discharged: str | None
    current: str | None
    voltage: str | None
    cell_lowest: str | None
    cell_highest: str | None
    step_a: float
    rest_a: float
    resistance_mohm: float | None
    health_min_pct: float
    resistance_max_pct: float
    imbalance_max_mv: float | None


@dataclass(frozen=True, slots=True)
class PvHealth:
    """``limit``: a tag with the power it may make; while it is held down, its sun does not count."""

    name: str
    tags: HealthTags
    upkeep: tuple[Upkeep, ...]
    window_days: int
    power: str
    irradiance: str
    rated_kw: float
    temperature: str | None
    per_k_pct: float
    limit: str | None
    performance_min: float | None


@dataclass(frozen=True, slots=True)
class WindHealth:
    """Its curve is learned from its first ``learn_days`` days that were looked at."""

    name: str
    tags: HealthTags
    upkeep: tuple[Upkeep, ...]
    window_days: int
    power: str
    wind: str
    rated_kw: float
    limit: str | None
    learn_days: int
    energy_ratio_min: float | None


@dataclass(frozen=True, slots=True)
class GensetHealth:
    """``fuel`` is a level in l, or in % of ``tank_l``. ``hours_before`` it had run before history began."""

    name: str
    tags: HealthTags
    upkeep: tuple[Upkeep, ...]
    window_days: int
    power: str
    running: str
    energy: str | None
    fuel: str | None
    tank_l: float | None
    fuel_max_l_kwh: float | None
    hours_before: float
    starts_before: int


HealthAsset = BatteryHealth | PvHealth | WindHealth | GensetHealth
