"""Adaptive conformal calibration of quantiles, each lead and each tail by itself, as outcomes come in.

A quantile is moved outwards by as much as it takes to hold its share of the last outcomes of its lead (conformalized
quantile regression with both tails by themselves: Romano, Patterson & Candès 2019, theorem 2). That promises coverage
while errors are exchangeable; those of a load that changes its habits are not, so the share asked of the window is
itself steered by what was missed (Gibbs & Candès 2021, eq. 2): after a miss more is asked, after hits a little less.
In the long run the share missed is then the nominal one whatever the data do (ibid., proposition 4.1).

An outcome arrives a lead after its forecast: what counts as missed is the quantile that had been issued.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LEAST_SCORES: Final = 20  # a 5 % tail of fewer is less than one value
_QUIET: Final = 0.05  # of the mean floor: nights of a sun are easily covered, and would excuse its days


@dataclass(slots=True)
class _Issued:
    """One forecast whose outcomes are awaited: by lead, up to ``seen``."""

    step: int
    raw: Floats  # (horizon, quantiles)
    spread: Floats  # (horizon,)
    shifts: Floats  # (horizon, quantiles) that were added, in spreads
    seen: int = 0


@dataclass(frozen=True, slots=True)
class _Outcomes:
    """What came of some leads of a forecast."""

    issued: _Issued
    leads: slice
    values: Floats


class Calibrator:
    """Shifts of quantiles by lead, learned from outcomes in the order of time. Steps are numbers of the grid.

    ``window``: of how many forecasts the errors are remembered. ``rate``: how fast the asked share is steered (gamma
    of the paper); 0 is split-conformal calibration in a rolling window. Errors are measured in the model's own spread
    between its outer quantiles, at least in ``floor`` (steps of a day,), that of the time of day: a sun below the
    horizon is not missed by as much as one at noon, and where a model is unsure more is added. Times of day at which
    hardly anything can be missed teach nothing.
    """

    def __init__(
        self, quantiles: Sequence[float], horizon: int, window: int, rate: float, floor: Floats
    ) -> None:
        levels = np.asarray(quantiles, dtype=np.float64)
        self.rate, self.floor = rate, floor
        self._teaches = floor >= _QUIET * floor.mean()
        self._outwards = np.sign(levels - 0.5)  # 0: the median stays the model's
        self._middle = int(np.argmin(np.abs(levels - 0.5)))
        self._has_median = bool(abs(levels[self._middle] - 0.5) < 1e-9)
        self._tail = np.minimum(levels, 1 - levels)
        self.tails = np.tile(self._tail, (horizon, 1))  # asked now; nominal to begin with
        self._errors = np.full((window, horizon, len(levels)), np.nan, dtype=np.float32)
        self._written = np.zeros(horizon, dtype=np.intp)
        self._shifts: Floats | None = None
        self._issued: deque[_Issued] = deque()
        self.last_issue: int | None = None
        self._resolved: int | None = None

    def spread(self, step: int, raw: Floats) -> Floats:
        """In which the errors of a forecast issued at ``step`` are measured: (horizon,)."""
        floor = self.floor[(step + 1 + np.arange(len(raw))) % len(self.floor)]
        return np.maximum(raw[:, -1] - raw[:, 0], floor)

    def shifts(self) -> Floats:
        """What is added to each quantile now, in spreads: (horizon, quantiles). 0 where too few were known."""
        if self._shifts is None:
            count = np.minimum(self._written, len(self._errors))[:, None]
            most = int(count.max(initial=0))
            ordered = np.sort(self._errors[:most] * self._outwards.astype(np.float32), axis=0)
            rank = np.ceil((count + 1) * (1 - self.tails)).astype(np.intp)
            rank = np.clip(rank, 1, np.maximum(count, 1)) - 1
            found = np.zeros(self.tails.shape)
            if most:
                found = np.take_along_axis(ordered, rank[None], axis=0)[0].astype(np.float64)
            self._shifts = np.where(count >= LEAST_SCORES, found * self._outwards, 0.0)
        return self._shifts

    def calibrate(self, step: int, raw: Floats) -> Floats:
        """A forecast (horizon, quantiles) issued at ``step``, moved; what crosses gives way to the median."""
        moved: Floats = raw + self.shifts() * self.spread(step, raw)[:, None]
        if not self._has_median:
            return np.sort(moved, axis=1)
        middle = self._middle
        moved[:, middle:] = np.maximum.accumulate(moved[:, middle:], axis=1)
        moved[:, : middle + 1] = np.minimum.accumulate(moved[:, middle::-1], axis=1)[:, ::-1]
        return moved

    def issue(self, step: int, raw: Floats) -> None:
        """Remember a forecast issued at ``step``, later than the last, to learn from its outcomes."""
        assert self.last_issue is None or step > self.last_issue, (step, self.last_issue)
        self._issued.append(_Issued(step, raw, self.spread(step, raw), self.shifts()))
        self.last_issue = step

    def resolve(self, first: int, actual: Floats, until: int) -> None:
        """Learn from outcomes up to and with the step ``until``; ``actual[0]`` is that of the step ``first``."""
        some: list[_Outcomes] = []
        last = len(self.tails)
        for one in self._issued:
            ready = min(until - one.step, len(one.raw))
            if ready > one.seen:
                begin = one.step + 1 + one.seen - first
                outcomes = actual[max(begin, 0) : one.step + 1 + ready - first]
                one.seen += max(0, -begin)  # what lies before ``first`` is lost
                if len(outcomes):
                    # Leads of one issue after the other fall: those of several that have none in common are one step.
                    if one.seen + len(outcomes) > last:
                        self._learn(some)
                        some = []
                    last = one.seen
                    some.append(_Outcomes(one, slice(one.seen, one.seen + len(outcomes)), outcomes))
                one.seen = ready
        self._learn(some)
        while self._issued and self._issued[0].seen == len(self._issued[0].raw):
            self._issued.popleft()

    def _learn(self, some: Sequence[_Outcomes]) -> None:
        """Of issues that have no lead in common."""
        if not some:
            return
        leads = np.concatenate([np.arange(one.leads.start, one.leads.stop) for one in some])
        slots = (
            np.repeat([one.issued.step + 1 for one in some], [len(one.values) for one in some]) + leads
        ) % len(self.floor)
        raw = np.concatenate([one.issued.raw[one.leads] for one in some])
        missed = np.concatenate([one.values for one in some])[:, None] - raw
        known = np.isfinite(missed).all(axis=1) & self._teaches[slots]
        where = leads[known]
        if not len(where):
            return
        errors = missed[known] / np.concatenate([one.issued.spread[one.leads] for one in some])[known, None]
        self._errors[self._written[where] % len(self._errors), where] = errors
        # Before there was a shift, what was missed says nothing about one.
        steers = self._written[where] >= LEAST_SCORES
        self._written[where] += 1
        shifts = np.concatenate([one.issued.shifts[one.leads] for one in some])[known]
        outside = (errors - shifts) * self._outwards > 0
        step = self.rate * (self._tail - outside)
        self.tails[where[steers]] = np.clip(self.tails[where[steers]] + step[steers], 0.0, 0.5)
        self._shifts = None
