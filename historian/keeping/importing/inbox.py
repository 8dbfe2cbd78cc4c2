"""The historian's door for samples of others: a folder of whole files, taken by the one writer there is.

``inbox/<name>/`` comes into being by a rename once all of it is on the disk (docs/formats/history.md, "Inbox"). The
historian offers its rows as it offers live ones, journal and all, and deletes it when they are durable: killed
between, it takes all of it once more, which changes nothing, as a sample of the same time and value is the same.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from gateway.config.site import HistorianSettings, Tag
from gateway.tags.tag import ValueType
from historian.errors import HistoryError
from historian.store import frame as frames
from historian.store.durable import sync_directory
from historian.store.frame import SamplesFrame
from historian.store.journal import read_segment
from historian.store.recorder import Recorder, read_progress
from historian.store.rows import Rows, join

log = logging.getLogger(__name__)

TAGS, REFUSED, DRAFT = "tags.json", ".refused", ".draft"
REASON = "reason.txt"
FRAME_ROWS = 65_536
FRAMES_A_FILE = 16  # a million rows at most are decoded at once
FRAMES_A_STEP = 4  # live samples wait so long at most: a quarter of a million rows, 20 ms
MAX_WAITING_BYTES = 16 << 20  # of what is not durable yet; live samples have the rest
_NAME = re.compile(r"\d{20}-\d+")


def inbox_of(history: Path) -> Path:
    return history / "inbox"


class Parcel:
    """A draft of what goes into the inbox: rows are added, and then it is handed in, or thrown away."""

    def __init__(self, history: Path, made_at: int) -> None:
        self._inbox = inbox_of(history)
        self._name = f"{made_at:020}-{os.getpid()}"
        self._draft = self._inbox / (self._name + DRAFT)
        self._made_at = made_at
        self._frames = 0
        self._data = b""
        self._rows: list[Rows] = []
        self._waiting = 0

    def __enter__(self) -> Parcel:
        self._inbox.mkdir(parents=True, exist_ok=True)
        for path in self._inbox.glob(f"*{DRAFT}"):
            if not _is_alive(int(path.name.removesuffix(DRAFT).rpartition("-")[2])):
                shutil.rmtree(path, ignore_errors=True)  # of an import or a historian that was killed
        self._draft.mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._draft, ignore_errors=True)

    def add(self, rows: Rows) -> None:
        """Rows whose tags are numbers of `hand_in`'s. Raises OSError."""
        self._rows.append(rows)
        self._waiting += len(rows)
        if self._waiting >= FRAME_ROWS:
            self._close_frame()

    def _close_frame(self) -> None:
        rows = join(self._rows)
        self._rows, self._waiting = [], 0
        if not self._data:
            self._data = frames.encode_head(self._frames // FRAMES_A_FILE + 1, self._made_at)
        self._frames += 1
        self._data += frames.encode(self._frames, SamplesFrame(0, self._made_at, {}, rows))
        if self._frames % FRAMES_A_FILE == 0:
            self._write()

    def hand_in(self, tags: Mapping[int, tuple[str, ValueType]]) -> Path:
        """Make it the historian's. Raises OSError."""
        if self._rows:
            self._close_frame()
        if self._data:
            self._write()
        told = [{"id": id, "path": path, "type": int(type)} for id, (path, type) in tags.items()]
        _write_synced(self._draft / TAGS, orjson.dumps({"format": 1, "tags": told}))
        sync_directory(self._draft)
        target = self._inbox / self._name
        self._draft.rename(target)
        sync_directory(self._inbox)
        return target

    def _write(self) -> None:
        number = (self._frames - 1) // FRAMES_A_FILE + 1
        _write_synced(self._draft / f"{number:016}.journal", self._data)
        self._data = b""


@dataclass(slots=True)
class _Taking:
    """A parcel that is being taken. ``until`` is what has to be settled before it is done."""

    path: Path
    rows: Iterator[Rows]
    taken: int = 0
    until: int | None = None


class Inbox:
    """Takes parcels, oldest first, a little at a time; in the thread that offers live samples."""

    def __init__(self, history: Path, recorder: Recorder, insert: Callable[[Rows], None]) -> None:
        self._inbox = inbox_of(history)
        self._recorder = recorder
        self._insert = insert
        self._taking: _Taking | None = None

    def step(self) -> bool:
        """Whether rows were offered. What cannot be taken is set aside with its reason."""
        if self._taking is None:
            self._taking = self._next()
        taking = self._taking
        if taking is None:
            return False
        if taking.until is not None:
            if self._recorder.settled >= taking.until:
                self._finish(taking)
            return False
        try:
            for _ in range(FRAMES_A_STEP):
                if self._recorder.pending_bytes >= MAX_WAITING_BYTES:
                    break
                rows = next(taking.rows, None)
                if rows is None:
                    taking.until = self._recorder.offered
                    break
                self._insert(rows)
                taking.taken += len(rows)
        except (OSError, HistoryError, sqlite3.Error, ValueError, KeyError) as error:
            self._refuse(taking.path, str(error))
            return False
        return True

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being taken, and nothing waits."""
        return self._taking is None and not waiting(self._inbox)

    def _next(self) -> _Taking | None:
        for path in waiting(self._inbox):
            try:
                return _Taking(path, self._rows(path))
            except (OSError, HistoryError, sqlite3.Error, ValueError, KeyError, TypeError) as error:
                self._refuse(path, str(error))
        return None

    def _rows(self, path: Path) -> Iterator[Rows]:
        """Registers the parcel's tags at once; rows then come with ids of the catalogue."""
        told = orjson.loads((path / TAGS).read_bytes())
        if told["format"] != 1:
            raise HistoryError(f"{path} is of version {told['format']}; this program reads version 1")
        known = {(entry.path, entry.type): entry.id for entry in self._recorder.catalogue.entries()}
        wanted = {one["id"]: (one["path"], ValueType(one["type"])) for one in told["tags"]}
        present = dict(iter(known))
        for tag, type in wanted.values():
            if (tag, type) not in known and tag in present:
                raise HistoryError(
                    f"{tag} is of type {present[tag].name.lower()} by now, not {type.name.lower()}"
                )
        new = [pair for pair in wanted.values() if pair not in known]
        tags = [Tag(tag, type, "import", "", "") for tag, type in new]
        for entry in self._recorder.catalogue.register(tags, time.time_ns()):
            known[entry.path, entry.type] = entry.id
        ids = np.zeros(max(wanted, default=0) + 1, np.uint32)
        for id, pair in wanted.items():
            ids[id] = known[pair]
        return self._read(path, ids)

    def _read(self, path: Path, ids: NDArray[np.uint32]) -> Iterator[Rows]:
        for file in sorted(path.glob("*.journal")):
            segment = read_segment(file)
            if segment.damage or segment.end < segment.size:
                raise HistoryError(f"{file} is damaged")
            for found in segment.frames:
                if isinstance(found.frame, SamplesFrame):
                    rows = found.frame.rows
                    yield Rows(
                        ids[rows.tags], rows.statuses, rows.times, rows.values, rows.text_rows, rows.texts
                    )

    def _finish(self, taking: _Taking) -> None:
        self._taking = None
        gone = taking.path.with_name(taking.path.name + DRAFT)
        taking.path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
        log.info("imported %d samples", taking.taken)

    def _refuse(self, path: Path, reason: str) -> None:
        self._taking = None
        log.error("an import is refused and set aside in %s: %s", path.parent, reason)
        path.rename(path.with_name(path.name + REFUSED))
        (path.with_name(path.name + REFUSED) / REASON).write_text(reason)


def waiting(inbox: Path) -> list[Path]:
    """Parcels that are whole, oldest first."""
    try:
        names = os.listdir(inbox)  # noqa: PTH208 - looked at four times a second
    except FileNotFoundError:
        return []
    return [inbox / name for name in sorted(names) if _NAME.fullmatch(name)]


def reason_of(parcel: Path) -> str | None:
    """Why a parcel was refused; None where it was not."""
    try:
        return (parcel.with_name(parcel.name + REFUSED) / REASON).read_text()
    except FileNotFoundError:
        return None


def take_alone(history: Path) -> None:
    """Take what waits where no historian runs, being one meanwhile. Raises DirectoryInUse, HistoryError, OSError."""
    recorder = Recorder(history, HistorianSettings(), time.time_ns)
    recorder.open()
    try:
        at = recorder.acknowledged
        here = {owner: (end, end) for owner, end in at.positions.items()}

        def insert(rows: Rows) -> None:
            recorder.offer(SamplesFrame(at.instance, recorder.taken_at, here, rows))

        inbox = Inbox(history, recorder, insert)
        while not inbox.is_idle:
            inbox.step()
            _done(recorder.flush(), history)
        recorder.rotate()
        _done(recorder.pack(lambda: False), history)
    finally:
        recorder.close()


def _done(is_done: bool, history: Path) -> None:
    if not is_done:
        raise HistoryError(read_progress(history).fault or f"{history} cannot be written")


def _is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
