"""The forecaster: quantiles of one column for each step of a horizon, as a scikit-learn estimator on DataFrames."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import orjson

from historian.forecast import model_file
from historian.forecast.calendar import Civil, zone_name
from historian.forecast.conformal import Calibrator
from historian.forecast.feature_set import NS_PER_S
from historian.forecast.features import NotPrimed
from historian.forecast.inputs import DAY_S, Floats, Grid, InputPlan, Rows, pairs
from historian.forecast.learners import Model
from historian.forecast.models import MODELS
from historian.forecast.scores import score, seasonal_scale
from historian.libraries import load
from historian.signing import SigningKey

_base: Any = load("sklearn.base", "a forecaster")
_validation: Any = load("sklearn.utils.validation", "a forecaster")
_pandas: Any = load("pandas", "a forecaster")

QUANTILES: Final = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
_LEAST_ROWS: Final = 200  # pairs of issue and lead; fewer train nothing
_PER_DAY: Final = 8  # forecasts a day whose outcomes calibrate: more cost time and say little that is new
_FLOOR: Final = 0.1  # of the mean change over a season: errors are measured in no less
_CHUNK: Final = 65_536  # pairs that are forecast at once


class Forecaster(_base.BaseEstimator):  # type: ignore[misc]
    """Forecasts ``horizon`` steps of ``freq`` ahead, at ``quantiles``, calibrated by the outcomes of its forecasts.

    ``model``: one of ``models.MODELS``; ``seasonal-naive`` goes back a ``season``. ``calibration`` is the share of
    time, at the end, that is forecast by a model that has not seen it, to calibrate quantiles with and to score; 0
    for none. The errors of the last ``window_days`` count, each lead by itself, and ``rate`` says how fast the
    calibration follows what was missed (``conformal``). The model is then trained on all, on at most ``max_rows``
    pairs of issue and lead, drawn with ``seed``. Forecasts lie within ``bounds``, where there are some.
    ``civil`` gives the time zone of the calendar, where it is not that of the index.

    After ``fit``: ``plan_`` (inputs and their order), ``digest_`` (SHA-256 of all that decides what is fed to the
    model), ``calibrator_``, ``trained_from_`` and ``trained_until_``, ``scores_`` and ``naive_scores_``: those of the
    forecasts of the part it was calibrated with, made as time went on, and of the season before there.
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
        window_days: float = 28.0,
        rate: float = 0.01,
        max_rows: int = 20_000,
        bounds: tuple[float | None, float | None] = (None, None),
        seed: int = 0,
        civil: Civil | None = None,
    ) -> None:
        self.horizon = horizon
        self.freq = freq
        self.quantiles = quantiles
        self.model = model
        self.season = season
        self.calibration = calibration
        self.window_days = window_days
        self.rate = rate
        self.max_rows = max_rows
        self.bounds = bounds
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
            civil=self.civil or Civil(zone_name(frame.index)),
        )
        if plan.season_s % plan.step_s:
            raise ValueError(f"season {self.season!r} is no multiple of freq {self.freq!r}")
        grid = plan.grid(frame)
        issues, vectors = plan.issues(grid)
        # Nothing the model learns from reaches into the part that calibrates it: issue + horizon < cut.
        first = int(issues[0])
        cut = grid.steps - int((grid.steps - first) * self.calibration)
        self.plan_ = plan
        self.digest_ = self._digest(plan)
        self.trained_from_, self.trained_until_ = frame.index[0], frame.index[-1]
        self.calibrator_ = self._calibrator(plan.step_of(grid), grid.signals[:cut, 0])
        self.scores_: dict[str, float] = {}
        self.naive_scores_: dict[str, float] = {}
        if self.calibration:
            self.model_ = self._trained(grid, issues, vectors, (first, cut))
            asked = issues[issues >= cut - 1][:-1]
            longer = plan.grid(frame, more=self.horizon)
            calibrated = self._walk(longer, asked[:: self._stride], self.calibrator_, grid.steps - 1)
            self._score(grid, asked[:: self._stride], calibrated, cut)
        self.model_ = self._trained(grid, issues, vectors, (first, grid.steps))
        return self

    def observe(self, frame: Any, known: Any = None) -> Self:
        """Calibrate by what has come since: forecasts up to the last row of ``frame`` and their outcomes.

        The model stays. Call it with history that goes back ``plan_.steps_needed`` rows before the last call, at
        least; what lies between is lost otherwise. ``known`` as for ``predict``: without it the columns known ahead
        end with ``frame``, and what lies beyond teaches nothing. Raises as ``predict`` does.
        """
        _validation.check_is_fitted(self)
        grid = self.plan_.grid(frame, more=self.horizon, known=known)
        self._walk(grid, np.empty(0, dtype=np.intp), self.calibrator_, grid.steps - self.horizon - 1)
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

    def has_other_inputs(self) -> bool:
        """Whether it learned from other inputs than it would be fed today, out of a file of a release before."""
        return self._digest(self.plan_) != self.digest_

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
        issue = grid.steps - self.horizon - 1
        (raw,) = self._raw(grid, np.array([issue]))
        forecasts = self._bounded(self.calibrator_.calibrate(self.plan_.step_of(grid) + issue, raw))
        times = _pandas.date_range(frame.index[-1], periods=self.horizon + 1, freq=self.freq)[1:]
        found = _pandas.DataFrame(forecasts, index=times.rename("time"), columns=list(self.quantiles))
        found.attrs = {"issue": frame.index[-1], "target": self.plan_.target, "digest": self.digest_}
        return found

    def predict_at(self, frame: Any, issues: Any) -> Any:
        """Forecasts as they would have been issued at each of these times of ``frame``, one row a step and issue.

        The index has (issue, time), the columns are the quantiles. What ``frame`` has after an issue is used in its
        known columns only. The calibration goes on from where it is, by the outcomes known at each issue; that of
        this forecaster is not changed.
        """
        _validation.check_is_fitted(self)
        plan = self.plan_
        grid = plan.grid(frame, more=self.horizon)
        issues = _pandas.DatetimeIndex(issues)
        where = np.asarray((issues - frame.index[0]) // _pandas.Timedelta(plan.step_s, "s"), dtype=np.intp)
        forecasts = self._walk(grid, where, copy.deepcopy(self.calibrator_)).reshape(-1, len(self.quantiles))
        _, position, leads = pairs(np.arange(len(issues)), self.horizon)
        times = issues[position] + _pandas.to_timedelta(leads * plan.step_s, unit="s")
        index = _pandas.MultiIndex.from_arrays([issues[position], times], names=["issue", "time"])
        return _pandas.DataFrame(forecasts, index=index, columns=list(self.quantiles))

    @property
    def _stride(self) -> int:
        """Steps between forecasts whose outcomes calibrate."""
        return max(1, DAY_S // self.plan_.step_s // _PER_DAY)

    def _calibrator(self, first_step: int, training: Floats) -> Calibrator:
        window = int(self.window_days * DAY_S / (self.plan_.step_s * self._stride))
        floor = _FLOOR * self.plan_.change_by_time_of_day(first_step, training)
        return Calibrator(self.quantiles, self.horizon, max(window, 1), self.rate, floor)

    def _trained(self, grid: Grid, issues: Rows, vectors: Floats, within: tuple[int, int]) -> Model:
        plan = self.plan_
        random = np.random.default_rng(self.seed)
        rows, actual, issued = self._drawn(plan, grid, issues, vectors, within, random)
        if len(actual) < _LEAST_ROWS:
            raise ValueError(
                f"{len(actual)} known outcomes to train with, at least {_LEAST_ROWS} are needed: {grid.steps} steps "
                f"of history are too few for a season of {plan.season} and a horizon of {self.horizon}"
            )
        model = MODELS[self.model](plan.names, tuple(self.quantiles), self.seed)
        model.fit(rows, actual, issued)
        return model

    def _score(self, grid: Grid, issues: Rows, forecasts: Floats, cut: int) -> None:
        """Of these issues, as far as outcomes are known; the scale of MASE is that of what lies before ``cut``."""
        target, plan = grid.signals[:, 0], self.plan_
        _, at, leads = pairs(issues, self.horizon)
        known = at + leads < grid.steps
        at, leads = at[known], leads[known]
        columns = list(forecasts.reshape(-1, len(self.quantiles))[known].T)
        naive = [target[at + leads - plan.season * -(-leads // plan.season)]] * len(columns)
        scale = seasonal_scale(target[:cut], plan.season)
        self.scores_ = score(target[at + leads], columns, self.quantiles, scale)
        self.naive_scores_ = score(target[at + leads], naive, self.quantiles, scale)

    def _walk(self, grid: Grid, asked: Rows, calibrator: Calibrator, until: int | None = None) -> Floats:
        """Calibrated forecasts of the issues asked for, (issues, horizon, quantiles), in the order of time.

        Between them, up to ``until``, forecasts are made whose outcomes calibrate those that follow.
        """
        offset = self.plan_.step_of(grid)
        until = int(asked.max()) if until is None else until
        begin = self.plan_.steps_needed - 1
        if calibrator.last_issue is not None:
            begin = max(begin, calibrator.last_issue + 1 - offset)
        elif len(asked):
            begin = max(begin, int(asked.min()))
        own = np.arange(begin + -(begin + offset) % self._stride, until + 1, self._stride)
        every = np.union1d(asked, own)
        wanted = dict(zip(asked.tolist(), range(len(asked)), strict=True))
        teaches = set(own.tolist())
        found = np.full((len(asked), self.horizon, len(self.quantiles)), np.nan)
        target = grid.signals[:, 0]
        size = max(1, _CHUNK // self.horizon)
        for first in range(0, len(every), size):
            some = every[first : first + size]
            for issue, raw in zip(some.tolist(), self._raw(grid, some), strict=True):
                calibrator.resolve(offset, target[: issue + 1], issue + offset)
                if issue in wanted:
                    found[wanted[issue]] = self._bounded(calibrator.calibrate(issue + offset, raw))
                if issue in teaches:
                    ahead = grid.known[issue + 1 : issue + 1 + self.horizon]
                    raw[np.isnan(ahead).any(axis=1)] = np.nan  # half blind: it says nothing of the others
                    calibrator.issue(issue + offset, raw)
        calibrator.resolve(offset, target[: until + 1], until + offset)
        return found

    def _bounded(self, forecasts: Floats) -> Floats:
        low, high = self.bounds
        return forecasts if low is None and high is None else np.clip(forecasts, low, high)

    def _raw(self, grid: Grid, issues: Rows) -> Floats:
        """As the model says, (issues, horizon, quantiles), rising with the quantile."""
        plan = self.plan_
        if (short := plan.steps_needed - 1 - int(issues.min())) > 0:
            raise NotPrimed(short)
        # Features of an issue look back no further than this: weeks of history cost as much as two years.
        first = max(0, int(issues.min()) - plan.steps_needed + 1)
        last = int(issues.max()) + 1
        past = Grid(
            grid.first_ns + first * plan.step_s * NS_PER_S, grid.signals[first:last], grid.known[first:last]
        )
        ready, vectors = plan.issues(past)
        place = np.searchsorted(ready + first, issues)
        position, at, leads = pairs(issues, self.horizon)
        raw = self.model_.predict(plan.table(grid, at, leads, vectors[place][position]))
        return self._bounded(np.sort(raw, axis=1)).reshape(len(issues), self.horizon, -1)

    def _drawn(
        self,
        plan: InputPlan,
        grid: Grid,
        issues: Rows,
        vectors: Floats,
        within: tuple[int, int],
        random: np.random.Generator,
    ) -> tuple[Floats, Floats, Rows]:
        """Pairs whose issue and target lie within these steps and whose outcome is known: inputs, outcome, issue."""
        begin, end = within
        some = np.flatnonzero((issues >= begin) & (issues < end - 1))
        if not len(some):
            return np.empty((0, len(plan.names))), np.empty(0), some
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
        return plan.table(grid, at, leads, vectors[place]), actual[known], at

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
        if self.window_days <= 0 or not 0 <= self.rate < 1 or self.max_rows < _LEAST_ROWS:
            raise ValueError(
                f"window_days must be above 0, rate from 0 and below 1, max_rows at least {_LEAST_ROWS}"
            )


def _seconds(duration: str, what: str) -> int:
    seconds: float = _pandas.Timedelta(duration).total_seconds()
    if seconds < 1 or seconds != int(seconds):
        raise ValueError(f"{what} is {duration!r}; it must be whole seconds")
    return int(seconds)
