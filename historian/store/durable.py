"""The few system calls that make bytes last."""

from __future__ import annotations

import os
from pathlib import Path


def write_all(file: int, data: bytes) -> None:
    """Write all of ``data``, in as many pieces as the system takes. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def truncate(path: Path, length: int) -> None:
    """Cut a file, durably. Raises OSError."""
    with path.open("r+b") as file:
        file.truncate(length)
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Make the names in a folder last: a synced file without its name is lost. Raises OSError."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
