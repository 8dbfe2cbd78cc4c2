"""History for parts that do not know who keeps it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from gateway.tags.history import Series
from gateway.tags.tag import ValueType
from historian.errors import HistoryError
from historian.query import History

log = logging.getLogger(__name__)


def recall_from(directory: Path) -> Callable[[str, int, int], Series]:
    """Samples of a tag in [from, to); none where there is no history, or it cannot be read, which is logged."""
    history = History(directory)

    def recall(tag: str, start_ns: int, end_ns: int) -> Series:
        try:
            return history.raw(tag, start_ns, end_ns)
        except KeyError:
            pass
        except (HistoryError, OSError) as error:
            log.error("history of %s cannot be read: %s", tag, error)
        return Series(ValueType.DOUBLE, np.empty(0, np.int64), np.empty(0), np.empty(0, np.uint32))

    return recall
