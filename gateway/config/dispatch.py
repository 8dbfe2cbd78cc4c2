"""The `dispatch` section of a site as typed values: what is planned, and which tags tell of it (docs/dispatch.md).

Every ``tag`` of an asset and every field of `DispatchTags` is an index in the image. Powers are kW in the house
convention; ``planned_kw`` is the tag of an asset's own plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum, StrEnum

CIVIL_DAY_S = 86_400


class AssetKind(StrEnum):
    """What an asset is."""

    BATTERY = "battery"
    VEHICLE = "vehicle"
    GENSET = "genset"
    TIE = "tie"
    LOAD = "load"
    RENEWABLE = "renewable"
    DEFERRABLE = "deferrable"


class Course(IntEnum):
    """Which plan is followed (tag ``dispatch.status``). Numbers are in tags: never reuse one."""

    NONE = 0
    OPTIMAL = 1
    FEASIBLE = 2
    SHORTENED = 3
    KEPT = 4
    RULE = 5

    @property
    def text(self) -> str:
        return _COURSES[self]


_COURSES = {
    Course.NONE: "no plan yet",
    Course.OPTIMAL: "optimal",
    Course.FEASIBLE: "feasible",
    Course.SHORTENED: "shorter horizon",
    Course.KEPT: "last plan kept",
    Course.RULE: "by rule",
}


@dataclass(frozen=True, slots=True)
class TariffPeriod:
    """A price from one hour of the day to another, on days of the week (0: Monday); ``to_h`` may be next day's."""

    from_h: float
    to_h: float
    price_per_kwh: float
    days: frozenset[int]


@dataclass(frozen=True, slots=True)
class Tariff:
    """A price a kWh: that of the first of ``periods`` that holds, else ``price_per_kwh``."""

    price_per_kwh: float
    periods: tuple[TariffPeriod, ...] = ()


@dataclass(frozen=True, slots=True)
class PlannedBattery:
    name: str
    group: str | None
    planned_kw: int
    planned_kwh: int
    power: int
    state_of_charge: int
    capacity_kwh: float
    charge_max_kw: float
    discharge_max_kw: float
    charge_efficiency_pct: float
    discharge_efficiency_pct: float
    soc_min_pct: float
    soc_max_pct: float
    wear_cost_per_kwh: float
    end_value_per_kwh: float


@dataclass(frozen=True, slots=True)
class PlannedVehicle:
    """A connector; it leaves ``stay_h`` after it was plugged in (tag ``stay``, where there is one, says how long)."""

    name: str
    group: str | None
    planned_kw: int
    power: int
    connected: int
    state_of_charge: int
    capacity_kwh: float
    charge_max_kw: float
    discharge_max_kw: float
    charge_efficiency_pct: float
    discharge_efficiency_pct: float
    soc_min_pct: float
    target_pct: float
    stay_h: float
    stay: int | None
    wear_cost_per_kwh: float
    priority: int
    firm: bool


@dataclass(frozen=True, slots=True)
class PlannedGenset:
    name: str
    group: str | None
    planned_kw: int
    power: int
    power_min_kw: float
    power_max_kw: float
    fuel_cost_per_kwh: float
    no_load_cost_per_h: float
    start_cost: float
    min_up_min: float
    min_down_min: float


@dataclass(frozen=True, slots=True)
class PlannedTie:
    """It is planned ``import_margin_kw`` below the limit.

    ``import_limit``: a tag that may lower ``import_max_kw``. ``closed``: the breaker's, None: it always is.
    ``import_price`` and ``export_price``: tags that tell what a kWh is worth now; None: the tariffs do.
    """

    name: str
    group: str | None
    planned_kw: int
    power: int
    import_max_kw: float
    export_max_kw: float
    import_tariff: Tariff
    export_tariff: Tariff
    import_limit: int | None
    closed: int | None
    demand_charge_per_kw: float
    import_margin_kw: float = 0.0
    import_price: int | None = None
    export_price: int | None = None


