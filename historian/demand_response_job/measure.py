"""What came of an event: its baseline and verified reductions out of history, or of a table of meter readings."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta, tzinfo
from typing import Any, Final

import numpy as np

from gateway.config.demand_response import BaselineRule, DemandResponseSettings
from historian.demand_response import (
    HIGH_FIVE_OF_TEN,
    REGRESSION,
    TEN_OF_TEN,
    Event,
    Level,
    OptOut,
    Participant,
    Rule,
    Verification,
    verify,
)
from historian.demand_response_job.store import S_NS, Call
from historian.libraries import load
from historian.query.history import History

RULES: Final[dict[BaselineRule, Rule]] = {
    BaselineRule.TEN_OF_TEN: TEN_OF_TEN,
    BaselineRule.HIGH_FIVE_OF_TEN: HIGH_FIVE_OF_TEN,
    BaselineRule.REGRESSION: REGRESSION,
}
LOOK_BACK_DAYS: Final = 46  # of the rules' 45, and the hours before the event
LEAST_GOOD_PCT: Final = 90.0  # of an interval: with less it was not measured
_DAY_NS: Final = 86_400 * S_NS


def event_of(call: Call, participants: Collection[str], everybody: Collection[str], zone: tzinfo) -> Event:
    """As the rules take it. Who is not in its programme has left it before it began."""
    start = _at(call.start, zone)
    left = [OptOut(each.participant, _at(each.at, zone)) for each in call.left]
    gone = {each.participant for each in left}
    left += [OptOut(name, start) for name in everybody if name not in participants and name not in gone]
    return Event(
        call.name,
        start,
        timedelta(seconds=(call.end - call.start) / S_NS),
        Level(call.level),
        _at(call.announced, zone),
        tuple(left),
    )


def measured(
    settings: DemandResponseSettings,
    call: Call,
    calls: Sequence[Call],
    load_kw: Any,
    zone: tzinfo,
    rule: Rule,
) -> Verification:
    """The reduction of each participant of its programme. ``load_kw`` has a column for each. Raises BadMeter."""
    programme = settings.programme(call.programme)
    own = () if programme is None else programme.participants
    everybody = [each.name for each in settings.participants]
    event = event_of(call, own, everybody, zone)
    others = []
    for other in calls:
        if other.name == call.name or other.is_void:
            continue
        of = settings.programme(other.programme)
        others.append(event_of(other, () if of is None else of.participants, everybody, zone))
    participants = [
        Participant(each.name, {Level(k + 1): each.committed_kw[k] for k in range(3)})
        for each in settings.participants
        if each.name in own
    ]
    days = holidays_of(settings.holidays, event.start.date())
    return verify(load_kw, event, participants, rule, holidays=days, others=others)


def from_history(
    settings: DemandResponseSettings, history: History, call: Call, now: int, zone: tzinfo
) -> Any:
    """Mean kW of each interval that is over, NaN where too little of it was measured."""
    pandas = load("pandas", "verified reductions")
    step = settings.interval_min * 60 * S_NS
    start = (call.start - LOOK_BACK_DAYS * _DAY_NS) // _DAY_NS * _DAY_NS
    end = min(-(-call.end // step) * step, now // step * step)
    columns: dict[str, Any] = {}
    times = np.arange(start, max(end, start + step), step, dtype=np.int64)
    for each in settings.participants:
        try:
            found = history.time_average(each.power, start, int(times[-1]) + step, step)
        except KeyError:
            columns[each.name] = np.full(len(times), np.nan)
            continue
        columns[each.name] = np.where(found.percent_good >= LEAST_GOOD_PCT, found.values, np.nan)
    index = pandas.DatetimeIndex(times.view("M8[ns]")).tz_localize("UTC").tz_convert(zone)
    return pandas.DataFrame(columns, index=index)


def from_table(times_ns: Any, names: Sequence[str], values: Any, zone: tzinfo) -> Any:
    """The frame of a table that was read: times are beginnings of intervals."""
    pandas = load("pandas", "verified reductions")
    index = (
        pandas.DatetimeIndex(np.asarray(times_ns, np.int64).view("M8[ns]"))
        .tz_localize("UTC")
        .tz_convert(zone)
    )
    return pandas.DataFrame(values, index=index, columns=list(names))


def holidays_of(country: str | None, day: date) -> set[date]:
    """Of the year of a day, and the one before. Raises ImportError."""
    if country is None:
        return set()
    library = load("holidays", "public holidays")
    nation, _, part = country.partition("-")
    found = library.country_holidays(nation, subdiv=part or None, years=[day.year - 1, day.year])
    return set(found)


def _at(time_ns: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(time_ns / 1e9, zone)
