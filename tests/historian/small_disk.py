"""A disk that is really full: a small one of its own where the tests run as root, else no file may grow at all."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

SIZE = "3m"
PAGE = 4096


class SmallDisk:
    """Files under ``path``; nothing fits between `fill` and `free`. ``is_own``: it is really a disk."""

    def __init__(self, path: Path, *, is_own: bool) -> None:
        self.path = path
        self.is_own = is_own
        self._soft, self._hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self, but: int = 0) -> None:
        """Until the kernel says ENOSPC, but for so many pages; without a disk of our own it says EFBIG, to any file
        of this process.
        """
        if not self.is_own:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, self._hard))
            return
        with (self.path / "ballast").open("ab", buffering=0) as file:
            while _fits(file.fileno()):
                pass
            file.truncate(file.tell() - but * PAGE)

    def free(self) -> None:
        """There is room again."""
        if self.is_own:
            (self.path / "ballast").unlink(missing_ok=True)
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self._soft, self._hard))


def _fits(file: int) -> bool:
    try:
        os.write(file, bytes(PAGE))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False
    return True


@contextlib.contextmanager
def small_disk(path: Path) -> Iterator[SmallDisk]:
    """Mounted at ``path`` while it is open."""
    path.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(path))
    is_own = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    disk = SmallDisk(path, is_own=is_own)
    try:
        yield disk
    finally:
        disk.free()
        if is_own:
            subprocess.run(("umount", "--lazy", str(path)), check=True)
