"""A step as it was measured, and what a step cost: one function for the plant and for the rule beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo

from gateway.config.dispatch import (
    DispatchSettings,
    PlannedBattery,
    PlannedGenset,
    PlannedTie,
    PlannedVehicle,
)
from historian.dispatch_job.binding import RUNS_ABOVE_KW
from historian.dispatch_job.prices import prices
from historian.dispatch_job.windows import Window


@dataclass(frozen=True, slots=True)
class Measured:
    """Mean powers of a step, positive into the bus (of loads and deferrables: drawn), and the charge of batteries at
    its begin and end. A tie's power must be there; what else is missing is in what no meter tells.
    """

    start: datetime
    step: timedelta
    powers_kw: Mapping[str, float]
    soc_pct: Mapping[str, float]
    soc_end_pct: Mapping[str, float]
    vehicles: Mapping[str, datetime]
    """Since when those are there that were at its begin: one that came after another has another time."""
    is_island: bool = False
    """The tie was open, for a moment at least."""
    prices: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Of a tie whose prices tags tell, by way: import, export."""
    windows: Mapping[str, Window] = field(default_factory=dict)
    """Of deferrables whose windows tags tell."""

    @property
    def hours(self) -> float:
        return self.step / timedelta(hours=1)

    def stored_kwh(self, settings: DispatchSettings) -> dict[str, float]:
        """By how much the charge of each battery rose: by stocktaking, so that losses of all kinds are in it."""
        return {
            asset.name: (self.soc_end_pct[asset.name] - self.soc_pct[asset.name]) * asset.capacity_kwh / 100
            for asset in settings.assets
            if isinstance(asset, PlannedBattery) and asset.name in self.soc_pct
        }


def price(planned: PlannedTie, way: str, measured: Measured, zone: tzinfo) -> float:
    """Of a kWh through the tie: as a tag told it, else by tariff."""
    told = measured.prices.get(planned.name, {})
    if way in told:
        return told[way]
    tariff = planned.import_tariff if way == "import" else planned.export_tariff
    return float(prices(tariff, [measured.start], zone)[0])


def running(settings: DispatchSettings, powers_kw: Mapping[str, float]) -> dict[str, bool]:
    """Which gensets are."""
    return {
        asset.name: powers_kw.get(asset.name, 0.0) > RUNS_ABOVE_KW
        for asset in settings.assets
        if isinstance(asset, PlannedGenset)
    }


def money(
    settings: DispatchSettings,
    measured: Measured,
    zone: tzinfo,
    powers_kw: Mapping[str, float],
    stored_kwh: Mapping[str, float],
    peak_kw: float,
    ran: Mapping[str, bool],
) -> float:
    """What a step of Δ hours costs with these powers; ``peak_kw`` is the day's before it, ``ran`` which gensets did.

        tie      Δ (p_import max(P, 0) - p_export max(-P, 0)) + demand charge · max(P - peak, 0)
        genset   Δ (fuel P + no-load cost, if it runs) + start cost, if it did not run before
        battery  Δ wear max(P, 0) - end value · (rise of what it holds)
        vehicle  Δ wear max(P, 0)

    The rises of all steps add up to what a battery holds at the end less what it held at the begin: energy is
    neither lost nor found at midnight.
    """
    hours, on = measured.hours, running(settings, powers_kw)
    total = 0.0
    for asset in settings.assets:
        power = powers_kw.get(asset.name, 0.0)
        match asset:
            case PlannedTie():
                way = "import" if power > 0 else "export"
                total += hours * power * price(asset, way, measured, zone)
                total += asset.demand_charge_per_kw * max(power - peak_kw, 0.0)
            case PlannedGenset() if on[asset.name]:
                total += hours * (asset.fuel_cost_per_kwh * power + asset.no_load_cost_per_h)
                total += 0.0 if ran.get(asset.name, True) else asset.start_cost
            case PlannedBattery():
                total += hours * asset.wear_cost_per_kwh * max(power, 0.0)
                total -= asset.end_value_per_kwh * stored_kwh.get(asset.name, 0.0)
            case PlannedVehicle():
                total += hours * asset.wear_cost_per_kwh * max(power, 0.0)
            case _:
                pass
    return total
