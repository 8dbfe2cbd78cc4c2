"""The part `scan`: compiles and wires the site's programs, then becomes `tieline-scan`, with no Python left in it.

Until then it beats as any part does. The executable beats by its tags in the image: see `Part.beat`.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

from gateway.config.fault import Fault
from gateway.config.site import Site
from gateway.config.system import SCAN_OWNER
from gateway.node.launch import BEAT, BEAT_PERIOD_S, Launch, shared_site
from gateway.node.logs import log_to
from gateway.node.part_process import tie_to_root
from gateway.tags.image import Region, RegionError
from plc.compiler.build import NoCompilerError
from plc.language.diagnostics import as_text
from plc.running import LogicFaultsError, prepare, record, recorded
from plc.runtime.process import ScanFiles, StartUp, command
from plc.runtime.wiring import WiringError
from plc.site import LogicReport

EXIT_FAULT = 1
DIGEST_TAG = "_system.scan.digest"
WIRED = "wired.sha256"  # of the `logic` section that the recorded wiring was made for
MAX_TOLD = 20  # faults that are told in full; `tieline check` tells them all

log = logging.getLogger(__name__)


def run_scan(launch: Launch) -> int:
    """Become the scan of the site of ``launch``; returns only where that cannot be, after saying why on stderr."""
    tie_to_root(launch.part, launch.root)
    log_to(launch.paths.logs, launch.part)
    site = shared_site(launch.site)
    os.set_blocking(launch.pipe, False)
    threading.Thread(target=_beat, args=(launch.pipe,), name="beat", daemon=True).start()
    try:
        arguments = _arguments(site, launch)
    except LogicFaultsError as faults:
        return _told(faults.report)
    except (NoCompilerError, WiringError, RegionError, OSError) as error:
        print(f"the logic cannot run: {error}", file=sys.stderr)
        return EXIT_FAULT
    os.set_inheritable(launch.pipe, False)  # from here on it beats in the image
    os.set_inheritable(launch.control, False)
    logging.shutdown()
    return os.execv(arguments[0], arguments)  # noqa: S606 - no shell is wanted


def _arguments(site: Site, launch: Launch) -> list[str]:
    """The executable's command line, once everything that it names is there."""
    settings = site.logic
    assert settings is not None, "part scan of a site without logic"
    start = StartUp(settings.start.value)
    wired = launch.paths.logic / WIRED
    section = hashlib.sha256(repr(settings).encode()).hexdigest()
    with Region.attach(launch.region) as region:
        running = recorded(launch.paths, region.instance)
        ran = region.sample(DIGEST_TAG).value
        if ran:
            start = StartUp.WARM  # `start` is how a run begins, and this one goes on
        # Its digest in the image says that a scan has run it: one that could not even begin is made anew, and so is
        # one whose map was another, before a reload.
        if running is not None and ran == running.digest and _text(wired) == section:
            log.info("goes on with program %s", running.digest[:12])
        else:
            running = prepare(site, launch.paths, region)
            wired.unlink(missing_ok=True)  # until both are there, neither counts
            record(launch.paths, running)
            wired.write_text(section, "ascii")
            log.info("program %s is compiled and wired", running.digest[:12])
    return command(
        launch.region,
        ScanFiles(running.program, running.wiring, launch.paths.scan_socket, launch.paths.retained),
        start=start,
        owner=SCAN_OWNER,
        priority=settings.priority,
        watchdog_ms=settings.watchdog_ms,
        retain_ms=settings.retain_ms,
    )


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except (OSError, ValueError):
        return ""


def _beat(pipe: int) -> None:
    """While the compiler works. It ends with Python, when the process becomes the executable."""
    wait = threading.Event()
    while True:
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(pipe, BEAT)
        wait.wait(BEAT_PERIOD_S)


def _told(report: LogicReport) -> int:
    """Say what is wrong; the last line is what an operator sees of it."""
    errors = [problem for problem in report.problems if problem.severity == "error"]
    told = [*map(as_text, errors), *map(str, report.faults)]
    for text in told[:MAX_TOLD]:
        print(text, file=sys.stderr)
    if len(told) > MAX_TOLD:
        print(f"and {len(told) - MAX_TOLD} more: see `tieline check`", file=sys.stderr)
    first = str(errors[0]) if errors else _placed(report.faults[0])
    print(f"the logic has {len(told)} fault{'' if len(told) == 1 else 's'}: {first}", file=sys.stderr)
    return EXIT_FAULT


def _placed(fault: Fault) -> str:
    return f"{Path(fault.file).name}:{fault.line}:{fault.column}: {fault.found}"
