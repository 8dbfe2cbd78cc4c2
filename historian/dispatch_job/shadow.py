"""What the same steps would have cost under the naive rule: a controller that only reckons, beside the real one.

Both are reckoned from measured means of each step, by the same prices. The shadow has stores of its own: what its
battery holds follows from its own steps; its vehicles come with what the real ones came with and charge at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo

import numpy as np
from numpy.typing import NDArray

from gateway.config.dispatch import (
    DispatchSettings,
    PlannedBattery,
    PlannedDeferrable,
    PlannedGenset,
    PlannedLoad,
    PlannedRenewable,
    PlannedTie,
    PlannedVehicle,
)
from historian.dispatch.axis import Axis
from historian.dispatch.model import Asset, Deferrable, GridTie, Load, Renewable, Site
from historian.dispatch.naive import naive
from historian.dispatch.plan import settle
from historian.dispatch_job.binding import RUNS_ABOVE_KW, battery, genset, groups_of, tie, vehicle
from historian.dispatch_job.days import day_name
from historian.dispatch_job.windows import Window, window_of

STAYS = timedelta(days=1)
"""A shadow's vehicle charges at once: when it will leave does not matter."""
KNOWN_FROM_PCT = 5.0
"""A rise of the charge that tells how much a vehicle takes a percent."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One step as it was: mean powers, and what stores held at its begin. Vehicles are those that were there then."""

    start: datetime
    step: timedelta
    powers_kw: Mapping[str, float]
    soc_pct: Mapping[str, float]
    vehicles: Mapping[str, datetime]
    """Since when they are there: one that came after another, in the same step even, has another time."""
    is_island: bool = False
    prices: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Of a tie whose prices tags tell, by way: import, export."""
    windows: Mapping[str, Window] = field(default_factory=dict)
    """Of deferrables whose windows tags tell."""


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
class Stay:
    """Of a vehicle, until it leaves: kWh are taken at the socket, ``paid`` is what the shadow's cost to import."""

    since: datetime
    came_pct: float
    pct: float
    """As last known, when it had taken ``known_kwh``."""
    known_kwh: float = 0.0
    hours: float = 0.0
    real_kwh: float = 0.0
    shadow_kwh: float = 0.0
    paid: float = 0.0

    def needed_kwh(self, planned: PlannedVehicle) -> float:
        """What the real one had to take to be served as the rule serves: its own kWh a percent, where it took enough
        to know them. The site file's capacity is what vehicles are taken for, not what came.
        """
        modelled = planned.capacity_kwh / planned.charge_efficiency_pct
        rise = self.pct - self.came_pct
        per_pct = self.known_kwh / rise if rise >= KNOWN_FROM_PCT else modelled
        per_pct = min(max(per_pct, modelled / 4), modelled * 2)
        lack = max(planned.target_pct - self.came_pct, 0.0)
        return min(lack * per_pct, planned.charge_max_kw * self.hours)


