"""What tags did over a frame, from history: each value holds until the next (stepped), as in time averages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gateway.config.events import Summary, WantedSummary
from gateway.tags.history import Series
from gateway.tags.quality import SEVERITY_BAD, Quality
from gateway.tags.tag import ValueType
from historian.events.frame import SummaryValue
from historian.query.average import UNCERTAIN_DATA_SUB_NORMAL
from historian.query.history import History

STEP_NS = 6 * 3_600 * 10**9  # read at once: 216,000 samples at 10 Hz
_FIRST = -(2**62)


def summaries_of(
    history: History, wanted: Sequence[WantedSummary], start: int, end: int
) -> list[SummaryValue]:
    """All that is wanted of [start, end]; reading takes as long as the frame is."""
    found: list[SummaryValue] = []
    for tag in dict.fromkeys(each.tag for each in wanted):
        words = [each.summary for each in wanted if each.tag == tag]
        try:
            type = history.entry(tag).type
        except KeyError:
            found += [SummaryValue(tag, word, None, int(Quality.BAD_NO_DATA)) for word in words]
            continue
        known = _Known(history, tag, type, start, end)
        found += [SummaryValue(tag, word, *known.summary(word)) for word in words]
    return found


class _Known:
    """What is usable of one tag over a frame, reckoned when first asked for."""

    def __init__(self, history: History, tag: str, type: ValueType, start: int, end: int) -> None:
        self._history = history
        self._tag = tag
        self._is_bool = type is ValueType.BOOL
        self._start, self._end = start, end
        self._span: tuple[list[float], bool] | None = None

    def summary(self, word: Summary) -> tuple[float | None, int]:
        """Value and status."""
        if word is Summary.AVERAGE:
            return self._average()
        values, is_whole = self._extent()
        if not values:
            return None, int(Quality.BAD_NO_DATA)
        first, last, least, greatest = values
        value = {
            Summary.START: first,
            Summary.END: last,
            Summary.DELTA: last - first,
            Summary.MINIMUM: least,
            Summary.MAXIMUM: greatest,
        }[word]
        return value, int(Quality.GOOD) if is_whole else UNCERTAIN_DATA_SUB_NORMAL

    def _average(self) -> tuple[float | None, int]:
        averages = self._history.time_average(self._tag, self._start, self._end, self._end - self._start)
        value, status = float(averages.values[0]), int(averages.statuses[0])
        return (None if np.isnan(value) else value), status

    def _extent(self) -> tuple[list[float], bool]:
        """First, last, least and greatest usable value, and whether all was Good and known from the start."""
        if self._span is None:
            before = self._history.raw(self._tag, _FIRST, self._start + 1, limit=1, newest_first=True)
            pieces = [before]
            at = self._start + 1
            while at <= self._end:
                to = min(at + STEP_NS, self._end + 1)
                pieces.append(self._history.raw(self._tag, at, to))
                at = to
            usable = [part for part in map(_usable, pieces) if len(part)]
            is_whole = len(before) > 0 and all(not piece.statuses.any() for piece in pieces)
            self._span = ([], False)
            if usable:
                least, greatest = min(part.min() for part in usable), max(part.max() for part in usable)
                ends = [float(usable[0][0]), float(usable[-1][-1]), float(least), float(greatest)]
                self._span = (ends, is_whole and not any(piece.damaged for piece in pieces))
        return self._span


def _usable(series: Series) -> NDArray[np.float64]:
    values = series.values.astype(np.float64)
    is_usable = ((series.statuses & np.uint32(SEVERITY_BAD)) == 0) & np.isfinite(values)
    usable: NDArray[np.float64] = values[is_usable]
    return usable
