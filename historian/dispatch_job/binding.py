"""From what tags say now, and what is foreseen, to the site that dispatch solves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo

import numpy as np

from gateway.config.dispatch import (
    DispatchSettings,
    PlannedBattery,
    PlannedDeferrable,
    PlannedGenset,
    PlannedGroup,
    PlannedLoad,
    PlannedRenewable,
    PlannedTie,
    PlannedVehicle,
)
from historian.dispatch.axis import Axis
from historian.dispatch.errors import BadSite
from historian.dispatch.model import (
    Asset,
    Battery,
    Deferrable,
    ElectricVehicle,
    Genset,
    GridTie,
    Group,
    Load,
    Renewable,
    Reserve,
    Series,
    Site,
)
from historian.dispatch_job.foresight import Foreseen, price_name
from historian.dispatch_job.prices import prices
from historian.dispatch_job.windows import window_of

RUNS_ABOVE_KW = 1.0
"""A genset that gives more is on."""
LEAST_FALL_PCT = 5.0
"""A charge that falls by more at once is another vehicle's."""
ISLAND = timedelta(hours=1)
"""An open tie is planned to stay open for so long: nobody says when the utility is back."""

Read = Callable[[int], float | None]
"""The value of a tag; None while it is Bad."""


@dataclass(slots=True)
class Memory:
    """What the present alone does not tell; kept over restarts."""

    plugged: dict[str, datetime] = field(default_factory=dict)
    """Since when a vehicle is there."""
    soc_pct: dict[str, float] = field(default_factory=dict)
    """As last known; of a vehicle, since it came."""
    known_at: dict[str, datetime] = field(default_factory=dict)
    """When that was, of vehicles."""
    running: dict[str, tuple[bool, datetime]] = field(default_factory=dict)
    """Of gensets: whether, and since when."""

    def look(self, settings: DispatchSettings, read: Read, now: datetime) -> None:
        """Note what changed. A vehicle that is there when nobody knows since when came now."""
        for asset in settings.assets:
            match asset:
                case PlannedBattery():
                    self._note_soc(asset.name, read(asset.state_of_charge))
                case PlannedVehicle():
                    connected = read(asset.connected)
                    if connected is None:
                        continue  # a charger that does not answer: the vehicle may well be there
                    if not connected:
                        self.plugged.pop(asset.name, None)
                        self.soc_pct.pop(asset.name, None)
                        continue
                    soc_pct = read(asset.state_of_charge)
                    if soc_pct is not None and self._is_another(asset, soc_pct, now):
                        self.plugged[asset.name] = now
                    self.plugged.setdefault(asset.name, now)
                    self._note_soc(asset.name, soc_pct)
                    if soc_pct is not None:
                        self.known_at[asset.name] = now
                case PlannedGenset():
                    power = read(asset.power)
                    if power is None:
                        continue
                    is_on = power > RUNS_ABOVE_KW
                    before = self.running.get(asset.name)
                    if before is None:
                        self.running[asset.name] = is_on, now - timedelta(days=1)
                    elif before[0] is not is_on:
                        self.running[asset.name] = is_on, now
                case _:
                    pass

    def _is_another(self, asset: PlannedVehicle, soc_pct: float, now: datetime) -> bool:
        """One that came between two looks: no vehicle loses so much in so short a time, at whatever power."""
        before, known_at = self.soc_pct.get(asset.name), self.known_at.get(asset.name)
        if before is None or known_at is None:
            return False
        power_kw = max(asset.charge_max_kw, asset.discharge_max_kw)
        able_pct = 100 * power_kw * ((now - known_at) / timedelta(hours=1)) / asset.capacity_kwh
        return soc_pct < before - LEAST_FALL_PCT - 2 * able_pct

    def _note_soc(self, name: str, soc_pct: float | None) -> None:
        if soc_pct is not None:
            self.soc_pct[name] = min(max(soc_pct, 0.0), 100.0)


@dataclass(frozen=True, slots=True)
class Bound:
    """``without``: assets that are left out, with why."""

    site: Site
    without: tuple[str, ...]


def bind(
    settings: DispatchSettings,
    read: Read,
    memory: Memory,
    foreseen: Mapping[str, Foreseen],
    axis: Axis,
    zone: tzinfo,
    peak_so_far_kw: float = 0.0,
    now: datetime | None = None,
) -> Bound:
    """The site as it is at ``axis.start``; tags are of ``now``, where it is later. ``foreseen`` has what
    `foresee_all` gives. Raises BadAsset, BadSite.
    """
    assets: list[Asset] = []
    without: list[str] = []
    for planned in settings.assets:
        match planned:
            case PlannedBattery():
                if planned.name not in memory.soc_pct:
                    without.append(f"{planned.name}: its state of charge is not known")
                else:
                    assets.append(battery(planned, memory.soc_pct[planned.name]))
            case PlannedVehicle():
                if planned.name in memory.plugged:
                    assets.append(_vehicle(planned, read, memory, axis))
            case PlannedGenset():
                running, since = memory.running.get(planned.name, (False, axis.start - timedelta(days=1)))
                assets.append(genset(planned, running, max(axis.start - since, timedelta(0))))
            case PlannedTie():
                assets.append(_tie(planned, read, foreseen, axis, zone, peak_so_far_kw))
            case PlannedLoad():
                power = np.maximum(foreseen[planned.name].values, 0.0)
                assets.append(load(planned, power))
            case PlannedRenewable():
                power = np.maximum(foreseen[planned.name].values, 0.0)
                assets.append(Renewable(planned.name, power, planned.curtailable, planned.group))
            case PlannedDeferrable():
                wanted = _deferrable(planned, read, now or axis.start, axis, zone)
                if wanted is None:
                    without.append(f"{planned.name}: its window is not known")
                else:
                    assets.append(wanted)
    reserve = settings.reserve
    return Bound(
        Site(
            tuple(assets),
            groups_of(settings.groups),
            None
            if reserve is None
            else Reserve(
                timedelta(hours=reserve.ride_through_h),
                reserve.margin_kw,
                reserve.renewable_share,
                firm=reserve.firm,
            ),
            shortfall_cost_per_kwh=settings.shortfall_cost_per_kwh,
        ),
        tuple(without),
    )


