"""How assets are, out of their history: functions on frames, each with the source of its formula."""

from historian.health.battery import (
    Capacity,
    EndOfLife,
    Imbalance,
    Resistance,
    capacity,
    counted_capacity,
    date_of,
    imbalance,
    resistance,
    throughput,
)
from historian.health.genset import FuelLine, RunRecord, fuel_line, run_record, specific_fuel
from historian.health.knee import Knee, knee
from historian.health.maintenance import Evidence, Item, due_by_hours, due_by_trend, due_by_use, due_by_value
from historian.health.series import Integral, integral
from historian.health.solar import Performance, performance_ratio
from historian.health.wind import PowerCurve, power_curve

__all__ = [
    "Capacity",
    "EndOfLife",
    "Evidence",
    "FuelLine",
    "Imbalance",
    "Integral",
    "Item",
    "Knee",
    "Performance",
    "PowerCurve",
    "Resistance",
    "RunRecord",
    "capacity",
    "counted_capacity",
    "date_of",
    "due_by_hours",
    "due_by_trend",
    "due_by_use",
    "due_by_value",
    "fuel_line",
    "imbalance",
    "integral",
    "knee",
    "performance_ratio",
    "power_curve",
    "resistance",
    "run_record",
    "specific_fuel",
    "throughput",
]
