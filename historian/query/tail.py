"""What is in the journal and not yet in day files, kept up to date by reading only what is new."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.tags.tag import ValueType
from historian.errors import HistoryError
from historian.query import merge
from historian.query.listing import Listing
from historian.query.stored import Newest
from historian.store import frame as frames
from historian.store.blocks import Samples, newest_of_each_time
from historian.store.frame import Found, GapFrame, SamplesFrame
from historian.store.layout import journal_directory, segments
from historian.store.rows import Rows, join

MAX_KEPT_ROWS = 16_000_000  # 400 MB: a packer that is stuck must not make every reader eat the machine
# Sorting more at once would hold up the question that happens to come then: these take 3 ms.
MAX_PIECE_ROWS = 1 << 16

_NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class _Newest:
    """The tags of some rows, ascending, and where the newest sample of each is: its time, its row."""

    tags: NDArray[np.uint32]
    times: NDArray[np.int64]
    rows: NDArray[np.int64]


@dataclass(slots=True)
class _Piece:
    """Rows by tag, those of one tag in the order they were written; what is newest is found when it is asked for."""

    rows: Rows
    found: _Newest | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def newest(self) -> _Newest:
        if self.found is None:
            self.found = _newest_of(self.rows)
        return self.found


@dataclass(slots=True)
class _Known:
    """A segment as far as it has been read."""

    end: int
    pieces: list[_Piece] = field(default_factory=list)
    gaps: list[GapFrame] = field(default_factory=list)

    def add(self, rows: Rows) -> None:
        """Keep few pieces, each less than half of the one before: a row is copied log(n) times, not at each look.

        Pieces that become one are sorted together, once.
        """
        size, first = len(rows), len(self.pieces)
        while first:
            before = len(self.pieces[first - 1])
            if size * 2 < before or size + before > MAX_PIECE_ROWS:
                break
            size += before
            first -= 1
        joined = join([*(piece.rows for piece in self.pieces[first:]), rows])
        self.pieces[first:] = [_Piece(by_tag(joined))]


class Tail:
    """The rows of every segment there is. `refresh`, then ask; day files must be read after it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._listing = Listing(journal_directory(directory), lambda: segments(directory))
        self._known: dict[int, _Known] = {}

    def refresh(self) -> None:
        """Read what was appended since, forget what was moved. Raises OSError, HistoryError."""
        there = self._listing.now()
        for number in [number for number in self._known if number not in there]:
            del self._known[number]
        for number, path in there.items():
            try:
                self._read(number, path)
            except FileNotFoundError:
                # Moved since it was listed: its samples are in the day files, which are read next.
                self._known.pop(number, None)
        kept = 0
        for known in reversed(list(self._known.values())):
            kept += sum(map(len, known.pieces))
            if kept > MAX_KEPT_ROWS:
                raise HistoryError(f"{self._directory}: over {MAX_KEPT_ROWS} samples wait to be packed")

    def samples(self, tag: int, type: ValueType) -> list[tuple[int, Samples]]:
        """The tag's samples by segment number, ascending; each sorted, newest of each time."""
        return self.samples_of({tag: type}).get(tag, [])

    def samples_of(self, types: Mapping[int, ValueType]) -> dict[int, list[tuple[int, Samples]]]:
        """`samples` of many tags, those that have some; the types of tags are by id."""
        found: dict[int, list[tuple[int, Samples]]] = {}
        if not any(known.pieces for known in self._known.values()):
            return found
        asked = np.fromiter(types, np.uint32, len(types))
        for number, known in sorted(self._known.items()):
            runs: dict[int, list[Samples]] = {}
            for rows in (piece.rows for piece in known.pieces):
                lows = rows.tags.searchsorted(asked)
                highs = rows.tags.searchsorted(asked, "right")
                for place in np.flatnonzero(lows < highs).tolist():
                    tag = int(asked[place])
                    part = _part(rows, int(lows[place]), int(highs[place]), types[tag])
                    runs.setdefault(tag, []).append(part)
            for tag, parts in runs.items():
                found.setdefault(tag, []).append((number, newest_of_each_time(merge.join(parts, types[tag]))))
        return found

    def newest(self, types: Mapping[int, ValueType]) -> dict[int, Newest]:
        """The newest sample of each tag that has one; its sequence is its segment's number."""
        if not any(known.pieces for known in self._known.values()):
            return {}
        asked = np.fromiter(types, np.uint32, len(types))
        best = np.full(len(asked), _NEVER)
        where: list[tuple[int, Rows, NDArray[np.int64]]] = []
        chosen = np.full(len(asked), -1)
        for number, known in sorted(self._known.items()):
            for piece in known.pieces:
                newest = piece.newest()
                places = np.minimum(newest.tags.searchsorted(asked), len(newest.tags) - 1)
                # What was written later counts where the times are the same.
                is_newer = (newest.tags[places] == asked) & (newest.times[places] >= best)
                best[is_newer] = newest.times[places[is_newer]]
                chosen[is_newer] = len(where)
                where.append((number, piece.rows, newest.rows[places]))
        found: dict[int, Newest] = {}
        for place, ((tag, type), piece_of, time) in enumerate(
            zip(types.items(), chosen.tolist(), best.tolist(), strict=True)
        ):
            if piece_of >= 0:
                number, rows, lows = where[piece_of]
                row = lows[place : place + 1]
                is_text = type is ValueType.STRING
                value = rows.texts_at(row)[0] if is_text else int(rows.values[row].view(np.int64)[0])
                found[tag] = Newest(tag, time, number, value, int(rows.statuses[row[0]]))
        return found

    def gaps(self) -> list[GapFrame]:
        """Gaps not yet in the catalogue, or there already."""
        return [gap for _, known in sorted(self._known.items()) for gap in known.gaps]

    def _read(self, number: int, path: Path) -> None:
        known = self._known.get(number)
        if known is not None and os.stat(path).st_size == known.end:  # noqa: PTH116 - nothing new, told cheaply
            return
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if known is None or size < known.end:
                # New, or cut back by the writer after an error: what was cut comes again in the next segment.
                file.seek(0)
                frames.decode_head(file.read(frames.SEGMENT_HEAD.size))
                known = self._known[number] = _Known(frames.SEGMENT_HEAD.size)
            if size == known.end:
                return
            file.seek(known.end)
            data = file.read(size - known.end)
        self._take(known, data)

    def _take(self, known: _Known, data: bytes) -> None:
        """The frames of ``data``, which starts where the segment has been read up to."""
        fresh: list[Rows] = []
        try:
            for item in frames.scan(data, 0, known.end):
                if isinstance(item, Found):
                    match item.frame:
                        case SamplesFrame(rows=rows) if len(rows):
                            fresh.append(rows)
                        case GapFrame():
                            known.gaps.append(item.frame)
                        case _:
                            pass
                known.end = item.end
                if sum(map(len, fresh)) >= MAX_PIECE_ROWS:
                    known.add(join(fresh))
                    fresh = []
        finally:
            if fresh:
                known.add(join(fresh))


