"""The forecasts of a site, one look after the other: issue, score, train when it is due. Knows no tags."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from gateway.config.forecasts import Forecast
from gateway.config.plant_time import WALL_TIME, PlantTime
from historian.forecast_job.lane import Lane
from historian.forecast_job.patterns import PatternWatch
from historian.forecast_job.plan import DAY_S, S_NS, Track, plans_of
from historian.forecast_job.standing import (
    ALERT_DAYS,
    COMPARED_DAYS,
    DAY_NS,
    SCORED_DAYS,
    Alerts,
    Standing,
    alerts,
    has_risen,
    stand,
)
from historian.forecast_job.store import ForecastStore, Training
from historian.forecast_job.trainer import Trainer, is_due
from historian.query.history import History
from historian.query.plant import open_history

log = logging.getLogger(__name__)

STAND_NS: Final = 3600 * S_NS  # how often scores are reckoned
NOTHING: Final = Alerts(float("nan"), float("nan"))


class Job:
    """One forecast."""

    def __init__(
        self,
        forecast: Forecast,
        history: History,
        store: ForecastStore,
        folder: Path,
        zone: str,
        speed: float = 1.0,
    ) -> None:
        self.forecast = forecast
        self.lanes = {
            plan.track: Lane(plan, history, store, folder, zone, speed) for plan in plans_of(forecast)
        }
        self.patterns = PatternWatch(forecast, history, folder, zone, self.long.grace_ns)
        self.standing = Standing()
        self.alerts = NOTHING
        self.failure = ""  # of the last training
        self.tried: int | None = store.last_training(forecast.name)
        self._history = history
        self._store = store
        self._stood_at = -STAND_NS
        self._drifts_since: int | None = None

    @property
    def long(self) -> Lane:
        return self.lanes[Track.LONG]

    @property
    def is_drifting(self) -> bool:
        return self.standing.drifts(self.long.description)

    @property
    def drifts_untrained(self) -> bool:
        """Whether it drifts and was not trained since that began: once is enough, the nights do the rest."""
        return self._drifts_since is not None and (self.tried is None or self.tried < self._drifts_since)

    def look(self, now: int) -> bool:
        """True where there is something new to tell."""
        changed = [lane.look(now) for lane in self.lanes.values()]
        changed.append(self.patterns.look(now))
        if now - self._stood_at >= STAND_NS or now < self._stood_at:
            self._stood_at = now
            self._stand(now)
            if self.forecast.keep_days and not self.unkept:  # deleting takes room too, at first
                self._store.forget(self.forecast.name, now - self.forecast.keep_days * DAY_S * S_NS)
            return True
        return any(changed)

    @property
    def unkept(self) -> str:
        """Why forecasts that were issued are not on the disk; empty where they are."""
        return next((lane.unkept for lane in self.lanes.values() if lane.unkept), "")

    def _stand(self, now: int) -> None:
        if not self.long.has_model:
            return
        since = now - (SCORED_DAYS * DAY_NS + self.long.plan.horizon * self.long.plan.step_ns)
        name, scale = self.forecast.name, float(self.long.description["scale"])
        rows = list(self._store.between(name, Track.LONG, since, now))
        standing = stand(self._history, self.long.plan, rows, scale, now)
        watched = self._store.between(name, Track.LONG, now - (COMPARED_DAYS + 2) * DAY_NS, now)
        self.standing = replace(standing, has_risen=has_risen(self._history, self.long.plan, watched, now))
        if not self.is_drifting:
            self._drifts_since = None
        elif self._drifts_since is None:
            self._drifts_since = now
            log.warning("THE FORECAST %s DRIFTS: it errs more than it used to", name)
        if Track.SPIKE in self.lanes:
            rows = list(self._store.between(name, Track.SPIKE, now - ALERT_DAYS * DAY_NS, now))
            self.alerts = alerts(self._history, self.lanes[Track.SPIKE].plan, rows, now)


class Jobs:
    """All forecasts, and the one training that may go on. Its errors are logged once each, and tried again."""

    def __init__(
        self,
        forecasts: Sequence[Forecast],
        history: Path,
        folder: Path,
        zone: str,
        clock: Callable[[], int],
        plant: PlantTime = WALL_TIME,
    ) -> None:
        """``clock`` is the wall's; all that is reckoned and kept is of the plant's time.

        Raises OSError, sqlite3.Error, UnknownFormat.
        """
        self._history = open_history(history, plant, clock)
        self._store = ForecastStore(folder)
        self._zone = zone
        self._speed = plant.speed
        self._unkept = ""
        self._clock = plant.clock(clock)
        self.trainer = Trainer(history, folder, zone, plant)
        self.jobs = [
            Job(forecast, self._history, self._store, folder, zone, plant.speed) for forecast in forecasts
        ]

    def close(self) -> None:
        self.trainer.stop()
        self._store.close()
        self._history.close()

    def look(self) -> set[str]:
        """The forecasts about which there is something new to tell. Raises OSError, HistoryError, sqlite3.Error."""
        now = self._clock()
        new = {job.forecast.name for job in self.jobs if job.look(now)}
        self._tell_unkept()
        if self.trainer.is_busy:
            outcome = self.trainer.poll()
            if outcome is not None:
                new.add(self._ended(outcome, now))
        if not self.trainer.is_busy:
            new |= self._train(now)
        return new

    def _tell_unkept(self) -> None:
        why = next((job.unkept for job in self.jobs if job.unkept), "")
        if why and not self._unkept:
            log.error("FORECASTS ARE ISSUED, BUT NOT KEPT: %s; they wait for room", why)
        elif self._unkept and not why:
            log.info("forecasts are kept again, with those that waited")
        self._unkept = why

    def _train(self, now: int) -> set[str]:
        for job in self.jobs:
            ready = [lane.plan for lane in job.lanes.values() if lane.has_model or not lane.needed]
            complete = all(lane.has_model for lane in job.lanes.values() if lane.plan in ready)
            if ready and is_due(
                job.forecast, job.tried, complete, job.drifts_untrained, now, self._zone, self._speed
            ):
                job.tried = now
                try:
                    self.trainer.start(ready, job.forecast.deadline_min * 60)
                except OSError as error:
                    return {self._not_trained(job, str(error), now)}
                log.info("trains the models of %s", job.forecast.name)
                return {job.forecast.name}
        return set()

    def _ended(self, outcome: str, now: int) -> str:
        name = self.trainer.forecast
        job = next(job for job in self.jobs if job.forecast.name == name)
        if outcome:
            return self._not_trained(job, outcome, now)
        job.failure = "; ".join(self._store.failures(name, job.tried or 0))
        if job.failure:
            log.error("MODELS OF %s WERE NOT TRAINED: %s", name, job.failure)
        else:
            log.info("the models of %s are trained", name)
        return name

    def _not_trained(self, job: Job, why: str, now: int) -> str:
        name, job.failure = job.forecast.name, why
        log.error("MODELS OF %s WERE NOT TRAINED: %s", name, why)
        # Where the disk is full this is not noted; the old models stay, and the next night tries again.
        with contextlib.suppress(sqlite3.Error):
            self._store.keep_training(Training(name, Track.LONG, now, why, "", {}))
        return name
