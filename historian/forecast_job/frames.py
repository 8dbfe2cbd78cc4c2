"""History as the tables that forecasters take: a row a step, by its start, a column an input; missing as NaN."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.config.forecasts import KnownInput
from gateway.tags.aggregate import Aggregate
from historian.forecast_job import library
from historian.forecast_job.plan import PEAK_COLUMN, S_NS, Plan, Track
from historian.libraries import load
from historian.query.history import History

Floats = NDArray[np.float64]
Table = Mapping[str, Floats]
_USUAL_LEAD_H = 24.0


def past_frame(history: History, plan: Plan, end: int, steps: int, zone: str) -> Any:
    """At most ``steps`` rows that end at ``end``, without what lies before the target's history or a long gap in it.

    What was told ahead is in the row of the time it was told for, as it was told about a day before.
    """
    start = end - steps * plan.step_ns
    columns = dict(averages(history, _inputs(plan), start, end, plan.step_ns))
    if plan.track is Track.SPIKE:
        columns[PEAK_COLUMN] = highest(history, plan.forecast.target, start, end, plan.step_ns)
    for known in plan.forecast.known:
        lead_h, tag, _ = _usual(known)
        shift = round(lead_h * 3600 * S_NS)
        told = averages(history, (tag,), start - shift, end - shift, plan.step_ns)
        columns[known.name] = told[tag]
    first = _first_row(columns[plan.target], plan.day)
    return _frame({name: values[first:] for name, values in columns.items()}, start, first, plan, zone)


def known_frame(history: History, plan: Plan, issue: int, zone: str) -> Any:
    """What was told by ``issue`` about each step ahead, by the tag with the least lead that reaches it; else NaN."""
    columns: dict[str, Floats] = {}
    for known in plan.forecast.known:
        column = np.full(plan.horizon, np.nan)
        begin = 0
        for lead_h, tag, _ in known.leads:
            shift = round(lead_h * 3600 * S_NS)
            # The last step begins at most the lead from now, less the step that the average takes.
            end = min(plan.horizon, shift // plan.step_ns)
            if end > begin:
                first, last = (issue - shift + at * plan.step_ns for at in (begin, end))
                column[begin:end] = averages(history, (tag,), first, last, plan.step_ns)[tag]
                begin = end
        columns[known.name] = column
    return _frame(columns, issue, 0, plan, zone)


def actual(history: History, plan: Plan, start: int, end: int) -> Floats:
    """What came, a value a step."""
    if plan.track is Track.SPIKE:
        return highest(history, plan.forecast.target, start, end, plan.step_ns)
    return averages(history, (plan.forecast.target,), start, end, plan.step_ns)[plan.forecast.target]


def highest(history: History, tag: str, start: int, end: int, step: int) -> Floats:
    """The greatest value of each step, the one that held when it began included; NaN where none is known."""
    try:
        found = history.aggregate(tag, Aggregate.MAXIMUM2, start, end, step)
    except KeyError:
        return np.full(-(-(end - start) // step), np.nan)
    values = np.asarray(found.values, np.float64)
    return np.where(np.asarray(found.statuses) & np.uint32(0x8000_0000), np.nan, values)


def rows_of_target(history: History, plan: Plan, end: int, steps: int) -> int:
    """How many rows `past_frame` would have. Needs no pandas."""
    tag = plan.forecast.target
    values = averages(history, (tag,), end - steps * plan.step_ns, end, plan.step_ns)[tag]
    return len(values) - _first_row(values, plan.day)


def _inputs(plan: Plan) -> tuple[str, ...]:
    return tuple(dict.fromkeys((plan.forecast.target, *plan.forecast.past)))


def averages(history: History, tags: Iterable[str], start: int, end: int, step: int) -> Table:
    """Of each tag its average of each step; NaN where none is known."""
    found: dict[str, Floats] = {}
    for (
        tag
    ) in tags:  # one by one: a tag that was never stored has no history, which is no fault of the others
        try:
            found[tag] = history.time_average(tag, start, end, step).values
        except KeyError:
            found[tag] = np.full(-(-(end - start) // step), np.nan)
    return found


def _usual(known: KnownInput) -> tuple[float, str, int]:
    return next((lead for lead in known.leads if lead[0] >= _USUAL_LEAD_H), known.leads[-1])


def _first_row(target: Floats, longest_gap: int) -> int:
    """After the last gap that nothing bridges, or at the first value; past the end where there is none."""
    present = np.flatnonzero(np.isfinite(target))
    if not len(present):
        return len(target)
    cuts = np.flatnonzero(np.diff(present) > longest_gap)
    return int(present[cuts[-1] + 1] if len(cuts) else present[0])


def _frame(columns: Table, start: int, first: int, plan: Plan, zone: str) -> Any:
    pandas = load("pandas", "a forecast")
    rows = len(next(iter(columns.values()))) if columns else plan.horizon
    surroundings = plan.forecast.surroundings
    times = start + (first + np.arange(rows, dtype=np.int64)) * plan.step_ns
    index = pandas.DatetimeIndex(times.view("M8[ns]"), name="time").tz_localize("UTC").tz_convert(zone)
    frame = pandas.DataFrame(dict(columns), index=index)
    if surroundings.columns and rows:
        return frame.join(library.reckoned(index, surroundings, plan.step_s))
    return frame
