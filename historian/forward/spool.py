"""The journal kept for those who are behind: a second name for each segment, so that packing does not take it away.

The packer deletes a segment when its samples are in day files. A hard link costs nothing until then, and after it
keeps the segment, in the very order in which it was written, until every target has passed it or the bound is
reached. Where a segment is gone nonetheless, its samples are read from the day files (`stored_feed`).
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from historian.store.layout import journal_directory, segments

log = logging.getLogger(__name__)


class Spool:
    """Segments of one history folder, for all targets. One thread calls `refresh` and `trim`; any may ask."""

    def __init__(self, directory: Path, folder: Path) -> None:
        """``folder`` has to be on the same file system."""
        self._directory = directory
        self._folder = folder  # holds journal/, as a history folder does
        self._has_complained = False

    def refresh(self) -> None:
        """Keep what is there by now. Raises OSError."""
        kept = journal_directory(self._folder)
        kept.mkdir(parents=True, exist_ok=True)
        known = segments(self._folder)
        for number, path in segments(self._directory).items():
            if number in known:
                continue
            try:
                os.link(path, kept / path.name)
            except (FileNotFoundError, FileExistsError):
                continue  # packed since it was listed: the day files have it
            except OSError as error:
                if not self._has_complained:
                    self._has_complained = True
                    log.warning(
                        "the journal cannot be kept for targets that are behind: %s; day files serve", error
                    )
                return

    def trim(self, needed: int, keep_bytes: int) -> list[int]:
        """Let go of segments before ``needed``, and of the oldest beyond the bound; returns those of the latter."""
        there = segments(self._directory)
        waiting: dict[Path, int] = {}
        for number, path in segments(self._folder).items():
            if number < needed:
                path.unlink(missing_ok=True)
            elif number not in there:  # what is in the journal too costs nothing
                waiting[path] = path.stat().st_size
        dropped: list[int] = []
        total = sum(waiting.values())
        for path, size in waiting.items():
            if total <= keep_bytes:
                break
            path.unlink(missing_ok=True)
            dropped.append(int(path.stem))
            total -= size
        return dropped

    def segments(self) -> dict[int, Path]:
        """Every segment that can be read, by number, in order."""
        return dict(sorted({**segments(self._directory), **segments(self._folder)}.items()))
