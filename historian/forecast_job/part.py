"""The part that forecasts. A process of its own: models and their libraries take nothing from anybody else.

Once a second it looks whether a step has ended, issues what is due, and tells its tags.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from gateway.config.forecasts import Forecast
from gateway.config.forecasts_section import REFRESH_MS, TEXT_BYTES
from gateway.config.part import PartContext, work_in_thread
from gateway.config.plant_time import WALL_TIME, PlantTime, keep_plant_time, speed_of
from gateway.config.site import Site
from gateway.config.system import FORECAST_OWNER
from gateway.tags.image import Region, Writer
from gateway.tags.quality import Quality, is_bad
from gateway.tags.sample import to_bits
from gateway.tags.tag import ValueType
from historian.errors import HistoryError
from historian.forecast_job.job import Job, Jobs
from historian.forecast_job.store import FOLDER
from historian.forecast_job.tags import Told, told

log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
AGAIN_S: Final = 10.0  # where their file cannot be opened
REFRESH_NS: Final = REFRESH_MS * 10**6


async def run(context: PartContext) -> None:
    """Forecast until stopped. Raises RegionError where there is no region, UnknownFormat, OSError."""
    site, paths = context.site, context.paths

    def work(stop: threading.Event, ready: Callable[[], object]) -> None:
        forecast(context.region_name, paths.state, site, stop, ready)

    await work_in_thread(context, work)


def forecast(
    region_name: str,
    state: Path,
    site: Site,
    stop: threading.Event,
    ready: Callable[[], object],
    clock: Callable[[], int] = time.time_ns,
    look_s: float = LOOK_S,
    again_s: float = AGAIN_S,
) -> None:
    """Forecast until ``stop``."""
    with Region.attach(region_name) as region:
        writer = region.claim(FORECAST_OWNER)
        plant = keep_plant_time(state, speed_of(site), clock)
        open_jobs = partial(
            Jobs, site.forecasts, state / "history", state / FOLDER, site.time_zone, clock, plant
        )
        jobs = _opened(open_jobs, site.forecasts, writer, clock, stop, ready, again_s)
        if jobs is None:
            return
        try:
            teller = Teller(writer, region, site.time_zone, clock, plant)
            ready()
            while not stop.is_set():
                new: set[str] = set()
                complaint = ""
                try:
                    new = jobs.look()
                except (HistoryError, OSError, sqlite3.Error) as error:
                    complaint = str(error)
                    if complaint != teller.complaint:
                        log.error("NOTHING IS FORECAST: %s", error)
                training = jobs.trainer.forecast if jobs.trainer.is_busy else ""
                teller.tell(jobs.jobs, new, training, complaint)
                stop.wait(look_s)
        finally:
            jobs.close()
            writer.release()


def _opened(
    open_jobs: Callable[[], Jobs],
    forecasts: Sequence[Forecast],
    writer: Writer,
    clock: Callable[[], int],
    stop: threading.Event,
    ready: Callable[[], object],
    again_s: float,
) -> Jobs | None:
    """Tried until the disk has room for their file; their states say why there is none. None: stopped before."""
    complaint = ""
    while not stop.is_set():
        try:
            jobs = open_jobs()
        except (OSError, sqlite3.Error) as error:
            if str(error) != complaint:
                log.error("NOTHING IS FORECAST: %s", error)
            complaint = str(error)
            own = [dict(forecast.tags) for forecast in forecasts]
            tags = np.array([tags[ending] for tags in own for ending in ("state", "trouble")], np.uint32)
            text = f"cannot begin: {error}".encode()[:TEXT_BYTES].decode(errors="ignore")
            writer.write_texts(tags, [text] * len(tags), Quality.GOOD, clock(), clock())
            ready()
            stop.wait(again_s)
            continue
        if complaint:
            log.info("forecasts begin")
        return jobs
    return None


class Teller:
    """Writes what is new to the tags, and all of it every minute. ``clock`` is the wall's.

    ``complaint`` is why none could be looked after at the last look; empty where all were.
    """

    def __init__(
        self,
        writer: Writer,
        region: Region,
        zone: str,
        clock: Callable[[], int],
        plant: PlantTime = WALL_TIME,
    ) -> None:
        self._writer = writer
        self._region = region
        self._zone = zone
        self._clock = clock
        self._plant = plant
        self._told: dict[str, int] = {}
        self.complaint = ""

    def tell(self, jobs: Sequence[Job], new: set[str], training: str, complaint: str = "") -> None:
        """``new`` are names of forecasts about which there is something new."""
        now = self._clock()
        if complaint != self.complaint:  # of which all tell
            self.complaint = complaint
            self._told.clear()
        due = [
            job
            for job in jobs
            if job.forecast.name in new
            or not 0 <= now - self._told.get(job.forecast.name, -REFRESH_NS) < REFRESH_NS
        ]
        if not due:
            return
        targets = self._region.read(np.array([job.forecast.target_tag for job in due], np.uint32))
        everything: list[Told] = []
        for job, status in zip(due, targets["status"].tolist(), strict=True):
            self._told[job.forecast.name] = now
            is_training = training == job.forecast.name
            plant_now = self._plant.plant_ns(now)
            everything += told(job, plant_now, is_bad(status), is_training, self._zone, complaint)
        self._write(everything, now)

    def _write(self, everything: Sequence[Told], now: int) -> None:
        for status in {each.status for each in everything if each.value is None}:
            gone = [each.tag for each in everything if each.value is None and each.status == status]
            self._writer.invalidate(status, now, np.array(gone, np.uint32))
        texts = [each for each in everything if isinstance(each.value, str)]
        numbers = [each for each in everything if each.value is not None and not isinstance(each.value, str)]
        if numbers:
            self._writer.write(
                np.array([each.tag for each in numbers], np.uint32),
                np.array([_bits(each.value, self._region.type_of(each.tag)) for each in numbers], np.uint64),
                np.array([each.status for each in numbers], np.uint32),
                now,
                now,
            )
        if texts:
            self._writer.write_texts(
                np.array([each.tag for each in texts], np.uint32),
                [str(each.value) for each in texts],
                np.array([each.status for each in texts], np.uint32),
                now,
                now,
            )


def _bits(value: Any, type: ValueType) -> int:
    return int(to_bits(np.array([value]), type)[0])
