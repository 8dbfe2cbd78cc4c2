"""A device over time: states, back-off, schedule and staleness, on times that the test makes up."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.drivers.session import (
    FIRST_RETRY_S,
    TRANSITIONS,
    Backoff,
    Event,
    Freshness,
    Schedule,
    Session,
    State,
)


def session(cap_s: float = 60.0) -> Session:
    return Session(Backoff(cap_s, random.Random(1)))


def drive(it: Session, *events: Event) -> State:
    for event in events:
        it.on(event)
    return it.state


CONNECT = (Event.RETRY_DUE, Event.OPENED)
FAIL = (Event.RETRY_DUE, Event.REFUSED)


def test_every_state_is_in_the_table_and_can_be_left_and_reached() -> None:
    assert set(TRANSITIONS) == set(State)
    reached = {following for events in TRANSITIONS.values() for following in events.values()}
    assert reached == set(State)
    for state, events in TRANSITIONS.items():
        assert any(following is not state for following in events.values())


def test_a_connection_alone_is_not_up() -> None:
    it = session()
    assert drive(it, *CONNECT) is State.PROBING
    assert not it.is_connected
    assert it.is_open
    assert drive(it, Event.ANSWERED) is State.UP
    assert it.is_connected


def test_one_missed_answer_is_forgiven_and_two_are_not() -> None:
    it = session()
    drive(it, *CONNECT, Event.ANSWERED, Event.SILENT)
    assert it.is_connected
    assert drive(it, Event.ANSWERED) is State.UP
    assert drive(it, Event.SILENT, Event.SILENT) is State.DOWN


def test_an_event_that_makes_no_sense_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="ANSWERED"):
        session().on(Event.ANSWERED)


def test_a_device_that_accepts_but_never_answers_stays_in_the_back_off() -> None:
    it = session()
    delays = []
    for _ in range(6):
        drive(it, *CONNECT, Event.SILENT)
        delays.append(it.retry_s())
    assert delays[-1] > 8 * FIRST_RETRY_S
    drive(it, *CONNECT, Event.ANSWERED, Event.LOST)
    assert it.retry_s() <= FIRST_RETRY_S


@given(st.integers(), st.floats(0.5, 300), st.integers(1, 200))
def test_delays_grow_to_the_cap_and_are_jittered_below_it(seed: int, cap_s: float, count: int) -> None:
    backoff = Backoff(cap_s, random.Random(seed))
    for failures in range(count):
        ceiling = min(cap_s, FIRST_RETRY_S * 2.0**failures)
        assert ceiling / 2 <= backoff.next_s() <= ceiling


def test_a_hundred_devices_do_not_return_as_one() -> None:
    chance = random.Random(7)
    delays = {Backoff(60.0, chance, failures=10).next_s() for _ in range(100)}
    assert len(delays) == 100
    assert max(delays) - min(delays) > 20


@given(st.floats(0.001, 100), st.floats(0, 1e6), st.lists(st.floats(0, 1000), min_size=1, max_size=50))
def test_due_times_stay_on_the_grid_and_never_pile_up(
    period_s: float, start_s: float, waits: list[float]
) -> None:
    schedule = Schedule(period_s, start_s)
    now_s = start_s
    for wait_s in waits:
        now_s = max(now_s + wait_s, schedule.next_s)
        before = schedule.next_s
        schedule.advance(now_s)
        assert schedule.next_s > before
        assert schedule.next_s > now_s
        assert schedule.next_s <= now_s + period_s * (1 + 1e-6) + 1e-6
        periods = (schedule.next_s - start_s) / period_s
        assert abs(periods - round(periods)) < 1e-3


def test_a_million_polls_do_not_drift() -> None:
    schedule = Schedule(0.1, 1000.0)
    for _ in range(1_000_000):
        schedule.advance(schedule.next_s + 0.03)
    assert schedule.next_s == pytest.approx(1000.0 + 100_000.0, abs=1e-6)


def test_an_overrun_skips_the_periods_it_missed() -> None:
    schedule = Schedule(1.0, 0.0)
    schedule.advance(3.5)
    assert schedule.next_s == 4.0


def test_a_timer_that_comes_early_does_not_poll_twice() -> None:
    schedule = Schedule(1.0, 0.0)
    schedule.advance(0.0)
    dues = [schedule.next_s]
    for _ in range(3):
        schedule.advance(schedule.next_s - 0.0005)
        dues.append(schedule.next_s)
    assert [after - before for before, after in pairwise(dues)] == [1.0, 1.0, 1.0]


def test_a_value_is_stale_once_at_its_time() -> None:
    freshness = Freshness(1.0, until_s=10.0)
    assert not freshness.expire(9.999)
    freshness.refresh(9.5)
    assert not freshness.expire(10.4)
    assert freshness.expire(10.5)
    assert not freshness.expire(11.0)
    freshness.refresh(12.0)
    assert not freshness.is_stale
    assert freshness.expire(13.0)
