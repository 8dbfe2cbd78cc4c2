"""Values at instants that lie within blocks are to the bit what they are when everything around is looked at."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from gateway.tags.aggregate import AggregateConfiguration
from gateway.tags.sample import to_bits
from gateway.tags.tag import ValueType
from historian.query import around, at_time
from historian.query.stored import Stored
from historian.store.blocks import Samples
from historian.store.frame import GapFrame

ROUNDS = 300
ODD = [np.nan, np.inf, -np.inf, 1.7e308, -1.7e308, -0.0]
TYPES = (ValueType.DOUBLE, ValueType.INT64, ValueType.UINT64, ValueType.BOOL)


def block(samples, number, is_good=True):
    first, last = int(samples.times[0]), int(samples.times[-1])
    return Stored(
        1, number, 1, 1, first, last, len(samples), 1, is_good, 0, 0, 0, 0, 0, None, None, None, 0, 0, 0
    )


def drawn(chance):
    """Samples of a tag in one to three blocks, and times that each lie in one of these."""
    count = int(chance.integers(3, 40))
    times = 10**18 + np.cumsum(chance.integers(1, 5, count) * chance.choice([1, 10**9]))
    type = TYPES[chance.integers(0, len(TYPES))]
    match type:
        case ValueType.DOUBLE:
            values = np.round(chance.normal(0, 50, count), 1)
            if chance.random() < 0.4:
                values[chance.integers(0, count, 2)] = chance.choice(ODD, 2)
        case ValueType.INT64:
            values = chance.choice([-(2**63), 2**63 - 1, 0, 7, -3], count)
        case ValueType.UINT64:
            values = chance.choice(np.array([0, 2**64 - 1, 2**63, 12], np.uint64), count)
        case _:
            values = chance.random(count) < 0.5
    samples = Samples(times, to_bits(values, type), np.zeros(count, np.uint32))
    cuts = sorted({0, count, *chance.integers(0, count, 2).tolist()})
    parts = [samples[low:high] for low, high in itertools.pairwise(cuts)]
    asked = [chance.integers(part.times[0], part.times[-1] + 1, 9) for part in parts]
    exact = chance.choice(times, 3)
    return type, samples, parts, np.sort(np.concatenate([*asked, exact]))


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_what_lies_within_blocks_is_answered_as_by_all_samples():
    chance = np.random.default_rng(11)
    answered = 0
    for _ in range(ROUNDS):
        type, samples, parts, times = drawn(chance)
        stepped = bool(chance.random() < 0.5)
        blocks = [(block(part, number), part) for number, part in enumerate(parts)]
        assert around.is_whole([stored for stored, _ in blocks], times, [])
        found = at_time.within(blocks, type, times, stepped=stepped)
        if found is None:
            assert type is ValueType.DOUBLE
            continue
        answered += 1
        expected = at_time.at_time(
            around.known_of(type, samples, now=int(samples.times[-1]) + 10**10),
            type,
            times,
            stepped=stepped,
            configuration=AggregateConfiguration(treat_uncertain_as_bad=bool(chance.random() < 0.5)),
            use_simple_bounds=bool(chance.random() < 0.5),
        )
        assert found.type == expected.type
        assert found.values.dtype == expected.values.dtype
        assert found.values.tobytes() == expected.values.tobytes(), (type, stepped)
        assert found.statuses.tolist() == expected.statuses.tolist()
        assert found.times.tolist() == expected.times.tolist()
    assert answered > ROUNDS // 2


def test_times_between_blocks_in_gaps_and_of_doubtful_blocks_are_left_to_the_long_way():
    samples = Samples(np.arange(10, 20), np.zeros(10, np.uint64), np.zeros(10, np.uint32))
    first, second = block(samples[:4], 0), block(samples[6:], 1)
    inside = np.array([10, 13, 16, 19])
    assert around.is_whole([first, second], inside, [])
    assert not around.is_whole([first, second], np.array([10, 14]), [])
    assert not around.is_whole([first, second], np.array([9, 10]), [])
    assert not around.is_whole([first, second], np.array([19, 20]), [])
    assert not around.is_whole([first, block(samples[6:], 1, is_good=False)], inside, [])
    assert not around.is_whole([first, second], inside, [GapFrame("stopped", 14, 15, None)])
    assert around.is_whole([first, second], inside, [GapFrame("stopped", 20, 30, None)])
    assert around.is_whole([first, second], inside, [GapFrame("stopped", 5, 9, None)])
