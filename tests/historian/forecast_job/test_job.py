"""Forecasts of a running site, against real history and a real image; time is passed in."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
from historian_folder import NOON

from gateway.tags.quality import Quality, is_bad, is_good
from historian.forecast_job import NoForecast, issued_between, latest_forecast
from historian.forecast_job.plan import S_NS, Track
from historian.forecast_job.store import Issues, Training

NOTHING_LEARNED = Training("load", Track.LONG, 0, "no model could be compared: linear: too few", "", {})
HOUR_NS = 3600 * S_NS
DAY_NS = 24 * HOUR_NS
STEP_NS = 900 * S_NS
PATIENCE_S = 240.0


def load_kw_at(plant, time_ns):
    """What history says the average of the 15 minutes from then on was."""
    return plant.job._history.time_average("a.power_kw", time_ns, time_ns + STEP_NS, STEP_NS).values[0]


def test_without_history_it_says_how_many_steps_are_needed(bare):
    bare.look()
    # Two days to look back, and twice a horizon of a day and three days of outcomes: (2 + 2 x 4) x 96
    assert bare.said("needed").value == 960
    assert bare.said("state").value.startswith(
        "not primed: 960 more steps of 15 min (10.0 days) of history of a.power_kw are needed"
    )
    assert bare.said("p50_1h").status == Quality.BAD_NO_DATA, "no fault: nobody can act on it"
    assert bare.said("trouble").value == ""
    assert not bare.jobs.trainer.is_busy
    with pytest.raises(NoForecast, match="no forecast 'load' in steps of 15min was issued"):
        latest_forecast(bare.state, "load")


def test_the_steps_that_are_needed_become_fewer(bare):
    bare.record(NOON - DAY_NS, NOON)
    bare.look()
    assert bare.said("needed").value == 864


def test_with_enough_history_it_trains_in_a_process_of_its_own_and_forecasts(long_plant):
    plant = long_plant
    plant.jobs.trainer.niceness = 0  # or it waits for all other tests
    plant.look()
    assert plant.said("training").value is True
    assert plant.said("trouble").value == "", "it begins"
    deadline = time.monotonic() + PATIENCE_S
    while plant.jobs.trainer.is_busy and time.monotonic() < deadline:
        time.sleep(0.05)
        plant.look()
    plant.look()
    assert plant.job.failure == "", (plant.forecasts / "training-load.log").read_text()
    assert plant.said("state").value == "forecasts are issued"
    assert plant.said("trouble").value == ""
    assert plant.said("model").value == "seasonal-naive"
    assert plant.said("training").value is False
    assert is_good(plant.said("p50_1h").status)
    assert plant.said("needed").value == 0
    assert plant.said("home_pattern").value == "1 of 1: any day, highest at 19:00", (
        "patterns are learned with it"
    )


def test_the_tags_say_what_the_seasonal_naive_model_must(trained):
    trained.look()
    issued = latest_forecast(trained.state, "load")
    assert issued.issue.isoformat() == "2026-11-21T13:00:00+01:00"
    assert list(issued.frame.columns) == [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95]
    assert (len(issued.frame), str(issued.frame.index.tz)) == (96, "Europe/Berlin")
    assert issued.frame.index[0] == issued.issue
    for ending, steps in (("15min", 1), ("1h", 4), ("24h", 96)):
        ends = NOON + steps * STEP_NS
        naive = load_kw_at(trained, ends - STEP_NS - DAY_NS)
        assert trained.said(f"p50_{ending}").value == pytest.approx(naive, abs=1.5), ending
        assert trained.said(f"p05_{ending}").value < trained.said(f"p95_{ending}").value
        assert trained.said(f"p50_{ending}").value == pytest.approx(issued.frame[0.5].iloc[steps - 1])
    # Most at 18:00 UTC, which is 19:00 there.
    assert trained.said("p50_peak_24h").value == pytest.approx(150, abs=3)
    assert trained.said("peak_at").value.startswith("2026-11-21T1")
    assert trained.said("p50_5min").value == pytest.approx(load_kw_at(trained, NOON - DAY_NS), abs=3)
    assert trained.said("age_s").value == 10


def test_between_two_issues_the_tags_move_along_the_forecast(trained):
    trained.look()
    frame = latest_forecast(trained.state, "load").frame
    trained.clock.now = NOON + 14 * 60 * S_NS
    trained.look()
    assert trained.said("p50_1h").value == pytest.approx(frame[0.5].iloc[3])
    trained.clock.now = NOON + STEP_NS + 2 * S_NS  # the next is not due before the grace of five seconds
    trained.look()
    assert trained.said("p50_1h").value == pytest.approx(frame[0.5].iloc[4])
    assert trained.said("p50_24h").value == pytest.approx(frame[0.5].iloc[95])
    assert trained.said("age_s").value == 902


def test_every_forecast_is_kept_with_its_issue_time_and_can_be_scored(trained):
    for step in range(4):
        trained.clock.now = NOON + step * STEP_NS + 10 * S_NS
        trained.record(NOON + (step - 1) * STEP_NS, NOON + step * STEP_NS)
        trained.look()
    issued = issued_between(trained.state, "load", NOON, NOON + HOUR_NS)
    assert [issue.strftime("%H:%M") for issue in issued] == ["13:00", "13:15", "13:30", "13:45"]
    assert latest_forecast(trained.state, "load", at_ns=NOON + STEP_NS).issue == list(issued)[1]
    first = next(iter(issued.values()))
    assert np.abs(first.frame[0.5].iloc[0] - load_kw_at(trained, NOON)) < 3


def test_a_forecast_that_is_not_followed_by_another_becomes_uncertain_and_then_bad(trained):
    trained.look()
    trained.jobs.close()
    trained.start()
    (trained.forecasts / "load.15min.model").unlink()
    trained.clock.now = NOON + HOUR_NS
    trained.jobs.trainer.start = lambda *_: None  # nothing is trained here
    trained.look()
    assert trained.said("p50_1h").status == Quality.UNCERTAIN_LAST_USABLE_VALUE
    trained.clock.now = NOON + 25 * HOUR_NS
    trained.look()
    assert trained.said("p50_1h").status == Quality.BAD_OUT_OF_SERVICE
    assert "no model is trained" in trained.said("state").value or "more steps" in trained.said("state").value


def test_bad_input_now_makes_it_uncertain(trained):
    trained.put(0.0, Quality.BAD_NO_COMMUNICATION)
    trained.look()
    assert trained.said("p50_1h").status == Quality.UNCERTAIN_DATA_SUB_NORMAL


def test_input_that_is_missing_in_history_makes_it_uncertain(trained):
    trained.folder.write("a.power_kw", [NOON - 20 * 60 * S_NS], [0.0], Quality.BAD_NO_COMMUNICATION)
    trained.folder.write("a.power_kw", [NOON - n * 300 * S_NS for n in (3, 2, 1)], [0.0] * 3, Quality.BAD)
    trained.look()
    assert latest_forecast(trained.state, "load").is_doubtful
    assert trained.said("p50_1h").status == Quality.UNCERTAIN_DATA_SUB_NORMAL


def test_a_target_without_history_is_trouble_until_it_is_back(trained):
    trained.jobs.trainer.start = lambda *_: None
    trained.look()
    assert trained.said("trouble").value == ""
    trained.folder.write("a.power_kw", [NOON], [0.0], Quality.BAD_NO_COMMUNICATION)
    later = NOON + 45 * DAY_NS
    trained.clock.now = later + 10 * S_NS
    trained.look()
    assert trained.said("trouble").value.startswith("is not issued: there is no history of a.power_kw")
    trained.record(later - 3 * DAY_NS, later + STEP_NS)
    trained.clock.now += STEP_NS
    trained.look()
    assert "is not issued" not in trained.said("trouble").value


def test_an_old_model_makes_it_uncertain(trained):
    file = trained.forecasts / "load.15min.model"
    before = file.read_bytes()
    later = NOON + 7 * DAY_NS + HOUR_NS
    trained.record(NOON, later)
    trained.clock.now = later + 10 * S_NS
    trained.put(100.0)
    trained.jobs.trainer.start = lambda *_: None  # the nights went by without
    trained.look()
    assert trained.said("p50_1h").status == Quality.UNCERTAIN_DATA_SUB_NORMAL
    assert trained.said("model_age_h").value == pytest.approx(169, abs=0.1)
    assert trained.said("state").value == "the model is old"
    assert trained.said("trouble").value == "its model is old: it was not trained for long"
    assert file.read_bytes() == before


def test_a_model_for_other_settings_is_not_used(trained):
    other = dataclasses.replace(trained.site.forecasts[0], quantiles=(0.1, 0.5, 0.95))
    trained.site = dataclasses.replace(trained.site, forecasts=(other,))
    trained.jobs.close()
    trained.start()
    trained.clock.now = NOON + HOUR_NS + 10 * S_NS  # tried again after an hour
    trained.look()
    assert "trained for other settings" in trained.said("state").value
    assert is_bad(trained.said("p50_1h").status)
    assert trained.jobs.trainer.is_busy


def test_a_model_file_that_was_tampered_with_is_not_loaded(trained):
    file = trained.forecasts / "load.15min.model"
    octets = bytearray(file.read_bytes())
    octets[-10] ^= 1
    file.write_bytes(octets)
    trained.look()
    assert "signed by none" in trained.said("state").value
    assert trained.said("trouble").value.startswith("is not issued: ")
    assert "signed by none" in trained.said("trouble").value
    assert is_bad(trained.said("p50_1h").status)


def test_a_training_that_passes_its_deadline_is_killed_and_the_old_model_stays(trained):
    before = {path.name: path.read_bytes() for path in trained.forecasts.glob("*.model")}
    trained.jobs.trainer.start([lane.plan for lane in trained.job.lanes.values()], 0.05)
    process = trained.jobs.trainer._process
    deadline = time.monotonic() + PATIENCE_S
    while trained.jobs.trainer.is_busy and time.monotonic() < deadline:
        trained.look()
    assert process.returncode == -9
    assert trained.job.failure == "the deadline passed: the old model stays"
    trained.look()
    assert trained.said("state").value.startswith("forecasts are issued; training: the deadline passed")
    assert trained.said("trouble").value == "was not trained: the deadline passed: the old model stays"
    assert is_good(trained.said("p50_1h").status)
    assert {path.name: path.read_bytes() for path in trained.forecasts.glob("*.model")} == before
    with Issues(trained.forecasts) as issues:
        assert issues.trainings("load")[0].outcome == "the deadline passed: the old model stays"


def test_a_training_that_found_nothing_to_compare_says_so(plant):
    plant.look()
    plant.jobs.trainer.stop()
    plant.jobs._store.keep_training(
        dataclasses.replace(NOTHING_LEARNED, at=plant.clock()),
    )
    plant.jobs._ended("", plant.clock())
    plant.teller.tell(plant.jobs.jobs, {"load"}, "")
    assert plant.said("state").value == (
        "no model is trained yet; training: steps of 15min: no model could be compared: linear: too few"
    )


def test_it_warns_where_the_limit_is_likely_exceeded(trained):
    trained.look()
    assert trained.said("spike_alert").value is False, "at noon it is 100 kW"
    assert trained.said("spike_pct").value < 1
    evening = NOON + 6 * HOUR_NS
    trained.record(NOON, evening)
    trained.clock.now = evening + 10 * S_NS
    trained.look()
    assert trained.said("spike_alert").value is True, "at 18:00 UTC it is 150 kW"
    assert trained.said("spike_pct").value > 90


def test_what_came_is_scored_over_the_last_days(trained):
    for step in range(0, 97, 8):
        now = NOON + step * STEP_NS
        trained.record(now - 8 * STEP_NS, now)
        trained.clock.now = now + 10 * S_NS
        trained.look()
    later = NOON + 26 * HOUR_NS
    trained.record(NOON + 96 * STEP_NS, later)
    trained.clock.now = later + 10 * S_NS
    trained.look()
    standing = trained.job.standing
    rows = list(trained.job._store.between("load", Track.LONG, 0, 2**62))
    came = trained.job._history.time_average("a.power_kw", NOON, later, STEP_NS).values
    errors = []
    for row in rows:
        first = (row.issue - NOON) // STEP_NS
        over = came[first : first + 96]
        errors += (np.abs(row.values[: len(over), 3] - over) / over).tolist()
    assert standing.outcomes == len(errors)
    assert standing.mape == pytest.approx(100 * np.mean(errors), rel=1e-6)
    assert trained.said("mape_pct").value == standing.mape
    assert trained.said("coverage_pct").value == 100 * standing.coverage
    assert trained.said("drift").value is False


def test_between_trainings_outcomes_widen_what_was_too_narrow(trained):
    trained.look()
    before = latest_forecast(trained.state, "load").frame
    later = NOON + 8 * HOUR_NS
    times = list(range(NOON, later, 300 * S_NS))
    trained.folder.write("a.power_kw", times, [load_kw_at(trained, time - DAY_NS) + 20 for time in times])
    trained.clock.now = later + 10 * S_NS
    trained.look()
    after = latest_forecast(trained.state, "load").frame
    for frame in (before, after):
        frame["width"] = frame[0.95] - frame[0.05]
    assert after["width"].iloc[:4].min() > 2 * before["width"].iloc[:4].max()


def test_models_without_the_key_that_signed_them_are_trained_anew(trained, monkeypatch):
    """As after a restore: a backup holds models and what was issued, but no private key."""
    (trained.forecasts / "model-key.pem").unlink()
    begun = []
    monkeypatch.setattr(trained.jobs.trainer, "start", lambda plans, _: begun.append(plans))
    trained.clock.now = NOON + HOUR_NS + 10 * S_NS
    trained.look()
    assert "model-key.pem" in trained.said("state").value
    assert is_bad(trained.said("p50_1h").status)
    assert len(begun) == 1
