"""Deviation applied to what is read from the shared journal, and nothing lost of it while the site runs.

What a filter holds is in no file yet. It needs none: it is in the shared journal still, and `held.json` says from
where on it has to be read again. That place is written down only once all that was kept up to then is durable. So
a historian that was killed goes on, tag by tag, after the last sample that it kept, with everything since then.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson

from gateway.config.deviation import Deviation
from gateway.tags.sample import from_bits, to_bits
from gateway.tags.tag import ValueType
from historian.deviation import Filter, Point
from historian.query.history import History
from historian.store.rows import NO_ROWS, Rows, join

log = logging.getLogger(__name__)

LOOK_NS = 10**9  # how often it is seen what is held for too long, and the place is written down
Positions = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Thinned:
    """A tag of which not all is kept."""

    id: int  # in the catalogue
    path: str
    type: ValueType
    deviation: Deviation


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a slice began in the shared journal, and when it was taken."""

    slice: int
    positions: Positions
    taken_at: int


class Thinner:
    """The filters of all tags that have a deviation. One thread's."""

    def __init__(self, directory: Path, instance: int, most_records: int) -> None:
        """Nothing is held that lies further back than ``most_records`` of an owner's journal."""
        self._path = directory / "held.json"
        self._instance = instance
        self._most_records = most_records
        self._tags: dict[int, Thinned] = {}
        self._filters: dict[int, Filter] = {}
        self._is_thinned = np.zeros(1, bool)
        self._starts: deque[_Start] = deque()
        self._slice = 0
        self._looked_at = 0
        self._offered: deque[tuple[Positions, Positions]] = deque()  # read up to, and held from
        self._written: Positions = {}

    @property
    def is_idle(self) -> bool:
        """Whether no tag has a deviation."""
        return not self._filters

    def follow(self, tags: Iterable[Thinned]) -> Rows:
        """Go on with these; what those held that are others now is kept."""
        chosen = {tag.id: tag for tag in tags}
        gone = [id for id, tag in self._tags.items() if chosen.get(id) != tag]
        kept = self._rows((id, point) for id in gone for point in self._filters.pop(id).release())
        self._tags = chosen
        for id, tag in chosen.items():
            self._filters.setdefault(id, Filter(tag.deviation))
        self._is_thinned = np.zeros(max(chosen, default=0) + 1, bool)
        self._is_thinned[list(chosen)] = True
        return kept

    def begin(self, positions: Positions, now: int) -> None:
        """Reading goes on from here."""
        self._starts.clear()
        self._starts.append(_Start(self._slice, dict(positions), now))

    def forget(self) -> None:
        """Begin anew with all tags, as something between is missing."""
        self._filters = {id: Filter(tag.deviation) for id, tag in self._tags.items()}

    def last_kept(self) -> Rows:
        """The newest sample that history has of each tag. Raises OSError, HistoryError."""
        history = History(self._path.parent)
        try:
            found = history.last_many(tag.path for tag in self._tags.values())
        finally:
            history.close()
        pieces = [
            Rows(
                np.full(len(series), tag.id, np.uint32),
                series.statuses,
                series.source_times,
                to_bits(series.values, tag.type),
                NO_ROWS.text_rows,
                (),
            )
            for tag in self._tags.values()
            if len(series := found[tag.path]) and series.type is tag.type
        ]
        return join(pieces)

    def thin(self, rows: Rows, start: Positions, now: int) -> Rows:
        """What is to be kept of a slice that began at ``start``, and of what was held before."""
        if self.is_idle or not len(rows):
            return rows
        chosen = self._thinned(rows)
        if not chosen.any():
            return rows
        self._slice += 1
        self._starts.append(_Start(self._slice, dict(start), now))
        kept: list[tuple[int, Point]] = []
        filters = self._filters
        for id, point in self._points(rows.where(chosen)):
            for each in filters[id].push(point):
                kept.append((id, each))
        return join([rows.where(~chosen), self._rows(kept)])

    def due(self, now: int, positions: Positions) -> Rows:
        """What was held for too long, or so far back that the shared journal might go over it."""
        if self.is_idle or abs(now - self._looked_at) < LOOK_NS:
            return NO_ROWS
        self._looked_at = now
        while self._starts and self._starts[0].slice < self._oldest():
            self._starts.popleft()
        kept: list[tuple[int, Point]] = []
        slices = [start.slice for start in self._starts]
        far = max((start.slice for start in self._starts if self._is_far(start, positions)), default=-1)
        for id, filter in self._filters.items():
            if filter.is_holding:
                assert filter.anchor is not None, "something is held only behind one"
                origin = filter.anchor.origin
                # Where its own slice is forgotten, nothing was held then: what is held came in the next ones.
                waited = now - self._starts[bisect_left(slices, origin)].taken_at
                if origin <= far or not 0 <= waited <= filter.deviation.held_ns:
                    kept += ((id, point) for point in filter.release())
        return self._rows(kept)

    def release(self) -> Rows:
        """All that is held."""
        return self._rows((id, point) for id, filter in self._filters.items() for point in filter.release())

    def resume(self, rows: Rows) -> None:
        """These are kept whatever the filters say: go on after them."""
        for id, point in self._points(rows.where(self._thinned(rows))):
            newest = self._filters[id].newest
            if newest is None or point.time >= newest.time:
                self._filters[id].resume(point)

    def again(self, rows: Rows) -> Rows:
        """What was read before, from where something was held: what was kept of it, or before it, is passed over."""
        kept: list[tuple[int, Point]] = []
        for id, point in self._points(rows.where(self._thinned(rows))):
            filter = self._filters[id]
            if filter.newest is None or point.time > filter.newest.time:
                kept += ((id, each) for each in filter.push(point))
        return self._rows(kept)

    def offered(self, positions: Positions) -> None:
        """All that is to be kept of what was read up to ``positions`` is on its way to the disk."""
        if not self.is_idle:
            self._offered.append((dict(positions), self._held_from(positions)))

    def durable(self, positions: Positions) -> None:
        """What was on its way is there up to ``positions``: write down from where on something is held."""
        held: Positions | None = None
        while self._offered and all(
            positions.get(owner, 0) >= end for owner, end in self._offered[0][0].items()
        ):
            _, held = self._offered.popleft()
        if held is not None and held != self._written:
            self.write(held)

    def write(self, held: Positions) -> None:
        """Note a place. It is not synced: with the power the shared journal is gone too."""
        draft = self._path.with_suffix(".json.draft")
        try:
            draft.write_bytes(orjson.dumps({"instance": self._instance, "positions": dict(held)}))
            draft.replace(self._path)
        except OSError as error:
            log.debug("%s: %s", self._path, error)
            return
        self._written = held

    def held_from(self) -> dict[str, int] | None:
        """As it was written down, of this instance of the shared journal."""
        try:
            content = orjson.loads(self._path.read_bytes())
            if content["instance"] != self._instance:
                return None
            return {str(owner): int(at) for owner, at in content["positions"].items()}
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
            return None

    def _held_from(self, positions: Positions) -> Positions:
        oldest = self._oldest()
        start = next((start for start in self._starts if start.slice >= oldest), None)
        return dict(positions) if start is None else start.positions

    def _oldest(self) -> int:
        """The slice of the oldest sample that something is held after; beyond all where nothing is."""
        return min(
            (
                filter.anchor.origin
                for filter in self._filters.values()
                if filter.is_holding and filter.anchor is not None
            ),
            default=self._slice + 1,
        )

    def _is_far(self, start: _Start, positions: Positions) -> bool:
        return any(
            end - start.positions.get(owner, end) > self._most_records for owner, end in positions.items()
        )

    def _thinned(self, rows: Rows) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        known = rows.tags < len(self._is_thinned)
        chosen: np.ndarray[tuple[int], np.dtype[np.bool_]] = np.zeros(len(rows), bool)
        chosen[known] = self._is_thinned[rows.tags[known]]
        return chosen

    def _points(self, rows: Rows) -> Iterable[tuple[int, Point]]:
        columns = {
            type: from_bits(rows.values, type).astype(np.float64).tolist()
            for type in {tag.type for tag in self._tags.values()}
        }
        numbers = [columns[self._tags[id].type][row] for row, id in enumerate(rows.tags.tolist())]
        return (
            (id, Point(time, number, status, bits, self._slice))
            for id, time, number, status, bits in zip(
                rows.tags.tolist(),
                rows.times.tolist(),
                numbers,
                rows.statuses.tolist(),
                rows.values.tolist(),
                strict=True,
            )
        )

    @staticmethod
    def _rows(kept: Iterable[tuple[int, Point]]) -> Rows:
        pairs = list(kept)
        if not pairs:
            return NO_ROWS
        return Rows(
            np.array([id for id, _ in pairs], np.uint32),
            np.array([point.status for _, point in pairs], np.uint32),
            np.array([point.time for _, point in pairs], np.int64),
            np.array([point.bits for _, point in pairs], np.uint64),
            NO_ROWS.text_rows,
            (),
        )