@dataclass(slots=True)
class Shadow:
    """The state of the controller that only reckons; JSON keeps it over restarts."""

    energy_kwh: dict[str, float] = field(default_factory=dict)
    done_kwh: dict[str, float] = field(default_factory=dict)
    """Of deferrables, in their window."""
    running: dict[str, bool] = field(default_factory=dict)
    stays: dict[str, Stay] = field(default_factory=dict)
    """Of the vehicles of the step before."""
    today: Day | None = None
    yesterday: Day | None = None

    def account(self, settings: DispatchSettings, measured: Measured, zone: tzinfo) -> Day:
        """Add a step to its day, both ways."""
        axis = Axis(measured.start, measured.step, 1)
        day = self._day(day_name(settings, measured.start, zone))
        self._depart(settings, measured, day)
        real = _Side(day.peak_kw, self._real_kwh(settings, measured))
        shade = _Side(day.naive_peak_kw, self._own_kwh(settings, measured))
        site = self._site(settings, measured, axis, zone, real, by_rule=False)
        powers, running = _as_measured(settings, measured)
        settled = settle(site, axis, powers, running)
        if measured.is_island:
            self._go_along(settings, measured, real, settled.energies_kwh)
            self._stay(settings, measured, measured.powers_kw, 0.0)
            return day
        cost = settled.costs
        day.cost += cost.total - cost.shortfall
        shadow_site = self._site(settings, measured, axis, zone, shade, by_rule=True)
        rule = naive(shadow_site, measured.start, measured.step, 1)
        day.naive_cost += rule.costs.total - rule.costs.shortfall
        day.steps += 1
        for name, energies in rule.energies_kwh.items():
            self.energy_kwh[name] = float(energies[-1])
        taken = {name: float(power[0]) for name, power in rule.powers_kw.items()}
        self._stay(settings, measured, taken, _import_price(shadow_site, axis))
        for asset in settings.assets:
            if isinstance(asset, PlannedTie):
                day.peak_kw = max(day.peak_kw, float(powers[asset.name][0]))
                day.naive_peak_kw = max(day.naive_peak_kw, float(rule.powers_kw[asset.name][0]))
            elif isinstance(asset, PlannedGenset):
                self.running[asset.name] = bool(rule.running[asset.name][0])
            elif isinstance(asset, PlannedDeferrable):
                self.done_kwh[asset.name] = self.done_kwh.get(asset.name, 0.0) + float(
                    rule.powers_kw[asset.name][0] * axis.step_h
                )
        return day

    def _day(self, day: str) -> Day:
        if self.today is None or self.today.day != day:
            self.yesterday, self.today = self.today, Day(day)
        return self.today

    def _depart(self, settings: DispatchSettings, measured: Measured, day: Day) -> None:
        """Both served the same vehicle: what the shadow charged beyond its need is put right at the price it paid.
        What the real one took more is worth what it cost at the lowest price; less, at the highest: a saving is never
        made by sending vehicles away empty, nor by filling them at noon.
        """
        low, high = _price_span(settings, measured)
        for planned in settings.assets:
            if not isinstance(planned, PlannedVehicle) or planned.name not in self.stays:
                continue
            if measured.vehicles.get(planned.name) == self.stays[planned.name].since:
                continue
            stay = self.stays.pop(planned.name)
            self.energy_kwh.pop(planned.name, None)
            needed = stay.needed_kwh(planned)
            if stay.shadow_kwh > 0:
                day.naive_cost += (needed - stay.shadow_kwh) * stay.paid / stay.shadow_kwh
            more = stay.real_kwh - needed
            day.cost -= more * (low if more > 0 else high)

    def _stay(
        self, settings: DispatchSettings, measured: Measured, rule: Mapping[str, float], price: float
    ) -> None:
        """Note what vehicles took in this step; ``rule``: mean powers of the shadow's, kW."""
        hours = measured.step / timedelta(hours=1)
        for planned in settings.assets:
            if not isinstance(planned, PlannedVehicle) or planned.name not in measured.vehicles:
                continue
            pct = measured.soc_pct[planned.name]
            stay = self.stays.setdefault(planned.name, Stay(measured.vehicles[planned.name], pct, pct))
            stay.hours += hours
            stay.pct, stay.known_kwh = pct, stay.real_kwh
            took = -measured.powers_kw.get(planned.name, 0.0) * hours
            stay.real_kwh += took
            shadow_took = -rule.get(planned.name, 0.0) * hours
            stay.shadow_kwh += shadow_took
            stay.paid += shadow_took * price

    def _real_kwh(self, settings: DispatchSettings, measured: Measured) -> Mapping[str, float]:
        found = {}
        for asset in settings.assets:
            if isinstance(asset, PlannedBattery | PlannedVehicle) and asset.name in measured.soc_pct:
                found[asset.name] = asset.capacity_kwh * measured.soc_pct[asset.name] / 100
        return found

    def _own_kwh(self, settings: DispatchSettings, measured: Measured) -> dict[str, float]:
        """Of the shadow's stores; those that are new begin as the real ones are."""
        real = self._real_kwh(settings, measured)
        return {name: self.energy_kwh.get(name, kwh) for name, kwh in real.items()}

    def _site(
        self,
        settings: DispatchSettings,
        measured: Measured,
        axis: Axis,
        zone: tzinfo,
        side: _Side,
        *,
        by_rule: bool,
    ) -> Site:
        assets: list[Asset] = []
        for planned in settings.assets:
            power = measured.powers_kw.get(planned.name, 0.0)
            match planned:
                case PlannedBattery() if planned.name in side.energy_kwh:
                    assets.append(battery(planned, _pct(side, planned)))
                case PlannedVehicle() if (
                    planned.name in measured.vehicles and planned.name in side.energy_kwh
                ):
                    pct = _pct(side, planned)
                    assets.append(vehicle(planned, pct, axis.start, axis.start + STAYS))
                case PlannedGenset():
                    on = self.running.get(planned.name, False) if by_rule else power > RUNS_ABOVE_KW
                    assets.append(genset(planned, on, timedelta(days=1)))
                case PlannedTie():
                    told = measured.prices.get(planned.name, {})
                    limits = planned.import_max_kw, planned.export_max_kw
                    assets.append(tie(planned, *limits, told, axis, zone, side.peak_kw))
                case PlannedLoad():
                    assets.append(
                        Load(planned.name, max(power, 0.0), planned.shed_cost_per_kwh, planned.critical)
                    )
                case PlannedRenewable():
                    assets.append(Renewable(planned.name, max(power, 0.0), planned.curtailable))
                case PlannedDeferrable():
                    window = measured.windows.get(planned.name)
                    if window is None and planned.energy is None:
                        window = window_of(planned, lambda tag: None, axis.start, zone)
                    if window is not None:
                        assets.append(self._wanted(planned, window, axis))
                case _:
                    pass  # a store whose charge is not known takes no part
        return Site(tuple(assets), groups_of(settings.groups))

    def _wanted(self, planned: PlannedDeferrable, window: Window, axis: Axis) -> Deferrable:
        """What the shadow has left of it, now if it is open."""
        if window.start >= axis.start or not window.is_open(axis.start):
            self.done_kwh[planned.name] = 0.0
        left = max(window.energy_kwh - self.done_kwh.get(planned.name, 0.0), 0.0)
        start, end = window.on(axis, axis.start, timedelta(0))
        return Deferrable(planned.name, start, end, left, planned.power_max_kw)

    def _go_along(
        self,
        settings: DispatchSettings,
        measured: Measured,
        real: _Side,
        energies: Mapping[str, NDArray[np.float64]],
    ) -> None:
        """An island costs neither: the shadow's stores carry it as the real ones do."""
        own = self._own_kwh(settings, measured)
        for name, kwh in energies.items():
            change = float(kwh[-1]) - real.energy_kwh[name]
            self.energy_kwh[name] = max(own[name] + change, 0.0)


