"""Tariffs as a price a step, in civil time: a day of 23 or 25 hours has the prices of its hours."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo

import numpy as np
from numpy.typing import NDArray

from gateway.config.dispatch import Tariff, TariffPeriod


def prices(tariff: Tariff, times: Sequence[datetime], zone: tzinfo) -> NDArray[np.float64]:
    """The price at each time, a kWh."""
    return np.array([_price(tariff, time.astimezone(zone)) for time in times])


def _price(tariff: Tariff, time: datetime) -> float:
    hour = time.hour + time.minute / 60 + time.second / 3600
    day = time.weekday()
    for period in tariff.periods:
        if _holds(period, hour, day):
            return period.price_per_kwh
    return tariff.price_per_kwh


def _holds(period: TariffPeriod, hour: float, day: int) -> bool:
    """One over midnight belongs to the day on which it begins."""
    if period.from_h < period.to_h:
        return day in period.days and period.from_h <= hour < period.to_h
    before = (day - 1) % 7
    return (day in period.days and hour >= period.from_h) or (before in period.days and hour < period.to_h)


def window_at(time: datetime, from_h: float, to_h: float, zone: tzinfo) -> tuple[datetime, datetime]:
    """The daily window of civil hours that ``time`` is in, or else the next one."""
    midnight = time.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    length = to_h - from_h if to_h > from_h else to_h - from_h + 24
    for days in (-1, 0, 1):
        start = midnight + timedelta(days=days, hours=from_h)
        end = start + timedelta(hours=length)
        if end > time:
            return start, end
    raise AssertionError((time, from_h, to_h))
