"""Tags that tell of Tieline itself: the counters of each device, and the health of each part."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from dataclasses import replace

from gateway.config.alert import VALUE, Alert
from gateway.config.dnp3 import Outstation
from gateway.config.logic import LogicSettings, ScanTag
from gateway.config.modbus import ModbusSystemTags
from gateway.config.modbus_server import ModbusServer
from gateway.config.site import Area, HmiSettings, OpcUaSettings, SimulatorSettings, Tag
from gateway.tags.tag import ValueType

AREA = Area("_system", "Tieline itself: its parts, and its links to the devices")
DRIVERS_OWNER, NODE_OWNER, SCAN_OWNER, CALCULATED_OWNER = "drivers", "node", "scan", "calculated"
FORWARD_OWNER, FORECAST_OWNER, DISPATCH_OWNER = "forward", "forecast", "dispatch"
ANOMALY_OWNER, HEALTH_OWNER = "anomaly", "health"
MARKET_OWNER, DEMAND_RESPONSE_OWNER = "market", "demand_response"
STATUS_TEXT_BYTES = 200  # of last_error and last_exit: one line for an operator
STALE_AFTER_MS = 15_000  # refreshed every few seconds; a part silent for 10 s is taken for hung (PartContext)

SystemRow = tuple[str, ValueType, str, int | None, str]  # name, type, unit, decimals, description
_DEVICE_TAGS: tuple[SystemRow, ...] = (
    ("connected", ValueType.BOOL, "", None, "There is a connection to the device"),
    ("requests", ValueType.UINT64, "", 0, "Requests sent since the start"),
    ("errors_timeout", ValueType.UINT64, "", 0, "Requests that were not answered in time"),
    ("errors_exception", ValueType.UINT64, "", 0, "Requests that the device refused with an exception"),
    ("errors_connection", ValueType.UINT64, "", 0, "Connections that failed or broke"),
    ("errors_protocol", ValueType.UINT64, "", 0, "Answers that made no sense"),
    ("latency_p50_ms", ValueType.DOUBLE, "ms", 1, "Median time to an answer, over the last 1,000 requests"),
    ("latency_p99_ms", ValueType.DOUBLE, "ms", 1, "99th percentile of the time to an answer, likewise"),
    ("last_error", ValueType.STRING, "", None, "What went wrong last"),
)
_PART_TAGS = (
    ("running", ValueType.BOOL, "", None, "The part's process runs and answers"),
    ("stuck", ValueType.BOOL, "", None, "Its process answers, but its work stands still"),
    ("restarts", ValueType.UINT64, "", 0, "How often it was started again"),
    ("pid", ValueType.UINT64, "", 0, "Its process"),
    ("memory_mb", ValueType.DOUBLE, "MB", 1, "Memory it holds (resident), in 10^6 bytes"),
    ("last_exit", ValueType.STRING, "", None, "How it ended last"),
)
# The scan writes all it owns every second; older than 3 s is not current (docs/scan.md), of which the OPC UA server
# gives half a second's grace.
SCAN_STALE_AFTER_MS = 2_500
SCAN_RUNNING = 1
SCAN_MODES = {0: "stopped", SCAN_RUNNING: "running", 2: "faulted"}
_SCAN_TAGS = (
    ("mode", ValueType.UINT64, "", None, "Whether the program runs"),
    ("fault_code", ValueType.UINT64, "", 0, "Kind of the last fault; 0: there was none"),
    ("fault_text", ValueType.STRING, "", None, "The last fault, with file and line"),
    ("digest", ValueType.STRING, "", None, "Identity of the running program"),
    ("forces", ValueType.UINT64, "", 0, "Variables that are forced"),
    ("changes", ValueType.UINT64, "", 0, "Online changes since the scan began"),
    ("retain_saves", ValueType.UINT64, "", 0, "How often retained variables were saved"),
    ("retain_failures", ValueType.UINT64, "", 0, "How often that failed"),
)
_TASK_TAGS = (
    ("count", ValueType.UINT64, "", 0, "Scans since the program's start"),
    ("overruns", ValueType.UINT64, "", 0, "Deadlines that passed without a scan"),
    ("jitter_p50_us", ValueType.DOUBLE, "µs", 0, "Median of how late a scan began"),
    ("jitter_p99_us", ValueType.DOUBLE, "µs", 0, "99th percentile of how late a scan began"),
    ("jitter_p999_us", ValueType.DOUBLE, "µs", 0, "99.9th percentile of how late a scan began"),
    ("jitter_highest_us", ValueType.DOUBLE, "µs", 0, "The latest that a scan began"),
    ("duration_p50_us", ValueType.DOUBLE, "µs", 0, "Median of how long a scan took"),
    ("duration_p99_us", ValueType.DOUBLE, "µs", 0, "99th percentile of how long a scan took"),
    ("duration_p999_us", ValueType.DOUBLE, "µs", 0, "99.9th percentile of how long a scan took"),
    ("duration_highest_us", ValueType.DOUBLE, "µs", 0, "The longest that a scan took"),
)
# Of the drivers' process, about outputs of the logic on their way to the devices.
_FOLLOW_TAGS = (
    ("writes", ValueType.UINT64, "", 0, "Values of the logic that devices took, since the start"),
    ("failures", ValueType.UINT64, "", 0, "Values of the logic that a device refused or did not answer"),
    ("refused", ValueType.UINT64, "", 0, "Values of the logic that were beyond their point's limits"),
    ("held", ValueType.UINT64, "", 0, "Points that the logic holds"),
    ("unsafe", ValueType.UINT64, "", 0, "Points that are still without their safe value"),
    (
        "latency_p50_ms",
        ValueType.DOUBLE,
        "ms",
        1,
        "Median time from scan to device's answer, of 1,000 values",
    ),
    ("latency_p99_ms", ValueType.DOUBLE, "ms", 1, "99th percentile of that time"),
)
_FORWARD_TAGS: tuple[SystemRow, ...] = (
    ("connected", ValueType.BOOL, "", None, "It answered the last time it was asked"),
    (
        "lag_s",
        ValueType.DOUBLE,
        "s",
        1,
        "How long the oldest sample that is not sent yet has been in history",
    ),
    ("sent", ValueType.UINT64, "", 0, "Samples that it took, since the part's start"),
    ("set_aside", ValueType.UINT64, "", 0, "Samples that it refused, kept in a file"),
    ("last_error", ValueType.STRING, "", None, "What went wrong last"),
)
HISTORY_PREFIX = "_system.history."
_HISTORY_TAGS: tuple[SystemRow, ...] = (
    ("writing", ValueType.BOOL, "", None, "History is written; false is an alarm"),
    ("size_mb", ValueType.DOUBLE, "MB", 1, "What history takes on the disk, in 10^6 bytes"),
    ("days", ValueType.UINT64, "", 0, "Days there are"),
    ("free_mb", ValueType.DOUBLE, "MB", 0, "What is free on its disk, in 10^6 bytes"),
    ("shedding", ValueType.BOOL, "", None, "Less is free than min_free: old days go, or nothing is written"),
    ("quarantined", ValueType.UINT64, "", 0, "Samples set apart as of the future, since the historian began"),
    (
        "clock_jumps",
        ValueType.UINT64,
        "",
        0,
        "How often the machine's clock jumped, since the historian began",
    ),
    ("oldest", ValueType.STRING, "", None, "The oldest day (UTC)"),
    ("fault", ValueType.STRING, "", None, "Why history is not written"),
)
# What of these an operator should see first, by the tag's last word. `tieline status` tells of links, parts, the
# program and history in its own words.
_SHIFT_S = 8 * 3_600  # how long something that is over already is news
_DEVICE_ALERTS = {
    "connected": Alert(
        "link down",
        "Has it power, and a way to it? It is asked again by itself.",
        values=(False,),
        words="last_error",
        in_status=False,
    )
}
_PART_ALERTS = {
    "running": Alert(
        "not running",
        "It is started again by itself. If it stays: see its file in logs/.",
        values=(False,),
        words="last_exit",
        in_status=False,
    ),
    "stuck": Alert(
        "does not get on: its work stands still",
        "What it last told grows old. It is started again after two minutes of it; if this comes back, see its file"
        " in logs/: a disk that is very slow, or a bug.",
        values=(True,),
        in_status=False,
    ),
}
_SCAN_ALERTS = {
    "mode": Alert(
        f"the program is {VALUE}",
        "Outputs have their safe values. `tieline plc status` tells why, `tieline plc start` starts it.",
        values=tuple(mode for mode in SCAN_MODES if mode != SCAN_RUNNING),
        words="fault_text",
        in_status=False,
    ),
    "forces": Alert(
        f"variables that are forced: {VALUE}", "`tieline plc forces` lists them.", above=0, in_status=False
    ),
    "retain_failures": Alert(
        "retained variables could not be saved",
        "They would be lost with a restart. Is the disk full?",
        above=0,
        lasts_s=_SHIFT_S,
    ),
}
_FOLLOW_ALERTS = {
    "unsafe": Alert(
        f"points that are still without their safe value: {VALUE}",
        "Look at their devices; people may command points that refuse it.",
        above=0,
        after_s=10,  # a device that is away for a moment gets it when it is back
    )
}
_FORWARD_ALERTS = {
    "connected": Alert(
        "does not answer: its samples wait",
        "They are sent once it is back.",
        values=(False,),
        words="last_error",
        in_status=False,
    ),
    "set_aside": Alert(
        f"samples that it refused: {VALUE}",
        "They are set aside; see docs/forwarding.md.",
        above=0,
        in_status=False,
    ),
}
_HISTORY_ALERTS = {
    "writing": Alert(
        "NOT WRITTEN",
        "Is the disk full? See logs/historian.log.",
        values=(False,),
        words="fault",
        in_status=False,
    ),
    "shedding": Alert(
        "disk nearly full: old days go",
        "Give it room, or see docs/history-keeping.md.",
        values=(True,),
        in_status=False,
    ),
    "quarantined": Alert(
        f"samples of the future: {VALUE}",
        "A device's clock is wrong: `tieline history TAG --quarantined` shows them.",
        above=0,
        lasts_s=_SHIFT_S,
        in_status=False,
    ),
    "clock_jumps": Alert(
        f"the machine's clock jumped ({VALUE} times since the historian began)",
        "Is its time kept by NTP? Times of what happened around then may be out of order.",
        above=0,
        lasts_s=_SHIFT_S,
    ),
}
HISTORY_NUMBERS = tuple(name for name, type, *_ in _HISTORY_TAGS if type is not ValueType.STRING)
HISTORY_TEXTS = tuple(name for name, type, *_ in _HISTORY_TAGS if type is ValueType.STRING)
TAGS_PER_DEVICE, TAGS_PER_PART = len(_DEVICE_TAGS), len(_PART_TAGS)


def part_names(
    opcua: OpcUaSettings | None,
    hmi: HmiSettings | None,
    simulator: SimulatorSettings | None,
    logic: LogicSettings | None = None,
    dnp3: Outstation | None = None,
    dnp3_devices: Sized = (),
    modbus: ModbusServer | None = None,
    calculated: bool = False,
    forward: Sized = (),
    events: Sized = (),
    forecasts: Sized = (),
    dispatch: bool = False,
    anomalies: Sized = (),
    market: bool = False,
    health: Sized = (),
    demand_response: bool = False,
) -> tuple[str, ...]:
    """The parts that a site has, in the order in which they are started."""
    wanted = (
        ("simulator", simulator is not None),
        ("drivers", True),
        ("dnp3_master", len(dnp3_devices) > 0),
        ("scan", logic is not None),
        ("calculated", calculated or len(events) > 0),
        ("historian", True),
        ("events", len(events) > 0),
        ("forward", len(forward) > 0),
        ("forecast", len(forecasts) > 0),
        ("dispatch", dispatch),
        ("anomaly", len(anomalies) > 0),
        ("health", len(health) > 0),
        ("market", market),
        ("demand_response", demand_response),
        ("opcua", opcua is not None),
        ("dnp3", dnp3 is not None),
        ("modbus", modbus is not None),
        ("hmi", hmi is not None),
    )
    return tuple(name for name, is_wanted in wanted if is_wanted)


def device_tags(
    device: str, first: int, owner: str = DRIVERS_OWNER, more: tuple[SystemRow, ...] = ()
) -> tuple[list[Tag], ModbusSystemTags]:
    """A device's own tags, which ``owner`` writes, and their image indexes if the first is ``first``.

    The protocol's ``more`` come right after those that all have.
    """
    tags = [
        _tag(
            f"_system.{device}.{name}",
            *(type, owner, device, unit, decimals, description),
            _DEVICE_ALERTS.get(name),
        )
        for name, type, unit, decimals, description in (*_DEVICE_TAGS, *more)
    ]
    return tags, ModbusSystemTags(*range(first, first + TAGS_PER_DEVICE))


def part_tags(part: str) -> list[Tag]:
    """The tags of a part's health."""
    return [
        _tag(
            f"_system.parts.{part}.{name}",
            *(type, NODE_OWNER, f"parts.{part}", unit, decimals, description),
            _PART_ALERTS.get(name),
        )
        for name, type, unit, decimals, description in _PART_TAGS
    ]


