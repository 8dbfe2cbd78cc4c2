"""Days as costs are summed by them: civil ones, or such as the site counts itself (`day_s`)."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

from gateway.config.dispatch import CIVIL_DAY_S, DispatchSettings


def day_name(settings: DispatchSettings, time: datetime, zone: tzinfo) -> str:
    """Of the day that ``time`` is in: the civil date, and where days are shorter when it began."""
    if settings.day_s == CIVIL_DAY_S:
        return time.astimezone(zone).date().isoformat()
    began = time - timedelta(seconds=time.timestamp() % settings.day_s)
    return f"{began.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def horizon_at(settings: DispatchSettings, start: datetime, steps: int) -> int:
    """As many of ``steps`` as are planned from ``start``: to the end of the day where plans end with it."""
    if not settings.ends_with_day:
        return steps
    left = timedelta(seconds=settings.day_s - start.timestamp() % settings.day_s)
    return max(min(steps, round(left / settings.step)), 1)


def step_began(settings: DispatchSettings, time: datetime) -> datetime:
    """When the step began that ``time`` is in; steps begin with the UTC hour, which civil time shares to 15 min."""
    return time - timedelta(seconds=time.timestamp() % settings.step.total_seconds())
