"""How long to wait before a part that ended is started again."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

FIRST_S = 0.25  # the first restart is nearly at once: most ends are accidents
LONGEST_S = 30.0  # a part that never lives must not take the processor from those that do
GROWTH = 2.0
JITTER = 0.2  # parts that fell together do not all start together
LIVED_S = 30.0  # a part that lived so long was well: its count begins anew


@dataclass(slots=True)
class BackOff:
    """Waits that double with each short life, up to a limit."""

    random: random.Random = field(default_factory=random.Random)
    _short_lives: int = 0

    def after(self, lived_s: float) -> float:
        """Seconds to wait after a life of ``lived_s``."""
        if lived_s >= LIVED_S:
            self._short_lives = 0
        wait = min(FIRST_S * GROWTH**self._short_lives, LONGEST_S)
        if wait < LONGEST_S:  # beyond the limit there is nothing to count
            self._short_lives += 1
        return wait * self.random.uniform(1 - JITTER, 1 + JITTER)
