"""Training beside a running site: when it is due, and the process it runs in, which is killed at its deadline."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from gateway.config.forecasts import Forecast
from gateway.config.plant_time import WALL_TIME, PlantTime
from historian.forecast_job.plan import S_NS, Plan

COMMAND: Final = (sys.executable, "-P", "-m", "historian.forecast_job.train_process")
AGAIN_NS: Final = 3600 * S_NS  # without a model, it is tried again so soon
DRIFT_AGAIN_NS: Final = 6 * 3600 * S_NS
NICENESS: Final = 10
KILLED_S: Final = 5.0  # a killed process is gone at once, but for one that waits for a disk
# Threads of the numerical libraries wait for each other by spinning, which a running site pays for.
_ONE_THREAD: Final = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True, slots=True)
class Request:
    """What the process is told."""

    history: Path
    folder: Path
    plans: tuple[Plan, ...]
    zone: str
    deadline_s: float
    niceness: int
    plant: PlantTime = WALL_TIME


def is_due(
    forecast: Forecast,
    last: int | None,
    has_model: bool,
    is_drifting: bool,
    now: int,
    zone: str,
    speed: float = 1.0,
) -> bool:
    """Whether it is to be trained: it was not since its time of day came last, or it has no model, or it drifts.

    A night that was missed is made up for. Times are the plant's; tries again are as far apart on the wall as ever.
    """
    if last is None:
        return True
    if not has_model and now - last >= AGAIN_NS * speed:
        return True
    if is_drifting and now - last >= DRIFT_AGAIN_NS * speed:
        return True
    return last < last_time(forecast.train_at, now, zone) or last > now  # the clock was set back


def last_time(at: tuple[int, int], now: int, zone: str) -> int:
    """When the clock on the wall last showed this time. In a night that skips it, an hour later."""
    local = datetime.fromtimestamp(now // S_NS, ZoneInfo(zone))
    moment = local.replace(hour=at[0], minute=at[1], second=0, microsecond=0, fold=0)
    if moment.timestamp() * S_NS > now:
        moment -= timedelta(days=1)  # on the wall: days of 23 and 25 hours count as one
    return int(moment.timestamp()) * S_NS


class Trainer:
    """At most one process at a time: a site has better use for its processors."""

    def __init__(self, history: Path, folder: Path, zone: str, plant: PlantTime = WALL_TIME) -> None:
        self._history = history
        self._plant = plant
        self._folder = folder
        self._zone = zone
        self._process: subprocess.Popen[bytes] | None = None
        self._until = 0.0
        self.niceness = NICENESS
        self.forecast = ""  # the one that is being trained

    def start(self, plans: Sequence[Plan], deadline_s: float) -> None:
        """Begin. Raises OSError."""
        assert self._process is None, "one training at a time"
        request = Request(
            *(self._history, self._folder, tuple(plans), self._zone, deadline_s, self.niceness),
            self._plant,
        )
        with self.log_path(plans[0].forecast.name).open("wb") as log:
            process = subprocess.Popen(
                COMMAND,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **_ONE_THREAD},
            )
        assert process.stdin is not None
        self._process, self._until = process, time.monotonic() + deadline_s
        self.forecast = plans[0].forecast.name
        with contextlib.suppress(BrokenPipeError), process.stdin:  # it ended at once: poll tells how
            pickle.dump(request, process.stdin)

    def log_path(self, forecast: str) -> Path:
        """What the process had to say."""
        return self._folder / f"training-{forecast}.log"

    def poll(self) -> str | None:
        """None while it goes on; empty once it has ended well, else why it did not. It must have been started."""
        assert self._process is not None, "nothing was started"
        status = self._process.poll()
        if status is None and time.monotonic() < self._until:
            return None
        self.stop()
        log = self.log_path(self.forecast)
        if status is None or status < 0:
            return (
                "the deadline passed: the old model stays"
                if status is None
                else f"killed by signal {-status}"
            )
        return "" if status == 0 else f"failed; see {log}"

    def stop(self) -> None:
        """Kill what goes on."""
        if self._process is not None:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(KILLED_S)
            self._process = None

    @property
    def is_busy(self) -> bool:
        return self._process is not None
