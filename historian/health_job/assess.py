"""What days tell together: the values of an asset now, why others are not known, and what is to be maintained.

Pure: days, what was done, and a moment in; readings and items out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from gateway.config.health import BatteryHealth, GensetHealth, HealthAsset, PvHealth, WindHealth
from historian.health import Evidence, Item, date_of, due_by_trend, due_by_use, due_by_value, knee
from historian.health.battery import EndOfLife
from historian.health.series import TooLittle
from historian.health_job.days import DAY_NS
from historian.health_job.store import Day, Done
from historian.libraries import load

LEAST_SUN_H: Final = 5.0  # hours of full sun: a fair day
LEAST_WIND_H: Final = 24.0
LEAST_FUEL_KWH: Final = 10.0


@dataclass(frozen=True, slots=True)
class Reading:
    """A value and what it is made of, or None and why it is not known."""

    name: str
    value: float | None
    words: str


@dataclass(frozen=True, slots=True)
class Assessment:
    asset: str
    readings: tuple[Reading, ...]
    items: tuple[Item, ...]

    def of(self, name: str) -> Reading | None:
        return next((each for each in self.readings if each.name == name), None)

    @property
    def state(self) -> str:
        """In words: what is not known and why; what is remarkable of the rest."""
        whys: dict[str, list[str]] = {}
        for each in self.readings:
            if each.value is None:
                whys.setdefault(each.words, []).append(each.name)
        said = [f"{', '.join(names)}: {why}" for why, names in whys.items()]
        notes = [each.words for each in self.readings if each.value is not None and each.name in _TOLD]
        return "; ".join([*notes, *said]) or "all is known"


_TOLD: Final = frozenset({"end_days", "knee"})


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known of an asset: its days in order, and each work's last time."""

    days: Sequence[Day]
    done: Mapping[str, Done]

    @property
    def first(self) -> int | None:
        return self.days[0].start if self.days else None

    def total(self, quantity: str) -> float:
        return sum(day.estimates[quantity].value for day in self.days if quantity in day.estimates)

    def within(self, now: int, days: int) -> Sequence[Day]:
        """Those of a window that ends now."""
        return [day for day in self.days if day.until > now - days * DAY_NS]


def assess(asset: HealthAsset, known: Known, now: int) -> Assessment:
    """Raises ImportError where a library is missing."""
    match asset:
        case BatteryHealth():
            readings, items = _battery(asset, known, now)
        case PvHealth():
            readings, items = _pv(asset, known, now)
        case WindHealth():
            readings, items = _wind(asset, known, now)
        case GensetHealth():
            readings, items = _genset(asset, known, now)
    counts = {each.name: each.value for each in readings}
    items += _upkeep(asset, known, counts, now)
    wanted = {name for name, _ in asset.tags.outputs}
    readings = [each for each in readings if each.name in wanted]
    if not known.days:
        readings = [Reading(each.name, None, "no day was looked at yet") for each in readings]
    return Assessment(asset.name, tuple(readings), tuple(items))


def _battery(asset: BatteryHealth, known: Known, now: int) -> tuple[list[Reading], list[Item]]:
    recent = known.within(now, asset.window_days)
    moment = _time(now)
    capacity, swings, why = _median(recent, "capacity_kwh", asset.window_days)
    ohm, steps, why_not_ohm = _median(recent, "resistance_mohm", asset.window_days)
    apart, _, why_not_apart = _median(recent, "imbalance_mv", asset.window_days)
    health = None if capacity is None else 100.0 * capacity / asset.capacity_kwh
    made_of = f"median of {swings:.0f} swings in {asset.window_days} days" if capacity is not None else why
    cycles = known.total("throughput_kwh") / (2.0 * asset.capacity_kwh)
    has_cycles = any("throughput_kwh" in day.estimates for day in known.days)
    readings = [
        Reading("state_of_health_pct", health, made_of),
        Reading("capacity_kwh", capacity, made_of),
        Reading(
            "full_cycles",
            cycles if has_cycles else None,
            _since(known) if has_cycles else "no energy is known",
        ),
        Reading("resistance_mohm", ohm, f"median of {steps:.0f} steps" if ohm is not None else why_not_ohm),
        Reading("imbalance_mv", apart, "median of days, at rest" if apart is not None else why_not_apart),
    ]
    ageing, end = _ageing(asset, known, now)
    readings += ageing
    items: list[Item | None] = []
    if end is not None and health is not None:
        items.append(
            due_by_trend(
                asset.name,
                "replace the battery",
                end,
                health_pct=health,
                now=moment,
                source="swings of its charge",
            )
        )
    elif health is not None:
        evidence = Evidence("state of health", health, asset.health_min_pct, "%", made_of)
        items.append(_below(asset.name, "replace the battery", evidence, moment))
    if ohm is not None and asset.resistance_mohm is not None:
        evidence = Evidence(
            "resistance, of that when new",
            100.0 * ohm / asset.resistance_mohm,
            asset.resistance_max_pct,
            "%",
            f"{steps:.0f} steps of the current",
        )
        work = "look at its resistance: connections, cells, temperature"
        items.append(due_by_value(asset.name, work, evidence, is_low_bad=False, now=moment))
    if apart is not None and asset.imbalance_max_mv is not None:
        evidence = Evidence("imbalance of cells", apart, asset.imbalance_max_mv, "mV", "cells at rest")
        items.append(due_by_value(asset.name, "balance its cells", evidence, is_low_bad=False, now=moment))
    return readings, [each for each in items if each is not None]


