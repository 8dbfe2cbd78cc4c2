"""History by the plant's time: the same answers as of a plant that lived them by the wall."""

from __future__ import annotations

import numpy as np
import pytest
from historian_folder import NOON, SECOND

from gateway.config.plant_time import PlantTime
from gateway.tags.aggregate import Aggregate
from historian.query.history import History
from historian.query.plant import PlantHistory, open_history

HOUR = 3600 * SECOND
TIME = PlantTime(NOON, 60.0)


@pytest.fixture
def both(make_folder):
    """A day of the same plant, at 60 times, and as the wall saw one that was no faster; both are over."""
    times = np.arange(NOON - 24 * HOUR, NOON, 120 * SECOND)
    values = np.random.default_rng(6).normal(100.0, 20.0, len(times))
    fast, slow = make_folder(), make_folder()
    fast.write("a.power_kw", TIME.wall_ns(times), values)
    slow.write("a.power_kw", times, values)
    histories = (
        PlantHistory(fast.directory, TIME, lambda: NOON),
        History(slow.directory, clock=lambda: NOON),
    )
    yield histories
    for history in histories:
        history.close()


def test_averages_are_those_of_the_plant_s_steps(both):
    fast, slow = (
        history.time_average("a.power_kw", NOON - 25 * HOUR, NOON + HOUR, 900 * SECOND) for history in both
    )
    assert fast.starts.tolist() == slow.starts.tolist()
    np.testing.assert_allclose(fast.values, slow.values, rtol=1e-9)
    assert np.isnan(fast.values[:4]).all()
    assert np.isnan(fast.values[-4:]).all()
    assert np.isfinite(fast.values[4:-4]).all()
    assert fast.statuses.tolist() == slow.statuses.tolist()


def test_aggregates_are_those_of_the_plant_s_steps(both):
    fast, slow = (
        history.aggregate("a.power_kw", Aggregate.MAXIMUM2, NOON - 12 * HOUR, NOON, 300 * SECOND)
        for history in both
    )
    assert fast.times.tolist() == slow.times.tolist()
    assert fast.values.tolist() == slow.values.tolist()


def test_at_a_speed_that_no_interval_is_whole_at_there_are_as_many_of_them(folder):
    time = PlantTime(NOON, 7.0)
    folder.write("a.power_kw", [time.wall_ns(NOON - 24 * HOUR)], [5.0])
    history = PlantHistory(folder.directory, time, lambda: NOON)
    found = history.time_average("a.power_kw", NOON - 24 * HOUR, NOON, 900 * SECOND)
    history.close()
    assert found.values.tolist() == [5.0] * 96


def test_at_speed_1_it_is_history_itself(folder):
    history = open_history(folder.directory, PlantTime())
    history.close()
    assert type(history) is History
