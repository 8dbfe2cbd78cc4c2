"""``tieline plc run``: a program alone, in real time, with its values on the screen."""

from __future__ import annotations

import argparse
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.tags.image import RegionError
from plc.commands.common import (
    CLEAN,
    FAULTY,
    USAGE,
    complain,
    count,
    print_json,
    print_problems,
    read,
)
from plc.commands.compile import built_or_told
from plc.compiler.symbols import UnknownPathError
from plc.online.place import Online
from plc.online.scratch import BusyError, HowToRun, rewired, running
from plc.online.values import ValueTextError, described, leaves, shown
from plc.runtime.client import Mode, ScanError, ScanStatus, Start
from plc.runtime.process import ScanStartError, StartUp

LIVE_PERIOD_S = 0.2
MOST_SHOWN = 20  # variables where none are named
_KEYS = "q ends, s stops and starts, r begins anew, c takes the files as they are now"


def run_run(args: argparse.Namespace) -> int:
    """Exit status 0 as asked, 1 where the program has errors or stopped with a fault, 2 where it can not be run."""
    sources = read(args.files, "run")
    if sources is None:
        return USAGE
    built, problems = built_or_told(sources, "run")
    print_problems(problems, file=sys.stderr)
    if built is None:
        return FAULTY if problems else USAGE
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what runs is ended in order
    how = HowToRun(args.state, StartUp.COLD if args.cold else StartUp.WARM, args.watchdog_ms, args.priority)
    try:
        with running(built, how) as online:
            return _watched(online, args)
    except BusyError as error:
        complain("run", str(error), "end it, or give this one a folder of its own with --state DIR")
    except (ScanStartError, ScanError, RegionError) as error:
        complain("run", str(error))
    except (UnknownPathError, ValueTextError) as error:
        complain("run", str(error))
    except OSError as error:
        complain("run", f"{error.filename or 'the scan'}: {error.strerror or error}")
    return USAGE


def default_paths(online: Online) -> list[str]:
    """What is shown where nothing is named: the programs' own values and the globals, the first of them."""
    found: list[str] = []
    for root in online.table.variables.values():
        if "hidden" in root["flags"] or "constant" in root["flags"] or root["name"].startswith("%"):
            continue
        type_ = online.table.types[root["type"]]
        if type_["kind"] == "record":
            found += [
                f"{root['name']}.{one['name']}"
                for one in type_["members"]
                if "hidden" not in one["flags"]
                and online.table.types[one["type"]]["kind"] in ("scalar", "enumeration", "string")
            ]
        elif type_["kind"] in ("scalar", "enumeration", "string"):
            found.append(root["name"])
    return found[:MOST_SHOWN]


def values_text(online: Online, paths: list[str]) -> dict[str, str]:
    """Present values as text, all of one moment."""
    reading = online.read(paths)
    return {path: shown(described(online.table, path), value) for path, value in reading.values.items()}


def _watched(online: Online, args: argparse.Namespace) -> int:
    paths = [leaf for path in args.watch for leaf in leaves(online.table, path)] or default_paths(online)
    is_live = sys.stdout.isatty() and sys.stdin.isatty() and args.format == "text" and args.every is None
    end = None if args.seconds is None else time.monotonic() + args.seconds
    period = LIVE_PERIOD_S if is_live else (args.every or LIVE_PERIOD_S)
    said = _KEYS
    try:
        with _single_keys(is_live):
            while True:
                status = online.client.status()
                if is_live:
                    _draw(online, paths, status, said)
                elif args.every is not None and args.format == "text":
                    print(_line(online, paths, status), flush=True)
                left = period if end is None else min(period, end - time.monotonic())
                if left <= 0 or (status.mode is Mode.FAULTED and not is_live):
                    break
                key = _key(left, is_live)
                if key == "q":
                    break
                said = _pressed(online, key, args, status) or said
    except KeyboardInterrupt:
        pass  # as q
    return _last(online, paths, args)


def _last(online: Online, paths: list[str], args: argparse.Namespace) -> int:
    status = online.client.status()
    if args.format == "json":
        reading = online.read(paths)
        print_json({"values": reading.values, "clock_ns": reading.now_ns, "status": status_json(status)})
    elif args.every is None and not sys.stdout.isatty():
        print("\n".join(_rows(values_text(online, paths))))
    if status.mode is Mode.FAULTED and status.fault is not None:
        complain("run", fault_text(status))
        return FAULTY
    if args.format == "text":
        print(f"{count(status.ticks, 'scan')}, {count(sum(one.overruns for one in status.tasks), 'overrun')}")
    return CLEAN


