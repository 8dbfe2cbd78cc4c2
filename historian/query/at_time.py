"""What a tag was at given instants (OPC 10000-11, 6.5.5.2). Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gateway.tags.aggregate import AggregateConfiguration, Processed
from gateway.tags.sample import from_bits
from gateway.tags.tag import ValueType
from historian.query.aggregates import bounds
from historian.query.aggregates.bounds import INTERPOLATED_GOOD
from historian.query.aggregates.intervals import EARLIEST, LATEST
from historian.query.aggregates.known import Known, judge, without_placeholders
from historian.query.aggregates.table import SOURCE, as_values, is_stepped, processed_points
from historian.query.stored import Stored
from historian.store.blocks import Samples

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


def within(
    blocks: Sequence[tuple[Stored, Samples]], source: ValueType, times: NDArray[np.int64], *, stepped: bool
) -> Processed | None:
    """`inside` at ascending times that lie in one of the blocks each; None where it is none."""
    parts: list[Processed] = []
    low = 0
    for block, samples in blocks:
        high = int(times.searchsorted(block.last_time, "right"))
        if high > low:
            part = inside(samples, source, times[low:high], stepped=stepped)
            if part is None:
                return None
            parts.append(part)
        low = high
    return parts[0] if len(parts) == 1 else one_behind_the_other(parts)


def inside(
    samples: Samples, source: ValueType, times: NDArray[np.int64], *, stepped: bool
) -> Processed | None:
    """`at_time` at times from the first of these samples to the last; None where one of them is no finite number.

    All samples are Good and there are no others between them, so what is nearest is usable: whatever is asked for of
    bounds and extrapolation, the answer is the same.
    """
    row = samples.times.searchsorted(times, "right") - 1
    before = samples.times[row]
    is_raw = before == times
    values = from_bits(samples.values[row], source)
    if not is_stepped(source, stepped):
        following = np.minimum(row + 1, len(samples) - 1)
        numbers = values.astype(np.float64)
        # As `bounds` draws lines (OPC 10000-13, 3.1.8); of the very last sample there is none.
        share = (times - before) / np.maximum(samples.times[following] - before, 1)
        with np.errstate(over="ignore", invalid="ignore"):
            rise = from_bits(samples.values[following], source).astype(np.float64) - numbers
            numbers = numbers + share * rise
        if not np.isfinite(numbers).all():
            return None
        values = np.where(is_raw, values, as_values(source, numbers))
    elif source is ValueType.DOUBLE and not np.isfinite(values).all():
        return None
    return Processed(SOURCE[source], times, values, np.where(is_raw, np.uint32(0), INTERPOLATED_GOOD))


def clusters(times: NDArray[np.int64]) -> Iterator[slice]:
    """Ascending times in stretches that are worth reading whole."""
    if times[-1] - times[0] <= NEAR_NS:
        yield slice(0, len(times))
        return
    breaks = np.flatnonzero(np.diff(times) > NEAR_NS) + 1
    edges = [0, *breaks.tolist(), len(times)]
    for low, high in pairwise(edges):
        yield slice(low, high)


def joined(parts: Sequence[Processed], order: NDArray[np.intp] | None) -> Processed:
    """Parts of ascending times as one, brought back into the order that was asked, if it was another."""
    all = parts[0] if len(parts) == 1 else one_behind_the_other(parts)
    if order is None:
        return all
    rank = np.argsort(order, kind="stable")
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
    """Raises ValueError for ascending times that cannot be answered."""
    if not len(times):
        raise ValueError("there is no time to ask for")
    if len(times) > MAX_INSTANTS:
        raise ValueError(f"{len(times)} times are more than {MAX_INSTANTS}")
    if times[0] <= EARLIEST or times[-1] >= LATEST:
        raise ValueError("the times lie outside 1823..2116")
