"""The catalogue as readers see it: which tag is which, and the gaps; remembered until the writer changes it."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from historian.errors import HistoryError
from historian.store.catalogue import COLUMNS, Entry, entry_of
from historian.store.database import open_checked
from historian.store.frame import GapFrame
from historian.store.layout import catalogue_path

# So long a tag is taken for what it was: seeing whether the catalogue has changed costs as much as a tenth of a short
# question. A tag whose type has changed is the old one for so long; what is not known is always looked for.
TRUSTED_NS = 50_000_000


class Names:
    """Reads the catalogue of a folder. Every method raises HistoryError where it cannot be read."""

    def __init__(self, directory: Path) -> None:
        self._path = catalogue_path(directory)
        self._database: sqlite3.Connection | None = None
        self._inode = 0
        self._version: int | None = None
        self._entries: dict[str, Entry] = {}
        self._gaps: list[GapFrame] | None = None
        self._looked = 0

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
        self._version = None
        self._looked = 0

    def all(self) -> list[Entry]:
        """Every tag there is, by path; none where there is no catalogue yet."""
        try:
            rows = self._rows(f"SELECT {COLUMNS} FROM tags ORDER BY path, since, id")  # noqa: S608 - a constant
        except FileNotFoundError:
            return []
        return list({row[1]: entry_of(row) for row in rows}.values())

    def entries(self, tags: Iterable[str]) -> dict[str, Entry]:
        """The present entry of each path, in the order asked. Raises KeyError for one that was never stored."""
        asked = dict.fromkeys(tags)
        known = self._entries
        if time.monotonic_ns() - self._looked < TRUSTED_NS and all(tag in known for tag in asked):
            return {tag: known[tag] for tag in asked}
        try:
            self._forget_if_changed()
            unknown = [tag for tag in asked if tag not in self._entries]
            if unknown:
                rows = self._rows(
                    f"SELECT {COLUMNS} FROM tags WHERE path IN (SELECT value FROM json_each(?))"  # noqa: S608
                    " ORDER BY since, id",
                    json.dumps(unknown),
                )
                self._entries.update({row[1]: entry_of(row) for row in rows})
        except FileNotFoundError:
            raise KeyError(next(iter(asked))) from None
        return {tag: self._entries[tag] for tag in asked}

    def gaps(self) -> list[GapFrame]:
        """All gaps in the catalogue. Raises FileNotFoundError where there is none yet."""
        self._forget_if_changed()
        if self._gaps is None:
            rows = self._rows("SELECT kind, from_time, to_time, lost FROM gaps")
            self._gaps = [
                GapFrame(kind, first, last, None if lost < 0 else lost) for kind, first, last, lost in rows
            ]
        return self._gaps

    def _forget_if_changed(self) -> None:
        """`data_version` differs as soon as another connection has committed; another file has another number."""
        self._looked = time.monotonic_ns()
        if self._database is not None and os.stat(self._path).st_ino != self._inode:  # noqa: PTH116 - half the time
            self.close()
        ((version,),) = self._rows("PRAGMA data_version")
        if version != self._version:
            self._version = version
            self._entries.clear()
            self._gaps = None

    def _rows(self, question: str, *parameters: str) -> list[Any]:
        try:
            if self._database is None:
                self._version = None
                self._database = open_checked(self._path)
                self._inode = self._path.stat().st_ino
            return self._database.execute(question, parameters).fetchall()
        except sqlite3.Error as error:
            raise HistoryError(f"{self._path}: {error}") from error
