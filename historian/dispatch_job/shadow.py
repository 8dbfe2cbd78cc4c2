"""What the same steps would have cost under the naive rule: a controller that only reckons, beside the real one.

Both are reckoned from measured means of each step, by the same function (`measured.money`) and the same prices, and
both serve the same: loads, sun, wind and losses as measured, each vehicle what it really took (`shadow_vehicles`),
an island with the same power of the battery, which both have to charge again (`shadow_rule`). What a vehicle takes
now, the rule would have given when it came; that it did is known only now. So the steps since the oldest vehicle came
that is there are reckoned again at each step, and the difference is booked then:

    naive cost of a day = Σ over its steps (cost by rule of all steps so far - what was booked of it before)

Books that are closed stay closed, and what a kWh cost and what it would have cost stand in the same step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import tzinfo

from gateway.config.dispatch import DispatchSettings, PlannedTie
from historian.dispatch_job.days import day_name
from historian.dispatch_job.measured import Measured, money, running
from historian.dispatch_job.shadow_rule import Rule
from historian.dispatch_job.shadow_vehicles import ahead_of, at_once

MOST_STEPS = 192
"""Two days of 15 min, reckoned again in 0.1 s; of a longer stay, energy is moved within the last so many."""


@dataclass(slots=True)
class Day:
    """Costs of a day so far; ``peaks_kw`` are the highest mean imports, as measured and of the shadow."""

    day: str
    cost: float = 0.0
    naive_cost: float = 0.0
    peak_kw: float = 0.0
    naive_peak_kw: float = 0.0
    steps: int = 0

    @property
    def saving(self) -> float:
        return self.naive_cost - self.cost


@dataclass(slots=True)
class Shadow:
    """The state of the controller that only reckons; JSON keeps it over restarts."""

    rule: Rule = field(default_factory=Rule)
    """Before ``steps``."""
    steps: list[Measured] = field(default_factory=list)
    """Those that may still cost the rule something else: since the oldest vehicle came that is there."""
    booked: float = 0.0
    """Of the rule's cost since it began."""
    ran: dict[str, bool] = field(default_factory=dict)
    """Real gensets, in the step before."""
    today: Day | None = None
    yesterday: Day | None = None

    def account(self, settings: DispatchSettings, measured: Measured, zone: tzinfo) -> Day:
        """Add a step to its day, both ways."""
        day = self._day(day_name(settings, measured.start, zone))
        ties = [asset.name for asset in settings.assets if isinstance(asset, PlannedTie)]
        if any(tie not in step.powers_kw for step in self.steps for tie in ties):
            self.steps, self.booked = [], self.rule.cost  # of a site file that was another
        powers, stored = measured.powers_kw, measured.stored_kwh(settings)
        day.cost += money(settings, measured, zone, powers, stored, day.peak_kw, self.ran)
        self.ran = running(settings, powers)
        for tie in ties:
            day.peak_kw = max(day.peak_kw, powers[tie])
        self.steps.append(measured)
        after = self._reckon(settings, zone)
        day.naive_cost += after.cost - self.booked
        self.booked = after.cost
        day.naive_peak_kw = after.peak_kw
        day.steps += 1
        return day

    def _day(self, day: str) -> Day:
        if self.today is None or self.today.day != day:
            self.yesterday, self.today = self.today, Day(day)
        return self.today

    def _reckon(self, settings: DispatchSettings, zone: tzinfo) -> Rule:
        """All ``steps`` again; those that are settled are let go."""
        draws = at_once(settings, self.steps, self.rule.ahead_kwh)
        settled = self._settled()
        ahead = ahead_of(settings, self.steps, draws, settled, self.rule.ahead_kwh)
        rule = self.rule.copy()
        for k, (step, draw) in enumerate(zip(self.steps, draws, strict=True), 1):
            rule.step(settings, step, zone, draw)
            if k == settled:
                self.rule = rule.copy()
                self.rule.ahead_kwh = ahead
        del self.steps[:settled]
        return rule

    def _settled(self) -> int:
        """How many of ``steps`` no vehicle that is there can change."""
        oldest = min(self.steps[-1].vehicles.values(), default=None)
        if oldest is None:
            return len(self.steps)
        return max(sum(step.start < oldest for step in self.steps), len(self.steps) - MOST_STEPS)
