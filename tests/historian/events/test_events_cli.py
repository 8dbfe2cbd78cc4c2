"""`tieline history events`: for people, for spreadsheets, for programs."""

from __future__ import annotations

import csv
import io
import json

import pytest


@pytest.fixture
def state(watched, tmp_path):
    """A state folder with two frames, the second of which goes on."""
    watched.power(0, 10.0)
    watched.flag(0, False)
    watched.flag(2, True)
    watched.flag(72, False)
    watched.flag(100, True)
    watched.look(120)
    watched.look(121)
    state = tmp_path / "state"
    state.mkdir()
    (state / "history").symlink_to(watched.folder.directory)
    return ["events", "--state", str(state), "--from", "2026-11-21", "--to", "2026-11-22"]


def test_for_people(state, run_history):
    status, out, _ = run_history(*state)
    lines = out.splitlines()
    assert status == 0
    assert lines[0].split() == ["start", "end", "duration", "event", "device", "severity", "quality"]
    assert "2026-11-21T12:00:02Z  2026-11-21T12:01:12Z  1:10" in lines[1]
    assert "a.power_kw: average 10, delta 0, end 10, maximum 10, minimum 10, start 10" in lines[2]
    assert "goes on" in lines[3]


def test_for_spreadsheets(state, run_history):
    status, out, _ = run_history(*state, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert status == 0
    assert [row["duration_s"] for row in rows][:1] == ["70.000000"]
    assert rows[0]["a.power_kw average"] == "10.0"
    assert rows[1]["end"] == rows[1]["a.power_kw average"] == ""


def test_for_programs_into_a_file(state, run_history, tmp_path):
    file = tmp_path / "events.json"
    status, out, _ = run_history(*state, "--format", "json", "--output", str(file), "--limit", "1")
    (frame,) = json.loads(file.read_text())
    assert (status, out) == (0, "")
    assert frame["event"] == "run"
    assert frame["end"] == "2026-11-21T12:01:12Z"
    assert {each["summary"]: each["value"] for each in frame["summaries"]}["average"] == 10.0


def test_an_event_that_was_never_kept_is_told_with_those_that_were(state, run_history):
    status, _, err = run_history(*state, "--name", "runs")
    assert status == 1
    assert "no event 'runs' was kept yet; there are run" in err


def test_none_in_that_time(state, run_history):
    assert run_history(*state[:3], "--from", "2020-01-01", "--to", "2020-01-02")[:2] == (1, "no events\n")


def test_wrong_questions(state, run_history):
    assert run_history(*state[:3], "--from", "yesterday")[0] == 2
    assert run_history(*state, "--limit", "0")[0] == 2
