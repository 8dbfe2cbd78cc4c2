"""Drift: what is erred in a day, against the weeks before; told, and trained against once."""

from __future__ import annotations

import shutil
from itertools import count

import numpy as np
import pytest
from historian_folder import NOON

from gateway.config.forecasts import DEFAULT_QUANTILES
from historian.forecast_job.plan import S_NS, Track
from historian.forecast_job.standing import has_risen
from historian.forecast_job.store import Row

HOUR_NS = 3600 * S_NS
DAY_NS = 24 * HOUR_NS
STEP_NS = 900 * S_NS
DAYS = 26
SPREAD = np.linspace(-3, 3, len(DEFAULT_QUANTILES))


@pytest.fixture
def forecast_for_weeks(bare, models):
    """Forecasts of the last weeks, whose medians err by what is told of each day, 26 to 1 before now."""
    plant = bare
    plant.jobs.close()
    shutil.copytree(models, plant.forecasts, dirs_exist_ok=True)
    plant.start()
    plant.look()
    plant.job.long.description["scores"] = {}  # by which a model alone would drift as well
    plant.clock.now += HOUR_NS

    def issue(error_kw):
        first = (NOON // DAY_NS - DAYS) * DAY_NS
        plant.folder.write("a.power_kw", [first - DAY_NS], [100.0])
        plant.folder.write("a.power_kw", range(first, NOON, STEP_NS), [100.0] * ((NOON - first) // STEP_NS))
        for at in range(first - DAY_NS, NOON, 3 * HOUR_NS):
            days = [(NOON // DAY_NS - (at + step * STEP_NS) // DAY_NS) for step in range(96)]
            middle = np.array([100.0 + error_kw(day) for day in days])
            values = (middle[:, None] + SPREAD).astype(np.float32)
            made = (at, at, 900, DEFAULT_QUANTILES, values, "seasonal-naive", at, False)
            plant.jobs._store.keep(Row("load", Track.LONG, *made))
        return plant

    return issue


def usual(day: int) -> float:
    return 4.0 + (day * 7 % 5) / 2  # 4 to 6 kW


@pytest.fixture
def starts(monkeypatch):
    """Trainings that were begun, none of which is done."""
    number = count(1)
    return lambda plant: monkeypatch.setattr(plant.jobs.trainer, "start", lambda *_: next(number)) or number


def test_errors_that_stay_as_they_were_are_no_drift(forecast_for_weeks):
    plant = forecast_for_weeks(usual)
    plant.look()
    assert plant.job.standing.has_risen is False
    assert plant.said("drift").value is False
    assert "errs more" not in plant.said("state").value


def test_errors_that_rose_for_days_are_told_and_trained_against_once(forecast_for_weeks, starts):
    plant = forecast_for_weeks(lambda day: usual(day) + (3.0 if day <= 5 else 0.0))
    begun = starts(plant)
    plant.job.tried = NOON - 8 * HOUR_NS  # after this night's
    plant.look()
    assert plant.job.standing.has_risen
    assert plant.said("drift").value is True
    assert plant.said("state").value.endswith("it errs more than it used to")
    assert (plant.job.tried, next(begun)) == (plant.clock(), 2)
    plant.clock.now = NOON + 7 * HOUR_NS  # still the same day, and the drift is still there
    plant.look()
    assert plant.job.is_drifting
    assert next(begun) == 3, "it was trained for this drift already"


def test_one_bad_day_is_no_drift(forecast_for_weeks):
    plant = forecast_for_weeks(lambda day: usual(day) + (4.0 if day == 3 else 0.0))
    plant.look()
    assert plant.job.standing.has_risen is False


def test_a_few_days_of_forecasts_say_nothing_of_what_is_usual(forecast_for_weeks):
    plant = forecast_for_weeks(lambda day: usual(day) + (9.0 if day <= 5 else 0.0))
    rows = list(plant.jobs._store.between("load", Track.LONG, 0, 2**62))
    plan = plant.job.long.plan
    young = [row for row in rows if row.issue >= NOON - 11 * DAY_NS]
    assert has_risen(plant.job._history, plan, rows, NOON)
    assert not has_risen(plant.job._history, plan, young, NOON)
    assert not has_risen(plant.job._history, plan, [], NOON)
