"""Detectors that look at tags together: what is odd about them may be how they stand to each other."""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np

from historian.anomaly.detector import Detector, Floats, Stream, Times, TooLittle, check_order, cleaned, grade
from historian.libraries import load

LEAST_ROWS: Final = 50
_FEW_ROWS: Final = 5  # a column: fewer tell nothing of how they go together


class Pca(Detector):
    """Principal components of tags that go together: Hotelling's T² within them, and Q, what they leave over.

    ``t2`` is odd where tags go together as ever, yet farther than ever; ``q`` where they do not go together. Columns
    are scaled by their standard deviation; components are kept until they make ``variance`` of the whole. Limits, at
    ``alpha`` of false alarms a row, are by ``limits``:

    - ``theory``: T² by the F distribution for rows that were not learned from (Tracy, Young & Mason 1992), Q by
      Jackson & Mudholkar (1979), or by Box (1954) where that has no answer. They hold for Gaussian rows.
    - ``training``: the 1 - alpha quantile of training, times ``margin``.

    A row with a missing value has no score. Columns that never moved in training are left out (``ignored_``).
    """

    def __init__(
        self,
        variance: float = 0.95,
        *,
        alpha: float = 0.001,
        limits: Literal["theory", "training"] = "theory",
        margin: float = 1.5,
    ) -> None:
        super().__init__()
        if not 0 < variance < 1 or not 0 < alpha < 0.5 or margin < 1:
            raise ValueError(
                "variance must lie between 0 and 1, alpha between 0 and 0.5, margin at 1 or above"
            )
        if limits not in ("theory", "training"):
            raise ValueError(f"limits are by 'theory' or 'training', not {limits!r}")
        self.variance, self.alpha, self.limits, self.margin = variance, alpha, limits, margin

    def _learn(self, times_ns: Times, table: Floats) -> None:
        rows = table[~np.isnan(table).any(axis=1)]
        least = max(LEAST_ROWS, _FEW_ROWS * len(self.columns_))
        if len(rows) < least:
            raise TooLittle(
                f"{len(rows)} rows without a missing value; {least} are needed for {len(self.columns_)} tags"
            )
        self.outputs_ = ("t2", "q")
        self.mean_ = rows.mean(axis=0)
        spread = rows.std(axis=0, ddof=1)
        moves = spread > 1e-9 * np.abs(self.mean_)
        self.ignored_ = tuple(name for name, moved in zip(self.columns_, moves, strict=True) if not moved)
        if int(moves.sum()) < 2:
            raise TooLittle("fewer than two tags moved: there is nothing to go together")
        self._weight = np.where(moves, 1.0 / np.where(moves, spread, 1.0), 0.0)
        scaled = (rows - self.mean_) * self._weight
        # Of the covariance matrix; the left-out columns have variance 0 and stand last.
        variances, axes = np.linalg.eigh(scaled.T @ scaled / (len(rows) - 1))
        variances, axes = np.maximum(variances[::-1], 0.0), axes[:, ::-1]
        tags = int(moves.sum())
        share = np.cumsum(variances) / variances.sum()
        kept = min(int(np.searchsorted(share, self.variance)) + 1, tags - 1)
        self.components_ = np.ascontiguousarray(axes[:, :kept].T)
        self.variances_ = variances[:kept]
        left = variances[kept:tags]
        if self.limits == "theory":
            self.t2_limit_ = t2_limit(len(rows), kept, self.alpha)
            self.q_limit_ = q_limit(left, self.alpha)
        else:
            found = np.array([self._statistics(row) for row in rows])
            self.t2_limit_, self.q_limit_ = self.margin * np.quantile(found, 1 - self.alpha, axis=0)
        # Tags that are exact sums of others leave rounding errors over, which are no limit.
        self.q_limit_ = max(self.q_limit_, 1e-9)

    def contributions(self, values: Floats) -> dict[str, float]:
        """What each column adds to Q of a row, the greatest first (MacGregor & Kourti 1995): evidence, no proof."""
        self._check_fitted()
        left = self._left((np.asarray(values, np.float64) - self.mean_) * self._weight)
        found = dict(zip(self.columns_, (left * left).tolist(), strict=True))
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def _left(self, scaled: Floats) -> Floats:
        left: Floats = scaled - (self.components_ @ scaled) @ self.components_
        return left

    def _statistics(self, row: Floats) -> tuple[float, float]:
        scaled = (row - self.mean_) * self._weight
        along = self.components_ @ scaled
        left = scaled - along @ self.components_
        return float((along * along / self.variances_).sum()), float((left * left).sum())

    def _stream(self) -> Stream:
        return _PcaStream(self)


