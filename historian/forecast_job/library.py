"""All that is asked of `historian.forecast`; its estimator needs scikit-learn and is imported when it is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.config.forecasts import Surroundings
from historian.forecast_job.plan import Plan, Track
from historian.libraries import load
from historian.signing import KeyFileError, SigningKey

MODEL_KEY: Final = "model-key.pem"  # of this site; who may read it may say what the site runs
ISSUE_EVERY: Final = {Track.LONG: "3h", Track.SHORT: "20min", Track.SPIKE: "5min"}  # in a comparison
CALIBRATION: Final = 0.25  # share of time
MOST_CALIBRATION: Final = 0.6
LONGEST_CALIBRATION_DAYS: Final = (
    56  # at most: of those the last 28 count, and half a year of walking is half a training
)
CATCH_UP_DAYS: Final = 2  # a restart in the evening, after a night whose training failed
Tell = Callable[[str], None]


class ModelError(Exception):
    """A model that cannot be used; says why and what to do."""


def new_forecaster(plan: Plan, model: str, zone: str, rows: int) -> Any:
    """One that is not fitted, for a table of so many rows. Raises ImportError that says how to get what is missing.

    Of a short table the greater part calibrates, of a long one the last weeks: the model is trained on all of it
    afterwards.
    """
    from historian.forecast import Civil
    from historian.forecast.forecaster import Forecaster

    usable = max(rows - plan.steps_to_issue, 1)
    usual = min(CALIBRATION, LONGEST_CALIBRATION_DAYS * plan.day / usable)
    return Forecaster(
        horizon=plan.horizon,
        freq=f"{plan.step_s}s",
        quantiles=plan.quantiles,
        model=model,
        season=f"{plan.forecast.season.days}D",
        calibration=min(max(plan.steps_to_calibrate / usable, usual), MOST_CALIBRATION),
        bounds=(0.0, None) if plan.forecast.kind.is_never_negative else (None, None),
        civil=Civil(zone),
    )


def fit(forecaster: Any, plan: Plan, frame: Any) -> Any:
    """The same, fitted. Raises ValueError where there is too little to learn from."""
    return forecaster.fit(frame, target=plan.target, known=list(plan.known))


def predict(forecaster: Any, plan: Plan, frame: Any, known: Any) -> NDArray[np.float32]:
    """Quantiles of each step after the last row of ``frame``, (steps, quantiles). Raises ValueError (NotPrimed).

    What has come since the last one, or since the training, calibrates it first.
    """
    ahead = known if plan.known else None
    found = forecaster.observe(frame, ahead).predict(frame, known=ahead)
    values: NDArray[np.float32] = found.to_numpy(np.float32)
    return values


def test(forecaster: Any, plan: Plan, frame: Any, start: Any) -> Any:
    """A rolling backtest of what lies after ``start``, trained once on what lies before. Raises ValueError."""
    from historian.forecast.backtest import backtest

    every = ISSUE_EVERY[plan.track]
    return backtest(forecaster, frame, start, target=plan.target, known=list(plan.known), every=every)


def steps_to_read(forecaster: Any, plan: Plan) -> int:
    """Rows for `predict`: what its inputs look back, and what came since the training, which calibrates it."""
    return int(forecaster.plan_.steps_wanted) + CATCH_UP_DAYS * plan.day


def scores(actual: Any, columns: Any, quantiles: tuple[float, ...], scale: float) -> dict[str, float]:
    """MAPE, MASE, mean pinball loss, coverage."""
    from historian.forecast.scores import score

    return dict(score(actual, columns, quantiles, scale))


def seasonal_scale(values: Any, plan: Plan) -> float:
    """Mean absolute error of the seasonal naive forecast within these values."""
    from historian.forecast.scores import seasonal_scale as scale_of

    return scale_of(values, plan.forecast.season.days * plan.day)


def reckoned(index: Any, surroundings: Surroundings, step_s: int) -> Any:
    """What is known of steps that begin at these times without being told: a column each. Raises ValueError,
    ImportError.
    """
    from historian.forecast.known import clear_sky, holidays

    pandas = load("pandas", "a forecast")
    columns = []
    if surroundings.place is not None:
        latitude, longitude = surroundings.place
        columns.append(clear_sky(index, latitude, longitude, to_middle=pandas.Timedelta(step_s / 2, "s")))
    if surroundings.holidays is not None:
        country, _, subdivision = surroundings.holidays.partition("-")
        try:
            columns.append(holidays(index, country, subdivision or None))
        except NotImplementedError as error:
            raise ValueError(
                f"the site's holidays {surroundings.holidays!r} are not known: {error}"
            ) from None
    return pandas.concat(columns, axis=1)


def daily_errors(times: NDArray[np.int64], errors: NDArray[np.float64]) -> list[float]:
    """Means of days (of UTC)."""
    from historian.forecast.drift import daily_errors as means_of

    return means_of(times.tolist(), errors)


def errors_rise(usual: Sequence[float], lately: Sequence[float]) -> bool:
    """Whether a CUSUM of what was erred in each day passes its limit, by what was usual before."""
    from historian.forecast.drift import DriftWatch

    watch = DriftWatch.learn(usual)
    for error in lately:
        watch.update(error)
    return watch.has_drifted


def model_path(folder: Path, plan: Plan) -> Path:
    """Where a plan's model is."""
    return folder / f"{plan.forecast.name}.{plan.track}.model"


