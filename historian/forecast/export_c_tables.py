"""What a forecaster is, as tables of constants: those that become C, and a reading of them to check them by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from historian.forecast.export_c_trees import ExportError, Floats, Forest, forest_of
from historian.forecast.learners import GradientBoosting
from historian.forecast.linear import SmoothLinear

Counts = NDArray[np.intp]

EXPORTED: Final = ("linear", "gradient-boosting")
_TOLERANCE: Final = 1e-9  # of what the model says: sums in another order are apart by 1e-13
_CHECKED_ROWS: Final = 500
_SHARE_MISSING: Final = 0.1  # of the inputs of a checked row


@dataclass(frozen=True, slots=True)
class Smooth:
    """Sums whose terms have a coefficient at each knot of the lead; between two knots both sums count. All of a model
    have the same knots.

    ``coefficients`` (knots, 1 + terms): of one and of each term.
    """

    knots: Counts  # (horizon,): the knot at or before each lead
    hats: Floats  # (horizon, 2): how much it and the next one count
    coefficients: Floats

    def sum(self, leads: Counts, terms: Floats) -> Floats:
        """(n,), of leads (n,) and terms (n, terms)."""
        knots = self.knots[leads - 1]
        table = np.column_stack((np.ones(len(terms)), terms))
        sides = [(self.coefficients[knots + side] * table).sum(axis=1) for side in (0, 1)]
        found: Floats = self.hats[leads - 1, 0] * sides[0] + self.hats[leads - 1, 1] * sides[1]
        return found


@dataclass(frozen=True, slots=True)
class Linear:
    """The median: ``seasonal`` and of each rise its share. All in the unit of the target."""

    lead: int  # inputs, by their place
    seasonal: int
    rises: tuple[int, ...]
    shares: Smooth

    def middle(self, inputs: Floats) -> Floats:
        rises = np.nan_to_num(inputs[:, list(self.rises)])
        leads = inputs[:, self.lead].astype(np.intp)
        middle: Floats = inputs[:, self.seasonal] + self.shares.sum(leads, rises)
        return middle


@dataclass(frozen=True, slots=True)
class Errors:
    """Of the linear model: how large they are by lead and time of day, and their quantiles in that size."""

    sine: int  # inputs, by their place
    cosine: int
    weekend: int
    sizes: Smooth
    least: float
    tails: Floats

    def beside(self, leads: Counts, inputs: Floats) -> Floats:
        """(n, quantiles), beside the median."""
        sine, cosine, weekend = inputs[:, [self.sine, self.cosine, self.weekend]].T
        turn = cosine + 1j * sine
        waves = [part for wave in (turn, turn * turn, turn * turn * turn) for part in (wave.real, wave.imag)]
        size = np.maximum(self.sizes.sum(leads, np.column_stack((*waves, weekend))), self.least)
        return size[:, None] * self.tails


@dataclass(frozen=True, slots=True)
class Trees:
    """A forest a quantile, of what the linear model leaves over, in ``unit``."""

    unit: float
    forests: tuple[Forest, ...]

    def beside(self, leads: Counts, inputs: Floats) -> Floats:
        """(n, quantiles), beside the median."""
        return self.unit * np.stack([_felled(forest, inputs) for forest in self.forests], axis=1)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Of each lead its shifts, in spreads; a spread is that of the model, at least the floor of the time of day."""

    shifts: Floats  # (horizon, quantiles)
    floor: Floats  # (steps of a day of UTC,)
    bounds: tuple[float, float]
    middle: int | None  # the place of the median, which is not moved; None where there is none

    def calibrated(self, slots: Counts, leads: Counts, raw: Floats) -> Floats:
        """(n, quantiles) of raw ones; ``slots`` (n,): the step of the day that is forecast."""
        raw = np.clip(np.sort(raw, axis=1), *self.bounds)
        spread = np.maximum(raw[:, -1] - raw[:, 0], self.floor[slots])
        moved = raw + self.shifts[leads - 1] * spread[:, None]
        if self.middle is None:
            moved = np.sort(moved, axis=1)
        else:
            up, down = moved[:, self.middle :], moved[:, self.middle :: -1]
            moved = np.column_stack(
                (np.minimum.accumulate(down, axis=1)[:, :0:-1], np.maximum.accumulate(up, axis=1))
            )
        return np.clip(moved, *self.bounds)


