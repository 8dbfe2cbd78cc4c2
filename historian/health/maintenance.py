"""What is to be maintained, when, and why: each item bears the numbers that it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from historian.health.battery import EndOfLife

_FOREVER_D: Final = 36_525.0  # what takes a hundred years has no date


class Urgency(StrEnum):
    """How soon somebody has to act."""

    OVERDUE = "overdue"
    SOON = "soon"
    PLANNED = "planned"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One number, what it is held against, and where it comes from."""

    what: str
    value: float
    limit: float
    unit: str
    source: str


@dataclass(frozen=True, slots=True)
class Item:
    """Work on an asset. ``due`` is by the present use; ``earliest`` and ``latest`` where they can be told."""

    asset: str
    work: str
    urgency: Urgency
    due: datetime | None
    earliest: datetime | None
    latest: datetime | None
    evidence: tuple[Evidence, ...]


def due_by_hours(
    asset: str,
    work: str,
    *,
    run_hours: float,
    at_last_service: float,
    interval_h: float,
    hours_a_day: float,
    now: datetime,
    soon: timedelta = timedelta(days=30),
    source: str = "run hours",
) -> Item:
    """A service every ``interval_h`` of running; due at ``hours_a_day`` of use; never where it stands."""
    since = run_hours - at_last_service
    if since < 0 or interval_h <= 0 or hours_a_day < 0:
        raise ValueError("run_hours not below at_last_service, interval_h above 0, hours_a_day not below 0")
    evidence = Evidence("running since the last service", since, interval_h, "h", source)
    return due_by_use(asset, work, evidence, a_day=hours_a_day, now=now, soon=soon)


def due_by_use(
    asset: str,
    work: str,
    evidence: Evidence,
    *,
    a_day: float,
    now: datetime,
    soon: timedelta = timedelta(days=30),
) -> Item:
    """Due when what was used since the last service (hours, starts, days) reaches its limit, at ``a_day`` of use."""
    days = (evidence.limit - evidence.value) / a_day if a_day > 0 else _FOREVER_D
    due = (
        now if evidence.value >= evidence.limit else now + timedelta(days=days) if days < _FOREVER_D else None
    )
    return Item(asset, work, _urgency(due, now, soon), due, None, None, (evidence,))


def due_by_value(
    asset: str,
    work: str,
    evidence: Evidence,
    *,
    is_low_bad: bool,
    now: datetime,
    near: float = 0.1,
) -> Item | None:
    """A value beyond its limit is overdue, one within ``near`` of it (a share of the limit) soon; else None."""
    beyond = (evidence.limit - evidence.value) if is_low_bad else (evidence.value - evidence.limit)
    if beyond >= 0:
        return Item(asset, work, Urgency.OVERDUE, now, None, None, (evidence,))
    if -beyond <= near * abs(evidence.limit):
        return Item(asset, work, Urgency.SOON, None, None, None, (evidence,))
    return None


def due_by_trend(
    asset: str,
    work: str,
    found: EndOfLife,
    *,
    health_pct: float,
    now: datetime,
    soon: timedelta = timedelta(days=180),
    source: str = "state of health",
) -> Item | None:
    """By the date at which a falling health reaches its limit, with the band of it; None where it does not fall."""
    evidence = (
        Evidence("state of health", health_pct, found.at_pct, "%", source),
        Evidence("loss a year", found.loss_pct_a_year, 0.0, "%/a", source),
    )
    if health_pct <= found.at_pct:
        return Item(asset, work, Urgency.OVERDUE, now, found.earliest, found.latest, evidence)
    if found.date is None:
        return None
    return Item(
        asset, work, _urgency(found.date, now, soon), found.date, found.earliest, found.latest, evidence
    )


def _urgency(due: datetime | None, now: datetime, soon: timedelta) -> Urgency:
    if due is None or due > now + soon:
        return Urgency.PLANNED
    return Urgency.OVERDUE if due <= now else Urgency.SOON
