"""Daily patterns: known ones are found, days are those of the clock on the wall, and a strange day stands out."""

from __future__ import annotations

from datetime import date

import numpy as np
import orjson
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from gateway.simulator.plant.feeder import Feeder
from historian.forecast.civil_days import civil_days
from historian.forecast.daily_patterns import DailyPatterns, TooFewDays
from historian.forecast.patterns import Patterns

BERLIN = "Europe/Berlin"
HOURS = np.arange(24)
MORNING = 1.0 + 2.0 * (HOURS == 7)
EVENING = 1.0 + 2.0 * (HOURS == 19)
AWAY = np.full(24, 0.2)
AWAY_FROM, AWAY_TO = "2026-06-08", "2026-06-14"  # a week
SIZES = {"small": 0.7, "large": 40.0}


def frame_of(first: str, days: int, value_of, freq: str = "1h", noise: float = 0.02):
    """A column a member: ``value_of(time)`` in shares of its size, with noise of 2 %."""
    index = pd.date_range(first, periods=days, freq="1D", tz=BERLIN)
    index = pd.date_range(index[0], index[-1] + pd.Timedelta("1D"), freq=freq, inclusive="left", tz=BERLIN)
    draw = np.random.default_rng(0)
    shape = np.array([value_of(time) for time in index])
    columns = {name: size * shape * draw.normal(1, noise, len(index)) for name, size in SIZES.items()}
    return pd.DataFrame(columns, index)


def home(time) -> float:
    if AWAY_FROM <= f"{time:%Y-%m-%d}" <= AWAY_TO:
        return AWAY[time.hour]
    return (EVENING if time.day_of_week < 5 else MORNING)[time.hour]


@pytest.fixture(scope="module")
def frame():
    return frame_of("2026-05-04", 56, home)


@pytest.fixture(scope="module")
def fitted(frame):
    return DailyPatterns().fit(frame)


def test_every_day_has_the_label_of_its_kind_whatever_its_member_s_size(fitted):
    assert fitted.patterns_.sizes.tolist() == [70, 28, 14], "8 weeks of two members, one of them away"
    for (day, _), label in fitted.labels_.items():
        is_away = AWAY_FROM <= str(day) <= AWAY_TO
        assert label == (3 if is_away else 1 if day.weekday() < 5 else 2), day
    assert max(fitted.silhouettes_, key=fitted.silhouettes_.get) == 3


def test_centres_are_the_shapes_in_shares_of_the_usual_level(fitted, frame):
    member = fitted.patterns_.members[1]
    assert member.name == "large"
    assert member.scale == pytest.approx(frame["large"].resample("1D").mean().median())
    for number, shape in ((1, EVENING), (2, MORNING), (3, AWAY)):
        assert fitted.centres_[number].to_numpy() * member.scale == pytest.approx(
            SIZES["large"] * shape, rel=0.05
        )
    assert fitted.centres_.index[19] == "19:00"
    assert [fitted.patterns_.describe(at) for at in range(3)] == [
        "Mon-Fri, highest at 19:00",
        "Sat, Sun, highest at 07:00",
        f"any day, highest at {fitted.centres_[3].idxmax()}",
    ]


def test_the_same_days_give_the_same_bits(frame, fitted):
    again = clone(fitted).fit(frame)
    assert orjson.dumps(again.patterns_.plain()) == orjson.dumps(fitted.patterns_.plain())


def test_days_that_are_alike_are_one_pattern():
    noisy = frame_of("2026-05-04", 30, lambda time: EVENING[time.hour], noise=0.3)
    same = DailyPatterns(most_patterns=3).fit(noisy)
    assert same.centres_.columns.tolist() == [1]
    assert np.isnan(same.patterns_.silhouette)
    assert same.silhouettes_[2] < 0.25, "it was looked for more"


def test_what_differs_by_less_than_anybody_acts_on_is_one_pattern():
    weekly = frame_of("2026-05-04", 28, lambda time: 1 + 0.03 * (time.day_of_week > 4), noise=0.0)
    assert DailyPatterns(most_patterns=3).fit(weekly).centres_.columns.tolist() == [1]
    more = frame_of("2026-05-04", 28, lambda time: 1 + 0.06 * (time.day_of_week > 4), noise=0.0)
    assert DailyPatterns(most_patterns=3).fit(more).centres_.columns.tolist() == [1, 2]


def test_two_odd_days_are_no_pattern_and_change_no_other(frame, fitted):
    odd = frame.copy()
    odd.loc["2026-05-20":"2026-05-21", "small"] = 30.0
    found = DailyPatterns(most_patterns=4).fit(odd)
    differ = found.labels_.index[found.labels_ != fitted.labels_]
    assert set(differ) <= {(date(2026, 5, day), "small") for day in (20, 21)}
    assert found.predict(odd).loc[(date(2026, 5, 20), "small"), "unusual_pct"] > 98


@pytest.mark.parametrize("power", [-10, 3])
def test_what_a_member_s_unit_is_changes_no_label(power):
    few = frame_of("2026-05-04", 14, home, freq="2h")
    usual = DailyPatterns(12, most_patterns=3).fit(few).labels_
    other = few.assign(small=few["small"] * 2.0**power)
    assert DailyPatterns(12, most_patterns=3).fit(other).labels_.equals(usual)


def test_a_day_with_a_hole_is_left_out_and_counted_but_not_what_lies_before_history(frame):
    holed = frame.copy()
    holed.loc[:"2026-05-10", "small"] = np.nan
    holed.loc["2026-05-20 05:00", "small"] = np.nan
    found = DailyPatterns(most_patterns=2).fit(holed).patterns_.members
    assert [(member.whole, member.left_out) for member in found] == [(48, 1), (56, 0)]


