"""What the scan of a site runs: its program, table of symbols and wiring, as files in the state folder.

``logic/running.json`` in the state folder names them. A run writes it when it has compiled the site's programs, an
online change when the scan has gone over; a scan that is started again in the same run takes what it names, so that
it comes back with the program it had and without waiting for a compiler.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from gateway.config.paths import RunPaths
from gateway.config.site import Site
from gateway.tags.image import Region
from plc.compiler.build import Built, build
from plc.compiler.symbols import Symbols
from plc.site import LogicReport, check_logic, sources_of, wiring_of

RECORD = "running.json"
CACHE = "programs"
_WIRINGS = "wiring-*.bin"
_DIGITS = 16  # of a program's digest in a file's name: 64 bits, and only this site's programs beside it


class LogicFaultsError(Exception):
    """The programs or their map have faults: ``report`` has them all."""

    def __init__(self, report: LogicReport) -> None:
        super().__init__("the logic has faults")
        self.report = report


@dataclass(frozen=True, slots=True)
class Running:
    """The files of a program that runs, or is about to. ``instance`` is the region's that the wiring is for."""

    digest: str
    instance: int
    program: Path
    symbols: Path
    wiring: Path

    def table(self) -> Symbols:
        """The table of symbols. Raises OSError, ValueError."""
        return Symbols.from_json(self.symbols.read_text("utf-8"))


def prepare(site: Site, paths: RunPaths, region: Region) -> Running:
    """Check, compile and wire a site's logic; `record` is for the caller, once it runs.

    Raises LogicFaultsError, NoCompilerError, WiringError, and OSError where a source cannot be read or a file not be
    written.
    """
    report = check_logic(site)
    if not report.is_sound:
        raise LogicFaultsError(report)
    assert site.logic is not None, "check_logic asserts it"
    return wire(site, paths, region, build(sources_of(site.logic), cache_folder=paths.logic / CACHE))


def wire(site: Site, paths: RunPaths, region: Region, built: Built) -> Running:
    """The wiring file of a built program. Raises WiringError, OSError."""
    wiring = paths.logic / _WIRINGS.replace("*", built.digest[:_DIGITS])
    _write(wiring, wiring_of(site, region, built.symbols))
    symbols = built.shared_object.with_name("symbols.json")
    return Running(built.digest, region.instance, built.shared_object, symbols, wiring)


def record(paths: RunPaths, running: Running) -> None:
    """Name what runs from now on; wiring files of other programs are removed. Raises OSError."""
    fields = {
        name: str(value) if isinstance(value, Path) else value for name, value in asdict(running).items()
    }
    _write(paths.logic / RECORD, json.dumps(fields, indent=1).encode() + b"\n")
    for other in paths.logic.glob(_WIRINGS):
        if other != running.wiring:
            other.unlink(missing_ok=True)


def recorded(paths: RunPaths, instance: int) -> Running | None:
    """What runs in a region, or ran there before the scan ended; None where that is not known, or gone."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        fields = json.loads((paths.logic / RECORD).read_bytes())
        found = Running(
            str(fields["digest"]),
            int(fields["instance"]),
            Path(fields["program"]),
            Path(fields["symbols"]),
            Path(fields["wiring"]),
        )
        files = (found.program, found.symbols, found.wiring)
        if found.instance == instance and all(path.is_file() for path in files):
            return found
    return None


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, whatever happens."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f"{path.name}.new")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