@dataclass(frozen=True, slots=True)
class _Side:
    """One of the two that are compared, at the begin of a step."""

    peak_kw: float
    energy_kwh: Mapping[str, float]


def _pct(side: _Side, planned: PlannedBattery | PlannedVehicle) -> float:
    return min(max(100 * side.energy_kwh[planned.name] / planned.capacity_kwh, 0.0), 100.0)


def _price_span(settings: DispatchSettings, measured: Measured) -> tuple[float, float]:
    for asset in settings.assets:
        if isinstance(asset, PlannedTie):
            told = measured.prices.get(asset.name, {})
            if "import" in told:
                return told["import"], told["import"]
            tariff = asset.import_tariff
            found = [tariff.price_per_kwh, *(period.price_per_kwh for period in tariff.periods)]
            return min(found), max(found)
    return 0.0, 0.0


def _import_price(site: Site, axis: Axis) -> float:
    for asset in site.assets:
        if isinstance(asset, GridTie):
            price = axis.series(asset.import_price_per_kwh, asset.name, "import_price_per_kwh")
            return float(price[0])
    return 0.0


def _as_measured(
    settings: DispatchSettings, measured: Measured
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.bool_]]]:
    powers = {asset.name: np.array([measured.powers_kw.get(asset.name, 0.0)]) for asset in settings.assets}
    running = {
        asset.name: powers[asset.name] > RUNS_ABOVE_KW
        for asset in settings.assets
        if isinstance(asset, PlannedGenset)
    }
    return powers, running
