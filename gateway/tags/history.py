"""What a server may ask of history, without knowing who keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gateway.tags.aggregate import Aggregate, AggregateConfiguration, Processed
from gateway.tags.tag import ValueType


@dataclass(frozen=True, slots=True)
class Series:
    """Samples of one tag in order of source time; all arrays have shape (n,).

    ``values`` is bool, int64, uint64, float64, or object (str) by ``type``. Times are UTC ns. Arrays may be shared:
    copy them before writing into them. ``damaged`` are spans [from, to) of what was asked for in which samples may be
    missing, as what holds them cannot be read.
    """

    type: ValueType
    source_times: NDArray[np.int64]
    values: NDArray[Any]
    statuses: NDArray[np.uint32]
    damaged: tuple[tuple[int, int], ...] = ()

    def __len__(self) -> int:
        return len(self.source_times)


@dataclass(frozen=True, slots=True)
class Modified:
    """Samples that a later write of the same time replaced, by source time, then by when.

    ``modified`` (n,) says when, UTC ns; ``kinds`` (n,) how, by HistoryUpdateType (OPC 10000-11): 2 Replace, 3 Update.
    """

    series: Series
    modified: NDArray[np.int64]
    kinds: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.series)


class HistorySource(Protocol):
    """Blocking reads of history; call them off the event loop."""

    def raw(
        self, tag: str, start_ns: int, end_ns: int, *, limit: int | None = None, newest_first: bool = False
    ) -> Series:
        """Samples with start_ns <= source time < end_ns, at most ``limit``. KeyError: tag never stored."""
        ...

    def aggregate(
        self,
        tag: str,
        aggregate: Aggregate,
        start_ns: int,
        end_ns: int,
        interval_ns: int,
        configuration: AggregateConfiguration,
    ) -> Processed:
        """An aggregate over each interval; 0: one; backwards where the end lies first. KeyError, ValueError."""
        ...

    def at_time(
        self,
        tag: str,
        times_ns: NDArray[np.int64],
        configuration: AggregateConfiguration,
        *,
        use_simple_bounds: bool,
    ) -> Processed:
        """What a tag was at each time, in the order asked. KeyError, ValueError."""
        ...

    def modified(self, tag: str, start_ns: int, end_ns: int) -> Modified:
        """Samples with start_ns <= source time < end_ns that a later write replaced. KeyError."""
        ...
