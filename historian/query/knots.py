"""What was found of a tag → the knots its averages are computed from. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gateway.tags.quality import SEVERITY_MASK
from gateway.tags.tag import ValueType
from historian.query import average, merge, runs
from historian.query.average import Averages, Covered, Knots, Stretches
from historian.query.reader import Found, Gathered, Reader
from historian.query.remembered import NO_GRID, Remembered
from historian.query.stored import Stored
from historian.store.blocks import Samples, usable_numbers
from historian.store.frame import GapFrame

# Gaps at whose end values are known again: the image was written down, or no time passed at all.
RESYNCED = ("lapped", "text", "clock")

NOTHING_TOLD = Found(merge.nothing(ValueType.DOUBLE))
_UNKNOWN = -1  # the place of what is appended behind all samples


def can_sum(edges: NDArray[np.int64], interval: int, gaps: Sequence[GapFrame], block: Stored) -> bool:
    """Whether a block's sums say all that the intervals want to know of it: it lies in one, and in no gap."""
    start, end = int(edges[0]), int(edges[-1])
    first, last = block.first_time, block.last_time
    return (
        first >= start
        and last < end
        and (first - start) // interval == (last - start) // interval
        and block.integral is not None
        and bool(np.isfinite(block.integral))
        and not any(gap.from_time <= last and gap.to_time >= first for gap in gaps)
    )


def recall(
    stretches: Stretches,
    gaps: Sequence[GapFrame],
    now: int,
    remembered: Remembered,
    blocks: Sequence[Stored],
) -> list[NDArray[np.float64] | None]:
    """What blocks that are alone in their time say to their intervals, where it was reckoned before."""
    grids = {
        (first, last): stretches.of(first, last).grid
        for first, last in {(block.first_time, block.last_time) for block in blocks}
        # Where the clock is behind the samples, it is their own times that say until when something is known.
        if not last >= stretches.edges[-1] > now
        and not any(gap.from_time <= last and gap.to_time >= first for gap in gaps)
    }
    return remembered.sums_of(
        [
            (block.edition, block.id, grids.get((block.first_time, block.last_time), NO_GRID))
            for block in blocks
        ]
    )


def averages_of(
    asked: Sequence[Gathered], stretches: Stretches, gaps: Sequence[GapFrame], now: int, reader: Reader
) -> list[tuple[Averages, Found]]:
    """The averages of each tag, and what was read for them: damage, and no samples where it went without."""
    simple = runs.averages(asked, stretches, gaps, now, reader.remembered)
    others = [one for one, averages in zip(asked, simple, strict=True) if averages is None]
    left = iter(zip(others, reader.settle_all(others), strict=True))
    answers: list[tuple[Averages, Found]] = []
    for averages in simple:
        if averages is not None:
            answers.append((averages, NOTHING_TOLD))
        else:
            one, found = next(left)
            answers.append((average_of(one, found, stretches, gaps, now), found))
    return answers


def average_of(
    one: Gathered, found: Found, stretches: Stretches, gaps: Sequence[GapFrame], now: int
) -> Averages:
    """The averages of one tag whose samples are read."""
    edges, samples = stretches.edges, found.samples
    since = int(samples.times[0]) if len(samples) else int(edges[0])
    covered = [
        Covered(block.first_time, block.integral or 0.0, block.good_ns + block.uncertain_ns, block.good_ns)
        for block in one.summed
    ]
    known = [
        (stretches.of(block.first_time, block.last_time), sums)
        for part in one.days
        for block, sums in part.recalled
    ]
    unknown = [max(int(edges[0]), low) for low, _ in found.damaged]
    unknown += [piece.first for piece in covered] + [stretch.first for stretch, _ in known]
    gaps = [gap for gap in gaps if gap.from_time < edges[-1] and max(gap.from_time, gap.to_time) >= since]
    knots = _knots(one.type, samples, unknown, gaps, now)
    return average.average(edges, knots, covered, known)


def _knots(
    type: ValueType,
    samples: Samples,
    unknown: Sequence[int],
    gaps: Sequence[GapFrame],
    now: int,
) -> Knots:
    """Samples, and where knowledge ends: at gaps, damaged blocks, blocks added up already, and now."""
    values, usable = usable_numbers(type, samples.values, samples.statuses)
    good = usable & ((samples.statuses & np.uint32(SEVERITY_MASK)) == 0)
    ends = [*unknown, *(gap.from_time for gap in gaps)]
    newest = int(samples.times[-1]) if len(samples) else now
    restored = [
        (gap.to_time, place)
        for gap in gaps
        if gap.kind in RESYNCED
        and not any(other.from_time < gap.to_time < other.to_time for other in gaps)
        and (place := int(samples.times.searchsorted(gap.to_time, "right")) - 1) >= 0
    ]
    over = max(now, newest)
    if not ends and not restored:
        return Knots(
            np.append(samples.times, over),
            np.append(values, 0.0),
            np.append(usable, False),
            np.append(good, False),
        )
    # Of knots of one time the last counts: a sample over the end of knowledge, but nothing over now.
    times = np.concatenate([np.array([*ends, *(at for at, _ in restored)], np.int64), samples.times, [over]])
    places = np.concatenate(
        [
            np.full(len(ends), _UNKNOWN),
            np.array([place for _, place in restored], np.int64),
            np.arange(len(samples)),
            [_UNKNOWN],
        ]
    )
    order = np.argsort(times, kind="stable")
    chosen = places[order]
    return Knots(
        times[order],
        np.append(values, 0.0)[chosen],
        np.append(usable, False)[chosen],
        np.append(good, False)[chosen],
    )
