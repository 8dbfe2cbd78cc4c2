"""The aggregates of OPC 10000-13 sample by sample and interval by interval, as the text says them: slow."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

GOOD, UNCERTAIN, BAD, NO_DATA = 0, 0x40A4_0000, 0x8000_0000, 0x809B_0000
CALCULATED, INTERPOLATED, PARTIAL, MULTIPLE = 0x401, 0x402, 0x404, 0x410


def severity(status: int) -> int:
    """0 Good, 1 Uncertain, 2 Bad."""
    return min(status >> 30, 2)


@dataclass
class Point:
    time: int
    value: Any
    status: int


class Reference:
    def __init__(self, samples, start, end, interval, stepped, configuration, resolution):
        while samples and samples[0].status >> 16 == NO_DATA >> 16:
            samples = samples[1:]
        self.samples = [
            Point(s.time, s.value, s.status)
            if math.isfinite(s.value)
            else Point(s.time, 0.0, s.status if severity(s.status) == 2 else BAD)
            for s in samples
        ]
        self.stored = {s.time: s for s in samples}
        self.stepped, self.configuration, self.resolution = stepped, configuration, resolution
        self.backwards = end < start
        self.intervals = []
        step = (interval or abs(end - start)) * (-1 if self.backwards else 1)
        at = start
        while at != end:
            then = max(at + step, end) if self.backwards else min(at + step, end)
            self.intervals.append((at, then))
            at = then

    # Which samples

    def usable(self, point, treat=None):
        treat = self.configuration.treat_uncertain_as_bad if treat is None else treat
        return severity(point.status) == 0 or (severity(point.status) == 1 and not treat)

    def inside(self, interval):
        start, end = interval
        if self.backwards:
            return [s for s in self.samples if end < s.time <= start]
        return [s for s in self.samples if start <= s.time < end]

    def simple(self, at, treat=None):
        """3.1.9"""
        for sample in self.samples:
            if sample.time == at:
                return sample if self.usable(sample, treat) else Point(at, 0.0, NO_DATA)
        before = [s for s in self.samples if s.time < at]
        after = [s for s in self.samples if s.time > at]
        if not before or not after or not self.usable(before[-1], treat):
            return Point(at, 0.0, NO_DATA)
        low, high = before[-1], after[0]
        doubtful = severity(low.status) == 1
        value = low.value
        if not self.stepped:
            doubtful = doubtful or severity(high.status) > 0
            if self.usable(high, treat):
                value = line(low, high, at)
        return Point(at, value, (UNCERTAIN if doubtful else GOOD) | INTERPOLATED)

    def interpolated(self, at, stepped):
        """3.1.8"""
        usable = [s for s in self.samples if self.usable(s)]
        before = [s for s in usable if s.time <= at]
        after = [s for s in usable if s.time > at]
        if not before:
            return Point(at, 0.0, NO_DATA)
        low = before[-1]
        if low.time == at:
            return low
        skipped = [s for s in self.samples if low.time < s.time <= at and not self.usable(s)]
        doubtful = severity(low.status) == 1 or bool(skipped)
        if stepped:
            doubtful = doubtful or not [s for s in self.samples if s.time > at]
            return Point(at, low.value, (UNCERTAIN if doubtful else GOOD) | INTERPOLATED)
        if after:
            high = after[0]
            skipped = [s for s in self.samples if low.time < s.time < high.time]
            doubtful = doubtful or severity(high.status) == 1 or bool(skipped)
            return Point(at, line(low, high, at), (UNCERTAIN if doubtful else GOOD) | INTERPOLATED)
        value = low.value
        if self.configuration.use_sloped_extrapolation and len(before) > 1:
            value = line(before[-2], low, at)
        return Point(at, value, UNCERTAIN | INTERPOLATED)

    def regions(self, interval):
        """(length, first point, last point) of each region with simple bounds."""
        low, high = min(interval), max(interval)
        points = [self.simple(low)]
        points += [
            s if self.usable(s) else Point(s.time, 0.0, NO_DATA) for s in self.samples if low < s.time < high
        ]
        points.append(self.simple(high))
        last = self.samples[-1].time
        for first, then in itertools.pairwise(points):
            length = then.time - first.time
            if first.time == last:
                length = min(length, self.resolution)
            if first.time > last:
                length = 0
            yield length, first, then

    # Statuses

    def share(self, good, bad, total):
        c = self.configuration
        if good == total or good * 100 >= c.percent_data_good * total:
            return GOOD
        return BAD if bad * 100 >= c.percent_data_bad * total else UNCERTAIN

    def by_time(self, interval):
        bad = total = 0
        for length, first, then in self.regions(interval):
            state = severity(first.status)
            if state == 0 and not self.stepped and severity(then.status) > 0:
                state = 1
            total += length
            if state == 2 or (state == 1 and self.configuration.treat_uncertain_as_bad):
                bad += length
        return self.share(total - bad, bad, total)

    def by_count(self, interval):
        states = [severity(s.status) for s in self.inside(interval)]
        bad = states.count(2) + (states.count(1) if self.configuration.treat_uncertain_as_bad else 0)
        return self.share(states.count(0), bad, len(states))

    # Aggregates: each gives (time, value, status) of one interval

    def all(self, name):
        return [self.one(name, interval) for interval in self.intervals]

    def one(self, name, interval):
        start, _ = interval
        low, high = min(interval), max(interval)
        point = Point(start, None, NO_DATA)
        partial = False
        if self.samples:
            first, last = self.samples[0].time, self.samples[-1].time
            partial = low < first < high or low <= last < high
            reaches = high >= first and low < last if self.backwards else high > first and low <= last
            if reaches or name == "interpolative":
                point = getattr(self, name)(interval)
        if partial and name not in ("interpolative", "average"):
            point = Point(point.time, point.value, point.status | PARTIAL)
        return point.time, (None if severity(point.status) == 2 else point.value), point.status

    def interpolative(self, interval):
        return self.interpolated(interval[0], self.stepped)

    def good(self, interval):
        return [s for s in self.inside(interval) if severity(s.status) == 0]

    def average(self, interval):
        good = [s.value for s in self.good(interval)]
        if not good:
            return Point(interval[0], None, NO_DATA)
        return Point(interval[0], math.fsum(good) / len(good), self.by_count(interval) | CALCULATED)

    def time_average(self, interval, per_second=True):
        low, high = min(interval), max(interval)
        ends = [self.interpolated(low, False), self.interpolated(high, False)]
        between = [s for s in self.samples if low < s.time < high]
        points = [p for p in (ends[0], *between, ends[1]) if p is ends[1] or self.usable(p, False)]
        points = [p for p in points if p in ends or self.usable(p)]
        points = [p for p in points if severity(p.status) < 2]
        area = seconds = 0.0
        for first, then in itertools.pairwise(points):
            length = (then.time - first.time) / 1e9
            area += (first.value + then.value) / 2 * length
            seconds += length
        if not seconds:
            return Point(interval[0], None, NO_DATA)
        doubtful = any(severity(p.status) for p in (*ends, *between))
        status = (UNCERTAIN if doubtful else GOOD) | CALCULATED
        return Point(interval[0], area / seconds if per_second else area, status)

    def total(self, interval):
        return self.time_average(interval, per_second=False)

    def time_average2(self, interval, per_second=True):
        area = seconds = 0.0
        for length, first, then in self.regions(interval):
            if severity(first.status) < 2:
                ends_at = first.value if self.stepped or severity(then.status) == 2 else then.value
                area += (first.value + ends_at) / 2 * length / 1e9
                seconds += length / 1e9
        if not seconds:
            return Point(interval[0], None, NO_DATA)
        return Point(interval[0], area / seconds if per_second else area, self.by_time(interval) | CALCULATED)

    def total2(self, interval):
        return self.time_average2(interval, per_second=False)

    def extreme(self, interval, pick, actual_time):
        good = self.good(interval)
        if not good:
            return Point(interval[0], None, NO_DATA)
        value = pick(s.value for s in good)
        first = next(s for s in good if s.value == value)
        others = [s for s in self.inside(interval) if s not in good]
        beyond = [
            s for s in others if self.usable(s) and s.value != value and pick(s.value, value) == s.value
        ]
        status = UNCERTAIN if beyond or any(not self.usable(s) for s in others) else GOOD
        if not actual_time and (first.time != interval[0] or status):
            status |= CALCULATED
        if sum(s.value == value for s in good) > 1:
            status |= MULTIPLE
        return Point(first.time if actual_time else interval[0], value, status)

    def minimum(self, interval):
        return self.extreme(interval, min, False)

    def maximum(self, interval):
        return self.extreme(interval, max, False)

    def minimum_actual_time(self, interval):
        return self.extreme(interval, min, True)

    def maximum_actual_time(self, interval):
        return self.extreme(interval, max, True)

    def range(self, interval):
        low, high = self.minimum(interval), self.maximum(interval)
        if low.value is None:
            return Point(interval[0], None, NO_DATA)
        status = UNCERTAIN if severity(low.status) or severity(high.status) else GOOD
        return Point(interval[0], high.value - low.value, status | CALCULATED)

    def candidates(self, interval):
        """Usable values with simple bounds, the later of them only where lines are drawn or it is a member."""
        low, high = min(interval), max(interval)
        early, late = self.simple(low), self.simple(high)
        found = [early, *(s for s in self.samples if low < s.time < high)]
        if not self.stepped or (
            self.backwards and late.time in self.stored and not late.status & INTERPOLATED
        ):
            found.append(late)
        return [p for p in found if self.usable(p)]

    def extreme2(self, interval, pick, actual_time):
        start, end = interval
        found = self.candidates(interval)
        if not found:
            return Point(start, None, NO_DATA)
        value = pick(p.value for p in found)
        first = next(p for p in found if p.value == value)
        status, time = self.by_time(interval), start
        interpolated = first.time not in self.stored
        if actual_time:
            time = first.time
            if first.time == end:
                time += self.resolution if self.backwards else -self.resolution
            if first.time == end or interpolated:
                status |= INTERPOLATED
        elif interpolated:
            status |= INTERPOLATED
        elif first.time != start:
            status |= CALCULATED
        if sum(p.value == value for p in found) > 1:
            status |= MULTIPLE
        return Point(time, value, status)

    def minimum2(self, interval):
        return self.extreme2(interval, min, False)

    def maximum2(self, interval):
        return self.extreme2(interval, max, False)

    def minimum_actual_time2(self, interval):
        return self.extreme2(interval, min, True)

    def maximum_actual_time2(self, interval):
        return self.extreme2(interval, max, True)

    def range2(self, interval):
        values = [p.value for p in self.candidates(interval)]
        if not values:
            return Point(interval[0], None, NO_DATA)
        return Point(interval[0], max(values) - min(values), self.by_time(interval) | CALCULATED)

    def counted(self, interval, number):
        status = self.by_count(interval)
        return Point(interval[0], number, status if status == BAD else status | CALCULATED)

    def count(self, interval):
        return self.counted(interval, len(self.good(interval)))

    def number_of_transitions(self, interval):
        number = 0
        for sample in self.inside(interval):
            if self.usable(sample):
                before = [s for s in self.samples if s.time < sample.time and self.usable(s)]
                number += not before or before[-1].value != sample.value
        return self.counted(interval, number)

    def in_state(self, interval, wanted):
        held = sum(
            length
            for length, first, _ in self.regions(interval)
            if severity(first.status) == 0 and (first.value == 0) is wanted
        )
        return Point(interval[0], held / 1e6, self.by_time(interval) | CALCULATED)

    def duration_in_state_zero(self, interval):
        return self.in_state(interval, True)

    def duration_in_state_non_zero(self, interval):
        return self.in_state(interval, False)

    def stored_one(self, interval, place):
        found = self.inside(interval)
        if not found:
            return Point(interval[0], None, NO_DATA)
        return self.stored[found[place].time]

    def start(self, interval):
        return self.stored_one(interval, 0)

    def end(self, interval):
        return self.stored_one(interval, -1)

    def delta(self, interval):
        found, good = self.inside(interval), self.good(interval)
        if not good:
            return Point(interval[0], None, NO_DATA)
        status = GOOD if found[0] is good[0] and found[-1] is good[-1] else UNCERTAIN
        return Point(interval[0], good[-1].value - good[0].value, status | CALCULATED)

    def start_bound(self, interval):
        return self.simple(interval[0])

    def end_bound(self, interval):
        bound = self.simple(interval[1])
        if severity(bound.status) == 2:
            return Point(interval[0], None, NO_DATA)
        return Point(interval[0], bound.value, bound.status & 0xFFFF_0000 | CALCULATED)

    def delta_bounds(self, interval):
        first, last = self.simple(interval[0]), self.simple(interval[1])
        worst = max(severity(first.status), severity(last.status))
        if worst == 2:
            return Point(interval[0], None, NO_DATA)
        return Point(interval[0], last.value - first.value, (UNCERTAIN if worst else GOOD) | CALCULATED)

    def time_in(self, interval):
        good = bad = total = 0
        for length, first, _ in self.regions(interval):
            state = severity(first.status)
            good += length if state == 0 else 0
            if state == 2 or (state == 1 and self.configuration.treat_uncertain_as_bad):
                bad += length
            total += length
        return good, bad, max(total, 1)

    def duration_good(self, interval):
        return Point(interval[0], self.time_in(interval)[0] / 1e6, CALCULATED)

    def duration_bad(self, interval):
        return Point(interval[0], self.time_in(interval)[1] / 1e6, CALCULATED)

    def percent_good(self, interval):
        good, _, total = self.time_in(interval)
        return Point(interval[0], 100 * good / total, CALCULATED)

    def percent_bad(self, interval):
        _, bad, total = self.time_in(interval)
        return Point(interval[0], 100 * bad / total, CALCULATED)

    def worst_of(self, interval, statuses):
        if not statuses:
            return Point(interval[0], None, NO_DATA)
        worst = max(severity(status) for status in statuses)
        equal = [status for status in statuses if severity(status) == worst]
        bits = CALCULATED | (MULTIPLE if len(equal) > 1 and worst else 0)
        return Point(interval[0], equal[0], bits)

    def worst_quality(self, interval):
        return self.worst_of(interval, [self.stored[s.time].status for s in self.inside(interval)])

    def worst_quality2(self, interval):
        low, high = min(interval), max(interval)
        between = [self.stored[s.time].status for s in self.samples if low < s.time < high]
        ends = [self.simple(at, treat=False).status & 0xFFFF_0000 for at in (low, high)]
        return self.worst_of(interval, [ends[0], *between, ends[1]])

    def spread(self, interval, less, root):
        values = [s.value for s in self.good(interval)]
        if not values:
            return Point(interval[0], None, NO_DATA)
        mean = math.fsum(values) / len(values)
        spread = 0.0
        if len(values) > 1:
            spread = math.fsum((v - mean) ** 2 for v in values) / (len(values) - less)
        status = UNCERTAIN if len(values) < len(self.inside(interval)) else GOOD
        return Point(interval[0], math.sqrt(spread) if root else spread, status | CALCULATED)

    def standard_deviation_sample(self, interval):
        return self.spread(interval, 1, True)

    def variance_sample(self, interval):
        return self.spread(interval, 1, False)

    def standard_deviation_population(self, interval):
        return self.spread(interval, 0, True)

    def variance_population(self, interval):
        return self.spread(interval, 0, False)


def line(low, high, at):
    """3.1.5"""
    return low.value + (at - low.time) / (high.time - low.time) * (high.value - low.value)
