"""History as the tables of forecasters: what was known by the issue, and no more."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from historian_folder import NOON

from gateway.config.forecasts import CLEAR_SKY, KnownInput, Surroundings
from historian.forecast_job import library
from historian.forecast_job.frames import highest, known_frame, past_frame
from historian.forecast_job.plan import S_NS, Plan, Track, plans_of
from historian.query.history import History

STEP = 900 * S_NS
HOUR, DAY = 4 * STEP, 96 * STEP
ZONE = "Europe/Berlin"


@pytest.fixture
def history(folder):
    folder.clock.now = NOON + HOUR
    history = folder.history()
    yield history
    history.close()


@pytest.fixture
def plan(site) -> Plan:
    # b.power_kw tells an hour ahead, a.count a day.
    known = KnownInput("weather", ((1.0, "b.power_kw", 0), (24.0, "a.count", 0)))
    return plans_of(dataclasses.replace(site.forecasts[0], known=(known,)))[0]


def test_a_row_is_the_average_of_the_step_that_begins_then(folder, history, plan):
    folder.write("a.power_kw", [NOON - 2 * STEP, NOON - STEP, NOON - STEP // 3], [10.0, 20.0, 50.0])
    frame = past_frame(history, plan, NOON, 8, ZONE)
    assert [time.isoformat() for time in frame.index] == [
        "2026-11-21T12:30:00+01:00",
        "2026-11-21T12:45:00+01:00",
    ]
    assert frame["a.power_kw"].tolist() == pytest.approx([10.0, 30.0])


def test_it_begins_after_a_gap_that_nothing_bridges(folder, history, plan):
    start = NOON - 5 * DAY
    folder.write("a.power_kw", [start, start + HOUR, NOON - 3 * DAY], [1.0, 2.0, 3.0], [0, 0x80000000, 0])
    frame = past_frame(history, plan, NOON, 5 * 96, ZONE)
    assert len(frame) == 3 * 96
    short = past_frame(history, plan, start + 2 * HOUR, 12, ZONE)
    assert np.isfinite(short["a.power_kw"]).sum() == 4, "an hour without a value is missing, not zero"


def test_without_any_history_there_is_no_row(history, plan):
    assert len(past_frame(history, plan, NOON, 96, ZONE)) == 0


def test_what_is_told_ahead_is_taken_from_the_nearest_lead_that_reaches_it(folder, history, plan):
    """Both tell the time, in steps after noon, that they speak of."""
    times = list(range(NOON - 2 * DAY, NOON, STEP))
    folder.write("a.power_kw", times, [1.0] * len(times))
    folder.write("b.power_kw", times, [(time - NOON + HOUR) / STEP for time in times])
    folder.write("a.count", times, [(time - NOON + DAY) // STEP for time in times])
    ahead = known_frame(history, plan, NOON, ZONE)
    assert ahead["weather"].tolist()[:96] == [float(step) for step in range(96)]
    assert len(ahead) == 96
    past = past_frame(history, plan, NOON, 96, ZONE)
    assert past["weather"].tolist() == [float(step) for step in range(-96, 0)], "as it was told a day before"


def test_beyond_the_last_lead_nothing_is_known(folder, history, plan):
    short = dataclasses.replace(
        plan,
        forecast=dataclasses.replace(
            plan.forecast, known=(KnownInput("weather", ((1.0, "b.power_kw", 0),)),)
        ),
    )
    folder.write("b.power_kw", [NOON - DAY], [5.0])
    told = known_frame(history, short, NOON, ZONE)["weather"].to_numpy()
    assert told[:4].tolist() == [5.0] * 4
    assert np.isnan(told[4:]).all()


def test_nothing_after_the_issue_changes_what_is_known_at_it(folder, plan):
    times = list(range(NOON - 2 * DAY, NOON + DAY, STEP))
    random = np.random.default_rng(1)
    folder.clock.now = NOON + 2 * DAY
    for name in ("a.power_kw", "b.power_kw", "a.count"):
        folder.write(name, times, random.integers(0, 99, len(times)))

    def known() -> tuple[object, object]:
        history = History(folder.directory, clock=folder.clock)
        try:
            return past_frame(history, plan, NOON, 96, ZONE), known_frame(history, plan, NOON, ZONE)
        finally:
            history.close()

    before = known()
    later = [time for time in times if time >= NOON]
    for name in ("a.power_kw", "b.power_kw", "a.count"):
        folder.write(name, later, random.integers(0, 99, len(later)))
    for one, other in zip(before, known(), strict=True):
        assert one.equals(other)


def test_the_greatest_of_a_step_counts_what_held_when_it_began(folder, history, site):
    spike = Plan(site.forecasts[0], Track.SPIKE)
    step = spike.step_ns
    folder.write(
        "a.power_kw", [NOON - 3 * step, NOON - 2 * step + S_NS, NOON - step + S_NS], [90.0, 20.0, 30.0]
    )
    assert highest(history, "a.power_kw", NOON - 4 * step, NOON, step).tolist()[1:] == [90.0, 90.0, 30.0]


def test_sun_and_holidays_are_reckoned_for_the_middle_and_the_day_of_each_step(folder, history, site):
    """Noon in Munich is at 11:00 UTC; Saturday, 2026-11-21, is no holiday, New Year's day is one in Bavaria."""
    surroundings = Surroundings((48.1, 11.6), "DE-BY")
    (plan, *others) = plans_of(dataclasses.replace(site.forecasts[0], surroundings=surroundings))
    folder.write("a.power_kw", [NOON - 2 * STEP], [1.0])
    past, ahead = past_frame(history, plan, NOON, 4, ZONE), known_frame(history, plan, NOON, ZONE)
    assert list(past.columns) == ["a.power_kw", *plan.known]
    assert (list(ahead.columns), len(ahead)) == (list(plan.known), plan.horizon)
    sun = ahead[CLEAR_SKY]
    assert sun.iloc[0] > 300, "W/m² at noon in November"
    assert (sun.iloc[6 * 4 : 15 * 4] == 0).all(), "the night"
    assert sun.between_time("11:30", "12:15").max() == pytest.approx(sun.max(), rel=0.01)
    assert ahead["holiday"].sum() == 0
    january = known_frame(history, plan, (NOON // DAY + 41) * DAY, "Europe/Berlin")
    assert january["holiday"].tolist()[3:90] == [1.0] * 87
    for spike in others:
        assert known_frame(history, spike, NOON, ZONE)[CLEAR_SKY].iloc[0] > 300


def test_what_differs_in_its_surroundings_is_another_recipe(site):
    here, there = (
        plans_of(dataclasses.replace(site.forecasts[0], surroundings=Surroundings(place)))[0]
        for place in (None, (48.1, 11.6))
    )
    assert here.recipe != there.recipe


def test_holidays_of_no_country_are_told_with_their_code(folder, history, site):
    forecast = dataclasses.replace(site.forecasts[0], surroundings=Surroundings(None, "XX"))
    with pytest.raises(ValueError, match="holidays 'XX' are not known"):
        known_frame(history, plans_of(forecast)[0], NOON, ZONE)


@pytest.mark.parametrize(("days", "calibrates_days"), [(8, 3.6), (14, 4), (90, 22), (730, 56)])
def test_the_end_of_history_calibrates_as_much_as_counts(plan, days, calibrates_days):
    """Of what is not looked back: at most three fifths; a day and three of outcomes; a quarter; eight weeks."""
    share = library.new_forecaster(plan, "linear", ZONE, days * 96).calibration
    assert share * (days - 2) == pytest.approx(calibrates_days)
