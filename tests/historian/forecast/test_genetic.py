"""The genetic algorithm: elites are kept to the last bit, so nothing is ever lost, and it learns."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from historian.forecast.genetic import Genetic, GeneticNet, evolve

NAMES = ("lead", "seasonal", "now.rise", "target.hour_sin", "target.hour_cos", "target.is_weekend")
tuned = st.builds(
    Genetic,
    population=st.integers(4, 40),
    generations=st.integers(1, 25),
    elite=st.floats(0.01, 0.9),
    mutated=st.floats(0, 1),
    noise=st.floats(0, 5),
    seed=st.integers(0, 2**32 - 1),
)


def near_target(nets: np.ndarray) -> np.ndarray:
    return 1 / np.maximum(np.mean((nets - 0.7) ** 2, axis=1), 1e-12)


@settings(max_examples=40, deadline=None)
@given(tuned, st.integers(1, 12))
def test_the_fittest_never_get_worse(chosen, genes) -> None:
    first = np.random.default_rng(1).normal(size=(chosen.population, genes))
    found = evolve(first, near_target, chosen)
    assert (np.diff(found.fitness) >= 0).all()
    assert len(found.fitness) == chosen.generations + 1
    assert near_target(found.population[:1])[0] == found.fitness[-1]
    assert found.population.shape == first.shape


@settings(max_examples=20, deadline=None)
@given(tuned)
def test_elites_are_carried_over_to_the_last_bit(chosen) -> None:
    seen: list[np.ndarray] = []

    def watched(nets: np.ndarray) -> np.ndarray:
        seen.append(nets.copy())
        return near_target(nets)

    evolve(np.random.default_rng(1).normal(size=(chosen.population, 5)), watched, chosen)
    for before, after in pairwise(seen):
        best = before[np.argsort(-near_target(before), kind="stable")][: chosen.elites]
        assert after[: chosen.elites].tobytes() == best.tobytes()


def test_children_have_weights_of_both_parents() -> None:
    first = np.repeat(np.arange(10.0)[:, None], 200, axis=1)  # each parent is known by its number
    seen: list[np.ndarray] = []

    def watched(nets: np.ndarray) -> np.ndarray:
        seen.append(nets.copy())
        return np.ones(len(nets))

    evolve(first, watched, Genetic(population=10, generations=1, mutated=0.0))
    of_child = [set(child) for child in seen[1][1:]]
    assert max(map(len, of_child)) == 2
    assert all(parents <= set(range(10)) for parents in of_child)


def rows(seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    hour = random.uniform(0, 2 * np.pi, 1_500)
    rise = random.normal(size=1_500)
    inputs = np.column_stack(
        (random.integers(1, 25, 1_500), np.full(1_500, 50.0), rise, np.sin(hour), np.cos(hour), hour > 5)
    )
    return inputs.astype(float), 50 + 3 * np.maximum(rise, 0) + random.normal(0, 0.3, 1_500)


def test_a_net_learns_what_is_not_linear_and_repeats_it_by_its_seed() -> None:
    inputs, actual = rows(0)
    nets = [
        GeneticNet(NAMES, (0.05, 0.5, 0.95), seed, Genetic(generations=60, seed=seed)) for seed in (7, 7, 8)
    ]
    for net in nets:
        net.fit(inputs, actual, np.arange(len(actual)))
    same, again, other = (net.predict(inputs) for net in nets)
    assert same.tobytes() == again.tobytes() != other.tobytes()
    fresh, came = rows(1)
    middle = nets[0].predict(fresh)[:, 1]
    assert np.mean((middle - came) ** 2) < 0.3 * np.var(came)


@pytest.mark.parametrize("change", [{"population": 3}, {"elite": 0.0}, {"mutated": 2.0}, {"noise": -1.0}])
def test_what_cannot_be_is_refused(change) -> None:
    with pytest.raises(ValueError, match=r"at least|share"):
        Genetic(**change)