def _newest_of(rows: Rows) -> _Newest:
    """Of rows by tag, at least one."""
    starts = np.concatenate([[0], np.flatnonzero(rows.tags[1:] != rows.tags[:-1]) + 1])
    ends = np.append(starts[1:], len(rows))
    newest = np.maximum.reduceat(rows.times, starts)
    places = ends - 1
    for late in np.flatnonzero(rows.times[places] != newest).tolist():
        low, high = int(starts[late]), int(ends[late])
        places[late] = high - 1 - int(np.argmax(rows.times[low:high][::-1]))
    return _Newest(rows.tags[starts], newest, places)


def by_tag(rows: Rows) -> Rows:
    """The same rows sorted by tag; those of one tag stay in their order."""
    if bool((rows.tags[1:] >= rows.tags[:-1]).all()):
        return rows
    order = np.argsort(rows.tags, kind="stable")
    text_rows, texts = rows.text_rows, rows.texts
    if texts:
        places = np.empty(len(order), np.uint32)
        places[order] = np.arange(len(order), dtype=np.uint32)
        moved = places[text_rows]
        by_place = np.argsort(moved)
        text_rows = moved[by_place]
        texts = tuple(texts[i] for i in by_place.tolist())
    return Rows(
        rows.tags[order], rows.statuses[order], rows.times[order], rows.values[order], text_rows, texts
    )


def _part(rows: Rows, low: int, high: int, type: ValueType) -> Samples:
    values: NDArray[np.uint64] = rows.values[low:high]
    if type is ValueType.STRING:
        values = rows.texts_at(np.arange(low, high))
    return Samples(rows.times[low:high], values, rows.statuses[low:high])
