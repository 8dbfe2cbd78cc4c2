"""Hours, days and months of a time zone, as UTC ns. A day has 23 or 25 hours where clocks are put forward or back."""

from __future__ import annotations

import datetime

from gateway.config.totals import Period

S_NS = 10**9
HOUR_S = 3_600


def bounds(period: Period, time_ns: int, zone: datetime.tzinfo) -> tuple[int, int]:
    """Where the period that ``time_ns`` is in begins, and where the next one does."""
    seconds = time_ns // S_NS
    local = datetime.datetime.fromtimestamp(seconds, zone)
    if period is Period.HOUR:
        # By the offset at this time: an hour that is there twice is two hours.
        offset = local.utcoffset()
        assert offset is not None, zone
        start = (seconds + round(offset.total_seconds())) // HOUR_S * HOUR_S - round(offset.total_seconds())
        return start * S_NS, (start + HOUR_S) * S_NS
    day = local.date()
    if period is Period.DAY:
        return _midnight(day, zone), _midnight(day + datetime.timedelta(days=1), zone)
    first = day.replace(day=1)
    following = (first + datetime.timedelta(days=32)).replace(day=1)
    return _midnight(first, zone), _midnight(following, zone)


def _midnight(day: datetime.date, zone: datetime.tzinfo) -> int:
    """When the day begins; where clocks skip midnight, that is when they do."""
    moment = datetime.datetime.combine(day, datetime.time(), zone)
    return int(moment.timestamp()) * S_NS
