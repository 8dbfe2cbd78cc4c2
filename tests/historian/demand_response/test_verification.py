"""Who went down by how much."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from historian.demand_response import (
    BadEvent,
    BadMeter,
    DayMatching,
    Event,
    Level,
    Participant,
    Verdict,
    baseline,
    verify,
)

ZONE = ZoneInfo("America/Los_Angeles")
HOUR = timedelta(hours=1)
START = datetime(2026, 8, 19, 16, tzinfo=ZONE)  # a Wednesday
EVENT = Event("flex", START, 2 * HOUR, Level.HIGH)


def meters() -> pd.DataFrame:
    """Half-hourly, 100 kW each; what they drew in the event is set by each test."""
    index = pd.date_range("2026-07-01", "2026-08-20", freq="30min", tz=ZONE, inclusive="left")
    return pd.DataFrame({name: np.full(len(index), 100.0) for name in ("mill", "shop", "cold")}, index=index)


def during(frame: pd.DataFrame, name: str, *values: float) -> None:
    frame.loc[(frame.index >= START) & (frame.index < EVENT.end), name] = values


def test_each_participant_is_held_to_its_own_promise() -> None:
    frame = meters()
    during(frame, "mill", 70.0, 60.0, 60.0, 70.0)
    during(frame, "shop", 90.0, 90.0, 110.0, 90.0)
    during(frame, "cold", 80.0, np.nan, 80.0, 80.0)
    people = [
        Participant("mill", {Level.MODERATE: 10.0, Level.HIGH: 35.0}),
        Participant("shop", 10.0),
        Participant("cold", 20.0),
    ]
    found = verify(frame, EVENT, people)
    mill, shop, cold = found.reductions
    assert (mill.verdict, mill.promised_kw) == (Verdict.DELIVERED, 35.0)
    assert mill.mean_kw == pytest.approx(35.0)  # (30 + 40 + 40 + 30) / 4
    assert mill.energy_kwh == pytest.approx(70.0)  # over two hours
    assert shop.verdict is Verdict.SHORT
    assert shop.mean_kw == pytest.approx(5.0)  # (10 + 10 − 10 + 10) / 4
    assert shop.share == pytest.approx(0.5)
    assert cold.verdict is Verdict.UNMEASURED
    assert "1 of 4 intervals" in cold.words
    assert found.energy_kwh == pytest.approx(80.0)
    table = found.frame
    assert table.loc["mill", "reduction_kwh"] == pytest.approx(70.0)
    assert table.loc["cold", "verdict"] == "unmeasured"
    assert np.isnan(table.loc["cold", "reduction_kw"])


def test_who_leaves_is_counted_until_then_and_not_asked_if_before() -> None:
    frame = meters()
    during(frame, "mill", 60.0, 60.0, 100.0, 100.0)
    during(frame, "shop", 90.0, 90.0, 90.0, 90.0)
    left = EVENT.opt_out("mill", START + HOUR).opt_out("shop", START - HOUR)
    mill, shop = verify(frame, left, [Participant("mill", 40.0), Participant("shop", 10.0)]).reductions
    assert mill.verdict is Verdict.DELIVERED
    assert mill.energy_kwh == pytest.approx(40.0)
    assert shop.verdict is Verdict.OPTED_OUT
    assert shop.promised_kw == 0.0
    at_once = EVENT.opt_out("mill", START + timedelta(minutes=10))
    assert verify(frame, at_once, [Participant("mill", 40.0)]).reductions[0].verdict is Verdict.OPTED_OUT
    with pytest.raises(BadEvent, match=r"it is over since"):
        EVENT.opt_out("mill", EVENT.end)
    with pytest.raises(BadEvent, match=r"more than once"):
        left.opt_out("mill", START)


def test_an_earlier_event_is_no_ordinary_day_for_those_who_took_part() -> None:
    frame = meters()
    earlier = Event("before", START.replace(day=18), 2 * HOUR).opt_out("shop", START.replace(day=17))
    frame.loc[frame.index.date == date(2026, 8, 18)] = 50.0
    mill, shop = verify(frame, EVENT, [Participant("mill"), Participant("shop")], others=[earlier]).reductions
    assert mill.baseline is not None
    assert shop.baseline is not None
    assert mill.baseline.unadjusted_kw.iloc[0] == pytest.approx(100.0)
    assert shop.baseline.unadjusted_kw.iloc[0] == pytest.approx(95.0)  # (9 × 100 + 50) / 10


def test_inflating_the_hours_before_wins_no_more_than_the_cap() -> None:
    """Three times the demand before the event, and then none the less: 20 % is credited, no more."""
    frame = meters()
    frame.loc[(frame.index >= START - 6 * HOUR) & (frame.index < START), "mill"] = 300.0
    cheat = verify(frame, EVENT, [Participant("mill", 10.0)]).reductions[0]
    assert cheat.baseline is not None
    assert cheat.baseline.is_capped
    assert cheat.mean_kw == pytest.approx(20.0)
    assert verify(frame, EVENT, [Participant("mill", 10.0)]).frame.loc["mill", "is_capped"]


def test_too_little_history_is_a_verdict_and_a_missing_column_an_error() -> None:
    frame = meters()
    young = frame.iloc[-48 * 3 :]
    found = verify(young, EVENT, [Participant("mill", 1.0)]).reductions[0]
    assert found.verdict is Verdict.UNMEASURED
    assert "similar days" in found.words
    assert np.isnan(found.energy_kwh)
    with pytest.raises(BadMeter, match=r"no column forge: columns are mill, shop, cold"):
        verify(frame, EVENT, [Participant("forge")])
    with pytest.raises(BadEvent, match=r"committed_kw is -1\.0"):
        Participant("mill", -1.0)


def test_an_hour_is_an_hour_on_the_night_the_clocks_change() -> None:
    """From 1 h to 3 h on the wall on 1 November 2026 are three hours in California."""
    event = Event("night", datetime(2026, 11, 1, 0, tzinfo=ZONE), 3 * HOUR)
    assert event.end.astimezone(UTC) - event.start.astimezone(UTC) == 3 * HOUR
    index = pd.date_range("2026-09-01", "2026-11-02", freq="h", tz=ZONE, inclusive="left")
    load = pd.Series(30.0, index=index)
    assert baseline(load, event, DayMatching()).kw.tolist() == [30.0, 30.0, 30.0]
