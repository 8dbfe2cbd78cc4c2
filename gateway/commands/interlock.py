"""Interlocks: what must be true of the site before a command goes, judged over one slice of the image."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gateway.config.condition import UndefinedError
from gateway.config.control import Interlock
from gateway.config.site import Tag
from gateway.tags.image import Region
from gateway.tags.quality import is_good
from gateway.tags.sample import Samples, Value, value_from_bits

LOOK_S = 0.25  # how often ages are looked at: what it may take longer to see that a tag has gone stale
SLICE_TRIES = 1000  # of a few microseconds each, for a read that nobody wrote into


class Interlocks:
    """`run` it, so that what is no longer refreshed is known."""

    def __init__(
        self, interlocks: Sequence[Interlock], tags: Sequence[Tag], region: Region, now_s: float
    ) -> None:
        """``now_s`` is the steady clock's time, from which ages count."""
        self._tags = tags
        self._region = region
        self._of_point: dict[int, list[Interlock]] = {}
        for interlock in interlocks:
            for point in interlock.points:
                self._of_point.setdefault(point, []).append(interlock)
        named = sorted({tag for interlock in interlocks for tag in interlock.allow.tags})
        self._places = {tag: place for place, tag in enumerate(named)}
        self._read_tags: NDArray[np.uint32] = np.array(named, np.uint32)
        self._limits_s = np.array([tags[tag].stale_after_ms for tag in named], np.float64) / 1000
        self._receipts = np.zeros(len(named), np.int64)
        self._since_s = np.full(len(named), now_s)

    async def run(self) -> None:
        """Until cancelled: look at how old the tags are."""
        loop = asyncio.get_running_loop()
        while True:
            if len(self._read_tags):
                self._look(loop.time())
            await asyncio.sleep(LOOK_S)

    def why_not(self, point: int, value: Value, now_s: float) -> str | None:
        """Why ``value`` may not go to the point now; None where nothing stops it."""
        interlocks = [
            interlock
            for interlock in self._of_point.get(point, ())
            if interlock.value is None or interlock.value == value
        ]
        if not interlocks:
            return None
        rows = self._look(now_s) if len(self._read_tags) else None
        for interlock in interlocks:
            values: list[Value] = []
            for tag in interlock.allow.tags:
                assert rows is not None
                place = self._places[tag]
                if not is_good(int(rows["status"][place])):
                    return f"{interlock.message} (interlock {interlock.name}: {self._tags[tag].name} is not Good)"
                if now_s - self._since_s[place] > self._limits_s[place] + LOOK_S:
                    return (
                        f"{interlock.message} (interlock {interlock.name}: {self._tags[tag].name} is stale)"
                    )
                values.append(value_from_bits(int(rows["value"][place]), self._region.type_of(tag)))
            try:
                if not interlock.allow.holds(values, value):
                    return f"{interlock.message} (interlock {interlock.name})"
            except UndefinedError as error:
                return f"{interlock.message} (interlock {interlock.name} has no value: {error})"
        return None

    def _look(self, now_s: float) -> Samples:
        """All tags that interlocks name, at one moment: read again where somebody wrote meanwhile."""
        for _ in range(SLICE_TRIES):
            bell = self._region.bell()
            rows = self._region.read(self._read_tags)
            if self._region.bell() == bell:
                break
        is_new = rows["receipt_time"] != self._receipts
        self._since_s[is_new] = now_s
        self._receipts = rows["receipt_time"].copy()
        return rows
