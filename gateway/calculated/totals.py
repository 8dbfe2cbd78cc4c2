"""Sums over time, exactly. Pure: samples in, state on; the same samples give the same state, whoever was killed.

Sums are whole numbers: a double is a multiple of 2^-1074, a time one of 1 ns, so that nothing is rounded until a
total is told. Source times only go forward: a sample that is not newer than the last changes nothing, so that one
that is seen twice counts once. One that is late is not counted (docs/calculated.md).
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from gateway.calculated.periods import bounds
from gateway.config.totals import Method, Period, Sign, Total, TotalKind
from gateway.tags.quality import Quality, is_bad

SCALE_BITS = 1_074  # of the least double above zero
HOUR_NS = 3_600 * 10**9
CLOCK_SET_BACK_NS = 10**9  # receipt times of one writer do not go back further by themselves
LONGEST_SILENCE_NS = 400 * 24 * HOUR_NS  # in which every period is gone through: 9,600 hours

Area = Callable[[int], int]


@dataclass(frozen=True, slots=True)
class Fed:
    """One sample of a total's input; times are UTC ns."""

    value: float | int | bool
    status: int
    source: int
    receipt: int


@dataclass(frozen=True, slots=True)
class PeriodState:
    """``base`` is the sum, ``unmeasured`` the time without input, when it began at ``start``; it ends at ``end``.

    ``since_start``: the total was there when it began. ``last`` is the sum of the period before, None where there was
    none, and ``last_is_whole`` whether that was measured throughout.
    """

    start: int
    end: int
    base: int
    unmeasured: int
    since_start: bool
    last: int | None = None
    last_is_whole: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """Where a total stands. ``sum`` is in ticks, see `told`; ``at`` the source time up to which it is reckoned.

    ``value`` holds from ``at`` on, None where it is not usable; ``seen`` is the last time that it was said.
    ``counted`` is the last usable value, and ``counted_at`` since when a counter has stood there.
    """

    sum: int = 0
    unmeasured: int = 0
    at: int = 0
    receipt: int = 0
    seen: int = 0
    value: float | int | None = None
    counted: float | int | None = None
    counted_at: int = 0
    resets: int = 0
    rollovers: int = 0
    implausible: int = 0
    periods: Mapping[str, PeriodState] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """What a total is: values in its unit, and their qualities."""

    total: float
    status: int
    unmeasured_s: float
    periods: tuple[tuple[float, int, float, int], ...]  # this, its status, the one before, its status
    counted: tuple[int, int, int]


def fed(total: Total, zone: datetime.tzinfo, state: State, sample: Fed, *, is_replay: bool = False) -> State:
    """The state after one more sample; with ``is_replay`` it may be one that was counted already."""
    if not state.at:
        return _begun(total, zone, state, sample)
    is_back = sample.receipt < state.receipt - CLOCK_SET_BACK_NS and sample.source < state.at
    if is_back and not is_replay:
        # The clock was set back: what lies between is counted already, or never was.
        state = replace(state, at=sample.source, seen=0, value=None, receipt=sample.receipt)
    if sample.source < state.at:
        return state
    value = _usable(total, sample)
    area = _area_to(total, state, sample.source, value)
    now: dict[str, Any] = {
        "value": value,
        "receipt": sample.receipt,
        "seen": max(sample.receipt, sample.source),
        "at": sample.source,
    }
    state = _advanced(total, zone, state, sample.source, area, now)
    if value is None or total.kind not in (TotalKind.COUNTER, TotalKind.STARTS):
        return state
    if total.kind is TotalKind.COUNTER:
        return _count(total, state, value, sample.source)
    # Told from the last that was known: Bad in between is no start.
    return replace(state, sum=state.sum + (value == 1 and state.counted == 0), counted=value)


def told(total: Total, zone: datetime.tzinfo, state: State, now: int) -> Told:
    """What is to be told ``now``: as if the value that holds were said again, which changes no state."""
    if not state.at:
        waiting = int(Quality.BAD_WAITING_FOR_INITIAL_DATA)
        return Told(0.0, waiting, 0.0, tuple((0.0, waiting, 0.0, waiting) for _ in total.periods), (0, 0, 0))
    now = max(now, state.at)
    is_held = state.value is not None and now <= max(state.seen, state.at) + total.hold_ns
    state = _advanced(total, zone, state, now, lambda at: _stepped(total, state, at))
    periods = []
    for tags in total.periods:
        here = state.periods[tags.period]
        is_whole = here.since_start and here.unmeasured == state.unmeasured and is_held
        last = (0.0, int(Quality.BAD_NO_DATA))  # none has ended yet
        if here.last is not None:
            last = (
                _told(total, here.last),
                0 if here.last_is_whole else int(Quality.UNCERTAIN_DATA_SUB_NORMAL),
            )
        this = _told(total, state.sum - here.base)
        periods.append((this, 0 if is_whole else int(Quality.UNCERTAIN_DATA_SUB_NORMAL), *last))
    return Told(
        _told(total, state.sum),
        0 if is_held else int(Quality.UNCERTAIN_DATA_SUB_NORMAL),
        state.unmeasured / 10**9,
        tuple(periods),
        (state.resets, state.rollovers, state.implausible),
    )


