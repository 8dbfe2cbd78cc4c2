"""Which days are dropped, and why: too old, too much, or a disk that runs full. Today is never dropped."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.config.site import HistorianSettings
from gateway.config.sizes import size_text
from historian.store.layout import day_files, day_path

LOOK_EVERY_NS = 10 * 10**9  # a look is a stat of every file: 365 days take a millisecond
OWED_NS = (
    60 * 10**9
)  # a reader may hold a dropped file's space for a while: what is owed is not dropped again
DISTRUST_NS = (
    24 * 3600 * 10**9
)  # a clock that leapt a day ahead has a day to be put right before it ages anything
LEAP_NS = 24 * 3600 * 10**9


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes on the disk: of each day with its write-ahead log, of the other files of history, and what is free."""

    days: Mapping[int, int]
    other: int
    free: int

    @property
    def size(self) -> int:
        return sum(self.days.values()) + self.other


@dataclass(frozen=True, slots=True)
class Drop:
    """A day to be dropped. ``for_room``: its space is needed at once."""

    day: int
    why: str
    for_room: bool


def drops(held: Held, today: int, limits: HistorianSettings, *, by_age: bool = True) -> list[Drop]:
    """The days that go, oldest first. Days from today on stay, whatever the limits are."""
    found: list[Drop] = []
    size, free = held.size, held.free
    for day, day_size in sorted(held.days.items()):
        if day >= today:
            break
        if by_age and limits.keep_days and day < today - limits.keep_days:
            found.append(Drop(day, f"older than {limits.keep_days} days", False))
        elif limits.max_disk and size > limits.max_disk:
            why = f"history takes {size_text(size)}, of {size_text(limits.max_disk)} allowed"
            found.append(Drop(day, why, True))
        elif free < limits.min_free:
            why = f"{size_text(free)} of the disk are free, less than {size_text(limits.min_free)}"
            found.append(Drop(day, why, True))
        else:
            break
        size -= day_size
        free += day_size
    return found


def measure(directory: Path) -> Held:
    """What is there now. Raises OSError."""
    days = {
        day: _size(path) + _size(path.with_name(path.name + "-wal"))
        for day, path in day_files(directory).items()
    }
    total = 0
    for folder, _, names in os.walk(directory):
        total += sum(_size(Path(folder, name)) for name in names)
    return Held(days, max(total - sum(days.values()), 0), shutil.disk_usage(directory).free)


class Retention:
    """Looks at the folder now and then, and says what is to go. Lives in the packing thread; others read it."""

    def __init__(
        self, directory: Path, limits: HistorianSettings, steady: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._directory = directory
        self._limits = limits
        self._steady = steady
        self._looked_at: int | None = None
        self._distrusted_until: int | None = None
        self._owed: list[tuple[int, int]] = []
        self.held: Held | None = None
        self.is_shedding = False  # the disk is so full that history goes, or is not written
        self.starved = ""  # why nothing more may be written: there is no room, and no day left to drop

    def clock_leapt(self, by_ns: int) -> None:
        """The clock was put ahead: by more than a day, and age says nothing for a while."""
        if by_ns > LEAP_NS:
            self._distrusted_until = self._steady() + DISTRUST_NS

    def told(self) -> dict[str, int | str | bool]:
        """As `recorder.Progress` names it."""
        held = self.held
        if held is None:
            return {}
        oldest = day_path(self._directory, min(held.days)).stem if held.days else ""
        return {
            "size": held.size,
            "days": len(held.days),
            "oldest": oldest,
            "free": held.free,
            "is_shedding": self.is_shedding,
        }

    def look(self, today: int) -> list[Drop]:
        """What is to be dropped now; nothing between looks. Raises OSError."""
        now = self._steady()
        if self._looked_at is not None and not self.starved and now - self._looked_at < LOOK_EVERY_NS:
            return []
        self._looked_at = now
        if self._distrusted_until is not None and now >= self._distrusted_until:
            self._distrusted_until = None
        self._owed = [(until, size) for until, size in self._owed if now < until]
        held = self.held = measure(self._directory)
        owed = sum(size for _, size in self._owed)
        hoped = Held(held.days, held.other, held.free + owed)
        found = drops(hoped, today, self._limits, by_age=self._distrusted_until is None)
        freed = sum(held.days[drop.day] for drop in found)
        if freed:
            self._owed.append((now + OWED_NS, freed))
        self.is_shedding = held.free < self._limits.min_free
        short = hoped.free + freed < self._limits.min_free
        self.starved = (
            f"only {size_text(held.free)} of the disk are free, min_free is {size_text(self._limits.min_free)},"
            " and there is no day left to drop"
            if short
            else ""
        )
        return found


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
