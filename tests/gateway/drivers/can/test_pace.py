"""When the loop rests between batches: never on a quiet bus, and on a full one so that it leaves most of a core."""

from __future__ import annotations

import pytest

from gateway.drivers.can.pace import LEAST_REST_S, MOST_REST_S, REST, Pace


def test_frames_that_come_alone_are_never_waited_for() -> None:
    pace = Pace(0.0)
    rests = [pace.rest_s(0.0001, millisecond / 1000) for millisecond in range(1, 1000)]
    assert set(rests) == {0.0}


@pytest.mark.parametrize("frame_s", [3e-6, 10e-6])
def test_a_full_bus_has_a_quarter_of_a_core_and_batches_that_are_as_large_as_they_need_be(frame_s) -> None:
    """20,000 frames a second, each batch of which costs 100 µs and something a frame."""
    pace, now_s, worked_s, taken = Pace(0.0), 0.0, 0.0, 0
    batches = []
    while now_s < 10.0:
        due = int(20_000 * now_s) - taken
        cost_s = 100e-6 + frame_s * due
        now_s += cost_s
        worked_s += cost_s
        taken += due
        batches.append(due)
        now_s += pace.rest_s(cost_s, now_s)
    assert worked_s / now_s == pytest.approx(1 / (1 + REST), abs=0.02)
    assert max(batches) < 20_000 * 2 * MOST_REST_S


def test_one_batch_that_took_long_delays_the_next_by_no_more_than_is_said() -> None:
    assert Pace(0.0).rest_s(5.0, 5.0) == MOST_REST_S


def test_a_rest_that_is_paid_is_not_asked_again() -> None:
    pace = Pace(0.0)
    rest_s = pace.rest_s(0.001, 0.001)
    assert rest_s == pytest.approx(REST * 0.001)
    assert pace.rest_s(0.0001, 0.001 + rest_s + 0.0001) < LEAST_REST_S
