"""What a tag was at given instants (OPC 10000-11, 6.5.5.2). Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gateway.tags.aggregate import AggregateConfiguration, Processed
from gateway.tags.tag import ValueType
from historian.query.aggregates import bounds
from historian.query.aggregates.intervals import EARLIEST, LATEST
from historian.query.aggregates.known import Known, judge, without_placeholders
from historian.query.aggregates.table import is_stepped, processed_points

MAX_INSTANTS = 1_000_000
# Instants further apart than this are looked up one by one: what lies between them need not be read.
NEAR_NS = 86_400 * 10**9


def at_time(
    known: Known,
    source: ValueType,
    times: NDArray[np.int64],
    *,
    stepped: bool,
    configuration: AggregateConfiguration,
    use_simple_bounds: bool = False,
) -> Processed:
    """The value at each time: a sample's own, as it is, or interpolated; Bad_NoData before the first sample.

    Interpolated by the nearest usable samples, or with ``use_simple_bounds`` by the nearest, even if these are Bad.
    """
    known = without_placeholders(known)
    rows = judge(known, configuration.treat_uncertain_as_bad)
    holds = is_stepped(source, stepped)
    if use_simple_bounds:
        points = bounds.simple(rows, times, holds)
    else:
        points = bounds.interpolated(rows, times, holds, configuration.use_sloped_extrapolation)
    place = np.searchsorted(known.times, times)
    stored = np.flatnonzero(place < len(known))
    stored = stored[(known.times[place[stored]] == times[stored]) & known.is_raw[place[stored]]]
    points.statuses[stored] = known.statuses[place[stored]]
    points.row[stored] = place[stored]
    return processed_points(known, source, points)


def clusters(times: NDArray[np.int64]) -> Iterator[slice]:
    """Ascending times in stretches that are worth reading whole."""
    breaks = np.flatnonzero(np.diff(times) > NEAR_NS) + 1
    edges = [0, *breaks.tolist(), len(times)]
    for low, high in pairwise(edges):
        yield slice(low, high)


def joined(parts: Sequence[Processed], order: NDArray[np.intp]) -> Processed:
    """Parts of ascending times as one, brought back into the order that was asked."""
    rank = np.argsort(order, kind="stable")
    all = one_behind_the_other(parts)
    return Processed(all.type, all.times[rank], all.values[rank], all.statuses[rank])


def one_behind_the_other(parts: Sequence[Processed]) -> Processed:
    """Parts as one."""
    return Processed(
        parts[0].type,
        np.concatenate([part.times for part in parts]),
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.statuses for part in parts]),
    )


def check(times: NDArray[np.int64]) -> None:
    """Raises ValueError for times that cannot be answered."""
    if not len(times):
        raise ValueError("there is no time to ask for")
    if len(times) > MAX_INSTANTS:
        raise ValueError(f"{len(times)} times are more than {MAX_INSTANTS}")
    if times.min() <= EARLIEST or times.max() >= LATEST:
        raise ValueError("the times lie outside 1823..2116")
