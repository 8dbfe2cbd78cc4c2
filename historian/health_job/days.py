"""One day of an asset out of history, in coarse steps: what can be told by it, and of the rest why not.

Means of a minute stand in the middle of it, beside what other tags were at that moment; so integrals by trapezoids
lose nothing. Only for the internal resistance history is read by the second, in the few windows of the day in which
the current moved most.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from gateway.config.health import BatteryHealth, GensetHealth, HealthAsset, PvHealth, WindHealth
from gateway.tags.aggregate import Aggregate
from gateway.tags.quality import SEVERITY_BAD
from historian.health import (
    PowerCurve,
    capacity,
    counted_capacity,
    imbalance,
    performance_ratio,
    power_curve,
    resistance,
)
from historian.health.genset import REFUELLED
from historian.health.series import GAP_S, Floats, TooLittle, integral_of
from historian.health_job.store import Day, Estimate
from historian.libraries import load
from historian.query.history import History

S_NS: Final = 10**9
DAY_NS: Final = 86_400 * S_NS
STEP_NS: Final = 60 * S_NS
WIND_STEP_NS: Final = 600 * S_NS  # means of ten minutes, as IEC 61400-12-1 asks for
WINDOW_NS: Final = 120 * S_NS  # read by the second around a step of the current
MOST_WINDOWS: Final = 8  # a day: a thousand rows
CHART_POINTS: Final = 4 * 720  # of the day's current: columns of two minutes

Found = dict[str, Estimate]


def first_day_of(asset: HealthAsset, history: History) -> int | None:
    """The day (UTC) of the oldest sample of its power; None where there is none."""
    try:
        series = history.raw(asset.power, -(2**62), 2**62, limit=1)
    except KeyError:
        return None
    return None if not len(series) else int(series.source_times[0]) // DAY_NS * DAY_NS


def look_at(
    asset: HealthAsset, history: History, start: int, until: int, curve: Mapping[str, Any] | None = None
) -> Day:
    """What ``[start, until)`` of a day tells. Raises HistoryError, OSError, ImportError."""
    estimates: Found = {}
    whys: dict[str, str] = {}
    for name, ask in _questions(asset, history, start, until, curve):
        try:
            estimates.update(ask())
        except TooLittle as error:
            whys[name] = str(error)
    kept = {name: each for name, each in estimates.items() if np.isfinite(each.value)}
    return Day(start, until, kept, whys)


def learned_curve(asset: WindHealth, history: History, start: int, end: int) -> dict[str, Any]:
    """Its power curve by the method of bins. Raises TooLittle, and what history raises."""
    found = power_curve(_wind_frame(asset, history, start, end), asset.wind, asset.power)
    return {
        "from": start,
        "to": end,
        "wind_m_s": found.wind_m_s.tolist(),
        "power_kw": found.power_kw.tolist(),
        "spread_kw": found.spread_kw.tolist(),
        "rows": found.rows.tolist(),
    }


def _questions(
    asset: HealthAsset, history: History, start: int, until: int, curve: Mapping[str, Any] | None
) -> list[tuple[str, Callable[[], Found]]]:
    match asset:
        case BatteryHealth():
            asked: list[tuple[str, Callable[[], Found]]] = [
                ("capacity_kwh", lambda: _capacity(asset, history, start, until)),
                ("throughput_kwh", lambda: _throughput(asset, history, start, until)),
            ]
            if asset.current is not None and asset.voltage is not None:
                asked.append(("resistance_mohm", lambda: _resistance(asset, history, start, until)))
            if asset.cell_lowest is not None:
                asked.append(("imbalance_mv", lambda: _imbalance(asset, history, start, until)))
            return asked
        case PvHealth():
            return [("performance_ratio", lambda: _performance(asset, history, start, until))]
        case WindHealth():
            if curve is None:
                return []
            known = PowerCurve(
                *(np.array(curve[name]) for name in ("wind_m_s", "power_kw", "spread_kw", "rows"))
            )
            return [("energy_ratio", lambda: _wind(asset, history, start, until, known))]
        case GensetHealth():
            asked = [("run_hours", lambda: _runs(asset, history, start, until))]
            if asset.fuel is not None:
                asked.append(("specific_fuel_l_kwh", lambda: _fuel(asset, history, start, until)))
            return asked


def _capacity(asset: BatteryHealth, history: History, start: int, until: int) -> Found:
    share = asset.efficiency_pct / 100.0
    options: dict[str, float] = {"least_swing_pct": asset.least_swing_pct, "efficiency": share}
    if asset.charged is not None and asset.discharged is not None:
        frame = _frame(
            history, (), (asset.state_of_charge, asset.charged, asset.discharged), start, until, STEP_NS
        )
        found = counted_capacity(
            frame, asset.charged, asset.discharged, asset.state_of_charge, asset.capacity_kwh, **options
        )
    else:
        frame = _frame(history, (asset.power,), (asset.state_of_charge,), start, until, STEP_NS)
        found = capacity(frame, asset.power, asset.state_of_charge, asset.capacity_kwh, **options)
    return {"capacity_kwh": Estimate(found.value, found.swings)}


def _throughput(asset: BatteryHealth, history: History, start: int, until: int) -> Found:
    if asset.charged is not None and asset.discharged is not None:
        counters = (asset.charged, asset.discharged)
        frame = _frame(history, (), counters, start, until, STEP_NS)
        steps = [np.diff(_known(frame[name])) for name in counters]
        energy = sum(float(each[each > 0].sum()) for each in steps)
        if not any(len(each) for each in steps):
            raise TooLittle("its counters of energy are not known")
        return {"throughput_kwh": Estimate(energy)}
    frame = _frame(history, (asset.power,), (), start, until, STEP_NS)
    found = integral_of(_seconds(frame), np.abs(frame[asset.power].to_numpy()), GAP_S)
    if found.hours == 0:
        raise TooLittle(f"{asset.power!r} is not known")
    return {"throughput_kwh": Estimate(found.value)}


def _resistance(asset: BatteryHealth, history: History, start: int, until: int) -> Found:
    current, voltage = asset.current, asset.voltage
    assert current is not None
    assert voltage is not None
    pandas = load("pandas", "the resistance of a battery")
    pieces = []
    for begin in _moves(history, current, asset.step_a, start, until):
        times = np.arange(max(begin - S_NS, start), min(begin + WINDOW_NS, until), S_NS, dtype=np.int64)
        pieces.append(_at(history, (current, voltage), times))
        # Between windows nothing is known, and no step is to be seen from one to the next.
        pieces[-1].iloc[-1] = np.nan
    if not pieces:
        raise TooLittle(f"no step of {current!r} of {asset.step_a:g} A")
    frame = pandas.concat(pieces)
    frame = frame[~frame.index.duplicated()]
    found = resistance(frame, current, voltage, least_step_a=asset.step_a)
    if found.ohm <= 0:
        raise TooLittle(f"{voltage!r} does not fall as {current!r} rises")
    return {"resistance_mohm": Estimate(1000.0 * found.ohm, found.steps)}


def _moves(history: History, tag: str, least: float, start: int, until: int) -> list[int]:
    """Where the windows begin in which it moved most, in order of time."""
    try:
        line = history.chart((tag,), start, until, CHART_POINTS)[tag]
    except KeyError:
        return []
    inside = (line.times >= start) & np.isfinite(line.values)
    windows = (line.times[inside] - start) // WINDOW_NS
    values = line.values[inside]
    spans = {int(window): float(np.ptp(values[windows == window])) for window in np.unique(windows).tolist()}
    best = sorted(spans, key=lambda window: -spans[window])[:MOST_WINDOWS]
    return [start + window * WINDOW_NS for window in sorted(best) if spans[window] >= least]


def _imbalance(asset: BatteryHealth, history: History, start: int, until: int) -> Found:
    lowest, highest, current = asset.cell_lowest, asset.cell_highest, asset.current
    assert lowest is not None
    assert highest is not None
    assert current is not None
    frame = _frame(history, (lowest, highest, current), (), start, until, STEP_NS)
    found = imbalance(frame, lowest, highest, current, rest_a=asset.rest_a)
    return {"imbalance_mv": Estimate(found.rest_mv)}


def _performance(asset: PvHealth, history: History, start: int, until: int) -> Found:
    tags = [
        name for name in (asset.power, asset.irradiance, asset.temperature, asset.limit) if name is not None
    ]
    frame = _frame(history, tags, (), start, until, STEP_NS)
    found = performance_ratio(
        frame,
        asset.power,
        asset.irradiance,
        asset.rated_kw,
        temperature=asset.temperature,
        per_k=asset.per_k_pct / 100.0,
        limit=asset.limit,
    )
    expected = asset.rated_kw * found.reference_h
    days = {"energy_kwh": Estimate(found.energy_kwh), "expected_kwh": Estimate(expected)}
    if asset.temperature is not None:
        # A plant that gives nothing has no ratio to divide by; what it should have given is then the plain one.
        known = found.corrected if found.corrected > 0 else 0.0
        days["corrected_kwh"] = Estimate(found.energy_kwh / known if known else expected)
    return days


def _wind_frame(asset: WindHealth, history: History, start: int, end: int) -> Any:
    tags = [name for name in (asset.wind, asset.power, asset.limit) if name is not None]
    frame = _frame(history, tags, (), start, end, WIND_STEP_NS)
    if asset.limit is not None:
        frame.loc[~(frame[asset.limit] > 1.02 * frame[asset.power]), asset.power] = np.nan
    return frame


def _wind(asset: WindHealth, history: History, start: int, until: int, curve: PowerCurve) -> Found:
    frame = _wind_frame(asset, history, start, until)
    expected = curve.expected_kw(frame[asset.wind].to_numpy())
    actual = frame[asset.power].to_numpy()
    known = np.isfinite(expected) & np.isfinite(actual)
    if not known.any():
        raise TooLittle("no ten minutes lie within its power curve")
    hours = WIND_STEP_NS / 3_600 / S_NS
    return {
        "energy_kwh": Estimate(float(actual[known].sum()) * hours),
        "expected_kwh": Estimate(float(expected[known].sum()) * hours),
        "wind_h": Estimate(int(known.sum()) * hours),
    }


def _runs(asset: GensetHealth, history: History, start: int, until: int) -> Found:
    try:
        ran = history.aggregate(asset.running, Aggregate.DURATION_IN_STATE_NON_ZERO, start, until)
        told = history.raw(asset.running, start, until)
        before = history.raw(asset.running, -(2**62), start, limit=1, newest_first=True)
    except KeyError:
        raise TooLittle(f"{asset.running!r} has no history") from None
    if not ran.has_value[0]:
        raise TooLittle(f"{asset.running!r} is not known")
    states = np.concatenate((before.values, told.values)).astype(bool)
    statuses = np.concatenate((before.statuses, told.statuses))
    states = states[(statuses & np.uint32(SEVERITY_BAD)) == 0]
    return {
        "run_h": Estimate(float(ran.values[0]) / 3.6e6),  # of ms
        "starts": Estimate(int((states[1:] & ~states[:-1]).sum())),
    }


def _fuel(asset: GensetHealth, history: History, start: int, until: int) -> Found:
    assert asset.fuel is not None
    counted = () if asset.energy is None else (asset.energy,)
    frame = _frame(history, (asset.power,), (asset.fuel, *counted), start, until, STEP_NS)
    litres = frame[asset.fuel].to_numpy() * (1.0 if asset.tank_l is None else asset.tank_l / 100.0)
    used = -np.diff(litres)
    if asset.energy is not None:
        energy = np.diff(frame[asset.energy].to_numpy())
    else:
        power = frame[asset.power].to_numpy()
        energy = (power[1:] + power[:-1]) / 2.0 * np.diff(_seconds(frame)) / 3_600.0
    counts = np.isfinite(used) & np.isfinite(energy) & (used > -REFUELLED) & (energy >= 0)
    if not counts.any():
        raise TooLittle("fuel and energy are not known together")
    return {
        "fuel_l": Estimate(float(used[counts].sum())),
        "fuel_kwh": Estimate(float(energy[counts].sum())),
    }


def _frame(
    history: History, means: Sequence[str], moments: Sequence[str], start: int, until: int, step: int
) -> Any:
    """A row each ``step``, at the middle of it: means of some tags, and what others were then."""
    pandas = load("pandas", "the health of assets")
    times = np.arange(start + step // 2, until, step, dtype=np.int64)
    columns: dict[str, Any] = {}
    for tag in means:
        try:
            columns[tag] = history.time_average(tag, start, until, step).values[: len(times)]
        except KeyError:
            columns[tag] = np.full(len(times), np.nan)
    index = pandas.DatetimeIndex(times.view("M8[ns]")).tz_localize("UTC")
    frame = pandas.DataFrame(columns, index=index)
    return frame.join(_at(history, moments, times)) if moments else frame


def _at(history: History, tags: Sequence[str], times: Any) -> Any:
    pandas = load("pandas", "the health of assets")
    columns: dict[str, Any] = {}
    for tag in tags:
        try:
            found = history.at_time(tag, times)
        except KeyError:
            columns[tag] = np.full(len(times), np.nan)
            continue
        columns[tag] = np.where(found.has_value, found.values.astype(np.float64), np.nan)
    return pandas.DataFrame(columns, index=pandas.DatetimeIndex(times.view("M8[ns]")).tz_localize("UTC"))


def _known(column: Any) -> Floats:
    values: Floats = column.to_numpy(np.float64)
    return values[np.isfinite(values)]


def _seconds(frame: Any) -> Floats:
    return np.asarray((frame.index - frame.index[0]).total_seconds() if len(frame) else (), np.float64)
