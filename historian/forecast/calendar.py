"""Calendar terms of a moment in civil time: what the clock on the wall says, summer time included."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_TURN: Final = 2.0 * math.pi
_YEAR_DAYS: Final = 365.25
_BRIGHT: Final = (6, 7, 8)  # months of summer north of the equator
_DARK: Final = (12, 1, 2)


@dataclass(frozen=True, slots=True)
class Civil:
    """What the terms differ in from site to site."""

    time_zone: str = "UTC"
    peak_hours: tuple[float, float] = (7.0, 22.0)  # from the first, before the second
    southern: bool = False  # summer is December to February

    def local(self, time_ns: int) -> datetime:
        """The civil time of a source time in ns since 1970; what lies below a second is dropped."""
        return datetime.fromtimestamp(time_ns // 1_000_000_000, _zone(self.time_zone))


# ZoneInfo has a cache of its own, which costs more to ask.
_zone = lru_cache(ZoneInfo)


class _Moment(NamedTuple):
    hour: float  # fractional
    weekday: int
    month: int
    year_share: float  # day of year / 365.25, fractional


# By math and not by NumPy: NumPy's sine of an array may differ in the last bit from that of one number, as it has
# loops of its own for long, short and strided arrays. Batch and stream would differ.
_TERMS: Final[dict[str, Callable[[_Moment, Civil], float]]] = {
    "hour": lambda at, _: at.hour,
    "weekday": lambda at, _: float(at.weekday),
    "is_weekend": lambda at, _: float(at.weekday >= 5),
    "month": lambda at, _: float(at.month),
    "hour_sin": lambda at, _: math.sin(_TURN * at.hour / 24.0),
    "hour_cos": lambda at, _: math.cos(_TURN * at.hour / 24.0),
    "weekday_sin": lambda at, _: math.sin(_TURN * at.weekday / 7.0),
    "weekday_cos": lambda at, _: math.cos(_TURN * at.weekday / 7.0),
    "month_sin": lambda at, _: math.sin(_TURN * at.month / 12.0),
    "month_cos": lambda at, _: math.cos(_TURN * at.month / 12.0),
    "year_sin": lambda at, _: math.sin(_TURN * at.year_share),
    "year_cos": lambda at, _: math.cos(_TURN * at.year_share),
    "is_peak_hour": lambda at, civil: float(civil.peak_hours[0] <= at.hour < civil.peak_hours[1]),
    "is_summer": lambda at, civil: float(at.month in (_DARK if civil.southern else _BRIGHT)),
    "is_winter": lambda at, civil: float(at.month in (_BRIGHT if civil.southern else _DARK)),
}
CALENDAR_TERMS: Final = tuple(_TERMS)


def calendar_terms(time_ns: int, terms: Sequence[str], civil: Civil) -> list[float]:
    """The terms of one moment, in the order asked for. The weekday counts from Monday = 0."""
    local = civil.local(time_ns)
    hour = local.hour + local.minute / 60.0 + local.second / 3600.0
    day = local.toordinal() - date(local.year, 1, 1).toordinal()
    at = _Moment(hour, local.weekday(), local.month, (day + hour / 24.0) / _YEAR_DAYS)
    return [_TERMS[term](at, civil) for term in terms]


def zone_name(index: Any) -> str:
    """The time zone of a DataFrame's index. Raises ValueError where it has none that has a name."""
    name = str(getattr(index, "tz", None))
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(
            f"the index has the time zone {name}, which has no name: frame.tz_convert('Europe/Berlin'), say, "
            "or civil=Civil('Europe/Berlin')"
        ) from None
    return name
