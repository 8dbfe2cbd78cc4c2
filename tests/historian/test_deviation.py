"""Exception and compression: what is dropped lies within the stated bound of what is read back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.config.deviation import Deviation
from gateway.tags.quality import Quality
from historian.deviation import Filter, Point

SECOND = 10**9
BAD = int(Quality.BAD_COMMUNICATION_ERROR)
UNCERTAIN = 0x4094_0000

deviations = st.builds(
    Deviation,
    st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    st.sampled_from([3 * SECOND, 10 * SECOND, 10**15]),
    st.sampled_from([0.0, 0.1, 1.0, 2.0]),
    st.sampled_from([5 * SECOND, 50 * SECOND, 10**15]),
)
steps = st.tuples(
    st.integers(1, 5 * SECOND),
    st.one_of(
        st.floats(-3, 3),
        st.sampled_from([0.0, 0.1, -0.1, 0.5, 1.0, 2.0, -1.0]),
        st.floats(allow_nan=True, allow_infinity=True),
    ),
    st.sampled_from([0, 0, 0, 0, 0, 0, BAD, UNCERTAIN]),
)


def points_of(rows: Sequence[tuple[int, float, int]]) -> list[Point]:
    time = 0
    points = []
    for place, (gap, number, status) in enumerate(rows):
        time += gap
        points.append(Point(time, number, status, place))
    return points


def kept_of(
    deviation: Deviation, points: Sequence[Point], releases: frozenset[int] = frozenset()
) -> list[Point]:
    filter = Filter(deviation)
    kept = []
    for place, point in enumerate(points):
        kept += filter.push(point)
        if place in releases:
            kept += filter.release()
            assert not filter.is_holding
    return kept + filter.release()


def line(first: Point, last: Point, time: int) -> float:
    return first.number + (last.number - first.number) * ((time - first.time) / (last.time - first.time))


def worst(is_sloped: bool, points: Sequence[Point], kept: Sequence[Point]) -> float:
    """By how much a dropped sample differs from what is read back at its time."""
    error = 0.0
    place = 0
    for point in points:
        while place + 1 < len(kept) and kept[place + 1].time <= point.time:
            place += 1
        if kept[place].time == point.time:
            continue
        after = kept[place + 1]
        back = line(kept[place], after, point.time) if is_sloped else kept[place].number
        error = max(error, abs(back - point.number))
    return error


@settings(max_examples=100)
@given(deviations, st.lists(steps, min_size=1, max_size=60), st.sets(st.integers(0, 59)))
@example(Deviation(1.0, 10**15, 2.0, 10**15), [(SECOND, v, 0) for v in (0, -1, 1, -1, 1, 4)], set())
def test_what_is_dropped_lies_within_the_bound(
    deviation: Deviation, rows: list[tuple[int, float, int]], releases: set[int]
) -> None:
    points = points_of(rows)
    kept = kept_of(deviation, points, frozenset(releases))
    assert kept == sorted(set(kept), key=lambda point: point.time), "in order, none twice, all real"
    assert set(kept) <= set(points)
    assert kept[0] == points[0]
    assert kept[-1] == points[-1]
    for before, point in pairwise(points):
        if not point.is_plain or before.status != point.status:
            assert point in kept, "status changes and whatever is not Good"
            assert before in kept, "and what was so until then"
    scale = max((abs(point.number) for point in points if point.is_plain), default=1.0)
    assert worst(True, points, kept) <= deviation.bound(is_sloped=True) + 1e-9 * max(scale, 1.0)
    if not deviation.compression:
        assert worst(False, points, kept) <= deviation.bound(is_sloped=False)
    for first, last in pairwise(kept):
        between = [point for point in points if first.time < point.time < last.time]
        if between:
            assert between[-1].time - first.time <= deviation.held_ns


@pytest.mark.parametrize(("exception", "compression"), [(1.0, 2.0), (0.5, 1.0), (1.0, 0.001)])
def test_the_bound_is_not_wider_than_it_has_to_be(exception: float, compression: float) -> None:
    """A wave at the edge of the deadband comes as near to it as one likes."""
    deviation = Deviation(exception, 10**15, compression, 10**15)
    rows = [(1000 * SECOND, 0.0, 0), (1000 * SECOND, -exception, 0), (1, exception, 0), (1, 5 * exception, 0)]
    points = points_of(rows)
    assert worst(True, points, kept_of(deviation, points)) > 0.99 * 2 * exception - compression


def test_a_straight_line_is_its_two_ends() -> None:
    points = points_of([(SECOND, i * 0.5, 0) for i in range(1000)])
    kept = kept_of(Deviation(compression=0.01, longest_ns=10**15), points)
    assert kept == [points[0], points[-1]]


def test_a_deadband_keeps_the_sample_before_the_change() -> None:
    points = points_of([(SECOND, v, 0) for v in (0.0, 0.1, -0.1, 0.05, 7.0, 7.1)])
    kept = kept_of(Deviation(exception=0.5), points[:5])
    assert [point.number for point in kept] == [0.0, 0.05, 7.0]


def test_after_a_quiet_time_the_next_sample_counts() -> None:
    points = points_of([(SECOND, 5.0, 0) for _ in range(25)])
    kept = kept_of(Deviation(exception=1.0, quiet_ns=10 * SECOND), points)
    assert [point.time // SECOND for point in kept] == [1, 11, 21, 25]


def test_late_and_corrected_samples_are_kept_as_they_are() -> None:
    filter = Filter(Deviation(compression=1.0))
    first, second, late, again = (Point(at * SECOND, 0.0, 0, i) for i, at in enumerate((1, 5, 3, 5)))
    assert list(filter.push(first)) == [first]
    assert list(filter.push(second)) == []
    assert list(filter.push(late)) == [second, late]
    assert list(filter.push(again)) == [again]


def test_numbers_that_a_double_does_not_hold_are_all_kept() -> None:
    points = points_of([(SECOND, 2.0**53 + 2 * i, 0) for i in range(5)])
    assert kept_of(Deviation(exception=10.0), points) == points
    nan = points_of([(SECOND, math.nan, 0), (SECOND, math.inf, 0), (SECOND, 1.0, 0)])
    assert kept_of(Deviation(exception=10.0), nan) == nan


@settings(max_examples=40)
@given(deviations, st.lists(steps, min_size=2, max_size=40), st.integers(1, 39))
def test_going_on_after_the_last_kept_sample_keeps_the_bound(
    deviation: Deviation, rows: list[tuple[int, float, int]], at: int
) -> None:
    """As after a kill: what was held is forgotten, and all since the last kept sample comes again."""
    points = points_of(rows)
    first = Filter(deviation)
    kept = [point for each in points[:at] for point in first.push(each)]
    second = Filter(deviation)
    second.resume(kept[-1])
    for point in points:
        if point.time > kept[-1].time or (second.newest is not None and point.time > second.newest.time):
            kept += second.push(point)
    kept += second.release()
    assert kept == sorted(set(kept), key=lambda point: point.time)
    scale = max((abs(point.number) for point in points if point.is_plain), default=1.0)
    assert worst(True, points, kept) <= deviation.bound(is_sloped=True) + 1e-9 * max(scale, 1.0)
