"""What is to be sent next, from the journal: frame by frame, in the order in which it was written.

Nothing here waits; what is not there yet is None.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from historian.errors import NotASegment
from historian.forward.spool import Spool
from historian.forward.state import BEGINNING, Cursor
from historian.store import frame as frames
from historian.store.frame import Found, SamplesFrame
from historian.store.rows import NO_ROWS, Rows, join

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows, and where one stands when they are sent. ``taken_at`` is when the first was taken into history."""

    rows: Rows
    after: Cursor
    taken_at: int


@dataclass(frozen=True, slots=True)
class Missing:
    """Frames that cannot be had any more: of ``segment`` and later ones, all before ``go_on``."""

    segment: int
    go_on: Cursor


class JournalFeed:
    """Rows of the journal from a cursor on. Not to be shared between threads."""

    def __init__(self, spool: Spool, cursor: Cursor) -> None:
        self._spool = spool
        self.go_to(cursor)

    def go_to(self, cursor: Cursor) -> None:
        """Go on there; what was read ahead is forgotten."""
        self._cursor = cursor
        self._segment = 0  # that is being read; 0: none yet
        self._end = 0  # how far
        self._items: Iterator[Found] = iter(())
        self._held: Found | None = None  # a frame that is sent in part
        self._missing: Missing | None = None  # found behind rows that come first

    @property
    def cursor(self) -> Cursor:
        """Where the next row is."""
        return self._cursor

    def next(self, most: int) -> Piece | Missing | None:
        """At most ``most`` rows, of as many frames as they take. Raises OSError, HistoryError."""
        if self._missing is not None:
            return self._skip(self._missing)
        runs: list[Rows] = []
        room = most
        taken_at = 0
        while room > 0:
            if self._held is None:
                following = self._following()
                if isinstance(following, Missing):
                    if not runs:
                        return self._skip(following)
                    self._missing = following
                if not isinstance(following, Found):
                    break
                self._held = following
            frame = self._held.frame
            rows = frame.rows if isinstance(frame, SamplesFrame) else NO_ROWS
            if isinstance(frame, SamplesFrame) and len(rows):
                taken_at = taken_at or frame.taken_at
            first = self._cursor.row
            piece = cut(rows, first, first + room)
            if len(piece):
                runs.append(piece)
            room -= len(piece)
            if first + len(piece) < len(rows):
                self._cursor = Cursor(self._segment, self._held.sequence, first + len(piece))
                break
            self._cursor = Cursor(self._segment, self._held.sequence + 1, 0)
            self._held = None
        return Piece(join(runs), self._cursor, taken_at) if runs else None

    def _skip(self, missing: Missing) -> Missing:
        self._missing = None
        self._cursor = missing.go_on
        return missing

    def _following(self) -> Found | Missing | None:
        """The frame at the cursor."""
        while True:
            for found in self._items:
                self._end = found.end
                if found.sequence >= self._cursor.sequence:
                    if found.sequence > self._cursor.sequence:  # the cursor stood in a frame that was damaged
                        self._cursor = Cursor(self._segment, found.sequence, 0)
                    return found
            there = (
                self._spool.segments()
            )  # before the segment is read: who follows it shows that it is whole
            if self._segment and self._read(there.get(self._segment)):
                continue
            later = [number for number in there if number > self._segment]
            if self._segment == 0:
                later = [number for number in there if number >= self._cursor.segment]
                if there and not later:
                    log.warning("the journal begins anew; so does forwarding")
                    self._cursor = BEGINNING
                    later = list(there)
            if not later:
                return None
            if (missing := self._open(later[0], there[later[0]])) is not None:
                return missing

    def _open(self, number: int, path: Path) -> Missing | None:
        """Go on with this segment, unless frames between are missing."""
        before = self._cursor
        self._segment, self._end = number, 0
        if not self._read(path):
            return None  # gone, or damaged from its head on: its frames will be missed at the next
        if number == before.segment or before == BEGINNING:
            return None
        first = next(self._items)
        self._items = _and(first, self._items)
        here = Cursor(number, first.sequence, 0)
        if first.sequence > before.sequence:
            return Missing(before.segment, here)
        self._cursor = here
        return None

    def _read(self, path: Path | None) -> bool:
        """Look for frames behind those that are known; False where there are none."""
        if path is None:
            return False
        try:
            with path.open("rb") as file:
                if self._end == 0:
                    frames.decode_head(file.read(frames.SEGMENT_HEAD.size))
                    self._end = frames.SEGMENT_HEAD.size
                file.seek(self._end)
                data = file.read()
        except FileNotFoundError:
            return False
        except NotASegment as error:
            log.warning("%s: %s; what it held is missing", path, error)
            return False
        items = (item for item in frames.scan(data, 0, self._end) if isinstance(item, Found))
        first = next(items, None)
        if first is None:
            return False
        self._items = _and(first, items)
        return True


def cut(rows: Rows, start: int, end: int) -> Rows:
    """Rows [start, end)."""
    if start <= 0 and end >= len(rows):
        return rows
    low, high = np.searchsorted(rows.text_rows, [start, end]).tolist()
    return Rows(
        rows.tags[start:end],
        rows.statuses[start:end],
        rows.times[start:end],
        rows.values[start:end],
        rows.text_rows[low:high] - np.uint32(start),
        rows.texts[low:high],
    )


def _and(first: Found, rest: Iterator[Found]) -> Iterator[Found]:
    yield first
    yield from rest
