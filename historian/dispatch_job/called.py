"""Events of demand response as dispatch plans for them: a limit to the import of the tie while they last."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from gateway.config.demand_response import DemandResponseSettings
from gateway.config.dispatch import DispatchSettings, PlannedTie
from gateway.config.plant_time import PlantTime
from historian.demand_response_job.store import Call, Calls
from historian.dispatch.axis import Axis
from historian.dispatch.model import DemandResponse
from historian.errors import HistoryError

log = logging.getLogger(__name__)

NS: Final = 10**9
Called = Callable[[Axis], tuple[DemandResponse, ...]]


def nobody(_: Axis) -> tuple[DemandResponse, ...]:
    """Of a site without programmes."""
    return ()


def called(
    settings: DispatchSettings, programmes: DemandResponseSettings | None, path: Path, plant: PlantTime
) -> Called:
    """What is called for within a horizon, read anew each time. What cannot be read is told, and not planned for.

    An event may be left at a price: what all the import that it allows would weigh as a shortfall. So one that
    cannot be kept takes no plan away.
    """
    tie = next((asset for asset in settings.assets if isinstance(asset, PlannedTie)), None)
    if tie is None or programmes is None:
        return nobody
    limits = {one.name: one.import_max_kw for one in programmes.programmes if one.import_max_kw is not None}

    def events(axis: Axis) -> tuple[DemandResponse, ...]:
        if not limits or not path.exists():
            return ()
        try:
            with Calls.to_read(path) as calls:
                known = calls.all()
        except (sqlite3.Error, OSError, HistoryError) as error:
            log.error("EVENTS OF DEMAND RESPONSE ARE NOT PLANNED FOR: %s", error)
            return ()
        found = [_planned(call, limits, tie, settings, plant) for call in known if not call.is_void]
        return tuple(each for each in found if each and each.start < axis.end and each.end > axis.start)

    return events


def _planned(
    call: Call,
    limits: Mapping[str, float],
    tie: PlannedTie,
    settings: DispatchSettings,
    plant: PlantTime,
) -> DemandResponse | None:
    """In the plant's time, which a fast simulator's dispatch goes by."""
    most_kw = limits.get(call.programme)
    if most_kw is None:
        return None
    start, end = (datetime.fromtimestamp(plant.plant_ns(at) / NS, UTC) for at in (call.start, call.end))
    hours = (end - start).total_seconds() / 3_600
    weight = settings.shortfall_cost_per_kwh * max(tie.import_max_kw, 1.0) * hours
    return DemandResponse(f"event {call.name}", tie.name, start, end, most_kw, opt_out_cost=weight)
