"""Fewer samples of a tag, within a stated deviation: by exception (a deadband) and compression (a swinging door).

Exception: a sample counts when it differs from the last that counted by more than ``exception``, or ``quiet_ns``
after it; then the sample right before it counts too, so that a sloped line starts where the change did.
Compression: of those that count, one is kept when the line from the last kept one to the newest would miss one in
between by more than ``compression``, or ``longest_ns`` after it.

What is dropped lies within a bound of what is read back:

    held (stepped)      exception                     the value that holds is the last that counted
    sloped              compression + 2 * exception   a line between two that count runs within `exception` of the
                                                      first, and so does what is between them: 2 * exception apart;
                                                      the line that is kept misses that line by `compression`

for samples that come in order of time. Whatever is not Good, or differs in status from the one before, is kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.config.deviation import Deviation

EXACT = 2.0**53  # from here on a double skips whole numbers: those are all kept


class Point(NamedTuple):  # a dataclass that cannot be changed takes four times as long to make
    """A sample as the filter sees it: ``number`` to compare with, ``bits`` to keep; it came in slice ``origin``."""

    time: int
    number: float
    status: int
    bits: int
    origin: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether it may be dropped at all."""
        return self.status == 0 and abs(self.number) < EXACT  # false of NaN too


NONE: Sequence[Point] = ()


@dataclass(slots=True)
class Filter:
    """One tag's. `push` what comes, keep what comes back; what is `held` is in nobody's hands but its own.

    ``anchor`` is the last kept sample, where the lines start; ``counted`` the last that exception let pass, ``quiet``
    the newest that it did not; ``candidate`` the newest that compression has not decided on.
    """

    deviation: Deviation
    newest: Point | None = None
    anchor: Point | None = None
    counted: Point | None = None
    quiet: Point | None = None
    candidate: Point | None = None
    _low: float = field(default=-math.inf)
    _high: float = field(default=math.inf)

    @property
    def is_holding(self) -> bool:
        """Whether something is neither kept nor dropped yet."""
        return self.quiet is not None or self.candidate is not None

    def resume(self, last: Point) -> None:
        """Go on after the last kept sample, with nothing known of what came since."""
        self.newest = last
        self._start(last)

    def push(self, point: Point) -> Sequence[Point]:
        """Take the next sample; what is to be kept, in order, of it and those before it."""
        before = self.newest
        if before is not None and point.time <= before.time:
            # Late, or a correction: kept as it is. The lines end before it, so that it bends none that is still open.
            return [*self.release(), point]
        self.newest = point
        if before is None or not point.is_plain or point.status != before.status or self.anchor is None:
            kept = [*self.release(), point]
            self._start(point)
            return kept
        counted = self.counted
        assert counted is not None, "there is one wherever there is an anchor"
        deviation = self.deviation
        is_change = abs(point.number - counted.number) > deviation.exception
        if not is_change and deviation.exception and point.time - counted.time < deviation.quiet_ns:
            self.quiet = point
            return NONE
        quiet, self.quiet = self.quiet, None
        self.counted = point
        if is_change and quiet is not None:
            return [*self._compress(quiet), *self._compress(point)]
        return self._compress(point)

    def release(self) -> list[Point]:
        """Decide now: what is held is kept, as the end of the lines so far."""
        kept: list[Point] = []
        if self.quiet is not None:
            quiet, self.quiet = self.quiet, None
            self.counted = quiet
            kept += self._compress(quiet)
        if self.candidate is not None:
            kept.append(self.candidate)
            self._start(self.candidate)
        return kept

    def _start(self, point: Point) -> None:
        self.anchor = self.counted = point if point.is_plain else None
        self.quiet = self.candidate = None
        self._low, self._high = -math.inf, math.inf

    def _compress(self, point: Point) -> Sequence[Point]:
        """What compression decides to keep once it sees a sample that counts."""
        deviation = self.deviation
        if not deviation.compression:
            self._open(point)
            return [point]
        kept: Sequence[Point] = NONE
        anchor = self.anchor
        assert anchor is not None, "there is one wherever something counts"
        lasted = point.time - anchor.time
        slope = (point.number - anchor.number) / lasted
        if self.candidate is not None and not (
            self._low <= slope <= self._high and lasted <= deviation.longest_ns
        ):
            anchor = self.candidate
            kept = (anchor,)
            self._open(anchor)
            lasted = point.time - anchor.time
        rise, reach = point.number - anchor.number, deviation.compression
        self._low = max(self._low, (rise - reach) / lasted)
        self._high = min(self._high, (rise + reach) / lasted)
        self.candidate = point
        return kept

    def _open(self, anchor: Point) -> None:
        """A new door."""
        self.anchor = anchor
        self.candidate = None
        self._low, self._high = -math.inf, math.inf