def test_half_of_a_slot_s_steps_do_and_fewer_are_a_hole():
    times = pd.date_range("2026-05-04", periods=96, freq="15min").to_numpy("M8[ns]").view(np.int64)
    values = np.repeat(HOURS, 4).astype(float)[:, None]
    values[[4, 5, 8, 9, 10], 0] = np.nan
    (day,) = civil_days(times, values, 900, "UTC", 24).values
    assert day[0, :4].tolist() == pytest.approx([0, 1, np.nan, 3], nan_ok=True)


@pytest.mark.parametrize(
    ("day", "zone", "hour", "expected"),
    [
        ("2026-03-29", BERLIN, 2, (1 + 3) / 2),  # 02:00 to 03:00 was not shown
        ("2026-10-25", BERLIN, 2, 2.0),  # shown twice
        ("2026-10-04", "Australia/Lord_Howe", 2, 2.5),  # half an hour is skipped: the other half is the hour
        ("2026-03-08", "America/Havana", 0, 1.0),  # the day begins at 01:00
    ],
)
def test_days_of_23_and_25_hours_have_24_slots(day, zone, hour, expected):
    noon = pd.Timestamp(f"{day} 12:00", tz=zone)
    index = pd.date_range(noon - pd.Timedelta("15h"), noon + pd.Timedelta("15h"), freq="15min")
    index = index[index.strftime("%Y-%m-%d") == day]
    half_hours = 0.5 if "Lord" in zone else 0.0
    clock = [time.hour + half_hours * (time.minute >= 30) for time in index]
    times = index.tz_convert("UTC").tz_localize(None).to_numpy("M8[ns]").view(np.int64)
    found = civil_days(times, np.array(clock, float)[:, None], 900, zone, 24)
    assert found.days.tolist() == [date.fromisoformat(day).toordinal()]
    assert found.values[0, 0, hour] == expected
    assert found.is_whole.all()


def test_a_strange_day_stands_out_and_its_member_is_named(fitted, frame):
    day = frame.loc["2026-06-24":"2026-06-24"].copy()
    usual = fitted.predict(day)
    assert usual["pattern"].tolist() == [1, 1]
    assert (usual["unusual_pct"] < 99).all()
    day["large"] = day["large"].to_numpy()[::-1]
    strange = fitted.predict(day)
    assert strange.loc[(date(2026, 6, 24), "large"), "unusual_pct"] == 100
    assert strange.loc[(date(2026, 6, 24), "small")].equals(usual.loc[(date(2026, 6, 24), "small")])


def test_half_a_day_is_judged_by_the_same_half_of_others(fitted, frame):
    morning = fitted.predict(frame.loc["2026-06-27 00:00":"2026-06-27 08:59"])
    assert morning["pattern"].tolist() == [2, 2]
    assert (morning["unusual_pct"] < 99).all()
    assert morning["known"].tolist() == [9 / 24] * 2
    night = fitted.predict(frame.loc["2026-06-27 00:00":"2026-06-27 01:59"])
    assert night["pattern"].isna().all()
    assert night["unusual_pct"].isna().all()


def test_what_a_file_holds_judges_as_what_was_learned(fitted, frame):
    read = Patterns.of_plain(orjson.loads(orjson.dumps(fitted.patterns_.plain())))
    day = fitted._days(frame.loc["2026-06-24":"2026-06-24"]).values[0]
    one, other = fitted.patterns_.judge(day), read.judge(day)
    assert one.pattern.tolist() == other.pattern.tolist()
    assert one.distance.tolist() == other.distance.tolist()
    assert one.unusual == pytest.approx(other.unusual, abs=2)


def test_members_that_cannot_be_learned_from_are_named(frame):
    more = frame.assign(idle=0.0, new=frame["small"].where(frame.index >= "2026-06-20"))
    assert DailyPatterns(most_patterns=2).fit(more).patterns_.skipped == (
        "idle: it is always 0",
        "new: 5 more whole days are needed",
    )
    with pytest.raises(ValueError, match="idle: it is always 0"):
        DailyPatterns().fit(more[["idle"]])
    with pytest.raises(TooFewDays, match="not primed: 4 more whole days are needed"):
        DailyPatterns().fit(frame.iloc[: 10 * 24])


def test_wrong_questions_are_refused(frame, fitted):
    with pytest.raises(NotFittedError):
        DailyPatterns().predict(frame)
    with pytest.raises(ValueError, match="time zone"):
        DailyPatterns().fit(frame.tz_localize(None))
    with pytest.raises(ValueError, match="steps of 3600 s are longer than slots of 900 s"):
        DailyPatterns(96).fit(frame)
    with pytest.raises(ValueError, match="7 slots do not make a day"):
        DailyPatterns(7).fit(frame)
    with pytest.raises(KeyError):
        fitted.predict(frame[["small"]])


def test_the_demo_s_feeders_have_the_patterns_of_what_they_feed():
    """Four weeks of the simulator: servers, building services, a workshop, and a laundry like the second."""
    times = (1_774_224_000 + 900 * np.arange(28 * 96)) * 10**9
    feeders = [Feeder(1, number, 0.0) for number in range(1, 5)]
    values = np.empty((len(times), 4))
    for row, time in enumerate(times.tolist()):
        for column, feeder in enumerate(feeders):
            feeder.weather(time / 3.6e12)
            values[row, column] = feeder.base_kw
    names = [f"feeder{number}.power_kw" for number in range(1, 5)]
    found = DailyPatterns(most_patterns=4).fit_days(civil_days(times, values, 900, "UTC", 24), names, "UTC")
    by_feeder = {name: set(labels) for name, labels in found.labels_.groupby("member")}
    assert by_feeder == dict(zip(names, ({3}, {1}, {2}, {1}), strict=True))
