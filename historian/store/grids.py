"""Samples of many tags → blocks, tags that share their times at once (docs/formats/history.md, "Day file"). Pure.

A poll group is read together, so its tags have the same times: their values are a grid, tags by times, and what one
tag costs is what pcodec takes for it. Each block comes out as `blocks.build` makes it of that tag alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.tags.quality import SEVERITY_BAD, SEVERITY_MASK
from gateway.tags.sample import from_bits
from gateway.tags.tag import ValueType
from historian.store import blocks, columns
from historian.store.blocks import MAX_BLOCK_SAMPLES, NS, Block, Samples, Summary

GRID_VALUES = 1 << 17  # 1 MiB a temporary array: a handful of them stay in the processor's cache
LEAST_ROWS = 4  # below, arranging a grid costs more than it saves


@dataclass(frozen=True, slots=True)
class Piece:
    """Samples of one tag, at least one, in ascending time; ``decimals`` as `columns.encode_values` takes it."""

    tag: int
    type: ValueType
    sequence: int
    samples: Samples
    decimals: int | None


def build(pieces: Iterable[Piece], effort: columns.Effort) -> list[Block]:
    """Blocks of all pieces, by tag and time."""
    found: list[Block] = []
    groups: dict[tuple[ValueType, bytes], list[Piece]] = {}
    for piece in pieces:
        if piece.type is ValueType.STRING or len(piece.samples) > MAX_BLOCK_SAMPLES:
            found += _alone(piece, effort)
        else:
            groups.setdefault((piece.type, piece.samples.times.tobytes()), []).append(piece)
    for (type, _), group in groups.items():
        for some in _portions(group):
            if len(some) < LEAST_ROWS:
                for piece in some:
                    found += _alone(piece, effort)
            else:
                found += _build_grid(type, some, effort)
    found.sort(key=lambda block: (block.tag, block.summary.first_time))
    return found


def _alone(piece: Piece, effort: columns.Effort) -> list[Block]:
    return blocks.build(piece.tag, piece.type, piece.sequence, piece.samples, piece.decimals, effort)


def _portions(group: list[Piece]) -> Iterator[list[Piece]]:
    step = max(1, GRID_VALUES // len(group[0].samples))
    for start in range(0, len(group), step):
        yield group[start : start + step]


def _build_grid(type: ValueType, pieces: list[Piece], effort: columns.Effort) -> Iterator[Block]:
    times = pieces[0].samples.times
    values = np.stack([piece.samples.values for piece in pieces])
    statuses = np.stack([piece.samples.statuses for piece in pieces])
    encoded = columns.encode_grid(type, values, [piece.decimals for piece in pieces], effort)
    summaries = summarise(type, times, values, statuses)
    with_status = np.any(statuses, axis=1)
    for row, (piece, summary, column) in enumerate(zip(pieces, summaries, encoded, strict=True)):
        quality = columns.encode_statuses(statuses[row]) if with_status[row] else None
        yield Block(piece.tag, piece.sequence, times, summary, column, quality)


def summarise(
    type: ValueType, times: NDArray[np.int64], values: NDArray[np.uint64], statuses: NDArray[np.uint32]
) -> list[Summary]:
    """`blocks.summarise` of each row of a grid of numbers, shape (tags, times)."""
    held = np.diff(times)
    span = int(times[-1] - times[0])
    own = from_bits(values.ravel(), type).reshape(values.shape)
    numbers = own.astype(np.float64)
    usable = np.isfinite(numbers)
    if statuses.any():
        usable &= (statuses & np.uint32(SEVERITY_BAD)) == 0
        good = usable & ((statuses & np.uint32(SEVERITY_MASK)) == 0)
    else:
        good = usable
    rows = len(values)
    if bool(usable.all()):
        counts = np.full(rows, len(times))
        usable_ns = np.full(rows, span)
    else:
        numbers = np.where(usable, numbers, 0.0)
        counts = usable.sum(axis=1)
        usable_ns = np.where(usable[:, :-1], held, 0).sum(axis=1)
    good_ns: NDArray[np.int64] = usable_ns if good is usable else np.where(good[:, :-1], held, 0).sum(axis=1)
    with np.errstate(over="ignore", invalid="ignore"):
        totals = numbers.sum(axis=1)
        integrals = (numbers[:, :-1] * (held * NS)).sum(axis=1)
    words = values.view(np.int64)
    every = np.arange(rows)
    least, greatest = _extremes(own, usable)
    return [
        Summary(
            first_time=int(times[0]),
            last_time=int(times[-1]),
            count=len(times),
            first=first,
            last=last,
            first_status=first_status,
            last_status=last_status,
            usable=count,
            minimum=minimum if count else None,
            maximum=maximum if count else None,
            sum=total,
            integral=integral,
            good_ns=good_for,
            uncertain_ns=usable_for - good_for,
            bad_ns=span - usable_for,
        )
        for (
            first,
            last,
            first_status,
            last_status,
            count,
            minimum,
            maximum,
            total,
            integral,
            good_for,
            usable_for,
        ) in zip(
            words[:, 0].tolist(),
            words[:, -1].tolist(),
            statuses[:, 0].tolist(),
            statuses[:, -1].tolist(),
            counts.tolist(),
            words[every, least].tolist(),
            words[every, greatest].tolist(),
            totals.tolist(),
            integrals.tolist(),
            good_ns.tolist(),
            usable_ns.tolist(),
            strict=True,
        )
    ]


def _extremes(numbers: NDArray[Any], usable: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Places of the least and greatest usable number of each row; any place where none is usable."""
    if bool(usable.all()):
        return numbers.argmin(axis=1), numbers.argmax(axis=1)
    # The first usable number stands in for those that are not: it can be no more extreme than the extreme.
    first = usable.argmax(axis=1)
    standing_in = numbers[np.arange(len(numbers)), first][:, None]
    filled = np.where(usable, numbers, standing_in)
    least, greatest = filled.argmin(axis=1), filled.argmax(axis=1)
    every = np.arange(len(numbers))
    return np.where(usable[every, least], least, first), np.where(usable[every, greatest], greatest, first)