def _begun(total: Total, zone: datetime.tzinfo, state: State, sample: Fed) -> State:
    value = _usable(total, sample)
    if value is None:
        return state
    periods = {}
    for tags in total.periods:
        start, end = bounds(tags.period, sample.source, zone)
        periods[tags.period.value] = PeriodState(start, end, 0, 0, False)
    state = replace(state, periods=periods, value=value, at=sample.source, receipt=sample.receipt)
    state = replace(state, counted=value, counted_at=sample.source)
    return replace(state, seen=max(sample.receipt, sample.source))


def _usable(total: Total, sample: Fed) -> float | int | None:
    """The value that counts; None where it is Bad or no finite number."""
    if is_bad(sample.status):
        return None
    value = sample.value
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if total.kind is TotalKind.INTEGRAL and total.sign is not Sign.BOTH:
        return max(value, 0) if total.sign is Sign.POSITIVE else max(-value, 0)
    return value


def _scaled(value: float | int) -> int:
    """As a multiple of 2^-1074."""
    numerator, denominator = value.as_integer_ratio()
    return numerator << (SCALE_BITS - (denominator.bit_length() - 1))


def _told(total: Total, ticks: int) -> float:
    """In the total's unit, rounded once.

    A tick is of an integral half of 2^-1074 of the rate's unit times 1 ns; of a counter 2^-1074 of its unit; of a run
    time 1 ns; of starts one.
    """
    match total.kind:
        case TotalKind.INTEGRAL:
            return ticks * total.numerator / ((total.denominator * 2 * HOUR_NS) << SCALE_BITS)
        case TotalKind.COUNTER:
            return ticks * total.numerator / (total.denominator << SCALE_BITS)
        case TotalKind.RUN_TIME:
            return ticks * total.numerator / (total.denominator * HOUR_NS)
        case TotalKind.STARTS:
            return float(ticks)


def _held_until(total: Total, state: State) -> int:
    return max(state.seen, state.at) + total.hold_ns


def _stepped(total: Total, state: State, at: int) -> int:
    """Ticks from ``state.at`` until ``at`` where the value holds, but no longer than it may."""
    if state.value is None:
        return 0
    held = min(at, _held_until(total, state)) - state.at
    if total.kind is TotalKind.RUN_TIME:
        return held if state.value else 0
    return 2 * _scaled(state.value) * held if total.kind is TotalKind.INTEGRAL else 0


def _area_to(total: Total, state: State, end: int, value: float | int | None) -> Area:
    """Ticks from ``state.at`` until a time before ``end``, where the next sample is ``value``."""
    span = end - state.at
    is_line = total.method is Method.TRAPEZOID and total.kind is TotalKind.INTEGRAL
    if not is_line or value is None or state.value is None or not span or end > _held_until(total, state):
        return lambda at: _stepped(total, state, at)
    first, rise = _scaled(state.value), _scaled(value) - _scaled(state.value)
    # Rounded down at a period's end in between; the whole of it is exact, so that both parts together are.
    return lambda at: 2 * first * (at - state.at) + rise * (at - state.at) ** 2 // span


def _advanced(
    total: Total,
    zone: datetime.tzinfo,
    state: State,
    to: int,
    area: Area,
    then: Mapping[str, Any] = MappingProxyType({}),
) -> State:
    """The state at ``to``, with every period that ended before, and with what is so ``then``."""
    begun, until = state, state.at if state.value is None else max(state.at, _held_until(total, state))

    def sum_at(at: int) -> tuple[int, int]:
        return begun.sum + area(at), begun.unmeasured + max(0, at - until)

    periods = state.periods
    for name, period in state.periods.items():
        if period.end > to:
            continue
        while period.end <= to:
            at = period.end
            if to - at > LONGEST_SILENCE_NS:
                at, _ = bounds(Period(name), to, zone)
            sum, unmeasured = sum_at(at)
            is_whole = period.since_start and unmeasured == period.unmeasured
            last = sum - period.base if at == period.end else 0
            start, end = bounds(Period(name), at, zone)
            period = PeriodState(start, end, sum, unmeasured, True, last, is_whole and at == start)
        periods = {**periods, name: period}
    sum, unmeasured = sum_at(to)
    return replace(state, sum=sum, unmeasured=unmeasured, periods=periods, **then)


def _count(total: Total, state: State, value: float | int, at: int) -> State:
    """One more reading of a counter.

    Less than before is a rollover where the counter goes round and what it then counted is plausible; else a reset,
    after which it began at 0. What is more than the counter can count in that time is not counted.
    """
    before, since = state.counted, state.counted_at
    if value == before:
        return state
    state = replace(state, counted=value, counted_at=at)
    if before is None:
        return state
    # Since it was another one: a counter of whole kWh stands still for minutes. A hold more, as reading takes time.
    hours = (at - since + total.hold_ns) / HOUR_NS
    most = total.max_per_h * hours * total.denominator / total.numerator
    if value < before:
        if total.modulus and 0 <= value + (total.modulus - before) <= most:
            ticks = _scaled(value) + _scaled(total.modulus) - _scaled(before)
            return replace(state, sum=state.sum + ticks, rollovers=state.rollovers + 1)
        state, before = replace(state, resets=state.resets + 1), 0
    if 0 <= value - before <= most:
        return replace(state, sum=state.sum + _scaled(value) - _scaled(before))
    return replace(state, implausible=state.implausible + 1)
