"""The part that watches the health of assets. It reads history, a day once, and writes tags of its own."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from gateway.config.health import HealthAsset
from gateway.config.health_section import TEXT_BYTES
from gateway.config.part import PartContext, work_in_thread
from gateway.config.site import Site, Tag
from gateway.config.system import HEALTH_OWNER
from gateway.tags.image import Region, Writer
from gateway.tags.quality import Quality
from gateway.tags.sample import to_bits
from gateway.tags.tag import ValueType
from historian.errors import HistoryError
from historian.health_job.assess import Assessment
from historian.health_job.rounds import Due, Rounds
from historian.health_job.store import HealthStore, KeptItem
from historian.query.history import History

log = logging.getLogger(__name__)

FIRST_LOOK_S: Final = 20.0  # so long after its start the others have theirs behind them
LOOK_S: Final = 2.0  # between looks at what people did, and at whether a day is due
REFRESH_S: Final = 60.0
DAYS_A_LOOK: Final = 10  # of a backlog, so that a stop is noticed and tags are told
BACKLOG_S: Final = 5.0  # between words on how much of it is left
AGAIN_S: Final = 30.0  # after a failure
DUE_S: Final = 60.0  # between two questions to history whether there is something to look at
NICE: Final = 10  # it has time


async def run(context: PartContext) -> None:
    """Watch until stopped. Raises RegionError where there is no region, or somebody else watches."""
    site, paths = context.site, context.paths

    def work(stop: threading.Event, ready: Callable[[], object]) -> None:
        watch(context.region_name, site, paths.history, paths.health, stop, ready)

    await work_in_thread(context, work)


def watch(
    region_name: str,
    site: Site,
    history_folder: Path,
    path: Path,
    stop: threading.Event,
    ready: Callable[[], object],
    *,
    first_look_s: float = FIRST_LOOK_S,
    look_s: float = LOOK_S,
    again_s: float = AGAIN_S,
    clock: Callable[[], int] = time.time_ns,
) -> None:
    """Watch until ``stop``. What fails (history, the disk) is told once, and all is begun anew from what is kept."""
    if hasattr(os, "setpriority"):  # of this thread, on Linux: the part's beat is not to wait
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
    history = History(history_folder, clock=clock)
    try:
        with Region.attach(region_name) as region:
            publisher = Publisher(site.health, site.tags, region.claim(HEALTH_OWNER))
            publisher.wait("waits for its first look at history", clock())
            ready()
            stop.wait(first_look_s)
            complaint = ""
            while not stop.is_set():
                try:
                    with HealthStore.to_write(path) as store:
                        round = _Round(Rounds(site.health, history, store), store, publisher, clock)
                        while not stop.is_set():
                            is_all_kept = round.look(stop)
                            if complaint and is_all_kept:
                                log.info("health is watched again")
                                complaint = ""
                            if is_all_kept:
                                stop.wait(look_s)
                except (HistoryError, OSError, sqlite3.Error, ImportError) as error:
                    if str(error) != complaint:
                        log.error("HEALTH CANNOT BE WATCHED: %s", error)
                    complaint = str(error)
                    publisher.complain(complaint, clock())
                    stop.wait(again_s)
    finally:
        history.close()


class _Round:
    """Days that are due one after the other, and what follows of them."""

    def __init__(
        self, rounds: Rounds, store: HealthStore, publisher: Publisher, clock: Callable[[], int]
    ) -> None:
        self._rounds = rounds
        self._store = store
        self._publisher = publisher
        self._clock = clock
        self._asked, self._told, self._version = -DUE_S, -REFRESH_S, -1
        self._due: list[Due] = []
        self._found: Sequence[Assessment] = ()

    def look(self, stop: threading.Event) -> bool:
        """Some of the days that are due, and tags told; whether no more are. Raises what `Rounds.look` does."""
        clock, publisher, store, due = self._clock, self._publisher, self._store, self._due
        steady = time.monotonic()
        if not due and steady - self._asked >= DUE_S:
            due[:], self._asked = self._rounds.due(clock()), steady
        has_looked = bool(due)
        for _ in range(min(len(due), DAYS_A_LOOK)):
            self._rounds.look(due[0])
            due.pop(0)
            if stop.is_set():
                return False
        if due:
            # What is summed up lacks days as yet: no such number is told.
            if steady - self._told >= BACKLOG_S or self._found:
                publisher.wait(f"looks at history: {len(due):,} days are left", clock())
                self._told, self._found = steady, ()
            return False
        if has_looked or not self._found or store.version != self._version:
            self._found, self._version = self._rounds.assess(clock()), store.version
            self._told = -REFRESH_S
        if steady - self._told >= REFRESH_S:
            publisher.tell(self._found, store.items(), clock())
            self._told = steady
        return True


class Publisher:
    """Writes what is known of each asset, and makes Bad what is not."""

    def __init__(self, assets: Sequence[HealthAsset], tags: Sequence[Tag], writer: Writer) -> None:
        self._assets = {asset.name: asset for asset in assets}
        self._types = [tag.type for tag in tags]
        self._writer = writer

    def wait(self, why: str, now: int) -> None:
        self._all_bad(why, Quality.BAD_NO_DATA, now)

    def complain(self, why: str, now: int) -> None:
        self._all_bad(f"cannot be watched: {why}", Quality.BAD_OUT_OF_SERVICE, now)

    def tell(self, found: Sequence[Assessment], items: Sequence[KeptItem], now: int) -> None:
        for assessment in found:
            asset = self._assets[assessment.asset]
            for name, place in asset.tags.outputs:
                reading = assessment.of(name)
                if reading is None or reading.value is None:
                    self._writer.invalidate(Quality.BAD_NO_DATA, now, np.array([place], np.uint32))
                else:
                    self._write(place, reading.value, now)
            own = [kept for kept in items if kept.item.asset == asset.name]
            self._write(asset.tags.open_items, sum(kept.is_unseen for kept in own), now)
            self._write(asset.tags.urgency, max((kept.rank for kept in own), default=0), now)
            self._say(asset, assessment.state, Quality.GOOD, now)

    def _all_bad(self, why: str, quality: Quality, now: int) -> None:
        for asset in self._assets.values():
            places = [place for _, place in asset.tags.outputs]
            places += [asset.tags.open_items, asset.tags.urgency]
            self._writer.invalidate(quality, now, np.array(places, np.uint32))
            self._say(asset, why, Quality.GOOD, now)

    def _write(self, place: int, value: float, now: int) -> None:
        type = self._types[place]
        whole = value if type is ValueType.DOUBLE else bool(value) if type is ValueType.BOOL else round(value)
        bits = to_bits(np.array([whole]), type)
        self._writer.write(np.array([place], np.uint32), bits, Quality.GOOD, now, now)

    def _say(self, asset: HealthAsset, words: str, quality: Quality, now: int) -> None:
        raw = words.encode()
        text = words if len(raw) <= TEXT_BYTES else raw[: TEXT_BYTES - 3].decode(errors="ignore") + "..."
        self._writer.write_texts(np.array([asset.tags.state], np.uint32), [text], quality, now, now)
