"""Plans one after another: the last one is kept while none is found, and the horizon gives way to the deadline."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class Rolling:
    """``longest`` steps are planned where there is time, ``shortest`` where there is none."""

    longest: int
    shortest: int
    deadline_s: float = 10.0
    gap: float = 0.005
    horizon: int = field(init=False)
    """Of the next plan."""
    plan: Plan | None = field(init=False, default=None)
    """The last usable one."""

    def __post_init__(self) -> None:
        if not 1 <= self.shortest <= self.longest:
            raise DispatchError(
                f"shortest {self.shortest} and longest {self.longest}: 1 or more, and no more than the other"
            )
        self.horizon = self.longest

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
        self.horizon = self.next_horizon(found)
        return found

    def next_horizon(self, found: Plan) -> int:
        """After a plan, or none, of ``horizon`` steps."""
        if found.status is Status.LATE:
            wanted = math.floor(self.horizon * HALVED)
        elif found.status is Status.FEASIBLE:
            wanted = math.floor(self.horizon * SHORTENED)
        elif found.status is Status.OPTIMAL and found.solver_s <= self.deadline_s * TO_SPARE:
            wanted = math.ceil(self.horizon * LENGTHENED)
        else:
            wanted = self.horizon
        return min(max(wanted, self.shortest), self.longest)

    def plan_at(self, time: datetime) -> Plan | None:
        """The one to follow; None where the last one does not reach so far, so that it takes a rule."""
        if self.plan is None:
            return None
        begins, ends = (each.astimezone(UTC) for each in (self.plan.start, self.plan.end))
        return self.plan if begins <= time.astimezone(UTC) < ends else None
