"""The live feed: one journal reader for all pages, latest value a tag a tick, and a bounded queue for each page.

The journal says which tags changed; their samples come from the image, so a page never sees a value older than
one it had, whatever was lost in between.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from gateway.config.site import Site
from gateway.tags.image import JournalReader, Presence, Region, RegionError, presence_of
from gateway.tags.sample import Value
from gateway.tags.tag import ValueType
from hmi import messages

TICK_S = 0.1  # an operator cannot read faster than 10 Hz
HEARTBEAT_S = 1.0  # three may be missed before the page calls itself stale (3 s)
REGION_CHECK_S = 1.0
ROWS_A_SECOND = 50_000  # about 5 MB/s to each page; a tick that sent more is followed by a longer pause
TAKE_RECORDS = 65_536
TAKES_A_TICK = 16  # a million records; a reader further behind than that takes the whole image instead
QUEUE_MESSAGES = 32  # 3 s of ticks: a page that is further behind is stale by its own rule, and starts afresh
MAX_PAGES = 64  # sockets in all; each costs a task, a queue and up to 64 KiB of transport buffer


class Page:
    """One browser's end of the feed: a queue that never grows, but is emptied for a fresh snapshot."""

    def __init__(self, user: str) -> None:
        self.user = user
        self._queue: asyncio.Queue[str] = asyncio.Queue(QUEUE_MESSAGES)
        self._is_idle = False
        self.needs_snapshot = True
        self.restarts = 0  # how often it fell behind

    @property
    def awaits_snapshot(self) -> bool:
        """It needs one and would send it now: a stalled page costs nothing until it moves again."""
        return self.needs_snapshot and self._is_idle

    @property
    def queued(self) -> int:
        return self._queue.qsize()

    def offer(self, message: str) -> None:
        """Queue ``message``; where there is no room, drop all that is queued and ask for a snapshot."""
        if not self._queue.full():
            self._queue.put_nowait(message)
            return
        self._empty()
        self.restarts += 1

    def begin(self, hello: str) -> None:
        """Start afresh: what is queued is of a site that is no more."""
        self._empty()
        self._queue.put_nowait(hello)

    def _empty(self) -> None:
        while not self._queue.empty():
            self._queue.get_nowait()
        self.needs_snapshot = True

    async def next(self) -> str:
        """The next message to send."""
        self._is_idle = self._queue.empty()
        try:
            return await self._queue.get()
        finally:
            self._is_idle = False


