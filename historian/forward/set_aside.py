"""Points that a target refused: kept in a file, so that somebody can look at them, mend what is wrong, and send them.

Each is a line of line protocol under a comment that says when and why; the file can be sent as it is.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable
from pathlib import Path

from historian.store.durable import write_all

MAX_BYTES = 64 << 20  # half a million points; two such files are kept


class SetAside:
    """One target's file; the one before it, full, has ``.1`` behind its name."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, lines: Iterable[str], why: str, now: int) -> None:
        """Keep ``lines``, durably. Raises OSError."""
        moment = datetime.datetime.fromtimestamp(now // 10**9, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        text = f"# {moment} {' '.join(why.split())}\n" + "".join(f"{line}\n" for line in lines)
        data = text.encode()
        if self._path.exists() and self._path.stat().st_size + len(data) > MAX_BYTES:
            self._path.replace(self._path.with_name(self._path.name + ".1"))
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            write_all(file, data)
            os.fsync(file)
        finally:
            os.close(file)
