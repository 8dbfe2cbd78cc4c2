"""Issued forecasts as frames, for notebooks and other parts: from the state folder, while the site runs or not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from historian.forecast_job.plan import Track
from historian.forecast_job.store import FOLDER, Issues, Row
from historian.keeping.zone import zone_of
from historian.libraries import load


@dataclass(frozen=True, slots=True)
class Issued:
    """``frame``: indexed by the start of each step, in the site's time zone; a column a quantile, averages of steps.

    ``issue``: when what it knew ended and its first step began; ``trained``: when its model was, both as pandas'
    Timestamp. ``is_doubtful`` where inputs were missing.
    """

    frame: Any
    issue: Any
    model: str
    trained: Any
    is_doubtful: bool


def latest_forecast(state: Path, name: str, track: str = "15min", at_ns: int | None = None) -> Issued:
    """The newest forecast of this name (or the newest issued by ``at_ns``), in steps of ``15min`` or ``5min``.

    How old it is, ``issue`` tells: the caller decides what is too old. Raises NoForecast, ImportError without pandas.
    """
    with Issues(state / FOLDER) as issues:
        return _issued(issues.newest(name, Track(track), at_ns), zone_of(state / "history"))


def issued_between(
    state: Path, name: str, start_ns: int, end_ns: int, track: str = "15min"
) -> dict[Any, Issued]:
    """All that were issued from ``start_ns`` on and before ``end_ns``, by issue time. Raises NoForecast."""
    zone = zone_of(state / "history")
    with Issues(state / FOLDER) as issues:
        rows = [_issued(row, zone) for row in issues.between(name, Track(track), start_ns, end_ns)]
    return {row.issue: row for row in rows}


def frame_of(row: Row, zone: Any) -> Any:
    """Its quantiles, with the start of each step in ``zone``."""
    pandas = load("pandas", "a forecast")
    index = pandas.DatetimeIndex(row.starts.view("M8[ns]"), name="time").tz_localize("UTC").tz_convert(zone)
    return pandas.DataFrame(row.values.astype("f8"), index=index, columns=list(row.quantiles))


def _issued(row: Row, zone: Any) -> Issued:
    pandas = load("pandas", "a forecast")

    def moment(time_ns: int) -> Any:
        return pandas.Timestamp(time_ns, tz="UTC").tz_convert(zone)

    return Issued(frame_of(row, zone), moment(row.issue), row.model, moment(row.trained), row.is_doubtful)
