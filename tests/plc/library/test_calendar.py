"""Civil time against Python's own zone database, and schedules."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plc.bench import Bench

Blocks = Callable[[str], Any]
SECOND = 10**9
HOUR = 3600 * SECOND
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEVER = {"month": 0, "week": 0, "weekday": 0, "at": 0, "clock": "UTC"}
EUROPE = {
    "shift": HOUR,
    "begins": {"month": 3, "week": 5, "weekday": 0, "at": HOUR, "clock": "UTC"},
    "ends": {"month": 10, "week": 5, "weekday": 0, "at": HOUR, "clock": "UTC"},
}
UNITED_STATES = {
    "shift": HOUR,
    "begins": {"month": 3, "week": 2, "weekday": 0, "at": 2 * HOUR, "clock": "WALL"},
    "ends": {"month": 11, "week": 1, "weekday": 0, "at": 2 * HOUR, "clock": "WALL"},
}
# Sydney: summer time from the first Sunday of October to the first of April, at 2 o'clock standard time.
AUSTRALIA = {
    "shift": HOUR,
    "begins": {"month": 10, "week": 1, "weekday": 0, "at": 2 * HOUR, "clock": "STANDARD"},
    "ends": {"month": 4, "week": 1, "weekday": 0, "at": 2 * HOUR, "clock": "STANDARD"},
}
# Lord Howe Island moves its clocks by half an hour, at 2 o'clock of what they show.
LORD_HOWE = {
    "shift": HOUR // 2,
    "begins": {"month": 10, "week": 1, "weekday": 0, "at": 2 * HOUR, "clock": "WALL"},
    "ends": {"month": 4, "week": 1, "weekday": 0, "at": 2 * HOUR, "clock": "WALL"},
}
NO_SUMMER_TIME = {"shift": HOUR, "begins": NEVER, "ends": NEVER}
ZONES = {
    "Europe/Berlin": {"offset": HOUR, **EUROPE},
    "Europe/Lisbon": {"offset": 0, **EUROPE},
    "Europe/Helsinki": {"offset": 2 * HOUR, **EUROPE},
    "America/New_York": {"offset": -5 * HOUR, **UNITED_STATES},
    "America/Los_Angeles": {"offset": -8 * HOUR, **UNITED_STATES},
    "Australia/Sydney": {"offset": 10 * HOUR, **AUSTRALIA},
    "Australia/Lord_Howe": {"offset": 10 * HOUR + HOUR // 2, **LORD_HOWE},
    "Asia/Kolkata": {"offset": 5 * HOUR + HOUR // 2, **NO_SUMMER_TIME},
}


def nanoseconds(moment: datetime) -> int:
    return ((moment - EPOCH) // timedelta(microseconds=1)) * 1000


def shown(block: Any) -> tuple[datetime, bool]:
    return EPOCH + timedelta(microseconds=block["local"] // 1000), block["is_summer_time"]


def expected(zone: str, moment: datetime) -> tuple[datetime, bool]:
    local = moment.astimezone(ZoneInfo(zone))
    return local.replace(tzinfo=UTC), bool(local.dst())


@pytest.mark.parametrize("zone", ZONES)
def test_every_change_of_the_clocks_is_the_zone_databases(block: Blocks, zone: str) -> None:
    clock = block("CALENDAR")
    clock.set(zone=ZONES[zone])
    known = ZoneInfo(zone)
    for year in (2008, 2015, 2024, 2026, 2027, 2035):
        start = datetime(year, 1, 1, tzinfo=UTC)
        hours = [start + timedelta(hours=number) for number in range(366 * 24)]
        changes = [
            before
            for before in hours
            if before.astimezone(known).utcoffset()
            != (before + timedelta(hours=1)).astimezone(known).utcoffset()
        ]
        for change in changes:
            for moment in (change, *(change + timedelta(minutes=each) for each in (29, 30, 59, 60))):
                clock.at(clock.time_s, utc=nanoseconds(moment))
                assert shown(clock) == expected(zone, moment), moment
            last = change + timedelta(hours=1, microseconds=-1)
            clock.at(clock.time_s, utc=nanoseconds(last))
            assert shown(clock) == expected(zone, last)


@settings(max_examples=300, deadline=None)
@given(zone=st.sampled_from(sorted(ZONES)), moment=st.datetimes(datetime(2008, 1, 1), datetime(2037, 12, 31)))
def test_any_moment_is_shown_as_the_zone_database_shows_it(
    library: tuple[Bench, dict[str, int]], zone: str, moment: datetime
) -> None:
    bench, numbers = library
    bench["main.which"] = numbers["CALENDAR"]
    moment = moment.replace(tzinfo=UTC)
    bench["main.CALENDAR_.zone"] = ZONES[zone]
    bench["main.CALENDAR_.utc"] = nanoseconds(moment)
    bench["main.CALENDAR_.is_good"] = True
    bench.scan(at_us=bench.clock_ns // 1000)
    local, is_summer_time = expected(zone, moment)
    now = bench["main.CALENDAR_"]
    assert EPOCH + timedelta(microseconds=now["local"] // 1000) == local
    assert now["is_summer_time"] == is_summer_time
    assert (now["year"], now["month"], now["day"]) == (local.year, local.month, local.day)
    assert now["weekday"] == (local.weekday() + 1) % 7
    assert now["day_of_year"] == local.timetuple().tm_yday
    of_day = timedelta(
        hours=local.hour, minutes=local.minute, seconds=local.second, microseconds=local.microsecond
    )
    assert now["time_of_day"] // 1_000_000 == of_day // timedelta(milliseconds=1)


def test_leap_years_are_gregorian(library: tuple[Bench, dict[str, int]]) -> None:
    bench, _ = library
    for year in (1900, 2000, 2023, 2024, 2100, 2200):
        for month in range(1, 13):
            assert bench.call("DAYS_IN_MONTH", year=year, month=month) == calendar.monthrange(year, month)[1]


def test_nth_weekdays_of_a_month(library: tuple[Bench, dict[str, int]]) -> None:
    bench, _ = library
    for month in range(1, 13):
        for weekday in range(7):
            days = [
                date(2026, month, day)
                for day in range(1, calendar.monthrange(2026, month)[1] + 1)
                if (date(2026, month, day).weekday() + 1) % 7 == weekday
            ]
            for week, day in [*enumerate(days[:4], 1), (5, days[-1])]:
                found = bench.call("NTH_WEEKDAY", year=2026, month=month, weekday=weekday, week=week)
                assert EPOCH + timedelta(microseconds=found // 1000) == datetime.combine(day, time(), UTC)


def test_holidays_and_working_days(block: Blocks) -> None:
    clock = block("CALENDAR")
    christmas = nanoseconds(datetime(2026, 12, 25, tzinfo=UTC))  # a Friday
    clock.set(zone=ZONES["Europe/Berlin"], holidays=[christmas, *[0] * 31])
    clock.at(0, utc=nanoseconds(datetime(2026, 12, 24, 22, 59, 59, tzinfo=UTC)))
    assert (clock["is_working_day"], clock["days"], clock["yesterday"]) == (True, 1 << 4, 1 << 3)
    clock.at(1, utc=nanoseconds(datetime(2026, 12, 24, 23, 0, 0, tzinfo=UTC)))
    assert (clock["is_holiday"], clock["is_working_day"], clock["days"]) == (True, False, 0x80)
    clock.at(2, utc=nanoseconds(datetime(2026, 12, 26, 12, tzinfo=UTC)))
    assert (clock["is_working_day"], clock["days"], clock["yesterday"]) == (False, 1 << 6, 0x80)


@pytest.mark.parametrize("period_s", [0.005, 0.02, 0.3])
def test_a_new_day_is_told_for_one_scan(block: Blocks, period_s: float) -> None:
    clock = block("CALENDAR")
    midnight = nanoseconds(datetime(2026, 3, 28, 23, tzinfo=UTC))
    clock.set(zone=ZONES["Europe/Berlin"])
    told = clock.follow(lambda t: {"utc": midnight + round((t - 1.0) * SECOND)}, 2.0, period_s, "is_new_day")
    assert sum(told) == 1
    at_s = (told.index(True) + 1) * period_s
    assert -1e-9 <= at_s - 1.0 < period_s


def test_without_good_time_the_outputs_stand_still(block: Blocks) -> None:
    clock = block("CALENDAR")
    clock.at(0, utc=nanoseconds(datetime(2026, 5, 1, 12, tzinfo=UTC)))
    clock.at(1, utc=0, is_good=False)
    assert not clock["is_known"]
    assert (clock["year"], clock["month"], clock["time_of_day"]) == (2026, 5, 12 * HOUR)


# ── SCHEDULE ─────────────────────────────────────────────────────────────────────────────────────────────────────
WORKING = 0b0111110
EMPTY = {"days": 0, "begins": 0, "ends": 0, "value": 0.0}


def row(days: int, begins_h: float, ends_h: float, value: float) -> dict[str, Any]:
    return {"days": days, "begins": round(begins_h * HOUR), "ends": round(ends_h * HOUR), "value": value}


@pytest.mark.parametrize(
    ("days", "yesterday", "hour", "value", "number"),
    [
        (1 << 1, 1 << 0, 8.0, 30.0, 1),
        (1 << 1, 1 << 0, 11.999, 30.0, 1),
        (1 << 1, 1 << 0, 12.0, 22.0, 0),
        (1 << 1, 1 << 0, 22.0, 10.0, 2),
        (1 << 2, 1 << 1, 5.9, 10.0, 2),  # Monday's night goes on into Tuesday
        (1 << 1, 1 << 0, 5.9, 22.0, 0),  # Sunday had none
        (1 << 6, 1 << 5, 5.9, 10.0, 2),  # Friday's goes on into Saturday
        (1 << 6, 1 << 5, 23.0, 22.0, 0),
        (0x80, 1 << 1, 8.0, 5.0, 3),  # a holiday on a Tuesday
        (0x80, 0x80, 3.0, 5.0, 3),
    ],
)
def test_rows_of_a_schedule(
    block: Blocks, days: int, yesterday: int, hour: float, value: float, number: int
) -> None:
    tariff = block("SCHEDULE")
    rows = [row(WORKING, 8, 12, 30.0), row(WORKING, 22, 6, 10.0), row(0x80, 0, 0, 5.0), *[EMPTY] * 13]
    tariff.set(rows=rows, otherwise=22.0)
    tariff.at(0, days=days, yesterday=yesterday, time_of_day=round(hour * HOUR))
    assert (tariff["value"], tariff["row"]) == (value, number)


def test_the_first_row_that_holds_wins_and_a_bad_time_holds_the_value(block: Blocks) -> None:
    tariff = block("SCHEDULE")
    tariff.set(rows=[row(0x7F, 10, 14, 1.0), row(0x7F, 9, 18, 2.0), *[EMPTY] * 14], days=2, yesterday=1)
    seen = []
    for hour in (9.5, 10.0, 13.9, 14.0, 18.0):
        tariff.at(tariff.time_s, time_of_day=round(hour * HOUR))
        seen.append(tariff["value"])
    assert seen == [2.0, 1.0, 1.0, 2.0, 0.0]
    tariff.at(1, time_of_day=10 * HOUR, is_good=False)
    assert tariff["value"] == 0.0
