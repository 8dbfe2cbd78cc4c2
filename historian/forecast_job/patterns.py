"""Daily patterns of a forecast's classes of consumers: learned with its models, kept beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from gateway.config.consumer_classes import TEXT_BYTES
from gateway.config.forecasts import ConsumerClass, Forecast
from gateway.tags.quality import Quality
from historian.forecast_job import library
from historian.forecast_job.frames import averages
from historian.forecast_job.plan import DAY_S, S_NS
from historian.keeping.zone import zone_named
from historian.query.history import History

SLOTS: Final = 24
STEP_S: Final = 900  # every time zone is a multiple of it off UTC, so that slots hold whole steps
STEP_NS: Final = STEP_S * S_NS
LEAST_GOOD: Final = 0.5  # of a day: before, what it will be is a guess
RECIPE: Final = 1  # counted up when patterns of older programs must not be used


def recipe_of(forecast: Forecast, zone: str) -> str:
    """SHA-256 of all that patterns depend on."""
    told = {
        "recipe": RECIPE,
        "classes": [[each.name, each.members] for each in forecast.classes],
        "shape": [SLOTS, zone],
    }
    return hashlib.sha256(orjson.dumps(told)).hexdigest()


def learn(history: History, folder: Path, forecast: Forecast, zone: str, now: int) -> list[str]:
    """Learn those of all classes out of the whole days before today, and keep them; a line a class says what came of
    it. Raises OSError, ModelError, ImportError.
    """
    if not forecast.classes:
        return []
    today = _local_day(now, zone)
    start, end = midnight(today - timedelta(days=forecast.train_days), zone), midnight(today, zone)
    found: dict[str, Any] = {}
    lines = []
    for each in forecast.classes:
        times, values = _steps(history, each, start, end)
        what = f"{forecast.name}, patterns of {each.name}"
        try:
            patterns = library.learn_patterns(times, values, each.members, STEP_S, zone, SLOTS)
        except ValueError as error:
            found[each.name] = {"why": str(error)}
            lines.append(f"{what}: {error}")
            continue
        found[each.name] = patterns.plain()
        count = len(patterns.centres)
        lines.append(
            f"{what}: {count} in {patterns.sizes.sum()} days" + "".join(f"; {s}" for s in patterns.skipped)
        )
    library.write_patterns(
        folder,
        forecast.name,
        {
            "forecast": forecast.name,
            "recipe": recipe_of(forecast, zone),
            "trained_ns": now,
            "from_ns": start,
            "to_ns": end,
            "classes": found,
        },
    )
    return lines


@dataclass(frozen=True, slots=True)
class Day:
    """A day of a class: ``values`` (members, slots) of those learned from, and what they are judged to be."""

    values: Any
    judged: Any
    patterns: Any

    @property
    def text(self) -> str:
        """The pattern of most members; empty where too little is known."""
        known = self.judged.pattern[self.judged.pattern >= 0]
        if not len(known):
            return ""
        counts = np.bincount(known)
        pattern = int(counts.argmax())
        of = f" ({counts[pattern]} of {len(known)})" if len(self.patterns.members) > 1 else ""
        text = f"{pattern + 1} of {len(self.patterns.centres)}: {self.patterns.describe(pattern)}{of}"
        return text.encode()[:TEXT_BYTES].decode(errors="ignore")

    @property
    def most_unusual(self) -> str:
        """The member; empty where none is judged."""
        scores = self.judged.unusual_by_member
        if not np.isfinite(scores).any():
            return ""
        # Of those that are beyond all other days the one that is the furthest.
        order = np.lexsort((np.nan_to_num(self.judged.distance), np.nan_to_num(scores, nan=-1.0)))
        return str(self.patterns.members[order[-1]].name)


def judge(history: History, patterns: Any, day: date, until: int, zone: str) -> Day:
    """A civil day, as far as ``until``. Raises OSError, HistoryError."""
    start = midnight(day, zone)
    end = min(midnight(day + timedelta(days=1), zone), max(until, start))
    names = tuple(member.name for member in patterns.members)
    times, values = _steps(history, ConsumerClass("", names, ()), start, end // STEP_NS * STEP_NS)
    table = library.day_of(times, values, STEP_S, zone, SLOTS)
    return Day(table, patterns.judge(table), patterns)


@dataclass(slots=True)
class PatternWatch:
    """The classes of a running forecast: their patterns, as they were learned last, and today, judged once an hour.

    ``why`` says of each class without patterns why there are none. Raises OSError and HistoryError of what it reads.
    """

    forecast: Forecast
    history: History
    folder: Path
    zone: str
    grace_ns: int
    days: dict[str, Day] = field(default_factory=dict)
    why: list[str] = field(default_factory=list)
    trained: int = 0
    _patterns: dict[str, Any] = field(default_factory=dict)
    _of_file: tuple[int, int] | None = (0, 0)  # of none that was looked for
    _judged_until: int = -1

    def look(self, now: int) -> bool:
        """True where there is something new to tell."""
        if not self.forecast.classes:
            return False
        changed = self._take()
        until = _hour(now - self.grace_ns, self.zone)
        if until == self._judged_until and not changed:
            return False
        today = _local_day(until, self.zone)
        self.days = {
            name: judge(self.history, patterns, today, until, self.zone)
            for name, patterns in self._patterns.items()
        }
        self._judged_until = until
        return True

    def told(self, now: int) -> Iterator[tuple[int, float | str | None, int]]:
        """Tags, what they say and how good that is."""
        is_old = now - self.trained > self.forecast.max_model_days * DAY_S * S_NS
        for each in self.forecast.classes:
            tags = dict(each.tags)
            day = self.days.get(each.name)
            if day is None or not day.text:
                for tag in tags.values():
                    yield tag, None, Quality.BAD_NO_DATA
                continue
            is_guess = day.judged.known < LEAST_GOOD or is_old
            status = Quality.UNCERTAIN_DATA_SUB_NORMAL if is_guess else Quality.GOOD
            yield tags["pattern"], day.text, status
            yield tags["unusual_pct"], day.judged.unusual, status
            if "most_unusual" in tags:
                yield tags["most_unusual"], day.most_unusual, status

    def _take(self) -> bool:
        """The file of patterns, where it is another one than before; whether it was."""
        try:
            status = library.patterns_path(self.folder, self.forecast.name).stat()
        except FileNotFoundError:
            found = None
        else:
            found = (status.st_ino, status.st_mtime_ns)
        if found == self._of_file:
            return False
        self._patterns, self.why = {}, []
        if found is None:
            self.why = ["patterns: none are learned yet"]
        else:
            try:
                told = library.read_patterns(
                    self.folder, self.forecast.name, recipe_of(self.forecast, self.zone)
                )
            except library.ModelError as error:
                self.why = [f"patterns: {error}"]
            else:
                self.trained = int(told["trained_ns"])
                self._patterns, self.why = sorted_out(told["classes"])
        self._of_file = found
        return True


def sorted_out(classes: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The patterns of those classes that have some, and why others have none."""
    found = {name: library.patterns_of(told) for name, told in classes.items() if "why" not in told}
    return found, [f"patterns of {name}: {told['why']}" for name, told in classes.items() if "why" in told]


def midnight(day: date, zone: str) -> int:
    """When a civil day begins."""
    local = datetime(day.year, day.month, day.day, tzinfo=zone_named(zone))
    return int(local.timestamp()) * S_NS


def _steps(history: History, each: ConsumerClass, start: int, end: int) -> tuple[Any, Any]:
    """When steps begin, and the averages of the members, (steps, members)."""
    times = np.arange(start, end, STEP_NS, dtype=np.int64)
    if not len(times):
        return times, np.empty((0, len(each.members)))
    found = averages(history, each.members, start, end, STEP_NS)
    return times, np.stack([found[name] for name in each.members], axis=1)


def _local_day(now: int, zone: str) -> date:
    return datetime.fromtimestamp(now // S_NS, zone_named(zone)).date()


def _hour(now: int, zone: str) -> int:
    """When the hour of the clock on the wall began."""
    local = datetime.fromtimestamp(now // S_NS, zone_named(zone))
    return (now // S_NS - local.minute * 60 - local.second) * S_NS