class _PcaStream:
    def __init__(self, detector: Pca) -> None:
        self._of = detector

    def push(self, time_ns: int, values: Floats) -> Floats:
        of = self._of
        t2, q = of._statistics(values)
        return grade(np.sqrt(np.array([t2 / of.t2_limit_, q / of.q_limit_])))


def t2_limit(rows: int, components: int, alpha: float) -> float:
    """Of T² of a new row, by a model of ``rows``: a (n² - 1) / (n (n - a)) F(alpha; a, n - a)

    (Tracy, Young & Mason 1992, "Multivariate control charts for individual observations").
    """
    stats = load("scipy.stats", "control limits")
    n, a = rows, components
    return float(a * (n * n - 1) / (n * (n - a)) * stats.f.isf(alpha, a, n - a))


def q_limit(variances: Floats, alpha: float) -> float:
    """Of Q, by the variances of the components left out (Jackson & Mudholkar 1979)."""
    stats = load("scipy.stats", "control limits")
    one, two, three = (float((variances**power).sum()) for power in (1, 2, 3))
    if one <= 0 or two <= 0:
        return 0.0
    h0 = 1.0 - 2.0 * one * three / (3.0 * two * two) if two * two > 0 else 0.0
    if h0 > 0:
        normal = float(stats.norm.isf(alpha))
        inner = normal * np.sqrt(2.0 * two * h0 * h0) / one + 1.0 + two * h0 * (h0 - 1.0) / (one * one)
        if inner > 0:
            return float(one * inner ** (1.0 / h0))
    return float(two / one * stats.chi2.isf(alpha, one * one / two))  # Box 1954, theorem 3.1


class Forest(Detector):
    """Isolation forest (Liu, Ting & Zhou 2008) by scikit-learn: how few cuts it takes to set a row apart from others.

    The limit is ``margin`` times as far above the median as the 1 - ``alpha`` quantile of training. A row with a
    missing value has no score. Needs ``pip install 'tieline[analytics]'``.
    """

    def __init__(
        self, trees: int = 100, *, sample: int = 256, alpha: float = 0.001, margin: float = 1.2, seed: int = 0
    ) -> None:
        super().__init__()
        if trees < 1 or sample < 2 or not 0 < alpha < 0.5 or margin < 1:
            raise ValueError("trees 1 or more, sample 2 or more, alpha between 0 and 0.5, margin 1 or more")
        self.trees, self.sample, self.alpha, self.margin, self.seed = trees, sample, alpha, margin, seed

    def _learn(self, times_ns: Times, table: Floats) -> None:
        ensemble = load("sklearn.ensemble", "an isolation forest")
        rows = table[~np.isnan(table).any(axis=1)]
        if len(rows) < LEAST_ROWS:
            raise TooLittle(f"{len(rows)} rows without a missing value; {LEAST_ROWS} are needed")
        self.outputs_ = ("forest",)
        self._forest: Any = ensemble.IsolationForest(
            n_estimators=self.trees, max_samples=min(self.sample, len(rows)), random_state=self.seed, n_jobs=1
        )
        self._forest.fit(rows)
        found = -self._forest.score_samples(rows)
        self.middle_ = float(np.median(found))
        self.limit_ = self.margin * (float(np.quantile(found, 1 - self.alpha)) - self.middle_)
        if not self.limit_ > 0:
            raise TooLittle("all rows are alike: there is nothing to set apart")

    def scores(self, times_ns: Times, table: Floats) -> Floats:
        """All rows at once: each goes through the trees by itself, in the same order as alone."""
        self._check_fitted()
        check_order(times_ns)
        return self.of_rows(cleaned(table))[:, None]

    def of_rows(self, rows: Floats) -> Floats:
        found = np.full(len(rows), np.nan)
        is_whole = ~np.isnan(rows).any(axis=1)
        if is_whole.any():
            away = -self._forest.score_samples(rows[is_whole]) - self.middle_
            found[is_whole] = grade(np.maximum(away, 0.0) / self.limit_)
        return found

    def _stream(self) -> Stream:
        return _ForestStream(self)


class _ForestStream:
    def __init__(self, detector: Forest) -> None:
        self._of = detector

    def push(self, time_ns: int, values: Floats) -> Floats:
        return self._of.of_rows(values[None, :])
