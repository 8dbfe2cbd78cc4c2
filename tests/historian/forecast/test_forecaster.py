"""Forecasts: beat the season before, hold the share they claim, know nothing of the future. Scores: formulas."""

from __future__ import annotations

import math

import numpy as np
import pandas
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from historian.forecast import NotPrimed
from historian.forecast.backtest import backtest
from historian.forecast.conformal import Calibrator
from historian.forecast.forecaster import Forecaster
from historian.forecast.scores import coverage, mape, mase, pinball, score, seasonal_scale

HOURS = 24 * 7 * 20
START = HOURS // 2
QUANTILES = (0.05, 0.5, 0.95)


@pytest.fixture(scope="module")
def frame():
    """An hourly load of a working week and the weather, over a change to winter time; the weather is known ahead."""
    random = np.random.default_rng(5)
    index = pandas.date_range("2026-07-06", periods=HOURS, freq="h", tz="Europe/Berlin")
    hour, works = index.hour.to_numpy(), index.day_of_week.to_numpy() < 5
    weather = np.zeros(HOURS)
    noise = np.zeros(HOURS)
    for step in range(1, HOURS):
        weather[step] = 0.7 * weather[step - 1] + random.normal(0, 1)
        noise[step] = 0.5 * noise[step - 1] + random.normal(0, 1)
    load = (
        100
        + 30 * works * ((hour > 7) & (hour < 19))
        + 10 * np.sin(hour / 24 * math.tau)
        + 4 * weather
        + noise
    )
    return pandas.DataFrame(
        {"load_kw": load, "temperature_c": weather, "other_kw": random.normal(size=HOURS)}, index
    )


def made(model="gradient-boosting", **more) -> Forecaster:
    rows = {"max_rows": 1_500, "calibration": 0.3}
    return Forecaster(24, "1h", QUANTILES, model=model, **{**rows, **more})


@pytest.fixture(scope="module")
def backtests(frame):
    known = ["temperature_c"]
    return {
        model: backtest(made(model), frame, frame.index[START], known=known, every="11h")
        for model in ("seasonal-naive", "gradient-boosting", "linear")
    }


@pytest.mark.parametrize(("model", "share"), [("gradient-boosting", 0.7), ("linear", 0.95)])
def test_a_model_beats_the_season_before(backtests, model, share) -> None:
    bar, found = backtests["seasonal-naive"].scores(), backtests[model].scores()
    assert found["mase"] < share * bar["mase"]
    assert found["pinball"] < share * bar["pinball"]
    assert found["mape"] < bar["mape"]


@pytest.mark.parametrize("model", ["seasonal-naive", "gradient-boosting", "linear"])
def test_a_calibrated_90_percent_interval_covers_about_that_share_of_what_was_held_out(
    backtests, model
) -> None:
    assert backtests[model].scores()["coverage90"] == pytest.approx(0.9, abs=0.05)


def calibrated(outcomes: np.ndarray, horizon: int, window: int, rate: float, floor=(1.0,)) -> np.ndarray:
    """One forecast of zero each step, of quantiles that know nothing; (steps, horizon, quantiles) of what is said."""
    calibrator = Calibrator(QUANTILES, horizon, window, rate, np.array(floor))
    found = np.empty((len(outcomes), horizon, len(QUANTILES)))
    for step in range(len(outcomes)):
        calibrator.resolve(0, outcomes[: step + 1], step)
        raw = np.zeros((horizon, len(QUANTILES)))
        found[step] = calibrator.calibrate(step, raw)
        calibrator.issue(step, raw)
    return found


def covered(found: np.ndarray, outcomes: np.ndarray, lead: int, steps: slice) -> float:
    said, came = found[steps, lead - 1], np.roll(outcomes, -lead)[steps]
    return coverage(came, said[:, 0], said[:, 2])


def test_errors_that_stay_as_they_are_are_covered_by_their_share_at_every_lead() -> None:
    outcomes = np.random.default_rng(2).gumbel(size=2_500)
    found = calibrated(outcomes, 4, 400, 0.01)
    for lead in (1, 4):
        assert covered(found, outcomes, lead, slice(500, 2_400)) == pytest.approx(0.9, abs=0.02)


def test_errors_that_double_are_covered_again_where_the_calibration_follows() -> None:
    outcomes = np.random.default_rng(2).normal(size=1_700)
    outcomes[1_000:] *= 2
    later = slice(1_000, 1_600)
    split, adaptive = (covered(calibrated(outcomes, 2, 800, rate), outcomes, 2, later) for rate in (0, 0.02))
    assert split < 0.8
    assert adaptive == pytest.approx(0.9, abs=0.035)


