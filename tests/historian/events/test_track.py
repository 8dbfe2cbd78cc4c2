"""From the samples of a flag to frames."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.config.calculated import CalculatedTag
from gateway.config.events import Event
from gateway.config.formula.tree import Constant, Formula
from historian.events.frame import Frame
from historian.events.track import Followed, Track, follow
from historian.query.average import UNCERTAIN_DATA_SUB_NORMAL

S = 10**9
BAD = 0x8005_0000
FLAG = CalculatedTag(0, Formula("true", (), Constant(True), True))


def event(min_s: float = 0, hold_off_s: float = 0) -> Event:
    return Event("e", "", FLAG, "a.on", 100, round(min_s * S), round(hold_off_s * S), "", ())


def times(frame: Frame) -> tuple[float, float | None, bool]:
    """Start, end in seconds, and whether it is exact."""
    end = None if frame.end is None else frame.end / S
    return frame.start / S, end, frame.status == 0


def followed(
    of: Event, samples: Any, now: float = 1000, gaps: Any = (), track: Track | None = None
) -> Followed:
    return follow(
        of,
        track or Track(),
        [(round(time * S), on, status) for time, on, status in samples],
        [(first * S, last * S) for first, last in gaps],
        round(now * S),
    )


def on(time: float) -> tuple[float, bool, int]:
    return time, True, 0


def off(time: float) -> tuple[float, bool, int]:
    return time, False, 0


def test_it_is_from_true_to_false():
    result = followed(event(), [off(0), on(1), on(2), off(5), on(7)])
    assert [times(frame) for frame in result.ended] == [(1, 5, True)]
    assert result.open is not None
    assert times(result.open) == (7, None, True)


def test_one_that_goes_on_again_soon_never_ended():
    samples = [off(0), on(1), off(5), on(7), off(9), on(12), off(13), on(16.001), off(21)]
    result = followed(event(hold_off_s=3), samples)
    assert [times(frame) for frame in result.ended] == [(1, 13, True), (16.001, 21, True)]


def test_it_waits_for_the_hold_off_before_it_ends():
    of = event(hold_off_s=10)
    result = followed(of, [off(0), on(1), off(5)], now=16)
    assert result.ended == ()
    assert result.open is None
    later = followed(of, [], now=17, track=result.track)
    assert [times(frame) for frame in later.ended] == [(1, 5, True)]


def test_a_short_one_is_none():
    of = event(min_s=3)
    early = followed(of, [off(0), on(1)], now=2)
    assert early.open is None
    assert followed(of, [], now=4, track=early.track).open is not None
    result = followed(of, [off(0), on(1), off(3), on(10), off(13)])
    assert [times(frame) for frame in result.ended] == [(10, 13, True)]
    assert result.dropped == (1 * S,)


def test_while_it_is_bad_it_goes_on_and_is_uncertain():
    result = followed(event(), [off(0), on(1), (3, False, BAD), off(5)])
    assert [times(frame) for frame in result.ended] == [(1, 5, False)]


def test_its_end_while_nobody_watched_is_uncertain_and_between_two_times():
    (frame,) = followed(event(), [off(0), on(1), on(3), off(50)], gaps=[(4, 49)]).ended
    assert times(frame) == (1, 50, False)
    assert frame.end_from == 4 * S


def test_its_start_while_nobody_watched_likewise():
    (frame,) = followed(event(), [off(0), on(50), off(60)], gaps=[(4, 49)]).ended
    assert times(frame) == (50, 60, False)
    assert frame.start_from == 4 * S


def test_one_that_went_on_all_the_while_is_one_and_uncertain():
    (frame,) = followed(event(), [off(0), on(1), on(50), off(60)], gaps=[(4, 49)]).ended
    assert times(frame) == (1, 60, False)
    assert frame.end_from is None


def test_one_that_goes_on_when_the_first_sample_comes_began_nobody_knows_when():
    (frame,) = followed(event(), [on(1), off(4)]).ended
    assert times(frame) == (1, 4, False)


def test_a_sample_that_is_corrected_at_its_own_time_counts():
    track = followed(event(), [off(0), on(1)], now=2).track
    result = followed(event(), [off(1)], now=3, track=track)
    assert result.ended == ()
    assert result.dropped == (1 * S,)


@given(
    st.lists(st.tuples(st.integers(0, 40), st.booleans(), st.sampled_from([0, 0, 0, BAD])), max_size=30),
    st.lists(st.integers(0, 30), max_size=5),
    st.integers(0, 6),
    st.integers(0, 6),
)
def test_whoever_stops_and_goes_on_finds_the_same_frames(samples, stops, min_s, hold_off_s):
    of = event(min_s, hold_off_s)
    ordered = sorted({time: (time, is_on, status) for time, is_on, status in samples}.values())
    whole = followed(of, ordered)
    track, ended = Track(), []
    for first, last in zip([0, *sorted(stops)], [*sorted(stops), len(ordered)], strict=True):
        piece = ordered[:last] if not first else ordered[max(first - 1, 0) : last]
        now = ordered[min(last, len(ordered)) - 1][0] if ordered and last else 0
        part = followed(of, piece, now=now, track=track)
        track = part.track
        ended += part.ended
    part = followed(of, [], track=track)
    ended += part.ended
    assert tuple(ended) == whole.ended
    assert all(frame.status in (0, UNCERTAIN_DATA_SUB_NORMAL) for frame in ended)
