"""How long a loop that takes batches rests between them: not at all, unless they take more than their share."""

from __future__ import annotations

from dataclasses import dataclass

REST = (
    3.0  # times what a batch took: batches have a quarter of a core at most, and the reading thread some more
)
LEAST_REST_S = (
    0.001  # event loops know no shorter times; what is owed less than this is left to the pauses of the bus
)
MOST_REST_S = 0.01  # a frame is late by no more than this because of what came before it


@dataclass(slots=True)
class Pace:
    """Rest is owed for work, and paid by whatever time passes without any. Times are of one monotonic clock."""

    at_s: float
    owed_s: float = 0.0

    def rest_s(self, worked_s: float, now_s: float) -> float:
        """After a batch that took ``worked_s`` of CPU and ended at ``now_s``: how long to wait for the next; or 0."""
        idle_s = max(now_s - self.at_s - worked_s, 0.0)
        self.at_s = now_s
        self.owed_s = min(max(self.owed_s - idle_s, 0.0) + REST * worked_s, MOST_REST_S)
        return self.owed_s if self.owed_s >= LEAST_REST_S else 0.0