def test_each_time_of_day_is_covered_where_errors_differ_by_it() -> None:
    """At odd steps the sun is up; at even ones hardly anything can be missed."""
    steps = 2_500
    size = np.where(np.arange(steps) % 2, 10.0, 0.01)
    outcomes = size * np.random.default_rng(4).normal(size=steps)
    found = calibrated(outcomes, 1, 400, 0.01, floor=(0.01, 10.0))
    for even_or_odd in (0, 1):
        assert covered(found, outcomes, 1, slice(500 + even_or_odd, 2_400, 2)) == pytest.approx(0.9, abs=0.03)


def test_calibration_moves_no_median_and_lets_nothing_cross() -> None:
    outcomes = 3 + np.random.default_rng(2).normal(
        size=200
    )  # all above: the lower quantile would pass the median
    found = calibrated(outcomes, 2, 100, 0.01)
    assert (found[:, :, 1] == 0).all()
    assert (np.diff(found, axis=2) >= 0).all()


@pytest.mark.parametrize("model", ["seasonal-naive", "linear"])
def test_a_calibration_that_is_kept_up_forecasts_what_the_backtest_says(frame, model) -> None:
    known = ["temperature_c"]
    fitted = made(model, max_rows=400).fit(frame.iloc[: START + 1], known=known)
    issues = frame.index[[START + 30, START + 100, START + 101]]
    tested = fitted.predict_at(frame, issues)
    for issue in issues:
        at = frame.index.get_loc(issue)
        fitted.observe(frame.iloc[: at + 1], frame.iloc[at + 1 : at + 25])
        found = fitted.predict(
            frame.iloc[at - fitted.plan_.steps_wanted + 1 : at + 1], frame.iloc[at + 1 : at + 25]
        )
        assert found.to_numpy() == pytest.approx(tested.loc[issue].to_numpy(), rel=1e-9)


def test_quantiles_never_cross(backtests) -> None:
    columns = backtests["linear"].forecasts[list(QUANTILES)].to_numpy()
    assert (np.diff(columns, axis=1) >= 0).all()


@pytest.mark.parametrize("model", ["seasonal-naive", "linear"])
def test_shuffling_everything_after_the_issue_changes_nothing(frame, model) -> None:
    shuffled = frame.copy()
    later = slice(START + 1, None)
    order = np.random.default_rng(1).permutation(HOURS - START - 1)
    for name in ("load_kw", "other_kw"):  # what is known ahead is known
        shuffled.iloc[later, frame.columns.get_loc(name)] = frame[name].to_numpy()[later][order]
    issue = frame.index[START]
    found = [
        backtest(
            made(model, max_rows=300, calibration=0.1), one, issue, known=["temperature_c"], every="365D"
        ).forecasts[list(QUANTILES)]
        for one in (frame, shuffled)
    ]
    assert len(found[0]) == 24
    assert found[0].to_numpy().tobytes() == found[1].to_numpy().tobytes()
    fitted = made(model, max_rows=300, calibration=0.1).fit(frame.iloc[: START + 1], known=["temperature_c"])
    ahead = fitted.predict(frame.iloc[: START + 1], frame.iloc[START + 1 : START + 25])
    assert ahead.to_numpy() == pytest.approx(found[0].to_numpy(), rel=1e-12)


def test_shuffling_the_future_changes_no_forecast_while_the_calibration_goes_on(frame) -> None:
    """Refits, outcomes and features on the way: of all that was issued until then nothing changes."""
    now = START + 200
    shuffled = frame.copy()
    order = np.random.default_rng(1).permutation(HOURS - now - 1)
    for name in ("load_kw", "other_kw"):
        shuffled.iloc[now + 1 :, frame.columns.get_loc(name)] = frame[name].to_numpy()[now + 1 :][order]
    until = frame.index[now]
    found = [
        backtest(
            made("linear", max_rows=300),
            one.iloc[START - 800 : now + 60],
            frame.index[START],
            known=["temperature_c"],
            every="5h",
            refit="6D",
        ).forecasts.loc[:until, list(QUANTILES)]
        for one in (frame, shuffled)
    ]
    assert len(found[0]) == 41 * 24
    assert found[0].to_numpy().tobytes() == found[1].to_numpy().tobytes()


def test_a_forecast_is_a_frame_of_times_and_quantiles(frame) -> None:
    fitted = made("seasonal-naive").fit(frame[["load_kw"]])
    found = fitted.predict(frame)
    assert list(found.columns) == list(QUANTILES)
    assert found.index[0] == frame.index[-1] + pandas.Timedelta("1h")
    assert (len(found), found.index.tz) == (24, frame.index.tz)
    assert found[0.5].to_numpy() == pytest.approx(frame["load_kw"].iloc[-168:-144].to_numpy())


def test_the_estimator_keeps_the_conventions_of_scikit_learn(frame) -> None:
    forecaster = made("linear", seed=9)
    assert forecaster.get_params()["seed"] == 9
    assert clone(forecaster).get_params() == forecaster.get_params()
    assert forecaster.set_params(horizon=3).horizon == 3
    with pytest.raises(NotFittedError):
        forecaster.predict(frame)


