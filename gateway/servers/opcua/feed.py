"""From the journal to the queues of those who watch: every change, in order, at the cost of a few µs each.

The journal is not read while nobody watches. Lapped by a writer, the feed says so to each watcher (Overflow) and
goes on from the image.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gateway.servers.freshness import LOOK_S, Freshness
from gateway.servers.opcua.encoding import encode_samples
from gateway.tags.image import JournalReader, Region, Slice
from gateway.tags.quality import Quality
from gateway.tags.sample import Samples
from gateway.tags.tag import ValueType

WAIT_S = 0.5  # of a quiet journal, before looking whether to stop
PAUSE_S = 0.02  # after a batch: drivers write one poll's blocks in a burst, and publishing is slower still
RECORDS = 4_096  # at once, an owner: 20 ms of the loop at most
CATCH_UP_STEPS = (
    16  # of RECORDS: where writers outrun us, a newcomer does not wait for a journal's end that never comes
)

Content = int | str | None  # what tells two values apart: raw bits, a string, or None for no value yet


class Watcher(Protocol):
    """Who is told of changes to ``tag``, the place of a tag in the image."""

    tag: int

    def offer(self, content: Content, status: int, source_time: int, encoded: bytes) -> None:
        """One change, in order; ``encoded`` is the DataValue with status and both times."""
        ...

    def lost(self) -> None:
        """Changes before the next one offered may be missing."""
        ...


class Feed:
    """Follows the journal of one region on the loop it is run on."""

    def __init__(self, region: Region, freshness: Freshness) -> None:
        self._region = region
        self._freshness = freshness
        self._watchers: defaultdict[int, list[Watcher]] = defaultdict(list)
        self._watched = np.zeros(region.tag_count, np.bool_)
        self._reader: JournalReader | None = None
        self._wanted = asyncio.Event()
        self._is_lossy = False
        self.changes_lost = 0

    def watch(self, watcher: Watcher) -> None:
        """Tell ``watcher`` of all changes from now on, its tag's present sample first."""
        if self._reader is None:
            self._reader = self._region.reader("now")
            self._wanted.set()
        self.refresh(watcher)
        self._watchers[watcher.tag].append(watcher)
        self._watched[watcher.tag] = True

    def unwatch(self, watcher: Watcher) -> None:
        """Tell it no more."""
        watchers = self._watchers[watcher.tag]
        watchers.remove(watcher)
        if not watchers:
            del self._watchers[watcher.tag]
            self._watched[watcher.tag] = False
        if not self._watchers:
            self._reader = None
            self._wanted.clear()

    def follow(self, gone: NDArray[np.uint32]) -> None:
        """Go on with a region that was refreshed. Who watches one of ``gone`` learns that there is no such node."""
        watched = np.zeros(self._region.tag_count, np.bool_)
        watched[: len(self._watched)] = self._watched
        self._watched = watched
        self._catch_up()
        tags = gone[watched[gone]]
        if len(tags):
            records = self._region.read(tags)
            records["status"] = Quality.BAD_NODE_ID_UNKNOWN
            records["source_time"] = records["receipt_time"] = time.time_ns()
            rows = np.flatnonzero(self._region.types[tags] == ValueType.STRING).tolist()
            self._offer(records, dict.fromkeys(rows, ""), self._watchers)

    def refresh(self, watcher: Watcher) -> None:
        """Offer the present sample once more."""
        # A writer changes the image before the journal says so. With the journal read to its end first, what it
        # brings later is no older than what the image shows now.
        self._catch_up()
        self._offer_present(np.array([watcher.tag], np.uint32), {watcher.tag: [watcher]})

    def _catch_up(self) -> None:
        for _ in range(CATCH_UP_STEPS):
            if not self.step():
                break

    async def run(self) -> None:
        """Follow the journal until cancelled."""
        loop = asyncio.get_running_loop()
        # A thread of its own: sign-ins and history reads must not keep values waiting.
        with ThreadPoolExecutor(1, "opcua-journal") as thread:
            while True:
                await self._wanted.wait()
                reader = self._reader
                if reader is None:
                    continue
                await loop.run_in_executor(thread, reader.wait, WAIT_S)
                while True:
                    if not self.step():
                        break
                    await asyncio.sleep(0)
                await asyncio.sleep(PAUSE_S)

    async def watch_age(self) -> None:
        """Tell watchers of tags that nobody refreshes any more, until cancelled."""
        while True:
            gone = self._freshness.look(time.monotonic_ns())
            watched = gone[self._watched[gone]]
            if len(watched):
                self._offer_present(watched, self._watchers)
            await asyncio.sleep(LOOK_S)

    def step(self) -> bool:
        """Tell the watchers the next changes of the journal; False where that was all of it."""
        if self._reader is None:
            return False
        taken = self._reader.take(RECORDS)
        if len(taken.records) or taken.lost:
            self._spread(taken)
        if len(taken.records) >= RECORDS:
            return True
        if self._is_lossy:
            # Only now: before its end, the journal is older than the image.
            self._is_lossy = False
            self._offer_present(np.fromiter(self._watchers, np.uint32, len(self._watchers)), self._watchers)
        return False

    def _spread(self, taken: Slice) -> None:
        rows = np.flatnonzero(self._watched[taken.records["tag"]])
        lost = taken.lost
        texts: dict[int, str | None] = {}
        if taken.texts:
            texts = {new: taken.texts[old] for new, old in enumerate(rows.tolist()) if old in taken.texts}
            lost += sum(text is None for text in texts.values())
        if lost:
            self._is_lossy = True
            self.changes_lost += lost
            for watchers in self._watchers.values():
                for watcher in watchers:
                    watcher.lost()
        if len(rows):
            self._offer(taken.records[rows], texts, self._watchers)

    def _offer_present(self, tags: NDArray[np.uint32], to: Mapping[int, list[Watcher]]) -> None:
        is_text = self._region.types[tags] == ValueType.STRING
        records = self._region.read(tags)
        texts: dict[int, str | None] = {}
        rows = np.flatnonzero(is_text)
        if len(rows):
            found, strings = self._region.texts(tags[rows])
            records[rows] = found
            texts = dict(zip(rows.tolist(), strings, strict=True))
        self._freshness.mark(records, time.time_ns())
        self._offer(records, texts, to)

    def _offer(self, records: Samples, texts: dict[int, str | None], to: Mapping[int, list[Watcher]]) -> None:
        types = self._region.types[records["tag"]]
        encoded = encode_samples(records, types, texts, time.time_ns())
        contents: list[Content] = records["value"].tolist()
        for row in np.flatnonzero(types == ValueType.STRING).tolist():
            contents[row] = texts.get(row, "")
        for row in np.flatnonzero(records["source_time"] == 0).tolist():
            contents[row] = None
        overwritten = {row for row, text in texts.items() if text is None}
        for row, (tag, content, status, source, data) in enumerate(
            zip(
                records["tag"].tolist(),
                contents,
                records["status"].tolist(),
                records["source_time"].tolist(),
                encoded,
                strict=True,
            )
        ):
            if row in overwritten:
                continue  # counted as lost
            for watcher in to[tag]:
                watcher.offer(content, status, source, data)
