"""Random plants against a plain model in memory: whatever is written late, twice, Bad or over midnight, and packed,
merged or reopened at whatever moment, every question is answered as the model answers it.

TIELINE_MODEL_ROUNDS=500 tries so many plants instead of a few.
"""

from __future__ import annotations

import itertools
import math
import os
import struct
from bisect import bisect_left

import numpy as np
import pytest
from historian_folder import NOON, SECOND, TAGS, never

from gateway.tags.quality import Quality
from gateway.tags.tag import ValueType
from historian.query.chart import A_COLUMN
from historian.store.day_file import DayFile
from historian.store.frame import GapFrame
from historian.store.layout import DAY_NS, day_files, day_of

ROUNDS = int(os.environ.get("TIELINE_MODEL_ROUNDS", "10"))
STEPS = 14
STATUSES = np.array(
    [0, 0, 0, 0, int(Quality.BAD_COMMUNICATION_ERROR), int(Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED)]
)
MIDNIGHT = (day_of(NOON) + 1) * DAY_NS
BASES = [MIDNIGHT - DAY_NS - 20 * SECOND, MIDNIGHT - 150 * SECOND, MIDNIGHT - SECOND, MIDNIGHT + DAY_NS // 2]
TYPES = {tag.name: tag.type for tag in TAGS}
NUMBERS = [name for name, type in TYPES.items() if type is not ValueType.STRING]
ODD = [math.nan, math.inf, -math.inf, -0.0, 1e300, 5e-324, 0.1 + 0.2]
RESYNCED = ("lapped", "text")


def values_of(chance, name, count):
    match TYPES[name]:
        case ValueType.BOOL:
            return (chance.random(count) < 0.5).tolist()
        case ValueType.INT64:
            return chance.integers(-(2**63), 2**63 - 1, count).tolist()
        case ValueType.UINT64:
            return np.cumsum(chance.integers(0, 2**40, count)).tolist()
        case ValueType.STRING:
            return [("", "ä", "long " * 9, "\0")[i] for i in chance.integers(0, 4, count)]
        case _:
            walk = np.round(50 + np.cumsum(chance.normal(0, 0.3, count)), 1)
            if chance.random() < 0.3:
                walk[chance.integers(0, count, 3)] = chance.choice(ODD, 3)
            return walk.tolist()


def plain(value):
    """A value two of which are equal where their bits are."""
    return struct.pack("<d", value) if isinstance(value, float) else value


def rows(series):
    found = zip(
        series.source_times.tolist(),
        map(plain, series.values.tolist()),
        series.statuses.tolist(),
        strict=True,
    )
    return list(found)


class Plant:
    """Writes to a folder and to the model at once; ``history`` stays open all the while."""

    def __init__(self, folder, seed):
        self.folder = folder
        self.chance = np.random.default_rng(seed)
        self.known = {name: {} for name in TYPES}
        self.gaps = []
        # Once the day is over each packing ends with its merge; before, blocks stay as they were packed.
        folder.clock.now = MIDNIGHT + int(self.chance.choice([-1, 2])) * DAY_NS
        self.history = folder.history()

    def times(self):
        """Of a new batch, or the newest of a tag once more: corrections."""
        known = self.ordered(str(self.chance.choice(list(TYPES))))
        if known and self.chance.random() < 0.4:
            return known[-int(self.chance.integers(1, 20)) :]
        count = int(self.chance.integers(1, 250))
        step = int(self.chance.choice([SECOND, SECOND // 10, 7 * SECOND]))
        base = int(self.chance.choice(BASES)) + int(self.chance.integers(0, 40)) * SECOND
        times = base + step * np.arange(count)
        match self.chance.integers(0, 4):
            case 0:
                times = times + self.chance.integers(0, SECOND, count)
            case 1:
                times = self.chance.permutation(times)
            case 2:
                times = self.chance.choice(times, count)  # some of them more than once
            case _:
                pass
        return times.tolist()

    def write(self):
        times = self.times()
        for name in self.chance.permutation(list(TYPES))[: self.chance.integers(1, len(TYPES) + 1)].tolist():
            values = values_of(self.chance, name, len(times))
            is_good = self.chance.random() < 0.5
            statuses = [0] * len(times) if is_good else self.chance.choice(STATUSES, len(times)).tolist()
            self.folder.write(name, times, values, statuses)
            self.known[name] |= {
                time: (value, status) for time, value, status in zip(times, values, statuses, strict=True)
            }

    def gap(self):
        start = int(self.chance.choice(BASES)) + int(self.chance.integers(0, 200)) * SECOND
        end = start + int(self.chance.integers(1, 100)) * SECOND
        gap = GapFrame(str(self.chance.choice(["stopped", "lapped"])), start, end, None)
        self.gaps.append(gap)
        self.folder.recorder.offer(gap)
        assert self.folder.recorder.flush()

    def merge(self):
        self.folder.pack()
        self.folder.recorder._packer.close()
        for path in day_files(self.folder.directory).values():
            day = DayFile(path)
            assert day.merge(never, pytest.fail)
            day.close()

    def reopen(self):
        self.folder.recorder.close()
        self.folder.reopen()

    def step(self):
        acts = [self.write, self.write, self.write, self.folder.pack, self.merge, self.reopen, self.gap]
        acts[self.chance.integers(0, len(acts))]()

    def window(self):
        start = int(self.chance.choice(BASES)) + int(self.chance.integers(-300, 900)) * SECOND // 4
        lengths = [0, SECOND, 60 * SECOND, 600 * SECOND, DAY_NS, 4 * DAY_NS]
        return start, start + int(self.chance.choice(lengths))

    def ordered(self, name):
        return sorted(self.known[name])

    def between(self, name, start, end):
        return [(time, *self.known[name][time]) for time in self.ordered(name) if start <= time < end]

    def expected(self, name, start, end):
        return [(time, plain(value), status) for time, value, status in self.between(name, start, end)]

    def states(self, name, start, end, asked_until):
        """(from, to, value, status) of each stretch of [start, end); a value of None where nothing is known."""
        events = [(time, 2, *self.known[name][time]) for time in self.ordered(name)]
        events += [(gap.from_time, 0, None, None) for gap in self.gaps]
        for gap in self.gaps:
            before = [time for time in self.ordered(name) if time <= gap.to_time]
            is_open = any(other.from_time < gap.to_time < other.to_time for other in self.gaps)
            if gap.kind in RESYNCED and before and not is_open:
                events.append((gap.to_time, 1, *self.known[name][before[-1]]))
        # What the newest sample says holds until now; of later nothing is known.
        newest = max((time for time in self.ordered(name) if time < asked_until), default=0)
        events.append((max(self.folder.clock.now, newest), 3, None, None))
        events.sort(key=lambda event: event[:2])
        held = [event for event in events if event[0] <= start][-1:]
        inside = [event for event in events if start < event[0] < end]
        cuts = [(start, *held[0][2:])] if held else [(start, None, None)]
        cuts += [(time, value, status) for time, _, value, status in inside]
        ends = [*(cut[0] for cut in cuts[1:]), end]
        return [(time, to, value, status) for (time, value, status), to in zip(cuts, ends, strict=True)]


def usable(value, status):
    return value is not None and not status & Quality.BAD and math.isfinite(value)


def average_of(plant, name, start, end, asked_until):
    integral = known = good = 0.0
    for low, high, value, status in plant.states(name, start, end, asked_until):
        if usable(value, status):
            integral += float(value) * ((high - low) / 1e9)
            known += (high - low) / 1e9
            good += (high - low) * (status >> 30 == 0)
    return (integral / known if known else math.nan), 100 * good / (end - start)


def check_raw(plant):
    start, end = plant.window()
    answers = plant.history.raw_many(TYPES, start, end)
    assert {name: rows(series) for name, series in answers.items()} == {
        name: plant.expected(name, start, end) for name in TYPES
    }
    assert not any(series.damaged for series in answers.values())


def check_limited(plant):
    start, end = plant.window()
    limit, newest_first = int(plant.chance.integers(1, 40)), bool(plant.chance.integers(0, 2))
    for name in TYPES:
        expected = plant.expected(name, start, end)[:: -1 if newest_first else 1][:limit]
        assert rows(plant.history.raw(name, start, end, limit=limit, newest_first=newest_first)) == expected
        assert rows(plant.history.latest(name, limit)) == plant.expected(name, 0, 2**62)[::-1][:limit]


def check_last(plant):
    answers = plant.history.last_many(TYPES)
    assert {name: rows(series) for name, series in answers.items()} == {
        name: plant.expected(name, 0, 2**62)[-1:] for name in TYPES
    }


def check_averages(plant):
    start, end = plant.window()
    end = max(end, start + SECOND)
    interval = max((end - start) // int(plant.chance.integers(1, 12)), 1)
    answers = plant.history.time_average_many(NUMBERS, start, end, interval)
    for name, found in answers.items():
        edges = [*range(start, end, interval), end]
        assert found.starts.tolist() == edges[:-1]
        expected = [average_of(plant, name, low, high, end) for low, high in itertools.pairwise(edges)]
        for value, good, (mean, percent) in zip(found.values, found.percent_good, expected, strict=True):
            assert value == pytest.approx(mean, rel=1e-9, abs=1e-9, nan_ok=True) or abs(mean) > 1e290
            assert good == pytest.approx(percent, abs=1e-6)


def check_charts(plant):
    start, end = plant.window()
    end = max(end, start + 600 * SECOND)
    points = int(plant.chance.choice([A_COLUMN, 40, 400, 4000]))
    columns = min(points // A_COLUMN, end - start)
    edges = [start + (end - start) * place // columns for place in range(columns + 1)]
    for name, line in plant.history.chart(NUMBERS, start, end, points).items():
        drawn = [
            (time, float(value))
            for time, value, status in plant.between(name, start, end)
            if usable(value, status)
        ]
        assert (np.diff(line.times) >= 0).all()
        shown = [(t, v) for t, v in zip(line.times.tolist(), line.values.tolist(), strict=True) if t >= start]
        kept = [(t, v) for t, v in shown if not math.isnan(v)]
        assert extremes(kept, edges) == extremes(drawn, edges)
        check_breaks(plant, name, line, start, end)


def extremes(points, edges):
    """First, least, greatest and last value of each column that has any."""
    found = {}
    for column, some in itertools.groupby(points, key=lambda point: bisect_left(edges, point[0] + 1)):
        values = [value for _, value in some]
        found[column] = (values[0], min(values), max(values), values[-1])
    return found


def check_breaks(plant, name, line, start, end):
    """Between two points that a break lies between, the line is broken; and nowhere else."""
    broken = [
        low
        for low, high, value, status in plant.states(name, start, end, end)
        if low < high and not usable(value, status)
    ]
    pairs = itertools.pairwise(
        (t, math.isnan(v)) for t, v in zip(line.times.tolist(), line.values.tolist(), strict=True)
    )
    for (time, is_break), (following, then_break) in pairs:
        if not is_break and not then_break and time >= start:
            assert not any(time < at < following for at in broken), (name, time, following)


CHECKS = (check_raw, check_limited, check_last, check_averages, check_charts)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_every_question_is_answered_as_a_model_in_memory_answers_it(folder, seed):
    plant = Plant(folder, seed)
    try:
        plant.write()
        for _ in range(STEPS):
            plant.step()
            CHECKS[plant.chance.integers(0, len(CHECKS))](plant)
        plant.merge()
        for check in CHECKS:
            check(plant)
    finally:
        plant.history.close()
