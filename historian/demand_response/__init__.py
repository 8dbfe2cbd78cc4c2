"""Demand response: events, baselines, and by how much each participant went down (docs/demand-response.md)."""

from historian.demand_response.baseline import Baseline, baseline, degrees
from historian.demand_response.errors import BadEvent, BadMeter, DemandResponseError
from historian.demand_response.event import Event, Level, OptOut, Participant
from historian.demand_response.rule import (
    HIGH_FIVE_OF_TEN,
    REGRESSION,
    TEN_OF_TEN,
    Adjustment,
    DayMatching,
    Regression,
    Rule,
    Scaling,
)
from historian.demand_response.verification import Reduction, Verdict, Verification, verify

__all__ = [
    "HIGH_FIVE_OF_TEN",
    "REGRESSION",
    "TEN_OF_TEN",
    "Adjustment",
    "BadEvent",
    "BadMeter",
    "Baseline",
    "DayMatching",
    "DemandResponseError",
    "Event",
    "Level",
    "OptOut",
    "Participant",
    "Reduction",
    "Regression",
    "Rule",
    "Scaling",
    "Verdict",
    "Verification",
    "baseline",
    "degrees",
    "verify",
]
