"""The part that calculates: sleeps until something is written, lets a burst be one, and reckons what it concerns."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

from gateway.calculated.evaluate import Evaluator
from gateway.calculated.totaliser import Recall, Totaliser
from gateway.config.part import TURN_S, PartContext, work_in_thread
from gateway.config.site import Site
from gateway.config.system import CALCULATED_OWNER
from gateway.tags.image import Region

log = logging.getLogger(__name__)

GATHER_S = (
    0.02  # changes within it are one: at 10 Hz no tag has two, and 10,000 of them are some rounds a second
)


async def run(context: PartContext, recall: Recall) -> None:
    """Calculate until stopped; ``recall`` reads history. Raises RegionError where there is no region, or somebody
    else calculates.
    """
    site, totals = context.site, context.paths.totals

    def work(stop: threading.Event, ready: Callable[[], object]) -> None:
        calculate(context.region_name, site, totals, recall, stop, ready)

    await work_in_thread(context, work, TURN_S)


def calculate(
    region_name: str,
    site: Site,
    totals_path: Path,
    recall: Recall,
    stop: threading.Event,
    ready: Callable[[], object],
) -> None:
    """Calculate until ``stop``."""
    calculated = () if site.calculated is None else site.calculated.tags
    evaluator = Evaluator((*calculated, *(event.flag for event in site.events)), site.tags)
    zone = UTC if site.time_zone == "UTC" else ZoneInfo(site.time_zone)
    totaliser = Totaliser(site.totals, site.tags, zone, totals_path, recall) if site.totals else None
    with Region.attach(region_name) as region:
        writer = region.claim(CALCULATED_OWNER)
        evaluator.restore(region.read(evaluator.own))
        if totaliser is not None:
            totaliser.start(region, time.time_ns())
        ready()
        while not stop.is_set():
            bell = region.bell()
            now, steady = time.time_ns(), time.monotonic_ns()
            results = evaluator.reckon(region.read(evaluator.inputs), now, steady)
            if len(results):
                writer.write(results.tags, results.values, results.statuses, results.source_times, now)
            if totaliser is not None:
                totaliser.take(now)
                totaliser.tell(writer, now, steady)
                totaliser.keep(steady)
            seen = region.wait(bell, evaluator.wait_ns(time.monotonic_ns()) / 1e9)
            if seen != bell:
                stop.wait(GATHER_S)
        if totaliser is not None:
            totaliser.take(time.time_ns())
            totaliser.keep(time.monotonic_ns(), at_once=True)
