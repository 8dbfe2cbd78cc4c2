"""`tieline status`: how a running site is, read from its region and the record in its state folder."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gateway.config.paths import RunPaths
from gateway.config.system import SCAN_MODES, SCAN_RUNNING
from gateway.node.state import RunRecord, is_running, read_record
from gateway.node.watch import alert_troubles
from gateway.tags.image import Region, RegionError
from gateway.tags.quality import SEVERITY_MASK, SEVERITY_UNCERTAIN, is_bad, is_good, name_of
from historian.store.recorder import read_progress

HISTORY_SILENCE_S = (
    15.0  # the parts' health alone is a change each second, durable within flush_ms (10 s at most)
)
SUPERVISOR_SILENCE_S = 5.0  # it writes the parts' health every second

HISTORIAN = "historian"
_PREFIX = "_system."
_PARTS = "_system.parts."
_CONNECTED = ".connected"
_FORWARD = "_system.forward."
_SCAN = "_system.scan."
_COUNT = ".count"


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One part's process."""

    name: str
    running: bool
    pid: int
    restarts: int
    memory_mb: float
    last_exit: str
    stuck: bool = False  # it answers, and its work stands still


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """One device's link. ``errors`` counts all kinds; latencies are None where nothing is asked, as on a CAN bus."""

    name: str
    connected: bool
    requests: int
    errors: int
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    last_error: str


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """One task of the program that the scan runs, since the program's start."""

    name: str
    count: int
    overruns: int
    jitter_p99_us: float
    duration_p99_us: float


@dataclass(frozen=True, slots=True)
class LogicStatus:
    """What the scan tells of itself. ``mode`` is stopped, running or faulted; ``fault`` the last one, or empty."""

    mode: str
    fault: str
    digest: str
    forces: int
    changes: int
    tasks: tuple[TaskStatus, ...]


@dataclass(frozen=True, slots=True)
class SiteStatus:
    """A running site. ``troubles`` are sentences; none means that all is well."""

    site: str
    pid: int
    up_s: float
    addresses: tuple[str, ...]
    parts: tuple[PartStatus, ...]
    devices: tuple[DeviceStatus, ...]
    tags_good: int
    tags_uncertain: int
    tags_bad: int
    bad_by_status: Mapping[str, int]
    troubles: tuple[str, ...]
    logic: LogicStatus | None = None  # the site has none
    file: str = ""  # the site file that was read, and what it said then
    digest: str = ""
    applied_s: float = 0.0  # since it was started or reloaded
    reloads: int = 0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class NotRunningError(Exception):
    """No site runs in this state folder; the message says so."""


def read_status(paths: RunPaths) -> SiteStatus:
    """Raises NotRunningError."""
    record = read_record(paths)
    if record is None or not is_running(paths):
        raise NotRunningError(f"no site runs in {paths.state}")
    try:
        region = Region.attach(record.region)
    except RegionError as error:
        raise NotRunningError(f"the site in {paths.state} is starting or ending ({error})") from error
    with region:
        now_ns = time.time_ns()
        more = history_troubles(record, paths, now_ns)
        more += alert_troubles(region, record.watched, paths.history, now_ns)
        return status_of(region, record, now_ns, more)


