"""Tags that their owner no longer refreshes: whatever their status says, they are not served as Good.

A driver marks its own tags when a device falls silent. This is for the driver that hangs or is stopped, until its
supervisor has found out. Age is reckoned on the steady clock from when a new receipt time was first seen, so that a
wall clock that jumps makes nothing stale.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gateway.config.site import Tag
from gateway.tags.image import Region
from gateway.tags.quality import SEVERITY_BAD, Quality
from gateway.tags.sample import Samples

LOOK_S = 0.5  # between two looks at the whole image, which takes 1 ms for 100,000 tags
GRACE_NS = 500_000_000  # beyond the tag's own limit: its driver speaks first


class Freshness:
    """How old every tag's present sample is. `look` regularly; `mark` what is about to be served."""

    def __init__(self, region: Region, tags: Sequence[Tag]) -> None:
        self._region = region
        self._limits = np.array([tag.stale_after_ms for tag in tags], np.int64) * 1_000_000 + GRACE_NS
        self._receipts = np.zeros(len(tags), np.int64)
        self._since = np.zeros(len(tags), np.int64)
        self._is_stale = np.zeros(len(tags), np.bool_)

    def follow(self, tags: Sequence[Tag]) -> None:
        """Go on with another site's tags; the region was refreshed."""
        self._limits = np.array([tag.stale_after_ms for tag in tags], np.int64) * 1_000_000 + GRACE_NS
        new = len(tags) - len(self._receipts)
        self._receipts = np.append(self._receipts, np.zeros(new, np.int64))
        self._since = np.append(self._since, np.full(new, self._since.max(initial=0)))
        self._is_stale = np.append(self._is_stale, np.zeros(new, np.bool_))

    def look(self, steady_ns: int) -> NDArray[np.uint32]:
        """Look at all tags at this steady time; returns those that have gone stale since the last look."""
        samples = self._region.read()
        is_new = samples["receipt_time"] != self._receipts
        self._receipts[is_new] = samples["receipt_time"][is_new]
        self._since[is_new] = steady_ns
        is_bad = (samples["status"] & SEVERITY_BAD) != 0
        is_stale = (steady_ns - self._since > self._limits) & ~is_bad
        gone: NDArray[np.uint32] = np.flatnonzero(is_stale & ~self._is_stale).astype(np.uint32)
        self._is_stale = is_stale
        return gone

    def mark(self, samples: Samples, now_ns: int) -> None:
        """Give samples just read that are stale Bad_NoCommunication from now on; their values stay."""
        tags = samples["tag"]
        is_stale = self._is_stale[tags] & (samples["receipt_time"] == self._receipts[tags])
        if is_stale.any():
            samples["status"][is_stale] = Quality.BAD_NO_COMMUNICATION
            samples["source_time"][is_stale] = now_ns
            samples["receipt_time"][is_stale] = now_ns
