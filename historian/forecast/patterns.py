"""Patterns of daily profiles: how a day of each kind looks, and how unusual a day is. Plain numbers, NumPy only.

A profile is a day of a member (a consumer) in shares of that member's usual level, the median of the means of its
days' absolute values: members of any size compare, and a day that is low all over differs from one that is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from historian.forecast.civil_days import DAY_MIN, Floats, Longs

WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
LEAST_KNOWN: Final = 0.125  # of a day's slots, 3 h: before, nights are alike and a day has no pattern
_RULE: Final = 0.75  # of a weekday's days are of a pattern that is the rule there
_DIGITS: Final = 4  # of profiles in a file, in shares of the usual level


@dataclass(frozen=True, slots=True)
class Member:
    """``scale`` is its usual level, in its unit; ``whole`` days were learned from, ``left_out`` had holes."""

    name: str
    scale: float
    whole: int
    left_out: int


@dataclass(frozen=True, slots=True)
class Judged:
    """A day. By member: its pattern (from 0; -1: too little is known), the distance (rms, in shares of the usual
    level), and how unusual: the percentage of whole days that were nearer to their own pattern, in the same slots.
    ``unusual`` is that of all members together, ``known`` the share of the day's slots that was judged.
    """

    pattern: NDArray[np.intp]
    distance: Floats
    unusual_by_member: Floats
    unusual: float
    known: float


@dataclass(frozen=True, slots=True)
class Patterns:
    """``centres`` (patterns, slots) in shares of the usual level, the most frequent first; ``weekdays`` (patterns, 7)
    counts whole days. ``reference`` (days, members, slots) are whole days, by which others are judged. ``skipped``
    says which members were left out, and why.
    """

    members: tuple[Member, ...]
    centres: Floats
    weekdays: Longs
    silhouette: float
    days: Longs
    reference: Floats
    skipped: tuple[str, ...]

    @property
    def sizes(self) -> Longs:
        """Whole days of each pattern."""
        sizes: Longs = self.weekdays.sum(axis=1)
        return sizes

    def judge(self, day: Floats) -> Judged:
        """A day of the members, (members, slots), as far as it is known; NaN elsewhere."""
        scales = np.array([member.scale for member in self.members])
        profiles = day / scales[:, None]
        count = len(self.members)
        pattern = np.full(count, -1, np.intp)
        distance, unusual = np.full(count, np.nan), np.full(count, np.nan)
        squares, usual_squares = [], []
        for at, profile in enumerate(profiles):
            known = np.isfinite(profile)
            if known.sum() < LEAST_KNOWN * len(profile):
                continue
            own = distances(profile[None, known], self.centres[:, known])[0]
            usual = distances(self.reference[:, at, known], self.centres[:, known]).min(axis=1)
            pattern[at] = own.argmin()
            distance[at] = own.min()
            unusual[at] = _rank(own.min(), usual)
            squares.append(own.min() ** 2)
            usual_squares.append(usual**2)
        together = np.nan
        if squares:
            table = np.array(usual_squares)
            there = np.isfinite(table)
            sums = np.where(there, table, 0.0).sum(axis=0)
            with np.errstate(invalid="ignore"):  # a day on which none of these members was whole
                together = _rank(float(np.mean(squares)), sums / there.sum(axis=0))
        share = float(np.isfinite(profiles).any(axis=0).mean())
        return Judged(pattern, distance, unusual, together, share)

    def describe(self, pattern: int) -> str:
        """One line for people: on which weekdays the pattern is the rule, and when it is highest."""
        totals = self.weekdays.sum(axis=0)
        own = self.weekdays[pattern]
        rule = [day for day in range(7) if totals[day] and own[day] >= _RULE * totals[day]]
        when = _days_text(rule) if 0 < len(rule) < (totals > 0).sum() else "any day"
        minute = int(self.centres[pattern].argmax()) * (DAY_MIN // self.centres.shape[1])
        return f"{when}, highest at {minute // 60:02}:{minute % 60:02}"

    def plain(self) -> dict[str, Any]:
        """For a file."""
        return {
            "members": [[each.name, each.scale, each.whole, each.left_out] for each in self.members],
            "centres": self.centres.tolist(),
            "weekdays": self.weekdays.tolist(),
            "silhouette": self.silhouette,
            "days": self.days.tolist(),
            "reference": [
                [[None if value != value else round(value, _DIGITS) for value in row] for row in day]
                for day in self.reference.tolist()
            ],
            "skipped": list(self.skipped),
        }

    @classmethod
    def of_plain(cls, told: Mapping[str, Any]) -> Self:
        """What `plain` gave."""
        return cls(
            members=tuple(Member(*each) for each in told["members"]),
            centres=np.array(told["centres"], np.float64),
            weekdays=np.array(told["weekdays"], np.int64),
            silhouette=float("nan") if told["silhouette"] is None else float(told["silhouette"]),
            days=np.array(told["days"], np.int64),
            reference=np.array(told["reference"], np.float64),  # None becomes NaN
            skipped=tuple(told["skipped"]),
        )


def distances(profiles: Floats, centres: Floats) -> Floats:
    """Root mean squares of the differences, (profiles, centres)."""
    found: Floats = np.sqrt(((profiles[:, None, :] - centres[None, :, :]) ** 2).mean(axis=2))
    return found


def _rank(value: float, among: Floats) -> float:
    """The percentage of the known ones that are less; of equal ones half counts."""
    among = among[np.isfinite(among)]
    if not len(among):
        return float("nan")
    return float(100 * ((among < value).sum() + 0.5 * (among == value).sum()) / len(among))


def _days_text(days: Sequence[int]) -> str:
    if len(days) > 2 and all(after == before + 1 for before, after in pairwise(days)):
        return f"{WEEKDAYS[days[0]]}-{WEEKDAYS[days[-1]]}"
    return ", ".join(WEEKDAYS[day] for day in days)