class Feed:
    """Reads the region for every page that joined. `run` works until cancelled, or until the region is gone."""

    def __init__(
        self,
        region: Region,
        site: Site,
        wall_ns: Callable[[], int] = time.time_ns,
        steady_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._region = region
        self._table = messages.site_table(site)
        self._wall_ns = wall_ns
        self._steady_ns = steady_ns
        self._started_ns = steady_ns()
        self._pages: set[Page] = set()
        self._reader: JournalReader | None = None
        self._ticked_ns: int | None = None

    @property
    def pages(self) -> frozenset[Page]:
        return frozenset(self._pages)

    @property
    def is_full(self) -> bool:
        return len(self._pages) >= MAX_PAGES

    @property
    def is_live(self) -> bool:
        """The loop is turning, so the region was there a moment ago."""
        grace_ns = int((REGION_CHECK_S + HEARTBEAT_S) * 1e9)
        return self._ticked_ns is not None and self._steady_ns() - self._ticked_ns < grace_ns

    def join(self, user: str, role: str) -> Page:
        """A new page, with its hello queued; its snapshot follows at the next tick."""
        page = Page(user)
        page.begin(self._hello(user, role))
        self._pages.add(page)
        return page

    def follow(self, site: Site, role_of: Mapping[str, str]) -> None:
        """Go on with another site: every page gets its table and a whole picture, on the connection that it has."""
        self._region.refresh()
        self._table = messages.site_table(site)
        for page in self._pages:
            if page.user in role_of:  # the others are being cut off
                page.begin(self._hello(page.user, role_of[page.user]))

    def _hello(self, user: str, role: str) -> str:
        return messages.hello(self._table, user, role, int(HEARTBEAT_S * 1000), self._clock())

    def value_of(self, tag: str) -> Value | None:
        """The tag's value now, of whatever quality; None where the region has no such tag."""
        try:
            return self._region.sample(tag).value
        except KeyError:
            return None

    def leave(self, page: Page) -> None:
        self._pages.discard(page)

    async def run(self) -> None:
        """Tick until cancelled. Raises RegionError when the region's creator is gone or another has its name."""
        now = time.monotonic()
        next_heartbeat = next_check = now
        while True:
            now = time.monotonic()
            if now >= next_check:
                self._check_region()
                next_check = now + REGION_CHECK_S
            sent = self.tick()
            if now >= next_heartbeat:
                self.beat()
                next_heartbeat = now + HEARTBEAT_S
            self._ticked_ns = self._steady_ns()
            await asyncio.sleep(max(TICK_S, min(sent / ROWS_A_SECOND, HEARTBEAT_S)))

    def tick(self) -> int:
        """Tell every page what changed since the last tick; how many rows that was."""
        if not self._pages:
            self._reader = None  # nobody looks: the first to join gets a snapshot and a new reader
            return 0
        if self._reader is None:
            self._reader = self._region.reader("now")
        changed = self._changed_tags(self._reader)
        up_to_date = [page for page in self._pages if not page.needs_snapshot]
        waiting = [page for page in self._pages if page.awaits_snapshot]
        rows = 0
        if changed is None:
            waiting += up_to_date
        elif len(changed) and up_to_date:
            self._tell(up_to_date, self._samples("changes", changed))
            rows += len(changed)
        if waiting:
            for page in waiting:
                page.needs_snapshot = False
            self._tell(waiting, self._samples("snapshot", None))
            rows += self._region.tag_count
        return rows

    def beat(self) -> None:
        """Tell every page that has a picture that it is still true."""
        current = [page for page in self._pages if not page.needs_snapshot]
        if current:
            self._tell(current, messages.heartbeat(self._clock()))

    def _tell(self, pages: list[Page], message: str) -> None:
        for page in pages:
            page.offer(message)

    def _changed_tags(self, reader: JournalReader) -> NDArray[np.uint32] | None:
        """Tags written since the last call; None where that is not known, so that all may have changed."""
        pieces: list[NDArray[np.uint32]] = []
        lost = 0
        for _ in range(TAKES_A_TICK):
            taken = reader.take(TAKE_RECORDS)
            lost += taken.lost
            if not len(taken.records):
                break
            pieces.append(np.unique(taken.records["tag"]))
        else:
            lost += 1
        if lost:
            return None
        return np.unique(np.concatenate(pieces)) if pieces else np.empty(0, np.uint32)

    def _samples(self, kind: str, tags: NDArray[np.uint32] | None) -> str:
        rows = self._region.read(tags)
        types = self._region.types if tags is None else self._region.types[tags]
        string_rows = np.flatnonzero(types == ValueType.STRING)
        texts: list[str] = []
        if len(string_rows):
            rows[string_rows], texts = self._region.texts(rows["tag"][string_rows])
        return messages.samples(kind, rows, messages.json_values(rows, types, texts), self._clock())

    def _clock(self) -> messages.Clock:
        return messages.Clock(
            self._wall_ns() // messages.NANOSECONDS_A_MS,
            (self._steady_ns() - self._started_ns) // messages.NANOSECONDS_A_MS,
        )

    def _check_region(self) -> None:
        """Our mapping outlives the region it came from: only a look by name tells that it is nobody's any more."""
        name = self._region.name
        presence = presence_of(name)
        if presence is not Presence.LIVE:
            raise RegionError(f"region {name!r} is {presence.name.lower()}: the root has ended")
        with Region.attach(name) as present:
            if present.instance != self._region.instance:
                raise RegionError(f"region {name!r} was made anew: the root has restarted")
