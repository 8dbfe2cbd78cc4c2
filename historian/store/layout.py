"""Names of the files in a history folder (docs/formats/history.md)."""

from __future__ import annotations

import datetime
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
    for path in directory.glob("*.sqlite"):
        match = _DAY_FILE.fullmatch(path.name)
        if match:
            found[(datetime.date(*map(int, match.groups())) - _EPOCH).days] = path
    return dict(sorted(found.items()))


def journal_directory(directory: Path) -> Path:
    return directory / "journal"


def segment_path(directory: Path, number: int) -> Path:
    return journal_directory(directory) / f"{number:016d}.journal"


def segments(directory: Path) -> dict[int, Path]:
    """Every journal segment there is, by number, in order."""
    found: dict[int, Path] = {}
    for path in journal_directory(directory).glob("*.journal"):
        match = _SEGMENT.fullmatch(path.name)
        if match:
            found[int(match[1])] = path
    return dict(sorted(found.items()))


def catalogue_path(directory: Path) -> Path:
    return directory / "catalogue.sqlite"


def status_path(directory: Path) -> Path:
    return directory / "status.json"


def lock_path(directory: Path) -> Path:
    return directory / "lock"