def groups_of(groups: Sequence[PlannedGroup]) -> tuple[Group, ...]:
    return tuple(Group(each.name, each.draw_max_kw, each.feed_max_kw, each.parent) for each in groups)


def battery(planned: PlannedBattery, soc_pct: float) -> Battery:
    share = planned.capacity_kwh / 100
    return Battery(
        planned.name,
        planned.capacity_kwh,
        soc_pct * share,
        planned.charge_max_kw,
        planned.discharge_max_kw,
        planned.charge_efficiency_pct / 100,
        planned.discharge_efficiency_pct / 100,
        planned.soc_min_pct * share,
        planned.soc_max_pct * share,
        planned.wear_cost_per_kwh,
        end_value_per_kwh=planned.end_value_per_kwh,
        group=planned.group,
    )


def genset(planned: PlannedGenset, running: bool, unchanged_for: timedelta) -> Genset:
    return Genset(
        planned.name,
        planned.power_min_kw,
        planned.power_max_kw,
        planned.fuel_cost_per_kwh,
        planned.no_load_cost_per_h,
        planned.start_cost,
        timedelta(minutes=planned.min_up_min),
        timedelta(minutes=planned.min_down_min),
        running,
        unchanged_for,
        planned.group,
    )


def load(planned: PlannedLoad, power_kw: Series) -> Load:
    return Load(planned.name, power_kw, planned.shed_cost_per_kwh, planned.critical, planned.group)


def vehicle(
    planned: PlannedVehicle, soc_pct: float, arrival: datetime, departure: datetime
) -> ElectricVehicle:
    share = planned.capacity_kwh / 100
    return ElectricVehicle(
        planned.name,
        planned.capacity_kwh,
        soc_pct * share,
        arrival,
        departure,
        planned.target_pct * share,
        planned.charge_max_kw,
        planned.discharge_max_kw,
        planned.charge_efficiency_pct / 100,
        planned.discharge_efficiency_pct / 100,
        planned.soc_min_pct * share,
        planned.wear_cost_per_kwh,
        planned.priority,
        planned.firm,
        planned.group,
    )


def _vehicle(planned: PlannedVehicle, read: Read, memory: Memory, axis: Axis) -> ElectricVehicle:
    """One that has stayed longer than was said may go at any moment: what it lacks is not put off."""
    stay_h = None if planned.stay is None else read(planned.stay)
    departure = memory.plugged[planned.name] + timedelta(hours=planned.stay_h if stay_h is None else stay_h)
    departure = max(departure, axis.time(1))
    # Nothing known of its charge: taken for empty, so that its need is not taken for met.
    return vehicle(planned, memory.soc_pct.get(planned.name, 0.0), axis.start, departure)


def _tie(
    planned: PlannedTie,
    read: Read,
    foreseen: Mapping[str, Foreseen],
    axis: Axis,
    zone: tzinfo,
    peak_so_far_kw: float,
) -> GridTie:
    limit_kw = None if planned.import_limit is None else read(planned.import_limit)
    most_in = np.full(axis.horizon, planned.import_max_kw)
    most_out = np.full(axis.horizon, planned.export_max_kw)
    if limit_kw is not None:
        most_in = np.minimum(most_in, max(limit_kw, 0.0))
    most_in = np.maximum(most_in - planned.import_margin_kw, 0.0)
    if planned.closed is not None and read(planned.closed) == 0.0:
        open_steps = axis.touched(axis.start, axis.start + ISLAND)
        most_in[open_steps] = most_out[open_steps] = 0.0
    told = {
        way: foreseen[name].values
        for way in ("import", "export")
        if (name := price_name(planned.name, way)) in foreseen
    }
    return tie(planned, most_in, most_out, told, axis, zone, peak_so_far_kw)


def tie(
    planned: PlannedTie,
    most_in: Series,
    most_out: Series,
    told: Mapping[str, Series],
    axis: Axis,
    zone: tzinfo,
    peak_so_far_kw: float,
) -> GridTie:
    """``told``: prices of import and export that tags tell; the others go by tariff. Raises BadSite."""
    times = [axis.time(k) for k in range(axis.horizon)]
    tariffs = {"import": planned.import_tariff, "export": planned.export_tariff}
    series = {way: told[way] if way in told else prices(tariffs[way], times, zone) for way in tariffs}
    for way, values in series.items():
        if np.isnan(values).any():
            raise BadSite(f"{planned.name}: what {way} costs is not known")
    return GridTie(
        planned.name,
        series["import"],
        series["export"],
        most_in,
        most_out,
        planned.demand_charge_per_kw,
        max(peak_so_far_kw, 0.0),
        planned.group,
    )


def _deferrable(
    planned: PlannedDeferrable, read: Read, now: datetime, axis: Axis, zone: tzinfo
) -> Deferrable | None:
    """None where nobody knows when it is wanted."""
    window = window_of(planned, read, now, zone)
    if window is None:
        return None
    start, end = window.on(axis, now, timedelta(seconds=planned.margin_s))
    return Deferrable(
        planned.name,
        start,
        end,
        window.left_kwh,
        planned.power_max_kw,
        None,
        planned.priority,
        planned.firm,
        planned.group,
    )
