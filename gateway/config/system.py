"""Tags that tell of Tieline itself: the counters of each device, and the health of each part."""

from __future__ import annotations

from gateway.config.modbus import ModbusSystemTags
from gateway.config.site import Area, HmiSettings, OpcUaSettings, SimulatorSettings, Tag
from gateway.tags.tag import ValueType

AREA = Area("_system", "Tieline itself: its parts, and its links to the devices")
DRIVERS_OWNER, NODE_OWNER = "drivers", "node"
STATUS_TEXT_BYTES = 200  # of last_error and last_exit: one line for an operator
STALE_AFTER_MS = 15_000  # refreshed every few seconds; a part silent for 10 s is taken for hung (PartContext)

_DEVICE_TAGS = (
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
    ("restarts", ValueType.UINT64, "", 0, "How often it was started again"),
    ("pid", ValueType.UINT64, "", 0, "Its process"),
    ("memory_mb", ValueType.DOUBLE, "MB", 1, "Memory it holds (resident), in 10^6 bytes"),
    ("last_exit", ValueType.STRING, "", None, "How it ended last"),
)
TAGS_PER_DEVICE, TAGS_PER_PART = len(_DEVICE_TAGS), len(_PART_TAGS)


def part_names(
    opcua: OpcUaSettings | None, hmi: HmiSettings | None, simulator: SimulatorSettings | None
) -> tuple[str, ...]:
    """The parts that a site has, in the order in which they are started."""
    wanted = (
        ("simulator", simulator is not None),
        ("drivers", True),
        ("historian", True),
        ("opcua", opcua is not None),
        ("hmi", hmi is not None),
    )
    return tuple(name for name, is_wanted in wanted if is_wanted)


def device_tags(device: str, first: int) -> tuple[list[Tag], ModbusSystemTags]:
    """A device's own tags, and their image indexes if the first is ``first``."""
    tags = [
        _tag(f"_system.{device}.{name}", type, DRIVERS_OWNER, device, unit, decimals, description)
        for name, type, unit, decimals, description in _DEVICE_TAGS
    ]
    return tags, ModbusSystemTags(*range(first, first + len(tags)))


def part_tags(part: str) -> list[Tag]:
    """The tags of a part's health."""
    return [
        _tag(f"_system.parts.{part}.{name}", type, NODE_OWNER, f"parts.{part}", unit, decimals, description)
        for name, type, unit, decimals, description in _PART_TAGS
    ]


def _tag(
    name: str, type: ValueType, owner: str, device: str, unit: str, decimals: int | None, description: str
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
    )
