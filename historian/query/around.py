"""What was found of a tag, with its gaps and the present → what its aggregates are reckoned from. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.tags.aggregate import Aggregate, AggregateConfiguration
from gateway.tags.sample import from_bits
from gateway.tags.tag import ValueType
from historian.query.aggregates.intervals import Intervals
from historian.query.aggregates.known import BAD, NOTHING_COVERED, Covered, Known, judge
from historian.query.aggregates.table import BY_STRETCH, is_stepped
from historian.query.average import BAD_NO_DATA
from historian.query.knots import RESYNCED, can_sum
from historian.query.reader import Span
from historian.query.stored import Stored
from historian.store.blocks import Samples
from historian.store.catalogue import Entry
from historian.store.frame import GapFrame

# How far usable values are looked for before and after the intervals, in samples; beyond that there are none.
# OPC 10000-13, 3.1.8 leaves it to the server.
LOOK_AROUND = (1, 64, 4096)

_NEAREST_USABLE = frozenset({Aggregate.INTERPOLATIVE, Aggregate.TIME_AVERAGE, Aggregate.TOTAL})
_ALWAYS_SLOPED = frozenset({Aggregate.TIME_AVERAGE, Aggregate.TOTAL})
_SAMPLE, _HELD, _NOTHING, _COVERED = 0, 1, 2, 3  # what a row is


@dataclass(frozen=True, slots=True)
class Need:
    """What is needed around the samples: so many usable ones before, and one after, or a usable one."""

    usable_before: int = 0
    after: bool = False
    after_usable: bool = False


def need_of(aggregate: Aggregate, entry: Entry, configuration: AggregateConfiguration) -> Need:
    """What an aggregate needs besides the samples and the one before them."""
    sloped = aggregate in _ALWAYS_SLOPED or not is_stepped(entry.type, entry.stepped)
    if aggregate in _NEAREST_USABLE:
        return _nearest_usable(sloped, configuration)
    return Need(int(aggregate is Aggregate.NUMBER_OF_TRANSITIONS), sloped)


def need_at(entry: Entry, configuration: AggregateConfiguration, use_simple_bounds: bool) -> Need:
    """What values at instants need."""
    sloped = not is_stepped(entry.type, entry.stepped)
    return Need(0, sloped) if use_simple_bounds else _nearest_usable(sloped, configuration)


def _nearest_usable(sloped: bool, configuration: AggregateConfiguration) -> Need:
    return Need(1 + (sloped and configuration.use_sloped_extrapolation), sloped, sloped)


def count_usable(type: ValueType, samples: Samples, configuration: AggregateConfiguration) -> int:
    """How many samples are usable."""
    if not len(samples):
        return 0
    return int(judge(known_of(type, samples), configuration.treat_uncertain_as_bad).usable.sum())


def near(type: ValueType, samples: Samples, times: NDArray[np.int64]) -> Samples:
    """Those of ``samples`` that values at ``times`` can come from: all where one is not Good and finite."""
    if type is ValueType.STRING or len(samples) <= 4 * len(times) or samples.statuses.any():
        return samples
    if type is ValueType.DOUBLE and not np.isfinite(from_bits(samples.values, type)).all():
        return samples
    # The two before each, as a line may be drawn on through them, and the one behind; and where all begins and ends.
    before = samples.times.searchsorted(times, "right")
    keep = np.zeros(len(samples) + 3, np.bool_)
    keep[[2, -2]] = True
    for place in (before, before + 1, before + 2):
        keep[place] = True
    return samples[keep[2:-1]]


def is_whole(blocks: Sequence[Stored], times: NDArray[np.int64], gaps: Sequence[GapFrame]) -> bool:
    """Whether each time lies in one of these blocks, which come in order and share no time, and all is Good."""
    first, last = blocks[0].first_time, blocks[-1].last_time
    if not all(block.is_good for block in blocks) or times[0] < first or times[-1] > last:
        return False
    if any(gap.from_time <= last and max(gap.from_time, gap.to_time) >= first for gap in gaps):
        return False
    if len(blocks) == 1:
        return True
    begins = np.array([block.first_time for block in blocks], np.int64)
    ends = np.array([block.last_time for block in blocks], np.int64)
    return bool((times <= ends[begins.searchsorted(times, "right") - 1]).all())


def sums_up(
    aggregate: Aggregate,
    intervals: Intervals,
    configuration: AggregateConfiguration,
    gaps: Sequence[GapFrame],
    by_id: Mapping[int, Entry],
    block: Stored,
) -> bool:
    """Whether a block's sums say all that the aggregate wants to know of it."""
    entry = by_id[block.tag]
    if aggregate not in BY_STRETCH or not is_stepped(entry.type, entry.stepped) or intervals.is_backwards:
        return False
    if configuration.treat_uncertain_as_bad and block.uncertain_ns:
        return False
    length = int(intervals.edges[1] - intervals.edges[0])
    return can_sum(intervals.edges, length, gaps, block)


