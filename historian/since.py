"""Since when a tag has been as it is now, out of history: what a display says beside an alert."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from gateway.config.alert import Alert
from gateway.tags.quality import SEVERITY_MASK
from historian.query.history import History

PAGE: Final = 2_000  # samples at once, the newest first
MOST_PAGES: Final = 25  # a tag told every 2 s is followed back for a day
LONGEST_NS: Final = 31 * 86_400 * 10**9

Value = bool | int | float | str


def since(history: History, tag: str, alert: Alert, value: Value, now_ns: int) -> int | None:
    """The source time (UTC ns) from which ``tag``, which is ``value`` now, was told to be so all along.

    Of a count, since it has this value. What was Bad meanwhile says neither yes nor no. None where history does not
    know the tag. Raises OSError and HistoryError where it cannot be read.
    """
    is_so: Callable[[Value], bool] = (lambda other: other == value) if alert.lasts_s else alert.holds
    first: int | None = None
    end = now_ns + 1
    for _ in range(MOST_PAGES):
        try:
            series = history.raw(tag, now_ns - LONGEST_NS, end, limit=PAGE, newest_first=True)
        except KeyError:
            return None
        good = np.asarray(series.statuses) & SEVERITY_MASK == 0
        for time, one in zip(series.source_times[good].tolist(), series.values[good].tolist(), strict=True):
            if not is_so(one):
                return first
            first = time
        if len(series) < PAGE:
            return first
        end = int(series.source_times[-1])
    return first
