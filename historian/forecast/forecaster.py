"""The forecaster: quantiles of one column for each step of a horizon, as a scikit-learn estimator on DataFrames."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import orjson

from historian.forecast import model_file
from historian.forecast.calendar import Civil
from historian.forecast.conformal import Shifts
from historian.forecast.feature_set import NS_PER_S
from historian.forecast.features import NotPrimed
from historian.forecast.inputs import Floats, Grid, InputPlan, Rows, pairs
from historian.forecast.models import MODELS, SEASONAL, Model
from historian.forecast.scores import score, seasonal_scale
from historian.ledger.keys import SigningKey
from historian.query.libraries import load

_base: Any = load("sklearn.base", "a forecaster")
_validation: Any = load("sklearn.utils.validation", "a forecaster")
_pandas: Any = load("pandas", "a forecaster")

QUANTILES: Final = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
_LEAST_ROWS: Final = 200  # pairs of issue and lead; fewer train nothing


class Forecaster(_base.BaseEstimator):  # type: ignore[misc]
    """Forecasts ``horizon`` steps of ``freq`` ahead, at ``quantiles``, calibrated on the end of history.

    ``model``: ``gradient-boosting``, ``linear`` or ``seasonal-naive``, which goes back a ``season``. ``calibration``
    is the share of time, at the end, kept from the model to calibrate its quantiles with, in ``bands`` of leads; 0
    for none. It trains on at most ``max_rows`` pairs of issue and lead, drawn with ``seed``.
    ``civil`` gives the time zone of the calendar, where it is not that of the index.

    After ``fit``: ``plan_`` (inputs and their order), ``digest_`` (SHA-256 of all that decides what is fed to the
    model), ``shifts_`` (of the calibration), ``trained_from_`` and ``trained_until_``, ``scores_`` and
    ``naive_scores_``: those of the model and of the season before on the part it was calibrated with.
    """

    def __init__(
        self,
        horizon: int = 96,
        freq: str = "15min",
        quantiles: Sequence[float] = QUANTILES,
        *,
        model: str = "gradient-boosting",
        season: str = "7D",
        calibration: float = 0.25,
        bands: int = 8,
        max_rows: int = 20_000,
        seed: int = 0,
        civil: Civil | None = None,
    ) -> None:
        self.horizon = horizon
        self.freq = freq
        self.quantiles = quantiles
        self.model = model
        self.season = season
        self.calibration = calibration
        self.bands = bands
        self.max_rows = max_rows
        self.seed = seed
        self.civil = civil

    def fit(self, frame: Any, target: str = "load_kw", known: Sequence[str] = ()) -> Self:
        """Learn to forecast the column ``target`` of a DataFrame whose index has a time zone.

        Columns ``known`` are known ahead (weather forecasts, prices): values at a time are what was known about it
        beforehand. All other columns are used as far as the issue. Missing values are NaN. Raises ValueError for
        wrong parameters and too little history (NotPrimed is one), KeyError for columns that are not there.
        """
        self._check()
        if target in known:
            raise ValueError(f"{target!r} is the target: it is not known ahead")
        past = [str(name) for name in frame.columns if name != target and name not in known]
        plan = InputPlan(
            target=target,
            past=tuple(past),
            known=tuple(known),
            step_s=_seconds(self.freq, "freq"),
            season_s=_seconds(self.season, "season"),
            civil=self.civil or Civil(_zone_name(frame.index)),
        )
        if plan.season_s % plan.step_s:
            raise ValueError(f"season {self.season!r} is no multiple of freq {self.freq!r}")
        grid = plan.grid(frame)
        issues, vectors = plan.issues(grid)
        # Nothing the model learns from reaches into the part that calibrates it: issue + horizon < cut.
        first = int(issues[0])
        cut = grid.steps - int((grid.steps - first) * self.calibration)
        random = np.random.default_rng(self.seed)
        rows, actual, _ = self._drawn(plan, grid, issues, vectors, (first, cut), random)
        if len(actual) < _LEAST_ROWS:
            raise ValueError(
                f"{len(actual)} known outcomes to train with, at least {_LEAST_ROWS} are needed: {grid.steps} steps "
                f"of history are too few for a season of {plan.season} and a horizon of {self.horizon}"
            )
        model: Model = MODELS[self.model](plan.names, tuple(self.quantiles), self.seed)
        model.fit(rows, actual)
        shifts = Shifts(np.zeros((self.horizon, len(self.quantiles))))
        self.scores_, self.naive_scores_ = {}, {}
        if self.calibration:
            rows, actual, leads = self._drawn(plan, grid, issues, vectors, (cut, grid.steps), random)
            shifts = Shifts.learn(
                actual, model.predict(rows), leads, self.quantiles, self.horizon, self.bands
            )
            scale = seasonal_scale(grid.signals[:cut, 0], plan.season)
            columns = list(shifts.apply(model.predict(rows), leads).T)
            naive = [rows[:, plan.names.index(SEASONAL)]] * len(columns)
            self.scores_ = score(actual, columns, self.quantiles, scale)
            self.naive_scores_ = score(actual, naive, self.quantiles, scale)
        self.plan_, self.model_, self.shifts_ = plan, model, shifts
        self.digest_ = self._digest(plan)
        self.trained_from_, self.trained_until_ = frame.index[0], frame.index[-1]
        return self

    def describe(self) -> dict[str, Any]:
        """What a model file says: inputs, manifest and digest, window of training, scores. Plain data."""
        _validation.check_is_fitted(self)
        plan = self.plan_
        return {
            "target": plan.target,
            "past": list(plan.past),
            "known": list(plan.known),
            "horizon": self.horizon,
            "freq": self.freq,
            "quantiles": list(self.quantiles),
            "model": self.model,
            "inputs": list(plan.names),
            "manifest": plan.features.manifest(),
            "digest": self.digest_,
            "trained_from": self.trained_from_.isoformat(),
            "trained_until": self.trained_until_.isoformat(),
            "scores": self.scores_,
            "naive_scores": self.naive_scores_,
        }

    def save(self, file: Path, key: SigningKey) -> None:
        """Into a file signed by the site's key (``model_file``), whole or not at all."""
        model_file.write(file, self, self.describe(), key)

    @classmethod
    def load(cls, file: Path, trusted: Sequence[bytes]) -> Self:
        """Out of a file signed by one of these public keys. Raises ModelFileError; nothing is unpickled before."""
        found = model_file.read(file, trusted)
        forecaster = found.forecaster()
        if not isinstance(forecaster, cls) or forecaster.digest_ != found.description["digest"]:
            raise model_file.ModelFileError(f"{file} holds another thing than it says")
        return forecaster

    def predict(self, frame: Any, known: Any = None) -> Any:
        """Forecasts issued at the last row of ``frame``: a DataFrame indexed by time, a column a quantile.

        Its ``attrs`` say what to store with it: ``issue`` (time), ``target`` and ``digest`` (of the model).
        ``known`` has the columns known ahead for the times that are forecast; what it lacks is missing. Raises
        NotPrimed where ``frame`` is too short, saying how many rows more it takes, and sklearn's NotFittedError.
        """
        _validation.check_is_fitted(self)
        if self.plan_.known and known is None:
            raise ValueError(
                f"predict needs known={', '.join(self.plan_.known)} for the times that are forecast"
            )
        grid = self.plan_.grid(frame, more=self.horizon, known=known)
        forecasts = self._forecast(grid, np.array([grid.steps - self.horizon - 1]))
        times = _pandas.date_range(frame.index[-1], periods=self.horizon + 1, freq=self.freq)[1:]
        found = _pandas.DataFrame(forecasts, index=times.rename("time"), columns=list(self.quantiles))
        found.attrs = {"issue": frame.index[-1], "target": self.plan_.target, "digest": self.digest_}
        return found

    def predict_at(self, frame: Any, issues: Any) -> Any:
        """Forecasts as they would have been issued at each of these times of ``frame``, one row a step and issue.

        The index has (issue, time), the columns are the quantiles. What ``frame`` has after an issue is used in its
        known columns only.
        """
        _validation.check_is_fitted(self)
        plan = self.plan_
        grid = plan.grid(frame, more=self.horizon)
        issues = _pandas.DatetimeIndex(issues)
        where = (issues - frame.index[0]) // _pandas.Timedelta(plan.step_s, "s")
        forecasts = self._forecast(grid, np.asarray(where, dtype=np.intp))
        _, position, leads = pairs(np.arange(len(issues)), self.horizon)
        times = issues[position] + _pandas.to_timedelta(leads * plan.step_s, unit="s")
        index = _pandas.MultiIndex.from_arrays([issues[position], times], names=["issue", "time"])
        return _pandas.DataFrame(forecasts, index=index, columns=list(self.quantiles))

    def _forecast(self, grid: Grid, issues: Rows) -> Floats:
        plan = self.plan_
        if (short := plan.steps_needed - 1 - int(issues.min())) > 0:
            raise NotPrimed(short)
        # Features of an issue look back no further than this: a week of history costs as much as two years.
        first = max(0, int(issues.min()) - plan.steps_needed + 1)
        last = int(issues.max()) + 1
        past = Grid(
            grid.first_ns + first * plan.step_s * NS_PER_S, grid.signals[first:last], grid.known[first:last]
        )
        ready, vectors = plan.issues(past)
        place = np.searchsorted(ready + first, issues)
        position, at, leads = pairs(issues, self.horizon)
        table = plan.table(grid, at, leads, vectors[place][position])
        return self.shifts_.apply(self.model_.predict(table), leads)

    def _drawn(
        self,
        plan: InputPlan,
        grid: Grid,
        issues: Rows,
        vectors: Floats,
        within: tuple[int, int],
        random: np.random.Generator,
    ) -> tuple[Floats, Floats, Rows]:
        """Pairs whose issue and target lie within these steps and whose outcome is known: inputs, outcome, leads."""
        begin, end = within
        some = np.flatnonzero((issues >= begin) & (issues < end - 1))
        if not len(some):
            return np.empty((0, len(plan.names))), np.empty(0), np.empty(0, dtype=np.intp)
        every = len(some) * self.horizon
        if every > self.max_rows:
            chosen = np.sort(random.choice(every, self.max_rows, replace=False))
        else:
            chosen = np.arange(every)
        place, leads = some[chosen // self.horizon], chosen % self.horizon + 1
        at = issues[place]
        inside = at + leads < end
        place, at, leads = place[inside], at[inside], leads[inside]
        actual = grid.signals[at + leads, 0]
        known = np.isfinite(actual)
        place, at, leads = place[known], at[known], leads[known]
        return plan.table(grid, at, leads, vectors[place]), actual[known], leads

    def _digest(self, plan: InputPlan) -> str:
        parameters = {
            **self.get_params(deep=False),
            "civil": asdict(plan.civil),
            "quantiles": list(self.quantiles),
        }
        told = {"inputs": plan.names, "features": plan.features.manifest(), "parameters": parameters}
        return hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()

    def _check(self) -> None:
        if self.model not in MODELS:
            raise ValueError(f"no such model: {self.model!r}; there are {', '.join(MODELS)}")
        if self.horizon < 1:
            raise ValueError(f"horizon is {self.horizon}; it must be at least 1")
        quantiles = list(self.quantiles)
        if not quantiles or quantiles != sorted(set(quantiles)) or not all(0 < q < 1 for q in quantiles):
            raise ValueError(f"quantiles are {quantiles}; they rise, between 0 and 1")
        if not 0 <= self.calibration < 1:
            raise ValueError(f"calibration is {self.calibration}; it is a share from 0, below 1")
        if self.bands < 1 or self.max_rows < _LEAST_ROWS:
            raise ValueError(f"bands must be at least 1 and max_rows at least {_LEAST_ROWS}")


def _seconds(duration: str, what: str) -> int:
    seconds: float = _pandas.Timedelta(duration).total_seconds()
    if seconds < 1 or seconds != int(seconds):
        raise ValueError(f"{what} is {duration!r}; it must be whole seconds")
    return int(seconds)


def _zone_name(index: Any) -> str:
    name = str(getattr(index, "tz", None))
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(
            f"the index has the time zone {name}, which has no name: frame.tz_convert('Europe/Berlin'), say, "
            "or civil=Civil('Europe/Berlin')"
        ) from None
    return name
