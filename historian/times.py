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
_QUARTER_NS = 15 * 60 * 10**9
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


def whole_days(text: str) -> int:
    """How many days a duration is that was written in days or weeks; 0 for any other."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or match[2] not in ("d", "w") or not float(match[1]).is_integer():
        return 0
    return int(float(match[1])) * (7 if match[2] == "w" else 1)


def parse_time(text: str, now: int, zone: datetime.tzinfo = datetime.UTC) -> int:
    """``now``, ``-1h`` (before now), or ISO 8601 (of ``zone`` where it names no offset) in UTC ns.

    Raises ValueError, also for a local time that a change of the clocks leaves out, or that comes twice.
    """
    text = text.strip()
    if text == "now":
        return now
    if text.startswith("-"):
        return now - parse_duration(text[1:])
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is not a time: write ISO 8601 as in 2026-11-21T14:30:00+01:00 ({zone} where no offset is"
            " given), now, or -1h for an hour ago"
        ) from None
    if moment.tzinfo is None:
        moment = local(moment, zone)
    return (moment - _EPOCH) // datetime.timedelta(microseconds=1) * 1000


def local(moment: datetime.datetime, zone: datetime.tzinfo) -> datetime.datetime:
    """A time without an offset as one of ``zone``. Raises ValueError where clocks showed it twice or never."""
    first, second = moment.replace(tzinfo=zone, fold=0), moment.replace(tzinfo=zone, fold=1)
    if first.utcoffset() != second.utcoffset():
        # The fold tells the two offsets apart; of a time left out neither gives the same time back (PEP 495).
        there = first.astimezone(datetime.UTC).astimezone(zone).replace(tzinfo=None) == moment
        what = "comes twice" if there else "is left out"
        raise ValueError(f"{moment.isoformat()} {what} when the clocks of {zone} change: write its offset")
    return first


def day_edges(start_ns: int, end_ns: int, days: int, zone: datetime.tzinfo) -> list[int]:
    """``start_ns``, and then each local midnight ``days`` apart, at least to ``end_ns``: days of 23 or 25 hours too.

    Where ``start_ns`` is no midnight, the intervals begin at its time of the day.
    """
    edges = [start_ns]
    first = (_EPOCH + datetime.timedelta(microseconds=start_ns // 1000)).astimezone(zone).replace(tzinfo=None)
    while edges[-1] < end_ns:
        moment = first + datetime.timedelta(days=days * len(edges))
        # Of a midnight that comes twice the first; one that is left out is the moment after (Beirut, Havana).
        there = moment.replace(tzinfo=zone, fold=0).astimezone(datetime.UTC)
        edges.append((there - _EPOCH) // datetime.timedelta(microseconds=1) * 1000)
    return edges


Resolution = Literal["s", "ms", "us", "ns"]


def iso(
    times: NDArray[np.int64], zone: datetime.tzinfo = datetime.UTC, unit: Resolution | None = None
) -> list[str]:
    """UTC ns as ISO 8601 with Z, or with the offset of ``zone``; all with as many digits as the finest needs."""
    unit = unit or next(name for name, ns in _RESOLUTIONS if not (times % ns).any())
    if zone is datetime.UTC:
        moments: NDArray[np.datetime64] = times.view("M8[ns]")
        return [f"{text}Z" for text in np.datetime_as_string(moments, unit=unit).tolist()]
    quarters, which = np.unique(
        times // _QUARTER_NS, return_inverse=True
    )  # offsets change at quarters of an hour
    offsets = [
        (_EPOCH + datetime.timedelta(minutes=15 * quarter)).astimezone(zone).utcoffset()
        or datetime.timedelta()
        for quarter in quarters.tolist()
    ]
    shifts = np.array([offset // datetime.timedelta(microseconds=1) * 1000 for offset in offsets], np.int64)
    names = [_offset_text(offset) for offset in offsets]
    moments = (times + shifts[which] if len(times) else times).view("M8[ns]")
    texts = np.datetime_as_string(moments, unit=unit).tolist()
    return [text + names[place] for text, place in zip(texts, which.tolist(), strict=True)]


def _offset_text(offset: datetime.timedelta) -> str:
    minutes = offset // datetime.timedelta(minutes=1)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def iso_of(time_ns: int, zone: datetime.tzinfo = datetime.UTC) -> str:
    """One time, likewise."""
    return iso(np.array([time_ns]), zone)[0]
