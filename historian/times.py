"""Times and durations as people write them on a command line."""

from __future__ import annotations

import datetime
import re
from typing import Literal

import numpy as np
from numpy.typing import NDArray

UNITS_NS = {
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86_400 * 10**9,
    "w": 7 * 86_400 * 10**9,
}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_RESOLUTIONS: tuple[tuple[Literal["s", "ms", "us", "ns"], int], ...] = (
    ("s", 10**9),
    ("ms", 10**6),
    ("us", 10**3),
    ("ns", 1),
)


def parse_duration(text: str) -> int:
    """``90s``, ``1m``, ``1.5h`` in ns. Raises ValueError."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"{text!r} is not a duration: write a number and one of {', '.join(UNITS_NS)}, as in 90s"
        )
    return round(float(match[1]) * UNITS_NS[match[2]])


def parse_time(text: str, now: int) -> int:
    """``now``, ``-1h`` (before now), or ISO 8601 (UTC where it names no offset) in UTC ns. Raises ValueError."""
    text = text.strip()
    if text == "now":
        return now
    if text.startswith("-"):
        return now - parse_duration(text[1:])
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is not a time: write ISO 8601 as in 2026-11-21T14:30:00+01:00 (UTC where no offset is given),"
            " now, or -1h for an hour ago"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return (moment - _EPOCH) // datetime.timedelta(microseconds=1) * 1000


def iso(times: NDArray[np.int64]) -> list[str]:
    """UTC ns as ISO 8601 with Z, all with as many digits as the finest needs."""
    unit = next(name for name, ns in _RESOLUTIONS if not (times % ns).any())
    moments: NDArray[np.datetime64] = times.view("M8[ns]")
    return [f"{text}Z" for text in np.datetime_as_string(moments, unit=unit).tolist()]


def iso_of(time_ns: int) -> str:
    """One UTC time as ISO 8601 with Z."""
    return iso(np.array([time_ns]))[0]
