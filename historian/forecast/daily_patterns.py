"""Clustering of daily profiles, as a scikit-learn estimator on DataFrames."""

from __future__ import annotations

from datetime import date
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from historian.forecast.calendar import Civil, zone_name
from historian.forecast.civil_days import DAY_MIN, NS_PER_S, CivilDays, Floats, Longs, civil_days
from historian.forecast.patterns import Member, Patterns, distances
from historian.libraries import load

_base: Any = load("sklearn.base", "daily patterns")
_cluster: Any = load("sklearn.cluster", "daily patterns")
_metrics: Any = load("sklearn.metrics", "daily patterns")
_validation: Any = load("sklearn.utils.validation", "daily patterns")
_pandas: Any = load("pandas", "daily patterns")

Labels = NDArray[np.intp]
LEAST_DAYS: Final = 14  # whole days of a member: each weekday twice
LEAST_SIZE: Final = 3  # days that make a pattern: fewer are outliers, which the silhouette takes for clusters
LEAST_APART: Final = 0.05  # rms between two patterns, in shares of the usual level: nobody acts on less
_ROUNDS: Final = 10  # of setting outliers aside
_STARTS: Final = 10  # of k-means, the best of which counts
_MOST_ROWS: Final = 20_000  # profiles that are clustered: what lies between says little that is new
_MOST_COMPARED: Final = 2_000  # of these for the silhouette, whose cost is that of all pairs
_MOST_REFERENCE: Final = 5_000  # profiles that are kept to judge by, 0.8 MB in a file
_LEAST_REFERENCE: Final = 60  # days, whatever the members


class TooFewDays(ValueError):  # noqa: N818 - reads as the claim it makes
    """No member has days enough; ``needed`` more would do for the one that has most."""

    def __init__(self, needed: int) -> None:
        super().__init__(f"not primed: {needed} more whole days are needed")
        self.needed = needed