@dataclass(frozen=True, slots=True)
class Tables:
    """A whole forecaster."""

    linear: Linear
    beside: Errors | Trees
    calibration: Calibration

    def forecast(self, slots: Counts, inputs: Floats) -> Floats:
        """(n, quantiles) of inputs (n, names), as the C gives them; NaN where there is no forecast."""
        leads = inputs[:, self.linear.lead].astype(np.intp)
        raw = self.linear.middle(inputs)[:, None] + self.beside.beside(leads, inputs)
        return self.calibration.calibrated(slots, leads, raw)


def tables_of(forecaster: Any) -> Tables:
    """Of a fitted ``Forecaster``, calibrated as it is now. Raises ExportError where its model has no C."""
    model = forecaster.model_
    names = forecaster.plan_.names
    leads = np.arange(1.0, forecaster.horizon + 1)
    beside: Errors | Trees
    # GradientBoosting has a linear model within.
    if isinstance(model, GradientBoosting):
        linear = model._linear
        beside = Trees(model._unit, tuple(forest_of(forest) for forest in model._forests))
    elif isinstance(model, SmoothLinear):
        linear = model
        sine, cosine, weekend = linear._day
        # Hats add up to 1: what is added at all knots is added at each lead.
        usual = linear._sizes.reshape(len(linear._knots), -1).copy()
        usual[:, 0] += linear._size
        sizes = _smooth(linear, leads, linear._unit * usual)
        tails = np.asarray(linear._tails, dtype=np.float64)
        beside = Errors(sine, cosine, weekend, sizes, linear._least * linear._unit, tails)
    else:
        raise ExportError(
            f"a model {forecaster.model!r} cannot be exported, only {' and '.join(map(repr, EXPORTED))}: "
            "train one of these"
        )
    return Tables(
        Linear(names.index("lead"), linear._seasonal, tuple(linear._rises), _shares(linear, leads)),
        beside,
        _calibration(forecaster),
    )


def check(forecaster: Any, tables: Tables, seed: int = 0) -> None:
    """Raises ExportError unless the tables say what the forecaster's own model and calibration do.

    By rows of all leads whose inputs lie around what the trees ask about, on it, and beyond it; some are missing.
    """
    random = np.random.default_rng(seed)
    inputs = _rows(forecaster, tables, random)
    horizon, calibrator = forecaster.horizon, forecaster.calibrator_
    with np.errstate(invalid="ignore"):
        raw = np.sort(forecaster.model_.predict(inputs), axis=1)
        low, high = tables.calibration.bounds
        expected = np.empty_like(raw)
        slots = np.empty(len(raw), dtype=np.intp)
        for first in range(0, len(inputs), horizon):
            some = slice(first, first + horizon)
            step = int(random.integers(1 << 20))
            expected[some] = np.clip(calibrator.calibrate(step, np.clip(raw[some], low, high)), low, high)
            slots[some] = (step + 1 + np.arange(horizon)) % len(calibrator.floor)
        found = tables.forecast(slots, inputs)
    size = np.maximum(np.abs(expected), np.nanmean(np.abs(expected)))
    wrong = ~((np.abs(found - expected) <= _TOLERANCE * size) | (np.isnan(found) & np.isnan(expected)))
    if count := int(wrong.any(axis=1).sum()):
        row = int(np.flatnonzero(wrong.any(axis=1))[0])
        raise ExportError(
            f"the tables of the {forecaster.model} model give another forecast than the model in {count} of "
            f"{len(inputs)} rows, {found[row].tolist()} instead of {expected[row].tolist()} in one: "
            "this release of scikit-learn reads its trees otherwise; nothing was exported"
        )


