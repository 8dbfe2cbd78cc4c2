"""What is known of a tag around the intervals that are asked for, as arrays, and how its quality counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.tags.quality import SEVERITY_BAD, SEVERITY_MASK, SEVERITY_UNCERTAIN
from historian.query.average import BAD_NO_DATA

BAD = 0x8000_0000


@dataclass(frozen=True, slots=True)
class Covered:
    """Stretches that are added up already, each within one interval; shape (k,).

    A row of `Known` stands at each ``first``, and one of a sample where the stretch ends.
    """

    first: NDArray[np.int64]
    integral: NDArray[np.float64]  # of usable values over time, value times seconds
    usable_ns: NDArray[np.int64]
    good_ns: NDArray[np.int64]


_NO_TIMES = np.empty(0, np.int64)
NOTHING_COVERED = Covered(_NO_TIMES, np.empty(0), _NO_TIMES, _NO_TIMES)


@dataclass(frozen=True, slots=True)
class Known:
    """Rows of one tag, shape (n,), ascending in time, no time twice.

    Samples (``is_raw``) and what else is known: a row that is no sample says that from its time on nothing is known
    (Bad_NoData), or that the value before still holds there. ``numbers`` are the values as doubles; of strings any
    numbers that are equal where the strings are. ``values`` are the values themselves.

    The first row is the start of the data unless something earlier is left out, which then matters nowhere; the last
    row is likewise the end of the data.
    """

    times: NDArray[np.int64]
    numbers: NDArray[np.float64]
    statuses: NDArray[np.uint32]
    is_raw: NDArray[np.bool_]
    values: NDArray[Any]
    covered: Covered = NOTHING_COVERED

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True, slots=True)
class Judged:
    """Rows with how each counts. ``usable``: Good, or Uncertain where that does not count as Bad.

    A value that is no finite number counts as Bad. ``is_covered`` rows begin a stretch that is added up already.
    """

    times: NDArray[np.int64]
    numbers: NDArray[np.float64]
    statuses: NDArray[np.uint32]
    is_raw: NDArray[np.bool_]
    is_good: NDArray[np.bool_]
    is_uncertain: NDArray[np.bool_]
    usable: NDArray[np.bool_]
    is_covered: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.times)


def without_placeholders(known: Known) -> Known:
    """Without Bad_NoData rows at the very beginning, as of a point just made: they are no data."""
    if not len(known) or known.statuses[0] & np.uint32(0xFFFF_0000) != BAD_NO_DATA:
        return known
    is_placeholder = (known.statuses & np.uint32(0xFFFF_0000)) == BAD_NO_DATA
    first = int(np.argmin(is_placeholder)) if not is_placeholder.all() else len(known)
    return Known(
        known.times[first:],
        known.numbers[first:],
        known.statuses[first:],
        known.is_raw[first:],
        known.values[first:],
        known.covered,
    )


def judge(known: Known, treat_uncertain_as_bad: bool) -> Judged:
    """How each row counts."""
    finite = np.isfinite(known.numbers)
    severity = known.statuses & np.uint32(SEVERITY_MASK)
    is_good = (severity == 0) & finite
    is_uncertain = (severity == SEVERITY_UNCERTAIN) & finite
    return Judged(
        known.times,
        np.where(finite, known.numbers, 0.0),
        np.where(finite | (severity >= SEVERITY_BAD), known.statuses, np.uint32(BAD)),
        known.is_raw,
        is_good,
        is_uncertain,
        is_good | (is_uncertain & (not treat_uncertain_as_bad)),
        np.isin(known.times, known.covered.first)
        if len(known.covered.first)
        else np.zeros(len(known), np.bool_),
    )