def test_missing_history_is_no_zero(frame) -> None:
    holes = frame[["load_kw"]].copy()
    holes.iloc[::7] = np.nan
    fitted = made("linear").fit(holes.drop(holes.index[500:520]))
    found = fitted.predict(holes)
    assert np.nanmin(found.to_numpy()) > 40  # the load is never below


def test_the_digest_changes_with_what_is_fed_to_the_model(frame) -> None:
    one, other = frame[["load_kw"]], frame[["load_kw", "other_kw"]]
    naive = made("seasonal-naive", calibration=0)
    digests = [
        naive.fit(one).digest_,
        naive.fit(other).digest_,
        naive.fit(other, known=["other_kw"]).digest_,
        naive.fit(one.tz_convert("America/New_York")).digest_,
    ]
    assert len(set(digests)) == 4
    assert digests[0] == naive.fit(one).digest_


def test_too_little_history_says_how_much_more(frame) -> None:
    fitted = made("seasonal-naive").fit(frame[["load_kw"]])
    needed = fitted.plan_.steps_needed
    with pytest.raises(NotPrimed, match=f"{needed - 100} more observations"):
        fitted.predict(frame.iloc[:100])
    with pytest.raises(NotPrimed):
        made("seasonal-naive").fit(frame.iloc[:100])


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"model": "oracle"}, "no such model: 'oracle'"),
        ({"horizon": 0}, "at least 1"),
        ({"quantiles": (0.9, 0.1)}, "they rise"),
        ({"quantiles": (0.0, 0.5)}, "between 0 and 1"),
        ({"calibration": 1.0}, "a share"),
        ({"season": "90min"}, "no multiple of freq"),
    ],
)
def test_wrong_parameters_are_refused(frame, change, fault) -> None:
    with pytest.raises(ValueError, match=fault):
        made().set_params(**change).fit(frame)


def test_wrong_tables_are_refused(frame) -> None:
    forecaster = made("seasonal-naive")
    with pytest.raises(KeyError, match="solar_kw"):
        forecaster.fit(frame, target="solar_kw")
    with pytest.raises(ValueError, match="not known ahead"):
        forecaster.fit(frame, known=["load_kw"])
    with pytest.raises(ValueError, match="row 3 of the frame is not after"):
        forecaster.fit(frame.iloc[[0, 1, 2, 2, 3]])
    with pytest.raises(ValueError, match="off the grid"):
        forecaster.fit(frame.shift(freq="7min"))
    with pytest.raises(ValueError, match="time zone"):
        forecaster.fit(frame.tz_localize(None))
    with pytest.raises(ValueError, match="needs known=temperature_c"):
        made("seasonal-naive").fit(frame, known=["temperature_c"]).predict(frame)


def test_scores_are_those_of_the_formulas() -> None:
    actual, low, middle, high = (
        [10.0, 20.0, math.nan, 0.0],
        [9.0, 21.0, 1.0, -1.0],
        [12.0, 16.0, 5.0, 1.0],
        [13.0, 30.0, 9.0, 2.0],
    )
    assert mape(actual, middle) == pytest.approx((20 + 20) / 2)
    assert mape([*actual, 1e-15], [*middle, 3.0]) == mape(actual, middle), "zero, but for rounding"
    assert mase(actual, middle, scale=2.0) == pytest.approx((2 + 4 + 1) / 3 / 2)
    assert pinball(actual, middle, 0.9) == pytest.approx((0.1 * 2 + 0.9 * 4 + 0.1 * 1) / 3)
    assert coverage(actual, low, high) == pytest.approx(2 / 3)
    assert seasonal_scale([1.0, 2.0, 4.0, math.nan, 8.0], 2) == pytest.approx((3 + 4) / 2)
    found = score(actual, [low, middle, high], QUANTILES, scale=2.0)
    assert found["coverage90"] == pytest.approx(2 / 3)
    assert found["mape"] == pytest.approx(20)
    assert "coverage90" not in score(actual, [middle], (0.5,), scale=2.0)


def test_scores_by_lead_are_those_of_their_rows(backtests) -> None:
    found = backtests["seasonal-naive"].by_lead()
    assert len(found) == 24
    assert found["mase"].mean() == pytest.approx(backtests["seasonal-naive"].scores()["mase"])


@pytest.mark.parametrize("model", ["lightgbm", "genetic", "ensemble"])
def test_every_model_beats_the_season_before_on_what_it_has_not_seen(frame, model) -> None:
    fitted = made(model, max_rows=600).fit(frame.iloc[: 24 * 7 * 7], known=["temperature_c"])
    assert fitted.scores_["pinball"] < fitted.naive_scores_["pinball"]
    assert fitted.predict(frame.iloc[:1_100], frame.iloc[1_100:1_124]).notna().all(axis=None)
