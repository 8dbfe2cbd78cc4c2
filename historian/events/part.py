"""The part that keeps event frames. A process of its own: reading history for summaries takes nothing from ingest.

Once a second it looks which flags were written, reads their history on from where it stopped, and keeps what it
found. A flag whose newest sample is not in history yet is looked at again.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from gateway.config.events import Event
from gateway.config.part import PartContext, work_in_thread
from gateway.tags.image import Region
from gateway.tags.quality import is_bad
from gateway.tags.sample import Samples
from historian.errors import HistoryError
from historian.events.store import EventStore
from historian.events.summary import summaries_of
from historian.events.track import FlagSample, Gap, Track, follow
from historian.query.average import UNCERTAIN_DATA_SUB_NORMAL
from historian.query.history import History

log = logging.getLogger(__name__)

LOOK_S = 1.0
MOST_SUMMARISED = 20  # frames a look: a burst of endings is worked off, and stopping is noticed
UNWATCHED = frozenset(
    {"stopped", "lapped", "damage"}
)  # kinds of gaps in which a flag may have changed unseen
_LAST = 2**62


async def run(context: PartContext) -> None:
    """Keep frames until stopped. Raises RegionError where there is no region."""
    site, paths = context.site, context.paths

    def work(stop: threading.Event, ready: Callable[[], object]) -> None:
        keep_frames(context.region_name, paths.history, site.events, stop, ready)

    await work_in_thread(context, work)


def keep_frames(
    region_name: str,
    directory: Path,
    events: Sequence[Event],
    stop: threading.Event,
    ready: Callable[[], object],
) -> None:
    """Keep frames until ``stop``."""
    flags = np.array([event.flag.tag for event in events], np.uint32)
    history = History(directory)
    with Region.attach(region_name) as region:
        follower = Follower(directory, events, history, time.time_ns)
        try:
            follower.open()
            ready()
            while not stop.is_set():
                follower.look(region.read(flags))
                stop.wait(LOOK_S)
            follower.look(region.read(flags))
        finally:
            follower.close()
            history.close()


class Follower:
    """Follows all flags of a site through history. Trouble with files is logged, and tried again at each look."""

    def __init__(
        self, directory: Path, events: Sequence[Event], history: History, clock: Callable[[], int]
    ) -> None:
        self._directory = directory
        self._events = events
        self._history = history
        self._clock = clock
        self._store: EventStore | None = None
        self._tracks: list[Track] = []
        self._receipts = np.full(len(events), -1, np.int64)
        self._is_behind = [True] * len(events)
        self._is_kept = [False] * len(events)  # the frame that goes on
        self._complaint = ""

    def open(self) -> None:
        """The file of frames, made where there is none."""
        try:
            self._opened()
        except (HistoryError, OSError, sqlite3.Error) as error:
            self._complain(error)

    def close(self) -> None:
        if self._store is not None:
            self._store.close()

    def look(self, flags: Samples) -> None:
        """``flags`` is what the image says of them now."""
        try:
            store = self._opened()
            self._summarise(store)
            self._follow(store, flags)
        except (HistoryError, OSError, sqlite3.Error) as error:
            self._complain(error)
        else:
            if self._complaint:
                log.info("event frames are kept again")
            self._complaint = ""

    def _opened(self) -> EventStore:
        if self._store is None:
            store = EventStore(self._directory)
            try:
                store.end_without_event(self._events, self._clock())
                self._tracks = [store.track(event) for event in self._events]
            except BaseException:
                store.close()
                raise
            self._store = store
        return self._store

    def _complain(self, error: Exception) -> None:
        if str(error) != self._complaint:
            log.error("EVENT FRAMES ARE NOT BEING KEPT: %s", error)
        self._complaint = str(error)

    def _follow(self, store: EventStore, flags: Samples) -> None:
        written = flags["receipt_time"] != self._receipts
        gaps: list[Gap] | None = None
        now = self._clock()
        for place, event in enumerate(self._events):
            track = self._tracks[place]
            is_young = track.start is not None and not self._is_kept[place]
            if not (written[place] or self._is_behind[place] or is_young or track.end is not None):
                continue
            if gaps is None:
                found = self._history.gaps()
                gaps = [(gap.from_time, gap.to_time) for gap in found if gap.kind in UNWATCHED]
            samples, self._is_behind[place] = self._read(event, track, flags[place])
            known_until = now
            if self._is_behind[place]:  # time passes only as far as history goes
                known_until = samples[-1][0] if samples else track.cursor
            followed = follow(event, track, samples, gaps, known_until)
            is_new = followed.open is not None and not self._is_kept[place]
            if followed.track != track or is_new:
                store.keep(event, followed)
            self._tracks[place] = followed.track
            self._is_kept[place] = followed.open is not None
            self._receipts[place] = flags["receipt_time"][place]

    def _read(self, event: Event, track: Track, flag: np.void) -> tuple[list[FlagSample], bool]:
        """The flag's history from the cursor on, and whether the newest is not in it yet."""
        newest, status = int(flag["source_time"]), int(flag["status"])
        try:
            series = self._history.raw(event.flag_name, track.cursor, _LAST)
        except KeyError:
            return [], True
        samples: list[FlagSample] = list(
            zip(
                series.source_times.tolist(),
                series.values.tolist(),
                series.statuses.tolist(),
                strict=True,
            )
        )
        is_on = bool(flag["value"])
        if newest < track.cursor and not is_bad(status) and track.is_on is not is_on:
            # The clock was set back: history has this before the cursor, where nobody would look for it.
            samples.append((track.cursor, is_on, UNCERTAIN_DATA_SUB_NORMAL))
        last = samples[-1][0] if samples else track.cursor
        return samples, newest > last

    def _summarise(self, store: EventStore) -> None:
        """Of frames that ended at an earlier look: by now history has all of it."""
        wanted = {(event.name, event.device): event.summaries for event in self._events}
        for id, name, device, start, end in store.to_summarise()[:MOST_SUMMARISED]:
            summaries = summaries_of(self._history, wanted.get((name, device), ()), start, end)
            store.summarise(id, summaries)
