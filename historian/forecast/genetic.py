"""Small neural nets trained by a genetic algorithm: a population is selected, crossed and mutated.

A generation keeps its best share as it is, to the last bit: fitness on the same rows never falls. The rest are
children of two parents, drawn in proportion to fitness: each weight is of one or the other, then some get noise.
Nets of a whole population are computed at once by matrix products.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from historian.forecast.linear import RISE, SEASONAL

Floats = NDArray[np.float64]
Fitness = Callable[[Floats], Floats]  # (population, genes) gives (population,), each above 0

_FITNESS_ROWS: Final = 1_024  # drawn once: were they others each time, an elite could lose what it had
_CALENDAR: Final = ("target.hour_sin", "target.hour_cos", "target.is_weekend")
_LEAST_ERROR: Final = 1e-12  # of the mean square: a fitness is never infinite


@dataclass(frozen=True, slots=True)
class Genetic:
    """What can be tuned."""

    population: int = 80
    generations: int = 150
    elite: float = 0.1  # share kept as it is
    mutated: float = 0.15  # share of a child's weights that get noise
    noise: float = 0.15  # its standard deviation
    hidden: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if self.population < 4 or self.generations < 1 or self.hidden < 1:
            raise ValueError("a population is at least 4, generations and hidden units at least 1")
        if not (0 < self.elite < 1 and 0 <= self.mutated <= 1 and self.noise >= 0):
            raise ValueError("elite is a share between 0 and 1, mutated from 0 to 1, noise not negative")

    @property
    def elites(self) -> int:
        return max(1, int(self.population * self.elite))


@dataclass(frozen=True, slots=True)
class Evolved:
    """``population`` from the fittest on, and the greatest ``fitness`` of each generation, the first included."""

    population: Floats
    fitness: Floats


def evolve(first: Floats, fitness: Fitness, settings: Genetic) -> Evolved:
    """Generations out of a ``first`` population (population, genes). The same seed gives the same bits."""
    random = np.random.default_rng(settings.seed)
    population, best = first, []
    for generation in range(settings.generations + 1):
        fit = fitness(population)
        order = np.argsort(-fit, kind="stable")
        population, fit = population[order], fit[order]
        best.append(float(fit[0]))
        if generation < settings.generations:
            population = np.concatenate(
                (population[: settings.elites], _children(population, fit, settings, random))
            )
    return Evolved(population, np.array(best))


def _children(population: Floats, fit: Floats, settings: Genetic, random: np.random.Generator) -> Floats:
    count, genes = len(population) - settings.elites, population.shape[1]
    parents = random.choice(len(population), (2, count), p=fit / fit.sum())
    of_first = random.random((count, genes)) < 0.5
    children: Floats = np.where(of_first, population[parents[0]], population[parents[1]])
    children += (random.random((count, genes)) < settings.mutated) * random.normal(
        0.0, settings.noise, (count, genes)
    )
    return children


class GeneticNet:
    """One hidden layer of ReLU; fitness is 1 / mean square error of what is above and below the season before.

    Inputs are the differences, the lead and the calendar; missing ones count as no difference. Its quantiles are
    those of its own errors.
    """

    def __init__(
        self, names: Sequence[str], quantiles: Sequence[float], seed: int, settings: Genetic | None = None
    ) -> None:
        self.settings = settings or Genetic(seed=seed)
        self._seasonal = names.index(SEASONAL)
        self._columns = [
            place for place, name in enumerate(names) if name.endswith(RISE) or name in ("lead", *_CALENDAR)
        ]
        self._quantiles = np.asarray(quantiles, dtype=np.float64)

    def fit(self, inputs: Floats, actual: Floats, issued: NDArray[np.intp]) -> None:
        away = actual - inputs[:, self._seasonal]
        known = np.isfinite(away)
        inputs, away = inputs[known], away[known]
        self._unit = float(np.std(away)) or 1.0
        some = inputs[:, self._columns]
        filled = np.nan_to_num(some)
        # Not centred: a difference of zero is to stay zero, which is what a missing one becomes.
        self._scales = np.sqrt(np.mean(filled**2, axis=0))
        self._scales[self._scales == 0] = 1.0
        random = np.random.default_rng(self.settings.seed)
        rows = random.permutation(len(away))[:_FITNESS_ROWS]
        table, wanted = self._table(inputs)[rows], away[rows] / self._unit
        width, hidden = table.shape[1], self.settings.hidden
        genes = (width + 1) * hidden
        first = random.normal(0.0, 1 / np.sqrt(width), (self.settings.population, genes))
        self.evolved = evolve(first, lambda nets: self._fitness(nets, table, wanted), self.settings)
        self._net = self.evolved.population[:1]
        errors = away / self._unit - self._outputs(self._net, self._table(inputs))[0]
        self._tails = np.quantile(errors, self._quantiles)

    def predict(self, inputs: Floats) -> Floats:
        away = self._outputs(self._net, self._table(inputs))[0]
        predicted: Floats = inputs[:, [self._seasonal]] + self._unit * (away[:, None] + self._tails)
        return predicted

    def _table(self, inputs: Floats) -> Floats:
        scaled = np.nan_to_num(inputs[:, self._columns]) / self._scales
        return np.column_stack((np.clip(scaled, -10.0, 10.0), np.ones(len(inputs))))

    def _outputs(self, nets: Floats, table: Floats) -> Floats:
        """(nets, rows)."""
        hidden = self.settings.hidden
        width = table.shape[1]
        inner = nets[:, : width * hidden].reshape(len(nets), width, hidden)
        outer = nets[:, width * hidden :, None]
        outputs: Floats = (np.maximum(table @ inner, 0.0) @ outer)[:, :, 0]
        return outputs

    def _fitness(self, nets: Floats, table: Floats, wanted: Floats) -> Floats:
        squares = np.mean((self._outputs(nets, table) - wanted) ** 2, axis=1)
        fitness: Floats = 1.0 / np.maximum(squares, _LEAST_ERROR)
        return fitness
