"""A desk-top grid whose day has sixty ticks of 5 s (`gateway.scenarios.imperial60`), in the units of a site.

A joule there is a kilowatt-hour here, so a watt is 3.6 MW and a joule a tick 720 kW; a cent a joule is a cent a kWh.
Days are numbered by the clock: whole 300 s since 1970, and the seed. Always, to rounding:
tie + sun + store = demand + losses + jobs.
"""

from __future__ import annotations

import math

from gateway.scenarios.imperial60 import DEMAND_MAX_J, LOSS_J, STORE_J, TICK, TICKS, Day, Job, day_of

TICK_S = TICK.total_seconds()
DAY_S = TICK_S * TICKS
KW_PER_W = 3_600.0
KW_PER_J_A_TICK = KW_PER_W / TICK_S
SECONDS_PER_HOUR = 3_600.0

STORE_KWH = STORE_J
STORE_KW = STORE_KWH * KW_PER_J_A_TICK
"""It states no limit of power: all of it within a tick."""
DEMAND_MAX_KW = DEMAND_MAX_J * KW_PER_J_A_TICK
LOSSES_KW = LOSS_J * KW_PER_J_A_TICK
EUR_PER_CENT = 0.01
JOBS = 3
PAUSE_S = 60.0
"""A clock that jumped further, or back, has no time between that could be played."""


class Store:
    """``setpoint_kw`` is kept to as long as there is something in it, or room; positive discharges."""

    __slots__ = ("energy_kwh", "power_kw", "setpoint_kw")

    def __init__(self) -> None:
        self.energy_kwh = 0.0
        self.power_kw = 0.0
        self.setpoint_kw = 0.0

    @property
    def charge_pct(self) -> float:
        return 100.0 * self.energy_kwh / STORE_KWH

    def step(self, dt_s: float) -> None:
        hours = dt_s / SECONDS_PER_HOUR
        most, least = self.energy_kwh / hours, (self.energy_kwh - STORE_KWH) / hours
        self.power_kw = max(min(self.setpoint_kw, most, STORE_KW), least, -STORE_KW)
        self.energy_kwh = min(max(self.energy_kwh - self.power_kw * hours, 0.0), STORE_KWH)


class DeferrableJob:
    """Runs with ``setpoint_kw`` at most while its window is open and it is not done; uncommanded, at once."""

    __slots__ = ("closes_s", "done_kwh", "energy_kwh", "opens_s", "power_kw", "setpoint_kw")

    def __init__(self) -> None:
        self.setpoint_kw = DEMAND_MAX_KW
        self.power_kw = self.energy_kwh = self.done_kwh = 0.0
        self.opens_s = self.closes_s = 0.0
        """Left until then; 0 once it is so."""

    def begin(self, job: Job) -> None:
        self.energy_kwh, self.done_kwh = job.energy_j, 0.0

    def look(self, job: Job, into_day_s: float) -> None:
        self.opens_s = max(job.start * TICK_S - into_day_s, 0.0)
        self.closes_s = max(job.end * TICK_S - into_day_s, 0.0)

    def step(self, dt_s: float, room_kw: float) -> None:
        hours = dt_s / SECONDS_PER_HOUR
        is_open = self.opens_s <= 0.0 < self.closes_s
        left_kw = max(self.energy_kwh - self.done_kwh, 0.0) / hours
        self.power_kw = max(min(self.setpoint_kw, room_kw, left_kw), 0.0) if is_open else 0.0
        self.done_kwh = min(self.done_kwh + self.power_kw * hours, self.energy_kwh)


class Imperial60:
    """The grid at ``now_s``, UTC seconds since 1970. `step` goes on to a later time."""

    __slots__ = (
        "_job_rules",
        "_now_s",
        "day",
        "demand_kw",
        "jobs",
        "seed",
        "store",
        "sun_kw",
        "tick",
        "tie_kw",
    )

    def __init__(self, seed: int, now_s: float) -> None:
        self.seed = seed
        self.store = Store()
        self.jobs = [DeferrableJob() for _ in range(JOBS)]
        self.demand_kw = self.sun_kw = self.tie_kw = 0.0
        self._now_s = now_s
        self._begin(now_s)
        self._look()

    @property
    def losses_kw(self) -> float:
        return LOSSES_KW

    @property
    def asked_eur_per_kwh(self) -> float:
        """For import, now."""
        return float(self.day.asked_cents[self.tick]) * EUR_PER_CENT

    @property
    def paid_eur_per_kwh(self) -> float:
        """For export, now."""
        return float(self.day.paid_cents[self.tick]) * EUR_PER_CENT

    def step(self, now_s: float) -> None:
        if not 0.0 <= now_s - self._now_s <= PAUSE_S:
            self._now_s = now_s
            self._begin(now_s)
            self._look()
            return
        while self._now_s < now_s:
            # Ticks of the clock, not of the process: nothing of one is played in another.
            edge_s = (math.floor(self._now_s / TICK_S) + 1) * TICK_S
            until_s = min(now_s, edge_s)
            self._play(until_s - self._now_s)
            self._now_s = until_s
            if self._now_s == edge_s and self.tick == TICKS - 1:
                self._begin(edge_s)
            self._look()

    def _begin(self, now_s: float) -> None:
        """A day, wherever in it now is."""
        self.day: Day = day_of(math.floor(now_s / DAY_S) + self.seed)
        self._job_rules = self.day.jobs
        for job, rule in zip(self.jobs, self._job_rules, strict=True):
            job.begin(rule)

    def _look(self) -> None:
        """What holds from now on."""
        into_day_s = self._now_s % DAY_S
        self.tick = min(int(into_day_s / TICK_S), TICKS - 1)
        self.demand_kw = min(float(self.day.demand_w[self.tick]) * KW_PER_W, DEMAND_MAX_KW)
        self.sun_kw = float(self.day.sun_w[self.tick]) * KW_PER_W
        for job, rule in zip(self.jobs, self._job_rules, strict=True):
            job.look(rule, into_day_s)
        self._balance()

    def _play(self, dt_s: float) -> None:
        room_kw = DEMAND_MAX_KW - self.demand_kw
        for job in self.jobs:
            job.step(dt_s, room_kw)
            room_kw -= job.power_kw
        self.store.step(dt_s)
        self._balance()

    def _balance(self) -> None:
        drawn_kw = self.demand_kw + LOSSES_KW + sum(job.power_kw for job in self.jobs)
        self.tie_kw = drawn_kw - self.sun_kw - self.store.power_kw
