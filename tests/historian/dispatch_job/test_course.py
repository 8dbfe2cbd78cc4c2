"""Which plan is followed, and when the next is asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gateway.config.dispatch import Course
from historian.dispatch import Conflict, Plan, Status
from historian.dispatch.rolling import Horizon
from historian.dispatch_job.child import Failure
from historian.dispatch_job.course import LEAST_STEPS, Standing
from historian.dispatch_job.solver import Solved

START = datetime(2026, 3, 1, 6, tzinfo=UTC)
STEP, PERIOD = timedelta(minutes=15), timedelta(minutes=15)
DEADLINE_S = 10.0
NEW = Standing(Horizon.full(96, LEAST_STEPS), DEADLINE_S, PERIOD, timedelta(hours=6))


def plan(status: Status = Status.OPTIMAL, horizon: int = 96, solver_s: float = 0.1) -> Solved:
    return Solved(Plan(START, STEP, horizon, status, solver_s=solver_s), 1.0)


def test_the_last_plan_is_kept_then_a_shorter_one_is_made_and_then_further_ones_again() -> None:
    standing = NEW.told(plan(), START)
    assert standing.course(START) is Course.OPTIMAL
    at = START + PERIOD
    assert standing.is_due(at)
    assert not standing.is_due(at - STEP / 2)
    standing = standing.told(Failure("gone"), at)
    assert (standing.course(at), standing.horizon.steps, standing.failures) == (Course.KEPT, 48, 1)
    assert standing.followed is not None
    standing = standing.told(plan(Status.LATE), at)
    assert (standing.course(at), standing.horizon.steps) == (Course.KEPT, 24)
    standing = standing.told(plan(horizon=24), at)
    assert (standing.course(at), standing.horizon.steps) == (Course.SHORTENED, 32)
    for steps in (32, 43, 58, 78):
        standing = standing.told(plan(horizon=steps), at)
    standing = standing.told(plan(), at)
    assert (standing.course(at), standing.horizon.steps) == (Course.OPTIMAL, 96)


def test_a_solver_that_is_slow_is_asked_for_less_before_it_is_late() -> None:
    standing = NEW.told(plan(Status.FEASIBLE, solver_s=DEADLINE_S), START)
    assert (standing.course(START), standing.horizon.steps) == (Course.FEASIBLE, 72)
    standing = standing.told(plan(horizon=72, solver_s=DEADLINE_S / 2), START)
    assert (standing.course(START), standing.horizon.steps) == (Course.SHORTENED, 72)


def test_a_plan_that_is_short_as_there_is_no_more_to_plan_is_not_called_so() -> None:
    assert NEW.told(plan(horizon=5), START).course(START) is Course.OPTIMAL


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
    assert standing.horizon.steps == LEAST_STEPS
    assert standing.course(START) is Course.RULE
    conflict = Conflict("tie", "imports at most 2 kW", "kW")
    answer = Solved(Plan(START, STEP, 96, Status.INFEASIBLE, conflicts=(conflict,)), 1.0)
    standing = NEW.told(answer, START)
    assert (standing.horizon.steps, standing.words) == (96, "cannot hold together: tie: imports at most 2 kW")


def test_a_failure_is_tried_again_within_a_minute_and_a_clock_set_back_does_not_stop_it() -> None:
    standing = NEW.told(Failure("gone"), START)
    assert standing.is_due(START + timedelta(seconds=60))
    assert NEW.told(plan(), START).is_due(START - timedelta(hours=3))
