"""A setting that names a file: relative to the file that it is written in, and there."""

from __future__ import annotations

import os
from pathlib import Path

from gateway.config.fault import FaultLog, quote
from gateway.config.kinds import Settings


def path_of(settings: Settings, key: str) -> Path:
    """Where the file is, there or not. ``key`` has to be sound."""
    return Path(os.path.normpath(settings.at(key).file.parent / settings[key]))


def file_of(settings: Settings, key: str, faults: FaultLog) -> Path:
    """Where the file is; a fault where it is not. ``key`` has to be sound."""
    path = path_of(settings, key)
    if not path.is_file():
        faults.add(
            settings.at(key),
            f"the file {quote(settings[key])} does not exist",
            "mend the path; it is relative to this file",
        )
    return path