def write_model(folder: Path, plan: Plan, forecaster: Any, description: Mapping[str, Any]) -> None:
    """Signed by the site's key, whole or not at all. Raises OSError, ModelError."""
    _write(folder, model_path(folder, plan), forecaster, description)


def _write(folder: Path, path: Path, content: Any, description: Mapping[str, Any]) -> None:
    from historian.forecast import model_file

    key = folder / MODEL_KEY
    try:
        if not key.exists():
            SigningKey.generate().save(key)
        model_file.write(path, content, description, SigningKey.load(key))
    except KeyFileError as error:
        raise ModelError(str(error)) from None


def read_model(folder: Path, plan: Plan) -> tuple[Any, Mapping[str, Any]]:
    """The fitted forecaster and its description. Raises FileNotFoundError (there is none), OSError, ModelError."""
    from historian.forecast import model_file

    path = model_path(folder, plan)
    path.stat()
    try:
        file = model_file.read(path, [SigningKey.load(folder / MODEL_KEY).public])
        if file.description.get("recipe") != plan.recipe:
            raise ModelError("the model was trained for other settings of the forecast: train anew")
        return file.forecaster(), file.description
    except (KeyFileError, model_file.ModelFileError) as error:
        raise ModelError(str(error)) from None


def export_c(forecaster: Any, source: Path, name: str) -> Any:
    """As C, into ``source`` and the header beside it. Raises ValueError for names, ModelError where it has no C."""
    from historian.forecast import export_c as exports

    try:
        return exports.export_c(forecaster, source, name)
    except exports.ExportError as error:
        raise ModelError(str(error)) from None


def patterns_path(folder: Path, forecast: str) -> Path:
    """Where the daily patterns of a forecast's classes of consumers are."""
    return folder / f"{forecast}.patterns.model"


def write_patterns(folder: Path, forecast: str, description: Mapping[str, Any]) -> None:
    """A model file whose description is all there is of it. Raises OSError, ModelError."""
    _write(folder, patterns_path(folder, forecast), None, description)


def read_patterns(folder: Path, forecast: str, recipe: str) -> Mapping[str, Any]:
    """The description. Raises FileNotFoundError (there is none), OSError, ModelError."""
    from historian.forecast import model_file

    path = patterns_path(folder, forecast)
    path.stat()
    try:
        description = model_file.read(path, [SigningKey.load(folder / MODEL_KEY).public]).description
    except (KeyFileError, model_file.ModelFileError) as error:
        raise ModelError(str(error)) from None
    if description.get("recipe") != recipe:
        raise ModelError("the patterns were learned for other classes of consumers: train anew")
    return description


def patterns_of(told: Mapping[str, Any]) -> Any:
    """Those of one class, as they were learned."""
    from historian.forecast.patterns import Patterns

    return Patterns.of_plain(told)


def learn_patterns(
    times: Any, values: Any, members: Sequence[str], step_s: int, zone: str, slots: int
) -> Any:
    """Patterns out of averages of steps, (steps, members). Raises ValueError where there are too few whole days."""
    from historian.forecast.civil_days import civil_days
    from historian.forecast.daily_patterns import DailyPatterns

    days = civil_days(times, values, step_s, zone, slots)
    return DailyPatterns(slots).fit_days(days, list(members), zone).patterns_


def day_of(times: Any, values: Any, step_s: int, zone: str, slots: int) -> Any:
    """One day, as far as it is known: (members, slots)."""
    from historian.forecast.civil_days import civil_days

    if not len(times):
        return np.full((values.shape[1], slots), np.nan)
    return civil_days(times, values, step_s, zone, slots).values[0]
