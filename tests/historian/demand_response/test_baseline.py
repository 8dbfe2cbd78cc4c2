"""Baselines against numbers worked by hand."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from historian.demand_response import (
    HIGH_FIVE_OF_TEN,
    REGRESSION,
    TEN_OF_TEN,
    Adjustment,
    BadEvent,
    BadMeter,
    DayMatching,
    Event,
    Regression,
    Scaling,
    baseline,
    degrees,
)

ZONE = ZoneInfo("Europe/Vienna")
DAY = date(2026, 6, 25)  # a Thursday
HOUR = timedelta(hours=1)
EVENT = Event("heat", datetime(2026, 6, 25, 14, tzinfo=ZONE), 2 * HOUR)
BEFORE = [
    date(2026, 6, day) for day in (24, 23, 22, 19, 18, 17, 16, 15, 12, 11, 10, 9)
]  # business days, the latest first


def meter(first: date = date(2026, 5, 1), last: date = DAY) -> pd.Series:
    """80 kW at every hour, 0 at weekends."""
    index = pd.date_range(first, last + timedelta(days=1), freq="h", tz=ZONE, inclusive="left")
    return pd.Series(np.where(index.day_of_week < 5, 80.0, 0.0), index=index, name="bakery")


def put(load: pd.Series, day: date, hours: tuple[int, ...], kw: float) -> None:
    load[(load.index.date == day) & load.index.hour.isin(hours)] = kw


def ten_days() -> pd.Series:
    """At 14 and 15 h: 101 kW on the day before, 102 on the one before that, and so on to 112."""
    load = meter()
    for number, day in enumerate(BEFORE, start=1):
        put(load, day, (14, 15), 100.0 + number)
    return load


def test_ten_of_ten_is_the_mean_of_the_ten_latest_business_days_scaled_by_the_morning() -> None:
    load = ten_days()
    put(load, DAY, (10, 11, 12), 88.0)  # 1.1 of what is usual
    put(load, DAY, (13, 14, 15), 500.0)  # the hour before the event and the event itself count for nothing
    found = baseline(load, EVENT)
    assert found.days == tuple(BEFORE[:10])
    assert found.unadjusted_kw.tolist() == pytest.approx([105.5, 105.5])  # (101 + ... + 110) / 10
    assert found.applied == pytest.approx(1.1)
    assert not found.is_capped
    assert found.kw.tolist() == pytest.approx([116.05, 116.05])
    assert found.kw.index[0] == pd.Timestamp("2026-06-25 14:00", tz=ZONE)


@pytest.mark.parametrize(("morning", "applied"), [(160.0, 1.2), (20.0, 0.8), (96.0, 1.2), (64.0, 0.8)])
def test_the_morning_moves_it_by_no_more_than_the_cap(morning: float, applied: float) -> None:
    load = ten_days()
    put(load, DAY, (10, 11, 12), morning)
    found = baseline(load, EVENT)
    assert found.applied == pytest.approx(applied)
    assert found.asked == pytest.approx(morning / 80.0)
    assert found.kw.iloc[0] == pytest.approx(105.5 * applied)


READ = ten_days()
MORNING = (READ.index.date == DAY) & (READ.index.hour < 14)


@given(raised=st.floats(0.0, 1e6), cap=st.floats(0.0, 0.9))
def test_demand_raised_before_an_event_pays_no_more_than_the_cap(raised: float, cap: float) -> None:
    load = READ.copy()
    load[MORNING] = raised
    rule = DayMatching(adjustment=Adjustment(cap=cap))
    assert baseline(load, EVENT, rule).kw.max() <= 105.5 * (1 + cap) + 1e-9


def test_what_is_done_once_the_event_is_known_can_be_left_out() -> None:
    load = ten_days()
    put(load, DAY, (8, 9, 10, 11, 12, 13), 95.0)
    told = Event("heat", EVENT.start, 2 * HOUR, announced=datetime(2026, 6, 25, 8, 30, tzinfo=ZONE))
    rule = DayMatching(adjustment=Adjustment(before_notice=True))
    assert baseline(load, told, rule).applied == pytest.approx(
        1.0
    )  # 6 and 7 h, as 5:30 and 8:30 lie within one
    assert baseline(load, told).applied == pytest.approx(95.0 / 80.0)


def test_an_event_an_opted_in_day_and_a_gap_do_not_serve() -> None:
    load = ten_days()
    other = Event("earlier", datetime(2026, 6, 23, 20, tzinfo=ZONE), HOUR)
    load = load.drop(pd.Timestamp("2026-06-18 15:00", tz=ZONE))
    found = baseline(load, EVENT, others=[other], holidays={date(2026, 6, 15)})
    left = [day for day in BEFORE if day.day not in (23, 18, 15)]
    assert found.days[:9] == tuple(left)


def test_hours_of_an_earlier_event_of_the_day_do_not_move_the_baseline() -> None:
    load = ten_days()
    put(load, DAY, (10,), 88.0)
    put(load, DAY, (11, 12), 30.0)
    noon = Event("noon", datetime(2026, 6, 25, 11, tzinfo=ZONE), 2 * HOUR)
    assert baseline(load, EVENT, others=[noon]).applied == pytest.approx(1.1)
    assert baseline(load, EVENT).applied == pytest.approx(0.8)
    morning = Event("morning", datetime(2026, 6, 25, 9, tzinfo=ZONE), 4 * HOUR)
    assert "nothing was measured" in baseline(load, EVENT, others=[morning]).words


def test_high_five_of_ten_takes_the_days_with_the_most_demand() -> None:
    found = baseline(ten_days(), EVENT, HIGH_FIVE_OF_TEN)
    assert found.days == tuple(BEFORE[5:10])
    assert found.unadjusted_kw.iloc[0] == pytest.approx(108.0)  # (106 + ... + 110) / 5


def test_a_weekend_goes_by_the_last_four_of_its_kind() -> None:
    load = meter()
    saturday = date(2026, 6, 20)
    for number, day in enumerate((14, 13, 7, 6, 31)):
        put(load, date(2026, 5 if day == 31 else 6, day), tuple(range(24)), 10.0 * (number + 1))
    put(load, saturday, tuple(range(24)), 25.0)
    found = baseline(load, Event("fair", datetime(2026, 6, 20, 14, tzinfo=ZONE), HOUR))
    assert found.days == tuple(date(2026, 6, day) for day in (14, 13, 7, 6))
    assert found.unadjusted_kw.tolist() == pytest.approx([25.0])


def test_too_few_days_give_no_baseline() -> None:
    with pytest.raises(BadMeter, match=r"4 similar days without an event .* it takes 5"):
        baseline(meter(first=date(2026, 6, 19)), EVENT)
    assert baseline(meter(first=date(2026, 6, 18)), EVENT).kw.tolist() == [80.0, 80.0]


def test_without_a_morning_it_is_not_adjusted_and_says_so() -> None:
    load = ten_days()
    put(load, DAY, (10, 11, 12), np.nan)
    found = baseline(load, EVENT)
    assert found.kw.tolist() == pytest.approx([105.5, 105.5])
    assert "nothing was measured" in found.words
    sunny = ten_days()
    sunny[sunny.index.hour.isin((10, 11, 12))] = -5.0  # the roof feeds in: a ratio to that means nothing
    assert "no ratio" in baseline(sunny, EVENT).words


def test_a_difference_is_capped_by_a_share_of_the_baseline() -> None:
    load = ten_days()
    put(load, DAY, (10, 11, 12), 90.0)
    by_difference = DayMatching(adjustment=Adjustment(Scaling.DIFFERENCE))
    assert baseline(load, EVENT, by_difference).kw.tolist() == pytest.approx([115.5, 115.5])
    put(load, DAY, (10, 11, 12), 800.0)
    assert baseline(load, EVENT, by_difference).applied == pytest.approx(0.2 * 105.5)


def test_other_days_are_read_at_the_same_hour_on_the_wall_after_the_clocks_went_forward() -> None:
    """Sunday 29 March 2026: 14 h is 13 h UTC before it and 12 h after it."""
    load = meter(date(2026, 2, 1), date(2026, 4, 1))
    load[load.index.hour == 14] = 120.0
    found = baseline(load, Event("cold", datetime(2026, 4, 1, 14, tzinfo=ZONE), HOUR))
    assert found.unadjusted_kw.tolist() == pytest.approx([120.0])
    assert date(2026, 3, 27) in found.days
    night = Event("night", datetime(2026, 4, 5, 2, 0, tzinfo=ZONE), HOUR)
    sunday = meter(date(2026, 2, 1), date(2026, 4, 5))
    assert date(2026, 3, 29) not in baseline(sunday, night).days  # it had no such hour


def test_an_event_over_midnight_is_read_over_midnight() -> None:
    load = meter()
    load[load.index.hour == 23] = 90.0
    load[load.index.hour == 0] = 60.0
    found = baseline(load, Event("late", datetime(2026, 6, 24, 23, tzinfo=ZONE), 2 * HOUR))
    assert found.days[0] == date(2026, 6, 23)
    assert found.unadjusted_kw.iloc[1] == pytest.approx(60.0)


def test_a_regression_finds_what_the_heat_adds() -> None:
    """50 kW, 10 more from 12 h on, and 4 a degree above 18: worked by hand for a day hotter than all before."""
    load = meter()
    days = (load.index.normalize() - load.index[0].normalize()).days
    temperature = pd.Series(14.0 + days % 9, index=load.index, name="temperature")
    temperature[load.index.date == DAY] = 33.0
    cooling = np.maximum(temperature - 18.0, 0.0)
    load[:] = 50.0 + 10.0 * (load.index.hour >= 12) + 4.0 * cooling
    put(load, DAY, (14, 15), 40.0)
    found = baseline(load, EVENT, REGRESSION, weather=degrees(temperature))
    assert found.asked == pytest.approx(1.0)
    assert found.kw.tolist() == pytest.approx([120.0, 120.0])  # 50 + 10 + 4 × 15
    assert baseline(load, EVENT, TEN_OF_TEN).kw.max() < 90.0
    with pytest.raises(BadMeter, match=r"weather heating: it lacks values"):
        baseline(load, EVENT, REGRESSION, weather=degrees(temperature[:-24]))


def test_a_regression_without_weather_is_the_mean_of_all_similar_days() -> None:
    rule = Regression(look_back=timedelta(days=14), adjustment=Adjustment(Scaling.NONE))
    found = baseline(ten_days(), EVENT, rule)
    assert found.kw.tolist() == pytest.approx([105.5, 105.5])
    assert len(found.days) == 10


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda load: load.tz_localize(None), "site's zone"),
        (lambda load: load.iloc[::-1], "must go up"),
        (lambda load: load.iloc[:1], "two or more"),
        (
            lambda load: pd.concat(
                (load, pd.Series([1.0], index=[load.index[-1] + timedelta(hours=1, minutes=20)]))
            ),
            "is not on its grid",
        ),
        (lambda load: load.resample("6h").mean(), "no interval of 6:00:00"),
    ],
)
def test_a_meter_that_cannot_be_read_is_refused(spoil: object, words: str) -> None:
    with pytest.raises(BadMeter, match=words):
        baseline(spoil(ten_days()), EVENT)  # type: ignore[operator]  # one of the functions above


def test_rules_and_events_that_cannot_be_are_refused() -> None:
    with pytest.raises(BadEvent, match=r"cap is 1\.0"):
        Adjustment(cap=1.0)
    with pytest.raises(BadEvent, match=r"at least 5, 12 of 10 days"):
        DayMatching(days=12)
    with pytest.raises(BadEvent, match=r"begins 1:00:00 and ends 1:00:00"):
        Adjustment(begins=HOUR)
    with pytest.raises(BadEvent, match=r"duration is 0:00:00"):
        Event("none", EVENT.start, timedelta(0))
    with pytest.raises(BadEvent, match=r"time with its zone"):
        Event("none", datetime(2026, 6, 25), HOUR)