def status_of(
    region: Region, record: RunRecord, now_ns: int, more_troubles: Sequence[str] = ()
) -> SiteStatus:
    """The status of a region of which ``record`` tells; ``more_troubles`` are those that others found."""
    names = [region.name_of(tag) for tag in range(region.tag_count)]
    is_there = np.array([name != "" for name in names])  # or a reload took it away
    index = {name: tag for tag, name in enumerate(names) if name.startswith(_PREFIX)}
    parts = tuple(_part(region, name) for name in record.parts)
    devices = tuple(
        _device(region, name.removeprefix(_PREFIX).removesuffix(_CONNECTED), index)
        for name in index
        if name.endswith(_CONNECTED) and not name.startswith((_PARTS, _FORWARD))
    )
    logic = _logic(region, index) if f"{_SCAN}mode" in index else None
    statuses = region.read()["status"][is_there]
    severity = statuses & SEVERITY_MASK
    good = int(np.count_nonzero(severity == 0))
    uncertain = int(np.count_nonzero(severity == SEVERITY_UNCERTAIN))
    kinds, counts = np.unique(statuses[severity > SEVERITY_UNCERTAIN], return_counts=True)
    by_count = sorted(zip(kinds.tolist(), counts.tolist(), strict=True), key=lambda pair: -pair[1])
    return SiteStatus(
        site=record.site,
        pid=record.pid,
        up_s=(now_ns - record.started_ns) / 1e9,
        addresses=record.addresses,
        parts=parts,
        devices=devices,
        tags_good=good,
        tags_uncertain=uncertain,
        tags_bad=len(statuses) - good - uncertain,
        bad_by_status={name_of(kind): count for kind, count in by_count},
        troubles=(
            *_troubles(region, parts, devices, now_ns),
            *_logic_troubles(region, logic),
            *_forward_troubles(region, index),
            *more_troubles,
        ),
        logic=logic,
        file=record.file,
        digest=record.digest,
        applied_s=(now_ns - (record.applied_ns or record.started_ns)) / 1e9,
        reloads=record.reloads,
    )


def status_text(status: SiteStatus) -> str:
    """For people."""
    lines = [f"{status.site} runs since {_span(status.up_s)} as process {status.pid}"]
    lines += [f"  open  {address}" for address in status.addresses]
    if status.file:
        reloads = (
            f", reloaded {_times(status.reloads)}, last {_span(status.applied_s)} ago"
            if status.reloads
            else ""
        )
        lines.append(f"  site  {status.file} ({status.digest[:12]}{reloads})")
    lines.append("")
    lines += _table(
        ("part", "", "pid", "restarts", "memory", "last exit"),
        [
            (
                part.name,
                ("stuck" if part.stuck else "runs") if part.running else "down",
                str(part.pid or ""),
                str(part.restarts),
                f"{part.memory_mb:.0f} MB",
                part.last_exit,
            )
            for part in status.parts
        ],
    )
    lines.append("")
    lines += _table(
        ("device", "", "requests", "errors", "latency p50/p99", "last error"),
        [
            (
                device.name,
                "connected" if device.connected else "lost",
                f"{device.requests:,}",
                f"{device.errors:,}",
                _latencies(device),
                device.last_error,
            )
            for device in status.devices
        ],
    )
    if status.logic is not None:
        lines += ["", *_logic_lines(status.logic)]
    lines.append("")
    lines.append(
        f"tags: {status.tags_good:,} good, {status.tags_uncertain:,} uncertain, {status.tags_bad:,} bad"
    )
    lines += [f"  {count:,} {name}" for name, count in status.bad_by_status.items()]
    lines += [f"not well: {trouble}" for trouble in status.troubles] or ["all is well"]
    return "\n".join(lines)


def _troubles(
    region: Region, parts: Sequence[PartStatus], devices: Sequence[DeviceStatus], now_ns: int
) -> list[str]:
    troubles = [f"part {part.name} does not run" for part in parts if not part.running]
    troubles += [
        f"part {part.name} does not get on: it answers, but its work stands still; see logs/{part.name}.log"
        for part in parts
        if part.running and part.stuck
    ]
    if parts:
        silent_s = (now_ns - region.sample(f"{_PARTS}{parts[0].name}.running").receipt_time) / 1e9
        if silent_s > SUPERVISOR_SILENCE_S:
            troubles.append(f"the supervisor is silent since {silent_s:.0f} s")
    troubles += [f"device {device.name} is not connected" for device in devices if not device.connected]
    return troubles


def _forward_troubles(region: Region, index: Mapping[str, int]) -> list[str]:
    """Of the stores that history is forwarded to."""
    troubles = []
    for name in index:
        if not (name.startswith(_FORWARD) and name.endswith(_CONNECTED)):
            continue
        prefix = name.removesuffix(_CONNECTED)
        to = f"forwarding to {prefix.removeprefix(_FORWARD)}"
        error = str(region.sample(f"{prefix}.last_error").value)
        if error and not region.sample(name).value:
            troubles.append(f"{to}: {error}")
        if set_aside := int(region.sample(f"{prefix}.set_aside").value):
            troubles.append(f"{to}: {set_aside:,} points were refused and are set aside")
    return troubles


