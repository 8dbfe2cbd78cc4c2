"""The plant that is measured: slowly varying analogs rounded to a sensible resolution, steps, counters, booleans."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.tags.tag import ValueType

SECOND = 10**9
KINDS = (ValueType.DOUBLE, ValueType.DOUBLE, ValueType.DOUBLE, ValueType.INT64, ValueType.BOOL)
SEED = 1


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples in the order of a poll, shape (n,); ``values`` as doubles, which hold all of them exactly."""

    tags: NDArray[np.uint32]
    times: NDArray[np.int64]
    values: NDArray[np.float64]
    bits: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.tags)


@dataclass(frozen=True, slots=True)
class Plant:
    """``slow`` tags at 1 Hz and ``fast`` ones at 10 Hz from ``start`` on; a batch each ``step`` seconds."""

    slow: int
    fast: int
    seconds: int
    start: int
    step: int = 1

    @property
    def end(self) -> int:
        return self.start + self.seconds * SECOND

    @property
    def tags(self) -> int:
        return self.slow + self.fast

    @property
    def samples(self) -> int:
        return (self.slow + 10 * self.fast) * self.seconds

    def kind(self, tag: int) -> ValueType:
        return KINDS[tag % len(KINDS)] if tag < self.slow else ValueType.DOUBLE

    def batches(self) -> Iterator[Batch]:
        """The same each time it is asked."""
        chance = np.random.default_rng(SEED)
        slow = np.arange(self.slow, dtype=np.uint32)
        fast = np.arange(self.slow, self.tags, dtype=np.uint32)
        tags = np.concatenate([np.tile(slow, self.step), np.tile(fast, 10 * self.step)])
        whole = np.isin(tags % len(KINDS), (3, 4)) & (tags < self.slow)
        level = chance.uniform(20, 400, self.slow)
        steps = chance.integers(0, 20, self.slow).astype(np.float64)
        counters = np.zeros(self.slow)
        switches = np.zeros(self.slow)
        quick = chance.uniform(0, 100, self.fast)
        for second in range(0, self.seconds, self.step):
            rows = []
            for _ in range(self.step):
                level += chance.normal(0, 0.3, self.slow)
                changed = chance.random(self.slow) < 0.01
                steps[changed] = chance.integers(0, 20, int(changed.sum()))
                counters += chance.integers(0, 5, self.slow)
                switches = np.abs(switches - (chance.random(self.slow) < 0.002))
                rows.append(
                    np.choose(slow % 5, [np.round(level, 1), np.round(level, 2), steps, counters, switches])
                )
            path = quick + np.cumsum(chance.normal(0, 0.5, (10 * self.step, self.fast)), axis=0)
            quick = path[-1] if self.fast else quick
            values = np.concatenate([*rows, np.round(path, 2).ravel()])
            bits = values.view(np.uint64).copy()
            bits[whole] = values[whole].astype(np.uint64)
            at = self.start + second * SECOND
            times = np.concatenate(
                [
                    at + np.repeat(np.arange(self.step) * SECOND, self.slow),
                    at + np.repeat(np.arange(10 * self.step) * SECOND // 10, self.fast),
                ]
            )
            yield Batch(tags, times, values, bits)
