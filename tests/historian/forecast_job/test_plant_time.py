"""Forecasts of a plant that is 60 times as fast as the wall: its steps, its days, its history; tags by the wall."""

from __future__ import annotations

import shutil
import sys

import numpy as np
import pytest
from historian_folder import NOON

from gateway.config.plant_time import PlantTime
from gateway.tags.quality import is_good
from historian.forecast_job.job import Jobs
from historian.forecast_job.part import Teller
from historian.forecast_job.plan import S_NS, Track
from historian.forecast_job.store import Issues

TIME = PlantTime(NOON, 60.0)
DAY_NS, HOUR_NS = 86_400 * S_NS, 3600 * S_NS


@pytest.fixture
def fast(bare, models):
    """Eleven days of the plant, four and a half hours on the wall, and models; it is noon in both."""
    load_kw = sys.modules[type(bare).__module__].load_kw
    times = np.arange(NOON - 11 * DAY_NS, NOON + HOUR_NS, 300 * S_NS)
    bare.folder.write("a.power_kw", TIME.wall_ns(times), [load_kw(time) for time in times.tolist()])
    bare.put(100.0)
    bare.jobs.close()
    shutil.copytree(models, bare.forecasts, dirs_exist_ok=True)
    site = bare.site
    bare.jobs = Jobs(site.forecasts, bare.folder.directory, bare.forecasts, site.time_zone, bare.clock, TIME)
    bare.teller = Teller(bare._writer, bare.region, site.time_zone, bare.clock, TIME)
    return bare


def newest(plant):
    with Issues(plant.forecasts) as issues:
        return issues.newest("load", Track.LONG)


def test_a_forecast_is_issued_when_a_step_of_the_plant_ends_and_history_has_it(fast):
    fast.clock.now = NOON + 60 * S_NS + S_NS  # one o'clock in the plant is a second ago: not on the disk yet
    fast.look()
    assert newest(fast).issue == NOON + HOUR_NS - 900 * S_NS
    fast.clock.now = NOON + 60 * S_NS + 2 * S_NS
    fast.look()
    assert newest(fast).issue == NOON + HOUR_NS


def test_what_is_ahead_is_that_of_the_plant_s_day(fast):
    fast.clock.now = NOON + 62 * S_NS
    fast.look()
    row = newest(fast)
    day_before = fast.job._history.time_average(
        "a.power_kw", row.issue - DAY_NS, row.issue - DAY_NS + 24 * HOUR_NS, 900 * S_NS
    ).values
    median = row.values[:, row.quantiles.index(0.5)]
    assert len(median) == 96
    assert np.isfinite(day_before).all()
    np.testing.assert_allclose(median, day_before, atol=5.0)
    assert np.ptp(median) > 80.0, "the sine of a whole day of the plant"


def test_its_tags_are_stamped_by_the_wall_and_speak_of_the_plant(fast):
    fast.clock.now = NOON + 62 * S_NS
    fast.look()
    ahead = fast.said("p50_1h")
    assert is_good(ahead.status)
    assert ahead.source_time == fast.clock.now
    assert fast.said("age_s").value == 120.0
    assert fast.said("peak_at").value.startswith("2026-11-21T19:")  # 18:00 UTC in Berlin, of the plant's day
