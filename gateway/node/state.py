"""The state folder of a run: one run at a time, and a record of it for `tieline status`."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from gateway.config.paths import RunPaths
from gateway.node.watched import Watched

# The lock's file holds this much of the disk, for the record: a site starts where the disk is full, too.
SPARE_BYTES = 64 << 10
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class StateError(Exception):
    """The state folder cannot be used now; the message says why."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Who runs a state folder, and which site. ``parts`` in the order in which they start.

    ``file`` and ``digest`` are of the site that runs, ``applied_ns`` is when it was started or reloaded, and
    ``reloads`` counts those. ``watched``: tags that may be wrong, as that site declares them.
    """

    site: str
    region: str
    pid: int
    started_ns: int
    parts: tuple[str, ...]
    addresses: tuple[str, ...]
    file: str = ""
    digest: str = ""
    applied_ns: int = 0
    reloads: int = 0
    watched: tuple[Watched, ...] = ()


class StateLock:
    """The right to run a state folder; given back by `release`, or by the kernel when this process ends."""

    def __init__(self, paths: RunPaths) -> None:
        self._paths = paths
        self._descriptor = -1

    def take(self) -> None:
        """Make the folders, and take the lock. Raises StateError."""
        paths = self._paths
        try:
            for folder in (paths.state, paths.runtime.parent, paths.runtime):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _own(paths.runtime)
            if paths.runtime.parent != paths.state:
                _own(paths.runtime.parent)
            self._descriptor = os.open(
                paths.run_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            record = read_record(paths)
            who = f"process {record.pid} runs {record.site}" if record else "another process runs a site"
            raise StateError(f"{who} in {paths.state}; give this one another --state folder") from None
        except OSError as error:
            raise StateError(f"{error.filename}: {error.strerror}") from error

    def record(self, record: RunRecord) -> None:
        """Say who runs. Raises OSError."""
        content = json.dumps(asdict(record), indent=1).encode() + b"\n"
        fresh = self._paths.run_record.with_suffix(".new")
        try:
            fresh.write_bytes(content)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            os.ftruncate(self._descriptor, 0)
            fresh.write_bytes(content)
        fresh.replace(self._paths.run_record)
        self._spare(2 * len(content))

    def release(self) -> None:
        """Leave nothing behind that says that something runs."""
        self._paths.run_record.unlink(missing_ok=True)
        self._spare(0)
        os.close(self._descriptor)

    def _spare(self, least: int) -> None:
        """Take room for the next record, where there is any."""
        with suppress(OSError):
            os.posix_fallocate(self._descriptor, 0, max(SPARE_BYTES, least))


def is_running(paths: RunPaths) -> bool:
    """Whether some process holds the lock of this state folder."""
    try:
        descriptor = os.open(paths.run_lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def read_record(paths: RunPaths) -> RunRecord | None:
    """The record of the run, if there is one."""
    try:
        fields = json.loads(paths.run_record.read_bytes())
        return RunRecord(
            str(fields["site"]),
            str(fields["region"]),
            int(fields["pid"]),
            int(fields["started_ns"]),
            tuple(map(str, fields["parts"])),
            tuple(map(str, fields["addresses"])),
            str(fields.get("file", "")),
            str(fields.get("digest", "")),
            int(fields.get("applied_ns", 0)),
            int(fields.get("reloads", 0)),
            tuple(map(Watched.of_json, fields.get("watched", ()))),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _own(folder: Path) -> None:
    """A folder for sockets is ours alone, whoever made it. Raises StateError, OSError."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise StateError(f"{folder} is not a folder of this user: sockets would not be safe there")
    if stat.S_IMODE(found.st_mode) & 0o077:
        folder.chmod(0o700)
