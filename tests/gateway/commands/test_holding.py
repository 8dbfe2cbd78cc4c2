"""Who has the say over a point, and what the device is to get: the table, and what no order of events may do."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.commands.holding import LONGEST_RETRY_S, TRANSITIONS, Attempt, Event, Holding, State

HELD_FIRST = (Event.DEMANDED,)
ROWS = [
    ((), Event.RELEASED, State.FREE),
    ((), Event.GONE, State.FREE),  # the logic never held it
    ((), Event.DEMANDED, State.HELD),
    (HELD_FIRST, Event.RELEASED, State.FREE),
    (HELD_FIRST, Event.GONE, State.UNSAFE),
    (HELD_FIRST, Event.COMMANDED, State.HELD),
    (HELD_FIRST, Event.RECONNECTED, State.HELD),
    (HELD_FIRST, Event.OVERRIDDEN, State.OVERRIDDEN),
    ((), Event.OVERRIDDEN, State.FREE),  # there is nothing to take from the logic
    ((*HELD_FIRST, Event.OVERRIDDEN), Event.DEMANDED, State.OVERRIDDEN),
    ((*HELD_FIRST, Event.OVERRIDDEN), Event.GONE, State.OVERRIDDEN),
    ((*HELD_FIRST, Event.OVERRIDDEN), Event.RECONNECTED, State.OVERRIDDEN),
    ((*HELD_FIRST, Event.OVERRIDDEN), Event.OVERRIDDEN, State.OVERRIDDEN),
    ((*HELD_FIRST, Event.OVERRIDDEN), Event.COMMANDED, State.FREE),
    ((*HELD_FIRST, Event.OVERRIDDEN), Event.RELEASED, State.FREE),
    ((*HELD_FIRST, Event.GONE), Event.OVERRIDDEN, State.OVERRIDDEN),
    ((*HELD_FIRST, Event.GONE, Event.TAKEN), Event.OVERRIDDEN, State.OVERRIDDEN),
    ((*HELD_FIRST, Event.GONE), Event.GONE, State.UNSAFE),
    ((*HELD_FIRST, Event.GONE), Event.TAKEN, State.SAFE),
    ((*HELD_FIRST, Event.GONE), Event.RELEASED, State.FREE),
    ((*HELD_FIRST, Event.GONE), Event.DEMANDED, State.HELD),
    ((*HELD_FIRST, Event.GONE), Event.COMMANDED, State.FREE),
    ((*HELD_FIRST, Event.GONE, Event.TAKEN), Event.GONE, State.SAFE),
    ((*HELD_FIRST, Event.GONE, Event.TAKEN), Event.COMMANDED, State.FREE),
    ((*HELD_FIRST, Event.GONE, Event.TAKEN), Event.RECONNECTED, State.UNSAFE),
    ((*HELD_FIRST, Event.GONE, Event.TAKEN), Event.RELEASED, State.FREE),
    ((*HELD_FIRST, Event.GONE, Event.TAKEN, Event.COMMANDED), Event.RECONNECTED, State.FREE),
]


@pytest.mark.parametrize(("before", "event", "after"), ROWS)
def test_each_event_leads_where_the_table_says(before, event, after) -> None:
    holding = Holding(safe=0.0, refresh_s=1.0)
    for each in before:
        holding.on(each, 0.0)
    holding.on(event, 0.0)
    assert holding.state is after


def test_an_output_without_a_safe_value_is_left_as_it_is_and_is_peoples() -> None:
    holding = Holding(safe=None, refresh_s=1.0)
    holding.on(Event.DEMANDED, 0.0)
    holding.demand(5.0, 0.0)
    assert holding.on(Event.GONE, 1.0)
    assert holding.state is State.FREE
    assert holding.next_s == math.inf


def held(refresh_s: float = 1.0) -> Holding:
    holding = Holding(safe=0.0, refresh_s=refresh_s)
    holding.on(Event.DEMANDED, 10.0)
    holding.demand(5.0, 10.0)
    return holding


def write(holding: Holding, attempt: Attempt, now_s: float) -> object:
    value, state = holding.begin(now_s), holding.state
    holding.end(value, state, attempt, now_s)
    return value


def test_a_demand_is_due_at_once_and_again_every_refresh() -> None:
    holding = held()
    assert holding.next_s == 10.0
    assert write(holding, Attempt.TAKEN, 10.0) == 5.0
    assert holding.next_s == 11.0
    assert write(holding, Attempt.TAKEN, 11.0) == 5.0
    assert holding.next_s == 12.0


def test_the_same_demand_again_is_no_news() -> None:
    holding = held()
    write(holding, Attempt.TAKEN, 10.0)
    holding.demand(5.0, 10.5)
    assert holding.next_s == 11.0


def test_of_what_comes_during_a_write_the_newest_follows_at_once() -> None:
    holding = held()
    value = holding.begin(10.0)
    for demand in (6.0, 7.0, 8.0):
        holding.demand(demand, 10.1)
    holding.end(value, State.HELD, Attempt.TAKEN, 10.2)
    assert holding.next_s == 10.1
    assert holding.begin(10.2) == 8.0


def test_a_safe_value_is_tried_until_the_device_takes_it_ever_more_seldom() -> None:
    holding = held()
    holding.on(Event.GONE, 20.0)
    now_s, waits = 20.0, []
    for _ in range(12):
        assert write(holding, Attempt.UNANSWERED, now_s) == 0.0
        waits.append(holding.next_s - now_s)
        now_s = holding.next_s
    assert waits[:7] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, LONGEST_RETRY_S])
    assert waits[7:] == pytest.approx([LONGEST_RETRY_S] * 5)
    assert holding.end(holding.begin(now_s), State.UNSAFE, Attempt.TAKEN, now_s)
    assert (holding.state, holding.next_s) == (State.SAFE, math.inf)


def test_a_write_of_the_demand_that_ends_after_the_logic_is_gone_is_not_taken_for_the_safe_value() -> None:
    holding = held()
    value = holding.begin(10.0)
    holding.on(Event.GONE, 10.1)
    holding.end(value, State.HELD, Attempt.TAKEN, 10.2)
    assert holding.state is State.UNSAFE
    assert holding.begin(10.2) == 0.0


@pytest.mark.parametrize("attempt", [Attempt.TAKEN, Attempt.UNANSWERED])
def test_on_change_only_a_value_that_was_sent_is_never_sent_again(attempt) -> None:
    holding = held(refresh_s=0.0)
    assert write(holding, attempt, 10.0) == 5.0
    assert holding.next_s == math.inf
    holding.on(Event.RECONNECTED, 11.0)
    holding.demand(5.0, 12.0)
    assert holding.next_s == math.inf
    holding.demand(6.0, 13.0)
    assert holding.next_s == 13.0


@pytest.mark.parametrize("attempt", [Attempt.NOT_SENT, Attempt.REFUSED])
def test_on_change_only_what_the_device_did_not_do_is_tried_again(attempt) -> None:
    holding = held(refresh_s=0.0)
    write(holding, attempt, 10.0)
    assert 10.0 < holding.next_s < 11.0
    holding.on(Event.RECONNECTED, 10.05)
    assert holding.next_s == 10.05


def test_on_change_only_there_and_back_during_a_write_is_no_second_write() -> None:
    holding = held(refresh_s=0.0)
    value = holding.begin(10.0)
    holding.demand(6.0, 10.1)
    holding.demand(5.0, 10.1)
    holding.end(value, State.HELD, Attempt.TAKEN, 10.2)
    assert holding.next_s == math.inf


def test_a_device_that_came_back_gets_the_newest_demand_at_once() -> None:
    holding = held()
    write(holding, Attempt.NOT_SENT, 10.0)
    holding.demand(7.0, 10.01)
    write(holding, Attempt.NOT_SENT, 10.01)
    holding.on(Event.RECONNECTED, 60.0)
    assert holding.next_s <= 60.0
    assert holding.begin(60.0) == 7.0


EVENTS = st.one_of(
    st.sampled_from(Event).filter(lambda event: event is not Event.TAKEN),
    st.sampled_from(Attempt),
    st.integers(1, 4),
)


@given(st.lists(EVENTS, max_size=60), st.sampled_from([0.0, 1.0]), st.sampled_from([0, None]))
def test_whatever_happens_only_what_is_wanted_is_written_and_what_is_owed_is_due(
    happenings, refresh_s, safe
) -> None:
    holding = Holding(safe, refresh_s)
    now_s, writing = 0.0, None
    for happening in happenings:
        now_s += 0.25
        if isinstance(happening, Event):
            holding.on(happening, now_s)
            if happening is Event.DEMANDED and holding.state is State.HELD and holding.wanted is None:
                holding.demand(1, now_s)
        elif isinstance(happening, Attempt):
            if writing is not None:
                holding.end(*writing, happening, now_s)
                writing = None
            elif holding.next_s <= now_s:
                writing = holding.begin(now_s), holding.state
                assert writing[0] == (safe if holding.state is State.UNSAFE else holding.wanted)
        elif holding.state is State.HELD:
            holding.demand(happening, now_s)
        if holding.state in (State.FREE, State.SAFE):
            assert holding.next_s == math.inf
        if holding.state is State.UNSAFE and writing is None:
            assert holding.next_s <= now_s + LONGEST_RETRY_S
        if holding.state is State.HELD and writing is None and refresh_s and holding.wanted is not None:
            assert holding.next_s <= now_s + LONGEST_RETRY_S


def test_every_transition_starts_and_ends_in_a_state() -> None:
    assert set(TRANSITIONS) == set(State)
