"""What is usual at a time of day, and what a clear sky has to do with it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from historian.forecast.calendar import Civil
from historian.forecast.conformal import Calibrator
from historian.forecast.forecaster import Forecaster
from historian.forecast.inputs import InputPlan

DAYS = 40
SUN = "clear_sky_w_m2"


@pytest.fixture(scope="module")
def sun() -> pd.DataFrame:
    """Hourly: a sun that gets weaker every day, behind clouds that know nothing of the day before."""
    index = pd.date_range("2026-08-01", periods=24 * DAYS, freq="1h", tz="UTC")
    day = np.arange(24 * DAYS) / 24
    clear = np.maximum(0.0, np.sin(2 * np.pi * (day - 0.25))) * (900 - 10 * day)
    cloud = np.repeat(np.random.default_rng(3).beta(3, 1, DAYS), 24)
    return pd.DataFrame({"load_kw": 0.1 * clear * cloud, SUN: clear}, index)


def plan(known: tuple[str, ...]) -> InputPlan:
    return InputPlan(target="load_kw", past=(), known=known, step_s=3600, season_s=86_400, civil=Civil("UTC"))


def inputs(frame: pd.DataFrame, known: tuple[str, ...], issue: int, leads: np.ndarray) -> pd.DataFrame:
    made = plan(known)
    grid = made.grid(frame)
    ready, vectors = made.issues(grid)
    at = np.full(len(leads), issue)
    table = made.table(grid, at, leads, vectors[np.searchsorted(ready, at)])
    return pd.DataFrame(table, index=leads, columns=list(made.names))


def test_the_usual_is_a_quantile_of_the_last_28_days_at_that_time_of_day(sun) -> None:
    issue, leads = 24 * 33 + 9, np.array([1, 4, 24])
    found = inputs(sun, (), issue, leads)
    for lead in leads.tolist():
        days = sun["load_kw"].to_numpy()[issue + lead - 24 :: -24][:28]
        for quantile in (0.25, 0.5, 0.75):
            usual = found.loc[lead, "seasonal"] + found.loc[lead, f"usual_{quantile}.rise"]
            assert usual == pytest.approx(np.quantile(days, quantile))


def test_of_fewer_than_five_days_there_is_no_usual(sun) -> None:
    target = sun["load_kw"].where(sun.index >= sun.index[24 * 30])
    found = inputs(sun.assign(load_kw=target), (), 24 * 34 - 1, np.array([12]))
    assert np.isnan(found["usual_0.5.rise"]).all()
    found = inputs(sun.assign(load_kw=target), (), 24 * 35 - 1, np.array([12]))
    assert np.isfinite(found["usual_0.5.rise"]).all()


def test_with_a_clear_sky_known_days_count_by_how_clear_they_were(sun) -> None:
    bright = sun.assign(load_kw=0.08 * sun[SUN])  # always as clear
    found = inputs(bright, (SUN,), 24 * 33 + 10, np.arange(1, 25))
    day = (bright[SUN].to_numpy()[24 * 33 + 10 + found.index] > 10.0).nonzero()[0]
    actual = bright["load_kw"].to_numpy()[24 * 33 + 10 + found.index]
    for name in ("usual_0.25", "usual_0.5", "usual_0.75", "clearness_hour", "clearness_day"):
        forecast = (found["seasonal"] + found[f"{name}.rise"]).to_numpy()
        np.testing.assert_allclose(forecast[day], actual[day], rtol=1e-9)


def test_by_night_the_last_hour_of_sun_is_remembered(sun) -> None:
    dim = sun.copy()
    dim.iloc[24 * 33 + 17, 0] *= 0.5  # the last hour before dusk
    tomorrow = inputs(dim, (SUN,), 24 * 33 + 23, np.array([12]))
    assert (tomorrow["seasonal"] + tomorrow["clearness_hour.rise"]).to_numpy() == pytest.approx(
        0.5 * sun["load_kw"].iloc[24 * 33 + 16] / sun[SUN].iloc[24 * 33 + 16] * sun[SUN].iloc[24 * 34 + 11],
        rel=1e-6,
    )


def test_what_comes_after_the_issue_changes_no_input(sun) -> None:
    issue, leads = 24 * 33 + 10, np.arange(1, 25)
    later = sun.copy()
    later.iloc[issue + 1 :, 0] = np.random.default_rng(1).uniform(0, 100, len(sun) - issue - 1)
    np.testing.assert_array_equal(
        inputs(sun, (SUN,), issue, leads).to_numpy(), inputs(later, (SUN,), issue, leads).to_numpy()
    )


def test_clouds_that_know_nothing_of_yesterday_are_forecast_by_the_usual_day(sun) -> None:
    fitted = Forecaster(24, "1h", season="1D", model="linear", calibration=0.4, max_rows=4000).fit(
        sun, known=[SUN]
    )
    # Against independent days the median of many misses by 0.7 to 0.8 of what the day before misses by.
    assert fitted.scores_["mase"] < 0.85 * fitted.naive_scores_["mase"]


def test_inputs_of_a_clear_sky_change_the_digest(sun) -> None:
    cloudy = sun.rename(columns={SUN: "cloud"})
    digests = {
        Forecaster(24, "1h", season="1D", model="seasonal-naive").fit(frame, known=known).digest_
        for frame, known in ((sun, [SUN]), (cloudy, ["cloud"]), (sun[["load_kw"]], []))
    }
    assert len(digests) == 3
    assert {"clearness_hour.rise", "clearness_day.rise"} <= set(plan((SUN,)).names) - set(plan(()).names)


def test_outcomes_teach_the_same_in_small_steps_and_large_ones() -> None:
    random = np.random.default_rng(5)
    actual = random.normal(size=400)
    calibrators = [
        Calibrator((0.05, 0.5, 0.95), 24, window=30, rate=0.05, floor=np.ones(24)) for _ in range(2)
    ]
    raws = {step: np.sort(random.normal(size=(24, 3)), axis=1) for step in range(0, 360, 3)}
    for step in range(400):
        calibrators[0].resolve(
            0, actual[: step + 1], step
        )  # each step by itself: one lead of an issue at once
        if step in raws:
            calibrators[1].resolve(0, actual[: step + 1], step)
            moved = [one.calibrate(step, raws[step].copy()) for one in calibrators]
            np.testing.assert_array_equal(*moved)
            for one in calibrators:
                one.issue(step, raws[step])
