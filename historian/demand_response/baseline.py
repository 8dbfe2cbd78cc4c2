"""What demand would have been without the event.

All is done in civil time, that of the index: the same hour on the wall of other days. A day that lacks an interval,
be it for a gap or as the clocks went forward, does not serve; an hour that came twice counts by its mean.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from historian.demand_response.errors import BadMeter
from historian.demand_response.event import Event
from historian.demand_response.rule import TEN_OF_TEN, Adjustment, DayMatching, Rule, Scaling
from historian.libraries import load as load_library

Floats: TypeAlias = NDArray[np.float64]
Series: TypeAlias = Any
Frame: TypeAlias = Any

_pandas: Any = load_library("pandas", "a baseline")


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """Mean kW of each interval of the event."""

    kw: Series
    unadjusted_kw: Series
    days: tuple[date, ...]
    """Those it was made from, the latest first."""
    step: timedelta
    asked: float
    """The ratio or the kW that the day itself asked for; NaN where there was nothing to go by."""
    applied: float
    """What was done of it, within the cap."""
    words: str = ""
    """Why it was not adjusted."""

    @property
    def is_capped(self) -> bool:
        return not math.isnan(self.asked) and self.asked != self.applied


def baseline(
    load_kw: Series,
    event: Event,
    rule: Rule = TEN_OF_TEN,
    *,
    weather: Frame | None = None,
    holidays: Collection[date] = (),
    others: Sequence[Event] = (),
) -> Baseline:
    """``load_kw``: mean demand of intervals, drawn positive, by their beginnings in the site's time zone.

    ``weather``: columns by the same times, for a regression (``degrees`` makes some of a temperature).
    ``others``: events that this meter took part in; their days do not serve. Raises BadMeter where there is too
    little to go by.
    """
    local, step = _civil(load_kw)
    index = _event_index(load_kw, event, step)
    wall = index.tz_localize(None)
    hours_before = _window(load_kw, event, rule.adjustment, step)
    window = hours_before.tz_localize(None)
    own = event.start.astimezone(load_kw.index.tz).date()
    days = _similar_days(own, rule, holidays, (*others, event), load_kw.index.tz)
    every = wall.append(window)
    measured = _by_day(local, days, every, own)
    complete = ~np.isnan(measured).any(axis=1)
    regressors: list[Floats] = []
    now: list[Floats] = []
    if weather is not None and not isinstance(rule, DayMatching):
        for name in weather.columns:
            column = _civil(weather[name])[0]
            regressors.append(_by_day(column, days, every, own))
            complete &= ~np.isnan(regressors[-1]).any(axis=1)
            now.append(column.reindex(every).to_numpy(dtype=np.float64))
            if np.isnan(now[-1]).any():
                raise BadMeter(
                    f"weather {name}: it lacks values for the event {event.name} or the hours before"
                )
    is_other = _is_other(own, holidays)
    least = rule.least_other if is_other else rule.least
    if complete.sum() < least:
        raise BadMeter(
            f"{complete.sum()} similar days without an event in the {rule.look_back.days} days before"
            f" {own}: it takes {least}"
        )
    if isinstance(rule, DayMatching):
        most, of = (rule.days_other, rule.of_other) if is_other else (rule.days, rule.of)
        recent = np.flatnonzero(complete)[:of]
        demand = measured[recent, : len(wall)].mean(axis=1)
        # Days of the same demand: the later one serves.
        chosen = np.sort(recent[np.argsort(-demand, kind="stable")[:most]])
        expected = measured[chosen].mean(axis=0)
    else:
        chosen = np.flatnonzero(complete)
        expected = _fitted(measured[chosen], [each[chosen] for each in regressors], now)
    before = local.reindex(window).to_numpy(dtype=np.float64).copy()
    for other in others:  # what an earlier event of the day took is not what the day is like
        before[(hours_before + step > other.start) & (hours_before < other.end)] = np.nan
    asked, applied, words = _adjust(rule.adjustment, expected, len(wall), before)
    unadjusted = expected[: len(wall)]
    adjusted = unadjusted + applied if rule.adjustment.scaling is Scaling.DIFFERENCE else unadjusted * applied
    return Baseline(
        _pandas.Series(adjusted, index=index, name="baseline_kw"),
        _pandas.Series(unadjusted, index=index, name="unadjusted_kw"),
        tuple(days[k] for k in chosen),
        *(step, asked, applied, words),
    )


def degrees(temperature_c: Series, heating_below: float = 15.0, cooling_above: float = 18.0) -> Frame:
    """Columns for a regression: by how much it is too cold and too warm."""
    return _pandas.DataFrame(
        {
            "heating": (heating_below - temperature_c).clip(lower=0.0),
            "cooling": (temperature_c - cooling_above).clip(lower=0.0),
        }
    )


def _civil(series: Series) -> tuple[Series, timedelta]:
    """By the clock on the wall, and the interval. Raises BadMeter where the index is no such."""
    index = series.index
    if not isinstance(index, _pandas.DatetimeIndex) or index.tz is None:
        raise BadMeter(
            f"{series.name}: its index must be times with the site's zone (tz_convert gives them one)"
        )
    if len(index) < 2 or not index.is_monotonic_increasing or not index.is_unique:
        raise BadMeter(f"{series.name}: its times must go up, each once, two or more")
    step = (index[1:] - index[:-1]).min().to_pytimedelta()
    off = (index - index[0]) % step != timedelta(0)
    if off.any():
        raise BadMeter(f"{series.name}: {index[off][0]} is not on its grid of {step}: resample it")
    local = _pandas.Series(series.to_numpy(dtype=np.float64), index=index.tz_localize(None))
    return local.groupby(level=0).mean(), step


def _intervals(load_kw: Series, begins: datetime, ends: datetime, step: timedelta) -> Any:
    """The meter's intervals that lie wholly between two times, whether it measured them or not."""
    first = load_kw.index[0]
    earliest = first - ((first - begins) // step) * step
    latest = _pandas.Timestamp(ends).tz_convert(first.tz) - step
    return _pandas.date_range(earliest, latest, freq=step)


def _event_index(load_kw: Series, event: Event, step: timedelta) -> Any:
    index = _intervals(load_kw, event.start, event.end, step)
    if not len(index):
        raise BadMeter(f"{load_kw.name}: no interval of {step} lies within the event {event.name}")
    return index


def _window(load_kw: Series, event: Event, adjustment: Adjustment, step: timedelta) -> Any:
    """The intervals by which the day itself moves the baseline."""
    start = event.start.astimezone(UTC)  # as Python adds to a zone's time on the wall, not to the time
    ends = start - adjustment.ends
    if adjustment.before_notice and event.announced is not None:
        ends = min(ends, event.announced.astimezone(UTC))
    begins = ends if adjustment.scaling is Scaling.NONE else ends - (adjustment.begins - adjustment.ends)
    return _intervals(load_kw, begins, ends, step)


def _is_other(day: date, holidays: Collection[date]) -> bool:
    return day.weekday() >= 5 or day in holidays


def _similar_days(
    own: date, rule: Rule, holidays: Collection[date], events: Sequence[Event], zone: Any
) -> list[date]:
    """Before the event, business days for one on such and others for others, without an event; the latest first."""
    taken = set()
    for event in events:
        day = event.start.astimezone(zone).date()
        while day <= (event.end - timedelta(microseconds=1)).astimezone(zone).date():
            taken.add(day)
            day += timedelta(days=1)
    days = [own - timedelta(days=back) for back in range(1, rule.look_back.days + 1)]
    is_other = _is_other(own, holidays)
    return [day for day in days if day not in taken and _is_other(day, holidays) == is_other]


def _by_day(local: Series, days: Sequence[date], wall: Any, own: date) -> Floats:
    """(days, times): what there was at the same times of other days."""
    back = np.array([(own - day).days for day in days], dtype="timedelta64[D]")
    times = _pandas.DatetimeIndex((wall.to_numpy() - back[:, None]).ravel())
    return np.asarray(local.reindex(times), dtype=np.float64).reshape(len(days), len(wall))


def _fitted(measured: Floats, regressors: Sequence[Floats], now: Sequence[Floats]) -> Floats:
    """Levels by interval and slopes by least squares, and what they say of the day itself."""
    count = measured.shape[1]
    levels = np.tile(np.eye(count), (len(measured), 1))
    design = np.column_stack((levels, *(each.ravel() for each in regressors)))
    found = np.linalg.lstsq(design, measured.ravel(), rcond=None)[0]
    return np.asarray(np.column_stack((np.eye(count), *now)) @ found, dtype=np.float64)


def _adjust(adjustment: Adjustment, expected: Floats, count: int, before: Floats) -> tuple[float, float, str]:
    """What was asked for, what is applied, and why nothing is."""
    is_ratio = adjustment.scaling is not Scaling.DIFFERENCE
    neutral = 1.0 if is_ratio else 0.0
    if adjustment.scaling is Scaling.NONE:
        return math.nan, neutral, "the rule adjusts nothing"
    there = ~np.isnan(before)
    if not there.any():
        return math.nan, neutral, "nothing was measured in the hours before the event"
    measured, usual = float(before[there].mean()), float(expected[count:][there].mean())
    if is_ratio:
        if usual <= 0:
            return (
                math.nan,
                neutral,
                f"in the hours before the event {usual:.4g} kW are usual: no ratio to it",
            )
        asked = measured / usual
        return asked, min(max(asked, 1 - adjustment.cap), 1 + adjustment.cap), ""
    most = adjustment.cap * float(np.abs(expected[:count]).mean())
    return measured - usual, min(max(measured - usual, -most), most), ""
