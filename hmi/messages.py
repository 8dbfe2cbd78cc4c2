"""What the server says to a page, as JSON text: a pure codec (drawn in docs/hmi.md, "The feed").

    hello      who you are, the site, and the tag table; again when the site was reloaded, before another snapshot
    snapshot   every tag's present sample; forget all you had
    changes    present samples of the tags that changed since the last message
    heartbeat  nothing but the clock, once a second

Each message carries `server_time_ms` (UTC) and `uptime_ms` (a clock that is never set, by which the page tells
how late a message is).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from gateway.config.site import Site, Tag
from gateway.tags.quality import Quality, name_of
from gateway.tags.sample import Samples, from_bits
from gateway.tags.tag import ValueType

PROTOCOL = 1
LARGEST_EXACT_INTEGER = (
    2**53 - 1
)  # JavaScript's numbers are doubles: beyond this an integer travels as a string
NANOSECONDS_A_MS = 1_000_000
CODE_MASK = 0xFFFF_0000  # the low 16 bits of a StatusCode are flags (OPC 10000-4 7.39)

TAG_COLUMNS = (
    "index",
    "name",
    "type",
    "unit",
    "decimals",
    "low",
    "high",
    "states",
    "stale_after_ms",
    "area",
    "device",
    "description",
    "writable",
    "alert",
    "hold",
)


@dataclass(frozen=True, slots=True)
class Clock:
    """The moment a message was made: UTC and time since the server started, both ms."""

    server_time_ms: int
    uptime_ms: int


def site_table(site: Site) -> dict[str, Any]:
    """The part of ``hello`` that is the same for every page, ready to be encoded."""
    holds = _holds(site)
    return {
        "type": "hello",
        "protocol": PROTOCOL,
        "site": {"name": site.name, "description": site.description, "digest": site.digest},
        "areas": [[area.path, area.description] for area in site.areas],
        "statuses": {str(int(quality)): name_of(quality) for quality in Quality},
        "columns": TAG_COLUMNS,
        "tags": [_tag_row(index, tag, holds.get(index)) for index, tag in enumerate(site.tags) if tag.name],
    }


def hello(table: dict[str, Any], user: str, role: str, heartbeat_ms: int, clock: Clock) -> str:
    """Who is signed in, how often to expect a heartbeat, and the tag table."""
    return _text({**table, "user": user, "role": role, "heartbeat_ms": heartbeat_ms, **_times(clock)})


def heartbeat(clock: Clock) -> str:
    """Still here."""
    return _text({"type": "heartbeat", **_times(clock)})


def samples(kind: str, rows: Samples, values: Sequence[Any], clock: Clock) -> str:
    """A ``snapshot`` or ``changes`` message: five columns of equal length, row by row of one tag."""
    assert len(rows) == len(values), (len(rows), len(values))
    return _text(
        {
            "type": kind,
            **_times(clock),
            "tags": rows["tag"].tolist(),
            "values": list(values),
            "status": rows["status"].tolist(),
            "source_ms": (rows["source_time"] // NANOSECONDS_A_MS).tolist(),
            "receipt_ms": (rows["receipt_time"] // NANOSECONDS_A_MS).tolist(),
        }
    )


def json_values(rows: Samples, types: NDArray[np.uint8], texts: Sequence[str]) -> list[Any]:
    """The values of ``rows`` as JSON holds them; ``types`` is by row, ``texts`` those of the STRING rows.

    None where nothing has come from the device yet. What is not finite becomes null when it is encoded (orjson).
    """
    values = np.empty(len(rows), dtype=object)
    for type in ValueType:
        chosen = np.flatnonzero(types == type)
        if not len(chosen):
            continue
        if type is ValueType.STRING:
            values[chosen] = np.array(texts, dtype=object)
            continue
        numbers = from_bits(rows["value"][chosen], type)
        values[chosen] = numbers.tolist()
        if type in (ValueType.INT64, ValueType.UINT64):
            for i in chosen[(numbers > LARGEST_EXACT_INTEGER) | (numbers < -LARGEST_EXACT_INTEGER)]:
                values[i] = str(values[i])
    values[(rows["status"] & CODE_MASK) == Quality.BAD_WAITING_FOR_INITIAL_DATA] = None
    listed: list[Any] = values.tolist()
    return listed


def _tag_row(index: int, tag: Tag, hold: dict[str, str] | None) -> list[Any]:
    return [
        index,
        tag.name,
        tag.type.name.lower(),
        tag.unit,
        tag.decimals,
        tag.low,
        tag.high,
        {str(number): text for number, text in tag.states.items()},
        tag.stale_after_ms,
        tag.area,
        tag.device,
        tag.description,
        tag.write is not None,
        _alert(tag),
        hold,
    ]


def _alert(tag: Tag) -> dict[str, Any] | None:
    """What of its values needs a look; ``words`` is the name of a tag."""
    alert = tag.attention
    if alert is None:
        return None
    row = {field: value for field, value in asdict(alert).items() if value is not None}
    del row["in_status"]
    if alert.words:
        row["words"] = f"{tag.name.rpartition('.')[0]}.{alert.words}"
    return row


def _holds(site: Site) -> dict[int, dict[str, str]]:
    """By point of a device that the logic may hold: the tag that is Good while it does, and what lets go of it."""
    outputs = site.logic.outputs if site.logic is not None else ()
    return {
        output.tag: {"demand": site.tags[output.demand].name, "release": output.release_words}
        for output in outputs
    }


def _times(clock: Clock) -> dict[str, int]:
    return {"server_time_ms": clock.server_time_ms, "uptime_ms": clock.uptime_ms}


def _text(message: dict[str, Any]) -> str:
    return orjson.dumps(message).decode()
