"""The scan's process: where its executable is, how it is started, how it ends."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import plc
from plc.runtime.client import ScanClient, ScanGoneError

EXECUTABLE = "tieline-scan"
START_PATIENCE_S = 10.0
START_PAUSE_S = 0.01
STOP_PATIENCE_S = 3.0  # it ends within 1 s; a machine that is busy gets more


class StartUp(Enum):
    """How the program begins when the process does."""

    WARM = "warm"
    COLD = "cold"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ScanFiles:
    """What a scan runs on and leaves behind."""

    program: Path  # the shared object
    wiring: Path
    control: Path  # its socket
    retain: Path


class ScanStartError(Exception):
    """The process ended, or did not answer, while it was started; the message is what it said."""


def executable() -> Path:
    """The scan's executable, of an editable install as of a wheel. Raises FileNotFoundError."""
    for folder in plc.__path__:
        path = Path(folder) / "bin" / EXECUTABLE
        if path.is_file():
            return path
    raise FileNotFoundError(f"{EXECUTABLE} is not installed: build the package anew")


def command(
    region: str,
    files: ScanFiles,
    *,
    start: StartUp = StartUp.WARM,
    owner: str = "scan",
    priority: int = 80,
    watchdog_ms: int = 100,
    retain_ms: int = 1000,
    path: Path | None = None,
) -> list[str]:
    """The command line; ``path``: another executable than the installed one. Raises FileNotFoundError."""
    return [
        os.fspath(path or executable()),
        *("--region", region, "--owner", owner, "--program", os.fspath(files.program)),
        *("--wiring", os.fspath(files.wiring), "--control", os.fspath(files.control)),
        *("--retain", os.fspath(files.retain), "--start", start.value, "--priority", str(priority)),
        *("--watchdog-ms", str(watchdog_ms), "--retain-ms", str(retain_ms)),
    ]


def connected(process: subprocess.Popen[str], control: Path) -> ScanClient:
    """A client of a process that was just started. Raises ScanStartError."""
    end = time.monotonic() + START_PATIENCE_S
    while time.monotonic() < end:
        if process.poll() is not None:
            said = process.stderr.read() if process.stderr is not None else ""
            raise ScanStartError(f"{EXECUTABLE} ended with {process.returncode}: {said.strip()}")
        try:
            return ScanClient.connect(control)
        except ScanGoneError:
            time.sleep(START_PAUSE_S)
    raise ScanStartError(f"{EXECUTABLE} does not answer at {control}")


def ended(process: subprocess.Popen[str]) -> int:
    """Ask a scan to end, outputs safe and retained variables saved; returns its status. Killed where it is late."""
    process.terminate()
    try:
        return process.wait(STOP_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
