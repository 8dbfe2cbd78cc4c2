"""Pieces of one tag's history → its samples: of two samples of one time the higher sequence counts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.tags.tag import ValueType
from historian.query.days import DayView
from historian.query.stored import Stored
from historian.store.blocks import Samples, newest_of_each_time

Piece = tuple[int, Samples]  # sequence, samples in order of time


@dataclass(frozen=True, slots=True)
class Region:
    """A stretch [start, end) of a day in which blocks may overlap each other, and no block of another stretch."""

    start: int
    end: int
    blocks: tuple[Stored, ...]


def nothing(type: ValueType) -> Samples:
    """No samples."""
    values: NDArray[Any] = np.empty(0, object if type is ValueType.STRING else np.uint64)
    return Samples(np.empty(0, np.int64), values, np.empty(0, np.uint32))


def merge(pieces: Sequence[Piece], type: ValueType) -> Samples:
    """All pieces as one, in order of time, no time twice."""
    filled = sorted((piece for piece in pieces if len(piece[1])), key=lambda piece: piece[0])
    if not filled:
        return nothing(type)
    if len(filled) == 1:
        return filled[0][1]
    return newest_of_each_time(join([samples for _, samples in filled], type))


def join(runs: Sequence[Samples], type: ValueType) -> Samples:
    """One behind the other."""
    if not runs:
        return nothing(type)
    if len(runs) == 1:
        return runs[0]
    return Samples(
        np.concatenate([run.times for run in runs]),
        np.concatenate([run.values for run in runs]),
        np.concatenate([run.statuses for run in runs]),
    )


def cut(samples: Samples, start: int, end: int) -> Samples:
    """Those with start <= time < end."""
    low, high = np.searchsorted(samples.times, [start, end])
    return samples[int(low) : int(high)]


def cut_pieces(pieces: Sequence[Piece], start: int, end: int) -> list[Piece]:
    """`cut` for each; what is empty is left out."""
    found = ((sequence, cut(samples, start, end)) for sequence, samples in pieces)
    return [piece for piece in found if len(piece[1])]


def regions(blocks: Sequence[Stored], start: int, end: int) -> list[Region]:
    """[start, end) cut wherever no block reaches over; ``blocks`` come by first time. One region where none."""
    groups: list[list[Stored]] = []
    reach = 0
    for block in blocks:
        if groups and block.first_time <= reach:
            groups[-1].append(block)
            reach = max(reach, block.last_time)
        else:
            groups.append([block])
            reach = block.last_time
    if not groups:
        return [Region(start, end, ())]
    starts = [start, *(max(start, group[0].first_time) for group in groups[1:])]
    return [
        Region(low, high, tuple(group))
        for low, high, group in zip(starts, [*starts[1:], end], groups, strict=True)
    ]


def read_region(
    view: DayView | None, region: Region, tail: Sequence[Piece], type: ValueType
) -> tuple[Samples, list[Stored]]:
    """The samples of a region, and those of its blocks that could not be read."""
    pieces: list[Piece] = []
    damaged: list[Stored] = []
    for block in region.blocks:
        assert view is not None, "blocks come from a view"
        samples = view.samples(block, type)
        if samples is None:
            damaged.append(block)
        else:
            pieces.append((block.sequence, samples))
    # Rows of a segment that is moved but still there are the same as in its block: which one counts is all one.
    merged = merge([*pieces, *tail], type)
    return cut(merged, region.start, region.end), damaged
