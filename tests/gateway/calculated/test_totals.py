"""Totals, against exact arithmetic with fractions."""

from __future__ import annotations

import datetime
import itertools
from dataclasses import replace
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.calculated.periods import bounds
from gateway.calculated.totals import Fed, State, fed, told
from gateway.config.totals import Method, Period, PeriodTags, Sign, Total, TotalKind

S = 10**9
HOUR = 3600 * S
NOON = 1_795_262_400 * S  # 2026-11-21T12:00:00Z
UTC = datetime.UTC
BERLIN = ZoneInfo("Europe/Berlin")
BAD, UNCERTAIN = 0x8005_0000, 0x40A4_0000
WAITING = 0x8032_0000
NO_DATA = 0x809B_0000
ENERGY = Total(
    "p.e_kwh",
    0,
    1,
    "p.p_kw",
    TotalKind.INTEGRAL,
    "kWh",
    Sign.BOTH,
    Method.STEPPED,
    1,
    1,
    10 * S,
    0,
    0,
    9,
    (),
    None,
)
COUNTER = replace(ENERGY, kind=TotalKind.COUNTER, max_per_h=3600.0, modulus=1000.0, counted=(2, 3, 4))


def at(second: float, value: float | bool, status: int = 0, receipt: float | None = None) -> Fed:
    source = NOON + round(second * S)
    return Fed(value, status, source, source if receipt is None else NOON + round(receipt * S))


def run(total: Total, samples: list[Fed], zone: datetime.tzinfo = UTC) -> State:
    state = State()
    for sample in samples:
        state = fed(total, zone, state, sample)
    return state


def say(total: Total, samples: list[Fed], second: float, zone: datetime.tzinfo = UTC):
    return told(total, zone, run(total, samples, zone), NOON + round(second * S))


def test_energy_of_power_that_holds():
    now = say(ENERGY, [at(0, 36.0), at(5, 72.0)], 10)
    assert now.total == (36 * 5 + 72 * 5) / 3600
    assert (now.status, now.unmeasured_s) == (0, 0)


def test_energy_by_straight_lines():
    total = replace(ENERGY, method=Method.TRAPEZOID)
    assert say(total, [at(0, 0.0), at(10, 36.0), at(15, 0.0)], 15).total == (36 * 10 / 2 + 36 * 5 / 2) / 3600


def test_only_what_is_imported():
    samples = [at(0, 36.0), at(5, -72.0), at(7, 36.0)]
    assert say(replace(ENERGY, sign=Sign.POSITIVE), samples, 8).total == 36 * 6 / 3600
    assert say(replace(ENERGY, sign=Sign.NEGATIVE), samples, 8).total == 72 * 2 / 3600


def test_units_are_reckoned_exactly():
    assert say(replace(ENERGY, numerator=1, denominator=1000), [at(0, 3.6e6)], 10).total == 10.0


def test_while_the_input_is_bad_it_stands_still_and_the_time_is_told():
    samples = [at(0, 36.0), at(5, 36.0, BAD)]
    now = say(ENERGY, samples, 9)
    assert (now.total, now.status, now.unmeasured_s) == (36 * 5 / 3600, UNCERTAIN, 4)
    now = say(ENERGY, [*samples, at(9, 36.0)], 10)
    assert (now.total, now.status, now.unmeasured_s) == (36 * 6 / 3600, 0, 4)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_not_summed(value):
    now = say(ENERGY, [at(0, 36.0), at(5, value), at(6, 36.0)], 8)
    assert (now.total, now.unmeasured_s) == (36 * 7 / 3600, 1)


def test_a_sample_counts_no_longer_than_it_holds():
    now = say(ENERGY, [at(0, 36.0), at(100, 36.0)], 105)
    assert (now.total, now.unmeasured_s) == (36 * 15 / 3600, 90)
    assert say(ENERGY, [at(0, 36.0)], 15).status == UNCERTAIN


