"""Samples that a later write of the same tag and time replaced, and when it was taken. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from historian.store.blocks import Samples


class Kind(IntEnum):
    """How a sample came to be replaced: HistoryUpdateType of OPC 10000-11 6.8.3. The numbers are in files."""

    REPLACE = 2  # somebody corrected it
    UPDATE = 3  # a device or driver told the same time again, with another value or status


@dataclass(frozen=True, slots=True)
class Replaced:
    """Samples as they were, shape (n,), by time, then as written; ``modified``: when each was replaced."""

    samples: Samples
    modified: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.samples)


def replaced_in(writes: Samples, taken: NDArray[np.int64]) -> Replaced:
    """What of ``writes``, in the order they were written, was replaced by a later one that says something else.

    ``taken`` (n,) says when each was taken. What is written again as it was replaces nothing.
    """
    order = np.argsort(writes.times, kind="stable")
    older, newer = order[:-1], order[1:]
    is_same_time = writes.times[older] == writes.times[newer]
    older, newer = older[is_same_time], newer[is_same_time]
    differs = np.not_equal(writes.values[older], writes.values[newer]).astype(bool)
    differs |= writes.statuses[older] != writes.statuses[newer]
    older, newer = older[differs], newer[differs]
    return Replaced(writes[older], taken[newer])


def joined(pieces: list[Replaced]) -> Replaced:
    """All of them, by time, then by when they were replaced."""
    samples = Samples(
        np.concatenate([piece.samples.times for piece in pieces]),
        np.concatenate([piece.samples.values for piece in pieces]),
        np.concatenate([piece.samples.statuses for piece in pieces]),
    )
    modified = np.concatenate([piece.modified for piece in pieces])
    order: NDArray[Any] = np.lexsort((modified, samples.times))
    return Replaced(samples[order], modified[order])
