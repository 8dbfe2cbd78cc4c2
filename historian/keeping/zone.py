"""The site's time zone, noted beside its history: who reads that has the site file not always at hand."""

from __future__ import annotations

import datetime
import sqlite3
import zoneinfo
from contextlib import closing
from pathlib import Path

from historian.store.database import connect, open_to_read
from historian.store.layout import catalogue_path

KEY = "time_zone"


def note_zone(directory: Path, name: str) -> None:
    """Raises sqlite3.Error."""
    with connect(catalogue_path(directory)) as database:
        database.execute("INSERT OR REPLACE INTO about VALUES(?, ?)", (KEY, name))


def zone_of(directory: Path) -> datetime.tzinfo:
    """UTC where none is noted, or this machine does not know it."""
    try:
        with closing(open_to_read(catalogue_path(directory))) as database:
            row = database.execute("SELECT value FROM about WHERE key = ?", (KEY,)).fetchone()
        return zone_named(row[0]) if row else datetime.UTC
    except (sqlite3.Error, FileNotFoundError, zoneinfo.ZoneInfoNotFoundError):
        return datetime.UTC


def zone_named(name: str) -> datetime.tzinfo:
    """Raises zoneinfo.ZoneInfoNotFoundError."""
    return datetime.UTC if name == "UTC" else zoneinfo.ZoneInfo(name)
