"""Samples in, durable within the flush interval, in day files after the block interval.

`offer` takes what was read and returns at once; `flush` makes it durable; `pack` moves closed segments to day files.
Each of the three may be called from a thread of its own. A disk that does not take it keeps everything offered in
memory up to MAX_PENDING_BYTES; then `has_room` is False, and the shared journal is the buffer.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import orjson

from gateway.config.site import HistorianSettings
from historian.errors import DamagedBlock, DirectoryInUse
from historian.keeping.retention import Retention, measure
from historian.store import status
from historian.store.catalogue import Catalogue
from historian.store.day_file import consumed_by
from historian.store.durable import make_directory, set_aside
from historian.store.frame import Frame, GapFrame, QuarantineFrame, SamplesFrame
from historian.store.journal import Journal
from historian.store.layout import day_files, day_of, lock_path, status_path
from historian.store.packer import DISK_ERRORS, Packer
from historian.store.rows import NO_ROWS, join

log = logging.getLogger(__name__)

MAX_PENDING_BYTES = 128 << 20  # 5 million rows: nine minutes at 10,000 changes/s without a disk
MAX_FRAME_BYTES = (
    16 << 20
)  # about what one frame holds before compression; bounds what a reader decodes at once
MAX_SEGMENT_ROWS = 6_000_000  # a minute at 100,000 changes/s; packing it takes ~0.8 GB of memory
COMPLAIN_EVERY_NS = (
    30 * 10**9
)  # a full disk is told at once, then twice a minute: loud, but the log stays readable


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Everything of ``instance``'s journals before ``positions`` is durable."""

    instance: int
    positions: Mapping[str, int]