def scan_tags(tasks: Iterable[str], first: int) -> tuple[list[Tag], tuple[ScanTag, ...]]:
    """The tags by which the scan tells of itself and of its tasks, and which is which if the first is ``first``."""
    rows = [("", None, *row) for row in _SCAN_TAGS]
    rows += [(f"{task.lower()}.", task, *row) for task in tasks for row in _TASK_TAGS]
    tags = [
        replace(
            _tag(
                f"_system.scan.{prefix}{what}",
                *(type, SCAN_OWNER, "scan", unit, decimals, description),
                _SCAN_ALERTS.get(what),
            ),
            stale_after_ms=SCAN_STALE_AFTER_MS,
            states=SCAN_MODES if what == "mode" else {},
        )
        for prefix, _, what, type, unit, decimals, description in rows
    ]
    return tags, tuple(ScanTag(first + i, what, task) for i, (_, task, what, *_) in enumerate(rows))


def history_tags() -> list[Tag]:
    """The tags that tell how history is."""
    return [
        _tag(
            HISTORY_PREFIX + name,
            *(type, NODE_OWNER, "history", unit, decimals, description),
            _HISTORY_ALERTS.get(name),
        )
        for name, type, unit, decimals, description in _HISTORY_TAGS
    ]


def follow_tags() -> list[Tag]:
    """The tags that tell how outputs of the logic reach their devices."""
    return [
        _tag(
            f"_system.follow.{name}",
            *(type, DRIVERS_OWNER, "follow", unit, decimals, description),
            _FOLLOW_ALERTS.get(name),
        )
        for name, type, unit, decimals, description in _FOLLOW_TAGS
    ]


def forward_tags(name: str) -> list[Tag]:
    """The tags that tell of a target of forwarding."""
    return [
        _tag(
            f"_system.forward.{name}.{what}",
            type,
            FORWARD_OWNER,
            f"forward.{name}",
            unit,
            decimals,
            description,
            _FORWARD_ALERTS.get(what),
        )
        for what, type, unit, decimals, description in _FORWARD_TAGS
    ]


def _tag(
    name: str,
    type: ValueType,
    owner: str,
    device: str,
    unit: str,
    decimals: int | None,
    description: str,
    alert: Alert | None,
) -> Tag:
    return Tag(
        name=name,
        type=type,
        owner=owner,
        area=AREA.path,
        device=device,
        description=description,
        unit=unit or None,
        decimals=decimals,
        stale_after_ms=STALE_AFTER_MS,
        string_bytes=STATUS_TEXT_BYTES if type is ValueType.STRING else 0,
        alert=alert,
    )
