"""Dispatch: which asset gives or takes how much at which step, at least cost (docs/dispatch.md).

``solve`` finds the plan, ``naive`` is the rule it is measured against. Nothing here talks to a device.
"""

from historian.dispatch.annealing import anneal
from historian.dispatch.errors import BadAsset, BadSite, DispatchError
from historian.dispatch.model import (
    Asset,
    Battery,
    Commitment,
    Deferrable,
    DemandResponse,
    ElectricVehicle,
    Genset,
    GridTie,
    Group,
    Load,
    Renewable,
    Reserve,
    Site,
)
from historian.dispatch.naive import naive
from historian.dispatch.plan import Conflict, Costs, Plan, Status
from historian.dispatch.planning import Solver, solve
from historian.dispatch.rolling import Rolling

__all__ = [
    "Asset",
    "BadAsset",
    "BadSite",
    "Battery",
    "Commitment",
    "Conflict",
    "Costs",
    "Deferrable",
    "DemandResponse",
    "DispatchError",
    "ElectricVehicle",
    "Genset",
    "GridTie",
    "Group",
    "Load",
    "Plan",
    "Renewable",
    "Reserve",
    "Rolling",
    "Site",
    "Solver",
    "Status",
    "anneal",
    "naive",
    "solve",
]