class Recorder:
    """The one writer of a history folder. `open` first, `close` last; it does not close with samples unflushed."""

    def __init__(self, directory: Path, settings: HistorianSettings, clock: Callable[[], int]) -> None:
        self._directory = directory
        self._settings = settings
        self._clock = clock
        self.catalogue = Catalogue(directory)
        self._journal = Journal(directory)
        self._packer = Packer(directory, self.catalogue, self._report)
        self.retention = Retention(directory, settings)
        self._lock = -1
        self._pending: deque[Frame] = deque()
        self._pending_bytes = 0
        self._pending_guard = threading.Lock()
        self._journal_guard = threading.Lock()
        self._segment_opened = 0
        self._flush_fault = ""
        self._pack_fault = ""
        self._complained = {"flush": 0, "pack": 0}
        self._damaged: set[tuple[Path, int]] = set()
        self.offered = 0  # frames since this was made; of these the first ``settled`` are durable
        self.settled = 0
        self.quarantined = 0  # samples since this was made
        self.clock_jumps = 0
        self.taken_at = 0  # when the newest durable samples were taken, 0: never

    def open(self) -> Acknowledged:
        """Take the folder, come back from whatever happened; returns where reading goes on.

        Raises DirectoryInUse, UnknownFormat, OSError, sqlite3.Error.
        """
        make_directory(self._directory)
        self._lock = _take_lock(self._directory)
        now = self._clock()
        self.catalogue.open(now)
        consumed = max(map(_consumed_by, day_files(self._directory).values()), default=0)
        self._packer.open(now)
        gaps = self._journal.recover(consumed, now)
        self.catalogue.add_found_gaps(gaps)
        self._segment_opened = now
        self.taken_at = self._journal.durable.taken_at
        self.retention.held = measure(self._directory)
        if self.taken_at:
            self.retention.clock_leapt(now - self.taken_at)
        self._write_status()
        return self.acknowledged

    def close(self) -> None:
        """Let go of all files. What is still pending is not durable, and was never acknowledged."""
        self._packer.close()
        self._journal.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    @property
    def acknowledged(self) -> Acknowledged:
        durable = self._journal.durable
        return Acknowledged(durable.instance, durable.ends)

    @property
    def is_gone(self) -> bool:
        """Whether somebody deleted the journal that is open."""
        return self._journal.is_gone

    @property
    def has_room(self) -> bool:
        """Whether more may be offered."""
        return self._pending_bytes < MAX_PENDING_BYTES

    @property
    def pending(self) -> int:
        """Frames offered that are not durable."""
        return len(self._pending)

    @property
    def pending_bytes(self) -> int:
        """Bytes offered that are not durable."""
        return self._pending_bytes

    def offer(self, frame: Frame) -> None:
        """Queue samples or a gap for the next flush."""
        with self._pending_guard:
            self.offered += 1
            self._pending.append(frame)
            self._pending_bytes += _size(frame)

    def flush(self) -> bool:
        """Make everything offered so far durable; False where the disk did not take it, and all is kept.

        Raises FileNotFoundError where the folder was deleted: trying again mends nothing, opening it anew does.
        """
        with self._journal_guard:
            flushed = False
            try:
                self._refuse_gone()
                if self.retention.starved:
                    raise OSError(errno.ENOSPC, self.retention.starved)
                while batch := self._next_batch():
                    self._journal.append(combine(batch), self._clock())
                    self._refuse_gone()  # before it is acknowledged
                    self._settle(batch)
                    flushed = True
                self._rotate_when_due()
            except FileNotFoundError:
                raise
            except OSError as error:
                self._flush_fault = f"journal: {error}"
                self._complain("flush", self._flush_fault)
                self._try_status()
                return False
            if self._flush_fault:
                log.warning("the journal can be written again; nothing that was taken is lost")
                self._flush_fault = ""
                self._complained["flush"] = 0
            if flushed:
                self.taken_at = self._journal.durable.taken_at
                self._try_status()
            return True

    def pack(self, stopping: Callable[[], bool]) -> bool:
        """Move closed segments to day files, merge, drop old days; False where the disk did not take it."""
        now = self._clock()
        try:
            self._packer.pack(self._journal.number, now, stopping)
            self._packer.merge_due(now, stopping)
            for drop in self.retention.look(day_of(now)):
                path = self._packer.drop(drop.day, for_room=drop.for_room)
                log.log(
                    logging.WARNING if drop.for_room else logging.INFO, "dropped %s: %s", path.name, drop.why
                )
        except DISK_ERRORS as error:
            self._pack_fault = f"day files: {error}"
            self._complain("pack", self._pack_fault)
            self._try_status()
            return False
        if self._pack_fault:
            log.warning("day files can be written again")
            self._pack_fault = ""
            self._complained["pack"] = 0
            self._try_status()
        return True

    def rotate(self) -> None:
        """Close the open segment now, so that `pack` takes all that is durable. Raises OSError."""
        with self._journal_guard:
            self._journal.rotate(self._clock())
            self._segment_opened = self._clock()

    def _refuse_gone(self) -> None:
        if self._journal.is_gone:
            raise FileNotFoundError(
                errno.ENOENT, "the journal was deleted while it was written", str(self._directory)
            )

    def _rotate_when_due(self) -> None:
        age = self._clock() - self._segment_opened
        is_old = not 0 <= age < self._settings.block_s * 10**9  # a clock set back counts as old
        if self._journal.segment_rows >= MAX_SEGMENT_ROWS or (is_old and self._journal.segment_frames):
            self._journal.rotate(self._clock())
            self._segment_opened = self._clock()

    def _next_batch(self) -> list[Frame]:
        """The oldest frames pending, about MAX_FRAME_BYTES of them, left pending."""
        batch: list[Frame] = []
        size = 0
        with self._pending_guard:
            for frame in self._pending:
                batch.append(frame)
                size += _size(frame)
                if size >= MAX_FRAME_BYTES:
                    break
        return batch

    def _settle(self, batch: list[Frame]) -> None:
        with self._pending_guard:
            self.settled += len(batch)
            for frame in batch:
                self._pending.popleft()
                self._pending_bytes -= _size(frame)

    def _complain(self, what: str, fault: str) -> None:
        now = self._clock()
        if abs(now - self._complained[what]) >= COMPLAIN_EVERY_NS:
            self._complained[what] = now
            log.error(
                "HISTORY IS NOT BEING WRITTEN: %s (trying again; %d MiB of %d MiB kept in memory)",
                fault,
                self._pending_bytes >> 20,
                MAX_PENDING_BYTES >> 20,
            )

    def _report(self, damage: DamagedBlock) -> None:
        if (damage.file, damage.block) not in self._damaged:
            self._damaged.add((damage.file, damage.block))
            log.error("damaged history: %s", damage)

    def _try_status(self) -> None:
        try:
            self._write_status()
        except OSError as error:
            log.debug("status not written: %s", error)

    def _write_status(self) -> None:
        durable = self._journal.durable
        status.write(
            status_path(self._directory),
            {
                "pid": os.getpid(),
                "instance": durable.instance,
                "positions": durable.ends,
                "taken_at": durable.taken_at,
                "pending_bytes": self._pending_bytes,
                "fault": "; ".join(filter(None, (self._flush_fault, self._pack_fault))),
                "quarantined": self.quarantined,
                "clock_jumps": self.clock_jumps,
                **self.retention.told(),
            },
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """When the newest durable samples were taken (UTC ns, 0: never), and what keeps more from being written."""

    taken_at: int
    fault: str
    size: int = 0  # bytes on the disk, by days and all
    days: int = 0
    oldest: str = ""  # the oldest day, ISO 8601
    free: int = 0
    is_shedding: bool = False
    quarantined: int = 0
    clock_jumps: int = 0


def read_progress(directory: Path) -> Progress:
    """As the historian of this folder last said, if it could."""
    try:
        told = status.read(status_path(directory))
        known = {field.name for field in fields(Progress)}
        return Progress(**{key: value for key, value in told.items() if key in known})
    except (OSError, orjson.JSONDecodeError, TypeError):
        return Progress(0, "")


def read_status(directory: Path) -> Acknowledged:
    """What the historian of this folder has acknowledged; of instance 0 where it never did."""
    try:
        told = status.read(status_path(directory))
    except FileNotFoundError:
        return Acknowledged(0, {})
    return Acknowledged(told["instance"], told["positions"])


def combine(frames: list[Frame]) -> list[Frame]:
    """The same in fewer frames: neighbours of one instance as one, up to MAX_FRAME_BYTES."""
    out: list[Frame] = []
    run: list[SamplesFrame] = []
    size = 0
    for frame in frames:
        fits = (
            isinstance(frame, SamplesFrame)
            and bool(run)
            and frame.instance == run[0].instance
            and size + frame.rows.size <= MAX_FRAME_BYTES
        )
        if not fits and run:
            out.append(_joined(run))
            run, size = [], 0
        match frame:
            case SamplesFrame():
                run.append(frame)
                size += frame.rows.size
            case GapFrame() | QuarantineFrame():
                out.append(frame)
    if run:
        out.append(_joined(run))
    return out


def _size(frame: Frame) -> int:
    return 0 if isinstance(frame, GapFrame) else frame.rows.size


def _joined(run: list[SamplesFrame]) -> SamplesFrame:
    if len(run) == 1:
        return run[0]
    positions = {
        owner: (run[0].positions.get(owner, span)[0], span[1]) for owner, span in run[-1].positions.items()
    }
    rows = (
        join([frame.rows for frame in run if len(frame.rows)]) if any(len(f.rows) for f in run) else NO_ROWS
    )
    return replace(run[-1], positions=positions, rows=rows)


def _consumed_by(path: Path) -> int:
    """`consumed_by`; a file that is no database any more is set aside, so that its day can be written again."""
    try:
        return consumed_by(path)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        log.error(
            "%s cannot be read and is set aside as it is, with .damaged behind its name: %s", path, error
        )
        set_aside(path)
        return 0


def _take_lock(directory: Path) -> int:
    file = os.open(lock_path(directory), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(file, 32).decode(errors="replace").strip()
        os.close(file)
        raise DirectoryInUse(directory, holder) from None
    os.ftruncate(file, 0)
    os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
    return file
