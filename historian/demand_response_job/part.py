"""The part that tells of events of demand response: each second, which runs, how long, and what is asked."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from gateway.config.demand_response import DemandProgramme, DemandResponseSettings
from gateway.config.demand_response_section import SO_FAR, TEXT_BYTES
from gateway.config.part import TURN_S, PartContext, work_in_thread
from gateway.config.system import DEMAND_RESPONSE_OWNER
from gateway.tags.image import Region, Writer
from gateway.tags.quality import Quality
from gateway.tags.sample import to_bits
from gateway.tags.tag import ValueType
from historian.demand_response_job.live import UNKNOWN, Live, SoFar
from historian.demand_response_job.store import S_NS, Call, Calls
from historian.errors import HistoryError
from historian.keeping.zone import zone_named

log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
REFRESH_S: Final = 2.0  # what stays is told again, before anybody takes it for stale
SO_FAR_REFRESH_S: Final = 20.0
AGAIN_S: Final = 5.0  # the file is opened again: after a failure, and for what came after a full disk


async def run(context: PartContext) -> None:
    """Tell until stopped. Raises RegionError where there is no region, or somebody else tells."""
    settings, path = context.site.demand_response, context.paths.demand_response
    assert settings is not None, "the site has a section `demand_response`"
    live = Live(settings, context.paths.history, zone_named(context.site.time_zone))

    def work(stop: threading.Event, ready: Callable[[], object]) -> None:
        tell_on(context.region_name, settings, path, stop, ready, live)

    await work_in_thread(context, work, TURN_S)


def tell_on(
    region_name: str,
    settings: DemandResponseSettings,
    path: Path,
    stop: threading.Event,
    ready: Callable[[], object],
    live: Live | None = None,
    *,
    look_s: float = LOOK_S,
    again_s: float = AGAIN_S,
    clock: Callable[[], int] = time.time_ns,
) -> None:
    """Tell until ``stop``; without ``live``, not by how much participants went down."""
    with Region.attach(region_name) as region:
        teller = Teller(settings, region.claim(DEMAND_RESPONSE_OWNER), live)
        ready()
        complaint = ""
        while not stop.is_set():
            try:
                with _opened(path) as calls:
                    _tell(calls, teller, stop, look_s, again_s, clock)
                if complaint:
                    log.info("events of demand response are known again")
                    complaint = ""
            except (sqlite3.Error, OSError, HistoryError) as error:
                if str(error) != complaint:
                    log.error("EVENTS OF DEMAND RESPONSE ARE NOT KNOWN: %s", error)
                complaint = str(error)
                teller.fail(clock())
                stop.wait(again_s)


def _opened(path: Path) -> Calls:
    """To read, for a full disk lets us: what was given is asked for all the same. Made where there is none."""
    if not path.exists():
        Calls.to_write(path).close()
    return Calls.to_read(path)


def _tell(
    calls: Calls,
    teller: Teller,
    stop: threading.Event,
    look_s: float,
    for_s: float,
    clock: Callable[[], int],
) -> None:
    """For so long: where there was no room for a log, the file is read as it lay when it was opened."""
    version, known = -1, calls.all()
    until = time.monotonic() + for_s
    while not stop.is_set() and time.monotonic() < until:
        if calls.version != version:
            version, known = calls.version, calls.all()
        teller.tell(known, clock())
        stop.wait(look_s)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a programme asks at a moment; None: there is no such thing to tell."""

    level: int
    remaining_s: float
    starts_in_s: float | None
    target_kw: float
    import_max_kw: float | None
    event: str


def standing(
    settings: DemandResponseSettings, programme: DemandProgramme, calls: Sequence[Call], now: int
) -> Standing:
    """Of the event that runs; else of the next, with nothing asked yet."""
    own = [call for call in calls if call.programme == programme.name and not call.is_void]
    runs = next((call for call in own if call.runs_at(now)), None)
    ahead = next((call for call in own if call.start > now), None)
    starts_in_s = None if ahead is None else (ahead.start - now) / S_NS
    if runs is None:
        return Standing(0, 0.0, starts_in_s, 0.0, None, "" if ahead is None else ahead.name)
    target = sum(
        each.committed_kw[runs.level - 1]
        for each in settings.participants
        if each.name in programme.participants and runs.takes_part(each.name, now)
    )
    left_s = (runs.end - now) / S_NS
    return Standing(runs.level, left_s, starts_in_s, target, programme.import_max_kw, runs.name)


class Teller:
    """Writes what follows the clock each second, all else when it changes and now and then."""

    def __init__(self, settings: DemandResponseSettings, writer: Writer, live: Live | None = None) -> None:
        self._settings = settings
        self._live = live
        self._writer = writer
        self._told: dict[int, tuple[object, int]] = {}
        self._slow = {getattr(one.tags, name) for one in settings.programmes for name in SO_FAR}

    def tell(self, calls: Sequence[Call], now: int) -> None:
        for programme in self._settings.programmes:
            found, tags = standing(self._settings, programme, calls, now), programme.tags
            self._number(tags.remaining_s, found.remaining_s, now)
            self._number(tags.starts_in_s, found.starts_in_s, now)
            self._number(tags.target_kw, found.target_kw, now)
            self._number(tags.import_max_kw, found.import_max_kw, now)
            self._text(tags.event, found.event, now)
            so_far = self._so_far(programme, calls, now)
            self._number(tags.reduction_kw, so_far.reduction_kw, now, is_whole=so_far.is_whole)
            self._text(tags.short, so_far.short, now)
            # Last, so that all that belongs to a level is there by then.
            self._number(tags.level, found.level, now, ValueType.UINT64)

    def _so_far(self, programme: DemandProgramme, calls: Sequence[Call], now: int) -> SoFar:
        runs = next((call for call in calls if call.programme == programme.name and call.runs_at(now)), None)
        if runs is None or self._live is None:
            return UNKNOWN
        return self._live.so_far(programme, runs, calls, now)

    def fail(self, now: int) -> None:
        """Nothing is known: all is Bad."""
        self._told.clear()
        for programme in self._settings.programmes:
            tags = programme.tags
            places = [getattr(tags, name) for name in tags.__dataclass_fields__]
            self._writer.invalidate(Quality.BAD_OUT_OF_SERVICE, now, np.array(places, np.uint32))

    def _is_due(self, tag: int, value: object, now: int) -> bool:
        told = self._told.get(tag)
        refresh_s = SO_FAR_REFRESH_S if tag in self._slow else REFRESH_S
        if told is not None and told[0] == value and 0 <= now - told[1] < refresh_s * S_NS:
            return False
        self._told[tag] = (value, now)
        return True

    def _text(self, tag: int, text: str, now: int) -> None:
        if self._is_due(tag, text, now):
            cut = text.encode()[:TEXT_BYTES].decode(errors="ignore")
            self._writer.write_texts(np.array([tag], np.uint32), [cut], Quality.GOOD, now, now)

    def _number(
        self,
        tag: int,
        value: float | None,
        now: int,
        type: ValueType = ValueType.DOUBLE,
        *,
        is_whole: bool = True,
    ) -> None:
        if not self._is_due(tag, (value, is_whole), now):
            return
        place = np.array([tag], np.uint32)
        if value is None:
            self._writer.invalidate(Quality.BAD_NO_DATA, now, place)
        else:
            quality = Quality.GOOD if is_whole else Quality.UNCERTAIN_DATA_SUB_NORMAL
            self._writer.write(place, to_bits(np.array([value]), type), quality, now, now)
