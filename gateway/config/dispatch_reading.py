"""What the plan of the `dispatch` section is made of: assets, tariffs and groups, with their tags looked up."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from gateway.config.dispatch import (
    CIVIL_DAY_S,
    ROLES,
    AssetKind,
    DispatchSettings,
    PlannedAsset,
    PlannedBattery,
    PlannedDeferrable,
    PlannedGenset,
    PlannedGroup,
    PlannedLoad,
    PlannedRenewable,
    PlannedReserve,
    PlannedTie,
    PlannedVehicle,
    Tariff,
    TariffPeriod,
)
from gateway.config.dispatch_section import DeclaredAsset, DeclaredDispatch, entries
from gateway.config.document import MappingNode
from gateway.config.fault import FaultLog, quote, suggestion
from gateway.config.kinds import Settings
from gateway.config.known_tag import known_tag
from gateway.config.site import Tag
from gateway.config.site_keys.dispatch import DISPATCH_GROUPS
from gateway.config.site_keys.tariffs import TARIFF_PERIODS, TARIFFS
from gateway.config.units import UNITS
from gateway.tags.tag import ValueType

DEVICE = "device"  # what the tags of an asset call the device that it is of
MOST_STEPS = 4_000  # of a plan; what `historian.dispatch` takes

# Roles of tags in an asset, with the units they may have; None: a bool. PER_KWH: of the currency, a kWh.
PER_KWH = "per kWh"
_ROLES: Mapping[str, str | None] = {
    "power": "kW",
    "state_of_charge": "%",
    "connected": None,
    "stay": "h",
    "import_limit": "kW",
    "import_price": PER_KWH,
    "export_price": PER_KWH,
    "closed": None,
    "done": "kWh",
    "energy": "kWh",
    "opens_in": "s",
    "closes_in": "s",
}
assert _ROLES.keys() == set(ROLES)
_DAILY = ("from_h", "to_h", "energy_kwh")
_TOLD = ("energy", "opens_in", "closes_in")

_CLASSES: Mapping[AssetKind, type[Any]] = {
    AssetKind.BATTERY: PlannedBattery,
    AssetKind.VEHICLE: PlannedVehicle,
    AssetKind.GENSET: PlannedGenset,
    AssetKind.TIE: PlannedTie,
    AssetKind.LOAD: PlannedLoad,
    AssetKind.RENEWABLE: PlannedRenewable,
    AssetKind.DEFERRABLE: PlannedDeferrable,
}


def read_dispatch(
    declared: DeclaredDispatch,
    tags: Sequence[Tag],
    forecasts: Collection[str],
    faults: FaultLog,
    *,
    is_unsure: bool,
) -> DispatchSettings | None:
    """The whole section, when all tags and forecasts are known; of no use where faults were added."""
    s = declared.settings
    if s is None or declared.own is None:
        return None
    before = len(faults)
    with faults.within("dispatch"):
        _check_times(s, faults)
        if not declared.assets and not is_unsure and len(faults) == before:
            faults.add(s.at("assets"), "no asset", "name the battery, the tie, the loads...")
        if sum(asset.kind is AssetKind.TIE for asset in declared.assets) > 1:
            faults.add(s.at("assets"), "more than one tie", "dispatch plans for one tie to the grid")
        reading = _Reading(s, tags, forecasts, faults, is_unsure)
        assets = [reading.asset(asset) for asset in declared.assets]
        for asset in declared.assets:
            if asset.name in reading.groups:
                found = f"{quote(asset.name)}, an asset and a group"
                faults.add(s.at("groups"), found, "give one of them another name")
        if len(faults) > before:
            return None
        reserve = s["reserve"]
        return DispatchSettings(
            assets=tuple(asset for asset in assets if asset is not None),
            groups=tuple(reading.groups.values()),
            reserve=None if reserve is None else PlannedReserve(**_values(PlannedReserve, reserve)),
            tags=declared.own,
            **{
                name: s[name]
                for name in (
                    "step_min",
                    "horizon_h",
                    "period_s",
                    "deadline_s",
                    "gap_pct",
                    "keep_h",
                    "currency",
                    "shortfall_cost_per_kwh",
                    "step_s",
                    "horizon_s",
                    "day_s",
                    "ends_with_day",
                    "past_days",
                    "wait_s",
                )
            },
        )


def _check_times(s: Settings, faults: FaultLog) -> None:
    """Steps, horizon, days and period fit each other."""
    for either, other in (("step_s", "step_min"), ("horizon_s", "horizon_h")):
        if either in s and other in s:
            faults.add(s.key_at(either), f"both {quote(either)} and {quote(other)}", "remove one of them")
    is_divisor = not s["step_min"] or 60 % s["step_min"] == 0
    if not is_divisor:
        faults.add(s.at("step_min"), f"'step_min' is {s['step_min']}", "write a divisor of 60: 5, 10, 15, 30")
    if s["step_s"] and 3_600 % s["step_s"]:
        faults.add(
            s.at("step_s"), f"'step_s' is {s['step_s']}", "write a divisor of 3600: 1, 5, 10, 30, 60, 300"
        )
    if not s.is_sound("step_min", "step_s", "horizon_h", "horizon_s", "day_s", "period_s", "wait_s"):
        return
    step_s = s["step_s"] or s["step_min"] * 60
    horizon_s = s["horizon_s"] or s["horizon_h"] * 3_600
    horizon = "horizon_s" if "horizon_s" in s else "horizon_h"
    if not step_s <= horizon_s <= step_s * MOST_STEPS:
        faults.add(
            s.at(horizon),
            f"{horizon_s / step_s:g} steps of {step_s} s in {horizon_s} s",
            f"a plan has 1 to {MOST_STEPS} steps",
        )
    if is_divisor and s["day_s"] % step_s:
        faults.add(
            s.at("day_s"), f"'day_s' is {s['day_s']}, a step {step_s} s", "write a whole number of steps"
        )
    if s["ends_with_day"] and s["day_s"] == CIVIL_DAY_S:
        faults.add(s.at("ends_with_day"), "'ends_with_day' without 'day_s'", "say how long a day is")
    if s["wait_s"] >= s["period_s"]:
        faults.add(
            s.at("wait_s"),
            f"'wait_s' is {s['wait_s']:g}, 'period_s' {s['period_s']}",
            "wait for less than the period",
        )


def _values(type: type[Any], s: Settings) -> dict[str, Any]:
    return {name: s[name] for name in type.__dataclass_fields__}


class _Reading:
    """Assets with their tags, tariffs and groups looked up."""

    def __init__(
        self,
        s: Settings,
        tags: Sequence[Tag],
        forecasts: Collection[str],
        faults: FaultLog,
        is_unsure: bool,
    ) -> None:
        self._forecasts = dict.fromkeys(forecasts)
        self._tags = tags
        self._faults = faults
        self._is_unsure = is_unsure
        self._price_unit = f"{s['currency']}/kWh"  # as far as units know the currency
        self._index = {tag.name: place for place, tag in enumerate(tags) if tag.name}
        self._tariffs = {key.text: self._tariff(each) for key, each in entries(s, "tariffs", TARIFFS, faults)}
        groups = {key.text: each for key, each in entries(s, "groups", DISPATCH_GROUPS, faults)}
        self.groups = {
            name: PlannedGroup(name, each["draw_max_kw"] or 0.0, each["feed_max_kw"] or 0.0, each["parent"])
            for name, each in groups.items()
        }
        for name, each in groups.items():
            self._known(each, "parent", self.groups, "group")
            self._check_no_circle(name, each)

    def asset(self, declared: DeclaredAsset) -> PlannedAsset | None:
        """None where a fault was added."""
        s, before = declared.settings, len(self._faults)
        with self._faults.within(f"the asset {declared.name} of dispatch"):
            self._known(s, "group", self.groups, "group")
            values: dict[str, Any] = {}
            type = _CLASSES[declared.kind]
            for name in type.__dataclass_fields__:
                if name in _ROLES:
                    values[name] = self._tag(s, name, declared.device)
                elif name in ("import_tariff", "export_tariff"):
                    self._known(s, name, self._tariffs, "tariff")
                    values[name] = self._tariffs.get(s[name]) or Tariff(0.0)
                elif name == "forecast":
                    self._known(s, name, self._forecasts, "forecast")
                    values[name] = s[name]
                elif name not in ("name", "planned_kw", "planned_kwh"):
                    values[name] = s[name]
            self._check_pairs(s)
            self._check_one_way(s, declared.kind)
        if len(self._faults) > before:
            return None
        if declared.kind is AssetKind.BATTERY:
            values["planned_kwh"] = declared.planned_kw + 1
        made: PlannedAsset = type(name=declared.name, planned_kw=declared.planned_kw, **values)
        return made

    def _tag(self, s: Settings, role: str, device: str) -> int | None:
        name: str | None = s[role]
        if name is None:
            return None
        if device and name.startswith(f"{DEVICE}."):
            name = f"{device}.{name.removeprefix(f'{DEVICE}.')}"
        index = known_tag(name, self._index, s.at(role), self._faults, is_unsure=self._is_unsure)
        if index is None:
            return None
        tag, unit = self._tags[index], _ROLES[role]
        if unit == PER_KWH:
            unit = self._price_unit
            if unit not in UNITS:
                return index  # what a site's own currency is per kWh, no unit says
        if unit is None and tag.type is not ValueType.BOOL:
            self._faults.add(s.at(role), f"{quote(name)} is no bool", "name a tag that is true or false")
        elif unit is not None and tag.unit != unit:
            has = f"is in '{tag.unit}'" if tag.unit else "has no unit"
            mend = f"name a tag in {unit}, or make one under 'calculated'"
            self._faults.add(s.at(role), f"{quote(name)} {has}", mend)
        return index

    def _known(self, s: Settings, key: str, known: Mapping[str, object], what: str) -> None:
        name = s[key]
        if name is not None and name not in known and not self._is_unsure:
            mend = suggestion(name, known, f"add it under '{what}s'")
            self._faults.add(s.at(key), f"the unknown {what} {quote(name)}", mend)

    def _check_no_circle(self, name: str, s: Settings) -> None:
        path, above = [name], self.groups[name].parent
        while above in self.groups and above not in path:
            path.append(above)
            above = self.groups[above].parent
        if above == name:
            self._faults.add(s.at("parent"), f"a circle: {' in '.join([*path, name])}", "remove one 'parent'")

    def _check_pairs(self, s: Settings) -> None:
        for low, high in (("power_min_kw", "power_max_kw"), ("soc_min_pct", "soc_max_pct")):
            if low in s and s.is_sound(low, high) and s[low] > s[high]:
                found = f"{quote(low)} {s[low]:g} is above {quote(high)} {s[high]:g}"
                self._faults.add(s.at(low), found, "write the lower one there")

    def _check_one_way(self, s: Settings, kind: AssetKind) -> None:
        """What may be told in two ways is told in one."""
        if kind is AssetKind.TIE:
            for way in ("import", "export"):
                price, tariff = f"{way}_price", f"{way}_tariff"
                if price in s and tariff in s:
                    found = f"both {quote(price)} and {quote(tariff)}"
                    self._faults.add(s.key_at(price), found, "remove one of them")
            if "import_price" not in s and "import_tariff" not in s:
                found = "neither 'import_tariff' nor 'import_price'"
                self._faults.add(s.place, found, "say what import costs, by one of them")
        elif kind is AssetKind.DEFERRABLE:
            daily, told = ([name for name in names if name in s] for names in (_DAILY, _TOLD))
            if daily and told:
                found = f"both {quote(daily[0])} and {quote(told[0])}"
                self._faults.add(
                    s.key_at(told[0]), found, "give hours and energy, or the tags that tell them"
                )
            elif len(daily) != len(_DAILY) and len(told) != len(_TOLD):
                missing = [name for name in (_TOLD if told else _DAILY) if name not in s]
                words = " and ".join(quote(name) for name in missing)
                self._faults.add(s.place, f"no {words}", "say when it is wanted, and how much")

    def _tariff(self, s: Settings) -> Tariff:
        node, periods = s["periods"], []
        if isinstance(node, MappingNode):
            for _, each in entries(s, "periods", TARIFF_PERIODS, self._faults):
                if each.is_sound("from_h", "to_h", "price_per_kwh"):
                    days = frozenset(day.number for day in each["days"] or ())
                    periods.append(TariffPeriod(each["from_h"], each["to_h"], each["price_per_kwh"], days))
        return Tariff(s["price_per_kwh"] or 0.0, tuple(periods))
