"""What is to come: the site's forecasts where there are any, else what history says of the same time of day.

A forecast is one value a step, the mean power of it, with where it came from and when that was known.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gateway.config.dispatch import (
    CIVIL_DAY_S,
    DispatchSettings,
    PlannedLoad,
    PlannedRenewable,
    PlannedTie,
)
from historian.dispatch.axis import Axis
from historian.forecast_job.plan import S_NS, Track
from historian.forecast_job.store import FOLDER, Issues, NoForecast

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]
Means = Callable[[Sequence[str], datetime, timedelta, int], Mapping[str, Floats]]
"""Mean of each tag over ``count`` steps from a time; NaN where nothing is known."""

SEASONS = (timedelta(days=7), timedelta(days=1))
"""How long ago it was alike: the week before last knows the day of the week."""
WEEK_SHARE = 0.5
"""Of the week where yesterday is known too: one says the day of the week, the other the weather."""


class Source(Protocol):
    """Forecasts that are made elsewhere."""

    def ahead(self, forecast: str, axis: Axis) -> tuple[Floats, datetime] | None:
        """The median of each step (NaN beyond its reach) and when it was issued; None where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Foreseen:
    """``issued`` is when a forecast that went into it was; None where none did."""

    values: Floats
    words: str
    issued: datetime | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A tag to be foreseen; ``now`` is its value, None while it is Bad. Prices may be below 0, powers not."""

    tag: str
    forecast: str | None
    now: float | None
    is_price: bool = False


@dataclass(frozen=True, slots=True)
class Past:
    """By which history foresees: the mean of ``days`` days of length ``day``; None: of a day and a week before."""

    day: timedelta = timedelta(days=1)
    days: int | None = None
    is_now_known: bool = False
    """The value of now is that of the whole step that has begun."""

    @classmethod
    def of(cls, settings: DispatchSettings) -> Past:
        days = settings.past_days if settings.day_s == CIVIL_DAY_S else settings.past_days or 1
        return cls(timedelta(seconds=settings.day_s), days, settings.step_s is not None)


CIVIL = Past()


def foresee(
    wanted: Sequence[Wanted], axis: Axis, means: Means, source: Source, past: Past = CIVIL
) -> list[Foreseen]:
    """One for each. What nothing is known of is taken to stay as it is now, or else to be 0, and said so; a price
    is then NaN.
    """
    found: list[Foreseen | None] = []
    for each in wanted:
        told = None if each.forecast is None else source.ahead(each.forecast, axis)
        found.append(None if told is None else Foreseen(told[0], f"forecast {each.forecast}", told[1]))
    asked = [
        each.tag for each, has in zip(wanted, found, strict=True) if has is None or np.isnan(has.values).any()
    ]
    before = _seasons(asked, axis, means) if past.days is None else _days(asked, axis, means, past)
    foreseen = [_whole(each, has, before, axis) for each, has in zip(wanted, found, strict=True)]
    if past.is_now_known:
        foreseen = [_with_now(each, has) for each, has in zip(wanted, foreseen, strict=True)]
    return foreseen


def foresee_all(
    settings: DispatchSettings,
    names: Mapping[int, str],
    read: Callable[[int], float | None],
    axis: Axis,
    means: Means,
    source: Source,
) -> dict[str, Foreseen]:
    """Of each load and renewable by its name, and of each price that a tag tells by `price_name`."""
    wanted: dict[str, Wanted] = {}
    for asset in settings.assets:
        if isinstance(asset, PlannedLoad | PlannedRenewable):
            wanted[asset.name] = Wanted(names[asset.power], asset.forecast, read(asset.power))
        elif isinstance(asset, PlannedTie):
            for way, tag in (("import", asset.import_price), ("export", asset.export_price)):
                if tag is not None:
                    wanted[price_name(asset.name, way)] = Wanted(names[tag], None, read(tag), True)
    found = foresee(list(wanted.values()), axis, means, source, Past.of(settings))
    return dict(zip(wanted, found, strict=True))


def price_name(tie: str, way: str) -> str:
    """``way`` is import or export."""
    return f"{tie}.{way}_price"


def _whole(
    wanted: Wanted, told: Foreseen | None, past: Mapping[str, tuple[Floats, str]], axis: Axis
) -> Foreseen:
    """What was told, its end by history, and what history lacks by what is now."""
    if told is not None and not np.isnan(told.values).any():
        return told
    values, words = past[wanted.tag]
    issued = None
    if told is not None:
        values = np.where(np.isnan(told.values), values, told.values)
        words, issued = f"{told.words}, then {words}", told.issued
    missing = np.isnan(values)
    if missing.any():
        if wanted.is_price:
            stays = np.nan if wanted.now is None else wanted.now
        else:
            stays = 0.0 if wanted.now is None else max(wanted.now, 0.0)
        values = np.where(missing, stays, values)
        how = "as now" if wanted.now is not None else "unknown" if wanted.is_price else "0, as it is Bad"
        words = how if missing.all() else f"{words}, else {how}"
    return Foreseen(values, words, issued)


def _seasons(tags: Sequence[str], axis: Axis, means: Means) -> dict[str, tuple[Floats, str]]:
    """Seasonal naive: a day and a week before, whichever is known; further than a day ahead the same day again."""
    found: dict[str, tuple[Floats, str]] = {}
    if not tags:
        return found
    by_season = [_before(tags, axis, season, means) for season in SEASONS]
    for tag in tags:
        week, day = by_season[0][tag], by_season[1][tag]
        both = WEEK_SHARE * week + (1 - WEEK_SHARE) * day
        values = np.where(np.isnan(both), np.where(np.isnan(week), day, week), both)
        parts = [
            name
            for name, has in (("last week", ~np.isnan(week)), ("the last day", ~np.isnan(day)))
            if has.any()
        ]
        found[tag] = values, f"history of {' and '.join(parts)}" if parts else "no history"
    return found


def _with_now(wanted: Wanted, foreseen: Foreseen) -> Foreseen:
    if wanted.now is None:
        return foreseen
    values = foreseen.values.copy()
    values[0] = wanted.now if wanted.is_price else max(wanted.now, 0.0)
    return replace(foreseen, values=values)


def _days(tags: Sequence[str], axis: Axis, means: Means, past: Past) -> dict[str, tuple[Floats, str]]:
    """Each step by the mean of the same step of the days before, as far as they are known."""
    if not tags:
        return {}
    assert past.days is not None
    steps = max(round(past.day / axis.step), 1)
    known = means(tags, axis.start - past.days * steps * axis.step, axis.step, past.days * steps)
    places = np.arange(axis.horizon) % steps
    found: dict[str, tuple[Floats, str]] = {}
    for tag in tags:
        rows = np.asarray(known[tag], dtype=np.float64).reshape(past.days, steps)
        has = ~np.isnan(rows)
        counts = has.sum(axis=0)
        mean = np.where(counts > 0, np.where(has, rows, 0.0).sum(axis=0) / np.maximum(counts, 1), np.nan)
        days = int(has.any(axis=1).sum())
        found[tag] = mean[places], f"history of {days} days" if days else "no history"
    return found


def _before(tags: Sequence[str], axis: Axis, season: timedelta, means: Means) -> Mapping[str, Floats]:
    """Each step by the newest whole season before now: never by anything later than ``axis.start``."""
    steps = max(round(season / axis.step), 1)
    known = means(tags, axis.start - steps * axis.step, axis.step, steps)
    places = np.arange(axis.horizon) % steps
    return {tag: np.asarray(known[tag])[places] for tag in tags}


class NoForecasts:
    """A site without forecasts."""

    def ahead(self, forecast: str, axis: Axis) -> tuple[Floats, datetime] | None:
        return None


class StoredForecasts:
    """What the forecast part issued, by the files it keeps. That one is missing is told once, and that it is back."""

    def __init__(self, state: Path) -> None:
        self._folder = state / FOLDER
        self._missing: dict[str, str] = {}  # why, by its name

    def ahead(self, forecast: str, axis: Axis) -> tuple[Floats, datetime] | None:
        """As it was known when the axis begins: later ones are not looked at."""
        until = round((axis.start + axis.step).timestamp() * S_NS) - 1
        try:
            with Issues(self._folder) as issues:
                row = issues.newest(forecast, Track.LONG, until)
        except (NoForecast, OSError, sqlite3.Error) as error:
            if self._missing.get(forecast) != str(error):
                log.warning("forecast %s: %s", forecast, error)
            self._missing[forecast] = str(error)
            return None
        if self._missing.pop(forecast, None) is not None:
            log.info("forecast %s: is there again", forecast)
        median = row.values[:, int(np.argmin(np.abs(np.array(row.quantiles) - 0.5)))].astype(np.float64)
        values = on_axis(median, row.issue / S_NS, row.step_s, axis)
        if np.isnan(values).all():
            return None
        return values, datetime.fromtimestamp(row.issue / S_NS, tz=axis.start.tzinfo)


def on_axis(median: Floats, issue_s: float, step_s: int, axis: Axis) -> Floats:
    """Means of steps as means of other steps: the integral, straight between its knots; NaN beyond its reach."""
    knots = issue_s + step_s * np.arange(len(median) + 1)
    energy = np.concatenate(((0.0,), np.cumsum(median) * step_s))
    edges = axis.start.timestamp() + axis.step.total_seconds() * np.arange(axis.horizon + 1)
    at_edges = np.interp(edges, knots, energy)
    means = np.diff(at_edges) / axis.step.total_seconds()
    means[(edges[1:] > knots[-1] + 1e-3) | (edges[:-1] < knots[0] - 1e-3)] = np.nan
    return np.asarray(means, dtype=np.float64)
