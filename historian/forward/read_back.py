"""History asked of a target instead of the site's own files: by InfluxQL, which InfluxDB 1.x, 2.x and 3.x answer.

The questions are those of `historian.query.History`, and so are the answers: times by the nanosecond, all 64 bits of
a whole number, and every bit of a double.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.config.forward import ForwardKind, ForwardTarget, Label
from gateway.config.series import is_forwarded, series_name
from gateway.config.site import Tag
from gateway.tags.history import Series
from gateway.tags.quality import SEVERITY_MASK
from gateway.tags.sample import to_bits
from gateway.tags.tag import ValueType
from historian.errors import HistoryError
from historian.forward.influx1 import InfluxQl
from historian.forward.lines import TIME_HIGH, TIME_LOW
from historian.forward.target import SettingError
from historian.query import average
from historian.query.average import Averages, Knots
from historian.store.blocks import usable_numbers

PAGE_ROWS = 10_000  # of one answer: a megabyte of JSON
# What may change of a tag without its becoming another one; the rest of its labels is asked for.
_PASSING = frozenset({Label.AREA, Label.UNIT})
_IN_NAME = str.maketrans({'"': r"\"", "\\": "\\\\"})
_IN_TEXT = str.maketrans({"'": r"\'", "\\": "\\\\"})
_NUMPY = {
    ValueType.BOOL: np.dtype(bool),
    ValueType.INT64: np.dtype(np.int64),
    ValueType.UINT64: np.dtype(np.uint64),
    ValueType.DOUBLE: np.dtype(np.float64),
    ValueType.STRING: np.dtype(object),
}

Row = tuple[int, Any, int]


class InfluxHistory:
    """Questions to a target that history is forwarded to (a `HistorySource`). Blocking; one thread's.

    Questions raise KeyError for a tag that is not forwarded there, OSError where the target does not answer, and
    HistoryError where it cannot be asked.
    """

    def __init__(
        self, target: ForwardTarget, site: str, tags: Iterable[Tag], clock: Callable[[], int] = time.time_ns
    ) -> None:
        """Raises ValueError for a kind of target that answers no InfluxQL."""
        if target.kind is ForwardKind.VICTORIAMETRICS:
            raise ValueError(f"{target.name} is a VictoriaMetrics, which answers no InfluxQL")
        self._target = target
        self._site = site
        self._tags = {tag.name: tag for tag in tags if tag.name and is_forwarded(tag.name, target)}
        self._clock = clock
        self._ql = InfluxQl(target)

    def close(self) -> None:
        """Let go of connections; another question opens them again."""
        self._ql.close()

    def raw(
        self, tag: str, start_ns: int, end_ns: int, *, limit: int | None = None, newest_first: bool = False
    ) -> Series:
        """Samples with start_ns <= source time < end_ns, at most ``limit``."""
        known = self._tags[tag]
        start, end = max(start_ns, TIME_LOW), min(end_ns, TIME_HIGH + 1)
        rows: list[Row] = []
        while start < end and (limit is None or len(rows) < limit):
            most = PAGE_ROWS if limit is None else min(PAGE_ROWS, limit - len(rows))
            page = self._page(known, start, end, most, newest_first)
            rows += page
            if len(page) < most:
                break
            # No series has a time twice: the page ends between two samples.
            start, end = (start, page[-1][0]) if newest_first else (page[-1][0] + 1, end)
        return _series(known.type, rows)

    def last(self, tag: str) -> Series:
        """The newest sample, none where the target has none."""
        return self.raw(tag, TIME_LOW, TIME_HIGH, limit=1, newest_first=True)

    def time_average(self, tag: str, start_ns: int, end_ns: int, interval_ns: int) -> Averages:
        """As `History.time_average`, but for gaps, of which a target is not told. Raises ValueError for strings."""
        known = self._tags[tag]
        if known.type is ValueType.STRING:
            raise ValueError(f"{tag} is a string: it has no average")
        edges = average.edges_of(start_ns, end_ns, interval_ns)
        before = self.raw(tag, TIME_LOW, start_ns, limit=1, newest_first=True)
        inside = self.raw(tag, start_ns, end_ns)
        times = np.concatenate([before.source_times, inside.source_times])
        values = to_bits(np.concatenate([before.values, inside.values]), known.type)
        statuses = np.concatenate([before.statuses, inside.statuses])
        numbers, usable = usable_numbers(known.type, values, statuses)
        good = usable & ((statuses & np.uint32(SEVERITY_MASK)) == 0)
        now = max(self._clock(), int(times[-1])) if len(times) else self._clock()
        knots = Knots(
            np.append(times, now), np.append(numbers, 0.0), np.append(usable, False), np.append(good, False)
        )
        return average.average(edges, knots, [])

    def _page(self, tag: Tag, start: int, end: int, most: int, newest_first: bool) -> list[Row]:
        name = series_name(tag, self._target.names, self._site)
        labels = dict(name.labels)
        if Label.TAG in labels:
            labels = {label: text for label, text in labels.items() if label not in _PASSING}
        where = [f"{_name(label)} = {_text(text)}" for label, text in labels.items()]
        where += [f"time >= {start}", f"time < {end}"]
        question = (
            f"SELECT {_name(name.value_field)}, {_name(name.status_field)} FROM {_name(name.measurement)}"  # noqa: S608
            f" WHERE {' AND '.join(where)} ORDER BY time {'DESC' if newest_first else 'ASC'} LIMIT {most}"
        )
        try:
            series = self._ql.ask(question)
        except (ValueError, SettingError) as error:
            raise HistoryError(f"{self._target.name}: {error}") from error
        return [(at, value, status) for at, value, status in series[0]["values"]] if series else []


def _series(type: ValueType, rows: list[Row]) -> Series:
    """A double that the target could not hold (NaN, an infinity) reads as NaN."""
    values: NDArray[Any] = np.empty(len(rows), _NUMPY[type])
    values[:] = [np.nan if value is None and type is ValueType.DOUBLE else value for _, value, _ in rows]
    times = np.array([at for at, _, _ in rows], np.int64)
    return Series(type, times, values, np.array([status for _, _, status in rows], np.uint32))


def _name(text: str) -> str:
    return f'"{text.translate(_IN_NAME)}"'


def _text(text: str) -> str:
    return f"'{text.translate(_IN_TEXT)}'"
