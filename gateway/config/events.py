"""Event frames: periods that begin and end by a condition, as typed values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway.config.calculated import CalculatedTag


class Summary(StrEnum):
    """What is told of a tag over a frame (docs/events.md)."""

    AVERAGE = "average"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"
    START = "start"
    END = "end"
    DELTA = "delta"


@dataclass(frozen=True, slots=True)
class WantedSummary:
    """Of the tag of this name."""

    tag: str
    summary: Summary


@dataclass(frozen=True, slots=True)
class Event:
    """One event, of one device where ``device`` is not empty.

    ``flag`` is the bool that says whether it goes on, by its formula; ``flag_name`` its tag's name. A frame shorter
    than ``min_ns`` is none; one that goes on again within ``hold_off_ns`` never ended.
    """

    name: str
    device: str
    flag: CalculatedTag
    flag_name: str
    severity: int
    min_ns: int
    hold_off_ns: int
    description: str
    summaries: tuple[WantedSummary, ...]
