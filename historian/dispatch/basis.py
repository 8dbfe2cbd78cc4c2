"""Where the simplex method ended, and where the next plan's begins: the same a step or more later.

A program has its columns and rows in blocks, most of them one a step, made by one part of the site after another.
Between two plans vehicles come and go, windows open and prices change; what is left is shifted, and what is new
stands at its lower limit. Such a basis need be neither whole nor feasible: HiGHS mends it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from historian.dispatch.axis import Axis
from historian.dispatch.matrix import Block, Matrix

Marks = NDArray[np.int8]
"""By HiGHS' numbers: 0 at the lower limit, 1 basic, 2 at the upper, 3 free at 0, 4 nonbasic."""
AT_LOWER, BASIC = 0, 1


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """Of a program that began at ``start``: marks by part, its blocks in their order."""

    start: datetime
    step: timedelta
    horizon: int
    columns: Mapping[str, tuple[Marks, ...]]
    rows: Mapping[str, tuple[Marks, ...]]


def basis_of(axis: Axis, matrix: Matrix, columns: Marks, rows: Marks) -> Basis:
    """From the marks of all columns and rows."""
    return Basis(
        *(axis.start, axis.step, axis.horizon),
        _by_part(matrix.column_blocks, columns),
        _by_part(matrix.row_blocks, rows),
    )


def shifted(basis: Basis | None, axis: Axis, matrix: Matrix) -> tuple[Marks, Marks] | None:
    """The marks of all columns and rows to begin from; None where the steps are others."""
    if basis is None or basis.step != axis.step:
        return None
    steps = (axis.start.astimezone(UTC) - basis.start.astimezone(UTC)) // axis.step
    if not 0 <= steps < basis.horizon:
        return None
    return (
        _on(matrix.column_blocks, basis.columns, basis.horizon, steps, AT_LOWER),
        _on(matrix.row_blocks, basis.rows, basis.horizon, steps, BASIC),
    )


def _by_part(blocks: Sequence[Block], marks: Marks) -> dict[str, tuple[Marks, ...]]:
    found: dict[str, tuple[Marks, ...]] = {}
    for block in blocks:
        found[block.part] = (*found.get(block.part, ()), marks[block.first : block.first + block.count])
    return found


def _on(
    blocks: Sequence[Block], before: Mapping[str, tuple[Marks, ...]], horizon: int, steps: int, new: int
) -> Marks:
    """``steps`` later: a block of all steps loses its first and holds its last, one of a window loses its first."""
    found = np.full(sum(block.count for block in blocks), new, dtype=np.int8)
    places: dict[str, int] = {}
    for block in blocks:
        place = places[block.part] = places.get(block.part, -1) + 1
        old = before.get(block.part, ())
        if place >= len(old):
            continue
        marks = old[place]
        if len(marks) == horizon:
            marks = np.concatenate((marks[steps:], np.repeat(marks[-1:], steps)))
        kept = marks[max(len(marks) - block.count, 0) :]
        found[block.first : block.first + len(kept)] = kept
    return found
