"""Columns → arrays for many blocks at once: times that blocks share are decoded once, values on several cores."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gateway.tags.tag import ValueType
from historian.errors import DamagedColumn
from historian.query.stored import Packed
from historian.store import columns
from historian.store.blocks import MAX_BLOCK_SAMPLES, Samples

MAX_KEPT_TIMES = 256  # arrays; of full blocks they take 32 MiB
MAX_WORKERS = 4  # what reads history beside a gateway must leave it cores
WORTH_SHARING = 60_000  # samples: decoding them takes half a millisecond, handing some to a thread 50 µs

Times = NDArray[np.int64] | DamagedColumn
_GOOD = np.zeros(MAX_BLOCK_SAMPLES, np.uint32)
_GOOD.flags.writeable = False

Item = TypeVar("Item")
Result = TypeVar("Result")


class SharedTimes:
    """Columns of times that were decoded, by their bytes: whatever says the same is the same."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, NDArray[np.int64]] = OrderedDict()

    def decode(self, column: bytes) -> Times:
        """The array, which is shared and so read-only, or why it cannot be read."""
        known = self._known.get(column)
        if known is not None:
            self._known.move_to_end(column)
            return known
        try:
            times = columns.decode_times(column)
        except DamagedColumn as damage:
            return damage
        times.flags.writeable = False
        self._known[column] = times
        if len(self._known) > MAX_KEPT_TIMES:
            self._known.popitem(last=False)
        return times


class Crew:
    """Threads that decode: the libraries below let go of the interpreter while they work."""

    def __init__(self) -> None:
        self._workers = min(MAX_WORKERS, os.cpu_count() or 1)
        self._pool: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """End the threads; the next large question starts them again."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def share(
        self, work: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item], samples: int
    ) -> list[Result]:
        """``work`` of all items in order, in several threads where so many samples are worth it."""
        if self._workers < 2 or len(items) < 2 or samples < WORTH_SHARING:
            return work(items)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._workers - 1, "history-decoding")
        share = -(-len(items) // self._workers)
        others = [
            self._pool.submit(work, items[start : start + share]) for start in range(share, len(items), share)
        ]
        return work(items[:share]) + [result for other in others for result in other.result()]


def decode(packed: Packed, times: Times | None, type: ValueType) -> Samples:
    """The samples of a block. Raises DamagedColumn."""
    if not isinstance(times, np.ndarray):
        raise times or DamagedColumn("its times are missing")
    size = packed.block.size
    values = columns.decode_values(type, packed.value_data)
    if not len(times) == len(values) == size:
        raise DamagedColumn(f"{len(times)} times and {len(values)} values for {size} samples")
    quality = packed.quality_data
    return Samples(
        times, values, all_good(size) if quality is None else columns.decode_statuses(quality, size)
    )


def all_good(count: int) -> NDArray[np.uint32]:
    """StatusCodes of samples that are all Good, read-only."""
    return _GOOD[:count] if count <= len(_GOOD) else np.zeros(count, np.uint32)