class DailyPatterns(_base.ClusterMixin, _base.BaseEstimator):  # type: ignore[misc]
    """Finds patterns of the days of one class of consumers: each column of a frame is a member.

    A day has ``slots`` of civil time. k-means (Lloyd 1982, seeded with ``seed``) is tried with 2 to ``most_patterns``
    clusters; days of one smaller than 3 are set aside and the others clustered again. That of the greatest mean
    silhouette (Rousseeuw 1987) is taken, whose patterns differ by 5 % of the usual level or more. Where none reaches
    ``least_silhouette``, all days are one pattern: there is no structure to speak of. ``civil`` gives the time zone,
    where it is not that of the index.

    After ``fit``: ``patterns_`` (a `Patterns`), ``centres_`` (a DataFrame, a row a slot, a column a pattern, from 1,
    the most frequent first), ``labels_`` (pattern by day and member), ``silhouettes_`` by number of patterns.
    """

    def __init__(
        self,
        slots: int = 24,
        *,
        most_patterns: int = 8,
        least_silhouette: float = 0.25,
        seed: int = 0,
        civil: Civil | None = None,
    ) -> None:
        self.slots = slots
        self.most_patterns = most_patterns
        self.least_silhouette = least_silhouette
        self.seed = seed
        self.civil = civil

    def fit(self, frame: Any, y: object = None) -> Self:
        """Learn from averages of steps, by their start. Days with a hole are left out and counted.

        Raises ValueError for wrong parameters, and TooFewDays.
        """
        if self.most_patterns < 1:
            raise ValueError(f"most_patterns is {self.most_patterns}: give 1 or more")
        self.zone_ = (self.civil or Civil(zone_name(frame.index))).time_zone
        days = self._days(frame)
        self._learn(days, [str(name) for name in frame.columns])
        return self

    def fit_days(self, days: CivilDays, members: list[str], zone: str) -> Self:
        """As `fit`, of days that were made already."""
        self.zone_ = zone
        self._learn(days, members)
        return self

    def predict(self, frame: Any) -> Any:
        """Of each day and member (the index): ``pattern`` (from 1; missing where too little is known), ``distance``
        to it, ``unusual_pct`` and ``known``, the share of the day that was. Raises KeyError for a missing member.
        """
        _validation.check_is_fitted(self)
        names = [member.name for member in self.patterns_.members]
        return self._judged(self._days(frame[names]), names)

    def _days(self, frame: Any) -> CivilDays:
        index = frame.index
        if index.tz is None:
            raise ValueError("the index must be times with a time zone: frame.tz_localize(...)")
        times = index.tz_convert("UTC").tz_localize(None).to_numpy().astype("M8[ns]").view(np.int64)
        steps = np.diff(times)
        if not len(steps) or (steps <= 0).any():
            raise ValueError("times must rise, and be two at least")
        usual, counts = np.unique(steps, return_counts=True)
        step_s = max(int(usual[counts.argmax()]) // NS_PER_S, 1)
        return civil_days(times, frame.to_numpy(np.float64), step_s, self.zone_, self.slots)

    def _judged(self, days: CivilDays, names: list[str]) -> Any:
        rows = []
        for day, values in zip(days.days.tolist(), days.values, strict=True):
            found = self.patterns_.judge(values)
            known = np.isfinite(values).mean(axis=1)
            for at, name in enumerate(names):
                pattern = found.pattern[at] + 1 or None
                scores = (found.distance[at], found.unusual_by_member[at], known[at])
                rows.append((date.fromordinal(day), name, pattern, *scores))
        columns = ["day", "member", "pattern", "distance", "unusual_pct", "known"]
        table = _pandas.DataFrame(rows, columns=columns).astype({"pattern": "Int64"})
        return table.set_index(["day", "member"])

    def _learn(self, days: CivilDays, names: list[str]) -> None:
        whole = days.is_whole
        members, columns, skipped = [], [], []
        for at, name in enumerate(names):
            count = int(whole[:, at].sum())
            known = np.isfinite(days.values[:, at]).any(axis=1)
            left_out = int((~whole[known.argmax() :, at]).sum())  # not those before its history begins
            if count < LEAST_DAYS:
                skipped.append(f"{name}: {LEAST_DAYS - count} more whole days are needed")
                continue
            levels = np.abs(days.values[whole[:, at], at]).mean(axis=1)
            scale = float(np.median(levels)) or float(levels.mean())  # of what is idle on most days the mean
            if scale == 0:
                skipped.append(f"{name}: it is always 0")
                continue
            members.append(Member(name, scale, count, left_out))
            columns.append(at)
        if not members:
            counts = whole.sum(axis=0)
            if len(counts) and counts.max() >= LEAST_DAYS:
                raise ValueError("; ".join(skipped))
            raise TooFewDays(LEAST_DAYS - int(counts.max(initial=0)))
        scales = np.array([member.scale for member in members])
        values = np.where(whole[:, columns, None], days.values[:, columns] / scales[:, None], np.nan)
        row, column = np.nonzero(whole[:, columns])
        profiles = values[row, column]
        labels, centres, silhouette = self._clustered(profiles)
        weekdays = np.zeros((len(centres), 7), np.int64)
        np.add.at(weekdays, (labels, (days.days[row] - 1) % 7), 1)  # ordinal 1 was a Monday
        kept = _evenly(np.flatnonzero(whole[:, columns].any(axis=1)), len(columns))
        self.patterns_ = Patterns(
            *(tuple(members), centres, weekdays, silhouette, days.days[kept], values[kept], tuple(skipped))
        )
        self.labels_ = self._labelled(days, row, column, labels)
        self.centres_ = _pandas.DataFrame(
            centres.T, index=_slot_names(self.slots), columns=range(1, len(centres) + 1)
        )

    def _labelled(self, days: CivilDays, row: Labels, column: Labels, labels: Labels) -> Any:
        names = [self.patterns_.members[at].name for at in column.tolist()]
        dates = [date.fromordinal(day) for day in days.days[row].tolist()]
        index = _pandas.MultiIndex.from_arrays([dates, names], names=["day", "member"])
        return _pandas.Series(labels + 1, index=index, name="pattern")

    def _clustered(self, profiles: Floats) -> tuple[Labels, Floats, float]:
        """Labels of the profiles, centres in the order of their sizes, and the silhouette (NaN of one pattern)."""
        taken = profiles[_thinned(len(profiles), _MOST_ROWS)]
        best, centres = self.least_silhouette, taken.mean(axis=0, keepdims=True)
        self.silhouettes_: dict[int, float] = {}
        for count in range(2, self.most_patterns + 1):
            found = self._split(taken, count)
            if found is not None:
                self.silhouettes_[count], these = found
                if self.silhouettes_[count] > best:
                    best, centres = self.silhouettes_[count], these
        labels = nearest(profiles, centres)
        sizes = np.bincount(labels, minlength=len(centres))
        order = sorted(range(len(centres)), key=lambda at: (-sizes[at], *centres[at].tolist()))
        place = np.argsort(order)
        return place[labels], centres[order], best if len(centres) > 1 else float("nan")

    def _split(self, profiles: Floats, count: int) -> tuple[float, Floats] | None:
        """Silhouette and centres of so many clusters, without outliers; None where there are not so many."""
        for _ in range(_ROUNDS):
            if len(profiles) < count * LEAST_SIZE or len(np.unique(profiles.round(6), axis=0)) < count:
                return None
            found = _cluster.KMeans(count, n_init=_STARTS, random_state=self.seed).fit(profiles)
            is_small = np.bincount(found.labels_, minlength=count) < LEAST_SIZE
            if not is_small.any():
                centres = np.asarray(found.cluster_centers_)
                apart = distances(centres, centres)[np.triu_indices(count, 1)].min()
                some = _thinned(len(profiles), _MOST_COMPARED)
                if apart < LEAST_APART or len(np.unique(found.labels_[some])) < count:
                    return None
                score = float(_metrics.silhouette_score(profiles[some], found.labels_[some]))
                return score, centres
            profiles = profiles[~is_small[found.labels_]]  # they would draw a centre to them each time
        return None


def nearest(profiles: Floats, centres: Floats) -> Labels:
    """The centre that is nearest to each profile."""
    squares = np.stack([((profiles - centre) ** 2).sum(axis=1) for centre in centres], axis=1)
    found: Labels = squares.argmin(axis=1)
    return found


def _thinned(count: int, most: int) -> Longs:
    """At most so many places of so many, evenly."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


def _evenly(places: Labels, members: int) -> Labels:
    kept: Labels = places[_thinned(len(places), max(_MOST_REFERENCE // members, _LEAST_REFERENCE))]
    return kept


def _slot_names(slots: int) -> list[str]:
    minutes = [slot * (DAY_MIN // slots) for slot in range(slots)]
    return [f"{minute // 60:02}:{minute % 60:02}" for minute in minutes]