@dataclass(frozen=True, slots=True)
class PlannedLoad:
    """``forecast`` is that of the site's `forecasts` of this name; None: by what history says."""

    name: str
    group: str | None
    planned_kw: int
    power: int
    critical: bool
    shed_cost_per_kwh: float | None
    forecast: str | None


@dataclass(frozen=True, slots=True)
class PlannedRenewable:
    name: str
    group: str | None
    planned_kw: int
    power: int
    curtailable: bool
    forecast: str | None


@dataclass(frozen=True, slots=True)
class PlannedDeferrable:
    """``energy_kwh`` every day between two hours of the day; ``done`` is a tag that tells how much of it has been.

    Or, where hours and energy are None, what the tags ``energy``, ``opens_in`` and ``closes_in`` say now.
    It is planned to be done ``margin_s`` early.
    """

    name: str
    group: str | None
    planned_kw: int
    power: int
    from_h: float | None
    to_h: float | None
    energy_kwh: float | None
    power_max_kw: float
    done: int | None
    priority: int
    firm: bool
    energy: int | None = None
    opens_in: int | None = None
    closes_in: int | None = None
    margin_s: float = 0.0


PlannedAsset = (
    PlannedBattery
    | PlannedVehicle
    | PlannedGenset
    | PlannedTie
    | PlannedLoad
    | PlannedRenewable
    | PlannedDeferrable
)


@dataclass(frozen=True, slots=True)
class PlannedGroup:
    """A feeder or connector: what its assets may draw and feed together."""

    name: str
    draw_max_kw: float
    feed_max_kw: float
    parent: str | None


@dataclass(frozen=True, slots=True)
class PlannedReserve:
    """What must be held to carry the critical loads without the grid."""

    ride_through_h: float
    margin_kw: float
    renewable_share: float
    firm: bool


@dataclass(frozen=True, slots=True)
class DispatchTags:
    """Of the plan as a whole. In the order in which they are declared."""

    status: int
    sequence: int
    valid_until: int
    valid_for_s: int
    age_s: int
    horizon_h: int
    gap_pct: int
    solve_s: int
    failures: int
    vehicles_kw: int
    reserve_pct: int
    forecast_age_s: int
    planned_saving: int
    cost_today: int
    naive_cost_today: int
    saving_today: int
    saving_yesterday: int
    words: int
    forecast: int
    trouble: int


ROLES = (
    "power",
    "state_of_charge",
    "connected",
    "stay",
    "import_limit",
    "import_price",
    "export_price",
    "closed",
    "done",
    "energy",
    "opens_in",
    "closes_in",
)
"""Keys of assets that name a tag which plans are made of."""


@dataclass(frozen=True, slots=True)
class DispatchSettings:
    """``keep_h`` is how long the last plan is followed while there is no newer one.

    ``step_s`` and ``horizon_s``, where they are given, stand in for ``step_min`` and ``horizon_h``.
    """

    assets: tuple[PlannedAsset, ...]
    groups: tuple[PlannedGroup, ...]
    reserve: PlannedReserve | None
    step_min: int
    horizon_h: int
    period_s: int
    deadline_s: float
    gap_pct: float
    keep_h: float
    currency: str
    shortfall_cost_per_kwh: float
    tags: DispatchTags
    step_s: int | None = None
    horizon_s: int | None = None
    day_s: int = CIVIL_DAY_S
    ends_with_day: bool = False
    past_days: int | None = None
    wait_s: float = 0.0

    @property
    def step(self) -> timedelta:
        return timedelta(minutes=self.step_min) if self.step_s is None else timedelta(seconds=self.step_s)

    @property
    def steps(self) -> int:
        """Of the whole horizon."""
        horizon = (
            timedelta(hours=self.horizon_h) if self.horizon_s is None else timedelta(seconds=self.horizon_s)
        )
        return horizon // self.step

    @property
    def inputs(self) -> tuple[int, ...]:
        """Tags that plans are made of, each once."""
        found = [getattr(asset, role, None) for asset in self.assets for role in ROLES]
        return tuple(sorted({tag for tag in found if tag is not None}))


class Weekday(StrEnum):
    """Days of a tariff's period."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"

    @property
    def number(self) -> int:
        return list(Weekday).index(self)
