"""What is to come: issued forecasts, else the same time a day and a week before, never anything later than now."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gateway.config.dispatch import Tariff, TariffPeriod
from historian.dispatch.axis import Axis
from historian.dispatch_job.foresight import NoForecasts, StoredForecasts, Wanted, foresee
from historian.dispatch_job.prices import prices, window_at
from historian.forecast_job.plan import Track
from historian.forecast_job.store import FOLDER, ForecastStore, Row

NOW = datetime(2026, 3, 10, 8, tzinfo=UTC)
STEP = timedelta(minutes=15)
AXIS = Axis(NOW, STEP, 8)


class Past:
    """A tag whose mean is hours since a week before NOW; asked for nothing later than NOW."""

    def __init__(self, since: datetime) -> None:
        self.since = since

    def __call__(
        self, tags: Sequence[str], start: datetime, step: timedelta, count: int
    ) -> Mapping[str, np.ndarray]:
        assert start + count * step <= NOW
        times = [start + k * step for k in range(count)]
        hours = np.array([(time - NOW) / timedelta(hours=1) + 168 for time in times])
        known = np.array([time >= self.since for time in times])
        return {tag: np.where(known, hours, np.nan) for tag in tags}


def one(past: Past, now: float | None = 7.0, axis: Axis = AXIS) -> tuple[list[float], str]:
    (found,) = foresee([Wanted("load.kw", None, now)], axis, past, NoForecasts())
    return found.values.tolist(), found.words


def test_a_day_and_a_week_ago_are_averaged_and_either_serves_alone() -> None:
    values, words = one(Past(NOW - timedelta(days=8)))
    assert values[:2] == [(0 + 144) / 2, (0.25 + 144.25) / 2]
    assert words == "history of last week and the last day"
    values, words = one(Past(NOW - timedelta(days=1)))
    assert (values[0], words) == (144.0, "history of the last day")


def test_further_than_a_day_ahead_the_last_day_comes_again() -> None:
    values, _ = one(Past(NOW - timedelta(days=1)), axis=Axis(NOW, STEP, 192))
    assert values[:96] == values[96:]


def test_without_history_it_stays_as_it_is_and_says_so() -> None:
    assert one(Past(NOW)) == ([7.0] * 8, "as now")
    assert one(Past(NOW), now=None) == ([0.0] * 8, "0, as it is Bad")
    half = Past(NOW - timedelta(hours=23))
    values, words = one(half)
    assert (values[:4], values[4]) == ([7.0] * 4, 145.0)
    assert words == "history of last week and the last day, else as now" or words.endswith("else as now")


def test_a_forecast_that_was_issued_is_taken_and_its_end_is_made_up_from_history(tmp_path: Path) -> None:
    issue = NOW - timedelta(minutes=30)
    store = ForecastStore(tmp_path / FOLDER)
    values = np.array([[k, 10.0 + k, 20.0 + k] for k in range(6)], np.float32)
    for at, more in ((issue, 0.0), (NOW + timedelta(hours=1), 1000.0)):  # the second is not known yet
        at_ns = round(at.timestamp()) * 10**9
        store.keep(
            Row(
                "load",
                Track.LONG,
                at_ns,
                at_ns,
                900,
                (0.1, 0.5, 0.9),
                values + np.float32(more),
                "m",
                at_ns,
                False,
            )
        )
    store.close()
    wanted = [Wanted("load.kw", "load", 7.0), Wanted("sun.kw", "sun", 3.0)]
    load, sun = foresee(wanted, AXIS, Past(NOW), StoredForecasts(tmp_path))
    assert load.values.tolist() == pytest.approx([12.0, 13.0, 14.0, 15.0, 7.0, 7.0, 7.0, 7.0])
    assert load.words == "forecast load, then no history, else as now"
    assert load.issued == issue
    assert (sun.words, sun.issued) == ("as now", None)


def test_a_forecast_that_is_missing_is_told_once_and_that_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    source = StoredForecasts(tmp_path)
    for _ in range(3):
        assert source.ahead("load", AXIS) is None
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("forecast load: no forecast was issued yet")
    store, at_ns = ForecastStore(tmp_path / FOLDER), round(NOW.timestamp()) * 10**9
    values = np.zeros((8, 1), np.float32)
    store.keep(Row("load", Track.LONG, at_ns, at_ns, 900, (0.5,), values, "m", at_ns, False))
    store.close()
    for _ in range(3):
        assert source.ahead("load", AXIS) is not None
    assert caplog.messages[1:] == ["forecast load: is there again"]


def test_tariffs_go_by_civil_time_and_a_period_over_midnight_is_of_the_day_it_begins_on() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    night = TariffPeriod(22, 6, 0.1, frozenset({4}))  # Fridays
    tariff = Tariff(0.3, (TariffPeriod(17, 21, 0.4, frozenset(range(7))), night))
    friday = datetime(2026, 3, 27, tzinfo=berlin)
    times = [friday + timedelta(hours=hours) for hours in (5, 17.5, 21, 22.5, 29.5, 30)]
    assert prices(tariff, times, berlin).tolist() == [0.3, 0.4, 0.3, 0.1, 0.1, 0.3]


def test_a_daily_window_is_the_one_that_goes_on_or_the_next() -> None:
    at = datetime(2026, 3, 10, 23, tzinfo=UTC)
    assert window_at(at, 22, 6, UTC) == (at.replace(hour=22), datetime(2026, 3, 11, 6, tzinfo=UTC))
    assert window_at(at.replace(hour=5), 22, 6, UTC)[1] == at.replace(hour=6)
    assert window_at(at.replace(hour=7), 22, 6, UTC)[0] == at.replace(hour=22)
