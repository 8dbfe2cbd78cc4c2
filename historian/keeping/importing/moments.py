"""Times of a file as UTC nanoseconds, many at once; those that are none are told by their place. Pure."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from historian.times import local

Wrong = list[tuple[int, str]]  # places, and what is wrong there

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?))?\s*(Z|[+-]\d\d(?::?\d\d)?)?"
)
_QUARTER_NS = 15 * 60 * 10**9
_EPOCH = datetime.datetime(1970, 1, 1)
_LATEST_NS = 2**63 - 1


def parse_moments(
    texts: Sequence[str], zone: datetime.tzinfo, unit_ns: int | None
) -> tuple[NDArray[np.int64], Wrong]:
    """ISO 8601, of ``zone`` where no offset is given; or with ``unit_ns`` numbers of such units since 1970."""
    if unit_ns is not None:
        return _numbers(texts, unit_ns)
    naive = np.zeros(len(texts), "M8[ns]")
    shifts = np.zeros(len(texts), np.int64)
    is_local = np.zeros(len(texts), bool)
    wrong: Wrong = []
    known: dict[str, int] = {}
    for place, text in enumerate(texts):
        match = _TIME.fullmatch(text.strip())
        if match is None:
            wrong.append((place, f"{text[:40]!r} is not a time: ISO 8601 as in 2026-11-21T14:30:00Z"))
            continue
        day, clock, offset = match.groups()
        try:
            naive[place] = np.datetime64(f"{day}T{clock.replace(',', '.') if clock else '00:00'}", "ns")
        except ValueError:
            wrong.append((place, f"{text[:40]!r} is a time that does not exist"))
            continue
        if offset is None:
            is_local[place] = True
        elif offset != "Z":
            if offset not in known:
                known[offset] = _offset_ns(offset)
            shifts[place] = known[offset]
    times = naive.view(np.int64) - shifts
    if is_local.any():
        places = np.flatnonzero(is_local)
        times[places], some = to_utc(times[places], zone)
        wrong += [(int(places[place]), what) for place, what in some]
    return times, sorted(wrong)


def to_utc(naive: NDArray[np.int64], zone: datetime.tzinfo) -> tuple[NDArray[np.int64], Wrong]:
    """Times as clocks in ``zone`` showed them, as UTC."""
    if zone is datetime.UTC:
        return naive, []
    quarters, which = np.unique(
        naive // _QUARTER_NS, return_inverse=True
    )  # offsets change at quarters of an hour
    shifts = np.zeros(len(quarters), np.int64)
    bad: dict[int, str] = {}
    for place, quarter in enumerate(quarters.tolist()):
        try:
            moment = local(_EPOCH + datetime.timedelta(minutes=15 * quarter), zone)
        except ValueError as error:
            bad[place] = str(error)
            continue
        shifts[place] = (
            (moment.utcoffset() or datetime.timedelta()) // datetime.timedelta(microseconds=1) * 1000
        )
    wrong = (
        [(place, bad[quarter]) for place, quarter in enumerate(which.tolist()) if quarter in bad]
        if bad
        else []
    )
    return naive - shifts[which], wrong


def _numbers(texts: Sequence[str], unit_ns: int) -> tuple[NDArray[np.int64], Wrong]:
    times = np.zeros(len(texts), np.int64)
    wrong: Wrong = []
    for place, text in enumerate(texts):
        try:
            # Whole numbers exactly; a double could not tell nanoseconds apart.
            whole, _, part = text.strip().partition(".")
            fraction = int((part + "0" * 9)[:9]) * unit_ns // 10**9 if part else 0
            time = int(whole) * unit_ns + fraction
        except ValueError:
            wrong.append((place, f"{text[:40]!r} is not a number of time units since 1970"))
            continue
        if not 0 <= time <= _LATEST_NS:
            wrong.append((place, f"{text[:40]} lies beyond the years 1970 to 2262: is time_unit right?"))
            continue
        times[place] = time
    return times, wrong


def _offset_ns(text: str) -> int:
    hours, minutes = int(text[1:3]), int(text[-2:]) if len(text) > 3 else 0
    return (-1 if text[0] == "-" else 1) * (hours * 60 + minutes) * 60 * 10**9
