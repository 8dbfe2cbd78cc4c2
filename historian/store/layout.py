"""Names of the files in a history folder (docs/formats/history.md)."""

from __future__ import annotations

import datetime
import os
import re
from pathlib import Path

DAY_NS = 86_400 * 10**9
_EPOCH = datetime.date(1970, 1, 1)
_DAY_FILE = re.compile(r"(\d{4})-(\d\d)-(\d\d)\.sqlite")
_SEGMENT = re.compile(r"(\d{16})\.journal")


def day_of(time_ns: int) -> int:
    """The UTC day of a time, in days since 1970."""
    return time_ns // DAY_NS


def day_path(directory: Path, day: int) -> Path:
    """The file of a day."""
    return directory / f"{_EPOCH + datetime.timedelta(days=day)}.sqlite"


def day_files(directory: Path) -> dict[int, Path]:
    """Every day file there is, by day, in order of days."""
    found: dict[int, Path] = {}
    for name in _names(directory):
        match = _DAY_FILE.fullmatch(name)
        if match:
            found[(datetime.date(*map(int, match.groups())) - _EPOCH).days] = directory / name
    return dict(sorted(found.items()))


def journal_directory(directory: Path) -> Path:
    return directory / "journal"


def segment_path(directory: Path, number: int) -> Path:
    return journal_directory(directory) / f"{number:016d}.journal"


def segments(directory: Path) -> dict[int, Path]:
    """Every journal segment there is, by number, in order."""
    found: dict[int, Path] = {}
    journal = journal_directory(directory)
    for name in _names(journal):
        match = _SEGMENT.fullmatch(name)
        if match:
            found[int(match[1])] = journal / name
    return dict(sorted(found.items()))


def catalogue_path(directory: Path) -> Path:
    return directory / "catalogue.sqlite"


def quarantine_path(directory: Path) -> Path:
    """Samples from too far in the future."""
    return directory / "quarantine.sqlite"


def status_path(directory: Path) -> Path:
    return directory / "status.json"


def lock_path(directory: Path) -> Path:
    return directory / "lock"


def _names(directory: Path) -> list[str]:
    """What is in a folder; nothing where it is not there."""
    try:
        return os.listdir(directory)  # noqa: PTH208 - every query lists two folders; this is ten times faster
    except FileNotFoundError:
        return []
