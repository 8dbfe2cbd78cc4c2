"""What a site has: assets, groups, reserve and events, checked as they are made.

Powers are kW, energies kWh, prices a kWh in one currency; efficiencies lie in (0, 1]. A series has one value a step,
or is one number for all of them. Times are aware datetimes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from historian.dispatch.errors import BadAsset, BadSite

Floats: TypeAlias = NDArray[np.float64]
Series: TypeAlias = "float | Sequence[float] | Floats"

PRIORITIES = (1, 2, 3)
"""Of a need that may go short; 3 is the highest."""

PHASES = (1, 2, 3)


def _fail(asset: Any, name: str, found: object, expected: str) -> BadAsset:
    return BadAsset(type(asset).__name__, asset.name, name, found, expected)


def _check_name(asset: Any) -> None:
    if not isinstance(asset.name, str) or not asset.name:
        raise BadAsset(
            type(asset).__name__, str(asset.name), "name", repr(asset.name), "a text that is not empty"
        )


def _check_numbers(asset: Any, lower: float, *names: str) -> None:
    for name in names:
        value = getattr(asset, name)
        if not np.isfinite(value) or value < lower:
            raise _fail(asset, name, value, f"a finite number, {lower:g} or more")


def _check_efficiencies(asset: Any) -> None:
    for name in ("charge_efficiency", "discharge_efficiency"):
        value = getattr(asset, name)
        if not 0 < value <= 1:
            raise _fail(asset, name, value, "above 0 and at most 1")


def _check_window(asset: Any, first: str, last: str) -> None:
    for name in (first, last):
        if getattr(asset, name).tzinfo is None:
            raise _fail(asset, name, getattr(asset, name), "a time with its zone")
    if getattr(asset, last).astimezone(UTC) <= getattr(asset, first).astimezone(UTC):
        raise _fail(asset, last, getattr(asset, last), f"later than {first}, {getattr(asset, first)}")


def _check_phase(asset: Any) -> None:
    if asset.phase is not None and asset.phase not in PHASES:
        raise _fail(asset, "phase", asset.phase, "1, 2 or 3, or None for all three alike")


def _keep_series(asset: Any, name: str, lower: float = -np.inf) -> None:
    """The field as a read-only array of no or one dimension."""
    values = np.array(getattr(asset, name), dtype=np.float64)
    if values.ndim > 1:
        raise _fail(asset, name, f"of shape {values.shape}", "one number, or one a step")
    wrong = ~np.isfinite(values) | (values < lower)
    if wrong.any():
        step = int(np.flatnonzero(wrong)[0])
        where = f"{values[step]} at step {step}" if values.ndim else f"{values}"
        raise _fail(asset, name, where, "finite" if lower == -np.inf else f"finite, {lower:g} or more")
    values.setflags(write=False)
    object.__setattr__(asset, name, values)


@dataclass(frozen=True, slots=True, eq=False)
class Battery:
    """A store on the bus. Its energy starts at ``energy_kwh``; a start outside the limits widens them to it."""

    name: str
    capacity_kwh: float
    energy_kwh: float
    charge_max_kw: float
    discharge_max_kw: float
    charge_efficiency: float = 0.96
    discharge_efficiency: float = 0.96
    energy_min_kwh: float = 0.0
    energy_max_kwh: float | None = None
    """None: the capacity."""
    wear_cost_per_kwh: float = 0.0
    """Of a kWh discharged, at the terminals."""
    end_energy_min_kwh: float | None = None
    end_value_per_kwh: float = 0.0
    """What a kWh in it is worth when the horizon ends."""
    group: str | None = None
    phase: int | None = None

    def __post_init__(self) -> None:
        _check_name(self)
        _check_phase(self)
        _check_numbers(self, 0.0, "capacity_kwh", "energy_kwh", "charge_max_kw", "discharge_max_kw")
        _check_numbers(self, 0.0, "energy_min_kwh", "wear_cost_per_kwh", "end_value_per_kwh")
        _check_efficiencies(self)
        if self.energy_max_kwh is None:
            object.__setattr__(self, "energy_max_kwh", self.capacity_kwh)
        for name in ("energy_kwh", "energy_min_kwh", "energy_max_kwh"):
            if not 0 <= getattr(self, name) <= self.capacity_kwh:
                raise _fail(self, name, getattr(self, name), f"0 to the capacity, {self.capacity_kwh:g} kWh")
        if self.energy_min_kwh > self.energy_limit_kwh:
            raise _fail(self, "energy_min_kwh", self.energy_min_kwh, f"at most {self.energy_limit_kwh:g}")
        if self.end_energy_min_kwh is not None:
            _check_numbers(self, 0.0, "end_energy_min_kwh")

    @property
    def energy_limit_kwh(self) -> float:
        return self.capacity_kwh if self.energy_max_kwh is None else self.energy_max_kwh


@dataclass(frozen=True, slots=True, eq=False)
class ElectricVehicle:
    """A vehicle that is plugged in from arrival to departure, and gives back if ``discharge_max_kw`` is above 0.

    ``energy_kwh`` is what it has at arrival, or now if it is here. What is missing of ``need_kwh`` at departure costs
    by its priority; with ``firm`` nothing may be missing.
    """

    name: str
    capacity_kwh: float
    energy_kwh: float
    arrival: datetime
    departure: datetime
    need_kwh: float
    charge_max_kw: float
    discharge_max_kw: float = 0.0
    charge_efficiency: float = 0.92
    discharge_efficiency: float = 0.92
    energy_min_kwh: float = 0.0
    """It is not discharged below this."""
    wear_cost_per_kwh: float = 0.0
    priority: int = 1
    firm: bool = False
    group: str | None = None
    phase: int | None = None

    def __post_init__(self) -> None:
        _check_name(self)
        _check_phase(self)
        _check_numbers(self, 0.0, "capacity_kwh", "charge_max_kw", "discharge_max_kw", "wear_cost_per_kwh")
        _check_efficiencies(self)
        _check_window(self, "arrival", "departure")
        for name in ("energy_kwh", "need_kwh", "energy_min_kwh"):
            if not 0 <= getattr(self, name) <= self.capacity_kwh:
                raise _fail(self, name, getattr(self, name), f"0 to the capacity, {self.capacity_kwh:g} kWh")
        if self.priority not in PRIORITIES:
            raise _fail(self, "priority", self.priority, "1, 2 or 3 (the highest)")


@dataclass(frozen=True, slots=True, eq=False)
class Genset:
    """A generator that is off, or between its minimum load and its power."""

    name: str
    power_min_kw: float
    power_max_kw: float
    fuel_cost_per_kwh: float
    no_load_cost_per_h: float = 0.0
    start_cost: float = 0.0
    min_up: timedelta = timedelta(0)
    min_down: timedelta = timedelta(0)
    running: bool = False
    """Now, and for how long it has been so."""
    unchanged_for: timedelta = timedelta(days=365)
    group: str | None = None

    def __post_init__(self) -> None:
        _check_name(self)
        _check_numbers(self, 0.0, "power_min_kw", "power_max_kw", "fuel_cost_per_kwh", "no_load_cost_per_h")
        _check_numbers(self, 0.0, "start_cost")
        if self.power_min_kw > self.power_max_kw:
            raise _fail(
                self, "power_min_kw", self.power_min_kw, f"at most power_max_kw, {self.power_max_kw:g}"
            )
        for name in ("min_up", "min_down", "unchanged_for"):
            if getattr(self, name) < timedelta(0):
                raise _fail(self, name, getattr(self, name), "0 or more")


@dataclass(frozen=True, slots=True, eq=False)
class GridTie:
    """A point of common coupling with its tariffs; a limit of 0 at some steps is a planned island."""

    name: str
    import_price_per_kwh: Series
    export_price_per_kwh: Series
    import_max_kw: Series
    export_max_kw: Series
    demand_charge_per_kw: float = 0.0
    """Of the highest mean import of a step above ``peak_so_far_kw``."""
    peak_so_far_kw: float = 0.0
    group: str | None = None

    def __post_init__(self) -> None:
        _check_name(self)
        _keep_series(self, "import_price_per_kwh")
        _keep_series(self, "export_price_per_kwh")
        _keep_series(self, "import_max_kw", 0.0)
        _keep_series(self, "export_max_kw", 0.0)
        _check_numbers(self, 0.0, "demand_charge_per_kw", "peak_so_far_kw")


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """Demand by forecast. With ``shed_cost_per_kwh`` it may be shed in part; a critical one is ridden through."""

    name: str
    power_kw: Series
    shed_cost_per_kwh: float | None = None
    critical: bool = True
    group: str | None = None
    phase: int | None = None

    def __post_init__(self) -> None:
        _check_name(self)
        _check_phase(self)
        _keep_series(self, "power_kw", 0.0)
        if self.shed_cost_per_kwh is not None:
            _check_numbers(self, 0.0, "shed_cost_per_kwh")


@dataclass(frozen=True, slots=True, eq=False)
class Renewable:
    """Sun or wind by forecast."""

    name: str
    power_kw: Series
    curtailable: bool = True
    group: str | None = None
    phase: int | None = None

    def __post_init__(self) -> None:
        _check_name(self)
        _check_phase(self)
        _keep_series(self, "power_kw", 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Deferrable:
    """Demand that may choose its time from start to end: ``energy_kwh`` at up to ``power_max_kw``, or one block.

    ``block_kw`` is the block, a value a step, run once and whole. What is unmet at the end costs by priority; with
    ``firm`` nothing may be.
    """

    name: str
    start: datetime
    end: datetime
    energy_kwh: float = 0.0
    power_max_kw: float = 0.0
    block_kw: Series | None = None
    priority: int = 1
    firm: bool = False
    group: str | None = None
    phase: int | None = None

    def __post_init__(self) -> None:
        _check_name(self)
        _check_phase(self)
        _check_window(self, "start", "end")
        _check_numbers(self, 0.0, "energy_kwh", "power_max_kw")
        if self.priority not in PRIORITIES:
            raise _fail(self, "priority", self.priority, "1, 2 or 3 (the highest)")
        if self.block_kw is None:
            return
        if self.energy_kwh or self.power_max_kw:
            raise _fail(self, "block_kw", "given beside energy_kwh or power_max_kw", "alone: it says both")
        object.__setattr__(self, "block_kw", np.atleast_1d(np.array(self.block_kw, dtype=np.float64)))
        _keep_series(self, "block_kw", 0.0)


Asset: TypeAlias = Battery | ElectricVehicle | Genset | GridTie | Load | Renewable | Deferrable


@dataclass(frozen=True, slots=True)
class Group:
    """A feeder or a connector tree: limits of the sum of its assets and of the groups below it."""

    name: str
    draw_max_kw: float
    feed_max_kw: float
    parent: str | None = None
    phase_max_kw: float | None = None
    """Of each phase, either way: assets with a ``phase`` load that one, all others each by a third."""
    kept_kw: float = 0.0
    """Of ``draw_max_kw``, for a vehicle of the highest priority that may come: all else has to do with the rest."""

    def __post_init__(self) -> None:
        _check_name(self)
        _check_numbers(self, 0.0, "draw_max_kw", "feed_max_kw", "kept_kw")
        if self.phase_max_kw is not None:
            _check_numbers(self, 0.0, "phase_max_kw")
        if self.kept_kw > self.draw_max_kw:
            raise _fail(self, "kept_kw", self.kept_kw, f"at most draw_max_kw, {self.draw_max_kw:g}")


@dataclass(frozen=True, slots=True)
class Reserve:
    """What batteries (and gensets) must hold back to carry the critical loads without the grid for a while."""

    ride_through: timedelta
    margin_kw: float = 0.0
    """Above the critical loads, in power."""
    renewable_share: float = 0.0
    """Of the forecast that is counted on."""
    count_gensets: bool = True
    """Their power is taken off the need for energy, as they have fuel and can be started."""
    firm: bool = False
    name: str = "reserve"

    def __post_init__(self) -> None:
        _check_name(self)
        _check_numbers(self, 0.0, "margin_kw", "renewable_share")
        if self.renewable_share > 1:
            raise _fail(self, "renewable_share", self.renewable_share, "at most 1")
        if self.ride_through < timedelta(0):
            raise _fail(self, "ride_through", self.ride_through, "0 or more")


@dataclass(frozen=True, slots=True)
class DemandResponse:
    """An event: import of one tie at most ``import_max_kw`` meanwhile, unless opted out of at a price."""

    name: str
    tie: str
    start: datetime
    end: datetime
    import_max_kw: float
    opt_out_cost: float | None = None
    """None: it cannot be opted out of."""

    def __post_init__(self) -> None:
        _check_name(self)
        _check_window(self, "start", "end")
        _check_numbers(self, 0.0, "import_max_kw")
        if self.opt_out_cost is not None:
            _check_numbers(self, 0.0, "opt_out_cost")


@dataclass(frozen=True, slots=True)
class Commitment:
    """What a tie or a battery is promised to be at in each step that lies wholly between two times.

    ``power_kw`` has the sign of the asset's plan; a kWh above it and below it has a price each.
    """

    asset: str
    start: datetime
    end: datetime
    power_kw: float
    above_cost: float
    below_cost: float

    def __post_init__(self) -> None:
        if not np.isfinite(self.power_kw):
            raise BadSite(f"a commitment of {self.asset}: power_kw is {self.power_kw}: it must be a number")
        for name in ("above_cost", "below_cost"):
            cost = getattr(self, name)
            if not np.isfinite(cost) or cost < 0:
                raise BadSite(f"a commitment of {self.asset}: {name} is {cost}: it must be 0 or more")
        if self.end <= self.start:
            raise BadSite(f"a commitment of {self.asset} ends at {self.end}, before it begins")


@dataclass(frozen=True, slots=True)
class Site:
    """All of it. Assets stand on one bus; losses of lines are not modelled."""

    assets: tuple[Asset, ...]
    groups: tuple[Group, ...] = ()
    reserve: Reserve | None = None
    events: tuple[DemandResponse, ...] = ()
    shortfall_cost_per_kwh: float = 100.0
    """Of a kWh that a need of priority 1 misses; above what any kWh here may cost."""
    commitments: tuple[Commitment, ...] = ()
    by_name: dict[str, Asset] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {asset.name: asset for asset in self.assets})
        names = [asset.name for asset in self.assets] + [event.name for event in self.events]
        names += [group.name for group in self.groups]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise BadSite(f"names must differ: {', '.join(twice)} is there more than once")
        parents = {group.name: group.parent for group in self.groups}
        for what in (*self.assets, *self.groups):
            above = what.parent if isinstance(what, Group) else what.group
            if above is not None and above not in parents:
                raise BadSite(f"{what.name}: there is no group {above!r}: groups are {sorted(parents)}")
        for group in parents:
            self._check_no_loop(group, parents)
        for event in self.events:
            if not isinstance(self.by_name.get(event.tie), GridTie):
                raise BadSite(f"event {event.name}: {event.tie!r} is no grid tie of the site")
        for commitment in self.commitments:
            if not isinstance(self.by_name.get(commitment.asset), GridTie | Battery):
                raise BadSite(f"a commitment of {commitment.asset!r}, which is no tie or battery of the site")
        if not np.isfinite(self.shortfall_cost_per_kwh) or self.shortfall_cost_per_kwh <= 0:
            raise BadSite(f"shortfall_cost_per_kwh is {self.shortfall_cost_per_kwh}: it must be above 0")

    @staticmethod
    def _check_no_loop(group: str, parents: dict[str, str | None]) -> None:
        seen: list[str] = []
        above: str | None = group
        while above is not None:
            if above in seen:
                raise BadSite(f"groups lie within themselves: {' in '.join([*seen, above])}")
            seen.append(above)
            above = parents[above]

    def groups_above(self, asset: Asset) -> tuple[str, ...]:
        """The asset's group and all that it lies in."""
        parents = {group.name: group.parent for group in self.groups}
        found: list[str] = []
        above = asset.group
        while above is not None:
            found.append(above)
            above = parents[above]
        return tuple(found)
