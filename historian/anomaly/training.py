"""What a detector of a site has learned from: rows of history, kept so that a restart learns the same again.

A restart while a fault goes on must not learn the fault. ``<name>.npz`` holds the rows and the settings they are for;
with other settings, or when the file is gone, it is learned anew. Atomically replaced, so there is no half of one.
"""

from __future__ import annotations

import logging
import os
import zipfile
from pathlib import Path

import numpy as np

from gateway.config.anomaly import Anomaly
from gateway.tags.quality import SEVERITY_BAD
from historian.anomaly.detector import NS_PER_S, Floats, Times
from historian.query.history import History

log = logging.getLogger(__name__)

MOST_CELLS = 2_000_000  # rows times tags: 16 MB, and seconds of learning
LEAST_ROWS = 60
LEAST_PRESENT = 0.5  # of the cells; else it is no picture of what is usual

Rows = tuple[Times, Floats]


def recalled(directory: Path, anomaly: Anomaly) -> Rows | None:
    """What it learned from before, if that was with the same settings."""
    path = directory / f"{anomaly.name}.npz"
    try:
        with path.open("rb") as stored, np.load(stored, allow_pickle=False) as file:
            if str(file["settings"]) != _settings(anomaly):
                return None
            times, table = file["times"], file["table"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        log.warning("%s cannot be read, %s learns anew: %s", path, anomaly.name, error)
        return None
    if times.ndim != 1 or table.shape != (len(times), len(anomaly.names)):
        return None
    return times.astype(np.int64), table.astype(np.float64)


def keep(directory: Path, anomaly: Anomaly, rows: Rows) -> None:
    """Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{anomaly.name}.npz"
    new = path.with_suffix(".new")
    try:
        with new.open("wb") as file:
            np.savez_compressed(file, settings=np.array(_settings(anomaly)), times=rows[0], table=rows[1])
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)  # where the disk is full, what it takes is somebody else's
        raise


def from_history(history: History, anomaly: Anomaly, now: int) -> Rows | int:
    """The last ``learn_min`` minutes; where there is too little, how many rows are missing.

    A tag keeps its value from sample to sample; what is Bad is missing. Raises HistoryError, OSError.
    """
    period_ns = round(anomaly.period_s * NS_PER_S)
    wanted = max(LEAST_ROWS, round(anomaly.learn_min * 60 / anomaly.period_s))
    wanted = max(LEAST_ROWS, min(wanted, MOST_CELLS // len(anomaly.names)))
    times = now - period_ns * np.arange(wanted, 0, -1, dtype=np.int64)
    table = np.full((wanted, len(anomaly.names)), np.nan)
    for column, name in enumerate(anomaly.names):
        try:
            series = history.raw(name, int(times[0]) - 60 * NS_PER_S, now)
        except KeyError:
            continue  # no sample of it was kept yet
        place = np.searchsorted(series.source_times, times, "right") - 1
        if not len(series.values):
            continue
        values = np.asarray(series.values, np.float64)[np.maximum(place, 0)]
        is_bad = (np.asarray(series.statuses)[np.maximum(place, 0)] & SEVERITY_BAD) != 0
        table[:, column] = np.where((place >= 0) & ~is_bad, values, np.nan)
    present = int(np.isfinite(table).sum())
    is_there = np.flatnonzero(np.isfinite(table).any(axis=1))
    missing = int(is_there[0]) if len(is_there) else wanted
    if missing > wanted // 20:  # history begins within the last twentieth of what is wanted, or it waits
        return missing
    if present < LEAST_PRESENT * table.size:
        return wanted - present // table.shape[1]
    return times, table


def _settings(anomaly: Anomaly) -> str:
    return repr(
        (str(anomaly.detector), anomaly.names, anomaly.parameters, anomaly.period_s, anomaly.learn_min)
    )