def _below(asset: str, work: str, evidence: Evidence, now: datetime) -> Item | None:
    """Overdue below its limit; being near it says nothing, where no trend does."""
    return due_by_value(asset, work, evidence, is_low_bad=True, now=now, near=0.0)


def _ageing(asset: BatteryHealth, known: Known, now: int) -> tuple[list[Reading], EndOfLife | None]:
    """How the state of health falls, by all days there are; from its knee on, where it has one."""
    pandas = load("pandas", "the trend of a state of health")
    column = "state of health"
    days = [day for day in known.days if "capacity_kwh" in day.estimates]
    values = [100.0 * day.estimates["capacity_kwh"].value / asset.capacity_kwh for day in days]
    times = np.array([(day.start + day.until) // 2 for day in days], np.int64)
    frame = pandas.DataFrame({column: values}, pandas.DatetimeIndex(times.view("M8[ns]")).tz_localize("UTC"))
    readings: list[Reading] = []
    since = ""
    try:
        bend = knee(frame, column)
        if bend.date is None:
            words = f"no knee (p {bend.p:.2g})"
        else:
            words = (
                f"falls faster since {bend.date:%Y-%m-%d} ({bend.earliest:%Y-%m-%d} to {bend.latest:%Y-%m-%d}):"
                f" {bend.loss_before_pct_a_year:.2g} and then {bend.loss_after_pct_a_year:.2g} % a year"
            )
            after = frame[frame.index >= bend.date]
            frame, since = after, f", since its knee on {bend.date:%Y-%m-%d}"
        readings.append(Reading("knee", 0.0 if bend.date is None else 1.0, words))
    except TooLittle as error:
        readings.append(Reading("knee", None, str(error)))
    names = ("loss_pct_a_year", "end_days", "end_earliest_days", "end_latest_days")
    try:
        end = date_of(frame, column, asset.health_min_pct)
    except TooLittle as error:
        return readings + [Reading(name, None, f"{error}{since}") for name in names], None
    readings.append(Reading("loss_pct_a_year", end.loss_pct_a_year, f"{len(frame)} days{since}"))
    if end.date is None:
        why = f"it does not fall to {asset.health_min_pct:g} % within a hundred years"
        return readings + [Reading(name, None, why) for name in names[1:]], end
    words = f"{asset.health_min_pct:g} % on {end.date:%Y-%m-%d} ({_date(end.earliest)} to {_date(end.latest)}){since}"
    for name, date in zip(names[1:], (end.date, end.earliest, end.latest), strict=True):
        left = None if date is None else (date - _time(now)) / timedelta(days=1)
        readings.append(Reading(name, left, words if left is not None else "that end of its band is never"))
    return readings, end


def _pv(asset: PvHealth, known: Known, now: int) -> tuple[list[Reading], list[Item]]:
    recent = known.within(now, asset.window_days)
    energy = _sum(recent, "energy_kwh")
    expected, corrected = _sum(recent, "expected_kwh"), _sum(recent, "corrected_kwh")
    sun_h = expected / asset.rated_kw
    words = f"{energy:.0f} kWh in {sun_h:.0f} h of full sun, {asset.window_days} days"
    if sun_h < LEAST_SUN_H:
        words = f"{sun_h:.1f} h of full sun in {asset.window_days} days: {LEAST_SUN_H:g} are needed"
        names = ("performance_ratio", "performance_corrected")
        return [Reading(name, None, words) for name in names], []
    readings = [Reading("performance_ratio", energy / expected, words)]
    judged = readings[0]
    if asset.temperature is not None:
        judged = Reading("performance_corrected", energy / corrected, words)
        readings.append(judged)
    return readings, _least(
        asset.name,
        "look at the PV plant: soiling, shade, strings, inverter",
        judged,
        asset.performance_min,
        "performance ratio",
        now,
    )


def _wind(asset: WindHealth, known: Known, now: int) -> tuple[list[Reading], list[Item]]:
    recent = known.within(now, asset.window_days)
    energy, expected, hours = (_sum(recent, name) for name in ("energy_kwh", "expected_kwh", "wind_h"))
    if hours < LEAST_WIND_H or expected <= 0:
        learns = next((day.whys["curve"] for day in reversed(known.days) if "curve" in day.whys), "")
        few = f"{hours:.0f} h on its curve in {asset.window_days} days: {LEAST_WIND_H:g} are needed"
        names = ("energy_ratio", "residual_kw")
        return [Reading(name, None, learns or few) for name in names], []
    words = f"{energy:.0f} of {expected:.0f} kWh in {hours:.0f} h, {asset.window_days} days"
    readings = [
        Reading("energy_ratio", energy / expected, words),
        Reading("residual_kw", (energy - expected) / hours, words),
    ]
    work = "look at the turbine: blades, pitch, yaw, anemometer"
    return readings, _least(asset.name, work, readings[0], asset.energy_ratio_min, "energy of its curve", now)


def _least(asset: str, work: str, reading: Reading, least: float | None, what: str, now: int) -> list[Item]:
    if least is None or reading.value is None:
        return []
    evidence = Evidence(what, reading.value, least, "", reading.words)
    item = due_by_value(asset, work, evidence, is_low_bad=True, now=_time(now), near=0.02)
    return [] if item is None else [item]


def _genset(asset: GensetHealth, known: Known, now: int) -> tuple[list[Reading], list[Item]]:
    has_runs = any("run_h" in day.estimates for day in known.days)
    why = next(
        (day.whys["run_hours"] for day in reversed(known.days) if "run_hours" in day.whys), "it is not known"
    )
    hours = asset.hours_before + known.total("run_h") if has_runs else None
    starts = asset.starts_before + known.total("starts") if has_runs else None
    words = _since(known) if has_runs else why
    readings = [Reading("run_hours", hours, words), Reading("starts", starts, words)]
    recent = known.within(now, asset.window_days)
    litres, energy = _sum(recent, "fuel_l"), _sum(recent, "fuel_kwh")
    if energy < LEAST_FUEL_KWH:
        few = f"{energy:.3g} kWh in {asset.window_days} days: {LEAST_FUEL_KWH:g} are needed"
        fuel = Reading("specific_fuel_l_kwh", None, few)
    else:
        fuel = Reading("specific_fuel_l_kwh", litres / energy, f"{litres:.3g} l for {energy:.3g} kWh")
    readings.append(fuel)
    left = [
        one.every_h - (hours - _at_last(known, one.description, asset.hours_before, "run_hours"))
        for one in asset.upkeep
        if one.every_h is not None and hours is not None
    ]
    readings.append(Reading("hours_to_service", min(left) if left else None, words))
    items: list[Item] = []
    if fuel.value is not None and asset.fuel_max_l_kwh is not None:
        evidence = Evidence("specific fuel", fuel.value, asset.fuel_max_l_kwh, "l/kWh", fuel.words)
        work = "look at the engine: injection, air filter, load"
        item = due_by_value(asset.name, work, evidence, is_low_bad=False, now=_time(now))
        items += [] if item is None else [item]
    return readings, items


def _upkeep(asset: HealthAsset, known: Known, counts: Mapping[str, float | None], now: int) -> list[Item]:
    """Of each work what comes first: by hours, starts or days."""
    if known.first is None:
        return []
    watched_days = max((now - known.first) / DAY_NS, 1.0 / 24)
    before = (0.0, 0.0)
    if isinstance(asset, GensetHealth):
        before = (asset.hours_before, float(asset.starts_before))
    found: list[Item] = []
    for one in asset.upkeep:
        last = known.done.get(one.description)
        since = "since it is watched" if last is None else f"since {_date(_time(last.at))}, by {last.by}"
        by: list[Item] = []
        for every, name, unit, start, what in (
            (one.every_h, "run_hours", "h", before[0], "running since the last service"),
            (one.every_starts, "starts", "", before[1], "starts since the last service"),
        ):
            count = counts.get(name)
            if every is None or count is None:
                continue
            used = max(count - _at_last(known, one.description, start, name), 0.0)
            evidence = Evidence(what, used, float(every), unit, f"{name}, {since}")
            a_day = (count - start) / watched_days
            by.append(due_by_use(asset.name, one.description, evidence, a_day=a_day, now=_time(now)))
        if one.every_days is not None:
            gone = (now - (known.first if last is None else last.at)) / DAY_NS
            evidence = Evidence("days since the last service", gone, one.every_days, "d", since)
            by.append(due_by_use(asset.name, one.description, evidence, a_day=1.0, now=_time(now)))
        if by:
            found.append(min(by, key=lambda item: item.due or datetime.max.replace(tzinfo=UTC)))
    return found


def _at_last(known: Known, work: str, otherwise: float, what: str) -> float:
    """A counter when the work was last done."""
    last = known.done.get(work)
    value = None if last is None else last.run_hours if what == "run_hours" else last.starts
    return otherwise if value is None else float(value)


def _median(days: Sequence[Day], quantity: str, window: int) -> tuple[float | None, float, str]:
    """Over days, what it is made of, and why there is none."""
    found = [day.estimates[quantity] for day in days if quantity in day.estimates]
    if not found:
        last = next((day.whys[quantity] for day in reversed(days) if quantity in day.whys), "")
        return None, 0.0, last or f"nothing in {window} days"
    return float(np.median([each.value for each in found])), sum(each.weight for each in found), ""


def _sum(days: Sequence[Day], quantity: str) -> float:
    return sum(day.estimates[quantity].value for day in days if quantity in day.estimates)


def _since(known: Known) -> str:
    return "" if known.first is None else f"since {_date(_time(known.first))}"


def _date(time: datetime | None) -> str:
    return "never" if time is None else f"{time:%Y-%m-%d}"


def _time(time_ns: int) -> datetime:
    return datetime.fromtimestamp(time_ns / 1e9, UTC)
