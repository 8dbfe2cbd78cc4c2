"""The historian as a part: three threads around a recorder, until it is told to stop.

Ingest wakes on the shared journal's bell and then lets the flush interval run, so that a burst is one slice. Flushing
(compress, write, fdatasync) and packing have threads of their own: a slow disk never keeps the ring from being read.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue

from gateway.config.part import PartContext, Reload, work_in_thread
from gateway.config.site import HistorianSettings, Tag
from gateway.config.sizes import size_text
from gateway.tags.image import DEFAULT_JOURNAL_RECORDS, Region
from historian.ingest import Ingest, kept_tags, thinned_tags
from historian.keeping.importing.inbox import Inbox
from historian.keeping.retention import Held
from historian.keeping.zone import note_zone
from historian.store.frame import GapFrame
from historian.store.layout import DAY_NS, day_files, day_path, journal_directory
from historian.store.recorder import Recorder
from historian.thinning import Thinner

log = logging.getLogger(__name__)

GATHER_SHARE = (
    0.8  # of the flush interval goes to gathering; the rest is for taking, compressing and the disk
)
IDLE_WAIT_S = 0.25  # how long a quiet journal may keep ingest from seeing that it should stop
RETRY_S = 1.0  # between tries on a disk that does not take it
PACK_LOOK_S = 1.0  # how often the packer looks for closed segments; a look is one folder listing
LAST_FLUSH_S = 2.0  # what stopping may take: the part has 3 s


async def run(context: PartContext) -> None:
    """Record the region's journal into the site's history folder until stopped; then flush, and end.

    Raises DirectoryInUse where another historian has the folder, RegionError where there is no region.
    """
    site, changes = context.site, SimpleQueue[Change]()

    def work(stop: threading.Event, ready: Callable[[], object]) -> None:
        record(
            context.region_name,
            context.paths.history,
            site.tags,
            site.historian,
            stop,
            ready,
            changes,
            site.time_zone,
            site.journal_records,
        )

    changing = asyncio.create_task(_pass_on(context.reloads, changes))
    try:
        await work_in_thread(context, work)
    finally:
        changing.cancel()


@dataclass(frozen=True, slots=True)
class Change:
    """Other tags to be recorded from now on; ``done`` is called, in the recording thread, once they are."""

    tags: tuple[Tag, ...]
    done: Callable[[], object]


async def _pass_on(reloads: asyncio.Queue[Reload], changes: SimpleQueue[Change]) -> None:
    """To the thread that records."""
    loop = asyncio.get_running_loop()
    while True:
        reload = await reloads.get()
        done = partial(loop.call_soon_threadsafe, reload.done.set_result, None)
        changes.put(Change(reload.site.tags, done))


def record(
    region_name: str,
    directory: Path,
    tags: tuple[Tag, ...],
    settings: HistorianSettings,
    stop: threading.Event,
    ready: Callable[[], object],
    changes: SimpleQueue[Change] | None = None,
    time_zone: str = "UTC",
    journal_records: int = DEFAULT_JOURNAL_RECORDS,
) -> None:
    """Record until ``stop``; what was taken by then is durable when this returns, unless the disk refuses it.

    ``changes`` bring other tags meanwhile: what stays is not interrupted, and keeps its identity.
    """
    changes = changes or SimpleQueue()
    ready_here = partial(_note_and_tell, directory, time_zone, ready)
    with Region.attach(region_name) as region:
        kept = list(tags)
        while (
            lost := _record_until_deleted(
                region, directory, kept, settings, stop, ready_here, changes, journal_records
            )
        ) is not None:
            log.error(
                "HISTORY WAS DELETED while it was written: %s is gone, %s; it begins anew with what the shared"
                " journal still holds",
                directory,
                lost.text,
            )
            with _folder(directory, settings) as recorder:
                recorder.catalogue.add_found_gaps(lost.gaps(time.time_ns()))


@dataclass(frozen=True, slots=True)
class Lost:
    """The days that went with a deleted folder, as it was when it was last looked at, and their bytes."""

    days: tuple[int, ...]
    size: int

    @property
    def text(self) -> str:
        if not self.days:
            return "but no day file"
        first, last = (day_path(Path(), day).stem for day in (self.days[0], self.days[-1]))
        return f"with {size_text(self.size)} of {len(self.days)} days, {first} to {last}"

    def gaps(self, now: int) -> list[GapFrame]:
        return [GapFrame("deleted", self.days[0] * DAY_NS, now, None)] if self.days else []


def _lost(directory: Path, held: Held | None) -> Lost:
    there = day_files(directory)
    gone = {day: size for day, size in held.days.items() if day not in there} if held is not None else {}
    return Lost(tuple(sorted(gone)), sum(gone.values()))


def _note_and_tell(directory: Path, time_zone: str, ready: Callable[[], object]) -> None:
    note_zone(directory, time_zone)
    ready()


@contextmanager
def _folder(directory: Path, settings: HistorianSettings) -> Iterator[Recorder]:
    recorder = Recorder(directory, settings, time.time_ns)
    try:
        recorder.open()
        yield recorder
    finally:
        recorder.close()


def _record_until_deleted(
    region: Region,
    directory: Path,
    tags: list[Tag],
    settings: HistorianSettings,
    stop: threading.Event,
    ready: Callable[[], object],
    changes: SimpleQueue[Change],
    journal_records: int,
) -> Lost | None:
    """None where it was told to stop. ``tags`` become those of the last change."""
    with _folder(directory, settings) as recorder:
        entries = recorder.catalogue.register(kept_tags(tags), time.time_ns())
        by_path = {entry.path: entry for entry in entries}
        thinner = Thinner(directory, region.instance, journal_records // 2)
        thinner.follow(thinned_tags(tags, by_path))
        ingest = Ingest(region, by_path, recorder, time.time_ns, settings.max_ahead_s * 10**9, thinner)
        ingest.start(recorder.acknowledged)
        ready()
        try:
            inbox = Inbox(directory, recorder, ingest.insert)
            _Threads(ingest, inbox, recorder, settings, stop, changes, tags).run()
        except FileNotFoundError:
            if journal_directory(directory).exists() and not recorder.is_gone:
                raise
            return _lost(directory, recorder.retention.held)
        return None


class _Threads:
    """The loops, one a thread; the first that fails ends all, and its error is raised."""

    def __init__(
        self,
        ingest: Ingest,
        inbox: Inbox,
        recorder: Recorder,
        settings: HistorianSettings,
        stop: threading.Event,
        changes: SimpleQueue[Change],
        tags: list[Tag],
    ) -> None:
        self._changes = changes
        self._tags = tags
        self._ingest = ingest
        self._inbox = inbox
        self._recorder = recorder
        self._gather_s = settings.flush_ms / 1000 * GATHER_SHARE
        self._stop = stop
        self._offered = threading.Event()
        self._last_offer_made = threading.Event()
        self._failures: list[BaseException] = []

    def run(self) -> None:
        beside = (self._flush, self._pack)
        threads = [threading.Thread(target=self._guard, args=(loop,), name=loop.__name__) for loop in beside]
        for thread in threads:
            thread.start()
        self._guard(self._read)  # in the part's own thread: that it gets on is what the part's beat tells
        for thread in threads:
            thread.join()
        if self._failures:
            raise self._failures[0]

    def _guard(self, loop: Callable[[], None]) -> None:
        try:
            loop()
        except BaseException as error:  # noqa: BLE001 - raised again by run(), in the part's own thread
            self._failures.append(error)
        finally:
            if loop == self._read:
                self._last_offer_made.set()
                self._offered.set()

    def _is_over(self, wait_s: float = 0.0) -> bool:
        """Whether it was told to stop, or another loop failed, within that time."""
        return self._stop.wait(wait_s) or bool(self._failures)

    def _read(self) -> None:
        while not self._is_over():
            if self._ingest.wait(IDLE_WAIT_S):
                self._is_over(self._gather_s)
            self._take()
            self._follow()
            if self._inbox.step():
                self._offered.set()
        self._take()
        self._ingest.finish()

    def _follow(self) -> None:
        with suppress(Empty):
            while True:
                change = self._changes.get_nowait()
                entries = self._recorder.catalogue.register(kept_tags(change.tags), time.time_ns())
                self._ingest.follow(change.tags, {entry.path: entry for entry in entries})
                self._tags[:] = change.tags
                change.done()

    def _take(self) -> None:
        if self._ingest.take():
            self._offered.set()

    def _flush(self) -> None:
        while not self._last_offer_made.is_set():
            self._offered.wait()
            self._offered.clear()
            while not self._recorder.flush() and not self._is_over(RETRY_S):
                pass
        give_up = time.monotonic() + LAST_FLUSH_S
        while not self._recorder.flush() and time.monotonic() < give_up:
            time.sleep(LAST_FLUSH_S / 10)
        if self._recorder.pending:
            log.error(
                "ends with %d slices that the disk did not take; never acknowledged", self._recorder.pending
            )

    def _pack(self) -> None:
        while not self._is_over(PACK_LOOK_S):
            while not self._recorder.pack(self._is_over) and not self._is_over(RETRY_S):
                pass