def test_one_that_is_said_again_with_its_old_time_goes_on_holding():
    again = [at(0, 36.0, receipt=second) for second in range(0, 60, 5)]
    now = say(ENERGY, again, 60)
    assert (now.total, now.unmeasured_s, now.status) == (36 * 60 / 3600, 0, 0)


def test_late_and_repeated_samples_change_nothing():
    samples = [at(0, 36.0), at(5, 72.0)]
    state = run(ENERGY, samples)
    assert fed(ENERGY, UTC, state, at(3, 9e9, receipt=6)) == state
    assert fed(ENERGY, UTC, state, samples[1]) == state


def test_a_clock_that_was_set_back_counts_nothing_twice():
    samples = [at(0, 36.0), at(5, 36.0), at(-3600, 36.0), at(-3595, 36.0)]
    assert say(ENERGY, samples, -3595).total == 36 * 10 / 3600


def test_before_the_first_sample_nothing_is_known():
    assert say(ENERGY, [at(0, 1.0, BAD)], 5).status == WAITING


def test_before_a_period_has_ended_there_is_none_to_tell_of():
    total = replace(ENERGY, periods=(PeriodTags(Period.DAY, 2, 3),))
    assert say(total, [at(0, 36.0)], 10).periods == ((36 * 10 / 3600, UNCERTAIN, 0.0, NO_DATA),)


def test_a_counter_is_the_sum_of_its_increments_also_over_time_without_it():
    now = say(COUNTER, [at(0, 100.0), at(5, 102.5), at(7, 0.0, BAD), at(60, 150.0)], 60)
    assert (now.total, now.counted) == (50.0, (0, 0, 0))


def test_a_counter_that_goes_round():
    now = say(COUNTER, [at(0, 995.0), at(5, 2.0)], 5)
    assert (now.total, now.counted) == (7.0, (0, 1, 0))


def test_a_counter_that_begins_anew():
    now = say(COUNTER, [at(0, 500.0), at(5, 3.0)], 5)
    assert (now.total, now.counted) == (3.0, (1, 0, 0))
    now = say(replace(COUNTER, modulus=0.0), [at(0, 995.0), at(5, 2.0)], 5)
    assert (now.total, now.counted) == (2.0, (1, 0, 0))


def test_what_a_counter_cannot_have_counted_is_not_counted():
    now = say(COUNTER, [at(0, 100.0), at(1, 500.0), at(2, 501.0)], 2)
    assert (now.total, now.counted) == (1.0, (0, 0, 1))
    now = say(COUNTER, [at(0, 700.0), at(1, 200.0), at(2, 201.0)], 2)
    assert (now.total, now.counted) == (1.0, (1, 0, 1)), "neither a rollover nor a plausible beginning"


def test_a_coarse_counter_is_judged_by_the_time_since_it_moved():
    coarse = replace(COUNTER, max_per_h=60.0, hold_ns=2 * S)
    samples = [at(second, 100.0) for second in range(60)] + [at(60, 101.0)]
    assert say(coarse, samples, 60).total == 1.0


def test_run_time_and_starts():
    samples = [
        at(0, False),
        at(2, True),
        at(5, True),
        at(8, False),
        at(9, True),
        at(10, True, BAD),
        at(11, True),
    ]
    hours = replace(ENERGY, kind=TotalKind.RUN_TIME)
    assert say(hours, samples, 12).total == (6 + 1 + 1) / 3600
    starts = replace(ENERGY, kind=TotalKind.STARTS)
    assert say(starts, samples, 12).total == 2.0
    assert say(starts, [*samples[:4], at(9, False, BAD), at(10, True)], 12).total == 2.0


def test_this_day_and_the_one_before_in_the_sites_time_zone():
    total = replace(ENERGY, periods=(PeriodTags(Period.DAY, 2, 3),), hold_ns=30 * HOUR)
    midnight = 11 * 3600  # 23:00 UTC is midnight in Berlin
    samples = [at(0, 1.0), at(midnight + 3600, 2.0)]
    now = say(total, samples, midnight + 2 * 3600, BERLIN)
    assert now.periods == ((1.0 + 2.0, 0, 11.0, UNCERTAIN),)
    assert now.total == 11 + 1 + 2
    tomorrow = say(total, samples, midnight + 25 * 3600, BERLIN)
    assert tomorrow.periods == ((2.0, 0, 1 + 23 * 2.0, 0),)


