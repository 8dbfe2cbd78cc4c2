"""The subcommands for a running program: status, watch, write, force, unforce, forces, trace, change, start, stop."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.config.paths import region_name
from gateway.tags.image import Region, RegionError
from plc.commands.common import (
    CLEAN,
    FAULTY,
    USAGE,
    complain,
    print_json,
    print_problems,
    read,
)
from plc.commands.compile import built_or_told
from plc.commands.run import fault_text, status_json
from plc.compiler.build import NoCompilerError
from plc.compiler.symbols import UnknownPathError
from plc.language import literals
from plc.online.audit import noted
from plc.online.place import Online, online, where
from plc.online.recording import RecordingError, check_target, times_ms, write_trace
from plc.online.scratch import is_scratch, rewired
from plc.online.values import ValueTextError, described, duration_text, leaves, parsed, shown
from plc.runtime.client import (
    Edge,
    Mode,
    ScanError,
    ScanGoneError,
    ScanStatus,
    Start,
    TaskStatus,
    Trace,
    TraceMode,
    Trigger,
)
from plc.runtime.variables import Value
from plc.runtime.wiring import WiringError

_TRIGGER = re.compile(r"\s*(?P<not>!)?\s*(?P<path>[^<>=!]+?)\s*(?:(?P<sign><>|>|<)\s*(?P<level>\S+))?\s*")
_POLL_S = 0.05


def run_online(args: argparse.Namespace) -> int:
    """Exit status 1 where the scan or the program says no, 2 where it can not be asked."""
    name = args.act
    paths = where(args)
    if isinstance(paths, int):
        return paths
    try:
        with online(paths) as connection:
            return _ACTS[name](connection, args)
    except ScanGoneError as error:
        complain(
            name,
            str(error),
            "start it: tieline run SITE, or tieline plc run FILES; or say where: --site SITE, --state DIR",
        )
        return USAGE
    except (UnknownPathError, ValueTextError, RecordingError) as error:
        complain(name, str(error))
        return USAGE
    except ScanError as error:
        complain(name, str(error))
        return FAULTY
    except KeyboardInterrupt:
        return CLEAN


def _may(args: argparse.Namespace, name: str, what: Sequence[str], state: Path) -> bool:
    """Ask whoever sits there; without a terminal it takes ``--yes``."""
    if args.yes:
        return True
    for one in what:
        print(one, file=sys.stderr)
    if not sys.stdin.isatty():
        complain(name, "this changes a running plant, and there is nobody to ask", "add --yes")
        return False
    print(f"Do this to the program in {state}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


# ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────
def _status(connection: Online, args: argparse.Namespace) -> int:
    status = connection.client.status()
    if args.format == "json":
        print_json(status_json(status))
    else:
        print("\n".join(_status_lines(status)))
    return CLEAN if status.mode is Mode.RUNNING else FAULTY


def _status_lines(status: ScanStatus) -> list[str]:
    lines = [f"{status.mode.name.lower()}, program {status.digest[:12]}"]
    if status.fault is not None:
        lines.append(f"last fault: {fault_text(status)}")
    lines += [_task_line(one) for one in status.tasks]
    real_time = [] if status.is_realtime else ["without real-time priority"]
    real_time += [] if status.is_locked else ["memory not locked"]
    lines.append(
        f"{status.force_count} forced, {status.changes} online changes, retained variables saved {status.saves} times"
        + (f", {status.save_failures} times not" if status.save_failures else "")
        + (f"; {', '.join(real_time)}" if real_time else "")
    )
    if status.trace is not TraceMode.IDLE:
        lines.append(f"trace: {status.trace.name.lower()}")
    return lines


def _task_line(one: TaskStatus) -> str:
    interval = f"every {duration_text(one.interval_ns)}" if one.interval_ns else "on event"
    return (
        f"task {one.name} {interval}: {one.count} scans, {one.overruns} overruns; "
        f"takes {one.duration.p50_ns / 1000:.0f} µs (p99 {one.duration.p99_ns / 1000:.0f}), "
        f"starts late by {one.jitter.p50_ns / 1000:.0f} µs (p99 {one.jitter.p99_ns / 1000:.0f})"
    )


def _watch(connection: Online, args: argparse.Namespace) -> int:
    paths = [leaf for path in args.paths for leaf in leaves(connection.table, path)]
    end = None if args.seconds is None else time.monotonic() + args.seconds
    while True:
        reading = connection.read(paths)
        if args.format == "json":
            print_json({"tick": reading.tick, "clock_ns": reading.now_ns, "values": reading.values})
        else:
            width = max(map(len, reading.values), default=0)
            for path, value in reading.values.items():
                print(f"{path:<{width}}  {shown(described(connection.table, path), value)}")
        sys.stdout.flush()
        left = args.every if end is None else min(args.every, end - time.monotonic())
        if args.once or left <= 0:
            return CLEAN
        time.sleep(left)
        if args.format == "text" and len(paths) > 1:
            print()


# ── changing values ──────────────────────────────────────────────────────────────────────────────────────────────
def _assignments(connection: Online, texts: Sequence[str]) -> dict[str, Value]:
    """``PATH=VALUE`` as values. Raises UnknownPathError, ValueTextError."""
    found: dict[str, Value] = {}
    for text in texts:
        path, sign, value = text.partition("=")
        if not sign:
            raise ValueTextError(f"{text}: write it as PATH=VALUE")
        path = path.strip().removesuffix(":").strip()
        try:
            found[path] = parsed(described(connection.table, path), value)
        except ValueTextError as fault:
            raise ValueTextError(f"{path}: {fault}") from None
    return found


def _steps(connection: Online, values: dict[str, Value], word: str) -> list[str]:
    present = connection.client.read(values).values
    types = {path: described(connection.table, path) for path in values}
    return [
        f"{word} {path}: {shown(types[path], present[path])} → {shown(types[path], value)}"
        for path, value in values.items()
    ]


def _texts(connection: Online, values: dict[str, Value]) -> dict[str, str]:
    return {path: shown(described(connection.table, path), value) for path, value in values.items()}


def _write(connection: Online, args: argparse.Namespace) -> int:
    values = _assignments(connection, args.values)
    steps = _steps(connection, values, "write")
    if not _may(args, "write", steps, connection.paths.state):
        return USAGE
    with noted(connection.paths, "write", _texts(connection, values)):
        connection.client.write(values)
    print("\n".join(steps))
    return CLEAN


def _force(connection: Online, args: argparse.Namespace) -> int:
    values = _assignments(connection, args.values)
    steps = _steps(connection, values, "force")
    if not _may(args, "force", steps, connection.paths.state):
        return USAGE
    with noted(connection.paths, "force", _texts(connection, values)):
        for path, value in values.items():
            connection.client.force(path, value)
    print("\n".join(steps))
    return CLEAN


def _unforce(connection: Online, args: argparse.Namespace) -> int:
    if bool(args.paths) == args.all:
        complain("unforce", "name variables, or say --all")
        return USAGE
    steps = ["unforce all"] if args.all else [f"unforce {path}" for path in args.paths]
    if not _may(args, "unforce", steps, connection.paths.state):
        return USAGE
    with noted(connection.paths, "unforce", dict.fromkeys(args.paths, "")):
        if args.all:
            connection.client.unforce_all()
        for path in args.paths:
            described(connection.table, path)
            connection.client.unforce(path)
    print("\n".join(steps))
    return CLEAN


def _forces(connection: Online, args: argparse.Namespace) -> int:
    forces = connection.client.forces()
    if args.format == "json":
        rows = [
            {
                "path": None if one.variable is None else one.variable.path,
                "offset": one.offset,
                "value": one.value,
            }
            for one in forces
        ]
        print_json({"forces": rows})
        return CLEAN
    for one in forces:
        if one.variable is None or one.value is None:
            print(f"offset {one.offset}: {one.raw.hex()}")
        else:
            print(f"{one.variable.path}  {shown(described(connection.table, one.variable.path), one.value)}")
    if not forces:
        print("nothing is forced")
    return CLEAN


# ── recording ────────────────────────────────────────────────────────────────────────────────────────────────────
def _trace(connection: Online, args: argparse.Namespace) -> int:
    for path in args.out:
        check_target(path)
    paths = list(dict.fromkeys(leaf for path in args.paths for leaf in leaves(connection.table, path)))
    trigger = None if args.trigger is None else trigger_of(connection, args.trigger)
    if trigger is not None and trigger.path.upper() not in [one.upper() for one in paths]:
        paths.append(trigger.path)
    task = _task_of(connection.client.status(), args.task)
    before = rows_of(args.before, task) if trigger is not None else 0
    after = max(1, rows_of(args.after, task))
    connection.client.arm_trace(task.name, paths, before=before, after=after, trigger=trigger)
    if trigger is not None:
        print(f"waiting for {args.trigger}", file=sys.stderr)
    found = _recorded(connection, args.timeout)
    if found is None:
        complain(
            "trace",
            f"{args.trigger or 'the recording'}: not within {args.timeout:g} s",
            "wait longer with --timeout",
        )
        return FAULTY
    names = {}
    for path in paths:
        type_ = described(connection.table, path)
        if type_["kind"] == "enumeration":
            names[path] = {int(number): name for name, number in type_["values"].items()}
    for path in args.out:
        try:
            write_trace(found, path, names)
        except OSError as error:
            complain("trace", f"{path}: {error.strerror}")
            return USAGE
    _print_trace(found, args)
    return CLEAN


def _recorded(connection: Online, timeout_s: float) -> Trace | None:
    """The recording, or at Ctrl-C what there is of it; nothing where it did not end in time."""
    end = time.monotonic() + timeout_s
    try:
        while time.monotonic() < end:
            found = connection.client.trace()
            if found is not None:
                return found
            time.sleep(_POLL_S)
    except KeyboardInterrupt:
        connection.client.stop_trace()
        return connection.client.trace()
    connection.client.stop_trace()
    return None


def trigger_of(connection: Online, text: str) -> Trigger:
    """``main.level > 0.5`` as a trigger. Raises ValueTextError, UnknownPathError."""
    match = _TRIGGER.fullmatch(text)
    if match is None:
        raise ValueTextError(
            f"{text!r} is no trigger: write it like 'main.level > 0.5', main.motor or '!main.motor'"
        )
    path, sign = match["path"], match["sign"]
    type_ = described(connection.table, path)
    if sign is None:
        if type_.get("scalar") != "bool":
            raise ValueTextError(f"{path} is {type_['name']}: say when, like '{path} > 10'")
        return Trigger(path, Edge.FALLING if match["not"] else Edge.RISING)
    if match["not"]:
        raise ValueTextError(f"{text!r}: ! stands before a BOOL alone")
    level = parsed(type_, match["level"])
    if isinstance(level, str):
        raise ValueTextError(f"{path} is a string: no trigger looks at those")
    edges = {">": Edge.RISING, "<": Edge.FALLING, "<>": Edge.EITHER}
    return Trigger(path, edges[sign], float(level) if not isinstance(level, bool) else 0.5)


def _task_of(status: ScanStatus, name: str | None) -> TaskStatus:
    if name is None:
        return min(status.tasks, key=lambda one: one.interval_ns or 1 << 62)
    for one in status.tasks:
        if one.name.upper() == name.upper():
            return one
    raise ValueTextError(f"there is no task {name}: {', '.join(one.name for one in status.tasks)}")


def rows_of(text: str, task: TaskStatus) -> int:
    """``200ms`` or ``200`` as scans of a task. Raises ValueTextError."""
    if text.isdigit():
        return int(text)
    try:
        span_ns = literals.duration_ns(text.rpartition("#")[2])
    except literals.Malformed as error:
        raise ValueTextError(f"{text}: {error}; or a number of scans") from None
    if task.interval_ns == 0:
        raise ValueTextError(f"{text}: task {task.name} runs on an event: say how many scans")
    return span_ns // task.interval_ns


def _print_trace(found: Trace, args: argparse.Namespace) -> None:
    times = times_ms(found)
    if args.format == "json":
        print_json(
            {
                "mode": found.mode.name.lower(),
                "trigger_row": found.trigger_row,
                "ms": times.tolist(),
                "values": {name: column.tolist() for name, column in found.columns.items()},
                "written": [str(path) for path in args.out],
            }
        )
        return
    span = f"{times[0]:g} to {times[-1]:g} ms" if len(times) else "nothing"
    print(f"{len(times)} scans, {span}{'' if found.trigger_row is None else ' around the trigger'}")
    width = max(map(len, found.columns))
    for name, column in found.columns.items():
        if len(column):
            ends = f"{column[0].item()} → {column[-1].item()}"
            print(f"{name:<{width}}  {ends}, from {column.min().item()} to {column.max().item()}")
    for path in args.out:
        print(path)


# ── the program ──────────────────────────────────────────────────────────────────────────────────────────────────
def _start(connection: Online, args: argparse.Namespace) -> int:
    if not _may(args, "start", [f"start {args.how}"], connection.paths.state):
        return USAGE
    with noted(connection.paths, f"start {args.how}", {}):
        connection.client.start(Start[args.how.upper()])
    print(f"started {args.how}")
    return CLEAN


def _stop(connection: Online, args: argparse.Namespace) -> int:
    if not _may(args, "stop", ["stop: outputs take their safe values"], connection.paths.state):
        return USAGE
    with noted(connection.paths, "stop", {}):
        connection.client.stop()
    print("stopped")
    return CLEAN


def _change(connection: Online, args: argparse.Namespace) -> int:
    if is_scratch(connection.paths):
        return _change_scratch(connection, args)
    return _change_site(connection, args)


def _change_scratch(connection: Online, args: argparse.Namespace) -> int:
    if not args.files:
        complain("change", "name the files of the program", "tieline plc change FILES")
        return USAGE
    sources = read(args.files, "change")
    if sources is None:
        return USAGE
    built, problems = built_or_told(sources, "change")
    print_problems(problems, file=sys.stderr)
    if built is None:
        return FAULTY if problems else USAGE
    step = f"change the running program to {', '.join(map(str, args.files))}"
    if not _may(args, "change", [step], connection.paths.state):
        return USAGE
    changed = connection.go_over(built, rewired(connection.paths, built))
    print(f"changed; it took the loop {changed.took_ns / 1000:.0f} µs")
    return CLEAN


def _change_site(connection: Online, args: argparse.Namespace) -> int:
    """The site's programs and wiring as they stand in its files now."""
    # Not above: what a site can be takes half of the time that the others need to start.
    from gateway.config.fault import SiteFaults
    from gateway.config.load import load_site
    from plc.running import LogicFaultsError, prepare, record

    if args.files or args.site is None:
        complain(
            "change",
            "of a site, the programs that its file names are taken",
            "tieline plc change --site SITE",
        )
        return USAGE
    paths = connection.paths
    try:
        site = load_site(args.site)
        with Region.attach(region_name(site.name, paths)) as region:
            prepared = prepare(site, paths, region)
    except SiteFaults as faults:
        print("\n".join(str(one) for one in faults.faults), file=sys.stderr)
        return FAULTY
    except LogicFaultsError as error:
        print("\n".join(str(one) for one in error.report.faults), file=sys.stderr)
        print_problems(error.report.problems, file=sys.stderr)
        return FAULTY
    except (NoCompilerError, WiringError, RegionError, OSError) as error:
        complain("change", str(error))
        return FAULTY
    if prepared.digest == connection.table.digest:
        print("nothing has changed")
        return CLEAN
    if not _may(args, "change", [f"change the running program to that of {args.site}"], paths.state):
        return USAGE
    table = prepared.table()
    with noted(paths, "change", {"digest": prepared.digest}):
        changed = connection.change_to(prepared.program, prepared.wiring, table)
    record(paths, prepared)
    print(
        f"changed; it took the loop {changed.took_ns / 1000:.0f} µs"
        + (f"; {changed.forces_dropped} forces went with their variables" if changed.forces_dropped else "")
    )
    return CLEAN


_ACTS: dict[str, Callable[[Online, argparse.Namespace], int]] = {
    "status": _status,
    "watch": _watch,
    "write": _write,
    "force": _force,
    "unforce": _unforce,
    "forces": _forces,
    "trace": _trace,
    "change": _change,
    "start": _start,
    "stop": _stop,
}
