"""A program alone, without a site: a region with nothing but the scan's own tags, and the scan on it."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.config.paths import RunPaths, region_name, run_paths
from gateway.tags.image import Region, RegionError
from gateway.tags.tag import TagSpec
from plc.compiler.build import Built
from plc.online.place import SCRATCH, Online
from plc.runtime.process import ScanFiles, StartUp, command, connected, ended
from plc.runtime.wiring import System, SystemTag, encode_wiring

OWNER = "scan"
_MODE = "_system.scan.mode"
_JOURNAL_RECORDS = 1024  # nobody reads it


class BusyError(Exception):
    """Another program runs in the state folder."""


@dataclass(frozen=True, slots=True)
class HowToRun:
    """What the command line says of a run."""

    state: Path | None
    start: StartUp
    watchdog_ms: int
    priority: int


def scratch_paths(state: Path | None) -> RunPaths:
    """The folders of a program alone."""
    return run_paths(SCRATCH, state)


@contextmanager
def running(built: Built, how: HowToRun) -> Iterator[Online]:
    """The program, running, until the block ends; its state goes with it, but for a folder that was asked for.

    Raises BusyError, ScanStartError, FileNotFoundError (tieline-scan is not installed), RegionError, OSError.
    """
    paths = scratch_paths(how.state)
    with ExitStack() as stack:
        paths.logic.mkdir(parents=True, exist_ok=True, mode=0o700)
        paths.runtime.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = stack.enter_context(paths.run_lock.open("a"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"another program runs in {paths.state}") from None
        if how.state is None:
            stack.callback(shutil.rmtree, paths.state, ignore_errors=True)
        specs = [TagSpec(_MODE, System.MODE.value_type, OWNER)]
        region = Region.create(region_name(SCRATCH, paths), specs, journal_records=_JOURNAL_RECORDS)
        stack.callback(region.close)
        wiring = write_wiring(paths, region, built)
        files = ScanFiles(built.shared_object, wiring, paths.scan_socket, paths.retained)
        with suppress(FileNotFoundError):
            paths.scan_socket.unlink()
        words = command(
            region.name, files, start=how.start, priority=how.priority, watchdog_ms=how.watchdog_ms
        )
        process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        listener = threading.Thread(target=_forward, args=(process,), daemon=True)
        stack.callback(_end, process, listener)
        client = stack.enter_context(connected(process, paths.scan_socket))
        listener.start()
        client.use(built.symbols)
        yield Online(paths, client, built.symbols)


def write_wiring(paths: RunPaths, region: Region, built: Built) -> Path:
    """The wiring of a program alone: nothing but what the scan tells of itself. Raises OSError."""
    path = paths.logic / f"wiring-{built.digest[:16]}.bin"
    systems = [SystemTag(_MODE, System.MODE)]
    path.write_bytes(encode_wiring(region, OWNER, built.symbols, [], [], systems=systems))
    return path


def rewired(paths: RunPaths, built: Built) -> Path:
    """The wiring of a new program for the run that is there. Raises RegionError, OSError."""
    with Region.attach(region_name(SCRATCH, paths)) as region:
        return write_wiring(paths, region, built)


def is_scratch(paths: RunPaths) -> bool:
    """Whether what runs there is a program alone, and no site."""
    try:
        with Region.attach(region_name(SCRATCH, paths)):
            return True
    except RegionError:
        return False


def _forward(process: subprocess.Popen[str]) -> None:
    """What the scan says goes on to whoever looks at our stderr."""
    assert process.stderr is not None
    for line in process.stderr:
        print(line.rstrip(), file=sys.stderr)


def _end(process: subprocess.Popen[str], listener: threading.Thread) -> None:
    if process.poll() is None:
        ended(process)
    if listener.ident is not None:
        listener.join()
    assert process.stderr is not None
    process.stderr.close()


__all__ = ["BusyError", "HowToRun", "is_scratch", "rewired", "running", "scratch_paths"]
