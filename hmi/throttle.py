"""How often somebody may fail to sign in: a bucket of tries for each address and each user, refilled slowly.

A try is taken before the password is looked at and given back when it was right, so that many at once gain nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

TRIES = 5  # a forgotten Caps Lock and then some
REFILL_S = 30.0  # for one more try: leaves a guesser 2,880 a day
MAX_KEYS = 4_096  # addresses and users remembered; the one used longest ago is forgotten


@dataclass(slots=True)
class _Bucket:
    tries: float
    at: float  # when `tries` was true, s


class Throttle:
    """Buckets by key, filled to the brim when unknown."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._buckets: dict[str, _Bucket] = {}

    def take(self, keys: Sequence[str]) -> float:
        """Take one try from every key and answer 0, or take none and answer in how many seconds to try again."""
        now = self._now()
        buckets = [self._filled(key, now) for key in keys]
        wait_s = max((1.0 - bucket.tries) * REFILL_S for bucket in buckets)
        if wait_s > 0:
            return wait_s
        for bucket in buckets:
            bucket.tries -= 1.0
        return 0.0

    def give_back(self, keys: Sequence[str]) -> None:
        """The password was right: the try does not count."""
        for key in keys:
            bucket = self._filled(key, self._now())
            bucket.tries = min(bucket.tries + 1.0, TRIES)

    def _filled(self, key: str, now: float) -> _Bucket:
        bucket = self._buckets.pop(key, None) or _Bucket(TRIES, now)
        bucket.tries = min(bucket.tries + (now - bucket.at) / REFILL_S, TRIES)
        bucket.at = now
        self._buckets[key] = bucket  # at the end: last used
        if len(self._buckets) > MAX_KEYS:
            del self._buckets[next(iter(self._buckets))]
        return bucket