def _rows(forecaster: Any, tables: Tables, random: np.random.Generator) -> Floats:
    """Whole horizons of rows, the leads in their order."""
    issues = -(-_CHECKED_ROWS // forecaster.horizon)
    linear, beside = tables.linear, tables.beside
    spreads = dict(zip(linear.rises, _spreads(forecaster), strict=True))
    rows = random.normal(size=(issues * forecaster.horizon, len(forecaster.plan_.names)))
    for place in range(rows.shape[1]):
        asked = _asked(beside, place)
        if len(asked):
            rows[:, place] *= np.std(asked) / 10
            rows[:, place] += random.choice(asked, len(rows))
            rows[::3, place] = random.choice(asked, len(rows[::3]))
        else:
            rows[:, place] *= spreads.get(place, 1.0)
    rows[random.random(rows.shape) < _SHARE_MISSING] = np.nan
    rows[:, linear.seasonal] = np.where(np.arange(len(rows)) % 7 == 0, np.nan, random.normal(size=len(rows)))
    rows[:, linear.seasonal] *= 10 * max(spreads.values())
    rows[:, linear.lead] = np.tile(np.arange(1, forecaster.horizon + 1), issues)
    return rows


def _spreads(forecaster: Any) -> list[float]:
    model = forecaster.model_
    linear = model._linear if isinstance(model, GradientBoosting) else model
    return [float(spread) for spread in linear._spreads]


def _asked(beside: Errors | Trees, place: int) -> Floats:
    """The thresholds of an input."""
    if isinstance(beside, Errors):
        return np.empty(0)
    return np.concatenate([limits_of(forest, place) for forest in beside.forests])


def limits_of(forest: Forest, place: int) -> Floats:
    """The finite thresholds of an input in all trees. An infinite one parts missing inputs from all others."""
    found = [tree.thresholds[tree.inputs == place] for tree in forest.trees]
    limits: Floats = np.concatenate(found) if found else np.empty(0)
    return limits[np.isfinite(limits)]


def _felled(forest: Forest, inputs: Floats) -> Floats:
    sums = np.full(len(inputs), forest.baseline)
    rows = np.arange(len(inputs))
    for tree in forest.trees:
        at = np.full(len(inputs), 0 if len(tree.inputs) else ~0)
        while (inner := at >= 0).any():
            split, value = at[inner], inputs[rows[inner], tree.inputs[at[inner]]]
            is_below = np.where(np.isnan(value), tree.missing_below[split], value <= tree.thresholds[split])
            at[inner] = np.where(is_below, tree.below[split], tree.above[split])
        sums += tree.leaves[~at]
    return sums


def _smooth(linear: SmoothLinear, leads: Floats, coefficients: Floats) -> Smooth:
    """Hat functions are 0 but at the two knots around a lead."""
    hats = linear._hats(leads)
    table = coefficients.reshape(hats.shape[1], -1)
    if len(table) == 1:  # one lead, one knot: there is no next one, and it counts nothing
        table = np.vstack((table, np.zeros_like(table)))
        hats = np.column_stack((hats, np.zeros(len(hats))))
    knots = np.minimum((hats > 0).argmax(axis=1), len(table) - 2)
    rows = np.arange(len(hats))
    return Smooth(knots, np.stack((hats[rows, knots], hats[rows, knots + 1]), axis=1), table)


def _shares(linear: SmoothLinear, leads: Floats) -> Smooth:
    knots = len(linear._knots)
    table = linear._unit * linear._coefficients.reshape(knots, -1)
    table[:, 1:] /= linear._spreads
    return _smooth(linear, leads, table)


def _calibration(forecaster: Any) -> Calibration:
    calibrator = forecaster.calibrator_
    low, high = forecaster.bounds
    return Calibration(
        np.asarray(calibrator.shifts(), dtype=np.float64),
        np.asarray(calibrator.floor, dtype=np.float64),
        (-np.inf if low is None else float(low), np.inf if high is None else float(high)),
        calibrator._middle if calibrator._has_median else None,
    )