def known_of(
    type: ValueType,
    samples: Samples,
    *,
    gaps: Sequence[GapFrame] = (),
    damaged: Sequence[Span] = (),
    summed: Sequence[Stored] = (),
    now: int | None = None,
) -> Known:
    """Samples, and from where on nothing is known until the next: in gaps, damaged blocks, and later than now.

    Until now the newest sample holds: it would have been written if it had changed.
    """
    values = samples.values if type is ValueType.STRING else from_bits(samples.values, type)
    covered = sorted((block for block in summed if block.last_time > block.first_time), key=_first_time)
    ends = [*(gap.from_time for gap in gaps), *(low for low, _ in damaged)]
    again = [
        (gap.to_time, row)
        for gap in gaps
        if gap.kind in RESYNCED
        and not any(other.from_time < gap.to_time < other.to_time for other in gaps)
        and (row := int(samples.times.searchsorted(gap.to_time, "right")) - 1) >= 0
    ]
    newest = max([*ends, *(at for at, _ in again), *samples.times[-1:].tolist()], default=0)
    is_held = newest in (*samples.times[-1:].tolist(), *(at for at, _ in again))
    if now is not None and len(samples) and is_held and now > newest:
        again.append((now, len(samples) - 1))
    others = [
        *((at, _NOTHING, 0) for at in ends),
        *((block.first_time, _COVERED, 0) for block in covered),
        *((at, _HELD, row) for at, row in again),
    ]
    numbers = _numbers(type, values)
    if not len(samples) or not others:
        # Of a past without gaps nothing has to be put between.
        return Known(
            samples.times,
            numbers,
            samples.statuses,
            np.ones(len(samples), np.bool_),
            values,
            _covered(covered),
        )
    times = np.concatenate([np.array([at for at, _, _ in others], np.int64), samples.times])
    kinds = np.zeros(len(times), np.uint8)
    kinds[: len(others)] = [kind for _, kind, _ in others]
    rows = np.concatenate([np.array([row for _, _, row in others], np.intp), np.arange(len(samples))])
    # Of rows of one time the last counts: a sample over all else.
    order = np.argsort(times, kind="stable")
    ordered = times[order]
    keep = order[np.append(ordered[1:] != ordered[:-1], True)]
    times, kinds, rows = times[keep], kinds[keep], rows[keep]
    has_value = kinds <= _HELD
    unknown = np.where(kinds == _COVERED, np.uint32(BAD), np.uint32(BAD_NO_DATA))
    return Known(
        times,
        np.where(has_value, numbers[rows], 0.0),
        np.where(has_value, samples.statuses[rows], unknown).astype(np.uint32),
        kinds == _SAMPLE,
        values[rows],
        _covered(covered),
    )


def _first_time(block: Stored) -> int:
    return block.first_time


def _numbers(type: ValueType, values: NDArray[np.generic]) -> NDArray[np.float64]:
    if type is ValueType.STRING:
        return np.unique(values.astype(str), return_inverse=True)[1].astype(np.float64)
    return values.astype(np.float64)


def _covered(blocks: Sequence[Stored]) -> Covered:
    if not blocks:
        return NOTHING_COVERED
    return Covered(
        np.array([block.first_time for block in blocks], np.int64),
        np.array([block.integral for block in blocks], np.float64),
        np.array([block.good_ns + block.uncertain_ns for block in blocks], np.int64),
        np.array([block.good_ns for block in blocks], np.int64),
    )
