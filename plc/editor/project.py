"""The files of a workspace folder as one program: what is open in the editor wins over what is on disk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from plc.language.analysis import read_source
from plc.language.source import Source

SUFFIX = ".st"
MOST_FILES = 2_000  # a folder with more is no program but somebody's home
_SKIPPED = frozenset({"node_modules", "build", "dist", "__pycache__"})


class Folder:
    """A folder's files, read again only when they changed on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: dict[Path, tuple[tuple[int, int], Source]] = {}

    def sources(self, opened: Mapping[str, str]) -> list[Source]:
        """Every file by path; ``opened`` are texts by path. What can not be read is left out."""
        found: dict[str, Source] = {path: Source(path, text) for path, text in opened.items()}
        kept: dict[Path, tuple[tuple[int, int], Source]] = {}
        for path in self._files():
            if str(path) in found:
                continue
            try:
                status = path.stat()
                stamp = (status.st_mtime_ns, status.st_size)
                known = self._read.get(path)
                kept[path] = known if known is not None and known[0] == stamp else (stamp, read_source(path))
            except OSError:
                continue  # gone since the folder was listed, or not ours to read: the names in it are reported
            found[str(path)] = kept[path][1]
        self._read = kept
        return [found[path] for path in sorted(found)]

    def _files(self) -> list[Path]:
        files: list[Path] = []
        for folder, inner, names in os.walk(self.path):
            inner[:] = sorted(one for one in inner if one not in _SKIPPED and not one.startswith("."))
            files.extend(Path(folder, name) for name in sorted(names) if name.lower().endswith(SUFFIX))
            if len(files) > MOST_FILES:
                return files[:MOST_FILES]
        return files
