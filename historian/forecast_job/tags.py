"""The tags of a forecast: what they say now, and how good it is. Pure: a job in, values with quality out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.config.forecasts import QuantileTag
from gateway.config.forecasts_section import PEAK_S, TEXT_BYTES
from gateway.tags.quality import SEVERITY_BAD, Quality
from historian.forecast_job.job import Job
from historian.forecast_job.lane import LATE_STEPS, Lane
from historian.forecast_job.plan import DAY_S, S_NS, Track
from historian.forecast_job.standing import chance_above
from historian.forecast_job.store import Row
from historian.keeping.zone import zone_named
from historian.times import iso_of

Plain = bool | int | float | str
H_NS: Final = 3600 * S_NS


@dataclass(frozen=True, slots=True)
class Told:
    """``value`` None: there is none, and ``status`` is Bad."""

    tag: int
    value: Plain | None
    status: int


def told(
    job: Job, now: int, target_is_bad: bool, is_training: bool, zone: str, complaint: str = ""
) -> Iterator[Told]:
    """What all tags of a forecast say. ``complaint``: why none of them all could be looked after."""
    status = {track: status_of(lane, now, target_is_bad) for track, lane in job.lanes.items()}
    for tag in job.forecast.quantile_tags:
        track = Track.SHORT if tag.is_short else Track.LONG
        yield _told(tag.tag, _level(job.lanes[track].row, tag, now), status[track])
    own = dict(job.forecast.tags)
    for ending, value, quality in _own(job, now, is_training, zone, status, complaint):
        yield _told(own[ending], value, quality)
    for place, pattern, quality in job.patterns.told(now):
        yield _told(place, pattern, quality)


def status_of(lane: Lane, now: int, target_is_bad: bool) -> int:
    """How good the newest forecast is now. The value says itself when its time is past."""
    row = lane.row
    if row is None:
        return Quality.BAD_NO_DATA  # none yet, which is no fault: the page lists it not
    if now >= row.end:
        return Quality.BAD_OUT_OF_SERVICE
    if not lane.has_model:
        return Quality.UNCERTAIN_LAST_USABLE_VALUE
    if lane.is_late(now):
        return Quality.UNCERTAIN_LAST_USABLE_VALUE
    is_old = now - row.trained > lane.plan.forecast.max_model_days * DAY_S * S_NS
    if row.is_doubtful or target_is_bad or is_old:
        return Quality.UNCERTAIN_DATA_SUB_NORMAL
    return Quality.GOOD


def trouble_text(job: Job, now: int, is_training: bool, complaint: str) -> str:
    """What somebody should look after; empty where nothing is wrong, or a forecast only begins."""
    words = [f"nothing is forecast: {complaint}"] if complaint else []
    if job.unkept:
        words.append(f"is not kept, a restart would lose it: {job.unkept}")
    for lane in job.lanes.values():
        is_beginning = lane.is_beginning or (is_training and not lane.has_model)
        if lane.why and not is_beginning and lane.is_late(now):
            words.append(f"is not issued: {lane.why}")
            break
    if job.failure:
        words.append(f"was not trained: {job.failure}")
    elif _is_old(job.long, now):
        words.append("its model is old: it was not trained for long")
    return "; ".join(words).encode()[:TEXT_BYTES].decode(errors="ignore")


def state_text(job: Job, now: int, complaint: str = "") -> str:
    """One line for an operator."""
    lane = job.long
    others = [f"steps of {track}: {one.why}" for track, one in job.lanes.items() if one.why]
    words = [lane.why] if lane.why else others
    words = words or ["the model is old" if _is_old(lane, now) else "forecasts are issued"]
    if complaint:
        words = [f"nothing is forecast: {complaint}"]
    if job.unkept:
        words.append(f"not kept: {job.unkept}")
    if job.is_drifting:
        words.append("it errs more than it used to")
    words += job.patterns.why
    if job.failure:
        words.insert(1, f"training: {job.failure}")
    return "; ".join(words).encode()[:TEXT_BYTES].decode(errors="ignore")


def _is_old(lane: Lane, now: int) -> bool:
    row = lane.row
    return row is not None and now - row.trained > lane.plan.forecast.max_model_days * DAY_S * S_NS


def _own(
    job: Job, now: int, is_training: bool, zone: str, status: dict[Track, int], complaint: str
) -> Iterator[tuple[str, Plain | None, int]]:
    long, good = job.long, Quality.GOOD
    row = long.row
    peak = None if row is None else _peak(row, now)
    at = None if row is None or peak is None else iso_of(int(row.starts[peak]), zone_named(zone))
    trained = long.description.get("trained_ns")
    yield "peak_at", at, status[Track.LONG]
    yield "age_s", None if row is None else max(0.0, (now - row.issue) / S_NS), good
    yield "state", state_text(job, now, complaint), good
    yield "trouble", trouble_text(job, now, is_training, complaint), good
    yield "needed", long.needed, good
    yield "model", long.description.get("model"), good
    yield "model_age_h", None if trained is None else (now - trained) / H_NS, good
    yield "training", is_training, good
    yield "drift", job.is_drifting if job.standing.outcomes else None, good
    yield "mape_pct", job.standing.mape, good
    yield "mase", job.standing.mase, good
    yield "coverage_pct", 100 * job.standing.coverage, good
    if (alert := job.forecast.alert) is None:
        return
    spike = job.lanes[Track.SPIKE]
    chance = None
    if spike.row is not None and now < spike.row.end + spike.plan.step_ns:
        chance = chance_above(alert.above, spike.row.quantiles, spike.row.values[0].tolist())
        chance = None if math.isnan(chance) else chance
    yield "spike_pct", None if chance is None else 100 * chance, status[Track.SPIKE]
    yield "spike_alert", None if chance is None else chance > alert.probability, status[Track.SPIKE]
    yield "spike_hit_pct", 100 * job.alerts.hit, good
    yield "spike_false_pct", 100 * job.alerts.false, good


def _level(row: Row | None, tag: QuantileTag, now: int) -> float | None:
    if row is None or tag.quantile not in row.quantiles or now >= row.end:
        return None
    column = row.values[:, row.quantiles.index(tag.quantile)]
    if tag.lead_s == PEAK_S:
        at = _peak(row, now)
        return None if at is None else float(column[at])
    step_ns = row.step_s * S_NS
    # The step that ends at the lead. The last one of the horizon is late by the age of the forecast.
    at = (now - row.issue + tag.lead_s * S_NS) // step_ns - 1
    is_last = at >= len(column) and at < len(column) + LATE_STEPS
    at = len(column) - 1 if is_last else at
    return float(column[at]) if 0 <= at < len(column) else None


def _peak(row: Row, now: int) -> int | None:
    """The step of the next 24 h with the highest median."""
    starts = row.starts
    inside = np.flatnonzero((starts + row.step_s * S_NS > now) & (starts < now + 24 * H_NS))
    if not len(inside) or 0.5 not in row.quantiles:
        return None
    median = row.values[inside, row.quantiles.index(0.5)]
    return int(inside[np.nanargmax(median)]) if np.isfinite(median).any() else None


def _told(tag: int, value: Plain | None, status: int) -> Told:
    if status & SEVERITY_BAD:
        return Told(tag, None, status)
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return Told(tag, None, Quality.BAD_NO_DATA)
    return Told(tag, value, status)
