"""Which plan is followed, and when the next is asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gateway.config.dispatch import Course
from historian.dispatch import Conflict, Plan, Status
from historian.dispatch_job.child import Failure
from historian.dispatch_job.course import LEAST_STEPS, Standing
from historian.dispatch_job.solver import Solved

START = datetime(2026, 3, 1, 6, tzinfo=UTC)
STEP, PERIOD = timedelta(minutes=15), timedelta(minutes=15)
NEW = Standing(steps=96, period=PERIOD, keep=timedelta(hours=6), horizon=96)


def plan(status: Status = Status.OPTIMAL, horizon: int = 96) -> Solved:
    return Solved(Plan(START, STEP, horizon, status), 1.0)


def test_the_last_plan_is_kept_then_a_shorter_one_is_made_and_then_further_ones_again() -> None:
    standing = NEW.told(plan(), START)
    assert standing.course(START) is Course.OPTIMAL
    at = START + PERIOD
    assert standing.is_due(at)
    assert not standing.is_due(at - STEP / 2)
    standing = standing.told(Failure("gone"), at)
    assert (standing.course(at), standing.horizon, standing.failures) == (Course.KEPT, 48, 1)
    assert standing.followed is not None
    standing = standing.told(plan(Status.LATE), at)
    assert (standing.course(at), standing.horizon) == (Course.KEPT, 24)
    standing = standing.told(plan(horizon=24), at)
    assert (standing.course(at), standing.horizon) == (Course.SHORTENED, 48)
    standing = standing.told(plan(horizon=48), at).told(plan(Status.FEASIBLE), at)
    assert (standing.course(at), standing.horizon) == (Course.FEASIBLE, 96)


def test_a_kept_plan_ends_with_its_time_and_the_rule_holds() -> None:
    standing = NEW.told(plan(), START).told(Failure("gone"), START)
    assert standing.course(START + timedelta(hours=6)) is Course.KEPT
    assert standing.course(START + timedelta(hours=6, seconds=1)) is Course.RULE
    short = NEW.told(plan(horizon=8), START).told(Failure("gone"), START)
    assert (short.course(START + 7 * STEP), short.step(START + 7 * STEP)) == (Course.KEPT, 7)
    assert (short.course(START + 8 * STEP), short.step(START + 8 * STEP)) == (Course.RULE, None)


def test_the_horizon_has_an_end_to_its_shortening_and_what_cannot_be_shortens_none() -> None:
    standing = NEW
    for _ in range(10):
        standing = standing.told(Failure("late", is_late=True), START)
    assert standing.horizon == LEAST_STEPS
    assert standing.course(START) is Course.RULE
    conflict = Conflict("tie", "imports at most 2 kW", "kW")
    answer = Solved(Plan(START, STEP, 96, Status.INFEASIBLE, conflicts=(conflict,)), 1.0)
    standing = NEW.told(answer, START)
    assert (standing.horizon, standing.words) == (96, "cannot hold together: tie: imports at most 2 kW")


def test_a_failure_is_tried_again_within_a_minute_and_a_clock_set_back_does_not_stop_it() -> None:
    standing = NEW.told(Failure("gone"), START)
    assert standing.is_due(START + timedelta(seconds=60))
    assert NEW.told(plan(), START).is_due(START - timedelta(hours=3))
