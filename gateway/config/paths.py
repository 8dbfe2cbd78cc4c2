"""Where a running site keeps things: what must last, and what lives as long as the run."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

SOCKET_PATH_BYTES = 107  # sockaddr_un.sun_path is 108 bytes with its NUL
TRACE_ENDING = ".trace"
_LONGEST_SOCKET_NAME = len("dnp3_master.trace")
_KEY_DIGITS = 12  # 48 bits: enough that two state folders of one machine do not meet
_NAME_CHARACTERS = (
    40  # of a site's name in its region's name: with prefix and key it stays below NAME_MAX (255)
)


@dataclass(frozen=True, slots=True)
class RunPaths:
    """``state`` outlives the run (history, audit, accounts, certificates); ``runtime`` holds sockets.

    ``runtime`` has mode 0700, and is short: a Unix socket's path has at most 107 bytes.
    """

    state: Path
    runtime: Path

    @property
    def history(self) -> Path:
        return self.state / "history"

    @property
    def totals(self) -> Path:
        """Where totals stand (gateway.calculated)."""
        return self.state / "totals.json"

    @property
    def anomalies(self) -> Path:
        """What detectors have learned from (historian.anomaly)."""
        return self.state / "anomalies"

    @property
    def health(self) -> Path:
        """What is known of assets by day, and what is to be maintained (historian.health_job)."""
        return self.state / "health.sqlite"

    @property
    def demand_response(self) -> Path:
        """Events that were given, and who left them (historian.demand_response_job)."""
        return self.state / "demand_response.sqlite"

    @property
    def audit(self) -> Path:
        return self.state / "audit.jsonl"

    @property
    def accounts(self) -> Path:
        return self.state / "accounts.json"

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def run_record(self) -> Path:
        """Who runs this state folder now: what `tieline status` reads first."""
        return self.state / "run.json"

    @property
    def run_lock(self) -> Path:
        return self.state / "run.lock"

    def driver_socket(self, owner: str) -> Path:
        """Where a driver in a process of its own is operated."""
        return self.runtime / f"{owner}.sock"

    def trace_socket(self, owner: str) -> Path:
        """Where a process of drivers tells the last frames of its devices."""
        return self.runtime / f"{owner}{TRACE_ENDING}"

    @property
    def logic(self) -> Path:
        """Of the scan: built programs, wiring, retained variables, and the record of what runs (plc.running)."""
        return self.state / "logic"

    @property
    def retained(self) -> Path:
        return self.logic / "retained.bin"

    @property
    def scan_socket(self) -> Path:
        """The scan's control socket (docs/formats/scan-control.md)."""
        return self.runtime / "scan.sock"

    @property
    def node_socket(self) -> Path:
        """Where the root is asked to reload."""
        return self.runtime / "node.sock"

    @property
    def market_socket(self) -> Path:
        """Where members hand in what they sign (docs/formats/market.md)."""
        return self.runtime / "market.sock"

    @property
    def command_socket(self) -> Path:
        return self.runtime / "commands.sock"

    @property
    def simulator_socket(self) -> Path:
        return self.runtime / "simulator.sock"


def run_paths(site_name: str, state: Path | None = None) -> RunPaths:
    """The folders of a site's run; nothing is made here.

    Without ``state`` it is ``$STATE_DIRECTORY`` (set by systemd for a unit with ``StateDirectory=``), else
    ``tieline/<site>`` under ``$XDG_STATE_HOME`` or ``~/.local/state``. Sockets go to ``run`` in the state
    folder, or, where that path is too long for a socket, to ``tieline-<uid>/<key>`` in the temporary folder;
    so everyone who knows the state folder finds them.
    """
    if state is None:
        given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
        state = Path(given) if given else _state_home() / "tieline" / _plain(site_name)
    state = state.expanduser().resolve()
    runtime = state / "run"
    if len(os.fsencode(runtime)) + 1 + _LONGEST_SOCKET_NAME > SOCKET_PATH_BYTES:
        runtime = Path(tempfile.gettempdir()) / f"tieline-{owner_of(state)}" / _key(state)
    return RunPaths(state, runtime)


def region_name(site_name: str, paths: RunPaths) -> str:
    """The name of the shared-memory region of a site run in this state folder."""
    return f"{_plain(site_name)}.{_key(paths.state)}"


def owner_of(state: Path) -> int:
    """The user id that owns a state folder; ours where it is not there yet."""
    try:
        return state.stat().st_uid
    except OSError:
        return os.geteuid()


def _state_home() -> Path:
    given = os.environ.get("XDG_STATE_HOME")
    return Path(given) if given else Path.home() / ".local" / "state"


def _key(state: Path) -> str:
    return hashlib.sha256(os.fsencode(state)).hexdigest()[:_KEY_DIGITS]


def _plain(site_name: str) -> str:
    """The site's name as part of a file name."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", site_name)[:_NAME_CHARACTERS] or "site"
