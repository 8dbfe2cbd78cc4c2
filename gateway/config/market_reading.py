"""What the keys of `market` have in common: entries by name, tags in a unit, names that must be known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.config.document import ScalarNode
from gateway.config.fault import FaultLog, quote, suggestion
from gateway.config.kinds import Named, Reading, Settings
from gateway.config.known_tag import known_tag
from gateway.config.site import Tag
from gateway.tags.tag import ValueType

MICRO, WATTS = 1_000_000, 1_000
DAY_S = 86_400
WH_OF_UNIT: Mapping[str, int] = {"Wh": 1, "kWh": 1_000, "MWh": 1_000_000}
W_OF_UNIT: Mapping[str, float] = {"W": 1.0, "kW": 1e3, "MW": 1e6}


@dataclass(frozen=True, slots=True)
class UnitOfRole:
    """What a role's tag must be in."""

    units: tuple[str, ...]
    has_history: bool = False


class MarketReading:
    """The section with the tags of the site; ``is_unsure``: some of these may be missing for faults elsewhere."""

    def __init__(self, settings: Settings, tags: list[Tag], faults: FaultLog, is_unsure: bool) -> None:
        self.settings = settings
        self.tags = tags
        self.faults = faults
        self._is_unsure = is_unsure
        self._index = {tag.name: place for place, tag in enumerate(tags) if tag.name}

    def entries(self, s: Settings, section: str, kind: Named) -> Iterator[tuple[ScalarNode, Settings]]:
        """What is listed under a key, but what has faults."""
        node = s[section]
        if node is None:
            return
        reading = Reading(self.faults)
        for key, item in kind.entries(node, section, reading):
            read = kind.value.read(item, key.text, reading)
            if isinstance(read, Settings):
                yield key, read

    def known(self, s: Settings, key: str, known: Mapping[str, object], what: str) -> None:
        """Add a fault where the name under ``key`` is none of these."""
        name = s[key]
        if name is not None and name not in known and not self._is_unsure:
            self.faults.add(
                s.at(key),
                f"the unknown {what} {quote(name)}",
                suggestion(name, known, f"add it under '{what}s'"),
            )

    def tag(self, s: Settings, role: str, unit: UnitOfRole | None) -> int | None:
        """The place of a number in one of these units, or of a bool."""
        name: str | None = s[role]
        if name is None:
            return None
        index = known_tag(name, self._index, s.at(role), self.faults, is_unsure=self._is_unsure)
        if index is None:
            return None
        tag = self.tags[index]
        if unit is None:
            if tag.type is not ValueType.BOOL:
                self.faults.add(s.at(role), f"{quote(name)} is no bool", "name a tag that is true or false")
            return index
        if tag.unit not in unit.units or tag.type in (ValueType.BOOL, ValueType.STRING):
            has = f"is in '{tag.unit}'" if tag.unit else "has no unit"
            self.faults.add(s.at(role), f"{quote(name)} {has}", f"name a tag in {' or '.join(unit.units)}")
            return None
        if unit.has_history and not tag.history:
            self.faults.add(s.at(role), f"{quote(name)} has no history", "name a register that history keeps")
        return index


def micro(value: Any) -> int:
    """Money or a share in millionths; to the nearest, as a float is not quite what was written."""
    return round(float(value or 0) * MICRO)


def watts(kilowatts: float) -> int:
    return round(kilowatts * WATTS)
