"""What is left out of the samples around instants is nothing that the values there depend on."""

from __future__ import annotations

import numpy as np
import pytest
from historian_folder import NOON, SECOND

from gateway.tags.aggregate import AggregateConfiguration
from gateway.tags.tag import ValueType
from historian.query import around, at_time
from historian.store.blocks import Samples

COUNT = 400


def samples_of(chance, odd=0):
    times = NOON + np.cumsum(chance.integers(1, 3 * SECOND, COUNT))
    values = np.round(chance.normal(0, 20, COUNT), 1)
    values[chance.integers(0, COUNT, odd)] = np.nan
    return Samples(times, values.view(np.uint64), np.zeros(COUNT, np.uint32))


def answered(samples, times, now, **how):
    sloped = how.pop("sloped")
    known = around.known_of(ValueType.DOUBLE, samples, now=now)
    configuration = AggregateConfiguration(use_sloped_extrapolation=sloped)
    return at_time.at_time(known, ValueType.DOUBLE, times, configuration=configuration, **how)


@pytest.mark.parametrize("stepped", [False, True])
@pytest.mark.parametrize("simple", [False, True])
@pytest.mark.parametrize("sloped", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_values_at_instants_are_the_same_from_the_samples_near_them(stepped, simple, sloped, seed):
    chance = np.random.default_rng(seed)
    samples = samples_of(chance)
    first, last = int(samples.times[0]), int(samples.times[-1])
    spread = chance.integers(first - 5 * SECOND, last + 5 * SECOND, 12)
    times = np.sort(np.concatenate([spread, chance.choice(samples.times, 5), samples.times[[0, -1]]]))
    near = around.near(ValueType.DOUBLE, samples, times)
    assert len(near) <= 3 * len(times) + 2
    for now in (first - SECOND, (first + last) // 2, last + SECOND, last + 60 * SECOND):
        how = {"stepped": stepped, "use_simple_bounds": simple, "sloped": sloped}
        found, wanted = (answered(some, times, now, **how) for some in (near, samples))
        assert found.statuses.tolist() == wanted.statuses.tolist()
        np.testing.assert_array_equal(found.values, wanted.values)


def test_all_samples_are_kept_where_one_is_not_usable():
    chance = np.random.default_rng(9)
    samples = samples_of(chance, odd=1)
    assert around.near(ValueType.DOUBLE, samples, samples.times[5:6]) is samples
    doubtful = Samples(samples.times, np.zeros(COUNT, np.uint64), (np.arange(COUNT) == 3).astype(np.uint32))
    assert around.near(ValueType.DOUBLE, doubtful, samples.times[5:6]) is doubtful
