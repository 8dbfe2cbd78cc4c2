"""The intervals of a question, forwards or backwards in time (OPC 10000-13, 5.4.2.2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_INTERVALS = 1_000_000  # eleven days by the second; more belongs in several questions
EARLIEST, LATEST = -(2**62), 2**62


@dataclass(frozen=True, slots=True)
class Intervals:
    """Intervals between ``edges`` (ascending, UTC ns): [low, high), and where time flows backwards (low, high].

    Answers come in the order of that flow; here everything ascends.
    """

    edges: NDArray[np.int64]
    is_backwards: bool

    def __len__(self) -> int:
        return len(self.edges) - 1

    @property
    def low(self) -> NDArray[np.int64]:
        return self.edges[:-1]

    @property
    def high(self) -> NDArray[np.int64]:
        return self.edges[1:]

    @property
    def starts(self) -> NDArray[np.int64]:
        """Where each begins in the flow of time: its time in the answer."""
        return self.high if self.is_backwards else self.low

    def of(self, times: NDArray[np.int64]) -> NDArray[np.intp]:
        """The interval that each time lies in; -1 or the number of intervals where it lies outside."""
        side = np.searchsorted(self.edges, times, "left" if self.is_backwards else "right")
        return side - 1

    def halves(self) -> tuple[Intervals, Intervals]:
        """The first and the second half in the flow of time, of at least two."""
        middle = len(self) // 2
        low = Intervals(self.edges[: middle + 1], self.is_backwards)
        high = Intervals(self.edges[middle:], self.is_backwards)
        return (high, low) if self.is_backwards else (low, high)

    def in_flow(self) -> slice:
        """Picks rows in the order of the flow."""
        return slice(None, None, -1) if self.is_backwards else slice(None)


def intervals(start: int, end: int, length: int) -> Intervals:
    """From ``start`` to ``end``, each ``length`` ns but the last, which may be shorter; 0: one. Raises ValueError."""
    if start == end:
        raise ValueError("start and end are the same time: there is no interval between them")
    if not EARLIEST < min(start, end) < max(start, end) < LATEST:
        raise ValueError("the times lie outside 1823..2116")
    if length < 0:
        raise ValueError("an interval cannot be shorter than nothing")
    span = abs(end - start)
    length = min(length or span, span)
    count = -(-span // length)
    if count > MAX_INTERVALS:
        raise ValueError(f"{count} intervals are more than {MAX_INTERVALS}")
    steps = length * np.arange(count, dtype=np.int64)
    if start < end:
        return Intervals(np.append(start + steps, end), False)
    return Intervals(np.append(start - steps, end)[::-1].copy(), True)
