"""Which plan is followed: the newest, the last one while the solver fails, one of a shorter horizon, or the rule.

A pure state machine: times in, decisions out. It starts no process.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from gateway.config.dispatch import Course
from historian.dispatch.plan import Plan, Status
from historian.dispatch.rolling import Horizon
from historian.dispatch_job.child import Failure
from historian.dispatch_job.solver import Solved

RETRY = timedelta(seconds=60)
"""After a failure, where the period is longer."""
LEAST_STEPS = 8
"""A horizon is not made shorter: two hours of 15 min see the next peak and departure."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A plan that was made and is still good for something."""

    plan: Plan
    made: datetime
    naive_cost: float
    is_shortened: bool = False
    reserve_pct: NDArray[np.float64] | None = None
    """What batteries are to hold at the begin of each step, of all their capacity."""

    @property
    def saving(self) -> float:
        """What it costs less than the rule, over its horizon."""
        return self.naive_cost - self.plan.costs.money


@dataclass(frozen=True, slots=True)
class Standing:
    """``horizon`` is that of the next try, at most; ``due`` when it is."""

    horizon: Horizon
    deadline_s: float
    period: timedelta
    keep: timedelta
    due: datetime | None = None
    followed: Followed | None = None
    is_failing: bool = False
    failures: int = 0
    words: str = ""
    retry: timedelta = RETRY
    wait: timedelta = timedelta(0)
    """How long after a period of the clock began it is due."""

    def is_due(self, now: datetime) -> bool:
        """A clock that was set back does not put it off for long."""
        return self.due is None or now >= self.due or self.due - now > self.period

    def told(self, answer: Solved | Failure, now: datetime) -> Standing:
        """What follows from what the solver said."""
        if isinstance(answer, Failure):
            # Killed by whom or what, memory perhaps: in any case less is asked next.
            return self._failed(answer.words, Status.LATE, 0.0, now)
        plan = answer.plan
        if not plan.is_usable:
            return self._failed(words_of(plan), plan.status, plan.solver_s, now)
        is_shortened = plan.horizon == self.horizon.steps < self.horizon.longest
        followed = Followed(plan, now, answer.naive_cost, is_shortened, answer.reserve_pct)
        return replace(
            self,
            horizon=self.horizon.after(plan.status, plan.solver_s, self.deadline_s),
            due=now + self.period - self._into_period(now),
            followed=followed,
            is_failing=False,
            words="" if not followed.is_shortened else "the horizon is shorter as the solver was late",
        )

    def _into_period(self, now: datetime) -> timedelta:
        seconds = (now - self.wait).timestamp() % self.period.total_seconds()
        return timedelta(seconds=seconds)

    def cannot(self, words: str, now: datetime) -> Standing:
        """Nothing could be asked of the solver."""
        return self._failed(words, Status.FAILED, 0.0, now)

    def course(self, now: datetime) -> Course:
        """Which plan holds now."""
        followed = self.followed
        if followed is None:
            return Course.RULE if self.is_failing else Course.NONE
        if self.step(now) is None:
            return Course.RULE
        if self.is_failing or now - followed.made > 2 * self.period:
            return Course.KEPT
        if followed.is_shortened:
            return Course.SHORTENED
        return Course.OPTIMAL if followed.plan.status is Status.OPTIMAL else Course.FEASIBLE

    def step(self, now: datetime) -> int | None:
        """The step of the plan that holds now; None where the plan is at its end, or too old to be followed."""
        if self.followed is None:
            return None
        plan = self.followed.plan
        step = (now - plan.start) // plan.step
        is_old = now - self.followed.made > self.keep
        return step if 0 <= step < plan.horizon and not is_old else None

    def _failed(self, words: str, status: Status, solver_s: float, now: datetime) -> Standing:
        return replace(
            self,
            horizon=self.horizon.after(status, solver_s, self.deadline_s),
            due=now + min(self.period, self.retry),
            is_failing=True,
            failures=self.failures + 1,
            words=words,
        )


def words_of(plan: Plan) -> str:
    """Why a plan is not usable: the constraints that cannot hold together, by name."""
    if plan.conflicts:
        return "cannot hold together: " + "; ".join(str(each) for each in plan.conflicts)
    return plan.words or plan.status.value
