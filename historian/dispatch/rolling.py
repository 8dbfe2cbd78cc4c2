"""Plans one after another: the last one is kept while none is found, and the horizon gives way to the deadline."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from historian.dispatch.errors import DispatchError
from historian.dispatch.model import Site
from historian.dispatch.plan import Plan, Status
from historian.dispatch.planning import solve

HALVED, SHORTENED, LENGTHENED = 1 / 2, 3 / 4, 4 / 3
"""Of the horizon: where there was no plan in time, where its gap was not reached in time, where there was time to
spare. Down is faster than up, so that a machine that is too slow is not asked the same again and again."""

TO_SPARE = 1 / 4
"""Of the deadline: a program a third longer than one solved within it takes less than the deadline, mostly."""


@dataclass(frozen=True, slots=True)
class Horizon:
    """``steps`` are planned next: ``longest`` where there is time, ``shortest`` where there is none."""

    longest: int
    shortest: int
    steps: int

    @classmethod
    def full(cls, longest: int, shortest: int) -> Horizon:
        """Raises DispatchError."""
        if not 1 <= shortest <= longest:
            raise DispatchError(
                f"shortest {shortest} and longest {longest}: 1 or more, and no more than the other"
            )
        return cls(longest, shortest, longest)

    def after(self, status: Status, solver_s: float, deadline_s: float) -> Horizon:
        """After a plan of ``steps`` that was or was not found."""
        if status is Status.LATE:
            wanted = math.floor(self.steps * HALVED)
        elif status is Status.FEASIBLE:
            wanted = math.floor(self.steps * SHORTENED)
        elif status is Status.OPTIMAL and solver_s <= deadline_s * TO_SPARE:
            wanted = math.ceil(self.steps * LENGTHENED)
        else:
            wanted = self.steps
        return replace(self, steps=min(max(wanted, self.shortest), self.longest))


@dataclass(slots=True)
class Rolling:
    """``longest`` steps are planned where there is time, ``shortest`` where there is none.

    For who asks one solver after another in its own process; in a site, `historian.dispatch_job` asks one beside it.
    """

    longest: int
    shortest: int
    deadline_s: float = 10.0
    gap: float = 0.005
    plan: Plan | None = field(init=False, default=None)
    """The last usable one."""
    _horizon: Horizon = field(init=False)

    def __post_init__(self) -> None:
        self._horizon = Horizon.full(self.longest, self.shortest)

    @property
    def horizon(self) -> int:
        """Of the next plan."""
        return self._horizon.steps

    def replan(self, site: Site, start: datetime, step: timedelta) -> Plan:
        """What ``solve`` found, kept in ``plan`` if it is usable. ``site``'s series have ``longest`` steps."""
        found = solve(
            *(site, start, step, self.horizon),
            deadline_s=self.deadline_s,
            gap=self.gap,
            previous=self.plan,
        )
        if found.is_usable:
            self.plan = found
        self._horizon = self._horizon.after(found.status, found.solver_s, self.deadline_s)
        return found

    def plan_at(self, time: datetime) -> Plan | None:
        """The one to follow; None where the last one does not reach so far, so that it takes a rule."""
        if self.plan is None:
            return None
        begins, ends = (each.astimezone(UTC) for each in (self.plan.start, self.plan.end))
        return self.plan if begins <= time.astimezone(UTC) < ends else None
