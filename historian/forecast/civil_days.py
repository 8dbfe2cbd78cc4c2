"""Values of steps as days of civil time: a row a day, a column a slot of the clock on the wall; holes as NaN."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Longs = NDArray[np.int64]
DAY_MIN: Final = 1_440
LEAST_PRESENT: Final = 0.5  # of the steps of a slot; with fewer it is a hole
NS_PER_S: Final = 10**9


@dataclass(frozen=True, slots=True)
class CivilDays:
    """``values`` (days, members, slots), means of the steps that begin in a slot; ``days`` are ordinals, rising."""

    days: Longs
    values: Floats

    @property
    def is_whole(self) -> NDArray[np.bool_]:
        """(days, members): whether a member's day has no hole."""
        return np.asarray(np.isfinite(self.values).all(axis=2))


def civil_days(times: Longs, values: Floats, step_s: int, zone: str, slots: int) -> CivilDays:
    """Days out of averages ``values`` (steps, members) of steps of ``step_s`` that begin at ``times`` (ns, UTC).

    The slots that the clock skips in spring have the values between their neighbours; those that it shows twice in
    autumn the mean of both. Raises ValueError where slots are shorter than steps, or do not make a day.
    """
    if slots < 1 or DAY_MIN % slots:
        raise ValueError(f"{slots} slots do not make a day: choose 24, 48 or 96, say")
    slot_s = DAY_MIN // slots * 60
    if step_s > slot_s:
        raise ValueError(f"steps of {step_s} s are longer than slots of {slot_s} s: take fewer slots")
    clock = ZoneInfo(zone)
    local = [datetime.fromtimestamp(time // NS_PER_S, clock) for time in times.tolist()]
    ordinals = np.array([each.toordinal() for each in local], np.int64)
    second = np.array([each.hour * 3600 + each.minute * 60 + each.second for each in local], np.int64)
    days, row = np.unique(ordinals, return_inverse=True)
    members = values.shape[1]
    cell = row * slots + second // slot_s
    table = np.full((len(days) * slots, members), np.nan)
    for at in range(members):
        is_there = np.isfinite(values[:, at])
        count = np.bincount(cell[is_there], minlength=len(table))
        total = np.bincount(cell[is_there], values[is_there, at], minlength=len(table))
        enough = (count > 0) & (count * step_s >= LEAST_PRESENT * slot_s)
        table[enough, at] = total[enough] / count[enough]
    shaped = np.ascontiguousarray(table.reshape(len(days), slots, members).transpose(0, 2, 1))
    for place, day in enumerate(days.tolist()):
        if skipped := _skipped(date.fromordinal(day), clock, slots):
            _bridge(shaped[place], skipped)
    return CivilDays(days, shaped)


def _skipped(day: date, clock: ZoneInfo, slots: int) -> list[int]:
    """The slots of that day of which no clock shows a minute."""
    begin = datetime(day.year, day.month, day.day, tzinfo=clock)
    if begin.utcoffset() == (begin + timedelta(days=1)).utcoffset():
        return []

    def is_shown(minute: int) -> bool:
        wall = begin + timedelta(minutes=minute)  # wall time, whatever lies between
        return wall.astimezone(UTC).astimezone(clock).replace(tzinfo=None) == wall.replace(tzinfo=None)

    minutes = DAY_MIN // slots
    return [
        slot for slot in range(slots) if not (is_shown(slot * minutes) or is_shown((slot + 1) * minutes - 1))
    ]


def _bridge(day: Floats, skipped: list[int]) -> None:
    """Fill these slots of (members, slots) in place, between their neighbours; at the ends by the one there is."""
    before, after = skipped[0] - 1, skipped[-1] + 1
    first = day[:, before] if before >= 0 else day[:, after]
    last = day[:, after] if after < day.shape[1] else first
    for place, slot in enumerate(skipped, 1):
        share = place / (len(skipped) + 1)
        day[:, slot] = first * (1 - share) + last * share
