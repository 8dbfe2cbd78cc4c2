"""The historian's journal on disk: whole frames appended, synced, and found again after any crash.

What `Journal.append` returned from is durable: written and fdatasync'ed. An error leaves the segment behind and goes
on in a new one, because after a failed fdatasync Linux forgets which pages were not written: only what is written
anew can be trusted.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from historian.errors import NotASegment
from historian.store import frame as frames
from historian.store.durable import make_directory, set_aside, sync_directory, truncate, write_all
from historian.store.frame import Damage, Found, Frame, GapFrame, SamplesFrame
from historian.store.layout import journal_directory, segment_path, segments

log = logging.getLogger(__name__)

NEVER = SamplesFrame(0, 0, {})


@dataclass(frozen=True, slots=True)
class Segment:
    """What a segment file holds. ``end`` is where its last good frame ends; ``size`` is the file's."""

    number: int
    path: Path
    frames: tuple[Found, ...]
    damage: tuple[Damage, ...]
    end: int
    size: int

    @property
    def cursor(self) -> SamplesFrame | None:
        """The newest SAMPLES frame, without its rows."""
        for found in reversed(self.frames):
            if isinstance(found.frame, SamplesFrame):
                return replace(found.frame, rows=NEVER.rows)
        return None


def read_segment(path: Path) -> Segment:
    """All good frames of a file. Raises OSError, UnknownFormat; NotASegment where its head is damaged."""
    data = path.read_bytes()
    number, _ = frames.decode_head(data)
    good: list[Found] = []
    damage: list[Damage] = []
    for item in frames.scan(data):
        if isinstance(item, Damage):
            damage.append(item)
        else:
            good.append(item)
    end = good[-1].end if good else frames.SEGMENT_HEAD.size
    return Segment(number, path, tuple(good), tuple(damage), end, len(data))


def lost_in(segment: Segment, damage: Damage) -> GapFrame:
    """How many changes a damaged stretch held, told by the positions of the frames around it."""
    before = after = None
    for found in segment.frames:
        if isinstance(found.frame, SamplesFrame):
            if found.end <= damage.start:
                before = found.frame
            elif after is None and found.start >= damage.end:
                after = found.frame
    if before is None or after is None or before.instance != after.instance:
        from_time = before.taken_at if before else 0
        return GapFrame("damage", from_time, after.taken_at if after else from_time, None)
    ends = before.ends
    lost = sum(start - ends.get(owner, start) for owner, (start, _) in after.positions.items())
    return GapFrame("damage", before.taken_at, after.taken_at, lost)


class Journal:
    """The one writer of a history folder's journal. `recover` first, then `append` and `rotate`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file = -1
        self._number = 0
        self._sequence = 0
        self._length = 0
        self.durable = NEVER  # the cursor up to which everything is acknowledged
        self.segment_rows = 0
        self.segment_frames = 0

    @property
    def number(self) -> int:
        """The segment that is open; every lower one is closed for good."""
        return self._number

    @property
    def is_gone(self) -> bool:
        """Whether the open segment was deleted by somebody else: what is written there is lost."""
        return self._file >= 0 and os.fstat(self._file).st_nlink == 0

    def recover(self, last_consumed: int, now: int) -> list[GapFrame]:
        """Cut torn tails, find the cursor, open a new segment. Returns what damage there is. Raises OSError.

        ``last_consumed`` is the highest segment number any day file knows: a number is never used twice.
        """
        make_directory(journal_directory(self._directory))
        gaps: list[GapFrame] = []
        self._number = last_consumed
        for number, path in segments(self._directory).items():
            self._number = max(self._number, number)
            try:
                segment = read_segment(path)
            except NotASegment as error:
                log.error("%s: %s; set aside as it is, with .damaged behind its name", path, error)
                set_aside(path)
                gaps.append(GapFrame("damage", self.durable.taken_at, now, None))
                continue
            for damage in segment.damage:
                gap = lost_in(segment, damage)
                log.error(
                    "%s: bytes %d to %d are damaged; changes lost: %s",
                    path,
                    damage.start,
                    damage.end,
                    "unknown" if gap.lost is None else gap.lost,
                )
                gaps.append(gap)
            if segment.end < segment.size:
                log.warning("%s: torn tail of %d bytes cut off", path, segment.size - segment.end)
                truncate(path, segment.end)
            if segment.frames:
                self._sequence = max(self._sequence, segment.frames[-1].sequence)
            self.durable = segment.cursor or self.durable
        self._open_next(now)
        return gaps

    def append(self, batch: Sequence[Frame], now: int) -> None:
        """Make ``batch`` durable, whole and in order. Raises OSError; it may then be given again."""
        if self._file < 0:
            self._open_next(now)
        data = b"".join(frames.encode(self._sequence + 1 + i, frame) for i, frame in enumerate(batch))
        try:
            write_all(self._file, data)
            os.fdatasync(self._file)
        except OSError:
            self._abandon()
            raise
        self._sequence += len(batch)
        self._length += len(data)
        self.segment_frames += len(batch)
        for frame in batch:
            if isinstance(frame, SamplesFrame):
                self.durable = replace(frame, rows=NEVER.rows)
                self.segment_rows += len(frame.rows)

    def rotate(self, now: int) -> None:
        """Close the open segment, so that it can be packed, and open the next. Raises OSError."""
        self._close()
        self._open_next(now)

    def close(self) -> None:
        """Let go of the file; everything appended is durable already."""
        self._close()

    def _open_next(self, now: int) -> None:
        number = self._number + 1
        path = segment_path(self._directory, number)
        draft = path.with_suffix(".draft")
        owners = {owner: (end, end) for owner, end in self.durable.ends.items()}
        cursor = replace(self.durable, positions=owners, rows=NEVER.rows)
        data = frames.encode_head(number, now) + frames.encode(self._sequence + 1, cursor)
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        try:
            write_all(file, data)
            os.fsync(file)
            draft.rename(path)
            sync_directory(path.parent)
        except OSError:
            os.close(file)
            # Numbers only have to grow: should the rename stand although the sync failed, the next try takes another.
            self._number = number
            with contextlib.suppress(OSError):
                draft.unlink()
            raise
        self._file, self._number, self._length = file, number, len(data)
        self._sequence += 1
        self.segment_rows = 0
        self.segment_frames = 0

    def _abandon(self) -> None:
        """Leave a segment after an error, cut back to what is acknowledged if the disk lets us.

        Where it does not, whole frames may stay that come again in the next segment: same times and values, no harm.
        """
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, self._length)
        self._close()

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
