"""The `health` section of a site file, and the tags that each asset adds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from gateway.config.alert import VALUE, Alert
from gateway.config.calculated_section import check_area
from gateway.config.document import Node, ScalarNode
from gateway.config.fault import FaultLog, Place, quote
from gateway.config.health import (
    BatteryHealth,
    GensetHealth,
    HealthAsset,
    HealthKind,
    HealthTags,
    PvHealth,
    Upkeep,
    WindHealth,
)
from gateway.config.kinds import Reading, Settings
from gateway.config.known_tag import known_tag
from gateway.config.site import Tag
from gateway.config.site_keys.health import HEALTH, UPKEEPS
from gateway.config.system import HEALTH_OWNER
from gateway.tags.tag import ValueType

FOLDER: Final = "health"
STALE_AFTER_MS: Final = 150_000  # what stays is told again every minute
TEXT_BYTES: Final = 400
URGENCIES: Final = {0: "nothing to do", 1: "planned", 2: "soon", 3: "OVERDUE"}

_CLASSES: Final[Mapping[HealthKind, type[Any]]] = {
    HealthKind.BATTERY: BatteryHealth,
    HealthKind.PV: PvHealth,
    HealthKind.WIND: WindHealth,
    HealthKind.GENSET: GensetHealth,
}
# Roles of tags, with the units they may have; None: a bool.
_ROLES: Final[Mapping[str, tuple[str, ...] | None]] = {
    "power": ("kW",),
    "state_of_charge": ("%",),
    "charged": ("kWh",),
    "discharged": ("kWh",),
    "current": ("A",),
    "voltage": ("V",),
    "cell_lowest": ("V",),
    "cell_highest": ("V",),
    "irradiance": ("W/m²",),
    "temperature": ("°C",),
    "limit": ("kW",),
    "wind": ("m/s",),
    "running": None,
    "energy": ("kWh",),
    "fuel": ("l", "%"),
}
_TOGETHER: Final = (("charged", "discharged"), ("current", "voltage"), ("cell_lowest", "cell_highest"))

# name, type, unit, decimals, description, and the role without which it is never known
_OUTPUTS: Final[Mapping[HealthKind, tuple[tuple[str, ValueType, str | None, int | None, str, str], ...]]] = {
    HealthKind.BATTERY: (
        ("state_of_health_pct", ValueType.DOUBLE, "%", 1, "Capacity of nominal", "power"),
        ("capacity_kwh", ValueType.DOUBLE, "kWh", 1, "Capacity as it was measured", "power"),
        ("full_cycles", ValueType.DOUBLE, None, 1, "Equivalent full cycles since it is known", "power"),
        ("resistance_mohm", ValueType.DOUBLE, "mΩ", 2, "Internal resistance of the string", "current"),
        (
            "imbalance_mv",
            ValueType.DOUBLE,
            "mV",
            1,
            "From the lowest to the highest cell, at rest",
            "cell_lowest",
        ),
        ("loss_pct_a_year", ValueType.DOUBLE, "%", 2, "State of health lost a year", "power"),
        ("end_days", ValueType.DOUBLE, "d", 0, "Days until the least state of health", "power"),
        ("end_earliest_days", ValueType.DOUBLE, "d", 0, "The same, early end of its 95 % band", "power"),
        ("end_latest_days", ValueType.DOUBLE, "d", 0, "The same, late end of its 95 % band", "power"),
        ("knee", ValueType.BOOL, None, None, "The state of health has begun to fall faster", "power"),
    ),
    HealthKind.PV: (
        (
            "performance_ratio",
            ValueType.DOUBLE,
            None,
            3,
            "Energy of what the nameplate gives by this sun",
            "power",
        ),
        (
            "performance_corrected",
            ValueType.DOUBLE,
            None,
            3,
            "The same, corrected for the modules' temperature",
            "temperature",
        ),
    ),
    HealthKind.WIND: (
        (
            "energy_ratio",
            ValueType.DOUBLE,
            None,
            3,
            "Energy of what its own curve gives by this wind",
            "power",
        ),
        ("residual_kw", ValueType.DOUBLE, "kW", 2, "Mean power above its own curve", "power"),
    ),
    HealthKind.GENSET: (
        ("run_hours", ValueType.DOUBLE, "h", 1, "Hours it has run", "running"),
        ("starts", ValueType.UINT64, None, 0, "Its starts", "running"),
        ("specific_fuel_l_kwh", ValueType.DOUBLE, None, 3, "Fuel for a kWh, l/kWh", "fuel"),
        ("hours_to_service", ValueType.DOUBLE, "h", 0, "Hours of running to the next service", "running"),
    ),
}
_STATES: Final = {"knee": {0: "none", 1: "falls faster"}}
_ALERTS: Final = {
    "urgency": Alert(
        f"has maintenance to be done: {VALUE}",
        "`tieline health show` tells what and why; `tieline health done` when the work is done.",
        values=(2, 3),
        in_status=False,
    ),
    "knee": Alert(
        "loses its capacity faster than before",
        "Plan for another battery; see docs/health.md.",
        values=(True,),
        in_status=False,
    ),
}


def read_health(
    entries: Mapping[str, tuple[ScalarNode, Node]],
    tags: list[Tag],
    areas: Mapping[str, Place],
    faults: FaultLog,
    *,
    is_unsure: bool,
) -> tuple[HealthAsset, ...]:
    """The assets, whose tags are added to ``tags``; of no use where faults were added."""
    section = _Section(tags, areas, faults, is_unsure)
    for name, node in entries.values():
        with faults.within("health"):
            s = HEALTH.value.read(node, name.text, Reading(faults))
            if isinstance(s, Settings):
                section.add(name, s)
    return tuple(section.assets)


class _Section:
    def __init__(
        self, tags: list[Tag], areas: Mapping[str, Place], faults: FaultLog, is_unsure: bool
    ) -> None:
        self._tags = tags
        self._areas = areas
        self._faults = faults
        self._is_unsure = is_unsure
        self._index = {tag.name: at for at, tag in enumerate(tags) if tag.name}
        self.assets: list[HealthAsset] = []

    def add(self, name: ScalarNode, s: Settings) -> None:
        before = len(self._faults)
        check_area(s, self._areas, self._faults)
        kind: HealthKind | None = s["kind"]
        if kind is None:
            return
        wanted = _CLASSES[kind]
        values: dict[str, Any] = {}
        for key in wanted.__dataclass_fields__:
            if key in _ROLES:
                self._check_tag(s, key)
            if key not in ("name", "tags", "upkeep"):
                values[key] = s[key]
        self._check_together(s, kind)
        fuel = self._index.get(values.get("fuel") or "")
        if fuel is not None and self._tags[fuel].unit == "l":
            values["tank_l"] = None
        upkeep = tuple(self._upkeep(s, kind))
        if len(self._faults) > before:
            return
        made: HealthAsset = wanted(
            name=name.text, tags=self._declare(name.text, kind, s, upkeep), upkeep=upkeep, **values
        )
        self.assets.append(made)

    def _check_tag(self, s: Settings, role: str) -> None:
        name: str | None = s[role]
        if name is None or self._is_unsure:
            return
        place = known_tag(name, self._index, s.at(role), self._faults, is_unsure=self._is_unsure)
        if place is None:
            return
        tag, units = self._tags[place], _ROLES[role]
        if units is None:
            if tag.type is not ValueType.BOOL:
                self._faults.add(s.at(role), f"{quote(name)} is no bool", "name a tag that is true or false")
        elif tag.unit not in units:
            has = f"is in '{tag.unit}'" if tag.unit else "has no unit"
            mend = f"name a tag in {' or '.join(units)}, or make one under 'calculated'"
            self._faults.add(s.at(role), f"{quote(name)} {has}", mend)
        elif not tag.history:
            self._faults.add(
                s.at(role), f"{quote(name)} has no history", "let it be kept: health is read from it"
            )
        elif role == "fuel" and tag.unit == "%" and s["tank_l"] is None:
            self._faults.add(s.at(role), f"{quote(name)} is in '%' of a tank of unknown size", "add 'tank_l'")

    def _check_together(self, s: Settings, kind: HealthKind) -> None:
        if kind is not HealthKind.BATTERY:
            return
        for pair in _TOGETHER:
            given = [role for role in pair if role in s]
            if len(given) == 1:
                (other,) = set(pair) - set(given)
                self._faults.add(
                    s.key_at(given[0]), f"{quote(given[0])} without {quote(other)}", f"add '{other}'"
                )
        if "cell_lowest" in s and "current" not in s:
            found = "'cell_lowest' without 'current'"
            self._faults.add(
                s.key_at("cell_lowest"), found, "add 'current' and 'voltage': rest is told by them"
            )

    def _upkeep(self, s: Settings, kind: HealthKind) -> Iterator[Upkeep]:
        node = s["upkeep"]
        if node is None:
            return
        reading = Reading(self._faults)
        for key, item in UPKEEPS.entries(node, "upkeep", reading):
            with self._faults.within("upkeep"):
                read = UPKEEPS.value.read(item, key.text, reading)
            if not isinstance(read, Settings):
                continue
            given = [each for each in ("every_h", "every_starts", "every_days") if each in read]
            if not given:
                self._faults.add(
                    key.place, f"{quote(key.text)} never comes round", "add 'every_h' or 'every_days'"
                )
            if kind is not HealthKind.GENSET:
                for each in {"every_h", "every_starts"} & set(given):
                    self._faults.add(read.key_at(each), f"{quote(each)} of a {kind}", "write 'every_days'")
            yield Upkeep(
                key.text,
                read["description"] or key.text.replace("_", " "),
                read["every_h"],
                read["every_starts"],
                read["every_days"],
            )

    def _declare(self, name: str, kind: HealthKind, s: Settings, upkeep: Sequence[Upkeep]) -> HealthTags:
        outputs: list[tuple[str, int]] = []
        for output, type, unit, decimals, what, role in _OUTPUTS[kind]:
            if s[role] is None or (
                output == "hours_to_service" and all(one.every_h is None for one in upkeep)
            ):
                continue
            outputs.append((output, len(self._tags)))
            self._tags.append(self._tag(s, f"{name}.{output}", type, f"{what}: {name}", unit, decimals))
        first = len(self._tags)
        self._tags += (
            self._tag(s, f"{name}.open_items", ValueType.UINT64, f"Maintenance that nobody has seen: {name}"),
            self._tag(s, f"{name}.urgency", ValueType.UINT64, f"How soon somebody has to act: {name}"),
            self._tag(
                s, f"{name}.state", ValueType.STRING, f"What is known and what is not, and why: {name}"
            ),
        )
        return HealthTags(tuple(outputs), first, first + 1, first + 2)

    @staticmethod
    def _tag(
        s: Settings,
        name: str,
        type: ValueType,
        description: str,
        unit: str | None = None,
        decimals: int | None = None,
    ) -> Tag:
        last = name.rpartition(".")[2]
        return Tag(
            name=f"{FOLDER}.{name}",
            type=type,
            owner=HEALTH_OWNER,
            area=s["area"] or "",
            device=FOLDER,
            description=description,
            unit=unit,
            decimals=decimals,
            stale_after_ms=STALE_AFTER_MS,
            string_bytes=TEXT_BYTES if type is ValueType.STRING else 0,
            states=URGENCIES if last == "urgency" else _STATES.get(last, {}),
            alert=_ALERTS[last].of(name.partition(".")[0]) if last in _ALERTS else None,
        )
