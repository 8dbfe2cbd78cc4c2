"""A whole file into a parcel for the historian, or its faults by line and nothing at all."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.config.site_keys.values import LONGEST_TAG_NAME, OWN_TAG_GRAMMAR, OWN_TAG_NAME
from gateway.tags.tag import ValueType
from historian.errors import HistoryError
from historian.keeping.importing.files import Piece, read_pieces
from historian.keeping.importing.inbox import Parcel
from historian.keeping.importing.mapping import ImportMap
from historian.keeping.importing.typed import is_bad, is_missing, no_value, status_of, type_of, typed
from historian.keeping.progress import Advance
from historian.store.rows import Rows

SHOWN_FAULTS = 20  # who has more has one cause, or another file in mind
FRAME_ROWS = 65_536
MAX_TEXT_BYTES = 4_000  # of one string sample


class BadLines(HistoryError):  # noqa: N818 - reads as the claim it makes
    """Lines that cannot be samples; nothing of the file was imported."""

    def __init__(self, path: Path, faults: Sequence[tuple[int, str]], count: int) -> None:
        told = "\n".join(f"  line {line}: {why}" for line, why in faults)
        more = f"\n  and {count - len(faults):,} more" if count > len(faults) else ""
        super().__init__(f"{path} was not imported, {count:,} lines are wrong:\n{told}{more}")


@dataclass(slots=True)
class Summary:
    """What a file held."""

    samples: int = 0
    new_tags: dict[str, ValueType] = field(default_factory=dict)
    first_time: int = 2**63 - 1
    last_time: int = 0


class Reader:
    """Reads one file against the tags that history has, ``known``."""

    def __init__(
        self, path: Path, map: ImportMap, known: Mapping[str, ValueType], latest: int, parcel: Parcel
    ) -> None:
        """No sample may be later than ``latest`` (UTC ns)."""
        self._path = path
        self._map = map
        self._known = known
        self._latest = latest
        self._parcel = parcel
        self._names: dict[str, str | None] = {}  # of the file → here, None: left out
        self._ids: dict[str, int] = {}
        self._types: dict[str, ValueType] = {}
        self._faults: list[tuple[int, str]] = []
        self._count = 0
        self.summary = Summary()

    def read(self, zone: datetime.tzinfo, advance: Advance) -> dict[int, tuple[str, ValueType]]:
        """Everything into the parcel; returns its tags. Raises BadLines, Unreadable, MissingLibrary, OSError."""
        for piece in read_pieces(self._path, self._map, zone, advance):
            self._take(piece)
        if self._count:
            raise BadLines(self._path, self._faults, self._count)
        self.summary.new_tags = {tag: type for tag, type in self._types.items() if tag not in self._known}
        return {id: (tag, self._types[tag]) for tag, id in self._ids.items()}

    def _take(self, piece: Piece) -> None:
        unusable = {place for place, _ in piece.wrong}
        for place, why in piece.wrong:
            self._fault(piece.lines[place], why)
        for place in np.flatnonzero((piece.times < 0) | (piece.times > self._latest)).tolist():
            if place not in unusable:
                unusable.add(place)
                when = (
                    "lies before 1970"
                    if piece.times[place] < 0
                    else "lies in the future: is the time zone right?"
                )
                self._fault(piece.lines[place], f"its time {when}")
        statuses = self._statuses(piece, unusable)
        for tags, values in piece.columns:
            for tag, places in self._by_tag(piece, tags, len(values), unusable).items():
                self._take_tag(piece, tag, places, values, statuses, isinstance(tags, str))

    def _statuses(self, piece: Piece, unusable: set[int]) -> NDArray[np.uint32]:
        statuses = np.zeros(len(piece.lines), np.uint32)
        known: dict[Any, int] = {}
        for place, told in enumerate(piece.qualities or ()):
            if place in unusable:
                continue
            try:
                if told not in known:
                    known[told] = status_of(told, self._map.qualities)
                statuses[place] = known[told]
            except ValueError as error:
                unusable.add(place)
                self._fault(piece.lines[place], str(error))
        return statuses

    def _by_tag(
        self, piece: Piece, tags: str | Sequence[str], count: int, unusable: set[int]
    ) -> dict[str, list[int]]:
        if isinstance(tags, str):
            name = self._name(tags, 1)
            return {} if name is None else {name: [place for place in range(count) if place not in unusable]}
        found: dict[str, list[int]] = {}
        for place, told in enumerate(tags):
            if place in unusable:
                continue
            name = self._name(told, piece.lines[place])
            if name is not None:
                found.setdefault(name, []).append(place)
        return found

    def _name(self, told: str, line: int) -> str | None:
        """The tag's name here; a name that is none is a fault of each line with it."""
        if told not in self._names:
            mapped = self._map.tags.get(told)
            self._names[told] = mapped or (None if self._map.only_named else told)
        name = self._names[told]
        if name is None:
            return None
        if len(name) > LONGEST_TAG_NAME or re.fullmatch(OWN_TAG_NAME, name) is None:
            self._fault(
                line,
                f"{name[:60]!r} is no tag's name ({OWN_TAG_GRAMMAR}): give it one in a map, under `tags`",
            )
            return None
        return name

    def _take_tag(
        self,
        piece: Piece,
        tag: str,
        places: list[int],
        values: Sequence[Any],
        statuses: NDArray[np.uint32],
        is_wide: bool,
    ) -> None:
        missing = [place for place in places if is_missing(values[place])]
        if missing and is_wide:
            gone = set(missing)
            places = [place for place in places if place not in gone]
        if not places:
            return
        type = self._type(tag, next((values[p] for p in places if not is_missing(values[p])), None))
        told = [values[place] for place in places]
        if missing and not is_wide and type is not ValueType.STRING:
            for at, place in enumerate(places):
                if is_missing(told[at]):
                    if not is_bad(int(statuses[place])):
                        self._fault(piece.lines[place], f"{tag} has no value, although it is not Bad")
                    told[at] = no_value(type)
        found, wrong = typed(type, told, self._map.decimal)
        for at, why in wrong:
            self._fault(piece.lines[places[at]], f"{tag}: {why}")
        if self._count:
            return  # faults are still gathered, samples no longer
        chosen = np.array(places)
        times = piece.times[chosen]
        self.summary.samples += len(places)
        self.summary.first_time = min(self.summary.first_time, int(times.min()))
        self.summary.last_time = max(self.summary.last_time, int(times.max()))
        is_text = type is ValueType.STRING
        for start in range(0, len(places), FRAME_ROWS):
            part = slice(start, start + FRAME_ROWS)
            count = len(times[part])
            texts = tuple(text[:MAX_TEXT_BYTES] for text in found[part].tolist()) if is_text else ()
            self._parcel.add(
                Rows(
                    np.full(count, self._ids[tag], np.uint32),
                    statuses[chosen[part]],
                    times[part],
                    np.zeros(count, np.uint64) if is_text else found[part],
                    np.arange(count if is_text else 0, dtype=np.uint32),
                    texts,
                )
            )

    def _type(self, tag: str, first: Any) -> ValueType:
        if tag not in self._ids:
            self._ids[tag] = len(self._ids) + 1
            given = self._known.get(tag, self._map.types.get(tag))
            self._types[tag] = type_of(first, self._map.decimal) if given is None else given
        return self._types[tag]

    def _fault(self, line: int, why: str) -> None:
        self._count += 1
        if len(self._faults) < SHOWN_FAULTS:
            self._faults.append((line, why))
