"""The naive rule, step by step, where the plant is: what it would have done with what came, and what that cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta, tzinfo

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
from historian.dispatch.plan import SMALL
from historian.dispatch_job.binding import battery, genset
from historian.dispatch_job.days import day_name
from historian.dispatch_job.measured import Measured, money, price, running
from historian.dispatch_job.windows import Window, window_of

OTHERS = "vehicles and what no meter tells"
"""No asset is called so."""


@dataclass(slots=True)
class Rule:
    """Where it stands after a step."""

    cost: float = 0.0
    """Since it began."""
    day: str = ""
    peak_kw: float = 0.0
    """The highest mean import of that day."""
    energy_kwh: dict[str, float] = field(default_factory=dict)
    """What its batteries hold; below nothing, what it owes from an island."""
    running: dict[str, bool] = field(default_factory=dict)
    """Of gensets."""
    done_kwh: dict[str, float] = field(default_factory=dict)
    """Of deferrables, in their window."""
    ahead_kwh: dict[str, float] = field(default_factory=dict)
    """What a vehicle that is still there has taken more than the real one."""

    def copy(self) -> Rule:
        return replace(
            self,
            energy_kwh=dict(self.energy_kwh),
            running=dict(self.running),
            done_kwh=dict(self.done_kwh),
            ahead_kwh=dict(self.ahead_kwh),
        )

    def step(
        self, settings: DispatchSettings, measured: Measured, zone: tzinfo, draws_kw: Mapping[str, float]
    ) -> None:
        """One further; ``draws_kw`` of vehicles."""
        day = day_name(settings, measured.start, zone)
        if day != self.day:
            self.day, self.peak_kw = day, 0.0
        for asset in settings.assets:
            if isinstance(asset, PlannedBattery) and asset.name in measured.soc_pct:
                held = measured.soc_pct[asset.name] * asset.capacity_kwh / 100
                self.energy_kwh.setdefault(asset.name, held)
        if measured.is_island:
            powers, stored = dict(measured.powers_kw), measured.stored_kwh(settings)
        else:
            powers, stored = self._by_rule(settings, measured, zone, draws_kw)
        self.cost += money(settings, measured, zone, powers, stored, self.peak_kw, self.running)
        self.running = running(settings, powers)
        for name, rise in stored.items():
            self.energy_kwh[name] += rise
        for asset in settings.assets:
            if isinstance(asset, PlannedTie):
                self.peak_kw = max(self.peak_kw, powers[asset.name])
            elif isinstance(asset, PlannedDeferrable):
                done = powers.get(asset.name, 0.0) * measured.hours
                self.done_kwh[asset.name] = self.done_kwh.get(asset.name, 0.0) + done

    def _by_rule(
        self, settings: DispatchSettings, measured: Measured, zone: tzinfo, draws_kw: Mapping[str, float]
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Powers, and by how much the charge of batteries rises."""
        axis = Axis(measured.start, measured.step, 1)
        site = self._site(settings, measured, axis, zone, draws_kw)
        plan = naive(site, axis.start, axis.step, 1)
        powers = {name: float(power[0]) for name, power in plan.powers_kw.items() if name != OTHERS}
        powers |= {name: -draw for name, draw in draws_kw.items()}
        stored = {
            name: float(energy[-1]) - min(max(self.energy_kwh[name], 0.0), _capacity(settings, name))
            for name, energy in plan.energies_kwh.items()
        }
        self._buy_back(settings, measured, powers, stored)
        return powers, stored

    def _buy_back(
        self,
        settings: DispatchSettings,
        measured: Measured,
        powers: dict[str, float],
        stored: dict[str, float],
    ) -> None:
        """A battery below its least, after an island, is charged from the tie as far as no peak of the day rises:
        one that bought back faster would pay for it, and make the saving larger.
        """
        ties = [asset.name for asset in settings.assets if isinstance(asset, PlannedTie)]
        for asset in settings.assets:
            if not isinstance(asset, PlannedBattery) or asset.name not in stored or not ties:
                continue
            efficiency = asset.charge_efficiency_pct / 100
            least = asset.capacity_kwh * asset.soc_min_pct / 100
            short_kwh = least - self.energy_kwh[asset.name] - stored[asset.name]
            if short_kwh <= SMALL:
                continue
            power = min(
                short_kwh / efficiency / measured.hours,
                asset.charge_max_kw + powers[asset.name],
                self.peak_kw - powers[ties[0]],
            )
            if power > 0:
                powers[asset.name] -= power
                powers[ties[0]] += power
                stored[asset.name] += power * efficiency * measured.hours

    def _site(
        self,
        settings: DispatchSettings,
        measured: Measured,
        axis: Axis,
        zone: tzinfo,
        draws_kw: Mapping[str, float],
    ) -> Site:
        """Loads, sun and wind as measured. So is what no meter tells, by which the powers do not add up to nothing:
        losses of the plant and errors of meters are the same whoever controls.
        """
        assets: list[Asset] = []
        others = sum(draws_kw.values())
        for planned in settings.assets:
            power = measured.powers_kw.get(planned.name, 0.0)
            match planned:
                case PlannedBattery() if planned.name in measured.soc_pct:
                    others += power
                    pct = 100 * self.energy_kwh[planned.name] / planned.capacity_kwh
                    assets.append(battery(replace(planned, group=None), min(max(pct, 0.0), 100.0)))
                case PlannedVehicle():
                    others += power
                case PlannedGenset():
                    others += power
                    on = self.running.get(planned.name, False)
                    assets.append(genset(replace(planned, group=None), on, timedelta(days=1)))
                case PlannedTie():
                    others += power
                    assets.append(
                        GridTie(
                            planned.name,
                            price(planned, "import", measured, zone),
                            price(planned, "export", measured, zone),
                            max(planned.import_max_kw, power),
                            max(planned.export_max_kw, -power),
                        )
                    )
                case PlannedLoad():
                    power = max(power, 0.0)
                    others -= power
                    assets.append(Load(planned.name, power, planned.shed_cost_per_kwh))
                case PlannedRenewable():
                    power = max(power, 0.0)
                    others += power
                    assets.append(Renewable(planned.name, power, planned.curtailable))
                case PlannedDeferrable():
                    window = measured.windows.get(planned.name)
                    if window is None and planned.energy is None:
                        window = window_of(planned, lambda tag: None, axis.start, zone)
                    if window is not None:
                        others -= power
                        assets.append(self._wanted(planned, window, axis))
                case _:
                    pass  # a battery of which nobody knows what it holds: as measured, for both
        assets.append(Load(OTHERS, others) if others >= 0 else Renewable(OTHERS, -others, curtailable=False))
        return Site(tuple(assets))

    def _wanted(self, planned: PlannedDeferrable, window: Window, axis: Axis) -> Deferrable:
        """What it has left of it, now if it is open."""
        if window.start >= axis.start or not window.is_open(axis.start):
            self.done_kwh[planned.name] = 0.0
        left = max(window.energy_kwh - self.done_kwh.get(planned.name, 0.0), 0.0)
        start, end = window.on(axis, axis.start, timedelta(0))
        return Deferrable(planned.name, start, end, left, planned.power_max_kw)


def _capacity(settings: DispatchSettings, name: str) -> float:
    for asset in settings.assets:
        if asset.name == name and isinstance(asset, PlannedBattery):
            return asset.capacity_kwh
    raise AssertionError(name)
