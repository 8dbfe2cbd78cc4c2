"""Years of a battery's days: when it is worn out, with a band, and earlier where it has a knee."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from historian.health.maintenance import Urgency
from historian.health_job.assess import Known, assess
from historian.health_job.store import Day, Done, Estimate

NOON = sys.modules["historian_folder"].NOON
DAY = 86_400 * 10**9


def a_battery(here, health_of_day, count=420):
    """Its assessment after so many days, each with a capacity of this state of health and some noise."""
    battery = here.site.health[0]
    noise = np.random.default_rng(3).normal(0, 0.4, count)
    first = NOON // DAY * DAY - count * DAY
    days = [
        Day(
            first + k * DAY,
            first + (k + 1) * DAY,
            {"capacity_kwh": Estimate(5 * (health_of_day(k) + noise[k]))},
            {},
        )
        for k in range(count)
    ]
    return assess(battery, Known(days, {}), NOON)


def test_a_health_that_falls_steadily_has_a_date_with_a_band_and_an_item_with_evidence(plant):
    # 2 points in 100 days: from 91.6 at the end, 11.6 / 0.02 = 580 days to 80 %.
    found = a_battery(plant(), lambda day: 100 - 0.02 * day)
    assert found.of("knee").value == 0
    assert found.of("loss_pct_a_year").value == pytest.approx(7.3, rel=0.05)
    days, early, late = (found.of(f"end{name}_days").value for name in ("", "_earliest", "_latest"))
    assert days == pytest.approx(580, rel=0.05)
    assert early < 580 < late
    (item,) = found.items
    assert (item.work, item.urgency) == ("replace the battery", Urgency.PLANNED)
    assert item.earliest < item.due < item.latest
    assert [each.what for each in item.evidence] == ["state of health", "loss a year"]


def test_after_a_knee_the_date_is_that_of_the_steeper_line(plant):
    # From day 300 on 0.08 points a day: 84.4 at the end of 420 days, 55 days to 80 %, not 300.
    found = a_battery(plant(), lambda day: 100 - 0.02 * day - 0.06 * max(day - 300, 0))
    assert found.of("knee").value == 1
    assert found.of("end_days").value == pytest.approx(55, abs=8)
    assert found.items[0].urgency is Urgency.SOON
    assert "since its knee on" in found.of("end_days").words
    assert "falls faster since" in found.state


def test_a_health_below_its_least_is_overdue_and_one_that_stays_has_no_date(plant):
    here = plant()
    assert a_battery(here, lambda day: 79.0, 20).items[0].urgency is Urgency.OVERDUE
    steady = a_battery(here, lambda day: 95 + 0.001 * day)
    assert steady.of("end_days").value is None
    assert "does not fall to 80 %" in steady.of("end_days").words
    assert steady.items == ()


def test_work_that_comes_round_counts_from_when_it_was_done(plant):
    genset = plant().site.health[3]
    days = [
        Day(NOON - k * DAY, NOON - (k - 1) * DAY, {"run_h": Estimate(1.0), "starts": Estimate(1.0)}, {})
        for k in range(10, 0, -1)
    ]
    done = Done("Change the oil", NOON - DAY, 109.0, 9, "ada", "")
    (item,) = assess(genset, Known(days, {"Change the oil": done}), NOON).items
    (evidence,) = item.evidence
    assert (evidence.value, evidence.limit) == (pytest.approx(1.0), 2.5)
    assert evidence.source == "run_hours, since 2026-11-20, by ada"
    # An hour a day, and an hour and a half to go.
    assert (item.due.timestamp() - NOON / 1e9) / 86_400 == pytest.approx(1.5)
    assert item.urgency is Urgency.SOON
