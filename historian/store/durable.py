"""The few system calls that make bytes last."""

from __future__ import annotations

import os
from pathlib import Path

MAX_SET_ASIDE = 100  # of one name; the hundredth replaces the ninety-ninth


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


def unlink_for_room(path: Path) -> None:
    """Delete a file and what it takes, even where a reader has it open; not where it has another name. OSError."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        path.unlink()
        if os.fstat(file).st_nlink == 0:
            os.ftruncate(file, 0)
    finally:
        os.close(file)


def set_aside(path: Path) -> None:
    """Take a damaged file out of the way and keep it for whoever can save something. Raises OSError."""
    target = path.with_name(path.name + ".damaged")
    for again in range(1, MAX_SET_ASIDE):
        if not target.exists():
            break
        target = path.with_name(f"{path.name}.damaged{again}")
    path.rename(target)
    sync_directory(path.parent)


def make_directory(path: Path) -> None:
    """Make a folder, and those it is in, so that they last. Raises OSError."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(exist_ok=True)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a folder last: a synced file without its name is lost. Raises OSError."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