def fault_text(status: ScanStatus) -> str:
    """Where and what the last fault was."""
    assert status.fault is not None
    place = f"{status.fault.file}:{status.fault.line}: " if status.fault.file else ""
    task = f" (task {status.fault.task})" if status.fault.task else ""
    return f"{place}{status.fault.text}{task}"


def status_json(status: ScanStatus) -> dict[str, object]:
    """A status as plain values."""
    return {
        "mode": status.mode.name.lower(),
        "program": status.name,
        "digest": status.digest,
        "is_realtime": status.is_realtime,
        "is_locked": status.is_locked,
        "ticks": status.ticks,
        "forces": status.force_count,
        "changes": status.changes,
        "trace": status.trace.name.lower(),
        "restored": status.restored,
        "saves": status.saves,
        "save_failures": status.save_failures,
        "fault": None
        if status.fault is None
        else {
            "code": status.fault.code,
            "text": status.fault.text,
            "file": status.fault.file,
            "line": status.fault.line,
            "task": status.fault.task,
        },
        "tasks": [
            {
                "name": one.name,
                "interval_ns": one.interval_ns,
                "priority": one.priority,
                "count": one.count,
                "overruns": one.overruns,
                "jitter_p99_ns": one.jitter.p99_ns,
                "duration_p99_ns": one.duration.p99_ns,
            }
            for one in status.tasks
        ],
    }


def _pressed(online: Online, key: str | None, args: argparse.Namespace, status: ScanStatus) -> str | None:
    """Do what a key asks for; what to say of it."""
    try:
        match key:
            case "s" if status.mode is Mode.RUNNING:
                online.client.stop()
                return f"stopped; {_KEYS}"
            case "s":
                online.client.start(Start.HOT if status.mode is Mode.STOPPED else Start.WARM)
                return _KEYS
            case "r":
                if status.mode is Mode.RUNNING:
                    online.client.stop()
                online.client.start(Start.COLD)
                return f"begun anew; {_KEYS}"
            case "c":
                sources = read(args.files, "run")
                built, problems = (None, []) if sources is None else built_or_told(sources, "run")
                if built is None:
                    return str(problems[0]) if problems else "the files can not be read"
                changed = online.go_over(built, rewired(online.paths, built))
                return f"changed in {changed.took_ns / 1000:.0f} µs; {_KEYS}"
    except (ScanError, OSError) as error:
        return str(error)
    return None


def _rows(values: dict[str, str]) -> list[str]:
    width = max((len(path) for path in values), default=0)
    return [f"{path:<{width}}  {text}" for path, text in values.items()]


def _line(online: Online, paths: list[str], status: ScanStatus) -> str:
    reading = online.read(paths)
    values = "  ".join(
        f"{path}={shown(described(online.table, path), value)}" for path, value in reading.values.items()
    )
    mode = "" if status.mode is Mode.RUNNING else f" {status.mode.name.lower()}"
    return f"{reading.now_ns / 1e9:.3f}s{mode}  {values}"


def _draw(online: Online, paths: list[str], status: ScanStatus, said: str) -> None:
    tasks = "  ".join(
        f"{one.name}: {one.count} scans, {one.overruns} overruns, p99 {one.duration.p99_ns / 1000:.0f} µs"
        for one in status.tasks
    )
    lines = [f"{status.name}  {status.mode.name.lower()}", tasks, ""]
    lines += _rows(values_text(online, paths))
    if status.mode is Mode.FAULTED and status.fault is not None:
        lines += ["", fault_text(status)]
    lines += ["", said]
    sys.stdout.write("\x1b[H" + "\x1b[K\n".join(lines) + "\x1b[K\n\x1b[J")
    sys.stdout.flush()


@contextmanager
def _single_keys(is_live: bool) -> Iterator[None]:
    """Keys come without Return, and nothing is echoed."""
    if not is_live:
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    sys.stdout.write("\x1b[2J")
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _key(seconds: float, is_live: bool) -> str | None:
    if not is_live:
        time.sleep(seconds)
        return None
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return sys.stdin.read(1) if ready else None
