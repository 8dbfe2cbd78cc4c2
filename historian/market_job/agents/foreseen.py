"""What forecasts say of one interval, at any quantile."""

from __future__ import annotations

import logging
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import numpy as np

from historian.dispatch.axis import Axis
from historian.dispatch_job.foresight import on_axis
from historian.forecast_job.plan import S_NS, Track
from historian.forecast_job.store import FOLDER, Issues, NoForecast
from historian.ledger.metering import MICROS

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Band:
    """The mean power of an interval by quantile (rising), when it was issued, and whether inputs were missing."""

    quantiles: tuple[float, ...]
    kilowatts: tuple[float, ...]
    issued_us: int
    is_doubtful: bool = False

    def wh(self, quantile: float, share: float, interval_s: int) -> int:
        """Straight between the quantiles it has; beyond them the outermost. Powers below 0 are none."""
        kilowatts = float(np.interp(quantile, self.quantiles, self.kilowatts))
        return max(int(kilowatts * share * interval_s / 3.6), 0)


class Bands(Protocol):
    """Where forecasts come from."""

    def band(self, forecast: str, start_us: int, interval_s: int, now_us: int) -> Band | None:
        """The newest that is known now, of an interval; None where there is none, or it does not reach so far."""
        ...


class StoredBands:
    """What the forecast part issued, by the files it keeps."""

    def __init__(self, state: Path) -> None:
        self._folder = state / FOLDER

    def band(self, forecast: str, start_us: int, interval_s: int, now_us: int) -> Band | None:
        """See `Bands`."""
        try:
            with Issues(self._folder) as issues:
                row = issues.newest(forecast, Track.LONG, now_us * 1_000)
        except (NoForecast, OSError, sqlite3.Error) as error:
            log.debug("forecast %s: %s", forecast, error)
            return None
        axis = Axis(datetime.fromtimestamp(start_us / MICROS, UTC), timedelta(seconds=interval_s), 1)
        columns = row.values.astype(np.float64).T
        kilowatts = [float(on_axis(each, row.issue / S_NS, row.step_s, axis)[0]) for each in columns]
        if not np.isfinite(kilowatts).all():
            return None
        # Models may cross their quantiles; sorted, none of them says less than one below it.
        return Band(row.quantiles, tuple(sorted(kilowatts)), row.issue // 1_000, row.is_doubtful)
