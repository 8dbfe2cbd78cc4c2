"""History by the plant's time: for who reckons in its days where the simulator runs faster than the wall."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from gateway.config.plant_time import PlantTime
from gateway.tags.aggregate import Aggregate, AggregateConfiguration, Processed
from historian.query.aggregates.table import DEFAULTS
from historian.query.average import Averages
from historian.query.history import History


class PlantHistory(History):
    """Averages and aggregates take and give UTC ns of the plant; all else is by the wall, as it is stored.

    Where an interval is no whole number of ns on the wall, its edges are off by less than one for each that went
    before.
    """

    def __init__(self, directory: Path, plant: PlantTime, wall: Callable[[], int] = time.time_ns) -> None:
        super().__init__(directory, clock=wall)
        self._plant = plant

    def time_average_many(
        self, tags: Iterable[str], start_ns: int, end_ns: int, interval_ns: int
    ) -> dict[str, Averages]:
        asked = self._asked(start_ns, end_ns, interval_ns)
        found = super().time_average_many(tags, *asked)
        return {
            tag: replace(each, starts=start_ns + interval_ns * np.arange(len(each), dtype=np.int64))
            for tag, each in found.items()
        }

    def aggregate_many(
        self,
        tags: Iterable[str],
        aggregate: Aggregate,
        start_ns: int,
        end_ns: int,
        interval_ns: int = 0,
        configuration: AggregateConfiguration = DEFAULTS,
    ) -> dict[str, Processed]:
        asked = self._asked(start_ns, end_ns, interval_ns)
        found = super().aggregate_many(tags, aggregate, *asked, configuration)
        return {tag: replace(each, times=self._plant.plant_ns(each.times)) for tag, each in found.items()}

    def _asked(self, start_ns: int, end_ns: int, interval_ns: int) -> tuple[int, int, int]:
        """The same on the wall, with as many intervals."""
        start, end = self._plant.wall_ns(start_ns), self._plant.wall_ns(end_ns)
        if interval_ns <= 0 or end_ns <= start_ns:
            return start, end, interval_ns
        interval = max(round(interval_ns / self._plant.speed), 1)
        count, rest = divmod(end_ns - start_ns, interval_ns)
        return start, start + count * interval if not rest else end, interval


def open_history(directory: Path, plant: PlantTime, wall: Callable[[], int] = time.time_ns) -> History:
    """A history folder by the plant's time."""
    return History(directory, clock=wall) if plant.is_wall else PlantHistory(directory, plant, wall)
