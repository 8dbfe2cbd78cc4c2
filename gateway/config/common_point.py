"""What points of every protocol have in common: group, unit, range, states, write limits, and their checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.config.deviation import Deviation, read_deviation
from gateway.config.document import ScalarNode
from gateway.config.fault import FaultLog, Place, quote, suggestion
from gateway.config.handling import handled
from gateway.config.kinds import Settings
from gateway.config.modbus import PollGroup
from gateway.config.site import Role, WriteLimits
from gateway.config.units import contradiction
from gateway.tags.tag import ValueType

_NO_NUMBERS = frozenset({ValueType.BOOL, ValueType.STRING})
_WHOLE = frozenset({ValueType.INT64, ValueType.UINT64})
RELATIVE_TOLERANCE = 1e-6  # of the greater limit: a float32 on the way keeps 6e-8 of a value


@dataclass(frozen=True, slots=True)
class CommonShape:
    """The part of a point that its tag is made of (gateway.config.protocol.TagShape)."""

    name: str
    place: Place = field(compare=False)
    group: int
    value_type: ValueType
    unit: str | None
    low: float | None
    high: float | None
    deadband: float
    decimals: int | None
    string_bytes: int
    history: bool
    sloped: bool
    deviation: Deviation | None
    states: Mapping[int, str]
    stale_after_ms: int
    write: WriteLimits | None
    description: str


class CommonCheck:
    """The checks of one point. Each looks only at keys that are sound, so that one fault is reported once.

    ``settings`` is a section with COMMON_POINT_KEYS of gateway.config.site_keys among its keys.
    """

    def __init__(
        self, name: ScalarNode, settings: Settings, groups: tuple[PollGroup, ...] | None, faults: FaultLog
    ) -> None:
        self._name = name
        self._settings = settings
        self._groups = groups
        self._faults = faults
        self._known_unit: str | None = None
        self._known_span: tuple[float, float] | None = None
        self._step = 0.0
        self.is_sound = True

    def add(self, key: str, found: str, mend: str) -> None:
        """A fault of a key's value."""
        self.is_sound = False
        self._faults.add(self._settings.at(key), found, mend)

    def refuse(self, key: str, why: str) -> None:
        """A key that makes no sense here."""
        if key in self._settings:
            self.is_sound = False
            self._faults.add(self._settings.key_at(key), f"{quote(key)} of {why}", f"remove '{key}'")

    def shape(
        self,
        value_type: ValueType,
        kind: str,
        *,
        is_writable: bool,
        string_bytes: int = 0,
        states: Mapping[int, str] | None = None,
        unit: str | None = None,
        span: tuple[float, float] | None = None,
        step: float = 0.0,
    ) -> CommonShape | None:
        """The shape of a point of ``kind`` ("a counter"), or None after a fault.

        ``states``, ``unit`` and ``span`` (its range) hold where the point says nothing; ``step`` is what a value may
        be rounded by on its way to the device.
        """
        s = self._settings
        if value_type not in _NO_NUMBERS:
            self._known_unit, self._known_span, self._step = unit, span, step
        group = self._group()
        self._numbers(value_type, kind)
        self._unit(value_type)
        if s["states"] and value_type not in _WHOLE and value_type is not ValueType.BOOL:
            self.refuse("states", kind)
        before = len(self._faults)
        deviation = read_deviation(
            s,
            value_type,
            s["range"] or self._known_span,
            is_sloped=s["sloped"],
            is_kept=s["history"],
            faults=self._faults,
        )
        self.is_sound = self.is_sound and len(self._faults) == before
        write = handled(
            self._write(value_type, kind, is_writable=is_writable),
            s["write"],
            value_type,
            s["states"] or states,
            self._faults,
        )
        if write is None and s["write"] is not None:
            self.is_sound = False
        if not self.is_sound or group is None:
            return None
        index, poll = group
        low, high = s["range"] or self._known_span or (None, None)
        return CommonShape(
            name=self._name.text,
            place=self._name.place,
            group=index,
            value_type=value_type,
            unit=s["unit"] or self._known_unit,
            low=low,
            high=high,
            deadband=s["deadband"],
            decimals=s["decimals"],
            string_bytes=string_bytes,
            history=s["history"],
            sloped=s["sloped"],
            deviation=deviation,
            states=s["states"] or states or {},
            stale_after_ms=poll.stale_after_ms,
            write=write,
            description=s["description"],
        )

    def _group(self) -> tuple[int, PollGroup] | None:
        groups = self._groups
        if groups is None:
            return None
        if "group" not in self._settings:
            if len(groups) == 1:
                return 0, groups[0]
            names = ", ".join(group.name for group in groups)
            self.add("group", "a point without 'group'", f"add 'group: ...', one of: {names}")
            return None
        name = self._settings["group"]
        for index, group in enumerate(groups):
            if group.name == name:
                return index, group
        if name is not None and not self._faults.unsure:
            known = [group.name for group in groups]
            self.add(
                "group",
                f"the unknown group {quote(name)}",
                suggestion(name, known, "name one of the device's"),
            )
        return None

    def _numbers(self, value_type: ValueType, kind: str) -> None:
        if value_type in _NO_NUMBERS:
            for key in ("unit", "range", "deadband", "decimals", "sloped"):
                self.refuse(key, f"{kind}, which is no number")
        elif value_type in _WHOLE and self._settings["decimals"]:
            self.add(
                "decimals",
                f"{self._settings['decimals']} decimals of a whole number",
                "write 0, or add a 'scale'",
            )

    def _unit(self, value_type: ValueType) -> None:
        s = self._settings
        if value_type in _NO_NUMBERS or ("unit" in s and s["unit"] is None):
            return
        wrong = contradiction(self._name.text, s["unit"] or self._known_unit)
        if wrong is None:
            return
        is_given, found, mend = wrong
        if is_given and "unit" in s:
            self.add("unit", found, mend)
        else:
            self._faults.add(self._name.place, found, mend)
            self.is_sound = False

    def _write(self, value_type: ValueType, kind: str, *, is_writable: bool) -> WriteLimits | None:
        write: Settings | None = self._settings["write"]
        if write is None:
            return None
        if not is_writable:
            self.refuse("write", f"{kind}, which is read-only")
            return None
        if not write.is_sound("role", "timeout_ms"):
            self.is_sound = False
            return None
        role: Role = write["role"]
        if value_type in _NO_NUMBERS:
            for key in ("low", "high", "tolerance"):
                if key in write:
                    self.is_sound = False
                    self._faults.add(
                        write.key_at(key), f"{quote(key)} of {kind}, which is no number", f"remove '{key}'"
                    )
            return WriteLimits(role, None, None, 0.0, write["timeout_ms"])
        span = self._settings["range"] or self._known_span or (None, None)
        low = write["low"] if "low" in write else span[0]
        high = write["high"] if "high" in write else span[1]
        for key, limit in (("low", low), ("high", high)):
            if limit is None:
                self.is_sound = False
                if key not in write:
                    self._faults.add(
                        write.place,
                        f"a write limit without {quote(key)}",
                        f"add '{key}: ...', or the point's 'range'",
                    )
        if low is None or high is None:
            return None
        if low >= high:
            self.is_sound = False
            self._faults.add(
                write.at("low"),
                f"'low' {low:g} is not below 'high' {high:g}",
                "write the lower one as 'low'",
            )
            return None
        tolerance = write["tolerance"]
        if tolerance is None:
            tolerance = 0.0 if value_type in _WHOLE else max(abs(low), abs(high)) * RELATIVE_TOLERANCE
            tolerance = max(tolerance, self._step)
        return WriteLimits(role, low, high, tolerance, write["timeout_ms"])
