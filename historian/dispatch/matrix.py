"""A mixed-integer linear program as it grows: columns, rows, and which limits have a name.

minimise  cost · x + offset   so that  row_lower ≤ A x ≤ row_upper,  lower ≤ x ≤ upper,  x integer where so marked
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from historian.dispatch.model import Floats

Index = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Family:
    """Rows or limits that a person would call one constraint."""

    asset: str
    words: str
    unit: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of columns that belong to a family: bounds to the solver, rows where a conflict is looked for."""

    family: Family
    columns: Index
    lower: Floats
    upper: Floats
    steps: Index


@dataclass(frozen=True, slots=True)
class Rows:
    family: Family | None
    first: int
    steps: Index


@dataclass(frozen=True, slots=True)
class Block:
    """Columns or rows that were made together."""

    part: str
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Program:
    """The arrays as the solver takes them, A by columns (CSC)."""

    cost: Floats
    lower: Floats
    upper: Floats
    row_lower: Floats
    row_upper: Floats
    starts: Index
    rows: Index
    values: Floats
    integer: NDArray[np.bool_]
    offset: float


def _filled(value: float | Floats, count: int) -> Floats:
    return np.broadcast_to(np.asarray(value, dtype=np.float64), (count,)).copy()


@dataclass(slots=True)
class Matrix:
    offset: float = 0.0
    limits: list[Limits] = field(default_factory=list)
    named: list[Rows] = field(default_factory=list)
    _columns: list[tuple[Floats, Floats, Floats, NDArray[np.bool_]]] = field(default_factory=list)
    _rows: list[tuple[Floats, Floats]] = field(default_factory=list)
    _entries: list[tuple[Index, Index, Floats]] = field(default_factory=list)
    column_count: int = 0
    row_count: int = 0
    part: str = ""
    """Of the site, whose columns and rows are made now."""
    column_blocks: list[Block] = field(default_factory=list)
    row_blocks: list[Block] = field(default_factory=list)

    def columns(
        self,
        count: int,
        lower: float | Floats = 0.0,
        upper: float | Floats = np.inf,
        cost: float | Floats = 0.0,
        integer: bool = False,
    ) -> Index:
        self._columns.append(
            (_filled(lower, count), _filled(upper, count), _filled(cost, count), np.full(count, integer))
        )
        self.column_blocks.append(Block(self.part, self.column_count, count))
        self.column_count += count
        return np.arange(self.column_count - count, self.column_count, dtype=np.int32)

    def limit(
        self,
        columns: Index,
        lower: float | Floats,
        upper: float | Floats,
        family: Family,
        steps: Index | None = None,
    ) -> None:
        count = len(columns)
        steps = np.arange(count, dtype=np.int32) if steps is None else steps
        self.limits.append(Limits(family, columns, _filled(lower, count), _filled(upper, count), steps))

    def rows(
        self,
        lower: float | Floats,
        upper: float | Floats,
        count: int,
        family: Family | None = None,
        steps: Index | None = None,
    ) -> Index:
        self._rows.append((_filled(lower, count), _filled(upper, count)))
        steps = np.arange(count, dtype=np.int32) if steps is None else steps
        self.named.append(Rows(family, self.row_count, steps))
        self.row_blocks.append(Block(self.part, self.row_count, count))
        self.row_count += count
        return np.arange(self.row_count - count, self.row_count, dtype=np.int32)

    def add(self, rows: Index, columns: Index, values: float | Floats) -> None:
        """Entries of A; the three are as long as each other, or one value serves all. No place is given twice."""
        rows, columns = np.broadcast_arrays(rows, columns)
        self._entries.append((rows.ravel(), columns.ravel(), _filled(values, rows.size)))

    def program(self) -> Program:
        lower, upper, cost, integer = (np.concatenate(parts) for parts in zip(*self._columns, strict=True))
        for limits in self.limits:
            lower[limits.columns] = np.maximum(lower[limits.columns], limits.lower)
            upper[limits.columns] = np.minimum(upper[limits.columns], limits.upper)
        row_lower, row_upper = (np.concatenate(parts) for parts in zip(*self._rows, strict=True))
        rows, columns, values = (np.concatenate(parts) for parts in zip(*self._entries, strict=True))
        order = np.lexsort((rows, columns))
        starts = np.zeros(self.column_count + 1, dtype=np.int32)
        np.cumsum(np.bincount(columns, minlength=self.column_count), out=starts[1:])
        return Program(
            *(cost, lower, upper, row_lower, row_upper, starts),
            *(rows[order].astype(np.int32), values[order], integer, self.offset),
        )

    def copy(self) -> Matrix:
        """Another that grows by itself; the arrays are shared, as none is written to."""
        return Matrix(
            *(self.offset, list(self.limits), list(self.named), list(self._columns), list(self._rows)),
            *(list(self._entries), self.column_count, self.row_count, self.part),
            *(list(self.column_blocks), list(self.row_blocks)),
        )
