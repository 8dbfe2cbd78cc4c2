"""Energy that goes in and does not come out: meters of one node checked against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from historian.anomaly.detector import NS_PER_S, Floats, LimitDetector, Stream, Times, TooLittle, table_of
from historian.anomaly.tags import GAP_S

LEAST_ROWS = 50
LEAST_SHARE = 0.01  # of the greatest throughput in training: below it a share of losses says nothing


@dataclass(frozen=True, slots=True)
class Suspect:
    """A meter whose reading explains the residual: it ``shows`` so much of what there is (0.7: 30 % are not counted).

    ``explained`` is the share of the residual's mean square that is gone then.
    """

    name: str
    shows: float
    explained: float


class EnergyBalance(LimitDetector):
    """What flows into a node less what flows out of it, less the losses that were learned, in the columns' unit.

    ``sources`` are positive when they feed the node, ``loads`` when they draw. Losses are learned as
    ``idle + share x throughput`` by least squares. The residual is smoothed over ``window_s`` (first-order lag),
    as meters are not read at one moment; after a gap of over 60 s it begins at 0. A row with a missing value has no
    score.
    """

    def __init__(
        self,
        sources: Sequence[str],
        loads: Sequence[str],
        limit: float | None = None,
        *,
        window_s: float = 60.0,
        margin: float = 1.5,
    ) -> None:
        super().__init__(limit, margin)
        if not sources or not loads or set(sources) & set(loads):
            raise ValueError("a balance has sources and loads, and nothing is both")
        if window_s <= 0:
            raise ValueError(f"a window of {window_s} s is not above 0")
        self.sources, self.loads, self.window_s = tuple(sources), tuple(loads), window_s

    def _learn(self, times_ns: Times, table: Floats) -> None:
        absent = [name for name in (*self.sources, *self.loads) if name not in self.columns_]
        if absent:
            raise KeyError(f"the frame has no column {', '.join(absent)}")
        self.outputs_ = ("residual",)
        self._sign = np.array(
            [(name in self.sources) - (name in self.loads) * 1.0 for name in self.columns_], np.float64
        )
        self._is_member = self._sign != 0
        rows = table[~np.isnan(table[:, self._is_member]).any(axis=1)]
        if len(rows) < LEAST_ROWS:
            raise TooLittle(f"{len(rows)} rows without a missing value; {LEAST_ROWS} are needed")
        lost, through = self._lost(rows), self._through(rows)
        self._fit_losses(lost, through)
        super()._learn(times_ns, table)

    def _fit_losses(self, lost: Floats, through: Floats) -> None:
        around = through - through.mean()
        spread = float((around * around).sum())
        self.share_ = float((around * (lost - lost.mean())).sum()) / spread if spread > 0 else 0.0
        self.idle_ = float(lost.mean()) - self.share_ * float(through.mean())

    def _lost(self, rows: Floats) -> Floats:
        """In less out, (rows,)."""
        lost: Floats = np.where(self._is_member, rows * self._sign, 0.0).sum(axis=-1)
        return lost

    def _through(self, rows: Floats) -> Floats:
        through: Floats = np.where(self._is_member, np.abs(rows), 0.0).sum(axis=-1) / 2.0
        return through

    def _measure(self) -> Stream:
        return _BalanceStream(self)

    def residual(self, row: Floats) -> float:
        """Of one row, not smoothed: NaN where a member is missing."""
        return float(self._lost(row)) - self.idle_ - self.share_ * float(self._through(row))

    def suspects(self, frame: Any) -> list[Suspect]:
        """Members whose readings explain the residuals of these rows, the best first: evidence, no proof."""
        self._check_fitted()
        table = table_of(frame[list(self.columns_)])
        table = table[~np.isnan(table[:, self._is_member]).any(axis=1)]
        residuals = np.array([self.residual(row) for row in table])
        whole = float((residuals * residuals).sum())
        found = []
        for place in np.flatnonzero(self._is_member).tolist():
            reading = table[:, place]
            squares = float((reading * reading).sum())
            if squares <= 0 or whole <= 0:
                continue
            # Through the origin: a meter that shows a share s of x is off by x - s x = (1/s - 1) of what it shows.
            slope = float((reading * residuals).sum()) / squares
            left = residuals - slope * reading
            inverse = 1.0 - self._sign[place] * slope
            found.append(
                Suspect(
                    self.columns_[place],
                    1.0 / inverse if inverse else np.inf,
                    1.0 - float((left * left).sum()) / whole,
                )
            )
        return sorted(found, key=lambda one: -one.explained)


class _BalanceStream:
    def __init__(self, of: EnergyBalance) -> None:
        self._of = of
        self._smooth = 0.0
        self._last_ns: int | None = None

    def push(self, time_ns: int, values: Floats) -> Floats:
        residual = self._of.residual(values)
        if np.isnan(residual):
            return np.array([np.nan])
        # Of the first row there is no telling how much of its residual is that meters are not read at one moment.
        if self._last_ns is None or time_ns - self._last_ns > GAP_S * NS_PER_S:
            self._smooth = 0.0
        else:
            self._smooth = _lagged(self._smooth, residual, time_ns - self._last_ns, self._of.window_s)
        self._last_ns = time_ns
        return np.array([abs(self._smooth)])


class MeterAgainstFeeder(EnergyBalance):
    """The share of a feeder's energy that its meters do not count, against the share in training.

    Both sides are smoothed over ``window_s``; where the feeder carries less than 1 % of its greatest in training
    there is no score. ``limit`` is in shares: 0.05 is five points more or less than ever.
    """

    def __init__(
        self,
        feeder: Sequence[str],
        meters: Sequence[str],
        limit: float | None = None,
        *,
        window_s: float = 900.0,
        margin: float = 1.5,
    ) -> None:
        super().__init__(feeder, meters, limit, window_s=window_s, margin=margin)

    def _fit_losses(self, lost: Floats, through: Floats) -> None:
        fed = lost.sum() + 0.0
        self.idle_ = 0.0
        whole = float(np.abs(through).sum())
        self.share_ = float(fed) / whole if whole > 0 else 0.0
        self.least_ = LEAST_SHARE * float(np.abs(through).max())

    def _measure(self) -> Stream:
        return _ShareStream(self)


class _ShareStream:
    def __init__(self, of: MeterAgainstFeeder) -> None:
        self._of = of
        self._lost = self._fed = np.nan
        self._last_ns = 0

    def push(self, time_ns: int, values: Floats) -> Floats:
        lost, fed = float(self._of._lost(values)), float(self._of._through(values))
        if np.isnan(lost) or np.isnan(fed):
            return np.array([np.nan])
        elapsed, self._last_ns = time_ns - self._last_ns, time_ns
        self._lost = _lagged(self._lost, lost, elapsed, self._of.window_s)
        self._fed = _lagged(self._fed, fed, elapsed, self._of.window_s)
        if self._fed <= self._of.least_:
            return np.array([np.nan])
        return np.array([abs(self._lost / self._fed - self._of.share_)])


def _lagged(before: float, now: float, elapsed_ns: int, lag_s: float) -> float:
    if np.isnan(before):
        return now
    return float(before + (now - before) * -np.expm1(-elapsed_ns / NS_PER_S / lag_s))
