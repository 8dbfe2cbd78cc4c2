"""When models are trained, and how likely a limit is exceeded."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from historian.forecast_job.plan import S_NS
from historian.forecast_job.standing import Standing, chance_above
from historian.forecast_job.trainer import is_due, last_time

BERLIN = "Europe/Berlin"
HOUR = 3600 * S_NS


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(BERLIN)).timestamp()) * S_NS


@pytest.mark.parametrize(
    ("now", "last"),
    [
        ("2026-11-21T02:30", "2026-11-21T02:30"),
        ("2026-11-21T02:29", "2026-11-20T02:30"),
        ("2026-11-21T23:00", "2026-11-21T02:30"),
        ("2026-10-25T12:00", "2026-10-25T02:30"),  # of the two, the first: fold 0
        ("2026-10-25T01:00", "2026-10-24T02:30"),
        ("2026-03-29T12:00", "2026-03-29T03:30"),  # the night that has no 02:30
    ],
)
def test_the_time_of_day_is_that_of_the_clock_on_the_wall(now, last):
    assert last_time((2, 30), at(now), BERLIN) == at(last)


@pytest.mark.parametrize(
    ("last", "has_model", "drifts", "due"),
    [
        (None, False, False, True),
        ("2026-11-21T02:31", True, False, False),
        ("2026-11-21T01:00", True, False, True),  # a night was missed
        ("2026-11-21T11:30", False, False, False),  # tried half an hour ago
        ("2026-11-21T10:59", False, False, True),
        ("2026-11-21T05:00", True, True, True),
        ("2026-11-21T07:00", True, True, False),
        ("2026-11-21T13:00", True, False, True),  # the clock was set back
    ],
)
def test_training_is_due(site, last, has_model, drifts, due):
    tried = None if last is None else at(last)
    forecast = site.forecasts[0]
    assert is_due(forecast, tried, has_model, drifts, at("2026-11-21T12:00"), BERLIN) is due


def test_it_drifts_where_it_errs_half_more_than_when_it_won():
    description = {"model": "linear", "scores": {"linear": {"mase": 0.6}}}
    assert not Standing(recent_mase=0.89).drifts(description)
    assert Standing(recent_mase=0.91).drifts(description)
    assert not Standing().drifts(description), "nothing is known yet"


QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def test_the_chance_is_read_between_quantiles():
    levels = (10.0, 20.0, 30.0, 40.0, 50.0)
    for quantile, level in zip(QUANTILES, levels, strict=True):
        assert chance_above(level, QUANTILES, levels) == pytest.approx(1 - quantile)
    assert chance_above(25, QUANTILES, levels) == pytest.approx(0.625)
    # Beyond the last two, as they go on: 0.02 a unit, so 0.05 are used up after 2.5.
    assert chance_above(51, QUANTILES, levels) == pytest.approx(0.03)
    assert chance_above(53, QUANTILES, levels) == 0
    assert chance_above(9, QUANTILES, levels) == pytest.approx(0.97)
    assert np.isnan(chance_above(9, QUANTILES, (1, 2, float("nan"), 3, 4)))


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=5, max_size=5).map(sorted),
    st.lists(st.floats(-2e3, 2e3), min_size=2, max_size=8).map(sorted),
)
def test_the_chance_is_a_share_and_never_rises_with_the_limit(levels, limits):
    chances = [chance_above(limit, QUANTILES, levels) for limit in limits]
    assert all(0 <= chance <= 1 for chance in chances)
    assert all(a >= b - 1e-12 for a, b in pairwise(chances))


def test_plans_of_other_settings_have_other_recipes(site):
    from historian.forecast_job.plan import plans_of

    forecast = site.forecasts[0]
    changes = (
        {"past": ("b.power_kw",)},
        {"quantiles": (0.1, 0.5, 0.9)},
        {"horizon_h": 12},
        {"target": "b.power_kw"},
    )
    recipes = {plans_of(dataclasses.replace(forecast, **change))[0].recipe for change in changes}
    recipes |= {plan.recipe for plan in plans_of(forecast)}
    assert len(recipes) == len(changes) + 3
