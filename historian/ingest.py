"""Follows a region's journal: every change of a tag with history, in order, told to the recorder.

Positions go with the samples, so that whoever restarts goes on at the first change that is not durable.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.config.site import Tag
from gateway.tags.image import Region, Slice
from gateway.tags.quality import Quality
from gateway.tags.sample import Samples
from gateway.tags.tag import ValueType
from historian.keeping.clock import LEAST_JUMP_NS, ClockWatch, Jump
from historian.keeping.quarantine import ahead
from historian.store.catalogue import Entry
from historian.store.frame import GapFrame, QuarantineFrame, SamplesFrame
from historian.store.recorder import Acknowledged, Recorder
from historian.store.rows import Rows
from historian.thinning import Thinned, Thinner

log = logging.getLogger(__name__)

UNKEPT = np.uint32(0)  # catalogue ids start at 1
TAKE_LIMIT = 65_536  # records an owner a slice: 2 MiB each, taken in under a millisecond
WARN_EVERY_NS = 30 * 10**9

MAX_SLICES = 32  # a whole default ring; more waits for the next round, so that stopping is noticed


class Ingest:
    """Reads one region for one recorder; not to be shared between threads."""

    def __init__(
        self,
        region: Region,
        kept: Mapping[str, Entry],
        recorder: Recorder,
        clock: Callable[[], int],
        max_ahead_ns: int = 86_400 * 10**9,
        thinner: Thinner | None = None,
    ) -> None:
        """``kept`` are the tags with history, by name. Raises KeyError where the region lacks one."""
        self._thinner = thinner or Thinner(Path(), region.instance, 0)
        self._region = region
        self._recorder = recorder
        self._clock = clock
        self._max_ahead_ns = max_ahead_ns
        self._watch = ClockWatch(clock)
        self._warned_at = 0
        self._ids = np.zeros(region.tag_count, np.uint32)
        for name, entry in kept.items():
            self._ids[region.index_of(name)] = entry.id
        self._sort()
        self._taken_at = 0

    def follow(self, tags: Sequence[Tag], kept: Mapping[str, Entry]) -> None:
        """Go on with another site's tags, which are in the order of the image.

        A tag that is no more stays kept: how it ended is in the journal still.
        """
        self._region.refresh()
        ids = np.zeros(self._region.tag_count, np.uint32)
        ids[: len(self._ids)] = self._ids
        for place, tag in enumerate(tags):
            if tag.name:
                ids[place] = kept[tag.name].id if tag.history else UNKEPT
        self._ids = ids
        self._sort()
        was_idle = self._thinner.is_idle
        self.insert(self._thinner.follow(thinned_tags(tags, kept)))
        if was_idle:
            self._begin_thinning(None)

    def _sort(self) -> None:
        is_text = self._region.types == ValueType.STRING
        self._kept_texts = np.flatnonzero(is_text & (self._ids != UNKEPT)).astype(np.uint32)
        self._kept_numbers = np.flatnonzero(~is_text & (self._ids != UNKEPT)).astype(np.uint32)

    def start(self, acknowledged: Acknowledged) -> None:
        """Go on after what is acknowledged, or from the first record of a region never seen.

        Where the ring has gone round since then, `take` is told how much was lost, and starts at the oldest.
        """
        now = self._clock()
        if self._recorder.taken_at - now >= LEAST_JUMP_NS:
            self._note_jump(Jump(self._recorder.taken_at, now))  # put back while nobody recorded
        if acknowledged.instance == self._region.instance:
            self._reader = self._region.reader(acknowledged.positions)
            self._taken_at = self._recorder.taken_at
        else:
            self._reader = self._region.reader(dict.fromkeys(self._region.owners, 0))
            if acknowledged.instance:
                self._recorder.offer(GapFrame("stopped", self._recorder.taken_at, now, 0))
            self._taken_at = now
        self._positions = self._reader.positions
        here = {owner: (start, start) for owner, start in self._positions.items()}
        self._recorder.offer(SamplesFrame(self._region.instance, now, here))
        is_same = acknowledged.instance == self._region.instance
        self._begin_thinning(self._thinner.held_from() if is_same else None)

    def _begin_thinning(self, held: dict[str, int] | None) -> None:
        """``held``: from where on something was held by the one before, who was killed."""
        if self._thinner.is_idle:
            return
        held = held or self._positions
        self._thinner.begin(held, self._clock())
        if held != self._positions:
            self._thinner.resume(self._thinner.last_kept())
            for place, owner in enumerate(self._region.owners):
                if not self._read_again(place, owner, held.get(owner, self._positions[owner])):
                    log.error("samples of tags with a deviation are lost: the shared journal went over them")
                    self._recorder.offer(GapFrame("lapped", self._taken_at, self._clock(), None))
                    self._thinner.forget()
                    break
        self._thinner.write(held)

    def _read_again(self, place: int, owner: str, start: int) -> bool:
        """What an owner wrote up to where reading goes on; False where it is not there any more."""
        end = self._positions[owner]
        reader = self._region.reader({**self._positions, owner: start})
        while (left := end - reader.positions[owner]) > 0:
            piece = reader.take(min(left, TAKE_LIMIT))
            if piece.lost:
                return False
            own = self._region.tag_owners[piece.records["tag"]] == place
            rows = self._rows(piece.records[own], {})
            far = ahead(rows, self._clock(), self._max_ahead_ns)
            self.insert(self._thinner.again(rows if far is None else rows.where(~far)))
        return True

    def wait(self, timeout_s: float) -> bool:
        """Sleep until there is something to take."""
        return self._reader.wait(timeout_s)

    def take(self) -> int:
        """Hand what there is to the recorder, as far as it has room; returns the number of changes."""
        total = 0
        if (
            not self._thinner.is_idle
            and (done := self._recorder.acknowledged).instance == self._region.instance
        ):
            self._thinner.durable(done.positions)
        if jump := self._watch.look():
            self._note_jump(jump)
        for _ in range(MAX_SLICES):
            if not self._recorder.has_room:
                break
            piece = self._reader.take(TAKE_LIMIT)
            positions = self._reader.positions
            if positions == self._positions:
                break
            total += len(piece.records)
            self._hand_over(piece, positions)
        due = self._thinner.due(self._clock(), self._positions)
        self.insert(due)
        return total + len(due)

    def finish(self) -> None:
        """Nothing is held any more."""
        self.insert(self._thinner.release())

    def insert(self, rows: Rows) -> None:
        """Hand over rows that are of no journal, between those that are."""
        if not len(rows):
            return
        here = {owner: (end, end) for owner, end in self._positions.items()}
        self._recorder.offer(SamplesFrame(self._region.instance, self._taken_at, here, rows))

    def _hand_over(self, piece: Slice, positions: dict[str, int]) -> None:
        now = self._clock()
        spans = {owner: (self._positions[owner], end) for owner, end in positions.items()}
        unread = [
            row for row, text in piece.texts.items() if text is None and self._is_kept(piece.records, row)
        ]
        rows = self._rows(piece.records, piece.texts)
        instance = self._region.instance
        if piece.lost or unread:
            self.insert(self._thinner.release())
        if piece.lost:
            log.error("history lost %d changes: it fell behind the shared journal", piece.lost)
            self._recorder.offer(GapFrame("lapped", self._taken_at, now, piece.lost))
        if unread:
            log.error("history lost %d strings: overwritten before they were read", len(unread))
            self._recorder.offer(GapFrame("text", self._taken_at, now, len(unread)))
        rows = self._thinner.thin(self._believed(rows, now), self._positions, now)
        self._recorder.offer(SamplesFrame(instance, now, spans, rows))
        if piece.lost or unread:
            here = {owner: (end, end) for owner, end in positions.items()}
            present = self._believed(self._present(), now)
            self._recorder.offer(SamplesFrame(instance, now, here, present))
            self._thinner.resume(present)
        self._thinner.offered(positions)
        self._positions = positions
        self._taken_at = now

    def _believed(self, rows: Rows, now: int) -> Rows:
        """Those that do not lie too far in the future; the others are set apart."""
        far = ahead(rows, now, self._max_ahead_ns)
        if far is None:
            return rows
        # Before the samples, whose frame says that all of it is read: torn between the two, both come again.
        self._set_apart(rows.where(far), now)
        return rows.where(~far)

    def _set_apart(self, rows: Rows, now: int) -> None:
        self._recorder.offer(QuarantineFrame(now, rows))
        self._recorder.quarantined += len(rows)
        if abs(now - self._warned_at) >= WARN_EVERY_NS:
            self._warned_at = now
            place = int(rows.times.argmax())
            log.warning(
                "quarantined %d samples that lie over %d s in the future, of %s by %d s: is a device's clock wrong?",
                len(rows),
                self._max_ahead_ns // 10**9,
                self._recorder.catalogue.entry(int(rows.tags[place])).path,
                (int(rows.times[place]) - now) // 10**9,
            )

    def _note_jump(self, jump: Jump) -> None:
        log.warning(
            "the clock was put %s by %.3f s", "ahead" if jump.size > 0 else "back", abs(jump.size) / 1e9
        )
        self._recorder.clock_jumps += 1
        self._recorder.retention.clock_leapt(jump.size)
        self._recorder.offer(jump.gap)

    def _is_kept(self, records: Samples, row: int) -> bool:
        return bool(self._ids[records["tag"][row]] != UNKEPT)

    def _rows(self, records: Samples, texts: Mapping[int, str | None]) -> Rows:
        """Kept rows in order; a string that could not be read is left out."""
        ids = self._ids[records["tag"]]
        keep = ids != UNKEPT
        for row, text in texts.items():
            if text is None:
                keep[row] = False
        places = np.flatnonzero(keep)
        return _rows(ids, records, places, {row: text for row, text in texts.items() if text is not None})

    def _present(self) -> Rows:
        """The image as rows: what is true now, after changes were lost."""
        numbers = self._region.read(self._kept_numbers)
        strings, texts = self._region.texts(self._kept_texts)
        records = np.concatenate([numbers, strings])
        tags = np.concatenate([self._kept_numbers, self._kept_texts])
        records["tag"] = tags
        known = records["status"] != Quality.BAD_WAITING_FOR_INITIAL_DATA
        return _rows(
            self._ids[tags],
            records,
            np.flatnonzero(known),
            {len(numbers) + i: text for i, text in enumerate(texts)},
        )


def thinned_tags(tags: Sequence[Tag], kept: Mapping[str, Entry]) -> list[Thinned]:
    """The tags of which not all is kept."""
    return [
        Thinned(kept[tag.name].id, tag.name, tag.type, tag.deviation)
        for tag in tags
        if tag.history and tag.deviation is not None
    ]


def kept_tags(tags: Sequence[Tag]) -> list[Tag]:
    """The tags whose history is kept."""
    return [tag for tag in tags if tag.history]


def _rows(
    ids: NDArray[np.uint32], records: Samples, places: NDArray[np.int64], texts: Mapping[int, str]
) -> Rows:
    values = records["value"][places].copy()
    text_places = sorted(row for row in texts)
    text_rows: list[int] = []
    kept: list[str] = []
    if text_places:
        found = np.searchsorted(places, text_places)
        for row, place in zip(text_places, found.tolist(), strict=True):
            if place < len(places) and places[place] == row:
                text_rows.append(place)
                kept.append(texts[row])
        values[text_rows] = 0
    return Rows(
        ids[places],
        records["status"][places].copy(),
        records["source_time"][places].copy(),
        values,
        np.array(text_rows, np.uint32),
        tuple(kept),
    )