def test_a_period_without_all_of_its_input_is_uncertain():
    total = replace(ENERGY, periods=(PeriodTags(Period.HOUR, 2, 3),))
    samples = [at(second, 1.0) for second in range(3590, 7300, 5)]
    whole = say(total, samples, 7300).periods[0]
    assert whole[1] == whole[3] == 0
    gap = say(
        total,
        [sample for sample in samples if not at(4000, 0).source < sample.source < at(4100, 0).source],
        7300,
    )
    assert gap.periods[0][1] == 0
    assert gap.periods[0][3] == UNCERTAIN


@pytest.mark.parametrize(
    ("moment", "hours"),
    [("2026-03-29T12:00", 23), ("2026-10-25T12:00", 25), ("2026-11-21T12:00", 24)],
)
def test_a_day_has_as_many_hours_as_it_has(moment, hours):
    time = int(datetime.datetime.fromisoformat(moment).replace(tzinfo=BERLIN).timestamp()) * S
    start, end = bounds(Period.DAY, time, BERLIN)
    assert end - start == hours * HOUR
    edges = {start}
    while max(edges) < end:
        edges.add(bounds(Period.HOUR, max(edges), BERLIN)[1])
    assert len(edges) == hours + 1


def test_half_hour_zones_and_months():
    zone = ZoneInfo("Asia/Kolkata")
    start, end = bounds(Period.HOUR, NOON, zone)
    assert (start, end) == (NOON - HOUR // 2, NOON + HOUR // 2)
    start, end = bounds(Period.MONTH, NOON, UTC)
    assert end - start == 30 * 24 * HOUR


def test_after_years_of_silence_it_goes_on():
    total = replace(ENERGY, periods=(PeriodTags(Period.HOUR, 2, 3),))
    years = 3 * 365 * 86_400
    now = say(total, [at(0, 36.0), at(years, 36.0)], years + 5)
    assert now.total == 36 * 15 / 3600
    assert now.periods[0][2:] == (0.0, UNCERTAIN)


_values = st.floats(-1e300, 1e300) | st.sampled_from([0.1, 1e-310, -0.0, 1e17, float("nan")])
_samples = st.lists(
    st.tuples(st.integers(1, 20 * S), _values, st.sampled_from([0, 0, 0, UNCERTAIN, BAD])),
    min_size=1,
    max_size=25,
)


@given(_samples, st.sampled_from(list(Method)), st.integers(0, 25))
def test_it_is_what_fractions_say_wherever_it_was_cut(steps, method, cut):
    total = replace(ENERGY, method=method, periods=(PeriodTags(Period.HOUR, 2, 3),))
    times = list(itertools.accumulate((step for step, *_ in steps), initial=NOON + HOUR - 60 * S))[1:]
    samples = [Fed(value, status, time, time) for time, (_, value, status) in zip(times, steps, strict=True)]
    state = State()
    for place, sample in enumerate(samples):
        before = state
        state = fed(total, UTC, state, sample)
        if place == cut:  # killed, and fed once more with what it had
            state = fed(total, UTC, before, sample)
            state = fed(total, UTC, state, sample)
    expected = Fraction(0)
    for one, other in itertools.pairwise(samples):
        is_usable = [
            not sample.status & 0x8000_0000 and sample.value == sample.value for sample in (one, other)
        ]
        if not is_usable[0]:
            continue
        span = other.source - one.source
        is_line = method is Method.TRAPEZOID and is_usable[1] and span <= total.hold_ns
        end = Fraction(other.value) if is_line else Fraction(one.value)
        expected += (Fraction(one.value) + end) / 2 * min(span, total.hold_ns)
    if state.at:
        assert Fraction(state.sum, 2 << 1074) == expected
        here = state.periods["hour"]
        assert (here.last or 0) + state.sum - here.base == state.sum