def _logic(region: Region, index: Mapping[str, int]) -> LogicStatus:
    def value(field: str) -> Any:
        return region.sample(f"{_SCAN}{field}").value

    tasks = [
        name.removeprefix(_SCAN).removesuffix(_COUNT)
        for name in index
        if name.startswith(_SCAN) and name.endswith(_COUNT)
    ]
    return LogicStatus(
        SCAN_MODES.get(int(value("mode")), "unknown"),
        str(value("fault_text")),
        str(value("digest")),
        int(value("forces")),
        int(value("changes")),
        tuple(
            TaskStatus(
                task,
                int(value(f"{task}.count")),
                int(value(f"{task}.overruns")),
                float(value(f"{task}.jitter_p99_us")),
                float(value(f"{task}.duration_p99_us")),
            )
            for task in tasks
        ),
    )


def _logic_troubles(region: Region, logic: LogicStatus | None) -> list[str]:
    if logic is None or is_bad(region.sample(f"{_SCAN}mode").status):
        return []  # a scan that is gone is told as a part that does not run
    troubles = []
    if logic.mode != SCAN_MODES[SCAN_RUNNING]:
        troubles.append(f"the program is {logic.mode}" + (f": {logic.fault}" if logic.fault else ""))
    if logic.forces:
        troubles.append(f"{logic.forces} variable{'s are' if logic.forces > 1 else ' is'} forced")
    return troubles


def _logic_lines(logic: LogicStatus) -> list[str]:
    rows = [
        (
            task.name,
            f"{task.count:,}",
            f"{task.overruns:,}",
            f"{task.jitter_p99_us:.0f} µs",
            f"{task.duration_p99_us:.0f} µs",
        )
        for task in logic.tasks
    ]
    head = f"logic {logic.mode}, program {logic.digest[:12] or 'none yet'}, {logic.changes} online changes"
    return [head, *_table(("task", "scans", "overruns", "jitter p99", "duration p99"), rows)]


def history_troubles(record: RunRecord, paths: RunPaths, now_ns: int) -> list[str]:
    """Whether history is written. A full disk cannot even hold the word of it, so silence counts as trouble too."""
    if HISTORIAN not in record.parts:
        return []
    progress = read_progress(paths.history)
    if progress.fault:
        return [f"history is not being written: {progress.fault}"]
    if progress.is_shedding:
        return [f"history is shed: only {progress.free / 1e9:.1f} GB of its disk are free"]
    silent_s = (now_ns - max(progress.taken_at, record.started_ns)) / 1e9
    if silent_s > HISTORY_SILENCE_S:
        return [f"history was last written {_span(silent_s)} ago: is the disk full? see logs/{HISTORIAN}.log"]
    return []


def _part(region: Region, name: str) -> PartStatus:
    def value(field: str) -> Any:
        return region.sample(f"{_PARTS}{name}.{field}").value

    return PartStatus(
        name,
        bool(value("running")),
        int(value("pid")),
        int(value("restarts")),
        float(value("memory_mb")),
        str(value("last_exit")),
        bool(value("stuck")),
    )


def _device(region: Region, name: str, index: Mapping[str, int]) -> DeviceStatus:
    prefix = f"{_PREFIX}{name}."

    def value(field: str) -> Any:
        return region.sample(prefix + field).value

    def latency(which: str) -> float | None:
        sample = region.sample(f"{prefix}latency_{which}_ms")
        return float(sample.value) if is_good(sample.status) else None

    errors = sum(int(value(tag.removeprefix(prefix))) for tag in index if tag.startswith(f"{prefix}errors_"))
    return DeviceStatus(
        name,
        bool(value("connected")),
        int(value("requests")),
        errors,
        latency("p50"),
        latency("p99"),
        str(value("last_error")),
    )


def _latencies(device: DeviceStatus) -> str:
    if device.latency_p50_ms is None or device.latency_p99_ms is None:
        return "-"
    return f"{device.latency_p50_ms:.1f}/{device.latency_p99_ms:.1f} ms"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (heads, *rows)
    ]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _span(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
