"""What is kept when the solver is late, and how far ahead it then plans."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dispatch_instances import site_of

from historian.dispatch import DispatchError, GridTie, Load, Rolling, Site, Status
from historian.dispatch.rolling import Horizon

START = datetime(2026, 3, 28, 17, tzinfo=UTC)
STEP = timedelta(minutes=30)
NO_TIME, ENOUGH = 1e-4, 1e5  # seconds: none in which anything is solved, and a quarter of it is never used


def test_a_late_solver_keeps_the_last_plan_and_is_asked_for_less_until_it_has_time_to_spare() -> None:
    rolling = Rolling(longest=12, shortest=4, deadline_s=ENOUGH)
    first = rolling.replan(site_of(3, 12), START, STEP)
    assert first.is_usable
    assert rolling.horizon == 12
    rolling.deadline_s = NO_TIME
    late = rolling.replan(site_of(3, 12), START + STEP, STEP)
    assert late.status is Status.LATE
    assert rolling.plan is first
    assert rolling.plan_at(START + STEP) is first
    assert rolling.horizon == 6
    rolling.replan(site_of(3, 12), START + 2 * STEP, STEP)
    assert rolling.horizon == 4
    rolling.deadline_s = ENOUGH
    again = rolling.replan(site_of(3, 12), START + 3 * STEP, STEP)
    assert rolling.plan is again
    assert again.horizon == 4
    assert rolling.horizon == 6
    rolling.replan(site_of(3, 12), START + 4 * STEP, STEP)
    assert rolling.horizon == 8


def test_a_plan_that_cannot_be_changes_neither_the_last_one_nor_the_horizon() -> None:
    rolling = Rolling(longest=12, shortest=4, deadline_s=ENOUGH)
    kept = rolling.replan(site_of(3, 12), START, STEP)
    dark = Site((Load("house", 5.0), GridTie("grid", 0.3, 0.0, 2.0, 0.0)))
    assert rolling.replan(dark, START + STEP, STEP).status is Status.INFEASIBLE
    assert rolling.plan is kept
    assert rolling.horizon == 12


@pytest.mark.parametrize(
    ("status", "solver_s", "horizon"),
    [
        (Status.LATE, 8.0, 6),
        (Status.FEASIBLE, 8.0, 9),
        (Status.OPTIMAL, 7.0, 12),
        (Status.OPTIMAL, 2.0, 16),
        (Status.FAILED, 1.0, 12),
    ],
)
def test_the_horizon_goes_by_the_time_it_took(status: Status, solver_s: float, horizon: int) -> None:
    assert Horizon(longest=20, shortest=4, steps=12).after(status, solver_s, deadline_s=8.0).steps == horizon


def test_a_plan_is_followed_to_its_end_and_no_further() -> None:
    start = datetime(2026, 10, 25, 0, tzinfo=ZoneInfo("Europe/Vienna"))  # 25 hours long
    rolling = Rolling(longest=4, shortest=4, deadline_s=ENOUGH)
    assert rolling.plan_at(start) is None
    rolling.replan(Site((Load("house", 5.0), GridTie("grid", 0.3, 0.0, 9.0, 0.0))), start, timedelta(hours=1))
    assert rolling.plan is not None
    assert rolling.plan.end == datetime(2026, 10, 25, 2, tzinfo=UTC)
    assert rolling.plan_at(datetime(2026, 10, 25, 1, 59, tzinfo=UTC)) is rolling.plan
    assert rolling.plan_at(datetime(2026, 10, 25, 2, 0, tzinfo=UTC)) is None
    assert rolling.plan_at(start - timedelta(minutes=1)) is None


def test_horizons_that_cannot_be_are_refused() -> None:
    with pytest.raises(DispatchError, match=r"shortest 9 and longest 4"):
        Rolling(longest=4, shortest=9)
