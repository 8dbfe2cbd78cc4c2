"""Which day of which asset is to be looked at next, and what is known after it. Time is passed in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.config.health import HealthAsset, WindHealth
from historian.health.series import TooLittle
from historian.health_job.assess import Assessment, Known, assess
from historian.health_job.days import DAY_NS, S_NS, first_day_of, learned_curve, look_at
from historian.health_job.store import Day, HealthStore
from historian.query.history import History

AGAIN_NS: Final = 900 * S_NS  # today is looked at so often
SETTLED_NS: Final = 3_600 * S_NS  # after its end a day is looked at once more, when late samples have come
LOOK_BACK_DAYS: Final = 1_100  # of history that was there before the section was


@dataclass(frozen=True, slots=True)
class Due:
    """A day that is to be looked at, as far as ``until``."""

    asset: HealthAsset
    start: int
    until: int


def due_days(asset: HealthAsset, history: History, looked: dict[int, int], now: int) -> list[Due]:
    """All that are to be looked at now, in order."""
    first = first_day_of(asset, history)
    if first is None:
        return []
    today = now // DAY_NS * DAY_NS
    first = max(first, today - LOOK_BACK_DAYS * DAY_NS)
    found = []
    for start in range(first, today + 1, DAY_NS):
        end = start + DAY_NS
        until = looked.get(start, start)
        is_over = now >= end + SETTLED_NS
        if is_over and until < end:
            found.append(Due(asset, start, end))
        elif not is_over and min(now, end) - until >= (AGAIN_NS if start in looked else S_NS):
            # It is settled when its end was looked at after the hour; until then it stays below.
            found.append(Due(asset, start, min(now, end - 1)))
    return found


class Rounds:
    """Looks at days of history, each once, and keeps what they gave."""

    def __init__(self, assets: Sequence[HealthAsset], history: History, store: HealthStore) -> None:
        self._assets = assets
        self._history = history
        self._store = store

    def due(self, now: int) -> list[Due]:
        """Of all assets, the oldest first."""
        found = [
            due
            for asset in self._assets
            for due in due_days(asset, self._history, self._store.looked(asset.name), now)
        ]
        return sorted(found, key=lambda due: due.start)

    def look(self, due: Due) -> Day:
        """Look at a day and keep it. Raises HistoryError, OSError, ImportError, sqlite3.Error."""
        curve: dict[str, Any] | None = None
        whys = {}
        if isinstance(due.asset, WindHealth):
            curve = self._store.curve(due.asset.name)
            if curve is None:
                why = self._learn(due.asset, due.start)
                whys = {} if why is None else {"curve": why}
                curve = self._store.curve(due.asset.name)
        day = look_at(due.asset, self._history, due.start, due.until, curve)
        day = Day(day.start, day.until, day.estimates, {**day.whys, **whys})
        self._store.keep_day(due.asset.name, day)
        return day

    def _learn(self, asset: WindHealth, start: int) -> str | None:
        """Its curve, where there are days enough before ``start``; else why there is none."""
        known = [day for day in self._store.days(asset.name) if day.start < start]
        if len(known) < asset.learn_days:
            return f"its curve is learned from {asset.learn_days} days: there are {len(known)}"
        first = known[0].start
        try:
            curve = learned_curve(asset, self._history, first, first + asset.learn_days * DAY_NS)
        except TooLittle as error:
            return f"its curve cannot be learned: {error}"
        self._store.keep_curve(asset.name, curve)
        return None

    def assess(self, now: int) -> list[Assessment]:
        """Of all assets; items are kept. Raises sqlite3.Error, ImportError."""
        found = []
        for asset in self._assets:
            assessment = assess(asset, known_of(asset, self._store), now)
            self._store.put_items(asset.name, assessment.items, now)
            found.append(assessment)
        self._store.forget_items([asset.name for asset in self._assets], now)
        return found


def known_of(asset: HealthAsset, store: HealthStore) -> Known:
    """All that is kept of it. Raises sqlite3.Error."""
    return Known(store.days(asset.name), store.done(asset.name))


def over(asset: HealthAsset, history: History, start: int, end: int) -> Known:
    """What history tells of ``[start, end)`` by itself, and nothing is kept of. Raises what `Rounds.look` does.

    A turbine's curve is learned from the first of these days, which are then not judged by it.
    """
    curve: dict[str, Any] | None = None
    first = first_day_of(asset, history)
    if first is None:
        return Known((), {})
    days: list[Day] = []
    start = max(start, first)
    learned = start + asset.learn_days * DAY_NS if isinstance(asset, WindHealth) else start
    while start < end:
        until = min(start // DAY_NS * DAY_NS + DAY_NS, end)
        whys: dict[str, str] = {}
        if isinstance(asset, WindHealth):
            if start < learned:
                whys = {"curve": f"its curve is learned from {asset.learn_days} days: there are {len(days)}"}
            elif curve is None:
                try:
                    curve = learned_curve(asset, history, days[0].start, learned)
                except TooLittle as error:
                    whys = {"curve": f"its curve cannot be learned: {error}"}
        day = look_at(asset, history, start, until, curve)
        days.append(Day(start, until, day.estimates, {**day.whys, **whys}))
        start = until
    return Known(days, {})
