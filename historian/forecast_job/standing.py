"""How good the forecasts of a running site are: scores over the last days, drift, alerts right and wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from historian.forecast_job import library
from historian.forecast_job.frames import actual
from historian.forecast_job.plan import DAY_S, S_NS, Plan
from historian.forecast_job.store import Row
from historian.query.history import History

SCORED_DAYS: Final = 7
DRIFT_DAYS: Final = 2
ALERT_DAYS: Final = 30
DRIFT: Final = 1.5  # times the error of the comparison it won
WATCHED_DAYS: Final = 14  # a rise by one deviation is found after about ten
LEAST_USUAL_DAYS: Final = 10  # before those; of fewer a deviation says little
COMPARED_DAYS: Final = 42  # of both together, at most
WATCHED_EVERY_NS: Final = 3 * 3600 * S_NS  # issues so far apart say all there is to say of a day
LEAST_OUTCOMES: Final = 96  # a day of steps of 15 min, of which a lead has one each
DAY_NS: Final = DAY_S * S_NS


@dataclass(frozen=True, slots=True)
class Standing:
    """NaN where there is nothing to tell yet. ``coverage`` is of the outermost quantiles, a share."""

    mape: float = float("nan")
    mase: float = float("nan")
    coverage: float = float("nan")
    recent_mase: float = float("nan")
    outcomes: int = 0
    has_risen: bool = False  # what it errs in a day, against the weeks before

    def drifts(self, description: Any) -> bool:
        """Whether it errs far more, lately, than where its model won, or for days more than it used to."""
        then = description.get("scores", {}).get(description.get("model"), {}).get("mase")
        return self.has_risen or (then is not None and bool(self.recent_mase > DRIFT * float(then)))


def stand(history: History, plan: Plan, rows: Sequence[Row], scale: float, now: int) -> Standing:
    """The scores of what came in the last days, of ``rows`` that were issued before."""
    end = plan.issue_at(now)
    outcome, columns, times = outcomes(history, plan, rows, end - SCORED_DAYS * DAY_NS, end)
    if len(outcome) < LEAST_OUTCOMES:
        return Standing(outcomes=len(outcome))
    found = library.scores(outcome, list(columns.T), plan.quantiles, scale)
    recent = times >= end - DRIFT_DAYS * DAY_NS
    lately = library.scores(outcome[recent], list(columns[recent].T), plan.quantiles, scale)
    held = np.mean((columns[:, 0] <= outcome) & (outcome <= columns[:, -1]))
    return Standing(found["mape"], found["mase"], float(held), lately["mase"], len(outcome))


def has_risen(history: History, plan: Plan, rows: Iterable[Row], now: int) -> bool:
    """Whether what was erred in a day, up to 24 h ahead, has risen above what it was in the weeks before
    (`DriftWatch`). ``rows`` by issue time; days are of UTC, and only those that are over count.
    """
    some = [replace(row, values=row.values[: plan.day]) for row in rows if row.issue % WATCHED_EVERY_NS == 0]
    if not some:
        return False
    end = now // DAY_NS
    # The first whole day that was forecast from the day before.
    start = max(end - COMPARED_DAYS, some[0].issue // DAY_NS + 2)
    recent = min(end - start - LEAST_USUAL_DAYS, WATCHED_DAYS)
    if recent < 1:
        return False
    came, columns, times = outcomes(history, plan, some, start * DAY_NS, end * DAY_NS)
    errors = np.abs(columns[:, plan.quantiles.index(0.5)] - came)
    is_recent = times >= (end - recent) * DAY_NS
    usual, lately = (library.daily_errors(times[one], errors[one]) for one in (~is_recent, is_recent))
    return len(usual) >= LEAST_USUAL_DAYS and library.errors_rise(usual, lately)


def outcomes(
    history: History, plan: Plan, rows: Sequence[Row], start: int, end: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """What came in [start, end), what was forecast of it (n, quantiles), and the start of each step.

    Steps of other lengths and quantiles, of a site file that was changed, are left out.
    """
    came = actual(history, plan, start, end)
    found: list[tuple[Any, Any, Any]] = []
    for row in rows:
        if row.step_s != plan.step_s or row.quantiles != plan.quantiles:
            continue
        starts = row.starts
        inside = (starts >= start) & (starts + plan.step_ns <= end)
        values = came[(starts[inside] - start) // plan.step_ns]
        known = np.isfinite(values) & np.isfinite(row.values[inside]).all(axis=1)
        found.append((values[known], row.values[inside][known].astype(np.float64), starts[inside][known]))
    if not found:
        return np.empty(0), np.empty((0, len(plan.quantiles))), np.empty(0, np.int64)
    values, columns, times = (np.concatenate(each) for each in zip(*found, strict=True))
    return values, columns, times


def chance_above(limit: float, quantiles: Sequence[float], values: Sequence[float]) -> float:
    """P(value > limit) of a distribution by its quantiles: straight between them, and beyond them as the last two
    go on. NaN where one is missing.
    """
    shares, levels = np.asarray(quantiles, float), np.asarray(values, float)
    if not np.isfinite(levels).all():
        return float("nan")
    if levels[0] <= limit < levels[-1]:
        # Where levels are equal, the distribution jumps: all of them lie at or below the limit.
        after = int(np.searchsorted(levels, limit, side="right"))
        low, high = levels[after - 1], levels[after]
        below = shares[after - 1] + (shares[after] - shares[after - 1]) * (limit - low) / (high - low)
        return float(1 - below)
    edge, inner = (0, 1) if limit < levels[0] else (-1, -2)
    tail = shares[0] if edge == 0 else 1 - shares[-1]
    # How far the tail reaches at the slope of the last two; what lies further away has no chance left.
    reach = tail * abs(levels[edge] - levels[inner]) / abs(shares[edge] - shares[inner])
    away = abs(limit - levels[edge])
    left = tail * (1 - away / reach) if away < reach else 0.0
    return float(1 - left if edge == 0 else left)


@dataclass(frozen=True, slots=True)
class Alerts:
    """Shares; NaN where there was nothing to be right or wrong about."""

    hit: float
    false: float


def alerts(history: History, plan: Plan, rows: Sequence[Row], now: int) -> Alerts:
    """Of the five minutes above the limit those that were alerted, and of the alerts those that were not needed."""
    alert = plan.forecast.alert
    assert alert is not None, "only a plan with a limit has alerts"
    end = plan.issue_at(now)
    came, columns, _ = outcomes(history, plan, rows, end - ALERT_DAYS * DAY_NS, end)
    chances = np.array([chance_above(alert.above, plan.quantiles, row) for row in columns])
    warned, was = chances > alert.probability, came > alert.above
    both = int(np.sum(warned & was))

    def share(part: int, whole: int) -> float:
        return part / whole if whole else float("nan")

    return Alerts(share(both, int(was.sum())), share(int(warned.sum()) - both, int(warned.sum())))
