"""What an open history remembers of day files, by their editions, so that asking again decodes nothing again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from historian.errors import DamagedBlock
from historian.query.decoding import SharedTimes
from historian.query.memory import Memory
from historian.query.stored import Stored
from historian.store.blocks import Samples

MAX_KEPT_ROWS = 1 << 15  # of blocks, some 600 bytes each; several parts of a site have a history open
MAX_TIMES_BYTES = 8 << 20
MAX_SAMPLES_BYTES = 32 << 20  # of decoded blocks: 1.6 million samples, or 19 days of a tag at 1 Hz
MAX_SUMS_BYTES = 16 << 20  # by interval: what 5,000 tags say of four hours by the minute
BYTES_A_SAMPLE = 20  # at most: its time, if no other tag has the same times, its value and StatusCode
BYTES_AN_ARRAY = 250  # besides what is in it, with its key

Report = Callable[[DamagedBlock], None]
Times = NDArray[np.int64]
Grid = tuple[int, int, int, int]  # the intervals of a stretch: first edge, step, count, last edge
NO_GRID: Grid = (0, 0, 0, 0)  # of no interval: there are no sums of it


class Remembered:
    """By edition and id: rows of blocks, times, samples and sums; and to whom damage is told.

    An edition of a file never changes, so nothing here is ever wrong: it is forgotten when it is not asked for.
    """

    def __init__(self, report: Report) -> None:
        self.report = report
        self.shared = SharedTimes()
        self._rows: dict[int, dict[int, tuple[Stored, ...]]] = {}
        self._rows_kept = 0
        self.times: Memory[tuple[int, int], Times] = Memory(MAX_TIMES_BYTES)
        self._samples: Memory[tuple[int, int], Samples] = Memory(MAX_SAMPLES_BYTES)
        self._sums: Memory[tuple[int, int, Grid], NDArray[np.float64]] = Memory(MAX_SUMS_BYTES)

    def rows_of(self, edition: int) -> Mapping[int, tuple[Stored, ...]]:
        """All blocks of those tags of which they are known, by tag; each by first time."""
        return self._rows.get(edition, {})

    def keep_rows(self, edition: int, rows: Mapping[int, tuple[Stored, ...]]) -> None:
        """Remember all blocks of some tags."""
        self._rows_kept += sum(map(len, rows.values())) + len(rows)
        if self._rows_kept > MAX_KEPT_ROWS:
            self._rows.clear()
            self._rows_kept = sum(map(len, rows.values())) + len(rows)
        self._rows.setdefault(edition, {}).update(rows)

    def samples_of(self, block: Stored) -> Samples | None:
        """What is in a block, if it is known."""
        return self._samples.get((block.edition, block.id))

    def samples_of_many(self, blocks: Sequence[Stored]) -> list[Samples | None]:
        """`samples_of` each."""
        return self._samples.get_many([(block.edition, block.id) for block in blocks])

    def keep_samples(self, block: Stored, samples: Samples) -> None:
        """Remember what is in a block; its arrays are shared from now on, and so read-only."""
        samples.values.flags.writeable = False
        samples.statuses.flags.writeable = False
        size = BYTES_A_SAMPLE * len(samples) + 3 * BYTES_AN_ARRAY
        self._samples.put((block.edition, block.id), samples, size)

    def sums_of(self, asked: Sequence[tuple[int, int, Grid]]) -> list[NDArray[np.float64] | None]:
        """By edition, id and grid: values times seconds of blocks of which all is usable, where they are known."""
        return self._sums.get_many(asked)

    def keep_sums(self, blocks: Sequence[Stored], grid: Grid, sums: NDArray[np.float64]) -> None:
        """Remember the sums of blocks, shape (blocks, intervals)."""
        self._sums.put_many(
            [((block.edition, block.id, grid), own) for block, own in zip(blocks, sums, strict=True)],
            sums.nbytes // max(len(blocks), 1) + BYTES_AN_ARRAY,
        )

    def forget(self) -> None:
        """Everything."""
        self._rows.clear()
        self._rows_kept = 0
        for memory in (self.times, self._samples, self._sums):
            memory.clear()
