"""What the part does each second, without a clock and processes of its own: values in, what to publish out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from typing import Protocol

import numpy as np

from gateway.config.dispatch import (
    Course,
    DispatchSettings,
    PlannedBattery,
    PlannedDeferrable,
    PlannedTie,
    PlannedVehicle,
)
from historian.dispatch.axis import Axis
from historian.dispatch.errors import DispatchError
from historian.dispatch.rolling import Horizon
from historian.dispatch_job.binding import Read, bind
from historian.dispatch_job.called import Called, nobody
from historian.dispatch_job.child import Failure
from historian.dispatch_job.committed import Committed
from historian.dispatch_job.course import LEAST_STEPS, RETRY, Standing
from historian.dispatch_job.days import day_name, horizon_at, step_began
from historian.dispatch_job.foresight import Means, Source, foresee_all, price_name
from historian.dispatch_job.kept import Kept
from historian.dispatch_job.measured import Measured
from historian.dispatch_job.solver import Job, Solved
from historian.dispatch_job.windows import Window, window_of


class Work(Protocol):
    """A solver at work (`child.Child`)."""

    def poll(self) -> Solved | Failure | None: ...
    def end(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Published:
    """What holds now. ``powers_kw`` is empty where no plan holds; ``valid_until`` is then in the past."""

    course: Course
    sequence: int
    valid_until: datetime
    powers_kw: Mapping[str, float]
    energies_kwh: Mapping[str, float]
    vehicles_kw: float
    reserve_pct: float
    words: str
    forecast: str
    forecast_age_s: float


@dataclass(slots=True)
class _Mean:
    """Sums over the looks of a step."""

    start: datetime
    soc_pct: dict[str, float]
    vehicles: dict[str, datetime]
    """That were there at its begin, since when."""
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    is_island: bool = False
    windows: dict[str, Window] = field(default_factory=dict)
    """As they were last told in it."""

    def add(self, name: str, value: float) -> None:
        self.sums[name] = self.sums.get(name, 0.0) + value
        self.counts[name] = self.counts.get(name, 0) + 1


class Dispatcher:
    """``names`` are the tags' names by their places; ``begin`` starts a solver. Times are aware, and the plant's,
    which goes ``speed`` times as fast as the wall; the period is of the wall, as the solver's deadline is.
    """

    def __init__(
        self,
        settings: DispatchSettings,
        names: Mapping[int, str],
        zone: tzinfo,
        kept: Kept,
        means: Means,
        source: Source,
        begin: Callable[[Job], Work],
        speed: float = 1.0,
        events: Called = nobody,
        committed: Committed | None = None,
    ) -> None:
        self._settings = settings
        self._names = names
        self._zone = zone
        self.kept = kept
        self._means = means
        self._source = source
        self._begin = begin
        self._events = events
        self._committed = committed or Committed()
        self._step = settings.step
        self.standing = Standing(
            Horizon.full(settings.steps, min(LEAST_STEPS, settings.steps)),
            settings.deadline_s,
            timedelta(seconds=settings.period_s) * speed,
            timedelta(hours=settings.keep_h),
            followed=kept.followed,
            retry=RETRY * speed,
            wait=timedelta(seconds=settings.wait_s) * speed,
        )
        self.work: Work | None = None
        self._mean: _Mean | None = None
        self._given: tuple[datetime, int] | None = None  # what the sequence stands for
        self._forecast = ""
        self._issued: datetime | None = None
        self._without: tuple[str, ...] = ()
        self.must_keep = False
        """Something changed that should last over a restart."""
        self.unkept = ""
        """Why it could not be kept; empty where it was."""
        self.unread = ""
        """Why nothing could be asked of the solver at the last look: history and the like cannot be read."""

    @property
    def trouble(self) -> str:
        """What somebody should look after; empty where nothing is."""
        unread = f"can make no new plan: {self.unread}" if self.unread else ""
        unkept = (
            f"does not keep its plan, a restart would begin without it: {self.unkept}" if self.unkept else ""
        )
        return "; ".join(word for word in (unread, unkept) if word)

    def look(self, read: Read, now: datetime) -> Published:
        """Every second. Trouble with history is raised as it is: OSError, HistoryError."""
        before = set(self.kept.memory.plugged)
        self.kept.memory.look(self._settings, read, now)
        self.must_keep |= before != set(self.kept.memory.plugged)
        self._measure(read, now)
        if self.work is not None:
            answer = self.work.poll()
            if answer is not None:
                self.work = None
                self.standing = self.standing.told(answer, now)
                if self._without:  # it may be known soon
                    self.standing = replace(
                        self.standing, due=now + min(self.standing.period, self.standing.retry)
                    )
                self.kept.followed = self.standing.followed
                self.must_keep = True
        elif self.standing.is_due(now):
            self._ask(read, now)
        return self._published(now)

    def is_informed(self, read: Read, now: datetime) -> bool:
        """Whether all is known that a first plan should know, or there has been one."""
        if self.standing.due is not None or self.work is not None:
            return True
        self.kept.memory.look(self._settings, read, now)
        return all(
            asset.name in self.kept.memory.soc_pct
            if isinstance(asset, PlannedBattery)
            else isinstance(asset, PlannedVehicle | PlannedDeferrable) or read(asset.power) is not None
            for asset in self._settings.assets
        )

    def idle(self, read: Read, now: datetime) -> Published:
        """The same while nothing is asked of the solver: devices or history are not read yet."""
        self.kept.memory.look(self._settings, read, now)
        return self._published(now)

    def end(self) -> None:
        """Let go of the solver."""
        if self.work is not None:
            self.work.end()
            self.work = None

    def _ask(self, read: Read, now: datetime) -> None:
        job = self.job(read, now)
        if isinstance(job, str):
            self.standing = self.standing.cannot(job, now)
            return
        try:
            self.work = self._begin(job)
        except OSError as error:
            self.standing = self.standing.cannot(f"the solver cannot be started: {error}", now)

    def job(self, read: Read, now: datetime) -> Job | str:
        """What the solver is asked now, or why it can not be."""
        start = step_began(self._settings, now)
        steps = horizon_at(self._settings, start, self.standing.horizon.steps)
        axis = Axis(start, self._step, steps)
        foreseen = foresee_all(self._settings, self._names, read, axis, self._means, self._source)
        self._forecast = "; ".join(f"{name}: {each.words}" for name, each in foreseen.items())
        issued = [each.issued for each in foreseen.values() if each.issued is not None]
        self._issued = min(issued, default=None)
        day = self.kept.shadow.today
        is_same_day = day is not None and day.day == day_name(self._settings, now, self._zone)
        peak_kw = day.peak_kw if day is not None and is_same_day else 0.0
        try:
            bound = bind(self._settings, read, self.kept.memory, foreseen, axis, self._zone, peak_kw, now)
            known = bound.site.by_name
            site = replace(
                bound.site,
                events=self._events(axis),
                # A battery whose charge was never known is not planned for: nor is what it has traded.
                commitments=tuple(each for each in self._committed.made(read, now) if each.asset in known),
            )
        except DispatchError as error:
            return str(error)
        self._without = bound.without
        followed = self.standing.followed
        return Job(
            *(site, axis.start, axis.step, axis.horizon, self._settings.deadline_s),
            self._settings.gap_pct / 100,
            None if followed is None else followed.plan,
        )

    def _published(self, now: datetime) -> Published:
        course, step = self.standing.course(now), self.standing.step(now)
        unkept = f"a restart would begin without this plan: {self.unkept}" if self.unkept else ""
        unread = f"no new plan can be made: {self.unread}" if self.unread else ""
        words = "; ".join(word for word in (unread, self.standing.words, *self._without, unkept) if word)
        age_s = 0.0 if self._issued is None else (now - self._issued).total_seconds()
        followed = self.standing.followed
        if step is None or followed is None:
            return Published(
                *(course, self.kept.sequence, now - self._step, {}, {}, 0.0, 0.0),
                *(words, self._forecast, age_s),
            )
        plan = followed.plan
        given = followed.made, step
        if self._given != given:
            self._given = given
            self.kept.sequence += 1
            self.must_keep = True
        powers = {name: float(values[step]) for name, values in plan.powers_kw.items()}
        vehicles = {asset.name for asset in self._settings.assets if isinstance(asset, PlannedVehicle)}
        reserve = followed.reserve_pct
        return Published(
            course,
            self.kept.sequence,
            plan.start + (step + 1) * plan.step,
            powers,
            {name: float(values[step]) for name, values in plan.energies_kwh.items()},
            sum(power for name, power in powers.items() if name in vehicles),
            0.0 if reserve is None else float(np.asarray(reserve)[step]),
            words,
            self._forecast,
            age_s,
        )

    def _measure(self, read: Read, now: datetime) -> None:
        """Means of the step; when it is over, its costs. One after a pause does not count."""
        start = step_began(self._settings, now)
        mean = self._mean
        if mean is None or mean.start != start:
            if mean is not None and start - mean.start == self._step:
                self._account(mean)
            mean = self._mean = _Mean(start, dict(self.kept.memory.soc_pct), dict(self.kept.memory.plugged))
        for asset in self._settings.assets:
            power = read(asset.power)
            if power is not None:
                mean.add(asset.name, power)
            if isinstance(asset, PlannedTie) and asset.closed is not None:
                mean.is_island |= read(asset.closed) == 0.0
            if isinstance(asset, PlannedTie):
                for way, tag in (("import", asset.import_price), ("export", asset.export_price)):
                    price = None if tag is None else read(tag)
                    if price is not None:
                        mean.add(price_name(asset.name, way), price)
            if isinstance(asset, PlannedDeferrable) and asset.energy is not None:
                window = window_of(asset, read, now, self._zone)
                if window is not None:
                    mean.windows[asset.name] = window
        mean.add("", 1.0)

    def _account(self, mean: _Mean) -> None:
        means = {name: total / mean.counts[name] for name, total in mean.sums.items() if name}
        prices: dict[str, dict[str, float]] = {}
        for asset in self._settings.assets:
            if isinstance(asset, PlannedTie):
                told = {way: price_name(asset.name, way) for way in ("import", "export")}
                prices[asset.name] = {way: means[name] for way, name in told.items() if name in means}
                if asset.import_price is not None and "import" not in prices[asset.name]:
                    return  # nobody knows what the step cost
                if asset.name not in means:
                    return  # nor how much it carried
        measured = Measured(
            *(mean.start, self._step, means, mean.soc_pct, dict(self.kept.memory.soc_pct)),
            *(mean.vehicles, mean.is_island, prices, mean.windows),
        )
        self.kept.shadow.account(self._settings, measured, self._zone)
        self.must_keep = True
