"""The `deviation` of a point: by how much what history gives back may differ from what was measured."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.config.fault import FaultLog, quote
from gateway.config.kinds import Settings
from gateway.tags.tag import ValueType

NS = 10**9
_PERCENT = re.compile(r"(\d+(?:\.\d+)?|\.\d+) ?%")
MEND = "write a number in the unit, or a part of the range: 0.1%"


@dataclass(frozen=True, slots=True)
class Deviation:
    """In the tag's unit; 0 of either: it is not used. At most ``quiet_ns`` and ``longest_ns`` go without a sample."""

    exception: float = 0.0
    quiet_ns: int = 600 * NS
    compression: float = 0.0
    longest_ns: int = 3600 * NS

    def bound(self, *, is_sloped: bool) -> float:
        """By how much what is read back may differ from a sample that was dropped."""
        return self.compression + 2 * self.exception if is_sloped else self.exception

    @property
    def held_ns(self) -> int:
        """How long a sample may wait for it to be known whether it is kept."""
        return max(self.quiet_ns if self.exception else 0, self.longest_ns if self.compression else 0)


def read_deviation(
    settings: Settings,
    type: ValueType,
    span: tuple[float, float] | None,
    *,
    is_sloped: bool,
    is_kept: bool,
    faults: FaultLog,
) -> Deviation | None:
    """The deviation of a point, of range ``span``; None where it has none, or faults were added."""
    s: Settings | None = settings["deviation"]
    if s is None:
        return None
    if type in (ValueType.BOOL, ValueType.STRING):
        faults.add(settings.key_at("deviation"), "'deviation' of what is no number", "remove 'deviation'")
        return None
    if not is_kept:
        faults.add(settings.key_at("deviation"), "'deviation' without history", "remove 'deviation'")
        return None
    exception = _in_unit(s, "exception", span, faults)
    compression = _in_unit(s, "compression", span, faults)
    if exception is None or compression is None or not s.is_sound("max_quiet_s", "max_s"):
        return None
    if not exception and not compression:
        faults.add(s.place, "a deviation of nothing", "add 'exception: ...' or 'compression: ...'")
        return None
    if compression and not is_sloped:
        faults.add(
            s.at("compression"),
            "'compression' of a point whose value holds until the next",
            "add 'sloped: true' to the point, or use 'exception'",
        )
        return None
    return Deviation(exception, s["max_quiet_s"] * NS, compression, s["max_s"] * NS)


def _in_unit(s: Settings, key: str, span: tuple[float, float] | None, faults: FaultLog) -> float | None:
    if not s.is_sound(key):
        return None
    value = s[key]
    if isinstance(value, str) and (match := _PERCENT.fullmatch(value)) is not None:
        if span is None:
            faults.add(s.at(key), f"{quote(key)} is a part of a range that is not there", "add 'range: ...'")
            return None
        return float(match[1]) / 100 * (span[1] - span[0])
    if isinstance(value, bool | str) or not 0 <= value < float("inf"):
        faults.add(s.at(key), f"{quote(key)} is {value!r}", MEND)
        return None
    return float(value)
