"""What is in the journal and not yet in day files, kept up to date by reading only what is new."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gateway.tags.tag import ValueType
from historian.errors import HistoryError
from historian.query import merge
from historian.store import frame as frames
from historian.store.blocks import Samples, newest_of_each_time
from historian.store.frame import Found, GapFrame, SamplesFrame
from historian.store.layout import segments
from historian.store.rows import Rows, join

MAX_KEPT_ROWS = 16_000_000  # 400 MB: a packer that is stuck must not make every reader eat the machine


@dataclass(slots=True)
class _Known:
    """A segment as far as it has been read."""

    end: int
    pieces: list[Rows]
    gaps: list[GapFrame]

    def add(self, rows: Rows) -> None:
        """Keep few pieces, each less than half of the one before: a row is copied log(n) times, not at each look."""
        self.pieces.append(rows)
        while len(self.pieces) > 1 and len(self.pieces[-1]) * 2 >= len(self.pieces[-2]):
            self.pieces[-2:] = [join(self.pieces[-2:])]


class Tail:
    """The rows of every segment there is. `refresh`, then ask; day files must be read after it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: dict[int, _Known] = {}

    def refresh(self) -> None:
        """Read what was appended since, forget what was moved. Raises OSError, HistoryError."""
        there = segments(self._directory)
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
        found: list[tuple[int, Samples]] = []
        for number, known in sorted(self._known.items()):
            runs: list[Samples] = []
            for rows in known.pieces:
                places = np.flatnonzero(rows.tags == tag)
                if len(places):
                    values = rows.texts_at(places) if type is ValueType.STRING else rows.values[places]
                    runs.append(Samples(rows.times[places], values, rows.statuses[places]))
            if runs:
                found.append((number, newest_of_each_time(merge.join(runs, type))))
        return found

    def gaps(self) -> list[GapFrame]:
        """Gaps not yet in the catalogue, or there already."""
        return [gap for _, known in sorted(self._known.items()) for gap in known.gaps]

    def _read(self, number: int, path: Path) -> None:
        known = self._known.get(number)
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if known is None or size < known.end:
                # New, or cut back by the writer after an error: what was cut comes again in the next segment.
                file.seek(0)
                frames.decode_head(file.read(frames.SEGMENT_HEAD.size))
                known = self._known[number] = _Known(frames.SEGMENT_HEAD.size, [], [])
            if size == known.end:
                return
            file.seek(known.end)
            data = file.read(size - known.end)
        base = known.end
        for item in frames.scan(data, 0, base):
            known.end = item.end
            if isinstance(item, Found):
                match item.frame:
                    case SamplesFrame(rows=rows) if len(rows):
                        known.add(rows)
                    case GapFrame():
                        known.gaps.append(item.frame)
                    case _:
                        pass
