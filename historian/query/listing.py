"""What is in a folder, listed again only when the folder may have changed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

# A folder changed twice within a tick of its file system's clock says the same time twice (FAT: 2 s, others less):
# what it says counts as settled only when it is older than that.
SETTLED_NS = 2_100_000_000


class Listing:
    """The answer of ``read`` for ``directory``, remembered while the folder's time of change says it still holds."""

    def __init__(self, directory: Path, read: Callable[[], Mapping[int, Path]]) -> None:
        self._directory = str(directory)
        self._read = read
        self._changed: int | None = None
        self._found: Mapping[int, Path] = {}

    def now(self) -> Mapping[int, Path]:
        """What is there. Raises OSError, but not where the folder is missing."""
        looked = time.time_ns()
        try:
            changed = os.stat(self._directory).st_mtime_ns  # noqa: PTH116 - every query asks: a third of Path's time
        except FileNotFoundError:
            self._changed = None
            return {}
        if changed != self._changed:
            self._found = self._read()
            self._changed = changed if looked - changed > SETTLED_NS else None
        return self._found
