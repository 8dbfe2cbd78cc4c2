"""How history is as tags: ``_system.history.*``, owned by the root, told from what the historian says of itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gateway.config.system import HISTORY_NUMBERS, HISTORY_PREFIX, HISTORY_TEXTS, STATUS_TEXT_BYTES
from gateway.tags.image import Region, Writer
from gateway.tags.quality import Quality
from historian.store.recorder import Progress, read_progress

PERIOD_NS = 10 * 10**9  # sizes change slowly; the tags count as stale after 15 s
SILENCE_NS = 15 * 10**9  # the parts' health alone is a change each second


class HistoryTags:
    """Writes them through the root's writer, where the site has them."""

    def __init__(self, region: Region, writer: Writer, directory: Path) -> None:
        self._writer = writer
        self._directory = directory
        self._numbers = region.indexes_of(HISTORY_PREFIX + name for name in HISTORY_NUMBERS)
        self._texts = region.indexes_of(HISTORY_PREFIX + name for name in HISTORY_TEXTS)
        self._written_at = 0

    def write(self, now: int) -> None:
        """The state as it was last told: at once where history is not written or is again, else now and then."""
        if 0 <= now - self._written_at < PERIOD_NS:
            return
        progress = read_progress(self._directory)
        numbers, texts = values_of(progress, now)
        self._written_at = now if numbers[0] else 0
        status = Quality.GOOD if progress.taken_at else Quality.BAD_WAITING_FOR_INITIAL_DATA
        self._writer.write(self._numbers, numbers, status, now, now)
        self._writer.write_texts(self._texts, texts, status, now, now)


def values_of(progress: Progress, now: int) -> tuple[np.ndarray[tuple[int], np.dtype[np.uint64]], list[str]]:
    """Raw values of `HISTORY_NUMBERS`, and the `HISTORY_TEXTS`."""
    is_written = not progress.fault and now - progress.taken_at < SILENCE_NS
    fault = progress.fault or ("" if is_written else "the historian is silent")
    sizes = np.array([progress.size / 1e6, progress.free / 1e6]).view(np.uint64)
    numbers = np.array(
        [
            is_written,
            sizes[0],
            progress.days,
            sizes[1],
            progress.is_shedding,
            progress.quarantined,
            progress.clock_jumps,
        ],
        np.uint64,
    )
    return numbers, [progress.oldest, fault.encode()[:STATUS_TEXT_BYTES].decode("utf-8", "ignore")]
